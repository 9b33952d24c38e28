//! One mail server, and the connections to it that are kept.
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_rustls::rustls::ClientConfig;

use super::connection::{Answer, Connection, Fault, Step, trust};
use super::message::Wire;
use super::postman::Error;
use crate::base::web::Site;
use crate::config::{MailServer, ServerConfig};

/// How much longer than one of its steps sending a mail may take. A server that drips its answers ends here.
const STEPS: u32 = 4;
/// How long a server is passed over that was not there: each mail would wait for its timeout.
const PASSED_OVER_FOR: Duration = Duration::from_secs(60);
/// How long a connection is kept that nobody needs. Servers end theirs after minutes (RFC 5321 section 4.5.3.2.7).
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Answers that are about us and not about the mail: an operator mends them, and the mail is sent then.
/// 421 and 4xx are temporary by themselves.
const ABOUT_SIGNING_IN: [u16; 4] = [530, 534, 535, 538];
/// A server that ends the connection (RFC 5321 section 4.2.3).
const CLOSING: u16 = 421;
/// Answers that are temporary and about the server, not about this mail alone (RFC 4954).
const ABOUT_THE_SERVER: [u16; 2] = [CLOSING, 454];
/// Enhanced codes that say that there is no such receiver (RFC 3463 section 3.2, RFC 7505).
const NO_SUCH_RECEIVER: [[u8; 3]; 6] = [[5, 1, 1], [5, 1, 2], [5, 1, 3], [5, 1, 4], [5, 1, 6], [5, 1, 10]];

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
    hello: String,
    /// Or why there can be none.
    tls: Result<Arc<ClientConfig>, String>,
    /// Those who have a connection, or are about to.
    seats: Semaphore,
    /// Connections that nobody uses, the last used one last.
    kept: Mutex<Vec<Connection>>,
    /// When it was not there.
    missed_at: Mutex<Option<Instant>>,
}

impl Peer {
    pub fn new(settings: MailServer, server: &ServerConfig) -> Self {
        let seats = usize::try_from(settings.connections_max).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            name: settings.name(),
            hello: hello(server),
            tls: trust(&settings).map_err(|why| format!("`mail` cannot be used: {why}")),
            seats: Semaphore::new(seats),
            settings,
            kept: Mutex::default(),
            missed_at: Mutex::default(),
        }
    }

    /// Whether it was not there a short while ago.
    pub fn is_passed_over(&self) -> bool {
        lock(&self.missed_at).is_some_and(|it| it.elapsed() < PASSED_OVER_FOR)
    }

    /// Sends a mail, and answers when the server has taken it.
    pub async fn send(&self, wire: &Wire) -> Result<(), Refusal> {
        let tls = self.tls.as_ref().map_err(|why| Refusal::ForNow(why.clone()))?;
        let Ok(Ok(_seat)) = timeout(self.settings.timeout(), self.seats.acquire()).await else {
            return Err(Refusal::ForNow(format!("all connections to {} are in use", self.name)));
        };
        let sending = timeout(self.settings.timeout() * STEPS, self.hand_over(tls, wire));
        let outcome = sending.await.unwrap_or(Err(Fault::Silent));
        *lock(&self.missed_at) = outcome.as_ref().err().filter(|it| is_about_the_server(it)).map(|_| Instant::now());
        outcome.map_err(|fault| self.told(&fault))
    }

    async fn hand_over(&self, tls: &Arc<ClientConfig>, wire: &Wire) -> Result<(), Fault> {
        if let Some(mut kept) = self.kept_one().await {
            let outcome = kept.send(wire).await;
            // It says nothing about a new one: servers end connections after a number of mails.
            let has_ended = match &outcome {
                Err(Fault::Answered(answer)) => answer.code == CLOSING,
                Err(Fault::Absent(_) | Fault::Silent) => !kept.is_in_doubt,
                Ok(()) | Err(Fault::Unable(_)) => false,
            };
            if !has_ended {
                return self.keep(kept, outcome);
            }
        }
        let mut fresh = Connection::open(&self.settings, tls, &self.hello).await?;
        let outcome = fresh.send(wire).await;
        self.keep(fresh, outcome)
    }

    /// Keeps a connection if both sides know where they are.
    fn keep(&self, connection: Connection, outcome: Result<(), Fault>) -> Result<(), Fault> {
        let goes_on = match &outcome {
            Ok(()) | Err(Fault::Unable(_)) => true,
            Err(Fault::Answered(answer)) => answer.code != CLOSING,
            Err(Fault::Absent(_) | Fault::Silent) => false,
        };
        if goes_on {
            lock(&self.kept).push(connection);
        }
        outcome
    }

    /// A connection over which the server still answers. Where the last used one does not, the others do not either.
    async fn kept_one(&self) -> Option<Connection> {
        let mut newest = {
            let mut kept = lock(&self.kept);
            kept.retain(|it| it.used_at.elapsed() < KEPT_FOR);
            kept.pop()?
        };
        if newest.is_there().await {
            return Some(newest);
        }
        lock(&self.kept).clear();
        None
    }

    fn told(&self, fault: &Fault) -> Refusal {
        let server = &self.name;
        let answer = match fault {
            Fault::Answered(answer) => answer,
            Fault::Silent => return Refusal::ForNow(format!("{server} takes too long to answer")),
            Fault::Absent(why) => return Refusal::ForNow(format!("{server} cannot be reached: {why}")),
            Fault::Unable(why) => return Refusal::ForGood(Error::Refused(format!("{server} cannot send it: {why}"))),
        };
        if is_about_signing_in(answer) {
            let advice = "look at `mail.username` and `mail.password`";
            return Refusal::ForNow(format!("{server} does not let us in: {answer}; {advice}"));
        }
        if answer.code < 500 {
            return Refusal::ForNow(format!("{server} does not take it now: {answer}"));
        }
        let why = format!("{server} refuses it: {answer}");
        if !is_for_good(answer) {
            return Refusal::ForNow(why);
        }
        let is_unknown = answer.step == Step::Receiver && NO_SUCH_RECEIVER.contains(&answer.enhanced);
        Refusal::ForGood(if is_unknown { Error::NoSuchReceiver(why) } else { Error::Refused(why) })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_about_signing_in(answer: &Answer) -> bool {
    answer.step == Step::SigningIn || ABOUT_SIGNING_IN.contains(&answer.code)
}

/// Whether the next mail would fare no better.
fn is_about_the_server(fault: &Fault) -> bool {
    match fault {
        Fault::Answered(answer) => {
            answer.step == Step::Greeting || is_about_signing_in(answer) || ABOUT_THE_SERVER.contains(&answer.code)
        }
        Fault::Absent(_) | Fault::Silent => true,
        Fault::Unable(_) => false,
    }
}

/// Whether a permanent answer is about the receiver or the mail. All others are about us, such as a greeting with 554, a
/// sender who is not known, or a network that is not let in: another server may see that in another way, or this one later.
fn is_for_good(answer: &Answer) -> bool {
    if !matches!(answer.step, Step::Receiver | Step::Content) {
        return false;
    }
    match answer.enhanced {
        // What begins with 5.1 may be about the sender too.
        [5, 1, 7 | 8] => false,
        // The receiver's address, their mailbox, the content, or its size (RFC 3463 section 3).
        [5, 1 | 2 | 6, _] | [5, 3, 4] => true,
        // A number that says nothing more.
        [0, _, _] => (550..=553).contains(&answer.code),
        // Such as 5.4.5: all that may be sent in a day was.
        _ => false,
    }
}

/// What we call ourselves (RFC 5321 section 4.1.3): the name in our links, or an address.
fn hello(server: &ServerConfig) -> String {
    let url = server.url();
    let host = Site::parse(&url).map_or("localhost", |it| it.host);
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(std::net::IpAddr::V4(address)) => format!("[{address}]"),
        Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
        Err(_) => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_about_the_receiver_or_the_mail_is_for_good() {
        for (step, code, enhanced, expected) in [
            (Step::Receiver, 550, [0, 0, 0], true),
            (Step::Receiver, 552, [0, 0, 0], true),
            (Step::Receiver, 552, [5, 5, 3], false),
            (Step::Receiver, 550, [5, 4, 5], false),
            (Step::Content, 550, [4, 7, 1], false),
            (Step::Receiver, 550, [5, 1, 1], true),
            (Step::Receiver, 554, [5, 2, 2], true),
            (Step::Content, 554, [5, 6, 0], true),
            (Step::Content, 552, [5, 3, 4], true),
            (Step::Content, 550, [5, 3, 2], false),
            (Step::Receiver, 550, [5, 7, 1], false),
            (Step::Content, 554, [5, 7, 26], false),
            (Step::Receiver, 554, [0, 0, 0], false),
            (Step::Receiver, 550, [5, 1, 8], false),
            (Step::Receiver, 500, [0, 0, 0], false),
            (Step::Receiver, 503, [5, 5, 1], false),
            (Step::Sender, 550, [5, 1, 1], false),
            (Step::SigningIn, 535, [5, 7, 8], false),
            (Step::Greeting, 550, [0, 0, 0], false),
        ] {
            let answer = Answer { step, code, enhanced, text: String::new() };
            assert_eq!(is_for_good(&answer), expected, "{answer} at {step:?}");
        }
    }
}
