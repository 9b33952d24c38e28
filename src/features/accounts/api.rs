//! The endpoints of accounts.
use std::sync::Arc;

use poem::Request;
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::types::MaybeUndefined;
use serde_json::json;

use super::answers::{Created, CreatedLink, CreatedUser, Done, Profile, UserList, Users};
use super::error::{Error, TOKEN_INVALID};
use super::gate::Gate;
use super::model::{
    Credentials, NewUser, ProfilePatch, Refresh, Registration, Role, Session, Setup, SetupState, SetupToken, SignedIn,
    TokenPair, USERS_ADMIN, USERS_READ, USERS_WRITE, User,
};
use super::newcomer::{Newcomer, about_newcomer, add, checked_email, checked_name, faults_of_newcomer};
use super::password::Passwords;
use super::refresh::{Rotation, rotate, session_end};
use super::refusals::Refusals;
use super::token::{Access, RefreshToken, Tokens};
use super::{first_admin, store, throttle};
use crate::base::text::normalize_email;
use crate::base::{Clock, Random, Secret, SessionId, TenantId, Timestamp, UserId};
use crate::config::{self, AccountsConfig, ServerConfig, View};
use crate::db::{self, Db, Tx};
use crate::features::audit::{Action, Entry, Trail};
use crate::http::etag::{self, IfMatch};
use crate::http::openapi::Tag;
use crate::http::paging::{self, Cursors, ListMeta, Paging};
use crate::http::problem::{Fault, Problem};
use crate::http::query::{NoQuery, must_be_among};
use crate::http::{Caller, ClientAddress, Input, Subject};
use crate::kv::Kv;

/// Most sessions of one account, so that signing in again and again does not fill the disk.
/// The one that was not used for longest makes room for the next.
const SESSIONS_MAX: i64 = 1_000;

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
    pub tokens: Arc<Tokens>,
    pub gate: Gate,
    pub cursors: Cursors,
}

/// Whose password was right.
struct Judged {
    user: UserId,
    /// Its hash as kept and as it should be, if passwords have another cost now.
    new_hash: Option<(String, String)>,
}

#[OpenApi(prefix_path = "/api/v1")]
impl AccountsApi {
    /// Register
    ///
    /// Makes an account with the role `user` and signs its owner in, unless the server's operator
    /// has closed registration.
    #[oai(path = "/auth/register", method = "post", operation_id = "register", tag = "Tag::Accounts")]
    async fn register(&self, _query: NoQuery, trail: Trail, body: Input<Registration>) -> Result<Created, Problem> {
        let config = self.config.get();
        if config.registration == config::Registration::Closed {
            return Err(Error::RegistrationClosed.into());
        }

        let sent = body.read_judged(|sound| faults_of_newcomer(&config, sound, Role::User))?;
        let Registration { email, password, name } = sent;
        let newcomer = self.newcomer(&email, password, name, Role::User).await?;
        let tenant = TenantId::main();
        let signed_in = self.add_signed_in(&config, &tenant, newcomer, &trail, None).await?;

        Ok(Created::SignedIn(Json(signed_in)))
    }

    /// Become an admin
    ///
    /// Uses up a setup link, as the server prints it at its first start and `steading admin link`
    /// makes it.
    #[oai(path = "/setup", method = "post", operation_id = "set_up", tag = "Tag::Accounts")]
    async fn set_up(
        &self,
        _query: NoQuery,
        address: ClientAddress,
        trail: Trail,
        body: Input<Setup>,
    ) -> Result<Created, Problem> {
        let Setup { token, email, password, name } = body.read()?;
        let (config, tenant, now) = (self.config.get(), TenantId::main(), self.clock.now());
        let attempt = throttle::attempt_setup(&self.kv, &config, address, now)?;

        let digest = first_admin::secret_digest(&token);
        // A look first, so that a made-up token costs no hashing. Using it up decides.
        let looked_up = digest.clone();
        if !self.db.get(&tenant, move |tx| store::has_setup_link(tx, &looked_up, now)).await? {
            return Err(Error::SetupLinkInvalid.into());
        }
        attempt.succeeded(&self.kv);
        let newcomer = self.newcomer(&email, password, name, Role::Admin).await?;
        let signed_in = self.add_signed_in(&config, &tenant, newcomer, &trail, Some(digest)).await?;

        Ok(Created::SignedIn(Json(signed_in)))
    }

    /// Look at a setup link
    ///
    /// Tells whether it still works, without using it up, and whether it makes the first admin.
    #[oai(path = "/setup/check", method = "post", operation_id = "check_setup_link", tag = "Tag::Accounts")]
    async fn check_setup_link(
        &self,
        _query: NoQuery,
        address: ClientAddress,
        body: Input<SetupToken>,
    ) -> Result<Json<SetupState>, Problem> {
        let SetupToken { token } = body.read()?;
        let (config, tenant, now) = (self.config.get(), TenantId::main(), self.clock.now());
        let attempt = throttle::attempt_setup(&self.kv, &config, address, now)?;
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
    /// 429 for a while.
    #[oai(path = "/auth/login", method = "post", operation_id = "login", tag = "Tag::Accounts")]
    async fn login(
        &self,
        _query: NoQuery,
        address: ClientAddress,
        trail: Trail,
        body: Input<Credentials>,
    ) -> Result<Json<SignedIn>, Problem> {
        let (config, tenant, now) = (self.config.get(), TenantId::main(), self.clock.now());
        // What is no address is the address of nobody, and must cost and look the same.
        let Credentials { email, password } = body.read()?;
        let email = normalize_email(&email).unwrap_or(email);
        let refusals = Refusals { db: &self.db, kv: &self.kv, tenant: &tenant, trail: &trail, now };
        let attempt = match throttle::attempt(&self.kv, &config, &tenant, &email, address, now) {
            Ok(attempt) => attempt,
            Err(error) => {
                refusals.tell_of_limit(&email, &error).await;
                return Err(error.into());
            }
        };

        let judged = self.judge(&tenant, email.clone(), Secret::new(password)).await;
        let judged = judged.inspect_err(|_| attempt.was_not_judged(&self.kv))?;
        let Some(Judged { user, new_hash }) = judged else {
            refusals.tell_of_guess(&email, &attempt).await;
            return Err(Error::WrongCredentials.into());
        };
        attempt.succeeded(&self.kv);

        let session = self.session(&config, user, now);
        let opened = session.clone();
        let (user, ended) = self
            .db
            // Whoever is to free some room on the disk has to sign in first.
            .free(&tenant, move |tx| {
                store::set_last_sign_in(tx, user, now)?;
                if let Some((old, new)) = &new_hash {
                    store::replace_password_hash(tx, user, old, new)?;
                }
                store::insert_session(tx, &opened)?;
                let ended = store::end_surplus_sessions(tx, user, SESSIONS_MAX, now)?;
                let user = store::find_user(tx, user)?.ok_or(Error::WrongCredentials)?;
                let entry = Entry::new(Action::SignIn).about("session", &opened.id);
                trail.of_user(user.id, &user.email).append(tx, now, &entry)?;
                Ok::<_, Error>((user, ended))
            })
            .await?;
        for session in ended {
            self.gate.forget_session(session);
        }

        Ok(Json(SignedIn { tokens: self.token_pair(&config, &tenant, &session, now)?, user }))
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
    /// Ends this session: its access tokens and its refresh token stop working at once.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout", tag = "Tag::Accounts")]
    async fn logout(&self, caller: Caller, trail: Trail, _query: NoQuery) -> Result<Done, Problem> {
        let (_, session) = caller.user()?;

        let (actor, now) = (trail.of(&caller), self.clock.now());
        let end = move |tx: &mut Tx<'_>| {
            store::delete_session(tx, session, now)?;
            actor.append(tx, now, &Entry::new(Action::SignOut).about("session", &session))
        };
        self.db.free::<_, db::Error>(caller.tenant(), end).await?;

        self.gate.forget_session(session);
        Ok(Done::Done)
    }

    /// Sign out everywhere
    ///
    /// Ends all of the caller's sessions, on every device.
    #[oai(path = "/auth/logout-all", method = "post", operation_id = "logout_all", tag = "Tag::Accounts")]
    async fn logout_all(&self, caller: Caller, trail: Trail, _query: NoQuery) -> Result<Done, Problem> {
        let (user, _) = caller.user()?;

        let (actor, now) = (trail.of(&caller), self.clock.now());
        let end = move |tx: &mut Tx<'_>| {
            store::delete_sessions_of(tx, user, now)?;
            actor.append(tx, now, &Entry::new(Action::SignOutEverywhere).about("user", &user))
        };
        self.db.free::<_, db::Error>(caller.tenant(), end).await?;

        self.gate.forget_user(user);
        Ok(Done::Done)
    }

    /// Read one's own profile
    #[oai(path = "/auth/profile", method = "get", operation_id = "show_profile", tag = "Tag::Accounts")]
    async fn show_profile(&self, caller: Caller, _query: NoQuery) -> Result<Profile, Problem> {
        let (user, _) = caller.user()?;

        let user = self.db.get(caller.tenant(), move |tx| store::find_user(tx, user)).await?;

        let user = user.ok_or(Error::NotFound)?;
        let tag = etag::of_version(user.version);
        Ok(Profile::User(Json(user), tag))
    }

    /// Change one's own profile
    ///
    /// Only what is sent is changed. With `If-Match`, only if nobody changed it since.
    #[oai(path = "/auth/profile", method = "patch", operation_id = "update_profile", tag = "Tag::Accounts")]
    async fn update_profile(
        &self,
        caller: Caller,
        trail: Trail,
        _query: NoQuery,
        /// The `ETag` of the profile that the change is meant for.
        #[oai(name = "If-Match")]
        if_match: Header<Option<String>>,
        body: Input<ProfilePatch>,
    ) -> Result<Profile, Problem> {
        let (user, _) = caller.user()?;

        let expected = IfMatch::parse(if_match.0.as_deref())?;
        let (actor, now) = (trail.of(&caller), self.clock.now());
        let name = match body.read()?.name {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(String::new()),
            MaybeUndefined::Value(name) => Some(checked_name(&name).map_err(|it| Error::Invalid(vec![it]))?),
        };

        let user = self
            .db
            .write(caller.tenant(), move |tx| {
                let old = store::find_user(tx, user)?.ok_or(Error::NotFound)?;
                if !expected.allows(old.version) {
                    return Err(Error::Stale);
                }
                if let Some(name) = &name {
                    store::set_name(tx, user, name, now)?;
                    let entry = Entry::new(Action::ProfileChange).about("user", &user);
                    let (before, after) = (json!({ "name": old.name }), json!({ "name": name }));
                    actor.append(tx, now, &entry.before(before).after(after))?;
                }
                store::find_user(tx, user)?.ok_or(Error::NotFound)
            })
            .await?;

        let tag = etag::of_version(user.version);
        Ok(Profile::User(Json(user), tag))
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
        let sent = body.read_judged(|sound| faults_of_newcomer(&config, sound, Role::User))?;
        let NewUser { email, password, name, role } = sent;
        let newcomer = self.newcomer(&email, password, name, role.unwrap_or(Role::User)).await?;
        let (user, hash) = (newcomer.user, self.passwords.hash(newcomer.password).await?);
        let actor = trail.of(&caller);

        let user = self
            .db
            .write(caller.tenant(), move |tx| {
                add(tx, &user, &hash)?;
                actor.append(tx, user.created_at, &about_newcomer(Action::UserCreate, &user))?;
                Ok::<_, Error>(user.clone())
            })
            .await?;

        let tag = etag::of_version(user.version);
        let location = format!("/api/v1/users/{}", user.id);
        Ok(CreatedUser::User(Json(user), tag, location))
    }

    /// Read an account
    #[oai(path = "/users/:id", method = "get", operation_id = "show_user", tag = "Tag::Users")]
    async fn show_user(&self, caller: Caller, _query: NoQuery, id: Path<String>) -> Result<Profile, Problem> {
        caller.must(USERS_READ)?;

        let id: UserId = id.0.parse().map_err(|_| Error::NotFound)?;
        let user = self.db.get(caller.tenant(), move |tx| store::find_user(tx, id)).await?;

        let user = user.ok_or(Error::NotFound)?;
        let tag = etag::of_version(user.version);
        Ok(Profile::User(Json(user), tag))
    }

    /// List accounts
    ///
    /// The oldest first.
    #[oai(path = "/admin/users", method = "get", operation_id = "list_users", tag = "Tag::Users")]
    async fn list_users(
        &self,
        caller: Caller,
        /// Most accounts on a page: 1 to 500, or 30 if absent.
        limit: Query<Option<String>>,
        /// `meta.nextCursor` of the page before.
        cursor: Query<Option<String>>,
        /// The number of a page, from 1; not beside `cursor`.
        page: Query<Option<String>>,
        /// `exact` to get `meta.total`.
        count: Query<Option<String>>,
        request: &Request,
    ) -> Result<Users, Problem> {
        caller.must(USERS_READ)?;

        must_be_among(request, &["limit", "cursor", "page", "count"])?;
        let mut asked = Paging { cursor: cursor.0, count: count.0, ..Paging::default() };
        let sent = [("limit", limit.0), ("page", page.0)];
        let faults: Vec<_> = sent.iter().filter_map(|(name, it)| asked.read(name, it.as_ref()?).err()).collect();
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        let scope = cursor_scope(&caller);
        let page = asked.check(&self.cursors, &scope)?;
        let after = page.after.as_deref().and_then(read_position);
        let (skip, limit, with_total) = (page.skip, page.limit, page.with_total);

        let (mut users, total) = self
            .db
            .read(caller.tenant(), move |tx| {
                // One more than the page holds tells whether there is a next one.
                let users = store::list_users(tx, after, skip, limit + 1)?;
                let total = if with_total { Some(store::count_users(tx)?.unsigned_abs()) } else { None };
                Ok::<_, Error>((users, total))
            })
            .await?;

        let has_more = limit < users.len() as u64;
        users.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let last = users.last().filter(|_| has_more);
        let next_cursor = last.map(|it| self.cursors.seal(&position(it), &scope));
        let link = paging::links("/api/v1/admin/users", "", &page, next_cursor.as_deref(), total);
        let meta = ListMeta { limit, next_cursor, page: page.number, total };
        Ok(Users::Page(Json(UserList { data: users, meta }), link))
    }

    /// Make a setup link
    ///
    /// Whoever opens it becomes an admin. It works once, and for an hour unless the operator set another time.
    #[oai(path = "/admin/setup-links", method = "post", operation_id = "create_setup_link", tag = "Tag::Users")]
    async fn create_setup_link(&self, caller: Caller, trail: Trail, _query: NoQuery) -> Result<CreatedLink, Problem> {
        caller.must(USERS_ADMIN)?;

        let (url, lifetime) = (self.server.get().url(), self.config.get().setup_link_lifetime());
        let actor = trail.of(&caller);
        let link =
            first_admin::open_setup_link(&self.db, caller.tenant(), actor, &url, lifetime, &self.random, &self.clock)
                .await?;

        Ok(CreatedLink::Link(Json(link)))
    }
}

impl AccountsApi {
    /// Checks what someone wants to be known by; everything that is wrong with it at once.
    async fn newcomer(
        &self,
        email: &str,
        password: String,
        name: Option<String>,
        role: Role,
    ) -> Result<Newcomer, Error> {
        let mut faults = Vec::new();
        let mut checked = |value: Result<String, Fault>| value.map_err(|fault| faults.push(fault)).unwrap_or_default();
        let email = checked(checked_email(email));
        let name = checked(checked_name(&name.unwrap_or_default()));
        let password = Secret::new(password);
        faults.extend(self.passwords.fault(password.clone(), role, &email, &name).await?);
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
            permissions: User::permission_names(role),
            created_at: now,
            updated_at: now,
            last_sign_in_at: None,
            version: 1,
        };
        Ok(Newcomer { user, password })
    }

    /// Whose account it is, if the password is right. Takes as long if there is no account.
    async fn judge(&self, tenant: &TenantId, email: String, password: Secret<String>) -> Result<Option<Judged>, Error> {
        let found = self.db.get(tenant, move |tx| store::find_user_and_hash(tx, &email)).await?;
        let (user, kept) = found.unzip();
        let is_right = self.passwords.is_right(password.clone(), kept.clone()).await?;
        let Some((user, kept)) = user.zip(kept).filter(|_| is_right) else {
            return Ok(None);
        };
        if self.passwords.has_todays_cost(&kept) {
            return Ok(Some(Judged { user, new_hash: None }));
        }
        // If the threads are busy, the next sign-in does it.
        let new = self.passwords.hash(password).await.ok();
        Ok(Some(Judged { user, new_hash: new.map(|new| (kept, new)) }))
    }

    /// Adds someone and signs them in, in one transaction. With `setup_link`, only by using that up.
    async fn add_signed_in(
        &self,
        config: &AccountsConfig,
        tenant: &TenantId,
        newcomer: Newcomer,
        trail: &Trail,
        setup_link: Option<String>,
    ) -> Result<SignedIn, Error> {
        let hash = self.passwords.hash(newcomer.password).await?;
        let now = self.clock.now();
        let user = User { last_sign_in_at: Some(now), ..newcomer.user };
        let session = self.session(config, user.id, now);
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
                add(tx, &user, &hash)?;
                store::insert_session(tx, &opened)?;
                actor.append(tx, now, &about_newcomer(action, &user))?;
                Ok(user.clone())
            })
            .await?;

        Ok(SignedIn { tokens: self.token_pair(config, tenant, &session, now)?, user })
    }

    fn session(&self, config: &AccountsConfig, user: UserId, now: Timestamp) -> Session {
        let id: SessionId = self.random.id(&self.clock);
        let expires_at = session_end(config, now, now);
        Session { id, user_id: user, refresh_counter: 1, created_at: now, refreshed_at: now, expires_at }
    }

    fn token_pair(
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
            access_token: self.tokens.access(tenant, access, now)?,
            refresh_token: self.tokens.refresh(tenant, refresh),
            token_type: "Bearer".to_owned(),
            expires_in: now.until(expires_at).as_secs(),
        })
    }
}

/// Whose cursor it is. Not in which session, since people sign in again in the middle of a list.
fn cursor_scope(caller: &Caller) -> String {
    match caller.subject() {
        Subject::Operator => format!("users {} operator", caller.tenant()),
        Subject::User { id, .. } => format!("users {} {id}", caller.tenant()),
        Subject::Stranger => format!("users {} stranger", caller.tenant()),
    }
}

/// What a cursor remembers of the last account on a page.
fn position(user: &User) -> String {
    format!("{} {}", user.created_at.millis(), user.id)
}

fn read_position(text: &str) -> Option<(Timestamp, UserId)> {
    let (created_at, id) = text.split_once(' ')?;
    Some((Timestamp::from_millis(created_at.parse().ok()?), id.parse().ok()?))
}
