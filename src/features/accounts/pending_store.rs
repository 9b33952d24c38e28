//! The SQL of accounts that somebody registered who has to show first that the address is theirs.
use super::model::User;
use super::store::words;
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};

/// Whether someone registered who still has to show that the address is theirs.
pub(super) fn is_pending(tx: &mut Tx<'_>, id: UserId) -> Result<bool, db::Error> {
    let found = tx.find("SELECT is_pending FROM users WHERE id = $1", &[id.into()], |row| row.bool(0))?;
    Ok(found.unwrap_or(false))
}

/// Has someone who was just added show first that the address is theirs.
pub(super) fn set_pending(tx: &mut Tx<'_>, id: UserId) -> Result<(), db::Error> {
    tx.execute("UPDATE users SET is_pending = 1 WHERE id = $1", &[id.into()])?;
    set_self_registered(tx, id)
}

/// Notes that somebody registered an account themselves, with an address that need not be theirs.
pub(super) fn set_self_registered(tx: &mut Tx<'_>, id: UserId) -> Result<(), db::Error> {
    tx.execute("UPDATE users SET is_self_registered = 1 WHERE id = $1", &[id.into()]).map(drop)
}

/// Whether somebody registered an account themselves: nobody else gave it its address.
pub(super) fn is_self_registered(tx: &mut Tx<'_>, id: UserId) -> Result<bool, db::Error> {
    let found = tx.find("SELECT is_self_registered FROM users WHERE id = $1", &[id.into()], |row| row.bool(0))?;
    Ok(found.unwrap_or(false))
}

/// Gives an account that nobody could use so far to whoever registers with its address now, under the id that they are
/// told unless a record refers to it. False if somebody uses it.
pub(super) fn take_over_pending(
    tx: &mut Tx<'_>,
    user: &User,
    password_hash: &str,
    now: Timestamp,
) -> Result<bool, db::Error> {
    let (email, name) = (&user.email, &user.name);
    tx.execute(
        "DELETE FROM one_time_secrets WHERE user_id IN (SELECT id FROM users WHERE email = $1 AND is_pending = 1)",
        &[email.into()],
    )?;
    let taken = tx.execute(
        "UPDATE users SET name = $2, password_hash = $3, created_at = $4, updated_at = $4, words = $5,
                          version = version + 1, is_self_registered = 1
         WHERE email = $1 AND is_pending = 1 AND deleted_at IS NULL",
        &[email.into(), name.into(), password_hash.into(), now.into(), words(name, email).into()],
    )?;
    let rename = "UPDATE users SET id = $2 WHERE email = $1 AND is_pending = 1 AND deleted_at IS NULL";
    match tx.attempt(|tx| tx.execute(rename, &[email.into(), user.id.into()])) {
        Ok(_) | Err(db::Error::Conflict { .. }) => Ok(taken == 1),
        Err(other) => Err(other),
    }
}

/// Makes room for someone whom the server itself gives an address: an account that nobody could use so far goes, unless a
/// record holds it.
pub(super) fn make_room(tx: &mut Tx<'_>, email: &str) -> Result<(), db::Error> {
    let give_way =
        |tx: &mut Tx<'_>| tx.execute("DELETE FROM users WHERE email = $1 AND is_pending = 1", &[email.into()]);
    match tx.attempt(give_way) {
        Ok(_) | Err(db::Error::Conflict { .. }) => Ok(()),
        Err(other) => Err(other),
    }
}

/// Removes accounts that nobody could use, made at `before` or earlier, among the `limit` oldest, and tells how many. One
/// that records refer to stays if their relations say so.
pub(super) fn delete_pending(tx: &mut Tx<'_>, before: Timestamp, limit: i64) -> Result<u64, db::Error> {
    let sql = "SELECT id FROM users WHERE is_pending = 1 AND created_at <= $1 ORDER BY created_at LIMIT $2";
    let too_old: Vec<UserId> = tx.query(sql, &[before.into(), limit.into()], |row| row.id(0))?;
    let mut removed = 0;
    for id in too_old {
        match tx.attempt(|tx| tx.execute("DELETE FROM users WHERE id = $1", &[id.into()])) {
            Ok(count) => removed += count,
            Err(db::Error::Conflict { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    Ok(removed)
}
