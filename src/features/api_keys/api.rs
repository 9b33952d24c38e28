//! The endpoints of keys, for those who keep them for everyone.
use poem::Request;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::MaybeUndefined;
use poem_openapi::{ApiResponse, OpenApi};

use super::error::Error;
use super::keeping::{self, Asked, Keeping, checked_metadata, checked_networks, must_be_later};
use super::model::{
    ApiKey, ApiKeyList, ApiKeyPatch, KEYS_READ, KEYS_WRITE, NewApiKey, Rotation, ScopeChange, ShownApiKey, UsageReport,
};
use super::{credits, limits, store};
use crate::base::text::normal;
use crate::base::{ApiKeyId, Timestamp, UserId};
use crate::features::audit::Trail;
use crate::features::roles;
use crate::http::etag;
use crate::http::openapi::Tag;
use crate::http::paging::{self, Cursors, ListMeta, Paging};
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Client, Fault, Input, Problem};

/// The endpoints of keys, with what they need.
#[derive(Clone, Debug)]
pub struct KeysApi {
    pub keeping: Keeping,
    pub cursors: Cursors,
}

#[derive(ApiResponse)]
pub(super) enum Made {
    /// The key was made. Its secret is in this answer only.
    #[oai(status = 201)]
    Key(Json<ShownApiKey>, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
pub(super) enum Shown {
    /// The key as it is now.
    #[oai(status = 200)]
    Key(Json<ApiKey>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
pub(super) enum Rotated {
    /// The key with its new secret, which is in this answer only.
    #[oai(status = 200)]
    Key(Json<ShownApiKey>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
pub(super) enum Revoked {
    /// It does not work any more.
    #[oai(status = 204)]
    Revoked,
}

#[derive(ApiResponse)]
enum Keys {
    /// A page of keys.
    #[oai(status = 200)]
    Page(Json<ApiKeyList>, #[oai(header = "Link")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Keys")]
impl KeysApi {
    /// Make a key
    ///
    /// Its secret is in this answer only. It lets a program try no more than its maker may; with an `owner`, no more
    /// than that account may at any time, and its maker may as much as the owner.
    #[oai(path = "/admin/keys", method = "post", operation_id = "create_api_key")]
    async fn create(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        client: Client,
        body: Input<NewApiKey>,
    ) -> Result<Made, Problem> {
        caller.must(KEYS_WRITE)?;

        let asked = Asked { actor: trail.of(&caller), client, confirmed: None };
        let shown = self.keeping.make(&caller, asked, body.read()?).await?;

        let (tag, place) = (etag::of_version(shown.key.version), format!("/api/v1/admin/keys/{}", shown.key.id));
        Ok(Made::Key(Json(shown), tag, place))
    }

    /// List keys
    ///
    /// The oldest first, those that are over too.
    #[oai(path = "/admin/keys", method = "get", operation_id = "list_api_keys")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document")]
    async fn list(
        &self,
        caller: Caller,
        /// Most keys on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<String>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<String>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        /// The id of an account: only its keys.
        owner: Query<Option<String>>,
        request: &Request,
    ) -> Result<Keys, Problem> {
        caller.must(KEYS_READ)?;

        must_be_among(request, &["limit", "cursor", "page", "count", "owner"])?;
        let mut asked = Paging { cursor: cursor.0, count: count.0, ..Paging::default() };
        let sent = [("limit", limit.0), ("page", page.0)];
        let mut faults: Vec<_> = sent.iter().filter_map(|(name, it)| asked.read(name, it.as_ref()?).err()).collect();
        let owner = owner.0.map(|it| it.parse::<UserId>()).transpose();
        faults.extend(owner.as_ref().err().map(|why| Fault::new("?owner", "format", *why)));
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let owner = owner.unwrap_or_default();
        let whose = owner.map(|it| it.to_string()).unwrap_or_default();
        let scope = format!("keys {} {} {whose}", caller.tenant(), caller.name());
        let page = asked.check(&self.cursors, &scope)?;
        let after = page.after.as_deref().and_then(read_position);
        let (skip, limit, with_total) = (page.skip, page.limit, page.with_total);

        let (mut keys, total) = self
            .keeping
            .db
            .read(caller.tenant(), move |tx| {
                // One more than the page holds tells whether there is a next one.
                let keys = store::page(tx, owner, after, skip, limit + 1)?;
                let total = if with_total { Some(store::count(tx, owner)?.unsigned_abs()) } else { None };
                Ok::<_, Error>((keys, total))
            })
            .await?;

        let has_more = limit < keys.len() as u64;
        keys.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let last = keys.last().filter(|_| has_more);
        let next_cursor = last.map(|it| self.cursors.seal(&position(it), &scope));
        let query = owner.map(|it| format!("owner={it}")).unwrap_or_default();
        let link = paging::links("/api/v1/admin/keys", &query, &page, next_cursor.as_deref(), total);
        let meta = ListMeta { limit, next_cursor, page: page.number, total, is_estimate: None };
        let now = self.keeping.clock.now();
        let data = keys.into_iter().map(|it| self.keeping.shown(it, now)).collect();
        Ok(Keys::Page(Json(ApiKeyList { data, meta }), link))
    }

    /// Read a key
    #[oai(path = "/admin/keys/:id", method = "get", operation_id = "show_api_key")]
    async fn show(&self, caller: Caller, _query: NoQuery, id: Path<String>) -> Result<Shown, Problem> {
        caller.must(KEYS_READ)?;

        let key = self.keeping.find(&caller, &id.0, None).await?;

        let tag = etag::of_version(key.version);
        Ok(Shown::Key(Json(key), tag))
    }

    /// Change a key
    ///
    /// What is absent stays. It is felt with the next request; live connections of a key that is disabled end.
    #[oai(path = "/admin/keys/:id", method = "patch", operation_id = "update_api_key")]
    async fn update(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
        /// The `ETag` of the key that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<ApiKeyPatch>,
    ) -> Result<Shown, Problem> {
        caller.must(KEYS_WRITE)?;

        let patch: ApiKeyPatch = body.read()?;
        let now = self.keeping.clock.now();
        let mut faults = Vec::new();
        let networks = patch.allowed_ips.as_ref().map(|it| checked_networks(it, &mut faults));
        let metadata = patch.metadata.map(|it| checked_metadata(it, &mut faults));
        if let MaybeUndefined::Value(at) = patch.expires_at {
            must_be_later(at, now, &mut faults);
        }
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let change = move |key: &mut ApiKey| {
            if let Some(name) = &patch.name {
                key.name = normal(name);
            }
            if let Some(description) = &patch.description {
                key.description = normal(description);
            }
            if let Some(networks) = &networks {
                key.allowed_ips.clone_from(networks);
            }
            if let Some(metadata) = &metadata {
                key.metadata = metadata.clone();
            }
            if let Some(disabled) = patch.disabled {
                key.disabled_at = disabled.then(|| key.disabled_at.unwrap_or(now));
            }
            set(&mut key.expires_at, &patch.expires_at);
            set(&mut key.rate_limit, &patch.rate_limit);
            set(&mut key.tier, &patch.tier);
            let mut faults = Vec::new();
            if let Some(named) = &patch.rate_limits {
                limits::check(named, key.owner.is_some(), &mut faults);
                key.rate_limits.clone_from(named);
            }
            match &patch.credits {
                MaybeUndefined::Undefined => {}
                MaybeUndefined::Null => credits::take(key),
                MaybeUndefined::Value(given) => {
                    given.check(key.credits.is_none(), &mut faults);
                    given.give(key, now);
                }
            }
            if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
        };

        let key = self.keeping.change(&caller, trail.of(&caller), &id.0, if_match.0.as_deref(), change).await?;

        let tag = etag::of_version(key.version);
        Ok(Shown::Key(Json(key), tag))
    }

    /// Change what a key lets a program try
    ///
    /// No more than whoever changes it may, before and after.
    #[oai(path = "/admin/keys/:id/scopes", method = "put", operation_id = "set_api_key_scopes")]
    async fn set_scopes(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
        /// The `ETag` of the key that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<ScopeChange>,
    ) -> Result<Shown, Problem> {
        caller.must(KEYS_WRITE)?;

        let given = roles::read_permissions(&body.read()?.scopes, "/scopes").map_err(Error::Invalid)?;
        roles::must_hold(&caller, &given)?;
        let change = move |key: &mut ApiKey| {
            key.scopes = given.names();
            Ok(())
        };

        let key = self.keeping.change(&caller, trail.of(&caller), &id.0, if_match.0.as_deref(), change).await?;

        let tag = etag::of_version(key.version);
        Ok(Shown::Key(Json(key), tag))
    }

    /// Give a key another secret
    ///
    /// The new one is in this answer only. The one before stops working at once, or after `graceSecs`.
    #[oai(path = "/admin/keys/:id/rotate", method = "put", operation_id = "rotate_api_key")]
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
        client: Client,
        body: Input<Option<Rotation>>,
    ) -> Result<Rotated, Problem> {
        caller.must(KEYS_WRITE)?;

        let grace = body.read()?.and_then(|it| it.grace_secs).unwrap_or(0);
        let asked = Asked { actor: trail.of(&caller), client, confirmed: None };
        let shown = self.keeping.rotate(&caller, asked, &id.0, None, if_match.0.as_deref(), grace).await?;

        let tag = etag::of_version(shown.key.version);
        Ok(Rotated::Key(Json(shown), tag))
    }

    /// Revoke a key
    ///
    /// It stops working at once, and never works again; its live connections end. Nobody revokes a key that may more than
    /// they do.
    #[oai(path = "/admin/keys/:id/revoke", method = "delete", operation_id = "revoke_api_key")]
    async fn revoke(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
    ) -> Result<Revoked, Problem> {
        caller.must(KEYS_WRITE)?;

        self.keeping.revoke(&caller, trail.of(&caller), &id.0, None).await?;

        Ok(Revoked::Revoked)
    }

    /// See what a key was used for
    ///
    /// By day and operation, of the last 30 days or as many as are asked for.
    #[oai(path = "/admin/keys/:id/usage", method = "get", operation_id = "show_api_key_usage")]
    async fn usage(
        &self,
        caller: Caller,
        id: Path<String>,
        /// How many days: 1 to 400, or 30 if absent.
        days: Query<Option<String>>,
        request: &Request,
    ) -> Result<Json<UsageReport>, Problem> {
        caller.must(KEYS_READ)?;

        must_be_among(request, &["days"])?;
        let days = keeping::read_days(days.0.as_deref())?;
        Ok(Json(self.keeping.usage(&caller, &id.0, None, days).await?))
    }
}

/// What `null` removes and absence leaves.
fn set<T: Clone>(place: &mut Option<T>, sent: &MaybeUndefined<T>) {
    match sent {
        MaybeUndefined::Undefined => {}
        MaybeUndefined::Null => *place = None,
        MaybeUndefined::Value(value) => *place = Some(value.clone()),
    }
}

/// What a cursor remembers of the last key on a page.
fn position(key: &ApiKey) -> String {
    format!("{} {}", key.created_at.millis(), key.id)
}

fn read_position(text: &str) -> Option<(Timestamp, ApiKeyId)> {
    let (created_at, id) = text.split_once(' ')?;
    Some((Timestamp::from_millis(created_at.parse().ok()?), id.parse().ok()?))
}
