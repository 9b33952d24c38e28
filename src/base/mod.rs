//! Words that every room uses: ids, times, clocks, dice, secrets, keys, text, turns, web addresses.
//!
//! Nothing here opens a file, a socket or a runtime, so all of it is tested with
//! plain functions. Time and dice are values ([`Clock`], [`Random`]) handed to
//! whoever needs them; that is what makes every test repeatable.
pub mod clock;
pub mod csv;
pub mod geo;
pub mod id;
pub mod lanes;
pub mod private_key;
pub mod random;
pub mod secret;
pub mod text;
pub mod time;
pub mod web;
pub mod words;

pub use clock::Clock;
pub use id::{ApiKeyId, Id, JobId, SessionId, TenantId, UserId};
pub use private_key::PrivateKey;
pub use random::Random;
pub use secret::Secret;
pub use time::Timestamp;
