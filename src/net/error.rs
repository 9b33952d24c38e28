//! Why nobody answered, in words for whoever asked.
use std::io;

use tokio_rustls::rustls::{self, CertificateError};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the address {0}")]
    Address(&'static str),
    #[error("{0}")]
    Trust(String),
    #[error("cannot reach {authority}")]
    Unreachable { authority: String, source: io::Error },
    #[error("{authority} does not answer")]
    Silent { authority: String },
    #[error("{authority} is not trusted: {why}")]
    Untrusted { authority: String, why: String, is_unknown: bool },
    #[error("{authority} does not speak TLS as it should: {why}")]
    Tls { authority: String, why: String },
    #[error("{authority} takes too long to answer")]
    Slow { authority: String },
    #[error("{authority} closed the connection")]
    Closed { authority: String, source: hyper::Error },
    #[error("the answer of {authority} cannot be read: {why}")]
    Unreadable { authority: String, why: String },
    #[error("the request cannot be sent")]
    Request(#[from] http::Error),
}

impl Error {
    /// What went wrong while a connection was made secret.
    pub(super) fn of_handshake(authority: &str, cause: io::Error) -> Self {
        let authority = authority.to_owned();
        let found = cause.get_ref().and_then(|it| it.downcast_ref::<rustls::Error>());
        let Some(found) = found else { return Self::Unreachable { authority, source: cause } };
        match found {
            rustls::Error::InvalidCertificate(reason) => {
                let is_unknown = matches!(reason, CertificateError::UnknownIssuer);
                Self::Untrusted { authority, why: words(reason), is_unknown }
            }
            rustls::Error::InvalidMessage(_) => {
                Self::Tls { authority, why: "is it a server that wants http://?".to_owned() }
            }
            other => Self::Tls { authority, why: other.to_string() },
        }
    }
}

fn words(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => "its certificate is of an authority that is not known here".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".to_owned()
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        CertificateError::Other(cause) if cause.0.to_string().contains("CaUsedAsEndEntity") => {
            "its certificate is that of an authority, and not of a server".to_owned()
        }
        other => format!("its certificate is not valid ({other})"),
    }
}
