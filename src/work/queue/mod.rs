//! Durable jobs: work that is promised in a transaction and done after it, however often the server stops in between.
//!
//! A job is a row ([`insert`]) in the transaction of its cause: undone with it, done because of it. Its payload says by
//! ids what it is about. The [`Queue`] takes what is due, oldest first, a few of each [`Kind`] at once, and hands it to
//! the kind's handler. What fails for now is tried again later and later; what fails for good, or too often, stays where
//! an admin sees it. A server that is killed in the middle begins its jobs again: a handler may run twice for one job,
//! and makes sure that this does no harm.
mod model;
mod run;
mod store;
mod sweep;

pub use model::{Counted, Entry, Failure, NewJob, State};
pub use run::{Kind, Queue, Ticket};
pub use store::{Sought, cancel, count, find, insert, list, retry, summary};
pub use sweep::worker;
