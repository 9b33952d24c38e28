//! Changing or deleting all records that a filter selects, in batches that others can come between.
//!
//! Those are selected that the rule `list` shows the caller, since a filter is a question about them, and that the
//! rule `update` or `delete` lets them write. Each is written as it would be alone, and one that cannot be is told of
//! and left as it is. Records that are made meanwhile are not among them, and none is written twice.
use std::sync::Arc;
use std::time::Duration;

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::json;

use super::access::{Asker, Judge};
use super::api::RecordsApi;
use super::audit;
use super::body::{self, Meant, Sent};
use super::deed::{Changing, Deed as _, Edit, Removing, set};
use super::error::{Error, TOO_MANY_MATCH};
use super::query::Asked;
use super::relations::Reach;
use super::statement::Statement;
use super::store::ALIAS;
use crate::base::{Id, Timestamp};
use crate::db::record_tables::quoted;
use crate::db::{self, Class, Tx};
use crate::features::api_keys;
use crate::features::audit::Action;
use crate::features::collections::{self, Catalogue, Entry, IsOutdated};
use crate::http::etag::IfMatch;
use crate::http::{Caller, Fault, Problem};

/// Records of one transaction.
const BATCH: usize = 500;
/// Most records of one request, if it does not say.
const RECORDS_MAX: u64 = 1_000;
/// Most that a request may ask for.
const ASKED_MAX: u64 = 1_000_000;
/// Refused records that a report names.
const REFUSED_MAX: usize = 100;
/// Tries of a batch while the database has more to do than it takes, or collections change.
const TRIES_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// What became of the records that a filter selects.
#[derive(Clone, Debug, Default, Object)]
#[oai(rename = "BulkReport", example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct BulkReport {
    /// Records that the filter and the rules selected.
    pub matched: u64,
    /// Of these, those that were written; with `dryRun`, none.
    pub done: u64,
    /// Those that cannot be, and are as they were.
    pub refused: u64,
    /// The first 100 of these.
    pub errors: Vec<RefusedOne>,
    /// Why it ended before all were written, if it did; what came before is done.
    pub stopped: Option<String>,
}

/// A record that could not be written.
#[derive(Clone, Debug, Object)]
pub struct RefusedOne {
    pub id: Id<()>,
    /// The sort of problem that it would be alone.
    pub code: String,
    /// What is wrong.
    pub detail: String,
}

impl Example for BulkReport {
    fn example() -> Self {
        Self { matched: 412, done: 412, ..Self::default() }
    }
}

/// What shall become of each record.
pub(super) enum Deed {
    Change(Result<Vec<u8>, Problem>),
    Remove,
    /// Every record there is goes for good, those in the bin too.
    Truncate,
}

/// What is asked for, as it stands in the query.
pub(super) struct Bulk {
    pub deed: Deed,
    pub asked: Asked,
    pub max: Option<u64>,
    pub dry_run: bool,
}

/// A bulk change under way.
struct Work<'a> {
    asker: &'a Asker<'a>,
    bulk: &'a Bulk,
    known: Arc<Catalogue>,
    entry: Arc<Entry>,
    /// What is sent for each record; nothing if they are to go.
    sent: Option<Arc<Sent>>,
    /// Which records.
    matching: Option<Statement>,
}

/// What is done to each record.
enum What {
    Change(Arc<Sent>),
    Remove,
    Purge,
}

/// What became of a batch.
#[derive(Default)]
struct Part {
    done: u64,
    refused: Vec<(String, Problem)>,
    /// The last record that was looked at; nothing if there are no more.
    last: Option<String>,
}

impl Bulk {
    /// Reads what is asked for. `filter` is obligatory, so that forgetting it changes nothing.
    pub fn read(query: &str, deed: Deed) -> Result<Self, Problem> {
        let (mut max, mut dry_run, mut faults) = (None, false, Vec::new());
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let mut fault = |code, detail: &str| faults.push(Fault::new(format!("?{name}"), code, detail));
            match name.as_ref() {
                "max" | "dryRun" if seen.contains(&name) => fault("duplicate", "is given more than once"),
                "max" => match value.parse() {
                    Ok(number) if (1..=ASKED_MAX).contains(&number) => max = Some(number),
                    _ => fault("type", "must be a whole number from 1 to 1,000,000"),
                },
                "dryRun" => match value.as_ref() {
                    "true" => dry_run = true,
                    "false" => {}
                    _ => fault("type", "must be true or false"),
                },
                _ => {}
            }
            seen.push(name);
        }
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let detail = "what is written by a filter has no pages: `filter` and `where` narrow it";
        let asked = Asked::read_without(query, &["max", "dryRun"], detail)?;
        if asked.filter.is_none() && asked.conditions.is_empty() {
            let detail = "must be given: which records, `true` for all of them";
            return Err(Problem::invalid(vec![Fault::new("?filter", "required", detail)]));
        }
        if asked.trashed.is_some() {
            let detail = "is for reading: what is in the bin is not written by a filter";
            return Err(Problem::invalid(vec![Fault::new("?trashed", "unknown", detail)]));
        }
        Ok(Self { deed, asked, max, dry_run })
    }
}

impl RecordsApi {
    /// Writes all records that are selected, and tells how many.
    pub(super) async fn bulk(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        collection: &str,
        bulk: &Bulk,
    ) -> Result<BulkReport, Problem> {
        let tenant = caller.tenant();
        let begin = |known: Arc<Catalogue>| async move {
            let entry = Arc::clone(known.to_write(collection)?);
            let work = Work::new(asker, bulk, known, entry)?;
            let (counting, catalogue) = (work.counting(bulk.limit()), Arc::clone(&work.known));
            let found = self
                .db
                .read(tenant, move |tx| {
                    catalogue.must_be_current(tx)?;
                    Ok::<_, Error>(tx.find(&counting.sql, &counting.values, |row| {
                        Ok((row.integer(0)?, if row.is_null(1)? { None } else { Some(row.text(1)?.to_owned()) }))
                    })?)
                })
                .await?;
            let (count, last) = found.unwrap_or_default();
            Ok::<_, Error>((work, u64::try_from(count).unwrap_or_default(), last))
        };
        let (mut work, matched, last) = self.catalogues.with(tenant, begin).await?;
        let limit = bulk.limit();
        if limit < matched {
            let detail = format!("more than {limit} records match; narrow the filter, or raise `max`");
            return Err(Problem::new(&TOO_MANY_MATCH, detail));
        }
        let mut report = BulkReport { matched, ..BulkReport::default() };
        let only_counts = bulk.dry_run && matches!(bulk.deed, Deed::Truncate);
        let Some(last) = last.filter(|_| !only_counts) else { return Ok(report) };
        let (mut after, mut before) = (None, 0);
        loop {
            match self.batch_of(caller, &mut work, after.as_deref(), &last).await {
                Ok(part) => {
                    report.add(part.done, part.refused);
                    after = part.last;
                    if after.is_some() {
                        continue;
                    }
                    // What stands before a record that goes may have gone after it.
                    let has_another_try = work.sent.is_none() && 0 < report.refused && before < report.done;
                    if !has_another_try {
                        return Ok(report);
                    }
                    before = report.done;
                    (report.refused, report.errors) = (0, Vec::new());
                }
                // Of what was done so far only the report tells.
                Err(error) if 0 < report.done => {
                    report.stopped = Some(Problem::from(error).detail);
                    return Ok(report);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes a batch, as soon as the database has time for it.
    async fn batch_of(
        &self,
        caller: &Caller,
        work: &mut Work<'_>,
        after: Option<&str>,
        last: &str,
    ) -> Result<Part, Error> {
        let mut attempt = 1;
        loop {
            let next = work.next(after, last);
            let (known, entry, what) = (Arc::clone(&work.known), Arc::clone(&work.entry), work.what());
            let (judge, writer, now) = (work.asker.detached(), caller.clone(), self.clock.now());
            let (dry_run, action, told) = (work.bulk.dry_run, work.bulk.action(), audit::selection(&work.bulk.asked));
            let write = move |tx: &mut Tx<'_>| {
                known.must_be_current(tx)?;
                // Signing out is felt by what began before.
                if !api_keys::still_stands(tx, &writer, now)? {
                    return Err(Problem::not_signed_in().into());
                }
                let ids = tx.query(&next.sql, &next.values, |row| row.text(0).map(ToOwned::to_owned))?;
                let batch = |tx: &mut Tx<'_>| batch(tx, &known, &entry, &judge, now, &what, &ids);
                if !dry_run {
                    let part = batch(tx)?;
                    if 0 < part.done {
                        let after = json!({ "count": part.done, "selectedBy": told });
                        audit::many(tx, &entry, now, &judge.actor, action, after)?;
                    }
                    return Ok(part);
                }
                // What cannot be done is found out by doing it.
                Ok(Part { done: 0, ..tx.rehearse(batch)? })
            };
            let class = if work.sent.is_some() { Class::BULK } else { Class::BULK.freeing() };
            let outcome = self.db.write_as(class, caller.tenant(), write).await;
            match outcome {
                Err(Error::Db(db::Error::QueueFull)) if attempt < TRIES_MAX => tokio::time::sleep(PAUSE).await,
                // It goes on under the rules as they are now, if the records still look the same.
                Err(error) if error.is_outdated() && attempt < TRIES_MAX => {
                    let known = self.catalogues.newer_than(caller.tenant(), &work.known).await?;
                    let same = known.entries().iter().find(|it| it.is_as(&work.entry)).map(Arc::clone);
                    let entry = same.ok_or(collections::Error::Outdated)?;
                    *work = Work::new(work.asker, work.bulk, known, entry)?;
                }
                outcome => return outcome,
            }
            attempt += 1;
        }
    }
}

/// Writes the records of a batch, each of which is written or refused alone.
fn batch(
    tx: &mut Tx<'_>,
    known: &Catalogue,
    entry: &Arc<Entry>,
    judge: &Judge,
    now: Timestamp,
    what: &What,
    ids: &[String],
) -> Result<Part, Error> {
    let mut part = Part { last: ids.last().cloned(), ..Part::default() };
    for id in ids {
        let reach = Reach::of(known);
        let written = match what {
            What::Change(sent) => Changing::new(judge, entry, id, now, Edit::Values(Arc::clone(sent)), IfMatch::Any)
                .attempt(tx, reach)
                .map(drop),
            What::Remove => tx.attempt(|tx| Removing::new(judge, entry, id, now, IfMatch::Any).run(tx, known)),
            What::Purge => tx.attempt(|tx| Removing::purging(judge, entry, id, now, IfMatch::Any).run(tx, known)),
        };
        match written {
            Ok(()) => part.done += 1,
            // It went with another one, or what it became does not let the caller any more.
            Err(Error::NotFound | Error::RuleDenied { .. }) => {}
            Err(
                error @ (Error::ValueTaken { .. }
                | Error::Invalid(_)
                | Error::InUse
                | Error::TooDeep
                | Error::TooManyFollow),
            ) => {
                part.refused.push((id.clone(), error.without_hidden(entry, &judge.sight).into()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(part)
}

impl Bulk {
    /// What it is for the audit trail.
    fn action(&self) -> Action {
        match self.deed {
            Deed::Change(_) => Action::RecordsBulkChange,
            Deed::Remove => Action::RecordsBulkDelete,
            Deed::Truncate => Action::RecordsTruncate,
        }
    }

    fn limit(&self) -> u64 {
        match self.deed {
            Deed::Truncate => u64::MAX >> 1,
            _ => self.max.unwrap_or(RECORDS_MAX),
        }
    }
}

impl<'a> Work<'a> {
    /// Looks whether the caller may, and what for.
    fn new(asker: &'a Asker<'a>, bulk: &'a Bulk, known: Arc<Catalogue>, entry: Arc<Entry>) -> Result<Self, Error> {
        let (rule, deed) = match bulk.deed {
            Deed::Change(_) => (&entry.rules.update, "change"),
            Deed::Remove | Deed::Truncate => (&entry.rules.delete, "delete"),
        };
        asker.must_be_let(&entry, rule, deed)?;
        asker.must_be_let(&entry, &entry.rules.list, "list")?;
        let sent = match &bulk.deed {
            Deed::Change(bytes) => {
                let bytes = bytes.as_ref().map_err(Problem::clone)?;
                Some(Arc::new(body::read(bytes, &entry, Meant::Change, &asker.sight)?))
            }
            Deed::Remove | Deed::Truncate => None,
        };
        let mut faults = Vec::new();
        let listed = asker.restriction(&known, &entry, &bulk.asked, &mut faults);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let new = sent.as_deref().map(|it| set(it.clone())).unwrap_or_default();
        let rule = asker.rule_about(&entry, rule, &new);
        let mut matching = Statement::default();
        for part in [listed, rule].into_iter().flatten() {
            matching.push(if matching.sql.is_empty() { "(" } else { " AND (" }).append(part).push(")");
        }
        let matching = (!matching.sql.is_empty()).then_some(matching);
        Ok(Self { asker, bulk, known, entry, sent, matching })
    }

    fn what(&self) -> What {
        match (&self.sent, &self.bulk.deed) {
            (Some(sent), _) => What::Change(Arc::clone(sent)),
            (None, Deed::Truncate) => What::Purge,
            (None, _) => What::Remove,
        }
    }

    /// The statement that counts the records, up to one more than may be, and finds the last one.
    fn counting(&self, limit: u64) -> Statement {
        let mut statement = Statement::new("SELECT count(*), max(id) FROM (SELECT r.id AS id");
        statement.append(self.from()).push(" LIMIT ");
        statement.bind(i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)).push(") AS matching");
        statement
    }

    /// The statement that finds the ids of the next batch. Those that go go from the newest on, since it is the newer
    /// ones that refer to the older.
    fn next(&self, after: Option<&str>, last: &str) -> Statement {
        let (beyond, order) = if self.sent.is_some() { (">", "ASC") } else { ("<", "DESC") };
        let mut statement = Statement::new("SELECT r.id");
        statement.append(self.from()).push(" AND r.id <= ").bind(last.to_owned());
        if let Some(after) = after {
            statement.push(&format!(" AND r.id {beyond} ")).bind(after.to_owned());
        }
        statement.push(&format!(" ORDER BY r.id {order} LIMIT ")).bind(BATCH as i64);
        statement
    }

    fn from(&self) -> Statement {
        let is_final = matches!(self.bulk.deed, Deed::Truncate);
        let table = if is_final { &self.entry.rows } else { &self.entry.table };
        let mut statement = Statement::new(format!(" FROM {} AS {ALIAS} WHERE ", quoted(table)));
        match self.matching.clone() {
            Some(matching) => statement.append(matching),
            None => statement.push("1 = 1"),
        };
        statement
    }
}

impl BulkReport {
    fn add(&mut self, done: u64, refused: Vec<(String, Problem)>) {
        self.done += done;
        for (id, problem) in refused {
            self.refused += 1;
            if let (true, Ok(id)) = (self.errors.len() < REFUSED_MAX, id.parse()) {
                self.errors.push(RefusedOne { id, code: problem.kind.code.to_owned(), detail: problem.detail });
            }
        }
    }
}
