//! An app in memory with a stopped clock and counted dice, and a client for it.
pub mod certificates;
pub mod live;
pub mod promise;
pub mod schema;
pub mod smtp;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use poem::http::uri::Scheme;
use poem::http::{HeaderMap, Method, Uri};
use poem::web::{LocalAddr, RemoteAddr};
use serde_json::{Value, json};
use steading::App;
use steading::base::{Clock, Random, TenantId, Timestamp};
use steading::config::{Live, Sources};
use steading::http::{Caller, Shell};

use self::promise::Promises;

/// 2026-01-02T03:04:05.678Z, where every test's clock stands at first.
pub const START: Timestamp = Timestamp::from_millis(1_767_323_045_678);
pub const PASSWORD: &str = "correct horse battery staple";

pub struct TestApp {
    pub app: App,
    pub clock: Clock,
    shell: Shell,
    tokens: BTreeMap<&'static str, String>,
    promises: Promises,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

/// What came back, if that is no text.
#[derive(Debug)]
pub struct Raw {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|it| it.to_str().ok())
    }

    /// The version that the answer's tag names.
    pub fn version(&self) -> Option<i64> {
        self.header("etag")?.trim_matches('"').split('-').next()?.parse().ok()
    }

    pub fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }

    /// Status and problem code, which most refusals are told by.
    pub fn refusal(&self) -> (u16, &str) {
        assert_eq!(self.content_type(), "application/problem+json", "{self:?}");
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }

    pub fn str(&self, member: &str) -> String {
        self.body[member].as_str().unwrap_or_else(|| panic!("no `{member}` in {self:?}")).to_owned()
    }
}

/// A request that is being put together.
pub struct Ask<'a> {
    app: &'a TestApp,
    method: Method,
    path: Uri,
    request: poem::RequestBuilder,
    body: Option<String>,
    /// Where it comes from; nowhere, as from the operator's socket, if it does not say.
    address: Option<IpAddr>,
}

impl<'a> Ask<'a> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn json(self, body: &Value) -> Self {
        self.text(body.to_string())
    }

    pub fn text(mut self, body: impl Into<String>) -> Self {
        self.request = self.request.header("content-type", "application/json");
        self.body = Some(body.into());
        self
    }

    /// A body without a media type.
    pub fn raw(mut self, body: impl Into<String>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// From an address, as if nothing stood between.
    pub fn from(self, address: &str) -> Self {
        Self { address: Some(address.parse().expect("an address")), ..self }
    }

    pub async fn send(self) -> Reply {
        let request = self.request.body(self.body.unwrap_or_default());
        let request = match self.address {
            Some(address) => request_from(address, request),
            None => request,
        };
        let response = self.app.shell.answer(request).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.into_body().into_string().await.expect("text");
        let reply = Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::Null), text };
        self.app.promises.check(&self.app.shell, &self.method, &self.path, &reply).await;
        reply
    }

    /// The answer with its body as it goes over the wire.
    pub async fn bytes(self) -> Raw {
        let response = self.app.shell.answer(self.request.body(self.body.unwrap_or_default())).await;
        let headers = response.headers().clone();
        Raw { headers, body: response.into_body().into_vec().await.expect("a body") }
    }

    /// The body of the answer, part by part, each made when it is asked for.
    pub async fn stream(self) -> impl Stream<Item = std::io::Result<Bytes>> + Unpin {
        let response = self.app.shell.answer(self.request.body(self.body.unwrap_or_default())).await;
        Box::pin(response.into_body().into_bytes_stream())
    }
}

/// The same request, as it comes from an address.
fn request_from(address: IpAddr, mut request: poem::Request) -> poem::Request {
    let peer = SocketAddr::new(address, 50_000);
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = request.uri().clone();
    parts.headers = std::mem::take(request.headers_mut());
    parts.extensions = std::mem::take(request.extensions_mut());
    let parts = poem::RequestParts::from((parts, LocalAddr(peer.into()), RemoteAddr(peer.into()), Scheme::HTTP));
    poem::Request::from_parts(parts, request.take_body())
}

fn config(settings: &[(&str, &str)]) -> Live {
    // The cheapest hash that the settings allow: the tests are not about its cost.
    let cheap = [("ACCOUNTS__HASH_MEMORY_KIB", "8192"), ("ACCOUNTS__HASH_ITERATIONS", "1")];
    let cheap = cheap.iter().filter(|(name, _)| settings.iter().all(|(it, _)| it != name));
    let environment = cheap.chain(settings).map(|(name, value)| (format!("STEADING__{name}").into(), (*value).into()));
    Live::load(Sources { environment: environment.collect(), ..Sources::default() }).expect("settings")
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With settings as they stand in the environment: `("ACCOUNTS__REGISTRATION", "closed")`.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let clock = Clock::stopped_at(START);
        let app = App::in_memory(config(settings), clock.clone(), Random::counting()).await.expect("an app");
        Self::around(app, clock)
    }

    /// On a data folder, for what must outlast the process.
    pub async fn on_disk(data: &Path, settings: &[(&str, &str)]) -> Self {
        let clock = Clock::stopped_at(START);
        // One that was dropped a moment ago may still be letting go of the folder.
        let until = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            // Counted dice would make the ids of the time before once more.
            match App::open(data, config(settings), clock.clone(), Random::system()).await {
                Ok(app) => return Self::around(app, clock),
                Err(cause) if std::time::Instant::now() < until && cause.to_string().contains("another Steading") => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(cause) => panic!("an app: {cause:?}"),
            }
        }
    }

    fn around(app: App, clock: Clock) -> Self {
        let shell = app.shell(app.routes().expect("routes"));
        Self { app, clock, shell, tokens: BTreeMap::new(), promises: Promises::default() }
    }

    /// With `admin@`, `user@` and `readonly@example.com`, all signed in.
    pub async fn with_people() -> Self {
        Self::with_people_and(&[]).await
    }

    /// As [`TestApp::with_people`], with settings.
    pub async fn with_people_and(settings: &[(&str, &str)]) -> Self {
        let mut app = Self::with(settings).await;
        for role in ["admin", "user", "readonly"] {
            let email = format!("{role}@example.com");
            let body = json!({ "email": email, "password": PASSWORD, "role": role });
            let made = app.operator(Method::POST, "/api/v1/admin/users").json(&body).send().await;
            assert_eq!(made.status, 201, "{made:?}");
            let token = app.login(&email, PASSWORD).await.str("accessToken");
            app.tokens.insert(role, token);
        }
        app
    }

    /// Someone more, `<name>@example.com`: their id and access token.
    pub async fn person(&self, name: &str, role: &str) -> (String, String) {
        let email = format!("{name}@example.com");
        let body = json!({ "email": email, "password": PASSWORD, "role": role });
        let made = self.operator(Method::POST, "/api/v1/admin/users").json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        (made.str("id"), self.login(&email, PASSWORD).await.str("accessToken"))
    }

    /// A role that lets people try just this.
    pub async fn role(&self, name: &str, permissions: &[&str]) {
        let body = json!({ "name": name, "permissions": permissions });
        let made = self.operator(Method::POST, "/api/v1/admin/roles").json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }

    /// Lets [`TestApp::as_role`] know someone more.
    pub fn keep_token(&mut self, name: &'static str, token: String) {
        self.tokens.insert(name, token);
    }

    /// The access token of someone of [`TestApp::with_people`].
    pub fn token(&self, role: &str) -> &str {
        &self.tokens[role]
    }

    pub fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let path: Uri = path.parse().unwrap_or_else(|_| panic!("{path} is no path"));
        let request = poem::Request::builder().method(method.clone()).uri(path.clone()).header("host", "localhost");
        Ask { app: self, method, path, request, body: None, address: None }
    }

    /// As someone of [`TestApp::with_people`]; as a stranger with `""`.
    pub fn as_role(&self, role: &str, method: Method, path: &str) -> Ask<'_> {
        let ask = self.ask(method, path);
        match self.tokens.get(role) {
            Some(token) => ask.bearer(token),
            None => ask,
        }
    }

    /// As the operator at the socket.
    pub fn operator(&self, method: Method, path: &str) -> Ask<'_> {
        let mut ask = self.ask(method, path);
        ask.request = ask.request.extension(Caller::operator(TenantId::main()));
        ask
    }

    pub async fn register(&self, email: &str) -> Reply {
        let body = json!({ "email": email, "password": PASSWORD });
        self.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await
    }

    pub async fn login(&self, email: &str, password: &str) -> Reply {
        let body = json!({ "email": email, "password": password });
        self.ask(Method::POST, "/api/v1/auth/login").json(&body).send().await
    }

    pub async fn refresh(&self, token: &str) -> Reply {
        let body = json!({ "refreshToken": token });
        self.ask(Method::POST, "/api/v1/auth/refresh-token").json(&body).send().await
    }

    pub async fn profile(&self, token: &str) -> Reply {
        self.ask(Method::GET, "/api/v1/auth/profile").bearer(token).send().await
    }

    pub fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    pub async fn openapi(&self) -> Value {
        self.operator(Method::GET, "/openapi.json").send().await.body
    }
}
