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
mod array;
mod audit;
mod batch;
mod body;
mod bulk;
mod cascade;
mod deed;
mod document;
mod ecma;
mod error;
mod expand;
mod explain;
mod export;
mod files;
mod import;
mod json_schema;
mod list;
mod lists;
mod log;
mod operations;
mod payload;
mod people;
mod planned;
mod projection;
mod query;
mod quotes;
mod read;
mod relations;
mod running;
mod search;
mod shapes;
mod sort;
mod split;
mod statement;
mod store;
mod sweep;
mod telling;
mod terms;
mod upsert;
mod validate;
mod watch;
mod write;
mod writing_api;

pub use aggregate::AggregatesApi;
pub use api::RecordsApi;
pub use document::describe;
pub use error::{Error, PROBLEMS};
pub use explain::{Deed, Explained, Outcome};
pub use json_schema::JsonSchemasApi;
pub use people::{PurgesApi, people_worker};
pub use running::Running;
pub use sweep::worker;
pub use telling::message;
pub use terms::TERMS;
pub use watch::{Place, Told, Wanted, Watch, Watches};
pub use writing_api::WritingApi;
