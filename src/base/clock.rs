//! Where the time comes from: the system, or a test's own hand.
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Timestamp;

/// Tells the time. Cheap to clone; all clones of a stopped clock move together.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Stopped(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn stopped_at(now: Timestamp) -> Self {
        Self(Source::Stopped(Arc::new(AtomicI64::new(now.millis()))))
    }

    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => system_now(),
            Source::Stopped(millis) => Timestamp::from_millis(millis.load(Ordering::Relaxed)),
        }
    }

    /// Moves a stopped clock forward; the system's clock is not moved.
    pub fn advance(&self, by: Duration) {
        if let Source::Stopped(millis) = &self.0 {
            let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            millis.fetch_add(by, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the machine for the time")]
fn system_now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that holds a clone sees the test's time, not its own.
    #[test]
    fn clones_of_a_stopped_clock_move_together() {
        let clock = Clock::stopped_at(Timestamp::from_millis(1_000));
        let held_by_a_worker = clock.clone();

        clock.advance(Duration::from_secs(2));

        assert_eq!(held_by_a_worker.now(), Timestamp::from_millis(3_000));
    }
}
