//! The SQL of the audit trail.
use super::activity::Part;
use super::chain::{self, Hash, NOTHING_BEFORE};
use super::filter::Filter;
use super::model::Kept;
use super::seal::{Anchor, Checkpoint};
use crate::base::{TenantId, Timestamp};
use crate::db::{self, Row, Tx, Value};

const ENTRY: &str = "seq, created_at, actor_kind, actor_id, actor_email, action, resource_kind, resource_id,
                     value_before, value_after, address, user_agent, request_id, outcome, reason, total_bytes,
                     previous_hash, hash";
const INSERT: &str = "INSERT INTO audit_entries
                      (seq, created_at, actor_kind, actor_id, actor_email, action, resource_kind, resource_id,
                       value_before, value_after, address, user_agent, request_id, outcome, reason, total_bytes,
                       previous_hash, hash)
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

pub(super) fn read(row: &Row<'_>) -> Result<Kept, db::Error> {
    let text = |column| row.optional(column, Row::text).map(|it| it.map(ToOwned::to_owned));
    Ok(Kept {
        seq: row.integer(0)?,
        at: row.timestamp(1)?,
        actor_kind: row.text(2)?.to_owned(),
        actor_id: text(3)?,
        actor_email: text(4)?,
        action: row.text(5)?.to_owned(),
        resource_kind: text(6)?,
        resource_id: text(7)?,
        before: text(8)?,
        after: text(9)?,
        address: text(10)?,
        user_agent: text(11)?,
        request_id: text(12)?,
        outcome: row.text(13)?.to_owned(),
        reason: text(14)?,
        total_bytes: row.integer(15)?,
        previous_hash: read_hash(row, 16)?,
        hash: read_hash(row, 17)?,
    })
}

/// The hash of a row, also where nothing else of it can be read.
pub(super) fn hash_of(row: &Row<'_>) -> Hash {
    read_hash(row, 17).unwrap_or(NOTHING_BEFORE)
}

fn read_hash(row: &Row<'_>, column: usize) -> Result<Hash, db::Error> {
    row.bytes(column)?.try_into().map_err(|_| db::Error::Column { column, expected: "a hash" })
}

/// Adds an entry after the newest one: gives it its number, its place in the chain, and its hash.
pub(super) fn append(tx: &mut Tx<'_>, mut kept: Kept) -> Result<(), db::Error> {
    let sql = "SELECT seq, total_bytes, hash FROM audit_entries ORDER BY seq DESC LIMIT 1";
    let newest =
        tx.find(sql, &[], |row| Ok((row.integer(0)?, row.integer(1)?, read_hash(row, 2).unwrap_or(NOTHING_BEFORE))))?;
    let (seq, total, hash) = newest.unwrap_or((0, 0, NOTHING_BEFORE));
    kept.seq = seq + 1;
    kept.total_bytes = total.saturating_add(kept.bytes());
    kept.previous_hash = hash;
    kept.hash = chain::hash(&kept);
    let params: [Value<'_>; 18] = [
        kept.seq.into(),
        kept.at.into(),
        (&kept.actor_kind).into(),
        kept.actor_id.as_deref().into(),
        kept.actor_email.as_deref().into(),
        (&kept.action).into(),
        kept.resource_kind.as_deref().into(),
        kept.resource_id.as_deref().into(),
        kept.before.as_deref().into(),
        kept.after.as_deref().into(),
        kept.address.as_deref().into(),
        kept.user_agent.as_deref().into(),
        kept.request_id.as_deref().into(),
        (&kept.outcome).into(),
        kept.reason.as_deref().into(),
        kept.total_bytes.into(),
        kept.previous_hash.as_slice().into(),
        kept.hash.as_slice().into(),
    ];
    tx.execute(INSERT, &params).map(drop)
}

/// Number and hash of the newest entry.
pub(super) fn head(tx: &mut Tx<'_>) -> Result<Option<(i64, Hash)>, db::Error> {
    let sql = "SELECT seq, hash FROM audit_entries ORDER BY seq DESC LIMIT 1";
    tx.find(sql, &[], |row| Ok((row.integer(0)?, read_hash(row, 1).unwrap_or(NOTHING_BEFORE))))
}

pub(super) fn find_hash(tx: &mut Tx<'_>, seq: i64) -> Result<Option<Hash>, db::Error> {
    tx.find("SELECT hash FROM audit_entries WHERE seq = $1", &[seq.into()], |row| {
        Ok(read_hash(row, 0).unwrap_or(NOTHING_BEFORE))
    })
}

pub(super) fn oldest(tx: &mut Tx<'_>) -> Result<Option<i64>, db::Error> {
    tx.find("SELECT seq FROM audit_entries ORDER BY seq LIMIT 1", &[], |row| row.integer(0))
}

pub(super) fn find(tx: &mut Tx<'_>, seq: i64) -> Result<Option<Kept>, db::Error> {
    tx.find(&format!("SELECT {ENTRY} FROM audit_entries WHERE seq = $1"), &[seq.into()], read)
}

/// Entries that a filter lets through, newest first, of those with numbers from `lowest` to below `before`.
pub(super) fn list(
    tx: &mut Tx<'_>,
    filter: &Filter,
    lowest: i64,
    before: i64,
    skip: u64,
    limit: u64,
) -> Result<Vec<Kept>, db::Error> {
    let (condition, mut params) = filter.condition(5);
    let sql = format!(
        "SELECT {ENTRY} FROM audit_entries WHERE $1 <= seq AND seq < $2 AND {condition}
         ORDER BY seq DESC LIMIT $3 OFFSET $4"
    );
    let mut all = vec![lowest.into(), before.into(), limit.cast_signed().into(), skip.cast_signed().into()];
    all.append(&mut params);
    tx.query(&sql, &all, read)
}

/// The newest of what someone did as themselves, and of what was done to their account: as many of each as are wanted,
/// which both have an index for.
pub(super) fn activity(tx: &mut Tx<'_>, part: &Part) -> Result<Vec<Kept>, db::Error> {
    let sql = format!(
        "SELECT {ENTRY} FROM audit_entries WHERE seq IN (
             SELECT seq FROM (SELECT seq FROM audit_entries WHERE actor_id = $1 AND seq < $2
                              ORDER BY seq DESC LIMIT $5) AS did
             UNION
             SELECT seq FROM (SELECT seq FROM audit_entries
                              WHERE resource_kind = 'user' AND resource_id = $1 AND seq < $2
                              ORDER BY seq DESC LIMIT $5) AS done_to)
         ORDER BY seq DESC LIMIT $3 OFFSET $4"
    );
    let reach = part.skip.saturating_add(part.limit);
    let numbers = [part.limit, part.skip, reach].map(|it| Value::Integer(it.cast_signed()));
    let [limit, skip, reach] = numbers;
    tx.query(&sql, &[(&part.user).into(), part.before.into(), limit, skip, reach], read)
}

pub(super) fn count_activity(tx: &mut Tx<'_>, user: &str) -> Result<u64, db::Error> {
    let sql = "SELECT count(*) FROM (
                   SELECT seq FROM audit_entries WHERE actor_id = $1
                   UNION
                   SELECT seq FROM audit_entries WHERE resource_kind = 'user' AND resource_id = $1) AS all_of_it";
    Ok(tx.find(sql, &[user.into()], |row| row.integer(0))?.unwrap_or(0).unsigned_abs())
}

pub(super) fn count(tx: &mut Tx<'_>, filter: &Filter) -> Result<i64, db::Error> {
    let (condition, params) = filter.condition(1);
    let sql = format!("SELECT count(*) FROM audit_entries WHERE {condition}");
    Ok(tx.find(&sql, &params, |row| row.integer(0))?.unwrap_or(0))
}

/// Hands over the entries after `seq` up to `last`, in their order, at most `limit`.
pub(super) fn each_after(
    tx: &mut Tx<'_>,
    seq: i64,
    last: i64,
    limit: i64,
    take: &mut dyn FnMut(&Row<'_>) -> Result<(), db::Error>,
) -> Result<(), db::Error> {
    let sql = format!("SELECT {ENTRY} FROM audit_entries WHERE $1 < seq AND seq <= $2 ORDER BY seq LIMIT $3");
    tx.each(&sql, &[seq.into(), last.into(), limit.into()], take)
}

/// The newest of the oldest entries that are too old, or for which there is no room, of at most `batch`. The newest of
/// all stays, since the number of the next one is counted from it.
pub(super) fn removable(
    tx: &mut Tx<'_>,
    too_old: Option<Timestamp>,
    bytes_max: i64,
    batch: usize,
) -> Result<Option<(i64, Hash, usize)>, db::Error> {
    let sql = "SELECT seq, total_bytes FROM audit_entries ORDER BY seq DESC LIMIT 1";
    let Some((newest, total)) = tx.find(sql, &[], |row| Ok((row.integer(0)?, row.integer(1)?)))? else {
        return Ok(None);
    };
    let limit = i64::try_from(batch).unwrap_or(i64::MAX);
    let sql = "SELECT seq, created_at, total_bytes, hash FROM audit_entries WHERE seq < $1 ORDER BY seq LIMIT $2";
    let oldest = tx.query(sql, &[newest.into(), limit.into()], |row| {
        Ok((row.integer(0)?, row.timestamp(1)?, row.integer(2)?, read_hash(row, 3).unwrap_or(NOTHING_BEFORE)))
    })?;
    let is_over = |at: Timestamp, up_to: i64| too_old.is_some_and(|it| at < it) || bytes_max <= total - up_to;
    let going = oldest.iter().take_while(|(_, at, up_to, _)| is_over(*at, *up_to)).count();
    Ok(oldest[..going].last().map(|(seq, _, _, hash)| (*seq, *hash, going)))
}

/// Removes the entries up to one, and remembers that one.
pub(super) fn remove(tx: &mut Tx<'_>, anchor: &Anchor) -> Result<(), db::Error> {
    tx.execute("DELETE FROM audit_entries WHERE seq <= $1", &[anchor.seq.into()])?;
    tx.execute(
        "INSERT INTO audit_anchor (id, seq, hash, created_at, signature) VALUES (1, $1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, created_at = excluded.created_at,
                                        signature = excluded.signature",
        &[anchor.seq.into(), anchor.hash.as_slice().into(), anchor.at.into(), anchor.signature.as_slice().into()],
    )
    .map(drop)
}

pub(super) fn anchor(tx: &mut Tx<'_>) -> Result<Option<Anchor>, db::Error> {
    tx.find("SELECT seq, hash, created_at, signature FROM audit_anchor WHERE id = 1", &[], |row| {
        Ok(Anchor {
            seq: row.integer(0)?,
            // What is no hash is none that was signed.
            hash: read_hash(row, 1).unwrap_or(NOTHING_BEFORE),
            at: row.timestamp(2)?,
            signature: row.bytes(3)?.to_vec(),
        })
    })
}

/// Notes a checkpoint, in the server's own database.
pub(super) fn insert_checkpoint(tx: &mut Tx<'_>, tenant: &TenantId, checkpoint: &Checkpoint) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO audit_checkpoints (tenant_id, seq, hash, created_at, signature) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, seq) DO NOTHING",
        &[
            tenant.into(),
            checkpoint.seq.into(),
            checkpoint.hash.as_slice().into(),
            checkpoint.at.into(),
            checkpoint.signature.as_slice().into(),
        ],
    )
    .map(drop)
}

fn read_checkpoint(row: &Row<'_>) -> Result<Checkpoint, db::Error> {
    Ok(Checkpoint {
        seq: row.integer(0)?,
        hash: read_hash(row, 1)?,
        at: row.timestamp(2)?,
        signature: row.bytes(3)?.to_vec(),
    })
}

/// The checkpoints of a tenant after an entry, in their order.
pub(super) fn checkpoints(tx: &mut Tx<'_>, tenant: &TenantId, after: i64) -> Result<Vec<Checkpoint>, db::Error> {
    let sql = "SELECT seq, hash, created_at, signature FROM audit_checkpoints
               WHERE tenant_id = $1 AND $2 < seq ORDER BY seq";
    tx.query(sql, &[tenant.into(), after.into()], read_checkpoint)
}

pub(super) fn newest_checkpoint(tx: &mut Tx<'_>, tenant: &TenantId) -> Result<Option<Checkpoint>, db::Error> {
    let sql = "SELECT seq, hash, created_at, signature FROM audit_checkpoints
               WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1";
    tx.find(sql, &[tenant.into()], read_checkpoint)
}

/// Removes the checkpoints of entries that were removed.
pub(super) fn delete_checkpoints(tx: &mut Tx<'_>, tenant: &TenantId, up_to: i64) -> Result<(), db::Error> {
    let sql = "DELETE FROM audit_checkpoints WHERE tenant_id = $1 AND seq <= $2";
    tx.execute(sql, &[tenant.into(), up_to.into()]).map(drop)
}

/// Hands over the entries that a filter lets through, after `seq` up to `last`, in their order, at most `limit`.
pub(super) fn each_chosen(
    tx: &mut Tx<'_>,
    filter: &Filter,
    seq: i64,
    last: i64,
    limit: i64,
    take: &mut dyn FnMut(&Row<'_>) -> Result<(), db::Error>,
) -> Result<(), db::Error> {
    let (condition, mut params) = filter.condition(4);
    let sql =
        format!("SELECT {ENTRY} FROM audit_entries WHERE $1 < seq AND seq <= $2 AND {condition} ORDER BY seq LIMIT $3");
    let mut all = vec![seq.into(), last.into(), limit.into()];
    all.append(&mut params);
    tx.each(&sql, &all, take)
}
