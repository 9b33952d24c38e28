//! Doing what is due.
use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::model::{Entry, Failure, State};
use super::store;
use crate::base::text::chain;
use crate::base::{Clock, JobId, TenantId, Timestamp};
use crate::bus::Listener;
use crate::db::{self, Db, Tx};

/// How long the queue rests if nothing is due and nobody says that there is something.
const REST_MAX: Duration = Duration::from_secs(60);
/// How long it rests if the database does not let it look.
const REST_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Longest text that is kept of why an attempt failed, or of what became of a job.
const ERROR_CHARS_MAX: usize = 1_000;

type Handler = dyn Fn(Ticket) -> BoxFuture<'static, Result<(), Failure>> + Send + Sync;

/// A kind of jobs: who does them, how many at once, and how often they are tried.
pub struct Kind {
    name: &'static str,
    at_once: usize,
    /// The pauses between attempts: one attempt more than there are pauses.
    pauses: &'static [Duration],
    handler: Box<Handler>,
}

impl fmt::Debug for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kind").field("name", &self.name).field("at_once", &self.at_once).finish_non_exhaustive()
    }
}

impl Kind {
    /// Up to `at_once` jobs run beside each other. One that fails for now is tried again after each of `pauses`.
    pub fn new<F>(
        name: &'static str,
        at_once: usize,
        pauses: &'static [Duration],
        handler: impl Fn(Ticket) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        Self { name, at_once, pauses, handler: Box::new(move |ticket| Box::pin(handler(ticket))) }
    }
}

/// What a handler gets of its job.
#[derive(Clone, Debug)]
pub struct Ticket {
    pub tenant: TenantId,
    pub id: JobId,
    pub payload: Value,
    /// From 1.
    pub attempt: u32,
    /// When the job was promised.
    pub created_at: Timestamp,
    /// Cancelled when an admin cancels the job: what takes long looks at it between its steps.
    pub cancelled: CancellationToken,
    db: Db,
}

impl Ticket {
    /// Says how far the job is, for those who look at it.
    pub async fn progress(&self, done: u64, of: u64) -> Result<(), db::Error> {
        let per_thousand = u32::try_from(done.min(of).saturating_mul(1_000) / of.max(1)).unwrap_or(1_000);
        let id = self.id;
        self.db.write(&self.tenant, move |tx| store::set_progress(tx, id, per_thousand)).await
    }
}

impl Ticket {
    /// Says what became of the job, where it is done and that does not say it all.
    pub async fn note(&self, text: &str) -> Result<(), db::Error> {
        let (id, text): (_, String) = (self.id, text.chars().take(ERROR_CHARS_MAX).collect());
        self.db.free(&self.tenant, move |tx| store::set_note(tx, id, &text)).await
    }
}

/// Does the jobs of a tenant. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Queue {
    db: Db,
    clock: Clock,
    tenant: TenantId,
    kinds: Arc<[Kind]>,
    running: Arc<Mutex<HashMap<JobId, CancellationToken>>>,
}

/// What is due of a kind.
enum Claimed {
    Jobs(Vec<Entry>),
    NoneUntil(Timestamp),
    None,
}

fn cannot_look(cause: &db::Error) {
    tracing::error!(cause = %chain(cause), "cannot look for jobs; will try again");
}

/// A job that has come to an end, or to the end of an attempt.
struct Ended {
    job: Entry,
    kind: usize,
    outcome: Result<(), Failure>,
}

impl Queue {
    pub fn new(db: Db, clock: Clock, tenant: TenantId, kinds: Vec<Kind>) -> Self {
        Self { db, clock, tenant, kinds: kinds.into(), running: Arc::default() }
    }

    /// Tells a job that runs that it was cancelled.
    pub fn give_up(&self, id: JobId) {
        if let Some(token) = self.tokens().get(&id) {
            token.cancel();
        }
    }

    /// Whether an attempt at a job is under way, also one at a job that was cancelled.
    pub fn is_running(&self, id: JobId) -> bool {
        self.tokens().contains_key(&id)
    }

    /// Does what is due until `stop`; then it begins nothing more, and ends when what runs has ended. `news` is told
    /// when there are new jobs.
    pub async fn run(self, mut news: Listener, stop: CancellationToken) {
        let mut at_work = FuturesUnordered::new();
        let mut counts = vec![0_usize; self.kinds.len()];
        let mut took_up = false;
        while !stop.is_cancelled() {
            if !took_up {
                // What ran when the server was stopped or killed. Only now: later, it would be what runs here.
                let taken_up = self.db.free(&self.tenant, store::take_up).await;
                took_up = taken_up.inspect_err(cannot_look).is_ok();
            }
            let rest = if took_up { self.begin(&mut counts, &mut at_work).await } else { REST_AFTER_FAILURE };
            tokio::select! {
                () = stop.cancelled() => {}
                () = news.heard() => {}
                () = tokio::time::sleep(rest) => {}
                Some(ended) = at_work.next(), if !at_work.is_empty() => self.end(&mut counts, ended).await,
            }
        }
        while let Some(ended) = at_work.next().await {
            self.end(&mut counts, ended).await;
        }
    }

    /// Begins what is due and there is room for, and says how long to rest if nothing happens.
    async fn begin(&self, counts: &mut [usize], at_work: &mut FuturesUnordered<BoxFuture<'static, Ended>>) -> Duration {
        let mut rest = REST_MAX;
        for (at, kind) in self.kinds.iter().enumerate() {
            let free = kind.at_once.saturating_sub(counts[at]);
            if free == 0 {
                continue; // the end of one of them wakes the queue
            }
            match self.claim(kind.name, free).await {
                Ok(Claimed::Jobs(jobs)) => {
                    counts[at] += jobs.len();
                    at_work.extend(jobs.into_iter().map(|job| self.attempt(at, job)));
                    if counts[at] < kind.at_once {
                        rest = Duration::ZERO; // to see when the next one is due
                    }
                }
                Ok(Claimed::NoneUntil(due_at)) => rest = rest.min(self.clock.now().until(due_at)),
                Ok(Claimed::None) => {}
                Err(cause) => {
                    cannot_look(&cause);
                    rest = rest.min(REST_AFTER_FAILURE);
                }
            }
        }
        rest
    }

    /// Takes up to `free` jobs of a kind that are due.
    async fn claim(&self, kind: &'static str, free: usize) -> Result<Claimed, db::Error> {
        let now = self.clock.now();
        // Looked at first: a queue at rest must not write.
        let Some(due_at) = self.db.read(&self.tenant, move |tx| store::next_due(tx, kind)).await? else {
            return Ok(Claimed::None);
        };
        if now < due_at {
            return Ok(Claimed::NoneUntil(due_at));
        }
        // Also when the disk is nearly full: people must be able to sign in to make room.
        self.db.free(&self.tenant, move |tx| store::claim(tx, kind, free, now)).await.map(Claimed::Jobs)
    }

    /// One attempt, whose panic is its own.
    fn attempt(&self, kind: usize, job: Entry) -> BoxFuture<'static, Ended> {
        let cancelled = CancellationToken::new();
        self.tokens().insert(job.id, cancelled.clone());
        let ticket = Ticket {
            tenant: self.tenant.clone(),
            id: job.id,
            payload: serde_json::from_str(&job.payload).unwrap_or_default(),
            attempt: job.attempts,
            created_at: job.created_at,
            cancelled,
            db: self.db.clone(),
        };
        let kinds = Arc::clone(&self.kinds);
        Box::pin(async move {
            let attempt = AssertUnwindSafe(async { (kinds[kind].handler)(ticket).await }).catch_unwind();
            let outcome =
                attempt.await.unwrap_or_else(|_| Err(Failure::Temporary("it met a bug; the log has it".to_owned())));
            Ended { job, kind, outcome }
        })
    }

    /// Writes down what became of an attempt.
    async fn end(&self, counts: &mut [usize], ended: Ended) {
        let Ended { job, kind, outcome } = ended;
        counts[kind] -= 1;
        self.tokens().remove(&job.id);
        let (id, now) = (job.id, self.clock.now());
        let pauses = self.kinds[kind].pauses;
        let written = match outcome {
            Ok(()) => self.write(move |tx| store::finish(tx, id, State::Done, None, now)).await,
            Err(failure) => {
                let (why, may_help) = match failure {
                    Failure::Temporary(why) => (why, true),
                    Failure::Permanent(why) => (why, false),
                };
                let why: String = why.chars().take(ERROR_CHARS_MAX).collect();
                let pause = usize::try_from(job.attempts).ok().and_then(|it| pauses.get(it.saturating_sub(1)));
                let (kind, attempt) = (self.kinds[kind].name, job.attempts);
                match pause.filter(|_| may_help) {
                    Some(pause) => {
                        tracing::warn!(job.id = %id, job.kind = kind, attempt, why, "a job failed; will try again");
                        let due_at = now.plus(*pause);
                        self.write(move |tx| store::postpone(tx, id, &why, due_at)).await
                    }
                    None => {
                        tracing::error!(job.id = %id, job.kind = kind, attempt, why, "a job failed for good");
                        self.write(move |tx| store::finish(tx, id, State::Failed, Some(&why), now)).await
                    }
                }
            }
        };
        if let Err(cause) = written {
            // It stays among those that run, and is begun again at the next start.
            tracing::error!(job.id = %id, cause = %chain(&cause), "cannot write down what became of a job");
        }
    }

    async fn write(
        &self,
        work: impl FnMut(&mut Tx<'_>) -> Result<(), db::Error> + Send + 'static,
    ) -> Result<(), db::Error> {
        self.db.free(&self.tenant, work).await
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<JobId, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
