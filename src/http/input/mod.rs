//! What a caller sends: JSON that is read strictly and judged as a whole.
//!
//! The document is the validator: the body is read once into a tree that
//! remembers what JSON alone would hide (a name given twice), then walked beside
//! the type's own OpenAPI schema, so what the documentation promises and what the
//! server takes cannot differ. All faults are told at once, each with its pointer,
//! and none of them repeats a value: a password typed into the wrong member must
//! not come back in an answer or a log.
mod check;
mod document;
mod patch;
mod shape;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use poem::http::Method;
use poem::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use poem::{Request, RequestBody};
use poem_openapi::payload::{ParsePayload, Payload};
use poem_openapi::registry::{MetaMediaType, MetaRequest, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseFromJSON, Type};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use serde_json::Value;

use self::document::{At, Faults};
use self::shape::{Kind, Shapes};
use super::problem::{self, Fault, Problem};

pub use self::document::NESTING_MAX;
pub use self::patch::{JSON_PATCH, OPERATIONS_MAX, Patch, PatchInput};

/// The JSON body of a request, which is or is not a `T`.
///
/// It arrived, but nobody judged it yet: an endpoint first looks whether the caller may do this at all, and
/// then calls [`Input::read`]. So someone without the permission learns nothing of what a good body would be.
///
/// `Input<Option<T>>` takes a request without a body too.
#[derive(Debug)]
pub struct Input<T> {
    arrived: Result<Vec<u8>, Problem>,
    of: PhantomData<fn() -> T>,
}

impl<T: ParseFromJSON + 'static> Input<T> {
    /// The bytes of the body, for one whose shape is known only when it runs.
    pub fn bytes(self) -> Result<Vec<u8>, Problem> {
        self.arrived
    }

    /// The body as a `T`, or everything that is wrong with it.
    pub fn read(self) -> Result<T, Problem> {
        parse(&self.arrived?)
    }

    /// As [`Input::read`], for an endpoint that judges values by itself too: if the body is no `T`, what `judge` says of
    /// the values that are as they should be is told with the rest, so that it need not be mended in two steps.
    pub fn read_judged(self, judge: impl Fn(&Sound<'_>) -> Vec<Fault>) -> Result<T, Problem> {
        parse_judged(&self.arrived?, &judge)
    }
}

/// The members of a body with which nothing is wrong so far.
#[derive(Clone, Copy, Debug)]
pub struct Sound<'a> {
    body: &'a Value,
    faults: &'a Faults,
}

impl<'a> Sound<'a> {
    /// The text that a member holds, if it is there and as its type says.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        let text = self.body.get(name)?.as_str()?;
        let pointer = At::Member(&At::Root, name).pointer();
        (!self.faults.concern(&pointer)).then_some(text)
    }
}

/// A body whose shape is known only when it runs: JSON read strictly, and what is wrong with it as JSON.
#[derive(Debug)]
pub struct Body {
    pub value: Value,
    pub faults: Vec<Fault>,
}

impl Body {
    /// Reads the bytes of a body. What JSON allows and we do not (a name twice, U+0000) becomes a fault.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let mut faults = Faults::default();
        let value = document::read(bytes, &mut faults)?;
        Ok(Self { value, faults: faults.into_found() })
    }
}

/// Reads a `T` out of the bytes of a body.
pub fn parse<T: ParseFromJSON + 'static>(bytes: &[u8]) -> Result<T, Problem> {
    parse_judged(bytes, &|_| Vec::new())
}

fn parse_judged<T: ParseFromJSON + 'static>(
    bytes: &[u8],
    judge: &dyn Fn(&Sound<'_>) -> Vec<Fault>,
) -> Result<T, Problem> {
    if bytes.is_empty() && !T::IS_REQUIRED {
        return T::parse_from_json(None).map_err(|_| Problem::internal(&MadeOfNothing));
    }
    let shapes = shape::of::<T>();
    let value = checked(&shapes, bytes, judge)?;
    T::parse_from_json(Some(value)).map_err(|error| refused_by_type(&shapes, bytes, error.message()))
}

#[derive(Debug, thiserror::Error)]
#[error("a type that need not be sent could not be made of nothing")]
struct MadeOfNothing;

fn checked(shapes: &Shapes, bytes: &[u8], judge: &dyn Fn(&Sound<'_>) -> Vec<Fault>) -> Result<Value, Problem> {
    let mut faults = Faults::default();
    let mut value = document::read(bytes, &mut faults)?;
    check::check(shapes, shapes.root, &mut value, At::Root, &mut faults);
    if 0 < faults.count() {
        for fault in judge(&Sound { body: &value, faults: &faults }) {
            faults.push(fault);
        }
    }
    faults.into_result()?;
    Ok(value)
}

/// What only the type itself knows to be wrong, in its own words if these are safe to repeat.
fn refused_by_type(shapes: &Shapes, bytes: &[u8], message: &str) -> Problem {
    let nested = message.split_once(" (occurred while parsing ");
    let words = nested.map_or(message, |(words, _)| words);
    // The framework's own sentence for a wrong type ends with the value.
    let own = words.strip_prefix("failed to parse \"").and_then(|it| it.split_once("\": ")).map(|(_, own)| own);
    let (name, words) = match own.and_then(|it| it.strip_prefix("field `")?.split_once("` verification failed. ")) {
        Some((name, words)) => (Some(name), Some(words)),
        None => (None, own),
    };
    let mut faults = Faults::default();
    let words = words.filter(|it| document::read(bytes, &mut faults).is_ok_and(|value| !document::quotes(it, &value)));
    let pointer = match (&shapes.shapes[shapes.root].kind, name) {
        (Kind::Object { members, .. }, Some(name)) if nested.is_none() && members.contains_key(name) => {
            At::Member(&At::Root, name).pointer()
        }
        _ => String::new(),
    };
    Problem::invalid(vec![Fault::new(pointer, "invalid", words.unwrap_or("is not accepted"))])
}

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// `application/json` or anything `+json`, in UTF-8 if it says so. A JSON Patch is a list of operations, which is
/// something else ([`PatchInput`]).
fn is_json(content_type: &str) -> bool {
    let parts = content_type.split(';').skip(1).map(|it| it.trim().to_ascii_lowercase());
    let media_type = media_type(content_type);
    let json = media_type == "application/json"
        || (media_type.strip_prefix("application/").and_then(|it| it.strip_suffix("+json")))
            .is_some_and(|it| !it.is_empty() && it != "json-patch");
    let utf8 =
        parts.filter_map(|it| it.strip_prefix("charset=").map(|it| it.trim_matches('"') == "utf-8")).all(|it| it);
    json && utf8
}

impl<T: Type> Payload for Input<T> {
    const CONTENT_TYPE: &'static str = "application/json";

    fn check_content_type(content_type: &str) -> bool {
        is_json(content_type)
    }

    fn schema_ref() -> MetaSchemaRef {
        T::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T: ParseFromJSON + 'static> ParsePayload for Input<T> {
    const IS_REQUIRED: bool = T::IS_REQUIRED;

    async fn from_request(request: &Request, body: &mut RequestBody) -> poem::Result<Self> {
        let content_type = request.headers().get(CONTENT_TYPE).map(|it| it.to_str().unwrap_or_default());
        let is_readable = content_type.map_or(!T::IS_REQUIRED, is_json);
        let arrived = if is_readable {
            arrived(body).await
        } else {
            let problem = Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED);
            Err(if request.method() == Method::PATCH { problem.with_header(ACCEPT_PATCH, PATCHES) } else { problem })
        };
        Ok(Self { arrived, of: PhantomData })
    }
}

async fn arrived(body: &mut RequestBody) -> Result<Vec<u8>, Problem> {
    let bytes = match body.take() {
        Ok(body) => body.into_vec().await,
        Err(error) => Err(error),
    };
    bytes.map_err(|error| Problem::from_body(&error))
}

/// Written out where the framework has a macro, so that a body that need not be sent needs no type either.
impl<'a, T: ParseFromJSON + 'static> ApiExtractor<'a> for Input<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        let content = vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: T::schema_ref() }];
        Some(MetaRequest { description: None, content, required: T::IS_REQUIRED })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        <Self as ParsePayload>::from_request(request, body).await
    }
}

/// What tells with the refusal of a patch which ones are taken (RFC 5789 section 2.2).
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
const PATCHES: HeaderValue = HeaderValue::from_static("application/merge-patch+json, application/json");
const UNSUPPORTED: &str = "send the body with `Content-Type: application/json`, in UTF-8";
