//! The SQL of accounts that go.
use super::error::Error;
use super::model::User;
use super::store::{USER, read_user};
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};

/// Someone who was deleted.
pub(super) fn find_in_bin(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>, db::Error> {
    tx.find(&format!("SELECT {USER} FROM users WHERE id = $1 AND deleted_at IS NOT NULL"), &[id.into()], read_user)
}

/// Puts an account into the bin, or takes it out, and counts the change.
pub(super) fn set_deleted(
    tx: &mut Tx<'_>,
    id: UserId,
    deleted_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE users SET deleted_at = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        &[id.into(), deleted_at.into(), now.into()],
    )
    .map(drop)
}

/// Removes an account. What is its owner's goes with it, as the tables say; records go, change, or stand in the way.
pub(super) fn delete(tx: &mut Tx<'_>, id: UserId) -> Result<(), Error> {
    match tx.execute("DELETE FROM users WHERE id = $1", &[id.into()]) {
        Ok(_) => Ok(()),
        Err(db::Error::Conflict { .. }) => Err(Error::InUse),
        Err(db::Error::TooDeep) => Err(Error::TooDeep),
        Err(error) => Err(error.into()),
    }
}

/// Those who are in the bin since `before` or longer, in the order in which they came, after a place in it.
pub fn deleted_before(
    tx: &mut Tx<'_>,
    before: Timestamp,
    after: (Timestamp, UserId),
    limit: i64,
) -> Result<Vec<(Timestamp, UserId)>, db::Error> {
    tx.query(
        "SELECT deleted_at, id FROM users
         WHERE deleted_at IS NOT NULL AND deleted_at <= $1 AND (deleted_at, id) > ($2, $3) ORDER BY deleted_at, id LIMIT $4",
        &[before.into(), after.0.into(), after.1.into(), limit.into()],
        |row| Ok((row.timestamp(0)?, row.id(1)?)),
    )
}
