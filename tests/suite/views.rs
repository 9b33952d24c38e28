//! Promises about views: collections whose records a query computes.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

async fn create(app: &TestApp, collection: &Value) -> Reply {
    app.operator(Method::POST, "/api/v1/collections").json(collection).send().await
}

async fn change(app: &TestApp, name: &str, patch: Value) -> Reply {
    app.operator(Method::PATCH, &format!("/api/v1/collections/{name}")).json(&patch).send().await
}

async fn made(app: &TestApp, collection: Value) -> Value {
    let reply = create(app, &collection).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.body
}

async fn add(app: &TestApp, collection: &str, record: Value) -> String {
    let path = format!("/api/v1/collections/{collection}/records");
    let reply = app.operator(Method::POST, &path).json(&record).send().await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.str("id")
}

async fn read(app: &TestApp, path: &str) -> Reply {
    app.operator(Method::GET, &format!("/api/v1/collections/{path}")).send().await
}

/// The records of a page.
async fn records(app: &TestApp, path: &str) -> Vec<Value> {
    let reply = read(app, path).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.body["data"].as_array().expect("records").clone()
}

/// Pointer and code of each fault.
fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

/// Authors with posts, some of them live.
async fn world() -> TestApp {
    let app = TestApp::with_people().await;
    made(
        &app,
        json!({
            "name": "authors",
            "fields": [
                { "name": "name", "type": "text" },
                { "name": "salary", "type": "integer", "hidden": true },
                { "name": "token", "type": "text", "writeOnly": true },
            ],
            "rules": { "view": "true" },
        }),
    )
    .await;
    made(
        &app,
        json!({
            "name": "posts",
            "fields": [
                { "name": "title", "type": "text" },
                { "name": "views", "type": "integer" },
                { "name": "live", "type": "bool" },
                { "name": "at", "type": "datetime" },
                { "name": "state", "type": "select", "values": ["a", "b"] },
                { "name": "tags", "type": "select", "values": ["x", "y"], "multiple": true },
                { "name": "place", "type": "geo" },
                { "name": "extra", "type": "json" },
                { "name": "author", "type": "relation", "collection": "authors" },
                { "name": "readers", "type": "relation", "collection": "authors", "multiple": true },
            ],
        }),
    )
    .await;
    let ada = add(&app, "authors", json!({ "name": "Ada", "salary": 7, "token": "t" })).await;
    let bob = add(&app, "authors", json!({ "name": "Bob" })).await;
    for (title, views, live, author) in [("one", 1, true, &ada), ("two", 2, true, &ada), ("three", 30, false, &bob)] {
        let record = json!({
            "title": title, "views": views, "live": live, "author": author, "at": "2026-01-02T03:04:05.678Z",
            "state": "a", "tags": ["x", "y"], "place": { "lat": 1.5, "lon": 2.5 }, "extra": { "a": [1] },
            "readers": [ada, bob],
        });
        add(&app, "posts", record).await;
    }
    app
}

fn stats() -> Value {
    json!({
        "name": "stats",
        "view": { "query":
            "SELECT author AS id, author, count(*) AS posts, sum(views) AS views, max(createdAt) AS updatedAt
             FROM posts GROUP BY author" },
        "fields": [{ "name": "posts", "type": "integer" }, { "name": "views", "type": "integer" }],
        "rules": { "list": "true", "view": "true" },
    })
}

#[tokio::test]
async fn a_view_is_read_like_a_collection() {
    let app = world().await;

    let view = made(&app, stats()).await;

    assert_eq!(view["fields"][0]["type"], "relation", "a field of a collection is known: {view}");
    let all = records(&app, "stats/records?sort=-posts&expand=author").await;
    assert_eq!((all.len(), &all[0]["posts"], &all[0]["views"]), (2, &json!(2), &json!(3)));
    assert_eq!(all[0]["expand"]["author"]["name"], "Ada");
    assert_eq!(all[0].get("createdAt"), None, "it has no such column");
    assert!(all[0]["updatedAt"].as_str().is_some_and(|it| it.ends_with('Z')), "{}", all[0]);
    let id = all[0]["id"].as_str().expect("an id");
    let one = read(&app, &format!("stats/records/{id}")).await;
    assert_eq!((one.status, &one.body["views"]), (200, &json!(3)), "{one:?}");
    for (query, count) in [
        ("filter=posts%3E1", 1),
        ("where[views][gte]=3", 2),
        ("filter=author.name%3D%3D'Bob'", 1),
        ("sort=author.name", 2),
        ("sort=updatedAt,views", 2),
        ("fields=id,posts,author.name", 2),
    ] {
        assert_eq!(records(&app, &format!("stats/records?{query}")).await.len(), count, "{query}");
    }
    let counted = read(&app, "stats/records?limit=1&count=exact").await;
    assert_eq!(counted.body["meta"]["total"], 2, "{counted:?}");
    let next = counted.body["meta"]["nextCursor"].as_str().expect("a cursor").to_owned();
    let rest = records(&app, &format!("stats/records?limit=1&cursor={next}")).await;
    assert_eq!(rest.len(), 1);
    assert_ne!(rest[0]["id"], counted.body["data"][0]["id"]);
    assert_eq!(records(&app, "stats/records?limit=1&page=2").await.len(), 1);
    let sums = read(&app, "stats/aggregate?metrics=sum(posts),max(views),count").await;
    assert_eq!(sums.body["data"][0], json!({ "sum(posts)": 3, "max(views)": 30, "count": 2 }), "{sums:?}");
    let file = app.operator(Method::GET, "/api/v1/collections/stats/records/export?format=csv").bytes().await;
    let csv = String::from_utf8(file.body.to_vec()).expect("text");
    assert!(
        csv.starts_with("id,updatedAt,author,posts,views\r\n") || csv.starts_with("id,updatedAt,author,posts,views\n"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 3, "{csv}");
}

#[tokio::test]
async fn every_type_of_field_comes_through_a_view_as_it_is() {
    let app = world().await;
    let query = "SELECT id, createdAt, updatedAt, title, views, live, at, state, tags, place, extra, author, readers FROM posts";
    let view = json!({ "name": "copy", "view": { "query": query }, "rules": { "list": "true" } });

    made(&app, view).await;

    let (copies, originals) = (records(&app, "copy/records").await, records(&app, "posts/records").await);
    assert_eq!(copies, originals);
    let mixed = "SELECT id, title, views, live, at, state, tags, place, extra FROM posts WHERE views < 2
                 UNION ALL SELECT id, views, title, title, title, 5, title, 7, title FROM posts WHERE 1 < views";
    change(&app, "copy", json!({ "view": { "query": mixed } })).await;
    let odd = records(&app, "copy/records?sort=-title").await;
    assert_eq!(odd[1]["title"], "30");
    assert_eq!(odd[0]["views"], 1);
    for name in ["views", "live", "at", "tags"] {
        assert_eq!(odd[1][name], Value::Null, "{name} holds what it cannot hold: {}", odd[1]);
    }
    assert_eq!((&odd[1]["state"], &odd[1]["extra"]), (&json!("5"), &json!("three")));
}

#[tokio::test]
async fn nobody_writes_to_a_view() {
    let app = world().await;
    made(&app, stats()).await;
    let id = records(&app, "stats/records").await[0]["id"].as_str().expect("an id").to_owned();
    let record = json!({ "posts": 1 });

    for (method, path) in [
        (Method::POST, "records".to_owned()),
        (Method::PUT, "records?by=id".to_owned()),
        (Method::PATCH, "records?by=id".to_owned()),
        (Method::PATCH, "records?filter=true".to_owned()),
        (Method::DELETE, "records?filter=true".to_owned()),
        (Method::PATCH, format!("records/{id}")),
        (Method::PUT, format!("records/{id}")),
        (Method::DELETE, format!("records/{id}")),
        (Method::DELETE, format!("records/{id}?purge=true")),
        (Method::POST, format!("records/{id}/restore")),
        (Method::POST, "truncate".to_owned()),
        (Method::POST, "truncate?dryRun=true".to_owned()),
        (Method::POST, "records/import?format=json".to_owned()),
    ] {
        let ask = app.operator(method.clone(), &format!("/api/v1/collections/stats/{path}"));
        let has_body = method != Method::DELETE && !path.contains("restore") && !path.contains("truncate");
        let body = if path.contains("import") { json!([record]) } else { record.clone() };
        let reply = if has_body { ask.json(&body).send().await } else { ask.send().await };
        assert_eq!(reply.refusal(), (409, "collection-read-only"), "{method} {path}: {reply:?}");
    }
    for method in ["GET", "DELETE"] {
        let step = json!({ "method": method, "path": format!("/collections/stats/records/{id}") });
        let batch = json!({ "operations": [step] });
        let reply = app.operator(Method::POST, "/api/v1/batch").json(&batch).send().await;
        assert_eq!(reply.body["results"][0]["problem"]["code"], "collection-read-only", "{method}: {reply:?}");
    }
    assert_eq!(records(&app, "stats/records").await.len(), 2);
    assert_eq!(records(&app, "posts/records").await.len(), 3);
}

/// Everything that is no single SELECT over collections is refused, and says what is wrong.
#[tokio::test]
async fn a_query_reads_collections_and_does_nothing_else() {
    let app = world().await;
    let many = |what: &str, times: usize| what.repeat(times);
    let growing = |levels: usize, by: usize| {
        let joined = |it: usize| format!(" JOIN c{it} USING (id)").repeat(by - 1);
        let level = |it: usize| format!(", c{it} AS (SELECT id FROM c{0}{1})", it - 1, joined(it - 1));
        let all: String = (1..levels).map(level).collect();
        format!("WITH c0 AS (SELECT id FROM posts){all} SELECT id FROM c{}", levels - 1)
    };
    let refused = [
        // Writing, and more than one statement.
        "INSERT INTO posts (id) VALUES ('x')".to_owned(),
        "DELETE FROM posts".to_owned(),
        "UPDATE posts SET title = 'x'".to_owned(),
        "DROP TABLE posts".to_owned(),
        "SELECT id FROM posts; DROP TABLE posts".to_owned(),
        "SELECT id FROM posts; SELECT id FROM posts".to_owned(),
        "SELECT id FROM posts; -- more".to_owned(),
        "SELECT id FROM posts /* ; */; DELETE FROM posts".to_owned(),
        "SELECT id FROM posts -- ;\n; DELETE FROM posts".to_owned(),
        "WITH x AS (INSERT INTO posts (id) VALUES ('x') RETURNING id) SELECT id FROM x".to_owned(),
        "WITH x AS (DELETE FROM posts RETURNING id) SELECT id FROM x".to_owned(),
        "EXPLAIN SELECT id FROM posts".to_owned(),
        "PRAGMA table_info(posts)".to_owned(),
        "ATTACH 'x' AS y".to_owned(),
        "VACUUM".to_owned(),
        "BEGIN".to_owned(),
        "CREATE TABLE x AS SELECT id FROM posts".to_owned(),
        // Out of the place where it stands.
        "SELECT id FROM posts) AS q, (SELECT id FROM posts".to_owned(),
        "SELECT id FROM posts) --".to_owned(),
        "SELECT id FROM posts /*".to_owned(),
        "SELECT id FROM posts) UNION SELECT (id FROM posts".to_owned(),
        // What is not there for people.
        "SELECT id, email AS x FROM users".to_owned(),
        "SELECT id, password_hash AS x FROM users".to_owned(),
        "SELECT id FROM main.users".to_owned(),
        "SELECT id FROM main.posts".to_owned(),
        "SELECT id FROM temp.posts".to_owned(),
        "SELECT id FROM c_posts".to_owned(),
        "SELECT id FROM live_posts".to_owned(),
        "SELECT id FROM sessions".to_owned(),
        "SELECT id, _version AS x FROM posts".to_owned(),
        "SELECT id, rowid AS x FROM posts".to_owned(),
        "SELECT id, posts._row AS x FROM posts".to_owned(),
        "SELECT id, token FROM authors".to_owned(),
        "SELECT name AS id FROM sqlite_master".to_owned(),
        "SELECT name AS id FROM sqlite_schema".to_owned(),
        "SELECT name AS id FROM main.sqlite_master".to_owned(),
        "SELECT count(*) AS id FROM sqlite_master".to_owned(),
        "SELECT 'x' AS id FROM sqlite_temp_master".to_owned(),
        "SELECT name AS id FROM pragma_table_info('users')".to_owned(),
        "SELECT count(*) AS id FROM pragma_table_list".to_owned(),
        "SELECT name AS id FROM pragma_database_list()".to_owned(),
        "SELECT count(*) AS id FROM pragma_compile_options".to_owned(),
        "SELECT count(*) AS id FROM dbstat".to_owned(),
        "SELECT count(*) AS id FROM fts5vocab".to_owned(),
        "SELECT id FROM posts WHERE (SELECT count(*) FROM sqlite_master) > 1".to_owned(),
        "SELECT id FROM posts WHERE EXISTS (SELECT 1 FROM c_posts)".to_owned(),
        "SELECT id FROM posts ORDER BY (SELECT name FROM sqlite_master LIMIT 1)".to_owned(),
        // Functions that do more than to calculate.
        "SELECT id, load_extension('x') AS x FROM posts".to_owned(),
        "SELECT id, randomblob(1000000000) AS x FROM posts".to_owned(),
        "SELECT id, zeroblob(1000000000) AS x FROM posts".to_owned(),
        "SELECT id, random() AS x FROM posts".to_owned(),
        "SELECT id, printf('%1000000000d', 1) AS x FROM posts".to_owned(),
        "SELECT id, sqlite_version() AS x FROM posts".to_owned(),
        "SELECT id, last_insert_rowid() AS x FROM posts".to_owned(),
        "SELECT id, search_text(title) AS x FROM posts".to_owned(),
        "SELECT id, current_timestamp AS x FROM posts".to_owned(),
        "SELECT id FROM posts WHERE title MATCH 'x'".to_owned(),
        "SELECT id FROM posts WHERE title REGEXP 'x'".to_owned(),
        // Without an end, or without bounds.
        "WITH RECURSIVE x(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM x) SELECT id FROM x".to_owned(),
        "WITH x(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM x LIMIT 9) SELECT id FROM x".to_owned(),
        growing(60, 2),
        growing(30, 2),
        growing(12, 2),
        growing(15, 8),
        growing(6, 20),
        format!("SELECT {}id{} FROM posts", many("(", 3_000), many(")", 3_000)),
        format!("SELECT id FROM posts WHERE {}1", many("1 + ", 2_400)),
        format!("SELECT id FROM posts{}", many(" UNION ALL SELECT id FROM posts", 200)),
        format!("SELECT id FROM {}posts", many("posts,", 90)),
        format!("{}SELECT id FROM posts{}", many("SELECT id FROM (", 400), many(")", 400)),
        format!("SELECT id FROM posts -- {}", many("x", 1_000_000)),
        // Parameters, and signs that nobody sees.
        "SELECT id FROM posts WHERE title = $1".to_owned(),
        "SELECT id, '$1' AS x FROM posts".to_owned(),
        "SELECT id FROM posts WHERE title = ?".to_owned(),
        "SELECT id FROM posts WHERE title = :x".to_owned(),
        "SELECT id FROM posts WHERE title = @x".to_owned(),
        "SELECT id FROM posts WHERE title = 'a\0b'".to_owned(),
        "SELECT id FROM \"\u{1}posts\"".to_owned(),
        // Nothing at all.
        String::new(),
        " ; ".to_owned(),
        "--".to_owned(),
        "posts".to_owned(),
        "SELECT".to_owned(),
    ];

    for query in refused {
        let view = json!({ "name": "bad", "view": { "query": query }, "fields": [{ "name": "x", "type": "text" }] });
        let began = std::time::Instant::now();
        let reply = create(&app, &view).await;
        let said: String = query.chars().take(200).collect();
        let told = faults(&reply);
        assert!(told.iter().all(|it| it.0 == "/view/query"), "{said}: {reply:?}");
        assert!(began.elapsed().as_millis() < 1_500, "{said} took {:?}", began.elapsed());
        assert!(!reply.body.to_string().contains('\u{1}'), "{reply:?}");
    }
    assert_eq!(read(&app, "bad").await.status, 404);
    assert_eq!(records(&app, "posts/records").await.len(), 3, "nothing happened to them");
}
