//! The SQL of addresses to which nothing is sent, and of how many mails an address got.
use super::suppression::{MailSuppression, SuppressionId, SuppressionReason};
use crate::base::Timestamp;
use crate::db::{self, Row, Tx, Value};

/// Most addresses: at some 300 bytes each, 30 MB.
pub(super) const SUPPRESSIONS_MAX: u64 = 100_000;

const DAY_MILLIS: i64 = 24 * 3_600 * 1_000;

const SUPPRESSION: &str = "id, address, reason, detail, created_at";

fn read(row: &Row<'_>) -> Result<MailSuppression, db::Error> {
    let reason = SuppressionReason::named(row.text(2)?);
    Ok(MailSuppression {
        id: row.id(0)?,
        address: row.text(1)?.to_owned(),
        reason: reason.ok_or(db::Error::Column { column: 2, expected: "a reason to send nothing" })?,
        detail: row.text(3)?.to_owned(),
        created_at: row.timestamp(4)?,
    })
}

/// Adds an address. False if it was there; then it stays as it is.
pub(super) fn insert(tx: &mut Tx<'_>, it: &MailSuppression) -> Result<bool, db::Error> {
    let added = tx.execute(
        "INSERT INTO mail_suppressions (id, address, reason, detail, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (address) DO NOTHING",
        &[it.id.into(), (&it.address).into(), it.reason.name().into(), (&it.detail).into(), it.created_at.into()],
    )?;
    Ok(added == 1)
}

/// Makes room for another address by dropping the one that bounced longest ago: it bounces again. False if there is none.
pub(super) fn make_room(tx: &mut Tx<'_>) -> Result<bool, db::Error> {
    let sql = "DELETE FROM mail_suppressions
               WHERE id IN (SELECT id FROM mail_suppressions WHERE reason = 'bounce' ORDER BY id LIMIT 1)";
    Ok(tx.execute(sql, &[])? == 1)
}

pub(super) fn find(tx: &mut Tx<'_>, address: &str) -> Result<Option<MailSuppression>, db::Error> {
    tx.find(&format!("SELECT {SUPPRESSION} FROM mail_suppressions WHERE address = $1"), &[address.into()], read)
}

/// Removes an address, and tells what it was.
pub(super) fn delete(tx: &mut Tx<'_>, id: SuppressionId) -> Result<Option<MailSuppression>, db::Error> {
    tx.find(&format!("DELETE FROM mail_suppressions WHERE id = $1 RETURNING {SUPPRESSION}"), &[id.into()], read)
}

/// One page, the newest first, before `before`.
pub(super) fn list(
    tx: &mut Tx<'_>,
    address: Option<&str>,
    before: Option<SuppressionId>,
    skip: u64,
    limit: u64,
) -> Result<Vec<MailSuppression>, db::Error> {
    let (limit, skip) = (Value::Integer(limit.cast_signed()), Value::Integer(skip.cast_signed()));
    let before = before.map(|it| it.to_string());
    let sql = format!(
        "SELECT {SUPPRESSION} FROM mail_suppressions WHERE ($1 IS NULL OR address = $1) AND ($2 IS NULL OR id < $2)
         ORDER BY id DESC LIMIT $3 OFFSET $4"
    );
    tx.query(&sql, &[address.into(), before.into(), limit, skip], read)
}

pub(super) fn count(tx: &mut Tx<'_>, address: Option<&str>) -> Result<u64, db::Error> {
    let sql = "SELECT count(*) FROM mail_suppressions WHERE ($1 IS NULL OR address = $1)";
    Ok(tx.find(sql, &[address.into()], |row| row.integer(0))?.unwrap_or(0).unsigned_abs())
}

/// Counts a mail to an address, unless it had `most` on this day. False if it had.
pub(super) fn count_mail(tx: &mut Tx<'_>, address: &str, now: Timestamp, most: u32) -> Result<bool, db::Error> {
    let sql = "INSERT INTO mail_counts (address, day, count) VALUES ($1, $2, 1)
               ON CONFLICT (address, day) DO UPDATE SET count = mail_counts.count + 1 WHERE mail_counts.count < $3";
    Ok(tx.execute(sql, &[address.into(), Value::Integer(day(now)), most.into()])? == 1)
}

/// Takes back what was counted of a mail that was not sent.
pub(super) fn uncount_mail(tx: &mut Tx<'_>, address: &str, counted_at: Timestamp) -> Result<(), db::Error> {
    let sql = "UPDATE mail_counts SET count = count - 1 WHERE address = $1 AND day = $2 AND 0 < count";
    tx.execute(sql, &[address.into(), Value::Integer(day(counted_at))]).map(drop)
}

/// Forgets how many mails an address got.
pub(super) fn delete_counts_of(tx: &mut Tx<'_>, address: &str) -> Result<(), db::Error> {
    tx.execute("DELETE FROM mail_counts WHERE address = $1", &[address.into()]).map(drop)
}

/// Whether there are counts of days before this one.
pub(super) fn has_old_counts(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, db::Error> {
    let sql = "SELECT 1 FROM mail_counts WHERE day < $1 LIMIT 1";
    Ok(tx.find(sql, &[Value::Integer(day(now))], |row| row.integer(0))?.is_some())
}

/// Removes up to `limit` counts of days before this one, and tells how many.
pub(super) fn prune_counts(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<u64, db::Error> {
    let sql = "DELETE FROM mail_counts WHERE (address, day) IN
                  (SELECT address, day FROM mail_counts WHERE day < $1 LIMIT $2)";
    tx.execute(sql, &[Value::Integer(day(now)), limit.into()])
}

/// Until another day begins, in milliseconds.
pub(super) const fn millis_left(now: Timestamp) -> i64 {
    DAY_MILLIS - now.millis().rem_euclid(DAY_MILLIS)
}

const fn day(at: Timestamp) -> i64 {
    at.millis().div_euclid(DAY_MILLIS)
}
