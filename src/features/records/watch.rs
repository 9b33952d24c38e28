//! Watching: who is told what of an event, and in which words.
//!
//! Whether an event is for someone is asked of the database, as for a read: the rule and the filter are conditions of
//! SQL, put to the columns that the event holds in the place of a row. So what is delivered is what a list would have
//! shown. A record that was in view and is not any more is told as deleted, by its id alone: whether it is gone, or
//! only no longer for the one who watches, is told to nobody.
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::access::{Asker, Circumstances, Judge};
use super::error::Error;
use super::list;
use super::projection::Projection;
use super::statement::Statement;
use super::store::{self, ALIAS};
use crate::base::Timestamp;
use crate::db::record_tables::quoted;
use crate::db::{self, Tx, Value};
use crate::expr::{self, Compiled, Purpose};
use crate::features::accounts::RECORDS_READ;
use crate::features::collections::{Catalogue, Entry, Rule, Sight, Stored, expression_fault};
use crate::features::events::{Epoch, Event, EventKind};
use crate::http::{Caller, ClientAddress, Fault, Problem};

/// Longest topic that is looked at.
const TOPIC_BYTES_MAX: usize = 300;
/// How topics begin.
const COLLECTIONS: &str = "collections/";

/// What is watched: the records of a collection, or one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Topic {
    collection: String,
    record: Option<String>,
}

/// What someone is to be told, as they may at this moment.
#[derive(Debug)]
pub struct Watch {
    /// As it was asked for: `collections/posts`.
    pub topic: String,
    pub filter: Option<String>,
    /// Watches with the same key are told the same.
    pub key: String,
    entry: Arc<Entry>,
    record: Option<String>,
    sight: Sight,
    /// Which fields of the collection are seen.
    seen: Vec<bool>,
    /// Of the collections under which it was made.
    pub generation: i64,
    judge: Judge,
    /// The filter about a record, and about the columns of an event.
    compiled: Option<[Compiled; 2]>,
    /// Whether an event is in view, asked with its columns and then with what the condition needs.
    question: Option<String>,
    /// Whether the filter asks for more than the event, or took long before: then whoever delivers to all does not
    /// wait for the answer.
    is_costly: AtomicBool,
}

/// Something that can be watched, by ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub collection: String,
    pub record: Option<String>,
}

/// Watches, by what they are about.
#[derive(Debug, Default)]
pub struct Watches {
    /// With whether its answer is waited for.
    all: Vec<(Arc<Watch>, bool)>,
    waits_for_all: bool,
    /// Whether the events may be long ago.
    is_of_past: bool,
    by_collection: HashMap<String, Watchers>,
}

/// Filters of clients whose answers are waited for by whoever delivers to all: so many are quick. Each connection asks
/// the others for itself.
const FILTERS_MAX: usize = 512;
/// A filter that takes longer than this for one event is not waited for again.
const FILTER_TIME_MAX: Duration = Duration::from_millis(2);

#[derive(Debug, Default)]
struct Watchers {
    entry: Option<Arc<Entry>>,
    whole: Vec<usize>,
    by_record: HashMap<String, Vec<usize>>,
}

/// What one watch is told of one event.
#[derive(Clone, Debug)]
pub struct Told {
    /// The position of the watch.
    pub watch: usize,
    pub seq: i64,
    /// The members of the message, without the braces around them; nothing if it was not waited for.
    pub members: Option<Bytes>,
}

impl Topic {
    fn read(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(COLLECTIONS).filter(|_| text.len() <= TOPIC_BYTES_MAX)?;
        let (collection, record) = match rest.split_once('/') {
            None => (rest, None),
            Some((collection, record)) => (collection, Some(record.parse::<uuid::Uuid>().ok()?.to_string())),
        };
        Some(Self { collection: collection.to_owned(), record })
    }
}

impl Watch {
    /// Lets someone watch, or says why not: in the words that a read would have.
    pub fn new(
        catalogue: &Catalogue,
        caller: &Caller,
        address: ClientAddress,
        topic: &str,
        filter: Option<&str>,
    ) -> Result<Self, Problem> {
        // The time is that of each event.
        let circumstances = Circumstances { now: Timestamp::from_millis(0), method: "GET", address };
        caller.must_somewhere(RECORDS_READ)?;
        let read = Topic::read(topic).ok_or_else(|| {
            let detail = "must be `collections/<name>`, for all of its records, or `collections/<name>/<id>`";
            Problem::invalid(vec![Fault::new("/subscribe", "format", detail)])
        })?;
        let asker = Asker::to_read(caller, &read.collection, circumstances)?;
        let entry = catalogue.find(&read.collection).ok_or_else(Problem::not_found)?;
        if entry.view.is_some() {
            let detail = "is a view, which nothing happens in: watch the collections that it reads";
            return Err(Problem::invalid(vec![Fault::new("/subscribe", "not-for-view", detail)]));
        }
        let mut watch = Self {
            topic: topic.to_owned(),
            filter: filter.map(ToOwned::to_owned),
            key: String::new(),
            entry: Arc::clone(entry),
            seen: entry.judges.iter().map(|it| asker.sight.sees(it)).collect(),
            sight: asker.sight.clone(),
            generation: catalogue.generation,
            judge: asker.detached(),
            compiled: None,
            question: None,
            is_costly: AtomicBool::new(false),
            record: read.record,
        };
        asker.must_be_let(entry, watch.rule(About::Record), if watch.record.is_some() { "read" } else { "list" })?;
        if let Some(filter) = filter {
            let schema = catalogue.schema(&asker.sight);
            let compile = |purpose| {
                let compiled = expr::parse(filter).and_then(|it| expr::compile(&schema, entry.name(), &it, purpose));
                compiled.map_err(|error| Problem::invalid(vec![expression_fault("/filter".to_owned(), &error)]))
            };
            let compiled = [compile(Purpose::Filter)?, compile(Purpose::FilterOfEvent)?];
            watch.is_costly = compiled[1].sql(ALIAS).contains("SELECT").into();
            watch.compiled = Some(compiled);
        }
        let condition = watch.condition(circumstances.now, About::Event);
        let Statement { sql, values } = condition.clone().unwrap_or_default();
        let (id, record, seen) = (entry.collection.id, &watch.record, &watch.seen);
        watch.key = format!("{id} {record:?} {seen:?} {sql} {values:?}");
        watch.question = condition.map(|it| question(entry, &Columns::whole(entry), it).sql);
        Ok(watch)
    }

    /// The same under the collections as they are now.
    pub fn renewed(&self, catalogue: &Catalogue, caller: &Caller, address: ClientAddress) -> Result<Self, Problem> {
        Self::new(catalogue, caller, address, &self.topic, self.filter.as_deref())
    }

    /// What is watched, whatever it is called.
    pub fn place(&self) -> Place {
        Place { collection: self.collection(), record: self.record.clone() }
    }

    /// Whether those who watch it can see each other.
    pub fn offers_presence(&self) -> bool {
        self.entry.collection.options.presence
    }

    /// Whether a record that is watched is there, and for whoever watches; a collection always is.
    pub fn is_in_view(&self, tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, db::Error> {
        let Some(record) = &self.record else { return Ok(true) };
        let rule = self.judge.at(now).rule(&self.entry, &self.entry.rules.view);
        let sought = list::sought(&Projection::default(), &self.entry, record, rule);
        Ok(store::find(tx, &sought, &Projection::default())?.is_some())
    }

    /// The id of the collection.
    pub fn collection(&self) -> String {
        self.entry.collection.id.to_string()
    }

    fn rule(&self, about: About) -> &Rule {
        let rules = &self.entry.rules;
        match (about, self.record.is_some()) {
            (About::Record, false) => &rules.list,
            (About::Record, true) => &rules.view,
            (About::Event, false) => &rules.list_of_event,
            (About::Event, true) => &rules.view_of_event,
        }
    }

    /// Rule and filter; nothing if there is none of them.
    fn condition(&self, now: Timestamp, about: About) -> Option<Statement> {
        let filter = self.compiled.as_ref().map(|[record, event]| match about {
            About::Record => record,
            About::Event => event,
        });
        let rule = Some(self.rule(about)).filter(|it| **it != Rule::Anyone);
        if rule.is_none() && filter.is_none() {
            return None;
        }
        let judge = self.judge.at(now);
        let parts =
            rule.and_then(|it| judge.rule(&self.entry, it)).into_iter().chain(filter.map(|it| judge.filter(it)));
        parts.reduce(|mut rule, filter| {
            rule.sql = format!("({}) AND (", rule.sql);
            rule.append(filter).push(")");
            rule
        })
    }
}

/// What a condition is put to: a row of its table, or the columns of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Record,
    Event,
}

impl Watches {
    /// For whoever delivers to all: what takes long is left to each connection.
    pub fn of_all(all: Vec<Arc<Watch>>) -> Self {
        let mut filters = 0;
        let judged = all.into_iter().map(|watch| {
            filters += usize::from(watch.compiled.is_some());
            let is_quick = watch.compiled.is_none() || filters <= FILTERS_MAX;
            (watch, is_quick)
        });
        Self::new(judged.collect())
    }

    /// For one connection, which waits for all of its own.
    pub fn of_one(all: Vec<Arc<Watch>>) -> Self {
        Self::new(all.into_iter().map(|it| (it, true)).collect()).waiting()
    }

    fn waiting(mut self) -> Self {
        self.waits_for_all = true;
        self
    }

    /// For one connection that asks for what it missed. Of a record it is told what is still so: what was changed or
    /// withdrawn since is no longer for anyone, whoever might have heard of it then.
    pub fn of_past(all: Vec<Arc<Watch>>) -> Self {
        Self { is_of_past: true, ..Self::of_one(all) }
    }

    fn new(all: Vec<(Arc<Watch>, bool)>) -> Self {
        let mut by_collection: HashMap<String, Watchers> = HashMap::new();
        for (position, (watch, _)) in all.iter().enumerate() {
            let watchers = by_collection.entry(watch.collection()).or_default();
            watchers.entry = Some(Arc::clone(&watch.entry));
            match &watch.record {
                None => watchers.whole.push(position),
                Some(record) => watchers.by_record.entry(record.clone()).or_default().push(position),
            }
        }
        Self { all, by_collection, waits_for_all: false, is_of_past: false }
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// What each of them is told of some events, in the order of these. The collections must be as they were when the
    /// watches were made. What is older than a collection as it is now, which is where `cuts` has it, had other fields:
    /// it is left out, and a gap follows.
    pub fn deliver(
        &self,
        tx: &mut Tx<'_>,
        catalogue: &Catalogue,
        epoch: &Epoch,
        events: &[Event],
        cuts: &HashMap<String, i64>,
        now: Timestamp,
    ) -> Result<Vec<Told>, Error> {
        catalogue.must_be_current(tx)?;
        let mut told = Vec::new();
        for event in events {
            let is_cut = cuts.get(&event.collection).is_some_and(|it| event.seq < *it);
            let Some(watchers) = self.by_collection.get(&event.collection).filter(|_| !is_cut) else { continue };
            let Some(entry) = &watchers.entry else { continue };
            let of_record = event.record.as_ref().and_then(|it| watchers.by_record.get(it));
            // What is about many records may be about each.
            let of_all = watchers.by_record.values().filter(|_| event.record.is_none()).flatten();
            let concerned = watchers.whole.iter().chain(of_record.into_iter().flatten()).chain(of_all);
            let mut telling = Telling::new(entry, epoch, event)?;
            if self.is_of_past {
                telling.is_outdated = !is_newest(tx, entry, event)?;
            }
            for position in concerned {
                let (watch, is_quick) = &self.all[*position];
                let (watch_at, seq) = (*position, event.seq);
                if !self.waits_for_all && (!is_quick || watch.is_costly.load(Ordering::Relaxed)) {
                    told.push(Told { watch: watch_at, seq, members: None });
                    continue;
                }
                let began = watch.compiled.is_some().then(Instant::now);
                if let Some(members) = telling.tell(tx, watch, now)? {
                    told.push(Told { watch: watch_at, seq, members: Some(members) });
                }
                if began.is_some_and(|it| FILTER_TIME_MAX < it.elapsed()) {
                    watch.is_costly.store(true, Ordering::Relaxed);
                }
            }
        }
        Ok(told)
    }
}

/// One event, and what is said of it: each thing put into words once, however many are told.
struct Telling<'a> {
    entry: &'a Arc<Entry>,
    epoch: &'a Epoch,
    event: &'a Event,
    after: Columns,
    before: Columns,
    /// Whether more became of the record since. Then it is what a later event tells.
    is_outdated: bool,
    /// By which fields are seen.
    records: Vec<(Vec<bool>, Bytes)>,
    said: Vec<(String, Said, Vec<bool>, Bytes)>,
}

/// What becomes of a record, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Is,
    Gone,
    Gap,
}

/// What an import leaves in the log.
struct Rows {
    first: i64,
    last: i64,
}

impl<'a> Telling<'a> {
    fn new(entry: &'a Arc<Entry>, epoch: &'a Epoch, event: &'a Event) -> Result<Self, Error> {
        let (mut after, mut before) = (Columns::none(entry), Columns::none(entry));
        if event.record.is_some() {
            after.read(entry, event.after.as_deref())?;
            before = after.clone();
            before.read(entry, event.before.as_deref())?;
        }
        Ok(Self { entry, epoch, event, after, before, is_outdated: false, records: Vec::new(), said: Vec::new() })
    }

    /// What one watch is told, if it is told anything.
    fn tell(&mut self, tx: &mut Tx<'_>, watch: &Watch, now: Timestamp) -> Result<Option<Bytes>, Error> {
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
            it.0 == watch.topic && it.1 == said && (said != Said::Is || it.2 == watch.seen)
        };
        if let Some((.., members)) = self.said.iter().find(is_known) {
            return members.clone();
        }
        let kind = match said {
            Said::Is => self.event.kind.name(),
            Said::Gone => EventKind::Deleted.name(),
            Said::Gap => "gap",
        };
        let mut out = message(self.epoch, self.event.seq, &watch.topic, kind);
        if !record.is_empty() {
            out.extend_from_slice(b",\"record\":");
            out.extend_from_slice(record);
        }
        let members = Bytes::from(out);
        self.said.push((watch.topic.clone(), said, watch.seen.clone(), members.clone()));
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
struct Columns {
    times: [Option<i64>; 2],
    values: Vec<Option<Stored>>,
}

const TIMES: [&str; 2] = ["createdAt", "updatedAt"];

impl Columns {
    fn none(entry: &Entry) -> Self {
        Self { times: [None, None], values: vec![None; entry.judges.len()] }
    }

    /// All of them, with nothing in them.
    fn whole(entry: &Entry) -> Self {
        Self { times: [Some(0), Some(0)], values: vec![Some(Stored::Null); entry.judges.len()] }
    }

    /// Takes what is in the log over what was there before.
    fn read(&mut self, entry: &Entry, json: Option<&str>) -> Result<(), Error> {
        let Some(json) = json else { return Ok(()) };
        let unreadable = |_| db::Error::Column { column: 0, expected: "the columns of a record" };
        let members: Map<String, Json> = serde_json::from_str(json).map_err(unreadable)?;
        for (name, value) in members {
            if let Some(time) = TIMES.iter().position(|it| *it == name) {
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
fn question(entry: &Entry, columns: &Columns, condition: Statement) -> Statement {
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
