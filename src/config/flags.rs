//! What the command line says.
use std::net::SocketAddr;
use std::sync::Arc;

use super::accounts::SIGN_IN_FAILURES_MAX;
use super::{Config, Error, LogConfig, LogFormat};

/// Settings from the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    pub listen: Option<SocketAddr>,
    /// For a developer's own machine: loopback only, readable logs, relaxed limits.
    pub dev: bool,
}

impl Flags {
    pub(super) fn apply(&self, config: &mut Config, error: &mut Error) {
        let server = Arc::make_mut(&mut config.server);
        if let Some(listen) = self.listen {
            server.listen = listen;
        }
        if !self.dev {
            return;
        }
        if !server.listen.ip().is_loopback() {
            error.add("--dev", format!("listens on loopback addresses only, not on {}", server.listen));
        }
        let log = Arc::make_mut(&mut config.log);
        let untouched = LogConfig::default();
        if log.format == untouched.format {
            log.format = LogFormat::Text;
        }
        if log.level == untouched.level {
            log.level = "info,steading=debug".to_owned();
        }
        let accounts = Arc::make_mut(&mut config.accounts);
        accounts.password_length_min_admin = accounts.password_length_min_admin.min(accounts.password_length_min);
        relax(&mut accounts.sign_in_failures_per_account_max);
        relax(&mut accounts.sign_in_failures_per_address_max);
    }
}

/// How many times what is usual one who develops may do.
const RELAXED: u32 = 100;

/// Multiplies a limit, but never beyond what a setting may be, and never lowers it.
fn relax(limit: &mut u32) {
    *limit = limit.saturating_mul(RELAXED).min(SIGN_IN_FAILURES_MAX).max(*limit);
}
