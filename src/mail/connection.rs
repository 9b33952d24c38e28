//! What is said to a mail server, and what it answers (RFC 5321).
use std::io;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use futures_util::FutureExt;
use mail_send::SmtpClient;
use mail_send::smtp::AssertReply;
use mail_send::smtp::message::Parameters;
use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, EXT_8BIT_MIME, EXT_SMTP_UTF8, EXT_START_TLS, EhloResponse, Response};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::message::Wire;
use super::stream::{Bounded, Stream};
use crate::base::text::visible;
use crate::config::{MailSecurity, MailServer};

/// Longest part of an answer that is kept, in characters.
const ANSWER_CHARS_MAX: usize = 500;
/// How long a server may take to say that a connection still works that was kept.
const STILL_THERE_TIMEOUT: Duration = Duration::from_secs(5);
/// Shortest time for one of several addresses.
const ADDRESS_TIME_MIN: Duration = Duration::from_secs(1);
/// What a server says that wants to hear more of who signs in (RFC 4954 section 4), and that has heard enough.
const GO_ON: u16 = 334;
const SIGNED_IN: u16 = 235;
const WRONG_PASSWORD: u16 = 535;

/// Where in a conversation something was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Until both know what the other can do, and nobody else hears them.
    Greeting,
    SigningIn,
    Sender,
    Receiver,
    Content,
}

/// An answer that is no yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub step: Step,
    pub code: u16,
    /// The enhanced code (RFC 3463), such as 5.1.1; zeros if it has none.
    pub enhanced: [u8; 3],
    /// One line.
    pub text: String,
}

/// Why a step could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Answered(Answer),
    /// It was not there, or went away, or does not speak as a mail server does.
    Absent(String),
    /// It does not answer in time.
    Silent,
    /// It is there, and cannot take a mail like this.
    Unable(&'static str),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}", self.code)?;
        let [class, subject, detail] = self.enhanced;
        if 0 < class {
            write!(out, " {class}.{subject}.{detail}")?;
        }
        if !self.text.is_empty() {
            write!(out, " {}", self.text)?;
        }
        Ok(())
    }
}

impl Fault {
    fn at(step: Step, cause: mail_send::Error) -> Self {
        match cause {
            mail_send::Error::UnexpectedReply(it) => Self::of_answer(step, &it),
            mail_send::Error::Timeout => Self::Silent,
            mail_send::Error::UnparseableReply => {
                Self::Absent("it ended the connection, or does not answer as a mail server does".to_owned())
            }
            mail_send::Error::Io(cause) => Self::Absent(cause.to_string()),
            other => Self::Absent(other.to_string()),
        }
    }

    fn of_answer(step: Step, said: &Response<String>) -> Self {
        let answer = Answer::at(step, said);
        // After others nobody knows where the conversation is.
        match answer.code {
            400..=599 => Self::Answered(answer),
            _ => Self::Absent(format!("it answers what does not belong there: {answer}")),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(cause: io::Error) -> Self {
        Self::Absent(cause.to_string())
    }
}

impl Answer {
    fn at(step: Step, said: &Response<String>) -> Self {
        let line = said.message.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = visible(&line).chars().take(ANSWER_CHARS_MAX).collect();
        Self { step, code: said.code, enhanced: said.esc, text }
    }
}

/// A connection to a mail server that listens to us.
pub(super) struct Connection {
    client: SmtpClient<Bounded>,
    capabilities: EhloResponse<String>,
    /// When it was last of use.
    pub used_at: Instant,
    /// Whether the server may have got a mail that it did not answer.
    pub is_in_doubt: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Connection").field("used_at", &self.used_at).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, has the connection made secret, and signs in.
    pub async fn open(settings: &MailServer, tls: &Arc<ClientConfig>, hello: &str) -> Result<Self, Fault> {
        let time = settings.timeout();
        let mut stream: Box<dyn Stream> = Box::new(connect(settings).await?);
        if settings.security == MailSecurity::Tls {
            stream = secret(settings, tls, stream).await?;
        }
        let mut client = SmtpClient { stream: Bounded::new(stream), timeout: time };
        let greeting = timeout(time, client.read()).await.map_err(|_| Fault::Silent)?;
        let refused = |cause| Fault::at(Step::Greeting, cause);
        greeting.and_then(AssertReply::assert_positive_completion).map_err(refused)?;
        let mut capabilities = client.ehlo(hello).await.map_err(refused)?;
        if settings.security == MailSecurity::Starttls {
            if !capabilities.has_capability(EXT_START_TLS) {
                return Err(Fault::Absent("it does not offer STARTTLS".to_owned()));
            }
            let answered = client.cmd(b"STARTTLS\r\n").await;
            answered.and_then(AssertReply::assert_positive_completion).map_err(refused)?;
            let stream = secret(settings, tls, client.stream.into_inner()).await?;
            client = SmtpClient { stream: Bounded::new(stream), timeout: time };
            // What it said before could have been said by anyone (RFC 3207 section 4.2).
            capabilities = client.ehlo(hello).await.map_err(refused)?;
        }
        if !settings.username.is_empty() {
            sign_in(&mut client, settings, capabilities.auth_mechanisms).await?;
        }
        Ok(Self { client, capabilities, used_at: Instant::now(), is_in_doubt: false })
    }

    /// Whether the server still listens; what was begun is forgotten.
    pub async fn is_there(&mut self) -> bool {
        // What it said in the meantime would be taken for the answer to what comes.
        let is_quiet = self.client.stream.read_u8().now_or_never().is_none();
        is_quiet && matches!(timeout(STILL_THERE_TIMEOUT, self.client.rset()).await, Ok(Ok(())))
    }

    /// Sends a mail, which the server has taken then.
    pub async fn send(&mut self, wire: &Wire) -> Result<(), Fault> {
        let from = wire.envelope.from().map(ToString::to_string).unwrap_or_default();
        let receivers: Vec<_> = wire.envelope.to().iter().map(ToString::to_string).collect();
        let mut parameters = Parameters::new();
        if !from.is_ascii() || receivers.iter().any(|it| !it.is_ascii()) {
            if !self.capabilities.has_capability(EXT_SMTP_UTF8) {
                return Err(Fault::Unable("it takes only addresses of ASCII characters (no SMTPUTF8)"));
            }
            parameters.add("SMTPUTF8");
        }
        if !wire.bytes.is_ascii() {
            if !self.capabilities.has_capability(EXT_8BIT_MIME) {
                return Err(Fault::Unable("it takes only mails of ASCII characters (no 8BITMIME)"));
            }
            parameters.add(("BODY", "8BITMIME"));
        }
        let client = &mut self.client;
        client.mail_from(&from, &parameters).await.map_err(|cause| Fault::at(Step::Sender, cause))?;
        for to in &receivers {
            let taken = client.rcpt_to(to, &Parameters::new()).await;
            taken.map_err(|cause| Fault::at(Step::Receiver, cause))?;
        }
        self.is_in_doubt = true;
        let taken = client.data(&wire.bytes).await.map_err(|cause| Fault::at(Step::Content, cause));
        self.is_in_doubt = !matches!(taken, Ok(_) | Err(Fault::Answered(_)));
        taken?;
        self.used_at = Instant::now();
        Ok(())
    }
}

/// Signs in with a password, which nobody else hears (RFC 4954).
async fn sign_in(client: &mut SmtpClient<Bounded>, settings: &MailServer, offered: u64) -> Result<(), Fault> {
    let (name, password) = (&settings.username, settings.password.reveal());
    let fault = |cause| Fault::at(Step::SigningIn, cause);
    let mut refused = Fault::Absent("it does not let anyone sign in with a password (PLAIN, LOGIN)".to_owned());
    if offered & AUTH_PLAIN != 0 {
        let said = format!("AUTH PLAIN {}\r\n", BASE64.encode(format!("\0{name}\0{password}").as_bytes()));
        let answer = client.cmd(said).await.map_err(fault)?;
        if answer.code == SIGNED_IN {
            return Ok(());
        }
        refused = Fault::of_answer(Step::SigningIn, &answer);
        if matches!(&refused, Fault::Answered(it) if it.code == WRONG_PASSWORD) {
            return Err(refused);
        }
    }
    if offered & AUTH_LOGIN != 0 {
        let mut answer = client.cmd(b"AUTH LOGIN\r\n").await.map_err(fault)?;
        // The name is asked for first and the password then, in words of the server's own.
        for it in [name, password] {
            if answer.code == GO_ON {
                answer = client.cmd(format!("{}\r\n", BASE64.encode(it.as_bytes()))).await.map_err(fault)?;
            }
        }
        if answer.code == SIGNED_IN {
            return Ok(());
        }
        refused = Fault::of_answer(Step::SigningIn, &answer);
    }
    Err(refused)
}

/// Tries the addresses of a server in their order. They share the time: one that swallows what is sent to it, such as each
/// of IPv6 in a network that has none, leaves some to the others.
async fn connect(settings: &MailServer) -> Result<TcpStream, Fault> {
    let (place, time) = ((settings.host.as_str(), settings.port()), settings.timeout());
    let found = timeout(time, tokio::net::lookup_host(place)).await.map_err(|_| Fault::Silent)??;
    let addresses: Vec<_> = found.collect();
    let each = (time / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX)).max(ADDRESS_TIME_MIN);
    let mut fault = Fault::Absent("its name has no address".to_owned());
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // The end of a mail is written by itself, and would wait for the answer to what was before.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(cause)) => fault = cause.into(),
            Err(_) => fault = Fault::Silent,
        }
    }
    Err(fault)
}

async fn secret(
    settings: &MailServer,
    tls: &Arc<ClientConfig>,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, Fault> {
    let name = ServerName::try_from(settings.host.clone());
    let name = name.map_err(|_| Fault::Absent("its name can be on no certificate".to_owned()))?;
    let secret = timeout(settings.timeout(), TlsConnector::from(Arc::clone(tls)).connect(name, stream))
        .await
        .map_err(|_| Fault::Silent)??;
    Ok(Box::new(secret))
}

/// Whose certificates are believed: the authorities that browsers believe, and those that the operator named.
pub(super) fn trust(settings: &MailServer) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for found in CertificateDer::pem_slice_iter(settings.ca.as_bytes()) {
        let certificate = found.map_err(|cause| format!("`ca` is no certificate in the PEM format: {cause}"))?;
        roots.add(certificate).map_err(|cause| format!("`ca` has a certificate that is none: {cause}"))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|cause| cause.to_string())?;
    Ok(Arc::new(versions.with_root_certificates(roots).with_no_client_auth()))
}
