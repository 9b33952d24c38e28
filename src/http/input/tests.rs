//! What a caller may send, and what is said of the rest.
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use poem::http::{Method, StatusCode};
use poem::{Body, Endpoint, IntoEndpoint};
use poem_openapi::payload::PlainText;
use poem_openapi::registry::MetaSchema;
use poem_openapi::types::{MaybeUndefined, ParseError, ParseResult, ToJSON};
use poem_openapi::{Enum, Object, OpenApi, OpenApiService, Union};
use serde_json::json;

use super::document::NESTING_MAX;
use super::*;
use crate::base::Timestamp;
use crate::http::problem::FAULTS_MAX;
use crate::http::problem::ProblemError;

#[derive(Debug, PartialEq, Enum)]
#[oai(rename_all = "lowercase")]
enum Color {
    Red,
    Green,
}

/// A text that only its own type can judge.
#[derive(Debug, PartialEq)]
struct Word(String);

impl Type for Word {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "string_word".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "word")))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(self.as_raw_value().into_iter())
    }
}

impl ToJSON for Word {
    fn to_json(&self) -> Option<Value> {
        Some(Value::String(self.0.clone()))
    }
}

impl ParseFromJSON for Word {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) if text.contains("careless") => {
                Err(ParseError::custom(format!("must not be {text}")))
            }
            Some(Value::String(text)) if text.contains(' ') => Err(ParseError::custom("must be one word")),
            Some(Value::String(text)) => Ok(Self(text)),
            other => Err(ParseError::expected_type(other.unwrap_or_default())),
        }
    }
}

#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
struct Profile {
    /// A comment makes the schema a reference under a comment.
    #[oai(validator(min_length = 1, max_length = 5))]
    name: String,
    favorite_color: Option<Color>,
    #[oai(rename = "a/b~c")]
    odd: Option<i8>,
}

#[derive(Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase")]
struct Thing {
    #[oai(validator(pattern = "^[a-z]+$", max_length = 10))]
    slug: String,
    #[oai(validator(minimum(value = "1"), maximum(value = "10", exclusive)))]
    size: i64,
    #[oai(validator(minimum(value = "0", exclusive)))]
    weight: Option<f64>,
    /// Who it is.
    profile: Profile,
    #[oai(validator(max_items = 3))]
    parts: Option<Vec<Profile>>,
    labels: Option<HashMap<String, u8>>,
    at: Option<Timestamp>,
    count: Option<u64>,
    ratio: Option<f32>,
    word: Option<Word>,
    #[oai(default)]
    level: i32,
    anything: Option<Value>,
    #[oai(read_only)]
    made_at: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Object)]
struct Patch {
    name: MaybeUndefined<String>,
}

#[derive(Debug, PartialEq, Object)]
struct Tree {
    /// The parts of a tree are trees.
    children: Vec<Tree>,
}

#[derive(Debug, PartialEq, Object)]
struct Circle {
    radius: f64,
}

#[derive(Debug, PartialEq, Object)]
struct Square {
    side: f64,
}

#[derive(Debug, PartialEq, Union)]
#[oai(discriminator_name = "kind", one_of)]
enum Figure {
    Circle(Circle),
    Square(Square),
}

fn refused<T: ParseFromJSON + fmt::Debug + 'static>(body: &str) -> Problem {
    parse::<T>(body.as_bytes()).expect_err(body)
}

/// Pointers and codes of the faults of a `Thing` that is valid but for `members`.
fn faults(members: &str) -> Vec<(String, String)> {
    let body = format!(r#"{{"slug":"a","size":1,"profile":{{"name":"a"}},{members}}}"#);
    let problem = refused::<Thing>(&body);
    assert_eq!(problem.kind, &problem::INVALID, "{body}: {}", problem.detail);
    problem.errors.into_iter().map(|it| (it.pointer, it.code)).collect()
}

fn fault(members: &str) -> (String, String) {
    let mut faults = faults(members);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.remove(0)
}

fn is(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

#[test]
fn a_valid_document_is_read() {
    let thing: Thing = parse(
        br#"{"slug":"a","size":9,"profile":{"name":"\u00fc","favoriteColor":"green","a/b~c":null},
             "labels":{"x":255},"at":"2026-01-02T03:04:05.678Z","count":18446744073709551615,"level":null}"#,
    )
    .expect("valid");

    assert_eq!((thing.profile.name.as_str(), thing.profile.favorite_color), ("ü", Some(Color::Green)));
    assert_eq!((thing.count, thing.level), (Some(u64::MAX), 0));
}

/// Who mends one fault after the other gives up; the answer has them all.
#[test]
fn all_faults_are_told_at_once_with_their_pointers() {
    let problem = refused::<Thing>(
        r#"{"slug":"NO","slug":"x","size":10,"sise":1,"profile":{"name":"","favoriteColor":"blue","a/b~c":200},
            "parts":[{"name":"a"},{"nam":"b"},{"name":7},{"name":"abcdef"}],"labels":{"x/y":-1},"at":"now"}"#,
    );

    let told: Vec<_> = problem.errors.iter().map(|it| (it.pointer.as_str(), it.code.as_str())).collect();
    assert_eq!(
        told,
        [
            ("/slug", "duplicate"),
            ("/slug", "pattern"),
            ("/size", "too-large"),
            ("/sise", "unknown"),
            ("/profile/name", "too-short"),
            ("/profile/favoriteColor", "not-one-of"),
            ("/profile/a~1b~0c", "too-large"),
            ("/parts", "too-many"),
            ("/parts/1/nam", "unknown"),
            ("/parts/1/name", "required"),
            ("/parts/2/name", "type"),
            ("/parts/3/name", "too-long"),
            ("/labels/x~1y", "too-small"),
            ("/at", "format"),
        ]
    );
    let unknown = problem.errors.iter().find(|it| it.pointer == "/sise").expect("told");
    assert_eq!(unknown.detail, "is not known here; did you mean `size`?");
}

#[test]
fn a_missing_member_is_required_and_null_is_no_value() {
    let missing = refused::<Thing>("{}");
    let null = refused::<Thing>(r#"{"slug":null,"size":1,"profile":{"name":"a"}}"#);

    let pointers: Vec<_> = missing.errors.iter().map(|it| (it.pointer.as_str(), it.code.as_str())).collect();
    assert_eq!(pointers, [("/slug", "required"), ("/size", "required"), ("/profile", "required")]);
    assert_eq!(
        (null.errors[0].pointer.as_str(), null.errors[0].detail.as_str()),
        ("/slug", "must be a string, not null")
    );
}

/// PATCH needs the difference: leave it, or remove it.
#[test]
fn absent_and_null_differ_where_the_type_says_so() {
    assert_eq!(parse::<Patch>(b"{}").expect("valid").name, MaybeUndefined::Undefined);
    assert_eq!(parse::<Patch>(br#"{"name":null}"#).expect("valid").name, MaybeUndefined::Null);
}

/// A number or `true` is never taken as text, although the framework would.
#[test]
fn a_type_is_not_converted_into_another() {
    for (body, article) in [("7", "a number"), ("true", "a boolean"), ("[]", "an array"), ("{}", "an object")] {
        let problem = refused::<Thing>(&format!(r#"{{"slug":{body},"size":1,"profile":{{"name":"a"}}}}"#));

        assert_eq!(problem.errors, [Fault::new("/slug", "type", format!("must be a string, not {article}"))]);
    }
    assert_eq!(refused::<Thing>("[]").errors, [Fault::new("", "type", "must be an object, not an array")]);
}

#[test]
fn whole_numbers_are_exact_to_their_edges() {
    let count = |text: &str| {
        parse::<Thing>(format!(r#"{{"slug":"a","size":1,"profile":{{"name":"a"}},"count":{text}}}"#).as_bytes())
    };

    assert_eq!(count("18446744073709551615").expect("u64").count, Some(u64::MAX));
    assert_eq!(count("1.0").expect("1").count, Some(1));
    assert_eq!(count("1e3").expect("1000").count, Some(1_000));
    assert_eq!(count("-0").expect("0").count, Some(0));
    assert_eq!(fault(r#""count":18446744073709551616"#), is("/count", "too-large"));
    assert_eq!(fault(r#""count":-1"#), is("/count", "too-small"));
    assert_eq!(fault(r#""count":-1e30"#), is("/count", "too-small"));
    assert_eq!(fault(r#""count":1.5"#), is("/count", "type"));
    assert_eq!(fault(r#""level":2147483648"#), is("/level", "too-large"));
    assert_eq!(fault(r#""level":-2147483649"#), is("/level", "too-small"));
    assert_eq!(fault(r#""ratio":1e39"#), is("/ratio", "too-large"));
    assert_eq!(count("1e999").expect_err("no number").kind, &problem::MALFORMED);
}

#[test]
fn an_exclusive_bound_excludes_itself() {
    for (size, fits) in [("0", false), ("1", true), ("9", true), ("10", false)] {
        let body = format!(r#"{{"slug":"a","size":{size},"profile":{{"name":"a"}}}}"#);

        assert_eq!(parse::<Thing>(body.as_bytes()).is_ok(), fits, "{size}");
    }
    assert_eq!(fault(r#""weight":0"#), is("/weight", "too-small"));
    assert!(parse::<Thing>(br#"{"slug":"a","size":1,"profile":{"name":"a"},"weight":0.1}"#).is_ok());
}

/// Five characters fit into five, whether they take five bytes or twenty.
#[test]
fn length_is_counted_in_characters() {
    for (name, fits) in [("ééééé", true), ("éééééé", false), ("🦀🦀🦀🦀🦀", true), ("🦀🦀🦀🦀🦀🦀", false)]
    {
        let body = format!(r#"{{"slug":"a","size":1,"profile":{{"name":"{name}"}}}}"#);

        assert_eq!(parse::<Thing>(body.as_bytes()).is_ok(), fits, "{name}");
    }
}

#[test]
fn what_the_server_sets_cannot_be_sent() {
    assert_eq!(fault(r#""madeAt":"2026-01-02T03:04:05.678Z""#), is("/madeAt", "read-only"));
}

#[test]
fn a_member_tells_which_variant_is_meant() {
    let circle = parse::<Figure>(br#"{"kind":"Circle","radius":1}"#).expect("a circle");

    assert_eq!(circle, Figure::Circle(Circle { radius: 1.0 }));
    assert_eq!(refused::<Figure>(r#"{"kind":"Square","radius":1}"#).errors.len(), 2);
    assert_eq!(refused::<Figure>(r#"{"kind":"Cube"}"#).errors[0].code, "not-one-of");
    assert_eq!(refused::<Figure>("{}").errors[0].pointer, "/kind");
    assert_eq!(refused::<Figure>("7").errors[0].pointer, "");
}

#[test]
fn a_type_may_hold_itself() {
    let tree = parse::<Tree>(br#"{"children":[{"children":[]}]}"#).expect("a tree");
    let problem = refused::<Tree>(r#"{"children":[{"children":[{}]}]}"#);

    assert_eq!(tree.children.len(), 1);
    assert_eq!(problem.errors[0].pointer, "/children/0/children/0/children");
}

#[test]
fn what_is_no_json_is_malformed_and_says_where() {
    for (body, place) in [
        ("", "empty"),
        ("{\n  \"slug\": hunter2}", "line 2 column 11"),
        ("{} {}", "line 1 column 4"),
        ("{\"slug\":\"a\",}", "line 1 column 13"),
        ("{\"slug\":\"hunter2", "line 1 column 16"),
        ("\u{feff}{}", "line 1 column 1"),
        ("'hunter2'", "line 1 column 1"),
        (r#"{"slug":"\ud800"}"#, "line 1"),
        ("NaN", "line 1"),
    ] {
        let problem = refused::<Thing>(body);

        assert_eq!(problem.kind, &problem::MALFORMED, "{body}");
        assert!(problem.detail.contains(place), "{body}: {}", problem.detail);
        assert!(!problem.detail.contains("hunter2"), "{}", problem.detail);
    }
    assert_eq!(parse::<Thing>(b"{\"slug\":\"\xff\"}").expect_err("not UTF-8").kind, &problem::MALFORMED);
}

#[test]
fn a_text_has_no_end_in_the_middle() {
    assert_eq!(faults(r#""anything":["a\u0000b"]"#), [is("/anything/0", "nul")]);
    assert_eq!(faults(r#""anything":{"a\u0000b":1}"#), [is("/anything", "nul")]);
}

#[test]
fn duplicates_are_seen_at_every_depth_even_where_anything_goes() {
    assert_eq!(fault(r#""anything":[{"a":{"b":1,"b":1}}]"#), is("/anything/0/a/b", "duplicate"));
}

/// Depth costs the sender nothing, so it must not cost the reader its stack.
#[test]
fn a_body_takes_no_more_memory_than_a_body_may() {
    let many = |item: &str, count: usize| format!("{{\"x\":[{}1]}}", item.repeat(count));

    for (item, count) in [("[[1]],", 170_000), ("1,", 500_000), ("{\"a\":1},", 110_000)] {
        let refused = parse::<Value>(many(item, count).as_bytes()).expect_err("too many");
        assert_eq!(refused.kind.code, "body-too-large", "{item}");
    }
    assert!(parse::<Value>(many("-0.12345678,", 80_000).as_bytes()).is_ok(), "a long list of numbers is no trouble");
    assert!(parse::<Value>(many("{\"lat\":52.52,\"lon\":13.405},", 20_000).as_bytes()).is_ok());
}

#[test]
fn a_document_of_100_000_levels_is_refused_at_once() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let started = Instant::now();

    let deep = refused::<Value>(&nested(100_000));
    let too_deep = refused::<Value>(&nested(NESTING_MAX + 1));
    let fits = parse::<Value>(nested(NESTING_MAX).as_bytes());

    assert_eq!((deep.kind, too_deep.kind), (&problem::MALFORMED, &problem::MALFORMED));
    assert!(too_deep.detail.contains("nested deeper than 64 levels"), "{}", too_deep.detail);
    assert!(fits.is_ok());
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn faults_are_capped_and_the_answer_says_so() {
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|it| format!(r#""x{it}":1"#)).collect();
        format!(r#"{{"name":"a",{}}}"#, members.join(","))
    };

    let many = refused::<Patch>(&members(400));
    let just = refused::<Patch>(&members(FAULTS_MAX));

    assert_eq!((many.errors.len(), just.errors.len()), (FAULTS_MAX, FAULTS_MAX));
    assert!(many.detail.starts_with("more than 100 values"), "{}", many.detail);
    assert!(just.detail.starts_with("100 values"), "{}", just.detail);
}

/// A hundred faults below one name of a megabyte must not make an answer of a hundred megabytes.
#[test]
fn long_names_do_not_make_long_answers() {
    let name = "x".repeat(100_000);
    let wrong: Vec<_> = (0..100).map(|it| format!(r#"{{"name":"a","y{it}":1}}"#)).collect();

    let unknown = refused::<Patch>(&format!(r#"{{"{name}":1}}"#));
    let below = refused::<HashMap<String, Vec<Patch>>>(&format!(r#"{{"{name}":[{}]}}"#, wrong.join(",")));

    assert_eq!(unknown.errors[0].pointer, "");
    assert_eq!(below.errors.iter().map(|it| it.pointer.len()).sum::<usize>(), 0);
}

#[test]
fn a_value_is_never_sent_back() {
    let secret = "correct-horse-battery";
    for body in [
        format!(
            r#"{{"slug":"{secret}!","size":"{secret}","profile":"{secret}","parts":["{secret}"],"at":"{secret}"}}"#
        ),
        format!(r#"{{"slug":"a","size":1,"profile":{{"name":"a"}},"word":"careless {secret}"}}"#),
    ] {
        let problem = refused::<Thing>(&body);

        assert!(!format!("{problem:?}").contains(secret), "{problem:?}");
    }
}

#[test]
fn what_only_the_type_knows_is_told_in_its_own_words() {
    let body = r#"{"slug":"a","size":1,"profile":{"name":"a"},"word":"two words"}"#;

    let problem = refused::<Thing>(body);

    assert_eq!(problem.errors, [Fault::new("", "invalid", "must be one word")]);
}

struct Api;

#[OpenApi]
impl Api {
    #[oai(path = "/patch", method = "post")]
    async fn patch(&self, body: Input<Patch>) -> Result<PlainText<String>, Problem> {
        Ok(PlainText(format!("{:?}", body.read()?.name)))
    }

    #[oai(path = "/optional", method = "post")]
    async fn optional(&self, body: Input<Option<Patch>>) -> Result<PlainText<String>, Problem> {
        Ok(PlainText(format!("{:?}", body.read()?.is_some())))
    }

    #[oai(path = "/forbidden", method = "post")]
    async fn forbidden(&self, _body: Input<Patch>) -> Result<PlainText<String>, Problem> {
        Err(Problem::new(&problem::NOT_ALLOWED, "not you"))
    }
}

async fn post(path: &str, content_type: Option<&str>, body: Body) -> (StatusCode, Option<Problem>) {
    let endpoint = OpenApiService::new(Api, "test", "1").into_endpoint();
    let mut request = Request::builder().method(Method::POST).uri_str(path);
    if let Some(content_type) = content_type {
        request = request.content_type(content_type);
    }
    let response = endpoint.get_response(request.body(body)).await;
    (response.status(), response.extensions().get::<Problem>().cloned())
}

#[tokio::test]
async fn only_json_in_utf8_is_taken() {
    for (content_type, status) in [
        (Some("application/json"), 200),
        (Some("Application/JSON; charset=\"UTF-8\""), 200),
        (Some("application/merge-patch+json"), 200),
        (Some("application/json; charset=utf-16"), 415),
        (Some("application/+json"), 415),
        (Some("application/json-patch+json"), 415),
        (Some("text/json"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (None, 415),
    ] {
        let (answered, _) = post("/patch", content_type, json!({ "name": "a" }).to_string().into()).await;

        assert_eq!(answered.as_u16(), status, "{content_type:?}");
    }
}

/// What a good body would be is nobody's business who may not send one.
#[tokio::test]
async fn a_body_is_judged_when_the_endpoint_asks_and_not_before() {
    for (content_type, body) in [("application/json", "{\"nonsense\":"), ("text/plain", "x")] {
        let (answered, _) = post("/forbidden", Some(content_type), body.into()).await;

        assert_eq!(answered.as_u16(), 403);
    }
}

#[tokio::test]
async fn a_body_that_need_not_be_sent_may_be_left_out() {
    assert_eq!(post("/optional", None, Body::empty()).await.0, StatusCode::OK);
    assert_eq!(post("/patch", Some("application/json"), Body::empty()).await.0, StatusCode::BAD_REQUEST);
}

/// The guard of bodies stops a body in the middle; its reason is what the client sees.
#[tokio::test]
async fn a_body_that_was_stopped_fails_with_the_guards_problem() {
    let stopped = || io::Error::other(ProblemError(Problem::new(&problem::BODY_TOO_LARGE, "at most 10 bytes")));
    let parts = futures_util::stream::iter([Ok("{\"name\":"), Err(stopped())]);

    let (status, problem) = post("/patch", Some("application/json"), Body::from_bytes_stream(parts)).await;

    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(problem.expect("a problem").detail, "at most 10 bytes");
}
