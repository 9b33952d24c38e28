//! The things: keys as admins and verifiers see them.
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use crate::base::{Secret, Timestamp};
use crate::http::Permission;

/// To replace the keys that sign access tokens.
pub const SYSTEM_ADMIN: Permission = Permission("system:admin");

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, and not used yet.
    Next,
    /// It signs.
    Current,
    /// It verifies what it signed.
    Retired,
}

impl KeyState {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Current => "current",
            Self::Retired => "retired",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Next, Self::Current, Self::Retired].into_iter().find(|it| it.name() == name)
    }
}

/// A key that signs access tokens, without its secret half.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct SigningKey {
    /// Its name in the head of a token: the thumbprint of its public half (RFC 7638).
    pub kid: String,
    pub state: KeyState,
    pub created_at: Timestamp,
    /// Since when it signs. Absent: it does not yet.
    pub signs_since: Option<Timestamp>,
    /// When another took its place.
    pub retired_at: Option<Timestamp>,
    /// When the last token that it signed has expired, and it is removed.
    pub verifies_until: Option<Timestamp>,
}

impl Example for SigningKey {
    fn example() -> Self {
        let (at, kid) = (Timestamp::example(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k".to_owned());
        let (state, signs_since) = (KeyState::Current, Some(at));
        Self { kid, state, created_at: at, signs_since, retired_at: None, verifies_until: None }
    }
}

/// All signing keys: the one that signs, the next one, and those before.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct SigningKeyList {
    pub data: Vec<SigningKey>,
}

impl Example for SigningKeyList {
    fn example() -> Self {
        Self { data: vec![SigningKey::example()] }
    }
}

/// How to replace the key that signs.
#[derive(Clone, Debug, Object)]
#[oai(example, deny_unknown_fields)]
pub struct KeyRotation {
    /// `true` if a key leaked: all of them are replaced, and what they signed ends at once. Sessions go on: clients get
    /// fresh tokens with their refresh token. Absent: `false`, and tokens work until they expire.
    #[oai(default)]
    pub revoke: bool,
}

impl Example for KeyRotation {
    fn example() -> Self {
        Self { revoke: false }
    }
}

/// The public half of a key (RFC 7517, RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example)]
pub struct Jwk {
    /// Always `OKP`.
    pub kty: String,
    /// Always `Ed25519`.
    pub crv: String,
    /// The public key (base64url).
    pub x: String,
    pub kid: String,
    /// Always `sig`.
    #[oai(rename = "use")]
    pub usage: String,
    /// Always `EdDSA`.
    pub alg: String,
}

impl Jwk {
    pub(super) fn new(kid: String, x: String) -> Self {
        let text = ToOwned::to_owned;
        Self { kty: text("OKP"), crv: text("Ed25519"), x, kid, usage: text("sig"), alg: text("EdDSA") }
    }
}

impl Example for Jwk {
    fn example() -> Self {
        Self::new(SigningKey::example().kid, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned())
    }
}

/// The keys that access tokens are verified with.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct Jwks {
    pub keys: Vec<Jwk>,
}

impl Example for Jwks {
    fn example() -> Self {
        Self { keys: vec![Jwk::example()] }
    }
}

/// Where programs find what they need to verify access tokens.
#[derive(Clone, Debug, Object)]
#[oai(example)]
pub struct OpenidConfiguration {
    /// The `iss` of access tokens: the public address of this server.
    pub issuer: String,
    /// Where the keys are.
    pub jwks_uri: String,
    /// Always `public`: the `sub` of someone is the same for every program.
    pub subject_types_supported: Vec<String>,
    /// A page for people.
    pub service_documentation: String,
}

impl OpenidConfiguration {
    pub(super) fn of(url: &str) -> Self {
        Self {
            issuer: url.to_owned(),
            jwks_uri: format!("{url}/.well-known/jwks.json"),
            subject_types_supported: vec!["public".to_owned()],
            service_documentation: format!("{url}/docs/accounts"),
        }
    }
}

impl Example for OpenidConfiguration {
    fn example() -> Self {
        Self::of("https://api.example.com")
    }
}

/// A key as it is kept, with its secret half.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub key: SigningKey,
    pub seed: Secret<[u8; 32]>,
    /// Whether it signed before tokens named their key.
    pub signed_unnamed: bool,
}

/// The name of a key: the thumbprint of its public half (RFC 7638, RFC 8037 section 2).
pub(super) fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64URL_NOPAD.encode(digest(&SHA256, members.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of RFC 8037, appendix A.3.
    #[test]
    fn a_key_has_the_name_that_the_standard_gives_it() {
        assert_eq!(thumbprint(&Jwk::example().x), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
