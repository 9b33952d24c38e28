//! SQLite: one writer thread with group commit, read-only readers.
//!
//! The promise is that an acknowledged write survives a power cut: WAL with
//! `synchronous=FULL`, one fsync for all requests that wait ([`writer`]). Readers
//! never wait for the writer nor it for them ([`readers`]).
mod authorizer;
mod bench;
mod condition;
mod connection;
mod functions;
mod readers;
mod view_value;
mod writer;

pub(super) use bench::Bench;
pub(super) use condition::Condition;
pub(super) use connection::{
    Place, bound_values, error, examine, keep_temporary_files_in, open_writer, prepare, snapshot,
};
pub(super) use readers::{ReadTask, Readers};
pub(super) use writer::{Task, Tell, Writer};
