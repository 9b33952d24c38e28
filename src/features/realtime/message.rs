//! What clients and the server say to one another, in JSON.
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::base::Timestamp;
use crate::features::events::{Epoch, EventId};
use crate::features::records::Wanted;
use crate::http::{Caller, Fault, Problem, problem};

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Subscribe(Wanted),
    Unsubscribe(Which),
    /// Who it is from now on.
    Auth(String),
    /// The last event that it knows of.
    Resume(String),
    /// That it is there, and what it says of itself; or, without that, that it is not any more.
    Presence {
        subscription: u32,
        state: Option<String>,
    },
}

/// Which subscriptions are meant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Which {
    Number(u32),
    Topic(String),
}

/// The last event that a client knows of, by its id or by its number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Last {
    Number(u64),
    Id(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Members {
    subscribe: Option<String>,
    filter: Option<String>,
    #[serde(default)]
    delta: bool,
    unsubscribe: Option<Which>,
    auth: Option<String>,
    resume: Option<Last>,
    #[serde(default, deserialize_with = "said")]
    presence: Option<Option<Box<RawValue>>>,
    subscription: Option<u32>,
}

/// Tells `null` from what is absent.
fn said<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<Box<RawValue>>>, D::Error> {
    let value = Box::<RawValue>::deserialize(from)?;
    Ok(Some(Some(value).filter(|it| it.get() != "null")))
}

impl Said {
    pub fn read(text: &str) -> Result<Self, Problem> {
        let members: Members = serde_json::from_str(text).map_err(|cause| match cause.is_data() {
            true => not_understood(),
            false => Problem::new(&problem::MALFORMED, format!("the message is no JSON: {cause}")),
        })?;
        // In a list the members would be told apart by their places.
        if !text.trim_start().starts_with('{') {
            return Err(not_understood());
        }
        let Members { subscribe, filter, delta, unsubscribe, auth, resume, presence, subscription } = members;
        if let Some(state) = presence {
            let says_more =
                [subscribe.is_some(), filter.is_some(), delta, unsubscribe.is_some(), auth.is_some(), resume.is_some()];
            let subscription = subscription.filter(|_| !says_more.contains(&true)).ok_or_else(not_understood)?;
            return Ok(Self::Presence { subscription, state: state.map(|it| it.get().to_owned()) });
        }
        if subscription.is_some() {
            return Err(not_understood());
        }
        match (subscribe, unsubscribe, auth, resume) {
            (Some(topic), None, None, None) => Ok(Self::Subscribe(Wanted { topic, filter, delta })),
            _ if filter.is_some() || delta => Err(not_understood()),
            (None, Some(which), None, None) => Ok(Self::Unsubscribe(which)),
            (None, None, Some(token), None) => Ok(Self::Auth(token)),
            (None, None, None, Some(Last::Id(id))) => Ok(Self::Resume(id)),
            (None, None, None, Some(Last::Number(seq))) => Ok(Self::Resume(seq.to_string())),
            _ => Err(not_understood()),
        }
    }
}

fn not_understood() -> Problem {
    let detail = "must be an object with one of `subscribe` (with or without `filter` and `delta`), `unsubscribe`, `auth`, \
                  `resume` and `presence` (with `subscription`), once: a topic, a number or a topic, a token, the id of \
                  an event, an object or null";
    Problem::invalid(vec![Fault::new("", "members", detail)])
}

pub(super) fn subscribed(number: u32, topic: &str, id: &EventId) -> Value {
    json!({ "subscribed": number, "topic": topic, "id": id.to_string() })
}

pub(super) fn unsubscribed(numbers: &[u32]) -> Value {
    json!({ "unsubscribed": numbers })
}

pub(super) fn signed_in(caller: &Caller, until: Option<Timestamp>) -> Value {
    json!({ "signedIn": caller.user_id().map(|it| it.to_string()), "until": until.map(|it| it.to_string()) })
}

pub(super) fn resumed(id: &EventId) -> Value {
    json!({ "resumed": id.to_string() })
}

pub(super) fn refused(problem: Problem, request_id: &str) -> Value {
    json!({ "problem": told(problem, request_id) })
}

/// A subscription that ended without having been ended.
pub(super) fn ended(number: u32, topic: &str, problem: Problem, request_id: &str) -> Value {
    json!({ "ended": number, "topic": topic, "problem": told(problem, request_id) })
}

fn told(problem: Problem, request_id: &str) -> Value {
    use poem_openapi::types::ToJSON;
    problem.document(request_id.to_owned()).to_json().unwrap_or_default()
}

/// An event, or a gap, as one subscription has it.
pub(super) fn event(number: u32, members: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(members.len() + 32);
    out.extend_from_slice(b"{\"subscription\":");
    out.extend_from_slice(number.to_string().as_bytes());
    out.push(b',');
    out.extend_from_slice(members);
    out.push(b'}');
    out
}

/// Something is missing, whatever is subscribed to.
pub(super) fn gap(epoch: &Epoch, seq: i64) -> Value {
    json!({ "seq": seq, "id": epoch.id(seq).to_string(), "type": "gap" })
}

/// It was not told who came and went: whoever says again that they are there is told who is.
pub(super) fn presence_gap() -> Value {
    json!({ "presence": "gap" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_one_thing() {
        let said = |text: &str| Said::read(text).map_err(|it| it.kind.code);
        let wanted = |filter: Option<&str>, delta| {
            let filter = filter.map(ToOwned::to_owned);
            Said::Subscribe(Wanted { topic: "collections/a".to_owned(), filter, delta })
        };
        let subscribe = |filter| wanted(filter, false);
        assert_eq!(said(r#"{"subscribe":"collections/a"}"#), Ok(subscribe(None)));
        assert_eq!(said(r#"{"subscribe":"collections/a","filter":"b"}"#), Ok(subscribe(Some("b"))));
        assert_eq!(said(r#"{"subscribe":"collections/a","delta":true}"#), Ok(wanted(None, true)));
        assert_eq!(said(r#"{"unsubscribe":1}"#), Ok(Said::Unsubscribe(Which::Number(1))));
        assert_eq!(said(r#"{"unsubscribe":"a"}"#), Ok(Said::Unsubscribe(Which::Topic("a".to_owned()))));
        assert_eq!(said(r#"{"resume":"a.1"}"#), Ok(Said::Resume("a.1".to_owned())));
        assert_eq!(said(r#"{"resume":7}"#), Ok(Said::Resume("7".to_owned())));
        let presence =
            |state: Option<&str>| Ok(Said::Presence { subscription: 1, state: state.map(ToOwned::to_owned) });
        assert_eq!(said(r#"{"presence":{"at":7},"subscription":1}"#), presence(Some(r#"{"at":7}"#)));
        assert_eq!(said(r#"{"presence":null,"subscription":1}"#), presence(None));
        for (text, code) in [
            ("", "malformed-request"),
            ("{", "malformed-request"),
            ("[]", "validation-failed"),
            (r#"["collections/a",null,null,null,null]"#, "validation-failed"),
            ("{}", "validation-failed"),
            (r#"{"subscribe":1}"#, "validation-failed"),
            (r#"{"subscrib":"collections/a"}"#, "validation-failed"),
            (r#"{"subscribe":"a","subscribe":"b"}"#, "validation-failed"),
            (r#"{"subscribe":"a","auth":"b"}"#, "validation-failed"),
            (r#"{"auth":"b","filter":"c"}"#, "validation-failed"),
            (r#"{"auth":"b","delta":true}"#, "validation-failed"),
            (r#"{"subscribe":"a","delta":1}"#, "validation-failed"),
            (r#"{"unsubscribe":-1}"#, "validation-failed"),
            (r#"{"presence":{}}"#, "validation-failed"),
            (r#"{"subscription":1}"#, "validation-failed"),
            (r#"{"subscribe":"a","subscription":1}"#, "validation-failed"),
            (r#"{"presence":{},"subscription":1,"auth":"b"}"#, "validation-failed"),
        ] {
            assert_eq!(said(text), Err(code), "{text}");
        }
    }
}
