use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Faults, within};

/// Most wrong guesses that a setting may allow within the window.
pub(super) const SIGN_IN_FAILURES_MAX: u32 = 1_000_000;

/// Whether people can make themselves an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    Open,
    Closed,
}

/// `[accounts]`: who may come in, how passwords are kept, how long a sign-in lasts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountsConfig {
    pub registration: Registration,
    pub password_length_min: u32,
    pub password_length_min_admin: u32,
    pub access_token_secs: u64,
    pub session_idle_days: u64,
    pub session_days_max: u64,
    pub refresh_grace_secs: u64,
    pub hash_memory_kib: u32,
    pub hash_iterations: u32,
    pub hash_threads: usize,
    pub hash_queue_max: usize,
    pub sign_in_failures_per_account_max: u32,
    pub sign_in_failures_per_address_max: u32,
    pub sign_in_window_secs: u64,
    pub setup_link_minutes: u64,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            registration: Registration::Open,
            password_length_min: 8,
            password_length_min_admin: 15,
            access_token_secs: 900,
            session_idle_days: 30,
            session_days_max: 365,
            refresh_grace_secs: 30,
            hash_memory_kib: 19_456,
            hash_iterations: 2,
            hash_threads: 0,
            hash_queue_max: 1_024,
            sign_in_failures_per_account_max: 10,
            sign_in_failures_per_address_max: 100,
            sign_in_window_secs: 900,
            setup_link_minutes: 60,
        }
    }
}

impl AccountsConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        within(&mut faults, "password_length_min", self.password_length_min.into(), 8..=128);
        within(&mut faults, "password_length_min_admin", self.password_length_min_admin.into(), 8..=128);
        within(&mut faults, "access_token_secs", self.access_token_secs, 60..=86_400);
        within(&mut faults, "session_idle_days", self.session_idle_days, 1..=3_650);
        within(&mut faults, "session_days_max", self.session_days_max, 1..=3_650);
        within(&mut faults, "refresh_grace_secs", self.refresh_grace_secs, 0..=300);
        within(&mut faults, "hash_memory_kib", self.hash_memory_kib.into(), 8_192..=1 << 20);
        within(&mut faults, "hash_iterations", self.hash_iterations.into(), 1..=20);
        within(&mut faults, "hash_threads", self.hash_threads as u64, 0..=256);
        within(&mut faults, "hash_queue_max", self.hash_queue_max as u64, 1..=10_000);
        within(
            &mut faults,
            "sign_in_failures_per_account_max",
            self.sign_in_failures_per_account_max.into(),
            1..=SIGN_IN_FAILURES_MAX.into(),
        );
        within(
            &mut faults,
            "sign_in_failures_per_address_max",
            self.sign_in_failures_per_address_max.into(),
            1..=SIGN_IN_FAILURES_MAX.into(),
        );
        within(&mut faults, "sign_in_window_secs", self.sign_in_window_secs, 10..=86_400);
        within(&mut faults, "setup_link_minutes", self.setup_link_minutes, 1..=10_080);
        faults
    }

    pub fn access_token_lifetime(&self) -> Duration {
        Duration::from_secs(self.access_token_secs)
    }

    pub fn setup_link_lifetime(&self) -> Duration {
        Duration::from_secs(self.setup_link_minutes * 60)
    }
}
