//! A periodic step.
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Longest pause after failures, so that a worker comes back soon after its cause is mended.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// How long a hurried step waits for others that hurry as well: so many at once cost one step.
const BREATH: Duration = Duration::from_millis(20);

type Step = Box<dyn FnMut() -> BoxFuture<'static, Result<(), String>> + Send>;

/// Something that is done now and then. It takes no input and is safe twice, late, or not at all.
pub struct Worker {
    name: &'static str,
    interval: Duration,
    step: Step,
    hurry: Arc<Notify>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Worker").field("name", &self.name).field("interval", &self.interval).finish()
    }
}

impl Worker {
    /// Runs `step` at once and then every `interval`. After a failure the pause doubles.
    pub fn every<F, E>(name: &'static str, interval: Duration, mut step: impl FnMut() -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::error::Error + 'static,
    {
        let step: Step = Box::new(move || {
            let running = step();
            Box::pin(async move { running.await.map_err(|cause| crate::base::text::chain(&cause)) })
        });
        Self { name, interval, step, hurry: Arc::default() }
    }

    /// Has the step run when `hurry` says so as well; not while it fails.
    pub fn hurried_by(self, hurry: Arc<Notify>) -> Self {
        Self { hurry, ..self }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut pause = self.interval;
        while !stop.is_cancelled() {
            match (self.step)().await {
                Ok(()) => pause = self.interval,
                Err(cause) => {
                    tracing::error!(worker = self.name, %cause, "a step failed; it will be tried again");
                    pause = (pause * 2).min(PAUSE_MAX.max(self.interval));
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
                () = self.hurry.notified(), if pause == self.interval => tokio::time::sleep(BREATH).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::work::Lifecycle;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_fails_is_tried_again_later_and_later() {
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        let worker = Worker::every("failing", Duration::from_secs(1), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Err(fmt::Error) }
        });
        let lifecycle = Lifecycle::new();
        lifecycle.start(worker);

        tokio::time::sleep(Duration::from_secs(10)).await;

        // At 0, 2, 6 and not yet 14 seconds.
        assert_eq!(runs.load(Ordering::Relaxed), 3);
        assert!(lifecycle.stop(Duration::from_secs(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_is_hurried_does_not_wait_for_its_time() {
        let (runs, hurry) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let counted = Arc::clone(&runs);
        let worker = Worker::every("hurried", Duration::from_secs(60), move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { Ok::<(), fmt::Error>(()) }
        });
        let lifecycle = Lifecycle::new();
        lifecycle.start(worker.hurried_by(Arc::clone(&hurry)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(runs.load(Ordering::Relaxed), 1);

        for _ in 0..10 {
            hurry.notify_one();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;

        let ran = runs.load(Ordering::Relaxed);
        assert!((2..=3).contains(&ran), "ten at once cost one or two: {ran}");
        assert!(lifecycle.stop(Duration::from_secs(1)).await);
    }
}
