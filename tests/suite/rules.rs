//! Promises about rules and filters: who sees, finds and changes what.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

async fn collection(app: &TestApp, collection: Value) {
    let made = app.operator(Method::POST, "/api/v1/collections").json(&collection).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

fn path(collection: &str) -> String {
    format!("/api/v1/collections/{collection}/records")
}

async fn create(app: &TestApp, role: &str, collection: &str, record: Value) -> Reply {
    app.as_role(role, Method::POST, &path(collection)).json(&record).send().await
}

/// `query` has its parameters separated by `#`, and not encoded.
async fn list(app: &TestApp, role: &str, collection: &str, query: &str) -> Reply {
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.split('#').filter_map(|it| it.split_once('=')) {
        encoded.append_pair(name, value);
    }
    app.as_role(role, Method::GET, &format!("{}?{}", path(collection), encoded.finish())).send().await
}

fn titles(reply: &Reply) -> Vec<&str> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("data").iter().map(|it| it["title"].as_str().expect("a title")).collect()
}

async fn me(app: &TestApp, role: &str) -> String {
    app.as_role(role, Method::GET, "/api/v1/auth/profile").send().await.str("id")
}

/// Posts with authors, and comments on them.
async fn blog() -> TestApp {
    let app = TestApp::with_people().await;
    collection(
        &app,
        json!({
            "name": "posts",
            "fields": [
                { "name": "title", "type": "text" },
                { "name": "views", "type": "integer" },
                { "name": "published", "type": "bool" },
                { "name": "tags", "type": "select", "values": ["a", "b"], "multiple": true },
                { "name": "extra", "type": "json" },
                { "name": "author", "type": "relation", "collection": "users" },
                { "name": "note", "type": "text", "hidden": true },
            ],
            "rules": {
                "list": "published || author == auth.id",
                "view": "published || author == auth.id",
                "create": "auth.signedIn && author == auth.id",
                "update": "author == auth.id && !changed('author')",
                "delete": "author == auth.id",
            },
        }),
    )
    .await;
    collection(
        &app,
        json!({
            "name": "comments",
            "fields": [
                { "name": "title", "type": "text" },
                { "name": "post", "type": "relation", "collection": "posts" },
                { "name": "approved", "type": "bool" },
            ],
            "rules": { "list": "true", "view": "approved" },
        }),
    )
    .await;
    app
}

#[tokio::test]
async fn everyone_sees_what_is_published_and_their_own() {
    let app = blog().await;
    let user = me(&app, "user").await;
    create(&app, "admin", "posts", json!({ "title": "public", "published": true })).await;
    create(&app, "admin", "posts", json!({ "title": "nobody's" })).await;
    create(&app, "user", "posts", json!({ "title": "mine", "author": user })).await;

    assert_eq!(titles(&list(&app, "", "posts", "sort=title").await), ["public"]);
    assert_eq!(titles(&list(&app, "readonly", "posts", "sort=title").await), ["public"]);
    assert_eq!(titles(&list(&app, "user", "posts", "sort=title").await), ["mine", "public"]);
    assert_eq!(titles(&list(&app, "admin", "posts", "sort=title").await), ["mine", "nobody's", "public"]);
    assert_eq!(list(&app, "user", "posts", "count=exact").await.body["meta"]["total"], 2);
    // Whoever asks for everything gets no more than the rule lets them see.
    assert_eq!(titles(&list(&app, "", "posts", "filter=true || title != ''").await), ["public"]);
}

#[tokio::test]
async fn what_a_rule_hides_cannot_be_told_from_what_is_not_there() {
    let app = blog().await;
    let made = create(&app, "admin", "posts", json!({ "title": "a" })).await;
    let hidden = made.header("location").expect("a location").to_owned();
    let nobody = format!("{}/0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80", path("posts"));
    for role in ["", "user"] {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let answer = async |path: &str| {
                let reply =
                    app.as_role(role, method.clone(), path).header("x-request-id", "same").text("{}").send().await;
                (reply.status, reply.text)
            };
            let (hidden, nobody) = (answer(&hidden).await, answer(&nobody).await);
            assert_eq!(hidden, nobody, "{method} as {role:?}");
            assert_eq!(hidden.0, 404, "{method} as {role:?}");
        }
    }
}

#[tokio::test]
async fn a_record_is_made_only_as_the_rule_lets() {
    let app = blog().await;
    let (user, other) = (me(&app, "user").await, me(&app, "admin").await);

    let denied = create(&app, "user", "posts", json!({ "title": "secret", "author": other })).await;

    assert_eq!(denied.refusal(), (403, "rule-denied"));
    assert!(!denied.text.contains("secret"), "nothing of it is repeated");
    for body in [json!({}), json!({ "author": null })] {
        assert_eq!(create(&app, "", "posts", body.clone()).await.refusal(), (403, "rule-denied"), "{body}");
        assert_eq!(create(&app, "user", "posts", body).await.refusal(), (403, "rule-denied"));
    }
    assert_eq!(create(&app, "readonly", "posts", json!({ "author": user })).await.refusal(), (403, "not-allowed"));
    assert_eq!(list(&app, "admin", "posts", "count=exact").await.body["meta"]["total"], 0, "nothing is left of it");
    assert_eq!(create(&app, "user", "posts", json!({ "title": "a", "author": user })).await.status, 201);
}

#[tokio::test]
async fn a_change_is_judged_by_what_is_there_and_what_would_change() {
    let app = blog().await;
    let (user, other) = (me(&app, "user").await, me(&app, "admin").await);
    let made = create(&app, "user", "posts", json!({ "title": "a", "author": user })).await;
    let one = made.header("location").expect("a location").to_owned();
    let patch = |role: &'static str, body: Value| app.as_role(role, Method::PATCH, &one).json(&body).send();

    assert_eq!(patch("user", json!({ "title": "b" })).await.status, 200);
    assert_eq!(patch("user", json!({ "author": user })).await.status, 200, "it is the same");
    assert_eq!(patch("user", json!({ "author": other })).await.refusal(), (403, "rule-denied"));
    assert_eq!(patch("user", json!({ "author": null })).await.refusal(), (403, "rule-denied"));
    assert_eq!(patch("readonly", json!({ "title": "c" })).await.refusal(), (403, "not-allowed"));
    assert_eq!(patch("admin", json!({ "author": other })).await.status, 200);
    // Who may not even view it is not told that it is there.
    assert_eq!(patch("user", json!({ "title": "d" })).await.refusal(), (404, "not-found"));
    let drop = || app.as_role("user", Method::DELETE, &one).send();
    assert_eq!(drop().await.refusal(), (404, "not-found"));
    assert_eq!(patch("admin", json!({ "published": true })).await.status, 200);
    assert_eq!(patch("user", json!({ "title": "d" })).await.refusal(), (403, "rule-denied"));
    assert_eq!(drop().await.refusal(), (403, "rule-denied"));
}

/// Whoever may write a record but not read it learns that it was written, and no more.
#[tokio::test]
async fn what_was_written_is_shown_only_to_those_who_may_see_it() {
    let app = TestApp::with_people().await;
    let fields = json!([{ "name": "title", "type": "text" }]);
    collection(&app, json!({ "name": "letters", "fields": fields, "rules": { "create": "true", "update": "true" } }))
        .await;

    let made = create(&app, "", "letters", json!({ "title": "a" })).await;

    assert_eq!(made.status, 201);
    let members: Vec<_> = made.body.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(members, ["id", "createdAt", "updatedAt"]);
    let one = made.header("location").expect("a location");
    let changed = app.ask(Method::PATCH, one).json(&json!({})).send().await;
    assert_eq!((changed.status, changed.body.get("title")), (200, None));
}

#[tokio::test]
async fn a_hidden_field_answers_as_one_that_does_not_exist() {
    let app = blog().await;
    create(&app, "admin", "posts", json!({ "title": "a", "published": true, "note": "x" })).await;
    for query in ["filter=note == 'x'", "sort=note", "fields=note", "where[note]=x", "filter=note != null"] {
        let hidden = list(&app, "user", "posts", query).await;
        let nothing = list(&app, "user", "posts", &query.replace("note", "nope")).await;

        assert_eq!(hidden.refusal(), (422, "validation-failed"), "{query}");
        assert_eq!(
            hidden.body["errors"].to_string().replace("note", "nope"),
            nothing.body["errors"].to_string(),
            "{query}"
        );
        assert_eq!(list(&app, "admin", "posts", query).await.status, 200, "{query}");
    }
}

#[tokio::test]
async fn filters_and_conditions_find_the_same() {
    let app = blog().await;
    for (title, views) in [("Apple", 1), ("Banana", 10), ("apricot", 100)] {
        let tags = if views == 10 { json!(["a", "b"]) } else { json!(["b"]) };
        let extra = json!({ "color": if views == 1 { "red" } else { "blue" }, "size": views });
        let post = json!({ "title": title, "views": views, "published": true, "tags": tags, "extra": extra });
        assert_eq!(create(&app, "admin", "posts", post).await.status, 201);
    }
    for (filter, condition, expected) in [
        ("title == 'Apple'", "where[title]=Apple", vec!["Apple"]),
        ("title != 'Apple'", "where[title][ne]=Apple", vec!["Banana", "apricot"]),
        ("views > 1", "where[views][gt]=1", vec!["Banana", "apricot"]),
        ("views >= 10 && views < 100", "where[views][gte]=10#where[views][lt]=100", vec!["Banana"]),
        ("title in ['Apple', 'apricot']", "where[title][in]=Apple,apricot", vec!["Apple", "apricot"]),
        ("title.startsWith('Ap')", "where[title][startsWith]=Ap", vec!["Apple"]),
        ("title.icontains('AP')", "where[title][icontains]=AP", vec!["Apple", "apricot"]),
        ("title.contains('an')", "where[title][contains]=an", vec!["Banana"]),
        ("author == null", "where[author][isNull]=true", vec!["Apple", "Banana", "apricot"]),
        ("'a' in tags", "where[tags]=a", vec!["Banana"]),
        ("extra.color == 'red'", "where[extra.color]=red", vec!["Apple"]),
        ("extra.size > 1", "where[extra.size][gt]=1", vec!["Banana", "apricot"]),
        ("published", "where[published]=true", vec!["Apple", "Banana", "apricot"]),
        ("createdAt < now", "where[createdAt][lt]=2026-01-02T03:04:05.678Z", vec![]),
    ] {
        let filtered = list(&app, "", "posts", &format!("sort=title#filter={filter}")).await;
        let asked = list(&app, "", "posts", &format!("sort=title#{condition}")).await;

        assert_eq!(titles(&filtered), expected, "{filter}");
        assert_eq!(titles(&asked), expected, "{condition}");
    }
}

/// What a filter may ask of other collections is what its caller may view there.
#[tokio::test]
async fn a_filter_along_relations_sees_only_what_may_be_viewed() {
    let app = blog().await;
    let open = create(&app, "admin", "posts", json!({ "title": "open", "published": true, "views": 7 })).await;
    let closed = create(&app, "admin", "posts", json!({ "title": "closed", "published": false, "views": 7 })).await;
    for (title, post, approved) in [("on open", &open, true), ("on closed", &closed, true), ("waiting", &open, false)] {
        let comment = json!({ "title": title, "post": post.str("id"), "approved": approved });
        assert_eq!(create(&app, "admin", "comments", comment).await.status, 201);
    }
    let found = async |role: &str, collection: &str, filter: &str| {
        let reply = list(&app, role, collection, &format!("sort=title#filter={filter}")).await;
        titles(&reply).into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
    };

    assert_eq!(found("user", "comments", "post.views == 7").await, ["on open", "waiting"]);
    assert_eq!(found("admin", "comments", "post.views == 7").await, ["on closed", "on open", "waiting"]);
    assert_eq!(found("user", "comments", "post.views != 7").await, ["on closed"], "what is not seen has no views");
    assert_eq!(found("user", "posts", "comments_via_post.exists(c, c.title == 'on open')").await, ["open"]);
    assert_eq!(found("user", "posts", "comments_via_post.exists(c, c.title == 'waiting')").await, Vec::<String>::new());
    assert_eq!(found("admin", "posts", "comments_via_post.exists(c, c.title == 'waiting')").await, ["open"]);
    assert_eq!(
        found("", "comments", "post.comments_via_post.exists(c, c.title == 'on open')").await,
        ["on open", "waiting"]
    );
}

#[tokio::test]
async fn what_cannot_be_understood_is_refused_with_its_place() {
    let app = blog().await;
    for (filter, code, words) in [
        ("titel == 'a'", "expression-unknown-field", "did you mean `title`?"),
        ("title = 'a'", "expression-malformed", "write `==`"),
        ("title == 1", "expression-type", "a text"),
        ("title", "expression-type", "true or false"),
        ("title.matches('a')", "expression-not-supported", "contains"),
        ("title == 'a' and views > 1", "expression-malformed", "&&"),
        ("(", "expression-malformed", "from here"),
        ("", "expression-malformed", "empty"),
        ("changed('title')", "expression-not-supported", "update rules"),
        ("request.body.title == ''", "expression-not-supported", "rules"),
        ("[1].map(x, x) == [1]", "expression-not-supported", ""),
        ("title.a.b.c.d.e.f.g.h.i.j == 1", "expression-too-long", "dots"),
    ] {
        let reply = list(&app, "user", "posts", &format!("filter={filter}")).await;
        assert_eq!(reply.refusal(), (422, "validation-failed"), "{filter}: {reply:?}");
        let error = &reply.body["errors"][0];
        assert_eq!(
            (error["pointer"].as_str(), error["code"].as_str()),
            (Some("?filter"), Some(code)),
            "{filter}: {error}"
        );
        assert!(error["detail"].as_str().is_some_and(|it| it.contains(words)), "{filter}: {error}");
    }
    let nested = format!("filter={}true{}", "(".repeat(900), ")".repeat(900));
    assert_eq!(list(&app, "user", "posts", &nested).await.refusal().0, 422);
    let many = format!("filter={}", vec!["views == 1"; 500].join("||"));
    assert_eq!(list(&app, "user", "posts", &many).await.refusal().0, 422);
}

/// SQLite and the stack have limits of their own: what would reach them is refused before.
#[tokio::test]
async fn what_asks_for_too_much_is_refused_and_much_is_not() {
    let app = blog().await;
    create(&app, "admin", "posts", json!({ "title": "a", "published": true })).await;
    let doubled = (0..20).fold("published".to_owned(), |it, _| format!("title.endsWith({it} ? 'a' : 'b')"));
    let within = (0..19).fold("true".to_owned(), |it, _| format!("post.comments_via_post.exists(c, {it})"));
    for (collection, filter) in [
        ("posts", format!("published{}", " != true".repeat(99))),
        ("posts", doubled),
        ("comments", within),
        ("comments", vec!["post.views == 7"; 25].join(" || ")),
    ] {
        let reply = list(&app, "user", collection, &format!("filter={filter}")).await;
        assert_eq!(reply.body["errors"][0]["code"], "expression-too-long", "{filter}: {reply:?}");
    }
    let conditions: Vec<_> = (0..190).map(|it| format!("where[extra.p{it}][ne]=x")).collect();
    assert_eq!(titles(&list(&app, "user", "posts", &conditions.join("#")).await), ["a"]);
    let terms = vec!["views != 1"; 50].join(" && ");
    assert_eq!(titles(&list(&app, "user", "posts", &format!("filter={terms}")).await), ["a"]);
}

#[tokio::test]
async fn a_rule_that_cannot_be_understood_is_refused_when_it_is_saved() {
    let app = blog().await;
    let rules =
        json!({ "rules": { "list": "authr == auth.id", "create": "title.lenght() > 1", "view": "note == 'x'" } });

    let reply = app.operator(Method::PATCH, "/api/v1/collections/posts").json(&rules).send().await;

    let pointers: Vec<_> = reply.body["errors"]
        .as_array()
        .expect("errors")
        .iter()
        .map(|it| it["pointer"].as_str().expect("text"))
        .collect();
    assert_eq!(pointers, ["/rules/list", "/rules/create"], "a rule may use what is hidden");
    assert!(reply.text.contains("did you mean `author`?"), "{reply:?}");
    // A field that a rule of another collection needs cannot be taken away.
    let fields = json!({ "rules": { "list": "post.published" } });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/comments").json(&fields).send().await.status, 200);
    let posts = app.operator(Method::GET, "/api/v1/collections/posts").send().await;
    let kept: Vec<_> = posts.body["fields"]
        .as_array()
        .expect("fields")
        .iter()
        .filter(|it| it["name"] != "published")
        .cloned()
        .collect();
    let open = json!({ "fields": kept, "rules": { "list": "true", "view": "true" } });
    let dropped = app.operator(Method::PATCH, "/api/v1/collections/posts").json(&open).send().await;
    assert_eq!(dropped.refusal(), (409, "collection-in-use"), "{dropped:?}");
}

/// Otherwise the answer would tell of records that nobody lets them see.
#[tokio::test]
async fn whoever_may_not_make_a_record_learns_nothing_of_others() {
    let app = TestApp::with_people().await;
    let fields = json!([
        { "name": "title", "type": "text", "unique": true },
        { "name": "parent", "type": "relation", "collection": "secrets" },
    ]);
    collection(
        &app,
        json!({ "name": "secrets", "fields": fields, "rules": { "create": "title == 'mine' && parent == null" } }),
    )
    .await;
    let there = create(&app, "admin", "secrets", json!({ "title": "taken" })).await.str("id");
    let nowhere = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";

    for record in [json!({ "title": "taken" }), json!({ "title": "free" })] {
        assert_eq!(create(&app, "user", "secrets", record).await.refusal(), (403, "rule-denied"));
    }
    for parent in [there.as_str(), nowhere] {
        let refused = create(&app, "user", "secrets", json!({ "title": "x", "parent": parent })).await;
        assert_eq!(refused.refusal(), (422, "validation-failed"));
        assert_eq!(refused.body["errors"][0]["code"], "no-such-record");
    }
    assert_eq!(create(&app, "user", "secrets", json!({ "title": "mine" })).await.status, 201);
    assert_eq!(
        create(&app, "user", "secrets", json!({ "title": "mine" })).await.refusal(),
        (409, "record-value-taken")
    );
}

#[tokio::test]
async fn a_name_that_is_hidden_is_in_no_refusal() {
    let app = TestApp::with_people().await;
    let fields = json!([{ "name": "title", "type": "text" }, { "name": "code", "type": "text", "hidden": true, "default": "x" }]);
    let index = json!([{ "fields": ["title", "code"], "unique": true }]);
    collection(&app, json!({ "name": "coded", "fields": fields, "indexes": index, "rules": { "create": "true" } }))
        .await;
    assert_eq!(create(&app, "user", "coded", json!({ "title": "a" })).await.status, 201);

    let again = create(&app, "user", "coded", json!({ "title": "a" })).await;

    assert_eq!(again.refusal(), (409, "record-value-taken"));
    assert!(again.text.contains("/title") && !again.text.contains("/code"), "{}", again.text);
}

#[tokio::test]
async fn a_part_of_json_is_there_or_not_whatever_else_is() {
    let app = blog().await;
    for (title, extra) in [
        ("with", json!({ "owner": "x", "n": 0 })),
        ("null", json!({ "owner": null })),
        ("without", json!({ "size": 1 })),
        ("none", json!(null)),
    ] {
        create(&app, "admin", "posts", json!({ "title": title, "extra": extra })).await;
    }
    let found = async |filter: &str| titles(&list(&app, "admin", "posts", filter).await).join(" ");

    for present in ["filter=has(extra.owner)", "filter=extra.owner != null", "where[extra.owner][isNull]=false"] {
        assert_eq!(found(present).await, "with", "{present}");
    }
    for absent in ["filter=!has(extra.owner)", "filter=extra.owner == null", "where[extra.owner][isNull]=true"] {
        assert_eq!(found(absent).await, "null without none", "{absent}");
    }
    assert_eq!(found("filter=extra == null").await, "none");
}

/// A null owner is nobody's, and a stranger is nobody: that must not make them one.
#[tokio::test]
async fn a_stranger_is_never_the_owner_of_what_nobody_owns() {
    let app = blog().await;
    create(&app, "admin", "posts", json!({ "title": "nobody's" })).await;

    for rule in [
        "author == auth.id",
        "author != auth.id",
        "!(author == auth.id)",
        "!(author != auth.id)",
        "!(auth.id != author)",
        "!!(author == auth.id)",
        "(author == auth.id) == false",
        "(author == auth.id) != true",
        "size(auth.id) == size(author)",
        "!(size(auth.id) > 0)",
        "auth.id in ['x'] == false",
        "!(auth.role in ['admin'])",
        "!title.contains(auth.email)",
        "auth.id == null",
        "-size(auth.id) == -size(author)",
        "size(auth.id) + 1 == size(author) + 1",
        "author == auth.id ? false : true",
        "(author == auth.id ? 1 : 2) == 2",
    ] {
        let path = "/api/v1/collections/posts";
        let changed = app.operator(Method::PATCH, path).json(&json!({ "rules": { "list": rule } })).send().await;
        assert_eq!(changed.status, 200, "{rule} {changed:?}");
        assert_eq!(titles(&list(&app, "nobody", "posts", "").await), Vec::<&str>::new(), "{rule}");
    }
    for rule in ["!auth.signedIn", "!has(auth.id)", "author == null", "auth.id == null || title != ''"] {
        let path = "/api/v1/collections/posts";
        let changed = app.operator(Method::PATCH, path).json(&json!({ "rules": { "list": rule } })).send().await;
        assert_eq!(changed.status, 200, "{rule} {changed:?}");
        assert_eq!(titles(&list(&app, "nobody", "posts", "").await), ["nobody's"], "{rule}");
    }
}
