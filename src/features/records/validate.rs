//! What must be true of a record whoever writes it: asked of the record as it was written, in the same transaction.
use super::access;
use super::body;
use super::statement::Statement;
use super::store::ALIAS;
use crate::base::Timestamp;
use crate::db::record_tables::quoted;
use crate::db::{self, Tx};
use crate::expr::Facts;
use crate::features::collections::{Entry, Sight};
use crate::http::Fault;

/// What is not true of a record that was just written, and must be.
pub(super) fn faults(
    tx: &mut Tx<'_>,
    entry: &Entry,
    id: &str,
    now: Timestamp,
    sight: &Sight,
) -> Result<Vec<Fault>, db::Error> {
    if entry.validators.is_empty() {
        return Ok(Vec::new());
    }
    let facts = Facts { now: now.millis(), ..Facts::default() };
    let mut statement = Statement::new("SELECT ");
    for (index, (_, compiled)) in entry.validators.iter().enumerate() {
        statement.push(if index == 0 { "(" } else { ", (" });
        statement.append(access::resolved(compiled, ALIAS, &facts)).push(") IS TRUE");
    }
    statement.push(&format!(" FROM {} AS {ALIAS} WHERE {ALIAS}.id = ", quoted(&entry.table))).bind(id.to_owned());
    let mut faults = Vec::new();
    tx.each(&statement.sql, &statement.values, &mut |row| {
        for (column, (position, _)) in entry.validators.iter().enumerate() {
            if row.integer(column)? == 0 {
                faults.push(fault(entry, *position, sight));
            }
        }
        Ok(())
    })?;
    Ok(faults)
}

/// What is told of a field that is not as it must be: to whoever does not see it, not which one it is.
fn fault(entry: &Entry, position: usize, sight: &Sight) -> Fault {
    let judge = &entry.judges[position];
    if !sight.sees(judge) && !sight.sets(judge) {
        return Fault::new("", "validate", "is not as records of this collection must be");
    }
    // The condition may name fields that the caller does not see.
    let detail = match judge.field.validate.as_deref().filter(|_| sight.rules_over(entry.name())) {
        Some(condition) => format!("must be such that `{condition}`"),
        None => "is not as this field must be".to_owned(),
    };
    Fault::new(body::pointer(&judge.field.name), "validate", detail)
}
