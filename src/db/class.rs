//! The sorts of writes.

/// How a write is done among others: with whom it shares a transaction, and whether a nearly full disk keeps it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    pub(super) sharing: Sharing,
    /// Whether it is done when the disk is nearly full too: it frees room, or takes rights away.
    pub(super) frees_room: bool,
}

/// With whom a write shares its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// With others, in a group.
    Group,
    /// A batch of many rows, in a transaction of its own: in one with others, whose writes can each be undone, the
    /// former state of all the pages that it changes would have to be kept too. Between two of them comes a group of
    /// small writes, so that these are not held up.
    Bulk,
    /// With none, so that it may change the schema.
    Alone,
}

impl Class {
    /// A few rows, in one transaction with the writes of others, each of which can be undone by itself.
    pub const SMALL: Self = Self { sharing: Sharing::Group, frees_room: false };
    /// Many rows, in a transaction that nothing else shares. It ends after at most 500 rows if [`super::Tx::others_wait`],
    /// and small writes come between two of them, so that these are not held up.
    pub const BULK: Self = Self { sharing: Sharing::Bulk, frees_room: false };
    /// A change of the schema, in a transaction that nothing else shares.
    pub const ALONE: Self = Self { sharing: Sharing::Alone, frees_room: false };

    /// The same for what frees room or takes rights away: it is done when the disk is nearly full too.
    pub const fn freeing(self) -> Self {
        Self { frees_room: true, ..self }
    }
}
