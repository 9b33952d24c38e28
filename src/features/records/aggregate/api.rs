//! The endpoint of aggregates.
use std::sync::Arc;

use poem::http::header::CONTENT_TYPE;
use poem::{IntoResponse, Request, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Payload;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{Example, ToJSON, Type};
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde_json::json;

use super::super::access::{Asker, Circumstances};
use super::super::error::Error;
use super::asked::Question;
use super::groups;
use crate::base::Clock;
use crate::db::Db;
use crate::features::collections::{Catalogue, Catalogues};
use crate::http::openapi::Tag;
use crate::http::{Caller, ClientAddress, Problem, Visitor};

const MEDIA_TYPE: &str = "application/json";

/// The endpoint of aggregates, with what it needs.
#[derive(Clone, Debug)]
pub struct AggregatesApi {
    pub db: Db,
    pub clock: Clock,
    pub catalogues: Catalogues,
}

/// What is true of the groups as a whole.
#[derive(Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct AggregateMeta {
    /// Most groups of this answer.
    limit: u64,
    /// Whether there are more groups.
    has_more: bool,
}

impl Example for AggregateMeta {
    fn example() -> Self {
        Self { limit: 100, has_more: false }
    }
}

/// Groups, written already.
#[derive(Debug)]
pub struct AggregateJson(Vec<u8>);

impl Payload for AggregateJson {
    const CONTENT_TYPE: &'static str = MEDIA_TYPE;

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference("Aggregate".to_owned())
    }

    fn register(registry: &mut Registry) {
        AggregateMeta::register(registry);
        registry.create_schema::<Self, _>("Aggregate".to_owned(), |_| {
            let group = MetaSchema {
                additional_properties: Some(Box::new(MetaSchemaRef::Inline(Box::new(MetaSchema::ANY)))),
                ..MetaSchema::new("object")
            };
            let groups = MetaSchema {
                items: Some(Box::new(MetaSchemaRef::Inline(Box::new(group)))),
                ..MetaSchema::new("array")
            };
            MetaSchema {
                description: Some("Groups, each with what it was made by and its metrics, named as they were asked for."),
                required: vec!["data", "meta"],
                properties: vec![
                    ("data", MetaSchemaRef::Inline(Box::new(groups))),
                    ("meta", AggregateMeta::schema_ref()),
                ],
                example: Some(json!({
                    "data": [{ "state": "draft", "count": 3, "avg(score)": 4.5 }, { "state": "live", "count": 5, "avg(score)": 7.25 }],
                    "meta": AggregateMeta::example().to_json(),
                })),
                ..MetaSchema::new("object")
            }
        });
    }
}

impl IntoResponse for AggregateJson {
    fn into_response(self) -> Response {
        Response::builder().header(CONTENT_TYPE, MEDIA_TYPE).body(self.0)
    }
}

#[derive(ApiResponse)]
enum Aggregated {
    /// The groups.
    #[oai(status = 200)]
    Groups(AggregateJson),
}

#[OpenApi(prefix_path = "/api/v1")]
impl AggregatesApi {
    /// Count and sum up records
    ///
    /// Those that the rule `list` lets the caller see, and that `filter` and `where[…]` select, in groups. Without
    /// `groupBy` all of them are one group.
    #[oai(
        path = "/collections/:collection/aggregate",
        method = "get",
        operation_id = "aggregate_records",
        tag = "Tag::Records"
    )]
    #[expect(clippy::too_many_arguments, reason = "each stands in the document; the query is read as a whole")]
    async fn aggregate(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        collection: Path<String>,
        request: &Request,
        /// Up to three fields: `state,author`. A time is put in parts: `createdAt:day`, and so `hour`, `week` (from
        /// Monday), `month` and `year`, in UTC.
        #[oai(name = "groupBy")]
        _group_by: Query<Option<String>>,
        /// `count`, `count(field)`, `count(distinct field)`, `sum(field)`, `avg(field)`, `min(field)`, `max(field)`,
        /// with commas between. Absent: `count`.
        #[oai(name = "metrics")]
        _metrics: Query<Option<String>>,
        /// An expression that is true for the records that count.
        #[oai(name = "filter")]
        _filter: Query<Option<String>>,
        /// Groups and metrics to sort by, `-` before one to turn it round: `-count`. Absent: the groups, in order.
        #[oai(name = "sort")]
        _sort: Query<Option<String>>,
        /// Most groups: 1 to 500, or 100 if absent.
        #[oai(name = "limit")]
        _limit: Query<Option<String>>,
    ) -> Result<Aggregated, Problem> {
        let caller = visitor.0;
        let asker =
            Asker::to_read(&caller, &collection.0, Circumstances { now: self.clock.now(), method: "GET", address })?;

        let query = request.uri().query().unwrap_or_default();
        let read = |known| self.groups(&caller, &asker, known, &collection.0, query);
        let json = self.catalogues.with(caller.tenant(), read).await?;

        Ok(Aggregated::Groups(AggregateJson(json)))
    }
}

impl AggregatesApi {
    async fn groups(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        query: &str,
    ) -> Result<Vec<u8>, Error> {
        let entry = known.to_read(collection)?;
        asker.must_be_let(entry, &entry.rules.list, "list")?;
        entry.must_be_readable()?;
        let (question, asked) = Question::read(query, entry, &asker.sight)?;
        let mut faults = Vec::new();
        let restriction = asker.restriction(&known, entry, &asked, &mut faults);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let plan = groups::plan(question, &entry.from, restriction);
        let value_bytes_max = entry.view.as_ref().map(|it| it.value_bytes_max);

        let catalogue = Arc::clone(&known);
        let run = move |tx: &mut crate::db::Tx<'_>| {
            catalogue.must_be_current(tx)?;
            if value_bytes_max.is_some() {
                tx.bound_values(value_bytes_max)?;
            }
            groups::run(tx, &plan)
        };
        self.db.read(caller.tenant(), run).await.map_err(|it: Error| it.of(entry))
    }
}
