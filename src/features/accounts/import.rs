//! Importing accounts from elsewhere: read line by line, judged one by one, written in batches.
//!
//! Memory holds one batch, whatever the length of the file. Passwords come as hashes that others made; see [`kept`].
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use poem::Body;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Map, Value as Json, json};

use super::api::{checked_email, checked_name};
use super::error::Error;
use super::import_api::UsersImportApi;
use super::model::User;
use super::users_api::must_be_given;
use super::{import_store, kept, store};
use crate::base::{TenantId, Timestamp};
use crate::db::{self, Class, Tx};
use crate::features::audit::{Action, Actor, Entry};
use crate::features::roles::RoleName;
use crate::http::input::Body as Document;
use crate::http::{BodyCap, Caller, Fault, Problem, Subject};

/// Accounts of one transaction at most.
const BATCH: usize = 500;
/// Longest line: no account has that much.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Largest file: more accounts than there are people.
const FILE_BYTES_MAX: u64 = 1 << 40;
/// Refused accounts that a report names. Who has more to mend starts with these.
const REFUSED_MAX: usize = 1_000;
/// The same at the command line, where a report is read by the line.
const REFUSED_OF_OPERATOR_MAX: usize = 100_000;
/// Tries of a batch while the database has more to do than it takes.
const TRIES_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(100);
/// The members of an account.
const MEMBERS: &[&str] = &["email", "name", "role", "tier", "emailVerified", "passwordHash", "createdAt", "disabled"];

/// What became of a file of accounts.
#[derive(Clone, Debug, Default, Object)]
#[oai(example, rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct UserImportReport {
    /// Accounts that are there now; with `dryRun`, that would be.
    pub imported: u64,
    /// Accounts that were not taken.
    pub refused: u64,
    /// The first 1,000 of these.
    pub errors: Vec<RefusedUser>,
    /// Why the import ended before the file did, if it did; what came before is imported.
    pub stopped: Option<String>,
}

impl Example for UserImportReport {
    fn example() -> Self {
        let errors = vec![Fault::new("/email", "taken", "has an account")];
        Self { imported: 999, refused: 1, errors: vec![RefusedUser { record: 43, line: 43, errors }], stopped: None }
    }
}

/// An account that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub struct RefusedUser {
    /// The how manieth account of the file it is, from 1.
    pub record: u64,
    /// The line that it stands on, from 1.
    pub line: u64,
    /// Everything that is wrong with it.
    pub errors: Vec<Fault>,
}

/// An account that was judged.
#[derive(Clone, Debug)]
pub(super) struct Row {
    record: u64,
    line: u64,
    pub user: User,
    /// Empty: it has no password.
    pub hash: String,
}

/// What became of a batch.
#[derive(Debug, Default)]
struct Written {
    imported: u64,
    refused: Vec<RefusedUser>,
}

impl UsersImportApi {
    /// Imports a file of accounts.
    pub(super) async fn import_file(
        &self,
        caller: &Caller,
        actor: Actor,
        body: Body,
        cap: Option<BodyCap>,
        dry_run: bool,
    ) -> Result<UserImportReport, Problem> {
        if let Some(cap) = &cap {
            cap.raise(FILE_BYTES_MAX);
        }
        let is_operator = *caller.subject() == Subject::Operator;
        let most = if is_operator { REFUSED_OF_OPERATOR_MAX } else { REFUSED_MAX };
        let mut file = Lines::new(body.into_bytes_stream());
        let mut twice = dry_run.then(Seen::default);
        let mut report = UserImportReport::default();
        loop {
            let batch = self.next_batch(&mut file, twice.as_mut()).await;
            let outcome = match batch {
                Ok((rows, refused)) if rows.is_empty() && refused.is_empty() => break,
                Ok((rows, refused)) => {
                    self.write(caller, &actor, rows, dry_run).await.map_err(Problem::from).map(|mut written| {
                        written.refused.extend(refused);
                        written
                    })
                }
                Err(problem) => Err(problem),
            };
            match outcome {
                Ok(Written { imported, refused }) => {
                    report.imported += imported;
                    report.refused += refused.len() as u64;
                    report.errors.extend(refused);
                    report.errors.sort_by_key(|it| it.record);
                    report.errors.truncate(most);
                }
                // Of what was done so far only the report tells.
                Err(problem) if 0 < report.imported + report.refused => {
                    report.stopped = Some(problem.detail);
                    break;
                }
                Err(problem) => return Err(problem),
            }
            if let Some(cap) = &cap {
                cap.got_further();
            }
        }
        if 0 < report.imported && !dry_run {
            // What an unknown address costs follows from how the passwords of accounts are kept.
            self.accounts.hashing.count_forms_or_tell(caller.tenant()).await;
        }
        Ok(report)
    }

    /// Reads and judges until there are enough accounts for a batch, or the file ends.
    async fn next_batch<S>(
        &self,
        file: &mut Lines<S>,
        mut twice: Option<&mut Seen>,
    ) -> Result<(Vec<Row>, Vec<RefusedUser>), Problem>
    where
        S: Stream<Item = Result<Bytes, std::io::Error>> + Unpin,
    {
        let (mut rows, mut refused) = (Vec::new(), Vec::new());
        while rows.len() + refused.len() < BATCH {
            let line = file.next().await.map_err(|it| Problem::from_body(&poem::error::ReadBodyError::Io(it)))?;
            let Some((line, text)) = line else { break };
            file.records += 1;
            let record = file.records;
            let judged = text.and_then(|it| self.judge(record, line, &it));
            let judged = judged.and_then(|row| {
                let is_new = twice.as_mut().is_none_or(|seen| seen.add(&row.user.email));
                if is_new { Ok(row) } else { Err(taken("is in the file twice")) }
            });
            match judged {
                Ok(row) => rows.push(row),
                Err(errors) => refused.push(RefusedUser { record, line, errors }),
            }
        }
        Ok((rows, refused))
    }

    fn judge(&self, record: u64, line: u64, text: &[u8]) -> Result<Row, Vec<Fault>> {
        let members = match Document::read(text) {
            Err(problem) => return Err(vec![Fault::new("", "malformed", problem.detail)]),
            Ok(Document { faults, .. }) if !faults.is_empty() => return Err(faults),
            Ok(Document { value: Json::Object(members), .. }) => members,
            Ok(_) => return Err(vec![Fault::new("", "type", "must be an object with the members of an account")]),
        };
        let mut faults = Vec::new();
        for name in members.keys().filter(|it| !MEMBERS.contains(&it.as_str())) {
            let pointer = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            faults.push(Fault::new(pointer, "unknown", format!("is no member of an account: {}", MEMBERS.join(", "))));
        }
        let mut members = Members { members, faults };
        let now = self.accounts.clock.now();
        let email = members.text("email").map(|it| checked_email(&it));
        if email.is_none() && !members.faults.iter().any(|it| it.pointer == "/email") {
            members.faults.push(Fault::new("/email", "required", "is missing"));
        }
        let name = members.text("name").map(|it| checked_name(&it));
        let role = members.text("role").map(|it| it.parse().map_err(|why: &str| Fault::new("/role", "role", why)));
        let tier = members.text("tier").map(checked_tier);
        let hash = members.text("passwordHash").map(|it| match kept::acceptable(&it) {
            Ok(()) => Ok(it),
            Err(why) => Err(Fault::new("/passwordHash", "hash", why)),
        });
        let created_at = members.text("createdAt");
        let created_at = created_at.map(|it| it.parse().map_err(|why: &str| Fault::new("/createdAt", "format", why)));
        let (email_verified, disabled) = (members.flag("emailVerified"), members.flag("disabled"));
        let email = members.sound(email);
        let name = members.sound(name);
        let role = members.sound(role);
        let tier = members.sound(tier);
        let hash = members.sound(hash);
        let created_at: Option<Timestamp> = members.sound(created_at);
        if created_at.is_some_and(|it| now < it) {
            members.faults.push(Fault::new("/createdAt", "range", "is in the future"));
        }
        if !members.faults.is_empty() {
            return Err(members.faults);
        }
        let user = User {
            id: self.accounts.random.id(&self.accounts.clock),
            email: email.unwrap_or_default(),
            email_verified,
            name: name.unwrap_or_default(),
            role: role.unwrap_or_else(RoleName::user),
            permissions: Vec::new(),
            tier,
            disabled_at: disabled.then_some(now),
            deleted_at: None,
            fields: None,
            usage_count: 0,
            created_at: created_at.unwrap_or(now),
            updated_at: now,
            last_sign_in_at: None,
            version: 1,
        };
        Ok(Row { record, line, user, hash: hash.unwrap_or_default() })
    }

    /// Writes a batch, or looks what would become of it.
    async fn write(&self, caller: &Caller, actor: &Actor, rows: Vec<Row>, dry_run: bool) -> Result<Written, Error> {
        let (tenant, now): (&TenantId, _) = (caller.tenant(), self.accounts.clock.now());
        let rows = std::sync::Arc::new(rows);
        for attempt in 1.. {
            let (giver, rows) = (caller.clone(), rows.clone());
            let outcome = if dry_run {
                let look = move |tx: &mut Tx<'_>| take(tx, &giver, &rows, import_store::is_free);
                self.accounts.db.read(tenant, look).await
            } else {
                let (actor, still_stands) = (actor.clone(), self.still_stands);
                let write = move |tx: &mut Tx<'_>| {
                    // Signing out is felt by what began before.
                    if !still_stands(tx, &giver, now)? {
                        return Err(Error::TokenInvalid);
                    }
                    let written = take(tx, &giver, &rows, import_store::insert)?;
                    if 0 < written.imported {
                        let after = json!({ "count": written.imported });
                        actor.append(tx, now, &Entry::new(Action::UsersImport).after(after))?;
                    }
                    // Once there is an admin, all setup links have done their work.
                    let is_admin = |it: &Row| it.user.role.is_admin() && it.user.disabled_at.is_none();
                    if 0 < written.imported && rows.iter().any(is_admin) && store::count_admins(tx)? != 0 {
                        store::delete_setup_links(tx)?;
                    }
                    Ok(written)
                };
                self.accounts.db.write_as(Class::BULK, tenant, write).await
            };
            match outcome {
                Err(Error::Db(db::Error::QueueFull)) if attempt < TRIES_MAX => tokio::time::sleep(PAUSE).await,
                outcome => return outcome,
            }
        }
        Err(Error::Db(db::Error::QueueFull))
    }
}

/// Takes the rows of a batch one by one. Tells of those whose address has an account, and whose role is not theirs to give.
fn take(
    tx: &mut Tx<'_>,
    giver: &Caller,
    rows: &[Row],
    mut one: impl FnMut(&mut Tx<'_>, &Row) -> Result<bool, db::Error>,
) -> Result<Written, Error> {
    let (mut written, mut roles) = (Written::default(), HashMap::<&str, Option<Vec<Fault>>>::new());
    for row in rows {
        let role = row.user.role.as_str();
        if !roles.contains_key(role) {
            let fault = match must_be_given(tx, giver, &row.user.role) {
                Ok(()) => None,
                Err(Error::Invalid(faults)) => Some(faults),
                Err(Error::Role(cause)) => Some(vec![Fault::new("/role", "permission-not-held", cause.to_string())]),
                Err(other) => return Err(other),
            };
            roles.insert(role, fault);
        }
        let errors = match roles.get(role).cloned().flatten() {
            Some(faults) => faults,
            None if one(tx, row)? => {
                written.imported += 1;
                continue;
            }
            None => taken("has an account"),
        };
        written.refused.push(RefusedUser { record: row.record, line: row.line, errors });
    }
    Ok(written)
}

fn taken(why: &str) -> Vec<Fault> {
    vec![Fault::new("/email", "taken", why)]
}

fn checked_tier(tier: String) -> Result<String, Fault> {
    let is_letter = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit();
    let is_word = tier.len() <= 40
        && tier.bytes().next().is_some_and(is_letter)
        && tier.bytes().all(|it| is_letter(it) || b"_-".contains(&it));
    let detail = "must be a word of up to 40 characters of `a-z`, `0-9`, `-` and `_`";
    if is_word { Ok(tier) } else { Err(Fault::new("/tier", "pattern", detail)) }
}

/// The members of one account, with what is wrong with them.
struct Members {
    members: Map<String, Json>,
    faults: Vec<Fault>,
}

impl Members {
    /// A text, if it is there; `null` is nothing.
    fn text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name)? {
            Json::Null => None,
            Json::String(text) => Some(text),
            _ => {
                self.faults.push(Fault::new(format!("/{name}"), "type", "must be a text"));
                None
            }
        }
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.members.remove(name) {
            None | Some(Json::Null) => false,
            Some(Json::Bool(flag)) => flag,
            Some(_) => {
                self.faults.push(Fault::new(format!("/{name}"), "type", "must be true or false"));
                false
            }
        }
    }

    fn sound<T>(&mut self, judged: Option<Result<T, Fault>>) -> Option<T> {
        judged?.map_err(|fault| self.faults.push(fault)).ok()
    }
}

/// Which addresses were in the file before, for a look that writes nothing: eight bytes each.
#[derive(Default)]
struct Seen(HashSet<u64>, RandomState);

impl Seen {
    /// More addresses than this are not remembered, so that a file without an end takes no memory without one.
    const MOST: usize = 4_000_000;

    fn add(&mut self, email: &str) -> bool {
        Self::MOST <= self.0.len() || self.0.insert(self.1.hash_one(email))
    }
}

/// The lines of a file on its way in.
struct Lines<S> {
    bytes: S,
    part: Vec<u8>,
    rest: Bytes,
    line: u64,
    /// That came out of it so far.
    records: u64,
    ended: bool,
}

type Line = (u64, Result<Vec<u8>, Vec<Fault>>);

impl<S: Stream<Item = Result<Bytes, std::io::Error>> + Unpin> Lines<S> {
    fn new(bytes: S) -> Self {
        Self { bytes, part: Vec::new(), rest: Bytes::new(), line: 0, records: 0, ended: false }
    }

    /// The next line that is not empty, with its number.
    async fn next(&mut self) -> Result<Option<Line>, std::io::Error> {
        let mut is_too_long = false;
        loop {
            let end = memchr::memchr(b'\n', &self.rest);
            let taken = self.rest.split_to(end.unwrap_or(self.rest.len()));
            is_too_long |= LINE_BYTES_MAX < self.part.len() + taken.len();
            if is_too_long {
                self.part.clear();
            } else {
                self.part.extend_from_slice(&taken);
            }
            if end.is_some() {
                let _ = self.rest.split_to(1);
            } else if !self.ended {
                match self.bytes.next().await {
                    Some(more) => self.rest = more?,
                    None => self.ended = true,
                }
                continue;
            }
            self.line += 1;
            let mut text = std::mem::take(&mut self.part);
            if self.line == 1 && text.starts_with("\u{feff}".as_bytes()) {
                text.drain(..3);
            }
            if is_too_long {
                let detail = format!("a line has at most {LINE_BYTES_MAX} bytes");
                return Ok(Some((self.line, Err(vec![Fault::new("", "malformed", detail)]))));
            }
            if !text.trim_ascii().is_empty() {
                return Ok(Some((self.line, Ok(text))));
            }
            if self.ended && self.rest.is_empty() {
                return Ok(None);
            }
        }
    }
}
