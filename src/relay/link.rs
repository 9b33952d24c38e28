//! A link as the clients of a relay share it.
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, mpsc};

use super::limits::SAYS_MAX;
use super::protocol::{FromOrigin, FromRelay, MESSAGE_BYTES_MAX, Open, Refusal, Welcome, cost};
use crate::http::websocket::Utf8Bytes;

/// A link that was welcomed.
#[derive(Debug)]
pub(super) struct Link {
    pub welcome: Welcome,
    clients: Mutex<Clients>,
    opened: AtomicU64,
    opening: Semaphore,
    says: mpsc::Sender<String>,
    has_gone: Notify,
}

#[derive(Debug, Default)]
struct Clients {
    /// How each is told things. What waits for one of them, the origin bounds by its window.
    here: HashMap<u64, mpsc::UnboundedSender<Told>>,
    /// Those that the origin does not know yet to be gone.
    gone: Vec<u64>,
    is_lost: bool,
}

/// What a client, or whoever serves it, is told.
#[derive(Debug)]
pub(super) enum Told {
    Opened,
    Refused(Refusal),
    /// A message, and what it takes of the window.
    Text(Utf8Bytes, usize),
    /// So many bytes of what it said were heard.
    Heard(usize),
    Close(Option<u16>, String),
}

/// A client of a link, until it is dropped.
#[derive(Debug)]
pub(super) struct Client {
    pub number: u64,
    pub link: Arc<Link>,
    pub told: mpsc::UnboundedReceiver<Told>,
}

/// What became of somebody who asked for a WebSocket.
pub(super) enum Opened {
    Client(Client),
    Refused(Refusal),
    /// The head of the request has no room in a message.
    TooLarge,
    /// The link was lost meanwhile.
    Lost,
}

impl Link {
    /// A link, and what its clients say, to be written.
    pub fn new(welcome: Welcome) -> (Self, mpsc::Receiver<String>) {
        let (says, said) = mpsc::channel(SAYS_MAX);
        let opening = Semaphore::new(welcome.opening_max.clamp(1, Semaphore::MAX_PERMITS));
        let (clients, opened, has_gone) = (Mutex::default(), AtomicU64::new(0), Notify::new());
        (Self { welcome, clients, opened, opening, says, has_gone }, said)
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the origin to let somebody in. The number of the request counts not.
    pub async fn open(self: &Arc<Self>, open: Open) -> Opened {
        let Ok(_turn) = self.opening.acquire().await else { return Opened::Lost };
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let (tells, told) = mpsc::unbounded_channel();
        {
            let mut clients = self.clients();
            if clients.is_lost {
                return Opened::Lost;
            }
            clients.here.insert(number, tells);
        }
        let mut client = Client { number, link: Arc::clone(self), told };
        let Ok(text) = serde_json::to_string(&FromRelay::Open(Box::new(Open { connection: number, ..open }))) else {
            return Opened::Lost;
        };
        if MESSAGE_BYTES_MAX < text.len() {
            return Opened::TooLarge;
        }
        if self.says.send(text).await.is_err() {
            return Opened::Lost;
        }
        match client.told.recv().await {
            Some(Told::Opened) => Opened::Client(client),
            Some(Told::Refused(refusal)) => Opened::Refused(refusal),
            _ => Opened::Lost,
        }
    }

    /// Says something to the origin. False if the link is lost.
    pub async fn say(&self, what: &FromRelay) -> bool {
        let Ok(text) = serde_json::to_string(what) else { return false };
        self.says.send(text).await.is_ok()
    }

    /// Waits until clients are gone that the origin does not know of.
    pub async fn gone(&self) -> Vec<u64> {
        loop {
            let gone = std::mem::take(&mut self.clients().gone);
            if !gone.is_empty() {
                return gone;
            }
            self.has_gone.notified().await;
        }
    }

    /// Tells a client something. One that is gone is told nothing.
    fn tell(&self, number: u64, what: Told) {
        if let Some(tells) = self.clients().here.get(&number) {
            let _ = tells.send(what);
        }
    }

    /// Tells a client that it is let in, or the origin that it is gone by now.
    fn let_in(&self, number: u64) {
        let mut clients = self.clients();
        match clients.here.get(&number) {
            Some(tells) => {
                let _ = tells.send(Told::Opened);
            }
            None => {
                clients.gone.push(number);
                self.has_gone.notify_one();
            }
        }
    }

    /// The last that a client is told.
    fn tell_last(&self, number: u64, what: Told) {
        if let Some(tells) = self.clients().here.remove(&number) {
            let _ = tells.send(what);
        }
    }

    /// Hands on what the origin says.
    pub fn hear(&self, said: FromOrigin<'_>) {
        match said {
            FromOrigin::Welcome(_) => {}
            FromOrigin::Opened { connection } => self.let_in(connection),
            FromOrigin::Refused(refusal) => self.tell_last(refusal.connection, Told::Refused(refusal)),
            FromOrigin::Said { connection, text } => {
                let text = text.get();
                self.tell(connection, Told::Text(text.into(), cost(text.len())));
            }
            FromOrigin::Event { members, to } => self.tell_all(members.get(), &to),
            FromOrigin::Heard { connection, bytes } => self.tell(connection, Told::Heard(bytes)),
            FromOrigin::Close { connection, code, reason } => self.tell_last(connection, Told::Close(code, reason)),
        }
    }

    /// Tells many the same. It is put into words once for each number of a subscription, and most have the same.
    fn tell_all(&self, members: &str, to: &[(u64, u32)]) {
        let members = members.get(1..).unwrap_or_default();
        let cost = cost(members.len().saturating_sub(1));
        let mut texts: HashMap<u32, Utf8Bytes> = HashMap::new();
        let clients = self.clients();
        for (connection, number) in to {
            let Some(tells) = clients.here.get(connection) else { continue };
            let text = texts.entry(*number).or_insert_with(|| format!("{{\"subscription\":{number},{members}").into());
            let _ = tells.send(Told::Text(text.clone(), cost));
        }
    }

    /// Lets go of all clients.
    pub fn lose(&self) {
        self.opening.close();
        *self.clients() = Clients { is_lost: true, ..Clients::default() };
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut clients = self.link.clients();
        if clients.here.remove(&self.number).is_some() {
            clients.gone.push(self.number);
            self.link.has_gone.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> (Arc<Link>, mpsc::Receiver<String>) {
        let welcome = Welcome {
            version: 1,
            message_bytes_max: 1,
            heard_max: 1,
            heard_bytes_max: 1,
            window_bytes: 1,
            opening_max: 1,
        };
        let (link, said) = Link::new(welcome);
        (Arc::new(link), said)
    }

    fn open() -> Open {
        let address = "192.0.2.7".parse().expect("an address");
        Open { connection: 0, address, https: None, host: "a".to_owned(), query: String::new(), headers: Vec::new() }
    }

    async fn client(link: &Arc<Link>, said: &mut mpsc::Receiver<String>) -> Client {
        let opening = link.open(open());
        let answering = async {
            let text = said.recv().await.expect("an open");
            let FromRelay::Open(open) = serde_json::from_str(&text).expect("read") else { panic!("{text}") };
            link.hear(FromOrigin::Opened { connection: open.connection });
        };
        match tokio::join!(opening, answering).0 {
            Opened::Client(client) => client,
            _ => panic!("not opened"),
        }
    }

    #[tokio::test]
    async fn an_event_for_many_is_told_to_each_as_the_origin_would_and_to_nobody_who_is_gone() {
        let (link, mut said) = link();
        let (mut one, mut two) = (client(&link, &mut said).await, client(&link, &mut said).await);
        let gone = client(&link, &mut said).await;
        let number = gone.number;
        drop(gone);

        let text = format!(r#"{{"event":{{"members":{{"seq":1}},"to":[[1,1],[2,1],[2,7],[{number},1],[99,1]]}}}}"#);
        link.hear(serde_json::from_str(&text).expect("read"));

        let heard = |client: &mut Client| match client.told.try_recv() {
            Ok(Told::Text(text, cost)) => (text.to_string(), cost),
            other => panic!("{other:?}"),
        };
        assert_eq!(heard(&mut one), (r#"{"subscription":1,"seq":1}"#.to_owned(), cost(7)));
        assert_eq!(heard(&mut two).0, r#"{"subscription":1,"seq":1}"#);
        assert_eq!(heard(&mut two).0, r#"{"subscription":7,"seq":1}"#);
        assert_eq!(link.gone().await, [number]);
    }

    #[tokio::test]
    async fn who_is_let_in_and_gone_is_said_to_be_gone() {
        let (link, _said) = link();

        link.hear(FromOrigin::Opened { connection: 7 });

        assert_eq!(link.gone().await, [7]);
    }

    #[tokio::test]
    async fn a_lost_link_lets_go_of_its_clients_and_takes_no_more() {
        let (link, mut said) = link();
        let mut one = client(&link, &mut said).await;

        link.lose();

        assert!(one.told.recv().await.is_none());
        assert!(matches!(link.open(open()).await, Opened::Lost));
    }

    /// The origin would end the link of all.
    #[tokio::test]
    async fn a_request_that_no_message_holds_is_refused_here() {
        let (link, _said) = link();
        let headers = vec![("cookie".to_owned(), "\"".repeat(MESSAGE_BYTES_MAX / 2))];

        assert!(matches!(link.open(Open { headers, ..open() }).await, Opened::TooLarge));
    }

    /// The origin says goodbye and knows that the client is gone.
    #[tokio::test]
    async fn a_client_that_the_origin_closes_is_not_said_to_be_gone() {
        let (link, mut said) = link();
        let mut one = client(&link, &mut said).await;

        link.hear(FromOrigin::Close { connection: one.number, code: Some(4401), reason: String::new() });

        assert!(matches!(one.told.recv().await, Some(Told::Close(Some(4401), _))));
        drop(one);
        assert!(link.clients().gone.is_empty() && link.clients().here.is_empty());
    }
}
