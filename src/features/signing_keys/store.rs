//! The SQL of signing keys, all of it in the server's own database.
use super::model::{Kept, KeyState, SigningKey};
use crate::base::{Secret, Timestamp};
use crate::db::{Error, Row, Tx, Value};

fn read(row: &Row<'_>) -> Result<Kept, Error> {
    let wrong = |column, expected| Error::Column { column, expected };
    let seed = row.bytes(1)?.try_into().map_err(|_| wrong(1, "32 bytes"))?;
    let key = SigningKey {
        kid: row.text(0)?.to_owned(),
        state: KeyState::named(row.text(2)?).ok_or_else(|| wrong(2, "the state of a key"))?,
        created_at: row.timestamp(4)?,
        signs_since: row.optional(5, Row::timestamp)?,
        retired_at: row.optional(6, Row::timestamp)?,
        verifies_until: row.optional(7, Row::timestamp)?,
    };
    Ok(Kept { key, seed: Secret::new(seed), signed_unnamed: row.bool(3)? })
}

/// All keys: the one that signs first, then the next one, then those before, the newest first.
pub(super) fn list(tx: &mut Tx<'_>) -> Result<Vec<Kept>, Error> {
    tx.query(
        "SELECT kid, secret, state, signed_unnamed, created_at, signs_since, retired_at, verifies_until
         FROM signing_keys
         ORDER BY CASE state WHEN 'current' THEN 0 WHEN 'next' THEN 1 ELSE 2 END, retired_at DESC, kid",
        &[],
        read,
    )
}

pub(super) fn insert(tx: &mut Tx<'_>, kept: &Kept) -> Result<(), Error> {
    let key = &kept.key;
    tx.execute(
        "INSERT INTO signing_keys (kid, secret, state, signed_unnamed, created_at, signs_since)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            (&key.kid).into(),
            Value::from(kept.seed.reveal().as_slice()),
            key.state.name().into(),
            kept.signed_unnamed.into(),
            key.created_at.into(),
            key.signs_since.into(),
        ],
    )
    .map(drop)
}

pub(super) fn is_kept(tx: &mut Tx<'_>, kid: &str) -> Result<bool, Error> {
    Ok(tx.find("SELECT 1 FROM signing_keys WHERE kid = $1", &[kid.into()], |row| row.integer(0))?.is_some())
}

/// Lets the next key sign instead of the one with that name. False if that one does not sign any more.
pub(super) fn succeed(tx: &mut Tx<'_>, kid: &str, now: Timestamp, verifies_until: Timestamp) -> Result<bool, Error> {
    let retired = tx.execute(
        "UPDATE signing_keys SET state = 'retired', retired_at = $2, verifies_until = $3
         WHERE kid = $1 AND state = 'current'",
        &[kid.into(), now.into(), verifies_until.into()],
    )?;
    if retired == 0 {
        return Ok(false);
    }
    tx.execute("UPDATE signing_keys SET state = 'current', signs_since = $1 WHERE state = 'next'", &[now.into()])?;
    Ok(true)
}

pub(super) fn delete_all(tx: &mut Tx<'_>) -> Result<(), Error> {
    tx.execute("DELETE FROM signing_keys", &[]).map(drop)
}

/// Removes the keys whose last token has expired.
pub(super) fn delete_over(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), Error> {
    tx.execute("DELETE FROM signing_keys WHERE state = 'retired' AND verifies_until <= $1", &[now.into()]).map(drop)
}
