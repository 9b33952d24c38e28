//! The SQL of collections, but for the tables of their records.
use super::error::Error;
use super::model::CollectionId;
use crate::base::Timestamp;
use crate::db::{self, Row, Tx};
use crate::features::events::{self, EventKind, NewEvent};

/// A collection as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub id: CollectionId,
    pub name: String,
    pub definition: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Kept, db::Error> {
    Ok(Kept {
        id: row.id(0)?,
        name: row.text(1)?.to_owned(),
        definition: row.text(2)?.to_owned(),
        version: row.integer(3)?,
        created_at: row.timestamp(4)?,
        updated_at: row.timestamp(5)?,
    })
}

/// All collections by name.
pub(super) fn list(tx: &mut Tx<'_>) -> Result<Vec<Kept>, db::Error> {
    let sql = "SELECT id, name, definition, version, created_at, updated_at FROM collections ORDER BY name_key";
    tx.query(sql, &[], read)
}

/// How often collections were changed.
pub(super) fn generation(tx: &mut Tx<'_>) -> Result<i64, db::Error> {
    let found = tx.find("SELECT generation FROM catalogue WHERE id = 1", &[], |row| row.integer(0))?;
    Ok(found.unwrap_or(0))
}

/// Counts a change, so that whoever knew the collections as they were notices.
pub(super) fn count_change(tx: &mut Tx<'_>) -> Result<(), db::Error> {
    tx.execute("UPDATE catalogue SET generation = generation + 1 WHERE id = 1", &[]).map(drop)
}

/// Tells those who follow the records of a collection that the collection itself is another one now, or gone.
pub(super) fn announce_change(tx: &mut Tx<'_>, id: CollectionId, now: Timestamp) -> Result<(), db::Error> {
    let (kind, collection) = (EventKind::Restructured, &id.to_string());
    events::append(tx, &NewEvent { kind, collection, record: None, version: 0, after: None, before: None, at: now })
}

pub(super) fn insert(tx: &mut Tx<'_>, kept: &Kept) -> Result<(), Error> {
    let added = tx.execute(
        "INSERT INTO collections (id, name, name_key, definition, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (name_key) DO NOTHING",
        &[
            kept.id.into(),
            (&kept.name).into(),
            (&kept.name.to_ascii_lowercase()).into(),
            (&kept.definition).into(),
            kept.version.into(),
            kept.created_at.into(),
            kept.updated_at.into(),
        ],
    )?;
    if added == 0 {
        return Err(Error::NameTaken { name: kept.name.clone() });
    }
    tx.execute("INSERT INTO record_counts (collection_id, count) VALUES ($1, 0)", &[kept.id.into()])?;
    Ok(())
}

pub(super) fn update(tx: &mut Tx<'_>, kept: &Kept) -> Result<(), Error> {
    let changed = tx.execute(
        "UPDATE collections SET name = $2, name_key = $3, definition = $4, version = $5, updated_at = $6 WHERE id = $1",
        &[
            kept.id.into(),
            (&kept.name).into(),
            (&kept.name.to_ascii_lowercase()).into(),
            (&kept.definition).into(),
            kept.version.into(),
            kept.updated_at.into(),
        ],
    );
    match changed {
        Err(db::Error::Conflict { .. }) => Err(Error::NameTaken { name: kept.name.clone() }),
        other => Ok(other.map(drop)?),
    }
}

pub(super) fn delete(tx: &mut Tx<'_>, id: CollectionId) -> Result<(), db::Error> {
    tx.execute("DELETE FROM collections WHERE id = $1", &[id.into()]).map(drop)
}
