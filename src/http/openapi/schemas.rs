//! Every schema of a document, and what is done to each.
use serde_json::{Map, Value, json};

/// Calls `change` for every schema of a document, those within others first.
///
/// Only places where OpenAPI puts a schema are visited: an example may have a member named `schema` or `nullable`.
pub(super) fn each(document: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Some(document) = document.as_object_mut() else { return };
    for operations in members(document.get_mut("paths")) {
        each_below(operations, change);
        for operation in members(Some(operations)) {
            each_below(operation, change);
        }
    }
    if let Some(components) = document.get_mut("components") {
        members(components.get_mut("schemas")).for_each(|it| each_within(it, change));
        for kind in ["parameters", "requestBodies", "responses", "headers"] {
            members(components.get_mut(kind)).for_each(|it| each_below(it, change));
        }
    }
}

/// The schemas of a path, operation, parameter, body, response or header.
fn each_below(holder: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Some(holder) = holder.as_object_mut() else { return };
    if let Some(schema) = holder.get_mut("schema") {
        each_within(schema, change);
    }
    if let Some(body) = holder.get_mut("requestBody") {
        each_below(body, change);
    }
    for parameter in holder.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        each_below(parameter, change);
    }
    for kind in ["responses", "content", "headers"] {
        members(holder.get_mut(kind)).for_each(|it| each_below(it, change));
    }
}

fn each_within(schema: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Some(schema) = schema.as_object_mut() else { return };
    members(schema.get_mut("properties")).for_each(|it| each_within(it, change));
    for below in ["items", "additionalProperties", "not"] {
        schema.get_mut(below).into_iter().for_each(|it| each_within(it, change));
    }
    for below in ["allOf", "anyOf", "oneOf"] {
        let parts = schema.get_mut(below).and_then(Value::as_array_mut);
        parts.into_iter().flatten().for_each(|it| each_within(it, change));
    }
    change(schema);
}

fn members(object: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    object.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
}

/// The names of all schemas that a part of a document refers to, directly or through others.
pub(super) fn reachable(document: &Value, from: &Value, found: &mut Vec<String>) {
    match from {
        Value::Object(object) => {
            if let Some(name) = object.get("$ref").and_then(Value::as_str).and_then(|it| it.rsplit('/').next())
                && !found.iter().any(|it| it == name)
            {
                found.push(name.to_owned());
                reachable(document, &document["components"]["schemas"][name], found);
            }
            let parts = object.iter().filter(|(name, _)| !["example", "default", "enum"].contains(&name.as_str()));
            parts.for_each(|(_, it)| reachable(document, it, found));
        }
        Value::Array(items) => items.iter().for_each(|it| reachable(document, it, found)),
        _ => {}
    }
}

/// A reference under a comment comes with the comment twice: beside `allOf` and as a part of it.
pub(super) fn say_it_once(schema: &mut Map<String, Value>) {
    let Some(Value::Array(mut parts)) = schema.remove("allOf") else { return };
    let is_said =
        |part: &Value| part.as_object().is_some_and(|it| it.iter().all(|(name, it)| schema.get(name) == Some(it)));
    parts.retain(|part| !is_said(part));
    schema.insert("allOf".to_owned(), parts.into());
}

/// A member that may be left out may be null: the server reads both as nothing, and answers with null itself.
pub(super) fn say_null_is_allowed(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|it| it.iter().any(|it| it == name));
    for (name, member) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        let Some(member) = member.as_object_mut() else { continue };
        // What has a default is never null in an answer.
        if is_required(name) || member.contains_key("default") {
            continue;
        }
        // Nothing beside `$ref` is read, so the reference goes one level down.
        if let Some(reference) = member.remove("$ref") {
            member.insert("allOf".to_owned(), json!([{ "$ref": reference }]));
        }
        if member.contains_key("type") || member.contains_key("allOf") {
            member.insert("nullable".to_owned(), true.into());
        }
        // An enumeration allows what it lists and nothing else.
        if let Some(values) =
            member.get_mut("enum").and_then(Value::as_array_mut).filter(|it| !it.contains(&Value::Null))
        {
            values.push(Value::Null);
        }
    }
}

/// A schema with all within it, and those that it defines, in the words of JSON Schema 2020-12.
pub fn as_json_schema(schema: &mut Value) {
    members(schema.get_mut("$defs")).for_each(as_json_schema);
    each_within(schema, &mut as_3_1);
}

/// The same schema in the words of OpenAPI 3.1: JSON Schema 2020-12.
pub(super) fn as_3_1(schema: &mut Map<String, Value>) {
    if let Some(example) = schema.remove("example") {
        schema.insert("examples".to_owned(), json!([example]));
    }
    if schema.remove("nullable") == Some(Value::Bool(true)) {
        allow_null(schema);
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if schema.get(exclusive).is_some_and(Value::is_boolean)
            && schema.remove(exclusive) == Some(Value::Bool(true))
            && let Some(value) = schema.remove(bound)
        {
            schema.insert(exclusive.to_owned(), value);
        }
    }
    match schema.get("format").and_then(Value::as_str) {
        Some("binary") => {
            schema.remove("format");
            schema.insert("contentMediaType".to_owned(), "application/octet-stream".into());
        }
        Some("byte") => {
            schema.remove("format");
            schema.insert("contentEncoding".to_owned(), "base64".into());
        }
        _ => {}
    }
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    } else if let Some(parts) = schema.remove("allOf") {
        let whole = match parts.as_array().map(Vec::as_slice) {
            Some([only]) => only.clone(),
            _ => json!({ "allOf": parts }),
        };
        schema.insert("anyOf".to_owned(), json!([whole, { "type": "null" }]));
    } else if let Some(variants) = ["anyOf", "oneOf"].into_iter().find(|it| schema.contains_key(*it))
        && let Some(variants) = schema.get_mut(variants).and_then(Value::as_array_mut)
    {
        variants.push(json!({ "type": "null" }));
    }
}
