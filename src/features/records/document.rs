//! The collections in the words of OpenAPI: paths and schemas of their own for each, so that Swagger UI and
//! generated clients know people's own types. What headers hold is said where the document is put together. Hidden fields are not in it: anyone may read the document.
use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::aggregate;
use super::search;
use super::shapes::{change, examples, value};
use super::terms::TERMS;
use crate::expr::OPERATORS;
use crate::features::accounts::RECORDS_ADMIN;
use crate::features::collections::{Catalogue, Entry, Field, FieldType, Rule};
use crate::http::input::JSON_PATCH;
use crate::http::openapi::{Audience, Described, Who};
use crate::http::paging::PAGE_MAX;

/// Paths and schemas of the collections that an audience knows of, in the words of OpenAPI 3.0.
pub fn describe(catalogue: &Catalogue, audience: Audience) -> Described {
    let known: Vec<&Entry> = catalogue
        .entries()
        .iter()
        .map(AsRef::as_ref)
        .filter(|it| audience == Audience::Insiders || !it.is_for_admins())
        .collect();
    let (mut paths, mut schemas, back) = (Map::new(), Map::new(), backwards(&known));
    for entry in known {
        let name = entry.name();
        let all = format!("/api/v1/collections/{name}/records");
        let one = format!("{all}/{{id}}");
        paths.insert(format!("/api/v1/collections/{name}/aggregate"), json!({ "get": aggregate::path(entry) }));
        paths.insert(format!("{all}/export"), json!({ "get": export(entry) }));
        schemas.extend([aggregate::schema(entry)]);
        if entry.view.is_some() {
            paths.insert(all, json!({ "get": list(&back, entry) }));
            paths.insert(one, json!({ "get": show(&back, entry) }));
            let is_read = |name: &str| !name.starts_with("New") && !name.starts_with("RecordPatch_");
            schemas.extend(schemas_of(&back, entry).into_iter().filter(|(name, _)| is_read(name)));
            continue;
        }
        let many = json!({
            "get": list(&back, entry), "post": create(entry), "put": put(entry), "patch": patch(entry),
            "delete": delete_many(entry),
        });
        paths.insert(all.clone(), many);
        paths.insert(
            one,
            json!({ "get": show(&back, entry), "patch": update(entry), "put": replace(entry), "delete": delete(entry) }),
        );
        if entry.collection.keeps_deleted() {
            paths.insert(format!("{all}/{{id}}/restore"), json!({ "post": restore(entry) }));
        }
        paths.insert(format!("{all}/import"), json!({ "post": import(entry) }));
        schemas.extend(schemas_of(&back, entry));
    }
    let parameters = if paths.is_empty() { Map::new() } else { shared() };
    Described { paths, schemas, parameters }
}

/// What operations of all collections take: described once, so that the document stays small.
fn shared() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let number = |most: u64| json!({ "type": "integer", "minimum": 1, "maximum": most });
    let flag = json!({ "type": "boolean" });
    let format = json!({ "type": "string", "enum": FORMATS });
    let conditions = "Beside it, `where[field]=value` and `where[field][operator]=value` are conditions on one field or path, \
                      whether or not they are listed, with the operators";
    let operators = OPERATORS.map(|it| format!("`{it}`")).join(", ");
    let mut limit = parameter("limit", "Most records on a page: 1 to 500.", &number(500));
    limit["schema"]["default"] = 30.into();
    let mut groups = parameter("limit", "Most groups.", &number(500));
    groups["schema"]["default"] = 100.into();
    let id = json!({ "name": "id", "in": "path", "required": true, "schema": { "type": "string", "format": "uuid", "example": ID } });
    let mut id_of_view = id.clone();
    id_of_view["schema"] = json!({ "type": "string", "example": ID });
    let if_match = "The `ETag` of the record that the request is meant for.";
    let filter = |of: &str| {
        let description =
            format!("An expression that is true for the records that are meant{of}. {conditions} {operators}.");
        parameter("filter", &description, &json!({ "type": "string", "maxLength": 2_000 }))
    };
    [
        ("Limit", limit),
        ("Cursor", parameter("cursor", "`meta.nextCursor` of the page before.", &text)),
        ("Page", parameter("page", "The number of a page, from 1; not beside `cursor`.", &number(PAGE_MAX))),
        (
            "Count",
            parameter(
                "count",
                "`exact` adds `meta.total`; `planned` may estimate it.",
                &json!({ "type": "string", "enum": ["exact", "planned"] }),
            ),
        ),
        ("Filter", filter("")),
        ("FilterOfMany", filter("; `true` for all of them")),
        ("Fields", parameter("fields", "The members to show, with commas between. Absent: all.", &text)),
        (
            "Trashed",
            parameter(
                "trashed",
                "The deleted records too, or alone, that the rule `delete` lets the caller delete.",
                &json!({ "type": "string", "enum": ["with", "only"] }),
            ),
        ),
        ("Max", parameter("max", "Refuse if more records match. Absent: 1,000.", &number(1_000_000))),
        (
            "DryRun",
            parameter(
                "dryRun",
                "Writes nothing, and says how many match and which of them could not be written.",
                &flag,
            ),
        ),
        ("DryImport", parameter("dryRun", "Only says what would be refused.", &flag)),
        ("FormatOfImport", parameter("format", "Otherwise as `Content-Type` says.", &format)),
        ("FormatOfExport", parameter("format", "Absent: `ndjson`.", &format)),
        ("Purge", parameter("purge", "Delete it for good, which only admins may.", &flag)),
        ("Highlight", parameter("highlight", "`true` shows under `_search` what was found.", &flag)),
        ("Groups", groups),
        (
            "SortGroups",
            parameter("sort", "Of `groupBy` and `metrics`, `-` before one to turn it round: `-count`.", &text),
        ),
        ("Id", id),
        ("IdOfView", id_of_view),
        ("IfMatch", json!({ "name": "If-Match", "in": "header", "description": if_match, "schema": text })),
    ]
    .into_iter()
    .map(|(name, it)| (name.to_owned(), it))
    .collect()
}

/// What is described under `components`.
pub(super) fn to(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

pub(super) fn visible(entry: &Entry) -> impl Iterator<Item = &Field> {
    entry.judges.iter().filter(|it| it.access.is_public()).map(|it| &it.field)
}

/// What anyone may send.
fn open(entry: &Entry) -> impl Iterator<Item = &Field> {
    entry.judges.iter().filter(|it| it.access.is_open()).map(|it| &it.field)
}

/// The relations that lead to a collection, by their names backwards.
type Back = HashMap<String, Vec<String>>;

fn backwards(known: &[&Entry]) -> Back {
    let mut back = Back::new();
    for from in known.iter().filter(|it| it.view.is_none()) {
        for field in visible(from) {
            if let Some(target) = &field.collection {
                back.entry(target.clone()).or_default().push(format!("{}_via_{}", from.name(), field.name));
            }
        }
    }
    back
}

/// What `expand` follows: the relations of a collection, and those that lead there.
fn relations(back: &Back, entry: &Entry) -> Vec<String> {
    let own = visible(entry).filter(|it| it.field_type == FieldType::Relation).map(|it| it.name.clone());
    own.chain(back.get(entry.name()).into_iter().flatten().cloned()).collect()
}

/// The members that records have whatever their fields are.
pub(super) fn own_members(entry: &Entry) -> Vec<(String, Value)> {
    let moment =
        || json!({ "type": "string", "format": "date-time", "readOnly": true, "example": "2026-01-02T03:04:05.678Z" });
    let mut id = json!({ "type": "string", "format": "uuid", "readOnly": true, "example": ID });
    if entry.view.is_some() {
        id = json!({ "type": "string", "readOnly": true, "example": ID });
    }
    let mut own = vec![("id".to_owned(), id)];
    for time in ["createdAt", "updatedAt"].into_iter().filter(|it| entry.has_own(it)) {
        let mut moment = moment();
        if entry.view.is_some() {
            moment["nullable"] = true.into();
        }
        own.push((time.to_owned(), moment));
    }
    if entry.collection.keeps_deleted() {
        own.push(("isDeleted".to_owned(), json!({ "type": "boolean", "readOnly": true, "example": false })));
        let mut deleted_at = moment();
        deleted_at["nullable"] = true.into();
        deleted_at["example"] = Value::Null;
        own.push(("deletedAt".to_owned(), deleted_at));
    }
    own
}

fn schemas_of(back: &Back, entry: &Entry) -> Vec<(String, Value)> {
    let name = entry.name();
    let own = || own_members(entry);
    let shown = visible(entry).map(|it| (it.name.clone(), value(it)));
    let shown: Map<_, _> = own().into_iter().chain(shown).collect();
    let example: Map<_, _> = own()
        .into_iter()
        .map(|(name, it)| (name, it["example"].clone()))
        .chain(examples(entry, visible(entry)))
        .collect();
    let mut with_expanded = shown.clone();
    with_expanded.extend(search::member(entry));
    if !relations(back, entry).is_empty() {
        let description =
            "What relations refer to, where `expand` or `fields` asked for it; `_more` names the lists that have more.";
        with_expanded.insert(
            "expand".to_owned(),
            json!({ "type": "object", "description": description, "additionalProperties": true }),
        );
    }
    let required: Vec<_> = open(entry).filter(|it| it.required && it.default.is_none()).map(|it| &it.name).collect();
    let mut new = json!({
        "type": "object", "additionalProperties": false, "properties": open(entry).map(|it| (it.name.clone(), value(it))).collect::<Map<_, _>>(),
    });
    let example_of_new = Map::from_iter(examples(entry, open(entry)));
    // What lacks a member that has to be there is no example.
    if required.iter().all(|it| example_of_new.contains_key(*it)) {
        new["example"] = example_of_new.into();
    }
    if !required.is_empty() {
        new["required"] = json!(required);
    }
    let changes: Map<_, _> = open(entry).map(|it| (it.name.clone(), change(it))).collect();
    let mut patch = json!({ "type": "object", "additionalProperties": false, "properties": changes });
    if let Some((name, example)) = examples(entry, open(entry)).next() {
        patch["example"] = json!({ name: example });
    }
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
        (format!("RecordPatch_{name}"), patch),
        (
            format!("RecordList_{name}"),
            json!({
                "type": "object", "required": ["data", "meta"],
                "properties": {
                    "data": { "type": "array", "items": { "$ref": format!("#/components/schemas/Record_{name}") } },
                    "meta": { "$ref": "#/components/schemas/ListMeta" },
                },
                "example": { "data": [], "meta": { "limit": 30 } },
            }),
        ),
    ]
}

const FORMATS: [&str; 3] = ["ndjson", "json", "csv"];
const ID: &str = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";

fn list(back: &Back, entry: &Entry) -> Value {
    let name = entry.name();
    let mut parameters = vec![
        to("Limit"),
        to("Cursor"),
        to("Page"),
        to("Count"),
        parameter(
            "sort",
            &format!("Of {}; `-` before one turns it round.", sortable(entry)),
            &json!({ "type": "string" }),
        ),
        to("Filter"),
    ];
    parameters.extend(search::parameters(entry));
    parameters.extend(trashed(entry));
    parameters.extend(shaping(back, entry));
    parameters.extend(visible(entry).flat_map(conditions));
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
    let (name, answer) = (entry.name(), made(entry));
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

fn show(back: &Back, entry: &Entry) -> Value {
    let id = if entry.view.is_some() { to("IdOfView") } else { id() };
    let parameters: Vec<_> = [id].into_iter().chain(shaping(back, entry)).chain(trashed(entry)).collect();
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
    let mut body = body(&format!("RecordPatch_{}", entry.name()));
    body["content"][JSON_PATCH] = json!({ "schema": { "$ref": "#/components/schemas/JsonPatch" } });
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
    operation(entry, "delete", &summary, &entry.rules.delete, &json!([id(), to("Purge"), if_match()]), None, &answers)
}

fn restore(entry: &Entry) -> Value {
    let summary = format!("Restore a record of `{}`", entry.name());
    let answers = json!({ "200": record(entry, "The record as it is now.") });
    operation(entry, "restore", &summary, &entry.rules.delete, &json!([id()]), None, &answers)
}

/// Whether to show what was deleted, where that is kept.
fn trashed(entry: &Entry) -> Option<Value> {
    entry.collection.keeps_deleted().then(|| to("Trashed"))
}

fn put(entry: &Entry) -> Value {
    let summary = format!("Make or replace a record of `{}`", entry.name());
    let answers = json!({ "200": record(entry, "The record as it is now."), "201": made(entry) });
    let body = body(&format!("NewRecord_{}", entry.name()));
    operation(entry, "put", &summary, &entry.rules.update, &json!([by(entry), if_match()]), Some(body), &answers)
}

fn patch(entry: &Entry) -> Value {
    let summary = format!("Change many records of `{}`, or make or change one", entry.name());
    let mut changed = record(entry, "With `by`, the record as it is now; with `filter`, what became of the records.");
    let (report, one) = ("#/components/schemas/BulkReport", format!("#/components/schemas/Record_{}", entry.name()));
    changed["headers"]["ETag"] = json!({ "required": false });
    changed["content"]["application/json"]["schema"] = json!({ "anyOf": [{ "$ref": report }, { "$ref": one }] });
    changed["content"]["application/json"]["example"] =
        json!({ "matched": 412, "done": 412, "refused": 0, "errors": [] });
    let mut parameters = selecting();
    parameters.extend([by(entry), if_match()]);
    let body = body(&format!("RecordPatch_{}", entry.name()));
    let answers = json!({ "200": changed, "201": made(entry) });
    operation(entry, "patch", &summary, &entry.rules.update, &json!(parameters), Some(body), &answers)
}

fn delete_many(entry: &Entry) -> Value {
    let report = json!({ "schema": { "$ref": "#/components/schemas/BulkReport" } });
    let answer = json!({ "description": "What became of the records.", "content": { "application/json": report } });
    let (summary, parameters) = (format!("Delete many records of `{}`", entry.name()), selecting());
    let answers = json!({ "200": answer });
    operation(entry, "delete_many", &summary, &entry.rules.delete, &json!(parameters), None, &answers)
}

/// Which records are written, and how many at most.
fn selecting() -> Vec<Value> {
    vec![to("FilterOfMany"), to("Max"), to("DryRun")]
}

fn by(entry: &Entry) -> Value {
    let is_seen = |fields: &Vec<String>| visible(entry).filter(|it| fields.contains(&it.name)).count() == fields.len();
    let keys: Vec<_> = entry.collection.unique_fields().into_iter().filter(is_seen).map(|it| it.join(",")).collect();
    let listed: Vec<_> = keys.iter().map(|it| format!("`{it}`")).collect();
    let description = match listed.as_slice() {
        [] => "A field that is unique; this collection has none yet.".to_owned(),
        keys => format!("What finds the record: {}.", keys.join(" or ")),
    };
    parameter("by", &description, &json!({ "type": "string" }))
}

fn made(entry: &Entry) -> Value {
    let location = json!({ "description": "The path of the record.", "schema": { "type": "string" } });
    let mut answer = record(entry, "The record was made.");
    answer["headers"]["Location"] = location;
    answer
}

/// Every format of a file, as what it holds.
fn files(entry: &Entry, prefix: &str) -> Value {
    let record = json!({ "$ref": format!("#/components/schemas/{prefix}_{}", entry.name()) });
    json!({
        "application/x-ndjson": { "schema": { "type": "string", "description": "One record a line, as JSON." } },
        "application/json": { "schema": { "type": "array", "items": record, "example": [] } },
        "text/csv": { "schema": { "type": "string", "description": "Rows after a first one with the fields' names." } },
    })
}

fn import(entry: &Entry) -> Value {
    let parameters = json!([to("FormatOfImport"), to("DryImport")]);
    let body = json!({ "required": true, "content": files(entry, "NewRecord") });
    let report = json!({ "schema": { "$ref": "#/components/schemas/ImportReport" } });
    let answer = json!({ "description": "What became of the file.", "content": { "application/json": report } });
    let summary = format!("Import records of `{}`", entry.name());
    operation(entry, "import", &summary, &Rule::Admins, &parameters, Some(body), &json!({ "200": answer }))
}

fn export(entry: &Entry) -> Value {
    let parameters: Vec<_> = [to("FormatOfExport"), to("Filter")].into_iter().chain(trashed(entry)).collect();
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
    let plural =
        if ["list", "import", "export", "patch", "delete_many", "aggregate"].contains(&verb) { "s" } else { "" };
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
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}

/// Which members are shown, and which relations are followed.
fn shaping(back: &Back, entry: &Entry) -> Vec<Value> {
    let mut parameters = vec![to("Fields")];
    let relations: Vec<_> = relations(back, entry).iter().map(|it| format!("`{it}`")).collect();
    if !relations.is_empty() {
        let description = format!("Relations to follow, with commas between: {}.", relations.join(", "));
        parameters.push(parameter("expand", &description, &json!({ "type": "string" })));
    }
    parameters
}

/// The conditions on a field that are asked for most; `filter` says which others are taken.
fn conditions(field: &Field) -> Vec<Value> {
    let name = &field.name;
    let operators: &[&str] = match field.field_type {
        FieldType::Json | FieldType::Geo => &[],
        FieldType::Integer | FieldType::Number | FieldType::Datetime | FieldType::Autodate => &["", "[gte]", "[lte]"],
        _ => &[""],
    };
    let schema = match field.field_type {
        FieldType::Integer => json!({ "type": "integer", "format": "int64" }),
        FieldType::Number => json!({ "type": "number" }),
        FieldType::Datetime | FieldType::Autodate => json!({ "type": "string", "format": "date-time" }),
        FieldType::Select => json!({ "type": "string", "enum": field.values }),
        FieldType::Relation => json!({ "type": "string", "format": "uuid" }),
        FieldType::Bool => json!({ "type": "boolean" }),
        _ => json!({ "type": "string" }),
    };
    let asked =
        |operator: &&str| json!({ "name": format!("where[{name}]{operator}"), "in": "query", "schema": schema });
    operators.iter().map(asked).collect()
}

fn sortable(entry: &Entry) -> String {
    let fields = visible(entry).filter(|it| it.has_order());
    let own = ["id", "createdAt", "updatedAt"].into_iter().filter(|it| entry.has_own(it));
    let names = own.chain(fields.map(|it| it.name.as_str()));
    names.map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ")
}

fn id() -> Value {
    to("Id")
}

fn if_match() -> Value {
    to("IfMatch")
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
