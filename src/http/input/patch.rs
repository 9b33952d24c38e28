//! The body of a request that changes a thing, in either of two forms.
use poem::http::header::{CONTENT_TYPE, HeaderValue};
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{Any, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::{Value, json};

use super::{ACCEPT_PATCH, UNSUPPORTED, arrived, is_json, media_type};
use crate::http::problem::{self, Problem};

pub const JSON_PATCH: &str = "application/json-patch+json";
const SCHEMA: &str = "JsonPatch";
const PATCHES: HeaderValue =
    HeaderValue::from_static("application/merge-patch+json, application/json-patch+json, application/json");

/// Most operations of one patch.
pub const OPERATIONS_MAX: usize = 100;

/// What is to become of a thing. Nobody judged the bytes yet.
#[derive(Clone, Debug)]
pub enum Patch {
    /// The members that change (RFC 7396).
    Merge(Vec<u8>),
    /// What is done to it, one after the other (RFC 6902).
    Operations(Vec<u8>),
}

/// The body of a request that takes a [`Patch`].
#[derive(Debug)]
pub struct PatchInput(Result<Patch, Problem>);

impl PatchInput {
    pub fn read(self) -> Result<Patch, Problem> {
        self.0
    }
}

impl<'a> ApiExtractor<'a> for PatchInput {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        Any::<Value>::register(registry);
        registry.create_schema::<Self, _>(SCHEMA.to_owned(), |_| schema());
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![
            MetaMediaType { content_type: "application/json", schema: Any::<Value>::schema_ref() },
            MetaMediaType { content_type: JSON_PATCH, schema: MetaSchemaRef::Reference(SCHEMA.to_owned()) },
        ];
        Some(MetaRequest { description: None, content, required: true })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let form: fn(Vec<u8>) -> Patch = match media_type(content_type).as_str() {
            JSON_PATCH => Patch::Operations,
            _ if is_json(content_type) => Patch::Merge,
            _ => {
                let problem = Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED);
                return Ok(Self(Err(problem.with_header(ACCEPT_PATCH, PATCHES))));
            }
        };
        Ok(Self(arrived(body).await.map(form)))
    }
}

/// An operation says what, where, and with what; which of them it needs is told by the server.
fn schema() -> MetaSchema {
    let text = || MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
    let operation = MetaSchema {
        required: vec!["op", "path"],
        properties: vec![
            (
                "op",
                MetaSchemaRef::Inline(Box::new(MetaSchema {
                    enum_items: ["add", "remove", "replace", "move", "copy", "test"].map(Into::into).into(),
                    ..MetaSchema::new("string")
                })),
            ),
            ("path", text()),
            ("from", text()),
            (
                "value",
                MetaSchemaRef::Inline(Box::new(MetaSchema { description: Some("Any JSON."), ..MetaSchema::ANY })),
            ),
        ],
        ..MetaSchema::new("object")
    };
    MetaSchema {
        description: Some(
            "Operations (RFC 6902), done one after the other, all or none: `add`, `replace` and `test` take a `value`, `move` \
             and `copy` take `from`. The first step of each pointer is a field.",
        ),
        items: Some(Box::new(MetaSchemaRef::Inline(Box::new(operation)))),
        max_items: Some(OPERATIONS_MAX),
        example: Some(json!([
            { "op": "test", "path": "/title", "value": "The Analytical Engine" },
            { "op": "replace", "path": "/title", "value": "The Difference Engine" },
        ])),
        ..MetaSchema::new("array")
    }
}
