use serde::{Deserialize, Serialize};

use super::{Faults, within};

/// `[schema]`: the files that say what collections there are, and how long it is remembered what they were.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchemaConfig {
    pub folder: String,
    pub history_max: u64,
}

impl Default for SchemaConfig {
    fn default() -> Self {
        Self { folder: "schema".to_owned(), history_max: 1_000 }
    }
}

impl SchemaConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        within(&mut faults, "history_max", self.history_max, 1..=100_000);
        faults
    }
}
