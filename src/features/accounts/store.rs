//! The SQL of accounts.
use super::api::SESSIONS_MAX;
use super::error::Error;
use super::fields;
use super::model::{RECORDS_READ, Session, USERS_ADMIN, User};
use super::pending_store;
use crate::base::{SessionId, Timestamp, UserId, words};
use crate::db::{self, Row, Tx};
use crate::features::events;
use crate::features::roles::{self, RoleName};
use crate::http::{Client, Impersonator, Permissions};

/// The columns of someone, as [`read_user`] reads them.
pub(super) const USER: &str =
    "id, email, email_verified, name, role, version, created_at, updated_at, last_sign_in_at, tier,
                    disabled_at, (SELECT permissions FROM roles WHERE roles.name = users.role),
                    deleted_at, usage_count, (SELECT content FROM profile_values WHERE user_id = users.id)";

pub(super) fn read_user(row: &Row<'_>) -> Result<User, db::Error> {
    Ok(User {
        id: row.id(0)?,
        email: row.text(1)?.to_owned(),
        email_verified: row.bool(2)?,
        name: row.text(3)?.to_owned(),
        role: read_role(row, 4)?,
        permissions: roles::read_granted(row, 11)?.names(),
        tier: row.optional(9, |row, column| Ok(row.text(column)?.to_owned()))?,
        disabled_at: row.optional(10, Row::timestamp)?,
        deleted_at: row.optional(12, Row::timestamp)?,
        usage_count: row.integer(13)?.unsigned_abs(),
        fields: row.optional(14, Row::text)?.and_then(fields::read),
        version: row.integer(5)?,
        created_at: row.timestamp(6)?,
        updated_at: row.timestamp(7)?,
        last_sign_in_at: row.optional(8, Row::timestamp)?,
    })
}

fn read_role(row: &Row<'_>, column: usize) -> Result<RoleName, db::Error> {
    row.text(column)?.parse().map_err(|_| db::Error::Column { column, expected: "the name of a role" })
}

/// The words by which someone is found: each after a space, so that a space and some letters are the beginning of one.
pub(super) fn words(name: &str, email: &str) -> String {
    let mut found = String::new();
    for word in words::words(name).into_iter().chain(words::words(email)) {
        found.push(' ');
        found.push_str(&word);
    }
    found
}

/// Brings the words of someone up to date, after their name or their address was changed.
fn set_words(tx: &mut Tx<'_>, id: UserId) -> Result<(), db::Error> {
    let read = |row: &Row<'_>| Ok(words(row.text(0)?, row.text(1)?));
    let Some(words) = tx.find("SELECT name, email FROM users WHERE id = $1", &[id.into()], read)? else {
        return Ok(());
    };
    tx.execute("UPDATE users SET words = $2 WHERE id = $1", &[id.into(), words.into()]).map(drop)
}

/// Finds the words of up to `limit` accounts from before they were kept, and tells how many those were.
pub(super) fn fill_words(tx: &mut Tx<'_>, limit: i64) -> Result<u64, db::Error> {
    let found = tx.query("SELECT id FROM users WHERE words = '' LIMIT $1", &[limit.into()], |row| row.id(0))?;
    found.iter().try_for_each(|it| set_words(tx, *it))?;
    Ok(found.len() as u64)
}

/// Adds someone, refusing an address that has an account.
pub(super) fn insert_user(tx: &mut Tx<'_>, user: &User, password_hash: &str) -> Result<(), Error> {
    let added = tx.execute(
        "INSERT INTO users (id, email, email_verified, name, role, password_hash, version,
                            created_at, updated_at, last_sign_in_at, words)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (email) DO NOTHING",
        &[
            user.id.into(),
            (&user.email).into(),
            user.email_verified.into(),
            (&user.name).into(),
            user.role.as_str().into(),
            password_hash.into(),
            user.version.into(),
            user.created_at.into(),
            user.updated_at.into(),
            user.last_sign_in_at.into(),
            words(&user.name, &user.email).into(),
        ],
    )?;
    if added == 0 { Err(Error::EmailTaken) } else { Ok(()) }
}

/// Someone who was not deleted.
pub(super) fn find_user(tx: &mut Tx<'_>, id: UserId) -> Result<Option<User>, db::Error> {
    tx.find(&format!("SELECT {USER} FROM users WHERE id = $1 AND deleted_at IS NULL"), &[id.into()], read_user)
}

/// The role of the account with an address.
pub(super) fn find_role(tx: &mut Tx<'_>, email: &str) -> Result<Option<RoleName>, db::Error> {
    tx.find("SELECT role FROM users WHERE email = $1 AND deleted_at IS NULL", &[email.into()], |row| read_role(row, 0))
}

/// Adds to how many requests came on behalf of someone. It is no change of the account.
pub(super) fn add_usage(tx: &mut Tx<'_>, id: UserId, count: u32) -> Result<(), db::Error> {
    tx.execute("UPDATE users SET usage_count = usage_count + $2 WHERE id = $1", &[id.into(), count.into()]).map(drop)
}

/// What an admin sets of an account beside its owner's own values.
pub(super) fn set_standing(tx: &mut Tx<'_>, user: &User) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE users SET name = $2, role = $3, tier = $4, disabled_at = $5, updated_at = $6, version = $7 WHERE id = $1",
        &[
            user.id.into(),
            (&user.name).into(),
            user.role.as_str().into(),
            user.tier.as_ref().into(),
            user.disabled_at.into(),
            user.updated_at.into(),
            user.version.into(),
        ],
    )?;
    set_words(tx, user.id)
}

/// The hash of someone's password.
pub(super) fn find_hash(tx: &mut Tx<'_>, id: UserId) -> Result<Option<String>, db::Error> {
    tx.find("SELECT password_hash FROM users WHERE id = $1", &[id.into()], |row| row.text(0).map(ToOwned::to_owned))
}

/// Changes a password, and counts the change.
pub(super) fn set_password(tx: &mut Tx<'_>, id: UserId, hash: &str, now: Timestamp) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE users SET password_hash = $2, updated_at = $3, version = version + 1 WHERE id = $1",
        &[id.into(), hash.into(), now.into()],
    )
    .map(drop)
}

/// Notes that an address was shown to be theirs. False if that was known.
pub(super) fn verify_email(tx: &mut Tx<'_>, id: UserId, email: &str, now: Timestamp) -> Result<bool, db::Error> {
    let changed = tx.execute(
        "UPDATE users SET email_verified = 1, is_pending = 0, updated_at = $3, version = version + 1
         WHERE id = $1 AND email = $2 AND email_verified = 0",
        &[id.into(), email.into(), now.into()],
    )?;
    Ok(changed == 1)
}

/// Changes an address for one that was shown to be theirs, unless it has an account.
pub(super) fn set_email(tx: &mut Tx<'_>, id: UserId, email: &str, now: Timestamp) -> Result<(), Error> {
    // Whoever only said that it was theirs gives way to who showed it.
    pending_store::make_room(tx, email)?;
    let changed = tx.execute(
        "UPDATE users SET email = $2, email_verified = 1, is_pending = 0, updated_at = $3, version = version + 1
         WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM users AS other WHERE other.email = $2 AND other.id <> $1)",
        &[id.into(), email.into(), now.into()],
    )?;
    if changed == 0 {
        return Err(Error::EmailTaken);
    }
    Ok(set_words(tx, id)?)
}

/// The account with an address, if it works, and the hash of its password.
pub(super) fn find_user_and_hash(tx: &mut Tx<'_>, email: &str) -> Result<Option<(UserId, String)>, db::Error> {
    let sql = "SELECT id, password_hash FROM users WHERE email = $1 AND disabled_at IS NULL AND deleted_at IS NULL";
    tx.find(sql, &[email.into()], |row| Ok((row.id(0)?, row.text(1)?.to_owned())))
}

/// Keeps a password in another form, unless it was changed meanwhile.
pub(super) fn replace_password_hash(tx: &mut Tx<'_>, id: UserId, old: &str, new: &str) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
        &[id.into(), old.into(), new.into()],
    )
    .map(drop)
}

/// How many can do everything: whoever is disabled or deleted cannot.
pub(super) fn count_admins(tx: &mut Tx<'_>) -> Result<i64, db::Error> {
    let sql = "SELECT count(*) FROM users WHERE role = 'admin' AND disabled_at IS NULL AND deleted_at IS NULL
               AND is_pending = 0";
    Ok(tx.find(sql, &[], |row| row.integer(0))?.unwrap_or(0))
}

pub(super) fn set_last_sign_in(tx: &mut Tx<'_>, id: UserId, now: Timestamp) -> Result<(), db::Error> {
    tx.execute("UPDATE users SET last_sign_in_at = $2 WHERE id = $1", &[id.into(), now.into()]).map(drop)
}

pub(super) fn insert_session(tx: &mut Tx<'_>, session: &Session) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO sessions
             (id, user_id, refresh_counter, created_at, refreshed_at, expires_at, client, address, device_id, is_cookie,
              actor_session_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        &[
            session.id.into(),
            session.user_id.into(),
            session.refresh_counter.into(),
            session.created_at.into(),
            session.refreshed_at.into(),
            session.expires_at.into(),
            (&session.client.name).into(),
            (&session.client.address).into(),
            session.device.into(),
            session.is_cookie.into(),
            session.actor_session.into(),
        ],
    )
    .map(drop)
}

/// A session that has not ended.
/// Refuses whoever was signed out meanwhile.
pub(super) fn must_be_live(tx: &mut Tx<'_>, id: SessionId, now: Timestamp) -> Result<(), Error> {
    find_live_session(tx, id, now)?.map(drop).ok_or(Error::TokenInvalid)
}

pub(super) fn find_live_session(tx: &mut Tx<'_>, id: SessionId, now: Timestamp) -> Result<Option<Session>, db::Error> {
    tx.find(
        &format!("SELECT {SESSION} FROM sessions WHERE id = $1 AND $2 < expires_at"),
        &[id.into(), now.into()],
        read_session,
    )
}

const SESSION: &str =
    "id, user_id, refresh_counter, created_at, refreshed_at, expires_at, client, address, device_id, is_cookie,
     actor_session_id";

fn read_session(row: &Row<'_>) -> Result<Session, db::Error> {
    let text = |column| Ok::<_, db::Error>(row.optional(column, Row::text)?.unwrap_or_default().to_owned());
    Ok(Session {
        id: row.id(0)?,
        user_id: row.id(1)?,
        refresh_counter: row.integer(2)?,
        created_at: row.timestamp(3)?,
        refreshed_at: row.timestamp(4)?,
        expires_at: row.timestamp(5)?,
        client: Client { name: text(6)?, address: text(7)? },
        device: row.optional(8, Row::id)?,
        is_cookie: row.bool(9)?,
        actor_session: row.optional(10, Row::id)?,
    })
}

/// The sessions of someone that have not ended, and those in which they act as somebody else; the one that was used last
/// first. With each, who acts in it, if that is not its owner.
pub(super) fn list_sessions(
    tx: &mut Tx<'_>,
    user: UserId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<(Session, Option<UserId>)>, db::Error> {
    tx.query(
        &format!(
            "SELECT {SESSION}, (SELECT acting.user_id FROM sessions AS acting
                                WHERE acting.id = sessions.actor_session_id)
             FROM sessions
             WHERE (user_id = $1 OR actor_session_id IN (SELECT id FROM sessions WHERE user_id = $1))
                AND $2 < expires_at
             ORDER BY refreshed_at DESC, id DESC LIMIT $3"
        ),
        &[user.into(), now.into(), limit.into()],
        |row| Ok((read_session(row)?, row.optional(11, Row::id)?)),
    )
}

/// Ends a session of someone, or one in which they act as somebody else. False if there is none with that id.
pub(super) fn end_session(tx: &mut Tx<'_>, id: SessionId, user: UserId, now: Timestamp) -> Result<bool, db::Error> {
    let ended = tx.execute(
        "DELETE FROM sessions
         WHERE id = $1 AND (user_id = $2 OR actor_session_id IN (SELECT id FROM sessions WHERE user_id = $2))",
        &[id.into(), user.into()],
    )?;
    if ended == 1 {
        events::append_about_accounts(tx, now)?;
    }
    Ok(ended == 1)
}

/// Ends all sessions of someone but one.
pub(super) fn end_other_sessions(
    tx: &mut Tx<'_>,
    user: UserId,
    kept: SessionId,
    now: Timestamp,
) -> Result<(), db::Error> {
    tx.execute("DELETE FROM sessions WHERE user_id = $1 AND id <> $2", &[user.into(), kept.into()])?;
    events::append_about_accounts(tx, now)
}

/// Most programs that are remembered of one account.
const CLIENTS_MAX: i64 = 50;

/// Notes with what someone signs in. True if they signed in before, and never with that.
pub(super) fn is_new_client(tx: &mut Tx<'_>, user: UserId, client: &str, now: Timestamp) -> Result<bool, db::Error> {
    let known = tx.find(
        "SELECT count(*), coalesce(sum(client = $2), 0) FROM known_clients WHERE user_id = $1",
        &[user.into(), client.into()],
        |row| Ok((row.integer(0)?, row.integer(1)?)),
    )?;
    tx.execute(
        "INSERT INTO known_clients (user_id, client, last_used_at) VALUES ($1, $2, $3)
         ON CONFLICT (user_id, client) DO UPDATE SET last_used_at = $3",
        &[user.into(), client.into(), now.into()],
    )?;
    tx.execute(
        "DELETE FROM known_clients WHERE user_id = $1 AND client NOT IN
            (SELECT client FROM known_clients WHERE user_id = $1 ORDER BY last_used_at DESC, client LIMIT $2)",
        &[user.into(), CLIENTS_MAX.into()],
    )?;
    Ok(known.is_some_and(|(all, of_this)| 0 < all && of_this == 0))
}

/// What is asked of a session's owner for every request.
pub(super) struct Owner {
    pub role: RoleName,
    pub permissions: Permissions,
    pub email: String,
    pub email_verified: bool,
    pub tier: Option<String>,
    pub is_cookie: bool,
    /// Who acts as them in this session.
    pub impersonator: Option<Impersonator>,
}

/// Whose a live session is: what a token is worth now. Nothing, if somebody acts in it who may not any more.
pub(super) fn find_session_owner(
    tx: &mut Tx<'_>,
    id: SessionId,
    user: UserId,
    now: Timestamp,
) -> Result<Option<Owner>, db::Error> {
    tx.find(
        "SELECT users.role, roles.permissions, users.email, users.email_verified, users.tier,
                sessions.is_cookie, sessions.actor_session_id, actors.id, actors.email, actor_roles.permissions
         FROM sessions JOIN users ON users.id = sessions.user_id JOIN roles ON roles.name = users.role
            LEFT JOIN sessions AS acting ON acting.id = sessions.actor_session_id AND $3 < acting.expires_at
            LEFT JOIN users AS actors ON actors.id = acting.user_id AND actors.disabled_at IS NULL
                AND actors.deleted_at IS NULL
            LEFT JOIN roles AS actor_roles ON actor_roles.name = actors.role
         WHERE sessions.id = $1 AND sessions.user_id = $2 AND $3 < sessions.expires_at AND users.disabled_at IS NULL
               AND users.deleted_at IS NULL",
        &[id.into(), user.into(), now.into()],
        |row| {
            let mut owner = Owner {
                role: read_role(row, 0)?,
                permissions: roles::read_granted(row, 1)?,
                email: row.text(2)?.to_owned(),
                email_verified: row.bool(3)?,
                tier: row.optional(4, |row, column| Ok(row.text(column)?.to_owned()))?,
                is_cookie: row.bool(5)?,
                impersonator: None,
            };
            if row.is_null(6)? {
                return Ok(Some(owner));
            }
            if row.is_null(7)? || row.is_null(9)? {
                return Ok(None); // the session, the account or the role of whoever acts is gone
            }
            let theirs = roles::read_granted(row, 9)?;
            if !theirs.allow(USERS_ADMIN) || !theirs.hold(&owner.permissions) {
                return Ok(None);
            }
            owner.permissions = owner.permissions.for_anyone(RECORDS_READ.resource());
            owner.impersonator = Some(Impersonator { id: row.id(7)?, email: row.text(8)?.to_owned() });
            Ok(Some(owner))
        },
    )
    .map(Option::flatten)
}

pub(super) fn refresh_session(tx: &mut Tx<'_>, session: &Session) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE sessions SET refresh_counter = $2, refreshed_at = $3, expires_at = $4 WHERE id = $1",
        &[session.id.into(), session.refresh_counter.into(), session.refreshed_at.into(), session.expires_at.into()],
    )
    .map(drop)
}

/// Notes that a session with a cookie is used.
pub(super) fn touch_session(
    tx: &mut Tx<'_>,
    id: SessionId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), db::Error> {
    tx.execute(
        "UPDATE sessions SET refreshed_at = $2, expires_at = $3 WHERE id = $1 AND is_cookie = 1 AND refreshed_at < $2",
        &[id.into(), now.into(), expires_at.into()],
    )
    .map(drop)
}

pub(super) fn delete_session(tx: &mut Tx<'_>, id: SessionId, now: Timestamp) -> Result<(), db::Error> {
    tx.execute("DELETE FROM sessions WHERE id = $1", &[id.into()])?;
    events::append_about_accounts(tx, now)
}

pub(super) fn delete_sessions_of(tx: &mut Tx<'_>, user: UserId, now: Timestamp) -> Result<(), db::Error> {
    tx.execute("DELETE FROM sessions WHERE user_id = $1", &[user.into()])?;
    events::append_about_accounts(tx, now)
}

/// Most sessions that one call ends: all that there may be, where the setting came down to one.
const SURPLUS_MAX: i64 = SESSIONS_MAX;

/// Ends what someone has beyond `most` sessions, those first that were not used for longest and never `kept`, and tells
/// which. Those in which somebody acts as them are not theirs.
pub(super) fn end_surplus_sessions(
    tx: &mut Tx<'_>,
    user: UserId,
    kept: SessionId,
    most: u32,
    now: Timestamp,
) -> Result<Vec<SessionId>, db::Error> {
    let others = i64::from(most.saturating_sub(1));
    let surplus = tx.query(
        "DELETE FROM sessions WHERE id IN
            (SELECT id FROM sessions WHERE user_id = $1 AND id <> $2 AND actor_session_id IS NULL
             ORDER BY refreshed_at DESC, id DESC LIMIT $3 OFFSET $4)
         RETURNING id",
        &[user.into(), kept.into(), SURPLUS_MAX.into(), others.into()],
        |row| row.id(0),
    )?;
    if !surplus.is_empty() {
        events::append_about_accounts(tx, now)?;
    }
    Ok(surplus)
}

/// Ends what someone has beyond `most` sessions in which they act as somebody else, the oldest first and never `kept`, and
/// tells which.
pub(super) fn end_surplus_impersonations(
    tx: &mut Tx<'_>,
    actor: UserId,
    kept: SessionId,
    most: u32,
    now: Timestamp,
) -> Result<Vec<SessionId>, db::Error> {
    let others = i64::from(most.saturating_sub(1));
    let surplus = tx.query(
        "DELETE FROM sessions WHERE id IN
            (SELECT id FROM sessions
             WHERE actor_session_id IN (SELECT id FROM sessions WHERE user_id = $1) AND id <> $2
             ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $4)
         RETURNING id",
        &[actor.into(), kept.into(), SURPLUS_MAX.into(), others.into()],
        |row| row.id(0),
    )?;
    if !surplus.is_empty() {
        events::append_about_accounts(tx, now)?;
    }
    Ok(surplus)
}

/// Removes up to `limit` sessions that have ended, and tells how many.
pub(super) fn delete_expired_sessions(tx: &mut Tx<'_>, now: Timestamp, limit: i64) -> Result<u64, db::Error> {
    tx.execute(
        "DELETE FROM sessions WHERE id IN
            (SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        &[now.into(), limit.into()],
    )
}

pub(super) fn insert_setup_link(
    tx: &mut Tx<'_>,
    secret_digest: &str,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), db::Error> {
    tx.execute(
        "INSERT INTO setup_links (secret_digest, created_at, expires_at) VALUES ($1, $2, $3)",
        &[secret_digest.into(), now.into(), expires_at.into()],
    )
    .map(drop)
}

/// Whether a setup link still works, without using it up.
pub(super) fn has_setup_link(tx: &mut Tx<'_>, secret_digest: &str, now: Timestamp) -> Result<bool, db::Error> {
    let found = tx.find(
        "SELECT 1 FROM setup_links WHERE secret_digest = $1 AND $2 < expires_at",
        &[secret_digest.into(), now.into()],
        |row| row.integer(0),
    )?;
    Ok(found.is_some())
}

/// Uses a setup link up. False if there was none that still worked.
pub(super) fn use_setup_link(tx: &mut Tx<'_>, secret_digest: &str, now: Timestamp) -> Result<bool, db::Error> {
    let used = tx.execute(
        "DELETE FROM setup_links WHERE secret_digest = $1 AND $2 < expires_at",
        &[secret_digest.into(), now.into()],
    )?;
    Ok(used == 1)
}

/// Removes setup links whose time is over.
pub(super) fn delete_expired_setup_links(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), db::Error> {
    tx.execute("DELETE FROM setup_links WHERE expires_at <= $1", &[now.into()]).map(drop)
}

pub(super) fn delete_setup_links(tx: &mut Tx<'_>) -> Result<(), db::Error> {
    tx.execute("DELETE FROM setup_links", &[]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Clock, Random, TenantId};
    use crate::db::Db;

    /// Someone who signs in for ever must not fill the disk.
    #[tokio::test]
    async fn beyond_the_limit_the_sessions_that_were_not_used_for_longest_end() -> Result<(), Error> {
        let (db, main, random) = (Db::in_memory()?, TenantId::main(), Random::system());
        let at = Timestamp::from_millis;
        let clock = Clock::stopped_at(at(0));
        let user = User { id: random.id(&clock), ..user() };
        let session = |refreshed_at| Session {
            id: random.id(&clock),
            user_id: user.id,
            refresh_counter: 1,
            created_at: at(0),
            refreshed_at: at(refreshed_at),
            expires_at: at(1_000),
            client: Client::default(),
            device: None,
            is_cookie: false,
            actor_session: None,
        };
        let [used_lately, old, oldest] = [session(30), session(20), session(10)];
        let acted_in = Session { actor_session: Some(oldest.id), ..session(1) };
        db.create_tenant(&main)?;

        let ended = {
            let sessions = [used_lately.clone(), oldest.clone(), old.clone(), acted_in.clone()];
            let kept = oldest.id;
            db.write(&main, move |tx| {
                insert_user(tx, &user, "hash")?;
                for session in &sessions {
                    insert_session(tx, session)?;
                }
                let within = end_surplus_sessions(tx, user.id, kept, 3, at(0))?;
                let one = end_surplus_sessions(tx, user.id, kept, 2, at(0))?;
                let other = end_surplus_sessions(tx, user.id, kept, 1, at(0))?;
                Ok::<_, Error>((within, one, other))
            })
            .await?
        };

        assert_eq!(ended, (vec![], vec![old.id], vec![used_lately.id]));
        for id in [oldest.id, acted_in.id] {
            let left = db.read(&main, move |tx| find_live_session(tx, id, at(0))).await?;
            assert!(left.is_some(), "the one that was signed in now, and that of whoever acts as them");
        }
        Ok(())
    }

    fn user() -> User {
        let at = Timestamp::from_millis(0);
        User {
            id: crate::base::Id::from_uuid(uuid::Uuid::nil()),
            email: "ada@example.com".to_owned(),
            email_verified: false,
            name: String::new(),
            role: RoleName::user(),
            permissions: Vec::new(),
            tier: None,
            disabled_at: None,
            deleted_at: None,
            fields: None,
            usage_count: 0,
            created_at: at,
            updated_at: at,
            last_sign_in_at: None,
            version: 1,
        }
    }
}
