//! The order of a list, and where its next page begins.
use serde_json::{Value as Json, json};

use super::access::Asker;
use super::expand::seen_table;
use super::statement::Statement;
use super::store::ALIAS;
use crate::base::geo::Place;
use crate::base::text::nearest;
use crate::db::dialect;
use crate::db::record_tables::quoted;
use crate::db::{self, Row, Value};
use crate::features::collections::{Catalogue, Entry, FieldType};
use crate::http::Fault;

/// Most keys of one order.
const KEYS_MAX: usize = 8;
/// Relations that the keys of one order follow in all, and in a row: each is a look-up for every record.
const JOINS_MAX: usize = 8;
const DEPTH_MAX: usize = 4;
/// Longest text that a cursor holds. With a longer one it names the record, since a cursor stands in an address.
const TEXT_BYTES_MAX: usize = 200;

/// The order of a list. The id breaks ties, in the direction of the last key.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// What stands after FROM, to find a record that may be deleted by now.
    from: String,
    /// What paths along relations lead to, joined to the table.
    joins: Statement,
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
    /// As it was asked for.
    name: String,
    /// In the words of SQL.
    column: String,
    descending: bool,
    /// Whether null may be there: first when ascending, last when descending.
    nullable: bool,
}

impl Order {
    /// No order at all, in the place of one that was refused.
    pub fn none() -> Self {
        Self { from: String::new(), joins: Statement::default(), keys: Vec::new() }
    }

    /// Reads `sort=-views,title,author.name`. Nothing is the order of the ids, which is that of their making.
    pub fn read(
        sort: Option<&str>,
        catalogue: &Catalogue,
        entry: &Entry,
        asker: &Asker<'_>,
    ) -> Result<Self, Vec<Fault>> {
        let mut keys: Vec<Key> = Vec::new();
        let mut paths = Paths { catalogue, asker, joins: Statement::default(), joined: Vec::new() };
        let mut faults = Vec::new();
        let mut fault = |code, detail: String| faults.push(Fault::new("?sort", code, detail));
        // One more than may be, so that too many are told as such.
        for part in sort.into_iter().flat_map(parts).map(str::trim).take(KEYS_MAX + 1) {
            let (name, descending) = part.strip_prefix('-').map_or((part, false), |it| (it, true));
            let name = name.strip_prefix('+').unwrap_or(name);
            if keys.iter().any(|it| it.name == name) {
                fault("duplicate", format!("`{name}` is given more than once"));
                continue;
            }
            match paths.key(entry, name) {
                Ok((column, nullable)) => keys.push(Key { name: name.to_owned(), column, descending, nullable }),
                Err((code, detail)) => fault(code, detail),
            }
        }
        if KEYS_MAX < keys.len() {
            fault("too-many", format!("at most {KEYS_MAX} keys"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        // What comes after the id decides nothing.
        match keys.iter().position(|it| it.name == "id") {
            Some(position) => keys.truncate(position + 1),
            None => {
                let descending = keys.last().is_some_and(|it| it.descending);
                let (name, column) = ("id".to_owned(), format!("{ALIAS}.\"id\""));
                keys.push(Key { name, column, descending, nullable: false });
            }
        }
        // A cursor may name a record that was deleted since.
        let from = if entry.view.is_some() { entry.from.clone() } else { quoted(&entry.rows) };
        Ok(Self { from, joins: paths.joins, keys })
    }

    /// What has to be joined to the table, so that the keys mean something.
    pub fn joins(&self) -> Statement {
        self.joins.clone()
    }

    /// Appends the keys as columns, so that the position of a row can be read from it.
    pub fn select(&self, sql: &mut String) {
        for key in &self.keys {
            sql.push_str(&format!(", {}", key.column));
        }
    }

    pub fn order_by(&self, statement: &mut Statement) {
        statement.push(" ORDER BY ");
        for (index, key) in self.keys.iter().enumerate() {
            statement.push(if index == 0 { "" } else { ", " });
            statement.push(&key.column).push(if key.descending { " DESC" } else { " ASC" });
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
        let columns: Vec<_> = self.keys.iter().map(|it| it.column.as_str()).collect();
        let mut statement = Statement::new(format!("SELECT {} FROM {} AS {ALIAS}", columns.join(", "), self.from));
        statement.append(self.joins());
        statement.push(&format!(" WHERE {ALIAS}.id = ")).bind(id.to_owned());
        // In a view there may be several.
        statement.push(" LIMIT 2");
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
        let column = &first.column;
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
                statement.push(&before.column).push(" IS NOT DISTINCT FROM ").bind(value.clone()).push(" AND ");
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
    let columns: Vec<_> = keys.iter().map(|it| it.column.as_str()).collect();
    let descending = keys.first().is_some_and(|it| it.descending);
    statement.push(&format!("({}) {} (", columns.join(", "), if descending { "<" } else { ">" }));
    for (index, value) in values.iter().enumerate() {
        statement.push(if index == 0 { "" } else { ", " }).bind(value.clone());
    }
    statement.push(")");
}

impl Key {
    /// What comes after `value` in this key alone.
    fn beyond(&self, value: &Value<'static>, statement: &mut Statement) {
        let column = &self.column;
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

type Wrong = (&'static str, String);

/// The parts of `sort`: a comma within brackets is none between keys.
fn parts(sort: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_usize;
    sort.split(move |letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0
    })
}

/// Paths of keys, and what they join.
struct Paths<'a> {
    catalogue: &'a Catalogue,
    asker: &'a Asker<'a>,
    joins: Statement,
    /// The relations that are joined, each by the path that leads there; the table of one is named by its place.
    joined: Vec<String>,
}

impl Paths<'_> {
    /// What a key sorts by: a field, or how far away a place is, as `distance(place,52.52,13.405)`.
    fn key(&mut self, entry: &Entry, name: &str) -> Result<(String, bool), Wrong> {
        let Some(inner) = name.strip_prefix("distance(").and_then(|it| it.strip_suffix(')')) else {
            return self.end(entry, name, false);
        };
        let parts: Vec<_> = inner.split(',').map(str::trim).collect();
        let wrong = || ("type", "is written `distance(place,lat,lon)`, with degrees".to_owned());
        let [path, latitude, longitude] = parts.as_slice() else { return Err(wrong()) };
        let degrees = |it: &str| it.parse::<f64>().map_err(|_| wrong());
        let from = Place::at(degrees(latitude)?, degrees(longitude)?).ok_or_else(wrong)?;
        let (column, nullable) = self.end(entry, path, true)?;
        Ok((dialect::distance(&column, &from.packed().to_string()), nullable))
    }

    /// The column at the end of a path, and whether null may be there. What the caller may not view has no values.
    fn end(&mut self, entry: &Entry, path: &str, is_place: bool) -> Result<(String, bool), Wrong> {
        let (relations, name) = path.rsplit_once('.').map_or((None, path), |(before, last)| (Some(before), last));
        let (mut at, mut alias, mut so_far) = (Some(entry), ALIAS.to_owned(), String::new());
        for (depth, relation) in relations.into_iter().flat_map(|it| it.split('.')).enumerate() {
            let judge = at.and_then(|it| it.field(relation)).map(|(_, it)| it);
            let judge = judge.filter(|it| self.asker.sight.sees(it) && it.field.field_type == FieldType::Relation);
            let judge = judge.ok_or_else(|| ("unknown", format!("`{}` is no relation", shortened(relation))))?;
            if judge.member.join.is_some() {
                return Err(("type", format!("`{relation}` refers to several records, which have no order together")));
            }
            let target = judge.field.collection.as_deref().unwrap_or_default();
            so_far = format!("{so_far}.{relation}");
            if let Some(place) = self.joined.iter().position(|it| *it == so_far) {
                at = self.catalogue.find(target).map(|it| &**it);
                alias = format!("s{place}");
                continue;
            }
            if DEPTH_MAX <= depth || JOINS_MAX <= self.joined.len() {
                return Err(("too-many", format!("at most {JOINS_MAX} relations, and {DEPTH_MAX} in a row")));
            }
            let inner = format!("s{}", self.joined.len());
            self.joined.push(so_far.clone());
            let (table, column) = (quoted(seen_table(self.catalogue, target)), &judge.member.column);
            self.joins.push(&format!(" LEFT JOIN {table} AS {inner} ON {inner}.id = {alias}.{column}"));
            at = self.catalogue.find(target).map(|it| &**it);
            if let Some(rule) = at.and_then(|it| self.asker.rule(it, &it.rules.view, &inner)) {
                self.joins.push(" AND (").append(rule).push(")");
            }
            alias = inner;
        }
        let column = format!("{alias}.{}", quoted(name));
        let is_far = relations.is_some();
        match (at, name) {
            (None, _) | (_, "id" | "createdAt" | "updatedAt") if is_place => {
                Err(("type", format!("`{}` is no place", shortened(name))))
            }
            (Some(entry), "id" | "createdAt" | "updatedAt") if entry.has_own(name) => {
                Ok((column, is_far || (entry.view.is_some() && name != "id")))
            }
            (Some(entry), "deletedAt") if entry.collection.keeps_deleted() => Ok((column, true)),
            (None, "id" | "name" | "role") => Ok((column, true)),
            (None, _) => Err(("unknown", format!("`{}` is no field", shortened(name)))),
            (Some(entry), _) => match entry.field(name).filter(|(_, it)| self.asker.sight.sees(it)) {
                Some((_, judge))
                    if !(judge.field.has_order() || is_place && judge.field.field_type == FieldType::Geo) =>
                {
                    Err(("type", format!("`{name}` has no order")))
                }
                Some((_, judge)) if is_place && judge.field.field_type != FieldType::Geo => {
                    Err(("type", format!("`{name}` is no place")))
                }
                Some((_, judge)) => Ok((column, is_far || !judge.field.required)),
                None => Err(("unknown", unknown(name, entry, self.asker))),
            },
        }
    }
}

fn shortened(name: &str) -> String {
    name.chars().take(100).collect()
}

fn unknown(name: &str, entry: &Entry, asker: &Asker<'_>) -> String {
    let seen = entry.judges.iter().filter(|it| asker.sight.sees(it)).map(|it| it.field.name.as_str());
    let name = shortened(name);
    match nearest(&name, seen.chain(["id", "createdAt", "updatedAt"])) {
        Some(meant) => format!("`{name}` is no field; did you mean `{meant}`?"),
        None => format!("`{name}` is no field"),
    }
}
