//! Reading: a page of records, and one.
use std::sync::Arc;

use super::access::Asker;
use super::api::RecordsApi;
use super::error::Error;
use super::projection::Projection;
use super::query::Asked;
use super::statement::Statement;
use super::store::{self, ALIAS, Found};
use super::{expand, list};
use crate::db::Tx;
use crate::features::collections::Catalogue;
use crate::http::{Caller, paging};

impl RecordsApi {
    pub(super) async fn page(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        asked: &Asked,
    ) -> Result<(Vec<u8>, Option<String>), Error> {
        let entry = known.to_read(collection)?;
        let scope = format!("records\0{}\0{}\0{}", entry.collection.id, who(caller), asked.scope());
        let page = asked.paging.check(&self.cursors, &scope)?;
        let plan = list::plan(&known, entry, asker, asked, &page)?;

        let catalogue = Arc::clone(&known);
        let listed = self
            .db
            .read(caller.tenant(), move |tx| {
                catalogue.must_be_current(tx)?;
                list::run(tx, &plan)
            })
            .await
            .map_err(|it: Error| it.of(entry))?;

        list::must_be_whole(&listed, &page)?;
        let next = listed.next.as_deref().map(|it| self.cursors.seal(it, &scope));
        // An estimate does not tell which page is the last.
        let total = listed.total.filter(|_| !listed.is_estimate).and_then(|it| u64::try_from(it).ok());
        let path = format!("/api/v1/collections/{collection}/records");
        let link = paging::links(&path, &asked.repeated(), &page, next.as_deref(), total);
        Ok((list::answer(&listed, &page, next.as_deref()), link))
    }

    pub(super) async fn find(
        &self,
        caller: &Caller,
        asker: &Asker<'_>,
        known: Arc<Catalogue>,
        collection: &str,
        id: &str,
        asked: &Asked,
    ) -> Result<Found, Error> {
        let entry = &Arc::clone(known.to_read(collection)?);
        asker.must_be_let(entry, &entry.rules.view, "read")?;
        entry.must_be_readable()?;
        let mut faults = Vec::new();
        let mut projection = Projection::whole(entry, &asker.sight);
        let mut joins = Statement::default();
        let lists = expand::apply(&known, entry, asker, asked, &mut projection, &mut joins, &mut faults);
        let of_bin = asker.of_bin(entry, asked.trashed, &mut faults);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        if of_bin.is_some() {
            asker.must_be_let(entry, &entry.rules.delete, "see deleted")?;
        }
        let is_point_read = projection.expanded.is_empty() && lists.is_empty() && entry.view.is_none();
        let mut statement = list::one(&projection, &asked.from(entry), joins, true);
        list::seek(&mut statement, id, asker.rule(entry, &entry.rules.view, ALIAS));
        if let Some(of_bin) = of_bin {
            statement.push(" AND (").append(of_bin).push(")");
        }
        list::of_view(&mut statement, entry);

        let catalogue = Arc::clone(&known);
        let view = entry.view.as_ref().map(|it| (entry.name().to_owned(), it.value_bytes_max));
        let id = id.to_owned();
        let read = move |tx: &mut Tx<'_>| {
            let mut gaps = Vec::new();
            if let Some((_, bytes_max)) = view {
                tx.bound_values(Some(bytes_max))?;
            }
            let mut all = store::find_current(tx, &catalogue, &statement, &projection, &mut gaps)?;
            if let Some((view, _)) = view.as_ref().filter(|_| !all.is_empty()) {
                list::must_be_alone(view, &id, all.len())?;
            }
            let mut found = all.pop();
            if let Some(found) = &mut found {
                lists.fill(tx, &mut found.json, &gaps, &mut [])?;
            }
            Ok(found)
        };
        let tenant = caller.tenant();
        // A read in place sees each of its statements alone, so it has only one.
        let found = if is_point_read { self.db.get(tenant, read).await } else { self.db.read(tenant, read).await };
        match found {
            Ok(Some(found)) => Ok(found),
            // Whether it is really not there, or what was asked for is no longer what the database has.
            outcome => {
                self.db.read(tenant, move |tx| known.must_be_current(tx)).await?;
                outcome.map_err(|it: Error| it.of(entry)).and_then(|it| it.ok_or(Error::NotFound))
            }
        }
    }
}

/// Whose cursor it is: those of one caller are of no use to another.
fn who(caller: &Caller) -> String {
    caller.name()
}
