//! Accounts: registering, signing in, sessions, roles.
use futures_util::future::join_all;
use futures_util::poll;
use insta::assert_json_snapshot;
use poem::http::Method;
use serde_json::json;
use steading::base::TenantId;

use crate::support::{PASSWORD, TestApp};

/// Not in the words of the framework, which name types of Rust.
#[tokio::test]
async fn a_page_that_is_no_number_is_told_with_the_numbers_that_there_are() {
    let app = TestApp::with_people().await;
    for text in ["abc", "-1", "", "1.0", "99999999999999999999"] {
        let reply = app.as_role("admin", Method::GET, &format!("/api/v1/admin/users?limit={text}&page=x")).send().await;

        assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
        assert_eq!(reply.body["errors"][0]["detail"], "must be a whole number from 1 to 500", "{text:?}");
        assert_eq!(reply.body["errors"][1]["pointer"], "?page");
    }
}

#[tokio::test]
async fn who_registers_is_signed_in() {
    let app = TestApp::new().await;

    let reply = app.register("  Ada@Example.COM ").await;

    assert_eq!(reply.status, 201);
    assert_json_snapshot!(reply.body["user"], @r#"
    {
      "id": "00000000-0000-7000-8000-00000000000e",
      "email": "ada@example.com",
      "emailVerified": false,
      "name": "",
      "role": "user",
      "permissions": [
        "records:read",
        "records:write"
      ],
      "usageCount": 0,
      "createdAt": "2026-01-02T03:04:05.678Z",
      "updatedAt": "2026-01-02T03:04:05.678Z",
      "lastSignInAt": "2026-01-02T03:04:05.678Z"
    }
    "#);
    assert_eq!(app.profile(&reply.str("accessToken")).await.body["email"], "ada@example.com");
    assert!(!reply.text.contains(PASSWORD) && !reply.text.contains("argon2"));
}

#[tokio::test]
async fn an_address_has_one_account_however_it_is_written() {
    let app = TestApp::new().await;
    app.register("ada@example.com").await;

    let again = app.register("ADA@example.com").await;

    assert_eq!(again.refusal(), (409, "email-taken"));
    assert_json_snapshot!(again.body, @r#"
    {
      "type": "/problems/email-taken",
      "title": "That address has an account",
      "status": 409,
      "detail": "there is an account with this address; sign in, or use another address",
      "instance": "00000000-0000-7000-8000-000000000013",
      "code": "email-taken"
    }
    "#);
}

/// Keyboards differ in how they write letters with marks; eyes do not.
#[tokio::test]
async fn an_address_and_a_password_are_the_same_from_every_keyboard() {
    let app = TestApp::new().await;
    let (composed, decomposed) = ("j\u{fc}rgen", "ju\u{308}rgen");
    let body = json!({ "email": format!("{decomposed}@example.com"), "password": format!("{decomposed} mag Birnen") });
    let made = app.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;
    assert_eq!((made.status, made.body["user"]["email"].as_str()), (201, Some("j\u{fc}rgen@example.com")));

    for letters in [composed, decomposed] {
        let password = format!("{letters} mag Birnen");
        assert_eq!(app.login(&format!("{letters}@example.com"), &password).await.status, 200, "{letters:?}");
        assert_eq!(app.register(&format!("{letters}@example.com")).await.refusal(), (409, "email-taken"));
    }
}

/// Settled by the constraint, not by a look before.
#[tokio::test]
async fn of_fifty_who_register_one_address_at_once_one_gets_it() {
    let app = TestApp::new().await;

    let replies = join_all((0..50).map(|_| app.register("ada@example.com"))).await;

    let statuses: Vec<_> = replies.iter().map(|it| it.status).collect();
    assert_eq!(statuses.iter().filter(|it| **it == 201).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|it| [201, 409].contains(it)), "{statuses:?}");
}

#[tokio::test]
async fn registration_can_be_closed() {
    let app = TestApp::with(&[("ACCOUNTS__REGISTRATION", "closed")]).await;

    assert_eq!(app.register("ada@example.com").await.refusal(), (403, "registration-closed"));
}

#[tokio::test]
async fn everything_wrong_with_a_registration_is_told_at_once() {
    let app = TestApp::new().await;
    let body = json!({ "email": "not an address", "password": "short" });

    let reply = app.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;

    assert_eq!(reply.refusal(), (422, "validation-failed"));
    assert_json_snapshot!(reply.body["errors"], @r#"
    [
      {
        "pointer": "/email",
        "code": "email",
        "detail": "must be an e-mail address, such as ada@example.com"
      },
      {
        "pointer": "/password",
        "code": "too-short",
        "detail": "must be at least 8 characters long"
      }
    ]
    "#);
}

/// Wherever one is chosen: by people themselves, by an admin for them, and behind a setup link.
#[tokio::test]
async fn a_password_that_is_easy_to_guess_is_refused_with_its_reason() {
    let app = TestApp::new().await;
    let link = app.operator(Method::POST, "/api/v1/admin/setup-links").send().await.str("url");
    let token = link.split_once("#token=").expect("a secret").1.to_owned();
    for (path, password) in [
        ("/api/v1/auth/register", "password123"),
        ("/api/v1/auth/register", "P@ssw0rd"),
        ("/api/v1/auth/register", "drowssap"),
        ("/api/v1/auth/register", "Lovelace1815"),
        ("/api/v1/admin/users", "Monkey1!"),
        ("/api/v1/setup", "passwordpassword"),
    ] {
        let mut body = json!({ "email": "lovelace@example.com", "password": password });
        if path.ends_with("setup") {
            body["token"] = json!(token);
        }

        let reply = app.operator(Method::POST, path).json(&body).send().await;

        assert_eq!(reply.refusal(), (422, "validation-failed"), "{password}");
        let fault = &reply.body["errors"][0];
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/password"), &json!("guessable")), "{password}");
    }

    let body = json!({ "email": "lovelace@example.com", "password": "password123" });
    let reply = app.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;
    assert_eq!(
        reply.body["errors"][0]["detail"],
        "must be harder to guess. This is a very common password. Add another word or two. Uncommon words are better"
    );
}

/// Nobody makes themselves an admin.
#[tokio::test]
async fn a_body_cannot_set_what_is_not_the_callers_to_set() {
    let app = TestApp::with_people().await;
    for member in ["role", "id", "emailVerified", "permissions", "tenant", "version"] {
        let mut body = json!({ "email": "eve@example.com", "password": PASSWORD });
        body[member] = json!("admin");
        let registered = app.ask(Method::POST, "/api/v1/auth/register").json(&body).send().await;
        assert_eq!(registered.body["errors"][0]["pointer"], format!("/{member}"), "{registered:?}");

        let patched =
            app.as_role("user", Method::PATCH, "/api/v1/auth/profile").json(&json!({ member: "admin" })).send().await;
        assert_eq!(patched.refusal(), (422, "validation-failed"), "{member}");
    }
}

/// Otherwise a list of addresses could be sorted into customers and others.
#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_cannot_be_told_apart() {
    let app = TestApp::new().await;
    app.register("ada@example.com").await;

    let mut wrong = app.login("ada@example.com", "not the password").await;
    let mut unknown = app.login("bob@example.com", "not the password").await;
    let mut nonsense = app.login("no address at all", "not the password").await;

    assert_eq!(wrong.refusal(), (401, "wrong-credentials"));
    assert_eq!(wrong.header("www-authenticate"), Some("Bearer"), "RFC 9110 section 15.5.2");
    for reply in [&mut wrong, &mut unknown, &mut nonsense] {
        reply.body["instance"] = json!("");
        for header in ["x-request-id", "x-response-time"] {
            reply.headers.remove(header);
        }
    }
    assert_eq!((&wrong.body, &wrong.headers), (&unknown.body, &unknown.headers));
    assert_eq!((&wrong.body, &wrong.headers), (&nonsense.body, &nonsense.headers));
}

#[tokio::test]
async fn guessing_ends_after_ten_wrong_passwords_for_the_right_one_too_and_begins_anew_later() {
    let app = TestApp::new().await;
    app.register("ada@example.com").await;
    for _ in 0..10 {
        assert_eq!(app.login("ada@example.com", "wrong").await.status, 401);
    }

    let locked = app.login("ADA@example.com ", PASSWORD).await;

    assert_eq!(locked.refusal(), (429, "too-many-requests"));
    assert_eq!(locked.header("retry-after"), Some("900"));
    assert_eq!(app.login("bob@example.com", "wrong").await.status, 401, "others are not locked");
    app.advance(900);
    assert_eq!(app.login("ada@example.com", PASSWORD).await.status, 200);
}

/// Otherwise accounts that are older than the setting would be told from none by their time.
#[tokio::test]
async fn a_password_takes_on_todays_cost_when_its_owner_signs_in() {
    let folder = tempfile::tempdir().expect("a folder");
    TestApp::on_disk(folder.path(), &[]).await.register("ada@example.com").await;
    let app = TestApp::on_disk(folder.path(), &[("ACCOUNTS__HASH_MEMORY_KIB", "9216")]).await;
    let (db, main) = (&app.app.db, TenantId::main());
    let sql = "SELECT password_hash FROM users";
    let kept = || async {
        let hash = db.read(&main, |tx| tx.find(sql, &[], |row| Ok(row.text(0)?.to_owned()))).await;
        hash.expect("read").expect("an account")
    };

    assert_eq!(app.login("ada@example.com", "wrong").await.status, 401);
    assert!(kept().await.starts_with("$argon2id$v=19$m=8192,"), "a wrong guess changes nothing");
    assert_eq!(app.login("ada@example.com", PASSWORD).await.status, 200);

    assert!(kept().await.starts_with("$argon2id$v=19$m=9216,"));
    assert_eq!(app.login("ada@example.com", PASSWORD).await.status, 200);
    assert_eq!(app.login("ada@example.com", "wrong").await.status, 401);
}

/// An account that does not exist is locked like one that does.
#[tokio::test]
async fn the_lock_does_not_tell_who_has_an_account() {
    let app = TestApp::new().await;
    for _ in 0..10 {
        assert_eq!(app.login("nobody@example.com", "wrong").await.status, 401);
    }

    assert_eq!(app.login("nobody@example.com", "wrong").await.status, 429);
}

/// Nothing was learned from a guess that was not looked at, and a busy server must not lock people out.
#[tokio::test]
async fn what_a_busy_server_turns_away_is_no_wrong_guess() {
    let app = TestApp::with(&[
        ("ACCOUNTS__HASH_THREADS", "1"),
        ("ACCOUNTS__HASH_QUEUE_MAX", "1"),
        ("ACCOUNTS__SIGN_IN_FAILURES_PER_ACCOUNT_MAX", "50"),
    ])
    .await;

    let flood = join_all((0..50).map(|_| app.login("ada@example.com", "wrong"))).await;

    let (looked_at, turned_away): (Vec<_>, Vec<_>) = flood.iter().partition(|it| it.status == 401);
    assert!(!turned_away.is_empty());
    for reply in turned_away {
        assert_eq!((reply.refusal(), reply.header("retry-after")), ((503, "busy"), Some("5")));
    }
    for _ in looked_at.len()..50 {
        assert_eq!(app.login("ada@example.com", "wrong").await.status, 401);
    }
    assert_eq!(app.login("ada@example.com", "wrong").await.status, 429);
}

#[tokio::test]
async fn an_access_token_does_not_outlive_its_session() {
    let app = TestApp::with(&[
        ("ACCOUNTS__ACCESS_TOKEN_SECS", "86400"),
        ("ACCOUNTS__SESSION_IDLE_DAYS", "1"),
        ("ACCOUNTS__SESSION_DAYS_MAX", "1"),
    ])
    .await;
    let first = app.register("ada@example.com").await.str("refreshToken");
    app.advance(43_200);
    let second = app.refresh(&first).await;
    let token = second.str("accessToken");
    assert_eq!(second.body["expiresIn"], 43_200);
    assert_eq!(app.profile(&token).await.status, 200, "verified, and so remembered");

    app.advance(43_200);

    assert_eq!(app.profile(&token).await.refusal(), (401, "token-invalid"));
}

#[tokio::test]
async fn an_access_token_ends_at_its_time() {
    let app = TestApp::new().await;
    let token = app.register("ada@example.com").await.str("accessToken");

    app.advance(899);
    assert_eq!(app.profile(&token).await.status, 200);
    app.advance(1);
    assert_eq!(app.profile(&token).await.refusal(), (401, "token-invalid"));
}

#[tokio::test]
async fn refreshing_gives_a_new_pair_and_the_old_refresh_token_is_spent() {
    let app = TestApp::new().await;
    let first = app.register("ada@example.com").await.str("refreshToken");

    let reply = app.refresh(&first).await;

    assert_eq!(reply.status, 200);
    assert_ne!(reply.str("refreshToken"), first);
    assert_eq!(app.profile(&reply.str("accessToken")).await.status, 200);
}

/// An answer can be lost on its way, and two tabs refresh at once: all must end up with the same pair.
#[tokio::test]
async fn a_lost_answer_is_given_again_for_half_a_minute() {
    let app = TestApp::new().await;
    let first = app.register("ada@example.com").await.str("refreshToken");
    let second = app.refresh(&first).await.str("refreshToken");

    app.advance(30);
    let replies = join_all((0..50).map(|_| app.refresh(&first))).await;

    assert!(replies.iter().all(|it| it.status == 200 && it.str("refreshToken") == second));
    assert_eq!(app.refresh(&second).await.status, 200);
}

/// Two hold the token and one of them stole it: neither goes on.
#[tokio::test]
async fn a_refresh_token_used_again_later_ends_its_session() {
    let app = TestApp::new().await;
    let first = app.register("ada@example.com").await.str("refreshToken");
    let second = app.refresh(&first).await;

    app.advance(31);
    let stolen = app.refresh(&first).await;

    assert_eq!(stolen.refusal(), (401, "token-invalid"));
    assert_eq!(app.refresh(&second.str("refreshToken")).await.refusal(), (401, "token-invalid"));
    assert_eq!(app.profile(&second.str("accessToken")).await.refusal(), (401, "token-invalid"));
}

#[tokio::test]
async fn a_token_two_behind_ends_the_session_even_within_the_grace() {
    let app = TestApp::new().await;
    let first = app.register("ada@example.com").await.str("refreshToken");
    let second = app.refresh(&first).await.str("refreshToken");
    let third = app.refresh(&second).await.str("refreshToken");

    assert_eq!(app.refresh(&first).await.status, 401);
    assert_eq!(app.refresh(&third).await.status, 401);
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used() {
    let app = TestApp::new().await;
    let first = app.register("ada@example.com").await.str("refreshToken");
    app.advance(30 * 24 * 3_600 - 1);
    let second = app.refresh(&first).await;
    assert_eq!(second.status, 200);

    app.advance(30 * 24 * 3_600);

    assert_eq!(app.refresh(&second.str("refreshToken")).await.status, 401);
}

#[tokio::test]
async fn signing_out_is_felt_at_once_by_this_session_only() {
    let app = TestApp::new().await;
    let here = app.register("ada@example.com").await;
    let there = app.login("ada@example.com", PASSWORD).await;
    let (token, other) = (here.str("accessToken"), there.str("accessToken"));
    assert_eq!(app.profile(&token).await.status, 200, "verified, and so remembered");

    let out = app.ask(Method::POST, "/api/v1/auth/logout").bearer(&token).send().await;

    assert_eq!(out.status, 204);
    assert_eq!(app.profile(&token).await.refusal(), (401, "token-invalid"));
    assert_eq!(app.refresh(&here.str("refreshToken")).await.status, 401);
    assert_eq!(app.profile(&other).await.status, 200);
}

/// A browser that signs out and is closed at once takes no answer, and the token is no better for it.
#[tokio::test]
async fn signing_out_is_felt_within_five_seconds_also_when_nobody_waits_for_the_answer() {
    let app = TestApp::new().await;
    let token = app.register("ada@example.com").await.str("accessToken");
    assert_eq!(app.profile(&token).await.status, 200, "verified, and so remembered");

    let (db, main) = (&app.app.db, TenantId::main());
    // The writer has something else to do first: an idle one may be done before anybody could go away.
    let (go_on, held) = std::sync::mpsc::channel::<()>();
    let mut other = Box::pin(db.write(&main, move |_| {
        let _ = held.recv();
        Ok::<_, steading::db::Error>(())
    }));
    assert!(poll!(&mut other).is_pending());
    let mut out = Box::pin(app.ask(Method::POST, "/api/v1/auth/logout").bearer(&token).send());
    assert!(poll!(&mut out).is_pending());
    drop(go_on);
    let count = || db.read(&main, |tx| tx.find("SELECT count(*) FROM sessions", &[], |row| row.integer(0)));
    while count().await.expect("read") != Some(0) {}
    drop(out);
    app.advance(5);

    assert_eq!(app.profile(&token).await.refusal(), (401, "token-invalid"));
}

#[tokio::test]
async fn signing_out_everywhere_ends_every_session_of_the_caller_and_no_other() {
    let app = TestApp::with_people().await;
    let here = app.register("ada@example.com").await;
    let there = app.login("ada@example.com", PASSWORD).await;
    app.profile(&there.str("accessToken")).await;

    let out = app.ask(Method::POST, "/api/auth/logout-all").bearer(&here.str("accessToken")).send().await;

    assert_eq!(out.status, 204);
    for session in [&here, &there] {
        assert_eq!(app.profile(&session.str("accessToken")).await.status, 401);
        assert_eq!(app.refresh(&session.str("refreshToken")).await.status, 401);
    }
    assert_eq!(app.as_role("user", Method::GET, "/api/v1/auth/profile").send().await.status, 200);
}

#[tokio::test]
async fn tokens_do_not_stand_in_for_each_other() {
    let app = TestApp::new().await;
    let reply = app.register("ada@example.com").await;

    assert_eq!(app.profile(&reply.str("refreshToken")).await.refusal(), (401, "token-invalid"));
    assert_eq!(app.refresh(&reply.str("accessToken")).await.refusal(), (401, "token-invalid"));
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused_quickly() {
    let app = TestApp::new().await;
    let foreign = TestApp::new().await.register("ada@example.com").await.str("accessToken");
    // Counted dice give both servers the same keys, so the foreign one stands for a live session that is not here.
    let long = "x".repeat(20_000);
    for token in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", foreign.as_str(), &long] {
        let reply = app.profile(token).await;
        assert_eq!(reply.status, 401, "{token:.40}");
        assert!(reply.header("www-authenticate").is_some_and(|it| it.starts_with("Bearer")), "{token:.40}");
    }
    let twice = app.ask(Method::GET, "/api/v1/auth/profile").bearer("a").bearer("b").send().await;
    assert_eq!(twice.refusal(), (400, "malformed-request"));
    let basic = app.ask(Method::GET, "/api/v1/auth/profile").header("authorization", "Basic YTpi").send().await;
    assert_eq!(basic.refusal(), (401, "not-signed-in"));
    assert_eq!(basic.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn a_profile_is_changed_where_it_is_sent_and_only_in_the_version_it_is_meant_for() {
    let app = TestApp::with_people().await;
    let patch = |body, tag: &'static str| {
        app.as_role("user", Method::PATCH, "/api/v1/auth/profile").header("if-match", tag).json(&body).send()
    };

    let renamed = patch(json!({ "name": "Ada" }), "\"1\"").await;
    let stale = patch(json!({ "name": "Eve" }), "\"1\"").await;
    let nothing = patch(json!({}), "\"2\"").await;

    assert_eq!((renamed.status, renamed.version()), (200, Some(2)));
    assert_eq!(stale.refusal(), (412, "stale-version"));
    assert_eq!((nothing.status, nothing.version()), (200, Some(2)));
    assert_eq!(nothing.body["name"], "Ada");
    assert_eq!(patch(json!({ "name": "x" }), "nonsense").await.refusal(), (400, "malformed-request"));
}

/// API.md: absent and `null` differ in PATCH.
#[tokio::test]
async fn a_name_is_removed_with_null_and_kept_when_it_is_absent() {
    let app = TestApp::with_people().await;
    let patch = |body| app.as_role("user", Method::PATCH, "/api/v1/auth/profile").json(&body).send();
    assert_eq!(patch(json!({ "name": "  Ada " })).await.body["name"], "Ada");

    assert_eq!(patch(json!({})).await.body["name"], "Ada");
    assert_eq!(patch(json!({ "name": null })).await.body["name"], "");
}

/// It is shown to others, in lists, mails and terminals.
#[tokio::test]
async fn a_name_cannot_steer_what_shows_it() {
    let app = TestApp::with_people().await;
    for name in ["a\r\nBcc: eve@example.com", "\u{1b}[2J", "admin\u{202e}gnp.exe", "a\tb\u{2028}c"] {
        let patch = app.as_role("user", Method::PATCH, "/api/v1/auth/profile").json(&json!({ "name": name })).send();
        let register = json!({ "email": "eve@example.com", "password": PASSWORD, "name": name });
        let register = app.ask(Method::POST, "/api/v1/auth/register").json(&register).send();
        for reply in [patch.await, register.await] {
            assert_eq!(reply.refusal(), (422, "validation-failed"), "{name:?}");
            assert_eq!(reply.body["errors"][0]["pointer"], "/name");
        }
    }
}

#[tokio::test]
async fn a_setup_link_makes_one_admin_also_when_fifty_race_for_it() {
    let app = TestApp::new().await;
    let link = app.operator(Method::POST, "/api/v1/admin/setup-links").send().await;
    assert_eq!(link.status, 201);
    let token = link.str("url").split_once("#token=").expect("a secret").1.to_owned();

    let replies = join_all((0..50).map(|n| {
        let body = json!({ "token": token, "email": format!("admin{n}@example.com"), "password": PASSWORD });
        app.ask(Method::POST, "/api/v1/setup").json(&body).send()
    }))
    .await;

    let made: Vec<_> = replies.iter().filter(|it| it.status == 201).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].body["user"]["role"], "admin");
    assert!(replies.iter().filter(|it| it.status != 201).all(|it| [403, 429, 503].contains(&it.status)));
    assert_eq!(app.profile(&made[0].str("accessToken")).await.body["permissions"], json!(["*"]));
}

#[tokio::test]
async fn a_setup_link_ends_at_its_time() {
    let app = TestApp::new().await;
    let link = app.operator(Method::POST, "/api/v1/admin/setup-links").send().await;
    let token = link.str("url").split_once("#token=").expect("a secret").1.to_owned();
    let body = json!({ "token": token, "email": "ada@example.com", "password": PASSWORD });

    app.advance(3_600);
    let late = app.ask(Method::POST, "/api/v1/setup").json(&body).send().await;

    assert_eq!(late.refusal(), (403, "setup-link-invalid"));
}

/// The link of the first start is in a terminal and perhaps in a log: it must not outlive its purpose.
#[tokio::test]
async fn a_setup_link_ends_when_an_admin_is_made_in_another_way() {
    let app = TestApp::new().await;
    let link = app.operator(Method::POST, "/api/v1/admin/setup-links").send().await;
    let token = link.str("url").split_once("#token=").expect("a secret").1.to_owned();
    let make = |role: &str| {
        let body = json!({ "email": format!("{role}@example.com"), "password": PASSWORD, "role": role });
        app.operator(Method::POST, "/api/v1/admin/users").json(&body).send()
    };
    let set_up = |email| {
        let body = json!({ "token": token, "email": email, "password": PASSWORD });
        app.ask(Method::POST, "/api/v1/setup").json(&body).send()
    };

    assert_eq!(make("user").await.status, 201);
    assert_eq!(set_up("user@example.com").await.refusal(), (409, "email-taken"), "it still works");
    assert_eq!(make("admin").await.status, 201);

    assert_eq!(set_up("eve@example.com").await.refusal(), (403, "setup-link-invalid"));
}

/// Otherwise anyone could keep the owner of a new server out of it.
#[tokio::test]
async fn made_up_setup_links_do_not_lock_the_real_one() {
    let app = TestApp::new().await;
    let link = app.operator(Method::POST, "/api/v1/admin/setup-links").send().await;
    let token = link.str("url").split_once("#token=").expect("a secret").1.to_owned();
    let set_up = |token: &str| {
        let body = json!({ "token": token, "email": "ada@example.com", "password": PASSWORD });
        app.ask(Method::POST, "/api/v1/setup").json(&body).send()
    };

    for n in 0..30 {
        assert_eq!(set_up(&format!("setup_{n}")).await.refusal(), (403, "setup-link-invalid"));
    }

    assert_eq!(set_up(&token).await.status, 201);
}

#[tokio::test]
async fn an_admin_needs_a_longer_password() {
    let app = TestApp::with_people().await;
    let body = |role| json!({ "email": "new@example.com", "password": "eleven char", "role": role });
    let make = |role| app.as_role("admin", Method::POST, "/api/v1/admin/users").json(&body(role)).send();

    assert_eq!(make("admin").await.body["errors"][0]["code"], "too-short");
    let made = make("readonly").await;
    assert_eq!((made.status, made.version()), (201, Some(1)));
    let shown = app.as_role("admin", Method::GET, made.header("location").expect("a place")).send().await;
    assert_eq!((shown.status, &shown.body), (200, &made.body));
    assert_eq!(make("superhero").await.body["errors"][0]["code"], "unknown");
}

#[tokio::test]
async fn a_list_is_paged_by_cursor_and_by_number_without_gaps_or_repeats() {
    let app = TestApp::with_people().await;
    for n in 0..8 {
        app.register(&format!("user{n}@example.com")).await;
    }
    let list = |query: String| app.as_role("admin", Method::GET, &format!("/api/v1/admin/users?{query}")).send();
    let ids = |reply: &crate::support::Reply| -> Vec<String> {
        let data = reply.body["data"].as_array().expect("a page");
        data.iter().map(|it| it["id"].as_str().expect("an id").to_owned()).collect()
    };
    let all = ids(&list("limit=500".to_owned()).await);
    assert_eq!(all.len(), 11);

    let mut by_cursor = Vec::new();
    let mut query = "limit=4&count=exact".to_owned();
    loop {
        let page = list(query).await;
        assert_eq!(page.body["meta"]["total"], 11, "{page:?}");
        by_cursor.extend(ids(&page));
        let Some(cursor) = page.body["meta"]["nextCursor"].as_str() else { break };
        assert!(page.header("link").is_some_and(|it| it.contains(cursor) && it.ends_with("rel=\"next\"")));
        query = format!("limit=4&count=exact&cursor={cursor}");
    }
    let mut by_number = Vec::new();
    for page in 1..=3 {
        by_number.extend(ids(&list(format!("limit=4&page={page}")).await));
    }

    assert_eq!(by_cursor, all);
    assert_eq!(by_number, all);
}

#[tokio::test]
async fn a_cursor_is_its_callers_own_and_cannot_be_made_up() {
    let app = TestApp::with_people().await;
    let first = app.as_role("admin", Method::GET, "/api/v1/admin/users?limit=1").send().await;
    let cursor = first.body["meta"]["nextCursor"].as_str().expect("more").to_owned();
    let path = format!("/api/v1/admin/users?limit=1&cursor={cursor}");

    let own = app.as_role("admin", Method::GET, &path).send().await;
    let later = app.login("admin@example.com", PASSWORD).await.str("accessToken");
    let later = app.ask(Method::GET, &path).bearer(&later).send().await;
    let others = app.operator(Method::GET, &path).send().await;
    let forged = app.as_role("admin", Method::GET, &format!("{path}A")).send().await;

    assert_eq!((own.status, later.status), (200, 200), "also after signing in again");
    assert_eq!(others.body["errors"][0]["pointer"], "?cursor");
    assert_eq!(forged.refusal(), (422, "validation-failed"));
}

#[tokio::test]
async fn second_names_of_paths_answer_like_the_first() {
    let app = TestApp::with_people().await;
    let refresh = app.login("user@example.com", PASSWORD).await.str("refreshToken");

    for path in ["/api/admin/users", "/admin/users", "/api/v1/admin/users"] {
        assert_eq!(app.as_role("admin", Method::GET, path).send().await.status, 200, "{path}");
        assert_eq!(app.as_role("user", Method::GET, path).send().await.status, 403, "{path}");
        assert_eq!(app.ask(Method::GET, path).send().await.status, 401, "{path}");
    }
    for path in ["/api/auth/refresh", "/api/auth/refresh-token", "/api/v1/auth/refresh"] {
        let reply = app.ask(Method::POST, path).json(&json!({ "refreshToken": refresh })).send().await;
        assert_eq!(reply.status, 200, "{path}");
    }
}

/// Who mends one fault after the other gives up: a wrong type hides no other fault.
#[tokio::test]
async fn all_that_is_wrong_with_a_registration_is_told_at_once() {
    let app = TestApp::new().await;
    let told = async |text: &str| {
        let reply = app.ask(Method::POST, "/api/v1/auth/register").text(text.to_owned()).send().await;
        assert_eq!(reply.refusal(), (422, "validation-failed"), "{text}");
        let faults = reply.body["errors"].as_array().expect("faults").clone();
        let told = faults.iter().map(|it| format!("{} {}", it["pointer"], it["code"]).replace('"', ""));
        told.collect::<Vec<_>>()
    };

    assert_eq!(
        told(r#"{"email": 5, "pasword": "x", "name": 7}"#).await,
        ["/email type", "/pasword unknown", "/name type", "/password required"]
    );
    assert_eq!(
        told(&format!(r#"{{"email": [], "email": "x", "name": "{}", "password": "short"}}"#, "x".repeat(201))).await,
        ["/email duplicate", "/email type", "/name too-long", "/password too-short"]
    );
    assert_eq!(
        told(r#"{"email": "nobody", "password": "short", "nam": "x"}"#).await,
        ["/nam unknown", "/email email", "/password too-short"]
    );
    assert_eq!(told(r#"{"email": "nobody", "password": 5}"#).await, ["/password type", "/email email"]);
}

#[tokio::test]
async fn bodies_that_are_no_bodies_are_refused_with_a_reason() {
    let app = TestApp::new().await;
    let send = |text: String| app.ask(Method::POST, "/api/v1/auth/login").text(text).send();

    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in [String::new(), "{".to_owned(), "\u{0}".to_owned(), deep, "null x".to_owned()] {
        assert_eq!(send(text).await.refusal(), (400, "malformed-request"));
    }
    for text in [r#"[]"#, r#"null"#, r#"{"email": 1, "password": {}}"#, r#"{"email":"a","email":"b","password":"c"}"#] {
        assert_eq!(send(text.to_owned()).await.refusal(), (422, "validation-failed"), "{text}");
    }
    let long = json!({ "email": "a@b.c", "password": "x".repeat(1_000_000) });
    assert_eq!(send(long.to_string()).await.body["errors"][0]["code"], "too-long");
    let larger = json!({ "email": "a@b.c", "password": "x".repeat(1_100_000) });
    assert_eq!(send(larger.to_string()).await.refusal(), (413, "body-too-large"));
    let untyped = app.ask(Method::POST, "/api/v1/auth/login").send().await;
    assert_eq!(untyped.refusal(), (415, "unsupported-media-type"));
}
