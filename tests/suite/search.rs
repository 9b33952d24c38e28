//! Promises about search: what is found, in which order, by whom, and never out of step with the records.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

const PATH: &str = "/api/v1/collections/posts/records";

/// An app with people, and a collection whose titles, texts and notes are searched; notes are hidden.
async fn app() -> TestApp {
    with_rules(json!({ "list": "true", "view": "true", "create": "true", "update": "true", "delete": "true" })).await
}

async fn with_rules(rules: Value) -> TestApp {
    let app = TestApp::with_people().await;
    let posts = json!({
        "name": "posts",
        "fields": [
            { "name": "title", "type": "text" },
            { "name": "body", "type": "text" },
            { "name": "extra", "type": "json" },
            { "name": "views", "type": "integer", "default": 0 },
            { "name": "state", "type": "select", "values": ["draft", "live"] },
            { "name": "author", "type": "relation", "collection": "users" },
            { "name": "parent", "type": "relation", "collection": "posts", "onDelete": "cascade" },
            { "name": "note", "type": "text", "hidden": true },
        ],
        "search": { "title": 3, "body": 1, "extra": 1, "note": 5 },
        "rules": rules,
    });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&posts).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    app
}

async fn create(app: &TestApp, record: Value) -> Reply {
    let made = app.operator(Method::POST, PATH).json(&record).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    made
}

async fn titled(app: &TestApp, titles: &[&str]) {
    for title in titles {
        create(app, json!({ "title": title })).await;
    }
}

fn address(search: &str, rest: &str) -> String {
    let encoded: String = search.bytes().map(|it| format!("%{it:02x}")).collect();
    format!("{PATH}?search={encoded}{rest}")
}

async fn ask(app: &TestApp, search: &str, rest: &str) -> Reply {
    app.ask(Method::GET, &address(search, rest)).send().await
}

fn titles(reply: &Reply) -> Vec<&str> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("data").iter().map(|it| it["title"].as_str().expect("a title")).collect()
}

/// The titles that a stranger finds.
async fn found(app: &TestApp, search: &str) -> Vec<String> {
    titles(&ask(app, search, "").await).into_iter().map(ToOwned::to_owned).collect()
}

fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

#[tokio::test]
async fn a_search_finds_words_whatever_their_case_and_marks_the_most_relevant_first() {
    let app = app().await;
    create(&app, json!({ "title": "a dark room", "body": "where no light comes in" })).await;
    create(&app, json!({ "title": "LÍGHT", "body": "x" })).await;
    create(&app, json!({ "title": "the light of the moon", "body": "x" })).await;
    create(&app, json!({ "title": "colors", "extra": { "light": "dark", "said": ["Light!", 7] } })).await;
    create(&app, json!({ "title": "darkness" })).await;

    assert_eq!(found(&app, "light ").await, ["LÍGHT", "the light of the moon", "colors", "a dark room"]);
    assert_eq!(found(&app, "líght moon").await, ["the light of the moon"]);
    assert_eq!(found(&app, "7").await, ["colors"]);
    assert_eq!(found(&app, "nothing").await, Vec::<String>::new());
}

#[tokio::test]
async fn the_last_word_may_be_begun_phrases_stand_in_a_row_and_words_can_be_left_out() {
    let app = app().await;
    titled(&app, &["light", "lighthouse keeper", "keeper of the house", "house of light"]).await;

    assert_eq!(found(&app, "ligh").await.len(), 3);
    assert_eq!(found(&app, "ligh ").await, Vec::<String>::new(), "a space ends a word");
    assert_eq!(found(&app, "keeper hou").await, ["keeper of the house"]);
    assert_eq!(found(&app, "\"house of").await, ["house of light"]);
    assert_eq!(found(&app, "\"of house\"").await, Vec::<String>::new());
    assert_eq!(found(&app, "house -light").await, ["keeper of the house"]);
    assert_eq!(found(&app, "house -\"of light\"").await, ["keeper of the house"]);
}

#[tokio::test]
async fn typing_errors_are_forgiven_in_long_words_and_come_last() {
    let app = app().await;
    titled(&app, &["night", "light", "lighthouse", "lamp", "12345", "weight"]).await;

    assert_eq!(found(&app, "lihgt ").await, ["light"]);
    assert_eq!(found(&app, "ilght ").await, ["light"]);
    assert_eq!(found(&app, "ligthuose ").await, ["lighthouse"]);
    assert_eq!(found(&app, "ligthou").await, ["lighthouse"], "while it is being typed, too");
    assert_eq!(found(&app, "lapm ").await, Vec::<String>::new(), "not in four letters");
    assert_eq!(found(&app, "12354 ").await, Vec::<String>::new(), "not in numbers");
    titled(&app, &["slight", "plight", "flight", "lights"]).await;
    assert_eq!(found(&app, "light ").await, ["light", "lights"], "the word itself comes first");
}

#[tokio::test]
async fn a_search_that_cannot_be_is_refused_with_the_reason() {
    let app = app().await;
    let none = json!({ "name": "plain", "fields": [{ "name": "title", "type": "text" }], "rules": { "list": "true" } });
    app.operator(Method::POST, "/api/v1/collections").json(&none).send().await;

    assert_eq!(faults(&ask(&app, " ", "").await), [("?search", "required")]);
    assert_eq!(faults(&ask(&app, &"x".repeat(10_000), "").await), [("?search", "too-long")]);
    let words = |count: usize| (0..count).map(|it| format!("{it} ")).collect::<String>();
    assert_eq!(ask(&app, &words(32), "").await.status, 200);
    assert_eq!(faults(&ask(&app, &words(33), "").await), [("?search", "too-many")]);
    assert_eq!(faults(&ask(&app, "x", "&highlight=1").await), [("?highlight", "type")]);
    let plain = app.ask(Method::GET, "/api/v1/collections/plain/records?search=x").send().await;
    assert_eq!(faults(&plain), [("?search", "not-searched")]);
    let export = app.ask(Method::GET, &address("x", "").replace("?", "/export?")).send().await;
    assert_eq!(faults(&export), [("?search", "unknown")]);
}

#[tokio::test]
async fn a_search_goes_with_filter_sort_count_and_fields_in_one_question() {
    let app = app().await;
    for (title, views, state) in
        [("light a", 3, "live"), ("light b", 1, "live"), ("light c", 2, "draft"), ("dark d", 9, "live")]
    {
        create(&app, json!({ "title": title, "views": views, "state": state })).await;
    }

    assert_eq!(titles(&ask(&app, "light", "&sort=-views").await), ["light a", "light c", "light b"]);
    let narrowed =
        ask(&app, "light", "&sort=views&filter=views%20%3E%201&where[state]=live&count=exact&fields=title").await;
    assert_eq!(narrowed.body["data"], json!([{ "title": "light a" }]));
    assert_eq!(narrowed.body["meta"]["total"], 1);
    let ranked = ask(&app, "light", "&where[state]=live&count=exact").await;
    assert_eq!((titles(&ranked), &ranked.body["meta"]["total"]), (vec!["light a", "light b"], &json!(2)));
    let forgiven = ask(&app, "lihgt ", "&sort=-views&count=exact").await;
    assert_eq!((titles(&forgiven).len(), &forgiven.body["meta"]["total"]), (3, &json!(3)));
}

/// Everything on all pages, as far as the cursors lead.
async fn pages(app: &TestApp, search: &str, rest: &str) -> Vec<String> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let reply = ask(app, search, &format!("{rest}{cursor}")).await;
        all.extend(titles(&reply).into_iter().map(ToOwned::to_owned));
        match reply.body["meta"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// More than are ranked: what comes after these is neither lost nor shown twice.
#[tokio::test]
async fn pages_of_a_search_lead_to_every_record_once() {
    let app = app().await;
    let lines: String = (0..450)
        .map(|it| match it % 3 {
            0 => json!({ "title": format!("light {it}"), "body": "x" }),
            1 => json!({ "title": format!("dark {it}"), "body": "some lights" }),
            _ => json!({ "title": format!("dark {it}"), "body": "light" }),
        })
        .map(|it| format!("{it}\n"))
        .collect();
    let path = format!("{PATH}/import?format=ndjson");
    let imported = app.operator(Method::POST, &path).header("content-type", "application/x-ndjson").raw(lines);
    assert_eq!(imported.send().await.body["imported"], 450);

    for (search, count) in [("light", 450), ("light ", 300), ("light -x", 150), ("lihgt ", 300)] {
        let all = pages(&app, search, "&limit=70").await;
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (count, count), "{search}");
        let total = ask(&app, search, "&limit=1&count=exact").await;
        assert_eq!(total.body["meta"]["total"], count, "{search}");
        let mut numbered = Vec::new();
        for page in 1..=count.div_ceil(70) {
            let reply = ask(&app, search, &format!("&limit=70&page={page}")).await;
            numbered.extend(titles(&reply).into_iter().map(ToOwned::to_owned));
        }
        assert_eq!(numbered, all, "{search}");
        let sorted = pages(&app, search, "&limit=70&sort=title").await;
        assert!(sorted.is_sorted() && sorted.len() == count, "{search}");
    }
    let first = ask(&app, "light", "&limit=1").await;
    let cursor = first.body["meta"]["nextCursor"].as_str().expect("a cursor");
    let other = ask(&app, "dark", &format!("&limit=1&cursor={cursor}")).await;
    assert_eq!(faults(&other), [("?cursor", "invalid")], "a cursor is of its own search");
}

#[tokio::test]
async fn a_hidden_field_is_searched_only_for_those_who_see_it() {
    let app = app().await;
    create(&app, json!({ "title": "one", "body": "common words", "note": "secret plan" })).await;
    create(&app, json!({ "title": "two", "body": "common words", "note": "common" })).await;
    let of_admin = |search: &str| app.as_role("admin", Method::GET, &address(search, "&highlight=true")).send();

    for search in ["secret", "\"secret plan\"", "secrte ", "secr"] {
        assert_eq!(found(&app, search).await, Vec::<String>::new(), "{search}");
        assert_eq!(titles(&of_admin(search).await), ["one"], "{search}");
    }
    assert_eq!(found(&app, "common -secret").await.len(), 2, "what is left out tells nothing either");
    assert_eq!(titles(&of_admin("common").await), ["two", "one"]);
    let before = ask(&app, "common", "&highlight=true").await;
    let score = |at: usize| before.body["data"][at]["_search"]["score"].as_f64().expect("a score");
    assert_eq!((titles(&before), score(0)), (vec!["one", "two"], score(1)), "a hit in a hidden field does not count");
    assert!(!before.text.contains("secret") && !before.text.contains("note"), "{before:?}");
    let unseen = json!({ "name": "sealed", "fields": [{ "name": "note", "type": "text", "hidden": true }],
        "search": { "note": 1 }, "rules": { "list": "true" } });
    app.operator(Method::POST, "/api/v1/collections").json(&unseen).send().await;
    let sealed = app.ask(Method::GET, "/api/v1/collections/sealed/records?search=x").send().await;
    assert_eq!(faults(&sealed), [("?search", "not-searched")]);
}

/// What others wrote, and the reader may not see, changes neither what is found, nor its order, nor its score.
#[tokio::test]
async fn records_that_may_not_be_seen_change_nothing_in_a_search() {
    let app = with_rules(json!({ "list": "state == 'live'" })).await;
    for (title, body) in [("rare", "common common"), ("common", "rare"), ("both rare", "and common words")] {
        create(&app, json!({ "title": title, "body": body, "state": "live" })).await;
    }
    let answers = async || {
        let mut answers = Vec::new();
        for search in ["rare common", "rare", "comon ", "raer ", "acquisition", "acquisitoin ", "c"] {
            let reply = ask(&app, search, "&highlight=true&count=exact").await;
            assert_eq!(reply.status, 200, "{reply:?}");
            answers.push(reply.text);
        }
        answers
    };
    let before = answers().await;

    for number in 0..40 {
        let text = format!("rare acquisition comon raer {number} {}", "rare ".repeat(50));
        create(&app, json!({ "title": text, "body": text, "state": "draft" })).await;
    }

    assert_eq!(answers().await, before);
}

#[tokio::test]
async fn what_was_found_is_marked_and_can_stand_in_html() {
    let app = app().await;
    create(&app, json!({ "title": "<script>light</script>", "extra": { "a": ["\"light\" & more"] } })).await;

    let reply = ask(&app, "light ", "&highlight=true&fields=title").await;

    let record = &reply.body["data"][0];
    assert_eq!(
        record["_search"]["highlights"],
        json!({ "title": "&lt;script&gt;<mark>light</mark>&lt;/script&gt;", "extra": "&quot;<mark>light</mark>&quot; &amp; more" })
    );
    let score = record["_search"]["score"].as_f64().expect("a score");
    assert!((0.5..1.0).contains(&score));
    let sorted = ask(&app, "light ", "&highlight=true&sort=title").await;
    assert!(sorted.body["data"][0]["_search"].get("score").is_none(), "{sorted:?}");
    assert!(sorted.body["data"][0]["_search"]["highlights"]["title"].is_string());
    assert!(ask(&app, "light", "").await.body["data"][0].get("_search").is_none());
}

#[tokio::test]
async fn search_is_never_out_of_step_with_the_records() {
    let app = app().await;
    let old = create(&app, json!({ "title": "first", "extra": { "a": "json" } })).await;
    let path = format!("{PATH}/{}", old.str("id"));
    create(&app, json!({ "title": "child", "parent": old.str("id") })).await;

    let patch = |body: Value| app.operator(Method::PATCH, &path).json(&body).send();
    assert_eq!(patch(json!({ "title": "second" })).await.status, 200);
    assert_eq!((found(&app, "first ").await.len(), found(&app, "second").await.len()), (0, 1));
    assert_eq!(patch(json!({ "extra": { "a": "other" } })).await.status, 200);
    assert_eq!((found(&app, "json").await.len(), found(&app, "other").await.len()), (0, 1));
    assert_eq!(patch(json!({ "views": 7 })).await.status, 200);
    assert_eq!(found(&app, "second").await, ["second"]);
    // What is refused leaves no words.
    let nobody = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";
    let refused = app.operator(Method::POST, PATH).json(&json!({ "title": "ghost", "parent": nobody })).send().await;
    assert_eq!(refused.status, 422);
    assert_eq!(found(&app, "ghost").await.len(), 0);
    // A record that goes takes others with it.
    assert_eq!(app.operator(Method::DELETE, &path).send().await.status, 204);
    assert_eq!((found(&app, "second").await.len(), found(&app, "child").await.len()), (0, 0));
    assert_eq!(ask(&app, "child", "&count=exact").await.body["meta"]["total"], 0);
}

#[tokio::test]
async fn search_goes_with_every_change_of_its_collection_and_the_preview_says_so() {
    let app = app().await;
    create(&app, json!({ "title": "alpha", "body": "beta", "extra": { "a": "gamma" } })).await;
    let shown = app.operator(Method::GET, "/api/v1/collections/posts").send().await;
    let mut fields = shown.body["fields"].clone();
    let preview = async |body: &Value| {
        let path = "/api/v1/collections/posts/preview";
        let reply = app.operator(Method::POST, path).json(body).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text
    };
    let patch = async |path: &str, body: &Value| app.operator(Method::PATCH, path).json(body).send().await;
    let finds = async |path: &str, word: &str| {
        let reply = app.ask(Method::GET, &format!("{path}/records?search={word}%20")).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["data"].as_array().expect("data").len()
    };
    let posts = "/api/v1/collections/posts";

    // The weights alone are words in the catalogue.
    let weights = json!({ "search": { "title": 1, "body": 9, "extra": 1, "note": 5 } });
    let told = preview(&weights).await;
    assert!(told.contains("change the weights") && !told.contains("index the words"), "{told}");
    assert_eq!(patch(posts, &weights).await.status, 200);
    assert_eq!(finds(posts, "alpha").await, 1);
    // A field by another name, which comes elsewhere in the order.
    fields[0]["name"] = "zitle".into();
    fields[0]["renamedFrom"] = "title".into();
    let renamed = json!({ "fields": fields });
    assert!(preview(&renamed).await.contains("index the words"));
    let changed = patch(posts, &renamed).await;
    assert_eq!((changed.status, &changed.body["search"]["zitle"]), (200, &json!(1)), "{changed:?}");
    for word in ["alpha", "beta", "gamma"] {
        assert_eq!(finds(posts, word).await, 1, "{word}");
    }
    // A searched field does not go unnoticed.
    fields = changed.body["fields"].clone();
    fields.as_array_mut().expect("fields").remove(1);
    assert_eq!(faults(&patch(posts, &json!({ "fields": fields })).await), [("/search/body", "unknown")]);
    let both = json!({ "fields": fields, "search": { "zitle": 1, "extra": 1 } });
    assert_eq!(patch(posts, &both).await.status, 200);
    assert_eq!((finds(posts, "beta").await, finds(posts, "gamma").await), (0, 1));
    // The collection by another name, and still kept.
    assert_eq!(patch(posts, &json!({ "name": "pages" })).await.status, 200);
    let pages = "/api/v1/collections/pages";
    let made = app.operator(Method::POST, &format!("{pages}/records")).json(&json!({ "zitle": "delta" })).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!((finds(pages, "alpha").await, finds(pages, "delta").await), (1, 1));
    // No search any more, and search again; then nothing is left of it.
    assert_eq!(patch(pages, &json!({ "search": {} })).await.status, 200);
    let none = app.ask(Method::GET, &format!("{pages}/records?search=x")).send().await;
    assert_eq!(faults(&none), [("?search", "not-searched")]);
    let id = made.str("id");
    assert_eq!(patch(&format!("{pages}/records/{id}"), &json!({ "zitle": "epsilon" })).await.status, 200);
    assert_eq!(patch(pages, &json!({ "search": { "zitle": 1 } })).await.status, 200);
    assert_eq!((finds(pages, "delta").await, finds(pages, "epsilon").await), (0, 1));
    assert_eq!(app.operator(Method::DELETE, pages).send().await.status, 204);
    let again = json!({ "name": "pages", "fields": [{ "name": "a", "type": "text" }], "search": { "a": 1 },
        "rules": { "list": "true" } });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&again).send().await.status, 201);
    assert_eq!(finds(pages, "epsilon").await, 0);
}

/// What lies in the bin is found only by those who may see it there.
#[tokio::test]
async fn a_search_does_not_find_what_lies_in_the_bin() {
    let app = app().await;
    let bin = json!({ "options": { "softDelete": true } });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/posts").json(&bin).send().await.status, 200);
    let made = create(&app, json!({ "title": "light" })).await;
    titled(&app, &["light too"]).await;
    let path = format!("{PATH}/{}", made.str("id"));
    assert_eq!(app.operator(Method::DELETE, &path).send().await.status, 204);

    assert_eq!(found(&app, "light").await, ["light too"]);
    assert_eq!(ask(&app, "light", "&count=exact&sort=title").await.body["meta"]["total"], 1);
    let in_bin = app.operator(Method::GET, &address("light", "&trashed=only")).send().await;
    assert_eq!(titles(&in_bin), ["light"]);
    let restored = app.operator(Method::POST, &format!("{path}/restore")).json(&json!({})).send().await;
    assert_eq!(restored.status, 200, "{restored:?}");
    assert_eq!(found(&app, "light").await.len(), 2);
}

#[tokio::test]
async fn what_is_called_so_comes_first_and_then_what_begins_so() {
    let app = app().await;
    let often = "dog ".repeat(40);
    for (title, body) in
        [("dog do", often.as_str()), ("Dog!", "x"), ("hot dog", &often), ("dog", "dog"), ("dogs", &often)]
    {
        create(&app, json!({ "title": title, "body": body })).await;
    }
    create(&app, json!({ "title": "cat", "body": "dog" })).await;

    for search in ["dog", "dog "] {
        let found = found(&app, search).await;
        assert_eq!((found.len(), &found[..4]), (6, &["dog", "Dog!", "dog do", "hot dog"].map(ToOwned::to_owned)[..]));
    }
    assert_eq!(found(&app, "hot dog").await[0], "hot dog");
    assert_eq!(found(&app, "dog -hot").await[0], "dog");
    let scored = ask(&app, "dog", "&highlight=true").await;
    let scores: Vec<f64> = scored.body["data"]
        .as_array()
        .expect("data")
        .iter()
        .map(|it| it["_search"]["score"].as_f64().expect("a score"))
        .collect();
    assert!(scores.is_sorted_by(|a, b| b <= a) && scores.iter().all(|it| (0.5..=1.0).contains(it)), "{scores:?}");
}

/// Only some hundred records are compared, the newest. What is called so is among them however old it is, and stands
/// on one page only.
#[tokio::test]
async fn what_is_called_so_is_found_first_among_many_that_begin_so() {
    let app = app().await;
    create(&app, json!({ "title": "The", "body": "hidden", "state": "draft" })).await;
    create(&app, json!({ "title": "the", "body": "x", "state": "live" })).await;
    let lines: String = (0..450)
        .map(|it| format!("{{\"title\": \"the {it}\", \"body\": \"the the\", \"state\": \"live\"}}\n"))
        .collect();
    let import = app.operator(Method::POST, &format!("{PATH}/import?format=ndjson")).raw(lines).send().await;
    assert_eq!(import.body["imported"], 450, "{import:?}");

    assert_eq!(found(&app, "the ").await[..2], ["The", "the"]);
    let live = ask(&app, "the", "&where[state]=live&count=exact").await;
    assert_eq!((titles(&live)[0], &live.body["meta"]["total"]), ("the", &json!(451)));
    let mut all = Vec::new();
    let mut rest = String::new();
    loop {
        let page = ask(&app, "the", &format!("&limit=100{rest}")).await;
        all.extend(titles(&page).into_iter().map(ToOwned::to_owned));
        let Some(cursor) = page.body["meta"]["nextCursor"].as_str() else { break };
        rest = format!("&cursor={cursor}");
    }
    let by_number = ask(&app, "the", "&limit=100&page=5").await;
    assert_eq!(titles(&by_number), all[400..].iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(all[..2], ["The", "the"]);
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 452, "each of them once");
}
