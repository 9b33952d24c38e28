//! The files with settings, watched by a thread of its own.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};

use super::Live;
use super::load::{is_settings, more_settings};

/// Editors write a file in several steps; a reload waits until they are done.
const SETTLE: Duration = Duration::from_millis(200);
/// Longest wait for that, so that a file that is written without end delays no other's changes.
const SETTLE_MAX: Duration = Duration::from_secs(2);

/// The link that a Kubernetes volume swaps, for all its files at once.
const VOLUME_LINK: &str = "..data";

/// Reloads when a file with settings changed, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    wake: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn start(live: Live, file: &Path) -> notify::Result<Self> {
        let (wake, changes) = crossbeam_channel::bounded(1);
        let (tell, watched) = (wake.clone(), file.to_owned());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.is_ok_and(|it| concerns(&it, &watched)) {
                let _ = tell.try_send(()); // one that is already there stands for both
            }
        })?;
        let folder = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut thread = Thread { live, watcher, more: more_settings(file), stop: Arc::clone(&stop) };
        thread.watch_more();
        let run = move || thread.run(&changes);
        let thread = Some(std::thread::Builder::new().name("config-watch".to_owned()).spawn(run)?);
        Ok(Self { stop, wake, thread })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.wake.try_send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic was printed where it happened
        }
    }
}

/// What the thread works with.
struct Thread {
    live: Live,
    watcher: RecommendedWatcher,
    /// The folder with more files, which need not be there.
    more: PathBuf,
    stop: Arc<AtomicBool>,
}

impl Thread {
    fn run(mut self, changes: &Receiver<()>) {
        while changes.recv().is_ok() {
            let until = Instant::now() + SETTLE_MAX;
            while !self.is_stopped() && changes.recv_timeout(SETTLE).is_ok() && Instant::now() < until {}
            if self.is_stopped() {
                return;
            }
            // Before the reload, so that no file can come between the two.
            self.watch_more();
            let _ = self.live.reload(); // a mistake is logged there, and the old settings stay
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Watches the folder with more files. It may be new, or another one with the same name.
    fn watch_more(&mut self) {
        if !self.more.is_dir() {
            return;
        }
        if let Err(cause) = self.watcher.watch(&self.more, RecursiveMode::NonRecursive) {
            tracing::warn!(folder = %self.more.display(), %cause, "the folder is not watched; reload by hand");
        }
    }
}

/// Whether what happened may have changed the settings. Other files may lie in the same folder, and be busy.
fn concerns(event: &Event, file: &Path) -> bool {
    let more = more_settings(file);
    let one_of_ours = |path: &PathBuf| {
        let is_in_more = path.parent().and_then(Path::file_name) == more.file_name();
        path.file_name() == file.file_name()
            || path.file_name() == more.file_name()
            || path.ends_with(VOLUME_LINK)
            || (is_in_more && is_settings(path))
    };
    // An event without a path says that some were lost.
    !event.kind.is_access() && (event.paths.is_empty() || event.paths.iter().any(one_of_ours))
}
