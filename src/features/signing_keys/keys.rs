//! The keys at hand: signing, verifying, and following what the database says.
use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

use super::error::Error;
use super::model::{Jwk, Kept, KeyState, SigningKey, thumbprint};
use super::store;
use crate::base::{Clock, Random, Secret, Timestamp};
use crate::db::Db;
use crate::features::server_keys::{self, Purpose};
use crate::http::caller::Trust;

/// The keys that access tokens are signed and verified with. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct SigningKeys(Arc<Parts>);

struct Parts {
    db: Db,
    held: ArcSwap<Vec<Key>>,
    /// Held from reading the database to knowing what it said, so that nobody knows an older state after a newer one.
    reading: Mutex<()>,
}

/// A key, ready for use.
struct Key {
    shown: SigningKey,
    signed_unnamed: bool,
    /// The public half (base64url).
    x: String,
    sign: EncodingKey,
    verify: DecodingKey,
    /// In what it signed. Ends with the key.
    trust: Trust,
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.held.load().iter().map(|it| &it.shown)).finish()
    }
}

impl SigningKeys {
    /// Reads the keys. A server that has none is given some; one that has a single key from before keeps signing with it.
    pub async fn open(db: &Db, random: &Random, clock: &Clock) -> Result<Self, Error> {
        let held = ArcSwap::default();
        let keys = Self(Arc::new(Parts { db: db.clone(), held, reading: Mutex::default() }));
        keys.reload().await?;
        // Looked for before they are made: a restart must not need room on a full disk.
        if keys.signing().is_ok() {
            return Ok(keys);
        }
        let now = clock.now();
        let fresh = [Kept::fresh(random, KeyState::Current, now)?, Kept::fresh(random, KeyState::Next, now)?];
        let make = move |tx: &mut crate::db::Tx<'_>| {
            let [current, next] = fresh.clone();
            let current = match server_keys::take(tx, Purpose::AccessToken)? {
                Some(seed) => Kept { signed_unnamed: true, ..Kept::of(seed, KeyState::Current, now)? },
                None => current,
            };
            store::insert(tx, &current)?;
            Ok::<_, Error>(store::insert(tx, &next)?)
        };
        db.write_system(make).await?;
        keys.reload().await?;
        Ok(keys)
    }

    /// Signs what a token of a kind says.
    pub fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<String, jsonwebtoken::errors::Error> {
        let held = self.0.held.load();
        let Some(key) = held.iter().find(|it| it.shown.state == KeyState::Current) else {
            return Err(jsonwebtoken::errors::ErrorKind::InvalidEddsaKey.into());
        };
        let (typ, kid) = (Some(kind.to_owned()), Some(key.shown.kid.clone()));
        jsonwebtoken::encode(&Header { typ, kid, ..Header::new(Algorithm::EdDSA) }, claims, &key.sign)
    }

    /// What a token of a kind says, if it is signed with one of these keys; and for how long that is to be believed.
    pub fn read<T: DeserializeOwned>(
        &self,
        kind: &str,
        token: &str,
        validation: &Validation,
        now: Timestamp,
    ) -> Option<(T, Trust)> {
        let named = jsonwebtoken::decode_header(token).ok()?.kid;
        let held = self.0.held.load();
        let key = held.iter().find(|it| it.is_meant(named.as_deref()) && it.verifies(now))?;
        let read = jsonwebtoken::decode::<T>(token, &key.verify, validation).ok()?;
        (read.header.typ.as_deref() == Some(kind)).then(|| (read.claims, key.trust.clone()))
    }

    /// The public halves, for whoever verifies.
    pub(super) fn published(&self, now: Timestamp) -> Vec<Jwk> {
        let held = self.0.held.load();
        let known = held.iter().filter(|it| it.shown.state == KeyState::Next || it.verifies(now));
        known.map(|it| Jwk::new(it.shown.kid.clone(), it.x.clone())).collect()
    }

    /// All keys, without their secrets.
    pub(super) fn list(&self) -> Vec<SigningKey> {
        self.0.held.load().iter().map(|it| it.shown.clone()).collect()
    }

    /// The key that signs.
    pub(super) fn signing(&self) -> Result<SigningKey, Error> {
        let held = self.0.held.load();
        let current = held.iter().find(|it| it.shown.state == KeyState::Current);
        current.map(|it| it.shown.clone()).ok_or(Error::Missing)
    }

    /// Learns what the database says. What was signed with a key that is gone ends.
    pub(super) async fn reload(&self) -> Result<(), Error> {
        let _turn = self.0.reading.lock().await;
        let kept = self.0.db.read_system(store::list).await?;
        let before = self.0.held.load_full();
        let same = |kid: &str| before.iter().find(|it| it.shown.kid == kid).map(|it| it.trust.clone());
        let keys = kept.into_iter().map(|it| {
            let trust = same(&it.key.kid).unwrap_or_default();
            Key::new(it, trust)
        });
        let keys = Arc::new(keys.collect::<Result<Vec<_>, _>>()?);
        self.0.held.store(Arc::clone(&keys));
        for gone in before.iter().filter(|it| keys.iter().all(|key| key.shown.kid != it.shown.kid)) {
            gone.trust.end();
        }
        Ok(())
    }
}

impl Key {
    fn new(kept: Kept, trust: Trust) -> Result<Self, Error> {
        let pair = pair(&kept.seed)?;
        let der = pair.to_pkcs8v1().map_err(|_| Error::Unusable)?;
        Ok(Self {
            shown: kept.key,
            signed_unnamed: kept.signed_unnamed,
            x: BASE64URL_NOPAD.encode(pair.public_key().as_ref()),
            sign: EncodingKey::from_ed_der(der.as_ref()),
            verify: DecodingKey::from_ed_der(pair.public_key().as_ref()),
            trust,
        })
    }

    /// Whether a token means this key that names one, or none.
    fn is_meant(&self, named: Option<&str>) -> bool {
        named.map_or(self.signed_unnamed, |kid| kid == self.shown.kid)
    }

    /// Whether what it signed counts. Nothing was signed with a key that is yet to come.
    fn verifies(&self, now: Timestamp) -> bool {
        match self.shown.state {
            KeyState::Next => false,
            KeyState::Current => true,
            KeyState::Retired => self.shown.verifies_until.is_some_and(|it| now < it),
        }
    }
}

impl Kept {
    pub(super) fn fresh(random: &Random, state: KeyState, now: Timestamp) -> Result<Self, Error> {
        Self::of(Secret::new(random.bytes::<32>()), state, now)
    }

    pub(super) fn of(seed: Secret<[u8; 32]>, state: KeyState, now: Timestamp) -> Result<Self, Error> {
        let kid = thumbprint(&BASE64URL_NOPAD.encode(pair(&seed)?.public_key().as_ref()));
        let signs_since = (state == KeyState::Current).then_some(now);
        let key = SigningKey { kid, state, created_at: now, signs_since, retired_at: None, verifies_until: None };
        Ok(Self { key, seed, signed_unnamed: false })
    }
}

fn pair(seed: &Secret<[u8; 32]>) -> Result<Ed25519KeyPair, Error> {
    Ed25519KeyPair::from_seed_unchecked(seed.reveal()).map_err(|_| Error::Unusable)
}
