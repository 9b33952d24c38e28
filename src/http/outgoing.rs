//! Answers on their way out: how much of them waits in memory for clients that read slowly.
//!
//! An answer counts from when it is ready until its last byte was handed to the network. Without a
//! bound, some hundred clients that ask for long lists and read none of them would fill the memory.
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use poem::http::Method;
use poem::{Body, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use super::problem::{self, Problem};

/// Bytes of all answers that may wait at once.
const BYTES_MAX: usize = 128 << 20;
/// Answers up to this size are not counted: the limits of connections bound them.
const SMALL_BYTES_MAX: u64 = 4 << 10;
/// What is counted with.
const UNIT: usize = 1 << 10;

/// The room for all answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Outgoing(Arc<Semaphore>);

impl Outgoing {
    pub fn new() -> Self {
        Self::with_room(BYTES_MAX)
    }

    fn with_room(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// Gives an answer its room, or refuses it if there is none. One of unknown length takes its room part by part,
    /// and waits for it. What was done is answered in any case: a refusal would be taken for nothing done.
    pub fn hold(&self, method: &Method, response: &mut Response) -> Result<(), Problem> {
        let body: BoxBody<Bytes, io::Error> = response.take_body().into();
        let size = body.size_hint().exact();
        if !method.is_safe() || size.is_some_and(|it| it <= SMALL_BYTES_MAX) {
            response.set_body(Body::from(body));
            return Ok(());
        }
        let permit = size.map(|it| Arc::clone(&self.0).try_acquire_many_owned(units(it))).transpose();
        let permit = permit.map_err(|_| {
            Problem::new(&problem::BUSY, "too many answers wait for clients that read slowly; try again")
                .retry_after(problem::RETRY_WHEN_BUSY)
        })?;
        let held = Held { body, room: PollSemaphore::new(Arc::clone(&self.0)), permit, part: None };
        response.set_body(Body::from(BoxBody::new(held)));
        Ok(())
    }
}

/// The units that so many bytes take; what is larger than all of the room takes all of it.
fn units(bytes: u64) -> u32 {
    let units = usize::try_from(bytes).unwrap_or(usize::MAX).div_ceil(UNIT).min(BYTES_MAX / UNIT);
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// A body whose parts give their room back when they are sent.
struct Held {
    body: BoxBody<Bytes, io::Error>,
    room: PollSemaphore,
    /// The room of what is still to come, if its size is known.
    permit: Option<OwnedSemaphorePermit>,
    /// A part that waits for its room.
    part: Option<Bytes>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.part.is_none() {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(cx)) else { return Poll::Ready(None) };
            match frame?.into_data() {
                Ok(bytes) => this.part = Some(bytes),
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let wanted = units(this.part.as_ref().map_or(0, Bytes::len) as u64);
        let permit = match this.permit.as_mut().and_then(|it| it.split(wanted as usize)) {
            Some(permit) => Some(permit),
            // Several parts of one known size may each be rounded up: the last has to do with what is left.
            None if this.permit.is_some() => this.permit.take(),
            None => ready!(this.room.poll_acquire_many(cx, wanted)),
        };
        let bytes = this.part.take().unwrap_or_default();
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(Part { bytes, _permit: permit })))))
    }

    fn is_end_stream(&self) -> bool {
        self.part.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes with their room.
struct Part {
    bytes: Bytes,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;

    use super::*;

    fn answer(bytes: usize) -> Response {
        Response::builder().body(vec![b'x'; bytes])
    }

    fn streamed(parts: usize, bytes: usize) -> Response {
        let parts = stream::iter(vec![vec![b'x'; bytes]; parts]).map(|it| Ok::<_, io::Error>(Bytes::from(it)));
        Response::builder().body(Body::from_bytes_stream(parts))
    }

    async fn next(response: &mut BoxBody<Bytes, io::Error>) -> Bytes {
        response.frame().await.expect("a part").expect("whole").into_data().expect("data")
    }

    #[tokio::test]
    async fn an_answer_that_has_no_room_is_refused_and_others_go_on_once_it_was_sent() {
        let room = Outgoing::with_room(100 << 10);
        let mut first = answer(60 << 10);
        room.hold(&Method::GET, &mut first).expect("room");

        assert!(room.hold(&Method::GET, &mut answer(60 << 10)).is_err_and(|it| it.kind.status == 503));
        room.hold(&Method::GET, &mut answer(4 << 10)).expect("a small one is not counted");
        room.hold(&Method::POST, &mut answer(60 << 10)).expect("what was done is told");

        let mut body: BoxBody<Bytes, io::Error> = first.take_body().into();
        let sent = next(&mut body).await;
        drop(body);
        assert!(room.hold(&Method::GET, &mut answer(60 << 10)).is_err(), "it is still on its way");
        drop(sent);
        room.hold(&Method::GET, &mut answer(60 << 10)).expect("room again");
    }

    #[tokio::test]
    async fn a_stream_waits_until_its_last_part_was_sent() {
        let room = Outgoing::with_room(10 << 10);
        let mut response = streamed(3, 8 << 10);
        room.hold(&Method::GET, &mut response).expect("begun");
        let mut body: BoxBody<Bytes, io::Error> = response.take_body().into();
        let first = next(&mut body).await;

        assert!(futures_util::poll!(body.frame()).is_pending(), "there is no room for the second");
        drop(first);

        assert_eq!(next(&mut body).await.len(), 8 << 10);
        assert_eq!(next(&mut body).await.len(), 8 << 10);
        assert!(body.frame().await.is_none());
        assert_eq!(room.0.available_permits(), 10, "all room was given back");
    }

    #[tokio::test]
    async fn the_length_of_an_answer_stays_known() {
        let mut response = answer(60 << 10);
        Outgoing::new().hold(&Method::GET, &mut response).expect("room");
        let body: BoxBody<Bytes, io::Error> = response.take_body().into();
        assert_eq!(body.size_hint().exact(), Some(60 << 10));
        assert_eq!(body.collect().await.expect("whole").to_bytes().len(), 60 << 10);
    }
}
