//! Sending mail: one message at a time to the servers that the operator set, over connections that are kept.
//!
//! Who sends waits, so it is done in jobs. The servers are tried in their order until one takes the mail, or refuses it for
//! good; one that was not there is passed over for a while. Without a server there is nothing to send with, and the caller
//! keeps the mail where an admin can read it. What went wrong is told in words for an admin ([`Error`]), and whether it may
//! go better later. Mails are signed ([`dkim`]) if the operator set a key.
mod connection;
mod dkim;
mod message;
mod peer;
mod postman;
mod stream;

pub use dkim::Record;
pub use message::Message;
pub use postman::{Error, Postman};
