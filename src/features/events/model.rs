//! The things: events, their ids, and what is said when one happens.
use std::fmt;
use std::str::FromStr;

use crate::base::Timestamp;

/// Longest epoch that is read back.
const EPOCH_BYTES_MAX: usize = 32;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    Created,
    Updated,
    Deleted,
    /// Many records came at once, of which none has an event of its own.
    Imported,
    /// The collection itself was changed or dropped: what was told of its records before has other fields, or
    /// other rules.
    Restructured,
    /// Someone signed out, or lost a right: who they were counts no more for what comes after.
    Account,
}

impl EventKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
            Self::Imported => "imported",
            Self::Restructured => "restructured",
            Self::Account => "account",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        use EventKind::{Account, Created, Deleted, Imported, Restructured, Updated};
        let all = [Created, Updated, Deleted, Imported, Restructured, Account];
        all.into_iter().find(|it| it.name() == name)
    }
}

/// What is said of an event when it happens.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent<'a> {
    pub kind: EventKind,
    pub collection: &'a str,
    /// Absent: it is about the collection.
    pub record: Option<&'a str>,
    pub version: i64,
    /// The columns of the record as they are now, as JSON.
    pub after: Option<&'a str>,
    /// Those that were changed, as they were.
    pub before: Option<&'a str>,
    pub at: Timestamp,
}

/// An event as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub seq: i64,
    pub kind: EventKind,
    pub collection: String,
    pub record: Option<String>,
    pub version: i64,
    pub after: Option<String>,
    pub before: Option<String>,
    pub at: Timestamp,
}

/// Which log the numbers of events are of: a restore begins another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch(pub String);

/// The id of an event, the same for everyone who hears of it: `<epoch>.<number>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventId {
    pub epoch: Epoch,
    pub seq: i64,
}

impl Epoch {
    pub fn id(&self, seq: i64) -> EventId {
        EventId { epoch: self.clone(), seq }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.epoch.0, self.seq)
    }
}

impl FromStr for EventId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be the id of an event, such as 19b7c2a4f10.42";
        let (epoch, seq) = text.split_once('.').ok_or(wrong)?;
        let is_epoch = !epoch.is_empty()
            && epoch.len() <= EPOCH_BYTES_MAX
            && epoch.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
        let is_number = !seq.is_empty() && seq.bytes().all(|it| it.is_ascii_digit());
        let seq = seq.parse().ok().filter(|_| is_epoch && is_number).ok_or(wrong)?;
        Ok(Self { epoch: Epoch(epoch.to_owned()), seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_else_is() {
        let id = Epoch("19b7c2a4f10".to_owned()).id(42);

        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", ".", "5f.", ".1", "5f.-1", "5f.+1", "5f.1.2", "5F.1", "5f.99999999999999999999", "5f 1"] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }
}
