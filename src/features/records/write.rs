//! Writing: making, changing and deleting a record, each in one transaction with its rule.
use std::sync::Arc;

use super::access::Asker;
use super::api::RecordsApi;
use super::body::{self, Meant};
use super::deed::{self, Changing, Making, Removing, Restoring};
use super::error::Error;
use super::store::{self, Found};
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
        let values = deed::set(body::read(bytes, &entry, Meant::New, asker.sees_hidden)?);
        let making = Making::new(&asker.detached(), &entry, id, self.clock.now(), values);

        let catalogue = Arc::clone(&known);
        let outcome = self
            .db
            .write(caller.tenant(), move |tx| {
                catalogue.must_be_current(tx)?;
                making.run(tx)
            })
            .await;
        match outcome {
            Err(Error::RefersToNothing) => {
                let values = deed::set(body::read(bytes, &entry, Meant::New, asker.sees_hidden)?);
                Err(self.explained(caller, known, entry, values).await?)
            }
            outcome => outcome.map_err(|it| it.without_hidden(&entry, asker.sees_hidden)),
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
        let sent = Arc::new(body::read(bytes, &entry, change.meant, asker.sees_hidden)?);
        let (judge, now, expected) = (asker.detached(), self.clock.now(), change.expected.clone());
        let changing = Changing::new(&judge, &entry, &change.id, now, Arc::clone(&sent), expected);

        let catalogue = Arc::clone(&known);
        let outcome = self
            .db
            .write(caller.tenant(), move |tx| {
                catalogue.must_be_current(tx)?;
                changing.run(tx)
            })
            .await;
        match outcome {
            Err(Error::RefersToNothing) => Err(self.explained(caller, known, entry, deed::named(&sent)).await?),
            outcome => outcome.map_err(|it| it.without_hidden(&entry, asker.sees_hidden)),
        }
    }

    pub(super) async fn remove(
        &self,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        id: &str,
        expected: &IfMatch,
        is_final: bool,
    ) -> Result<(), Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        asker.must_be_let(&entry, &entry.rules.delete, "delete")?;
        let (judge, expected) = (asker.detached(), expected.clone());
        let now = self.clock.now();
        let removing = if is_final {
            Removing::purging(&judge, &entry, id, now, expected)
        } else {
            Removing::new(&judge, &entry, id, now, expected)
        };

        self.db
            .free(asker.caller.tenant(), move |tx| {
                known.must_be_current(tx)?;
                removing.run(tx, &known)
            })
            .await
    }

    /// Takes a record out of the bin.
    pub(super) async fn restore(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        id: &str,
    ) -> Result<Found, Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        asker.must_be_let(&entry, &entry.rules.delete, "restore")?;
        if !entry.collection.keeps_deleted() {
            return Err(Error::NotFound);
        }
        let restoring = Restoring::new(&asker.detached(), &entry, id, self.clock.now());

        self.db
            .write(caller.tenant(), move |tx| {
                known.must_be_current(tx)?;
                restoring.run(tx)
            })
            .await
    }

    /// Finds out which relation refers to nothing, in a transaction of its own: the one that failed is over.
    pub(super) async fn explained(
        &self,
        caller: &Caller,
        known: Arc<Catalogue>,
        entry: Arc<Entry>,
        values: Vec<(usize, Stored)>,
    ) -> Result<Error, Error> {
        let look = move |tx: &mut Tx<'_>| {
            known.must_be_current(tx)?;
            dangling(tx, &entry, &values)
        };
        self.db.read(caller.tenant(), look).await
    }
}

/// Which of some values refer to nothing.
pub(super) fn dangling(tx: &mut Tx<'_>, entry: &Entry, values: &[(usize, Stored)]) -> Result<Error, Error> {
    Ok(match store::dangling(tx, entry, values)? {
        // It was made meanwhile, or something else was dropped: trying again tells.
        faults if faults.is_empty() => collections::Error::Outdated.into(),
        faults => Error::Invalid(faults),
    })
}
