//! A record as it is sent: which values, and everything that is wrong with them.
use serde_json::{Map, Value as Json};

use crate::base::text::nearest;
use crate::features::collections::{Entry, FieldType, Judge, Stored};
use crate::http::input::Body;
use crate::http::{Fault, Problem};

/// What is sent for some of the fields, by their position and in its order: so bodies that set the same fields are
/// written by the same statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent(pub Vec<(usize, Write)>);

/// What becomes of one value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Write {
    Set(Stored),
    /// Adds to what is there, whoever changed it last.
    Increment(Json),
    Add(Vec<Json>),
    Remove(Vec<Json>),
}

/// How the members of a body are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// A new record, or a whole one: what is absent gets its default.
    Whole,
    /// A change (RFC 7396): what is absent stays.
    Change,
}

impl Meant {
    /// The method that says so.
    pub fn method(self) -> &'static str {
        match self {
            Self::Whole => "PUT",
            Self::Change => "PATCH",
        }
    }
}

/// Reads the body of a request, judged as a whole.
pub(super) fn read(bytes: &[u8], entry: &Entry, meant: Meant, with_hidden: bool) -> Result<Sent, Problem> {
    let Body { value, mut faults } = Body::read(bytes)?;
    let Json::Object(members) = value else {
        faults.push(Fault::new("", "type", "must be an object with the fields of the record"));
        return Err(Problem::invalid(faults));
    };
    match judged(&members, entry, meant, with_hidden) {
        Ok(sent) if faults.is_empty() => Ok(sent),
        outcome => {
            faults.extend(outcome.err().unwrap_or_default());
            Err(Problem::invalid(faults))
        }
    }
}

/// Judges the members of a record.
pub(super) fn judged(
    members: &Map<String, Json>,
    entry: &Entry,
    meant: Meant,
    with_hidden: bool,
) -> Result<Sent, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut writes: Vec<Option<Write>> = entry.judges.iter().map(|_| None).collect();
    for (name, value) in members {
        match entry.field(name).filter(|(_, judge)| with_hidden || !judge.field.hidden) {
            Some((position, judge)) => match write(judge, value, meant) {
                Ok(write) => writes[position] = Some(write),
                Err((code, detail)) => faults.push(Fault::new(pointer(name), code, detail)),
            },
            None => faults.push(unknown(name, entry, with_hidden)),
        }
    }
    if meant == Meant::Whole {
        for (judge, write) in entry.judges.iter().zip(&mut writes) {
            if write.is_some() || members.contains_key(&judge.field.name) {
                continue;
            }
            if judge.default == Stored::Null && judge.field.required {
                faults.push(Fault::new(pointer(&judge.field.name), "required", "must be given"));
            } else {
                *write = Some(Write::Set(judge.default.clone()));
            }
        }
    }
    let sent = writes.into_iter().enumerate().filter_map(|(position, it)| Some((position, it?)));
    if faults.is_empty() { Ok(Sent(sent.collect())) } else { Err(faults) }
}

/// What a value does to its field.
fn write(judge: &Judge, value: &Json, meant: Meant) -> Result<Write, (&'static str, String)> {
    if meant == Meant::Change
        && judge.field.field_type != FieldType::Json
        && let Some((operator, operand)) = value.as_object().and_then(|it| it.iter().next().filter(|_| it.len() == 1))
    {
        return operation(judge, operator, operand);
    }
    judge.accept(value).map(Write::Set).map_err(|it| (it.code, it.detail))
}

fn operation(judge: &Judge, operator: &str, operand: &Json) -> Result<Write, (&'static str, String)> {
    let is_number = matches!(judge.field.field_type, FieldType::Integer | FieldType::Number);
    let wrong = |detail: &str| Err(("operator", detail.to_owned()));
    match operator {
        "$increment" if !is_number => wrong("`$increment` is for numbers"),
        "$increment" if judge.field.field_type == FieldType::Integer && !operand.is_i64() => {
            wrong("`$increment` takes a whole number here")
        }
        "$increment" if !operand.is_number() => wrong("`$increment` takes a number"),
        "$increment" => Ok(Write::Increment(operand.clone())),
        "$add" | "$remove" if !judge.field.is_multiple() => wrong("`$add` and `$remove` are for lists"),
        "$add" | "$remove" => {
            judge.accept(operand).map_err(|it| (it.code, it.detail))?;
            let items = operand.as_array().cloned().unwrap_or_default();
            Ok(if operator == "$add" { Write::Add(items) } else { Write::Remove(items) })
        }
        _ => wrong("must be a value, or one of `$increment`, `$add` and `$remove`"),
    }
}

impl Write {
    /// The value that the field will have, given the one that it has.
    pub fn onto(&self, judge: &Judge, old: &Stored) -> Result<Stored, (&'static str, String)> {
        let new = match self {
            Self::Set(value) => return Ok(value.clone()),
            Self::Increment(by) => match (old, by.as_i64()) {
                (Stored::Integer(old), Some(by)) => match old.checked_add(by) {
                    Some(sum) => sum.into(),
                    None => return Err(("too-large", "the sum does not fit 64 bits".to_owned())),
                },
                (Stored::Null, _) => by.clone(),
                (Stored::Real(old), _) => (old + by.as_f64().unwrap_or(0.0)).into(),
                _ => by.clone(),
            },
            Self::Add(items) => {
                let mut list = list(old);
                list.extend(items.iter().filter(|it| !list.contains(it)).cloned().collect::<Vec<_>>());
                list.into()
            }
            Self::Remove(items) => list(old).into_iter().filter(|it| !items.contains(it)).collect::<Vec<_>>().into(),
        };
        judge.accept(&new).map_err(|it| (it.code, it.detail))
    }
}

fn list(stored: &Stored) -> Vec<Json> {
    match stored {
        Stored::Text(json) => serde_json::from_str(json).unwrap_or_default(),
        _ => Vec::new(),
    }
}

fn unknown(name: &str, entry: &Entry, with_hidden: bool) -> Fault {
    if ["id", "createdAt", "updatedAt"].contains(&name) {
        return Fault::new(pointer(name), "read-only", "is set by the server");
    }
    let seen = entry.judges.iter().filter(|it| with_hidden || !it.field.hidden).map(|it| it.field.name.as_str());
    let detail = match nearest(name, seen) {
        Some(meant) => format!("is no field of this collection; did you mean `{meant}`?"),
        None => "is no field of this collection".to_owned(),
    };
    Fault::new(pointer(name), "unknown", detail)
}

/// The JSON pointer of a member (RFC 6901); of the whole, if the name is too long to be one of a field.
pub(super) fn pointer(name: &str) -> String {
    if 100 < name.len() {
        return String::new();
    }
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}
