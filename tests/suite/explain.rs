//! Why someone may do something, or may not: as it then turns out.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

async fn explain(app: &TestApp, caller: &Value, what: &Value) -> Reply {
    let mut question = json!({ "caller": caller });
    question.as_object_mut().expect("an object").extend(what.as_object().expect("an object").clone());
    let reply = app.operator(Method::POST, "/api/v1/admin/explain").json(&question).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

/// Verdict and what decided, which most answers are about.
fn told(reply: &Reply) -> (String, String) {
    (reply.str("verdict"), reply.str("decidedBy"))
}

fn as_told(verdict: &str, decided_by: &str) -> (String, String) {
    (verdict.to_owned(), decided_by.to_owned())
}

async fn key(app: &TestApp, body: &Value) -> (String, String) {
    let made = app.operator(Method::POST, "/api/v1/admin/keys").json(body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    (made.body["key"]["id"].as_str().expect("an id").to_owned(), made.str("secret"))
}

#[tokio::test]
async fn an_explanation_names_what_decides() {
    let app = TestApp::with_people().await;
    let (moderator, _) = app.person("moderator", "moderator").await;
    let (disabled, _) = app.person("disabled", "user").await;
    let path = format!("/api/v1/admin/users/{disabled}");
    app.operator(Method::PATCH, &path).json(&json!({ "disabled": true })).send().await;
    let scopes = json!(["roles:read", "records:read"]);
    let (of_moderator, _) = key(&app, &json!({ "name": "x", "scopes": scopes, "owner": moderator })).await;
    let (over, _) = key(&app, &json!({ "name": "x", "scopes": scopes })).await;
    app.operator(Method::DELETE, &format!("/api/v1/admin/keys/{over}/revoke")).send().await;
    let users = json!({ "method": "GET", "path": "/admin/users" });
    let roles = json!({ "method": "get", "path": "/api/v1/admin/roles?x=y" });
    let profile = json!({ "method": "GET", "path": "/api/v1/auth/profile" });
    let login = json!({ "method": "POST", "path": "/api/v1/auth/login" });
    let (stranger, key) = (json!({ "stranger": true }), json!({ "keyId": of_moderator }));
    let (user, gone) = (json!({ "userId": moderator }), json!({ "userId": disabled }));

    for (caller, what, expected) in [
        (&user, &users, as_told("allowed", "role")),
        (&user, &roles, as_told("refused", "role")),
        (&user, &profile, as_told("allowed", "sign-in")),
        (&key, &users, as_told("refused", "scope")),
        (&key, &roles, as_told("refused", "role")),
        (&key, &profile, as_told("refused", "sign-in")),
        (&stranger, &users, as_told("refused", "sign-in")),
        (&stranger, &login, as_told("allowed", "nobody")),
        (&gone, &users, as_told("refused", "account")),
        (&json!({ "keyId": over }), &users, as_told("refused", "key")),
    ] {
        let reply = explain(&app, caller, what).await;
        assert_eq!(told(&reply), expected, "{caller} {what} {reply:?}");
    }
    let reply = explain(&app, &user, &roles).await;
    assert_eq!((reply.str("permission"), reply.str("role")), ("roles:read".to_owned(), "moderator".to_owned()));
}

/// What is said of a rule is what then happens.
#[tokio::test]
async fn a_rule_is_explained_with_its_text_and_put_to_the_record() {
    let app = TestApp::with_people().await;
    let rules = json!({ "list": "true", "view": "owner == auth.id", "create": "auth.signedIn", "update": "owner == auth.id", "delete": null });
    let body = json!({ "name": "notes", "fields": [{ "name": "owner", "type": "text" }], "rules": rules });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&body).send().await.status, 201);
    let user = app.profile(app.token("user")).await.str("id");
    let make = |owner: &str| {
        let body = json!({ "owner": owner });
        let app = &app;
        async move { app.operator(Method::POST, "/api/v1/collections/notes/records").json(&body).send().await.str("id") }
    };
    let (own, foreign) = (make(&user).await, make("someone else").await);
    let caller = json!({ "userId": user });
    let ask = |action: &str, record: Option<&str>| {
        let mut what = json!({ "collection": "notes", "action": action });
        if let Some(record) = record {
            what["recordId"] = record.into();
        }
        let (app, caller) = (&app, &caller);
        async move { explain(app, caller, &what).await }
    };

    assert_eq!(told(&ask("list", None).await), as_told("allowed", "rule"));
    let view = ask("view", None).await;
    assert_eq!(
        (told(&view), view.body["rule"]["text"].as_str()),
        (as_told("depends", "rule"), Some("owner == auth.id"))
    );
    for (record, verdict, status) in [(&own, "allowed", 200), (&foreign, "refused", 404)] {
        assert_eq!(told(&ask("view", Some(record)).await), as_told(verdict, "rule"));
        let path = format!("/api/v1/collections/notes/records/{record}");
        assert_eq!(app.as_role("user", Method::GET, &path).send().await.status, status);
        let by_path = explain(&app, &caller, &json!({ "method": "PATCH", "path": path })).await;
        assert_eq!((told(&by_path), by_path.str("permission")), (as_told(verdict, "rule"), "records:write".to_owned()));
        let changed = app.as_role("user", Method::PATCH, &path).json(&json!({})).send().await;
        assert_eq!(changed.status, status);
    }
    let delete = ask("delete", Some(&own)).await;
    assert_eq!((told(&delete), delete.body["rule"].get("text")), (as_told("refused", "rule"), None));
    let readonly = app.profile(app.token("readonly")).await.str("id");
    let create = json!({ "collection": "notes", "action": "create" });
    assert_eq!(told(&explain(&app, &json!({ "userId": readonly }), &create).await), as_told("refused", "role"));
    let admin = app.profile(app.token("admin")).await.str("id");
    let past_rules = json!({ "collection": "notes", "action": "delete", "recordId": foreign });
    assert_eq!(told(&explain(&app, &json!({ "userId": admin }), &past_rules).await), as_told("allowed", "role"));
}

#[tokio::test]
async fn a_question_that_cannot_be_answered_says_why() {
    let app = TestApp::with_people().await;
    let ask = |body: Value| app.operator(Method::POST, "/api/v1/admin/explain").json(&body).send();
    let stranger = json!({ "stranger": true });
    let nobody = "00000000-0000-7000-8000-0000000000ff";

    for (body, pointer) in [
        (json!({ "caller": {}, "method": "GET", "path": "/api/v1/admin/users" }), "/caller"),
        (
            json!({ "caller": { "stranger": true, "userId": nobody }, "method": "GET", "path": "/admin/users" }),
            "/caller",
        ),
        (json!({ "caller": { "userId": nobody }, "method": "GET", "path": "/admin/users" }), "/caller/userId"),
        (json!({ "caller": { "keyId": nobody }, "method": "GET", "path": "/admin/users" }), "/caller/keyId"),
        (json!({ "caller": stranger, "method": "GET", "path": "/nowhere" }), "/path"),
        (json!({ "caller": stranger, "method": "GET" }), ""),
        (json!({ "caller": stranger, "collection": "posts" }), ""),
    ] {
        let reply = ask(body.clone()).await;
        assert_eq!((reply.status, reply.body["errors"][0]["pointer"].as_str()), (422, Some(pointer)), "{body}");
    }
    let missing = ask(json!({ "caller": stranger, "collection": "nowhere", "action": "list" })).await;
    assert_eq!(missing.refusal(), (404, "not-found"));
}

/// Whether a rule is true for a record tells of the record.
#[tokio::test]
async fn only_those_who_may_read_all_records_ask_about_one() {
    let app = TestApp::with_people().await;
    app.role("clerk", &["roles:read", "collections:read"]).await;
    let (_, clerk) = app.person("clerk", "clerk").await;
    let about = |record: Option<&str>| {
        let body =
            json!({ "caller": { "stranger": true }, "collection": "posts", "action": "view", "recordId": record });
        app.ask(Method::POST, "/api/v1/admin/explain").bearer(&clerk).json(&body).send()
    };

    assert_eq!(about(Some("x")).await.refusal(), (403, "not-allowed"));
    assert_eq!(about(None).await.refusal(), (404, "not-found"));
}

/// To ask about somebody is to read about them.
#[tokio::test]
async fn nobody_is_told_what_they_could_not_read_anyway() {
    let app = TestApp::with_people().await;
    app.role("asker", &["roles:read"]).await;
    let (_, asker) = app.person("asker", "asker").await;
    let id = app.profile(app.token("user")).await.str("id");
    let (of_key, _) = key(&app, &json!({ "name": "x", "scopes": ["records:read"] })).await;
    let things = json!({ "name": "things", "fields": [{ "name": "text", "type": "text" }] });
    app.operator(Method::POST, "/api/v1/collections").json(&things).send().await;
    let ask = async |question: Value| {
        app.ask(Method::POST, "/api/v1/admin/explain").bearer(&asker).json(&question).send().await
    };
    let path = json!("/api/v1/admin/users");

    for (caller, permission) in [(json!({ "userId": id }), "users:read"), (json!({ "keyId": of_key }), "keys:read")] {
        let refused = ask(json!({ "caller": caller, "method": "GET", "path": path })).await;
        assert_eq!(refused.refusal(), (403, "not-allowed"));
        assert!(refused.text.contains(permission), "{refused:?}");
    }
    let stranger = json!({ "stranger": true });
    let of_rule = json!({ "caller": stranger, "collection": "things", "action": "list" });
    let by_path = json!({ "caller": stranger, "method": "GET", "path": "/api/v1/collections/things/records" });
    for question in [of_rule, by_path] {
        assert_eq!(ask(question).await.refusal(), (403, "not-allowed"));
    }
    assert_eq!(ask(json!({ "caller": stranger, "method": "GET", "path": path })).await.status, 200);
}
