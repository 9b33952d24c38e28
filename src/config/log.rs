use serde::Deserialize;

use super::Faults;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text at a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// `[log]`: what is logged, and how.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    pub level: String,
    pub format: LogFormat,
    pub requests: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto, requests: true }
    }
}

impl LogConfig {
    pub(super) fn check(&self) -> Faults {
        match self.level.parse::<tracing_subscriber::EnvFilter>() {
            Ok(_) => Faults::new(),
            Err(cause) => vec![("level", format!("is not understood: {cause}"))],
        }
    }
}
