//! What passwords cost on this machine, measured once and kept; and in which forms they are kept, counted now and then.
use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use super::cost::{self, Cost};
use super::error::Error;
use super::hashing_store;
use super::kept::{self, Form};
use super::password::Passwords;
use crate::base::text::chain;
use crate::base::{Clock, TenantId, UserId};
use crate::config::{AccountsConfig, View};
use crate::db::{Db, Tx};
use crate::features::audit::{Action, Actor, Entry};
use crate::work::Worker;

/// Accounts that are looked at in one read.
const BATCH: u64 = 2_000;
/// Forms change with each account that is made and with each sign-in of someone who came from elsewhere. Until that is
/// counted, unknown addresses seem to be of each form as often as among the accounts of before.
const INTERVAL: Duration = Duration::from_secs(300);

/// Passwords, with where their cost is kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Hashing {
    pub db: Db,
    pub clock: Clock,
    pub config: View<AccountsConfig>,
    pub passwords: Passwords,
}

impl Hashing {
    /// Has passwords cost what was measured here before, if it was.
    pub async fn take_up(&self, tenant: &TenantId) -> Result<(), Error> {
        if let Some(cost) = self.db.read(tenant, hashing_store::find_cost).await? {
            self.passwords.set_measured(cost);
        }
        Ok(())
    }

    /// Measures what passwords may cost, where that is to be found out and was not yet.
    pub async fn measure_once(&self, tenant: &TenantId) -> Result<(), Error> {
        if !cost::is_automatic(&self.config.get()) || self.db.read(tenant, hashing_store::find_cost).await?.is_some() {
            return Ok(());
        }
        self.measure(tenant, Actor::server(), Entry::new(Action::PasswordCostMeasure)).await.map(drop)
    }

    /// Measures what passwords may cost, from now on.
    pub(super) async fn measure(&self, tenant: &TenantId, actor: Actor, entry: Entry) -> Result<Cost, Error> {
        let cost = self.passwords.measure().await?;
        let (now, entry) = (self.clock.now(), entry.after(serde_json::json!(cost)));
        let keep = move |tx: &mut Tx<'_>| {
            hashing_store::set_cost(tx, cost, now)?;
            Ok::<_, Error>(actor.append(tx, now, &entry)?)
        };
        self.db.write(tenant, keep).await?;
        self.passwords.set_measured(cost);
        let Cost { memory_kib, iterations } = cost;
        tracing::info!(hash.memory_kib = memory_kib, hash.iterations = iterations, "measured what a password may cost");
        Ok(cost)
    }

    /// Counts in which forms passwords are kept. What fails now is done by the next.
    pub(super) async fn count_forms_or_tell(&self, tenant: &TenantId) {
        if let Err(cause) = self.count_forms(tenant).await {
            tracing::warn!(cause = %chain(&cause), "how passwords are kept could not be counted");
        }
    }

    async fn count_forms(&self, tenant: &TenantId) -> Result<(), Error> {
        let (mut counted, mut after) = (HashMap::<Form, u64>::new(), None::<UserId>);
        loop {
            let page = self.db.read(tenant, move |tx| hashing_store::hashes(tx, after, BATCH)).await?;
            for form in page.iter().filter_map(|(_, hash)| kept::form(hash)) {
                *counted.entry(form).or_default() += 1;
            }
            match page.last() {
                Some((last, _)) if BATCH <= page.len() as u64 => after = Some(*last),
                _ => break,
            }
        }
        self.passwords.set_forms(counted);
        Ok(())
    }

    /// Counts them now and then. Safe to run twice, late, or not at all.
    pub fn worker(self, tenant: TenantId) -> Worker {
        Worker::every("accounts.forms", INTERVAL, move || {
            let (own, tenant) = (self.clone(), tenant.clone());
            async move {
                own.count_forms_or_tell(&tenant).await;
                Ok::<(), Infallible>(())
            }
        })
    }
}
