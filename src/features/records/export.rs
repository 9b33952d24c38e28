//! Exporting a collection: read page by page while it is sent, in one piece of memory.
//!
//! Each page is a transaction of its own: one that lasted as long as a slow download would keep the
//! write-ahead log from being emptied.
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use csv_core::{WriteResult, Writer};
use futures_util::stream;
use poem::Body;
use serde_json::{Map, Value as Json};

use super::access::Asker;
use super::api::RecordsApi;
use super::error::Error;
use super::list::{self, Plan};
use super::query::Asked;
use super::split::{FORMULA, Format};
use crate::base::TenantId;
use crate::db::Db;
use crate::features::collections::{Catalogue, Entry, FieldType};
use crate::http::Caller;
use crate::http::paging::Page;

/// Records of one page.
const PAGE: u64 = 500;

/// An export on its way out.
struct Export {
    db: Db,
    tenant: TenantId,
    known: Arc<Catalogue>,
    plan: Plan,
    format: Format,
    /// The columns of CSV, and whether each holds JSON.
    columns: Vec<(String, bool)>,
    after: Option<String>,
    began: bool,
    ended: bool,
}

impl RecordsApi {
    /// The records that the caller may list and asks for, as a file that is made while it is sent.
    pub(super) async fn export_file(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        asked: &Asked,
        format: Format,
    ) -> Result<Body, Error> {
        let entry = Arc::clone(known.find(collection).ok_or(Error::NotFound)?);
        let page = Page { limit: PAGE, skip: 0, number: None, after: None, with_total: false };
        let plan = list::plan(&known, &entry, asker, asked, &page)?;
        let mut export = Export {
            db: self.db.clone(),
            tenant: caller.tenant().clone(),
            columns: columns(&entry, asker.sees_hidden),
            known,
            plan,
            format,
            after: None,
            began: false,
            ended: false,
        };
        // What is wrong from the beginning is told with a status, not by a file that breaks off.
        let first = export.next().await?;
        let rest = stream::unfold(Some(export), |export| async move {
            let mut export = export?;
            match export.next().await {
                Ok(Some(part)) => Some((Ok(part), Some(export))),
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(%error, "an export was broken off");
                    Some((Err(io::Error::other("the export was broken off")), None))
                }
            }
        });
        let first = stream::iter(first.map(Ok));
        Ok(Body::from_bytes_stream(futures_util::StreamExt::chain(first, rest)))
    }
}

impl Export {
    /// The next part of the file; nothing after its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut plan = self.plan.clone();
        if let Some(after) = &self.after {
            // A position of our own is one of this order.
            plan = plan.from(after).ok_or(Error::NotFound)?;
        }
        let known = Arc::clone(&self.known);
        let read = move |tx: &mut crate::db::Tx<'_>| {
            known.must_be_current(tx)?;
            list::run(tx, &plan)
        };
        let listed = self.db.read(&self.tenant, read).await?;
        let is_first = !std::mem::replace(&mut self.began, true);
        self.ended = listed.next.is_none();
        self.after = listed.next;
        let mut out = Vec::with_capacity(listed.json.len() + 64);
        match self.format {
            Format::Ndjson => out = lines(listed.json, &listed.ends),
            Format::Json => {
                out.extend_from_slice(if is_first { b"[" } else { b"," });
                out.extend_from_slice(&listed.json);
                if self.ended {
                    out.extend_from_slice(b"]\n");
                }
            }
            Format::Csv => {
                if is_first {
                    row(self.columns.iter().map(|(name, _)| name.as_str()), &mut out);
                }
                self.rows(&listed.json, &listed.ends, &mut out);
            }
        }
        Ok(Some(out.into()))
    }

    fn rows(&self, json: &[u8], ends: &[usize], out: &mut Vec<u8>) {
        let mut from = 0;
        for end in ends {
            let record: Map<String, Json> = serde_json::from_slice(&json[from..*end]).unwrap_or_default();
            let cells: Vec<_> = self
                .columns
                .iter()
                .map(|(name, is_json)| record.get(name).map(|it| cell(it, *is_json)).unwrap_or_default())
                .collect();
            row(cells.iter().map(String::as_str), out);
            from = end + 1;
        }
    }
}

/// Turns the commas between records into line ends.
fn lines(mut json: Vec<u8>, ends: &[usize]) -> Vec<u8> {
    for end in ends {
        match json.get_mut(*end) {
            Some(comma) => *comma = b'\n',
            None => json.push(b'\n'),
        }
    }
    json
}

fn columns(entry: &Entry, with_hidden: bool) -> Vec<(String, bool)> {
    let own = ["id", "createdAt", "updatedAt"].map(|it| (it.to_owned(), false));
    let fields = entry.judges.iter().map(|it| &it.field).filter(|it| with_hidden || !it.hidden);
    own.into_iter().chain(fields.map(|it| (it.name.clone(), it.field_type == FieldType::Json))).collect()
}

/// A value as a cell. A text that a spreadsheet would run as a formula gets a sign before it (OWASP, "CSV Injection").
fn cell(value: &Json, is_json: bool) -> String {
    match value {
        Json::Null => String::new(),
        _ if is_json => value.to_string(),
        Json::String(text) if text.starts_with(FORMULA) || text.starts_with("'") => format!("'{text}"),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Appends one row (RFC 4180).
fn row<'a>(cells: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    let mut writer = Writer::new();
    for (index, cell) in cells.enumerate() {
        if 0 < index {
            push(out, |space| writer.delimiter(space));
        }
        let mut rest = cell.as_bytes();
        push(out, |space| {
            let (outcome, read, written) = writer.field(rest, space);
            rest = &rest[read..];
            (outcome, written)
        });
    }
    push(out, |space| writer.terminator(space));
}

/// Repeats a step of the writer until all that it has is appended.
fn push(out: &mut Vec<u8>, mut step: impl FnMut(&mut [u8]) -> (WriteResult, usize)) {
    let mut space = [0; 1_024];
    loop {
        let (outcome, written) = step(&mut space);
        out.extend_from_slice(&space[..written]);
        if outcome == WriteResult::InputEmpty {
            return;
        }
    }
}
