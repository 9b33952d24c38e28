//! Removes entries that are too old, or for which there is no room, and signs how far.
use std::time::Duration;

use super::seal::Seal;
use super::store;
use crate::base::{Clock, TenantId, Timestamp};
use crate::db::{self, Class, Db, Tx};
use crate::work::Worker;

/// Rows removed in one transaction, so that a backlog never holds the writer long.
const BATCH: usize = 500;
const INTERVAL: Duration = Duration::from_secs(600);

/// How long entries are kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Absent: for ever.
    pub time: Option<Duration>,
    pub bytes: u64,
}

/// Removes what is over now and then. Safe to run twice, late, or not at all.
pub fn worker(db: Db, clock: Clock, seal: Seal, tenant: TenantId, keep: impl Fn() -> Keep + Send + 'static) -> Worker {
    Worker::every("audit.prune", INTERVAL, move || {
        let (db, now, seal, tenant, keep) = (db.clone(), clock.now(), seal.clone(), tenant.clone(), keep());
        async move { prune(&db, &seal, &tenant, keep, now).await }
    })
}

pub(super) async fn prune(
    db: &Db,
    seal: &Seal,
    tenant: &TenantId,
    keep: Keep,
    now: Timestamp,
) -> Result<(), db::Error> {
    let too_old = keep.time.map(|it| now.minus(it));
    let bytes_max = i64::try_from(keep.bytes).unwrap_or(i64::MAX);
    loop {
        let (seal, of) = (seal.clone(), tenant.clone());
        let remove = move |tx: &mut Tx<'_>| {
            let Some((seq, hash, going)) = store::removable(tx, too_old, bytes_max, BATCH)? else { return Ok(0) };
            store::remove(tx, &seal.anchor(&of, seq, hash, now))?;
            Ok::<_, db::Error>(going)
        };
        if db.write_as(Class::BULK.freeing(), tenant, remove).await? < BATCH {
            return Ok(());
        }
    }
}
