//! What can go wrong with records, in words fit for the client.
use super::body;
use crate::db;
use crate::features::collections::{self, Entry, IsOutdated, Sight};
use crate::http::problem::{self, Fault, Kind, Problem};

pub(super) const VALUE_TAKEN: Kind =
    Kind { status: 409, code: "record-value-taken", title: "Another record has that value" };
pub(super) const IN_USE: Kind = Kind { status: 409, code: "record-in-use", title: "Other records refer to it" };
pub(super) const RULE_DENIED: Kind = Kind { status: 403, code: "rule-denied", title: "The rule does not allow it" };

pub(super) const TOO_MANY_MATCH: Kind =
    Kind { status: 409, code: "too-many-match", title: "More records match than may be written" };
pub(super) const BATCH_FAILED: Kind =
    Kind { status: 409, code: "batch-failed", title: "One operation failed, so none was done" };
pub(super) const NOT_DONE: Kind = Kind { status: 424, code: "not-done", title: "Another operation failed" };
pub(super) const PATCH_FAILED: Kind =
    Kind { status: 409, code: "patch-failed", title: "An operation of the patch cannot be done" };
pub(super) const VIEW_BESIDE_WRITES: Kind =
    Kind { status: 409, code: "view-beside-writes", title: "A view is not read in a batch that writes" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[
    &VALUE_TAKEN,
    &IN_USE,
    &RULE_DENIED,
    &TOO_MANY_MATCH,
    &BATCH_FAILED,
    &NOT_DONE,
    &PATCH_FAILED,
    &VIEW_BESIDE_WRITES,
];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is nothing here, or nothing that you may see")]
    NotFound,
    #[error("some values are not valid")]
    Invalid(Vec<Fault>),
    #[error("another record has the same values{}{}", if fields.is_empty() { "" } else { " in " }, fields.join(", "))]
    ValueTaken { fields: Vec<String> },
    /// Which one is looked for afterwards, in a transaction that has not failed.
    #[error("a relation refers to a record that is not there")]
    RefersToNothing,
    #[error("other records refer to this one, and their collection does not allow it to go before them")]
    InUse,
    #[error("more than 1,000 records in a row would go with this one; begin with those at the end")]
    TooDeep,
    #[error("more than 10,000 other records would go or change with this one; delete or change some of them first")]
    TooManyFollow,
    #[error("the rule `{rule}` of the collection is not true for this record")]
    RuleDenied { rule: &'static str },
    #[error("the record is another than the one that `If-Match` names; read it again")]
    Stale,
    #[error("operation {operation} of the patch: {detail}; nothing was changed")]
    PatchFailed { operation: usize, detail: &'static str },
    /// Permissions and rules that let only admins in.
    #[error("the caller may not do this")]
    Refused(#[source] Refused),
    #[error("cannot reach the collections")]
    Collections(#[from] collections::Error),
    #[error("cannot reach the records")]
    Db(#[from] db::Error),
}

/// A problem that was ready before anything was asked of the database.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.detail)]
pub struct Refused(pub Problem);

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self::Refused(Refused(problem))
    }
}

impl IsOutdated for Error {
    fn is_outdated(&self) -> bool {
        matches!(self, Self::Collections(it) if it.is_outdated())
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::NotFound => return Self::not_found(),
            Error::Invalid(_) => &problem::INVALID,
            Error::ValueTaken { fields } => {
                let mut problem = Self::new(&VALUE_TAKEN, error.to_string());
                problem.errors = fields.iter().map(|it| not_unique(it)).collect();
                return problem;
            }
            Error::PatchFailed { operation, detail } => {
                let mut problem = Self::new(&PATCH_FAILED, error.to_string());
                problem.errors = vec![Fault::new(format!("/{operation}"), "failed", *detail)];
                return problem;
            }
            Error::RefersToNothing => &problem::INVALID,
            Error::InUse | Error::TooDeep | Error::TooManyFollow => &IN_USE,
            Error::RuleDenied { .. } => &RULE_DENIED,
            Error::Stale => &problem::STALE,
            Error::Refused(_) | Error::Collections(_) | Error::Db(_) => &problem::INTERNAL,
        };
        match error {
            Error::Invalid(faults) => Self::invalid(faults),
            Error::Refused(Refused(problem)) => problem,
            Error::Collections(cause) => cause.into(),
            Error::Db(cause) => cause.into(),
            error => Self::new(kind, error.to_string()),
        }
    }
}

impl Error {
    /// Values that others have: those that a constraint named, and those that were found besides.
    pub(super) fn taken(mut fields: Vec<String>, others: Vec<String>) -> Self {
        fields.extend(others);
        let mut seen = std::collections::HashSet::new();
        fields.retain(|it| seen.insert(it.clone()));
        Self::ValueTaken { fields }
    }

    /// The same, told as the fault of the query if a view was read.
    pub(super) fn of(self, entry: &Entry) -> Self {
        match self {
            Self::Db(cause) => match entry.told(cause) {
                collections::Error::Db(cause) => Self::Db(cause),
                told => Self::Collections(told),
            },
            other => other,
        }
    }

    /// The same without the names of fields that are not there for the caller, who neither sees nor sets them.
    pub(super) fn without_hidden(self, entry: &Entry, sight: &Sight) -> Self {
        let Self::ValueTaken { mut fields } = self else { return self };
        fields.retain(|it| entry.field(it).is_none_or(|(_, judge)| sight.sees(judge) || sight.sets(judge)));
        Self::ValueTaken { fields }
    }
}

/// What is wrong with a field that is unique, alone or together with others.
pub(super) fn not_unique(field: &str) -> Fault {
    Fault::new(body::pointer(field), "not-unique", "another record has this value")
}
