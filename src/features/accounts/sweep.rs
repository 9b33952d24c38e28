//! Removes sessions that have ended.
use std::time::Duration;

use super::store;
use crate::base::{Clock, TenantId};
use crate::db::{self, Db};
use crate::work::Worker;

/// Rows removed in one transaction, so that a backlog never holds the writer long.
const BATCH: i64 = 500;
/// An ended session is refused at once; this only tidies up.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Removes ended sessions now and then. Safe to run twice, late, or not at all.
pub fn worker(db: Db, clock: Clock, tenant: TenantId) -> Worker {
    Worker::every("accounts.sweep", INTERVAL, move || {
        let (db, now, tenant) = (db.clone(), clock.now(), tenant.clone());
        async move {
            loop {
                let removed = db.write_bulk(&tenant, move |tx| store::delete_expired_sessions(tx, now, BATCH)).await?;
                if removed < BATCH.unsigned_abs() {
                    return Ok::<(), db::Error>(());
                }
            }
        }
    })
}
