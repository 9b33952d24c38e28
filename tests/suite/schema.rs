//! Promises about collections as a whole: exported, imported at once, and remembered.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

const IMPORT: &str = "/api/v1/collections/import";
const HISTORY: &str = "/api/v1/admin/collections/history";

async fn import_with(app: &TestApp, query: &str, collections: Value) -> Reply {
    let set = json!({ "collections": collections });
    app.operator(Method::POST, &format!("{IMPORT}{query}")).json(&set).send().await
}

async fn import(app: &TestApp, collections: Value) -> Reply {
    import_with(app, "", collections).await
}

async fn export(app: &TestApp) -> Reply {
    app.operator(Method::GET, "/api/v1/collections/export").send().await
}

async fn make(app: &TestApp, collection: &str, record: Value) -> Reply {
    let path = format!("/api/v1/collections/{collection}/records");
    let made = app.operator(Method::POST, &path).json(&record).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

async fn records(app: &TestApp, collection: &str) -> Vec<Value> {
    let path = format!("/api/v1/collections/{collection}/records");
    app.operator(Method::GET, &path).send().await.body["data"].as_array().expect("records").clone()
}

async fn history(app: &TestApp, query: &str) -> Vec<Value> {
    let reply = app.operator(Method::GET, &format!("{HISTORY}{query}")).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("data").clone()
}

fn text(name: &str) -> Value {
    json!({ "name": name, "type": "text" })
}

fn to(name: &str, collection: &str) -> Value {
    json!({ "name": name, "type": "relation", "collection": collection })
}

fn several(name: &str, collection: &str) -> Value {
    json!({ "name": name, "type": "relation", "collection": collection, "multiple": true })
}

fn collection(name: &str, fields: &[Value]) -> Value {
    json!({ "name": name, "fields": fields })
}

fn names(reply: &Reply) -> Vec<(String, String)> {
    let text = |it: &Value| it.as_str().expect("text").to_owned();
    let steps = reply.body["collections"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
    steps.iter().map(|it| (text(&it["collection"]), text(&it["deed"]))).collect()
}

/// Pointer and code of each fault.
fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

/// Neither can be made before the other.
#[tokio::test]
async fn collections_that_refer_to_each_other_are_imported_at_once_and_can_go_at_once() {
    let app = TestApp::new().await;
    let set = json!([
        collection("a", &[text("name"), to("b", "b"), several("bs", "b"), to("own", "a")]),
        { "name": "b", "fields": [to("a", "a"), several("all", "a")], "options": { "softDelete": true },
          "rules": { "list": "a.name == 'x' && a_via_b.exists(it, it.name == 'x')" } },
    ]);

    let made = import(&app, set).await;

    assert_eq!(names(&made), [("a".into(), "create".into()), ("b".into(), "create".into())], "{made:?}");
    let a = make(&app, "a", json!({ "name": "x" })).await.str("id");
    let b = make(&app, "b", json!({ "a": a, "all": [a] })).await.str("id");
    let changed = app.operator(Method::PATCH, &format!("/api/v1/collections/a/records/{a}"));
    let changed = changed.json(&json!({ "b": b, "bs": [b], "own": a })).send().await;
    assert_eq!(changed.status, 200, "{changed:?}");
    let one_alone = app.operator(Method::DELETE, "/api/v1/collections/a").send().await;
    assert_eq!(one_alone.refusal(), (409, "collection-in-use"));

    let refused = import_with(&app, "?dropOthers=true", json!([])).await;
    let gone = import_with(&app, "?dropOthers=true&allowLoss=true", json!([])).await;

    assert_eq!(refused.refusal(), (409, "collection-data-loss"));
    let detail = refused.str("detail");
    assert!(detail.contains("`a`: drop the collection `a` with all its records (1 record)"), "{detail}");
    assert_eq!(names(&gone), [("a".into(), "drop".into()), ("b".into(), "drop".into())]);
    assert_eq!(export(&app).await.body, json!({ "collections": [] }));
}

#[tokio::test]
async fn what_is_exported_can_be_imported_elsewhere_and_changes_nothing_here() {
    let (app, other) = (TestApp::new().await, TestApp::new().await);
    let posts = json!({
        "name": "posts",
        "fields": [
            { "name": "title", "type": "text", "required": true, "max": 200, "default": "none" },
            { "name": "tags", "type": "select", "values": ["a", "b"], "multiple": true },
            { "name": "note", "type": "text", "readableBy": "auth.role == 'editor'", "writeOnly": false },
            to("author", "users"),
        ],
        "indexes": [{ "fields": ["title", "createdAt"] }],
        "search": { "title": 2.5 },
        "rules": { "list": "author == auth.id" },
        "options": { "softDelete": true, "purgeAfterDays": 3 },
    });
    import(&app, json!([posts, collection("empty", &[])])).await;

    let exported = export(&app).await;
    let there = other.operator(Method::POST, IMPORT).json(&exported.body).send().await;
    let here = app.operator(Method::POST, IMPORT).json(&exported.body).send().await;

    assert_eq!((there.status, export(&other).await.body), (200, exported.body.clone()), "{there:?}");
    assert_eq!(
        here.body,
        json!({ "generation": 1, "isDone": true, "losesData": false, "isBlocked": false, "collections": [], "others": [] })
    );
    assert_eq!(export(&app).await.header("etag"), exported.header("etag"), "nothing was counted as a change");
    let member = |it: &str| exported.body["collections"][0].get(it).is_some();
    assert!(["id", "createdAt", "updatedAt", "renamedFrom"].into_iter().all(|it| !member(it)), "{exported:?}");
}

#[tokio::test]
async fn an_import_is_whole_or_nothing_and_all_that_is_wrong_is_told_at_once() {
    let app = TestApp::new().await;
    import(&app, json!([collection("a", &[text("x")])])).await;
    make(&app, "a", json!({ "x": "1" })).await;
    make(&app, "a", json!({ "x": "1" })).await;
    let before = export(&app).await;

    let wrong = import(
        &app,
        json!([
            collection("b", &[to("x", "nothing"), json!({ "name": "y", "type": "bool", "min": 1 })]),
            collection("B", &[]),
            collection("select", &[]),
            { "name": "c", "fields": [], "indexes": [{ "fields": ["z"] }] },
        ]),
    )
    .await;
    let late = import(
        &app,
        json!([collection("b", &[]), collection("a", &[json!({ "name": "x", "type": "text", "unique": true })]),]),
    )
    .await;
    let rule =
        import(&app, json!([collection("b", &[]), { "name": "c", "fields": [], "rules": { "list": "nothing == 1" } }]))
            .await;

    assert_eq!(faults(&wrong), [("/collections/1/name", "duplicate"), ("/collections/2/name", "name")]);
    assert_eq!(
        (late.refusal(), late.str("detail")),
        ((409, "collection-data-conflict"), "`a.x` has values that occur more than once".to_owned())
    );
    assert_eq!(faults(&rule)[0].0, "/collections/1/rules/list");
    assert_eq!(export(&app).await.body, before.body);
    assert_eq!(history(&app, "").await.len(), 1, "what was undone is not remembered");
    let fields = import(
        &app,
        json!([
            collection("b", &[to("x", "nothing"), json!({ "name": "y", "type": "bool", "min": 1 })]),
            { "name": "c", "fields": [], "indexes": [{ "fields": ["z"] }] },
        ]),
    )
    .await;
    assert_eq!(
        faults(&fields),
        [
            ("/collections/0/fields/0/collection", "unknown"),
            ("/collections/0/fields/1/min", "not-for-type"),
            ("/collections/1/indexes/0/fields/0", "unknown"),
        ]
    );
}

#[tokio::test]
async fn an_import_loses_no_value_unless_it_is_allowed_to() {
    let app = TestApp::new().await;
    import(&app, json!([collection("a", &[text("x"), text("y"), several("z", "a")])])).await;
    let first = make(&app, "a", json!({ "x": "1" })).await.str("id");
    make(&app, "a", json!({ "x": "2", "z": [first] })).await;

    let without_y = import(&app, json!([collection("a", &[text("x"), several("z", "a")])])).await;
    let without_x = import(&app, json!([collection("a", &[several("z", "a")])])).await;
    let without_z = import(&app, json!([collection("a", &[text("x")])])).await;

    assert_eq!(
        (without_y.status, &without_y.body["losesData"]),
        (200, &json!(false)),
        "no record has anything there: {without_y:?}"
    );
    assert_eq!(without_x.refusal(), (409, "collection-data-loss"));
    assert!(without_x.str("detail").contains("drop the field `x` with its values (2 records)"), "{without_x:?}");
    assert!(without_z.str("detail").contains("drop the field `z` with its values (1 record)"), "{without_z:?}");
    let allowed = import_with(&app, "?allowLoss=true", json!([collection("a", &[])])).await;
    assert_eq!((allowed.status, &allowed.body["losesData"]), (200, &json!(true)), "{allowed:?}");
    assert_eq!(records(&app, "a").await.len(), 2);
}

/// A file that stays as it is can be applied at every start.
#[tokio::test]
async fn a_rename_keeps_records_and_says_nothing_once_it_is_done() {
    let app = TestApp::new().await;
    import(
        &app,
        json!([
            collection("old", &[text("a"), to("own", "old")]),
            collection("b", &[to("old", "old"), several("olds", "old")])
        ]),
    )
    .await;
    let id = make(&app, "old", json!({ "a": "1" })).await.str("id");
    make(&app, "b", json!({ "old": id, "olds": [id] })).await;
    let set = json!([
        { "name": "new", "renamedFrom": "old", "fields": [{ "name": "c", "type": "text", "renamedFrom": "a" }, to("own", "new"), text("d")] },
        collection("b", &[to("old", "new"), several("olds", "new")]),
    ]);

    let renamed = import(&app, set.clone()).await;
    let again = import(&app, set.clone()).await;
    let elsewhere = TestApp::new().await;
    let fresh = import(&elsewhere, set).await;

    assert_eq!(renamed.status, 200, "{renamed:?}");
    assert_eq!(records(&app, "new").await[0]["c"], "1");
    let made = make(&app, "b", json!({ "old": id, "olds": [id] })).await;
    assert_eq!(made.body["olds"], json!([id]));
    assert_eq!(names(&again), [], "{again:?}");
    assert_eq!(fresh.status, 200, "where there was nothing, nothing is renamed: {fresh:?}");
    let kinds: Vec<_> = history(&app, "?collection=old").await.iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, ["renamed", "created"]);
}

#[tokio::test]
async fn a_rename_that_could_mean_two_things_is_refused() {
    let app = TestApp::new().await;
    import(&app, json!([collection("a", &[text("x"), text("y")]), collection("b", &[])])).await;

    let both = import(&app, json!([{ "name": "b", "renamedFrom": "a", "fields": [] }])).await;
    let kept = import(&app, json!([{ "name": "c", "renamedFrom": "a", "fields": [] }, collection("a", &[])])).await;
    let twice = import(
        &app,
        json!([{ "name": "c", "renamedFrom": "a", "fields": [] }, { "name": "d", "renamedFrom": "a", "fields": [] }]),
    )
    .await;
    let field = json!({ "name": "y", "type": "text", "renamedFrom": "x" });
    let fields = import(&app, json!([collection("a", &[field])])).await;
    let case = import(&app, json!([collection("A", &[])])).await;

    let swapped = import(
        &app,
        json!([{ "name": "a", "renamedFrom": "b", "fields": [] }, { "name": "b", "renamedFrom": "a", "fields": [] }]),
    )
    .await;
    assert_eq!(faults(&swapped).len(), 2, "names that are exchanged: {swapped:?}");
    assert_eq!(faults(&both), [("/collections/0/renamedFrom", "conflict")]);
    assert_eq!(faults(&kept), [("/collections/0/renamedFrom", "conflict")]);
    assert_eq!(faults(&twice), [("/collections/1/renamedFrom", "conflict")]);
    assert_eq!(faults(&fields), [("/collections/0/fields/0/renamedFrom", "conflict")]);
    assert_eq!(faults(&case), [("/collections/0/name", "duplicate")]);
    let post = app.operator(Method::POST, "/api/v1/collections");
    let post = post.json(&json!({ "name": "c", "renamedFrom": "a", "fields": [] })).send().await;
    assert_eq!(faults(&post), [("/renamedFrom", "conflict")]);
}

/// Whoever looked at a difference agreed to that one, and to no other.
#[tokio::test]
async fn an_import_that_was_meant_for_other_collections_is_refused() {
    let app = TestApp::new().await;
    let set = json!([collection("a", &[text("x")])]);
    let looked = import_with(&app, "?dryRun=true", set.clone()).await;
    let tag = looked.header("etag").expect("a tag").to_owned();
    assert_eq!((names(&looked), &looked.body["isDone"]), (vec![("a".into(), "create".into())], &json!(false)));
    let other = app.operator(Method::POST, "/api/v1/collections").json(&collection("b", &[])).send().await;
    assert_eq!(other.status, 201);

    let body = json!({ "collections": set });
    let late = app.operator(Method::POST, IMPORT).header("if-match", &tag).json(&body).send().await;
    let tag = export(&app).await.header("etag").expect("a tag").to_owned();
    let in_time = app.operator(Method::POST, IMPORT).header("if-match", &tag).json(&body).send().await;

    assert_eq!(late.refusal(), (412, "stale-version"));
    assert_eq!(in_time.status, 200, "{in_time:?}");
    assert_eq!(in_time.body["others"], json!(["b"]), "what a set does not name stays");
}

#[tokio::test]
async fn a_dry_run_says_how_many_records_each_step_is_about() {
    let app = TestApp::new().await;
    let fields = [
        text("gone"),
        text("unique"),
        text("filled"),
        text("short"),
        json!({ "name": "n", "type": "integer" }),
        several("many", "a"),
    ];
    import(&app, json!([collection("a", &fields)])).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        let record = json!({
            "gone": (n < 3).then_some("x"), "unique": if n < 2 { "same".to_owned() } else { n.to_string() },
            "filled": (n != 5).then_some("x"), "short": "y".repeat(n), "n": if n == 6 { 1_i64 << 60 } else { 1 },
            "many": ids.first().into_iter().collect::<Vec<_>>(),
        });
        ids.push(make(&app, "a", record).await.str("id"));
    }

    let shall = json!([
        { "name": "unique", "type": "text", "unique": true },
        { "name": "full", "type": "text", "required": true, "renamedFrom": "filled" },
        { "name": "short", "type": "text", "max": 4 },
        { "name": "n", "type": "number" },
        { "name": "new", "type": "text", "default": "x" },
        { "name": "must", "type": "text", "required": true },
    ]);
    let preview =
        app.operator(Method::POST, "/api/v1/collections/a/preview").json(&json!({ "fields": shall })).send().await;
    let dry = import_with(&app, "?dryRun=true", json!([{ "name": "a", "fields": shall }])).await;
    let done = import(&app, json!([{ "name": "a", "fields": shall }])).await;

    assert_eq!(preview.body["changes"], dry.body["collections"][0]["changes"], "{dry:?}");
    let told = |words: &str| {
        let found = preview.body["changes"].as_array().expect("changes").iter().find(|it| it["description"] == words);
        let found = found.unwrap_or_else(|| panic!("no {words} in {preview:?}"));
        (found["records"].clone(), found["inTheWay"].clone(), found["ids"].clone())
    };
    let null = Value::Null;
    assert_eq!(told("drop the field `gone` with its values"), (json!(3), null.clone(), null.clone()));
    assert_eq!(told("drop the field `many` with its values"), (json!(6), null.clone(), null.clone()));
    assert_eq!(told("make the unique index over `unique`"), (null.clone(), json!(2), json!([ids[0]])));
    assert_eq!(told("look whether every record has a value for `full`"), (null.clone(), json!(1), json!([ids[5]])));
    assert_eq!(told("look whether every `short` still fits"), (null.clone(), json!(2), json!([ids[5], ids[6]])));
    assert_eq!(told("look whether every `n` can be a fraction"), (null.clone(), json!(1), json!([ids[6]])));
    assert_eq!(told("write the values of `n` anew"), (json!(7), null.clone(), null.clone()));
    assert_eq!(told("add the field `new`"), (json!(7), null.clone(), null.clone()));
    assert_eq!(told("look whether every record has a value for `must`"), (null, json!(7), json!(ids[..5])));
    assert_eq!((&dry.body["losesData"], &dry.body["isBlocked"]), (&json!(true), &json!(true)));
    assert_eq!(done.refusal(), (409, "collection-data-loss"));
    let dropping = app.operator(Method::DELETE, "/api/v1/collections/a?dryRun=true").send().await;
    assert_eq!(dropping.body["changes"][0]["records"], 7);
}

#[tokio::test]
async fn a_dry_run_counts_the_records_that_would_not_be_as_a_validator_asks_and_they_stay_as_they_are() {
    let app = TestApp::new().await;
    let fields =
        [text("title"), json!({ "name": "from", "type": "integer" }), json!({ "name": "to", "type": "integer" })];
    let posts = json!({ "name": "a", "fields": fields, "options": { "softDelete": true } });
    import(&app, json!([posts])).await;
    let mut ids = Vec::new();
    for (from, to) in [(1, 2), (2, 1), (3, 3), (9, 1)] {
        ids.push(make(&app, "a", json!({ "title": "x", "from": from, "to": to })).await.str("id"));
    }
    app.operator(Method::DELETE, &format!("/api/v1/collections/a/records/{}", ids[3])).send().await;

    let shall = json!([
        text("title"),
        { "name": "since", "type": "integer", "renamedFrom": "from", "validate": "value < to || title == 'y'" },
        { "name": "to", "type": "integer" },
        { "name": "new", "type": "text", "validate": "value == 'x'" },
    ]);
    let path = "/api/v1/collections/a/preview";
    let preview = app.operator(Method::POST, path).json(&json!({ "fields": shall })).send().await;
    let set = json!([{ "name": "b", "renamedFrom": "a", "fields": shall, "options": { "softDelete": true } }]);
    let dry = import_with(&app, "?dryRun=true", set).await;
    let change = json!({ "fields": shall });
    let done = app.operator(Method::PATCH, "/api/v1/collections/a").json(&change).send().await;
    let written = app.operator(Method::PATCH, &format!("/api/v1/collections/a/records/{}", ids[1]));
    let written = written.json(&json!({ "title": "z" })).send().await;

    let told = |reply: &Value, field: &str| {
        let words = format!("ask for `{field}`, in all that is written from now on");
        let found = reply.as_array().expect("changes").iter();
        let found = found.filter(|it| it["description"].as_str().is_some_and(|it| it.starts_with(&words)));
        let found: Vec<_> = found.map(|it| (it["wouldNotPass"].clone(), it["ids"].clone())).collect();
        assert_eq!(found.len(), 1, "{reply}");
        found[0].clone()
    };
    for changes in [&preview.body["changes"], &dry.body["collections"][0]["changes"]] {
        assert_eq!(
            told(changes, "since"),
            (json!(2), json!([ids[1], ids[2]])),
            "those in the bin are written by nobody"
        );
        assert_eq!(told(changes, "new"), (json!(0), Value::Null), "null is what it may always be");
    }
    assert_eq!(dry.body["isBlocked"], false);
    assert_eq!((done.status, records(&app, "a").await.len()), (200, 3), "{done:?}");
    assert_eq!(faults(&written), [("/since", "validate")]);
}

#[tokio::test]
async fn another_order_of_fields_is_a_change() {
    let app = TestApp::new().await;
    import(&app, json!([collection("a", &[text("x"), text("y")])])).await;
    let patch = async |fields: Value| {
        let patch = app.operator(Method::PATCH, "/api/v1/collections/a");
        patch.json(&json!({ "fields": fields })).send().await
    };

    let same = patch(json!([text("x"), text("y")])).await;
    let other = patch(json!([text("y"), text("x")])).await;

    assert_eq!(same.body["fields"][0]["name"], "x");
    assert_eq!(other.body["fields"][0]["name"], "y", "{other:?}");
    assert_eq!(export(&app).await.body["collections"][0]["fields"][0]["name"], "y");
    assert_eq!(history(&app, "").await.len(), 2, "to say the same again is none");
}

#[tokio::test]
async fn all_that_is_wrong_with_a_set_is_told_at_once_and_in_words_that_help() {
    let app = TestApp::new().await;
    let wrong = json!([
        {
            "name": "a", "fields": [text("x")], "indexes": [{ "fields": ["gone"] }],
            "rules": { "list": "nothing == 1", "view": "x == 1" },
        },
        { "name": "b", "fields": [{ "name": "p", "type": "text", "pattern": "((a{500}){500}){500}" }] },
        { "name": "c", "fields": [text("x")], "rules": { "list": "nowhere == 1" } },
    ]);

    let refused = import(&app, wrong).await;
    let of_rules = import(
        &app,
        json!([
            { "name": "a", "fields": [text("x")], "rules": { "list": "nothing == 1" } },
            { "name": "c", "fields": [text("x")], "rules": { "list": "nowhere == 1" } },
        ]),
    )
    .await;
    let flag = app.operator(Method::POST, "/api/v1/collections/import?dryRun=yes").json(&json!({ "collections": [] }));
    let flag = flag.send().await;

    let told: Vec<_> = faults(&refused).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(
        told,
        [
            "/collections/0/indexes/0/fields/0",
            "/collections/1/fields/0/pattern",
            "/collections/0/rules/list",
            "/collections/0/rules/view",
            "/collections/2/rules/list",
        ]
    );
    assert!(refused.body["errors"][1]["detail"].as_str().is_some_and(|it| it.contains("too large")), "{refused:?}");
    assert_eq!(faults(&of_rules).len(), 2, "{of_rules:?}");
    assert_eq!(flag.body["errors"][0]["detail"], "must be `true` or `false`", "{flag:?}");
}

#[tokio::test]
async fn every_change_of_a_collection_is_remembered_with_who_made_it_and_what_differs() {
    let app = TestApp::with_people().await;
    let admin = |method, path: &str| app.as_role("admin", method, path);
    let posts = collection("posts", &[json!({ "name": "title", "type": "text", "max": 10 })]);
    admin(Method::POST, "/api/v1/collections").json(&posts).send().await;
    let patch = json!({ "fields": [{ "name": "title", "type": "text", "max": 20 }, text("body")] });
    admin(Method::PATCH, "/api/v1/collections/posts").json(&patch).send().await;
    let comments = collection("comments", &[to("post", "posts")]);
    import(&app, json!([comments])).await;
    admin(Method::PATCH, "/api/v1/collections/posts").json(&json!({ "name": "articles" })).send().await;
    admin(Method::DELETE, "/api/v1/collections/comments").send().await;

    let all = history(&app, "").await;
    let told: Vec<_> = all.iter().map(|it| [&it["version"], &it["collection"], &it["kind"], &it["source"]]).collect();
    let line =
        |version: i64, name: &str, kind: &str, source: &str| [json!(version), json!(name), json!(kind), json!(source)];
    let expected = [
        line(6, "comments", "dropped", "api"),
        line(5, "comments", "changed", "api"),
        line(4, "articles", "renamed", "api"),
        line(3, "comments", "created", "import"),
        line(2, "posts", "changed", "api"),
        line(1, "posts", "created", "api"),
    ];
    assert_eq!(told, expected.each_ref().map(<[Value; 4]>::each_ref));
    assert_eq!(all[3]["author"], "operator");
    assert_eq!(all[4]["author"], admin(Method::GET, "/api/v1/auth/profile").send().await.body["id"]);
    assert_eq!(all[2]["generation"], all[1]["generation"], "both in one go");
    assert_eq!(history(&app, "?collection=posts").await.len(), 3);

    let second = admin(Method::GET, &format!("{HISTORY}/2")).send().await;
    assert_eq!(
        second.body["diff"],
        json!([
            { "at": "fields.title.max", "before": 10, "after": 20 },
            { "at": "fields.body", "before": null, "after": { "type": "text" } },
            { "at": "order", "before": ["title"], "after": ["title", "body"] },
        ])
    );
    assert_eq!(second.body["before"]["fields"], json!([{ "name": "title", "type": "text", "max": 10 }]));
    assert_eq!(admin(Method::GET, &format!("{HISTORY}/7")).send().await.status, 404);
    let first = admin(Method::GET, &format!("{HISTORY}?limit=4")).send().await;
    let cursor = first.body["meta"]["nextCursor"].as_str().expect("a cursor");
    assert_eq!(history(&app, "?limit=4").await.len(), 4);
    let rest = admin(Method::GET, &format!("{HISTORY}?limit=4&cursor={cursor}")).send().await;
    assert_eq!(rest.body["data"], json!(all[4..]));
}

#[tokio::test]
async fn the_history_is_as_long_as_its_setting_says() {
    let app = TestApp::with(&[("SCHEMA__HISTORY_MAX", "3")]).await;
    for n in 0..5 {
        import(&app, json!([collection(&format!("c{n}"), &[])])).await;
    }

    let versions: Vec<_> = history(&app, "").await.iter().map(|it| it["version"].clone()).collect();

    assert_eq!(versions, [5, 4, 3]);
}

#[tokio::test]
async fn a_single_value_can_become_a_list_and_a_list_of_one_a_single_value() {
    let app = TestApp::new().await;
    let one = |extra: Value| {
        let mut fields = json!([
            { "name": "to", "type": "relation", "collection": "a", "onDelete": "setNull" },
            { "name": "tag", "type": "select", "values": ["x", "y"] },
        ]);
        for field in fields.as_array_mut().expect("fields") {
            field.as_object_mut().expect("a field").extend(extra.as_object().expect("members").clone());
        }
        json!([{ "name": "a", "fields": fields, "search": { "tag": 1 }, "indexes": if extra == json!({}) { json!([{ "fields": ["tag"] }]) } else { json!([]) } }])
    };
    let several = || one(json!({ "multiple": true }));
    import(&app, one(json!({}))).await;
    let target = make(&app, "a", json!({})).await.str("id");
    let id = make(&app, "a", json!({ "to": target, "tag": "x" })).await.str("id");
    let show = || app.operator(Method::GET, &format!("/api/v1/collections/a/records/{id}")).send();
    let before = show().await.version();

    let widened = import(&app, several()).await;

    assert_eq!(widened.status, 200, "{widened:?}");
    let shown = show().await;
    assert_eq!((&shown.body["to"], &shown.body["tag"]), (&json!([target]), &json!(["x"])), "{shown:?}");
    assert!(before < shown.version(), "it looks different, so it has another tag");
    let path = format!("/api/v1/collections/a/records/{id}");
    let more = json!({ "to": [target, id], "tag": ["y", "x"] });
    assert_eq!(app.operator(Method::PATCH, &path).json(&more).send().await.status, 200);

    let dry = import_with(&app, "?dryRun=true", one(json!({}))).await;
    let refused = import(&app, one(json!({}))).await;
    let fewer = json!({ "to": [target], "tag": ["y"] });
    assert_eq!(app.operator(Method::PATCH, &path).json(&fewer).send().await.status, 200);
    let narrowed = import(&app, one(json!({}))).await;

    let in_the_way: Vec<_> = dry.body["collections"][0]["changes"].as_array().expect("changes").iter().collect();
    let in_the_way: Vec<_> =
        in_the_way.iter().filter(|it| it["inTheWay"] == 1).map(|it| (&it["description"], &it["ids"])).collect();
    assert_eq!(
        in_the_way,
        [
            (&json!("look whether no record has several `to`"), &json!([id])),
            (&json!("look whether no record has several `tag`"), &json!([id])),
        ]
    );
    assert_eq!(refused.refusal(), (409, "collection-data-conflict"));
    assert_eq!(
        refused.str("detail"),
        "`a.to` would lose values, since 1 record has several there; leave one in each first"
    );
    assert_eq!(narrowed.status, 200, "{narrowed:?}");
    let shown = show().await;
    assert_eq!((&shown.body["to"], &shown.body["tag"]), (&json!(target), &json!("y")), "{shown:?}");
    let found = app.operator(Method::GET, "/api/v1/collections/a/records?search=y").send().await;
    assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{found:?}");
    let gone = app.operator(Method::DELETE, &format!("/api/v1/collections/a/records/{target}")).send().await;
    assert_eq!((gone.status, &show().await.body["to"]), (204, &Value::Null), "what refers is still looked after");
}

/// They refer to each other in one large circle, which has no first and no last.
#[tokio::test]
async fn hundreds_of_collections_are_imported_at_once_and_one_more_than_there_may_be_is_refused() {
    let app = TestApp::new().await;
    let one = |n: usize| {
        json!({
            "name": format!("c{n}"),
            "fields": [
                text("title"), { "name": "slug", "type": "text", "unique": true },
                to("next", &format!("c{}", (n + 1) % 150)), several("all", &format!("c{}", (n + 7) % 150)),
            ],
            "indexes": [{ "fields": ["title", "createdAt"] }],
            "rules": { "list": "next.title == 'x'", "view": "true" },
        })
    };
    let set: Vec<_> = (0..150).map(one).collect();

    let made = import(&app, json!(set)).await;
    let again = import(&app, json!(set)).await;
    let more: Vec<_> = (0..350).map(|n| collection(&format!("more{n}"), &[])).collect();
    let full = import(&app, json!(more)).await;
    let beyond = import(&app, json!([collection("beyond", &[])])).await;

    assert_eq!((names(&made).len(), names(&again).len(), names(&full).len()), (150, 0, 350), "{made:?}");
    assert_eq!(beyond.refusal(), (409, "collection-limit-reached"));
}

#[tokio::test]
async fn views_are_exported_and_imported_with_what_they_read() {
    let (app, other) = (TestApp::new().await, TestApp::new().await);
    let view = |query: &str| json!({ "name": "titles", "view": { "query": query }, "rules": { "list": "true" } });
    let set = json!([view("SELECT id, title FROM posts"), collection("posts", &[text("title"), text("note")])]);

    let made = import(&app, set.clone()).await;
    let again = import(&app, set).await;
    make(&app, "posts", json!({ "title": "Tea" })).await;
    let exported = export(&app).await;
    let there = other.operator(Method::POST, IMPORT).json(&exported.body).send().await;

    assert_eq!(names(&made), [("posts".into(), "create".into()), ("titles".into(), "create".into())]);
    assert_eq!(names(&again), [], "{again:?}");
    assert_eq!(records(&app, "titles").await[0]["title"], "Tea");
    assert_eq!((there.status, export(&other).await.body), (200, exported.body.clone()), "{there:?}");
    assert_eq!(exported.body["collections"][1]["view"]["query"], "SELECT id, title FROM posts");
    let beneath = import(&app, json!([collection("posts", &[text("note")])])).await;
    assert_eq!(beneath.refusal().0, 409, "nobody asked to change the view: {beneath:?}");
    let broken = import(&app, json!([view("SELECT id, nothing FROM posts")])).await;
    assert_eq!(faults(&broken)[0].0, "/collections/0/view/query");
    let turned = import(&app, json!([collection("titles", &[])])).await;
    assert_eq!(faults(&turned)[0], ("/collections/0/view", "conflict"));
    let both = import_with(
        &app,
        "?allowLoss=true",
        json!([view("SELECT id, note FROM posts"), collection("posts", &[text("note")])]),
    )
    .await;
    assert_eq!(both.status, 200, "{both:?}");
    assert_eq!(records(&app, "titles").await[0]["note"], Value::Null);
    let gone = import_with(&app, "?allowLoss=true&dropOthers=true", json!([])).await;
    assert_eq!(names(&gone).len(), 2);
}
