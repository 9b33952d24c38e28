//! Walks a document beside the shape it should have, and tells every difference.
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Number, Value};

use super::document::{At, Faults};
use super::shape::{Kind, Member, Range, Shapes, ToldBy};
use crate::base::{Id, Timestamp, text};

/// Largest whole number that a float holds exactly.
const EXACT_FLOAT_MAX: f64 = 9_007_199_254_740_992.0;

/// Adds what is wrong with `value` to `faults`.
///
/// A whole number written as `1.0` or `1e3` is an integer by JSON Schema, and is
/// made one here, because the types take only the plain form.
pub(super) fn check(shapes: &Shapes, shape: usize, value: &mut Value, at: At<'_>, faults: &mut Faults) {
    let shape = &shapes.shapes[shape];
    if value.is_null() && shape.nullable {
        return;
    }
    if let Kind::Same(other) = shape.kind {
        return check(shapes, other, value, at, faults);
    }
    match (&shape.kind, &mut *value) {
        (Kind::Any, _) | (Kind::Boolean, Value::Bool(_)) => {}
        (Kind::Integer(range), Value::Number(number)) => {
            check_integer(range, shape.format.unwrap_or("int64"), number, at, faults);
        }
        (Kind::Number(range), Value::Number(number)) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if shape.format == Some("float") && f64::from(f32::MAX) < number.abs() {
                faults.add(at, "too-large", "is larger than a 32-bit float can be");
            }
            check_range(range, number, at, faults);
        }
        (Kind::Text { min, max, pattern }, Value::String(text)) => {
            check_length(text, *min, *max, at, faults);
            if pattern.as_ref().is_some_and(|it| !it.is_match(text)) {
                faults.add(
                    at,
                    "pattern",
                    format!("must match the pattern {}", pattern.as_ref().map_or("", |it| it.as_str())),
                );
            }
            check_format(shape.format, text, at, faults);
        }
        (Kind::Array { items, min, max, unique }, Value::Array(array)) => {
            check_count(array.len(), *min, *max, "item", at, faults);
            if *unique && array.iter().map(Value::to_string).collect::<HashSet<_>>().len() != array.len() {
                faults.add(at, "not-unique", "must not hold the same item twice");
            }
            let Some(items) = items else { return };
            for (index, item) in array.iter_mut().enumerate() {
                if faults.have_more() {
                    return;
                }
                check(shapes, *items, item, At::Item(&at, index), faults);
            }
        }
        (Kind::Object { members, required, others, min, max }, Value::Object(object)) => {
            check_count(object.len(), *min, *max, "member", at, faults);
            check_members(shapes, members, *others, object, at, faults);
            for name in required.iter().filter(|it| !object.contains_key(**it)) {
                faults.add(At::Member(&at, name), "required", "is required");
            }
        }
        (Kind::OneOf { variants, told_by }, value) => {
            check_variants(shapes, variants, told_by.as_ref(), value, at, faults);
        }
        (kind, value) => {
            faults.add(at, "type", format!("must be {}, not {}", wanted(kind), found(value)));
            return;
        }
    }
    if !shape.allowed.is_empty() && !shape.allowed.contains(value) {
        let allowed: Vec<_> =
            shape.allowed.iter().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned)).collect();
        faults.add(at, "not-one-of", format!("must be one of: {}", allowed.join(", ")));
    }
}

fn check_members(
    shapes: &Shapes,
    members: &HashMap<&'static str, Member>,
    others: Option<usize>,
    object: &mut Map<String, Value>,
    at: At<'_>,
    faults: &mut Faults,
) {
    for (name, value) in object.iter_mut() {
        let here = At::Member(&at, name);
        match (members.get(name.as_str()), others) {
            (Some(member), _) if member.read_only => {
                faults.add(here, "read-only", "is set by the server and cannot be sent");
            }
            // What may be left out may be null too: both say that there is nothing.
            (Some(member), _) if !member.required && value.is_null() => {}
            (Some(member), _) => check(shapes, member.shape, value, here, faults),
            (None, Some(other)) => check(shapes, other, value, here, faults),
            (None, None) => faults.add(here, "unknown", unknown(name, members.keys().copied())),
        }
        if faults.have_more() {
            break;
        }
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    match text::nearest(name, known) {
        Some(near) => format!("is not known here; did you mean `{near}`?"),
        None => "is not known here".to_owned(),
    }
}

/// A variant that is told by a member is checked alone; otherwise the one with the fewest faults speaks.
fn check_variants(
    shapes: &Shapes,
    variants: &[usize],
    told_by: Option<&ToldBy>,
    value: &mut Value,
    at: At<'_>,
    faults: &mut Faults,
) {
    if let Some(told_by) = told_by {
        let here = At::Member(&at, told_by.name);
        match value.get(told_by.name) {
            Some(Value::String(told)) => match told_by.variants.get(told) {
                Some(variant) => check(shapes, *variant, value, at, faults),
                None => {
                    let mut names: Vec<_> = told_by.variants.keys().map(String::as_str).collect();
                    names.sort_unstable();
                    faults.add(here, "not-one-of", format!("must be one of: {}", names.join(", ")));
                }
            },
            Some(other) => faults.add(here, "type", format!("must be a string, not {}", found(other))),
            None if value.is_object() => faults.add(here, "required", "is required"),
            None => faults.add(at, "type", format!("must be an object, not {}", found(value))),
        }
        return;
    }
    let mut nearest: Option<Faults> = None;
    for variant in variants {
        let mut own = Faults::default();
        check(shapes, *variant, value, at, &mut own);
        if own.count() == 0 {
            return;
        }
        if nearest.as_ref().is_none_or(|it| own.count() < it.count()) {
            nearest = Some(own);
        }
    }
    if let Some(nearest) = nearest {
        faults.append(nearest);
    }
}

fn check_integer(range: &Range, format: &str, number: &mut Number, at: At<'_>, faults: &mut Faults) {
    if let Some(float) = number.as_f64().filter(|_| number.is_f64()) {
        if float.fract() != 0.0 {
            return faults.add(at, "type", "must be a whole number");
        }
        if float.abs() <= EXACT_FLOAT_MAX {
            #[expect(clippy::cast_possible_truncation, reason = "whole and exact, as was just checked")]
            let whole = float as i64;
            *number = whole.into();
        }
    }
    let (least, most): (i128, i128) = match format {
        "int8" => (i8::MIN.into(), i8::MAX.into()),
        "int16" => (i16::MIN.into(), i16::MAX.into()),
        "int32" => (i32::MIN.into(), i32::MAX.into()),
        "uint8" => (0, u8::MAX.into()),
        "uint16" => (0, u16::MAX.into()),
        "uint32" => (0, u32::MAX.into()),
        "uint64" => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    let too_small = match number.as_i128() {
        Some(whole) if whole < least => true,
        Some(whole) if most < whole => false,
        Some(_) => return check_range(range, number.as_f64().unwrap_or(f64::NAN), at, faults),
        None => number.as_f64().is_some_and(f64::is_sign_negative),
    };
    if too_small {
        faults.add(
            at,
            "too-small",
            format!("must be at least {}", range.least.map_or(least.to_string(), |it| it.to_string())),
        );
    } else {
        faults.add(
            at,
            "too-large",
            format!("must be at most {}", range.most.map_or(most.to_string(), |it| it.to_string())),
        );
    }
}

fn check_range(range: &Range, number: f64, at: At<'_>, faults: &mut Faults) {
    match *range {
        Range { least: Some(least), .. } if number < least => {
            faults.add(at, "too-small", format!("must be at least {least}"));
        }
        Range { above: Some(above), .. } if number <= above => {
            faults.add(at, "too-small", format!("must be more than {above}"));
        }
        Range { most: Some(most), .. } if most < number => {
            faults.add(at, "too-large", format!("must be at most {most}"));
        }
        Range { below: Some(below), .. } if below <= number => {
            faults.add(at, "too-large", format!("must be less than {below}"));
        }
        Range { multiple_of: Some(step), .. } if number % step != 0.0 => {
            faults.add(at, "not-a-multiple", format!("must be a multiple of {step}"));
        }
        _ => {}
    }
}

/// Length in characters (Unicode scalar values), as JSON Schema counts.
fn check_length(text: &str, min: usize, max: usize, at: At<'_>, faults: &mut Faults) {
    // A character is 1 to 4 bytes, so most texts need no counting.
    if min.saturating_mul(4) <= text.len() && text.len() <= max {
        return;
    }
    let length = text.chars().count();
    if length < min {
        faults.add(at, "too-short", format!("must be at least {} long", plural(min, "character")));
    } else if max < length {
        faults.add(at, "too-long", format!("must be at most {} long", plural(max, "character")));
    }
}

fn check_count(count: usize, min: usize, max: usize, thing: &str, at: At<'_>, faults: &mut Faults) {
    if count < min {
        faults.add(at, "too-few", format!("must have at least {}", plural(min, thing)));
    } else if max < count {
        faults.add(at, "too-many", format!("must have at most {}", plural(max, thing)));
    }
}

fn check_format(format: Option<&str>, text: &str, at: At<'_>, faults: &mut Faults) {
    let wrong = match format {
        Some("date-time") => text.parse::<Timestamp>().err(),
        Some("uuid") => text.parse::<Id<()>>().err(),
        Some("email") => text::normalize_email(text).err(),
        _ => None,
    };
    if let Some(wrong) = wrong {
        faults.add(at, "format", wrong);
    }
}

fn plural(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn wanted(kind: &Kind) -> &'static str {
    match kind {
        Kind::Any | Kind::Same(_) | Kind::OneOf { .. } => "something else",
        Kind::Boolean => "a boolean",
        Kind::Integer(_) => "a whole number",
        Kind::Number(_) => "a number",
        Kind::Text { .. } => "a string",
        Kind::Array { .. } => "an array",
        Kind::Object { .. } => "an object",
    }
}

fn found(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
