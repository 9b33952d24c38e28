//! What the records of a collection look like, in the words of JSON Schema (draft 2020-12).
use std::sync::Arc;

use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::{Any, Example};
use poem_openapi::{ApiResponse, NewType, OpenApi};
use serde_json::{Map, Value, json};

use super::access::{Asker, Circumstances};
use super::api::RecordsApi;
use super::document;
use super::error::Error;
use super::shapes;
use crate::features::accounts::RECORDS_ADMIN;
use crate::features::collections::{COLLECTIONS_READ, Catalogue, Field, Sight};
use crate::http::openapi::{Tag, as_json_schema};
use crate::http::query::NoQuery;
use crate::http::{ClientAddress, Problem, Visitor};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// How an address of the web begins.
const OF_THE_WEB: &str = "^[Hh][Tt][Tt][Pp][Ss]?://";

/// The endpoint for the shapes of records.
#[derive(Clone, Debug)]
pub struct JsonSchemasApi {
    pub records: RecordsApi,
}

#[derive(ApiResponse)]
enum Described {
    /// The schema.
    #[oai(status = 200)]
    Schema(Json<JsonSchema>),
}

/// A JSON Schema.
#[derive(NewType)]
#[oai(from_multipart = false, from_parameter = false, to_header = false, example)]
struct JsonSchema(Any<Value>);

impl Example for JsonSchema {
    fn example() -> Self {
        Self(Any(json!({
            "$schema": DIALECT, "$id": "/api/v1/collections/posts/schema", "title": "posts", "type": "object",
            "required": ["id", "title"], "additionalProperties": false,
            "properties": { "id": { "type": "string", "format": "uuid" }, "title": { "type": ["string", "null"] } },
        })))
    }
}

#[OpenApi(prefix_path = "/api/v1")]
impl JsonSchemasApi {
    /// Show what records look like
    ///
    /// As a JSON Schema (draft 2020-12) of the records of a collection as the caller sees them; `$defs/new` is that of
    /// what may be sent to make one. A collection that is for admins alone is not there for others.
    #[oai(
        path = "/collections/:collection/schema",
        method = "get",
        operation_id = "show_json_schema",
        tag = "Tag::Records"
    )]
    async fn show(
        &self,
        visitor: Visitor,
        _query: NoQuery,
        address: ClientAddress,
        collection: Path<String>,
    ) -> Result<Described, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_read(
            &caller,
            &collection.0,
            Circumstances { now: self.records.clock.now(), method: "GET", address },
        )?;

        let knows_all =
            asker.sight.is_admin || caller.may(COLLECTIONS_READ) || caller.may_in(RECORDS_ADMIN, &collection.0);
        let look = async |known: Arc<Catalogue>| schema(&known, &collection.0, &asker.sight, knows_all);
        let schema = self.records.catalogues.with(caller.tenant(), look).await?;

        Ok(Described::Schema(Json(JsonSchema(Any(schema)))))
    }
}

fn schema(catalogue: &Catalogue, collection: &str, sight: &Sight, knows_all: bool) -> Result<Value, Error> {
    let entry = catalogue.find(collection).filter(|it| knows_all || !it.is_for_admins()).ok_or(Error::NotFound)?;
    let seen = entry.judges.iter().filter(|it| sight.sees(it)).map(|it| &it.field);
    let set = entry.judges.iter().filter(|it| sight.sets(it)).map(|it| &it.field);
    let own = document::own_members(entry);
    let mut members: Map<_, _> = own.into_iter().chain(seen.map(shape)).collect();
    let names: Vec<String> = members.keys().cloned().collect();
    // It is there where it was asked for.
    members.insert("expand".to_owned(), json!({ "type": "object" }));
    let mut schema = json!({
        "$schema": DIALECT, "$id": format!("/api/v1/collections/{collection}/schema"), "title": collection,
        "type": "object", "required": names, "properties": members, "additionalProperties": false,
    });
    if entry.view.is_none() {
        let set: Vec<&Field> = set.collect();
        let needed: Vec<_> = set.iter().filter(|it| it.required && it.default.is_none()).map(|it| &it.name).collect();
        let members: Map<_, _> = set.iter().map(|it| sent(it)).collect();
        schema["$defs"] = json!({
            "new": { "type": "object", "required": needed, "properties": members, "additionalProperties": false },
        });
    }
    as_json_schema(&mut schema);
    Ok(schema)
}

fn shape(field: &Field) -> (String, Value) {
    let mut shape = shapes::value(field);
    match shape["format"].as_str() {
        // An address is taken in every script.
        Some("email") => shape["format"] = "idn-email".into(),
        // Browsers and we take addresses of the web that no format of JSON Schema does, such as `?tags[]=1`.
        Some("uri") => {
            let members = shape.as_object_mut();
            members.map(|it| it.shift_remove("format"));
            if field.pattern.is_none() {
                shape["pattern"] = OF_THE_WEB.into();
            }
        }
        _ => {}
    }
    (field.name.clone(), shape)
}

/// What may be sent for a field, which is less than what may be there: a list that nobody gave is empty.
fn sent(field: &Field) -> (String, Value) {
    let (name, mut shape) = shape(field);
    if let Some(least) = field.least().filter(|it| field.refers_to_many() && 1.0 <= *it) {
        shape["minItems"] = (least.ceil() as u64).into();
    }
    (name, shape)
}
