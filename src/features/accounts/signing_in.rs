//! How someone comes to have a session: with the checks and the transactions that several endpoints share.
use serde_json::json;

use std::time::Duration;

use super::api::{AccountsApi, checked_email, checked_name};
use super::devices::Arrival;
use super::error::{EMAIL_TAKEN, Error};
use super::mail_job::{self, AccountMail};
use super::model::{Session, TokenPair, User};
use super::one_time::{self, Purpose};
use super::refresh::session_end;
use super::second_factor_model::{SecondFactorNeeded, SignIn};
use super::token::{Access, RefreshToken};
use super::way::Admitted;
use super::{device_store, one_time_store, pending_store, second_factor_store, store, throttle};
use crate::base::{JobId, Secret, TenantId, Timestamp, UserId};
use crate::config::AccountsConfig;
use crate::db::{self, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::features::roles::{self, RoleName};
use crate::http::problem::Fault;
use crate::http::{Client, Permissions};

/// How long someone may take to show the second factor after the password.
const SECOND_FACTOR_WITHIN: Duration = Duration::from_secs(300);

/// Someone who wants an account, checked.
pub(super) struct Newcomer {
    pub user: User,
    pub password: Secret<String>,
}

/// Whose password was right.
pub(super) struct Judged {
    pub user: UserId,
    /// How often it had been replaced when it was looked at. Whoever signs in with it asks again whether it still counts.
    pub generation: i64,
    /// Its hash as kept and as it should be, if passwords have another cost now, or it is kept as elsewhere.
    pub new_hash: Option<(String, String)>,
}
impl AccountsApi {
    /// Checks what someone wants to be known by; everything that is wrong with it at once.
    pub(super) async fn newcomer(
        &self,
        tenant: &TenantId,
        email: &str,
        password: String,
        name: Option<String>,
        role: RoleName,
    ) -> Result<Newcomer, Error> {
        let mut faults = Vec::new();
        let mut checked = |value: Result<String, Fault>| value.map_err(|fault| faults.push(fault)).unwrap_or_default();
        let email = checked(checked_email(email));
        let name = checked(checked_name(&name.unwrap_or_default()));
        let (password, named) = (Secret::new(password), role.clone());
        let permissions = self.db.get(tenant, move |tx| roles::permissions_of(tx, &named)).await?;
        let may_all = permissions == Some(Permissions::All);
        faults.extend(self.passwords.fault(password.clone(), may_all, &email, &name).await?);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        let now = self.clock.now();
        let user = User {
            id: self.random.id(&self.clock),
            email,
            email_verified: false,
            name,
            role,
            permissions: Vec::new(),
            tier: None,
            disabled_at: None,
            deleted_at: None,
            fields: None,
            usage_count: 0,
            created_at: now,
            updated_at: now,
            last_sign_in_at: None,
            version: 1,
        };
        Ok(Newcomer { user, password })
    }

    /// Whose account it is, if the password is right. Takes as long if there is no account.
    pub(super) async fn judge(
        &self,
        tenant: &TenantId,
        email: String,
        password: Secret<String>,
    ) -> Result<Option<Judged>, Error> {
        let asked = email.clone();
        let found = self
            .db
            .get(tenant, move |tx| {
                let Some((user, hash)) = store::find_user_and_hash(tx, &asked)? else { return Ok(None) };
                let generation = device_store::generation(tx, user)?;
                Ok::<_, db::Error>(Some((user, hash, generation, !pending_store::is_pending(tx, user)?)))
            })
            .await?;
        let kept = found.as_ref().map(|(_, hash, ..)| hash.clone());
        let is_right = self.passwords.is_right(password.clone(), kept, &email).await?;
        // Someone who has to show first that the address is theirs is told nothing else than a stranger: otherwise
        // registering and signing in would tell whether an address has an account.
        let Some((user, kept, generation, true)) = found.filter(|_| is_right) else {
            return Ok(None);
        };
        if self.passwords.has_todays_form(&kept) {
            return Ok(Some(Judged { user, generation, new_hash: None }));
        }
        // If the threads are busy, the next sign-in does it.
        let new = self.passwords.hash(password).await.ok();
        Ok(Some(Judged { user, generation, new_hash: new.map(|new| (kept, new)) }))
    }

    /// Signs someone in who has shown that an account is theirs, or asks for their second factor. `first` is done in the
    /// same transaction, before anything else.
    #[expect(clippy::too_many_arguments, reason = "as those of signing in")]
    pub(super) async fn enter(
        &self,
        tenant: &TenantId,
        user: UserId,
        email: String,
        arrival: Arrival,
        trail: &Trail,
        now: Timestamp,
        mut first: impl FnMut(&mut Tx<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<(SignIn, Option<String>), Error> {
        let is_on = move |tx: &mut Tx<'_>| second_factor_store::is_on(tx, user);
        if !self.db.get(tenant, is_on).await? {
            let first = move |tx: &mut Tx<'_>| match second_factor_store::is_on(tx, user)? {
                // It was turned on between the two.
                true => Err(Error::WrongCredentials),
                false => first(tx),
            };
            return Ok(self.sign_in(tenant, user, arrival, trail, now, first).await?.signed_in());
        }
        let (id, expires_at) = (self.random.id(&self.clock), now.plus(SECOND_FACTOR_WITHIN));
        let (purpose, device) = (Purpose::SecondFactor, arrival.device);
        let row = one_time::Row { id, user, purpose, email, device, created_at: now, expires_at };
        let is_on = self
            .db
            .free(tenant, move |tx| {
                first(tx)?;
                let is_on = second_factor_store::is_on(tx, user)?;
                if is_on {
                    one_time_store::insert(tx, &row)?;
                }
                Ok::<_, Error>(is_on)
            })
            .await?;
        if !is_on {
            // It was not theirs, and went with all that somebody else had left in the account.
            return Ok(self.sign_in(tenant, user, arrival, trail, now, |_| Ok(())).await?.signed_in());
        }
        if device.is_none() && throttle::is_to_be_told_of_asking(&self.kv, tenant, user, SECOND_FACTOR_WITHIN, now) {
            self.tell_of_guessing(tenant, user, now).await;
        }
        let needed = SecondFactorNeeded {
            mfa_required: true,
            mfa_token: self.one_time.link(tenant, Purpose::SecondFactor, id),
            methods: vec!["totp".to_owned(), "recovery".to_owned()],
        };
        Ok((SignIn::SecondFactorNeeded(needed), None))
    }

    /// Signs someone in who has shown who they are. `first` is done in the same transaction, before anything else.
    pub(super) async fn sign_in(
        &self,
        tenant: &TenantId,
        user: UserId,
        arrival: Arrival,
        trail: &Trail,
        now: Timestamp,
        mut first: impl FnMut(&mut Tx<'_>) -> Result<(), Error> + Send + 'static,
    ) -> Result<Admitted, Error> {
        let config = self.config.get();
        let way = arrival.way;
        let session = self.session(&config, user, arrival, now);
        let (opened, job): (_, JobId) = (session.clone(), self.random.id(&self.clock));
        let most = config.sessions_per_account_max;
        let trail = trail.clone();
        let (user, generation, ended) = self
            .db
            // Whoever is to free some room on the disk has to sign in first.
            .free(tenant, move |tx| {
                first(tx)?;
                store::set_last_sign_in(tx, user, now)?;
                store::insert_session(tx, &opened)?;
                if let Some(former) = way.former() {
                    // The browser has one cookie: what it had before is lost to it, and good for nobody else. It takes no
                    // room from another device either.
                    store::delete_session(tx, former, now)?;
                }
                let mut ended = store::end_surplus_sessions(tx, user, opened.id, most, now)?;
                let of_limit = ended.len();
                ended.extend(way.former());
                if store::is_new_client(tx, user, &opened.client.name, now)? {
                    let Client { name: client, address } = opened.client.clone();
                    let notice = AccountMail::NewSignIn { user: user.to_string(), at: now.millis(), client, address };
                    mail_job::promise(tx, job, &notice, now)?;
                }
                let user = store::find_user(tx, user)?.filter(|it| it.disabled_at.is_none());
                let user = user.ok_or(Error::WrongCredentials)?;
                let entry = Entry::new(Action::SignIn).about("session", &opened.id);
                let entry = if of_limit == 0 { entry } else { entry.after(json!({ "sessionsEnded": of_limit })) };
                trail.of_user(user.id, &user.email).append(tx, now, &entry)?;
                Ok::<_, Error>((user, device_store::generation(tx, opened.user_id)?, ended))
            })
            .await?;
        for session in ended {
            self.gate.forget_session(session);
        }
        self.admitted(&config, tenant, &session, generation, user, way, now)
    }

    /// Adds someone who has to show first that the address is theirs. What comes back is the same if it has an account
    /// already: then whoever reads its mails is told.
    pub(super) async fn add_pending(
        &self,
        tenant: &TenantId,
        newcomer: Newcomer,
        trail: &Trail,
    ) -> Result<User, Error> {
        let Newcomer { user, password } = newcomer;
        let hash = self.passwords.hash(password).await?;
        let (now, job): (_, JobId) = (self.clock.now(), self.random.id(&self.clock));
        let actor = trail.of_stranger();
        self.db
            .write(tenant, move |tx| {
                let mut is_someone_elses = false;
                match store::insert_user(tx, &user, &hash) {
                    Ok(()) => pending_store::set_pending(tx, user.id)?,
                    Err(Error::EmailTaken) => {
                        is_someone_elses = !pending_store::take_over_pending(tx, &user, &hash, now)?;
                    }
                    Err(other) => return Err(other),
                }
                let email = user.email.clone();
                let mail = match is_someone_elses {
                    true => AccountMail::AlreadyRegistered { email },
                    false => AccountMail::Verification { email },
                };
                mail_job::promise(tx, job, &mail, now)?;
                // Of an address that has an account nothing was done; an entry all the same, so that it takes as long.
                let entry = Entry::new(Action::Register).about("email", &user.email);
                let entry = if is_someone_elses { entry.refused(EMAIL_TAKEN.code) } else { entry };
                actor.append(tx, now, &entry)?;
                let granted = roles::permissions_of(tx, &user.role)?;
                Ok(User { permissions: granted.map_or_else(Vec::new, |it| it.names()), ..user.clone() })
            })
            .await
    }

    /// Adds someone and signs them in, in one transaction. With `setup_link`, only by using that up. With `mail`, they are
    /// sent a link that verifies the address.
    pub(super) async fn add_signed_in(
        &self,
        tenant: &TenantId,
        newcomer: Newcomer,
        arrival: Arrival,
        trail: &Trail,
        setup_link: Option<String>,
        mail: bool,
    ) -> Result<Admitted, Error> {
        let config = self.config.get();
        let hash = self.passwords.hash(newcomer.password).await?;
        let (now, job): (_, JobId) = (self.clock.now(), self.random.id(&self.clock));
        let user = User { last_sign_in_at: Some(now), ..newcomer.user };
        let way = arrival.way;
        let session = self.session(&config, user.id, arrival, now);
        let opened = session.clone();
        let actor = trail.of_user(user.id, &user.email);
        let action = if setup_link.is_some() { Action::SetupLinkUse } else { Action::Register };

        let user = self
            .db
            .write(tenant, move |tx| {
                if let Some(digest) = &setup_link
                    && !store::use_setup_link(tx, digest, now)?
                {
                    return Err(Error::SetupLinkInvalid);
                }
                let user = add(tx, &user, &hash)?;
                if setup_link.is_none() {
                    pending_store::set_self_registered(tx, user.id)?;
                }
                store::insert_session(tx, &opened)?;
                store::is_new_client(tx, user.id, &opened.client.name, now)?;
                actor.append(tx, now, &about_newcomer(action, &user))?;
                if mail {
                    mail_job::promise(tx, job, &AccountMail::Verification { email: user.email.clone() }, now)?;
                }
                Ok(user)
            })
            .await?;

        self.admitted(&config, tenant, &session, 0, user, way, now)
    }

    pub(super) fn session(
        &self,
        config: &AccountsConfig,
        user_id: UserId,
        arrival: Arrival,
        now: Timestamp,
    ) -> Session {
        let Arrival { client, device, way } = arrival;
        Session {
            id: self.random.id(&self.clock),
            user_id,
            refresh_counter: 1,
            created_at: now,
            refreshed_at: now,
            expires_at: session_end(config, now, now),
            client,
            device: Some(device.unwrap_or_else(|| self.random.id(&self.clock))),
            is_cookie: way.is_cookie(),
            actor_session: None,
        }
    }

    pub(super) fn token_pair(
        &self,
        config: &AccountsConfig,
        tenant: &TenantId,
        session: &Session,
        now: Timestamp,
    ) -> Result<TokenPair, Error> {
        // No access token outlives its session, also where it is remembered as verified.
        let expires_at = now.plus(config.access_token_lifetime()).min(session.expires_at);
        let access = Access { user: session.user_id, session: session.id, expires_at };
        let refresh = RefreshToken { session: session.id, counter: session.refresh_counter };
        Ok(TokenPair {
            access_token: self.tokens.access(self.server.get().url(), tenant, access, now)?,
            refresh_token: self.tokens.refresh(tenant, refresh),
            token_type: "Bearer".to_owned(),
            expires_in: now.until(expires_at).as_secs(),
        })
    }
}

/// The entry in the audit trail about someone who is there since now.
pub(super) fn about_newcomer(action: Action, user: &User) -> Entry {
    let told = json!({ "email": user.email, "name": user.name, "role": user.role.as_str() });
    Entry::new(action).about("user", &user.id).after(told)
}

/// Adds someone, and tells who that is now. Once there is an admin, all setup links have done their work.
pub(super) fn add(tx: &mut Tx<'_>, user: &User, password_hash: &str) -> Result<User, Error> {
    store::insert_user(tx, user, password_hash)?;
    if user.role.is_admin() {
        store::delete_setup_links(tx)?;
    }
    store::find_user(tx, user.id)?.ok_or(Error::NotFound)
}
