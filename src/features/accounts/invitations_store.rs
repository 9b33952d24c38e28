//! The SQL of invitations.
use super::invitations_model::{Invitation, InvitationId, InvitationState};
use super::model::User;
use crate::base::{ApiKeyId, Timestamp, UserId};
use crate::db::{self, Row, Tx, Value};
use crate::features::roles::{self, RoleName};
use crate::http::Permissions;

/// `$1` is the present time.
const INVITATION: &str =
    "id, email, name, role, tier, message, invited_by, created_at, sent_at, expires_at, accepted_at,
    user_id, expires_at <= $1,
    EXISTS (SELECT 1 FROM users WHERE users.email = invitations.email AND users.is_pending = 0)";

fn read(row: &Row<'_>) -> Result<Invitation, db::Error> {
    let accepted_at = row.optional(10, Row::timestamp)?;
    let state = match (accepted_at, row.bool(13)?, row.bool(12)?) {
        (Some(_), _, _) => InvitationState::Accepted,
        (None, true, _) => InvitationState::Registered,
        (None, false, true) => InvitationState::Expired,
        (None, false, false) => InvitationState::Open,
    };
    Ok(Invitation {
        id: row.id(0)?,
        email: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        role: row.text(3)?.parse().map_err(|_| db::Error::Column { column: 3, expected: "the name of a role" })?,
        tier: row.optional(4, Row::text)?.map(ToOwned::to_owned),
        message: row.text(5)?.to_owned(),
        state,
        invited_by: row.text(6)?.to_owned(),
        created_at: row.timestamp(7)?,
        sent_at: row.timestamp(8)?,
        expires_at: row.timestamp(9)?,
        accepted_at,
        user_id: row.optional(11, Row::id)?,
    })
}

/// Adds an invitation, in place of one to the same address that was not accepted.
pub(super) fn insert(tx: &mut Tx<'_>, it: &Invitation) -> Result<(), db::Error> {
    tx.execute("DELETE FROM invitations WHERE email = $1 AND accepted_at IS NULL", &[(&it.email).into()])?;
    tx.execute(
        "INSERT INTO invitations (id, email, name, role, tier, message, invited_by, created_at, sent_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        &[
            it.id.into(),
            (&it.email).into(),
            (&it.name).into(),
            it.role.as_str().into(),
            it.tier.as_ref().into(),
            (&it.message).into(),
            (&it.invited_by).into(),
            it.created_at.into(),
            it.sent_at.into(),
            it.expires_at.into(),
        ],
    )
    .map(drop)
}

/// The role that an address is invited to at present.
pub(super) fn find_open_role(tx: &mut Tx<'_>, email: &str) -> Result<Option<RoleName>, db::Error> {
    let sql = "SELECT role FROM invitations WHERE email = $1 AND accepted_at IS NULL";
    tx.find(sql, &[email.into()], |row| {
        row.text(0)?.parse().map_err(|_| db::Error::Column { column: 0, expected: "the name of a role" })
    })
}

/// How many wait to be accepted.
pub(super) fn count_open(tx: &mut Tx<'_>, now: Timestamp) -> Result<i64, db::Error> {
    let sql = "SELECT count(*) FROM invitations WHERE accepted_at IS NULL AND $1 < expires_at";
    Ok(tx.find(sql, &[now.into()], |row| row.integer(0))?.unwrap_or(0))
}

pub(super) fn count(tx: &mut Tx<'_>) -> Result<u64, db::Error> {
    let count = tx.find("SELECT count(*) FROM invitations", &[], |row| row.integer(0))?;
    Ok(count.unwrap_or(0).unsigned_abs())
}

pub(super) fn find(tx: &mut Tx<'_>, id: InvitationId, now: Timestamp) -> Result<Option<Invitation>, db::Error> {
    tx.find(&format!("SELECT {INVITATION} FROM invitations WHERE id = $2"), &[now.into(), id.into()], read)
}

/// One page of invitations, the newest first, before the invitation `before`.
pub(super) fn list(
    tx: &mut Tx<'_>,
    before: Option<InvitationId>,
    skip: u64,
    limit: u64,
    now: Timestamp,
) -> Result<Vec<Invitation>, db::Error> {
    let (limit, skip) = (Value::Integer(limit.cast_signed()), Value::Integer(skip.cast_signed()));
    let sql = format!(
        "SELECT {INVITATION} FROM invitations WHERE ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3 OFFSET $4"
    );
    tx.query(&sql, &[now.into(), before.map(|it| it.to_string()).into(), limit, skip], read)
}

/// Has an invitation work for longer, as one of whoever sends it again.
pub(super) fn renew(
    tx: &mut Tx<'_>,
    id: InvitationId,
    invited_by: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), db::Error> {
    let sql = "UPDATE invitations SET invited_by = $2, sent_at = $3, expires_at = $4 WHERE id = $1";
    tx.execute(sql, &[id.into(), invited_by.into(), now.into(), expires_at.into()]).map(drop)
}

/// False if there is none.
pub(super) fn delete(tx: &mut Tx<'_>, id: InvitationId) -> Result<bool, db::Error> {
    Ok(tx.execute("DELETE FROM invitations WHERE id = $1", &[id.into()])? == 1)
}

/// Uses an invitation up. False if that was done before, or its time is over.
pub(super) fn accept(tx: &mut Tx<'_>, id: InvitationId, user: UserId, now: Timestamp) -> Result<bool, db::Error> {
    let accepted = tx.execute(
        "UPDATE invitations SET accepted_at = $3, user_id = $2
         WHERE id = $1 AND accepted_at IS NULL AND $3 < expires_at",
        &[id.into(), user.into(), now.into()],
    )?;
    Ok(accepted == 1)
}

/// Notes of someone who was just added what the invitation says, and that the address is theirs.
pub(super) fn set_invited(tx: &mut Tx<'_>, user: &User) -> Result<(), db::Error> {
    let sql = "UPDATE users SET tier = $2, email_verified = 1 WHERE id = $1";
    tx.execute(sql, &[user.id.into(), user.tier.as_ref().into()]).map(drop)
}

/// Whether there is an account with an address that somebody can use.
pub(super) fn has_account(tx: &mut Tx<'_>, email: &str) -> Result<bool, db::Error> {
    let sql = "SELECT 1 FROM users WHERE email = $1 AND is_pending = 0";
    Ok(tx.find(sql, &[email.into()], |row| row.integer(0))?.is_some())
}

/// What a key lets a program try now; nothing if it does not work.
pub(super) fn permissions_of_key(
    tx: &mut Tx<'_>,
    id: ApiKeyId,
    now: Timestamp,
) -> Result<Option<Permissions>, db::Error> {
    let found = tx.find(
        "SELECT scopes, owner_id FROM api_keys
         WHERE id = $1 AND revoked_at IS NULL AND disabled_at IS NULL AND (expires_at IS NULL OR $2 < expires_at)",
        &[id.into(), now.into()],
        |row| Ok((roles::read_granted(row, 0)?, row.optional(1, Row::id)?)),
    )?;
    let Some((scopes, owner)) = found else { return Ok(None) };
    let Some(owner) = owner else { return Ok(Some(scopes)) };
    Ok(roles::permissions_of_user(tx, owner)?.map(|theirs| scopes.shared(&theirs)))
}

/// Removes up to `limit` invitations that expired at `before` or earlier, and tells how many.
pub(super) fn delete_old(tx: &mut Tx<'_>, before: Timestamp, limit: i64) -> Result<u64, db::Error> {
    tx.execute(
        "DELETE FROM invitations WHERE id IN
            (SELECT id FROM invitations WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        &[before.into(), limit.into()],
    )
}
