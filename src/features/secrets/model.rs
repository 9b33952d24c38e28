//! The things: secrets as their owner sees them, and the master keys that close them.
use std::str::FromStr;

use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use crate::base::{JobId, Timestamp};
use crate::http::Permission;

pub const SECRETS_ADMIN: Permission = Permission("secrets:admin");

/// Longest secret: more than any key of a service, and as much as a private key takes.
pub(super) const VALUE_BYTES_MAX: usize = 8 << 10;
/// Most secrets of one person.
pub(super) const OF_ONE_MAX: i64 = 50;
/// Of the end of a secret, in its hint.
const HINT_CHARS: usize = 4;
/// A secret that is shorter has no hint: it would be too much of it.
const HINTED_CHARS_MIN: usize = 16;
const NAME_CHARS_MAX: usize = 64;

/// What a secret is called: 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`, the first of them a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SecretName(String);

impl SecretName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_first = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
        let is_sound = text.len() <= NAME_CHARS_MAX
            && text.bytes().next().is_some_and(is_first)
            && text.bytes().all(|it| is_first(it) || b"-_.".contains(&it));
        if !is_sound {
            return Err("must be 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`, the first a letter or a digit");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A secret as its owner sees it: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename = "Secret", example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct KeptSecret {
    pub name: String,
    /// Whose it is, or what for; may be empty.
    pub description: String,
    /// Its last characters, to tell one from another; empty if it is short.
    pub hint: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When it was last used on its owner's behalf, or shown. Absent: never.
    pub last_used_at: Option<Timestamp>,
}

impl Example for KeptSecret {
    fn example() -> Self {
        let at = Timestamp::example();
        Self {
            name: "openai".to_owned(),
            description: "The key of our project".to_owned(),
            hint: "…x7Qd".to_owned(),
            created_at: at,
            updated_at: at,
            last_used_at: Some(at),
        }
    }
}

/// All secrets of someone.
#[derive(Debug, Object)]
#[oai(example)]
pub struct SecretList {
    pub data: Vec<KeptSecret>,
}

impl Example for SecretList {
    fn example() -> Self {
        Self { data: vec![KeptSecret::example()] }
    }
}

/// A secret to be kept.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSecret {
    /// Up to 8,192 bytes.
    #[oai(validator(min_length = 1, max_length = 8192))]
    pub value: String,
    #[oai(validator(max_length = 200))]
    pub description: Option<String>,
}

impl Example for NewSecret {
    fn example() -> Self {
        Self { value: "a-key-of-another-service".to_owned(), description: Some(KeptSecret::example().description) }
    }
}

/// A secret, shown to its owner.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct ShownSecret {
    pub name: String,
    pub value: String,
}

impl Example for ShownSecret {
    fn example() -> Self {
        Self { name: KeptSecret::example().name, value: NewSecret::example().value }
    }
}

/// What people tell secrets apart by.
pub(super) fn hint(value: &str) -> String {
    let count = value.chars().count();
    if count < HINTED_CHARS_MIN || value.chars().any(char::is_control) {
        return String::new();
    }
    format!("…{}", value.chars().skip(count - HINT_CHARS).collect::<String>())
}

/// Where a master key is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum KeyKeeper {
    /// The server, in `system.db`.
    Server,
    /// The operator, in `secrets.master_key`.
    Operator,
}

impl KeyKeeper {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Operator => "operator",
        }
    }
}

/// What a master key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum MasterKeyState {
    /// It closes what is kept from now on.
    Current,
    /// It opens what is not closed anew yet.
    Retired,
    /// Nothing was closed with it.
    Unused,
}

/// A master key. What it is itself is told nobody.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct SecretKey {
    /// Made of the key: the same wherever it comes from.
    pub id: String,
    pub keeper: KeyKeeper,
    pub state: MasterKeyState,
    /// Whether it can be used. If not, what it closes cannot be opened until it is brought back.
    pub is_here: bool,
    /// How many secrets it closes.
    pub secrets: u64,
    /// Since when it closes secrets.
    pub created_at: Option<Timestamp>,
}

impl Example for SecretKey {
    fn example() -> Self {
        Self {
            id: "9c1185a5c5e9fc54".to_owned(),
            keeper: KeyKeeper::Server,
            state: MasterKeyState::Current,
            is_here: true,
            secrets: 12,
            created_at: Some(Timestamp::example()),
        }
    }
}

/// All master keys.
#[derive(Debug, Object)]
#[oai(example)]
pub struct SecretKeyList {
    pub data: Vec<SecretKey>,
}

impl Example for SecretKeyList {
    fn example() -> Self {
        Self { data: vec![SecretKey::example()] }
    }
}

/// A change of the master key that has begun.
#[derive(Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SecretKeyRotation {
    /// The master key that closes secrets from now on.
    pub key_id: String,
    /// The job that closes those anew that there are: `GET /admin/jobs/{id}` tells how far it is.
    pub job_id: JobId,
}

impl Example for SecretKeyRotation {
    fn example() -> Self {
        Self { key_id: SecretKey::example().id, job_id: JobId::example() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_never_more_than_a_quarter_of_a_secret() {
        assert_eq!(hint("0123456789abcdef"), "…cdef");
        assert_eq!(hint("0123456789abcde"), "");
        assert_eq!(hint(&"ü".repeat(16)), "…üüüü");
        assert_eq!(hint("-----BEGIN KEY-----\nabcdefgh\n"), "");
    }

    #[test]
    fn a_name_is_a_word_in_a_path() {
        assert!(
            ["a", "0", "openai", "open-ai_2.key", &"a".repeat(64)].iter().all(|it| it.parse::<SecretName>().is_ok())
        );
        for name in ["", ".", "..", "-a", "A", "a b", "a/b", "a\0", "ü", &"a".repeat(65)] {
            assert!(name.parse::<SecretName>().is_err(), "{name:?}");
        }
    }
}
