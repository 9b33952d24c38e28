//! Exporting the trail: read page by page while it is sent, oldest first, in one piece of memory.
use std::io;

use bytes::Bytes;
use futures_util::stream;
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaMediaType, MetaResponses, MetaSchema, MetaSchemaRef, Registry};
use tokio::sync::OwnedSemaphorePermit;

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

/// An export on its way out.
struct Export {
    api: AuditApi,
    caller: Caller,
    filter: Filter,
    format: Format,
    /// The last entry that was looked at, and the last one that will be.
    after: i64,
    newest: i64,
    began: bool,
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
    /// Begins to read what a filter lets through, up to the entry `newest`.
    pub(super) fn export_file(
        &self,
        caller: Caller,
        filter: Filter,
        format: Format,
        newest: i64,
        place: OwnedSemaphorePermit,
    ) -> AuditFile {
        let export =
            Export { api: self.clone(), caller, filter, format, after: 0, newest, began: false, _place: place };
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
        if !std::mem::replace(&mut self.began, true) && self.format == Format::Csv {
            row(MEMBERS.into_iter().map(Some), &mut out);
        }
        while out.is_empty() && self.after < self.newest {
            let (caller, filter, format) = (self.caller.clone(), self.filter.clone(), self.format);
            let (after, newest, now) = (self.after, self.newest, self.api.clock.now());
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
            (out, self.after) = self.api.db.read(self.caller.tenant(), read).await?;
        }
        Ok((!out.is_empty()).then(|| out.into()))
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
