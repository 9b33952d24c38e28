//! What a record may refer to: records that are there, and that whoever writes it may see.
//!
//! Foreign keys see to the first. Without the second, whoever may write a relation could find out which records there
//! are that they do not see, and keep one from being deleted where its collection says `restrict`. So what the caller
//! does not see is refused in the same words as what is not there.
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::access::Judge;
use super::body;
use super::error::Error;
use super::list;
use super::projection::Projection;
use super::store;
use crate::db::record_tables::quoted;
use crate::db::{self, Tx};
use crate::features::collections::{self, Catalogue, Entry, FieldType, LIVE_USERS, Stored, USERS, target_table};
use crate::http::{Fault, problem};

/// Within what a write looks for the records that it refers to.
#[derive(Clone, Copy)]
pub(super) struct Reach<'a> {
    pub catalogue: &'a Catalogue,
    /// Records that the same request made before. It may refer to them, seen or not.
    pub made: &'a [String],
}

/// The relations that some record had before, each as a position and an id. They may stay.
pub(super) type Known = HashSet<(usize, String)>;

/// The relations of one record, and who writes them.
pub(super) struct Relations<'a> {
    reach: Reach<'a>,
    judge: &'a Judge,
    entry: &'a Entry,
}

impl<'a> Reach<'a> {
    pub fn of(catalogue: &'a Catalogue) -> Self {
        Self { catalogue, made: &[] }
    }

    pub fn relations(self, judge: &'a Judge, entry: &'a Entry) -> Relations<'a> {
        Relations { reach: self, judge, entry }
    }
}

impl Relations<'_> {
    /// What a record refers to by the fields that are to be written, as far as the caller sees it.
    pub fn known(&self, tx: &mut Tx<'_>, id: &str, values: &[(usize, Stored)]) -> Result<Known, db::Error> {
        let is_kept = |it: &usize| self.judge.sight.sees(&self.entry.judges[*it]) && self.is_restricted(*it);
        let positions: Vec<usize> = values.iter().map(|(position, _)| *position).filter(is_kept).collect();
        if positions.is_empty() {
            return Ok(Known::new());
        }
        let old = store::values(tx, self.entry, id, &positions)?;
        let ids = positions.iter().zip(&old).flat_map(|(position, value)| {
            referred(self.entry, *position, value).into_iter().map(|id| (*position, id.into_owned()))
        });
        Ok(ids.collect())
    }

    /// Whether more is asked of some of the values than what foreign keys see.
    pub fn are_restricted(&self, values: &[(usize, Stored)]) -> bool {
        values.iter().any(|(position, _)| self.is_restricted(*position))
    }

    /// Refuses values of which more is asked than what foreign keys see, and that refer to something that the caller
    /// does not see. Asked before anything is written or judged by what is there.
    pub fn must_be_seen(&self, tx: &mut Tx<'_>, known: &Known, values: &[(usize, Stored)]) -> Result<(), Error> {
        for (position, value) in values.iter().filter(|(it, _)| self.is_restricted(*it)) {
            for id in referred(self.entry, *position, value) {
                if !self.is_there(tx, known, *position, &id)? {
                    return Err(Error::RefersToNothing);
                }
            }
        }
        Ok(())
    }

    /// Which of some values refer to nothing, for whoever writes them.
    pub fn dangling(&self, tx: &mut Tx<'_>, known: &Known, values: &[(usize, Stored)]) -> Result<Error, Error> {
        let mut faults = Vec::new();
        for (position, value) in values {
            for id in referred(self.entry, *position, value) {
                if !self.is_there(tx, known, *position, &id)? {
                    faults.push(fault(self.entry, *position, &id));
                }
            }
        }
        faults.truncate(problem::FAULTS_MAX);
        // It was made meanwhile, or something else was dropped: trying again tells.
        Ok(if faults.is_empty() { collections::Error::Outdated.into() } else { Error::Invalid(faults) })
    }

    fn target(&self, position: usize) -> Option<&Arc<Entry>> {
        self.reach.catalogue.find(self.entry.judges[position].field.collection.as_deref()?)
    }

    /// Whether it refers to people, who are no collection.
    fn is_to_people(&self, position: usize) -> bool {
        self.entry.judges[position].field.collection.as_deref() == Some(USERS)
    }

    /// Whether more is asked of a relation than what foreign keys see: a rule, or that it is not in the bin.
    fn is_restricted(&self, position: usize) -> bool {
        if self.is_to_people(position) {
            return true;
        }
        let is_restricted =
            |it: &Arc<Entry>| it.collection.keeps_deleted() || !self.judge.is_let_always(it, &it.rules.view);
        self.target(position).is_some_and(is_restricted)
    }

    fn is_there(&self, tx: &mut Tx<'_>, known: &Known, position: usize, id: &str) -> Result<bool, db::Error> {
        let is_known = || known.contains(&(position, id.to_owned())) || self.reach.made.iter().any(|it| it == id);
        if self.is_to_people(position) && !is_known() {
            let sql = format!("SELECT 1 FROM {LIVE_USERS} WHERE id = $1");
            return Ok(tx.find(&sql, &[id.into()], |row| row.integer(0))?.is_some());
        }
        let Some(target) = self.target(position).filter(|_| !is_known()) else {
            return Ok(missing(tx, self.entry, position, id)?.is_none());
        };
        let sought = list::sought(&Projection::default(), target, id, self.judge.rule(target, &target.rules.view));
        Ok(store::find(tx, &sought, &Projection::default())?.is_some())
    }
}

/// The relations among the values of a record.
pub(super) fn among(entry: &Entry, values: &[(usize, Stored)]) -> Vec<(usize, Stored)> {
    let is_relation = |it: &&(usize, Stored)| entry.judges[it.0].field.field_type == FieldType::Relation;
    values.iter().filter(is_relation).cloned().collect()
}

/// The ids that a value of a relation names.
pub(super) fn referred<'a>(entry: &Entry, position: usize, value: &'a Stored) -> Vec<Cow<'a, str>> {
    let judge = &entry.judges[position];
    match value {
        Stored::Text(ids) if judge.member.join.is_some() => {
            serde_json::from_str::<Vec<String>>(ids).unwrap_or_default().into_iter().map(Cow::Owned).collect()
        }
        Stored::Text(id) if judge.field.field_type == FieldType::Relation => vec![Cow::Borrowed(id)],
        _ => Vec::new(),
    }
}

/// What is wrong with a relation to a record that is not there at all, whoever asks.
pub(super) fn missing(tx: &mut Tx<'_>, entry: &Entry, position: usize, id: &str) -> Result<Option<Fault>, db::Error> {
    let Some(target) = &entry.judges[position].field.collection else { return Ok(None) };
    let sql = format!("SELECT 1 FROM {} WHERE id = $1", quoted(&target_table(target)));
    let found = tx.find(&sql, &[id.into()], |row| row.integer(0))?;
    Ok(found.is_none().then(|| fault(entry, position, id)))
}

fn fault(entry: &Entry, position: usize, id: &str) -> Fault {
    let field = &entry.judges[position].field;
    let target = field.collection.as_deref().unwrap_or_default();
    let detail = match field.is_multiple() {
        true => format!("refers to `{id}`, which is not in `{target}`"),
        false => format!("refers to nothing in `{target}`"),
    };
    Fault::new(body::pointer(&field.name), "no-such-record", detail)
}
