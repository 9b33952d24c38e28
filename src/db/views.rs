//! Queries that people write themselves: looked at before they run, and made into what records are read from.
//!
//! A query names tables as people know them. It is tried first where there is nothing but those tables, all empty, so
//! that whatever else it names is not there. What runs afterwards is the same text behind a `WITH` that says what each
//! of these names stands for: a name that was found there is found here, and no other.
use std::fmt::Write as _;

use super::record_tables::quoted;
use super::sqlite;

/// Longest query, in bytes.
pub const QUERY_BYTES_MAX: usize = 10_000;

/// Longest text that is computed, in bytes: a page has several hundred of them in memory.
pub const TEXT_BYTES_MAX: usize = 256 << 10;

/// Largest value on the way to what is computed, in bytes.
const VALUE_BYTES_MAX: usize = 2 << 20;
/// How large those may be together that one query has at a time.
const VALUES_BYTES_MAX: usize = 64 << 20;

/// A table as people know it.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    /// The names of its columns, each with what stands for it in `table`, which is called `s` there.
    pub columns: Vec<(String, String)>,
    pub table: String,
}

/// What a query turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Its columns, and which column of which source each of them shows unchanged, as far as that is known.
    pub columns: Vec<(String, Option<(usize, usize)>)>,
    /// Which of the sources it reads.
    pub used: Vec<usize>,
    /// Which columns of the sources it reads, be it only to compute or to select by, and in how many places.
    pub read: Vec<((usize, usize), usize)>,
    /// Whether a column has nothing but what it shows.
    pub is_plain: bool,
    /// Largest value that may be computed on the way, in bytes: the more of them there can be, the less each.
    pub value_bytes_max: usize,
}

/// Where queries are tried: databases without a row, one with the tables under the names that people know, and one
/// in which these names are only those of a `WITH`.
#[derive(Debug)]
pub struct Bench(sqlite::Bench);

impl Bench {
    pub fn new() -> Result<Self, super::Error> {
        sqlite::Bench::new().map(Self)
    }

    /// Looks at a query over some sources, or says why it may not be run.
    pub fn look(&self, query: &str, sources: &[Source]) -> Result<Seen, String> {
        let query = trimmed(query);
        if QUERY_BYTES_MAX < query.len() {
            return Err(format!("must have at most {QUERY_BYTES_MAX} bytes"));
        }
        if query.chars().any(|it| it.is_control() && !matches!(it, '\n' | '\r' | '\t')) {
            return Err("must not contain control characters".to_owned());
        }
        // What is put together with it numbers its parameters by this sign.
        if query.as_bytes().windows(2).any(|it| it[0] == b'$' && it[1].is_ascii_digit()) {
            return Err("must not contain `$` before a digit; write `'$' || 5`".to_owned());
        }
        // Only those that may be meant are made.
        let lower = query.to_lowercase();
        let named: Vec<usize> =
            (0..sources.len()).filter(|it| lower.contains(&sources[*it].name.to_lowercase())).collect();
        let among: Vec<&Source> = named.iter().map(|it| &sources[*it]).collect();
        let tried = self.0.look(query, &among)?;
        let place = |(source, column): (usize, usize)| (named[source], column);
        let columns = tried.columns.into_iter().map(|(name, from)| (name, from.map(place)));
        // Of what is put together of several, only the first is looked at.
        let is_plain = !["union", "except", "intersect", "values"].iter().any(|it| lower.contains(it));
        let used = tried.used.into_iter().map(|it| named[it]).collect();
        let read = tried.read.into_iter().map(|(it, places)| (place(it), places)).collect();
        let makers = tried.calls + query.matches("||").count();
        let value_bytes_max = (VALUES_BYTES_MAX / makers.max(1)).clamp(TEXT_BYTES_MAX, VALUE_BYTES_MAX);
        Ok(Seen { columns: columns.collect(), used, read, is_plain, value_bytes_max })
    }
}

/// What a column of a query holds after it was looked at: a value that is something else is null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is known what is in there.
    AsIs,
    /// A text or a number. What is neither is an empty text, so that it is told and not left out.
    Id,
    Text,
    Email,
    Url,
    /// The id of a record of a collection.
    Reference,
    /// One of these texts.
    OneOf(Vec<String>),
    Integer,
    Number,
    Bool,
    Moment,
    Place,
    Json,
    /// A JSON array of these texts.
    List(Vec<String>),
}

impl Held {
    /// By which name the engine's function knows it, see [`sqlite`].
    fn name(&self) -> &'static str {
        match self {
            Self::AsIs => "",
            Self::Id => "id",
            Self::Text => "text",
            Self::Email => "email",
            Self::Url => "url",
            Self::Reference => "reference",
            Self::OneOf(_) => "one",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Moment => "moment",
            Self::Place => "place",
            Self::Json => "json",
            Self::List(_) => "list",
        }
    }

    /// Whether what a column holds is a text that is not looked into.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text | Self::Email | Self::Url | Self::Reference | Self::OneOf(_))
    }

    /// Whether what one column holds is kept like what another one does.
    pub fn is_kept_like(&self, other: &Self) -> bool {
        let is_list = |it: &Self| matches!(it, Self::List(_));
        self == other || (self.is_text() && other.is_text()) || (is_list(self) && is_list(other))
    }

    /// Whether a value of another column can be shown as one of this without a look. Which texts a selection takes was
    /// said where they are written, and may be said anew there.
    pub fn takes(&self, other: &Self) -> bool {
        let is_choice = |it: &Self| matches!(it, Self::OneOf(_));
        *self == *other
            || (*self == Self::Text && other.is_text())
            || (is_choice(self) && is_choice(other))
            || matches!((self, other), (Self::List(_), Self::List(_)))
    }

    // A function, since a column may be a whole query, which is asked for once that way.
    fn sql(&self, column: &str) -> String {
        let name = self.name();
        match self {
            Self::AsIs => column.to_owned(),
            // As bytes: in a text `$1` would be a parameter.
            Self::OneOf(texts) | Self::List(texts) => {
                let digits: String = texts.join("\0").bytes().map(|it| format!("{it:02x}")).collect();
                format!("view_value('{name}', {column}, x'{digits}')")
            }
            _ => format!("view_value('{name}', {column})"),
        }
    }
}

/// What stands after FROM to read the rows of a query: those that have an id, with these columns.
pub fn from(query: &str, sources: &[&Source], columns: &[(String, Held)]) -> String {
    let mut sql = String::from("(");
    sql.push_str(&prelude(sources, ""));
    sql.push_str("SELECT 0 AS _version");
    let mut id = "NULL".to_owned();
    for (name, held) in columns {
        let name = quoted(name);
        let value = held.sql(&format!("q.{name}"));
        // Writing to a string cannot fail.
        let _ = write!(sql, ", {value} AS {name}");
        if name == "\"id\"" {
            id = value;
        }
    }
    let _ = write!(sql, " FROM (\n{}\n) AS q WHERE {id} IS NOT NULL)", trimmed(query));
    sql
}

/// What stands after FROM where there is nothing to read.
pub fn nothing(columns: &[String]) -> String {
    let columns: String = columns.iter().map(|it| format!(", NULL AS {}", quoted(it))).collect();
    format!("(SELECT 0 AS _version{columns} WHERE 1 = 0)")
}

/// The names that a query may use, with what they stand for. `hidden` is put before the names of tables that are not
/// those of the sources, where a query is only tried.
pub(super) fn prelude(sources: &[&Source], hidden: &str) -> String {
    let mut sql = String::new();
    for source in sources {
        sql.push_str(if sql.is_empty() { "WITH " } else { ", " });
        let names: Vec<_> = source.columns.iter().map(|(name, _)| quoted(name)).collect();
        let _ = write!(sql, "{}({}) AS NOT MATERIALIZED (SELECT ", quoted(&source.name), names.join(", "));
        if hidden.is_empty() {
            let values: Vec<_> = source.columns.iter().map(|(_, value)| value.as_str()).collect();
            let _ = write!(sql, "{} FROM main.{} AS s)", values.join(", "), quoted(&source.table));
        } else {
            let _ = write!(sql, "{} FROM main.{} AS s)", names.join(", "), quoted(&format!("{hidden}{}", source.name)));
        }
    }
    if !sql.is_empty() {
        sql.push(' ');
    }
    sql
}

/// A query without the sign that ends a statement.
fn trimmed(query: &str) -> &str {
    let query = query.trim();
    query.strip_suffix(';').unwrap_or(query).trim_end()
}
