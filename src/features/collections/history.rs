//! What collections were: an entry for each change of each, kept in the transaction of the change itself.
use std::collections::BTreeSet;

use poem_openapi::types::{Any, Example};
use poem_openapi::{Enum, Object};
use serde_json::{Map, Value, json};

use super::model::{Collection, CollectionId};
use super::{canonical, history_store};
use crate::base::{Id, Timestamp, UserId};
use crate::db::{self, Tx};
use crate::features::audit::{Action, Actor, Entry, Trail};
use crate::http::paging::ListMeta;
use crate::http::{Caller, Subject};

/// Room that the whole history takes at most, whatever the settings say: some collections take a megabyte each.
pub(super) const BYTES_MAX: i64 = 64 << 20;
/// For so many changes it is remembered that the file of a collection which is gone may still be there.
const OLD_NAMES_KEPT: i64 = 1_000;
/// Deepest place that a difference is told of; what is below it is told as a whole.
const DEPTH_MAX: usize = 6;

/// What happened to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum SchemaChangeKind {
    Created,
    Changed,
    /// It has another name now, and may have been changed besides.
    Renamed,
    Dropped,
}

/// How a change came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum SchemaSource {
    /// By the endpoints of the one collection.
    Api,
    /// With a whole set: `POST /collections/import`, or `steading schema push`.
    Import,
    /// From the files of the server, at its start.
    Files,
}

/// A change of one collection.
#[derive(Clone, Debug, PartialEq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct SchemaChange {
    /// Counts the changes of all collections, from 1.
    pub version: i64,
    /// Changes that were made in one go have the same number here.
    pub generation: i64,
    pub collection_id: CollectionId,
    /// Its name after the change; of one that was dropped, the last one.
    pub collection: String,
    pub kind: SchemaChangeKind,
    pub source: SchemaSource,
    /// The id of an account; `operator` for the command line on the server's own machine; `server` for its files.
    pub author: String,
    pub created_at: Timestamp,
}

/// One thing that a change changed.
#[derive(Clone, Debug, PartialEq, Object)]
pub struct SchemaDifference {
    /// Where, in words that people read: `fields.title.max`. Fields are named, not numbered.
    pub at: String,
    /// As it was; null if there was nothing.
    pub before: Any<Value>,
    /// As it is; null if there is nothing.
    pub after: Any<Value>,
}

/// A change of one collection, with all that it changed.
#[derive(Clone, Debug, PartialEq, Object)]
#[oai(example)]
pub struct SchemaChangeInFull {
    pub change: SchemaChange,
    /// The collection as it was, in the form of `GET /collections/export`; null if it was made by this change.
    pub before: Any<Value>,
    /// The collection as it was then; null if it was dropped.
    pub after: Any<Value>,
    /// What differs between the two.
    pub diff: Vec<SchemaDifference>,
}

/// Changes of collections, newest first.
#[derive(Debug, Object)]
#[oai(example)]
pub struct SchemaHistory {
    pub data: Vec<SchemaChange>,
    pub meta: ListMeta,
}

/// Who changes collections, and how.
#[derive(Clone, Debug)]
pub struct Author {
    pub source: SchemaSource,
    pub account: Option<UserId>,
    actor: Actor,
}

/// What is remembered of a change of one collection.
#[derive(Debug)]
pub(super) struct Happened<'a> {
    pub before: Option<&'a Collection>,
    pub after: Option<&'a Collection>,
}

impl SchemaChangeKind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Renamed => "renamed",
            Self::Dropped => "dropped",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Created, Self::Changed, Self::Renamed, Self::Dropped].into_iter().find(|it| it.name() == name)
    }
}

impl SchemaSource {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Import => "import",
            Self::Files => "files",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        [Self::Api, Self::Import, Self::Files].into_iter().find(|it| it.name() == name)
    }
}

impl Author {
    pub fn of(caller: &Caller, trail: &Trail, source: SchemaSource) -> Self {
        let account = match caller.subject() {
            Subject::User { id, .. } => Some(*id),
            Subject::Key { owner, .. } => *owner,
            Subject::Operator | Subject::Stranger => None,
        };
        Self { source, account, actor: trail.of(caller) }
    }

    /// The server itself, at its start.
    pub fn files() -> Self {
        Self { source: SchemaSource::Files, account: None, actor: Actor::server() }
    }

    pub(super) fn name(&self) -> String {
        match (self.account, self.source) {
            (Some(id), _) => id.to_string(),
            (None, SchemaSource::Files) => "server".to_owned(),
            (None, _) => "operator".to_owned(),
        }
    }
}

impl Happened<'_> {
    /// What this is called; nothing if there is neither a before nor an after.
    fn kind(&self) -> Option<SchemaChangeKind> {
        Some(match (self.before, self.after) {
            (None, None) => return None,
            (None, Some(_)) => SchemaChangeKind::Created,
            (Some(_), None) => SchemaChangeKind::Dropped,
            (Some(before), Some(after)) if before.name != after.name => SchemaChangeKind::Renamed,
            (Some(_), Some(_)) => SchemaChangeKind::Changed,
        })
    }
}

impl Happened<'_> {
    /// What the audit trail is told: of a change only what differs, each where it is.
    fn entry(&self) -> Option<Entry> {
        let about = |action, of: &Collection| Entry::new(action).about("collection", &of.name);
        Some(match (self.before, self.after) {
            (None, None) => return None,
            (None, Some(after)) => about(Action::CollectionCreate, after).after(canonical::of(after)),
            (Some(before), None) => about(Action::CollectionDrop, before).before(canonical::of(before)),
            (Some(before), Some(after)) => {
                let differences = differences(&canonical::of(before), &canonical::of(after));
                let values = |of: fn(&SchemaDifference) -> &Value| -> Value {
                    differences.iter().map(|it| (it.at.clone(), of(it).clone())).collect::<Map<_, _>>().into()
                };
                let entry = about(Action::CollectionChange, before);
                entry.before(values(|it| &it.before.0)).after(values(|it| &it.after.0))
            }
        })
    }
}

/// Remembers changes that are made in this transaction, after their generation was counted, and forgets the oldest.
/// The audit trail is told of them too.
pub(super) fn remember(
    tx: &mut Tx<'_>,
    happened: &[Happened<'_>],
    author: &Author,
    now: Timestamp,
    keep_max: u64,
) -> Result<(), db::Error> {
    let generation = super::store::generation(tx)?;
    for it in happened {
        let (Some(kind), Some(last)) = (it.kind(), it.after.or(it.before)) else { continue };
        let text = |it: Option<&Collection>| it.map(|it| canonical::of(it).to_string());
        let (before, after) = (text(it.before), text(it.after));
        let row = history_store::NewRow {
            generation,
            collection: last,
            name_before: it.before.map(|it| it.name.as_str()),
            kind: kind.name(),
            source: author.source.name(),
            author: &author.name(),
            before: before.as_deref(),
            after: after.as_deref(),
            at: now,
        };
        history_store::insert(tx, &row)?;
        if let Some(entry) = it.entry() {
            author.actor.append(tx, now, &entry)?;
        }
        let names = [it.before, it.after].into_iter().flatten().map(|it| it.name.as_str());
        for name in names.collect::<BTreeSet<_>>() {
            history_store::put_behind(tx, name, generation)?;
        }
    }
    history_store::forget_behind(tx, generation - OLD_NAMES_KEPT)?;
    history_store::forget(tx, i64::try_from(keep_max).unwrap_or(i64::MAX), BYTES_MAX)
}

/// What differs between a collection as it was and as it is.
pub(super) fn differences(before: &Value, after: &Value) -> Vec<SchemaDifference> {
    let mut found = Vec::new();
    differ("", &by_name(before), &by_name(after), DEPTH_MAX, &mut found);
    found
}

/// Most differences that are told in one line, and the most of a value that is.
const TOLD_MAX: usize = 10;
const VALUE_CHARACTERS_MAX: usize = 80;

/// What differs, for a line of a log.
pub fn in_words(before: &Value, after: &Value) -> String {
    let found = differences(before, after);
    let value = |it: &Value| {
        let text = it.to_string();
        match text.char_indices().nth(VALUE_CHARACTERS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    };
    let one = |it: &SchemaDifference| format!("{}: {} becomes {}", it.at, value(&it.before.0), value(&it.after.0));
    let mut told: Vec<_> = found.iter().take(TOLD_MAX).map(one).collect();
    if TOLD_MAX < found.len() {
        told.push(format!("and {} more", found.len() - TOLD_MAX));
    }
    told.join("; ")
}

fn differ(at: &str, before: &Value, after: &Value, depth: usize, found: &mut Vec<SchemaDifference>) {
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new), 1..) = (before, after, depth) {
        let names = old.keys().chain(new.keys().filter(|it| !old.contains_key(*it)));
        for name in names {
            let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            let get = |of: &Map<String, Value>| of.get(name).cloned().unwrap_or_default();
            differ(&at, &get(old), &get(new), depth - 1, found);
        }
        return;
    }
    let at = if at.is_empty() { "collection" } else { at };
    found.push(SchemaDifference { at: at.to_owned(), before: Any(before.clone()), after: Any(after.clone()) });
}

/// A collection with its fields by their names, so that one that is added does not change all that follow.
fn by_name(collection: &Value) -> Value {
    let mut collection = collection.clone();
    if let Some(Value::Array(fields)) = collection.get_mut("fields") {
        let order: Value = fields.iter().map(|it| it["name"].clone()).collect();
        let named = fields.drain(..).map(|mut field| {
            let name = field["name"].as_str().unwrap_or_default().to_owned();
            if let Some(field) = field.as_object_mut() {
                field.shift_remove("name");
            }
            (name, field)
        });
        collection["fields"] = named.collect::<Map<_, _>>().into();
        collection["order"] = order;
    }
    collection
}

impl Example for SchemaChange {
    fn example() -> Self {
        Self {
            version: 12,
            generation: 9,
            collection_id: Id::example(),
            collection: "posts".to_owned(),
            kind: SchemaChangeKind::Changed,
            source: SchemaSource::Import,
            author: Id::<()>::example().to_string(),
            created_at: Timestamp::example(),
        }
    }
}

impl Example for SchemaChangeInFull {
    fn example() -> Self {
        let posts = |max: u64| {
            json!({
                "name": "posts",
                "fields": [{ "name": "title", "type": "text", "max": max }],
                "rules": { "list": "true", "view": "true", "create": null, "update": null, "delete": null },
            })
        };
        let (before, after) = (posts(100), posts(200));
        let diff = differences(&before, &after);
        Self { change: SchemaChange::example(), before: Any(before), after: Any(after), diff }
    }
}

impl Example for SchemaHistory {
    fn example() -> Self {
        Self { data: vec![SchemaChange::example()], meta: ListMeta::example() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_where_it_is_and_nowhere_else() {
        let field = |name: &str, max: u64| json!({ "name": name, "type": "text", "max": max });
        let before = json!({ "name": "a", "fields": [field("x", 1), field("y", 2)], "rules": { "list": null } });
        let after = json!({ "name": "a", "fields": [field("new", 3), field("y", 5)], "rules": { "list": "true" } });

        let found = differences(&before, &after);

        let told: Vec<_> = found.iter().map(|it| (it.at.as_str(), it.before.0.clone(), it.after.0.clone())).collect();
        let content = |max: u64| json!({ "type": "text", "max": max });
        assert_eq!(
            told,
            [
                ("fields.x", content(1), Value::Null),
                ("fields.y.max", json!(2), json!(5)),
                ("fields.new", Value::Null, content(3)),
                ("rules.list", Value::Null, json!("true")),
                ("order", json!(["x", "y"]), json!(["new", "y"])),
            ]
        );
        assert_eq!(differences(&before, &before), []);
    }
}
