use crate::base::Timestamp;
use crate::db::{Error, Tx, Value};

pub(super) fn insert_if_missing(
    tx: &mut Tx<'_>,
    purpose: &str,
    secret: &[u8; 32],
    now: Timestamp,
) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO server_keys (purpose, secret, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (purpose) DO NOTHING",
        &[purpose.into(), Value::from(secret.as_slice()), now.into()],
    )
    .map(drop)
}

pub(super) fn find(tx: &mut Tx<'_>, purpose: &str) -> Result<Option<[u8; 32]>, Error> {
    tx.find("SELECT secret FROM server_keys WHERE purpose = $1", &[purpose.into()], |row| {
        row.bytes(0)?.try_into().map_err(|_| Error::Column { column: 0, expected: "32 bytes" })
    })
}

pub(super) fn delete(tx: &mut Tx<'_>, purpose: &str) -> Result<(), Error> {
    tx.execute("DELETE FROM server_keys WHERE purpose = $1", &[purpose.into()]).map(drop)
}
