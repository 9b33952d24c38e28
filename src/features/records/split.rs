//! Cuts a file into its records while it arrives: lines, the items of one JSON array, or the rows of CSV.
use std::collections::HashSet;

use csv_core::{ReadRecordResult, Reader};
use serde_json::{Map, Value as Json};

use super::array::Items;
use super::quotes::Quotes;
use crate::base::csv::FORMULA;
use crate::base::text::nearest;
use crate::features::collections::{Entry, FieldType};
use crate::http::input::Body as Document;

/// Largest record of a file. What is longer is no record, and would fill the memory.
pub(super) const RECORD_BYTES_MAX: usize = 1 << 20;

/// Most cells of a row.
const CELLS_MAX: usize = 4_096;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// One JSON array of objects.
    Json,
    /// RFC 4180, with the names of the fields in the first row.
    Csv,
}

impl Format {
    /// The format that a media type or a parameter names.
    pub fn named(name: &str) -> Option<Self> {
        match name.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
            "ndjson" | "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Some(Self::Ndjson),
            "json" | "application/json" => Some(Self::Json),
            "csv" | "text/csv" => Some(Self::Csv),
            _ => None,
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// A record as it stands in the file.
#[derive(Debug)]
pub(super) struct Piece {
    /// The line that it begins on, from 1.
    pub line: u64,
    /// How long it is.
    pub bytes: usize,
    pub content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// JSON, not looked at yet.
    Json(Vec<u8>),
    /// Members made of cells.
    Members(Map<String, Json>),
    /// It cannot be a record.
    Broken(String),
}

/// Why the rest of a file cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable(pub String);

/// Takes a file in parts.
pub(super) struct Splitter {
    /// What may be a byte order mark, while the file is too short to tell.
    head: Option<Vec<u8>>,
    kind: Kind,
}

enum Kind {
    Lines(Lines),
    Items(Items),
    Rows(Box<Rows>),
}

/// What Windows writes before UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Splitter {
    pub fn new(format: Format, entry: &Entry) -> Self {
        Self::of(match format {
            Format::Ndjson => Kind::Lines(Lines { part: Vec::new(), line: 1, too_long: false }),
            Format::Json => Kind::Items(Items::default()),
            Format::Csv => Kind::Rows(Box::new(Rows::new(entry))),
        })
    }

    fn of(kind: Kind) -> Self {
        Self { head: Some(Vec::new()), kind }
    }

    /// Takes the next bytes, and hands out the records that end in them.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) -> Result<(), Unreadable> {
        let Some(mut head) = self.head.take() else { return self.kind.push(bytes, out) };
        head.extend_from_slice(bytes);
        if head.len() < BYTE_ORDER_MARK.len() {
            self.head = Some(head);
            return Ok(());
        }
        self.kind.push(head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head), out)
    }

    /// Hands out what is left at the end of the file.
    pub fn end(&mut self, out: &mut Vec<Piece>) -> Result<(), Unreadable> {
        if let Some(head) = self.head.take().filter(|it| !it.is_empty()) {
            self.kind.push(&head, out)?;
        }
        match &mut self.kind {
            Kind::Lines(lines) => lines.push(b"\n", out),
            Kind::Items(items) => return items.end(),
            Kind::Rows(rows) => return rows.end(out),
        }
        Ok(())
    }
}

impl Kind {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) -> Result<(), Unreadable> {
        match self {
            Self::Lines(lines) => lines.push(bytes, out),
            Self::Items(items) => return items.push(bytes, out),
            Self::Rows(rows) => return rows.push(bytes, out),
        }
        Ok(())
    }
}

/// One record a line.
pub(super) struct Lines {
    part: Vec<u8>,
    line: u64,
    too_long: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) {
        for piece in bytes.split_inclusive(|it| *it == b'\n') {
            let (text, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |it| (it, true));
            if RECORD_BYTES_MAX < self.part.len() + text.len() {
                self.too_long = true;
                self.part.clear();
            } else if !self.too_long {
                self.part.extend_from_slice(text);
            }
            if !ends {
                continue;
            }
            let line = self.line;
            self.line += 1;
            if std::mem::take(&mut self.too_long) {
                out.push(Piece { line, bytes: 0, content: Content::Broken(too_long()) });
            } else if !self.part.trim_ascii().is_empty() {
                let bytes = self.part.len();
                let content = Content::Json(std::mem::take(&mut self.part));
                out.push(Piece { line, bytes, content });
            }
            self.part.clear();
        }
    }
}

/// The rows of CSV.
pub(super) struct Rows {
    reader: Reader,
    /// Names and types, in the order of the first row; nothing until it was read.
    columns: Option<Vec<(String, Column)>>,
    known: Vec<(String, Column)>,
    cells: Vec<u8>,
    cells_used: usize,
    ends: Vec<usize>,
    ends_used: usize,
    quotes: Quotes,
    /// Why the row so far is none.
    refused: Option<String>,
    line: u64,
}

/// What is known of the cells below a name.
#[derive(Clone, Copy, Debug)]
struct Column {
    cell: Cell,
    /// Whether there is no null, so that an empty cell is none that was given.
    is_required: bool,
}

/// What a cell is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// A text, which may be empty.
    Text,
    /// What is written as a text, and never empty.
    Word,
    Number,
    Bool,
    Json,
}

impl Rows {
    fn new(entry: &Entry) -> Self {
        let own =
            ["id", "createdAt", "updatedAt"].map(|it| (it.to_owned(), Column { cell: Cell::Word, is_required: true }));
        let fields = entry.judges.iter().map(|it| {
            let cell = match it.field.field_type {
                FieldType::Integer | FieldType::Number => Cell::Number,
                FieldType::Bool => Cell::Bool,
                FieldType::Json | FieldType::Geo => Cell::Json,
                FieldType::Select | FieldType::Relation if it.field.is_multiple() => Cell::Json,
                FieldType::Text => Cell::Text,
                _ => Cell::Word,
            };
            (it.field.name.clone(), Column { cell, is_required: it.field.required })
        });
        Self {
            reader: Reader::new(),
            columns: None,
            known: own.into_iter().chain(fields).collect(),
            cells: vec![0; 4_096],
            cells_used: 0,
            ends: vec![0; 64],
            ends_used: 0,
            quotes: Quotes::default(),
            refused: None,
            line: 1,
        }
    }

    fn push(&mut self, bytes: &[u8], out: &mut Vec<Piece>) -> Result<(), Unreadable> {
        // To the reader, no bytes are the end of the file.
        if bytes.is_empty() { Ok(()) } else { self.feed(bytes, out) }
    }

    fn end(&mut self, out: &mut Vec<Piece>) -> Result<(), Unreadable> {
        self.feed(b"", out)
    }

    fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<Piece>) -> Result<(), Unreadable> {
        let is_end = bytes.is_empty();
        loop {
            let line = self.line;
            let (cells, ends) = (&mut self.cells[self.cells_used..], &mut self.ends[self.ends_used..]);
            let (outcome, read, written, ended) = self.reader.read_record(bytes, cells, ends);
            self.quotes.follow(&bytes[..read]);
            bytes = &bytes[read..];
            self.cells_used += written;
            self.ends_used += ended;
            match outcome {
                ReadRecordResult::InputEmpty if is_end => continue,
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::OutputFull if RECORD_BYTES_MAX <= self.cells.len() => {
                    self.refused.get_or_insert_with(too_long);
                    self.cells_used = 0;
                }
                ReadRecordResult::OutputFull => self.cells.resize(self.cells.len() * 2, 0),
                ReadRecordResult::OutputEndsFull if CELLS_MAX <= self.ends.len() => {
                    self.refused.get_or_insert_with(|| "has too many cells".to_owned());
                    self.ends_used = 0;
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    self.line = self.reader.line();
                    let bytes = self.cells_used;
                    let is_cut = is_end && self.quotes.is_open();
                    let row = match self.refused.take() {
                        Some(reason) => Err(reason),
                        None if is_cut => Err("the file ends within quotes".to_owned()),
                        None => self.row(),
                    };
                    let quoted = std::mem::take(&mut self.quotes.quoted);
                    (self.cells_used, self.ends_used, self.quotes.column) = (0, 0, 0);
                    match &self.columns {
                        None => {
                            let names = row.map_err(|it| Unreadable(format!("line {line}: {it}")))?;
                            self.columns = Some(self.header(names)?);
                        }
                        Some(columns) => {
                            let content = row.and_then(|row| members(columns, row, &quoted));
                            let content = content.map_or_else(Content::Broken, Content::Members);
                            out.push(Piece { line, bytes, content });
                        }
                    }
                }
            }
        }
    }

    fn row(&self) -> Result<Vec<String>, String> {
        let mut from = 0;
        let mut row = Vec::with_capacity(self.ends_used);
        for end in &self.ends[..self.ends_used] {
            let text = std::str::from_utf8(&self.cells[from..*end]).map_err(|_| "must be UTF-8".to_owned())?;
            row.push(text.to_owned());
            from = *end;
        }
        Ok(row)
    }

    fn header(&self, names: Vec<String>) -> Result<Vec<(String, Column)>, Unreadable> {
        let column = |name: String| {
            let name = name.trim().to_owned();
            let cell = self.known.iter().find(|(it, _)| *it == name).map(|(_, it)| *it);
            match (cell, nearest(&name, self.known.iter().map(|(it, _)| it.as_str()))) {
                (Some(cell), _) => Ok((name, cell)),
                (None, Some(meant)) => {
                    Err(Unreadable(format!("the column `{name}` is no field; did you mean `{meant}`?")))
                }
                (None, None) => Err(Unreadable(format!("the column `{name}` is no field"))),
            }
        };
        let columns: Vec<_> = names.into_iter().map(column).collect::<Result<_, _>>()?;
        let mut seen = HashSet::new();
        match columns.iter().find(|(name, _)| !seen.insert(name)) {
            Some((name, _)) => Err(Unreadable(format!("the column `{name}` is there twice"))),
            None => Ok(columns),
        }
    }
}

/// A row as the members of a record. An empty cell is null, or not there where there is no null; with quotes, it is an
/// empty text where there may be one.
fn members(columns: &[(String, Column)], row: Vec<String>, quoted: &[usize]) -> Result<Map<String, Json>, String> {
    if row.len() != columns.len() {
        return Err(format!("has {} cells, and the first row has {}", row.len(), columns.len()));
    }
    let mut members = Map::new();
    for (position, ((name, column), text)) in columns.iter().zip(row).enumerate() {
        if text.is_empty() && !(column.cell == Cell::Text && quoted.contains(&position)) {
            if !column.is_required {
                members.insert(name.clone(), Json::Null);
            }
            continue;
        }
        if text.contains('\0') {
            return Err(format!("`{name}`: must not contain U+0000"));
        }
        let value = match column.cell {
            Cell::Number => {
                let fraction = || text.parse::<f64>().ok().filter(|it| it.is_finite()).map(Json::from);
                text.parse::<i64>().ok().map(Json::from).or_else(fraction)
            }
            Cell::Bool => match text.as_str() {
                "true" | "1" => Some(true.into()),
                "false" | "0" => Some(false.into()),
                _ => None,
            },
            Cell::Json => json(&text).map_err(|reason| format!("`{name}`: {reason}"))?,
            Cell::Text | Cell::Word => Some(unescaped(&text).into()),
        };
        // What is not what it should be is sent as the text that it is, and judged like one.
        members.insert(name.clone(), value.unwrap_or(Json::String(text)));
    }
    Ok(members)
}

/// The JSON in a cell; nothing if it is a text that does not look like any.
fn json(text: &str) -> Result<Option<Json>, String> {
    match Document::read(text.as_bytes()) {
        Err(problem) if text.trim_start().starts_with(['{', '[', '"']) => {
            Err(problem.detail.replacen("the body", "the cell", 1))
        }
        Err(_) => Ok(None),
        Ok(Document { value, faults }) => match faults.into_iter().next() {
            None => Ok(Some(value)),
            Some(fault) => Err(fault.detail),
        },
    }
}

/// A text without the sign that an export puts before what a spreadsheet would take for a formula.
fn unescaped(text: &str) -> &str {
    text.strip_prefix('\'').filter(|it| it.starts_with(FORMULA) || it.starts_with('\'')).unwrap_or(text)
}

pub(super) fn too_long() -> String {
    format!("a record has at most {RECORD_BYTES_MAX} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a file that comes in parts of so many bytes.
    fn split(mut splitter: Splitter, file: &[u8], part: usize) -> (Vec<(u64, String)>, Option<Unreadable>) {
        let mut out = Vec::new();
        let mut outcome = Ok(());
        for bytes in file.chunks(part) {
            outcome = outcome.and_then(|()| splitter.push(bytes, &mut out));
        }
        outcome = outcome.and_then(|()| splitter.end(&mut out));
        let said = out.into_iter().map(|it| match it.content {
            Content::Json(text) => (it.line, String::from_utf8(text).expect("UTF-8")),
            Content::Members(members) => (it.line, Json::Object(members).to_string()),
            Content::Broken(reason) => (it.line, reason),
        });
        (said.collect(), outcome.err())
    }

    fn lines() -> Splitter {
        Splitter::of(Kind::Lines(Lines { part: Vec::new(), line: 1, too_long: false }))
    }

    fn items() -> Splitter {
        Splitter::of(Kind::Items(Items::default()))
    }

    fn rows() -> Splitter {
        let known = [("id", Cell::Text), ("n", Cell::Number), ("b", Cell::Bool), ("j", Cell::Json)];
        let known = known.map(|(name, cell)| (name.to_owned(), Column { cell, is_required: false })).into();
        let (cells, ends) = (vec![0; 8], vec![0; 2]);
        Splitter::of(Kind::Rows(Box::new(Rows {
            reader: Reader::new(),
            columns: None,
            known,
            cells,
            cells_used: 0,
            ends,
            ends_used: 0,
            quotes: Quotes::default(),
            refused: None,
            line: 1,
        })))
    }

    /// A network cuts where it likes.
    #[test]
    fn it_does_not_matter_where_a_file_is_cut() {
        let ndjson = b"{\"a\": 1}\n\n  \r\n{\"b\": \"\xc3\xa9\"}\n{\"c\": 3}";
        let json = b" [\n{\"a\": \"],}\\\"\"},\n {\"b\": [1, {\"c\": 2}]} , 3 ]\n";
        let csv = b"id,n,b,j\n\"a,\"\"b\"\"\n\xc3\xa9\",1,true,[1]\n\n'=x,1.5,,\n";
        for part in 1..40 {
            let (found, error) = split(lines(), ndjson, part);
            assert_eq!((found.len(), error), (3, None), "{part}");
            assert_eq!(found[1], (4, "{\"b\": \"é\"}".to_owned()));
            let (found, error) = split(items(), json, part);
            assert_eq!(error, None, "{part}");
            let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
            assert_eq!((lines, found[1].1.trim()), (vec![2, 3, 3], "{\"b\": [1, {\"c\": 2}]}"));
            let (found, error) = split(rows(), csv, part);
            assert_eq!(error, None, "{part}");
            assert_eq!(found[0].1, r#"{"id":"a,\"b\"\né","n":1,"b":true,"j":[1]}"#);
            assert_eq!(found[1].1, r#"{"id":"=x","n":1.5,"b":null,"j":null}"#);
        }
    }

    #[test]
    fn an_empty_text_is_told_from_no_value_by_its_quotes() {
        let file = b"id,n\r\n\"\",1\r\n,2\r\na\"\",\"\"\r\n\"\"\"\",4\r\n\"\",";
        for part in 1..file.len() {
            let (found, error) = split(rows(), file, part);

            let said: Vec<_> = found.into_iter().map(|(_, it)| it).collect();
            assert_eq!(error, None);
            assert_eq!(
                said,
                [
                    r#"{"id":"","n":1}"#,
                    r#"{"id":null,"n":2}"#,
                    r#"{"id":"a\"\"","n":null}"#,
                    r#"{"id":"\"","n":4}"#,
                    r#"{"id":"","n":null}"#
                ],
                "{part}"
            );
        }
    }

    #[test]
    fn a_record_that_is_too_long_costs_itself_only() {
        let long = "x".repeat(RECORD_BYTES_MAX + 10);
        let csv = format!("id,n\na,1\n{long},2\n\"{long}\",3\nb,4\n{}\nc,5\n", ",".repeat(CELLS_MAX * 2));
        let json = format!("[{{\"a\": 1}},\n[\"{long}\", {{\"b\": 2}}],\n3]");

        let ((rows, cut), (items, broken)) =
            (split(rows(), csv.as_bytes(), 65_536), split(items(), json.as_bytes(), 65_536));

        assert_eq!((cut, broken), (None, None));
        let is_refused: Vec<_> = rows.iter().map(|(_, it)| !it.starts_with('{')).collect();
        assert_eq!(is_refused, [false, true, true, false, true, false]);
        assert_eq!((items.len(), items[1].0, items[1].1.contains("at most"), items[2].1.as_str()), (3, 2, true, "3"));
    }

    #[test]
    fn what_cannot_be_read_on_is_said_with_its_line() {
        assert_eq!(
            split(items(), b"{\"a\": 1}", 3).1,
            Some(Unreadable("line 1: the file must be one JSON array".to_owned()))
        );
        assert!(split(items(), b"[{\"a\": 1}", 3).1.is_some());
        assert!(split(items(), b"[] x", 1).1.is_some());
        let missing = |json: &[u8]| split(items(), json, 2).0.into_iter().map(|(_, it)| it).collect::<Vec<_>>();
        assert_eq!(missing(b"[1, ,2,\n]"), ["1", "is missing before a comma", "2", "is missing after the last comma"]);
        assert_eq!((missing(b"[]"), missing(b"[ 1 ]")), (vec![], vec!["1 ".to_owned()]));
        let typo = split(rows(), b"idd,n\n1,2\n", 100).1.expect("refused");
        assert_eq!(typo.0, "the column `idd` is no field; did you mean `id`?");
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let mut file = vec![b'x'; RECORD_BYTES_MAX + 10];
        file.extend_from_slice(b"\n{}\n");

        let (found, _) = split(lines(), &file, 65_536);

        assert_eq!((found.len(), found[0].1.contains("at most")), (2, true));
        assert!(split(items(), &[b"[\"", file.as_slice()].concat(), 65_536).1.is_some());
    }
}
