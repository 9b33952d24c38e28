use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::complaint::quoted;
use super::{Faults, within};
use crate::base::Secret;
use crate::base::text::normalize_email;

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

/// `[mail]`: the server that mail is sent with.
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
}

impl Default for MailConfig {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 0,
            security: MailSecurity::Starttls,
            username: String::new(),
            password: Secret::new(String::new()),
            from: String::new(),
            from_name: String::new(),
            ca: String::new(),
            timeout_secs: 30,
            connections_max: 4,
        }
    }
}

impl MailConfig {
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        let mut fault = |key, text: String| faults.push((key, text));
        if self.is_set() && self.from.is_empty() {
            fault("from", "is needed beside `host`: the address that mails come from".to_owned());
        }
        if !self.from.is_empty()
            && let Err(why) = normalize_email(&self.from)
        {
            fault("from", format!("{why}, got {}", quoted(&self.from)));
        }
        if self.host.contains(|it: char| it.is_whitespace() || it == '/' || it == '@') {
            fault(
                "host",
                format!("must be a name or an address such as \"smtp.example.com\", got {}", quoted(&self.host)),
            );
        }
        if 200 < self.from_name.chars().count() || self.from_name.contains(char::is_control) {
            fault("from_name", "must be at most 200 characters in one line".to_owned());
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

    /// Whether there is a server to send with.
    pub fn is_set(&self) -> bool {
        !self.host.is_empty()
    }

    fn is_local(&self) -> bool {
        self.host == "localhost" || self.host.parse::<std::net::IpAddr>().is_ok_and(|it| it.is_loopback())
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
