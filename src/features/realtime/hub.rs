//! The one who reads the log and lays what is told into the queues of those who listen.
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::{Arrival, Connection, End, Item, Registry};
use super::limits::{ANSWER_TIMEOUT, CHECK_INTERVAL, CROWD_MIN, EVENTS_BYTES_MAX, EVENTS_MAX, GATHER_TIME};
use super::message;
use super::presence::Presence;
use super::relays::{Relay, Relays};
use crate::base::Clock;
use crate::config::{RealtimeConfig, View};
use crate::db::{self, Tx};
use crate::features::accounts::Gate;
use crate::features::collections::{Catalogue, Catalogues, IsOutdated};
use crate::features::events::{self, EventKind, EventLog};
use crate::features::records::{self, Told, Watch, Watches};
use crate::http::problem::{self, Problem};
use crate::http::websocket::WebSockets;

/// The way to the one who delivers. Cheap to clone.
#[derive(Clone)]
pub struct Hub(pub(super) Arc<Parts>);

pub(super) struct Parts {
    pub log: EventLog,
    pub catalogues: Catalogues,
    pub gate: Gate,
    pub clock: Clock,
    pub config: View<RealtimeConfig>,
    pub sockets: WebSockets,
    registry: Mutex<Registry>,
    relays: Mutex<Relays>,
    commands: mpsc::UnboundedSender<Command>,
    /// Until somebody delivers.
    waiting: Mutex<Option<mpsc::UnboundedReceiver<Command>>>,
    stopping: CancellationToken,
}

/// What is asked of the one who delivers. There are no more of them than connections: each waits for its answer.
pub(super) enum Command {
    /// Lays the answer into the queue, before anything that is told.
    Subscribe {
        connection: Arc<Connection>,
        number: u32,
        watch: Box<Watch>,
        reply: oneshot::Sender<()>,
    },
    Unsubscribe {
        connection: Arc<Connection>,
        numbers: Vec<u32>,
        reply: oneshot::Sender<()>,
    },
    /// The connection is someone else's now.
    Rejudge {
        connection: Arc<Connection>,
        reply: oneshot::Sender<()>,
    },
    /// What a connection is subscribed to, and from which event on.
    List {
        connection: Arc<Connection>,
        reply: oneshot::Sender<Vec<Subscription>>,
    },
    /// Lets the others of a subscription know that it is there, or with no state that it is not any more.
    BeThere {
        connection: Arc<Connection>,
        number: u32,
        state: Option<Box<RawValue>>,
        reply: oneshot::Sender<()>,
    },
    Leave {
        connection: u64,
    },
}

/// What a connection is subscribed to.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub number: u32,
    /// The last event that it is not told of.
    pub since: i64,
    pub watch: Arc<Watch>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Hub").field("log", &self.0.log).finish_non_exhaustive()
    }
}

impl Hub {
    pub fn new(
        log: EventLog,
        catalogues: Catalogues,
        gate: Gate,
        clock: Clock,
        config: View<RealtimeConfig>,
        stopping: CancellationToken,
    ) -> Self {
        let (commands, waiting) = mpsc::unbounded_channel();
        let (sockets, registry, waiting) = (WebSockets::default(), Mutex::default(), Mutex::new(Some(waiting)));
        let relays = Mutex::default();
        Self(Arc::new(Parts {
            log,
            catalogues,
            gate,
            clock,
            config,
            sockets,
            registry,
            relays,
            commands,
            waiting,
            stopping,
        }))
    }

    /// Delivers until `stop`, and then until all who listen are told goodbye.
    pub async fn run(self, stop: CancellationToken) {
        let waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(commands) = waiting {
            Desk::new(self.clone()).work(commands, &stop).await;
        }
        self.0.sockets.closed().await;
    }

    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn relays(&self) -> MutexGuard<'_, Relays> {
        self.0.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses whoever comes when the server is about to stop.
    pub(super) fn must_go_on(&self) -> Result<(), Problem> {
        if self.0.stopping.is_cancelled() {
            let stopping = Problem::new(&problem::STOPPING, "the server is about to stop; try again");
            return Err(stopping.retry_after(Duration::from_secs(1)));
        }
        Ok(())
    }

    pub(super) fn open(&self, arrival: Arrival) -> Result<Seat, Problem> {
        self.must_go_on()?;
        let connection = self.registry().open(arrival, &self.0.config.get())?;
        Ok(Seat { hub: self.clone(), connection })
    }

    /// Asks for something and waits for the answer.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let busy = || Problem::new(&problem::BUSY, "live updates are behind; try again");
        self.0.commands.send(command(reply)).map_err(|_| busy())?;
        timeout(ANSWER_TIMEOUT, answer).await.ok().and_then(Result::ok).ok_or_else(busy)
    }
}

/// A place among those who listen, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    pub hub: Hub,
    pub connection: Arc<Connection>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hub.registry().close(&self.connection);
        let _ = self.hub.0.commands.send(Command::Leave { connection: self.connection.id });
    }
}

/// Subscriptions that ask the same of the database.
struct Group {
    watch: Arc<Watch>,
    members: HashMap<(u64, u32), Member>,
}

struct Member {
    connection: Arc<Connection>,
    since: i64,
}

/// What the one who delivers works on.
pub(super) struct Desk {
    pub hub: Hub,
    pub presence: Presence,
    groups: HashMap<u64, Group>,
    by_key: HashMap<String, u64>,
    by_connection: HashMap<u64, HashMap<u32, u64>>,
    grouped: u64,
    /// The watches of all groups, with the groups in their order; nothing if these were changed since.
    watches: Option<(Arc<Watches>, Arc<Vec<u64>>)>,
    /// The last event that was looked at; nothing if nobody listens.
    position: Option<i64>,
    catalogue: Option<Arc<Catalogue>>,
    /// Most events that are looked at at once.
    events_max: usize,
}

impl Desk {
    fn new(hub: Hub) -> Self {
        Self {
            hub,
            presence: Presence::default(),
            groups: HashMap::new(),
            by_key: HashMap::new(),
            by_connection: HashMap::new(),
            grouped: 0,
            watches: None,
            position: None,
            catalogue: None,
            events_max: EVENTS_MAX,
        }
    }

    async fn work(mut self, mut commands: mpsc::UnboundedReceiver<Command>, stop: &CancellationToken) {
        let mut news = self.hub.0.log.listen();
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                () = news.heard(), if self.position.is_some() => {
                    if CROWD_MIN <= self.by_connection.len() {
                        // Whoever wrote is answered first; telling many takes both cores of a small machine.
                        tokio::time::sleep(GATHER_TIME).await;
                    }
                    self.deliver().await;
                }
                _ = checks.tick() => {
                    self.check_callers().await;
                    self.check_presence().await;
                    // What failed is tried again.
                    self.deliver().await;
                }
            }
        }
        for connection in self.hub.registry().all() {
            connection.end(End::Stopping);
        }
        for relay in self.hub.relays().all.values() {
            relay.end(End::Stopping);
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Subscribe { connection, number, watch, reply } => {
                if let Err(problem) = self.subscribe(&connection, number, *watch).await {
                    connection.push(Item::Text(message::refused(problem, &connection.request_id).to_string()));
                }
                let _ = reply.send(());
            }
            Command::Unsubscribe { connection, numbers, reply } => {
                for number in &numbers {
                    self.presence.depart((connection.id, *number));
                    self.remove(connection.id, *number);
                }
                connection.set_topics(|it| it.retain(|(number, _)| !numbers.contains(number)));
                connection.push(Item::Text(message::unsubscribed(&numbers).to_string()));
                self.rest_if_nobody_listens();
                let _ = reply.send(());
            }
            Command::Rejudge { connection, reply } => {
                if let Ok(catalogue) = self.hub.0.catalogues.current(&self.hub.0.log.tenant).await {
                    self.rejudge(&connection, &catalogue).await;
                }
                let _ = reply.send(());
            }
            Command::List { connection, reply } => {
                let _ = reply.send(self.list(connection.id));
            }
            Command::BeThere { connection, number, state, reply } => {
                if let Err(problem) = self.be_there(&connection, number, state).await {
                    connection.push(Item::Text(message::refused(problem, &connection.request_id).to_string()));
                }
                let _ = reply.send(());
            }
            Command::Leave { connection } => self.leave(connection),
        }
    }

    async fn subscribe(&mut self, connection: &Arc<Connection>, number: u32, watch: Watch) -> Result<(), Problem> {
        let position = match self.position {
            Some(position) => position,
            None => self.begin().await?,
        };
        // It may have been made before the collections were changed, or after.
        let is_current = self.catalogue.as_ref().is_some_and(|it| it.generation == watch.generation);
        let watch = if is_current {
            watch
        } else {
            let catalogue = self.hub.0.catalogues.current(&self.hub.0.log.tenant).await?;
            let watch = watch.renewed(&catalogue, &connection.caller(), connection.address)?;
            if self.catalogue.as_ref().is_none_or(|it| it.generation < catalogue.generation) {
                self.renew(catalogue).await;
            }
            watch
        };
        connection.set_topics(|it| it.push((number, watch.wanted.topic.clone())));
        let id = self.hub.0.log.epoch.id(position);
        connection.push(Item::Text(message::subscribed(number, &watch.wanted.topic, &id).to_string()));
        self.add(connection, number, position, watch);
        Ok(())
    }

    /// Begins to listen: from the newest event on.
    async fn begin(&mut self) -> Result<i64, Problem> {
        let log = &self.hub.0.log;
        let newest = log.db.read(&log.tenant, events::find_newest).await?;
        self.position = Some(newest);
        Ok(newest)
    }

    fn add(&mut self, connection: &Arc<Connection>, number: u32, since: i64, watch: Watch) {
        let group = match self.by_key.get(&watch.key) {
            Some(group) => *group,
            None => {
                self.grouped += 1;
                self.by_key.insert(watch.key.clone(), self.grouped);
                let group = Group { watch: Arc::new(watch), members: HashMap::new() };
                self.groups.insert(self.grouped, group);
                self.watches = None;
                self.grouped
            }
        };
        if let Some(group) = self.groups.get_mut(&group) {
            let member = Member { connection: Arc::clone(connection), since };
            group.members.insert((connection.id, number), member);
        }
        self.by_connection.entry(connection.id).or_default().insert(number, group);
    }

    fn remove(&mut self, connection: u64, number: u32) -> Option<Subscription> {
        let numbers = self.by_connection.get_mut(&connection)?;
        let id = numbers.remove(&number)?;
        if numbers.is_empty() {
            self.by_connection.remove(&connection);
        }
        let group = self.groups.get_mut(&id)?;
        let member = group.members.remove(&(connection, number))?;
        let watch = Arc::clone(&group.watch);
        if group.members.is_empty() {
            self.groups.remove(&id);
            self.by_key.remove(&watch.key);
            self.watches = None;
        }
        Some(Subscription { number, since: member.since, watch })
    }

    pub fn leave(&mut self, connection: u64) {
        for number in self.numbers(connection) {
            self.presence.depart((connection, number));
            self.remove(connection, number);
        }
        self.rest_if_nobody_listens();
    }

    fn rest_if_nobody_listens(&mut self) {
        if self.groups.is_empty() {
            self.position = None;
        }
    }

    fn numbers(&self, connection: u64) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            self.by_connection.get(&connection).map(|it| it.keys().copied().collect()).unwrap_or_default();
        numbers.sort_unstable();
        numbers
    }

    fn list(&self, connection: u64) -> Vec<Subscription> {
        self.numbers(connection).into_iter().filter_map(|it| self.find(connection, it)).collect()
    }

    pub fn find(&self, connection: u64, number: u32) -> Option<Subscription> {
        let group = self.groups.get(self.by_connection.get(&connection)?.get(&number)?)?;
        let since = group.members.get(&(connection, number))?.since;
        Some(Subscription { number, since, watch: Arc::clone(&group.watch) })
    }

    /// Asks anew whether a connection may hear what it is subscribed to.
    async fn rejudge(&mut self, connection: &Arc<Connection>, catalogue: &Catalogue) {
        for number in self.numbers(connection.id) {
            let Some(Subscription { since, watch, .. }) = self.remove(connection.id, number) else { continue };
            match watch.renewed(catalogue, &connection.caller(), connection.address) {
                Ok(renewed) if renewed.collection() == watch.collection() => {
                    if !self.may_stay(connection, number, &renewed) {
                        self.presence.send_away(connection, number);
                    }
                    self.add(connection, number, since, renewed);
                }
                outcome => {
                    self.presence.depart((connection.id, number));
                    let problem = outcome.err().unwrap_or_else(Problem::not_found);
                    connection.set_topics(|it| it.retain(|(it, _)| *it != number));
                    let ended = message::ended(number, &watch.wanted.topic, problem, &connection.request_id);
                    connection.push(Item::Text(ended.to_string()));
                }
            }
            // There may be many, each with an expression to be compiled.
            tokio::task::yield_now().await;
        }
        self.rest_if_nobody_listens();
    }

    /// Takes up the collections as they are now.
    async fn renew(&mut self, catalogue: Arc<Catalogue>) {
        let connections: HashMap<u64, Arc<Connection>> = (self.groups.values())
            .flat_map(|it| it.members.values())
            .map(|it| (it.connection.id, Arc::clone(&it.connection)))
            .collect();
        for connection in connections.values() {
            self.rejudge(connection, &catalogue).await;
        }
        self.catalogue = Some(catalogue);
    }

    fn watches(&mut self) -> (Arc<Watches>, Arc<Vec<u64>>) {
        let groups = &self.groups;
        let made = self.watches.get_or_insert_with(|| {
            // In the order in which they were made, so that a client hears of one event in the order of its subscriptions.
            let mut ids: Vec<u64> = groups.keys().copied().collect();
            ids.sort_unstable();
            let all = ids.iter().filter_map(|it| groups.get(it)).map(|it| Arc::clone(&it.watch)).collect();
            (Arc::new(Watches::of_all(all)), Arc::new(ids))
        });
        (Arc::clone(&made.0), Arc::clone(&made.1))
    }

    /// Tells everything that is new.
    async fn deliver(&mut self) {
        while let Some(position) = self.position {
            match self.read(position).await {
                Ok(batch) if batch.last == position => return,
                Ok(batch) => {
                    if batch.is_about_accounts {
                        self.check_callers().await;
                    }
                    if batch.first != position + 1 {
                        // They were removed before they were read.
                        self.tell_all(Item::Gap { seq: batch.first - 1 });
                    }
                    self.tell(&batch);
                    self.position = self.position.map(|_| batch.last);
                    self.events_max = EVENTS_MAX;
                    tokio::task::yield_now().await;
                }
                Err(error) if error.is_outdated() => {
                    let known = self.catalogue.clone();
                    let tenant = &self.hub.0.log.tenant;
                    let catalogue = match &known {
                        Some(known) => self.hub.0.catalogues.newer_than(tenant, known).await,
                        None => self.hub.0.catalogues.current(tenant).await,
                    };
                    match catalogue {
                        Ok(catalogue) => self.renew(catalogue).await,
                        Err(_) => return,
                    }
                }
                Err(records::Error::Db(db::Error::BudgetSpent | db::Error::TooLarge)) if 1 < self.events_max => {
                    self.events_max = 1;
                }
                Err(records::Error::Db(db::Error::BudgetSpent | db::Error::TooLarge)) => {
                    tracing::warn!("an event took too long to judge; those who listen are told to read again");
                    self.tell_all(Item::Gap { seq: position + 1 });
                    self.position = Some(position + 1);
                }
                Err(error) => {
                    tracing::warn!(cause = %crate::base::text::chain(&error), "events could not be delivered; trying again");
                    return;
                }
            }
        }
    }

    async fn read(&mut self, position: i64) -> Result<Batch, records::Error> {
        let (watches, groups) = self.watches();
        let log = self.hub.0.log.clone();
        let known = match &self.catalogue {
            Some(known) => Arc::clone(known),
            None => self.hub.0.catalogues.current(&log.tenant).await?,
        };
        self.catalogue = Some(Arc::clone(&known));
        let (now, events_max, epoch) = (self.hub.0.clock.now(), self.events_max, log.epoch.clone());
        let read = move |tx: &mut Tx<'_>| {
            let events = events::read_after(tx, position, i64::MAX, events_max, EVENTS_BYTES_MAX)?;
            let cuts = events::restructured(tx, position)?;
            let told = watches.deliver(tx, &known, &epoch, &events, &cuts, now)?;
            Ok::<_, records::Error>(Batch {
                first: events.first().map_or(position, |it| it.seq),
                last: events.last().map_or(position, |it| it.seq),
                is_about_accounts: events.iter().any(|it| it.kind == EventKind::Account),
                told,
                groups: Arc::clone(&groups),
            })
        };
        log.db.read(&log.tenant, read).await
    }

    fn tell(&self, batch: &Batch) {
        let now = self.hub.0.clock.now();
        let mut looks = HashSet::new();
        // So that the same event for many clients of a relay is one message to it.
        let relays: Vec<Arc<Relay>> = self.hub.relays().all.values().cloned().collect();
        relays.iter().for_each(|it| it.outbox.hold());
        for Told { watch, seq, members } in &batch.told {
            let Some(group) = batch.groups.get(*watch).and_then(|it| self.groups.get(it)) else { continue };
            // One look is for all of the batch.
            if members.is_none() && !looks.insert(*watch) {
                continue;
            }
            for ((_, number), member) in &group.members {
                let number = *number;
                let is_over = member.connection.caller().principal().until.is_some_and(|it| it <= now);
                if member.connection.ending().is_none() && !is_over {
                    member.connection.push(match members {
                        Some(members) => Item::Event { number, seq: *seq, members: members.clone() },
                        None => Item::Look { number, after: batch.first - 1, seq: batch.last },
                    });
                }
            }
        }
        relays.iter().for_each(|it| it.outbox.release());
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is said and done with")]
    fn tell_all(&self, item: Item) {
        let told: HashMap<u64, &Arc<Connection>> = self
            .groups
            .values()
            .flat_map(|it| it.members.values())
            .map(|it| (it.connection.id, &it.connection))
            .collect();
        for connection in told.values() {
            connection.push(item.clone());
        }
    }
}

/// What was read of the log, and who is told what of it.
struct Batch {
    first: i64,
    last: i64,
    is_about_accounts: bool,
    told: Vec<Told>,
    /// The groups in the order of the watches.
    groups: Arc<Vec<u64>>,
}
