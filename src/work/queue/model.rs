//! The things: jobs, their states, and why they fail.
use crate::base::{JobId, Timestamp};

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// For its time, or its turn.
    Waiting,
    Running,
    Done,
    /// It failed for good, or too often.
    Failed,
    Cancelled,
}

impl State {
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// A job to be done.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub kind: &'static str,
    /// JSON: what it is about, by ids. No secret.
    pub payload: String,
    /// Not before this.
    pub due_at: Timestamp,
    pub created_at: Timestamp,
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: JobId,
    pub kind: String,
    pub payload: String,
    pub state: State,
    pub attempts: u32,
    pub due_at: Timestamp,
    /// Per thousand; absent if it does not say.
    pub progress: Option<u32>,
    pub error: Option<String>,
    /// What became of it, if "done" does not say it all.
    pub note: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// How many jobs of a kind are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    pub kind: String,
    pub state: State,
    pub count: u64,
    /// When the one that is due for longest was due.
    pub oldest_due_at: Timestamp,
}

/// Why an attempt failed, in words for an admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may go better later.
    Temporary(String),
    /// Trying again is of no use.
    Permanent(String),
}
