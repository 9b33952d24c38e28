//! The endpoints of what goes by mail: verifying an address, a new password, signing in without one.
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use serde_json::json;

use super::api::{AccountsApi, SignInAnswer, checked_email};
use super::devices::Arrival;
use super::error::Error;
use super::flows::{self, Shown};
use super::flows_model::{EmailChange, EmailOnly, EmailSecret, EmailSignIn, PasswordChange, PasswordReset};
use super::mail_job::{self, AccountMail};
use super::one_time::Purpose;
use super::{device_store, one_time_store, owned_keys_store, store, throttle};
use crate::base::{JobId, Secret, TenantId, UserId};
use crate::db::{self, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::features::roles;
use crate::http::openapi::Tag;
use crate::http::problem::{Fault, Problem};
use crate::http::query::NoQuery;
use crate::http::{Browser, Caller, Client, Input, Permissions, SentFrom};

/// The endpoints of what goes by mail, with what they need.
#[derive(Clone, Debug)]
pub struct FlowsApi {
    pub accounts: AccountsApi,
}

#[derive(ApiResponse)]
enum Taken {
    /// If the address has an account, a mail is on its way.
    #[oai(status = 202)]
    Taken,
}

#[derive(ApiResponse)]
enum Done {
    /// It is done.
    #[oai(status = 204)]
    Done,
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Accounts")]
impl FlowsApi {
    /// Verify an address
    ///
    /// With the secret of the link, or the code, that was sent to it: after registering, or for a change of the address.
    /// A `password` that is sent has to be that of the account, and a wrong one does not use the secret up.
    #[oai(path = "/auth/verify-email", method = "post", operation_id = "verify_email")]
    async fn verify_email(
        &self,
        _query: NoQuery,
        from: SentFrom,
        trail: Trail,
        body: Input<EmailSecret>,
    ) -> Result<Done, Problem> {
        const PURPOSES: &[Purpose] = &[Purpose::VerifyEmail, Purpose::ChangeEmail];
        let EmailSecret { token, email, code, password, device_token } = body.read()?;
        let (own, tenant, now) = (&self.accounts, TenantId::main(), self.accounts.clock.now());
        let shown = Shown::read(token, email, code)?.on(device_token);
        let found = own.find_secret(&tenant, shown, PURPOSES, from, &trail, now).await?;
        if let Some(password) = password {
            own.must_be_theirs(&tenant, &found, password, from, &trail, now).await?;
        }

        let (user, [job, other]): (_, [JobId; 2]) = (found.user, own.two_ids());
        own.db
            .write(&tenant, move |tx| {
                if found.purpose == Purpose::VerifyEmail {
                    let user = flows::use_up(tx, &found, [job, other], &trail, now)?;
                    let entry = Entry::new(Action::EmailVerify).about("user", &user.id);
                    return Ok(trail.of_user(user.id, &user.email).append(tx, now, &entry)?);
                }
                let old = store::find_user(tx, found.user)?.filter(|it| it.disabled_at.is_none());
                let old = old.ok_or(Error::SecretInvalid)?;
                if !one_time_store::use_up(tx, found.id, found.user, found.purpose, now)? {
                    return Err(Error::SecretInvalid);
                }
                store::set_email(tx, found.user, &found.email, now)?;
                // What was sent to the old address is not for whoever reads it now.
                one_time_store::delete_all(tx, found.user)?;
                let entry = Entry::new(Action::EmailChange).about("user", &old.id);
                let (before, after) = (json!({ "email": old.email }), json!({ "email": found.email }));
                let entry = entry.before(before).after(after);
                trail.of_user(old.id, &old.email).append(tx, now, &entry)?;
                let notice = AccountMail::EmailChanged { user: old.id.to_string(), email: old.email, at: now.millis() };
                Ok(mail_job::promise(tx, job, &notice, now)?)
            })
            .await?;

        own.gate.forget_user(user);
        Ok(Done::Done)
    }

    /// Send the mail that verifies an address again
    ///
    /// The answer is the same whether the address has an account or not.
    #[oai(path = "/auth/resend-verification", method = "post", operation_id = "resend_verification")]
    async fn resend_verification(
        &self,
        _query: NoQuery,
        from: SentFrom,
        body: Input<EmailOnly>,
    ) -> Result<Taken, Problem> {
        let email = body.read()?.email;
        self.accounts
            .ask_for_mail(&email, from, Purpose::VerifyEmail, |email| AccountMail::Verification { email })
            .await?;
        Ok(Taken::Taken)
    }

    /// Ask for a new password
    ///
    /// A link and a code are sent to the address. The answer is the same whether it has an account or not.
    #[oai(path = "/auth/forgot-password", method = "post", operation_id = "forgot_password")]
    async fn forgot_password(&self, _query: NoQuery, from: SentFrom, body: Input<EmailOnly>) -> Result<Taken, Problem> {
        let email = body.read()?.email;
        self.accounts
            .ask_for_mail(&email, from, Purpose::ResetPassword, |email| AccountMail::ResetPassword { email })
            .await?;
        Ok(Taken::Taken)
    }

    /// Choose a new password
    ///
    /// With the secret of the link, or the code, that was sent to the address. All devices are signed out, and API
    /// keys of one's own are revoked. A password that is refused does not use the secret up.
    #[oai(path = "/auth/reset-password", method = "post", operation_id = "reset_password")]
    async fn reset_password(
        &self,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        trail: Trail,
        body: Input<PasswordReset>,
    ) -> Result<Done, Problem> {
        const PURPOSES: &[Purpose] = &[Purpose::ResetPassword];
        let PasswordReset { token, email, code, new_password, device_token } = body.read()?;
        let (own, tenant, now) = (&self.accounts, TenantId::main(), self.accounts.clock.now());
        let shown = Shown::read(token, email, code)?.on(device_token);
        let found = own.find_secret(&tenant, shown, PURPOSES, from, &trail, now).await?;
        let (user, email) = (found.user, found.email.clone());
        let hash = self.new_hash(&tenant, user, new_password, Error::SecretInvalid).await?;

        let (mails, notice): (_, JobId) = (own.two_ids(), own.random.id(&own.clock));
        own.db
            .free(&tenant, move |tx| {
                let user = flows::use_up(tx, &found, mails, &trail, now)?;
                store::set_password(tx, user.id, &hash, now)?;
                store::delete_sessions_of(tx, user.id, now)?;
                device_store::forget(tx, user.id, None)?;
                one_time_store::delete_all(tx, user.id)?;
                let actor = trail.of_user(user.id, &user.email);
                // Whoever knew the password may have made themselves a key.
                let revoked = owned_keys_store::revoke_all(tx, user.id, &actor, now)?;
                let entry = Entry::new(Action::PasswordReset).about("user", &user.id);
                actor.append(tx, now, &entry.after(json!({ "revokedKeys": revoked })))?;
                let mail = AccountMail::password_changed(&user, &client, now, 0, revoked);
                Ok::<_, Error>(mail_job::promise(tx, notice, &mail, now)?)
            })
            .await?;

        own.gate.forget_user(user);
        throttle::forgive_second_factor(&own.kv, &tenant, &email, now);
        Ok(Done::Done)
    }

    /// Change one's own password
    ///
    /// All other devices are signed out, and known no more; this session stays. API keys of one's own go on working, unless
    /// `revokeKeys` says otherwise; the mail that tells of the change says how many do.
    #[oai(path = "/auth/change-password", method = "post", operation_id = "change_password")]
    async fn change_password(
        &self,
        caller: Caller,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        trail: Trail,
        body: Input<PasswordChange>,
    ) -> Result<Done, Problem> {
        let (user, session) = caller.user()?;
        let PasswordChange { current_password, new_password, revoke_keys } = body.read()?;
        let revokes = revoke_keys.unwrap_or(false);
        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        own.confirm(&caller, current_password, "/currentPassword", from, &trail).await?;
        let hash = self.new_hash(tenant, user, new_password, Error::NotFound).await?;

        let (job, actor): (JobId, _) = (own.random.id(&own.clock), trail.of(&caller));
        own.db
            .free(tenant, move |tx| {
                let user = store::find_user(tx, user)?.ok_or(Error::NotFound)?;
                // Two changes at once: the one whose session the other ended is refused.
                let Some(session) = store::find_live_session(tx, session, now)? else {
                    return Err(Error::TokenInvalid);
                };
                store::set_password(tx, user.id, &hash, now)?;
                store::end_other_sessions(tx, user.id, session.id, now)?;
                device_store::forget(tx, user.id, session.device)?;
                one_time_store::delete_all(tx, user.id)?;
                let revoked = if revokes { owned_keys_store::revoke_all(tx, user.id, &actor, now)? } else { 0 };
                let left = owned_keys_store::count_live(tx, user.id, now)?;
                actor.append(tx, now, &Entry::new(Action::PasswordChange).about("user", &user.id))?;
                let mail = AccountMail::password_changed(&user, &client, now, left, revoked);
                Ok(mail_job::promise(tx, job, &mail, now)?)
            })
            .await?;

        own.gate.forget_user(user);
        throttle::forget_second_factor(&own.kv, tenant, &caller.principal().email);
        Ok(Done::Done)
    }

    /// Change one's own address
    ///
    /// A link is sent to the new address, which counts once the link was opened. The old one gets a notice then.
    #[oai(path = "/auth/change-email", method = "post", operation_id = "change_email")]
    async fn change_email(
        &self,
        caller: Caller,
        _query: NoQuery,
        from: SentFrom,
        trail: Trail,
        body: Input<EmailChange>,
    ) -> Result<Taken, Problem> {
        let (user, session) = caller.user()?;
        let EmailChange { new_email, password } = body.read()?;
        let email = checked_email(&new_email)
            .map_err(|it| Error::Invalid(vec![Fault { pointer: "/newEmail".into(), ..it }]))?;
        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        own.confirm(&caller, password, "/password", from, &trail).await?;
        throttle::ask_for_mail(&own.kv, &own.config.get(), tenant, Purpose::ChangeEmail, &email, from, now)?;

        let job: JobId = own.random.id(&own.clock);
        own.db
            .write(tenant, move |tx| {
                store::must_be_live(tx, session, now)?;
                let generation = Some(device_store::generation(tx, user)?);
                let mail = AccountMail::ChangeEmail { user: user.to_string(), email: email.clone(), generation };
                Ok::<_, Error>(mail_job::promise(tx, job, &mail, now)?)
            })
            .await?;

        Ok(Taken::Taken)
    }

    /// Ask for a code to sign in with
    ///
    /// Instead of a password. The answer is the same whether the address has an account or not.
    #[oai(path = "/auth/email-sign-in", method = "post", operation_id = "request_sign_in_code")]
    async fn request_code(&self, _query: NoQuery, from: SentFrom, body: Input<EmailOnly>) -> Result<Taken, Problem> {
        let email = body.read()?.email;
        self.accounts.ask_for_mail(&email, from, Purpose::SignIn, |email| AccountMail::Code { email }).await?;
        Ok(Taken::Taken)
    }

    /// Sign in with a code
    ///
    /// Or with the secret of the link that was sent with it.
    #[oai(path = "/auth/email-sign-in/confirm", method = "post", operation_id = "sign_in_with_code")]
    async fn sign_in(
        &self,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        browser: Browser,
        trail: Trail,
        body: Input<EmailSignIn>,
    ) -> Result<SignInAnswer, Problem> {
        const PURPOSES: &[Purpose] = &[Purpose::SignIn];
        let EmailSignIn { token, email, code, device_token, session } = body.read()?;
        let way = self.accounts.way(session, &browser)?;
        let (own, tenant, now) = (&self.accounts, TenantId::main(), self.accounts.clock.now());
        let shown = Shown::read(token, email, code)?.on(device_token.clone());
        let found = own.find_secret(&tenant, shown, PURPOSES, from, &trail, now).await?;
        let device = own.known_device(&tenant, &found.email, device_token.as_deref(), now).await?;

        let (user, email, mails) = (found.user, found.email.clone(), own.two_ids());
        let arrival = Arrival { client, device, way };
        let emptying = trail.clone();
        let use_up = move |tx: &mut Tx<'_>| flows::use_up(tx, &found, mails, &emptying, now).map(drop);
        let (signed_in, cookie) = own.enter(&tenant, user, email, arrival, &trail, now, use_up).await?;

        // Who they are to others has changed if the address was verified by this.
        own.gate.forget_user(user);
        Ok(SignInAnswer::SignIn(Json(signed_in), cookie))
    }
}

impl FlowsApi {
    /// The form in which a new password is kept, if it will do.
    async fn new_hash(
        &self,
        tenant: &TenantId,
        user: UserId,
        password: String,
        if_gone: Error,
    ) -> Result<String, Error> {
        let own = &self.accounts;
        let password = Secret::new(password);
        let find = move |tx: &mut Tx<'_>| {
            let permissions = roles::permissions_of_user(tx, user)?;
            Ok::<_, db::Error>(store::find_user(tx, user)?.map(|it| (it, permissions == Some(Permissions::All))))
        };
        let (user, may_all) = own.db.get(tenant, find).await?.ok_or(if_gone)?;
        if let Some(fault) = own.passwords.fault(password.clone(), may_all, &user.email, &user.name).await? {
            return Err(Error::Invalid(vec![Fault { pointer: "/newPassword".to_owned(), ..fault }]));
        }
        own.passwords.hash(password).await
    }
}
