//! The SQL of the history of collections, and of what their files said.
use super::history::{SchemaChange, SchemaChangeKind, SchemaSource};
use super::model::Collection;
use crate::base::Timestamp;
use crate::db::{self, Row, Tx};

/// What a row takes beside its texts, roughly.
const ROW_BYTES: usize = 250;

/// A change on its way into the history.
#[derive(Debug)]
pub(super) struct NewRow<'a> {
    pub generation: i64,
    pub collection: &'a Collection,
    pub name_before: Option<&'a str>,
    pub kind: &'static str,
    pub source: &'static str,
    pub author: &'a str,
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
    pub at: Timestamp,
}

/// A change with the collection before and after it, as JSON.
#[derive(Debug)]
pub(super) struct InFull {
    pub change: SchemaChange,
    pub before: Option<String>,
    pub after: Option<String>,
}

const COLUMNS: &str = "version, generation, collection_id, name, kind, source, author, created_at";

fn read(row: &Row<'_>) -> Result<SchemaChange, db::Error> {
    Ok(SchemaChange {
        version: row.integer(0)?,
        generation: row.integer(1)?,
        collection_id: row.id(2)?,
        collection: row.text(3)?.to_owned(),
        kind: SchemaChangeKind::named(row.text(4)?)
            .ok_or(db::Error::Column { column: 4, expected: "a kind of change" })?,
        source: SchemaSource::named(row.text(5)?)
            .ok_or(db::Error::Column { column: 5, expected: "a source of changes" })?,
        author: row.text(6)?.to_owned(),
        created_at: row.timestamp(7)?,
    })
}

pub(super) fn insert(tx: &mut Tx<'_>, new: &NewRow<'_>) -> Result<(), db::Error> {
    let bytes = ROW_BYTES + new.before.map_or(0, str::len) + new.after.map_or(0, str::len);
    tx.execute(
        "INSERT INTO schema_changes
         (version, generation, collection_id, name, name_before, kind, source, author, definition_before,
          definition_after, created_at, total_bytes)
         VALUES ((SELECT coalesce(max(version), 0) + 1 FROM schema_changes), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10,
                 $11 + coalesce((SELECT total_bytes FROM schema_changes ORDER BY version DESC LIMIT 1), 0))",
        &[
            new.generation.into(),
            new.collection.id.into(),
            (&new.collection.name).into(),
            new.name_before.into(),
            new.kind.into(),
            new.source.into(),
            new.author.into(),
            new.before.into(),
            new.after.into(),
            new.at.into(),
            i64::try_from(bytes).unwrap_or(i64::MAX).into(),
        ],
    )
    .map(drop)
}

/// Keeps the newest rows, and of these only as many as take up to `bytes_max`; the newest of all always.
pub(super) fn forget(tx: &mut Tx<'_>, rows_max: i64, bytes_max: i64) -> Result<(), db::Error> {
    tx.execute(
        "DELETE FROM schema_changes
         WHERE version < (SELECT max(version) FROM schema_changes)
           AND (version <= (SELECT max(version) FROM schema_changes) - $1
                OR total_bytes <= (SELECT max(total_bytes) FROM schema_changes) - $2)",
        &[rows_max.into(), bytes_max.into()],
    )
    .map(drop)
}

/// Changes before a version, newest first; of one collection, by any name that it had, if it is named.
pub(super) fn list(
    tx: &mut Tx<'_>,
    collection: Option<&str>,
    before: i64,
    skip: u64,
    limit: u64,
) -> Result<Vec<SchemaChange>, db::Error> {
    let (skip, limit) = (skip.cast_signed(), limit.cast_signed());
    match collection {
        None => tx.query(
            &format!(
                "SELECT {COLUMNS} FROM schema_changes WHERE version < $1 ORDER BY version DESC LIMIT $2 OFFSET $3"
            ),
            &[before.into(), limit.into(), skip.into()],
            read,
        ),
        Some(name) => tx.query(
            &format!(
                "SELECT {COLUMNS} FROM schema_changes
                 WHERE version < $1 AND (name = $2 OR name_before = $2) ORDER BY version DESC LIMIT $3 OFFSET $4"
            ),
            &[before.into(), name.into(), limit.into(), skip.into()],
            read,
        ),
    }
}

pub(super) fn count(tx: &mut Tx<'_>, collection: Option<&str>) -> Result<u64, db::Error> {
    let found = match collection {
        None => tx.find("SELECT count(*) FROM schema_changes", &[], |row| row.integer(0))?,
        Some(name) => {
            let sql = "SELECT count(*) FROM schema_changes WHERE name = $1 OR name_before = $1";
            tx.find(sql, &[name.into()], |row| row.integer(0))?
        }
    };
    Ok(found.unwrap_or(0).unsigned_abs())
}

pub(super) fn find(tx: &mut Tx<'_>, version: i64) -> Result<Option<InFull>, db::Error> {
    let sql = format!("SELECT {COLUMNS}, definition_before, definition_after FROM schema_changes WHERE version = $1");
    tx.find(&sql, &[version.into()], |row| {
        let text = |column| row.optional(column, Row::text).map(|it| it.map(ToOwned::to_owned));
        Ok(InFull { change: read(row)?, before: text(8)?, after: text(9)? })
    })
}

/// What the files said when server and files last agreed, by the names of collections.
pub(super) fn files(tx: &mut Tx<'_>) -> Result<Vec<(String, String)>, db::Error> {
    tx.query("SELECT name, definition FROM schema_files ORDER BY name", &[], |row| {
        Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))
    })
}

pub(super) fn put_file(tx: &mut Tx<'_>, name: &str, definition: &str) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO schema_files (name, definition) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET definition = excluded.definition",
        &[name.into(), definition.into()],
    )
    .map(drop)
}

pub(super) fn delete_file(tx: &mut Tx<'_>, name: &str) -> Result<(), db::Error> {
    tx.execute("DELETE FROM schema_files WHERE name = $1", &[name.into()]).map(drop)
}

/// Notes that the file of a name does not say yet what was changed.
pub(super) fn put_behind(tx: &mut Tx<'_>, name: &str, generation: i64) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO schema_files_behind (name, generation) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET generation = excluded.generation",
        &[name.into(), generation.into()],
    )
    .map(drop)
}

/// The names whose files may be behind.
pub(super) fn behind(tx: &mut Tx<'_>) -> Result<Vec<String>, db::Error> {
    tx.query("SELECT name FROM schema_files_behind ORDER BY name", &[], |row| Ok(row.text(0)?.to_owned()))
}

/// Notes that the file of a name says all changes up to a generation.
pub(super) fn delete_behind(tx: &mut Tx<'_>, name: &str, generation: i64) -> Result<(), db::Error> {
    let sql = "DELETE FROM schema_files_behind WHERE name = $1 AND generation <= $2";
    tx.execute(sql, &[name.into(), generation.into()]).map(drop)
}

/// Forgets old names that neither a collection nor a file has: there would be no end to them.
pub(super) fn forget_behind(tx: &mut Tx<'_>, before: i64) -> Result<(), db::Error> {
    tx.execute(
        "DELETE FROM schema_files_behind
         WHERE generation < $1
           AND NOT EXISTS (SELECT 1 FROM collections WHERE collections.name = schema_files_behind.name)
           AND NOT EXISTS (SELECT 1 FROM schema_files WHERE schema_files.name = schema_files_behind.name)",
        &[before.into()],
    )
    .map(drop)
}
