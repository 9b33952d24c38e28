//! From a request to an entry: who does it, from where, and how it is written down.
use std::sync::Arc;

use poem::http::header::{HeaderValue, USER_AGENT};
use poem::{FromRequest, Request, RequestBody};
use serde_json::{Map, Value, json};

use super::chain::NOTHING_BEFORE;
use super::entry::{self, Entry};
use super::model::{ActorKind, Kept};
use super::store;
use crate::base::text::visible;
use crate::base::{Timestamp, UserId};
use crate::db::{self, Tx};
use crate::http::{Caller, ClientAddress, RequestId, Subject};

/// As much of a user agent as is kept.
const USER_AGENT_BYTES_MAX: usize = 256;

/// What a request tells of whoever sent it, but for who they are. Endpoints take one, and make an [`Actor`] of it.
#[derive(Clone, Debug)]
pub struct Trail(Arc<Marks>);

#[derive(Debug)]
struct Marks {
    address: ClientAddress,
    user_agent: Option<HeaderValue>,
    request_id: Option<RequestId>,
}

/// Who does something, and from where. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Actor {
    who: Who,
    /// Absent for what no request asked for.
    marks: Option<Arc<Marks>>,
}

#[derive(Clone, Debug)]
enum Who {
    Caller(Caller),
    User { id: UserId, email: Arc<str> },
    Stranger,
    Server,
}

impl<'a> FromRequest<'a> for Trail {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self::left_by(request))
    }
}

impl Trail {
    /// What a request tells, before it is handed on.
    pub fn left_by(request: &Request) -> Self {
        let extensions = request.extensions();
        Self(Arc::new(Marks {
            address: extensions.get::<ClientAddress>().copied().unwrap_or(ClientAddress(None)),
            user_agent: request.headers().get(USER_AGENT).cloned(),
            request_id: extensions.get::<RequestId>().cloned(),
        }))
    }

    /// Whoever the request says that it comes from.
    pub fn of(&self, caller: &Caller) -> Actor {
        self.as_who(Who::Caller(caller.clone()))
    }

    /// Someone who is known only since this request: it brought a password, or another secret of theirs.
    pub fn of_user(&self, id: UserId, email: &str) -> Actor {
        self.as_who(Who::User { id, email: email.into() })
    }

    /// Someone of whom nothing is known.
    pub fn of_stranger(&self) -> Actor {
        self.as_who(Who::Stranger)
    }

    fn as_who(&self, who: Who) -> Actor {
        Actor { who, marks: Some(Arc::clone(&self.0)) }
    }
}

impl Actor {
    /// The server, which does it by itself.
    pub fn server() -> Self {
        Self { who: Who::Server, marks: None }
    }

    /// A caller whose request is not at hand.
    pub fn caller(caller: &Caller) -> Self {
        Self { who: Who::Caller(caller.clone()), marks: None }
    }

    /// Writes down what is done, in the transaction that does it: it is told if it was done, and only then.
    pub fn append(&self, tx: &mut Tx<'_>, now: Timestamp, entry: &Entry) -> Result<(), db::Error> {
        let is_short = tx.is_short_of_room();
        let value = |it: &Option<Value>| it.as_ref().map(|it| entry::kept(it, is_short));
        let after = self.who.with_both(entry.after.as_ref());
        let (kind, id, email) = self.who.told();
        let marks = self.marks.as_deref();
        let (resource_kind, resource_id) = entry.resource.clone().unzip();
        let kept = Kept {
            seq: 0,
            at: now,
            actor_kind: kind.name().to_owned(),
            actor_id: id,
            actor_email: email,
            action: entry.action.name().to_owned(),
            resource_kind: resource_kind.map(ToOwned::to_owned),
            resource_id,
            before: value(&entry.before),
            after: value(&after),
            address: marks.and_then(|it| it.address.0).map(|it| it.to_string()),
            user_agent: marks.and_then(|it| it.user_agent.as_ref()).map(|it| user_agent(it.as_bytes())),
            request_id: marks.and_then(|it| it.request_id.as_ref()).map(|it| it.as_str().to_owned()),
            outcome: entry.outcome.name().to_owned(),
            reason: entry.reason.map(ToOwned::to_owned),
            total_bytes: 0,
            previous_hash: NOTHING_BEFORE,
            hash: NOTHING_BEFORE,
        };
        store::append(tx, kept)
    }
}

impl Who {
    /// What sort of actor it is, the id, and the address of the account.
    fn told(&self) -> (ActorKind, Option<String>, Option<String>) {
        match self {
            Self::User { id, email } => (ActorKind::User, Some(id.to_string()), Some(email.to_string())),
            Self::Stranger => (ActorKind::Stranger, None, None),
            Self::Server => (ActorKind::Server, None, None),
            Self::Caller(caller) => match caller.subject() {
                Subject::User { id, .. } => {
                    let own = (id, &caller.principal().email);
                    let (id, email) = caller.impersonator().map_or(own, |it| (&it.id, &it.email));
                    (ActorKind::User, Some(id.to_string()), Some(email.clone()))
                }
                // On behalf of its owner, whose address stands beside it.
                Subject::Key { id, .. } => {
                    (ActorKind::Key, Some(id.to_string()), Some(caller.principal().email.clone()))
                }
                Subject::Operator => (ActorKind::Operator, None, None),
                Subject::Stranger => (ActorKind::Stranger, None, None),
            },
        }
    }
}

impl Who {
    /// What is told of afterwards; of somebody who acts as somebody else, with whom that is.
    fn with_both(&self, after: Option<&Value>) -> Option<Value> {
        let acting = match self {
            Self::Caller(caller) if caller.impersonator().is_some() => caller,
            _ => return after.cloned(),
        };
        let id = acting.user_id().map(|it| it.to_string());
        let acting_as = json!({ "id": id, "email": acting.principal().email });
        let mut members = match after {
            Some(Value::Object(members)) => members.clone(),
            Some(other) => Map::from_iter([("value".to_owned(), other.clone())]),
            None => Map::new(),
        };
        members.insert("actingAs".to_owned(), acting_as);
        Some(members.into())
    }
}

/// A user agent as it may stand in a trail that people read: one line, without what steers a terminal, and short.
fn user_agent(sent: &[u8]) -> String {
    let sent = &sent[..sent.len().min(USER_AGENT_BYTES_MAX)];
    let mut text = visible(&String::from_utf8_lossy(sent));
    text.truncate(text.floor_char_boundary(USER_AGENT_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_is_one_short_line() {
        assert_eq!(user_agent(b"curl/8.14.1"), "curl/8.14.1");
        assert_eq!(user_agent(b"a\nb\x1b[2J\xff"), "a\\nb\\u{1b}[2J\u{fffd}");
        assert_eq!(user_agent(&[b'\n'; 10_000]).len(), USER_AGENT_BYTES_MAX);
        assert!(user_agent("ü".repeat(1_000).as_bytes()).len() <= USER_AGENT_BYTES_MAX);
    }
}
