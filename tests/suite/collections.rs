//! Promises about collections: made, changed and dropped while the server runs.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

async fn create(app: &TestApp, collection: Value) -> Reply {
    app.operator(Method::POST, "/api/v1/collections").json(&collection).send().await
}

async fn change(app: &TestApp, name: &str, patch: Value) -> Reply {
    app.operator(Method::PATCH, &format!("/api/v1/collections/{name}")).json(&patch).send().await
}

async fn show(app: &TestApp, name: &str) -> Reply {
    app.operator(Method::GET, &format!("/api/v1/collections/{name}")).send().await
}

fn posts() -> Value {
    json!({
        "name": "posts",
        "fields": [
            { "name": "title", "type": "text", "required": true, "max": 200 },
            { "name": "views", "type": "integer", "default": 0 },
            { "name": "state", "type": "select", "values": ["draft", "live"] },
            { "name": "author", "type": "relation", "collection": "users", "onDelete": "cascade" },
        ],
        "indexes": [{ "fields": ["state", "createdAt"] }],
        "rules": { "list": "true", "view": "true" },
    })
}

/// Pointer and code of each fault.
fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

#[tokio::test]
async fn a_collection_is_shown_as_it_was_made() {
    let app = TestApp::new().await;

    let made = create(&app, posts()).await;

    assert_eq!((made.status, made.header("location")), (201, Some("/api/v1/collections/posts")), "{made:?}");
    assert_eq!(made.version(), Some(1));
    let shown = show(&app, "posts").await;
    assert_eq!((shown.status, &shown.body), (200, &made.body));
    assert_eq!(
        shown.body["fields"][0],
        json!({ "name": "title", "type": "text", "required": true, "unique": false, "hidden": false, "max": 200 })
    );
    assert_eq!(shown.body["rules"]["create"], Value::Null, "what is not said is for admins");
    let listed = app.operator(Method::GET, "/api/v1/collections").send().await;
    assert_eq!(listed.body["data"], json!([made.body]));
}

#[tokio::test]
async fn a_name_that_could_mean_something_else_is_refused() {
    let app = TestApp::new().await;
    for name in ["sqlite_master", "../x", "users", "SELECT", "_x", "a'b", "a b", "id", "", "x_via_y"] {
        let reply = create(&app, json!({ "name": name, "fields": [] })).await;
        assert_eq!(reply.refusal().0, 422, "{name}: {reply:?}");
    }
    for name in ["id", "select", "a'b", "_version", "createdAt", "ID"] {
        let fields = json!([{ "name": name, "type": "text" }]);
        let reply = create(&app, json!({ "name": "x", "fields": fields })).await;
        assert_eq!(faults(&reply), [("/fields/0/name", "name")], "{name}");
    }
    let ordinary = json!([{ "name": "order", "type": "text" }, { "name": "group", "type": "text" }]);
    assert_eq!(create(&app, json!({ "name": "table", "fields": ordinary })).await.status, 201);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let app = TestApp::new().await;

    let reply = create(
        &app,
        json!({
            "name": "users",
            "fields": [
                { "name": "a", "type": "bool", "min": 1 },
                { "name": "b", "type": "relation", "collection": "nothing" },
                { "name": "B", "type": "text", "default": 1 },
            ],
            "indexes": [{ "fields": ["c"] }],
        }),
    )
    .await;

    assert_eq!(
        faults(&reply),
        [
            ("/name", "name"),
            ("/fields/0/min", "not-for-type"),
            ("/fields/1/collection", "unknown"),
            ("/fields/2/name", "duplicate"),
            ("/fields/2/default", "type"),
            ("/indexes/0/fields/0", "unknown"),
        ]
    );
}

/// Whoever makes a record could not give it, or a second record could not be made.
#[tokio::test]
async fn a_default_that_cannot_work_and_one_that_is_missing_are_refused() {
    let app = TestApp::new().await;
    let one = |field: Value| json!({ "name": "one", "fields": [field] });

    let twice = create(&app, one(json!({ "name": "a", "type": "text", "unique": true, "default": "x" }))).await;
    let never = create(&app, one(json!({ "name": "a", "type": "text", "hidden": true, "required": true }))).await;

    assert_eq!(faults(&twice), [("/fields/0/default", "conflict")]);
    assert_eq!(faults(&never), [("/fields/0/default", "required")]);
}

#[tokio::test]
async fn names_differ_by_more_than_their_case() {
    let app = TestApp::new().await;
    create(&app, posts()).await;

    let mut again = posts();
    again["name"] = "Posts".into();

    assert_eq!(create(&app, again).await.refusal(), (409, "collection-name-taken"));
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_and_does_nothing() {
    let app = TestApp::new().await;
    let would = app.operator(Method::POST, "/api/v1/collections?dryRun=true").json(&posts()).send().await;
    assert_eq!(would.status, 200, "{would:?}");
    assert_eq!(show(&app, "posts").await.status, 404);
    create(&app, posts()).await;

    let patch = json!({ "fields": [
        { "name": "headline", "type": "text", "renamedFrom": "title", "required": true },
        { "name": "views", "type": "number" },
        { "name": "tag", "type": "text", "unique": true },
    ], "indexes": [], "rules": { "create": "true" } });
    let preview = app.operator(Method::POST, "/api/v1/collections/posts/preview").json(&patch).send().await;

    let changes: Vec<_> = preview.body["changes"].as_array().expect("changes").iter().collect();
    let words: Vec<_> = changes.iter().map(|it| it["description"].as_str().expect("words")).collect();
    assert_eq!(
        words,
        [
            "drop the index over `state`, `createdAt`",
            "drop the index over `state`",
            "drop the index over `author`",
            "drop the field `state` with its values",
            "drop the field `author` with its values",
            "rename the field `title` to `headline`",
            "change what `headline` takes",
            "look whether every `views` can be a fraction",
            "write the values of `views` anew",
            "change what `views` takes",
            "add the field `tag`",
            "make the unique index over `tag`",
            "change the rule `create`",
        ]
    );
    let losing: Vec<_> = changes.iter().filter(|it| it["losesData"] == true).map(|it| &it["description"]).collect();
    assert_eq!(losing, [words[3], words[4]]);
    assert_eq!(show(&app, "posts").await.body["fields"][0]["name"], "title");
    assert_eq!(change(&app, "posts", patch).await.status, 200);
    assert_eq!(show(&app, "posts").await.body["fields"][0]["name"], "headline");
}

#[tokio::test]
async fn fields_can_swap_their_names() {
    let app = TestApp::new().await;
    let text = |name: &str| json!({ "name": name, "type": "text" });
    create(&app, json!({ "name": "x", "fields": [text("a"), text("b")] })).await;

    let swapped = json!({ "fields": [
        { "name": "b", "type": "text", "renamedFrom": "a" },
        { "name": "a", "type": "text", "renamedFrom": "b" },
    ] });
    assert_eq!(change(&app, "x", swapped).await.status, 200);
    let cased = json!({ "fields": [{ "name": "A", "type": "text", "renamedFrom": "a" }, text("b")] });
    assert_eq!(change(&app, "x", cased).await.status, 200);
    let twice = json!({ "fields": [text("b"), { "name": "c", "type": "text", "renamedFrom": "b" }] });

    assert_eq!(faults(&change(&app, "x", twice).await), [("/fields/1", "conflict")]);
}

/// An index that stayed would be over the wrong column, or over one that is no longer there.
#[tokio::test]
async fn indexes_go_along_when_columns_are_made_anew_or_swap_their_names() {
    let app = TestApp::new().await;
    let author =
        |on_delete: &str| json!({ "name": "author", "type": "relation", "collection": "users", "onDelete": on_delete });
    let number = |name: &str| json!({ "name": "n", "type": name, "unique": true });
    create(
        &app,
        json!({ "name": "x", "fields": [author("restrict"), number("integer")], "indexes": [{ "fields": ["n"] }] }),
    )
    .await;
    let changed = change(&app, "x", json!({ "fields": [author("cascade"), number("number")] })).await;
    assert_eq!(changed.status, 200, "{changed:?}");

    let text = |name: &str| json!({ "name": name, "type": "text" });
    let unique = |name: &str| json!({ "name": name, "type": "text", "unique": true });
    create(&app, json!({ "name": "y", "fields": [unique("a"), text("b")] })).await;
    let (mut a, mut b) = (unique("a"), text("b"));
    (a["renamedFrom"], b["renamedFrom"]) = ("b".into(), "a".into());
    assert_eq!(change(&app, "y", json!({ "fields": [a, b] })).await.status, 200);
    let make = |a: &str, b: &str| {
        app.operator(Method::POST, "/api/v1/collections/y/records").json(&json!({ "a": a, "b": b })).send()
    };

    assert_eq!(make("1", "same").await.status, 201);
    assert_eq!(make("2", "same").await.status, 201, "it is no longer unique");
    assert_eq!(make("1", "other").await.refusal(), (409, "record-value-taken"));
}

#[tokio::test]
async fn a_change_for_another_version_is_refused() {
    let app = TestApp::new().await;
    create(&app, posts()).await;
    let patch = |version: &str| {
        app.operator(Method::PATCH, "/api/v1/collections/posts")
            .header("if-match", version)
            .json(&json!({ "rules": { "create": "true" } }))
    };

    assert_eq!(patch("\"7\"").send().await.refusal(), (412, "stale-version"));
    let changed = patch("\"1\"").send().await;
    assert_eq!((changed.status, changed.version()), (200, Some(2)));
    assert_eq!(changed.body["rules"]["list"], "true", "what is absent stays");
}

#[tokio::test]
async fn a_collection_that_others_refer_to_is_not_dropped() {
    let app = TestApp::new().await;
    create(&app, posts()).await;
    let field = json!({ "name": "post", "type": "relation", "collection": "posts" });
    create(&app, json!({ "name": "comments", "fields": [field] })).await;
    let drop = |name: &str| app.operator(Method::DELETE, &format!("/api/v1/collections/{name}")).send();

    assert_eq!(drop("posts").await.refusal(), (409, "collection-in-use"));
    assert_eq!(change(&app, "posts", json!({ "name": "articles" })).await.status, 200);
    assert_eq!(show(&app, "comments").await.body["fields"][0]["collection"], "articles", "it goes with the name");
    assert_eq!(drop("articles").await.refusal(), (409, "collection-in-use"));
    assert_eq!(drop("comments").await.status, 204);
    assert_eq!(drop("articles").await.status, 204);
    assert_eq!(show(&app, "articles").await.refusal(), (404, "not-found"));
}

#[tokio::test]
async fn a_collection_may_refer_to_itself() {
    let app = TestApp::new().await;
    let field = json!({ "name": "parent", "type": "relation", "collection": "pages", "onDelete": "setNull" });

    assert_eq!(create(&app, json!({ "name": "pages", "fields": [field] })).await.status, 201);
    assert_eq!(change(&app, "pages", json!({ "name": "leaves" })).await.status, 200);
    assert_eq!(show(&app, "leaves").await.body["fields"][0]["collection"], "leaves");
    assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/leaves").send().await.status, 204);
}

/// Fifty at once: one is made, the others are told, and nothing is left half done.
#[tokio::test]
async fn of_fifty_collections_of_one_name_one_is_made() {
    let app = TestApp::new().await;

    let replies = futures_util::future::join_all((0..50).map(|_| create(&app, posts()))).await;

    assert_eq!(replies.iter().filter(|it| it.status == 201).count(), 1);
    let others = replies.iter().filter(|it| it.status != 201).map(Reply::refusal);
    assert!(
        others.clone().all(|it| [(409, "collection-name-taken"), (503, "busy")].contains(&it)),
        "{:?}",
        others.collect::<Vec<_>>()
    );
    assert_eq!(show(&app, "posts").await.status, 200);
}

/// Swagger UI and generated clients know a collection the moment it is there.
#[tokio::test]
async fn the_document_has_the_paths_and_types_of_each_collection() {
    let app = TestApp::new().await;
    create(&app, posts()).await;
    let path = "/api/v1/collections/posts/records";

    let document = app.openapi().await;

    let title = &document["components"]["schemas"]["NewRecord_posts"]["properties"]["title"];
    assert_eq!(*title, json!({ "type": "string", "maxLength": 200 }));
    assert_eq!(document["components"]["schemas"]["NewRecord_posts"]["required"], json!(["title"]));
    assert_eq!(document["paths"][path]["get"]["operationId"], "list_posts_records");
    let new = app.ask(Method::GET, "/openapi-3.1.json").send().await.body;
    assert_eq!(new["components"]["schemas"]["Record_posts"]["properties"]["views"]["type"], json!(["integer", "null"]));

    change(&app, "posts", json!({ "name": "articles" })).await;
    let document = app.openapi().await;
    assert!(document["paths"].get(path).is_none());
    assert!(document["paths"].get("/api/v1/collections/articles/records").is_some());
    app.operator(Method::DELETE, "/api/v1/collections/articles").send().await;
    assert_eq!(app.openapi().await, TestApp::new().await.openapi().await);
}

#[tokio::test]
async fn a_column_that_is_made_anew_keeps_its_values_and_its_indexes() {
    let app = TestApp::new().await;
    let fields = |kind: &str, on_delete: &str| {
        json!([
            { "name": "n", "type": kind, "unique": true },
            { "name": "parent", "type": "relation", "collection": "trees", "onDelete": on_delete },
        ])
    };
    let trees =
        json!({ "name": "trees", "fields": fields("integer", "restrict"), "indexes": [{ "fields": ["n", "parent"] }] });
    assert_eq!(create(&app, trees).await.status, 201);
    let records = "/api/v1/collections/trees/records";
    let made = app.operator(Method::POST, records).json(&json!({ "n": 1 })).send().await;
    app.operator(Method::POST, records).json(&json!({ "n": 2, "parent": made.str("id") })).send().await;

    let changed = change(&app, "trees", json!({ "fields": fields("number", "cascade") })).await;

    assert_eq!(changed.status, 200, "{changed:?}");
    let listed = app.operator(Method::GET, &format!("{records}?sort=n")).send().await;
    assert_eq!((&listed.body["data"][0]["n"], &listed.body["data"][1]["n"]), (&json!(1.0), &json!(2.0)));
    assert_eq!(listed.body["data"][0]["updatedAt"], made.body["updatedAt"], "nobody changed it");
    let again = app.operator(Method::POST, records).json(&json!({ "n": 2 })).send().await;
    assert_eq!(again.refusal(), (409, "record-value-taken"));
    assert_eq!(app.operator(Method::DELETE, &format!("{records}/{}", made.str("id"))).send().await.status, 204);
    assert_eq!(app.operator(Method::GET, records).send().await.body["data"], json!([]), "its child went with it");
}

#[tokio::test]
async fn a_collection_can_change_the_case_of_its_name() {
    let app = TestApp::new().await;
    assert_eq!(create(&app, json!({ "name": "posts", "fields": [] })).await.status, 201);
    app.operator(Method::POST, "/api/v1/collections/posts/records").json(&json!({})).send().await;

    assert_eq!(change(&app, "posts", json!({ "name": "Posts" })).await.status, 200);

    let listed = app.operator(Method::GET, "/api/v1/collections/Posts/records").send().await;
    assert_eq!(listed.body["data"].as_array().map(Vec::len), Some(1));
}

/// Otherwise the document would promise what the records do not keep.
#[tokio::test]
async fn a_field_takes_less_only_if_every_record_fits() {
    let app = TestApp::new().await;
    let values = |values: Value| json!({ "name": "f", "type": "select", "values": values, "multiple": true });
    let many = 9_007_199_254_740_993_i64;
    for (before, value, after) in [
        (json!({ "name": "f", "type": "text" }), json!("no address"), json!({ "name": "f", "type": "email" })),
        (json!({ "name": "f", "type": "text" }), json!("no address"), json!({ "name": "f", "type": "text", "max": 3 })),
        (json!({ "name": "f", "type": "text" }), json!("no"), json!({ "name": "f", "type": "text", "pattern": "^y" })),
        (json!({ "name": "f", "type": "integer" }), json!(5), json!({ "name": "f", "type": "integer", "max": 4 })),
        (json!({ "name": "f", "type": "integer" }), json!(many), json!({ "name": "f", "type": "number" })),
        (values(json!(["a", "b"])), json!(["a", "b"]), values(json!(["a"]))),
    ] {
        assert_eq!(create(&app, json!({ "name": "one", "fields": [before] })).await.status, 201);
        let record = json!({ "f": value });
        let made = app.operator(Method::POST, "/api/v1/collections/one/records").json(&record).send().await;
        assert_eq!(made.status, 201, "{made:?}");

        let refused = change(&app, "one", json!({ "fields": [after] })).await;

        assert_eq!(refused.refusal(), (409, "collection-data-conflict"), "{after}");
        let null = json!({ "f": null });
        app.operator(Method::PATCH, made.header("location").expect("one")).json(&null).send().await;
        assert_eq!(change(&app, "one", json!({ "fields": [after] })).await.status, 200, "{after}");
        assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/one").send().await.status, 204);
    }
}

/// Deleting its records in some order would stop at the first that another refers to, or go too deep.
#[tokio::test]
async fn a_collection_whose_records_refer_to_each_other_can_be_dropped() {
    let app = TestApp::new().await;
    for on_delete in ["restrict", "cascade", "setNull"] {
        let parent = json!({ "name": "parent", "type": "relation", "collection": "trees", "onDelete": on_delete });
        assert_eq!(create(&app, json!({ "name": "trees", "fields": [parent] })).await.status, 201);
        let records = "/api/v1/collections/trees/records";
        let mut parent = Value::Null;
        for _ in 0..40 {
            let made = app.operator(Method::POST, records).json(&json!({ "parent": parent })).send().await;
            parent = made.body["id"].clone();
        }

        let dropped = app.operator(Method::DELETE, "/api/v1/collections/trees").send().await;

        assert_eq!(dropped.status, 204, "{on_delete} {dropped:?}");
    }
}

#[tokio::test]
async fn a_record_takes_with_it_what_hangs_on_it_however_long_the_chain() {
    let app = TestApp::new().await;
    let parent = json!({ "name": "parent", "type": "relation", "collection": "links", "onDelete": "cascade" });
    assert_eq!(create(&app, json!({ "name": "links", "fields": [parent] })).await.status, 201);
    let path = "/api/v1/collections/links/records";
    let id = |number: usize| format!("0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a{number:04}");
    let line = |it: usize| json!({ "id": id(it), "parent": it.checked_sub(1).map(id) }).to_string();
    for (length, expected) in [(900, 204), (1_100, 409)] {
        let file: String = (0..length).map(|it| line(it) + "\n").collect();
        let imported = app.operator(Method::POST, &format!("{path}/import?format=ndjson")).raw(&file).send().await;
        assert_eq!(imported.body["imported"], length, "{imported:?}");

        let dropped = app.operator(Method::DELETE, &format!("{path}/{}", id(0))).send().await;

        assert_eq!(dropped.status, expected, "{dropped:?}");
    }
}

/// A typing error, or hope, must not do what was only to be tried.
#[tokio::test]
async fn a_change_takes_no_parameters_that_it_does_not_have() {
    let app = TestApp::new().await;
    let path = "/api/v1/collections/posts";
    for query in ["?dryrun=true", "?dryRun=true&dryRun=true"] {
        let made = app.operator(Method::POST, &format!("/api/v1/collections{query}")).json(&posts()).send().await;
        assert_eq!(made.refusal(), (422, "validation-failed"));
    }
    assert_eq!(create(&app, posts()).await.status, 201);

    let renamed =
        app.operator(Method::PATCH, &format!("{path}?dryRun=true")).json(&json!({ "name": "x" })).send().await;
    let misspelt = app.operator(Method::DELETE, &format!("{path}?dryrun=true")).send().await;

    assert_eq!((renamed.refusal().0, misspelt.refusal().0), (422, 422));
    let would = app.operator(Method::DELETE, &format!("{path}?dryRun=true")).send().await;
    let expected =
        json!([{ "description": "drop the collection `posts` with all its records", "losesData": true, "records": 0 }]);
    assert_eq!((would.status, &would.body["changes"]), (200, &expected));
    assert_eq!(show(&app, "posts").await.status, 200);
}

#[tokio::test]
async fn a_collection_can_be_renamed_while_its_relation_to_itself_changes() {
    let app = TestApp::new().await;
    let parent = |name: &str, target: &str, on_delete: &str| json!({ "name": name, "type": "relation", "collection": target, "onDelete": on_delete });
    let fields = json!([parent("parent", "trees", "restrict")]);
    assert_eq!(create(&app, json!({ "name": "trees", "fields": fields })).await.status, 201);
    let records = "/api/v1/collections/trees/records";
    let root = app.operator(Method::POST, records).json(&json!({})).send().await.str("id");
    app.operator(Method::POST, records).json(&json!({ "parent": root })).send().await;

    let fields = json!([parent("parent", "plants", "cascade"), parent("neighbour", "plants", "setNull")]);
    let renamed = change(&app, "trees", json!({ "name": "plants", "fields": fields })).await;

    assert_eq!(renamed.status, 200, "{renamed:?}");
    let records = "/api/v1/collections/plants/records";
    let next = app.operator(Method::POST, records).json(&json!({ "neighbour": root })).send().await;
    assert_eq!(app.operator(Method::DELETE, &format!("{records}/{root}")).send().await.status, 204);
    let left = app.operator(Method::GET, records).send().await;
    assert_eq!(left.body["data"].as_array().map(Vec::len), Some(1), "the child went with its parent");
    assert_eq!((&left.body["data"][0]["id"], &left.body["data"][0]["neighbour"]), (&next.body["id"], &Value::Null));
}

#[tokio::test]
async fn texts_that_become_addresses_are_brought_to_one_form() {
    let app = TestApp::new().await;
    let field = |kind: &str, unique: bool| json!([{ "name": "mail", "type": kind, "unique": unique }]);
    assert_eq!(create(&app, json!({ "name": "people", "fields": field("text", false) })).await.status, 201);
    let records = "/api/v1/collections/people/records";
    let make = |mail: &str| app.operator(Method::POST, records).json(&json!({ "mail": mail })).send();
    let first = make("Ada@Example.com").await.header("location").expect("one").to_owned();
    let second = make("ada@example.com").await.header("location").expect("one").to_owned();

    let refused = change(&app, "people", json!({ "fields": field("email", true) })).await;
    assert_eq!(refused.refusal(), (409, "collection-data-conflict"), "they are one address");
    app.operator(Method::DELETE, &second).send().await;
    assert_eq!(change(&app, "people", json!({ "fields": field("email", true) })).await.status, 200);

    assert_eq!(app.operator(Method::GET, &first).send().await.body["mail"], "ada@example.com");
    assert_eq!(make("ADA@example.com").await.refusal(), (409, "record-value-taken"));
}

/// Null looks as if it emptied something.
#[tokio::test]
async fn a_change_of_a_collection_takes_no_null_and_a_new_one_no_old_names() {
    let app = TestApp::new().await;
    let fields = json!([{ "name": "mail", "type": "email" }]);
    let made = app.operator(Method::POST, "/api/v1/collections").json(&json!({ "name": "people", "fields": fields }));
    assert_eq!(made.send().await.status, 201);

    let body = json!({ "indexes": null, "fields": null, "rules": null });
    for (method, path) in
        [(Method::PATCH, "/api/v1/collections/people"), (Method::POST, "/api/v1/collections/people/preview")]
    {
        let refused = app.operator(method, path).json(&body).send().await;
        assert_eq!((refused.status, refused.body["errors"].as_array().map(Vec::len)), (422, Some(3)), "{refused:?}");
    }
    let renamed = json!({ "name": "others", "fields": [{ "name": "a", "type": "text", "renamedFrom": "b" }] });
    let refused = app.operator(Method::POST, "/api/v1/collections").json(&renamed).send().await;
    assert_eq!(refused.body["errors"][0]["pointer"], "/fields/0/renamedFrom");
    let index = json!({ "indexes": [{ "fields": ["id"] }] });
    let refused = app.operator(Method::PATCH, "/api/v1/collections/people").json(&index).send().await;
    assert_eq!(refused.body["errors"][0]["detail"], "has an index of its own already");

    let path = "/api/v1/collections/people/records";
    app.operator(Method::POST, path).json(&json!({ "mail": "Ada@Example.COM" })).send().await;
    for query in ["where[mail]=Ada@Example.COM", "where[mail][in]=x@y.example,ADA@example.com"] {
        let found = app.operator(Method::GET, &format!("{path}?{query}")).send().await;
        assert_eq!(found.body["data"].as_array().map(Vec::len), Some(1), "{query}");
    }
}
