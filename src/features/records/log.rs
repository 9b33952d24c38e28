//! What the writing of records leaves in the log of events, in the same transaction.
//!
//! A row is told by its columns as the database has them, hidden ones too: who may see which is asked when it is
//! delivered (`watch.rs`). Of a change only the columns that differ are told as they were.
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::audit;
use super::cascade::Found;
use super::error::Error;
use super::store::ALIAS;
use crate::base::Timestamp;
use crate::base::text::write_json;
use crate::db::record_tables::quoted;
use crate::db::{self, Tx};
use crate::features::audit::Actor;
use crate::features::collections::{Entry, Stored};
use crate::features::events::{self, EventKind, NewEvent};

/// Most bytes of a row in the log.
const ROW_BYTES_MAX: usize = 64 << 10;
/// Of a row that would be larger, texts up to this size are told; rules and filters seldom ask for longer ones.
const TEXT_BYTES_MAX: usize = 1 << 10;
/// What says that some were left out: a member that no column is called.
const CUT: &[u8] = b",\"\":true";
/// Bytes of the records that go or change with another one, of which each has its event. Of more, it is told that
/// there were.
const FOLLOWERS_BYTES_MAX: usize = 8 << 20;

/// A record as it is in the database.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    values: Vec<Stored>,
}

impl Kept {
    fn bytes(&self) -> usize {
        self.values.iter().map(Stored::bytes).sum()
    }

    /// The record as the audit trail is told of it.
    pub fn audited(&self, entry: &Entry) -> Json {
        audit::values(entry, self.values.iter().enumerate())
    }

    /// All its columns, unless it is too large.
    fn columns(&self, entry: &Entry) -> Option<String> {
        columns(entry, Some(self.created_at), self.updated_at, &self.values.iter().enumerate())
    }

    /// The same without long texts.
    fn short_columns(&self, entry: &Entry) -> Option<String> {
        let short = self.values.iter().enumerate().filter(|(_, it)| it.bytes() <= TEXT_BYTES_MAX);
        columns(entry, Some(self.created_at), self.updated_at, &short)
    }
}

/// Reads a record before something becomes of it.
pub(super) fn look(tx: &mut Tx<'_>, entry: &Entry, id: &str) -> Result<Option<Kept>, db::Error> {
    let mut sql = "SELECT r._version, r.\"createdAt\", r.\"updatedAt\"".to_owned();
    for judge in &entry.judges {
        sql.push_str(", ");
        sql.push_str(&judge.member.select(ALIAS));
    }
    sql.push_str(" FROM ");
    sql.push_str(&quoted(&entry.table));
    sql.push_str(" AS r WHERE r.id = $1");
    let mut found = None;
    tx.each(&sql, &[id.into()], &mut |row| {
        found = Some(Kept {
            version: row.integer(0)?,
            created_at: row.timestamp(1)?,
            updated_at: row.timestamp(2)?,
            values: (0..entry.judges.len()).map(|it| Stored::read(row, it + 3)).collect::<Result<_, _>>()?,
        });
        Ok(())
    })?;
    Ok(found)
}

/// Some columns as JSON, unless they are too large even without long texts.
fn columns<'a>(
    entry: &Entry,
    created_at: Option<Timestamp>,
    updated_at: Timestamp,
    values: &(impl Iterator<Item = (usize, &'a Stored)> + Clone),
) -> Option<String> {
    let write = |text_bytes_max: usize| {
        let mut out = b"{".to_vec();
        let mut number = |key: &[u8], value: i64| {
            if 1 < out.len() {
                out.push(b',');
            }
            out.extend_from_slice(key);
            out.extend_from_slice(value.to_string().as_bytes());
        };
        if let Some(created_at) = created_at {
            number(b"\"createdAt\":", created_at.millis());
        }
        number(b"\"updatedAt\":", updated_at.millis());
        for (position, value) in values.clone().filter(|(_, it)| it.bytes() <= text_bytes_max) {
            out.push(b',');
            out.extend_from_slice(entry.judges[position].member.key.as_bytes());
            match value {
                Stored::Null => out.extend_from_slice(b"null"),
                Stored::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
                // Writing to a vector cannot fail.
                Stored::Real(number) => drop(serde_json::to_writer(&mut out, number)),
                Stored::Text(text) => write_json(text, &mut out),
            }
        }
        if values.clone().any(|(_, it)| text_bytes_max < it.bytes()) {
            out.extend_from_slice(CUT);
        }
        out.push(b'}');
        String::from_utf8(out).ok().filter(|it| it.len() <= ROW_BYTES_MAX)
    };
    let bytes: usize = values.clone().map(|(_, it)| it.bytes()).sum();
    let whole = if bytes <= ROW_BYTES_MAX { write(ROW_BYTES_MAX) } else { None };
    whole.or_else(|| write(TEXT_BYTES_MAX))
}

/// A record that is about to be made, as the log will have it.
pub(super) struct Creation {
    collection: String,
    at: Timestamp,
    after: Option<String>,
    audited: Option<Json>,
}

impl Creation {
    pub fn new(entry: &Entry, now: Timestamp, values: &[(usize, Stored)]) -> Self {
        let values = values.iter().map(|(position, value)| (*position, value));
        let after = columns(entry, Some(now), now, &values);
        let audited = entry.collection.options.audit.then(|| audit::values(entry, values));
        Self { collection: entry.collection.id.to_string(), at: now, after, audited }
    }

    pub fn tell(&self, tx: &mut Tx<'_>, entry: &Entry, id: &str, by: &Actor) -> Result<(), db::Error> {
        if let Some(after) = &self.audited {
            audit::made(tx, entry, id, self.at, by, after.clone())?;
        }
        let (collection, after) = (self.collection.as_str(), self.after.as_deref());
        let record = Some(id);
        let kind = EventKind::Created;
        events::append(tx, &NewEvent { kind, collection, record, version: 1, after, before: None, at: self.at })
    }
}

/// A change that is about to be made, as the log will have it.
pub(super) struct Difference {
    collection: String,
    at: Timestamp,
    after: Option<String>,
    before: Option<String>,
    /// What was changed as it was and as it is, for the audit trail; nothing if the collection tells it nothing.
    audited: Option<(Json, Json)>,
}

impl Difference {
    /// Nothing if there is no such record, or nothing to be changed: then nothing will happen.
    pub fn new(
        tx: &mut Tx<'_>,
        entry: &Entry,
        id: &str,
        now: Timestamp,
        changes: &[(usize, Stored)],
    ) -> Result<Option<Self>, db::Error> {
        if changes.is_empty() {
            return Ok(None);
        }
        let Some(before) = look(tx, entry, id)? else { return Ok(None) };
        let mut values: Vec<&Stored> = before.values.iter().collect();
        for (position, value) in changes {
            values[*position] = value;
        }
        Ok(Some(Self::between(entry, &before, now, &values)))
    }

    fn between(entry: &Entry, before: &Kept, now: Timestamp, values: &[&Stored]) -> Self {
        let after = columns(entry, Some(before.created_at), now, &values.iter().copied().enumerate());
        let olds = before.values.iter().enumerate();
        let differ = olds.filter(|(position, old)| values[*position] != *old);
        let audited = entry.collection.options.audit.then(|| {
            let news = differ.clone().map(|(position, _)| (position, values[position]));
            (audit::values(entry, differ.clone()), audit::values(entry, news))
        });
        let before = columns(entry, None, before.updated_at, &differ);
        Self { collection: entry.collection.id.to_string(), at: now, after, before, audited }
    }

    pub fn tell(&self, tx: &mut Tx<'_>, entry: &Entry, id: &str, version: i64, by: &Actor) -> Result<(), db::Error> {
        if let Some((before, after)) = &self.audited {
            audit::changed(tx, entry, id, self.at, by, before.clone(), after.clone())?;
        }
        let (after, before) = (self.after.as_deref(), self.before.as_deref());
        let (collection, record) = (self.collection.as_str(), Some(id));
        events::append(
            tx,
            &NewEvent { kind: EventKind::Updated, collection, record, version, after, before, at: self.at },
        )
    }
}

/// Tells that a record is gone.
pub(super) fn removed(tx: &mut Tx<'_>, entry: &Entry, id: &str, was: &Kept, now: Timestamp) -> Result<(), db::Error> {
    let collection = &entry.collection.id.to_string();
    // On a full disk a deletion would take as much room for its event as it gives.
    let before = if tx.is_short_of_room() { was.short_columns(entry) } else { was.columns(entry) };
    let (record, before) = (Some(id), before.as_deref());
    let (kind, version) = (EventKind::Deleted, was.version);
    events::append(tx, &NewEvent { kind, collection, record, version, after: None, before, at: now })
}

/// Tells that a record is there again.
pub(super) fn restored(tx: &mut Tx<'_>, entry: &Entry, id: &str, now: Timestamp) -> Result<(), db::Error> {
    let Some(kept) = look(tx, entry, id)? else { return Ok(()) };
    let collection = &entry.collection.id.to_string();
    let after = kept.columns(entry);
    let (record, after) = (Some(id), after.as_deref());
    let (kind, version) = (EventKind::Created, kept.version);
    events::append(tx, &NewEvent { kind, collection, record, version, after, before: None, at: now })
}

/// The records that may go or change with one that is deleted, as they are before it is.
pub(super) struct Followers {
    records: Vec<(Arc<Entry>, String, Kept)>,
    /// Collections of which too much would have to be told.
    untold: Vec<Arc<Entry>>,
}

impl Followers {
    pub fn look(tx: &mut Tx<'_>, found: Vec<Found>) -> Result<Self, Error> {
        let (mut followers, mut bytes) = (Self { records: Vec::new(), untold: Vec::new() }, 0);
        for (entry, ids) in found {
            for id in ids {
                let Some(kept) = look(tx, &entry, &id)? else { continue };
                bytes += kept.bytes();
                if bytes <= FOLLOWERS_BYTES_MAX {
                    followers.records.push((Arc::clone(&entry), id, kept));
                } else if !followers.untold.iter().any(|it| Arc::ptr_eq(it, &entry)) {
                    followers.untold.push(Arc::clone(&entry));
                }
            }
        }
        Ok(followers)
    }

    /// Tells what became of them.
    pub fn tell(&self, tx: &mut Tx<'_>, now: Timestamp, by: &Actor) -> Result<(), db::Error> {
        for (entry, id, before) in &self.records {
            match look(tx, entry, id)? {
                None => {
                    removed(tx, entry, id, before, now)?;
                    audit::removed(tx, entry, id, now, by, before)?;
                }
                Some(after) if after == *before => {}
                Some(after) => {
                    let values: Vec<&Stored> = after.values.iter().collect();
                    let difference = Difference::between(entry, before, after.updated_at, &values);
                    Difference { at: now, ..difference }.tell(tx, entry, id, after.version, by)?;
                }
            }
        }
        self.untold.iter().try_for_each(|entry| many(tx, entry, None, now))
    }
}

/// Where the records of an import begin in their table: what is there before it.
pub(super) fn last_row(tx: &mut Tx<'_>, entry: &Entry) -> Result<i64, db::Error> {
    let sql = format!("SELECT coalesce(max(_row), 0) FROM {}", quoted(&entry.rows));
    Ok(tx.find(&sql, &[], |row| row.integer(0))?.unwrap_or(0))
}

/// Tells that records came without an event each: those after a row of their table.
pub(super) fn imported(
    tx: &mut Tx<'_>,
    entry: &Entry,
    after_row: i64,
    now: Timestamp,
    count: u64,
) -> Result<(), db::Error> {
    if count == 0 {
        return Ok(());
    }
    let last = last_row(tx, entry)?;
    let told = json!({ "count": count, "firstRow": after_row + 1, "lastRow": last }).to_string();
    many(tx, entry, Some(&told), now)
}

fn many(tx: &mut Tx<'_>, entry: &Entry, after: Option<&str>, at: Timestamp) -> Result<(), db::Error> {
    let collection = &entry.collection.id.to_string();
    let kind = EventKind::Imported;
    events::append(tx, &NewEvent { kind, collection, record: None, version: 0, after, before: None, at })
}
