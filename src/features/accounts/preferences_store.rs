//! The SQL of preferences.
use super::preferences::Preferences;
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};

/// What someone keeps here, and how often it was changed; nothing at all before the first time.
pub(super) fn find(tx: &mut Tx<'_>, user: UserId) -> Result<(Preferences, i64), db::Error> {
    let found = tx.find("SELECT content, version FROM preferences WHERE user_id = $1", &[user.into()], |row| {
        let unreadable = db::Error::Column { column: 0, expected: "an object" };
        Ok((serde_json::from_str(row.text(0)?).map_err(|_| unreadable)?, row.integer(1)?))
    })?;
    Ok(found.map_or_else(|| (Preferences::default(), 0), |(members, version)| (Preferences(members), version)))
}

/// Keeps what someone sent, and tells how often it was changed.
pub(super) fn set(tx: &mut Tx<'_>, user: UserId, preferences: &Preferences, now: Timestamp) -> Result<i64, db::Error> {
    let version = tx.find(
        "INSERT INTO preferences (user_id, content, version, updated_at) VALUES ($1, $2, 1, $3)
         ON CONFLICT (user_id) DO UPDATE SET content = $2, version = version + 1, updated_at = $3
         RETURNING version",
        &[user.into(), preferences.text().into(), now.into()],
        |row| row.integer(0),
    )?;
    Ok(version.unwrap_or(1))
}
