//! Room that is kept for the moment when the disk is full.
//!
//! Even a delete needs some: SQLite writes the new state of a page beside the old one first. So a few MiB are taken
//! while there is plenty, and given back when what frees room, or a copy out of the write-ahead log, meets a full
//! disk. From then on nothing else is written until there is so much room again that they can be taken anew.
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, fallocate};

use super::folder;

/// Enough for many deletes, with all that refers to what is deleted.
pub(super) const RESERVE_BYTES: u64 = 4 << 20;
/// What is given back at a time: a log file on the same disk would eat it all at once.
const STEP_BYTES: u64 = 1 << 20;
/// With less than this the databases can hardly be opened.
const START_BYTES_MIN: u64 = 1 << 20;

/// The reserve of a data folder: a file that is never read. Shorter than it should be, it says that some was given back,
/// to the next start too.
#[derive(Debug)]
pub(super) struct Reserve {
    file: Option<PathBuf>,
    /// It is taken once there is as much free room as this.
    plenty_bytes: u64,
    is_given_back: AtomicBool,
    /// Held while the file is changed: each database has a writer of its own.
    changing: Mutex<()>,
}

impl Reserve {
    /// Takes the reserve in `folder`, if there is plenty of room above `free_bytes_min`. Without a folder there is none.
    pub(super) fn take(folder: Option<&Path>, free_bytes_min: u64) -> Self {
        let file = folder.map(|it| it.join("reserve"));
        let length = file.as_deref().and_then(|it| std::fs::metadata(it).ok()).map(|it| it.len());
        let reserve = Self {
            file,
            plenty_bytes: free_bytes_min.saturating_add(2 * RESERVE_BYTES),
            is_given_back: AtomicBool::new(length.is_some_and(|it| it < RESERVE_BYTES)),
            changing: Mutex::new(()),
        };
        if let Some(folder) = folder {
            let free = folder::free_bytes(folder);
            if length.is_none_or(|it| it < RESERVE_BYTES) {
                reserve.take_again(free);
            } else if free < START_BYTES_MIN {
                reserve.give_back();
            }
        }
        reserve
    }

    /// Whether some was given back, and `free` bytes are not enough to take it anew. Then all room is for what frees room.
    pub(super) fn is_spent(&self, free: u64) -> bool {
        self.is_given_back.load(Ordering::Relaxed) && !self.take_again(free)
    }

    /// Gives a part of the room back to the disk. False if there is none to give.
    pub(super) fn give_back(&self) -> bool {
        let Some(file) = &self.file else { return false };
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let length = std::fs::metadata(file).map_or(0, |it| it.len());
        let left = length.saturating_sub(STEP_BYTES);
        if length == 0 || File::options().write(true).open(file).and_then(|it| it.set_len(left)).is_err() {
            return false;
        }
        if !self.is_given_back.swap(true, Ordering::Relaxed) {
            tracing::error!(
                "the disk is full; some of the reserve was given back, so that deleting works. Free some room"
            );
        }
        true
    }

    /// The same for what could wait: only if nothing was given back yet.
    pub(super) fn give_first(&self) -> bool {
        !self.is_given_back.load(Ordering::Relaxed) && self.give_back()
    }

    /// Takes the room if `free` bytes are plenty. False if it is not there afterwards.
    fn take_again(&self, free: u64) -> bool {
        let Some(file) = &self.file else { return false };
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // What is left of it need not be taken.
        let left = std::fs::metadata(file).map_or(0, |it| it.len());
        if free.saturating_add(left) < self.plenty_bytes {
            return false;
        }
        match fill(file) {
            Ok(()) => {
                if self.is_given_back.swap(false, Ordering::Relaxed) {
                    tracing::info!("there is room on the disk again; the reserve was taken anew");
                }
                true
            }
            Err(cause) => {
                tracing::warn!(%cause, file = %file.display(), "no room could be reserved");
                // What is there of it would be taken for all of it. Without any, what works without it goes on.
                let _ = std::fs::remove_file(file);
                self.is_given_back.store(false, Ordering::Relaxed);
                false
            }
        }
    }
}

fn fill(file: &Path) -> io::Result<()> {
    let mut file = File::options().create(true).truncate(false).write(true).open(file)?;
    match fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let part = [0x5a; 64 << 10];
            for _ in 0..RESERVE_BYTES / (64 << 10) {
                file.write_all(&part)?;
            }
            Ok(())
        }
        Err(cause) => Err(cause.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(folder: &Path) -> Option<u64> {
        std::fs::metadata(folder.join("reserve")).ok().map(|it| it.len())
    }

    #[test]
    fn what_was_given_back_is_taken_again_when_there_is_plenty_and_not_before() {
        let folder = tempfile::tempdir().expect("a folder");
        let reserve = Reserve::take(Some(folder.path()), 100);
        assert_eq!(length(folder.path()), Some(RESERVE_BYTES));
        assert!(!reserve.is_spent(0), "it is there");

        assert!(reserve.give_first());
        assert!(!reserve.give_first(), "the rest is for deletes");
        for _ in 1..RESERVE_BYTES / STEP_BYTES {
            assert!(reserve.give_back());
        }

        assert!(!reserve.give_back(), "there is nothing left to give");
        assert!(reserve.is_spent(2 * RESERVE_BYTES + 99));
        assert_eq!(length(folder.path()), Some(0));
        assert!(!reserve.is_spent(2 * RESERVE_BYTES + 100));
        assert_eq!(length(folder.path()), Some(RESERVE_BYTES));
    }

    /// A restart must not let others eat the room that deletes need.
    #[test]
    fn that_it_was_given_back_outlives_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("reserve"), b"the rest").expect("given back");

        let reserve = Reserve::take(Some(folder.path()), u64::MAX);

        assert!(reserve.is_spent(0));
    }

    /// On a disk that never had plenty, what works without a reserve goes on working.
    #[test]
    fn where_there_never_was_room_for_it_nothing_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");

        let reserve = Reserve::take(Some(folder.path()), u64::MAX);

        assert_eq!(length(folder.path()), None);
        assert!(!reserve.is_spent(0) && !reserve.give_back());
        assert!(!Reserve::take(None, 0).give_back());
    }
}
