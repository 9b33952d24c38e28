//! How much a relay holds, and how long it waits.
use std::time::Duration;

/// Bytes of one message of the origin: an event has at most some megabytes.
pub(super) const HEARD_BYTES_MAX: usize = 32 << 20;
/// Messages to the origin that wait to be written. Whoever has more to say waits with it.
pub(super) const SAYS_MAX: usize = 256;
/// Of the window of a client, the part that it takes before the origin is told of it.
pub(super) const WINDOW_PARTS: usize = 4;
/// How long the origin may take to be reached, and to answer.
pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
pub(super) const ANSWER_TIME_MAX: Duration = Duration::from_secs(20);
/// Bytes of an answer that is no link.
pub(super) const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long it waits before it tries again: at first, and at most. Each time it is twice as long, and a part of that
/// is a matter of dice, so that many relays do not come at once.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(250);
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// When a client that found no link should come back.
pub(super) const RETRY_WITHOUT_LINK: Duration = Duration::from_secs(2);
