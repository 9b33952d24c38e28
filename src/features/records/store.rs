//! The SQL of records. The tables are people's own, so every name in it is quoted.
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::body::{self, Write};
use super::error::{self, Error};
use super::import::{RefusedRecord, Row};
use super::list;
use super::lists::Gap;
use super::projection::Projection;
use super::relations;
use super::statement::Statement;
use super::validate;
use crate::base::Timestamp;
use crate::db::join_tables;
use crate::db::record_tables::quoted;
use crate::db::{self, Tx, Value};
use crate::features::collections::{Catalogue, Entry, FieldType, Sight, Stored};
use crate::http::{Fault, problem};

/// Largest record. One that is sent whole is bounded by the body; one can also grow, change by change.
const RECORD_BYTES_MAX: i64 = 2 << 20;
/// Values of a change up to this size make no record too large.
pub(super) const SMALL_BYTES_MAX: usize = 4 << 10;

/// The table of a collection's records as a statement names it.
pub(super) const ALIAS: &str = "r";

/// A record as it was found or written, in JSON.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub json: Vec<u8>,
    pub version: i64,
}

/// The statement that adds a record, and returns its version and what `returned` shows.
pub(super) fn insertion(
    entry: &Entry,
    id: &str,
    now: Timestamp,
    values: Vec<(usize, Stored)>,
    returned: &Projection,
) -> Statement {
    let mut statement = Statement::new("INSERT INTO ");
    statement.push(&quoted(&entry.rows)).push(" (id, _version, \"createdAt\", \"updatedAt\"");
    let values: Vec<_> = values.into_iter().filter(|(it, _)| entry.judges[*it].member.join.is_none()).collect();
    for (position, _) in &values {
        statement.push(", ").push(&entry.judges[*position].member.column);
    }
    statement.push(") VALUES (").bind(id.to_owned()).push(", 1, ").bind(now).push(", ").bind(now);
    for (_, value) in values {
        statement.push(", ").bind(value);
    }
    statement.push(")");
    returned.returning(&mut statement.sql);
    statement
}

/// The statement that finds a record which is not there yet, if a rule would be true for it.
pub(super) fn would_be(
    entry: &Entry,
    id: &str,
    now: Timestamp,
    values: &[(usize, Stored)],
    rule: Statement,
) -> Statement {
    let mut statement = Statement::new("SELECT 1 FROM (SELECT ");
    statement.bind(id.to_owned()).push(" AS id, ").bind(now).push(" AS \"createdAt\", ");
    statement.bind(now).push(" AS \"updatedAt\"");
    if entry.collection.keeps_deleted() {
        statement.push(", 0 AS \"isDeleted\", NULL AS \"deletedAt\"");
    }
    for (position, judge) in entry.judges.iter().enumerate() {
        let value = values.iter().find(|(it, _)| *it == position).map_or(Value::Null, |(_, it)| it.clone().into());
        statement.push(", ").bind(value).push(" AS ").push(&judge.member.column);
    }
    statement.push(&format!(") AS {ALIAS} WHERE (")).append(rule).push(")");
    statement
}

/// The statement that finds a record in the bin, if a rule would be true for it out of there.
pub(super) fn would_be_again(entry: &Entry, id: &str, rule: Statement) -> Statement {
    let mut statement = Statement::new(
        "SELECT 1 FROM (SELECT kept.id AS id, kept.\"createdAt\" AS \"createdAt\", \
         kept.\"updatedAt\" AS \"updatedAt\", 0 AS \"isDeleted\", NULL AS \"deletedAt\"",
    );
    for judge in &entry.judges {
        statement.push(&format!(", {} AS {}", judge.member.select("kept"), judge.member.column));
    }
    statement.push(&format!(" FROM {} AS kept WHERE kept.id = ", quoted(&entry.rows))).bind(id.to_owned());
    statement.push(&format!(" AND kept.\"isDeleted\" = 1) AS {ALIAS} WHERE (")).append(rule).push(")");
    statement
}

/// The statement that finds a record in the bin, if the rule lets the caller reach it.
pub(super) fn in_bin(entry: &Entry, id: &str, rule: Option<Statement>) -> Statement {
    let mut statement = Statement::new(format!("SELECT 1 FROM {} AS {ALIAS}", quoted(&entry.rows)));
    seek(&mut statement, entry, id, rule, true);
    statement
}

/// The statement that changes the columns that are sent, counts the change, and returns the version and what
/// `returned` shows. Without values nothing is changed, and it only reads.
pub(super) fn change(
    entry: &Entry,
    id: &str,
    now: Timestamp,
    values: Vec<(usize, Stored)>,
    rule: Option<Statement>,
    returned: &Projection,
) -> Statement {
    if values.is_empty() {
        return list::sought(returned, entry, id, rule);
    }
    let mut statement = Statement::new("UPDATE ");
    statement.push(&quoted(&entry.rows)).push(" AS ").push(ALIAS);
    statement.push(" SET _version = _version + 1, \"updatedAt\" = ").bind(now);
    for (position, value) in values.into_iter().filter(|(it, _)| entry.judges[*it].member.join.is_none()) {
        statement.push(", ").push(&entry.judges[position].member.column).push(" = ").bind(value);
    }
    seek(&mut statement, entry, id, rule, false);
    returned.returning(&mut statement.sql);
    statement
}

/// Narrows a statement that writes to one record, in the bin or not, if the rule lets the caller reach it.
fn seek(statement: &mut Statement, entry: &Entry, id: &str, rule: Option<Statement>, in_bin: bool) {
    list::seek(statement, id, rule);
    if entry.collection.keeps_deleted() {
        statement.push(&format!(" AND {ALIAS}.\"isDeleted\" = {}", i64::from(in_bin)));
    }
}

/// Runs a statement that writes one record and returns it. Nothing if there is no such record, or none that the rule
/// lets the caller reach.
pub(super) fn write(
    tx: &mut Tx<'_>,
    entry: &Entry,
    statement: &Statement,
    returned: &Projection,
) -> Result<Option<Found>, Error> {
    find(tx, statement, returned).map_err(|error| refused(entry, error))
}

/// The lists among some values, each with the table that its entries go to.
pub(super) fn lists(entry: &Entry, values: &[(usize, Stored)]) -> Vec<(String, String)> {
    let list = |(position, value): &(usize, Stored)| match (&entry.judges[*position].member.join, value) {
        (Some(join), Stored::Text(ids)) => Some((join.clone(), ids.clone())),
        _ => None,
    };
    values.iter().filter_map(list).collect()
}

/// Has a record refer to what its lists name.
pub(super) fn write_lists(tx: &mut Tx<'_>, id: &str, lists: &[(String, String)], is_new: bool) -> Result<(), Error> {
    let is_there = |(_, ids): &&(String, String)| !is_new || ids != "[]";
    for (join, ids) in lists.iter().filter(is_there) {
        join_tables::write(tx, join, id, ids, is_new).map_err(|error| match error {
            db::Error::Conflict { .. } => Error::RefersToNothing,
            error => error.into(),
        })?;
    }
    Ok(())
}

/// Refuses a record that grew too large, change by change.
pub(super) fn must_not_be_too_large(tx: &mut Tx<'_>, entry: &Entry, id: &str) -> Result<(), Error> {
    let columns = entry.judges.iter().filter(|it| it.member.join.is_none());
    let sizes: Vec<_> = columns.map(|it| format!("coalesce(octet_length({}), 0)", it.member.column)).collect();
    let sql = format!("SELECT {} FROM {} WHERE id = $1", sizes.join(" + "), quoted(&entry.table));
    match tx.find(&sql, &[id.into()], |row| row.integer(0))? {
        Some(bytes) if RECORD_BYTES_MAX < bytes => {
            let detail = format!("a record has at most {RECORD_BYTES_MAX} bytes, and this one would have {bytes}");
            Err(Error::Invalid(vec![Fault::new("", "too-large", detail)]))
        }
        _ => Ok(()),
    }
}

/// The statement that removes a record for good, in the bin or not, if the rule lets the caller.
pub(super) fn deletion(entry: &Entry, id: &str, rule: Option<Statement>) -> Statement {
    let mut statement = Statement::new(format!("DELETE FROM {} AS {ALIAS}", quoted(&entry.rows)));
    list::seek(&mut statement, id, rule);
    statement
}

/// The statement that puts a record into the bin, if the rule lets the caller. When it was changed stays.
pub(super) fn discarding(entry: &Entry, id: &str, now: Timestamp, rule: Option<Statement>) -> Statement {
    let mut statement =
        Statement::new(format!("UPDATE {} AS {ALIAS} SET _version = _version + 1", quoted(&entry.rows)));
    statement.push(", \"isDeleted\" = 1, \"deletedAt\" = ").bind(now);
    seek(&mut statement, entry, id, rule, false);
    statement
}

/// The statement that takes a record out of the bin, if the rule lets the caller, and returns it.
pub(super) fn restoring(entry: &Entry, id: &str, rule: Option<Statement>, returned: &Projection) -> Statement {
    let mut statement =
        Statement::new(format!("UPDATE {} AS {ALIAS} SET _version = _version + 1", quoted(&entry.rows)));
    statement.push(", \"isDeleted\" = 0, \"deletedAt\" = NULL");
    seek(&mut statement, entry, id, rule, true);
    returned.returning(&mut statement.sql);
    statement
}

/// The ids of records that were deleted before some moment, after one of them.
pub(super) fn deleted_before(
    tx: &mut Tx<'_>,
    entry: &Entry,
    before: Timestamp,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, db::Error> {
    let sql = format!(
        "SELECT id FROM {} WHERE \"isDeleted\" = 1 AND \"deletedAt\" < $1 AND id > $2 ORDER BY id LIMIT $3",
        quoted(&entry.rows)
    );
    tx.query(&sql, &[before.into(), after.into(), limit.into()], |row| row.text(0).map(ToOwned::to_owned))
}

/// Removes the one record that a statement is about.
pub(super) fn delete(tx: &mut Tx<'_>, deletion: &Statement) -> Result<(), Error> {
    match tx.execute(&deletion.sql, &deletion.values) {
        Ok(0) => Err(Error::NotFound),
        Ok(_) => Ok(()),
        Err(db::Error::Conflict { .. }) => Err(Error::InUse),
        Err(db::Error::TooDeep) => Err(Error::TooDeep),
        Err(error) => Err(error.into()),
    }
}

/// The id of the record that has these values, which no other has.
pub(super) fn having(tx: &mut Tx<'_>, entry: &Entry, values: &[(usize, Stored)]) -> Result<Option<String>, db::Error> {
    let mut statement = Statement::new(format!("SELECT id FROM {} WHERE ", quoted(&entry.table)));
    for (index, (position, value)) in values.iter().enumerate() {
        statement.push(if index == 0 { "" } else { " AND " });
        statement.push(&entry.judges[*position].member.column).push(" = ").bind(value.clone());
    }
    tx.find(&statement.sql, &statement.values, |row| row.text(0).map(ToOwned::to_owned))
}

/// The values that a record has in some of its fields.
pub(super) fn values(tx: &mut Tx<'_>, entry: &Entry, id: &str, positions: &[usize]) -> Result<Vec<Stored>, db::Error> {
    values_among(tx, &entry.table, entry, id, positions)
}

/// All values of a record, in the bin or not.
pub(super) fn values_in_bin(tx: &mut Tx<'_>, entry: &Entry, id: &str) -> Result<Vec<(usize, Stored)>, db::Error> {
    let positions: Vec<usize> = (0..entry.judges.len()).collect();
    let values = values_among(tx, &entry.rows, entry, id, &positions)?;
    Ok(positions.into_iter().zip(values).collect())
}

fn values_among(
    tx: &mut Tx<'_>,
    table: &str,
    entry: &Entry,
    id: &str,
    positions: &[usize],
) -> Result<Vec<Stored>, db::Error> {
    let columns: Vec<_> = positions.iter().map(|it| entry.judges[*it].member.select(ALIAS)).collect();
    let sql = format!("SELECT {} FROM {} AS {ALIAS} WHERE id = $1", columns.join(", "), quoted(table));
    let mut found = Vec::new();
    tx.each(&sql, &[id.into()], &mut |row| {
        found = stored(row, positions.len())?;
        Ok(())
    })?;
    Ok(found)
}

/// The values that a statement selects of each record.
pub(super) fn keys(
    tx: &mut Tx<'_>,
    statement: &Statement,
    width: usize,
) -> Result<Vec<Vec<Value<'static>>>, db::Error> {
    let mut found = Vec::new();
    tx.each(&statement.sql, &statement.values, &mut |row| {
        found.push(stored(row, width)?.into_iter().map(Value::from).collect());
        Ok(())
    })?;
    Ok(found)
}

fn stored(row: &db::Row<'_>, width: usize) -> Result<Vec<Stored>, db::Error> {
    (0..width).map(|column| Stored::read(row, column)).collect()
}

/// The new values of a change, given what the record has.
pub(super) fn resolved(
    tx: &mut Tx<'_>,
    entry: &Entry,
    id: &str,
    sent: &[(usize, Write)],
) -> Result<Vec<(usize, Stored)>, Error> {
    let relative: Vec<usize> = sent.iter().filter(|(_, it)| !matches!(it, Write::Set(_))).map(|(it, _)| *it).collect();
    let old = if relative.is_empty() { Vec::new() } else { values(tx, entry, id, &relative)? };
    let mut faults = Vec::new();
    let mut new = Vec::new();
    for (position, write) in sent {
        let before = relative.iter().position(|it| it == position).and_then(|it| old.get(it));
        let judge = &entry.judges[*position];
        match write.onto(judge, before.unwrap_or(&Stored::Null)) {
            Ok(value) => new.push((*position, value)),
            Err((code, detail)) => {
                faults.push(Fault::new(body::pointer(&judge.field.name), code, detail));
            }
        }
    }
    if faults.is_empty() { Ok(new) } else { Err(Error::Invalid(faults)) }
}

/// Runs a statement that selects the version and then what `projection` shows.
pub(super) fn find(
    tx: &mut Tx<'_>,
    statement: &Statement,
    projection: &Projection,
) -> Result<Option<Found>, db::Error> {
    Ok(find_all(tx, statement, projection)?.pop())
}

/// The same where there may be several, in a view.
pub(super) fn find_all(
    tx: &mut Tx<'_>,
    statement: &Statement,
    projection: &Projection,
) -> Result<Vec<Found>, db::Error> {
    let mut found = Vec::new();
    tx.each(&statement.sql, &statement.values, &mut |row| {
        let mut json = Vec::with_capacity(512);
        projection.write(row, 1, &mut json)?;
        found.push(Found { json, version: row.integer(0)? });
        Ok(())
    })?;
    Ok(found)
}

/// As [`find`], for a statement that selects the generation of the catalogue first: that is how a single
/// statement notices that collections were changed. In a view there may be several.
pub(super) fn find_current(
    tx: &mut Tx<'_>,
    catalogue: &Catalogue,
    statement: &Statement,
    projection: &Projection,
    gaps: &mut Vec<Gap>,
) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    tx.each(&statement.sql, &statement.values, &mut |row| {
        if row.integer(0)? == catalogue.generation {
            let mut json = Vec::with_capacity(512);
            projection.write_with_gaps(row, 2, &mut json, gaps)?;
            found.push(Found { json, version: row.integer(1)? });
        }
        Ok(())
    })?;
    Ok(found)
}

/// Says what a constraint refused: fields whose values are taken, or relations.
fn refused(entry: &Entry, error: db::Error) -> Error {
    let db::Error::Conflict { constraint } = &error else { return error.into() };
    let prefix = format!("{}.", entry.rows);
    let fields: Vec<String> =
        constraint.split(", ").filter_map(|it| it.strip_prefix(&prefix)).map(ToOwned::to_owned).collect();
    if fields.is_empty() { Error::RefersToNothing } else { Error::ValueTaken { fields } }
}

/// Records of an import after which others have their turn, if they wait.
const TURN: usize = 500;
/// How long one of its transactions goes on: a slow machine is not to run out of what a write may take.
const TURN_TIME_MAX: Duration = Duration::from_millis(500);
/// Records after which it is looked whether that is over.
const LOOK_EVERY: usize = 50;

/// What became of a batch of an import.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// Records that were looked at, from the first on; the others are still to come.
    pub done: usize,
    pub imported: u64,
    pub refused: Vec<RefusedRecord>,
}

impl Imported {
    /// Adds what became of those that followed.
    pub fn add(&mut self, next: Self) {
        self.done += next.done;
        self.imported += next.imported;
        self.refused.extend(next.refused);
    }
}

/// Adds the records of a batch, each of which is taken or refused alone, as many as others leave it time for. No
/// statement fails here, since one that did would be the end of the transaction on other engines.
pub(super) fn import(tx: &mut Tx<'_>, entry: &Entry, rows: &[Row], now: Timestamp) -> Result<Imported, db::Error> {
    let is_column = |position: &usize| entry.judges[*position].member.join.is_none();
    let positions: Vec<usize> = (0..entry.judges.len()).filter(is_column).collect();
    let columns: String = positions.iter().map(|it| format!(", {}", entry.judges[*it].member.column)).collect();
    let holes: String = (0..positions.len()).map(|it| format!(", ${}", it + 4)).collect();
    let sql = format!(
        "INSERT INTO {} (id, \"createdAt\", \"updatedAt\", _version{columns}) VALUES ($1, $2, $3, 1{holes})
         ON CONFLICT DO NOTHING",
        quoted(&entry.rows)
    );
    let relations = entry.judges.iter().enumerate().filter(|(_, it)| it.field.field_type == FieldType::Relation);
    let relations: Vec<usize> = relations.map(|(position, _)| position).collect();
    // Many rows tend to refer to the same few, each of which is looked for once.
    let mut seen = HashSet::new();
    let mut done = Imported::default();
    let began = Instant::now();
    for row in rows {
        if 0 < done.done && done.done % TURN == 0 && tx.others_wait() {
            break;
        }
        if 0 < done.done && done.done % LOOK_EVERY == 0 && TURN_TIME_MAX < began.elapsed() {
            break;
        }
        done.done += 1;
        let mut faults = Vec::new();
        for position in &relations {
            for id in relations::referred(entry, *position, &row.values[*position]) {
                if seen.contains(&(*position, id.to_string())) {
                    continue;
                }
                match relations::missing(tx, entry, *position, &id)? {
                    Some(fault) => faults.push(fault),
                    None => {
                        seen.insert((*position, id.into_owned()));
                    }
                }
            }
        }
        faults.truncate(problem::FAULTS_MAX);
        if !faults.is_empty() {
            done.refused.push(RefusedRecord { record: row.record, line: row.line, errors: faults });
            continue;
        }
        let mut values: Vec<Value<'_>> = vec![(&row.id).into(), row.created_at.into(), row.updated_at.into()];
        values.extend(positions.iter().map(|it| row.values[*it].as_value()));
        if tx.execute(&sql, &values)? == 1 {
            for (judge, value) in entry.judges.iter().zip(&row.values) {
                if let (Some(join), Stored::Text(ids)) = (&judge.member.join, value)
                    && ids != "[]"
                {
                    join_tables::write(tx, join, &row.id, ids, true)?;
                }
            }
            let errors = validate::faults(tx, entry, &row.id, now, &Sight::new(true, Arc::default()))?;
            if errors.is_empty() {
                done.imported += 1;
            } else {
                tx.execute(&format!("DELETE FROM {} WHERE id = $1", quoted(&entry.rows)), &[(&row.id).into()])?;
                done.refused.push(RefusedRecord { record: row.record, line: row.line, errors });
            }
        } else {
            done.refused.push(RefusedRecord { record: row.record, line: row.line, errors: taken(tx, entry, row)? });
        }
    }
    Ok(done)
}

/// What would become of a batch. Records of the same file are not seen, so relations to them are taken on trust.
pub(super) fn look_at_import(tx: &mut Tx<'_>, entry: &Entry, rows: &[Row]) -> Result<Imported, db::Error> {
    let mut done = Imported { done: rows.len(), ..Imported::default() };
    for row in rows {
        let is_outward = |position: &usize| entry.judges[*position].field.collection.as_deref() != Some(entry.name());
        let mut errors = Vec::new();
        for (position, value) in row.values.iter().enumerate().filter(|(it, _)| is_outward(it)) {
            for id in relations::referred(entry, position, value) {
                errors.extend(relations::missing(tx, entry, position, &id)?);
            }
        }
        errors.truncate(problem::FAULTS_MAX);
        errors.extend(taken(tx, entry, row)?);
        if errors.is_empty() {
            done.imported += 1;
        } else {
            done.refused.push(RefusedRecord { record: row.record, line: row.line, errors });
        }
    }
    Ok(done)
}

/// The fields that are unique, alone or together, and of which another record has these values. Those that are not
/// among them are as the record has them.
pub(super) fn taken_by_others(
    tx: &mut Tx<'_>,
    entry: &Entry,
    id: &str,
    values: &[(usize, Stored)],
) -> Result<Vec<String>, db::Error> {
    let table = quoted(&entry.rows);
    let new = |name: &String| values.iter().find(|(it, _)| entry.judges[*it].field.name == *name).map(|(_, it)| it);
    let mut taken = Vec::new();
    for fields in entry.collection.unique_fields() {
        let mut test = Statement::default();
        test.push(&format!("SELECT 1 FROM {table} WHERE id <> ")).bind(id.to_owned());
        for name in &fields {
            test.push(&format!(" AND {} = ", quoted(name)));
            match new(name) {
                Some(value) => test.bind(Value::from(value.clone())),
                None => test
                    .push(&format!("(SELECT {} FROM {table} WHERE id = ", quoted(name)))
                    .bind(id.to_owned())
                    .push(")"),
            };
        }
        let is_touched = fields.iter().any(|it| new(it).is_some());
        if is_touched && tx.find(&test.sql, &test.values, |row| row.integer(0))?.is_some() {
            taken.extend(fields);
        }
    }
    Ok(taken)
}

/// The fields of a record that another one has the values of.
fn taken(tx: &mut Tx<'_>, entry: &Entry, row: &Row) -> Result<Vec<Fault>, db::Error> {
    let mut faults = Vec::new();
    for fields in [vec!["id".to_owned()]].into_iter().chain(entry.collection.unique_fields()) {
        let tests: Vec<_> = fields.iter().zip(1..).map(|(it, hole)| format!("{} = ${hole}", quoted(it))).collect();
        let sql = format!("SELECT 1 FROM {} WHERE {}", quoted(&entry.rows), tests.join(" AND "));
        let values: Vec<_> = fields.iter().map(|it| value_of(entry, row, it)).collect();
        if tx.find(&sql, &values, |row| row.integer(0))?.is_some() {
            faults.extend(fields.iter().map(|it| error::not_unique(it)));
        }
    }
    Ok(faults)
}

fn value_of<'a>(entry: &Entry, row: &'a Row, name: &str) -> Value<'a> {
    match name {
        "id" => (&row.id).into(),
        "createdAt" => row.created_at.into(),
        "updatedAt" => row.updated_at.into(),
        _ => entry.field(name).and_then(|(it, _)| row.values.get(it)).map_or(Value::Null, Stored::as_value),
    }
}
