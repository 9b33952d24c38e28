//! Events: what happened to records, in one order.
//!
//! Whatever changes a record appends to the log in the same transaction ([`append`]), so it
//! never tells of something that was undone, and misses nothing that was done. Whoever wants
//! to know reads on from the last row that they know ([`read_after`]): live updates do, and
//! whoever comes back after hours. After each commit the [bus](crate::bus) says that there is more.
//!
//! Rows are numbered without gaps: a number is one more than that of the newest row, which is
//! why the newest row is never removed. An id ([`EventId`]) begins with the [`Epoch`] of the
//! log, which a restore changes. Rows stay for a day or as long as they have room (`sweep.rs`).
mod log;
mod model;
mod store;
mod sweep;

pub use log::EventLog;
pub use model::{Epoch, Event, EventId, EventKind, NewEvent};
pub use store::{Span, append, append_about_accounts, find_newest, read_after, restructured, span};
pub use sweep::{Keep, worker};
