//! The audit trail: who did what, when and from where, so that it cannot be changed unnoticed.
//!
//! An endpoint takes a [`Trail`] beside its caller, makes an [`Actor`] of both, and appends an [`Entry`] in the
//! transaction of the deed itself:
//!
//! ```text
//! let actor = trail.of(&caller);
//! db.write(tenant, move |tx| {
//!     store::set_name(tx, user, &name, now)?;
//!     actor.append(tx, now, &Entry::new(Action::ProfileChange).about("user", &user).after(json!({ "name": name })))
//! })
//! ```
//!
//! So the trail never tells of what was undone, and misses nothing that was done. What can be done is one table
//! (`action.rs`). Only what was changed is told, never a secret, and no more than some kilobytes of it.
//!
//! # The chain
//!
//! Entries are numbered from 1 without gaps, and each has the hash of the one before. The hash of an entry is SHA-256 of
//! the bytes `steading-audit-1` and a line feed, and after them its members in this order: `seq`, `at`, `actorKind`,
//! `actorId`, `actorEmail`, `action`, `resourceKind`, `resourceId`, `before`, `after`, `address`, `userAgent`,
//! `requestId`, `outcome`, `reason`, `totalBytes`, `previousHash`. A member that is null is one byte 0. Any other is one
//! byte 1, the number of its bytes as eight bytes (the highest first), and its text in UTF-8, as it stands in the NDJSON
//! of an export: numbers in decimal, `at` in UTC with milliseconds, hashes in 64 small hexadecimal digits, `before` and
//! `after` as the JSON that they are. The first entry has 64 zeros as `previousHash`.
//!
//! Whoever can write the file could still remove the newest entries, or make the whole chain anew. So once a day the
//! server signs where the trail stands, with a key that is in another file, and keeps that there (`checkpoint.rs`); and an
//! operator can keep number and hash of the newest entry elsewhere. What the server itself removes for its age it signs
//! too (`sweep.rs`): verification begins after it, and a beginning that was cut off is found.
mod action;
mod activity;
mod api;
mod chain;
mod checkpoint;
mod entry;
mod export;
mod filter;
mod model;
mod refusals;
mod seal;
mod store;
mod sweep;
mod terms;
#[cfg(test)]
mod tests;
mod trail;
mod verify;

pub use action::Action;
pub use activity::{Part, activity, count_activity, sentence};
pub use api::{AuditApi, Running};
pub use checkpoint::worker as checkpoint_worker;
pub use entry::Entry;
pub use model::{AUDIT_READ, AuditEntry};
pub use refusals::Refusals;
pub use seal::Seal;
pub use sweep::{Keep, worker};
pub use terms::TERMS;
pub use trail::{Actor, Trail};
