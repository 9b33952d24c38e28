//! Files of records in the words of the document: three media types on the way in, and on the way out.
use poem::{Body, IntoResponse, Request, RequestBody, Response};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaResponses, MetaSchema};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde_json::json;

use super::payload;
use super::split::Format;
use crate::http::{Fault, Problem, download};

/// A file on its way in, of any length. Which format it has is for the endpoint to find out.
pub struct FileBody(pub Body);

/// A file on its way out, made while it is sent.
pub struct FileAnswer {
    pub(super) body: Body,
    pub(super) format: Format,
    /// What the file is called, without its ending.
    pub(super) name: String,
}

/// Every format, as what it holds.
fn media_types() -> Vec<MetaMediaType> {
    let items = MetaSchemaRef::Inline(Box::new(MetaSchema::new("object")));
    let array = MetaSchema {
        items: Some(Box::new(items)),
        example: Some(json!([payload::record()])),
        ..MetaSchema::new("array")
    };
    let text = || MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
    vec![
        MetaMediaType { content_type: "application/x-ndjson", schema: text() },
        MetaMediaType { content_type: "application/json", schema: MetaSchemaRef::Inline(Box::new(array)) },
        MetaMediaType { content_type: "text/csv", schema: text() },
    ]
}

impl<'a> ApiExtractor<'a> for FileBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn request_meta() -> Option<MetaRequest> {
        let description = Some("One JSON object a line, an array of them, or rows after a first one of names.");
        Some(MetaRequest { description, content: media_types(), required: true })
    }

    async fn from_request(
        _request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(body.take()?))
    }
}

impl ApiResponse for FileAnswer {
    fn meta() -> MetaResponses {
        download::meta("The records, as they are read.", media_types())
    }

    fn register(_registry: &mut Registry) {}
}

impl IntoResponse for FileAnswer {
    fn into_response(self) -> Response {
        download::response(self.body, self.format.media_type(), &self.name, self.format.extension())
    }
}

/// The format with a name, which may be that of a media type.
pub fn named(format: &str) -> Result<Format, Problem> {
    Format::named(format).ok_or_else(|| {
        let fault = Fault::new("?format", "not-one-of", "must be `ndjson`, `json` or `csv`, or such a `Content-Type`");
        Problem::invalid(vec![fault])
    })
}
