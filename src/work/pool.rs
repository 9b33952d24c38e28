//! Threads for work that takes long on the processor, within bounds.
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::oneshot;

/// More work waits than the pool takes. Nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pool's queue is full")]
pub struct Full;

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads behind a bounded queue. Cheap to clone; ends with its last clone.
#[derive(Clone, Debug)]
pub struct Pool {
    queue: Sender<Job>,
}

impl Pool {
    pub fn start(name: &'static str, threads: usize, queue_max: usize) -> std::io::Result<Self> {
        let (queue, waiting) = crossbeam_channel::bounded::<Job>(queue_max);
        for number in 0..threads.max(1) {
            let waiting = waiting.clone();
            std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                while let Ok(job) = waiting.recv() {
                    // The work's own panic is its caller's. One is left: of what it made, dropped because nobody waits.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        }
        Ok(Self { queue })
    }

    /// Runs `work` on a thread of the pool. If it panics, so does the caller, and nobody else.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Full> {
        let (asker, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody waits any more: the work would be for nothing.
            if !asker.is_closed() {
                let _ = asker.send(catch_unwind(AssertUnwindSafe(work)));
            }
        });
        match self.queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => return Err(Full),
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
    use futures_util::FutureExt;

    use super::*;

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
        let pool = Pool::start("test", 1, 4).expect("threads");
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

    /// A panic is its caller's, and nobody else's.
    #[tokio::test]
    async fn a_panic_in_the_pool_is_its_callers() {
        let pool = Pool::start("test", 1, 4).expect("threads");

        let panicked = AssertUnwindSafe(pool.run(|| panic!("on purpose"))).catch_unwind().await;

        assert!(panicked.is_err());
        assert_eq!(pool.run(|| 2).await, Ok(2));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_at_once() {
        let pool = Pool::start("test", 1, 1).expect("threads");
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
        drop(release);
        assert_eq!((running.await, waiting.await), (Ok(()), Ok(2)));
    }
}
