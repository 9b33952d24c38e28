//! The order of a list, and where its next page begins.
use serde_json::{Value as Json, json};

use super::statement::Statement;
use super::store::ALIAS;
use crate::base::text::nearest;
use crate::db::record_tables::quoted;
use crate::db::{self, Row, Value};
use crate::features::collections::{Entry, FieldType};
use crate::http::Fault;

/// Most keys of one order.
const KEYS_MAX: usize = 8;
/// Longest text that a cursor holds. With a longer one it names the record, since a cursor stands in an address.
const TEXT_BYTES_MAX: usize = 200;

/// The order of a list. The id breaks ties, in the direction of the last key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    table: String,
    keys: Vec<Key>,
}

/// Where the next page begins: after the record that had these keys, or after where a record is now.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Position {
    Values(Vec<Value<'static>>),
    Record(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    column: String,
    descending: bool,
    /// Whether null may be there: first when ascending, last when descending.
    nullable: bool,
}

impl Order {
    /// No order at all, in the place of one that was refused.
    pub fn none() -> Self {
        Self { table: String::new(), keys: Vec::new() }
    }

    /// Reads `sort=-views,title`. Nothing is the order of the ids, which is that of their making.
    pub fn read(sort: Option<&str>, entry: &Entry, with_hidden: bool) -> Result<Self, Vec<Fault>> {
        let mut keys: Vec<Key> = Vec::new();
        let mut faults = Vec::new();
        let mut fault = |code, detail: String| faults.push(Fault::new("?sort", code, detail));
        // One more than may be, so that too many are told as such.
        for part in sort.into_iter().flat_map(|it| it.split(',')).map(str::trim).take(KEYS_MAX + 1) {
            let (name, descending) = part.strip_prefix('-').map_or((part, false), |it| (it, true));
            let name = name.strip_prefix('+').unwrap_or(name);
            let nullable = match name {
                "id" | "createdAt" | "updatedAt" => false,
                "deletedAt" if entry.collection.keeps_deleted() => true,
                _ => match entry.field(name).filter(|(_, it)| with_hidden || !it.field.hidden) {
                    Some((_, judge)) if judge.field.field_type == FieldType::Json || judge.field.is_multiple() => {
                        fault("type", format!("`{name}` has no order"));
                        continue;
                    }
                    Some((_, judge)) => !judge.field.required,
                    None => {
                        fault("unknown", unknown(name, entry, with_hidden));
                        continue;
                    }
                },
            };
            if keys.iter().any(|it| it.column == name) {
                fault("duplicate", format!("`{name}` is given more than once"));
            } else {
                keys.push(Key { column: name.to_owned(), descending, nullable });
            }
        }
        if KEYS_MAX < keys.len() {
            fault("too-many", format!("at most {KEYS_MAX} keys"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        // What comes after the id decides nothing.
        match keys.iter().position(|it| it.column == "id") {
            Some(position) => keys.truncate(position + 1),
            None => {
                let descending = keys.last().is_some_and(|it| it.descending);
                keys.push(Key { column: "id".to_owned(), descending, nullable: false });
            }
        }
        // A cursor may name a record that was deleted since.
        Ok(Self { table: entry.rows.clone(), keys })
    }

    /// Appends the keys as columns, so that the position of a row can be read from it.
    pub fn select(&self, sql: &mut String) {
        for key in &self.keys {
            sql.push_str(&format!(", {}", key.named()));
        }
    }

    pub fn order_by(&self, statement: &mut Statement) {
        statement.push(" ORDER BY ");
        for (index, key) in self.keys.iter().enumerate() {
            statement.push(if index == 0 { "" } else { ", " });
            statement.push(&key.named()).push(if key.descending { " DESC" } else { " ASC" });
        }
    }

    /// The position of a row whose keys begin at `from`.
    pub fn position(&self, row: &Row<'_>, from: usize) -> Result<String, db::Error> {
        let mut keys = Vec::with_capacity(self.keys.len());
        let mut is_short = true;
        for column in from..from + self.keys.len() {
            let cell = row.cell(column)?;
            is_short &= !matches!(&cell, Value::Text(text) if TEXT_BYTES_MAX < text.len());
            keys.push(match cell {
                Value::Integer(number) => json!(number),
                // As bits: a fraction in words may not come back the same.
                Value::Real(number) => json!({ "bits": number.to_bits() }),
                Value::Text(text) => json!(text),
                Value::Null | Value::Bytes(_) => Json::Null,
            });
        }
        let id = keys.last().cloned().unwrap_or_default();
        Ok(if is_short { Json::Array(keys) } else { id }.to_string())
    }

    /// The position that a text says. Nothing if it is none of this order.
    pub fn read_position(&self, text: &str) -> Option<Position> {
        match serde_json::from_str(text).ok()? {
            Json::Array(keys) if keys.len() == self.keys.len() => {
                Some(Position::Values(keys.iter().map(value).collect::<Option<_>>()?))
            }
            Json::String(id) => Some(Position::Record(id)),
            _ => None,
        }
    }

    /// The statement that reads the keys of a record.
    pub fn where_it_stands(&self, id: &str) -> Statement {
        let columns: Vec<_> = self.keys.iter().map(Key::named).collect();
        let mut statement =
            Statement::new(format!("SELECT {} FROM {} AS {ALIAS}", columns.join(", "), quoted(&self.table)));
        statement.push(&format!(" WHERE {ALIAS}.id = ")).bind(id.to_owned());
        statement
    }

    /// How many keys there are.
    pub fn width(&self) -> usize {
        self.keys.len()
    }

    /// The conditions that what comes after a position fulfills, in the order in which their rows come. With null
    /// joined by OR to the rest, no index would lead there.
    pub fn after(&self, values: &[Value<'static>]) -> Vec<Statement> {
        let Some((first, rest)) = self.keys.split_first() else { return Vec::new() };
        let one_way = rest.iter().all(|it| it.descending == first.descending);
        // A null sorts below everything: going up it lies behind already, going down it is still to come.
        let is_plain = |(key, value): (&Key, &Value<'_>)| *value != Value::Null && !(key.nullable && key.descending);
        if !one_way || !rest.iter().zip(&values[1..]).all(is_plain) {
            return vec![self.beyond(values)];
        }
        let column = first.named();
        if values[0] == Value::Null {
            let mut among_nulls = Statement::new(format!("{column} IS NULL AND "));
            compare(rest, &values[1..], &mut among_nulls);
            let values = (!first.descending).then(|| Statement::new(format!("{column} IS NOT NULL")));
            [among_nulls].into_iter().chain(values).collect()
        } else {
            let mut among_values = Statement::default();
            compare(&self.keys, values, &mut among_values);
            let nulls = (first.nullable && first.descending).then(|| Statement::new(format!("{column} IS NULL")));
            [among_values].into_iter().chain(nulls).collect()
        }
    }

    /// What comes after `values`, whichever way each key goes and wherever null may be.
    fn beyond(&self, values: &[Value<'static>]) -> Statement {
        let mut statement = Statement::new("(");
        for (index, key) in self.keys.iter().enumerate() {
            statement.push(if index == 0 { "(" } else { " OR (" });
            for (before, value) in self.keys.iter().zip(values).take(index) {
                statement.push(&before.named()).push(" IS NOT DISTINCT FROM ").bind(value.clone()).push(" AND ");
            }
            key.beyond(&values[index], &mut statement);
            statement.push(")");
        }
        statement.push(")");
        statement
    }
}

/// Compares keys that all go one way with values that are not null.
fn compare(keys: &[Key], values: &[Value<'static>], statement: &mut Statement) {
    let columns: Vec<_> = keys.iter().map(Key::named).collect();
    let descending = keys.first().is_some_and(|it| it.descending);
    statement.push(&format!("({}) {} (", columns.join(", "), if descending { "<" } else { ">" }));
    for (index, value) in values.iter().enumerate() {
        statement.push(if index == 0 { "" } else { ", " }).bind(value.clone());
    }
    statement.push(")");
}

impl Key {
    fn named(&self) -> String {
        format!("{ALIAS}.{}", quoted(&self.column))
    }

    /// What comes after `value` in this key alone.
    fn beyond(&self, value: &Value<'static>, statement: &mut Statement) {
        let column = self.named();
        match (value, self.descending) {
            (Value::Null, false) => statement.push(&format!("{column} IS NOT NULL")),
            (Value::Null, true) => statement.push("1 = 0"),
            (value, false) => statement.push(&format!("{column} > ")).bind(value.clone()),
            (value, true) if self.nullable => {
                statement.push(&format!("({column} < ")).bind(value.clone()).push(&format!(" OR {column} IS NULL)"))
            }
            (value, true) => statement.push(&format!("{column} < ")).bind(value.clone()),
        };
    }
}

fn value(json: &Json) -> Option<Value<'static>> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Number(number) => Value::Integer(number.as_i64()?),
        Json::String(text) => Value::Text(text.clone().into()),
        Json::Object(bits) => Value::Real(f64::from_bits(bits.get("bits")?.as_u64()?)),
        _ => return None,
    })
}

fn unknown(name: &str, entry: &Entry, with_hidden: bool) -> String {
    let seen = entry.judges.iter().filter(|it| with_hidden || !it.field.hidden).map(|it| it.field.name.as_str());
    let name: String = name.chars().take(100).collect();
    match nearest(&name, seen.chain(["id", "createdAt", "updatedAt"])) {
        Some(meant) => format!("`{name}` is no field; did you mean `{meant}`?"),
        None => format!("`{name}` is no field"),
    }
}
