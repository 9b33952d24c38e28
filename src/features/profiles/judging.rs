//! Whether values fit the fields of profiles: everything that is wrong with them, each with a pointer.
use serde_json::{Map, Value};

use super::model::{ProfileField, ProfileFieldType, ProfileFields};
use super::store;
use crate::base::Timestamp;
use crate::base::text::nearest;
use crate::db::Tx;
use crate::features::accounts::{self, Fields, FieldsChange};
use crate::features::collections::{Judge, Stored, judges_of};
use crate::http::Fault;

/// Most of all values of one account, as JSON. They are read with every account.
const BYTES_MAX: usize = 16 << 10;

/// The judges of all fields, or what is wrong with these.
pub(super) fn judges(fields: &ProfileFields) -> Result<Vec<Judge>, Vec<Fault>> {
    let fields: Vec<_> = fields.fields.iter().map(ProfileField::as_field).collect();
    judges_of(&fields, &[])
}

/// What a change makes of someone's values, or everything that is wrong with it.
pub fn judge(tx: &mut Tx<'_>, old: &Fields, change: &FieldsChange) -> Result<Fields, accounts::Error> {
    let (fields, _) = store::find(tx)?;
    let (mut new, mut faults) = (old.0.clone(), Vec::new());
    // What is kept was judged when it was set.
    let judges = judges(&fields).unwrap_or_default();
    for (name, value) in &change.sent {
        let mut fault = |code: &'static str, detail: String| faults.push(Fault::new(pointer(name), code, detail));
        let found = fields.fields.iter().zip(&judges).find(|(field, _)| field.name == *name);
        let Some((field, judge)) = found else {
            fault("unknown", unknown(name, &fields));
            continue;
        };
        if change.by_owner && !field.is_for_owners() {
            fault("read-only", "is set by those who may change accounts".to_owned());
            continue;
        }
        match judge.accept(value) {
            Err(unfit) => fault(unfit.code, unfit.detail),
            Ok(_) if value.is_null() => drop(new.remove(name)),
            Ok(stored) => drop(new.insert(name.clone(), shown(field, value, &stored))),
        }
    }
    if change.is_whole {
        let is_theirs = |it: &&ProfileField| !change.by_owner || it.is_for_owners();
        for field in fields.fields.iter().filter(is_theirs).filter(|it| !change.sent.contains_key(&it.name)) {
            if field.required {
                faults.push(Fault::new(pointer(&field.name), "required", "must be given"));
            }
            new.remove(&field.name);
        }
    }
    if BYTES_MAX < Value::from(new.clone()).to_string().len() {
        faults.push(Fault::new("/fields", "too-long", format!("must be at most {BYTES_MAX} bytes of JSON in all")));
    }
    if faults.is_empty() { Ok(Fields(ordered(new, &fields))) } else { Err(accounts::Error::Invalid(faults)) }
}

/// A value that fits, in the one form in which it is shown.
fn shown(field: &ProfileField, value: &Value, stored: &Stored) -> Value {
    match (field.field_type, stored) {
        (ProfileFieldType::Datetime, Stored::Integer(millis)) => Timestamp::from_millis(*millis).to_string().into(),
        // Written `1e3`, it is the same number.
        (ProfileFieldType::Integer, Stored::Integer(number)) => (*number).into(),
        _ => value.clone(),
    }
}

/// The values in the order of their fields.
fn ordered(mut values: Map<String, Value>, fields: &ProfileFields) -> Map<String, Value> {
    fields.fields.iter().filter_map(|it| values.remove_entry(&it.name)).collect()
}

fn pointer(name: &str) -> String {
    format!("/fields/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn unknown(name: &str, fields: &ProfileFields) -> String {
    match nearest(name, fields.fields.iter().map(|it| it.name.as_str())) {
        Some(meant) => format!("is no field of profiles; did you mean `{meant}`?"),
        None => "is no field of profiles".to_owned(),
    }
}
