use serde::{Deserialize, Serialize};

use super::{Faults, within};

/// `[http]`: what a client may take of the server's time and memory.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    pub header_timeout_secs: u64,
    pub header_bytes_max: usize,
    pub idle_timeout_secs: u64,
    pub request_timeout_secs: u64,
    pub write_timeout_secs: u64,
    pub body_bytes_max: u64,
    pub bodies_bytes_max: u64,
    pub body_bytes_per_sec_min: u64,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub streams_per_connection_max: u32,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            header_timeout_secs: 10,
            header_bytes_max: 32_768,
            idle_timeout_secs: 60,
            request_timeout_secs: 60,
            write_timeout_secs: 30,
            body_bytes_max: 1 << 20,
            bodies_bytes_max: 64 << 20,
            body_bytes_per_sec_min: 1_024,
            connections_max: 4_096,
            connections_per_address_max: 1_024,
            streams_per_connection_max: 128,
        }
    }
}

impl HttpConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        within(&mut faults, "header_timeout_secs", self.header_timeout_secs, 1..=120);
        within(&mut faults, "header_bytes_max", self.header_bytes_max as u64, 8_192..=1 << 20);
        within(&mut faults, "idle_timeout_secs", self.idle_timeout_secs, 1..=3_600);
        within(&mut faults, "request_timeout_secs", self.request_timeout_secs, 1..=3_600);
        within(&mut faults, "write_timeout_secs", self.write_timeout_secs, 1..=3_600);
        within(&mut faults, "body_bytes_max", self.body_bytes_max, 1_024..=64 << 20);
        within(&mut faults, "bodies_bytes_max", self.bodies_bytes_max, 1 << 20..=1 << 40);
        if self.bodies_bytes_max / 4 < self.body_bytes_max {
            let text = "must be at least four times `body_bytes_max`: one address may have a quarter of it";
            faults.push(("bodies_bytes_max", text.to_owned()));
        }
        within(&mut faults, "body_bytes_per_sec_min", self.body_bytes_per_sec_min, 0..=1 << 20);
        within(&mut faults, "connections_max", self.connections_max as u64, 8..=1_000_000);
        within(&mut faults, "connections_per_address_max", self.connections_per_address_max as u64, 1..=1_000_000);
        within(&mut faults, "streams_per_connection_max", self.streams_per_connection_max.into(), 1..=10_000);
        faults
    }
}
