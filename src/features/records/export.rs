//! Exporting a collection: read page by page while it is sent, in one piece of memory.
//!
//! Each page is a transaction of its own: one that lasted as long as a slow download would keep the
//! write-ahead log from being emptied.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use poem::Body;
use serde_json::{Map, Value as Json, json};

use super::access::{Asker, Circumstances};
use super::api::RecordsApi;
use super::audit;
use super::error::Error;
use super::list::{self, Listed, Plan};
use super::query::Asked;
use super::running::Place;
use super::split::Format;
use crate::base::csv::{escaped, row};
use crate::db::{self, Tx};
use crate::features::api_keys;
use crate::features::audit::Action;
use crate::features::collections::{self, Catalogue, Entry, FieldType, IsOutdated, Sight};
use crate::http::paging::Page;
use crate::http::{Caller, Problem};

/// Records of one page.
const PAGE: u64 = 500;
/// Largest page: as many are in memory as exports run at once.
const PAGE_BYTES_MAX: usize = 512 << 10;
/// How often a page is read anew because collections changed meanwhile.
const TRIES_MAX: usize = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// An export on its way out.
pub(super) struct Export {
    api: RecordsApi,
    caller: Caller,
    circumstances: Circumstances,
    entry: Arc<Entry>,
    known: Arc<Catalogue>,
    asked: Arc<Asked>,
    plan: Plan,
    format: Format,
    /// The columns of CSV, and whether each holds JSON.
    columns: Vec<(String, bool)>,
    after: Option<String>,
    began: bool,
    ended: bool,
    /// The first page: what is wrong from the beginning is told with a status, not by a file that breaks off.
    first: Option<Bytes>,
}

impl RecordsApi {
    /// Begins to read the records that the caller may list and asks for.
    pub(super) async fn begin_export(
        &self,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        asked: Arc<Asked>,
        format: Format,
    ) -> Result<Export, Error> {
        let entry = Arc::clone(known.to_read(collection)?);
        let plan = plan(&known, &entry, asker, &asked)?;
        let mut export = Export {
            api: self.clone(),
            caller: asker.caller.clone(),
            circumstances: asker.circumstances,
            columns: columns(&entry, &asker.sight),
            entry,
            known,
            asked,
            plan,
            format,
            after: None,
            began: false,
            ended: false,
            first: None,
        };
        export.first = export.next().await?;
        if asker.sight.rules_over(export.entry.name()) {
            let (actor, now, entry) = (asker.actor.clone(), self.clock.now(), Arc::clone(&export.entry));
            let told = json!({ "selectedBy": audit::selection(&export.asked) });
            let tell = move |tx: &mut Tx<'_>| audit::many(tx, &entry, now, &actor, Action::RecordsExport, told.clone());
            self.db.free::<_, db::Error>(asker.caller.tenant(), tell).await?;
        }
        Ok(export)
    }
}

fn plan(known: &Catalogue, entry: &Entry, asker: &Asker<'_>, asked: &Asked) -> Result<Plan, Error> {
    let page = Page { limit: PAGE, skip: 0, number: None, after: None, with_total: false, is_planned: false };
    Ok(list::plan(known, entry, asker, asked, &page)?.of_bytes(PAGE_BYTES_MAX))
}

impl Export {
    /// The file, made while it is sent. `running` is let go when it ends.
    pub fn into_body(mut self, running: Place) -> Body {
        let first = stream::iter(self.first.take().map(Ok));
        let rest = stream::unfold(Some((self, running)), |export| async move {
            let (mut export, running) = export?;
            match export.next().await {
                Ok(Some(part)) => Some((Ok(part), Some((export, running)))),
                Ok(None) => None,
                Err(error) => {
                    tracing::warn!(%error, "an export was broken off");
                    Some((Err(io::Error::other("the export was broken off")), None))
                }
            }
        });
        Body::from_bytes_stream(StreamExt::chain(first, rest))
    }

    /// The next part of the file; nothing after its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        let mut listed = self.read().await;
        for _ in 1..TRIES_MAX {
            if listed.as_ref().is_err_and(IsOutdated::is_outdated) {
                tokio::time::sleep(PAUSE).await;
                self.renew().await?;
                listed = self.read().await;
            }
        }
        let listed = listed?;
        let is_first = !std::mem::replace(&mut self.began, true);
        self.ended = listed.next.is_none();
        self.after = listed.next;
        let mut out = Vec::with_capacity(listed.json.len() + 64);
        match self.format {
            Format::Ndjson => out = lines(listed.json, &listed.ends),
            Format::Json => {
                if is_first {
                    out.push(b'[');
                } else if !listed.json.is_empty() {
                    out.push(b','); // what was to come may be gone meanwhile
                }
                out.extend_from_slice(&listed.json);
                if self.ended {
                    out.extend_from_slice(b"]\n");
                }
            }
            Format::Csv => {
                if is_first {
                    row(self.columns.iter().map(|(name, _)| Some(name.as_str())), &mut out);
                }
                self.rows(&listed.json, &listed.ends, &mut out);
            }
        }
        Ok(Some(out.into()))
    }

    async fn read(&self) -> Result<Listed, Error> {
        let mut plan = self.plan.clone();
        if let Some(after) = &self.after {
            // A position of our own is one of this order.
            plan = plan.from(after).ok_or(Error::NotFound)?;
        }
        let (known, caller, now) = (Arc::clone(&self.known), self.caller.clone(), self.api.clock.now());
        let read = move |tx: &mut Tx<'_>| {
            known.must_be_current(tx)?;
            // Signing out is felt by what began before.
            if !api_keys::still_stands(tx, &caller, now)? {
                return Err(Problem::not_signed_in().into());
            }
            list::run(tx, &plan)
        };
        self.api.db.read(self.caller.tenant(), read).await.map_err(|it: Error| it.of(&self.entry))
    }

    /// Goes on under the rules as they are now, if the records still look the same.
    async fn renew(&mut self) -> Result<(), Error> {
        self.known = self.api.catalogues.newer_than(self.caller.tenant(), &self.known).await?;
        let same = self.known.entries().iter().find(|it| it.is_as(&self.entry));
        self.entry = Arc::clone(same.ok_or(collections::Error::Outdated)?);
        let asker = Asker::to_read(&self.caller, self.entry.name(), self.circumstances)?;
        self.plan = plan(&self.known, &self.entry, &asker, &self.asked)?;
        Ok(())
    }

    fn rows(&self, json: &[u8], ends: &[usize], out: &mut Vec<u8>) {
        let mut from = 0;
        for end in ends {
            let record: Map<String, Json> = serde_json::from_slice(&json[from..*end]).unwrap_or_default();
            let cells: Vec<_> =
                self.columns.iter().map(|(name, is_json)| record.get(name).and_then(|it| cell(it, *is_json))).collect();
            row(cells.iter().map(Option::as_deref), out);
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

fn columns(entry: &Entry, sight: &Sight) -> Vec<(String, bool)> {
    let own =
        ["id", "createdAt", "updatedAt"].into_iter().filter(|it| entry.has_own(it)).map(|it| (it.to_owned(), false));
    let fields = entry.judges.iter().filter(|it| sight.sees(it)).map(|it| &it.field);
    own.into_iter().chain(fields.map(|it| (it.name.clone(), it.field_type == FieldType::Json))).collect()
}

/// A value as a cell. A text that a spreadsheet would run as a formula gets a sign before it (OWASP, "CSV Injection").
fn cell(value: &Json, is_json: bool) -> Option<String> {
    Some(match value {
        Json::Null => return None,
        _ if is_json => value.to_string(),
        Json::String(text) => escaped(text).into_owned(),
        other => other.to_string(),
    })
}
