//! What is wrong with the settings, and where.
use std::fmt;

use crate::base::text::visible;

/// Most mistakes that are told. A file that is not meant to be settings may have a million.
const COMPLAINTS_MAX: usize = 100;
/// Most characters of something typed that a complaint repeats.
const SHOWN_CHARS_MAX: usize = 80;

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
        let mut lines: Vec<_> = self.complaints.iter().map(|it| format!("{}: {}", it.place, it.text)).collect();
        if self.is_full() {
            lines.push(format!("no more than {COMPLAINTS_MAX} mistakes are told"));
        }
        out.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Adds a complaint, on one line: what was typed may hold anything.
    pub(super) fn add(&mut self, place: impl AsRef<str>, text: impl AsRef<str>) {
        if !self.is_full() {
            self.complaints.push(Complaint { place: visible(place.as_ref()), text: visible(text.as_ref()) });
        }
    }

    /// Whether further complaints are not kept, so that looking for them is vain.
    pub(super) fn is_full(&self) -> bool {
        COMPLAINTS_MAX <= self.complaints.len()
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

/// A key as it stands in a file: plain, or in quotes if it has to be.
pub(super) fn shown(key: &str) -> String {
    let is_plain = !key.is_empty() && key.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-".contains(&it));
    if is_plain { cut(key) } else { quoted(key) }
}

/// Something typed, in quotes, as a file would have to write it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", cut(&text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// The beginning of what is too long to be repeated.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
