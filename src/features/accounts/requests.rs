//! How much people use the server: requests on behalf of each account, counted in memory and written every few seconds.
//!
//! A request costs no write. A server that is killed loses what was counted since the last time; one that is told to stop
//! loses nothing.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::store;
use crate::base::{TenantId, UserId};
use crate::db::{self, Class, Db, Tx};
use crate::work::Worker;

/// How often it is written.
const INTERVAL: Duration = Duration::from_secs(5);
/// Most accounts whose count waits to be written; those of others are not counted, so that a disk that takes nothing for
/// long does not fill the memory.
const WAITING_MAX: usize = 100_000;
/// Accounts written in one transaction, so that others are not held up.
const BATCH: usize = 500;

/// The requests that were not written yet. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Mutex<HashMap<UserId, u32>>>);

impl Requests {
    /// Counts a request.
    pub fn note(&self, user: UserId) {
        self.add(user, 1);
    }

    /// Writes what was counted. What cannot be written waits for the next time.
    pub async fn flush(&self, db: &Db, tenant: &TenantId) -> Result<(), db::Error> {
        let mut waiting: Vec<_> = std::mem::take(&mut *self.lock()).into_iter().collect();
        while !waiting.is_empty() {
            let batch = waiting.split_off(waiting.len().saturating_sub(BATCH));
            let counts = batch.clone();
            let write =
                move |tx: &mut Tx<'_>| counts.iter().try_for_each(|(user, count)| store::add_usage(tx, *user, *count));
            if let Err(cause) = db.write_as(Class::BULK, tenant, write).await {
                waiting.into_iter().chain(batch).for_each(|(user, count)| self.add(user, count));
                return Err(cause);
            }
        }
        Ok(())
    }

    fn add(&self, user: UserId, more: u32) {
        let mut waiting = self.lock();
        if waiting.len() < WAITING_MAX || waiting.contains_key(&user) {
            let count = waiting.entry(user).or_default();
            *count = count.saturating_add(more);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what was counted now and then. Safe to run twice, late, or not at all.
pub fn usage_worker(requests: Requests, db: Db, tenant: TenantId) -> Worker {
    Worker::every("accounts.usage", INTERVAL, move || {
        let (requests, db, tenant) = (requests.clone(), db.clone(), tenant.clone());
        async move { requests.flush(&db, &tenant).await }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u128) -> UserId {
        UserId::from_uuid(uuid::Uuid::from_u128(number))
    }

    /// What could not be written is not lost, and is not counted twice.
    #[tokio::test]
    async fn what_cannot_be_written_waits_for_the_next_time() {
        let (db, main, requests) = (Db::in_memory().expect("a database"), TenantId::main(), Requests::default());
        for number in 0..1_200 {
            requests.note(user(number));
            requests.note(user(number));
        }

        // Without the column nothing can be written.
        db.create_tenant(&main).expect("a tenant");
        let rename = |from: &'static str, to: &'static str| {
            let sql = format!("ALTER TABLE users RENAME COLUMN {from} TO {to}");
            db.write_alone::<_, db::Error>(&main, move |tx| tx.batch(&sql))
        };
        rename("usage_count", "elsewhere").await.expect("renamed");
        requests.flush(&db, &main).await.expect_err("it cannot be written");
        requests.note(user(7));

        let waiting = requests.lock().clone();
        assert_eq!((waiting.len(), waiting[&user(7)], waiting[&user(8)]), (1_200, 3, 2));
        rename("elsewhere", "usage_count").await.expect("renamed");
        requests.flush(&db, &main).await.expect("written");
        assert!(requests.lock().is_empty());
    }

    #[test]
    fn no_more_accounts_wait_than_there_is_room_for() {
        let requests = Requests::default();
        for number in 0..=WAITING_MAX {
            requests.note(user(number as u128));
        }
        requests.note(user(1));

        let waiting = requests.lock();
        assert_eq!((waiting.len(), waiting[&user(1)]), (WAITING_MAX, 2));
    }
}
