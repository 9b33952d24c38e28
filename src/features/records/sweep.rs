//! Purges what has been in a bin for as long as its collection says.
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::access::Judge;
use super::api::RecordsApi;
use super::audit;
use super::deed::Removing;
use super::error::Error;
use super::store;
use crate::base::{TenantId, Timestamp};
use crate::db::{Class, Tx};
use crate::features::audit::Action;
use crate::features::collections::{Catalogue, Entry, IsOutdated};
use crate::http::etag::IfMatch;
use crate::work::Worker;

/// Records of one transaction.
const BATCH: i64 = 500;
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Empties bins now and then. Safe to run twice, late, or not at all.
pub fn worker(records: RecordsApi, tenant: TenantId) -> Worker {
    Worker::every("records.purge", INTERVAL, move || {
        let (records, tenant) = (records.clone(), tenant.clone());
        async move { records.purge_bins(&tenant).await }
    })
}

impl RecordsApi {
    /// Purges what is due. What others refer to and hold on to stays, and is tried again the next time.
    pub async fn purge_bins(&self, tenant: &TenantId) -> Result<(), Error> {
        let known = self.catalogues.current(tenant).await?;
        for entry in known.entries() {
            let options = &entry.collection.options;
            let Some(days) = options.purge_after_days.filter(|_| options.soft_delete) else { continue };
            let age = Duration::from_secs(u64::from(days) * 24 * 3_600);
            let now = self.clock.now();
            let before = now.minus(age);
            let mut after = String::new();
            loop {
                let (known, entry, from) = (Arc::clone(&known), Arc::clone(entry), after.clone());
                let purge = move |tx: &mut Tx<'_>| purge(tx, &known, &entry, now, before, &from);
                match self.db.write_as(Class::BULK.freeing(), tenant, purge).await {
                    Ok(Some(last)) => after = last,
                    Ok(None) => break,
                    // The next time finds the collections as they are then.
                    Err(error) if error.is_outdated() => return Ok(()),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

/// Purges a batch, and says which record it looked at last, if there may be more.
fn purge(
    tx: &mut Tx<'_>,
    known: &Catalogue,
    entry: &Arc<Entry>,
    now: Timestamp,
    before: Timestamp,
    after: &str,
) -> Result<Option<String>, Error> {
    known.must_be_current(tx)?;
    let ids = store::deleted_before(tx, entry, before, after, BATCH)?;
    let (server, mut count) = (Judge::of_the_server(), 0);
    for id in &ids {
        let purging = Removing::purging(&server, entry, id, now, IfMatch::Any);
        match tx.attempt(|tx| purging.run(tx, known)) {
            Ok(()) => count += 1,
            // It went with another one, or others hold on to it.
            Err(Error::NotFound | Error::InUse | Error::TooDeep | Error::TooManyFollow) => {}
            Err(error) => return Err(error),
        }
    }
    if 0 < count {
        audit::many(tx, entry, now, &server.actor, Action::RecordPurge, json!({ "count": count }))?;
    }
    Ok(ids.last().cloned())
}
