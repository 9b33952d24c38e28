//! What is done to one record, inside a transaction and with its rule: the only way in which records are made,
//! changed and deleted, whether one request, a batch or a bulk change asks for it.
//!
//! A deed is put together before its transaction, as far as it can be, and may be run again.
use std::sync::Arc;

use super::access::Judge;
use super::audit;
use super::body::{self, Sent, Write};
use super::cascade;
use super::error::Error;
use super::list;
use super::log::{self, Creation, Difference, Followers};
use super::operations::Operations;
use super::projection::Projection;
use super::relations::{self, Known, Reach};
use super::statement::Statement;
use super::store::{self, Found};
use super::validate;
use crate::base::Timestamp;
use crate::db::Tx;
use crate::db::record_tables::quoted;
use crate::features::collections::{Catalogue, Entry, Sight, Stored};
use crate::http::Fault;
use crate::http::etag::IfMatch;

/// The writing of one record, which may refer to others.
pub(super) trait Deed: Send + Sync + 'static {
    type Done: Send + 'static;

    fn run(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Self::Done, Error>;

    /// Says which relation refers to nothing, where `run` found that one does. For a transaction that has not failed.
    fn explain(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Error, Error>;

    /// Every field whose value another record has, where `run` found that one does: an index says it of itself alone.
    /// For a transaction that has not failed.
    fn taken(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, Error>;

    /// Does it within a transaction that goes on if it fails.
    fn attempt(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Self::Done, Error> {
        match tx.attempt(|tx| self.run(tx, reach)) {
            Err(Error::RefersToNothing) => Err(self.explain(tx, reach)?),
            Err(Error::ValueTaken { fields }) => Err(Error::taken(fields, self.taken(tx)?)),
            outcome => outcome,
        }
    }
}

/// A record that is to be made.
pub(super) struct Making {
    entry: Arc<Entry>,
    id: String,
    now: Timestamp,
    judge: Judge,
    relations: Vec<(usize, Stored)>,
    judged: Option<Statement>,
    insertion: Statement,
    /// The values of fields that are unique, alone or with others.
    unique: Vec<(usize, Stored)>,
    lists: Vec<(String, String)>,
    event: Creation,
    answer: Answer,
}

impl Making {
    pub fn new(judge: &Judge, entry: &Arc<Entry>, id: &str, now: Timestamp, values: Vec<(usize, Stored)>) -> Self {
        let mut values = values;
        let answer = Answer::new(judge, entry, id);
        let rule = judge.rule_about(entry, &entry.rules.create, &values);
        body::stamp(&mut values, entry, now, true);
        let judged = rule.map(|it| store::would_be(entry, id, now, &values, it));
        let lists = store::lists(entry, &values);
        let event = Creation::new(entry, now, &values);
        let relations = relations::among(entry, &values);
        let unique = values.iter().filter(|(it, _)| entry.collection.is_in_unique(*it)).cloned().collect();
        let insertion = store::insertion(entry, id, now, values, &answer.returned);
        let (entry, id, judge) = (Arc::clone(entry), id.to_owned(), judge.clone());
        Self { entry, id, now, judge, relations, judged, insertion, unique, lists, event, answer }
    }
}

impl Deed for Making {
    type Done = Found;

    fn run(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Found, Error> {
        // First of all: whether a rule is true, and what else is wrong, would tell of records that the caller may not see,
        // first of those that this one refers to.
        reach.relations(&self.judge, &self.entry).must_be_seen(tx, &Known::new(), &self.relations)?;
        if let Some(judged) = &self.judged {
            tx.find(&judged.sql, &judged.values, |row| row.integer(0))?.ok_or(Error::RuleDenied { rule: "create" })?;
        }
        let made = store::write(tx, &self.entry, &self.insertion, &self.answer.returned)?.ok_or(Error::NotFound)?;
        store::write_lists(tx, &self.id, &self.lists, true)?;
        must_be_valid(tx, &self.entry, &self.id, self.now, &self.judge.sight)?;
        self.event.tell(tx, &self.entry, &self.id, &self.judge.actor)?;
        self.answer.about(tx, made)
    }

    fn explain(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Error, Error> {
        reach.relations(&self.judge, &self.entry).dangling(tx, &Known::new(), &self.relations)
    }

    fn taken(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, Error> {
        Ok(store::taken_by_others(tx, &self.entry, &self.id, &self.unique)?)
    }
}

/// How the new values of a record are told.
#[derive(Clone)]
pub(super) enum Edit {
    Values(Arc<Sent>),
    Operations(Arc<Operations>),
}

/// A record that is to be changed or replaced.
pub(super) struct Changing {
    entry: Arc<Entry>,
    id: String,
    now: Timestamp,
    edit: Edit,
    expected: IfMatch,
    judge: Judge,
    answer: Answer,
}

impl Changing {
    pub fn new(judge: &Judge, entry: &Arc<Entry>, id: &str, now: Timestamp, edit: Edit, expected: IfMatch) -> Self {
        let answer = Answer::new(judge, entry, id);
        Self { entry: Arc::clone(entry), id: id.to_owned(), now, edit, expected, judge: judge.clone(), answer }
    }

    /// The new values, given those that the record has.
    fn values(&self, tx: &mut Tx<'_>) -> Result<Vec<(usize, Stored)>, Error> {
        match &self.edit {
            Edit::Values(sent) => store::resolved(tx, &self.entry, &self.id, &sent.0),
            Edit::Operations(operations) => operations.onto(tx, &self.entry, &self.id, &self.judge),
        }
    }
}

impl Deed for Changing {
    type Done = Found;

    fn run(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Found, Error> {
        let (entry, id) = (&self.entry, &self.id);
        // The rule may ask for the new values, and these may depend on the old ones. What is wrong with
        // them is told only to those whom the rule lets.
        let values = self.values(tx);
        let new = values.as_deref().unwrap_or_default();
        let rule = self.judge.rule_about(entry, &entry.rules.update, new);
        let named = relations::among(entry, new);
        let relations = reach.relations(&self.judge, entry);
        let is_restricted = relations.are_restricted(&named);
        if values.is_err() || is_restricted || self.expected != IfMatch::Any {
            let judged = list::sought(&Projection::default(), entry, id, rule.clone());
            let Some(before) = store::find(tx, &judged, &Projection::default())? else {
                return Err(refusal(tx, &self.judge, entry, id, "update"));
            };
            if !self.expected.allows(before.version) {
                return Err(Error::Stale);
            }
        }
        let mut values = values?;
        if is_restricted {
            let known = relations.known(tx, id, &named)?;
            relations.must_be_seen(tx, &known, &named)?;
        }
        let is_written = !values.is_empty();
        if is_written {
            body::stamp(&mut values, entry, self.now, false);
        }
        let lists = store::lists(entry, &values);
        let is_large = values.iter().any(|(_, it)| store::SMALL_BYTES_MAX < it.bytes());
        let event = Difference::new(tx, entry, id, self.now, &values)?;
        let update = store::change(entry, id, self.now, values, rule, &self.answer.returned);
        match store::write(tx, entry, &update, &self.answer.returned)? {
            Some(changed) => {
                store::write_lists(tx, id, &lists, false)?;
                if is_large {
                    store::must_not_be_too_large(tx, entry, id)?;
                }
                if is_written {
                    must_be_valid(tx, entry, id, self.now, &self.judge.sight)?;
                }
                if let Some(event) = &event {
                    event.tell(tx, entry, id, changed.version, &self.judge.actor)?;
                }
                self.answer.about(tx, changed)
            }
            None => Err(refusal(tx, &self.judge, entry, id, "update")),
        }
    }

    fn explain(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Error, Error> {
        let relations = reach.relations(&self.judge, &self.entry);
        let named = match &self.edit {
            Edit::Values(sent) => named(sent),
            Edit::Operations(_) => self.values(tx)?,
        };
        let known = relations.known(tx, &self.id, &named)?;
        relations.dangling(tx, &known, &named)
    }

    fn taken(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, Error> {
        let values = self.values(tx)?;
        Ok(store::taken_by_others(tx, &self.entry, &self.id, &values)?)
    }
}

/// A record that is to go.
pub(super) struct Removing {
    entry: Arc<Entry>,
    id: String,
    /// Whether it goes for good.
    is_final: bool,
    now: Timestamp,
    expected: IfMatch,
    judge: Judge,
    judged: Statement,
    deletion: Statement,
}

impl Removing {
    /// Deletes it, which puts it into the bin if the collection has one.
    pub fn new(judge: &Judge, entry: &Arc<Entry>, id: &str, now: Timestamp, expected: IfMatch) -> Self {
        let rule = judge.rule(entry, &entry.rules.delete);
        let judged = list::sought(&Projection::default(), entry, id, rule.clone());
        let is_final = !entry.collection.keeps_deleted();
        let deletion =
            if is_final { store::deletion(entry, id, rule) } else { store::discarding(entry, id, now, rule) };
        let (entry, judge) = (Arc::clone(entry), judge.clone());
        Self { entry, id: id.to_owned(), is_final, now, expected, judge, judged, deletion }
    }

    /// Deletes it for good, whether it is in the bin or not. No rule is asked.
    pub fn purging(judge: &Judge, entry: &Arc<Entry>, id: &str, now: Timestamp, expected: IfMatch) -> Self {
        let judged = list::sought_among(&quoted(&entry.rows), &Projection::default(), id, None);
        let deletion = store::deletion(entry, id, None);
        let (entry, judge) = (Arc::clone(entry), judge.clone());
        Self { entry, id: id.to_owned(), is_final: true, now, expected, judge, judged, deletion }
    }

    pub fn run(&self, tx: &mut Tx<'_>, catalogue: &Catalogue) -> Result<(), Error> {
        // What is in the bin is still referred to.
        let is_followed = self.is_final && !catalogue.followers(self.entry.name()).is_empty();
        if self.expected != IfMatch::Any || is_followed {
            let Some(before) = store::find(tx, &self.judged, &Projection::default())? else {
                return Err(refusal(tx, &self.judge, &self.entry, &self.id, "delete"));
            };
            if !self.expected.allows(before.version) {
                return Err(Error::Stale);
            }
        }
        let found =
            if is_followed { cascade::followers(tx, catalogue, self.entry.name(), &self.id)? } else { Vec::new() };
        let followers = Followers::look(tx, found)?;
        let was = log::look(tx, &self.entry, &self.id)?;
        match store::delete(tx, &self.deletion) {
            Err(Error::NotFound) => return Err(refusal(tx, &self.judge, &self.entry, &self.id, "delete")),
            outcome => outcome?,
        }
        if let Some(was) = was {
            log::removed(tx, &self.entry, &self.id, &was, self.now)?;
            audit::removed(tx, &self.entry, &self.id, self.now, &self.judge.actor, &was)?;
        }
        Ok(followers.tell(tx, self.now, &self.judge.actor)?)
    }
}

/// Refuses a record of which something is not true that must be.
fn must_be_valid(tx: &mut Tx<'_>, entry: &Entry, id: &str, now: Timestamp, sight: &Sight) -> Result<(), Error> {
    let faults = validate::faults(tx, entry, id, now, sight)?;
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// A record that is to be taken out of the bin. The rule `delete` lets do it, and so must the rule `create`: what that
/// one keeps within bounds, the bin leads round.
pub(super) struct Restoring {
    entry: Arc<Entry>,
    id: String,
    now: Timestamp,
    judge: Judge,
    /// What finds the record in the bin.
    found: Statement,
    restoration: Statement,
    answer: Answer,
}

impl Restoring {
    pub fn new(judge: &Judge, entry: &Arc<Entry>, id: &str, now: Timestamp) -> Self {
        let answer = Answer::new(judge, entry, id);
        let found = store::in_bin(entry, id, judge.rule(entry, &entry.rules.delete));
        let restoration = store::restoring(entry, id, judge.rule(entry, &entry.rules.delete), &answer.returned);
        let (entry, judge) = (Arc::clone(entry), judge.clone());
        Self { entry, id: id.to_owned(), now, judge, found, restoration, answer }
    }

    pub fn run(&self, tx: &mut Tx<'_>) -> Result<Found, Error> {
        // Only those whom the rule `delete` lets know what is in the bin.
        tx.find(&self.found.sql, &self.found.values, |row| row.integer(0))?.ok_or(Error::NotFound)?;
        if self.judge.rule(&self.entry, &self.entry.rules.create).is_some() {
            let values = store::values_in_bin(tx, &self.entry, &self.id)?;
            let rule = self.judge.rule_about(&self.entry, &self.entry.rules.create, &values).unwrap_or_default();
            let judged = store::would_be_again(&self.entry, &self.id, rule);
            tx.find(&judged.sql, &judged.values, |row| row.integer(0))?.ok_or(Error::RuleDenied { rule: "create" })?;
        }
        let restored = store::write(tx, &self.entry, &self.restoration, &self.answer.returned)?;
        let restored = restored.ok_or(Error::NotFound)?;
        log::restored(tx, &self.entry, &self.id, self.now)?;
        audit::restored(tx, &self.entry, &self.id, self.now, &self.judge.actor)?;
        self.answer.about(tx, restored)
    }
}

/// Why a record was not found to be written: only whoever may view it is told that a rule stands before it.
fn refusal(tx: &mut Tx<'_>, judge: &Judge, entry: &Entry, id: &str, rule: &'static str) -> Error {
    match is_viewed(tx, judge, entry, id) {
        Ok(true) => Error::RuleDenied { rule },
        Ok(false) => Error::NotFound,
        Err(error) => error,
    }
}

/// Whether the rule `view` lets the caller see a record.
pub(super) fn is_viewed(tx: &mut Tx<'_>, judge: &Judge, entry: &Entry, id: &str) -> Result<bool, Error> {
    let viewed = list::sought(&Projection::default(), entry, id, judge.rule(entry, &entry.rules.view));
    Ok(store::find(tx, &viewed, &Projection::default())?.is_some())
}

/// What whoever wrote a record is shown of it: all that they may read, or only that it is there.
struct Answer {
    /// What the statement that writes returns.
    returned: Projection,
    /// What else to ask for, where the rule `view` depends on the record or on who asks, or where the record is more
    /// than one row.
    judged: Option<(Statement, Projection)>,
}

impl Answer {
    fn new(judge: &Judge, entry: &Entry, id: &str) -> Self {
        let whole = Projection::whole(entry, &judge.sight);
        match judge.rule(entry, &entry.rules.view) {
            None if whole.is_of_one_row() => Self { returned: whole, judged: None },
            None => {
                let seen = list::sought(&whole, entry, id, None);
                Self { returned: Projection::bare(), judged: Some((seen, whole)) }
            }
            Some(rule) => {
                let seen = list::sought(&whole, entry, id, Some(rule));
                Self { returned: Projection::bare(), judged: Some((seen, whole)) }
            }
        }
    }

    fn about(&self, tx: &mut Tx<'_>, written: Found) -> Result<Found, Error> {
        let Some((seen, whole)) = &self.judged else { return Ok(written) };
        Ok(store::find(tx, seen, whole)?.unwrap_or(written))
    }
}

/// The values of a record that is to be made: what operators make of the defaults, and defaults for what is absent.
pub(super) fn completed(entry: &Entry, sent: &Sent) -> Result<Vec<(usize, Stored)>, Error> {
    let (mut values, mut faults) = (Vec::with_capacity(entry.judges.len()), Vec::new());
    for (position, judge) in entry.judges.iter().enumerate() {
        let write = sent.0.iter().find(|(it, _)| *it == position).map(|(_, write)| write);
        match write {
            Some(write) => match write.onto(judge, &judge.default) {
                Ok(value) => values.push((position, value)),
                Err((code, detail)) => faults.push(Fault::new(body::pointer(&judge.field.name), code, detail)),
            },
            None if judge.default == Stored::Null && judge.field.required => {
                faults.push(Fault::new(body::pointer(&judge.field.name), "required", "must be given"));
            }
            None => values.push((position, judge.default.clone())),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(Error::Invalid(faults)) }
}

/// The values that are set as they were sent.
pub(super) fn set(sent: Sent) -> Vec<(usize, Stored)> {
    let is_set = |(position, write)| match write {
        Write::Set(value) => Some((position, value)),
        _ => None,
    };
    sent.0.into_iter().filter_map(is_set).collect()
}

/// The values that relations could refer to nothing by: those that are set, and those that are added to lists.
fn named(sent: &Sent) -> Vec<(usize, Stored)> {
    let named = |(position, write): &(usize, Write)| match write {
        Write::Set(value) => Some((*position, value.clone())),
        Write::Add(items) => Some((*position, Stored::Text(serde_json::Value::from(items.clone()).to_string()))),
        _ => None,
    };
    sent.0.iter().filter_map(named).collect()
}
