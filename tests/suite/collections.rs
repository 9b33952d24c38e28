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
    assert_eq!(made.header("etag"), Some("\"1\""));
    let shown = show(&app, "posts").await;
    assert_eq!((shown.status, &shown.body), (200, &made.body));
    assert_eq!(
        shown.body["fields"][0],
        json!({ "name": "title", "type": "text", "required": true, "unique": false, "hidden": false, "max": 200.0 })
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
    assert_eq!((changed.status, changed.header("etag")), (200, Some("\"2\"")));
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
