//! Promises about `expand`, and about conditions and orders along relations: whole lists, forwards and backwards, and
//! never more than the caller may view.
use poem::http::Method;
use serde_json::{Value, json};

use crate::relations::{collection, make, path};
use crate::support::{Reply, TestApp};

async fn get(app: &TestApp, role: &str, path: &str) -> Reply {
    let reply = app.as_role(role, Method::GET, path).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

/// The titles of a list of records.
fn titles(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap_or_else(|| panic!("no list: {list}"))
        .iter()
        .map(|it| it["title"].as_str().expect("one"))
        .collect()
}

fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

/// Posts with tags, and comments of which those that are approved may be viewed.
async fn blog() -> (TestApp, [String; 2]) {
    let app = TestApp::with_people().await;
    let title = || json!({ "name": "title", "type": "text" });
    let to = |name: &str, target: &str, multiple: bool| json!({ "name": name, "type": "relation", "collection": target, "multiple": multiple });
    collection(&app, "tags", json!([title()])).await;
    let secret =
        json!({ "name": "secret", "type": "relation", "collection": "tags", "multiple": true, "hidden": true });
    let count = json!({ "name": "count", "type": "integer", "hidden": true });
    collection(&app, "posts", json!([title(), to("tags", "tags", true), to("author", "users", false), secret, count]))
        .await;
    let comments = json!({
        "name": "comments",
        "fields": [
            title(), to("post", "posts", false), to("by", "users", false), { "name": "approved", "type": "bool" },
            { "name": "hiddenPost", "type": "relation", "collection": "posts", "hidden": true },
        ],
        "rules": { "list": "true", "view": "approved", "create": "true", "update": null, "delete": null },
    });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&comments).send().await.status, 201);
    let me = get(&app, "user", "/api/v1/auth/profile").await.str("id");
    let (a, b) = (make(&app, "tags", json!({ "title": "a" })).await, make(&app, "tags", json!({ "title": "b" })).await);
    let one = make(&app, "posts", json!({ "title": "one", "tags": [b, a], "author": me })).await;
    let two = make(&app, "posts", json!({ "title": "two", "tags": [a], "author": me })).await;
    for (title, approved) in [("first", true), ("second", false), ("third", true)] {
        make(&app, "comments", json!({ "title": title, "post": one, "by": me, "approved": approved })).await;
    }
    (app, [one, two])
}

#[tokio::test]
async fn lists_are_expanded_in_their_order() {
    let (app, [one, two]) = blog().await;

    let listed = get(&app, "", &format!("{}?expand=tags,author", path("posts"))).await;

    let data = listed.body["data"].as_array().expect("data");
    assert_eq!(titles(&data[0]["expand"]["tags"]), ["b", "a"], "{listed:?}");
    assert_eq!(titles(&data[1]["expand"]["tags"]), ["a"]);
    assert!(data[0]["expand"]["author"]["id"].is_string() && data[0]["tags"][1] == data[1]["tags"][0]);
    let shown = get(&app, "", &format!("{}/{one}?expand=tags", path("posts"))).await;
    assert_eq!(shown.body["expand"]["tags"], data[0]["expand"]["tags"]);
    let narrow = get(&app, "", &format!("{}/{two}?fields=title,tags.title", path("posts"))).await;
    assert_eq!(narrow.body, json!({ "title": "two", "expand": { "tags": [{ "title": "a" }] } }));
    let bare = make(&app, "posts", json!({ "title": "three" })).await;
    let none = get(&app, "", &format!("{}/{bare}?fields=author.name,tags.title&expand=tags", path("posts"))).await;
    assert_eq!(none.body, json!({ "expand": { "tags": [] } }), "`fields` names what is shown, and nothing else is");
    let whole = get(&app, "", &format!("{}/{two}?fields=*,tags.title", path("posts"))).await;
    assert!(whole.body["title"] == "two" && whole.body["id"].is_string(), "{whole:?}");
    let within = get(&app, "", &format!("{}?fields=tags.title&limit=1", path("posts"))).await;
    assert_eq!(within.body["data"], json!([{ "expand": { "tags": [{ "title": "b" }, { "title": "a" }] } }]));
}

#[tokio::test]
async fn those_who_refer_to_a_record_are_expanded_as_far_as_they_may_be_viewed() {
    let (app, [one, two]) = blog().await;
    let path = |id: &str, expand: &str| format!("{}/{id}?expand={expand}", path("posts"));

    let seen = get(&app, "", &path(&one, "comments_via_post")).await;
    assert_eq!(titles(&seen.body["expand"]["comments_via_post"]), ["first", "third"], "{seen:?}");
    assert_eq!(seen.body["expand"].get("_more"), None);
    let all = get(&app, "admin", &path(&one, "comments_via_post")).await;
    assert_eq!(titles(&all.body["expand"]["comments_via_post"]), ["first", "second", "third"]);
    let none = get(&app, "admin", &path(&two, "comments_via_post")).await;
    assert_eq!(none.body["expand"]["comments_via_post"], json!([]));
    let hidden = app.ask(Method::GET, &path(&one, "comments_via_hiddenPost")).send().await;
    let missing = app.ask(Method::GET, &path(&one, "comments_via_nothingXX")).send().await;
    assert_eq!(faults(&hidden), [("?expand", "unknown")]);
    assert_eq!(hidden.text.replace("hiddenPost", "nothingXX").len(), missing.text.len(), "they answer alike");
    assert_eq!(
        get(&app, "admin", &path(&one, "comments_via_hiddenPost")).await.body["expand"]["comments_via_hiddenPost"],
        json!([])
    );
    assert_eq!(faults(&app.ask(Method::GET, &path(&one, "secret")).send().await), [("?expand", "unknown")]);
    // Of another collection it is no relation backwards.
    assert_eq!(faults(&app.ask(Method::GET, &path(&one, "posts_via_tags")).send().await), [("?expand", "unknown")]);
}

#[tokio::test]
async fn lists_stand_within_lists_and_behind_single_records() {
    let (app, [one, _]) = blog().await;
    let expand = "tags.posts_via_tags.author,author.posts_via_author.tags,comments_via_post.by";

    for role in ["", "admin"] {
        let listed = get(&app, role, &format!("{}?expand={expand}&sort=title&limit=1", path("posts"))).await;

        let first = &listed.body["data"][0];
        assert_eq!(first["id"], json!(one));
        let tags = &first["expand"]["tags"];
        assert_eq!(titles(tags), ["b", "a"]);
        assert_eq!(titles(&tags[0]["expand"]["posts_via_tags"]), ["one"]);
        assert_eq!(titles(&tags[1]["expand"]["posts_via_tags"]), ["one", "two"]);
        assert_eq!(tags[1]["expand"]["posts_via_tags"][1]["expand"]["author"]["role"], "user");
        let posts = &first["expand"]["author"]["expand"]["posts_via_author"];
        assert_eq!(titles(&posts[0]["expand"]["tags"]), ["b", "a"]);
        assert_eq!(titles(&posts[1]["expand"]["tags"]), ["a"]);
        assert_eq!(first["expand"]["comments_via_post"][0]["expand"]["by"]["role"], "user");
    }
}

#[tokio::test]
async fn a_long_list_backwards_ends_with_a_word_that_there_is_more() {
    let (app, [_, two]) = blog().await;
    let line = |title: usize, post: &str, approved: bool| {
        json!({ "title": title.to_string(), "post": post, "approved": approved }).to_string()
    };
    let lines: Vec<_> = (0..300).map(|it| line(it, &two, it % 2 == 0)).collect();
    let ask = app.operator(Method::POST, &format!("{}/import?format=ndjson", path("comments"))).raw(lines.join("\n"));
    assert_eq!(ask.send().await.body["imported"], 300);

    let listed = get(&app, "", &format!("{}?expand=comments_via_post&sort=title", path("posts"))).await;

    let lists: Vec<_> = listed.body["data"].as_array().expect("one").iter().map(|it| &it["expand"]).collect();
    assert_eq!((lists[0]["comments_via_post"].as_array().map(Vec::len), lists[0].get("_more")), (Some(2), None));
    let seen = titles(&lists[1]["comments_via_post"]);
    assert_eq!((seen.len(), seen[0], seen[99]), (100, "0", "198"), "those that may be viewed are counted");
    assert_eq!(lists[1]["_more"], json!(["comments_via_post"]));
    // Exactly as many as are shown are not more.
    let rest = app.operator(Method::GET, &format!("{}?filter=approved&sort=-id&limit=50", path("comments")));
    for record in rest.send().await.body["data"].as_array().expect("one") {
        let gone = format!("{}/{}", path("comments"), record["id"].as_str().expect("one"));
        assert_eq!(app.operator(Method::DELETE, &gone).send().await.status, 204);
    }
    let full = get(&app, "", &format!("{}/{two}?expand=comments_via_post", path("posts"))).await;
    assert_eq!(full.body["expand"]["comments_via_post"].as_array().map(Vec::len), Some(100));
    assert_eq!(full.body["expand"].get("_more"), None);
}

#[tokio::test]
async fn what_would_never_end_is_refused_at_once() {
    let (app, _) = blog().await;
    let round = ["author.posts_via_author"; 3].join(".");
    let many: Vec<_> = (0..500).map(|it| format!("comments_via_post.x{it}")).collect();
    let known = vec!["comments_via_post.post.tags.posts_via_tags"; 500].join(",");
    let wide: Vec<_> = ["tags", "author", "comments_via_post"]
        .iter()
        .flat_map(|it| {
            ["post", "by", "posts_via_tags", "posts_via_author", "comments_via_by"].map(|to| format!("{it}.{to}"))
        })
        .collect();

    for expand in [round, many.join(","), wide.join(","), ["tags.posts_via_tags"; 4].join(".")] {
        let begun = std::time::Instant::now();
        let refused = app.ask(Method::GET, &format!("{}?expand={expand}", path("posts"))).send().await;
        assert_eq!(refused.refusal().0, 422, "{expand}");
        assert!(begun.elapsed().as_millis() < 500, "{expand}");
    }
    // The same one five hundred times is one.
    get(&app, "", &format!("{}?expand={known}", path("posts"))).await;
}

/// What is large by being repeated is refused as a whole, and narrower it is not.
#[tokio::test]
async fn an_answer_that_would_be_too_large_is_refused_with_a_way_out() {
    let app = TestApp::with_people().await;
    let text = json!({ "name": "text", "type": "text" });
    collection(&app, "hubs", json!([text])).await;
    collection(&app, "spokes", json!([text, { "name": "hub", "type": "relation", "collection": "hubs" }])).await;
    let hub = make(&app, "hubs", json!({ "text": "x".repeat(200_000) })).await;
    for _ in 0..60 {
        make(&app, "spokes", json!({ "hub": hub })).await;
    }

    let refused = app.ask(Method::GET, &format!("{}?expand=spokes_via_hub.hub", path("hubs"))).send().await;
    assert_eq!(faults(&refused), [("?expand", "too-large")]);
    let narrow = format!("{}?fields=id,spokes_via_hub.id,spokes_via_hub.hub.id", path("hubs"));
    let told = get(&app, "", &narrow).await;
    assert_eq!(told.body["data"][0]["expand"]["spokes_via_hub"].as_array().map(Vec::len), Some(60));
}

async fn found(app: &TestApp, role: &str, collection: &str, query: &[(&str, &str)]) -> Vec<String> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let reply = get(app, role, &format!("{}?{query}", path(collection))).await;
    titles(&reply.body["data"]).into_iter().map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_condition_along_several_records_is_true_if_it_is_of_one_that_may_be_viewed() {
    let (app, _) = blog().await;
    for (role, name, value, expected) in [
        ("", "where[tags.title]", "b", vec!["one"]),
        ("", "where[tags.title][in]", "a,c", vec!["one", "two"]),
        ("", "where[tags.title][ne]", "b", vec!["one", "two"]),
        ("", "where[tags.posts_via_tags.title]", "two", vec!["one", "two"]),
        ("", "where[comments_via_post.title][startsWith]", "f", vec!["one"]),
        ("", "where[comments_via_post.title]", "second", vec![]),
        ("admin", "where[comments_via_post.title]", "second", vec!["one"]),
        ("", "where[author.posts_via_author.tags.title]", "b", vec!["one", "two"]),
        ("admin", "where[comments_via_post.approved]", "false", vec!["one"]),
    ] {
        assert_eq!(found(&app, role, "posts", &[(name, value)]).await, expected, "{name}={value} as {role:?}");
    }
    for name in ["where[comments_via_hiddenPost.title]", "where[secret.title]", "where[_1.title]", "where[count]"] {
        let refused = app.ask(Method::GET, &format!("{}?{name}=x", path("posts"))).send().await;
        assert_eq!(faults(&refused), [(format!("?{name}").as_str(), "expression-unknown-field")]);
    }
}

#[tokio::test]
async fn a_list_is_in_the_order_of_what_its_records_refer_to() {
    let app = TestApp::with_people().await;
    let title = json!({ "name": "title", "type": "text" });
    let shelves = json!({
        "name": "shelves", "fields": [title, { "name": "open", "type": "bool" }],
        "rules": { "list": "true", "view": "open", "create": "true", "update": null, "delete": null },
    });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&shelves).send().await.status, 201);
    let to = |name: &str, target: &str, multiple: bool| json!({ "name": name, "type": "relation", "collection": target, "multiple": multiple });
    collection(&app, "books", json!([title, to("shelf", "shelves", false), to("all", "shelves", true)])).await;
    let fields = json!({ "fields": [title, to("shelf", "shelves", false), to("all", "shelves", true), to("next", "books", false)] });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/books").json(&fields).send().await.status, 200);
    let mut shelves = Vec::new();
    for (title, open) in [("m", true), ("a", false), ("z", true)] {
        shelves.push(make(&app, "shelves", json!({ "title": title, "open": open })).await);
    }
    let mut last = None::<String>;
    for (number, shelf) in [0, 1, 2, 0, 1, 2].into_iter().enumerate() {
        let book = json!({ "title": number.to_string(), "shelf": shelves[shelf], "next": last });
        let made = app.operator(Method::POST, &path("books")).json(&book).send().await;
        last = Some(made.str("id"));
    }

    // The closed shelf has no title for those who may not view it.
    assert_eq!(found(&app, "", "books", &[("sort", "shelf.title")]).await, ["1", "4", "0", "3", "2", "5"]);
    assert_eq!(found(&app, "admin", "books", &[("sort", "shelf.title,-title")]).await, ["4", "1", "3", "0", "5", "2"]);
    assert_eq!(found(&app, "", "books", &[("sort", "-shelf.title,title")]).await, ["2", "5", "0", "3", "1", "4"]);
    assert_eq!(
        found(&app, "", "books", &[("sort", "-next.shelf.title,next.title")]).await,
        ["3", "1", "4", "0", "2", "5"]
    );
    for sort in ["shelf.title", "-shelf.title", "next.shelf.title,-title", "-next.title"] {
        let whole = found(&app, "", "books", &[("sort", sort)]).await;
        let (mut paged, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let rest = cursor.as_ref().map(|it| format!("&cursor={it}")).unwrap_or_default();
            let page = get(&app, "", &format!("{}?sort={sort}&limit=2{rest}", path("books"))).await;
            paged.extend(titles(&page.body["data"]).into_iter().map(ToOwned::to_owned));
            cursor = page.body["meta"]["nextCursor"].as_str().map(ToOwned::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(paged, whole, "{sort}");
    }
    for (sort, code) in [
        ("all.title", "type"),
        ("shelf.nothing", "unknown"),
        ("title.x", "unknown"),
        ("next.next.next.next.next.title", "too-many"),
    ] {
        let refused = app.ask(Method::GET, &format!("{}?sort={sort}", path("books"))).send().await;
        assert_eq!(faults(&refused), [("?sort", code)], "{sort}");
    }
}
