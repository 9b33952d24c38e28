//! The words of mails for those who read a language.
use poem::http::Method;
use serde_json::{Value, json};
use steading::base::TenantId;
use steading::db::Tx;

use crate::mail::Post;
use crate::support::{Reply, TestApp};

const WELCOME: &str = "/api/v1/admin/mail/templates/welcome";

fn words(subject: &str) -> Value {
    json!({ "subject": subject, "text": "{{ email }}", "html": "<p>{{ email }}</p>" })
}

async fn set(app: &TestApp, query: &str, subject: &str) -> Reply {
    let reply = app.operator(Method::PUT, &format!("{WELCOME}{query}")).json(&words(subject)).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

/// The subject that somebody gets with these preferences.
async fn subject(post: &Post, name: &str, preferences: &Value) -> String {
    let email = format!("{name}@example.com");
    let tokens = post.app.register(&email).await;
    let ask = post.app.ask(Method::PUT, "/api/v1/auth/preferences").bearer(&tokens.str("accessToken"));
    let kept = ask.json(preferences).send().await;
    assert_eq!(kept.status, 200, "{kept:?}");
    let mail = post.mail(&email, "verification").await;
    assert_eq!(post.post("verify-email", json!({ "token": crate::mail::token(&mail) })).await.status, 204);
    post.mail(&email, "welcome").await["subject"].as_str().expect("a subject").to_owned()
}

#[tokio::test]
async fn a_mail_is_in_the_language_of_its_receiver_as_far_as_it_has_words_for_it() {
    let post = Post::new().await;
    let built_in = subject(&post, "first", &json!({ "locale": "de" })).await;
    set(&post.app, "?locale=de", "Willkommen").await;
    assert_eq!(subject(&post, "nobody", &json!({})).await, built_in, "those for all others are built in yet");
    set(&post.app, "", "Welcome all").await;
    set(&post.app, "?locale=de-AT", "Servus").await;

    for (name, locale, expected) in [
        ("a", json!("de-AT"), "Servus"),
        ("b", json!("DE_at"), "Servus"),
        ("c", json!("de-CH"), "Willkommen"),
        ("d", json!("de"), "Willkommen"),
        ("e", json!("fr"), "Welcome all"),
        ("f", json!("no language!"), "Welcome all"),
        ("g", json!(["de"]), "Welcome all"),
    ] {
        assert_eq!(subject(&post, name, &json!({ "locale": locale })).await, expected, "{locale}");
    }
    assert_eq!(subject(&post, "h", &json!({})).await, "Welcome all");
}

/// An older version may have kept words that are none any more.
#[tokio::test]
async fn words_that_fail_leave_the_receiver_with_the_next_best() {
    let post = Post::new().await;
    set(&post.app, "?locale=de", "Willkommen").await;
    set(&post.app, "?locale=de-AT", "Servus").await;
    let spoil = |tx: &mut Tx<'_>| {
        tx.execute("UPDATE mail_words SET subject = '{{ email | wipe }}' WHERE locale = 'de-AT'", &[])
    };
    assert_eq!(post.app.app.db.write(&TenantId::main(), spoil).await.expect("spoilt"), 1);

    assert_eq!(subject(&post, "fails", &json!({ "locale": "de-AT" })).await, "Willkommen");
}

#[tokio::test]
async fn words_for_a_language_are_changed_shown_and_taken_back_by_themselves() {
    let app = TestApp::new().await;
    let show = async |query: &str| app.operator(Method::GET, &format!("{WELCOME}{query}")).send().await;
    let built_in = show("").await;
    assert_eq!((&built_in.body["locales"], built_in.body.get("locale")), (&json!([]), None), "{built_in:?}");

    let made = set(&app, "?locale=de_at", "Servus").await;
    assert_eq!((&made.body["locale"], &made.body["locales"]), (&json!("de-AT"), &json!(["de-AT"])));
    assert_eq!((made.version(), &made.body["isChanged"]), (Some(1), &json!(true)));
    let german = show("?locale=de").await;
    assert_eq!((&german.body["isChanged"], &german.body["subject"]), (&json!(false), &built_in.body["subject"]));
    assert_eq!(show("").await.body["isChanged"], false, "all others have the words that they had");
    assert_eq!(show("?locale=de-AT").await.body["subject"], "Servus");
    set(&app, "?locale=de", "Willkommen").await;
    assert_eq!(show("?locale=de-CH").await.body["subject"], "Willkommen", "what its readers get");

    let stale = app.operator(Method::PUT, &format!("{WELCOME}?locale=de")).header("if-match", "\"7\"");
    assert_eq!(stale.json(&words("x")).send().await.refusal(), (412, "stale-version"));
    let preview = app.operator(Method::POST, &format!("{WELCOME}/preview?locale=de-CH")).send().await;
    assert_eq!(preview.body["subject"], "Willkommen", "{preview:?}");
    let gone = app.operator(Method::DELETE, &format!("{WELCOME}?locale=de-AT")).send().await;
    assert_eq!((gone.status, &gone.body["subject"]), (200, &json!("Willkommen")), "{gone:?}");
    assert_eq!(gone.body["locales"], json!(["de"]));
}

#[tokio::test]
async fn what_is_no_language_has_no_words() {
    let app = TestApp::new().await;
    for locale in ["", "d", "de/../fr", "%00", "de%20AT", "a-very-long-language-tag-that-nobody-writes"] {
        for (method, path) in [(Method::GET, ""), (Method::PUT, ""), (Method::DELETE, ""), (Method::POST, "/preview")] {
            let ask = app.operator(method.clone(), &format!("{WELCOME}{path}?locale={locale}"));
            let refused = ask.json(&words("x")).send().await;
            assert_eq!(refused.refusal(), (422, "validation-failed"), "{method} {locale}");
            assert_eq!(refused.body["errors"][0]["pointer"], "?locale");
        }
    }
}

#[tokio::test]
async fn a_mail_speaks_a_hundred_languages_and_no_more() {
    let app = TestApp::new().await;
    let letters = || (b'a'..=b'z').map(char::from);
    let languages = letters().flat_map(|one| letters().map(move |two| format!("{one}{two}")));
    for language in languages.take(100) {
        set(&app, &format!("?locale={language}"), "x").await;
    }

    let refused = app.operator(Method::PUT, &format!("{WELCOME}?locale=zz")).json(&words("x")).send().await;

    assert_eq!(refused.refusal(), (422, "validation-failed"));
    set(&app, "?locale=aa", "changed").await;
    set(&app, "", "for all others").await;
}
