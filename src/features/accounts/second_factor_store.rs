//! The SQL of second factors.
use super::totp::{Factor, FactorId, Proof};
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};

pub(super) fn find(tx: &mut Tx<'_>, user: UserId) -> Result<Option<Factor>, db::Error> {
    tx.find(
        "SELECT id, confirmed_at IS NOT NULL, recovery_round, recovery_used FROM second_factors WHERE user_id = $1",
        &[user.into()],
        |row| {
            Ok(Factor {
                id: row.id(0)?,
                is_confirmed: row.bool(1)?,
                recovery_round: row.integer(2)?,
                recovery_used: row.integer(3)?,
            })
        },
    )
}

/// Whether someone has to show a second factor.
pub(super) fn is_on(tx: &mut Tx<'_>, user: UserId) -> Result<bool, db::Error> {
    Ok(find(tx, user)?.is_some_and(|it| it.is_confirmed))
}

/// Begins a second factor, in place of one that was never confirmed. False if there is one that is.
pub(super) fn begin(tx: &mut Tx<'_>, user: UserId, id: FactorId, now: Timestamp) -> Result<bool, db::Error> {
    let begun = tx.execute(
        "INSERT INTO second_factors (user_id, id, last_step, recovery_round, recovery_used, created_at)
         VALUES ($1, $2, 0, 0, 0, $3)
         ON CONFLICT (user_id) DO UPDATE SET id = $2, last_step = 0, created_at = $3
         WHERE second_factors.confirmed_at IS NULL",
        &[user.into(), id.into(), now.into()],
    )?;
    Ok(begun == 1)
}

/// Notes that its owner has it in an app. False if there is none that waits for that.
pub(super) fn confirm(tx: &mut Tx<'_>, user: UserId, id: FactorId, now: Timestamp) -> Result<bool, db::Error> {
    let sql = "UPDATE second_factors SET confirmed_at = $3 WHERE user_id = $1 AND id = $2 AND confirmed_at IS NULL";
    Ok(tx.execute(sql, &[user.into(), id.into(), now.into()])? == 1)
}

/// Uses up what someone showed. False if it was used before.
pub(super) fn take(tx: &mut Tx<'_>, user: UserId, id: FactorId, proof: Proof) -> Result<bool, db::Error> {
    let taken = match proof {
        Proof::Step(step) => tx.execute(
            "UPDATE second_factors SET last_step = $3 WHERE user_id = $1 AND id = $2 AND last_step < $3",
            &[user.into(), id.into(), step.into()],
        )?,
        Proof::Recovery(at) => tx.execute(
            "UPDATE second_factors SET recovery_used = recovery_used | $3
             WHERE user_id = $1 AND id = $2 AND recovery_used & $3 = 0",
            &[user.into(), id.into(), (1_i64 << at).into()],
        )?,
    };
    Ok(taken == 1)
}

/// Begins another set of recovery codes; those before work no more.
pub(super) fn next_round(tx: &mut Tx<'_>, user: UserId, id: FactorId) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE second_factors SET recovery_round = recovery_round + 1, recovery_used = 0
         WHERE user_id = $1 AND id = $2",
        &[user.into(), id.into()],
    )
    .map(drop)
}

/// False if there was none.
pub(super) fn delete(tx: &mut Tx<'_>, user: UserId) -> Result<bool, db::Error> {
    Ok(tx.execute("DELETE FROM second_factors WHERE user_id = $1", &[user.into()])? == 1)
}
