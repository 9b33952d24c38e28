//! Keeping secrets, and opening them.
use super::error::Error;
use super::model::{KeptSecret, OF_ONE_MAX, SecretName, hint};
use super::sealing::{self, Place};
use super::store;
use crate::base::text::chain;
use crate::base::{Clock, Random, Secret, TenantId, UserId};
use crate::config::{SecretsConfig, View};
use crate::db::{self, Db, Tx};
use crate::features::accounts::Confirmed;
use crate::features::audit::{Action, Actor, Entry};

/// How often something is tried again since the master key was changed in between.
const ATTEMPTS: usize = 5;

/// Where secrets are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Vault {
    pub db: Db,
    pub clock: Clock,
    pub random: Random,
    pub config: View<SecretsConfig>,
}

impl Vault {
    /// A secret of someone, to be used on their behalf. It is noted that it was.
    pub async fn open(&self, tenant: &TenantId, user: UserId, name: &str) -> Result<Secret<String>, Error> {
        let place = Place { tenant: tenant.clone(), user, name: name.to_owned() };
        let secret = self.opened(&place).await?;
        let now = self.clock.now();
        let touch = move |tx: &mut Tx<'_>| store::touch(tx, user, &place.name, now);
        if let Err(cause) = self.db.free::<_, db::Error>(tenant, touch).await {
            // What it is used for is worth more than the note.
            tracing::warn!(cause = %chain(&cause), "cannot note that a secret was used");
        }
        Ok(secret)
    }

    /// The same to show it to its owner, who has just confirmed who they are. It is shown if that is written down.
    pub(super) async fn reveal(
        &self,
        tenant: &TenantId,
        user: UserId,
        name: &SecretName,
        confirmed: Confirmed,
        actor: Actor,
    ) -> Result<Secret<String>, Error> {
        let place = Place { tenant: tenant.clone(), user, name: name.as_str().to_owned() };
        let (secret, now) = (self.opened(&place).await?, self.clock.now());
        self.db
            .free(tenant, move |tx| {
                confirmed.use_up(tx)?;
                if !store::touch(tx, user, &place.name, now)? {
                    return Err(Error::NotFound);
                }
                Ok(actor.append(tx, now, &about(Action::SecretReveal, &place))?)
            })
            .await?;
        Ok(secret)
    }

    /// Keeps a secret, in place of one of that name. Also says whether there was none.
    pub(super) async fn keep(
        &self,
        tenant: &TenantId,
        user: UserId,
        name: &SecretName,
        description: String,
        value: Secret<String>,
        actor: Actor,
    ) -> Result<(KeptSecret, bool), Error> {
        let place = Place { tenant: tenant.clone(), user, name: name.as_str().to_owned() };
        let now = self.clock.now();
        let secret = KeptSecret {
            name: place.name.clone(),
            description,
            hint: hint(value.reveal()),
            created_at: now,
            updated_at: now,
            last_used_at: None,
        };
        for _ in 0..ATTEMPTS {
            let key = self.current(tenant).await?;
            let sealed = sealing::seal(&key, &place, value.reveal(), &self.random).map_err(|_| Error::NotSealed)?;
            let (secret, place, actor) = (secret.clone(), place.clone(), actor.clone());
            let kept = self.db.write(tenant, move |tx| {
                // INVARIANT: nothing is closed with a master key that another has replaced: it may be gone by now.
                if store::current_key(tx)?.as_ref() != Some(&key.id) {
                    return Ok(None);
                }
                let before = store::find(tx, user, &place.name)?;
                if before.is_none() && OF_ONE_MAX <= store::count(tx, user)? {
                    return Err(Error::TooMany { max: OF_ONE_MAX });
                }
                if !store::put(tx, user, &secret, &sealed, &key.id)? {
                    return Err(Error::NotFound);
                }
                let told = serde_json::json!({ "description": secret.description });
                actor.append(tx, now, &about(Action::SecretSet, &place).after(told))?;
                let created_at = before.as_ref().map_or(now, |it| it.created_at);
                Ok(Some((KeptSecret { created_at, ..secret.clone() }, before.is_none())))
            });
            if let Some(kept) = kept.await? {
                return Ok(kept);
            }
        }
        Err(Error::KeyChanged)
    }

    pub(super) async fn remove(
        &self,
        tenant: &TenantId,
        user: UserId,
        name: &SecretName,
        actor: Actor,
    ) -> Result<(), Error> {
        let place = Place { tenant: tenant.clone(), user, name: name.as_str().to_owned() };
        let now = self.clock.now();
        self.db
            .free(tenant, move |tx| {
                if !store::delete(tx, user, &place.name)? {
                    return Err(Error::NotFound);
                }
                Ok(actor.append(tx, now, &about(Action::SecretDelete, &place))?)
            })
            .await
    }

    async fn opened(&self, place: &Place) -> Result<Secret<String>, Error> {
        let mut missing = String::new();
        for _ in 0..ATTEMPTS {
            let (user, name) = (place.user, place.name.clone());
            let found = self.db.get(&place.tenant, move |tx| store::find_sealed(tx, user, &name)).await;
            let (sealed, key_id) = found.map_err(Error::Db)?.ok_or(Error::NotFound)?;
            if key_id == missing {
                break;
            }
            match self.key(&place.tenant, &key_id).await {
                Ok(key) => {
                    return sealing::open(&key, place, &sealed).map_err(|_| {
                        tracing::error!(user.id = %place.user, key.id = key_id, "a secret does not open");
                        Error::Damaged
                    });
                }
                // Between the two looks it may have been closed anew, and the master key removed.
                Err(Error::KeyMissing { .. }) => missing = key_id,
                Err(cause) => return Err(cause),
            }
        }
        tracing::error!(user.id = %place.user, key.id = missing, "the master key of a secret is not here");
        Err(Error::KeyMissing { id: missing })
    }
}

fn about(action: Action, place: &Place) -> Entry {
    Entry::new(action).about("secret", &format!("{}/{}", place.user, place.name))
}

/// The secrets of someone, without what they are.
pub(super) async fn list(db: &Db, tenant: &TenantId, user: UserId) -> Result<Vec<KeptSecret>, Error> {
    db.read(tenant, move |tx| store::list(tx, user, OF_ONE_MAX)).await.map_err(Error::Db)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    /// The time of a note is the server's, and a secret that is gone has none.
    #[tokio::test]
    async fn a_secret_that_is_opened_for_its_owner_is_noted_as_used() -> Result<(), Error> {
        let (db, main, random) = (Db::in_memory()?, TenantId::main(), Random::system());
        let clock = Clock::stopped_at(Timestamp::from_millis(1_000));
        db.create_tenant(&main)?;
        let user: UserId = random.id(&clock);
        let insert = move |tx: &mut Tx<'_>| {
            let sql = "INSERT INTO users (id, email, email_verified, name, role, password_hash, version, created_at,
                                          updated_at)
                       VALUES ($1, 'ada@example.com', 1, '', 'user', '', 1, 0, 0)";
            tx.execute(sql, &[user.into()]).map(drop)
        };
        db.write::<_, db::Error>(&main, insert).await?;
        let vault = Vault { db: db.clone(), clock, random, config: View::fixed(SecretsConfig::default()) };
        let name = "openai".parse().expect("a name");
        vault.keep(&main, user, &name, String::new(), Secret::new("sk-1234".to_owned()), Actor::server()).await?;

        let opened = vault.open(&main, user, "openai").await?;

        assert_eq!(opened.reveal(), "sk-1234");
        let listed = list(&db, &main, user).await?;
        assert_eq!(listed[0].last_used_at, Some(Timestamp::from_millis(1_000)));
        assert!(matches!(vault.open(&main, user, "other").await, Err(Error::NotFound)));
        Ok(())
    }
}
