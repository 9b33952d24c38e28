//! Versions of things on the wire: `ETag`, `If-Match` and `If-None-Match` (RFC 9110 sections 8.8.3, 13.1.1 and 13.1.2).
//!
//! An endpoint tags its answer with the version of the thing, `"3"`. [`finish`] adds what the answer looks like,
//! `"3-5c83a1b0d2e4f607"`, since one version looks different to different callers, with other `fields`, after its
//! collection got a field, or beside what it refers to. A change asks for the version, a read for the whole tag.
use std::hash::{DefaultHasher, Hasher as _};

use poem::http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use poem::http::{Method, StatusCode};
use poem::{Body, Response};

use super::problem::{self, Problem};

/// Between the version and the look.
const SEPARATOR: char = '-';

/// The tag of a thing that counts its changes.
pub fn of_version(version: i64) -> String {
    format!("\"{version}\"")
}

/// Completes the tag of an answer that has one, and answers 304 to a reader who has just that.
/// `known` is the reader's `If-None-Match`, if it is one.
pub async fn finish(mut response: Response, known: Option<&str>) -> Response {
    if !response.status().is_success() || !response.headers().contains_key(ETAG) {
        return response;
    }
    let Ok(body) = response.take_body().into_bytes().await else {
        return Problem::new(&problem::INTERNAL, "the answer could not be written").respond();
    };
    let version = response.headers().get(ETAG).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let mut look = DefaultHasher::new();
    look.write(&body);
    let tag = format!("\"{}{SEPARATOR}{:016x}\"", version.trim_matches('"'), look.finish());
    if known.is_some_and(|it| is_among(&tag, it)) {
        response.headers_mut().remove(CONTENT_TYPE);
        response.set_status(StatusCode::NOT_MODIFIED);
    } else {
        response.set_body(Body::from(body));
    }
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// What a reader says that it has already.
pub fn known(method: &Method, headers: &HeaderMap) -> Option<String> {
    if ![Method::GET, Method::HEAD].contains(method) {
        return None;
    }
    let lists: Vec<_> = headers.get_all(IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok()).collect();
    (!lists.is_empty()).then(|| lists.join(","))
}

/// Whether a tag stands in the list of an `If-None-Match`, where weak ones count.
pub(super) fn is_among(tag: &str, list: &str) -> bool {
    list.split(',').map(|it| it.trim().trim_start_matches("W/")).any(|it| it == tag || it == "*")
}

/// Which versions a change is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// Whatever is there.
    Any,
    /// One of these, as they stand between the quotes.
    OneOf(Vec<String>),
}

impl IfMatch {
    /// Reads the header; absent, it allows anything.
    pub fn parse(header: Option<&str>) -> Result<Self, Problem> {
        let Some(header) = header.map(str::trim) else { return Ok(Self::Any) };
        if header == "*" {
            return Ok(Self::Any);
        }
        tags(header)
            .map(Self::OneOf)
            .ok_or_else(|| Problem::new(&problem::MALFORMED, "`If-Match` must be an entity tag such as \"3\""))
    }

    pub fn allows(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => {
                let version = version.to_string();
                tags.iter().any(|it| it.split(SEPARATOR).next() == Some(&version))
            }
        }
    }
}

/// The strong tags of a list, without their quotes. Weak ones are left out: they match nothing.
fn tags(mut list: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    loop {
        let weak = list.strip_prefix("W/");
        // A tag may hold a comma, so the list cannot be split at them.
        let (tag, rest) = weak.unwrap_or(list).strip_prefix('"')?.split_once('"')?;
        if weak.is_none() {
            tags.push(tag.to_owned());
        }
        let rest = rest.trim_start();
        if rest.is_empty() {
            return Some(tags);
        }
        list = rest.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(header: Option<&str>, version: i64) -> Option<bool> {
        IfMatch::parse(header).ok().map(|it| it.allows(version))
    }

    #[test]
    fn a_change_is_allowed_for_the_version_that_it_names() {
        assert_eq!(allows(None, 3), Some(true));
        assert_eq!(allows(Some("*"), 3), Some(true));
        assert_eq!(allows(Some("\"3\""), 3), Some(true));
        assert_eq!(allows(Some("\"3-5c83a1b0d2e4f607\""), 3), Some(true), "however it looked");
        assert_eq!(allows(Some("\"33-5c83a1b0d2e4f607\""), 3), Some(false));
        assert_eq!(allows(Some("\"2\", \"3\""), 3), Some(true));
        assert_eq!(allows(Some("\"2\""), 3), Some(false));
        assert_eq!(allows(Some("\"a, b\" ,W/\"2\",\"3\""), 3), Some(true), "a comma may stand in a tag");
        assert_eq!(allows(Some("W/\"3\""), 3), Some(false), "weak tags never match");
    }

    fn answer(body: &'static str) -> Response {
        Response::builder().header(ETAG, of_version(3)).content_type("application/json").body(body)
    }

    #[tokio::test]
    async fn a_reader_who_has_just_that_answer_is_not_sent_it_again() {
        let first = finish(answer("{}"), None).await;
        let tag = first.header("etag").expect("a tag").to_owned();
        let other = finish(answer("{ }"), Some(&tag)).await;
        let list = format!("\"x\", W/{tag}");
        let again = finish(answer("{}"), Some(&list)).await;

        assert!(tag.starts_with("\"3-") && tag.len() == 20, "{tag}");
        assert_eq!((first.status(), other.status()), (StatusCode::OK, StatusCode::OK), "it looks different");
        assert_eq!((again.status(), again.header("etag")), (StatusCode::NOT_MODIFIED, Some(tag.as_str())));
        assert_eq!(again.into_body().into_string().await.expect("a body"), "");
        assert_eq!(other.into_body().into_string().await.expect("a body"), "{ }");
    }

    #[test]
    fn what_is_no_tag_is_malformed() {
        for header in ["3", "\"3", "", "\"3\" \"4\"", ","] {
            assert_eq!(allows(Some(header), 3), None, "{header}");
        }
    }
}
