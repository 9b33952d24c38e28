//! Promises about changes that are told as operations (JSON Patch, RFC 6902).
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

const POSTS: &str = "/api/v1/collections/posts/records";
const JSON_PATCH: &str = "application/json-patch+json";

/// An app with posts that anyone may read and write, one field of which is an admin's.
async fn app() -> TestApp {
    let app = TestApp::with_people().await;
    let posts = json!({
        "name": "posts",
        "fields": [
            { "name": "title", "type": "text", "max": 20 },
            { "name": "subtitle", "type": "text" },
            { "name": "views", "type": "integer", "default": 0 },
            { "name": "at", "type": "datetime" },
            { "name": "tags", "type": "select", "values": ["a", "b", "c"], "multiple": true },
            { "name": "extra", "type": "json" },
            { "name": "related", "type": "relation", "collection": "posts", "multiple": true },
            { "name": "owner", "type": "relation", "collection": "users" },
            { "name": "secret", "type": "text", "hidden": true },
            { "name": "open", "type": "bool", "default": true },
        ],
        "rules": {
            "list": "true", "view": "open || owner == auth.id", "create": "true",
            "update": "open || auth.signedIn", "delete": "true",
        },
    });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&posts).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    app
}

async fn made(app: &TestApp, body: Value) -> String {
    let made = app.ask(Method::POST, POSTS).json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    format!("{POSTS}/{}", made.str("id"))
}

/// With the rights and the references of the batch, and undone with it.
#[tokio::test]
async fn a_batch_takes_operations_in_the_place_of_values() {
    let app = app().await;
    let first = made(&app, json!({ "title": "one", "views": 3 })).await;
    let id = first.rsplit('/').next().expect("an id");
    let path = |id: &str| format!("/collections/posts/records/{id}");
    let batch = |operations: Value, transaction: bool| {
        let body = json!({ "operations": operations, "transaction": transaction });
        app.ask(Method::POST, "/api/v1/batch").json(&body).send()
    };
    let make =
        json!({ "method": "POST", "path": "/collections/posts/records", "body": { "title": "two" }, "name": "two" });
    let change = |expected: i64| {
        json!({ "method": "PATCH", "path": path(id), "body": [
            { "op": "test", "path": "/views", "value": expected },
            { "op": "replace", "path": "/views", "value": 4 },
            { "op": "add", "path": "/related/-", "value": { "$ref": "two" } },
        ] })
    };

    let failed = batch(json!([make, change(7)]), true).await;
    assert_eq!(failed.refusal().1, "batch-failed", "{failed:?}");
    assert_eq!(failed.body["errors"][0]["code"], "patch-failed");
    let done = batch(json!([make, change(3)]), true).await;
    assert_eq!(done.status, 200, "{done:?}");

    let record = app.ask(Method::GET, &first).send().await;
    assert_eq!(
        (&record.body["views"], &record.body["related"]),
        (&json!(4), &json!([done.body["results"][0]["body"]["id"]]))
    );
    let wrong = batch(
        json!([{ "method": "PATCH", "path": path(id), "body": [{ "op": "add", "path": "/secret", "value": 1 }] }]),
        true,
    );
    assert_eq!(wrong.await.body["errors"][1]["pointer"], "/operations/0/body/0/path");
    for not_a_list in [("PUT", path(id)), ("POST", "/collections/posts/records".to_owned())] {
        let operation = json!({ "method": not_a_list.0, "path": not_a_list.1, "body": [] });
        let refused = batch(json!([operation]), true).await;
        assert_eq!(first_fault(&refused), ("/operations/0/body", "type"), "{refused:?}");
    }
}

async fn patch(app: &TestApp, path: &str, operations: &Value) -> Reply {
    let request = app.ask(Method::PATCH, path).header("content-type", JSON_PATCH);
    request.raw(operations.to_string()).send().await
}

fn first_fault(reply: &Reply) -> (&str, &str) {
    let fault = &reply.body["errors"][0];
    (fault["pointer"].as_str().unwrap_or_default(), fault["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn operations_are_done_one_after_the_other() {
    let app = app().await;
    let extra = json!({ "a": { "b": [1, 2, 3] }, "c/d": 1 });
    let post = made(&app, json!({ "title": "t", "tags": ["a", "b"], "extra": extra })).await;

    let changed = patch(
        &app,
        &post,
        &json!([
            { "op": "test", "path": "/title", "value": "t" },
            { "op": "replace", "path": "/title", "value": "new" },
            { "op": "copy", "from": "/title", "path": "/subtitle" },
            { "op": "add", "path": "/tags/0", "value": "c" },
            { "op": "remove", "path": "/tags/1" },
            { "op": "add", "path": "/extra/a/b/-", "value": 4 },
            { "op": "move", "from": "/extra/c~1d", "path": "/extra/e" },
            { "op": "add", "path": "/at", "value": "2026-01-02T03:04:05Z" },
            { "op": "test", "path": "/views", "value": 0.0 },
            { "op": "replace", "path": "/views", "value": 7 },
        ]),
    )
    .await;

    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!((&changed.body["title"], &changed.body["subtitle"]), (&json!("new"), &json!("new")));
    assert_eq!(changed.body["tags"], json!(["c", "b"]));
    assert_eq!(changed.body["extra"], json!({ "a": { "b": [1, 2, 3, 4] }, "e": 1 }));
    assert_eq!((&changed.body["at"], &changed.body["views"]), (&json!("2026-01-02T03:04:05.000Z"), &json!(7)));
    let removed = patch(&app, &post, &json!([{ "op": "remove", "path": "/subtitle" }])).await;
    assert_eq!((removed.status, &removed.body["subtitle"]), (200, &Value::Null));
    assert_eq!(app.ask(Method::GET, &post).send().await.body, removed.body);
}

#[tokio::test]
async fn a_test_that_fails_leaves_the_record_as_it_was() {
    let app = app().await;
    let post = made(&app, json!({ "title": "t" })).await;
    let before = app.ask(Method::GET, &post).send().await;

    let refused = patch(
        &app,
        &post,
        &json!([
            { "op": "replace", "path": "/title", "value": "new" },
            { "op": "test", "path": "/views", "value": 1 },
        ]),
    )
    .await;

    assert_eq!(refused.refusal(), (409, "patch-failed"));
    assert_eq!(first_fault(&refused), ("/1", "failed"));
    let after = app.ask(Method::GET, &post).send().await;
    assert_eq!((&after.body, after.header("etag")), (&before.body, before.header("etag")));
}

/// A test and what it guards are one: of fifty who saw the same value one writes.
#[tokio::test]
async fn of_fifty_who_tested_the_same_value_one_changes_it() {
    let app = app().await;
    let post = made(&app, json!({ "views": 0 })).await;
    let operations = json!([
        { "op": "test", "path": "/views", "value": 0 },
        { "op": "replace", "path": "/views", "value": 1 },
    ]);

    let replies = join_all((0..50).map(|_| patch(&app, &post, &operations))).await;

    let count = |status| replies.iter().filter(|it| it.status == status).count();
    assert_eq!((count(200), count(409)), (1, 49));
}

#[tokio::test]
async fn what_operations_make_is_judged_as_any_other_change() {
    let app = app().await;
    let post = made(&app, json!({ "title": "t" })).await;
    let none = "00000000-0000-7000-8000-00000000dead";

    for (operations, pointer, code) in [
        (json!([{ "op": "replace", "path": "/title", "value": "x".repeat(21) }]), "/title", "too-long"),
        (json!([{ "op": "replace", "path": "/views", "value": "many" }]), "/views", "type"),
        (json!([{ "op": "add", "path": "/tags/-", "value": "z" }]), "/tags", "not-one-of"),
        (json!([{ "op": "add", "path": "/related/-", "value": none }]), "/related", "no-such-record"),
        (json!([{ "op": "replace", "path": "/id", "value": none }]), "/0/path", "read-only"),
        (json!([{ "op": "replace", "path": "/nothing", "value": 1 }]), "/0/path", "unknown"),
        (json!([{ "op": "replace", "path": "/secret", "value": "s" }]), "/0/path", "unknown"),
        (json!([{ "op": "test", "path": "/secret", "value": "s" }]), "/0/path", "unknown"),
        (json!([{ "op": "copy", "from": "/secret", "path": "/title" }]), "/0/from", "unknown"),
        (json!([{ "op": "replace", "path": "", "value": {} }]), "/0/path", "unknown"),
        (json!([{ "op": "increment", "path": "/views" }]), "/0", "operation"),
        (json!([{ "op": "add", "path": "/views" }]), "/0", "operation"),
        (json!([{ "op": "add", "path": "views", "value": 1 }]), "/0", "operation"),
        (json!(["add"]), "/0", "operation"),
        (json!({ "title": "t" }), "", "type"),
        (json!(vec![json!({ "op": "test", "path": "/views", "value": 0 }); 101]), "", "too-many"),
    ] {
        let refused = patch(&app, &post, &operations).await;
        assert_eq!(refused.refusal(), (422, "validation-failed"), "{operations}");
        assert_eq!(first_fault(&refused), (pointer, code), "{operations}");
    }
    assert_eq!(app.ask(Method::GET, &post).send().await.body["title"], "t");
}

/// Each copy could hold all that the one before it made.
#[tokio::test]
async fn a_record_does_not_grow_without_bounds_by_copies_of_itself() {
    let app = app().await;
    let post = made(&app, json!({ "extra": { "a": "x".repeat(1_000) } })).await;
    let double = |it: usize| json!({ "op": "copy", "from": "/extra", "path": format!("/extra/b{it}") });

    let refused = patch(&app, &post, &(0..100).map(double).collect()).await;
    let deeper = json!([{ "op": "copy", "from": "/extra", "path": format!("/extra{}", "/a".repeat(70)) }]);
    let too_deep = patch(&app, &post, &deeper).await;

    assert_eq!(refused.refusal(), (409, "patch-failed"));
    assert_eq!(too_deep.refusal(), (409, "patch-failed"));
}

/// Whoever may change a record but not view it would learn its values by tests.
#[tokio::test]
async fn tests_tell_nothing_of_a_record_that_may_not_be_viewed() {
    let app = app().await;
    let post = made(&app, json!({ "title": "t", "open": false })).await;
    let nobodys = format!("{POSTS}/00000000-0000-7000-8000-00000000dead");
    let guess = |title: &str| json!([{ "op": "test", "path": "/title", "value": title }]);
    let ask = async |path: &str, title: &str| {
        let request = app.as_role("user", Method::PATCH, path).header("content-type", JSON_PATCH);
        request.raw(guess(title).to_string()).send().await
    };

    let (right, wrong, missing) = (ask(&post, "t").await, ask(&post, "u").await, ask(&nobodys, "t").await);

    assert_eq!(right.refusal(), (404, "not-found"), "{right:?}");
    assert_eq!((right.refusal(), right.str("detail")), (wrong.refusal(), wrong.str("detail")));
    assert_eq!((right.refusal(), right.str("detail")), (missing.refusal(), missing.str("detail")));
    assert_eq!(patch(&app, &post, &guess("t")).await.refusal(), (404, "not-found"));
}

/// Where both forms are taken, the refusal of a third says so.
#[tokio::test]
async fn a_patch_of_another_sort_is_told_what_is_taken() {
    let app = app().await;
    let post = made(&app, json!({ "title": "t" })).await;
    let send = |content_type: &str, body: Value| {
        app.ask(Method::PATCH, &post).header("content-type", content_type).raw(body.to_string()).send()
    };

    let refused = send("text/plain", json!({ "title": "u" })).await;
    let merged = send("application/merge-patch+json", json!({ "title": "v" })).await;

    assert_eq!(refused.refusal(), (415, "unsupported-media-type"));
    let taken = "application/merge-patch+json, application/json-patch+json, application/json";
    assert_eq!(refused.header("accept-patch"), Some(taken));
    assert_eq!((merged.status, &merged.body["title"]), (200, &json!("v")), "{merged:?}");
    let many = app
        .ask(Method::PATCH, &format!("{POSTS}?filter=true&max=10"))
        .header("content-type", JSON_PATCH)
        .raw("[]")
        .send()
        .await;
    assert_eq!(many.refusal(), (415, "unsupported-media-type"), "many records take merge patches alone");
    assert_eq!(many.header("accept-patch"), Some("application/merge-patch+json, application/json"));
}
