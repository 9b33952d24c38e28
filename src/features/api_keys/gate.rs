//! From the secret of a key to a caller, for every request.
//!
//! As with tokens, what was verified once is remembered by its digest and asked again after a few seconds. Whatever ends
//! a key, or changes what its owner may, has the gate of tokens count that something was forgotten: what was remembered
//! before that is asked again at once.
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ipnet::IpNet;

use super::error::Error;
use super::model::{RateLimit, State};
use super::store::{self, Found};
use super::{networks, secret};
use crate::base::{ApiKeyId, Clock, TenantId, Timestamp};
use crate::db::{self, Db, Tx};
use crate::features::accounts::{self, Gate};
use crate::http::caller::Shown;
use crate::http::log::Allowance;
use crate::http::{Caller, ClientAddress, Principal, Subject};
use crate::kv::Kv;

/// How long a key is believed to work without being asked for.
const BELIEVED_FOR: Duration = Duration::from_secs(5);
/// Most keys remembered. When there are more, all are asked for again.
const REMEMBERED_MAX: usize = 20_000;
/// What stands for the role of a key that belongs to nobody.
const NO_ROLE: &str = "key";

/// Checks keys. Cheap to clone; clones share what they remember.
#[derive(Clone, Debug)]
pub struct KeyGate {
    pub db: Db,
    pub kv: Kv,
    pub clock: Clock,
    /// Counts what was forgotten.
    pub gate: Gate,
    known: Arc<RwLock<HashMap<(TenantId, String), Known>>>,
}

/// A key that works, as it was when it was last asked for.
#[derive(Clone, Debug)]
struct Known {
    caller: Caller,
    id: ApiKeyId,
    networks: Arc<[IpNet]>,
    limit: Option<RateLimit>,
    seen_at: Timestamp,
    forgotten: u64,
}

impl KeyGate {
    pub fn new(db: Db, kv: Kv, clock: Clock, gate: Gate) -> Self {
        Self { db, kv, clock, gate, known: Arc::default() }
    }

    /// Whom a key lets in, and what is left of its own limit. The checks come in the order in which they tell least.
    pub async fn caller(
        &self,
        tenant: &TenantId,
        presented: &str,
        address: ClientAddress,
    ) -> Result<(Caller, Option<Allowance>), Error> {
        if !secret::is_sound(presented) {
            return Err(Error::Mistyped);
        }
        let now = self.clock.now();
        let known = self.known(tenant, secret::kept(presented), now).await?;
        if known.caller.principal().until.is_some_and(|it| it <= now) {
            return Err(Error::Expired);
        }
        if !networks::contain(&known.networks, address.0) {
            return Err(Error::Elsewhere);
        }
        let allowance = known.limit.map(|limit| self.count(tenant, known.id, limit, now)).transpose()?;
        Ok((known.caller, allowance))
    }

    /// Keys are asked for anew: one of them ended, or lets a program do something else.
    pub fn forget(&self) {
        self.gate.forget_keys();
    }

    /// Whom a key would let in, if it worked from where its user is: to find out what they may. Nothing, if there is no
    /// such key.
    pub async fn stand_in(&self, tenant: &TenantId, id: ApiKeyId) -> Result<Option<Result<Caller, Error>>, Error> {
        let now = self.clock.now();
        let found = self.db.get(tenant, move |tx| store::find_with_owner(tx, id)).await?;
        Ok(found.map(|found| {
            let digest = found.digests[0].clone().unwrap_or_default();
            must_work(&found, &digest, now).map(|()| caller(tenant, &found, &digest))
        }))
    }

    async fn known(&self, tenant: &TenantId, digest: String, now: Timestamp) -> Result<Known, Error> {
        let forgotten = self.gate.forgotten();
        let place = (tenant.clone(), digest);
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&place)
            && known.forgotten == forgotten
            // A clock that was set back must not make anything last longer.
            && known.seen_at <= now
            && now < known.seen_at.plus(BELIEVED_FOR)
        {
            return Ok(known.clone());
        }
        let sought = place.1.clone();
        let found = self.db.get(tenant, move |tx| store::find_by_digest(tx, &sought)).await?;
        let found = found.ok_or(Error::Unknown)?;
        must_work(&found, &place.1, now)?;
        let known = Known {
            caller: caller(tenant, &found, &place.1),
            id: found.key.id,
            networks: found.key.networks().into(),
            limit: found.key.rate_limit,
            seen_at: now,
            forgotten,
        };
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if REMEMBERED_MAX <= all.len() {
            all.clear();
        }
        all.insert(place, known.clone());
        Ok(known)
    }

    /// Counts a call, and refuses it beyond the limit. It is counted first, so that fifty at once do not all see a free
    /// place.
    fn count(&self, tenant: &TenantId, id: ApiKeyId, limit: RateLimit, now: Timestamp) -> Result<Allowance, Error> {
        let RateLimit { limit, window_secs } = limit;
        let window = Duration::from_secs(window_secs.into());
        let counted = self.kv.count_up(&format!("key/{tenant}/{id}"), window, now);
        let wait = now.until(counted.resets_at);
        let allowance = Allowance {
            limit,
            left: limit.saturating_sub(counted.count),
            window_secs: window_secs.into(),
            resets_in_secs: wait.as_secs() + u64::from(0 < wait.subsec_nanos()),
        };
        if counted.count <= limit { Ok(allowance) } else { Err(Error::LimitSpent { allowance }) }
    }
}

fn must_work(found: &Found, digest: &str, now: Timestamp) -> Result<(), Error> {
    match found.key.state_at(now) {
        State::Revoked => return Err(Error::Unknown),
        State::Disabled => return Err(Error::Disabled),
        State::Expired => return Err(Error::Expired),
        State::Active => {}
    }
    if found.owner.as_ref().is_some_and(|it| it.is_disabled) {
        return Err(Error::Disabled);
    }
    // After its grace the secret before is none any more.
    if found.is_old(digest) && found.key.old_secret_until.is_none_or(|it| it <= now) {
        return Err(Error::Unknown);
    }
    Ok(())
}

/// What a connection remembers of the secret that it was opened with: enough to tell two apart, and no more.
fn mark(digest: &str) -> u64 {
    digest.get(..16).and_then(|it| u64::from_str_radix(it, 16).ok()).unwrap_or_default()
}

fn caller(tenant: &TenantId, found: &Found, digest: &str) -> Caller {
    let Found { key, owner, .. } = found;
    Caller::new(Principal {
        tenant: tenant.clone(),
        subject: Subject::Key { id: key.id, owner: owner.as_ref().map(|it| it.id), secret: mark(digest) },
        role: owner.as_ref().map_or_else(|| NO_ROLE.to_owned(), |it| it.role.clone()),
        email: owner.as_ref().map(|it| it.email.clone()).unwrap_or_default(),
        email_verified: owner.as_ref().is_some_and(|it| it.email_verified),
        tier: key.tier.clone().or_else(|| owner.as_ref().and_then(|it| it.tier.clone())),
        permissions: found.permissions(),
        until: found.until(digest),
        shown: Shown::Nothing,
        impersonator: None,
    })
}

/// Whether a caller is still who they were when their request began: for answers that take long.
pub fn still_stands(tx: &mut Tx<'_>, as_it_was: &Caller, now: Timestamp) -> Result<bool, db::Error> {
    let Subject::Key { id, secret, .. } = *as_it_was.subject() else {
        return accounts::still_stands(tx, as_it_was, now);
    };
    let Some(found) = store::find_with_owner(tx, id)? else { return Ok(false) };
    let Some(digest) = found.digests.iter().flatten().find(|it| mark(it) == secret) else { return Ok(false) };
    if must_work(&found, digest, now).is_err() {
        return Ok(false);
    }
    let (was, is) = (as_it_was.principal(), caller(as_it_was.tenant(), &found, digest));
    let is = is.principal();
    Ok(was.subject == is.subject && was.role == is.role && was.permissions == is.permissions && was.tier == is.tier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Random, Secret};
    use crate::config::{AccountsConfig, View};
    use crate::features::accounts::Tokens;
    use crate::features::signing_keys::SigningKeys;

    /// A flood of garbage must not reach the database.
    #[tokio::test]
    async fn a_key_that_was_mistyped_is_refused_without_a_query() -> Result<(), db::Error> {
        let (db, clock) = (Db::in_memory()?, Clock::stopped_at(Timestamp::from_millis(0)));
        let keys = SigningKeys::open(&db, &Random::system(), &clock).await.expect("keys");
        let tokens = Tokens::new(keys, &Secret::new([1; 32]), &Secret::new([2; 32]));
        let gate = Gate::new(db.clone(), clock.clone(), View::fixed(AccountsConfig::default()), Arc::new(tokens));
        let keys = KeyGate::new(db, Kv::in_memory(), clock, gate);
        let (main, nowhere) = (TenantId::main(), ClientAddress(None));
        let sound = secret::make(&Random::system());
        let mistyped = sound.reveal().replace("sk_live_", "sk_live_x");

        // Without the table every query fails.
        keys.db.create_tenant(&main)?;
        keys.db.write_alone(&main, |tx| tx.batch("DROP TABLE api_key_usage; DROP TABLE api_keys")).await?;
        let asked = keys.caller(&main, sound.reveal(), nowhere).await;
        let refused = keys.caller(&main, &mistyped, nowhere).await;

        assert!(matches!(asked, Err(Error::Db(_))), "{asked:?}");
        assert!(matches!(refused, Err(Error::Mistyped)), "{refused:?}");
        Ok(())
    }
}
