//! The endpoints of records.
use std::sync::Arc;
use std::time::Duration;

use poem::Request;
use poem::http::header::CONTENT_TYPE;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::Value;

use super::access::{Asker, Circumstances};
use super::body::Meant;
use super::bulk::{Bulk, BulkReport, Deed};
use super::files::{self, FileAnswer, FileBody};
use super::import::ImportReport;
use super::payload::{RecordJson, RecordListJson, RecordOrReport};
use super::query::Asked;
use super::running::Running;
use super::upsert::{Upserted, Wanted};
use super::write::Change;
use crate::base::{Clock, Random};
use crate::db::Db;
use crate::features::accounts::RECORDS_ADMIN;
use crate::features::audit::Trail;
use crate::features::collections::Catalogues;
use crate::http::etag::{self, IfMatch};
use crate::http::input::{Patch, PatchInput};
use crate::http::openapi::Tag;
use crate::http::paging::Cursors;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{BodyCap, ClientAddress, Fault, Input, Problem, Visitor, problem};

/// The endpoints of records, with what they need.
#[derive(Clone, Debug)]
pub struct RecordsApi {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub catalogues: Catalogues,
    pub cursors: Cursors,
    pub exports: Running,
}

/// What is said of an export that is asked for in parts.
const WHOLE: &str = "an export has every record whole, in the order of the ids: `filter` and `where` narrow it";
/// An export takes as long as its client takes to read it.
const RETRY_WHEN_EXPORTING: Duration = Duration::from_secs(10);

#[derive(ApiResponse)]
enum Listed {
    /// A page of records.
    #[oai(status = 200)]
    Page(RecordListJson, #[oai(header = "Link")] Option<String>, #[oai(header = "Preference-Applied")] Option<String>),
}

#[derive(ApiResponse)]
enum Shown {
    /// The record.
    #[oai(status = 200)]
    Record(RecordJson, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Made {
    /// The record was made.
    #[oai(status = 201)]
    Record(RecordJson, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum Put {
    /// The record as it is now.
    #[oai(status = 200)]
    Changed(RecordJson, #[oai(header = "ETag")] String),
    /// The record was made.
    #[oai(status = 201)]
    Made(RecordJson, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum Patched {
    /// With `by`, the record as it is now; with `filter`, what became of the records.
    #[oai(status = 200)]
    Changed(RecordOrReport, #[oai(header = "ETag")] Option<String>),
    /// The record was made.
    #[oai(status = 201)]
    Made(RecordJson, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum Gone {
    /// It is gone.
    #[oai(status = 204)]
    Gone,
}

#[OpenApi(prefix_path = "/api/v1")]
impl RecordsApi {
    /// List records
    ///
    /// Those that the rule `list` lets the caller see. Beside `filter`, a condition on one field is written
    /// `where[field]=value` or `where[field][operator]=value`, with `eq`, `ne`, `gt`, `gte`, `lt`, `lte`, `in`,
    /// `contains`, `icontains`, `startsWith` or `isNull`.
    #[oai(
        path = "/collections/:collection/records",
        method = "get",
        operation_id = "list_records",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn list(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        collection: Path<String>,
        request: &Request,
        /// Most records on a page: 1 to 500, or 30 if absent.
        #[oai(name = "limit")]
        _limit: Query<Option<String>>,
        /// `meta.nextCursor` of the page before.
        #[oai(name = "cursor")]
        _cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        #[oai(name = "page")]
        _page: Query<Option<String>>,
        /// `exact` adds `meta.total`, as `Prefer: count=exact` does; `planned` estimates it where it would take long to count.
        #[oai(name = "count")]
        _count: Query<Option<String>>,
        /// Fields to sort by, `-` before one to turn it round: `-views,title`. The id breaks ties.
        #[oai(name = "sort")]
        _sort: Query<Option<String>>,
        /// An expression that is true for the records to show: `views > 10 && title.startsWith('A')`.
        #[oai(name = "filter")]
        _filter: Query<Option<String>>,
        /// The members to show: `id,title,author.name`. Absent: all.
        #[oai(name = "fields")]
        _fields: Query<Option<String>>,
        /// Relations to follow, at most 16 and 4 in a row: `author,tags,comments_via_post.author`. What they refer to
        /// stands under `expand`; of those that refer to a record the first 100, and `_more` names what has more.
        #[oai(name = "expand")]
        _expand: Query<Option<String>>,
        /// Words to look for in the fields that the collection searches: the last one may be the beginning of one,
        /// `"several words"` stand in a row, and `-word` is not there. By relevance, unless `sort` says otherwise.
        #[oai(name = "search")]
        _search: Query<Option<String>>,
        /// `true` shows under `_search` how relevant each record is, and where the words are.
        #[oai(name = "highlight")]
        _highlight: Query<Option<String>>,
        /// `with` or `only` the deleted records that the rule `delete` lets the caller delete. Absent: none of them.
        #[oai(name = "trashed")]
        _trashed: Query<Option<String>>,
    ) -> Result<Listed, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_read(&caller, &collection.0, self.circumstances("GET", address))?;

        let mut asked = Asked::read(request.uri().query().unwrap_or_default())?;
        let applied = asked.prefer(request.headers());
        let read = |known| self.page(&caller, &asker, known, &collection.0, &asked);
        let (json, link) = self.catalogues.with(caller.tenant(), read).await?;

        Ok(Listed::Page(RecordListJson(json), link, applied))
    }

    /// Make a record
    ///
    /// Fields that are absent get their default. The rule `create` is judged on the record as it would be.
    #[oai(
        path = "/collections/:collection/records",
        method = "post",
        operation_id = "create_record",
        tag = "Tag::Records"
    )]
    async fn create(
        &self,
        visitor: Visitor,
        trail: Trail,
        _query: NoQuery,
        address: ClientAddress,
        collection: Path<String>,
        body: Input<Any<Value>>,
    ) -> Result<Made, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_write(&caller, &collection.0, self.circumstances("POST", address))?.leaving(&trail);

        let bytes = Arc::new(body.bytes());
        let id = self.random.uuid_v7(&self.clock).to_string();
        let write = |known| self.make(&caller, &asker, known, &collection.0, &bytes, &id);
        let found = self.catalogues.with(caller.tenant(), write).await?;

        let location = location(&collection.0, &id);
        Ok(Made::Record(RecordJson(found.json), etag::of_version(found.version), location))
    }

    /// Read a record
    ///
    /// For whomever the rule `view` does not let see it, it is not there.
    #[oai(
        path = "/collections/:collection/records/:id",
        method = "get",
        operation_id = "show_record",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn show(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        request: &Request,
        /// The members to show: `id,title,author.name`. Absent: all.
        #[oai(name = "fields")]
        _fields: Query<Option<String>>,
        /// Relations to follow, as in a list: `author,tags,comments_via_post.author`.
        #[oai(name = "expand")]
        _expand: Query<Option<String>>,
        /// `with` or `only`, to find it in the bin.
        #[oai(name = "trashed")]
        _trashed: Query<Option<String>>,
    ) -> Result<Shown, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_read(&caller, &collection.0, self.circumstances("GET", address))?;

        let asked = Asked::read(request.uri().query().unwrap_or_default())?;
        asked.must_be_about_one()?;
        let read = |known| self.find(&caller, &asker, known, &collection.0, &id.0, &asked);
        let found = self.catalogues.with(caller.tenant(), read).await?;

        Ok(Shown::Record(RecordJson(found.json), etag::of_version(found.version)))
    }

    /// Change a record
    ///
    /// A JSON Merge Patch (RFC 7396): what is absent stays. `{"views": {"$increment": 1}}`,
    /// `{"tags": {"$add": ["a"]}}` and `{"tags": {"$remove": ["a"]}}` are done to what is there, whoever changed it
    /// last. With `Content-Type: application/json-patch+json` a JSON Patch (RFC 6902): operations, done all or none, with
    /// `test` first where the change depends on what is there. The rule `update` is judged on the record as it was.
    #[oai(
        path = "/collections/:collection/records/:id",
        method = "patch",
        operation_id = "update_record",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document, or guards it")]
    async fn update(
        &self,
        visitor: Visitor,
        trail: Trail,
        _query: NoQuery,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        /// The `ETag` of the record that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: PatchInput,
    ) -> Result<Shown, Problem> {
        self.rewrite(visitor, trail, address, collection, id, if_match, body.read(), Meant::Change).await
    }

    /// Replace a record
    ///
    /// Fields that are absent get their default. The rule `update` is judged on the record as it was.
    #[oai(
        path = "/collections/:collection/records/:id",
        method = "put",
        operation_id = "replace_record",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document, or guards it")]
    async fn replace(
        &self,
        visitor: Visitor,
        trail: Trail,
        _query: NoQuery,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        /// The `ETag` of the record that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<Any<Value>>,
    ) -> Result<Shown, Problem> {
        let body = body.bytes().map(Patch::Merge);
        self.rewrite(visitor, trail, address, collection, id, if_match, body, Meant::Whole).await
    }

    /// Delete a record
    ///
    /// With what refers to it, where relations say so. The rule `delete` is judged on the record as it was. Where the
    /// collection has `softDelete` the record is kept in a bin, and nothing else changes; with `purge=true`, which needs
    /// the permission `records:admin`, it goes for good.
    #[oai(
        path = "/collections/:collection/records/:id",
        method = "delete",
        operation_id = "delete_record",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document, or guards it")]
    async fn delete(
        &self,
        visitor: Visitor,
        trail: Trail,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        /// Delete it for good, in the bin or not.
        #[oai(name = "purge")]
        purge: Query<Option<bool>>,
        /// The `ETag` of the record that shall go.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        request: &Request,
    ) -> Result<Gone, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_write(&caller, &collection.0, self.circumstances("DELETE", address))?.leaving(&trail);

        must_be_among(request, &["purge"])?;
        let is_final = purge.0 == Some(true);
        if is_final {
            caller.must_in(RECORDS_ADMIN, &collection.0)?;
        }
        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let drop = |known| self.remove(&asker, known, &collection.0, &id.0, &expected, is_final);
        self.catalogues.with(caller.tenant(), drop).await?;

        Ok(Gone::Gone)
    }

    /// Make or replace a record
    ///
    /// Finds the record by a value that no two records share, `by=slug`, or by those of a unique index, `by=shop,number`:
    /// they are in the body. If it is there it is replaced, and the rule `update` is asked; otherwise it is made, and the
    /// rule `create` is asked.
    #[oai(path = "/collections/:collection/records", method = "put", operation_id = "put_record", tag = "Tag::Records")]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document, or guards it")]
    async fn put(
        &self,
        visitor: Visitor,
        trail: Trail,
        address: ClientAddress,
        collection: Path<String>,
        /// The field that is unique, or the fields of a unique index, with commas between.
        #[oai(name = "by")]
        by: Query<Option<String>>,
        /// The `ETag` of the record that shall be replaced; none is made then.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        request: &Request,
        body: Input<Any<Value>>,
    ) -> Result<Put, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_write(&caller, &collection.0, self.circumstances("PUT", address))?.leaving(&trail);

        must_be_among(request, &["by"])?;
        let wanted = self.wanted(by.0, body, if_match.0.as_deref(), Meant::Whole)?;
        let (judge, name) = (asker.detached(), &collection.0);
        let write = |known| self.upsert(&caller, &judge, known, name, Arc::clone(&wanted));
        let Upserted { id, found, is_new } = self.catalogues.with(caller.tenant(), write).await?;

        let (record, tag) = (RecordJson(found.json), etag::of_version(found.version));
        Ok(if is_new { Put::Made(record, tag, location(name, &id)) } else { Put::Changed(record, tag) })
    }

    /// Change many records, or make or change one
    ///
    /// With `filter` or `where[…]` all records are changed that it selects of those that the rule `list` shows the
    /// caller and the rule `update` lets them change, in batches that others can come between; the answer says how
    /// many. With `by` the one record that has a unique value of the body is changed, or made if it is not there. The
    /// body is a change as for one record.
    #[oai(
        path = "/collections/:collection/records",
        method = "patch",
        operation_id = "patch_records",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document, or guards it")]
    async fn patch(
        &self,
        visitor: Visitor,
        trail: Trail,
        address: ClientAddress,
        collection: Path<String>,
        /// The field that is unique, or the fields of a unique index, with commas between.
        #[oai(name = "by")]
        by: Query<Option<String>>,
        /// An expression that is true for the records to change; `true` for all of them.
        #[oai(name = "filter")]
        _filter: Query<Option<String>>,
        /// Refuse if more records match. Absent: 1,000.
        #[oai(name = "max")]
        _max: Query<Option<String>>,
        /// Only says how many match.
        #[oai(name = "dryRun")]
        _dry_run: Query<Option<String>>,
        /// With `by`: the `ETag` of the record that shall be changed; none is made then.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        request: &Request,
        body: Input<Any<Value>>,
    ) -> Result<Patched, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_write(&caller, &collection.0, self.circumstances("PATCH", address))?.leaving(&trail);

        if by.0.is_none() {
            let bulk = Bulk::read(request.uri().query().unwrap_or_default(), Deed::Change(body.bytes()))?;
            let report = self.bulk(&caller, &asker, &collection.0, &bulk).await?;
            return Ok(Patched::Changed(RecordOrReport::Report(report), None));
        }
        must_be_among(request, &["by"])?;
        let wanted = self.wanted(by.0, body, if_match.0.as_deref(), Meant::Change)?;
        let (judge, name) = (asker.detached(), &collection.0);
        let write = |known| self.upsert(&caller, &judge, known, name, Arc::clone(&wanted));
        let Upserted { id, found, is_new } = self.catalogues.with(caller.tenant(), write).await?;

        let (record, tag) = (RecordJson(found.json), etag::of_version(found.version));
        Ok(match is_new {
            true => Patched::Made(record, tag, location(name, &id)),
            false => Patched::Changed(RecordOrReport::Record(record), Some(tag)),
        })
    }

    /// Delete many records
    ///
    /// All that `filter` or `where[…]` selects of those that the rule `list` shows the caller and the rule `delete`
    /// lets them delete, in batches that others can come between; the answer says how many.
    #[oai(
        path = "/collections/:collection/records",
        method = "delete",
        operation_id = "delete_many_records",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn delete_many(
        &self,
        visitor: Visitor,
        trail: Trail,
        address: ClientAddress,
        collection: Path<String>,
        /// An expression that is true for the records to delete; `true` for all of them.
        #[oai(name = "filter")]
        _filter: Query<Option<String>>,
        /// Refuse if more records match. Absent: 1,000.
        #[oai(name = "max")]
        _max: Query<Option<String>>,
        /// Only says how many match.
        #[oai(name = "dryRun")]
        _dry_run: Query<Option<String>>,
        request: &Request,
    ) -> Result<Json<BulkReport>, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_write(&caller, &collection.0, self.circumstances("DELETE", address))?.leaving(&trail);

        let bulk = Bulk::read(request.uri().query().unwrap_or_default(), Deed::Remove)?;
        let report = self.bulk(&caller, &asker, &collection.0, &bulk).await?;

        Ok(Json(report))
    }

    /// Import records
    ///
    /// NDJSON (`application/x-ndjson`), a JSON array (`application/json`) or CSV with a first row of names
    /// (`text/csv`), of any length. Each record is judged alone: those that do not fit are refused with their line
    /// and their faults, and all others are imported. `id`, `createdAt` and `updatedAt` may be given. Rules are not
    /// asked.
    #[oai(
        path = "/collections/:collection/records/import",
        method = "post",
        operation_id = "import_records",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document, or guards it")]
    async fn import(
        &self,
        visitor: Visitor,
        trail: Trail,
        collection: Path<String>,
        /// `ndjson`, `json` or `csv`; otherwise as `Content-Type` says.
        format: Query<Option<String>>,
        /// Only says what would be refused. What the file itself has twice, and relations within the collection, are
        /// seen only when it is imported.
        #[oai(name = "dryRun")]
        dry_run: Query<Option<bool>>,
        request: &Request,
        body: FileBody,
    ) -> Result<Json<ImportReport>, Problem> {
        let caller = visitor.0;
        caller.must_in(RECORDS_ADMIN, &collection.0)?;

        must_be_among(request, &["format", "dryRun"])?;
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
        let format = files::named(format.0.as_deref().unwrap_or(media_type))?;
        let cap = request.data::<BodyCap>().cloned();
        let dry_run = dry_run.0 == Some(true);
        let report = self.import_file(&caller, &trail, &collection.0, format, body.0, cap, dry_run).await?;

        Ok(Json(report))
    }

    /// Export records
    ///
    /// All that `filter` and `where[…]` select of those that the rule `list` lets the caller see, in the order of
    /// their ids, as NDJSON, a JSON array or CSV. The file is read while it is sent, so records that change meanwhile
    /// may be in it as they were or as they are.
    #[oai(
        path = "/collections/:collection/records/export",
        method = "get",
        operation_id = "export_records",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn export(
        &self,
        visitor: Visitor,
        trail: Trail,
        address: ClientAddress,
        collection: Path<String>,
        /// `ndjson`, `json` or `csv`. Absent: `ndjson`.
        format: Query<Option<String>>,
        /// An expression that is true for the records to export.
        #[oai(name = "filter")]
        _filter: Query<Option<String>>,
        /// `with` or `only` the deleted records that the rule `delete` lets the caller delete. Absent: none of them.
        #[oai(name = "trashed")]
        _trashed: Query<Option<String>>,
        request: &Request,
    ) -> Result<FileAnswer, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_read(&caller, &collection.0, self.circumstances("GET", address))?.leaving(&trail);

        let format = files::named(format.0.as_deref().unwrap_or("ndjson"))?;
        let asked = request.uri().query().unwrap_or_default();
        let asked = Arc::new(Asked::read_without(asked, &["format"], WHOLE)?);
        let running = self.exports.begin(address).ok_or_else(|| {
            let detail = "as many exports are running as may; try again when one of them is done";
            Problem::new(&problem::BUSY, detail).retry_after(RETRY_WHEN_EXPORTING)
        })?;
        let begin = |known| self.begin_export(&asker, known, &collection.0, Arc::clone(&asked), format);
        let export = self.catalogues.with(caller.tenant(), begin).await?;

        Ok(FileAnswer { body: export.into_body(running), format, name: collection.0 })
    }
}

impl RecordsApi {
    pub(super) fn circumstances(&self, method: &'static str, address: ClientAddress) -> Circumstances {
        Circumstances { now: self.clock.now(), method, address }
    }

    /// A record that is to be there, as it is sent.
    fn wanted(
        &self,
        by: Option<String>,
        body: Input<Any<Value>>,
        if_match: Option<&str>,
        meant: Meant,
    ) -> Result<Arc<Wanted>, Problem> {
        let by = by.ok_or_else(|| {
            let detail = "must be given: the field that finds the record, which must be unique";
            Problem::invalid(vec![Fault::new("?by", "required", detail)])
        })?;
        let id = self.random.uuid_v7(&self.clock).to_string();
        Ok(Arc::new(Wanted { id, by, bytes: body.bytes(), expected: IfMatch::parse(if_match)?, meant }))
    }

    #[expect(clippy::too_many_arguments, reason = "those of the two endpoints that it is the body of")]
    async fn rewrite(
        &self,
        visitor: Visitor,
        trail: Trail,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        if_match: Header<Option<String>>,
        body: Result<Patch, Problem>,
        meant: Meant,
    ) -> Result<Shown, Problem> {
        let caller = visitor.0;
        let asker =
            Asker::to_write(&caller, &collection.0, self.circumstances(meant.method(), address))?.leaving(&trail);

        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let change = Arc::new(Change { id: id.0, body, expected, meant });
        let write = |known| self.change(&caller, &asker, known, &collection.0, Arc::clone(&change));
        let found = self.catalogues.with(caller.tenant(), write).await?;

        Ok(Shown::Record(RecordJson(found.json), etag::of_version(found.version)))
    }
}

/// The path of a record.
pub(super) fn location(collection: &str, id: &str) -> String {
    format!("/api/v1/collections/{collection}/records/{id}")
}
