use serde::{Deserialize, Serialize};

use super::Faults;
use super::complaint::quoted;
use crate::base::text::nearest;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text at a terminal, JSON otherwise.
    Auto,
    Text,
    Json,
}

/// `[log]`: what is logged, and how.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
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

/// What a level may be called.
const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace", "off"];

impl LogConfig {
    pub(super) fn check(&self) -> Faults {
        if let Some(wrong) = self.level.split(',').find(|it| !is_directive(it)) {
            let typed = wrong.rsplit('=').next().unwrap_or_default();
            let meant = nearest(&typed.to_lowercase(), LEVELS.iter().copied());
            let meant = meant.map_or_else(String::new, |it| format!("; did you mean `{it}`?"));
            let levels = LEVELS.join("\", \"");
            let text = format!(
                "{} is neither a level (\"{levels}\") nor such as \"steading::db=debug\"{meant}",
                quoted(wrong)
            );
            return vec![("level", text)];
        }
        match self.level.parse::<tracing_subscriber::EnvFilter>() {
            Ok(_) => Faults::new(),
            Err(cause) => vec![("level", format!("is not understood: {cause}"))],
        }
    }
}

/// Whether it is a level, or a part with its level.
///
/// The filter takes more: any other word for the name of a part, which then is all that is logged.
fn is_directive(text: &str) -> bool {
    let level = text.rsplit_once('=').map_or(text, |(_, level)| level);
    LEVELS.iter().any(|it| it.eq_ignore_ascii_case(level)) && !text.contains(char::is_whitespace)
}
