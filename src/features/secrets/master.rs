//! The master keys: where they come from, which one closes what is kept now, and how another takes its place.
use super::error::Error;
use super::model::{KeyKeeper, MasterKeyState, SecretKey, SecretKeyRotation};
use super::sealing::MasterKey;
use super::vault::Vault;
use super::{rewrap_job, store};
use crate::base::{JobId, Secret, TenantId, Timestamp};
use crate::db::{self, Tx};
use crate::features::audit::{Action, Actor, Entry};

impl Vault {
    /// Those that the operator gave, the one first that is to close what is kept.
    fn of_operator(&self) -> Vec<MasterKey> {
        self.config.get().keys().into_iter().map(MasterKey::new).collect()
    }

    /// A master key by its id, wherever it is.
    pub(super) async fn key(&self, tenant: &TenantId, id: &str) -> Result<MasterKey, Error> {
        if let Some(key) = self.of_operator().into_iter().find(|it| it.id == id) {
            return Ok(key);
        }
        let (of, sought) = (tenant.clone(), id.to_owned());
        let found = self.db.read_system(move |tx| store::find_master_key(tx, &of, &sought)).await.map_err(Error::Db)?;
        let key = found.map(|it| MasterKey::new(Secret::new(it)));
        // One that was changed in its file is another one.
        key.filter(|it| it.id == id).ok_or_else(|| Error::KeyMissing { id: id.to_owned() })
    }

    /// The master key that closes what is kept now. The first one is made when it is needed, unless the operator has one.
    pub(super) async fn current(&self, tenant: &TenantId) -> Result<MasterKey, Error> {
        let stated = self.db.get(tenant, store::current_key).await.map_err(Error::Db)?;
        match (self.of_operator().into_iter().next(), stated) {
            (Some(key), Some(id)) if key.id == id => Ok(key),
            (Some(key), _) => {
                self.replace(tenant, &key.id, KeyKeeper::Operator, Actor::server()).await?;
                Ok(key)
            }
            (None, Some(id)) => self.key(tenant, &id).await,
            (None, None) => {
                let (fresh, now) = (self.make(tenant).await?, self.clock.now());
                let id = self.db.write(tenant, move |tx| first(tx, &fresh.id, now)).await.map_err(Error::Db)?;
                self.key(tenant, &id).await
            }
        }
    }

    /// Begins to close secrets with another master key: a new one, or the first of those that the operator gave.
    pub(super) async fn rotate(&self, tenant: &TenantId, actor: Actor) -> Result<SecretKeyRotation, Error> {
        match self.of_operator().into_iter().next() {
            Some(key) => {
                let id = key.id;
                let is_done = {
                    let id = id.clone();
                    move |tx: &mut Tx<'_>| {
                        Ok::<_, db::Error>(store::keys(tx)?.iter().all(|it| it.id == id && !it.is_retired))
                    }
                };
                let is_known = self.db.read(tenant, store::current_key).await.map_err(Error::Db)?.is_some();
                if is_known && self.db.read(tenant, is_done).await.map_err(Error::Db)? {
                    return Err(Error::KeyInUse);
                }
                self.replace(tenant, &id, KeyKeeper::Operator, actor).await
            }
            None => {
                let id = self.make(tenant).await?.id;
                self.replace(tenant, &id, KeyKeeper::Server, actor).await
            }
        }
    }

    /// Makes a master key of the server's own. Nothing is closed with it yet.
    async fn make(&self, tenant: &TenantId) -> Result<MasterKey, Error> {
        let (key, of, now) = (MasterKey::new(Secret::new(self.random.bytes())), tenant.clone(), self.clock.now());
        let kept = key.clone();
        let insert = move |tx: &mut Tx<'_>| store::insert_master_key(tx, &of, &kept.id, kept.reveal(), now);
        self.db.write_system(insert).await.map_err(Error::Db)?;
        Ok(key)
    }

    /// Has a master key close what is kept from now on, and promises that the rest is closed anew.
    async fn replace(
        &self,
        tenant: &TenantId,
        id: &str,
        keeper: KeyKeeper,
        actor: Actor,
    ) -> Result<SecretKeyRotation, Error> {
        let (job_id, now): (JobId, _) = (self.random.id(&self.clock), self.clock.now());
        let key_id = id.to_owned();
        let replace = {
            let key_id = key_id.clone();
            move |tx: &mut Tx<'_>| {
                store::set_current_key(tx, &key_id, keeper, now)?;
                actor.append(tx, now, &Entry::new(Action::SecretKeyRotate).about("secret-key", &key_id))?;
                rewrap_job::promise(tx, job_id, now)
            }
        };
        self.db.write(tenant, replace).await.map_err(Error::Db)?;
        Ok(SecretKeyRotation { key_id, job_id })
    }

    /// All master keys, and whether they can be used.
    pub(super) async fn keys(&self, tenant: &TenantId) -> Result<Vec<SecretKey>, Error> {
        let known = self.db.read(tenant, store::keys).await.map_err(Error::Db)?;
        let mut keys = Vec::with_capacity(known.len());
        for it in known {
            let is_here = match self.key(tenant, &it.id).await {
                Ok(_) => true,
                Err(Error::KeyMissing { .. }) => false,
                Err(cause) => return Err(cause),
            };
            let state = if it.is_retired { MasterKeyState::Retired } else { MasterKeyState::Current };
            let (id, keeper, secrets, created_at) = (it.id, it.keeper, it.secrets, Some(it.created_at));
            keys.push(SecretKey { id, keeper, state, is_here, secrets, created_at });
        }
        let unused = |it: MasterKey| SecretKey {
            id: it.id,
            keeper: KeyKeeper::Operator,
            state: MasterKeyState::Unused,
            is_here: true,
            secrets: 0,
            created_at: None,
        };
        let unused: Vec<_> = self
            .of_operator()
            .into_iter()
            .filter(|it| keys.iter().all(|known| known.id != it.id))
            .map(unused)
            .collect();
        keys.extend(unused);
        Ok(keys)
    }
}

/// The master key that closes what is kept now: this one, unless another was there first.
fn first(tx: &mut Tx<'_>, id: &str, now: Timestamp) -> Result<String, db::Error> {
    if let Some(current) = store::current_key(tx)? {
        return Ok(current);
    }
    store::set_current_key(tx, id, KeyKeeper::Server, now)?;
    Ok(id.to_owned())
}
