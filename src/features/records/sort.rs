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
/// Longest text that a cursor holds. Of a longer one it names the record, since a cursor stands in an address.
const TEXT_BYTES_MAX: usize = 200;

/// The order of a list. The id breaks ties, in the direction of the last key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    table: String,
    keys: Vec<Key>,
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
        for part in sort.into_iter().flat_map(|it| it.split(',')).map(str::trim) {
            let (name, descending) = part.strip_prefix('-').map_or((part, false), |it| (it, true));
            let name = name.strip_prefix('+').unwrap_or(name);
            let nullable = match name {
                "id" | "createdAt" | "updatedAt" => false,
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
        Ok(Self { table: entry.table.clone(), keys })
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
        for column in from..from + self.keys.len() {
            keys.push(match row.cell(column)? {
                Value::Integer(number) => json!(number),
                // As bits: a fraction in words may not come back the same.
                Value::Real(number) => json!({ "bits": number.to_bits() }),
                Value::Text(text) if TEXT_BYTES_MAX < text.len() => json!({ "of": "record" }),
                Value::Text(text) => json!(text),
                Value::Null | Value::Bytes(_) => Json::Null,
            });
        }
        Ok(Json::Array(keys).to_string())
    }

    /// Appends the condition that only what comes after a position fulfills, and returns what must be there for it.
    /// Nothing if it is no position of this order.
    pub fn after(&self, position: &str, statement: &mut Statement) -> Option<Option<Statement>> {
        let Ok(Json::Array(position)) = serde_json::from_str(position) else { return None };
        if position.len() != self.keys.len() {
            return None;
        }
        let id = position.last()?.as_str()?;
        let mark = |(key, json)| match value(json) {
            Some(value) => Some(Mark::Value(value)),
            None if json["of"] == "record" => Some(Mark::Record(key, id.to_owned())),
            None => None,
        };
        let marks: Vec<Mark<'_>> = self.keys.iter().zip(&position).map(mark).collect::<Option<_>>()?;
        self.push_after(&marks, statement);
        Some(self.anchor(&marks))
    }

    /// Finds the record that a position names instead of its values, as long as it has some.
    fn anchor(&self, marks: &[Mark<'_>]) -> Option<Statement> {
        let mut anchor = Statement::default();
        for mark in marks {
            let Mark::Record(key, id) = mark else { continue };
            if anchor.sql.is_empty() {
                anchor.push(&format!("SELECT 1 FROM {} WHERE id = ", quoted(&self.table))).bind(id.clone());
            }
            anchor.push(&format!(" AND {} IS NOT NULL", quoted(&key.column)));
        }
        (!anchor.sql.is_empty()).then_some(anchor)
    }

    fn push_after(&self, marks: &[Mark<'_>], statement: &mut Statement) {
        let one_way = self.keys.iter().all(|it| it.descending == self.keys[0].descending);
        // A null sorts below everything: going up it lies behind already, going down it is still to come.
        let is_plain = |(key, mark): (&Key, &Mark<'_>)| !(mark.is_null() || key.nullable && key.descending);
        if one_way && self.keys.iter().zip(marks).all(is_plain) {
            let columns: Vec<_> = self.keys.iter().map(Key::named).collect();
            statement.push(&format!("({})", columns.join(", ")));
            statement.push(if self.keys[0].descending { " < (" } else { " > (" });
            for (index, mark) in marks.iter().enumerate() {
                statement.push(if index == 0 { "" } else { ", " });
                self.push_mark(mark, statement);
            }
            statement.push(")");
            return;
        }
        statement.push("(");
        for (index, key) in self.keys.iter().enumerate() {
            statement.push(if index == 0 { "(" } else { " OR (" });
            for (before, mark) in self.keys.iter().zip(marks).take(index) {
                statement.push(&before.named()).push(" IS NOT DISTINCT FROM ");
                self.push_mark(mark, statement);
                statement.push(" AND ");
            }
            self.push_beyond(key, &marks[index], statement);
            statement.push(")");
        }
        statement.push(")");
    }

    /// What comes after a mark in this key alone.
    fn push_beyond(&self, key: &Key, mark: &Mark<'_>, statement: &mut Statement) {
        let column = key.named();
        match (mark.is_null(), key.descending) {
            (true, false) => {
                statement.push(&format!("{column} IS NOT NULL"));
            }
            (true, true) => {
                statement.push("1 = 0");
            }
            (false, descending) => {
                statement.push(&format!("({column} {} ", if descending { '<' } else { '>' }));
                self.push_mark(mark, statement);
                let null_follows = descending && key.nullable;
                statement.push(&if null_follows { format!(" OR {column} IS NULL)") } else { ")".to_owned() });
            }
        }
    }

    fn push_mark(&self, mark: &Mark<'_>, statement: &mut Statement) {
        match mark {
            Mark::Value(value) => {
                statement.bind(value.clone());
            }
            Mark::Record(key, id) => {
                let (column, table) = (quoted(&key.column), quoted(&self.table));
                statement.push(&format!("(SELECT {column} FROM {table} WHERE id = ")).bind(id.clone()).push(")");
            }
        }
    }
}

/// Where one key of a position stands.
enum Mark<'a> {
    Value(Value<'static>),
    /// Where the record with this id has it.
    Record(&'a Key, String),
}

impl Mark<'_> {
    fn is_null(&self) -> bool {
        matches!(self, Self::Value(Value::Null))
    }
}

impl Key {
    fn named(&self) -> String {
        format!("{ALIAS}.{}", quoted(&self.column))
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
