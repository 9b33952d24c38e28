//! The endpoints of profiles: what is known of an account, what its owner may change of it, and how it goes and comes
//! back. They stand together since they share their paths.
use poem_openapi::param::{Header, Path};
use poem_openapi::payload::Json;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, OpenApi};

use super::api::checked_name;
use super::error::Error;
use super::fields::FieldsChange;
use super::model::{
    Farewell, ImpersonatedBy, NewProfile, OwnUser, ProfilePatch, USERS_ADMIN, USERS_READ, USERS_WRITE, User,
};
use super::second_factor_api::SecondFactorApi;
use super::users_api::UsersApi;
use super::{leaving, second_factor_store, store};
use crate::base::UserId;
use crate::db::Tx;
use crate::features::audit::{Action, Trail};
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Fault, Input, Permission, Problem, SentFrom, Subject};

/// The endpoints of profiles, with what they need.
#[derive(Clone, Debug)]
pub struct ProfilesApi {
    pub users: UsersApi,
    pub second_factors: SecondFactorApi,
}

#[derive(ApiResponse)]
enum Profile {
    /// The account as it is now.
    #[oai(status = 200)]
    User(Json<User>, #[oai(header = "ETag")] String),
}

impl From<User> for Profile {
    fn from(user: User) -> Self {
        let tag = etag::of_version(user.version);
        Self::User(Json(user), tag)
    }
}

#[derive(ApiResponse)]
enum OwnProfile {
    /// The caller's own account.
    #[oai(status = 200)]
    User(Json<OwnUser>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Done {
    /// It is done.
    #[oai(status = 204)]
    Done,
}

/// What becomes of a profile.
struct Change {
    /// Absent: it stays.
    name: Option<String>,
    fields: Option<FieldsChange>,
    /// What is wrong with what was sent, as far as that was seen without the account.
    faults: Vec<Fault>,
}

#[OpenApi(prefix_path = "/api/v1")]
impl ProfilesApi {
    /// Read one's own profile
    #[oai(path = "/auth/profile", method = "get", operation_id = "show_profile", tag = "Tag::Accounts")]
    async fn show_own(&self, caller: Caller, _query: NoQuery) -> Result<OwnProfile, Problem> {
        let (user, _) = caller.user_or_impersonator()?;

        let user = self.find(&caller, user).await?;
        let impersonated_by = caller.impersonator().map(|it| ImpersonatedBy { id: it.id, email: it.email.clone() });
        let tag = etag::of_version(user.version);
        Ok(OwnProfile::User(Json(OwnUser { user, impersonated_by }), tag))
    }

    /// Change one's own profile
    ///
    /// Only what is sent is changed. With `If-Match`, only if nobody changed it since.
    #[oai(path = "/auth/profile", method = "patch", operation_id = "update_profile", tag = "Tag::Accounts")]
    async fn update_own(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        /// The `ETag` of the profile that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<ProfilePatch>,
    ) -> Result<Profile, Problem> {
        let (user, _) = caller.user()?;

        let change = patched(&caller, user, body.read()?);
        self.change(&caller, &trail, user, if_match.0.as_deref(), change).await
    }

    /// Delete one's own account
    ///
    /// With the password, and with a code for whoever has a second factor. All sessions and keys end at once. An admin can
    /// restore the account until it is purged, after 30 days unless the operator set another time.
    #[oai(path = "/auth/profile", method = "delete", operation_id = "delete_profile", tag = "Tag::Accounts")]
    async fn delete_own(
        &self,
        caller: Caller,
        _query: NoQuery,
        from: SentFrom,
        trail: Trail,
        body: Input<Farewell>,
    ) -> Result<Done, Problem> {
        let (user, session) = caller.user()?;

        let Farewell { password, code } = body.read()?;
        let (own, tenant) = (&self.second_factors.accounts, caller.tenant());
        own.confirm(&caller, password, "/password", from, &trail).await?;
        let is_on = own.db.get(tenant, move |tx: &mut Tx<'_>| second_factor_store::is_on(tx, user)).await?;
        let now = own.clock.now();
        let shown = match code {
            Some(code) if is_on => Some(self.second_factors.proof(&caller, &code, from, &trail, now).await?),
            None if is_on => {
                let detail = "is needed too: of the app, or a recovery code";
                return Err(Error::Invalid(vec![Fault::new("/code", "required", detail)]).into());
            }
            _ => None,
        };
        let actor = trail.of(&caller);

        own.db
            .free(tenant, move |tx| {
                let old = store::find_user(tx, user)?.ok_or(Error::NotFound)?;
                // It was ended by somebody while the password was looked at.
                if store::find_live_session(tx, session, now)?.is_none() {
                    return Err(Error::TokenInvalid);
                }
                let is_shown = match shown {
                    Some((factor, proof, _)) => second_factor_store::take(tx, user, factor.id, proof)?,
                    None => !second_factor_store::is_on(tx, user)?,
                };
                if !is_shown {
                    return Err(Error::SecondFactorWrong);
                }
                leaving::discard(tx, &old, now, &actor)
            })
            .await?;

        own.gate.forget_user(user);
        Ok(Done::Done)
    }

    /// Read an account
    #[oai(path = "/users/:id", method = "get", operation_id = "show_user", tag = "Tag::Users")]
    async fn show(&self, caller: Caller, _query: NoQuery, id: Path<String>) -> Result<Profile, Problem> {
        let id = own_or(&caller, &id.0, USERS_READ)?;

        Ok(self.find(&caller, id).await?.into())
    }

    /// Change a profile
    ///
    /// Only what is sent is changed. Nobody changes the profile of someone who may more than they do.
    #[oai(path = "/users/:id/profile", method = "patch", operation_id = "update_user_profile", tag = "Tag::Users")]
    async fn update(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
        /// The `ETag` of the account that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<ProfilePatch>,
    ) -> Result<Profile, Problem> {
        let id = own_or(&caller, &id.0, USERS_WRITE)?;

        let change = patched(&caller, id, body.read()?);
        self.change(&caller, &trail, id, if_match.0.as_deref(), change).await
    }

    /// Replace a profile
    ///
    /// What is not sent is removed. Nobody changes the profile of someone who may more than they do.
    #[oai(path = "/users/:id/profile", method = "put", operation_id = "replace_user_profile", tag = "Tag::Users")]
    async fn replace(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
        /// The `ETag` of the account that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<NewProfile>,
    ) -> Result<Profile, Problem> {
        let id = own_or(&caller, &id.0, USERS_WRITE)?;

        let NewProfile { name, fields } = body.read()?;
        let sent = fields.unwrap_or_default().0;
        let fields = Some(FieldsChange { sent, is_whole: true, by_owner: is_owner(&caller, id) });
        let change = named(Some(name.unwrap_or_default()), fields);
        self.change(&caller, &trail, id, if_match.0.as_deref(), change).await
    }

    /// Delete an account
    ///
    /// It goes into the bin: nobody signs in with it, and its sessions, keys and live connections end at once. It is in no
    /// list that does not ask for it with `trashed`, and its address stays taken until it is purged. Nobody deletes the
    /// account of someone who may more than they do.
    #[oai(path = "/users/:id", method = "delete", operation_id = "delete_user", tag = "Tag::Users")]
    async fn delete(
        &self,
        caller: Caller,
        _query: NoQuery,
        trail: Trail,
        id: Path<String>,
        /// The `ETag` of the account that is meant.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<Done, Problem> {
        caller.must(USERS_ADMIN)?;

        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let id: UserId = id.0.parse().map_err(|_| Error::NotFound)?;
        let (own, deleter, actor) = (&self.second_factors.accounts, caller.clone(), trail.of(&caller));
        let now = own.clock.now();

        own.db
            // What takes rights away is done when the disk is nearly full too.
            .free(caller.tenant(), move |tx| {
                let old = store::find_user(tx, id)?.ok_or(Error::NotFound)?;
                if !expected.allows(old.version) {
                    return Err(Error::Stale);
                }
                leaving::must_reach(tx, &deleter, &old)?;
                leaving::discard(tx, &old, now, &actor)
            })
            .await?;

        own.gate.forget_user(id);
        Ok(Done::Done)
    }

    /// Restore an account
    ///
    /// Takes it out of the bin. Its owner signs in as before, and its keys work again; sessions that were ended stay so.
    #[oai(path = "/users/:id/restore", method = "post", operation_id = "restore_user", tag = "Tag::Users")]
    async fn restore(
        &self,
        caller: Caller,
        _query: NoQuery,
        trail: Trail,
        id: Path<String>,
    ) -> Result<Profile, Problem> {
        caller.must(USERS_ADMIN)?;

        let id: UserId = id.0.parse().map_err(|_| Error::NotFound)?;
        let (own, restorer, actor) = (&self.second_factors.accounts, caller.clone(), trail.of(&caller));
        let now = own.clock.now();

        let user = own
            .db
            .write(caller.tenant(), move |tx| {
                let old = leaving::find_in_bin(tx, &restorer, id)?;
                leaving::restore(tx, &old, now, &actor)
            })
            .await?;

        // Keys are asked for anew.
        own.gate.forget_user(id);
        Ok(user.into())
    }
}

impl ProfilesApi {
    async fn find(&self, caller: &Caller, id: UserId) -> Result<User, Error> {
        let found = self.users.db.get(caller.tenant(), move |tx| store::find_user(tx, id)).await?;
        found.ok_or(Error::NotFound)
    }

    async fn change(
        &self,
        caller: &Caller,
        trail: &Trail,
        id: UserId,
        if_match: Option<&str>,
        change: Change,
    ) -> Result<Profile, Problem> {
        let action = if caller.is(id) { Action::ProfileChange } else { Action::UserChange };
        let judge = self.users.fields.clone();
        let change = move |tx: &mut Tx<'_>, user: &mut User| {
            let mut faults = change.faults.clone();
            if let Some(name) = &change.name {
                user.name.clone_from(name);
            }
            if let Some(fields) = &change.fields {
                match (judge.0)(tx, &user.fields.clone().unwrap_or_default(), fields) {
                    Ok(new) => user.fields = Some(new).filter(|it| !it.0.is_empty()),
                    Err(Error::Invalid(found)) => faults.extend(found),
                    Err(other) => return Err(other),
                }
            }
            if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
        };
        Ok(self.users.change(caller, trail, id, if_match, action, change).await?.into())
    }
}

/// What a patch asks for.
fn patched(caller: &Caller, id: UserId, patch: ProfilePatch) -> Change {
    let name = match patch.name {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(String::new()),
        MaybeUndefined::Value(name) => Some(name),
    };
    let by_owner = is_owner(caller, id);
    named(name, patch.fields.map(|it| FieldsChange { sent: it.0, is_whole: false, by_owner }))
}

fn named(name: Option<String>, fields: Option<FieldsChange>) -> Change {
    match name.map(|it| checked_name(&it)).transpose() {
        Ok(name) => Change { name, fields, faults: Vec::new() },
        Err(fault) => Change { name: None, fields, faults: vec![fault] },
    }
}

/// Whether someone sets no more than an owner does: those who may change accounts set all of their own too.
fn is_owner(caller: &Caller, id: UserId) -> bool {
    caller.is(id) && !caller.may(USERS_WRITE)
}

/// The account with an id, if it is the caller's own or they have `permission`. To anyone else there is none: only
/// whoever sees accounts is told that something else is missing.
pub(super) fn own_or(caller: &Caller, id: &str, permission: Permission) -> Result<UserId, Problem> {
    caller.must_be_oneself()?;
    // What is no id is the id of nothing.
    let id: Option<UserId> = id.parse().ok();
    if id.is_some_and(|it| caller.is(it)) || caller.may(permission) {
        return Ok(id.ok_or(Error::NotFound)?);
    }
    let is_blind = matches!(caller.subject(), Subject::User { .. }) && !caller.may(USERS_READ);
    if is_blind { Err(Error::NotFound.into()) } else { Err(caller.refusal(permission)) }
}
