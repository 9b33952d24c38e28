//! Records as they go out: JSON that a query wrote into one buffer, described for the document.
//!
//! What is said here is true of the records of any collection; each collection has schemas of its own beside.
use poem::http::header::CONTENT_TYPE;
use poem::{IntoResponse, Response};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{Example, ToJSON, Type};
use serde_json::{Value, json};

use super::batch::BatchReport;
use super::bulk::BulkReport;
use crate::base::{Id, Timestamp, UserId};
use crate::http::paging::ListMeta;

const MEDIA_TYPE: &str = "application/json";
const RECORD: &str = "Record";
const RECORD_LIST: &str = "RecordList";

/// One record, written already.
#[derive(Debug)]
pub struct RecordJson(pub Vec<u8>);

/// A page of records, written already.
#[derive(Debug)]
pub struct RecordListJson(pub Vec<u8>);

/// The record that a request was about, or what became of many.
#[derive(Debug)]
pub enum RecordOrReport {
    Record(RecordJson),
    Report(BulkReport),
}

/// The results of a batch, written already.
#[derive(Debug)]
pub struct BatchJson(pub Vec<u8>);

/// A record of the collection that is the example for making one.
pub(super) fn record() -> Value {
    let (id, moment) = (UserId::example().to_json(), Timestamp::example().to_json());
    json!({
        "id": id, "createdAt": moment, "updatedAt": moment, "title": "The Analytical Engine", "published": true, "author": id,
    })
}

fn reference(name: &str) -> MetaSchemaRef {
    MetaSchemaRef::Reference(name.to_owned())
}

impl Payload for RecordJson {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        reference(RECORD)
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(RECORD.to_owned(), |_| MetaSchema {
            description: Some(
                "A record: these members and the fields of its collection, or those that were asked for.",
            ),
            properties: vec![
                ("id", Id::<Self>::schema_ref()),
                ("createdAt", Timestamp::schema_ref()),
                ("updatedAt", Timestamp::schema_ref()),
            ],
            example: Some(record()),
            ..MetaSchema::new("object")
        });
    }
}

impl Payload for RecordListJson {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        reference(RECORD_LIST)
    }

    fn register(registry: &mut Registry) {
        RecordJson::register(registry);
        ListMeta::register(registry);
        registry.create_schema::<Self, _>(RECORD_LIST.to_owned(), |_| MetaSchema {
            description: Some("A page of records."),
            required: vec!["data", "meta"],
            properties: vec![
                (
                    "data",
                    MetaSchemaRef::Inline(Box::new(MetaSchema {
                        items: Some(Box::new(reference(RECORD))),
                        ..MetaSchema::new("array")
                    })),
                ),
                ("meta", ListMeta::schema_ref()),
            ],
            example: Some(json!({ "data": [record()], "meta": ListMeta::example().to_json() })),
            ..MetaSchema::new("object")
        });
    }
}

impl Payload for RecordOrReport {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            any_of: vec![BulkReport::schema_ref(), reference(RECORD)],
            example: Some(BulkReport::example().to_json().unwrap_or_default()),
            ..MetaSchema::ANY
        }))
    }

    fn register(registry: &mut Registry) {
        RecordJson::register(registry);
        BulkReport::register(registry);
    }
}

impl Payload for BatchJson {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        BatchReport::schema_ref()
    }

    fn register(registry: &mut Registry) {
        BatchReport::register(registry);
    }
}

impl IntoResponse for RecordOrReport {
    fn into_response(self) -> Response {
        match self {
            Self::Record(record) => record.into_response(),
            Self::Report(report) => RecordJson(report.to_json_string().into_bytes()).into_response(),
        }
    }
}

impl IntoResponse for BatchJson {
    fn into_response(self) -> Response {
        RecordJson(self.0).into_response()
    }
}

impl IntoResponse for RecordJson {
    fn into_response(self) -> Response {
        Response::builder().header(CONTENT_TYPE, MEDIA_TYPE).body(self.0)
    }
}

impl IntoResponse for RecordListJson {
    fn into_response(self) -> Response {
        RecordJson(self.0).into_response()
    }
}
