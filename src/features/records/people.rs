//! Removing accounts for good. Here and not with the accounts, since records refer to them: they go or change with the
//! account, which is told like each other deletion, or they stand in its way.
use std::sync::Arc;
use std::time::Duration;

use poem_openapi::param::Path;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::Value as Json;

use super::api::RecordsApi;
use super::cascade;
use super::error::Error;
use super::log::Followers;
use super::statement::Statement;
use crate::base::text::chain;
use crate::base::{TenantId, Timestamp, UserId};
use crate::config::{AccountsConfig, View};
use crate::db::record_tables::quoted;
use crate::db::{Class, Tx};
use crate::features::accounts::{self, USERS_ADMIN};
use crate::features::audit::{Actor, Trail};
use crate::features::collections::{Catalogue, IsOutdated, OnDelete, USERS};
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Caller, Problem};
use crate::work::Worker;

const INTERVAL: Duration = Duration::from_secs(3_600);
/// Accounts of one transaction: records may go with each.
const BATCH: i64 = 20;
/// Relations that a refusal names.
const NAMED_MAX: usize = 5;

/// The endpoint that removes accounts for good, with what it needs.
#[derive(Clone, Debug)]
pub struct PurgesApi {
    pub records: RecordsApi,
    pub config: View<AccountsConfig>,
}

#[derive(ApiResponse)]
enum Gone {
    /// The account is gone.
    #[oai(status = 204)]
    Gone,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl PurgesApi {
    /// Purge an account
    ///
    /// One that is in the bin goes for good, with its keys, its preferences and the mails to it; what its owner did stays in
    /// the audit trail. Records that refer to it go with it, lose the reference, or keep the account, as `onDelete` of
    /// their relation says.
    #[oai(path = "/users/:id/purge", method = "post", operation_id = "purge_user")]
    async fn purge(&self, caller: Caller, _query: NoQuery, trail: Trail, id: Path<String>) -> Result<Gone, Problem> {
        caller.must(USERS_ADMIN)?;

        // What is no id is the id of nothing.
        let id: UserId = id.0.parse().map_err(|_| Problem::not_found())?;
        let (records, now, actor) = (&self.records, self.records.clock.now(), trail.of(&caller));
        let remove = |known: Arc<Catalogue>| {
            let (actor, purger) = (actor.clone(), caller.clone());
            records.db.free(caller.tenant(), move |tx| {
                known.must_be_current(tx)?;
                accounts::find_in_bin(tx, &purger, id).map_err(Problem::from)?;
                purge(tx, &known, id, now, &actor)
            })
        };
        match records.catalogues.with(caller.tenant(), remove).await {
            Err(Error::InUse) => Err(self.in_use(&caller, id).await?),
            Err(error @ (Error::TooDeep | Error::TooManyFollow)) => {
                Err(Problem::new(&accounts::IN_USE, error.to_string()))
            }
            outcome => Ok(outcome.map(|()| Gone::Gone)?),
        }
    }
}

impl PurgesApi {
    /// The refusal that names what refers to an account.
    async fn in_use(&self, caller: &Caller, id: UserId) -> Result<Problem, Error> {
        let known = self.records.catalogues.current(caller.tenant()).await?;
        let named = self.records.db.read(caller.tenant(), move |tx| held_by(tx, &known, id)).await?;
        let problem = Problem::new(&accounts::IN_USE, accounts::Error::InUse.to_string());
        Ok(if named.is_empty() { problem } else { problem.with_member("relations", Json::from(named).to_string()) })
    }

    /// Removes those who were in the bin for as long as accounts stay there. Whom records hold on to stays, and is tried
    /// again the next time.
    pub async fn purge_due(&self, tenant: &TenantId) -> Result<(), Error> {
        let Some(time) = self.config.get().bin_time() else { return Ok(()) };
        let (known, now) = (self.records.catalogues.current(tenant).await?, self.records.clock.now());
        let before = now.minus(time);
        let mut after = (Timestamp::from_millis(i64::MIN), UserId::from_uuid(uuid::Uuid::nil()));
        loop {
            let known = Arc::clone(&known);
            let work = move |tx: &mut Tx<'_>| purge_batch(tx, &known, now, before, after);
            match self.records.db.write_as(Class::BULK.freeing(), tenant, work).await {
                Ok(Some(last)) => after = last,
                Ok(None) => return Ok(()),
                // The next time finds the collections as they are then.
                Err(error) if error.is_outdated() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Removes accounts whose time in the bin is over, now and then. Safe to run twice, late, or not at all.
pub fn people_worker(purges: PurgesApi, tenant: TenantId) -> Worker {
    Worker::every("accounts.purge", INTERVAL, move || {
        let (purges, tenant) = (purges.clone(), tenant.clone());
        async move { purges.purge_due(&tenant).await }
    })
}

/// Purges a batch, and says whom it looked at last, if there may be more.
fn purge_batch(
    tx: &mut Tx<'_>,
    known: &Catalogue,
    now: Timestamp,
    before: Timestamp,
    after: (Timestamp, UserId),
) -> Result<Option<(Timestamp, UserId)>, Error> {
    known.must_be_current(tx)?;
    let due = accounts::deleted_before(tx, before, after, BATCH)?;
    for (_, id) in &due {
        match tx.attempt(|tx| purge(tx, known, *id, now, &Actor::server())) {
            Ok(()) => {}
            Err(cause @ (Error::InUse | Error::TooDeep | Error::TooManyFollow)) => {
                tracing::warn!(user.id = %id, cause = %chain(&cause), "a deleted account stays: records hold on to it");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(due.last().copied())
}

/// Removes one account, and tells what became of the records that refer to it.
fn purge(tx: &mut Tx<'_>, known: &Catalogue, id: UserId, now: Timestamp, actor: &Actor) -> Result<(), Error> {
    let found = cascade::followers(tx, known, USERS, &id.to_string())?;
    let followers = Followers::look(tx, found)?;
    accounts::purge(tx, id, now, actor).map_err(|error| match error {
        accounts::Error::InUse => Error::InUse,
        accounts::Error::TooDeep => Error::TooDeep,
        accounts::Error::NotFound => Error::NotFound,
        accounts::Error::Db(cause) => Error::Db(cause),
        other => Problem::from(other).into(),
    })?;
    Ok(followers.tell(tx, now, actor)?)
}

/// The relations by which records hold on to an account, the first few of them.
fn held_by(tx: &mut Tx<'_>, known: &Catalogue, id: UserId) -> Result<Vec<String>, Error> {
    let mut named = Vec::new();
    for entry in known.entries() {
        for judge in &entry.judges {
            let field = &judge.field;
            let holds = field.on_delete.unwrap_or(OnDelete::Restrict) == OnDelete::Restrict;
            if field.collection.as_deref() != Some(USERS) || !holds || entry.view.is_some() {
                continue;
            }
            let mut statement = match &judge.member.join {
                Some(join) => Statement::new(format!("SELECT 1 FROM {} WHERE target = ", quoted(join))),
                None => {
                    Statement::new(format!("SELECT 1 FROM {} WHERE {} = ", quoted(&entry.rows), judge.member.column))
                }
            };
            statement.bind(id.to_string()).push(" LIMIT 1");
            if tx.find(&statement.sql, &statement.values, |row| row.integer(0))?.is_some() {
                named.push(format!("{}.{}", entry.name(), field.name));
            }
            if NAMED_MAX <= named.len() {
                return Ok(named);
            }
        }
    }
    Ok(named)
}
