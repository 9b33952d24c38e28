//! How much one client, and all of them together, may have open.
use std::time::Duration;

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
/// Messages that are taken out of a queue at once.
pub(super) const TAKEN_MAX: usize = 64;
/// How often a client is asked whether it is still there, and how long it may take to say so.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(25);
pub(super) const PONG_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a client may take to read what was written to it.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
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
