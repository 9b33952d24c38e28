use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::complaint::quoted;
use super::{Faults, within};
use crate::base::web::Site;

/// Most wrong guesses that a setting may allow within the window.
pub(super) const SIGN_IN_FAILURES_MAX: u32 = 1_000_000;

/// Most sessions of one account that a setting allows.
pub const SESSIONS_PER_ACCOUNT_MAX: u32 = 1_000;

/// The longest that a setting lets an access token work.
pub const ACCESS_TOKEN_SECS_MAX: u64 = 86_400;

/// Whether people can make themselves an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    Open,
    Closed,
}

/// Whether someone has to show that an address is theirs before they can sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verification {
    /// As soon as there is a server to send mail with.
    Auto,
    Required,
    Off,
}

/// `[accounts]`: who may come in, how passwords are kept, how long a sign-in lasts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccountsConfig {
    pub registration: Registration,
    pub verification: Verification,
    pub password_length_min: u32,
    pub password_length_min_admin: u32,
    pub access_token_secs: u64,
    pub signing_key_days: u64,
    pub session_idle_days: u64,
    pub session_days_max: u64,
    pub sessions_per_account_max: u32,
    pub refresh_grace_secs: u64,
    pub hash_memory_kib: u32,
    pub hash_iterations: u32,
    pub hash_threads: usize,
    pub hash_queue_max: usize,
    pub sign_in_failures_per_account_max: u32,
    pub sign_in_failures_per_address_max: u32,
    pub sign_in_window_secs: u64,
    pub distinct_guesses_max: u32,
    pub distinct_guesses_window_secs: u64,
    pub address_block_secs: u64,
    pub setup_link_minutes: u64,
    pub verification_link_hours: u64,
    pub reset_link_minutes: u64,
    pub invitation_days: u64,
    pub code_minutes: u64,
    pub mails_per_account_max: u32,
    pub mails_per_address_max: u32,
    pub purge_after_days: u64,
    pub tell_of_impersonation: bool,
    pub link_verify_email: String,
    pub link_reset_password: String,
    pub link_sign_in: String,
    pub link_invitation: String,
}

impl Default for AccountsConfig {
    fn default() -> Self {
        Self {
            registration: Registration::Open,
            verification: Verification::Auto,
            password_length_min: 8,
            password_length_min_admin: 15,
            access_token_secs: 900,
            signing_key_days: 90,
            session_idle_days: 30,
            session_days_max: 365,
            sessions_per_account_max: SESSIONS_PER_ACCOUNT_MAX,
            refresh_grace_secs: 30,
            hash_memory_kib: 0,
            hash_iterations: 0,
            hash_threads: 0,
            hash_queue_max: 1_024,
            sign_in_failures_per_account_max: 10,
            sign_in_failures_per_address_max: 100,
            sign_in_window_secs: 900,
            distinct_guesses_max: 15,
            distinct_guesses_window_secs: 10_800,
            address_block_secs: 86_400,
            setup_link_minutes: 60,
            verification_link_hours: 24,
            reset_link_minutes: 15,
            invitation_days: 7,
            code_minutes: 10,
            mails_per_account_max: 5,
            mails_per_address_max: 30,
            purge_after_days: 30,
            tell_of_impersonation: true,
            link_verify_email: String::new(),
            link_reset_password: String::new(),
            link_sign_in: String::new(),
            link_invitation: String::new(),
        }
    }
}

impl AccountsConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        within(&mut faults, "password_length_min", self.password_length_min.into(), 8..=128);
        within(&mut faults, "password_length_min_admin", self.password_length_min_admin.into(), 8..=128);
        within(&mut faults, "access_token_secs", self.access_token_secs, 60..=ACCESS_TOKEN_SECS_MAX);
        within(&mut faults, "signing_key_days", self.signing_key_days, 0..=3_650);
        within(&mut faults, "session_idle_days", self.session_idle_days, 1..=3_650);
        within(&mut faults, "session_days_max", self.session_days_max, 1..=3_650);
        within(
            &mut faults,
            "sessions_per_account_max",
            self.sessions_per_account_max.into(),
            1..=SESSIONS_PER_ACCOUNT_MAX.into(),
        );
        within(&mut faults, "refresh_grace_secs", self.refresh_grace_secs, 0..=300);
        // 0: measured.
        if self.hash_memory_kib != 0 {
            within(&mut faults, "hash_memory_kib", self.hash_memory_kib.into(), 8_192..=1 << 20);
        }
        within(&mut faults, "hash_iterations", self.hash_iterations.into(), 0..=20);
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
        within(&mut faults, "distinct_guesses_max", self.distinct_guesses_max.into(), 0..=1_000);
        within(&mut faults, "distinct_guesses_window_secs", self.distinct_guesses_window_secs, 60..=86_400);
        within(&mut faults, "address_block_secs", self.address_block_secs, 60..=2_592_000);
        within(&mut faults, "setup_link_minutes", self.setup_link_minutes, 1..=10_080);
        within(&mut faults, "verification_link_hours", self.verification_link_hours, 1..=168);
        within(&mut faults, "reset_link_minutes", self.reset_link_minutes, 5..=60);
        within(&mut faults, "invitation_days", self.invitation_days, 1..=30);
        within(&mut faults, "code_minutes", self.code_minutes, 1..=10);
        within(&mut faults, "mails_per_account_max", self.mails_per_account_max.into(), 1..=1_000);
        within(&mut faults, "mails_per_address_max", self.mails_per_address_max.into(), 1..=1_000_000);
        within(&mut faults, "purge_after_days", self.purge_after_days, 0..=3_650);
        for (key, link) in [
            ("link_verify_email", &self.link_verify_email),
            ("link_reset_password", &self.link_reset_password),
            ("link_sign_in", &self.link_sign_in),
            ("link_invitation", &self.link_invitation),
        ] {
            if !link.is_empty() && !is_link(link) {
                let text = "must be such as \"https://app.example.com/page?token={token}\", with one {token}";
                faults.push((key, format!("{text}, got {}", quoted(link))));
            }
        }
        faults
    }

    pub fn access_token_lifetime(&self) -> Duration {
        Duration::from_secs(self.access_token_secs)
    }

    /// For how long a key signs access tokens before another takes its place; nothing: for ever.
    pub fn signing_key_lifetime(&self) -> Option<Duration> {
        let days = u32::try_from(self.signing_key_days).unwrap_or(u32::MAX);
        (0 < days).then(|| Duration::from_secs(24 * 3_600) * days)
    }

    /// Whether people who register have to show first that the address is theirs.
    pub fn needs_verification(&self, mails_are_sent: bool) -> bool {
        match self.verification {
            Verification::Auto => mails_are_sent,
            Verification::Required => true,
            Verification::Off => false,
        }
    }

    /// How long a deleted account stays in the bin. Absent: until somebody purges it.
    pub fn bin_time(&self) -> Option<Duration> {
        (0 < self.purge_after_days).then(|| Duration::from_secs(self.purge_after_days * 24 * 3_600))
    }

    pub fn code_lifetime(&self) -> Duration {
        Duration::from_secs(self.code_minutes * 60)
    }

    pub fn invitation_lifetime(&self) -> Duration {
        Duration::from_secs(self.invitation_days * 24 * 3_600)
    }

    pub fn setup_link_lifetime(&self) -> Duration {
        Duration::from_secs(self.setup_link_minutes * 60)
    }
}

/// Whether a page of an app takes the secret of a link.
fn is_link(link: &str) -> bool {
    let is_plain = |it: u8| it.is_ascii_graphic() && !b"\\\"<>".contains(&it);
    let site = Site::parse(link).filter(|it| ["http", "https"].contains(&it.scheme));
    site.is_some() && link.matches("{token}").count() == 1 && link.bytes().all(is_plain)
}
