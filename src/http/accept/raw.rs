//! Answers to clients without a request: one for whom there is no room, and one whose head nobody can read.
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use poem::Response;

use super::super::problem::{self, Problem};
use super::super::{Shell, security_headers};

/// How long a client should wait that was turned away: connections come and go all the time.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);

/// What a client is told when there is no room. Made once: it must cost next to nothing, so it has no id and no
/// line of its own in the log.
pub(super) static NO_ROOM: LazyLock<Bytes> = LazyLock::new(|| {
    let busy = Problem::new(&problem::BUSY, "too many connections; try again later").retry_after(RETRY_WHEN_FULL);
    let mut response = busy.respond();
    problem::finish(&mut response, "");
    security_headers::apply(response.headers_mut(), false);
    bytes(response)
});

/// Answers in hyper's place, on one connection.
pub(super) struct Refuser {
    pub(super) shell: Arc<Shell>,
    /// Nobody at the operator's socket.
    pub(super) peer: Option<IpAddr>,
}

impl Refuser {
    /// What to say instead of hyper's own words about a head that it cannot read, which are a bare status.
    pub(super) fn instead_of(&self, words_of_hyper: &[u8], took: Option<Duration>) -> Option<Bytes> {
        let problem = match words_of_hyper.strip_prefix(b"HTTP/1.1 ")?.get(..3)? {
            b"400" => Problem::new(&problem::MALFORMED, MALFORMED),
            b"414" => Problem::new(&problem::TARGET_TOO_LONG, "the path with its query is too long"),
            b"431" => Problem::new(&problem::HEAD_TOO_LARGE, HEAD_TOO_LARGE),
            _ => return None,
        };
        Some(bytes(self.shell.refuse(problem, self.peer, took)))
    }

    /// What to say about a head that is not complete in time.
    pub(super) fn too_slow(&self, took: Option<Duration>) -> Bytes {
        let problem = Problem::new(&problem::TOO_SLOW, "the head of the request took too long to come");
        bytes(self.shell.refuse(problem, self.peer, took))
    }
}

const MALFORMED: &str = "the head of the request is not HTTP (RFC 9112); in an address, spaces, quotes, < and > are written %20, %22, %3C, %3E";
const HEAD_TOO_LARGE: &str =
    "the head of the request, or the number of its headers, is too large: see `http.header_bytes_max`";

/// The last answer of a connection, as it is sent.
fn bytes(mut response: Response) -> Bytes {
    // It is in memory, so nobody waits for it.
    let body = response.take_body().into_bytes().now_or_never().and_then(Result::ok).unwrap_or_default();
    let mut text = format!("HTTP/1.1 {}\r\n", response.status()).into_bytes();
    write_headers(response.headers(), &mut text);
    text.extend_from_slice(format!("content-length: {}\r\nconnection: close\r\n\r\n", body.len()).as_bytes());
    text.extend_from_slice(&body);
    text.into()
}

fn write_headers(headers: &HeaderMap, text: &mut Vec<u8>) {
    for (name, value) in headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            text.extend_from_slice(part);
        }
    }
}
