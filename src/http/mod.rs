//! Between the socket and the features: problems, callers, limits, documents.
pub mod accept;
pub mod address;
pub mod alias;
pub mod body;
pub mod caller;
pub mod cors;
pub mod etag;
pub mod health;
mod host;
pub mod input;
pub mod log;
pub mod openapi;
pub mod paging;
pub mod policy;
pub mod problem;
pub mod request_id;
mod security_headers;
pub mod shell;

pub use accept::{Door, serve};
pub use address::{ClientAddress, Reached};
pub use body::BodyCap;
pub use caller::{Caller, Permission, Permissions, Principal, Subject};
pub use input::Input;
pub use policy::{Limits, LivePolicy, Policy};
pub use problem::{Fault, Kind, Problem};
pub use request_id::RequestId;
pub use shell::Shell;
