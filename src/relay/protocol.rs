//! What a relay and its origin say to one another: JSON texts over one WebSocket, the link.
//!
//! The relay asks for it with its version and its name in the query; the origin begins with [`FromOrigin::Welcome`].
//! The relay counts its clients, and each message names the one that it is about. What is said to clients is JSON and
//! stands in a message as it is; what clients say may be anything, and stands in a text.
//!
//! Both sides ping. Neither says more of one client than the other takes: what is said to it and was not taken yet has
//! a window ([`cost`]), and what it said and was not heard yet has one too.
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The one version that there is. Another one is refused: both sides are of one release, or of two that say the same.
pub const VERSION: u32 = 1;

/// Where the origin takes links.
pub const PATH: &str = "/api/v1/realtime/relay";
/// Where both take clients.
pub const CLIENTS_PATH: &str = "/api/v1/realtime";

/// Characters of what a relay is called.
pub const NAME_CHARS_MAX: usize = 64;
/// Bytes of one message of a relay: one of a client may be six times as long as JSON.
pub const MESSAGE_BYTES_MAX: usize = 512 << 10;

/// What a message to a client costs of its window beside its bytes.
const MESSAGE_COST: usize = 32;

/// What a relay says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum FromRelay {
    /// Somebody asks for a WebSocket.
    Open(Box<Open>),
    /// A client said something.
    Heard { connection: u64, text: String },
    /// A client is gone, or was closed by the relay.
    Gone { connection: u64 },
    /// A client took so much of what it was told.
    Took { connection: u64, bytes: usize },
    /// A client answered a ping after so many microseconds.
    Answered { connection: u64, micros: u64 },
}

/// The request of somebody who asks for a WebSocket, as the origin would have got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Open {
    /// Counted by the relay.
    pub connection: u64,
    /// Where it comes from: the origin counts and judges by it.
    pub address: IpAddr,
    /// Whether the client's own connection is encrypted; absent where a proxy does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<bool>,
    pub host: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Names and values; each character of a value is one byte (ISO 8859-1), since a value need not be UTF-8.
    pub headers: Vec<(String, String)>,
}

/// What an origin says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FromOrigin<'a> {
    /// First of all.
    Welcome(Welcome),
    /// A client has its WebSocket.
    Opened { connection: u64 },
    /// A client gets this answer instead.
    Refused(Refusal),
    /// One client is told something.
    Said {
        connection: u64,
        #[serde(borrow)]
        text: &'a RawValue,
    },
    /// Many clients are told the same, each with the number of its own subscription before it.
    Event {
        #[serde(borrow)]
        members: &'a RawValue,
        to: Vec<(u64, u32)>,
    },
    /// So many bytes of what a client said were heard.
    Heard { connection: u64, bytes: usize },
    /// A client is closed; without a code, cut off.
    Close { connection: u64, code: Option<u16>, reason: String },
}

/// How much a relay may say and hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    pub version: u32,
    /// Bytes of one message of a client.
    pub message_bytes_max: usize,
    /// Messages of one client, and their bytes, that are said and not heard yet. One message may always be.
    pub heard_max: usize,
    pub heard_bytes_max: usize,
    /// What is under way to one client and was not taken yet.
    pub window_bytes: usize,
    /// Clients that are let in at once.
    pub opening_max: usize,
}

/// An answer to a client that gets no WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    pub connection: u64,
    pub status: u16,
    /// As in [`Open::headers`].
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What a message takes of the window of its client, by its bytes: those of the text, or of the members of an event
/// without the braces around them.
pub const fn cost(bytes: usize) -> usize {
    bytes + MESSAGE_COST
}

/// The value of a header as text: each byte is a character.
pub fn value_to_text(value: &[u8]) -> String {
    value.iter().map(|it| char::from(*it)).collect()
}

/// The value of a header that a text stands for; nothing if it stands for none.
pub fn text_to_value(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|it| u8::try_from(it).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_relay_is_read_as_it_was_meant_and_nothing_else_is() {
        let open = Open {
            connection: 7,
            address: "192.0.2.7".parse().expect("an address"),
            https: Some(true),
            host: "api.example.com".to_owned(),
            query: String::new(),
            headers: vec![("cookie".to_owned(), value_to_text(b"a=\xff\x00"))],
        };
        let all = [
            FromRelay::Open(Box::new(open)),
            FromRelay::Heard { connection: u64::MAX, text: "\u{1}\"".to_owned() },
            FromRelay::Gone { connection: 0 },
            FromRelay::Took { connection: 1, bytes: usize::MAX },
            FromRelay::Answered { connection: 1, micros: 0 },
        ];
        for message in all {
            let text = serde_json::to_string(&message).expect("JSON");
            assert_eq!(serde_json::from_str::<FromRelay>(&text).expect("read"), message, "{text}");
        }
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"gone":{}}"#,
            r#"{"gone":{"connection":-1}}"#,
            r#"{"gone":{"connection":18446744073709551616}}"#,
            r#"{"gone":{"connection":1,"more":2}}"#,
            r#"{"gone":{"connection":1},"took":{"connection":1,"bytes":1}}"#,
            r#"{"went":{"connection":1}}"#,
        ] {
            assert!(serde_json::from_str::<FromRelay>(wrong).is_err(), "{wrong}");
        }
        assert_eq!(text_to_value(&value_to_text(b"a=\xff\x00")), Some(b"a=\xff\x00".to_vec()));
        assert_eq!(text_to_value("€"), None);
    }

    /// Clients compare texts: what is passed on has the bytes that it had.
    #[test]
    fn what_is_said_to_clients_stands_in_a_message_as_it_is() {
        let text = r#"{"event":{"members":{"a": 1.0,"b":"\u00fc é"},"to":[[7,1],[9,2]]}}"#;

        let FromOrigin::Event { members, to } = serde_json::from_str(text).expect("read") else { panic!("{text}") };

        assert_eq!((members.get(), to), (r#"{"a": 1.0,"b":"\u00fc é"}"#, vec![(7, 1), (9, 2)]));
    }
}
