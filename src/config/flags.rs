//! What the command line says.
use std::net::SocketAddr;
use std::sync::Arc;

use super::{Config, Error, LogFormat};

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
        log.format = LogFormat::Text;
        log.level = "info,steading=debug".to_owned();
        let accounts = Arc::make_mut(&mut config.accounts);
        accounts.password_length_min_admin = 8;
        accounts.sign_in_failures_per_account_max = 1_000;
        accounts.sign_in_failures_per_address_max = 10_000;
    }
}
