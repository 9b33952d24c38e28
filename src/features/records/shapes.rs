//! What fields hold and take, in the words of OpenAPI, with examples.
use serde_json::{Value, json};

use super::ecma;
use crate::base::Timestamp;
use crate::base::text::normalize_email;
use crate::features::collections::{Bound, Entry, Field, FieldType};

/// Longest text of an example; a field that wants more has none.
const EXAMPLE_CHARS_MAX: usize = 100;

/// What a field may hold.
pub(super) fn value(field: &Field) -> Value {
    let mut schema = match field.field_type {
        FieldType::Text => json!({ "type": "string" }),
        FieldType::Integer => json!({ "type": "integer", "format": "int64" }),
        FieldType::Number => json!({ "type": "number", "format": "double" }),
        FieldType::Bool => json!({ "type": "boolean" }),
        FieldType::Datetime | FieldType::Autodate => json!({ "type": "string", "format": "date-time" }),
        FieldType::Select if field.is_multiple() => {
            json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "enum": field.values } })
        }
        FieldType::Select => json!({ "type": "string", "enum": field.values }),
        FieldType::Geo => json!({
            "type": "object", "required": ["lat", "lon"], "additionalProperties": false,
            "properties": {
                "lat": { "type": "number", "minimum": -90, "maximum": 90 },
                "lon": { "type": "number", "minimum": -180, "maximum": 180 },
            },
        }),
        FieldType::Json => json!({ "description": "Any JSON." }),
        FieldType::Email => json!({ "type": "string", "format": "email", "maxLength": 254 }),
        FieldType::Url => json!({ "type": "string", "format": "uri", "maxLength": 2_000 }),
        FieldType::Relation if field.is_multiple() => ids(field),
        FieldType::Relation => {
            let target = field.collection.as_deref().unwrap_or_default();
            json!({ "type": "string", "format": "uuid", "description": format!("The id of a record of `{target}`.") })
        }
    };
    let (least, most) = match field.field_type {
        FieldType::Relation => ("minItems", "maxItems"),
        FieldType::Integer | FieldType::Number => ("minimum", "maximum"),
        _ => ("minLength", "maxLength"),
    };
    for (word, limit) in [(least, field.min), (most, field.max)] {
        // No value is an empty list, whatever the least is.
        let may_be_none = word == "minItems" && !field.required;
        if let Some(limit) = limit.filter(|_| !may_be_none) {
            // Lengths are whole numbers in a schema.
            schema[word] = if word.ends_with("Length") || word.ends_with("Items") {
                json!(limit.0.max(0.0).ceil() as u64)
            } else if field.field_type == FieldType::Integer {
                whole(word, limit.0).map_or_else(|| limit.as_json(), Value::from)
            } else {
                limit.as_json()
            };
        }
    }
    if let Some(pattern) = &field.pattern {
        match ecma::translated(pattern) {
            Some(translated) => schema["pattern"] = translated.into(),
            None => {
                schema["description"] =
                    format!("Must match `{pattern}`, in the syntax of the Rust crate `regex`.").into();
            }
        }
    }
    if let Some(default) = default_of(field) {
        schema["default"] = default;
    }
    if field.required && field.refers_to_many() && field.least().is_none_or(|it| it < 1.0) {
        schema["minItems"] = 1.into();
    }
    if field.write_only {
        schema["writeOnly"] = true.into();
    }
    if field.is_set_by_server() {
        schema["readOnly"] = true.into();
    }
    if !field.required {
        schema["nullable"] = true.into();
        // An enumeration has to name null too.
        if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
            values.push(Value::Null);
        }
    }
    schema
}

/// The default in the form in which a record has it; nothing where its format has no word for that.
pub(super) fn default_of(field: &Field) -> Option<Value> {
    let default = &field.default.as_ref()?.0;
    Some(match (field.field_type, default) {
        (FieldType::Integer, Value::Number(number)) if number.is_f64() => Bound(number.as_f64()?).as_json(),
        (FieldType::Datetime, Value::String(text)) => text.parse::<Timestamp>().ok()?.to_string().into(),
        (FieldType::Email, Value::String(text)) => normalize_email(text).ok().filter(|it| it.is_ascii())?.into(),
        // Letters that the formats do not know are taken by us and by browsers.
        (FieldType::Url, Value::String(text)) if !text.bytes().all(is_of_addresses) => return None,
        _ => default.clone(),
    })
}

fn is_of_addresses(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&'()*+,;=%".contains(&byte)
}

/// A limit of whole numbers, which are exact in a schema also where fractions are not: 2^63 is more than there can be.
fn whole(word: &str, limit: f64) -> Option<i64> {
    let limit = if word == "minimum" { limit.ceil() } else { limit.floor() };
    #[expect(clippy::cast_possible_truncation, reason = "a number beyond 64 bits becomes the last that fits")]
    limit.is_finite().then_some(limit as i64)
}

/// A list of what a field refers to.
fn ids(field: &Field) -> Value {
    let target = field.collection.as_deref().unwrap_or_default();
    json!({
        "type": "array", "uniqueItems": true, "items": { "type": "string", "format": "uuid" },
        "description": format!("The ids of records of `{target}`, in an order."),
    })
}

/// What a change may send for a field: a value, or what is to be done to the one that is there.
pub(super) fn change(field: &Field) -> Value {
    let mut whole = value(field);
    if let Some(schema) = whole.as_object_mut() {
        schema.remove("default");
    }
    let only = |operators: Value| json!({ "type": "object", "additionalProperties": false, "minProperties": 1, "maxProperties": 1, "properties": operators });
    match field.field_type {
        FieldType::Integer | FieldType::Number => {
            let operand = if field.field_type == FieldType::Integer {
                json!({ "type": "integer", "format": "int64" })
            } else {
                json!({ "type": "number" })
            };
            json!({ "anyOf": [whole, only(json!({ "$increment": operand }))] })
        }
        FieldType::Select if field.is_multiple() => {
            let list =
                json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "enum": field.values } });
            json!({ "anyOf": [whole, only(json!({ "$add": list, "$remove": list }))] })
        }
        FieldType::Relation if field.is_multiple() => {
            json!({ "anyOf": [whole, only(json!({ "$add": ids(field), "$remove": ids(field) }))] })
        }
        _ => whole,
    }
}

/// A value of each field that anyone can understand, and the server takes.
pub(super) fn examples<'a>(
    entry: &'a Entry,
    fields: impl Iterator<Item = &'a Field>,
) -> impl Iterator<Item = (String, Value)> {
    fields.filter_map(|field| {
        let example = default_of(field).filter(|it| !it.is_null()).or_else(|| example(field));
        let fits = example.filter(|it| entry.field(&field.name).is_some_and(|(_, judge)| judge.accept(it).is_ok()));
        fits.map(|it| (field.name.clone(), it))
    })
}

/// A number as near to another as the limits of a field allow.
fn within(field: &Field, number: f64) -> f64 {
    number.min(field.most().unwrap_or(f64::MAX)).max(field.least().unwrap_or(f64::MIN))
}

/// A text that is repeated or cut until it has a length that the field takes.
fn of_length(text: &str, field: &Field) -> String {
    let count = text.chars().count();
    let least = (field.least().unwrap_or(0.0).ceil() as usize).min(EXAMPLE_CHARS_MAX);
    let most = field.most().map_or(EXAMPLE_CHARS_MAX, |it| it.max(0.0) as usize);
    text.chars().cycle().take(count.max(least).min(most)).collect()
}

fn example(field: &Field) -> Option<Value> {
    let values = field.values.as_deref().unwrap_or_default();
    Some(match field.field_type {
        FieldType::Text => json!(of_length(&field.name, field)),
        FieldType::Integer => json!(within(field, 1.0).floor().max(field.least().unwrap_or(f64::MIN)).ceil() as i64),
        FieldType::Number => json!(within(field, 1.5)),
        FieldType::Bool => json!(true),
        FieldType::Datetime | FieldType::Autodate => json!("2026-01-02T03:04:05.678Z"),
        FieldType::Select if field.is_multiple() => json!([values.first()?]),
        FieldType::Select => json!(values.first()?),
        FieldType::Geo => json!({ "lat": 52.52, "lon": 13.405 }),
        FieldType::Json => json!({ "any": ["JSON"] }),
        FieldType::Email => json!("ada@example.com"),
        FieldType::Url => json!("https://example.com/page"),
        // An id of nothing would be refused.
        FieldType::Relation => return None,
    })
}
