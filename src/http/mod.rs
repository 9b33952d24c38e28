//! Between the socket and the features: problems, callers, limits, documents.
pub mod caller;
pub mod input;
pub mod problem;

pub use caller::{Caller, Permission, Permissions, Principal, Subject};
pub use input::Input;
pub use problem::{Fault, Kind, Problem};
