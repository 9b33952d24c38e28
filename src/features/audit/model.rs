//! The things: entries of the trail, its head, and what following it finds.
use poem_openapi::types::{Any, Example};
use poem_openapi::{Enum, Object};
use serde_json::{Value, json};

use super::action::Action;
use super::chain::{self, Hash, NOTHING_BEFORE};
use crate::base::{Id, Timestamp, UserId};
use crate::http::Permission;
use crate::http::paging::ListMeta;

pub const AUDIT_READ: Permission = Permission("audit:read");

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum Outcome {
    Done,
    /// It was tried, and nothing came of it.
    Refused,
}

/// What sort of actor someone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum ActorKind {
    /// Someone with an account.
    User,
    /// A program with an API key.
    Key,
    /// Whoever runs the server, at its own machine.
    Operator,
    /// The server, by itself.
    Server,
    /// Someone who is not signed in.
    Stranger,
}

impl Outcome {
    pub(super) const ALL: [Self; 2] = [Self::Done, Self::Refused];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
        }
    }
}

impl ActorKind {
    pub(super) const ALL: [Self; 5] = [Self::User, Self::Key, Self::Operator, Self::Server, Self::Stranger];

    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Key => "key",
            Self::Operator => "operator",
            Self::Server => "server",
            Self::Stranger => "stranger",
        }
    }
}

/// An entry as it is kept. What should be one of a few words is a text here: a trail that was tampered with is read too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub seq: i64,
    pub at: Timestamp,
    pub actor_kind: String,
    pub actor_id: Option<String>,
    pub actor_email: Option<String>,
    pub action: String,
    pub resource_kind: Option<String>,
    pub resource_id: Option<String>,
    pub before: Option<String>,
    pub after: Option<String>,
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    pub outcome: String,
    pub reason: Option<String>,
    pub total_bytes: i64,
    pub previous_hash: Hash,
    pub hash: Hash,
}

/// An entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number, from 1: one more than that of the entry before.
    pub seq: i64,
    pub at: Timestamp,
    /// `user`, `key`, `operator` (at the server's own machine), `server` (by itself) or `stranger`.
    pub actor_kind: String,
    /// The id of the account or the key.
    pub actor_id: Option<String>,
    /// The address that the account had then.
    pub actor_email: Option<String>,
    /// What was done, such as `auth.sign-in`.
    pub action: String,
    /// The kind of thing that it was done to, such as `user`.
    pub resource_kind: Option<String>,
    /// Which one: an id, the name of a collection, or `posts/0190b6a4-…` for a record.
    pub resource_id: Option<String>,
    /// What was changed, as it was.
    pub before: Any<Value>,
    /// What was changed, as it is since.
    pub after: Any<Value>,
    /// The address of the client; null at the server's own machine.
    pub address: Option<String>,
    pub user_agent: Option<String>,
    pub request_id: Option<String>,
    /// `done` or `refused`.
    pub outcome: String,
    /// Why it was refused: the code of the problem.
    pub reason: Option<String>,
    /// Bytes of all entries up to this one, by which the room for the trail is measured.
    pub total_bytes: i64,
    /// The hash of the entry before; zeros for the first one.
    pub previous_hash: String,
    /// SHA-256 of all that stands before it here.
    pub hash: String,
}

/// A page of the audit trail, newest first.
#[derive(Debug, Object)]
#[oai(example)]
pub struct AuditPage {
    pub data: Vec<AuditEntry>,
    pub meta: ListMeta,
}

/// The newest entry of the audit trail. Whoever has it can tell later whether anything before it was changed.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct AuditHead {
    /// Its number; 0 if there is no entry yet.
    pub seq: i64,
    /// Its hash; zeros if there is none.
    pub hash: String,
    /// What the server signed last.
    pub checkpoint: Option<AuditCheckpoint>,
    /// The key that it signs with (Ed25519, 32 bytes, hex).
    pub public_key: String,
}

/// What the newest entry was at some moment, signed by the server. It is kept in another file than the trail.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase")]
pub struct AuditCheckpoint {
    pub seq: i64,
    pub hash: String,
    pub at: Timestamp,
    /// Ed25519, 64 bytes, hex.
    pub signature: String,
}

/// What to verify.
#[derive(Clone, Debug, Default, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct NewVerification {
    /// Go on after this entry: `checkedTo` of the answer before. Absent: from the oldest one.
    pub after: Option<i64>,
    /// An entry that must be there: its number, a colon, and its hash, as `GET /admin/audit/head` gave them once.
    #[oai(validator(max_length = 100))]
    pub expect: Option<String>,
}

/// What following the chain found.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct Verification {
    /// Entries that were looked at in this request.
    pub entries: u64,
    /// The last one that was looked at: `after` of the next request, unless `isComplete`.
    pub checked_to: i64,
    /// Whether that is the end of the trail.
    pub is_complete: bool,
    /// Up to which entry the trail was removed for its age or its room; 0 if nothing was.
    pub removed_to: i64,
    /// Whether nothing is wrong with what was looked at.
    pub is_whole: bool,
    /// What is wrong, in the order of the entries; at most 50.
    pub flaws: Vec<Flaw>,
    /// Whether the entry that was expected is too old to be there, so that nothing can be said of it.
    pub expected_is_removed: bool,
}

/// A place where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub struct Flaw {
    /// The entry that is wrong, or the first of those that are missing.
    pub seq: i64,
    pub kind: FlawKind,
    /// What is wrong, for people.
    pub detail: String,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum FlawKind {
    /// It is not what it was when it was written.
    Changed,
    Missing,
    /// It stands where none was.
    Added,
    /// It is sound in itself, and another one than was there.
    Rewritten,
}

impl Kept {
    pub(super) fn shown(self) -> AuditEntry {
        let json = |it: Option<String>| Any(it.and_then(|it| serde_json::from_str(&it).ok()).unwrap_or(Value::Null));
        AuditEntry {
            seq: self.seq,
            at: self.at,
            actor_kind: self.actor_kind,
            actor_id: self.actor_id,
            actor_email: self.actor_email,
            action: self.action,
            resource_kind: self.resource_kind,
            resource_id: self.resource_id,
            before: json(self.before),
            after: json(self.after),
            address: self.address,
            user_agent: self.user_agent,
            request_id: self.request_id,
            outcome: self.outcome,
            reason: self.reason,
            total_bytes: self.total_bytes,
            previous_hash: chain::hex(&self.previous_hash),
            hash: chain::hex(&self.hash),
        }
    }

    /// Bytes that it takes, roughly: its texts, its hashes, its numbers, and what the indexes have of it.
    pub(super) fn bytes(&self) -> i64 {
        let texts = [
            &self.actor_id,
            &self.actor_email,
            &self.resource_kind,
            &self.resource_id,
            &self.before,
            &self.after,
            &self.address,
            &self.user_agent,
            &self.request_id,
            &self.reason,
        ];
        let optional: usize = texts.into_iter().flatten().map(String::len).sum();
        let fixed = self.actor_kind.len() + self.action.len() + self.outcome.len();
        i64::try_from(ROW_BYTES + optional + fixed).unwrap_or(i64::MAX)
    }
}

/// What a row takes beside its texts, roughly.
const ROW_BYTES: usize = 200;

impl Example for AuditEntry {
    fn example() -> Self {
        let id = UserId::example().to_string();
        let mut kept = Kept {
            seq: 1,
            at: Timestamp::example(),
            actor_kind: ActorKind::User.name().to_owned(),
            actor_id: Some(id.clone()),
            actor_email: Some("ada@example.com".to_owned()),
            action: Action::ProfileChange.name().to_owned(),
            resource_kind: Some("user".to_owned()),
            resource_id: Some(id),
            before: Some(json!({ "name": "" }).to_string()),
            after: Some(json!({ "name": "Ada" }).to_string()),
            address: Some("192.0.2.7".to_owned()),
            user_agent: Some("curl/8.14.1".to_owned()),
            request_id: Some(Id::<()>::example().to_string()),
            outcome: Outcome::Done.name().to_owned(),
            reason: None,
            total_bytes: 0,
            previous_hash: NOTHING_BEFORE,
            hash: NOTHING_BEFORE,
        };
        kept.total_bytes = kept.bytes();
        kept.hash = chain::hash(&kept);
        kept.shown()
    }
}

impl Example for AuditPage {
    fn example() -> Self {
        Self { data: vec![AuditEntry::example()], meta: ListMeta::example() }
    }
}

impl Example for AuditHead {
    fn example() -> Self {
        let AuditEntry { seq, hash, at, .. } = AuditEntry::example();
        let checkpoint = AuditCheckpoint { seq, hash: hash.clone(), at, signature: "1b".repeat(64) };
        Self { seq, hash, checkpoint: Some(checkpoint), public_key: "d7".repeat(32) }
    }
}

impl Example for NewVerification {
    fn example() -> Self {
        Self::default()
    }
}

impl Example for Verification {
    fn example() -> Self {
        Self {
            entries: 1_234,
            checked_to: 1_234,
            is_complete: true,
            removed_to: 0,
            is_whole: true,
            flaws: Vec::new(),
            expected_is_removed: false,
        }
    }
}
