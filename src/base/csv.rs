//! Rows of CSV (RFC 4180) on their way out.
use std::borrow::Cow;

use csv_core::{WriteResult, Writer};

/// What a spreadsheet takes a text for a formula by, if it begins so (OWASP, "CSV Injection").
pub const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A text as a cell. One that a spreadsheet would run as a formula gets a sign before it, and so does one that begins
/// with that sign, so that both can be told apart when they are read back.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA) || text.starts_with('\'') { format!("'{text}").into() } else { text.into() }
}

/// Appends one row. An empty text stands in quotes, and no value is nothing at all.
pub fn row<'a>(cells: impl Iterator<Item = Option<&'a str>>, out: &mut Vec<u8>) {
    let mut writer = Writer::new();
    for (index, cell) in cells.enumerate() {
        if 0 < index {
            push(out, |space| writer.delimiter(space));
        }
        if cell == Some("") {
            out.extend_from_slice(b"\"\"");
        }
        let mut rest = cell.unwrap_or_default().as_bytes();
        push(out, |space| {
            let (outcome, read, written) = writer.field(rest, space);
            rest = &rest[read..];
            (outcome, written)
        });
    }
    push(out, |space| writer.terminator(space));
}

/// Repeats a step of the writer until all that it has is appended.
fn push(out: &mut Vec<u8>, mut step: impl FnMut(&mut [u8]) -> (WriteResult, usize)) {
    let mut space = [0; 1_024];
    loop {
        let (outcome, written) = step(&mut space);
        out.extend_from_slice(&space[..written]);
        if outcome == WriteResult::InputEmpty {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_comes_out_as_it_is_and_never_as_a_formula() {
        let mut out = Vec::new();
        let cells: Vec<_> = ["a", "b,\"c\"\n", "=1+1", "'x", ""].into_iter().map(escaped).collect();

        row(cells.iter().map(|it| Some(it.as_ref())).chain([None]), &mut out);

        assert_eq!(String::from_utf8(out).as_deref(), Ok("a,\"b,\"\"c\"\"\n\",'=1+1,''x,\"\",\n"));
    }
}
