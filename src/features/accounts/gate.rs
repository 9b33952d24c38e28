//! From an access token to a caller, for every request.
//!
//! A token that was verified once is remembered by its digest until it expires, so that
//! a request costs a look-up, not a signature. What ends a session calls
//! [`Gate::forget_session`] or [`Gate::forget_user`] after its commit. A request that is
//! given up between the two never does, so the session is asked for again every few seconds.
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};

use super::error::Error;
use super::model::RECORDS_READ;
use super::refresh::session_end;
use super::store::{self, Owner};
use super::token::{Access, Tokens};
use crate::base::text::chain;
use crate::base::{Clock, SessionId, TenantId, Timestamp, UserId};
use crate::config::{AccountsConfig, View};
use crate::db::{self, Db, Tx};
use crate::features::roles::{self, RoleName};
use crate::http::caller::Shown;
use crate::http::{Caller, Permissions, Principal, Subject};

/// How long a session is believed to live on without being asked for: what ends it is felt within this time.
const BELIEVED_FOR: Duration = Duration::from_secs(5);
/// How long a session with a cookie was not used, as far as the database knows, before that is noted: not at each request.
const NOTED_AFTER: Duration = Duration::from_secs(300);
/// Most tokens remembered in one half of the map: some 200 bytes each.
const REMEMBERED_MAX: usize = 50_000;

/// Checks access tokens. Cheap to clone; clones share what they remember.
#[derive(Clone, Debug)]
pub struct Gate {
    db: Db,
    clock: Clock,
    config: View<AccountsConfig>,
    tokens: Arc<Tokens>,
    seen: Arc<RwLock<Seen>>,
}

type Digest = [u8; 32];

/// Verified tokens in two halves: when the young one is full it becomes the old one, and
/// what was in the old one is verified again if it comes back. So memory is bounded, and
/// tokens in use stay.
#[derive(Debug, Default)]
struct Seen {
    young: HashMap<Digest, Verified>,
    old: HashMap<Digest, Verified>,
    /// Someone who did not sign in, and when it was last asked what they may try.
    stranger: Option<(Caller, Timestamp)>,
    /// Counts what was forgotten. A token that was being verified meanwhile is not remembered.
    forgotten: u64,
}

#[derive(Clone, Debug)]
struct Verified {
    caller: Caller,
    access: Access,
    /// When its session was last seen to live.
    seen_at: Timestamp,
}

/// What is remembered of a token, or a cookie.
enum Memory {
    Caller(Caller),
    /// It is genuine; whether its session still lives must be asked.
    Genuine(Access, Shown),
    Nothing,
}

/// Whether a caller is still who they were when their request began: for answers that take long.
pub fn still_stands(tx: &mut Tx<'_>, caller: &Caller, now: Timestamp) -> Result<bool, db::Error> {
    let principal = caller.principal();
    if !caller.is_believed() {
        return Ok(false);
    }
    match caller.subject() {
        Subject::Operator => Ok(true),
        Subject::Stranger => Ok(of_strangers(tx)? == principal.permissions),
        // Of keys, which come later, nothing is known here.
        Subject::Key { .. } => Ok(false),
        Subject::User { id, session } => {
            let owner = store::find_session_owner(tx, *session, *id, now)?;
            Ok(owner.is_some_and(|it| {
                it.role.as_str() == principal.role
                    && it.permissions == principal.permissions
                    && it.tier == principal.tier
            }))
        }
    }
}

impl Gate {
    pub fn new(db: Db, clock: Clock, config: View<AccountsConfig>, tokens: Arc<Tokens>) -> Self {
        Self { db, clock, config, tokens, seen: Arc::default() }
    }

    /// Whose token it is, if it is genuine and its session lives.
    pub async fn caller(&self, tenant: &TenantId, token: &str) -> Result<Caller, Error> {
        let now = self.clock.now();
        let key = key(tenant, "token", token);
        let (memory, forgotten) = self.look_up(&key, now);
        let (access, shown) = match memory {
            Memory::Caller(caller) => return Ok(caller),
            Memory::Genuine(access, shown) => (access, shown),
            Memory::Nothing => {
                let (access, trust) = self.tokens.read_access(tenant, token, now).ok_or(Error::TokenInvalid)?;
                (access, Shown::Token(trust))
            }
        };
        let (user, session) = (access.user, access.session);
        let owner = self.db.get(tenant, move |tx| store::find_session_owner(tx, session, user, now)).await;
        let owner = owner.map_err(Error::Db)?.filter(|it| !it.is_cookie).ok_or(Error::TokenInvalid)?;
        let caller = someone(tenant, access, owner, shown);
        self.remember(key, Verified { caller: caller.clone(), access, seen_at: now }, forgotten);
        Ok(caller)
    }

    /// Whose cookie it is, if it is genuine and its session lives. That it was used is noted now and then.
    pub async fn caller_of_cookie(&self, tenant: &TenantId, cookie: &str) -> Result<Caller, Error> {
        let now = self.clock.now();
        let key = key(tenant, "cookie", cookie);
        let (memory, forgotten) = self.look_up(&key, now);
        if let Memory::Caller(caller) = memory {
            return Ok(caller);
        }
        let id = self.tokens.read_cookie(tenant, cookie).ok_or(Error::TokenInvalid)?;
        let find = move |tx: &mut Tx<'_>| {
            let session = store::find_live_session(tx, id, now)?.filter(|it| it.is_cookie);
            let Some(session) = session else { return Ok(None) };
            let owner = store::find_session_owner(tx, id, session.user_id, now)?;
            Ok::<_, db::Error>(owner.map(|it| (session, it)))
        };
        let (session, owner) = self.db.get(tenant, find).await?.ok_or(Error::TokenInvalid)?;
        let mut expires_at = session.expires_at;
        if session.refreshed_at.plus(NOTED_AFTER) <= now {
            expires_at = session_end(&self.config.get(), session.created_at, now);
            let note = move |tx: &mut Tx<'_>| store::touch_session(tx, id, now, expires_at);
            if let Err(cause) = self.db.free(tenant, note).await {
                // Whoever asks is let in all the same, and it is noted with a later request.
                tracing::warn!(cause = %chain(&cause), "cannot note that a session was used");
                expires_at = session.expires_at;
            }
        }
        let access = Access { user: session.user_id, session: id, expires_at };
        let caller = someone(tenant, access, owner, Shown::Cookie);
        self.remember(key, Verified { caller: caller.clone(), access, seen_at: now }, forgotten);
        Ok(caller)
    }

    /// Who someone would be if they signed in now: to find out what they may. Nothing, if there is no such account; nobody,
    /// if it is disabled.
    pub async fn stand_in(&self, tenant: &TenantId, id: UserId) -> Result<Option<Option<Caller>>, Error> {
        let found = self
            .db
            .get(tenant, move |tx| {
                let Some(user) = store::find_user(tx, id)? else { return Ok(None) };
                Ok::<_, Error>(Some((user, roles::permissions_of_user(tx, id)?)))
            })
            .await?;
        let session = SessionId::from_uuid(uuid::Uuid::nil());
        Ok(found.map(|(user, permissions)| {
            let permissions = permissions?;
            Some(Caller::new(Principal {
                tenant: tenant.clone(),
                subject: Subject::User { id, session },
                role: user.role.as_str().to_owned(),
                email: user.email,
                email_verified: user.email_verified,
                tier: user.tier,
                permissions,
                until: None,
                shown: Shown::Nothing,
                impersonator: None,
            }))
        }))
    }

    /// Someone who did not sign in, and may try what the rules of collections let anyone do.
    pub async fn stranger(&self, tenant: &TenantId) -> Result<Caller, Error> {
        let now = self.clock.now();
        let forgotten = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            let known = seen.stranger.as_ref().filter(|(it, seen_at)| it.tenant() == tenant && is_fresh(*seen_at, now));
            if let Some((caller, _)) = known {
                return Ok(caller.clone());
            }
            seen.forgotten
        };
        let caller = Caller::new(Principal {
            tenant: tenant.clone(),
            subject: Subject::Stranger,
            role: String::new(),
            email: String::new(),
            email_verified: false,
            tier: None,
            permissions: self.db.get(tenant, of_strangers).await?,
            until: None,
            shown: Shown::Nothing,
            impersonator: None,
        });
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.forgotten == forgotten {
            seen.stranger = Some((caller.clone(), now));
        }
        Ok(caller)
    }

    /// How often something was forgotten so far: who holds on to callers asks again whether they still stand.
    pub fn forgotten(&self) -> u64 {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).forgotten
    }

    /// What is remembered, and how often something was forgotten so far.
    fn look_up(&self, key: &Digest, now: Timestamp) -> (Memory, u64) {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let memory = match seen.young.get(key).or_else(|| seen.old.get(key)) {
            Some(it) if it.access.expires_at <= now || !it.caller.is_believed() => Memory::Nothing,
            Some(it) if is_fresh(it.seen_at, now) => Memory::Caller(it.caller.clone()),
            Some(it) => Memory::Genuine(it.access, it.caller.principal().shown.clone()),
            None => Memory::Nothing,
        };
        (memory, seen.forgotten)
    }

    fn remember(&self, key: Digest, verified: Verified, forgotten: u64) {
        // Whoever acts as somebody else is asked of each time: it ends with either of them.
        if verified.caller.impersonator().is_some() {
            return;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if seen.forgotten != forgotten {
            return;
        }
        if REMEMBERED_MAX <= seen.young.len() {
            seen.old = std::mem::take(&mut seen.young);
        }
        seen.young.insert(key, verified);
    }

    /// A session ended: its tokens stop working now.
    pub(super) fn forget_session(&self, ended: SessionId) {
        self.forget(|it| matches!(it.subject(), Subject::User { session, .. } if *session == ended));
    }

    /// What a role lets people try changed.
    pub fn forget_role(&self, role: &RoleName) {
        self.forget(|it| it.principal().role == role.as_str());
    }

    /// What some permissions are about may have changed: everyone is asked for anew.
    pub fn forget_all(&self) {
        self.forget(|_| true);
    }

    /// Something changed about keys: whoever remembers any asks again.
    pub fn forget_keys(&self) {
        self.forget(|_| false);
    }

    /// All sessions of someone ended, or what they may do changed.
    pub(super) fn forget_user(&self, user: UserId) {
        self.forget(|it| matches!(it.subject(), Subject::User { id, .. } if *id == user));
    }

    fn forget(&self, is_meant: impl Fn(&Caller) -> bool) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.forgotten += 1;
        seen.stranger = None;
        seen.young.retain(|_, it| !is_meant(&it.caller));
        seen.old.retain(|_, it| !is_meant(&it.caller));
    }
}

/// Someone in one of their sessions.
fn someone(tenant: &TenantId, access: Access, owner: Owner, shown: Shown) -> Caller {
    Caller::new(Principal {
        tenant: tenant.clone(),
        subject: Subject::User { id: access.user, session: access.session },
        role: owner.role.as_str().to_owned(),
        email: owner.email,
        email_verified: owner.email_verified,
        tier: owner.tier,
        permissions: owner.permissions,
        until: Some(access.expires_at),
        shown,
        impersonator: owner.impersonator,
    })
}

/// What someone may try who did not sign in: what the role `user` lets people do with records, but never past the rules.
fn of_strangers(tx: &mut Tx<'_>) -> Result<Permissions, db::Error> {
    let of_users = roles::permissions_of(tx, &RoleName::user())?;
    Ok(of_users.unwrap_or_else(Permissions::none).for_anyone(RECORDS_READ.resource()))
}

/// Whether what was seen then is still believed. A clock that was set back must not make anything last longer.
fn is_fresh(seen_at: Timestamp, now: Timestamp) -> bool {
    seen_at <= now && now < seen_at.plus(BELIEVED_FOR)
}

/// A digest, so that a look into this memory finds no token that works. Of its kind, so that none stands in for another.
fn key(tenant: &TenantId, kind: &str, token: &str) -> Digest {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, [tenant.as_str(), "\0", kind, "\0", token].concat().as_bytes()).as_ref());
    key
}
