//! The only room that names an SQL engine.
mod error;

pub use error::Error;
