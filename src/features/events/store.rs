//! The SQL of events.
use std::collections::HashMap;

use super::model::{Event, EventKind, NewEvent};
use crate::base::Timestamp;
use crate::db::{self, News, Row, Tx};

/// What a row takes beside its texts, roughly.
const ROW_BYTES: usize = 120;

/// Adds an event, to be told once this transaction is on the disk.
pub fn append(tx: &mut Tx<'_>, event: &NewEvent<'_>) -> Result<(), db::Error> {
    tx.announce(News::EVENTS);
    let texts = event.after.map_or(0, str::len) + event.before.map_or(0, str::len);
    let bytes = i64::try_from(ROW_BYTES + texts).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO events
         (seq, kind, collection_id, record_id, version, row_after, row_before, created_at, total_bytes)
         VALUES ((SELECT coalesce(max(seq), 0) + 1 FROM events), $1, $2, $3, $4, $5, $6, $7,
                 $8 + coalesce((SELECT total_bytes FROM events ORDER BY seq DESC LIMIT 1), 0))",
        &[
            event.kind.name().into(),
            event.collection.into(),
            event.record.into(),
            event.version.into(),
            event.after.into(),
            event.before.into(),
            event.at.into(),
            bytes.into(),
        ],
    )
    .map(drop)
}

/// Has those who hold on to callers ask again who still stands, before they tell anyone of what was written after this.
pub fn append_about_accounts(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), db::Error> {
    let (kind, collection) = (EventKind::Account, "users");
    append(tx, &NewEvent { kind, collection, record: None, version: 0, after: None, before: None, at: now })
}

/// The number of the newest event; 0 before the first.
pub fn find_newest(tx: &mut Tx<'_>) -> Result<i64, db::Error> {
    Ok(tx.find("SELECT coalesce(max(seq), 0) FROM events", &[], |row| row.integer(0))?.unwrap_or(0))
}

/// The events that are there: whoever knows of the one before the oldest, or of a later one, can read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub oldest: i64,
    pub newest: i64,
}

impl Span {
    /// Whether nothing is missing for someone who knows everything up to `seq`.
    pub fn follows(&self, seq: i64) -> bool {
        self.oldest - 1 <= seq && seq <= self.newest
    }
}

pub fn span(tx: &mut Tx<'_>) -> Result<Span, db::Error> {
    let newest = find_newest(tx)?;
    let oldest = tx.find("SELECT coalesce(min(seq), 1) FROM events", &[], |row| row.integer(0))?;
    Ok(Span { oldest: oldest.unwrap_or(1), newest })
}

/// The events after `seq` up to `last`, in their order: at most `rows_max`, and none after `bytes_max` were exceeded.
pub fn read_after(
    tx: &mut Tx<'_>,
    seq: i64,
    last: i64,
    rows_max: usize,
    bytes_max: usize,
) -> Result<Vec<Event>, db::Error> {
    let sql = "SELECT seq, kind, collection_id, record_id, version, row_after, row_before, created_at
               FROM events WHERE $1 < seq AND seq <= $2 ORDER BY seq LIMIT $3";
    let limit = i64::try_from(rows_max).unwrap_or(i64::MAX);
    let (mut events, mut bytes) = (Vec::new(), 0);
    tx.each(sql, &[seq.into(), last.into(), limit.into()], &mut |row| {
        if bytes <= bytes_max {
            let event = read(row)?;
            bytes += event.after.as_ref().map_or(0, String::len) + event.before.as_ref().map_or(0, String::len);
            events.push(event);
        }
        Ok(())
    })?;
    Ok(events)
}

fn read(row: &Row<'_>) -> Result<Event, db::Error> {
    let text = |column| row.optional(column, Row::text).map(|it| it.map(ToOwned::to_owned));
    Ok(Event {
        seq: row.integer(0)?,
        kind: EventKind::named(row.text(1)?).ok_or(db::Error::Column { column: 1, expected: "a kind of event" })?,
        collection: row.text(2)?.to_owned(),
        record: text(3)?,
        version: row.integer(4)?,
        after: text(5)?,
        before: text(6)?,
        at: row.timestamp(7)?,
    })
}

/// The collections that were changed themselves after `seq`, with the number of the last time.
pub fn restructured(tx: &mut Tx<'_>, seq: i64) -> Result<HashMap<String, i64>, db::Error> {
    let sql = "SELECT collection_id, max(seq) FROM events WHERE kind = 'restructured' AND $1 < seq
               GROUP BY collection_id";
    let found = tx.query(sql, &[seq.into()], |row| Ok((row.text(0)?.to_owned(), row.integer(1)?)))?;
    Ok(found.into_iter().collect())
}

/// Removes the oldest events that are too old, or for which there is no room, at most `batch` of them. The newest one
/// stays, since the number of the next one is counted from it.
pub(super) fn prune(tx: &mut Tx<'_>, too_old: Timestamp, bytes_max: i64, batch: usize) -> Result<usize, db::Error> {
    let sql = "SELECT seq, total_bytes FROM events ORDER BY seq DESC LIMIT 1";
    let pair = |row: &Row<'_>| Ok((row.integer(0)?, row.integer(1)?));
    let Some((newest, total)) = tx.find(sql, &[], pair)? else { return Ok(0) };
    let limit = i64::try_from(batch).unwrap_or(i64::MAX);
    let sql = "SELECT seq, created_at, total_bytes FROM events WHERE seq < $1 ORDER BY seq LIMIT $2";
    let oldest =
        tx.query(sql, &[newest.into(), limit.into()], |row| Ok((row.integer(0)?, row.timestamp(1)?, row.integer(2)?)))?;
    // What stays takes its room and less than a row more. It begins after the last one that goes, so there are no gaps,
    // whatever became of the time.
    let is_over = |at: Timestamp, up_to: i64| at < too_old || bytes_max <= total - up_to;
    let going = oldest.iter().take_while(|(_, at, up_to)| is_over(*at, *up_to)).count();
    if let Some((last, ..)) = oldest[..going].last() {
        tx.execute("DELETE FROM events WHERE seq <= $1", &[(*last).into()])?;
    }
    Ok(going)
}

/// The epoch of the log: the one that is kept, or else `new`, which is kept from now on.
pub(super) fn epoch(tx: &mut Tx<'_>, new: &str) -> Result<String, db::Error> {
    let kept = tx.find("SELECT epoch FROM event_epoch WHERE id = 1", &[], |row| row.text(0).map(ToOwned::to_owned))?;
    if let Some(kept) = kept {
        return Ok(kept);
    }
    tx.execute("INSERT INTO event_epoch (id, epoch) VALUES (1, $1)", &[new.into()])?;
    Ok(new.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TenantId;
    use crate::db::Db;

    async fn db() -> Db {
        let db = Db::in_memory().expect("a database");
        db.create_tenant(&TenantId::main()).expect("a tenant");
        db
    }

    fn event(record: &str, at: i64) -> NewEvent<'_> {
        let at = Timestamp::from_millis(at);
        NewEvent {
            kind: EventKind::Created,
            collection: "c",
            record: Some(record),
            version: 1,
            after: Some("{}"),
            before: None,
            at,
        }
    }

    async fn append_all(db: &Db, moments: &'static [i64]) {
        let add = move |tx: &mut Tx<'_>| moments.iter().try_for_each(|it| append(tx, &event("r", *it)));
        db.write::<_, db::Error>(&TenantId::main(), add).await.expect("written");
    }

    async fn pruned(db: &Db, too_old: i64, bytes_max: i64, batch: usize) -> (usize, Span) {
        let work = move |tx: &mut Tx<'_>| {
            let gone = prune(tx, Timestamp::from_millis(too_old), bytes_max, batch)?;
            Ok::<_, db::Error>((gone, span(tx)?))
        };
        db.write(&TenantId::main(), work).await.expect("pruned")
    }

    #[tokio::test]
    async fn numbers_have_no_gaps_and_go_on_after_pruning() {
        let db = db().await;
        append_all(&db, &[1, 2, 3]).await;
        let main = TenantId::main();
        let undone = db.write::<(), db::Error>(&main, |tx| {
            append(tx, &event("undone", 4))?;
            Err(db::Error::QueueFull)
        });
        undone.await.expect_err("undone");

        assert_eq!(pruned(&db, 100, i64::MAX, 500).await, (2, Span { oldest: 3, newest: 3 }), "the newest stays");
        append_all(&db, &[5]).await;

        let read = db.read::<_, db::Error>(&TenantId::main(), |tx| read_after(tx, 3, i64::MAX, 10, 100)).await;
        let read = read.expect("read");
        assert_eq!(read.iter().map(|it| (it.seq, it.at.millis())).collect::<Vec<_>>(), [(4, 5)]);
    }

    #[tokio::test]
    async fn what_is_too_old_goes_in_batches_and_nothing_from_the_middle() {
        let db = db().await;
        append_all(&db, &[1, 2, 9, 3, 9]).await;

        assert_eq!(pruned(&db, 9, i64::MAX, 1).await, (1, Span { oldest: 2, newest: 5 }));
        assert_eq!(pruned(&db, 9, i64::MAX, 500).await, (1, Span { oldest: 3, newest: 5 }), "time was set back");
        assert_eq!(pruned(&db, 2, i64::MAX, 500).await.0, 0);
    }

    #[tokio::test]
    async fn events_take_no_more_room_than_they_may() {
        let db = db().await;
        append_all(&db, &[9, 9, 9, 9]).await;
        let row = i64::try_from(ROW_BYTES).expect("small") + 2;

        assert_eq!(pruned(&db, 0, 4 * row, 500).await.0, 0);
        assert_eq!(pruned(&db, 0, 2 * row, 500).await, (2, Span { oldest: 3, newest: 4 }));
        append_all(&db, &[9]).await;
        assert_eq!(pruned(&db, 0, 2 * row, 500).await, (1, Span { oldest: 4, newest: 5 }), "also after pruning");
    }

    #[tokio::test]
    async fn reading_on_ends_at_its_limits_and_always_gets_further() {
        let db = db().await;
        append_all(&db, &[1, 2, 3, 4]).await;
        let seqs = |seq, last, rows, bytes| {
            let read = move |tx: &mut Tx<'_>| read_after(tx, seq, last, rows, bytes);
            let db = db.clone();
            async move {
                let events = db.read::<_, db::Error>(&TenantId::main(), read).await.expect("read");
                events.iter().map(|it| it.seq).collect::<Vec<_>>()
            }
        };

        assert_eq!(seqs(0, 3, 10, 100).await, [1, 2, 3]);
        assert_eq!(seqs(1, 9, 2, 100).await, [2, 3]);
        assert_eq!(seqs(1, 9, 9, 0).await, [2], "one in any case");
        assert_eq!(seqs(1, 9, 9, 2).await, [2, 3], "what exceeds the bytes is the last one");
        assert_eq!(seqs(4, 9, 9, 100).await, Vec::<i64>::new());
    }

    #[test]
    fn whoever_knows_the_one_before_the_oldest_misses_nothing() {
        let span = Span { oldest: 5, newest: 9 };

        assert!(span.follows(4) && span.follows(9));
        assert!(!span.follows(3) && !span.follows(10));
        assert!(Span { oldest: 1, newest: 0 }.follows(0), "an empty log");
    }
}
