//! Importing a file: split while it arrives, judged record by record, written in batches.
//!
//! One batch is written while the next is read and judged, so neither the network nor the
//! disk waits for the other, and memory holds two batches, whatever the length of the file.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use poem::Body;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Map, Value as Json, json};

use super::api::RecordsApi;
use super::audit;
use super::body::{self, Meant};
use super::error::Error;
use super::log;
use super::split::{Content, Format, Piece, Splitter, Unreadable};
use super::store;
use crate::base::{Id, Timestamp};
use crate::db::{self, Class};
use crate::features::api_keys;
use crate::features::audit::{Action, Actor, Trail};
use crate::features::collections::{self, Catalogue, Entry, IsOutdated, Sight, Stored};
use crate::http::input::Body as Document;
use crate::http::{BodyCap, Caller, Fault, Problem, Subject};

/// Records of one transaction at most, where nobody else waits to write.
const BATCH: usize = 4_000;
/// Refused records of one batch at most: each has up to a hundred faults.
const BATCH_REFUSED: usize = 500;
/// Bytes of one transaction, beyond which it takes no further record.
const BATCH_BYTES: usize = 2 << 20;
/// Largest file: more than any disk that this is made for.
const FILE_BYTES_MAX: u64 = 1 << 40;
/// Refused records that a report names. Who has more to mend starts with these.
const REFUSED_MAX: usize = 1_000;
/// The same at the command line, where a report is read by the line, and no stranger has the server remember more.
const REFUSED_OF_OPERATOR_MAX: usize = 100_000;
/// Tries of a batch while the database has more to do than it takes.
const TRIES_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);

/// What became of a file.
#[derive(Clone, Debug, Default, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct ImportReport {
    /// Records that are there now; with `dryRun`, that would be.
    pub imported: u64,
    /// Records that were not taken.
    pub refused: u64,
    /// The first 1,000 of these.
    pub errors: Vec<RefusedRecord>,
    /// Why the import ended before the file did, if it did; what came before is imported.
    pub stopped: Option<String>,
}

impl Example for ImportReport {
    fn example() -> Self {
        let errors = vec![Fault::new("/views", "type", "must be a whole number")];
        Self {
            imported: 99_999,
            refused: 1,
            errors: vec![RefusedRecord { record: 43, line: 43, errors }],
            stopped: None,
        }
    }
}

/// A record that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub struct RefusedRecord {
    /// The how manieth record of the file it is, from 1.
    pub record: u64,
    /// The line that it begins on, from 1.
    pub line: u64,
    /// Everything that is wrong with it.
    pub errors: Vec<Fault>,
}

/// A record that was judged, with a value for every field.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub record: u64,
    pub line: u64,
    pub id: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub values: Vec<Stored>,
}

impl ImportReport {
    fn refuse_all(&mut self, records: Vec<RefusedRecord>, most: usize) {
        for record in records {
            self.refused += 1;
            if self.errors.len() < most {
                self.errors.push(record);
            }
        }
    }
}

impl RecordsApi {
    /// Imports a file into a collection.
    #[expect(clippy::too_many_arguments, reason = "those of the endpoint that it is the body of")]
    pub(super) async fn import_file(
        &self,
        caller: &Caller,
        trail: &Trail,
        collection: &str,
        format: Format,
        body: Body,
        cap: Option<BodyCap>,
        dry_run: bool,
    ) -> Result<ImportReport, Problem> {
        let known = self.catalogues.current(caller.tenant()).await?;
        let entry = Arc::clone(known.to_write(collection)?);
        if let Some(cap) = &cap {
            cap.raise(FILE_BYTES_MAX);
        }
        let mut file = File {
            bytes: body.into_bytes_stream(),
            splitter: Splitter::new(format, &entry),
            pieces: Vec::new().into_iter(),
            records: 0,
            ended: false,
        };
        let mut target = Target { known, entry: Arc::clone(&entry), dry_run, actor: trail.of(caller) };
        let mut report = ImportReport::default();
        let is_operator = *caller.subject() == Subject::Operator;
        let most = if is_operator { REFUSED_OF_OPERATOR_MAX } else { REFUSED_MAX };
        let mut batch = Vec::new();
        while !(batch.is_empty() && file.is_over()) {
            let mut written = store::Imported::default();
            let writing = self.write_batch(caller, &mut target, batch, &mut written);
            let (outcome, next) = futures_util::join!(writing, self.next_batch(&mut file, &entry));
            report.imported += written.imported;
            report.refuse_all(written.refused, most);
            match outcome.map_err(Problem::from).and(next) {
                Ok(next) => {
                    report.refuse_all(next.refused, most);
                    report.stopped = report.stopped.or(next.stopped);
                    batch = next.rows;
                }
                // Of what was done so far only the report tells.
                Err(problem) if 0 < report.imported + report.refused => {
                    report.stopped = Some(problem.detail);
                    break;
                }
                Err(problem) => return Err(problem),
            }
            if let Some(cap) = &cap {
                cap.got_further();
            }
        }
        if let (0, Some(reason)) = (report.imported + report.refused, &report.stopped) {
            return Err(Problem::invalid(vec![Fault::new("", "malformed", reason.clone())]));
        }
        report.errors.sort_by_key(|it| it.record);
        Ok(report)
    }

    /// Reads and judges until there are enough records for a batch, or the file ends.
    async fn next_batch<S>(&self, file: &mut File<S>, entry: &Entry) -> Result<Batch, Problem>
    where
        S: Stream<Item = Result<Bytes, std::io::Error>> + Unpin,
    {
        let (mut batch, mut bytes) = (Batch::default(), 0);
        while batch.rows.len() < BATCH && batch.refused.len() < BATCH_REFUSED && bytes < BATCH_BYTES {
            match file.next().await {
                Ok(Some(piece)) => {
                    file.records += 1;
                    let (record, line) = (file.records, piece.line);
                    bytes += piece.bytes;
                    match self.judge(record, piece, entry) {
                        Ok(row) => batch.rows.push(row),
                        Err(errors) => batch.refused.push(RefusedRecord { record, line, errors }),
                    }
                }
                Ok(None) => break,
                Err(Stop::Unreadable(Unreadable(reason))) => {
                    batch.stopped = Some(reason);
                    file.ended = true;
                    break;
                }
                Err(Stop::Broken(error)) => return Err(Problem::from_body(&poem::error::ReadBodyError::Io(error))),
            }
        }
        Ok(batch)
    }

    fn judge(&self, record: u64, piece: Piece, entry: &Entry) -> Result<Row, Vec<Fault>> {
        let mut members = match piece.content {
            Content::Members(members) => members,
            Content::Broken(reason) => return Err(vec![Fault::new("", "malformed", reason)]),
            Content::Json(text) => match Document::read(&text) {
                Err(problem) => return Err(vec![Fault::new("", "malformed", within_record(&problem.detail))]),
                Ok(Document { faults, .. }) if !faults.is_empty() => return Err(faults),
                Ok(Document { value: Json::Object(members), .. }) => members,
                Ok(_) => return Err(vec![Fault::new("", "type", "must be an object with the fields of a record")]),
            },
        };
        let mut faults = Vec::new();
        let now = self.clock.now();
        let id = own(&mut members, "id", &mut faults, |it| it.parse::<Id<()>>().map(|it| it.to_string()));
        let created_at = own(&mut members, "createdAt", &mut faults, str::parse);
        let updated_at = own(&mut members, "updatedAt", &mut faults, str::parse);
        let moments = dated(&mut members, entry, &mut faults);
        // What is in the bin is in no file, so these say nothing.
        if entry.collection.keeps_deleted() {
            members.retain(|name, _| !["isDeleted", "deletedAt"].contains(&name.as_str()));
        }
        match body::judged(&members, entry, Meant::New, &Sight::new(true, Arc::default())) {
            Ok(sent) if faults.is_empty() => {
                let mut values = vec![Stored::Null; entry.judges.len()];
                for (position, judge) in entry.judges.iter().enumerate() {
                    let given = moments.iter().find(|(it, _)| *it == position).map(|(_, it)| *it);
                    let is_made_now = judge.field.on_create == Some(true);
                    if let Some(moment) = given.or_else(|| is_made_now.then(|| created_at.unwrap_or(now))) {
                        values[position] = Stored::Integer(moment.millis());
                    }
                }
                for (position, write) in sent.0 {
                    if let body::Write::Set(value) = write {
                        values[position] = value;
                    }
                }
                let created_at = created_at.unwrap_or(now);
                Ok(Row {
                    record,
                    line: piece.line,
                    id: id.unwrap_or_else(|| self.random.uuid_v7(&self.clock).to_string()),
                    created_at,
                    updated_at: updated_at.unwrap_or(created_at),
                    values,
                })
            }
            outcome => {
                faults.extend(outcome.err().unwrap_or_default());
                faults.truncate(crate::http::problem::FAULTS_MAX);
                Err(faults)
            }
        }
    }

    /// Writes a batch whole, by as many turns as it takes, and adds what became of it to `written`.
    async fn write_batch(
        &self,
        caller: &Caller,
        target: &mut Target,
        batch: Vec<Row>,
        written: &mut store::Imported,
    ) -> Result<(), Error> {
        let (batch, mut attempt) = (Arc::new(batch), 1);
        while written.done < batch.len() {
            let (known, entry, batch) = (Arc::clone(&target.known), Arc::clone(&target.entry), Arc::clone(&batch));
            let from = written.done;
            let outcome = if target.dry_run {
                let look = move |tx: &mut db::Tx<'_>| {
                    known.must_be_current(tx)?;
                    Ok::<_, Error>(store::look_at_import(tx, &entry, &batch[from..])?)
                };
                self.db.read(caller.tenant(), look).await
            } else {
                let (importer, actor, now) = (caller.clone(), target.actor.clone(), self.clock.now());
                let write = move |tx: &mut db::Tx<'_>| {
                    known.must_be_current(tx)?;
                    // Signing out is felt by what began before.
                    if !api_keys::still_stands(tx, &importer, now)? {
                        return Err(Problem::not_signed_in().into());
                    }
                    let before = log::last_row(tx, &entry)?;
                    let part = store::import(tx, &entry, &batch[from..], now)?;
                    log::imported(tx, &entry, before, now, part.imported)?;
                    if 0 < part.imported {
                        let after = json!({ "count": part.imported });
                        audit::many(tx, &entry, now, &actor, Action::RecordsImport, after)?;
                    }
                    Ok::<_, Error>(part)
                };
                self.db.write_as(Class::BULK, caller.tenant(), write).await
            };
            match outcome {
                Ok(part) => {
                    attempt = 1;
                    written.add(part);
                }
                Err(Error::Db(db::Error::QueueFull)) if attempt < TRIES_MAX => {
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) if error.is_outdated() && attempt < TRIES_MAX => {
                    attempt += 1;
                    target.known = self.catalogues.newer_than(caller.tenant(), &target.known).await?;
                    let same = target.known.entries().iter().find(|it| it.is_as(&target.entry));
                    target.entry = Arc::clone(same.ok_or(collections::Error::Outdated)?);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Where the records go.
struct Target {
    known: Arc<Catalogue>,
    entry: Arc<Entry>,
    dry_run: bool,
    /// Whom the audit trail names.
    actor: Actor,
}

/// What was read of a file and judged.
#[derive(Debug, Default)]
struct Batch {
    rows: Vec<Row>,
    refused: Vec<RefusedRecord>,
    stopped: Option<String>,
}

/// A file on its way in.
struct File<S> {
    bytes: S,
    splitter: Splitter,
    pieces: std::vec::IntoIter<Piece>,
    /// That came out of it so far.
    records: u64,
    ended: bool,
}

enum Stop {
    Unreadable(Unreadable),
    Broken(std::io::Error),
}

impl<S: Stream<Item = Result<Bytes, std::io::Error>> + Unpin> File<S> {
    fn is_over(&self) -> bool {
        self.ended && self.pieces.len() == 0
    }

    async fn next(&mut self) -> Result<Option<Piece>, Stop> {
        loop {
            if let Some(piece) = self.pieces.next() {
                return Ok(Some(piece));
            }
            if self.ended {
                return Ok(None);
            }
            let mut found = Vec::new();
            let outcome = match self.bytes.next().await {
                Some(Ok(bytes)) => self.splitter.push(&bytes, &mut found),
                Some(Err(error)) => return Err(Stop::Broken(error)),
                None => {
                    self.ended = true;
                    self.splitter.end(&mut found)
                }
            };
            self.pieces = found.into_iter();
            outcome.map_err(Stop::Unreadable)?;
        }
    }
}

/// Takes the moments of fields that the server sets otherwise, by their position.
fn dated(members: &mut Map<String, Json>, entry: &Entry, faults: &mut Vec<Fault>) -> Vec<(usize, Timestamp)> {
    let fields = entry.judges.iter().enumerate().filter(|(_, it)| it.field.is_set_by_server());
    fields.filter_map(|(at, it)| Some((at, own(members, &it.field.name, faults, str::parse)?))).collect()
}

/// What is wrong with JSON, without a line that is counted from where the record begins.
fn within_record(detail: &str) -> String {
    match detail.split_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} at column {column} of the record"),
        None => detail.to_owned(),
    }
}

/// Takes a member that the server sets otherwise, if it is given.
fn own<T>(
    members: &mut Map<String, Json>,
    name: &str,
    faults: &mut Vec<Fault>,
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Option<T> {
    let value = members.shift_remove(name).filter(|it| !it.is_null())?;
    let read = value.as_str().ok_or("must be a text").and_then(read);
    read.map_err(|detail| faults.push(Fault::new(body::pointer(name), "format", detail))).ok()
}
