//! The body of an answer on its way out, and the watch over HTTP/2 streams whose client does not read.
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::task::TaskTracker;

use super::pulse::{InFlight, Since};

/// Largest part that is handed to HTTP/2 at once. It buffers whatever it gets, and the client decides how
/// long, so this bounds what a client can make each of its streams hold.
const PART_BYTES_MAX: usize = 16 * 1024;

tokio::task_local! {
    /// The watch over the HTTP/2 stream that runs in the current task.
    static WATCH: Arc<Watch>;
}

/// Since when the client of one stream has left a part of its answer lying.
struct Watch {
    opened: Instant,
    handed_over: Since,
}

/// Starts the tasks of HTTP/2 streams, each under a watch: a stream whose answer was not taken
/// for the write timeout is reset. The connection and its other streams go on.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) tasks: TaskTracker,
    pub(super) write_timeout: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let watch = Arc::new(Watch { opened: Instant::now(), handed_over: Since::never() });
        self.tasks.spawn(WATCH.scope(watch.clone(), watched(stream, watch, self.write_timeout)));
    }
}

async fn watched<F: Future>(stream: F, watch: Arc<Watch>, write_timeout: Duration) {
    let mut stream = pin!(stream);
    let mut alarm: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let Some(since) = watch.handed_over.get(watch.opened) else { return Poll::Pending };
            let due = since + write_timeout;
            let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if alarm.deadline() != due {
                alarm.as_mut().reset(due);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if watch.handed_over.get(watch.opened) == Some(since) {
                return Poll::Ready(());
            }
        }
    })
    .await;
}

/// The body of an answer. While it lives the request counts as in flight.
pub(super) struct AnswerBody {
    inner: BoxBody<Bytes, io::Error>,
    /// What is left of a part that was too large to hand over at once; HTTP/2 only.
    rest: Bytes,
    watch: Option<Arc<Watch>>,
    _in_flight: InFlight,
}

impl AnswerBody {
    pub(super) fn new(inner: BoxBody<Bytes, io::Error>, in_flight: InFlight) -> Self {
        let watch = WATCH.try_with(Arc::clone).ok();
        Self { inner, rest: Bytes::new(), watch, _in_flight: in_flight }
    }

    fn hand_over(&mut self, mut part: Bytes) -> Bytes {
        if let Some(watch) = &self.watch {
            watch.handed_over.set(watch.opened);
            if PART_BYTES_MAX < part.len() {
                self.rest = part.split_off(PART_BYTES_MAX);
            }
        }
        part
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(watch) = &self.watch {
            watch.handed_over.clear();
        }
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.hand_over(rest)))));
        }
        Pin::new(&mut self.inner).poll_frame(cx).map(|it| {
            it.map(|frame| {
                Ok(match frame?.into_data() {
                    Ok(part) => Frame::data(self.hand_over(part)),
                    Err(trailers) => trailers,
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let inner = self.inner.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower().saturating_add(rest));
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
