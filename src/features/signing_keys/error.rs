//! What can go wrong with signing keys.
use std::time::Duration;

use crate::db;
use crate::http::problem::{self, Problem};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{most} keys were replaced within a day, and their tokens count; wait, or send `revoke` to end them all")]
    TooMany { most: usize, wait: Duration },
    #[error("a key that is kept cannot be used")]
    Unusable,
    #[error("there is no key to sign with")]
    Missing,
    #[error("cannot reach the signing keys")]
    Db(#[from] db::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::TooMany { wait, .. } => Self::new(&problem::TOO_MANY_REQUESTS, error.to_string()).retry_after(wait),
            Error::Unusable | Error::Missing => Self::internal(&error),
            Error::Db(cause) => cause.into(),
        }
    }
}
