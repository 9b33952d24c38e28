//! Custom fields of profiles: what a team wants to know of people beside their name and address.
//!
//! An admin says which fields there are; they are a few of the types that records have, judged by the same code. Their
//! values are kept in a row beside each account (`accounts/fields.rs`), and are written through the profile. A field is
//! set by people themselves, or only by those who may change accounts. Rules of collections know those of the caller as
//! `auth.fields.<name>`, so a field goes only when no rule asks for it.
mod api;
mod error;
mod judging;
mod model;
mod store;
mod terms;

pub use api::ProfileFieldsApi;
pub use error::{Error, PROBLEMS};
pub use judging::judge;
pub use store::of_callers;
pub use terms::TERMS;
