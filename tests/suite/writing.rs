//! Promises about writing: by a unique value, several at once, many at once, and all at the same time.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::live::Live;
use crate::support::{Reply, TestApp};

const POSTS: &str = "/api/v1/collections/posts/records";
const NOTES: &str = "/api/v1/collections/notes/records";

async fn collection(app: &TestApp, body: Value) {
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

fn rules(rule: &str) -> Value {
    json!({ "list": rule, "view": rule, "create": rule, "update": rule, "delete": rule })
}

/// An app with people, posts that anyone may write, and notes that are their owner's.
async fn app() -> TestApp {
    let app = TestApp::with_people().await;
    let posts = json!({
        "name": "posts",
        "fields": [
            { "name": "title", "type": "text", "required": true, "max": 20 },
            { "name": "slug", "type": "text", "unique": true },
            { "name": "shop", "type": "text" },
            { "name": "number", "type": "integer" },
            { "name": "views", "type": "integer", "default": 10, "max": 1_000 },
            { "name": "tags", "type": "select", "values": ["a", "b", "c"], "multiple": true },
            { "name": "extra", "type": "json" },
            { "name": "parent", "type": "relation", "collection": "posts" },
            { "name": "related", "type": "relation", "collection": "posts", "multiple": true },
            { "name": "code", "type": "text", "hidden": true, "unique": true },
        ],
        "indexes": [{ "fields": ["shop", "number"], "unique": true }],
        "rules": rules("true"),
    });
    collection(&app, posts).await;
    let notes = json!({
        "name": "notes",
        "fields": [
            { "name": "key", "type": "text", "unique": true },
            { "name": "text", "type": "text" },
            { "name": "post", "type": "relation", "collection": "posts", "onDelete": "cascade" },
            { "name": "owner", "type": "relation", "collection": "users" },
        ],
        "rules": {
            "list": "owner == auth.id", "view": "owner == auth.id", "create": "auth.signedIn",
            "update": "owner == auth.id", "delete": "owner == auth.id",
        },
    });
    collection(&app, notes).await;
    app
}

async fn post(app: &TestApp, body: Value) -> Reply {
    let made = app.ask(Method::POST, POSTS).json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

async fn count(app: &TestApp, path: &str) -> u64 {
    let list = app.operator(Method::GET, &format!("{path}?count=exact&limit=1")).send().await;
    list.body["meta"]["total"].as_u64().expect("a total")
}

async fn batch(app: &TestApp, role: &str, transaction: bool, operations: Value) -> Reply {
    let body = json!({ "transaction": transaction, "operations": operations });
    app.as_role(role, Method::POST, "/api/v1/batch").json(&body).send().await
}

fn statuses(reply: &Reply) -> Vec<u64> {
    reply.body["results"]
        .as_array()
        .unwrap_or_else(|| panic!("no results in {reply:?}"))
        .iter()
        .map(|it| it["status"].as_u64().expect("a status"))
        .collect()
}

fn pointers(reply: &Reply) -> Vec<&str> {
    reply.body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|it| it["pointer"].as_str().expect("a pointer"))
        .collect()
}

#[tokio::test]
async fn a_put_by_a_unique_field_makes_once_and_replaces_then() {
    let app = app().await;
    let put = |body: Value| app.ask(Method::PUT, &format!("{POSTS}?by=slug")).json(&body).send();

    let made = put(json!({ "title": "a", "slug": "s", "views": 1 })).await;
    let replaced = put(json!({ "title": "b", "slug": "s" })).await;

    assert_eq!((made.status, made.version(), &made.body["views"]), (201, Some(1), &json!(1)), "{made:?}");
    let location = made.header("location").expect("a location").to_owned();
    assert_eq!((replaced.status, replaced.version()), (200, Some(2)), "{replaced:?}");
    assert_eq!((&replaced.body["id"], &replaced.body["views"]), (&made.body["id"], &json!(10)), "absent: the default");
    assert_eq!(app.ask(Method::GET, &location).send().await.body, replaced.body);
    assert_eq!(count(&app, POSTS).await, 1);
}

#[tokio::test]
async fn a_patch_by_a_unique_field_makes_or_changes_with_operators_too() {
    let app = app().await;
    let patch = |body: Value| app.ask(Method::PATCH, &format!("{POSTS}?by=slug")).json(&body).send();
    let hit = json!({ "title": "hits", "slug": "s", "views": { "$increment": 1 }, "tags": { "$add": ["a"] } });

    let made = patch(hit.clone()).await;
    let changed = patch(hit).await;

    assert_eq!((made.status, &made.body["views"], &made.body["tags"]), (201, &json!(11), &json!(["a"])), "{made:?}");
    assert_eq!((changed.status, &changed.body["views"], &changed.body["tags"]), (200, &json!(12), &json!(["a"])));
    let half = patch(json!({ "slug": "new" })).await;
    assert_eq!((half.refusal(), pointers(&half)), ((422, "validation-failed"), vec!["/title"]), "a new one is whole");
    let whole = patch(json!({ "slug": "s", "extra": { "a": 1 } })).await;
    assert_eq!((whole.status, &whole.body["title"], &whole.body["extra"]), (200, &json!("hits"), &json!({ "a": 1 })));
}

#[tokio::test]
async fn a_record_is_found_by_a_unique_index_too() {
    let app = app().await;
    let path = format!("{POSTS}?by=number,shop");
    let body = json!({ "title": "a", "shop": "x", "number": 1 });

    let made = app.ask(Method::PUT, &path).json(&body).send().await;
    let again = app.ask(Method::PUT, &path).json(&body).send().await;
    let other = app.ask(Method::PUT, &path).json(&json!({ "title": "a", "shop": "x", "number": 2 })).send().await;

    assert_eq!((made.status, again.status, other.status), (201, 200, 201));
}

#[tokio::test]
async fn what_finds_a_record_must_be_unique_and_be_there() {
    let app = app().await;
    let put = |by: &str, body: Value| {
        let path = format!("{POSTS}{by}");
        let (app, body) = (&app, body.clone());
        async move { app.ask(Method::PUT, &path).json(&body).send().await }
    };
    let body = json!({ "title": "a", "slug": null });
    for (by, pointer) in [
        ("", "?by"),
        ("?by=", "?by"),
        ("?by=title", "?by"),
        ("?by=shop", "?by"),
        ("?by=nothing", "?by"),
        ("?by=code", "?by"),
        ("?by=slug", "/slug"),
        ("?by=slug&max=1", "?max"),
    ] {
        let reply = put(by, body.clone()).await;
        assert_eq!((reply.refusal(), pointers(&reply)), ((422, "validation-failed"), vec![pointer]), "{by}: {reply:?}");
    }
    let hidden = put("?by=code", body).await;
    let missing = put("?by=cody", json!({ "title": "a" })).await;
    let told = |reply: &Reply| reply.str("detail");
    assert_eq!(told(&hidden).replace("code", "cody"), told(&missing), "a hidden field is as one that is not there");
    let operator = app.ask(Method::PATCH, &format!("{POSTS}?by=number,shop"));
    let operator = operator.json(&json!({ "shop": "x", "number": { "$increment": 1 } })).send().await;
    assert_eq!(pointers(&operator), ["/number"]);
}

#[tokio::test]
async fn fifty_puts_of_one_value_at_once_make_one_record() {
    let app = app().await;
    let path = format!("{POSTS}?by=slug");
    let body = json!({ "title": "a", "slug": "s", "views": { "$increment": 1 } });

    let replies = join_all((0..50).map(|_| app.ask(Method::PATCH, &path).json(&body).send())).await;

    assert_eq!(replies.iter().filter(|it| it.status == 201).count(), 1);
    assert_eq!(replies.iter().filter(|it| it.status == 200).count(), 49);
    assert_eq!(count(&app, POSTS).await, 1);
    let views = app.ask(Method::GET, POSTS).send().await.body["data"][0]["views"].clone();
    assert_eq!(views, 60, "none was lost");
}

/// Whoever puts a value that a hidden record has is answered as whoever posts it.
#[tokio::test]
async fn nobody_learns_of_a_record_that_they_may_not_see_by_putting_it() {
    let app = app().await;
    let path = format!("{NOTES}?by=key");
    let theirs = app.as_role("admin", Method::PUT, &path).json(&json!({ "key": "k", "text": "secret" })).send().await;
    assert_eq!(theirs.status, 201, "{theirs:?}");

    let put = app.as_role("user", Method::PUT, &path).json(&json!({ "key": "k", "text": "mine" })).send().await;
    let posted = app.as_role("user", Method::POST, NOTES).json(&json!({ "key": "k" })).send().await;

    assert_eq!(put.refusal(), (409, "record-value-taken"));
    assert_eq!(put.body["errors"], posted.body["errors"]);
    let stranger = app.ask(Method::PUT, &path).json(&json!({ "key": "k" })).send().await;
    let nothing = app.ask(Method::PUT, &path).json(&json!({ "key": "other" })).send().await;
    assert_eq!((stranger.refusal(), nothing.refusal()), ((403, "rule-denied"), (403, "rule-denied")));
    let tagged = app.as_role("user", Method::PUT, &path).header("if-match", "\"1\"");
    assert_eq!(tagged.json(&json!({ "key": "k" })).send().await.refusal(), (412, "stale-version"));
    let kept = app.operator(Method::GET, &format!("{NOTES}/{}", theirs.str("id"))).send().await;
    assert_eq!(kept.body["text"], "secret");
}

#[tokio::test]
async fn a_batch_answers_each_operation_as_it_would_be_alone() {
    let app = app().await;
    let id = post(&app, json!({ "title": "old", "slug": "old" })).await.str("id");
    let one = format!("/collections/posts/records/{id}");

    let reply = batch(
        &app,
        "",
        false,
        json!([
            { "method": "POST", "path": "/collections/posts/records", "body": { "title": "new", "slug": "new" } },
            { "method": "POST", "path": "/api/v1/collections/posts/records", "body": { "title": "x", "slug": "old" } },
            { "method": "PATCH", "path": one, "body": { "views": { "$increment": 5 } }, "ifMatch": "\"1\"" },
            { "method": "PATCH", "path": one, "body": { "views": 0 }, "ifMatch": "\"1\"" },
            { "method": "PUT", "path": "/collections/posts/records?by=slug", "body": { "title": "put", "slug": "new" } },
            { "method": "GET", "path": one },
            { "method": "POST", "path": "/collections/posts/records", "body": { "titel": 1 } },
            { "method": "DELETE", "path": one },
            { "method": "GET", "path": one },
            { "method": "GET", "path": "/collections/nothing/records/x" },
        ]),
    )
    .await;

    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(statuses(&reply), [201, 409, 200, 412, 200, 200, 422, 204, 404, 404]);
    let results = &reply.body["results"];
    assert_eq!(results[0]["headers"]["ETag"], "\"1\"");
    let location = results[0]["headers"]["Location"].as_str().expect("a location");
    assert!(location.ends_with(results[0]["body"]["id"].as_str().expect("an id")));
    assert_eq!(results[1]["problem"]["code"], "record-value-taken");
    assert_eq!(results[1]["problem"]["instance"], reply.header("x-request-id").expect("an id"));
    assert_eq!((&results[2]["body"]["views"], &results[5]["body"]["views"]), (&json!(15), &json!(15)));
    assert_eq!((&results[4]["body"]["title"], &results[4]["body"]["id"]), (&json!("put"), &results[0]["body"]["id"]));
    assert_eq!(results[6]["problem"]["errors"][0]["pointer"], "/titel");
    assert_eq!(count(&app, POSTS).await, 1);
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing_and_says_which_operation_it_was() {
    let app = app().await;
    let id = post(&app, json!({ "title": "old", "slug": "old" })).await.str("id");
    let before = app.ask(Method::GET, POSTS).send().await.text;

    let reply = batch(
        &app,
        "",
        true,
        json!([
            { "method": "POST", "path": "/collections/posts/records", "body": { "title": "new" } },
            { "method": "PATCH", "path": format!("/collections/posts/records/{id}"), "body": { "views": 1 } },
            { "method": "POST", "path": "/collections/posts/records", "body": { "title": "x".repeat(21), "no": 1 } },
            { "method": "DELETE", "path": format!("/collections/posts/records/{id}") },
        ]),
    )
    .await;

    assert_eq!(reply.refusal(), (409, "batch-failed"), "{reply:?}");
    assert_eq!(pointers(&reply), ["/operations/2", "/operations/2/body/title", "/operations/2/body/no"]);
    assert_eq!(statuses(&reply), [424, 424, 422, 424]);
    assert_eq!(app.ask(Method::GET, POSTS).send().await.text, before);
    let done =
        batch(&app, "", true, json!([{ "method": "DELETE", "path": format!("/collections/posts/records/{id}") }]));
    assert_eq!(statuses(&done.await), [204]);
}

#[tokio::test]
async fn operations_refer_to_the_records_of_earlier_ones() {
    let app = app().await;
    post(&app, json!({ "title": "old", "slug": "old" })).await;

    let reply = batch(
        &app,
        "user",
        true,
        json!([
            { "method": "POST", "path": "/collections/posts/records", "body": { "title": "a" }, "name": "a" },
            { "method": "PATCH", "path": "/collections/posts/records?by=slug", "body": { "slug": "old", "parent": { "$ref": "a" } }, "name": "old" },
            { "method": "POST", "path": "/collections/posts/records", "body": { "title": "b", "parent": { "$ref": "old" }, "extra": { "$ref": "a" } } },
            { "method": "PATCH", "path": "/collections/posts/records/$a", "body": { "views": 7 } },
            { "method": "GET", "path": "/collections/posts/records/$a" },
        ]),
    )
    .await;

    assert_eq!(statuses(&reply), [201, 200, 201, 200, 200], "{reply:?}");
    let results = &reply.body["results"];
    assert_eq!(results[1]["body"]["parent"], results[0]["body"]["id"]);
    assert_eq!(results[2]["body"]["parent"], results[1]["body"]["id"]);
    assert_eq!(results[2]["body"]["extra"], json!({ "$ref": "a" }), "JSON is left as it is");
    assert_eq!(results[4]["body"]["views"], 7);
    let undone = batch(
        &app,
        "user",
        false,
        json!([
            { "method": "POST", "path": "/collections/posts/records", "body": {}, "name": "a" },
            { "method": "POST", "path": "/collections/posts/records", "body": { "title": "b", "parent": { "$ref": "a" } } },
            { "method": "DELETE", "path": "/collections/posts/records/$a" },
            { "method": "POST", "path": "/collections/posts/records", "body": { "title": "c", "parent": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80" } },
            { "method": "POST", "path": "/collections/posts/records", "body": { "title": "d" } },
        ]),
    )
    .await;
    assert_eq!(statuses(&undone), [422, 424, 424, 422, 201], "{undone:?}");
    assert_eq!(undone.body["results"][3]["problem"]["errors"][0]["code"], "no-such-record");
}

#[tokio::test]
async fn each_operation_of_a_batch_has_its_own_rights() {
    let app = app().await;
    let theirs = app.as_role("admin", Method::POST, NOTES).json(&json!({ "key": "k" })).send().await.str("id");
    let one = format!("/collections/notes/records/{theirs}");
    let operations = json!([
        { "method": "GET", "path": one },
        { "method": "PATCH", "path": one, "body": { "text": "x" } },
        { "method": "DELETE", "path": one },
        { "method": "POST", "path": "/collections/notes/records", "body": { "text": "mine" } },
        { "method": "GET", "path": "/collections/posts/records/0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80" },
    ]);

    let user = batch(&app, "user", false, operations.clone()).await;
    let stranger = batch(&app, "", false, operations.clone()).await;
    let reader = batch(&app, "readonly", false, operations).await;

    assert_eq!(statuses(&user), [404, 404, 404, 201, 404]);
    assert_eq!(statuses(&stranger), [404, 404, 404, 403, 404]);
    assert_eq!(statuses(&reader), [404, 403, 403, 403, 404]);
    assert_eq!(reader.body["results"][1]["problem"]["code"], "not-allowed");
}

/// The record is written before what it refers to turns out to be missing.
#[tokio::test]
async fn an_operation_that_fails_half_way_leaves_nothing_and_those_beside_it_stay() {
    let app = app().await;
    let nowhere = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";
    let records = "/collections/posts/records";
    let operations = json!([
        { "method": "POST", "path": records, "body": { "title": "a" }, "name": "a" },
        { "method": "POST", "path": records, "body": { "title": "half", "related": [{ "$ref": "a" }, nowhere] } },
        { "method": "PATCH", "path": format!("{records}/$a"), "body": { "title": "half", "related": [nowhere] } },
        { "method": "POST", "path": records, "body": { "title": "b", "related": [{ "$ref": "a" }] } },
    ]);

    let reply = batch(&app, "", false, operations).await;

    assert_eq!(statuses(&reply), [201, 422, 422, 201], "{reply:?}");
    assert_eq!(reply.body["results"][1]["problem"]["errors"][0]["code"], "no-such-record");
    let list = app.ask(Method::GET, POSTS).send().await;
    let left: Vec<_> = list.body["data"].as_array().expect("data").iter().map(|it| &it["title"]).collect();
    assert_eq!(left, ["a", "b"]);
    assert_eq!(list.body["data"][1]["related"], json!([list.body["data"][0]["id"]]));
}

#[tokio::test]
async fn a_batch_that_cannot_be_meant_is_refused_whole() {
    let app = app().await;
    let records = "/collections/posts/records";
    let operation = |method: &str, path: &str, body: Value| json!({ "method": method, "path": path, "body": body });
    for (operation, pointer) in [
        (operation("POST", "/collections", json!({})), "/operations/0/path"),
        (operation("POST", "/auth/login", json!({})), "/operations/0/path"),
        (operation("POST", "/collections/posts/records/import", json!({})), "/operations/0/method"),
        (operation("GET", records, json!(null)), "/operations/0/method"),
        (operation("DELETE", "/collections/posts/records?filter=true", json!(null)), "/operations/0/path"),
        (operation("POST", records, json!([])), "/operations/0/body"),
        (json!({ "method": "POST", "path": records }), "/operations/0/body"),
        (json!({ "method": "PATCH", "path": "/collections/posts/records/$a", "body": {} }), "/operations/0/path"),
        (json!({ "method": "POST", "path": records, "body": {}, "name": "a b" }), "/operations/0/name"),
        (json!({ "method": "TRACE", "path": records, "body": {} }), "/operations/0/method"),
    ] {
        let reply = batch(&app, "", false, json!([operation])).await;
        assert_eq!(
            (reply.refusal(), pointers(&reply)),
            ((422, "validation-failed"), vec![pointer]),
            "{operation}: {reply:?}"
        );
    }
    let one = json!({ "method": "POST", "path": records, "body": { "title": "a" } });
    assert_eq!(batch(&app, "", true, json!(vec![&one; 201])).await.refusal(), (422, "validation-failed"));
    assert_eq!(batch(&app, "", true, json!([])).await.refusal(), (422, "validation-failed"));
    assert_eq!(count(&app, POSTS).await, 0);
    assert_eq!(statuses(&batch(&app, "", true, json!(vec![&one; 200])).await), [201; 200]);
}

#[tokio::test]
async fn a_filter_changes_all_that_it_selects_and_no_others() {
    let app = app().await;
    for number in 0..1_200 {
        let body = json!({ "title": format!("t{number}"), "views": number % 3 });
        app.ask(Method::POST, POSTS).json(&body).send().await;
    }
    let path = |query: &str| format!("{POSTS}?filter=views%20%3D%3D%200&{query}");
    let patch = json!({ "views": { "$increment": 100 }, "tags": ["b"] });

    let asked = app.ask(Method::PATCH, &path("dryRun=true")).json(&patch).send().await;
    let refused = app.ask(Method::PATCH, &path("max=399")).json(&patch).send().await;
    let before = app.ask(Method::GET, &format!("{POSTS}?count=exact&where[views]=100")).send().await;
    let done = app.ask(Method::PATCH, &path("max=400")).json(&patch).send().await;
    let after = app.ask(Method::GET, &format!("{POSTS}?count=exact&where[views]=100&where[tags]=b")).send().await;

    assert_eq!((asked.status, &asked.body), (200, &json!({ "matched": 400, "done": 0, "refused": 0, "errors": [] })));
    assert_eq!(refused.refusal(), (409, "too-many-match"));
    assert_eq!((&before.body["meta"]["total"], &after.body["meta"]["total"]), (&json!(0), &json!(400)));
    assert_eq!((done.status, &done.body), (200, &json!({ "matched": 400, "done": 400, "refused": 0, "errors": [] })));
    let gone = app.ask(Method::DELETE, &format!("{POSTS}?where[tags]=b")).send().await;
    assert_eq!((&gone.body["matched"], &gone.body["done"]), (&json!(400), &json!(400)), "{gone:?}");
    let all = app.ask(Method::DELETE, &format!("{POSTS}?filter=true&max=5000")).send().await;
    assert_eq!((&all.body["done"], count(&app, POSTS).await), (&json!(800), 0));
}

#[tokio::test]
async fn a_filter_is_obligatory_and_what_is_wrong_with_it_changes_nothing() {
    let app = app().await;
    post(&app, json!({ "title": "a" })).await;
    for (query, pointer) in [
        ("", "?filter"),
        ("max=5", "?filter"),
        ("filter=true&max=0", "?max"),
        ("filter=true&max=1000001", "?max"),
        ("filter=true&dryrun=true", "?dryrun"),
        ("filter=true&dryRun=yes", "?dryRun"),
        ("filter=true&dryRun=true&dryRun=false", "?dryRun"),
        ("filter=true&limit=1", "?limit"),
        ("filter=nothing", "?filter"),
        ("filter=code%20%3D%3D%20''", "?filter"),
    ] {
        let reply = app.ask(Method::DELETE, &format!("{POSTS}?{query}")).send().await;
        assert_eq!(
            (reply.refusal(), pointers(&reply)),
            ((422, "validation-failed"), vec![pointer]),
            "{query}: {reply:?}"
        );
    }
    assert_eq!(count(&app, POSTS).await, 1);
}

#[tokio::test]
async fn a_filter_writes_only_what_the_rules_let_the_caller_see_and_write() {
    let app = app().await;
    let user = app.as_role("user", Method::GET, "/api/v1/auth/profile").send().await.str("id");
    for (role, text) in [("user", "mine"), ("admin", "theirs"), ("admin", "also")] {
        let owner = app.as_role(role, Method::GET, "/api/v1/auth/profile").send().await.str("id");
        app.as_role(role, Method::POST, NOTES).json(&json!({ "text": text, "owner": owner })).send().await;
    }

    let guess = app.as_role("user", Method::DELETE, &format!("{NOTES}?filter=text%20%3D%3D%20'theirs'&dryRun=true"));
    let guess = guess.send().await;
    let changed = app.as_role("user", Method::PATCH, &format!("{NOTES}?filter=true")).json(&json!({ "text": "x" }));
    let changed = changed.send().await;
    let gone = app.as_role("user", Method::DELETE, &format!("{NOTES}?filter=true")).send().await;

    assert_eq!(guess.body["matched"], 0, "whether there is one is not told");
    assert_eq!((&changed.body["matched"], &changed.body["done"]), (&json!(1), &json!(1)), "{changed:?}");
    assert_eq!((&gone.body["matched"], &gone.body["done"]), (&json!(1), &json!(1)));
    assert_eq!(count(&app, NOTES).await, 2);
    // Whoever may change what they cannot list does not learn of it by a filter.
    let drop = json!({ "name": "drops", "fields": [{ "name": "text", "type": "text" }], "rules": { "list": "auth.role == 'moderator'", "update": "true", "delete": "true" } });
    collection(&app, drop).await;
    let made = app.operator(Method::POST, "/api/v1/collections/drops/records").json(&json!({ "text": "secret" }));
    assert_eq!(made.send().await.status, 201);
    let guess = "/api/v1/collections/drops/records?dryRun=true&filter=text.startsWith('s')";
    assert_eq!(app.as_role("user", Method::DELETE, guess).send().await.body["matched"], 0, "{user}");
}

#[tokio::test]
async fn what_cannot_be_written_is_told_of_and_stays_as_it_is() {
    let app = app().await;
    let first = post(&app, json!({ "title": "a", "views": 1_000 })).await.str("id");
    post(&app, json!({ "title": "b", "views": 1, "parent": first })).await;

    let changed =
        app.ask(Method::PATCH, &format!("{POSTS}?filter=true")).json(&json!({ "views": { "$increment": 1 } }));
    let changed = changed.send().await;
    let gone = app.ask(Method::DELETE, &format!("{POSTS}?filter=title%20%3D%3D%20'a'")).send().await;
    let dangling = json!({ "parent": "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80" });
    let dangling = app.ask(Method::PATCH, &format!("{POSTS}?filter=true")).json(&dangling).send().await;

    assert_eq!((&changed.body["done"], &changed.body["refused"]), (&json!(1), &json!(1)), "{changed:?}");
    assert_eq!(
        (&changed.body["errors"][0]["id"], &changed.body["errors"][0]["code"]),
        (&json!(first), &json!("validation-failed"))
    );
    assert_eq!(
        (&gone.body["refused"], &gone.body["errors"][0]["code"]),
        (&json!(1), &json!("record-in-use")),
        "{gone:?}"
    );
    assert_eq!((&dangling.body["done"], &dangling.body["refused"]), (&json!(0), &json!(2)), "{dangling:?}");
    let detail = dangling.body["errors"][0]["detail"].as_str().expect("a detail");
    assert_eq!(detail, "/parent: refers to nothing in `posts`");
    assert_eq!(count(&app, POSTS).await, 2);
}

#[tokio::test]
async fn truncating_empties_a_collection_for_admins_only() {
    let app = app().await;
    let mut parent = Value::Null;
    for _ in 0..20 {
        parent = post(&app, json!({ "title": "a", "parent": parent })).await.body["id"].clone();
    }
    let path = "/api/v1/collections/posts/truncate";

    assert_eq!(app.as_role("user", Method::POST, path).send().await.refusal(), (403, "not-allowed"));
    let asked = app.as_role("admin", Method::POST, &format!("{path}?dryRun=true")).send().await;
    assert_eq!((&asked.body["matched"], count(&app, POSTS).await), (&json!(20), 20));
    let done = app.as_role("admin", Method::POST, path).send().await;
    assert_eq!(
        (&done.body["done"], &done.body["refused"], count(&app, POSTS).await),
        (&json!(20), &json!(0), 0),
        "{done:?}"
    );
}

#[tokio::test]
async fn two_clients_that_patch_different_fields_both_stay() {
    let app = app().await;
    for round in 0..20 {
        let id = post(&app, json!({ "title": "a" })).await.str("id");
        let path = format!("{POSTS}/{id}");
        let patch = |body: Value| app.ask(Method::PATCH, &path).json(&body).send();

        let replies = futures_util::join!(patch(json!({ "title": "b" })), patch(json!({ "shop": "c" })));

        assert_eq!((replies.0.status, replies.1.status), (200, 200));
        let kept = app.ask(Method::GET, &path).send().await;
        assert_eq!((&kept.body["title"], &kept.body["shop"]), (&json!("b"), &json!("c")), "round {round}");
        assert_eq!(kept.version(), Some(3));
    }
}

#[tokio::test]
async fn fifty_clients_that_increment_lose_nothing_in_batches_neither() {
    let app = app().await;
    let id = post(&app, json!({ "title": "a", "views": 0 })).await.str("id");
    let path = format!("{POSTS}/{id}");
    let patch = json!({ "views": { "$increment": 1 } });
    let operation = json!({ "method": "PATCH", "path": format!("/collections/posts/records/{id}"), "body": patch });

    let alone = join_all((0..50).map(|_| app.ask(Method::PATCH, &path).json(&patch).send()));
    let together = join_all((0..10).map(|_| batch(&app, "", true, json!(vec![&operation; 5]))));
    let by_filter =
        join_all((0..10).map(|_| app.ask(Method::PATCH, &format!("{POSTS}?filter=true")).json(&patch).send()));
    let (alone, together, by_filter) = futures_util::join!(alone, together, by_filter);

    assert!(alone.iter().chain(&together).chain(&by_filter).all(|it| it.status == 200));
    assert_eq!(app.ask(Method::GET, &path).send().await.body["views"], 110);
}

/// A rule that lets each owner have one record only: whoever is faster has it, however they ask.
#[tokio::test]
async fn a_quota_that_fifty_creates_race_for_is_never_exceeded() {
    let app = app().await;
    let shelves = json!({ "name": "shelves", "fields": [{ "name": "label", "type": "text" }], "rules": rules("true") });
    collection(&app, shelves).await;
    let books = json!({
        "name": "books",
        "fields": [
            { "name": "shelf", "type": "relation", "collection": "shelves", "required": true },
            { "name": "text", "type": "text" },
        ],
        "rules": { "list": "true", "view": "true", "create": "!shelf.books_via_shelf.exists(b, true)" },
    });
    collection(&app, books).await;
    let shelf = app.ask(Method::POST, "/api/v1/collections/shelves/records").json(&json!({ "label": "a" }));
    let shelf = shelf.send().await.str("id");
    let path = "/api/v1/collections/books/records";
    let book = json!({ "shelf": shelf });
    let operation = json!({ "method": "POST", "path": "/collections/books/records", "body": book });

    let alone = join_all((0..50).map(|_| app.ask(Method::POST, path).json(&book).send()));
    let together = join_all((0..10).map(|_| batch(&app, "", false, json!(vec![&operation; 5]))));
    let (alone, together) = futures_util::join!(alone, together);

    let made = alone.iter().filter(|it| it.status == 201).count()
        + together.iter().flat_map(statuses).filter(|it| *it == 201).count();
    assert_eq!((made, count(&app, path).await), (1, 1));
    assert!(alone.iter().all(|it| it.status == 201 || it.refusal() == (403, "rule-denied")));
}

#[tokio::test]
async fn a_relation_to_a_record_that_goes_at_the_same_moment_never_dangles() {
    let app = app().await;
    for round in 0..20 {
        let id = post(&app, json!({ "title": "a" })).await.str("id");
        let child = json!({ "title": "b", "parent": id });

        let (gone, made) = futures_util::join!(
            app.ask(Method::DELETE, &format!("{POSTS}/{id}")).send(),
            join_all((0..4).map(|_| app.ask(Method::POST, POSTS).json(&child).send())),
        );

        let stays = gone.status != 204;
        assert!(made.iter().all(|it| it.status == 201 || it.status == 422), "round {round}: {made:?}");
        let children = app.ask(Method::GET, &format!("{POSTS}?where[parent]={id}&expand=parent")).send().await;
        let children = children.body["data"].as_array().expect("data").clone();
        assert!(children.is_empty() || stays, "round {round}");
        assert!(children.iter().all(|it| it["expand"]["parent"]["id"] == json!(id)));
    }
}

/// However a record is written, whoever listens hears of it once, and of what was undone never.
#[tokio::test]
async fn a_rolled_back_batch_announces_nothing_and_every_other_way_of_writing_each_record_once() {
    let live = Live::start().await;
    let posts = json!({
        "name": "posts",
        "fields": [{ "name": "title", "type": "text", "unique": true }, { "name": "views", "type": "integer" }],
        "rules": { "list": "true", "view": "true" },
        "options": { "softDelete": true },
    });
    live.collection(&posts).await;
    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;
    let admin = |method: Method, path: String, body: Value| {
        let ask = live.app.as_role("admin", method, &path).json(&body);
        async move { ask.send().await }
    };
    let post =
        |title: &str| json!({ "method": "POST", "path": "/collections/posts/records", "body": { "title": title } });

    let undone = json!({ "transaction": true, "operations": [post("undone"), post("twice"), post("twice")] });
    assert_eq!(admin(Method::POST, "/api/v1/batch".to_owned(), undone).await.status, 409);
    let done = json!({ "operations": [post("a"), post("a"), post("b")] });
    let done = admin(Method::POST, "/api/v1/batch".to_owned(), done).await;
    let id = done.body["results"][0]["body"]["id"].as_str().expect("an id").to_owned();
    admin(Method::PUT, format!("{POSTS}?by=title"), json!({ "title": "b", "views": 1 })).await;
    admin(Method::PATCH, format!("{POSTS}?filter=views%20%3D%3D%201"), json!({ "views": 2 })).await;
    admin(Method::DELETE, format!("{POSTS}/{id}"), json!({})).await;
    admin(Method::POST, format!("{POSTS}/{id}/restore"), json!({})).await;
    admin(Method::DELETE, format!("{POSTS}/{id}"), json!({})).await;
    admin(Method::DELETE, format!("{POSTS}/{id}?purge=true"), json!({})).await;
    admin(Method::DELETE, format!("{POSTS}?filter=true"), json!({})).await;
    live.make("posts", &json!({ "title": "end" })).await;

    let mut heard = Vec::new();
    loop {
        let event = socket.event().await;
        if event.1 == "end" {
            break;
        }
        heard.push(event);
    }
    let expected = [
        ("created", "a"),
        ("created", "b"),
        ("updated", "b"),
        ("updated", "b"),
        ("deleted", ""),
        ("created", "a"),
        ("deleted", ""),
        ("deleted", ""),
    ];
    assert_eq!(heard, expected.map(|(kind, title)| (kind.to_owned(), title.to_owned())));
}

/// What one record is refused for is told of that record; a dry run tells the same, and does nothing.
#[tokio::test]
async fn a_relation_that_some_records_may_not_get_keeps_no_other_from_being_written() {
    let app = app().await;
    let secrets = json!({
        "name": "secrets", "fields": [{ "name": "text", "type": "text" }], "rules": { "view": "auth.role == 'admin'" },
    });
    collection(&app, secrets).await;
    let items = json!({
        "name": "items",
        "fields": [
            { "name": "secret", "type": "relation", "collection": "secrets" },
            { "name": "n", "type": "integer", "default": 0 },
        ],
        "rules": rules("true"),
    });
    collection(&app, items).await;
    let secret = app.operator(Method::POST, "/api/v1/collections/secrets/records").json(&json!({ "text": "a" }));
    let secret = secret.send().await.str("id");
    let path = "/api/v1/collections/items/records";
    let line = |it: usize| if it < 600 { json!({ "secret": secret }) } else { json!({}) };
    let lines: String = (0..800).map(|it| format!("{}\n", line(it))).collect();
    let import = app.operator(Method::POST, &format!("{path}/import?format=ndjson")).raw(lines).send().await;
    assert_eq!(import.body["imported"], 800, "{import:?}");
    let write = |query: &str| {
        let ask = app.as_role("user", Method::PATCH, &format!("{path}?filter=true{query}"));
        ask.json(&json!({ "secret": secret, "n": 7 })).send()
    };
    let written = || async { app.ask(Method::GET, &format!("{path}?where[n]=7&count=exact")).send().await };
    let figures = |reply: &Reply| ["matched", "done", "refused"].map(|it| reply.body[it].as_u64().unwrap_or_default());

    let tried = write("&dryRun=true").await;
    assert_eq!((tried.status, figures(&tried)), (200, [800, 0, 200]), "{tried:?}");
    assert_eq!(written().await.body["meta"]["total"], 0, "nothing was done");
    let done = write("").await;

    assert_eq!((done.status, figures(&done)), (200, [800, 600, 200]), "{done:?}");
    assert_eq!((&done.body["stopped"], &done.body["errors"]), (&Value::Null, &tried.body["errors"]));
    let errors = done.body["errors"].as_array().expect("errors");
    assert_eq!((errors.len(), &errors[0]["code"]), (100, &json!("validation-failed")));
    assert_eq!(written().await.body["meta"]["total"], 600);
}

#[tokio::test]
async fn whoever_may_set_a_field_that_nobody_reads_is_told_that_its_value_is_taken() {
    let app = app().await;
    let badges = json!({
        "name": "badges",
        "fields": [
            { "name": "pin", "type": "text", "unique": true, "writeOnly": true },
        ],
        "rules": rules("true"),
    });
    collection(&app, badges).await;
    let path = "/api/v1/collections/badges/records";
    let make = |body: Value| app.operator(Method::POST, path).json(&body).send();
    assert_eq!(make(json!({ "pin": "1", })).await.status, 201);

    let taken = app.ask(Method::POST, path).json(&json!({ "pin": "1" })).send().await;

    assert_eq!((taken.refusal(), pointers(&taken)), ((409, "record-value-taken"), vec!["/pin"]), "{taken:?}");
}
