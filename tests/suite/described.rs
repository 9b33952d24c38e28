//! Promises about collections in the OpenAPI document: how large it gets, and what whom it tells.
use poem::http::Method;
use serde_json::{Map, Value, json};

use crate::support::TestApp;
use crate::support::promise::resolved;

async fn make(app: &TestApp, collection: &Value) {
    let made = app.operator(Method::POST, "/api/v1/collections").json(collection).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// What someone reads of the document, as text.
async fn read(app: &TestApp, role: &str, path: &str) -> String {
    let answer = app.as_role(role, Method::GET, path).send().await;
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.header("vary"), Some("authorization, cookie, accept-encoding"));
    answer.text
}

/// Everybody who opens Swagger UI fetches it, and so does whatever makes clients.
#[tokio::test]
async fn two_hundred_collections_of_twenty_fields_are_a_document_of_few_megabytes() {
    let app = TestApp::new().await;
    let types = ["text", "integer", "number", "bool", "datetime", "email", "url", "json", "select", "relation"];
    let field = |n: usize| {
        let mut field = json!({ "name": format!("field{n}"), "type": types[n % types.len()] });
        match field["type"].as_str() {
            Some("select") => field["values"] = json!(["draft", "live", "gone"]),
            Some("relation") => field["collection"] = json!("users"),
            _ => {}
        }
        field
    };
    let fields: Vec<_> = (0..20).map(field).collect();
    let rules = json!({ "list": "true", "view": "true", "create": "true", "update": "true", "delete": "true" });
    for n in 0..20 {
        make(&app, &json!({ "name": format!("collection{n}"), "fields": fields, "rules": rules })).await;
    }

    let with = read(&app, "", "/openapi.json").await.len();
    let without = read(&TestApp::new().await, "", "/openapi.json").await.len();

    let whole = without + (with - without) * 10;
    assert!(whole < 7_000_000, "{whole} bytes: {} for each collection", (with - without) / 20);
}

#[tokio::test]
async fn strangers_read_nothing_of_collections_that_are_for_admins_alone() {
    let app = TestApp::with_people().await;
    make(
        &app,
        &json!({ "name": "audits", "fields": [
        { "name": "verdict", "type": "select", "values": ["embezzled"], "default": "embezzled" },
        { "name": "book", "type": "relation", "collection": "audits" },
    ] }),
    )
    .await;
    make(&app, &json!({ "name": "books", "rules": { "list": "title != ''" }, "fields": [{ "name": "title", "type": "text" }] })).await;

    for path in ["/openapi.json", "/openapi-3.1.json"] {
        for (role, knows) in [("", false), ("user", false), ("admin", true)] {
            let document = read(&app, role, path).await;
            assert!(document.contains("RecordList_books"), "{role} {path}");
            assert_eq!(document.contains("audits") && document.contains("embezzled"), knows, "{role} {path}");
            assert_eq!(document.contains("audits") || document.contains("embezzled"), knows, "{role} {path}");
        }
    }
    for (role, status) in [("", 404), ("user", 404), ("admin", 200)] {
        let shown = app.as_role(role, Method::GET, "/api/v1/collections/audits/schema").send().await;
        assert_eq!(shown.status, status, "{role} {shown:?}");
        let never = app.as_role(role, Method::GET, "/api/v1/collections/nothing/schema").send().await;
        assert_eq!(never.status, 404);
    }
    let worn_out = app.ask(Method::GET, "/openapi.json").bearer("worn out").send().await;
    assert_eq!(worn_out.text, read(&app, "", "/openapi.json").await, "a token that does not work is nobody's");
}

/// Generators of clients, and whoever copies an example, take the document at its word.
#[tokio::test]
async fn what_the_document_gives_for_a_value_is_one() {
    let app = TestApp::new().await;
    make(
        &app,
        &json!({ "name": "odd", "rules": { "list": "true", "create": "true" }, "fields": [
        { "name": "at", "type": "datetime", "default": "2026-01-02t03:04:05+01:00" },
        { "name": "mail", "type": "email", "default": " Ada@Example.COM" },
        { "name": "whole", "type": "integer", "default": 1.0 },
        { "name": "below", "type": "integer", "max": -5 },
        { "name": "long", "type": "text", "min": 20 },
        { "name": "short", "type": "text", "max": 2 },
        { "name": "home", "type": "url", "default": "https://example.com/ä" },
        { "name": "code", "type": "text", "pattern": "(?i)^\\w+\\z" },
    ] }),
    )
    .await;
    make(
        &app,
        &json!({ "name": "strict", "rules": { "create": "true" }, "fields": [
        { "name": "code", "type": "text", "required": true, "pattern": "^[0-9]{3}$" },
        { "name": "title", "type": "text" },
    ] }),
    )
    .await;

    let document = app.openapi().await;

    let new = &document["components"]["schemas"]["NewRecord_odd"];
    let default = |name: &str| &new["properties"][name]["default"];
    assert_eq!(default("at"), "2026-01-02T02:04:05.000Z");
    assert_eq!((default("mail"), default("whole")), (&json!("ada@example.com"), &json!(1)));
    assert_eq!(new["properties"]["home"]["default"], Value::Null, "it is no `uri`");
    assert!(new["properties"]["code"]["pattern"].is_null() && new["properties"]["code"]["description"].is_string());
    let example = &new["example"];
    assert_eq!((&example["below"], &example["short"]), (&json!(-5), &json!("sh")));
    assert_eq!(example["long"].as_str().map(str::len), Some(20));
    let made = app.operator(Method::POST, "/api/v1/collections/odd/records").json(example).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(document["components"]["schemas"]["NewRecord_strict"].get("example"), None, "`code` would be missing");
}

#[tokio::test]
async fn the_conditions_of_a_list_are_listed_and_the_others_told() {
    let app = TestApp::new().await;
    let fields = json!([{ "name": "title", "type": "text" }, { "name": "views", "type": "integer" }]);
    make(&app, &json!({ "name": "posts", "fields": fields, "rules": { "list": "true" } })).await;

    let document = app.openapi().await;

    let list = &document["paths"]["/api/v1/collections/posts/records"]["get"]["parameters"];
    let parameters: Map<_, _> = list
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| resolved(&document, it))
        .map(|it| (it["name"].as_str().expect("a name").to_owned(), it.clone()))
        .collect();
    for name in
        ["limit", "cursor", "page", "sort", "filter", "fields", "where[title]", "where[views]", "where[views][gte]"]
    {
        assert!(parameters.contains_key(name), "{name}");
    }
    let told = parameters["filter"]["description"].as_str().expect("words");
    for operator in ["`ne`", "`lt`", "`in`", "`isNull`", "where[field][operator]"] {
        assert!(told.contains(operator), "{operator} {told}");
    }
}
