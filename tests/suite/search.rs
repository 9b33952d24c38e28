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
    assert_eq!(faults(&export), [("?", "unknown")]);
}
