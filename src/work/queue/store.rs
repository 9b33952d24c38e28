//! The SQL of jobs.
use super::model::{Counted, Entry, NewJob, State};
use crate::base::{JobId, Timestamp};
use crate::db::{self, News, Row, Tx, Value};

const ENTRY: &str =
    "id, kind, payload, state, attempts, due_at, progress, error, created_at, started_at, finished_at, note";

fn read(row: &Row<'_>) -> Result<Entry, db::Error> {
    let number = |it: i64| u32::try_from(it).unwrap_or(u32::MAX);
    Ok(Entry {
        id: row.id(0)?,
        kind: row.text(1)?.to_owned(),
        payload: row.text(2)?.to_owned(),
        state: read_state(row, 3)?,
        attempts: number(row.integer(4)?),
        due_at: row.timestamp(5)?,
        progress: row.optional(6, Row::integer)?.map(number),
        error: row.optional(7, Row::text)?.map(ToOwned::to_owned),
        created_at: row.timestamp(8)?,
        started_at: row.optional(9, Row::timestamp)?,
        finished_at: row.optional(10, Row::timestamp)?,
        note: row.optional(11, Row::text)?.map(ToOwned::to_owned),
    })
}

fn read_state(row: &Row<'_>, column: usize) -> Result<State, db::Error> {
    State::named(row.text(column)?).ok_or(db::Error::Column { column, expected: "a state of jobs" })
}

/// Promises a job, to be begun once this transaction is on the disk.
pub fn insert(tx: &mut Tx<'_>, job: &NewJob) -> Result<(), db::Error> {
    tx.announce(News::JOBS);
    tx.execute(
        "INSERT INTO jobs (id, kind, payload, state, attempts, due_at, created_at)
         VALUES ($1, $2, $3, 'waiting', 0, $4, $5)",
        &[job.id.into(), job.kind.into(), (&job.payload).into(), job.due_at.into(), job.created_at.into()],
    )
    .map(drop)
}

/// Returns jobs to those who wait that were running when the server was stopped or killed.
pub(super) fn take_up(tx: &mut Tx<'_>) -> Result<u64, db::Error> {
    tx.execute("UPDATE jobs SET state = 'waiting' WHERE state = 'running'", &[])
}

/// When the next job of a kind is due; absent if none waits.
pub(super) fn next_due(tx: &mut Tx<'_>, kind: &str) -> Result<Option<Timestamp>, db::Error> {
    let sql = "SELECT due_at FROM jobs WHERE state = 'waiting' AND kind = $1 ORDER BY due_at, id LIMIT 1";
    tx.find(sql, &[kind.into()], |row| row.timestamp(0))
}

/// Takes up to `limit` jobs of a kind that are due, and counts the attempt.
pub(super) fn claim(tx: &mut Tx<'_>, kind: &str, limit: usize, now: Timestamp) -> Result<Vec<Entry>, db::Error> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = format!(
        "UPDATE jobs SET state = 'running', attempts = attempts + 1, started_at = $2, progress = NULL, note = NULL
         WHERE id IN (SELECT id FROM jobs WHERE state = 'waiting' AND kind = $1 AND due_at <= $2
                      ORDER BY due_at, id LIMIT $3)
         RETURNING {ENTRY}"
    );
    tx.query(&sql, &[kind.into(), now.into(), limit.into()], read)
}

pub(super) fn set_progress(tx: &mut Tx<'_>, id: JobId, per_thousand: u32) -> Result<(), db::Error> {
    let sql = "UPDATE jobs SET progress = $2 WHERE id = $1 AND state = 'running'";
    tx.execute(sql, &[id.into(), per_thousand.into()]).map(drop)
}

pub(super) fn set_note(tx: &mut Tx<'_>, id: JobId, note: &str) -> Result<(), db::Error> {
    tx.execute("UPDATE jobs SET note = $2 WHERE id = $1 AND state = 'running'", &[id.into(), note.into()]).map(drop)
}

/// Ends a job that runs. One that was cancelled meanwhile stays so; of one that is done nothing is left to do, whatever
/// became more or less meanwhile.
pub(super) fn finish(
    tx: &mut Tx<'_>,
    id: JobId,
    state: State,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE jobs SET state = $2, error = $3, finished_at = $4,
                         progress = CASE WHEN $2 = 'done' AND progress IS NOT NULL THEN 1000 ELSE progress END
         WHERE id = $1 AND state = 'running'",
        &[id.into(), state.name().into(), error.into(), now.into()],
    )
    .map(drop)
}

/// Has a job that runs wait for another attempt.
pub(super) fn postpone(tx: &mut Tx<'_>, id: JobId, error: &str, due_at: Timestamp) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE jobs SET state = 'waiting', error = $2, due_at = $3 WHERE id = $1 AND state = 'running'",
        &[id.into(), error.into(), due_at.into()],
    )
    .map(drop)
}

/// Cancels a job that has not ended. False if it has.
pub fn cancel(tx: &mut Tx<'_>, id: JobId, now: Timestamp) -> Result<bool, db::Error> {
    let sql = "UPDATE jobs SET state = 'cancelled', finished_at = $2
               WHERE id = $1 AND state IN ('waiting', 'running')";
    Ok(tx.execute(sql, &[id.into(), now.into()])? == 1)
}

/// Has a job that failed or was cancelled begin anew, with as many attempts as a new one; one that waits for its next
/// attempt goes at once. False if it runs or is done.
pub fn retry(tx: &mut Tx<'_>, id: JobId, now: Timestamp) -> Result<bool, db::Error> {
    tx.announce(News::JOBS);
    let sql = "UPDATE jobs SET state = 'waiting', attempts = 0, due_at = $2, finished_at = NULL
               WHERE id = $1 AND state IN ('waiting', 'failed', 'cancelled')";
    Ok(tx.execute(sql, &[id.into(), now.into()])? == 1)
}

/// Which jobs are wanted.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    pub state: Option<State>,
    pub kind: Option<String>,
}

impl Sought {
    /// `$1` and `$2` of the statements below: absent, anything will do.
    fn values(&self) -> [Value<'_>; 2] {
        [self.state.map(State::name).into(), self.kind.as_deref().into()]
    }
}

const SOUGHT: &str = "($1 IS NULL OR state = $1) AND ($2 IS NULL OR kind = $2)";

/// One page of jobs, the newest first, before the job `before`.
pub fn list(
    tx: &mut Tx<'_>,
    sought: &Sought,
    before: Option<JobId>,
    skip: u64,
    limit: u64,
) -> Result<Vec<Entry>, db::Error> {
    let [state, kind] = sought.values();
    let (limit, skip) = (Value::Integer(limit.cast_signed()), Value::Integer(skip.cast_signed()));
    let sql = format!(
        "SELECT {ENTRY} FROM jobs WHERE {SOUGHT} AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4 OFFSET $5"
    );
    tx.query(&sql, &[state, kind, before.map(|it| it.to_string()).into(), limit, skip], read)
}

pub fn count(tx: &mut Tx<'_>, sought: &Sought) -> Result<u64, db::Error> {
    let sql = format!("SELECT count(*) FROM jobs WHERE {SOUGHT}");
    Ok(tx.find(&sql, &sought.values(), |row| row.integer(0))?.unwrap_or(0).unsigned_abs())
}

pub fn find(tx: &mut Tx<'_>, id: JobId) -> Result<Option<Entry>, db::Error> {
    tx.find(&format!("SELECT {ENTRY} FROM jobs WHERE id = $1"), &[id.into()], read)
}

/// How many jobs of which kind are in which state.
pub fn summary(tx: &mut Tx<'_>) -> Result<Vec<Counted>, db::Error> {
    tx.query(
        "SELECT kind, state, count(*), min(due_at) FROM jobs GROUP BY kind, state ORDER BY kind, state",
        &[],
        |row| {
            Ok(Counted {
                kind: row.text(0)?.to_owned(),
                state: read_state(row, 1)?,
                count: row.integer(2)?.unsigned_abs(),
                oldest_due_at: row.timestamp(3)?,
            })
        },
    )
}

/// Removes up to `limit` jobs that ended at `before` or earlier, and tells how many.
pub(super) fn delete_ended(tx: &mut Tx<'_>, before: Timestamp, limit: i64) -> Result<u64, db::Error> {
    tx.execute(
        "DELETE FROM jobs WHERE id IN
            (SELECT id FROM jobs WHERE finished_at IS NOT NULL AND finished_at <= $1 ORDER BY finished_at LIMIT $2)",
        &[before.into(), limit.into()],
    )
}
