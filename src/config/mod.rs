//! What an operator sets: one file, one struct, one file of code for each section.
//!
//! Every source is merged and checked before anything of it counts, and everything that
//! is wrong is told at once ([`Error`]). The commented `config.toml` is embedded: it is the
//! list of known settings, their types and defaults, and a test holds it against the code.
mod accounts;
mod audit;
mod complaint;
mod cors;
mod dkim;
mod flags;
mod http;
mod live;
mod load;
mod log;
mod mail;
mod merge;
mod read;
mod realtime;
mod schema;
mod secrets;
mod server;
mod setup;
mod storage;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::accounts::{ACCESS_TOKEN_SECS_MAX, AccountsConfig, Registration, SESSIONS_PER_ACCOUNT_MAX, Verification};
pub use self::audit::AuditConfig;
pub use self::complaint::{Complaint, Error};
pub use self::cors::CorsConfig;
pub use self::dkim::DkimConfig;
pub use self::flags::Flags;
pub use self::http::HttpConfig;
pub use self::live::{Live, View};
pub use self::load::{Sources, environment, token};
pub use self::log::{LogConfig, LogFormat};
pub use self::mail::{MailConfig, MailSecurity, MailServer};
pub use self::realtime::RealtimeConfig;
pub use self::schema::SchemaConfig;
pub use self::secrets::SecretsConfig;
pub use self::server::ServerConfig;
pub use self::setup::SetupConfig;
pub use self::storage::StorageConfig;
pub use self::watch::Watch;

/// The commented default, as it lies at the project's root.
pub const DEFAULT: &str = include_str!("../../config.toml");

/// All settings. A feature gets a [`View`] of its own section only.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Arc<ServerConfig>,
    pub http: Arc<HttpConfig>,
    pub cors: Arc<CorsConfig>,
    pub storage: Arc<StorageConfig>,
    pub accounts: Arc<AccountsConfig>,
    pub audit: Arc<AuditConfig>,
    pub mail: Arc<MailConfig>,
    pub realtime: Arc<RealtimeConfig>,
    pub schema: Arc<SchemaConfig>,
    pub secrets: Arc<SecretsConfig>,
    pub log: Arc<LogConfig>,
    pub setup: Arc<SetupConfig>,
}

/// What a section finds wrong with itself: the key, and why.
type Faults = Vec<(&'static str, String)>;

/// Notes a number outside of its range.
fn within(faults: &mut Faults, key: &'static str, value: u64, range: std::ops::RangeInclusive<u64>) {
    if !range.contains(&value) {
        faults.push((key, format!("must be {} to {}, got {value}", range.start(), range.end())));
    }
}

impl Config {
    /// What is wrong, by section.
    fn check(&self) -> Vec<(String, Faults)> {
        let sections = [
            ("server", self.server.check()),
            ("http", self.http.check()),
            ("cors", self.cors.check()),
            ("storage", self.storage.check()),
            ("accounts", self.accounts.check()),
            ("audit", self.audit.check()),
            ("mail", self.mail.check()),
            ("realtime", self.realtime.check()),
            ("schema", self.schema.check()),
            ("secrets", self.secrets.check()),
            ("log", self.log.check()),
            ("setup", self.setup.check(self.accounts.password_length_min_admin)),
            ("mail.dkim", self.mail.dkim.check()),
        ];
        let listed =
            self.mail.fallback.iter().zip(1..).map(|(it, at)| (format!("mail.fallback.{at}"), it.check_listed()));
        sections.map(|(section, faults)| (section.to_owned(), faults)).into_iter().chain(listed).collect()
    }
}
