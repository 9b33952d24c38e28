//! What is sent and shown of invitations.
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use super::model::SessionKind;
use crate::base::{Id, Timestamp, UserId};
use crate::features::roles::RoleName;
use crate::http::paging::ListMeta;

/// Marks ids of invitations.
#[derive(Debug)]
pub enum Invited {}
pub type InvitationId = Id<Invited>;

/// Where an invitation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum InvitationState {
    /// The link can be used.
    Open,
    /// It was used.
    Accepted,
    /// Whoever has the address has an account by another way.
    Registered,
    /// Its time is over; it can be sent again.
    Expired,
}

/// An account that somebody is to make for themselves.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Invitation {
    pub id: InvitationId,
    pub email: String,
    /// What they are called; may be empty.
    pub name: String,
    pub role: RoleName,
    pub tier: Option<String>,
    /// What the mail says beside; may be empty.
    pub message: String,
    pub state: InvitationState,
    /// The id of an account, `operator`, or `key:` and the id of a key.
    pub invited_by: String,
    pub created_at: Timestamp,
    /// When the mail was last sent.
    pub sent_at: Timestamp,
    pub expires_at: Timestamp,
    pub accepted_at: Option<Timestamp>,
    /// The account that came of it.
    pub user_id: Option<UserId>,
}

impl Example for Invitation {
    fn example() -> Self {
        let NewInvitation { email, name, message, .. } = NewInvitation::example();
        let at = Timestamp::example();
        Self {
            id: InvitationId::example(),
            email,
            name: name.unwrap_or_default(),
            role: RoleName::user(),
            tier: None,
            message: message.unwrap_or_default(),
            state: InvitationState::Open,
            invited_by: UserId::example().to_string(),
            created_at: at,
            sent_at: at,
            expires_at: at,
            accepted_at: None,
            user_id: None,
        }
    }
}

/// A page of invitations.
#[derive(Debug, Object)]
#[oai(example)]
pub struct InvitationList {
    pub data: Vec<Invitation>,
    pub meta: ListMeta,
}

impl Example for InvitationList {
    fn example() -> Self {
        Self { data: vec![Invitation::example()], meta: ListMeta::example() }
    }
}

/// Whom to invite.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewInvitation {
    #[oai(validator(max_length = 254))]
    pub email: String,
    /// Absent: `user`. It lets them try no more than whoever invites may.
    pub role: Option<RoleName>,
    #[oai(validator(max_length = 200))]
    pub name: Option<String>,
    /// A word of up to 40 characters of `a-z`, `0-9`, `-` and `_`; rules know it as `auth.tier`.
    #[oai(validator(pattern = "^[a-z0-9][a-z0-9_-]{0,39}$"))]
    pub tier: Option<String>,
    /// A line of text for the mail.
    #[oai(validator(max_length = 500))]
    pub message: Option<String>,
}

impl Example for NewInvitation {
    fn example() -> Self {
        Self {
            email: "grace@example.com".to_owned(),
            role: Some(RoleName::user()),
            name: Some("Grace".to_owned()),
            tier: None,
            message: Some("See you on Monday.".to_owned()),
        }
    }
}

/// What someone sends who was invited.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Acceptance {
    /// What stands in the link after `token=`.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub token: String,
    /// At least 8 characters (15 for admins), at most 1,024 bytes, any of them.
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: String,
    /// Absent: what the invitation says.
    #[oai(validator(max_length = 200))]
    pub name: Option<String>,
    /// `cookie` for a page in a browser, which gets a cookie instead of tokens. Absent: `token`.
    #[oai(skip_serializing_if_is_none)]
    pub session: Option<SessionKind>,
}

impl Example for Acceptance {
    fn example() -> Self {
        Self {
            token: "ot_AZC2pH4sfDqfTisdXGp-gAAAx2c0Q1vJ8mWl0bN5yTq3kR7uE9dHs6zLp4XcYf".to_owned(),
            password: "correct horse battery staple".to_owned(),
            name: None,
            session: None,
        }
    }
}
