//! What waits to be written to a relay, where the same event for many of its clients is one message.
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::Notify;

use super::limits::{ITEM_BYTES, OUTBOX_BYTES_MAX, RECEIVER_BYTES, RECEIVERS_MAX};
use crate::relay::protocol::FromOrigin;

/// The queue of a link.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    has_more: Notify,
    has_room: Notify,
    /// Messages to clients, and what they crossed the link as.
    told: AtomicU64,
    crossed: AtomicU64,
    bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Outgoing>,
    /// Of what waits, and of what is being written.
    bytes: usize,
    /// How many are about to lay more into it, all at once.
    held: usize,
    is_closed: bool,
    /// Where the message of an event lies, by where its bytes are in memory, which it keeps there.
    joint: HashMap<(usize, usize), usize>,
    /// Where the last message for a connection lies: what comes after it must not lie before.
    last_of: HashMap<u64, usize>,
}

#[derive(Debug)]
pub(super) enum Outgoing {
    Event { members: Bytes, to: Vec<(u64, u32)> },
    Said { connection: u64, text: String },
    Other(String),
}

impl Outgoing {
    fn bytes(&self) -> usize {
        ITEM_BYTES
            + match self {
                Self::Event { members, to } => members.len() + to.len() * RECEIVER_BYTES,
                Self::Said { text, .. } | Self::Other(text) => text.len(),
            }
    }

    /// The same as JSON, written around what is JSON already.
    pub fn into_json(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes() + ITEM_BYTES);
        match self {
            Self::Event { members, to } => {
                out.extend_from_slice(b"{\"event\":{\"members\":{");
                out.extend_from_slice(&members);
                out.extend_from_slice(b"},\"to\":");
                out.extend_from_slice(&serde_json::to_vec(&to).unwrap_or_default());
                out.extend_from_slice(b"}}");
            }
            Self::Said { connection, text } => {
                out.extend_from_slice(format!("{{\"said\":{{\"connection\":{connection},\"text\":").as_bytes());
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(b"}}");
            }
            Self::Other(text) => out.extend_from_slice(text.as_bytes()),
        }
        out
    }
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lays an event in for one connection. If it waits already for another one, it is the same message.
    pub fn tell(&self, connection: u64, number: u32, members: Bytes) {
        let mut state = self.state();
        if state.is_closed {
            return;
        }
        self.told.fetch_add(1, Ordering::Relaxed);
        let key = (members.as_ptr().addr(), members.len());
        let last = state.last_of.get(&connection).copied().unwrap_or(0);
        if let Some(at) = state.joint.get(&key).copied().filter(|at| last <= *at)
            && let Some(Outgoing::Event { to, .. }) = state.messages.get_mut(at)
            && to.len() < RECEIVERS_MAX
        {
            to.push((connection, number));
            state.bytes += RECEIVER_BYTES;
            state.last_of.insert(connection, at);
            return;
        }
        let at = state.messages.len();
        state.joint.insert(key, at);
        self.lay(&mut state, connection, Outgoing::Event { members, to: vec![(connection, number)] });
    }

    /// Lays a text in for one connection.
    pub fn say(&self, connection: u64, text: String) {
        let mut state = self.state();
        if !state.is_closed {
            self.told.fetch_add(1, Ordering::Relaxed);
            self.lay(&mut state, connection, Outgoing::Said { connection, text });
        }
    }

    /// Lays something else in about one connection.
    pub fn add(&self, connection: u64, what: &FromOrigin<'_>) {
        let mut state = self.state();
        if !state.is_closed {
            self.lay(&mut state, connection, Outgoing::Other(json(what)));
        }
    }

    fn lay(&self, state: &mut State, connection: u64, message: Outgoing) {
        let at = state.messages.len();
        state.last_of.insert(connection, at);
        state.bytes += message.bytes();
        state.messages.push_back(message);
        if state.held == 0 {
            self.has_more.notify_one();
        }
    }

    /// Keeps everything in, until as many times released.
    pub fn hold(&self) {
        self.state().held += 1;
    }

    pub fn release(&self) {
        let mut state = self.state();
        state.held = state.held.saturating_sub(1);
        if state.held == 0 && !state.messages.is_empty() {
            self.has_more.notify_one();
        }
    }

    /// Waits until there is something, and takes all of it.
    pub async fn take(&self) -> VecDeque<Outgoing> {
        loop {
            {
                let mut state = self.state();
                if state.held == 0 && !state.messages.is_empty() {
                    state.joint.clear();
                    state.last_of.clear();
                    return std::mem::take(&mut state.messages);
                }
            }
            self.has_more.notified().await;
        }
    }

    /// Gives the room of what was written to others.
    pub fn was_written(&self, messages: usize, room: usize, bytes: usize) {
        self.crossed.fetch_add(u64::try_from(messages).unwrap_or(0), Ordering::Relaxed);
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(room);
        let has_room = state.bytes < OUTBOX_BYTES_MAX;
        drop(state);
        if has_room {
            self.has_room.notify_waiters();
        }
    }

    pub fn has_room(&self) -> bool {
        self.state().bytes < OUTBOX_BYTES_MAX
    }

    pub fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Says when there may be room again, or the link has ended.
    pub fn room(&self) -> tokio::sync::futures::Notified<'_> {
        self.has_room.notified()
    }

    /// Takes nothing more.
    pub fn close(&self) {
        *self.state() = State { is_closed: true, ..State::default() };
        self.has_room.notify_waiters();
    }

    /// What clients were told, what that crossed the link as, and the bytes of it.
    pub fn counts(&self) -> (u64, u64, u64) {
        let read = |it: &AtomicU64| it.load(Ordering::Relaxed);
        (read(&self.told), read(&self.crossed), read(&self.bytes))
    }
}

impl Outgoing {
    /// The room that it takes in the queue.
    pub fn room(&self) -> usize {
        self.bytes()
    }

    /// Whether it is something that clients are told.
    pub fn is_told(&self) -> bool {
        matches!(self, Self::Event { .. } | Self::Said { .. })
    }
}

pub(super) fn json(what: &impl Serialize) -> String {
    serde_json::to_string(what).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(outbox: &Outbox) -> Vec<String> {
        let taken = futures_util::FutureExt::now_or_never(outbox.take()).expect("something");
        taken.into_iter().map(|it| String::from_utf8(it.into_json()).expect("text")).collect()
    }

    #[test]
    fn the_same_event_for_many_is_one_message_and_each_hears_in_order() {
        let (outbox, one, two) = (Outbox::default(), Bytes::from_static(b"\"a\":1"), Bytes::from_static(b"\"a\":2"));
        for connection in [7, 8] {
            outbox.tell(connection, 1, one.clone());
            outbox.tell(connection, 1, two.clone());
        }
        outbox.say(9, "{}".to_owned());
        outbox.tell(9, 3, one.clone());
        outbox.tell(7, 2, two);

        let laid = laid(&outbox);

        assert_eq!(
            laid,
            [
                r#"{"event":{"members":{"a":1},"to":[[7,1],[8,1]]}}"#,
                r#"{"event":{"members":{"a":2},"to":[[7,1],[8,1],[7,2]]}}"#,
                r#"{"said":{"connection":9,"text":{}}}"#,
                r#"{"event":{"members":{"a":1},"to":[[9,3]]}}"#,
            ]
        );
    }

    #[test]
    fn what_is_held_is_not_taken_and_what_is_closed_takes_nothing() {
        let outbox = Outbox::default();
        outbox.hold();
        outbox.tell(7, 1, Bytes::from_static(b"\"a\":1"));
        assert!(futures_util::FutureExt::now_or_never(outbox.take()).is_none());
        outbox.release();
        assert_eq!(laid(&outbox).len(), 1);

        outbox.close();
        outbox.say(7, "{}".to_owned());

        assert!(futures_util::FutureExt::now_or_never(outbox.take()).is_none() && outbox.is_closed());
    }

    #[test]
    fn room_is_what_was_written() {
        let outbox = Outbox::default();
        outbox.say(1, "x".repeat(OUTBOX_BYTES_MAX));
        assert!(!outbox.has_room());

        let taken = futures_util::FutureExt::now_or_never(outbox.take()).expect("something");
        assert!(!outbox.has_room(), "what is being written takes room");
        outbox.was_written(1, taken.iter().map(Outgoing::room).sum(), 0);

        assert!(outbox.has_room());
    }
}
