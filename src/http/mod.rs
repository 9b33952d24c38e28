//! Between the socket and the features: problems, callers, limits, documents.
pub mod caller;
pub mod problem;

pub use caller::{Caller, Permission, Permissions, Principal, Subject};
pub use problem::{Fault, Kind, Problem};
