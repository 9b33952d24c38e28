//! The SQL of keys.
use poem_openapi::types::Any;

use super::credits::{Credits, Interval, Refill};
use super::limits;
use super::model::{ApiKey, RateLimit, State, Used};
use crate::base::{ApiKeyId, Timestamp, UserId};
use crate::db::{self, Row, Tx, Value};
use crate::features::roles;
use crate::http::Permissions;

const KEY: &str = "k.id, k.name, k.description, k.hint, k.owner_id, k.created_by, k.scopes, k.allowed_ips, k.tier,
                   k.limit_count, k.limit_window_secs, k.metadata, k.disabled_at, k.revoked_at, k.expires_at,
                   k.rotated_at, k.last_used_at, k.version, k.created_at, k.updated_at, k.old_expires_at,
                   k.rate_limits, k.credits_left, k.refill_amount, k.refill_interval, k.refill_day, k.refilled_at,
                   k.credits_grant";
/// How many columns these are: what is asked for besides comes after them.
const COLUMNS: usize = 28;

fn read_key(row: &Row<'_>) -> Result<ApiKey, db::Error> {
    let number = |column| Ok::<_, db::Error>(row.optional(column, Row::integer)?.and_then(|it| u32::try_from(it).ok()));
    let rate_limit = number(9)?.zip(number(10)?).map(|(limit, window_secs)| RateLimit { limit, window_secs });
    Ok(ApiKey {
        id: row.id(0)?,
        name: row.text(1)?.to_owned(),
        description: row.text(2)?.to_owned(),
        hint: row.text(3)?.to_owned(),
        // Until it is asked at which time.
        state: State::Active,
        owner: row.optional(4, Row::id)?,
        created_by: row.text(5)?.to_owned(),
        scopes: roles::read_granted(row, 6)?.names(),
        allowed_ips: list(row, 7)?,
        tier: owned(row, 8)?,
        rate_limit,
        metadata: Any(serde_json::from_str(row.text(11)?).unwrap_or_default()),
        disabled_at: row.optional(12, Row::timestamp)?,
        revoked_at: row.optional(13, Row::timestamp)?,
        expires_at: row.optional(14, Row::timestamp)?,
        rotated_at: row.optional(15, Row::timestamp)?,
        last_used_at: row.optional(16, Row::timestamp)?,
        version: row.integer(17)?,
        created_at: row.timestamp(18)?,
        updated_at: row.timestamp(19)?,
        old_secret_until: row.optional(20, Row::timestamp)?,
        rate_limits: limits::read(row.text(21)?),
        credits: read_credits(row)?,
        refilled_at: row.optional(26, Row::timestamp)?,
        credits_grant: row.integer(27)?,
    })
}

fn read_credits(row: &Row<'_>) -> Result<Option<Credits>, db::Error> {
    let Some(remaining) = row.optional(22, Row::integer)? else { return Ok(None) };
    let amount = row.optional(23, Row::integer)?.map(i64::unsigned_abs);
    let interval = row.optional(24, Row::text)?.and_then(Interval::of);
    let day = row.optional(25, Row::integer)?.and_then(|it| u8::try_from(it).ok());
    let refill = amount.zip(interval).map(|(amount, interval)| Refill { amount, interval, day });
    Ok(Some(Credits { remaining: remaining.unsigned_abs(), refill, refills_at: None }))
}

fn list(row: &Row<'_>, column: usize) -> Result<Vec<String>, db::Error> {
    serde_json::from_str(row.text(column)?).map_err(|_| db::Error::Column { column, expected: "a list of texts" })
}

fn owned(row: &Row<'_>, column: usize) -> Result<Option<String>, db::Error> {
    Ok(row.optional(column, Row::text)?.map(ToOwned::to_owned))
}

fn listed(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// The account that a key belongs to, as it is now.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub id: UserId,
    pub role: String,
    pub permissions: Permissions,
    pub email: String,
    pub email_verified: bool,
    pub tier: Option<String>,
    /// Whether the account is disabled, or was deleted.
    pub is_disabled: bool,
}

/// A key with what decides whether it works.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub key: ApiKey,
    pub owner: Option<Owner>,
    /// The digests of its secret, and of the one before.
    pub digests: [Option<String>; 2],
}

impl Found {
    /// What the key may try: no more than its owner.
    pub fn permissions(&self) -> Permissions {
        let scopes = self.key.granted();
        self.owner.as_ref().map_or_else(|| scopes.clone(), |it| scopes.shared(&it.permissions))
    }

    /// Until when the secret works that was asked for.
    pub fn until(&self, digest: &str) -> Option<Timestamp> {
        let of_secret = self.key.old_secret_until.filter(|_| self.is_old(digest));
        [self.key.expires_at, of_secret].into_iter().flatten().min()
    }

    /// Whether a secret is the one before the last rotation.
    pub fn is_old(&self, digest: &str) -> bool {
        let [current, old] = &self.digests;
        current.as_deref() != Some(digest) && old.as_deref() == Some(digest)
    }
}

fn found_where(condition: &str) -> String {
    format!(
        "SELECT {KEY}, u.id, u.role, r.permissions, u.email, u.email_verified, u.tier,
                coalesce(u.disabled_at, u.deleted_at), k.secret_digest, k.old_digest
         FROM api_keys AS k LEFT JOIN users AS u ON u.id = k.owner_id LEFT JOIN roles AS r ON r.name = u.role
         WHERE {condition}"
    )
}

fn read_found(row: &Row<'_>) -> Result<Found, db::Error> {
    let owner = match row.optional(COLUMNS, Row::id)? {
        None => None,
        Some(id) => Some(Owner {
            id,
            role: row.text(COLUMNS + 1)?.to_owned(),
            permissions: roles::read_granted(row, COLUMNS + 2)?,
            email: row.text(COLUMNS + 3)?.to_owned(),
            email_verified: row.bool(COLUMNS + 4)?,
            tier: owned(row, COLUMNS + 5)?,
            is_disabled: !row.is_null(COLUMNS + 6)?,
        }),
    };
    Ok(Found { key: read_key(row)?, owner, digests: [owned(row, COLUMNS + 7)?, owned(row, COLUMNS + 8)?] })
}

/// The key that a secret belongs to, or belonged to before the last rotation.
pub(super) fn find_by_digest(tx: &mut Tx<'_>, digest: &str) -> Result<Option<Found>, db::Error> {
    tx.find(&found_where("k.secret_digest = $1 OR k.old_digest = $1"), &[digest.into()], read_found)
}

/// A key with its owner.
pub(super) fn find_with_owner(tx: &mut Tx<'_>, id: ApiKeyId) -> Result<Option<Found>, db::Error> {
    tx.find(&found_where("k.id = $1"), &[id.into()], read_found)
}

pub(super) fn find(tx: &mut Tx<'_>, id: ApiKeyId) -> Result<Option<ApiKey>, db::Error> {
    tx.find(&format!("SELECT {KEY} FROM api_keys AS k WHERE k.id = $1"), &[id.into()], read_key)
}

/// One page of keys, the oldest first, after the position `after`.
pub(super) fn page(
    tx: &mut Tx<'_>,
    owner: Option<UserId>,
    after: Option<(Timestamp, ApiKeyId)>,
    skip: u64,
    limit: u64,
) -> Result<Vec<ApiKey>, db::Error> {
    let mut conditions = Vec::new();
    let mut values = vec![Value::Integer(limit.cast_signed()), Value::Integer(skip.cast_signed())];
    if let Some((created_at, id)) = after {
        conditions.push("(k.created_at, k.id) > ($3, $4)".to_owned());
        values.extend([created_at.into(), id.into()]);
    }
    if let Some(owner) = owner {
        values.push(owner.into());
        conditions.push(format!("k.owner_id = ${}", values.len()));
    }
    let restriction = if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };
    let sql = format!("SELECT {KEY} FROM api_keys AS k {restriction} ORDER BY k.created_at, k.id LIMIT $1 OFFSET $2");
    tx.query(&sql, &values, read_key)
}

pub(super) fn count(tx: &mut Tx<'_>, owner: Option<UserId>) -> Result<i64, db::Error> {
    let count = match owner {
        None => tx.find("SELECT count(*) FROM api_keys", &[], |row| row.integer(0)),
        Some(owner) => {
            tx.find("SELECT count(*) FROM api_keys WHERE owner_id = $1", &[owner.into()], |row| row.integer(0))
        }
    };
    Ok(count?.unwrap_or(0))
}

/// How many keys of someone, or of nobody, were not revoked.
pub(super) fn count_live(tx: &mut Tx<'_>, owner: Option<UserId>) -> Result<i64, db::Error> {
    let count = tx.find(
        "SELECT count(*) FROM api_keys WHERE coalesce(owner_id, '') = $1 AND revoked_at IS NULL",
        &[owner_text(owner).into()],
        |row| row.integer(0),
    )?;
    Ok(count.unwrap_or(0))
}

/// Forgets all but the newest `most` keys of someone, or of nobody, that were revoked.
pub(super) fn delete_revoked(tx: &mut Tx<'_>, owner: Option<UserId>, most: i64) -> Result<(), db::Error> {
    tx.execute(
        "DELETE FROM api_keys WHERE id IN
            (SELECT id FROM api_keys WHERE coalesce(owner_id, '') = $1 AND revoked_at IS NOT NULL
             ORDER BY revoked_at DESC, id DESC LIMIT 500 OFFSET $2)",
        &[owner_text(owner).into(), most.into()],
    )
    .map(drop)
}

fn owner_text(owner: Option<UserId>) -> String {
    owner.map(|it| it.to_string()).unwrap_or_default()
}

pub(super) fn insert(tx: &mut Tx<'_>, key: &ApiKey, secret_digest: &str) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO api_keys (id, name, description, hint, secret_digest, owner_id, created_by, scopes, allowed_ips,
                               tier, limit_count, limit_window_secs, metadata, expires_at, version, created_at,
                               updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
        &[
            key.id.into(),
            (&key.name).into(),
            (&key.description).into(),
            (&key.hint).into(),
            secret_digest.into(),
            key.owner.into(),
            (&key.created_by).into(),
            listed(&key.scopes).into(),
            listed(&key.allowed_ips).into(),
            key.tier.as_ref().into(),
            key.rate_limit.map(|it| it.limit).into(),
            key.rate_limit.map(|it| it.window_secs).into(),
            key.metadata.0.to_string().into(),
            key.expires_at.into(),
            key.version.into(),
            key.created_at.into(),
            key.updated_at.into(),
        ],
    )?;
    set_bounds(tx, key)?;
    give_credits(tx, key)
}

/// Writes the limits with names, and when credits are filled up.
fn set_bounds(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), db::Error> {
    let refill = key.credits.and_then(|it| it.refill);
    tx.execute(
        "UPDATE api_keys SET rate_limits = $2, refill_amount = $3, refill_interval = $4, refill_day = $5 WHERE id = $1",
        &[
            key.id.into(),
            limits::written(&key.rate_limits).into(),
            refill.map(|it| it.amount.cast_signed()).into(),
            refill.map(|it| it.interval.name().to_owned()).into(),
            refill.and_then(|it| it.day).map(i64::from).into(),
        ],
    )
    .map(drop)
}

/// Writes how many calls a key has from now on.
pub(super) fn give_credits(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE api_keys SET credits_left = $2, refilled_at = $3, credits_grant = $4 WHERE id = $1",
        &[
            key.id.into(),
            key.credits.map(|it| it.remaining.cast_signed()).into(),
            key.refilled_at.into(),
            key.credits_grant.into(),
        ],
    )
    .map(drop)
}

/// Writes what is left of what a key was given, unless it was given something else since.
pub(super) fn set_balance(
    tx: &mut Tx<'_>,
    key: ApiKeyId,
    grant: i64,
    remaining: u64,
    refilled_at: Timestamp,
) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE api_keys SET credits_left = $3, refilled_at = $4
         WHERE id = $1 AND credits_grant = $2 AND credits_left IS NOT NULL",
        &[key.into(), grant.into(), remaining.cast_signed().into(), refilled_at.into()],
    )
    .map(drop)
}

/// Writes what may change of a key, but for its secret and how many calls it has left.
pub(super) fn update(tx: &mut Tx<'_>, key: &ApiKey) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE api_keys SET name = $2, description = $3, scopes = $4, allowed_ips = $5, tier = $6, limit_count = $7,
                limit_window_secs = $8, metadata = $9, disabled_at = $10, revoked_at = $11, expires_at = $12,
                version = $13, updated_at = $14
         WHERE id = $1",
        &[
            key.id.into(),
            (&key.name).into(),
            (&key.description).into(),
            listed(&key.scopes).into(),
            listed(&key.allowed_ips).into(),
            key.tier.as_ref().into(),
            key.rate_limit.map(|it| it.limit).into(),
            key.rate_limit.map(|it| it.window_secs).into(),
            key.metadata.0.to_string().into(),
            key.disabled_at.into(),
            key.revoked_at.into(),
            key.expires_at.into(),
            key.version.into(),
            key.updated_at.into(),
        ],
    )?;
    set_bounds(tx, key)
}

/// Gives a key another secret. The one before works until `old_until`; one from before that not any more.
pub(super) fn set_secret(
    tx: &mut Tx<'_>,
    key: &ApiKey,
    secret_digest: &str,
    old_until: Option<Timestamp>,
) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE api_keys SET old_digest = CASE WHEN $4 IS NULL THEN NULL ELSE secret_digest END, old_expires_at = $4,
                secret_digest = $2, hint = $3, rotated_at = $5, updated_at = $5, version = $6
         WHERE id = $1",
        &[
            key.id.into(),
            secret_digest.into(),
            (&key.hint).into(),
            old_until.into(),
            key.updated_at.into(),
            key.version.into(),
        ],
    )
    .map(drop)
}

/// Adds to how often a key called an operation on a day. Nothing, if there is no such key any more.
pub(super) fn add_usage(
    tx: &mut Tx<'_>,
    key: ApiKeyId,
    day: i64,
    operation: &str,
    calls: u32,
    refused: u32,
) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO api_key_usage (key_id, day, operation, calls, refused)
         SELECT $1, $2, $3, $4, $5 WHERE EXISTS (SELECT 1 FROM api_keys WHERE id = $1)
         ON CONFLICT (key_id, day, operation) DO UPDATE SET
            calls = api_key_usage.calls + excluded.calls, refused = api_key_usage.refused + excluded.refused",
        &[key.into(), day.into(), operation.into(), calls.into(), refused.into()],
    )
    .map(drop)
}

pub(super) fn set_last_used(tx: &mut Tx<'_>, key: ApiKeyId, at: Timestamp) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
        &[key.into(), at.into()],
    )
    .map(drop)
}

/// Forgets what happened before a day.
pub(super) fn delete_usage(tx: &mut Tx<'_>, before: i64) -> Result<(), db::Error> {
    tx.execute("DELETE FROM api_key_usage WHERE day < $1", &[before.into()]).map(drop)
}

/// What a key was used for since a day, the newest first.
pub(super) fn usage(tx: &mut Tx<'_>, key: ApiKeyId, since: i64, limit: i64) -> Result<Vec<(i64, Used)>, db::Error> {
    tx.query(
        "SELECT day, operation, calls, refused FROM api_key_usage WHERE key_id = $1 AND $2 <= day
         ORDER BY day DESC, operation LIMIT $3",
        &[key.into(), since.into(), limit.into()],
        |row| {
            let used = Used {
                day: String::new(),
                operation: row.text(1)?.to_owned(),
                calls: row.integer(2)?.unsigned_abs(),
                refused: row.integer(3)?.unsigned_abs(),
            };
            Ok((row.integer(0)?, used))
        },
    )
}
