//! Promises about views: collections whose records a query computes.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

pub(crate) async fn create(app: &TestApp, collection: &Value) -> Reply {
    app.operator(Method::POST, "/api/v1/collections").json(collection).send().await
}

pub(crate) async fn change(app: &TestApp, name: &str, patch: Value) -> Reply {
    app.operator(Method::PATCH, &format!("/api/v1/collections/{name}")).json(&patch).send().await
}

pub(crate) async fn made(app: &TestApp, collection: Value) -> Value {
    let reply = create(app, &collection).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.body
}

pub(crate) async fn add(app: &TestApp, collection: &str, record: Value) -> String {
    let path = format!("/api/v1/collections/{collection}/records");
    let reply = app.operator(Method::POST, &path).json(&record).send().await;
    assert_eq!(reply.status, 201, "{reply:?}");
    reply.str("id")
}

pub(crate) async fn read(app: &TestApp, path: &str) -> Reply {
    app.operator(Method::GET, &format!("/api/v1/collections/{path}")).send().await
}

/// The records of a page.
pub(crate) async fn records(app: &TestApp, path: &str) -> Vec<Value> {
    let reply = read(app, path).await;
    assert_eq!(reply.status, 200, "{path}: {reply:?}");
    reply.body["data"].as_array().expect("records").clone()
}

/// Pointer and code of each fault.
pub(crate) fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

/// Authors with posts, some of them live.
pub(crate) async fn world() -> TestApp {
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
    assert_eq!((&odd[1]["state"], &odd[1]["extra"]), (&Value::Null, &json!("three")));
    // So for those that are texts, too: what is shown is what the schema says.
    let text = "SELECT 1 AS id, 'x@' AS mail, 'c' AS state, 'javascript:x' AS site, 'zz' AS author, '[\"x\", 1]' AS tags
                UNION ALL SELECT 2, 'Ada@example.com', 'b', 'https://example.com', '0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80', '[\"y\"]'";
    let fields = json!([
        { "name": "mail", "type": "email" }, { "name": "state", "type": "select", "values": ["a", "b"] },
        { "name": "site", "type": "url" }, { "name": "author", "type": "relation", "collection": "authors" },
        { "name": "tags", "type": "select", "values": ["x", "y"], "multiple": true },
    ]);
    made(&app, json!({ "name": "texts", "view": { "query": text }, "fields": fields })).await;
    let all = records(&app, "texts/records").await;
    let fit = json!(["ada@example.com", "b", "https://example.com", "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80", ["y"]]);
    for (index, name) in ["mail", "state", "site", "author", "tags"].into_iter().enumerate() {
        assert_eq!((&all[0][name], &all[1][name]), (&Value::Null, &fit[index]), "{name}");
    }
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
    let step = json!({ "method": "DELETE", "path": format!("/collections/stats/records/{id}") });
    let batch = json!({ "operations": [step] });
    let reply = app.operator(Method::POST, "/api/v1/batch").json(&batch).send().await;
    assert_eq!(reply.body["results"][0]["problem"]["code"], "collection-read-only", "{reply:?}");
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

#[tokio::test]
async fn the_columns_of_a_query_have_names_that_fields_may_have() {
    let app = world().await;
    for (columns, told) in [
        ("title", vec![("/view/query", "required")]),
        ("id, count(*)", vec![("/view/query", "name")]),
        ("id, title AS \"select\"", vec![("/view/query", "name")]),
        ("id, title AS _version", vec![("/view/query", "name")]),
        ("id, title AS \"größe\"", vec![("/view/query", "name")]),
        ("id, title AS \"a\"\"b\"", vec![("/view/query", "name")]),
        ("id, title AS isDeleted", vec![("/view/query", "name")]),
        ("id, title AS expand", vec![("/view/query", "name")]),
        ("id, title AS x, views AS x", vec![("/view/query", "duplicate")]),
        ("id, title AS x, views AS X", vec![("/view/query", "duplicate")]),
        ("id, id", vec![("/view/query", "duplicate")]),
        ("id, 1 AS x", vec![("/fields", "required")]),
        ("id, upper(title) AS x, 2 AS y", vec![("/fields", "required"), ("/fields", "required")]),
        ("*, posts.*", vec![("/view/query", "duplicate"); 13]),
    ] {
        let view = json!({ "name": "bad", "view": { "query": format!("SELECT {columns} FROM posts") } });
        assert_eq!(faults(&create(&app, &view).await), told, "{columns}");
    }
    let many: String = (0..200).map(|it| format!(", views AS v{it}")).collect();
    let view = json!({ "name": "bad", "view": { "query": format!("SELECT id{many} FROM posts") } });
    assert!(faults(&create(&app, &view).await).contains(&("/view/query", "too-many")));
    let unknown = json!({
        "name": "bad", "view": { "query": "SELECT id FROM posts" }, "fields": [{ "name": "x", "type": "text" }],
    });
    assert_eq!(faults(&create(&app, &unknown).await), [("/fields/0/name", "unknown")]);
}

#[tokio::test]
async fn ids_are_texts_and_no_two_records_have_the_same() {
    let app = world().await;
    let view = |id: &str| json!({ "name": "odd", "view": { "query": format!("SELECT {id} AS id FROM posts") } });

    assert_eq!(faults(&create(&app, &view("'same'")).await), [("/view/query", "not-unique")]);
    assert_eq!(faults(&create(&app, &view("author")).await), [("/view/query", "not-unique")]);
    let dry = app.operator(Method::POST, "/api/v1/collections?dryRun=true").json(&view("author")).send().await;
    assert_eq!(faults(&dry), [("/view/query", "not-unique")]);
    made(&app, view("views")).await;

    let ids = |records: Vec<Value>| records.iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(records(&app, "odd/records").await), ["1", "2", "30"]);
    assert_eq!(read(&app, "odd/records/30").await.status, 200);
    for nothing in ["NULL", "CASE WHEN views > 2 THEN NULL ELSE views END"] {
        change(&app, "odd", json!({ "view": view(nothing)["view"] })).await;
        let expected: &[&str] = if nothing.contains("views >") { &["1", "2"] } else { &[] };
        assert_eq!(ids(records(&app, "odd/records").await), expected, "{nothing}: what has no id is no record");
        assert_eq!(read(&app, "odd/records/null").await.status, 404);
    }
    let reply = change(&app, "odd", json!({ "view": view("'same'")["view"] })).await;
    assert_eq!(faults(&reply), [("/view/query", "not-unique")]);
    // What cannot be asked for is refused, and not left out.
    for unfit in
        ["''", "CAST('x' AS BLOB)", "9e999", "char(9) || 'x'", "'x' || char(0)", &format!("'{}'", "x".repeat(256))]
    {
        let one = json!({ "view": { "query": format!("SELECT {unfit} AS id") } });
        let reply = change(&app, "odd", one).await;
        assert_eq!(faults(&reply), [("/view/query", "id")], "{unfit}");
    }
    let longest = json!({ "view": { "query": format!("SELECT '{}' AS id", "x".repeat(255)) } });
    assert_eq!(change(&app, "odd", longest).await.status, 200);
}

#[tokio::test]
async fn a_change_that_a_view_would_not_survive_is_refused_with_its_name() {
    let app = world().await;
    let mut view = stats();
    view["view"]["query"] = json!(
        "SELECT author AS id, author, count(*) AS posts, sum(views) AS views, max(createdAt) AS updatedAt, max(state) AS s FROM posts GROUP BY author"
    );
    view["fields"] = json!([{ "name": "posts", "type": "integer" }, { "name": "views", "type": "integer" }, { "name": "s", "type": "text" }]);
    made(&app, view).await;
    let plain = json!({ "name": "plain", "view": { "query": "SELECT id, title, views FROM posts" } });
    made(&app, plain).await;
    let posts = read(&app, "posts").await.body["fields"].as_array().expect("fields").clone();
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut posts = json!(posts);
        edit(&mut posts);
        json!({ "fields": posts })
    };
    let at = |name: &str| posts.iter().position(|it| it["name"] == name).expect("a field");
    let without = |name: &str| edited(&|it| drop(it.as_array_mut().expect("fields").remove(at(name))));

    for (patch, view) in [
        (without("state"), "stats"),
        (without("title"), "plain"),
        (
            edited(&|it| {
                it[at("state")]["name"] = json!("mood");
                it[at("state")]["renamedFrom"] = json!("state");
            }),
            "stats",
        ),
        (edited(&|it| it[at("views")]["type"] = json!("number")), "plain"),
        (edited(&|it| it[at("title")]["hidden"] = json!(true)), "plain"),
        (edited(&|it| it[at("title")]["readableBy"] = json!("auth.role == 'editor'")), "plain"),
        (edited(&|it| it[at("title")]["writeOnly"] = json!(true)), "plain"),
        (json!({ "name": "articles" }), "plain"),
    ] {
        let preview = app.operator(Method::POST, "/api/v1/collections/posts/preview").json(&patch).send().await;
        assert_eq!(preview.refusal(), (409, "collection-in-use"), "{patch}: {preview:?}");
        let reply = change(&app, "posts", patch.clone()).await;
        assert_eq!(reply.refusal(), (409, "collection-in-use"), "{patch}: {reply:?}");
        assert!(reply.body["detail"].as_str().is_some_and(|it| it.contains(&format!("`{view}`"))), "{reply:?}");
    }
    let dropped = app.operator(Method::DELETE, "/api/v1/collections/posts?dryRun=true").send().await;
    assert_eq!(dropped.refusal(), (409, "collection-in-use"), "{dropped:?}");

    let more = edited(&|it| it.as_array_mut().expect("fields").push(json!({ "name": "note", "type": "text" })));
    assert_eq!(change(&app, "posts", more).await.status, 200, "what no view needs may change");
    assert_eq!(change(&app, "posts", json!({ "options": { "softDelete": true } })).await.status, 200);
    let id = records(&app, "posts/records?filter=views%3D%3D30").await[0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/collections/posts/records/{id}");
    assert_eq!(app.operator(Method::DELETE, &path).send().await.status, 204);
    assert_eq!(records(&app, "plain/records").await.len(), 2, "what is in the bin is in no view");
    for view in ["plain", "stats"] {
        let path = format!("/api/v1/collections/{view}");
        assert_eq!(app.operator(Method::DELETE, &path).send().await.status, 204);
    }
    assert_eq!(change(&app, "posts", without("title")).await.status, 200);
}

#[tokio::test]
async fn a_view_is_changed_and_renamed() {
    let app = world().await;
    made(&app, stats()).await;

    let patch = json!({ "view": { "query": "SELECT author AS id, count(*) AS posts, max(views) AS most, max(title) AS last FROM posts GROUP BY 1" } });
    assert_eq!(faults(&change(&app, "stats", patch.clone()).await), [("/fields", "required"); 2]);
    let mut full = patch;
    full["fields"] = json!([
        { "name": "posts", "type": "number" }, { "name": "most", "type": "integer" }, { "name": "last", "type": "text" },
    ]);
    let preview = app.operator(Method::POST, "/api/v1/collections/stats/preview").json(&full).send().await;
    let steps: Vec<_> = preview.body["changes"]
        .as_array()
        .expect("steps")
        .iter()
        .map(|it| it["description"].as_str().expect("words"))
        .collect();
    assert_eq!(
        steps,
        [
            "change the query",
            "show `author` no more",
            "show `views` no more",
            "change how `posts` is shown",
            "show `most`",
            "show `last`"
        ]
    );
    assert_eq!(change(&app, "stats", full).await.status, 200);
    assert_eq!(records(&app, "stats/records?sort=-most").await[0]["last"], "three");
    assert_eq!(change(&app, "stats", json!({ "name": "sums" })).await.body["name"], "sums");
    assert_eq!(records(&app, "sums/records").await.len(), 2);
    assert_eq!(
        faults(&change(&app, "posts", json!({ "view": { "query": "SELECT 1 AS id" } })).await),
        [("/view", "conflict")]
    );
    let without = app.operator(Method::POST, "/api/v1/collections").json(&json!({ "name": "x" })).send().await;
    assert_eq!(faults(&without), [("/fields", "required")]);
}

#[tokio::test]
async fn nothing_refers_to_a_view_and_a_view_reads_no_view() {
    let app = world().await;
    made(&app, stats()).await;

    let field = json!({ "name": "to", "type": "relation", "collection": "stats" });
    let refused = create(&app, &json!({ "name": "x", "fields": [field] })).await;
    assert_eq!(faults(&refused), [("/fields/0/collection", "unknown")]);
    let nested = create(&app, &json!({ "name": "x", "view": { "query": "SELECT id FROM stats" } })).await;
    assert_eq!(faults(&nested), [("/view/query", "query")]);
    assert!(
        nested.body["errors"][0]["detail"].as_str().is_some_and(|it| it.contains("is a view itself")),
        "{nested:?}"
    );
    for query in ["filter=stats_via_author.exists(s,%20true)", "expand=stats_via_author"] {
        assert_eq!(read(&app, &format!("authors/records?{query}")).await.refusal().0, 422, "{query}");
    }
    let rules = json!({ "rules": { "update": "stats_via_author.exists(s, s.posts > 1)" } });
    assert_eq!(
        faults(&change(&app, "authors", rules).await)[0].0,
        "/rules/update",
        "a rule would compute it for every write"
    );
    for (member, value) in [
        ("indexes", json!([{ "fields": ["posts"] }])),
        ("search", json!({ "author": 1 })),
        ("options", json!({ "softDelete": true })),
        ("rules", json!({ "create": "true" })),
        (
            "fields",
            json!([{ "name": "posts", "type": "integer", "required": true }, { "name": "views", "type": "integer" }]),
        ),
        ("fields", json!([{ "name": "posts", "type": "integer", "min": 1 }, { "name": "views", "type": "integer" }])),
    ] {
        let mut view = stats();
        view["name"] = json!("other");
        view[member] = value;
        let reply = create(&app, &view).await;
        assert!(faults(&reply).iter().any(|(_, code)| *code == "not-for-view"), "{member}: {reply:?}");
    }
    for query in ["search=x", "trashed=with"] {
        assert_eq!(read(&app, &format!("stats/records?{query}")).await.refusal().0, 422, "{query}");
    }
    let ask = app.operator(Method::GET, "/api/v1/realtime?subscribe=collections/stats");
    let watched = ask.header("accept", "text/event-stream").send().await;
    assert_eq!(watched.refusal().0, 422, "nothing happens in a view: {watched:?}");
    assert_eq!(read(&app, "stats/records?sort=createdAt").await.refusal().0, 422, "it has no such column");
    assert_eq!(read(&app, "stats/records?filter=createdAt%3Enow").await.refusal().0, 422);
    assert_eq!(read(&app, "stats/aggregate?groupBy=createdAt:day").await.refusal().0, 422);
}

#[tokio::test]
async fn a_view_shows_hidden_fields_only_where_an_admin_says_so() {
    let app = world().await;
    let view = json!({
        "name": "people", "view": { "query": "SELECT id, name, salary FROM authors" },
        "rules": { "list": "true", "view": "salary > 5" },
    });
    let shown = made(&app, view).await;
    assert_eq!((&shown["fields"][0]["hidden"], &shown["fields"][1]["hidden"]), (&json!(false), &json!(true)));
    let as_guest = async |path: &str| app.ask(Method::GET, &format!("/api/v1/collections/people/{path}")).send().await;

    let all = as_guest("records").await;
    assert_eq!(
        all.body["data"][0].as_object().expect("a record").keys().collect::<Vec<_>>(),
        ["id", "name"],
        "{all:?}"
    );
    for query in ["filter=salary%3E1", "sort=salary", "where[salary]=7", "fields=salary"] {
        assert_eq!(as_guest(&format!("records?{query}")).await.refusal().0, 422, "{query}");
    }
    assert_eq!(as_guest("aggregate?metrics=max(salary)").await.refusal().0, 422);
    let ids: Vec<_> =
        all.body["data"].as_array().expect("records").iter().map(|it| it["id"].as_str().expect("an id")).collect();
    let mut seen = Vec::new();
    for id in ids {
        seen.push(as_guest(&format!("records/{id}")).await.status);
    }
    seen.sort_unstable();
    assert_eq!(seen, [200, 404], "the rule of the view decides");
    let as_id = create(&app, &json!({ "name": "bad", "view": { "query": "SELECT salary AS id FROM authors" } })).await;
    assert_eq!(faults(&as_id), [("/view/query", "hidden")]);
    // Of several queries together the first alone says what is shown.
    for query in [
        "SELECT id, name FROM authors UNION ALL SELECT id, salary FROM authors",
        "SELECT name AS id FROM authors UNION ALL SELECT salary FROM authors",
    ] {
        let together = create(&app, &json!({ "name": "bad", "view": { "query": query } })).await;
        assert_eq!(faults(&together), [("/view/query", "hidden")], "{query}");
    }
    let computed = json!({ "name": "bad", "view": { "query": "SELECT salary || '' AS id FROM authors" } });
    assert_eq!(faults(&create(&app, &computed).await), [("/view/query", "hidden")]);
    // What was said of a column is not said of another that gets its name.
    made(&app, json!({ "name": "names", "view": { "query": "SELECT id, name AS shown FROM authors" } })).await;
    let other = change(&app, "names", json!({ "view": { "query": "SELECT id, salary AS shown FROM authors" } })).await;
    assert_eq!(faults(&other), [("/fields", "required")]);
    assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/names").send().await.status, 204);
    let open = json!({ "fields": [{ "name": "salary", "type": "integer" }] });
    assert_eq!(change(&app, "people", open).await.status, 200);
    assert_eq!(as_guest("records?sort=-salary").await.body["data"][0]["salary"], 7);
    // What is computed of a value tells of it as well.
    let loud = json!({
        "name": "loud", "view": { "query": "SELECT id, upper(name) AS shout FROM authors" },
        "fields": [{ "name": "shout", "type": "text" }], "rules": { "list": "true" },
    });
    made(&app, loud).await;
    let mut authors = read(&app, "authors").await.body["fields"].clone();
    authors[0]["hidden"] = true.into();
    assert_eq!(
        change(&app, "people", json!({ "fields": [{ "name": "name", "type": "text", "hidden": true }] })).await.status,
        200
    );
    let hiding = change(&app, "authors", json!({ "fields": authors })).await;
    assert_eq!(hiding.refusal(), (409, "collection-in-use"), "{hiding:?}");
    assert!(hiding.text.contains("`loud`") && hiding.text.contains("`name`"), "{hiding:?}");
    assert_eq!(change(&app, "people", json!({ "rules": { "list": null } })).await.status, 200);
    assert_eq!(as_guest("records").await.status, 401);
    assert_eq!(as_guest("records/export").await.status, 401);
    let as_user = app.as_role("user", Method::GET, "/api/v1/collections/people/records").send().await;
    assert_eq!(as_user.status, 403);
    let by_user = app.as_role("user", Method::POST, "/api/v1/collections").json(&stats()).send().await;
    assert_eq!(by_user.status, 403, "only those who make collections make views");
}

#[tokio::test]
async fn accounts_are_known_by_id_name_and_role() {
    let app = world().await;
    let view = json!({ "name": "team", "view": { "query": "SELECT id, id AS person, name, role FROM users" } });

    let shown = made(&app, view).await;

    assert_eq!(shown["fields"][0]["collection"], "users");
    let all = records(&app, "team/records?expand=person").await;
    assert!(!all.is_empty());
    assert_eq!(all[0]["expand"]["person"]["role"], all[0]["role"]);
    let star = json!({ "name": "star", "view": { "query": "SELECT * FROM users" } });
    let names: Vec<_> =
        made(&app, star).await["fields"].as_array().expect("fields").iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["name", "role"]);
}

/// A query that takes too long is stopped like any other, and others go on meanwhile.
#[tokio::test]
async fn a_slow_view_delays_nobody() {
    // Only in a file do readers and the writer not wait for each other.
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[("STORAGE__READ_BUDGET_MS", "500")]).await;
    made(&app, json!({ "name": "authors", "fields": [{ "name": "name", "type": "text" }] })).await;
    for number in 0..40 {
        add(&app, "authors", json!({ "name": format!("a{number}") })).await;
    }
    let query =
        "SELECT 'all' AS id, count(*) AS n FROM authors a, authors b, authors c, authors d, authors e, authors f";
    let view = json!({ "name": "slow", "view": { "query": query }, "fields": [{ "name": "n", "type": "integer" }] });
    made(&app, view).await;

    let slow = read(&app, "slow/records");
    let others = async {
        let began = std::time::Instant::now();
        for number in 0..20 {
            add(&app, "authors", json!({ "name": format!("b{number}") })).await;
        }
        began.elapsed()
    };
    let (slow, took) = tokio::join!(slow, others);
    assert_eq!(slow.refusal(), (503, "budget-spent"), "{slow:?}");
    assert!(took.as_millis() < 1_500, "{took:?}");
    for path in ["slow/records/all", "slow/aggregate", "slow/records/export", "slow/records?count=exact&fields=id"] {
        assert_eq!(read(&app, path).await.refusal(), (503, "budget-spent"), "{path}");
    }
}

#[tokio::test]
async fn a_query_that_fails_while_it_runs_says_so_and_no_more() {
    let app = world().await;
    let query = "SELECT id, json_extract(title, '$.secret') AS x FROM posts WHERE views < 0";
    let view = json!({ "name": "bad", "view": { "query": query }, "fields": [{ "name": "x", "type": "text" }] });
    made(&app, view).await;
    add(&app, "posts", json!({ "title": "no JSON", "views": -1 })).await;

    for path in ["bad/records", "bad/records?count=exact", "bad/records/export", "bad/aggregate?metrics=max(x)"] {
        let reply = read(&app, path).await;
        assert_eq!(reply.refusal(), (409, "view-broken"), "{path}: {reply:?}");
        assert!(!reply.body.to_string().contains("JSON"), "{reply:?}");
    }
    let again = change(&app, "bad", json!({ "view": { "query": query.replace("< 0", "< 1") } })).await;
    assert_eq!(faults(&again), [("/view/query", "query")], "an admin is told when it is sent");
}

#[tokio::test]
async fn lists_can_be_taken_apart_and_put_together() {
    let app = world().await;
    let query = "SELECT p.id || '-' || t.value AS id, t.value AS tag, p.title FROM posts p, json_each(p.tags) t";
    let view = json!({ "name": "tags", "view": { "query": query }, "fields": [{ "name": "tag", "type": "text" }] });
    made(&app, view).await;
    assert_eq!(records(&app, "tags/records?filter=tag%3D%3D'x'").await.len(), 3);

    let query =
        "SELECT a.id, (SELECT json_group_array(p.title) FROM posts p WHERE p.author = a.id) AS titles FROM authors a;";
    let view = json!({ "name": "lists", "view": { "query": query }, "fields": [{ "name": "titles", "type": "json" }] });
    made(&app, view).await;
    let all = records(&app, "lists/records").await;
    assert!(all.iter().any(|it| it["titles"] == json!(["one", "two"])), "{all:?}");

    let readers = "SELECT p.id || r.value AS id, r.value AS reader FROM posts p, json_each(p.readers) r";
    let field = json!({ "name": "reader", "type": "relation", "collection": "authors" });
    made(&app, json!({ "name": "readings", "view": { "query": readers }, "fields": [field] })).await;
    let all = records(&app, "readings/records?expand=reader&where[reader.name]=Ada").await;
    assert_eq!((all.len(), &all[0]["expand"]["reader"]["name"]), (3, &json!("Ada")));
}

#[tokio::test]
async fn the_document_shows_how_a_view_is_read_and_nothing_else() {
    let app = world().await;
    made(&app, stats()).await;

    let document = app.openapi().await;

    let paths: Vec<_> =
        document["paths"].as_object().expect("paths").iter().filter(|(it, _)| it.contains("/stats/")).collect();
    let told: Vec<_> = paths
        .iter()
        .map(|(path, it)| {
            (
                path.rsplit_once("/stats/").expect("a path").1,
                it.as_object().expect("methods").keys().collect::<Vec<_>>(),
            )
        })
        .collect();
    for (path, methods) in &told {
        assert_eq!(methods, &["get"], "{path}");
    }
    assert_eq!(
        told.iter().map(|it| it.0).collect::<Vec<_>>(),
        ["aggregate", "records/export", "records", "records/{id}"]
    );
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["NewRecord_stats"], Value::Null);
    assert!(schemas["Record_stats"]["properties"].get("createdAt").is_none());
}

#[tokio::test]
async fn a_view_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    let notes = json!({ "name": "notes", "fields": [{ "name": "text", "type": "text" }] });
    made(&app, notes).await;
    add(&app, "notes", json!({ "text": "x" })).await;
    let view = made(&app, json!({ "name": "texts", "view": { "query": "SELECT id, text FROM notes" } })).await;
    drop(app);

    let app = TestApp::on_disk(folder.path(), &[]).await;

    assert_eq!(read(&app, "texts").await.body, view);
    assert_eq!(records(&app, "texts/records").await[0]["text"], "x");
}

#[tokio::test]
async fn there_are_only_so_many_views() {
    let app = TestApp::new().await;
    made(&app, json!({ "name": "notes", "fields": [{ "name": "text", "type": "text" }] })).await;
    let view = |it: usize| json!({ "name": format!("v{it}"), "view": { "query": "SELECT id, text FROM notes" } });
    for number in 0..50 {
        made(&app, view(number)).await;
    }

    let one_more = create(&app, &view(50)).await;

    assert_eq!(one_more.refusal(), (409, "collection-limit-reached"));
    assert_eq!(change(&app, "notes", json!({ "rules": { "list": "true" } })).await.status, 200);
    assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/v0").send().await.status, 204);
    assert_eq!(create(&app, &view(50)).await.status, 201);
}
