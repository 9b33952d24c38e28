//! Every failure as `application/problem+json` (RFC 9457).
//!
//! A feature turns its own error into a [`Problem`] with one `match`. A problem
//! travels inside the response as data; [`Problem::respond`] only sets status and
//! headers, and [`finish`] writes the body last, when the request id is known.
use std::time::Duration;

use poem::http::StatusCode;
use poem::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, Registry};
use poem_openapi::types::{Example, ToJSON, Type};
use poem_openapi::{ApiResponse, Object};

use super::{cookie, own_origin};
use crate::base::text::chain;
use crate::db;

/// The media type of every failure.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// How long a client should wait when a queue is full: a few group commits.
pub(super) const RETRY_WHEN_BUSY: Duration = Duration::from_secs(1);
/// How long a client should wait for an operator to free a disk or mend a file.
const RETRY_WHEN_BROKEN: Duration = Duration::from_secs(30);

/// Faults that one answer names. Who has more to mend than this starts with these.
pub const FAULTS_MAX: usize = 100;

/// A sort of problem. Its code is a promise: it never changes its meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub status: u16,
    /// Kebab-case; also the last part of `type`, and the name of the page in `assets/problems`.
    pub code: &'static str,
    pub title: &'static str,
}

pub const MALFORMED: Kind = Kind { status: 400, code: "malformed-request", title: "The request cannot be understood" };
/// Which of two people it is from must not be a guess.
pub const TWO_CALLERS: Kind = Kind { status: 400, code: "two-callers", title: "The request is from two people" };
pub const NOT_SIGNED_IN: Kind = Kind { status: 401, code: "not-signed-in", title: "Sign in first" };
pub const NOT_ALLOWED: Kind = Kind { status: 403, code: "not-allowed", title: "You may not do this" };
pub const NEEDS_SESSION: Kind = Kind { status: 403, code: "needs-session", title: "A person has to sign in for this" };
pub const IMPERSONATED: Kind = Kind { status: 403, code: "impersonated", title: "Not while acting as somebody else" };
pub const NOT_FOUND: Kind = Kind { status: 404, code: "not-found", title: "Nothing here" };
pub const METHOD_NOT_ALLOWED: Kind =
    Kind { status: 405, code: "method-not-allowed", title: "This path does not take that method" };
pub const TOO_SLOW: Kind = Kind { status: 408, code: "request-timeout", title: "The request took too long" };
pub const STALE: Kind = Kind { status: 412, code: "stale-version", title: "It was changed by someone else" };
pub const BODY_TOO_LARGE: Kind = Kind { status: 413, code: "body-too-large", title: "The body is too large" };
pub const TARGET_TOO_LONG: Kind = Kind { status: 414, code: "target-too-long", title: "The address is too long" };
pub const UNSUPPORTED_MEDIA_TYPE: Kind =
    Kind { status: 415, code: "unsupported-media-type", title: "This type of body is not taken here" };
pub const INVALID: Kind = Kind { status: 422, code: "validation-failed", title: "Some values are not valid" };
pub const TOO_MANY_REQUESTS: Kind = Kind { status: 429, code: "too-many-requests", title: "Too many requests" };
pub const HEAD_TOO_LARGE: Kind =
    Kind { status: 431, code: "head-too-large", title: "The head of the request is too large" };
pub const INTERNAL: Kind = Kind { status: 500, code: "internal", title: "Something went wrong on our side" };
pub const BUSY: Kind = Kind { status: 503, code: "busy", title: "The server is busy" };
pub const GIVEN_UP: Kind = Kind { status: 503, code: "given-up", title: "The request took too long to answer" };
pub const BUDGET_SPENT: Kind = Kind { status: 503, code: "budget-spent", title: "The query took too long" };
pub const STORAGE_DAMAGED: Kind =
    Kind { status: 503, code: "storage-damaged", title: "The data needs an operator's attention" };
pub const STOPPING: Kind = Kind { status: 503, code: "stopping", title: "The server is stopping" };
pub const STORAGE_FULL: Kind = Kind { status: 507, code: "storage-full", title: "The disk is full" };

/// Problems that any endpoint may report; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[
    &MALFORMED,
    &TWO_CALLERS,
    &NOT_SIGNED_IN,
    &NOT_ALLOWED,
    &NEEDS_SESSION,
    &own_origin::REFUSED,
    &cookie::NEEDS_HTTPS,
    &IMPERSONATED,
    &NOT_FOUND,
    &METHOD_NOT_ALLOWED,
    &TOO_SLOW,
    &STALE,
    &BODY_TOO_LARGE,
    &TARGET_TOO_LONG,
    &UNSUPPORTED_MEDIA_TYPE,
    &INVALID,
    &TOO_MANY_REQUESTS,
    &HEAD_TOO_LARGE,
    &INTERNAL,
    &BUSY,
    &GIVEN_UP,
    &BUDGET_SPENT,
    &STORAGE_DAMAGED,
    &STOPPING,
    &STORAGE_FULL,
];

/// One thing that is wrong with one member of a request.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub struct Fault {
    /// Where it is, as a JSON pointer (RFC 6901) into the body: `/email`.
    /// A query parameter is named as `?limit`.
    pub pointer: String,
    /// What is wrong, for programs: `required`, `unknown`, `type`, `too-long` …
    pub code: String,
    /// What is wrong, for people.
    pub detail: String,
}

impl Fault {
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), code: code.to_owned(), detail: detail.into() }
    }
}

/// A failure as the client sees it (RFC 9457).
#[derive(Debug, Object)]
#[oai(rename = "Problem", example)]
pub struct Document {
    /// The address of a page that explains this sort of problem.
    pub r#type: String,
    /// What sort of problem it is, in a few words; the same for every problem of its sort.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time.
    pub detail: String,
    /// The id of the request, as in `X-Request-Id` and in the server's log.
    pub instance: String,
    /// The sort of problem, for programs. A code never changes its meaning.
    pub code: String,
    /// Each thing that is wrong with the request, if it is about its values.
    #[oai(default, skip_serializing_if_is_empty)]
    pub errors: Vec<Fault>,
}

impl Example for Document {
    fn example() -> Self {
        let fault = Fault::new("/email", "email", "must be an e-mail address, such as ada@example.com");
        Problem::invalid(vec![fault]).document("0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80".to_owned())
    }
}

/// A failure on its way to the client.
#[derive(Clone, Debug)]
pub struct Problem {
    pub kind: &'static Kind,
    /// Fit for the client: no internals, no secrets.
    pub detail: String,
    pub errors: Vec<Fault>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// A member of its own sort (RFC 9457 section 3.2): its name, and its value as JSON.
    member: Option<(&'static str, String)>,
}

impl Problem {
    pub fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), headers: Vec::new(), member: None }
    }

    /// A failure that is ours. The cause is logged here, once and whole; the client sees the request id only.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(cause = %chain(cause), "a request failed on our side");
        Self::new(&INTERNAL, "the server's log has the cause, under the id in `instance`")
    }

    /// Well-formed, but with values that are not valid: all of them at once, up to [`FAULTS_MAX`].
    pub fn invalid(mut errors: Vec<Fault>) -> Self {
        if FAULTS_MAX < errors.len() {
            errors.truncate(FAULTS_MAX);
            let detail = format!("more than {FAULTS_MAX} values are not valid; `errors` has the first of them");
            return Self { errors, ..Self::new(&INVALID, detail) };
        }
        let detail = match errors.as_slice() {
            [only] if only.pointer.is_empty() => only.detail.clone(),
            [only] => format!("{}: {}", only.pointer, only.detail),
            many => format!("{} values are not valid; see `errors`", many.len()),
        };
        Self { errors, ..Self::new(&INVALID, detail) }
    }

    /// The masked 404, and the real one: the same words for what is hidden and for what is not there.
    pub fn not_found() -> Self {
        Self::new(&NOT_FOUND, "there is nothing here, or nothing that you may see")
    }

    pub fn not_signed_in() -> Self {
        Self::new(&NOT_SIGNED_IN, "send an access token as `Authorization: Bearer …`")
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// What is wrong, in words fit for the client.
    pub fn code(&self) -> &'static str {
        self.kind.code
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a member that only this sort of problem has. `json` is a value in JSON.
    pub fn with_member(self, name: &'static str, json: String) -> Self {
        Self { member: Some((name, json)), ..self }
    }

    /// The whole problem as JSON, about the request with that id: what stands in the body of its answer.
    pub fn to_json(mut self, request_id: &str) -> String {
        let member = self.member.take();
        let mut json = self.document(request_id.to_owned()).to_json_string();
        if let (Some((name, value)), Some(b'}')) = (member, json.as_bytes().last()) {
            json.truncate(json.len() - 1);
            json.push_str(&format!(",\"{name}\":{value}}}"));
        }
        json
    }

    /// Tells the client when another try makes sense, in whole seconds and at least one.
    pub fn retry_after(self, wait: Duration) -> Self {
        let secs = wait.as_secs() + u64::from(0 < wait.subsec_nanos());
        self.with_header(RETRY_AFTER, HeaderValue::from(secs.max(1)))
    }

    /// The response without its body, which [`finish`] writes.
    pub fn respond(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        for (name, value) in &self.headers {
            response.headers_mut().append(name.clone(), value.clone());
        }
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        response.extensions_mut().insert(self);
        response
    }

    /// What the client reads, about the request with that id.
    pub fn document(self, request_id: String) -> Document {
        Document {
            r#type: format!("/problems/{}", self.kind.code),
            title: self.kind.title.to_owned(),
            status: self.kind.status,
            detail: self.detail,
            instance: request_id,
            code: self.kind.code.to_owned(),
            errors: self.errors,
        }
    }

    /// Why a body did not arrive whole: as whoever guards bodies says, if it was stopped there.
    pub fn from_body(error: &poem::error::ReadBodyError) -> Self {
        if let Some(problem) = ProblemError::within(error) {
            return problem.clone();
        }
        match error {
            poem::error::ReadBodyError::PayloadTooLarge => {
                Self::new(&BODY_TOO_LARGE, "the body is larger than this path takes")
            }
            _ => Self::new(&MALFORMED, "the body could not be read to its end"),
        }
    }

    /// Turns a failure that the framework made, before or after an endpoint ran, into a problem.
    pub async fn from_framework(error: poem::Error) -> Response {
        use poem::error::{MethodNotAllowedError, NotFoundError, ReadBodyError, SizedLimitError};
        use poem_openapi::error::{
            AuthorizationError, ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError,
        };

        if error.is_from_response() {
            return error.into_response();
        }
        let problem = if let Some(cause) = error.downcast_ref::<ParseParamError>() {
            Self::invalid(vec![parameter_fault(cause.name, &cause.reason)])
        } else if error.is::<ParsePathError>() || error.is::<NotFoundError>() {
            // An id that is no id is the id of nothing.
            Self::not_found()
        } else if let Some(cause) = error.downcast_ref::<ParseRequestPayloadError>() {
            Self::new(&MALFORMED, cause.reason.clone())
        } else if let Some(cause) = error.downcast_ref::<ContentTypeError>() {
            Self::new(&UNSUPPORTED_MEDIA_TYPE, cause.to_string())
        } else if error.is::<AuthorizationError>() {
            Self::not_signed_in()
        } else if error.is::<MethodNotAllowedError>() {
            Self::new(&METHOD_NOT_ALLOWED, "see the OpenAPI document for the methods of this path")
        } else if error.is::<SizedLimitError>() {
            Self::new(&BODY_TOO_LARGE, "the body is larger than this path takes")
        } else if let Some(cause) = error.downcast_ref::<ReadBodyError>() {
            Self::from_body(cause)
        } else if error.status().is_client_error() {
            Self::new(&MALFORMED, error.to_string())
        } else {
            tracing::error!(cause = %error, "the framework failed");
            Self::new(&INTERNAL, "the server's log has the cause, under the id in `instance`")
        };
        problem.respond()
    }
}

/// What is wrong with a parameter that the framework could not read, in our words: its own name types of Rust.
fn parameter_fault(name: &str, reason: &str) -> Fault {
    let (code, detail) = if reason.starts_with("failed to parse \"integer") {
        ("type", "must be a whole number")
    } else if reason.starts_with("failed to parse \"boolean") {
        ("type", "must be `true` or `false`")
    } else {
        ("invalid", "is not what this parameter takes")
    };
    Fault::new(format!("?{name}"), code, detail)
}

/// Writes the body of a problem, if the response carries one. Called once, outermost, when the id is known.
pub fn finish(response: &mut Response, request_id: &str) {
    let Some(problem) = response.extensions_mut().remove::<Problem>() else { return };
    response.set_body(problem.to_json(request_id));
}

/// A problem on its way through code that only passes errors on, such as the reading of a body.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.detail)]
pub struct ProblemError(pub Problem);

impl ProblemError {
    /// The problem that an error carries, however often it was wrapped.
    pub fn within<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Problem> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(Self(problem)) = error.downcast_ref() {
                return Some(problem);
            }
            // `io::Error::source` skips the error that it wraps.
            let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
            next = match wrapped {
                Some(wrapped) => Some(wrapped),
                None => error.source(),
            };
        }
        None
    }
}

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        match &error {
            db::Error::QueueFull | db::Error::TooManyTenants => {
                Self::new(&BUSY, "more requests wait than the server takes; try again").retry_after(RETRY_WHEN_BUSY)
            }
            db::Error::StorageFull => Self::new(&STORAGE_FULL, "nothing was written; reading and deleting still work")
                .retry_after(RETRY_WHEN_BROKEN),
            db::Error::BudgetSpent | db::Error::TooLarge => {
                Self::new(&BUDGET_SPENT, "nothing was changed; ask for less at once").retry_after(RETRY_WHEN_BUSY)
            }
            db::Error::Damaged => Self::new(&STORAGE_DAMAGED, "nothing was written; the server's log says what to do")
                .retry_after(RETRY_WHEN_BROKEN),
            db::Error::Closed => Self::new(&STOPPING, "nothing was changed; try again").retry_after(RETRY_WHEN_BUSY),
            db::Error::NoTenant { .. } => Self::not_found(),
            db::Error::Opening { cause, .. } if matches!(**cause, db::Error::Damaged) => {
                tracing::error!(cause = %chain(&error), "a database cannot be used; restore a backup");
                Self::from(db::Error::Damaged)
            }
            _ => Self::internal(&error),
        }
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        // poem drops what a response carries, and keeps what its error does.
        let mut error = Self::from_response(problem.clone().respond());
        error.set_data(problem);
        error
    }
}

impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        let content = || vec![MetaMediaType { content_type: MEDIA_TYPE, schema: Document::schema_ref() }];
        let range = |status_range: &str| MetaResponse {
            // The document of the server says which failures these are: `http/openapi`.
            description: "The request failed; see `type`.",
            status: None,
            status_range: Some(status_range.to_owned()),
            content: content(),
            headers: vec![],
        };
        MetaResponses { responses: vec![range("4XX"), range("5XX")] }
    }

    fn register(registry: &mut Registry) {
        Document::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full queue is the client's cue to wait, never an internal error.
    #[test]
    fn a_full_queue_is_503_with_retry_after_and_a_full_disk_507() {
        let busy = Problem::from(db::Error::QueueFull).respond();
        let full = Problem::from(db::Error::StorageFull).respond();

        assert_eq!((busy.status().as_u16(), busy.header("retry-after")), (503, Some("1")));
        assert_eq!(full.status().as_u16(), 507);
    }

    /// What an engine says may name tables, paths or values: it belongs into the log.
    #[test]
    fn an_internal_cause_does_not_reach_the_client() {
        let cause = db::Error::Engine("no such table: secrets".into());

        let problem = Problem::from(cause);

        assert_eq!(problem.kind, &INTERNAL);
        assert!(!problem.detail.contains("secrets"));
    }

    /// A tenant's database may be opened for the first time by a request.
    #[test]
    fn a_file_that_cannot_be_opened_is_told_without_its_path() {
        let damaged = db::Error::Opening { file: "/srv/data/x.db".into(), cause: Box::new(db::Error::Damaged) };
        let newer = db::Error::Newer { found: 9, known: 8 };
        let newer = db::Error::Opening { file: "/srv/data/x.db".into(), cause: Box::new(newer) };

        for (error, kind) in [(damaged, &STORAGE_DAMAGED), (newer, &INTERNAL)] {
            let problem = Problem::from(error);
            assert_eq!(problem.kind, kind);
            assert!(!problem.detail.contains("/srv"), "{}", problem.detail);
        }
    }

    /// The guard of bodies speaks through two or three layers of `io::Error`.
    #[test]
    fn a_problem_is_found_however_often_it_was_wrapped() {
        use std::io;
        let problem = Problem::new(&BODY_TOO_LARGE, "at most 10 bytes");
        let wrapped = io::Error::other(io::Error::other(ProblemError(problem)));

        let found = Problem::from_body(&poem::error::ReadBodyError::Io(wrapped));
        let none = Problem::from_body(&poem::error::ReadBodyError::Io(io::Error::other("gone")));

        assert_eq!((found.kind, found.detail.as_str()), (&BODY_TOO_LARGE, "at most 10 bytes"));
        assert_eq!(none.kind, &MALFORMED);
    }

    #[tokio::test]
    async fn a_problem_keeps_its_body_on_its_way_through_the_framework() {
        let error = poem::Error::from(Problem::not_found());

        let mut response = Problem::from_framework(error).await;
        finish(&mut response, "7");

        let body = response.into_body().into_string().await.expect("a body");
        assert!(body.contains(r#""code":"not-found""#), "{body}");
    }

    #[tokio::test]
    async fn what_the_framework_says_of_a_parameter_is_told_in_our_words() {
        for (reason, words) in [
            (r#"failed to parse "integer(uint64)": invalid digit"#, "must be a whole number"),
            (r#"failed to parse "boolean": provided string was not `true`"#, "must be `true` or `false`"),
            ("verification failed. minimum(1)", "is not what this parameter takes"),
        ] {
            let error = poem_openapi::error::ParseParamError { name: "dryRun", reason: reason.to_owned() };

            let mut response = Problem::from_framework(error.into()).await;
            finish(&mut response, "7");

            let body = response.into_body().into_string().await.expect("a body");
            assert!(body.contains(&format!(r#""detail":"?dryRun: {words}""#)), "{body}");
        }
    }

    #[test]
    fn the_chain_of_causes_is_one_line() {
        let error = db::Error::Engine("disk I/O error".into());

        assert_eq!(chain(&error), "the database refused a statement: disk I/O error");
    }

    #[test]
    fn every_code_is_told_once() {
        let mut codes: Vec<_> = PROBLEMS.iter().map(|it| it.code).collect();
        codes.sort_unstable();
        codes.dedup();

        assert_eq!(codes.len(), PROBLEMS.len());
    }
}
