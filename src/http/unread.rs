//! What a body still holds when the answer to its request is made.
//!
//! hyper closes a connection whose last body was not read to its end, and the answer does not tell: who sends the next
//! request there finds nobody. So a small rest is read, as far as it comes at once; with any other the answer says
//! that the connection ends with it.
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, SizeHint};
use poem::Request;
use poem::http::Version;
use poem::http::header::EXPECT;
use tokio::time::timeout;

/// Largest rest that is read: a new connection costs about as much.
const REST_BYTES_MAX: u64 = 64 * 1024;
/// How long it is waited for. A client that sends head and body in two parts sends them one after the other.
const WAIT_MAX: Duration = Duration::from_millis(200);

type Inner = BoxBody<Bytes, io::Error>;
/// Where a body lies that was not read to its end.
type Shelf = Arc<Mutex<Option<Inner>>>;

/// The body of one request, for when whoever it was lent to is done.
pub(super) struct Unread {
    shelf: Shelf,
    /// Whether the client waits to be asked for it, so that nothing comes by itself.
    is_held_back: bool,
}

impl Unread {
    /// Leaves the request with its body, and notes when that is dropped. Nothing if there is none, or if its
    /// connection does not depend on it, as with HTTP/2.
    pub(super) fn lend(request: &mut Request) -> Option<Self> {
        if request.version() >= Version::HTTP_2 {
            return None;
        }
        let inner: Inner = request.take_body().into();
        if inner.is_end_stream() {
            request.set_body(poem::Body::from(inner));
            return None;
        }
        let unread = Self { shelf: Shelf::default(), is_held_back: request.headers().contains_key(EXPECT) };
        let lent = Lent { inner: Some(inner), shelf: unread.shelf.clone() };
        request.set_body(poem::Body::from(BoxBody::new(lent)));
        Some(unread)
    }

    /// Reads what is left. False if that is too much or does not come.
    pub(super) async fn settle(self) -> bool {
        let left = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut left) = left.filter(|it| !it.is_end_stream()) else { return true };
        if self.is_held_back || REST_BYTES_MAX < left.size_hint().lower() {
            return false;
        }
        let read = async {
            let mut bytes = 0;
            while let Some(part) = left.frame().await {
                let Ok(part) = part else { return false };
                bytes += part.data_ref().map_or(0, |it| it.len() as u64);
                if REST_BYTES_MAX < bytes {
                    return false;
                }
            }
            true
        };
        timeout(WAIT_MAX, read).await.unwrap_or(false)
    }
}

/// A body that goes to the shelf when it is dropped before its end.
struct Lent {
    inner: Option<Inner>,
    shelf: Shelf,
}

impl Body for Lent {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.inner = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Inner::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Inner::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.shelf.lock().unwrap_or_else(PoisonError::into_inner) = self.inner.take();
    }
}
