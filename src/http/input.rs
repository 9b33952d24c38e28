//! A JSON body, checked against the same schema that the document shows.
//!
//! The body is parsed once, strictly: duplicate members are noticed, depth is bounded.
//! Then it is held against the schema that poem-openapi has of the type, and everything
//! that is wrong with it is told at once, each with a pointer. So what the OpenAPI
//! document promises and what the server accepts cannot drift apart.
use std::any::TypeId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use poem::{Request, RequestBody};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, Type};
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::problem::{self, Fault, Problem, ProblemError};
use crate::base::text::nearest;
use crate::base::{Id, Timestamp};

/// Most faults told at once; a body with more is not read by a person.
const FAULTS_MAX: usize = 100;

/// The body of a request: JSON that fits `T`.
#[derive(Debug)]
pub struct Input<T>(pub T);

impl<T: Type> Payload for Input<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ParseFromJSON + 'static> ParsePayload for Input<T> {
    const IS_REQUIRED: bool = true;

    async fn from_request(_request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let bytes = body.take()?.into_bytes().await.map_err(|cause| read_problem(&cause))?;
        Ok(Self(parse(&bytes)?))
    }
}

poem_openapi::impl_apirequest_for_payload!(Input<T>, T: ParseFromJSON + 'static);

/// A body that could not be read: the body guard's own problem, or a connection that broke off.
fn read_problem(cause: &(dyn std::error::Error + 'static)) -> Problem {
    std::iter::successors(Some(cause), |it| it.source())
        .find_map(|it| {
            let io = it.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            let inner = io.and_then(|it| it.downcast_ref::<ProblemError>());
            inner.or_else(|| it.downcast_ref::<ProblemError>()).map(|it| it.0.clone())
        })
        .unwrap_or_else(|| Problem::new(&problem::MALFORMED, "the body could not be read to its end"))
}

/// Reads `T` from JSON, or tells everything that is wrong with it.
pub fn parse<T: ParseFromJSON + 'static>(bytes: &[u8]) -> Result<T, Problem> {
    let faults = RefCell::new(Vec::new());
    let value = parse_strictly(bytes, &faults)?;
    let mut faults = faults.into_inner();
    shape::<T>().check(&value, &mut faults);
    if faults.is_empty() {
        match T::parse_from_json(Some(value)) {
            Ok(parsed) => return Ok(parsed),
            Err(cause) => faults.push(Fault::new("", "invalid", cause.into_message())),
        }
    }
    faults.truncate(FAULTS_MAX);
    Err(Problem::invalid(faults))
}

fn parse_strictly(bytes: &[u8], faults: &RefCell<Vec<Fault>>) -> Result<Value, Problem> {
    let malformed = |cause: serde_json::Error| {
        let what = match cause.classify() {
            serde_json::error::Category::Eof => "the body ends too early",
            _ if cause.to_string().starts_with("recursion limit") => "the body is nested too deeply",
            _ if cause.to_string().starts_with("trailing") => "something follows the JSON value",
            _ => "the body is not JSON",
        };
        let detail = format!("{what}, at line {} column {}", cause.line(), cause.column());
        Problem::new(&problem::MALFORMED, detail)
    };
    // serde_json stops at a depth of 128 by itself, so a hostile body cannot exhaust the stack.
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { at: &Path::Root, faults }.deserialize(&mut json).map_err(malformed)?;
    json.end().map_err(malformed)?;
    Ok(value)
}

/// Where a value stands, linked from the inside out, so that a pointer is only written when needed.
enum Path<'a> {
    Root,
    Member(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl fmt::Display for Path<'_> {
    /// A JSON pointer (RFC 6901).
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Member(parent, name) => {
                write!(out, "{parent}/")?;
                name.chars().try_for_each(|it| match it {
                    '~' => out.write_str("~0"),
                    '/' => out.write_str("~1"),
                    other => out.write_char(other),
                })
            }
            Self::Item(parent, index) => write!(out, "{parent}/{index}"),
        }
    }
}

/// Reads any JSON value and notes members that come twice.
struct Strict<'a> {
    at: &'a Path<'a>,
    faults: &'a RefCell<Vec<Fault>>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            let at = Path::Item(self.at, list.len());
            match items.next_element_seed(Strict { at: &at, faults: self.faults })? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let at = Path::Member(self.at, &name);
            let value = members.next_value_seed(Strict { at: &at, faults: self.faults })?;
            if map.contains_key(&name) {
                let mut faults = self.faults.borrow_mut();
                if FAULTS_MAX <= faults.len() {
                    return Err(A::Error::custom("too many members come twice"));
                }
                faults.push(Fault::new(at.to_string(), "duplicate", "is there more than once"));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// The schema of a type with all that it refers to.
struct Shape {
    root: MetaSchemaRef,
    registry: Registry,
    patterns: RwLock<HashMap<String, Option<regex::Regex>>>,
}

/// The shape of `T`, made when it is first needed.
fn shape<T: Type + 'static>() -> Arc<Shape> {
    static SHAPES: OnceLock<RwLock<HashMap<TypeId, Arc<Shape>>>> = OnceLock::new();
    let shapes = SHAPES.get_or_init(RwLock::default);
    if let Some(known) = shapes.read().unwrap_or_else(PoisonError::into_inner).get(&TypeId::of::<T>()) {
        return Arc::clone(known);
    }
    let mut registry = Registry::new();
    T::register(&mut registry);
    let shape = Arc::new(Shape { root: T::schema_ref(), registry, patterns: RwLock::default() });
    let mut shapes = shapes.write().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(shapes.entry(TypeId::of::<T>()).or_insert(shape))
}

impl Shape {
    fn check(&self, value: &Value, faults: &mut Vec<Fault>) {
        self.check_ref(&self.root, value, &Path::Root, faults);
    }

    fn check_ref(&self, schema: &MetaSchemaRef, value: &Value, at: &Path<'_>, faults: &mut Vec<Fault>) {
        if FAULTS_MAX <= faults.len() {
            return;
        }
        match schema {
            MetaSchemaRef::Inline(schema) => self.check_schema(schema, value, at, faults),
            MetaSchemaRef::Reference(name) => {
                if let Some(schema) = self.registry.schemas.get(name) {
                    self.check_schema(schema, value, at, faults);
                }
            }
        }
    }

    fn check_schema(&self, schema: &MetaSchema, value: &Value, at: &Path<'_>, faults: &mut Vec<Fault>) {
        let mut fault = |code, detail: String| faults.push(Fault::new(at.to_string(), code, detail));
        if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) {
            let choices: Vec<_> =
                schema.enum_items.iter().filter_map(Value::as_str).map(|it| format!("`{it}`")).collect();
            return fault("not-one-of", format!("must be one of {}", choices.join(", ")));
        }
        match (schema.ty, value) {
            ("object", Value::Object(members)) => self.check_members(schema, members, at, faults),
            ("array", Value::Array(items)) => {
                if schema.max_items.is_some_and(|most| most < items.len()) {
                    return fault("too-many", format!("must have at most {} items", schema.max_items.unwrap_or(0)));
                }
                if schema.min_items.is_some_and(|least| items.len() < least) {
                    return fault("too-few", format!("must have at least {} items", schema.min_items.unwrap_or(0)));
                }
                if let Some(schema) = &schema.items {
                    for (index, item) in items.iter().enumerate() {
                        self.check_ref(schema, item, &Path::Item(at, index), faults);
                    }
                }
            }
            ("string", Value::String(text)) => {
                if let Some((code, detail)) = self.fault_of_text(schema, text) {
                    fault(code, detail);
                }
            }
            ("integer", Value::Number(number)) if number.is_f64() => {
                fault("type", "must be a whole number within 64 bits".to_owned());
            }
            ("integer" | "number", Value::Number(number)) => {
                if let Some((code, detail)) = fault_of_number(schema, number) {
                    fault(code, detail);
                }
            }
            ("boolean", Value::Bool(_)) => {}
            ("", _) => schema.all_of.iter().for_each(|it| self.check_ref(it, value, at, faults)),
            (expected, _) => fault("type", format!("must be {}, not {}", article(expected), kind_of(value))),
        }
    }

    fn check_members(&self, schema: &MetaSchema, members: &Map<String, Value>, at: &Path<'_>, faults: &mut Vec<Fault>) {
        for (name, value) in members {
            let at = Path::Member(at, name);
            match schema.properties.iter().find(|(known, _)| known == name) {
                // Absent and null are the same where a member may be absent.
                Some(_) if value.is_null() && !schema.required.contains(&name.as_str()) => {}
                Some((_, member)) => self.check_ref(member, value, &at, faults),
                None => match &schema.additional_properties {
                    Some(other) => self.check_ref(other, value, &at, faults),
                    None if faults.len() < FAULTS_MAX => {
                        let meant = nearest(name, schema.properties.iter().map(|(known, _)| *known));
                        let detail = match meant {
                            Some(meant) => format!("is not known here; did you mean `{meant}`?"),
                            None => "is not known here".to_owned(),
                        };
                        faults.push(Fault::new(at.to_string(), "unknown", detail));
                    }
                    None => return,
                },
            }
        }
        for name in schema.required.iter().filter(|it| !members.contains_key(**it)) {
            faults.push(Fault::new(Path::Member(at, name).to_string(), "required", "must be there"));
        }
    }

    fn fault_of_text(&self, schema: &MetaSchema, text: &str) -> Option<(&'static str, String)> {
        let length = text.chars().count();
        if let Some(least) = schema.min_length.filter(|least| length < *least) {
            return Some(("too-short", format!("must be at least {least} characters long")));
        }
        if let Some(most) = schema.max_length.filter(|most| *most < length) {
            return Some(("too-long", format!("must be at most {most} characters long")));
        }
        if let Some(pattern) = &schema.pattern
            && !self.matches(pattern, text)
        {
            return Some(("pattern", format!("must match {pattern}")));
        }
        match schema.format {
            Some("uuid") => text.parse::<Id<()>>().err().map(|it| ("format", it.to_owned())),
            Some("date-time") => text.parse::<Timestamp>().err().map(|it| ("format", it.to_owned())),
            _ => None,
        }
    }

    fn matches(&self, pattern: &str, text: &str) -> bool {
        let patterns = self.patterns.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = patterns.get(pattern) {
            return known.as_ref().is_none_or(|it| it.is_match(text));
        }
        drop(patterns);
        let compiled = regex::Regex::new(pattern).ok();
        let matches = compiled.as_ref().is_none_or(|it| it.is_match(text));
        self.patterns.write().unwrap_or_else(PoisonError::into_inner).insert(pattern.to_owned(), compiled);
        matches
    }
}

fn fault_of_number(schema: &MetaSchema, number: &Number) -> Option<(&'static str, String)> {
    let number = number.as_f64()?;
    if let Some(least) = schema.minimum.filter(|least| number < *least) {
        return Some(("too-small", format!("must be at least {least}")));
    }
    let most = schema.maximum.filter(|most| *most < number)?;
    Some(("too-large", format!("must be at most {most}")))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i', 'o']) { "an" } else { "a" };
    format!("{article} {kind}")
}

#[cfg(test)]
mod tests {
    use poem_openapi::Object;

    use super::*;

    #[derive(Debug, Object)]
    #[oai(deny_unknown_fields, rename_all = "camelCase")]
    struct Author {
        #[oai(validator(min_length = 1, max_length = 3))]
        name: String,
        born_at: Option<Timestamp>,
    }

    #[derive(Debug, Object)]
    #[oai(deny_unknown_fields, rename_all = "camelCase")]
    struct Post {
        title: String,
        #[oai(validator(minimum(value = "0"), maximum(value = "10")))]
        score: Option<i64>,
        #[oai(validator(max_items = 2))]
        authors: Option<Vec<Author>>,
        #[oai(rename = "a/b~c")]
        odd: Option<bool>,
    }

    fn faults(json: &str) -> Vec<(String, String)> {
        let problem = parse::<Post>(json.as_bytes()).expect_err("refused");
        assert_eq!(problem.kind, &problem::INVALID, "{problem:?}");
        problem.errors.into_iter().map(|it| (it.pointer, it.code)).collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
    }

    #[test]
    fn what_fits_is_read() {
        let json = r#"{"title": "é", "score": 10, "authors": [{"name": "Ada", "bornAt": "1815-12-10T00:00:00Z"}], "a/b~c": null}"#;

        let post = parse::<Post>(json.as_bytes()).expect("fits");

        assert_eq!((post.title.as_str(), post.score, post.odd), ("é", Some(10), None));
        assert_eq!(post.authors.map(|it| it.len()), Some(1));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_place() {
        let json =
            r#"{"score": 11, "authors": [{"name": "", "x": 1}, {"bornAt": "today"}], "a/b~c": "yes", "titel": "t"}"#;

        assert_eq!(
            faults(json),
            pairs(&[
                ("/score", "too-large"),
                ("/authors/0/name", "too-short"),
                ("/authors/0/x", "unknown"),
                ("/authors/1/bornAt", "format"),
                ("/authors/1/name", "required"),
                ("/a~1b~0c", "type"),
                ("/titel", "unknown"),
                ("/title", "required"),
            ])
        );
    }

    #[test]
    fn a_near_miss_is_named() {
        let problem = parse::<Post>(br#"{"titel": "t", "title": "t"}"#).expect_err("refused");

        assert_eq!(problem.errors[0].detail, "is not known here; did you mean `title`?");
    }

    /// Two readers of one body must not see two values.
    #[test]
    fn a_member_that_comes_twice_is_refused_at_any_depth() {
        let json = r#"{"title": "a", "title": "b", "authors": [{"name": "x", "name": "y"}]}"#;

        assert_eq!(faults(json), pairs(&[("/title", "duplicate"), ("/authors/0/name", "duplicate")]));
    }

    #[test]
    fn wrong_types_are_named_without_the_value() {
        let problem = parse::<Post>(br#"{"title": 5, "score": 1.5}"#).expect_err("refused");

        let details: Vec<_> = problem.errors.iter().map(|it| it.detail.as_str()).collect();
        assert_eq!(details, ["must be a string, not a number", "must be a whole number within 64 bits"]);
        assert_eq!(faults(r#"[1]"#), pairs(&[("", "type")]));
        assert_eq!(faults(r#"{"title": null}"#), pairs(&[("/title", "type")]));
    }

    #[test]
    fn what_is_not_json_is_malformed_and_says_where() {
        let deep = "[".repeat(100_000);
        let deep_objects = r#"{"a":"#.repeat(100_000);
        for json in [
            "",
            " ",
            "{",
            "{]",
            "nul",
            r#"{"title": "a"} x"#,
            r#"{"title": "\ud800"}"#,
            r#"{"score": 1e999}"#,
            "{'title': 1}",
            "{\"title\": \"a\u{0}",
            "\u{feff}{}",
            &deep,
            &deep_objects,
        ] {
            let problem = parse::<Post>(json.as_bytes()).expect_err("refused");
            assert_eq!(problem.kind, &problem::MALFORMED, "{json:.40}");
            assert!(problem.detail.contains("line"), "{}", problem.detail);
        }
        assert!(parse::<Post>(b"{\"title\": \"\xff\"}").is_err());
    }

    #[test]
    fn a_body_of_faults_is_answered_with_a_bounded_list() {
        let members: Vec<_> = (0..5_000).map(|n| format!("\"m{n}\": 1")).collect();

        let found = faults(&format!("{{{}}}", members.join(",")));

        assert!(found.len() <= FAULTS_MAX, "{}", found.len());
    }

    #[test]
    fn numbers_at_the_edges_keep_their_value() {
        #[derive(Debug, Object)]
        struct Edge {
            n: i64,
        }
        assert_eq!(parse::<Edge>(br#"{"n": 9223372036854775807}"#).expect("fits").n, i64::MAX);
        assert_eq!(parse::<Edge>(br#"{"n": -9223372036854775808}"#).expect("fits").n, i64::MIN);
        assert!(parse::<Edge>(br#"{"n": 9223372036854775808}"#).is_err());
    }
}
