//! The one place that starts things beside requests, and the one that ends them.
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Worker;

/// Owns everything that runs until the stop.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    stop: CancellationToken,
    tasks: TaskTracker,
    has_failed: Arc<AtomicBool>,
}

impl Lifecycle {
    pub fn new() -> Self {
        Self::default()
    }

    /// The word to stop: cancelled once, seen by everything that was started.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Whether a worker ended before it was told to. The process should then end too: a server
    /// whose sweeps or flushes are dead looks healthy until it is too late.
    pub fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    /// Starts a worker, which runs until the stop.
    pub fn start(&self, worker: Worker) {
        let name = worker.name();
        let run = worker.run(self.stop.clone());
        self.task(name, run);
    }

    /// Starts something that runs until it sees the stop token cancelled.
    #[expect(clippy::disallowed_methods, reason = "the one place that may; the tracker waits for it")]
    pub fn task(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let (stop, has_failed) = (self.stop.clone(), Arc::clone(&self.has_failed));
        tokio::spawn(self.tasks.track_future(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            if !stop.is_cancelled() {
                tracing::error!(worker = name, panicked = outcome.is_err(), "a worker died; the server stops");
                has_failed.store(true, Ordering::Relaxed);
                stop.cancel();
            }
        }));
    }

    /// Tells everything to stop and waits for it. False if the grace was not enough.
    pub async fn stop(&self, grace: Duration) -> bool {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stopping_waits_for_what_runs() {
        let lifecycle = Lifecycle::new();
        let (stop, done) = (lifecycle.stop_token(), Arc::new(AtomicBool::new(false)));
        let has_finished = Arc::clone(&done);
        lifecycle.task("slow", async move {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            has_finished.store(true, Ordering::Relaxed);
        });

        assert!(lifecycle.stop(Duration::from_secs(5)).await);

        assert!(done.load(Ordering::Relaxed));
        assert!(!lifecycle.has_failed());
    }

    #[tokio::test]
    async fn what_does_not_end_within_the_grace_is_told() {
        let lifecycle = Lifecycle::new();
        lifecycle.task("deaf", std::future::pending());

        assert!(!lifecycle.stop(Duration::from_millis(10)).await);
    }

    /// A server whose sweep is dead must not look healthy.
    #[tokio::test]
    async fn a_worker_that_panics_stops_the_server() {
        let lifecycle = Lifecycle::new();
        lifecycle.task("broken", async { panic!("a bug") });

        lifecycle.stop_token().cancelled().await;

        assert!(lifecycle.has_failed());
    }
}
