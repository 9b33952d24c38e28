//! Where log lines go: text at a terminal, JSON lines otherwise.
use std::io::{self, IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// Starts logging. Called once, before anything else happens.
pub(super) fn start(config: &LogConfig) {
    let filter: EnvFilter = config.level.parse().unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = io::stderr().is_terminal();
    let as_json = match config.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Lossy);
    // A second start, as in tests, keeps the first one's.
    let _ = if as_json {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(is_terminal).try_init()
    };
}

/// Standard error, whose failures are not ours: a log on a full disk loses lines, and must
/// not lose requests (a failure here would become a panic in whoever logs).
struct Lossy;

impl Write for Lossy {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}
