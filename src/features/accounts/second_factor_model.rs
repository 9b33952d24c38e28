//! What is sent and shown of second factors.
use poem_openapi::types::Example;
use poem_openapi::{Object, Union};

use super::model::{SessionKind, SignedIn, SignedInByCookie};

/// Someone who signed in, or who has to show a second factor first.
#[derive(Union)]
pub enum SignIn {
    SignedIn(SignedIn),
    ByCookie(SignedInByCookie),
    SecondFactorNeeded(SecondFactorNeeded),
}

/// The password, or the code of a mail, was right. A code of an app, or a recovery code, is needed too.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SecondFactorNeeded {
    /// Always `true`.
    pub mfa_required: bool,
    /// For `POST /auth/2fa/challenge`; works once, for five minutes.
    pub mfa_token: String,
    /// What will do: `totp`, `recovery`.
    pub methods: Vec<String>,
}

impl Example for SecondFactorNeeded {
    fn example() -> Self {
        Self {
            mfa_required: true,
            mfa_token: "ot_AZC2pH4sfDqfTisdXGp-gAAAx2c0Q1vJ8mWl0bN5yTq3kR7uE9dHs6zLp4XcYf".to_owned(),
            methods: vec!["totp".to_owned(), "recovery".to_owned()],
        }
    }
}

/// A second factor, shown after the password.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Challenge {
    #[oai(validator(min_length = 1, max_length = 200))]
    pub mfa_token: String,
    /// Six digits of the app, or a recovery code.
    #[oai(validator(min_length = 1, max_length = 32))]
    pub code: String,
    /// What this device got when someone last signed in on it: wrong codes are counted for it alone then.
    #[oai(validator(max_length = 200))]
    pub device_token: Option<String>,
    /// `cookie` for a page in a browser, which gets a cookie instead of tokens. Absent: `token`.
    #[oai(skip_serializing_if_is_none)]
    pub session: Option<SessionKind>,
}

impl Example for Challenge {
    fn example() -> Self {
        let mfa_token = SecondFactorNeeded::example().mfa_token;
        Self { mfa_token, code: "492039".to_owned(), device_token: None, session: None }
    }
}

/// What is sent to begin.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Enabling {
    /// Needed if signing in was more than ten minutes ago.
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: Option<String>,
}

impl Example for Enabling {
    fn example() -> Self {
        Self { password: Some("correct horse battery staple".to_owned()) }
    }
}

/// What an app needs to make codes. It counts once a code of it was typed.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SecondFactorSecret {
    /// To type into an app (Base32).
    pub secret: String,
    /// The same as an address.
    pub otpauth_uri: String,
    /// The same as a picture (SVG) for the app's camera.
    pub qr_svg: String,
}

impl Example for SecondFactorSecret {
    fn example() -> Self {
        let secret = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP".to_owned();
        let otpauth_uri = format!("otpauth://totp/Notes:ada%40example.com?secret={secret}&issuer=Notes");
        Self { secret, otpauth_uri, qr_svg: "<svg xmlns=\"http://www.w3.org/2000/svg\">…</svg>".to_owned() }
    }
}

/// A code of the app.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct AppCode {
    /// Six digits.
    #[oai(validator(min_length = 1, max_length = 32))]
    pub code: String,
}

impl Example for AppCode {
    fn example() -> Self {
        Self { code: "492039".to_owned() }
    }
}

/// Codes that each work once instead of one of the app. Shown this once.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct RecoveryCodes {
    pub recovery_codes: Vec<String>,
}

impl Example for RecoveryCodes {
    fn example() -> Self {
        Self { recovery_codes: vec!["k7qf3-9xw2m".to_owned(), "04vtc-zj8rd".to_owned()] }
    }
}

/// `code` or `password`.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Disabling {
    /// Six digits of the app, or a recovery code.
    #[oai(validator(min_length = 1, max_length = 32))]
    pub code: Option<String>,
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: Option<String>,
}

impl Example for Disabling {
    fn example() -> Self {
        Self { code: Some("492039".to_owned()), password: None }
    }
}

/// Whether someone has a second factor.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SecondFactorState {
    pub enabled: bool,
    /// How many recovery codes were not used yet.
    pub recovery_codes_left: u32,
}

impl Example for SecondFactorState {
    fn example() -> Self {
        Self { enabled: true, recovery_codes_left: 9 }
    }
}
