//! What keys are used for: counted in memory, written every few seconds.
//!
//! A request costs no write. A server that is killed loses what was counted since the last time; one that is told to stop
//! loses nothing.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use poem::Response;
use poem::http::HeaderValue;
use poem_openapi::OperationId;

use super::credits::Balances;
use super::store;
use crate::base::{ApiKeyId, Clock, TenantId, Timestamp};
use crate::db::{self, Class, Db};
use crate::http::log::{self, KeyUse};
use crate::work::Worker;

/// How often it is written.
const INTERVAL: Duration = Duration::from_secs(5);
/// Most lines that wait to be written; what comes beyond is not counted, so that a disk that takes nothing for long does
/// not fill the memory.
const LINES_MAX: usize = 50_000;
/// Lines written in one transaction, so that others are not held up.
const BATCH: usize = 500;
const DAY_SECS: i64 = 24 * 3_600;
/// How long it is kept: a year, and a month to compare it with.
const DAYS_KEPT: i64 = 400;

/// What is called that is no operation.
const UNKNOWN: &str = "unknown";

/// The book of what was used, and what is left. Cheap to clone; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    book: Arc<Mutex<Book>>,
    pub(super) balances: Balances,
}

#[derive(Debug, Default)]
struct Book {
    lines: HashMap<Line, Calls>,
    last: HashMap<ApiKeyId, Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Line {
    key: ApiKeyId,
    day: i64,
    operation: &'static str,
}

#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    all: u32,
    refused: u32,
}

/// The day that a moment is in.
pub(super) fn day_of(moment: Timestamp) -> i64 {
    moment.seconds().div_euclid(DAY_SECS)
}

/// A day as people write it.
pub(super) fn day_text(day: i64) -> String {
    let moment = Timestamp::from_millis(day.saturating_mul(DAY_SECS).saturating_mul(1_000));
    moment.to_string().split('T').next().unwrap_or_default().to_owned()
}

impl Usage {
    /// Counts a call of an operation.
    pub fn note(&self, key: ApiKeyId, operation: &'static str, is_refused: bool, now: Timestamp) {
        let mut book = self.lock();
        let line = Line { key, day: day_of(now), operation };
        if LINES_MAX <= book.lines.len() && !book.lines.contains_key(&line) {
            return;
        }
        let calls = book.lines.entry(line).or_default();
        calls.all = calls.all.saturating_add(1);
        calls.refused = calls.refused.saturating_add(is_refused.into());
        book.last.insert(key, now);
    }

    /// Writes what was counted. What cannot be written waits for the next time.
    pub async fn flush(&self, db: &Db, tenant: &TenantId, now: Timestamp) -> Result<(), db::Error> {
        self.balances.flush(db, tenant, now).await?;
        let Book { lines, last } = std::mem::take(&mut *self.lock());
        let mut lines: Vec<_> = lines.into_iter().collect();
        while !lines.is_empty() {
            let batch = lines.split_off(lines.len().saturating_sub(BATCH));
            if let Err(cause) = write(db, tenant, batch.clone(), now).await {
                lines.extend(batch);
                self.put_back(lines);
                return Err(cause);
            }
        }
        // One that is lost is written with the next call.
        let last: Vec<_> = last.into_iter().collect();
        for batch in last.chunks(BATCH) {
            let batch = batch.to_vec();
            let write =
                move |tx: &mut db::Tx<'_>| batch.iter().try_for_each(|(key, at)| store::set_last_used(tx, *key, *at));
            db.write_as(Class::BULK, tenant, write).await?;
        }
        Ok(())
    }

    fn put_back(&self, lines: Vec<(Line, Calls)>) {
        let mut book = self.lock();
        for (line, calls) in lines {
            let kept = book.lines.entry(line).or_default();
            kept.all = kept.all.saturating_add(calls.all);
            kept.refused = kept.refused.saturating_add(calls.refused);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(db: &Db, tenant: &TenantId, batch: Vec<(Line, Calls)>, now: Timestamp) -> Result<(), db::Error> {
    db.write_as(Class::BULK, tenant, move |tx| {
        for (line, calls) in &batch {
            store::add_usage(tx, line.key, line.day, line.operation, calls.all, calls.refused)?;
        }
        store::delete_usage(tx, day_of(now) - DAYS_KEPT)
    })
    .await
}

/// Counts what a key called, and tells its holder what is left of its limit.
pub fn account_for(usage: &Usage, used: &KeyUse, answer: &mut poem::Result<Response>, now: Timestamp) {
    let operation = match answer {
        Ok(response) => response.data::<OperationId>(),
        Err(error) => error.data::<OperationId>(),
    };
    let operation = operation.map_or(UNKNOWN, |it| it.0);
    let is_refused = match answer {
        Ok(response) => response.status().is_client_error(),
        Err(error) => error.status().is_client_error(),
    };
    usage.note(used.key, operation, is_refused, now);
    let Ok(response) = answer else { return };
    for (name, value) in log::headers(&used.allowances) {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// Writes what was counted now and then. Safe to run twice, late, or not at all.
pub fn worker(usage: Usage, db: Db, clock: Clock, tenant: TenantId) -> Worker {
    Worker::every("api_keys.usage", INTERVAL, move || {
        let (usage, db, now, tenant) = (usage.clone(), db.clone(), clock.now(), tenant.clone());
        async move { usage.flush(&db, &tenant, now).await }
    })
}
