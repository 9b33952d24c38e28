//! What happens to every request before and after the feature that answers it.
//!
//! In this order: the host is checked, aliases are rewritten, the client's address
//! is found, a preflight is answered, the body is guarded, the feature runs with a
//! deadline and behind a wall that stops panics, failures become problems, headers
//! are set, and one line is logged. What each step decides is a pure function in a
//! file of its own; here is only the order.
use std::any::Any;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Body as _;
use poem::endpoint::BoxEndpoint;
use poem::http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, TRANSFER_ENCODING,
};
use poem::http::uri::Scheme;
use poem::http::{Method, StatusCode, Uri, Version};
use poem::{Body, Endpoint, Request, Response};
use tracing::Instrument;

use super::address::{self, ClientAddress, Origin, Reached};
use super::body::{self, BodyCap, Guarded, Meter};
use super::log::{self, Line, Who};
use super::memory::Memory;
use super::openapi::Documents;
use super::outgoing::Outgoing;
use super::policy::{LivePolicy, Policy};
use super::problem::{self, Problem};
use super::request_id::{RequestId, X_REQUEST_ID};
use super::unread::Unread;
use super::{alias, host, pages, security_headers};
use crate::base::{Clock, Random, TenantId};

pub(super) const X_RESPONSE_TIME: HeaderName = HeaderName::from_static("x-response-time");
/// How long a client should wait when its request was given up: the cause seldom passes at once.
const RETRY_WHEN_LATE: Duration = Duration::from_secs(5);

/// In the extensions of a request that says how long its body is, and also that it comes in chunks.
///
/// The accept loop sees that, and hyper takes the length away.
#[derive(Clone, Copy, Debug)]
pub(super) struct TwoLengths;

/// The router in its shell. Extensions of every request that the router sees:
/// [`ClientAddress`], [`Reached`], [`RequestId`], [`TenantId`], [`Who`], the [`Policy`],
/// and [`BodyCap`] if there is a body.
pub struct Shell {
    router: BoxEndpoint<'static>,
    policy: LivePolicy,
    clock: Clock,
    random: Random,
    tenant: TenantId,
    documents: Option<Documents>,
    /// What the bodies of all requests take of it.
    memory: Arc<Memory>,
    outgoing: Outgoing,
}

impl Shell {
    pub fn new(router: BoxEndpoint<'static>, policy: LivePolicy, clock: Clock, random: Random) -> Self {
        let (tenant, memory, outgoing) = (TenantId::main(), Arc::default(), Outgoing::new());
        Self { router, policy, clock, random, tenant, documents: None, memory, outgoing }
    }

    /// Lets a refused method be told which ones the path takes.
    pub fn described_by(self, documents: Documents) -> Self {
        Self { documents: Some(documents), ..self }
    }

    pub(super) fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// A name for an answer to nothing that was asked.
    pub(super) fn new_id(&self) -> RequestId {
        RequestId::of(&HeaderMap::new(), &self.random, &self.clock)
    }

    /// Answers one request, whatever happens.
    pub async fn answer(&self, mut request: Request) -> Response {
        let began = Instant::now();
        let policy = self.policy();
        let unread = Unread::lend(&mut request);
        let id = RequestId::of(request.headers(), &self.random, &self.clock);
        let handed_on = request.extensions_mut().remove::<Origin>();
        let mut origin =
            handed_on.unwrap_or_else(|| address::of(peer(&request), request.headers(), &policy.trusted_proxies));
        if *request.scheme() == Scheme::HTTPS {
            origin.https = Some(true);
        }
        let (method, version) = (request.method().clone(), request.version());
        let path = request.uri().clone();
        let wants_page = pages::is_wanted(&request);
        let page = request.headers().get(ORIGIN).cloned();
        let who = Who::default();

        let admitted = self.outgoing.admit(origin.client, &method);
        let mut response = match admitted.and_then(|()| self.admit(&mut request, &policy, &mut origin, &id, &who)) {
            Err(problem) => problem.respond(),
            Ok(()) => match policy.cors.preflight(&method, request.headers()) {
                Some(preflight) => preflight,
                None => self.run(request, &policy, &id).await,
            },
        };

        if let Some(unread) = unread
            && !response.headers().contains_key(CONNECTION)
            && !unread.settle().await
        {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Err(problem) = self.outgoing.hold(origin.client, &method, &mut response) {
            response = problem.respond();
        }
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            self.say_what_is_allowed(path.clone(), &method, &mut response);
        }
        if wants_page {
            pages::finish(&mut response, id.as_str());
        }
        problem::finish(&mut response, id.as_str());
        let bytes = settle_body(&mut response, &method);
        let headers = response.headers_mut();
        if version >= Version::HTTP_2 {
            headers.remove(CONNECTION);
        }
        policy.cors.mark(page.as_ref(), headers);
        let line = Line {
            method: method.as_str(),
            path: path.path(),
            status: response.status().as_u16(),
            duration: Some(began.elapsed()),
            client: origin.client,
            request_id: &id,
            user: who.user(),
            bytes,
        };
        see_off(&mut response, &policy, origin.https == Some(true), &line);
        response
    }

    /// Answers a client whose head never became a request: as any other, but for the method and the path, which
    /// nobody knows, and what depends on them. `took` is the time since the head began.
    pub(super) fn refuse(&self, problem: Problem, peer: Option<IpAddr>, took: Option<Duration>) -> Response {
        let policy = self.policy();
        let nothing = HeaderMap::new();
        let id = self.new_id();
        let origin = address::of(peer, &nothing, &policy.trusted_proxies);
        let mut response = problem.respond();
        problem::finish(&mut response, id.as_str());
        let bytes = settle_body(&mut response, &Method::GET);
        let line = Line {
            method: log::UNKNOWN,
            path: log::UNKNOWN,
            status: response.status().as_u16(),
            duration: took,
            client: origin.client,
            request_id: &id,
            user: None,
            bytes,
        };
        see_off(&mut response, &policy, origin.https == Some(true), &line);
        response
    }

    fn say_what_is_allowed(&self, mut path: Uri, method: &Method, response: &mut Response) {
        if let Some(documents) = &self.documents {
            alias::rewrite(method, &mut path);
            response.headers_mut().insert(ALLOW, documents.methods_of(path.path()));
        }
    }

    /// Checks what can be checked without a feature, and says what was found to those who come after.
    fn admit(
        &self,
        request: &mut Request,
        policy: &Arc<Policy>,
        origin: &mut Origin,
        id: &RequestId,
        who: &Who,
    ) -> Result<(), Problem> {
        let host = host::of(request.version(), request.uri(), request.headers())
            .map_err(|reason| Problem::new(&problem::MALFORMED, reason))?;
        if request.extensions().get::<TwoLengths>().is_some() {
            let detail = "`Content-Length` and `Transfer-Encoding` contradict one another; send one of them";
            return Err(Problem::new(&problem::MALFORMED, detail));
        }
        must_be_read_one_way(request)?;
        if *request.method() == Method::CONNECT {
            return Err(Problem::new(&problem::METHOD_NOT_ALLOWED, "this server is no proxy"));
        }
        let method = request.method().clone();
        alias::rewrite(&method, request.uri_mut());

        let host = origin.host.clone().unwrap_or(host);
        // A trusted proxy that does not say how it was reached was reached as the public address is.
        let is_public = || host.to_str().is_ok_and(|it| policy.is_public_by_https(it));
        let https = *origin.https.get_or_insert_with(is_public);
        let extensions = request.extensions_mut();
        extensions.insert(ClientAddress(origin.client));
        extensions.insert(Reached::new(https, host));
        extensions.insert(id.clone());
        extensions.insert(self.tenant.clone());
        extensions.insert(who.clone());
        extensions.insert(Arc::clone(policy));
        Ok(())
    }

    /// Lets the router answer, with its body guarded and its time bounded.
    async fn run(&self, mut request: Request, policy: &Policy, id: &RequestId) -> Response {
        let version = request.version();
        let meter = match self.guard_body(&mut request, policy) {
            Ok(meter) => meter,
            Err(problem) => return problem.respond(),
        };
        // At error level, so that it is there for the cause of a failure whatever is filtered out.
        let span = tracing::error_span!("request", request.id = id.as_str());

        let outcome = async {
            let outcome = within(policy.limits.request_timeout, meter.as_deref(), self.router.call(request)).await;
            match outcome {
                Outcome::Answer(Ok(response)) => response,
                Outcome::Answer(Err(error)) => Problem::from_framework(error).await,
                Outcome::Late => late(policy.limits.request_timeout).respond(),
                Outcome::Panic(message) => {
                    tracing::error!(panic = message, "a request panicked");
                    Problem::new(&problem::INTERNAL, "the server's log has the cause, under the id in `instance`")
                        .respond()
                }
            }
        };
        let response = outcome.instrument(span).await;

        // Why the body ended early is known here only; the handler saw an I/O error.
        match meter.and_then(|it| it.problem()) {
            Some(cut) if !response.status().is_success() => {
                let mut response = cut.respond();
                if version < Version::HTTP_2 {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
            _ => response,
        }
    }

    /// Puts a guard around the body, if there is one.
    fn guard_body(&self, request: &mut Request, policy: &Policy) -> Result<Option<Arc<Meter>>, Problem> {
        let body: BoxBody<Bytes, std::io::Error> = request.take_body().into();
        if body.is_end_stream() {
            request.set_body(Body::from(body));
            return Ok(None);
        }
        body::must_be_plain(request.headers())?;
        let client = request.extensions().get::<ClientAddress>().and_then(|it| it.0);
        let declared = request.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
        let meter = Arc::new(Meter::new(&policy.limits, self.memory.clone(), client));
        let mut limits = policy.limits.clone();
        if client.is_none() {
            limits.body_bytes_per_sec_min = 0; // the operator may pipe in what takes its time to be made
        }
        let guarded = Guarded::new(body, declared, meter.clone(), &limits);
        request.set_body(Body::from(BoxBody::new(guarded)));
        request.extensions_mut().insert(BodyCap::new(meter.clone()));
        Ok(Some(meter))
    }
}

impl std::fmt::Debug for Shell {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shell").field("policy", &self.policy).field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Endpoint for Shell {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        Ok(self.answer(request).await)
    }
}

/// Refuses a head that others on the way could read differently, and a query whose bytes are no text.
fn must_be_read_one_way(request: &Request) -> Result<(), Problem> {
    let malformed = |detail: &str| Err(Problem::new(&problem::MALFORMED, detail));
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |it: &HeaderValue| it.as_bytes().eq_ignore_ascii_case(b"chunked");
    if codings.next().is_some_and(|it| !is_chunked(it)) || codings.next().is_some() {
        return malformed("the only `Transfer-Encoding` that is taken is `chunked`, once");
    }
    if 1 < request.headers().get_all(CONTENT_TYPE).iter().count() {
        return malformed("send `Content-Type` once");
    }
    let query = request.uri().query().unwrap_or_default();
    if query.contains('%') && percent_encoding::percent_decode_str(query).decode_utf8().is_err() {
        return malformed("the query has bytes that are not UTF-8");
    }
    Ok(())
}

/// Who is at the other end of the connection; nobody with an address, at the operator's socket.
fn peer(request: &Request) -> Option<IpAddr> {
    request.remote_addr().as_socket_addr().map(SocketAddr::ip)
}

enum Outcome<T> {
    Answer(T),
    Panic(String),
    Late,
}

/// Runs `work` until it ends, panics, or has used up its time. Waiting for the client's body is not its time.
async fn within<T>(timeout: Duration, body: Option<&Meter>, work: impl Future<Output = T>) -> Outcome<T> {
    let mut work = pin!(work);
    let mut guarded = pin!(poll_fn(|cx| {
        // A panicked future is not polled again, so nothing sees what it left half done.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Outcome::Answer),
            Err(panic) => std::task::Poll::Ready(Outcome::Panic(message(&*panic))),
        }
    }));
    let mut due = tokio::time::Instant::now() + timeout;
    loop {
        if let Ok(outcome) = tokio::time::timeout_at(due, guarded.as_mut()).await {
            return outcome;
        }
        let extended = body.map_or(due, |it| it.handlers_turn() + timeout);
        if extended <= due {
            return Outcome::Late;
        }
        due = extended;
    }
}

/// What a panic said.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

fn late(timeout: Duration) -> Problem {
    let detail = format!("the request was given up after {} s; it may have taken effect", timeout.as_secs());
    Problem::new(&problem::GIVEN_UP, detail).retry_after(RETRY_WHEN_LATE)
}

/// Takes the body off an answer to HEAD, and tells the size of the body if it is known.
fn settle_body(response: &mut Response, method: &Method) -> Option<u64> {
    let body: BoxBody<Bytes, std::io::Error> = response.take_body().into();
    let bytes = body.size_hint().exact();
    if *method != Method::HEAD {
        response.set_body(Body::from(body));
        return bytes;
    }
    // HTTP/2 would send what is left in it; the length is that of the answer to GET.
    if let Some(bytes) = bytes.filter(|it| 0 < *it) {
        response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
    }
    Some(0)
}

/// What every answer gets last: the headers that all of them carry, and its line in the log.
fn see_off(response: &mut Response, policy: &Policy, https: bool, line: &Line<'_>) {
    let headers = response.headers_mut();
    security_headers::apply(headers, https);
    headers.insert(X_REQUEST_ID, line.request_id.header_value());
    if let Some(duration) = line.duration {
        headers.insert(X_RESPONSE_TIME, response_time(duration));
    }
    if policy.log_requests {
        line.write();
    }
}

/// Milliseconds with three decimals: `1.234ms`.
pub(super) fn response_time(duration: Duration) -> HeaderValue {
    let micros = duration.as_micros();
    HeaderValue::try_from(format!("{}.{:03}ms", micros / 1_000, micros % 1_000))
        .unwrap_or(HeaderValue::from_static("0.000ms"))
}

#[cfg(test)]
mod tests;
