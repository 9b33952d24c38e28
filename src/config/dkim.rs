use serde::{Deserialize, Serialize};

use super::Faults;
use super::complaint::quoted;
use crate::base::{PrivateKey, Secret};

/// Longest name in the domain name system, and longest part of one (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// What stands between the selector and the domain (RFC 6376 section 3.6.2.1).
const BETWEEN: &str = "._domainkey.";

/// `[mail.dkim]`: what mails are signed with (RFC 6376).
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DkimConfig {
    pub domain: String,
    pub selector: String,
    pub key: Secret<String>,
}

impl DkimConfig {
    /// No complaint repeats the key.
    pub(super) fn check(&self) -> Faults {
        let mut faults = Faults::new();
        let parts = [("domain", &self.domain), ("selector", &self.selector), ("key", self.key.reveal())];
        let Some((set, _)) = parts.iter().find(|(_, it)| !it.is_empty()) else { return faults };
        for (missing, _) in parts.iter().filter(|(_, it)| it.is_empty()) {
            faults.push((missing, format!("is needed beside `{set}`")));
        }
        let is_domain = is_name(&self.domain) && self.domain.contains('.');
        if !self.domain.is_empty() && !is_domain {
            let text = "must be a domain such as \"example.com\"";
            faults.push(("domain", format!("{text}, got {}", quoted(&self.domain))));
        }
        if !self.selector.is_empty() && !is_name(&self.selector) {
            let text = "must be a name of letters, digits and dashes, such as \"steading\"";
            faults.push(("selector", format!("{text}, got {}", quoted(&self.selector))));
        }
        if faults.is_empty() && NAME_BYTES_MAX < self.record_name().len() {
            faults.push(("selector", format!("and `domain` must make a name of at most {NAME_BYTES_MAX} bytes")));
        }
        if !self.key.reveal().is_empty()
            && let Err(why) = PrivateKey::from_pem(self.key.reveal())
        {
            faults.push(("key", why.to_owned()));
        }
        faults
    }

    /// Whether mails are signed.
    pub fn is_set(&self) -> bool {
        !self.domain.is_empty()
    }

    /// The name under which the public key is to be found.
    pub fn record_name(&self) -> String {
        format!("{}{BETWEEN}{}", self.selector, self.domain)
    }
}

/// Names as the domain name system has them; those of other scripts in their form of letters, digits and dashes.
fn is_name(name: &str) -> bool {
    let is_label = |it: &str| {
        let is_plain = it.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-');
        !it.is_empty() && it.len() <= LABEL_BYTES_MAX && is_plain && !it.starts_with('-') && !it.ends_with('-')
    };
    name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)
}
