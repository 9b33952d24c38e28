//! What a transaction has to say once it is on the disk.

/// Which of those who wait are to look: those who follow what happened, those who do what was promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// There are new events.
    pub events: bool,
    /// There are new jobs.
    pub jobs: bool,
}

impl News {
    pub const EVENTS: Self = Self { events: true, jobs: false };
    pub const JOBS: Self = Self { events: false, jobs: true };

    pub(super) fn add(&mut self, other: Self) {
        self.events |= other.events;
        self.jobs |= other.jobs;
    }

    pub(super) fn is_any(self) -> bool {
        self != Self::default()
    }
}
