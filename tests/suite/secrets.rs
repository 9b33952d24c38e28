//! The keys of other services that people give to this one: kept so that nobody else reads them.
use std::path::Path;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};
use steading::base::TenantId;
use steading::work::Lifecycle;

use crate::server::{Server, command, steading};
use crate::support::{PASSWORD, Reply, TestApp};

const VALUE: &str = "sk-proj-0123456789abcdefWXYZ";
const PATIENCE: Duration = Duration::from_secs(10);

async fn put(app: &TestApp, who: &str, name: &str, body: &Value) -> Reply {
    app.as_role(who, Method::PUT, &format!("/api/v1/auth/secrets/{name}")).json(body).send().await
}

async fn reveal(app: &TestApp, who: &str, name: &str, shown: &Value) -> Reply {
    app.as_role(who, Method::POST, &format!("/api/v1/auth/secrets/{name}/reveal")).json(shown).send().await
}

async fn list(app: &TestApp, who: &str) -> Value {
    app.as_role(who, Method::GET, "/api/v1/auth/secrets").send().await.body["data"].take()
}

async fn keys(app: &TestApp) -> Vec<(String, String, u64, bool)> {
    let keys = app.operator(Method::GET, "/api/v1/admin/secrets/keys").send().await;
    let told = |it: &Value| {
        let text = |name: &str| it[name].as_str().expect("a text").to_owned();
        (text("id"), text("state"), it["secrets"].as_u64().expect("a number"), it["isHere"] == true)
    };
    keys.body["data"].as_array().expect("keys").iter().map(told).collect()
}

async fn rotate(app: &TestApp) -> Reply {
    app.operator(Method::POST, "/api/v1/admin/secrets/rotate").send().await
}

/// The job as it is when it has ended.
async fn ended(app: &TestApp, id: &str) -> Value {
    let begun = Instant::now();
    loop {
        let job = app.operator(Method::GET, &format!("/api/v1/admin/jobs/{id}")).send().await.body;
        if job["finishedAt"].is_string() {
            return job;
        }
        assert!(begun.elapsed() < PATIENCE, "{job}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn shown() -> Value {
    json!({ "password": PASSWORD })
}

fn master_key(seed: u8) -> String {
    BASE64.encode(&[seed; 32])
}

#[tokio::test]
async fn a_secret_is_shown_to_its_owner_who_shows_who_they_are_and_to_nobody_else() {
    let mut app = TestApp::with_people().await;
    let (_, other) = app.person("other", "user").await;
    app.keep_token("other", other);
    let kept = put(&app, "user", "openai", &json!({ "value": VALUE, "description": "Ours" })).await;
    assert_eq!((kept.status, kept.header("location")), (201, Some("/api/v1/auth/secrets/openai")), "{kept:?}");
    assert_eq!((kept.str("hint"), kept.str("description")), ("…WXYZ".to_owned(), "Ours".to_owned()));
    assert!(!kept.text.contains(VALUE) && list(&app, "user").await[0]["lastUsedAt"].is_null());

    app.advance(1);
    let revealed = reveal(&app, "user", "openai", &shown()).await;

    assert_eq!((revealed.status, revealed.str("value")), (200, VALUE.to_owned()), "{revealed:?}");
    assert_eq!(revealed.header("cache-control"), Some("no-store"));
    let listed = list(&app, "user").await;
    assert_eq!(listed[0]["lastUsedAt"], "2026-01-02T03:04:06.678Z", "{listed}");
    assert!(!listed.to_string().contains(VALUE));
    for who in ["other", "admin"] {
        assert_eq!(list(&app, who).await, json!([]), "{who}");
        assert_eq!(reveal(&app, who, "openai", &shown()).await.refusal(), (404, "not-found"), "{who}");
        let gone = app.as_role(who, Method::DELETE, "/api/v1/auth/secrets/openai").send().await;
        assert_eq!(gone.refusal(), (404, "not-found"), "{who}");
    }
    let key = json!({ "name": "x", "scopes": ["*"], "owner": app.profile(app.token("admin")).await.str("id") });
    let key = app.operator(Method::POST, "/api/v1/admin/keys").json(&key).send().await.str("secret");
    app.keep_token("key", key);
    assert_eq!(reveal(&app, "key", "openai", &shown()).await.refusal(), (403, "needs-session"));
    let as_operator = app.operator(Method::POST, "/api/v1/auth/secrets/openai/reveal").json(&shown()).send().await;
    assert_eq!(as_operator.status, 403);
}

#[tokio::test]
async fn another_value_takes_its_place_and_one_that_is_removed_is_gone() {
    let app = TestApp::with_people().await;
    put(&app, "user", "openai", &json!({ "value": VALUE })).await;
    let first = list(&app, "user").await;
    reveal(&app, "user", "openai", &shown()).await;
    app.advance(60);

    let again = put(&app, "user", "openai", &json!({ "value": "short" })).await;

    assert_eq!((again.status, again.str("hint")), (200, String::new()), "a hint of a short one would be half of it");
    assert_eq!((&again.body["createdAt"], &again.body["lastUsedAt"]), (&first[0]["createdAt"], &Value::Null));
    assert_eq!(reveal(&app, "user", "openai", &shown()).await.str("value"), "short");
    let path = "/api/v1/auth/secrets/openai";
    assert_eq!(app.as_role("user", Method::DELETE, path).send().await.status, 204);
    assert_eq!(app.as_role("user", Method::DELETE, path).send().await.refusal(), (404, "not-found"));
    assert_eq!(reveal(&app, "user", "openai", &shown()).await.refusal(), (404, "not-found"));
}

#[tokio::test]
async fn nobody_is_shown_one_who_only_guesses_and_guesses_are_counted() {
    let app = TestApp::with_people().await;
    put(&app, "user", "openai", &json!({ "value": VALUE })).await;

    for (wrong, refusal) in [
        (json!({}), (422, "validation-failed")),
        (json!({ "password": PASSWORD, "code": "123456" }), (422, "validation-failed")),
        (json!({ "code": "123456" }), (403, "second-factor-wrong")),
        (json!({ "password": 5 }), (422, "validation-failed")),
    ] {
        assert_eq!(reveal(&app, "user", "openai", &wrong).await.refusal(), refusal, "{wrong}");
    }
    for _ in 0..10 {
        let wrong = reveal(&app, "user", "openai", &json!({ "password": "not mine" })).await;
        assert_eq!((wrong.status, &wrong.body["errors"][0]["pointer"]), (422, &json!("/password")));
        assert!(!wrong.text.contains(VALUE));
    }
    assert_eq!(reveal(&app, "user", "openai", &shown()).await.refusal(), (429, "too-many-requests"));
    // Where there is nothing to be shown is no way to guess either.
    assert_eq!(reveal(&app, "user", "nothing", &shown()).await.refusal(), (429, "too-many-requests"));
}

#[tokio::test]
async fn a_code_of_the_app_shows_one_once_also_when_fifty_ask_at_once() {
    let app = TestApp::with_people_and(&[("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "1000")]).await;
    put(&app, "user", "openai", &json!({ "value": VALUE })).await;
    let post = |path: &str, body: Value| {
        app.as_role("user", Method::POST, &format!("/api/v1/auth/2fa/{path}")).json(&body).send()
    };
    let begun = post("enable", json!({})).await;
    let phone = crate::second_factor::Phone::of(&begun.str("secret"));
    let unconfirmed = json!({ "code": phone.code(0) });
    assert_eq!(reveal(&app, "user", "openai", &unconfirmed).await.refusal(), (403, "second-factor-wrong"));
    assert_eq!(post("verify", json!({ "code": phone.code(0) })).await.status, 200);
    app.advance(60);

    let code = json!({ "code": phone.code(60) });
    let asked = join_all((0..50).map(|_| reveal(&app, "user", "openai", &code))).await;

    assert_eq!(asked.iter().filter(|it| it.status == 200).count(), 1);
    assert!(asked.iter().filter(|it| it.status != 200).all(|it| !it.text.contains(VALUE)));
    assert_eq!(reveal(&app, "user", "openai", &shown()).await.status, 200, "the password will do as well");
}

#[tokio::test]
async fn what_is_no_secret_is_refused_without_being_repeated() {
    let app = TestApp::with_people().await;
    let long = "x".repeat(8_193);
    let wide = "ü".repeat(4_097);
    for (body, pointer, code) in [
        (json!({}), "/value", "required"),
        (json!({ "value": "" }), "/value", "too-short"),
        (json!({ "value": 5 }), "/value", "type"),
        (json!({ "value": null }), "/value", "type"),
        (json!({ "value": long }), "/value", "too-long"),
        (json!({ "value": wide }), "/value", "too-long"),
        (json!({ "value": VALUE, "hint": "x" }), "/hint", "unknown"),
        (json!({ "value": VALUE, "description": "x".repeat(201) }), "/description", "too-long"),
    ] {
        let refused = put(&app, "user", "openai", &body).await;
        let fault = &refused.body["errors"][0];
        assert_eq!(
            (refused.status, &fault["pointer"], &fault["code"]),
            (422, &json!(pointer), &json!(code)),
            "{refused:?}"
        );
        assert!(!refused.text.contains(VALUE) && !refused.text.contains("xxxx") && !refused.text.contains("üüüü"));
    }
    for name in ["Openai", "-a", "a%20b", "a%00", "..%2Fx", &"a".repeat(65)] {
        let refused = put(&app, "user", name, &json!({ "value": VALUE })).await;
        assert_eq!(refused.refusal(), (422, "validation-failed"), "{name}");
        assert_eq!(reveal(&app, "user", name, &shown()).await.refusal(), (404, "not-found"), "{name}");
    }
    assert_eq!(put(&app, "user", "a", &json!({ "value": "x".repeat(8_192) })).await.status, 201);
    assert_eq!(put(&app, "user", "b", &json!({ "value": "ü".repeat(4_096) })).await.status, 201);
    assert_eq!(list(&app, "user").await.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn an_account_keeps_fifty_also_when_sixty_are_sent_at_once() {
    let app = TestApp::with_people().await;
    let body = json!({ "value": VALUE });
    let sent = join_all((0..60).map(|it| {
        let name = format!("n{it}");
        let (app, body) = (&app, &body);
        async move { put(app, "user", &name, body).await }
    }))
    .await;

    assert_eq!(sent.iter().filter(|it| it.status == 201).count(), 50);
    let refused: Vec<_> = sent.iter().filter(|it| it.status != 201).map(Reply::refusal).collect();
    assert_eq!(refused, vec![(409, "secret-limit-reached"); 10]);
    let there = list(&app, "user").await[0]["name"].as_str().expect("a name").to_owned();
    assert_eq!(put(&app, "user", &there, &body).await.status, 200, "one that is there can be changed");
    assert_eq!(put(&app, "admin", "n0", &body).await.status, 201, "another account has room of its own");
    assert_eq!(keys(&app).await.len(), 1, "one master key for all, though many asked for the first");
}

#[tokio::test]
async fn the_trail_tells_of_each_deed_and_never_of_a_value() {
    let app = TestApp::with_people().await;
    put(&app, "user", "openai", &json!({ "value": VALUE, "description": "Ours" })).await;
    reveal(&app, "user", "openai", &shown()).await;
    app.as_role("user", Method::DELETE, "/api/v1/auth/secrets/openai").send().await;
    rotate(&app).await;

    let trail = app.operator(Method::GET, "/api/v1/admin/audit?action=secrets.*").send().await;

    let told: Vec<_> = trail.body["data"].as_array().expect("entries").iter().map(|it| it["action"].clone()).collect();
    assert_eq!(told, ["secrets.rotate-key", "secrets.delete", "secrets.reveal", "secrets.set"]);
    let id = app.profile(app.token("user")).await.str("id");
    assert_eq!(trail.body["data"][2]["resourceId"], format!("{id}/openai"));
    assert!(!trail.text.contains(VALUE) && !trail.text.contains("WXYZ"), "{}", trail.text);
}

/// Neither the value nor the key that opens it is among the accounts, and a backup of them opens nothing.
#[tokio::test]
async fn a_copy_of_the_accounts_opens_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    let token = app.register("ada@example.com").await.str("accessToken");
    let mut app = app;
    app.keep_token("ada", token);
    assert_eq!(put(&app, "ada", "openai", &json!({ "value": VALUE })).await.status, 201);
    assert_eq!(reveal(&app, "ada", "openai", &shown()).await.status, 200);
    let id = TenantId::main();
    let master = app.app.db.read_system::<_, steading::db::Error>(move |tx| {
        let sql = "SELECT secret FROM master_keys WHERE tenant_id = $1";
        tx.find(sql, &[(&id).into()], |row| Ok(row.bytes(0)?.to_vec()))
    });
    let master = master.await.expect("read").expect("a master key");

    for file in ["records.db", "records.db-wal"] {
        let bytes = std::fs::read(folder.path().join("tenants/main").join(file)).expect("a file");
        let has = |part: &[u8]| bytes.windows(part.len()).any(|it| it == part);
        assert!(!has(VALUE.as_bytes()) && !has(&master), "{file}");
    }
}

/// Whoever can write the file still reads nobody's secret.
#[tokio::test]
async fn a_row_that_is_copied_to_another_account_or_name_does_not_open() {
    let app = TestApp::with_people().await;
    let id = app.profile(app.token("readonly")).await.str("id");
    put(&app, "user", "openai", &json!({ "value": VALUE })).await;
    let copy = move |tx: &mut steading::db::Tx<'_>| {
        for (user, name) in [(format!("'{id}'"), "openai"), ("user_id".to_owned(), "copied")] {
            let sql = format!(
                "INSERT INTO user_secrets SELECT {user}, '{name}', description, hint, key_id, wrapped_key, sealed_value,
                        created_at, updated_at, NULL FROM user_secrets WHERE name = 'openai' AND user_id <> '{id}'"
            );
            tx.execute(&sql, &[])?;
        }
        Ok::<_, steading::db::Error>(())
    };
    app.app.db.write(&TenantId::main(), copy).await.expect("copied");

    for (who, name) in [("readonly", "openai"), ("user", "copied")] {
        let refused = reveal(&app, who, name, &shown()).await;
        assert_eq!(refused.refusal(), (503, "secret-unreadable"), "{who} {name}");
        assert!(!refused.text.contains(VALUE));
    }
    assert_eq!(reveal(&app, "user", "openai", &shown()).await.status, 200);
}

/// An account that is removed leaves nothing to open.
#[tokio::test]
async fn secrets_go_with_their_account() {
    let app = TestApp::with_people().await;
    let id = app.profile(app.token("user")).await.str("id");
    put(&app, "user", "openai", &json!({ "value": VALUE })).await;

    let remove = move |tx: &mut steading::db::Tx<'_>| tx.execute("DELETE FROM users WHERE id = $1", &[(&id).into()]);
    app.app.db.write::<_, steading::db::Error>(&TenantId::main(), remove).await.expect("removed");

    let left = keys(&app).await;
    assert_eq!(left.iter().map(|it| it.2).sum::<u64>(), 0, "{left:?}");
    // The token is believed for a moment longer: it keeps nothing for nobody.
    let late = put(&app, "user", "other", &json!({ "value": VALUE })).await;
    assert!([401, 404].contains(&late.status), "{late:?}");
}

// The master key.

#[tokio::test]
async fn another_master_key_closes_all_secrets_while_they_are_read_and_written_and_the_old_one_goes() {
    let mut app = TestApp::with_people_and(&[("ACCOUNTS__HASH_MEMORY_KIB", "8192")]).await;
    for at in 0..12 {
        let name: &'static str = format!("person{at}").leak();
        let (_, token) = app.person(name, "user").await;
        app.keep_token(name, token);
        for secret in 0..40 {
            put(&app, name, &format!("s{secret}"), &json!({ "value": format!("{VALUE}-{at}-{secret}") })).await;
        }
    }
    let before = keys(&app).await;
    assert_eq!((before.len(), before[0].2), (1, 480));
    let lifecycle = Lifecycle::new();
    app.app.start(&lifecycle);

    let begun = rotate(&app).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    for at in 0..40 {
        let (one, two) = (format!("s{at}"), format!("s{}", 39 - at));
        let (value, other) = (format!("{VALUE}-0-{at}"), json!({ "value": "another-value" }));
        assert_eq!(reveal(&app, "person0", &one, &shown()).await.str("value"), value);
        assert_eq!(put(&app, "person1", &two, &other).await.status, 200);
    }
    let job = ended(&app, &begun.str("jobId")).await;

    assert_eq!((&job["state"], &job["progress"]), (&json!("done"), &json!(1.0)), "{job}");
    assert_eq!(keys(&app).await, [(begun.str("keyId"), "current".to_owned(), 480, true)]);
    assert_ne!(begun.str("keyId"), before[0].0);
    assert_eq!(reveal(&app, "person1", "s7", &shown()).await.str("value"), "another-value");
    assert_eq!(reveal(&app, "person11", "s39", &shown()).await.str("value"), format!("{VALUE}-11-39"));
    let count = app.app.db.read_system::<_, steading::db::Error>(|tx| {
        tx.find("SELECT count(*) FROM master_keys", &[], |row| row.integer(0))
    });
    assert_eq!(count.await.expect("read"), Some(1), "nothing is left of the old one");
    lifecycle.stop_token().cancel();
}

#[tokio::test]
async fn many_changes_of_the_master_key_at_once_end_with_one_that_closes_everything() {
    let app = TestApp::with_people().await;
    for at in 0..10 {
        put(&app, "user", &format!("s{at}"), &json!({ "value": format!("{VALUE}-{at}") })).await;
    }
    let lifecycle = Lifecycle::new();
    app.app.start(&lifecycle);

    let (rotations, writes) = tokio::join!(
        join_all((0..10).map(|_| rotate(&app))),
        join_all((0..10).map(|at| {
            let app = &app;
            async move { put(app, "user", &format!("s{at}"), &json!({ "value": format!("{VALUE}+{at}") })).await }
        }))
    );
    for rotation in &rotations {
        assert_eq!(ended(&app, &rotation.str("jobId")).await["state"], "done");
    }

    let left = keys(&app).await;
    assert_eq!((left.len(), left[0].2), (1, 10), "{left:?}");
    for (at, write) in writes.iter().enumerate() {
        let sign = if write.status == 200 { '+' } else { '-' };
        assert!(write.status == 200 || write.refusal() == (503, "busy"), "{write:?}");
        let value = reveal(&app, "user", &format!("s{at}"), &shown()).await.str("value");
        assert_eq!(value, format!("{VALUE}{sign}{at}"));
    }
    lifecycle.stop_token().cancel();
}

/// The operator's key opens what it closed, and the server's own opens what was there before.
#[tokio::test]
async fn a_master_key_of_the_operators_takes_over_and_is_changed_in_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let file = data.join("master-key");
    let settings = [("SECRETS__MASTER_KEY_FILE", file.to_str().expect("a path"))];
    let token = {
        let app = TestApp::on_disk(data, &[]).await;
        let token = app.register("ada@example.com").await.str("accessToken");
        let mut app = app;
        app.keep_token("ada", token.clone());
        assert_eq!(put(&app, "ada", "first", &json!({ "value": VALUE })).await.status, 201);
        token
    };
    let open = async |settings: &[(&str, &str)]| {
        let mut app = TestApp::on_disk(data, settings).await;
        app.keep_token("ada", token.clone());
        let lifecycle = Lifecycle::new();
        app.app.start(&lifecycle);
        (app, lifecycle)
    };
    let value = async |app: &TestApp, name: &str| reveal(app, "ada", name, &shown()).await.body["value"].clone();

    std::fs::write(&file, master_key(1)).expect("written");
    let operators = {
        let (app, lifecycle) = open(&settings).await;
        assert_eq!(value(&app, "first").await, VALUE);
        let begun = rotate(&app).await;
        assert_eq!(ended(&app, &begun.str("jobId")).await["state"], "done");
        assert_eq!(keys(&app).await, [(begun.str("keyId"), "current".to_owned(), 1, true)]);
        assert_eq!(rotate(&app).await.refusal(), (409, "secret-key-in-use"));
        assert!(lifecycle.stop(PATIENCE).await);
        begun.str("keyId")
    };
    {
        // Without its file: what it closed cannot be opened, and nothing else fails.
        let (app, lifecycle) = open(&[]).await;
        assert_eq!(reveal(&app, "ada", "first", &shown()).await.refusal(), (503, "secret-unreadable"));
        assert_eq!(put(&app, "ada", "other", &json!({ "value": VALUE })).await.refusal(), (503, "secret-unreadable"));
        assert_eq!(list(&app, "ada").await.as_array().map(Vec::len), Some(1));
        assert_eq!(keys(&app).await, [(operators.clone(), "current".to_owned(), 1, false)]);
        assert!(lifecycle.stop(PATIENCE).await);
    }
    std::fs::write(&file, format!("{}\n{}\n", master_key(2), master_key(1))).expect("written");
    {
        let (app, lifecycle) = open(&settings).await;
        assert_eq!(value(&app, "first").await, VALUE, "the old one is still there");
        assert_eq!(keys(&app).await[1].1, "unused");
        let begun = rotate(&app).await;
        assert_eq!(ended(&app, &begun.str("jobId")).await["state"], "done");
        assert!(lifecycle.stop(PATIENCE).await);
    }
    std::fs::write(&file, master_key(2)).expect("written");
    {
        let (app, lifecycle) = open(&settings).await;
        assert_eq!(value(&app, "first").await, VALUE, "nothing needs the old one any more");
        assert!(lifecycle.stop(PATIENCE).await);
    }
    // The wrong key is as good as none, and what is kept from now on does not wait for the right one.
    std::fs::write(&file, master_key(3)).expect("written");
    let (app, lifecycle) = open(&settings).await;
    assert_eq!(reveal(&app, "ada", "first", &shown()).await.refusal(), (503, "secret-unreadable"));
    assert_eq!(put(&app, "ada", "other", &json!({ "value": VALUE })).await.status, 201);
    let begun = Instant::now();
    let failed = loop {
        let jobs = app.operator(Method::GET, "/api/v1/admin/jobs?kind=secrets.rewrap&state=failed").send().await;
        if let Some(job) = jobs.body["data"].get(0) {
            break job.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{jobs:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(failed["error"].as_str().is_some_and(|it| it.contains("1 of the master key")), "{failed}");
    lifecycle.stop_token().cancel();
}

#[tokio::test]
async fn the_master_key_is_changed_by_whoever_may_and_nobody_else() {
    let app = TestApp::with_people().await;
    app.role("keeper", &["secrets:admin"]).await;
    let (_, keeper) = app.person("keeper", "keeper").await;

    for who in ["user", "readonly"] {
        let refused = app.as_role(who, Method::POST, "/api/v1/admin/secrets/rotate").send().await;
        assert_eq!(refused.refusal(), (403, "not-allowed"), "{who}");
    }
    let begun = app.ask(Method::POST, "/api/v1/admin/secrets/rotate").bearer(&keeper).send().await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let keys = app.ask(Method::GET, "/api/v1/admin/secrets/keys").bearer(&keeper).send().await;
    assert_eq!(keys.body["data"][0]["id"], begun.str("keyId"));
}

/// From outside: the command line changes the key of a server that runs, and the doctor finds the one that is missing.
#[test]
fn the_command_line_changes_the_master_key_and_the_doctor_misses_one() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("keys"), master_key(7)).expect("written");
    let settings = [("STEADING__SECRETS__MASTER_KEY_FILE", "keys")];
    let run = |args: &[&str]| {
        let ran = command(folder.path(), args).envs(settings).output().expect("run");
        (
            ran.status.success(),
            format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)),
        )
    };
    {
        let _server = Server::start(folder.path(), &settings);
        assert!(steading(folder.path(), &["secrets", "keys"]).contains("unused"));
        let (is_done, said) = run(&["secrets", "rotate"]);
        assert!(is_done && said.contains("closes what is kept from now on"), "{said}");
        assert!(steading(folder.path(), &["secrets", "keys"]).contains("current, with the operator, closes 0"));
    }
    let (is_well, said) = run(&["doctor"]);
    assert!(is_well && said.contains("ok    secrets"), "{said}");

    let doctor = command(folder.path(), &["doctor"]).output().expect("run");
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(!doctor.status.success() && said.contains("WRONG secrets: a master key is missing"), "{said}");

    assert_refused(folder.path(), "not Base64 at all");
    assert_refused(folder.path(), &BASE64.encode(&[1; 31]));
    assert_refused(folder.path(), &format!("{}\n{}", master_key(1), master_key(1)));
}

fn assert_refused(folder: &Path, keys: &str) {
    std::fs::write(folder.join("keys"), keys).expect("written");
    let mut doctor = command(folder, &["doctor"]);
    let ran = doctor.env("STEADING__SECRETS__MASTER_KEY_FILE", "keys").output().expect("run");
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(said.contains("WRONG settings") && said.contains("secrets.master_key"), "{said}");
    assert!(!said.contains(keys.split('\n').next().unwrap_or_default()), "a key is never repeated: {said}");
}
