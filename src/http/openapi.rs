//! The OpenAPI document, as 3.0 and as 3.1.
//!
//! poem-openapi describes the endpoints as 3.0.0. Added here: the second names of paths,
//! and that bodies take no unknown members. The 3.1 document is a conversion of ours.
use poem::Route;
use poem::http::Method;
use poem_openapi::Tags;
use serde_json::{Map, Value, json};

use super::alias;
use super::asset::{Asset, Caching};

/// The chapters of the document.
#[derive(Clone, Copy, Debug, Tags)]
pub enum Tag {
    /// Registering, signing in and out, one's own profile.
    Accounts,
    /// Everyone's accounts, for admins.
    Users,
}

/// The second names that are part of the product's promise. Others work, but are not in the document.
const PROMISED_ALIASES: &[(&str, &str)] = &[
    ("post", "/api/auth/register"),
    ("post", "/api/auth/login"),
    ("post", "/api/auth/logout"),
    ("post", "/api/auth/logout-all"),
    ("post", "/api/auth/refresh"),
    ("post", "/api/auth/refresh-token"),
    ("get", "/api/auth/profile"),
    ("get", "/api/admin/users"),
];

/// Both documents, ready to be served.
#[derive(Debug)]
pub struct Documents {
    v3_0: Asset,
    v3_1: Asset,
}

impl Documents {
    /// Completes what poem-openapi says of a service (`OpenApiService::spec`).
    pub fn new(spec: &str) -> serde_json::Result<Self> {
        let mut document: Value = serde_json::from_str(spec)?;
        close_bodies(&mut document);
        add_aliases(&mut document);
        let asset = |it: &Value| Asset::new(it.to_string(), "application/json", Caching::Ask);
        let v3_0 = asset(&document);
        Ok(Self { v3_0, v3_1: asset(&as_3_1(document)) })
    }

    pub fn route(&self, route: Route) -> Route {
        route.at("/openapi.json", self.v3_0.clone()).at("/openapi-3.1.json", self.v3_1.clone())
    }
}

/// Says of every schema that a body uses that it takes no other members: the server refuses them.
fn close_bodies(document: &mut Value) {
    let mut names = Vec::new();
    for operation in operations(document) {
        let content = operation["requestBody"]["content"].as_object();
        let schemas = content.into_iter().flat_map(|it| it.values()).map(|it| &it["schema"]["$ref"]);
        names.extend(schemas.filter_map(Value::as_str).map(ToOwned::to_owned));
    }
    for name in names {
        if let Some(schema) = document.pointer_mut(name.trim_start_matches('#')) {
            schema["additionalProperties"] = Value::Bool(false);
        }
    }
}

fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let paths = document["paths"].as_object().into_iter().flat_map(Map::values);
    paths.filter_map(Value::as_object).flat_map(Map::values)
}

fn add_aliases(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (method, path) in PROMISED_ALIASES {
        let Ok(verb) = method.to_uppercase().parse::<Method>() else { continue };
        let Some(canonical) = alias::canonical(&verb, path) else { continue };
        let Some(mut operation) = paths.get(&canonical).and_then(|it| it.get(method)).cloned() else { continue };
        // `/auth/refresh` and `/auth/refresh-token` stand for the same one, under ids of their own.
        let is_renamed = !canonical.ends_with(path.trim_start_matches("/api"));
        let suffix = if is_renamed { "_renamed_alias" } else { "_alias" };
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        operation["operationId"] = format!("{id}{suffix}").into();
        operation["description"] = format!("Another name of `{canonical}`.").into();
        let entry = paths.entry(*path).or_insert_with(|| json!({}));
        entry[*method] = operation;
    }
}

/// The same document in the words of OpenAPI 3.1, whose schemas are JSON Schema 2020-12.
fn as_3_1(mut document: Value) -> Value {
    document["openapi"] = "3.1.0".into();
    for schema in document["components"]["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        convert_schema(schema);
    }
    convert_schemas_below(&mut document["paths"]);
    document
}

/// Finds schemas where paths hold them: under the member `schema`.
fn convert_schemas_below(value: &mut Value) {
    match value {
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(name, it)| if name == "schema" { convert_schema(it) } else { convert_schemas_below(it) }),
        Value::Array(items) => items.iter_mut().for_each(convert_schemas_below),
        _ => {}
    }
}

fn convert_schema(schema: &mut Value) {
    let Some(members) = schema.as_object_mut() else { return };
    if let Some(example) = members.remove("example") {
        members.insert("examples".to_owned(), json!([example]));
    }
    if members.remove("nullable") == Some(Value::Bool(true))
        && let Some(kind) = members.remove("type")
    {
        members.insert("type".to_owned(), json!([kind, "null"]));
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        if members.get(exclusive).is_some_and(Value::is_boolean)
            && members.remove(exclusive) == Some(Value::Bool(true))
            && let Some(value) = members.remove(bound)
        {
            members.insert(exclusive.to_owned(), value);
        }
    }
    for below in ["properties", "patternProperties"] {
        members
            .get_mut(below)
            .and_then(Value::as_object_mut)
            .into_iter()
            .flat_map(Map::values_mut)
            .for_each(convert_schema);
    }
    for below in ["items", "additionalProperties", "not"] {
        members.get_mut(below).into_iter().for_each(convert_schema);
    }
    for below in ["allOf", "anyOf", "oneOf"] {
        members.get_mut(below).and_then(Value::as_array_mut).into_iter().flatten().for_each(convert_schema);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_of_3_0_becomes_one_of_3_1() {
        let mut schema = json!({
            "type": "object",
            "properties": {
                "nullable": { "type": "string", "nullable": true, "example": "x" },
                "n": { "type": "integer", "minimum": 1, "exclusiveMinimum": true, "maximum": 5 },
            },
        });

        convert_schema(&mut schema);

        let expected = json!({
            "type": "object",
            "properties": {
                "nullable": { "type": ["string", "null"], "examples": ["x"] },
                "n": { "type": "integer", "exclusiveMinimum": 1, "maximum": 5 },
            },
        });
        assert_eq!(schema, expected);
    }
}
