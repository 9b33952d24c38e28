//! Small fast things with an expiry, which may be lost: counters now, cached answers later.
//!
//! Counters live in memory, where an increment takes a fraction of a microsecond, and
//! are written behind to redb by [`Kv::flush`], so that they survive a restart. A
//! crash loses at most what was counted since the last flush, which comes at once for what
//! [`Kv::hurry`] was called for. redb is never waited for on the path of a request, and a file
//! that cannot be read or written is begun anew.
mod file;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use self::file::{Changes, File};
use crate::base::{Clock, Timestamp};

pub use self::file::Error;

/// How often counters are written behind.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Most counters kept. Some 100 bytes each; past it the oldest windows go first.
const COUNTERS_MAX: usize = 200_000;
/// Most keys that wait to be written one by one. Past it all counters are written: a disk that takes nothing
/// for minutes must not make every key of a flood stay in memory.
const CHANGED_MAX: usize = COUNTERS_MAX;

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
    /// Absent in tests: then nothing survives a restart.
    file: Option<Arc<File>>,
    /// Says that the next flush should not be waited for.
    hurry: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Counters {
    by_key: HashMap<String, Count>,
    changed: Changed,
}

/// What the next flush has to write.
#[derive(Debug)]
enum Changed {
    /// These keys, which may be gone meanwhile.
    Keys(HashSet<String>),
    /// Every counter, in the place of all that is in the file.
    All,
}

impl Default for Changed {
    fn default() -> Self {
        Self::Keys(HashSet::new())
    }
}

impl Changed {
    fn add(&mut self, key: &str) {
        match self {
            Self::Keys(keys) if keys.len() < CHANGED_MAX => {
                keys.insert(key.to_owned());
            }
            Self::Keys(_) => *self = Self::All,
            Self::All => {}
        }
    }
}

impl Kv {
    /// Opens the file. Where it is damaged a new one is begun by the next flush: what is in it may be lost, and a
    /// server that does not start for its cache is worse.
    pub fn open(path: &Path, clock: &Clock) -> Self {
        let (file, by_key) = File::open(path, clock.now());
        let changed = if file.is_open() { Changed::default() } else { Changed::All };
        let counters = Arc::new(Mutex::new(Counters { by_key, changed }));
        Self { counters, file: Some(Arc::new(file)), hurry: Arc::default() }
    }

    pub fn in_memory() -> Self {
        Self { counters: Arc::default(), file: None, hurry: Arc::default() }
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
        counters.changed.add(key);
        counted
    }

    /// How often `key` was counted in its present window, if it was.
    pub fn find(&self, key: &str, now: Timestamp) -> Option<Count> {
        self.lock().by_key.get(key).filter(|it| now < it.resets_at).copied()
    }

    /// Everything whose key begins like this. It looks at all keys, so it is for people who look, not for each request.
    pub fn list(&self, beginning: &str, now: Timestamp) -> Vec<(String, Count)> {
        let counters = self.lock();
        let found = counters.by_key.iter().filter(|(key, it)| key.starts_with(beginning) && now < it.resets_at);
        found.map(|(key, count)| (key.clone(), *count)).collect()
    }

    /// Something was counted that should survive a crash in the next moment too. Nobody waits for it.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// What says so to whoever flushes.
    pub fn hurried(&self) -> Arc<Notify> {
        Arc::clone(&self.hurry)
    }

    /// Takes one back, such as an attempt that turned out to be right.
    pub fn count_down(&self, key: &str) {
        let mut counters = self.lock();
        if let Some(entry) = counters.by_key.get_mut(key) {
            entry.count = entry.count.saturating_sub(1);
            counters.changed.add(key);
        }
    }

    pub fn forget(&self, key: &str) {
        let mut counters = self.lock();
        if counters.by_key.remove(key).is_some() {
            counters.changed.add(key);
        }
    }

    /// Writes what changed since the last flush, and drops windows that are over. It waits for
    /// the disk, so it is never called while a request is answered. After a failure the next one writes all.
    pub fn flush(&self, now: Timestamp) -> Result<(), Error> {
        let changes = self.lock().take_changes(now);
        let Some(file) = &self.file else { return Ok(()) };
        file.write(&changes).inspect_err(|_| self.lock().changed = Changed::All)
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    fn take_changes(&mut self, now: Timestamp) -> Changes {
        self.drop_ended(now);
        match std::mem::take(&mut self.changed) {
            Changed::Keys(keys) => {
                Changes::Some(keys.into_iter().map(|key| (self.by_key.get(&key).copied(), key)).collect())
            }
            Changed::All => Changes::All(self.by_key.iter().map(|(key, count)| (key.clone(), *count)).collect()),
        }
    }

    fn drop_ended(&mut self, now: Timestamp) {
        let changed = &mut self.changed;
        self.by_key.retain(|key, it| {
            let keep = now < it.resets_at;
            if !keep {
                changed.add(key);
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
                changed.add(key);
            }
            !drop
        });
    }
}
