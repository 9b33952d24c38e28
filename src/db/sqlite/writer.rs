//! The one thread that writes: many requests, one transaction, one fsync.
//!
//! It takes what waits, runs each task in a savepoint, commits once, and only then
//! answers. A task that fails loses its own changes; a statement that ends the whole
//! transaction (a full disk, an I/O error) costs only the task that ran it, and the
//! others run again, each in a transaction of its own. So tasks may run more than once.
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use rusqlite::hooks::AuthContext;
use rusqlite::{Connection, ErrorCode};

use super::authorizer::{Scope, authorize};
use super::condition::Condition;
use super::connection::{Place, error, is_io_failure, wal_bytes};
use crate::db::class::{Class, Sharing};
use crate::db::reserve::Reserve;
use crate::db::tx::{Lent, Step};
use crate::db::{Error, News, Options, Tx, folder};

/// Once a group has run this long it commits, however many still wait, so that one
/// slow task holds up its own group only.
const GROUP_TIME_MAX: Duration = Duration::from_millis(50);
/// A change of the schema may have to write a whole table or index.
const ALONE_BUDGET: Duration = Duration::from_secs(600);
/// New pages in the write-ahead log after which they are copied into the main file: 16 MiB. What is changed again and
/// again meanwhile is copied once.
const CHECKPOINT_PAGES: i32 = 4_000;
/// Size of the write-ahead log, and new pages in it, at which it is emptied on a nearly full disk: small writes shall not
/// take the room that deletes need.
const WAL_BYTES_WHEN_FULL: u64 = 1 << 20;
const CHECKPOINT_PAGES_WHEN_FULL: i32 = 256;
/// Size of the write-ahead log at which the writer waits for readers and empties it.
const WAL_BYTES_MAX: u64 = 32 << 20;
/// How long the writer sleeps when nobody writes, before it copies what is left.
const IDLE: Duration = Duration::from_secs(1);
/// What the process ends with when the outcome of a commit is unknown (EX_IOERR of sysexits.h).
const EXIT_IO_ERROR: i32 = 74;

/// The writer's own statements. Prepared statements are cached by their text, and a task must
/// not find one of these there, so each is marked.
const BEGIN: &str = "BEGIN IMMEDIATE /* writer */";
const COMMIT: &str = "COMMIT /* writer */";
const ROLLBACK: &str = "ROLLBACK /* writer */";
const SAVEPOINT: &str = "SAVEPOINT task /* writer */";
const UNDO: &str = "ROLLBACK TO task /* writer */";
const RELEASE: &str = "RELEASE task /* writer */";
const ATTEMPT: &str = "SAVEPOINT attempt /* writer */";
const UNDO_ATTEMPT: &str = "ROLLBACK TO attempt /* writer */";
const END_ATTEMPT: &str = "RELEASE attempt /* writer */";

/// A closure on its way through the writer, with whoever waits for its answer.
pub(in crate::db) trait Task: Send {
    /// Runs the closure and keeps its answer. True if its changes are to stay.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Sends the kept answer, or the error that befell the whole group.
    fn finish(self: Box<Self>, verdict: Result<(), Error>);
    /// Whether nobody waits any more.
    fn is_abandoned(&self) -> bool;
}

struct Envelope {
    class: Class,
    task: Box<dyn Task>,
}

/// Tells those who listen that something was committed.
pub(in crate::db) type Tell = Box<dyn Fn(News) + Send>;

/// The handle to the writer's thread. Dropping it lets the thread finish what waits.
#[derive(Debug)]
pub(in crate::db) struct Writer {
    queue: Option<Sender<Envelope>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(in crate::db) fn start(
        place: Place,
        connection: Connection,
        options: &Options,
        reserve: Arc<Reserve>,
        condition: Arc<Condition>,
        tell: Tell,
    ) -> Result<Self, Error> {
        let (queue, waiting) = crossbeam_channel::bounded(options.write_queue_max);
        let inner = Inner { tell, ..Inner::new(place, connection, waiting, options, reserve, condition)? };
        inner.is_full(); // the first to ask whether the server is ready has an answer
        let thread = std::thread::Builder::new()
            .name("db-writer".to_owned())
            .spawn(move || inner.work())
            .map_err(|cause| Error::Io { what: "a thread for the writer".to_owned(), cause })?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(in crate::db) fn send(&self, class: Class, task: Box<dyn Task>) {
        let Some(queue) = &self.queue else { return task.finish(Err(Error::Closed)) };
        match queue.try_send(Envelope { class, task }) {
            Ok(()) => {}
            Err(TrySendError::Full(envelope)) => envelope.task.finish(Err(Error::QueueFull)),
            Err(TrySendError::Disconnected(envelope)) => envelope.task.finish(Err(Error::Closed)),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Inner {
    place: Place,
    folder: Option<PathBuf>,
    connection: Connection,
    scope: Arc<AtomicU8>,
    /// Pages in the write-ahead log after the last commit.
    wal_pages: Arc<AtomicI32>,
    /// The same at the last checkpoint.
    checkpointed_pages: i32,
    condition: Arc<Condition>,
    free_bytes_min: u64,
    reserve: Arc<Reserve>,
    /// Whether the newest task met a full disk.
    met_full_disk: bool,
    group_max: usize,
    budget: Duration,
    waiting: Receiver<Envelope>,
    /// Tasks that were taken from those who wait, and do not run yet.
    pending: usize,
    tell: Tell,
    /// What the present transaction has to tell.
    news: News,
}

/// What became of one task in a transaction.
enum Ran {
    Kept,
    Undone,
    Panicked(String),
    /// Its statement ended the whole transaction.
    EndedTransaction,
}

/// What became of the transaction.
enum Committed {
    Yes,
    No(ErrorCode, String),
}

impl Inner {
    fn new(
        place: Place,
        mut connection: Connection,
        waiting: Receiver<Envelope>,
        options: &Options,
        reserve: Arc<Reserve>,
        condition: Arc<Condition>,
    ) -> Result<Self, Error> {
        let scope = Arc::new(AtomicU8::new(Scope::Outside as u8));
        let wal_pages = Arc::new(AtomicI32::new(0));
        let (seen_scope, seen_pages) = (Arc::clone(&scope), Arc::clone(&wal_pages));
        connection
            .authorizer(Some(move |context: AuthContext<'_>| authorize(seen_scope.load(Ordering::Relaxed), &context)))
            .map_err(error)?;
        connection
            .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
                seen_pages.store(pages, Ordering::Relaxed);
                Ok(())
            }))
            .map_err(error)?;
        Ok(Self {
            folder: place.path().and_then(|it| it.parent()).map(ToOwned::to_owned),
            place,
            connection,
            scope,
            wal_pages,
            checkpointed_pages: 0,
            condition,
            free_bytes_min: options.free_bytes_min,
            reserve,
            met_full_disk: false,
            group_max: options.group_max,
            budget: options.write_budget,
            waiting,
            pending: 0,
            tell: Box::new(|_| ()),
            news: News::default(),
        })
    }

    fn work(mut self) {
        let mut pending = VecDeque::new();
        loop {
            if pending.is_empty() {
                match self.waiting.recv_timeout(IDLE) {
                    Ok(envelope) => pending.push_back(envelope),
                    Err(RecvTimeoutError::Timeout) => {
                        self.is_full();
                        self.checkpoint_if(1);
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            pending.extend(self.waiting.try_iter().take(self.group_max.saturating_sub(pending.len())));
            self.group(&mut pending);
            let is_short = self.condition.is_full();
            self.checkpoint_if(if is_short { CHECKPOINT_PAGES_WHEN_FULL } else { CHECKPOINT_PAGES });
        }
        self.checkpoint("TRUNCATE");
    }

    /// Takes one group from the front of what is pending, runs it and answers it.
    fn group(&mut self, pending: &mut VecDeque<Envelope>) {
        self.refuse_what_cannot_be_written(pending);
        match pending.front().map(|it| it.class.sharing) {
            None => {}
            Some(Sharing::Alone) => {
                if let Some(envelope) = pending.pop_front() {
                    self.run_singly(vec![envelope], Scope::Alone);
                    // What it prepared was allowed to it, and would not be asked about again.
                    self.connection.flush_prepared_statement_cache();
                }
            }
            Some(Sharing::Bulk) => {
                if let Some(envelope) = pending.pop_front() {
                    self.pending = pending.len();
                    self.run_singly(vec![envelope], Scope::Group);
                }
                self.run_together(pending);
            }
            Some(Sharing::Group) => self.run_together(pending),
        }
    }

    /// Whether there is less room than is kept free. What the file itself has to give again counts as room, but for the
    /// half that the write-ahead log needs.
    fn is_full(&self) -> bool {
        let full = self.folder.as_ref().is_some_and(|it| {
            let free = folder::free_bytes(it);
            let is_kept_free = self.free_bytes_min <= free
                || (self.free_bytes_min / 2 <= free && self.free_bytes_min <= free.saturating_add(self.unused_bytes()));
            !is_kept_free || self.reserve.is_spent(free)
        });
        self.condition.set_full(full);
        full
    }

    /// Whether a full disk has room again once the write-ahead log is emptied, if there is something in it.
    fn finds_room(&mut self) -> bool {
        if wal_bytes(&self.place) < WAL_BYTES_WHEN_FULL {
            return false;
        }
        self.checkpoint("TRUNCATE");
        !self.is_full()
    }

    /// Bytes of the file that nothing is in.
    fn unused_bytes(&self) -> u64 {
        let number = |sql| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0).unsigned_abs();
        number("PRAGMA freelist_count").saturating_mul(number("PRAGMA page_size"))
    }

    /// Answers at once those whose asker is gone, and those for which there is no room on the disk.
    fn refuse_what_cannot_be_written(&mut self, pending: &mut VecDeque<Envelope>) {
        let damaged = self.condition.is_damaged();
        let full = self.is_full() && !self.finds_room();
        for envelope in std::mem::take(pending) {
            if envelope.task.is_abandoned() {
                finish(envelope.task, Err(Error::Closed));
            } else if damaged {
                finish(envelope.task, Err(Error::Damaged));
            } else if full && !envelope.class.frees_room {
                finish(envelope.task, Err(Error::StorageFull));
            } else {
                pending.push_back(envelope);
            }
        }
    }

    fn run_together(&mut self, pending: &mut VecDeque<Envelope>) {
        if !pending.iter().any(|it| it.class.sharing != Sharing::Bulk) {
            return;
        }
        if let Err(cause) = self.control(BEGIN) {
            return self.refuse_all(pending, &cause);
        }
        let started = Instant::now();
        let mut ran: Vec<(Envelope, Ran)> = Vec::new();
        let mut again: Vec<Envelope> = Vec::new();
        let mut left: VecDeque<Envelope> = VecDeque::new();
        while let Some(mut envelope) = pending.pop_front() {
            if envelope.class.sharing == Sharing::Alone || GROUP_TIME_MAX < started.elapsed() {
                left.push_back(envelope);
                break;
            }
            if envelope.class.sharing == Sharing::Bulk {
                left.push_back(envelope);
                continue;
            }
            let outcome = self.run_in_savepoint(envelope.task.as_mut());
            let ended = matches!(outcome, Ran::EndedTransaction);
            if !ended && self.met_full_disk && envelope.class.frees_room {
                again.push(envelope);
                continue;
            }
            ran.push((envelope, outcome));
            if ended {
                left.append(pending);
                *pending = left;
                self.run_the_others_singly(ran);
                return self.run_singly(again, Scope::Group);
            }
        }
        left.append(pending);
        *pending = left;
        match self.commit() {
            Committed::Yes => ran.into_iter().for_each(|(it, ran)| answer(it.task, ran)),
            Committed::No(ErrorCode::ConstraintViolation, _) => {
                again.extend(ran.into_iter().map(|(it, _)| it));
            }
            Committed::No(code, message) => {
                for (envelope, _) in ran {
                    if code == ErrorCode::DiskFull && envelope.class.frees_room {
                        again.push(envelope);
                    } else {
                        finish(envelope.task, Err(group_error(code, &message)));
                    }
                }
            }
        }
        self.run_singly(again, Scope::Group);
    }

    /// The last of `ran` ended the transaction: it alone is answered, the others start over.
    fn run_the_others_singly(&mut self, mut ran: Vec<(Envelope, Ran)>) {
        // It may also be left half open, where a savepoint failed; no other could begin in it.
        if !self.connection.is_autocommit() {
            let _ = self.control(ROLLBACK);
        }
        let met_full_disk = self.met_full_disk;
        let culprit = ran.pop();
        self.run_singly(ran.into_iter().map(|(it, _)| it).collect(), Scope::Group);
        match culprit {
            Some((it, _)) if met_full_disk && it.class.frees_room => self.run_singly(vec![it], Scope::Group),
            Some((it, _)) if met_full_disk => finish(it.task, Err(Error::StorageFull)),
            Some((it, ran)) => answer(it.task, ran),
            None => {}
        }
    }

    /// Runs each in a transaction of its own. What frees room gets the reserve if it needs it.
    fn run_singly(&mut self, envelopes: Vec<Envelope>, scope: Scope) {
        for Envelope { class, mut task } in envelopes {
            let mut outcome = self.run_by_itself(task.as_mut(), scope);
            if self.met_full_disk && class.frees_room {
                // The write-ahead log first: what it gives back is not missing to those who come later.
                self.checkpoint("TRUNCATE");
                outcome = self.run_by_itself(task.as_mut(), scope);
            }
            let mut has_more = true;
            while self.met_full_disk && class.frees_room && has_more {
                // Once more when there is none left: another database may have given it back, so that there is room.
                has_more = self.reserve.give_back();
                outcome = self.run_by_itself(task.as_mut(), scope);
            }
            match outcome {
                Ok(Ran::EndedTransaction) if self.met_full_disk => finish(task, Err(Error::StorageFull)),
                Ok(ran) => answer(task, ran),
                Err(cause) => finish(task, Err(cause)),
            }
        }
    }

    fn run_by_itself(&mut self, task: &mut dyn Task, scope: Scope) -> Result<Ran, Error> {
        self.met_full_disk = false;
        self.control(BEGIN).map_err(|cause| Error::Engine(cause.to_string().into()))?;
        let ran = self.run(task, scope);
        if self.connection.is_autocommit() {
            return Ok(Ran::EndedTransaction);
        }
        if !matches!(ran, Ran::Kept) {
            let _ = self.control(ROLLBACK);
            return Ok(ran);
        }
        match self.commit() {
            Committed::Yes => Ok(ran),
            Committed::No(code, message) => {
                self.met_full_disk = code == ErrorCode::DiskFull;
                Err(group_error(code, &message))
            }
        }
    }

    fn run_in_savepoint(&mut self, task: &mut dyn Task) -> Ran {
        self.met_full_disk = false;
        if self.control(SAVEPOINT).is_err() {
            return Ran::EndedTransaction;
        }
        let ran = self.run(task, Scope::Group);
        // Some failures end the whole transaction. Without this look a later task
        // would commit alone and be told that it failed.
        if self.connection.is_autocommit() {
            return Ran::EndedTransaction;
        }
        let undone = matches!(ran, Ran::Kept) || self.control(UNDO).is_ok();
        if !undone || self.control(RELEASE).is_err() {
            return Ran::EndedTransaction;
        }
        ran
    }

    fn run(&mut self, task: &mut dyn Task, scope: Scope) -> Ran {
        let budget = if matches!(scope, Scope::Alone) { self.budget.max(ALONE_BUDGET) } else { self.budget };
        let hands = Hands { inner: self, scope };
        let mut tx = Tx::sqlite(&self.connection, Instant::now() + budget).lent(&hands);
        self.scope.store(scope as u8, Ordering::Relaxed);
        let outcome = catch_unwind(AssertUnwindSafe(|| task.run(&mut tx)));
        self.scope.store(Scope::Outside as u8, Ordering::Relaxed);
        let (saw_damage, saw_full_disk, news) = (tx.saw_damage(), tx.saw_full_disk(), tx.news());
        self.news.add(news);
        self.met_full_disk = saw_full_disk;
        if saw_damage {
            self.condition.found_damaged(&self.place);
        }
        match outcome {
            Ok(true) => Ran::Kept,
            Ok(false) => Ran::Undone,
            Err(panic) => Ran::Panicked(panic_message(panic.as_ref())),
        }
    }

    fn commit(&mut self) -> Committed {
        let news = std::mem::take(&mut self.news);
        let Err(cause) = self.control(COMMIT) else {
            if news.is_any() {
                (self.tell)(news);
            }
            return Committed::Yes;
        };
        if is_io_failure(&cause) {
            stop_the_process(&self.place, &cause);
        }
        if !self.connection.is_autocommit() {
            let _ = self.control(ROLLBACK);
        }
        Committed::No(cause.sqlite_error_code().unwrap_or(ErrorCode::Unknown), cause.to_string())
    }

    /// Runs one of the writer's own statements.
    fn control(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn refuse_all(&self, pending: &mut VecDeque<Envelope>, cause: &rusqlite::Error) {
        tracing::error!(database = ?self.place, %cause, "a transaction could not begin");
        for envelope in pending.drain(..) {
            finish(envelope.task, Err(Error::Engine(cause.to_string().into())));
        }
    }

    fn checkpoint_if(&mut self, new_pages: i32) {
        let pages = self.wal_pages.load(Ordering::Relaxed);
        if pages < self.checkpointed_pages {
            self.checkpointed_pages = 0; // the log was begun anew
        }
        if pages - self.checkpointed_pages < new_pages {
            return;
        }
        let is_too_large = WAL_BYTES_MAX <= wal_bytes(&self.place) || self.condition.is_full();
        self.checkpoint(if is_too_large { "TRUNCATE" } else { "PASSIVE" });
        self.checkpointed_pages = pages;
    }

    /// Copies the write-ahead log into the main file. `TRUNCATE` waits for readers first.
    fn checkpoint(&mut self, mode: &str) {
        if self.place.path().is_none() {
            return;
        }
        let sql = format!("PRAGMA wal_checkpoint({mode})");
        let copy = || self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0));
        let is_full = |it: &rusqlite::Error| it.sqlite_error_code() == Some(ErrorCode::DiskFull);
        let outcome = match copy() {
            Err(cause) if is_full(&cause) && self.reserve.give_first() => copy(),
            outcome => outcome,
        };
        match outcome {
            Ok(_) => {}
            Err(cause) if is_io_failure(&cause) => stop_the_process(&self.place, &cause),
            Err(cause) => tracing::warn!(database = ?self.place, %cause, "the write-ahead log was not copied"),
        }
        if mode == "TRUNCATE" && wal_bytes(&self.place) == 0 {
            self.wal_pages.store(0, Ordering::Relaxed);
        }
    }
}

/// What a task's transaction may have the writer do.
struct Hands<'a> {
    inner: &'a Inner,
    scope: Scope,
}

impl Lent for Hands<'_> {
    fn is_short_of_room(&self) -> bool {
        self.inner.condition.is_full()
    }

    fn others_wait(&self) -> bool {
        0 < self.inner.pending || !self.inner.waiting.is_empty()
    }

    fn control(&self, step: Step) -> Result<(), Error> {
        let sql = match step {
            Step::Begin => ATTEMPT,
            Step::Undo => UNDO_ATTEMPT,
            Step::End => END_ATTEMPT,
        };
        self.inner.scope.store(Scope::Outside as u8, Ordering::Relaxed);
        let outcome = self.inner.control(sql);
        self.inner.scope.store(self.scope as u8, Ordering::Relaxed);
        outcome.map_err(error)
    }
}

/// Hands a task its answer. Nothing that the task's types do then, such as a panic when an answer
/// that nobody waits for is dropped, may end the one thread that writes.
fn finish(task: Box<dyn Task>, verdict: Result<(), Error>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| task.finish(verdict))) {
        tracing::error!(panic = panic_message(panic.as_ref()), "an answer panicked");
    }
}

fn answer(task: Box<dyn Task>, ran: Ran) {
    match ran {
        Ran::Kept | Ran::Undone => finish(task, Ok(())),
        Ran::Panicked(message) => finish(task, Err(Error::Panicked { message })),
        Ran::EndedTransaction => finish(task, Err(Error::EndedTransaction)),
    }
}

fn group_error(code: ErrorCode, message: &str) -> Error {
    match code {
        ErrorCode::DiskFull => Error::StorageFull,
        ErrorCode::ConstraintViolation => Error::Conflict { constraint: message.to_owned() },
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Error::Damaged,
        _ => Error::Engine(message.to_owned().into()),
    }
}

pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|it| (*it).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Whether a commit reached the disk is unknown, and after a failed fsync the kernel may
/// report success for data that it dropped: nobody is answered, and the next start replays
/// what the log really holds.
#[expect(clippy::disallowed_methods, reason = "going on would acknowledge writes that may be lost")]
fn stop_the_process(place: &Place, cause: &rusqlite::Error) -> ! {
    tracing::error!(database = ?place, %cause, "the disk failed; stopping without answering what was under way");
    std::process::exit(EXIT_IO_ERROR)
}
