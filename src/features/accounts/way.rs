//! What someone gets who signs in: tokens, or a cookie.
use super::api::AccountsApi;
use super::devices::Device;
use super::error::Error;
use super::model::{Entered, Registered, Session, SessionKind, SignedIn, SignedInByCookie, TokenPair, User};
use super::second_factor_model::SignIn;
use crate::base::{SessionId, TenantId, Timestamp};
use crate::config::AccountsConfig;
use crate::http::cookie::Jar;
use crate::http::{Browser, Problem};

/// How someone who signs in is known from then on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way {
    Tokens,
    /// `former` is the session of the cookie that the browser shows, which the new one takes the place of.
    Cookie {
        jar: Jar,
        former: Option<SessionId>,
    },
}

impl Way {
    /// The session that ends with this sign-in.
    pub const fn former(self) -> Option<SessionId> {
        match self {
            Self::Tokens => None,
            Self::Cookie { former, .. } => former,
        }
    }

    pub const fn is_cookie(self) -> bool {
        matches!(self, Self::Cookie { .. })
    }
}

/// Someone who is in.
pub(super) struct Admitted {
    device_token: String,
    user: User,
    gets: Gets,
}

enum Gets {
    Tokens(TokenPair),
    Cookie { set: String, expires_at: Timestamp },
}

impl Admitted {
    /// The answer, and the `Set-Cookie` beside it.
    pub fn entered(self) -> (Entered, Option<String>) {
        let Self { device_token, user, gets } = self;
        match gets {
            Gets::Tokens(tokens) => (Entered::SignedIn(SignedIn { tokens, device_token, user }), None),
            Gets::Cookie { set, expires_at } => {
                (Entered::ByCookie(SignedInByCookie { device_token, user, expires_at }), Some(set))
            }
        }
    }

    pub fn signed_in(self) -> (SignIn, Option<String>) {
        let (entered, cookie) = self.entered();
        let signed_in = match entered {
            Entered::SignedIn(it) => SignIn::SignedIn(it),
            Entered::ByCookie(it) => SignIn::ByCookie(it),
        };
        (signed_in, cookie)
    }

    pub fn registered(self) -> (Registered, Option<String>) {
        let registered = Registered { device_token: Some(self.device_token), ..Registered::pending(self.user) };
        match self.gets {
            Gets::Tokens(TokenPair { access_token, refresh_token, token_type, expires_in }) => {
                let registered = Registered {
                    access_token: Some(access_token),
                    refresh_token: Some(refresh_token),
                    token_type: Some(token_type),
                    expires_in: Some(expires_in),
                    ..registered
                };
                (registered, None)
            }
            Gets::Cookie { set, expires_at } => (Registered { expires_at: Some(expires_at), ..registered }, Some(set)),
        }
    }
}

impl AccountsApi {
    /// What is asked for, if it can be had here.
    pub(super) fn way(&self, asked: Option<SessionKind>, browser: &Browser) -> Result<Way, Problem> {
        if asked != Some(SessionKind::Cookie) {
            return Ok(Way::Tokens);
        }
        let jar = browser.must_take_cookies()?;
        let former = browser.cookie().and_then(|it| self.tokens.read_cookie(&TenantId::main(), it));
        Ok(Way::Cookie { jar, former })
    }

    /// What someone gets whose session was just begun.
    #[expect(clippy::too_many_arguments, reason = "as those of signing in")]
    pub(super) fn admitted(
        &self,
        config: &AccountsConfig,
        tenant: &TenantId,
        session: &Session,
        generation: i64,
        user: User,
        way: Way,
        now: Timestamp,
    ) -> Result<Admitted, Error> {
        let gets = match way {
            Way::Tokens => Gets::Tokens(self.token_pair(config, tenant, session, now)?),
            // The browser keeps it for as long as the session can last; when it ends for want of use is ours to say.
            Way::Cookie { jar, .. } => Gets::Cookie {
                set: jar.keep(&self.tokens.cookie(tenant, session.id), config.session_days_max * 24 * 3_600),
                expires_at: session.expires_at,
            },
        };
        Ok(Admitted { device_token: self.device_token(tenant, session, generation, now), user, gets })
    }

    /// What shows that a session's device is known. `generation` is how often the password was replaced.
    pub(super) fn device_token(&self, tenant: &TenantId, session: &Session, generation: i64, now: Timestamp) -> String {
        let id = session.device.unwrap_or_else(|| self.random.id(&self.clock));
        self.device_tokens.token(tenant, &Device { id, user: session.user_id, made_at: now, generation })
    }
}
