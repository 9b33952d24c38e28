//! What can go wrong with secrets, in words fit for the client. None of them has a value in it.
use std::time::Duration;

use crate::db;
use crate::features::accounts;
use crate::http::problem::{self, Fault, Kind, Problem};

pub(super) const UNREADABLE: Kind =
    Kind { status: 503, code: "secret-unreadable", title: "The secret cannot be opened" };
pub(super) const TOO_MANY: Kind =
    Kind { status: 409, code: "secret-limit-reached", title: "No room for another secret" };
pub(super) const KEY_IN_USE: Kind =
    Kind { status: 409, code: "secret-key-in-use", title: "There is no other master key" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[&UNREADABLE, &TOO_MANY, &KEY_IN_USE];

/// How long to wait for an operator to put things right.
const RETRY_WHEN_BROKEN: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the master key `{id}` is not here; whoever runs the server has to bring it back")]
    KeyMissing { id: String },
    #[error("it is not as it was kept; keep it anew")]
    Damaged,
    #[error("one may keep {max} secrets; remove one first")]
    TooMany { max: i64 },
    #[error("the first of `secrets.master_key` closes all secrets already; put a new one before it")]
    KeyInUse,
    #[error("the master key was changed too often meanwhile")]
    KeyChanged,
    #[error("there is nothing here, or nothing that you may see")]
    NotFound,
    #[error("some values are not valid")]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Account(#[from] accounts::Error),
    #[error("cannot close it")]
    NotSealed,
    #[error("cannot reach the secrets")]
    Db(#[from] db::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::KeyMissing { .. } | Error::Damaged => {
                return Self::new(&UNREADABLE, error.to_string()).retry_after(RETRY_WHEN_BROKEN);
            }
            Error::TooMany { .. } => &TOO_MANY,
            Error::KeyInUse => &KEY_IN_USE,
            Error::KeyChanged => {
                return Self::new(&problem::BUSY, error.to_string()).retry_after(Duration::from_secs(1));
            }
            Error::NotFound => return Self::not_found(),
            Error::Invalid(faults) => return Self::invalid(faults),
            Error::Account(cause) => return cause.into(),
            Error::NotSealed => return Self::internal(&error),
            Error::Db(cause) => return cause.into(),
        };
        Self::new(kind, error.to_string())
    }
}
