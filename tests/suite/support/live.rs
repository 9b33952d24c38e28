//! An app behind a real socket, and clients that listen to it.
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use poem::http::Method;
use serde_json::{Value, json};
use steading::base::{Clock, Random, Secret};
use steading::http::{Door, Policy, serve};
use steading::net::{Address, Trust};
use steading::relay::{Relay, Settings};
use steading::work::Lifecycle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Reply, TestApp};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Live {
    pub app: TestApp,
    pub address: String,
    /// Where its WebSockets are: elsewhere, if a relay holds them.
    pub sockets: String,
    lifecycle: Lifecycle,
}

/// A relay, in this process.
pub struct AtRelay {
    pub address: String,
    lifecycle: Lifecycle,
}

impl AtRelay {
    /// A relay of the server at an address, once it has its link.
    pub async fn start(origin: &str, key: &str) -> Self {
        let relay = Self::try_start(origin, key, "test");
        relay.linked().await;
        relay
    }

    #[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
    pub fn try_start(origin: &str, key: &str, name: &str) -> Self {
        let settings = Settings {
            origin: Address::parse(&format!("http://{origin}")).expect("an address"),
            trust: Trust::public().expect("authorities"),
            key: Secret::new(key.to_owned()),
            name: name.to_owned(),
        };
        let listener = Door::open_tcp("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let lifecycle = Lifecycle::new();
        let relay = Relay::new(settings, Random::system(), lifecycle.stop_token());
        let shell = Arc::new(relay.shell(Policy::default(), Clock::system(), lifecycle.stop_token()));
        lifecycle.task("relay", relay.run());
        tokio::spawn(serve(vec![Door::Tcp(listener)], shell, lifecycle.stop_token(), Duration::from_secs(5)));
        Self { address, lifecycle }
    }

    /// Whether it should get clients, in its own words.
    pub async fn ready(&self) -> String {
        let mut stream = TcpStream::connect(&self.address).await.expect("connected");
        let head = "GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    pub async fn linked(&self) {
        let linked = async {
            while !self.ready().await.starts_with("HTTP/1.1 200") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, linked).await.expect("a link in time");
    }

    pub async fn unlinked(&self) {
        let unlinked = async {
            while !self.ready().await.starts_with("HTTP/1.1 503") {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, unlinked).await.expect("the end of a link in time");
    }

    pub async fn stop(&self) -> bool {
        self.lifecycle.stop(Duration::from_secs(5)).await
    }

    pub async fn socket(&self, token: Option<&str>) -> Socket {
        Socket::open(&self.address, token).await.expect("a socket")
    }
}

/// Has an app listen on a port, with everything that runs beside requests.
#[expect(clippy::disallowed_methods, reason = "it ends with the test's runtime")]
pub fn serve_app(app: &TestApp) -> (String, Lifecycle) {
    let listener = Door::open_tcp("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let lifecycle = Lifecycle::new();
    app.app.start(&lifecycle);
    let shell = Arc::new(app.app.shell(app.app.routes().expect("routes")));
    let stop = lifecycle.stop_token();
    tokio::spawn(serve(vec![Door::Tcp(listener)], shell, stop, Duration::from_secs(5)));
    (address, lifecycle)
}

impl Live {
    /// With `admin@`, `user@` and `readonly@example.com`.
    pub async fn start() -> Self {
        Self::around(TestApp::with_people().await).await
    }

    pub async fn around(app: TestApp) -> Self {
        let (address, lifecycle) = serve_app(&app);
        Self { app, sockets: address.clone(), address, lifecycle }
    }

    pub async fn stop(&self) -> bool {
        self.lifecycle.stop(Duration::from_secs(5)).await
    }

    /// The id and the secret of a key with which relays join.
    pub async fn key_for_relays(&self) -> (String, String) {
        let body = json!({ "name": "relays", "scopes": ["relays:admin"] });
        let made = self.app.operator(Method::POST, "/api/v1/admin/keys").json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        (made.body["key"]["id"].as_str().expect("an id").to_owned(), made.str("secret"))
    }

    /// Everyone who listens, as admins see it.
    pub async fn state(&self) -> Value {
        self.app.operator(Method::GET, "/api/v1/admin/realtime").send().await.body
    }

    /// A collection that anyone may read and admins write, unless `definition` says otherwise.
    pub async fn collection(&self, definition: &Value) {
        let made = self.app.as_role("admin", Method::POST, "/api/v1/collections").json(definition).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }

    pub async fn make(&self, collection: &str, body: &Value) -> String {
        let path = format!("/api/v1/collections/{collection}/records");
        let made = self.app.as_role("admin", Method::POST, &path).json(body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.str("id")
    }

    /// When nobody's token works any more.
    /// The id of a record that is made.
    pub async fn make_as_operator(&self, collection: &str, body: &Value) -> String {
        let path = format!("/api/v1/collections/{collection}/records");
        let made = self.app.operator(Method::POST, &path).json(body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.str("id")
    }

    pub async fn change(&self, collection: &str, id: &str, body: &Value) -> Reply {
        let path = format!("/api/v1/collections/{collection}/records/{id}");
        let changed = self.app.as_role("admin", Method::PATCH, &path).json(body).send().await;
        assert_eq!(changed.status, 200, "{changed:?}");
        changed
    }

    pub async fn remove(&self, collection: &str, id: &str) {
        let path = format!("/api/v1/collections/{collection}/records/{id}");
        let removed = self.app.as_role("admin", Method::DELETE, &path).send().await;
        assert_eq!(removed.status, 204, "{removed:?}");
    }

    pub async fn try_socket(&self, token: Option<&str>) -> Result<Socket, Error> {
        Socket::open(&self.sockets, token).await
    }

    /// As a stranger.
    pub async fn socket(&self) -> Socket {
        self.try_socket(None).await.expect("a socket")
    }

    /// As someone of [`TestApp::with_people`].
    pub async fn socket_of(&self, role: &str) -> Socket {
        self.try_socket(Some(self.app.token(role))).await.expect("a socket")
    }

    /// A stream of events. `headers` each end with a line break.
    pub async fn events(&self, query: &str, headers: &str) -> Events {
        self.stream(query, &format!("accept: text/event-stream\r\n{headers}")).await
    }

    /// Live updates that go on. `headers` each end with a line break.
    pub async fn stream(&self, query: &str, headers: &str) -> Events {
        self.answer(&format!("/api/v1/realtime?{query}"), headers).await
    }

    /// An answer that goes on. `headers` each end with a line break.
    pub async fn answer(&self, path: &str, headers: &str) -> Events {
        let mut stream = TcpStream::connect(&self.address).await.expect("connected");
        let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut events = Events { stream, text: String::new() };
        while !events.text.contains("\r\n\r\n") {
            assert!(events.more().await, "{}", events.text);
        }
        events
    }
}

pub struct Socket(pub WebSocketStream<TcpStream>);

impl Socket {
    pub async fn open(address: &str, token: Option<&str>) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await.expect("connected");
        let mut request = format!("ws://{address}/api/v1/realtime").into_client_request().expect("a request");
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().expect("a header"));
        }
        Ok(Self(tokio_tungstenite::client_async(request, stream).await?.0))
    }

    pub async fn say(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.expect("sent");
    }

    /// The next message, whatever it is.
    pub async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message in time");
        next.and_then(Result::ok)
    }

    /// The next text.
    pub async fn hear(&mut self) -> Value {
        loop {
            match self.next().await.expect("an open socket") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// What it was closed with, before anything else was said.
    pub async fn closed_in_silence(&mut self) -> u16 {
        match self.next().await {
            Some(Message::Close(frame)) => frame.expect("a reason").code.into(),
            other => panic!("{other:?}"),
        }
    }

    /// What it was closed with; whatever is said before counts not.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Some(Message::Close(frame)) => return frame.expect("a reason").code.into(),
                Some(_) => {}
                None => panic!("it broke off"),
            }
        }
    }

    pub async fn subscribe(&mut self, topic: &str) -> Value {
        self.say(&json!({ "subscribe": topic })).await;
        let answer = self.hear().await;
        assert_eq!(answer["topic"], topic, "{answer}");
        answer
    }

    pub async fn subscribe_where(&mut self, topic: &str, filter: &str) -> Value {
        self.say(&json!({ "subscribe": topic, "filter": filter })).await;
        let answer = self.hear().await;
        assert_eq!(answer["topic"], topic, "{answer}");
        answer
    }

    /// Type and title of the next event, which most tests are about.
    pub async fn event(&mut self) -> (String, String) {
        let event = self.hear().await;
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["record"]["title"]))
    }
}

pub struct Events {
    stream: TcpStream,
    pub text: String,
}

impl Events {
    /// Reads on. False at the end.
    pub async fn more(&mut self) -> bool {
        let mut space = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut space)).await.expect("something in time");
        let count = read.unwrap_or(0);
        self.text.push_str(&String::from_utf8_lossy(&space[..count]));
        0 < count
    }

    /// Reads until so many events came, and returns what they say, each with the id that stands before it.
    pub async fn hear(&mut self, count: usize) -> Vec<(String, Value)> {
        loop {
            let mut found = Vec::new();
            let mut id = String::new();
            for line in self.text.lines() {
                if let Some(it) = line.strip_prefix("id: ") {
                    id = it.to_owned();
                } else if let Some(json) = line.strip_prefix("data: ")
                    && let Ok(json) = serde_json::from_str(json)
                {
                    found.push((std::mem::take(&mut id), json));
                }
            }
            if count <= found.len() {
                return found;
            }
            assert!(self.more().await, "{}", self.text);
        }
    }
}
