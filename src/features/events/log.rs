//! The log of a tenant as those see it who read it all the time.
use super::model::Epoch;
use super::store;
use crate::base::{Clock, TenantId};
use crate::bus::{Bus, Listener};
use crate::db::{self, Db};

/// The log of one tenant. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EventLog {
    pub db: Db,
    pub tenant: TenantId,
    pub epoch: Epoch,
    bus: Bus,
}

impl EventLog {
    /// Opens the log of a tenant, and gives it an epoch if it has none.
    pub async fn open(db: &Db, tenant: &TenantId, bus: &Bus, clock: &Clock) -> Result<Self, db::Error> {
        // The moment in which it begins: no other log of this tenant did.
        let new = format!("{:x}", clock.now().millis());
        let wanted = new.clone();
        let epoch = match db.free(tenant, move |tx| store::epoch(tx, &wanted)).await {
            // This start must let people make room; what is numbered until the next one has an epoch of its own.
            Err(db::Error::StorageFull) => new,
            outcome => outcome?,
        };
        Ok(Self { db: db.clone(), tenant: tenant.clone(), epoch: Epoch(epoch), bus: bus.clone() })
    }

    /// Listens for events from now on.
    pub fn listen(&self) -> Listener {
        self.bus.listen(&self.tenant)
    }
}
