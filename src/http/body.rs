//! The guard between a client's body and whoever reads it: not too much, not too slowly, and not too many at once.
//!
//! It counts what arrives and does not believe `Content-Length`, except when that
//! already admits too much. The reader sees an I/O error around the problem; the
//! shell asks the meter too, for readers that do not look into errors.
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};
use poem::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue};
use tokio::time::{Instant, Sleep, sleep_until};

use super::address::throttle_key;
use super::memory::Memory;
use super::policy::Limits;
use super::problem::{self, Problem, ProblemError};

/// How much body a request may bring; in the extensions of every request that brings one.
///
/// A route that takes more says so before it reads:
/// `request.data::<BodyCap>().map(|it| it.raise(files_bytes_max))`.
#[derive(Clone, Debug)]
pub struct BodyCap(Arc<Meter>);

impl BodyCap {
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        Self(meter)
    }

    /// Lets this one request bring up to `bytes`. Never lowers.
    ///
    /// Whoever raises it reads part by part and keeps none: what arrives is no longer counted as held in memory.
    pub fn raise(&self, bytes: u64) {
        self.0.bytes_max.fetch_max(bytes, Ordering::Relaxed);
        self.0.is_passed_on.store(true, Ordering::Relaxed);
    }

    /// Says that the reader got further, so that the time of the request begins anew: for one that works through
    /// a long body part by part.
    pub fn got_further(&self) {
        self.0.clients_turn_until(Instant::now());
    }
}

/// Refuses a body that is compressed: nobody here unpacks one, and packed it would be taken for something else.
/// The answer says what is taken (RFC 9110 section 15.5.16).
pub(super) fn must_be_plain(headers: &HeaderMap) -> Result<(), Problem> {
    let is_plain = |it: &HeaderValue| {
        let mut codings = it.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        codings.all(|it| it.is_empty() || it.eq_ignore_ascii_case(b"identity"))
    };
    if headers.get_all(CONTENT_ENCODING).iter().all(is_plain) {
        return Ok(());
    }
    let detail = "send the body as it is, without `Content-Encoding`";
    Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, detail)
        .with_header(ACCEPT_ENCODING, HeaderValue::from_static("identity")))
}

/// What is known of a body while it is read.
#[derive(Debug)]
pub(super) struct Meter {
    began: Instant,
    bytes_max: AtomicU64,
    verdict: AtomicU8,
    /// Milliseconds since `began` until which it was, or is, the client's turn.
    clients_turn_ms: AtomicU64,
    /// Whether the reader keeps nothing of it.
    is_passed_on: AtomicBool,
    memory: Arc<Memory>,
    /// Whose share of the memory it is; the operator has none.
    client: Option<IpAddr>,
    held_bytes: AtomicU64,
    held_bytes_max: u64,
}

const FINE: u8 = 0;
const TOO_LARGE: u8 = 1;
const TOO_SLOW: u8 = 2;
const NO_ROOM: u8 = 3;

/// How long a client should wait when too many bodies are in memory: most are gone in a moment.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);

impl Meter {
    /// Measures a body of `client`, held in `memory` within these limits.
    pub(super) fn new(limits: &Limits, memory: Arc<Memory>, client: Option<IpAddr>) -> Self {
        Self {
            began: Instant::now(),
            bytes_max: AtomicU64::new(limits.body_bytes_max),
            verdict: AtomicU8::new(FINE),
            clients_turn_ms: AtomicU64::new(0),
            is_passed_on: AtomicBool::new(false),
            memory,
            client: client.map(throttle_key),
            held_bytes: AtomicU64::new(0),
            held_bytes_max: limits.bodies_bytes_max,
        }
    }

    /// Notes that `bytes` arrived, `received` with all before them; false if there is no room for them.
    fn hold(&self, bytes: u64, received: u64) -> bool {
        if self.is_passed_on.load(Ordering::Relaxed) {
            return true;
        }
        let is_held = self.memory.take(self.client, bytes, received, self.held_bytes_max);
        if is_held {
            self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        is_held
    }

    /// Why the body was cut, if it was.
    pub(super) fn problem(&self) -> Option<Problem> {
        match self.verdict.load(Ordering::Relaxed) {
            TOO_LARGE => {
                let bytes_max = self.bytes_max.load(Ordering::Relaxed);
                Some(Problem::new(&problem::BODY_TOO_LARGE, format!("this path takes at most {bytes_max} bytes")))
            }
            NO_ROOM => {
                let detail = "too many bodies are being sent at the same time; try again in a moment";
                Some(Problem::new(&problem::BUSY, detail).retry_after(RETRY_WHEN_FULL))
            }
            TOO_SLOW => Some(Problem::new(&problem::TOO_SLOW, "the body arrived too slowly")),
            _ => None,
        }
    }

    /// When the handler's own time began: it has none while it waits for the client.
    pub(super) fn handlers_turn(&self) -> Instant {
        self.began + Duration::from_millis(self.clients_turn_ms.load(Ordering::Relaxed))
    }

    fn clients_turn_until(&self, moment: Instant) {
        let millis = u64::try_from(moment.saturating_duration_since(self.began).as_millis()).unwrap_or(0);
        self.clients_turn_ms.store(millis, Ordering::Relaxed);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.memory.give_back(self.client, *self.held_bytes.get_mut());
    }
}

/// A body that ends in an error once it is too large or too slow.
pub(super) struct Guarded {
    inner: BoxBody<Bytes, io::Error>,
    meter: Arc<Meter>,
    declared: Option<u64>,
    received: u64,
    bytes_per_sec_min: u64,
    grace: Duration,
    /// How long the client was waited for, in all. Time that the handler takes for itself is not the client's.
    waited: Duration,
    waiting: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    cut: bool,
}

impl Guarded {
    /// Guards `inner`, of which the client says it has `declared` bytes.
    pub(super) fn new(
        inner: BoxBody<Bytes, io::Error>,
        declared: Option<u64>,
        meter: Arc<Meter>,
        limits: &Limits,
    ) -> Self {
        Self {
            inner,
            meter,
            declared,
            received: 0,
            bytes_per_sec_min: limits.body_bytes_per_sec_min,
            grace: limits.body_grace,
            waited: Duration::ZERO,
            waiting: None,
            alarm: None,
            cut: false,
        }
    }

    fn cut(&mut self, verdict: u8) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.meter.verdict.store(verdict, Ordering::Relaxed);
        self.cut = true;
        let cause = match self.meter.problem() {
            Some(problem) => io::Error::other(ProblemError(problem)),
            None => io::ErrorKind::InvalidData.into(),
        };
        Poll::Ready(Some(Err(cause)))
    }

    /// Waits for the client, but not past the moment at which it falls below the floor.
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        if self.waiting.is_none() {
            self.waiting = Some(now);
            let due = now + allowed(self.grace, self.received, self.bytes_per_sec_min).saturating_sub(self.waited);
            self.meter.clients_turn_until(due);
            match &mut self.alarm {
                Some(alarm) => alarm.as_mut().reset(due),
                none => *none = Some(Box::pin(sleep_until(due))),
            }
        }
        self.alarm.as_mut().map_or(Poll::Pending, |it| it.as_mut().poll(cx))
    }

    fn heard(&mut self) {
        if let Some(since) = self.waiting.take() {
            let now = Instant::now();
            self.waited += now.saturating_duration_since(since);
            self.meter.clients_turn_until(now);
        }
    }
}

/// How long one may wait, in all, for a body of which `received` bytes are there.
fn allowed(grace: Duration, received: u64, bytes_per_sec_min: u64) -> Duration {
    let earned_ms = received.saturating_mul(1_000).checked_div(bytes_per_sec_min).unwrap_or(u64::MAX);
    grace.max(Duration::from_millis(earned_ms).min(Duration::from_secs(86_400)))
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.cut {
            return Poll::Ready(None);
        }
        let bytes_max = self.meter.bytes_max.load(Ordering::Relaxed);
        if self.declared.is_some_and(|it| bytes_max < it) {
            return self.cut(TOO_LARGE);
        }
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.heard();
                let length = u64::try_from(frame.data_ref().map_or(0, Bytes::len)).unwrap_or(u64::MAX);
                self.received = self.received.saturating_add(length);
                if bytes_max < self.received {
                    return self.cut(TOO_LARGE);
                }
                if !self.meter.hold(length, self.received) {
                    return self.cut(NO_ROOM);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(end) => {
                self.heard();
                Poll::Ready(end)
            }
            Poll::Pending => match self.wait(cx) {
                Poll::Ready(()) => self.cut(TOO_SLOW),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slow line is not an attack; a byte now and then is.
    #[test]
    fn the_wait_grows_with_what_arrived() {
        let grace = Duration::from_secs(5);

        assert_eq!(allowed(grace, 0, 1_024), grace);
        assert_eq!(allowed(grace, 5 * 1_024, 1_024), grace);
        assert_eq!(allowed(grace, 60 * 1_024, 1_024), Duration::from_secs(60));
        assert_eq!(allowed(grace, u64::MAX, 1), Duration::from_secs(86_400));
        assert_eq!(allowed(grace, 1, 0), Duration::from_secs(86_400));
    }

    #[test]
    fn a_route_may_raise_its_cap_but_not_lower_it() {
        let limits = Limits { body_bytes_max: 10, ..Limits::default() };
        let meter = Arc::new(Meter::new(&limits, Arc::default(), None));
        let cap = BodyCap::new(meter.clone());

        cap.raise(20);
        cap.raise(5);

        assert_eq!(meter.bytes_max.load(Ordering::Relaxed), 20);
    }
}
