//! The endpoints of accounts.
use std::sync::Arc;

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::devices::{Arrival, DeviceTokens, guesser};
use super::error::{Error, TOKEN_INVALID};
use super::flows_model::SignOutEverywhere;
use super::gate::Gate;
use super::hashing::Hashing;
use super::model::{
    Credentials, Entered, NewUser, Refresh, Registered, Registration, Setup, SetupLink, SetupState, SetupToken,
    TokenPair, USERS_ADMIN, USERS_WRITE, User,
};
use super::one_time::{OneTimeSecrets, Purpose};
use super::password::{self, Passwords};
use super::refresh::{Rotation, rotate};
use super::refusals::Refusals;
use super::second_factor_model::SignIn;
use super::signing_in::{Judged, about_newcomer, add};
use super::stuffing::{self, Stuffing};
use super::token::Tokens;
use super::totp::SecondFactors;
use super::users_api::must_be_given;
use super::{device_store, first_admin, owned_keys_store, pending_store, store, throttle};
use crate::base::text::{normalize_email, normalize_name};
use crate::base::{Clock, Random, Secret, TenantId};
use crate::config::{self, AccountsConfig, ServerConfig, View};
use crate::db::{self, Db, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::features::mails::Mails;
use crate::features::roles::{self, RoleName};
use crate::http::etag;
use crate::http::input::Sound;
use crate::http::openapi::Tag;
use crate::http::paging::Cursors;
use crate::http::problem::{Fault, Problem};
use crate::http::query::NoQuery;
use crate::http::{Browser, Caller, Client, Input, Permissions, SentFrom};
use crate::kv::Kv;

/// Most sessions of one account whatever is set, so that signing in again and again does not fill the disk.
pub(super) const SESSIONS_MAX: i64 = config::SESSIONS_PER_ACCOUNT_MAX as i64;

/// The endpoints of accounts, with what they need.
#[derive(Clone, Debug)]
pub struct AccountsApi {
    pub db: Db,
    pub kv: Kv,
    pub clock: Clock,
    pub random: Random,
    pub config: View<AccountsConfig>,
    pub server: View<ServerConfig>,
    pub passwords: Passwords,
    pub hashing: Hashing,
    pub stuffing: Stuffing,
    pub tokens: Arc<Tokens>,
    pub gate: Gate,
    pub cursors: Cursors,
    pub mails: Mails,
    pub one_time: Arc<OneTimeSecrets>,
    pub device_tokens: Arc<DeviceTokens>,
    pub second_factors: Arc<SecondFactors>,
}

#[derive(ApiResponse)]
enum Created {
    /// The account was made, and its owner is signed in.
    #[oai(status = 201)]
    Entered(Json<Entered>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[derive(ApiResponse)]
enum CreatedOrPending {
    /// The account was made. Its owner is signed in, or was sent a link that verifies the address first; then the answer
    /// is the same if the address has an account already.
    #[oai(status = 201)]
    Registered(Json<Registered>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[derive(ApiResponse)]
pub(super) enum SignInAnswer {
    /// Someone who signed in, or who has to show a second factor first.
    #[oai(status = 200)]
    SignIn(Json<SignIn>, #[oai(header = "Set-Cookie")] Option<String>),
}

#[derive(ApiResponse)]
enum CreatedUser {
    /// The account was made.
    #[oai(status = 201)]
    User(Json<User>, #[oai(header = "ETag")] String, #[oai(header = "Location")] String),
}

#[derive(ApiResponse)]
enum CreatedLink {
    /// The link was made.
    #[oai(status = 201)]
    Link(Json<SetupLink>),
}

#[derive(ApiResponse)]
enum Done {
    /// It is done.
    #[oai(status = 204)]
    Done(#[oai(header = "Set-Cookie")] Option<String>),
}

#[OpenApi(prefix_path = "/api/v1")]
impl AccountsApi {
    /// Register
    ///
    /// Makes an account with the role `user` and signs its owner in, unless the server's operator
    /// has closed registration. Where an address has to be verified first, there are no tokens yet.
    #[oai(path = "/auth/register", method = "post", operation_id = "register", tag = "Tag::Accounts")]
    async fn register(
        &self,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        browser: Browser,
        trail: Trail,
        body: Input<Registration>,
    ) -> Result<CreatedOrPending, Problem> {
        let config = self.config.get();
        if config.registration == config::Registration::Closed {
            return Err(Error::RegistrationClosed.into());
        }

        let sent = body.read_judged(|sound| faults_of_newcomer(&config, sound, false))?;
        let Registration { email, password, name, session } = sent;
        let way = self.way(session, &browser)?;
        let tenant = TenantId::main();
        let newcomer = self.newcomer(&tenant, &email, password, name, RoleName::user()).await?;
        let (registered, cookie) = if self.needs_verification() {
            let (email, purpose) = (&newcomer.user.email, Purpose::VerifyEmail);
            throttle::ask_for_mail(&self.kv, &config, &tenant, purpose, email, from, self.clock.now())?;
            (Registered::pending(self.add_pending(&tenant, newcomer, &trail).await?), None)
        } else {
            let mail = config.verification != config::Verification::Off;
            let arrival = Arrival::new(client, way);
            self.add_signed_in(&tenant, newcomer, arrival, &trail, None, mail).await?.registered()
        };

        Ok(CreatedOrPending::Registered(Json(registered), cookie))
    }

    /// Become an admin
    ///
    /// Uses up a setup link, as the server prints it at its first start and `steading admin link`
    /// makes it.
    #[oai(path = "/setup", method = "post", operation_id = "set_up", tag = "Tag::Accounts")]
    async fn set_up(
        &self,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        browser: Browser,
        trail: Trail,
        body: Input<Setup>,
    ) -> Result<Created, Problem> {
        let Setup { token, email, password, name, session } = body.read()?;
        let way = self.way(session, &browser)?;
        let (config, tenant, now) = (self.config.get(), TenantId::main(), self.clock.now());
        let attempt = throttle::attempt_setup(&self.kv, &config, from, now)?;

        let digest = first_admin::secret_digest(&token);
        // A look first, so that a made-up token costs no hashing. Using it up decides.
        let looked_up = digest.clone();
        if !self.db.get(&tenant, move |tx| store::has_setup_link(tx, &looked_up, now)).await? {
            return Err(Error::SetupLinkInvalid.into());
        }
        attempt.succeeded(&self.kv);
        let newcomer = self.newcomer(&tenant, &email, password, name, RoleName::admin()).await?;
        let admitted =
            self.add_signed_in(&tenant, newcomer, Arrival::new(client, way), &trail, Some(digest), false).await?;

        let (entered, cookie) = admitted.entered();
        Ok(Created::Entered(Json(entered), cookie))
    }

    /// Look at a setup link
    ///
    /// Tells whether it still works, without using it up, and whether it makes the first admin.
    #[oai(path = "/setup/check", method = "post", operation_id = "check_setup_link", tag = "Tag::Accounts")]
    async fn check_setup_link(
        &self,
        _query: NoQuery,
        from: SentFrom,
        body: Input<SetupToken>,
    ) -> Result<Json<SetupState>, Problem> {
        let SetupToken { token } = body.read()?;
        let (config, tenant, now) = (self.config.get(), TenantId::main(), self.clock.now());
        let attempt = throttle::attempt_setup(&self.kv, &config, from, now)?;
        let digest = first_admin::secret_digest(&token);

        if !self.db.get(&tenant, move |tx| store::has_setup_link(tx, &digest, now)).await? {
            return Err(Error::SetupLinkInvalid.into());
        }
        attempt.succeeded(&self.kv);
        let first_admin = !first_admin::admin_exists(&self.db, &tenant).await?;

        Ok(Json(SetupState { first_admin }))
    }

    /// Sign in
    ///
    /// After too many wrong guesses for an account or from an address, both right and wrong ones are answered with
    /// 429 for a while; with the `deviceToken` of a device that was signed in on before, those made elsewhere do not
    /// count. Who has a second factor shows it next, at `/auth/2fa/challenge`.
    #[oai(path = "/auth/login", method = "post", operation_id = "login", tag = "Tag::Accounts")]
    async fn login(
        &self,
        _query: NoQuery,
        from: SentFrom,
        client: Client,
        browser: Browser,
        trail: Trail,
        body: Input<Credentials>,
    ) -> Result<SignInAnswer, Problem> {
        let (config, tenant, now) = (self.config.get(), TenantId::main(), self.clock.now());
        // What is no address is the address of nobody, and must cost and look the same.
        let Credentials { email, password, device_token, session } = body.read()?;
        let way = self.way(session, &browser)?;
        let email = normalize_email(&email).unwrap_or(email);
        let device = self.known_device(&tenant, &email, device_token.as_deref(), now).await?;
        // Before anything is counted: who is blocked must not lock accounts either.
        if device.is_none() {
            stuffing::must_not_be_blocked(&self.kv, from, now)?;
        }
        let refusals = Refusals { db: &self.db, kv: &self.kv, tenant: &tenant, trail: &trail, now };
        let attempt = match throttle::attempt(&self.kv, &config, &tenant, guesser(device, &email), from, now) {
            Ok(attempt) => attempt,
            Err(error) => {
                refusals.tell_of_limit(&email, &error).await;
                return Err(error.into());
            }
        };

        let password = Secret::new(password);
        let judged = self.judge(&tenant, email.clone(), password.clone()).await;
        let judged = judged.inspect_err(|_| attempt.was_not_judged(&self.kv))?;
        let Some(Judged { user, generation, new_hash }) = judged else {
            refusals.tell_of_guess(&email, &attempt).await;
            // What is guessed on a known device is at one account, whose owner was there before.
            if device.is_none()
                && let Some(block) = self.stuffing.was_wrong(&self.kv, &config, from, &email, &password, now)
            {
                refusals.tell_of_block(block).await;
            }
            return Err(Error::WrongCredentials.into());
        };
        attempt.succeeded(&self.kv);
        self.stuffing.was_right(from, &email);

        let (signed_in, cookie) = self
            .enter(&tenant, user, email, Arrival { client, device, way }, &trail, now, move |tx| {
                device_store::must_be(tx, user, generation)?;
                if let Some((old, new)) = &new_hash {
                    store::replace_password_hash(tx, user, old, new)?;
                }
                Ok(())
            })
            .await?;

        Ok(SignInAnswer::SignIn(Json(signed_in), cookie))
    }

    /// Get fresh tokens
    ///
    /// For a refresh token. Each works once; within half a minute it gets the same
    /// answer again, in case that was lost. After that, using it again ends the session, since one
    /// of the two who used it stole it.
    #[oai(path = "/auth/refresh-token", method = "post", operation_id = "refresh_token", tag = "Tag::Accounts")]
    async fn refresh_token(
        &self,
        _query: NoQuery,
        trail: Trail,
        body: Input<Refresh>,
    ) -> Result<Json<TokenPair>, Problem> {
        let (config, tenant, now) = (self.config.get(), TenantId::main(), self.clock.now());
        let token = self.tokens.read_refresh(&tenant, &body.read()?.refresh_token).ok_or(Error::TokenInvalid)?;

        let rules = Arc::clone(&config);
        let rotate = move |tx: &mut Tx<'_>| {
            let outcome = rotate(tx, &rules, token, now)?;
            if matches!(outcome, Rotation::Ended) {
                // One of the two who have it stole it, and which one this is nobody knows.
                let entry = Entry::new(Action::TokenReused).about("session", &token.session);
                trail.of_stranger().append(tx, now, &entry.refused(TOKEN_INVALID.code))?;
            }
            Ok::<_, Error>(outcome)
        };
        let outcome = self.db.free(&tenant, rotate).await?;

        let session = match outcome {
            Rotation::Current(session) => session,
            Rotation::Refused => return Err(Error::TokenInvalid.into()),
            Rotation::Ended => {
                self.gate.forget_session(token.session);
                tracing::warn!(session.id = %token.session, "a refresh token was used again; its session was ended");
                return Err(Error::TokenInvalid.into());
            }
        };
        Ok(Json(self.token_pair(&config, &tenant, &session, now)?))
    }

    /// Sign out
    ///
    /// Ends this session: its access tokens and its refresh token, or its cookie, stop working at once.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout", tag = "Tag::Accounts")]
    async fn logout(&self, caller: Caller, browser: Browser, trail: Trail, _query: NoQuery) -> Result<Done, Problem> {
        let (_, session) = caller.user_or_impersonator()?;

        let (actor, now) = (trail.of(&caller), self.clock.now());
        let end = move |tx: &mut Tx<'_>| {
            store::delete_session(tx, session, now)?;
            actor.append(tx, now, &Entry::new(Action::SignOut).about("session", &session))
        };
        self.db.free::<_, db::Error>(caller.tenant(), end).await?;

        self.gate.forget_session(session);
        Ok(Done::Done(caller.has_cookie().then(|| browser.jar().clear())))
    }

    /// Sign out everywhere
    ///
    /// Ends all of the caller's sessions, on every device. API keys of one's own go on working, unless `revokeKeys` says
    /// otherwise; `GET /auth/keys` lists them.
    #[oai(path = "/auth/logout-all", method = "post", operation_id = "logout_all", tag = "Tag::Accounts")]
    async fn logout_all(
        &self,
        caller: Caller,
        browser: Browser,
        trail: Trail,
        _query: NoQuery,
        body: Input<Option<SignOutEverywhere>>,
    ) -> Result<Done, Problem> {
        let (user, _) = caller.user()?;

        let revokes = body.read()?.and_then(|it| it.revoke_keys).unwrap_or(false);
        let (actor, now) = (trail.of(&caller), self.clock.now());
        let end = move |tx: &mut Tx<'_>| {
            store::delete_sessions_of(tx, user, now)?;
            if revokes {
                owned_keys_store::revoke_all(tx, user, &actor, now)?;
            }
            actor.append(tx, now, &Entry::new(Action::SignOutEverywhere).about("user", &user))
        };
        self.db.free::<_, db::Error>(caller.tenant(), end).await?;

        self.gate.forget_user(user);
        Ok(Done::Done(caller.has_cookie().then(|| browser.jar().clear())))
    }

    /// Make an account for someone
    #[oai(path = "/admin/users", method = "post", operation_id = "create_user", tag = "Tag::Users")]
    async fn create_user(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        body: Input<NewUser>,
    ) -> Result<CreatedUser, Problem> {
        caller.must(USERS_WRITE)?;

        let config = self.config.get();
        // An admin's password has to be longer; who has not said which role yet is not told of that.
        let sent = body.read_judged(|sound| faults_of_newcomer(&config, sound, false))?;
        let NewUser { email, password, name, role } = sent;
        let role = role.unwrap_or_else(RoleName::user);
        let newcomer = self.newcomer(caller.tenant(), &email, password, name, role).await?;
        let (user, hash, maker) = (newcomer.user, self.passwords.hash(newcomer.password).await?, caller.clone());
        let actor = trail.of(&caller);

        let user = self
            .db
            .write(caller.tenant(), move |tx| {
                must_be_given(tx, &maker, &user.role)?;
                pending_store::make_room(tx, &user.email)?;
                let user = add(tx, &user, &hash)?;
                actor.append(tx, user.created_at, &about_newcomer(Action::UserCreate, &user))?;
                Ok::<_, Error>(user)
            })
            .await?;

        let tag = etag::of_version(user.version);
        let location = format!("/api/v1/users/{}", user.id);
        Ok(CreatedUser::User(Json(user), tag, location))
    }

    /// Make a setup link
    ///
    /// Whoever opens it becomes an admin. It works once, and for an hour unless the operator set another time.
    #[oai(path = "/admin/setup-links", method = "post", operation_id = "create_setup_link", tag = "Tag::Users")]
    async fn create_setup_link(&self, caller: Caller, trail: Trail, _query: NoQuery) -> Result<CreatedLink, Problem> {
        caller.must(USERS_ADMIN)?;
        roles::must_hold(&caller, &Permissions::All)?;

        let (url, lifetime) = (self.server.get().url(), self.config.get().setup_link_lifetime());
        let actor = trail.of(&caller);
        let link =
            first_admin::open_setup_link(&self.db, caller.tenant(), actor, &url, lifetime, &self.random, &self.clock)
                .await?;

        Ok(CreatedLink::Link(Json(link)))
    }
}

/// What is wrong with someone's values, of a body that has other faults too.
fn faults_of_newcomer(config: &AccountsConfig, sound: &Sound<'_>, is_admin: bool) -> Vec<Fault> {
    let email = sound.text("email").map(checked_email).transpose();
    let name = sound.text("name").map(checked_name).transpose();
    let known = |it: &Result<Option<String>, Fault>| it.as_ref().ok().cloned().flatten().unwrap_or_default();
    let password =
        sound.text("password").and_then(|it| password::fault(config, it, is_admin, &known(&email), &known(&name)));
    email.err().into_iter().chain(name.err()).chain(password).collect()
}

pub(super) fn checked_email(email: &str) -> Result<String, Fault> {
    normalize_email(email).map_err(|why| Fault::new("/email", "email", why))
}

pub(super) fn checked_name(name: &str) -> Result<String, Fault> {
    normalize_name(name).map_err(|why| Fault::new("/name", "name", why))
}
