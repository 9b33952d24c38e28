//! Whether an answer is one that the OpenAPI document promises: asked of every answer that a test gets.
use std::sync::{Arc, Mutex, PoisonError};

use poem::Request;
use poem::http::{Method, Uri};
use serde_json::Value;
use steading::base::TenantId;
use steading::http::{Caller, Shell, alias};

use super::Reply;

/// The document as it was last served, so that it is read again only when it changed.
#[derive(Default)]
pub struct Promises {
    known: Mutex<Option<(String, Arc<Value>)>>,
}

impl Promises {
    /// Fails the test if the document says nothing of such an answer. What is no operation promises nothing.
    pub async fn check(&self, shell: &Shell, method: &Method, path: &Uri, reply: &Reply) {
        let mut path = path.clone();
        alias::rewrite(method, &mut path);
        let document = self.document(shell).await;
        let Some((template, operations)) = template(&document, path.path()) else { return };
        let Some(operation) = operations.get(method.as_str().to_lowercase()) else { return };
        let broken = faults(&document, operation, reply);
        assert!(
            broken.is_empty(),
            "{method} {template} ({}) is not answered as the OpenAPI document says: {}. \
             Either the answer is wrong, or the terms of the operation (`terms.rs` of its feature) are. {reply:?}",
            operation["operationId"],
            broken.join("; ")
        );
    }

    async fn document(&self, shell: &Shell) -> Arc<Value> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let tag = known.as_ref().map_or("\"none\"", |(tag, _)| tag);
        // With an id of its own, so that it takes none of those that the test counts on.
        let request = Request::builder().uri_str("/openapi.json").header("host", "localhost");
        let request = request.extension(Caller::operator(TenantId::main()));
        let request = request.header("x-request-id", "promises").header("if-none-match", tag).finish();
        let response = shell.answer(request).await;
        let tag = response.header("etag").unwrap_or_default().to_owned();
        match (response.status().as_u16(), known) {
            (200, _) => {
                let document = Arc::new(response.into_body().into_json().await.expect("the document"));
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((tag, Arc::clone(&document)));
                document
            }
            (_, Some((_, document))) => document,
            (status, None) => panic!("the document was not to be had: {status}"),
        }
    }
}

/// The path of the document that a path is: of several the one with the most words of its own.
fn template<'a>(document: &'a Value, path: &str) -> Option<(&'a String, &'a Value)> {
    let segments: Vec<_> = path.split('/').collect();
    let is_it = |template: &str| {
        let parts: Vec<_> = template.split('/').collect();
        parts.len() == segments.len()
            && parts.iter().zip(&segments).all(|(part, it)| part == it || (part.starts_with('{') && !it.is_empty()))
    };
    let fitting = document["paths"].as_object()?.iter().filter(|(template, _)| is_it(template));
    fitting.min_by_key(|(template, _)| template.matches('{').count())
}

/// What stands under a part of the document, wherever it is described.
pub fn resolved<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    match part["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => part,
    }
}

fn faults(document: &Value, operation: &Value, reply: &Reply) -> Vec<String> {
    let answer = resolved(document, &operation["responses"][reply.status.to_string()]);
    if answer.is_null() {
        return vec![format!("the status {} is not listed", reply.status)];
    }
    let mut faults = Vec::new();
    if reply.content_type() == "application/problem+json" {
        let code = reply.body["code"].as_str().unwrap_or_default();
        if !answer["content"]["application/problem+json"]["examples"][code].is_object() {
            faults.push(format!("the problem `{code}` is not listed under {}", reply.status));
        }
    }
    for (name, header) in answer["headers"].as_object().into_iter().flatten() {
        if resolved(document, header)["required"] == true && reply.header(name).is_none() {
            faults.push(format!("the header `{name}` is missing under {}", reply.status));
        }
    }
    for name in ["etag", "location", "link", "retry-after", "www-authenticate", "x-request-id"] {
        let is_told =
            answer["headers"].as_object().into_iter().flatten().any(|(told, _)| told.eq_ignore_ascii_case(name));
        if reply.header(name).is_some() && !is_told {
            faults.push(format!("the header `{name}` is not listed under {}", reply.status));
        }
    }
    faults
}

/// The check itself must see what it is there to see.
#[test]
fn an_answer_that_was_not_promised_is_seen() {
    let document = serde_json::json!({ "paths": {
        "/a/{id}": { "get": { "responses": { "404": { "$ref": "#/components/responses/NotFound" } } } }, "/a/b": {},
    }, "components": { "responses": { "NotFound": {
        "headers": { "X-Request-Id": { "required": true } },
        "content": { "application/problem+json": { "examples": { "not-found": {} } } },
    } } } });
    let reply = |status, code: &str, headers: &[(&'static str, &'static str)]| {
        let told = headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        let kind = ("content-type".parse().expect("a name"), "application/problem+json".parse().expect("a value"));
        let headers = told.chain([kind]).collect();
        Reply { status, headers, body: serde_json::json!({ "code": code }), text: String::new() }
    };
    let (found, operations) = template(&document, "/a/7").expect("a path");
    let see = |status, code, headers| faults(&document, &operations["get"], &reply(status, code, headers)).len();

    assert_eq!((found.as_str(), template(&document, "/a/b").map(|it| it.0.as_str())), ("/a/{id}", Some("/a/b")));
    assert_eq!(see(404, "not-found", &[("x-request-id", "1")]), 0);
    assert_eq!(see(409, "not-found", &[("x-request-id", "1")]), 1, "a status");
    assert_eq!(see(404, "gone", &[("x-request-id", "1")]), 1, "a code");
    assert_eq!(see(404, "not-found", &[]), 1, "a header that is missing");
    assert_eq!(see(404, "not-found", &[("x-request-id", "1"), ("etag", "\"1\"")]), 1, "a header too many");
}
