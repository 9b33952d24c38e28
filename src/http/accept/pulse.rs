//! What a client is doing at the moment, and until when it may go on.
//!
//! hyper's own header timer is not used. It runs on an idle keep-alive connection
//! too, so an idle time longer than the header time cannot be said; it starts only
//! when the protocol is known, so a client that connects and is silent is never
//! cut; and it makes and drops a timer for every request. Here a request costs a
//! few plain stores, and one alarm per connection looks at them when it rings.
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::super::policy::Limits;

/// How long a client may take to close a connection that was closed on our side.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What HTTP/2 writes without being asked for anything, a few at a time: a ping has 17 bytes, a window 13. More
/// than that is a part of an answer.
const CONTROL_BYTES_MAX: usize = 64;
/// Nothing is due while a request is in flight.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The state of one connection. All of it is written by the connection's own task,
/// except `in_flight` and `idle_since`, which the tasks of HTTP/2 streams share.
#[derive(Debug)]
pub(super) struct Pulse {
    opened: Instant,
    header_timeout: Duration,
    idle_timeout: Duration,
    write_timeout: Duration,
    /// Requests whose answers are not written yet.
    in_flight: AtomicU32,
    had_request: AtomicBool,
    /// Whether everything that was answered is written, so that what is written next answers no request.
    is_quiet: AtomicBool,
    /// Whether the newest request had a body, which may not have been read to its end.
    had_body: AtomicBool,
    speaks_http2: AtomicBool,
    /// Whether what follows the request that was answered last is no HTTP any more.
    is_upgraded: AtomicBool,
    /// Whether the head that is being sent has given a length of its body.
    has_length: AtomicBool,
    /// Whether the client is told that its head takes too long.
    is_head_refused: AtomicBool,
    idle_since: Since,
    head_since: Since,
    write_since: Since,
    close_since: OnceLock<Instant>,
}

/// Why a connection has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Nothing was asked for a while: closed politely.
    Idle,
    /// The head of a request is not complete.
    Head,
    /// The client does not read its answer.
    Write,
    /// The client does not close its side.
    Close,
}

/// What bytes belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    NewHead,
    MoreOfHead,
    /// A body, or what a client sends ahead.
    Elsewhere,
}

impl Pulse {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            opened: Instant::now(),
            header_timeout: limits.header_timeout,
            idle_timeout: limits.idle_timeout,
            write_timeout: limits.write_timeout,
            in_flight: AtomicU32::new(0),
            had_request: AtomicBool::new(false),
            is_quiet: AtomicBool::new(true),
            had_body: AtomicBool::new(false),
            speaks_http2: AtomicBool::new(false),
            is_upgraded: AtomicBool::new(false),
            has_length: AtomicBool::new(false),
            is_head_refused: AtomicBool::new(false),
            idle_since: Since::never(),
            head_since: Since::never(),
            write_since: Since::never(),
            close_since: OnceLock::new(),
        }
    }

    /// Notes that a request begins; it ends when the guard is dropped.
    pub(super) fn begin(self: &Arc<Self>, has_body: bool) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.had_request.store(true, Ordering::Relaxed);
        self.is_quiet.store(false, Ordering::Relaxed);
        self.had_body.store(has_body, Ordering::Relaxed);
        self.head_since.clear();
        InFlight(self.clone())
    }

    pub(super) fn is_http2(&self) {
        self.speaks_http2.store(true, Ordering::Relaxed);
    }

    /// Notes that the client and a feature of ours speak another protocol from now on, and are on their own.
    pub(super) fn is_upgraded(&self) {
        self.is_upgraded.store(true, Ordering::Relaxed);
    }

    /// Notes that bytes arrived. Between requests they are the beginning of a head, or more of it.
    pub(super) fn received(&self) -> Arrived {
        if 0 < self.in_flight.load(Ordering::Relaxed) || self.is_upgraded.load(Ordering::Relaxed) {
            return Arrived::Elsewhere;
        }
        if self.head_since.set_once(self.opened) { Arrived::NewHead } else { Arrived::MoreOfHead }
    }

    /// Notes that the head gave a length of its body.
    pub(super) fn has_length(&self) {
        self.has_length.store(true, Ordering::Relaxed);
    }

    /// Whether the head of the request that begins now gave a length. Asked once for each.
    pub(super) fn take_length(&self) -> bool {
        self.has_length.swap(false, Ordering::Relaxed)
    }

    /// Begins to tell the client that its head takes too long. False if nothing can be said: a part of an answer
    /// may be on its way, or no head may have begun, or that was said already.
    pub(super) fn refuse_head(&self) -> bool {
        let can_be_told = self.speaks_unasked() && self.has_head();
        can_be_told && !self.is_head_refused.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_head_refused(&self) -> bool {
        self.is_head_refused.load(Ordering::Relaxed)
    }

    /// Notes that the client's side is full.
    pub(super) fn write_blocked(&self) {
        self.write_since.set_once(self.opened);
    }

    /// Notes that the client took `bytes`. Its answer may be buffered whole, with no request in flight
    /// any more, so this is what tells a slow reader from an idle one.
    pub(super) fn written(&self, bytes: usize) {
        self.write_since.clear();
        let is_part_of_an_answer = !self.is_quiet.load(Ordering::Relaxed) || CONTROL_BYTES_MAX < bytes;
        if is_part_of_an_answer && self.in_flight.load(Ordering::Relaxed) == 0 {
            self.idle_since.set(self.opened);
        }
    }

    /// Notes that all that hyper had to write is written.
    pub(super) fn flushed(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 {
            self.is_quiet.store(true, Ordering::Relaxed);
        }
    }

    /// Whether what hyper writes now is its own word about a head that it cannot read: of HTTP/1, and
    /// part of no answer.
    pub(super) fn speaks_unasked(&self) -> bool {
        let speaks_http1 = !self.speaks_http2.load(Ordering::Relaxed) && !self.is_upgraded.load(Ordering::Relaxed);
        self.is_quiet.load(Ordering::Relaxed) && speaks_http1
    }

    /// Whether a head is being sent.
    pub(super) fn has_head(&self) -> bool {
        self.head_since.get(self.opened).is_some()
    }

    /// How long ago the head began that is being sent, if that was seen.
    pub(super) fn head_took(&self) -> Option<Duration> {
        self.head_since.get(self.opened).map(|it| it.elapsed())
    }

    /// Notes that our side is closed, or asked to be.
    pub(super) fn closing(&self) {
        let _ = self.close_since.set(Instant::now());
    }

    /// Whether the client may still be sending something that nobody will read: the rest of
    /// a body, or of a head that was refused.
    pub(super) fn may_still_send(&self) -> bool {
        self.had_body.load(Ordering::Relaxed) || self.has_head()
    }

    /// When to look again at a connection for which nothing is due. A request of HTTP/2 may end
    /// without waking the connection, so it is never left alone for longer.
    pub(super) fn look_again(&self) -> Instant {
        Instant::now() + self.idle_timeout
    }

    /// When the client has to have moved on, and from what.
    pub(super) fn due(&self) -> (Instant, Overdue) {
        if let Some(blocked) = self.write_since.get(self.opened) {
            return (blocked + self.write_timeout, Overdue::Write);
        }
        // Acquire: who sees that the last request is over must see when it ended.
        if 0 < self.in_flight.load(Ordering::Acquire) {
            return (self.opened + NEVER, Overdue::Idle);
        }
        let idle = self.idle_since.get(self.opened).unwrap_or(self.opened);
        if let Some(closing) = self.close_since.get() {
            return (idle.max(*closing) + CLOSE_TIMEOUT, Overdue::Close);
        }
        // Between the requests of HTTP/2 there are pings and windows, which are no heads.
        if !self.speaks_http2.load(Ordering::Relaxed) {
            if let Some(head) = self.head_since.get(self.opened) {
                return (head + self.header_timeout, Overdue::Head);
            }
            if !self.had_request.load(Ordering::Relaxed) {
                // Silence after connecting is a head that takes long to come.
                return (self.opened + self.header_timeout, Overdue::Head);
            }
        }
        (idle + self.idle_timeout, Overdue::Idle)
    }
}

/// A request that is not answered to its end.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Pulse>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.idle_since.set(self.0.opened);
        self.0.in_flight.fetch_sub(1, Ordering::Release);
    }
}

/// The moment that something began, or never; in milliseconds since a connection was opened.
#[derive(Debug)]
pub(super) struct Since(AtomicU64);

const NOT: u64 = u64::MAX;

impl Since {
    pub(super) fn never() -> Self {
        Self(AtomicU64::new(NOT))
    }

    pub(super) fn get(&self, opened: Instant) -> Option<Instant> {
        match self.0.load(Ordering::Relaxed) {
            NOT => None,
            millis => Some(opened + Duration::from_millis(millis)),
        }
    }

    pub(super) fn set(&self, opened: Instant) {
        let millis = u64::try_from(opened.elapsed().as_millis()).unwrap_or(NOT);
        self.0.store(millis, Ordering::Relaxed);
    }

    /// True if it had not begun before.
    pub(super) fn set_once(&self, opened: Instant) -> bool {
        let is_new = self.0.load(Ordering::Relaxed) == NOT;
        if is_new {
            self.set(opened);
        }
        is_new
    }

    pub(super) fn clear(&self) {
        self.0.store(NOT, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse() -> Arc<Pulse> {
        Arc::new(Pulse::new(&Limits {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            ..Limits::default()
        }))
    }

    /// What is due, and in how many seconds from the opening.
    fn due(pulse: &Pulse) -> (u64, Overdue) {
        let (at, overdue) = pulse.due();
        (at.duration_since(pulse.opened).as_secs(), overdue)
    }

    async fn seconds(count: u64) {
        tokio::time::advance(Duration::from_secs(count)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_gets_the_time_of_a_head_and_no_more() {
        let pulse = pulse();
        assert_eq!(due(&pulse), (10, Overdue::Head));

        seconds(5).await;
        pulse.received();
        seconds(4).await;
        pulse.received();

        assert_eq!(due(&pulse), (15, Overdue::Head), "each byte bought more time");
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_the_idle_time_and_a_new_head_has_its_own() {
        let pulse = pulse();
        let request = pulse.begin(false);
        seconds(100).await;
        assert!(due(&pulse).0 > 1_000, "a request in flight is not timed here");

        drop(request);
        assert_eq!(due(&pulse), (160, Overdue::Idle));
        seconds(50).await;
        pulse.received();

        assert_eq!(due(&pulse), (160, Overdue::Head));
    }

    /// HTTP/2 answers pings and opens windows while nothing is asked.
    #[tokio::test(start_paused = true)]
    async fn between_the_streams_of_http_2_bytes_are_no_head() {
        let pulse = pulse();
        pulse.is_http2();
        pulse.received();

        assert_eq!(due(&pulse), (60, Overdue::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_read_is_overdue_and_progress_buys_time() {
        let pulse = pulse();
        let _request = pulse.begin(false);
        pulse.write_blocked();
        seconds(20).await;
        pulse.write_blocked();
        assert_eq!(due(&pulse), (30, Overdue::Write));

        pulse.written(1);
        pulse.write_blocked();

        assert_eq!(due(&pulse), (50, Overdue::Write));
    }

    /// The body of an answer is dropped once it is buffered, long before a slow client has it.
    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_not_idle() {
        let pulse = pulse();
        drop(pulse.begin(false));
        seconds(50).await;

        pulse.written(1);

        assert_eq!(due(&pulse), (110, Overdue::Idle));
    }

    /// Our own pings, and answers to the client's, would keep a connection that nobody uses for ever.
    #[tokio::test(start_paused = true)]
    async fn what_http_2_writes_by_itself_is_no_answer() {
        let pulse = pulse();
        pulse.is_http2();
        drop(pulse.begin(false));
        pulse.written(500);
        pulse.flushed();
        seconds(50).await;

        pulse.written(17);
        pulse.flushed();
        assert_eq!(due(&pulse), (60, Overdue::Idle));

        pulse.written(16_384);
        assert_eq!(due(&pulse), (110, Overdue::Idle), "a slow reader opened its window");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_the_answer_and_not_for_the_client() {
        let pulse = pulse();
        let request = pulse.begin(true);
        pulse.closing();
        seconds(100).await;
        assert!(due(&pulse).0 > 1_000);

        drop(request);

        assert_eq!(due(&pulse), (102, Overdue::Close));
    }
}
