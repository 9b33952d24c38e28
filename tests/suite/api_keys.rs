//! API keys: whom they let in, from where, how often, and for how long.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::live::Live;
use crate::support::{PASSWORD, Reply, TestApp};

const KEYS: &str = "/api/v1/admin/keys";
const OWN: &str = "/api/v1/auth/keys";

struct Made {
    id: String,
    secret: String,
}

/// A key as the operator makes it.
async fn key(app: &TestApp, body: Value) -> Made {
    let mut whole = json!({ "name": "test" });
    whole.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
    let made = app.operator(Method::POST, KEYS).json(&whole).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    read(&made)
}

fn read(made: &Reply) -> Made {
    let text = |it: &Value| it.as_str().expect("a text").to_owned();
    Made { id: text(&made.body["key"]["id"]), secret: made.str("secret") }
}

async fn get(app: &TestApp, secret: &str, path: &str) -> Reply {
    app.ask(Method::GET, path).header("x-api-key", secret).send().await
}

async fn users(app: &TestApp, secret: &str) -> Reply {
    get(app, secret, "/api/v1/admin/users").await
}

async fn operate(app: &TestApp, method: Method, path: &str, body: Value) -> Reply {
    app.operator(method, path).json(&body).send().await
}

async fn user_id(app: &TestApp, role: &str) -> String {
    app.profile(app.token(role)).await.str("id")
}

async fn change_user(app: &TestApp, id: &str, body: Value) {
    let changed = operate(app, Method::PATCH, &format!("/api/v1/admin/users/{id}"), body).await;
    assert_eq!(changed.status, 200, "{changed:?}");
}

async fn give(app: &TestApp, id: &str, role: &str) {
    let changed = operate(app, Method::PATCH, &format!("/api/v1/admin/users/{id}/role"), json!({ "role": role })).await;
    assert_eq!(changed.status, 200, "{changed:?}");
}

#[tokio::test]
async fn a_key_lets_a_program_in_by_either_header() {
    let app = TestApp::with_people().await;
    let Made { secret, .. } = key(&app, json!({ "scopes": ["users:read"] })).await;

    assert_eq!(users(&app, &secret).await.status, 200);
    assert_eq!(app.ask(Method::GET, "/api/v1/admin/users").bearer(&secret).send().await.status, 200);
    let both = app.ask(Method::GET, "/api/v1/admin/users").bearer(&secret).header("x-api-key", &secret);
    assert_eq!(both.send().await.status, 200);
    let different = app.ask(Method::GET, "/api/v1/admin/users").bearer(app.token("admin")).header("x-api-key", &secret);
    assert_eq!(different.send().await.refusal(), (400, "malformed-request"));
    let twice = app.ask(Method::GET, "/api/v1/admin/users").header("x-api-key", &secret).header("x-api-key", &secret);
    assert_eq!(twice.send().await.refusal(), (400, "malformed-request"));
}

/// Addresses are logged, kept and passed on.
#[tokio::test]
async fn a_key_in_an_address_is_refused_with_the_reason() {
    let app = TestApp::with_people().await;
    let Made { secret, .. } = key(&app, json!({ "scopes": ["users:read"] })).await;

    for path in ["/api/v1/admin/users?api_key=", "/api/v1/collections/posts/records?key=", "/api/v1/auth/profile?"] {
        let path = format!("{path}{secret}");
        let as_stranger = app.ask(Method::GET, &path).send().await;
        assert!([400, 401, 422].contains(&as_stranger.status), "{as_stranger:?}");
        let reply = get(&app, &secret, &path).await;
        assert!([400, 422].contains(&reply.status), "{reply:?}");
        assert!(!reply.text.contains(&secret) && !as_stranger.text.contains(&secret), "{path}");
    }
    let told = get(&app, &secret, &format!("/api/v1/admin/users?api_key={secret}")).await;
    assert_eq!((told.refusal(), told.str("detail").contains("X-API-Key")), ((400, "malformed-request"), true));
}

#[tokio::test]
async fn a_key_that_was_mistyped_or_never_made_is_refused() {
    let app = TestApp::with_people().await;
    let Made { secret, .. } = key(&app, json!({ "scopes": ["users:read"] })).await;
    let last = if secret.ends_with('x') { "y" } else { "x" };
    let mistyped = format!("{}{last}", &secret[..secret.len() - 1]);

    for wrong in [mistyped.as_str(), "sk_live_", "sk_x", "", "no key at all", app.token("admin")] {
        let reply = users(&app, wrong).await;
        assert_eq!(reply.refusal(), (401, "api-key-invalid"), "{wrong:?}");
        assert!(reply.str("detail").contains("mistyped") && reply.header("www-authenticate").is_some());
    }
    // Of another server: sound, and unknown.
    let elsewhere = TestApp::with_people().await;
    let other = key(&elsewhere, json!({ "scopes": ["users:read"], "name": "other" })).await;
    let again = key(&elsewhere, json!({ "scopes": ["users:read"], "name": "other" })).await;
    for foreign in [other.secret, again.secret] {
        if foreign != secret {
            let reply = users(&app, &foreign).await;
            assert_eq!(reply.refusal(), (401, "api-key-invalid"));
            assert!(!reply.str("detail").contains("mistyped"));
        }
    }
}

#[tokio::test]
async fn nothing_of_a_secret_is_in_the_files_but_its_digest() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    let Made { id, secret } = key(&app, json!({ "scopes": ["users:read"] })).await;
    let rotated = operate(&app, Method::PUT, &format!("{KEYS}/{id}/rotate"), json!({ "graceSecs": 60 })).await;
    let secrets = [secret, rotated.str("secret")];
    assert_eq!(users(&app, &secrets[1]).await.status, 200);
    app.app.close().await.expect("closed");
    drop(app);

    let mut stack = vec![folder.path().to_owned()];
    let mut files = 0;
    while let Some(path) = stack.pop() {
        if path.is_dir() {
            stack.extend(std::fs::read_dir(path).expect("a folder").map(|it| it.expect("an entry").path()));
            continue;
        }
        // The database may still be clearing away what it needs while it is open.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        files += 1;
        for secret in &secrets {
            let random = &secret.as_bytes()["sk_live_".len()..][..20];
            assert!(!bytes.windows(20).any(|it| it == random), "{}", path.display());
        }
    }
    assert!(3 < files);
}

/// No endpoint has another door for keys.
#[tokio::test]
async fn a_key_may_nothing_beyond_its_scopes_on_any_route() {
    let app = TestApp::with_people().await;
    let owner = user_id(&app, "admin").await;
    let owned = key(&app, json!({ "scopes": ["records:read"], "owner": owner })).await;
    let nobodys = key(&app, json!({ "scopes": ["records:read"] })).await;
    let document = app.openapi().await;
    let mut let_in = std::collections::BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().unwrap_or_default();
            if operation["security"].is_null() || id.ends_with("_alias") || id.ends_with("_renamed") {
                continue;
            }
            let method: Method = method.to_uppercase().parse().expect("a method");
            let path = path.replace(['{', '}'], "");
            for secret in [&owned.secret, &nobodys.secret] {
                let reply = app.ask(method.clone(), &path).header("x-api-key", secret).text("{}").send().await;
                match (reply.status, reply.body["code"].as_str()) {
                    (403, Some("not-allowed" | "needs-session")) => {}
                    _ => drop(let_in.insert(id.to_owned())),
                }
            }
        }
    }

    let reading =
        ["aggregate_records", "batch", "export_records", "list_records", "listen", "show_json_schema", "show_record"];
    assert_eq!(let_in.into_iter().collect::<Vec<_>>(), reading);
}

#[tokio::test]
async fn a_key_never_may_more_than_its_owner_does_now() {
    let app = TestApp::with_people().await;
    let (owner, _) = app.person("keeper", "moderator").await;
    let made = key(&app, json!({ "scopes": ["users:read", "roles:read"], "owner": owner })).await;
    let roles = || get(&app, &made.secret, "/api/v1/admin/roles");

    assert_eq!((users(&app, &made.secret).await.status, roles().await.status), (200, 403));
    give(&app, &owner, "admin").await;
    assert_eq!((users(&app, &made.secret).await.status, roles().await.status), (200, 200));
    give(&app, &owner, "readonly").await;
    assert_eq!((users(&app, &made.secret).await.status, roles().await.status), (403, 403));
    give(&app, &owner, "moderator").await;
    let changed = operate(&app, Method::PATCH, "/api/v1/admin/roles/moderator", json!({ "permissions": [] })).await;
    assert_eq!((changed.status, users(&app, &made.secret).await.status), (200, 403));
    give(&app, &owner, "admin").await;
    change_user(&app, &owner, json!({ "disabled": true })).await;
    assert_eq!(users(&app, &made.secret).await.refusal(), (401, "api-key-invalid"));
    change_user(&app, &owner, json!({ "disabled": false })).await;
    assert_eq!(users(&app, &made.secret).await.status, 200);
}

#[tokio::test]
async fn nobody_makes_or_takes_a_key_that_may_more_than_they_do() {
    let app = TestApp::with_people().await;
    app.role("clerk", &["keys:write", "keys:read", "records:read"]).await;
    let (_, clerk) = app.person("clerk", "clerk").await;
    let (admin, user) = (user_id(&app, "admin").await, user_id(&app, "user").await);
    let broad = key(&app, json!({ "scopes": ["*"] })).await;
    let narrow = key(&app, json!({ "scopes": ["records:read"] })).await;
    let of_admin = key(&app, json!({ "scopes": ["records:read"], "owner": admin })).await;
    let through = key(&app, json!({ "scopes": ["keys:write", "records:read"] })).await;
    let refused = (403, "permission-not-held");

    for secret in [clerk.as_str(), &through.secret] {
        let ask = |method: Method, path: String, body: Value| {
            let app = &app;
            async move { app.ask(method, &path).bearer(secret).json(&body).send().await }
        };
        for body in [
            json!({ "name": "x", "scopes": ["*"] }),
            json!({ "name": "x", "scopes": ["records:write"] }),
            json!({ "name": "x", "scopes": ["records:read"], "owner": admin }),
            json!({ "name": "x", "scopes": ["records:read"], "owner": user }),
        ] {
            assert_eq!(ask(Method::POST, KEYS.to_owned(), body.clone()).await.refusal(), refused, "{body}");
        }
        for id in [&broad.id, &of_admin.id] {
            let rotated = ask(Method::PUT, format!("{KEYS}/{id}/rotate"), json!({})).await;
            assert_eq!(rotated.refusal(), refused, "its secret would be in the answer");
            let scopes = json!({ "scopes": ["records:read"] });
            assert_eq!(ask(Method::PUT, format!("{KEYS}/{id}/scopes"), scopes).await.refusal(), refused);
            assert_eq!(
                ask(Method::PATCH, format!("{KEYS}/{id}"), json!({ "disabled": true })).await.refusal(),
                refused
            );
        }
        let broader = json!({ "scopes": ["records:write"] });
        assert_eq!(ask(Method::PUT, format!("{KEYS}/{}/scopes", narrow.id), broader).await.refusal(), refused);
        assert_eq!(ask(Method::PUT, format!("{KEYS}/{}/rotate", narrow.id), json!({})).await.status, 200);
        let made = ask(Method::POST, KEYS.to_owned(), json!({ "name": "x", "scopes": ["records/posts:read"] })).await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let own = json!({ "name": "x", "scopes": ["users:read"], "password": PASSWORD });
    assert_eq!(app.as_role("user", Method::POST, OWN).json(&own).send().await.refusal(), refused);
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told_at_once() {
    let app = TestApp::with_people().await;
    let body = json!({
        "name": "x", "scopes": ["records:read", "nothing:read"], "expiresAt": "2020-01-01T00:00:00.000Z",
        "allowedIps": ["203.0.113.7", "here"], "metadata": [1],
    });

    let reply = operate(&app, Method::POST, KEYS, body).await;

    assert_eq!(reply.refusal(), (422, "validation-failed"));
    let mut pointers: Vec<_> =
        reply.body["errors"].as_array().expect("faults").iter().map(|it| it["pointer"].to_string()).collect();
    pointers.sort();
    assert_eq!(pointers, ["\"/allowedIps/1\"", "\"/expiresAt\"", "\"/metadata\"", "\"/scopes/1\""]);
    let owner = json!({ "name": "x", "scopes": ["records:read"], "owner": "00000000-0000-7000-8000-0000000000ff" });
    let reply = operate(&app, Method::POST, KEYS, owner).await;
    assert_eq!((reply.status, reply.body["errors"][0]["pointer"].as_str()), (422, Some("/owner")));
    let big = json!({ "name": "x", "scopes": ["records:read"], "metadata": { "x": "y".repeat(5_000) } });
    assert_eq!(operate(&app, Method::POST, KEYS, big).await.body["errors"][0]["pointer"], "/metadata");
}

#[tokio::test]
async fn a_key_ends_at_its_time_and_when_it_is_revoked_or_disabled() {
    let app = TestApp::with_people().await;
    let made = key(&app, json!({ "scopes": ["users:read"], "expiresAt": "2026-01-02T03:05:05.678Z" })).await;
    let path = format!("{KEYS}/{}", made.id);
    let state = || async { app.operator(Method::GET, &path).send().await.str("state") };

    assert_eq!((users(&app, &made.secret).await.status, state().await), (200, "active".to_owned()));
    operate(&app, Method::PATCH, &path, json!({ "disabled": true })).await;
    assert_eq!(users(&app, &made.secret).await.refusal(), (401, "api-key-invalid"));
    assert_eq!(state().await, "disabled");
    operate(&app, Method::PATCH, &path, json!({ "disabled": false })).await;
    app.advance(59);
    assert_eq!(users(&app, &made.secret).await.status, 200);
    app.advance(1);
    assert_eq!(users(&app, &made.secret).await.refusal(), (401, "api-key-invalid"));
    assert_eq!(state().await, "expired");
    let rotated = operate(&app, Method::PUT, &format!("{path}/rotate"), json!({})).await;
    assert_eq!(rotated.refusal(), (409, "api-key-over"));

    let other = key(&app, json!({ "scopes": ["users:read"] })).await;
    assert_eq!(users(&app, &other.secret).await.status, 200);
    let revoked = app.operator(Method::DELETE, &format!("{KEYS}/{}/revoke", other.id)).send().await;
    assert_eq!(revoked.status, 204);
    assert_eq!(users(&app, &other.secret).await.refusal(), (401, "api-key-invalid"));
    let changed = operate(&app, Method::PATCH, &format!("{KEYS}/{}", other.id), json!({ "disabled": false })).await;
    assert_eq!(changed.refusal(), (409, "api-key-over"));
    let rotated = operate(&app, Method::PUT, &format!("{KEYS}/{}/rotate", other.id), json!({})).await;
    assert_eq!(rotated.refusal(), (409, "api-key-over"));
}

#[tokio::test]
async fn after_a_rotation_the_old_secret_works_for_the_grace_and_no_longer_than_the_key() {
    let app = TestApp::with_people().await;
    let made = key(&app, json!({ "scopes": ["users:read"], "expiresAt": "2026-01-02T03:06:05.678Z" })).await;
    let path = format!("{KEYS}/{}/rotate", made.id);
    let rotate = |secs: u32| operate(&app, Method::PUT, &path, json!({ "graceSecs": secs }));

    let second = rotate(60).await;
    assert_eq!(second.body["key"]["oldSecretUntil"], "2026-01-02T03:04:05.678Z".replace("03:04:05", "03:05:05"));
    let second = second.str("secret");
    assert_eq!((users(&app, &made.secret).await.status, users(&app, &second).await.status), (200, 200));
    app.advance(60);
    assert_eq!((users(&app, &made.secret).await.status, users(&app, &second).await.status), (401, 200));

    let third = rotate(604_800).await;
    assert_eq!(third.body["key"]["oldSecretUntil"], third.body["key"]["expiresAt"]);
    let fourth = rotate(0).await.str("secret");
    for over in [&made.secret, &second, &third.str("secret")] {
        assert_eq!(users(&app, over).await.status, 401);
    }
    assert_eq!(users(&app, &fourth).await.status, 200);
    assert_eq!(rotate(604_801).await.refusal(), (422, "validation-failed"));
}

#[tokio::test]
async fn of_fifty_rotations_at_once_one_secret_works() {
    let app = TestApp::with_people().await;
    let made = key(&app, json!({ "scopes": ["users:read"] })).await;
    let path = format!("{KEYS}/{}/rotate", made.id);

    let replies = join_all((0..50).map(|_| operate(&app, Method::PUT, &path, json!({})))).await;
    let mut working = 0;
    for reply in &replies {
        assert_eq!(reply.status, 200, "{reply:?}");
        working += usize::from(users(&app, &reply.str("secret")).await.status == 200);
    }
    assert_eq!(working, 1);

    let version = app.operator(Method::GET, &format!("{KEYS}/{}", made.id)).send().await.version().expect("a version");
    let tag = format!("\"{version}\"");
    let once = || app.operator(Method::PUT, &path).header("if-match", &tag).json(&json!({})).send();
    let statuses: Vec<_> = join_all((0..50).map(|_| once())).await.iter().map(|it| it.status).collect();
    assert_eq!(statuses.iter().filter(|it| **it == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|it| [200, 412].contains(it)), "{statuses:?}");
}

#[tokio::test]
async fn what_ended_stays_ended_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    let (revoked, kept) =
        (key(&app, json!({ "scopes": ["users:read"] })).await, key(&app, json!({ "scopes": ["users:read"] })).await);
    assert_eq!(users(&app, &revoked.secret).await.status, 200);
    app.operator(Method::DELETE, &format!("{KEYS}/{}/revoke", revoked.id)).send().await;
    // Nothing is closed in order: what was answered is on the disk.
    drop(app);

    let app = TestApp::on_disk(folder.path(), &[]).await;

    assert_eq!(users(&app, &revoked.secret).await.status, 401);
    assert_eq!(users(&app, &kept.secret).await.status, 200);
}

#[tokio::test]
async fn a_key_works_from_its_addresses_only() {
    let app = TestApp::with_people_and(&[("SERVER__TRUSTED_PROXIES", "['127.0.0.1/32']")]).await;
    let live = Live::around(app).await;
    let networks = ["203.0.113.0/24", "2001:db8::/32", "::ffff:198.51.100.7"];
    let made = key(&live.app, json!({ "scopes": ["users:read"], "allowedIps": networks })).await;
    let from = async |address: &str| {
        let head = format!(
            "GET /api/v1/admin/users HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-forwarded-for: {address}\r\n\
             x-api-key: {}\r\n\r\n",
            made.secret
        );
        let mut stream = TcpStream::connect(&live.address).await.expect("connected");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };

    for within in ["203.0.113.9", "2001:db8::1", "198.51.100.7", "::ffff:203.0.113.1"] {
        assert!(from(within).await.starts_with("HTTP/1.1 200"), "{within}");
    }
    for beyond in ["203.0.114.1", "2001:db9::1", "198.51.100.8", "::ffff:192.0.2.1", "127.0.0.1"] {
        let answer = from(beyond).await;
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("api-key-address-refused"), "{beyond}: {answer}");
    }
    assert_eq!(users(&live.app, &made.secret).await.status, 403, "from nowhere");
}

#[tokio::test]
async fn a_limit_of_a_key_holds_against_fifty_at_once_and_is_told() {
    let app = TestApp::with_people().await;
    let limit = json!({ "limit": 10, "windowSecs": 60 });
    let made = key(&app, json!({ "scopes": ["users:read"], "rateLimit": limit })).await;
    let other = key(&app, json!({ "scopes": ["users:read"], "rateLimit": limit })).await;

    let first = users(&app, &made.secret).await;
    assert_eq!(first.header("ratelimit-policy"), Some("\"key\";q=10;w=60"));
    assert_eq!(first.header("ratelimit"), Some("\"key\";r=9;t=60"));
    let replies = join_all((0..50).map(|_| users(&app, &made.secret))).await;
    assert_eq!(replies.iter().filter(|it| it.status == 200).count(), 9);
    let refused = replies.iter().find(|it| it.status != 200).expect("one");
    assert_eq!(refused.refusal(), (429, "too-many-requests"));
    assert_eq!((refused.header("retry-after"), refused.header("ratelimit")), (Some("60"), Some("\"key\";r=0;t=60")));
    assert_eq!(users(&app, &other.secret).await.status, 200, "each has its own");
    app.advance(60);
    assert_eq!(users(&app, &made.secret).await.status, 200);
}

#[tokio::test]
async fn what_a_key_is_used_for_is_counted_by_day_and_operation() {
    let app = TestApp::with_people().await;
    let made = key(&app, json!({ "scopes": ["users:read"] })).await;
    for _ in 0..3 {
        users(&app, &made.secret).await;
    }
    get(&app, &made.secret, "/api/v1/admin/roles").await;
    app.advance(24 * 3_600);
    users(&app, &made.secret).await;

    let usage = app.operator(Method::GET, &format!("{KEYS}/{}/usage", made.id)).send().await;

    let line = |day: &str, operation: &str, calls: u64, refused: u64| json!({ "day": day, "operation": operation, "calls": calls, "refused": refused });
    assert_eq!(
        usage.body["data"],
        json!([
            line("2026-01-03", "list_users", 1, 0),
            line("2026-01-02", "list_roles", 1, 1),
            line("2026-01-02", "list_users", 3, 0),
        ])
    );
    assert_eq!((&usage.body["calls"], &usage.body["refused"]), (&json!(5), &json!(1)));
    let today = app.operator(Method::GET, &format!("{KEYS}/{}/usage?days=1", made.id)).send().await;
    assert_eq!(today.body["calls"], 1);
    let shown = app.operator(Method::GET, &format!("{KEYS}/{}", made.id)).send().await;
    assert_eq!(shown.str("lastUsedAt"), "2026-01-03T03:04:05.678Z");
    let wrong = app.operator(Method::GET, &format!("{KEYS}/{}/usage?days=0", made.id)).send().await;
    assert_eq!(wrong.refusal(), (422, "validation-failed"));
}

#[tokio::test]
async fn people_keep_keys_of_their_own_and_see_no_others() {
    let app = TestApp::with_people().await;
    let foreign = key(&app, json!({ "scopes": ["records:read"] })).await;
    let body = json!({ "name": "Script", "scopes": ["records:read"], "password": PASSWORD });
    let made = app.as_role("user", Method::POST, OWN).json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let own = read(&made);
    let user = user_id(&app, "user").await;
    assert_eq!((&made.body["key"]["owner"], &made.body["key"]["createdBy"]), (&json!(user), &json!(user)));

    let list = app.as_role("user", Method::GET, OWN).send().await;
    assert_eq!(list.body["data"].as_array().map(Vec::len), Some(1));
    for (id, status) in [(&own.id, 200), (&foreign.id, 404)] {
        for (method, path) in [(Method::GET, ""), (Method::GET, "/usage"), (Method::PUT, "/rotate")] {
            let shown = json!({ "password": PASSWORD });
            let reply = app.as_role("user", method, &format!("{OWN}/{id}{path}")).json(&shown).send().await;
            assert_eq!(reply.status, status, "{path} {reply:?}");
        }
    }
    let by_key = app.ask(Method::GET, OWN).header("x-api-key", &foreign.secret).send().await;
    assert_eq!(by_key.refusal(), (403, "needs-session"));
    for n in 1..20 {
        assert_eq!(app.as_role("user", Method::POST, OWN).json(&body).send().await.status, 201, "{n}");
    }
    assert_eq!(
        app.as_role("user", Method::POST, OWN).json(&body).send().await.refusal(),
        (409, "api-key-limit-reached")
    );
    let revoke = format!("{OWN}/{}/revoke", own.id);
    assert_eq!(app.as_role("readonly", Method::DELETE, &revoke).send().await.status, 404);
    assert_eq!(app.as_role("user", Method::DELETE, &revoke).send().await.status, 204);
    assert_eq!(app.as_role("user", Method::POST, OWN).json(&body).send().await.status, 201);
}

#[tokio::test]
async fn rules_know_a_key_as_its_owner_and_one_of_nobody_as_nobody() {
    let app = TestApp::with_people().await;
    let rules = json!({ "list": "auth.id == who || auth.tier == 'gold'", "view": "true", "create": "auth.signedIn" });
    let fields = json!([{ "name": "who", "type": "text" }]);
    operate(&app, Method::POST, "/api/v1/collections", json!({ "name": "notes", "fields": fields, "rules": rules }))
        .await;
    let user = user_id(&app, "user").await;
    let notes = "/api/v1/collections/notes/records";
    operate(&app, Method::POST, notes, json!({ "who": user })).await;
    operate(&app, Method::POST, notes, json!({ "who": "someone else" })).await;
    let scopes = json!(["records:write"]);
    let owned = key(&app, json!({ "scopes": scopes, "owner": user })).await;
    let golden = key(&app, json!({ "scopes": scopes, "owner": user, "tier": "gold" })).await;
    let nobodys = key(&app, json!({ "scopes": scopes })).await;
    let over_rules = key(&app, json!({ "scopes": ["records:admin"] })).await;

    let mut found = Vec::new();
    for it in [&owned, &golden, &nobodys, &over_rules] {
        let list = get(&app, &it.secret, notes).await;
        let made = app.ask(Method::POST, notes).header("x-api-key", &it.secret).json(&json!({})).send().await;
        found.push((list.body["data"].as_array().map(Vec::len), made.status));
        if made.status == 201 {
            let path = format!("{notes}/{}", made.str("id"));
            assert_eq!(app.operator(Method::DELETE, &path).send().await.status, 204);
        }
    }

    assert_eq!(found, [(Some(1), 201), (Some(2), 201), (Some(0), 403), (Some(2), 201)]);
}

/// What is open must not outlive what it was opened with.
#[tokio::test]
async fn live_connections_end_with_their_key() {
    let live = Live::start().await;
    let app = &live.app;
    let rules = json!({ "list": "true", "view": "true" });
    live.collection(&json!({ "name": "posts", "fields": [{ "name": "title", "type": "text" }], "rules": rules })).await;
    for deed in ["revoke", "rotate", "disable", "scopes", "owner"] {
        let (owner, _) = app.person(deed, "user").await;
        let made = key(app, json!({ "scopes": ["records:read"], "owner": owner })).await;
        let mut socket = live.try_socket(Some(&made.secret)).await.expect("a socket");
        socket.subscribe("collections/posts").await;

        let path = format!("{KEYS}/{}", made.id);
        match deed {
            "revoke" => drop(app.operator(Method::DELETE, &format!("{path}/revoke")).send().await),
            "rotate" => drop(operate(app, Method::PUT, &format!("{path}/rotate"), json!({})).await),
            "disable" => drop(operate(app, Method::PATCH, &path, json!({ "disabled": true })).await),
            "scopes" => {
                drop(operate(app, Method::PUT, &format!("{path}/scopes"), json!({ "scopes": ["users:read"] })).await);
            }
            _ => give(app, &owner, "readonly").await,
        }

        assert_eq!(socket.closed().await, 4401, "{deed}");
    }
}

#[tokio::test]
async fn keys_are_listed_in_pages_and_by_owner() {
    let app = TestApp::with_people().await;
    let user = user_id(&app, "user").await;
    for n in 0..5 {
        let owner = if n % 2 == 0 { json!(user) } else { Value::Null };
        key(&app, json!({ "scopes": ["records:read"], "owner": owner, "name": format!("{n}") })).await;
    }
    let list = |query: String| app.as_role("admin", Method::GET, &format!("{KEYS}?{query}")).send();
    let names = |reply: &Reply| -> Vec<String> {
        reply.body["data"]
            .as_array()
            .expect("keys")
            .iter()
            .map(|it| it["name"].as_str().expect("a name").to_owned())
            .collect()
    };

    let first = list("limit=2&count=exact".to_owned()).await;
    assert_eq!((names(&first), &first.body["meta"]["total"]), (vec!["0".to_owned(), "1".to_owned()], &json!(5)));
    let cursor = first.body["meta"]["nextCursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(names(&list(format!("limit=2&cursor={cursor}")).await), ["2", "3"]);
    assert_eq!(names(&list(format!("owner={user}")).await), ["0", "2", "4"]);
    assert!(!first.text.contains("sk_live_") || first.text.contains("sk_live_…"));
    assert_eq!(list("owner=x".to_owned()).await.refusal(), (422, "validation-failed"));
}

/// Who let whom in is asked after something happened.
#[tokio::test]
async fn what_is_done_with_keys_is_in_the_audit_trail_without_a_secret() {
    let app = TestApp::with_people().await;
    let made = key(&app, json!({ "scopes": ["users:read"] })).await;
    let path = format!("{KEYS}/{}", made.id);
    operate(&app, Method::PUT, &format!("{path}/scopes"), json!({ "scopes": ["roles:read"] })).await;
    let rotated = operate(&app, Method::PUT, &format!("{path}/rotate"), json!({})).await.str("secret");
    app.operator(Method::DELETE, &format!("{path}/revoke")).send().await;

    let trail = app.operator(Method::GET, "/api/v1/admin/audit?limit=500").send().await;

    let entries = trail.body["data"].as_array().expect("entries");
    let of_keys: Vec<_> =
        entries.iter().filter_map(|it| it["action"].as_str()).filter(|it| it.starts_with("api-keys.")).collect();
    let mut sorted = of_keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["api-keys.change", "api-keys.create", "api-keys.revoke", "api-keys.rotate"], "{of_keys:?}");
    assert!(!trail.text.contains(&made.secret) && !trail.text.contains(&rotated));
}

/// A session that was left open, or stolen, makes no key that outlives it.
#[tokio::test]
async fn a_key_of_ones_own_needs_the_password_and_is_told_by_mail() {
    let post = crate::mail::Post::new().await;
    let app = &post.app;
    let make = async |shown: Value| {
        let mut body = json!({ "name": "Script", "scopes": ["records:read"] });
        body.as_object_mut().expect("an object").extend(shown.as_object().expect("an object").clone());
        app.as_role("user", Method::POST, OWN).json(&body).send().await
    };
    for wrong in [json!({}), json!({ "password": "not mine" }), json!({ "password": PASSWORD, "code": "123456" })] {
        assert_eq!(make(wrong).await.status, 422);
    }
    assert_eq!(make(json!({ "code": "123456" })).await.refusal(), (403, "second-factor-wrong"));

    let made = make(json!({ "password": PASSWORD })).await;

    assert_eq!(made.status, 201, "{made:?}");
    assert!(!made.text.contains(PASSWORD));
    let told = post.mail("user@example.com", "api-key-changed").await;
    assert!(told["text"].as_str().is_some_and(|it| it.contains("Script") && it.contains("made")), "{told}");
    let path = format!("{OWN}/{}/rotate", read(&made).id);
    assert_eq!(app.as_role("user", Method::PUT, &path).text("{}").send().await.status, 422);
    let rotated = app.as_role("user", Method::PUT, &path).json(&json!({ "password": PASSWORD })).send().await;
    assert_eq!(rotated.status, 200, "{rotated:?}");
    let told = post.nth_mail("user@example.com", "api-key-changed", 2).await;
    assert!(told["text"].as_str().is_some_and(|it| it.contains("rotated")), "{told}");
    // One that somebody else makes on their behalf is told as well.
    let id = user_id(app, "readonly").await;
    key(app, json!({ "scopes": ["records:read"], "owner": id })).await;
    post.mail("readonly@example.com", "api-key-changed").await;
    for _ in 0..10 {
        make(json!({ "password": "not mine" })).await;
    }
    assert_eq!(make(json!({ "password": PASSWORD })).await.refusal(), (429, "too-many-requests"));
}

#[tokio::test]
async fn a_password_that_was_forgotten_ends_the_keys_and_one_that_is_changed_does_if_asked_to() {
    let post = crate::mail::Post::new().await;
    let app = &post.app;
    let own = async |who: &str| {
        let body = json!({ "name": "x", "scopes": ["records:read"], "password": PASSWORD });
        let made = app.as_role(who, Method::POST, OWN).json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        made.str("secret")
    };
    let works = async |secret: &str| {
        let path = "/api/v1/collections/nothing/records";
        app.ask(Method::GET, path).header("x-api-key", secret).send().await.status == 404
    };
    let change = async |who: &str, body: Value| {
        let reply = app.as_role(who, Method::POST, "/api/v1/auth/change-password").json(&body).send().await;
        assert_eq!(reply.status, 204, "{reply:?}");
    };
    let (kept, revoked, reset) = (own("user").await, own("readonly").await, own("admin").await);
    let nobodys = key(app, json!({ "scopes": ["records:read"] })).await.secret;
    assert!(works(&kept).await && works(&revoked).await && works(&reset).await);

    change("user", json!({ "currentPassword": PASSWORD, "newPassword": "another horse, another staple" })).await;
    let told = post.mail("user@example.com", "password-changed").await;
    assert!(told["text"].as_str().is_some_and(|it| it.contains("go on working: 1")), "{told}");
    let body =
        json!({ "currentPassword": PASSWORD, "newPassword": "another horse, another staple", "revokeKeys": true });
    change("readonly", body).await;
    let told = post.mail("readonly@example.com", "password-changed").await;
    assert!(told["text"].as_str().is_some_and(|it| it.contains("revoked by it: 1")), "{told}");
    post.post("forgot-password", json!({ "email": "admin@example.com" })).await;
    let link = crate::mail::token(&post.mail("admin@example.com", "reset-password").await);
    let body = json!({ "token": link, "newPassword": "another horse, another staple" });
    assert_eq!(post.post("reset-password", body).await.status, 204);

    assert!(works(&kept).await && works(&nobodys).await);
    assert!(!works(&revoked).await && !works(&reset).await);
    let trail = app.operator(Method::GET, "/api/v1/admin/audit?action=api-keys.revoke").send().await;
    let emails: Vec<_> = trail.body["data"].as_array().expect("entries").iter().map(|it| &it["actorEmail"]).collect();
    assert_eq!(emails, ["admin@example.com", "readonly@example.com"]);
    let everywhere = app.as_role("user", Method::POST, "/api/v1/auth/logout-all");
    assert_eq!(everywhere.json(&json!({ "revokeKeys": true })).send().await.status, 204);
    assert!(!works(&kept).await);
}

#[tokio::test]
async fn nobody_revokes_a_key_that_may_more() {
    let app = TestApp::with_people().await;
    app.role("keeper", &["keys:write", "records:read"]).await;
    let (_, keeper) = app.person("keeper", "keeper").await;
    let (more, less) =
        (key(&app, json!({ "scopes": ["*"] })).await, key(&app, json!({ "scopes": ["records:read"] })).await);
    let admin = user_id(&app, "admin").await;
    let of_admin = key(&app, json!({ "scopes": ["records:read"], "owner": admin })).await;
    let revoke = async |id: &str| app.ask(Method::DELETE, &format!("{KEYS}/{id}/revoke")).bearer(&keeper).send().await;

    assert_eq!(revoke(&more.id).await.refusal(), (403, "permission-not-held"));
    assert_eq!(revoke(&of_admin.id).await.refusal(), (403, "permission-not-held"));
    assert_eq!(revoke(&less.id).await.status, 204);
    assert_eq!(users(&app, &more.secret).await.status, 200);
}

/// Otherwise its bounds would be worth nothing.
#[tokio::test]
async fn a_key_with_bounds_makes_no_keys_and_does_not_free_itself() {
    let app = TestApp::with_people().await;
    let path = "/api/v1/admin/keys";
    let body =
        json!({ "name": "bounded", "scopes": ["keys:write", "keys:read"], "allowedIps": ["127.0.0.0/8", "::1/128"] });
    let bounded = app.as_role("admin", Method::POST, path).json(&body).send().await;
    assert_eq!(bounded.status, 201, "{bounded:?}");
    let (secret, id) = (bounded.str("secret"), bounded.body["key"]["id"].as_str().expect("an id").to_owned());
    let with_key =
        |method, path: &str, body: Value| app.ask(method, path).from("127.0.0.1").bearer(&secret).json(&body).send();

    let twin = with_key(Method::POST, path, json!({ "name": "twin", "scopes": ["keys:write"] })).await;
    let freed = with_key(Method::PATCH, &format!("{path}/{id}"), json!({ "allowedIps": [] })).await;

    assert_eq!(twin.refusal(), (403, "permission-not-held"), "{twin:?}");
    assert_eq!(freed.refusal(), (403, "permission-not-held"), "{freed:?}");
}

/// Rules go by tiers.
#[tokio::test]
async fn nobody_gives_a_key_a_tier_who_gives_none_to_people() {
    let app = TestApp::with_people().await;
    app.role("keymaker", &["keys:write", "keys:read", "records:read"]).await;
    let (_, token) = app.person("keymaker", "keymaker").await;
    let body = json!({ "name": "gold", "scopes": ["records:read"], "tier": "gold" });

    let made = app.ask(Method::POST, "/api/v1/admin/keys").bearer(&token).json(&body).send().await;

    assert_eq!(made.refusal(), (403, "permission-not-held"), "{made:?}");
    assert_eq!(app.as_role("admin", Method::POST, "/api/v1/admin/keys").json(&body).send().await.status, 201);
}
