//! Between the socket and the features: problems, callers, limits, documents.
pub mod address;
pub mod caller;
pub mod etag;
pub mod input;
pub mod openapi;
pub mod paging;
pub mod problem;

pub use address::ClientAddress;
pub use caller::{Caller, Permission, Permissions, Principal, Subject};
pub use input::Input;
pub use problem::{Fault, Kind, Problem};
