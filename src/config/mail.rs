use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::complaint::quoted;
use super::{DkimConfig, Faults, within};
use crate::base::Secret;
use crate::base::text::normalize_email;

/// Most further servers: a mail may wait for the time of each.
pub(super) const FALLBACKS_MAX: usize = 5;

/// How the connection to the mail server is kept secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// Plain at first, then TLS, or not at all (RFC 3207).
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// None: for a server on the same machine.
    None,
}

/// `[mail]`: the server that mail is sent with, and what holds for all.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailConfig {
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
    pub username: String,
    pub password: Secret<String>,
    pub from: String,
    pub from_name: String,
    pub ca: String,
    pub timeout_secs: u64,
    pub connections_max: u32,
    pub mails_per_recipient_max: u32,
    pub fallback: Vec<MailServer>,
    pub dkim: DkimConfig,
}

/// A server that mail is sent with: that of `[mail]`, or one of `[[mail.fallback]]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailServer {
    pub host: String,
    pub port: u16,
    pub security: MailSecurity,
    pub username: String,
    pub password: Secret<String>,
    pub ca: String,
    pub timeout_secs: u64,
    pub connections_max: u32,
}

impl Default for MailConfig {
    fn default() -> Self {
        let MailServer { host, port, security, username, password, ca, timeout_secs, connections_max } =
            MailServer::default();
        Self {
            host,
            port,
            security,
            username,
            password,
            from: String::new(),
            from_name: String::new(),
            ca,
            timeout_secs,
            connections_max,
            mails_per_recipient_max: 500,
            fallback: Vec::new(),
            dkim: DkimConfig::default(),
        }
    }
}

impl Default for MailServer {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 0,
            security: MailSecurity::Starttls,
            username: String::new(),
            password: Secret::new(String::new()),
            ca: String::new(),
            timeout_secs: 30,
            connections_max: 4,
        }
    }
}

impl MailConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = self.first().check();
        let mut fault = |key, text: String| faults.push((key, text));
        if self.is_set() && self.from.is_empty() {
            fault("from", "is needed beside `host`: the address that mails come from".to_owned());
        }
        if !self.is_set() && !self.fallback.is_empty() {
            fault("host", "is needed beside `[[mail.fallback]]`: the server that is tried first".to_owned());
        }
        if !self.from.is_empty()
            && let Err(why) = normalize_email(&self.from)
        {
            fault("from", format!("{why}, got {}", quoted(&self.from)));
        }
        if 200 < self.from_name.chars().count() || self.from_name.contains(char::is_control) {
            fault("from_name", "must be at most 200 characters in one line".to_owned());
        }
        within(&mut faults, "mails_per_recipient_max", self.mails_per_recipient_max.into(), 0..=1_000_000);
        faults
    }

    /// Whether there is a server to send with.
    pub fn is_set(&self) -> bool {
        !self.host.is_empty()
    }

    /// Whether signatures are by the domain that mails come from, or by one above or below it: those of others say nothing
    /// about the sender (DMARC, RFC 7489 section 3.1.1).
    pub fn is_signed_as_itself(&self) -> bool {
        let within = |inner: &str, outer: &str| inner == outer || inner.ends_with(&format!(".{outer}"));
        let from = self.from.rsplit_once('@').map(|(_, domain)| domain).unwrap_or_default();
        let from = idna::domain_to_ascii(from).unwrap_or_default();
        let domain = self.dkim.domain.to_lowercase();
        within(&from, &domain) || within(&domain, &from)
    }

    /// The servers in the order in which they are tried.
    pub fn servers(&self) -> Vec<MailServer> {
        if !self.is_set() {
            return Vec::new();
        }
        std::iter::once(self.first()).chain(self.fallback.iter().cloned()).collect()
    }

    /// The server that is tried first.
    fn first(&self) -> MailServer {
        MailServer {
            host: self.host.clone(),
            port: self.port,
            security: self.security,
            username: self.username.clone(),
            password: self.password.clone(),
            ca: self.ca.clone(),
            timeout_secs: self.timeout_secs,
            connections_max: self.connections_max,
        }
    }
}

impl MailServer {
    fn check(&self) -> Faults {
        let mut faults = Faults::new();
        let mut fault = |key, text: String| faults.push((key, text));
        if self.host.contains(|it: char| it.is_whitespace() || "/@[]".contains(it)) {
            fault(
                "host",
                format!("must be a name or an address such as \"smtp.example.com\", got {}", quoted(&self.host)),
            );
        }
        if self.username.is_empty() != self.password.reveal().is_empty() {
            fault(
                if self.username.is_empty() { "username" } else { "password" },
                "is needed beside the other".to_owned(),
            );
        }
        if !self.username.is_empty() && self.security == MailSecurity::None && !self.is_local() {
            fault(
                "security",
                "must not be \"none\" beside a password, unless the server is on this machine".to_owned(),
            );
        }
        if !self.ca.is_empty() && !self.ca.contains("-----BEGIN CERTIFICATE-----") {
            fault("ca", "must be certificates in the PEM format; `ca_file` names a file with them".to_owned());
        }
        within(&mut faults, "timeout_secs", self.timeout_secs, 1..=300);
        within(&mut faults, "connections_max", self.connections_max.into(), 1..=64);
        faults
    }

    /// As one of `[[mail.fallback]]`.
    pub(super) fn check_listed(&self) -> Faults {
        let mut faults = self.check();
        if self.host.is_empty() {
            faults.push(("host", "is needed: the name of the server".to_owned()));
        }
        faults
    }

    fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
    }

    /// The server as an operator knows it: `host:port`.
    pub fn name(&self) -> String {
        let port = self.port();
        if self.host.contains(':') { format!("[{}]:{port}", self.host) } else { format!("{}:{port}", self.host) }
    }

    /// The port as set, or the one that is usual for the security.
    pub fn port(&self) -> u16 {
        match (self.port, self.security) {
            (0, MailSecurity::Starttls) => 587,
            (0, MailSecurity::Tls) => 465,
            (0, MailSecurity::None) => 25,
            (set, _) => set,
        }
    }

    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_secs)
    }
}
