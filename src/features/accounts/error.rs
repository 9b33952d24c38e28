//! What can go wrong with accounts, in words fit for the client.
use std::time::Duration;

use poem::http::header::{HeaderValue, WWW_AUTHENTICATE};

use crate::base::Timestamp;
use crate::db;
use crate::features::roles;
use crate::http::problem::{self, Fault, Kind, Problem};
use crate::work::Full;

pub(super) const EMAIL_TAKEN: Kind = Kind { status: 409, code: "email-taken", title: "That address has an account" };
pub(super) const WRONG_CREDENTIALS: Kind =
    Kind { status: 401, code: "wrong-credentials", title: "The address or the password is wrong" };
pub(super) const REGISTRATION_CLOSED: Kind =
    Kind { status: 403, code: "registration-closed", title: "People cannot register here" };
pub const TOKEN_INVALID: Kind = Kind { status: 401, code: "token-invalid", title: "The token does not work" };
pub(super) const SECOND_FACTOR_ON: Kind =
    Kind { status: 409, code: "second-factor-on", title: "There is a second factor already" };
pub const SECOND_FACTOR_WRONG: Kind =
    Kind { status: 403, code: "second-factor-wrong", title: "The code does not work" };
pub(super) const SECRET_INVALID: Kind =
    Kind { status: 403, code: "one-time-secret-invalid", title: "The link or the code does not work" };
pub(super) const SETUP_LINK_INVALID: Kind =
    Kind { status: 403, code: "setup-link-invalid", title: "The setup link does not work" };
pub(super) const NOT_IMPERSONATED: Kind =
    Kind { status: 409, code: "impersonation-refused", title: "Nobody can act as this account" };
pub(super) const INVITATION_VOID: Kind =
    Kind { status: 403, code: "invitation-void", title: "The invitation does not count any more" };
pub(super) const TOO_MANY_INVITATIONS: Kind =
    Kind { status: 409, code: "invitation-limit-reached", title: "No room for another invitation" };
pub const STILL_PENDING: Kind =
    Kind { status: 409, code: "account-pending", title: "The address was not verified yet" };
pub(super) const LAST_ADMIN: Kind = Kind { status: 409, code: "last-admin", title: "Someone has to be admin" };
pub const IN_USE: Kind = Kind { status: 409, code: "account-in-use", title: "Records refer to the account" };

pub(super) const ADDRESS_BLOCKED: Kind =
    Kind { status: 429, code: "address-blocked", title: "Nobody signs in from there for a while" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[
    &EMAIL_TAKEN,
    &WRONG_CREDENTIALS,
    &REGISTRATION_CLOSED,
    &TOKEN_INVALID,
    &SECRET_INVALID,
    &SECOND_FACTOR_ON,
    &SECOND_FACTOR_WRONG,
    &SETUP_LINK_INVALID,
    &NOT_IMPERSONATED,
    &INVITATION_VOID,
    &TOO_MANY_INVITATIONS,
    &LAST_ADMIN,
    &STILL_PENDING,
    &IN_USE,
    &ADDRESS_BLOCKED,
];

/// How long to wait when the threads that check passwords have more than enough to do.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is an account with this address; sign in, or use another address")]
    EmailTaken,
    #[error("no account that may sign in has this address and this password")]
    WrongCredentials,
    #[error("accounts are made by an admin here")]
    RegistrationClosed,
    #[error("it was refused because it is not valid, has expired or was used before; sign in again")]
    TokenInvalid,
    #[error("there is a second factor already; turn it off first")]
    SecondFactorOn,
    #[error("it is not a code of the app or a recovery code, or was used before; wait for the next one")]
    SecondFactorWrong,
    #[error("a picture could not be made")]
    Picture,
    #[error("it was used, has expired, or was never sent; ask for another mail")]
    SecretInvalid,
    #[error("it was used, has expired, or was never made; `steading admin link` makes a new one")]
    SetupLinkInvalid,
    #[error("{why}")]
    NotImpersonated { why: &'static str },
    #[error("whoever sent it could not send it today; ask for another one")]
    InvitationVoid,
    #[error("{max} invitations wait to be accepted; take some back first")]
    TooManyInvitations { max: i64 },
    #[error("nobody has shown yet that the address is theirs; an invitation gives a role to who reads its mails")]
    StillPending,
    #[error("nobody else is an admin; make somebody one first")]
    LastAdmin,
    #[error("records refer to the account, and their collection does not allow it to go before them")]
    InUse,
    #[error("more than 1,000 records in a row would go with the account; begin with those at the end")]
    TooDeep,
    #[error(transparent)]
    Role(#[from] roles::Error),
    #[error("there were too many attempts; wait until {until}")]
    TooManyAttempts {
        until: Timestamp,
        wait: Duration,
        /// Whether none was refused for this before, within the window.
        is_first: bool,
    },
    #[error(
        "many passwords were tried from your address; wait until {until}, use a device that you signed in on before, or sign in \
         with a code by mail"
    )]
    AddressBlocked { until: Timestamp, wait: Duration },
    #[error("the account is another than the one that `If-Match` names; read it again")]
    Stale,
    #[error("there is nothing here, or nothing that you may see")]
    NotFound,
    #[error("some values are not valid")]
    Invalid(Vec<Fault>),
    #[error("too many passwords are being checked")]
    PasswordsBusy(#[from] Full),
    #[error("a password could not be hashed")]
    Hash(#[source] argon2::password_hash::Error),
    #[error("a token could not be signed")]
    Sign(#[source] jsonwebtoken::errors::Error),
    #[error("cannot reach the accounts")]
    Db(#[from] db::Error),
}

fn unauthorized(kind: &'static Kind, error: &Error, challenge: &'static str) -> Problem {
    Problem::new(kind, error.to_string()).with_header(WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::EmailTaken => &EMAIL_TAKEN,
            Error::RegistrationClosed => &REGISTRATION_CLOSED,
            // Each 401 says how to sign in (RFC 9110 section 15.5.2); some clients fail without.
            Error::WrongCredentials => return unauthorized(&WRONG_CREDENTIALS, &error, "Bearer"),
            Error::TokenInvalid => return unauthorized(&TOKEN_INVALID, &error, "Bearer error=\"invalid_token\""),
            Error::SecondFactorOn => &SECOND_FACTOR_ON,
            Error::SecondFactorWrong => &SECOND_FACTOR_WRONG,
            Error::SecretInvalid => &SECRET_INVALID,
            Error::SetupLinkInvalid => &SETUP_LINK_INVALID,
            Error::NotImpersonated { .. } => &NOT_IMPERSONATED,
            Error::InvitationVoid => &INVITATION_VOID,
            Error::TooManyInvitations { .. } => &TOO_MANY_INVITATIONS,
            Error::StillPending => &STILL_PENDING,
            Error::LastAdmin => &LAST_ADMIN,
            Error::InUse | Error::TooDeep => &IN_USE,
            Error::Role(cause) => return cause.into(),
            Error::Stale => &problem::STALE,
            Error::NotFound => return Self::not_found(),
            Error::TooManyAttempts { wait, .. } => {
                return Self::new(&problem::TOO_MANY_REQUESTS, error.to_string()).retry_after(wait);
            }
            Error::AddressBlocked { wait, .. } => {
                return Self::new(&ADDRESS_BLOCKED, error.to_string()).retry_after(wait);
            }
            Error::Invalid(faults) => return Self::invalid(faults),
            Error::PasswordsBusy(_) => {
                return Self::new(&problem::BUSY, error.to_string()).retry_after(RETRY_WHEN_FULL);
            }
            Error::Hash(_) | Error::Sign(_) | Error::Picture => return Self::internal(&error),
            Error::Db(cause) => return cause.into(),
        };
        Self::new(kind, error.to_string())
    }
}
