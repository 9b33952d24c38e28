//! Who is calling, and what they may try.
//!
//! `http/` knows no feature: how a token becomes a [`Caller`] is a boxed function
//! ([`Authenticate`]) that `app.rs` hands in as request data.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use poem::http::HeaderName;
use poem::http::header::AUTHORIZATION;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::address::ClientAddress;
use super::log::{Allowance, KeyUse, Who};
use super::permissions::{Permission, Permissions};
use super::problem::{self, Problem};
use super::{cookie, own_origin};
use crate::base::{ApiKeyId, SessionId, TenantId, Timestamp, UserId};

/// The name of the security scheme in the OpenAPI document.
pub const BEARER: &str = "bearer";
/// The same of keys.
pub const API_KEY: &str = "apiKey";

pub const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// What the secret of each key begins with, and no access token.
pub const KEY_PREFIX: &str = "sk_";
/// From how many characters on something after [`KEY_PREFIX`] is taken for a key.
const KEY_CHARS_MIN: usize = 20;

/// The same of the cookie of a browser.
pub const COOKIE: &str = "cookie";

/// Who stands behind a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The person who runs the server, at its socket or with the server stopped.
    Operator,
    /// Someone with an account, in one of their sessions.
    User { id: UserId, session: SessionId },
    /// A program with an API key: on behalf of an account, or of nobody.
    /// `secret` tells its secrets apart: the one after a rotation from the one before.
    Key { id: ApiKeyId, owner: Option<UserId>, secret: u64 },
    /// Someone who did not sign in.
    Stranger,
}

/// A caller whose identity was checked. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Principal>);

/// What is known of a caller.
#[derive(Debug)]
pub struct Principal {
    pub tenant: TenantId,
    pub subject: Subject,
    /// The role's name, as the account has it; `operator` for the operator, empty for a stranger.
    pub role: String,
    /// The account's address; empty if there is none.
    pub email: String,
    pub email_verified: bool,
    /// What the account is worth to whoever runs the server: rules and limits may ask for it.
    pub tier: Option<String>,
    pub permissions: Permissions,
    /// When the token ends that says who it is; absent where there is none.
    pub until: Option<Timestamp>,
    pub shown: Shown,
    /// Who acts as the account, if that is not its owner.
    pub impersonator: Option<Impersonator>,
}

/// What someone showed to be let in.
#[derive(Clone, Debug)]
pub enum Shown {
    /// Nothing, or what is asked of the database whenever it matters.
    Nothing,
    /// A signed token.
    Token(Trust),
    /// The cookie of a browser.
    Cookie,
}

/// Whether what a key signed is still believed. Clones end together.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<AtomicBool>);

impl Trust {
    /// The key does not count any more.
    pub fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn holds(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// Someone who acts as somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonator {
    pub id: UserId,
    pub email: String,
}

/// What may be tried while acting as somebody else: reading and writing records, as far as their rules let.
const WHILE_IMPERSONATING: [Permission; 2] = [Permission("records:read"), Permission("records:write")];

impl Caller {
    pub fn new(principal: Principal) -> Self {
        Self(Arc::new(principal))
    }

    pub fn operator(tenant: TenantId) -> Self {
        Self::new(Principal {
            tenant,
            subject: Subject::Operator,
            role: "operator".to_owned(),
            email: String::new(),
            email_verified: false,
            tier: None,
            permissions: Permissions::All,
            until: None,
            shown: Shown::Nothing,
            impersonator: None,
        })
    }

    /// Whether what was shown counts, as far as no database tells.
    pub fn is_believed(&self) -> bool {
        match &self.0.shown {
            Shown::Token(trust) => trust.holds(),
            Shown::Nothing | Shown::Cookie => true,
        }
    }

    /// Whether it is a browser with a cookie.
    pub fn has_cookie(&self) -> bool {
        matches!(self.0.shown, Shown::Cookie)
    }

    pub fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    pub fn subject(&self) -> &Subject {
        &self.0.subject
    }

    pub fn principal(&self) -> &Principal {
        &self.0
    }

    /// The id of the account behind the request; a stranger and the operator have none, nor has a key without an owner.
    pub fn user_id(&self) -> Option<UserId> {
        match self.0.subject {
            Subject::User { id, .. } => Some(id),
            Subject::Key { owner, .. } => owner,
            Subject::Operator | Subject::Stranger => None,
        }
    }

    /// Who it is, in a word that stands for nobody else: for cursors, and for who did something.
    pub fn name(&self) -> String {
        match self.0.subject {
            Subject::User { id, .. } => id.to_string(),
            Subject::Key { id, .. } => format!("key:{id}"),
            Subject::Operator => "operator".to_owned(),
            Subject::Stranger => "stranger".to_owned(),
        }
    }

    /// Whether an account is the caller's own, and they signed in themselves: a program with their key is someone else.
    pub fn is(&self, account: UserId) -> bool {
        self.0.impersonator.is_none() && matches!(self.0.subject, Subject::User { id, .. } if id == account)
    }

    /// Who acts as the account, if that is not its owner.
    pub fn impersonator(&self) -> Option<&Impersonator> {
        self.0.impersonator.as_ref()
    }

    pub fn is_stranger(&self) -> bool {
        self.0.subject == Subject::Stranger
    }

    pub fn may(&self, permission: Permission) -> bool {
        self.0.permissions.allow(permission)
    }

    /// Whether the caller may try it with the records of one collection.
    pub fn may_in(&self, permission: Permission, collection: &str) -> bool {
        self.0.permissions.allow_in(permission, Some(collection))
    }

    /// Refuses a caller who may not try it with the records of one collection.
    pub fn must_in(&self, permission: Permission, collection: &str) -> Result<(), Problem> {
        if self.may_in(permission, collection) { Ok(()) } else { self.must(permission) }
    }

    /// Refuses a caller who may not try it with any collection; which ones they may is asked of each.
    pub fn must_somewhere(&self, permission: Permission) -> Result<(), Problem> {
        if self.0.permissions.allow_somewhere(permission) { Ok(()) } else { self.must(permission) }
    }

    /// Refuses a caller without `permission`. A stranger is told to sign in first.
    pub fn must(&self, permission: Permission) -> Result<(), Problem> {
        if self.may(permission) { Ok(()) } else { Err(self.refusal(permission)) }
    }

    /// What a caller without `permission` is told.
    pub fn refusal(&self, permission: Permission) -> Problem {
        if self.is_stranger() {
            return Problem::not_signed_in();
        }
        if self.0.impersonator.is_some() && !WHILE_IMPERSONATING.contains(&permission) {
            return impersonated();
        }
        let whose = if matches!(self.0.subject, Subject::Key { .. }) { "this key" } else { "your role" };
        let detail = format!("this needs the permission `{}`, which {whose} does not have", permission.0);
        Problem::new(&problem::NOT_ALLOWED, detail)
    }

    /// The account behind the request, whose owner it is that asks; an operator has none.
    pub fn user(&self) -> Result<(UserId, SessionId), Problem> {
        self.must_be_oneself()?;
        self.user_or_impersonator()
    }

    /// Refuses whoever acts as the owner of an account.
    pub fn must_be_oneself(&self) -> Result<(), Problem> {
        if self.0.impersonator.is_some() { Err(impersonated()) } else { Ok(()) }
    }

    /// The same for the few things that somebody may do who acts as its owner.
    pub fn user_or_impersonator(&self) -> Result<(UserId, SessionId), Problem> {
        match self.0.subject {
            Subject::User { id, session } => Ok((id, session)),
            Subject::Stranger => Err(Problem::not_signed_in()),
            Subject::Key { .. } => {
                Err(Problem::new(&problem::NEEDS_SESSION, "a person has to sign in for this; a key is not enough"))
            }
            Subject::Operator => {
                Err(Problem::new(&problem::NOT_ALLOWED, "this is about an account, and the operator has none"))
            }
        }
    }
}

fn impersonated() -> Problem {
    Problem::new(&problem::IMPERSONATED, "this is for the owner of the account, or for admins as themselves")
}

/// What a request shows to say who it comes from.
#[derive(Debug)]
pub enum Credential {
    Nothing,
    /// An access token.
    Token(String),
    /// The secret of an API key.
    Key(String),
    /// The cookie of a browser, from a page that may show it.
    Cookie(String),
}

/// Who asks to be let in, and from where.
#[derive(Debug)]
pub struct Presented {
    pub tenant: TenantId,
    pub credential: Credential,
    pub address: ClientAddress,
    /// Whether the request reads alone, as its method says (RFC 9110 section 9.2.1).
    pub is_read: bool,
}

/// Turns what a request shows into a caller, or says why not; nothing at all into a stranger. With what it shows of an
/// API key comes what is left of its limits.
pub type Authenticate =
    dyn Fn(Presented) -> BoxFuture<'static, Result<(Caller, Vec<Allowance>), Problem>> + Send + Sync;

/// Someone who may be a stranger. A token that does not work is refused all the same.
#[derive(Debug)]
pub struct Visitor(pub Caller);

impl<'a> ApiExtractor<'a> for Caller {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER, COOKIE, API_KEY]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(caller_of(request).await?)
    }
}

impl<'a> ApiExtractor<'a> for Visitor {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![BEARER, COOKIE, API_KEY]
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if !shows_something(request) {
            must_not_be_in_query(request)?;
            return Ok(Self(authenticate(request, Credential::Nothing).await?));
        }
        Caller::from_request(request, body, options).await.map(Self)
    }
}

/// Who a request comes from; a stranger is refused.
///
/// A token, or a key, wins over a cookie, which goes along whether the page wants it or not.
pub(super) async fn caller_of(request: &Request) -> Result<Caller, Problem> {
    if let Some(at_the_socket) = request.extensions().get::<Caller>() {
        return Ok(at_the_socket.clone());
    }
    let cookie = cookie::presented(request)?.map(|it| Credential::Cookie(it.to_owned()));
    let Some(cookie) = cookie else { return authenticate(request, credential(request)?).await };
    if shows_header(request) {
        let caller = authenticate(request, credential(request)?).await?;
        return match identify(request, cookie).await {
            // Whoever acts as somebody else in a browser has a cookie of their own.
            Ok((other, _)) if ![caller.user_id(), caller.impersonator().map(|it| it.id)].contains(&other.user_id()) => {
                let detail = "the token, or the key, and the cookie are of different people; send one of them";
                Err(Problem::new(&problem::TWO_CALLERS, detail))
            }
            Err(problem) if 500 <= problem.kind.status => Err(problem),
            // A cookie that does not work is of nobody.
            Ok(_) | Err(_) => Ok(caller),
        };
    }
    must_not_be_in_query(request)?;
    own_origin::check(request)?;
    authenticate(request, cookie).await.map_err(|problem| cookie::forgotten(problem, request))
}

/// Whether a request says at all who it comes from.
pub(super) fn shows_something(request: &Request) -> bool {
    shows_header(request)
        || request.extensions().get::<Caller>().is_some()
        || !matches!(cookie::presented(request), Ok(None))
}

fn shows_header(request: &Request) -> bool {
    request.headers().contains_key(AUTHORIZATION) || request.headers().contains_key(X_API_KEY)
}

async fn identify(request: &Request, credential: Credential) -> Result<(Caller, Vec<Allowance>), Problem> {
    let tenant = request.data::<TenantId>().cloned().unwrap_or_else(TenantId::main);
    let authenticate = request.data::<Arc<Authenticate>>().ok_or_else(Problem::not_signed_in)?;
    let address = request.extensions().get::<ClientAddress>().copied().unwrap_or(ClientAddress(None));
    let is_read = request.method().is_safe();
    authenticate(Presented { tenant, credential, address, is_read }).await
}

async fn authenticate(request: &Request, credential: Credential) -> Result<Caller, Problem> {
    let (caller, allowances) = identify(request, credential).await?;
    if let Some(who) = request.data::<Who>() {
        who.calls(&caller);
        if let Some(id) = caller.user_id() {
            who.is(id); // for the log
        }
        if let Subject::Key { id: key, .. } = *caller.subject() {
            who.came_with(KeyUse { key, allowances });
        }
    }
    Ok(caller)
}

fn register(registry: &mut Registry) {
    registry.create_security_scheme(
        BEARER,
        MetaSecurityScheme {
            ty: "http",
            description: Some("The `accessToken` that signing in returns."),
            name: None,
            key_in: None,
            scheme: Some("bearer"),
            bearer_format: Some("JWT"),
            flows: None,
            openid_connect_url: None,
        },
    );
    registry.create_security_scheme(
        COOKIE,
        MetaSecurityScheme {
            ty: "apiKey",
            description: Some(
                "What signing in with `\"session\": \"cookie\"` gives a browser. Over plain HTTP it is called \
                 `steading-session`. A request that changes something has to come from a page of this server.",
            ),
            name: Some("__Host-steading-session"),
            key_in: Some("cookie"),
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        },
    );
    registry.create_security_scheme(
        API_KEY,
        MetaSecurityScheme {
            ty: "apiKey",
            description: Some("The secret of an API key: `sk_live_…`. As a bearer token it does as well."),
            name: Some("X-API-Key"),
            key_in: Some("header"),
            scheme: None,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        },
    );
}

/// What a request shows. Two different things are refused: which one counts must not be a guess.
fn credential(request: &Request) -> Result<Credential, Problem> {
    must_not_be_in_query(request)?;
    let mut keys = request.headers().get_all(X_API_KEY).iter();
    let Some(key) = keys.next() else {
        let token = bearer_token(request)?;
        return Ok(if token.starts_with(KEY_PREFIX) { Credential::Key(token) } else { Credential::Token(token) });
    };
    if keys.next().is_some() {
        return Err(Problem::new(&problem::MALFORMED, "send `X-API-Key` once"));
    }
    let key = key.to_str().map(str::trim).unwrap_or_default().to_owned();
    if request.headers().contains_key(AUTHORIZATION) && bearer_token(request).ok().as_ref() != Some(&key) {
        return Err(Problem::new(&problem::MALFORMED, "send `X-API-Key` or `Authorization`, not both"));
    }
    Ok(Credential::Key(key))
}

/// Refuses a key in the address of a request: addresses are logged, kept and passed on.
fn must_not_be_in_query(request: &Request) -> Result<(), Problem> {
    let query = request.uri().query().unwrap_or_default();
    let is_key = |rest: &str| KEY_CHARS_MIN <= rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
    if query.split(KEY_PREFIX).skip(1).any(|rest| is_key(rest.trim_start_matches("live_"))) {
        let detail = "an API key never goes into an address: send it as `X-API-Key`, and rotate this one, since \
                      addresses are kept in many places";
        return Err(Problem::new(&problem::MALFORMED, detail));
    }
    Ok(())
}

/// The one bearer token of a request. Two are refused: which one counts must not be a guess.
fn bearer_token(request: &Request) -> Result<String, Problem> {
    let mut values = request.headers().get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(Problem::not_signed_in)?;
    if values.next().is_some() {
        return Err(Problem::new(&problem::MALFORMED, "send `Authorization` once"));
    }
    let (scheme, token) = value.to_str().ok().and_then(|it| it.split_once(' ')).ok_or_else(Problem::not_signed_in)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::not_signed_in());
    }
    Ok(token.trim().to_owned())
}
