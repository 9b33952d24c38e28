//! The collections in the words of OpenAPI: paths and schemas of their own for each, so that Swagger UI and
//! generated clients know people's own types. What headers hold is said where the document is put together. Hidden fields are not in it: anyone may read the document.
use serde_json::{Map, Value, json};

use super::aggregate;
use super::search;
use super::terms::TERMS;
use crate::expr::OPERATORS;
use crate::features::accounts::RECORDS_ADMIN;
use crate::features::collections::{Catalogue, Entry, Field, FieldType, Rule};
use crate::http::openapi::Who;

/// Paths and schemas of all collections, in the words of OpenAPI 3.0.
pub fn describe(catalogue: &Catalogue) -> (Map<String, Value>, Map<String, Value>) {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for entry in catalogue.entries() {
        let name = entry.name();
        let all = format!("/api/v1/collections/{name}/records");
        let one = format!("{all}/{{id}}");
        paths.insert(all.clone(), json!({ "get": list(entry), "post": create(entry) }));
        paths.insert(
            one,
            json!({ "get": show(entry), "patch": update(entry), "put": replace(entry), "delete": delete(entry) }),
        );
        paths.insert(format!("/api/v1/collections/{name}/aggregate"), json!({ "get": aggregate::path(entry) }));
        paths.insert(format!("{all}/import"), json!({ "post": import(entry) }));
        paths.insert(format!("{all}/export"), json!({ "get": export(entry) }));
        schemas.extend(schemas_of(entry));
        schemas.extend([aggregate::schema(entry)]);
    }
    (paths, schemas)
}

pub(super) fn visible(entry: &Entry) -> impl Iterator<Item = &Field> {
    entry.judges.iter().map(|it| &it.field).filter(|it| !it.hidden)
}

fn schemas_of(entry: &Entry) -> Vec<(String, Value)> {
    let name = entry.name();
    let own = || {
        let moment = || json!({ "type": "string", "format": "date-time", "readOnly": true, "example": "2026-01-02T03:04:05.678Z" });
        let id = json!({ "type": "string", "format": "uuid", "readOnly": true, "example": ID });
        [("id".to_owned(), id), ("createdAt".to_owned(), moment()), ("updatedAt".to_owned(), moment())]
    };
    let fields = || visible(entry).map(|it| (it.name.clone(), value(it)));
    let shown: Map<_, _> = own().into_iter().chain(fields()).collect();
    let example: Map<_, _> =
        own().into_iter().map(|(name, it)| (name, it["example"].clone())).chain(examples(entry)).collect();
    let mut with_expanded = shown.clone();
    if visible(entry).any(|it| it.field_type == FieldType::Relation) {
        let description = "What relations refer to, where `expand` or `fields` asked for it.";
        with_expanded.insert(
            "expand".to_owned(),
            json!({ "type": "object", "description": description, "additionalProperties": true }),
        );
    }
    let required: Vec<_> = visible(entry).filter(|it| it.required && it.default.is_none()).map(|it| &it.name).collect();
    let mut new = json!({
        "type": "object", "additionalProperties": false, "properties": Map::from_iter(fields()),
        "example": Map::from_iter(examples(entry)),
    });
    if !required.is_empty() {
        new["required"] = json!(required);
    }
    let changes: Map<_, _> = visible(entry).map(|it| (it.name.clone(), change(it))).collect();
    let first_example: Map<_, _> = examples(entry).take(1).collect();
    with_expanded.extend(search::member(entry));
    vec![
        (
            format!("Record_{name}"),
            json!({
                "type": "object", "properties": with_expanded, "example": example,
                "description": format!(
                    "A record of `{name}`, or the members of it that were asked for. An admin may see more of it than these."
                ),
            }),
        ),
        (format!("NewRecord_{name}"), new),
        (
            format!("RecordPatch_{name}"),
            json!({ "type": "object", "additionalProperties": false, "properties": changes, "example": first_example }),
        ),
        (
            format!("RecordList_{name}"),
            json!({
                "type": "object", "required": ["data", "meta"],
                "properties": {
                    "data": { "type": "array", "items": { "$ref": format!("#/components/schemas/Record_{name}") } },
                    "meta": { "$ref": "#/components/schemas/ListMeta" },
                },
                "example": { "data": [example], "meta": { "limit": 30, "total": 1 } },
            }),
        ),
    ]
}

const FORMATS: [&str; 3] = ["ndjson", "json", "csv"];
const ID: &str = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";

/// What a field may hold.
pub(super) fn value(field: &Field) -> Value {
    let mut schema = match field.field_type {
        FieldType::Text => json!({ "type": "string" }),
        FieldType::Integer => json!({ "type": "integer", "format": "int64" }),
        FieldType::Number => json!({ "type": "number", "format": "double" }),
        FieldType::Bool => json!({ "type": "boolean" }),
        FieldType::Datetime => json!({ "type": "string", "format": "date-time" }),
        FieldType::Select if field.is_multiple() => {
            json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "enum": field.values } })
        }
        FieldType::Select => json!({ "type": "string", "enum": field.values }),
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
        if let Some(limit) = limit {
            // Lengths are whole numbers in a schema.
            schema[word] = if word.ends_with("Length") || word.ends_with("Items") {
                json!(limit.0.max(0.0).ceil() as u64)
            } else {
                limit.as_json()
            };
        }
    }
    if let Some(pattern) = &field.pattern {
        schema["pattern"] = pattern.as_str().into();
    }
    if let Some(default) = &field.default {
        schema["default"] = default.0.clone();
    }
    if field.required && field.refers_to_many() && field.least().is_none_or(|it| it < 1.0) {
        schema["minItems"] = 1.into();
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

/// A list of what a field refers to.
fn ids(field: &Field) -> Value {
    let target = field.collection.as_deref().unwrap_or_default();
    json!({
        "type": "array", "uniqueItems": true, "items": { "type": "string", "format": "uuid" },
        "description": format!("The ids of records of `{target}`, in an order."),
    })
}

/// What a change may send for a field: a value, or what is to be done to the one that is there.
fn change(field: &Field) -> Value {
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
fn examples(entry: &Entry) -> impl Iterator<Item = (String, Value)> {
    visible(entry).filter_map(|field| {
        let example =
            field.default.as_ref().map(|it| it.0.clone()).filter(|it| !it.is_null()).or_else(|| example(field));
        let fits = example.filter(|it| entry.field(&field.name).is_some_and(|(_, judge)| judge.accept(it).is_ok()));
        fits.map(|it| (field.name.clone(), it))
    })
}

fn example(field: &Field) -> Option<Value> {
    let values = field.values.as_deref().unwrap_or_default();
    Some(match field.field_type {
        FieldType::Text => json!(field.name),
        FieldType::Integer => json!(field.least().unwrap_or(1.0).ceil() as i64),
        FieldType::Number => json!(field.least().unwrap_or(1.5)),
        FieldType::Bool => json!(true),
        FieldType::Datetime => json!("2026-01-02T03:04:05.678Z"),
        FieldType::Select if field.is_multiple() => json!([values.first()?]),
        FieldType::Select => json!(values.first()?),
        FieldType::Json => json!({ "any": ["JSON"] }),
        FieldType::Email => json!("ada@example.com"),
        FieldType::Url => json!("https://example.com/page"),
        // An id of nothing would be refused.
        FieldType::Relation => return None,
    })
}

fn list(entry: &Entry) -> Value {
    let name = entry.name();
    let mut parameters = vec![
        parameter(
            "limit",
            "Most records on a page: 1 to 500.",
            &json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 30 }),
        ),
        parameter("cursor", "`meta.nextCursor` of the page before.", &json!({ "type": "string" })),
        parameter(
            "page",
            "The number of a page, from 1; not beside `cursor`.",
            &json!({ "type": "integer", "minimum": 1 }),
        ),
        parameter("count", "`exact` adds `meta.total`.", &json!({ "type": "string", "enum": ["exact"] })),
        parameter(
            "sort",
            &format!("Fields to sort by, `-` before one to turn it round: {}.", sortable(entry)),
            &json!({ "type": "string" }),
        ),
        filter("An expression that is true for the records to show."),
    ];
    parameters.extend(search::parameters(entry));
    parameters.extend(shaping(entry));
    for field in visible(entry) {
        parameters.extend(conditions(field));
    }
    let answer = json!({ "description": "A page of records.", "headers": { "Link": {} }, "content": content(&format!("RecordList_{name}")) });
    operation(
        entry,
        "list",
        &format!("List `{name}`"),
        &entry.rules.list,
        &json!(parameters),
        None,
        &json!({ "200": answer }),
    )
}

fn create(entry: &Entry) -> Value {
    let name = entry.name();
    let answer = json!({ "description": "The record was made.", "headers": { "ETag": {}, "Location": {} }, "content": content(&format!("Record_{name}")) });
    let body = body(&format!("NewRecord_{name}"));
    operation(
        entry,
        "create",
        &format!("Make a record of `{name}`"),
        &entry.rules.create,
        &json!([]),
        Some(body),
        &json!({ "201": answer }),
    )
}

fn show(entry: &Entry) -> Value {
    let parameters: Vec<_> = [id()].into_iter().chain(shaping(entry)).collect();
    let summary = format!("Read a record of `{}`", entry.name());
    operation(
        entry,
        "show",
        &summary,
        &entry.rules.view,
        &json!(parameters),
        None,
        &json!({ "200": record(entry, "The record.") }),
    )
}

fn update(entry: &Entry) -> Value {
    let summary = format!("Change a record of `{}`", entry.name());
    let body = body(&format!("RecordPatch_{}", entry.name()));
    let answers = json!({ "200": record(entry, "The record as it is now.") });
    operation(entry, "update", &summary, &entry.rules.update, &json!([id(), if_match()]), Some(body), &answers)
}

fn replace(entry: &Entry) -> Value {
    let summary = format!("Replace a record of `{}`", entry.name());
    let body = body(&format!("NewRecord_{}", entry.name()));
    let answers = json!({ "200": record(entry, "The record as it is now.") });
    operation(entry, "replace", &summary, &entry.rules.update, &json!([id(), if_match()]), Some(body), &answers)
}

fn delete(entry: &Entry) -> Value {
    let summary = format!("Delete a record of `{}`", entry.name());
    let answers = json!({ "204": { "description": "It is gone." } });
    operation(entry, "delete", &summary, &entry.rules.delete, &json!([id(), if_match()]), None, &answers)
}

/// Every format of a file, as what it holds.
fn files(entry: &Entry, prefix: &str) -> Value {
    let record = json!({ "$ref": format!("#/components/schemas/{prefix}_{}", entry.name()) });
    let example = [Map::from_iter(examples(entry))];
    json!({
        "application/x-ndjson": { "schema": { "type": "string", "description": "One record a line, as JSON." } },
        "application/json": { "schema": { "type": "array", "items": record, "example": example } },
        "text/csv": { "schema": { "type": "string", "description": "Rows after a first one with the fields' names." } },
    })
}

fn import(entry: &Entry) -> Value {
    let parameters = json!([
        parameter("format", "Otherwise as `Content-Type` says.", &json!({ "type": "string", "enum": FORMATS })),
        parameter("dryRun", "Only says what would be refused.", &json!({ "type": "boolean" })),
    ]);
    let body = json!({ "required": true, "content": files(entry, "NewRecord") });
    let report = json!({ "schema": { "$ref": "#/components/schemas/ImportReport" } });
    let answer = json!({ "description": "What became of the file.", "content": { "application/json": report } });
    let summary = format!("Import records of `{}`", entry.name());
    operation(entry, "import", &summary, &Rule::Admins, &parameters, Some(body), &json!({ "200": answer }))
}

fn export(entry: &Entry) -> Value {
    let mut parameters = vec![
        parameter("format", "Absent: `ndjson`.", &json!({ "type": "string", "enum": FORMATS })),
        filter("An expression that is true for the records to export."),
    ];
    for field in visible(entry) {
        parameters.extend(conditions(field));
    }
    let answer = json!({
        "description": "The records, as they are read.", "headers": { "Content-Disposition": {} },
        "content": files(entry, "Record"),
    });
    let summary = format!("Export records of `{}`", entry.name());
    operation(entry, "export", &summary, &entry.rules.list, &json!(parameters), None, &json!({ "200": answer }))
}

pub(super) fn operation(
    entry: &Entry,
    verb: &str,
    summary: &str,
    rule: &Rule,
    parameters: &Value,
    body: Option<Value>,
    answers: &Value,
) -> Value {
    let name = entry.name();
    let plural = if ["list", "import", "export", "aggregate"].contains(&verb) { "s" } else { "" };
    let mut operation = json!({
        "operationId": format!("{verb}_{name}_record{plural}"),
        "tags": [name],
        "summary": summary,
        "parameters": parameters,
        "responses": answers,
    });
    let of_any = format!("{verb}_record{plural}");
    if let Some(terms) = TERMS.iter().find(|it| it.operation == of_any) {
        let who = match (rule, terms.who) {
            (Rule::Admins, _) => Who::Holders(RECORDS_ADMIN),
            (Rule::Anyone, Who::Ruled(permission, _)) => Who::Visitors(permission),
            (Rule::Anyone | Rule::When(_), who) => who,
        };
        terms.add_as(who, &mut operation);
    }
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    operation
}

pub(super) fn parameter(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema })
}

pub(super) fn filter(description: &str) -> Value {
    parameter("filter", description, &json!({ "type": "string", "maxLength": 2_000 }))
}

/// Which members are shown, and which relations are followed.
fn shaping(entry: &Entry) -> Vec<Value> {
    let mut parameters = vec![parameter(
        "fields",
        "The members to show, with commas between. Absent: all.",
        &json!({ "type": "string" }),
    )];
    let relations: Vec<_> =
        visible(entry).filter(|it| it.field_type == FieldType::Relation).map(|it| format!("`{}`", it.name)).collect();
    if !relations.is_empty() {
        let description = format!("Relations to follow, with commas between: {}.", relations.join(", "));
        parameters.push(parameter("expand", &description, &json!({ "type": "string" })));
    }
    parameters
}

/// The conditions on a field that are asked for most; all operators are taken.
pub(super) fn conditions(field: &Field) -> Vec<Value> {
    let mut schema = value(field);
    for word in ["nullable", "default", "minimum", "maximum", "minLength", "maxLength", "pattern", "description"] {
        if let Some(schema) = schema.as_object_mut() {
            schema.remove(word);
        }
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.retain(|it| !it.is_null());
    }
    let name = &field.name;
    let asked = |operator: &str| {
        let suffix = if operator == "eq" { String::new() } else { format!("[{operator}]") };
        let others = OPERATORS.into_iter().filter(|it| is_for(it, field) && *it != operator);
        let others: Vec<_> = others.map(|it| format!("`where[{name}][{it}]`")).collect();
        let description = format!("A condition on `{name}`. Others: {}.", others.join(", "));
        parameter(&format!("where[{name}]{suffix}"), &description, &schema)
    };
    match field.field_type {
        FieldType::Json => Vec::new(),
        FieldType::Select if field.is_multiple() => {
            let one = json!({ "type": "string", "enum": field.values });
            vec![parameter(&format!("where[{name}]"), &format!("A value that `{name}` has."), &one)]
        }
        FieldType::Relation if field.is_multiple() => {
            let one = json!({ "type": "string", "format": "uuid" });
            vec![parameter(&format!("where[{name}]"), &format!("The id of a record that `{name}` refers to."), &one)]
        }
        FieldType::Integer | FieldType::Number | FieldType::Datetime => ["eq", "gte", "lte"].map(asked).into(),
        FieldType::Text | FieldType::Email | FieldType::Url => ["eq", "icontains", "startsWith"]
            .map(|operator| {
                let mut parameter = asked(operator);
                parameter["schema"] = json!({ "type": "string" });
                parameter
            })
            .into(),
        FieldType::Bool | FieldType::Select | FieldType::Relation => vec![asked("eq")],
    }
}

/// Whether an operator can be asked of a field.
fn is_for(operator: &str, field: &Field) -> bool {
    let is_text = matches!(field.field_type, FieldType::Text | FieldType::Email | FieldType::Url);
    match operator {
        "contains" | "icontains" | "startsWith" => is_text,
        "gt" | "gte" | "lt" | "lte" => {
            is_text || matches!(field.field_type, FieldType::Integer | FieldType::Number | FieldType::Datetime)
        }
        _ => true,
    }
}

fn sortable(entry: &Entry) -> String {
    let fields = visible(entry).filter(|it| it.field_type != FieldType::Json && !it.is_multiple());
    let names = ["id", "createdAt", "updatedAt"].into_iter().chain(fields.map(|it| it.name.as_str()));
    names.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}

fn id() -> Value {
    json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string", "format": "uuid", "example": ID } })
}

fn if_match() -> Value {
    let description = "The `ETag` of the record that the request is meant for.";
    json!({ "name": "If-Match", "in": "header", "required": false, "description": description, "schema": { "type": "string" } })
}

fn record(entry: &Entry, description: &str) -> Value {
    json!({ "description": description, "headers": { "ETag": {} }, "content": content(&format!("Record_{}", entry.name())) })
}

fn body(schema: &str) -> Value {
    json!({ "required": true, "content": content(schema) })
}

pub(super) fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}
