//! Exporting the trail: read page by page while it is sent, oldest first, in one piece of memory.
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponses, MetaSchema, MetaSchemaRef, Registry};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::api::{AuditApi, LOOKED_AT_MAX};
use super::chain::hex;
use super::filter::Filter;
use super::model::Kept;
use super::store;
use crate::base::csv::{escaped, row};
use crate::base::text::write_json;
use crate::db::{self, Tx};
use crate::http::{Caller, Problem, download};

/// Entries of one page, and the bytes beyond which it takes no further one.
const PAGE: i64 = 500;
const PAGE_BYTES_MAX: usize = 512 << 10;
/// How often whoever follows is told what is new.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long they hear nothing at most: what stands in between does not take the connection for dead.
const QUIET_MAX: Duration = Duration::from_secs(25);

/// The members of an entry, in the order in which they are hashed, and the hash last.
const MEMBERS: [&str; 18] = [
    "seq",
    "at",
    "actorKind",
    "actorId",
    "actorEmail",
    "action",
    "resourceKind",
    "resourceId",
    "before",
    "after",
    "address",
    "userAgent",
    "requestId",
    "outcome",
    "reason",
    "totalBytes",
    "previousHash",
    "hash",
];
/// Of these, what is a number.
const NUMBERS: [&str; 2] = ["seq", "totalBytes"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Ndjson,
    Csv,
}

/// A file on its way out, made while it is sent.
pub struct AuditFile {
    body: Body,
    format: Format,
}

/// What is to be exported.
pub(super) struct Asked {
    pub filter: Filter,
    pub format: Format,
    /// The last entry that was looked at, and the last one that will be.
    pub after: i64,
    pub newest: i64,
    /// Whether what comes after that is told too, when it happens.
    pub follows: bool,
}

/// An export on its way out.
struct Export {
    api: AuditApi,
    caller: Caller,
    asked: Asked,
    began: bool,
    /// When something was said last.
    said_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Format {
    pub fn named(name: &str) -> Option<Self> {
        [Self::Ndjson, Self::Csv].into_iter().find(|it| it.extension() == name)
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    /// Appends an entry as a line.
    fn write(self, kept: &Kept, out: &mut Vec<u8>) {
        let (seq, at, total) = (kept.seq.to_string(), kept.at.to_string(), kept.total_bytes.to_string());
        let (previous, hash) = (hex(&kept.previous_hash), hex(&kept.hash));
        let values: [Option<&str>; 18] = [
            Some(&seq),
            Some(&at),
            Some(&kept.actor_kind),
            kept.actor_id.as_deref(),
            kept.actor_email.as_deref(),
            Some(&kept.action),
            kept.resource_kind.as_deref(),
            kept.resource_id.as_deref(),
            kept.before.as_deref(),
            kept.after.as_deref(),
            kept.address.as_deref(),
            kept.user_agent.as_deref(),
            kept.request_id.as_deref(),
            Some(&kept.outcome),
            kept.reason.as_deref(),
            Some(&total),
            Some(&previous),
            Some(&hash),
        ];
        match self {
            Self::Csv => {
                let cells: Vec<_> = values.into_iter().map(|it| escaped(it.unwrap_or_default())).collect();
                row(cells.iter().map(|it| Some(it.as_ref()).filter(|it: &&str| !it.is_empty())), out);
            }
            Self::Ndjson => {
                for (index, (name, value)) in MEMBERS.iter().zip(values).enumerate() {
                    out.push(if index == 0 { b'{' } else { b',' });
                    write_json(name, out);
                    out.push(b':');
                    match value {
                        None => out.extend_from_slice(b"null"),
                        Some(number) if NUMBERS.contains(name) => out.extend_from_slice(number.as_bytes()),
                        Some(text) => write_json(text, out),
                    }
                }
                out.extend_from_slice(b"}\n");
            }
        }
    }
}

impl AuditApi {
    /// Begins to read what a filter lets through.
    pub(super) fn export_file(&self, caller: Caller, asked: Asked, place: OwnedSemaphorePermit) -> AuditFile {
        let (format, said_at) = (asked.format, Instant::now());
        let export = Export { api: self.clone(), caller, asked, began: false, said_at, _place: place };
        let parts = stream::unfold(Some(export), |export| async move {
            let mut export = export?;
            match export.next().await {
                Ok(Some(part)) => Some((Ok(part), Some(export))),
                Ok(None) => None,
                Err(cause) => {
                    tracing::warn!(%cause, "an export of the audit trail was broken off");
                    Some((Err(io::Error::other("the export was broken off")), None))
                }
            }
        });
        AuditFile { body: Body::from_bytes_stream(parts), format }
    }
}

impl Export {
    /// The next part of the file; nothing after its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.began, true) && self.asked.format == Format::Csv {
            row(MEMBERS.into_iter().map(Some), &mut out);
        }
        loop {
            self.read(&mut out).await?;
            if out.is_empty() && self.asked.follows && QUIET_MAX <= self.said_at.elapsed() {
                out.push(b'\n');
            }
            if !out.is_empty() {
                self.said_at = Instant::now();
                return Ok(Some(out.into()));
            }
            if !self.asked.follows {
                return Ok(None);
            }
            tokio::select! {
                () = self.api.stopping.cancelled() => return Ok(None),
                () = tokio::time::sleep(LOOK_EVERY) => self.look().await?,
            }
        }
    }

    /// Finds out what has happened by now.
    async fn look(&mut self) -> Result<(), Error> {
        let (caller, now, still_stands) = (self.caller.clone(), self.api.clock.now(), self.api.still_stands);
        // A token ends here too, as it does for live updates: what follows would outlast it for ever.
        if caller.principal().until.is_some_and(|it| it <= now) {
            return Err(Error::NotSignedIn);
        }
        let look = move |tx: &mut Tx<'_>| {
            if !still_stands(tx, &caller, now)? {
                return Err(Error::NotSignedIn);
            }
            Ok(store::head(tx)?.map_or(0, |(seq, _)| seq))
        };
        self.asked.newest = self.api.db.read(self.caller.tenant(), look).await?.max(self.asked.newest);
        Ok(())
    }

    /// Reads on until there is something to say, or nothing more.
    async fn read(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        while out.is_empty() && self.asked.after < self.asked.newest {
            let (caller, filter, format) = (self.caller.clone(), self.asked.filter.clone(), self.asked.format);
            let (after, newest, now) = (self.asked.after, self.asked.newest, self.api.clock.now());
            let still_stands = self.api.still_stands;
            let read = move |tx: &mut Tx<'_>| {
                // Signing out is felt by what began before.
                if !still_stands(tx, &caller, now)? {
                    return Err(Error::NotSignedIn);
                }
                let (mut part, mut last, mut count) = (Vec::new(), after, 0);
                let furthest = newest.min(after.saturating_add(LOOKED_AT_MAX));
                store::each_chosen(tx, &filter, after, furthest, PAGE, &mut |it| {
                    let kept = store::read(it)?;
                    count += 1;
                    if part.len() < PAGE_BYTES_MAX {
                        last = kept.seq;
                        format.write(&kept, &mut part);
                    }
                    Ok(())
                })?;
                let is_all = count < PAGE && part.len() < PAGE_BYTES_MAX;
                Ok((part, if is_all { furthest } else { last }))
            };
            (*out, self.asked.after) = self.api.db.read(self.caller.tenant(), read).await?;
        }
        Ok(())
    }
}

/// Why an export ends before its end.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Db(#[from] db::Error),
    #[error("its caller is not signed in any more")]
    NotSignedIn,
}

fn media_types() -> Vec<MetaMediaType> {
    let text = || MetaSchemaRef::Inline(Box::new(MetaSchema::new("string")));
    [Format::Ndjson, Format::Csv].map(|it| MetaMediaType { content_type: it.media_type(), schema: text() }).into()
}

impl ApiResponse for AuditFile {
    fn meta() -> MetaResponses {
        download::meta("The entries, as they are read.", media_types())
    }

    fn register(_registry: &mut Registry) {}
}

impl IntoResponse for AuditFile {
    fn into_response(self) -> Response {
        download::response(self.body, self.format.media_type(), "audit", self.format.extension())
    }
}

/// What is said of a format that there is none of.
pub(super) fn format_of(name: Option<&str>) -> Result<Format, Problem> {
    Format::named(name.unwrap_or("ndjson")).ok_or_else(|| {
        let fault = crate::http::Fault::new("?format", "not-one-of", "must be `ndjson` or `csv`");
        Problem::invalid(vec![fault])
    })
}

/// After which entry an export begins, and whether it follows what happens then.
pub(super) fn part_of(after: Option<&str>, follow: Option<&str>, format: Format) -> Result<(i64, bool), Problem> {
    let mut faults = Vec::new();
    let mut fault =
        |name: &str, code, detail: &str| faults.push(crate::http::Fault::new(name.to_owned(), code, detail));
    let begin = after.map_or(Some(0), |it| it.parse().ok().filter(|it| 0 <= *it));
    if begin.is_none() {
        fault("?after", "format", "must be the number of an entry");
    }
    let follows = match follow {
        None | Some("false") => false,
        Some("true") if format == Format::Csv => {
            fault("?follow", "not-allowed", "is for `ndjson` alone");
            true
        }
        Some("true") => true,
        Some(_) => {
            fault("?follow", "not-one-of", "must be `true` or `false`");
            false
        }
    };
    begin.filter(|_| faults.is_empty()).map(|it| (it, follows)).ok_or_else(|| Problem::invalid(faults))
}
