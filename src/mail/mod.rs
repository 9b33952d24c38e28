//! Sending mail: one message at a time to the server that the operator set, over connections that are kept.
//!
//! Who sends waits, so it is done in jobs. Without a server there is nothing to send with, and the caller keeps the mail
//! where an admin can read it. What went wrong is told in words for an admin ([`Error`]), and whether it may go better
//! later.
mod message;
mod postman;

pub use message::Message;
pub use postman::{Error, Postman};
