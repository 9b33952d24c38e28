//! Realtime: telling those who want to know of changes while these happen.
//!
//! A client opens a WebSocket (`socket.rs`) or a stream (`stream.rs`) and says what it wants to
//! hear of: a collection or a record, and a filter. One task ([`Hub::run`]) reads the log of events on after each
//! commit, asks the database who may see each event, puts it into words once, and lays it into the queues of the
//! [`Connection`](connection::Connection)s; it never waits for any of them. Subscriptions that ask the same of the
//! database are one to it, however many sockets they have. What a client missed it reads from the log itself
//! (`resume.rs`), at its own pace.
//!
//! The right to see is asked of at delivery, under the same rules as a read. What cannot be told, since it is no
//! longer there or the client was too slow, leaves a gap marker: read again.
//!
//! Relays (`relays.rs`) hold the sockets of clients elsewhere, each over one link (`link.rs`). Who these clients are,
//! and what they may hear, is asked here all the same.
//!
//! Those who listen to the same may let each other know that they are there (`presence.rs`).
mod api;
mod callers;
mod connection;
mod error;
mod hub;
mod limits;
mod link;
mod message;
mod model;
mod outbox;
mod presence;
mod relays;
mod resume;
mod socket;
mod stream;
mod terms;
mod wire;

pub use api::RealtimeApi;
pub use error::PROBLEMS;
pub use hub::Hub;
pub use terms::TERMS;
