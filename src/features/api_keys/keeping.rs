//! Making, changing, rotating and revoking keys: the same for those who keep them for everyone, and for their owners.
use poem_openapi::types::Any;
use serde_json::{Map, Value, json};

use super::error::Error;
use super::gate::KeyGate;
use super::model::{ApiKey, NewApiKey, ShownApiKey, State, UsageReport, Used};
use super::store::{self, Found};
use super::usage::{Usage, day_of, day_text};
use super::{limits, networks, secret};
use crate::base::text::normal;
use crate::base::{ApiKeyId, Clock, JobId, Random, Timestamp, UserId};
use crate::db::{Db, Tx};
use crate::features::accounts::{self, Confirmed, USERS_WRITE};
use crate::features::audit::{Action, Actor, Entry};
use crate::features::{events, roles};
use crate::http::etag::IfMatch;
use crate::http::{Caller, Client, Fault, Permissions, Subject};

/// Most keys of one person that work or could: each is something to lose.
const OF_ONE_MAX: i64 = 20;
/// Most keys of nobody.
const OF_NOBODY_MAX: i64 = 1_000;
/// Most keys that were revoked and are still shown, of one person or of nobody.
const REVOKED_MAX: i64 = 200;
/// Longest metadata.
const METADATA_BYTES_MAX: usize = 4_096;
const DAYS_MAX: i64 = 400;
const DAYS: i64 = 30;
/// Most lines of one report.
const LINES_MAX: i64 = 10_000;

/// What keeping keys needs.
#[derive(Clone, Debug)]
pub struct Keeping {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub gate: KeyGate,
    pub usage: Usage,
}

/// Who asks for a secret, and with what.
pub(super) struct Asked {
    pub actor: Actor,
    pub client: Client,
    /// Whoever has a key of their own has shown who they are.
    pub confirmed: Option<Confirmed>,
}

impl Asked {
    /// Uses up what was shown for a key, and has its owner told.
    fn settle(&self, tx: &mut Tx<'_>, job: JobId, key: &ApiKey, is_new: bool, now: Timestamp) -> Result<(), Error> {
        if let Some(confirmed) = &self.confirmed {
            confirmed.use_up(tx)?;
        }
        if let Some(owner) = key.owner {
            accounts::tell_of_key(tx, job, owner, &key.name, is_new, &self.client, now)?;
        }
        Ok(())
    }
}

/// Refuses a key with an end, networks, a limit or credits, where it would make a key without, or free itself.
fn must_be_unbounded(tx: &mut Tx<'_>, caller: &Caller) -> Result<(), Error> {
    let Subject::Key { id, .. } = *caller.subject() else { return Ok(()) };
    let own = store::find(tx, id)?.ok_or(Error::NotFound)?;
    if own.is_bounded() { Err(Error::Bounded) } else { Ok(()) }
}

/// Rules go by tiers: a key's own is given by whoever gives them to people.
fn must_give_tiers(caller: &Caller) -> Result<(), Error> {
    if caller.may(USERS_WRITE) { Ok(()) } else { Err(Error::TierNotGiven) }
}

impl Keeping {
    pub(super) async fn make(&self, caller: &Caller, asked: Asked, new: NewApiKey) -> Result<ShownApiKey, Error> {
        let now = self.clock.now();
        let mut faults = Vec::new();
        let scopes = roles::read_permissions(&new.scopes, "/scopes").unwrap_or_else(|found| {
            faults.extend(found);
            Permissions::none()
        });
        let allowed_ips = checked_networks(&new.allowed_ips.unwrap_or_default(), &mut faults);
        let metadata = checked_metadata(new.metadata.unwrap_or_else(|| Any(json!({}))), &mut faults);
        if let Some(at) = new.expires_at {
            must_be_later(at, now, &mut faults);
        }
        let rate_limits = new.rate_limits.unwrap_or_default();
        limits::check(&rate_limits, new.owner.is_some(), &mut faults);
        if let Some(credits) = &new.credits {
            credits.check(true, &mut faults);
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        roles::must_hold(caller, &scopes)?;
        if new.tier.is_some() {
            must_give_tiers(caller)?;
        }
        let made = secret::make(&self.random);
        let mut key = ApiKey {
            id: self.random.id(&self.clock),
            name: normal(&new.name),
            description: normal(&new.description.unwrap_or_default()),
            hint: secret::hint(made.reveal()),
            state: State::Active,
            scopes: scopes.names(),
            owner: new.owner,
            created_by: caller.name(),
            allowed_ips,
            tier: new.tier,
            rate_limit: new.rate_limit,
            rate_limits,
            credits: None,
            metadata,
            created_at: now,
            updated_at: now,
            expires_at: new.expires_at,
            rotated_at: None,
            old_secret_until: None,
            last_used_at: None,
            revoked_at: None,
            version: 1,
            disabled_at: None,
            refilled_at: None,
            credits_grant: 0,
        };
        if let Some(credits) = &new.credits {
            credits.give(&mut key, now);
        }
        let (kept, maker) = (secret::kept(made.reveal()), caller.clone());
        let job: JobId = self.random.id(&self.clock);

        let key = self
            .db
            .write(caller.tenant(), move |tx| {
                must_be_unbounded(tx, &maker)?;
                if let Some(owner) = key.owner {
                    let Some(theirs) = roles::permissions_of_user(tx, owner)? else {
                        let detail = "is no account that works";
                        return Err(Error::Invalid(vec![Fault::new("/owner", "unknown", detail)]));
                    };
                    must_be_like(&maker, owner, &theirs)?;
                }
                let max = if key.owner.is_some() { OF_ONE_MAX } else { OF_NOBODY_MAX };
                if max <= store::count_live(tx, key.owner)? {
                    return Err(Error::TooMany { max });
                }
                store::delete_revoked(tx, key.owner, REVOKED_MAX)?;
                store::insert(tx, &key, &kept)?;
                asked.settle(tx, job, &key, true, now)?;
                asked.actor.append(tx, now, &about(Action::ApiKeyCreate, &key).after(told(&key)))?;
                Ok(key.clone())
            })
            .await?;

        Ok(ShownApiKey { key: self.shown(key, now), secret: made.reveal().clone() })
    }

    /// A key as it is at this moment.
    pub(super) fn shown(&self, key: ApiKey, now: Timestamp) -> ApiKey {
        self.usage.balances.shown(key, now)
    }

    /// A key; only one of `owner`'s, if that is said.
    pub(super) async fn find(&self, caller: &Caller, id: &str, owner: Option<UserId>) -> Result<ApiKey, Error> {
        let id = read_id(id)?;
        let found = self.db.get(caller.tenant(), move |tx| store::find(tx, id)).await?;
        let found = found.filter(|it| owner.is_none() || it.owner == owner).ok_or(Error::NotFound)?;
        Ok(self.shown(found, self.clock.now()))
    }

    /// All keys of someone.
    pub(super) async fn list_of(&self, caller: &Caller, owner: UserId) -> Result<Vec<ApiKey>, Error> {
        let most = (OF_ONE_MAX + REVOKED_MAX + 1).unsigned_abs();
        let keys = self.db.read(caller.tenant(), move |tx| store::page(tx, Some(owner), None, 0, most)).await?;
        let now = self.clock.now();
        Ok(keys.into_iter().map(|it| self.shown(it, now)).collect())
    }

    /// Changes a key that is not over, in one transaction, and has it felt.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        actor: Actor,
        id: &str,
        if_match: Option<&str>,
        change: impl Fn(&mut ApiKey) -> Result<(), Error> + Send + 'static,
    ) -> Result<ApiKey, crate::http::Problem> {
        let (id, expected, now) = (read_id(id)?, IfMatch::parse(if_match)?, self.clock.now());
        let (keeper, balances) = (caller.clone(), self.usage.balances.clone());
        let key = self
            .db
            .write(caller.tenant(), move |tx| {
                let found = to_keep(tx, &keeper, id, None, &expected)?;
                must_be_unbounded(tx, &keeper)?;
                let (before, tier, grant) = (told(&found.key), found.key.tier.clone(), found.key.credits_grant);
                let mut key = balances.shown(found.key, now);
                (key.version, key.updated_at) = (key.version + 1, now);
                // One that has expired may get another end; one that was revoked stays so.
                if key.state_at(now) == State::Revoked {
                    return Err(Error::Over);
                }
                change(&mut key)?;
                if key.tier.is_some() && key.tier != tier {
                    must_give_tiers(&keeper)?;
                }
                store::update(tx, &key)?;
                if key.credits_grant != grant {
                    store::give_credits(tx, &key)?;
                }
                actor.append(tx, now, &about(Action::ApiKeyChange, &key).before(before).after(told(&key)))?;
                events::append_about_accounts(tx, now)?;
                Ok(key)
            })
            .await
            .map_err(|it: Error| it)?;
        self.gate.forget();
        Ok(self.shown(key, now))
    }

    /// Gives a key another secret. The one before works for `grace_secs` more, never beyond the key's own end.
    pub(super) async fn rotate(
        &self,
        caller: &Caller,
        asked: Asked,
        id: &str,
        owner: Option<UserId>,
        if_match: Option<&str>,
        grace_secs: u32,
    ) -> Result<ShownApiKey, crate::http::Problem> {
        let (id, expected, now) = (read_id(id)?, IfMatch::parse(if_match)?, self.clock.now());
        let made = secret::make(&self.random);
        let (kept, hint, keeper) = (secret::kept(made.reveal()), secret::hint(made.reveal()), caller.clone());
        let grace = std::time::Duration::from_secs(grace_secs.into());
        let job: JobId = self.random.id(&self.clock);
        let key = self
            .db
            .write(caller.tenant(), move |tx| {
                let found = to_keep(tx, &keeper, id, owner, &expected)?;
                // Itself it may: it has its bounds afterwards too. The secret of another one would be without.
                if !matches!(keeper.subject(), Subject::Key { id: own, .. } if *own == id) {
                    must_be_unbounded(tx, &keeper)?;
                }
                if [State::Revoked, State::Expired].contains(&found.key.state_at(now)) {
                    return Err(Error::Over);
                }
                let end = now.plus(grace);
                let end = found.key.expires_at.map_or(end, |it| it.min(end));
                let old_until = (0 < grace_secs).then_some(end);
                let key = ApiKey {
                    hint: hint.clone(),
                    old_secret_until: old_until,
                    rotated_at: Some(now),
                    updated_at: now,
                    version: found.key.version + 1,
                    ..found.key
                };
                store::set_secret(tx, &key, &kept, old_until)?;
                let after = json!({ "oldSecretUntil": old_until.map(|it| it.to_string()) });
                asked.settle(tx, job, &key, false, now)?;
                asked.actor.append(tx, now, &about(Action::ApiKeyRotate, &key).after(after))?;
                events::append_about_accounts(tx, now)?;
                Ok(key)
            })
            .await
            .map_err(|it: Error| it)?;
        self.gate.forget();
        Ok(ShownApiKey { key: self.shown(key, now), secret: made.reveal().clone() })
    }

    /// Ends a key for good: one's own, or one that may no more than whoever ends it.
    pub(super) async fn revoke(
        &self,
        caller: &Caller,
        actor: Actor,
        id: &str,
        owner: Option<UserId>,
    ) -> Result<(), Error> {
        let (id, now, keeper) = (read_id(id)?, self.clock.now(), caller.clone());
        self.db
            // What takes rights away is done when the disk is nearly full too.
            .free(caller.tenant(), move |tx| {
                let key = match owner {
                    // Also one whose scopes their role does not have any more.
                    Some(_) => store::find(tx, id)?.filter(|it| it.owner == owner).ok_or(Error::NotFound)?,
                    None => to_keep(tx, &keeper, id, None, &IfMatch::Any)?.key,
                };
                actor.append(tx, now, &about(Action::ApiKeyRevoke, &key))?;
                let revoked_at = Some(key.revoked_at.unwrap_or(now));
                store::update(tx, &ApiKey { revoked_at, updated_at: now, version: key.version + 1, ..key })?;
                Ok::<_, Error>(events::append_about_accounts(tx, now)?)
            })
            .await?;
        self.gate.forget();
        Ok(())
    }

    pub(super) async fn usage(
        &self,
        caller: &Caller,
        id: &str,
        owner: Option<UserId>,
        days: i64,
    ) -> Result<UsageReport, Error> {
        let (id, now) = (read_id(id)?, self.clock.now());
        // What was counted a moment ago shall be there too; if it cannot be written, the rest is.
        if let Err(cause) = self.usage.flush(&self.db, caller.tenant(), now).await {
            tracing::debug!(cause = %crate::base::text::chain(&cause), "what keys were used for could not be written");
        }
        let since = day_of(now) - days + 1;
        let (key, lines) = self
            .db
            .read(caller.tenant(), move |tx| {
                let key = store::find(tx, id)?.filter(|it| owner.is_none() || it.owner == owner);
                let key = key.ok_or(Error::NotFound)?;
                Ok::<_, Error>((key, store::usage(tx, id, since, LINES_MAX)?))
            })
            .await?;
        let data: Vec<_> = lines.into_iter().map(|(day, used)| Used { day: day_text(day), ..used }).collect();
        let (calls, refused) = data.iter().fold((0, 0), |(all, of), it| (all + it.calls, of + it.refused));
        Ok(UsageReport { calls, refused, last_used_at: key.last_used_at, data })
    }
}

fn about(action: Action, key: &ApiKey) -> Entry {
    Entry::new(action).about("api-key", &key.id)
}

/// What the audit trail is told of a key.
fn told(key: &ApiKey) -> Value {
    json!({
        "name": key.name, "scopes": key.scopes, "owner": key.owner.map(|it| it.to_string()),
        "allowedIps": key.allowed_ips, "tier": key.tier, "rateLimit": key.rate_limit.map(|it| it.limit),
        "rateLimits": key.rate_limits.iter().map(|it| (it.name.clone(), it.limit.into())).collect::<Map<_, _>>(),
        "credits": key.credits.map(|it| it.remaining),
        "refill": key.credits.and_then(|it| it.refill).map(|it| json!({ "amount": it.amount, "interval": it.interval.name() })),
        "expiresAt": key.expires_at.map(|it| it.to_string()), "disabled": key.disabled_at.is_some(),
    })
}

/// A key that `keeper` is to change: they may at least as much as it lets a program try.
fn to_keep(
    tx: &mut Tx<'_>,
    keeper: &Caller,
    id: ApiKeyId,
    owner: Option<UserId>,
    expected: &IfMatch,
) -> Result<Found, Error> {
    let found = store::find_with_owner(tx, id)?.filter(|it| owner.is_none() || it.key.owner == owner);
    let found = found.ok_or(Error::NotFound)?;
    if !expected.allows(found.key.version) {
        return Err(Error::Stale);
    }
    roles::must_hold(keeper, &found.permissions())?;
    if let Some(owner) = &found.owner {
        must_be_like(keeper, owner.id, &owner.permissions)?;
    }
    Ok(found)
}

/// Refuses to let anyone act on behalf of an account that may more than they do. People themselves may.
fn must_be_like(caller: &Caller, owner: UserId, theirs: &Permissions) -> Result<(), Error> {
    let is_own = matches!(caller.subject(), Subject::User { id, .. } if *id == owner);
    if is_own { Ok(()) } else { Ok(roles::must_hold(caller, theirs)?) }
}

fn read_id(text: &str) -> Result<ApiKeyId, Error> {
    text.parse().map_err(|_| Error::NotFound)
}

/// How many days a report is about.
pub(super) fn read_days(text: Option<&str>) -> Result<i64, Error> {
    let Some(text) = text else { return Ok(DAYS) };
    let days = text.parse().ok().filter(|it| (1..=DAYS_MAX).contains(it));
    days.ok_or_else(|| {
        Error::Invalid(vec![Fault::new("?days", "range", format!("must be a whole number from 1 to {DAYS_MAX}"))])
    })
}

pub(super) fn checked_networks(sent: &[String], faults: &mut Vec<Fault>) -> Vec<String> {
    let mut checked = Vec::new();
    for (index, text) in sent.iter().enumerate() {
        match networks::read(text) {
            Ok(network) => checked.push(network.to_string()),
            Err(why) => faults.push(Fault::new(format!("/allowedIps/{index}"), "format", why)),
        }
    }
    checked
}

pub(super) fn checked_metadata(sent: Any<Value>, faults: &mut Vec<Fault>) -> Any<Value> {
    if !sent.0.is_object() {
        faults.push(Fault::new("/metadata", "type", "must be an object"));
    } else if METADATA_BYTES_MAX < sent.0.to_string().len() {
        faults.push(Fault::new("/metadata", "too-long", format!("must be at most {METADATA_BYTES_MAX} bytes of JSON")));
    }
    sent
}

pub(super) fn must_be_later(at: Timestamp, now: Timestamp, faults: &mut Vec<Fault>) {
    if at <= now {
        faults.push(Fault::new("/expiresAt", "range", "must be in the future"));
    }
}
