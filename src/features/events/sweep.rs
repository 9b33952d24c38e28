//! Removes events that are too old, or for which there is no room.
use std::time::Duration;

use super::store;
use crate::base::{Clock, TenantId};
use crate::db::{self, Db};
use crate::work::Worker;

/// Rows removed in one transaction, so that a backlog never holds the writer long.
const BATCH: usize = 500;
const INTERVAL: Duration = Duration::from_secs(60);

/// How long events are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub time: Duration,
    pub bytes: u64,
}

/// Removes what is over now and then. Safe to run twice, late, or not at all.
pub fn worker(db: Db, clock: Clock, tenant: TenantId, keep: impl Fn() -> Keep + Send + 'static) -> Worker {
    Worker::every("events.prune", INTERVAL, move || {
        let (db, clock, tenant, keep) = (db.clone(), clock.clone(), tenant.clone(), keep());
        async move { prune(&db, &clock, &tenant, keep).await }
    })
}

async fn prune(db: &Db, clock: &Clock, tenant: &TenantId, keep: Keep) -> Result<(), db::Error> {
    let too_old = clock.now().minus(keep.time);
    let bytes_max = i64::try_from(keep.bytes).unwrap_or(i64::MAX);
    loop {
        let gone = db.free(tenant, move |tx| store::prune(tx, too_old, bytes_max, BATCH)).await?;
        if gone < BATCH {
            return Ok(());
        }
    }
}
