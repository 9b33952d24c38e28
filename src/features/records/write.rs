//! Writing: making, changing and deleting a record, each in one transaction with its rule.
use std::sync::Arc;

use super::access::{Asker, Judge};
use super::api::RecordsApi;
use super::body::{self, Meant, Sent};
use super::cascade;
use super::error::Error;
use super::list;
use super::projection::Projection;
use super::statement::Statement;
use super::store::{self, ALIAS, Found};
use super::validate;
use crate::base::Timestamp;
use crate::db::Tx;
use crate::features::collections::{self, Catalogue, Entry, Sight, Stored};
use crate::http::etag::IfMatch;
use crate::http::{Caller, Problem};

/// A change of one record, as it is sent.
pub(super) struct Change {
    pub id: String,
    pub bytes: Result<Vec<u8>, Problem>,
    pub expected: IfMatch,
    pub meant: Meant,
}

impl RecordsApi {
    pub(super) async fn make(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        bytes: &Result<Vec<u8>, Problem>,
        id: &str,
    ) -> Result<Found, Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        asker.must_be_let(&entry, &entry.rules.create, "make")?;
        let bytes = bytes.as_ref().map_err(Problem::clone)?;
        let mut values = set(body::read(bytes, &entry, Meant::New, &asker.sight)?);
        let now = self.clock.now();
        let answer = Answer::new(asker, &entry, id);
        let rule = asker.rule_about(&entry, &entry.rules.create, &values);
        body::stamp(&mut values, &entry, now, true);
        let judged = rule.map(|it| store::would_be(&entry, id, now, &values, it));
        let lists = store::lists(&entry, &values);
        let insertion = store::insertion(&entry, id, now, values, &answer.returned);

        let sight = asker.sight.clone();
        let (target, catalogue, id) = (Arc::clone(&entry), Arc::clone(&known), id.to_owned());
        let outcome = self
            .db
            .write(caller.tenant(), move |tx| {
                catalogue.must_be_current(tx)?;
                // First of all: what else is wrong would tell of records that the caller may not see.
                if let Some(judged) = &judged {
                    tx.find(&judged.sql, &judged.values, |row| row.integer(0))?
                        .ok_or(Error::RuleDenied { rule: "create" })?;
                }
                let made = store::write(tx, &target, &insertion, &answer.returned)?.ok_or(Error::NotFound)?;
                store::write_lists(tx, &id, &lists, true)?;
                must_be_valid(tx, &target, &id, now, &sight)?;
                answer.about(tx, made)
            })
            .await;
        match outcome {
            Err(Error::RefersToNothing) => {
                let values = set(body::read(bytes, &entry, Meant::New, &asker.sight)?);
                Err(self.explained(caller, known, entry, values).await?)
            }
            outcome => outcome.map_err(|it| it.without_hidden(&entry, &asker.sight)),
        }
    }

    pub(super) async fn change(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        change: Arc<Change>,
    ) -> Result<Found, Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        asker.must_be_let(&entry, &entry.rules.update, "change")?;
        let bytes = change.bytes.as_ref().map_err(Problem::clone)?;
        let sent = Arc::new(body::read(bytes, &entry, change.meant, &asker.sight)?);
        let now = self.clock.now();
        let answer = Answer::new(asker, &entry, &change.id);
        let (judge, sight) = (asker.detached(), asker.sight.clone());

        let (target, catalogue, writes) = (Arc::clone(&entry), Arc::clone(&known), Arc::clone(&sent));
        let outcome = self
            .db
            .write(caller.tenant(), move |tx| {
                catalogue.must_be_current(tx)?;
                // The rule may ask for the new values, and these may depend on the old ones. What is wrong with
                // them is told only to those whom the rule lets.
                let values = store::resolved(tx, &target, &change.id, &writes.0);
                let new = values.as_deref().unwrap_or_default();
                let rule = judge.rule_about(&target, &target.rules.update, new);
                if values.is_err() || change.expected != IfMatch::Any {
                    let judged = list::sought(&Projection::default(), &target, &change.id, rule.clone());
                    let Some(before) = store::find(tx, &judged, &Projection::default())? else {
                        return Err(refusal(tx, &judge, &target, &change.id, "update"));
                    };
                    if !change.expected.allows(before.version) {
                        return Err(Error::Stale);
                    }
                }
                let mut values = values?;
                if !values.is_empty() {
                    body::stamp(&mut values, &target, now, false);
                }
                let (lists, is_written) = (store::lists(&target, &values), !values.is_empty());
                let is_large = values.iter().any(|(_, it)| store::SMALL_BYTES_MAX < it.bytes());
                let update = store::change(&target, &change.id, now, values, rule, &answer.returned);
                match store::write(tx, &target, &update, &answer.returned)? {
                    Some(changed) => {
                        if is_large {
                            store::must_not_be_too_large(tx, &target, &change.id)?;
                        }
                        store::write_lists(tx, &change.id, &lists, false)?;
                        if is_written {
                            must_be_valid(tx, &target, &change.id, now, &sight)?;
                        }
                        answer.about(tx, changed)
                    }
                    None => Err(refusal(tx, &judge, &target, &change.id, "update")),
                }
            })
            .await;
        match outcome {
            Err(Error::RefersToNothing) => Err(self.explained(caller, known, entry, named(&sent)).await?),
            outcome => outcome.map_err(|it| it.without_hidden(&entry, &asker.sight)),
        }
    }

    pub(super) async fn remove(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        id: &str,
        expected: &IfMatch,
    ) -> Result<(), Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        asker.must_be_let(&entry, &entry.rules.delete, "delete")?;
        let rule = asker.rule(&entry.rules.delete, ALIAS);
        let judged = list::sought(&Projection::default(), &entry, id, rule.clone());
        let deletion = store::deletion(&entry, id, rule);

        let is_followed = !known.followers(entry.name()).is_empty();
        let (expected, judge, id) = (expected.clone(), asker.detached(), id.to_owned());
        self.db
            .free(caller.tenant(), move |tx| {
                known.must_be_current(tx)?;
                if expected != IfMatch::Any || is_followed {
                    let Some(before) = store::find(tx, &judged, &Projection::default())? else {
                        return Err(refusal(tx, &judge, &entry, &id, "delete"));
                    };
                    if !expected.allows(before.version) {
                        return Err(Error::Stale);
                    }
                    cascade::must_not_be_too_large(tx, &known, &entry, &id)?;
                }
                match store::delete(tx, &deletion) {
                    Err(Error::NotFound) => Err(refusal(tx, &judge, &entry, &id, "delete")),
                    outcome => outcome,
                }
            })
            .await
    }

    /// Finds out which relation refers to nothing, in a transaction of its own: the one that failed is over.
    async fn explained(
        &self,
        caller: &Caller,
        known: Arc<Catalogue>,
        entry: Arc<Entry>,
        values: Vec<(usize, Stored)>,
    ) -> Result<Error, Error> {
        let look = move |tx: &mut Tx<'_>| {
            known.must_be_current(tx)?;
            Ok::<_, Error>(store::dangling(tx, &entry, &values)?)
        };
        Ok(match self.db.read(caller.tenant(), look).await? {
            // It was made meanwhile, or something else was dropped: trying again tells.
            faults if faults.is_empty() => collections::Error::Outdated.into(),
            faults => Error::Invalid(faults),
        })
    }
}

/// Refuses a record of which something is not true that must be.
fn must_be_valid(tx: &mut Tx<'_>, entry: &Entry, id: &str, now: Timestamp, sight: &Sight) -> Result<(), Error> {
    let faults = validate::faults(tx, entry, id, now, sight)?;
    if faults.is_empty() { Ok(()) } else { Err(Error::Invalid(faults)) }
}

/// Why a record was not found to be written: only whoever may view it is told that a rule stands before it.
fn refusal(tx: &mut Tx<'_>, judge: &Judge, entry: &Entry, id: &str, rule: &'static str) -> Error {
    let viewed = list::sought(&Projection::default(), entry, id, judge.rule(&entry.rules.view));
    match store::find(tx, &viewed, &Projection::default()) {
        Ok(Some(_)) => Error::RuleDenied { rule },
        Ok(None) => Error::NotFound,
        Err(error) => error.into(),
    }
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
    fn new(asker: &Asker<'_>, entry: &Entry, id: &str) -> Self {
        let whole = Projection::whole(entry, &asker.sight);
        match asker.rule(&entry.rules.view, ALIAS) {
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

/// The values that are set as they were sent.
fn set(sent: Sent) -> Vec<(usize, Stored)> {
    let is_set = |(position, write)| match write {
        body::Write::Set(value) => Some((position, value)),
        _ => None,
    };
    sent.0.into_iter().filter_map(is_set).collect()
}

/// The values that relations could refer to nothing by: those that are set, and those that are added to lists.
fn named(sent: &Sent) -> Vec<(usize, Stored)> {
    let named = |(position, write): &(usize, body::Write)| match write {
        body::Write::Set(value) => Some((*position, value.clone())),
        body::Write::Add(items) => Some((*position, Stored::Text(serde_json::Value::from(items.clone()).to_string()))),
        _ => None,
    };
    sent.0.iter().filter_map(named).collect()
}
