use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Faults, within};

/// `[realtime]`: how many may listen, and how long those who were away can catch up.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RealtimeConfig {
    pub connections_max: usize,
    pub relayed_connections_max: usize,
    pub connections_per_address_max: usize,
    pub connections_per_user_max: usize,
    pub keep_hours: u64,
    pub keep_bytes_max: u64,
}

impl Default for RealtimeConfig {
    fn default() -> Self {
        Self {
            connections_max: 2_048,
            relayed_connections_max: 20_000,
            connections_per_address_max: 512,
            connections_per_user_max: 64,
            keep_hours: 24,
            keep_bytes_max: 256 << 20,
        }
    }
}

impl RealtimeConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        within(&mut faults, "connections_max", self.connections_max as u64, 0..=1_000_000);
        within(&mut faults, "relayed_connections_max", self.relayed_connections_max as u64, 0..=1_000_000);
        within(&mut faults, "connections_per_address_max", self.connections_per_address_max as u64, 1..=1_000_000);
        within(&mut faults, "connections_per_user_max", self.connections_per_user_max as u64, 1..=1_000_000);
        within(&mut faults, "keep_hours", self.keep_hours, 1..=8_760);
        within(&mut faults, "keep_bytes_max", self.keep_bytes_max, 1 << 20..=1 << 40);
        faults
    }

    pub fn keep_time(&self) -> Duration {
        Duration::from_secs(self.keep_hours * 3_600)
    }
}
