//! What can go wrong with the fields of profiles, in words fit for the client.
use super::model::LostField;
use crate::db;
use crate::features::collections;
use crate::http::problem::{self, Fault, Kind, Problem};

pub(super) const DATA_LOSS: Kind =
    Kind { status: 409, code: "profile-data-loss", title: "Values of profiles would be lost" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[&DATA_LOSS];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("some values are not valid")]
    Invalid(Vec<Fault>),
    #[error("the fields are others than those that `If-Match` names; read them again")]
    Stale,
    #[error("{}; with `allowLoss=true` they go", in_words(lost))]
    WouldLose { lost: Vec<LostField> },
    #[error("the collections cannot be read")]
    Collections(#[from] collections::Error),
    #[error("cannot reach the fields of profiles")]
    Db(#[from] db::Error),
}

fn in_words(lost: &[LostField]) -> String {
    let one = |it: &LostField| format!("`{}` has a value in {} accounts", it.name, it.accounts);
    lost.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(faults) => Self::invalid(faults),
            Error::Stale => Self::new(&problem::STALE, error.to_string()),
            Error::WouldLose { .. } => Self::new(&DATA_LOSS, error.to_string()),
            Error::Collections(cause) => cause.into(),
            Error::Db(cause) => cause.into(),
        }
    }
}
