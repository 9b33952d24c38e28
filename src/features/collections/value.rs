//! The values of records: which JSON a field takes, and how it is kept.
use std::collections::HashSet;
use std::sync::Arc;

use regex::Regex;
use serde_json::{Number, Value as Json};

use super::bound;
use super::member::Member;
use super::model::{Field, FieldType};
use super::sight::Access;
use crate::base::geo::Place;
use crate::base::text::{is_web_address, normalize_email};
use crate::base::{Id, Timestamp};
use crate::db;

/// Most records that one record refers to by one field: they are shown whole, and written whole.
pub(super) const ENTRIES_MAX: usize = 500;
/// Most memory that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 256 << 10;

/// A value as the database keeps it.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Stored {
    /// Reads a column of a record.
    pub fn read(row: &db::Row<'_>, column: usize) -> Result<Self, db::Error> {
        Ok(match row.cell(column)? {
            db::Value::Integer(number) => Self::Integer(number),
            db::Value::Real(number) => Self::Real(number),
            db::Value::Text(text) => Self::Text(text.into_owned()),
            db::Value::Null | db::Value::Bytes(_) => Self::Null,
        })
    }

    /// How much of a record it is.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Null | Self::Integer(_) | Self::Real(_) => 0,
        }
    }

    pub fn as_value(&self) -> db::Value<'_> {
        match self {
            Self::Null => db::Value::Null,
            Self::Integer(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(text) => text.into(),
        }
    }
}

impl From<Stored> for db::Value<'static> {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Null => Self::Null,
            Stored::Integer(number) => Self::Integer(number),
            Stored::Real(number) => Self::Real(number),
            Stored::Text(text) => Self::Text(text.into()),
        }
    }
}

/// What is wrong with a value: a code for programs, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    pub code: &'static str,
    pub detail: String,
}

/// A field, ready to judge values.
#[derive(Debug)]
pub struct Judge {
    pub field: Field,
    /// The name of the collection that the field is of; empty as long as that is not settled.
    pub collection: Arc<str>,
    pub member: Arc<Member>,
    /// Who sees it, and who sets it.
    pub access: Access,
    pattern: Option<Regex>,
    /// What a new record gets when nothing is sent.
    pub default: Stored,
}

impl Judge {
    /// The judge of a field, or why its pattern or default cannot be.
    pub fn new(field: Field) -> Result<Self, Unfit> {
        let pattern = field.pattern.as_deref().map(compile).transpose()?;
        let mut judge = Self {
            collection: Arc::default(),
            member: Member::of(&field),
            access: Access::of(&field),
            field,
            pattern,
            default: Stored::Null,
        };
        if judge.field.refers_to_many() && !judge.field.required {
            judge.default = Stored::Text("[]".to_owned());
        }
        if let Some(default) = judge.field.default.clone() {
            judge.default = judge.accept(&default.0)?;
        }
        Ok(judge)
    }

    /// The value as it is kept, or what is wrong with it.
    pub fn accept(&self, value: &Json) -> Result<Stored, Unfit> {
        if value.is_null() {
            let is_list = self.field.refers_to_many();
            return match (self.field.required, is_list) {
                (true, _) => Err(unfit("required", "must not be null")),
                (false, true) => self.entries(&[]),
                (false, false) => Ok(Stored::Null),
            };
        }
        match self.field.field_type {
            FieldType::Text => self.text(string(value)?),
            FieldType::Integer => self.integer(value),
            FieldType::Number => self.number(value),
            FieldType::Bool => {
                value.as_bool().map(|it| Stored::Integer(it.into())).ok_or_else(|| wrong_type("true or false"))
            }
            FieldType::Datetime | FieldType::Autodate => {
                let moment: Timestamp = string(value)?.parse().map_err(|detail: &str| unfit("format", detail))?;
                Ok(Stored::Integer(moment.millis()))
            }
            FieldType::Select if self.field.is_multiple() => self.several(value),
            FieldType::Select => self.one_of(string(value)?),
            FieldType::Geo => place(value),
            FieldType::Json => Ok(Stored::Text(value.to_string())),
            FieldType::Email => self.text(&normalize_email(string(value)?).map_err(|detail| unfit("format", detail))?),
            FieldType::Url => self.url(string(value)?),
            FieldType::Relation if self.field.is_multiple() => {
                self.entries(value.as_array().ok_or_else(|| wrong_type("a list of ids"))?)
            }
            FieldType::Relation => Ok(Stored::Text(id(value)?.to_owned())),
        }
    }

    /// What may be added to a list, whatever is in it.
    pub fn accept_more(&self, value: &Json) -> Result<(), Unfit> {
        if !self.field.refers_to_many() {
            return self.accept(value).map(drop);
        }
        let items = value.as_array().ok_or_else(|| wrong_type("a list of ids"))?;
        items.iter().take(ENTRIES_MAX + 1).try_for_each(|it| id(it).map(drop))
    }

    /// The ids of those that are referred to.
    fn entries(&self, items: &[Json]) -> Result<Stored, Unfit> {
        let count = items.len() as f64;
        let least = self.field.least().unwrap_or(0.0).max(if self.field.required { 1.0 } else { 0.0 });
        if count < least {
            return Err(unfit("too-few", format!("must have at least {least}")));
        }
        let most = self.field.most().unwrap_or(ENTRIES_MAX as f64);
        if most < count {
            return Err(unfit("too-many", format!("must have at most {most}")));
        }
        let mut seen = HashSet::new();
        for item in items {
            if !seen.insert(id(item)?) {
                return Err(unfit("duplicate", "must name each record once"));
            }
        }
        Ok(Stored::Text(Json::from(items).to_string()))
    }

    fn text(&self, text: &str) -> Result<Stored, Unfit> {
        let length = text.chars().count() as f64;
        if let Some(min) = self.field.least().filter(|it| length < *it) {
            return Err(unfit("too-short", format!("must have at least {min} characters")));
        }
        if let Some(max) = self.field.most().filter(|it| *it < length) {
            return Err(unfit("too-long", format!("must have at most {max} characters")));
        }
        if self.pattern.as_ref().is_some_and(|it| !it.is_match(text)) {
            let pattern = self.field.pattern.as_deref().unwrap_or_default();
            return Err(unfit("pattern", format!("must match `{pattern}`")));
        }
        Ok(Stored::Text(text.to_owned()))
    }

    fn integer(&self, value: &Json) -> Result<Stored, Unfit> {
        let number = value.as_number().ok_or_else(|| wrong_type("a whole number"))?;
        let whole = whole(number).ok_or_else(|| match value.as_f64() {
            Some(it) if number.is_f64() && it.fract() == 0.0 && it.abs() < 9.3e18 => wrong_type(
                "a whole number written with all its digits: with a point or an exponent it may be another one",
            ),
            _ => wrong_type("a whole number of 64 bits"),
        })?;
        // Limits are exact up to 2^53, as the document says of them.
        if let Some(min) = self.field.least().filter(|it| (whole as f64) < *it) {
            return Err(unfit("too-small", format!("must be at least {min}")));
        }
        if let Some(max) = self.field.most().filter(|it| *it < whole as f64) {
            return Err(unfit("too-large", format!("must be at most {max}")));
        }
        Ok(Stored::Integer(whole))
    }

    fn number(&self, value: &Json) -> Result<Stored, Unfit> {
        let number = value.as_f64().filter(|it| it.is_finite()).ok_or_else(|| wrong_type("a number"))?;
        if let Some(min) = self.field.least().filter(|it| number < *it) {
            return Err(unfit("too-small", format!("must be at least {min}")));
        }
        if let Some(max) = self.field.most().filter(|it| *it < number) {
            return Err(unfit("too-large", format!("must be at most {max}")));
        }
        Ok(Stored::Real(number))
    }

    fn one_of(&self, text: &str) -> Result<Stored, Unfit> {
        let values = self.field.values.as_deref().unwrap_or_default();
        if !values.iter().any(|it| it == text) {
            return Err(unfit("not-one-of", format!("must be one of {}", listed(values))));
        }
        Ok(Stored::Text(text.to_owned()))
    }

    fn several(&self, value: &Json) -> Result<Stored, Unfit> {
        let items = value.as_array().ok_or_else(|| wrong_type("a list of texts"))?;
        for (index, item) in items.iter().enumerate() {
            self.one_of(string(item)?)?;
            if items[..index].contains(item) {
                return Err(unfit("duplicate", "must name each value once"));
            }
        }
        Ok(Stored::Text(value.to_string()))
    }

    fn url(&self, text: &str) -> Result<Stored, Unfit> {
        if !is_web_address(text) {
            let host = text.split('/').nth(2).unwrap_or_default();
            if !host.is_ascii() {
                let detail = "has a host that is not in ASCII: write it as `xn--…`, which is what browsers send";
                return Err(unfit("format", detail));
            }
            return Err(unfit("format", "must be an address such as https://example.com/page, at most 2,000 bytes"));
        }
        self.text(text)
    }
}

/// A number without a fraction that fits 64 bits; `3.0` is one.
fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().filter(|_| !number.is_u64()).and_then(bound::whole))
}

fn compile(pattern: &str) -> Result<Regex, Unfit> {
    let built = regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|cause| {
        let words = cause.to_string();
        let reason = words.rsplit("error: ").next().unwrap_or_default().trim();
        let detail = match cause {
            regex::Error::CompiledTooBig(_) => {
                "`pattern` becomes too large: what is repeated in what is repeated is multiplied".to_owned()
            }
            _ if reason.contains("look-around") || reason.contains("backreference") => {
                "`pattern` must be a regular expression without look-around or back-references".to_owned()
            }
            _ => format!("`pattern` must be a regular expression: {reason}"),
        };
        unfit("pattern", detail)
    })
}

/// A place, as one number.
fn place(value: &Json) -> Result<Stored, Unfit> {
    let wrong = || wrong_type("a place such as {\"lat\": 52.52, \"lon\": 13.405}, and nothing else in it");
    let members = value.as_object().filter(|it| it.len() == 2).ok_or_else(wrong)?;
    let degrees = |name: &str| members.get(name).and_then(Json::as_f64).ok_or_else(wrong);
    let place = Place::at(degrees("lat")?, degrees("lon")?);
    let place = place.ok_or_else(|| unfit("out-of-range", "`lat` is -90 to 90, and `lon` -180 to 180"))?;
    Ok(Stored::Integer(place.packed()))
}

fn id(value: &Json) -> Result<&str, Unfit> {
    let text = string(value)?;
    text.parse::<Id<()>>().map_err(|_| unfit("format", "must be an id"))?;
    Ok(text)
}

fn string(value: &Json) -> Result<&str, Unfit> {
    value.as_str().ok_or_else(|| wrong_type("a text"))
}

fn wrong_type(expected: &str) -> Unfit {
    unfit("type", format!("must be {expected}"))
}

fn unfit(code: &'static str, detail: impl Into<String>) -> Unfit {
    Unfit { code, detail: detail.into() }
}

/// The first of some values, for a sentence.
fn listed(values: &[String]) -> String {
    const SHOWN: usize = 10;
    let mut text = values.iter().take(SHOWN).map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
    if SHOWN < values.len() {
        text.push_str(" …");
    }
    text
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::Any;
    use serde_json::json;

    use super::*;
    use crate::features::collections::bound::Bound;

    #[expect(clippy::needless_pass_by_value, reason = "the tests read better so")]
    fn accept(field: Field, value: Json) -> Result<Stored, &'static str> {
        let judge = Judge::new(field).expect("a field");
        judge.accept(&value).map_err(|it| it.code)
    }

    fn of(field_type: FieldType) -> Field {
        Field::new("x", field_type)
    }

    #[test]
    fn each_type_takes_its_own_and_nothing_else() {
        use FieldType::{Bool, Datetime, Email, Integer, Json, Number, Relation, Text, Url};
        let text = |it: &str| Ok(Stored::Text(it.to_owned()));
        let id = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";
        for (field_type, value, expected) in [
            (Text, json!("é"), text("é")),
            (Text, json!(1), Err("type")),
            (Integer, json!(i64::MAX), Ok(Stored::Integer(i64::MAX))),
            (Integer, json!(i64::MIN), Ok(Stored::Integer(i64::MIN))),
            (Integer, json!(3.0), Ok(Stored::Integer(3))),
            (Integer, json!(u64::MAX), Err("type")),
            (Integer, json!(0.5), Err("type")),
            (Integer, json!(1e300), Err("type")),
            (Integer, json!("1"), Err("type")),
            (Number, json!(1), Ok(Stored::Real(1.0))),
            (Bool, json!(true), Ok(Stored::Integer(1))),
            (Bool, json!(1), Err("type")),
            (Datetime, json!("2026-01-02T04:04:05.678+01:00"), Ok(Stored::Integer(1_767_323_045_678))),
            (Datetime, json!("2026-01-02"), Err("format")),
            (Datetime, json!(0), Err("type")),
            (Json, json!({ "a": [1] }), text(r#"{"a":[1]}"#)),
            (Email, json!(" Ada@Example.com"), text("ada@example.com")),
            (Email, json!("ada"), Err("format")),
            (Url, json!("https://a.example/b?c"), text("https://a.example/b?c")),
            (Url, json!("javascript:alert(1)"), Err("format")),
            (Url, json!("/b"), Err("format")),
            (Relation, json!(id), text(id)),
            (Relation, json!(id.to_uppercase()), Err("format")),
        ] {
            assert_eq!(accept(of(field_type), value.clone()), expected, "{field_type:?} {value}");
            assert_eq!(accept(of(field_type), json!(null)), Ok(Stored::Null));
        }
    }

    #[test]
    fn limits_hold_at_their_edges() {
        let text = || Field { min: Some(Bound(2.0)), max: Some(Bound(3.0)), ..of(FieldType::Text) };
        assert_eq!(accept(text(), json!("é")), Err("too-short"));
        assert!(accept(text(), json!("éé")).is_ok() && accept(text(), json!("ééé")).is_ok());
        assert_eq!(accept(text(), json!("éééé")), Err("too-long"));
        let integer = || Field { min: Some(Bound(-1.0)), max: Some(Bound(1.0)), ..of(FieldType::Integer) };
        assert_eq!(accept(integer(), json!(-2)), Err("too-small"));
        assert!(accept(integer(), json!(-1)).is_ok() && accept(integer(), json!(1)).is_ok());
        assert_eq!(accept(integer(), json!(2)), Err("too-large"));
        let required = Field { required: true, ..of(FieldType::Text) };
        assert_eq!(accept(required, Json::Null), Err("required"));
    }

    #[test]
    fn a_selection_is_among_its_values_and_names_each_once() {
        let values = Some(vec!["a".to_owned(), "b".to_owned()]);
        let one = || Field { values: values.clone(), ..of(FieldType::Select) };
        let several = || Field { multiple: Some(true), ..one() };
        assert_eq!(accept(one(), json!("c")), Err("not-one-of"));
        assert_eq!(accept(one(), json!(["a"])), Err("type"));
        assert_eq!(accept(several(), json!(["b", "a"])), Ok(Stored::Text(r#"["b","a"]"#.to_owned())));
        assert_eq!(accept(several(), json!(["a", "a"])), Err("duplicate"));
        assert_eq!(accept(several(), json!("a")), Err("type"));
    }

    #[test]
    fn a_default_must_be_a_value_of_its_field() {
        let field = |default| Field { default: Some(Any(default)), max: Some(Bound(3.0)), ..of(FieldType::Integer) };

        assert_eq!(Judge::new(field(json!(3))).expect("fits").default, Stored::Integer(3));
        assert_eq!(Judge::new(field(json!(4))).expect_err("refused").code, "too-large");
    }

    #[test]
    fn a_pattern_that_could_take_for_ever_is_refused() {
        let field = |pattern: &str| Field { pattern: Some(pattern.to_owned()), ..of(FieldType::Text) };

        for (pattern, words) in [
            ("(", "must be a regular expression: unclosed group"),
            ("(?=a)", "without look-around"),
            (r"(a)\1", "back-references"),
            ("((a{500}){500}){500}", "becomes too large"),
        ] {
            let refused = Judge::new(field(pattern)).expect_err("refused");
            assert!(refused.code == "pattern" && refused.detail.contains(words), "{pattern}: {refused:?}");
        }
        assert_eq!(accept(field("^[a-z]+$"), json!("A")), Err("pattern"));
        assert!(accept(field("^[a-z]+$"), json!("a")).is_ok());
    }
}
