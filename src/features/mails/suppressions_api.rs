//! The endpoints of addresses to which nothing is sent.
use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::json;

use super::deliver::{self, Mails};
use super::error::Error;
use super::model::{MAIL_READ, MAIL_WRITE};
use super::suppression::{MailSuppression, MailSuppressionList, NewMailSuppression, SuppressionId, SuppressionReason};
use super::suppression_store::{self as store, SUPPRESSIONS_MAX};
use crate::base::text::normalize_email;
use crate::db::{self, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::http::openapi::Tag;
use crate::http::paging::{Cursors, ListPlace, Listed, Paging};
use crate::http::problem::Fault;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Input, Problem};

const SUPPRESSIONS: &str = "/api/v1/admin/mail/suppressions";

/// The endpoints of addresses to which nothing is sent, with what they need.
#[derive(Clone, Debug)]
pub struct MailSuppressionsApi {
    pub mails: Mails,
    pub cursors: Cursors,
}

#[derive(ApiResponse)]
enum Suppressions {
    /// A page of addresses.
    #[oai(status = 200)]
    Page(Json<MailSuppressionList>, #[oai(header = "Link")] Option<String>),
}

#[derive(ApiResponse)]
enum Kept {
    /// It was there before, and is as it was.
    #[oai(status = 200)]
    Before(Json<MailSuppression>),
    /// Nothing is sent to it from now on.
    #[oai(status = 201)]
    Fresh(Json<MailSuppression>),
}

#[derive(ApiResponse)]
enum Removed {
    /// Mails are sent to it again.
    #[oai(status = 204)]
    Removed,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Mail")]
impl MailSuppressionsApi {
    /// List addresses to which nothing is sent
    ///
    /// The newest first.
    #[oai(path = "/admin/mail/suppressions", method = "get", operation_id = "list_mail_suppressions")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document")]
    async fn list(
        &self,
        caller: Caller,
        /// Only this address.
        address: Query<Option<String>>,
        /// Most addresses on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<u64>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<u64>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Suppressions, Problem> {
        caller.must(MAIL_READ)?;

        must_be_among(request, &["address", "limit", "cursor", "page", "count"])?;
        let address = address.0.map(|it| normalize_email(&it).unwrap_or(it));
        let scope = format!("mail suppressions {} {address:?}", caller.tenant());
        let asked = Paging { limit: limit.0, cursor: cursor.0, page: page.0, count: count.0, ..Paging::default() };
        let page = asked.check(&self.cursors, &scope)?;
        let before = page.after.as_deref().and_then(|it| it.parse().ok());
        let (skip, wanted, with_total, sought) = (page.skip, page.wanted(), page.with_total, address.clone());

        let read = self
            .mails
            .db
            .read(caller.tenant(), move |tx| {
                let found = store::list(tx, sought.as_deref(), before, skip, wanted)?;
                let total = if with_total { Some(store::count(tx, sought.as_deref())?) } else { None };
                Ok::<_, db::Error>((found, total))
            })
            .await?;

        let query =
            address.map(|it| form_urlencoded::Serializer::new(String::new()).append_pair("address", &it).finish());
        let place = ListPlace { path: SUPPRESSIONS, query: &query.unwrap_or_default(), scope: &scope };
        let Listed { data, meta, link } = page.listed(&place, &self.cursors, read, |it| it.id.to_string());
        Ok(Suppressions::Page(Json(MailSuppressionList { data, meta }), link))
    }

    /// Send nothing to an address
    #[oai(path = "/admin/mail/suppressions", method = "post", operation_id = "create_mail_suppression")]
    async fn create(
        &self,
        caller: Caller,
        _query: NoQuery,
        trail: Trail,
        body: Input<NewMailSuppression>,
    ) -> Result<Kept, Problem> {
        caller.must(MAIL_WRITE)?;

        let NewMailSuppression { address, reason, detail } = body.read()?;
        let invalid = |why| Error::Invalid(vec![Fault::new("/address", "email", why)]);
        let address = normalize_email(&address).map_err(invalid)?;
        let reason = reason.unwrap_or(SuppressionReason::Manual);
        let fresh = self.mails.suppression(&address, reason, &detail.unwrap_or_default());

        let (actor, now) = (trail.of(&caller), self.mails.clock.now());
        let (kept, is_new) = self
            .mails
            .db
            .write(caller.tenant(), move |tx| {
                let is_there = store::find(tx, &fresh.address)?.is_some();
                if !is_there && SUPPRESSIONS_MAX <= store::count(tx, None)? {
                    return Err(Error::NoRoom);
                }
                Ok(deliver::add(tx, &fresh, &actor, now)?)
            })
            .await?;

        Ok(if is_new { Kept::Fresh(Json(kept)) } else { Kept::Before(Json(kept)) })
    }

    /// Send mails to an address again
    #[oai(path = "/admin/mail/suppressions/:id", method = "delete", operation_id = "delete_mail_suppression")]
    async fn delete(
        &self,
        caller: Caller,
        _query: NoQuery,
        id: Path<String>,
        trail: Trail,
    ) -> Result<Removed, Problem> {
        caller.must(MAIL_WRITE)?;

        let id: SuppressionId = id.0.parse().map_err(|_| Error::NotFound)?;
        let (actor, now) = (trail.of(&caller), self.mails.clock.now());
        let remove = move |tx: &mut Tx<'_>| {
            let Some(it) = store::delete(tx, id)? else { return Err(Error::NotFound) };
            let before = json!({ "reason": it.reason.name(), "detail": it.detail });
            let entry = Entry::new(Action::MailUnsuppress).about("email", &it.address).before(before);
            Ok(actor.append(tx, now, &entry)?)
        };
        self.mails.db.free(caller.tenant(), remove).await?;

        Ok(Removed::Removed)
    }
}
