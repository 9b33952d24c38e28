//! Keeps the mailbox within bounds, and forgets how many mails somebody got on other days.
use std::time::Duration;

use super::{store, suppression_store};
use crate::base::{Clock, TenantId};
use crate::db::{self, Class, Db, Tx};
use crate::work::Worker;

/// How long a mail stays in the mailbox. The secrets in it work for a day at most.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Most mails in the mailbox: at some 5 KB each, 25 MB.
const MAILS_MAX: i64 = 5_000;
const INTERVAL: Duration = Duration::from_secs(60);
/// Rows removed in one transaction, so that a backlog never holds the writer long.
const BATCH: i64 = 500;

/// Removes what is too old or too much, now and then. Safe to run twice, late, or not at all.
pub fn worker(db: Db, clock: Clock, tenant: TenantId) -> Worker {
    Worker::every("mails.sweep", INTERVAL, move || {
        let (db, now, tenant) = (db.clone(), clock.now(), tenant.clone());
        let too_old = now.minus(KEPT_FOR);
        async move {
            // Looked at first: a server that sends its mails has an empty mailbox, and nothing to write.
            while 0 < db.read(&tenant, |tx| store::count_mails(tx, None)).await? {
                let prune = move |tx: &mut Tx<'_>| store::prune_mails(tx, too_old, MAILS_MAX, BATCH);
                if db.write_as(Class::BULK.freeing(), &tenant, prune).await? < BATCH.unsigned_abs() {
                    break;
                }
            }
            while db.read(&tenant, move |tx| suppression_store::has_old_counts(tx, now)).await? {
                let prune = move |tx: &mut Tx<'_>| suppression_store::prune_counts(tx, now, BATCH);
                db.write_as(Class::BULK.freeing(), &tenant, prune).await?;
            }
            Ok::<(), db::Error>(())
        }
    })
}
