//! One mail server, and the connections to it (RFC 5321).
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, Tls, TlsParameters};
use lettre::transport::smtp::commands::{Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{self, PoolConfig, SMTP_PORT};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use tokio::time::Instant;

use super::message::Wire;
use super::postman::Error;
use crate::base::text::chain;
use crate::base::web::Site;
use crate::config::{MailSecurity, MailServer, ServerConfig};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// How much longer than one of its steps sending a mail may take. A server that drips its answers ends here.
const STEPS: u32 = 4;
/// How long a server is passed over that was not there: each mail would wait for its timeout.
const PASSED_OVER_FOR: Duration = Duration::from_secs(60);

/// Answers that are about us and not about the mail: an operator mends them, and the mail is sent then.
/// 421 and 4xx are temporary by themselves.
const ABOUT_SIGNING_IN: [u16; 4] = [530, 534, 535, 538];
/// Answers that are temporary and about the server, not about this mail alone (RFC 5321 section 4.2.3, RFC 4954).
const ABOUT_THE_SERVER: [u16; 2] = [421, 454];
/// Enhanced codes that say that there is no such receiver (RFC 3463 section 3.2, RFC 7505). Others that begin with 5.1 are
/// about the sender.
const NO_SUCH_RECEIVER: [&str; 6] = ["5.1.1", "5.1.2", "5.1.3", "5.1.4", "5.1.6", "5.1.10"];

/// Why a server did not take a mail.
pub(super) enum Refusal {
    /// It is about the receiver or the mail: the server would say the same again.
    ForGood(Error),
    /// Another one may take it.
    ForNow(String),
}

/// A mail server, with the settings of a moment.
#[derive(Debug)]
pub(super) struct Peer {
    pub name: String,
    settings: MailServer,
    hello: ClientId,
    /// Or why there can be none.
    open: Result<(Transport, Tls), String>,
    /// When it was not there.
    missed_at: Mutex<Option<Instant>>,
}

impl Peer {
    pub fn new(settings: MailServer, server: &ServerConfig) -> Self {
        let (name, hello) = (settings.name(), hello(server));
        let open = open(&settings, &hello).map_err(|cause| format!("`mail` cannot be used: {}", chain(&cause)));
        Self { name, settings, hello, open, missed_at: Mutex::default() }
    }

    /// Whether it was not there a short while ago.
    pub fn is_passed_over(&self) -> bool {
        self.missed_at().is_some_and(|it| it.elapsed() < PASSED_OVER_FOR)
    }

    /// Sends a mail, and answers when the server has taken it.
    pub async fn send(&self, wire: &Wire) -> Result<(), Refusal> {
        let (transport, _) = self.open.as_ref().map_err(|why| Refusal::ForNow(why.clone()))?;
        let sending = transport.send_raw(&wire.envelope, &wire.bytes);
        let outcome = tokio::time::timeout(self.settings.timeout() * STEPS, sending).await;
        let is_missing = match &outcome {
            Ok(Ok(_)) => false,
            Ok(Err(cause)) => match cause.status().map(u16::from) {
                Some(code) => ABOUT_THE_SERVER.contains(&code) || ABOUT_SIGNING_IN.contains(&code),
                // What it cannot do, such as take an address of this kind, says nothing about the next mail.
                None => !cause.is_client(),
            },
            Err(_) => true,
        };
        *self.missed_at() = is_missing.then(Instant::now);
        match outcome {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(cause)) => Err(self.told(&cause, &wire.envelope).await),
            Err(_) => Err(Refusal::ForNow(format!("{} takes too long to answer", self.name))),
        }
    }

    async fn told(&self, cause: &smtp::Error, envelope: &Envelope) -> Refusal {
        let (server, text) = (&self.name, chain(cause));
        let code = cause.status().map(u16::from);
        if code.is_some_and(|it| ABOUT_SIGNING_IN.contains(&it)) {
            let advice = "look at `mail.username` and `mail.password`";
            return Refusal::ForNow(format!("{server} does not let us in: {text}; {advice}"));
        }
        if cause.is_permanent() {
            let why = format!("{server} refuses it: {text}");
            if !is_for_good(code, enhanced(cause).as_deref()) {
                return Refusal::ForNow(why);
            }
            let is_unknown = is_no_such_receiver(cause) && self.refuses(envelope).await;
            return Refusal::ForGood(if is_unknown { Error::NoSuchReceiver(why) } else { Error::Refused(why) });
        }
        if cause.is_timeout() {
            return Refusal::ForNow(format!("{server} takes too long to answer"));
        }
        Refusal::ForNow(format!("{server} does not take it now: {text}"))
    }

    /// Whether the server knows no such receiver, before it has seen a mail. Asked on a connection of its own: some say so of a
    /// mail that they take for unwanted, and nothing is sent there any more.
    async fn refuses(&self, envelope: &Envelope) -> bool {
        let asking = async {
            let mut connection = self.connect().await.ok()?;
            let outcome = ask(&mut connection, envelope).await;
            let _ = connection.quit().await; // what it said is known
            outcome
        };
        tokio::time::timeout(self.settings.timeout() * STEPS, asking).await.ok().flatten().unwrap_or(false)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let (place, timeout) = ((self.settings.host.as_str(), self.settings.port()), Some(self.settings.timeout()));
        let tls = self.open.as_ref().map_or(&Tls::None, |(_, tls)| tls);
        let wrapper = if let Tls::Wrapper(tls) = tls { Some(tls.clone()) } else { None };
        let mut connection = AsyncSmtpConnection::connect_tokio1(place, timeout, &self.hello, wrapper, None).await?;
        if let Tls::Required(tls) = tls {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(credentials) = credentials(&self.settings) {
            connection.auth(DEFAULT_MECHANISMS, &credentials).await?;
        }
        Ok(connection)
    }

    fn missed_at(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.missed_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is no such receiver; nothing if it does not come to that.
async fn ask(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Option<bool> {
    connection.command(Mail::new(envelope.from().cloned(), vec![])).await.ok()?;
    for to in envelope.to() {
        if let Err(cause) = connection.command(Rcpt::new(to.clone(), vec![])).await {
            return Some(is_no_such_receiver(&cause));
        }
    }
    Some(false)
}

/// Whether a permanent answer is about the receiver or the mail. All others are about us, such as a greeting with 554, a
/// command that is not known, or a network that is not let in: another server may see that in another way, or this one later.
fn is_for_good(code: Option<u16>, enhanced: Option<&str>) -> bool {
    match enhanced {
        // The receiver's address, their mailbox, the content, or its size (RFC 3463 section 3).
        Some(it) if ["5.1.", "5.2.", "5.6."].iter().any(|about| it.starts_with(about)) || it == "5.3.4" => true,
        Some(it) if ["5.3.", "5.7."].iter().any(|about| it.starts_with(about)) => false,
        _ => code.is_some_and(|it| (550..=553).contains(&it)),
    }
}

fn is_no_such_receiver(cause: &smtp::Error) -> bool {
    cause.is_permanent() && enhanced(cause).is_some_and(|it| NO_SUCH_RECEIVER.contains(&it.as_str()))
}

/// The enhanced code that an answer begins with (RFC 2034), such as `5.1.1`.
fn enhanced(cause: &smtp::Error) -> Option<String> {
    let text = std::error::Error::source(cause)?.to_string();
    let first = text.split_ascii_whitespace().next()?;
    let mut parts = first.split('.');
    let is_number = |it: Option<&str>| it.is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()));
    let is_one =
        is_number(parts.next()) && is_number(parts.next()) && is_number(parts.next()) && parts.next().is_none();
    is_one.then(|| first.to_owned())
}

fn open(settings: &MailServer, hello: &ClientId) -> Result<(Transport, Tls), smtp::Error> {
    let tls = || -> Result<TlsParameters, smtp::Error> {
        let mut tls = TlsParameters::builder(settings.host.clone());
        for one in certificates(&settings.ca) {
            tls = tls.add_root_certificate(Certificate::from_pem(one.as_bytes())?);
        }
        tls.build()
    };
    let tls = match settings.security {
        MailSecurity::Starttls => Tls::Required(tls()?),
        MailSecurity::Tls => Tls::Wrapper(tls()?),
        MailSecurity::None => Tls::None,
    };
    debug_assert_eq!(SMTP_PORT, 25, "the usual ports are those of `MailServer::port`");
    let mut builder = Transport::builder_dangerous(settings.host.as_str())
        .port(settings.port())
        .tls(tls.clone())
        .timeout(Some(settings.timeout()))
        .hello_name(hello.clone())
        .pool_config(PoolConfig::new().max_size(settings.connections_max));
    if let Some(credentials) = credentials(settings) {
        builder = builder.credentials(credentials);
    }
    Ok((builder.build(), tls))
}

fn credentials(settings: &MailServer) -> Option<Credentials> {
    let (name, password) = (settings.username.clone(), settings.password.reveal().clone());
    (!name.is_empty()).then(|| Credentials::new(name, password))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_about_the_receiver_or_the_mail_is_for_good() {
        for (code, enhanced, expected) in [
            (550, None, true),
            (552, None, true),
            (553, Some("5.5.0"), true),
            (550, Some("5.1.1"), true),
            (554, Some("5.2.2"), true),
            (554, Some("5.6.0"), true),
            (552, Some("5.3.4"), true),
            (550, Some("5.3.2"), false),
            (550, Some("5.7.1"), false),
            (554, Some("5.7.26"), false),
            (554, None, false),
            (500, None, false),
            (503, Some("5.5.1"), false),
            (535, Some("5.7.8"), false),
        ] {
            assert_eq!(is_for_good(Some(code), enhanced), expected, "{code} {enhanced:?}");
        }
    }
}
