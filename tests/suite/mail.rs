//! Mails and what hangs on them: verifying an address, a new password, signing in without one.
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};
use steading::work::Lifecycle;

use crate::support::{PASSWORD, Reply, TestApp};

const NEW_PASSWORD: &str = "another horse, another staple";
/// How long a test waits for a mail.
const PATIENCE: Duration = Duration::from_secs(10);

/// An app whose jobs are done.
pub struct Post {
    pub app: TestApp,
    /// Ends the jobs with the test.
    lifecycle: Lifecycle,
}

impl Drop for Post {
    fn drop(&mut self) {
        self.lifecycle.stop_token().cancel();
    }
}

impl Post {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::around(TestApp::with_people_and(settings).await)
    }

    pub fn around(app: TestApp) -> Self {
        let lifecycle = Lifecycle::new();
        app.app.start(&lifecycle);
        Self { app, lifecycle }
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.app.ask(Method::POST, &format!("/api/v1/auth/{path}")).json(&body).send().await
    }

    pub async fn mailbox(&self, to: &str) -> Vec<Value> {
        let path = format!("/api/v1/admin/mailbox?to={to}&limit=500");
        let reply = self.app.operator(Method::GET, &path).send().await;
        reply.body["data"].as_array().expect("mails").clone()
    }

    /// The newest mail of a kind to an address, when there are `count` of them.
    pub async fn nth_mail(&self, to: &str, template: &str, count: usize) -> Value {
        let begun = Instant::now();
        loop {
            let mails = self.mailbox(to).await;
            let mut of_kind = mails.into_iter().filter(|it| it["template"] == template);
            let newest = of_kind.next();
            if count <= newest.iter().count() + of_kind.count() {
                return newest.expect("a mail");
            }
            assert!(begun.elapsed() < PATIENCE, "no mail `{template}` came to {to}: {:?}", self.mailbox(to).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn mail(&self, to: &str, template: &str) -> Value {
        self.nth_mail(to, template, 1).await
    }

    /// Waits until no job is to be done.
    pub async fn rest(&self) {
        let begun = Instant::now();
        loop {
            let counts = self.app.operator(Method::GET, "/api/v1/admin/jobs/counts").send().await;
            let open = counts.body["data"].as_array().expect("counts").iter();
            if open.filter(|it| it["state"] == "waiting" || it["state"] == "running").count() == 0 {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{counts:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What stands in the link of a mail.
pub fn token(mail: &Value) -> String {
    let text = mail["text"].as_str().expect("a text");
    let after = text.split("?token=").nth(1).unwrap_or_else(|| panic!("no link in {text}"));
    after.split_whitespace().next().expect("a token").to_owned()
}

fn code(mail: &Value) -> String {
    let text = mail["text"].as_str().expect("a text");
    let is_code = |it: &&str| it.len() == 8 && it.bytes().all(|it| it.is_ascii_digit());
    text.split_whitespace().find(is_code).unwrap_or_else(|| panic!("no code in {text}")).to_owned()
}

pub fn link_host(mail: &Value) -> &str {
    let text = mail["text"].as_str().expect("a text");
    text.split_whitespace().find(|it| it.contains("?token=")).expect("a link").split('?').next().expect("an address")
}

// Verifying an address.

#[tokio::test]
async fn whoever_opens_the_link_in_the_mail_has_a_verified_address() {
    let post = Post::new().await;
    let tokens = post.app.register("ada@example.com").await;

    let mail = post.mail("ada@example.com", "verification").await;
    let verified = post.post("verify-email", json!({ "token": token(&mail) })).await;

    assert_eq!(verified.status, 204, "{verified:?}");
    assert_eq!(post.app.profile(&tokens.str("accessToken")).await.body["emailVerified"], true, "at once");
    post.mail("ada@example.com", "welcome").await;
    let again = post.post("verify-email", json!({ "token": token(&mail) })).await;
    assert_eq!(again.refusal(), (403, "one-time-secret-invalid"));
}

#[tokio::test]
async fn a_code_does_what_the_link_does() {
    let post = Post::new().await;
    let tokens = post.app.register("ada@example.com").await;
    let mail = post.mail("ada@example.com", "verification").await;

    let body = json!({ "email": "Ada@Example.com", "code": code(&mail) });
    assert_eq!(post.post("verify-email", body).await.status, 204);

    assert_eq!(post.app.profile(&tokens.str("accessToken")).await.body["emailVerified"], true);
    let link = post.post("verify-email", json!({ "token": token(&mail) })).await;
    assert_eq!(link.refusal(), (403, "one-time-secret-invalid"), "both are one secret");
}

/// Somebody else may have registered with it, and wait for its owner to open the link.
#[tokio::test]
async fn who_shows_the_password_too_verifies_no_account_that_somebody_else_made() {
    for verification in ["required", "auto"] {
        let post = Post::with(&[("ACCOUNTS__VERIFICATION", verification)]).await;
        post.app.register("ada@example.com").await;
        let mail = post.mail("ada@example.com", "verification").await;
        let verify = |password: &str| post.post("verify-email", json!({ "token": token(&mail), "password": password }));

        let wrong = verify("what Ada would have chosen").await;
        assert_eq!(wrong.refusal(), (422, "validation-failed"));
        assert_eq!(
            (&wrong.body["errors"][0]["pointer"], &wrong.body["errors"][0]["code"]),
            (&json!("/password"), &json!("wrong"))
        );
        assert_eq!(verify(PASSWORD).await.status, 204, "the secret is not used up by it");
        assert_eq!(post.app.login("ada@example.com", PASSWORD).await.body["user"]["emailVerified"], true);
    }
}

/// Whoever has the mail and no password guesses at one like anybody else.
#[tokio::test]
async fn passwords_beside_a_secret_of_a_mail_are_guesses_that_count() {
    let post = Post::with(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ACCOUNT_MAX", "3")]).await;
    post.app.register("ada@example.com").await;
    let mail = post.mail("ada@example.com", "verification").await;
    let verify = |password: &str| post.post("verify-email", json!({ "token": token(&mail), "password": password }));
    // Guesses of others at signing in are not held against whoever has the mail.
    for _ in 0..4 {
        post.app.login("ada@example.com", "of somebody else").await;
    }
    for _ in 0..3 {
        assert_eq!(verify("a guess").await.status, 422);
    }

    assert_eq!(verify(PASSWORD).await.refusal(), (429, "too-many-requests"));
}

/// Somebody who registers with the address of somebody else has no words in the mails to them.
#[tokio::test]
async fn a_name_is_in_no_mail_to_an_address_that_nobody_showed_to_be_theirs() {
    let post = Post::new().await;
    let body = json!({ "email": "target@example.com", "password": PASSWORD, "name": "see https://evil.example" });
    assert_eq!(post.post("register", body).await.status, 201);
    for path in ["forgot-password", "email-sign-in"] {
        assert_eq!(post.post(path, json!({ "email": "target@example.com" })).await.status, 202);
    }

    for template in ["verification", "reset-password", "code"] {
        let mail = post.mail("target@example.com", template).await;
        assert!(!mail.to_string().contains("evil.example"), "{mail}");
    }
}

/// An admin's record may refer to someone who did not verify yet.
#[tokio::test]
async fn who_registers_again_is_who_records_refer_to() {
    let post = Post::with(&[("ACCOUNTS__VERIFICATION", "required")]).await;
    let first = post.app.register("ada@example.com").await;
    let owner = json!({ "name": "owner", "type": "relation", "collection": "users" });
    let notes = json!({ "name": "notes", "fields": [owner] });
    assert_eq!(post.app.operator(Method::POST, "/api/v1/collections").json(&notes).send().await.status, 201);
    let path = "/api/v1/collections/notes/records";
    let note = post.app.operator(Method::POST, path).json(&json!({ "owner": first.body["user"]["id"] })).send().await;
    assert_eq!(note.status, 201, "{note:?}");
    post.mail("ada@example.com", "verification").await;

    let body = json!({ "email": "ada@example.com", "password": NEW_PASSWORD });
    assert_eq!(post.post("register", body).await.status, 201);
    let mail = post.nth_mail("ada@example.com", "verification", 2).await;
    assert_eq!(post.post("verify-email", json!({ "token": token(&mail) })).await.status, 204);
    let login = post.app.login("ada@example.com", NEW_PASSWORD).await;

    let note = post.app.operator(Method::GET, &format!("{path}/{}", note.str("id"))).send().await;
    assert_eq!(login.body["user"]["id"], note.body["owner"], "{login:?}");
}

/// Whoever registers is told an id, and it is theirs.
#[tokio::test]
async fn who_registers_again_before_verifying_has_the_id_that_they_were_told() {
    let post = Post::with(&[("ACCOUNTS__VERIFICATION", "required")]).await;
    post.app.register("ada@example.com").await;
    post.mail("ada@example.com", "verification").await;
    let again = post.app.register("ada@example.com").await;
    let mail = post.nth_mail("ada@example.com", "verification", 2).await;
    assert_eq!(post.post("verify-email", json!({ "token": token(&mail) })).await.status, 204);

    let login = post.app.login("ada@example.com", PASSWORD).await;

    assert_eq!(login.body["user"]["id"], again.body["user"]["id"]);
}

/// Links lead where the operator says, whatever host a request names.
#[tokio::test]
async fn links_use_the_public_address_and_never_a_header() {
    let post = Post::with(&[("SERVER__PUBLIC_URL", "https://api.example.com")]).await;
    let body = json!({ "email": "user@example.com" });
    let asked = post
        .app
        .ask(Method::POST, "/api/v1/auth/forgot-password")
        .header("x-forwarded-host", "evil.example")
        .header("forwarded", "host=evil.example")
        .json(&body)
        .send()
        .await;
    assert_eq!(asked.status, 202);

    let mail = post.mail("user@example.com", "reset-password").await;

    assert_eq!(link_host(&mail), "https://api.example.com/reset-password");
    assert!(!mail.to_string().contains("evil.example"));
}

#[tokio::test]
async fn links_lead_to_the_pages_of_an_app_if_it_has_some() {
    let post = Post::with(&[
        ("ACCOUNTS__LINK_RESET_PASSWORD", "https://app.example.com/#/reset?token={token}"),
        ("ACCOUNTS__LINK_SIGN_IN", "https://app.example.com/in?token={token}"),
    ])
    .await;
    post.post("forgot-password", json!({ "email": "user@example.com" })).await;
    post.post("email-sign-in", json!({ "email": "user@example.com" })).await;

    let reset = post.mail("user@example.com", "reset-password").await;
    let sign_in = post.mail("user@example.com", "code").await;

    assert_eq!(link_host(&reset), "https://app.example.com/#/reset");
    let signed_in = post.post("email-sign-in/confirm", json!({ "token": token(&sign_in) })).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
}

// Where it is required.

#[tokio::test]
async fn where_it_is_required_nobody_signs_in_before_the_address_is_verified() {
    let post = Post::with(&[("ACCOUNTS__VERIFICATION", "required")]).await;

    let registered = post.app.register("ada@example.com").await;

    assert_eq!(registered.status, 201);
    assert_eq!(registered.body.as_object().expect("an answer").keys().collect::<Vec<_>>(), ["user"], "no tokens");
    assert_eq!(post.app.login("ada@example.com", PASSWORD).await.refusal(), (401, "wrong-credentials"));
    let mail = post.mail("ada@example.com", "verification").await;
    assert_eq!(post.post("verify-email", json!({ "token": token(&mail) })).await.status, 204);
    assert_eq!(post.app.login("ada@example.com", PASSWORD).await.status, 200);
    // Whoever an admin or a setup link let in is not locked out.
    assert_eq!(post.app.login("user@example.com", PASSWORD).await.status, 200);
}

/// Registering and signing in must not tell who has an account.
#[tokio::test]
async fn where_it_is_required_a_taken_address_is_answered_like_a_free_one() {
    let post = Post::with(&[("ACCOUNTS__VERIFICATION", "required")]).await;

    let (taken, free) = (post.app.register("user@example.com").await, post.app.register("free@example.com").await);

    assert_eq!((taken.status, free.status), (201, 201));
    let shape = |it: &Reply| {
        let user = it.body["user"].as_object().expect("a user").clone();
        user.into_iter().filter(|(name, _)| name != "id" && name != "email").collect::<Vec<_>>()
    };
    assert_eq!(shape(&taken), shape(&free));
    let names = |it: &Reply| it.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&taken), names(&free));
    let words = |it: Reply| (it.status, it.body["code"].clone(), it.body["detail"].clone());
    let other = "a quite different password";
    let right_for_free = post.app.login("free@example.com", PASSWORD).await;
    let wrong_for_taken = post.app.login("user@example.com", other).await;
    assert_eq!(words(right_for_free), words(wrong_for_taken));
    // Whose address it is is told, and their password is still theirs.
    post.mail("user@example.com", "already-registered").await;
    assert_eq!(post.app.login("user@example.com", PASSWORD).await.status, 200);
}

/// Someone else may have tried with the address before: with their password nobody shall get in.
#[tokio::test]
async fn who_registers_again_before_verifying_gets_in_with_the_newest_password_and_link() {
    let post = Post::with(&[("ACCOUNTS__VERIFICATION", "required")]).await;
    post.app.register("ada@example.com").await;
    let first = post.mail("ada@example.com", "verification").await;
    let body = json!({ "email": "ada@example.com", "password": NEW_PASSWORD, "name": "Ada" });
    assert_eq!(post.post("register", body).await.status, 201);
    let second = post.nth_mail("ada@example.com", "verification", 2).await;

    let old_link = post.post("verify-email", json!({ "token": token(&first) })).await;
    let new_link = post.post("verify-email", json!({ "token": token(&second) })).await;

    assert_eq!((old_link.status, new_link.status), (403, 204));
    assert_eq!(post.app.login("ada@example.com", PASSWORD).await.status, 401);
    assert_eq!(post.app.login("ada@example.com", NEW_PASSWORD).await.body["user"]["name"], "Ada");
}

#[tokio::test]
async fn the_mail_that_verifies_is_sent_again_only_to_who_needs_it_and_the_answer_is_the_same() {
    let post = Post::with(&[("ACCOUNTS__VERIFICATION", "required")]).await;
    post.app.register("ada@example.com").await;
    post.mail("ada@example.com", "verification").await;

    let mut answers = Vec::new();
    for email in ["ada@example.com", "nobody@example.com", "admin@example.com"] {
        let reply = post.post("resend-verification", json!({ "email": email })).await;
        answers.push((reply.status, reply.text));
    }

    assert_eq!(answers, vec![(202, String::new()); 3]);
    post.nth_mail("ada@example.com", "verification", 2).await;
    post.rest().await;
    assert_eq!(post.mailbox("nobody@example.com").await, Vec::<Value>::new());
}

// A new password.

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_the_link_and_everyone_is_signed_out() {
    let post = Post::new().await;
    let before = post.app.login("user@example.com", PASSWORD).await;
    post.post("forgot-password", json!({ "email": "user@example.com" })).await;
    let mail = post.mail("user@example.com", "reset-password").await;

    let weak = post.post("reset-password", json!({ "token": token(&mail), "newPassword": "password" })).await;
    assert_eq!((weak.status, weak.body["errors"][0]["pointer"].as_str()), (422, Some("/newPassword")));
    let reset = post.post("reset-password", json!({ "token": token(&mail), "newPassword": NEW_PASSWORD })).await;

    assert_eq!(reset.status, 204, "a password that was refused does not use the link up: {reset:?}");
    assert_eq!(post.app.profile(&before.str("accessToken")).await.status, 401);
    assert_eq!(post.app.refresh(&before.str("refreshToken")).await.status, 401);
    assert_eq!(post.app.login("user@example.com", PASSWORD).await.status, 401);
    let after = post.app.login("user@example.com", NEW_PASSWORD).await;
    assert_eq!(after.body["user"]["emailVerified"], true, "who reads its mails has the address");
    post.mail("user@example.com", "password-changed").await;
}

/// Whoever had the password before has no device that is let in while others guess.
#[tokio::test]
async fn a_password_that_was_reset_is_forgotten_by_all_devices() {
    let post = Post::new().await;
    let device = post.app.login("user@example.com", PASSWORD).await.str("deviceToken");
    post.post("forgot-password", json!({ "email": "user@example.com" })).await;
    let secret = token(&post.mail("user@example.com", "reset-password").await);
    let reset = post.post("reset-password", json!({ "token": secret, "newPassword": NEW_PASSWORD })).await;
    assert_eq!(reset.status, 204, "{reset:?}");
    for _ in 0..10 {
        assert_eq!(post.app.login("user@example.com", "wrong").await.status, 401);
    }

    let body = json!({ "email": "user@example.com", "password": NEW_PASSWORD, "deviceToken": device });
    assert_eq!(post.post("login", body).await.refusal(), (429, "too-many-requests"));
}

/// Strangers who guess at the codes of an account do not use up its owner's guesses.
#[tokio::test]
async fn a_known_device_has_guesses_of_its_own_at_a_code() {
    let post = Post::new().await;
    let device = post.app.login("user@example.com", PASSWORD).await.str("deviceToken");
    post.post("email-sign-in", json!({ "email": "user@example.com" })).await;
    let right = code(&post.mail("user@example.com", "code").await);
    let wrong = if right == "00000000" { "00000001" } else { "00000000" };
    for _ in 0..6 {
        post.post("email-sign-in/confirm", json!({ "email": "user@example.com", "code": wrong })).await;
    }
    let shown = json!({ "email": "user@example.com", "code": right });
    assert_eq!(post.post("email-sign-in/confirm", shown.clone()).await.status, 429);

    let mut on_device = shown;
    on_device["deviceToken"] = json!(device);
    let reply = post.post("email-sign-in/confirm", on_device).await;

    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn of_fifty_who_use_a_link_at_once_one_is_let_in() {
    let post = Post::new().await;
    for (path, template, uses) in [
        // This one first: the others verify the address too.
        ("resend-verification", "verification", "verify-email"),
        ("forgot-password", "reset-password", "reset-password"),
        ("email-sign-in", "code", "email-sign-in/confirm"),
    ] {
        post.post(path, json!({ "email": "readonly@example.com" })).await;
        let mail = post.mail("readonly@example.com", template).await;
        // Of the mail to sign in only the code, since there is no page of an app.
        let mut body = match template {
            "code" => json!({ "email": "readonly@example.com", "code": code(&mail) }),
            _ => json!({ "token": token(&mail) }),
        };
        if uses == "reset-password" {
            body["newPassword"] = NEW_PASSWORD.into();
        }
        let attempts = join_all((0..50).map(|_| post.post(uses, body.clone()))).await;

        let let_in = attempts.iter().filter(|it| it.status < 300).count();
        assert_eq!(let_in, 1, "{uses}: {:?}", attempts.iter().map(|it| it.status).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn the_time_of_a_link_and_of_a_code_ends_as_it_was_said() {
    let post = Post::new().await;
    post.post("forgot-password", json!({ "email": "user@example.com" })).await;
    let mail = post.mail("user@example.com", "reset-password").await;
    let with_code = json!({ "email": "user@example.com", "code": code(&mail), "newPassword": NEW_PASSWORD });
    let with_link = json!({ "token": token(&mail), "newPassword": NEW_PASSWORD });

    post.app.advance(10 * 60);
    assert_eq!(post.post("reset-password", with_code).await.refusal(), (403, "one-time-secret-invalid"));
    post.app.advance(5 * 60 - 1);
    let mut weak = with_link.clone();
    weak["newPassword"] = "password".into();
    assert_eq!(post.post("reset-password", weak).await.status, 422, "a second before its end it works");
    post.app.advance(1);
    assert_eq!(post.post("reset-password", with_link).await.refusal(), (403, "one-time-secret-invalid"));
}

#[tokio::test]
async fn a_code_is_guessed_five_times_and_no_more() {
    let post = Post::new().await;
    post.post("email-sign-in", json!({ "email": "user@example.com" })).await;
    let mail = post.mail("user@example.com", "code").await;
    let right = code(&mail);
    let wrong = if right == "00000000" { "00000001" } else { "00000000" };
    let guess =
        |email: &'static str, code: String| post.post("email-sign-in/confirm", json!({ "email": email, "code": code }));

    for _ in 0..5 {
        assert_eq!(guess("user@example.com", wrong.to_owned()).await.refusal(), (403, "one-time-secret-invalid"));
    }

    assert_eq!(guess("user@example.com", right).await.status, 429);
    // It does not show whether there is an account.
    for _ in 0..5 {
        assert_eq!(guess("nobody@example.com", wrong.to_owned()).await.refusal(), (403, "one-time-secret-invalid"));
    }
    assert_eq!(guess("nobody@example.com", wrong.to_owned()).await.status, 429);
    // Signing in with the password is another way.
    assert_eq!(post.app.login("user@example.com", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn the_secrets_of_mails_do_not_stand_in_for_each_other() {
    let post = Post::new().await;
    post.post("forgot-password", json!({ "email": "user@example.com" })).await;
    post.post("email-sign-in", json!({ "email": "user@example.com" })).await;
    post.post("resend-verification", json!({ "email": "user@example.com" })).await;
    let reset = post.mail("user@example.com", "reset-password").await;
    let verify = post.mail("user@example.com", "verification").await;
    let sign_in = post.mail("user@example.com", "code").await;

    let refresh = post.app.login("user@example.com", PASSWORD).await.str("refreshToken");
    for (path, body) in [
        ("reset-password", json!({ "token": token(&verify), "newPassword": NEW_PASSWORD })),
        ("reset-password", json!({ "email": "user@example.com", "code": code(&sign_in), "newPassword": NEW_PASSWORD })),
        ("email-sign-in/confirm", json!({ "token": token(&reset) })),
        ("email-sign-in/confirm", json!({ "email": "user@example.com", "code": code(&verify) })),
        ("verify-email", json!({ "token": token(&reset) })),
        ("verify-email", json!({ "email": "admin@example.com", "code": code(&verify) })),
        ("verify-email", json!({ "token": refresh })),
        ("verify-email", json!({ "token": "ot_AAAA" })),
    ] {
        let reply = post.post(path, body.clone()).await;
        assert_eq!(reply.refusal(), (403, "one-time-secret-invalid"), "{path} {body}");
    }
    for body in [json!({}), json!({ "email": "user@example.com" }), json!({ "token": "x", "code": "1" })] {
        assert_eq!(post.post("verify-email", body).await.refusal(), (422, "validation-failed"));
    }
}

#[tokio::test]
async fn a_password_that_is_changed_ends_what_was_sent_before_and_the_other_devices() {
    let post = Post::new().await;
    let (here, there) =
        (post.app.login("user@example.com", PASSWORD).await, post.app.login("user@example.com", PASSWORD).await);
    post.post("forgot-password", json!({ "email": "user@example.com" })).await;
    let mail = post.mail("user@example.com", "reset-password").await;
    let change = |current: &str| {
        let body = json!({ "currentPassword": current, "newPassword": NEW_PASSWORD });
        let ask = post.app.ask(Method::POST, "/api/v1/auth/change-password").bearer(&here.str("accessToken"));
        ask.json(&body).send()
    };

    let wrong = change("not my password").await;
    assert_eq!((wrong.status, wrong.body["errors"][0]["pointer"].as_str()), (422, Some("/currentPassword")));
    assert_eq!(change(PASSWORD).await.status, 204);

    assert_eq!(post.app.profile(&here.str("accessToken")).await.status, 200);
    assert_eq!(post.app.profile(&there.str("accessToken")).await.status, 401);
    assert_eq!(post.app.login("user@example.com", NEW_PASSWORD).await.status, 200);
    let link = post.post("reset-password", json!({ "token": token(&mail), "newPassword": PASSWORD })).await;
    assert_eq!(link.refusal(), (403, "one-time-secret-invalid"));
    post.mail("user@example.com", "password-changed").await;
}

/// A session that was left open is no way to try passwords.
#[tokio::test]
async fn wrong_passwords_for_a_change_are_counted_for_the_session() {
    let post = Post::new().await;
    let ask = async |token: &str, password: &str| {
        let body = json!({ "newEmail": "new@example.com", "password": password });
        post.app.ask(Method::POST, "/api/v1/auth/change-email").bearer(token).json(&body).send().await
    };
    let (left_open, other) =
        (post.app.token("user").to_owned(), post.app.login("user@example.com", PASSWORD).await.str("accessToken"));
    for _ in 0..10 {
        assert_eq!(ask(&left_open, "not my password").await.status, 422);
    }

    assert_eq!(ask(&left_open, PASSWORD).await.refusal(), (429, "too-many-requests"));
    assert_eq!(ask(&other, PASSWORD).await.status, 202, "its owner's others go on");
    assert_eq!(post.app.login("user@example.com", PASSWORD).await.status, 200);
}

// Another address.

#[tokio::test]
async fn a_new_address_counts_when_its_link_was_opened_and_the_old_one_is_told() {
    let post = Post::new().await;
    let body = json!({ "newEmail": "New@Example.com", "password": PASSWORD });
    let asked = post.app.as_role("user", Method::POST, "/api/v1/auth/change-email").json(&body).send().await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let mail = post.mail("new@example.com", "change-email").await;
    assert_eq!(post.app.profile(post.app.token("user")).await.body["email"], "user@example.com");

    assert_eq!(post.post("verify-email", json!({ "token": token(&mail) })).await.status, 204);

    let profile = post.app.profile(post.app.token("user")).await;
    assert_eq!((&profile.body["email"], &profile.body["emailVerified"]), (&json!("new@example.com"), &json!(true)));
    assert_eq!(post.app.login("user@example.com", PASSWORD).await.status, 401);
    let notice = post.mail("user@example.com", "email-changed").await;
    assert!(notice["text"].as_str().expect("a text").contains("new@example.com"));
}

#[tokio::test]
async fn a_new_address_that_someone_has_by_then_is_refused() {
    let post = Post::new().await;
    let body = json!({ "newEmail": "new@example.com", "password": PASSWORD });
    post.app.as_role("user", Method::POST, "/api/v1/auth/change-email").json(&body).send().await;
    let mail = post.mail("new@example.com", "change-email").await;
    post.app.register("new@example.com").await;

    let late = post.post("verify-email", json!({ "token": token(&mail) })).await;

    assert_eq!(late.refusal(), (409, "email-taken"));
    assert_eq!(post.app.profile(post.app.token("user")).await.body["email"], "user@example.com");
}

#[tokio::test]
async fn what_was_sent_to_an_account_that_is_disabled_or_deleted_since_changes_nothing() {
    for is_deleted in [false, true] {
        let post = Post::new().await;
        let body = json!({ "newEmail": "new@example.com", "password": PASSWORD });
        post.app.as_role("user", Method::POST, "/api/v1/auth/change-email").json(&body).send().await;
        post.post("forgot-password", json!({ "email": "user@example.com" })).await;
        post.post("resend-verification", json!({ "email": "user@example.com" })).await;
        let (change, reset) =
            (post.mail("new@example.com", "change-email").await, post.mail("user@example.com", "reset-password").await);
        let verify = post.mail("user@example.com", "verification").await;
        let id = post.app.profile(post.app.token("user")).await.str("id");
        let ask = |method: Method, path: String| post.app.as_role("admin", method, &path);
        let gone = match is_deleted {
            true => ask(Method::DELETE, format!("/api/v1/users/{id}")).send().await,
            false => {
                let body = json!({ "disabled": true });
                ask(Method::PATCH, format!("/api/v1/admin/users/{id}")).json(&body).send().await
            }
        };
        assert!(gone.status < 300, "{gone:?}");
        let try_all = async || {
            for (path, body) in [
                ("verify-email", json!({ "token": token(&change) })),
                ("verify-email", json!({ "token": token(&verify) })),
                ("reset-password", json!({ "token": token(&reset), "newPassword": NEW_PASSWORD })),
            ] {
                assert_eq!(post.post(path, body).await.refusal(), (403, "one-time-secret-invalid"), "{path}");
            }
        };

        try_all().await;
        if is_deleted {
            let back = ask(Method::POST, format!("/api/v1/users/{id}/restore")).send().await;
            assert_eq!(back.status, 200, "{back:?}");
            try_all().await;
        }

        let kept = ask(Method::GET, format!("/api/v1/users/{id}")).send().await;
        assert_eq!((&kept.body["email"], &kept.body["emailVerified"]), (&json!("user@example.com"), &json!(false)));
    }
}

// Asking for mails.

/// Each kind by itself, so that a stranger who has one asked for again and again leaves the others, and all kinds together.
#[tokio::test]
async fn nobody_is_flooded_with_mails() {
    let post = Post::with(&[("ACCOUNTS__MAILS_PER_ACCOUNT_MAX", "3")]).await;
    for email in ["user@example.com", "nobody@example.com"] {
        for kind in ["forgot-password", "email-sign-in", "resend-verification"] {
            for _ in 0..3 {
                assert_eq!(post.post(kind, json!({ "email": email })).await.status, 202, "{kind}");
            }
            let more = post.post(kind, json!({ "email": email })).await;
            assert_eq!(more.refusal(), (429, "too-many-requests"), "{kind}, account or not");
        }
        let body = json!({ "newEmail": email, "password": PASSWORD });
        let fourth = post.app.as_role("admin", Method::POST, "/api/v1/auth/change-email").json(&body).send().await;
        assert_eq!(fourth.refusal(), (429, "too-many-requests"), "nine of all kinds");
    }

    post.app.advance(3_600);
    assert_eq!(post.post("forgot-password", json!({ "email": "user@example.com" })).await.status, 202);
}

#[tokio::test]
async fn wrong_codes_of_one_kind_leave_the_others() {
    let post = Post::new().await;
    for kind in ["email-sign-in", "forgot-password"] {
        post.post(kind, json!({ "email": "user@example.com" })).await;
    }
    let right = code(&post.mail("user@example.com", "reset-password").await);
    let guess = json!({ "email": "user@example.com", "code": "no code" });
    for _ in 0..5 {
        assert_eq!(post.post("email-sign-in/confirm", guess.clone()).await.status, 403);
    }
    assert_eq!(post.post("email-sign-in/confirm", guess).await.status, 429);

    let reset = json!({ "email": "user@example.com", "code": right, "newPassword": NEW_PASSWORD });
    assert_eq!(post.post("reset-password", reset).await.status, 204);
}

/// A finger that slips, and a network that sends again.
#[tokio::test]
async fn a_right_code_that_is_sent_again_and_again_is_no_wrong_guess() {
    let post = Post::new().await;
    for kind in ["email-sign-in", "email-sign-in", "email-sign-in"] {
        post.post(kind, json!({ "email": "user@example.com" })).await;
    }
    let right = code(&post.nth_mail("user@example.com", "code", 3).await);
    let body = json!({ "email": "user@example.com", "code": right });

    let first = join_all((0..50).map(|_| post.post("email-sign-in/confirm", body.clone()))).await;
    let more = join_all((0..50).map(|_| post.post("email-sign-in/confirm", body.clone()))).await;

    assert_eq!(first.iter().filter(|it| it.status == 200).count(), 1);
    let told: Vec<_> = first.iter().chain(&more).map(|it| it.status).filter(|it| ![200, 403].contains(it)).collect();
    // Of fifty at once some find no place, but they count for nothing.
    assert!(told.iter().all(|it| *it == 429), "{told:?}");
    let wrong = json!({ "email": "user@example.com", "code": "no code" });
    for _ in 0..5 {
        assert_eq!(post.post("email-sign-in/confirm", wrong.clone()).await.status, 403);
    }
    assert_eq!(post.post("email-sign-in/confirm", wrong).await.status, 429);
}

/// What was opened once is opened again from the history of a browser.
#[tokio::test]
async fn a_link_that_was_used_is_no_guess_however_often_it_is_opened() {
    let post = Post::with(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "3")]).await;
    let from_here = |body: Value| {
        let ask = post.app.ask(Method::POST, "/api/v1/auth/reset-password").from("203.0.113.7");
        ask.json(&body).send()
    };
    post.post("forgot-password", json!({ "email": "user@example.com" })).await;
    let secret = token(&post.mail("user@example.com", "reset-password").await);
    let body = json!({ "token": secret, "newPassword": NEW_PASSWORD });
    assert_eq!(from_here(body.clone()).await.status, 204);

    for _ in 0..10 {
        assert_eq!(from_here(body.clone()).await.refusal(), (403, "one-time-secret-invalid"));
    }

    let made_up = json!({ "token": format!("{}A", &secret[..secret.len() - 1]), "newPassword": NEW_PASSWORD });
    for _ in 0..3 {
        from_here(made_up.clone()).await;
    }
    assert_eq!(from_here(made_up).await.status, 429, "what we never signed is one");
}

#[tokio::test]
async fn a_sign_in_with_another_program_is_told_by_mail_and_the_first_one_is_not() {
    let post = Post::new().await;
    let sign_in = async |agent: &'static str| {
        let body = json!({ "email": "user@example.com", "password": PASSWORD });
        let ask = post.app.ask(Method::POST, "/api/v1/auth/login").header("user-agent", agent);
        assert_eq!(ask.json(&body).send().await.status, 200);
    };
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
    sign_in(firefox).await;
    let mail = post.mail("user@example.com", "new-sign-in").await;
    assert!(mail["text"].as_str().expect("a text").contains("Firefox on Linux"), "{mail}");

    sign_in(firefox).await;
    sign_in("Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0").await;

    post.rest().await;
    let told = post.mailbox("user@example.com").await;
    assert_eq!(told.iter().filter(|it| it["template"] == "new-sign-in").count(), 1, "an update is no other program");
}

// Sessions.

#[tokio::test]
async fn who_is_signed_in_where_is_listed_and_ended_one_by_one() {
    let app = TestApp::with_people().await;
    let other = app.login("user@example.com", PASSWORD).await;
    let foreign = app.as_role("admin", Method::GET, "/api/v1/auth/sessions").send().await;
    let list = app.as_role("user", Method::GET, "/api/v1/auth/sessions").send().await;
    let sessions = list.body["data"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 2, "{list:?}");
    assert_eq!(sessions.iter().filter(|it| it["isCurrent"] == true).count(), 1);
    let there = sessions.iter().find(|it| it["isCurrent"] == false).expect("another")["id"].as_str().expect("an id");
    let end = |id: &str| app.as_role("user", Method::DELETE, &format!("/api/v1/auth/sessions/{id}")).send();

    let of_admin = foreign.body["data"][0]["id"].as_str().expect("an id");
    assert_eq!(end(of_admin).await.refusal(), (404, "not-found"), "another's");
    assert_eq!(end(there).await.status, 204);

    assert_eq!(app.profile(&other.str("accessToken")).await.status, 401, "at once");
    assert_eq!(app.refresh(&other.str("refreshToken")).await.status, 401);
    assert_eq!(end(there).await.refusal(), (404, "not-found"));
    assert_eq!(app.profile(app.token("admin")).await.status, 200);
}

// Words and looks.

#[tokio::test]
async fn an_admin_changes_the_words_and_looks_of_mails_and_goes_back() {
    let post = Post::new().await;
    let templates = "/api/v1/admin/mail/templates";
    let brand = json!({ "productName": "Notes", "accentColor": "#0b57d0", "footer": "Example Ltd" });
    let looks = post.app.as_role("admin", Method::PATCH, "/api/v1/admin/mail/brand").json(&brand).send().await;
    assert_eq!((looks.status, &looks.body["productName"]), (200, &json!("Notes")));
    let words = json!({
        "subject": "Hi {{ name }} of {{ brand.productName }}",
        "text": "Go to {{ link }} or type {{ code }}",
        "html": "{% extends \"layout.html\" %}{% block body %}<a href=\"{{ link }}\">{{ name }}</a>{% endblock %}",
    });
    let put = post.app.as_role("admin", Method::PUT, &format!("{templates}/reset-password")).json(&words).send().await;
    assert_eq!((put.status, &put.body["isChanged"]), (200, &json!(true)), "{put:?}");

    post.post("forgot-password", json!({ "email": "user@example.com" })).await;
    let mail = post.mail("user@example.com", "reset-password").await;

    assert_eq!(mail["subject"], "Hi of Notes");
    assert!(mail["text"].as_str().expect("a text").starts_with("Go to http"), "{mail}");
    let html = mail["html"].as_str().expect("HTML");
    assert!(html.contains("Example Ltd") && html.contains("<a href=\"http"), "{html}");
    let back = post.app.as_role("admin", Method::DELETE, &format!("{templates}/reset-password")).send().await;
    assert_eq!((back.status, &back.body["isChanged"]), (200, &json!(false)));
}

#[tokio::test]
async fn words_that_cannot_be_made_into_a_mail_are_refused_with_the_line() {
    let app = TestApp::with_people().await;
    let path = "/api/v1/admin/mail/templates/welcome";
    let words = json!({ "subject": "Hi {{ nam }}", "text": "a\n{% if %}", "html": "<p>{{ name }}</p>" });

    for path in [path.to_owned(), format!("{path}/preview")] {
        let method = if path.ends_with("preview") { Method::POST } else { Method::PUT };
        let refused = app.as_role("admin", method, &path).json(&words).send().await;

        assert_eq!(refused.refusal(), (422, "validation-failed"));
        let pointers: Vec<_> =
            refused.body["errors"].as_array().expect("errors").iter().map(|it| &it["pointer"]).collect();
        assert_eq!(pointers, ["/subject", "/text"], "{refused:?}");
        assert!(refused.body["errors"][1]["detail"].as_str().expect("a text").contains("line 2"));
    }
    let kept = app.as_role("admin", Method::GET, path).send().await;
    assert_eq!(kept.body["isChanged"], false);
    let stale =
        app.as_role("admin", Method::PUT, path).header("if-match", "\"7\"").json(&kept_words(&kept)).send().await;
    assert_eq!(stale.refusal(), (412, "stale-version"));
}

fn kept_words(reply: &Reply) -> Value {
    json!({ "subject": reply.body["subject"], "text": reply.body["text"], "html": reply.body["html"] })
}

#[tokio::test]
async fn every_kind_of_mail_can_be_looked_at() {
    let app = TestApp::with_people().await;
    let all = app.as_role("admin", Method::GET, "/api/v1/admin/mail/templates").send().await;
    for template in all.body["data"].as_array().expect("templates") {
        let name = template["name"].as_str().expect("a name");
        let path = format!("/api/v1/admin/mail/templates/{name}/preview");

        let preview = app.as_role("admin", Method::POST, &path).send().await;

        assert_eq!(preview.status, 200, "{name}: {preview:?}");
        assert!(!preview.str("subject").contains("{{") && !preview.str("text").contains("{{"), "{name}");
    }
}

// The mailbox and jobs.

#[tokio::test]
async fn the_mailbox_is_for_admins_and_can_be_emptied() {
    let post = Post::new().await;
    let test = json!({ "to": "you@example.com" });
    let sent = post.app.as_role("admin", Method::POST, "/api/v1/admin/mail/test").json(&test).send().await;
    assert_eq!((sent.status, &sent.body), (200, &json!({})), "it lies in the mailbox");
    let mail = post.mail("you@example.com", "test").await;
    let path = format!("/api/v1/admin/mailbox/{}", mail["id"].as_str().expect("an id"));

    assert_eq!(post.app.as_role("user", Method::GET, &path).send().await.refusal(), (403, "not-allowed"));
    assert_eq!(post.app.as_role("admin", Method::GET, &path).send().await.body, mail);
    assert_eq!(post.app.as_role("admin", Method::DELETE, &path).send().await.status, 204);
    assert_eq!(post.app.as_role("admin", Method::GET, &path).send().await.refusal(), (404, "not-found"));
    assert_eq!(post.app.as_role("admin", Method::DELETE, "/api/v1/admin/mailbox").send().await.status, 204);
}

/// A job that is named by an address must not tell by how long it takes whether there is an account.
#[tokio::test]
async fn asking_for_a_mail_does_the_same_work_with_and_without_an_account() {
    // Nothing is done here, so that the jobs are seen as they were promised.
    let app = TestApp::with_people().await;
    for email in ["user@example.com", "nobody@example.com"] {
        let body = json!({ "email": email });
        assert_eq!(app.ask(Method::POST, "/api/v1/auth/forgot-password").json(&body).send().await.status, 202);
    }

    let jobs = app.as_role("admin", Method::GET, "/api/v1/admin/jobs?state=waiting&kind=accounts.mail").send().await;

    let payloads: Vec<_> = jobs.body["data"].as_array().expect("jobs").iter().map(|it| it["payload"].clone()).collect();
    let payload = |email: &str| json!({ "mail": "reset-password", "email": email });
    assert_eq!(payloads, [payload("nobody@example.com"), payload("user@example.com")]);
}

#[tokio::test]
async fn a_job_is_cancelled_and_done_again_by_an_admin() {
    let app = TestApp::with_people().await;
    let body = json!({ "email": "user@example.com" });
    app.ask(Method::POST, "/api/v1/auth/forgot-password").json(&body).send().await;
    let jobs = app.as_role("admin", Method::GET, "/api/v1/admin/jobs?count=exact").send().await;
    assert_eq!(jobs.body["meta"]["total"], 1);
    let path = format!("/api/v1/admin/jobs/{}", jobs.body["data"][0]["id"].as_str().expect("an id"));
    let act = |verb: &str| app.as_role("admin", Method::POST, &format!("{path}/{verb}")).send();

    assert_eq!(act("cancel").await.body["state"], "cancelled");
    assert_eq!(act("cancel").await.refusal(), (409, "job-has-ended"));
    let post = Post::around(app);
    post.rest().await;
    assert_eq!(post.mailbox("user@example.com").await, Vec::<Value>::new(), "what was cancelled is not done");
    let again = post.app.as_role("admin", Method::POST, &format!("{path}/retry")).send().await;
    assert_eq!(again.body["state"], "waiting", "{again:?}");
    post.mail("user@example.com", "reset-password").await;
    post.rest().await;
    let done = post.app.as_role("admin", Method::POST, &format!("{path}/retry")).send().await;
    assert_eq!(done.refusal(), (409, "job-still-runs"), "what is done is not done twice");
}

/// Whoever registers with somebody else's address must not be in the account once that one comes.
#[tokio::test]
async fn who_shows_that_an_address_is_theirs_has_its_account_to_themselves() {
    for (way, confirm) in [("email-sign-in", "email-sign-in/confirm"), ("forgot-password", "reset-password")] {
        let post = Post::with(&[]).await;
        let squatter = post.app.register("grace@example.com").await;
        let (access, refresh) = (squatter.str("accessToken"), squatter.str("refreshToken"));
        let body = json!({ "name": "mine", "scopes": ["records:read"], "password": PASSWORD });
        let key = post.app.ask(Method::POST, "/api/v1/auth/keys").bearer(&access).json(&body).send().await;
        assert_eq!(key.status, 201, "{key:?}");
        post.post(way, json!({ "email": "grace@example.com" })).await;
        let template = if way == "email-sign-in" { "code" } else { "reset-password" };
        let code = code(&post.mail("grace@example.com", template).await);
        let body = match way {
            "email-sign-in" => json!({ "email": "grace@example.com", "code": code }),
            _ => json!({ "email": "grace@example.com", "code": code, "newPassword": "a password of my own" }),
        };

        let came = post.post(confirm, body).await;

        assert!([200, 204].contains(&came.status), "{came:?}");
        post.app.advance(5);
        assert_eq!(post.app.login("grace@example.com", PASSWORD).await.status, 401, "{way}");
        assert_eq!(post.app.profile(&access).await.status, 401, "{way}");
        assert_eq!(post.app.refresh(&refresh).await.status, 401, "{way}");
        let with_key = post.app.ask(Method::GET, "/api/v1/collections").bearer(&key.str("secret")).send().await;
        assert_eq!(with_key.status, 401, "{way}");
        if way == "email-sign-in" {
            assert_eq!(post.app.profile(&came.str("accessToken")).await.status, 200);
        }
        let found = post.app.operator(Method::GET, "/api/v1/admin/audit?action=users.empty").send().await;
        assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{way}: {found:?}");
    }
}

/// A mail that could not be sent at first must not hand the account over when it can.
#[tokio::test]
async fn an_address_that_was_asked_for_with_an_old_password_is_sent_no_link() {
    // Nothing is sent yet.
    let app = TestApp::with_people().await;
    let body = json!({ "newEmail": "thief@example.org", "password": PASSWORD });
    let asked = app.as_role("user", Method::POST, "/api/v1/auth/change-email").json(&body).send().await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "a password of my own" });
    let changed = app.as_role("user", Method::POST, "/api/v1/auth/change-password").json(&body).send().await;
    assert_eq!(changed.status, 204, "{changed:?}");

    let post = Post::around(app);
    post.rest().await;

    assert_eq!(post.mailbox("thief@example.org").await, Vec::<Value>::new());
    assert_eq!(post.mailbox("user@example.com").await.len(), 1, "the owner is told of the new password");
}

/// Whoever registers last with an address that was not verified has the account: no role must wait there for them.
#[tokio::test]
async fn an_account_that_nobody_verified_gets_no_role_and_stands_in_nobodys_way() {
    let post = Post::with(&[("ACCOUNTS__VERIFICATION", "required")]).await;
    post.post("register", json!({ "email": "bob@example.com", "password": PASSWORD })).await;
    let list = post.app.operator(Method::GET, "/api/v1/users/search?q=bob").send().await;
    let id = list.body["data"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/admin/users/{id}");

    let role = post.app.operator(Method::PATCH, &format!("{path}/role")).json(&json!({ "role": "admin" })).send().await;
    let tier = post.app.operator(Method::PATCH, &path).json(&json!({ "tier": "gold" })).send().await;
    let body = json!({ "email": "bob@example.com", "password": "a password of my own" });
    let made = post.app.operator(Method::POST, "/api/v1/admin/users").json(&body).send().await;

    assert_eq!(role.refusal(), (409, "account-pending"), "{role:?}");
    assert_eq!(tier.refusal(), (409, "account-pending"), "{tier:?}");
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(post.app.login("bob@example.com", "a password of my own").await.status, 200);
}
