//! Second factors: codes of an app, and recovery codes.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret, Totp};

use crate::mail::{Post, token};
use crate::support::{PASSWORD, Reply, START, TestApp};

/// Someone's app, as it stands on their phone.
pub struct Phone(Totp);

impl Phone {
    pub fn of(secret: &str) -> Self {
        let secret = Secret::try_from_base32(secret).expect("Base32");
        Self(Builder::new().with_secret(secret).with_account_name("ada").build_noncompliant())
    }

    /// The code so many seconds after the test's beginning.
    pub fn code(&self, secs: u64) -> String {
        self.0.generate(START.seconds().unsigned_abs() + secs).to_string()
    }
}

async fn post(app: &TestApp, token: &str, path: &str, body: Value) -> Reply {
    let ask = app.ask(Method::POST, &format!("/api/v1/auth/{path}"));
    let ask = if token.is_empty() { ask } else { ask.bearer(token) };
    ask.json(&body).send().await
}

/// Turns it on for `user@example.com`, and tells the phone and the recovery codes.
async fn turned_on(app: &TestApp) -> (Phone, Vec<String>) {
    let token = app.token("user");
    let begun = post(app, token, "2fa/enable", json!({})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let phone = Phone::of(&begun.str("secret"));
    assert!(begun.str("otpauthUri").contains(&begun.str("secret")) && begun.str("qrSvg").contains("<svg"));
    let verified = post(app, token, "2fa/verify", json!({ "code": phone.code(0) })).await;
    assert_eq!(verified.status, 200, "{verified:?}");
    let codes = verified.body["recoveryCodes"].as_array().expect("codes").iter();
    (phone, codes.map(|it| it.as_str().expect("a code").to_owned()).collect())
}

async fn challenged(app: &TestApp) -> String {
    let login = app.login("user@example.com", PASSWORD).await;
    assert_eq!(
        (login.status, &login.body["mfaRequired"], &login.body["accessToken"]),
        (200, &json!(true), &Value::Null)
    );
    login.str("mfaToken")
}

async fn answer(app: &TestApp, token: &str, code: &str) -> Reply {
    post(app, "", "2fa/challenge", json!({ "mfaToken": token, "code": code })).await
}

#[tokio::test]
async fn who_has_a_second_factor_signs_in_with_a_code_after_the_password() {
    let app = TestApp::with_people().await;
    let (phone, codes) = turned_on(&app).await;
    assert_eq!(codes.len(), 10);

    app.advance(60);
    let token = challenged(&app).await;
    let signed_in = answer(&app, &token, &phone.code(60)).await;

    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    assert_eq!(app.profile(&signed_in.str("accessToken")).await.status, 200);
    let again = answer(&app, &token, &phone.code(90)).await;
    assert_eq!(again.refusal(), (403, "one-time-secret-invalid"), "what stands for the password works once too");
    assert_eq!(app.profile(&token).await.status, 401, "and is no access token");
}

#[tokio::test]
async fn a_code_of_the_app_works_once_also_when_fifty_show_it_at_once() {
    let app = TestApp::with_people_and(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "1000")]).await;
    let (phone, codes) = turned_on(&app).await;
    let used = answer(&app, &challenged(&app).await, &phone.code(0)).await;
    assert_eq!(used.refusal(), (403, "second-factor-wrong"), "it was used to turn it on");

    app.advance(60);
    for code in [phone.code(60), codes[0].clone()] {
        let tokens = join_all((0..5).map(|_| challenged(&app))).await;
        let attempts = join_all((0..50).map(|it| answer(&app, &tokens[it % 5], &code))).await;

        let let_in = attempts.iter().filter(|it| it.status == 200).count();
        assert_eq!(let_in, 1, "{:?}", attempts.iter().map(|it| it.status).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn codes_are_guessed_five_times_and_no_more() {
    let app = TestApp::with_people().await;
    let (phone, _) = turned_on(&app).await;
    app.advance(60);
    let (token, right) = (challenged(&app).await, phone.code(60));
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        assert_eq!(answer(&app, &token, wrong).await.refusal(), (403, "second-factor-wrong"));
    }

    assert_eq!(answer(&app, &token, &right).await.refusal(), (429, "too-many-requests"));

    let token = challenged(&app).await;
    assert_eq!(answer(&app, &token, &right).await.status, 429, "another sign-in is no way around");
    app.advance(600);
    let token = challenged(&app).await;
    assert_eq!(answer(&app, &token, &phone.code(660)).await.status, 200);
}

/// A hundred in all, as NIST SP 800-63B-4 has it: five each ten minutes would get in within some years.
#[tokio::test]
async fn after_a_hundred_wrong_codes_in_a_row_no_more_are_taken_until_the_password_is_another() {
    let post_office = Post::with(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "1000")]).await;
    let app = &post_office.app;
    // What nobody verified, whoever comes by mail gets without its second factor.
    post_office.post("resend-verification", json!({ "email": "user@example.com" })).await;
    let verification = post_office.mail("user@example.com", "verification").await;
    assert_eq!(post_office.post("verify-email", json!({ "token": token(&verification) })).await.status, 204);
    let (phone, _) = turned_on(app).await;
    for _ in 0..20 {
        app.advance(600);
        let token = challenged(app).await;
        for _ in 0..5 {
            assert_eq!(answer(app, &token, "no code").await.refusal(), (403, "second-factor-wrong"));
        }
        assert_eq!(answer(app, &token, "no code").await.status, 429);
    }
    app.advance(600);
    let late = answer(app, &challenged(app).await, &phone.code(12_600)).await;
    assert_eq!(late.refusal(), (429, "too-many-requests"), "{late:?}");

    // After a reset by mail it is forgiven once, and a mail is told each day at most.
    post_office.mail("user@example.com", "second-factor-guessed").await;
    let mails = post_office.mailbox("user@example.com").await;
    assert_eq!(mails.iter().filter(|it| it["template"] == "second-factor-guessed").count(), 1, "once a day");
    post_office.post("forgot-password", json!({ "email": "user@example.com" })).await;
    let mail = post_office.mail("user@example.com", "reset-password").await;
    let body = json!({ "token": token(&mail), "newPassword": "another horse, another staple" });
    assert_eq!(post_office.post("reset-password", body).await.status, 204);

    let login = app.login("user@example.com", "another horse, another staple").await;
    assert_eq!(answer(app, &login.str("mfaToken"), &phone.code(12_600)).await.status, 200);
}

/// Whoever is careful stays below the five that close the way.
#[tokio::test]
async fn the_fifth_wrong_code_in_a_row_is_told_also_if_they_come_slowly() {
    let post_office = Post::new().await;
    let app = &post_office.app;
    turned_on(app).await;
    for _ in 0..5 {
        app.advance(600);
        assert_eq!(answer(app, &challenged(app).await, "no code").await.status, 403);
    }

    post_office.mail("user@example.com", "second-factor-guessed").await;
}

/// Whoever reads the mails of an account that nobody else could have made has one factor, and not the other.
#[tokio::test]
async fn a_reset_by_mail_takes_the_second_factor_only_from_what_somebody_registered_themselves() {
    let post_office = Post::new().await;
    let app = &post_office.app;
    let body = json!({ "email": "made@example.com", "password": PASSWORD, "role": "moderator" });
    assert_eq!(app.operator(Method::POST, "/api/v1/admin/users").json(&body).send().await.status, 201);
    assert_eq!(app.register("registered@example.com").await.status, 201);
    for (email, keeps) in [("made@example.com", true), ("registered@example.com", false)] {
        let signed_in = app.login(email, PASSWORD).await.str("accessToken");
        let begun = post(app, &signed_in, "2fa/enable", json!({})).await;
        let code = Phone::of(&begun.str("secret")).code(0);
        assert_eq!(post(app, &signed_in, "2fa/verify", json!({ "code": code })).await.status, 200);

        post_office.post("forgot-password", json!({ "email": email })).await;
        let mail = post_office.mail(email, "reset-password").await;
        let body = json!({ "token": token(&mail), "newPassword": "another horse, another staple" });
        assert_eq!(post_office.post("reset-password", body).await.status, 204);

        let login = app.login(email, "another horse, another staple").await;
        assert_eq!(login.body["mfaRequired"] == true, keeps, "{email}: {login:?}");
        if !keeps {
            post_office.mail(email, "account-emptied").await;
        }
    }
}

/// Whoever knows the password asks for a second factor as often as they like.
#[tokio::test]
async fn sign_ins_of_others_take_no_place_from_that_of_a_known_device() {
    let post_office = Post::new().await;
    let app = &post_office.app;
    let device = app.login("user@example.com", PASSWORD).await.str("deviceToken");
    let (phone, _) = turned_on(app).await;
    app.advance(60);
    let body = json!({ "email": "user@example.com", "password": PASSWORD, "deviceToken": device });
    let own = post(app, "", "login", body).await.str("mfaToken");
    for _ in 0..8 {
        challenged(app).await;
    }

    let shown = json!({ "mfaToken": own, "code": phone.code(60), "deviceToken": device });
    assert_eq!(post(app, "", "2fa/challenge", shown).await.status, 200);
    post_office.mail("user@example.com", "second-factor-guessed").await;
}

/// Otherwise whoever knows the password keeps its owner out for good.
#[tokio::test]
async fn wrong_codes_of_others_keep_neither_a_known_device_nor_a_session_from_showing_theirs() {
    let app = TestApp::with_people().await;
    let device = app.login("user@example.com", PASSWORD).await.str("deviceToken");
    let (phone, _) = turned_on(&app).await;
    app.advance(60);
    let token = challenged(&app).await;
    let right = phone.code(60);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for _ in 0..6 {
        answer(&app, &token, wrong).await;
    }
    assert_eq!(answer(&app, &token, &right).await.status, 429);

    let renewed = post(&app, app.token("user"), "2fa/recovery-codes", json!({ "code": right })).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    app.advance(60);
    let body = json!({ "mfaToken": token, "code": phone.code(120), "deviceToken": device });
    let signed_in = post(&app, "", "2fa/challenge", body).await;

    assert_eq!(signed_in.status, 200, "{signed_in:?}");
}

/// Whoever finds an old recovery code would have guesses without end otherwise.
#[tokio::test]
async fn a_code_that_was_used_is_no_guess_and_gives_none() {
    let app = TestApp::with_people().await;
    let (phone, codes) = turned_on(&app).await;
    app.advance(60);
    assert_eq!(answer(&app, &challenged(&app).await, &codes[0]).await.status, 200);
    let token = challenged(&app).await;
    let right = phone.code(60);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for _ in 0..4 {
        assert_eq!(answer(&app, &token, wrong).await.status, 403);
    }

    for _ in 0..10 {
        assert_eq!(answer(&app, &token, &codes[0]).await.refusal(), (403, "second-factor-wrong"));
    }

    assert_eq!(answer(&app, &token, wrong).await.status, 403, "the fifth");
    assert_eq!(answer(&app, &token, &right).await.status, 429);
}

#[tokio::test]
async fn what_stands_for_the_password_ends_after_five_minutes_and_with_the_password() {
    let app = TestApp::with_people().await;
    let (phone, _) = turned_on(&app).await;
    let late = challenged(&app).await;
    app.advance(300);
    assert_eq!(answer(&app, &late, &phone.code(300)).await.refusal(), (403, "one-time-secret-invalid"));

    let token = challenged(&app).await;
    let body = json!({ "currentPassword": PASSWORD, "newPassword": "another horse, another staple" });
    assert_eq!(post(&app, app.token("user"), "change-password", body).await.status, 204);
    assert_eq!(answer(&app, &token, &phone.code(300)).await.refusal(), (403, "one-time-secret-invalid"));
}

/// A session that was left open turns on nothing that locks its owner out.
#[tokio::test]
async fn long_after_signing_in_the_password_is_needed_to_begin() {
    let app = TestApp::with_people().await;
    app.advance(600);
    let token = app.token("user");

    let refused = post(&app, token, "2fa/enable", json!({})).await;
    assert_eq!((refused.status, refused.body["errors"][0]["pointer"].as_str()), (422, Some("/password")));
    assert_eq!(post(&app, token, "2fa/enable", json!({ "password": "not mine" })).await.status, 422);
    assert_eq!(post(&app, token, "2fa/enable", json!({ "password": PASSWORD })).await.status, 200);

    // Not confirmed, it asks nobody for anything.
    assert!(app.login("user@example.com", PASSWORD).await.body["accessToken"].is_string());
}

#[tokio::test]
async fn it_is_turned_off_with_a_code_or_the_password_and_by_an_admin() {
    let app = TestApp::with_people().await;
    let user = app.token("user");
    let state = async || app.as_role("user", Method::GET, "/api/v1/auth/2fa").send().await.body;

    let (_, codes) = turned_on(&app).await;
    assert_eq!(state().await, json!({ "enabled": true, "recoveryCodesLeft": 10 }));
    assert_eq!(post(&app, user, "2fa/enable", json!({})).await.refusal(), (409, "second-factor-on"));
    assert_eq!(post(&app, user, "2fa/disable", json!({})).await.refusal(), (422, "validation-failed"));
    assert_eq!(post(&app, user, "2fa/disable", json!({ "code": "000000" })).await.status, 403);
    assert_eq!(post(&app, user, "2fa/disable", json!({ "code": codes[3] })).await.status, 204);
    assert_eq!(state().await, json!({ "enabled": false, "recoveryCodesLeft": 0 }));

    app.advance(60);
    let (_, old) = (old_codes(&app).await, codes);
    let id = app.profile(user).await.str("id");
    let path = format!("/api/v1/admin/users/{id}/2fa");
    assert_eq!(app.as_role("user", Method::DELETE, &path).send().await.refusal(), (403, "not-allowed"));
    assert_eq!(app.as_role("admin", Method::DELETE, &path).send().await.status, 204);
    assert_eq!(app.as_role("admin", Method::DELETE, &path).send().await.refusal(), (404, "not-found"));
    assert!(app.login("user@example.com", PASSWORD).await.body["accessToken"].is_string());
    assert_eq!(old.len(), 10);
}

/// Turns it on again, a minute later, and tells the codes.
async fn old_codes(app: &TestApp) -> Vec<String> {
    let token = app.token("user");
    let begun = post(app, token, "2fa/enable", json!({ "password": PASSWORD })).await;
    let phone = Phone::of(&begun.str("secret"));
    let verified = post(app, token, "2fa/verify", json!({ "code": phone.code(60) })).await;
    let codes = verified.body["recoveryCodes"].as_array().expect("codes").iter();
    codes.map(|it| it.as_str().expect("a code").to_owned()).collect()
}

/// Otherwise an admin's account would be as safe as that of whoever looks after accounts.
#[tokio::test]
async fn nobody_takes_it_from_someone_who_may_more() {
    let app = TestApp::with_people().await;
    app.role("keeper", &["users:admin"]).await;
    let (_, keeper) = app.person("keeper", "keeper").await;
    let admin = app.token("admin");
    let begun = post(&app, admin, "2fa/enable", json!({})).await;
    let code = Phone::of(&begun.str("secret")).code(0);
    assert_eq!(post(&app, admin, "2fa/verify", json!({ "code": code })).await.status, 200);
    let id = app.profile(admin).await.str("id");

    let refused = app.ask(Method::DELETE, &format!("/api/v1/admin/users/{id}/2fa")).bearer(&keeper).send().await;

    assert_eq!(refused.refusal(), (403, "permission-not-held"));
    assert_eq!(app.login("admin@example.com", PASSWORD).await.body["mfaRequired"], true);
}

#[tokio::test]
async fn other_recovery_codes_end_those_before() {
    let app = TestApp::with_people().await;
    let (phone, old) = turned_on(&app).await;
    app.advance(60);

    let by_old = post(&app, app.token("user"), "2fa/recovery-codes", json!({ "code": old[1] })).await;
    assert_eq!(by_old.refusal(), (403, "second-factor-wrong"), "one code of a sheet buys no other sheet");
    let renewed = post(&app, app.token("user"), "2fa/recovery-codes", json!({ "code": phone.code(60) })).await;

    let new = renewed.body["recoveryCodes"][0].as_str().expect("a code").to_owned();
    let token = challenged(&app).await;
    assert_eq!(answer(&app, &token, &old[0]).await.refusal(), (403, "second-factor-wrong"));
    assert_eq!(answer(&app, &token, &new.to_uppercase().replace('-', " ")).await.status, 200);
}

/// Neither the app's secret nor a code is anywhere in the data of the accounts.
#[tokio::test]
async fn a_copy_of_the_accounts_makes_no_codes() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    let token = app.register("ada@example.com").await.str("accessToken");
    let begun = post(&app, &token, "2fa/enable", json!({})).await;
    let secret = begun.str("secret");
    let verified = post(&app, &token, "2fa/verify", json!({ "code": Phone::of(&secret).code(0) })).await;
    let code = verified.body["recoveryCodes"][0].as_str().expect("a code").to_owned();

    let raw = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).expect("Base32");
    for file in ["records.db", "records.db-wal"] {
        let bytes = std::fs::read(folder.path().join("tenants/main").join(file)).expect("a file");
        let has = |part: &[u8]| bytes.windows(part.len()).any(|it| it == part);
        assert!(!has(&raw) && !has(secret.as_bytes()) && !has(code.as_bytes()), "{file}");
        assert!(!has(code.replace('-', "").as_bytes()), "{file}");
    }
}

/// The password alone is not enough to sign in, and not enough to delete the account.
#[tokio::test]
async fn who_has_a_second_factor_deletes_their_account_with_a_code_too() {
    let app = TestApp::with_people().await;
    let (phone, codes) = turned_on(&app).await;
    app.advance(60);
    let ask = |body: Value| app.as_role("user", Method::DELETE, "/api/v1/auth/profile").json(&body).send();

    let missing = ask(json!({ "password": PASSWORD })).await;
    assert_eq!(missing.body["errors"][0]["pointer"], "/code", "{missing:?}");
    let wrong = ask(json!({ "password": PASSWORD, "code": "000000" })).await;
    assert_eq!(wrong.refusal(), (403, "second-factor-wrong"));
    let without = ask(json!({ "password": "something else", "code": phone.code(60) })).await;
    assert_eq!(without.refusal(), (422, "validation-failed"));
    assert_eq!(app.profile(app.token("user")).await.status, 200);

    assert_eq!(ask(json!({ "password": PASSWORD, "code": codes[0] })).await.status, 204);
    assert_eq!(app.profile(app.token("user")).await.status, 401);
}
