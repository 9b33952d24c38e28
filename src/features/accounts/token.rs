//! Tokens: a signed one to show with each request, and one to get the next.
//!
//! An access token is a JWT (RFC 7519, RFC 9068) signed with Ed25519. The algorithm is
//! pinned to our one key; `kid`, `jku`, `jwk` and `x5u` of a token are never looked at.
//!
//! A refresh token is a session's id and a counter with an HMAC over both. Nothing of
//! it is stored but the counter, so a stolen copy of the accounts opens no session.
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::base::{Id, SessionId, TenantId, Timestamp, UserId};
use crate::features::server_keys::ServerKey;

/// Names the kind of token, so that no other signed thing passes for one (RFC 8725 section 3.11).
const ACCESS_TOKEN: &str = "at+jwt";
const AUDIENCE: &str = "steading";
const REFRESH_PREFIX: &str = "rt_";
/// A session's id, a counter and an HMAC-SHA-256.
const REFRESH_BYTES: usize = 16 + 8 + 32;

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    /// The session.
    sid: String,
    /// The tenant.
    tid: String,
    /// Who acts, if that is not the subject (RFC 8693 section 4.1). The session says so too, and that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    act: Option<Act>,
    iat: i64,
    exp: i64,
}

/// Who acts as the subject of a token.
#[derive(Debug, Serialize, Deserialize)]
struct Act {
    sub: String,
}

/// What a genuine access token is about. Whether its session still lives is asked elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub user: UserId,
    pub session: SessionId,
    pub expires_at: Timestamp,
}

/// A genuine refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RefreshToken {
    pub session: SessionId,
    pub counter: i64,
}

/// Makes and checks tokens.
pub struct Tokens {
    sign: EncodingKey,
    verify: DecodingKey,
    validation: Validation,
    header: Header,
    refresh: hmac::Key,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Tokens")
    }
}

impl Tokens {
    pub fn new(access: &ServerKey, refresh: &ServerKey) -> Result<Self, Error> {
        let unusable = |_| Error::Sign(jsonwebtoken::errors::ErrorKind::InvalidEddsaKey.into());
        let pair = Ed25519KeyPair::from_seed_unchecked(access.reveal()).map_err(unusable)?;
        let der =
            pair.to_pkcs8v1().map_err(|_| Error::Sign(jsonwebtoken::errors::ErrorKind::InvalidEddsaKey.into()))?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[AUDIENCE]);
        // The expiry is compared with our own clock, in `read_access`.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        Ok(Self {
            sign: EncodingKey::from_ed_der(der.as_ref()),
            verify: DecodingKey::from_ed_der(pair.public_key().as_ref()),
            validation,
            header: Header { typ: Some(ACCESS_TOKEN.to_owned()), ..Header::new(Algorithm::EdDSA) },
            refresh: hmac::Key::new(hmac::HMAC_SHA256, refresh.reveal()),
        })
    }

    pub(super) fn access(&self, tenant: &TenantId, access: Access, now: Timestamp) -> Result<String, Error> {
        self.signed_access(tenant, access, None, now)
    }

    /// A token with which `actor` acts as somebody else.
    pub(super) fn access_of_actor(
        &self,
        tenant: &TenantId,
        access: Access,
        actor: UserId,
        now: Timestamp,
    ) -> Result<String, Error> {
        self.signed_access(tenant, access, Some(Act { sub: actor.to_string() }), now)
    }

    fn signed_access(
        &self,
        tenant: &TenantId,
        access: Access,
        act: Option<Act>,
        now: Timestamp,
    ) -> Result<String, Error> {
        let claims = Claims {
            iss: AUDIENCE.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: access.user.to_string(),
            sid: access.session.to_string(),
            tid: tenant.to_string(),
            iat: now.seconds(),
            exp: access.expires_at.seconds(),
            act,
        };
        jsonwebtoken::encode(&self.header, &claims, &self.sign).map_err(Error::Sign)
    }

    /// Reads an access token that we signed, for this tenant, and that has not expired.
    pub(super) fn read_access(&self, tenant: &TenantId, token: &str, now: Timestamp) -> Option<Access> {
        let read = jsonwebtoken::decode::<Claims>(token, &self.verify, &self.validation).ok()?;
        let claims = read.claims;
        if read.header.typ.as_deref() != Some(ACCESS_TOKEN) || claims.tid != tenant.as_str() {
            return None;
        }
        if claims.exp <= now.seconds() {
            return None;
        }
        Some(Access {
            user: claims.sub.parse().ok()?,
            session: claims.sid.parse().ok()?,
            expires_at: Timestamp::from_millis(claims.exp.checked_mul(1_000)?),
        })
    }

    pub(super) fn refresh(&self, tenant: &TenantId, token: RefreshToken) -> String {
        let mut bytes = Vec::with_capacity(REFRESH_BYTES);
        bytes.extend(token.session.uuid().as_bytes());
        bytes.extend(token.counter.to_be_bytes());
        bytes.extend(hmac::sign(&self.refresh, &signed(tenant, &bytes)).as_ref());
        format!("{REFRESH_PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Reads a refresh token that we made for this tenant. Whether it still counts is for the session to say.
    pub(super) fn read_refresh(&self, tenant: &TenantId, token: &str) -> Option<RefreshToken> {
        let bytes = BASE64URL_NOPAD.decode(token.strip_prefix(REFRESH_PREFIX)?.as_bytes()).ok()?;
        let (said, tag) = bytes.split_at_checked(24).filter(|_| bytes.len() == REFRESH_BYTES)?;
        hmac::verify(&self.refresh, &signed(tenant, said), tag).ok()?;
        let (session, counter) = said.split_at(16);
        Some(RefreshToken {
            session: Id::from_uuid(uuid::Uuid::from_slice(session).ok()?),
            counter: i64::from_be_bytes(counter.try_into().ok()?),
        })
    }
}

/// What the HMAC covers: the tenant too, so that a token is worth nothing elsewhere.
fn signed(tenant: &TenantId, said: &[u8]) -> Vec<u8> {
    [b"refresh\0", tenant.as_str().as_bytes(), b"\0", said].concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::{Clock, Random, Secret};

    fn tokens(seed: u8) -> Tokens {
        Tokens::new(&Secret::new([seed; 32]), &Secret::new([seed; 32])).expect("made")
    }

    fn access() -> Access {
        let (random, clock) = (Random::system(), Clock::stopped_at(at(0)));
        Access { user: random.id(&clock), session: random.id(&clock), expires_at: at(900_000) }
    }

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_access_token_works_until_its_expiry_and_not_at_it() {
        let (tokens, main, access) = (tokens(1), TenantId::main(), access());
        let token = tokens.access(&main, access, at(0)).expect("signed");

        assert_eq!(tokens.read_access(&main, &token, at(899_999)), Some(access));
        assert_eq!(tokens.read_access(&main, &token, at(900_000)), None);
    }

    #[test]
    fn a_token_of_another_server_or_tenant_is_nothing_here() {
        let (main, other) = (TenantId::main(), "other".parse().expect("a name"));
        let token = tokens(2).access(&main, access(), at(0)).expect("signed");

        assert_eq!(tokens(1).read_access(&main, &token, at(0)), None);
        assert_eq!(tokens(2).read_access(&other, &token, at(0)), None);
    }

    /// Each byte of a token counts, and no other algorithm or kind passes.
    #[test]
    fn a_forged_access_token_is_nothing() {
        let (tokens, main) = (tokens(1), TenantId::main());
        let token = tokens.access(&main, access(), at(0)).expect("signed");
        for position in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            // The last character of a signature has bits that mean nothing; a decoder may ignore them.
            let is_same = forged.len() - 1 == position;
            assert!(is_same || tokens.read_access(&main, &forged, at(0)).is_none(), "byte {position}");
        }

        let body = token.split('.').nth(1).expect("a body");
        let claims: serde_json::Value =
            serde_json::from_slice(&BASE64URL_NOPAD.decode(body.as_bytes()).expect("base64")).expect("JSON");
        let none = format!("{}.{body}.", BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"at+jwt"}"#));
        let hmac = {
            let header = Header { typ: Some(ACCESS_TOKEN.to_owned()), ..Header::new(Algorithm::HS256) };
            let public = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).expect("a pair");
            let key = EncodingKey::from_secret(public.public_key().as_ref());
            jsonwebtoken::encode(&header, &claims, &key).expect("signed with the public key")
        };
        let other_kind = {
            let header = Header { typ: Some("JWT".to_owned()), ..Header::new(Algorithm::EdDSA) };
            jsonwebtoken::encode(&header, &claims, &tokens.sign).expect("signed")
        };
        for forged in [none.as_str(), &hmac, &other_kind, "", ".", "..", "a.b.c", &"x".repeat(100_000)] {
            assert_eq!(tokens.read_access(&main, forged, at(0)), None, "{forged:.60}");
        }
    }

    #[test]
    fn a_refresh_token_comes_back_whole_or_not_at_all() {
        let (tokens, main) = (tokens(1), TenantId::main());
        let token = RefreshToken { session: access().session, counter: 7 };
        let text = tokens.refresh(&main, token);

        assert_eq!(tokens.read_refresh(&main, &text), Some(token));
        let bytes =
            BASE64URL_NOPAD.decode(text.strip_prefix(REFRESH_PREFIX).expect("ours").as_bytes()).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("{REFRESH_PREFIX}{}", BASE64URL_NOPAD.encode(&forged));
            assert_eq!(tokens.read_refresh(&main, &forged), None, "bit {bit}");
        }
        assert_eq!(tokens.read_refresh(&"other".parse().expect("a name"), &text), None);
    }

    /// What opens one door must not open another.
    #[test]
    fn kinds_of_tokens_do_not_stand_in_for_each_other() {
        let (tokens, main, access) = (tokens(1), TenantId::main(), access());
        let signed = tokens.access(&main, access, at(0)).expect("signed");
        let refresh = tokens.refresh(&main, RefreshToken { session: access.session, counter: 1 });

        assert_eq!(tokens.read_access(&main, &refresh, at(0)), None);
        assert_eq!(tokens.read_refresh(&main, &signed), None);
        assert_eq!(at(0).plus(Duration::from_secs(900)), access.expires_at);
    }
}
