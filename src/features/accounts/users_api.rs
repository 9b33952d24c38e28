//! The endpoints with which some people decide what others may.
use poem_openapi::param::{Header, Path};
use poem_openapi::payload::Json;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::{Map, json};

use super::error::Error;
use super::fields::{self, JudgeFields};
use super::gate::Gate;
use super::model::{RoleChange, USERS_WRITE, User, UserPatch};
use super::{pending_store, store};
use crate::base::text::normalize_name;
use crate::base::{Clock, Timestamp, UserId};
use crate::db::{Db, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::features::events;
use crate::features::roles::{self, RoleName};
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Fault, Input, Problem};

/// The endpoints of other people's accounts, with what they need.
#[derive(Clone, Debug)]
pub struct UsersApi {
    pub db: Db,
    pub clock: Clock,
    pub gate: Gate,
    pub fields: JudgeFields,
}

#[derive(ApiResponse)]
enum Changed {
    /// The account as it is now.
    #[oai(status = 200)]
    User(Json<User>, #[oai(header = "ETag")] String),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl UsersApi {
    /// Change an account
    ///
    /// What is absent stays. An account that is disabled cannot sign in, which is told nobody, and all its sessions and
    /// live connections end at once. Nobody changes the account of someone who may more than they do.
    #[oai(path = "/admin/users/:id", method = "patch", operation_id = "update_user")]
    async fn update(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
        /// The `ETag` of the account that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<UserPatch>,
    ) -> Result<Changed, Problem> {
        caller.must(USERS_WRITE)?;

        let UserPatch { name, tier, disabled } = body.read()?;
        let name = match name {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(String::new()),
            MaybeUndefined::Value(name) => {
                let name = normalize_name(&name);
                Some(name.map_err(|why| Error::Invalid(vec![Fault::new("/name", "name", why)]))?)
            }
        };
        let now = self.clock.now();
        let change = move |_: &mut Tx<'_>, user: &mut User| {
            if let Some(name) = &name {
                user.name.clone_from(name);
            }
            match &tier {
                MaybeUndefined::Undefined => {}
                MaybeUndefined::Null => user.tier = None,
                MaybeUndefined::Value(tier) => user.tier = Some(tier.clone()),
            }
            match disabled {
                Some(true) => user.disabled_at = user.disabled_at.or(Some(now)),
                Some(false) => user.disabled_at = None,
                None => {}
            }
            Ok(())
        };

        let id: UserId = id.0.parse().map_err(|_| Error::NotFound)?;
        let user = self.change(&caller, &trail, id, if_match.0.as_deref(), Action::UserChange, change).await?;

        let tag = etag::of_version(user.version);
        Ok(Changed::User(Json(user), tag))
    }

    /// Give an account another role
    ///
    /// It is felt with the next request, and live connections end within a moment. The role lets someone try no more
    /// than whoever gives it may, and nobody changes the account of someone who may more than they do.
    #[oai(path = "/admin/users/:id/role", method = "patch", operation_id = "set_user_role")]
    async fn set_role(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
        /// The `ETag` of the account that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<RoleChange>,
    ) -> Result<Changed, Problem> {
        caller.must(USERS_WRITE)?;

        let RoleChange { role } = body.read()?;
        let change = move |_: &mut Tx<'_>, user: &mut User| {
            user.role = role.clone();
            Ok(())
        };

        let id: UserId = id.0.parse().map_err(|_| Error::NotFound)?;
        let user = self.change(&caller, &trail, id, if_match.0.as_deref(), Action::UserChange, change).await?;

        let tag = etag::of_version(user.version);
        Ok(Changed::User(Json(user), tag))
    }
}

impl UsersApi {
    /// Changes an account in one transaction, and has it felt. What is as it was before is not written.
    pub(super) async fn change(
        &self,
        caller: &Caller,
        trail: &Trail,
        id: UserId,
        if_match: Option<&str>,
        action: Action,
        change: impl Fn(&mut Tx<'_>, &mut User) -> Result<(), Error> + Send + 'static,
    ) -> Result<User, Problem> {
        let (expected, now) = (IfMatch::parse(if_match)?, self.clock.now());
        let (changer, actor) = (caller.clone(), trail.of(caller));
        let (user, is_felt) = self
            .db
            .write(caller.tenant(), move |tx| {
                let old = store::find_user(tx, id)?.ok_or(Error::NotFound)?;
                if !expected.allows(old.version) {
                    return Err(Error::Stale);
                }
                must_hold_role(tx, &changer, &old.role)?;
                let mut new = old.clone();
                change(tx, &mut new)?;
                if new == old {
                    return Ok((old, false));
                }
                new = User { version: old.version + 1, updated_at: now, ..new };
                if new.role != old.role {
                    must_be_given(tx, &changer, &new.role)?;
                }
                if (new.role != old.role || new.tier != old.tier) && pending_store::is_pending(tx, id)? {
                    return Err(Error::StillPending);
                }
                store::set_standing(tx, &new)?;
                if new.fields != old.fields {
                    fields::set(tx, id, new.fields.as_ref())?;
                }
                actor.append(tx, now, &about_change(action, &old, &new))?;
                must_leave_an_admin(tx, &old)?;
                let is_felt = felt(tx, &old, &new, now)?;
                Ok((store::find_user(tx, id)?.ok_or(Error::NotFound)?, is_felt))
            })
            .await?;
        if is_felt {
            self.gate.forget_user(id);
        }
        Ok(user)
    }
}

/// The entry in the audit trail about a change of an account: what differs.
fn about_change(action: Action, old: &User, new: &User) -> Entry {
    let standing = |it: &User| {
        let (tier, disabled_at) = (it.tier.clone(), it.disabled_at.map(|at| at.to_string()));
        [
            ("name", json!(it.name)),
            ("tier", json!(tier)),
            ("disabledAt", json!(disabled_at)),
            ("role", json!(it.role.as_str())),
            ("fields", json!(it.fields.as_ref().map(|it| &it.0))),
        ]
    };
    let differs = standing(old).into_iter().zip(standing(new)).filter(|(before, after)| before != after);
    let (before, after): (Map<_, _>, Map<_, _>) =
        differs.map(|((name, before), (_, after))| ((name.to_owned(), before), (name.to_owned(), after))).unzip();
    Entry::new(action).about("user", &old.id).before(before.into()).after(after.into())
}

/// Refuses to go on if the account was an admin's, and there is none any more. Asked after the change and in its own
/// transaction, so that of two admins who demote each other one stays.
pub(super) fn must_leave_an_admin(tx: &mut Tx<'_>, old: &User) -> Result<(), Error> {
    let was_admin = old.role.is_admin() && old.disabled_at.is_none();
    if was_admin && store::count_admins(tx)? == 0 { Err(Error::LastAdmin) } else { Ok(()) }
}

/// Refuses whoever may not all that a role lets people try. One that was dropped lets nobody try anything.
pub(super) fn must_hold_role(tx: &mut Tx<'_>, caller: &Caller, role: &RoleName) -> Result<(), Error> {
    match roles::permissions_of(tx, role)? {
        Some(may) => Ok(roles::must_hold(caller, &may)?),
        None => Ok(()),
    }
}

/// Refuses a role that there is none of, and one that lets someone try more than `giver` may.
pub(super) fn must_be_given(tx: &mut Tx<'_>, giver: &Caller, role: &RoleName) -> Result<(), Error> {
    let Some(given) = roles::permissions_of(tx, role)? else {
        let detail = "is no role; `GET /api/v1/admin/roles` lists them";
        return Err(Error::Invalid(vec![Fault::new("/role", "unknown", detail)]));
    };
    Ok(roles::must_hold(giver, &given)?)
}

/// Has a change felt by sessions and live connections, and tells whether there was something to feel.
fn felt(tx: &mut Tx<'_>, old: &User, new: &User, now: Timestamp) -> Result<bool, Error> {
    if old.disabled_at.is_none() && new.disabled_at.is_some() {
        store::delete_sessions_of(tx, old.id, now)?;
        return Ok(true);
    }
    let is_felt = old.role != new.role || old.tier != new.tier;
    if is_felt {
        events::append_about_accounts(tx, now)?;
    }
    Ok(is_felt)
}
