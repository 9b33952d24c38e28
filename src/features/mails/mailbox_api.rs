//! The endpoints of the mailbox: mails of a server that has nobody to send them with.
use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::error::Error;
use super::model::{MAIL_ADMIN, MailId, MailInBox, MailboxList};
use super::store;
use crate::base::Clock;
use crate::base::text::normalize_email;
use crate::db::{self, Db, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::http::openapi::Tag;
use crate::http::paging::{Cursors, ListPlace, Listed, Paging};
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Problem};

const MAILBOX: &str = "/api/v1/admin/mailbox";

/// The endpoints of the mailbox, with what they need.
#[derive(Clone, Debug)]
pub struct MailboxApi {
    pub db: Db,
    pub clock: Clock,
    pub cursors: Cursors,
}

#[derive(ApiResponse)]
enum Mailbox {
    /// A page of mails.
    #[oai(status = 200)]
    Page(Json<MailboxList>, #[oai(header = "Link")] Option<String>),
}

#[derive(ApiResponse)]
enum Removed {
    /// It is gone.
    #[oai(status = 204)]
    Removed,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Mail")]
impl MailboxApi {
    /// List mails
    ///
    /// The newest first: those that a server without a mail server did not send. They stay for a week.
    #[oai(path = "/admin/mailbox", method = "get", operation_id = "list_mailbox")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document")]
    async fn list(
        &self,
        caller: Caller,
        /// Only those to this address.
        to: Query<Option<String>>,
        /// Most mails on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<u64>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<u64>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Mailbox, Problem> {
        caller.must(MAIL_ADMIN)?;

        must_be_among(request, &["to", "limit", "cursor", "page", "count"])?;
        let to = to.0.map(|it| normalize_email(&it).unwrap_or(it));
        let scope = format!("mailbox {} {to:?}", caller.tenant());
        let asked = Paging { limit: limit.0, cursor: cursor.0, page: page.0, count: count.0, ..Paging::default() };
        let page = asked.check(&self.cursors, &scope)?;
        let before = page.after.as_deref().and_then(|it| it.parse().ok());
        let (skip, wanted, with_total, address) = (page.skip, page.wanted(), page.with_total, to.clone());

        let read = self
            .db
            .read(caller.tenant(), move |tx| {
                let found = store::list_mails(tx, address.as_deref(), before, skip, wanted)?;
                let total = if with_total { Some(store::count_mails(tx, address.as_deref())?) } else { None };
                Ok::<_, db::Error>((found, total))
            })
            .await?;

        let query = to.map(|it| form_urlencoded::Serializer::new(String::new()).append_pair("to", &it).finish());
        let place = ListPlace { path: MAILBOX, query: &query.unwrap_or_default(), scope: &scope };
        let Listed { data, meta, link } = page.listed(&place, &self.cursors, read, |it| it.id.to_string());
        Ok(Mailbox::Page(Json(MailboxList { data, meta }), link))
    }

    /// Read a mail
    #[oai(path = "/admin/mailbox/:id", method = "get", operation_id = "show_mail")]
    async fn show(&self, caller: Caller, _query: NoQuery, id: Path<String>) -> Result<Json<MailInBox>, Problem> {
        caller.must(MAIL_ADMIN)?;

        let id = read_id(&id)?;
        let found = self.db.read(caller.tenant(), move |tx| store::find_mail(tx, id)).await?;

        Ok(Json(found.ok_or(Error::NotFound)?))
    }

    /// Remove a mail
    #[oai(path = "/admin/mailbox/:id", method = "delete", operation_id = "delete_mail")]
    async fn delete(
        &self,
        caller: Caller,
        _query: NoQuery,
        id: Path<String>,
        trail: Trail,
    ) -> Result<Removed, Problem> {
        caller.must(MAIL_ADMIN)?;

        let (id, actor, now) = (read_id(&id)?, trail.of(&caller), self.clock.now());
        let remove = move |tx: &mut Tx<'_>| {
            if !store::delete_mail(tx, id)? {
                return Err(Error::NotFound);
            }
            Ok(actor.append(tx, now, &Entry::new(Action::MailboxDelete).about("mail", &id))?)
        };
        self.db.free(caller.tenant(), remove).await?;

        Ok(Removed::Removed)
    }

    /// Remove all mails
    #[oai(path = "/admin/mailbox", method = "delete", operation_id = "empty_mailbox")]
    async fn empty(&self, caller: Caller, _query: NoQuery, trail: Trail) -> Result<Removed, Problem> {
        caller.must(MAIL_ADMIN)?;

        let (actor, now) = (trail.of(&caller), self.clock.now());
        let remove = move |tx: &mut Tx<'_>| {
            store::delete_all_mails(tx)?;
            actor.append(tx, now, &Entry::new(Action::MailboxDelete))
        };
        self.db.free(caller.tenant(), remove).await?;

        Ok(Removed::Removed)
    }
}

/// What is no id is the id of nothing.
fn read_id(id: &Path<String>) -> Result<MailId, Error> {
    id.0.parse().map_err(|_| Error::NotFound)
}
