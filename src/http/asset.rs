//! Bytes that do not change while the server runs: scripts, styles, documents.
//!
//! What is large is also kept compressed, from when the first client asks for it so.
use std::borrow::Cow;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::{Buf as _, Bytes};
use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use futures_util::stream;
use poem::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY,
};
use poem::http::{Method, StatusCode};
use poem::{Body, Endpoint, IntoResponse, Request, Response};
use rust_embed::EmbeddedFile;

use super::etag;
use super::problem::{self, Problem};

/// What is smaller fits into the first packet as it is.
const COMPRESSED_BYTES_MIN: usize = 1_200;
/// How much is unpacked at once.
const PART_BYTES: usize = 64 << 10;

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
    plain: Form,
    /// Not made until somebody takes it; none, if nothing is gained.
    gzip: Arc<OnceLock<Option<Form>>>,
    content_type: HeaderValue,
    cache_control: HeaderValue,
    vary: HeaderValue,
    /// Whether the plain form is not kept: it is made, part by part, for each client that does not take the other.
    is_packed: bool,
}

/// The bytes in one encoding. Each has a tag of its own (RFC 9110 section 8.8.3.3).
#[derive(Clone, Debug)]
struct Form {
    body: Bytes,
    etag: HeaderValue,
}

impl Asset {
    pub fn new(body: impl Into<Bytes>, content_type: &'static str, caching: Caching) -> Self {
        let body = body.into();
        let digest = short_digest(&body);
        Self::known_by(&digest, body, content_type, caching)
    }

    /// A file of the program, whose digest was made when it was compiled.
    pub fn embedded(file: EmbeddedFile, content_type: &'static str, caching: Caching) -> Self {
        let digest = embedded_digest(&file);
        let body = match file.data {
            Cow::Borrowed(data) => Bytes::from_static(data),
            Cow::Owned(data) => data.into(),
        };
        Self::known_by(&digest, body, content_type, caching)
    }

    fn known_by(digest: &str, body: Bytes, content_type: &'static str, caching: Caching) -> Self {
        let etag = tag(&format!("\"{digest}\""));
        Self {
            plain: Form { body, etag },
            gzip: Arc::default(),
            content_type: HeaderValue::from_static(content_type),
            cache_control: HeaderValue::from_static(match caching {
                Caching::Forever => "public, max-age=31536000, immutable",
                Caching::Ask => "no-cache",
            }),
            vary: HeaderValue::from_static("accept-encoding"),
            is_packed: false,
        }
    }

    /// The same of what is large and seldom asked for by clients without gzip: of that alone the compressed form is kept.
    pub fn packed(body: Vec<u8>, content_type: &'static str, caching: Caching) -> Self {
        let mut asset = Self::new(body, content_type, caching);
        if asset.gzip().is_some() {
            asset.plain.body = Bytes::new();
            asset.is_packed = true;
        }
        asset
    }

    /// The same for what depends on that header too.
    pub fn that_varies_with(self, header: &'static str) -> Self {
        let vary = HeaderValue::try_from(format!("{header}, accept-encoding"));
        Self { vary: vary.unwrap_or(HeaderValue::from_static("*")), ..self }
    }

    /// The asset, or 304 if the client has it (RFC 9110 section 13.1.2).
    pub fn respond(&self, request: &Request) -> Response {
        let gzip = if takes_gzip(request.headers()) { self.gzip() } else { None };
        let form = gzip.unwrap_or(&self.plain);
        let known = etag::known(request.method(), request.headers());
        let is_known = known.is_some_and(|it| etag::is_among(form.etag.to_str().unwrap_or_default(), &it));
        let mut response = match (is_known, &gzip_of(&self.gzip)) {
            (true, _) => StatusCode::NOT_MODIFIED.into_response(),
            (false, Some(packed)) if self.is_packed && gzip.is_none() => unpacked(packed.clone()).into_response(),
            (false, _) => form.body.clone().into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, form.etag.clone());
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        if gzip.is_some() && !is_known {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.is_packed || COMPRESSED_BYTES_MIN <= self.plain.body.len() || self.vary != "accept-encoding" {
            headers.insert(VARY, self.vary.clone());
        }
        response
    }

    fn gzip(&self) -> Option<&Form> {
        if let Some(made) = self.gzip.get() {
            return made.as_ref();
        }
        if self.plain.body.len() < COMPRESSED_BYTES_MIN {
            return None;
        }
        let made = self.gzip.get_or_init(|| {
            let body = compressed(&self.plain.body).filter(|it| it.len() < self.plain.body.len())?;
            let plain = self.plain.etag.to_str().unwrap_or_default();
            Some(Form { body: body.into(), etag: tag(&format!("{}-gzip\"", plain.trim_end_matches('"'))) })
        });
        made.as_ref()
    }
}

fn gzip_of(gzip: &OnceLock<Option<Form>>) -> Option<Bytes> {
    gzip.get()?.as_ref().map(|it| it.body.clone())
}

/// The bytes as they were, made while they are sent.
fn unpacked(packed: Bytes) -> Body {
    let reader = GzDecoder::new(packed.reader());
    Body::from_bytes_stream(stream::unfold(reader, |mut reader| async move {
        let mut part = vec![0; PART_BYTES];
        match reader.read(&mut part) {
            Ok(0) => None,
            Ok(count) => {
                part.truncate(count);
                Some((Ok(Bytes::from(part)), reader))
            }
            Err(cause) => Some((Err(cause), reader)),
        }
    }))
}

fn tag(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// Whether the client takes gzip (RFC 9110 section 12.5.3). Who says nothing gets the bytes as they are.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|it| it.to_str().ok());
    let mut by_any = false;
    for part in values.flat_map(|it| it.split(',')) {
        let (name, weight) = super::accept_header::part(part);
        match name.as_str() {
            "gzip" | "x-gzip" => return 0.0 < weight,
            "*" => by_any = 0.0 < weight,
            _ => {}
        }
    }
    by_any
}

/// Whether a request does what can be done with it.
pub(super) fn only_reads(request: &Request) -> bool {
    [Method::GET, Method::HEAD].contains(request.method())
}

/// What is said to whoever wants to do something else with it.
pub(super) fn only_read() -> Problem {
    Problem::new(&problem::METHOD_NOT_ALLOWED, "this path can only be read")
}

impl Endpoint for Asset {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if !only_reads(&request) {
            return Err(only_read().into());
        }
        Ok(self.respond(&request))
    }
}

/// How much of a SHA-256 tells versions apart.
const DIGEST_BYTES: usize = 8;

/// Enough of a SHA-256 to tell versions apart.
pub fn short_digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&digest(&SHA256, bytes).as_ref()[..DIGEST_BYTES])
}

/// The same of a file of the program.
pub fn embedded_digest(file: &EmbeddedFile) -> String {
    HEXLOWER.encode(&file.metadata.sha256_hash()[..DIGEST_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_has_it_is_told_so() {
        let asset = Asset::new("body", "text/plain", Caching::Ask);
        let etag = asset.plain.etag.to_str().expect("ASCII").to_owned();
        let ask =
            |tags: &str| asset.respond(&Request::builder().header("if-none-match", tags).finish()).status().as_u16();

        assert_eq!((ask(&etag), ask(&format!("\"x\", W/{etag}")), ask("\"x\"")), (304, 304, 200));
    }

    /// Compressing takes time, and many browsers ask for the same files.
    #[test]
    fn a_large_asset_is_compressed_once_for_those_who_take_it() {
        let asset = Asset::new("body ".repeat(1_000), "text/plain", Caching::Ask);
        let ask =
            |accepts: &str| asset.clone().respond(&Request::builder().header("accept-encoding", accepts).finish());

        for accepts in ["gzip", "br, GZIP;q=0.5", "*"] {
            let answer = ask(accepts);
            assert_eq!(
                (answer.header("content-encoding"), answer.header("vary")),
                (Some("gzip"), Some("accept-encoding"))
            );
        }
        for accepts in ["", "br", "gzip;q=0, *", "identity"] {
            assert_eq!(ask(accepts).header("content-encoding"), None, "{accepts}");
        }
        assert_ne!(ask("gzip").header("etag"), ask("").header("etag"));
        let kept = |it: &Asset| it.gzip().expect("compressed").body.as_ptr();
        assert_eq!(kept(&asset), kept(&asset.clone()));
        assert!(kept(&asset) != asset.plain.body.as_ptr() && asset.gzip().expect("compressed").body.len() < 100);
    }

    /// Documents of some MiB would be kept twice, and wait in memory for each client that reads slowly.
    #[tokio::test]
    async fn a_packed_asset_is_kept_compressed_and_read_by_every_client() {
        let body = "body ".repeat(100_000);
        let asset =
            Asset::packed(body.clone().into_bytes(), "text/plain", Caching::Ask).that_varies_with("authorization");
        let ask = |accepts: &str| asset.respond(&Request::builder().header("accept-encoding", accepts).finish());

        let (plain, packed) = (ask(""), ask("gzip"));

        assert!(asset.plain.body.is_empty());
        assert_eq!(plain.header("etag"), Asset::new(body.clone(), "text/plain", Caching::Ask).plain.etag.to_str().ok());
        assert_eq!(
            (plain.header("vary"), packed.header("vary")),
            (Some("authorization, accept-encoding"), plain.header("vary"))
        );
        assert_eq!((plain.header("content-encoding"), packed.header("content-encoding")), (None, Some("gzip")));
        assert_eq!(plain.into_body().into_string().await.expect("text"), body);
        assert!(packed.into_body().into_bytes().await.expect("bytes").len() < 10_000);
    }

    #[test]
    fn a_small_asset_is_sent_as_it_is() {
        let asset = Asset::new("body", "text/plain", Caching::Ask);

        let answer = asset.respond(&Request::builder().header("accept-encoding", "gzip").finish());

        assert_eq!((answer.header("content-encoding"), answer.header("vary")), (None, None));
    }
}
