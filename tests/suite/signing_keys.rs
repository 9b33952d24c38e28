//! The keys that sign access tokens: published, replaced, revoked.
use std::path::Path;

use data_encoding::BASE64URL_NOPAD;
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::ask::ask;
use crate::server::{Server, steading};
use crate::support::live::Live;
use crate::support::{PASSWORD, Reply, TestApp};

const KEYS: &str = "/api/v1/admin/signing-keys";
const ROTATE: &str = "/api/v1/admin/signing-keys/rotate";

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("a part");
    serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).expect("base64")).expect("JSON")
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().expect("the name of a key").to_owned()
}

/// The names of the published keys.
async fn published(app: &TestApp) -> Vec<String> {
    let set = app.ask(Method::GET, "/.well-known/jwks.json").send().await;
    let keys = set.body["keys"].as_array().expect("keys").iter();
    keys.map(|it| it["kid"].as_str().expect("a name").to_owned()).collect()
}

async fn rotate(app: &TestApp, body: Value) -> Reply {
    let reply = app.operator(Method::POST, ROTATE).json(&body).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

#[tokio::test]
async fn whoever_verifies_tokens_finds_the_keys_and_the_issuer_and_no_secret() {
    let app = TestApp::with_people_and(&[("SERVER__PUBLIC_URL", "https://api.example.com/base")]).await;
    let token = app.token("user");

    let found = app.ask(Method::GET, "/.well-known/openid-configuration").header("x-forwarded-host", "evil.example");
    let found = found.send().await;
    let set = app.ask(Method::GET, "/.well-known/jwks.json").send().await;

    let expected = json!({
        "issuer": "https://api.example.com/base",
        "jwks_uri": "https://api.example.com/base/.well-known/jwks.json",
        "subject_types_supported": ["public"],
        "service_documentation": "https://api.example.com/base/docs/accounts",
    });
    assert_eq!((found.status, &found.body), (200, &expected));
    assert_eq!(part(token, 1)["iss"], expected["issuer"]);
    for reply in [&found, &set] {
        assert_eq!(reply.header("cache-control"), Some("public, max-age=300"), "{reply:?}");
        assert!(reply.header("set-cookie").is_none());
    }
    let keys = set.body["keys"].as_array().expect("keys");
    assert_eq!((keys.len(), keys[0]["kid"].as_str()), (2, Some(kid(token).as_str())));
    for key in keys {
        let members: Vec<_> = key.as_object().expect("a key").keys().map(String::as_str).collect();
        assert_eq!(members, ["kty", "crv", "x", "kid", "use", "alg"], "nothing else is told");
        assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
    }
}

#[tokio::test]
async fn a_rotation_in_the_middle_of_use_is_noticed_by_nobody() {
    let app = TestApp::with_people().await;
    let old = app.token("user");
    let before = published(&app).await;
    assert_eq!(app.profile(old).await.status, 200);

    let answer = rotate(&app, json!({})).await;

    let states: Vec<_> = answer.body["data"].as_array().expect("keys").iter().map(|it| it["state"].clone()).collect();
    assert_eq!(states, ["current", "next", "retired"]);
    let new = app.login("user@example.com", PASSWORD).await.str("accessToken");
    assert_eq!((kid(old), kid(&new)), (before[0].clone(), before[1].clone()), "the next key was known before");
    for wait in [0, 6, 885] {
        app.advance(wait);
        assert_eq!(app.profile(old).await.status, 200, "after {wait} seconds more");
        assert_eq!(app.profile(&new).await.status, 200);
    }
    assert!(published(&app).await.contains(&before[0]));
    app.advance(9);
    assert_eq!(app.profile(old).await.refusal(), (401, "token-invalid"), "at its end, as always");
    app.advance(24 * 3_600);
    assert!(!published(&app).await.contains(&before[0]), "nothing that it signed counts any more");
}

/// A key that leaked signs for anybody. People notice nothing: their clients get other tokens.
#[tokio::test]
async fn what_a_revoked_key_signed_ends_at_once_and_sessions_go_on() {
    let live = Live::start().await;
    let app = &live.app;
    let signed_in = app.login("user@example.com", PASSWORD).await;
    let (token, refresh) = (signed_in.str("accessToken"), signed_in.str("refreshToken"));
    let retired = token.clone();
    rotate(app, json!({})).await;
    let current = app.login("user@example.com", PASSWORD).await.str("accessToken");
    for remembered in [&retired, &current] {
        assert_eq!(app.profile(remembered).await.status, 200);
    }
    let mut socket = live.try_socket(Some(&current)).await.expect("a socket");
    let before = published(app).await;

    rotate(app, json!({ "revoke": true })).await;

    for ended in [&retired, &current, &app.token("admin").to_owned()] {
        assert_eq!(app.profile(ended).await.refusal(), (401, "token-invalid"));
    }
    assert_eq!(socket.closed().await, 4401, "within five seconds");
    let now = published(app).await;
    assert!(now.len() == 2 && now.iter().all(|it| !before.contains(it)), "{now:?}");
    let fresh = app.refresh(&refresh).await.str("accessToken");
    assert_eq!((kid(&fresh), app.profile(&fresh).await.status), (now[0].clone(), 200));
    assert!(live.stop().await);
}

#[tokio::test]
async fn of_fifty_rotations_at_once_one_is_done() {
    let app = TestApp::with_people().await;
    let before = published(&app).await;
    let ask = || app.operator(Method::POST, ROTATE).json(&json!({})).send();

    let replies = join_all((0..50).map(|_| ask())).await;

    assert!(replies.iter().all(|it| it.status == 200), "{replies:?}");
    let after = published(&app).await;
    assert!(after.len() <= 4 && after.contains(&before[0]), "{after:?}");
    assert_eq!(app.profile(app.token("user")).await.status, 200);
}

/// Each key that verifies is one more that everybody keeps.
#[tokio::test]
async fn keys_do_not_pile_up() {
    let app = TestApp::with_people().await;
    for _ in 0..10 {
        rotate(&app, json!({})).await;
    }

    let refused = app.as_role("admin", Method::POST, ROTATE).json(&json!({})).send().await;
    assert_eq!((refused.refusal(), refused.header("retry-after")), ((429, "too-many-requests"), Some("86400")));
    assert_eq!(rotate(&app, json!({ "revoke": true })).await.body["data"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn keys_are_replaced_by_those_who_may_and_that_is_in_the_trail() {
    let app = TestApp::with_people().await;
    app.role("watcher", &["system:read"]).await;
    let (_, watcher) = app.person("watcher", "watcher").await;
    let first = published(&app).await;

    assert_eq!(app.ask(Method::POST, ROTATE).text("{}").send().await.status, 401);
    assert_eq!(app.as_role("user", Method::GET, KEYS).send().await.refusal(), (403, "not-allowed"));
    let listed = app.ask(Method::GET, KEYS).bearer(&watcher).send().await;
    assert_eq!((listed.status, listed.body["data"][0]["kid"].as_str()), (200, Some(first[0].as_str())));
    assert!(!listed.text.contains("secret") && !listed.text.contains("seed"), "{listed:?}");
    assert_eq!(app.ask(Method::POST, ROTATE).bearer(&watcher).send().await.refusal(), (403, "not-allowed"));
    for wrong in [json!({ "revoke": 1 }), json!({ "kid": "x" }), json!([])] {
        assert_eq!(app.as_role("admin", Method::POST, ROTATE).json(&wrong).send().await.status, 422, "{wrong}");
    }
    assert_eq!(published(&app).await, first, "nothing was done");
    assert_eq!(app.as_role("admin", Method::POST, ROTATE).send().await.status, 200, "without a body");

    let trail = app.operator(Method::GET, "/api/v1/admin/audit?action=signing-keys.rotate").send().await;
    let entries = trail.body["data"].as_array().expect("entries");
    assert_eq!(entries.len(), 1, "{trail:?}");
    assert_eq!((&entries[0]["resourceId"], &entries[0]["after"]), (&json!(first[0]), &json!({ "revoked": false })));
    assert_eq!(entries[0]["actorEmail"], "admin@example.com");
}

fn profile(server: &Server, token: &str) -> u16 {
    ask(&server.url, "GET", "/api/v1/auth/profile", token, "").expect("an answer").0
}

fn stopped(mut server: Server) {
    server.process.kill().expect("killed");
    server.process.wait().expect("ended");
}

/// By the command line, with the server running and while it does not; killed in between, never stopped.
#[test]
fn what_was_revoked_stays_revoked_through_kill_and_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder: &Path = folder.path();
    let server = Server::start(folder, &[]);
    let body = json!({ "email": "ada@example.com", "password": PASSWORD }).to_string();
    let (_, answer) = ask(&server.url, "POST", "/api/v1/auth/register", "", &body).expect("an answer");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let (first, refresh) = (answer["accessToken"].as_str().expect("a token"), answer["refreshToken"].clone());
    let said = steading(folder, &["admin", "rotate-keys"]);
    assert_eq!(
        said.lines().map(|it| it.split(' ').next()).collect::<Vec<_>>(),
        ["current", "next", "retired"].map(Some)
    );
    assert!(said.contains(&kid(first)) && said.contains("verifies until"), "{said}");
    assert_eq!(profile(&server, first), 200);
    stopped(server);

    let server = Server::start(folder, &[]);
    assert_eq!(profile(&server, first), 200, "a retired key verifies after a restart");
    let said = steading(folder, &["admin", "rotate-keys", "--revoke"]);
    assert!(!said.contains(&kid(first)) && said.lines().count() == 2, "{said}");
    stopped(server);

    let server = Server::start(folder, &[]);
    assert_eq!(profile(&server, first), 401);
    let body = json!({ "refreshToken": refresh }).to_string();
    let (status, answer) = ask(&server.url, "POST", "/api/v1/auth/refresh-token", "", &body).expect("an answer");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    let second = answer["accessToken"].as_str().expect("a token");
    assert_eq!((status, profile(&server, second)), (200, 200), "the session went on");
    stopped(server);

    steading(folder, &["admin", "rotate-keys", "--revoke"]);
    let server = Server::start(folder, &[]);
    assert_eq!(profile(&server, second), 401);
}
