//! Making a record or writing the one that is there, found by values that no two records share.
//!
//! Whoever does not see the record that is there is answered as if it were not: they are about to make one, the rule
//! `create` is asked, and what a value is taken by is told as to anyone who makes one.
use std::sync::Arc;

use super::access::Judge;
use super::api::RecordsApi;
use super::body::{self, Meant, Sent, Write};
use super::deed::{self, Changing, Deed, Edit, Making};
use super::error::Error;
use super::relations::Reach;
use super::store::{self, Found};
use crate::base::Timestamp;
use crate::db::Tx;
use crate::features::collections::{Catalogue, Entry, Rule, Sight, Stored};
use crate::http::etag::IfMatch;
use crate::http::{Caller, Fault, Problem};

/// A record that is to be there, as it is sent.
pub(super) struct Wanted {
    /// The id that it gets if it is not there yet.
    pub id: String,
    /// The fields that find it, with commas between.
    pub by: String,
    pub bytes: Result<Vec<u8>, Problem>,
    pub expected: IfMatch,
    pub meant: Meant,
}

/// What became of it.
#[derive(Debug)]
pub(super) struct Upserted {
    pub id: String,
    pub found: Found,
    /// Whether it was not there before.
    pub is_new: bool,
}

/// A record that is to be made or written.
pub(super) struct Upserting {
    entry: Arc<Entry>,
    /// The id of a new one.
    id: String,
    now: Timestamp,
    /// What finds it.
    by: Vec<(usize, Stored)>,
    sent: Arc<Sent>,
    expected: IfMatch,
    judge: Judge,
}

impl RecordsApi {
    pub(super) async fn upsert(
        &self,
        caller: &Caller,
        judge: &Judge,
        known: Arc<Catalogue>,
        collection: &str,
        wanted: Arc<Wanted>,
    ) -> Result<Upserted, Error> {
        let entry = Arc::clone(known.to_write(collection)?);
        must_be_let_somehow(judge, &entry)?;
        let bytes = wanted.bytes.as_ref().map_err(Problem::clone)?;
        let by = positions(&wanted.by, &entry, &judge.sight)?;
        let sent = Arc::new(body::read(bytes, &entry, wanted.meant, &judge.sight)?);
        let (now, expected) = (self.clock.now(), wanted.expected.clone());
        let upserting = Upserting::new(judge, &entry, &wanted.id, now, &by, sent, expected)?;

        self.done(caller, known, &entry, &judge.sight, upserting).await
    }
}

/// Refuses whoever may neither make nor change any record, before anything else is looked at.
pub(super) fn must_be_let_somehow(judge: &Judge, entry: &Entry) -> Result<(), Problem> {
    let rule = if entry.rules.update == Rule::Admins { &entry.rules.create } else { &entry.rules.update };
    judge.must_be_let(entry, rule, "make or change")
}

/// The fields that `by` names, which no two records have the same values of.
pub(super) fn positions(by: &str, entry: &Entry, sight: &Sight) -> Result<Vec<usize>, Error> {
    let names: Vec<&str> = by.split(',').map(str::trim).collect();
    let seen = |name: &str| entry.field(name).filter(|(_, it)| sight.sees(it));
    let refuse = |code, detail: String| Err(Error::Invalid(vec![Fault::new("?by", code, detail)]));
    let mut found = Vec::new();
    for name in &names {
        match seen(name) {
            Some((position, _)) => found.push(position),
            None => {
                let name: String = name.chars().take(100).collect();
                return refuse("unknown", format!("`{name}` is no field of this collection"));
            }
        }
    }
    let is_same =
        |fields: &Vec<String>| fields.len() == names.len() && fields.iter().all(|it| names.contains(&it.as_str()));
    if entry.collection.unique_fields().iter().any(is_same) {
        return Ok(found);
    }
    refuse("not-unique", "must be a field that is unique, or the fields of a unique index".to_owned())
}

impl Upserting {
    pub fn new(
        judge: &Judge,
        entry: &Arc<Entry>,
        id: &str,
        now: Timestamp,
        by: &[usize],
        sent: Arc<Sent>,
        expected: IfMatch,
    ) -> Result<Self, Error> {
        let (mut values, mut faults) = (Vec::new(), Vec::new());
        for position in by {
            let write = sent.0.iter().find(|(it, _)| it == position).map(|(_, write)| write);
            let at = || body::pointer(&entry.judges[*position].field.name);
            match write {
                Some(Write::Set(value)) if *value != Stored::Null => values.push((*position, value.clone())),
                None | Some(Write::Set(_)) => {
                    faults.push(Fault::new(at(), "required", "must be given: `by` finds the record by it"));
                }
                Some(_) => faults.push(Fault::new(at(), "operator", "must be a value: `by` finds the record by it")),
            }
        }
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let (entry, judge, id) = (Arc::clone(entry), judge.clone(), id.to_owned());
        Ok(Self { entry, id, now, by: values, sent, expected, judge })
    }

    /// The change of the record that is there, by its id.
    fn changing(&self, id: &str) -> Changing {
        Changing::new(
            &self.judge,
            &self.entry,
            id,
            self.now,
            Edit::Values(Arc::clone(&self.sent)),
            self.expected.clone(),
        )
    }

    fn making(&self) -> Result<Making, Error> {
        let values = deed::completed(&self.entry, &self.sent)?;
        Ok(Making::new(&self.judge, &self.entry, &self.id, self.now, values))
    }
}

impl Deed for Upserting {
    type Done = Upserted;

    fn run(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Upserted, Error> {
        if let Some(id) = store::having(tx, &self.entry, &self.by)? {
            if deed::is_viewed(tx, &self.judge, &self.entry, &id)? {
                self.judge.must_be_let(&self.entry, &self.entry.rules.update, "change")?;
            }
            match self.changing(&id).run(tx, reach) {
                Ok(found) => return Ok(Upserted { id, found, is_new: false }),
                // For this caller it is not there.
                Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        self.judge.must_be_let(&self.entry, &self.entry.rules.create, "make")?;
        if self.expected != IfMatch::Any {
            return Err(Error::Stale);
        }
        let found = self.making()?.run(tx, reach)?;
        Ok(Upserted { id: self.id.clone(), found, is_new: true })
    }

    fn explain(&self, tx: &mut Tx<'_>, reach: Reach<'_>) -> Result<Error, Error> {
        match store::having(tx, &self.entry, &self.by)? {
            Some(id) => self.changing(&id).explain(tx, reach),
            None => self.making()?.explain(tx, reach),
        }
    }

    fn taken(&self, tx: &mut Tx<'_>) -> Result<Vec<String>, Error> {
        match store::having(tx, &self.entry, &self.by)? {
            Some(id) => self.changing(&id).taken(tx),
            None => self.making()?.taken(tx),
        }
    }
}
