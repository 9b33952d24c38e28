//! The SQL of secrets and of the master keys that close them.
use super::model::{KeptSecret, KeyKeeper};
use super::sealing::Sealed;
use crate::base::{TenantId, Timestamp, UserId};
use crate::db::{self, Row, Tx, Value};

const SECRET: &str = "name, description, hint, created_at, updated_at, last_used_at";

fn read(row: &Row<'_>) -> Result<KeptSecret, db::Error> {
    Ok(KeptSecret {
        name: row.text(0)?.to_owned(),
        description: row.text(1)?.to_owned(),
        hint: row.text(2)?.to_owned(),
        created_at: row.timestamp(3)?,
        updated_at: row.timestamp(4)?,
        last_used_at: row.optional(5, Row::timestamp)?,
    })
}

/// The secrets of someone, by name.
pub(super) fn list(tx: &mut Tx<'_>, user: UserId, limit: i64) -> Result<Vec<KeptSecret>, db::Error> {
    let sql = format!("SELECT {SECRET} FROM user_secrets WHERE user_id = $1 ORDER BY name LIMIT $2");
    tx.query(&sql, &[user.into(), limit.into()], read)
}

pub(super) fn find(tx: &mut Tx<'_>, user: UserId, name: &str) -> Result<Option<KeptSecret>, db::Error> {
    let sql = format!("SELECT {SECRET} FROM user_secrets WHERE user_id = $1 AND name = $2");
    tx.find(&sql, &[user.into(), name.into()], read)
}

pub(super) fn count(tx: &mut Tx<'_>, user: UserId) -> Result<i64, db::Error> {
    let sql = "SELECT count(*) FROM user_secrets WHERE user_id = $1";
    Ok(tx.find(sql, &[user.into()], |row| row.integer(0))?.unwrap_or(0))
}

/// Keeps a secret, in place of one of that name. False if there is no such account any more.
pub(super) fn put(
    tx: &mut Tx<'_>,
    user: UserId,
    secret: &KeptSecret,
    sealed: &Sealed,
    key_id: &str,
) -> Result<bool, db::Error> {
    let kept = tx.execute(
        "INSERT INTO user_secrets (user_id, name, description, hint, key_id, wrapped_key, sealed_value, created_at,
                                   updated_at)
         SELECT id, $2, $3, $4, $5, $6, $7, $8, $9 FROM users WHERE id = $1
         ON CONFLICT (user_id, name) DO UPDATE SET
            description = excluded.description, hint = excluded.hint, key_id = excluded.key_id,
            wrapped_key = excluded.wrapped_key, sealed_value = excluded.sealed_value,
            updated_at = excluded.updated_at, last_used_at = NULL",
        &[
            user.into(),
            (&secret.name).into(),
            (&secret.description).into(),
            (&secret.hint).into(),
            key_id.into(),
            Value::from(sealed.wrapped_key.as_slice()),
            Value::from(sealed.value.as_slice()),
            secret.created_at.into(),
            secret.updated_at.into(),
        ],
    )?;
    Ok(kept == 1)
}

/// A secret as it is closed, and the master key that closes it.
pub(super) fn find_sealed(tx: &mut Tx<'_>, user: UserId, name: &str) -> Result<Option<(Sealed, String)>, db::Error> {
    tx.find(
        "SELECT wrapped_key, sealed_value, key_id FROM user_secrets WHERE user_id = $1 AND name = $2",
        &[user.into(), name.into()],
        |row| {
            let sealed = Sealed { wrapped_key: row.bytes(0)?.to_vec(), value: row.bytes(1)?.to_vec() };
            Ok((sealed, row.text(2)?.to_owned()))
        },
    )
}

/// Notes that a secret is used. False if it is gone.
pub(super) fn touch(tx: &mut Tx<'_>, user: UserId, name: &str, now: Timestamp) -> Result<bool, db::Error> {
    let sql = "UPDATE user_secrets SET last_used_at = $3 WHERE user_id = $1 AND name = $2";
    Ok(tx.execute(sql, &[user.into(), name.into(), now.into()])? == 1)
}

/// False if there was none.
pub(super) fn delete(tx: &mut Tx<'_>, user: UserId, name: &str) -> Result<bool, db::Error> {
    Ok(tx.execute("DELETE FROM user_secrets WHERE user_id = $1 AND name = $2", &[user.into(), name.into()])? == 1)
}

/// The master key that closes what is kept from now on.
pub(super) fn current_key(tx: &mut Tx<'_>) -> Result<Option<String>, db::Error> {
    let sql = "SELECT id FROM secret_keys WHERE retired_at IS NULL";
    tx.find(sql, &[], |row| row.text(0).map(ToOwned::to_owned))
}

/// Has another master key close what is kept from now on.
pub(super) fn set_current_key(tx: &mut Tx<'_>, id: &str, keeper: KeyKeeper, now: Timestamp) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE secret_keys SET retired_at = $2 WHERE retired_at IS NULL AND id <> $1",
        &[id.into(), now.into()],
    )?;
    tx.execute(
        "INSERT INTO secret_keys (id, keeper, created_at) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET keeper = excluded.keeper, retired_at = NULL",
        &[id.into(), keeper.name().into(), now.into()],
    )
    .map(drop)
}

/// A master key that closes something, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownKey {
    pub id: String,
    pub keeper: KeyKeeper,
    pub created_at: Timestamp,
    pub is_retired: bool,
    /// How many secrets it closes.
    pub secrets: u64,
}

/// All of them: the current one first, then the newest.
pub(super) fn keys(tx: &mut Tx<'_>) -> Result<Vec<KnownKey>, db::Error> {
    tx.query(
        "SELECT id, keeper, created_at, retired_at,
                (SELECT count(*) FROM user_secrets WHERE user_secrets.key_id = secret_keys.id)
         FROM secret_keys ORDER BY retired_at IS NOT NULL, created_at DESC, id",
        &[],
        |row| {
            let is_operators = row.text(1)? == KeyKeeper::Operator.name();
            Ok(KnownKey {
                id: row.text(0)?.to_owned(),
                keeper: if is_operators { KeyKeeper::Operator } else { KeyKeeper::Server },
                created_at: row.timestamp(2)?,
                is_retired: !row.is_null(3)?,
                secrets: row.integer(4)?.unsigned_abs(),
            })
        },
    )
}

/// Master keys that close nothing, and never will.
pub(super) fn idle_keys(tx: &mut Tx<'_>) -> Result<Vec<String>, db::Error> {
    tx.query(
        "SELECT id FROM secret_keys WHERE retired_at IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM user_secrets WHERE user_secrets.key_id = secret_keys.id)",
        &[],
        |row| row.text(0).map(ToOwned::to_owned),
    )
}

pub(super) fn delete_idle_key(tx: &mut Tx<'_>, id: &str) -> Result<(), db::Error> {
    tx.execute(
        "DELETE FROM secret_keys WHERE id = $1 AND retired_at IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM user_secrets WHERE user_secrets.key_id = secret_keys.id)",
        &[id.into()],
    )
    .map(drop)
}

/// How many secrets another master key closes.
pub(super) fn count_others(tx: &mut Tx<'_>, key_id: &str) -> Result<u64, db::Error> {
    let sql = "SELECT count(*) FROM user_secrets WHERE key_id <> $1";
    Ok(tx.find(sql, &[key_id.into()], |row| row.integer(0))?.unwrap_or(0).unsigned_abs())
}

/// The key of a secret, as it is closed.
#[derive(Clone, Debug)]
pub(super) struct WrappedKey {
    pub user: UserId,
    pub name: String,
    pub key_id: String,
    pub wrapped_key: Vec<u8>,
}

/// The next secrets that another master key closes, in an order.
pub(super) fn others(
    tx: &mut Tx<'_>,
    key_id: &str,
    after: Option<&(UserId, String)>,
    limit: i64,
) -> Result<Vec<WrappedKey>, db::Error> {
    let (user, name) = after.map_or((String::new(), ""), |(user, name)| (user.to_string(), name));
    tx.query(
        "SELECT user_id, name, key_id, wrapped_key FROM user_secrets
         WHERE key_id <> $1 AND (user_id, name) > ($2, $3) ORDER BY user_id, name LIMIT $4",
        &[key_id.into(), user.into(), name.into(), limit.into()],
        |row| {
            Ok(WrappedKey {
                user: row.id(0)?,
                name: row.text(1)?.to_owned(),
                key_id: row.text(2)?.to_owned(),
                wrapped_key: row.bytes(3)?.to_vec(),
            })
        },
    )
}

/// Keeps the key of a secret as another master key closes it, unless the secret was kept anew meanwhile.
pub(super) fn rewrap(tx: &mut Tx<'_>, old: &WrappedKey, key_id: &str, wrapped_key: &[u8]) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE user_secrets SET key_id = $4, wrapped_key = $5 WHERE user_id = $1 AND name = $2 AND wrapped_key = $3",
        &[
            old.user.into(),
            (&old.name).into(),
            Value::from(old.wrapped_key.as_slice()),
            key_id.into(),
            Value::from(wrapped_key),
        ],
    )
    .map(drop)
}

// Those of the server's own database.

pub(super) fn insert_master_key(
    tx: &mut Tx<'_>,
    tenant: &TenantId,
    id: &str,
    secret: &[u8; 32],
    now: Timestamp,
) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO master_keys (tenant_id, id, secret, created_at) VALUES ($1, $2, $3, $4)",
        &[tenant.into(), id.into(), Value::from(secret.as_slice()), now.into()],
    )
    .map(drop)
}

pub(super) fn find_master_key(tx: &mut Tx<'_>, tenant: &TenantId, id: &str) -> Result<Option<[u8; 32]>, db::Error> {
    let sql = "SELECT secret FROM master_keys WHERE tenant_id = $1 AND id = $2";
    tx.find(sql, &[tenant.into(), id.into()], |row| {
        row.bytes(0)?.try_into().map_err(|_| db::Error::Column { column: 0, expected: "32 bytes" })
    })
}

/// Removes a master key, and writes over the place in the file where it was.
pub(super) fn wipe_master_key(tx: &mut Tx<'_>, tenant: &TenantId, id: &str) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE master_keys SET secret = $3 WHERE tenant_id = $1 AND id = $2",
        &[tenant.into(), id.into(), Value::from([0_u8; 32].as_slice())],
    )?;
    tx.execute("DELETE FROM master_keys WHERE tenant_id = $1 AND id = $2", &[tenant.into(), id.into()]).map(drop)
}
