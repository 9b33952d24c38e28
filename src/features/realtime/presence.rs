//! Who is there: clients that listen to a collection, or to one of its records, and let the others know who do so too.
//!
//! Nobody is shown who did not say that they are there, and nobody sees the others without being shown. It is kept in
//! memory: it ends with the connection.
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::connection::{Connection, Item};
use super::error;
use super::hub::{Desk, Subscription};
use super::limits::{PRESENT_MAX, PRESENT_OF_ONE_MAX};
use crate::base::text::chain;
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};
use crate::features::records::{Place, Watch};
use crate::http::{Fault, Problem};

/// A subscription of a connection.
pub(super) type Key = (u64, u32);

/// Someone who is there.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Absent for a stranger, and for a program.
    pub user: Option<UserId>,
    /// What they were called when they came.
    pub name: Option<String>,
    /// What the client says of itself, as it wrote it: where its cursor is, for example.
    pub state: Box<RawValue>,
    pub since: Timestamp,
}

#[derive(Debug)]
struct Present {
    key: Key,
    connection: Arc<Connection>,
    member: Member,
}

/// The same as others are told.
#[derive(Serialize)]
struct Shown<'a> {
    id: String,
    user: Option<String>,
    name: Option<&'a str>,
    state: &'a RawValue,
    since: String,
}

/// What one is told.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Told<'a> {
    Entered(Shown<'a>),
    Changed(Shown<'a>),
    Left { id: String },
}

/// The same of oneself.
#[derive(Serialize)]
struct Everyone<'a> {
    present: Option<Vec<Shown<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    you: Option<String>,
}

/// Everyone who is there.
#[derive(Debug, Default)]
pub(super) struct Presence {
    places: HashMap<Place, Vec<Present>>,
    places_of: HashMap<Key, Place>,
}

impl Present {
    /// What tells one who is there from the others, also from themselves elsewhere.
    fn id(&self) -> String {
        let (connection, number) = self.key;
        format!("{connection}.{number}")
    }

    fn shown(&self) -> Shown<'_> {
        let Member { user, name, state, since } = &self.member;
        let (user, since) = (user.map(|it| it.to_string()), since.to_string());
        Shown { id: self.id(), user, name: name.as_deref(), state, since }
    }

    fn is_of(&self, user: Option<UserId>, connection: &Connection) -> bool {
        let is_same_place = || self.connection.address.throttle_key() == connection.address.throttle_key();
        self.member.user == user && (user.is_some() || is_same_place())
    }
}

impl Presence {
    /// Takes someone in, tells the others, and tells them who is there. Of someone who is there already, takes up what they
    /// say of themselves now.
    pub fn enter(
        &mut self,
        place: Place,
        connection: &Arc<Connection>,
        number: u32,
        member: Member,
    ) -> Result<(), Problem> {
        let key = (connection.id, number);
        if let Some(present) = self.places.get_mut(&place)
            && let Some(known) = present.iter_mut().find(|it| it.key == key)
        {
            known.member = Member { since: known.member.since, ..member };
            tell(present, |_| true, key, Told::Changed);
            return Ok(());
        }
        let present = self.places.get(&place).map_or(&[][..], Vec::as_slice);
        if present.iter().any(|it| it.key.0 == connection.id) {
            let detail = "is there already, by another subscription of this connection";
            return Err(Problem::invalid(vec![Fault::new("/subscription", "conflict", detail)]));
        }
        if PRESENT_MAX <= present.len() {
            return Err(error::too_many_present("all clients", PRESENT_MAX));
        }
        if PRESENT_OF_ONE_MAX <= present.iter().filter(|it| it.is_of(member.user, connection)).count() {
            let whom = if member.user.is_some() { "one account" } else { "one address" };
            return Err(error::too_many_present(whom, PRESENT_OF_ONE_MAX));
        }
        self.places_of.insert(key, place.clone());
        let present = self.places.entry(place).or_default();
        present.push(Present { key, connection: Arc::clone(connection), member });
        tell(present, |it| it != key, key, Told::Entered);
        let you = present.last().map(Present::id);
        say(connection, number, &Everyone { present: Some(present.iter().map(Present::shown).collect()), you });
        Ok(())
    }

    /// Lets someone go, and tells the others. False if they were not there.
    pub fn depart(&mut self, key: Key) -> bool {
        let Some(place) = self.places_of.remove(&key) else { return false };
        let Some(present) = self.places.get_mut(&place) else { return false };
        tell(present, |it| it != key, key, |it| Told::Left { id: it.id });
        present.retain(|it| it.key != key);
        if present.is_empty() {
            self.places.remove(&place);
        }
        true
    }

    /// The same for someone who did not ask for it, and is told.
    pub fn send_away(&mut self, connection: &Connection, number: u32) {
        if self.depart((connection.id, number)) {
            say_away(connection, number);
        }
    }

    /// As whom a subscription is there.
    pub fn find(&self, key: Key) -> Option<&Member> {
        let present = self.places.get(self.places_of.get(&key)?)?;
        present.iter().find(|it| it.key == key).map(|it| &it.member)
    }

    /// All subscriptions that are at a record.
    pub fn at_records(&self) -> Vec<(Arc<Connection>, u32)> {
        let at_records = self.places.iter().filter(|(place, _)| place.record.is_some());
        at_records.flat_map(|(_, it)| it).map(|it| (Arc::clone(&it.connection), it.key.1)).collect()
    }
}

/// Tells those who are meant something of one, in words that are made once.
fn tell<'a>(present: &'a [Present], is_meant: impl Fn(Key) -> bool, one: Key, what: impl Fn(Shown<'a>) -> Told<'a>) {
    let Some(of) = present.iter().find(|it| it.key == one) else { return };
    let members = members(&what(of.shown()));
    for it in present.iter().filter(|it| is_meant(it.key)) {
        it.connection.push(Item::Presence { number: it.key.1, members: members.clone() });
    }
}

fn say(connection: &Connection, number: u32, what: &Everyone<'_>) {
    connection.push(Item::Presence { number, members: members(what) });
}

fn say_away(connection: &Connection, number: u32) {
    say(connection, number, &Everyone { present: None, you: None });
}

/// A message without the braces around it.
fn members(message: &impl Serialize) -> Bytes {
    let text = Bytes::from(serde_json::to_vec(message).unwrap_or_else(|_| b"{}".to_vec()));
    text.slice(1..text.len() - 1)
}

impl Desk {
    /// Lets the others know that a client is there, or no more.
    pub(super) async fn be_there(
        &mut self,
        connection: &Arc<Connection>,
        number: u32,
        state: Option<Box<RawValue>>,
    ) -> Result<(), Problem> {
        let Some(Subscription { watch, .. }) = self.find(connection.id, number) else {
            let detail = "is no subscription of this connection";
            return Err(Problem::invalid(vec![Fault::new("/subscription", "unknown", detail)]));
        };
        let Some(state) = state else {
            self.presence.depart((connection.id, number));
            say_away(connection, number);
            return Ok(());
        };
        if !watch.offers_presence() {
            let detail = "is not offered here: `options.presence` of the collection is off";
            return Err(Problem::invalid(vec![Fault::new("/presence", "not-offered", detail)]));
        }
        let (user, now, place) = (connection.caller().user_id(), self.hub.0.clock.now(), watch.place());
        let log = &self.hub.0.log;
        let look = move |tx: &mut Tx<'_>| {
            let name = user.map(|it| find_name(tx, it)).transpose()?.flatten();
            Ok::<_, db::Error>(watch.is_in_view(tx, now)?.then_some(name))
        };
        let name = log.db.read(&log.tenant, look).await?.ok_or_else(Problem::not_found)?;
        self.presence.enter(place, connection, number, Member { user, name, state, since: now })
    }

    /// Whether a client may be where it is, if it is anywhere: under the collections as they are now, and as the one who
    /// said so.
    pub(super) fn may_stay(&self, connection: &Connection, number: u32, watch: &Watch) -> bool {
        let member = self.presence.find((connection.id, number));
        member.is_none_or(|it| watch.offers_presence() && it.user == connection.caller().user_id())
    }

    /// Sends those away who are at a record that they do not see any more.
    pub(super) async fn check_presence(&mut self) {
        let there = self.presence.at_records().into_iter();
        let watched: Vec<_> =
            there.filter_map(|(it, number)| Some((self.find(it.id, number)?.watch, it, number))).collect();
        if watched.is_empty() {
            return;
        }
        let (now, log) = (self.hub.0.clock.now(), &self.hub.0.log);
        let look = move |tx: &mut Tx<'_>| {
            let mut unseen = Vec::new();
            for (watch, connection, number) in &watched {
                if !watch.is_in_view(tx, now)? {
                    unseen.push((Arc::clone(connection), *number));
                }
            }
            Ok::<_, db::Error>(unseen)
        };
        match log.db.read(&log.tenant, look).await {
            Ok(unseen) => unseen.iter().for_each(|(it, number)| self.presence.send_away(it, *number)),
            Err(error) => tracing::warn!(cause = %chain(&error), "cannot tell who may still be there"),
        }
    }
}

/// What someone is called.
fn find_name(tx: &mut Tx<'_>, user: UserId) -> Result<Option<String>, db::Error> {
    tx.find("SELECT name FROM users WHERE id = $1", &[user.into()], |row| Ok(row.text(0)?.to_owned()))
}
