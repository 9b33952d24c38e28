//! The endpoints that write records of several collections at once, or all of one.
use poem::Request;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::access::Asker;
use super::api::RecordsApi;
use super::batch::Batch;
use super::bulk::{Bulk, BulkReport, Deed};
use super::payload::{BatchJson, RecordJson};
use super::query::Asked;
use crate::features::accounts::RECORDS_ADMIN;
use crate::features::audit::Trail;
use crate::http::etag;
use crate::http::openapi::Tag;
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, ClientAddress, Input, Problem, RequestId, Visitor};

/// The endpoints that write many records.
#[derive(Clone, Debug)]
pub struct WritingApi {
    pub records: RecordsApi,
}

#[derive(ApiResponse)]
enum Batched {
    /// What became of each operation.
    #[oai(status = 200)]
    Results(BatchJson),
}

#[derive(ApiResponse)]
enum Restored {
    /// The record as it is now.
    #[oai(status = 200)]
    Record(RecordJson, #[oai(header = "ETag")] String),
}

#[OpenApi(prefix_path = "/api/v1")]
impl WritingApi {
    /// Do several things at once
    ///
    /// Up to 200 operations on records of any collections, in one transaction: each under its own rights, one after
    /// the other, and with a result of its own. With `transaction` all are done or none: if one fails the answer is
    /// the problem `batch-failed` (409), whose `results` has what became of each.
    #[oai(path = "/batch", method = "post", operation_id = "batch", tag = "Tag::Records")]
    async fn batch(
        &self,
        visitor: Visitor,
        trail: Trail,
        _query: NoQuery,
        address: ClientAddress,
        request: &Request,
        body: Input<Batch>,
    ) -> Result<Batched, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_batch(&caller, self.records.circumstances("POST", address)).leaving(&trail);

        let batch = body.read()?;
        let request_id = request.data::<RequestId>().map(RequestId::as_str).unwrap_or_default();
        let results = self.records.batch(&caller, &asker.detached(), batch, request_id).await?;

        Ok(Batched::Results(BatchJson(results)))
    }

    /// Restore a record
    ///
    /// Takes it out of the bin, as it was when it was deleted. The rule `delete` decides who may, and the rule `create`
    /// must be true for the record as it is then.
    #[oai(
        path = "/collections/:collection/records/:id/restore",
        method = "post",
        operation_id = "restore_record",
        tag = "Tag::Records"
    )]
    async fn restore(
        &self,
        visitor: Visitor,
        trail: Trail,
        _query: NoQuery,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
    ) -> Result<Restored, Problem> {
        let caller = visitor.0;
        let asker =
            Asker::to_write(&caller, &collection.0, self.records.circumstances("POST", address))?.leaving(&trail);

        let restore = |known| self.records.restore(&caller, &asker, known, &collection.0, &id.0);
        let found = self.records.catalogues.with(caller.tenant(), restore).await?;

        Ok(Restored::Record(RecordJson(found.json), etag::of_version(found.version)))
    }

    /// Delete all records of a collection
    ///
    /// For good, those in the bin too, whatever the rules say, in batches that others can come between. Those that other records refer to with
    /// `onDelete: restrict` stay, and the answer names them.
    #[oai(
        path = "/collections/:collection/truncate",
        method = "post",
        operation_id = "truncate_collection",
        tag = "Tag::Records"
    )]
    async fn truncate(
        &self,
        caller: Caller,
        trail: Trail,
        address: ClientAddress,
        collection: Path<String>,
        /// Only says how many there are.
        #[oai(name = "dryRun")]
        dry_run: Query<Option<bool>>,
        request: &Request,
    ) -> Result<Json<BulkReport>, Problem> {
        caller.must_in(RECORDS_ADMIN, &collection.0)?;

        must_be_among(request, &["dryRun"])?;
        let asker =
            Asker::to_write(&caller, &collection.0, self.records.circumstances("DELETE", address))?.leaving(&trail);
        let dry_run = dry_run.0 == Some(true);
        let bulk = Bulk { deed: Deed::Truncate, asked: Asked::default(), max: None, dry_run };
        let report = self.records.bulk(&caller, &asker, &collection.0, &bulk).await?;

        Ok(Json(report))
    }
}
