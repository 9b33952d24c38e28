//! Removes jobs that ended long ago.
use std::time::Duration;

use super::store;
use crate::base::{Clock, TenantId};
use crate::db::{self, Class, Db};
use crate::work::Worker;

/// How long an admin may look at a job after its end.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);
const INTERVAL: Duration = Duration::from_secs(3_600);
/// Rows removed in one transaction, so that a backlog never holds the writer long.
const BATCH: i64 = 500;

/// Removes what ended long ago, now and then. Safe to run twice, late, or not at all.
pub fn worker(db: Db, clock: Clock, tenant: TenantId) -> Worker {
    Worker::every("jobs.sweep", INTERVAL, move || {
        let (db, before, tenant) = (db.clone(), clock.now().minus(KEPT_FOR), tenant.clone());
        async move {
            loop {
                let sweep = move |tx: &mut db::Tx<'_>| store::delete_ended(tx, before, BATCH);
                if db.write_as(Class::BULK.freeing(), &tenant, sweep).await? < BATCH.unsigned_abs() {
                    return Ok::<(), db::Error>(());
                }
            }
        }
    })
}
