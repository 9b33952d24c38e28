//! Showing once more who one is: a session that was left open does nothing for good that its owner would not do.
//!
//! The password will do, and so will a code of the second factor where one is on. Wrong ones are counted like those of
//! signing in.
use poem_openapi::Object;
use poem_openapi::types::Example;

use super::api::AccountsApi;
use super::error::{Error, SECOND_FACTOR_WRONG};
use super::mail_job::{self, AccountMail};
use super::throttle::{Attempt, Guesser};
use super::totp::{Factor, Proof};
use super::{second_factor_store, store, throttle};
use crate::base::text::chain;
use crate::base::{JobId, SessionId, TenantId, Timestamp, UserId};
use crate::db::Tx;
use crate::features::audit::{Actor, Trail};
use crate::http::problem::Fault;
use crate::http::{Caller, SentFrom};

/// What someone who is signed in shows once more: `password`, or `code`.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Confirmation {
    #[oai(validator(min_length = 1, max_length = 1024))]
    pub password: Option<String>,
    /// Six digits of the app, or a recovery code; where a second factor is on.
    #[oai(validator(min_length = 1, max_length = 32))]
    pub code: Option<String>,
}

impl std::fmt::Debug for Confirmation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Confirmation")
    }
}

impl Example for Confirmation {
    fn example() -> Self {
        Self { password: Some("correct horse battery staple".to_owned()), code: None }
    }
}

/// Someone who has just shown who they are. What they showed is used up by [`Confirmed::use_up`], in the transaction of
/// what it was shown for.
#[derive(Clone, Debug)]
#[must_use]
pub struct Confirmed {
    user: UserId,
    session: SessionId,
    at: Timestamp,
    /// Absent: it was the password.
    code: Option<(Factor, Proof)>,
}

impl Confirmed {
    /// Refuses a code that was used before, and whoever was signed out meanwhile: a new password does that to all who have
    /// the old one.
    pub fn use_up(&self, tx: &mut Tx<'_>) -> Result<(), Error> {
        store::must_be_live(tx, self.session, self.at)?;
        match self.code {
            Some((factor, proof)) if !second_factor_store::take(tx, self.user, factor.id, proof)? => {
                Err(Error::SecondFactorWrong)
            }
            _ => Ok(()),
        }
    }
}

impl AccountsApi {
    /// Has someone who is signed in show once more who they are.
    pub async fn confirm_again(
        &self,
        caller: &Caller,
        shown: Confirmation,
        from: SentFrom,
        trail: &Trail,
    ) -> Result<Confirmed, Error> {
        let (user, session) = caller.user().map_err(|_| Error::TokenInvalid)?;
        let confirmed = Confirmed { user, session, at: self.clock.now(), code: None };
        match shown {
            Confirmation { password: Some(password), code: None } => {
                self.confirm(caller, password, "/password", from, trail).await?;
                Ok(confirmed)
            }
            Confirmation { password: None, code: Some(code) } => {
                let (guesser, now) = (Guesser::Session(session), self.clock.now());
                let told = (guesser, trail.of(caller));
                let (factor, proof, _) = self.judge_code(caller.tenant(), user, told, &code, from, now).await?;
                if factor.is_confirmed {
                    Ok(Confirmed { code: Some((factor, proof)), ..confirmed })
                } else {
                    Err(Error::SecondFactorWrong)
                }
            }
            Confirmation { password: None, code: None } => {
                let detail = "is needed, or `code` where a second factor is on";
                Err(Error::Invalid(vec![Fault::new("/password", "required", detail)]))
            }
            Confirmation { .. } => {
                Err(Error::Invalid(vec![Fault::new("", "conflict", "send either `code` or `password`")]))
            }
        }
    }

    /// What a code of a second factor shows, of whoever guesses. Wrong ones are counted, and refused beyond the limit.
    pub(super) async fn judge_code(
        &self,
        tenant: &TenantId,
        user: UserId,
        (guesser, actor): (Guesser<'_>, Actor),
        code: &str,
        from: SentFrom,
        now: Timestamp,
    ) -> Result<(Factor, Proof, Attempt), Error> {
        let attempt = match throttle::attempt_second_factor(&self.kv, &self.config.get(), tenant, guesser, from, now) {
            Ok(attempt) => attempt,
            Err(error) => {
                if throttle::is_to_be_told(&self.kv, tenant, user, guesser, now) {
                    self.tell_of_guessing(tenant, user, now).await;
                }
                return Err(error);
            }
        };
        let find = move |tx: &mut Tx<'_>| second_factor_store::find(tx, user);
        let factor = self.db.get(tenant, find).await?;
        let shown = factor.and_then(|it| Some((it, self.second_factors.proof(tenant, &it, code, now)?)));
        let Some((factor, proof)) = shown else {
            self.tell_of_wrong(tenant, &user.to_string(), actor, SECOND_FACTOR_WRONG.code).await;
            if attempt.is_one_of_many && throttle::is_first_telling(&self.kv, tenant, user, now) {
                self.tell_of_guessing(tenant, user, now).await;
            }
            return Err(Error::SecondFactorWrong);
        };
        // It may have been used before, and then it must neither count nor have the count begin anew.
        attempt.was_not_judged(&self.kv);
        Ok((factor, proof, attempt))
    }

    /// Tells someone by mail that somebody tries to get past their second factor: whoever does so knows their password, or
    /// has a device of theirs.
    pub(super) async fn tell_of_guessing(&self, tenant: &TenantId, user: UserId, now: Timestamp) {
        let job: JobId = self.random.id(&self.clock);
        let mail = AccountMail::SecondFactorGuessed { user: user.to_string(), at: now.millis() };
        let told = self.db.free(tenant, move |tx| mail_job::promise(tx, job, &mail, now)).await;
        // Whoever guesses is refused either way.
        if let Err(cause) = told {
            tracing::error!(cause = %chain(&cause), "nobody is told that a second factor is guessed at");
        }
    }
}
