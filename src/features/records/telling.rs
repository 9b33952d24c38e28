//! What is said of an event: the record as it is, what changed of it, that it is gone, or that something is missing.
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::error::Error;
use super::list;
use super::projection::Projection;
use super::statement::Statement;
use super::store::{self, ALIAS};
use super::watch::{About, Watch};
use crate::base::Timestamp;
use crate::db::record_tables::quoted;
use crate::db::{self, Tx, Value};
use crate::features::collections::{Entry, Stored};
use crate::features::events::{Epoch, Event, EventKind};

/// One event, and what is said of it: each thing put into words once, however many are told.
pub(super) struct Telling<'a> {
    entry: &'a Arc<Entry>,
    epoch: &'a Epoch,
    event: &'a Event,
    after: Columns,
    before: Columns,
    /// Whether more became of the record since. Then it is what a later event tells.
    is_outdated: bool,
    /// Whether it is told to those who missed it. What they know of the record may be older than what it was before.
    is_of_past: bool,
    /// By which fields are seen.
    records: Vec<(Vec<bool>, Bytes)>,
    said: Vec<(String, Said, Vec<bool>, Bytes)>,
}

/// What becomes of a record, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Is,
    Changed,
    Gone,
    Gap,
}

/// What an import leaves in the log.
struct Rows {
    first: i64,
    last: i64,
}

impl<'a> Telling<'a> {
    pub fn new(entry: &'a Arc<Entry>, epoch: &'a Epoch, event: &'a Event) -> Result<Self, Error> {
        let (mut after, mut before) = (Columns::none(entry), Columns::none(entry));
        if event.record.is_some() {
            after.read(entry, event.after.as_deref())?;
            before = after.clone();
            before.read(entry, event.before.as_deref())?;
        }
        let (records, said) = (Vec::new(), Vec::new());
        Ok(Self { entry, epoch, event, after, before, is_outdated: false, is_of_past: false, records, said })
    }

    /// The same for those who missed it.
    pub fn of_past(self, tx: &mut Tx<'_>) -> Result<Self, Error> {
        let is_outdated = !is_newest(tx, self.entry, self.event)?;
        Ok(Self { is_outdated, is_of_past: true, ..self })
    }

    /// What one watch is told, if it is told anything.
    pub fn tell(&mut self, tx: &mut Tx<'_>, watch: &Watch, now: Timestamp) -> Result<Option<Bytes>, Error> {
        let Some(id) = self.event.record.as_deref() else {
            let is_concerned = match (self.event.kind, self.event.after.as_deref().and_then(Rows::read)) {
                (EventKind::Imported, Some(rows)) => rows.has_any(tx, watch, now)?,
                _ => true,
            };
            return Ok(is_concerned.then(|| self.say(watch, Said::Gap, b"")));
        };
        if self.event.kind != EventKind::Deleted {
            if !self.after.is_whole() {
                // Too large for the log: as it is now, if it still is.
                let projection = Projection::whole(self.entry, &watch.sight);
                let current = list::sought(&projection, self.entry, id, watch.condition(now, About::Record));
                if let Some(found) = store::find(tx, &current, &projection)? {
                    return Ok(Some(self.say(watch, Said::Is, &found.json)));
                }
            } else if self.after.are_in_view(tx, id, watch, now)? {
                if self.is_outdated {
                    return Ok(None);
                }
                if self.is_told_by_its_changes(tx, id, watch, now)? {
                    let changes = self.changes(id, watch)?;
                    return Ok(Some(self.say(watch, Said::Changed, &changes)));
                }
                let record = self.record(id, watch)?;
                return Ok(Some(self.say(watch, Said::Is, &record)));
            }
        }
        if self.event.kind != EventKind::Created && self.before.are_in_view(tx, id, watch, now)? {
            let record = format!("{{\"id\":{}}}", Json::from(id));
            return Ok(Some(self.say(watch, Said::Gone, record.as_bytes())));
        }
        Ok(None)
    }

    /// Whether what changed is enough to be told: whoever watches knows the rest.
    fn is_told_by_its_changes(&self, tx: &mut Tx<'_>, id: &str, watch: &Watch, now: Timestamp) -> Result<bool, Error> {
        let is_plain = self.event.kind == EventKind::Updated && !self.is_of_past && !self.before.is_cut;
        // Where other records, or the time, decide who sees a record, it may have changed out of their sight.
        let may_be = watch.wanted.delta && is_plain && watch.is_of_record_alone;
        Ok(may_be && self.event.before.is_some() && self.before.are_in_view(tx, id, watch, now)?)
    }

    /// The id and those members that are not what they were, as far as they are seen.
    fn changes(&self, id: &str, watch: &Watch) -> Result<Vec<u8>, Error> {
        let mut projection = Projection::whole(self.entry, &watch.sight);
        let value = |name: &str| self.after.value(self.entry, id, name);
        let is_other = |name: &str| name == "id" || value(name) != self.before.value(self.entry, id, name);
        let changed: Vec<String> = projection.names().filter(|it| is_other(it)).map(ToOwned::to_owned).collect();
        projection.keep(&changed.iter().map(String::as_str).collect::<Vec<_>>());
        let mut out = Vec::with_capacity(128);
        projection.write_values(&value, &mut out)?;
        Ok(out)
    }

    fn record(&mut self, id: &str, watch: &Watch) -> Result<Bytes, Error> {
        if let Some((_, record)) = self.records.iter().find(|(seen, _)| *seen == watch.seen) {
            return Ok(record.clone());
        }
        let mut out = Vec::with_capacity(512);
        let value = |name: &str| self.after.value(self.entry, id, name);
        Projection::whole(self.entry, &watch.sight).write_values(&value, &mut out)?;
        let record = Bytes::from(out);
        self.records.push((watch.seen.clone(), record.clone()));
        Ok(record)
    }

    /// The members of the message.
    fn say(&mut self, watch: &Watch, said: Said, record: &[u8]) -> Bytes {
        let is_known = |it: &&(String, Said, Vec<bool>, Bytes)| {
            let is_of_fields = matches!(said, Said::Is | Said::Changed);
            it.0 == watch.wanted.topic && it.1 == said && (!is_of_fields || it.2 == watch.seen)
        };
        if let Some((.., members)) = self.said.iter().find(is_known) {
            return members.clone();
        }
        let kind = match said {
            Said::Is | Said::Changed => self.event.kind.name(),
            Said::Gone => EventKind::Deleted.name(),
            Said::Gap => "gap",
        };
        let mut out = message(self.epoch, self.event.seq, &watch.wanted.topic, kind);
        if !record.is_empty() {
            out.extend_from_slice(b",\"record\":");
            out.extend_from_slice(record);
        }
        if said == Said::Changed {
            out.extend_from_slice(b",\"delta\":true");
        }
        let members = Bytes::from(out);
        self.said.push((watch.wanted.topic.clone(), said, watch.seen.clone(), members.clone()));
        members
    }
}

/// Whether a record still is what an event made of it.
fn is_newest(tx: &mut Tx<'_>, entry: &Entry, event: &Event) -> Result<bool, db::Error> {
    let sql = format!("SELECT 1 FROM {} WHERE id = $1 AND _version = $2", quoted(&entry.table));
    let id = event.record.as_deref().unwrap_or_default();
    Ok(tx.find(&sql, &[id.into(), event.version.into()], |row| row.integer(0))?.is_some())
}

/// The members that every message about a topic has.
pub fn message(epoch: &Epoch, seq: i64, topic: &str, kind: &str) -> Vec<u8> {
    let (id, topic) = (epoch.id(seq), Json::from(topic));
    format!("\"seq\":{seq},\"id\":\"{id}\",\"topic\":{topic},\"type\":\"{kind}\"").into_bytes()
}

impl Rows {
    fn read(json: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(json).ok()?;
        Some(Self { first: json["firstRow"].as_i64()?, last: json["lastRow"].as_i64()? })
    }

    /// Whether any of them is in view: of what they may not see, nobody is told that it came.
    fn has_any(&self, tx: &mut Tx<'_>, watch: &Watch, now: Timestamp) -> Result<bool, Error> {
        let mut sought = Statement::new(format!("SELECT 1 FROM {} AS {ALIAS}", quoted(&watch.entry.table)));
        sought.push(&format!(" WHERE {ALIAS}._row BETWEEN ")).bind(self.first).push(" AND ").bind(self.last);
        if let Some(record) = &watch.record {
            sought.push(&format!(" AND {ALIAS}.id = ")).bind(record.clone());
        }
        if let Some(condition) = watch.condition(now, About::Record) {
            sought.push(" AND (").append(condition).push(")");
        }
        sought.push(" LIMIT 1");
        Ok(tx.find(&sought.sql, &sought.values, |row| row.integer(0))?.is_some())
    }
}

/// The columns of a record as an event has them; those that it has not are as they are in the database.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    times: [Option<i64>; 2],
    values: Vec<Option<Stored>>,
    /// Whether there was too much for the log, and something is left out.
    is_cut: bool,
}

const TIMES: [&str; 2] = ["createdAt", "updatedAt"];

impl Columns {
    fn none(entry: &Entry) -> Self {
        Self { times: [None, None], values: vec![None; entry.judges.len()], is_cut: false }
    }

    /// All of them, with nothing in them.
    pub fn whole(entry: &Entry) -> Self {
        Self { times: [Some(0), Some(0)], values: vec![Some(Stored::Null); entry.judges.len()], is_cut: false }
    }

    /// Takes what is in the log over what was there before.
    fn read(&mut self, entry: &Entry, json: Option<&str>) -> Result<(), Error> {
        let Some(json) = json else { return Ok(()) };
        let unreadable = |_| db::Error::Column { column: 0, expected: "the columns of a record" };
        let members: Map<String, Json> = serde_json::from_str(json).map_err(unreadable)?;
        for (name, value) in members {
            if name.is_empty() {
                self.is_cut = true;
            } else if let Some(time) = TIMES.iter().position(|it| *it == name) {
                self.times[time] = value.as_i64();
            } else if let Some((position, _)) = entry.field(&name) {
                self.values[position] = Some(match value {
                    Json::String(text) => Stored::Text(text),
                    Json::Number(number) => match number.as_i64() {
                        Some(whole) => Stored::Integer(whole),
                        None => Stored::Real(number.as_f64().unwrap_or_default()),
                    },
                    _ => Stored::Null,
                });
            }
        }
        Ok(())
    }

    fn is_whole(&self) -> bool {
        self.times.iter().all(Option::is_some) && self.values.iter().all(Option::is_some)
    }

    fn value<'a>(&'a self, entry: &Entry, id: &'a str, name: &str) -> Value<'a> {
        match name {
            "id" => return id.into(),
            // What is in the bin is told as gone.
            "isDeleted" => return false.into(),
            _ => {}
        }
        if let Some(time) = TIMES.iter().position(|it| *it == name) {
            return self.times[time].into();
        }
        let position = entry.field(name).map(|(it, _)| it);
        position.and_then(|it| self.values[it].as_ref()).map_or(Value::Null, Stored::as_value)
    }

    /// Whether a watch would show the record.
    fn are_in_view(&self, tx: &mut Tx<'_>, id: &str, watch: &Watch, now: Timestamp) -> Result<bool, Error> {
        let Some(condition) = watch.condition(now, About::Event) else { return Ok(true) };
        let mut values: Vec<Value<'_>> = vec![id.into()];
        values.extend(self.times.iter().flatten().map(|it| Value::from(*it)));
        values.extend(self.values.iter().flatten().map(Stored::as_value));
        values.extend(condition.values.iter().cloned());
        let sql = match &watch.question {
            Some(whole) if self.is_whole() => whole.clone(),
            _ => question(&watch.entry, self, condition).sql,
        };
        Ok(tx.find(&sql, &values, |row| row.integer(0))?.is_some())
    }
}

/// The statement that asks whether a condition is true for some columns; its first holes are for these.
pub(super) fn question(entry: &Entry, columns: &Columns, condition: Statement) -> Statement {
    let mut statement = Statement::new("SELECT 1 FROM (SELECT ");
    statement.bind(Value::Null).push(" AS id");
    let times = TIMES
        .iter()
        .zip(&columns.times)
        .map(|(name, time)| (quoted(name), format!("it.{}", quoted(name)), time.is_some()));
    let values = entry
        .judges
        .iter()
        .zip(&columns.values)
        .map(|(judge, value)| (judge.member.column.clone(), judge.member.select("it"), value.is_some()));
    for (name, current, is_there) in times.chain(values) {
        statement.push(", ");
        if is_there {
            statement.bind(Value::Null);
        } else {
            // Writing to a string cannot fail.
            let _ = write!(statement.sql, "(SELECT {current} FROM {} AS it WHERE it.id = $1)", quoted(&entry.table));
        }
        statement.push(" AS ").push(&name);
    }
    if entry.collection.keeps_deleted() {
        statement.push(", 0 AS \"isDeleted\", NULL AS \"deletedAt\"");
    }
    statement.push(&format!(") AS {ALIAS} WHERE (")).append(condition).push(")");
    statement
}
