//! Explaining: why someone may do something, or may not.
//!
//! Nothing is decided here. The caller is put together by those who let callers in, permissions are asked for as
//! endpoints ask for them, and a rule is put to the record in the database as a request would. What a rule says of what
//! a request changes (`changed('f')`) or where it comes from (`request.ip`) is not known here.
mod api;
mod model;
mod terms;

pub use api::ExplainApi;
pub use terms::TERMS;
