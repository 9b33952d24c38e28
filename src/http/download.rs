//! Files on their way out: what the document says of them, and their heads.
use poem::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use poem::{Body, IntoResponse as _, Response};
use poem_openapi::registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef};

/// What the document says of an answer that is a file.
pub fn meta(description: &'static str, content: Vec<MetaMediaType>) -> MetaResponses {
    let disposition = MetaHeader {
        name: CONTENT_DISPOSITION.to_string(),
        description: Some("That it is a file, and what it is called.".to_owned()),
        required: true,
        deprecated: false,
        schema: MetaSchemaRef::Inline(Box::new(MetaSchema::new("string"))),
    };
    let answer =
        MetaResponse { description, status: Some(200), status_range: None, content, headers: vec![disposition] };
    MetaResponses { responses: vec![answer] }
}

/// A file with its name, made while it is sent.
pub fn response(body: Body, media_type: &'static str, name: &str, extension: &str) -> Response {
    let disposition = format!("attachment; filename=\"{name}.{extension}\"");
    Response::builder()
        .header(CONTENT_TYPE, media_type)
        .header(CONTENT_DISPOSITION, disposition)
        .body(body)
        .into_response()
}
