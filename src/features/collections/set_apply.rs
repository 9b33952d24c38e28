//! Makes all collections as a set says, in one transaction, whatever they refer to.
use std::collections::HashSet;

use super::catalogue::{self, join_table, table};
use super::error::Error;
use super::history::{self, Author, Happened};
use super::model::Collection;
use super::set_plan::{Move, SetPlan};
use super::{counts, grants_store, perform, store};
use crate::base::Timestamp;
use crate::db::record_tables::quoted;
use crate::db::{self, Tx};

/// How an import is done.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub author: Author,
    pub now: Timestamp,
    /// Whether values may go that some record has.
    pub allow_loss: bool,
    /// Most entries that the history keeps.
    pub history_max: u64,
}

/// Does what was planned.
///
/// Tables get their new names first, so that all others can refer to these; then all new tables are made, and only
/// then what refers to them, so that collections may refer to each other in a circle. What goes goes last.
///
/// Tells whether values were lost.
pub(super) fn apply(tx: &mut Tx<'_>, plan: &SetPlan, terms: &Terms) -> Result<bool, Error> {
    let losses = losses(tx, plan)?;
    let loses_data = !losses.is_empty();
    if loses_data && !terms.allow_loss {
        return Err(Error::WouldLose { losses });
    }
    for (it, old, new) in changed(plan).filter(|(it, ..)| !it.rename.is_empty()) {
        let named = Collection { name: new.name.clone(), ..old.clone() };
        about(&old.name, perform::run(tx, &it.rename, &named, &old.name))?;
    }
    let made: Vec<_> = plan.moves.iter().filter(|it| it.before.is_none()).collect();
    for it in &made {
        let Some(new) = &it.after else { continue };
        store::insert(tx, &catalogue::pack(new))?;
        about(&new.name, perform::run(tx, &it.steps[..1], new, &new.name))?;
    }
    for it in &made {
        let Some(new) = &it.after else { continue };
        about(&new.name, perform::run(tx, &it.steps[1..], new, &new.name))?;
    }
    for (it, _, new) in changed(plan) {
        if !it.steps.is_empty() {
            about(&new.name, perform::run(tx, &it.steps, new, &new.name))?;
        }
        store::update(tx, &catalogue::pack(new))?;
        store::announce_change(tx, new.id, terms.now)?;
    }
    let dropped: Vec<_> = plan.moves.iter().filter(|it| it.after.is_none()).collect();
    let going: Vec<&Collection> = dropped.iter().filter_map(|it| it.before.as_ref()).collect();
    let_go(tx, &going)?;
    for (it, old) in dropped.iter().zip(&going) {
        about(&old.name, perform::run(tx, &it.steps, old, &old.name))?;
        store::delete(tx, old.id)?;
        store::announce_change(tx, old.id, terms.now)?;
    }
    store::count_change(tx)?;
    let happened: Vec<_> =
        plan.moves.iter().map(|it| Happened { before: it.before.as_ref(), after: it.after.as_ref() }).collect();
    grants_store::follow(tx, &happened, terms.now)?;
    history::remember(tx, &happened, &terms.author, terms.now, terms.history_max)?;
    Ok(loses_data)
}

/// The collections that were there and stay, as they are and as they shall be.
fn changed(plan: &SetPlan) -> impl Iterator<Item = (&Move, &Collection, &Collection)> {
    plan.moves.iter().filter_map(|it| Some((it, it.before.as_ref()?, it.after.as_ref()?)))
}

/// What is lost that some record has, in words. Asked before anything is done.
fn losses(tx: &mut Tx<'_>, plan: &SetPlan) -> Result<Vec<String>, Error> {
    let mut losses = Vec::new();
    for it in &plan.moves {
        let Some(old) = &it.before else { continue };
        for step in it.all_steps().filter(|it| it.change.loses_data) {
            let count = counts::lost(tx, old, step)?;
            if 0 < count {
                let records = if count == 1 { "record" } else { "records" };
                losses.push(format!("`{}`: {} ({count} {records})", old.name, step.change.description));
            }
        }
    }
    Ok(losses)
}

/// Has those that go refer no more to each other: none could go before the others.
fn let_go(tx: &mut Tx<'_>, going: &[&Collection]) -> Result<(), db::Error> {
    let names: HashSet<&str> = going.iter().map(|it| it.name.as_str()).collect();
    for collection in going {
        let is_one = |it: &str| it != collection.name && names.contains(it);
        for field in collection.fields.iter().filter(|it| it.collection.as_deref().is_some_and(is_one)) {
            let (table, column) = (quoted(&table(&collection.name)), quoted(&field.name));
            let sql = if field.refers_to_many() {
                format!("DELETE FROM {}", quoted(&join_table(collection.id, &field.name)))
            } else {
                format!("UPDATE {table} SET {column} = NULL, _version = _version + 1 WHERE {column} IS NOT NULL")
            };
            tx.execute(&sql, &[])?;
        }
    }
    Ok(())
}

/// Says of which collection a failure is.
fn about(name: &str, outcome: Result<(), Error>) -> Result<(), Error> {
    outcome.map_err(|error| match error {
        Error::DataInTheWay { field, what } => Error::DataInTheWay { field: format!("{name}.{field}"), what },
        other => other,
    })
}
