//! What can go wrong with mails, in words fit for the client.
use std::time::Duration;

use super::render::Broken;
use super::suppression::SuppressionReason;
use super::suppression_store::SUPPRESSIONS_MAX;
use crate::db;
use crate::http::problem::{self, Fault, Kind, Problem};
use crate::mail;

pub(super) const NOT_SENT: Kind = Kind { status: 502, code: "mail-not-sent", title: "The mail server did not take it" };

pub(super) const DKIM_NOT_SET: Kind = Kind { status: 404, code: "mail-dkim-not-set", title: "Mails are not signed" };
pub(super) const SUPPRESSED: Kind =
    Kind { status: 409, code: "mail-suppressed", title: "Nothing is sent to this address" };
pub(super) const SUPPRESSION_LIMIT_REACHED: Kind =
    Kind { status: 409, code: "mail-suppression-limit-reached", title: "No room for another address" };
pub(super) const REPORT_UNREADABLE: Kind =
    Kind { status: 422, code: "mail-report-unreadable", title: "It is no report about a mail" };
pub(super) const REPORT_FOREIGN: Kind =
    Kind { status: 422, code: "mail-report-foreign", title: "It is about no mail of this server" };
pub(super) const ENOUGH_TODAY: Kind =
    Kind { status: 429, code: "mail-recipient-limit-reached", title: "The address had enough mails today" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[
    &NOT_SENT,
    &DKIM_NOT_SET,
    &SUPPRESSED,
    &SUPPRESSION_LIMIT_REACHED,
    &REPORT_UNREADABLE,
    &REPORT_FOREIGN,
    &ENOUGH_TODAY,
];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is nothing here, or nothing that you may see")]
    NotFound,
    #[error("it is another than the one that `If-Match` names; read it again")]
    Stale,
    #[error("some values are not valid")]
    Invalid(Vec<Fault>),
    #[error("a mail cannot be made of its template")]
    Broken(Vec<Broken>),
    #[error("nothing is sent to {address}: {}", .reason.words())]
    Suppressed { address: String, reason: SuppressionReason },
    #[error("the address had the {most} mails that it may get within a day")]
    EnoughToday { most: u32, wait: Duration },
    #[error("there may be at most {SUPPRESSIONS_MAX} addresses to which nothing is sent")]
    NoRoom,
    #[error("the body {0}")]
    Unreadable(&'static str),
    #[error("it has no Message-ID of a mail that this server sent to the address that it is about")]
    Foreign,
    #[error("no key is set to sign mails with; see `mail.dkim`")]
    NotSigned,
    #[error("a mail was not sent")]
    NotSent(#[source] mail::Error),
    #[error("cannot reach the mails")]
    Db(#[from] db::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Stale => Self::new(&problem::STALE, error.to_string()),
            Error::Invalid(faults) => Self::invalid(faults),
            Error::Broken(broken) => {
                let fault = |it: &Broken| Fault::new(format!("/{}", it.part), "template", it.why.clone());
                Self::invalid(broken.iter().map(fault).collect())
            }
            Error::Suppressed { .. } => Self::new(&SUPPRESSED, error.to_string()),
            Error::EnoughToday { wait, .. } => Self::new(&ENOUGH_TODAY, error.to_string()).retry_after(wait),
            Error::NoRoom => Self::new(&SUPPRESSION_LIMIT_REACHED, error.to_string()),
            Error::Unreadable(_) => Self::new(&REPORT_UNREADABLE, error.to_string()),
            Error::Foreign => Self::new(&REPORT_FOREIGN, error.to_string()),
            Error::NotSigned => Self::new(&DKIM_NOT_SET, error.to_string()),
            // Only admins send mails by themselves, and they need the reason.
            Error::NotSent(cause) => Self::new(&NOT_SENT, cause.to_string()),
            Error::Db(cause) => cause.into(),
        }
    }
}
