//! The things: people, roles, and what is sent to make or change them.
use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};

use crate::base::{SessionId, Timestamp, UserId};
use crate::features::roles::RoleName;
use crate::http::{Client, Permission};

pub const USERS_READ: Permission = Permission("users:read");
pub const USERS_WRITE: Permission = Permission("users:write");
pub const USERS_ADMIN: Permission = Permission("users:admin");
pub const RECORDS_READ: Permission = Permission("records:read");
pub const RECORDS_WRITE: Permission = Permission("records:write");
/// Skips the rules of collections.
pub const RECORDS_ADMIN: Permission = Permission("records:admin");

/// Someone with an account.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct User {
    pub id: UserId,
    #[oai(read_only)]
    pub email: String,
    /// Whether the address was shown to be theirs.
    pub email_verified: bool,
    /// What they want to be called; may be empty.
    pub name: String,
    pub role: RoleName,
    /// What the role lets them try: `<resource>:<read|write|admin>`; `*` is everything.
    pub permissions: Vec<String>,
    /// What the account is worth to whoever runs the server; rules know it as `auth.tier`. Absent: nothing was said.
    #[oai(skip_serializing_if_is_none)]
    pub tier: Option<String>,
    /// Since when the account does not work. Absent: it works.
    #[oai(skip_serializing_if_is_none)]
    pub disabled_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// Absent: never signed in.
    pub last_sign_in_at: Option<Timestamp>,
    // Counts changes, for the ETag.
    #[oai(skip)]
    pub version: i64,
}

impl Example for User {
    fn example() -> Self {
        let moment = Timestamp::example();
        Self {
            id: UserId::example(),
            email: "ada@example.com".to_owned(),
            email_verified: false,
            name: "Ada".to_owned(),
            role: RoleName::user(),
            permissions: vec!["records:read".to_owned(), "records:write".to_owned()],
            tier: None,
            disabled_at: None,
            created_at: moment,
            updated_at: moment,
            last_sign_in_at: Some(moment),
            version: 1,
        }
    }
}

/// Someone with an account, as they see themselves.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct OwnUser {
    #[oai(flatten)]
    pub user: User,
    /// Who acts as them with this token. Absent: they themselves.
    pub impersonated_by: Option<ImpersonatedBy>,
}

impl Example for OwnUser {
    fn example() -> Self {
        Self { user: User::example(), impersonated_by: None }
    }
}

/// Someone who acts as somebody else.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct ImpersonatedBy {
    pub id: UserId,
    pub email: String,
}

impl Example for ImpersonatedBy {
    fn example() -> Self {
        Self { id: UserId::example(), email: "admin@example.com".to_owned() }
    }
}

/// What someone sends to make themselves an account.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Registration {
    #[oai(validator(max_length = 254))]
    pub email: String,
    /// At least 8 characters, at most 1,024 bytes, any of them.
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: String,
    /// What they want to be called.
    #[oai(validator(max_length = 200))]
    pub name: Option<String>,
}

impl Example for Registration {
    fn example() -> Self {
        Self {
            email: "ada@example.com".to_owned(),
            password: "correct horse battery staple".to_owned(),
            name: Some("Ada".to_owned()),
        }
    }
}

/// What an admin sends to make someone an account.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewUser {
    #[oai(validator(max_length = 254))]
    pub email: String,
    /// At least 8 characters (15 for admins), at most 1,024 bytes, any of them.
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: String,
    #[oai(validator(max_length = 200))]
    pub name: Option<String>,
    /// Absent: `user`. It lets them try no more than who makes the account may.
    pub role: Option<RoleName>,
}

impl Example for NewUser {
    fn example() -> Self {
        Self {
            email: "grace@example.com".to_owned(),
            password: "correct horse battery staple".to_owned(),
            name: Some("Grace".to_owned()),
            role: Some(RoleName::user()),
        }
    }
}

/// What someone sends to give an account another role.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleChange {
    pub role: RoleName,
}

impl Example for RoleChange {
    fn example() -> Self {
        Self { role: RoleName::user() }
    }
}

/// What someone sends to change an account. What is absent stays.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct UserPatch {
    /// `null`: removed.
    #[oai(validator(max_length = 200))]
    pub name: MaybeUndefined<String>,
    /// A word of up to 40 characters of `a-z`, `0-9`, `-` and `_`; rules know it as `auth.tier`. `null`: removed.
    #[oai(validator(pattern = "^[a-z0-9][a-z0-9_-]{0,39}$"))]
    pub tier: MaybeUndefined<String>,
    /// An account that is disabled cannot sign in, and all its sessions end at once.
    pub disabled: Option<bool>,
}

impl Example for UserPatch {
    fn example() -> Self {
        Self { name: MaybeUndefined::Undefined, tier: MaybeUndefined::Value("gold".to_owned()), disabled: Some(false) }
    }
}

/// What the holder of a setup link sends to become an admin.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Setup {
    /// The part of the setup link after `#token=`.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub token: String,
    #[oai(validator(max_length = 254))]
    pub email: String,
    /// At least 15 characters, at most 1,024 bytes, any of them.
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: String,
    #[oai(validator(max_length = 200))]
    pub name: Option<String>,
}

impl Example for Setup {
    fn example() -> Self {
        Self {
            token: "setup_3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs".to_owned(),
            email: "ada@example.com".to_owned(),
            password: "correct horse battery staple".to_owned(),
            name: Some("Ada".to_owned()),
        }
    }
}

/// What the holder of a setup link sends to find out whether it still works.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct SetupToken {
    /// The part of the setup link after `#token=`.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub token: String,
}

impl Example for SetupToken {
    fn example() -> Self {
        Self { token: Setup::example().token }
    }
}

/// What a setup link that works is good for.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SetupState {
    /// Whether there is no admin yet.
    pub first_admin: bool,
}

impl Example for SetupState {
    fn example() -> Self {
        Self { first_admin: true }
    }
}

/// What someone sends to sign in.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    #[oai(validator(max_length = 254))]
    pub email: String,
    #[oai(validator(max_length = 1024))]
    pub password: String,
}

impl Example for Credentials {
    fn example() -> Self {
        Self { email: "ada@example.com".to_owned(), password: "correct horse battery staple".to_owned() }
    }
}

/// What someone sends for a fresh pair of tokens.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Refresh {
    #[oai(validator(max_length = 4096))]
    pub refresh_token: String,
}

impl Example for Refresh {
    fn example() -> Self {
        Self { refresh_token: "rt_AZC2pH4sfDqfTisdXGp-gAAAAAAAAAABx2c0…".to_owned() }
    }
}

/// What someone may change of their own profile.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfilePatch {
    /// Absent: not changed. `null`: removed.
    #[oai(validator(max_length = 200))]
    pub name: MaybeUndefined<String>,
}

impl Example for ProfilePatch {
    fn example() -> Self {
        Self { name: MaybeUndefined::Value("Ada Lovelace".to_owned()) }
    }
}

/// Two tokens: one to show with each request, one to get the next two.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct TokenPair {
    /// Send it as `Authorization: Bearer …`.
    pub access_token: String,
    /// Works once, for the next pair.
    pub refresh_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token stops working.
    pub expires_in: u64,
}

impl Example for TokenPair {
    fn example() -> Self {
        Self {
            access_token: "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTkwYjZhNC…".to_owned(),
            refresh_token: Refresh::example().refresh_token,
            token_type: "Bearer".to_owned(),
            expires_in: 900,
        }
    }
}

/// Someone who just signed in, with their tokens.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SignedIn {
    #[oai(flatten)]
    pub tokens: TokenPair,
    pub user: User,
}

impl Example for SignedIn {
    fn example() -> Self {
        Self { tokens: TokenPair::example(), user: User::example() }
    }
}

/// Someone who just registered, with their tokens if they need not verify the address first.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Registered {
    /// Send it as `Authorization: Bearer …`. Absent: the address has to be verified first, as all four.
    pub access_token: Option<String>,
    /// Works once, for the next pair.
    pub refresh_token: Option<String>,
    /// Always `Bearer`.
    pub token_type: Option<String>,
    /// Seconds until the access token stops working.
    pub expires_in: Option<u64>,
    pub user: User,
}

impl Registered {
    pub(super) fn new(tokens: Option<TokenPair>, user: User) -> Self {
        let Some(TokenPair { access_token, refresh_token, token_type, expires_in }) = tokens else {
            return Self { access_token: None, refresh_token: None, token_type: None, expires_in: None, user };
        };
        Self {
            access_token: Some(access_token),
            refresh_token: Some(refresh_token),
            token_type: Some(token_type),
            expires_in: Some(expires_in),
            user,
        }
    }
}

impl Example for Registered {
    fn example() -> Self {
        Self::new(Some(TokenPair::example()), User::example())
    }
}

/// A link with which someone becomes an admin. Shown this once.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SetupLink {
    pub url: String,
    pub expires_at: Timestamp,
}

impl Example for SetupLink {
    fn example() -> Self {
        let url = format!("https://api.example.com/setup#token={}", Setup::example().token);
        Self { url, expires_at: Timestamp::example() }
    }
}

/// A sign-in on one device, as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub id: SessionId,
    pub user_id: UserId,
    /// The only refresh token that counts is the one with this number.
    pub refresh_counter: i64,
    pub created_at: Timestamp,
    pub refreshed_at: Timestamp,
    pub expires_at: Timestamp,
    /// With what it was begun.
    pub client: Client,
    /// The session of whoever acts as the owner in this one.
    pub actor_session: Option<SessionId>,
}
