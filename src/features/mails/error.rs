//! What can go wrong with mails, in words fit for the client.
use super::render::Broken;
use crate::db;
use crate::http::problem::{self, Fault, Kind, Problem};
use crate::mail;

pub(super) const NOT_SENT: Kind = Kind { status: 502, code: "mail-not-sent", title: "The mail server did not take it" };

/// Problems only this feature reports; the catalogue page lists them.
pub const PROBLEMS: &[&Kind] = &[&NOT_SENT];

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
            // Only admins send mails by themselves, and they need the reason.
            Error::NotSent(cause) => Self::new(&NOT_SENT, cause.to_string()),
            Error::Db(cause) => cause.into(),
        }
    }
}
