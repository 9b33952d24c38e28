//! What a client missed, read from the log at its own pace.
use std::collections::HashMap;
use std::sync::Arc;

use super::connection::Item;
use super::hub::{Command, Seat, Subscription};
use super::limits::{EVENTS_BYTES_MAX, EVENTS_MAX, ITEM_BYTES, QUEUE_BYTES_MAX};
use crate::db::Tx;
use crate::features::events::{self, EventId};
use crate::features::records::{self, Watch, Watches};
use crate::http::{Fault, Problem};

/// Events that are read on after one that a client knows, up to those that it is told of anyway.
pub(super) struct Replay {
    subscriptions: Vec<Subscription>,
    watches: Arc<Watches>,
    cuts: Option<HashMap<String, i64>>,
    /// The last event that was looked at.
    position: i64,
    /// The last event that any subscription is still to be told of.
    last: i64,
    /// Whether it cannot be told what was missed.
    is_lost: bool,
    is_done: bool,
}

impl Replay {
    /// What comes after an event of those that a connection is subscribed to. `id` is its id, or only its number, which
    /// is taken for one of the present log.
    pub async fn begin(seat: &Seat, id: &str) -> Result<(EventId, Self), Problem> {
        let fault = |detail| Problem::invalid(vec![Fault::new("/resume", "format", detail)]);
        let number = Some(id).filter(|it| it.bytes().all(|it| it.is_ascii_digit())).and_then(|it| it.parse().ok());
        let id: EventId = match number {
            Some(seq) => seat.hub.0.log.epoch.id(seq),
            None => id.parse().map_err(fault)?,
        };
        let connection = Arc::clone(&seat.connection);
        let subscriptions = seat.hub.ask(|reply| Command::List { connection, reply }).await?;
        let last = subscriptions.iter().map(|it| it.since).max();
        let replay = Self {
            watches: Arc::new(Watches::of_past(watches(&subscriptions))),
            subscriptions,
            cuts: None,
            position: id.seq,
            last: last.unwrap_or(id.seq),
            is_lost: id.epoch != seat.hub.0.log.epoch,
            is_done: last.is_none(),
        };
        Ok((id, replay))
    }

    /// What comes after one event up to another of one subscription.
    pub async fn look(seat: &Seat, number: u32, after: i64, last: i64) -> Result<Self, Problem> {
        let connection = Arc::clone(&seat.connection);
        let all = seat.hub.ask(|reply| Command::List { connection, reply }).await?;
        // It is told of all that comes after it was made.
        let subscriptions: Vec<_> = (all.into_iter())
            .filter(|it| it.number == number)
            .map(|it| Subscription { since: i64::MAX, ..it })
            .collect();
        Ok(Self {
            watches: Arc::new(Watches::of_one(watches(&subscriptions))),
            is_done: subscriptions.is_empty(),
            subscriptions,
            cuts: None,
            position: after,
            last,
            is_lost: false,
        })
    }

    /// The next part of it; nothing after the last.
    pub async fn next(&mut self, seat: &Seat) -> Option<Vec<Item>> {
        if self.is_done {
            return None;
        }
        let items = if self.is_lost { None } else { self.read(seat).await };
        if items.is_none() {
            self.is_done = true;
        }
        Some(items.unwrap_or_else(|| vec![Item::Gap { seq: self.last }]))
    }

    /// Nothing if it cannot be told.
    async fn read(&mut self, seat: &Seat) -> Option<Vec<Item>> {
        let hub = &seat.hub;
        let known = hub.0.catalogues.current(&hub.0.log.tenant).await.ok()?;
        let (watches, epoch, now) = (Arc::clone(&self.watches), hub.0.log.epoch.clone(), hub.0.clock.now());
        let (position, last, cuts) = (self.position, self.last, self.cuts.take());
        let caller = seat.connection.caller();
        let read = move |tx: &mut Tx<'_>| {
            let is_there = events::span(tx)?.follows(position);
            if !is_there || !crate::features::api_keys::still_stands(tx, &caller, now)? {
                return Ok(None);
            }
            let cuts = match &cuts {
                Some(cuts) => cuts.clone(),
                None => events::restructured(tx, position)?,
            };
            let events = events::read_after(tx, position, last, EVENTS_MAX, EVENTS_BYTES_MAX)?;
            let told = watches.deliver(tx, &known, &epoch, &events, &cuts, now)?;
            Ok::<_, records::Error>(Some((events.last().map(|it| it.seq), told, cuts)))
        };
        let (reached, told, cuts) = hub.0.log.db.read(&hub.0.log.tenant, read).await.ok()??;
        self.cuts = Some(cuts);
        self.position = reached.unwrap_or(self.last);
        self.is_done = self.last <= self.position;
        let items = told.into_iter().filter_map(|told| {
            let subscription = self.subscriptions.get(told.watch)?;
            let is_due = told.seq <= subscription.since;
            let members = told.members.filter(|_| is_due)?;
            // As in a queue: it would have no room there, nor in what a socket takes at once.
            if QUEUE_BYTES_MAX < members.len() + ITEM_BYTES {
                return Some(Item::Gap { seq: told.seq });
            }
            Some(Item::Event { number: subscription.number, seq: told.seq, members })
        });
        Some(items.collect())
    }
}

fn watches(subscriptions: &[Subscription]) -> Vec<Arc<Watch>> {
    subscriptions.iter().map(|it| Arc::clone(&it.watch)).collect()
}
