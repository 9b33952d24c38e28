//! The SQL of secrets that work once.
use super::one_time::{OneTimeId, Purpose, Row};
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};

/// Most secrets of one person and purpose that count at a time: a mail may be asked for again before it arrives. As many for
/// each known device: whoever knows the password asks for a second factor as often as they like.
pub(super) const LIVE_MAX: u32 = 5;

/// Adds a secret. The oldest ones of the same purpose, and of the same device, make room.
pub(super) fn insert(tx: &mut Tx<'_>, row: &Row) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO one_time_secrets (id, user_id, purpose, email, created_at, expires_at, device_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            row.id.into(),
            row.user.into(),
            row.purpose.name().into(),
            (&row.email).into(),
            row.created_at.into(),
            row.expires_at.into(),
            row.device.into(),
        ],
    )?;
    let its = "user_id = $1 AND purpose = $2 AND device_id IS NOT DISTINCT FROM $4";
    tx.execute(
        &format!(
            "DELETE FROM one_time_secrets WHERE {its} AND id NOT IN
                (SELECT id FROM one_time_secrets WHERE {its} ORDER BY id DESC LIMIT $3)"
        ),
        &[row.user.into(), row.purpose.name().into(), LIVE_MAX.into(), row.device.into()],
    )
    .map(drop)
}

/// Whose a secret is that still works, and the address that it was sent to. It is not used up.
pub(super) fn find(
    tx: &mut Tx<'_>,
    id: OneTimeId,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Option<(UserId, String)>, db::Error> {
    tx.find(
        "SELECT user_id, email FROM one_time_secrets WHERE id = $1 AND purpose = $2 AND $3 < expires_at",
        &[id.into(), purpose.name().into(), now.into()],
        |row| Ok((row.id(0)?, row.text(1)?.to_owned())),
    )
}

/// The secrets of someone that still work, and were made after `since`.
pub(super) fn live(
    tx: &mut Tx<'_>,
    user: UserId,
    purpose: Purpose,
    since: Timestamp,
    now: Timestamp,
) -> Result<Vec<OneTimeId>, db::Error> {
    tx.query(
        "SELECT id FROM one_time_secrets WHERE user_id = $1 AND purpose = $2 AND $3 < created_at AND $4 < expires_at",
        &[user.into(), purpose.name().into(), since.into(), now.into()],
        |row| row.id(0),
    )
}

/// Uses a secret up, and with it all others of its purpose. False if it does not work any more.
pub(super) fn use_up(
    tx: &mut Tx<'_>,
    id: OneTimeId,
    user: UserId,
    purpose: Purpose,
    now: Timestamp,
) -> Result<bool, db::Error> {
    let used = tx.execute(
        "DELETE FROM one_time_secrets WHERE id = $1 AND user_id = $2 AND purpose = $3 AND $4 < expires_at",
        &[id.into(), user.into(), purpose.name().into(), now.into()],
    )?;
    if used == 1 {
        delete(tx, user, purpose)?;
    }
    Ok(used == 1)
}

/// Takes the secrets of one purpose from someone.
pub(super) fn delete(tx: &mut Tx<'_>, user: UserId, purpose: Purpose) -> Result<(), db::Error> {
    let sql = "DELETE FROM one_time_secrets WHERE user_id = $1 AND purpose = $2";
    tx.execute(sql, &[user.into(), purpose.name().into()]).map(drop)
}

/// Takes all secrets from someone: their password was changed, or their address.
pub(super) fn delete_all(tx: &mut Tx<'_>, user: UserId) -> Result<(), db::Error> {
    tx.execute("DELETE FROM one_time_secrets WHERE user_id = $1", &[user.into()]).map(drop)
}

/// Removes up to `limit` secrets whose time is over, and tells how many.
pub(super) fn delete_expired(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<u64, db::Error> {
    tx.execute(
        "DELETE FROM one_time_secrets WHERE id IN
            (SELECT id FROM one_time_secrets WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        &[now.into(), limit.into()],
    )
}
