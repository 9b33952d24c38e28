//! The name of one request: in its answer, in every log line about it, in its problem.
use poem::http::header::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::base::{Clock, Random};

pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id that is kept: enough for any tracing system, too short to fill a log with.
const ID_BYTES_MAX: usize = 128;

/// The id of the request at hand. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id that the client sent, if it sent one that is well-formed; otherwise a new one.
    pub fn of(headers: &HeaderMap, random: &Random, clock: &Clock) -> Self {
        let mut sent = headers.get_all(X_REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(only), None) if is_well_formed(only.as_bytes()) => Self(only.clone()),
            _ => Self::new(random.uuid_v7(clock)),
        }
    }

    fn new(uuid: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        let text = uuid.hyphenated().encode_lower(&mut buffer);
        Self(HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("")))
    }

    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Letters, digits and the marks that ids are made of; no spaces, quotes, commas, brackets or escapes, so that
/// an id can stand in a header, a log line and a shell command as it is.
fn is_well_formed(id: &[u8]) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len())
        && id.iter().all(|it| it.is_ascii_alphanumeric() || b"-_.:/+=~@".contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    fn id_for(sent: &[&[u8]]) -> String {
        let headers =
            sent.iter().map(|it| (X_REQUEST_ID, HeaderValue::from_bytes(it).expect("a header value"))).collect();
        let clock = Clock::stopped_at(Timestamp::from_millis(0));
        RequestId::of(&headers, &Random::counting(), &clock).as_str().to_owned()
    }

    #[test]
    fn a_well_formed_id_is_kept() {
        let longest = "a".repeat(128);

        assert_eq!(id_for(&[b"order-4711/retry.2"]), "order-4711/retry.2");
        assert_eq!(id_for(&[longest.as_bytes()]), longest);
    }

    /// Whatever else is sent would end up in logs, and in tools that read them.
    #[test]
    fn any_other_id_is_replaced() {
        let too_long = "a".repeat(129);
        let made = "00000000-0000-7000-8000-000000000001";

        for sent in [
            b"".as_slice(),
            b"a b",
            b"a\"b",
            b"a,b",
            b"a\tb",
            b"{x}",
            b"a;b",
            b"$(x)",
            "\u{fc}".as_bytes(),
            too_long.as_bytes(),
        ] {
            assert_eq!(id_for(&[sent]), made);
        }
        assert_eq!(id_for(&[]), made);
        assert_eq!(id_for(&[b"a", b"b"]), made);
    }
}
