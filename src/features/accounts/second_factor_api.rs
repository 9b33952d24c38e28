//! The endpoints of second factors.
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::api::AccountsApi;
use super::devices::{Arrival, guesser};
use super::error::Error;
use super::mail_job::{self, AccountMail};
use super::model::{Entered, USERS_ADMIN};
use super::one_time::Purpose;
use super::second_factor_model::{
    AppCode, Challenge, Disabling, Enabling, RecoveryCodes, SecondFactorSecret, SecondFactorState,
};
use super::throttle::{Attempt, Guesser};
use super::totp::{self, Factor, Proof, RECOVERY_CODES};
use super::users_api::must_hold_role;
use super::{one_time_store, second_factor_store, store, throttle};
use crate::base::{JobId, TenantId, Timestamp, UserId};
use crate::db::Tx;
use crate::features::audit::{Action, Entry, Trail};
use crate::http::openapi::Tag;
use crate::http::problem::{Fault, Problem};
use crate::http::query::NoQuery;
use crate::http::{Browser, Caller, Client, Input, SentFrom};

/// For how long after signing in someone need not show the password again.
const FRESH_FOR: std::time::Duration = std::time::Duration::from_secs(600);

/// The endpoints of second factors, with what they need.
#[derive(Clone, Debug)]
pub struct SecondFactorApi {
    pub accounts: AccountsApi,
}

#[derive(ApiResponse)]
enum Done {
    /// It is done.
    #[oai(status = 204)]
    Done,
}

#[derive(ApiResponse)]
enum Admission {
    /// Someone who signed in.
    #[oai(status = 200)]
    Entered(Json<Entered>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1")]
impl SecondFactorApi {
    /// Look whether one has a second factor
    #[oai(path = "/auth/2fa", method = "get", operation_id = "show_second_factor", tag = "Tag::Accounts")]
    async fn show(&self, caller: Caller, _query: NoQuery) -> Result<Json<SecondFactorState>, Problem> {
        let (user, _) = caller.user()?;

        let find = move |tx: &mut Tx<'_>| second_factor_store::find(tx, user);
        let found = self.accounts.db.get(caller.tenant(), find).await?.filter(|it| it.is_confirmed);

        let left = found.map_or(0, |it| RECOVERY_CODES - it.recovery_used.count_ones().min(RECOVERY_CODES));
        Ok(Json(SecondFactorState { enabled: found.is_some(), recovery_codes_left: left }))
    }

    /// Begin a second factor
    ///
    /// Shows what an app needs to make codes. It counts once a code of it was sent to `/auth/2fa/verify`.
    #[oai(path = "/auth/2fa/enable", method = "post", operation_id = "enable_second_factor", tag = "Tag::Accounts")]
    async fn enable(
        &self,
        caller: Caller,
        _query: NoQuery,
        from: SentFrom,
        trail: Trail,
        body: Input<Option<Enabling>>,
    ) -> Result<Json<SecondFactorSecret>, Problem> {
        let (user, session) = caller.user()?;

        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        match body.read()?.and_then(|it| it.password) {
            Some(password) => drop(own.confirm(&caller, password, "/password", from, &trail).await?),
            None => {
                let find = move |tx: &mut Tx<'_>| store::find_live_session(tx, session, now);
                let begun = own.db.get(tenant, find).await?.ok_or(Error::TokenInvalid)?.created_at;
                if begun.plus(FRESH_FOR) <= now {
                    let detail = "is needed, since signing in was more than ten minutes ago";
                    return Err(Error::Invalid(vec![Fault::new("/password", "required", detail)]).into());
                }
            }
        }
        let id = own.random.id(&own.clock);
        let issuer = own.mails.product_name(tenant).await?;
        let (secret, otpauth_uri) = own.second_factors.shown(tenant, id, &issuer, &caller.principal().email)?;
        let qr_svg = totp::picture(&otpauth_uri)?;

        let begin = move |tx: &mut Tx<'_>| {
            store::must_be_live(tx, session, now)?;
            if second_factor_store::begin(tx, user, id, now)? { Ok(()) } else { Err(Error::SecondFactorOn) }
        };
        own.db.write(tenant, begin).await?;

        Ok(Json(SecondFactorSecret { secret, otpauth_uri, qr_svg }))
    }

    /// Confirm a second factor
    ///
    /// With a code of the app. From now on signing in needs one. The recovery codes are in this answer only.
    #[oai(path = "/auth/2fa/verify", method = "post", operation_id = "verify_second_factor", tag = "Tag::Accounts")]
    async fn verify(
        &self,
        caller: Caller,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        trail: Trail,
        body: Input<AppCode>,
    ) -> Result<Json<RecoveryCodes>, Problem> {
        let (user, _) = caller.user()?;

        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        let (factor, proof, attempt) = self.proof(&caller, &body.read()?.code, from, &trail, now).await?;
        if factor.is_confirmed {
            return Err(Error::SecondFactorOn.into());
        }
        if !matches!(proof, Proof::Step(_)) {
            return Err(Error::SecondFactorWrong.into());
        }

        let (job, actor): (JobId, _) = (own.random.id(&own.clock), trail.of(&caller));
        own.db
            .write(tenant, move |tx| {
                if !second_factor_store::take(tx, user, factor.id, proof)? {
                    return Err(Error::SecondFactorWrong);
                }
                if !second_factor_store::confirm(tx, user, factor.id, now)? {
                    return Err(Error::SecondFactorOn);
                }
                actor.append(tx, now, &Entry::new(Action::SecondFactorOn).about("user", &user))?;
                Ok(mail_job::promise(tx, job, &AccountMail::second_factor_changed(user, true, &client, now), now)?)
            })
            .await?;

        attempt.starts_over(&own.kv);
        Ok(Json(RecoveryCodes { recovery_codes: own.second_factors.recovery_codes(tenant, &factor) }))
    }

    /// Get other recovery codes
    ///
    /// With a code of the app. Those from before work no more.
    #[oai(
        path = "/auth/2fa/recovery-codes",
        method = "post",
        operation_id = "renew_recovery_codes",
        tag = "Tag::Accounts"
    )]
    async fn renew(
        &self,
        caller: Caller,
        _query: NoQuery,
        from: SentFrom,
        trail: Trail,
        body: Input<AppCode>,
    ) -> Result<Json<RecoveryCodes>, Problem> {
        let (user, _) = caller.user()?;

        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        let (factor, proof, attempt) = self.proof(&caller, &body.read()?.code, from, &trail, now).await?;
        // One code of a sheet must not buy another sheet.
        if !factor.is_confirmed || !matches!(proof, Proof::Step(_)) {
            return Err(Error::SecondFactorWrong.into());
        }
        let actor = trail.of(&caller);
        let factor = own
            .db
            .write(tenant, move |tx| {
                if !second_factor_store::take(tx, user, factor.id, proof)? {
                    return Err(Error::SecondFactorWrong);
                }
                second_factor_store::next_round(tx, user, factor.id)?;
                actor.append(tx, now, &Entry::new(Action::RecoveryCodesRenew).about("user", &user))?;
                second_factor_store::find(tx, user)?.ok_or(Error::SecondFactorWrong)
            })
            .await?;

        attempt.starts_over(&own.kv);
        Ok(Json(RecoveryCodes { recovery_codes: own.second_factors.recovery_codes(tenant, &factor) }))
    }

    /// Do without a second factor
    ///
    /// With a code of the app, a recovery code, or the password.
    #[oai(path = "/auth/2fa/disable", method = "post", operation_id = "disable_second_factor", tag = "Tag::Accounts")]
    async fn disable(
        &self,
        caller: Caller,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        trail: Trail,
        body: Input<Disabling>,
    ) -> Result<Done, Problem> {
        let (user, session) = caller.user()?;

        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        let shown = match body.read()? {
            Disabling { code: Some(code), password: None } => {
                let (factor, proof, _) = self.proof(&caller, &code, from, &trail, now).await?;
                Some((factor, proof))
            }
            Disabling { code: None, password: Some(password) } => {
                own.confirm(&caller, password, "/password", from, &trail).await?;
                None
            }
            Disabling { .. } => {
                let fault = Fault::new("", "conflict", "send either `code` or `password`");
                return Err(Error::Invalid(vec![fault]).into());
            }
        };

        let (job, actor): (JobId, _) = (own.random.id(&own.clock), trail.of(&caller));
        own.db
            .free(tenant, move |tx| {
                store::must_be_live(tx, session, now)?;
                if let Some((factor, proof)) = shown
                    && !second_factor_store::take(tx, user, factor.id, proof)?
                {
                    return Err(Error::SecondFactorWrong);
                }
                let was_on = second_factor_store::is_on(tx, user)?;
                second_factor_store::delete(tx, user)?;
                if was_on {
                    actor.append(tx, now, &Entry::new(Action::SecondFactorOff).about("user", &user))?;
                    let mail = AccountMail::second_factor_changed(user, false, &client, now);
                    mail_job::promise(tx, job, &mail, now)?;
                }
                Ok(())
            })
            .await?;

        Ok(Done::Done)
    }

    /// Show a second factor
    ///
    /// After signing in was answered with `mfaRequired`. With a code of the app, or a recovery code; each works once.
    #[oai(path = "/auth/2fa/challenge", method = "post", operation_id = "show_code", tag = "Tag::Accounts")]
    async fn challenge(
        &self,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        browser: Browser,
        trail: Trail,
        body: Input<Challenge>,
    ) -> Result<Admission, Problem> {
        let Challenge { mfa_token, code, device_token, session } = body.read()?;
        let way = self.accounts.way(session, &browser)?;
        let (own, tenant, now) = (&self.accounts, TenantId::main(), self.accounts.clock.now());
        let id = own.one_time.read_link(&tenant, Purpose::SecondFactor, &mfa_token).ok_or(Error::SecretInvalid)?;
        let find = move |tx: &mut Tx<'_>| one_time_store::find(tx, id, Purpose::SecondFactor, now);
        let (user, email) = own.db.get(&tenant, find).await?.ok_or(Error::SecretInvalid)?;
        let device = own.known_device(&tenant, &email, device_token.as_deref(), now).await?;
        let told = (guesser(device, &email), trail.of_stranger());
        let (factor, proof, attempt) = own.judge_code(&tenant, user, told, &code, from, now).await?;
        // Turned off meanwhile and begun anew, it is not one yet.
        if !factor.is_confirmed {
            return Err(Error::SecondFactorWrong.into());
        }

        let admitted = own
            .sign_in(&tenant, user, Arrival { client, device, way }, &trail, now, move |tx| {
                if !one_time_store::use_up(tx, id, user, Purpose::SecondFactor, now)? {
                    return Err(Error::SecretInvalid);
                }
                match second_factor_store::take(tx, user, factor.id, proof)? {
                    true => Ok(()),
                    false => Err(Error::SecondFactorWrong),
                }
            })
            .await?;

        attempt.starts_over(&own.kv);
        let (entered, cookie) = admitted.entered();
        Ok(Admission::Entered(Json(entered), cookie))
    }

    /// Take a second factor from someone
    ///
    /// Who has lost the app and the recovery codes. They are told by mail.
    #[oai(path = "/admin/users/:id/2fa", method = "delete", operation_id = "remove_second_factor", tag = "Tag::Users")]
    async fn remove(
        &self,
        caller: Caller,
        _query: NoQuery,
        id: Path<String>,
        client: Client,
        trail: Trail,
    ) -> Result<Done, Problem> {
        caller.must(USERS_ADMIN)?;

        let user: UserId = id.0.parse().map_err(|_| Error::NotFound)?;
        let (own, now) = (&self.accounts, self.accounts.clock.now());
        let (job, actor, remover): (JobId, _, _) = (own.random.id(&own.clock), trail.of(&caller), caller.clone());
        let email = own
            .db
            .write(caller.tenant(), move |tx| {
                let old = store::find_user(tx, user)?.ok_or(Error::NotFound)?;
                // Nobody makes an account easier to get into that may more than they do.
                must_hold_role(tx, &remover, &old.role)?;
                if !second_factor_store::delete(tx, user)? {
                    return Err(Error::NotFound);
                }
                actor.append(tx, now, &Entry::new(Action::SecondFactorOff).about("user", &user))?;
                mail_job::promise(tx, job, &AccountMail::second_factor_changed(user, false, &client, now), now)?;
                Ok(old.email)
            })
            .await?;
        throttle::forget_second_factor(&own.kv, caller.tenant(), &email);

        Ok(Done::Done)
    }
}

impl SecondFactorApi {
    /// What a caller showed of their own second factor.
    pub(super) async fn proof(
        &self,
        caller: &Caller,
        code: &str,
        from: SentFrom,
        trail: &Trail,
        now: Timestamp,
    ) -> Result<(Factor, Proof, Attempt), Error> {
        let (user, session) = caller.user().map_err(|_| Error::TokenInvalid)?;
        let told = (Guesser::Session(session), trail.of(caller));
        self.accounts.judge_code(caller.tenant(), user, told, code, from, now).await
    }
}
