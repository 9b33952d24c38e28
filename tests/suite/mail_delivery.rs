//! How mails go: to which server, signed, and to whom they do not go.
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use poem::http::Method;
use serde_json::{Value, json};
use steading::base::TenantId;
use steading::db::Tx;

use crate::mail::Post;
use crate::server::command;
use crate::support::smtp::{Leave, Smtp};
use crate::support::{Reply, TestApp};

const SUPPRESSIONS: &str = "/api/v1/admin/mail/suppressions";
/// How long a test waits for a mail.
const PATIENCE: Duration = Duration::from_secs(10);
/// The key of RFC 8463 appendix A.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

/// An app that sends its mails with these servers, in this order.
async fn sending_with(servers: &[&Smtp], more: &[(&str, &str)]) -> Post {
    let ports: Vec<_> = servers.iter().map(|it| it.port.to_string()).collect();
    let mut settings = vec![("MAIL__FROM".to_owned(), "post@example.com")];
    for (at, port) in ports.iter().enumerate() {
        let section = if at == 0 { "MAIL".to_owned() } else { format!("MAIL__FALLBACK__{at}") };
        settings.push((format!("{section}__HOST"), "127.0.0.1"));
        settings.push((format!("{section}__PORT"), port));
        settings.push((format!("{section}__SECURITY"), "none"));
        settings.push((format!("{section}__TIMEOUT_SECS"), "2"));
    }
    let settings: Vec<_> = settings.iter().map(|(key, value)| (key.as_str(), *value)).chain(more.to_vec()).collect();
    Post::with(&settings).await
}

async fn send(post: &Post, to: &str) -> Reply {
    post.app.operator(Method::POST, "/api/v1/admin/mail/test").json(&json!({ "to": to })).send().await
}

async fn suppressions(post: &Post) -> Vec<Value> {
    let reply = post.app.operator(Method::GET, SUPPRESSIONS).send().await;
    reply.body["data"].as_array().expect("addresses").clone()
}

/// The newest job that sends a mail, when it has ended.
async fn ended_job(post: &Post) -> Value {
    let begun = Instant::now();
    loop {
        let jobs = post.app.operator(Method::GET, "/api/v1/admin/jobs?kind=accounts.mail").send().await;
        let newest = jobs.body["data"][0].clone();
        if newest["state"] == "done" || newest["state"] == "failed" {
            return newest;
        }
        assert!(begun.elapsed() < PATIENCE, "{newest}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn forget_password(post: &Post, email: &str) -> Value {
    assert_eq!(post.post("forgot-password", json!({ "email": email })).await.status, 202);
    ended_job(post).await
}

// Several servers.

#[tokio::test]
async fn a_mail_goes_to_the_next_server_when_one_is_not_there() {
    let (first, second) = (Smtp::start().await, Smtp::start().await);
    first.answer("greeting", "", "421 closing down");
    let post = sending_with(&[&first, &second], &[]).await;

    let sent = send(&post, "you@example.com").await;

    assert_eq!((sent.status, sent.str("server")), (200, second.name()), "{sent:?}");
    assert_eq!(second.mails_to("you@example.com").len(), 1);
}

/// Each mail would wait for its timeout.
#[tokio::test]
async fn a_server_that_was_not_there_is_passed_over_for_a_while_unless_no_other_is_left() {
    let (first, second) = (Smtp::start().await, Smtp::start().await);
    first.answer("greeting", "", "421 closing down");
    let post = sending_with(&[&first, &second], &[]).await;
    assert_eq!(send(&post, "you@example.com").await.str("server"), second.name());
    let asked = first.connections();

    assert_eq!(send(&post, "you@example.com").await.str("server"), second.name());
    assert_eq!(first.connections(), asked, "it is passed over");
    first.take_all();
    second.answer("DATA", "", "421 closing down");
    assert_eq!(send(&post, "you@example.com").await.str("server"), first.name(), "no other is left");
    assert_eq!(send(&post, "you@example.com").await.str("server"), first.name(), "it is there again");
}

#[tokio::test]
async fn all_servers_that_took_no_mail_are_named() {
    let (first, second) = (Smtp::start().await, Smtp::start().await);
    for server in [&first, &second] {
        server.answer("RCPT", "", "451 come back later");
    }
    let post = sending_with(&[&first, &second], &[]).await;

    let refused = send(&post, "you@example.com").await;

    assert_eq!(refused.refusal(), (502, "mail-not-sent"));
    let detail = refused.str("detail");
    assert!(detail.contains(&first.name()) && detail.contains(&second.name()), "{detail}");
}

/// They would say the same, and it would count against us.
#[tokio::test]
async fn for_a_receiver_whom_one_server_does_not_know_no_other_is_asked() {
    let (first, second) = (Smtp::start().await, Smtp::start().await);
    first.answer("RCPT", "", "550 5.1.1 no such user");
    let post = sending_with(&[&first, &second], &[]).await;

    assert_eq!(send(&post, "you@example.com").await.refusal(), (502, "mail-not-sent"));
    assert_eq!(second.connections(), 0);
}

#[tokio::test]
async fn what_one_server_refuses_another_is_asked_for() {
    for (step, answer) in [
        ("greeting", "554 you are on a list"),
        ("RCPT", "550 5.7.1 not you"),
        ("RCPT", "550 no"),
        ("RCPT", "502 what"),
        ("DATA", "554 unwanted"),
    ] {
        let (first, second) = (Smtp::start().await, Smtp::start().await);
        first.answer(step, "", answer);
        let post = sending_with(&[&first, &second], &[]).await;

        assert_eq!(send(&post, "you@example.com").await.str("server"), second.name(), "{answer}");
    }
}

#[tokio::test]
async fn a_mail_that_all_servers_refuse_is_not_sent_again_and_one_that_is_about_us_is() {
    for (answer, state) in [("550 5.6.0 unreadable", "failed"), ("550 5.7.1 not you", "pending")] {
        let (first, second) = (Smtp::start().await, Smtp::start().await);
        first.answer("DATA", "", answer);
        second.answer("DATA", "", "550 no");
        let post = sending_with(&[&first, &second], &[]).await;
        assert_eq!(post.post("forgot-password", json!({ "email": "user@example.com" })).await.status, 202);

        let begun = Instant::now();
        let job = loop {
            let jobs = post.app.operator(Method::GET, "/api/v1/admin/jobs?kind=accounts.mail").send().await;
            let newest = jobs.body["data"][0].clone();
            if newest["error"].is_string() {
                break newest;
            }
            assert!(begun.elapsed() < PATIENCE, "{newest}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };

        assert_eq!(job["state"] == "failed", state == "failed", "{job}");
    }
}

/// Many servers let a stranger wait: others are not held up by that.
#[tokio::test]
async fn a_server_that_refuses_one_mail_for_now_is_asked_for_the_next() {
    let (first, second) = (Smtp::start().await, Smtp::start().await);
    first.answer("RCPT", "slow@example.com", "450 4.2.0 greylisted");
    let post = sending_with(&[&first, &second], &[]).await;

    assert_eq!(send(&post, "slow@example.com").await.str("server"), second.name());
    assert_eq!(send(&post, "you@example.com").await.str("server"), first.name());
}

#[tokio::test]
async fn mails_go_over_one_connection_until_the_server_ends_it() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[]).await;

    for _ in 0..3 {
        assert_eq!(send(&post, "you@example.com").await.status, 200);
    }
    smtp.answer("RCPT", "other@example.com", "550 5.7.1 not them");
    assert_eq!(send(&post, "other@example.com").await.refusal(), (502, "mail-not-sent"));
    assert_eq!(send(&post, "you@example.com").await.status, 200);
    assert_eq!(smtp.connections(), 1, "also after a refusal");
    smtp.leave_after_a_mail(Leave::HangUp);
    for _ in 0..2 {
        assert_eq!(send(&post, "you@example.com").await.status, 200);
    }

    assert_eq!((smtp.connections(), smtp.mails_to("you@example.com").len()), (2, 6));
}

/// It ended that connection, and nothing more: the next mail has a new one, and no other server is asked.
#[tokio::test]
async fn a_connection_that_is_of_no_use_any_more_costs_no_mail() {
    for way in [Leave::TooMany, Leave::Close, Leave::LateAnswer] {
        let (first, second) = (Smtp::start().await, Smtp::start().await);
        first.leave_after_a_mail(way);
        let post = sending_with(&[&first, &second], &[]).await;

        for _ in 0..3 {
            assert_eq!(send(&post, "you@example.com").await.str("server"), first.name(), "{way:?}");
            // What comes late is there by then.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }

        assert_eq!((first.connections(), second.connections()), (3, 0), "{way:?}");
    }
}

#[tokio::test]
async fn a_server_is_signed_in_to_whatever_words_it_asks_with() {
    for prompts in [("VXNlcm5hbWU6", "UGFzc3dvcmQ6"), ("VXNlcm5hbWU=", "UGFzc3dvcmQ="), ("", "")] {
        let smtp = Smtp::start().await;
        smtp.ask_for_a_password(prompts);
        let password = [("MAIL__USERNAME", "notes"), ("MAIL__PASSWORD", "s\u{fc}\u{df} \"quoted\"")];
        let post = sending_with(&[&smtp], &password).await;

        assert_eq!(send(&post, "you@example.com").await.status, 200, "{prompts:?}");

        assert_eq!(smtp.signed_in(), [("notes".to_owned(), "s\u{fc}\u{df} \"quoted\"".to_owned())]);
    }
}

/// Mail goes to the same place for all of them.
#[tokio::test]
async fn another_spelling_of_a_domain_is_no_other_address() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[("MAIL__MAILS_PER_RECIPIENT_MAX", "1")]).await;

    assert_eq!(send(&post, "you@b\u{fc}cher.example").await.status, 200);
    for spelled in ["you@xn--bcher-kva.example", "you@b\u{fc}cher.\u{ff45}xample", "you@B\u{dc}CHER.example"] {
        assert_eq!(send(&post, spelled).await.refusal(), (429, "mail-recipient-limit-reached"), "{spelled}");
    }
    let listed = json!({ "address": "me@xn--bcher-kva.example" });
    let add = post.app.operator(Method::POST, SUPPRESSIONS).json(&listed).send().await;
    assert_eq!((add.status, add.str("address").as_str()), (201, "me@b\u{fc}cher.example"), "{add:?}");
    assert_eq!(send(&post, "me@b\u{fc}cher.example").await.refusal(), (409, "mail-suppressed"));

    assert_eq!(smtp.mails_to("you@xn--bcher-kva.example").len(), 1, "as mail servers know it");
}

/// Neither costs memory, nor keeps anybody waiting, nor is asked again at once.
#[tokio::test]
async fn a_server_that_talks_without_end_is_left_soon_and_another_one_is_asked() {
    let second = Smtp::start().await;
    for said in [&b"220-\r\n"[..], b"220-go on\r\n", b"220 endless ", b"\r\n", b"2", b"\0"] {
        let (first, bytes) = Smtp::without_end(said).await;
        let post = sending_with(&[&first, &second], &[]).await;

        assert_eq!(send(&post, "you@example.com").await.str("server"), second.name(), "{said:?}");
        assert_eq!(send(&post, "you@example.com").await.str("server"), second.name(), "{said:?}");

        // What the system holds between both is on top.
        let bytes = bytes.load(Ordering::Relaxed);
        assert!(bytes < 16 << 20, "{bytes} bytes of {said:?}");
        assert_eq!(first.connections(), 1, "it is passed over: {said:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_let_us_in_is_passed_over_for_a_while() {
    let (first, second) = (Smtp::start().await, Smtp::start().await);
    first.answer("greeting", "", "554 you are on a list");
    let post = sending_with(&[&first, &second], &[]).await;

    for _ in 0..2 {
        assert_eq!(send(&post, "you@example.com").await.str("server"), second.name());
    }

    assert_eq!(first.connections(), 1);
}

/// It may be shown at a terminal, and in a page.
#[tokio::test]
async fn what_a_server_answers_is_told_once_in_one_line_of_visible_characters() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[]).await;
    smtp.answer("RCPT", "", "550-5.7.1 not\x1b[31m\0 you,\r\n550 5.7.1 never");

    let refused = send(&post, "you@example.com").await;

    let expected = format!("{} refuses it: 550 5.7.1 not\\u{{1b}}[31m\\u{{0}} you, never", smtp.name());
    assert!(refused.str("detail").contains(&expected), "{refused:?}");
}

// Signatures.

#[tokio::test]
async fn mails_are_signed_and_an_admin_sees_what_is_to_be_published() {
    let smtp = Smtp::start().await;
    let dkim = [("MAIL__DKIM__DOMAIN", "example.com"), ("MAIL__DKIM__SELECTOR", "s1"), ("MAIL__DKIM__KEY", KEY)];
    let post = sending_with(&[&smtp], &dkim).await;

    assert_eq!(send(&post, "you@example.com").await.status, 200);
    let record = post.app.operator(Method::GET, "/api/v1/admin/mail/dkim").send().await;

    let signature = smtp.mails_to("you@example.com")[0].header("dkim-signature").expect("a signature");
    assert!(signature.starts_with("v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.com; s=s1; h=from:from:to:"));
    let expected = json!({
        "name": "s1._domainkey.example.com",
        "type": "TXT",
        "value": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    });
    assert_eq!(record.body, expected);
}

#[tokio::test]
async fn without_a_key_nothing_is_signed_and_there_is_nothing_to_publish() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[]).await;

    assert_eq!(send(&post, "you@example.com").await.status, 200);

    assert_eq!(smtp.mails_to("you@example.com")[0].header("dkim-signature"), None);
    let record = post.app.operator(Method::GET, "/api/v1/admin/mail/dkim").send().await;
    assert_eq!(record.refusal(), (404, "mail-dkim-not-set"));
}

// Addresses that get nothing.

#[tokio::test]
async fn nothing_more_is_sent_to_an_address_that_does_not_exist_until_an_admin_says_so() {
    let smtp = Smtp::start().await;
    smtp.answer("RCPT", "user@example.com", "550 5.1.1 no such mailbox");
    let post = sending_with(&[&smtp], &[]).await;

    let failed = forget_password(&post, "user@example.com").await;
    assert_eq!((&failed["state"], &failed["attempts"]), (&json!("failed"), &json!(1)), "{failed}");
    let found = suppressions(&post).await;
    assert_eq!((&found[0]["address"], &found[0]["reason"]), (&json!("user@example.com"), &json!("bounce")));
    assert!(found[0]["detail"].as_str().is_some_and(|it| it.contains("no such mailbox")), "{found:?}");
    smtp.take_all();
    let asked = smtp.connections();
    let withheld = forget_password(&post, "user@example.com").await;
    assert_eq!(withheld["state"], "done", "{withheld}");
    assert!(
        withheld["note"].as_str().is_some_and(|it| it.contains("nothing is sent to user@example.com")),
        "{withheld}"
    );
    assert_eq!(send(&post, "User@Example.com").await.refusal(), (409, "mail-suppressed"));
    assert_eq!(smtp.connections(), asked, "nobody was asked");

    let path = format!("{SUPPRESSIONS}/{}", found[0]["id"].as_str().expect("an id"));
    assert_eq!(post.app.operator(Method::DELETE, &path).send().await.status, 204);
    assert_eq!(post.app.operator(Method::DELETE, &path).send().await.refusal(), (404, "not-found"));
    let sent = forget_password(&post, "user@example.com").await;
    assert_eq!((&sent["state"], sent.get("note")), (&json!("done"), None), "{sent}");
    assert_eq!(smtp.mails_to("user@example.com").len(), 1);

    let trail = post.app.operator(Method::GET, "/api/v1/admin/audit?resource=email/user@example.com").send().await;
    let told: Vec<_> =
        trail.body["data"].as_array().expect("entries").iter().map(|it| (&it["action"], &it["actorKind"])).collect();
    let (suppress, again) = (json!("mail.suppress"), json!("mail.unsuppress"));
    assert!(told.contains(&(&suppress, &json!("server"))) && told.contains(&(&again, &json!("operator"))), "{told:?}");
}

/// 550 says many things: that a mail is unwanted, or that we may not send here.
#[tokio::test]
async fn only_a_refusal_that_is_about_the_receiver_is_remembered() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[]).await;
    for (step, answer, is_remembered) in [
        ("RCPT", "550 5.1.1 no such user", true),
        ("RCPT", "550 5.1.10 null MX", true),
        ("DATA", "550 5.1.1 no such user after all", false),
        ("RCPT", "550 no such user", false),
        ("RCPT", "551 moved", false),
        ("RCPT", "553 no such name", false),
        ("RCPT", "550 5.7.1 we do not like you", false),
        ("RCPT", "550 5.1.8 no such sender", false),
        ("RCPT", "552 5.2.2 mailbox full", false),
        ("RCPT", "554 no", false),
        ("DATA", "550 unwanted", false),
        ("DATA", "554 5.6.0 unreadable", false),
        ("RCPT", "450 4.1.1 not now", false),
    ] {
        smtp.take_all();
        smtp.answer(step, "you@example.com", answer);

        assert_eq!(send(&post, "you@example.com").await.refusal(), (502, "mail-not-sent"), "{answer}");

        let found = suppressions(&post).await;
        assert_eq!(found.len(), usize::from(is_remembered), "{step} {answer}");
        for it in found {
            let path = format!("{SUPPRESSIONS}/{}", it["id"].as_str().expect("an id"));
            assert_eq!(post.app.operator(Method::DELETE, &path).send().await.status, 204);
        }
    }
}

#[tokio::test]
async fn an_admin_lists_adds_and_removes_addresses() {
    let app = TestApp::with_people().await;
    let add = |body: Value| app.operator(Method::POST, SUPPRESSIONS).json(&body).send();
    let first = add(json!({ "address": " Ada@Example.com " })).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!((first.str("address"), first.str("reason")), ("ada@example.com".to_owned(), "manual".to_owned()));
    let again = add(json!({ "address": "ada@example.com", "reason": "complaint" })).await;
    assert_eq!((again.status, &again.body), (200, &first.body), "as it was");
    let detail = "asked for it by telephone";
    let second = add(json!({ "address": "bob@example.com", "reason": "complaint", "detail": detail })).await;
    assert_eq!((second.status, second.str("detail").as_str()), (201, detail));
    for address in ["", "ada", "ada@example.com\r\nBcc: all@example.com", "a b@example.com"] {
        assert_eq!(add(json!({ "address": address })).await.refusal(), (422, "validation-failed"), "{address}");
    }
    assert_eq!(add(json!({ "address": "c@example.com", "reason": "whim" })).await.status, 422);

    let list = async |query: &str| app.operator(Method::GET, &format!("{SUPPRESSIONS}?{query}")).send().await;
    let one = list("limit=1&count=exact").await;
    assert_eq!((&one.body["data"][0]["address"], &one.body["meta"]["total"]), (&json!("bob@example.com"), &json!(2)));
    let next = list(&format!("limit=1&cursor={}", one.body["meta"]["nextCursor"].as_str().expect("a cursor"))).await;
    assert_eq!(next.body["data"][0]["address"], "ada@example.com");
    let found = list("address=ADA@example.com").await;
    assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{found:?}");
    assert_eq!(list("address=nobody@example.com").await.body["data"], json!([]));
    assert_eq!(app.operator(Method::DELETE, &format!("{SUPPRESSIONS}/nonsense")).send().await.status, 404);
}

/// What is full must not keep the server from learning, nor push out what people asked for.
#[tokio::test]
async fn the_list_of_addresses_is_full_at_some_point_and_bounces_make_room_for_bounces() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[]).await;
    let fill = |tx: &mut Tx<'_>| {
        tx.execute(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
             INSERT INTO mail_suppressions (id, address, reason, detail, created_at)
             SELECT '11111111-0000-7000-8000-' || substr('000000000000' || n, -12), n || '@example.com',
                    CASE WHEN n = 500 THEN 'bounce' ELSE 'manual' END, '', 0 FROM numbers",
            &[],
        )
    };
    post.app.app.db.write(&TenantId::main(), fill).await.expect("filled");
    let is_there = async |address: &str| {
        let reply = post.app.operator(Method::GET, &format!("{SUPPRESSIONS}?address={address}")).send().await;
        reply.body["data"].as_array().is_some_and(|it| it.len() == 1)
    };

    let add = post.app.operator(Method::POST, SUPPRESSIONS).json(&json!({ "address": "ada@example.com" }));
    assert_eq!(add.send().await.refusal(), (409, "mail-suppression-limit-reached"));
    let known = post.app.operator(Method::POST, SUPPRESSIONS).json(&json!({ "address": "7@example.com" }));
    assert_eq!(known.send().await.status, 200, "it is there");

    smtp.answer("RCPT", "", "550 5.1.1 no such user");
    assert!(is_there("500@example.com").await);
    assert_eq!(send(&post, "gone@example.com").await.status, 502);
    assert!(is_there("gone@example.com").await && !is_there("500@example.com").await, "one made room");
    assert_eq!(send(&post, "too@example.com").await.status, 502);
    assert!(is_there("too@example.com").await && !is_there("gone@example.com").await);
    let total = post.app.operator(Method::GET, &format!("{SUPPRESSIONS}?count=exact")).send().await;
    assert_eq!(total.body["meta"]["total"], 100_000);
}

/// Their old address is what is wrong.
#[tokio::test]
async fn who_has_an_address_that_gets_nothing_can_change_to_another() {
    let post = Post::new().await;
    let body = json!({ "address": "user@example.com" });
    assert_eq!(post.app.operator(Method::POST, SUPPRESSIONS).json(&body).send().await.status, 201);

    let change = json!({ "newEmail": "new@example.com", "password": crate::support::PASSWORD });
    let asked = post.app.as_role("user", Method::POST, "/api/v1/auth/change-email").json(&change).send().await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let mail = post.mail("new@example.com", "change-email").await;
    let changed = post.post("verify-email", json!({ "token": crate::mail::token(&mail) })).await;

    assert_eq!(changed.status, 204, "{changed:?}");
    post.rest().await;
    assert_eq!(post.mailbox("user@example.com").await, Vec::<Value>::new(), "the old one gets nothing");
    assert_eq!(post.app.login("new@example.com", crate::support::PASSWORD).await.status, 200);
}

// Reports.

fn report(of_type: &str, said: &str, message_id: &str, to: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example.net\r\nTo: post@example.com\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n\
         --b\r\nContent-Type: message/{of_type}\r\n\r\n{said}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
         Message-ID: <{message_id}>\r\nFrom: post@example.com\r\nTo: {to}\r\nSubject: A test\r\n\r\nHello\r\n--b--\r\n"
    )
}

fn bounce(message_id: &str, to: &str) -> String {
    let said = format!(
        "Reporting-MTA: dns; mx.example.net\r\n\r\nFinal-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 no such user\r\n"
    );
    report("delivery-status", &said, message_id, to)
}

async fn hand_in(app: &TestApp, report: impl Into<String>) -> Reply {
    let ask = app.operator(Method::POST, "/api/v1/admin/mail/reports");
    ask.raw(report).header("content-type", "message/rfc822").send().await
}

/// A mail of ours to an address, as its receiver has it.
async fn message_id(post: &Post, smtp: &Smtp, to: &str) -> String {
    assert_eq!(send(post, to).await.status, 200);
    smtp.mails_to(to).last().expect("a mail").message_id()
}

#[tokio::test]
async fn a_report_about_a_mail_of_ours_ends_mails_to_its_receiver() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[]).await;
    let id = message_id(&post, &smtp, "ada@example.com").await;
    assert!(id.ends_with("@example.com"), "{id}");

    let taken = hand_in(&post.app, bounce(&id, "ada@example.com")).await;

    assert_eq!(taken.status, 200, "{taken:?}");
    let kept = &taken.body["suppressed"];
    assert_eq!((&kept["address"], &kept["reason"]), (&json!("ada@example.com"), &json!("bounce")), "{taken:?}");
    assert_eq!(kept["detail"], "5.1.1 smtp; 550 no such user");
    assert_eq!(send(&post, "ada@example.com").await.refusal(), (409, "mail-suppressed"));
    let again = hand_in(&post.app, bounce(&id, "ada@example.com")).await;
    assert_eq!(again.body, taken.body, "a report may come twice");

    let id = message_id(&post, &smtp, "bob@example.com").await;
    let said = "Feedback-Type: abuse\r\nUser-Agent: Example/1.0\r\nVersion: 1\r\n";
    let taken = hand_in(&post.app, report("feedback-report", said, &id, "bob@example.com")).await;
    assert_eq!(taken.body["suppressed"]["reason"], "complaint", "{taken:?}");
}

/// A stranger writes to the address that mails come from as easily as a mail server does.
#[tokio::test]
async fn a_report_that_somebody_made_up_ends_no_mails() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[]).await;
    let own = message_id(&post, &smtp, "evil@example.com").await;
    let (id, _) = own.split_once('.').expect("a mark");
    for (message_id, to) in [
        (own.as_str(), "ada@example.com"),
        (&format!("{id}.{}@example.com", "a".repeat(26)), "ada@example.com"),
        (&format!("{id}@example.com"), "ada@example.com"),
        ("", "ada@example.com"),
        (&own.replace("@example.com", ""), "evil@example.com"),
    ] {
        let refused = hand_in(&post.app, bounce(message_id, to)).await;
        assert_eq!(refused.status, 422, "{message_id} {refused:?}");
    }
    let two = bounce(&own, "ada@example.com")
        .replace("To: ada@example.com\r\nSubject", "To: ada@example.com, <b@example.com>\r\nSubject");
    assert_eq!(hand_in(&post.app, two).await.refusal(), (422, "mail-report-foreign"));

    assert_eq!(suppressions(&post).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_mail_that_is_late_or_wanted_after_all_ends_nothing() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[]).await;
    let id = message_id(&post, &smtp, "ada@example.com").await;
    let praise = report("feedback-report", "Feedback-Type: not-spam\r\nVersion: 1\r\n", &id, "ada@example.com");
    let failed = bounce(&id, "ada@example.com");
    let late = failed.replace("failed", "delayed").replace("5.1.1", "4.4.1");
    let others = ["5.2.2", "5.7.1", "5.4.4"].map(|it| failed.replace("5.1.1", it));
    for harmless in [late, praise].into_iter().chain(others) {
        let taken = hand_in(&post.app, harmless).await;
        assert_eq!((taken.status, &taken.body), (200, &json!({})), "{taken:?}");
    }
    assert_eq!(suppressions(&post).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_no_report_is_refused() {
    let app = TestApp::new().await;
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(30_000);
    for nonsense in ["", "hello", "Subject: hello\r\n\r\nhello", "\u{0}\u{1}", &deep] {
        assert_eq!(hand_in(&app, nonsense).await.refusal(), (422, "mail-report-unreadable"), "{nonsense:.40}");
    }
    let large = hand_in(&app, "a".repeat((1 << 20) + 1)).await;
    assert_eq!(large.refusal(), (413, "body-too-large"));
    let json = app.operator(Method::POST, "/api/v1/admin/mail/reports").json(&json!({})).send().await;
    assert_eq!(json.refusal(), (415, "unsupported-media-type"));
}

// As many as somebody gets.

#[tokio::test]
async fn nobody_gets_more_mails_within_a_day_than_are_set() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[("MAIL__MAILS_PER_RECIPIENT_MAX", "2")]).await;
    smtp.answer("RCPT", "user@example.com", "451 not now");
    assert_eq!(send(&post, "user@example.com").await.status, 502);
    smtp.take_all();
    for _ in 0..2 {
        assert_eq!(send(&post, "user@example.com").await.status, 200, "what was not sent does not count");
    }

    let refused = send(&post, "User@example.com").await;

    assert_eq!(refused.refusal(), (429, "mail-recipient-limit-reached"));
    // The clock stands at 03:04:05.678.
    assert_eq!(refused.header("retry-after"), Some("75355"));
    let withheld = forget_password(&post, "user@example.com").await;
    assert_eq!(withheld["state"], "done", "{withheld}");
    assert!(withheld["note"].as_str().is_some_and(|it| it.contains("2 mails")), "{withheld}");
    assert_eq!(send(&post, "other@example.com").await.status, 200, "others get theirs");
    assert_eq!(smtp.mails_to("user@example.com").len(), 2);
    post.app.advance(75_355);
    assert_eq!(send(&post, "user@example.com").await.status, 200, "another day");
}

/// Strangers can ask for many mails to an address; its owner learns of what happens to the account.
#[tokio::test]
async fn who_had_enough_mails_still_gets_notices_of_safety() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[("MAIL__MAILS_PER_RECIPIENT_MAX", "1")]).await;
    assert_eq!(send(&post, "user@example.com").await.status, 200);
    assert_eq!(send(&post, "user@example.com").await.refusal(), (429, "mail-recipient-limit-reached"));

    let change = json!({ "newEmail": "new@example.com", "password": crate::support::PASSWORD });
    let asked = post.app.as_role("user", Method::POST, "/api/v1/auth/change-email").json(&change).send().await;
    assert_eq!(asked.status, 202, "{asked:?}");
    post.rest().await;
    let asking = smtp.mails_to("new@example.com").pop().expect("a mail").text.replace("=\r\n", "").replace("=3D", "=");
    let (_, token) = asking.split_once("token=").expect("a token");
    let token: String = token.chars().take_while(|it| it.is_alphanumeric() || ['-', '_'].contains(it)).collect();
    assert_eq!(post.post("verify-email", json!({ "token": token })).await.status, 204);

    post.rest().await;
    assert_eq!(smtp.mails_to("user@example.com").len(), 2, "it is told that the address was changed");
}

/// Whoever has the address next is somebody else; that they want no mails stays.
#[tokio::test]
async fn an_account_that_is_purged_leaves_no_count_and_its_wish_to_get_nothing() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[("MAIL__MAILS_PER_RECIPIENT_MAX", "1")]).await;
    for (name, is_unwilling) in [("ada", false), ("bob", true)] {
        let email = format!("{name}@example.com");
        let (id, _) = post.app.person(name, "user").await;
        post.rest().await;
        if smtp.mails_to(&email).is_empty() {
            assert_eq!(send(&post, &email).await.status, 200);
        }
        assert_eq!(send(&post, &email).await.refusal(), (429, "mail-recipient-limit-reached"));
        if is_unwilling {
            let body = json!({ "address": email });
            assert_eq!(post.app.operator(Method::POST, SUPPRESSIONS).json(&body).send().await.status, 201);
        }

        assert_eq!(post.app.operator(Method::DELETE, &format!("/api/v1/users/{id}")).send().await.status, 204);
        assert_eq!(post.app.operator(Method::POST, &format!("/api/v1/users/{id}/purge")).send().await.status, 204);

        assert_eq!(send(&post, &email).await.status, if is_unwilling { 409 } else { 200 });
    }
}

/// From outside: what the doctor says of mails, and what is printed to be published.
#[test]
fn the_command_line_names_the_servers_and_the_record_to_publish() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str], settings: &[(&str, &str)]| {
        let ran = command(folder.path(), args).envs(settings.iter().copied()).output().expect("run");
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
    };
    let mut settings = vec![
        ("STEADING__MAIL__HOST", "smtp.example.com"),
        ("STEADING__MAIL__FROM", "post@example.com"),
        ("STEADING__MAIL__FALLBACK__1__HOST", "b.example.com"),
    ];
    assert!(run(&["doctor"], &[]).contains("ok    mails: no server is set"));
    let unsigned = run(&["doctor"], &settings);
    assert!(unsigned.contains("sent with smtp.example.com:587, then b.example.com:587; not signed"), "{unsigned}");
    assert!(run(&["mail", "dkim"], &settings).contains("no key is set to sign mails with"));

    settings.extend([
        ("STEADING__MAIL__DKIM__DOMAIN", "example.com"),
        ("STEADING__MAIL__DKIM__SELECTOR", "s1"),
        ("STEADING__MAIL__DKIM__KEY", KEY),
    ]);
    assert!(run(&["doctor"], &settings).contains("signed as `s1._domainkey.example.com`"));
    let printed = run(&["mail", "dkim"], &settings);
    let expected = "name   s1._domainkey.example.com\ntype   TXT\nvalue  v=DKIM1; k=ed25519; p=11qY";
    assert!(printed.starts_with(expected), "{printed}");
    assert!(!folder.path().join("data").exists(), "looking makes no data");
}

#[tokio::test]
async fn as_many_mails_as_wanted_are_sent_where_no_limit_is_set() {
    let smtp = Smtp::start().await;
    let post = sending_with(&[&smtp], &[("MAIL__MAILS_PER_RECIPIENT_MAX", "0")]).await;
    for _ in 0..60 {
        assert_eq!(send(&post, "user@example.com").await.status, 200);
    }
    let usual = sending_with(&[&smtp], &[]).await;
    assert_eq!(send(&usual, "user@example.com").await.status, 200);
    let all_but_one = |tx: &mut Tx<'_>| tx.execute("UPDATE mail_counts SET count = 499", &[]);
    usual.app.app.db.write(&TenantId::main(), all_but_one).await.expect("counted");
    assert_eq!(send(&usual, "user@example.com").await.status, 200);
    assert_eq!(send(&usual, "user@example.com").await.status, 429);
}
