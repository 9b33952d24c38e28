//! Accounts that go: into the bin, back out of it, and for good.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};
use steading::base::TenantId;

use crate::support::live::Live;
use crate::support::{PASSWORD, Reply, TestApp};

const NOBODY: &str = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";
const DAY: u64 = 24 * 3_600;

async fn admin(app: &TestApp, method: Method, path: &str) -> Reply {
    app.as_role("admin", method, path).send().await
}

async fn delete(app: &TestApp, id: &str) {
    let gone = app.operator(Method::DELETE, &format!("/api/v1/users/{id}")).send().await;
    assert_eq!(gone.status, 204, "{gone:?}");
}

async fn purge(app: &TestApp, id: &str) -> Reply {
    app.operator(Method::POST, &format!("/api/v1/users/{id}/purge")).send().await
}

async fn emails(app: &TestApp, query: &str) -> Vec<String> {
    let list = app.operator(Method::GET, &format!("/api/v1/users{query}")).send().await;
    let data = list.body["data"].as_array().unwrap_or_else(|| panic!("{list:?}")).iter();
    data.map(|it| it["email"].as_str().expect("an address").to_owned()).collect()
}

/// The same but for the request that it is about.
fn words(reply: &Reply) -> (u16, Value) {
    let mut body = reply.body.clone();
    body["instance"] = Value::Null;
    (reply.status, body)
}

#[tokio::test]
async fn a_deleted_account_lets_nobody_in_and_is_told_like_one_that_never_was() {
    let app = TestApp::with_people().await;
    let (id, token) = app.person("ada", "user").await;
    let refresh = app.login("ada@example.com", PASSWORD).await.str("refreshToken");
    let key = json!({ "name": "k", "scopes": ["records:read"], "owner": id });
    let key = app.operator(Method::POST, "/api/v1/admin/keys").json(&key).send().await.str("secret");
    let with_key = || app.ask(Method::GET, "/api/v1/collections/posts/records").bearer(&key).send();
    assert_eq!(with_key().await.status, 404, "it is let in");

    delete(&app, &id).await;

    assert_eq!(app.profile(&token).await.refusal(), (401, "token-invalid"));
    assert_eq!(app.refresh(&refresh).await.refusal(), (401, "token-invalid"));
    assert_eq!(with_key().await.refusal(), (401, "api-key-invalid"));
    let login = app.login("ada@example.com", PASSWORD).await;
    assert_eq!(words(&login), words(&app.login("nobody@example.com", PASSWORD).await));
    let show = admin(&app, Method::GET, &format!("/api/v1/users/{id}")).await;
    assert_eq!(words(&show), words(&admin(&app, Method::GET, &format!("/api/v1/users/{NOBODY}")).await));
    for (method, path) in [
        (Method::DELETE, format!("/api/v1/users/{id}")),
        (Method::PATCH, format!("/api/v1/users/{id}/profile")),
        (Method::PATCH, format!("/api/v1/admin/users/{id}")),
        (Method::DELETE, format!("/api/v1/admin/users/{id}/2fa")),
    ] {
        let reply = app.as_role("admin", method, &path).json(&json!({ "name": "x" })).send().await;
        assert_eq!(reply.refusal(), (404, "not-found"), "{path}");
    }
}

#[tokio::test]
async fn the_bin_is_in_no_list_that_does_not_ask_for_it_and_its_addresses_stay_taken() {
    let app = TestApp::with_people().await;
    let (id, _) = app.person("ada", "user").await;
    delete(&app, &id).await;

    assert!(!emails(&app, "").await.contains(&"ada@example.com".to_owned()));
    assert_eq!(emails(&app, "/search?q=ada").await, Vec::<String>::new());
    assert_eq!(emails(&app, "/search?q=ada&trashed=with").await, ["ada@example.com"]);
    assert_eq!(emails(&app, "?trashed=only").await, ["ada@example.com"]);
    assert_eq!(emails(&app, "?trashed=with").await.len(), 4);
    let bin = admin(&app, Method::GET, "/api/v1/users?trashed=only&count=exact").await;
    assert_eq!(
        (&bin.body["meta"]["total"], &bin.body["data"][0]["deletedAt"]),
        (&json!(1), &json!("2026-01-02T03:04:05.678Z"))
    );
    assert_eq!(app.register("ada@example.com").await.refusal(), (409, "email-taken"));
}

/// Whoever finds an open session must not delete the account behind it.
#[tokio::test]
async fn people_delete_their_own_account_with_their_password() {
    let app = TestApp::with_people().await;
    let ask = |body: Value| app.as_role("user", Method::DELETE, "/api/v1/auth/profile").json(&body).send();

    let nothing = ask(json!({})).await;
    assert_eq!(nothing.body["errors"][0]["pointer"], "/password");
    let wrong = ask(json!({ "password": "something else" })).await;
    assert_eq!((wrong.refusal(), &wrong.body["errors"][0]["code"]), ((422, "validation-failed"), &json!("wrong")));
    let typed = ask(json!({ "password": [PASSWORD], "code": 7, "id": NOBODY })).await;
    assert_eq!(typed.body["errors"].as_array().map(Vec::len), Some(3), "{typed:?}");
    assert_eq!(app.profile(app.token("user")).await.status, 200);

    assert_eq!(ask(json!({ "password": PASSWORD })).await.status, 204);
    assert_eq!(app.profile(app.token("user")).await.status, 401);
    assert_eq!(app.login("user@example.com", PASSWORD).await.status, 401);
    let trail = admin(&app, Method::GET, "/api/v1/admin/audit?action=users.delete").await;
    assert_eq!(
        (&trail.body["data"][0]["actorEmail"], &trail.body["data"][0]["before"]["email"]),
        (&json!("user@example.com"), &json!("user@example.com"))
    );
}

/// Guessing a password here is guessing it.
#[tokio::test]
async fn wrong_passwords_for_deleting_oneself_are_counted() {
    let app = TestApp::with_people_and(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ACCOUNT_MAX", "3")]).await;
    let ask = |password: &str| {
        let body = json!({ "password": password });
        app.as_role("user", Method::DELETE, "/api/v1/auth/profile").json(&body).send()
    };

    for _ in 0..3 {
        assert_eq!(ask("wrong password").await.status, 422);
    }

    assert_eq!(ask(PASSWORD).await.refusal(), (429, "too-many-requests"));
    assert_eq!(app.profile(app.token("user")).await.status, 200);
}

#[tokio::test]
async fn who_deletes_others_has_the_permission_and_may_as_much_as_they() {
    let app = TestApp::with_people().await;
    app.role("keeper", &["users:admin", "records:read", "records:write"]).await;
    let ((ada, _), (_, keeper), (_, moderator)) =
        (app.person("ada", "user").await, app.person("keeper", "keeper").await, app.person("mod", "moderator").await);
    let boss = app.profile(app.token("admin")).await.str("id");
    let ask = |token: &str, method: Method, path: String| app.ask(method, &path).bearer(token).send();
    let user = app.token("user").to_owned();

    for token in [&user, &moderator] {
        for (method, path) in [(Method::DELETE, ""), (Method::POST, "/restore"), (Method::POST, "/purge")] {
            let reply = ask(token, method, format!("/api/v1/users/{ada}{path}")).await;
            assert_eq!(reply.refusal(), (403, "not-allowed"), "{path}");
        }
    }
    let above = ask(&keeper, Method::DELETE, format!("/api/v1/users/{boss}")).await;
    assert_eq!(above.refusal(), (403, "permission-not-held"));
    assert_eq!(ask(&keeper, Method::DELETE, format!("/api/v1/users/{ada}")).await.status, 204);
    let (other, _) = app.person("other", "admin").await;
    delete(&app, &other).await;
    for path in ["restore", "purge"] {
        let reply = ask(&keeper, Method::POST, format!("/api/v1/users/{other}/{path}")).await;
        assert_eq!(reply.refusal(), (403, "permission-not-held"), "{path}");
    }
    for id in [NOBODY, "nonsense", "%27"] {
        for (method, path) in [(Method::DELETE, ""), (Method::POST, "/restore"), (Method::POST, "/purge")] {
            let reply = ask(&keeper, method, format!("/api/v1/users/{id}{path}")).await;
            assert_eq!(reply.refusal(), (404, "not-found"), "{id}{path}");
        }
    }
}

#[tokio::test]
async fn an_account_that_changed_meanwhile_is_not_deleted() {
    let app = TestApp::with_people().await;
    let (ada, _) = app.person("ada", "user").await;
    let ask = |tag: &str| {
        app.as_role("admin", Method::DELETE, &format!("/api/v1/users/{ada}")).header("if-match", tag).send()
    };

    assert_eq!(ask("\"7\"").await.refusal(), (412, "stale-version"));
    assert_eq!(ask("\"1\"").await.status, 204);
}

/// Also if they delete one another, or themselves, at the same time.
#[tokio::test]
async fn of_fifty_admins_who_are_deleted_at_once_one_stays() {
    for themselves in [false, true] {
        let settings = [("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "1000")];
        let app = TestApp::with(&settings).await;
        let mut admins = Vec::new();
        for n in 0..50 {
            admins.push(app.person(&format!("admin{n}"), "admin").await);
        }
        let replies = join_all((0..50).map(|n| {
            let ((_, token), (id, _)) = (&admins[n], &admins[(n + 1) % 50]);
            match themselves {
                true => {
                    let body = json!({ "password": PASSWORD });
                    app.ask(Method::DELETE, "/api/v1/auth/profile").bearer(token).json(&body).send()
                }
                false => app.ask(Method::DELETE, &format!("/api/v1/users/{id}")).bearer(token).send(),
            }
        }))
        .await;

        let statuses: Vec<_> = replies.iter().map(|it| it.status).collect();
        assert!(statuses.iter().all(|it| [204, 401, 409].contains(it)), "{statuses:?}");
        let left = emails(&app, "?role=admin").await;
        assert!(!left.is_empty(), "{statuses:?}");
        if themselves {
            assert_eq!((left.len(), statuses.iter().filter(|it| **it == 409).count()), (1, 1), "{statuses:?}");
        }
    }
}

#[tokio::test]
async fn the_last_admin_deletes_nobody_who_is_needed() {
    let app = TestApp::with_people().await;
    let boss = app.profile(app.token("admin")).await.str("id");
    let body = json!({ "password": PASSWORD });

    let by_path = admin(&app, Method::DELETE, &format!("/api/v1/users/{boss}")).await;
    let own = app.as_role("admin", Method::DELETE, "/api/v1/auth/profile").json(&body).send().await;

    assert_eq!((by_path.refusal(), own.refusal()), ((409, "last-admin"), (409, "last-admin")));
    assert_eq!(app.profile(app.token("admin")).await.status, 200, "nothing of it was done");
}

#[tokio::test]
async fn who_is_restored_signs_in_again_and_what_ended_stays_ended() {
    let app = TestApp::with_people().await;
    let (id, token) = app.person("ada", "user").await;
    let key = json!({ "name": "k", "scopes": ["records:read"], "owner": id });
    let key = app.operator(Method::POST, "/api/v1/admin/keys").json(&key).send().await.str("secret");
    delete(&app, &id).await;

    let restored = admin(&app, Method::POST, &format!("/api/v1/users/{id}/restore")).await;

    assert_eq!((restored.status, restored.version(), restored.body.get("deletedAt")), (200, Some(3), None));
    assert_eq!(app.profile(&token).await.status, 401);
    assert_eq!(app.login("ada@example.com", PASSWORD).await.status, 200);
    let with_key = app.ask(Method::GET, "/api/v1/collections/posts/records").bearer(&key).send().await;
    assert_eq!(with_key.status, 404, "it is let in");
    let again = admin(&app, Method::POST, &format!("/api/v1/users/{id}/restore")).await;
    assert_eq!(again.refusal(), (404, "not-found"));
    assert_eq!(emails(&app, "/search?q=ada").await, ["ada@example.com"]);
}

#[tokio::test]
async fn live_connections_end_with_the_account() {
    let live = Live::start().await;
    live.collection(&json!({ "name": "posts", "fields": [{ "name": "title", "type": "text" }], "rules": { "list": "true", "view": "true" } })).await;
    let mut socket = live.socket_of("user").await;
    socket.subscribe("collections/posts").await;
    let id = live.app.profile(live.app.token("user")).await.str("id");

    delete(&live.app, &id).await;

    assert_eq!(socket.closed().await, 4401);
    assert!(live.stop().await);
}

#[tokio::test]
async fn a_purged_account_leaves_its_address_and_the_trail_and_nothing_else() {
    let app = TestApp::with_people().await;
    let (id, _) = app.person("ada", "user").await;
    let key = json!({ "name": "k", "scopes": ["records:read"], "owner": id });
    let key = app.operator(Method::POST, "/api/v1/admin/keys").json(&key).send().await;
    let key = key.body["key"]["id"].as_str().expect("an id").to_owned();

    assert_eq!(purge(&app, &id).await.refusal(), (404, "not-found"), "only what is in the bin");
    delete(&app, &id).await;
    let gone = admin(&app, Method::POST, &format!("/api/v1/users/{id}/purge")).await;
    assert_eq!(gone.status, 204, "{gone:?}");

    assert_eq!(purge(&app, &id).await.refusal(), (404, "not-found"));
    assert_eq!(emails(&app, "?trashed=only").await, Vec::<String>::new());
    assert_eq!(admin(&app, Method::GET, &format!("/api/v1/admin/keys/{key}")).await.status, 404);
    let trail = admin(&app, Method::GET, &format!("/api/v1/admin/audit?resource=user/{id}")).await;
    let told: Vec<_> = trail.body["data"].as_array().expect("entries").iter().map(|it| &it["action"]).collect();
    assert_eq!(told, ["users.purge", "users.delete", "users.create"]);
    assert_eq!(app.register("ada@example.com").await.status, 201, "the address is free");
}

async fn posts(app: &TestApp, on_delete: &str, multiple: bool) {
    let author = json!({ "name": "author", "type": "relation", "collection": "users", "onDelete": on_delete, "multiple": multiple });
    let body = json!({ "name": "posts", "fields": [{ "name": "title", "type": "text" }, author], "rules": { "list": "true", "view": "true" } });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

async fn post_of(app: &TestApp, author: &Value) -> String {
    let body = json!({ "title": "x", "author": author });
    let made = app.operator(Method::POST, "/api/v1/collections/posts/records").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    made.str("id")
}

/// Otherwise anybody could find out that there was one, and keep it from being purged.
#[tokio::test]
async fn no_record_refers_anew_to_an_account_that_was_deleted_and_those_that_did_are_changed_all_the_same() {
    let app = TestApp::with_people().await;
    posts(&app, "restrict", false).await;
    let (id, _) = app.person("ada", "user").await;
    let post = post_of(&app, &json!(id)).await;
    delete(&app, &id).await;
    let path = "/api/v1/collections/posts/records";
    let make = |author: &str| app.operator(Method::POST, path).json(&json!({ "author": author })).send();

    let (deleted, nobodys) = (make(&id).await, make("00000000-0000-7000-8000-00000000dead").await);
    let change = json!({ "title": "y", "author": id });
    let changed = app.operator(Method::PATCH, &format!("{path}/{post}")).json(&change).send().await;

    let told = |it: &Reply| (it.status, it.body["errors"][0]["code"].clone(), it.body["errors"][0]["detail"].clone());
    assert_eq!(told(&deleted), (422, json!("no-such-record"), json!("refers to nothing in `users`")), "{deleted:?}");
    assert_eq!(told(&deleted), told(&nobodys));
    assert_eq!((changed.status, &changed.body["title"]), (200, &json!("y")), "{changed:?}");
}

#[tokio::test]
async fn records_that_hold_on_to_an_account_keep_it_and_are_named() {
    for multiple in [false, true] {
        let app = TestApp::with_people().await;
        posts(&app, "restrict", multiple).await;
        let (id, _) = app.person("ada", "user").await;
        let post = post_of(&app, &if multiple { json!([id]) } else { json!(id) }).await;
        delete(&app, &id).await;

        let kept = purge(&app, &id).await;

        assert_eq!(kept.refusal(), (409, "account-in-use"));
        assert_eq!(kept.body["relations"], json!(["posts.author"]), "{kept:?}");
        assert_eq!(emails(&app, "?trashed=only").await, ["ada@example.com"]);
        app.operator(Method::DELETE, &format!("/api/v1/collections/posts/records/{post}")).send().await;
        assert_eq!(purge(&app, &id).await.status, 204);
    }
}

#[tokio::test]
async fn records_go_with_an_account_or_lose_it_and_whoever_listens_is_told() {
    for (on_delete, told) in [("cascade", "deleted"), ("setNull", "updated")] {
        let live = Live::start().await;
        posts(&live.app, on_delete, false).await;
        let (id, _) = live.app.person("ada", "user").await;
        let post = post_of(&live.app, &json!(id)).await;
        let mut socket = live.socket().await;
        socket.subscribe("collections/posts").await;
        delete(&live.app, &id).await;

        assert_eq!(purge(&live.app, &id).await.status, 204);

        let event = socket.hear().await;
        assert_eq!((&event["type"], &event["record"]["id"]), (&json!(told), &json!(post)), "{event}");
        let left = live.app.operator(Method::GET, &format!("/api/v1/collections/posts/records/{post}")).send().await;
        match on_delete {
            "cascade" => assert_eq!(left.status, 404),
            _ => assert_eq!((left.status, &left.body["author"]), (200, &Value::Null)),
        }
        let count = live.app.operator(Method::GET, "/api/v1/collections/posts/records?count=exact").send().await;
        assert_eq!(count.body["meta"]["total"], i32::from(on_delete != "cascade"));
        assert!(live.stop().await);
    }
}

/// One whom records hold on to must not keep the others.
#[tokio::test]
async fn accounts_are_purged_when_their_time_is_over_and_not_before() {
    let app = TestApp::with_people().await;
    posts(&app, "restrict", false).await;
    let ((held, _), (early, _)) = (app.person("held", "user").await, app.person("early", "user").await);
    post_of(&app, &json!(held)).await;
    delete(&app, &held).await;
    delete(&app, &early).await;
    app.advance(1);
    let (late, _) = app.person("late", "user").await;
    delete(&app, &late).await;
    let due = async || app.app.purges.purge_due(&TenantId::main()).await.expect("swept");

    app.advance(30 * DAY - 2);
    due().await;
    assert_eq!(emails(&app, "?trashed=only").await.len(), 3);
    app.advance(1);
    due().await;

    assert_eq!(emails(&app, "?trashed=only").await, ["held@example.com", "late@example.com"]);
    let trail = app.operator(Method::GET, "/api/v1/admin/audit?action=users.purge").send().await;
    assert_eq!(
        (trail.body["data"].as_array().map(Vec::len), &trail.body["data"][0]["actorKind"]),
        (Some(1), &json!("server"))
    );
}

#[tokio::test]
async fn the_bin_is_kept_for_as_long_as_the_operator_says() {
    for (days, left) in [("0", 1), ("1", 0)] {
        let app = TestApp::with_people_and(&[("ACCOUNTS__PURGE_AFTER_DAYS", days)]).await;
        let (id, _) = app.person("ada", "user").await;
        delete(&app, &id).await;
        app.advance(400 * DAY);

        app.app.purges.purge_due(&TenantId::main()).await.expect("swept");

        assert_eq!(emails(&app, "?trashed=only").await.len(), left, "{days}");
    }
}

/// What is in the bin is shown by no relation, and no filter finds anything by it.
#[tokio::test]
async fn a_deleted_account_is_shown_by_no_record_that_refers_to_it() {
    let app = TestApp::with_people().await;
    posts(&app, "restrict", false).await;
    let (id, _) = app.person("ada", "user").await;
    let body = json!({ "name": "Ada" });
    app.operator(Method::PATCH, &format!("/api/v1/users/{id}/profile")).json(&body).send().await;
    post_of(&app, &json!(id)).await;
    let ask = async |query: &str| {
        app.operator(Method::GET, &format!("/api/v1/collections/posts/records?{query}")).send().await.body["data"]
            .clone()
    };
    assert!(ask("expand=author").await.to_string().contains("Ada"));
    assert_eq!(ask("where[author.name]=Ada").await.as_array().map(Vec::len), Some(1));

    delete(&app, &id).await;

    assert!(!ask("expand=author").await.to_string().contains("Ada"));
    assert_eq!(ask("where[author.name]=Ada").await, json!([]));
    assert_eq!(ask("").await[0]["author"], json!(id), "it is still referred to");
}
