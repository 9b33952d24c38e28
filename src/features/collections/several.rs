//! From one value to several and back: what fits into the other form stays.
use super::catalogue::join_table;
use super::error::Error;
use super::model::{Collection, Field, FieldType};
use super::plan::{self, Deed, Step, step};
use super::value::Judge;
use crate::db::join_tables::{self, Join};
use crate::db::record_tables::{self, Column, quoted};
use crate::db::{self, Tx, dialect};

/// Whether a field becomes one of several values, or of one, and is of the same type otherwise.
pub(super) fn is_turned(before: &Field, after: &Field) -> bool {
    let is_same = before.field_type == after.field_type && before.collection == after.collection;
    is_same
        && before.is_multiple() != after.is_multiple()
        && matches!(after.field_type, FieldType::Relation | FieldType::Select)
}

/// The steps from one form to the other.
pub(super) fn steps(before: &Field, judge: &Judge, old: &Collection, new: &Collection) -> Result<Vec<Step>, String> {
    let after = &judge.field;
    if before.name != after.name {
        return Err("a field gets another name, or becomes one of several values; make two changes of it".to_owned());
    }
    let name = after.name.clone();
    let is_relation = after.field_type == FieldType::Relation;
    let mut steps = Vec::new();
    if after.is_multiple() {
        let join = is_relation.then(|| plan::join(new, after));
        let what = format!("make a list of each `{name}`");
        steps.push(step(what, false, Deed::BecomeSeveral { column: name, join }));
    } else {
        let join = is_relation.then(|| join_table(old.id, &name));
        let column = is_relation.then(|| plan::column(judge, false));
        let what = format!("look whether no record has several `{name}`");
        steps.push(step(what, false, Deed::RefuseSeveral { field: name.clone(), join: join.clone() }));
        let what = format!("make a single value of each `{name}`");
        steps.push(step(what, false, Deed::BecomeOne { field: name, column, join }));
    }
    Ok(steps)
}

/// Refuses to go on if a record has several values, of which all but one would be lost.
pub(super) fn refuse(tx: &mut Tx<'_>, table: &str, field: &str, join: Option<&str>) -> Result<(), Error> {
    let table = quoted(table);
    let count = match join {
        Some(join) => join_tables::count(join, &format!("{table}.id")),
        None => dialect::list_length(&quoted(field)),
    };
    let sql = format!("SELECT count(*) FROM {table} WHERE 1 < {count}");
    match tx.find(&sql, &[], |row| row.integer(0))? {
        Some(records @ 1..) => {
            let has = if records == 1 { "record has" } else { "records have" };
            let what = format!("would lose values, since {records} {has} several there; leave one in each first");
            Err(Error::DataInTheWay { field: field.to_owned(), what })
        }
        _ => Ok(()),
    }
}

/// Makes a list of each value.
pub(super) fn widen(tx: &mut Tx<'_>, table: &str, column: &str, join: Option<&Join>) -> Result<(), db::Error> {
    let (rows, value) = (quoted(table), quoted(column));
    let Some(join) = join else {
        let list = dialect::json_array(&value);
        return rewrite(tx, &rows, &value, &list);
    };
    join_tables::create(tx, join)?;
    let sql = format!(
        "INSERT INTO {} (owner, target, position) SELECT id, {value}, 0 FROM {rows} WHERE {value} IS NOT NULL",
        quoted(&join.name)
    );
    tx.execute(&sql, &[])?;
    // Counted, since each record looks different, also one that referred to nothing.
    tx.execute(&format!("UPDATE {rows} SET _version = _version + 1"), &[])?;
    record_tables::drop_column(tx, table, column)
}

/// Makes a single value of each list, which has one item at most.
pub(super) fn narrow(
    tx: &mut Tx<'_>,
    table: &str,
    field: &str,
    column: Option<&Column>,
    join: Option<&str>,
) -> Result<(), db::Error> {
    let (rows, value) = (quoted(table), quoted(field));
    let (Some(column), Some(join)) = (column, join) else {
        let first = dialect::first_of(&value);
        return rewrite(tx, &rows, &value, &first);
    };
    record_tables::add_column(tx, table, column)?;
    let entries = quoted(join);
    let sql = format!(
        "UPDATE {rows} SET _version = _version + 1,
         {value} = (SELECT entry.target FROM {entries} AS entry WHERE entry.owner = {rows}.id)"
    );
    tx.execute(&sql, &[])?;
    join_tables::drop(tx, join)
}

fn rewrite(tx: &mut Tx<'_>, rows: &str, column: &str, value: &str) -> Result<(), db::Error> {
    let sql = format!("UPDATE {rows} SET {column} = {value}, _version = _version + 1 WHERE {column} IS NOT NULL");
    tx.execute(&sql, &[]).map(drop)
}
