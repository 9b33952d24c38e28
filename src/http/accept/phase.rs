//! Serving, stopping, cut: what the whole server is doing, as every connection sees it.
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// Only ever moves forward. Reading it takes no lock, because every connection does so at every step.
#[derive(Debug, Default)]
pub(super) struct Phase {
    now: AtomicU8,
    changed: Notify,
}

pub(super) const SERVING: u8 = 0;
pub(super) const STOPPING: u8 = 1;
pub(super) const CUT: u8 = 2;

impl Phase {
    pub(super) fn now(&self) -> u8 {
        self.now.load(Ordering::Acquire)
    }

    /// Ends at the next change after this call, so look at [`Phase::now`] after it.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(super) fn stop(&self) {
        self.enter(STOPPING);
    }

    pub(super) fn cut(&self) {
        self.enter(CUT);
    }

    fn enter(&self, phase: u8) {
        self.now.fetch_max(phase, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}
