//! The SQL of known devices.
use super::devices::{Device, DeviceId};
use super::error::Error;
use crate::base::UserId;
use crate::db::{self, Row, Tx};

/// Whether the account with an address knows a device.
pub(super) fn is_known(tx: &mut Tx<'_>, device: Device, email: &str) -> Result<bool, db::Error> {
    let found = tx.find(
        "SELECT device_generation, kept_device FROM users WHERE id = $1 AND email = $2",
        &[device.user.into(), email.into()],
        |row| Ok((row.integer(0)?, row.optional(1, Row::id)?)),
    )?;
    Ok(found.is_some_and(|(generation, kept)| generation == device.generation || kept == Some(device.id)))
}

/// How often someone's password was replaced, as the tokens of their devices say it.
pub(super) fn generation(tx: &mut Tx<'_>, user: UserId) -> Result<i64, db::Error> {
    let found = tx.find("SELECT device_generation FROM users WHERE id = $1", &[user.into()], |row| row.integer(0))?;
    Ok(found.unwrap_or(0))
}

/// Refuses a password that was replaced since it was looked at, which takes a while.
pub(super) fn must_be(tx: &mut Tx<'_>, user: UserId, seen: i64) -> Result<(), Error> {
    if generation(tx, user)? == seen { Ok(()) } else { Err(Error::WrongCredentials) }
}

/// Forgets all devices of someone but one.
pub(super) fn forget(tx: &mut Tx<'_>, user: UserId, kept: Option<DeviceId>) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE users SET device_generation = device_generation + 1, kept_device = $2 WHERE id = $1",
        &[user.into(), kept.into()],
    )
    .map(drop)
}
