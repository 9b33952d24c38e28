//! Relays: processes elsewhere that hold the sockets of clients, each over one link.
//!
//! A client of a relay is a [`Connection`](super::connection::Connection) as any other. It has a [`Line`] in place of
//! a socket, and while nothing waits for it the hub tells it things by its [`Voice`], past its task: so the same event
//! for many clients meets itself in the [`Outbox`] and crosses the link once.
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::connection::{End, Item};
use super::limits::{HEARD_BYTES_MAX, HEARD_MAX, MESSAGE_BYTES_MAX, WINDOW_BYTES, WRITE_TIMEOUT};
use super::outbox::Outbox;
use super::wire::{Close, GOING_AWAY, POLICY};
use crate::base::Timestamp;
use crate::features::events::Epoch;
use crate::http::{Caller, ClientAddress};
use crate::relay::protocol::{FromOrigin, cost};

/// The relays that are there, by their ids.
#[derive(Debug, Default)]
pub(super) struct Relays {
    pub joined: u64,
    pub all: BTreeMap<u64, Arc<Relay>>,
}

/// A link, as the hub and its connections share it.
#[derive(Debug)]
pub(super) struct Relay {
    pub id: u64,
    pub name: String,
    pub address: ClientAddress,
    pub since: Timestamp,
    /// Whose link it is. The clients have callers of their own.
    pub caller: Caller,
    pub outbox: Outbox,
    ears: Mutex<HashMap<u64, Ear>>,
    end: OnceLock<End>,
    has_ended: Notify,
}

/// Where a line takes what its client says.
#[derive(Debug)]
struct Ear {
    says: mpsc::Sender<String>,
    voice: Arc<Voice>,
}

/// How one client of a relay is told things.
#[derive(Debug)]
pub(super) struct Voice {
    /// As the relay counts its clients.
    number: u64,
    relay: Arc<Relay>,
    /// What was said and not taken yet.
    under_way: AtomicUsize,
    was_taken: Notify,
    is_gone: AtomicBool,
    /// Bytes of what the client said and nobody looked at yet.
    unheard: AtomicUsize,
    /// Microseconds that the last ping took; 0 before the first.
    round_trip: AtomicU64,
}

/// What a client of a relay has in place of a socket.
#[derive(Debug)]
pub(super) struct Line {
    pub voice: Arc<Voice>,
    heard: mpsc::Receiver<String>,
}

/// A relay that does what none of ours would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misbehaved(pub &'static str);

impl Relay {
    pub fn new(id: u64, name: String, address: ClientAddress, since: Timestamp, caller: Caller) -> Self {
        let (outbox, ears, end, has_ended) = (Outbox::default(), Mutex::default(), OnceLock::new(), Notify::new());
        Self { id, name, address, since, caller, outbox, ears, end, has_ended }
    }

    fn ears(&self) -> MutexGuard<'_, HashMap<u64, Ear>> {
        self.ears.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line for one more client.
    pub fn line(self: &Arc<Self>, number: u64) -> Result<Line, Misbehaved> {
        let (says, heard) = mpsc::channel(HEARD_MAX);
        let voice = Arc::new(Voice {
            number,
            relay: Arc::clone(self),
            under_way: AtomicUsize::new(0),
            was_taken: Notify::new(),
            is_gone: AtomicBool::new(false),
            unheard: AtomicUsize::new(0),
            round_trip: AtomicU64::new(0),
        });
        let mut ears = self.ears();
        if ears.contains_key(&number) {
            return Err(Misbehaved("a connection with that number is open"));
        }
        ears.insert(number, Ear { says, voice: Arc::clone(&voice) });
        Ok(Line { voice, heard })
    }

    /// What a client says. One that is not known is gone already. Who says more than it may is closed.
    pub fn hear(&self, number: u64, text: String) {
        let mut ears = self.ears();
        let Some(ear) = ears.get(&number) else { return };
        let bytes = text.len();
        let unheard = ear.voice.unheard.fetch_add(bytes, Ordering::Relaxed);
        let is_too_much = MESSAGE_BYTES_MAX < bytes || (0 < unheard && HEARD_BYTES_MAX < unheard.saturating_add(bytes));
        if is_too_much || ear.says.try_send(text).is_err() {
            ears.remove(&number);
            drop(ears);
            self.close(number, Some((POLICY, "its relay said more of it than it may")));
        }
    }

    /// A client is gone.
    pub fn forget(&self, number: u64) {
        if let Some(ear) = self.ears().remove(&number) {
            ear.voice.is_gone.store(true, Ordering::Relaxed);
            ear.voice.was_taken.notify_one();
        }
    }

    pub fn took(&self, number: u64, bytes: usize) {
        if let Some(ear) = self.ears().get(&number) {
            ear.voice.take(bytes);
        }
    }

    pub fn answered(&self, number: u64, micros: u64) {
        if let Some(ear) = self.ears().get(&number) {
            ear.voice.round_trip.store(micros.max(1), Ordering::Relaxed);
        }
    }

    fn close(&self, number: u64, close: Option<Close>) {
        let (code, reason) = close.map_or((None, ""), |(code, reason)| (Some(code), reason));
        self.outbox.add(number, &FromOrigin::Close { connection: number, code, reason: reason.to_owned() });
    }

    /// Clients that it holds.
    pub fn count(&self) -> usize {
        self.ears().len()
    }

    /// Has whoever serves the link say goodbye.
    pub fn end(&self, end: End) {
        let _ = self.end.set(end);
        self.has_ended.notify_one();
    }

    /// Waits until the link has to end.
    pub async fn ending(&self) -> End {
        loop {
            if let Some(end) = self.end.get() {
                return *end;
            }
            self.has_ended.notified().await;
        }
    }

    /// Waits until there is room for what it is told, which it takes too slowly if that takes long.
    pub async fn room(&self) -> Result<(), Misbehaved> {
        let waiting = async {
            loop {
                let room = self.outbox.room();
                tokio::pin!(room);
                room.as_mut().enable();
                if self.outbox.has_room() || self.outbox.is_closed() {
                    return;
                }
                room.await;
            }
        };
        timeout(WRITE_TIMEOUT, waiting).await.map_err(|_| Misbehaved("it does not take what it is told"))
    }

    /// Lets all of its clients go.
    pub fn shut(&self) {
        self.outbox.close();
        for ear in std::mem::take(&mut *self.ears()).into_values() {
            ear.voice.was_taken.notify_one();
        }
    }
}

impl Voice {
    /// The relay that holds the client.
    pub fn relay(&self) -> u64 {
        self.relay.id
    }

    pub fn round_trip(&self) -> Option<Duration> {
        Some(self.round_trip.load(Ordering::Relaxed)).filter(|it| 0 < *it).map(Duration::from_micros)
    }

    /// Tells the client something at once, or gives it back.
    pub fn try_tell(&self, item: Item) -> Result<(), Item> {
        if !self.has_room() {
            return Err(item);
        }
        match item {
            Item::Event { number, members, .. } | Item::Presence { number, members } => self.tell(number, members),
            Item::Text(text) => self.say(text),
            Item::Gap { .. } | Item::Look { .. } => return Err(item),
        }
        Ok(())
    }

    fn tell(&self, number: u32, members: bytes::Bytes) {
        self.under_way.fetch_add(cost(members.len()), Ordering::Relaxed);
        self.relay.outbox.tell(self.number, number, members);
    }

    fn say(&self, text: String) {
        self.under_way.fetch_add(cost(text.len()), Ordering::Relaxed);
        self.relay.outbox.say(self.number, text);
    }

    fn has_room(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) < WINDOW_BYTES && self.relay.outbox.has_room()
    }

    fn take(&self, bytes: usize) {
        // More than was said is as good as all of it.
        let left = |it: usize| Some(it.saturating_sub(bytes));
        let _ = self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        self.was_taken.notify_one();
    }

    /// Waits until the client may be told more. False if it is gone, or the link has ended.
    async fn room(&self) -> bool {
        loop {
            let room = self.relay.outbox.room();
            tokio::pin!(room);
            room.as_mut().enable();
            if self.relay.outbox.is_closed() || self.is_gone.load(Ordering::Relaxed) {
                return false;
            }
            if self.has_room() {
                return true;
            }
            tokio::select! {
                () = room => {}
                () = self.was_taken.notified() => {}
            }
        }
    }
}

impl Line {
    /// What the client says next; nothing once it is gone.
    pub async fn next(&mut self) -> Option<String> {
        let text = self.heard.recv().await?;
        let (bytes, voice) = (text.len(), &self.voice);
        voice.unheard.fetch_sub(bytes, Ordering::Relaxed);
        voice.relay.outbox.add(voice.number, &FromOrigin::Heard { connection: voice.number, bytes });
        Some(text)
    }

    /// The client has what it asked for.
    pub fn opened(&self) {
        let connection = self.voice.number;
        self.voice.relay.outbox.add(connection, &FromOrigin::Opened { connection });
    }

    /// Tells the client things, at its own pace. False if it is too slow, or gone.
    pub async fn say(&self, items: Vec<Item>, epoch: &Epoch) -> bool {
        for item in items {
            if timeout(WRITE_TIMEOUT, self.voice.room()).await != Ok(true) {
                return false;
            }
            match item {
                Item::Event { number, members, .. } | Item::Presence { number, members } => {
                    self.voice.tell(number, members);
                }
                other => self.voice.say(String::from_utf8(other.into_json(epoch)).unwrap_or_default()),
            }
        }
        true
    }

    /// Says goodbye; without a reason the client is cut off. When the server stops the whole link says so.
    pub fn close(&self, close: Option<Close>) {
        if close.is_none_or(|(code, _)| code != GOING_AWAY) && !self.heard.is_closed() {
            self.voice.relay.close(self.voice.number, close);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut ears = self.voice.relay.ears();
        // It may be another one's by now.
        if ears.get(&self.voice.number).is_some_and(|it| Arc::ptr_eq(&it.voice, &self.voice)) {
            ears.remove(&self.voice.number);
        }
    }
}
