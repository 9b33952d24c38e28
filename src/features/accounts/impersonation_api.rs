//! Acting as somebody else: for those who are to see what an account sees.
//!
//! Whoever may begins a session of the other account, and gets an access token for a quarter of an hour and no refresh
//! token. The session says from which session it was begun, and ends with that ([`super::store::find_session_owner`] asks
//! for every request whether whoever acts still may). It reads and writes records as the account does, though never past
//! their rules; nothing else ([`crate::http::Caller::user`] and [`crate::http::Caller::must`] refuse it). The audit trail
//! names both.
use std::time::Duration;

use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde_json::json;

use super::api::{AccountsApi, checked_name};
use super::error::Error;
use super::mail_job::{self, AccountMail};
use super::model::{Session, USERS_ADMIN, User};
use super::token::Access;
use super::users_api::must_hold_role;
use super::{pending_store, store};
use crate::base::{JobId, SessionId, Timestamp, UserId};
use crate::features::audit::{Action, Entry, Trail};
use crate::http::openapi::Tag;
use crate::http::problem::{Fault, Problem};
use crate::http::query::NoQuery;
use crate::http::{Caller, Client, Input};

/// Most sessions in which one account acts as others. The oldest makes room for the next, so that beginning them again and
/// again does not fill the disk.
const IMPERSONATIONS_MAX: u32 = 20;
/// How long somebody acts as somebody else. Who needs longer says once more why.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// The endpoint of acting as somebody else, with what it needs.
#[derive(Clone, Debug)]
pub struct ImpersonationApi {
    pub accounts: AccountsApi,
}

/// Why somebody acts as somebody else.
#[derive(Clone, Debug, Object)]
#[oai(example, rename_all = "camelCase", deny_unknown_fields)]
pub struct Impersonation {
    /// One line, for the audit trail.
    #[oai(validator(min_length = 1, max_length = 500))]
    pub reason: String,
}

impl Example for Impersonation {
    fn example() -> Self {
        Self { reason: "Ticket 4711: the list of orders stays empty".to_owned() }
    }
}

/// A session of another account.
#[derive(Clone, Object)]
#[oai(example, rename_all = "camelCase")]
pub struct Impersonated {
    /// Send it as `Authorization: Bearer …`. There is no refresh token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: String,
    /// Seconds until the access token stops working.
    pub expires_in: u64,
    pub session_id: SessionId,
    /// Who is acted as.
    pub user: User,
}

impl Example for Impersonated {
    fn example() -> Self {
        Self {
            access_token: "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTkwYjZhNC…".to_owned(),
            token_type: "Bearer".to_owned(),
            expires_in: LIFETIME.as_secs(),
            session_id: SessionId::example(),
            user: User::example(),
        }
    }
}

#[derive(ApiResponse)]
enum Begun {
    /// The session has begun.
    #[oai(status = 201)]
    Session(Json<Impersonated>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Users")]
impl ImpersonationApi {
    /// Act as somebody else
    ///
    /// For a quarter of an hour, to read and write records as they do, and nothing else: no part of their account, and no
    /// endpoint of admins. It ends with the session that it was begun from. Nobody acts as someone who may more than they
    /// do. The audit trail names both.
    #[oai(path = "/admin/users/:id/impersonate", method = "post", operation_id = "impersonate_user")]
    async fn begin(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
        client: Client,
        body: Input<Impersonation>,
    ) -> Result<Begun, Problem> {
        caller.must(USERS_ADMIN)?;
        let (actor, actor_session) = caller.user()?;

        let reason = checked_name(&body.read()?.reason);
        let reason = reason.map_err(|it| Error::Invalid(vec![Fault { pointer: "/reason".to_owned(), ..it }]))?;
        let id: UserId = id.0.parse().map_err(|_| Error::NotFound)?;
        let (own, tenant, now) = (&self.accounts, caller.tenant(), self.accounts.clock.now());
        let session = Session {
            id: own.random.id(&own.clock),
            user_id: id,
            refresh_counter: 0,
            created_at: now,
            refreshed_at: now,
            expires_at: now.plus(LIFETIME),
            client,
            device: None,
            is_cookie: false,
            actor_session: Some(actor_session),
        };
        let (opened, teller, as_caller): (_, _, _) = (session.clone(), trail.of(&caller), caller.clone());
        let job: Option<JobId> = own.config.get().tell_of_impersonation.then(|| own.random.id(&own.clock));

        let (user, ended) = own
            .db
            .write(tenant, move |tx| {
                let user = store::find_user(tx, id)?.ok_or(Error::NotFound)?;
                if id == actor {
                    return Err(Error::NotImpersonated { why: "it is your own account" });
                }
                must_hold_role(tx, &as_caller, &user.role)?;
                if user.disabled_at.is_some() || pending_store::is_pending(tx, id)? {
                    return Err(Error::NotImpersonated { why: "the account does not work" });
                }
                store::insert_session(tx, &opened)?;
                let ended = store::end_surplus_impersonations(tx, actor, opened.id, IMPERSONATIONS_MAX, now)?;
                let told = json!({ "reason": reason, "session": opened.id.to_string() });
                teller.append(tx, now, &Entry::new(Action::Impersonate).about("user", &id).after(told))?;
                if let Some(job) = job {
                    let notice = AccountMail::Impersonated { user: id.to_string(), at: now.millis() };
                    mail_job::promise(tx, job, &notice, now)?;
                }
                Ok((user, ended))
            })
            .await?;
        for session in ended {
            own.gate.forget_session(session);
        }

        Ok(Begun::Session(Json(self.shown(&caller, &session, actor, user, now)?)))
    }
}

impl ImpersonationApi {
    fn shown(
        &self,
        caller: &Caller,
        session: &Session,
        actor: UserId,
        user: User,
        now: Timestamp,
    ) -> Result<Impersonated, Error> {
        let access = Access { user: user.id, session: session.id, expires_at: session.expires_at };
        let issuer = self.accounts.server.get().url();
        let access_token = self.accounts.tokens.access_of_actor(issuer, caller.tenant(), access, actor, now)?;
        let expires_in = now.until(session.expires_at).as_secs();
        let token_type = "Bearer".to_owned();
        Ok(Impersonated { access_token, token_type, expires_in, session_id: session.id, user })
    }
}
