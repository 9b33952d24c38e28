//! Who brings a mail to a server: to the first that takes it.
use std::sync::{Arc, Mutex, PoisonError};

use super::Message;
use super::dkim::{Record, Signer};
use super::peer::{Peer, Refusal};
use crate::config::{MailConfig, ServerConfig, View};

/// Why a mail was not sent, in words for an admin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It will be refused again.
    #[error("{0}")]
    Refused(String),
    /// It will be refused again, since there is nobody at this address.
    #[error("{0}")]
    NoSuchReceiver(String),
    /// No server is there, all are busy, or their settings are wrong.
    #[error("{0}")]
    NotNow(String),
}

/// What there is to send with, made anew when the settings change.
#[derive(Debug)]
struct Open {
    of: Arc<MailConfig>,
    peers: Vec<Peer>,
    signer: Option<Signer>,
}

/// Sends mails. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Postman {
    config: View<MailConfig>,
    server: View<ServerConfig>,
    open: Arc<Mutex<Option<Arc<Open>>>>,
}

impl Postman {
    pub fn new(config: View<MailConfig>, server: View<ServerConfig>) -> Self {
        Self { config, server, open: Arc::default() }
    }

    /// Whether there is a server to send with.
    pub fn is_set(&self) -> bool {
        self.config.get().is_set()
    }

    /// Most mails to one address within a day, but for notices. Nothing: any number.
    pub fn mails_per_recipient_max(&self) -> Option<u32> {
        Some(self.config.get().mails_per_recipient_max).filter(|it| 0 < *it)
    }

    /// What is to be published for the signatures of mails; nothing if they have none.
    pub fn dkim_record(&self) -> Option<Record> {
        self.open().signer.as_ref().map(|it| it.record().clone())
    }

    /// Sends a mail, and answers with the name of the server that took it (`host:port`).
    ///
    /// The servers are tried in their order. Those that were not there a short while ago come last: they are tried only if
    /// no other takes the mail. What one refuses another may take; only a receiver whom nobody knows ends it at once.
    pub async fn send(&self, message: &Message) -> Result<String, Error> {
        let open = self.open();
        let wire = message.wire(&open.of, open.signer.as_ref())?;
        let (later, first): (Vec<_>, Vec<_>) = open.peers.iter().partition(|it| it.is_passed_over());
        let (mut reasons, mut is_for_good) = (Vec::new(), true);
        for peer in first.into_iter().chain(later) {
            match peer.send(&wire).await {
                Ok(()) => return Ok(peer.name.clone()),
                Err(Refusal::ForGood(Error::Refused(why))) => reasons.push(why),
                Err(Refusal::ForGood(why)) => return Err(why),
                Err(Refusal::ForNow(why)) => {
                    is_for_good = false;
                    reasons.push(why);
                }
            }
        }
        // Where no server is set, nobody refused it.
        let (is_for_good, why) = (is_for_good && !reasons.is_empty(), reasons.join("; "));
        Err(if is_for_good { Error::Refused(why) } else { Error::NotNow(why) })
    }

    /// The connections to the servers that are set now.
    fn open(&self) -> Arc<Open> {
        let config = self.config.get();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = open.as_ref().filter(|it| Arc::ptr_eq(&it.of, &config)) {
            return Arc::clone(open);
        }
        let server = self.server.get();
        let peers = config.servers().into_iter().map(|it| Peer::new(it, &server)).collect();
        let fresh = Arc::new(Open { signer: Signer::new(&config.dkim), of: config, peers });
        *open = Some(Arc::clone(&fresh));
        fresh
    }
}
