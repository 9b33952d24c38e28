//! What can go wrong with keys, in words fit for the client.
use std::time::Duration;

use poem::http::header::{HeaderValue, WWW_AUTHENTICATE};

use crate::base::Timestamp;
use crate::db;
use crate::features::{accounts, roles};
use crate::http::log::{self, Allowance};
use crate::http::problem::{self, Fault, Kind, Problem};

/// Whatever is the matter with a key itself.
pub const INVALID: Kind = Kind { status: 401, code: "api-key-invalid", title: "The API key does not work" };
pub const ELSEWHERE: Kind =
    Kind { status: 403, code: "api-key-address-refused", title: "The API key is not for this address" };
pub const EXHAUSTED: Kind = Kind { status: 403, code: "api-key-exhausted", title: "The API key has no credits left" };
pub(super) const OVER: Kind = Kind { status: 409, code: "api-key-over", title: "The API key is over" };
pub(super) const TOO_MANY: Kind =
    Kind { status: 409, code: "api-key-limit-reached", title: "No room for another API key" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[&INVALID, &ELSEWHERE, &EXHAUSTED, &OVER, &TOO_MANY];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("it is no key, or was mistyped: the checksum at its end is wrong")]
    Mistyped,
    #[error("it was never made, was rotated, or was revoked")]
    Unknown,
    #[error("it is disabled, or the account that it belongs to is")]
    Disabled,
    #[error("it has expired")]
    Expired,
    #[error("it works from certain addresses only, and this is none of them")]
    Elsewhere,
    #[error("{}", told(allowances))]
    LimitSpent {
        /// Of all limits that were asked; the last of them is spent.
        allowances: Vec<Allowance>,
    },
    #[error("it has too few credits left{}", refilled(*refills_at))]
    Exhausted { refills_at: Option<Timestamp> },
    #[error("it has expired or was revoked; make another one")]
    Over,
    #[error("a key that has an end, networks or a limit makes no keys and changes none")]
    Bounded,
    #[error("a tier is given by whoever may change accounts, with `users:write`")]
    TierNotGiven,
    #[error("there may be {max} keys; revoke one first")]
    TooMany { max: i64 },
    #[error("the key is another than the one that `If-Match` names; read it again")]
    Stale,
    #[error("there is nothing here, or nothing that you may see")]
    NotFound,
    #[error("some values are not valid")]
    Invalid(Vec<Fault>),
    #[error(transparent)]
    Role(#[from] roles::Error),
    #[error(transparent)]
    Account(#[from] accounts::Error),
    #[error("cannot reach the keys")]
    Db(#[from] db::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Mistyped | Error::Unknown | Error::Disabled | Error::Expired => {
                let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
                return Self::new(&INVALID, error.to_string()).with_header(WWW_AUTHENTICATE, challenge);
            }
            Error::Elsewhere => &ELSEWHERE,
            Error::Exhausted { refills_at } => {
                let refused = Self::new(&EXHAUSTED, error.to_string());
                let Some(at) = refills_at else { return refused };
                return refused.with_member("refillsAt", serde_json::Value::from(at.to_string()).to_string());
            }
            Error::LimitSpent { ref allowances } => {
                let wait = Duration::from_secs(allowances.last().map(|it| it.resets_in_secs).unwrap_or_default());
                let spent = Self::new(&problem::TOO_MANY_REQUESTS, error.to_string()).retry_after(wait);
                return log::headers(allowances).into_iter().fold(spent, |spent, (name, value)| {
                    match HeaderValue::try_from(value) {
                        Ok(value) => spent.with_header(name, value),
                        Err(_) => spent,
                    }
                });
            }
            Error::Bounded | Error::TierNotGiven => &roles::PERMISSION_NOT_HELD,
            Error::Over => &OVER,
            Error::TooMany { .. } => &TOO_MANY,
            Error::Stale => &problem::STALE,
            Error::NotFound => return Self::not_found(),
            Error::Invalid(faults) => return Self::invalid(faults),
            Error::Role(cause) => return cause.into(),
            Error::Account(cause) => return cause.into(),
            Error::Db(cause) => return cause.into(),
        };
        Self::new(kind, error.to_string())
    }
}

fn refilled(at: Option<Timestamp>) -> String {
    at.map(|it| format!("; it is given more at {it}")).unwrap_or_default()
}

fn told(allowances: &[Allowance]) -> String {
    let Some(Allowance { name, limit, window_secs, .. }) = allowances.last() else { return String::new() };
    format!("it may call {limit} times in {window_secs} seconds, and did (its limit `{name}`)")
}
