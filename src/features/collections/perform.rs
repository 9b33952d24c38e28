//! Does to the tables what was planned: each step in its turn, in a transaction that nothing else shares.
use serde_json::Value as Json;

use super::bound::EXACT_MAX;
use super::catalogue::{join_table, live_view, table};
use super::error::Error;
use super::model::{Collection, Field};
use super::plan::{Deed, PASSING, Step};
use super::several;
use super::value::{Judge, Stored};
use crate::db::join_tables::{self, Join};
use crate::db::record_tables::{self, Column, IS_DELETED, quoted};
use crate::db::{self, Tx, search_tables};

/// Does what was planned, to the table of the collection that was called `name`.
pub(super) fn run(tx: &mut Tx<'_>, steps: &[Step], collection: &Collection, name: &str) -> Result<(), Error> {
    let old_table = table(name);
    let id = collection.id.to_string();
    // The table is renamed last: until then a column that refers to its own collection refers to the old name.
    let now = |column: &Column| {
        let mut column = column.clone();
        if let Some(reference) = column.reference.as_mut().filter(|it| it.table == table(&collection.name)) {
            reference.table.clone_from(&old_table);
        }
        column
    };
    let now_join = |join: &Join| {
        let mut join = join.clone();
        for name in [&mut join.owner, &mut join.target.table] {
            if *name == table(&collection.name) {
                name.clone_from(&old_table);
            }
        }
        join
    };
    // A view would stand in the way of changes of its table.
    record_tables::drop_live_view(tx, &live_view(name))?;
    for step in steps {
        let done = match step.deed() {
            Deed::CreateTable(columns) => record_tables::create(tx, &old_table, columns, &id),
            Deed::DropTable => drop_table(tx, &old_table, collection),
            Deed::RenameTable { to } if to.eq_ignore_ascii_case(&old_table) => {
                record_tables::rename(tx, &old_table, PASSING).and_then(|()| record_tables::rename(tx, PASSING, to))
            }
            Deed::RenameTable { to } => record_tables::rename(tx, &old_table, to),
            Deed::AddColumn(column) => record_tables::add_column(tx, &old_table, &now(column)),
            Deed::RemakeColumn(column) => remake(tx, &old_table, &now(column)),
            Deed::DropColumn(column) => record_tables::drop_column(tx, &old_table, column),
            Deed::RenameColumn { from, to } => record_tables::rename_column(tx, &old_table, from, to),
            Deed::CreateSearch(columns) => search_tables::create(tx, &old_table, columns, &id),
            Deed::DropSearch => search_tables::drop(tx, &id),
            Deed::CreateJoin(join) => join_tables::create(tx, &now_join(join)),
            Deed::RemakeJoin(join) => join_tables::remake(tx, &now_join(join), PASSING),
            Deed::DropJoin(name) => join_tables::drop(tx, name),
            Deed::RenameJoin { from, to } => join_tables::rename(tx, from, &now_join(to)),
            Deed::CreateIndex(spec) => {
                record_tables::create_index(tx, &spec.name(&id), &old_table, &spec.columns, spec.unique)
            }
            Deed::DropIndex(spec) => record_tables::drop_index(tx, &spec.name(&id)),
            Deed::RefuseNulls { field } => {
                let sql = format!("SELECT 1 FROM {} WHERE {} IS NULL LIMIT 1", quoted(&old_table), quoted(field));
                refuse_if_found(tx, &sql, &[], field, "is null in some records; give it a value there first")?;
                Ok(())
            }
            Deed::RefuseUnfit(field) => {
                refuse_unfit(tx, &old_table, collection, field)?;
                Ok(())
            }
            Deed::Normalize(field) => {
                normalize(tx, &old_table, field)?;
                Ok(())
            }
            Deed::RefuseInexact { field } => {
                let (table, column) = (quoted(&old_table), quoted(field));
                let sql =
                    format!("SELECT 1 FROM {table} WHERE {column} NOT BETWEEN -{EXACT_MAX} AND {EXACT_MAX} LIMIT 1");
                refuse_if_found(tx, &sql, &[], field, "has whole numbers beyond 2^53 in some records")?;
                Ok(())
            }
            Deed::RefuseSeveral { field, join } => {
                several::refuse(tx, &old_table, field, join.as_deref())?;
                Ok(())
            }
            Deed::BecomeSeveral { column, join } => {
                several::widen(tx, &old_table, column, join.as_ref().map(now_join).as_ref())
            }
            Deed::BecomeOne { field, column, join } => {
                several::narrow(tx, &old_table, field, column.as_ref().map(now).as_ref(), join.as_deref())
            }
            Deed::CreateBin => record_tables::create_bin(tx, &old_table, &id),
            Deed::DropBin => record_tables::drop_bin(tx, &id),
            Deed::EmptyBin => {
                let sql = format!("DELETE FROM {} WHERE \"{IS_DELETED}\" = 1", quoted(&old_table));
                tx.execute(&sql, &[]).map(|_| ())
            }
            Deed::Expect(_) | Deed::Note => Ok(()),
        };
        done.map_err(|error| match (step.deed(), error) {
            (Deed::CreateIndex(spec), db::Error::Conflict { .. }) => Error::DataInTheWay {
                field: spec.columns.join(", "),
                what: "has values that occur more than once".to_owned(),
            },
            (Deed::EmptyBin, db::Error::Conflict { .. }) => Error::DataInTheWay {
                field: "options.softDelete".to_owned(),
                what: "has records in its bin that others refer to; change those first".to_owned(),
            },
            (_, error) => error.into(),
        })?;
    }
    let is_dropped = steps.iter().any(|it| matches!(it.deed(), Deed::DropTable));
    if collection.keeps_deleted() && !is_dropped {
        record_tables::create_live_view(tx, &live_view(&collection.name), &table(&collection.name))?;
    }
    Ok(())
}

fn refuse_if_found(tx: &mut Tx<'_>, sql: &str, values: &[db::Value<'_>], field: &str, what: &str) -> Result<(), Error> {
    match tx.find(sql, values, |row| row.integer(0))? {
        None => Ok(()),
        Some(_) => Err(Error::DataInTheWay { field: field.to_owned(), what: what.to_owned() }),
    }
}

/// Drops a table, whose records may refer to each other: deleting them in some order would stop at the first that is
/// referred to, or go too deep.
fn drop_table(tx: &mut Tx<'_>, table: &str, collection: &Collection) -> Result<(), db::Error> {
    for field in collection.fields.iter().filter(|it| it.refers_to_many()) {
        join_tables::drop(tx, &join_table(collection.id, &field.name))?;
    }
    let to_itself = |it: &&Field| it.refers_to_one() && it.collection.as_deref() == Some(&collection.name);
    for field in collection.fields.iter().filter(to_itself) {
        let column = quoted(&field.name);
        let sql =
            format!("UPDATE {} SET {column} = NULL, _version = _version + 1 WHERE {column} IS NOT NULL", quoted(table));
        tx.execute(&sql, &[])?;
    }
    record_tables::drop(tx, table)
}

/// Looks through all values of a field for one that it would not take any more.
fn refuse_unfit(tx: &mut Tx<'_>, table: &str, collection: &Collection, field: &Field) -> Result<(), Error> {
    let in_the_way = |detail: &str| Error::DataInTheWay {
        field: field.name.clone(),
        what: format!("has a value in some record that {detail}; change these first"),
    };
    let judge = Judge::new(field.clone()).map_err(|it| in_the_way(&it.detail))?;
    let mut column = quoted(&field.name);
    if field.refers_to_many() {
        column = join_tables::list(&join_table(collection.id, &field.name), &format!("{}.id", quoted(table)));
    }
    let sql = format!("SELECT {column} FROM {} WHERE {column} IS NOT NULL", quoted(table));
    let mut found = None;
    tx.each(&sql, &[], &mut |row| {
        if found.is_none() {
            found = judge.accept(&as_sent(&Stored::read(row, 0)?, field)).err();
        }
        Ok(())
    })?;
    found.map_or(Ok(()), |unfit| Err(in_the_way(&unfit.detail)))
}

/// A value that is kept, in the form in which it would be sent.
pub(super) fn as_sent(stored: &Stored, field: &Field) -> Json {
    match stored {
        Stored::Null => Json::Null,
        Stored::Integer(number) => (*number).into(),
        Stored::Real(number) => (*number).into(),
        Stored::Text(text) if field.is_multiple() => serde_json::from_str(text).unwrap_or_default(),
        Stored::Text(text) => Json::from(text.as_str()),
    }
}

/// Writes the values of a field, all of which fit, in the form in which it keeps them.
fn normalize(tx: &mut Tx<'_>, table: &str, field: &Field) -> Result<(), Error> {
    let Ok(judge) = Judge::new(field.clone()) else { return Ok(()) };
    let (table, column) = (quoted(table), quoted(&field.name));
    let mut changes = Vec::new();
    tx.each(&format!("SELECT _row, {column} FROM {table} WHERE {column} IS NOT NULL"), &[], &mut |row| {
        let text = row.text(1)?;
        if let Ok(Stored::Text(normal)) = judge.accept(&Json::from(text))
            && normal != text
        {
            changes.push((row.integer(0)?, normal));
        }
        Ok(())
    })?;
    let sql = format!("UPDATE {table} SET {column} = $2, _version = _version + 1 WHERE _row = $1");
    for (row, normal) in changes {
        tx.execute(&sql, &[row.into(), normal.into()])?;
    }
    Ok(())
}

fn remake(tx: &mut Tx<'_>, table: &str, column: &Column) -> Result<(), db::Error> {
    let name = &column.name;
    record_tables::add_column(tx, table, &Column { name: PASSING.to_owned(), ..column.clone() })?;
    // Counted, since the record looks different; but nobody changed it, so its time stays.
    let sql = format!("UPDATE {} SET {PASSING} = {}, _version = _version + 1", quoted(table), quoted(name));
    tx.execute(&sql, &[])?;
    record_tables::drop_column(tx, table, name)?;
    record_tables::rename_column(tx, table, PASSING, name)
}
