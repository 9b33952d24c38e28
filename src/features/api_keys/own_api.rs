//! The endpoints with which people keep keys of their own.
use poem::Request;
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;

use super::api::{Made, Revoked, Rotated, Shown};
use super::error::Error;
use super::keeping::{self, Asked, Keeping};
use super::model::{NewOwnKey, OwnKeyList, OwnRotation, UsageReport};
use crate::features::accounts::{AccountsApi, Confirmation};
use crate::features::audit::Trail;
use crate::http::etag;
use crate::http::openapi::Tag;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Client, Input, Problem, SentFrom};

/// The endpoints of one's own keys, with what they need.
#[derive(Clone, Debug)]
pub struct OwnKeysApi {
    pub keeping: Keeping,
    pub accounts: AccountsApi,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Keys")]
impl OwnKeysApi {
    /// Make a key of one's own
    ///
    /// Its secret is in this answer only. It calls on its maker's behalf, and never may more than they do. Whoever makes one
    /// shows once more who they are, and is told by mail.
    #[oai(path = "/auth/keys", method = "post", operation_id = "create_own_key")]
    async fn create(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        body: Input<NewOwnKey>,
    ) -> Result<Made, Problem> {
        let (user, _) = caller.user()?;

        let (key, shown) = body.read()?.of(user);
        let asked = self.asked(&caller, &trail, shown, from, client).await?;
        let shown = self.keeping.make(&caller, asked, key).await?;

        let (tag, place) = (etag::of_version(shown.key.version), format!("/api/v1/auth/keys/{}", shown.key.id));
        Ok(Made::Key(Json(shown), tag, place))
    }

    /// List one's own keys
    ///
    /// The oldest first, those that are over too.
    #[oai(path = "/auth/keys", method = "get", operation_id = "list_own_keys")]
    async fn list(&self, caller: Caller, _query: NoQuery) -> Result<Json<OwnKeyList>, Problem> {
        let (user, _) = caller.user()?;

        let data = self.keeping.list_of(&caller, user).await?;

        Ok(Json(OwnKeyList { data }))
    }

    /// Read a key of one's own
    #[oai(path = "/auth/keys/:id", method = "get", operation_id = "show_own_key")]
    async fn show(&self, caller: Caller, _query: NoQuery, id: Path<String>) -> Result<Shown, Problem> {
        let (user, _) = caller.user()?;

        let key = self.keeping.find(&caller, &id.0, Some(user)).await?;

        let tag = etag::of_version(key.version);
        Ok(Shown::Key(Json(key), tag))
    }

    /// Give a key of one's own another secret
    ///
    /// The new one is in this answer only. The one before stops working at once, or after `graceSecs`. Whoever asks for it
    /// shows once more who they are, and is told by mail.
    #[oai(path = "/auth/keys/:id/rotate", method = "put", operation_id = "rotate_own_key")]
    #[expect(clippy::too_many_arguments, reason = "each is a part of the request")]
    async fn rotate(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
        /// The `ETag` of the key that is meant.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        from: SentFrom,
        client: Client,
        body: Input<OwnRotation>,
    ) -> Result<Rotated, Problem> {
        let (user, _) = caller.user()?;

        let OwnRotation { grace_secs, password, code } = body.read()?;
        let asked = self.asked(&caller, &trail, Confirmation { password, code }, from, client).await?;
        let (grace, expected) = (grace_secs.unwrap_or(0), if_match.0.as_deref());
        let shown = self.keeping.rotate(&caller, asked, &id.0, Some(user), expected, grace).await?;

        let tag = etag::of_version(shown.key.version);
        Ok(Rotated::Key(Json(shown), tag))
    }

    /// Revoke a key of one's own
    ///
    /// It stops working at once, and never works again; its live connections end.
    #[oai(path = "/auth/keys/:id/revoke", method = "delete", operation_id = "revoke_own_key")]
    async fn revoke(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
    ) -> Result<Revoked, Problem> {
        let (user, _) = caller.user()?;

        self.keeping.revoke(&caller, trail.of(&caller), &id.0, Some(user)).await?;

        Ok(Revoked::Revoked)
    }

    /// See what a key of one's own was used for
    ///
    /// By day and operation, of the last 30 days or as many as are asked for.
    #[oai(path = "/auth/keys/:id/usage", method = "get", operation_id = "show_own_key_usage")]
    async fn usage(
        &self,
        caller: Caller,
        id: Path<String>,
        /// How many days: 1 to 400, or 30 if absent.
        days: Query<Option<String>>,
        request: &Request,
    ) -> Result<Json<UsageReport>, Problem> {
        let (user, _) = caller.user()?;

        must_be_among(request, &["days"])?;
        let days = keeping::read_days(days.0.as_deref())?;
        Ok(Json(self.keeping.usage(&caller, &id.0, Some(user), days).await?))
    }
}

impl OwnKeysApi {
    /// Has someone show who they are who is to get a secret.
    async fn asked(
        &self,
        caller: &Caller,
        trail: &Trail,
        shown: Confirmation,
        from: SentFrom,
        client: Client,
    ) -> Result<Asked, Error> {
        let confirmed = self.accounts.confirm_again(caller, shown, from, trail).await?;
        Ok(Asked { actor: trail.of(caller), client, confirmed: Some(confirmed) })
    }
}
