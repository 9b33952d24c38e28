//! The file behind the counters. Nothing in it is worth a failure: what cannot be read or written is begun anew.
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use super::{COUNTERS_MAX, Count};
use crate::base::{Timestamp, text};

/// Counters by key: how many, and until when (milliseconds since 1970).
const COUNTERS: TableDefinition<'_, &str, (u32, i64)> = TableDefinition::new("counters");

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot keep counters on disk")]
    Redb(#[source] Box<redb::Error>),
    /// redb panics over some kinds of damage.
    #[error("cannot keep counters on disk: the file is damaged")]
    Damaged,
}

impl<E: Into<redb::Error>> From<E> for Error {
    fn from(cause: E) -> Self {
        Self::Redb(Box::new(cause.into()))
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) enum Changes {
    /// These keys; without a count, they are gone.
    Some(Vec<(Option<Count>, String)>),
    /// These counters and no others.
    All(Vec<(String, Count)>),
}

/// The file, which may have to be opened anew.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// Absent after a failure: redb refuses everything after one.
    database: Mutex<Option<Database>>,
}

impl File {
    /// Opens a file and loads what is in it; nothing if it cannot be read.
    pub fn open(path: &Path, now: Timestamp) -> (Self, HashMap<String, Count>) {
        let read = catching(|| {
            let mut database = Database::create(path)?;
            if !database.check_integrity()? {
                tracing::warn!(file = %path.display(), "the cache file was mended");
            }
            let counters = load(&database, now)?;
            // What could be read counts, also where nothing can be written.
            let database = prune(&database, now).is_ok().then_some(database);
            Ok((database, counters))
        });
        let (database, counters) = read.unwrap_or_else(|cause| {
            let cause = text::chain(&cause);
            tracing::warn!(file = %path.display(), cause, "the cache file cannot be read; a new one is begun");
            let _ = std::fs::remove_file(path);
            (None, HashMap::new())
        });
        (Self { path: path.to_owned(), database: Mutex::new(database) }, counters)
    }

    pub fn is_open(&self) -> bool {
        self.database.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub fn write(&self, changes: &Changes) -> Result<(), Error> {
        if matches!(changes, Changes::Some(none) if none.is_empty()) {
            return Ok(());
        }
        let mut place = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = place.take();
        let database = catching(|| {
            let database = match kept {
                Some(database) => database,
                None => begin(&self.path)?,
            };
            write(&database, changes)?;
            Ok(database)
        })?;
        *place = Some(database);
        Ok(())
    }
}

/// Runs what redb does with a file that may be damaged.
fn catching<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Error::Damaged))
}

/// Opens the file for someone who writes all of it, so that it need not be readable.
fn begin(path: &Path) -> Result<Database, Error> {
    catching(|| Ok(Database::create(path)?)).or_else(|_| {
        let _ = std::fs::remove_file(path);
        Ok(Database::create(path)?)
    })
}

fn load(database: &Database, now: Timestamp) -> Result<HashMap<String, Count>, Error> {
    let table = match database.begin_read()?.open_table(COUNTERS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(HashMap::new()),
        table => table?,
    };
    let mut counters = HashMap::new();
    for entry in table.iter()? {
        let (key, value) = entry?;
        let (count, resets_at) = value.value();
        let resets_at = Timestamp::from_millis(resets_at);
        if now < resets_at && counters.len() < COUNTERS_MAX {
            counters.insert(key.value().to_owned(), Count { count, resets_at });
        }
    }
    Ok(counters)
}

/// Removes what ended while nothing ran: it is in no counter of ours, so no flush would.
fn prune(database: &Database, now: Timestamp) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(COUNTERS)?.retain(|_, (_, resets_at)| now.millis() < resets_at)?;
    transaction.commit()?;
    Ok(())
}

fn write(database: &Database, changes: &Changes) -> Result<(), Error> {
    let transaction = database.begin_write()?;
    match changes {
        Changes::Some(keys) => {
            let mut table = transaction.open_table(COUNTERS)?;
            for (count, key) in keys {
                match count {
                    Some(it) => table.insert(key.as_str(), (it.count, it.resets_at.millis()))?,
                    None => table.remove(key.as_str())?,
                };
            }
        }
        Changes::All(counters) => {
            transaction.delete_table(COUNTERS)?;
            let mut table = transaction.open_table(COUNTERS)?;
            for (key, it) in counters {
                table.insert(key.as_str(), (it.count, it.resets_at.millis()))?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use redb::StorageBackend;
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A disk that takes nothing more from the moment that it is told to be full.
    #[derive(Debug, Default)]
    struct Disk {
        inner: InMemoryBackend,
        is_full: Arc<AtomicBool>,
    }

    impl Disk {
        fn has_room(&self) -> io::Result<()> {
            if self.is_full.load(Ordering::Relaxed) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl StorageBackend for Disk {
        fn len(&self) -> io::Result<u64> {
            self.inner.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.inner.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.has_room()?;
            self.inner.set_len(len)
        }

        fn sync_data(&self) -> io::Result<()> {
            self.has_room()?;
            self.inner.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.has_room()?;
            self.inner.write(offset, data)
        }
    }

    /// A file on a disk that can be told to be full; opened anew, it is a usual one at `path`.
    pub(in super::super) fn on_a_disk_that_fills(path: &Path) -> (File, Arc<AtomicBool>) {
        let disk = Disk::default();
        let is_full = Arc::clone(&disk.is_full);
        let database = Database::builder().create_with_backend(disk).expect("opened");
        (File { path: path.to_owned(), database: Mutex::new(Some(database)) }, is_full)
    }
}
