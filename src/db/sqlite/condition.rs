//! The state of an open database, as its writer and readers last saw it.
use std::sync::atomic::{AtomicBool, Ordering};

use super::connection::Place;

#[derive(Debug, Default)]
pub(in crate::db) struct Condition {
    /// Whether the file was found damaged. Then nothing is written any more.
    damaged: AtomicBool,
    /// Whether the newest look at the disk found too little room.
    full: AtomicBool,
}

impl Condition {
    pub(in crate::db) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Relaxed)
    }

    pub(in crate::db) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub(super) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Writes nothing any more, and says so once.
    pub(super) fn found_damaged(&self, place: &Place) {
        if !self.damaged.swap(true, Ordering::Relaxed) {
            tracing::error!(
                database = ?place,
                "the database file is damaged and is not written any more; stop the server, run `steading doctor`, \
                 and restore a backup"
            );
        }
    }
}
