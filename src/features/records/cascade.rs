//! What goes, or changes, with a record that is deleted: counted first, since the database deletes it all in one
//! statement, and nobody else writes meanwhile.
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::error::Error;
use super::statement::Statement;
use crate::db::join_tables;
use crate::db::record_tables::quoted;
use crate::db::{self, Tx};
use crate::features::collections::{Catalogue, Entry, Follower, OnDelete, target_table};

/// Most records that one deletion takes with it, or sets a relation of to null.
pub(super) const FOLLOWERS_MAX: usize = 10_000;
/// Ids that one statement looks for.
const IDS_MAX: usize = 500;

/// Some records of one collection, by their ids.
pub(super) type Found = (Arc<Entry>, Vec<String>);

/// The records that go or change with a record or an account that is deleted, each once, by collection. A deletion that
/// would change more of them than [`FOLLOWERS_MAX`] is refused. `target` is the name that relations have for it.
pub(super) fn followers(tx: &mut Tx<'_>, catalogue: &Catalogue, target: &str, id: &str) -> Result<Vec<Found>, Error> {
    let mut seen = HashSet::from([(target_table(target), id.to_owned())]);
    let mut told = seen.clone();
    let mut all: Vec<Found> = Vec::new();
    let mut waiting = vec![(target.to_owned(), vec![id.to_owned()])];
    let (mut count, mut left) = (0, HashMap::new());
    while let Some((target, ids)) = waiting.pop() {
        for follower in catalogue.followers(&target) {
            for ids in ids.chunks(IDS_MAX) {
                let found = referring(tx, follower, ids, FOLLOWERS_MAX + 1 - count)?;
                count += found.len();
                if FOLLOWERS_MAX < count {
                    return Err(Error::TooManyFollow);
                }
                let mut is_untold = |id: &String| told.insert((follower.entry.rows.clone(), id.clone()));
                let new: Vec<String> = found.iter().map(|(id, _)| id).filter(|it| is_untold(it)).cloned().collect();
                if !new.is_empty() {
                    all.push((Arc::clone(&follower.entry), new));
                }
                if follower.on_delete != OnDelete::Cascade {
                    continue;
                }
                // One that refers to several goes with the last of them.
                let mut is_last = |(id, entries): &(String, i64)| {
                    let Some(join) = &follower.join else { return true };
                    let left: &mut i64 = left.entry((join.clone(), id.clone())).or_insert(*entries);
                    *left -= 1;
                    *left <= 0
                };
                let going = found.into_iter().filter(|it| is_last(it)).map(|(id, _)| id);
                let is_new = |id: &String| seen.insert((follower.entry.rows.clone(), id.clone()));
                waiting.push((follower.entry.name().to_owned(), going.filter(is_new).collect()));
            }
        }
    }
    Ok(all)
}

/// The ids of the records that refer to one of `ids`, up to a number of them, and to how many records each refers.
fn referring(
    tx: &mut Tx<'_>,
    follower: &Follower,
    ids: &[String],
    limit: usize,
) -> Result<Vec<(String, i64)>, db::Error> {
    let mut statement = match &follower.join {
        None => {
            let (table, column) = (quoted(&follower.entry.rows), quoted(&follower.field));
            Statement::new(format!("SELECT id, 1 FROM {table} WHERE {column}"))
        }
        Some(join) => {
            let count = join_tables::count(join, "referring.owner");
            let table = quoted(join);
            Statement::new(format!("SELECT owner, {count} FROM {table} AS referring WHERE target"))
        }
    };
    statement.push(" IN (");
    for (index, id) in ids.iter().enumerate() {
        statement.push(if index == 0 { "" } else { ", " }).bind(id.clone());
    }
    statement.push(") LIMIT ").bind(i64::try_from(limit).unwrap_or(i64::MAX));
    tx.query(&statement.sql, &statement.values, |row| Ok((row.text(0)?.to_owned(), row.integer(1)?)))
}
