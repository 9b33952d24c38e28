//! The endpoints of the audit trail. All of them read: nobody changes an entry, and nobody removes one.
use std::sync::Arc;
use std::time::Duration;

use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::action::Action;
use super::entry::Entry;
use super::export::{Asked, AuditFile, format_of, part_of};
use super::filter::{Filter, NAMES};
use super::model::{AUDIT_READ, AuditEntry, AuditHead, AuditPage, Kept, NewVerification, Verification};
use super::seal::Seal;
use super::trail::Trail;
use super::{chain, store, verify};
use crate::base::{Clock, Timestamp};
use crate::db::{self, Db, Tx};
use crate::http::openapi::Tag;
use crate::http::paging::{self, Cursors, ListMeta, Paging};
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Fault, Input, Problem, problem};

const LIST: &str = "/api/v1/admin/audit";
/// Entries that one read looks at, at most: a filter that few of millions pass must not take seconds.
pub(super) const LOOKED_AT_MAX: i64 = 50_000;
/// Exports and verifications that run at once. Each has a page in memory.
const RUNNING_MAX: usize = 4;
/// Exports that follow the trail at once, beside those.
const FOLLOWING_MAX: usize = 4;
const RETRY_WHEN_RUNNING: Duration = Duration::from_secs(10);

/// Whether a caller is still who they were when their request began.
pub type StillStands = fn(&mut Tx<'_>, &Caller, Timestamp) -> Result<bool, db::Error>;

/// The endpoints of the audit trail, with what they need.
#[derive(Clone, Debug)]
pub struct AuditApi {
    pub db: Db,
    pub clock: Clock,
    pub cursors: Cursors,
    pub seal: Seal,
    pub still_stands: StillStands,
    pub running: Running,
    /// Ends those that follow, which would go on for ever.
    pub stopping: CancellationToken,
}

/// The exports and verifications that run. Cheap to clone; all clones count together.
#[derive(Clone, Debug)]
pub struct Running {
    to_an_end: Arc<Semaphore>,
    following: Arc<Semaphore>,
}

impl Default for Running {
    fn default() -> Self {
        let of = |most| Arc::new(Semaphore::new(most));
        Self { to_an_end: of(RUNNING_MAX), following: of(FOLLOWING_MAX) }
    }
}

impl Running {
    fn begin(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let detail = "as many exports and verifications of the trail are running as may; try again";
        Self::one_of(&self.to_an_end, detail)
    }

    fn begin_to_follow(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Self::one_of(&self.following, "four follow the trail, which is as many as may; end one of them")
    }

    fn one_of(places: &Arc<Semaphore>, detail: &'static str) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(places)
            .try_acquire_owned()
            .map_err(|_| Problem::new(&problem::BUSY, detail).retry_after(RETRY_WHEN_RUNNING))
    }
}

#[derive(ApiResponse)]
enum Listed {
    /// A page of entries, newest first.
    #[oai(status = 200)]
    Page(Json<AuditPage>, #[oai(header = "Link")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1/admin", tag = "Tag::Audit")]
impl AuditApi {
    /// List entries of the audit trail
    ///
    /// Who did what, newest first. Where few entries fit what is asked for, a page may have less than it could, or none,
    /// and `nextCursor` leads on: it looks at 50,000 entries at most.
    #[oai(path = "/audit", method = "get", operation_id = "list_audit_entries")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn list(
        &self,
        caller: Caller,
        /// Who: the id of an account or a key, an address, or `user`, `key`, `operator`, `server` or `stranger`.
        #[oai(name = "actor")]
        _actor: Query<Option<String>>,
        /// What: an action such as `auth.sign-in`, or all of an area, such as `auth.*`.
        #[oai(name = "action")]
        _action: Query<Option<String>>,
        /// To what: a kind of thing such as `user`, or one of them, `collection/posts`.
        #[oai(name = "resource")]
        _resource: Query<Option<String>>,
        /// `done` or `refused`.
        #[oai(name = "outcome")]
        _outcome: Query<Option<String>>,
        /// The address of the client.
        #[oai(name = "address")]
        _address: Query<Option<String>>,
        /// The id of the request, as in the log and in `X-Request-Id`.
        #[oai(name = "requestId")]
        _request_id: Query<Option<String>>,
        /// From this moment on.
        #[oai(name = "from")]
        _from: Query<Option<String>>,
        /// Before this moment.
        #[oai(name = "to")]
        _to: Query<Option<String>>,
        /// Most entries on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<String>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<String>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Listed, Problem> {
        caller.must(AUDIT_READ)?;

        must_be_among(request, &[NAMES.as_slice(), &["limit", "cursor", "page", "count"]].concat())?;
        let mut asked = Paging { cursor: cursor.0, count: count.0, ..Paging::default() };
        let sent = [("limit", limit.0), ("page", page.0)];
        let mut faults: Vec<_> = sent.iter().filter_map(|(name, it)| asked.read(name, it.as_ref()?).err()).collect();
        let query = request.uri().query().unwrap_or_default();
        let filter = Filter::read(query).unwrap_or_else(|wrong| {
            faults.extend(wrong);
            Filter::default()
        });
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let scope = format!("audit {} {:?} {filter:?}", caller.tenant(), caller.user_id());
        let page = asked.check(&self.cursors, &scope)?;
        let before = page.after.as_deref().and_then(|it| it.parse().ok()).unwrap_or(i64::MAX);
        let (skip, limit, with_total, is_numbered) = (page.skip, page.limit, page.with_total, page.number.is_some());

        let (mut found, total, oldest, lowest) = self
            .db
            .read(caller.tenant(), move |tx| {
                let newest = store::head(tx)?.map_or(0, |(seq, _)| seq);
                let oldest = store::oldest(tx)?.unwrap_or(1);
                // Numbered pages are counted from the first one, and end with the time of a read.
                let lowest = if is_numbered { 0 } else { before.min(newest + 1).saturating_sub(LOOKED_AT_MAX) };
                // One more than the page holds tells whether there is a next one.
                let found = store::list(tx, &filter, lowest, before, skip, limit + 1)?;
                let total = if with_total { Some(store::count(tx, &filter)?.unsigned_abs()) } else { None };
                Ok::<_, db::Error>((found, total, oldest, lowest))
            })
            .await?;

        let has_more = limit < found.len() as u64;
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let last = match found.last() {
            Some(last) if has_more => Some(last.seq),
            // There is more to look at.
            _ if oldest < lowest => Some(lowest),
            _ => None,
        };
        let next_cursor = last.map(|it| self.cursors.seal(&it.to_string(), &scope));
        let link = paging::links(LIST, &narrowing(query), &page, next_cursor.as_deref(), total);
        let meta = ListMeta { limit, next_cursor, page: page.number, total, is_estimate: None };
        let data = found.into_iter().map(Kept::shown).collect();
        Ok(Listed::Page(Json(AuditPage { data, meta }), link))
    }

    /// Read the head of the audit trail
    ///
    /// Number and hash of the newest entry. Whoever keeps them elsewhere can have it checked later that nothing up to
    /// there was changed: `steading audit verify --expect SEQ:HASH`.
    #[oai(path = "/audit/head", method = "get", operation_id = "show_audit_head")]
    async fn head(&self, caller: Caller, _query: NoQuery) -> Result<Json<AuditHead>, Problem> {
        caller.must(AUDIT_READ)?;

        let tenant = caller.tenant().clone();
        // Before the head, which is then never behind it.
        let checkpoint = self.db.read_system(move |tx| store::newest_checkpoint(tx, &tenant)).await?;
        let head = self.db.read(caller.tenant(), store::head).await?;

        let (seq, hash) = head.unwrap_or((0, chain::NOTHING_BEFORE));
        let checkpoint = checkpoint.map(|it| it.shown());
        Ok(Json(AuditHead { seq, hash: chain::hex(&hash), checkpoint, public_key: self.seal.public_key() }))
    }

    /// Export the audit trail
    ///
    /// As NDJSON or CSV, oldest first, made while it is sent. `before` and `after` are texts there, as they are hashed.
    /// With `follow` it goes on with what happens then, for as long as somebody reads.
    #[oai(path = "/audit/export", method = "get", operation_id = "export_audit")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn export(
        &self,
        caller: Caller,
        trail: Trail,
        /// `ndjson` or `csv`. Absent: `ndjson`.
        format: Query<Option<String>>,
        /// Only what comes after the entry of this number. Absent: everything.
        after: Query<Option<String>>,
        /// `true` to go on with what happens then, as NDJSON: an empty line every 25 seconds says that nothing did.
        follow: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "actor")]
        _actor: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "action")]
        _action: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "resource")]
        _resource: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "outcome")]
        _outcome: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "address")]
        _address: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "requestId")]
        _request_id: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "from")]
        _from: Query<Option<String>>,
        /// As in the list.
        #[oai(name = "to")]
        _to: Query<Option<String>>,
        request: &Request,
    ) -> Result<AuditFile, Problem> {
        caller.must(AUDIT_READ)?;

        must_be_among(request, &[NAMES.as_slice(), &["format", "after", "follow"]].concat())?;
        let format = format_of(format.0.as_deref())?;
        let (after, follows) = part_of(after.0.as_deref(), follow.0.as_deref(), format)?;
        let filter = Filter::read(request.uri().query().unwrap_or_default()).map_err(Problem::invalid)?;
        let place = if follows { self.running.begin_to_follow() } else { self.running.begin() }?;
        let (actor, now) = (trail.of(&caller), self.clock.now());
        let told = narrowing(request.uri().query().unwrap_or_default());
        let newest = self
            .db
            .free(caller.tenant(), move |tx| {
                let newest = store::head(tx)?.map_or(0, |(seq, _)| seq);
                let entry =
                    Entry::new(Action::AuditExport).after(serde_json::json!({ "filter": told, "follows": follows }));
                actor.append(tx, now, &entry)?;
                Ok::<_, db::Error>(newest)
            })
            .await?;

        let asked = Asked { filter, format, after, newest, follows };
        Ok(self.export_file(caller, asked, place))
    }

    /// Verify the audit trail
    ///
    /// Follows the chain through 20,000 entries at most, and says where it does not hold. Unless `isComplete`, go on
    /// with `after` set to `checkedTo`; `steading audit verify` does that by itself.
    #[oai(path = "/audit/verify", method = "post", operation_id = "verify_audit")]
    async fn verify(
        &self,
        caller: Caller,
        _query: NoQuery,
        body: Input<NewVerification>,
    ) -> Result<Json<Verification>, Problem> {
        caller.must(AUDIT_READ)?;

        let NewVerification { after, expect } = body.read()?;
        let expected = expect.map(|it| {
            let detail = "must be the number of an entry, a colon, and its hash of 64 hexadecimal digits";
            verify::read_witness(&it).ok_or_else(|| Problem::invalid(vec![Fault::new("/expect", "format", detail)]))
        });
        let expected = expected.transpose()?;
        let _place = self.running.begin()?;
        Ok(Json(verify::verify(&self.db, &self.seal, caller.tenant(), after, expected).await?))
    }

    /// Read an entry of the audit trail
    #[oai(path = "/audit/:seq", method = "get", operation_id = "show_audit_entry")]
    async fn show(&self, caller: Caller, _query: NoQuery, seq: Path<String>) -> Result<Json<AuditEntry>, Problem> {
        caller.must(AUDIT_READ)?;

        // What is no number is the number of nothing.
        let seq: i64 = seq.0.parse().map_err(|_| Problem::not_found())?;
        let found = self.db.get(caller.tenant(), move |tx| store::find(tx, seq)).await?;
        Ok(Json(found.ok_or_else(Problem::not_found)?.shown()))
    }
}

/// The parameters of a query that narrow the list, encoded.
fn narrowing(query: &str) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    out.extend_pairs(form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| NAMES.contains(&name.as_ref())));
    out.finish()
}
