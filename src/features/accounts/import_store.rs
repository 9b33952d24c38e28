//! The SQL of importing accounts.
use super::import::Row;
use super::pending_store;
use super::store::words;
use crate::db::{self, Tx};

/// Adds an account. False if its address has one.
pub(super) fn insert(tx: &mut Tx<'_>, row: &Row) -> Result<bool, db::Error> {
    let user = &row.user;
    pending_store::make_room(tx, &user.email)?;
    let added = tx.execute(
        "INSERT INTO users (id, email, email_verified, name, role, password_hash, version,
                            created_at, updated_at, tier, disabled_at, words)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (email) DO NOTHING",
        &[
            user.id.into(),
            (&user.email).into(),
            user.email_verified.into(),
            (&user.name).into(),
            user.role.as_str().into(),
            (&row.hash).into(),
            user.version.into(),
            user.created_at.into(),
            user.updated_at.into(),
            user.tier.as_ref().into(),
            user.disabled_at.into(),
            words(&user.name, &user.email).into(),
        ],
    )?;
    Ok(added == 1)
}

/// Whether an address has no account.
pub(super) fn is_free(tx: &mut Tx<'_>, row: &Row) -> Result<bool, db::Error> {
    let sql = "SELECT 1 FROM users WHERE email = $1 AND is_pending = 0";
    Ok(tx.find(sql, &[(&row.user.email).into()], |row| row.integer(0))?.is_none())
}
