//! What can go wrong with collections, in words fit for the client.
use crate::db;
use crate::http::problem::{self, Fault, Kind, Problem};

pub(super) const NAME_TAKEN: Kind =
    Kind { status: 409, code: "collection-name-taken", title: "There is such a collection" };
pub(super) const IN_USE: Kind = Kind { status: 409, code: "collection-in-use", title: "Others refer to it" };
pub(super) const DATA_IN_THE_WAY: Kind =
    Kind { status: 409, code: "collection-data-conflict", title: "The records do not fit the change" };
pub(super) const DATA_LOSS: Kind = Kind { status: 409, code: "collection-data-loss", title: "Values would be lost" };
pub(super) const TOO_MANY: Kind =
    Kind { status: 409, code: "collection-limit-reached", title: "No room for another collection" };

pub const READ_ONLY: Kind = Kind { status: 409, code: "collection-read-only", title: "Nobody writes to a view" };
pub const VIEW_BROKEN: Kind = Kind { status: 409, code: "view-broken", title: "The view cannot be computed" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] =
    &[&NAME_TAKEN, &IN_USE, &DATA_IN_THE_WAY, &DATA_LOSS, &TOO_MANY, &READ_ONLY, &VIEW_BROKEN];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a collection is called `{name}` already; names differ by more than their case")]
    NameTaken { name: String },
    #[error("{by} of `{collection}` refers to it; change that first")]
    InUse { collection: String, by: String },
    #[error("`{field}` {what}")]
    DataInTheWay { field: String, what: String },
    #[error("nothing was done, since values would be lost: {}", told(.losses))]
    WouldLose { losses: Vec<String> },
    #[error(
        "`{view}` is a view: its records are computed, and read one request at a time; change those of the collections that it reads"
    )]
    ReadOnly { view: String },
    /// What exactly is wrong may name what the reader does not see, and is in the log.
    #[error("the query of `{view}` cannot be answered from what there is now; an admin can change it")]
    ViewBroken { view: String },
    /// Of a record that whoever asked may see, so it says which.
    #[error("the query of `{view}` {what}; an admin can change it, or what it reads")]
    ViewIds { view: String, what: String },
    #[error("a server has at most {max} views")]
    TooManyViews { max: usize },
    #[error("a server has at most {max} collections")]
    TooMany { max: usize },
    #[error("the collection is another than the one that `If-Match` names; read it again")]
    Stale,
    #[error("collections were changed since what `If-Match` names; look at the difference again")]
    StaleSet,
    #[error("there is nothing here, or nothing that you may see")]
    NotFound,
    #[error("some values are not valid")]
    Invalid(Vec<Fault>),
    /// What the request knew of the collections is no longer true; it is begun anew.
    #[error("the collections are being changed")]
    Outdated,
    #[error("a collection was kept in a form that this version does not know: {reason}")]
    Unreadable { reason: String },
    #[error("cannot reach the collections")]
    Db(#[from] db::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::NameTaken { .. } => &NAME_TAKEN,
            Error::InUse { .. } => &IN_USE,
            Error::DataInTheWay { .. } => &DATA_IN_THE_WAY,
            Error::TooMany { .. } | Error::TooManyViews { .. } => &TOO_MANY,
            Error::ReadOnly { .. } => &READ_ONLY,
            Error::ViewBroken { .. } | Error::ViewIds { .. } => &VIEW_BROKEN,
            Error::WouldLose { .. } => &DATA_LOSS,
            Error::Stale | Error::StaleSet => &problem::STALE,
            Error::NotFound => return Self::not_found(),
            Error::Invalid(faults) => return Self::invalid(faults),
            Error::Outdated => return Self::new(&problem::BUSY, error.to_string()).retry_after(RETRY_WHEN_CHANGING),
            Error::Unreadable { .. } => return Self::internal(&error),
            Error::Db(cause) => return cause.into(),
        };
        Self::new(kind, error.to_string())
    }
}

/// Losses that are told of one by one.
const LOSSES_MAX: usize = 10;

fn told(losses: &[String]) -> String {
    let more = losses.len().saturating_sub(LOSSES_MAX);
    let mut told = losses.iter().take(LOSSES_MAX).cloned().collect::<Vec<_>>().join("; ");
    if 0 < more {
        told.push_str(&format!("; and {more} more"));
    }
    told
}

impl Error {
    /// Two records of a view have one id, or one has none that is one.
    pub fn wrong_ids(view: &str, what: String) -> Self {
        tracing::warn!(collection.name = view, %what, "the ids of a view are wrong");
        Self::ViewIds { view: view.to_owned(), what }
    }

    /// A rule of a collection that nobody asked to change needs what would be gone.
    pub(super) fn in_use_by_rule(collection: String, faults: &[Fault]) -> Self {
        let by = faults
            .first()
            .map_or_else(String::new, |it| format!("the rule `{}`", it.pointer.trim_start_matches("/rules/")));
        Self::InUse { collection, by }
    }
}

/// A change of a collection takes a moment; two in a row are rare.
const RETRY_WHEN_CHANGING: std::time::Duration = std::time::Duration::from_secs(1);
