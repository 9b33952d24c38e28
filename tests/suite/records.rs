//! Promises about records: written, read and found.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

const PATH: &str = "/api/v1/collections/posts/records";

/// An app with people, and a collection with one field of each type that anyone may do anything with.
async fn app() -> TestApp {
    let app = TestApp::with_people().await;
    let anyone = json!({ "list": "true", "view": "true", "create": "true", "update": "true", "delete": "true" });
    let posts = json!({
        "name": "posts",
        "fields": [
            { "name": "title", "type": "text", "required": true, "max": 20 },
            { "name": "slug", "type": "text", "unique": true },
            { "name": "views", "type": "integer", "default": 0, "min": 0 },
            { "name": "score", "type": "number" },
            { "name": "published", "type": "bool", "default": false },
            { "name": "publishedAt", "type": "datetime" },
            { "name": "state", "type": "select", "values": ["draft", "live"] },
            { "name": "tags", "type": "select", "values": ["a", "b", "c"], "multiple": true },
            { "name": "extra", "type": "json" },
            { "name": "author", "type": "relation", "collection": "users", "onDelete": "cascade" },
            { "name": "parent", "type": "relation", "collection": "posts" },
            { "name": "note", "type": "text", "hidden": true },
        ],
        "indexes": [{ "fields": ["views"] }],
        "rules": anyone,
    });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&posts).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    app
}

async fn create(app: &TestApp, record: Value) -> Reply {
    app.ask(Method::POST, PATH).json(&record).send().await
}

async fn list(app: &TestApp, query: &str) -> Reply {
    app.ask(Method::GET, &format!("{PATH}?{query}")).send().await
}

fn titles(reply: &Reply) -> Vec<&str> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("data").iter().map(|it| it["title"].as_str().expect("a title")).collect()
}

/// Pointer and code of each fault.
fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_sent() {
    let app = app().await;
    let sent = json!({
        "title": "Ünïcode \"quoted\" \u{1f600}\n",
        "slug": "one",
        "views": i64::MAX,
        "score": 0.1,
        "published": true,
        "publishedAt": "2026-01-02T04:04:05.678+01:00",
        "state": "live",
        "tags": ["b", "a"],
        "extra": { "z": [1, 2.5, null], "a": { "deep": true } },
    });

    let made = create(&app, sent.clone()).await;

    assert_eq!((made.status, made.version()), (201, Some(1)), "{made:?}");
    let mut expected = sent;
    expected["publishedAt"] = "2026-01-02T03:04:05.678Z".into();
    for (name, value) in expected.as_object().expect("an object") {
        assert_eq!(made.body[name], *value, "{name}");
    }
    assert_eq!((&made.body["author"], &made.body["createdAt"]), (&Value::Null, &json!("2026-01-02T03:04:05.678Z")));
    assert_eq!(made.body.get("note"), None, "it is hidden");
    let shown = app.ask(Method::GET, made.header("location").expect("a location")).send().await;
    assert_eq!((shown.status, &shown.text, shown.header("etag")), (200, &made.text, made.header("etag")));
    assert_eq!(list(&app, "").await.body["data"], json!([made.body]));
}

#[tokio::test]
async fn everything_that_is_wrong_with_a_body_is_told_at_once() {
    let app = app().await;

    let reply = create(
        &app,
        json!({
            "title": "x".repeat(21), "views": -1, "score": "1", "published": 1, "publishedAt": "soon", "state": "no",
            "tags": ["a", "z"], "author": "nobody", "id": "1", "createdAt": "2026-01-02T03:04:05Z", "titel": "", "note": "",
        }),
    )
    .await;

    assert_eq!(
        faults(&reply),
        [
            ("/title", "too-long"),
            ("/views", "too-small"),
            ("/score", "type"),
            ("/published", "type"),
            ("/publishedAt", "format"),
            ("/state", "not-one-of"),
            ("/tags", "not-one-of"),
            ("/author", "format"),
            ("/id", "read-only"),
            ("/createdAt", "read-only"),
            ("/titel", "unknown"),
            ("/note", "unknown"),
        ]
    );
    assert!(reply.text.contains("did you mean `title`?"));
    assert_eq!(faults(&create(&app, json!({})).await), [("/title", "required")]);
    assert_eq!(faults(&create(&app, json!([])).await), [("", "type")]);
    let twice = app.ask(Method::POST, PATH).text(r#"{"title":"a","title":"b"}"#).send().await;
    assert_eq!(faults(&twice), [("/title", "duplicate")]);
}

#[tokio::test]
async fn four_hundred_faults_are_answered_with_the_first_hundred() {
    let app = app().await;
    let body: serde_json::Map<_, _> = (0..400).map(|it| (format!("f{it}"), json!(1))).collect();

    let reply = create(&app, body.into()).await;

    assert_eq!(faults(&reply).len(), 100);
    assert!(reply.str("detail").contains("more than 100"), "{reply:?}");
}

#[tokio::test]
async fn a_change_writes_what_is_sent_and_nothing_else() {
    let app = app().await;
    let made = create(&app, json!({ "title": "a", "slug": "s", "extra": { "a": 1 }, "tags": ["a"], "views": 5 })).await;
    let path = made.header("location").expect("a location").to_owned();
    let patch = |body: Value| app.ask(Method::PATCH, &path).json(&body).send();

    let changed = patch(json!({ "title": "b", "slug": null })).await;

    assert_eq!((changed.status, changed.version()), (200, Some(2)), "{changed:?}");
    assert_eq!(
        (&changed.body["title"], &changed.body["slug"], &changed.body["views"]),
        (&json!("b"), &Value::Null, &json!(5))
    );
    let relative = patch(json!({ "views": { "$increment": -2 }, "tags": { "$add": ["c", "a"] } })).await;
    assert_eq!((&relative.body["views"], &relative.body["tags"]), (&json!(3), &json!(["a", "c"])));
    let removed = patch(json!({ "tags": { "$remove": ["a"] }, "score": { "$increment": 0.5 } })).await;
    assert_eq!((&removed.body["tags"], &removed.body["score"]), (&json!(["c"]), &json!(0.5)));
    assert_eq!(faults(&patch(json!({ "views": { "$increment": -4 } })).await), [("/views", "too-small")]);
    assert_eq!(faults(&patch(json!({ "views": { "$increment": i64::MAX } })).await), [("/views", "too-large")]);
    assert_eq!(faults(&patch(json!({ "title": { "$increment": 1 } })).await), [("/title", "operator")]);
    assert_eq!(faults(&patch(json!({ "views": { "$drop": 1 } })).await), [("/views", "operator")]);
    let replaced = app.ask(Method::PUT, &path).json(&json!({ "title": "c" })).send().await;
    assert_eq!(
        (&replaced.body["tags"], &replaced.body["views"], &replaced.body["extra"]),
        (&Value::Null, &json!(0), &Value::Null)
    );
    assert_eq!(faults(&app.ask(Method::PUT, &path).json(&json!({})).send().await), [("/title", "required")]);
}

#[tokio::test]
async fn a_change_for_another_version_is_refused_and_changes_nothing() {
    let app = app().await;
    let made = create(&app, json!({ "title": "a" })).await;
    let path = made.header("location").expect("a location").to_owned();
    let with =
        |method: Method, tag: &str| app.ask(method, &path).header("if-match", tag).json(&json!({ "title": "b" }));

    assert_eq!(with(Method::PATCH, "\"2\"").send().await.refusal(), (412, "stale-version"));
    assert_eq!(with(Method::DELETE, "\"2\"").send().await.refusal(), (412, "stale-version"));
    assert_eq!(with(Method::PATCH, "\"1\"").send().await.status, 200);
    assert_eq!(with(Method::PATCH, "\"1\"").send().await.refusal(), (412, "stale-version"));
    assert_eq!(with(Method::DELETE, "\"2\"").send().await.status, 204);
    assert_eq!(with(Method::DELETE, "\"2\"").send().await.refusal(), (404, "not-found"));
}

/// Fifty add one at the same time: none of them is lost.
#[tokio::test]
async fn increments_of_many_at_once_add_up() {
    let app = app().await;
    let path = create(&app, json!({ "title": "a" })).await.header("location").expect("a location").to_owned();
    let increment = || app.ask(Method::PATCH, &path).json(&json!({ "views": { "$increment": 1 } })).send();

    let replies = futures_util::future::join_all((0..50).map(|_| increment())).await;

    assert!(replies.iter().all(|it| it.status == 200));
    assert_eq!(app.ask(Method::GET, &path).send().await.body["views"], 50);
}

#[tokio::test]
async fn a_value_that_must_be_unique_is_refused_with_its_field() {
    let app = app().await;
    create(&app, json!({ "title": "a", "slug": "s" })).await;

    let again = create(&app, json!({ "title": "b", "slug": "s" })).await;

    assert_eq!(again.refusal(), (409, "record-value-taken"));
    assert_eq!(again.body["errors"][0]["pointer"], "/slug");
    assert_eq!(create(&app, json!({ "title": "c" })).await.status, 201);
    assert_eq!(create(&app, json!({ "title": "d" })).await.status, 201, "null may be there often");
}

#[tokio::test]
async fn values_that_must_be_unique_together_are_refused_together() {
    let app = app().await;
    let index = json!({ "indexes": [{ "fields": ["title", "views"], "unique": true }] });
    let change = || app.operator(Method::PATCH, "/api/v1/collections/posts").json(&index).send();
    assert_eq!(change().await.status, 200);
    let first = create(&app, json!({ "title": "a", "views": 1 })).await;

    let again = create(&app, json!({ "title": "a", "views": 1 })).await;

    assert_eq!(again.refusal(), (409, "record-value-taken"));
    let pointers: Vec<_> = again.body["errors"].as_array().expect("errors").iter().map(|it| &it["pointer"]).collect();
    assert_eq!(pointers, ["/title", "/views"]);
    for other in [json!({ "title": "a", "views": 2 }), json!({ "title": "b", "views": 1 })] {
        assert_eq!(create(&app, other).await.status, 201);
    }
    assert_eq!(create(&app, json!({ "title": "a", "views": null })).await.status, 201);
    assert_eq!(create(&app, json!({ "title": "a", "views": null })).await.status, 201, "null is like nothing else");
    let none = json!({ "indexes": [] });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/posts").json(&none).send().await.status, 200);
    assert_eq!(create(&app, json!({ "title": "a", "views": 1 })).await.status, 201);
    assert_eq!(change().await.refusal(), (409, "collection-data-conflict"), "{first:?} is there twice");
}

#[tokio::test]
async fn a_relation_refers_to_something_that_is_there() {
    let app = app().await;
    let nobody = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";
    let parent = create(&app, json!({ "title": "parent" })).await;

    let reply = create(&app, json!({ "title": "a", "author": nobody, "parent": nobody })).await;

    assert_eq!(faults(&reply), [("/author", "no-such-record"), ("/parent", "no-such-record")]);
    let child = create(&app, json!({ "title": "child", "parent": parent.str("id") })).await;
    assert_eq!(child.status, 201);
    let drop = |reply: &Reply| app.ask(Method::DELETE, &format!("{PATH}/{}", reply.str("id"))).send();
    assert_eq!(drop(&parent).await.refusal(), (409, "record-in-use"));
    assert_eq!((drop(&child).await.status, drop(&parent).await.status), (204, 204));
}

#[tokio::test]
async fn what_is_not_there_and_what_is_no_id_get_the_same_answer() {
    let app = app().await;
    let body = async |path: String| {
        let mut reply = app.ask(Method::GET, &path).header("x-request-id", "same").send().await;
        assert_eq!(reply.refusal(), (404, "not-found"));
        reply.body["instance"].take();
        reply.body.to_string()
    };

    let nobody = body(format!("{PATH}/0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80")).await;

    for path in [format!("{PATH}/x"), format!("{PATH}/%00"), "/api/v1/collections/nothing/records".to_owned()] {
        assert_eq!(body(path).await, nobody);
    }
}

#[tokio::test]
async fn a_list_goes_through_every_record_once_in_any_order() {
    let app = app().await;
    for (index, views) in [3, 1, 2, 1, 3, 2, 1].iter().enumerate() {
        let score = if index % 3 == 0 { Value::Null } else { json!(*views as f64 / 3.0) };
        create(&app, json!({ "title": index.to_string(), "views": views, "score": score })).await;
    }
    for sort in [
        "",
        "-id",
        "views",
        "-views",
        "score",
        "-score",
        "-views,score",
        "-score,-title",
        "score,title",
        "views,-score,title",
        "score,views,-title",
    ] {
        let whole = list(&app, &format!("limit=500&sort={sort}").replace("sort=&", "")).await;
        let whole = if sort.is_empty() { list(&app, "limit=500").await } else { whole };
        let mut paged = Vec::new();
        let first = if sort.is_empty() { "limit=2".to_owned() } else { format!("limit=2&sort={sort}") };
        let mut query = first.clone();
        loop {
            let page = list(&app, &query).await;
            paged.extend(titles(&page).into_iter().map(ToOwned::to_owned));
            let Some(cursor) = page.body["meta"]["nextCursor"].as_str() else { break };
            query = format!("{first}&cursor={cursor}");
            assert!(page.header("link").is_some_and(|it| it.contains(cursor) && it.contains("rel=\"next\"")));
        }
        assert_eq!(paged, titles(&whole), "{sort}");
        assert_eq!(paged.len(), 7, "{sort}");
    }
    assert_eq!(titles(&list(&app, "sort=views,-title").await), ["6", "3", "1", "5", "2", "4", "0"]);
    assert_eq!(titles(&list(&app, "sort=-score,title&limit=3").await)[0], "4", "null comes last when descending");
}

#[tokio::test]
async fn a_cursor_of_another_list_or_caller_is_refused() {
    let app = app().await;
    for title in ["a", "b", "c"] {
        create(&app, json!({ "title": title })).await;
    }
    let cursor =
        list(&app, "limit=1&sort=title").await.body["meta"]["nextCursor"].as_str().expect("a cursor").to_owned();

    for query in ["limit=1", "limit=1&sort=-title", "sort=title&limit=1&filter=true"] {
        assert_eq!(list(&app, &format!("{query}&cursor={cursor}")).await.refusal().0, 422, "{query}");
    }
    let other = app.as_role("user", Method::GET, &format!("{PATH}?limit=1&sort=title&cursor={cursor}")).send().await;
    assert_eq!(faults(&other), [("?cursor", "invalid")]);
    assert_eq!(titles(&list(&app, &format!("limit=1&sort=title&cursor={cursor}")).await), ["b"]);
}

#[tokio::test]
async fn a_numbered_page_knows_the_total() {
    let app = app().await;
    for title in ["a", "b", "c", "d", "e"] {
        create(&app, json!({ "title": title })).await;
    }

    let page = list(&app, "limit=2&page=3&count=exact&sort=title").await;

    assert_eq!(titles(&page), ["e"]);
    assert_eq!(page.body["meta"], json!({ "limit": 2, "page": 3, "total": 5 }));
    let id = page.body["data"][0]["id"].as_str().expect("an id").to_owned();
    app.ask(Method::DELETE, &format!("{PATH}/{id}")).send().await;
    assert_eq!(list(&app, "count=exact&limit=1").await.body["meta"]["total"], 4);
}

#[tokio::test]
async fn a_question_that_is_not_understood_is_refused_with_a_hint() {
    let app = app().await;
    for (query, pointer) in [
        ("limt=1", "?limt"),
        ("limit=501", "?limit"),
        ("limit=x", "?limit"),
        ("page=0", "?page"),
        ("sort=titel", "?sort"),
        ("sort=extra", "?sort"),
        ("sort=note", "?sort"),
        ("sort=title,title", "?sort"),
        ("fields=titel", "?fields"),
        ("fields=note", "?fields"),
        ("expand=title", "?expand"),
        ("expand=author.posts", "?expand"),
        ("count=all", "?count"),
        ("cursor=AAAA", "?cursor"),
        ("sort=a&sort=b", "?sort"),
    ] {
        let reply = list(&app, query).await;
        assert_eq!(faults(&reply)[0].0, pointer, "{query}");
    }
}

#[tokio::test]
async fn a_list_shows_the_members_that_are_asked_for_and_what_they_refer_to() {
    let app = app().await;
    let profile = app.as_role("user", Method::GET, "/api/v1/auth/profile").send().await;
    let parent = create(&app, json!({ "title": "parent", "author": profile.str("id") })).await;
    create(&app, json!({ "title": "child", "parent": parent.str("id") })).await;

    let narrow = list(&app, "fields=title,id&sort=title").await;
    let wide = list(&app, "expand=parent.author&sort=title").await;
    let nested = list(&app, "fields=title,parent.title,parent.author.name&sort=title").await;

    assert_eq!(narrow.body["data"][1], json!({ "id": parent.str("id"), "title": "parent" }));
    let author = &wide.body["data"][0]["expand"]["parent"]["expand"]["author"];
    assert_eq!(*author, json!({ "id": profile.str("id"), "name": "", "role": "user" }), "{wide:?}");
    assert_eq!(wide.body["data"][1]["expand"], json!({}));
    assert_eq!(
        nested.body["data"][0],
        json!({ "title": "child", "expand": { "parent": { "title": "parent", "expand": { "author": { "name": "" } } } } })
    );
    let one = app.ask(Method::GET, &format!("{PATH}/{}?expand=author&fields=title", parent.str("id"))).send().await;
    assert_eq!(one.body["expand"]["author"]["role"], "user");
}

#[tokio::test]
async fn what_is_hidden_is_for_admins() {
    let app = app().await;
    let made = app.as_role("admin", Method::POST, PATH).json(&json!({ "title": "a", "note": "secret" })).send().await;
    assert_eq!(made.body["note"], "secret");
    for role in ["", "user", "readonly"] {
        let shown = app.as_role(role, Method::GET, made.header("location").expect("a location")).send().await;
        assert_eq!((shown.status, shown.body.get("note")), (200, None), "{role}");
    }
}

#[tokio::test]
async fn only_admins_may_what_no_rule_allows() {
    let app = TestApp::with_people().await;
    let posts = json!({ "name": "posts", "fields": [{ "name": "title", "type": "text" }] });
    app.operator(Method::POST, "/api/v1/collections").json(&posts).send().await;
    let made = app.as_role("admin", Method::POST, PATH).json(&json!({ "title": "a" })).send().await;
    let one = made.header("location").expect("a location").to_owned();
    for (method, path) in [
        (Method::GET, PATH),
        (Method::POST, PATH),
        (Method::GET, one.as_str()),
        (Method::PATCH, one.as_str()),
        (Method::PUT, one.as_str()),
        (Method::DELETE, one.as_str()),
    ] {
        let ask = |role| app.as_role(role, method.clone(), path).text("{").send();
        assert_eq!(ask("").await.refusal(), (401, "not-signed-in"), "{method} {path}");
        assert_eq!(ask("user").await.refusal(), (403, "not-allowed"), "{method} {path}");
    }
    assert_eq!(
        app.as_role("readonly", Method::POST, PATH).json(&json!({})).send().await.refusal(),
        (403, "not-allowed")
    );
    assert_eq!(app.as_role("admin", Method::DELETE, &one).send().await.status, 204);
}

/// Requests that were on their way when a field was renamed or the collection dropped: a clear answer each.
#[tokio::test]
async fn a_collection_that_changes_meanwhile_makes_no_request_fail_oddly() {
    let app = app().await;
    let rename = |from: &str, to: &str| {
        let body = json!({ "fields": [{ "name": to, "type": "text", "renamedFrom": from }], "indexes": [] });
        let ask = app.operator(Method::PATCH, "/api/v1/collections/posts").json(&body);
        async move { ask.send().await }
    };
    rename("title", "a").await;
    let write = |name: &'static str| app.ask(Method::POST, PATH).json(&json!({ name: "x" })).send();

    let (replies, renamed, dropped) = futures_util::join!(
        futures_util::future::join_all((0..64).map(|it| write(if it % 2 == 0 { "a" } else { "b" }))),
        rename("a", "b"),
        app.operator(Method::DELETE, "/api/v1/collections/posts").send(),
    );

    assert_eq!(renamed.status, 200, "{renamed:?}");
    assert!([204, 503].contains(&dropped.status), "{dropped:?}");
    for reply in replies {
        assert!([201, 404, 422, 503].contains(&reply.status), "{reply:?}");
    }
}

/// What someone cannot see they cannot mean to erase.
#[tokio::test]
async fn a_replacement_leaves_alone_what_is_hidden_from_the_caller() {
    let app = app().await;
    let path = create(&app, json!({ "title": "a" })).await.header("location").expect("a location").to_owned();
    let admin = |method, body: Value| app.as_role("admin", method, &path).json(&body).send();
    assert_eq!(admin(Method::PATCH, json!({ "note": "kept", "views": 3 })).await.status, 200);

    let replaced = app.ask(Method::PUT, &path).json(&json!({ "title": "b" })).send().await;

    assert_eq!((replaced.status, &replaced.body["views"]), (200, &json!(0)), "{replaced:?}");
    assert_eq!(app.as_role("admin", Method::GET, &path).send().await.body["note"], "kept");
    assert_eq!(admin(Method::PUT, json!({ "title": "c" })).await.body["note"], json!(null));
}

#[tokio::test]
async fn a_change_within_json_is_a_merge_patch() {
    let app = app().await;
    let extra = json!({ "color": "red", "size": { "w": 1, "h": 2 }, "tags": [1, 2] });
    let made = create(&app, json!({ "title": "a", "extra": extra })).await;
    let path = made.header("location").expect("a location").to_owned();
    let change = async |extra: Value| {
        app.ask(Method::PATCH, &path).json(&json!({ "extra": extra })).send().await.body["extra"].clone()
    };

    let changed = change(json!({ "color": null, "size": { "h": 3 }, "tags": [3] })).await;

    assert_eq!(changed, json!({ "size": { "w": 1, "h": 3 }, "tags": [3] }));
    assert_eq!(change(json!([1])).await, json!([1]));
    assert_eq!(change(json!({ "a": { "b": null } })).await, json!({ "a": {} }), "as in RFC 7396, appendix A");
    assert_eq!(change(json!(null)).await, json!(null));
}

#[tokio::test]
async fn a_sum_that_is_no_number_is_refused_and_changes_nothing() {
    let app = app().await;
    let made = create(&app, json!({ "title": "a", "score": 1.7e308, "views": i64::MAX })).await;
    let path = made.header("location").expect("a location").to_owned();

    for change in [json!({ "score": { "$increment": 1.7e308 } }), json!({ "views": { "$increment": 1 } })] {
        let reply = app.ask(Method::PATCH, &path).json(&change).send().await;
        assert_eq!(faults(&reply)[0].1, "too-large");
    }
    assert_eq!(app.ask(Method::GET, &path).send().await.body["score"], 1.7e308);
}

/// Looking for a near miss takes time in the square of the length: for a stranger's megabyte, seconds.
#[tokio::test]
async fn near_misses_are_looked_for_in_a_few_short_names_only() {
    let app = app().await;
    let hints = |reply: &Reply| reply.text.matches("did you mean").count();
    let long = format!("title{}", "x".repeat(60));
    let many: serde_json::Map<_, _> = (0..9_000).map(|it| (format!("title{it}"), json!(1))).collect();

    let of_long = create(&app, json!({ "title": "a", long: 1 })).await;
    let of_many = create(&app, Value::Object(many)).await;

    assert_eq!((of_long.refusal(), hints(&of_long)), ((422, "validation-failed"), 0));
    assert_eq!((of_many.refusal(), hints(&of_many)), ((422, "validation-failed"), 10));
    assert_eq!(of_many.body["errors"].as_array().map(Vec::len), Some(100));
}

/// A cursor stands in an address, and a text may be longer than one may be.
#[tokio::test]
async fn a_list_in_the_order_of_long_texts_can_be_paged() {
    let app = app().await;
    let shelf =
        json!({ "name": "shelf", "fields": [{ "name": "body", "type": "text" }, { "name": "n", "type": "integer" }] });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&shelf).send().await.status, 201);
    let path = "/api/v1/collections/shelf/records";
    for n in 0..6 {
        let body =
            json!({ "body": if n == 5 { Value::Null } else { format!("{}{n}", "a".repeat(100_000)).into() }, "n": n });
        assert_eq!(app.operator(Method::POST, path).json(&body).send().await.status, 201);
    }

    for (sort, expected) in
        [("body", [5, 0, 1, 2, 3, 4]), ("-body", [4, 3, 2, 1, 0, 5]), ("-body,n", [4, 3, 2, 1, 0, 5])]
    {
        let (mut seen, mut query) = (Vec::new(), format!("sort={sort}&limit=1&fields=n"));
        loop {
            let page = app.operator(Method::GET, &format!("{path}?{query}")).send().await;
            assert_eq!(page.status, 200, "{sort} {page:?}");
            seen.extend(page.body["data"].as_array().expect("data").iter().map(|it| it["n"].clone()));
            let Some(cursor) = page.body["meta"]["nextCursor"].as_str() else { break };
            assert!(cursor.len() < 1_000, "{} bytes", cursor.len());
            query = format!("sort={sort}&limit=1&fields=n&cursor={cursor}");
        }
        assert_eq!(json!(seen), json!(expected), "{sort}");
    }
}

/// Who mends one of them would be told of the next.
#[tokio::test]
async fn every_value_that_is_taken_is_told_at_once() {
    let app = app().await;
    let fields = json!([
        { "name": "slug", "type": "text", "unique": true }, { "name": "code", "type": "text", "unique": true },
        { "name": "shop", "type": "text" }, { "name": "number", "type": "integer" },
    ]);
    let shelf =
        json!({ "name": "shelf", "fields": fields, "indexes": [{ "fields": ["shop", "number"], "unique": true }] });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&shelf).send().await.status, 201);
    let path = "/api/v1/collections/shelf/records";
    let whole = json!({ "slug": "a", "code": "b", "shop": "s", "number": 1 });
    assert_eq!(app.operator(Method::POST, path).json(&whole).send().await.status, 201);
    let other = app.operator(Method::POST, path).json(&json!({ "slug": "x", "shop": "s", "number": 2 })).send().await;
    let other = format!("{path}/{}", other.body["id"].as_str().expect("an id"));
    let told = async |method: Method, path: &str, body: Value| {
        let reply = app.operator(method, path).json(&body).send().await;
        assert_eq!(reply.refusal(), (409, "record-value-taken"));
        let errors = reply.body["errors"].as_array().expect("errors").clone();
        let mut fields: Vec<_> =
            errors.iter().map(|it| it["pointer"].as_str().expect("a pointer").to_owned()).collect();
        fields.sort_unstable();
        fields.join(" ")
    };

    assert_eq!(told(Method::POST, path, whole.clone()).await, "/code /number /shop /slug");
    assert_eq!(told(Method::POST, path, json!({ "slug": "a", "code": "new" })).await, "/slug");
    assert_eq!(told(Method::PATCH, &other, json!({ "slug": "a", "number": 1 })).await, "/number /shop /slug");
    assert_eq!(told(Method::PUT, &other, whole.clone()).await, "/code /number /shop /slug");
    assert_eq!(
        told(Method::PUT, &format!("{path}?by=code"), json!({ "code": "z", "slug": "a", "shop": "s", "number": 2 }))
            .await,
        "/number /shop /slug"
    );
}

/// The page of the next number would begin behind what did not fit.
#[tokio::test]
async fn a_page_by_number_has_all_its_records_or_is_refused() {
    let app = app().await;
    let shelf = json!({ "name": "shelf", "fields": [{ "name": "body", "type": "text" }] });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&shelf).send().await.status, 201);
    let path = "/api/v1/collections/shelf/records";
    for n in 0..6 {
        let body = json!({ "body": format!("{n}{}", "a".repeat(900_000)) }); // three fill a page
        assert_eq!(app.operator(Method::POST, path).json(&body).send().await.status, 201);
    }
    let ask = |query: &str| app.operator(Method::GET, &format!("{path}?{query}")).send();

    let cut = ask("limit=6").await;
    assert!(cut.body["data"].as_array().is_some_and(|it| it.len() < 6) && cut.body["meta"]["nextCursor"].is_string());
    for refused in ["page=1&limit=4", "page=1&limit=5"] {
        assert_eq!(faults(&ask(refused).await), [("?limit", "too-large")], "{refused}");
    }
    let mut seen = 0;
    for page in 1..=3 {
        let page = ask(&format!("limit=2&page={page}")).await;
        seen += page.body["data"].as_array().map_or(0, Vec::len);
    }
    assert_eq!(seen, 6);
    assert_eq!(ask("page=1&limit=6&fields=id").await.body["data"].as_array().map(Vec::len), Some(6));
}

#[tokio::test]
async fn a_cursor_whose_record_is_gone_is_refused_and_not_taken_for_the_end() {
    let app = app().await;
    let shelf = json!({ "name": "shelf", "fields": [{ "name": "body", "type": "text" }] });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&shelf).send().await.status, 201);
    let path = "/api/v1/collections/shelf/records";
    for n in 0..3 {
        app.operator(Method::POST, path).json(&json!({ "body": format!("{}{n}", "a".repeat(1_000)) })).send().await;
    }
    let page = app.operator(Method::GET, &format!("{path}?sort=body&limit=1")).send().await;
    let first = format!("{path}/{}", page.body["data"][0]["id"].as_str().expect("an id"));
    assert_eq!(app.operator(Method::DELETE, &first).send().await.status, 204);

    let cursor = page.body["meta"]["nextCursor"].as_str().expect("a cursor");
    let next = app.operator(Method::GET, &format!("{path}?sort=body&limit=1&cursor={cursor}")).send().await;

    assert_eq!(faults(&next), [("?cursor", "invalid")]);
}

/// Whoever changes a record with `If-Match` must learn that it is another one.
#[tokio::test]
async fn a_record_that_loses_what_it_referred_to_has_a_new_version() {
    let app = app().await;
    for (name, relation) in [("trees", None), ("leaves", Some("trees"))] {
        let field = relation.map_or(
            json!({ "name": "x", "type": "text" }),
            |to| json!({ "name": "tree", "type": "relation", "collection": to, "onDelete": "setNull" }),
        );
        let collection = json!({ "name": name, "fields": [field] });
        assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&collection).send().await.status, 201);
    }
    let make = |name: &str, body: Value| {
        app.operator(Method::POST, &format!("/api/v1/collections/{name}/records")).json(&body).send()
    };
    let tree = make("trees", json!({})).await.str("id");
    let leaf = make("leaves", json!({ "tree": tree })).await;
    let (etag, path) = (leaf.header("etag").expect("one").to_owned(), leaf.header("location").expect("one").to_owned());

    assert_eq!(
        app.operator(Method::DELETE, &format!("/api/v1/collections/trees/records/{tree}")).send().await.status,
        204
    );

    let after = app.operator(Method::GET, &path).send().await;
    assert_eq!(after.body["tree"], json!(null));
    assert_ne!(after.header("etag"), Some(etag.as_str()));
    assert_ne!(after.body["updatedAt"], leaf.body["updatedAt"]);
    let stale =
        app.operator(Method::PATCH, &path).header("if-match", &etag).json(&json!({ "tree": null })).send().await;
    assert_eq!(stale.refusal(), (412, "stale-version"));
}

/// Otherwise they would be taken for a sign that stands for no sign.
#[tokio::test]
async fn a_query_whose_bytes_are_no_text_is_refused() {
    let app = app().await;

    for query in ["where[title]=a%ffb", "where[title]=%ed%a0%80", "sort=%c3"] {
        let reply = app.ask(Method::GET, &format!("{PATH}?{query}")).send().await;
        assert_eq!(reply.refusal(), (400, "malformed-request"), "{query}");
    }
}

/// What goes with a record goes in one statement, for which everybody else who writes waits.
#[tokio::test]
async fn a_record_that_too_many_would_go_with_stays_until_there_are_fewer() {
    let app = app().await;
    let relation = |name: &str, to: &str, on_delete: &str| json!({ "name": name, "type": "relation", "collection": to, "onDelete": on_delete });
    let seen = relation("tree", "trees", "setNull");
    for (name, fields) in [
        ("trees", json!([])),
        ("leaves", json!([relation("tree", "trees", "cascade"), relation("next", "leaves", "cascade")])),
        ("sightings", json!([seen])),
    ] {
        let collection = json!({ "name": name, "fields": fields });
        assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&collection).send().await.status, 201);
    }
    let tree = app.operator(Method::POST, "/api/v1/collections/trees/records").json(&json!({})).send().await;
    let (id, path) = (tree.str("id"), tree.header("location").expect("one").to_owned());
    let import = |name: &str, count: usize| {
        let line = format!("{}\n", json!({ "tree": id }));
        app.operator(Method::POST, &format!("/api/v1/collections/{name}/records/import?format=ndjson"))
            .text(line.repeat(count))
            .send()
    };
    assert_eq!(import("leaves", 6_000).await.body["imported"], 6_000);
    assert_eq!(import("sightings", 4_001).await.body["imported"], 4_001);
    let first = app.operator(Method::GET, "/api/v1/collections/leaves/records?limit=2").send().await;
    let leaf = |number: usize| {
        format!("/api/v1/collections/leaves/records/{}", first.body["data"][number]["id"].as_str().expect("an id"))
    };
    let circle = json!({ "next": first.body["data"][0]["id"] });
    assert_eq!(app.operator(Method::PATCH, &leaf(0)).json(&circle).send().await.status, 200);

    let refused = app.operator(Method::DELETE, &path).send().await;
    assert_eq!(app.operator(Method::DELETE, &leaf(1)).send().await.status, 204);
    let again = app.operator(Method::DELETE, &path).send().await;
    assert_eq!(app.operator(Method::DELETE, &leaf(0)).send().await.status, 204, "it refers to itself");
    let gone = app.operator(Method::DELETE, &path).send().await;

    assert_eq!(refused.refusal(), (409, "record-in-use"));
    assert!(refused.str("detail").contains("10,000"), "{refused:?}");
    assert_eq!((again.status, gone.status), (409, 204), "the one that refers to itself counts twice");
    let count = app.operator(Method::GET, "/api/v1/collections/leaves/records?count=exact").send().await;
    assert_eq!(count.body["meta"]["total"], 0);
    let left = app.operator(Method::GET, "/api/v1/collections/sightings/records?where[tree][isNull]=true&count=exact");
    assert_eq!(left.send().await.body["meta"]["total"], 4_001);
}

/// The version alone would not do: the same version looks different to others, and after the collection changed.
#[tokio::test]
async fn a_reader_with_a_copy_is_told_whether_it_would_get_the_same_again() {
    let app = app().await;
    let made = create(&app, json!({ "title": "a", "note": null })).await;
    assert_eq!(faults(&made), [("/note", "unknown")], "hidden");
    let path = create(&app, json!({ "title": "a" })).await.header("location").expect("a location").to_owned();
    let read = |tag: String| app.ask(Method::GET, &path).header("if-none-match", &tag).send();
    let shown = app.ask(Method::GET, &path).send().await;
    let tag = shown.header("etag").expect("a tag").to_owned();

    let again = read(format!("\"x\", W/{tag}")).await;
    let by_an_admin = app.operator(Method::GET, &path).header("if-none-match", &tag).send().await;
    let fewer = app.ask(Method::GET, &format!("{path}?fields=id")).header("if-none-match", &tag).send().await;
    let kept = app.ask(Method::PATCH, &path).header("if-none-match", &tag).json(&json!({})).send().await;
    app.ask(Method::PATCH, &path).json(&json!({ "title": "b" })).send().await;

    assert_eq!((again.status, again.text.as_str(), again.header("etag")), (304, "", Some(tag.as_str())));
    assert_eq!((by_an_admin.status, fewer.status, kept.status), (200, 200, 200), "{by_an_admin:?}");
    assert_eq!(read(tag).await.body["title"], "b");
}

/// What is not looked at could be a hope that something narrower, or nothing, would be done.
#[tokio::test]
async fn a_write_takes_no_parameters() {
    let app = app().await;
    let path = create(&app, json!({ "title": "a" })).await.header("location").expect("a location").to_owned();

    for (method, path) in [
        (Method::POST, PATH.to_owned()),
        (Method::PATCH, path.clone()),
        (Method::PUT, path.clone()),
        (Method::DELETE, path.clone()),
    ] {
        let reply = app.ask(method, &format!("{path}?fields=id")).json(&json!({ "title": "b" })).send().await;
        assert_eq!(faults(&reply), [("?fields", "unknown")]);
    }
    assert_eq!(titles(&list(&app, "").await), ["a"]);
}

/// A list of such records would take memory that nobody counted with.
#[tokio::test]
async fn a_record_does_not_grow_for_ever_change_by_change() {
    let app = app().await;
    let path = create(&app, json!({ "title": "a" })).await.header("location").expect("a location").to_owned();
    let grow = |member: String| {
        app.ask(Method::PATCH, &path).json(&json!({ "extra": { member: "x".repeat(900_000) } })).send()
    };
    assert_eq!(grow("a".to_owned()).await.status, 200);
    assert_eq!(grow("b".to_owned()).await.status, 200);

    let refused = grow("c".to_owned()).await;

    assert_eq!(faults(&refused), [("", "too-large")]);
    let kept = app.ask(Method::GET, &path).send().await;
    assert_eq!(kept.body["extra"].as_object().map(serde_json::Map::len), Some(2));
    assert_eq!(app.ask(Method::PATCH, &path).json(&json!({ "title": "b" })).send().await.status, 200);
}

/// Each near miss is looked for among all fields: a question full of wrong names must not cost seconds.
#[tokio::test]
async fn a_question_full_of_wrong_names_is_refused_with_the_first_of_them() {
    let app = app().await;
    let wrong = |separator: &str| (0..150).map(|it| format!("titl{it}")).collect::<Vec<_>>().join(separator);
    let conditions = (0..150).map(|it| format!("where[titl{it}]=1")).collect::<Vec<_>>().join("&");

    for query in [format!("fields={}", wrong(",")), format!("sort={}", wrong(",")), conditions] {
        let refused = list(&app, &query).await;
        assert_eq!(refused.refusal(), (422, "validation-failed"));
        let told = refused.body["errors"].as_array().map_or(0, Vec::len);
        assert!((1..=11).contains(&told), "{told} of them were told");
    }
}

/// `Prefer` is a wish: where the query says something else, or the wish is not known, it is passed over.
#[tokio::test]
async fn a_total_is_preferred_by_a_header_too() {
    let app = app().await;
    app.ask(Method::POST, PATH).json(&json!({ "title": "a" })).send().await;
    let prefer = |wish: &'static str| app.ask(Method::GET, PATH).header("prefer", wish).send();

    let (counted, other) = (prefer("return=representation, count=exact").await, prefer("count=guessed").await);

    assert_eq!((counted.status, &counted.body["meta"]["total"]), (200, &json!(1)));
    assert_eq!(counted.header("preference-applied"), Some("count=exact"));
    assert_eq!((other.status, other.body["meta"].get("total"), other.header("preference-applied")), (200, None, None));
    // Few records are counted, also for whom an estimate would do.
    let planned = prefer("count=planned").await;
    assert_eq!((&planned.body["meta"]["total"], planned.body["meta"].get("isEstimate")), (&json!(1), None));
    assert_eq!(planned.header("preference-applied"), Some("count=planned"));
    assert_eq!(list(&app, "count=some").await.refusal(), (422, "validation-failed"));
}

/// Counting a million records takes a while, and a page number bar needs no exact number.
#[tokio::test]
async fn an_estimated_total_is_about_right_wherever_in_the_table_the_records_stand_and_says_that_it_is_one() {
    let app = TestApp::with_people().await;
    let numbers = json!({
        "name": "numbers",
        "fields": [{ "name": "n", "type": "integer" }, { "name": "kind", "type": "text" }],
        "rules": { "list": "kind != 'secret' || auth.role == 'admin'" },
    });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&numbers).send().await.status, 201);
    let path = "/api/v1/collections/numbers/records";
    let lines: String = (0..30_000)
        .map(|n| format!("{{\"n\":{n},\"kind\":\"{}\"}}\n", if n < 6_000 { "secret" } else { "open" }))
        .collect();
    let import = app.operator(Method::POST, &format!("{path}/import")).header("content-type", "application/x-ndjson");
    assert_eq!(import.raw(lines).send().await.body["imported"], 30_000);
    for thousand in 20..24 {
        let filter = format!("n%20%3E%3D%20{}%20%26%26%20n%20%3C%20{}", thousand * 1_000, (thousand + 1) * 1_000);
        let deleted = app.operator(Method::DELETE, &format!("{path}?filter={filter}")).send().await;
        assert_eq!(deleted.status, 200, "{deleted:?}");
    }
    let total = async |query: &str, role: &str| {
        let page = app.as_role(role, Method::GET, &format!("{path}?count=planned&{query}")).send().await;
        assert_eq!((page.status, &page.body["meta"]["isEstimate"]), (200, &json!(true)), "{page:?}");
        page.body["meta"]["total"].as_i64().expect("a number")
    };

    for (query, exact) in [
        ("filter=n%20%3C%2010000", 10_000),
        ("filter=n%20%3E%3D%2015000&sort=-n", 11_000),
        ("filter=kind%20%3D%3D%20'secret'", 6_000),
    ] {
        let estimate = total(query, "admin").await;
        assert!((exact * 9 / 10..=exact * 11 / 10).contains(&estimate), "{query}: {estimate} of {exact}");
    }
    // No fewer than are shown, however few there are.
    let rare = total("filter=n%20%3D%3D%2017%20%7C%7C%20n%20%3D%3D%2018&limit=1", "admin").await;
    assert!((2..200).contains(&rare), "{rare}");
    // An estimate is made of all rows, and would tell how many there are that somebody may not see.
    for (query, exact) in
        [("limit=1", 20_000), ("filter=n%20%3C%2010000", 4_000), ("filter=kind%20%3D%3D%20'secret'", 0)]
    {
        let page = app.as_role("user", Method::GET, &format!("{path}?count=planned&{query}")).send().await;
        assert_eq!(
            (&page.body["meta"]["total"], page.body["meta"].get("isEstimate")),
            (&json!(exact), None),
            "{query}"
        );
    }
    let numbered =
        app.as_role("admin", Method::GET, &format!("{path}?count=planned&page=1&filter=n%20%3E%200")).send().await;
    let links = numbered.header("link").expect("links");
    assert!(links.contains("count=planned") && !links.contains("rel=\"last\""), "{links}");
}
