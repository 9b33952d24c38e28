//! API keys: how programs, as opposed to people, are let in.
//!
//! A key is shown once, when it is made. After that the server knows only its SHA-256 digest, so neither a backup nor a
//! log can leak a working key. Its last characters are a checksum: one that was mistyped is refused without a query.
//!
//! What a key may try is what its scopes and its owner's role have in common, asked anew every few seconds; a key without
//! an owner has its scopes. Whoever makes or changes one may at least as much. A request with a key travels
//! [`KeyGate`] (form, existence, state, address, credits, limits) → the endpoint, which asks for the scope as it asks anyone's
//! permission. What was used when is counted in memory and written every few seconds (`usage.rs`), and so is
//! what is left of its credits (`credits.rs`): a request costs no write, and a crash may lose the last of it.
mod api;
mod credits;
mod error;
mod gate;
mod keeping;
mod limits;
mod model;
mod networks;
mod own_api;
mod secret;
mod store;
mod terms;
mod usage;
mod verify_api;

pub use api::KeysApi;
pub use error::{ELSEWHERE, EXHAUSTED, Error, INVALID, PROBLEMS};
pub use gate::{KeyGate, still_stands};
pub use keeping::Keeping;
pub use model::KEYS_READ;
pub use own_api::OwnKeysApi;
pub use terms::TERMS;
pub use usage::{Usage, account_for, worker};
pub use verify_api::VerifyApi;
