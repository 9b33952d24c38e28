//! One line in the log for each request.
#[cfg(test)]
pub(super) mod kept;

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use poem::http::HeaderName;

use super::caller::Caller;
use super::request_id::RequestId;
use crate::base::{ApiKeyId, UserId};

/// Longest path in a line; the rest is cut off, so that long paths cannot fill a disk.
const PATH_BYTES_MAX: usize = 1024;
/// Longest method in a line. Registered methods have at most 17 letters.
const METHOD_BYTES_MAX: usize = 20;

/// Where whoever checks the caller leaves who it is, for the log line and for what is counted by key; in the extensions
/// of every request.
#[derive(Clone, Debug, Default)]
pub struct Who(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    user: OnceLock<UserId>,
    key: OnceLock<KeyUse>,
    caller: OnceLock<Caller>,
}

/// The API key that a request came with.
#[derive(Clone, Debug)]
pub struct KeyUse {
    pub key: ApiKeyId,
    /// What is left of its own limits.
    pub allowances: Vec<Allowance>,
}

/// How much of a limit is left.
#[derive(Clone, Debug)]
pub struct Allowance {
    /// Its name, of `a-z`, `0-9`, `-` and `_`.
    pub name: Arc<str>,
    pub limit: u32,
    pub left: u32,
    pub window_secs: u64,
    /// Until it begins anew.
    pub resets_in_secs: u64,
}

/// The headers that tell of limits, `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers); none for
/// none.
pub fn headers(allowances: &[Allowance]) -> Vec<(HeaderName, String)> {
    if allowances.is_empty() {
        return Vec::new();
    }
    let listed = |written: fn(&Allowance) -> String| allowances.iter().map(written).collect::<Vec<_>>().join(", ");
    let policy = listed(|it| format!("\"{}\";q={};w={}", it.name, it.limit, it.window_secs));
    let left = listed(|it| format!("\"{}\";r={};t={}", it.name, it.left, it.resets_in_secs));
    vec![(HeaderName::from_static("ratelimit-policy"), policy), (HeaderName::from_static("ratelimit"), left)]
}

impl Who {
    /// The first account that is told stands.
    pub fn is(&self, user: UserId) {
        let _ = self.0.user.set(user);
    }

    pub fn user(&self) -> Option<UserId> {
        self.0.user.get().copied()
    }

    /// The first caller that is told stands.
    pub fn calls(&self, caller: &Caller) {
        let _ = self.0.caller.set(caller.clone());
    }

    /// Whoever it was that a token or a key belonged to; not the operator at the socket.
    pub fn caller(&self) -> Option<&Caller> {
        self.0.caller.get()
    }

    /// The first key that is told stands.
    pub fn came_with(&self, key: KeyUse) {
        let _ = self.0.key.set(key);
    }

    pub fn key(&self) -> Option<&KeyUse> {
        self.0.key.get()
    }
}

/// What stands for the method and the path of a head that nobody could read.
pub const UNKNOWN: &str = "-";

/// What a line tells. Never the query: it may hold secrets.
#[derive(Debug)]
pub struct Line<'a> {
    pub method: &'a str,
    /// As the client sent it, before an alias was rewritten.
    pub path: &'a str,
    pub status: u16,
    /// From the first byte of the request; absent if nobody saw that come.
    pub duration: Option<Duration>,
    /// Nobody's at the operator's socket.
    pub client: Option<IpAddr>,
    pub request_id: &'a RequestId,
    pub user: Option<UserId>,
    /// The size of the answer's body, if it is known beforehand.
    pub bytes: Option<u64>,
}

impl Line<'_> {
    /// Probes come every few seconds for ever, so their lines are at debug level.
    pub fn write(&self) {
        macro_rules! line {
            ($level:expr) => {
                tracing::event!(
                    target: "steading::request",
                    $level,
                    method = %plain(self.method, METHOD_BYTES_MAX),
                    path = %plain(self.path, PATH_BYTES_MAX),
                    status = self.status,
                    duration_ms = self.duration.map(millis),
                    client.address = self.client.map(tracing::field::display),
                    request.id = self.request_id.as_str(),
                    user.id = self.user.map(tracing::field::display),
                    bytes = self.bytes,
                    "answered"
                )
            };
        }
        if is_probe(self.path) {
            line!(tracing::Level::DEBUG);
        } else {
            line!(tracing::Level::INFO);
        }
    }
}

/// Milliseconds with up to three decimals: most requests take less than one.
fn millis(duration: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years")]
    let micros = duration.as_micros() as f64;
    micros / 1_000.0
}

fn is_probe(path: &str) -> bool {
    path.strip_prefix("/health").is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

/// `text` with everything but visible ASCII percent-encoded, so that it can neither end
/// a line, nor move the cursor, nor turn the reading direction around.
fn plain(text: &str, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max && text.bytes().all(|it| it.is_ascii_graphic()) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(bytes_max.min(text.len()) + 3);
    for byte in text.bytes().take(bytes_max) {
        if byte.is_ascii_graphic() {
            plain.push(char::from(byte));
        } else {
            let _ = write!(plain, "%{byte:02X}");
        }
    }
    if bytes_max < text.len() {
        plain.push_str("...");
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sends_cannot_forge_a_line() {
        assert_eq!(plain("/api/v1/users", 99), "/api/v1/users");
        assert_eq!(plain("/a\nlevel=error \x1b[2J\u{202e}", 99), "/a%0Alevel=error%20%1B[2J%E2%80%AE");
    }

    #[test]
    fn a_long_path_is_cut() {
        let path = "a".repeat(PATH_BYTES_MAX + 1);

        assert_eq!(plain(&path, PATH_BYTES_MAX).len(), PATH_BYTES_MAX + 3);
        assert_eq!(plain(&path[1..], PATH_BYTES_MAX), path[1..]);
    }

    #[test]
    fn a_short_request_does_not_read_as_none() {
        assert_eq!(millis(Duration::from_nanos(42_999)).to_string(), "0.042");
        assert_eq!(millis(Duration::from_micros(1_500)).to_string(), "1.5");
    }

    #[test]
    fn probes_are_told_from_other_paths() {
        assert!(is_probe("/health") && is_probe("/health/ready"));
        assert!(!is_probe("/healthy") && !is_probe("/api/health"));
    }
}
