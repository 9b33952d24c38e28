//! The things that admins see: who listens to what.
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use crate::base::{Timestamp, UserId};
use crate::http::Permission;

pub const REALTIME_READ: Permission = Permission("realtime:read");
/// To hold the connections of others, and to say where they come from.
pub const RELAYS_ADMIN: Permission = Permission("relays:admin");

/// How a client listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum ConnectionKind {
    Websocket,
    Sse,
    Ndjson,
}

/// A client that listens.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct LiveConnection {
    /// Counted from the start of the server.
    pub id: u64,
    pub kind: ConnectionKind,
    /// Absent at the operator's socket.
    pub address: Option<String>,
    /// Absent for a stranger.
    pub user: Option<UserId>,
    pub since: Timestamp,
    /// The topics that it hears of.
    pub subscriptions: Vec<String>,
    /// Messages that wait for it.
    pub waiting: u64,
    pub waiting_bytes: u64,
    /// Messages that it was sent.
    pub sent: u64,
    /// Messages that it was too slow for; in their place it was told to read again.
    pub dropped: u64,
    /// How long its last answer to a ping took, in milliseconds; absent before the first, and for streams.
    pub round_trip_ms: Option<f64>,
    /// The relay that holds it, by its `id`; absent where the server itself does.
    pub relay: Option<u64>,
}

/// A process elsewhere that holds connections.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct LiveRelay {
    /// Counted from the start of the server.
    pub id: u64,
    /// What it calls itself: its machine, if it was not told.
    pub name: String,
    pub address: Option<String>,
    pub since: Timestamp,
    /// Connections that it holds.
    pub connections: u64,
    /// Messages that its clients were told.
    pub told: u64,
    /// Messages in which these went to the relay: the same event for many of its clients goes once.
    pub crossed: u64,
    /// Bytes that went to the relay.
    pub bytes: u64,
}

/// Everyone who listens, and how that goes.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct RealtimeState {
    /// At most the first 1,000.
    pub connections: Vec<LiveConnection>,
    pub relays: Vec<LiveRelay>,
    pub totals: RealtimeTotals,
}

/// All connections together.
#[derive(Clone, Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct RealtimeTotals {
    pub connections: u64,
    pub subscriptions: u64,
    /// What waits for all of them together. A message that waits for many is counted with each, and held once.
    pub waiting_bytes: u64,
    /// Since the start of the server, as the two that follow.
    pub opened: u64,
    pub sent: u64,
    pub dropped: u64,
}

impl Example for RealtimeState {
    fn example() -> Self {
        let connection = LiveConnection {
            id: 7,
            kind: ConnectionKind::Websocket,
            address: Some("192.0.2.7".to_owned()),
            user: Some(UserId::example()),
            since: Timestamp::example(),
            subscriptions: vec!["collections/posts".to_owned()],
            waiting: 0,
            waiting_bytes: 0,
            sent: 12,
            dropped: 0,
            round_trip_ms: Some(18.25),
            relay: Some(1),
        };
        let relay = LiveRelay {
            id: 1,
            name: "fra-1".to_owned(),
            address: Some("192.0.2.21".to_owned()),
            since: Timestamp::example(),
            connections: 1,
            told: 12,
            crossed: 12,
            bytes: 4_096,
        };
        let totals =
            RealtimeTotals { connections: 1, subscriptions: 1, waiting_bytes: 0, opened: 7, sent: 120, dropped: 0 };
        Self { connections: vec![connection], relays: vec![relay], totals }
    }
}
