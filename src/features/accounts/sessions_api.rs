//! The endpoints of one's own sessions.
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::api::{AccountsApi, SESSIONS_MAX};
use super::error::Error;
use super::sessions::{OwnSession, SessionList};
use super::store;
use crate::base::SessionId;
use crate::db::{self, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::http::openapi::Tag;
use crate::http::query::NoQuery;
use crate::http::{Browser, Caller, Problem};

/// The endpoints of one's own sessions, with what they need.
#[derive(Clone, Debug)]
pub struct SessionsApi {
    pub accounts: AccountsApi,
}

#[derive(ApiResponse)]
enum Ended {
    /// It is over.
    #[oai(status = 204)]
    Ended(#[oai(header = "Set-Cookie")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Accounts")]
impl SessionsApi {
    /// List one's own sessions
    ///
    /// Where one is signed in: the one that was used last first. Those too in which somebody acts as somebody else, for
    /// both of them.
    #[oai(path = "/auth/sessions", method = "get", operation_id = "list_sessions")]
    async fn list(&self, caller: Caller, _query: NoQuery) -> Result<Json<SessionList>, Problem> {
        let (user, current) = caller.user()?;

        let now = self.accounts.clock.now();
        let read = move |tx: &mut Tx<'_>| store::list_sessions(tx, user, now, SESSIONS_MAX);
        let sessions = self.accounts.db.read(caller.tenant(), read).await?;

        let data = sessions.into_iter().map(|(it, actor)| OwnSession::new(it, actor, user, current)).collect();
        Ok(Json(SessionList { data }))
    }

    /// Sign out one device
    #[oai(path = "/auth/sessions/:id", method = "delete", operation_id = "end_session")]
    async fn end(
        &self,
        caller: Caller,
        browser: Browser,
        trail: Trail,
        _query: NoQuery,
        id: Path<String>,
    ) -> Result<Ended, Problem> {
        let (user, current) = caller.user()?;

        // What is no id is the id of nothing.
        let id: SessionId = id.0.parse().map_err(|_| Error::NotFound)?;
        let now = self.accounts.clock.now();
        let actor = trail.of(&caller);
        let end = move |tx: &mut Tx<'_>| {
            let ended = store::end_session(tx, id, user, now)?;
            if ended {
                actor.append(tx, now, &Entry::new(Action::SignOut).about("session", &id))?;
            }
            Ok::<_, db::Error>(ended)
        };
        let ended = self.accounts.db.free(caller.tenant(), end).await?;
        if !ended {
            return Err(Error::NotFound.into());
        }

        self.accounts.gate.forget_session(id);
        let is_own_cookie = id == current && caller.has_cookie();
        Ok(Ended::Ended(is_own_cookie.then(|| browser.jar().clear())))
    }
}
