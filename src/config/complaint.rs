//! What is wrong with the settings, and where.
use std::fmt;

/// Everything that is wrong with the settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Error {
    pub complaints: Vec<Complaint>,
}

/// One thing that is wrong: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub place: String,
    pub text: String,
}

impl Complaint {
    /// File, line and column; what comes from no file is last.
    fn position(&self) -> (bool, String, u32, u32) {
        let mut parts = self.place.rsplitn(3, ':');
        let column = parts.next().and_then(|it| it.parse().ok());
        let line = parts.next().and_then(|it| it.parse().ok());
        match (parts.next(), line, column) {
            (Some(file), Some(line), Some(column)) => (false, file.to_owned(), line, column),
            _ => (true, String::new(), 0, 0),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.complaints.iter().map(|it| format!("{}: {}", it.place, it.text)).collect();
        out.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Error {}

impl Error {
    pub(super) fn add(&mut self, place: impl Into<String>, text: impl Into<String>) {
        self.complaints.push(Complaint { place: place.into(), text: text.into() });
    }

    /// From the top of each file to its end, as one mends it.
    pub(super) fn sorted(mut self) -> Self {
        self.complaints.sort_by_key(Complaint::position);
        self
    }
}

/// `config.toml:12:5`, for the byte at `offset`.
pub(super) fn place(file: &str, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{file}:{line}:{column}")
}
