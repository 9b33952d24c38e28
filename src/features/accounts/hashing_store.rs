//! The SQL of what passwords cost, and of how they are kept.
use super::cost::Cost;
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};

/// Under which name the cost is among the settings.
const NAME: &str = "password-cost";

/// What was measured, if it was.
pub(super) fn find_cost(tx: &mut Tx<'_>) -> Result<Option<Cost>, db::Error> {
    let sql = "SELECT content FROM settings WHERE name = $1";
    let content = tx.find(sql, &[NAME.into()], |row| Ok(row.text(0)?.to_owned()))?;
    // What cannot be read is measured anew.
    Ok(content.and_then(|it| serde_json::from_str(&it).ok()))
}

pub(super) fn set_cost(tx: &mut Tx<'_>, cost: Cost, now: Timestamp) -> Result<(), db::Error> {
    let content = serde_json::json!(cost).to_string();
    tx.execute(
        "INSERT INTO settings (name, content, version, updated_at) VALUES ($1, $2, 1, $3)
         ON CONFLICT (name) DO UPDATE SET content = $2, version = settings.version + 1, updated_at = $3",
        &[NAME.into(), content.into(), now.into()],
    )
    .map(drop)
}

/// The hashes of accounts after one, in the order of their ids.
pub(super) fn hashes(tx: &mut Tx<'_>, after: Option<UserId>, limit: u64) -> Result<Vec<(UserId, String)>, db::Error> {
    tx.query(
        "SELECT id, password_hash FROM users WHERE $1 IS NULL OR $1 < id ORDER BY id LIMIT $2",
        &[after.into(), limit.cast_signed().into()],
        |row| Ok((row.id(0)?, row.text(1)?.to_owned())),
    )
}
