//! Relays: what clients hear at one is what they would hear at the server, and nobody gets more by one.
use std::ops::Deref;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use poem::http::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::elsewhere::in_front_of;
use crate::server::{Server, command, steading};
use crate::support::TestApp;
use crate::support::certificates::{Certificate, NOW};
use crate::support::live::{self, AtRelay, Socket};

/// Every promise of live updates, at a relay.
#[path = "heartbeats.rs"]
mod heartbeats;
#[path = "realtime.rs"]
mod realtime;

/// The server stops, and with it the link: the relay itself goes on.
const AT_STOP: u16 = 1012;
const PATIENCE: Duration = Duration::from_secs(10);
/// How long one side of a link may say nothing, and how much later it may be noticed on a busy machine.
const SILENCE_MAX: Duration = Duration::from_secs(33);
const SLACK: Duration = Duration::from_secs(10);

/// An app whose WebSockets a relay holds.
struct Live {
    server: live::Live,
    _relay: AtRelay,
}

impl Live {
    async fn start() -> Self {
        Self::around(TestApp::with_people().await).await
    }

    async fn around(app: TestApp) -> Self {
        let mut server = live::Live::around(app).await;
        let (_, key) = server.key_for_relays().await;
        let relay = AtRelay::start(&server.address, &key).await;
        server.sockets.clone_from(&relay.address);
        Self { server, _relay: relay }
    }
}

impl Deref for Live {
    type Target = live::Live;

    fn deref(&self) -> &live::Live {
        &self.server
    }
}

/// A server and some relays of it.
async fn with_relays(count: usize, settings: &[(&str, &str)]) -> (live::Live, Vec<AtRelay>) {
    let live = live::Live::around(TestApp::with_people_and(settings).await).await;
    let (_, key) = live.key_for_relays().await;
    let mut relays = Vec::new();
    for _ in 0..count {
        relays.push(AtRelay::start(&live.address, &key).await);
    }
    (live, relays)
}

async fn posts(live: &live::Live) {
    let rules = json!({ "list": "true", "view": "true" });
    let fields = json!([{ "name": "title", "type": "text" }, { "name": "n", "type": "integer" }]);
    live.collection(&json!({ "name": "posts", "fields": fields, "rules": rules, "options": { "presence": true } }))
        .await;
}

/// The answer to whoever asks for a WebSocket and gets none.
async fn refusal(address: &str, target: &str, headers: &[(&'static str, &str)]) -> (u16, Value) {
    let stream = TcpStream::connect(address).await.expect("connected");
    let mut request = format!("ws://{address}{target}").into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    match tokio_tungstenite::client_async(request, stream).await {
        Err(Error::Http(answer)) => {
            let body = answer.body().as_deref().unwrap_or_default();
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            (answer.status().as_u16(), serde_json::from_slice(body).expect("JSON"))
        }
        other => panic!("{:?}", other.map(|_| "let in")),
    }
}

/// A relay of our own making.
struct Link(WebSocketStream<TcpStream>);

impl Link {
    async fn join(address: &str, key: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("connected");
        let target = format!("ws://{address}/api/v1/realtime/relay?version=1&name=own");
        let mut request = target.into_client_request().expect("a request");
        request.headers_mut().insert("authorization", format!("Bearer {key}").parse().expect("a header"));
        let mut link = Self(tokio_tungstenite::client_async(request, stream).await.expect("a link").0);
        assert_eq!(link.hear().await["welcome"]["version"], 1);
        link
    }

    async fn say(&mut self, text: impl Into<String>) {
        let _ = self.0.send(Message::text(text.into())).await;
    }

    async fn open(&mut self, connection: u64, address: &str, headers: Value) -> Value {
        let open = json!({ "connection": connection, "address": address, "host": "localhost", "headers": headers });
        self.say(json!({ "open": open }).to_string()).await;
        self.hear().await
    }

    /// The next text; nothing at the end, with the code that it was closed with.
    async fn next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("a message in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|it| it.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    async fn hear(&mut self) -> Value {
        self.next().await.expect("an open link")
    }

    /// The next answer to somebody who gets no WebSocket.
    async fn refused(&mut self) -> Value {
        loop {
            if let Some(refused) = self.hear().await.get("refused") {
                return refused.clone();
            }
        }
    }

    async fn closed(&mut self) -> Option<u16> {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_at_a_relay_is_that_of_the_server() {
    let settings = [("REALTIME__CONNECTIONS_PER_USER_MAX", "1")];
    let (live, relays) = with_relays(1, &settings).await;
    let (token, path) = (live.app.token("user"), "/api/v1/realtime");
    let _one = relays[0].socket(Some(token)).await;
    let bearer = format!("Bearer {token}");
    let cookie = "steading-session=nonsense";

    let cases = [
        ("", vec![("authorization", "Bearer nonsense")], 401),
        ("", vec![("authorization", "Basic YTpi")], 401),
        ("", vec![("authorization", &bearer), ("x-api-key", "sk_live_nonsense")], 400),
        ("", vec![("cookie", cookie), ("origin", "https://evil.example")], 403),
        ("?subscribe=collections/a", vec![], 422),
        ("", vec![("authorization", &bearer)], 429),
    ];
    for (query, mut headers, status) in cases {
        headers.extend([("x-request-id", "the-same"), ("host", "api.example.com")]);
        let target = format!("{path}{query}");

        let at_server = refusal(&live.address, &target, &headers).await;
        let at_relay = refusal(&relays[0].address, &target, &headers).await;

        assert_eq!(at_relay, at_server, "{headers:?}");
        assert_eq!(at_relay.0, status, "{at_relay:?}");
    }
}

#[tokio::test]
async fn a_relay_has_nothing_but_websockets_and_says_where_the_rest_is() {
    let (live, relays) = with_relays(1, &[]).await;
    let ask = async |path: &str, accept: &str| {
        let mut stream = TcpStream::connect(&relays[0].address).await.expect("connected");
        let head = format!("GET {path} HTTP/1.1\r\nhost: a\r\naccept: {accept}\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.expect("an answer");
        answer
    };

    let plain = ask("/api/v1/realtime", "*/*").await;
    assert!(plain.starts_with("HTTP/1.1 426") && plain.contains("upgrade-required"), "{plain}");
    for (path, accept) in [
        ("/api/v1/realtime?subscribe=collections/a", "text/event-stream"),
        ("/api/v1/auth/profile", "*/*"),
        ("/", "*/*"),
        ("/api/v1/realtime/relay", "*/*"),
    ] {
        let other = ask(path, accept).await;
        assert!(other.starts_with("HTTP/1.1 404") && other.contains("not-found"), "{path}: {other}");
        assert!(other.contains(&format!("http://{}", live.address)), "{path}: {other}");
    }
    assert!(ask("/health/live", "*/*").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn those_at_two_relays_and_at_the_server_see_each_other() {
    let (live, relays) = with_relays(2, &[]).await;
    posts(&live).await;
    let token = live.app.token("user");
    let mut all = vec![live.socket_of("admin").await];
    for relay in &relays {
        all.push(relay.socket(Some(token)).await);
    }
    for (at, socket) in all.iter_mut().enumerate() {
        socket.subscribe("collections/posts").await;
        socket.say(&json!({ "presence": { "at": at }, "subscription": 1 })).await;
        assert_eq!(socket.hear().await["present"].as_array().map(Vec::len), Some(at + 1));
    }

    let entered = [all[0].hear().await, all[0].hear().await, all[1].hear().await];
    assert_eq!(entered.map(|it| it["entered"]["state"]["at"].clone()), [json!(1), json!(2), json!(2)]);
    drop(all.pop());
    for socket in &mut all {
        assert!(socket.hear().await["left"]["id"].is_string(), "one that is cut off leaves");
    }
    live.make("posts", &json!({ "title": "a" })).await;
    for socket in &mut all {
        assert_eq!(socket.event().await.1, "a");
    }
}

/// Whichever way somebody comes, it is the server that counts.
#[tokio::test]
async fn limits_hold_over_all_relays_and_the_server() {
    let settings = [("REALTIME__CONNECTIONS_PER_USER_MAX", "3"), ("REALTIME__RELAYED_CONNECTIONS_MAX", "4")];
    let (live, relays) = with_relays(2, &settings).await;
    let token = live.app.token("user");
    let header = format!("Bearer {token}");
    let headers = [("authorization", header.as_str())];
    let _at_server = live.socket_of("user").await;
    let _at_one = relays[0].socket(Some(token)).await;
    let at_two = relays[1].socket(Some(token)).await;

    for address in [&live.address, &relays[0].address, &relays[1].address] {
        let (status, problem) = refusal(address, "/api/v1/realtime", &headers).await;
        assert_eq!((status, &problem["code"]), (429, &json!("connection-limit-reached")), "{problem}");
    }
    let (_third, _fourth) = (relays[0].socket(None).await, relays[1].socket(None).await);
    let (status, problem) = refusal(&relays[0].address, "/api/v1/realtime", &[]).await;
    assert_eq!(status, 429, "{problem}");
    assert!(problem["detail"].as_str().is_some_and(|it| it.contains("relays together")), "{problem}");

    drop(at_two);
    while live.state().await["relays"][1]["connections"] != 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(relays[0].socket(Some(token)).await);
}

/// That is what relays are for.
#[tokio::test]
async fn one_event_for_200_sockets_of_a_relay_crosses_once() {
    let (live, relays) = with_relays(1, &[]).await;
    posts(&live).await;
    let people = [None, Some(live.app.token("user")), Some(live.app.token("readonly"))];
    let mut sockets = Vec::new();
    for at in 0..200 {
        let token = people[if at < 150 { 0 } else { at % 3 }];
        let mut socket = relays[0].socket(token).await;
        socket.subscribe("collections/posts").await;
        sockets.push(socket);
    }
    let before = live.state().await["relays"][0].clone();

    for n in 0..5 {
        live.make("posts", &json!({ "title": "a", "n": n })).await;
        for socket in &mut sockets {
            let event = socket.hear().await;
            assert_eq!((&event["subscription"], &event["record"]["n"]), (&json!(1), &json!(n)));
        }
    }

    let after = live.state().await["relays"][0].clone();
    let more = |name: &str| after[name].as_u64().expect("a number") - before[name].as_u64().expect("a number");
    assert_eq!(after["connections"], 200);
    assert_eq!(more("told"), 1_000);
    assert_eq!(more("crossed"), 5, "{before} {after}");
}

/// It costs bounded memory on both sides, and nobody else waits for it.
#[tokio::test]
async fn a_client_of_a_relay_that_does_not_read_gets_a_gap_and_delays_nobody() {
    let (live, relays) = with_relays(1, &[]).await;
    posts(&live).await;
    let (mut slow, mut quick) = (relays[0].socket(None).await, relays[0].socket(None).await);
    slow.subscribe("collections/posts").await;
    quick.subscribe("collections/posts").await;
    let id = live.make("posts", &json!({ "title": "x".repeat(60_000) })).await;
    slow.hear().await;
    quick.hear().await;

    for n in 1..=500 {
        live.change("posts", &id, &json!({ "n": n })).await;
        assert_eq!(quick.hear().await["record"]["n"], n);
    }
    let state = live.state().await;
    let of_slow = &state["connections"][0];
    assert!(of_slow["dropped"].as_u64() > Some(0), "{of_slow}");
    assert!(of_slow["waitingBytes"].as_u64() <= Some(1 << 20), "{of_slow}");
    assert_eq!(state["connections"][1]["dropped"], 0, "{state}");

    while slow.hear().await["type"] != "gap" {}
    live.change("posts", &id, &json!({ "n": 1_000 })).await;
    while slow.hear().await["record"]["n"] != 1_000 {}
}

#[tokio::test]
async fn a_client_says_as_much_at_a_relay_as_at_the_server() {
    let (live, relays) = with_relays(1, &[]).await;
    posts(&live).await;
    let mut socket = relays[0].socket(None).await;

    // More than may be under way, of the largest there are, and texts that are no JSON and six times as long as that.
    for _ in 0..40 {
        socket.say(&json!({ "unsubscribe": "x".repeat(60_000) })).await;
        socket.0.send(Message::text("\u{1}".repeat(60_000))).await.expect("sent");
    }
    for _ in 0..40 {
        assert_eq!(socket.hear().await["problem"]["code"], "validation-failed");
        assert_eq!(socket.hear().await["problem"]["code"], "malformed-request");
    }
    socket.subscribe("collections/posts").await;
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_the_link_and_one_without_the_permission_gets_none() {
    let live = live::Live::start().await;
    let (id, key) = live.key_for_relays().await;
    let relay = AtRelay::start(&live.address, &key).await;
    let mut socket = relay.socket(None).await;

    let revoked = live.app.operator(Method::DELETE, &format!("/api/v1/admin/keys/{id}/revoke")).send().await;
    assert_eq!(revoked.status, 204, "{revoked:?}");

    assert_eq!(socket.closed().await, 1012);
    relay.unlinked().await;
    let (status, problem) = refusal(&relay.address, "/api/v1/realtime", &[]).await;
    assert_eq!((status, &problem["code"]), (503, &json!("busy")), "{problem}");
    assert_eq!(live.state().await["relays"], json!([]));

    let path = "/api/v1/realtime/relay?version=1&name=a";
    assert_eq!(refusal(&live.address, path, &[]).await.0, 401);
    let user = format!("Bearer {}", live.app.token("user"));
    assert_eq!(refusal(&live.address, path, &[("authorization", &user)]).await.0, 403);
    let body = json!({ "name": "a", "scopes": ["realtime:read", "records:admin"] });
    let other = live.app.operator(Method::POST, "/api/v1/admin/keys").json(&body).send().await.str("secret");
    assert_eq!(refusal(&live.address, path, &[("x-api-key", &other)]).await.0, 403);
}

#[tokio::test]
async fn a_relay_of_another_version_and_one_without_a_name_are_refused() {
    let live = live::Live::start().await;
    let bearer = format!("Bearer {}", live.app.token("admin"));
    let long = format!("version=1&name={}", "a".repeat(65));
    for (query, code) in [
        ("version=2&name=a", "relay-version-unsupported"),
        ("version=01&name=a", "relay-version-unsupported"),
        ("name=a", "validation-failed"),
        ("version=1", "validation-failed"),
        ("version=1&name=", "validation-failed"),
        ("version=1&name=a%0Ab", "validation-failed"),
        ("version=1&name=a&nam=b", "validation-failed"),
        (long.as_str(), "validation-failed"),
    ] {
        let target = format!("/api/v1/realtime/relay?{query}");
        let (status, problem) = refusal(&live.address, &target, &[("authorization", &bearer)]).await;
        assert_eq!((status, &problem["code"]), (422, &json!(code)), "{query}: {problem}");
    }
}

/// The permission lets it hold connections, and no more.
#[tokio::test]
async fn clients_of_a_relay_have_their_own_rights_and_not_those_of_its_key() {
    let live = live::Live::start().await;
    let rules = json!({ "list": "auth.signedIn", "view": "auth.signedIn" });
    live.collection(&json!({ "name": "a", "fields": [{ "name": "title", "type": "text" }], "rules": rules })).await;
    let body = json!({ "name": "all", "scopes": ["*"] });
    let made = live.app.operator(Method::POST, "/api/v1/admin/keys").json(&body).send().await;
    let relay = AtRelay::start(&live.address, &made.str("secret")).await;
    let (mut stranger, mut user) = (relay.socket(None).await, relay.socket(Some(live.app.token("user"))).await);
    stranger.subscribe("collections/a").await;
    user.subscribe("collections/a").await;

    live.make("a", &json!({ "title": "for users" })).await;
    stranger.say(&json!({ "unsubscribe": 1 })).await;

    assert_eq!(user.event().await.1, "for users");
    assert_eq!(stranger.hear().await, json!({ "unsubscribed": [1] }));
    let state = live.state().await;
    assert_eq!(state["connections"][0]["user"], Value::Null, "{state}");
    assert_eq!((&state["connections"][1]["relay"], &state["relays"][0]["id"]), (&json!(1), &json!(1)));
}

/// What a relay says of an address counts, and what a client says does not.
#[tokio::test]
async fn a_client_comes_from_where_the_relay_says_and_not_from_where_its_headers_do() {
    let settings = [("SERVER__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]"), ("REALTIME__CONNECTIONS_PER_ADDRESS_MAX", "1")];
    let live = live::Live::around(TestApp::with_people_and(&settings).await).await;
    let (_, key) = live.key_for_relays().await;
    let mut link = Link::join(&live.address, &key).await;
    let forged = json!([["x-forwarded-for", "198.51.100.1"], ["forwarded", "for=198.51.100.2"]]);

    assert_eq!(link.open(1, "127.0.0.1", forged.clone()).await, json!({ "opened": { "connection": 1 } }));
    assert_eq!(link.open(2, "::ffff:127.0.0.1", forged).await["refused"]["status"], 429);
    assert_eq!(link.open(3, "192.0.2.7", json!([])).await["opened"]["connection"], 3);

    let state = live.state().await;
    assert_eq!(state["connections"][0]["address"], "127.0.0.1", "{state}");
    assert_eq!(state["connections"][1]["address"], "192.0.2.7", "{state}");
}

#[tokio::test]
async fn nonsense_on_a_link_ends_that_link_and_nothing_else() {
    let live = live::Live::start().await;
    posts(&live).await;
    let (_, key) = live.key_for_relays().await;
    let relay = AtRelay::start(&live.address, &key).await;
    let mut socket = relay.socket(None).await;
    socket.subscribe("collections/posts").await;
    let open = json!({ "open": { "connection": 1, "address": "192.0.2.7", "host": "a", "headers": [] } }).to_string();

    for (said, code) in [
        (vec!["nonsense".to_owned()], Some(1008)),
        (vec![r#"{"took":{"connection":1,"bytes":-1}}"#.to_owned()], Some(1008)),
        (vec![r#"{"heard":{"connection":18446744073709551616,"text":""}}"#.to_owned()], Some(1008)),
        (vec![open.clone(), open.clone()], Some(1008)),
        (vec!["x".repeat(1 << 20)], Some(1009)),
        (vec!["[".repeat(100_000)], Some(1008)),
    ] {
        let mut link = Link::join(&live.address, &key).await;
        for text in said {
            link.say(text).await;
        }
        // What was sent and not read may make the system cut it off.
        let closed = link.closed().await;
        assert!(closed == code || closed.is_none(), "{closed:?}");
    }

    let mut link = Link::join(&live.address, &key).await;
    for about_nobody in [
        json!({ "gone": { "connection": u64::MAX } }),
        json!({ "took": { "connection": 5, "bytes": u64::MAX } }),
        json!({ "heard": { "connection": 5, "text": "{}" } }),
        json!({ "answered": { "connection": 5, "micros": u64::MAX } }),
    ] {
        link.say(about_nobody.to_string()).await;
    }
    assert_eq!(link.open(1, "192.0.2.7", json!([])).await["opened"]["connection"], 1);
    link.say(json!({ "took": { "connection": 1, "bytes": u64::MAX } }).to_string()).await;
    // More than it may say at once: that client is closed, and the link goes on.
    for _ in 0..40 {
        link.say(json!({ "heard": { "connection": 1, "text": "x".repeat(60_000) } }).to_string()).await;
    }
    loop {
        let said = link.hear().await;
        if let Some(close) = said.get("close") {
            assert_eq!((&close["connection"], &close["code"]), (&json!(1), &json!(1008)));
            break;
        }
    }
    for (name, value) in [("a b", "c"), ("cookie", "€"), ("cookie", "a\nb")] {
        let open = json!({ "connection": 2, "address": "192.0.2.7", "host": "a", "headers": [[name, value]] });
        link.say(json!({ "open": open }).to_string()).await;
        let refused = link.refused().await;
        assert_eq!((&refused["connection"], &refused["status"]), (&json!(2), &json!(400)), "{refused}");
    }
    let host = json!({ "open": { "connection": 3, "address": "192.0.2.7", "host": "a b", "headers": [] } });
    link.say(host.to_string()).await;
    assert_eq!(link.refused().await["status"], 400);

    live.make("posts", &json!({ "title": "as ever" })).await;
    assert_eq!(socket.event().await.1, "as ever");
}

#[tokio::test]
async fn whoever_opens_many_at_once_waits_and_a_head_that_is_too_long_is_refused() {
    let live = live::Live::start().await;
    let (_, key) = live.key_for_relays().await;
    let mut link = Link::join(&live.address, &key).await;
    let names: Vec<_> = (0..33_000).map(|it| json!([format!("a{it}"), ""])).collect();
    let long = json!({ "open": { "connection": 1, "address": "192.0.2.7", "host": "a", "headers": names } });

    link.say(long.to_string()).await;
    assert_eq!(link.refused().await["status"], 400);
    for connection in 2..1_002 {
        let open = json!({ "connection": connection, "address": "192.0.2.7", "host": "a b", "headers": [] });
        link.say(json!({ "open": open }).to_string()).await;
    }

    for _ in 2..1_002 {
        assert_eq!(link.refused().await["status"], 400);
    }
    assert_eq!(link.open(1, "192.0.2.7", json!([])).await["opened"]["connection"], 1);
}

#[tokio::test]
async fn no_relay_is_let_in_where_none_of_its_clients_would_be() {
    let settings = [("REALTIME__RELAYED_CONNECTIONS_MAX", "0")];
    let live = live::Live::around(TestApp::with_people_and(&settings).await).await;
    let bearer = format!("Bearer {}", live.app.token("admin"));

    let path = "/api/v1/realtime/relay?version=1&name=a";
    let (status, problem) = refusal(&live.address, path, &[("authorization", &bearer)]).await;

    assert_eq!((status, &problem["code"]), (429, &json!("connection-limit-reached")), "{problem}");
}

/// A path of the server's own cannot be reached by a link, nor the operator's rights.
#[tokio::test]
async fn a_link_reaches_live_updates_alone() {
    let live = live::Live::start().await;
    let (_, key) = live.key_for_relays().await;
    let mut link = Link::join(&live.address, &key).await;
    let open = json!({
        "connection": 1, "address": "192.0.2.7", "host": "a", "headers": [["accept", "text/event-stream"]],
        "query": "subscribe=collections/a",
    });

    link.say(json!({ "open": open }).to_string()).await;

    let refused = link.hear().await["refused"].clone();
    assert_eq!(refused["status"], 422, "no stream: {refused}");
    assert!(refused["body"].as_str().is_some_and(|it| it.contains("is for streams")), "{refused}");
}

/// A machine that vanished says nothing, not even goodbye.
#[tokio::test]
async fn a_relay_that_is_silent_is_let_go_and_its_clients_with_it() {
    let live = live::Live::start().await;
    let (_, key) = live.key_for_relays().await;
    let mut link = Link::join(&live.address, &key).await;
    assert_eq!(link.open(1, "192.0.2.7", json!([])).await["opened"]["connection"], 1);
    let began = Instant::now();

    // Nobody reads the link, so nobody answers pings.
    while live.state().await["relays"] != json!([]) {
        assert!(began.elapsed() < SILENCE_MAX + SLACK, "after {:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    assert!(SILENCE_MAX <= began.elapsed() + Duration::from_secs(1), "after {:?}", began.elapsed());
    while live.state().await["totals"]["connections"] != 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_server_that_is_silent_is_given_up_and_clients_are_told_to_come_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let origin = listener.local_addr().expect("an address").to_string();
    let relay = AtRelay::try_start(&origin, "any", "a");
    let (stream, _) = listener.accept().await.expect("a relay");
    let mut link = tokio_tungstenite::accept_async(stream).await.expect("a link");
    let welcome = json!({ "version": 1, "messageBytesMax": 1024, "heardMax": 1, "heardBytesMax": 1024,
                          "windowBytes": 1024, "openingMax": 1 });
    link.send(Message::text(json!({ "welcome": welcome }).to_string())).await.expect("sent");
    relay.linked().await;
    let opening = async {
        while !matches!(link.next().await, Some(Ok(Message::Text(text))) if text.contains("open")) {}
        let opened = json!({ "opened": { "connection": 1 } });
        link.send(Message::text(opened.to_string())).await.expect("sent");
    };
    let (mut socket, ()) = tokio::join!(relay.socket(None), opening);
    let began = Instant::now();

    let closed = timeout(SILENCE_MAX + SLACK, async {
        loop {
            if let Some(Ok(Message::Close(frame))) = socket.0.next().await {
                return frame.map(|it| u16::from(it.code));
            }
        }
    });

    assert_eq!(closed.await.expect("closed in time"), Some(1012));
    assert!(SILENCE_MAX <= began.elapsed() + Duration::from_secs(1), "after {:?}", began.elapsed());
    relay.unlinked().await;
}

/// Each client of a relay that is gone comes back at another one, and hears all that it missed.
#[tokio::test]
async fn clients_of_a_relay_that_was_killed_resume_at_another_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let live = live::Live::start().await;
    posts(&live).await;
    let (_, key) = live.key_for_relays().await;
    let origin = format!("http://{}", live.address);
    let relay = |name: &str| {
        let args = ["relay", "--origin", &origin, "--listen", "127.0.0.1:0", "--name", name];
        Server::run(folder.path(), command(folder.path(), &args).env("STEADING_TOKEN", &key))
    };
    let (mut first, second) = (relay("first"), relay("second"));
    assert!(first.greeting.contains("as a relay"), "{}", first.greeting);
    let address = |server: &Server| server.url.trim_start_matches("http://").to_owned();
    while live.state().await["relays"].as_array().is_none_or(|it| it.len() < 2) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let token = live.app.token("user");
    let mut sockets = Vec::new();
    for _ in 0..20 {
        let mut socket = Socket::open(&address(&first), Some(token)).await.expect("a socket");
        socket.subscribe("collections/posts").await;
        sockets.push(socket);
    }
    live.make("posts", &json!({ "n": 0 })).await;
    let mut known = String::new();
    for socket in &mut sockets {
        known = socket.hear().await["id"].as_str().expect("an id").to_owned();
    }

    first.process.kill().expect("killed");
    first.process.wait().expect("ended");
    for n in 1..=30 {
        live.make("posts", &json!({ "n": n })).await;
    }
    for socket in &mut sockets {
        while let Some(message) = socket.next().await {
            assert!(!message.is_text() || message.to_string().contains("\"n\":"), "{message}");
        }
        *socket = Socket::open(&address(&second), Some(token)).await.expect("a socket");
        socket.subscribe("collections/posts").await;
        socket.say(&json!({ "resume": known })).await;
        assert_eq!(socket.hear().await["resumed"], known);
        for n in 1..=30 {
            assert_eq!(socket.hear().await["record"]["n"], n);
        }
    }
    let state = live.state().await;
    assert_eq!(state["relays"].as_array().map(Vec::len), Some(1), "{state}");
    assert_eq!((&state["relays"][0]["name"], &state["totals"]["connections"]), (&json!("second"), &json!(20)));
}

/// Nobody has to look after it.
#[tokio::test]
async fn a_relay_comes_back_by_itself_when_its_server_was_killed_and_says_goodbye_when_it_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(folder.path(), &[]);
    let made = steading(folder.path(), &["admin", "key", "create", "--name", "a", "--scope", "relays:admin"]);
    let key = made.split_whitespace().find(|it| it.starts_with("sk_")).expect("a key").to_owned();
    let at = server.url.trim_start_matches("http://").to_owned();
    let relay = AtRelay::start(&at, &key).await;
    let mut socket = relay.socket(None).await;

    server.process.kill().expect("killed");
    server.process.wait().expect("ended");
    assert_eq!(socket.closed().await, 1012);
    relay.unlinked().await;
    let (status, problem) = refusal(&relay.address, "/api/v1/realtime", &[]).await;
    assert_eq!((status, &problem["code"]), (503, &json!("busy")), "{problem}");

    let serve = ["serve", "--listen", &at];
    let _again = Server::run(folder.path(), &mut command(folder.path(), &serve));
    relay.linked().await;
    let mut socket = relay.socket(None).await;

    let (closed, stopped) = tokio::join!(socket.closed(), relay.stop());
    assert_eq!((closed, stopped), (1001, true));
}

/// What clients say passes along it, and the key too.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_another_machine_is_encrypted_and_its_certificate_is_believed_or_there_is_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let live = live::Live::start().await;
    let (_, key) = live.key_for_relays().await;
    let (ours, theirs) = (Certificate::of_authority("Ours"), Certificate::of_authority("Theirs"));
    std::fs::write(folder.path().join("ours.pem"), ours.pem()).expect("written");
    let origin = |port: u16| format!("https://localhost:{port}");
    let run = |origin: &str| {
        let args = ["relay", "--origin", origin, "--listen", "127.0.0.1:0", "--ca", "ours.pem"];
        Server::run(folder.path(), command(folder.path(), &args).env("STEADING_TOKEN", &key))
    };
    let url = format!("http://{}", live.address);

    let believed = run(&origin(in_front_of(&url, &ours.vouch("localhost", NOW)).await));
    while live.state().await["relays"] == json!([]) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let address = believed.url.trim_start_matches("http://").to_owned();
    let mut socket = loop {
        match Socket::open(&address, None).await {
            Ok(socket) => break socket,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    socket.say(&json!({ "unsubscribe": 1 })).await;
    assert_eq!(socket.hear().await["problem"]["code"], "validation-failed");
    drop((believed, socket));

    let _other = run(&origin(in_front_of(&url, &theirs.vouch("localhost", NOW)).await));
    let log = || std::fs::read_to_string(folder.path().join("log")).expect("a log");
    while !log().contains("of an authority that is not known here") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!log().contains(&key));

    let plain = ["relay", "--origin", "http://192.0.2.1"];
    for (token, words) in [(key.as_str(), "must begin with https://"), ("", "STEADING_TOKEN must hold an API key")] {
        let args = if token.is_empty() { ["relay", "--origin", url.as_str()] } else { plain };
        let ran = command(folder.path(), &args).env("STEADING_TOKEN", token).output().expect("run");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(!ran.status.success() && said.contains(words), "{said}");
    }
}

/// A page of the server listens with its cookie where a load balancer has the path go to relays.
#[tokio::test]
async fn a_cookie_counts_at_a_relay_as_it_does_at_the_server() {
    let (live, relays) = with_relays(1, &[]).await;
    posts(&live).await;
    let body = json!({ "email": "user@example.com", "password": crate::support::PASSWORD, "session": "cookie" });
    let login = live.app.ask(Method::POST, "/api/v1/auth/login").header("origin", "http://localhost");
    let entered = login.json(&body).send().await;
    let cookie = entered.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
    let connect = async |origin: &str| {
        let address = &relays[0].address;
        let stream = TcpStream::connect(address).await.expect("connected");
        let mut request = format!("ws://{address}/api/v1/realtime").into_client_request().expect("a request");
        request.headers_mut().insert("host", "localhost".parse().expect("a header"));
        request.headers_mut().insert("cookie", cookie.parse().expect("a header"));
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
        Ok::<_, Error>(Socket(tokio_tungstenite::client_async(request, stream).await?.0))
    };

    assert!(matches!(connect("https://evil.example").await, Err(Error::Http(it)) if it.status().as_u16() == 403));
    let mut own = connect("http://localhost").await.expect("a socket");
    own.subscribe("collections/posts").await;
    assert!(live.state().await["connections"][0]["user"].is_string());

    let out = live.app.ask(Method::POST, "/api/v1/auth/logout").header("cookie", &cookie);
    let out = out.header("origin", "http://localhost").send().await;
    assert!(out.status < 300, "{out:?}");
    assert_eq!(own.closed().await, 4401);
}
