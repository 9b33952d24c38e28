use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Faults, within};

/// `[audit]`: how long it is known who did what.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditConfig {
    pub keep_days: u64,
    pub keep_bytes_max: u64,
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self { keep_days: 365, keep_bytes_max: 1 << 30 }
    }
}

impl AuditConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        within(&mut faults, "keep_days", self.keep_days, 0..=36_500);
        within(&mut faults, "keep_bytes_max", self.keep_bytes_max, 1 << 20..=1 << 40);
        faults
    }

    /// How long entries are kept; nothing if for ever.
    pub fn keep_time(&self) -> Option<Duration> {
        (0 < self.keep_days).then(|| Duration::from_secs(self.keep_days * 24 * 3_600))
    }
}
