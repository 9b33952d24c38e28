//! A record as it is sent: which values, and everything that is wrong with them.
use serde_json::{Map, Value as Json};

use crate::base::Timestamp;
use crate::base::text::nearest;
use crate::features::collections::{Entry, FieldType, Judge, Sight, Stored};
use crate::http::input::Body;
use crate::http::problem::FAULTS_MAX;
use crate::http::{Fault, Problem};

/// Unknown members for which a near miss is looked for; whoever mistypes more names has another collection in mind.
const HINTS_MAX: usize = 10;

/// What is sent for some of the fields, by their position and in its order: so bodies that set the same fields are
/// written by the same statement.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent(pub Vec<(usize, Write)>);

/// What becomes of one value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Write {
    Set(Stored),
    /// Changes members of JSON (RFC 7396).
    Merge(Json),
    /// Adds to what is there, whoever changed it last.
    Increment(Json),
    Add(Vec<Json>),
    Remove(Vec<Json>),
}

/// How the members of a body are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    /// A new record: what is absent gets its default.
    New,
    /// A whole one in the place of another: what is absent gets its default, but for what the caller cannot see.
    Whole,
    /// A change (RFC 7396): what is absent stays.
    Change,
}

impl Meant {
    /// The method that says so.
    pub fn method(self) -> &'static str {
        match self {
            Self::New => "POST",
            Self::Whole => "PUT",
            Self::Change => "PATCH",
        }
    }
}

/// Reads the body of a request, judged as a whole.
pub(super) fn read(bytes: &[u8], entry: &Entry, meant: Meant, sight: &Sight) -> Result<Sent, Problem> {
    let Body { value, mut faults } = Body::read(bytes)?;
    let Json::Object(members) = value else {
        faults.push(Fault::new("", "type", "must be an object with the fields of the record"));
        return Err(Problem::invalid(faults));
    };
    match judged(&members, entry, meant, sight) {
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
    sight: &Sight,
) -> Result<Sent, Vec<Fault>> {
    let (mut faults, mut strange) = (Vec::new(), 0);
    let mut writes: Vec<Option<Write>> = entry.judges.iter().map(|_| None).collect();
    for (name, value) in members {
        match entry.field(name).filter(|(_, judge)| sight.sets(judge) || sight.sees(judge)) {
            Some((_, judge)) if !sight.sets(judge) => {
                let detail =
                    if judge.field.is_set_by_server() { "is set by the server" } else { "is not yours to set" };
                faults.push(Fault::new(pointer(name), "read-only", detail));
            }
            Some((position, judge)) => match write(judge, value, meant) {
                Ok(write) => writes[position] = Some(write),
                Err((code, detail)) => faults.push(Fault::new(pointer(name), code, detail)),
            },
            None => {
                strange += 1;
                faults.push(unknown(name, entry, sight, strange <= HINTS_MAX));
            }
        }
        if FAULTS_MAX < faults.len() {
            return Err(faults);
        }
    }
    if meant != Meant::Change {
        for (judge, write) in entry.judges.iter().zip(&mut writes) {
            // What the caller cannot see, or not set, they did not leave out.
            let is_theirs = sight.sees(judge) && sight.sets(judge);
            if judge.field.is_set_by_server() || (meant == Meant::Whole && !is_theirs) {
                continue;
            }
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
    let is_json = judge.field.field_type == FieldType::Json;
    if meant == Meant::Change && is_json && value.is_object() {
        return Ok(Write::Merge(value.clone()));
    }
    if meant == Meant::Change
        && !is_json
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
        "$add" => {
            judge.accept_more(operand).map_err(|it| (it.code, it.detail))?;
            Ok(Write::Add(operand.as_array().cloned().unwrap_or_default()))
        }
        // What may not be there may be removed all the same.
        "$remove" => match operand.as_array() {
            Some(items) => Ok(Write::Remove(items.clone())),
            None => wrong("`$remove` takes a list"),
        },
        _ => wrong("must be a value, or one of `$increment`, `$add` and `$remove`"),
    }
}

impl Write {
    /// The value that the field will have, given the one that it has.
    pub fn onto(&self, judge: &Judge, old: &Stored) -> Result<Stored, (&'static str, String)> {
        let new = match self {
            Self::Set(value) => return Ok(value.clone()),
            Self::Merge(patch) => merged(json(old), patch),
            Self::Increment(by) => match (old, by.as_i64()) {
                (Stored::Integer(old), Some(by)) => match old.checked_add(by) {
                    Some(sum) => sum.into(),
                    None => return Err(("too-large", "the sum does not fit 64 bits".to_owned())),
                },
                (Stored::Null, _) => by.clone(),
                (Stored::Real(old), _) => match old + by.as_f64().unwrap_or(0.0) {
                    sum if sum.is_finite() => sum.into(),
                    _ => return Err(("too-large", "the sum does not fit a number".to_owned())),
                },
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

fn json(stored: &Stored) -> Json {
    match stored {
        Stored::Text(json) => serde_json::from_str(json).unwrap_or_default(),
        _ => Json::Null,
    }
}

fn list(stored: &Stored) -> Vec<Json> {
    match json(stored) {
        Json::Array(items) => items,
        _ => Vec::new(),
    }
}

/// A value with a merge patch applied (RFC 7396, section 2). No deeper than a body may be.
fn merged(old: Json, patch: &Json) -> Json {
    let Json::Object(patch) = patch else { return patch.clone() };
    let mut members = match old {
        Json::Object(members) => members,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            members.shift_remove(name);
        } else {
            let old = members.get_mut(name).map(Json::take).unwrap_or_default();
            members.insert(name.clone(), merged(old, value));
        }
    }
    Json::Object(members)
}

/// Sets the fields that hold when a record was made or changed.
pub(super) fn stamp(values: &mut Vec<(usize, Stored)>, entry: &Entry, now: Timestamp, is_new: bool) {
    for (position, judge) in entry.judges.iter().enumerate().filter(|(_, it)| it.field.is_set_by_server()) {
        let is_due = if is_new { judge.field.on_create } else { judge.field.on_update };
        let is_due = is_due == Some(true);
        if is_due || is_new {
            values.retain(|(it, _)| *it != position);
            values.push((position, if is_due { Stored::Integer(now.millis()) } else { Stored::Null }));
        }
    }
}

/// Whether it is a member that every record has.
pub(super) fn is_own(name: &str, entry: &Entry) -> bool {
    let is_of_deleted = ["isDeleted", "deletedAt"].contains(&name) && entry.collection.keeps_deleted();
    ["id", "createdAt", "updatedAt"].contains(&name) || is_of_deleted
}

fn unknown(name: &str, entry: &Entry, sight: &Sight, with_hint: bool) -> Fault {
    if is_own(name, entry) {
        return Fault::new(pointer(name), "read-only", "is set by the server");
    }
    let seen = entry.judges.iter().filter(|it| sight.sees(it)).map(|it| it.field.name.as_str());
    let near = if with_hint { nearest(name, seen) } else { None };
    let detail = match near {
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
