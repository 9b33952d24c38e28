//! Files of records in the words of the document: three media types on the way in, and on the way out.
use poem::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use poem::{Body, IntoResponse, Request, RequestBody, Response};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaRequest, MetaResponse, MetaResponses, MetaSchema};
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions};
use serde_json::json;

use super::payload;
use super::split::Format;

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
        let disposition = MetaHeader {
            name: CONTENT_DISPOSITION.to_string(),
            description: Some("That it is a file, and what it is called.".to_owned()),
            required: true,
            deprecated: false,
            schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
        };
        let answer = MetaResponse {
            description: "The records, as they are read.",
            status: Some(200),
            status_range: None,
            content: media_types(),
            headers: vec![disposition],
        };
        MetaResponses { responses: vec![answer] }
    }

    fn register(_registry: &mut Registry) {}
}

impl IntoResponse for FileAnswer {
    fn into_response(self) -> Response {
        let disposition = format!("attachment; filename=\"{}.{}\"", self.name, self.format.extension());
        Response::builder()
            .header(CONTENT_TYPE, self.format.media_type())
            .header(CONTENT_DISPOSITION, disposition)
            .body(self.body)
    }
}
