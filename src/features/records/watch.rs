//! Watching: who is told what of an event, and in which words.
//!
//! Whether an event is for someone is asked of the database, as for a read: the rule and the filter are conditions of
//! SQL, put to the columns that the event holds in the place of a row. So what is delivered is what a list would have
//! shown. A record that was in view and is not any more is told as deleted, by its id alone: whether it is gone, or
//! only no longer for the one who watches, is told to nobody.
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::access::{Asker, Circumstances, Judge};
use super::error::Error;
use super::list;
use super::projection::Projection;
use super::statement::Statement;
use super::store::{self, ALIAS};
use super::telling::{Columns, Telling, question};
use crate::base::Timestamp;
use crate::db::{self, Tx};
use crate::expr::{self, Compiled, Purpose};
use crate::features::accounts::RECORDS_READ;
use crate::features::collections::{Catalogue, Entry, Rule, Sight, expression_fault};
use crate::features::events::{Epoch, Event};
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

/// What a client asks to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `collections/<name>`, or `collections/<name>/<id>`.
    pub topic: String,
    /// An expression that is true for the records to hear of.
    pub filter: Option<String>,
    /// Of a record that it knows, only what changed.
    pub delta: bool,
}

/// What someone is to be told, as they may at this moment.
#[derive(Debug)]
pub struct Watch {
    /// As it was asked for.
    pub wanted: Wanted,
    /// Watches with the same key are told the same.
    pub key: String,
    pub(super) entry: Arc<Entry>,
    pub(super) record: Option<String>,
    pub(super) sight: Sight,
    /// Which fields of the collection are seen.
    pub(super) seen: Vec<bool>,
    /// Of the collections under which it was made.
    pub generation: i64,
    judge: Judge,
    /// The filter about a record, and about the columns of an event.
    compiled: Option<[Compiled; 2]>,
    /// Whether an event is in view, asked with its columns and then with what the condition needs.
    pub(super) question: Option<String>,
    /// Whether nothing but the record itself decides whether it is in view.
    pub(super) is_of_record_alone: bool,
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
        wanted: Wanted,
    ) -> Result<Self, Problem> {
        // The time is that of each event.
        let circumstances = Circumstances { now: Timestamp::from_millis(0), method: "GET", address };
        caller.must_somewhere(RECORDS_READ)?;
        let read = Topic::read(&wanted.topic).ok_or_else(|| {
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
            key: String::new(),
            entry: Arc::clone(entry),
            seen: entry.judges.iter().map(|it| asker.sight.sees(it)).collect(),
            sight: asker.sight.clone(),
            generation: catalogue.generation,
            judge: asker.detached(),
            compiled: None,
            question: None,
            is_of_record_alone: true,
            is_costly: AtomicBool::new(false),
            record: read.record,
            wanted,
        };
        asker.must_be_let(entry, watch.rule(About::Record), if watch.record.is_some() { "read" } else { "list" })?;
        if let Some(filter) = watch.wanted.filter.as_deref() {
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
        let later = watch.condition(circumstances.now.plus(Duration::from_secs(1)), About::Event);
        let Statement { sql, values } = condition.clone().unwrap_or_default();
        watch.is_of_record_alone = !sql.contains("SELECT") && later.unwrap_or_default().values == values;
        let (id, record, seen, delta) = (entry.collection.id, &watch.record, &watch.seen, watch.wanted.delta);
        watch.key = format!("{id} {record:?} {seen:?} {delta} {sql} {values:?}");
        watch.question = condition.map(|it| question(entry, &Columns::whole(entry), it).sql);
        Ok(watch)
    }

    /// The same under the collections as they are now.
    pub fn renewed(&self, catalogue: &Catalogue, caller: &Caller, address: ClientAddress) -> Result<Self, Problem> {
        Self::new(catalogue, caller, address, self.wanted.clone())
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
    pub(super) fn condition(&self, now: Timestamp, about: About) -> Option<Statement> {
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
pub(super) enum About {
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
                telling = telling.of_past(tx)?;
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
