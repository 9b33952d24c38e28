//! What is said of a deed, and how much of it is kept.
use std::fmt::Display;

use serde_json::{Map, Value, json};

use super::action::Action;
use super::model::Outcome;

/// Most bytes of what was before, and of what is after. A trail of entries that are larger would be a second database.
const VALUE_BYTES_MAX: usize = 16 << 10;
/// The same while the disk is nearly full: what frees room must not take as much for its traces.
const SHORT_BYTES_MAX: usize = 1 << 10;
/// Of what would be larger, members up to this size are told.
const MEMBER_BYTES_MAX: usize = 512;
/// Most bytes of the id of a resource: those of a collection and a record, and more.
const RESOURCE_BYTES_MAX: usize = 200;

/// What is said of a deed. Who did it, when and from where is added by [`super::Actor::append`].
///
/// No secret is ever put into one: no password, no hash of one, no token, no link.
#[derive(Clone, Debug)]
pub struct Entry {
    pub(super) action: Action,
    pub(super) resource: Option<(&'static str, String)>,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
    pub(super) outcome: Outcome,
    pub(super) reason: Option<&'static str>,
}

impl Entry {
    pub fn new(action: Action) -> Self {
        Self { action, resource: None, before: None, after: None, outcome: Outcome::Done, reason: None }
    }

    /// What it was done to: a kind of thing, in a few small letters, and which one.
    pub fn about(self, kind: &'static str, id: &dyn Display) -> Self {
        let mut id = id.to_string();
        id.truncate(id.floor_char_boundary(RESOURCE_BYTES_MAX));
        Self { resource: Some((kind, id)), ..self }
    }

    /// What it was like before; only what was changed.
    pub fn before(self, before: Value) -> Self {
        Self { before: Some(before), ..self }
    }

    /// What it is like now; only what was changed.
    pub fn after(self, after: Value) -> Self {
        Self { after: Some(after), ..self }
    }

    /// It was not done, for the reason that a problem's code tells.
    pub fn refused(self, reason: &'static str) -> Self {
        Self { outcome: Outcome::Refused, reason: Some(reason), ..self }
    }
}

/// A value as it is kept: whole, or without its large members.
pub(super) fn kept(value: &Value, is_short_of_room: bool) -> String {
    let bytes_max = if is_short_of_room { SHORT_BYTES_MAX } else { VALUE_BYTES_MAX };
    let text = value.to_string();
    if text.len() <= bytes_max {
        return text;
    }
    let omitted = |bytes: usize| json!({ "omittedBytes": bytes });
    let Value::Object(members) = value else { return omitted(text.len()).to_string() };
    let short = |(name, value): (&String, &Value)| {
        let bytes = value.to_string().len();
        (name.clone(), if bytes <= MEMBER_BYTES_MAX { value.clone() } else { omitted(bytes) })
    };
    let shortened = Value::Object(members.iter().map(short).collect::<Map<_, _>>()).to_string();
    if shortened.len() <= bytes_max { shortened } else { omitted(text.len()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_told_without_its_large_members() {
        let value = json!({ "name": "Ada", "text": "x".repeat(VALUE_BYTES_MAX) });
        let bytes = VALUE_BYTES_MAX + 2;

        assert_eq!(kept(&value, false), format!(r#"{{"name":"Ada","text":{{"omittedBytes":{bytes}}}}}"#));
        assert_eq!(kept(&json!({ "a": 1 }), true), r#"{"a":1}"#);
        let many: Map<String, Value> = (0..10_000).map(|it| (it.to_string(), it.into())).collect();
        assert!(kept(&many.into(), false).starts_with(r#"{"omittedBytes":"#));
        let list = json!(["x".repeat(SHORT_BYTES_MAX)]);
        assert!(kept(&list, true).starts_with(r#"{"omittedBytes":"#) && kept(&list, false).starts_with("[\"x"));
    }

    #[test]
    fn the_name_of_a_thing_is_cut_between_characters() {
        let entry = Entry::new(Action::SignIn).about("user", &"ü".repeat(150));

        assert_eq!(entry.resource.map(|(_, id)| id.chars().count()), Some(100));
    }
}
