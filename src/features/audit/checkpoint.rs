//! Once a day the server signs where the trail stands, and keeps that in another file.
use std::time::Duration;

use super::seal::Seal;
use super::{store, verify};
use crate::base::{Clock, TenantId, Timestamp};
use crate::db::{self, Db, Tx};
use crate::work::Worker;

/// How often it is looked whether it is time.
const INTERVAL: Duration = Duration::from_secs(600);
/// The age of a checkpoint at which there is another.
const EVERY: Duration = Duration::from_secs(24 * 3_600);

/// Follows what was added since the last checkpoint, and makes the next. Safe to run twice, late, or not at all.
pub fn worker(db: Db, clock: Clock, seal: Seal, tenant: TenantId) -> Worker {
    Worker::every("audit.checkpoint", INTERVAL, move || {
        let (db, now, seal, tenant) = (db.clone(), clock.now(), seal.clone(), tenant.clone());
        async move { note(&db, &seal, &tenant, now).await }
    })
}

pub(super) async fn note(db: &Db, seal: &Seal, tenant: &TenantId, now: Timestamp) -> Result<(), db::Error> {
    let of = tenant.clone();
    let last = db.read_system(move |tx| store::newest_checkpoint(tx, &of)).await?;
    // A clock that was set back must not keep the next one away for years.
    if last.as_ref().is_some_and(|it| it.at <= now && now < it.at.plus(EVERY)) {
        return Ok(());
    }
    let head = db.read(tenant, |tx| Ok::<_, db::Error>((store::head(tx)?, store::anchor(tx)?))).await?;
    let (Some((seq, hash)), anchor) = head else { return Ok(()) };
    let from = last.as_ref().map_or(0, |it| it.seq);
    if seq == from {
        return Ok(());
    }
    // What is not whole is not signed: that would make it so.
    let mut after = from;
    loop {
        let found = verify::verify(db, seal, tenant, Some(after), None).await?;
        if let Some(flaw) = found.flaws.first() {
            tracing::error!(
                audit.seq = flaw.seq,
                flaws = found.flaws.len(),
                "the audit trail was tampered with: {}; `steading audit verify` tells more",
                flaw.detail
            );
            return Ok(());
        }
        if found.is_complete {
            break;
        }
        after = found.checked_to;
    }
    let (checkpoint, of) = (seal.checkpoint(tenant, seq, hash, now), tenant.clone());
    // Those of entries that are gone are of no use, but for the last, from which the next walk begins.
    let removed_to = anchor.map_or(0, |it| it.seq).min(from.saturating_sub(1));
    let keep = move |tx: &mut Tx<'_>| {
        store::insert_checkpoint(tx, &of, &checkpoint)?;
        store::delete_checkpoints(tx, &of, removed_to)
    };
    match db.write_system(keep).await {
        // The next one is made when there is room.
        Err(db::Error::StorageFull) => Ok(()),
        outcome => outcome,
    }
}
