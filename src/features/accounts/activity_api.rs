//! The endpoint of what an account did, and of what was done to it.
//!
//! It comes from the audit trail, and shows less of it: what was changed is for those who read the trail, and so is from
//! where others came.
use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};

use super::api::AccountsApi;
use super::error::Error;
use super::model::USERS_READ;
use super::profile_api::own_or;
use super::store;
use crate::base::{Timestamp, UserId};
use crate::features::audit::{self, AUDIT_READ, AuditEntry, Part};
use crate::http::openapi::Tag;
use crate::http::paging::{ListMeta, ListPlace, Listed, Paging};
use crate::http::query::must_be_among;
use crate::http::{Caller, Problem};

/// The endpoint of what an account did, with what it needs.
#[derive(Clone, Debug)]
pub struct ActivityApi {
    pub accounts: AccountsApi,
}

/// Something that an account did, or that was done to it.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
struct Activity {
    at: Timestamp,
    /// Such as `auth.sign-in`; the guide to the audit trail lists them.
    action: String,
    /// What the action means.
    description: String,
    /// Whether the account did it; otherwise it was done to it.
    is_own: bool,
    /// Who did it: `user`, `key`, `operator`, `server` or `stranger`.
    actor_kind: String,
    /// To what: `user`, `session`, `record` and so on.
    resource_kind: Option<String>,
    /// Which one. For others only if it is the account itself, unless they may read the audit trail.
    resource_id: Option<String>,
    /// `done` or `refused`.
    outcome: String,
    /// The code of the problem, if it was refused.
    reason: Option<String>,
    /// From where the owner did it. For others only if they may read the audit trail.
    address: Option<String>,
    /// With which program.
    user_agent: Option<String>,
}

impl Example for Activity {
    fn example() -> Self {
        let id = UserId::example();
        let (caller, own) = (Looking { whole: true, own: true }, id.to_string());
        caller.activity(AuditEntry::example(), &own)
    }
}

/// A page of activity, newest first.
#[derive(Debug, Object)]
#[oai(example)]
struct ActivityList {
    data: Vec<Activity>,
    meta: ListMeta,
}

impl Example for ActivityList {
    fn example() -> Self {
        Self { data: vec![Activity::example()], meta: ListMeta::example() }
    }
}

#[derive(ApiResponse)]
enum Shown {
    /// A page of activity, newest first.
    #[oai(status = 200)]
    Page(Json<ActivityList>, #[oai(header = "Link")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl ActivityApi {
    /// List what an account did
    ///
    /// And what was done to it, newest first, as far as the audit trail goes back. What programs did with its keys is not
    /// among it.
    #[oai(path = "/users/:id/activity", method = "get", operation_id = "list_activity")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn list(
        &self,
        caller: Caller,
        id: Path<String>,
        /// Most entries on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<String>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<String>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Shown, Problem> {
        let id = own_or(&caller, &id.0, USERS_READ)?;

        must_be_among(request, &["limit", "cursor", "page", "count"])?;
        let mut asked = Paging { cursor: cursor.0, count: count.0, ..Paging::default() };
        let sent = [("limit", limit.0), ("page", page.0)];
        let faults: Vec<_> = sent.iter().filter_map(|(name, it)| asked.read(name, it.as_ref()?).err()).collect();
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let scope = format!("activity {} {} {id}", caller.tenant(), caller.name());
        let page = asked.check(&self.accounts.cursors, &scope)?;
        let before = page.after.as_deref().and_then(|it| it.parse().ok()).unwrap_or(i64::MAX);
        let part = Part { user: id.to_string(), before, skip: page.skip, limit: page.wanted() };
        let with_total = page.with_total;

        let found = self
            .accounts
            .db
            .read(caller.tenant(), move |tx| {
                store::find_user(tx, id)?.ok_or(Error::NotFound)?;
                let total = if with_total { Some(audit::count_activity(tx, &part.user)?) } else { None };
                Ok::<_, Error>((audit::activity(tx, &part)?, total))
            })
            .await?;

        let path = format!("/api/v1/users/{id}/activity");
        let place = ListPlace { path: &path, query: "", scope: &scope };
        let Listed { data, meta, link } =
            page.listed(&place, &self.accounts.cursors, found, |it: &AuditEntry| it.seq.to_string());
        let looking = Looking { whole: caller.may(AUDIT_READ), own: caller.is(id) };
        let own = id.to_string();
        let data = data.into_iter().map(|it| looking.activity(it, &own)).collect();
        Ok(Shown::Page(Json(ActivityList { data, meta }), link))
    }
}

/// Who looks at the activity of an account.
#[derive(Clone, Copy, Debug)]
struct Looking {
    /// Whether they may read the audit trail.
    whole: bool,
    /// Whether it is their own.
    own: bool,
}

impl Looking {
    /// As much of an entry as they may see.
    fn activity(self, entry: AuditEntry, account: &str) -> Activity {
        let is_own = entry.actor_kind == "user" && entry.actor_id.as_deref() == Some(account);
        // From where somebody else came who did something to the account is not for its owner.
        let sees_place = self.whole || (self.own && is_own);
        let sees_resource = self.whole || self.own || entry.resource_id.as_deref() == Some(account);
        Activity {
            at: entry.at,
            description: audit::sentence(&entry.action).to_owned(),
            action: entry.action,
            is_own,
            actor_kind: entry.actor_kind,
            resource_kind: entry.resource_kind,
            resource_id: entry.resource_id.filter(|_| sees_resource),
            outcome: entry.outcome,
            reason: entry.reason,
            address: entry.address.filter(|_| sees_place),
            user_agent: entry.user_agent.filter(|_| sees_place),
        }
    }
}
