//! Guessing at passwords and codes: what is counted for whom, and who comes in all the same.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::ask::ask;
use crate::server::Server;
use crate::support::{PASSWORD, Reply, TestApp};

const NEW_PASSWORD: &str = "another horse, another staple";
/// Wrong guesses that are let through within a quarter of an hour.
const GUESSES_MAX: usize = 10;

async fn post(app: &TestApp, token: &str, path: &str, body: Value) -> Reply {
    let ask = app.ask(Method::POST, &format!("/api/v1/auth/{path}"));
    let ask = if token.is_empty() { ask } else { ask.bearer(token) };
    ask.json(&body).send().await
}

/// Signs in on a device that has a token.
async fn login_on(app: &TestApp, device: &str, email: &str, password: &str) -> Reply {
    post(app, "", "login", json!({ "email": email, "password": password, "deviceToken": device })).await
}

/// Strangers guess until the account is locked.
async fn lock(app: &TestApp, email: &str) {
    for _ in 0..GUESSES_MAX {
        assert_eq!(app.login(email, "wrong").await.status, 401);
    }
    assert_eq!(app.login(email, PASSWORD).await.refusal(), (429, "too-many-requests"));
}

// Known devices.

#[tokio::test]
async fn a_locked_account_lets_its_owners_known_device_in() {
    let app = TestApp::new().await;
    let device = app.register("ada@example.com").await.str("deviceToken");
    lock(&app, "ada@example.com").await;

    let reply = login_on(&app, &device, "ADA@example.com ", PASSWORD).await;

    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(app.login("ada@example.com", PASSWORD).await.status, 429, "strangers stay out");
    let renewed = reply.str("deviceToken");
    assert_eq!(login_on(&app, &renewed, "ada@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn what_is_guessed_on_a_known_device_is_counted_for_it_also_when_fifty_come_at_once() {
    let app = TestApp::new().await;
    let device = app.register("ada@example.com").await.str("deviceToken");

    let guesses = join_all((0..50).map(|_| login_on(&app, &device, "ada@example.com", "wrong"))).await;

    assert_eq!(guesses.iter().filter(|it| it.status == 401).count(), GUESSES_MAX);
    assert!(guesses.iter().all(|it| [401, 429].contains(&it.status)));
    assert_eq!(login_on(&app, &device, "ada@example.com", PASSWORD).await.status, 429);
    let other = app.login("ada@example.com", PASSWORD).await;
    assert_eq!(other.status, 200, "the account is not locked by it");
    assert_eq!(login_on(&app, &other.str("deviceToken"), "ada@example.com", PASSWORD).await.status, 200);
    app.advance(900);
    assert_eq!(login_on(&app, &device, "ada@example.com", PASSWORD).await.status, 200);
}

/// Otherwise anyone with an account of their own would have ten more guesses at each of the others.
#[tokio::test]
async fn a_device_is_known_to_one_account_alone() {
    let app = TestApp::new().await;
    let eves = app.register("eve@example.com").await.str("deviceToken");
    app.register("ada@example.com").await;
    lock(&app, "ada@example.com").await;

    assert_eq!(login_on(&app, &eves, "ada@example.com", "wrong").await.status, 429);
    assert_eq!(login_on(&app, &eves, "ada@example.com", PASSWORD).await.status, 429);
    assert_eq!(login_on(&app, &eves, "nobody@example.com", "wrong").await.status, 401);
}

#[tokio::test]
async fn the_token_of_a_device_lets_nobody_in_and_one_that_is_none_does_no_harm() {
    let app = TestApp::new().await;
    let device = app.register("ada@example.com").await.str("deviceToken");

    assert_eq!(login_on(&app, &device, "ada@example.com", "wrong").await.refusal(), (401, "wrong-credentials"));
    assert_eq!(app.profile(&device).await.status, 401);
    assert_eq!(app.refresh(&device).await.status, 401);
    for nothing in ["", "dt_", "dt_AAAA", "nonsense", &device[..device.len() - 1]] {
        assert_eq!(login_on(&app, nothing, "ada@example.com", PASSWORD).await.status, 200, "{nothing}");
    }
    for wrong in [json!(1), json!([device]), json!("x".repeat(201))] {
        let body = json!({ "email": "ada@example.com", "password": PASSWORD, "deviceToken": wrong });
        let reply = post(&app, "", "login", body).await;
        assert_eq!(
            (reply.refusal(), reply.body["errors"][0]["pointer"].as_str()),
            ((422, "validation-failed"), Some("/deviceToken"))
        );
    }
}

/// Whoever had the password had the chance to have a device known.
#[tokio::test]
async fn a_changed_password_is_forgotten_by_all_devices_but_the_one_that_changed_it() {
    let app = TestApp::new().await;
    let own = app.register("ada@example.com").await;
    let other = app.login("ada@example.com", PASSWORD).await.str("deviceToken");
    let change = json!({ "currentPassword": PASSWORD, "newPassword": NEW_PASSWORD });
    assert_eq!(post(&app, &own.str("accessToken"), "change-password", change).await.status, 204);
    for _ in 0..GUESSES_MAX {
        assert_eq!(app.login("ada@example.com", PASSWORD).await.status, 401);
    }

    assert_eq!(login_on(&app, &other, "ada@example.com", NEW_PASSWORD).await.status, 429);
    let reply = login_on(&app, &own.str("deviceToken"), "ada@example.com", NEW_PASSWORD).await;

    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(login_on(&app, &reply.str("deviceToken"), "ada@example.com", NEW_PASSWORD).await.status, 200);
}

#[tokio::test]
async fn who_is_signed_in_changes_the_password_however_many_strangers_guess() {
    let app = TestApp::with_people_and(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "15")]).await;
    lock(&app, "user@example.com").await;
    let from_here = |path: &str, body: Value| {
        let ask = app.ask(Method::POST, &format!("/api/v1/auth/{path}")).from("203.0.113.7");
        ask.bearer(app.token("user")).json(&body).send()
    };
    for n in 0..20 {
        let body = json!({ "email": format!("somebody{n}@example.com"), "password": "wrong" });
        from_here("login", body).await;
    }
    let body = json!({ "email": "somebody@example.com", "password": "wrong" });
    assert_eq!(from_here("login", body).await.status, 429, "the address is locked too");

    let change = json!({ "currentPassword": PASSWORD, "newPassword": NEW_PASSWORD });
    let reply = from_here("change-password", change).await;

    assert_eq!(reply.status, 204, "{reply:?}");
}

/// A neighbour who guesses is no reason to look away.
#[tokio::test]
async fn what_is_guessed_on_a_known_device_counts_for_its_address_too() {
    let app = TestApp::with(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "3")]).await;
    let device = app.register("ada@example.com").await.str("deviceToken");
    let guess = |password: &str| {
        let body = json!({ "email": "ada@example.com", "password": password, "deviceToken": device });
        app.ask(Method::POST, "/api/v1/auth/login").from("203.0.113.7").json(&body).send()
    };

    for _ in 0..3 {
        assert_eq!(guess("wrong").await.status, 401);
    }

    assert_eq!(guess(PASSWORD).await.status, 429);
    assert_eq!(login_on(&app, &device, "ada@example.com", PASSWORD).await.status, 200, "from elsewhere");
}

// Lists of what leaked elsewhere.

const HERE: &str = "203.0.113.7";
/// Distinct wrong pairs that are let through within three hours.
const PAIRS_MAX: usize = 15;

async fn login_from(app: &TestApp, address: &str, email: &str, password: &str) -> Reply {
    let body = json!({ "email": email, "password": password });
    app.ask(Method::POST, "/api/v1/auth/login").from(address).json(&body).send().await
}

/// Tries so many accounts with a password each.
async fn stuff(app: &TestApp, address: &str, count: usize) {
    for n in 0..count {
        let reply = login_from(app, address, &format!("user{n}@example.com"), &format!("password {n}")).await;
        assert_eq!(reply.refusal(), (401, "wrong-credentials"), "{n}");
    }
}

#[tokio::test]
async fn an_address_that_tries_a_list_is_blocked_for_a_day_and_its_known_devices_are_not() {
    let app = TestApp::with_people().await;
    let device = app.login("user@example.com", PASSWORD).await.str("deviceToken");
    stuff(&app, HERE, PAIRS_MAX).await;

    let blocked = login_from(&app, HERE, "user@example.com", PASSWORD).await;

    assert_eq!((blocked.refusal(), blocked.header("retry-after")), ((429, "address-blocked"), Some("86400")));
    assert_eq!(login_from(&app, "203.0.113.8", "user@example.com", PASSWORD).await.status, 200, "a neighbour");
    let body = json!({ "email": "user@example.com", "password": PASSWORD, "deviceToken": device });
    let known = app.ask(Method::POST, "/api/v1/auth/login").from(HERE).json(&body).send().await;
    assert_eq!(known.status, 200, "{known:?}");
    app.advance(86_399);
    assert_eq!(login_from(&app, HERE, "user@example.com", PASSWORD).await.status, 429);
    app.advance(1);
    assert_eq!(login_from(&app, HERE, "user@example.com", PASSWORD).await.status, 200);
}

/// It has the browsers of its visitors send them, who know nothing of it.
#[tokio::test]
async fn a_page_of_another_origin_that_sends_wrong_pairs_locks_out_such_pages_alone() {
    let app = TestApp::with_people_and(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "20")]).await;
    let login = |email: String, password: String, page: &'static str| {
        let ask = app
            .ask(Method::POST, "/api/v1/auth/login")
            .from(HERE)
            .json(&json!({ "email": email, "password": password }));
        if page.is_empty() { ask } else { ask.header("origin", page) }
    };
    for n in 0..PAIRS_MAX {
        let sent = login(format!("user{n}@example.com"), format!("password {n}"), "https://evil.example").send().await;
        assert_eq!(sent.status, 401, "{sent:?}");
    }

    let honest = |page| login("user@example.com".to_owned(), PASSWORD.to_owned(), page);
    assert_eq!(honest("https://evil.example").send().await.refusal(), (429, "address-blocked"));
    assert_eq!(honest("https://another.example").send().await.refusal(), (429, "address-blocked"));
    assert_eq!(honest("").send().await.status, 200, "a program of the same address");
    let own = honest("https://evil.example").header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.status, 200, "no page can say so of itself");
    let listed = app.ask(Method::GET, "/api/v1/admin/blocked-addresses").bearer(app.token("admin")).send().await;
    assert_eq!(
        (listed.body["data"].as_array().map(Vec::len), &listed.body["data"][0]["ofPages"]),
        (Some(1), &json!(true))
    );
}

/// Who is kept out anyway must not keep others out.
#[tokio::test]
async fn what_a_blocked_address_tries_locks_no_account() {
    let app = TestApp::with_people().await;
    stuff(&app, HERE, PAIRS_MAX).await;

    for _ in 0..20 {
        assert_eq!(login_from(&app, HERE, "user@example.com", "wrong").await.refusal(), (429, "address-blocked"));
    }

    assert_eq!(app.login("user@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn one_wrong_password_again_and_again_and_mistakes_before_the_right_one_block_nobody() {
    let app = TestApp::with_people_and(&[
        ("ACCOUNTS__SIGN_IN_FAILURES_PER_ACCOUNT_MAX", "100"),
        ("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "1000"),
    ])
    .await;
    for _ in 0..40 {
        assert_eq!(login_from(&app, HERE, "user@example.com", "an old password").await.status, 401);
    }
    for role in ["admin", "user", "readonly"] {
        let email = format!("{role}@example.com");
        for n in 0..PAIRS_MAX - 2 {
            assert_eq!(login_from(&app, HERE, &email, &format!("mistake {n}")).await.status, 401);
        }
        assert_eq!(login_from(&app, HERE, &email, PASSWORD).await.status, 200, "{role}");
    }
}

#[tokio::test]
async fn of_fifty_pairs_at_once_no_more_than_is_under_way_is_looked_at() {
    let app = TestApp::with_people().await;
    let emails: Vec<_> = (0..50).map(|n| format!("user{n}@example.com")).collect();

    join_all(emails.iter().map(|it| login_from(&app, HERE, it, "leaked"))).await;

    assert_eq!(login_from(&app, HERE, "user@example.com", PASSWORD).await.refusal(), (429, "address-blocked"));
}

#[tokio::test]
async fn an_admin_sees_blocked_addresses_and_lifts_them_and_the_trail_tells_of_both() {
    let app = TestApp::with_people().await;
    stuff(&app, "2001:db8::1", PAIRS_MAX).await;
    let path = "/api/v1/admin/blocked-addresses";
    let list = app.as_role("admin", Method::GET, path).send().await;
    assert_eq!(
        list.body,
        json!({ "data": [{
            "address": "2001:db8::", "prefixLength": 64, "ofPages": false, "until": "2026-01-03T03:04:05.678Z"
        }] })
    );
    assert_eq!(login_from(&app, "2001:db8::ffff", "user@example.com", PASSWORD).await.status, 429);

    let lift =
        |role: &'static str, address: &str| app.as_role(role, Method::DELETE, &format!("{path}/{address}")).send();
    assert_eq!(lift("user", "2001:db8::1").await.refusal(), (403, "not-allowed"));
    for nothing in ["10.0.0.1", "nonsense", "2001:db9::"] {
        assert_eq!(lift("admin", nothing).await.refusal(), (404, "not-found"), "{nothing}");
    }
    assert_eq!(lift("admin", "2001:db8::1").await.status, 204);

    assert_eq!(login_from(&app, "2001:db8::ffff", "user@example.com", PASSWORD).await.status, 200);
    assert_eq!(app.as_role("admin", Method::GET, path).send().await.body, json!({ "data": [] }));
    for (action, resource) in [("addresses.block", "2001:db8::/64"), ("addresses.lift", "2001:db8::1")] {
        let told = app.operator(Method::GET, &format!("/api/v1/admin/audit?action={action}")).send().await;
        assert_eq!(told.body["data"].as_array().map(Vec::len), Some(1), "{told:?}");
        assert_eq!(told.body["data"][0]["resourceId"], resource);
    }
}

#[tokio::test]
async fn a_block_survives_a_restart_and_can_be_turned_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    app.register("ada@example.com").await;
    stuff(&app, HERE, PAIRS_MAX).await;
    app.app.close().await.expect("closed");
    drop(app);

    let app = TestApp::on_disk(folder.path(), &[]).await;
    assert_eq!(login_from(&app, HERE, "ada@example.com", PASSWORD).await.status, 429);
    drop(app);

    let app = TestApp::with(&[("ACCOUNTS__DISTINCT_GUESSES_MAX", "0")]).await;
    stuff(&app, HERE, 2 * PAIRS_MAX).await;
}

// What survives.

/// Nobody who guesses can kill the server, but power fails, and a limit is none that begins anew with it.
#[test]
fn each_guess_at_an_account_survives_a_kill_in_the_next_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let guess = |server: &Server| {
        let body = json!({ "email": "ada@example.com", "password": "wrong" }).to_string();
        ask(&server.url, "POST", "/api/v1/auth/login", "", &body).expect("answered").0
    };
    for _ in 0..3 {
        let mut server = Server::start(folder.path(), &[]);
        assert_eq!(guess(&server), 401);
        // The time that it takes to write down a few bytes, and far less than the second until all is.
        std::thread::sleep(std::time::Duration::from_millis(150));
        server.process.kill().expect("killed");
        server.process.wait().expect("gone");
    }

    let server = Server::start(folder.path(), &[]);
    let outcomes: Vec<_> = (0..GUESSES_MAX).map(|_| guess(&server)).collect();

    assert_eq!(outcomes.iter().filter(|it| **it == 401).count(), GUESSES_MAX - 3, "{outcomes:?}");
}

// A password that is replaced.

/// Looking at a password takes a while: whoever showed the old one just before must not come in just after.
#[tokio::test]
async fn of_those_who_sign_in_with_a_password_while_it_is_replaced_none_stays() {
    let app = TestApp::new().await;
    let own = app.register("ada@example.com").await.str("accessToken");
    let change = json!({ "currentPassword": PASSWORD, "newPassword": NEW_PASSWORD });

    let change = post(&app, &own, "change-password", change);
    let (changed, replies) = tokio::join!(change, join_all((0..40).map(|_| app.login("ada@example.com", PASSWORD))));

    assert_eq!(changed.status, 204, "{changed:?}");
    app.advance(5);
    for reply in replies.iter().filter(|it| it.status == 200) {
        assert_eq!(app.profile(&reply.str("accessToken")).await.status, 401);
        assert_eq!(app.refresh(&reply.str("refreshToken")).await.status, 401);
    }
    assert_eq!(app.profile(&own).await.status, 200, "the session that replaced it");
}

/// The same for what the password is shown once more for.
#[tokio::test]
async fn of_keys_that_are_made_with_a_password_while_it_is_reset_none_works() {
    let post_office = crate::mail::Post::with(&[]).await;
    let app = &post_office.app;
    let (_, token) = app.person("thief", "user").await;
    post(app, "", "forgot-password", json!({ "email": "thief@example.com" })).await;
    let link = crate::mail::token(&post_office.mail("thief@example.com", "reset-password").await);
    let make = |n: usize| {
        let body = json!({ "name": format!("key {n}"), "scopes": ["records:read"], "password": PASSWORD });
        let token = token.clone();
        async move { app.ask(Method::POST, "/api/v1/auth/keys").bearer(&token).json(&body).send().await }
    };

    let reset = post(app, "", "reset-password", json!({ "token": link, "newPassword": NEW_PASSWORD }));
    let (reset, replies) = tokio::join!(reset, join_all((0..20).map(make)));

    assert_eq!(reset.status, 204, "{reset:?}");
    app.advance(5);
    for reply in replies.iter().filter(|it| it.status == 201) {
        let key = reply.str("secret");
        let asked = app.ask(Method::GET, "/api/v1/collections").bearer(&key).send().await;
        assert_eq!(asked.status, 401, "{asked:?}");
    }
}

/// Refused for one reason, nobody is blamed for another.
#[tokio::test]
async fn an_owner_who_is_locked_out_does_not_lock_out_their_neighbours() {
    let app = TestApp::new().await;
    for email in ["ada@example.com", "grace@example.com"] {
        app.register(email).await;
    }
    lock(&app, "ada@example.com").await;
    let here = |email: &'static str| {
        let body = json!({ "email": email, "password": PASSWORD });
        app.ask(Method::POST, "/api/v1/auth/login").from("203.0.113.9").json(&body).send()
    };

    for _ in 0..110 {
        assert_eq!(here("ada@example.com").await.status, 429);
    }

    assert_eq!(here("grace@example.com").await.status, 200);
}
