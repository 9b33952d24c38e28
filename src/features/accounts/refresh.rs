//! How a session goes on: each refresh token counts once, but for an answer that was lost.
use std::time::Duration;

use super::error::Error;
use super::model::Session;
use super::store;
use super::token::RefreshToken;
use crate::base::Timestamp;
use crate::config::AccountsConfig;
use crate::db::Tx;

/// A day, as sessions are counted.
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What became of a refresh token.
pub(super) enum Rotation {
    /// The session as it is now; its current refresh token is the answer.
    Current(Session),
    Refused,
    /// It was used before, and not just now: the session is over.
    Ended,
}

/// Uses a refresh token. Within the grace, one that was just used gets the same answer again.
pub(super) fn rotate(
    tx: &mut Tx<'_>,
    config: &AccountsConfig,
    token: RefreshToken,
    now: Timestamp,
) -> Result<Rotation, Error> {
    // A session with a cookie was given no refresh token.
    let Some(session) = store::find_live_session(tx, token.session, now)?.filter(|it| !it.is_cookie) else {
        return Ok(Rotation::Refused);
    };
    if token.counter == session.refresh_counter {
        let session = Session {
            refresh_counter: session.refresh_counter + 1,
            refreshed_at: now,
            expires_at: session_end(config, session.created_at, now),
            ..session
        };
        store::refresh_session(tx, &session)?;
        return Ok(Rotation::Current(session));
    }
    let is_one_behind = token.counter + 1 == session.refresh_counter;
    let grace = Duration::from_secs(config.refresh_grace_secs);
    if is_one_behind && now <= session.refreshed_at.plus(grace) {
        return Ok(Rotation::Current(session));
    }
    store::delete_session(tx, session.id, now)?;
    Ok(Rotation::Ended)
}

/// When a session ends if nobody uses it again.
pub(super) fn session_end(config: &AccountsConfig, created_at: Timestamp, now: Timestamp) -> Timestamp {
    let days = |count: u64| DAY * u32::try_from(count).unwrap_or(u32::MAX);
    now.plus(days(config.session_idle_days)).min(created_at.plus(days(config.session_days_max)))
}
