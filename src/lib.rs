//! Steading: a complete API backend in one statically linked binary.
//!
//! A feature is a folder that one can read in one sitting. What features share is a
//! handful of rooms, each of which keeps one secret; they follow here in reading order.
//!
//! What always holds, checked by `tests/suite/tidy.rs` and `.clippy.toml`:
//! - Only [`db`] names an SQL engine, only [`kv`] names redb, only [`config`] reads the environment.
//! - A `store.rs` never commits, never waits, never asks for the time, never makes an id.
//! - [`base`] is tested without a runtime, a file or a clock.
//! - Nothing under [`features`] knows [`App`]; [`relay`] has no data.
//! - Every failure leaves as `application/problem+json`, also those that the framework makes.
//! - Time and dice are arguments ([`base::Clock`], [`base::Random`]).
//! - An acknowledged write is on the disk.
#![forbid(unsafe_code)]

pub mod base;
pub mod config;
pub mod db;
pub mod expr;
pub mod bus;
pub mod kv;
pub mod net;
pub mod mail;
pub mod work;
pub mod http;
pub mod relay;
pub mod features;
pub mod app;
pub mod roles;

pub use app::App;
