//! The tables of records: made and changed while the server runs, so their names come from people.
//!
//! Every name is quoted, and whoever calls this has checked it besides. A change is a column added, dropped
//! or renamed, or an index: nothing is ever rebuilt, so foreign keys stay on throughout.
use std::fmt::Write as _;

use super::{Error, Tx, dialect};

/// Whether a row was deleted and is kept: 0 or 1.
pub const IS_DELETED: &str = "isDeleted";
/// When it was; null if it was not.
pub const DELETED_AT: &str = "deletedAt";

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Text,
    BigInt,
    Double,
}

/// What becomes of a row when the row that it refers to is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    Restrict,
    Cascade,
    SetNull,
}

/// A column that refers to the `id` of another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub table: String,
    pub on_delete: OnDelete,
}

/// A column of a table of records.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
    pub reference: Option<Reference>,
    /// For rows that are there already.
    pub default: Option<Literal>,
}

/// A value as it stands in a statement; parameters are not allowed there.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Text(String),
    Integer(i64),
    Real(f64),
}

/// A name as SQL takes it, whatever is in it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Makes a table whose rows are counted in `record_counts` under `counted_as`, an id.
///
/// `_row` is the key that search refers to; `_version` counts the changes of a row, also those that come from the
/// row that it refers to being deleted.
pub fn create(tx: &mut Tx<'_>, table: &str, columns: &[Column], counted_as: &str) -> Result<(), Error> {
    let mut sql = format!(
        "CREATE TABLE {} (\n    _row INTEGER PRIMARY KEY,\n    id TEXT NOT NULL UNIQUE,\n    _version INTEGER NOT NULL,\n    \
         \"createdAt\" INTEGER NOT NULL,\n    \"updatedAt\" INTEGER NOT NULL",
        quoted(table)
    );
    for column in columns {
        let _ = write!(sql, ",\n    {}", definition(column));
    }
    sql.push_str("\n) STRICT;\n");
    for (event, trigger, step) in [("INSERT", "added", "+ 1"), ("DELETE", "removed", "- 1")] {
        let _ = write!(
            sql,
            "CREATE TRIGGER {} AFTER {event} ON {} BEGIN\n    \
             UPDATE record_counts SET count = count {step} WHERE collection_id = {};\nEND;\n",
            quoted(&format!("{trigger}_{counted_as}")),
            quoted(table),
            text(counted_as),
        );
    }
    let (trigger, table, now) = (quoted(&format!("changed_{counted_as}")), quoted(table), dialect::NOW_MILLIS);
    let _ = write!(
        sql,
        "CREATE TRIGGER {trigger} AFTER UPDATE ON {table} WHEN NEW._version = OLD._version BEGIN\n    \
         UPDATE {table} SET _version = _version + 1, \"updatedAt\" = {now} WHERE _row = NEW._row;\nEND;\n",
    );
    tx.batch(&sql)
}

pub fn drop(tx: &mut Tx<'_>, table: &str) -> Result<(), Error> {
    tx.batch(&format!("DROP TABLE {}", quoted(table)))
}

pub fn rename(tx: &mut Tx<'_>, table: &str, new: &str) -> Result<(), Error> {
    tx.batch(&format!("ALTER TABLE {} RENAME TO {}", quoted(table), quoted(new)))
}

pub fn add_column(tx: &mut Tx<'_>, table: &str, column: &Column) -> Result<(), Error> {
    tx.batch(&format!("ALTER TABLE {} ADD COLUMN {}", quoted(table), definition(column)))
}

pub fn drop_column(tx: &mut Tx<'_>, table: &str, column: &str) -> Result<(), Error> {
    tx.batch(&format!("ALTER TABLE {} DROP COLUMN {}", quoted(table), quoted(column)))
}

pub fn rename_column(tx: &mut Tx<'_>, table: &str, column: &str, new: &str) -> Result<(), Error> {
    tx.batch(&format!("ALTER TABLE {} RENAME COLUMN {} TO {}", quoted(table), quoted(column), quoted(new)))
}

pub fn create_index(tx: &mut Tx<'_>, name: &str, table: &str, columns: &[String], unique: bool) -> Result<(), Error> {
    let columns: Vec<_> = columns.iter().map(|it| quoted(it)).collect();
    let unique = if unique { "UNIQUE " } else { "" };
    tx.batch(&format!("CREATE {unique}INDEX {} ON {} ({})", quoted(name), quoted(table), columns.join(", ")))
}

pub fn drop_index(tx: &mut Tx<'_>, name: &str) -> Result<(), Error> {
    tx.batch(&format!("DROP INDEX IF EXISTS {}", quoted(name)))
}

/// The columns of a table whose rows are kept when they are deleted.
pub fn columns_of_bin() -> [Column; 2] {
    let column = |name: &str, default| Column {
        name: name.to_owned(),
        column_type: ColumnType::BigInt,
        reference: None,
        default,
    };
    [column(IS_DELETED, Some(Literal::Integer(0))), column(DELETED_AT, None)]
}

/// Makes what finds the rows that were deleted.
pub fn create_bin(tx: &mut Tx<'_>, table: &str, id: &str) -> Result<(), Error> {
    let (bin, table) = (quoted(&bin_of(id)), quoted(table));
    tx.batch(&format!("CREATE INDEX {bin} ON {table} (\"{DELETED_AT}\", id) WHERE \"{IS_DELETED}\" = 1"))
}

pub fn drop_bin(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    tx.batch(&format!("DROP INDEX IF EXISTS {}", quoted(&bin_of(id))))
}

/// Makes a view of the rows that are not deleted.
pub fn create_live_view(tx: &mut Tx<'_>, view: &str, table: &str) -> Result<(), Error> {
    let (view, table) = (quoted(view), quoted(table));
    tx.batch(&format!("CREATE VIEW {view} AS SELECT * FROM {table} WHERE \"{IS_DELETED}\" = 0"))
}

pub fn drop_live_view(tx: &mut Tx<'_>, view: &str) -> Result<(), Error> {
    tx.batch(&format!("DROP VIEW IF EXISTS {}", quoted(view)))
}

fn bin_of(id: &str) -> String {
    format!("bin_{id}")
}

fn definition(column: &Column) -> String {
    let column_type = match column.column_type {
        ColumnType::Text => "TEXT",
        ColumnType::BigInt => "INTEGER",
        ColumnType::Double => "REAL",
    };
    let mut sql = format!("{} {column_type}", quoted(&column.name));
    if let Some(default) = &column.default {
        let _ = match default {
            Literal::Text(value) => write!(sql, " DEFAULT {}", text(value)),
            Literal::Integer(value) => write!(sql, " DEFAULT {value}"),
            Literal::Real(value) => write!(sql, " DEFAULT {value:?}"),
        };
    }
    if let Some(reference) = &column.reference {
        let action = match reference.on_delete {
            OnDelete::Restrict => "RESTRICT",
            OnDelete::Cascade => "CASCADE",
            OnDelete::SetNull => "SET NULL",
        };
        let _ = write!(sql, " REFERENCES {} (id) ON DELETE {action}", quoted(&reference.table));
    }
    sql
}

/// A text as SQL takes it; a NUL cannot be written there, and is left out.
fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''").replace('\0', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TenantId;
    use crate::db::Db;

    fn column(name: &str, column_type: ColumnType) -> Column {
        Column { name: name.to_owned(), column_type, reference: None, default: None }
    }

    async fn alone(db: &Db, mut work: impl FnMut(&mut Tx<'_>) -> Result<(), Error> + Send + 'static) {
        db.write_alone::<_, Error>(&TenantId::main(), move |tx| work(tx)).await.expect("changed");
    }

    async fn one(db: &Db, sql: &'static str) -> Option<String> {
        db.read::<_, Error>(&TenantId::main(), move |tx| tx.find(sql, &[], |row| row.text(0).map(ToOwned::to_owned)))
            .await
            .expect("read")
    }

    /// The odd name is refused long before; here it must not become SQL either.
    #[tokio::test]
    async fn a_table_can_be_changed_in_every_way_while_it_has_rows() {
        let db = Db::in_memory().expect("a database");
        db.create_tenant(&TenantId::main()).expect("a tenant");
        let odd = "a\" TEXT, x'--";
        alone(&db, move |tx| {
            tx.batch(
                "INSERT INTO collections VALUES ('i', 'n', 'n', '{}', 1, 0, 0), ('j', 'm', 'm', '{}', 1, 0, 0);
                      INSERT INTO record_counts VALUES ('i', 0), ('j', 0);",
            )?;
            create(tx, "c_a", &[column(odd, ColumnType::Text)], "i")?;
            let reference = Some(Reference { table: "c_a".to_owned(), on_delete: OnDelete::Cascade });
            create(tx, "c_b", &[Column { reference, ..column("a", ColumnType::Text) }], "j")?;
            tx.batch(
                "INSERT INTO c_a (id, _version, \"createdAt\", \"updatedAt\") VALUES ('1', 1, 0, 0), ('2', 1, 0, 0);
                      INSERT INTO c_b (id, _version, \"createdAt\", \"updatedAt\", a) VALUES ('1', 1, 0, 0, '1');",
            )
        })
        .await;

        alone(&db, move |tx| {
            let default = Some(Literal::Text("it's".to_owned()));
            add_column(tx, "c_a", &Column { default, ..column("new", ColumnType::Text) })?;
            rename_column(tx, "c_a", "new", "newer")?;
            drop_column(tx, "c_a", odd)?;
            create_index(tx, "x", "c_a", &["newer".to_owned()], false)?;
            rename(tx, "c_a", "c_c")
        })
        .await;
        alone(&db, |tx| tx.batch("DELETE FROM c_c WHERE id = '1'")).await;

        assert_eq!(one(&db, "SELECT newer FROM c_c").await.as_deref(), Some("it's"));
        assert_eq!(one(&db, "SELECT id FROM c_b").await, None, "the rows that referred to it went too");
        let counts = one(&db, "SELECT group_concat(count) FROM record_counts ORDER BY collection_id").await;
        assert_eq!(counts.as_deref(), Some("1,0"), "and were counted");
        alone(&db, |tx| drop_column(tx, "c_b", "a")).await;
        alone(&db, |tx| drop(tx, "c_c")).await;
    }
}
