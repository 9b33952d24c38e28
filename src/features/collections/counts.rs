//! How many records a change touches, and how many are in the way of it: asked of the records as they are.
//!
//! For a dry run there is a budget: records are looked at some thousands at a time, and what was not reached in time is
//! said to be "at least" that many. Where a change would lose values they are counted to the end.
use std::time::{Duration, Instant};

use super::bound::EXACT_MAX;
use super::catalogue::{live_table, table};
use super::error::Error;
use super::model::{Change, Collection, Field};
use super::plan::{Deed, Step, was};
use super::value::{Judge, Stored};
use crate::base::{TenantId, Timestamp};
use crate::db::record_tables::{DELETED_AT, IS_DELETED, quoted};
use crate::db::{self, Db, Tx, dialect, join_tables};
use crate::expr::CallerFields;
use crate::expr::{self, Facts};

/// How long all questions of a dry run may take together.
const BUDGET: Duration = Duration::from_millis(1_500);
/// Records that are looked at between two looks at the clock.
const ROWS: i64 = 10_000;
/// The same where each value is judged by itself.
const ROWS_JUDGED: i64 = 1_000;
/// Ids that are told of those in the way.
const IDS_MAX: usize = 5;

/// What the rows are called that a condition is about.
const ALIAS: &str = "kept";

/// All collections as they would be, and the time: what conditions may ask for.
#[derive(Clone, Debug)]
pub(super) struct Prospect {
    pub collections: Vec<Collection>,
    pub now: Timestamp,
}

/// Something to ask of the records of one table.
#[derive(Clone, Debug)]
enum Question {
    /// How many rows are touched: those for which a condition over `value` is true.
    Touched { table: String, value: String, condition: String },
    /// How many rows are in the way: those for which it is true.
    InTheWay { table: String, value: String, condition: String },
    /// How many rows have a value that the field would not take.
    Unfit { table: String, value: String, field: Box<Field> },
    /// How many rows are not as a condition asks, which is about a source that is called [`ALIAS`].
    Unlike { source: String, condition: String, values: Vec<db::Value<'static>> },
    /// How many rows share their values in all of these columns.
    Shared { table: String, columns: Vec<String> },
}

/// What was found.
#[derive(Debug, Default)]
struct Found {
    count: u64,
    ids: Vec<String>,
    at_least: bool,
}

/// In how many records values are lost by a step, of those of a collection as it is.
pub(super) fn lost(tx: &mut Tx<'_>, old: &Collection, step: &Step) -> Result<u64, db::Error> {
    let nothing = Prospect { collections: Vec::new(), now: Timestamp::from_millis(0) };
    let Some(Question::Touched { table, value, condition }) = question(old, old, step, &nothing) else { return Ok(0) };
    let sql = format!("SELECT count(*) FROM (SELECT {value} AS value FROM {table}) AS kept WHERE {condition}");
    Ok(tx.find(&sql, &[], |row| row.integer(0))?.unwrap_or(0).unsigned_abs())
}

/// Says of each step how many records it is about, as far as there is time.
pub(super) async fn tell(
    db: &Db,
    tenant: &TenantId,
    steps: Vec<(&Collection, &Collection, &Step)>,
    prospect: &Prospect,
) -> Result<Vec<Change>, Error> {
    let until = Instant::now() + BUDGET;
    let mut told = Vec::new();
    for (old, new, step) in steps {
        let mut change = step.change.clone();
        if let Some(question) = question(old, new, step, prospect) {
            let is_touched = matches!(question, Question::Touched { .. });
            let is_expected = matches!(question, Question::Unlike { .. });
            let found = match db.read(tenant, move |tx| answer(tx, &question, until)).await {
                // Nothing of it could be counted in time.
                Err(Error::Db(db::Error::BudgetSpent | db::Error::TooLarge)) => {
                    Found { at_least: true, ..Found::default() }
                }
                // The condition asks for what is only there after the change.
                Err(Error::Db(db::Error::Engine(_))) if is_expected => {
                    told.push(change);
                    continue;
                }
                outcome => outcome?,
            };
            if is_expected {
                change.would_not_pass = Some(found.count);
            } else if is_touched {
                change.records = Some(found.count);
            } else {
                change.in_the_way = Some(found.count);
            }
            (change.ids, change.at_least) = (found.ids, found.at_least);
        }
        told.push(change);
    }
    Ok(told)
}

/// What a step makes one ask of the records as they are, before any other step was done.
fn question(old: &Collection, new: &Collection, step: &Step, prospect: &Prospect) -> Option<Question> {
    let table = quoted(&table(&old.name));
    let own = table.clone();
    let all = || Question::Touched { table: own.clone(), value: "1".to_owned(), condition: "value = 1".to_owned() };
    // What the field that has a name now was called, if it was there.
    let before = |name: &str| {
        let field = new.fields.iter().find(|it| it.name == name)?;
        old.fields.iter().find(|it| it.name == was(field))
    };
    let own = table.clone();
    let filled = |column: &str| {
        let condition = "value IS NOT NULL".to_owned();
        Question::Touched { table: own.clone(), value: quoted(column), condition }
    };
    let listed = |join: &str| {
        let value = join_tables::count(join, &format!("{own}.id"));
        Question::Touched { table: own.clone(), value, condition: "0 < value".to_owned() }
    };
    Some(match step.deed() {
        Deed::DropTable => all(),
        Deed::CreateSearch(_) => all(),
        Deed::AddColumn(column) if column.default.is_some() => all(),
        Deed::DropColumn(name) if step.change.loses_data => filled(name),
        Deed::RemakeColumn(column) => filled(&before(&column.name)?.name),
        Deed::DropJoin(name) => listed(name),
        Deed::EmptyBin => Question::Touched { table, value: quoted(IS_DELETED), condition: "value = 1".to_owned() },
        Deed::RefuseNulls { field } => match before(field) {
            Some(before) => {
                Question::InTheWay { table, value: quoted(&before.name), condition: "value IS NULL".to_owned() }
            }
            None if new.fields.iter().any(|it| it.name == *field && it.default.is_some()) => return None,
            None => Question::InTheWay { table, value: "1".to_owned(), condition: "value = 1".to_owned() },
        },
        Deed::RefuseInexact { field } => {
            let condition = format!("value NOT BETWEEN -{EXACT_MAX} AND {EXACT_MAX}");
            Question::InTheWay { table, value: quoted(&before(field)?.name), condition }
        }
        Deed::RefuseUnfit(field) => {
            let value = match before(&field.name) {
                Some(before) if before.refers_to_many() => {
                    join_tables::list(&super::catalogue::join_table(old.id, &before.name), &format!("{table}.id"))
                }
                Some(before) if before.is_multiple() == field.is_multiple() => quoted(&before.name),
                Some(_) => return None,
                // A new list is empty.
                None => "'[]'".to_owned(),
            };
            Question::Unfit { table, value, field: field.clone() }
        }
        Deed::RefuseSeveral { field, join } => {
            let value = match join {
                Some(join) => join_tables::count(join, &format!("{table}.id")),
                None => dialect::list_length(&quoted(&before(field)?.name)),
            };
            Question::InTheWay { table, value, condition: "1 < value".to_owned() }
        }
        Deed::BecomeSeveral { column, .. } => filled(column),
        Deed::BecomeOne { join: Some(join), .. } => listed(join),
        Deed::BecomeOne { field, join: None, .. } => filled(&before(field)?.name),
        Deed::Normalize(field) => filled(&before(&field.name)?.name),
        Deed::Expect(field) => return expectation(old, new, field, prospect),
        Deed::CreateIndex(spec) if spec.unique => {
            let columns = spec.columns.iter().map(|name| match before(name) {
                Some(before) => Some(before.name.clone()),
                None => super::check::TIMES.contains(&name.as_str()).then(|| name.clone()),
            });
            // A new field has no value anywhere, and null is never the same as null.
            Question::Shared { table, columns: columns.collect::<Option<_>>()? }
        }
        _ => return None,
    })
}

/// What a field asks of all records, put to them as they are under the names that they shall have.
fn expectation(old: &Collection, new: &Collection, field: &Field, prospect: &Prospect) -> Option<Question> {
    let views = super::view::look(&prospect.collections);
    // It does not depend on who writes.
    let schema = super::rule::schema(&prospect.collections, &views, &CallerFields::default());
    let parsed = expr::parse(field.validate.as_deref()?).ok()?;
    let compiled = expr::compile_validator(&schema, &new.name, &field.name, &parsed).ok()?;
    let mut columns: Vec<String> = ["_row", "id", "\"createdAt\"", "\"updatedAt\""].map(ToOwned::to_owned).into();
    if new.keeps_deleted() {
        columns.push(format!("0 AS {}, NULL AS {}", quoted(IS_DELETED), quoted(DELETED_AT)));
    }
    for after in new.fields.iter().filter(|it| !it.refers_to_many()) {
        let value = match old.fields.iter().find(|it| it.name == was(after)) {
            // What stands in another form by then cannot be asked now.
            Some(before) if before.is_multiple() != after.is_multiple() => return None,
            Some(before) => quoted(&before.name),
            None if after.default.is_some() => return None,
            None => "NULL".to_owned(),
        };
        columns.push(format!("{value} AS {}", quoted(&after.name)));
    }
    let source = format!("(SELECT {} FROM {})", columns.join(", "), quoted(&live_table(old)));
    let facts = Facts { now: prospect.now.millis(), ..Facts::default() };
    let values = compiled.binds().iter().map(|it| it.resolve(&facts).into()).collect();
    Some(Question::Unlike { source, condition: compiled.sql(ALIAS), values })
}

fn answer(tx: &mut Tx<'_>, question: &Question, until: Instant) -> Result<Found, Error> {
    match question {
        Question::Touched { table, value, condition } => counted(tx, table, value, condition, until, false),
        Question::InTheWay { table, value, condition } => counted(tx, table, value, condition, until, true),
        Question::Unfit { table, value, field } => judged(tx, table, value, field, until),
        Question::Unlike { source, condition, values } => unlike(tx, source, condition, values, until),
        Question::Shared { table, columns } => shared(tx, table, columns, until),
    }
}

/// Counts the rows for which a condition is true, some at a time.
fn counted(
    tx: &mut Tx<'_>,
    table: &str,
    value: &str,
    condition: &str,
    until: Instant,
    with_ids: bool,
) -> Result<Found, Error> {
    let part = format!("(SELECT _row, id, {value} AS value FROM {table} WHERE $1 < _row ORDER BY _row LIMIT {ROWS})");
    let sql =
        format!("SELECT coalesce(max(_row), -1), sum(CASE WHEN {condition} THEN 1 ELSE 0 END) FROM {part} AS part");
    let ids = format!("SELECT id FROM {part} AS part WHERE {condition} ORDER BY _row LIMIT {IDS_MAX}");
    let (mut found, mut after) = (Found::default(), -1);
    loop {
        if until <= Instant::now() {
            found.at_least = true;
            return Ok(found);
        }
        let read = |row: &db::Row<'_>| Ok((row.integer(0)?, row.optional(1, db::Row::integer)?.unwrap_or(0)));
        let Some((last, count)) = tx.find(&sql, &[after.into()], read)?.filter(|(last, _)| 0 <= *last) else {
            return Ok(found);
        };
        if with_ids && 0 < count && found.ids.len() < IDS_MAX {
            let more = tx.query(&ids, &[after.into()], |row| row.text(0).map(ToOwned::to_owned))?;
            found.ids.extend(more.into_iter().take(IDS_MAX - found.ids.len()));
        }
        found.count += count.unsigned_abs();
        after = last;
    }
}

/// Counts the rows that are not as a condition asks, some at a time.
fn unlike(
    tx: &mut Tx<'_>,
    source: &str,
    condition: &str,
    values: &[db::Value<'static>],
    until: Instant,
) -> Result<Found, Error> {
    let hole = values.len() + 1;
    let part =
        format!("(SELECT * FROM {source} AS rows_of WHERE ${hole} < _row ORDER BY _row LIMIT {ROWS}) AS {ALIAS}");
    let sql =
        format!("SELECT coalesce(max(_row), -1), sum(CASE WHEN ({condition}) IS TRUE THEN 0 ELSE 1 END) FROM {part}");
    let ids = format!("SELECT id FROM {part} WHERE ({condition}) IS NOT TRUE ORDER BY _row LIMIT {IDS_MAX}");
    let (mut found, mut after) = (Found::default(), -1);
    loop {
        if until <= Instant::now() {
            found.at_least = true;
            return Ok(found);
        }
        let values: Vec<db::Value<'_>> = values.iter().cloned().chain([i64::into(after)]).collect();
        let read = |row: &db::Row<'_>| Ok((row.integer(0)?, row.optional(1, db::Row::integer)?.unwrap_or(0)));
        let Some((last, count)) = tx.find(&sql, &values, read)?.filter(|(last, _)| 0 <= *last) else {
            return Ok(found);
        };
        if 0 < count && found.ids.len() < IDS_MAX {
            let more = tx.query(&ids, &values, |row| row.text(0).map(ToOwned::to_owned))?;
            found.ids.extend(more.into_iter().take(IDS_MAX - found.ids.len()));
        }
        found.count += count.unsigned_abs();
        after = last;
    }
}

/// Counts the rows whose value the field would not take, some at a time.
fn judged(tx: &mut Tx<'_>, table: &str, value: &str, field: &Field, until: Instant) -> Result<Found, Error> {
    let sql = format!("SELECT _row, id, {value} FROM {table} WHERE $1 < _row ORDER BY _row LIMIT {ROWS_JUDGED}");
    let Ok(judge) = Judge::new(field.clone()) else { return Ok(Found::default()) };
    let (mut found, mut after) = (Found::default(), -1);
    loop {
        if until <= Instant::now() {
            found.at_least = true;
            return Ok(found);
        }
        let mut last = None;
        tx.each(&sql, &[i64::into(after)], &mut |row| {
            last = Some(row.integer(0)?);
            let stored = Stored::read(row, 2)?;
            if stored != Stored::Null && judge.accept(&super::perform::as_sent(&stored, field)).is_err() {
                found.count += 1;
                if found.ids.len() < IDS_MAX {
                    found.ids.push(row.text(1)?.to_owned());
                }
            }
            Ok(())
        })?;
        match last {
            Some(last) => after = last,
            None => return Ok(found),
        }
    }
}

/// Counts the rows that share their values with another one.
fn shared(tx: &mut Tx<'_>, table: &str, columns: &[String], until: Instant) -> Result<Found, Error> {
    if until <= Instant::now() {
        return Ok(Found { at_least: true, ..Found::default() });
    }
    let names: Vec<_> = columns.iter().map(|it| quoted(it)).collect();
    let has_all: Vec<_> = names.iter().map(|it| format!("{it} IS NOT NULL")).collect();
    let groups = format!(
        "SELECT count(*) AS rows_of, min(id) AS first FROM {table} WHERE {} GROUP BY {} HAVING 1 < count(*)",
        has_all.join(" AND "),
        names.join(", ")
    );
    let ids = dialect::json_array_of("first", "first");
    let sql = format!(
        "SELECT coalesce(sum(rows_of), 0), (SELECT {ids} FROM (SELECT first FROM ({groups}) AS each LIMIT {IDS_MAX}) AS few)
         FROM ({groups}) AS each"
    );
    let read = |row: &db::Row<'_>| Ok((row.integer(0)?, row.text(1)?.to_owned()));
    let (count, ids) = tx.find(&sql, &[], read)?.unwrap_or_default();
    let ids = serde_json::from_str(&ids).unwrap_or_default();
    Ok(Found { count: count.unsigned_abs(), ids, at_least: false })
}
