//! Sessions with a cookie: for pages in a browser, which need not keep tokens.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::support::live::{Live, Socket};
use crate::support::{Ask, PASSWORD, Reply, TestApp};

const OWN: &str = "http://localhost";
const EVIL: &str = "https://evil.example";
const LOGIN: &str = "/api/v1/auth/login";
const PROFILE: &str = "/api/v1/auth/profile";
const SESSIONS: &str = "/api/v1/auth/sessions";
const CLEARED: &str = "steading-session=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict";

fn credentials(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "session": "cookie" })
}

/// The cookie that an answer gives, as a browser sends it back.
fn cookie(reply: &Reply) -> String {
    let set = reply.header("set-cookie").unwrap_or_else(|| panic!("no cookie in {reply:?}"));
    set.split(';').next().unwrap_or_default().to_owned()
}

/// Signs someone in, as a page of this server does.
async fn enter(app: &TestApp, email: &str) -> String {
    let reply = app.ask(Method::POST, LOGIN).header("origin", OWN).json(&credentials(email)).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    cookie(&reply)
}

/// A request of a page of this server.
fn page<'a>(app: &'a TestApp, cookie: &str, method: Method, path: &str) -> Ask<'a> {
    app.ask(method, path).header("cookie", cookie).header("origin", OWN).header("sec-fetch-site", "same-origin")
}

async fn profile(app: &TestApp, cookie: &str) -> Reply {
    app.ask(Method::GET, PROFILE).header("cookie", cookie).send().await
}

async fn post(app: &TestApp, cookie: &str, path: &str, body: Value) -> Reply {
    page(app, cookie, Method::POST, &format!("/api/v1/auth/{path}")).json(&body).send().await
}

/// An answer to a browser that is on plain HTTP, or came through the proxy that is trusted.
async fn through_proxy(live: &Live, headers: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST {LOGIN} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n{headers}\r\n{body}"
    );
    exchange(live, &request).await
}

/// What a server answers on a connection of its own.
async fn exchange(live: &Live, request: &str) -> String {
    let mut stream = TcpStream::connect(&live.address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn a_page_signs_in_with_a_cookie_and_gets_no_tokens() {
    let app = TestApp::with_people().await;

    let reply = app.ask(Method::POST, LOGIN).header("origin", OWN).json(&credentials("user@example.com")).send().await;

    assert_eq!(reply.status, 200);
    let members: Vec<_> = reply.body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["deviceToken", "user", "expiresAt"]);
    assert_eq!(reply.str("expiresAt"), "2026-02-01T03:04:05.678Z", "thirty days without use");
    let set = reply.header("set-cookie").expect("a cookie");
    let (pair, marks) = set.split_once("; ").expect("marks");
    assert!(pair.starts_with("steading-session=sc_"), "{set}");
    assert_eq!(marks, "Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict");
    let read = profile(&app, pair).await;
    assert_eq!(
        (read.status, read.str("email"), read.header("cache-control")),
        (200, "user@example.com".into(), Some("no-store"))
    );
    let plain = app.login("user@example.com", PASSWORD).await;
    assert!(plain.header("set-cookie").is_none() && plain.body["accessToken"].is_string());
    let asked = json!({ "email": "user@example.com", "password": PASSWORD, "session": "token" });
    assert!(app.ask(Method::POST, LOGIN).json(&asked).send().await.body["accessToken"].is_string());
    let wrong = json!({ "email": "user@example.com", "password": PASSWORD, "session": "Cookie" });
    assert_eq!(app.ask(Method::POST, LOGIN).json(&wrong).send().await.refusal(), (422, "validation-failed"));
}

#[tokio::test]
async fn every_way_in_gives_a_cookie_to_who_asks_for_one() {
    let app = TestApp::with_people().await;
    let link = app.operator(Method::POST, "/api/v1/admin/setup-links").send().await.str("url");
    let token = link.split_once("#token=").expect("a secret").1.to_owned();
    let words = "some words and fifteen more";
    for (path, status, body) in [
        ("/api/v1/auth/register", 201, credentials("ada@example.com")),
        (
            "/api/v1/setup",
            201,
            json!({ "token": token, "email": "grace@example.com", "password": words, "session": "cookie" }),
        ),
    ] {
        let reply = app.ask(Method::POST, path).header("origin", OWN).json(&body).send().await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert!(
            reply.body["accessToken"].is_null()
                && reply.body["refreshToken"].is_null()
                && reply.body["expiresAt"].is_string(),
            "{reply:?}"
        );
        assert_eq!(profile(&app, &cookie(&reply)).await.body["email"], reply.body["user"]["email"]);
    }

    // A second factor that is asked for after the password.
    let begun = page(&app, &enter(&app, "user@example.com").await, Method::POST, "/api/v1/auth/2fa/enable");
    let begun = begun.text("{}").send().await;
    let phone = crate::second_factor::Phone::of(&begun.str("secret"));
    let browser = enter(&app, "user@example.com").await;
    assert_eq!(post(&app, &browser, "2fa/verify", json!({ "code": phone.code(0) })).await.status, 200);
    let asked = app.ask(Method::POST, LOGIN).header("origin", OWN).json(&credentials("user@example.com")).send().await;
    assert!(asked.header("set-cookie").is_none(), "the password alone is not enough");
    app.advance(30);
    let shown = json!({ "mfaToken": asked.str("mfaToken"), "code": phone.code(30), "session": "cookie" });
    let shown = app.ask(Method::POST, "/api/v1/auth/2fa/challenge").header("origin", OWN).json(&shown).send().await;
    assert_eq!((shown.status, profile(&app, &cookie(&shown)).await.status), (200, 200));
}

/// What is not for the page that asks is not given to it either.
#[tokio::test]
async fn a_page_of_another_origin_signs_nobody_in() {
    let app = TestApp::with_people().await;
    let paths = ["login", "register", "email-sign-in/confirm", "2fa/challenge", "accept-invitation"]
        .map(|it| format!("/api/v1/auth/{it}"));
    for path in paths.iter().map(String::as_str).chain(["/api/v1/setup"]) {
        let body = match path.rsplit('/').next() {
            Some("login") => credentials("user@example.com"),
            Some("register") => credentials("ada@example.com"),
            Some("confirm") => json!({ "token": "x", "session": "cookie" }),
            Some("accept-invitation") => json!({ "token": "x", "password": "x", "session": "cookie" }),
            Some("challenge") => json!({ "mfaToken": "x", "code": "1", "session": "cookie" }),
            _ => json!({ "token": "x", "email": "a@example.com", "password": "x", "session": "cookie" }),
        };
        for headers in [vec![], vec![("origin", EVIL)], vec![("origin", OWN), ("sec-fetch-site", "cross-site")]] {
            let mut ask = app.ask(Method::POST, path);
            for (name, value) in &headers {
                ask = ask.header(name, value);
            }
            let reply = ask.json(&body).send().await;
            assert_eq!(reply.refusal(), (403, "origin-refused"), "{path} {headers:?}");
            assert!(reply.header("set-cookie").is_none());
        }
    }
    assert_eq!(app.login("ada@example.com", PASSWORD).await.status, 401, "nobody was registered");
}

#[tokio::test]
async fn a_session_with_a_cookie_is_among_ones_own_and_ends_as_any_other() {
    let app = TestApp::with_people().await;
    let (one, other) = (enter(&app, "user@example.com").await, enter(&app, "user@example.com").await);

    let listed = app.ask(Method::GET, SESSIONS).header("cookie", &one).send().await;
    let data = listed.body["data"].as_array().expect("sessions");
    let kinds: Vec<_> = data.iter().map(|it| it["kind"].as_str().expect("a kind")).collect();
    assert_eq!((kinds.iter().filter(|it| **it == "cookie").count(), kinds.len()), (2, 3), "{listed:?}");
    let current: Vec<_> = data.iter().filter(|it| it["isCurrent"] == true).collect();
    assert_eq!((current.len(), &current[0]["kind"]), (1, &json!("cookie")));

    let id = current[0]["id"].as_str().expect("an id");
    let ended = app.as_role("user", Method::DELETE, &format!("{SESSIONS}/{id}")).send().await;
    assert_eq!((ended.status, ended.header("set-cookie")), (204, None), "another's cookie is not this one's to clear");
    let refused = profile(&app, &one).await;
    assert_eq!((refused.refusal(), refused.header("set-cookie")), ((401, "token-invalid"), Some(CLEARED)));
    assert_eq!(profile(&app, &other).await.status, 200);

    let out = post(&app, &other, "logout", json!(null)).await;
    assert_eq!((out.status, out.header("set-cookie")), (204, Some(CLEARED)));
    assert_eq!(profile(&app, &other).await.status, 401);
    assert_eq!(app.profile(app.token("user")).await.status, 200);
}

/// Whatever ends sessions ends those of cookies, also one that was just looked at.
#[tokio::test]
async fn what_ends_sessions_ends_cookies_at_once() {
    let app = TestApp::with_people().await;
    let id = app.profile(app.token("user")).await.str("id");
    let admins = format!("/api/v1/admin/users/{id}");
    let new = "another horse, another staple";
    for way in ["logout-all", "by-token", "disabled", "password"] {
        let (one, other) = (enter(&app, "user@example.com").await, enter(&app, "user@example.com").await);
        for it in [&one, &other] {
            assert_eq!(profile(&app, it).await.status, 200, "{way}");
        }
        let done = match way {
            "logout-all" => post(&app, &one, "logout-all", json!({})).await,
            "by-token" => {
                let token = app.login("user@example.com", PASSWORD).await.str("accessToken");
                app.ask(Method::POST, "/api/v1/auth/logout-all").bearer(&token).send().await
            }
            "disabled" => app.operator(Method::PATCH, &admins).json(&json!({ "disabled": true })).send().await,
            _ => {
                post(&app, &other, "change-password", json!({ "currentPassword": PASSWORD, "newPassword": new })).await
            }
        };
        assert!(done.status < 300, "{way}: {done:?}");
        let is_cleared = done.header("set-cookie") == Some(CLEARED);
        assert_eq!(is_cleared, way == "logout-all", "{way}");
        assert_eq!(profile(&app, &one).await.refusal(), (401, "token-invalid"), "{way}");
        let kept = if way == "password" { 200 } else { 401 };
        assert_eq!(profile(&app, &other).await.status, kept, "{way}");
        app.operator(Method::PATCH, &admins).json(&json!({ "disabled": false })).send().await;
    }
}

/// A token that opens one door must not open another, also when the other was just opened with it.
#[tokio::test]
async fn cookies_and_tokens_do_not_stand_in_for_each_other() {
    let app = TestApp::with_people().await;
    let signed_in = app.login("user@example.com", PASSWORD).await;
    let (access, refresh) = (signed_in.str("accessToken"), signed_in.str("refreshToken"));
    let own = enter(&app, "user@example.com").await;
    let value = own.split_once('=').expect("a pair").1;
    assert_eq!((app.profile(&access).await.status, profile(&app, &own).await.status), (200, 200));

    assert_eq!(app.profile(value).await.refusal(), (401, "token-invalid"), "a cookie is no access token");
    assert_eq!(app.refresh(value).await.refusal(), (401, "token-invalid"));
    assert_eq!(app.refresh(&value.replace("sc_", "rt_")).await.refusal(), (401, "token-invalid"));
    for token in [&access, &refresh, &refresh.replace("rt_", "sc_"), "sc_", "sc_AAAA", "", " "] {
        let reply = profile(&app, &format!("steading-session={token}")).await;
        let expected = if token.trim().is_empty() { "not-signed-in" } else { "token-invalid" };
        assert_eq!(reply.refusal(), (401, expected), "{token:?}");
    }
    let secure = own.replace("steading-session", "__Host-steading-session");
    assert_eq!(profile(&app, &secure).await.refusal(), (401, "not-signed-in"), "not of this connection");
    assert_eq!(app.ask(Method::GET, &format!("{PROFILE}?x={value}")).send().await.status, 401, "not in an address");
}

#[tokio::test]
async fn a_token_wins_over_a_cookie_of_the_same_person_and_two_people_are_refused() {
    let app = TestApp::with_people().await;
    let own = enter(&app, "user@example.com").await;
    let both = |role: &'static str, cookie: &str| app.as_role(role, Method::GET, SESSIONS).header("cookie", cookie);

    let same = both("user", &own).send().await;
    let current = same.body["data"].as_array().expect("sessions").iter().find(|it| it["isCurrent"] == true);
    assert_eq!(current.map(|it| &it["kind"]), Some(&json!("token")));
    assert_eq!(both("admin", &own).send().await.refusal(), (400, "two-callers"));
    let bad = app.ask(Method::GET, PROFILE).header("cookie", &own).bearer("nonsense").send().await;
    assert_eq!(bad.refusal(), (401, "token-invalid"), "a token that does not work does not let a cookie in");
    assert!(bad.header("set-cookie").is_none());
    assert_eq!(both("admin", "steading-session=sc_nonsense").send().await.status, 200, "of nobody");
    let key = json!({ "name": "reader", "scopes": ["records:read"] });
    let key = app.operator(Method::POST, "/api/v1/admin/keys").json(&key).send().await.str("secret");
    let with_key = app.ask(Method::GET, PROFILE).header("cookie", &own).header("x-api-key", &key).send().await;
    assert_eq!(with_key.refusal(), (400, "two-callers"));
    // A token says of itself where it is from: no page of another origin has it.
    let change = app.as_role("user", Method::PATCH, PROFILE).header("cookie", &own).header("origin", EVIL);
    assert_eq!(change.json(&json!({ "name": "Ada" })).send().await.status, 200);
    let doubled = format!("{own}; steading-session=sc_{}", "a".repeat(64));
    assert_eq!(profile(&app, &doubled).await.refusal(), (400, "malformed-request"));
    let of_another_program = format!("steading-session=sc_other; {own}");
    assert_eq!(profile(&app, &of_another_program).await.status, 200);
}

#[tokio::test]
async fn a_cookie_that_does_not_work_is_refused_and_forgotten_where_anyone_may_come() {
    let app = TestApp::with_people().await;
    let rules =
        json!({ "name": "posts", "fields": [{ "name": "title", "type": "text" }], "rules": { "list": "true" } });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&rules).send().await.status, 201);
    let records = "/api/v1/collections/posts/records";

    let refused = app.ask(Method::GET, records).header("cookie", "a=1; steading-session=sc_nonsense").send().await;

    assert_eq!((refused.refusal(), refused.header("set-cookie")), ((401, "token-invalid"), Some(CLEARED)));
    assert_eq!(app.ask(Method::GET, records).header("cookie", "a=1").send().await.status, 200);
    let signed_in = app.ask(Method::POST, LOGIN).header("cookie", "steading-session=sc_nonsense");
    let body = json!({ "email": "user@example.com", "password": PASSWORD });
    assert_eq!(signed_in.json(&body).send().await.status, 200, "signing in looks at no cookie");
    assert_eq!(
        app.ask(Method::GET, "/health").header("cookie", "steading-session=sc_nonsense").send().await.status,
        200
    );
    let document = app.ask(Method::GET, "/openapi.json").header("cookie", "steading-session=sc_nonsense").send().await;
    assert_eq!((document.status, document.header("vary")), (200, Some("authorization, cookie, accept-encoding")));
}

/// Noted now and then, so that reading does not write.
#[tokio::test]
async fn a_session_with_a_cookie_lasts_while_it_is_used_and_no_longer_than_any() {
    const DAY: u64 = 24 * 3_600;
    let app = TestApp::with(&[("ACCOUNTS__SESSION_DAYS_MAX", "40")]).await;
    app.register("ada@example.com").await;
    let (own, unused) = (enter(&app, "ada@example.com").await, enter(&app, "ada@example.com").await);
    let last_used = async || {
        let listed = app.ask(Method::GET, SESSIONS).header("cookie", &own).send().await;
        let data = listed.body["data"].as_array().cloned().unwrap_or_default();
        data.into_iter().find(|it| it["isCurrent"] == true).map(|it| it["lastUsedAt"].clone())
    };
    let begun = last_used().await;
    app.advance(290);
    assert_eq!(last_used().await, begun);
    app.advance(10);
    let later = last_used().await;
    assert_ne!(later, begun, "after five minutes");
    app.advance(100);
    assert_eq!(last_used().await, later);

    app.advance(29 * DAY);
    assert_eq!(join_all((0..50).map(|_| profile(&app, &own))).await.iter().filter(|it| it.status == 200).count(), 50);
    app.advance(DAY);
    assert_eq!(profile(&app, &unused).await.status, 401, "thirty days without use");
    app.advance(10 * DAY - 401);
    assert_eq!(profile(&app, &own).await.status, 200);
    app.advance(1);
    assert_eq!(profile(&app, &own).await.refusal(), (401, "token-invalid"), "forty days in all");
}

#[tokio::test]
async fn a_cookie_works_after_a_restart_unless_it_was_ended_and_is_in_no_copy_of_the_accounts() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    app.register("ada@example.com").await;
    let (kept, ended) = (enter(&app, "ada@example.com").await, enter(&app, "ada@example.com").await);
    assert_eq!(post(&app, &ended, "logout", json!(null)).await.status, 204);
    drop(app);

    let app = TestApp::on_disk(folder.path(), &[]).await;

    assert_eq!((profile(&app, &kept).await.status, profile(&app, &ended).await.status), (200, 401));
    let value = kept.split_once("=sc_").expect("a value").1;
    let raw = data_encoding::BASE64URL_NOPAD.decode(value.as_bytes()).expect("base64");
    for file in ["records.db", "records.db-wal"] {
        let bytes = std::fs::read(folder.path().join("tenants/main").join(file)).expect("a file");
        assert!(!bytes.windows(32).any(|it| it == &raw[16..]), "{file}");
    }
}

/// As SECURITY.md says it: `__Host-` over HTTPS, a plain one on a home network, none in the open.
#[tokio::test]
async fn the_cookie_is_as_safe_as_the_connection_and_none_is_given_in_the_open() {
    let app = TestApp::with_people_and(&[("SERVER__TRUSTED_PROXIES", "['127.0.0.1/32']")]).await;
    let live = Live::around(app).await;
    let body = credentials("user@example.com").to_string();
    let from = async |proto: &str, address: &str| {
        let origin = format!("origin: {proto}://api.example.com\r\n");
        through_proxy(&live, &format!("x-forwarded-for: {address}\r\nx-forwarded-proto: {proto}\r\n{origin}"), &body)
            .await
    };

    let https = from("https", "203.0.113.7").await;
    assert!(https.starts_with("HTTP/1.1 200"), "{https}");
    let set = https.lines().find_map(|it| it.strip_prefix("set-cookie: ")).expect("a cookie");
    assert!(set.starts_with("__Host-steading-session=sc_"), "{set}");
    assert!(set.ends_with("; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Lax"), "{set}");
    for near in ["192.168.1.7", "10.0.0.1", "127.0.0.1", "fd00::7", "::1"] {
        let plain = from("http", near).await;
        let set =
            plain.lines().find_map(|it| it.strip_prefix("set-cookie: ")).unwrap_or_else(|| panic!("{near}: {plain}"));
        assert!(set.starts_with("steading-session=sc_") && set.ends_with("HttpOnly; SameSite=Strict"), "{set}");
    }
    for far in ["203.0.113.7", "2001:db8::1", "::ffff:203.0.113.7"] {
        let refused = from("http", far).await;
        assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("cookie-needs-https"), "{far}: {refused}");
        assert!(!refused.contains("set-cookie"), "{refused}");
        let token = json!({ "email": "user@example.com", "password": PASSWORD }).to_string();
        let token =
            through_proxy(&live, &format!("x-forwarded-for: {far}\r\nx-forwarded-proto: http\r\n"), &token).await;
        assert!(token.starts_with("HTTP/1.1 200"), "tokens are for programs: {token}");
    }
    assert!(live.stop().await);
}

/// A proxy that was set up in a hurry, as `proxy_pass` alone. The public address says how people reach it.
#[tokio::test]
async fn behind_a_proxy_that_does_not_say_so_the_cookie_is_as_safe_as_the_public_address() {
    let trusted = ("SERVER__TRUSTED_PROXIES", "['127.0.0.1/32']");
    let (public, plain) =
        (("SERVER__PUBLIC_URL", "https://api.example.com"), ("SERVER__PUBLIC_URL", "http://api.example.com"));
    let (of_https, of_http) = ("origin: https://api.example.com\r\n", "origin: http://api.example.com\r\n");
    let far = "x-forwarded-for: 203.0.113.7\r\n";
    let said = [far, "x-forwarded-proto: http\r\n", of_https].concat();
    let elsewhere = [far, "x-forwarded-host: 192.168.1.5:8088\r\n", of_https].concat();
    let silent = [far, of_https].concat();
    let body = credentials("user@example.com").to_string();
    let safe = "__Host-steading-session=sc_";
    for (settings, headers, expected) in [
        (&[trusted, public][..], silent.as_str(), Ok(safe)),
        (&[trusted, public], of_https, Ok(safe)),
        (&[public], of_https, Ok(safe)),
        (&[trusted, public], of_http, Err("origin-refused")),
        (&[trusted, public], &said, Err("cookie-needs-https")),
        (&[trusted, public], &elsewhere, Err("cookie-needs-https")),
        (&[trusted, plain], of_http, Ok("steading-session=sc_")),
        (&[trusted], of_http, Ok("steading-session=sc_")),
    ] {
        let live = Live::around(TestApp::with_people_and(settings).await).await;

        let answer = through_proxy(&live, headers, &body).await;

        let set = answer.lines().find_map(|it| it.strip_prefix("set-cookie: "));
        match expected {
            Ok(begins) => {
                let set = set.unwrap_or_else(|| panic!("{settings:?} {headers}: {answer}"));
                assert!(set.starts_with(begins), "{settings:?} {headers}: {set}");
                assert_eq!(set.contains("; Secure;"), begins == safe, "{set}");
                // What it got is what it is known by.
                let cookie = set.split(';').next().expect("a cookie");
                let asked = format!(
                    "GET {PROFILE} HTTP/1.1\r\nhost: api.example.com\r\nconnection: close\r\ncookie: {cookie}\r\n\
                     {}\r\n",
                    headers.split_inclusive("\r\n").filter(|it| !it.starts_with("origin")).collect::<String>()
                );
                let known = exchange(&live, &asked).await;
                assert!(known.starts_with("HTTP/1.1 200"), "{settings:?} {headers}: {known}");
            }
            Err(code) => assert!(set.is_none() && answer.contains(code), "{settings:?} {headers}: {answer}"),
        }
        assert!(live.stop().await);
    }
}

/// Whoever forgot to name the proxy is told so, instead of getting a cookie that is less safe than it could be.
#[tokio::test]
async fn a_proxy_that_is_not_trusted_gives_no_cookie_and_the_answer_names_the_setting() {
    let live = Live::start().await;
    let body = credentials("user@example.com").to_string();

    let headers = "x-forwarded-for: 203.0.113.7\r\nx-forwarded-proto: https\r\norigin: https://api.example.com\r\n";
    let refused = through_proxy(&live, headers, &body).await;

    assert!(refused.starts_with("HTTP/1.1 403") && refused.contains("cookie-needs-https"), "{refused}");
    assert!(refused.contains("server.trusted_proxies"), "{refused}");
    assert!(live.stop().await);
}

#[tokio::test]
async fn a_listed_origin_acts_for_its_visitors_if_credentials_are_on() {
    let app = "https://app.example.com";
    let origins = ("CORS__ORIGINS", "['https://app.example.com']");
    for (credentials, status) in [("true", 200), ("false", 403)] {
        let server = TestApp::with_people_and(&[origins, ("CORS__CREDENTIALS", credentials)]).await;
        let own = enter(&server, "user@example.com").await;
        let ask = server.ask(Method::PATCH, PROFILE).header("cookie", &own).header("origin", app);
        let reply = ask.header("sec-fetch-site", "same-site").json(&json!({ "name": "Ada" })).send().await;

        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.header("access-control-allow-credentials").is_some(), credentials == "true");
    }
}

async fn socket(live: &Live, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let stream = TcpStream::connect(&live.address).await.expect("connected");
    let mut request = format!("ws://{}/api/v1/realtime", live.address).into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a header"));
    }
    Ok(Socket(tokio_tungstenite::client_async(request, stream).await?.0))
}

#[tokio::test]
async fn a_page_listens_with_its_cookie_until_the_session_ends_and_no_other_page_does() {
    let live = Live::start().await;
    let rule = json!({ "list": "auth.signedIn", "view": "auth.signedIn" });
    live.collection(&json!({ "name": "posts", "fields": [{ "name": "title", "type": "text" }], "rules": rule })).await;
    let own = enter(&live.app, "user@example.com").await;
    let origin = format!("http://{}", live.address);

    for headers in [vec![("cookie", own.as_str())], vec![("cookie", &own), ("origin", EVIL)]] {
        match socket(&live, &headers).await.err() {
            Some(Error::Http(answer)) => assert_eq!(answer.status().as_u16(), 403, "{headers:?}"),
            other => panic!("{headers:?}: {other:?}"),
        }
    }
    for headers in ["", "origin: https://evil.example\r\n", "sec-fetch-site: same-site\r\n"] {
        let mut refused = live
            .events("subscribe=collections/posts", &format!("connection: close\r\ncookie: {own}\r\n{headers}"))
            .await;
        while refused.more().await {}
        assert!(refused.text.starts_with("HTTP/1.1 403"), "{}", refused.text);
        assert!(refused.text.contains("origin-refused"), "{}", refused.text);
    }
    let mut open = socket(&live, &[("cookie", &own), ("origin", &origin)]).await.expect("a socket");
    open.subscribe("collections/posts").await;
    let same = format!("cookie: {own}\r\nsec-fetch-site: same-origin\r\n");
    let mut events = live.events("subscribe=collections/posts", &same).await;
    live.make("posts", &json!({ "title": "one" })).await;
    assert_eq!(open.event().await, ("created".to_owned(), "one".to_owned()));
    let heard = events.hear(2).await;
    assert_eq!(heard[1].1["record"]["title"], "one");

    assert_eq!(post(&live.app, &own, "logout", json!(null)).await.status, 204);

    assert_eq!(open.closed().await, 4401);
    while !events.text.ends_with("\r\n0\r\n\r\n") {
        assert!(events.more().await, "{}", events.text);
    }
    assert!(live.stop().await);
}

/// Others on the same address still get their turn, and what is done is known to be theirs.
#[tokio::test]
async fn what_is_done_with_a_cookie_is_in_the_trail_as_its_owners() {
    let app = TestApp::with_people().await;
    let own = enter(&app, "user@example.com").await;

    let changed = page(&app, &own, Method::PATCH, PROFILE).json(&json!({ "name": "Ada" })).send().await;

    assert_eq!(changed.status, 200);
    let trail = app.operator(Method::GET, "/api/v1/admin/audit?action=profile.change").send().await;
    assert_eq!(trail.body["data"][0]["actorEmail"], "user@example.com");
}

/// The browser has lost the one before, and whoever finds it should have nothing.
#[tokio::test]
async fn signing_in_again_ends_the_session_of_the_cookie_that_it_replaces() {
    let app = TestApp::with_people().await;
    let first = enter(&app, "user@example.com").await;

    let again = page(&app, &first, Method::POST, LOGIN).json(&credentials("admin@example.com")).send().await;

    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(profile(&app, &first).await.status, 401);
    assert_eq!(profile(&app, &cookie(&again)).await.body["email"], "admin@example.com");
}
