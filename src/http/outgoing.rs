//! Answers on their way out: how much of them waits in memory for clients that read slowly.
//!
//! An answer counts from when it is ready until its last byte was handed to the network. Without a
//! bound, some hundred clients that ask for long lists and read none of them would fill the memory.
//! Answers whose length nobody knows yet are made while they are sent, part by part, and have bounds
//! of their own where they are made.
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use poem::http::Method;
use poem::{Body, Response};

use super::memory::{ADDRESS_SHARE, Memory};
use super::problem::{self, Problem};

/// Bytes of all answers that may wait at once; one address may have a quarter of it.
const BYTES_MAX: u64 = 128 << 20;
/// Answers up to this size are not counted: the limits of connections bound them.
const SMALL_BYTES_MAX: u64 = 4 << 10;

/// The room for all answers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    memory: Arc<Memory>,
    bytes_max: u64,
}

impl Outgoing {
    pub fn new() -> Self {
        Self { memory: Arc::default(), bytes_max: BYTES_MAX }
    }

    /// Refuses to do anything for a client who lets too much wait.
    pub fn admit(&self, client: Option<IpAddr>, method: &Method) -> Result<(), Problem> {
        if method.is_safe() || self.memory.has_room(client, self.bytes_max) { Ok(()) } else { Err(refusal()) }
    }

    /// Gives an answer its room, or refuses it if there is none. What was done is answered in any case: a refusal
    /// would be taken for nothing done.
    pub fn hold(&self, client: Option<IpAddr>, method: &Method, response: &mut Response) -> Result<(), Problem> {
        let body: BoxBody<Bytes, io::Error> = response.take_body().into();
        let Some(bytes) = body.size_hint().exact().filter(|it| SMALL_BYTES_MAX < *it) else {
            response.set_body(Body::from(body));
            return Ok(());
        };
        // One that is larger than a share takes all of it.
        let bytes = bytes.min(self.bytes_max / ADDRESS_SHARE);
        if !method.is_safe() {
            self.memory.take_anyway(client, bytes);
        } else if !self.memory.take(client, bytes, bytes, self.bytes_max) {
            return Err(refusal());
        }
        let room = Arc::new(Room { memory: Arc::clone(&self.memory), client, bytes });
        response.set_body(Body::from(BoxBody::new(Held { body, room })));
        Ok(())
    }
}

fn refusal() -> Problem {
    let detail = "too many answers wait for clients that read slowly; try again";
    Problem::new(&problem::BUSY, detail).retry_after(problem::RETRY_WHEN_BUSY)
}

/// The room of one answer, given back when the last of its bytes is gone.
struct Room {
    memory: Arc<Memory>,
    client: Option<IpAddr>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.memory.give_back(self.client, self.bytes);
    }
}

/// A body whose parts hold on to its room until they are sent.
struct Held {
    body: BoxBody<Bytes, io::Error>,
    room: Arc<Room>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)) else { return Poll::Ready(None) };
        let room = &self.room;
        let held = frame.map(|it| it.map_data(|bytes| Bytes::from_owner(Part { bytes, _room: Arc::clone(room) })));
        Poll::Ready(Some(held))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes with their room.
struct Part {
    bytes: Bytes,
    _room: Arc<Room>,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http_body_util::BodyExt;

    use super::*;

    const SIZE: usize = 60 << 10;

    /// Room for four answers, of which one address may have one.
    fn room() -> Outgoing {
        Outgoing { bytes_max: 4 * SIZE as u64, ..Outgoing::new() }
    }

    fn answer(bytes: usize) -> Response {
        Response::builder().body(vec![b'x'; bytes])
    }

    fn client(last: u8) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
    }

    #[tokio::test]
    async fn an_answer_that_has_no_room_is_refused_and_others_go_on_once_it_was_sent() {
        let room = room();
        let mut first = answer(SIZE);
        room.hold(client(1), &Method::GET, &mut first).expect("room");
        let is_refused = |last| room.hold(client(last), &Method::GET, &mut answer(SIZE)).is_err();

        let refused = room.hold(client(1), &Method::GET, &mut answer(SIZE)).expect_err("refused");
        assert_eq!(refused.kind.status, 503);
        assert!(!is_refused(2), "others have their share");
        room.hold(client(1), &Method::GET, &mut answer(4 << 10)).expect("a small one is not counted");
        let mut done = answer(SIZE);
        room.hold(client(1), &Method::POST, &mut done).expect("what was done is told");
        assert!(room.admit(client(1), &Method::POST).is_err(), "and no more is done for the time being");
        room.admit(client(2), &Method::POST).expect("others have their share");
        drop(done);

        let mut body: BoxBody<Bytes, io::Error> = first.take_body().into();
        let sent = body.frame().await.expect("a part").expect("whole").into_data().expect("data");
        drop(body);
        assert!(is_refused(1), "it is still on its way");
        drop(sent);
        assert!(!is_refused(1));
    }

    #[tokio::test]
    async fn an_answer_that_is_larger_than_a_share_is_sent_alone() {
        let room = room();
        let mut large = answer(10 * SIZE);
        room.hold(client(1), &Method::GET, &mut large).expect("room");

        assert!(room.hold(client(1), &Method::GET, &mut answer(SIZE)).is_err());
        drop(large);
        room.hold(client(1), &Method::GET, &mut answer(SIZE)).expect("room again");
    }

    #[tokio::test]
    async fn the_length_of_an_answer_stays_known() {
        let mut response = answer(SIZE);
        room().hold(client(1), &Method::GET, &mut response).expect("room");
        let body: BoxBody<Bytes, io::Error> = response.take_body().into();
        assert_eq!(body.size_hint().exact(), Some(SIZE as u64));
        assert_eq!(body.collect().await.expect("whole").to_bytes().len(), SIZE);
    }
}
