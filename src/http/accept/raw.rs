//! Answers to clients without a request: one for whom there is no room, and one whose head nobody can read.
//!
//! There is no request id, no CORS and no log line, since there is no request that they would be about.
use std::fmt::Write as _;
use std::sync::LazyLock;

use poem_openapi::types::ToJSON;

use super::super::problem::{self, Problem};

/// What a client is told when there is no room. Made once: it must cost next to nothing.
pub(super) static NO_ROOM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    answer(Problem::new(&problem::BUSY, "too many connections; try again later"), "Retry-After: 5\r\n")
});

static MALFORMED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "the head of the request is not HTTP (RFC 9112); in an address, spaces, quotes, < and > are written %20, %22, %3C, %3E";
    answer(Problem::new(&problem::MALFORMED, detail), "")
});
static TARGET_TOO_LONG: LazyLock<Vec<u8>> =
    LazyLock::new(|| answer(Problem::new(&problem::TARGET_TOO_LONG, "the path with its query is too long"), ""));
static HEAD_TOO_LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let detail = "the head of the request, or the number of its headers, is too large: see `http.header_bytes_max`";
    answer(Problem::new(&problem::HEAD_TOO_LARGE, detail), "")
});

/// What to say instead of hyper's own words about a head that it cannot read, which are a bare status.
pub(super) fn instead_of(words_of_hyper: &[u8]) -> Option<&'static [u8]> {
    let status = words_of_hyper.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    match status {
        b"400" => Some(&MALFORMED),
        b"414" => Some(&TARGET_TOO_LONG),
        b"431" => Some(&HEAD_TOO_LARGE),
        _ => None,
    }
}

fn answer(problem: Problem, headers: &str) -> Vec<u8> {
    let (status, title) = (problem.kind.status, problem.kind.title);
    let body = problem.document(String::new()).to_json_string();
    let mut text = format!("HTTP/1.1 {status} {title}\r\n");
    // Writing to a string cannot fail.
    let _ = write!(text, "Content-Type: {}\r\nContent-Length: {}\r\n", problem::MEDIA_TYPE, body.len());
    let _ = write!(text, "{headers}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n");
    let _ = write!(text, "Connection: close\r\n\r\n{body}");
    text.into_bytes()
}
