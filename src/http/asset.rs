//! Bytes that do not change while the server runs: scripts, styles, documents.
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use poem::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue};
use poem::http::{Method, StatusCode};
use poem::{Endpoint, IntoResponse, Request, Response};

use super::etag;
use super::problem::{self, Problem};

/// How long a browser may use its copy without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// For ever: the name changes with the content.
    Forever,
    /// It asks each time, and is mostly told that nothing changed.
    Ask,
}

/// One cached answer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Asset {
    body: Bytes,
    content_type: HeaderValue,
    etag: HeaderValue,
    cache_control: HeaderValue,
}

impl Asset {
    pub fn new(body: impl Into<Bytes>, content_type: &'static str, caching: Caching) -> Self {
        let body = body.into();
        let etag = format!("\"{}\"", short_digest(&body));
        Self {
            etag: HeaderValue::from_str(&etag).unwrap_or_else(|_| HeaderValue::from_static("\"\"")),
            content_type: HeaderValue::from_static(content_type),
            cache_control: HeaderValue::from_static(match caching {
                Caching::Forever => "public, max-age=31536000, immutable",
                Caching::Ask => "no-cache",
            }),
            body,
        }
    }

    /// The asset, or 304 if the client has it (RFC 9110 section 13.1.2).
    pub fn respond(&self, request: &Request) -> Response {
        let known = etag::known(request.method(), request.headers());
        let is_known = known.is_some_and(|it| etag::is_among(self.etag.to_str().unwrap_or_default(), &it));
        let mut response =
            if is_known { StatusCode::NOT_MODIFIED.into_response() } else { self.body.clone().into_response() };
        let headers = response.headers_mut();
        headers.insert(ETAG, self.etag.clone());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        response
    }
}

impl Endpoint for Asset {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return Err(Problem::new(&problem::METHOD_NOT_ALLOWED, "this path can only be read").into());
        }
        Ok(self.respond(&request))
    }
}

/// Enough of a SHA-256 to tell versions apart.
pub fn short_digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&digest(&SHA256, bytes).as_ref()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_it_is_told_so() {
        let asset = Asset::new("body", "text/plain", Caching::Ask);
        let etag = asset.etag.to_str().expect("ASCII").to_owned();
        let ask =
            |tags: &str| asset.respond(&Request::builder().header("if-none-match", tags).finish()).status().as_u16();

        assert_eq!((ask(&etag), ask(&format!("\"x\", W/{etag}")), ask("\"x\"")), (304, 304, 200));
    }
}
