//! The endpoints of all collections as one thing: export, import, and what they were.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use poem::Request;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::{Any, ToJSON};
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::Value;

use super::api::CollectionsApi;
use super::catalogue::Catalogue;
use super::counts::Prospect;
use super::error::Error;
use super::history::{self, Author, SchemaChangeInFull, SchemaHistory, SchemaSource};
use super::model::{COLLECTIONS_READ, COLLECTIONS_WRITE, Change, Collection, Field, NewCollection};
use super::set::{CollectionSet, RoomForSet, SetDeed, SetReport, SetStep};
use super::set_apply::{self, Terms};
use super::set_plan::{self, Birth, Move, SetPlan};
use super::{canonical, counts, history_store};
use crate::base::TenantId;
use crate::db::Tx;
use crate::features::audit::Trail;
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::paging::{self, Cursors, ListMeta, Paging};
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, Input, Problem};

const HISTORY: &str = "/api/v1/admin/collections/history";

/// The endpoints of all collections together, with what they need.
#[derive(Clone, Debug)]
pub struct SchemaApi {
    pub collections: CollectionsApi,
    pub cursors: Cursors,
}

/// What is known of the files of collections.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// What each said when server and files last agreed, by the names of collections.
    pub agreed: BTreeMap<String, String>,
    /// Names of which something was changed since.
    pub behind: BTreeSet<String>,
}

/// How a set is imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetOptions {
    /// Only says what would be done.
    pub dry_run: bool,
    /// Values may go that some record has.
    pub allow_loss: bool,
    /// Collections that the set does not name are dropped.
    pub drop_others: bool,
}

#[derive(ApiResponse)]
enum Exported {
    /// All collections, by name.
    #[oai(status = 200)]
    Set(Json<CollectionSet>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Imported {
    /// What was done, or would be.
    #[oai(status = 200)]
    Report(Json<SetReport>, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum History {
    /// The changes, newest first.
    #[oai(status = 200)]
    Page(Json<SchemaHistory>, #[oai(header = "Link")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Collections")]
impl SchemaApi {
    /// Export all collections
    ///
    /// Fields, indexes, rules and options of each, by name, without ids and times: what `POST /collections/import`
    /// takes, here or on another server. No records.
    #[oai(path = "/collections/export", method = "get", operation_id = "export_collections")]
    async fn export(&self, caller: Caller, _query: NoQuery) -> Result<Exported, Problem> {
        caller.must(COLLECTIONS_READ)?;

        let known = self.collections.catalogues.current(caller.tenant()).await?;

        let collections = known.collections().into_iter().map(NewCollection::from).collect();
        Ok(Exported::Set(Json(CollectionSet { collections }), etag::of_version(known.generation)))
    }

    /// Import collections
    ///
    /// Makes all collections of the set as it says, in one go or not at all; they may refer to each other. Records
    /// stay. A field that the set does not have is dropped, but values that some record has are not lost without
    /// `allowLoss=true`. A collection or a field with `renamedFrom` keeps what the one of that name has; once that is
    /// done, it says nothing any more. With `dryRun=true` nothing is done, and the answer says what would be, with the
    /// numbers of records.
    #[oai(path = "/collections/import", method = "post", operation_id = "import_collections")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document")]
    async fn import(
        &self,
        caller: Caller,
        trail: Trail,
        _room: RoomForSet,
        /// Only says what would be done.
        #[oai(name = "dryRun")]
        dry_run: Query<Option<bool>>,
        /// Lets values go that some record has.
        #[oai(name = "allowLoss")]
        allow_loss: Query<Option<bool>>,
        /// Drops the collections that the set does not name, with their records.
        #[oai(name = "dropOthers")]
        drop_others: Query<Option<bool>>,
        /// The `ETag` of the export or the dry run that the import is meant for: 412 if any collection was changed
        /// since.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        request: &Request,
        body: Input<CollectionSet>,
    ) -> Result<Imported, Problem> {
        caller.must(COLLECTIONS_WRITE)?;

        must_be_among(request, &["dryRun", "allowLoss", "dropOthers"])?;
        let (set, expected) = (body.read()?, IfMatch::parse(if_match.0.as_deref())?);
        let is = |it: Option<bool>| it == Some(true);
        let options =
            SetOptions { dry_run: is(dry_run.0), allow_loss: is(allow_loss.0), drop_others: is(drop_others.0) };
        let author = Author::of(&caller, &trail, SchemaSource::Import);
        let (report, generation) = self.bring(caller.tenant(), set, options, &expected, author).await?;

        Ok(Imported::Report(Json(report), etag::of_version(generation)))
    }

    /// List changes of collections
    ///
    /// What was made, changed, renamed and dropped, when and by whom, newest first. As many are kept as
    /// `schema.history_max` says.
    #[oai(path = "/admin/collections/history", method = "get", operation_id = "list_schema_changes")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document")]
    async fn list(
        &self,
        caller: Caller,
        /// Only those of one collection, under any name that it had.
        collection: Query<Option<String>>,
        /// Most changes on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<u64>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<u64>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        request: &Request,
    ) -> Result<History, Problem> {
        caller.must(COLLECTIONS_READ)?;

        must_be_among(request, &["collection", "limit", "cursor", "page", "count"])?;
        let name = collection.0;
        let scope = format!("schema changes {} {:?} {name:?}", caller.tenant(), caller.subject());
        let asked = Paging { limit: limit.0, cursor: cursor.0, page: page.0, count: count.0, ..Paging::default() };
        let page = asked.check(&self.cursors, &scope)?;
        let before = page.after.as_deref().and_then(|it| it.parse().ok()).unwrap_or(i64::MAX);
        let (skip, limit, with_total, named) = (page.skip, page.limit, page.with_total, name.clone());

        let (mut data, total) = self
            .collections
            .db
            .read(caller.tenant(), move |tx| {
                // One more than the page holds tells whether there is a next one.
                let found = history_store::list(tx, named.as_deref(), before, skip, limit + 1)?;
                let total = if with_total { Some(history_store::count(tx, named.as_deref())?) } else { None };
                Ok::<_, Error>((found, total))
            })
            .await?;

        let has_more = limit < data.len() as u64;
        data.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let last = data.last().filter(|_| has_more);
        let next_cursor = last.map(|it| self.cursors.seal(&it.version.to_string(), &scope));
        let query =
            name.map(|it| form_urlencoded::Serializer::new(String::new()).append_pair("collection", &it).finish());
        let query = query.unwrap_or_default();
        let link = paging::links(HISTORY, &query, &page, next_cursor.as_deref(), total);
        let meta = ListMeta { limit, next_cursor, page: page.number, total, is_estimate: None };
        Ok(History::Page(Json(SchemaHistory { data, meta }), link))
    }

    /// Read a change of a collection
    ///
    /// The collection before and after, and each difference between the two.
    #[oai(path = "/admin/collections/history/:version", method = "get", operation_id = "show_schema_change")]
    async fn show(
        &self,
        caller: Caller,
        _query: NoQuery,
        version: Path<String>,
    ) -> Result<Json<SchemaChangeInFull>, Problem> {
        caller.must(COLLECTIONS_READ)?;

        // What is no number is the number of nothing.
        let version = version.0.parse().map_err(|_| Error::NotFound)?;
        let find = move |tx: &mut Tx<'_>| history_store::find(tx, version)?.ok_or(Error::NotFound);
        let found = self.collections.db.read(caller.tenant(), find).await?;

        let json = |it: Option<String>| it.and_then(|it| serde_json::from_str::<Value>(&it).ok()).unwrap_or_default();
        let (before, after) = (json(found.before), json(found.after));
        let diff = history::differences(&before, &after);
        Ok(Json(SchemaChangeInFull { change: found.change, before: Any(before), after: Any(after), diff }))
    }
}

impl SchemaApi {
    /// Makes collections as a set says, or says what that would do. Returns the generation of the collections that is
    /// true of, too.
    pub async fn bring(
        &self,
        tenant: &TenantId,
        set: CollectionSet,
        options: SetOptions,
        expected: &IfMatch,
        author: Author,
    ) -> Result<(SetReport, i64), Error> {
        let own = &self.collections;
        let work = async |known: Arc<Catalogue>| {
            if !expected.allows(known.generation) {
                return Err(Error::StaleSet);
            }
            let (before, wanted) = (Arc::clone(&known), set.collections.clone());
            let (random, clock, now) = (own.random.clone(), own.clock.clone(), own.clock.now());
            let plan = own.considered(tenant, move || {
                let mut id = || random.id(&clock);
                set_plan::plan(&before, &wanted, options.drop_others, &mut Birth { id: &mut id, now })
            });
            let plan = plan.await?;
            // Over tables that stay as they are; of others nothing can be found out before they are made.
            let sides = plan.moves.iter().flat_map(|it| it.before.iter().chain(&it.after));
            let unsettled: Vec<_> = sides.filter(|it| it.view.is_none()).map(|it| it.name.clone()).collect();
            for view in plan.moves.iter().filter_map(|it| it.after.as_ref()).filter(|it| it.view.is_some()) {
                own.must_be_sound(tenant, &known, view, &unsettled).await?;
            }
            let mut report = self.report(tenant, &known, &plan, options.dry_run).await?;
            if options.dry_run || plan.moves.is_empty() {
                (report.is_done, report.generation) = (!options.dry_run, known.generation);
                return Ok((report, known.generation));
            }

            let (history_max, allow_loss) = (own.config.get().history_max, options.allow_loss);
            let terms = Terms { author: author.clone(), now, allow_loss, history_max };
            let outdated = Arc::clone(&known);
            let done = own.db.write_alone(tenant, move |tx| {
                known.must_be_current(tx)?;
                set_apply::apply(tx, &plan, &terms)
            });
            report.loses_data = done.await?;
            let now_known = own.catalogues.newer_than(tenant, &outdated).await?;
            (report.is_done, report.generation) = (true, now_known.generation);
            Ok((report, now_known.generation))
        };
        own.catalogues.with(tenant, work).await
    }

    /// All collections as they stand in files, by their names, with the generation that this is true of.
    pub async fn canonical(&self, tenant: &TenantId) -> Result<(i64, BTreeMap<String, Value>), Error> {
        let known = self.collections.catalogues.current(tenant).await?;
        let all = known.entries().iter().map(|it| (it.name().to_owned(), canonical::of(&it.collection)));
        Ok((known.generation, all.collect()))
    }

    /// What is known of the files of collections.
    pub async fn ledger(&self, tenant: &TenantId) -> Result<Ledger, Error> {
        let read = |tx: &mut Tx<'_>| {
            let agreed = history_store::files(tx)?.into_iter().collect();
            Ok(Ledger { agreed, behind: history_store::behind(tx)?.into_iter().collect() })
        };
        self.collections.db.read(tenant, read).await
    }

    /// Notes what files say, now that they agree with the collections as these were at a generation; of those without
    /// text, that there are none.
    pub async fn agree(
        &self,
        tenant: &TenantId,
        files: Vec<(String, Option<String>)>,
        generation: i64,
    ) -> Result<(), Error> {
        if files.is_empty() {
            return Ok(());
        }
        let note = move |tx: &mut Tx<'_>| {
            for (name, says) in &files {
                match says {
                    Some(says) => history_store::put_file(tx, name, says)?,
                    None => history_store::delete_file(tx, name)?,
                }
                history_store::delete_behind(tx, name, generation)?;
            }
            Ok(())
        };
        self.collections.db.write(tenant, note).await
    }

    /// A report as clients get it.
    pub fn shown(&self, report: &SetReport) -> Value {
        report.to_json().unwrap_or_default()
    }

    /// What a plan does, with the numbers of records if these are wanted.
    async fn report(
        &self,
        tenant: &TenantId,
        known: &Catalogue,
        plan: &SetPlan,
        with_numbers: bool,
    ) -> Result<SetReport, Error> {
        let mut steps = Vec::new();
        let mut counted = Vec::new();
        for it in &plan.moves {
            if let (true, Some(old)) = (with_numbers, &it.before) {
                let new = it.after.as_ref().unwrap_or(old);
                counted.extend(it.all_steps().map(|step| (old, new, step)));
            }
        }
        let prospect = Prospect { collections: would_be(known, plan), now: self.collections.clock.now() };
        let mut numbers = counts::tell(&self.collections.db, tenant, counted, &prospect).await?.into_iter();
        for it in &plan.moves {
            let is_counted = with_numbers && it.before.is_some();
            let changes = it.all_steps().map(|step| {
                let counted = if is_counted { numbers.next() } else { None };
                counted.unwrap_or_else(|| step.change.clone())
            });
            let changes: Vec<Change> = changes.collect();
            steps.push(SetStep { collection: it.name().to_owned(), deed: deed(it), changes });
        }
        let changes = || steps.iter().flat_map(|it| &it.changes);
        // What was not counted to its end may be there.
        let loses_data = changes().any(|it| it.loses_data && (it.at_least || it.records != Some(0)));
        let is_blocked = changes().any(|it| it.in_the_way.is_some_and(|it| 0 < it));
        Ok(SetReport {
            generation: 0,
            is_done: false,
            loses_data,
            is_blocked,
            collections: steps,
            others: plan.others.clone(),
        })
    }
}

/// All collections as they would be after a plan.
fn would_be(known: &Catalogue, plan: &SetPlan) -> Vec<Collection> {
    let is_moved = |it: &Collection| plan.moves.iter().filter_map(|it| it.before.as_ref()).any(|old| old.id == it.id);
    let stays = known.collections().into_iter().filter(|it| !is_moved(it));
    let settled = |it: &Collection| Collection {
        fields: it.fields.iter().map(|it| Field { renamed_from: None, ..it.clone() }).collect(),
        ..it.clone()
    };
    stays.chain(plan.moves.iter().filter_map(|it| it.after.as_ref()).map(settled)).collect()
}

fn deed(of: &Move) -> SetDeed {
    match (&of.before, &of.after) {
        (None, _) => SetDeed::Create,
        (Some(_), Some(_)) => SetDeed::Change,
        (Some(_), None) => SetDeed::Drop,
    }
}
