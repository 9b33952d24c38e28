//! How much one client, and all of them together, may have open.
use std::time::Duration;

pub(super) use crate::http::websocket::{CLOSE_TIMEOUT, PING_INTERVAL, PONG_TIMEOUT, TAKEN_MAX, WRITE_TIMEOUT};
pub(super) use crate::relay::protocol::{MESSAGE_BYTES_MAX as LINK_MESSAGE_BYTES_MAX, NAME_CHARS_MAX};

/// Subscriptions of one connection.
pub(super) const SUBSCRIPTIONS_MAX: usize = 128;
/// Bytes of one message of a client.
pub(super) const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Messages of a client that are looked at at once, and then each second. Who sends more is read more slowly.
pub(super) const MESSAGES_AT_ONCE_MAX: u32 = 200;
pub(super) const MESSAGES_PER_SEC_MAX: u32 = 20;
/// Bytes that wait for one client. Beyond it they are dropped, and it is told that there was something.
pub(super) const QUEUE_BYTES_MAX: usize = 1 << 20;
/// What a message in a queue takes beside its text.
pub(super) const ITEM_BYTES: usize = 64;
/// How often it is asked whether those who are signed in still are.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_secs(4);
/// Events that are looked at in one transaction, and their bytes.
pub(super) const EVENTS_MAX: usize = 200;
pub(super) const EVENTS_BYTES_MAX: usize = 1 << 20;
/// From so many connections on, news are gathered for a moment before they are told.
pub(super) const CROWD_MIN: usize = 64;
pub(super) const GATHER_TIME: Duration = Duration::from_millis(1);
/// Those who are there at one place, who all hear of each other; and of these, of one account or, where there is none, of
/// one address.
pub(super) const PRESENT_MAX: usize = 200;
pub(super) const PRESENT_OF_ONE_MAX: usize = 16;
/// Bytes of what a client says of itself, as JSON.
pub(super) const STATE_BYTES_MAX: usize = 1_024;
/// How long a connection waits for the hub.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Relays that hold connections of others.
pub(super) const RELAYS_MAX: usize = 64;
/// What is under way to one client of a relay. Beyond it, what comes waits in the queue of its connection.
pub(super) const WINDOW_BYTES: usize = 256 << 10;
/// What waits to be written to a relay. Beyond it, it waits in the queues of the connections.
pub(super) const OUTBOX_BYTES_MAX: usize = 16 << 20;
/// Receivers that one message to a relay names.
pub(super) const RECEIVERS_MAX: usize = 4_096;
/// What a receiver takes in a message.
pub(super) const RECEIVER_BYTES: usize = 16;
/// Clients of a relay that are let in at once.
pub(super) const OPENING_MAX: usize = 256;
/// What one client of a relay said that nobody looked at yet: messages, and their bytes. One may always be.
pub(super) const HEARD_MAX: usize = 16;
pub(super) const HEARD_BYTES_MAX: usize = 64 << 10;
/// Bytes that were said to a relay and not sent: more than any one message.
pub(super) const LINK_UNSENT_BYTES_MAX: usize = 8 << 20;
/// Bytes of an answer that a client gets instead of a WebSocket.
pub(super) const REFUSAL_BYTES_MAX: usize = 64 << 10;
