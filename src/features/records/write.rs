//! Writing: making, changing and deleting a record, each in one transaction with its rule.
use std::sync::Arc;

use super::access::Asker;
use super::api::RecordsApi;
use super::body::{self, Meant, Sent};
use super::error::Error;
use super::list;
use super::projection::Projection;
use super::statement::Statement;
use super::store::{self, ALIAS, Found};
use crate::db::Tx;
use crate::features::collections::{self, Catalogue, Entry, Stored};
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
        let sent = body::read(bytes, &entry, Meant::New, asker.sees_hidden)?;
        let values = set(sent);
        let now = self.clock.now();
        let rule = asker.rule_about(&entry.rules.create, &named(&entry, &values));
        let judged = rule.map(|rule| store::would_be(&entry, id, now, &values, rule));
        let answer = Answer::new(asker, &entry, id);

        let (tenant, id) = (caller.tenant(), id.to_owned());
        let (written, target, catalogue) = (values.clone(), Arc::clone(&entry), Arc::clone(&known));
        let outcome = self
            .db
            .write(tenant, move |tx| {
                catalogue.must_be_current(tx)?;
                // First of all: what else is wrong would tell of records that the caller may not see.
                if let Some(judged) = &judged
                    && tx.find(&judged.sql, &judged.values, |row| row.integer(0))?.is_none()
                {
                    return Err(Error::RuleDenied);
                }
                store::insert(tx, &target, &id, now, &written)?;
                answer.read(tx)
            })
            .await;
        let outcome = outcome.map_err(|it| it.without_hidden(&entry, asker.sees_hidden));
        self.explain(caller, outcome, known, entry, values).await
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
        let sent = body::read(bytes, &entry, change.meant, asker.sees_hidden)?;
        let now = self.clock.now();
        let answer = Answer::new(asker, &entry, &change.id);
        let sees_hidden = asker.sees_hidden;
        let asker = asker.detached();

        let absolute = set(Sent(sent.0.clone()));
        let (target, catalogue) = (Arc::clone(&entry), Arc::clone(&known));
        let outcome = self
            .db
            .write(caller.tenant(), move |tx| {
                catalogue.must_be_current(tx)?;
                // The rule may ask for the new values, and these may depend on the old ones. What is wrong with
                // them is told only to those whom the rule lets.
                let values = store::resolved(tx, &target, &change.id, &sent.0);
                let new = values.as_ref().map(|it| named(&target, it)).unwrap_or_default();
                let mut judged = list::one(&Projection::default(), &target, Statement::default(), false);
                list::seek(&mut judged, &change.id, asker.rule_about(&target.rules.update, &new));
                let before = store::find(tx, &judged, &Projection::default())?.ok_or(Error::NotFound)?;
                if !change.expected.allows(before.version) {
                    return Err(Error::Stale);
                }
                let values = values?;
                if !values.is_empty() {
                    store::update(tx, &target, &change.id, now, &values)?;
                }
                answer.read(tx)
            })
            .await;
        let outcome = outcome.map_err(|it| it.without_hidden(&entry, sees_hidden));
        self.explain(caller, outcome, known, entry, absolute).await
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
        let mut judged = list::one(&Projection::default(), &entry, Statement::default(), false);
        list::seek(&mut judged, id, asker.rule(&entry.rules.delete, ALIAS));

        let (id, expected) = (id.to_owned(), expected.clone());
        self.db
            .free(caller.tenant(), move |tx| {
                known.must_be_current(tx)?;
                let before = store::find(tx, &judged, &Projection::default())?.ok_or(Error::NotFound)?;
                if !expected.allows(before.version) {
                    return Err(Error::Stale);
                }
                store::delete(tx, &entry, &id)
            })
            .await
    }

    /// Finds out which relation refers to nothing, in a transaction of its own: the one that failed is over.
    async fn explain(
        &self,
        caller: &Caller,
        outcome: Result<Found, Error>,
        known: Arc<Catalogue>,
        entry: Arc<Entry>,
        values: Vec<(usize, Stored)>,
    ) -> Result<Found, Error> {
        if !matches!(outcome, Err(Error::RefersToNothing)) {
            return outcome;
        }
        let look = move |tx: &mut Tx<'_>| {
            known.must_be_current(tx)?;
            Ok::<_, Error>(store::dangling(tx, &entry, &values)?)
        };
        match self.db.read(caller.tenant(), look).await? {
            // It was made meanwhile, or something else was dropped: trying again tells.
            faults if faults.is_empty() => Err(collections::Error::Outdated.into()),
            faults => Err(Error::Invalid(faults)),
        }
    }
}

/// What whoever wrote a record is shown of it: all that they may read, or only that it is there.
#[derive(Clone)]
struct Answer {
    seen: Statement,
    seen_projection: Projection,
    bare: Statement,
    bare_projection: Projection,
}

impl Answer {
    fn new(asker: &Asker<'_>, entry: &Entry, id: &str) -> Self {
        let seen_projection = Projection::whole(entry, asker.sees_hidden);
        let mut seen = list::one(&seen_projection, entry, Statement::default(), false);
        list::seek(&mut seen, id, asker.rule(&entry.rules.view, ALIAS));
        let mut bare_projection = Projection::whole(entry, false);
        bare_projection.keep(&["id", "createdAt", "updatedAt"]);
        let mut bare = list::one(&bare_projection, entry, Statement::default(), false);
        list::seek(&mut bare, id, None);
        Self { seen, seen_projection, bare, bare_projection }
    }

    fn read(&self, tx: &mut Tx<'_>) -> Result<Found, Error> {
        if let Some(found) = store::find(tx, &self.seen, &self.seen_projection)? {
            return Ok(found);
        }
        store::find(tx, &self.bare, &self.bare_projection)?.ok_or(Error::NotFound)
    }
}

/// Values by the names of their fields.
fn named(entry: &Entry, values: &[(usize, Stored)]) -> Vec<(String, Stored)> {
    values.iter().map(|(position, value)| (entry.judges[*position].field.name.clone(), value.clone())).collect()
}

/// The values that are set as they were sent.
fn set(sent: Sent) -> Vec<(usize, Stored)> {
    let is_set = |(position, write)| match write {
        body::Write::Set(value) => Some((position, value)),
        _ => None,
    };
    sent.0.into_iter().filter_map(is_set).collect()
}
