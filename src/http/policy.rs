//! What an operator may change about the handling of requests while the server runs.
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::cors::Cors;
use crate::base::web::Site;
use crate::config::{Config, HttpConfig};

/// The policy in force. A reload swaps it whole; connections and requests that began keep theirs.
pub type LivePolicy = Arc<ArcSwap<Policy>>;

/// How requests are let in, told apart, bounded and logged.
#[derive(Clone, Debug)]
pub struct Policy {
    pub limits: Limits,
    /// Who may say on whose behalf a request comes (`X-Forwarded-For`, `Forwarded`). Nobody by default.
    pub trusted_proxies: Vec<IpNet>,
    pub cors: Cors,
    /// The origin of this server's own pages, where its public address is set; else it is where a request says that it
    /// came to.
    pub own_origin: Option<String>,
    /// Whether each request leaves a line in the log.
    pub log_requests: bool,
}

impl Policy {
    /// Whether a host is that of the public address, and that is reached by HTTPS.
    pub(super) fn is_public_by_https(&self, host: &str) -> bool {
        let reached = || Site::parse(&format!("https://{host}")).map(|it| it.origin());
        self.own_origin.as_ref().is_some_and(|own| own.starts_with("https:") && reached().as_ref() == Some(own))
    }

    /// The policy as something that can be swapped while the server runs.
    pub fn live(self) -> LivePolicy {
        Arc::new(ArcSwap::from_pointee(self))
    }
}

impl From<&Config> for Policy {
    fn from(settings: &Config) -> Self {
        Self {
            limits: Limits::from(settings.http.as_ref()),
            trusted_proxies: settings.server.trusted_proxies.clone(),
            cors: Cors::from(settings.cors.as_ref()),
            own_origin: Site::parse(&settings.server.public_url).map(|it| it.origin()),
            log_requests: settings.log.requests,
        }
    }
}

impl Default for Policy {
    /// The policy of a server without any settings.
    fn default() -> Self {
        Self::from(&Config::default())
    }
}

/// How much of the server one client, and all of them together, may hold, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a client may take to send the head of a request; past it the answer is 408.
    pub header_timeout: Duration,
    /// The largest head of a request; past it the answer is 431. At least 8 KiB.
    pub header_bytes_max: usize,
    /// How long a connection may be kept open without a request.
    pub idle_timeout: Duration,
    /// How long a handler may work once the body is there; past it the answer is 503.
    pub request_timeout: Duration,
    /// How long a client may take to read the next part of its answer.
    pub write_timeout: Duration,
    /// Connections in all; past it a client is told 503 and turned away.
    pub connections_max: usize,
    /// Connections of one address (of one /64 with IPv6), past it as above; trusted proxies are exempt,
    /// because all their clients share their address.
    pub connections_per_address_max: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub streams_per_connection_max: u32,
    /// The largest body of a request, unless its route raised it ([`super::body::BodyCap`]).
    pub body_bytes_max: u64,
    /// What the bodies of all requests may take of the memory; past it the answer to a large one is 503. Small
    /// bodies may take as much again, and one address a quarter.
    pub bodies_bytes_max: u64,
    /// The slowest a body may arrive once `body_grace` is used up; below it the answer is 408.
    pub body_bytes_per_sec_min: u64,
    /// How long the server waits for a body, in all, before it looks at its rate.
    pub body_grace: Duration,
}

/// How long the server waits for a body, in all, before it looks at its rate.
const BODY_GRACE: Duration = Duration::from_secs(5);

impl From<&HttpConfig> for Limits {
    fn from(http: &HttpConfig) -> Self {
        Self {
            header_timeout: Duration::from_secs(http.header_timeout_secs),
            header_bytes_max: http.header_bytes_max,
            idle_timeout: Duration::from_secs(http.idle_timeout_secs),
            request_timeout: Duration::from_secs(http.request_timeout_secs),
            write_timeout: Duration::from_secs(http.write_timeout_secs),
            connections_max: http.connections_max,
            connections_per_address_max: http.connections_per_address_max,
            streams_per_connection_max: http.streams_per_connection_max,
            body_bytes_max: http.body_bytes_max,
            bodies_bytes_max: http.bodies_bytes_max,
            body_bytes_per_sec_min: http.body_bytes_per_sec_min,
            body_grace: BODY_GRACE,
        }
    }
}

impl Default for Limits {
    /// The limits of a server without any settings.
    fn default() -> Self {
        Self::from(&HttpConfig::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `config.toml` says is the default must be what a server without settings does.
    #[test]
    fn a_policy_without_settings_is_that_of_the_commented_file() {
        let (policy, http) = (Policy::default(), HttpConfig::default());

        assert_eq!(policy.limits.connections_per_address_max, http.connections_per_address_max);
        assert_eq!(policy.limits.connections_max, http.connections_max);
        assert_eq!(policy.limits.body_bytes_max, http.body_bytes_max);
        assert_eq!(policy.limits.header_timeout.as_secs(), http.header_timeout_secs);
    }
}
