//! Tokens: a signed one to show with each request, and one to get the next.
//!
//! An access token is a JWT (RFC 7519, RFC 9068) signed with Ed25519, by one of the [`SigningKeys`]. The algorithm is
//! pinned; `kid` picks among our own keys; `jku`, `jwk` and `x5u` of a token are never looked at.
//!
//! A refresh token is a session's id and a counter with an HMAC over both. Nothing of
//! it is stored but the counter, so a stolen copy of the accounts opens no session.
//!
//! A cookie is a session's id with an HMAC of another key. What it is worth is for the session to say.
use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, Validation};
use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::base::{Id, SessionId, TenantId, Timestamp, UserId};
use crate::features::server_keys::ServerKey;
use crate::features::signing_keys::SigningKeys;
use crate::http::caller::Trust;
use crate::http::cookie::{PREFIX as COOKIE_PREFIX, VALUE_BYTES as COOKIE_BYTES};

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
    keys: SigningKeys,
    validation: Validation,
    refresh: hmac::Key,
    cookie: hmac::Key,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Tokens")
    }
}

impl Tokens {
    pub fn new(keys: SigningKeys, refresh: &ServerKey, cookie: &ServerKey) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[AUDIENCE]);
        // The expiry is compared with our own clock, in `read_access`.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        Self {
            keys,
            validation,
            refresh: hmac::Key::new(hmac::HMAC_SHA256, refresh.reveal()),
            cookie: hmac::Key::new(hmac::HMAC_SHA256, cookie.reveal()),
        }
    }

    /// `issuer` is the address of this server, where others find the keys to verify the token with.
    pub(super) fn access(
        &self,
        issuer: String,
        tenant: &TenantId,
        access: Access,
        now: Timestamp,
    ) -> Result<String, Error> {
        self.signed_access(issuer, tenant, access, None, now)
    }

    /// A token with which `actor` acts as somebody else.
    pub(super) fn access_of_actor(
        &self,
        issuer: String,
        tenant: &TenantId,
        access: Access,
        actor: UserId,
        now: Timestamp,
    ) -> Result<String, Error> {
        self.signed_access(issuer, tenant, access, Some(Act { sub: actor.to_string() }), now)
    }

    fn signed_access(
        &self,
        issuer: String,
        tenant: &TenantId,
        access: Access,
        act: Option<Act>,
        now: Timestamp,
    ) -> Result<String, Error> {
        let claims = Claims {
            iss: issuer,
            aud: AUDIENCE.to_owned(),
            sub: access.user.to_string(),
            sid: access.session.to_string(),
            tid: tenant.to_string(),
            iat: now.seconds(),
            exp: access.expires_at.seconds(),
            act,
        };
        self.keys.sign(ACCESS_TOKEN, &claims).map_err(Error::Sign)
    }

    /// Reads an access token that we signed, for this tenant, and that has not expired.
    ///
    /// Its issuer is not compared: whoever has our key is us, and our address may have been another a minute ago.
    pub(super) fn read_access(&self, tenant: &TenantId, token: &str, now: Timestamp) -> Option<(Access, Trust)> {
        let (claims, trust) = self.keys.read::<Claims>(ACCESS_TOKEN, token, &self.validation, now)?;
        if claims.tid != tenant.as_str() || claims.exp <= now.seconds() {
            return None;
        }
        let access = Access {
            user: claims.sub.parse().ok()?,
            session: claims.sid.parse().ok()?,
            expires_at: Timestamp::from_millis(claims.exp.checked_mul(1_000)?),
        };
        Some((access, trust))
    }

    pub(super) fn cookie(&self, tenant: &TenantId, session: SessionId) -> String {
        let mut bytes = session.uuid().as_bytes().to_vec();
        bytes.extend(hmac::sign(&self.cookie, &signed("cookie", tenant, &bytes)).as_ref());
        format!("{COOKIE_PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Reads a cookie that we made for this tenant.
    pub(super) fn read_cookie(&self, tenant: &TenantId, cookie: &str) -> Option<SessionId> {
        let bytes = BASE64URL_NOPAD.decode(cookie.strip_prefix(COOKIE_PREFIX)?.as_bytes()).ok()?;
        let (session, tag) = bytes.split_at_checked(16).filter(|_| bytes.len() == COOKIE_BYTES)?;
        hmac::verify(&self.cookie, &signed("cookie", tenant, session), tag).ok()?;
        Some(Id::from_uuid(uuid::Uuid::from_slice(session).ok()?))
    }

    pub(super) fn refresh(&self, tenant: &TenantId, token: RefreshToken) -> String {
        let mut bytes = Vec::with_capacity(REFRESH_BYTES);
        bytes.extend(token.session.uuid().as_bytes());
        bytes.extend(token.counter.to_be_bytes());
        bytes.extend(hmac::sign(&self.refresh, &signed("refresh", tenant, &bytes)).as_ref());
        format!("{REFRESH_PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// Reads a refresh token that we made for this tenant. Whether it still counts is for the session to say.
    pub(super) fn read_refresh(&self, tenant: &TenantId, token: &str) -> Option<RefreshToken> {
        let bytes = BASE64URL_NOPAD.decode(token.strip_prefix(REFRESH_PREFIX)?.as_bytes()).ok()?;
        let (said, tag) = bytes.split_at_checked(24).filter(|_| bytes.len() == REFRESH_BYTES)?;
        hmac::verify(&self.refresh, &signed("refresh", tenant, said), tag).ok()?;
        let (session, counter) = said.split_at(16);
        Some(RefreshToken {
            session: Id::from_uuid(uuid::Uuid::from_slice(session).ok()?),
            counter: i64::from_be_bytes(counter.try_into().ok()?),
        })
    }
}

/// What the HMAC covers: the kind, and the tenant, so that a token is worth nothing elsewhere.
fn signed(kind: &str, tenant: &TenantId, said: &[u8]) -> Vec<u8> {
    [kind.as_bytes(), b"\0", tenant.as_str().as_bytes(), b"\0", said].concat()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::{Value, json};

    use super::*;
    use crate::base::{Clock, Random, Secret};
    use crate::db::Db;
    use crate::features::server_keys::{self, Purpose};

    /// What counting dice make the first key of.
    const SEED: [u8; 32] = {
        let mut seed = [0; 32];
        seed[31] = 1;
        seed
    };

    async fn tokens(seed: u8) -> Tokens {
        let (db, clock) = (Db::in_memory().expect("a database"), Clock::stopped_at(at(0)));
        let random = if seed == 1 { Random::counting() } else { Random::system() };
        let keys = SigningKeys::open(&db, &random, &clock).await.expect("keys");
        Tokens::new(keys, &Secret::new([seed; 32]), &Secret::new([seed; 32]))
    }

    fn access() -> Access {
        let (random, clock) = (Random::system(), Clock::stopped_at(at(0)));
        Access { user: random.id(&clock), session: random.id(&clock), expires_at: at(900_000) }
    }

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn signed_by(tokens: &Tokens, access: Access) -> String {
        tokens.access("https://api.example.com".to_owned(), &TenantId::main(), access, at(0)).expect("signed")
    }

    fn read(tokens: &Tokens, token: &str, now: i64) -> Option<Access> {
        tokens.read_access(&TenantId::main(), token, at(now)).map(|it| it.0)
    }

    fn part(token: &str, number: usize) -> Value {
        let part = token.split('.').nth(number).expect("a part");
        serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64")).expect("JSON")
    }

    #[tokio::test]
    async fn an_access_token_works_until_its_expiry_and_not_at_it() {
        let (tokens, access) = (tokens(1).await, access());
        let token = signed_by(&tokens, access);

        assert_eq!(read(&tokens, &token, 899_999), Some(access));
        assert_eq!(read(&tokens, &token, 900_000), None);
    }

    #[tokio::test]
    async fn a_token_of_another_server_or_tenant_is_nothing_here() {
        let (other, elsewhere) = ("other".parse().expect("a name"), tokens(2).await);
        let token = signed_by(&elsewhere, access());

        assert_eq!(read(&tokens(1).await, &token, 0), None);
        assert!(elsewhere.read_access(&other, &token, at(0)).is_none());
        let cookie = elsewhere.cookie(&other, access().session);
        assert_eq!(elsewhere.read_cookie(&TenantId::main(), &cookie), None);
    }

    /// Each byte of a token counts, and no other algorithm or kind passes.
    #[tokio::test]
    async fn a_forged_access_token_is_nothing() {
        let tokens = tokens(1).await;
        let token = signed_by(&tokens, access());
        for position in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            // The last character of a signature has bits that mean nothing; a decoder may ignore them.
            let is_same = forged.len() - 1 == position;
            assert!(is_same || read(&tokens, &forged, 0).is_none(), "byte {position}");
        }

        let body = token.split('.').nth(1).expect("a body");
        let claims = part(&token, 1);
        let kid = part(&token, 0)["kid"].as_str().map(ToOwned::to_owned);
        let none = format!("{}.{body}.", BASE64URL_NOPAD.encode(br#"{"alg":"none","typ":"at+jwt"}"#));
        let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a pair");
        let genuine = EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("a document").as_ref());
        let headed = |algorithm, typ: &str, kid: Option<String>, key: &EncodingKey| {
            let header = Header { typ: Some(typ.to_owned()), kid, ..Header::new(algorithm) };
            jsonwebtoken::encode(&header, &claims, key).expect("signed")
        };
        // With the very key: what is refused below is refused for its head alone.
        let same = headed(Algorithm::EdDSA, ACCESS_TOKEN, kid.clone(), &genuine);
        assert!(read(&tokens, &same, 0).is_some());
        let public = EncodingKey::from_secret(pair.public_key().as_ref());
        let hmac = headed(Algorithm::HS256, ACCESS_TOKEN, kid.clone(), &public);
        let other_kind = headed(Algorithm::EdDSA, "JWT", kid, &genuine);
        let unnamed = headed(Algorithm::EdDSA, ACCESS_TOKEN, None, &genuine);
        let misnamed = headed(Algorithm::EdDSA, ACCESS_TOKEN, Some("../../etc/passwd".to_owned()), &genuine);
        let forged =
            [none.as_str(), &hmac, &other_kind, &unnamed, &misnamed, "", ".", "..", "a.b.c", &"x".repeat(100_000)];
        for forged in forged {
            assert_eq!(read(&tokens, forged, 0), None, "{forged:.60}");
        }
    }

    /// An update of the server must not sign everybody out.
    #[tokio::test]
    async fn a_token_from_before_keys_had_names_works_until_it_expires() {
        let (db, clock, random) = (Db::in_memory().expect("a database"), Clock::stopped_at(at(0)), Random::system());
        let before = server_keys::load(&db, Purpose::AccessToken, &random, &clock).await.expect("a key");
        let keys = SigningKeys::open(&db, &random, &clock).await.expect("keys");
        let tokens = Tokens::new(keys, &Secret::new([1; 32]), &Secret::new([2; 32]));
        let access = access();
        let mut claims = part(&signed_by(&tokens, access), 1);
        claims["iss"] = "steading".into();
        let pair = Ed25519KeyPair::from_seed_unchecked(before.reveal()).expect("a pair");
        let key = EncodingKey::from_ed_der(pair.to_pkcs8v1().expect("a document").as_ref());
        let header = Header { typ: Some(ACCESS_TOKEN.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &key).expect("signed");

        assert_eq!(read(&tokens, &token, 899_999), Some(access));
        assert_eq!(read(&tokens, &token, 900_000), None);
    }

    /// Whoever verifies a token by a key that it brings along verifies nothing.
    #[tokio::test]
    async fn a_key_that_a_token_brings_along_is_not_used() {
        let tokens = tokens(1).await;
        let token = signed_by(&tokens, access());
        let (head, claims) = (part(&token, 0), part(&token, 1));
        let pair = Ed25519KeyPair::from_seed_unchecked(&[9; 32]).expect("a pair");
        let x = BASE64URL_NOPAD.encode(pair.public_key().as_ref());
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "alg": "EdDSA" });
        for (name, value) in [
            ("jwk", jwk),
            ("jku", json!("https://evil.example/jwks.json")),
            ("x5u", json!("https://evil.example/key.pem")),
            ("x5c", json!(["AAAA"])),
        ] {
            let mut head = head.clone();
            head[name] = value;
            let part = |it: &Value| BASE64URL_NOPAD.encode(it.to_string().as_bytes());
            let said = format!("{}.{}", part(&head), part(&claims));
            let forged = format!("{said}.{}", BASE64URL_NOPAD.encode(pair.sign(said.as_bytes()).as_ref()));
            assert_eq!(read(&tokens, &forged, 0), None, "{name}");
        }
    }

    #[tokio::test]
    async fn a_refresh_token_comes_back_whole_or_not_at_all() {
        let (tokens, main) = (tokens(1).await, TenantId::main());
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

    #[tokio::test]
    async fn a_cookie_comes_back_whole_or_not_at_all() {
        let (tokens, main, session) = (tokens(1).await, TenantId::main(), access().session);
        let text = tokens.cookie(&main, session);

        assert_eq!(tokens.read_cookie(&main, &text), Some(session));
        let bytes = BASE64URL_NOPAD.decode(text.strip_prefix(COOKIE_PREFIX).expect("ours").as_bytes()).expect("base64");
        for bit in 0..bytes.len() * 8 {
            let mut forged = bytes.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let forged = format!("{COOKIE_PREFIX}{}", BASE64URL_NOPAD.encode(&forged));
            assert_eq!(tokens.read_cookie(&main, &forged), None, "bit {bit}");
        }
    }

    /// What opens one door must not open another.
    #[tokio::test]
    async fn kinds_of_tokens_do_not_stand_in_for_each_other() {
        let (tokens, main, access) = (tokens(1).await, TenantId::main(), access());
        let signed = signed_by(&tokens, access);
        let refresh = tokens.refresh(&main, RefreshToken { session: access.session, counter: 1 });
        let cookie = tokens.cookie(&main, access.session);

        for other in [&refresh, &cookie] {
            assert_eq!(read(&tokens, other, 0), None);
        }
        for other in [&signed, &cookie, &cookie.replace(COOKIE_PREFIX, REFRESH_PREFIX)] {
            assert_eq!(tokens.read_refresh(&main, other), None);
        }
        for other in [&signed, &refresh, &refresh.replace(REFRESH_PREFIX, COOKIE_PREFIX)] {
            assert_eq!(tokens.read_cookie(&main, other), None);
        }
        assert_eq!(at(0).plus(Duration::from_secs(900)), access.expires_at);
    }
}
