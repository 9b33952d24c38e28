//! Preferences, and how much people use the server.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Map, Value, json};

use crate::support::{PASSWORD, Reply, TestApp};

const PATH: &str = "/api/v1/auth/preferences";

async fn send(app: &TestApp, role: &str, method: Method, body: &Value) -> Reply {
    app.as_role(role, method, PATH).json(body).send().await
}

async fn read(app: &TestApp, role: &str) -> Reply {
    app.as_role(role, Method::GET, PATH).send().await
}

#[tokio::test]
async fn what_apps_keep_for_someone_is_there_on_every_device_and_for_nobody_else() {
    let app = TestApp::with_people().await;
    let first = read(&app, "user").await;
    assert_eq!((first.status, &first.body, first.version()), (200, &json!({}), Some(0)));

    let put = send(&app, "user", Method::PUT, &json!({ "theme": "dark", "editor": { "tabs": 4, "wrap": true } })).await;
    let patch = json!({ "theme": null, "editor": { "tabs": 2 }, "new": [1, null, "\u{fc}"] });
    let patched = send(&app, "user", Method::PATCH, &patch).await;

    let expected = json!({ "editor": { "tabs": 2, "wrap": true }, "new": [1, null, "\u{fc}"] });
    assert_eq!((put.status, put.version()), (200, Some(1)));
    assert_eq!((patched.status, patched.version(), &patched.body), (200, Some(2), &expected));
    let elsewhere = app.login("user@example.com", PASSWORD).await.str("accessToken");
    let elsewhere = app.ask(Method::GET, PATH).bearer(&elsewhere).send().await;
    assert_eq!((&elsewhere.body, elsewhere.header("etag")), (&expected, patched.header("etag")));
    assert_eq!(read(&app, "admin").await.body, json!({}));
    assert_eq!(app.ask(Method::GET, PATH).send().await.refusal(), (401, "not-signed-in"));
}

#[tokio::test]
async fn preferences_that_someone_changed_meanwhile_are_not_overwritten() {
    let app = TestApp::with_people().await;
    let ask =
        |tag: &str, body: Value| app.as_role("user", Method::PUT, PATH).header("if-match", tag).json(&body).send();

    let first = ask("\"0\"", json!({ "a": 1 })).await;
    let stale = ask("\"0\"", json!({ "a": 2 })).await;
    let same = ask(first.header("etag").expect("a tag"), json!({ "a": 1 })).await;

    assert_eq!((first.status, stale.refusal()), (200, (412, "stale-version")));
    assert_eq!((same.status, same.version()), (200, Some(1)), "nothing was changed");
    let tag = same.header("etag").expect("a tag").to_owned();
    let known = app.as_role("user", Method::GET, PATH).header("if-none-match", &tag).send().await;
    assert_eq!(known.status, 304);
}

/// Each change of one member is there in the end, however many come at once.
#[tokio::test]
async fn patches_of_fifty_devices_at_once_are_all_there() {
    let app = TestApp::with_people().await;

    let patches = (0..50).map(|n| {
        let body = json!({ format!("d{n}"): n });
        let app = &app;
        async move { send(app, "user", Method::PATCH, &body).await.status }
    });
    let statuses = join_all(patches).await;

    assert!(statuses.iter().all(|it| *it == 200), "{statuses:?}");
    assert_eq!(read(&app, "user").await.body.as_object().map(Map::len), Some(50));
}

#[tokio::test]
async fn what_is_no_object_or_too_much_is_refused_and_changes_nothing() {
    let app = TestApp::with_people().await;
    send(&app, "user", Method::PUT, &json!({ "kept": true })).await;
    let many: Map<String, Value> = (0..101).map(|it| (it.to_string(), json!(1))).collect();
    let deep = (0..9).fold(json!(1), |inner, _| json!([inner]));
    for method in [Method::PUT, Method::PATCH] {
        for (body, code) in [
            (json!([]), "type"),
            (json!(null), "type"),
            (json!("x"), "type"),
            (json!(7), "type"),
            (many.clone().into(), "too-many"),
            (json!({ "a": "x".repeat(17_000) }), "too-long"),
            (json!({ "a": deep }), "too-deep"),
        ] {
            let reply = send(&app, "user", method.clone(), &body).await;
            assert_eq!(reply.refusal(), (422, "validation-failed"), "{method}");
            assert_eq!(reply.body["errors"][0]["code"], code, "{method}");
        }
        for (text, refusal) in [
            (r#"{"a": 1, "a": 2}"#, (422, "validation-failed")),
            ("{\"a\": \"\\u0000\"}", (422, "validation-failed")),
            ("{", (400, "malformed-request")),
            ("", (400, "malformed-request")),
        ] {
            let reply = app.as_role("user", method.clone(), PATH).text(text).send().await;
            assert_eq!(reply.refusal(), refusal, "{method} {text}");
        }
    }
    // Together they would be too much, and neither is alone.
    send(&app, "user", Method::PATCH, &json!({ "a": "x".repeat(10_000) })).await;
    let more = send(&app, "user", Method::PATCH, &json!({ "b": "x".repeat(10_000) })).await;
    assert_eq!(more.refusal(), (422, "validation-failed"));

    let left = read(&app, "user").await;
    assert_eq!((&left.body["kept"], left.body.as_object().map(Map::len)), (&json!(true), Some(2)));
}

#[tokio::test]
async fn preferences_go_with_the_account() {
    let app = TestApp::with_people().await;
    let id = app.profile(app.token("user")).await.str("id");
    send(&app, "user", Method::PUT, &json!({ "kept": true })).await;

    app.operator(Method::DELETE, &format!("/api/v1/users/{id}")).send().await;
    assert_eq!(read(&app, "user").await.status, 401);
    app.operator(Method::POST, &format!("/api/v1/users/{id}/restore")).send().await;
    let token = app.login("user@example.com", PASSWORD).await.str("accessToken");
    let back = app.ask(Method::GET, PATH).bearer(&token).send().await;
    assert_eq!(back.body, json!({ "kept": true }));
    app.operator(Method::DELETE, &format!("/api/v1/users/{id}")).send().await;
    let purged = app.operator(Method::POST, &format!("/api/v1/users/{id}/purge")).send().await;
    assert_eq!(purged.status, 204, "{purged:?}");
}

/// An orderly stop loses nothing of what was counted, of people and of keys.
#[tokio::test]
async fn what_was_used_is_counted_also_right_before_a_stop() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    let (id, token) = app.person("ada", "user").await;
    let key = json!({ "name": "k", "scopes": ["records:read"], "owner": id });
    let made = app.operator(Method::POST, "/api/v1/admin/keys").json(&key).send().await;
    let (key, secret) = (made.body["key"]["id"].as_str().expect("an id").to_owned(), made.str("secret"));
    for _ in 0..3 {
        assert_eq!(app.profile(&token).await.body["usageCount"], 0, "not written yet");
    }
    for _ in 0..2 {
        app.ask(Method::GET, "/api/v1/collections/none/records").bearer(&secret).send().await;
    }
    app.ask(Method::GET, "/api/v1/auth/profile").bearer("nonsense").send().await;

    app.app.close().await.expect("closed");
    drop(app);

    let app = TestApp::on_disk(folder.path(), &[]).await;
    let shown = app.operator(Method::GET, &format!("/api/v1/users/{id}")).send().await;
    assert_eq!((&shown.body["usageCount"], shown.version()), (&json!(5), Some(1)), "it is no change");
    let usage = app.operator(Method::GET, &format!("/api/v1/admin/keys/{key}/usage")).send().await;
    assert_eq!(usage.body["calls"], 2);
}
