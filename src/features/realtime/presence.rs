//! Who is there: clients that listen to a collection, or to one of its records, and let the others know who do so too.
//!
//! Nobody is shown who did not say that they are there, and nobody sees the others without being shown. It is kept in
//! memory: it ends with the connection.
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::connection::{Connection, Item};
use super::error;
use super::hub::{Desk, Subscription};
use super::limits::PRESENT_MAX;
use crate::base::text::chain;
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};
use crate::features::records::{Place, Watch};
use crate::http::{Fault, Problem};

/// A subscription of a connection.
pub(super) type Key = (u64, u32);

/// Someone who is there, as others are told.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Absent for a stranger, and for a program.
    pub user: Option<UserId>,
    pub name: Option<String>,
    /// What the client says of itself: where its cursor is, for example.
    pub state: Value,
    pub since: Timestamp,
}

#[derive(Debug)]
struct Present {
    key: Key,
    connection: Arc<Connection>,
    member: Member,
}

/// Everyone who is there.
#[derive(Debug, Default)]
pub(super) struct Presence {
    places: HashMap<Place, Vec<Present>>,
    places_of: HashMap<Key, Place>,
}

impl Presence {
    /// Takes someone in, or takes up what they say of themselves now, and tells the others. They are told who is there.
    pub fn enter(
        &mut self,
        place: Place,
        connection: &Arc<Connection>,
        number: u32,
        member: Member,
    ) -> Result<(), Problem> {
        let key = (connection.id, number);
        let present = self.places.entry(place.clone()).or_default();
        let what = if let Some(known) = present.iter_mut().find(|it| it.key == key) {
            known.member = Member { since: known.member.since, ..member };
            "changed"
        } else if present.len() < PRESENT_MAX {
            present.push(Present { key, connection: Arc::clone(connection), member });
            self.places_of.insert(key, place);
            "entered"
        } else {
            return Err(error::too_many_present(PRESENT_MAX));
        };
        if let Some(own) = present.iter().find(|it| it.key == key) {
            tell_others(present, key, what, &shown(own));
        }
        let all: Vec<_> = present.iter().map(shown).collect();
        tell(connection, number, &json!({ "present": all, "you": id(key) }));
        Ok(())
    }

    /// Lets someone go, and tells the others. False if they were not there.
    pub fn depart(&mut self, key: Key) -> bool {
        let Some(place) = self.places_of.remove(&key) else { return false };
        let Some(present) = self.places.get_mut(&place) else { return false };
        present.retain(|it| it.key != key);
        tell_others(present, key, "left", &json!({ "id": id(key) }));
        if present.is_empty() {
            self.places.remove(&place);
        }
        true
    }

    /// The same for someone who did not ask for it, and is told.
    pub fn send_away(&mut self, connection: &Connection, number: u32) {
        if self.depart((connection.id, number)) {
            tell(connection, number, &json!({ "present": null }));
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

/// What tells one who is there from the others, also from themselves elsewhere.
fn id((connection, number): Key) -> String {
    format!("{connection}.{number}")
}

fn shown(present: &Present) -> Value {
    let Member { user, name, state, since } = &present.member;
    let user = user.map(|it| it.to_string());
    json!({ "id": id(present.key), "user": user, "name": name, "state": state, "since": since.to_string() })
}

/// Tells all but one, in words that are made once.
fn tell_others(present: &[Present], one: Key, what: &str, of: &Value) {
    let members = members(&json!({ what: of }));
    for it in present.iter().filter(|it| it.key != one) {
        it.connection.push(Item::Presence { number: it.key.1, members: members.clone() });
    }
}

fn tell(connection: &Connection, number: u32, what: &Value) {
    connection.push(Item::Presence { number, members: members(what) });
}

/// A message without the braces around it.
fn members(message: &Value) -> Bytes {
    let text = Bytes::from(message.to_string());
    text.slice(1..text.len() - 1)
}

impl Desk {
    /// Lets the others know that a client is there, or no more.
    pub(super) async fn be_there(
        &mut self,
        connection: &Arc<Connection>,
        number: u32,
        state: Option<Value>,
    ) -> Result<(), Problem> {
        let Some(Subscription { watch, .. }) = self.find(connection.id, number) else {
            let detail = "is no subscription of this connection";
            return Err(Problem::invalid(vec![Fault::new("/subscription", "unknown", detail)]));
        };
        let Some(state) = state else {
            self.presence.send_away(connection, number);
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
