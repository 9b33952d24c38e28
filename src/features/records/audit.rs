//! What the writing of records leaves in the audit trail, in the same transaction.
//!
//! Of single records only where the collection says so (`options.audit`), since the log of events knows of each for a
//! day already. What a field holds that not everyone sees is told to nobody here: whoever may read the trail may not
//! read that.
use serde_json::{Map, Value as Json};

use super::log::Kept;
use super::projection::write_cell;
use super::query::Asked;
use crate::base::Timestamp;
use crate::db::{self, Tx};
use crate::features::audit::{Action, Actor, Entry as Told};
use crate::features::collections::{Entry, Stored};

/// What stands for a value that is there and not told.
const HIDDEN: &str = "[hidden]";

/// Some values of a record by the names of their fields, as the API shows them.
pub(super) fn values<'a>(entry: &Entry, values: impl Iterator<Item = (usize, &'a Stored)>) -> Json {
    let told = values.map(|(position, value)| {
        let judge = &entry.judges[position];
        let field = &judge.field;
        let is_open = !field.hidden && !field.write_only && field.readable_by.is_none();
        let value = match value {
            Stored::Null => Json::Null,
            _ if !is_open => HIDDEN.into(),
            value => {
                let mut json = Vec::new();
                let written = write_cell(value.as_value(), judge.member.shape, position, &mut json);
                written.ok().and_then(|()| serde_json::from_slice(&json).ok()).unwrap_or_default()
            }
        };
        (field.name.clone(), value)
    });
    told.collect::<Map<_, _>>().into()
}

/// What selected records, as it stood in the query.
pub(super) fn selection(asked: &Asked) -> Map<String, Json> {
    let filter = asked.filter.iter().map(|it| ("filter".to_owned(), it.as_str().into()));
    filter.chain(asked.conditions.iter().map(|it| (it.parameter.clone(), it.value.as_str().into()))).collect()
}

fn about(action: Action, entry: &Entry, id: &str) -> Told {
    Told::new(action).about("record", &format_args!("{}/{id}", entry.name()))
}

pub(super) fn made(
    tx: &mut Tx<'_>,
    entry: &Entry,
    id: &str,
    now: Timestamp,
    by: &Actor,
    after: Json,
) -> Result<(), db::Error> {
    by.append(tx, now, &about(Action::RecordCreate, entry, id).after(after))
}

pub(super) fn changed(
    tx: &mut Tx<'_>,
    entry: &Entry,
    id: &str,
    now: Timestamp,
    by: &Actor,
    before: Json,
    after: Json,
) -> Result<(), db::Error> {
    by.append(tx, now, &about(Action::RecordChange, entry, id).before(before).after(after))
}

/// A record was deleted, into the bin or for good; where its collection says nothing, nothing is told.
pub(super) fn removed(
    tx: &mut Tx<'_>,
    entry: &Entry,
    id: &str,
    now: Timestamp,
    by: &Actor,
    was: &Kept,
) -> Result<(), db::Error> {
    if !entry.collection.options.audit {
        return Ok(());
    }
    by.append(tx, now, &about(Action::RecordDelete, entry, id).before(was.audited(entry)))
}

/// A record was deleted for good by someone who asked for just that.
pub(super) fn purged(tx: &mut Tx<'_>, entry: &Entry, id: &str, now: Timestamp, by: &Actor) -> Result<(), db::Error> {
    by.append(tx, now, &about(Action::RecordPurge, entry, id))
}

/// A record was taken out of the bin.
pub(super) fn restored(tx: &mut Tx<'_>, entry: &Entry, id: &str, now: Timestamp, by: &Actor) -> Result<(), db::Error> {
    by.append(tx, now, &about(Action::RecordRestore, entry, id))
}

/// So many records of a collection were written in one go, all in this transaction; nothing if there were none.
pub(super) fn many(
    tx: &mut Tx<'_>,
    entry: &Entry,
    now: Timestamp,
    by: &Actor,
    action: Action,
    after: Json,
) -> Result<(), db::Error> {
    by.append(tx, now, &Told::new(action).about("collection", &entry.name()).after(after))
}
