//! What runs beside requests: workers, their beginning and their end.
//!
//! A [`Worker`] is a periodic step: it has no input, reads state, moves it forward in
//! bounded batches, and is safe to run twice or late. The [`Lifecycle`] owns the word
//! to stop. A [`Pool`] runs what would hold up the async threads, within bounds. A [`queue`] does what was promised in a
//! transaction.
mod lifecycle;
mod pool;
pub mod queue;
mod worker;

pub use lifecycle::Lifecycle;
pub use pool::{Figures, Full, Pool};
pub use worker::Worker;
