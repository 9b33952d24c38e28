use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::Faults;
use crate::base::Secret;

/// Most keys: one, those before it that still close something, and room for a mistake.
const KEYS_MAX: usize = 10;
const KEY_BYTES: usize = 32;

/// `[secrets]`: what the secrets of people are encrypted with.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    pub master_key: Secret<String>,
}

impl SecretsConfig {
    /// No complaint repeats a key.
    pub(super) fn check(&self) -> Faults {
        let lines: Vec<_> = self.master_key.reveal().split_whitespace().collect();
        let broken = lines.iter().position(|it| read(it).is_none());
        let twice = lines.iter().enumerate().any(|(at, it)| lines[..at].contains(it));
        let fault = |text: String| vec![("master_key", text)];
        match broken {
            Some(at) => fault(format!(
                "must be {KEY_BYTES} bytes in Base64 a line, as `openssl rand -base64 {KEY_BYTES}` makes them; number {} \
                 is not",
                at + 1
            )),
            None if KEYS_MAX < lines.len() => fault(format!("must be at most {KEYS_MAX} keys, got {}", lines.len())),
            None if twice => fault("must not have the same key twice".to_owned()),
            None => Faults::new(),
        }
    }

    /// The keys, the one first that is to close what is kept from now on.
    pub fn keys(&self) -> Vec<Secret<[u8; KEY_BYTES]>> {
        self.master_key.reveal().split_whitespace().filter_map(read).collect()
    }
}

fn read(text: &str) -> Option<Secret<[u8; KEY_BYTES]>> {
    let bytes = Secret::new(BASE64.decode(text.as_bytes()).ok()?);
    bytes.reveal().as_slice().try_into().map(Secret::new).ok()
}
