//! The things: sessions as their owner sees them.
use poem_openapi::Object;
use poem_openapi::types::Example;

use super::model::{Session, SessionKind};
use crate::base::{SessionId, Timestamp};

/// A sign-in on one device.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename = "Session", example, rename_all = "camelCase")]
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
    /// When it was signed in.
    pub created_at: Timestamp,
    /// When it last got fresh tokens; with a cookie, when that was last shown, to within five minutes.
    pub last_used_at: Timestamp,
    /// When it ends if it is not used again.
    pub expires_at: Timestamp,
}

impl OwnSession {
    pub(super) fn new(session: Session, current: SessionId) -> Self {
        Self {
            id: session.id,
            client: session.client.name,
            address: session.client.address,
            kind: if session.is_cookie { SessionKind::Cookie } else { SessionKind::Token },
            is_current: session.id == current,
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
