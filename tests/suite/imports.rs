//! Accounts from elsewhere: imported with the hashes of their passwords, which become ours.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};
use steading::base::TenantId;

use crate::support::{PASSWORD, Reply, TestApp};

const IMPORT: &str = "/api/v1/admin/users/import";
const THEIRS: &str = "correct horse";
/// Of [`THEIRS`], as Python's `bcrypt`, `argon2-cffi`, `passlib`, `hashlib` and Django keep it.
const HASHES: &[&str] = &[
    "$2b$04$vJtWvDJccXkyeWdJPcKn6.y8VHhfZbb5w1E2G.xR5eoqL2MB5CBNi",
    "$2a$04$9xE9HN6iLrc/ZqKx5HuSWeTznV5k5FD3DvcZHQh8xtfgcADJjIRue",
    "$2y$04$SELAY4434lUZsktiIZKx4uM0ynd0EYAhlXR36rC72CkD3/UbDF4Ga",
    "$argon2i$v=19$m=64,t=2,p=2$MDEyMzQ1Njc4OWFiY2RlZg$JJ/ZDykYOnhMabOK2tGFjoWMyIA2jiyUS51az8rbHG4",
    "$argon2id$v=19$m=64,t=2,p=2$MDEyMzQ1Njc4OWFiY2RlZg$ehqGRlXhNY90u1mXokuaGpor9OaG4WSZVb4jCfev4ys",
    "$pbkdf2-sha256$100$qdW6d87Z21trLYXwnlMKIQ$tMIUDRPGSn3M6XP15mgL.W5BqVEcClWGnxiRHFkss2A",
    "$scrypt$ln=4,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$OAkZqUBelG6VIYdTJfYSENL5OmZRxMa3GwXn5oFliTg",
    "pbkdf2_sha256$100$SaltOfDjango$sVWZnW9d3eTLZPkaQ1DOozGkcKP58VHKGVt/kSxNmHc=",
];

fn lines(accounts: &[Value]) -> String {
    accounts.iter().map(|it| format!("{it}\n")).collect()
}

async fn import(app: &TestApp, accounts: &[Value]) -> Reply {
    app.operator(Method::POST, IMPORT).raw(lines(accounts)).send().await
}

async fn hash(app: &TestApp, email: &'static str) -> String {
    let sql = "SELECT password_hash FROM users WHERE email = $1";
    let find = move |tx: &mut steading::db::Tx<'_>| tx.find(sql, &[email.into()], |row| Ok(row.text(0)?.to_owned()));
    app.app.db.read(&TenantId::main(), find).await.expect("read").expect("an account")
}

#[tokio::test]
async fn who_comes_from_elsewhere_signs_in_with_their_password_and_is_kept_as_ours_then() {
    let app = TestApp::new().await;
    let accounts: Vec<_> = HASHES
        .iter()
        .enumerate()
        .map(|(n, hash)| json!({ "email": format!("user{n}@example.com"), "passwordHash": hash }))
        .collect();

    let report = import(&app, &accounts).await;

    assert_eq!((report.status, &report.body["imported"], &report.body["refused"]), (200, &json!(8), &json!(0)));
    for (n, kept) in HASHES.iter().enumerate() {
        let email: &'static str = Box::leak(format!("user{n}@example.com").into_boxed_str());
        assert_eq!(app.login(email, "wrong").await.refusal(), (401, "wrong-credentials"), "{kept}");
        assert_eq!(hash(&app, email).await, *kept, "a wrong guess changes nothing");
        assert_eq!(app.login(email, THEIRS).await.status, 200, "{kept}");
        assert!(hash(&app, email).await.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"), "{kept}");
        assert_eq!(app.login(email, THEIRS).await.status, 200, "{kept}");
        assert_eq!(app.login(email, "wrong").await.status, 401, "{kept}");
    }
}

/// As Supabase keeps who came to it from Firebase.
#[tokio::test]
async fn a_password_of_firebase_counts_and_is_kept_as_ours_then() {
    const KEPT: &str = "$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzx\
                        UECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZv\
                        qmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==";
    let app = TestApp::new().await;
    let with = |email: &str, hash: String| json!({ "email": email, "passwordHash": hash });
    let dear = with("dear@example.com", KEPT.replace("n=14", "n=18"));
    let other_project = with("other@example.com", KEPT.replace("sk=jx", "sk=jy"));

    let report = import(&app, &[with("ada@example.com", KEPT.to_owned()), dear, other_project]).await;

    assert_eq!((&report.body["imported"], &report.body["refused"]), (&json!(2), &json!(1)), "{report:?}");
    assert_eq!(report.body["errors"][0]["errors"][0]["pointer"], "/passwordHash");
    assert_eq!(app.login("ada@example.com", "user1passwore").await.refusal(), (401, "wrong-credentials"));
    assert_eq!(hash(&app, "ada@example.com").await, KEPT, "a wrong guess changes nothing");
    assert_eq!(app.login("ada@example.com", "user1password").await.status, 200);
    assert!(hash(&app, "ada@example.com").await.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"));
    assert_eq!(app.login("ada@example.com", "user1password").await.status, 200);
    assert_eq!(app.login("other@example.com", "user1password").await.status, 401, "the key of another project");
}

#[tokio::test]
async fn an_account_is_imported_with_all_that_it_says() {
    let app = TestApp::with_people().await;
    app.role("editor", &["records:read"]).await;
    let ada = json!({
        "email": " Ada@Example.com", "name": "Ada", "role": "editor", "tier": "gold", "emailVerified": true,
        "createdAt": "2020-01-02T03:04:05.000Z", "passwordHash": HASHES[0],
    });
    let gone = json!({ "email": "gone@example.com", "disabled": true, "passwordHash": HASHES[0] });
    let bare = json!({ "email": "bare@example.com", "name": null });

    assert_eq!(import(&app, &[ada, gone, bare]).await.body["imported"], 3);

    let user = app.login("ada@example.com", THEIRS).await.body["user"].clone();
    assert_eq!(
        (&user["name"], &user["role"], &user["tier"], &user["emailVerified"], &user["createdAt"]),
        (&json!("Ada"), &json!("editor"), &json!("gold"), &json!(true), &json!("2020-01-02T03:04:05.000Z"))
    );
    assert_eq!(app.login("gone@example.com", THEIRS).await.status, 401, "disabled");
    for password in ["", THEIRS, "x"] {
        assert_eq!(app.login("bare@example.com", password).await.status, 401, "without a password");
    }
    let found = app.operator(Method::GET, "/api/v1/users/search?q=ada").send().await;
    assert_eq!(found.body["data"][0]["email"], "ada@example.com", "by a search at once");
    let told = app.operator(Method::GET, "/api/v1/admin/audit?action=users.import").send().await;
    assert_eq!(told.body["data"][0]["after"], json!({ "count": 3 }));
    assert!(!told.text.contains("$2b$"));
}

#[tokio::test]
async fn each_account_that_does_not_fit_is_refused_with_its_line_and_its_faults_and_the_others_are_taken() {
    let app = TestApp::with_people().await;
    let file = [
        r#"{"email":"a@example.com"}"#,
        "",
        r#"{"email":"user@example.com"}"#,
        r#"{"email":"A@example.com"}"#,
        r#"{"email":"no address","tier":"Not a word","passwordHash":"secret","role":"nobody","emailVerified":"yes"}"#,
        r#"{"name":"nobody"}"#,
        "not json",
        "[1]",
        r#"{"email":"b@example.com","email":"c@example.com"}"#,
        r#"{"email":"d@example.com","password":"in plain text"}"#,
        r#"{"email":"e@example.com","role":"nobody"}"#,
        r#"{"email":"f@example.com","passwordHash":"$2b$15$vJtWvDJccXkyeWdJPcKn6.y8VHhfZbb5w1E2G.xR5eoqL2MB5CBNi"}"#,
        r#"{"email":"g@example.com","createdAt":"2999-01-01T00:00:00.000Z","name":7}"#,
        r#"{"email":"h@example.com"}"#,
    ]
    .join("\n");

    let report = app.operator(Method::POST, IMPORT).raw(format!("\u{feff}{file}")).send().await;

    assert_eq!(
        (report.status, &report.body["imported"], &report.body["refused"]),
        (200, &json!(2), &json!(11)),
        "{report:?}"
    );
    let told: Vec<_> = report.body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|it| {
            let mut pointers: Vec<_> = it["errors"]
                .as_array()
                .expect("faults")
                .iter()
                .map(|it| it["pointer"].as_str().unwrap_or("?"))
                .collect();
            pointers.sort_unstable();
            (it["line"].as_u64().unwrap_or(0), pointers.join(" "))
        })
        .collect();
    let expected = [
        (3, "/email"),
        (4, "/email"),
        (5, "/email /emailVerified /passwordHash /tier"),
        (6, "/email"),
        (7, ""),
        (8, ""),
        (9, "/email"),
        (10, "/password"),
        (11, "/role"),
        (12, "/passwordHash"),
        (13, "/createdAt /name"),
    ];
    assert_eq!(told, expected.map(|(line, pointers)| (line, pointers.to_owned())));
    assert_eq!(app.login("user@example.com", PASSWORD).await.status, 200, "who was there is untouched");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let app = TestApp::with_people().await;
    let accounts =
        ["a@example.com", "user@example.com", "A@example.com", "b@example.com"].map(|it| json!({ "email": it }));

    let dry = app.operator(Method::POST, &format!("{IMPORT}?dryRun=true")).raw(lines(&accounts)).send().await;

    assert_eq!((&dry.body["imported"], &dry.body["refused"]), (&json!(2), &json!(2)), "{dry:?}");
    let users = app.operator(Method::GET, "/api/v1/admin/users?count=exact").send().await;
    assert_eq!(users.body["meta"]["total"], 3);
    let real = import(&app, &accounts).await;
    assert_eq!((&real.body["imported"], &real.body["refused"]), (&json!(2), &json!(2)));
    let lines = |reply: &Reply| {
        let errors = reply.body["errors"].as_array().expect("errors").clone();
        errors.iter().map(|it| it["line"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(lines(&dry), lines(&real));
}

/// Otherwise who looks after accounts would make themselves an admin.
#[tokio::test]
async fn nobody_imports_an_account_that_may_more_than_they_do() {
    let app = TestApp::with_people().await;
    app.role("keeper", &["users:admin"]).await;
    let (_, keeper) = app.person("keeper", "keeper").await;
    let file = lines(&[
        json!({ "email": "root@example.com", "role": "admin", "passwordHash": HASHES[0] }),
        json!({ "email": "keeper2@example.com", "role": "keeper" }),
    ]);

    let report = app.ask(Method::POST, IMPORT).bearer(&keeper).raw(file.clone()).send().await;

    assert_eq!((&report.body["imported"], &report.body["refused"]), (&json!(1), &json!(1)), "{report:?}");
    let fault = &report.body["errors"][0]["errors"][0];
    assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/role"), &json!("permission-not-held")));
    assert_eq!(app.login("root@example.com", THEIRS).await.status, 401);
    for role in ["user", "readonly"] {
        let refused = app.as_role(role, Method::POST, IMPORT).raw(file.clone()).send().await;
        assert_eq!(refused.refusal(), (403, "not-allowed"), "{role}");
    }
    assert_eq!(app.ask(Method::POST, IMPORT).raw(file).send().await.refusal(), (401, "not-signed-in"));
}

#[tokio::test]
async fn a_long_file_that_is_imported_five_times_at_once_is_there_once() {
    let app = TestApp::new().await;
    let accounts: Vec<_> = (0..1_200).map(|n| json!({ "email": format!("user{n}@example.com") })).collect();

    let reports = join_all((0..5).map(|_| import(&app, &accounts))).await;

    let sum = |name: &str| reports.iter().map(|it| it.body[name].as_u64().expect("a number")).sum::<u64>();
    assert_eq!((sum("imported"), sum("refused")), (1_200, 4 * 1_200));
    let users = app.operator(Method::GET, "/api/v1/admin/users?count=exact&limit=1").send().await;
    assert_eq!(users.body["meta"]["total"], 1_200);
}

#[tokio::test]
async fn a_line_without_an_end_takes_no_memory_and_what_comes_after_it_is_read() {
    let app = TestApp::new().await;
    let file = format!("{}\n{}", "x".repeat(3 << 20), json!({ "email": "a@example.com" }));

    let report = app.operator(Method::POST, IMPORT).raw(file).send().await;

    assert_eq!((&report.body["imported"], &report.body["errors"][0]["line"]), (&json!(1), &json!(1)), "{report:?}");
    let nothing = app.operator(Method::POST, IMPORT).raw("").send().await;
    assert_eq!((nothing.status, &nothing.body["imported"]), (200, &json!(0)));
}

// What passwords cost.

/// A server that is moved to another machine, or measured again, keeps everybody's password.
#[tokio::test]
async fn what_was_measured_once_counts_after_a_restart_and_older_passwords_take_it_on() {
    let folder = tempfile::tempdir().expect("a folder");
    TestApp::on_disk(folder.path(), &[]).await.register("ada@example.com").await;
    let measured = [("ACCOUNTS__HASH_MEMORY_KIB", "0"), ("ACCOUNTS__HASH_ITERATIONS", "0")];
    let app = TestApp::on_disk(folder.path(), &measured).await;
    let keep = |tx: &mut steading::db::Tx<'_>| {
        let sql = "INSERT INTO settings (name, content, version, updated_at) VALUES ($1, $2, 1, 0)";
        tx.execute(sql, &["password-cost".into(), r#"{"memoryKib":9216,"iterations":3}"#.into()]).map(drop)
    };
    app.app.db.write(&TenantId::main(), keep).await.expect("kept");
    drop(app);

    let app = TestApp::on_disk(folder.path(), &measured).await;
    app.app.accounts.hashing.measure_once(&TenantId::main()).await.expect("looked");

    let shown = app.operator(Method::GET, "/api/v1/admin/password-hashing").send().await;
    assert_eq!(
        (&shown.body["memoryKib"], &shown.body["iterations"], &shown.body["isMeasured"]),
        (&json!(9_216), &json!(3), &json!(true))
    );
    assert_eq!((&shown.body["running"], &shown.body["waiting"]), (&json!(0), &json!(0)));
    assert_eq!(app.login("ada@example.com", PASSWORD).await.status, 200);
    assert!(hash(&app, "ada@example.com").await.starts_with("$argon2id$v=19$m=9216,t=3,p=1$"));
}

#[tokio::test]
async fn how_many_passwords_wait_is_shown_to_admins() {
    let app = TestApp::with_people_and(&[("ACCOUNTS__HASH_THREADS", "1")]).await;
    let ask = |role: &'static str| app.as_role(role, Method::GET, "/api/v1/admin/password-hashing").send();

    let (_, shown) = futures_util::join!(
        join_all((0..8).map(|n| {
            let email = format!("user{n}@example.com");
            let app = &app;
            async move { app.login(&email, "wrong").await }
        })),
        ask("admin")
    );

    let count = |name: &str| shown.body[name].as_u64().expect("a number");
    assert!(count("threads") == 1 && count("running") <= 1 && 1 <= count("waiting"), "{shown:?}");
    let after = ask("admin").await;
    assert_eq!((&after.body["running"], &after.body["waiting"]), (&json!(0), &json!(0)));
    assert!(0 < after.body["longestWaitMs"].as_u64().expect("a number"));
    assert_eq!(after.body["isMeasured"], false, "the settings say what it costs");
    assert_eq!(ask("user").await.refusal(), (403, "not-allowed"));
}
