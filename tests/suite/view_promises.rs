//! Promises about views that are true of data today and not tomorrow, and about what they may take.
use std::collections::BTreeSet;

use poem::http::Method;
use serde_json::{Value, json};
use steading::base::TenantId;
use steading::db::Error;

use crate::support::{Reply, TestApp};
use crate::views::{add, change, create, faults, made, read, records, world};

/// Notes, and a view of them by their keys, which nothing keeps apart.
async fn keyed() -> TestApp {
    let app = TestApp::with_people().await;
    let fields = json!([{ "name": "key", "type": "text" }, { "name": "n", "type": "integer" }]);
    made(&app, json!({ "name": "notes", "fields": fields })).await;
    for (key, n) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        add(&app, "notes", json!({ "key": key, "n": n })).await;
    }
    let rules = json!({ "list": "n < 100", "view": "n < 100" });
    made(&app, json!({ "name": "keyed", "view": { "query": "SELECT key AS id, n FROM notes" }, "rules": rules })).await;
    app
}

/// Goes through a list page by page: the numbers that were shown, or what it was refused with.
async fn walk(app: &TestApp, query: &str) -> Result<Vec<i64>, Reply> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(app, &format!("keyed/records?{query}{cursor}")).await;
        if page.status != 200 {
            return Err(page);
        }
        seen.extend(page.body["data"].as_array().expect("records").iter().map(|it| it["n"].as_i64().expect("n")));
        match page.body["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(seen),
        }
    }
}

/// Ids that were unique when the view was saved need not stay so. Whoever pages through sees all, or is told.
#[tokio::test]
async fn no_record_of_a_view_is_lost_without_a_word() {
    let app = keyed().await;
    assert_eq!(walk(&app, "limit=2").await.expect("sound"), [1, 2, 3, 4]);
    for (key, n) in [("b", 2), ("b", 2), ("d", 0)] {
        add(&app, "notes", json!({ "key": key, "n": n })).await;
    }
    let all = BTreeSet::from([0, 1, 2, 3, 4]);

    for sort in ["", "&sort=n", "&sort=-n", "&sort=-id", "&sort=n,-id", "&filter=n!%3D3"] {
        for limit in 1..8 {
            match walk(&app, &format!("limit={limit}{sort}")).await {
                Err(reply) => {
                    assert_eq!(reply.refusal(), (409, "view-broken"), "{limit} {sort}: {reply:?}");
                    let detail = reply.body["detail"].as_str().expect("a detail");
                    assert!(detail.contains("more than one record with the id `"), "{limit} {sort}: {detail}");
                }
                Ok(seen) => panic!("{limit} {sort}: the two that are alike came as {seen:?}"),
            }
        }
    }
    // Those that differ in what is sorted by may be on two pages, but each is on one.
    let apart = walk(&app, "limit=2&sort=n&filter=id!%3D'b'").await.expect("all of them");
    assert_eq!(BTreeSet::from_iter(apart.clone()), &all - &BTreeSet::from([2]), "{apart:?}");
    for path in ["keyed/records/b", "keyed/records/d", "keyed/records?limit=1&count=exact", "keyed/records/export"] {
        assert_eq!(read(&app, path).await.refusal(), (409, "view-broken"), "{path}");
    }
    let told = read(&app, "keyed/records?limit=1&count=exact").await;
    assert!(told.text.contains("the id `b`"), "{told:?}");
    assert_eq!(read(&app, "keyed/records/a").await.body["n"], 1, "the others can be read");
    assert_eq!(read(&app, "keyed/records?filter=n%3D%3D3&count=exact").await.body["meta"]["total"], 1);
}

/// What somebody may not see is not told by what is wrong with it.
#[tokio::test]
async fn a_double_that_the_caller_does_not_see_is_none() {
    let app = keyed().await;
    add(&app, "notes", json!({ "key": "a", "n": 100 })).await;

    let as_guest = async |path: &str| app.ask(Method::GET, &format!("/api/v1/collections/keyed/{path}")).send().await;

    assert_eq!(as_guest("records/a").await.body["n"], 1);
    assert_eq!(as_guest("records?count=exact").await.body["meta"]["total"], 4);
    assert_eq!(read(&app, "keyed/records/a").await.refusal(), (409, "view-broken"), "an admin sees both");
}

#[tokio::test]
async fn an_id_that_is_none_is_told_where_it_is_read() {
    let app = keyed().await;
    for (key, what) in [("", "is empty"), ("x\ty", "control character"), (&"x".repeat(300), "more than 255 bytes")] {
        let id = add(&app, "notes", json!({ "key": key, "n": 5 })).await;

        for path in ["keyed/records", "keyed/records?limit=4", "keyed/records/export"] {
            let reply = read(&app, path).await;
            assert_eq!(reply.refusal(), (409, "view-broken"), "{path}: {reply:?}");
            assert!(reply.text.contains(what), "{path}: {reply:?}");
        }
        let path = format!("/api/v1/collections/notes/records/{id}");
        assert_eq!(app.operator(Method::DELETE, &path).send().await.status, 204);
    }
    assert_eq!(records(&app, "keyed/records").await.len(), 4);
}

/// A cursor that names a record, since it is too long to be in it, finds one or says that there are two.
#[tokio::test]
async fn a_cursor_never_goes_on_after_another_record_of_the_same_id() {
    let app = TestApp::new().await;
    let fields = json!([{ "name": "key", "type": "text" }, { "name": "text", "type": "text" }]);
    made(&app, json!({ "name": "notes", "fields": fields })).await;
    for letter in ["a", "b", "c"] {
        add(&app, "notes", json!({ "key": letter, "text": letter.repeat(300) })).await;
    }
    made(&app, json!({ "name": "keyed", "view": { "query": "SELECT key AS id, text FROM notes" } })).await;
    let first = read(&app, "keyed/records?limit=1&sort=text").await;
    let cursor = first.body["meta"]["nextCursor"].as_str().expect("a cursor").to_owned();
    let next = format!("keyed/records?limit=1&sort=text&cursor={cursor}");
    assert_eq!(records(&app, &next).await[0]["id"], "b");

    add(&app, "notes", json!({ "key": "a", "text": "z".repeat(300) })).await;

    assert_eq!(read(&app, &next).await.refusal(), (409, "view-broken"));
}

/// What is tried first never says yes to what is refused when it is done.
#[tokio::test]
async fn a_preview_and_an_import_refuse_what_a_change_refuses() {
    let app = keyed().await;
    add(&app, "notes", json!({ "key": "a", "n": 7 })).await;
    for (query, code) in [
        ("SELECT key AS id, n FROM notes WHERE n < 9", "not-unique"),
        ("SELECT '' AS id, n FROM notes LIMIT 1", "id"),
        ("SELECT id, json_extract(key, '$.x') AS n FROM notes", "query"),
        ("SELECT id, abs(-9223372036854775808) AS n FROM notes", "query"),
    ] {
        let patch = json!({ "view": { "query": query }, "fields": [{ "name": "n", "type": "integer" }] });
        let preview = app.operator(Method::POST, "/api/v1/collections/keyed/preview").json(&patch).send().await;
        assert_eq!(faults(&preview), [("/view/query", code)], "{query}");
        assert_eq!(faults(&change(&app, "keyed", patch.clone()).await), [("/view/query", code)], "{query}");

        // Beside a table that changes, too, as long as it is another one.
        let view = json!({ "name": "other", "view": patch["view"], "fields": patch["fields"] });
        let table = json!({ "name": "new", "fields": [{ "name": "x", "type": "text" }] });
        for path in ["import?dryRun=true", "import"] {
            let set = json!({ "collections": [table, view] });
            let reply = app.operator(Method::POST, &format!("/api/v1/collections/{path}")).json(&set).send().await;
            assert_eq!(faults(&reply), [("/view/query", code)], "{path}: {query}");
        }
    }
    assert_eq!(read(&app, "new").await.status, 404, "nothing of it was done");
    let set = json!({ "collections": [
        { "name": "new", "fields": [{ "name": "x", "type": "text" }] },
        { "name": "over", "view": { "query": "SELECT x AS id FROM new" } },
    ] });
    let reply = app.operator(Method::POST, "/api/v1/collections/import").json(&set).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// Not only the first records are computed when a view is saved.
#[tokio::test]
async fn a_view_that_fails_far_down_is_not_saved() {
    let app = TestApp::new().await;
    made(&app, json!({ "name": "notes", "fields": [{ "name": "text", "type": "text" }] })).await;
    let many: Vec<_> = (0..1_500).map(|it| json!({ "text": if it == 1_400 { "{" } else { "{}" } })).collect();
    let path = "/api/v1/collections/notes/records/import?format=json";
    let imported = app.operator(Method::POST, path).json(&many.into()).send().await;
    assert_eq!(imported.body["imported"], 1_500, "{imported:?}");

    let fields = json!([{ "name": "x", "type": "text" }]);
    let query = json!({ "query": "SELECT id, json_extract(text, '$.x') AS x FROM notes" });
    let reply = create(&app, &json!({ "name": "bad", "view": query, "fields": fields })).await;

    assert_eq!(faults(&reply), [("/view/query", "query")]);
    assert!(reply.text.contains("malformed JSON"), "{reply:?}");
}

/// A few words can double a text again and again.
#[tokio::test]
async fn what_grows_too_large_is_not_computed() {
    let app = TestApp::new().await;
    made(&app, json!({ "name": "notes", "fields": [{ "name": "text", "type": "text" }] })).await;
    let doubled = "WITH a AS (SELECT id, text || text || text || text AS t FROM notes),
                   b AS (SELECT id, t || t || t || t AS t FROM a)
                   SELECT id, length(t) AS n FROM b";
    let view = json!({
        "name": "large", "view": { "query": doubled }, "fields": [{ "name": "n", "type": "integer" }],
    });
    add(&app, "notes", json!({ "text": "x".repeat(100 << 10) })).await;
    made(&app, view.clone()).await;
    assert_eq!(records(&app, "large/records").await[0]["n"], 16 * (100 << 10));

    let long = add(&app, "notes", json!({ "text": "x".repeat(150 << 10) })).await;

    for path in
        ["large/records", "large/records?count=exact&sort=n", "large/aggregate?metrics=max(n)", "large/records/export"]
    {
        assert_eq!(read(&app, path).await.refusal(), (409, "view-broken"), "{path}");
    }
    assert_eq!(read(&app, &format!("large/records/{long}")).await.refusal(), (409, "view-broken"));
    assert_eq!(change(&app, "large", json!({ "name": "small" })).await.status, 200, "its name does not matter");
    let reply = create(&app, &view).await;
    assert_eq!(faults(&reply), [("/view/query", "query")]);
    assert!(reply.text.contains("more than 2048 KiB"), "{reply:?}");
    // Many values at a time are smaller.
    let many: Vec<_> = (0..60).map(|it| format!("max(text || text || text || '{it}') < 'x'")).collect();
    let query = json!({ "query": format!("SELECT 'x' AS id, {} AS n FROM notes", many.join(" + ")) });
    let reply = create(&app, &json!({ "name": "many", "view": query, "fields": view["fields"] })).await;
    assert_eq!(faults(&reply), [("/view/query", "query")]);
    assert!(reply.text.contains("more than 273 KiB"), "{reply:?}");
    let path = format!("/api/v1/collections/notes/records/{long}");
    assert_eq!(app.operator(Method::GET, &path).send().await.status, 200, "records are not bounded by it");
}

/// Only where nobody who writes waits for it.
#[tokio::test]
async fn a_batch_that_only_reads_reads_views_too() {
    let app = keyed().await;
    add(&app, "notes", json!({ "key": "a", "n": 100 })).await;
    let get = |path: &str| json!({ "method": "GET", "path": format!("/collections/{path}") });
    let batch = async |operations: Value| {
        let reply = app.operator(Method::POST, "/api/v1/batch").json(&json!({ "operations": operations })).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["results"].clone()
    };

    let read = batch(json!([get("keyed/records/b"), get("keyed/records/zz"), get("keyed/records/a")])).await;
    assert_eq!((&read[0]["body"]["n"], &read[0]["headers"]), (&json!(2), &Value::Null), "{read}");
    assert_eq!(read[1]["status"], 404);
    assert_eq!(read[2]["problem"]["code"], "view-broken", "{read}");

    let write = json!({ "method": "POST", "path": "/collections/notes/records", "body": { "key": "e" } });
    let mixed = batch(json!([get("keyed/records/b"), write])).await;
    assert_eq!((&mixed[0]["problem"]["code"], &mixed[1]["status"]), (&json!("view-beside-writes"), &json!(201)));
    let detail = mixed[0]["problem"]["detail"].as_str().expect("a detail");
    assert!(detail.contains("`keyed` is a view"), "{detail}");
}

/// Records hold times as numbers, so the present is one, too. Nothing else depends on more than the data.
#[tokio::test]
async fn a_view_may_ask_what_time_it_is_and_throws_no_dice() {
    let app = TestApp::new().await;
    made(&app, json!({ "name": "tasks", "fields": [{ "name": "due", "type": "datetime" }] })).await;
    add(&app, "tasks", json!({ "due": "2001-01-01T00:00:00Z" })).await;
    add(&app, "tasks", json!({ "due": "9001-01-01T00:00:00Z" })).await;

    let query = "SELECT id, due FROM tasks WHERE due < unixepoch('now') * 1000";
    made(&app, json!({ "name": "overdue", "view": { "query": query } })).await;
    let overdue = records(&app, "overdue/records").await;
    assert_eq!((overdue.len(), &overdue[0]["due"]), (1, &json!("2001-01-01T00:00:00.000Z")));

    for (word, advice) in [
        ("CURRENT_TIMESTAMP", "unixepoch('now') * 1000"),
        ("current_date", "unixepoch('now') * 1000"),
        ("random()", "no function for views"),
        ("randomblob(4)", "no function for views"),
    ] {
        let view = json!({ "query": format!("SELECT id, {word} AS x FROM tasks") });
        let fields = json!([{ "name": "x", "type": "text" }]);
        let reply = create(&app, &json!({ "name": "bad", "view": view, "fields": fields })).await;
        assert_eq!(faults(&reply), [("/view/query", "query")], "{word}");
        assert!(reply.text.contains(advice), "{word}: {reply:?}");
    }
}

/// Whoever may not list a view is told that, whatever else is wrong with it.
#[tokio::test]
async fn a_stranger_does_not_hear_that_a_view_is_broken() {
    let app = keyed().await;
    change(&app, "keyed", json!({ "rules": { "list": null, "view": null } })).await;
    // As if an older version had taken what this one does not.
    let main = TenantId::main();
    let write = app.app.db.write_alone(&main, |tx| {
        tx.execute("UPDATE collections SET definition = replace(definition, 'SELECT key', 'SELECT gone(key)')", &[])?;
        tx.execute("UPDATE catalogue SET generation = generation + 1", &[])?;
        Ok::<_, Error>(())
    });
    write.await.expect("written");
    let get = json!({ "operations": [{ "method": "GET", "path": "/collections/keyed/records/a" }] });

    for path in ["records", "records/a", "records/export", "aggregate"] {
        let path = format!("/api/v1/collections/keyed/{path}");
        assert_eq!(app.ask(Method::GET, &path).send().await.status, 401, "{path}");
        assert_eq!(app.as_role("user", Method::GET, &path).send().await.status, 403, "{path}");
        assert_eq!(app.operator(Method::GET, &path).send().await.refusal(), (409, "view-broken"), "{path}");
    }
    let as_guest = app.ask(Method::POST, "/api/v1/batch").json(&get).send().await;
    assert_eq!(as_guest.body["results"][0]["status"], 401, "{as_guest:?}");
    let as_admin = app.operator(Method::POST, "/api/v1/batch").json(&get).send().await;
    assert_eq!(as_admin.body["results"][0]["problem"]["code"], "view-broken", "{as_admin:?}");
}

/// A field that is closed is closed in what is computed of it, even beside one of the same name that is shown, or
/// beside itself.
#[tokio::test]
async fn what_is_computed_of_a_field_keeps_it_open() {
    let app = world().await;
    let hide = async |collection: &str, name: &str| {
        let mut fields = read(&app, collection).await.body["fields"].clone();
        let field = fields.as_array_mut().expect("fields").iter_mut().find(|it| it["name"] == name).expect("a field");
        field["hidden"] = true.into();
        app.operator(Method::POST, &format!("/api/v1/collections/{collection}/preview"))
            .json(&json!({ "fields": fields }))
            .send()
            .await
    };
    made(&app, json!({ "name": "pets", "fields": [{ "name": "name", "type": "text" }] })).await;
    let text = |name: &str, hidden: bool| json!({ "name": name, "type": "text", "hidden": hidden });
    for (query, fields, refused) in [
        ("SELECT a.id, a.name, p.name || '' AS pet FROM authors a, pets p", json!([text("pet", false)]), true),
        (
            "SELECT p.id, p.name, upper(p.name) AS loud FROM pets p",
            json!([text("name", true), text("loud", false)]),
            true,
        ),
        ("SELECT p.id, p.name FROM pets p WHERE p.name < 'm'", json!([text("name", true)]), true),
        ("SELECT p.id, p.name FROM pets p", json!([text("name", true)]), false),
        ("SELECT * FROM (SELECT p.id, p.name AS n FROM pets p)", json!([text("n", true)]), false),
    ] {
        let view = json!({ "name": "v", "view": { "query": query }, "fields": fields, "rules": { "list": "true" } });
        made(&app, view).await;
        let reply = hide("pets", "name").await;
        if refused {
            assert_eq!(reply.refusal(), (409, "collection-in-use"), "{query}: {reply:?}");
            let told = "the part with `name` in the query of `v` refers to it; change that first";
            assert_eq!(reply.body["detail"], told, "{query}");
        } else {
            assert_eq!(reply.status, 200, "{query}: {reply:?}");
        }
        assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/v").send().await.status, 204);
    }
}
