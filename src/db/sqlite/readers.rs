//! Read-only connections: some used in place for point reads, a bounded pool for the rest.
//!
//! The pool has threads for what is done in a moment, and some for what takes longer: a read that is not done in
//! [`MOMENT`] is stopped and begun again there. So whoever asks for much waits for others who do, and nobody else does.
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::condition::Condition;
use super::connection::{Place, bound_values, error, open_reader};
use super::writer::panic_message;
use crate::base::lanes::{Asker, Lanes, Refused};
use crate::base::text::chain;
use crate::db::{Error, Options, Tx};

/// Steps of SQLite's machine between two looks at the budget: some ten microseconds.
const STEPS_PER_LOOK: i32 = 1_000;
/// Steps that a read in place may take. A point read takes some thirty; what goes
/// beyond belongs into the pool, where it holds up nobody.
const STEPS_IN_PLACE_MAX: i64 = 50_000;

/// How long a thread that could not open its connection leaves reads to the others.
const REOPEN_PAUSE: Duration = Duration::from_millis(20);

/// The pool's own statements. Prepared statements are cached by their text, and a task must
/// not find one of these there, so each is marked.
const BEGIN: &str = "BEGIN /* reader */";
const ROLLBACK: &str = "ROLLBACK /* reader */";

/// How long a read may hold up those that come after it. A page of 30 takes less than a hundredth of it.
const MOMENT: Duration = Duration::from_millis(25);

/// A closure that reads, with whoever waits for its answer.
pub(in crate::db) trait ReadTask: Send {
    /// Whether nobody waits any more: the work would be for nothing.
    fn is_abandoned(&self) -> bool;
    /// Runs it, and answers. False if it ran out of time, and is not `is_last` to be run.
    fn run(&mut self, tx: &mut Tx<'_>, is_last: bool) -> bool;
    fn refuse(&mut self, cause: Error);
}

#[derive(Debug)]
pub(in crate::db) struct Readers {
    in_place: Vec<Mutex<Reader>>,
    queue: Arc<Lanes<Job>>,
    long: Arc<Lanes<Job>>,
    place: Place,
    condition: Arc<Condition>,
}

struct Job {
    task: Box<dyn ReadTask>,
    since: Instant,
}

/// Longest wait for a turn. Whoever waited longer is better told to try again than kept.
const WAIT_MAX: Duration = Duration::from_secs(5);

impl std::fmt::Debug for Job {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Job")
    }
}

impl Readers {
    pub(in crate::db) fn start(place: &Place, options: &Options, condition: Arc<Condition>) -> Result<Self, Error> {
        let slots = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let in_place = (0..slots).map(|_| Reader::open(place).map(Mutex::new)).collect::<Result<_, _>>()?;
        let long_threads = (options.read_threads / 2).max(1);
        let queue = Arc::new(Lanes::of_moments(options.read_queue_max));
        let long = Arc::new(Lanes::new(options.read_queue_max, long_threads));
        let (open, open_of_long) = (Arc::default(), Arc::default());
        for number in 0..options.read_threads + long_threads {
            let is_long = options.read_threads <= number;
            let thread = Thread {
                open: Arc::clone(if is_long { &open_of_long } else { &open }),
                waiting: Arc::clone(if is_long { &long } else { &queue }),
                long: (!is_long).then(|| Arc::clone(&long)),
                budget: if is_long { options.read_budget } else { MOMENT.min(options.read_budget) },
                place: place.clone(),
                condition: Arc::clone(&condition),
            };
            std::thread::Builder::new()
                .name(format!("db-reader-{number}"))
                .spawn(move || thread.work())
                .map_err(|cause| Error::Io { what: "a thread for a reader".to_owned(), cause })?;
        }
        Ok(Self { in_place, queue, long, place: place.clone(), condition })
    }

    /// Hands a task to the pool, in which askers take turns.
    pub(in crate::db) fn send(&self, asker: Asker, task: Box<dyn ReadTask>) {
        push(&self.queue, asker, Job { task, since: Instant::now() });
    }

    /// Runs a task here and now on this thread's connection, or gives it back if that is in use.
    pub(in crate::db) fn run_in_place<F, T>(&self, task: F) -> Result<T, F>
    where
        F: FnOnce(&mut Tx<'_>) -> T,
    {
        let Some(reader) = self.reader_of_this_thread() else { return Err(task) };
        reader.budget.allow_steps(STEPS_IN_PLACE_MAX);
        // Left on: in place, there is nothing but tasks.
        reader.runs_a_task.store(true, Ordering::Relaxed);
        let mut tx = Tx::sqlite(&reader.connection, far_away());
        let answer = task(&mut tx);
        if tx.saw_damage() {
            self.condition.found_damaged(&self.place);
        }
        Ok(answer)
    }

    fn reader_of_this_thread(&self) -> Option<MutexGuard<'_, Reader>> {
        thread_local! { static SLOT: Cell<Option<usize>> = const { Cell::new(None) }; }
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        let slot = SLOT.get().unwrap_or_else(|| {
            let slot = THREADS.fetch_add(1, Ordering::Relaxed);
            SLOT.set(Some(slot));
            slot
        });
        match self.in_place.get(slot % self.in_place.len())?.try_lock() {
            Ok(reader) => Some(reader),
            // A panic while reading leaves nothing behind: its statement was reset.
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.close();
        self.long.close();
    }
}

fn push(lanes: &Lanes<Job>, asker: Asker, job: Job) {
    match lanes.push(asker, job) {
        Ok(()) => {}
        Err(Refused::Full(mut job)) => job.task.refuse(Error::QueueFull),
        Err(Refused::Closed(mut job)) => job.task.refuse(Error::Closed),
    }
}

/// A thread of the pool.
struct Thread {
    /// How many threads that take from the same lanes have a connection.
    open: Arc<AtomicUsize>,
    waiting: Arc<Lanes<Job>>,
    /// Where a task goes that takes longer than the budget here; the last have none.
    long: Option<Arc<Lanes<Job>>>,
    budget: Duration,
    place: Place,
    condition: Arc<Condition>,
}

/// Who is to go on with a job.
enum Left {
    /// It was answered, or nobody waits for it.
    Nothing,
    ToLong,
    /// Another thread of the same lanes, which has a connection.
    ToOthers,
}

impl Thread {
    fn work(self) {
        // Not opened before there is something to read: each connection reads the whole schema, and keeps it.
        let mut opened = None;
        while let Some((asker, mut job)) = self.waiting.take() {
            let left = self.run(&mut opened, &mut job);
            self.waiting.done(asker);
            match (left, &self.long) {
                (Left::ToLong, Some(long)) => push(long, asker, job),
                (Left::ToOthers, _) => {
                    push(&self.waiting, asker, job);
                    // It must not be this thread that takes it again at once.
                    std::thread::sleep(REOPEN_PAUSE);
                }
                (Left::ToLong | Left::Nothing, _) => {}
            }
        }
    }

    fn run(&self, opened: &mut Option<Reader>, job: &mut Job) -> Left {
        if job.task.is_abandoned() {
            return Left::Nothing;
        }
        if WAIT_MAX < job.since.elapsed() {
            job.task.refuse(Error::QueueFull);
            return Left::Nothing;
        }
        match self.reader(opened) {
            Some(reader) => {
                let is_last = self.long.is_none();
                match reader.run(job.task.as_mut(), is_last, self.budget, &self.place, &self.condition) {
                    true => Left::Nothing,
                    false => Left::ToLong,
                }
            }
            None if 0 < self.open.load(Ordering::Relaxed) => Left::ToOthers,
            None => {
                job.task.refuse(Error::QueueFull);
                Left::Nothing
            }
        }
    }

    /// The thread's connection; none where it cannot be opened now, for want of descriptors for example.
    fn reader<'a>(&self, opened: &'a mut Option<Reader>) -> Option<&'a Reader> {
        if opened.is_none() {
            match Reader::open(&self.place) {
                Ok(reader) => {
                    self.open.fetch_add(1, Ordering::Relaxed);
                    *opened = Some(reader);
                }
                Err(cause) => {
                    if matches!(cause, Error::Damaged) {
                        self.condition.found_damaged(&self.place);
                    }
                    tracing::warn!(cause = %chain(&cause), "a thread that reads has no connection; trying again with the next read");
                }
            }
        }
        opened.as_ref()
    }
}

/// A deadline for reads that are counted in steps instead.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

#[derive(Debug)]
struct Reader {
    connection: Connection,
    budget: Arc<Budget>,
    /// Whose statements are prepared: the authorizer allows the pool's own, and a task's selects.
    runs_a_task: Arc<AtomicBool>,
}

impl Reader {
    fn open(place: &Place) -> Result<Self, Error> {
        let mut connection = open_reader(place)?;
        let budget = Arc::new(Budget::new());
        let spent = Arc::clone(&budget);
        connection.progress_handler(STEPS_PER_LOOK, Some(move || spent.is_spent())).map_err(error)?;
        let runs_a_task = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&runs_a_task);
        let judge = move |it: AuthContext<'_>| authorize(seen.load(Ordering::Relaxed), &it);
        connection.authorizer(Some(judge)).map_err(error)?;
        Ok(Self { connection, budget, runs_a_task })
    }

    /// Runs a task of the pool, whatever it does. False if it is to be run again elsewhere.
    fn run(
        &self,
        task: &mut dyn ReadTask,
        is_last: bool,
        budget: Duration,
        place: &Place,
        condition: &Condition,
    ) -> bool {
        self.budget.allow_time(budget);
        // Several statements of one task see one state of the data.
        if let Err(cause) = self.control(BEGIN) {
            task.refuse(error(cause));
            return true;
        }
        self.runs_a_task.store(true, Ordering::Relaxed);
        let mut tx = Tx::sqlite(&self.connection, Instant::now() + budget);
        let is_done = catch_unwind(AssertUnwindSafe(|| task.run(&mut tx, is_last))).unwrap_or_else(|panic| {
            tracing::error!(panic = panic_message(panic.as_ref()), "a read panicked");
            true
        });
        if tx.saw_damage() {
            condition.found_damaged(place);
        }
        self.runs_a_task.store(false, Ordering::Relaxed);
        self.budget.allow_steps(i64::MAX);
        let _ = bound_values(&self.connection, None);
        let _ = self.control(ROLLBACK);
        is_done
    }

    /// Runs one of the pool's own statements.
    fn control(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }
}

/// Lets a task select and nothing else. `query_only` alone would not do: a task could turn it off,
/// or begin a transaction that outlives it and shows old rows to the next.
fn authorize(is_of_a_task: bool, context: &AuthContext<'_>) -> Authorization {
    match context.action {
        _ if !is_of_a_task => Authorization::Allow,
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Function { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        // Full-text search reads this one for itself.
        AuthAction::Pragma { pragma_name: "data_version", .. } => Authorization::Allow,
        _ => Authorization::Deny,
    }
}

/// What a statement may still take; SQLite asks now and then whether to stop.
#[derive(Debug)]
struct Budget {
    origin: Instant,
    steps_left: AtomicI64,
    /// Nanoseconds after `origin`; 0 means no limit in time.
    deadline: AtomicU64,
}

impl Budget {
    fn new() -> Self {
        Self { origin: Instant::now(), steps_left: AtomicI64::new(i64::MAX), deadline: AtomicU64::new(0) }
    }

    fn allow_steps(&self, steps: i64) {
        self.steps_left.store(steps, Ordering::Relaxed);
        self.deadline.store(0, Ordering::Relaxed);
    }

    fn allow_time(&self, time: Duration) {
        self.steps_left.store(i64::MAX, Ordering::Relaxed);
        let deadline = (self.origin.elapsed() + time).as_nanos();
        self.deadline.store(u64::try_from(deadline).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn is_spent(&self) -> bool {
        let left = self.steps_left.fetch_sub(STEPS_PER_LOOK.into(), Ordering::Relaxed);
        let deadline = self.deadline.load(Ordering::Relaxed);
        left <= 0 || (0 < deadline && u128::from(deadline) < self.origin.elapsed().as_nanos())
    }
}
