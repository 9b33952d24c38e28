//! The things: sessions as their owner sees them.
use poem_openapi::Object;
use poem_openapi::types::Example;

use super::model::{Session, SessionKind};
use crate::base::{SessionId, Timestamp, UserId};

/// A sign-in on one device.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename = "Session", example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct OwnSession {
    pub id: SessionId,
    /// The program that was used to sign in, as far as it says; may be empty.
    pub client: String,
    /// The address that it signed in from; may be empty.
    pub address: String,
    /// What its browser or program keeps.
    pub kind: SessionKind,
    /// Whether it is the one that asks.
    pub is_current: bool,
    /// Who acts as you in it: the id of an account. Absent: you yourself.
    pub impersonated_by: Option<UserId>,
    /// Whom you act as in it: the id of an account. Absent: it is your own.
    pub acting_as: Option<UserId>,
    /// When it was signed in.
    pub created_at: Timestamp,
    /// When it last got fresh tokens; with a cookie, when that was last shown, to within five minutes.
    pub last_used_at: Timestamp,
    /// When it ends if it is not used again.
    pub expires_at: Timestamp,
}

impl OwnSession {
    /// A session, and who acts in it if that is not its owner, as `viewer` sees it.
    pub(super) fn new(session: Session, actor: Option<UserId>, viewer: UserId, current: SessionId) -> Self {
        let is_own = session.user_id == viewer;
        Self {
            id: session.id,
            client: session.client.name,
            address: session.client.address,
            kind: if session.is_cookie { SessionKind::Cookie } else { SessionKind::Token },
            is_current: session.id == current,
            impersonated_by: actor.filter(|_| is_own),
            acting_as: (!is_own).then_some(session.user_id),
            created_at: session.created_at,
            last_used_at: session.refreshed_at,
            expires_at: session.expires_at,
        }
    }
}

impl Example for OwnSession {
    fn example() -> Self {
        let at = Timestamp::example();
        Self {
            id: SessionId::example(),
            client: "Firefox on Linux".to_owned(),
            address: "203.0.113.7".to_owned(),
            kind: SessionKind::Token,
            is_current: true,
            impersonated_by: None,
            acting_as: None,
            created_at: at,
            last_used_at: at,
            expires_at: at,
        }
    }
}

/// All sessions of someone.
#[derive(Debug, Object)]
#[oai(example)]
pub struct SessionList {
    pub data: Vec<OwnSession>,
}

impl Example for SessionList {
    fn example() -> Self {
        Self { data: vec![OwnSession::example()] }
    }
}
