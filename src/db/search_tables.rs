//! What makes the texts of a table of records searchable: an index of their words, kept by triggers.
//!
//! The index (FTS5) refers to rows by `_row` and holds words only, no texts. It is written in the transaction of the
//! change itself, whatever makes it: a request, an import, or a deletion that other rows go with. Beside it stands a
//! table of all words that a typing error could lead to; one that no row has any more stays there until the index is
//! made anew, and leads to nothing.
//!
//! What a short text is as a whole is looked up elsewhere: each column of texts has an index of the table itself, by all
//! its words in a row. It leads to the few rows that are called just so, or begin so, however many have the words.
//!
//! The texts are cut into words by our own functions ([`crate::base::words`]); the index cuts at spaces.
use std::fmt::Write as _;

use super::record_tables::quoted;
use super::{Error, Tx};

/// The most of a text, in characters, that is searched: a text of megabytes would hold up all writers.
pub const CHARACTERS_MAX: usize = 100_000;

/// The beginnings of words, in letters, that are looked up like words.
const PREFIXES: &str = "2 3";

/// The most of a text, in bytes, that is found as a whole: names are short.
const NAME_BYTES_MAX: usize = 100;
/// Most columns that are searched.
pub const COLUMNS_MAX: usize = 16;

/// How a column of texts is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    Text,
    /// Texts and numbers within JSON.
    Json,
}

/// The index of a collection with that id.
pub fn index_name(id: &str) -> String {
    format!("search_{id}")
}

/// The table of its words.
pub fn words_name(id: &str) -> String {
    format!("words_{id}")
}

/// The column of the index for the field at `position`: fields can have names that mean something else there.
pub fn column_name(position: usize) -> String {
    format!("f{position}")
}

/// The index of the whole texts of a column.
pub fn names_name(id: &str, position: usize) -> String {
    format!("names_{id}_{position}")
}

/// Whether there is such an index: one that was made before there were any has it once its fields are set anew.
pub fn has_names(tx: &mut Tx<'_>, name: &str) -> Result<bool, Error> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = $1";
    Ok(tx.find(sql, &[name.into()], |row| row.integer(0))?.is_some())
}

/// The words of a column in the table that the statement calls `alias`, and whether it is short enough to be found by
/// them, as their index has it.
pub fn whole_text(alias: &str, column: &str) -> (String, String) {
    (
        format!("{}({alias}{column})", function_of(Content::Text)),
        format!("octet_length({alias}{column}) <= {NAME_BYTES_MAX}"),
    )
}

/// Makes the index over some columns of a table and fills it.
pub fn create(tx: &mut Tx<'_>, table: &str, columns: &[(String, Content)], id: &str) -> Result<(), Error> {
    let (index, words, table) = (quoted(&index_name(id)), quoted(&words_name(id)), quoted(table));
    let names: Vec<_> = (0..columns.len()).map(column_name).collect();
    let names = names.join(", ");
    let of = |row: &str| columns.iter().map(|it| text(row, it)).collect::<Vec<_>>().join(", ");
    let vocabulary = quoted(&format!("vocabulary_{id}"));
    let mut sql = format!(
        "CREATE VIRTUAL TABLE {index} USING fts5 ({names}, content='', columnsize=0, tokenize='ascii', prefix='{PREFIXES}');
         CREATE TABLE {words} (word TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
         INSERT INTO {index} (rowid, {names}) SELECT _row, {all} FROM {table};
         INSERT INTO {index} ({index}) VALUES ('optimize');
         CREATE VIRTUAL TABLE {vocabulary} USING fts5vocab ({index_text}, 'row');
         INSERT INTO {words} SELECT term FROM {vocabulary} WHERE search_may_be_meant(term);
         DROP TABLE {vocabulary};\n",
        all = of(""),
        index_text = format_args!("'{}'", index_name(id)),
    );
    let add = format!(
        "INSERT INTO {index} (rowid, {names}) VALUES (NEW._row, {new});
             INSERT INTO {words} SELECT value FROM json_each(search_words({new})) WHERE true ON CONFLICT DO NOTHING;",
        new = of("NEW.")
    );
    let remove =
        format!("INSERT INTO {index} ({index}, rowid, {names}) VALUES ('delete', OLD._row, {old});", old = of("OLD."));
    let own = columns.iter().map(|(name, _)| quoted(name)).collect::<Vec<_>>();
    let differs: Vec<_> = own.iter().map(|it| format!("OLD.{it} IS NOT NEW.{it}")).collect();
    let trigger = |event: &str| quoted(&trigger_name(event, id));
    for (position, (name, _)) in columns.iter().enumerate().filter(|(_, it)| it.1 == Content::Text) {
        let (words, is_short) = whole_text("", &quoted(name));
        let index = quoted(&names_name(id, position));
        let _ = write!(sql, "CREATE INDEX {index} ON {table} ({words}) WHERE {is_short};");
    }
    let _ = write!(
        sql,
        "CREATE TRIGGER {} AFTER INSERT ON {table} BEGIN {add} END;
         CREATE TRIGGER {} AFTER DELETE ON {table} BEGIN {remove} END;
         CREATE TRIGGER {} AFTER UPDATE OF {} ON {table} WHEN {} BEGIN {remove} {add} END;",
        trigger("insert"),
        trigger("delete"),
        trigger("update"),
        own.join(", "),
        differs.join(" OR "),
    );
    tx.batch(&sql)
}

/// Removes an index with everything that keeps it.
pub fn drop(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    let mut sql = String::new();
    for event in ["insert", "delete", "update"] {
        let _ = write!(sql, "DROP TRIGGER {};", quoted(&trigger_name(event, id)));
    }
    for position in 0..COLUMNS_MAX {
        let _ = write!(sql, "DROP INDEX IF EXISTS {};", quoted(&names_name(id, position)));
    }
    let _ = write!(sql, "DROP TABLE {}; DROP TABLE {};", quoted(&index_name(id)), quoted(&words_name(id)));
    tx.batch(&sql)
}

fn trigger_name(event: &str, id: &str) -> String {
    format!("search_{event}_{id}")
}

/// The words of a column. What was added and what is removed must be the same to the letter.
fn text(row: &str, (name, content): &(String, Content)) -> String {
    format!("{}({row}{})", function_of(*content), quoted(name))
}

/// The function that makes words of a column, with one space between them.
fn function_of(content: Content) -> &'static str {
    match content {
        Content::Text => "search_text",
        Content::Json => "search_json",
    }
}
