//! Threads for work that takes long on the processor, within bounds.
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::base::lanes::{self, Lanes};

/// More work waits than the pool takes, or it waited for too long. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool's queue is full")]
pub struct Full;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads behind a bounded queue in which askers take turns. Cheap to clone; ends with its last
/// clone.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    lanes: Arc<Lanes<Hidden>>,
    wait_max: Duration,
    threads: usize,
    counts: Arc<Counts>,
}

/// How much there is to do, while it changes.
#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    running: AtomicUsize,
    longest_wait_ms: AtomicU64,
}

/// How much a pool has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    pub threads: usize,
    pub waiting: usize,
    pub running: usize,
    /// The longest that anything waited for a thread since the start.
    pub longest_wait: Duration,
}

/// Counts something for as long as it lives.
struct Counted(Arc<Counts>, fn(&Counts) -> &AtomicUsize);

impl Counted {
    fn new(counts: &Arc<Counts>, which: fn(&Counts) -> &AtomicUsize) -> Self {
        which(counts).fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counts), which)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).fetch_sub(1, Ordering::Relaxed);
    }
}

/// Work, of which nothing can be shown.
struct Hidden(Job);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Job")
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.lanes.close();
    }
}

impl Pool {
    /// Starts `threads`, for which up to `queue_max` pieces of work wait, each up to `wait_max`.
    pub fn start(name: &'static str, threads: usize, queue_max: usize, wait_max: Duration) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let lanes = Arc::new(Lanes::new(queue_max, threads));
        for number in 0..threads {
            let lanes = Arc::clone(&lanes);
            std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                while let Some((asker, Hidden(job))) = lanes.take() {
                    // The work's own panic is its caller's. One is left: of what it made, dropped because nobody waits.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                    lanes.done(asker);
                }
            })?;
        }
        Ok(Self(Arc::new(Queue { lanes, wait_max, threads, counts: Arc::default() })))
    }

    /// How much there is to do now.
    pub fn figures(&self) -> Figures {
        let counts = &self.0.counts;
        Figures {
            threads: self.0.threads,
            waiting: counts.waiting.load(Ordering::Relaxed),
            running: counts.running.load(Ordering::Relaxed),
            longest_wait: Duration::from_millis(counts.longest_wait_ms.load(Ordering::Relaxed)),
        }
    }

    /// Runs `work` on a thread of the pool. If it panics, so does the caller, and nobody else.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Full> {
        let (asker, answer) = oneshot::channel();
        let (beginning, begun) = oneshot::channel();
        let (counts, asked_at) = (Arc::clone(&self.0.counts), Instant::now());
        let waiting = Counted::new(&counts, |it| &it.waiting);
        let job: Job = Box::new(move || {
            drop(waiting);
            let waited = u64::try_from(asked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
            counts.longest_wait_ms.fetch_max(waited, Ordering::Relaxed);
            // Nobody waits any more: the work would be for nothing.
            if !asker.is_closed() && beginning.send(()).is_ok() {
                let running = Counted::new(&counts, |it| &it.running);
                let outcome = catch_unwind(AssertUnwindSafe(work));
                drop(running);
                let _ = asker.send(outcome);
            }
        });
        if self.0.lanes.push(lanes::asker(), Hidden(job)).is_err() {
            return Err(Full);
        }
        // What has begun is waited for: it is not undone, and seldom long.
        if timeout(self.0.wait_max, begun).await.is_err() {
            return Err(Full);
        }
        match answer.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;
    use crate::base::lanes::Asker;

    const LONG: Duration = Duration::from_secs(60);

    /// What cannot even be thrown away quietly.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }

    /// A thread that is gone would be missed only when all are.
    #[tokio::test]
    async fn a_panic_while_an_answer_is_dropped_does_not_end_the_thread() {
        let pool = Pool::start("test", 1, 4, LONG).expect("threads");
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let mut given_up = Box::pin(pool.run(move || {
            let _ = started.send(());
            let _ = held.recv();
            Bomb
        }));
        assert!(futures_util::poll!(&mut given_up).is_pending());
        has_started.await.expect("started");
        drop(given_up);
        drop(release);

        assert_eq!(pool.run(|| 2).await, Ok(2));
    }

    /// A flood from one place must not keep people elsewhere from signing in.
    #[tokio::test]
    async fn one_askers_flood_leaves_room_and_turns_for_another() {
        let pool = Pool::start("test", 1, 8, LONG).expect("threads");
        let (release, held) = std::sync::mpsc::channel::<()>();
        let done = Arc::new(AtomicUsize::new(0));
        let mut first = Box::pin(lanes::on_behalf_of(
            Asker::alone(1),
            pool.run(move || {
                let _ = held.recv();
            }),
        ));
        assert!(futures_util::poll!(&mut first).is_pending());
        let work = || {
            let done = Arc::clone(&done);
            pool.run(move || done.fetch_add(1, Ordering::Relaxed))
        };
        let mut flood = Box::pin(lanes::on_behalf_of(Asker::alone(1), join_all((0..100).map(|_| work()))));
        assert!(futures_util::poll!(&mut flood).is_pending());
        let mut other = Box::pin(lanes::on_behalf_of(Asker::alone(2), work()));
        assert!(futures_util::poll!(&mut other).is_pending(), "there is room");

        drop(release);

        assert!(other.await.expect("room") <= 2, "it waited for its turn, not for the flood");
        first.await.expect("run");
        assert!(flood.await.iter().any(Result::is_err), "the flood itself is turned away");
    }

    /// A panic is its caller's, and nobody else's.
    #[tokio::test]
    async fn a_panic_in_the_pool_is_its_callers() {
        let pool = Pool::start("test", 1, 4, LONG).expect("threads");

        let panicked = AssertUnwindSafe(pool.run(|| panic!("on purpose"))).catch_unwind().await;

        assert!(panicked.is_err());
        assert_eq!(pool.run(|| 2).await, Ok(2));
    }

    /// Behind a flood from a thousand places: told so, while the client still listens.
    #[tokio::test]
    async fn what_waits_for_too_long_is_refused_and_not_done() {
        let pool = Pool::start("test", 1, 4, Duration::from_millis(50)).expect("threads");
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let mut running = Box::pin(pool.run(move || {
            let _ = started.send(());
            let _ = held.recv();
        }));
        assert!(futures_util::poll!(&mut running).is_pending());
        has_started.await.expect("started");
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);

        let late = pool.run(move || counted.fetch_add(1, Ordering::Relaxed)).await;

        assert_eq!(late, Err(Full));
        drop(release);
        assert_eq!((running.await, pool.run(|| 2).await), (Ok(()), Ok(2)), "what has begun is no part of the wait");
        assert_eq!(done.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_at_once() {
        let pool = Pool::start("test", 1, 1, LONG).expect("threads");
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let running = pool.run(move || {
            let _ = started.send(());
            let _ = held.recv();
        });
        let mut running = Box::pin(running);
        assert!(futures_util::poll!(&mut running).is_pending());
        has_started.await.expect("started");
        let mut waiting = Box::pin(pool.run(|| 2));
        assert!(futures_util::poll!(&mut waiting).is_pending());

        let refused = pool.run(|| 3).await;

        assert_eq!(refused, Err(Full));
        let figures = pool.figures();
        assert_eq!((figures.threads, figures.running, figures.waiting), (1, 1, 1));
        drop(release);
        assert_eq!((running.await, waiting.await), (Ok(()), Ok(2)));
        assert_eq!((pool.figures().running, pool.figures().waiting), (0, 0));
    }
}
