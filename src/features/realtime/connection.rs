//! One client that is told things, and what waits for it.
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use super::limits::{ITEM_BYTES, QUEUE_BYTES_MAX, TAKEN_MAX};
use super::message;
use super::model::ConnectionKind;
use super::relays::Voice;
use crate::base::{Timestamp, UserId};
use crate::config::RealtimeConfig;
use crate::features::events::Epoch;
use crate::http::{Caller, ClientAddress, Problem};

/// A client, as the hub and whoever serves it share it.
#[derive(Debug)]
pub(super) struct Connection {
    pub id: u64,
    pub kind: ConnectionKind,
    pub address: ClientAddress,
    /// Of the request that it began with: problems name it.
    pub request_id: String,
    pub since: Timestamp,
    /// How it is told things, if a relay holds it.
    pub voice: Option<Arc<Voice>>,
    who: Mutex<Caller>,
    /// By their numbers.
    topics: Mutex<Vec<(u32, String)>>,
    queue: Mutex<Queue>,
    has_more: Notify,
    sent: AtomicU64,
    dropped: AtomicU64,
    /// Microseconds that the last ping took; 0 before the first.
    round_trip: AtomicU64,
    end: OnceLock<End>,
    is_served: AtomicBool,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Whoever it was is no longer signed in, or no longer the same.
    SignedOut,
    Stopping,
}

/// Something to say.
#[derive(Clone, Debug)]
pub(super) enum Item {
    Event {
        number: u32,
        seq: i64,
        members: Bytes,
    },
    /// Everything up to this event is missing.
    Gap {
        seq: i64,
    },
    /// There is something for a subscription after one event up to another, perhaps: its filter was not waited for.
    Look {
        number: u32,
        after: i64,
        seq: i64,
    },
    /// Who is there, of those that one subscription is with.
    Presence {
        number: u32,
        members: Bytes,
    },
    Text(String),
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Whether whoever serves a client of a relay waits, and has nothing in hand: then it may be told past the queue.
    rests: bool,
}

impl Item {
    fn bytes(&self) -> usize {
        ITEM_BYTES
            + match self {
                Self::Event { members, .. } | Self::Presence { members, .. } => members.len(),
                Self::Gap { .. } | Self::Look { .. } => 0,
                Self::Text(text) => text.len(),
            }
    }

    /// The number of the event that it is about.
    pub fn seq(&self) -> Option<i64> {
        match self {
            Self::Event { seq, .. } | Self::Gap { seq } | Self::Look { seq, .. } => Some(*seq),
            Self::Presence { .. } | Self::Text(_) => None,
        }
    }

    pub fn into_json(self, epoch: &Epoch) -> Vec<u8> {
        match self {
            Self::Event { number, members, .. } | Self::Presence { number, members } => {
                message::event(number, &members)
            }
            Self::Gap { seq } => message::gap(epoch, seq).to_string().into_bytes(),
            Self::Text(text) => text.into_bytes(),
            Self::Look { .. } => Vec::new(),
        }
    }
}

impl Connection {
    pub fn caller(&self) -> Caller {
        lock(&self.who).clone()
    }

    pub fn topics(&self) -> Vec<(u32, String)> {
        lock(&self.topics).clone()
    }

    pub fn set_topics(&self, change: impl FnOnce(&mut Vec<(u32, String)>)) {
        change(&mut lock(&self.topics));
    }

    /// Lays something into the queue. If there is no room, what waits there is dropped and a gap takes its place.
    pub fn push(&self, item: Item) {
        let mut queue = lock(&self.queue);
        // What has no room in the queue has none in the socket either, wherever that is.
        let may_pass = queue.rests && queue.items.is_empty() && item.bytes() <= QUEUE_BYTES_MAX;
        let item = match self.voice.as_ref().filter(|_| may_pass) {
            None => item,
            Some(voice) => match voice.try_tell(item) {
                Ok(()) => return self.was_sent(1),
                Err(item) => item,
            },
        };
        queue.bytes += item.bytes();
        queue.items.push_back(item);
        if QUEUE_BYTES_MAX < queue.bytes {
            let last = queue.items.iter().rev().find_map(Item::seq);
            let before = queue.items.len();
            let forgets_who = queue.items.iter().any(|it| matches!(it, Item::Presence { .. }));
            queue.items.retain(|it| matches!(it, Item::Text(_)));
            let gone = before - queue.items.len();
            self.dropped.fetch_add(u64::try_from(gone).unwrap_or(0), Ordering::Relaxed);
            queue.items.extend(last.map(|seq| Item::Gap { seq }));
            queue.items.extend(forgets_who.then(|| Item::Text(message::presence_gap().to_string())));
            queue.bytes = queue.items.iter().map(Item::bytes).sum();
        }
        drop(queue);
        self.has_more.notify_one();
    }

    /// Takes what waits, a part of it at a time.
    pub fn take(&self) -> Vec<Item> {
        let mut queue = lock(&self.queue);
        let count = queue.items.len().min(TAKEN_MAX);
        let taken: Vec<Item> = queue.items.drain(..count).collect();
        queue.bytes -= taken.iter().map(Item::bytes).sum::<usize>();
        taken
    }

    /// Takes all that waits: what answers something, and what happened.
    pub fn take_all(&self) -> (Vec<Item>, Vec<Item>) {
        let mut queue = lock(&self.queue);
        queue.bytes = 0;
        std::mem::take(&mut queue.items).into_iter().partition(|it| matches!(it, Item::Text(_)))
    }

    /// Whoever serves it waits from now on.
    pub fn rest(&self) {
        if self.voice.is_some() {
            lock(&self.queue).rests = true;
        }
    }

    /// Whoever serves it says things again.
    pub fn wake(&self) {
        if self.voice.is_some() {
            lock(&self.queue).rests = false;
        }
    }

    /// Waits until something was laid into the queue, or the connection has to end.
    pub async fn has_more(&self) {
        self.has_more.notified().await;
    }

    /// Has whoever serves it say goodbye.
    pub fn end(&self, end: End) {
        let _ = self.end.set(end);
        self.has_more.notify_one();
    }

    pub fn ending(&self) -> Option<End> {
        self.end.get().copied()
    }

    pub fn was_sent(&self, count: usize) {
        self.sent.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
    }

    pub fn was_answered_after(&self, time: Duration) {
        self.round_trip.store(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1), Ordering::Relaxed);
    }

    /// What was sent and dropped so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }

    pub fn round_trip(&self) -> Option<Duration> {
        if let Some(voice) = &self.voice {
            return voice.round_trip();
        }
        Some(self.round_trip.load(Ordering::Relaxed)).filter(|it| 0 < *it).map(Duration::from_micros)
    }

    /// What waits: messages and bytes.
    pub fn waiting(&self) -> (usize, usize) {
        let queue = lock(&self.queue);
        (queue.items.len(), queue.bytes)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everyone who is connected.
#[derive(Debug, Default)]
pub(super) struct Registry {
    connections: HashMap<u64, Arc<Connection>>,
    of_address: HashMap<IpAddr, usize>,
    of_user: HashMap<UserId, usize>,
    /// How many of them relays hold.
    relayed: usize,
    opened: u64,
    /// Of connections that are gone.
    sent: u64,
    dropped: u64,
}

/// How a connection begins.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub kind: ConnectionKind,
    pub address: ClientAddress,
    pub request_id: String,
    pub since: Timestamp,
    pub caller: Caller,
    /// How it is told things, if a relay holds it.
    pub voice: Option<Arc<Voice>>,
}

impl Registry {
    pub fn open(&mut self, arrival: Arrival, limits: &RealtimeConfig) -> Result<Arc<Connection>, Problem> {
        let Arrival { kind, address, request_id, since, caller, voice } = arrival;
        let key = address.throttle_key();
        let own = self.connections.len() - self.relayed;
        match voice {
            Some(_) if limits.relayed_connections_max <= self.relayed => {
                let max = limits.relayed_connections_max;
                return Err(super::error::too_many_connections("all clients of relays together", max));
            }
            None if limits.connections_max <= own => {
                return Err(super::error::too_many_connections("all clients together", limits.connections_max));
            }
            _ => {}
        }
        let of_address = key.and_then(|it| self.of_address.get(&it)).copied().unwrap_or_default();
        if limits.connections_per_address_max <= of_address {
            return Err(super::error::too_many_connections("one address", limits.connections_per_address_max));
        }
        self.admit(&caller, limits)?;
        if let Some(key) = key {
            *self.of_address.entry(key).or_default() += 1;
        }
        self.count_user(&caller);
        self.opened += 1;
        self.relayed += usize::from(voice.is_some());
        let connection = Arc::new(Connection {
            id: self.opened,
            kind,
            address,
            request_id,
            since,
            voice,
            who: Mutex::new(caller),
            topics: Mutex::default(),
            queue: Mutex::default(),
            has_more: Notify::new(),
            sent: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            round_trip: AtomicU64::new(0),
            end: OnceLock::new(),
            is_served: AtomicBool::new(true),
        });
        self.connections.insert(connection.id, Arc::clone(&connection));
        Ok(connection)
    }

    /// Lets a connection be someone else's, or its owner's under another token.
    pub fn sign_in(&mut self, connection: &Connection, caller: Caller, limits: &RealtimeConfig) -> Result<(), Problem> {
        let before = connection.caller();
        if before.user_id() != caller.user_id() {
            self.admit(&caller, limits)?;
            self.discount_user(&before);
            self.count_user(&caller);
        }
        *lock(&connection.who) = caller;
        Ok(())
    }

    fn admit(&self, caller: &Caller, limits: &RealtimeConfig) -> Result<(), Problem> {
        let of_user = caller.user_id().and_then(|it| self.of_user.get(&it)).copied().unwrap_or_default();
        if limits.connections_per_user_max <= of_user {
            return Err(super::error::too_many_connections("one account", limits.connections_per_user_max));
        }
        Ok(())
    }

    fn count_user(&mut self, caller: &Caller) {
        if let Some(user) = caller.user_id() {
            *self.of_user.entry(user).or_default() += 1;
        }
    }

    fn discount_user(&mut self, caller: &Caller) {
        if let Some(user) = caller.user_id() {
            discount(&mut self.of_user, &user);
        }
    }

    pub fn close(&mut self, connection: &Connection) {
        if !connection.is_served.swap(false, Ordering::Relaxed) {
            return;
        }
        self.connections.remove(&connection.id);
        self.relayed -= usize::from(connection.voice.is_some());
        if let Some(key) = connection.address.throttle_key() {
            discount(&mut self.of_address, &key);
        }
        self.discount_user(&connection.caller());
        let (sent, dropped) = connection.counts();
        self.sent += sent;
        self.dropped += dropped;
    }

    pub fn all(&self) -> Vec<Arc<Connection>> {
        let mut all: Vec<_> = self.connections.values().cloned().collect();
        all.sort_by_key(|it| it.id);
        all
    }

    /// How many were opened so far, and what those were sent, and not sent, that are gone.
    pub fn history(&self) -> (u64, u64, u64) {
        (self.opened, self.sent, self.dropped)
    }
}

fn discount<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
