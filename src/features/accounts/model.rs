//! The things: people, roles, and what is sent to make or change them.
use poem_openapi::types::{Example, MaybeUndefined};
use poem_openapi::{Enum, Object, Union};

use super::devices::DeviceId;
use super::fields::Fields;
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
    /// Since when the account is in the bin. Absent: it is not.
    #[oai(skip_serializing_if_is_none)]
    pub deleted_at: Option<Timestamp>,
    /// The values of the fields that an admin gave to profiles, by their names. Absent: there are none.
    #[oai(skip_serializing_if_is_none)]
    pub fields: Option<Fields>,
    /// How many requests came on behalf of the account, by sessions and keys; some seconds behind.
    #[oai(read_only)]
    pub usage_count: u64,
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
            deleted_at: None,
            fields: None,
            usage_count: 1_234,
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
    /// `cookie` for a page in a browser, which gets a cookie instead of tokens. Absent: `token`.
    #[oai(skip_serializing_if_is_none)]
    pub session: Option<SessionKind>,
}

impl Example for Registration {
    fn example() -> Self {
        Self {
            email: "ada@example.com".to_owned(),
            password: "correct horse battery staple".to_owned(),
            name: Some("Ada".to_owned()),
            session: None,
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
    /// `cookie` for a page in a browser, which gets a cookie instead of tokens. Absent: `token`.
    #[oai(skip_serializing_if_is_none)]
    pub session: Option<SessionKind>,
}

impl Example for Setup {
    fn example() -> Self {
        Self {
            token: "setup_3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhs".to_owned(),
            email: "ada@example.com".to_owned(),
            password: "correct horse battery staple".to_owned(),
            name: Some("Ada".to_owned()),
            session: None,
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

/// What someone keeps who signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum SessionKind {
    /// Two tokens.
    Token,
    /// A cookie, which no script can read.
    Cookie,
}

/// What someone sends to sign in.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Credentials {
    #[oai(validator(max_length = 254))]
    pub email: String,
    #[oai(validator(max_length = 1024))]
    pub password: String,
    /// What this device got when someone last signed in on it: it lets them in while strangers who guess have the account
    /// locked. One that does not count any more does no harm.
    #[oai(validator(max_length = 200))]
    pub device_token: Option<String>,
    /// `cookie` for a page in a browser, which gets a cookie instead of tokens. Absent: `token`.
    #[oai(skip_serializing_if_is_none)]
    pub session: Option<SessionKind>,
}

impl Example for Credentials {
    fn example() -> Self {
        let (email, password) = ("ada@example.com".to_owned(), "correct horse battery staple".to_owned());
        Self { email, password, device_token: Some(DEVICE_TOKEN.to_owned()), session: None }
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

/// What is changed of a profile.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfilePatch {
    /// Absent: not changed. `null`: removed.
    #[oai(validator(max_length = 200))]
    pub name: MaybeUndefined<String>,
    /// Values of the fields that an admin gave to profiles: what is absent stays, and null removes.
    pub fields: Option<Fields>,
}

impl Example for ProfilePatch {
    fn example() -> Self {
        Self { name: MaybeUndefined::Value("Ada Lovelace".to_owned()), fields: None }
    }
}

/// A profile in place of the one before.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewProfile {
    /// Absent: removed.
    #[oai(validator(max_length = 200))]
    pub name: Option<String>,
    /// Values of the fields that an admin gave to profiles. What is absent is removed, as far as the caller may set it.
    pub fields: Option<Fields>,
}

impl Example for NewProfile {
    fn example() -> Self {
        Self { name: Some("Ada Lovelace".to_owned()), fields: None }
    }
}

/// What someone shows to delete their own account.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Farewell {
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: String,
    /// Of the app, or a recovery code. Only who has a second factor needs one.
    #[oai(validator(min_length = 1, max_length = 20))]
    pub code: Option<String>,
}

impl Example for Farewell {
    fn example() -> Self {
        Self { password: "correct horse battery staple".to_owned(), code: Some("492039".to_owned()) }
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
    /// For this device to keep, also after signing out, and to send when someone signs in on it again. It lets nobody in.
    pub device_token: String,
    pub user: User,
}

/// As examples show the token of a device.
pub(super) const DEVICE_TOKEN: &str = "dt_AZC2pH4sfDqfTisdXGp-gAGQtqR-LHw6n04rHVxqfoAAAAGbfM2uHgAAAAAAAAAA…";

impl Example for SignedIn {
    fn example() -> Self {
        Self { tokens: TokenPair::example(), device_token: DEVICE_TOKEN.to_owned(), user: User::example() }
    }
}

/// Someone who just signed in, and whose browser keeps a cookie.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SignedInByCookie {
    /// Send it when signing in on this device again: what others guess elsewhere does not keep its owner out then.
    pub device_token: String,
    pub user: User,
    /// When the session ends if it is not used again.
    pub expires_at: Timestamp,
}

impl Example for SignedInByCookie {
    fn example() -> Self {
        Self { device_token: DEVICE_TOKEN.to_owned(), user: User::example(), expires_at: Timestamp::example() }
    }
}

/// Someone who just signed in, with tokens or with a cookie.
#[derive(Union)]
pub enum Entered {
    SignedIn(SignedIn),
    ByCookie(SignedInByCookie),
}

/// Someone who just registered, with their tokens, or with a cookie, if they need not verify the address first.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Registered {
    /// Send it as `Authorization: Bearer …`. Absent, as the other three: there is a cookie instead, or the address has to
    /// be verified first.
    pub access_token: Option<String>,
    /// Works once, for the next pair.
    pub refresh_token: Option<String>,
    /// Always `Bearer`.
    pub token_type: Option<String>,
    /// Seconds until the access token stops working.
    pub expires_in: Option<u64>,
    /// For this device to keep, also after signing out, and to send when someone signs in on it again. It lets nobody in.
    pub device_token: Option<String>,
    pub user: User,
    /// When the session ends if it is not used again. Only with a cookie.
    pub expires_at: Option<Timestamp>,
}

impl Registered {
    /// Someone who has to verify the address first.
    pub(super) fn pending(user: User) -> Self {
        let (access_token, refresh_token, token_type, expires_in) = (None, None, None, None);
        Self { access_token, refresh_token, token_type, expires_in, device_token: None, user, expires_at: None }
    }
}

impl Example for Registered {
    fn example() -> Self {
        let TokenPair { access_token, refresh_token, token_type, expires_in } = TokenPair::example();
        Self {
            access_token: Some(access_token),
            refresh_token: Some(refresh_token),
            token_type: Some(token_type),
            expires_in: Some(expires_in),
            device_token: Some(DEVICE_TOKEN.to_owned()),
            ..Self::pending(User::example())
        }
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
    /// On which device. Absent in one from before devices were known.
    pub device: Option<DeviceId>,
    /// Whether a browser keeps a cookie for it, instead of tokens.
    pub is_cookie: bool,
    /// The session of whoever acts as the owner in this one.
    pub actor_session: Option<SessionId>,
}
