//! What is sent to verify an address, to choose a new password, or to sign in without one.
use poem_openapi::Object;
use poem_openapi::types::Example;

use super::model::SessionKind;

const TOKEN: &str = "ot_AZC2pH4sfDqfTisdXGp-gAAAx2c0Q1vJ8mWl0bN5yTq3kR7uE9dHs6zLp4XcYf";

/// An address that a mail is asked for.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct EmailOnly {
    #[oai(validator(max_length = 254))]
    pub email: String,
}

impl Example for EmailOnly {
    fn example() -> Self {
        Self { email: "ada@example.com".to_owned() }
    }
}

/// A secret that was sent by mail: `token`, or `email` and `code`.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct EmailSecret {
    /// What stands in the link after `token=`.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub token: Option<String>,
    /// The address that the code was sent to.
    #[oai(validator(max_length = 254))]
    pub email: Option<String>,
    /// Eight digits.
    #[oai(validator(min_length = 1, max_length = 20))]
    pub code: Option<String>,
    /// The password of the account. With it, nobody verifies what somebody else registered with their address; the page of
    /// this server asks for it.
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: Option<String>,
    /// What this device got when someone last signed in on it: wrong codes are counted for it alone then.
    #[oai(validator(max_length = 200))]
    pub device_token: Option<String>,
}

impl Example for EmailSecret {
    fn example() -> Self {
        Self { token: Some(TOKEN.to_owned()), email: None, code: None, password: None, device_token: None }
    }
}

/// A secret that was sent by mail to sign in with: `token`, or `email` and `code`.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct EmailSignIn {
    /// What stands in the link after `token=`.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub token: Option<String>,
    /// The address that the code was sent to.
    #[oai(validator(max_length = 254))]
    pub email: Option<String>,
    /// Eight digits.
    #[oai(validator(min_length = 1, max_length = 20))]
    pub code: Option<String>,
    /// What this device got when someone last signed in on it: wrong codes are counted for it alone then.
    #[oai(validator(max_length = 200))]
    pub device_token: Option<String>,
    /// `cookie` for a page in a browser, which gets a cookie instead of tokens. Absent: `token`.
    #[oai(skip_serializing_if_is_none)]
    pub session: Option<SessionKind>,
}

impl Example for EmailSignIn {
    fn example() -> Self {
        Self { token: Some(TOKEN.to_owned()), email: None, code: None, device_token: None, session: None }
    }
}

/// A new password for someone who forgot theirs, with `token`, or `email` and `code`.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordReset {
    /// What stands in the link after `token=`.
    #[oai(validator(min_length = 1, max_length = 200))]
    pub token: Option<String>,
    /// The address that the code was sent to.
    #[oai(validator(max_length = 254))]
    pub email: Option<String>,
    /// Eight digits.
    #[oai(validator(min_length = 1, max_length = 20))]
    pub code: Option<String>,
    /// At least 8 characters (15 for admins), at most 1,024 bytes, any of them.
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub new_password: String,
    /// What this device got when someone last signed in on it: wrong codes are counted for it alone then.
    #[oai(validator(max_length = 200))]
    pub device_token: Option<String>,
}

impl Example for PasswordReset {
    fn example() -> Self {
        let new_password = "correct horse battery staple".to_owned();
        Self { token: Some(TOKEN.to_owned()), email: None, code: None, new_password, device_token: None }
    }
}

/// A new password for someone who knows theirs.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordChange {
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub current_password: String,
    /// At least 8 characters (15 for admins), at most 1,024 bytes, any of them.
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub new_password: String,
    /// Whether API keys of one's own are revoked too. Absent: they go on working.
    pub revoke_keys: Option<bool>,
}

/// What ends beside one's own sessions.
#[derive(Clone, Copy, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct SignOutEverywhere {
    /// Whether API keys of one's own are revoked too. Absent: they go on working.
    pub revoke_keys: Option<bool>,
}

impl Example for SignOutEverywhere {
    fn example() -> Self {
        Self { revoke_keys: Some(false) }
    }
}

impl Example for PasswordChange {
    fn example() -> Self {
        let current_password = "correct horse battery staple".to_owned();
        Self { current_password, new_password: "another horse, another staple".to_owned(), revoke_keys: None }
    }
}

/// Another address.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct EmailChange {
    #[oai(validator(max_length = 254))]
    pub new_email: String,
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: String,
}

impl Example for EmailChange {
    fn example() -> Self {
        let password = "correct horse battery staple".to_owned();
        Self { new_email: "ada@new.example.com".to_owned(), password }
    }
}
