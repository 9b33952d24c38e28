//! What an operator may change about the handling of requests while the server runs.
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use super::cors::Cors;

/// The policy in force. A reload swaps it whole; connections and requests that began keep theirs.
pub type LivePolicy = Arc<ArcSwap<Policy>>;

/// How requests are let in, told apart, bounded and logged.
#[derive(Clone, Debug)]
pub struct Policy {
    pub limits: Limits,
    /// Who may say on whose behalf a request comes (`X-Forwarded-For`, `Forwarded`). Nobody by default.
    pub trusted_proxies: Vec<IpNet>,
    pub cors: Cors,
    /// Whether each request leaves a line in the log.
    pub log_requests: bool,
}

impl Policy {
    /// The policy as something that can be swapped while the server runs.
    pub fn live(self) -> LivePolicy {
        Arc::new(ArcSwap::from_pointee(self))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { limits: Limits::default(), trusted_proxies: Vec::new(), cors: Cors::default(), log_requests: true }
    }
}

/// How much of the server one client, and all of them together, may hold, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a client may take to send the head of a request.
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
    /// Connections of one address (of one /64 with IPv6); trusted proxies are exempt,
    /// because all their clients share their address.
    pub connections_per_address_max: usize,
    /// Requests at the same time on one HTTP/2 connection.
    pub streams_per_connection_max: u32,
    /// The largest body of a request, unless its route raised it ([`super::body::BodyCap`]).
    pub body_bytes_max: u64,
    /// The slowest a body may arrive once `body_grace` is used up; below it the answer is 408.
    pub body_bytes_per_sec_min: u64,
    /// How long the server waits for a body, in all, before it looks at its rate.
    pub body_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            header_bytes_max: 32 * 1024,
            idle_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            connections_max: 4096,
            connections_per_address_max: 512,
            streams_per_connection_max: 128,
            body_bytes_max: 1024 * 1024,
            body_bytes_per_sec_min: 1024,
            body_grace: Duration::from_secs(5),
        }
    }
}
