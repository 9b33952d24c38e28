//! Roles: what they let people try, who gives them, and that a change is felt.
use futures_util::future::join_all;
use insta::assert_json_snapshot;
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::live::Live;
use crate::support::{PASSWORD, Reply, TestApp};

const ROLES: &str = "/api/v1/admin/roles";

async fn change_role(app: &TestApp, name: &str, body: Value) -> Reply {
    app.operator(Method::PATCH, &format!("{ROLES}/{name}")).json(&body).send().await
}

async fn give(app: &TestApp, token: &str, user: &str, role: &str) -> Reply {
    let path = format!("/api/v1/admin/users/{user}/role");
    app.ask(Method::PATCH, &path).bearer(token).json(&json!({ "role": role })).send().await
}

async fn change(app: &TestApp, token: &str, user: &str, body: Value) -> Reply {
    app.ask(Method::PATCH, &format!("/api/v1/admin/users/{user}")).bearer(token).json(&body).send().await
}

async fn id_of(app: &TestApp, token: &str) -> String {
    app.profile(token).await.str("id")
}

/// A collection with a rule for each right.
async fn collection(app: &TestApp, name: &str, rule: &str) {
    let rules: serde_json::Map<_, _> =
        ["list", "view", "create", "update", "delete"].map(|it| (it.to_owned(), rule.into())).into_iter().collect();
    let body = json!({ "name": name, "fields": [{ "name": "title", "type": "text" }], "rules": rules });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

#[tokio::test]
async fn four_roles_are_there_from_the_beginning() {
    let app = TestApp::new().await;

    let reply = app.operator(Method::GET, ROLES).send().await;

    let told: Vec<_> =
        reply.body["data"].as_array().expect("roles").iter().map(|it| (&it["name"], &it["permissions"])).collect();
    assert_json_snapshot!(told, @r#"
    [
      [
        "admin",
        [
          "*"
        ]
      ],
      [
        "moderator",
        [
          "records:read",
          "records:write",
          "users:read"
        ]
      ],
      [
        "readonly",
        [
          "records:read"
        ]
      ],
      [
        "user",
        [
          "records:read",
          "records:write"
        ]
      ]
    ]
    "#);
}

/// What a feature asks for can be given, and what can be given is asked for.
#[tokio::test]
async fn the_list_of_permissions_is_that_of_the_endpoints() {
    let app = TestApp::new().await;
    let listed = app.operator(Method::GET, "/api/v1/admin/permissions").send().await;
    let listed: std::collections::BTreeSet<String> = listed.body["data"]
        .as_array()
        .expect("permissions")
        .iter()
        .map(|it| it["name"].as_str().expect("a name").to_owned())
        .collect();

    let document = app.openapi().await.to_string();
    let asked: std::collections::BTreeSet<String> = document
        .split("Needs the permission `")
        .skip(1)
        .filter_map(|it| Some(it.split_once('`')?.0.to_owned()))
        .collect();

    let unasked: Vec<_> = listed.difference(&asked).map(String::as_str).collect();
    assert_eq!((unasked, asked.difference(&listed).next()), (Vec::<&str>::new(), None));
}

#[tokio::test]
async fn a_role_of_ones_own_lets_people_do_just_what_it_says() {
    let app = TestApp::with_people().await;
    app.role("clerk", &["users:read", "collections:read"]).await;
    let (_, clerk) = app.person("clerk", "clerk").await;

    let profile = app.profile(&clerk).await;
    assert_eq!(
        (profile.str("role"), &profile.body["permissions"]),
        ("clerk".to_owned(), &json!(["collections:read", "users:read"]))
    );
    for (path, status) in [("/api/v1/admin/users", 200), ("/api/v1/collections", 200), (ROLES, 403)] {
        assert_eq!(app.ask(Method::GET, path).bearer(&clerk).send().await.status, status, "{path}");
    }
    collection(&app, "posts", "true").await;
    let reply = app.ask(Method::GET, "/api/v1/collections/posts/records").bearer(&clerk).send().await;
    assert_eq!(reply.refusal(), (403, "not-allowed"));
}

#[tokio::test]
async fn what_is_wrong_with_a_role_is_told_at_its_place() {
    let app = TestApp::new().await;
    let make = |body: Value| app.operator(Method::POST, ROLES).json(&body).send();

    let reply =
        make(json!({ "name": "clerk", "permissions": ["records:read", "nothing:read", "records", "users/ada:read"] }))
            .await;
    assert_eq!(reply.refusal(), (422, "validation-failed"));
    let pointers: Vec<_> = reply.body["errors"].as_array().expect("faults").iter().map(|it| &it["pointer"]).collect();
    assert_eq!(pointers, ["/permissions/1", "/permissions/2", "/permissions/3"]);
    for name in ["", "Clerk", "1st", "operator", "stranger", "a b", &"x".repeat(41)] {
        let reply = make(json!({ "name": name, "permissions": [] })).await;
        assert_eq!(reply.refusal(), (422, "validation-failed"), "{name:?}");
        assert_eq!(reply.body["errors"][0]["pointer"], "/name", "{name:?}");
    }
    app.role("clerk", &[]).await;
    assert_eq!(make(json!({ "name": "clerk", "permissions": [] })).await.refusal(), (409, "role-name-taken"));
    let missing = app.operator(Method::POST, "/api/v1/admin/users");
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "role": "hero" });
    let reply = missing.json(&body).send().await;
    assert_eq!(
        (reply.refusal(), reply.body["errors"][0]["pointer"].as_str()),
        ((422, "validation-failed"), Some("/role"))
    );
}

#[tokio::test]
async fn the_roles_from_the_beginning_stay_and_admin_stays_as_it_is() {
    let app = TestApp::new().await;
    for name in ["admin", "moderator", "user", "readonly"] {
        let reply = app.operator(Method::DELETE, &format!("{ROLES}/{name}")).send().await;
        assert_eq!(reply.refusal(), (409, "role-built-in"), "{name}");
    }

    assert_eq!(
        change_role(&app, "admin", json!({ "permissions": ["records:read"] })).await.refusal(),
        (409, "role-built-in")
    );
    let changed = change_role(&app, "moderator", json!({ "permissions": ["records:read"] })).await;
    assert_eq!((changed.status, &changed.body["permissions"]), (200, &json!(["records:read"])));
}

#[tokio::test]
async fn a_role_that_people_have_is_not_dropped() {
    let app = TestApp::with_people().await;
    app.role("clerk", &[]).await;
    let (id, _) = app.person("clerk", "clerk").await;
    let drop = || app.operator(Method::DELETE, &format!("{ROLES}/clerk")).send();

    let refused = drop().await;
    assert_eq!((refused.refusal(), refused.body["users"].as_u64()), ((409, "role-in-use"), Some(1)));
    give(&app, app.token("admin"), &id, "readonly").await;

    assert_eq!(drop().await.status, 204);
    assert_eq!(drop().await.refusal(), (404, "not-found"));
}

#[tokio::test]
async fn a_role_is_changed_as_it_was_read_or_not_at_all() {
    let app = TestApp::new().await;
    app.role("clerk", &["records:read"]).await;
    let patch = |tag: &str| {
        let body = json!({ "permissions": ["records:write"], "description": "Writes." });
        app.operator(Method::PATCH, &format!("{ROLES}/clerk")).header("if-match", tag).json(&body).send()
    };

    let changed = patch("\"1\"").await;
    assert_eq!((changed.status, changed.version(), changed.str("description")), (200, Some(2), "Writes.".to_owned()));
    assert_eq!(patch("\"1\"").await.refusal(), (412, "stale-version"));
    let deleted = app.operator(Method::DELETE, &format!("{ROLES}/clerk")).header("if-match", "\"1\"").send().await;
    assert_eq!(deleted.refusal(), (412, "stale-version"));
}

/// Otherwise one small permission would lead to all others.
#[tokio::test]
async fn nobody_gives_what_they_do_not_have() {
    let app = TestApp::with_people().await;
    app.role("staff", &["users:admin", "roles:write", "records:read"]).await;
    let (staff_id, staff) = app.person("staff", "staff").await;
    let (someone, _) = app.person("someone", "readonly").await;
    let refused = (403, "permission-not-held");

    for role in ["admin", "user"] {
        assert_eq!(give(&app, &staff, &staff_id, role).await.refusal(), refused, "{role}");
        assert_eq!(give(&app, &staff, &someone, role).await.refusal(), refused, "{role}");
        let body = json!({ "email": "new@example.com", "password": PASSWORD, "role": role });
        let made = app.ask(Method::POST, "/api/v1/admin/users").bearer(&staff).json(&body).send().await;
        assert_eq!(made.refusal(), refused, "{role}");
    }
    for permissions in [json!(["*"]), json!(["records:write"]), json!(["records/posts:write"])] {
        let body = json!({ "name": "more", "permissions": permissions });
        let made = app.ask(Method::POST, ROLES).bearer(&staff).json(&body).send().await;
        assert_eq!(made.refusal(), refused, "{permissions}");
        let own = app.ask(Method::PATCH, &format!("{ROLES}/staff")).bearer(&staff);
        assert_eq!(own.json(&json!({ "permissions": permissions })).send().await.refusal(), refused, "{permissions}");
    }
    let link = app.ask(Method::POST, "/api/v1/admin/setup-links").bearer(&staff).send().await;
    assert_eq!(link.refusal(), refused, "a link makes an admin");

    assert_eq!(give(&app, &staff, &someone, "staff").await.status, 200, "what they have they may give");
}

/// Nor do they take away from those who may more.
#[tokio::test]
async fn nobody_changes_the_account_or_the_role_of_someone_who_may_more() {
    let app = TestApp::with_people().await;
    app.role("staff", &["users:write", "roles:write", "records:read"]).await;
    let (_, staff) = app.person("staff", "staff").await;
    let user = id_of(&app, app.token("user")).await;
    let refused = (403, "permission-not-held");

    assert_eq!(change(&app, &staff, &user, json!({ "disabled": true })).await.refusal(), refused);
    assert_eq!(give(&app, &staff, &user, "readonly").await.refusal(), refused);
    let weaker = app.ask(Method::PATCH, &format!("{ROLES}/user")).bearer(&staff).json(&json!({ "permissions": [] }));
    assert_eq!(weaker.send().await.refusal(), refused);
    let readonly = id_of(&app, app.token("readonly")).await;
    assert_eq!(change(&app, &staff, &readonly, json!({ "disabled": true })).await.status, 200);
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_and_is_told_nothing() {
    let app = TestApp::with_people().await;
    let signed_in = app.login("user@example.com", PASSWORD).await;
    let (token, refresh) = (signed_in.str("accessToken"), signed_in.str("refreshToken"));
    let user = id_of(&app, &token).await;
    assert_eq!(app.profile(&token).await.status, 200);

    let disabled = change(&app, app.token("admin"), &user, json!({ "disabled": true })).await;

    assert_eq!((disabled.status, disabled.body["disabledAt"].is_string()), (200, true));
    assert_eq!(app.profile(&token).await.refusal(), (401, "token-invalid"));
    assert_eq!(app.refresh(&refresh).await.refusal(), (401, "token-invalid"));
    let (known, unknown) =
        (app.login("user@example.com", PASSWORD).await, app.login("nobody@example.com", PASSWORD).await);
    assert_eq!(known.refusal(), (401, "wrong-credentials"));
    assert_eq!((&known.body["detail"], &known.body["title"]), (&unknown.body["detail"], &unknown.body["title"]));

    let enabled = change(&app, app.token("admin"), &user, json!({ "disabled": false })).await;
    assert_eq!((enabled.status, enabled.body.get("disabledAt")), (200, None));
    assert_eq!(app.login("user@example.com", PASSWORD).await.status, 200);
    assert_eq!(app.profile(&token).await.status, 401, "what ended stays ended");
}

/// Also if two of them take it from each other at the same time.
#[tokio::test]
async fn of_fifty_admins_who_demote_or_disable_one_another_at_once_one_stays() {
    for disables in [false, true] {
        let app = TestApp::new().await;
        let mut admins = Vec::new();
        for n in 0..50 {
            admins.push(app.person(&format!("admin{n}"), "admin").await);
        }
        let replies = join_all((0..50).map(|n| {
            let ((_, token), (id, _)) = (&admins[n], &admins[(n + 1) % 50]);
            let app = &app;
            async move {
                if disables {
                    change(app, token, id, json!({ "disabled": true })).await
                } else {
                    give(app, token, id, "user").await
                }
            }
        }))
        .await;

        let statuses: Vec<_> = replies.iter().map(|it| it.status).collect();
        assert!(statuses.iter().all(|it| [200, 401, 403, 409].contains(it)), "{statuses:?}");
        let role = app.operator(Method::GET, &format!("{ROLES}/admin")).send().await;
        let list = app.operator(Method::GET, "/api/v1/admin/users?limit=500").send().await;
        let left = list.body["data"].as_array().expect("accounts").iter();
        let left = left.filter(|it| it["role"] == "admin" && it.get("disabledAt").is_none()).count();
        assert!(0 < left, "{statuses:?} {role:?}");
    }
}

#[tokio::test]
async fn the_last_admin_stays_one() {
    let app = TestApp::with_people().await;
    let admin = id_of(&app, app.token("admin")).await;
    let refused = (409, "last-admin");

    assert_eq!(give(&app, app.token("admin"), &admin, "user").await.refusal(), refused);
    assert_eq!(change(&app, app.token("admin"), &admin, json!({ "disabled": true })).await.refusal(), refused);
    assert_eq!(change(&app, app.token("admin"), &admin, json!({ "tier": "gold" })).await.status, 200);

    // Someone who cannot sign in is not one who could.
    let (other, _) = app.person("other", "admin").await;
    change(&app, app.token("admin"), &other, json!({ "disabled": true })).await;
    assert_eq!(give(&app, app.token("admin"), &admin, "user").await.refusal(), refused);
    change(&app, app.token("admin"), &other, json!({ "disabled": false })).await;
    assert_eq!(give(&app, app.token("admin"), &admin, "user").await.status, 200);
}

#[tokio::test]
async fn a_change_of_role_is_felt_with_the_next_request() {
    let app = TestApp::with_people().await;
    let token = app.token("user");
    let user = id_of(&app, token).await;
    let users = || app.ask(Method::GET, "/api/v1/admin/users").bearer(token).send();
    assert_eq!(users().await.status, 403);

    give(&app, app.token("admin"), &user, "moderator").await;
    assert_eq!(users().await.status, 200);
    change_role(&app, "moderator", json!({ "permissions": ["records:read"] })).await;
    assert_eq!(users().await.status, 403);
    change_role(&app, "moderator", json!({ "permissions": ["users:read"] })).await;
    assert_eq!(users().await.status, 200);
}

/// Nobody signs in to be a stranger, but somebody decides what strangers may try.
#[tokio::test]
async fn strangers_may_try_with_records_what_users_may_and_nothing_else() {
    let app = TestApp::with_people().await;
    collection(&app, "posts", "true").await;
    collection(&app, "closed", "false").await;
    let list = |name: &str| {
        let path = format!("/api/v1/collections/{name}/records");
        let app = &app;
        async move { app.ask(Method::GET, &path).send().await }
    };
    assert_eq!(list("posts").await.status, 200);

    change_role(&app, "user", json!({ "permissions": ["records:admin", "users:read"] })).await;
    assert_eq!(list("posts").await.status, 200);
    assert_eq!(app.ask(Method::GET, "/api/v1/admin/users").send().await.refusal(), (401, "not-signed-in"));
    let body = json!({ "title": "x" });
    let made = app.ask(Method::POST, "/api/v1/collections/closed/records").json(&body).send().await;
    assert_eq!(made.refusal(), (403, "rule-denied"), "the rules still count");

    change_role(&app, "user", json!({ "permissions": ["users:read"] })).await;
    assert_eq!(list("posts").await.refusal(), (401, "not-signed-in"));
}

#[tokio::test]
async fn a_rule_may_ask_for_the_tier_and_for_a_role_of_ones_own() {
    let app = TestApp::with_people().await;
    app.role("editor", &["records:write"]).await;
    collection(&app, "gold", "auth.tier == 'gold'").await;
    collection(&app, "edited", "auth.role == 'editor'").await;
    let (editor, token) = app.person("editor", "editor").await;
    let make = |name: &str| {
        let path = format!("/api/v1/collections/{name}/records");
        let (app, token) = (&app, &token);
        async move { app.ask(Method::POST, &path).bearer(token).json(&json!({ "title": "x" })).send().await.status }
    };

    assert_eq!((make("gold").await, make("edited").await), (403, 201));
    let changed = change(&app, app.token("admin"), &editor, json!({ "tier": "gold" })).await;
    assert_eq!((changed.status, changed.str("tier")), (200, "gold".to_owned()));
    assert_eq!(make("gold").await, 201);
    change(&app, app.token("admin"), &editor, json!({ "tier": null })).await;
    assert_eq!(make("gold").await, 403);
    let wrong = change(&app, app.token("admin"), &editor, json!({ "tier": "Not a word" })).await;
    assert_eq!((wrong.status, wrong.body["errors"][0]["pointer"].as_str()), (422, Some("/tier")));
}

/// What is open must not outlive what it was opened with.
#[tokio::test]
async fn live_connections_end_with_the_account_the_role_and_what_the_role_lets_people_do() {
    let live = Live::start().await;
    live.collection(&json!({ "name": "posts", "fields": [{ "name": "title", "type": "text" }], "rules": { "list": "true", "view": "true" } })).await;
    let app = &live.app;
    app.role("editor", &["records:read"]).await;
    for deed in ["disabled", "role", "permissions"] {
        let (id, token) = app.person(deed, "editor").await;
        let mut socket = live.try_socket(Some(&token)).await.expect("a socket");
        socket.subscribe("collections/posts").await;

        match deed {
            "disabled" => change(app, app.token("admin"), &id, json!({ "disabled": true })).await,
            "role" => give(app, app.token("admin"), &id, "readonly").await,
            _ => change_role(app, "editor", json!({ "permissions": ["records:write"] })).await,
        };

        assert_eq!(socket.closed().await, 4401, "{deed}");
    }
}

/// Two collections, of which one refers to the other, with a field that only admins see.
async fn linked(app: &TestApp) -> String {
    let rules = json!({ "list": "true", "view": "true", "create": "true", "update": "true", "delete": null });
    let title = json!({ "name": "title", "type": "text" });
    let note = json!({ "name": "note", "type": "text", "hidden": true });
    for (name, fields) in [
        ("authors", vec![title.clone(), note.clone()]),
        ("posts", vec![title, note, json!({ "name": "author", "type": "relation", "collection": "authors" })]),
    ] {
        let body = json!({ "name": name, "fields": fields, "rules": rules });
        let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let make = |name: &str, body: Value| {
        let path = format!("/api/v1/collections/{name}/records");
        async move { app.operator(Method::POST, &path).json(&body).send().await.str("id") }
    };
    let author = make("authors", json!({ "title": "Ada", "note": "secret" })).await;
    make("posts", json!({ "title": "First", "note": "secret", "author": author })).await;
    author
}

/// Otherwise it would open the next collection of the old name.
#[tokio::test]
async fn a_permission_for_one_collection_follows_it_to_a_new_name() {
    let app = TestApp::new().await;
    collection(&app, "posts", "true").await;
    app.role("reader", &["records/posts:read", "records/others:read"]).await;
    let body = json!({ "name": "program", "scopes": ["records/posts:write"] });
    let key = app.operator(Method::POST, "/api/v1/admin/keys").json(&body).send().await;
    assert_eq!(key.status, 201, "{key:?}");
    let (_, token) = app.person("reader", "reader").await;
    let ask = |name: &str| app.ask(Method::GET, &format!("/api/v1/collections/{name}/records"));
    for ask in [ask("posts").bearer(&token), ask("posts").header("x-api-key", &key.str("secret"))] {
        assert_eq!(ask.send().await.status, 200, "and is remembered");
    }

    let renamed = app.operator(Method::PATCH, "/api/v1/collections/posts").json(&json!({ "name": "articles" })).send();
    assert_eq!(renamed.await.status, 200);
    collection(&app, "posts", "true").await;

    let role = app.operator(Method::GET, &format!("{ROLES}/reader")).send().await;
    assert_eq!(role.body["permissions"], json!(["records/others:read", "records/articles:read"]));
    for (name, status) in [("articles", 200), ("posts", 403)] {
        assert_eq!(ask(name).bearer(&token).send().await.status, status, "{name}");
        let by_key = ask(name).header("x-api-key", &key.str("secret")).send().await;
        assert_eq!(by_key.status, status, "{name}: {by_key:?}");
    }
}

#[tokio::test]
async fn a_permission_for_one_collection_opens_no_other_by_any_way() {
    let app = TestApp::new().await;
    let author = linked(&app).await;
    app.role("reader", &["records/posts:write"]).await;
    let (_, token) = app.person("reader", "reader").await;
    let ask = |method: Method, path: &str| app.ask(method, &format!("/api/v1{path}")).bearer(&token);
    let get = |path: &str| ask(Method::GET, path).send();

    let list = get("/collections/posts/records?expand=author").await;
    assert_eq!((list.status, &list.body["data"][0]["author"]), (200, &json!(author)));
    assert_eq!(list.body["data"][0]["expand"]["author"], Value::Null, "{list:?}");
    assert_eq!(get("/collections/posts/records?filter=author.title%20%3D%3D%20'Ada'").await.body["data"], json!([]));
    assert_eq!(get("/collections/posts/records?where[author.title]=Ada").await.body["data"], json!([]));
    for path in [
        "/collections/authors/records".to_owned(),
        format!("/collections/authors/records/{author}"),
        "/collections/authors/records/export".to_owned(),
        "/collections/authors/aggregate?metrics=count".to_owned(),
        "/collections/authors/schema".to_owned(),
    ] {
        assert_eq!(get(&path).await.refusal(), (403, "not-allowed"), "{path}");
    }
    let back = get("/collections/posts/records?expand=author.posts_via_author").await;
    assert_eq!(back.body["data"][0]["expand"]["author"], Value::Null);

    // What they may not read they cannot refer to either, which would tell whether it is there.
    let made =
        ask(Method::POST, "/collections/posts/records").json(&json!({ "title": "x", "author": author })).send().await;
    assert_eq!((made.status, made.body["errors"][0]["pointer"].as_str()), (422, Some("/author")), "{made:?}");
    let operations = json!({ "operations": [
        { "method": "POST", "path": "/collections/posts/records", "body": { "title": "y" } },
        { "method": "POST", "path": "/collections/authors/records", "body": { "title": "y" } },
        { "method": "GET", "path": format!("/collections/authors/records/{author}") },
    ]});
    let batch = ask(Method::POST, "/batch").json(&operations).send().await;
    let statuses: Vec<_> = batch.body["results"].as_array().expect("results").iter().map(|it| &it["status"]).collect();
    assert_eq!(statuses, [201, 403, 403]);
}

/// Rules of other collections count for them, and what is hidden there stays so.
#[tokio::test]
async fn an_admin_of_one_collection_is_none_of_the_others() {
    let app = TestApp::new().await;
    let author = linked(&app).await;
    app.role("keeper", &["records/posts:admin", "records/authors:read"]).await;
    let (_, token) = app.person("keeper", "keeper").await;
    let ask = |method: Method, path: &str| app.ask(method, &format!("/api/v1{path}")).bearer(&token);
    let get = |path: &str| ask(Method::GET, path).send();

    let list = get("/collections/posts/records?expand=author").await;
    let post = &list.body["data"][0];
    assert_eq!((&post["note"], &post["expand"]["author"]["title"]), (&json!("secret"), &json!("Ada")));
    assert_eq!(post["expand"]["author"].get("note"), None);
    assert_eq!(get("/collections/posts/records?filter=note%20%3D%3D%20'secret'").await.status, 200);
    assert_eq!(get("/collections/posts/records?filter=author.note%20%3D%3D%20'secret'").await.refusal().0, 422);
    assert_eq!(get("/collections/posts/records?sort=author.note").await.refusal().0, 422);
    assert_eq!(get(&format!("/collections/authors/records/{author}")).await.body.get("note"), None);
    let id = post["id"].as_str().expect("an id");
    let delete = |path: String| ask(Method::DELETE, &path).send();
    assert_eq!(delete(format!("/collections/authors/records/{author}")).await.refusal().0, 403);
    assert_eq!(delete(format!("/collections/posts/records/{id}")).await.status, 204);
    assert_eq!(ask(Method::POST, "/collections/posts/truncate").send().await.status, 200);
    assert_eq!(ask(Method::POST, "/collections/authors/truncate").send().await.refusal().0, 403);
}

#[tokio::test]
async fn live_updates_of_a_collection_need_its_permission() {
    let live = Live::start().await;
    linked(&live.app).await;
    live.app.role("reader", &["records/posts:read"]).await;
    let (_, token) = live.app.person("reader", "reader").await;
    let mut socket = live.try_socket(Some(&token)).await.expect("a socket");

    socket.subscribe("collections/posts").await;
    socket.say(&json!({ "subscribe": "collections/authors" })).await;
    let refused = socket.hear().await;
    assert_eq!(refused["problem"]["code"], "not-allowed", "{refused}");
}

async fn role(app: &TestApp, name: &str, permissions: &[&str], inherits: &[&str]) -> Reply {
    let body = json!({ "name": name, "permissions": permissions, "inherits": inherits });
    app.operator(Method::POST, ROLES).json(&body).send().await
}

#[tokio::test]
async fn a_role_has_what_it_inherits_and_what_comes_to_that_later() {
    let app = TestApp::with_people().await;
    assert_eq!(role(&app, "clerk", &["users:read"], &[]).await.status, 201);
    let made = role(&app, "head", &["roles:read"], &["clerk", "readonly", "clerk"]).await;
    assert_eq!(
        role(&app, "chief", &[], &["head"]).await.body["effectivePermissions"],
        json!(["records:read", "roles:read", "users:read"])
    );
    assert_eq!(
        (made.status, &made.body["inherits"], &made.body["permissions"]),
        (201, &json!(["clerk", "readonly"]), &json!(["roles:read"]))
    );
    let (_, chief) = app.person("chief", "chief").await;
    let get = |path: &'static str| app.ask(Method::GET, path).bearer(&chief).send();
    assert_eq!((get("/api/v1/admin/users").await.status, get(ROLES).await.status), (200, 200));
    let before = get("/api/v1/admin/roles/chief").await.version();

    // Two steps away, felt with the next request.
    assert_eq!(change_role(&app, "clerk", json!({ "permissions": ["jobs:read"] })).await.status, 200);
    assert_eq!(get("/api/v1/admin/users").await.status, 403);
    assert_eq!(get("/api/v1/admin/jobs").await.status, 200);
    let shown = get("/api/v1/admin/roles/chief").await;
    assert_eq!(shown.body["effectivePermissions"], json!(["jobs:read", "records:read", "roles:read"]));
    assert_ne!(shown.version(), before, "the tag is of what is shown");

    let own = change_role(&app, "head", json!({ "inherits": [] })).await;
    assert_eq!((&own.body["effectivePermissions"], own.status), (&json!(["roles:read"]), 200));
    assert_eq!((get("/api/v1/admin/jobs").await.status, get(ROLES).await.status), (403, 200));
    assert_eq!(change_role(&app, "head", json!({ "permissions": [] })).await.status, 200);
    assert_eq!(get(ROLES).await.status, 403);
}

#[tokio::test]
async fn inheritance_gives_nobody_more_than_its_maker_has_and_admin_inherits_nothing() {
    let app = TestApp::with_people().await;
    app.role("staff", &["roles:write", "users:read"]).await;
    let (_, staff) = app.person("staff", "staff").await;
    let refused = (403, "permission-not-held");
    let make = |name: &'static str, inherits: Value| {
        let body = json!({ "name": name, "permissions": ["users:read"], "inherits": inherits });
        app.ask(Method::POST, ROLES).bearer(&staff).json(&body).send()
    };

    assert_eq!(make("boss", json!(["admin"])).await.refusal(), refused);
    assert_eq!(make("reader", json!(["readonly"])).await.refusal(), refused);
    assert_eq!(make("more", json!(["staff"])).await.status, 201);
    let patch = app.ask(Method::PATCH, &format!("{ROLES}/more")).bearer(&staff);
    assert_eq!(patch.json(&json!({ "inherits": ["staff", "admin"] })).send().await.refusal(), refused);
    assert_eq!(change_role(&app, "admin", json!({ "inherits": ["user"] })).await.refusal(), (409, "role-built-in"));
    // A role that inherits from `admin` may everything, and is changed by those alone who may that.
    assert_eq!(role(&app, "boss", &[], &["admin"]).await.body["effectivePermissions"], json!(["*"]));
    let patch = app.ask(Method::PATCH, &format!("{ROLES}/boss")).bearer(&staff);
    assert_eq!(patch.json(&json!({ "inherits": [] })).send().await.refusal(), refused);
}

/// What such a role may is what makes a password worth guessing.
#[tokio::test]
async fn whoever_may_everything_needs_an_admins_password() {
    let app = TestApp::with_people().await;
    assert_eq!(role(&app, "owners", &[], &["admin"]).await.status, 201);
    assert_eq!(role(&app, "helpers", &["users:read"], &[]).await.status, 201);
    let add = async |role: &str, password: &str| {
        let body = json!({ "email": format!("{role}@example.com"), "password": password, "role": role });
        app.operator(Method::POST, "/api/v1/admin/users").json(&body).send().await
    };

    for role in ["owners", "admin"] {
        let refused = add(role, "kQ7-zebra-tau").await;
        assert_eq!(refused.refusal(), (422, "validation-failed"), "{refused:?}");
        assert_eq!(refused.body["errors"][0]["pointer"], "/password");
    }
    assert_eq!(add("helpers", "kQ7-zebra-tau").await.status, 201);
    assert_eq!(add("owners", "kQ7-zebra-tau-Lumen").await.status, 201);
}

#[tokio::test]
async fn circles_of_roles_are_refused_also_by_two_at_once_and_a_parent_is_not_dropped() {
    let app = TestApp::new().await;
    for (name, inherits) in [("one", &[][..]), ("two", &["one"]), ("three", &["two"])] {
        assert_eq!(role(&app, name, &[], inherits).await.status, 201);
    }
    let fault = |reply: &Reply| {
        (reply.status, reply.body["errors"][0]["pointer"].clone(), reply.body["errors"][0]["code"].clone())
    };

    let circle = change_role(&app, "one", json!({ "inherits": ["readonly", "three"] })).await;
    assert_eq!(fault(&circle), (422, json!("/inherits/1"), json!("cycle")));
    assert_eq!(
        fault(&change_role(&app, "one", json!({ "inherits": ["one"] })).await),
        (422, json!("/inherits/0"), json!("cycle"))
    );
    assert_eq!(fault(&role(&app, "four", &[], &["nobody"]).await), (422, json!("/inherits/0"), json!("unknown")));
    assert_eq!(role(&app, "four", &[], &["one"; 11]).await.status, 422);
    let drop = app.operator(Method::DELETE, &format!("{ROLES}/one")).send().await;
    assert_eq!((drop.refusal(), drop.str("detail").contains("`two`")), ((409, "role-in-use"), true));

    for name in ["left", "right"] {
        assert_eq!(role(&app, name, &[], &[]).await.status, 201);
    }
    let both =
        [("left", "right"), ("right", "left")].map(|(of, from)| change_role(&app, of, json!({ "inherits": [from] })));
    let mut answers: Vec<_> = join_all(both).await.into_iter().map(|it| it.status).collect();
    answers.sort_unstable();
    assert_eq!(answers, [200, 422]);
}

#[tokio::test]
async fn what_a_role_inherits_for_a_collection_follows_it_to_a_new_name() {
    let app = TestApp::with_people().await;
    collection(&app, "posts", "auth.id == 'nobody'").await;
    assert_eq!(role(&app, "keeper", &["records/posts:admin"], &[]).await.status, 201);
    assert_eq!(role(&app, "chief", &[], &["keeper"]).await.status, 201);
    let (_, chief) = app.person("chief", "chief").await;

    let renamed =
        app.operator(Method::PATCH, "/api/v1/collections/posts").json(&json!({ "name": "articles" })).send().await;
    assert_eq!(renamed.status, 200, "{renamed:?}");

    for name in ["keeper", "chief"] {
        let shown = app.operator(Method::GET, &format!("{ROLES}/{name}")).send().await;
        assert_eq!(shown.body["effectivePermissions"], json!(["records/articles:admin"]), "{name}");
    }
    let body = json!({ "title": "x" });
    let made = app.ask(Method::POST, "/api/v1/collections/articles/records").bearer(&chief).json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    // Worked out anew, it is still the new name.
    assert_eq!(
        change_role(&app, "keeper", json!({ "description": "Keeps." })).await.body["permissions"],
        json!(["records/articles:admin"])
    );
}

/// Rules may ask for a role by its name, which whoever drops it could have anew.
#[tokio::test]
async fn nobody_drops_a_role_that_may_more_than_they_do_or_changes_it_by_what_it_inherits() {
    let app = TestApp::with_people().await;
    app.role("keeper", &["roles:write", "records:read"]).await;
    let (_, keeper) = app.person("keeper", "keeper").await;
    assert_eq!(role(&app, "base", &["records:read"], &[]).await.status, 201);
    assert_eq!(role(&app, "auditor", &["audit:read"], &["base"]).await.status, 201);
    assert_eq!(role(&app, "clerk", &["records:read"], &[]).await.status, 201);
    let as_keeper = |method, name: &str| app.ask(method, &format!("{ROLES}/{name}")).bearer(&keeper);

    assert_eq!(as_keeper(Method::DELETE, "auditor").send().await.refusal(), (403, "permission-not-held"));
    let lowered = as_keeper(Method::PATCH, "base").json(&json!({ "permissions": [] })).send().await;
    assert_eq!(lowered.refusal(), (403, "permission-not-held"));
    let told = as_keeper(Method::PATCH, "base").json(&json!({ "description": "Reads." })).send().await;
    assert_eq!((told.status, as_keeper(Method::DELETE, "clerk").send().await.status), (200, 204));
    let felt = change_role(&app, "base", json!({ "permissions": ["records:write"] })).await;
    assert_eq!(felt.status, 200);
    let trail = app.operator(Method::GET, "/api/v1/admin/audit?action=roles.change&limit=1").send().await;
    assert_eq!(trail.body["data"][0]["after"]["feltBy"], json!(["auditor"]), "{trail:?}");
}
