//! The endpoints of records.
use std::sync::Arc;

use poem::Request;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::types::Any;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::Value as Json;

use super::access::{Asker, Circumstances};
use super::body::{self, Meant, Sent};
use super::error::Error;
use super::projection::Projection;
use super::query::Asked;
use super::statement::Statement;
use super::store::{self, ALIAS, Found};
use super::{expand, list};
use crate::base::{Clock, Random};
use crate::db::{Db, Tx};
use crate::features::collections::{self, Catalogue, Catalogues, Entry, Stored};
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::paging::{self, Cursors};
use crate::http::{Caller, ClientAddress, Input, Problem, RawJson, Visitor};

/// The endpoints of records, with what they need.
#[derive(Clone, Debug)]
pub struct RecordsApi {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub catalogues: Catalogues,
    pub cursors: Cursors,
}

#[derive(ApiResponse)]
enum Listed {
    /// A page of records.
    #[oai(status = 200)]
    Page(RawJson, #[oai(header = "Link")] Option<String>),
}

#[derive(ApiResponse)]
enum Shown {
    /// The record.
    #[oai(status = 200)]
    Record(RawJson, #[oai(header = "ETag")] String),
}

#[derive(ApiResponse)]
enum Made {
    /// The record was made.
    #[oai(status = 201)]
    Record(RawJson, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
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
    /// `contains`, `icontains`, `startsWith` or `isNull`. Anyone whom the rule lets may.
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
        /// `exact` adds `meta.total`.
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
        /// Relations to follow: `author,author.company`. What they refer to stands under `expand`.
        #[oai(name = "expand")]
        _expand: Query<Option<String>>,
    ) -> Result<Listed, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_read(&caller, self.circumstances("GET", address))?;

        let asked = Asked::read(request.uri().query().unwrap_or_default())?;
        let read = |known| self.page(&caller, &asker, known, &collection.0, &asked);
        let (json, link) = self.catalogues.with(caller.tenant(), read).await?;

        Ok(Listed::Page(RawJson(json), link))
    }

    /// Make a record
    ///
    /// Fields that are absent get their default. The rule `create` is judged on the record as it would be.
    /// Anyone whom the rule lets may.
    #[oai(
        path = "/collections/:collection/records",
        method = "post",
        operation_id = "create_record",
        tag = "Tag::Records"
    )]
    async fn create(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        collection: Path<String>,
        body: Input<Any<Json>>,
    ) -> Result<Made, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_write(&caller, self.circumstances("POST", address))?;

        let bytes = Arc::new(body.bytes());
        let id = self.random.uuid_v7(&self.clock).to_string();
        let write = |known| self.make(&caller, &asker, known, &collection.0, &bytes, &id);
        let found = self.catalogues.with(caller.tenant(), write).await?;

        let location = format!("/api/v1/collections/{}/records/{id}", collection.0);
        Ok(Made::Record(RawJson(found.json), etag::of_version(found.version), location))
    }

    /// Read a record
    ///
    /// Anyone whom the rule `view` lets may; for everyone else it is not there.
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
        /// Relations to follow: `author,author.company`.
        #[oai(name = "expand")]
        _expand: Query<Option<String>>,
    ) -> Result<Shown, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_read(&caller, self.circumstances("GET", address))?;

        let asked = Asked::read(request.uri().query().unwrap_or_default())?;
        asked.must_be_about_one()?;
        let read = |known| self.find(&caller, &asker, known, &collection.0, &id.0, &asked);
        let found = self.catalogues.with(caller.tenant(), read).await?;

        Ok(Shown::Record(RawJson(found.json), etag::of_version(found.version)))
    }

    /// Change a record
    ///
    /// A JSON Merge Patch (RFC 7396): what is absent stays. `{"views": {"$increment": 1}}`,
    /// `{"tags": {"$add": ["a"]}}` and `{"tags": {"$remove": ["a"]}}` are done to what is there, whoever changed it
    /// last. The rule `update` is judged on the record as it was. Anyone whom the rule lets may.
    #[oai(
        path = "/collections/:collection/records/:id",
        method = "patch",
        operation_id = "update_record",
        tag = "Tag::Records"
    )]
    async fn update(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        /// The `ETag` of the record that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<Any<Json>>,
    ) -> Result<Shown, Problem> {
        self.rewrite(visitor, address, collection, id, if_match, body, Meant::Change).await
    }

    /// Replace a record
    ///
    /// Fields that are absent get their default. The rule `update` is judged on the record as it was.
    /// Anyone whom the rule lets may.
    #[oai(
        path = "/collections/:collection/records/:id",
        method = "put",
        operation_id = "replace_record",
        tag = "Tag::Records"
    )]
    async fn replace(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        /// The `ETag` of the record that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<Any<Json>>,
    ) -> Result<Shown, Problem> {
        self.rewrite(visitor, address, collection, id, if_match, body, Meant::Whole).await
    }

    /// Delete a record
    ///
    /// With what refers to it, where relations say so. The rule `delete` is judged on the record as it was.
    /// Anyone whom the rule lets may.
    #[oai(
        path = "/collections/:collection/records/:id",
        method = "delete",
        operation_id = "delete_record",
        tag = "Tag::Records"
    )]
    async fn delete(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        /// The `ETag` of the record that shall go.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
    ) -> Result<Gone, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_write(&caller, self.circumstances("DELETE", address))?;

        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let drop = |known| self.remove(&caller, &asker, known, &collection.0, &id.0, &expected);
        self.catalogues.with(caller.tenant(), drop).await?;

        Ok(Gone::Gone)
    }
}

impl RecordsApi {
    fn circumstances(&self, method: &'static str, address: ClientAddress) -> Circumstances {
        Circumstances { now: self.clock.now(), method, address }
    }

    async fn page(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        asked: &Asked,
    ) -> Result<(Vec<u8>, Option<String>), Error> {
        let entry = known.find(collection).ok_or(Error::NotFound)?;
        let scope = format!("records\0{}\0{}\0{}", entry.collection.id, who(caller), asked.scope());
        let page = asked.paging.check(&self.cursors, &scope)?;
        let plan = list::plan(&known, entry, asker, asked, &page)?;

        let catalogue = Arc::clone(&known);
        let listed = self
            .db
            .read(caller.tenant(), move |tx| {
                catalogue.must_be_current(tx)?;
                list::run(tx, &plan)
            })
            .await?;

        let next = listed.next.as_deref().map(|it| self.cursors.seal(it, &scope));
        let total = listed.total.and_then(|it| u64::try_from(it).ok());
        let path = format!("/api/v1/collections/{collection}/records");
        let link = paging::links(&path, &asked.repeated(), &page, next.as_deref(), total);
        Ok((list::answer(&listed, &page, next.as_deref()), link))
    }

    async fn find(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        id: &str,
        asked: &Asked,
    ) -> Result<Found, Error> {
        let entry = known.find(collection).ok_or(Error::NotFound)?;
        asker.must_be_let(entry, &entry.rules.view, "read")?;
        let mut faults = Vec::new();
        let mut projection = Projection::whole(entry, asker.sees_hidden);
        let mut joins = Statement::default();
        expand::apply(&known, entry, asker, asked, &mut projection, &mut joins, &mut faults)?;
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let follows = !projection.expanded.is_empty();
        let mut statement = list::one(&projection, entry, joins, true);
        seek(&mut statement, id, asker.rule(&entry.rules.view, ALIAS));

        let catalogue = Arc::clone(&known);
        let read = move |tx: &mut Tx<'_>| store::find_current(tx, &catalogue, &statement, &projection);
        let tenant = caller.tenant();
        // A read in place sees each of its statements alone, so it has only one.
        let found = if follows { self.db.read(tenant, read).await } else { self.db.get(tenant, read).await };
        match found {
            Ok(Some(found)) => Ok(found),
            // Whether it is really not there, or what was asked for is no longer what the database has.
            outcome => {
                self.db.read(tenant, move |tx| known.must_be_current(tx)).await?;
                outcome.and_then(|it| it.ok_or(Error::NotFound))
            }
        }
    }

    async fn make(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        bytes: &Result<Vec<u8>, Problem>,
        id: &str,
    ) -> Result<Found, Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        asker.must_be_let(&entry, &entry.rules.create, "make")?;
        let bytes = bytes.as_ref().map_err(Problem::clone)?;
        let sent = body::read(bytes, &entry, Meant::Whole, asker.sees_hidden)?;
        let values = set(sent);
        let now = self.clock.now();
        let rule = asker.rule_about(&entry.rules.create, &named(&entry, &values));
        let is_judged = rule.is_some();
        let mut judged = list::one(&Projection::default(), &entry, Statement::default(), false);
        seek(&mut judged, id, rule);
        let answer = Answer::new(asker, &entry, id);

        let (tenant, id) = (caller.tenant(), id.to_owned());
        let (written, target, catalogue) = (values.clone(), Arc::clone(&entry), Arc::clone(&known));
        let outcome = self
            .db
            .write(tenant, move |tx| {
                catalogue.must_be_current(tx)?;
                store::insert(tx, &target, &id, now, &written)?;
                if is_judged && store::find(tx, &judged, &Projection::default())?.is_none() {
                    return Err(Error::RuleDenied);
                }
                answer.read(tx)
            })
            .await;
        self.explain(caller, outcome, known, entry, values).await
    }

    #[expect(clippy::too_many_arguments, reason = "those of the two endpoints that it is the body of")]
    async fn rewrite(
        &self,
        visitor: Visitor,
        address: ClientAddress,
        collection: Path<String>,
        id: Path<String>,
        if_match: Header<Option<String>>,
        body: Input<Any<Json>>,
        meant: Meant,
    ) -> Result<Shown, Problem> {
        let caller = visitor.0;
        let asker = Asker::to_write(&caller, self.circumstances(meant.method(), address))?;

        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let change = Arc::new(Change { id: id.0, bytes: body.bytes(), expected, meant });
        let write = |known| self.change(&caller, &asker, known, &collection.0, Arc::clone(&change));
        let found = self.catalogues.with(caller.tenant(), write).await?;

        Ok(Shown::Record(RawJson(found.json), etag::of_version(found.version)))
    }

    async fn change(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        change: Arc<Change>,
    ) -> Result<Found, Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        asker.must_be_let(&entry, &entry.rules.update, "change")?;
        let bytes = change.bytes.as_ref().map_err(Problem::clone)?;
        let sent = body::read(bytes, &entry, change.meant, asker.sees_hidden)?;
        let now = self.clock.now();
        let answer = Answer::new(asker, &entry, &change.id);
        let asker = asker.detached();

        let absolute = set(Sent(sent.0.clone()));
        let (target, catalogue) = (Arc::clone(&entry), Arc::clone(&known));
        let outcome = self
            .db
            .write(caller.tenant(), move |tx| {
                catalogue.must_be_current(tx)?;
                // The rule may ask for the new values, and these may depend on the old ones. What is wrong with
                // them is told only to those whom the rule lets.
                let values = store::resolved(tx, &target, &change.id, &sent.0);
                let new = values.as_ref().map(|it| named(&target, it)).unwrap_or_default();
                let mut judged = list::one(&Projection::default(), &target, Statement::default(), false);
                seek(&mut judged, &change.id, asker.rule_about(&target.rules.update, &new));
                let before = store::find(tx, &judged, &Projection::default())?.ok_or(Error::NotFound)?;
                if !change.expected.allows(before.version) {
                    return Err(Error::Stale);
                }
                let values = values?;
                if !values.is_empty() {
                    store::update(tx, &target, &change.id, now, &values)?;
                }
                answer.read(tx)
            })
            .await;
        self.explain(caller, outcome, known, entry, absolute).await
    }

    async fn remove(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        id: &str,
        expected: &IfMatch,
    ) -> Result<(), Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        asker.must_be_let(&entry, &entry.rules.delete, "delete")?;
        let mut judged = list::one(&Projection::default(), &entry, Statement::default(), false);
        seek(&mut judged, id, asker.rule(&entry.rules.delete, ALIAS));

        let (id, expected) = (id.to_owned(), expected.clone());
        self.db
            .free(caller.tenant(), move |tx| {
                known.must_be_current(tx)?;
                let before = store::find(tx, &judged, &Projection::default())?.ok_or(Error::NotFound)?;
                if !expected.allows(before.version) {
                    return Err(Error::Stale);
                }
                store::delete(tx, &entry, &id)
            })
            .await
    }

    /// Finds out which relation refers to nothing, in a transaction of its own: the one that failed is over.
    async fn explain(
        &self,
        caller: &Caller,
        outcome: Result<Found, Error>,
        known: Arc<Catalogue>,
        entry: Arc<Entry>,
        values: Vec<(usize, Stored)>,
    ) -> Result<Found, Error> {
        if !matches!(outcome, Err(Error::RefersToNothing)) {
            return outcome;
        }
        let look = move |tx: &mut Tx<'_>| {
            known.must_be_current(tx)?;
            Ok::<_, Error>(store::dangling(tx, &entry, &values)?)
        };
        match self.db.read(caller.tenant(), look).await? {
            // It was made meanwhile, or something else was dropped: trying again tells.
            faults if faults.is_empty() => Err(collections::Error::Outdated.into()),
            faults => Err(Error::Invalid(faults)),
        }
    }
}

/// A change of one record, as it is sent.
struct Change {
    id: String,
    bytes: Result<Vec<u8>, Problem>,
    expected: IfMatch,
    meant: Meant,
}

/// What whoever wrote a record is shown of it: all that they may read, or only that it is there.
#[derive(Clone)]
struct Answer {
    seen: Statement,
    seen_projection: Projection,
    bare: Statement,
    bare_projection: Projection,
}

impl Answer {
    fn new(asker: &Asker<'_>, entry: &Entry, id: &str) -> Self {
        let seen_projection = Projection::whole(entry, asker.sees_hidden);
        let mut seen = list::one(&seen_projection, entry, Statement::default(), false);
        seek(&mut seen, id, asker.rule(&entry.rules.view, ALIAS));
        let mut bare_projection = Projection::whole(entry, false);
        bare_projection.keep(&["id", "createdAt", "updatedAt"]);
        let mut bare = list::one(&bare_projection, entry, Statement::default(), false);
        seek(&mut bare, id, None);
        Self { seen, seen_projection, bare, bare_projection }
    }

    fn read(&self, tx: &mut Tx<'_>) -> Result<Found, Error> {
        if let Some(found) = store::find(tx, &self.seen, &self.seen_projection)? {
            return Ok(found);
        }
        store::find(tx, &self.bare, &self.bare_projection)?.ok_or(Error::NotFound)
    }
}

/// Narrows a statement to one record, if the rule lets the caller reach it.
fn seek(statement: &mut Statement, id: &str, rule: Option<Statement>) {
    statement.push(&format!(" WHERE {ALIAS}.id = ")).bind(id.to_owned());
    if let Some(rule) = rule {
        statement.push(" AND (").append(rule).push(")");
    }
}

/// Values by the names of their fields.
fn named(entry: &Entry, values: &[(usize, Stored)]) -> Vec<(String, Stored)> {
    values.iter().map(|(position, value)| (entry.judges[*position].field.name.clone(), value.clone())).collect()
}

/// The values that are set as they were sent.
fn set(sent: Sent) -> Vec<(usize, Stored)> {
    let is_set = |(position, write)| match write {
        body::Write::Set(value) => Some((position, value)),
        _ => None,
    };
    sent.0.into_iter().filter_map(is_set).collect()
}

/// Whose cursor it is: those of one caller are of no use to another.
fn who(caller: &Caller) -> String {
    match caller.user_id() {
        Some(id) => id.to_string(),
        None => caller.principal().role.clone(),
    }
}
