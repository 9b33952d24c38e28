//! The endpoints of profiles: what is known of an account, and what its owner may change of it.
use poem_openapi::param::{Header, Path};
use poem_openapi::payload::Json;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, OpenApi};

use super::api::checked_name;
use super::error::Error;
use super::model::{NewProfile, ProfilePatch, USERS_READ, USERS_WRITE, User};
use super::store;
use super::users_api::UsersApi;
use crate::base::UserId;
use crate::features::audit::{Action, Trail};
use crate::http::etag;
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Input, Permission, Problem, Subject};

/// The endpoints of profiles, with what they need.
#[derive(Clone, Debug)]
pub struct ProfilesApi {
    pub users: UsersApi,
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

/// What becomes of a profile.
struct Change {
    /// Absent: it stays.
    name: Option<String>,
}

#[OpenApi(prefix_path = "/api/v1")]
impl ProfilesApi {
    /// Read one's own profile
    #[oai(path = "/auth/profile", method = "get", operation_id = "show_profile", tag = "Tag::Accounts")]
    async fn show_own(&self, caller: Caller, _query: NoQuery) -> Result<Profile, Problem> {
        let (user, _) = caller.user()?;

        Ok(self.find(&caller, user).await?.into())
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

        let change = patched(body.read()?)?;
        self.change(&caller, &trail, user, if_match.0.as_deref(), change).await
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

        let change = patched(body.read()?)?;
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

        let NewProfile { name } = body.read()?;
        let name = checked_name(&name.unwrap_or_default()).map_err(|it| Error::Invalid(vec![it]))?;
        self.change(&caller, &trail, id, if_match.0.as_deref(), Change { name: Some(name) }).await
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
        let change = move |user: &mut User| {
            if let Some(name) = &change.name {
                user.name.clone_from(name);
            }
        };
        Ok(self.users.change(caller, trail, id, if_match, action, change).await?.into())
    }
}

/// What a patch asks for.
fn patched(patch: ProfilePatch) -> Result<Change, Error> {
    let name = match patch.name {
        MaybeUndefined::Undefined => None,
        MaybeUndefined::Null => Some(String::new()),
        MaybeUndefined::Value(name) => Some(checked_name(&name).map_err(|it| Error::Invalid(vec![it]))?),
    };
    Ok(Change { name })
}

/// The account with an id, if it is the caller's own or they have `permission`. To anyone else there is none: only
/// whoever sees accounts is told that something else is missing.
pub(super) fn own_or(caller: &Caller, id: &str, permission: Permission) -> Result<UserId, Problem> {
    // What is no id is the id of nothing.
    let id: Option<UserId> = id.parse().ok();
    if id.is_some_and(|it| caller.is(it)) || caller.may(permission) {
        return Ok(id.ok_or(Error::NotFound)?);
    }
    let is_blind = matches!(caller.subject(), Subject::User { .. }) && !caller.may(USERS_READ);
    if is_blind { Err(Error::NotFound.into()) } else { Err(caller.refusal(permission)) }
}
