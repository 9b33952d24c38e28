//! From the secret of a key to a caller, for every request.
//!
//! As with tokens, what was verified once is remembered by its digest and asked again after a few seconds. Whatever ends
//! a key, or changes what its owner may, has the gate of tokens count that something was forgotten: what was remembered
//! before that is asked again at once.
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ipnet::IpNet;

use super::credits::{Balances, Credits, Given};
use super::error::Error;
use super::limits::{Called, Limits};
use super::model::{ApiKey, State};
use super::store::{self, Found};
use super::usage::Usage;
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
    balances: Balances,
    known: Arc<RwLock<HashMap<(TenantId, String), Known>>>,
}

/// One that was let in.
#[derive(Debug)]
pub(super) struct LetIn {
    pub caller: Caller,
    pub key: ApiKeyId,
    /// What is left of the limits of its key, and of its credits.
    pub allowances: Vec<Allowance>,
    pub credits: Option<Credits>,
}

/// What somebody comes with who wants to be let in.
#[derive(Debug)]
pub(super) struct Shows<'a> {
    pub secret: &'a str,
    /// From where; not asked, if absent.
    pub address: Option<ClientAddress>,
    /// Whether it reads alone; if that is not known, all limits count.
    pub is_read: Option<bool>,
    /// How many credits it costs.
    pub cost: u64,
}

/// A key that works, as it was when it was last asked for.
#[derive(Clone, Debug)]
struct Known {
    caller: Caller,
    id: ApiKeyId,
    networks: Arc<[IpNet]>,
    limits: Limits,
    credits: Option<Given>,
    seen_at: Timestamp,
    forgotten: u64,
}

impl KeyGate {
    pub fn new(db: Db, kv: Kv, clock: Clock, gate: Gate, usage: &Usage) -> Self {
        Self { db, kv, clock, gate, balances: usage.balances.clone(), known: Arc::default() }
    }

    /// Whom a key lets in, and what is left of its own limits. It costs one credit.
    pub async fn caller(
        &self,
        tenant: &TenantId,
        presented: &str,
        address: ClientAddress,
        is_read: bool,
    ) -> Result<(Caller, Vec<Allowance>), Error> {
        let shows = Shows { secret: presented, address: Some(address), is_read: Some(is_read), cost: 1 };
        let LetIn { caller, allowances, .. } = self.let_in(tenant, shows, |_| Ok(())).await?;
        Ok((caller, allowances))
    }

    /// Lets somebody in who may what `must` asks. The checks come in the order in which they tell least, and nothing is
    /// counted for who fails one.
    pub(super) async fn let_in(
        &self,
        tenant: &TenantId,
        shows: Shows<'_>,
        must: impl FnOnce(&Caller) -> Result<(), Error>,
    ) -> Result<LetIn, Error> {
        if !secret::is_sound(shows.secret) {
            return Err(Error::Mistyped);
        }
        let now = self.clock.now();
        let known = self.known(tenant, secret::kept(shows.secret), now).await?;
        if known.caller.principal().until.is_some_and(|it| it <= now) {
            return Err(Error::Expired);
        }
        if shows.address.is_some_and(|it| !networks::contain(&known.networks, it.0)) {
            return Err(Error::Elsewhere);
        }
        must(&known.caller)?;
        let spend = |given: &Given| {
            let spent = self.balances.spend(known.id, given, shows.cost, now);
            spent.map_err(|refills_at| Error::Exhausted { refills_at })
        };
        let credits = known.credits.as_ref().map(spend).transpose()?;
        let owner = known.caller.user_id();
        let called = Called { tenant, key: known.id, owner, is_read: shows.is_read };
        let allowances = known.limits.count(&self.kv, called, now).inspect_err(|_| {
            if let Some(given) = &known.credits {
                self.balances.give_back(known.id, given, shows.cost);
            }
        })?;
        Ok(LetIn { caller: known.caller, key: known.id, allowances, credits })
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
            must_work(&found, &digest, now)?;
            match self.balances.shown(found.key.clone(), now) {
                it if it.state == State::Exhausted => {
                    Err(Error::Exhausted { refills_at: it.credits.and_then(|it| it.refills_at) })
                }
                _ => Ok(caller(tenant, &found, &digest)),
            }
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
            limits: Limits::of(found.key.rate_limit, &found.key.rate_limits),
            credits: Given::of(&found.key),
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
}

fn must_work(found: &Found, digest: &str, now: Timestamp) -> Result<(), Error> {
    match found.key.state_at(now) {
        State::Revoked => return Err(Error::Unknown),
        State::Disabled => return Err(Error::Disabled),
        State::Expired => return Err(Error::Expired),
        // What is left is asked where it is spent, and may be more than the file says by now.
        State::Active | State::Exhausted => {}
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

/// What a connection remembers of the secret that it was opened with, and of the networks that it could come from: enough
/// to tell two apart, and no more.
fn mark(digest: &str, key: &ApiKey) -> u64 {
    let of_secret = digest.get(..16).and_then(|it| u64::from_str_radix(it, 16).ok()).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    key.allowed_ips.hash(&mut hasher);
    of_secret ^ hasher.finish()
}

fn caller(tenant: &TenantId, found: &Found, digest: &str) -> Caller {
    let Found { key, owner, .. } = found;
    Caller::new(Principal {
        tenant: tenant.clone(),
        subject: Subject::Key { id: key.id, owner: owner.as_ref().map(|it| it.id), secret: mark(digest, key) },
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
    let Some(digest) = found.digests.iter().flatten().find(|it| mark(it, &found.key) == secret) else {
        return Ok(false);
    };
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
        let keys = KeyGate::new(db, Kv::in_memory(), clock, gate, &Usage::default());
        let (main, nowhere) = (TenantId::main(), ClientAddress(None));
        let sound = secret::make(&Random::system());
        let mistyped = sound.reveal().replace("sk_live_", "sk_live_x");

        // Without the table every query fails.
        keys.db.create_tenant(&main)?;
        keys.db.write_alone(&main, |tx| tx.batch("DROP TABLE api_key_usage; DROP TABLE api_keys")).await?;
        let asked = keys.caller(&main, sound.reveal(), nowhere, true).await;
        let refused = keys.caller(&main, &mistyped, nowhere, true).await;

        assert!(matches!(asked, Err(Error::Db(_))), "{asked:?}");
        assert!(matches!(refused, Err(Error::Mistyped)), "{refused:?}");
        Ok(())
    }
}
