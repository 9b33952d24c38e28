//! Records: what is in the collections.
//!
//! A request travels `api.rs` → `access.rs` (permission, then rule) → one statement, put
//! together by `list.rs`, `expand.rs` and `sort.rs` → rows that become JSON in one buffer
//! (`projection.rs`), with nothing in between. Rules and filters are part of that
//! statement's `WHERE`: a page is never filtered afterwards.
//!
//! Bodies are judged field by field against the collection (`body.rs`); all faults are
//! told at once. Who must not see a field is told that it is not there.
mod access;
mod aggregate;
mod api;
mod body;
mod cascade;
mod document;
mod error;
mod expand;
mod export;
mod files;
mod import;
mod list;
mod payload;
mod projection;
mod query;
mod read;
mod running;
mod search;
mod sort;
mod split;
mod statement;
mod store;
mod terms;
mod write;

pub use aggregate::AggregatesApi;
pub use api::RecordsApi;
pub use document::describe;
pub use error::{Error, PROBLEMS};
pub use running::Running;
pub use terms::TERMS;
