//! Accounts as other servers export them, turned into the lines that `users import` sends.
//!
//! A file is read record by record on a thread of its own, so that its length takes no memory. Each record becomes one
//! line, or an empty one if it is left out: so the line that the server names is the place of the record in the file. What
//! does not fit is sent as it is, for the server to refuse with a reason. Roles and tiers are not taken over.
mod file;
mod firebase;
mod record;

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use bytes::Bytes;
use clap::ValueEnum;
use futures_util::stream;
use indicatif::ProgressBar;
use poem::Body;
use serde_json::{Map, Value};
use tokio::sync::mpsc;

pub(super) use self::firebase::Project;
use self::record::Record;
use super::transfer::bar;
use crate::base::Timestamp;

/// Bytes of lines that are sent at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait to be sent at most.
const CHUNKS_MAX: usize = 4;

/// Who exported a file of accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Origin {
    /// `firebase auth:export users.json`.
    Firebase,
    /// The rows of `auth.users`, as JSON or CSV.
    Supabase,
    /// An export of users or of their password hashes, as NDJSON, JSON or CSV.
    Auth0,
    /// The rows of `users`, as JSON or CSV.
    Pocketbase,
}

/// How a file is turned into lines.
pub(super) struct Conversion {
    pub origin: Origin,
    /// How the passwords of a Firebase project are hashed.
    pub project: Option<Project>,
    pub now: Timestamp,
}

/// What became of a file.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Records of accounts that were deleted there.
    pub left_out: u64,
    /// Why the rest of the file could not be read, if it could not.
    pub broken: Option<String>,
}

/// The lines on their way out, and what became of the file once all of them are.
pub(super) struct Converted {
    pub body: Body,
    pub bar: ProgressBar,
    pub outcome: Arc<OnceLock<Outcome>>,
}

impl Conversion {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(self, path: &Path) -> anyhow::Result<Converted> {
        let is_csv = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("csv"));
        if path.as_os_str() == "-" {
            let bar = bar(None);
            return self.start(bar.wrap_read(io::stdin()), is_csv, bar);
        }
        let open = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let metadata = open.metadata()?;
        anyhow::ensure!(!metadata.is_dir(), "{} is a folder", path.display());
        let bar = bar(metadata.is_file().then_some(metadata.len()));
        self.start(bar.wrap_read(open), is_csv, bar)
    }

    fn start(self, source: impl Read + Send + 'static, is_csv: bool, bar: ProgressBar) -> anyhow::Result<Converted> {
        let (sender, mut receiver) = mpsc::channel(CHUNKS_MAX);
        let outcome = Arc::new(OnceLock::new());
        let slot = outcome.clone();
        std::thread::Builder::new().name("convert".to_owned()).spawn(move || {
            let mut lines = Lines { conversion: self, chunk: Vec::new(), left_out: 0, sender };
            let read = file::each(source, is_csv, lines.conversion.origin, &mut |record| lines.push(record));
            // What came before a break is there all the same.
            let read = lines.send().and(read);
            // Before the sender goes: whoever sees the end of the lines finds this.
            let _ = slot.set(Outcome { left_out: lines.left_out, broken: read.err() });
        })?;
        let body = Body::from_bytes_stream(stream::poll_fn(move |context| receiver.poll_recv(context)));
        Ok(Converted { body, bar, outcome })
    }

    /// An account as the server takes it; nothing, if it was deleted.
    fn account(&self, record: &Record) -> Result<Option<Map<String, Value>>, String> {
        Ok(match self.origin {
            Origin::Firebase => Some(firebase::account(record, self.project.as_ref())?),
            Origin::Supabase => self.of_supabase(record),
            Origin::Auth0 => Some(of_auth0(record)),
            Origin::Pocketbase => Some(of_pocketbase(record)),
        })
    }

    fn of_supabase(&self, record: &Record) -> Option<Map<String, Value>> {
        if record.text("deleted_at").is_some() {
            return None;
        }
        let about = record.object("raw_user_meta_data");
        let name =
            about.and_then(|it| ["full_name", "name", "display_name"].into_iter().find_map(|name| it.text(name)));
        let banned_until = record.moment("banned_until");
        // What cannot be read, such as `infinity`, has not passed.
        let is_banned = banned_until.is_some_and(|it| it.parse().map_or(true, |until: Timestamp| self.now < until));
        // What is no moment, such as the `\N` of some exports, confirms nothing.
        let moment = |name: &str| record.moment(name).filter(|it| it.parse::<Timestamp>().is_ok());
        let confirmed_at = moment("email_confirmed_at").or_else(|| moment("confirmed_at"));
        Some(members([
            ("email", record.text("email").map(Value::from)),
            ("name", name.map(Value::from)),
            ("emailVerified", Some(confirmed_at.is_some().into())),
            ("passwordHash", record.text("encrypted_password").map(Value::from)),
            ("createdAt", record.moment("created_at").map(Value::from)),
            ("disabled", is_banned.then(|| true.into())),
        ]))
    }
}

fn of_auth0(record: &Record) -> Map<String, Value> {
    let email = record.text("email");
    // Who said no name is called by the address there.
    let name = record.text("name").filter(|it| Some(it) != email.as_ref());
    let custom = record.object("custom_password_hash").and_then(|it| it.object("hash")?.text("value"));
    let hash = ["passwordHash", "password_hash"].into_iter().find_map(|name| record.text(name)).or(custom);
    members([
        ("email", email.map(Value::from)),
        ("name", name.map(Value::from)),
        ("emailVerified", Some(record.flag("email_verified").into())),
        ("passwordHash", hash.map(Value::from)),
        ("createdAt", record.moment("created_at").map(Value::from)),
        ("disabled", record.flag("blocked").then(|| true.into())),
    ])
}

fn of_pocketbase(record: &Record) -> Map<String, Value> {
    let hash = record.text("password").or_else(|| record.text("passwordHash"));
    members([
        ("email", record.text("email").map(Value::from)),
        ("name", record.text("name").map(Value::from)),
        ("emailVerified", Some(record.flag("verified").into())),
        ("passwordHash", hash.map(Value::from)),
        ("createdAt", record.moment("created").map(Value::from)),
    ])
}

fn members<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// Lines that are gathered to be sent.
struct Lines {
    conversion: Conversion,
    chunk: Vec<u8>,
    left_out: u64,
    sender: mpsc::Sender<Result<Bytes, io::Error>>,
}

impl Lines {
    fn push(&mut self, record: &Record) -> Result<(), String> {
        match self.conversion.account(record)? {
            Some(account) => self.chunk.extend_from_slice(Value::from(account).to_string().as_bytes()),
            None => self.left_out += 1,
        }
        self.chunk.push(b'\n');
        if CHUNK_BYTES <= self.chunk.len() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> Result<(), String> {
        let chunk = Bytes::from(std::mem::take(&mut self.chunk));
        self.sender.blocking_send(Ok(chunk)).map_err(|_| "the server took no more".to_owned())
    }
}
