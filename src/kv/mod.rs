//! Small fast things with an expiry, which may be lost: counters now, cached answers later.
//!
//! Counters live in memory, where an increment takes a fraction of a microsecond, and
//! are written behind to redb by [`Kv::flush`], so that they survive a restart. A
//! crash loses at most what was counted since the last flush. redb is never waited for
//! on the path of a request, and a file that cannot be read is begun anew.
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::base::{Clock, Timestamp, text};

/// Counters by key: how many, and until when (milliseconds since 1970).
const COUNTERS: TableDefinition<'_, &str, (u32, i64)> = TableDefinition::new("counters");
/// How often counters are written behind.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Most counters kept. Some 100 bytes each; past it the oldest windows go first.
const COUNTERS_MAX: usize = 200_000;

/// Why the file could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep counters on disk")]
pub struct Error(#[source] Box<redb::Error>);

impl<E: Into<redb::Error>> From<E> for Error {
    fn from(cause: E) -> Self {
        Self(Box::new(cause.into()))
    }
}

/// How often something happened in the current window, and when the window ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    pub count: u32,
    pub resets_at: Timestamp,
}

/// The store of small fast things. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Kv {
    counters: Arc<Mutex<Counters>>,
    /// Absent in tests, and where the disk refuses: then nothing survives a restart.
    file: Option<Arc<Database>>,
}

#[derive(Debug, Default)]
struct Counters {
    by_key: HashMap<String, Count>,
    /// Keys to be written or removed by the next flush.
    changed: std::collections::HashSet<String>,
}

impl Kv {
    /// Opens the file, or begins a new one where it is damaged: what is in it may be lost.
    pub fn open(path: &Path, clock: &Clock) -> Result<Self, Error> {
        let (database, counters) = read(path, clock.now()).or_else(|cause| {
            tracing::warn!(file = %path.display(), cause, "the cache file cannot be read; a new one is begun");
            let _ = std::fs::remove_file(path);
            let database = Database::create(path)?;
            Ok::<_, Error>((database, HashMap::new()))
        })?;
        let counters = Counters { by_key: counters, ..Counters::default() };
        Ok(Self { counters: Arc::new(Mutex::new(counters)), file: Some(Arc::new(database)) })
    }

    pub fn in_memory() -> Self {
        Self { counters: Arc::default(), file: None }
    }

    /// Counts one more for `key`, in a window that begins with the first.
    pub fn count_up(&self, key: &str, window: Duration, now: Timestamp) -> Count {
        let mut counters = self.lock();
        if COUNTERS_MAX <= counters.by_key.len() && !counters.by_key.contains_key(key) {
            counters.make_room(now);
        }
        let fresh = Count { count: 0, resets_at: now.plus(window) };
        let entry = counters.by_key.entry(key.to_owned()).or_insert(fresh);
        if entry.resets_at <= now {
            *entry = fresh;
        }
        entry.count = entry.count.saturating_add(1);
        let counted = *entry;
        counters.changed.insert(key.to_owned());
        counted
    }

    /// Takes one back, such as an attempt that turned out to be right.
    pub fn count_down(&self, key: &str) {
        let mut counters = self.lock();
        if let Some(entry) = counters.by_key.get_mut(key) {
            entry.count = entry.count.saturating_sub(1);
            counters.changed.insert(key.to_owned());
        }
    }

    pub fn forget(&self, key: &str) {
        let mut counters = self.lock();
        if counters.by_key.remove(key).is_some() {
            counters.changed.insert(key.to_owned());
        }
    }

    /// Writes what changed since the last flush, and drops windows that are over. It waits for
    /// the disk, so it is never called while a request is answered.
    pub fn flush(&self, now: Timestamp) -> Result<(), Error> {
        let Some(file) = &self.file else { return Ok(()) };
        let changed = {
            let mut counters = self.lock();
            counters.drop_ended(now);
            let keys = std::mem::take(&mut counters.changed);
            keys.into_iter().map(|key| (counters.by_key.get(&key).copied(), key)).collect::<Vec<_>>()
        };
        if changed.is_empty() {
            return Ok(());
        }
        let transaction = file.begin_write()?;
        {
            let mut table = transaction.open_table(COUNTERS)?;
            for (count, key) in &changed {
                match count {
                    Some(it) => table.insert(key.as_str(), (it.count, it.resets_at.millis()))?,
                    None => table.remove(key.as_str())?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn drop_ended(&mut self, now: Timestamp) {
        let changed = &mut self.changed;
        self.by_key.retain(|key, it| {
            let keep = now < it.resets_at;
            if !keep {
                changed.insert(key.clone());
            }
            keep
        });
    }

    /// Drops ended windows and, if that did not free a quarter, the half that ends soonest: a flood
    /// of keys costs time once in a while and memory never.
    fn make_room(&mut self, now: Timestamp) {
        self.drop_ended(now);
        if self.by_key.len() <= COUNTERS_MAX / 4 * 3 {
            return;
        }
        let mut ends: Vec<_> = self.by_key.values().map(|it| it.resets_at).collect();
        let middle = ends.len() / 2;
        let (_, median, _) = ends.select_nth_unstable(middle);
        let (median, changed) = (*median, &mut self.changed);
        let mut surplus = middle;
        self.by_key.retain(|key, it| {
            let drop = it.resets_at <= median && 0 < surplus;
            if drop {
                surplus -= 1;
                changed.insert(key.clone());
            }
            !drop
        });
    }
}

/// Opens a file and loads what is in it, or says why that cannot be done.
fn read(path: &Path, now: Timestamp) -> Result<(Database, HashMap<String, Count>), String> {
    let open = || {
        let mut database = Database::create(path)?;
        if !database.check_integrity()? {
            tracing::warn!(file = %path.display(), "the cache file was mended");
        }
        let counters = load(&database, now)?;
        Ok((database, counters))
    };
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(outcome) => outcome.map_err(|cause: Error| text::chain(&cause)),
        // redb panics over some kinds of damage.
        Err(_) => Err("it is damaged".to_owned()),
    }
}

fn load(database: &Database, now: Timestamp) -> Result<HashMap<String, Count>, Error> {
    let transaction = database.begin_write()?;
    // What ended while nothing ran is in no counter of ours, so no flush would remove it.
    transaction.open_table(COUNTERS)?.retain(|_, (_, resets_at)| now.millis() < resets_at)?;
    transaction.commit()?;
    let table = database.begin_read()?.open_table(COUNTERS)?;
    let mut counters = HashMap::new();
    for entry in table.iter()?.take(COUNTERS_MAX) {
        let (key, value) = entry?;
        let (count, resets_at) = value.value();
        counters.insert(key.value().to_owned(), Count { count, resets_at: Timestamp::from_millis(resets_at) });
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn clock() -> Clock {
        Clock::stopped_at(Timestamp::from_millis(0))
    }

    #[test]
    fn a_window_begins_with_its_first_count_and_ends_at_its_end() {
        let (kv, clock) = (Kv::in_memory(), clock());

        assert_eq!(kv.count_up("a", MINUTE, clock.now()).count, 1);
        clock.advance(MINUTE - Duration::from_millis(1));
        assert_eq!(kv.count_up("a", MINUTE, clock.now()).count, 2);
        clock.advance(Duration::from_millis(1));
        assert_eq!(kv.count_up("a", MINUTE, clock.now()).count, 1);
        assert_eq!(kv.count_up("b", MINUTE, clock.now()).count, 1);
    }

    /// A restart must not be a way around a limit.
    #[test]
    fn counters_survive_a_restart() {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
        let path = folder.path().join("cache.redb");
        let kv = Kv::open(&path, &clock).expect("opened");
        kv.count_up("a", MINUTE, clock.now());
        kv.count_up("gone", MINUTE, clock.now());
        kv.forget("gone");
        kv.flush(clock.now()).expect("flushed");
        drop(kv);

        let kv = Kv::open(&path, &clock).expect("opened again");

        assert_eq!(kv.count_up("a", MINUTE, clock.now()).count, 2);
        assert_eq!(kv.count_up("gone", MINUTE, clock.now()).count, 1);
    }

    #[test]
    fn a_damaged_file_is_begun_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("cache.redb");
        std::fs::write(&path, "not redb ".repeat(5_000)).expect("written");

        let kv = Kv::open(&path, &clock()).expect("opened all the same");

        assert_eq!(kv.count_up("a", MINUTE, Timestamp::from_millis(0)).count, 1);
    }

    /// What is in it may be lost, and a server that does not start for its cache is worse.
    #[test]
    fn a_file_with_damage_anywhere_in_it_is_begun_anew() {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
        let path = folder.path().join("cache.redb");
        let kv = Kv::open(&path, &clock).expect("opened");
        for n in 0..2_000 {
            kv.count_up(&n.to_string(), MINUTE, clock.now());
        }
        kv.flush(clock.now()).expect("flushed");
        drop(kv);
        let whole = std::fs::read(&path).expect("closed");

        for part in 0..whole.len() / 4_096 {
            for fill in [0x00, 0xA5, 0xFF] {
                let mut bytes = whole.clone();
                bytes[part * 4_096..(part + 1) * 4_096].fill(fill);
                std::fs::write(&path, bytes).expect("written");

                let kv = Kv::open(&path, &clock).expect("opened all the same");
                kv.count_up("a", MINUTE, clock.now());
                kv.flush(clock.now()).expect("flushed");
            }
        }
    }

    /// Windows that were over while the server was down would fill the file for ever.
    #[test]
    fn windows_that_ended_meanwhile_are_not_in_the_file_any_more() {
        let (folder, clock) = (tempfile::tempdir().expect("a folder"), clock());
        let path = folder.path().join("cache.redb");
        let kv = Kv::open(&path, &clock).expect("opened");
        kv.count_up("ended", MINUTE, clock.now());
        kv.count_up("goes on", 3 * MINUTE, clock.now());
        kv.flush(clock.now()).expect("flushed");
        drop(kv);
        clock.advance(MINUTE);

        drop(Kv::open(&path, &clock).expect("opened again"));

        let file = Database::open(&path).expect("opened");
        let table = file.begin_read().expect("begun").open_table(COUNTERS).expect("there");
        let keys: Vec<_> = table.iter().expect("read").map(|it| it.expect("read").0.value().to_owned()).collect();
        assert_eq!(keys, ["goes on"]);
    }

    /// Else each new key of a flood would cost a look at all others.
    #[test]
    fn making_room_makes_room_for_many() {
        let kv = Kv::in_memory();
        for n in 0..COUNTERS_MAX {
            let window = MINUTE + Duration::from_millis(u64::try_from(n).expect("small"));
            kv.count_up(&n.to_string(), window, Timestamp::from_millis(0));
        }
        let one_has_ended = Timestamp::from_millis(0).plus(MINUTE);

        kv.count_up("one more", MINUTE, one_has_ended);

        assert!(kv.lock().by_key.len() <= COUNTERS_MAX * 3 / 4, "{} are left", kv.lock().by_key.len());
    }

    #[test]
    fn a_flood_of_keys_does_not_grow_memory() {
        let kv = Kv::in_memory();

        for n in 0..COUNTERS_MAX + 10 {
            kv.count_up(&n.to_string(), MINUTE, Timestamp::from_millis(0));
        }

        assert!(kv.lock().by_key.len() <= COUNTERS_MAX);
    }
}
