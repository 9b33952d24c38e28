//! The records of a file: of a JSON array, of JSON values one after another, or rows of CSV with names in the first.
use std::io::{BufRead, BufReader, Read};

use csv_core::{ReadRecordResult, Reader};
use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Deserializer, Map, Value};

use super::Origin;
use super::record::Record;

/// Longest row of CSV. No account has that much.
const ROW_BYTES_MAX: usize = 1 << 20;
/// Most cells of a row.
const CELLS_MAX: usize = 1_024;
/// What Windows writes before UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// What is done with a record, or why no more is taken.
pub(super) type Take<'a> = dyn FnMut(&Record) -> Result<(), String> + 'a;

/// Hands out every record of a file, in order; an error says where the rest cannot be read.
pub(super) fn each(source: impl Read, is_csv: bool, origin: Origin, take: &mut Take<'_>) -> Result<(), String> {
    let mut file = BufReader::new(source);
    if file.fill_buf().map_err(|it| it.to_string())?.starts_with(BYTE_ORDER_MARK) {
        file.consume(BYTE_ORDER_MARK.len());
    }
    if is_csv {
        return if origin == Origin::Firebase { Err(no_names()) } else { rows(file, take) };
    }
    let first = first_byte(&mut file).map_err(|it| it.to_string())?;
    let read = match first {
        None => Ok(()),
        Some(b'[') => whole(file, |json| json.deserialize_seq(Records(take))),
        Some(_) if origin == Origin::Firebase => whole(file, |json| json.deserialize_map(Users(take))),
        Some(_) => values(file, take),
    };
    read.map_err(|it| it.to_string())
}

/// The first byte that is no white space, which stays to be read.
fn first_byte(file: &mut impl BufRead) -> std::io::Result<Option<u8>> {
    loop {
        let bytes = file.fill_buf()?;
        let Some(blanks) = bytes.iter().position(|it| !it.is_ascii_whitespace()) else {
            let all = bytes.len();
            if all == 0 {
                return Ok(None);
            }
            file.consume(all);
            continue;
        };
        let first = bytes.get(blanks).copied();
        file.consume(blanks);
        return Ok(first);
    }
}

/// Reads a file that is one JSON value.
fn whole<R: Read>(
    file: R,
    read: impl FnOnce(&mut Deserializer<serde_json::de::IoRead<R>>) -> serde_json::Result<()>,
) -> serde_json::Result<()> {
    let mut json = Deserializer::from_reader(file);
    read(&mut json)?;
    json.end()
}

fn values(file: impl Read, take: &mut Take<'_>) -> serde_json::Result<()> {
    for value in Deserializer::from_reader(file).into_iter() {
        take(&Record::new(value?)).map_err(serde_json::Error::custom)?;
    }
    Ok(())
}

/// The items of an array.
struct Records<'a, 'b>(&'a mut Take<'b>);

impl<'de> Visitor<'de> for Records<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an array of accounts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(value) = items.next_element()? {
            (self.0)(&Record::new(value)).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Records<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

/// The array `users` of an object.
struct Users<'a, 'b>(&'a mut Take<'b>);

impl<'de> Visitor<'de> for Users<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object with an array `users`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut is_there = false;
        while let Some(name) = members.next_key::<String>()? {
            if name == "users" {
                members.next_value_seed(Records(&mut *self.0))?;
                is_there = true;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        if is_there { Ok(()) } else { Err(A::Error::missing_field("users")) }
    }
}

/// The rows of CSV (RFC 4180). An empty cell is nothing.
fn rows(mut file: impl BufRead, take: &mut Take<'_>) -> Result<(), String> {
    let mut reader = Reader::new();
    let mut names: Option<Vec<String>> = None;
    let (mut cells, mut ends) = (vec![0; ROW_BYTES_MAX], vec![0; CELLS_MAX]);
    let (mut used, mut ended) = (0, 0);
    loop {
        let line = reader.line();
        let at = |reason: &str| format!("line {line}: {reason}");
        let bytes = file.fill_buf().map_err(|it| it.to_string())?;
        let (outcome, read, written, more) = reader.read_record(bytes, &mut cells[used..], &mut ends[ended..]);
        file.consume(read);
        (used, ended) = (used + written, ended + more);
        match outcome {
            ReadRecordResult::InputEmpty => continue,
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                return Err(at(&format!("a row has at most {CELLS_MAX} cells and {ROW_BYTES_MAX} bytes")));
            }
            ReadRecordResult::End => return Ok(()),
            ReadRecordResult::Record => {}
        }
        let text = std::str::from_utf8(&cells[..used]).map_err(|_| at("must be UTF-8"))?;
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let row: Option<Vec<_>> = starts.zip(&ends[..ended]).map(|(from, end)| text.get(from..*end)).collect();
        let row = row.ok_or_else(|| at("must be UTF-8"))?;
        match &names {
            None => names = Some(row.into_iter().map(|it| it.trim().to_owned()).collect()),
            Some(names) if names.len() != row.len() => {
                return Err(at(&format!("has {} cells, and the first row has {}", row.len(), names.len())));
            }
            Some(names) => {
                let pairs = names.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
                let members: Map<_, _> = pairs.map(|(name, cell)| (name.clone(), Value::from(cell))).collect();
                take(&Record::new(members.into())).map_err(|it| at(&it))?;
            }
        }
        (used, ended) = (0, 0);
    }
}

fn no_names() -> String {
    "Firebase's CSV has no names of columns: export JSON with `firebase auth:export users.json`".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emails(file: &str, is_csv: bool, origin: Origin) -> (Vec<Option<String>>, Option<String>) {
        let mut found = Vec::new();
        let read = each(file.as_bytes(), is_csv, origin, &mut |record| {
            found.push(record.text("email"));
            Ok(())
        });
        (found, read.err())
    }

    #[test]
    fn an_array_lines_and_rows_have_the_same_records() {
        let expected = (vec![Some("a@b.c".to_owned()), None, Some("d,\n@b.c".to_owned())], None);
        let (array, lines, rows) = (
            " [{\"email\": \"a@b.c\"}, {}, {\"email\": \"d,\\n@b.c\"}]\n",
            "\u{feff}{\"email\": \"a@b.c\"}\n{}\n{\"email\": \"d,\\n@b.c\"}",
            "id,email\r\n1,a@b.c\r\n2,\r\n3,\"d,\n@b.c\"\r\n",
        );

        assert_eq!(emails(array, false, Origin::Supabase), expected);
        assert_eq!(emails(lines, false, Origin::Auth0), expected);
        assert_eq!(emails(rows, true, Origin::Pocketbase), expected);
        let firebase = format!("{{\"kind\": {{\"users\": 1}}, \"users\": {array}}}");
        assert_eq!(emails(&firebase, false, Origin::Firebase), expected);
        assert_eq!(emails("", false, Origin::Firebase), (vec![], None));
    }

    #[test]
    fn where_a_file_breaks_off_is_told_and_what_came_before_is_there() {
        let (found, why) = emails("[{\"email\": \"a\"},\n{\"email\"", false, Origin::Supabase);
        assert!(found.len() == 1 && why.as_deref().is_some_and(|it| it.contains("line 2")), "{why:?}");
        let (found, why) = emails("email,id\na,1\nb\n", true, Origin::Supabase);
        assert!(found.len() == 1 && why.as_deref().is_some_and(|it| it.contains("line 3")), "{why:?}");
        assert!(emails("{\"accounts\": []}", false, Origin::Firebase).1.is_some());
        assert!(emails("uid,a@b.c", true, Origin::Firebase).1.is_some());
        let long = format!("email\n{}\n", "x".repeat(ROW_BYTES_MAX + 1));
        assert!(emails(&long, true, Origin::Supabase).1.is_some_and(|it| it.contains("at most")));
    }
}
