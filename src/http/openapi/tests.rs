//! What the served documents say, and that both say the same.
use std::sync::atomic::{AtomicU32, Ordering};

use poem::http::StatusCode;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi, OpenApiService, Union};

use super::*;
use crate::http::{Input, Permission, Problem, problem};

#[derive(Object)]
struct Inner {
    size: Option<i64>,
}

#[derive(Object)]
struct Outer {
    name: String,
    /// A referred type with a comment becomes one of several parts.
    inner: Option<Inner>,
    plain: Option<Inner>,
    #[oai(validator(minimum(value = "1", exclusive)))]
    count: i64,
}

#[derive(Object)]
struct Circle {
    radius: f64,
}

#[derive(Union)]
#[oai(discriminator_name = "kind", one_of)]
enum Figure {
    Circle(Circle),
}

struct Api;

#[OpenApi]
impl Api {
    #[oai(path = "/outer", method = "post", operation_id = "make")]
    async fn make(&self, body: Input<Outer>) -> Result<Json<String>, Problem> {
        Ok(Json(body.read()?.name))
    }

    #[oai(path = "/figure", method = "post", operation_id = "draw")]
    async fn draw(&self, _body: Input<Figure>) -> Json<String> {
        Json(String::new())
    }
}

const TERMS: &[Terms] = &[Terms { operation: "make", who: Who::SignedIn, problems: &[&problem::NOT_FOUND] }];

fn documents() -> Documents {
    let told =
        Told { kinds: problem::PROBLEMS.to_vec(), of_callers: &[], terms: &[TERMS], insiders: Permission("x:read") };
    Documents::new(|| OpenApiService::new(Api, "test", "1").spec(), told)
}

async fn get(documents: &Documents, path: &str) -> Value {
    let request = Request::builder().uri_str(path).finish();
    let response = documents.route(Route::new()).call(request).await.expect("served");
    assert_eq!(response.header("cache-control"), Some("no-cache"));
    response.into_body().into_json().await.expect("JSON")
}

fn schema<'a>(document: &'a Value, name: &str) -> &'a Value {
    &document["components"]["schemas"][name]
}

#[tokio::test]
async fn what_may_be_left_out_may_be_null_in_both_versions() {
    let old = get(&documents(), "/openapi.json").await;
    let new = get(&documents(), "/openapi-3.1.json").await;

    assert_eq!(old["openapi"], "3.0.3");
    assert_eq!(schema(&old, "Outer")["properties"]["name"]["nullable"], Value::Null);
    assert_eq!(schema(&old, "Inner")["properties"]["size"]["nullable"], true);
    let reference = json!({ "$ref": "#/components/schemas/Inner" });
    assert_eq!(schema(&old, "Outer")["properties"]["inner"]["allOf"], json!([reference]));
    assert_eq!(schema(&old, "Outer")["properties"]["plain"], json!({ "allOf": [reference], "nullable": true }));

    assert_eq!(new["openapi"], "3.1.0");
    assert_eq!(schema(&new, "Inner")["properties"]["size"]["type"], json!(["integer", "null"]));
    assert_eq!(schema(&new, "Outer")["properties"]["plain"], json!({ "anyOf": [reference, { "type": "null" }] }));
}

/// A word of 3.0 in a 3.1 document is ignored by its readers, and so is what it was meant to say.
#[tokio::test]
async fn the_newer_document_has_no_words_of_the_older() {
    let new = get(&documents(), "/openapi-3.1.json").await;

    let mut words = Vec::new();
    schemas::each(&mut new.clone(), &mut |schema| {
        words.extend(schema.keys().filter(|it| ["nullable", "example"].contains(&it.as_str())).cloned());
        assert!(!schema.get("exclusiveMinimum").is_some_and(Value::is_boolean), "{schema:?}");
    });
    assert_eq!(words, Vec::<String>::new());
    let count = &schema(&new, "Outer")["properties"]["count"];
    assert_eq!((&count["exclusiveMinimum"], &count["minimum"]), (&json!(1.0), &Value::Null));
}

/// The server refuses unknown members at every depth, so the document says so at every depth.
#[tokio::test]
async fn bodies_are_closed_at_every_depth_but_not_against_their_own_parts() {
    let document = get(&documents(), "/openapi.json").await;

    assert_eq!(schema(&document, "Outer")["additionalProperties"], false);
    assert_eq!(schema(&document, "Inner")["additionalProperties"], false);
    assert_eq!(schema(&document, "Figure")["additionalProperties"], Value::Null, "it has no members of its own");
    assert_eq!(schema(&document, "Circle")["additionalProperties"], Value::Null, "`kind` stands beside `radius`");
}

#[tokio::test]
async fn what_is_added_at_run_time_is_served_at_once_and_hides_nothing() {
    let (documents, served) = (documents(), documents());
    let post = json!({ "post": { "operationId": "create_post", "responses": {} } });
    let added = |path: &str, name: &str| {
        let schema = json!({ "type": "object", "properties": { "x": { "type": "string", "nullable": true } } });
        Described {
            paths: Map::from_iter([(path.to_owned(), post.clone())]),
            schemas: Map::from_iter([(name.to_owned(), schema)]),
            ..Described::default()
        }
    };

    let first = added("/posts", "Post");
    served.set_added(1, Box::new(move |_| first.clone()));
    let first = get(&served, "/openapi-3.1.json").await;
    let second = added("/outer", "Outer");
    served.set_added(2, Box::new(move |_| second.clone()));
    let second = get(&served, "/openapi.json").await;

    assert_eq!(first["paths"]["/posts"]["post"]["operationId"], "create_post");
    assert_eq!(schema(&first, "Post")["properties"]["x"]["type"], json!(["string", "null"]));
    assert_eq!(second, get(&documents, "/openapi.json").await);
}

/// Two changes may be told at once, and the older one last: the document would be out of date until the next.
#[tokio::test]
async fn what_is_older_does_not_take_the_place_of_what_is_newer() {
    let documents = documents();
    let added = |path: &str| Described {
        paths: Map::from_iter([(path.to_owned(), json!({ "get": { "responses": {} } }))]),
        ..Described::default()
    };

    documents.set_added(2, Box::new(move |_| added("/newer")));
    documents.set_added(1, Box::new(move |_| added("/older")));

    let served = get(&documents, "/openapi.json").await;
    assert!(served["paths"]["/newer"].is_object() && served["paths"]["/older"].is_null());
}

/// Hundreds of collections are made one after the other, and nobody reads the document in between.
#[tokio::test]
async fn a_document_is_written_when_it_is_asked_for_and_once() {
    let (documents, written) = (documents(), Arc::new(AtomicU32::new(0)));
    for generation in 0..10 {
        let counted = Arc::clone(&written);
        let describe = move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Described::default()
        };
        documents.set_added(generation, Box::new(describe));
    }
    assert_eq!(written.load(Ordering::Relaxed), 0);

    get(&documents, "/openapi.json").await;
    get(&documents, "/openapi-3.1.json").await;

    assert_eq!(written.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_client_that_has_the_document_is_told_so() {
    let route = documents().route(Route::new());
    let first = route.call(Request::builder().uri_str("/openapi.json").finish()).await.expect("served");
    let etag = first.header("etag").expect("a tag").to_owned();

    let request = Request::builder().uri_str("/openapi.json").header("if-none-match", etag).finish();
    let again = route.call(request).await.expect("served");

    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}

/// Examples are the user's own data: they may have members named as OpenAPI's words.
#[test]
fn an_example_is_left_as_it_is() {
    let example = json!({ "nullable": true, "schema": { "nullable": true, "type": "x" } });
    let mut document = json!({
        "paths": { "/x": { "get": { "parameters": [{ "schema": { "type": "string", "nullable": true } }],
            "responses": { "200": { "content": { "application/json": {
                "schema": { "type": "object", "example": example }, "example": example } } } } } } },
    });

    schemas::each(&mut document, &mut schemas::as_3_1);

    let operation = &document["paths"]["/x"]["get"];
    let content = &operation["responses"]["200"]["content"]["application/json"];
    assert_eq!(operation["parameters"][0]["schema"], json!({ "type": ["string", "null"] }));
    assert_eq!((&content["schema"]["examples"][0], &content["example"]), (&example, &example));
}

fn failure<'a>(document: &'a Value, path: &str, status: &str) -> &'a Value {
    let reference = document["paths"][path]["post"]["responses"][status]["$ref"].as_str();
    let name = reference.and_then(|it| it.strip_prefix("#/components/responses/"));
    name.map_or(&Value::Null, |it| &document["components"]["responses"][it])
}

/// A client can be written against the codes only if each operation names its own.
#[tokio::test]
async fn each_operation_names_its_problems_by_status_with_an_example_of_each() {
    let document = get(&documents(), "/openapi.json").await;

    let not_found = failure(&document, "/outer", "404");
    assert_eq!(not_found["description"], "- [`not-found`](/problems/not-found): Nothing here");
    let content = &not_found["content"]["application/problem+json"];
    assert_eq!(content["examples"]["not-found"]["$ref"], "#/components/examples/not-found");
    assert_eq!(document["components"]["examples"]["not-found"]["value"]["code"], "not-found");
    assert_eq!(failure(&document, "/figure", "404"), &Value::Null, "only what was declared");

    assert_eq!(
        failure(&document, "/outer", "401")["headers"]["WWW-Authenticate"]["$ref"],
        "#/components/headers/WWW-Authenticate"
    );
    assert_eq!(failure(&document, "/figure", "401"), &Value::Null, "nobody has to sign in");
    for status in ["400", "408", "413", "415", "422", "500", "503"] {
        assert!(failure(&document, "/figure", status).is_object(), "{status} follows from the body");
    }
    for range in ["4XX", "5XX"] {
        assert_eq!(document["paths"]["/outer"]["post"]["responses"][range], Value::Null);
    }
    assert!(!document.to_string().contains("x-problems"));
    assert!(!document.to_string().contains(r#""parameters":null"#), "clients read a list");
}

#[tokio::test]
async fn who_may_is_said_last() {
    let document = get(&documents(), "/openapi.json").await;

    let operation = &document["paths"]["/outer"]["post"];

    assert_eq!(
        (&operation["description"], &operation["security"]),
        (&json!("Anyone signed in may."), &json!([{ "bearer": [] }, { "cookie": [] }]))
    );
}
