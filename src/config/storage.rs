use serde::{Deserialize, Serialize};

use super::{Faults, within};

/// `[storage]`: what the databases may take.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    pub free_bytes_min: u64,
    pub write_queue_max: usize,
    pub group_max: usize,
    pub write_budget_ms: u64,
    pub read_threads: usize,
    pub read_queue_max: usize,
    pub read_budget_ms: u64,
    pub tenants_open_max: usize,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            free_bytes_min: 64 << 20,
            write_queue_max: 4_096,
            group_max: 256,
            write_budget_ms: 2_000,
            read_threads: 4,
            read_queue_max: 1_024,
            read_budget_ms: 2_000,
            tenants_open_max: 64,
        }
    }
}

impl StorageConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        within(&mut faults, "free_bytes_min", self.free_bytes_min, 0..=1 << 40);
        within(&mut faults, "write_queue_max", self.write_queue_max as u64, 1..=1_000_000);
        within(&mut faults, "group_max", self.group_max as u64, 1..=10_000);
        within(&mut faults, "write_budget_ms", self.write_budget_ms, 10..=60_000);
        within(&mut faults, "read_threads", self.read_threads as u64, 1..=256);
        within(&mut faults, "read_queue_max", self.read_queue_max as u64, 1..=1_000_000);
        within(&mut faults, "read_budget_ms", self.read_budget_ms, 10..=2_000);
        within(&mut faults, "tenants_open_max", self.tenants_open_max as u64, 1..=10_000);
        faults
    }
}
