use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};

use super::complaint::quoted;
use super::{Faults, within};
use crate::base::web::Site;

/// Most networks of proxies. The list is gone through at each request; a big provider has some hundred.
const TRUSTED_PROXIES_MAX: usize = 1_000;

/// `[server]`: where it listens, how it is reached, how it stops.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    pub listen: SocketAddr,
    pub public_url: String,
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<IpNet>,
    pub stop_delay_secs: u64,
    pub stop_grace_secs: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8088)),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            stop_delay_secs: 0,
            stop_grace_secs: 20,
        }
    }
}

impl ServerConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        if !self.public_url.is_empty() && !is_public_url(&self.public_url) {
            // Not repeated: it may name a user with a password.
            let text = "must be such as \"https://api.example.com\", without a slash at its end";
            faults.push(("public_url", text.to_owned()));
        }
        if TRUSTED_PROXIES_MAX < self.trusted_proxies.len() {
            let got = self.trusted_proxies.len();
            faults.push(("trusted_proxies", format!("must be at most {TRUSTED_PROXIES_MAX}, got {got}")));
        }
        within(&mut faults, "stop_delay_secs", self.stop_delay_secs, 0..=600);
        within(&mut faults, "stop_grace_secs", self.stop_grace_secs, 1..=600);
        faults
    }

    pub fn stop_delay(&self) -> Duration {
        Duration::from_secs(self.stop_delay_secs)
    }

    pub fn stop_grace(&self) -> Duration {
        Duration::from_secs(self.stop_grace_secs)
    }

    /// The address in links: as set, or made from where it listens.
    pub fn url(&self) -> String {
        if !self.public_url.is_empty() {
            return self.public_url.clone();
        }
        let host =
            if self.listen.ip().is_unspecified() { "localhost".to_owned() } else { self.listen.ip().to_string() };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        format!("http://{host}:{}", self.listen.port())
    }
}

/// Whether links can be made by appending a path.
fn is_public_url(url: &str) -> bool {
    let is_path = |it: &str| it.is_empty() || (it.starts_with('/') && !it.ends_with('/'));
    let is_plain = |it: u8| it.is_ascii_graphic() && !b"?#\\\"<>".contains(&it);
    Site::parse(url)
        .is_some_and(|it| ["http", "https"].contains(&it.scheme) && is_path(it.rest) && it.rest.bytes().all(is_plain))
}

/// Networks, or single addresses.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parse = |it: &String| {
        it.parse::<IpNet>().or_else(|_| it.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(|_| it.clone())
    };
    texts.iter().map(parse).collect::<Result<_, _>>().map_err(|it| {
        serde::de::Error::custom(format!("{} is neither an address nor a network such as \"10.0.0.0/8\"", quoted(&it)))
    })
}
