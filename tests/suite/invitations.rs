//! Invitations: accounts that people make for themselves because somebody asked them to.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::mail::{Post, link_host, token};
use crate::support::{PASSWORD, Reply, TestApp};

const GRACE: &str = "grace@example.com";
const PATH: &str = "/api/v1/admin/invitations";
const DAY: u64 = 24 * 3_600;

async fn invite(app: &TestApp, who: &str, body: &Value) -> Reply {
    app.as_role(who, Method::POST, PATH).json(body).send().await
}

async fn accept(post: &Post, token: &str) -> Reply {
    post.post("accept-invitation", json!({ "token": token, "password": PASSWORD })).await
}

async fn state(app: &TestApp, id: &str) -> String {
    let list = app.operator(Method::GET, &format!("{PATH}?limit=500")).send().await;
    let all = list.body["data"].as_array().expect("invitations");
    let found = all.iter().find(|it| it["id"] == id).unwrap_or_else(|| panic!("{list:?}"));
    found["state"].as_str().expect("a state").to_owned()
}

/// Invites as the admin, and tells the id and what stands in the link.
async fn invited(post: &Post, body: &Value) -> (String, String) {
    let made = invite(&post.app, "admin", body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mail = post.mail(body["email"].as_str().expect("an address"), "invitation").await;
    (made.str("id"), token(&mail))
}

/// As at every other way in.
#[tokio::test]
async fn a_page_that_accepts_an_invitation_can_have_a_cookie() {
    let post = Post::with(&[]).await;
    let (_, token) = invited(&post, &json!({ "email": GRACE })).await;
    let body = json!({ "token": token, "password": PASSWORD, "session": "cookie" });
    let ask = post.app.ask(Method::POST, "/api/v1/auth/accept-invitation").header("origin", "http://localhost");

    let accepted = ask.json(&body).send().await;

    assert_eq!((accepted.status, &accepted.body["accessToken"]), (201, &Value::Null));
    let cookie = accepted.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie");
    let profile = post.app.ask(Method::GET, "/api/v1/auth/profile").header("cookie", cookie).send().await;
    assert_eq!((profile.status, profile.str("email")), (200, GRACE.to_owned()));
}

#[tokio::test]
async fn whoever_is_invited_makes_themselves_an_account_also_where_registration_is_closed() {
    let post = Post::with(&[("ACCOUNTS__REGISTRATION", "closed"), ("ACCOUNTS__VERIFICATION", "required")]).await;
    let body = json!({ "email": "Grace@Example.com", "role": "moderator", "name": "Grace", "tier": "gold", "message": "Hi <b>you</b>" });
    let made = invite(&post.app, "admin", &body).await;
    assert_eq!(
        (made.status, made.str("state"), made.str("email")),
        (201, "open".to_owned(), GRACE.to_owned()),
        "{made:?}"
    );
    let mail = post.mail(GRACE, "invitation").await;
    assert_eq!(link_host(&mail), "http://127.0.0.1:8088/accept-invitation");
    let html = mail["html"].as_str().expect("a text");
    assert!(html.contains("Hi &#60;b&#62;you") && !html.contains("<b>you"), "{html}");
    assert!(mail["text"].as_str().expect("a text").contains("Hi <b>you</b>"));

    let accepted = accept(&post, &token(&mail)).await;

    assert_eq!(accepted.status, 201, "{accepted:?}");
    let profile = post.app.profile(&accepted.str("accessToken")).await;
    for (member, expected) in [
        ("email", json!(GRACE)),
        ("emailVerified", json!(true)),
        ("name", json!("Grace")),
        ("role", json!("moderator")),
        ("tier", json!("gold")),
    ] {
        assert_eq!(profile.body[member], expected, "{member}");
        assert_eq!(accepted.body["user"][member], expected, "{member}");
    }
    assert_eq!(state(&post.app, &made.str("id")).await, "accepted");
    assert_eq!(post.app.login(GRACE, PASSWORD).await.status, 200);
    post.mail(GRACE, "welcome").await;
    let trail = post.app.operator(Method::GET, "/api/v1/admin/audit?action=invitations.*").send().await;
    let actions: Vec<_> = trail.body["data"].as_array().expect("entries").iter().map(|it| &it["action"]).collect();
    assert_eq!(actions, ["invitations.accept", "invitations.create"]);
    assert!(!trail.text.contains("ot_"));
}

#[tokio::test]
async fn an_invitation_works_once_also_when_fifty_use_it_at_once() {
    let post = Post::with(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "1000")]).await;
    let (_, token) = invited(&post, &json!({ "email": GRACE })).await;

    let attempts = join_all((0..50).map(|_| accept(&post, &token))).await;

    assert_eq!(attempts.iter().filter(|it| it.status == 201).count(), 1);
    for refused in attempts.iter().filter(|it| it.status != 201) {
        let refusal = refused.refusal();
        assert!([(403, "one-time-secret-invalid"), (409, "email-taken")].contains(&refusal), "{refusal:?}");
    }
    assert_eq!(accept(&post, &token).await.refusal(), (403, "one-time-secret-invalid"));
}

#[tokio::test]
async fn an_invitation_ends_with_its_time_and_begins_anew_when_it_is_sent_again() {
    let post = Post::new().await;
    let (id, link) = invited(&post, &json!({ "email": GRACE })).await;
    post.app.advance(7 * DAY);
    assert_eq!(state(&post.app, &id).await, "expired");
    assert_eq!(accept(&post, &link).await.refusal(), (403, "one-time-secret-invalid"));

    let path = format!("{PATH}/{id}/resend");
    let again = post.app.operator(Method::POST, &path).send().await;
    assert_eq!(
        (again.status, again.str("state"), again.str("invitedBy")),
        (202, "open".to_owned(), "operator".to_owned())
    );
    let mail = post.nth_mail(GRACE, "invitation", 2).await;
    post.app.advance(7 * DAY - 1);
    assert_eq!(accept(&post, &token(&mail)).await.status, 201);
    assert_eq!(post.app.operator(Method::POST, &path).send().await.refusal(), (409, "email-taken"));
}

#[tokio::test]
async fn an_invitation_that_is_taken_back_or_replaced_does_not_work() {
    let post = Post::new().await;
    let (first, first_link) = invited(&post, &json!({ "email": GRACE })).await;
    let second = invite(&post.app, "admin", &json!({ "email": GRACE, "role": "readonly" })).await;
    let second_link = token(&post.nth_mail(GRACE, "invitation", 2).await);

    assert_eq!(accept(&post, &first_link).await.refusal(), (403, "one-time-secret-invalid"));
    assert_eq!(post.app.operator(Method::DELETE, &format!("{PATH}/{first}")).send().await.status, 404);
    let path = format!("{PATH}/{}", second.str("id"));
    assert_eq!(post.app.operator(Method::DELETE, &path).send().await.status, 204);
    assert_eq!(post.app.operator(Method::DELETE, &path).send().await.refusal(), (404, "not-found"));
    assert_eq!(accept(&post, &second_link).await.refusal(), (403, "one-time-secret-invalid"));
    for wrong in ["", "ot_", "ot_AAAA", &first_link[1..], &"x".repeat(201)] {
        assert!([403, 422].contains(&accept(&post, wrong).await.status), "{wrong}");
    }
    // What opens one door opens no other.
    let reset = post.post("reset-password", json!({ "token": second_link, "newPassword": PASSWORD })).await;
    assert_eq!(reset.refusal(), (403, "one-time-secret-invalid"));
}

#[tokio::test]
async fn an_address_that_has_an_account_is_not_invited_and_one_that_gets_one_says_so() {
    let post = Post::new().await;
    let taken = invite(&post.app, "admin", &json!({ "email": "user@example.com" })).await;
    assert_eq!(taken.refusal(), (409, "email-taken"));
    let (id, link) = invited(&post, &json!({ "email": GRACE, "role": "admin" })).await;

    assert_eq!(post.app.register(GRACE).await.status, 201);

    assert_eq!(state(&post.app, &id).await, "registered");
    assert_eq!(accept(&post, &link).await.refusal(), (409, "email-taken"));
    assert_eq!(post.app.login(GRACE, PASSWORD).await.body["user"]["role"], "user", "and nobody became an admin");
}

/// Somebody who registers with an invited address, and cannot show that it is theirs, does not keep its owner out.
#[tokio::test]
async fn an_account_that_nobody_could_use_makes_room_for_whoever_is_invited() {
    let post = Post::with(&[("ACCOUNTS__VERIFICATION", "required")]).await;
    let squatted = json!({ "email": GRACE, "password": "a password of somebody else's" });
    assert_eq!(post.post("register", squatted).await.status, 201);
    let (id, link) = invited(&post, &json!({ "email": GRACE })).await;
    assert_eq!(state(&post.app, &id).await, "open");

    assert_eq!(accept(&post, &link).await.status, 201);

    assert_eq!(post.app.login(GRACE, PASSWORD).await.status, 200);
    assert_eq!(post.app.login(GRACE, "a password of somebody else's").await.status, 401);
}

#[tokio::test]
async fn an_invitation_whose_inviter_may_not_invite_any_more_is_refused() {
    let post = Post::new().await;
    let app = &post.app;
    app.role("host", &["users:write", "records:read"]).await;
    app.role("guest", &["records:read"]).await;
    let key = json!({ "name": "x", "scopes": ["users:write", "records:read"] });
    let key = app.operator(Method::POST, "/api/v1/admin/keys").json(&key).send().await;
    let mut links = Vec::new();
    for name in ["demoted", "disabled", "fine"] {
        let (id, token) = app.person(name, "host").await;
        let email = format!("by-{name}@example.com");
        let made =
            app.ask(Method::POST, PATH).bearer(&token).json(&json!({ "email": email, "role": "guest" })).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        links.push((name, id, crate::mail::token(&post.mail(&email, "invitation").await)));
    }
    let by_key = json!({ "email": "by-key@example.com", "role": "guest" });
    let made = app.ask(Method::POST, PATH).header("x-api-key", &key.str("secret")).json(&by_key).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let by_key = token(&post.mail("by-key@example.com", "invitation").await);
    let change = |id: &str, path: &str, body: Value| {
        let path = format!("/api/v1/admin/users/{id}{path}");
        async move { assert_eq!(app.operator(Method::PATCH, &path).json(&body).send().await.status, 200) }
    };
    change(&links[0].1, "/role", json!({ "role": "user" })).await;
    change(&links[1].1, "", json!({ "disabled": true })).await;

    assert_eq!(accept(&post, &links[0].2).await.refusal(), (403, "invitation-void"));
    assert_eq!(accept(&post, &links[1].2).await.refusal(), (403, "invitation-void"));
    // The role lets its holders try more now than the inviter may.
    let more = json!({ "permissions": ["records:admin"] });
    app.operator(Method::PATCH, "/api/v1/admin/roles/guest").json(&more).send().await;
    assert_eq!(accept(&post, &links[2].2).await.refusal(), (403, "invitation-void"));
    let less = json!({ "permissions": ["records:read"] });
    app.operator(Method::PATCH, "/api/v1/admin/roles/guest").json(&less).send().await;
    assert_eq!(accept(&post, &links[2].2).await.status, 201);
    let id = key.body["key"]["id"].as_str().expect("an id").to_owned();
    app.operator(Method::DELETE, &format!("/api/v1/admin/keys/{id}/revoke")).send().await;
    assert_eq!(accept(&post, &by_key).await.refusal(), (403, "invitation-void"));
}

#[tokio::test]
async fn nobody_invites_to_more_than_they_may_and_what_is_wrong_is_told() {
    let app = TestApp::with_people().await;
    app.role("host", &["users:write", "records:read"]).await;
    let (_, host) = app.person("host", "host").await;
    let ask = async |body: Value| app.ask(Method::POST, PATH).bearer(&host).json(&body).send().await;

    assert_eq!(ask(json!({ "email": GRACE, "role": "admin" })).await.refusal(), (403, "permission-not-held"));
    assert_eq!(ask(json!({ "email": GRACE })).await.refusal(), (403, "permission-not-held"), "`user` writes records");
    let by_admin = invite(&app, "admin", &json!({ "email": GRACE, "role": "admin" })).await;
    let resend = format!("{PATH}/{}/resend", by_admin.str("id"));
    let resent = app.ask(Method::POST, &resend).bearer(&host).send().await;
    assert_eq!(resent.refusal(), (403, "permission-not-held"), "nor makes another's invitation theirs");
    let path = format!("{PATH}/{}", by_admin.str("id"));
    let taken = app.ask(Method::DELETE, &path).bearer(&host).send().await;
    assert_eq!(taken.refusal(), (403, "permission-not-held"), "nor takes it back");
    let other = invite(&app, "admin", &json!({ "email": "other@example.com", "role": "admin" })).await;
    let replaced = ask(json!({ "email": "other@example.com", "role": "readonly" })).await;
    assert_eq!(replaced.refusal(), (403, "permission-not-held"), "nor puts a lesser one in its place");
    assert_eq!(state(&app, &other.str("id")).await, "open");
    for (body, pointer) in [
        (json!({ "email": "nobody" }), "/email"),
        (json!({ "email": GRACE, "name": "a\nb" }), "/name"),
        (json!({ "email": GRACE, "message": "a\r\nBcc: all@example.com" }), "/message"),
        (json!({ "email": GRACE, "message": "x".repeat(501) }), "/message"),
        (json!({ "email": GRACE, "tier": "Gold!" }), "/tier"),
        (json!({ "email": GRACE, "role": "nothing" }), "/role"),
        (json!({ "role": "user" }), "/email"),
    ] {
        let refused = invite(&app, "admin", &body).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!(pointer)), "{body}");
    }
    assert_eq!(app.as_role("user", Method::GET, PATH).send().await.refusal(), (403, "not-allowed"));
}

/// One address gets no more mails than it would by asking for them.
#[tokio::test]
async fn nobody_floods_an_address_with_invitations() {
    let app = TestApp::with_people().await;
    for _ in 0..5 {
        assert_eq!(invite(&app, "admin", &json!({ "email": GRACE })).await.status, 201);
    }
    let sixth = invite(&app, "admin", &json!({ "email": GRACE })).await;
    assert_eq!(sixth.refusal(), (429, "too-many-requests"));
    assert_eq!(invite(&app, "admin", &json!({ "email": "alan@example.com" })).await.status, 201);
}

#[tokio::test]
async fn the_password_of_an_invited_admin_is_as_long_as_those_of_admins() {
    let post = Post::new().await;
    let (_, link) = invited(&post, &json!({ "email": GRACE, "role": "admin" })).await;

    let short = post.post("accept-invitation", json!({ "token": link, "password": "twelve chars" })).await;

    assert_eq!((short.status, &short.body["errors"][0]["pointer"]), (422, &json!("/password")), "{short:?}");
    assert_eq!(accept(&post, &link).await.status, 201, "what is refused uses nothing up");
}
