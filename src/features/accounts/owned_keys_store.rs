//! The SQL of a person's own API keys, as far as their account ends them. All else about keys is in a feature that comes
//! after this one.
use crate::base::{ApiKeyId, Timestamp, UserId};
use crate::db::{self, Tx};
use crate::features::audit::{Action, Actor, Entry};
use crate::features::events;

/// Ends all keys of someone for good, and tells how many that were.
pub(super) fn revoke_all(tx: &mut Tx<'_>, owner: UserId, actor: &Actor, now: Timestamp) -> Result<u64, db::Error> {
    let revoked: Vec<ApiKeyId> = tx.query(
        "UPDATE api_keys SET revoked_at = $2, updated_at = $2, version = version + 1
         WHERE owner_id = $1 AND revoked_at IS NULL RETURNING id",
        &[owner.into(), now.into()],
        |row| row.id(0),
    )?;
    for key in &revoked {
        actor.append(tx, now, &Entry::new(Action::ApiKeyRevoke).about("api-key", key))?;
    }
    if !revoked.is_empty() {
        events::append_about_accounts(tx, now)?;
    }
    Ok(revoked.len() as u64)
}

/// How many keys of someone still work, or will when they are enabled.
pub(super) fn count_live(tx: &mut Tx<'_>, owner: UserId, now: Timestamp) -> Result<u64, db::Error> {
    let count = tx.find(
        "SELECT count(*) FROM api_keys
         WHERE owner_id = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR $2 < expires_at)",
        &[owner.into(), now.into()],
        |row| row.integer(0),
    )?;
    Ok(count.unwrap_or(0).unsigned_abs())
}
