//! Steading: a complete API backend in one statically linked binary.
#![forbid(unsafe_code)]

pub mod app;
pub mod base;
pub mod config;
pub mod db;
pub mod features;
pub mod http;
pub mod kv;
pub mod roles;
pub mod work;
pub use app::App;
