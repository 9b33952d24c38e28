//! The sorts of writes.

/// How a task shares the writer with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::db) enum Class {
    /// In a group with others.
    Shared,
    /// As `Shared`, and also when the disk is nearly full: it frees room, or lets someone sign out.
    Freeing,
    /// A batch of many rows, in a transaction of its own: in one with others, whose writes can each be undone, the
    /// former state of all the pages that it changes would have to be kept too. Between two of them comes a group of
    /// small writes, so that these are not held up.
    Bulk,
    /// As `Bulk`, and also when the disk is nearly full.
    BulkFreeing,
    /// In a transaction of its own, where it may change the schema.
    Alone,
    /// As `Alone`, and also when the disk is nearly full.
    AloneFreeing,
}

impl Class {
    pub(super) fn is_bulk(self) -> bool {
        matches!(self, Self::Bulk | Self::BulkFreeing)
    }

    pub(super) fn is_alone(self) -> bool {
        matches!(self, Self::Alone | Self::AloneFreeing)
    }

    pub(super) fn frees_room(self) -> bool {
        matches!(self, Self::Freeing | Self::BulkFreeing | Self::AloneFreeing)
    }
}
