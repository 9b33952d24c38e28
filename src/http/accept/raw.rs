//! Answers to clients without a request: one for whom there is no room, and one whose head nobody can read.
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue};
use poem::Response;

use super::super::problem::{self, Problem};
use super::super::request_id::{RequestId, X_REQUEST_ID};
use super::super::shell::{X_RESPONSE_TIME, response_time};
use super::super::{Shell, security_headers};

/// How long a client should wait that was turned away: connections come and go all the time.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);

/// Stands for the id of an answer in what is made once for all, and is as long.
const ANY_ID: &str = "00000000-0000-0000-0000-000000000000";

/// What a client is told when there is no room, but for the id. Made once: it must cost next to nothing, so nothing of
/// the request is read, which takes no time, and it has no line of its own in the log.
static NO_ROOM: LazyLock<String> = LazyLock::new(|| {
    let busy = Problem::new(&problem::BUSY, "too many connections; try again later").retry_after(RETRY_WHEN_FULL);
    let mut response = busy.respond();
    problem::finish(&mut response, ANY_ID);
    let headers = response.headers_mut();
    security_headers::apply(headers, false);
    headers.insert(X_REQUEST_ID, HeaderValue::from_static(ANY_ID));
    headers.insert(X_RESPONSE_TIME, response_time(Duration::ZERO));
    String::from_utf8_lossy(&bytes(response)).into_owned()
});

/// What a client is told when there is no room, under a new id.
pub(super) fn no_room(id: &RequestId) -> Bytes {
    NO_ROOM.replace(ANY_ID, id.as_str()).into()
}

/// What the connection saw of a head that hyper cannot read, and does not tell why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) is_tls: bool,
    pub(super) lengths_differ: bool,
    pub(super) length_is_no_number: bool,
    /// The line with the method and the target.
    pub(super) first_line_bytes: usize,
}

/// Answers in hyper's place, on one connection.
pub(super) struct Refuser {
    pub(super) shell: Arc<Shell>,
    /// Nobody at the operator's socket.
    pub(super) peer: Option<IpAddr>,
}

impl Refuser {
    /// What to say instead of hyper's own words about a head that it cannot read, which are a bare status.
    pub(super) fn instead_of(&self, words_of_hyper: &[u8], took: Option<Duration>, seen: &Seen) -> Option<Bytes> {
        // Of a head that is too large, the first line is to blame if it alone fills half of what there is for all.
        let is_target = self.shell.policy().limits.header_bytes_max / 2 < seen.first_line_bytes;
        let problem = match words_of_hyper.strip_prefix(b"HTTP/1.1 ")?.get(..3)? {
            b"400" => Problem::new(&problem::MALFORMED, seen.what_is_malformed()),
            b"414" => Problem::new(&problem::TARGET_TOO_LONG, TARGET_TOO_LONG),
            b"431" if is_target => Problem::new(&problem::TARGET_TOO_LONG, TARGET_TOO_LONG),
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

impl Seen {
    fn what_is_malformed(self) -> &'static str {
        match self {
            Self { is_tls: true, .. } => TLS,
            Self { length_is_no_number: true, .. } => "`Content-Length` must be a whole number",
            Self { lengths_differ: true, .. } => "`Content-Length` is there more than once, with different numbers",
            _ => MALFORMED,
        }
    }
}

const TLS: &str =
    "this is TLS, and the server speaks plain HTTP here: begin the address with http://, or ask the proxy before it";
const TARGET_TOO_LONG: &str = "the path with its query is too long";
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
