//! The one way in which a collection stands in a file: the same on every server, member after member.
//!
//! What only one server knows (ids, times) is left out, and so is what says nothing: a flag that is false, a list with
//! nothing in it. Whatever else a collection has is kept as it is.
use poem_openapi::types::ToJSON;
use serde_json::{Map, Value};

use super::model::{Collection, NewCollection};
use crate::http::input;

/// What only one server knows of a collection.
const OF_ONE_SERVER: [&str; 3] = ["id", "createdAt", "updatedAt"];
/// What is said once, on the way, and never kept.
const IN_PASSING: &str = "renamedFrom";
/// Members that are there whether they hold anything or not.
const ALWAYS: [&str; 3] = ["name", "fields", "rules"];

/// A collection as it stands in a file.
pub(super) fn of(collection: &Collection) -> Value {
    canonical(collection.to_json().unwrap_or_default())
}

/// What the text of a file says, in that form; nothing if it is no collection.
pub fn of_text(text: &[u8]) -> Option<Value> {
    let collection: NewCollection = input::parse(text).ok()?;
    Some(canonical(collection.to_json()?))
}

/// Brings the JSON of a collection, as the API shows it, to the form that files have.
pub fn canonical(collection: Value) -> Value {
    let Value::Object(members) = collection else { return collection };
    let mut kept = Map::new();
    for (name, value) in members {
        if OF_ONE_SERVER.contains(&name.as_str()) || name == IN_PASSING {
            continue;
        }
        let value = match name.as_str() {
            "fields" | "indexes" => told(value),
            _ => without_false(value),
        };
        let is_nothing = match &value {
            Value::Null => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(members) => members.is_empty(),
            _ => false,
        };
        if !is_nothing || ALWAYS.contains(&name.as_str()) {
            kept.insert(name, value);
        }
    }
    Value::Object(kept)
}

/// The items of a list without what they do not say.
fn told(list: Value) -> Value {
    match list {
        Value::Array(items) => items.into_iter().map(without_false).collect(),
        other => other,
    }
}

fn without_false(item: Value) -> Value {
    match item {
        Value::Object(mut members) => {
            members.retain(|name, value| *value != Value::Bool(false) && name != IN_PASSING);
            Value::Object(members)
        }
        other => other,
    }
}

/// The text of a file.
pub fn text(collection: &Value) -> String {
    format!("{collection:#}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_only_one_server_knows_and_what_says_nothing_is_left_out() {
        let shown = json!({
            "id": "x", "name": "posts",
            "fields": [{ "name": "a", "type": "bool", "required": false, "hidden": true, "default": null, "renamedFrom": "b" }],
            "indexes": [], "search": {}, "rules": { "list": null }, "options": { "softDelete": false },
            "view": { "query": "SELECT 1" }, "createdAt": "x", "updatedAt": "x",
        });

        let file = canonical(shown);

        let expected = json!({
            "name": "posts", "fields": [{ "name": "a", "type": "bool", "hidden": true, "default": null }],
            "rules": { "list": null }, "view": { "query": "SELECT 1" },
        });
        assert_eq!(file, expected, "what nobody here knows of stays");
        assert_eq!(canonical(file.clone()), file);
    }
}
