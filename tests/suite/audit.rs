//! The audit trail: who did what, and that nobody changes it unnoticed.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use poem::http::Method;
use rusqlite::Connection;
use serde_json::{Value, json};
use steading::features::audit::Action;

use crate::ask::ask;
use crate::server::{Server, command};
use crate::support::live::{Live, serve_app};
use crate::support::{PASSWORD, Reply, TestApp};

const AUDIT: &str = "/api/v1/admin/audit";

/// All entries that a query selects, newest first.
async fn entries(app: &TestApp, query: &str) -> Vec<Value> {
    let path = format!("{AUDIT}?limit=500{query}");
    let reply = app.operator(Method::GET, &path).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("entries").clone()
}

/// The only entry that a query selects.
async fn entry(app: &TestApp, query: &str) -> Value {
    let found = entries(app, query).await;
    assert_eq!(found.len(), 1, "{query}: {found:#?}");
    found.into_iter().next().unwrap_or_default()
}

async fn verify(app: &TestApp, body: &Value) -> Reply {
    let reply = app.operator(Method::POST, &format!("{AUDIT}/verify")).json(body).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

/// What is wrong with the trail: kinds and numbers.
async fn flaws(app: &TestApp) -> Vec<(String, i64)> {
    let found = verify(app, &json!({})).await.body;
    let flaws: Vec<_> = found["flaws"].as_array().expect("flaws").iter().map(of_flaw).collect();
    assert_eq!(found["isWhole"], flaws.is_empty(), "{found}");
    flaws
}

fn of_flaw(flaw: &Value) -> (String, i64) {
    (flaw["kind"].as_str().unwrap_or_default().to_owned(), flaw["seq"].as_i64().unwrap_or_default())
}

/// Whoever has the file, and no server before it.
fn tamper(folder: &Path, sql: &str) {
    let connection = Connection::open(folder.join("tenants/main/records.db")).expect("the file");
    connection.execute_batch(sql).unwrap_or_else(|cause| panic!("{sql}: {cause}"));
}

#[tokio::test]
async fn what_someone_does_to_accounts_is_told_with_who_when_and_from_where() {
    let app = TestApp::with_people().await;
    let token = app.token("user");

    let renamed = app.ask(Method::PATCH, "/api/v1/auth/profile").bearer(token).header("user-agent", "curl/8.14.1");
    let renamed = renamed.header("x-request-id", "order-4711").json(&json!({ "name": "Ada" })).send().await;
    assert_eq!(renamed.status, 200);
    app.ask(Method::POST, "/api/v1/auth/logout").bearer(token).send().await;
    assert_eq!(app.register("grace@example.com").await.status, 201);
    app.as_role("admin", Method::POST, "/api/v1/admin/setup-links").send().await;
    app.as_role("admin", Method::POST, "/api/v1/auth/logout-all").send().await;

    let found = entry(&app, "&requestId=order-4711").await;
    assert_eq!(found["action"], "profile.change");
    assert_eq!((&found["before"], &found["after"]), (&json!({ "name": "" }), &json!({ "name": "Ada" })));
    assert_eq!((&found["actorKind"], &found["actorEmail"]), (&json!("user"), &json!("user@example.com")));
    assert_eq!((&found["resourceKind"], &found["resourceId"]), (&json!("user"), &found["actorId"]));
    assert_eq!((&found["userAgent"], &found["outcome"]), (&json!("curl/8.14.1"), &json!("done")));
    let told: Vec<_> = entries(&app, "").await.into_iter().rev().map(|it| it["action"].clone()).collect();
    let people = ["users.create", "auth.sign-in"].repeat(3);
    let then = ["profile.change", "auth.sign-out", "auth.register", "setup-links.create", "auth.sign-out-everywhere"];
    assert_eq!(told, people.into_iter().chain(then).map(Value::from).collect::<Vec<_>>());
    let made = entries(&app, "&action=users.create").await;
    assert!(made.iter().all(|it| it["actorKind"] == "operator" && it["address"].is_null()), "{made:?}");
    assert_eq!(flaws(&app).await, []);
}

#[tokio::test]
async fn what_is_undone_is_not_told() {
    let app = TestApp::with_people().await;
    let before = entries(&app, "").await.len();

    let taken = app.register("user@example.com").await;
    assert_eq!(taken.refusal(), (409, "email-taken"));
    let taken = json!({ "email": "user@example.com", "password": PASSWORD });
    let taken = app.as_role("admin", Method::POST, "/api/v1/admin/users").json(&taken).send().await;
    assert_eq!(taken.status, 409);

    assert_eq!(entries(&app, "").await.len(), before);
    assert_eq!(flaws(&app).await, []);
}

#[tokio::test]
async fn nobody_but_admins_and_the_operator_sees_the_trail_and_nobody_changes_it() {
    let app = TestApp::with_people().await;
    for (method, path) in [
        (Method::GET, ""),
        (Method::GET, "/1"),
        (Method::GET, "/head"),
        (Method::GET, "/export"),
        (Method::POST, "/verify"),
    ] {
        let path = format!("{AUDIT}{path}");
        for (role, status) in [("", 401), ("user", 403), ("readonly", 403), ("admin", 200)] {
            let reply = app.as_role(role, method.clone(), &path).json(&json!({})).send().await;
            assert_eq!(reply.status, status, "{role} {method} {path}");
        }
    }
    for method in [Method::DELETE, Method::PUT, Method::PATCH, Method::POST] {
        for path in ["", "/1"] {
            let reply = app.operator(method.clone(), &format!("{AUDIT}{path}")).json(&json!({})).send().await;
            assert_eq!(reply.status, 405, "{method} {path}");
        }
    }
}

/// An independent reading of the guide: no code of the product.
fn hash_as_the_guide_says(line: &Value) -> String {
    const ORDER: [&str; 17] = [
        "seq",
        "at",
        "actorKind",
        "actorId",
        "actorEmail",
        "action",
        "resourceKind",
        "resourceId",
        "before",
        "after",
        "address",
        "userAgent",
        "requestId",
        "outcome",
        "reason",
        "totalBytes",
        "previousHash",
    ];
    let mut bytes = b"steading-audit-1\n".to_vec();
    for name in ORDER {
        let text = match &line[name] {
            Value::Null => None,
            Value::Number(number) => Some(number.to_string()),
            Value::String(text) => Some(text.clone()),
            other => panic!("{name}: {other}"),
        };
        match text {
            None => bytes.push(0),
            Some(text) => {
                bytes.push(1);
                bytes.extend((text.len() as u64).to_be_bytes());
                bytes.extend(text.as_bytes());
            }
        }
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
    data_encoding::HEXLOWER.encode(digest.as_ref())
}

#[tokio::test]
async fn a_stranger_can_follow_the_chain_of_an_export() {
    let app = TestApp::with_people().await;
    app.ask(Method::PATCH, "/api/v1/auth/profile")
        .bearer(app.token("user"))
        .json(&json!({ "name": "=1+\"ü\"" }))
        .send()
        .await;

    let export = app.as_role("admin", Method::GET, &format!("{AUDIT}/export")).send().await;

    assert_eq!(export.content_type(), "application/x-ndjson");
    let lines: Vec<Value> = export.text.lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
    assert_eq!(lines.len(), 7);
    let mut previous = "0".repeat(64);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], index + 1);
        assert_eq!(line["previousHash"], previous.as_str());
        previous = hash_as_the_guide_says(line);
        assert_eq!(line["hash"], previous.as_str(), "{line}");
    }
    assert_eq!(lines[6]["after"], json!({ "name": "=1+\"ü\"" }).to_string());
    let export = entry(&app, "&action=audit.export").await;
    assert_eq!((&export["seq"], &export["actorEmail"]), (&json!(8), &json!("admin@example.com")));
    let head = app.operator(Method::GET, &format!("{AUDIT}/head")).send().await.body;
    assert_eq!((&head["seq"], &head["hash"]), (&json!(8), &export["hash"]));
    let csv = app.as_role("admin", Method::GET, &format!("{AUDIT}/export?format=csv&action=profile.*")).send().await;
    assert_eq!(csv.text.lines().count(), 2, "{}", csv.text);
    assert!(csv.text.starts_with("seq,at,actorKind,"), "{}", csv.text);
}

#[tokio::test]
async fn any_change_of_any_column_of_any_entry_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let count = {
        let app = TestApp::on_disk(&data, &[]).await;
        app.register("ada@example.com").await;
        app.login("ada@example.com", "wrong").await;
        let token = app.login("ada@example.com", PASSWORD).await.str("accessToken");
        app.ask(Method::PATCH, "/api/v1/auth/profile").bearer(&token).json(&json!({ "name": "Ada" })).send().await;
        assert_eq!(flaws(&app).await, []);
        entries(&app, "").await.len()
    };
    assert_eq!(count, 4);
    let columns: Vec<(String, String)> = {
        let connection = Connection::open(data.join("tenants/main/records.db")).expect("the file");
        let mut statement =
            connection.prepare("SELECT name, type FROM pragma_table_info('audit_entries')").expect("SQL");
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("columns");
        found.map(|it| it.expect("a column")).collect()
    };
    assert_eq!(columns.len(), 18);
    let original = std::fs::read(data.join("tenants/main/records.db")).expect("the file");
    for (column, kind) in &columns {
        for seq in 1..=count {
            let changed = match kind.as_str() {
                "INTEGER" if column == "seq" => "seq + 100".to_owned(),
                "INTEGER" => format!("{column} + 1"),
                "BLOB" => "randomblob(32)".to_owned(),
                _ => format!("coalesce({column} || 'x', 'x')"),
            };
            tamper(&data, &format!("UPDATE audit_entries SET {column} = {changed} WHERE seq = {seq}"));
            let app = TestApp::on_disk(&data, &[]).await;
            assert_ne!(flaws(&app).await, [], "{column} of {seq}");
            drop(app);
            for file in ["records.db-wal", "records.db-shm"] {
                let _ = std::fs::remove_file(data.join("tenants/main").join(file));
            }
            std::fs::write(data.join("tenants/main/records.db"), &original).expect("restored");
        }
    }
}

/// A collection whose records are told of, with one of each sort of field that matters here.
async fn with_posts(app: &TestApp, audit: bool) {
    let fields = json!([
        { "name": "title", "type": "text" }, { "name": "live", "type": "bool" }, { "name": "due", "type": "datetime" },
        { "name": "tags", "type": "select", "values": ["a", "b"], "multiple": true },
        { "name": "note", "type": "text", "hidden": true }, { "name": "pin", "type": "text", "writeOnly": true },
    ]);
    let rules = json!({ "list": "true", "view": "true", "create": "true", "update": "true", "delete": "true" });
    let options = json!({ "softDelete": true, "audit": audit });
    let posts = json!({ "name": "posts", "fields": fields, "rules": rules, "options": options });
    let made = app.as_role("admin", Method::POST, "/api/v1/collections").json(&posts).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

const POSTS: &str = "/api/v1/collections/posts/records";

#[tokio::test]
async fn a_change_of_a_collection_is_told_by_what_differs() {
    let app = TestApp::with_people().await;
    with_posts(&app, false).await;
    let path = "/api/v1/collections/posts";
    let change = json!({ "rules": { "delete": null }, "options": { "audit": true } });
    app.as_role("admin", Method::PATCH, path).json(&change).send().await;
    app.as_role("admin", Method::DELETE, &format!("{path}?dryRun=true")).send().await;
    app.as_role("admin", Method::DELETE, path).send().await;

    let [dropped, changed, made] =
        <[Value; 3]>::try_from(entries(&app, "&resource=collection/posts").await).expect("3");
    assert_eq!((&dropped["action"], &dropped["before"]["name"]), (&json!("collections.drop"), &json!("posts")));
    assert_eq!((&made["action"], &made["after"]["name"]), (&json!("collections.create"), &json!("posts")));
    assert_eq!(changed["before"], json!({ "rules.delete": "true", "options.audit": null }));
    assert_eq!(changed["after"], json!({ "rules.delete": null, "options.audit": true }));
    assert!([dropped, changed, made].iter().all(|it| it["actorEmail"] == "admin@example.com"));
    assert_eq!(flaws(&app).await, []);
}

#[tokio::test]
async fn single_records_are_told_of_where_their_collection_says_so() {
    let app = TestApp::with_people().await;
    with_posts(&app, true).await;
    let post = json!({ "title": "One", "live": true, "due": "2026-05-01T10:00:00Z", "tags": ["a"], "pin": "4711" });
    let id = app.as_role("user", Method::POST, POSTS).json(&post).send().await.str("id");
    let path = format!("{POSTS}/{id}");
    app.as_role("user", Method::PATCH, &path).json(&json!({ "title": "Two", "pin": "0815" })).send().await;
    app.as_role("user", Method::PATCH, &path).json(&json!({ "title": "Two" })).send().await;
    app.as_role("user", Method::DELETE, &path).send().await;
    app.as_role("admin", Method::POST, &format!("{path}/restore")).send().await;
    app.as_role("admin", Method::DELETE, &format!("{path}?purge=true")).send().await;

    let found = entries(&app, &format!("&resource=record/posts/{id}")).await;
    let told: Vec<_> = found.iter().rev().map(|it| it["action"].as_str().unwrap_or_default()).collect();
    assert_eq!(
        told,
        [
            "records.create",
            "records.change",
            "records.change",
            "records.delete",
            "records.restore",
            "records.delete",
            "records.purge"
        ]
    );
    let of = |at: usize| &found[found.len() - 1 - at];
    let made = json!({
        "title": "One", "live": true, "due": "2026-05-01T10:00:00.000Z", "tags": ["a"], "note": null, "pin": "[hidden]"
    });
    assert_eq!((&of(0)["before"], &of(0)["after"]), (&Value::Null, &made));
    assert_eq!(of(1)["before"], json!({ "title": "One", "pin": "[hidden]" }));
    assert_eq!(of(1)["after"], json!({ "title": "Two", "pin": "[hidden]" }));
    assert_eq!((&of(3)["before"]["title"], &of(3)["after"]), (&json!("Two"), &Value::Null));
    assert!(found.iter().all(|it| !it.to_string().contains("4711") && !it.to_string().contains("0815")));
    assert_eq!(flaws(&app).await, []);
}

#[tokio::test]
async fn what_is_done_to_many_records_is_told_also_where_each_is_not() {
    let app = TestApp::with_people().await;
    with_posts(&app, false).await;
    let post = |title: &str| json!({ "title": title }).to_string();
    app.as_role("user", Method::POST, POSTS).text(post("x")).send().await;
    let file = [post("a"), post("b")].join("\n");
    let import = app.as_role("admin", Method::POST, &format!("{POSTS}/import?format=ndjson")).raw(file).send().await;
    assert_eq!(import.body["imported"], 2, "{import:?}");
    let user = |method, path: &str| app.as_role("user", method, &format!("{POSTS}{path}"));
    user(Method::PATCH, "?filter=title%3D%3D'a'").json(&json!({ "live": true })).send().await;
    user(Method::PATCH, "?filter=true&dryRun=true").json(&json!({ "live": false })).send().await;
    user(Method::GET, "/export").send().await;
    user(Method::DELETE, "?where[title]=b").send().await;
    app.as_role("admin", Method::GET, &format!("{POSTS}/export?where[title]=a")).send().await;
    app.as_role("admin", Method::POST, "/api/v1/collections/posts/truncate").send().await;

    let found = entries(&app, "&resource=collection/posts&action=records.*").await;
    let told: Vec<_> = found.iter().rev().map(|it| (it["action"].clone(), it["after"].clone())).collect();
    let expected = [
        ("records.import", json!({ "count": 2 })),
        ("records.bulk-change", json!({ "count": 1, "selectedBy": { "filter": "title=='a'" } })),
        ("records.bulk-delete", json!({ "count": 1, "selectedBy": { "where[title]": "b" } })),
        ("records.export", json!({ "selectedBy": { "where[title]": "a" } })),
        ("records.truncate", json!({ "count": 3, "selectedBy": {} })),
    ];
    assert_eq!(told, expected.map(|(action, after)| (Value::from(action), after)));
    assert_eq!(flaws(&app).await, []);
}

#[tokio::test]
async fn what_is_deleted_with_another_record_is_told_too() {
    let app = TestApp::with_people().await;
    let options = json!({ "audit": true });
    for (name, field) in [
        ("shops", json!({ "name": "name", "type": "text" })),
        ("goods", json!({ "name": "shop", "type": "relation", "collection": "shops", "onDelete": "cascade" })),
    ] {
        let body = json!({ "name": name, "fields": [field], "options": options });
        let made = app.as_role("admin", Method::POST, "/api/v1/collections").json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let make = async |collection: &str, body: Value| {
        let path = format!("/api/v1/collections/{collection}/records");
        app.as_role("admin", Method::POST, &path).json(&body).send().await.str("id")
    };
    let shop = make("shops", json!({ "name": "Corner" })).await;
    let good = make("goods", json!({ "shop": shop })).await;

    app.as_role("admin", Method::DELETE, &format!("/api/v1/collections/shops/records/{shop}")).send().await;

    let told = entry(&app, &format!("&resource=record/goods/{good}&action=records.delete")).await;
    assert_eq!((&told["before"], &told["actorEmail"]), (&json!({ "shop": shop }), &json!("admin@example.com")));
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_leaves_a_few_entries() {
    let app = TestApp::with_people_and(&[
        ("ACCOUNTS__SIGN_IN_FAILURES_PER_ACCOUNT_MAX", "3"),
        ("ACCOUNTS__SIGN_IN_FAILURES_PER_ADDRESS_MAX", "1000"),
    ])
    .await;
    for email in ["user@example.com", "nobody@example.com", "my secret password"] {
        for attempt in 1..=10 {
            let status = app.login(email, "wrong").await.status;
            assert_eq!(status, if attempt <= 3 { 401 } else { 429 });
        }
    }

    let told = entries(&app, "&outcome=refused").await;

    let told: Vec<_> = told.iter().rev().map(|it| (it["reason"].clone(), it["resourceId"].clone())).collect();
    let twice = |email: Value| [(json!("wrong-credentials"), email.clone()), (json!("too-many-requests"), email)];
    let expected = [json!("user@example.com"), json!("nobody@example.com"), Value::Null].map(twice).concat();
    assert_eq!(told, expected, "what is no address may be a password");
    app.advance(3_600);
    app.login("user@example.com", "wrong").await;
    assert_eq!(entries(&app, "&outcome=refused").await.len(), 7);
}

#[tokio::test]
async fn a_token_that_was_used_again_is_told() {
    let app = TestApp::with_people().await;
    let first = app.login("user@example.com", PASSWORD).await.str("refreshToken");
    app.refresh(&first).await;
    app.advance(60);

    assert_eq!(app.refresh(&first).await.status, 401);

    let told = entry(&app, "&action=auth.token-reused").await;
    assert_eq!((&told["actorKind"], &told["reason"]), (&json!("stranger"), &json!("token-invalid")));
}

/// What is sent as a secret, and what steers a terminal or ends a line.
#[tokio::test]
async fn no_entry_holds_a_secret_or_forges_a_line() {
    let app = TestApp::with_people().await;
    let link = app.operator(Method::POST, "/api/v1/admin/setup-links").send().await.str("url");
    let secret = link.split("token=").nth(1).expect("a secret").to_owned();
    let agent = "curl\u{1b}[2J\" 2026-01-01 auth.sign-in";
    let setup = json!({ "token": secret, "email": "root@example.com", "password": "a much longer secret than others" });
    let path = "/api/v1/setup";
    let reply =
        app.ask(Method::POST, path).header("user-agent", &agent.replace('\u{1b}', "\t")).json(&setup).send().await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let (access, refresh) = (reply.str("accessToken"), reply.str("refreshToken"));
    app.login("root@example.com", "a wrong secret").await;
    app.refresh(&refresh).await;
    app.register("grace@example.com").await;

    let export = app.operator(Method::GET, &format!("{AUDIT}/export")).send().await.text;

    for secret in [PASSWORD, "a much longer", "a wrong secret", &secret, &access, &refresh, "argon2", "setup_"] {
        assert!(!export.contains(secret), "{secret}");
    }
    assert!(export.lines().all(|it| serde_json::from_str::<Value>(it).is_ok()));
    assert!(!export.contains('\t') && export.contains("curl\\\\t[2J"), "{export}");
}

#[tokio::test]
async fn fifty_at_once_make_one_chain() {
    let app = TestApp::with_people().await;
    let before = entries(&app, "").await.len();
    let emails: Vec<String> = (0..50).map(|it| format!("user{it}@example.com")).collect();

    futures_util::future::join_all(emails.iter().map(|it| app.register(it))).await;

    assert_eq!(entries(&app, "").await.len(), before + 50);
    assert_eq!(flaws(&app).await, []);
}

#[tokio::test]
async fn a_list_goes_on_where_it_ended_and_takes_what_it_is_narrowed_by() {
    let app = TestApp::with_people().await;
    let mut seen = Vec::new();
    let mut path = format!("{AUDIT}?limit=2&action=auth.*");
    while !path.is_empty() {
        let reply = app.as_role("admin", Method::GET, &path).send().await;
        seen.extend(reply.body["data"].as_array().expect("entries").iter().map(|it| it["seq"].as_i64()));
        path = reply.header("link").map(|it| it[1..it.find('>').expect("a link")].to_owned()).unwrap_or_default();
        assert_eq!(path.is_empty(), reply.body["meta"]["nextCursor"].is_null());
    }
    assert_eq!(seen, [Some(6), Some(4), Some(2)]);
    let total =
        app.as_role("admin", Method::GET, &format!("{AUDIT}?count=exact&actor=operator&page=2&limit=1")).send().await;
    assert_eq!((&total.body["meta"]["total"], &total.body["data"][0]["seq"]), (&json!(3), &json!(3)));
    assert_eq!(entries(&app, "&actor=USER@example.com").await.len(), 1);
    assert_eq!(entries(&app, "&to=2026-01-02T03:04:05.678Z").await.len(), 0);
    assert_eq!(entries(&app, "&from=2026-01-02T03:04:05.678Z").await.len(), 6);
    let one = app.as_role("admin", Method::GET, &format!("{AUDIT}/6")).send().await;
    assert_eq!(Some(&one.body), entries(&app, "").await.first());
    for path in ["/7", "/0", "/x"] {
        assert_eq!(app.as_role("admin", Method::GET, &format!("{AUDIT}{path}")).send().await.status, 404);
    }
    let wrong =
        app.as_role("admin", Method::GET, &format!("{AUDIT}?action=auth.sign-on&outcome=x&limit=no")).send().await;
    assert_eq!((wrong.status, wrong.body["errors"].as_array().map(Vec::len)), (422, Some(3)), "{wrong:?}");
}

/// The guide is where people look what an action means.
#[test]
fn the_guide_has_every_action_with_its_sentence() {
    let guide = include_str!("../../assets/docs/audit.md");
    for action in Action::ALL {
        let row = format!("| `{}` | {} |", action.name(), action.sentence());
        assert!(guide.contains(&row), "{row}");
    }
}

/// What a script says that has nothing of ours: the one in the guide.
fn follow(folder: &Path, export: &str) -> (bool, String) {
    let guide = include_str!("../../assets/docs/audit.md");
    let script = guide.split("```python\n").nth(1).and_then(|it| it.split("```").next()).expect("a script");
    let file = folder.join("trail.ndjson");
    std::fs::write(&file, export).expect("written");
    let ran = Command::new("python3").args(["-c", script]).arg(&file).output().expect("python3");
    (ran.status.success(), format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)))
}

#[tokio::test]
async fn the_script_of_the_guide_follows_the_chain_and_finds_what_was_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::with_people().await;
    let name = json!({ "name": "\u{1f52c} \\ \"ü\"\u{7f}" });
    app.ask(Method::PATCH, "/api/v1/auth/profile").bearer(app.token("user")).json(&name).send().await;
    let export = app.operator(Method::GET, &format!("{AUDIT}/export")).send().await.text;

    let (is_whole, said) = follow(folder.path(), &export);
    assert!(is_whole, "{said}");
    let changed = export.replacen("auth.sign-in", "auth.sign-on", 1);
    assert_eq!(follow(folder.path(), &changed), (false, "entry 2 was changed\n".to_owned()));
    let cut: String = export.lines().enumerate().filter(|(at, _)| *at != 3).map(|(_, it)| format!("{it}\n")).collect();
    assert_eq!(follow(folder.path(), &cut), (false, "entry 5 does not follow the one before it\n".to_owned()));
}

/// Exit code and words of a role on the folder.
fn role(folder: &Path, args: &[&str]) -> (Option<i32>, String) {
    let ran = command(folder, args).output().expect("run");
    (ran.status.code(), format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)))
}

#[test]
fn what_was_answered_is_there_with_its_entry_after_a_kill_and_verify_tells_by_its_exit_code() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut server = Server::start(folder, &[]);
    let emails: Vec<String> = (0..8).map(|it| format!("user{it}@example.com")).collect();
    for email in &emails {
        let body = json!({ "email": email, "password": PASSWORD }).to_string();
        let (status, _) = ask(&server.url, "POST", "/api/v1/auth/register", "", &body).expect("an answer");
        assert_eq!(status, 201);
    }
    let (code, head) = role(folder, &["audit", "head"]);
    assert_eq!(code, Some(0), "{head}");
    let (code, said) = role(folder, &["audit", "verify", "--expect", head.trim()]);
    assert_eq!((code, said.contains("9 entries, up to 9: the chain is whole")), (Some(0), true), "{said}");
    server.process.kill().expect("killed");
    server.process.wait().expect("ended");
    drop(server);

    let export = role(folder, &["audit", "export"]).1;
    for email in &emails {
        assert_eq!(export.matches(&format!("\"actorEmail\":\"{email}\"")).count(), 1, "{email}: {export}");
    }
    let (code, said) = role(folder, &["audit", "verify", "--expect", head.trim()]);
    assert_eq!((code, said.contains("10 entries")), (Some(0), true), "{said}");

    tamper(&folder.join("data"), "UPDATE audit_entries SET actor_email = 'eve@example.com' WHERE seq = 4");
    let (code, said) = role(folder, &["audit", "verify"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("BROKEN at entry 4 (changed): "), "{said}");
    tamper(&folder.join("data"), "DELETE FROM audit_entries WHERE 6 < seq");
    let (code, said) = role(folder, &["audit", "verify", "--expect", head.trim()]);
    assert_eq!((code, said.contains("BROKEN at entry 7 (missing): ")), (Some(1), true), "{said}");

    for (args, word) in [
        (&["audit", "verify", "--expect", "nonsense"][..], "expect"),
        (&["audit", "verify", "--data", "elsewhere"], "no data folder"),
    ] {
        let (code, said) = role(folder, args);
        assert_eq!((code, said.contains(word)), (Some(2), true), "{args:?}: {said}");
    }
    std::fs::write(folder.join("data/tenants/main/records.db"), "no database").expect("written");
    assert_eq!(role(folder, &["audit", "verify"]).0, Some(2));
}

#[tokio::test]
async fn the_server_signs_where_the_trail_stands_and_misses_what_is_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let settings = &[("AUDIT__KEEP_DAYS", "1")];
    {
        let app = TestApp::on_disk(&data, settings).await;
        app.register("ada@example.com").await;
        app.login("ada@example.com", PASSWORD).await;
        let (_, lifecycle) = serve_app(&app);
        let noted = async || app.operator(Method::GET, &format!("{AUDIT}/head")).send().await.body;
        for _ in 0..100 {
            if !noted().await["checkpoint"].is_null() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let head = noted().await;
        assert_eq!((&head["checkpoint"]["seq"], &head["checkpoint"]["hash"]), (&head["seq"], &head["hash"]), "{head}");
        assert!(lifecycle.stop(Duration::from_secs(5)).await);
    }
    tamper(&data, "DELETE FROM audit_entries WHERE seq = 2");

    let app = TestApp::on_disk(&data, settings).await;

    assert_eq!(flaws(&app).await, [("missing".to_owned(), 2)]);
}

#[tokio::test]
async fn what_people_may_and_their_secrets_leave_entries_when_they_are_changed() {
    let app = TestApp::with_people().await;
    let role = json!({ "name": "editor", "description": "", "permissions": ["records:read"] });
    let admin = |method, path: &str| app.as_role("admin", method, &format!("/api/v1{path}"));
    assert_eq!(admin(Method::POST, "/admin/roles").json(&role).send().await.status, 201);
    let more = json!({ "permissions": ["records:read", "audit:read"] });
    assert_eq!(admin(Method::PATCH, "/admin/roles/editor").json(&more).send().await.status, 200);
    let user = app.profile(app.token("user")).await.str("id");
    let to = json!({ "role": "editor" });
    let given = admin(Method::PATCH, &format!("/admin/users/{user}/role")).json(&to).send().await;
    assert_eq!(given.status, 200, "{given:?}");
    let secrets = json!({ "currentPassword": PASSWORD, "newPassword": "an entirely other secret" });
    let changed = app.as_role("user", Method::POST, "/api/v1/auth/change-password").json(&secrets).send().await;
    assert_eq!(changed.status, 204, "{changed:?}");

    let read = app.as_role("user", Method::GET, AUDIT).send().await;
    assert_eq!(read.status, 200, "a role of one's own may be let read the trail: {read:?}");
    let changed = entry(&app, "&action=roles.change").await;
    assert_eq!(changed["before"]["permissions"], json!(["records:read"]));
    let given = entry(&app, "&action=users.change").await;
    assert_eq!((&given["before"], &given["after"]), (&json!({ "role": "user" }), &json!({ "role": "editor" })));
    assert_eq!((&given["resourceId"], &given["actorEmail"]), (&json!(user), &json!("admin@example.com")));
    let password = entry(&app, "&action=auth.change-password").await;
    assert_eq!((&password["before"], &password["after"]), (&Value::Null, &Value::Null));
    assert!(!app.operator(Method::GET, &format!("{AUDIT}/export")).send().await.text.contains("an entirely other"));
    assert_eq!(flaws(&app).await, []);
}

/// Who looks for a way in leaves traces, and no more of them than somebody reads.
#[tokio::test]
async fn what_somebody_may_not_and_wrong_codes_leave_entries_within_bounds() {
    let app = TestApp::with_people().await;
    let entries = async |query: &str| {
        let list = app.operator(Method::GET, &format!("/api/v1/admin/audit?limit=500&{query}")).send().await;
        list.body["data"].as_array().expect("entries").clone()
    };
    for _ in 0..30 {
        app.as_role("user", Method::GET, "/api/v1/admin/users").send().await;
    }
    let refused = entries("action=access.refuse").await;
    assert_eq!(refused.len(), 5);
    assert_eq!((&refused[0]["actorEmail"], &refused[0]["reason"]), (&json!("user@example.com"), &json!("not-allowed")));
    assert_eq!((&refused[0]["resourceKind"], &refused[0]["resourceId"]), (&json!("operation"), &json!("list_users")));
    app.as_role("readonly", Method::GET, "/api/v1/admin/users").send().await;
    assert_eq!(entries("action=access.refuse").await.len(), 6, "another has entries of their own");
    app.advance(60);
    app.as_role("user", Method::GET, "/api/v1/admin/roles").send().await;
    let next = &entries("action=access.refuse").await[0];
    assert_eq!((&next["resourceId"], &next["after"]), (&json!("list_roles"), &json!({ "notToldBefore": 25 })));

    let wrong = json!({ "currentPassword": "not mine", "newPassword": "another horse, another staple" });
    app.as_role("readonly", Method::POST, "/api/v1/auth/change-password").json(&wrong).send().await;
    let code = json!({ "email": "nobody@example.com", "code": "12345678" });
    app.ask(Method::POST, "/api/v1/auth/verify-email").json(&code).send().await;
    let told = entries("action=auth.confirm").await;
    let reasons: Vec<_> = told.iter().map(|it| (it["actorKind"].clone(), it["reason"].clone())).collect();
    let expected = [("stranger", "one-time-secret-invalid"), ("user", "validation-failed")];
    assert_eq!(reasons, expected.map(|(kind, reason)| (json!(kind), json!(reason))));
    assert!(told.iter().all(|it| !it.to_string().contains("not mine") && !it.to_string().contains("12345678")));
}

/// The lines of JSON that came so far.
fn lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|it| serde_json::from_str(it).ok()).filter(Value::is_object).collect()
}

#[tokio::test]
async fn whoever_follows_the_trail_hears_of_everything_as_it_happens_and_takes_up_where_they_were() {
    let live = Live::start().await;
    let scopes = json!({ "name": "SIEM", "scopes": ["audit:read"] });
    let made = live.app.operator(Method::POST, "/api/v1/admin/keys").json(&scopes).send().await;
    let (secret, id) = (made.str("secret"), made.body["key"]["id"].as_str().expect("an id").to_owned());
    let head =
        live.app.operator(Method::GET, &format!("{AUDIT}/head")).send().await.body["seq"].as_i64().expect("a number");
    let follow = async |narrowed: &str| {
        live.answer(&format!("{AUDIT}/export?follow=true&{narrowed}"), &format!("x-api-key: {secret}\r\n")).await
    };
    let mut follower = follow(&format!("after={head}")).await;
    let mut refusals = follow("outcome=refused").await;

    live.app
        .operator(Method::PATCH, &format!("/api/v1/admin/keys/{id}"))
        .json(&json!({ "name": "Watch" }))
        .send()
        .await;
    let wrong = json!({ "email": "admin@example.com", "password": "not the password" });
    live.app.ask(Method::POST, "/api/v1/auth/login").json(&wrong).send().await;
    while !refusals.text.contains("auth.sign-in") || !follower.text.contains("api-keys.change") {
        assert!(refusals.more().await && follower.more().await, "{} {}", refusals.text, follower.text);
    }
    while !follower.text.contains("\"outcome\":\"refused\"") {
        assert!(follower.more().await, "{}", follower.text);
    }
    let seqs: Vec<_> = lines(&follower.text).iter().map(|it| it["seq"].as_i64().expect("a number")).collect();
    let last = *seqs.last().expect("entries");
    assert_eq!(seqs, (head + 1..=last).collect::<Vec<_>>(), "nothing is missing, and nothing twice");
    assert!(lines(&refusals.text).iter().all(|it| it["outcome"] == "refused"), "{}", refusals.text);

    // What is followed never ends by itself, so there are few places.
    let (_third, _fourth) = (follow("").await, follow("").await);
    let fifth = follow("").await;
    assert!(fifth.text.starts_with("HTTP/1.1 503 "), "{}", fifth.text);
    let exports = live.app.operator(Method::GET, &format!("{AUDIT}/export")).send().await;
    assert_eq!(exports.status, 200, "those that end have places of their own");

    live.app.operator(Method::DELETE, &format!("/api/v1/admin/keys/{id}/revoke")).send().await;
    while follower.more().await {}
    let bearer = format!("authorization: Bearer {}\r\n", live.app.token("admin"));
    let mut again = live.answer(&format!("{AUDIT}/export?follow=true&after={last}"), &bearer).await;
    while !again.text.contains("api-keys.revoke") {
        assert!(again.more().await, "{}", again.text);
    }
    assert_eq!(lines(&again.text)[0]["seq"], last + 1);
    assert!(live.stop().await, "nobody who follows holds up the end");
    while again.more().await {}
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_with_its_place() {
    let app = TestApp::with_people().await;
    for (query, pointer) in [
        ("follow=yes", "?follow"),
        ("follow=true&format=csv", "?follow"),
        ("after=-1", "?after"),
        ("after=x", "?after"),
        ("after=9223372036854775808", "?after"),
    ] {
        let refused = app.as_role("admin", Method::GET, &format!("{AUDIT}/export?{query}")).send().await;
        assert_eq!((refused.status, &refused.body["errors"][0]["pointer"]), (422, &json!(pointer)), "{query}");
    }
    let rest = app.as_role("admin", Method::GET, &format!("{AUDIT}/export?after=2&follow=false")).send().await;
    assert_eq!((rest.status, &lines(&rest.text)[0]["seq"]), (200, &json!(3)));
    assert_eq!(
        app.as_role("admin", Method::GET, &format!("{AUDIT}/export?after=9223372036854775807")).send().await.text,
        ""
    );
}

/// What follows would outlast for ever what let it begin.
#[tokio::test]
async fn whoever_follows_is_cut_off_when_their_token_ends_or_their_key_is_for_other_addresses() {
    let live = Live::start().await;
    let scopes = json!({ "name": "SIEM", "scopes": ["audit:read"] });
    let made = live.app.operator(Method::POST, "/api/v1/admin/keys").json(&scopes).send().await;
    let follow = async |header: String| live.answer(&format!("{AUDIT}/export?follow=true"), &header).await;
    let mut by_key = follow(format!("x-api-key: {}\r\n", made.str("secret"))).await;
    let mut by_token = follow(format!("authorization: Bearer {}\r\n", live.app.token("admin"))).await;

    let path = format!("/api/v1/admin/keys/{}", made.body["key"]["id"].as_str().expect("an id"));
    let elsewhere = json!({ "allowedIps": ["203.0.113.1"] });
    assert_eq!(live.app.operator(Method::PATCH, &path).json(&elsewhere).send().await.status, 200);
    while by_key.more().await {}

    live.app.advance(24 * 3_600);
    while by_token.more().await {}
}
