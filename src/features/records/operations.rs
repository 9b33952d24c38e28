//! A change that is told as operations (JSON Patch, RFC 6902): they are done to the record as the caller sees it, and what
//! differs afterwards is what changes.
use json_patch::jsonptr::{Pointer, Token};
use json_patch::{
    AddOperation, CopyOperation, MoveOperation, PatchErrorKind, PatchOperation, ReplaceOperation, TestOperation,
};
use serde_json::{Map, Value as Json};

use super::access::Judge;
use super::body;
use super::error::Error;
use super::list;
use super::projection::Projection;
use super::store;
use crate::db::Tx;
use crate::features::collections::{Entry, Sight, Stored};
use crate::http::input::{Body, NESTING_MAX, OPERATIONS_MAX};
use crate::http::{Fault, Problem};

/// Most that operations may copy of a record, in bytes: each could double what the one before it did.
const COPIED_BYTES_MAX: usize = 1 << 20;
/// What a value takes beside its text.
const VALUE_BYTES: usize = 16;

/// Operations on fields that the caller knows.
#[derive(Clone, Debug)]
pub(super) struct Operations {
    list: Vec<PatchOperation>,
    /// The fields that they name.
    names: Vec<String>,
}

/// Reads the body of a request, judged as a whole.
pub(super) fn read(bytes: &[u8], entry: &Entry, sight: &Sight) -> Result<Operations, Problem> {
    let Body { value, faults } = Body::read(bytes)?;
    judged(value, faults, entry, sight)
}

/// The operations of a document of which some is known to be wrong already.
pub(super) fn judged(value: Json, mut faults: Vec<Fault>, entry: &Entry, sight: &Sight) -> Result<Operations, Problem> {
    let items = match value {
        Json::Array(items) if items.len() <= OPERATIONS_MAX => items,
        Json::Array(_) => {
            let detail = format!("must have at most {OPERATIONS_MAX} operations");
            return Err(Problem::invalid(vec![Fault::new("", "too-many", detail)]));
        }
        _ => {
            let detail = "must be a list of operations (RFC 6902), since it is sent as a JSON Patch";
            return Err(Problem::invalid(vec![Fault::new("", "type", detail)]));
        }
    };
    let mut operations = Operations { list: Vec::with_capacity(items.len()), names: Vec::new() };
    for (position, item) in items.into_iter().enumerate() {
        match serde_json::from_value::<PatchOperation>(item) {
            Ok(operation) => {
                faults.extend(operations.take(position, operation, entry, sight));
            }
            Err(_) => {
                let detail = "must be an operation of RFC 6902: `op`, `path`, and `value` or `from` where it takes one";
                faults.push(Fault::new(format!("/{position}"), "operation", detail));
            }
        }
    }
    if faults.is_empty() { Ok(operations) } else { Err(Problem::invalid(faults)) }
}

impl Operations {
    /// Takes one more, and tells what is wrong with it.
    fn take(&mut self, position: usize, operation: PatchOperation, entry: &Entry, sight: &Sight) -> Vec<Fault> {
        let (from, is_test) = match &operation {
            // What is moved is gone from where it was.
            PatchOperation::Move(MoveOperation { from, .. }) => (Some((from, true)), false),
            PatchOperation::Copy(CopyOperation { from, .. }) => (Some((from, false)), false),
            PatchOperation::Test(_) => (None, true),
            _ => (None, false),
        };
        let named =
            [("path", Some((operation.path(), !is_test))), ("from", from.map(|(it, is_set)| (it.as_ref(), is_set)))];
        let mut faults = Vec::new();
        for (member, (pointer, is_set)) in named.into_iter().filter_map(|(member, it)| Some((member, it?))) {
            match field(pointer, is_set, entry, sight) {
                Ok(name) if self.names.contains(&name) => {}
                Ok(name) => self.names.push(name),
                Err((code, detail)) => faults.push(Fault::new(format!("/{position}/{member}"), code, detail)),
            }
        }
        self.list.push(operation);
        faults
    }

    /// The values that differ once they are done to a record, as far as the caller may view it.
    pub fn onto(&self, tx: &mut Tx<'_>, entry: &Entry, id: &str, judge: &Judge) -> Result<Vec<(usize, Stored)>, Error> {
        let mut projection = Projection::whole(entry, &judge.sight);
        projection.keep(&self.names.iter().map(String::as_str).collect::<Vec<_>>());
        // A test would tell a value to whoever must not view the record.
        let seen = list::sought(&projection, entry, id, judge.rule(entry, &entry.rules.view));
        let found = store::find(tx, &seen, &projection)?.ok_or(Error::NotFound)?;
        let mut before: Map<String, Json> = serde_json::from_slice(&found.json).unwrap_or_default();
        for (name, value) in &mut before {
            // A list that was never set is one that something can be added to.
            if value.is_null() && entry.field(name).is_some_and(|(_, judge)| judge.field.is_multiple()) {
                *value = Json::Array(Vec::new());
            }
        }
        let mut after = self.done_to(Json::Object(before.clone()))?;
        let (mut new, mut faults) = (Vec::new(), Vec::new());
        for name in &self.names {
            // What was taken away is nothing, as in a merge patch.
            let value = after.get_mut(name).map(Json::take).unwrap_or_default();
            let Some((position, judge)) =
                entry.field(name).filter(|_| !before.get(name).is_some_and(|it| is_same(it, &value)))
            else {
                continue;
            };
            match judge.accept(&value) {
                Ok(value) => new.push((position, value)),
                Err(unfit) => faults.push(Fault::new(body::pointer(name), unfit.code, unfit.detail)),
            }
        }
        new.sort_by_key(|(position, _)| *position);
        if faults.is_empty() { Ok(new) } else { Err(Error::Invalid(faults)) }
    }

    fn done_to(&self, mut record: Json) -> Result<Json, Error> {
        let mut bytes_left = COPIED_BYTES_MAX;
        for (position, operation) in self.list.iter().enumerate() {
            let placed = match operation {
                PatchOperation::Add(AddOperation { path, value })
                | PatchOperation::Replace(ReplaceOperation { path, value }) => {
                    fits(value, NESTING_MAX.checked_sub(path.count()), &mut usize::MAX.clone())
                }
                PatchOperation::Copy(CopyOperation { from, path })
                | PatchOperation::Move(MoveOperation { from, path }) => {
                    let value = record.pointer(from.as_str()).unwrap_or(&Json::Null);
                    fits(value, NESTING_MAX.checked_sub(path.count()), &mut bytes_left)
                }
                PatchOperation::Remove(_) | PatchOperation::Test(_) => true,
            };
            let failed = |detail: &'static str| Error::PatchFailed { operation: position, detail };
            if let PatchOperation::Test(TestOperation { path, value }) = operation {
                match record.pointer(path.as_str()) {
                    Some(found) if is_same(found, value) => continue,
                    Some(_) => return Err(failed("the value there is another")),
                    None => return Err(failed("there is nothing at `path`")),
                }
            }
            if !placed {
                return Err(failed("would make the record larger, or deeper, than one may be"));
            }
            json_patch::patch(&mut record, std::slice::from_ref(operation)).map_err(|error| {
                failed(match error.kind {
                    PatchErrorKind::InvalidFromPointer => "there is nothing at `from`",
                    PatchErrorKind::CannotMoveInsideItself => "cannot move a value into itself",
                    _ => "there is nothing at `path`, or nothing that this can be done to",
                })
            })?;
        }
        Ok(record)
    }
}

/// The field that a pointer leads into.
fn field(
    pointer: &Pointer,
    is_set: bool,
    entry: &Entry,
    sight: &Sight,
) -> Result<String, (&'static str, &'static str)> {
    let name = pointer.first().as_ref().map(Token::decoded).unwrap_or_default().into_owned();
    match entry.field(&name).filter(|(_, judge)| sight.sets(judge) || sight.sees(judge)) {
        Some((_, judge)) if is_set && judge.field.is_set_by_server() => Err(("read-only", "is set by the server")),
        Some((_, judge)) if is_set && !sight.sets(judge) => Err(("read-only", "is not yours to set")),
        Some((_, judge)) if !is_set && !sight.sees(judge) => {
            Err(("unknown", "is not shown, so it cannot be tested or copied"))
        }
        Some(_) => Ok(name),
        None if is_set && body::is_own(&name, entry) => Err(("read-only", "is set by the server")),
        None => Err(("unknown", "must begin with a field of this collection: `/title`")),
    }
}

/// Whether a value is within so many levels, and within the bytes that are left.
fn fits(value: &Json, levels: Option<usize>, bytes_left: &mut usize) -> bool {
    let Some(levels) = levels else { return false };
    let own = VALUE_BYTES + value.as_str().map_or(0, str::len);
    let Some(left) = bytes_left.checked_sub(own) else { return false };
    *bytes_left = left;
    match value {
        Json::Array(items) => items.iter().all(|it| fits(it, levels.checked_sub(1), bytes_left)),
        Json::Object(members) => members.iter().all(|(name, it)| {
            let Some(left) = bytes_left.checked_sub(name.len()) else { return false };
            *bytes_left = left;
            fits(it, levels.checked_sub(1), bytes_left)
        }),
        _ => true,
    }
}

/// Whether two values are the same, numbers by what they are and not by how they are written (RFC 6902 section 4.6).
fn is_same(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Number(one), Json::Number(other)) => match (one.as_i128(), other.as_i128()) {
            (Some(one), Some(other)) => one == other,
            _ => one.as_f64() == other.as_f64(),
        },
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Json::Object(one), Json::Object(other)) => {
            let has = |(name, it): (&String, &Json)| other.get(name).is_some_and(|other| is_same(it, other));
            one.len() == other.len() && one.iter().all(has)
        }
        _ => one == other,
    }
}
