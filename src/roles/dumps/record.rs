//! One record of a file, by the names that its origin gave to its members.
use serde_json::{Map, Value};

use crate::base::Timestamp;

/// A record; what is none has no members.
#[derive(Debug, Default)]
pub(super) struct Record(Map<String, Value>);

impl Record {
    pub fn new(value: Value) -> Self {
        match value {
            Value::Object(members) => Self(members),
            _ => Self::default(),
        }
    }

    /// A text that is not empty.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Whether something is true, in the words of JSON, PostgreSQL or SQLite.
    pub fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::Number(number)) => number.as_i64() == Some(1),
            Some(Value::String(text)) => ["true", "t", "1"].contains(&text.to_ascii_lowercase().as_str()),
            _ => false,
        }
    }

    /// A record within, also one that is written as a text.
    pub fn object(&self, name: &str) -> Option<Self> {
        match self.0.get(name)? {
            Value::Object(members) => Some(Self(members.clone())),
            Value::String(text) => serde_json::from_str(text).ok().map(Self),
            _ => None,
        }
    }

    /// A moment in RFC 3339, or as it is written if it cannot be read.
    pub fn moment(&self, name: &str) -> Option<String> {
        if let Some(dated) = self.object(name) {
            return dated.moment("$date");
        }
        let text = self.text(name)?;
        Some(match text.parse() {
            Ok(millis) => Timestamp::from_millis(millis).to_string(),
            Err(_) if has_hours_alone(&text) => format!("{text}:00"),
            Err(_) => text,
        })
    }
}

/// Whether a text ends as moments do in PostgreSQL: `2026-01-02 03:04:05+00`.
fn has_hours_alone(text: &str) -> bool {
    let offset = text.len().checked_sub(3).filter(|it| 10 < *it).and_then(|it| text.as_bytes().get(it..));
    matches!(offset, Some([b'+' | b'-', tens, ones]) if tens.is_ascii_digit() && ones.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_read_as_each_origin_writes_them() {
        let moment = |value: Value| {
            let text = Record::new(json!({ "at": value })).moment("at")?;
            Some(text.parse::<Timestamp>().map_or(text, |it| it.to_string()))
        };
        let expected = Some("2024-05-06T07:08:09.120Z".to_owned());

        for written in [
            json!("1714979289120"),
            json!(1_714_979_289_120_i64),
            json!("2024-05-06T07:08:09.12Z"),
            json!("2024-05-06 07:08:09.120Z"),
            json!("2024-05-06 07:08:09.120456+00"),
            json!("2024-05-06 08:08:09.12+01"),
            json!("2024-05-06T07:08:09.12+00:00"),
            json!({ "$date": "2024-05-06T07:08:09.120Z" }),
            json!({ "$date": 1_714_979_289_120_i64 }),
        ] {
            assert_eq!(moment(written.clone()), expected, "{written}");
        }
        assert_eq!(moment(json!("yesterday")), Some("yesterday".to_owned()), "the server says what is wrong with it");
        assert_eq!((moment(json!("")), moment(json!(null)), moment(json!([]))), (None, None, None));
    }

    #[test]
    fn what_is_true_is_told_from_what_is_not() {
        let record =
            Record::new(json!({ "a": true, "b": 1, "c": "t", "d": "true", "e": false, "f": 0, "g": "f", "h": null }));

        let is_true: String =
            ["a", "b", "c", "d", "e", "f", "g", "h", "i"].into_iter().filter(|it| record.flag(it)).collect();
        assert_eq!(is_true, "abcd");
    }
}
