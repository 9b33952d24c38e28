//! Acting as somebody else: to see what they see, and no more.
use std::collections::BTreeSet;

use data_encoding::BASE64URL_NOPAD;
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Reply, TestApp};

async fn begin(app: &TestApp, token: &str, id: &str) -> Reply {
    let path = format!("/api/v1/admin/users/{id}/impersonate");
    app.ask(Method::POST, &path).bearer(token).json(&json!({ "reason": "Ticket 4711" })).send().await
}

/// An admin who acts as `user@example.com`: the id of that one, and the token.
async fn begun(app: &TestApp) -> (String, String) {
    let id = app.profile(app.token("user")).await.str("id");
    let session = begin(app, app.token("admin"), &id).await;
    assert_eq!(session.status, 201, "{session:?}");
    (id, session.str("accessToken"))
}

fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).expect("a body");
    serde_json::from_slice(&BASE64URL_NOPAD.decode(body.as_bytes()).expect("Base64")).expect("JSON")
}

#[tokio::test]
async fn an_admin_sees_what_somebody_else_sees_for_a_quarter_of_an_hour() {
    let app = TestApp::with_people().await;
    let rules = json!({ "list": "owner == auth.id", "create": "owner == auth.id" });
    let fields = json!([{ "name": "owner", "type": "relation", "collection": "users" }]);
    let orders = json!({ "name": "orders", "fields": fields, "rules": rules });
    app.operator(Method::POST, "/api/v1/collections").json(&orders).send().await;
    let id = app.profile(app.token("user")).await.str("id");
    let path = "/api/v1/collections/orders/records";
    app.as_role("user", Method::POST, path).json(&json!({ "owner": id })).send().await;
    let admin = app.profile(app.token("admin")).await.str("id");

    let session = begin(&app, app.token("admin"), &id).await;

    assert_eq!((session.status, &session.body["expiresIn"]), (201, &json!(900)), "{session:?}");
    assert!(session.body.get("refreshToken").is_none());
    let token = session.str("accessToken");
    assert_eq!((&claims(&token)["sub"], &claims(&token)["act"]), (&json!(id), &json!({ "sub": admin })));
    let profile = app.profile(&token).await;
    let by = json!({ "id": admin, "email": "admin@example.com" });
    assert_eq!((&profile.body["email"], &profile.body["impersonatedBy"]), (&json!("user@example.com"), &by));
    assert!(app.profile(app.token("user")).await.body.get("impersonatedBy").is_none());
    let list = app.ask(Method::GET, path).bearer(&token).send().await;
    assert_eq!(list.body["data"].as_array().map(Vec::len), Some(1), "{list:?}");
    let made = app.ask(Method::POST, path).bearer(&token).json(&json!({ "owner": id })).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let others = app.ask(Method::POST, path).bearer(&token).json(&json!({ "owner": admin })).send().await;
    assert_eq!(others.refusal(), (403, "rule-denied"), "as them, and not past their rules");
    app.advance(899);
    assert_eq!(app.profile(&token).await.status, 200);
    app.advance(1);
    assert_eq!(app.profile(&token).await.refusal(), (401, "token-invalid"));
}

/// What somebody may do who acts as somebody else: whoever adds an operation decides it here.
const MAY: &[&str] = &["show_profile"];

#[tokio::test]
async fn acting_as_somebody_else_opens_records_and_nothing_of_the_account_or_of_admins() {
    let app = TestApp::with_people().await;
    // As somebody with many rights, so that it is not these that are missing.
    app.role(
        "keeper",
        &["users:admin", "keys:write", "roles:write", "audit:read", "records:admin", "collections:write"],
    )
    .await;
    let (id, _) = app.person("keeper", "keeper").await;
    let session = begin(&app, app.token("admin"), &id).await;
    let token = session.str("accessToken");
    let document = app.openapi().await;
    let (mut let_in, mut unknown) = (BTreeSet::new(), Vec::new());

    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let name = operation["operationId"].as_str().expect("an id").to_owned();
            let security = &operation["security"];
            let is_open = security.is_null() || security.as_array().is_some_and(|it| it.contains(&json!({})));
            // Signing out would end what is being tested.
            if is_open || name.starts_with("logout") {
                continue;
            }
            let method: Method = method.to_uppercase().parse().expect("a method");
            let reply = app.ask(method, &path.replace(['{', '}'], "")).bearer(&token).text("{}").send().await;
            match (reply.status, reply.body["code"].as_str()) {
                (403, Some("impersonated")) => {}
                (401 | 403, _) => unknown.push((name, reply.text)),
                _ => drop(let_in.insert(name.trim_end_matches("_alias").to_owned())),
            }
        }
    }

    assert_eq!(unknown, vec![], "refused for another reason");
    assert_eq!(let_in, MAY.iter().map(|it| (*it).to_owned()).collect());
    assert_eq!(app.profile(&token).await.status, 200, "and none of it ended the session");
}

#[tokio::test]
async fn it_ends_with_the_session_or_the_rights_of_either_within_seconds_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tokens = Vec::new();
    {
        let app = TestApp::on_disk(folder.path(), &[]).await;
        for (way, of_actor) in
            [("logout", true), ("demoted", true), ("disabled", true), ("disabled2", false), ("stays", true)]
        {
            let (actor, actor_token) = app.person(&format!("actor-{way}"), "admin").await;
            let (target, target_token) = app.person(&format!("target-{way}"), "user").await;
            let token = begin(&app, &actor_token, &target).await.str("accessToken");
            assert_eq!(app.profile(&token).await.status, 200, "{way}");
            let whose = if of_actor { &actor } else { &target };
            let patch = |path: &str, body: Value| {
                let path = format!("/api/v1/admin/users/{whose}{path}");
                app.operator(Method::PATCH, &path).json(&body).send()
            };
            let done = match way {
                "logout" => app.ask(Method::POST, "/api/v1/auth/logout").bearer(&actor_token).send().await,
                "demoted" => patch("/role", json!({ "role": "moderator" })).await,
                "disabled" | "disabled2" => patch("", json!({ "disabled": true })).await,
                _ => app.profile(&target_token).await,
            };
            assert!(done.status < 300, "{way}: {done:?}");
            tokens.push((way, token));
        }
        app.advance(5);
        for (way, token) in &tokens {
            assert_eq!(app.profile(token).await.status == 200, *way == "stays", "{way}");
        }
    }
    let app = TestApp::on_disk(folder.path(), &[]).await;
    for (way, token) in &tokens {
        assert_eq!(app.profile(token).await.status == 200, *way == "stays", "{way} after a restart");
    }
}

#[tokio::test]
async fn both_see_the_session_and_either_ends_it() {
    let app = TestApp::with_people().await;
    let sessions = async |who: &str| app.as_role(who, Method::GET, "/api/v1/auth/sessions").send().await.body;
    let admin = app.profile(app.token("admin")).await.str("id");
    for who in ["user", "admin"] {
        let (id, token) = begun(&app).await;
        let find = |list: &Value, member: &str| {
            let found = list["data"].as_array().expect("sessions").iter().find(|it| it.get(member).is_some()).cloned();
            found.unwrap_or_else(|| panic!("{list}"))
        };
        let (of_owner, of_actor) = (sessions("user").await, sessions("admin").await);
        let seen = find(&of_owner, "impersonatedBy");
        assert_eq!((&seen["impersonatedBy"], seen.get("actingAs")), (&json!(admin), None));
        assert_eq!(find(&of_actor, "actingAs")["actingAs"], json!(id));
        assert_eq!(sessions("readonly").await["data"].as_array().map(Vec::len), Some(1), "nobody else sees it");
        let path = format!("/api/v1/auth/sessions/{}", seen["id"].as_str().expect("an id"));
        assert_eq!(app.as_role("readonly", Method::DELETE, &path).send().await.refusal(), (404, "not-found"));

        assert_eq!(app.as_role(who, Method::DELETE, &path).send().await.status, 204, "{who}");

        assert_eq!(app.profile(&token).await.status, 401, "{who}");
        assert_eq!(app.profile(app.token("user")).await.status, 200);
    }
    let (_, token) = begun(&app).await;
    assert_eq!(app.ask(Method::POST, "/api/v1/auth/logout").bearer(&token).send().await.status, 204);
    assert_eq!(app.profile(&token).await.status, 401);
    assert_eq!(app.profile(app.token("admin")).await.status, 200, "the admin's own goes on");
}

/// Who begins them again and again does not fill the disk.
#[tokio::test]
async fn one_account_acts_as_others_in_twenty_sessions_at_most_and_the_oldest_makes_room() {
    let app = TestApp::with_people().await;
    let (id, first) = begun(&app).await;
    let (_, other_admin) = app.person("other", "admin").await;
    let others = begin(&app, &other_admin, &id).await.str("accessToken");
    let mut tokens = Vec::new();
    for _ in 0..19 {
        app.advance(1);
        tokens.push(begun(&app).await.1);
    }
    assert_eq!(app.profile(&first).await.status, 200, "twenty");

    app.advance(1);
    tokens.push(begun(&app).await.1);

    assert_eq!(app.profile(&first).await.refusal(), (401, "token-invalid"));
    for token in tokens.iter().chain([&others]) {
        assert_eq!(app.profile(token).await.status, 200);
    }
    let sessions = app.as_role("admin", Method::GET, "/api/v1/auth/sessions").send().await;
    let acting = sessions.body["data"].as_array().expect("sessions").iter().filter(|it| it.get("actingAs").is_some());
    assert_eq!(acting.count(), 20);
}

/// An owner who looks at it would take it for their own.
#[tokio::test]
async fn what_is_done_as_somebody_else_is_no_use_that_they_made_of_the_server() {
    let app = TestApp::with_people().await;
    let (id, token) = begun(&app).await;
    app.app.requests.flush(&app.app.db, &steading::base::TenantId::main()).await.expect("written");
    let count = async || {
        app.app.requests.flush(&app.app.db, &steading::base::TenantId::main()).await.expect("written");
        let user = app.operator(Method::GET, &format!("/api/v1/users/{id}")).send().await;
        user.body["usageCount"].as_u64().expect("a number")
    };
    let before = count().await;

    for _ in 0..5 {
        assert_eq!(app.profile(&token).await.status, 200);
    }
    assert_eq!(count().await, before);

    assert_eq!(app.profile(app.token("user")).await.status, 200);
    assert_eq!(count().await, before + 1);
}

/// Otherwise whoever looks at an account signs its owner out, or the other way round.
#[tokio::test]
async fn acting_as_somebody_is_none_of_the_sessions_that_they_may_have() {
    let app = TestApp::with_people_and(&[("ACCOUNTS__SESSIONS_PER_ACCOUNT_MAX", "1")]).await;
    let (_, token) = begun(&app).await;
    assert_eq!(app.profile(app.token("user")).await.status, 200);

    assert_eq!(app.login("user@example.com", PASSWORD).await.status, 200);

    assert_eq!(app.profile(&token).await.status, 200, "who acts goes on");
    assert_eq!(app.profile(app.token("user")).await.status, 401);
    assert_eq!(app.profile(app.token("admin")).await.status, 200);
}

#[tokio::test]
async fn the_trail_names_both_and_the_owner_is_told() {
    let post = crate::mail::Post::new().await;
    let app = &post.app;
    let (id, token) = begun(app).await;
    let admin = app.profile(app.token("admin")).await.str("id");
    let notes = json!({ "name": "notes", "fields": [{ "name": "text", "type": "text" }], "options": { "audit": true }, "rules": { "create": "auth.signedIn" } });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&notes).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let path = "/api/v1/collections/notes/records";
    let made = app.ask(Method::POST, path).bearer(&token).json(&json!({})).send().await;
    assert_eq!(made.status, 201, "{made:?}");

    let trail = app.operator(Method::GET, &format!("/api/v1/admin/audit?actor={admin}&limit=2")).send().await;

    let (change, beginning) = (&trail.body["data"][0], &trail.body["data"][1]);
    assert_eq!((&change["action"], &change["actorEmail"]), (&json!("records.create"), &json!("admin@example.com")));
    assert_eq!(change["after"]["actingAs"], json!({ "id": id, "email": "user@example.com" }));
    assert_eq!(change["resourceId"], format!("notes/{}", made.str("id")));
    assert_eq!((&beginning["action"], &beginning["resourceId"]), (&json!("users.impersonate"), &json!(id)));
    assert_eq!(beginning["after"]["reason"], "Ticket 4711");
    let verified = app.operator(Method::POST, "/api/v1/admin/audit/verify").json(&json!({})).send().await;
    assert_eq!((verified.status, &verified.body["isWhole"]), (200, &json!(true)), "{verified:?}");
    post.mail("user@example.com", "impersonated").await;

    let silent = crate::mail::Post::with(&[("ACCOUNTS__TELL_OF_IMPERSONATION", "false")]).await;
    begun(&silent.app).await;
    silent.rest().await;
    assert!(silent.mailbox("user@example.com").await.iter().all(|it| it["template"] != "impersonated"));
}

#[tokio::test]
async fn nobody_acts_as_themselves_as_someone_who_may_more_or_as_nobody() {
    let app = TestApp::with_people().await;
    app.role("keeper", &["users:admin", "records:read"]).await;
    let (keeper, keeper_token) = app.person("keeper", "keeper").await;
    let (disabled, _) = app.person("gone", "readonly").await;
    let path = format!("/api/v1/admin/users/{disabled}");
    app.operator(Method::PATCH, &path).json(&json!({ "disabled": true })).send().await;
    let id = async |who: &str| app.profile(app.token(who)).await.str("id");
    let (admin, user, readonly) = (id("admin").await, id("user").await, id("readonly").await);

    for (target, refusal) in [
        (&admin, (403, "permission-not-held")),
        (&user, (403, "permission-not-held")),
        (&keeper, (409, "impersonation-refused")),
        (&disabled, (409, "impersonation-refused")),
        (&"0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80".to_owned(), (404, "not-found")),
        (&"nobody".to_owned(), (404, "not-found")),
    ] {
        assert_eq!(begin(&app, &keeper_token, target).await.refusal(), refusal, "{target}");
    }
    assert_eq!(begin(&app, app.token("user"), &readonly).await.refusal(), (403, "not-allowed"));
    let session = begin(&app, &keeper_token, &readonly).await;
    assert_eq!(session.status, 201, "{session:?}");
    // What it lets them do never becomes more than the actor may: not by a role that is given more meanwhile.
    let more = json!({ "permissions": ["records:read", "records:write"] });
    app.operator(Method::PATCH, "/api/v1/admin/roles/readonly").json(&more).send().await;
    app.advance(5);
    assert_eq!(app.profile(&session.str("accessToken")).await.status, 401);
    let path = format!("/api/v1/admin/users/{user}/impersonate");
    for body in [json!({}), json!({ "reason": "" }), json!({ "reason": "a\nb" }), json!({ "reason": "x".repeat(501) })]
    {
        assert_eq!(app.as_role("admin", Method::POST, &path).json(&body).send().await.status, 422, "{body}");
    }
    let as_operator = app.operator(Method::POST, &path).json(&json!({ "reason": "x" })).send().await;
    assert_eq!(as_operator.status, 403, "the operator has no session that it could end with");
}

/// A session of the owner's that somebody else began is no way to a refresh token or another password.
#[tokio::test]
async fn changing_the_password_ends_it() {
    let app = TestApp::with_people().await;
    let (_, token) = begun(&app).await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "another horse, another staple" });
    let refused = app.ask(Method::POST, "/api/v1/auth/change-password").bearer(&token).json(&body).send().await;
    assert_eq!(refused.refusal(), (403, "impersonated"), "also not with the password");

    assert_eq!(app.as_role("user", Method::POST, "/api/v1/auth/change-password").json(&body).send().await.status, 204);

    assert_eq!(app.profile(&token).await.status, 401);
}
