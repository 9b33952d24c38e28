//! Aggregates: how many records there are, and sums, means and extremes of their numbers, in groups.
//!
//! They are made of the records that the rule `list` lets the caller see, and of fields that the caller sees: nothing
//! is told that a list of them would not tell.
mod api;
mod asked;
mod document;
mod groups;

pub use api::AggregatesApi;
pub(super) use document::{path, schema};
