//! The tables behind relations to several records: who refers to whom, at which place of the list.
//!
//! An entry goes with its owner. When what it refers to goes, its owner is counted as changed, or goes too once it
//! refers to nothing any more: triggers see to that, whoever deletes, accounts too.
use super::record_tables::{OnDelete, Reference, quoted};
use super::{Error, Tx, dialect};

/// A table of entries, and the tables that it stands between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub name: String,
    /// The table of those that refer.
    pub owner: String,
    /// What they refer to.
    pub target: Reference,
}

pub fn create(tx: &mut Tx<'_>, join: &Join) -> Result<(), Error> {
    let (name, owner, target) = (quoted(&join.name), quoted(&join.owner), quoted(&join.target.table));
    // Looked at when everything that goes has gone: one that refers to itself may go.
    let action = if join.target.on_delete == OnDelete::Restrict { "NO ACTION" } else { "CASCADE" };
    tx.batch(&format!(
        "CREATE TABLE {name} (
             owner TEXT NOT NULL REFERENCES {owner} (id) ON DELETE CASCADE,
             target TEXT NOT NULL REFERENCES {target} (id) ON DELETE {action},
             position INTEGER NOT NULL,
             PRIMARY KEY (owner, target)
         ) STRICT, WITHOUT ROWID;
         CREATE INDEX {} ON {name} (target, owner);",
        quoted(&index_of(&join.name)),
    ))?;
    follow(tx, join)
}

pub fn drop(tx: &mut Tx<'_>, name: &str) -> Result<(), Error> {
    tx.batch(&format!("DROP TABLE {}", quoted(name)))
}

/// Gives a table the name of `join`, which says what becomes of its owners from now on too.
pub fn rename(tx: &mut Tx<'_>, name: &str, join: &Join) -> Result<(), Error> {
    tx.batch(&format!(
        "DROP TRIGGER IF EXISTS {}; DROP INDEX {}; ALTER TABLE {} RENAME TO {}; CREATE INDEX {} ON {} (target, owner);",
        quoted(&trigger_of(name)),
        quoted(&index_of(name)),
        quoted(name),
        quoted(&join.name),
        quoted(&index_of(&join.name)),
        quoted(&join.name),
    ))?;
    follow(tx, join)
}

/// Makes a table anew that has another idea of what becomes of owners. `passing` is a name that no table has.
pub fn remake(tx: &mut Tx<'_>, join: &Join, passing: &str) -> Result<(), Error> {
    create(tx, &Join { name: passing.to_owned(), ..join.clone() })?;
    tx.batch(&format!(
        "INSERT INTO {} (owner, target, position) SELECT owner, target, position FROM {}; DROP TABLE {};",
        quoted(passing),
        quoted(&join.name),
        quoted(&join.name),
    ))?;
    rename(tx, passing, join)
}

/// Has the owners of entries hear of it when what these refer to goes.
fn follow(tx: &mut Tx<'_>, join: &Join) -> Result<(), Error> {
    let (name, owner, target) = (quoted(&join.name), quoted(&join.owner), quoted(&join.target.table));
    // An entry that is taken out by a change still has its target; the change counts itself.
    let head = format!(
        "CREATE TRIGGER {} AFTER DELETE ON {name} WHEN NOT EXISTS (SELECT 1 FROM {target} WHERE id = OLD.target) BEGIN",
        quoted(&trigger_of(&join.name)),
    );
    let goes = format!(
        "DELETE FROM {owner} WHERE id = OLD.owner AND NOT EXISTS (SELECT 1 FROM {name} WHERE owner = OLD.owner);"
    );
    let counts = format!(
        "UPDATE {owner} SET _version = _version + 1, \"updatedAt\" = {} WHERE id = OLD.owner;",
        dialect::NOW_MILLIS
    );
    match join.target.on_delete {
        OnDelete::Restrict => Ok(()),
        OnDelete::Cascade => tx.batch(&format!("{head} {goes} {counts} END")),
        OnDelete::SetNull => tx.batch(&format!("{head} {counts} END")),
    }
}

/// The ids that the record with the id `owner` refers to, in their order, as a JSON array.
pub fn list(name: &str, owner: &str) -> String {
    let ids = dialect::json_array_of("entry.target", "entry.position");
    format!("(SELECT {ids} FROM {} AS entry WHERE entry.owner = {owner})", quoted(name))
}

/// How many records the one with the id `owner` refers to.
pub fn count(name: &str, owner: &str) -> String {
    format!("(SELECT count(*) FROM {} AS entry WHERE entry.owner = {owner})", quoted(name))
}

/// Has a record refer to these, in this order, and to no others. `is_new` if it refers to none yet.
pub fn write(tx: &mut Tx<'_>, name: &str, owner: &str, ids: &str, is_new: bool) -> Result<(), Error> {
    let (name, values) = (quoted(name), [owner.into(), ids.into()]);
    if !is_new {
        let (items, item) = (dialect::items("$2", "item"), "item.value");
        let gone = format!("DELETE FROM {name} WHERE owner = $1 AND target NOT IN (SELECT {item} FROM {items})");
        tx.execute(&gone, &values)?;
    }
    let items = dialect::items("$2", "item");
    tx.execute(
        &format!(
            "INSERT INTO {name} (owner, target, position) SELECT $1, item.value, item.key FROM {items} WHERE 1 = 1
             ON CONFLICT (owner, target) DO UPDATE SET position = excluded.position
             WHERE position IS DISTINCT FROM excluded.position"
        ),
        &values,
    )
    .map(std::mem::drop)
}

fn index_of(name: &str) -> String {
    format!("{name}_back")
}

fn trigger_of(name: &str) -> String {
    format!("{name}_gone")
}
