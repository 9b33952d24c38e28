//! The features, in reading order. Each may use those above it, through their `mod.rs`.
pub mod accounts;
pub mod server_keys; // the secrets that the server signs with // people: registering, signing in, sessions, roles
