//! The log of a test, to look at afterwards.
use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

/// A writer that keeps what it is told.
#[derive(Clone, Default)]
pub(in crate::http) struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    /// Keeps what this thread logs for as long as the guard lives.
    pub(in crate::http) fn of_this_thread() -> (Self, DefaultGuard) {
        // With one subscriber only, whatever another thread logs first is taken for wanted by nobody, for ever.
        static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&SECOND);
        let kept = Self::default();
        let writer = kept.clone();
        let log = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        (kept, tracing::subscriber::set_default(log))
    }

    pub(in crate::http) fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().expect("not poisoned");
        String::from_utf8_lossy(&bytes).lines().map(|it| serde_json::from_str(it).expect("JSON")).collect()
    }

    /// The lines about requests.
    pub(in crate::http) fn requests(&self) -> Vec<Value> {
        self.lines().into_iter().filter(|it| it["target"] == "steading::request").collect()
    }
}
