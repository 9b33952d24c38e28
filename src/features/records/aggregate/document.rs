//! The aggregates of a collection in the words of OpenAPI.
use serde_json::{Map, Value, json};

use super::super::document::{content, operation, parameter, to, visible};
use super::super::shapes::value;
use crate::features::collections::{Entry, FieldType};

/// The operation of a collection.
pub(in super::super) fn path(entry: &Entry) -> Value {
    let name = entry.name();
    let groups: Vec<_> = groups(entry).map(|(name, _)| format!("`{name}`")).collect();
    let metrics: Vec<_> = metrics(entry).into_iter().map(|(name, _)| format!("`{name}`")).collect();
    let text = json!({ "type": "string" });
    let group_by = format!(
        "Up to three, with commas between: {}. A time can be put in parts: `createdAt:day`, and so `hour`, `week`, `month` \
         and `year`.",
        groups.join(", ")
    );
    let parameters = vec![
        parameter("groupBy", &group_by, &text),
        parameter("metrics", &format!("With commas between: {}. Absent: `count`.", metrics.join(", ")), &text),
        to("Filter"),
        to("SortGroups"),
        to("Groups"),
    ];
    let answer = json!({ "description": "The groups.", "content": content(&format!("Aggregate_{name}")) });
    let summary = format!("Count and sum up `{name}`");
    operation(entry, "aggregate", &summary, &entry.rules.list, &json!(parameters), None, &json!({ "200": answer }))
}

/// The schema of its answer: everything that can be asked for.
pub(in super::super) fn schema(entry: &Entry) -> (String, Value) {
    let name = entry.name();
    let mut properties: Map<String, Value> = groups(entry).collect();
    properties.extend(metrics(entry));
    let schema = json!({
        "type": "object", "required": ["data", "meta"],
        "properties": {
            "data": { "type": "array", "items": {
                "type": "object", "properties": properties,
                "additionalProperties": { "description": "A metric of another form, or a part of a time." },
                "description": format!("A group of records of `{name}`: what was asked for of these."),
            } },
            "meta": { "$ref": "#/components/schemas/AggregateMeta" },
        },
        "example": { "data": [{ "count": 3 }], "meta": { "limit": 100, "hasMore": false } },
    });
    (format!("Aggregate_{name}"), schema)
}

fn groups(entry: &Entry) -> impl Iterator<Item = (String, Value)> {
    let has_one_value = |field_type, is_multiple: bool| field_type != FieldType::Json && !is_multiple;
    let fields = visible(entry).filter(move |it| has_one_value(it.field_type, it.is_multiple()));
    let moment = || json!({ "type": "string", "format": "date-time" });
    let own =
        ["createdAt", "updatedAt"].into_iter().filter(|it| entry.has_own(it)).map(move |it| (it.to_owned(), moment()));
    own.chain(fields.map(|it| {
        let mut schema = value(it);
        if let Some(schema) = schema.as_object_mut() {
            schema.retain(|word, _| {
                !["default", "pattern", "minimum", "maximum", "minLength", "maxLength", "description"]
                    .contains(&word.as_str())
            });
        }
        schema["nullable"] = true.into();
        (it.name.clone(), schema)
    }))
}

fn metrics(entry: &Entry) -> Vec<(String, Value)> {
    let mut metrics = vec![("count".to_owned(), json!({ "type": "integer", "format": "int64" }))];
    let number = || json!({ "type": "number", "format": "double", "nullable": true });
    let whole = || json!({ "type": "integer", "format": "int64", "nullable": true });
    for field in visible(entry) {
        let name = &field.name;
        match field.field_type {
            FieldType::Integer => {
                metrics.extend(["sum", "min", "max"].map(|it| (format!("{it}({name})"), whole())));
                metrics.push((format!("avg({name})"), number()));
            }
            FieldType::Number => {
                metrics.extend(["sum", "avg", "min", "max"].map(|it| (format!("{it}({name})"), number())));
            }
            FieldType::Datetime => {
                let moment = || json!({ "type": "string", "format": "date-time", "nullable": true });
                metrics.extend(["min", "max"].map(|it| (format!("{it}({name})"), moment())));
            }
            _ => {}
        }
    }
    metrics
}
