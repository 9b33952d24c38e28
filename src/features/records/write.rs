//! Writing: making, changing and deleting a record, each in one transaction with its rule.
use std::sync::Arc;

use super::access::Asker;
use super::api::RecordsApi;
use super::audit;
use super::body::{self, Meant};
use super::deed::{self, Changing, Deed, Edit, Making, Removing, Restoring};
use super::error::Error;
use super::operations;
use super::relations::Reach;
use super::store::Found;
use crate::db::Tx;
use crate::features::collections::{Catalogue, Entry, Sight};
use crate::http::etag::IfMatch;
use crate::http::input::Patch;
use crate::http::{Caller, Problem};

/// A change of one record, as it is sent.
pub(super) struct Change {
    pub id: String,
    pub body: Result<Patch, Problem>,
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
        let entry = Arc::clone(known.to_write(collection)?);
        asker.must_be_let(&entry, &entry.rules.create, "make")?;
        let bytes = bytes.as_ref().map_err(Problem::clone)?;
        let values = deed::set(body::read(bytes, &entry, Meant::New, &asker.sight)?);
        let making = Making::new(&asker.detached(), &entry, id, self.clock.now(), values);

        self.done(caller, known, &entry, &asker.sight, making).await
    }

    pub(super) async fn change(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        change: Arc<Change>,
    ) -> Result<Found, Error> {
        let entry = Arc::clone(known.to_write(collection)?);
        asker.must_be_let(&entry, &entry.rules.update, "change")?;
        let edit = match change.body.as_ref().map_err(Problem::clone)? {
            Patch::Merge(bytes) => Edit::Values(Arc::new(body::read(bytes, &entry, change.meant, &asker.sight)?)),
            Patch::Operations(bytes) => Edit::Operations(Arc::new(operations::read(bytes, &entry, &asker.sight)?)),
        };
        let (judge, now, expected) = (asker.detached(), self.clock.now(), change.expected.clone());
        let changing = Changing::new(&judge, &entry, &change.id, now, edit, expected);

        self.done(caller, known, &entry, &asker.sight, changing).await
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
        let entry = Arc::clone(known.to_write(collection)?);
        asker.must_be_let(&entry, &entry.rules.delete, "delete")?;
        let (judge, expected) = (asker.detached(), expected.clone());
        let (now, actor) = (self.clock.now(), asker.actor.clone());
        let removing = if is_final {
            Removing::purging(&judge, &entry, id, now, expected)
        } else {
            Removing::new(&judge, &entry, id, now, expected)
        };
        let id = id.to_owned();

        self.db
            .free(asker.caller.tenant(), move |tx| {
                known.must_be_current(tx)?;
                removing.run(tx, &known)?;
                if is_final {
                    audit::purged(tx, &entry, &id, now, &actor)?;
                }
                Ok(())
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
        let entry = Arc::clone(known.to_write(collection)?);
        asker.must_be_let(&entry, &entry.rules.delete, "restore")?;
        asker.must_be_let(&entry, &entry.rules.create, "restore")?;
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

    /// Does what may refer to other records. Which relation refers to nothing, and which other values are taken, is found
    /// out in a transaction of its own: the one that failed is over.
    pub(super) async fn done<D: Deed>(
        &self,
        caller: &Caller,
        known: Arc<Catalogue>,
        entry: &Entry,
        sight: &Sight,
        deed: D,
    ) -> Result<D::Done, Error> {
        let (catalogue, deed) = (Arc::clone(&known), Arc::new(deed));
        let doing = Arc::clone(&deed);
        let write = move |tx: &mut Tx<'_>| {
            catalogue.must_be_current(tx)?;
            doing.run(tx, Reach::of(&catalogue))
        };
        let explain = move |tx: &mut Tx<'_>, error: &Error| {
            known.must_be_current(tx)?;
            match error {
                Error::ValueTaken { fields } => Ok(Error::taken(fields.clone(), deed.taken(tx)?)),
                _ => deed.explain(tx, Reach::of(&known)),
            }
        };
        match self.db.write(caller.tenant(), write).await {
            Err(error @ (Error::RefersToNothing | Error::ValueTaken { .. })) => {
                let told = self.db.read(caller.tenant(), move |tx| explain(tx, &error)).await?;
                Err(told.without_hidden(entry, sight))
            }
            outcome => outcome.map_err(|it| it.without_hidden(entry, sight)),
        }
    }
}
