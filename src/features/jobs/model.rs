//! The things: jobs as the API shows them.
use poem_openapi::types::{Any, Example};
use poem_openapi::{Enum, Object};
use serde_json::{Value, json};

use crate::base::{JobId, Timestamp};
use crate::http::Permission;
use crate::http::paging::ListMeta;
use crate::work::queue::{Counted, Entry, State};

pub const JOBS_READ: Permission = Permission("jobs:read");
pub const JOBS_WRITE: Permission = Permission("jobs:write");

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum JobState {
    /// For its time, or its turn.
    Waiting,
    Running,
    Done,
    /// It failed for good, or too often.
    Failed,
    Cancelled,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
            State::Done => Self::Done,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// Work that is done after the request that asked for it.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Job {
    pub id: JobId,
    /// What is to be done.
    pub kind: String,
    pub state: JobState,
    /// What it is about.
    pub payload: Any<Value>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next, or was due.
    pub due_at: Timestamp,
    /// From 0 to 1; absent if it does not say.
    pub progress: Option<f64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What became of it, if that it is done does not say it all: such as that a mail was not sent, and why.
    pub note: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl From<Entry> for Job {
    fn from(it: Entry) -> Self {
        Self {
            id: it.id,
            kind: it.kind,
            state: it.state.into(),
            payload: Any(serde_json::from_str(&it.payload).unwrap_or_default()),
            attempts: it.attempts,
            due_at: it.due_at,
            progress: it.progress.map(|it| f64::from(it) / 1_000.0),
            error: it.error,
            note: it.note,
            created_at: it.created_at,
            started_at: it.started_at,
            finished_at: it.finished_at,
        }
    }
}

impl Example for Job {
    fn example() -> Self {
        let at = Timestamp::example();
        Self {
            id: JobId::example(),
            kind: "accounts.mail".to_owned(),
            state: JobState::Waiting,
            payload: Any(json!({ "mail": "welcome", "user": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80" })),
            attempts: 1,
            due_at: at,
            progress: None,
            error: Some("smtp.example.com:587 takes too long to answer".to_owned()),
            note: None,
            created_at: at,
            started_at: Some(at),
            finished_at: None,
        }
    }
}

/// A page of jobs.
#[derive(Debug, Object)]
#[oai(example)]
pub struct JobList {
    pub data: Vec<Job>,
    pub meta: ListMeta,
}

impl Example for JobList {
    fn example() -> Self {
        Self { data: vec![Job::example()], meta: ListMeta::example() }
    }
}

/// How many jobs of a kind are in a state.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct JobCount {
    pub kind: String,
    pub state: JobState,
    pub count: u64,
    /// When the one that is due for longest was due.
    pub oldest_due_at: Timestamp,
}

impl From<Counted> for JobCount {
    fn from(it: Counted) -> Self {
        Self { kind: it.kind, state: it.state.into(), count: it.count, oldest_due_at: it.oldest_due_at }
    }
}

impl Example for JobCount {
    fn example() -> Self {
        let (kind, oldest_due_at) = ("accounts.mail".to_owned(), Timestamp::example());
        Self { kind, state: JobState::Waiting, count: 3, oldest_due_at }
    }
}

/// How many jobs there are.
#[derive(Debug, Object)]
#[oai(example)]
pub struct JobCounts {
    pub data: Vec<JobCount>,
}

impl Example for JobCounts {
    fn example() -> Self {
        Self { data: vec![JobCount::example()] }
    }
}
