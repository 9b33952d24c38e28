//! What a secret from a mail does, once it was shown to be one: the parts that more than one endpoint needs.
use super::api::AccountsApi;
use super::devices::guesser;
use super::error::{Error, SECRET_INVALID};
use super::model::User;
use super::one_time::{OneTimeId, Purpose};
use super::throttle::{self, Guesser};
use super::{device_store, mail_job, one_time_store, owned_keys_store, pending_store, second_factor_store, store};
use crate::base::text::normalize_email;
use crate::base::{JobId, Secret, SessionId, TenantId, Timestamp, UserId};
use crate::db::{self, Tx};
use crate::features::audit::{Action, Actor, Entry, Refusals, Trail};
use crate::http::problem::{Fault, INVALID};
use crate::http::{Caller, SentFrom};
use mail_job::AccountMail;

/// The secret of a link, or a code with the address that it was sent to.
pub(super) enum Evidence {
    Link(String),
    Code { email: String, code: String },
}

/// What someone shows, and on which device.
pub(super) struct Shown {
    what: Evidence,
    device_token: Option<String>,
}

impl Shown {
    /// What was sent, of which one must be there.
    pub(super) fn read(token: Option<String>, email: Option<String>, code: Option<String>) -> Result<Self, Error> {
        let what = match (token, email, code) {
            (Some(token), None, None) => Evidence::Link(token),
            (None, Some(email), Some(code)) => Evidence::Code { email, code },
            _ => {
                let detail = "send either `token`, or `email` and `code`";
                return Err(Error::Invalid(vec![Fault::new("", "conflict", detail)]));
            }
        };
        Ok(Self { what, device_token: None })
    }

    /// On a device that may be known.
    pub(super) fn on(self, device_token: Option<String>) -> Self {
        Self { device_token, ..self }
    }
}

/// What is kept of the password of an account that has none.
const NO_PASSWORD: &str = "";

/// A secret that was right a moment ago. Using it up decides.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub id: OneTimeId,
    pub user: UserId,
    pub purpose: Purpose,
    /// That it was sent to.
    pub email: String,
}

impl AccountsApi {
    /// Whose a secret is, if it works for one of `purposes`. Counts the attempt, and refuses it beyond the limits.
    pub(super) async fn find_secret(
        &self,
        tenant: &TenantId,
        shown: Shown,
        purposes: &'static [Purpose],
        from: SentFrom,
        trail: &Trail,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let config = self.config.get();
        let found = match shown.what {
            Evidence::Link(link) => {
                let attempt = throttle::attempt_setup(&self.kv, &config, from, now)?;
                let read = purposes.iter().find_map(|it| Some((*it, self.one_time.read_link(tenant, *it, &link)?)));
                match read {
                    Some((purpose, id)) => {
                        // Only who was sent it has a link that we signed: one that was used before is no guess.
                        attempt.was_not_judged(&self.kv);
                        self.find_row(tenant, purpose, id, now).await?
                    }
                    None => None,
                }
            }
            Evidence::Code { email, code } => {
                let email = normalize_email(&email).unwrap_or(email);
                let device = self.known_device(tenant, &email, shown.device_token.as_deref(), now).await?;
                let (kind, guesser) = (purposes[0], guesser(device, &email));
                let attempt = throttle::attempt_code(&self.kv, &config, tenant, kind, guesser, from, now)?;
                let digest = self.one_time.code_digest(tenant, kind, &email, &code);
                let found = self.find_code(tenant, purposes, email, &code, now).await?;
                if found.is_some() {
                    // Before it is used up: whoever comes second finds either the code or this.
                    throttle::code_was_right(&self.kv, &digest, now);
                    attempt.succeeded(&self.kv);
                } else if throttle::was_right_just_now(&self.kv, &digest, now) {
                    attempt.was_not_judged(&self.kv);
                }
                found
            }
        };
        if found.is_none() {
            // By address: nobody learns from the trail, nor by the time, whether there is such an account.
            let who = from.client.throttle_key().map(|it| it.to_string()).unwrap_or_default();
            self.tell_of_wrong(tenant, &who, trail.of_stranger(), SECRET_INVALID.code).await;
        }
        found.ok_or(Error::SecretInvalid)
    }

    /// Refuses whoever has a mail about an account, and not its password: somebody else may have registered with their
    /// address. The secret cannot be used up after a change of the password, which takes all secrets.
    pub(super) async fn must_be_theirs(
        &self,
        tenant: &TenantId,
        found: &Found,
        password: String,
        from: SentFrom,
        trail: &Trail,
        now: Timestamp,
    ) -> Result<(), Error> {
        let user = found.user;
        let find = move |tx: &mut Tx<'_>| store::find_user(tx, user);
        let user = self.db.get(tenant, find).await?.ok_or(Error::SecretInvalid)?;
        // Nobody has the secret but who reads the mail: others who guess close nothing here.
        let told = (Guesser::Secret(found.id), trail.of_stranger());
        if self.is_password_of(tenant, (user.id, &user.email), told, password, from, now).await? {
            return Ok(());
        }
        let detail =
            "is not that of the account; a new one, asked for at `/auth/forgot-password`, verifies the address too";
        Err(Error::Invalid(vec![Fault::new("/password", "wrong", detail)]))
    }

    async fn find_row(
        &self,
        tenant: &TenantId,
        purpose: Purpose,
        id: OneTimeId,
        now: Timestamp,
    ) -> Result<Option<Found>, db::Error> {
        let found = self.db.get(tenant, move |tx| one_time_store::find(tx, id, purpose, now)).await?;
        Ok(found.map(|(user, email)| Found { id, user, purpose, email }))
    }

    async fn find_code(
        &self,
        tenant: &TenantId,
        purposes: &'static [Purpose],
        email: String,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Found>, db::Error> {
        let since = now.minus(self.config.get().code_lifetime());
        let asked = email.clone();
        let candidates = self
            .db
            .read(tenant, move |tx| {
                let Some((user, _)) = store::find_user_and_hash(tx, &asked)? else { return Ok(Vec::new()) };
                let mut candidates = Vec::new();
                for purpose in purposes.iter().filter(|it| it.has_code()) {
                    let live = one_time_store::live(tx, user, *purpose, since, now)?;
                    candidates.extend(live.into_iter().map(|id| (id, user, *purpose)));
                }
                Ok::<_, db::Error>(candidates)
            })
            .await?;
        let is_it =
            |(id, _, purpose): &(OneTimeId, UserId, Purpose)| self.one_time.is_code(tenant, *purpose, *id, code);
        let found = candidates.into_iter().find(is_it);
        Ok(found.map(|(id, user, purpose)| Found { id, user, purpose, email }))
    }

    /// Has a mail sent to an address that someone names who did not sign in, whether it has an account or not.
    pub(super) async fn ask_for_mail(
        &self,
        email: &str,
        from: SentFrom,
        purpose: Purpose,
        mail: fn(String) -> AccountMail,
    ) -> Result<(), Error> {
        let email = normalize_email(email).map_err(|why| Error::Invalid(vec![Fault::new("/email", "email", why)]))?;
        let (config, tenant, now) = (self.config.get(), TenantId::main(), self.clock.now());
        throttle::ask_for_mail(&self.kv, &config, &tenant, purpose, &email, from, now)?;
        let (job, mail): (JobId, _) = (self.random.id(&self.clock), mail(email));
        // Also when the disk is nearly full: whoever is to make room may have forgotten the password.
        self.db.free(&tenant, move |tx| mail_job::promise(tx, job, &mail, now)).await?;
        Ok(())
    }

    /// Two ids of jobs.
    pub(super) fn two_ids(&self) -> [JobId; 2] {
        [self.random.id(&self.clock), self.random.id(&self.clock)]
    }

    /// Whether people who register have to show first that the address is theirs.
    pub(super) fn needs_verification(&self) -> bool {
        self.config.get().needs_verification(self.mails.are_sent())
    }

    /// Has someone who is signed in show their password again: a session that was left open changes nothing for good.
    /// Wrong ones are counted for the session: no stranger who guesses keeps its owner from a new password.
    pub(super) async fn confirm(
        &self,
        caller: &Caller,
        password: String,
        pointer: &str,
        from: SentFrom,
        trail: &Trail,
    ) -> Result<SessionId, Error> {
        let (user, session) = caller.user().map_err(|_| Error::TokenInvalid)?;
        let now = self.clock.now();
        let told = (Guesser::Session(session), trail.of(caller));
        let whose = (user, caller.principal().email.as_str());
        if self.is_password_of(caller.tenant(), whose, told, password, from, now).await? {
            return Ok(session);
        }
        Err(Error::Invalid(vec![Fault::new(pointer, "wrong", "is not your password")]))
    }
}

impl AccountsApi {
    /// Whether a password is that of an account. Counted for whoever guesses, and told of if it is wrong.
    async fn is_password_of(
        &self,
        tenant: &TenantId,
        (user, email): (UserId, &str),
        (guesser, actor): (Guesser<'_>, Actor),
        password: String,
        from: SentFrom,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let attempt = throttle::attempt(&self.kv, &self.config.get(), tenant, guesser, from, now)?;
        let kept = self.db.get(tenant, move |tx| store::find_hash(tx, user)).await?;
        let judged = self.passwords.is_right(Secret::new(password), kept, email).await;
        let is_right = judged.inspect_err(|_| attempt.was_not_judged(&self.kv))?;
        if is_right {
            attempt.succeeded(&self.kv);
        } else {
            self.tell_of_wrong(tenant, &user.to_string(), actor, INVALID.code).await;
        }
        Ok(is_right)
    }

    /// Notes in the audit trail that somebody showed a wrong password or code, in `who`'s name.
    pub(super) async fn tell_of_wrong(&self, tenant: &TenantId, who: &str, actor: Actor, reason: &'static str) {
        let (db, kv, clock) = (self.db.clone(), self.kv.clone(), self.clock.clone());
        let entry = Entry::new(Action::Confirm).refused(reason);
        Refusals { db, kv, clock }.tell(tenant, who, actor, entry).await;
    }
}

/// Uses a secret up, and notes that whoever did so reads the mails of its address. Returns them as they are then.
pub(super) fn use_up(
    tx: &mut Tx<'_>,
    found: &Found,
    [welcome, emptied]: [JobId; 2],
    trail: &Trail,
    now: Timestamp,
) -> Result<User, Error> {
    if !one_time_store::use_up(tx, found.id, found.user, found.purpose, now)? {
        return Err(Error::SecretInvalid);
    }
    if store::verify_email(tx, found.user, &found.email, now)? {
        one_time_store::delete(tx, found.user, Purpose::VerifyEmail)?;
        let comes_by_mail = matches!(found.purpose, Purpose::SignIn | Purpose::ResetPassword);
        // What an admin or a setup link made was nobody else's before.
        if comes_by_mail && pending_store::is_self_registered(tx, found.user)? {
            empty(tx, found, trail, now)?;
            mail_job::promise(tx, emptied, &AccountMail::Emptied { user: found.user.to_string() }, now)?;
        }
        mail_job::promise(tx, welcome, &AccountMail::Welcome { user: found.user.to_string() }, now)?;
    }
    store::find_user(tx, found.user)?.filter(|it| it.disabled_at.is_none()).ok_or(Error::SecretInvalid)
}

/// Takes from an account all ways into it that there were before: somebody made it who may not be who reads the mails of
/// its address, and who showed now that they do gets it to themselves.
fn empty(tx: &mut Tx<'_>, found: &Found, trail: &Trail, now: Timestamp) -> Result<(), Error> {
    let (user, actor) = (found.user, trail.of_user(found.user, &found.email));
    store::set_password(tx, user, NO_PASSWORD, now)?;
    store::delete_sessions_of(tx, user, now)?;
    if second_factor_store::delete(tx, user)? {
        actor.append(tx, now, &Entry::new(Action::SecondFactorOff).about("user", &user))?;
    }
    one_time_store::delete_all(tx, user)?;
    device_store::forget(tx, user, None)?;
    owned_keys_store::revoke_all(tx, user, &actor, now)?;
    Ok(actor.append(tx, now, &Entry::new(Action::AccountEmptied).about("user", &user))?)
}
