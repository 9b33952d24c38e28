//! The connection to the mail server (RFC 5321), made anew when the settings change.
use std::sync::{Arc, Mutex, PoisonError};

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{PoolConfig, SMTP_PORT};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::Message;
use crate::base::text::chain;
use crate::base::web::Site;
use crate::config::{MailConfig, MailSecurity, ServerConfig, View};

type Transport = AsyncSmtpTransport<Tokio1Executor>;
/// The connections, with the settings that they were made with.
type Open = (Arc<MailConfig>, Transport);

/// How much longer than one of its steps sending a mail may take. A server that drips its answers ends here.
const STEPS: u32 = 4;

/// Answers that are about us and not about the mail: an operator mends them, and the mail is sent then.
/// 421 and 4xx are temporary by themselves.
const ABOUT_SIGNING_IN: [u16; 4] = [530, 534, 535, 538];

/// Why a mail was not sent, in words for an admin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It will be refused again.
    #[error("{0}")]
    Refused(String),
    /// The server is not there, is busy, or its settings are wrong.
    #[error("{0}")]
    NotNow(String),
}

/// Sends mails. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Postman {
    config: View<MailConfig>,
    server: View<ServerConfig>,
    open: Arc<Mutex<Option<Open>>>,
}

impl Postman {
    pub fn new(config: View<MailConfig>, server: View<ServerConfig>) -> Self {
        Self { config, server, open: Arc::default() }
    }

    /// Whether there is a server to send with.
    pub fn is_set(&self) -> bool {
        self.config.get().is_set()
    }

    /// The server as an operator knows it: `host:port`.
    pub fn server_name(&self) -> String {
        let config = self.config.get();
        format!("{}:{}", config.host, config.port())
    }

    /// Sends a mail, and answers when the server has taken it.
    pub async fn send(&self, message: &Message) -> Result<(), Error> {
        let config = self.config.get();
        let letter = message.letter(&config)?;
        let transport = self.transport(&config)?;
        let sending = tokio::time::timeout(config.timeout() * STEPS, transport.send(letter)).await;
        match sending {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(cause)) => Err(self.told(&cause)),
            Err(_) => Err(Error::NotNow(format!("{} takes too long to answer", self.server_name()))),
        }
    }

    fn told(&self, cause: &lettre::transport::smtp::Error) -> Error {
        let (server, text) = (self.server_name(), chain(cause));
        let code = cause.status().map(u16::from);
        if cause.is_permanent() && !code.is_some_and(|it| ABOUT_SIGNING_IN.contains(&it)) {
            return Error::Refused(format!("{server} refuses it: {text}"));
        }
        if code.is_some_and(|it| ABOUT_SIGNING_IN.contains(&it)) {
            return Error::NotNow(format!(
                "{server} does not let us in: {text}; look at `mail.username` and `mail.password`"
            ));
        }
        if cause.is_timeout() {
            return Error::NotNow(format!("{server} takes too long to answer"));
        }
        Error::NotNow(format!("{server} does not take it now: {text}"))
    }

    /// The connections to the server that is set now.
    fn transport(&self, config: &Arc<MailConfig>) -> Result<Transport, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, transport)) = open.as_ref()
            && Arc::ptr_eq(of, config)
        {
            return Ok(transport.clone());
        }
        let transport = build(config, &self.server.get())?;
        *open = Some((Arc::clone(config), transport.clone()));
        Ok(transport)
    }
}

fn build(config: &MailConfig, server: &ServerConfig) -> Result<Transport, Error> {
    let unusable =
        |cause: lettre::transport::smtp::Error| Error::NotNow(format!("`mail` cannot be used: {}", chain(&cause)));
    let tls = || -> Result<TlsParameters, Error> {
        let mut tls = TlsParameters::builder(config.host.clone());
        if !config.ca.is_empty() {
            for one in certificates(&config.ca) {
                tls = tls.add_root_certificate(Certificate::from_pem(one.as_bytes()).map_err(unusable)?);
            }
        }
        tls.build().map_err(unusable)
    };
    let tls = match config.security {
        MailSecurity::Starttls => Tls::Required(tls()?),
        MailSecurity::Tls => Tls::Wrapper(tls()?),
        MailSecurity::None => Tls::None,
    };
    debug_assert_eq!(SMTP_PORT, 25, "the usual ports are those of `MailConfig::port`");
    let mut builder = Transport::builder_dangerous(config.host.as_str())
        .port(config.port())
        .tls(tls)
        .timeout(Some(config.timeout()))
        .hello_name(hello(server))
        .pool_config(PoolConfig::new().max_size(config.connections_max));
    if !config.username.is_empty() {
        builder = builder.credentials(Credentials::new(config.username.clone(), config.password.reveal().clone()));
    }
    Ok(builder.build())
}

/// What we call ourselves (RFC 5321 section 4.1.3): the name in our links, or an address.
fn hello(server: &ServerConfig) -> ClientId {
    let url = server.url();
    let host = Site::parse(&url).map_or("localhost", |it| it.host);
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(host.to_owned()),
    }
}

/// Each certificate of a file with several.
fn certificates(pem: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    pem.split_inclusive(END).filter(|it| it.contains(END)).map(ToOwned::to_owned).collect()
}
