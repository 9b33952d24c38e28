//! A JSON document, read once and strictly.
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::http::problem::{self, FAULTS_MAX, Fault, Problem};

/// Objects and arrays within one another. Readers recurse, and the stack is finite.
pub const NESTING_MAX: usize = 64;
/// Most memory that a document may take once it is read, in bytes. Of 1 MB of small objects it would be 80 MB.
pub(super) const READ_BYTES_MAX: usize = 12 << 20;
/// What a member of an object takes, with its place in the index of names.
const MEMBER_BYTES: usize = size_of::<String>() + size_of::<Value>() + 24;
/// Members for which an object takes room with the first.
const MEMBERS_AT_FIRST: usize = 4;
/// Longest pointer in an answer, in bytes: names come from the caller, and an
/// answer must not grow with faults times names.
const POINTER_BYTES_MAX: usize = 1_024;

/// A place in a document. It lives on the stack of whoever walks there.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Root,
    Member(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    /// The place as a JSON pointer (RFC 6901); that of the nearest ancestor if it would be too long.
    pub(super) fn pointer(self) -> String {
        let mut pointer = String::new();
        self.write(&mut pointer);
        pointer
    }

    /// Appends the pointer; false if a part of it had no room.
    fn write(self, pointer: &mut String) -> bool {
        let (parent, step) = match self {
            At::Root => return true,
            At::Member(parent, name) => (parent, name.replace('~', "~0").replace('/', "~1")),
            At::Item(parent, index) => (parent, index.to_string()),
        };
        let fits = parent.write(pointer) && pointer.len() + step.len() < POINTER_BYTES_MAX;
        if fits {
            pointer.push('/');
            pointer.push_str(&step);
        }
        fits
    }
}

/// What is wrong with a document, up to [`FAULTS_MAX`].
#[derive(Debug, Default)]
pub(super) struct Faults {
    found: Vec<Fault>,
    more: bool,
}

impl Faults {
    pub(super) fn add(&mut self, at: At<'_>, code: &'static str, detail: impl Into<String>) {
        self.push(Fault::new(at.pointer(), code, detail));
    }

    pub(super) fn push(&mut self, fault: Fault) {
        if self.found.len() == FAULTS_MAX {
            self.more = true;
        } else {
            self.found.push(fault);
        }
    }

    /// Whether one of them is about that place.
    pub(super) fn concern(&self, pointer: &str) -> bool {
        self.found.iter().any(|it| it.pointer == pointer)
    }

    /// Whether there were more than are told: looking further tells the caller nothing.
    pub(super) fn have_more(&self) -> bool {
        self.more
    }

    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    pub(super) fn append(&mut self, other: Self) {
        let room = FAULTS_MAX - self.found.len();
        self.more |= other.more || room < other.found.len();
        self.found.extend(other.found.into_iter().take(room));
    }

    pub(super) fn into_found(self) -> Vec<Fault> {
        self.found
    }

    pub(super) fn into_result(self) -> Result<(), Problem> {
        if self.found.is_empty() {
            return Ok(());
        }
        let mut problem = Problem::invalid(self.found);
        if self.more {
            problem.detail = format!("more than {FAULTS_MAX} values are not valid; `errors` has the first of them");
        }
        Err(problem)
    }
}

/// Reads a document. What JSON allows and we do not (a name twice, U+0000) becomes a fault.
pub(super) fn read(bytes: &[u8], faults: &mut Faults) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Err(Problem::new(&problem::MALFORMED, "the body is empty; send JSON"));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let mut reading = Reading { faults, bytes_left: Some(READ_BYTES_MAX) };
    let value = Node { at: At::Root, depth: 0, reading: &mut reading }.deserialize(&mut json);
    if reading.bytes_left.is_none() {
        let detail = "the body has more values in it than can be read at once; send it in parts";
        return Err(Problem::new(&problem::BODY_TOO_LARGE, detail));
    }
    // The parser's words name a place and what was expected there, and never quote.
    value
        .and_then(|value| json.end().map(|()| value))
        .map_err(|error| Problem::new(&problem::MALFORMED, format!("the body is not valid JSON: {error}")))
}

/// What is found out while a document is read.
struct Reading<'a> {
    faults: &'a mut Faults,
    /// Of [`READ_BYTES_MAX`]; nothing once it was not enough.
    bytes_left: Option<usize>,
}

impl Reading<'_> {
    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.bytes_left = self.bytes_left.and_then(|it| it.checked_sub(bytes));
        if self.bytes_left.is_some() { Ok(()) } else { Err(E::custom("too many values")) }
    }
}

/// A value about to be read, and where it stands.
struct Node<'a, 'r> {
    at: At<'a>,
    depth: usize,
    reading: &'a mut Reading<'r>,
}

impl Node<'_, '_> {
    /// PostgreSQL and C libraries end a text at U+0000, so what is stored would not be what was sent.
    fn text(self, text: String) -> Value {
        if text.contains('\0') {
            self.reading.faults.add(self.at, "nul", "must not contain the character U+0000");
        }
        Value::String(text)
    }

    fn deeper<E: Error>(&self) -> Result<usize, E> {
        if self.depth == NESTING_MAX {
            return Err(E::custom(format_args!("nested deeper than {NESTING_MAX} levels")));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_, '_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(self.text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(self.text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) =
            items.next_element_seed(Node { at: At::Item(&self.at, array.len()), depth, reading: self.reading })?
        {
            self.reading.take(size_of::<Value>())?;
            array.push(item);
        }
        array.shrink_to_fit();
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let at = At::Member(&self.at, &name);
            let value = members.next_value_seed(Node { at, depth, reading: self.reading })?;
            let more = match object.len() {
                0 => MEMBERS_AT_FIRST,
                1..MEMBERS_AT_FIRST => 0,
                _ => 1,
            };
            self.reading.take(name.len() + more * MEMBER_BYTES)?;
            if name.contains('\0') {
                self.reading.faults.add(self.at, "nul", "names of members must not contain the character U+0000");
            }
            if object.contains_key(&name) {
                self.reading.faults.add(at, "duplicate", "is given more than once");
            } else {
                object.insert(name, value);
            }
        }
        Ok(Value::Object(object))
    }
}

/// Whether `text` holds a text or number of the document, so that it must not be sent back.
pub(super) fn quotes(text: &str, value: &Value) -> bool {
    /// Shorter ones are found in any sentence.
    const TELLING_CHARS: usize = 4;
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(leaf) => TELLING_CHARS <= leaf.len() && text.contains(leaf.as_str()),
        Value::Number(leaf) => {
            let leaf = leaf.to_string();
            TELLING_CHARS <= leaf.len() && text.contains(&leaf)
        }
        Value::Array(items) => items.iter().any(|it| quotes(text, it)),
        Value::Object(members) => members.values().any(|it| quotes(text, it)),
    }
}
