//! The audit trail: who did what, and that nobody changes it unnoticed.
use std::path::Path;

use poem::http::Method;
use rusqlite::Connection;
use serde_json::{Value, json};

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
