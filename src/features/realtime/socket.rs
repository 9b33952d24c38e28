//! One client of a WebSocket, of ours or of a relay: what it says, and what it is told.
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::{End, Item};
use super::error;
use super::hub::{Command, Seat};
use super::limits::{
    MESSAGES_AT_ONCE_MAX, MESSAGES_PER_SEC_MAX, PING_INTERVAL, PONG_TIMEOUT, STATE_BYTES_MAX, SUBSCRIPTIONS_MAX,
};
use super::message::{self, Said, Which};
use super::resume::Replay;
use super::wire::{Came, Close, GOING_AWAY, NOT_SIGNED_IN, SILENT, Wire};
use crate::base::lanes::{self, Asker};
use crate::features::records::{Wanted, Watch};
use crate::http::{Fault, Problem};

/// Turns at reading are by address, as those of requests.
static LANES: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// Whose turn it is when a connection reads from the database.
pub(super) fn lane(seat: &Seat) -> Asker {
    Asker::alone(LANES.hash_one(seat.connection.address.throttle_key()))
}

/// Serves a client until one of both sides ends it.
pub(super) async fn serve(seat: Seat, wire: Wire) {
    let lane = lane(&seat);
    let mut served = Served {
        seat,
        wire,
        subscribed: 0,
        asked: None,
        next_ping: Instant::now() + PING_INTERVAL,
        allowance: MESSAGES_AT_ONCE_MAX,
        allowed_at: Instant::now(),
    };
    let close = lanes::on_behalf_of(lane, served.run()).await;
    served.wire.close(close).await;
}

struct Served {
    seat: Seat,
    wire: Wire,
    /// Subscriptions so far.
    subscribed: u32,
    /// When the client was asked whether it is there.
    asked: Option<Instant>,
    next_ping: Instant,
    /// Messages of the client that may be looked at now.
    allowance: u32,
    allowed_at: Instant,
}

/// What there is to do next.
enum Event {
    News,
    Came(Came),
    PingDue,
    Expired,
}

/// Why nothing more can be said.
enum Over {
    /// The client is gone.
    Gone,
    Close(Close),
}

impl Served {
    /// Nothing if the client is gone; else what it is told last.
    async fn run(&mut self) -> Option<Close> {
        loop {
            match self.step().await {
                Ok(()) => {}
                Err(Over::Gone) => return None,
                Err(Over::Close(close)) => return Some(close),
            }
        }
    }

    async fn step(&mut self) -> Result<(), Over> {
        if let Some(end) = self.seat.connection.ending() {
            return Err(Over::Close(match end {
                End::SignedOut => (NOT_SIGNED_IN, "no longer signed in"),
                End::Stopping => (GOING_AWAY, "the server stops"),
            }));
        }
        let due = self.asked.map_or(self.next_ping, |it| it + PONG_TIMEOUT);
        let (remaining, is_pinged) = (self.remaining(), self.wire.is_pinged());
        // A client of a relay is told things without waking this task.
        self.seat.connection.rest();
        let came = tokio::select! {
            () = self.seat.connection.has_more() => Event::News,
            came = self.wire.next() => Event::Came(came),
            () = sleep_until(due), if is_pinged => Event::PingDue,
            () = sleep(remaining.unwrap_or_default()), if remaining.is_some() => Event::Expired,
        };
        self.seat.connection.wake();
        match came {
            Event::News => self.flush().await,
            Event::Came(came) => self.hear(came).await,
            Event::PingDue => self.ping().await,
            Event::Expired => self.expire(),
        }
    }

    /// How long the client's token still works.
    fn remaining(&self) -> Option<Duration> {
        let until = self.seat.connection.caller().principal().until?;
        Some(self.seat.hub.0.clock.now().until(until))
    }

    fn expire(&self) -> Result<(), Over> {
        match self.remaining() {
            Some(Duration::ZERO) => Err(Over::Close((NOT_SIGNED_IN, "the token has ended"))),
            _ => Ok(()),
        }
    }

    async fn ping(&mut self) -> Result<(), Over> {
        if self.asked.is_some() {
            return Err(Over::Close((SILENT, "no answer to a ping")));
        }
        let now = Instant::now();
        (self.asked, self.next_ping) = (Some(now), now + PING_INTERVAL);
        if self.wire.ping().await { Ok(()) } else { Err(Over::Gone) }
    }

    async fn hear(&mut self, came: Came) -> Result<(), Over> {
        match came {
            Came::Text(text) => {
                self.pace().await;
                self.obey(&text).await
            }
            Came::Pong => {
                if let Some(asked) = self.asked.take() {
                    self.seat.connection.was_answered_after(asked.elapsed());
                }
                Ok(())
            }
            Came::Ping => {
                self.pace().await;
                Ok(())
            }
            Came::Nothing => Ok(()),
            Came::Wrong(close) => Err(Over::Close(close)),
            Came::Gone => Err(Over::Gone),
        }
    }

    /// Lets a client that says much wait.
    async fn pace(&mut self) {
        let each = Duration::from_secs(1) / MESSAGES_PER_SEC_MAX;
        if self.allowance == 0 {
            sleep_until(self.allowed_at + each).await;
        }
        let earned = u32::try_from(self.allowed_at.elapsed().as_millis() / each.as_millis()).unwrap_or(u32::MAX);
        if 0 < earned {
            self.allowance = self.allowance.saturating_add(earned).min(MESSAGES_AT_ONCE_MAX);
            self.allowed_at = Instant::now();
        }
        self.allowance = self.allowance.saturating_sub(1);
    }

    async fn obey(&mut self, text: &str) -> Result<(), Over> {
        let outcome = match Said::read(text) {
            Err(problem) => Err(problem),
            Ok(Said::Subscribe(wanted)) => self.subscribe(wanted).await,
            Ok(Said::Unsubscribe(which)) => self.unsubscribe(&which).await,
            Ok(Said::Auth(token)) => self.sign_in(&token).await,
            Ok(Said::Presence { subscription, state }) => be_there(&self.seat, subscription, state).await,
            Ok(Said::Resume(id)) => return self.resume(&id).await,
        };
        if let Err(problem) = outcome {
            self.refuse(problem);
        }
        Ok(())
    }

    /// In the queue, so that answers come in the order of what they answer.
    fn refuse(&self, problem: Problem) {
        let connection = &self.seat.connection;
        connection.push(Item::Text(message::refused(problem, &connection.request_id).to_string()));
    }

    async fn subscribe(&mut self, wanted: Wanted) -> Result<(), Problem> {
        subscribe(&self.seat, self.subscribed + 1, wanted).await?;
        self.subscribed += 1;
        Ok(())
    }

    async fn unsubscribe(&mut self, which: &Which) -> Result<(), Problem> {
        let topics = self.seat.connection.topics();
        let is_meant = |(number, topic): &(u32, String)| match which {
            Which::Number(meant) => number == meant,
            Which::Topic(meant) => topic == meant,
        };
        let numbers: Vec<u32> = topics.iter().filter(|it| is_meant(it)).map(|(number, _)| *number).collect();
        if numbers.is_empty() {
            let detail = "is no subscription of this connection";
            return Err(Problem::invalid(vec![Fault::new("/unsubscribe", "unknown", detail)]));
        }
        let connection = self.seat.connection.clone();
        self.seat.hub.ask(|reply| Command::Unsubscribe { connection, numbers, reply }).await
    }

    async fn sign_in(&mut self, token: &str) -> Result<(), Problem> {
        let (hub, connection) = (&self.seat.hub, &self.seat.connection);
        let caller = hub.0.gate.caller(&hub.0.log.tenant, token).await?;
        hub.registry().sign_in(connection, caller.clone(), &hub.0.config.get())?;
        let answer = message::signed_in(&caller, caller.principal().until);
        connection.push(Item::Text(answer.to_string()));
        let connection = connection.clone();
        hub.ask(|reply| Command::Rejudge { connection, reply }).await
    }

    async fn resume(&mut self, id: &str) -> Result<(), Over> {
        let (id, mut replay) = match Replay::begin(&self.seat, id).await {
            Ok(begun) => begun,
            Err(problem) => {
                self.refuse(problem);
                return Ok(());
            }
        };
        // What was answered before comes before what was missed, and what happened meanwhile comes after it.
        let (answers, later) = self.seat.connection.take_all();
        self.say(answers).await?;
        self.say(vec![Item::Text(message::resumed(&id).to_string())]).await?;
        while let Some(items) = replay.next(&self.seat).await {
            self.say(items).await?;
        }
        self.tell(later).await
    }

    /// Says all that waits.
    async fn flush(&mut self) -> Result<(), Over> {
        loop {
            let items = self.seat.connection.take();
            if items.is_empty() {
                return Ok(());
            }
            self.tell(items).await?;
        }
    }

    async fn tell(&mut self, items: Vec<Item>) -> Result<(), Over> {
        let mut ready = Vec::with_capacity(items.len());
        for item in items {
            match item {
                Item::Look { number, after, seq } => {
                    self.say(std::mem::take(&mut ready)).await?;
                    self.look(number, after, seq).await?;
                }
                item => ready.push(item),
            }
        }
        self.say(ready).await
    }

    /// Asks for itself what the hub did not wait for.
    async fn look(&mut self, number: u32, after: i64, seq: i64) -> Result<(), Over> {
        let Ok(mut found) = Replay::look(&self.seat, number, after, seq).await else {
            return self.say(vec![Item::Gap { seq }]).await;
        };
        while let Some(items) = found.next(&self.seat).await {
            self.say(items).await?;
        }
        Ok(())
    }

    async fn say(&mut self, items: Vec<Item>) -> Result<(), Over> {
        if items.is_empty() {
            return Ok(());
        }
        let count = items.len();
        if !self.wire.say(items, &self.seat.hub.0.log.epoch).await {
            return Err(Over::Gone);
        }
        self.seat.connection.was_sent(count);
        Ok(())
    }
}

/// Subscribes a connection, if it may. The answer is laid into its queue.
pub(super) async fn subscribe(seat: &Seat, number: u32, wanted: Wanted) -> Result<(), Problem> {
    let (hub, connection) = (&seat.hub, seat.connection.clone());
    if SUBSCRIPTIONS_MAX <= connection.topics().len() {
        return Err(error::too_many_subscriptions(SUBSCRIPTIONS_MAX));
    }
    let catalogue = hub.0.catalogues.current(&hub.0.log.tenant).await?;
    let watch = Box::new(Watch::new(&catalogue, &connection.caller(), connection.address, wanted)?);
    hub.ask(|reply| Command::Subscribe { connection, number, watch, reply }).await
}

/// Lets the others know that a client is there, and what it says of itself; or, without that, that it is not any more.
async fn be_there(seat: &Seat, number: u32, state: Option<String>) -> Result<(), Problem> {
    let fault = |code, detail: String| Problem::invalid(vec![Fault::new("/presence", code, detail)]);
    if state.as_ref().is_some_and(|it| !it.starts_with('{')) {
        return Err(fault("type", "must be an object, or null".to_owned()));
    }
    if state.as_ref().is_some_and(|it| STATE_BYTES_MAX < it.len()) {
        return Err(fault("too-long", format!("must have at most {STATE_BYTES_MAX} bytes as JSON")));
    }
    // It was read as JSON before.
    let state = state.and_then(|it| RawValue::from_string(it).ok());
    let connection = seat.connection.clone();
    seat.hub.ask(|reply| Command::BeThere { connection, number, state, reply }).await
}
