//! Who is calling, and what they may try.
//!
//! `http/` knows no feature: how a token becomes a [`Caller`] is a boxed function
//! ([`Authenticate`]) that `app.rs` hands in as request data.
use std::sync::Arc;

use futures_util::future::BoxFuture;
use poem::http::header::AUTHORIZATION;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::log::Who;
use super::permissions::{Permission, Permissions};
use super::problem::{self, Problem};
use crate::base::{SessionId, TenantId, Timestamp, UserId};

/// The name of the security scheme in the OpenAPI document.
pub const BEARER: &str = "bearer";

/// Who stands behind a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The person who runs the server, at its socket or with the server stopped.
    Operator,
    /// Someone with an account, in one of their sessions.
    User { id: UserId, session: SessionId },
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
}

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
        })
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

    /// The id of the account behind the request; a stranger and the operator have none.
    pub fn user_id(&self) -> Option<UserId> {
        match self.0.subject {
            Subject::User { id, .. } => Some(id),
            Subject::Operator | Subject::Stranger => None,
        }
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

    /// Refuses a caller without `permission`. A stranger is told to sign in first.
    pub fn must(&self, permission: Permission) -> Result<(), Problem> {
        if self.may(permission) {
            return Ok(());
        }
        if self.is_stranger() {
            return Err(Problem::not_signed_in());
        }
        let detail = format!("this needs the permission `{}`, which your role does not have", permission.0);
        Err(Problem::new(&problem::NOT_ALLOWED, detail))
    }

    /// The account behind the request; an operator has none.
    pub fn user(&self) -> Result<(UserId, SessionId), Problem> {
        match self.0.subject {
            Subject::User { id, session } => Ok((id, session)),
            Subject::Stranger => Err(Problem::not_signed_in()),
            Subject::Operator => {
                Err(Problem::new(&problem::NOT_ALLOWED, "this is about an account, and the operator has none"))
            }
        }
    }
}

/// Turns an access token into a caller, or says why not; nothing at all into a stranger.
pub type Authenticate = dyn Fn(TenantId, Option<String>) -> BoxFuture<'static, Result<Caller, Problem>> + Send + Sync;

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
        vec![BEARER]
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
        vec![BEARER]
    }

    fn has_security_fallback() -> bool {
        true
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let is_stranger =
            !request.headers().contains_key(AUTHORIZATION) && request.extensions().get::<Caller>().is_none();
        if is_stranger {
            return Ok(Self(authenticate(request, None).await?));
        }
        Caller::from_request(request, body, options).await.map(Self)
    }
}

/// Who a request comes from; a stranger is refused.
pub(super) async fn caller_of(request: &Request) -> Result<Caller, Problem> {
    if let Some(at_the_socket) = request.extensions().get::<Caller>() {
        return Ok(at_the_socket.clone());
    }
    authenticate(request, Some(bearer_token(request)?)).await
}

async fn authenticate(request: &Request, token: Option<String>) -> Result<Caller, Problem> {
    let tenant = request.data::<TenantId>().cloned().unwrap_or_else(TenantId::main);
    let authenticate = request.data::<Arc<Authenticate>>().ok_or_else(Problem::not_signed_in)?;
    let caller = authenticate(tenant, token).await?;
    if let (Some(id), Some(who)) = (caller.user_id(), request.data::<Who>()) {
        who.is(id); // for the log
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
