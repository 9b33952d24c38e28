//! Closes the keys of secrets with the master key that is current, after another took its place.
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::error::Error;
use super::sealing::{self, MasterKey, Place};
use super::store::{self, WrappedKey};
use super::vault::Vault;
use crate::base::text::chain;
use crate::base::{JobId, TenantId, Timestamp, UserId};
use crate::db::{self, Class, Tx};
use crate::work::queue::{self, Failure, Kind, NewJob, Ticket};

const KIND: &str = "secrets.rewrap";
/// Secrets of one transaction, so that it holds up nobody.
const BATCH: i64 = 200;
/// The pauses between attempts: what fails here is the disk or the database, which somebody mends.
const PAUSES: &[Duration] =
    &[Duration::from_secs(5), Duration::from_secs(60), Duration::from_secs(600), Duration::from_secs(3_600)];

/// Has the rest closed anew once this transaction is on the disk.
pub(super) fn promise(tx: &mut Tx<'_>, id: JobId, now: Timestamp) -> Result<(), db::Error> {
    queue::insert(tx, &NewJob { id, kind: KIND, payload: "{}".to_owned(), due_at: now, created_at: now })
}

/// The kind of jobs that does it. Safe to run twice: what is closed anew already is not looked at.
pub fn kind(vault: Vault) -> Kind {
    Kind::new(KIND, 1, PAUSES, move |ticket| {
        let vault = vault.clone();
        async move {
            let left = run(&vault, &ticket).await.map_err(|it| Failure::Temporary(chain(&it)))?;
            if left.is_empty() { Ok(()) } else { Err(Failure::Permanent(told(&left))) }
        }
    })
}

/// How many secrets of which master key could not be closed anew.
type Left = BTreeMap<String, u64>;

async fn run(vault: &Vault, ticket: &Ticket) -> Result<Left, Error> {
    let tenant = &ticket.tenant;
    let to = vault.current(tenant).await?;
    let current = to.id.clone();
    let all = vault.db.read(tenant, move |tx| store::count_others(tx, &current)).await.map_err(Error::Db)?;
    let (mut old, mut left, mut after, mut done) = (HashMap::new(), Left::new(), None, 0);
    while !ticket.cancelled.is_cancelled() {
        let batch = next(vault, tenant, &to, after).await?;
        let Some(last) = batch.last() else { break };
        after = Some((last.user, last.name.clone()));
        done += batch.len() as u64;
        let mut anew = Vec::with_capacity(batch.len());
        for it in batch {
            let place = Place { tenant: tenant.clone(), user: it.user, name: it.name.clone() };
            let from = from(vault, tenant, &it.key_id, &mut old).await?;
            let wrapped = from.and_then(|from| sealing::rewrap(from, &to, &place, &it.wrapped_key, &vault.random).ok());
            match wrapped {
                Some(wrapped) => anew.push((it, wrapped)),
                None => *left.entry(it.key_id).or_default() += 1,
            }
        }
        if !write(vault, tenant, &to, anew).await? {
            return Ok(Left::new()); // another one is current now, and has a job of its own
        }
        ticket.progress(done, all).await.map_err(Error::Db)?;
    }
    remove_idle(vault, tenant).await?;
    Ok(left)
}

async fn next(
    vault: &Vault,
    tenant: &TenantId,
    to: &MasterKey,
    after: Option<(UserId, String)>,
) -> Result<Vec<WrappedKey>, Error> {
    let current = to.id.clone();
    vault.db.read(tenant, move |tx| store::others(tx, &current, after.as_ref(), BATCH)).await.map_err(Error::Db)
}

/// A master key that closed something until now; nothing if it is not here.
async fn from<'a>(
    vault: &Vault,
    tenant: &TenantId,
    id: &str,
    known: &'a mut HashMap<String, Option<MasterKey>>,
) -> Result<Option<&'a MasterKey>, Error> {
    if !known.contains_key(id) {
        let key = match vault.key(tenant, id).await {
            Ok(key) => Some(key),
            Err(Error::KeyMissing { .. }) => None,
            Err(cause) => return Err(cause),
        };
        known.insert(id.to_owned(), key);
    }
    Ok(known.get(id).and_then(Option::as_ref))
}

/// Keeps what was closed anew. False if another master key is current now.
async fn write(
    vault: &Vault,
    tenant: &TenantId,
    to: &MasterKey,
    anew: Vec<(WrappedKey, Vec<u8>)>,
) -> Result<bool, Error> {
    let current = to.id.clone();
    let write = move |tx: &mut Tx<'_>| {
        if store::current_key(tx)?.as_ref() != Some(&current) {
            return Ok(false);
        }
        for (old, wrapped) in &anew {
            store::rewrap(tx, old, &current, wrapped)?;
        }
        Ok(true)
    };
    vault.db.write_as(Class::BULK, tenant, write).await.map_err(Error::Db)
}

/// Removes the master keys that close nothing any more. From `system.db` first: a server that is killed in between
/// finds them here once more.
async fn remove_idle(vault: &Vault, tenant: &TenantId) -> Result<(), Error> {
    for id in vault.db.read(tenant, store::idle_keys).await.map_err(Error::Db)? {
        let (of, gone) = (tenant.clone(), id.clone());
        let wipe = move |tx: &mut Tx<'_>| store::wipe_master_key(tx, &of, &gone);
        vault.db.write_system::<_, db::Error>(wipe).await.map_err(Error::Db)?;
        vault.db.free::<_, db::Error>(tenant, move |tx| store::delete_idle_key(tx, &id)).await.map_err(Error::Db)?;
    }
    Ok(())
}

fn told(left: &Left) -> String {
    let parts: Vec<_> = left.iter().map(|(id, count)| format!("{count} of the master key `{id}`")).collect();
    format!("some secrets could not be closed anew: {}; bring it back, and try again", parts.join(", "))
}
