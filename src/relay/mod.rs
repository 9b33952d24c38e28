//! Relays: WebSockets of a server's clients, held on other machines than its own.
//!
//! A relay is a process without data. Clients speak with it as they would with the server, its origin; it says over
//! one link ([`protocol`]) who came and what they say, and is told over it what they are to hear. What only the origin
//! can do stays there: who somebody is, what they may hear, presence, what they missed. What a socket costs is the
//! relay's: its buffers, its pings, and one event for a thousand clients a thousand times.
//!
//! `door.rs` is what clients ask, `link.rs` what all of them share, `client.rs` one of them, and `upstream.rs` keeps
//! the link. When that is lost, clients are told to come back: here once there is a link again, or elsewhere.
mod client;
mod door;
mod limits;
mod link;
pub mod protocol;
mod upstream;

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use self::link::Link;
use crate::base::{Clock, Random, Secret};
use crate::http::websocket::WebSockets;
use crate::http::{Policy, Shell};
use crate::net::{Address, Trust};

/// Whose clients a relay holds.
#[derive(Clone, Debug)]
pub struct Settings {
    pub origin: Address,
    pub trust: Trust,
    /// An API key, or a token, with the permission `relays:admin`.
    pub key: Secret<String>,
    /// What the origin shows it as.
    pub name: String,
}

/// A relay. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    settings: Settings,
    random: Random,
    /// Those of clients.
    sockets: WebSockets,
    /// Nothing while there is none.
    link: Mutex<Option<Arc<Link>>>,
    stop: CancellationToken,
}

impl Relay {
    /// `stop` says when its clients are told goodbye.
    pub fn new(settings: Settings, random: Random, stop: CancellationToken) -> Self {
        Self(Arc::new(Parts { settings, random, sockets: WebSockets::default(), link: Mutex::default(), stop }))
    }

    /// What clients come to. Load balancers are told to look elsewhere once it is `stopping`.
    pub fn shell(&self, policy: Policy, clock: Clock, stopping: CancellationToken) -> Shell {
        Shell::new(door::routes(self.clone(), stopping), policy.live(), clock, self.0.random.clone())
    }

    /// Keeps the link until the stop, and then until all clients were told goodbye.
    pub async fn run(self) {
        upstream::run(&self).await;
        self.0.sockets.closed().await;
    }

    /// The link, while there is one.
    fn link(&self) -> Option<Arc<Link>> {
        self.0.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_link(&self, link: Option<Arc<Link>>) {
        *self.0.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }
}
