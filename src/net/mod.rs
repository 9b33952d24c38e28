//! The one outgoing HTTP client: who is asked, over which connection, and what is to be said when nobody answers.
//!
//! A connection serves one request, or becomes a WebSocket, so nothing is kept that could be stale. TLS trusts the
//! authorities that browsers trust, which are in the binary, or one that is named. There is nothing here that follows a
//! redirect: a token goes where it was meant to go, and nowhere else.
mod address;
mod client;
mod error;
mod trust;
mod websocket;

pub use address::Address;
pub use client::{Answer, Client, Limits};
pub use error::Error;
pub use trust::Trust;
pub use websocket::{Asked, Socket};
