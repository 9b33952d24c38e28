//! Jobs, as an admin sees them: what is promised, done or failed, and a hand to try again or to give up.
//!
//! Doing them is the business of [the queue](crate::work::queue). Here they are only looked at.
mod api;
mod model;
mod terms;

pub use api::JobsApi;
pub use terms::{PROBLEMS, TERMS};
