//! The promises of the shell, through requests.
use std::io;

use futures_util::StreamExt;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{EndpointExt, Route, RouteMethod, get, handler};
use serde_json::{Value, json};

use super::super::cors::{Cors, Origins};
use super::super::log::kept::Kept;
use super::super::policy::Limits;
use super::*;
use crate::base::Timestamp;

const MADE_ID: &str = "00000000-0000-7000-8000-000000000001";

#[handler]
async fn echo(body: String) -> String {
    body
}

#[handler]
async fn where_from(request: &Request) -> String {
    let client = request.data::<ClientAddress>().and_then(|it| it.0).expect("an address");
    let reached = request.data::<Reached>().expect("a host");
    let tenant = request.data::<TenantId>().expect("a tenant");
    format!("{client} {} {} {tenant} {}", reached.https, reached.host(), request.uri())
}

#[handler]
async fn hang() {
    std::future::pending::<()>().await;
}

#[handler]
fn fail() {
    panic!("the numbers were {}", 42);
}

#[handler]
async fn large(cap: poem::web::Data<&BodyCap>, body: Body) -> poem::Result<String> {
    cap.raise(100);
    Ok(body.into_vec().await?.len().to_string())
}

fn shell(policy: Policy) -> Shell {
    let router = Route::new()
        .at("/api/v1/echo", RouteMethod::new().post(echo))
        .at("/api/v1/where", get(where_from))
        .at("/api/v1/large", RouteMethod::new().post(large))
        .at("/hang", get(hang))
        .at("/fail", get(fail))
        .boxed();
    let clock = Clock::stopped_at(Timestamp::from_millis(0));
    Shell::new(router.map_to_response().boxed(), policy.live(), clock, Random::counting())
}

/// A request as the accept loop hands it over.
fn from(peer: &str, request: http::request::Builder, body: impl Into<Body>) -> Request {
    let (mut parts, ()) = request.body(()).expect("a request").into_parts();
    if parts.version == Version::HTTP_11 && parts.uri.authority().is_none() {
        parts.headers.entry("host").or_insert(HeaderValue::from_static("steading.example"));
    }
    let peer: SocketAddr = peer.parse().expect("an address");
    let parts = poem::RequestParts::from((parts, LocalAddr(peer.into()), RemoteAddr(peer.into()), Scheme::HTTP));
    Request::from_parts(parts, body.into())
}

fn ask(request: http::request::Builder, body: impl Into<Body>) -> Request {
    from("192.0.2.1:4711", request, body)
}

fn to(path: &str) -> http::request::Builder {
    http::Request::get(path)
}

async fn text(response: Response) -> String {
    response.into_body().into_string().await.expect("text")
}

async fn document(response: Response) -> Value {
    assert_eq!(response.content_type(), Some(problem::MEDIA_TYPE));
    response.into_body().into_json().await.expect("JSON")
}

#[tokio::test]
async fn an_answer_carries_its_id_its_time_and_the_careful_headers() {
    let answer = shell(Policy::default()).answer(ask(to("/api/where"), "")).await;

    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.header("x-request-id"), Some(MADE_ID));
    let time = answer.header("x-response-time").expect("a time");
    let (whole, decimals) = time.strip_suffix("ms").and_then(|it| it.split_once('.')).expect("milliseconds");
    assert!(whole.parse::<u32>().is_ok() && decimals.len() == 3, "{time}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn the_router_sees_the_canonical_path_and_who_asks() {
    let answer = shell(Policy::default()).answer(ask(to("/api/where?q=1"), "")).await;

    assert_eq!(text(answer).await, "192.0.2.1 false steading.example main /api/v1/where?q=1");
}

#[tokio::test]
async fn only_a_trusted_proxy_speaks_for_someone_else() {
    let policy = Policy { trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")], ..Policy::default() };
    let shell = shell(policy);
    let forwarded = || {
        to("/api/where")
            .header("x-forwarded-for", "198.51.100.7")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "app.example")
    };

    let trusted = shell.answer(from("10.0.0.1:1", forwarded(), "")).await;
    let forged = shell.answer(from("192.0.2.1:1", forwarded(), "")).await;

    assert!(trusted.header("strict-transport-security").is_some());
    assert!(forged.header("strict-transport-security").is_none());
    assert_eq!(text(trusted).await, "198.51.100.7 true app.example main /api/v1/where");
    assert_eq!(text(forged).await, "192.0.2.1 false steading.example main /api/v1/where");
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_a_problem_with_the_requests_id() {
    let answer = shell(Policy::default()).answer(ask(to("/nowhere").header("x-request-id", "mine-1"), "")).await;

    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
    let document = document(answer).await;
    assert_eq!((&document["code"], &document["instance"]), (&json!("not-found"), &json!("mine-1")));
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_too() {
    let answer = shell(Policy::default()).answer(ask(http::Request::delete("/api/v1/echo"), "")).await;

    assert_eq!(document(answer).await["code"], "method-not-allowed");
}

#[tokio::test]
async fn a_request_without_a_host_is_malformed_and_still_gets_every_header() {
    let answer = shell(Policy::default()).answer(ask(to("/health").header("host", "a b"), "")).await;

    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-request-id"), Some(MADE_ID));
    assert_eq!(document(answer).await["code"], "malformed-request");
}

/// What a panic says may hold anything, so it stays in the log.
#[tokio::test]
async fn a_panic_ends_its_request_only_and_is_not_told() {
    let shell = shell(Policy::default());

    let answer = shell.answer(ask(to("/fail"), "")).await;

    assert_eq!(answer.status().as_u16(), 500);
    let document = document(answer).await;
    assert_eq!(document["code"], "internal");
    assert!(!document.to_string().contains("42"));
    assert_eq!(shell.answer(ask(to("/api/where"), "")).await.status().as_u16(), 200);
}

#[test]
fn the_words_of_a_panic_are_found() {
    let with_a_number = catch_unwind(|| panic!("the numbers were {}", 42)).expect_err("a panic");
    let plain = catch_unwind(|| panic!("plain")).expect_err("a panic");

    assert_eq!(message(&*with_a_number), "the numbers were 42");
    assert_eq!(message(&*plain), "plain");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_given_up() {
    let answer = shell(Policy::default()).answer(ask(to("/hang"), "")).await;

    assert_eq!((answer.status().as_u16(), answer.header("retry-after")), (503, Some("5")));
    assert_eq!(document(answer).await["code"], "given-up");
}

/// A large upload over a slow line takes minutes; what is bounded is the handler's own time.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_steady_body_is_not_the_handlers_time() {
    let parts = futures_util::stream::unfold(0, |sent| async move {
        tokio::time::sleep(Duration::from_secs(2)).await;
        (sent < 50).then(|| (Ok::<_, io::Error>(Bytes::from(vec![b'x'; 4096])), sent + 1))
    });
    let request = ask(http::Request::post("/api/v1/echo"), Body::from_bytes_stream(parts));

    let answer = shell(Policy::default()).answer(request).await;

    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(text(answer).await.len(), 50 * 4096);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_408() {
    let parts = futures_util::stream::unfold((), |()| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, io::Error>(Bytes::from_static(b"x")), ()))
    });
    let request = ask(http::Request::post("/api/v1/echo"), Body::from_bytes_stream(parts));

    let answer = shell(Policy::default()).answer(request).await;

    assert_eq!((answer.status().as_u16(), answer.header("connection")), (408, Some("close")));
    assert_eq!(document(answer).await["code"], "request-timeout");
}

fn tiny() -> Policy {
    Policy { limits: Limits { body_bytes_max: 10, ..Limits::default() }, ..Policy::default() }
}

#[tokio::test]
async fn a_body_over_the_cap_is_413_and_one_at_the_cap_is_not() {
    let shell = shell(tiny());
    let post = || http::Request::post("/api/v1/echo");

    let at = shell.answer(ask(post(), "0123456789")).await;
    let over = shell.answer(ask(post(), "0123456789x")).await;
    let admitted = shell.answer(ask(post().header("content-length", "11"), "short")).await;
    let lied = shell.answer(ask(post().header("content-length", "1"), "0123456789x")).await;

    assert_eq!(at.status().as_u16(), 200);
    for answer in [over, admitted, lied] {
        assert_eq!(document(answer).await["code"], "body-too-large");
    }
}

#[tokio::test]
async fn a_route_may_take_more() {
    let shell = shell(tiny());

    let more = shell.answer(ask(http::Request::post("/api/v1/large"), vec![b'x'; 100])).await;
    let too_much = shell.answer(ask(http::Request::post("/api/v1/large"), vec![b'x'; 101])).await;

    assert_eq!(text(more).await, "100");
    assert_eq!(too_much.status().as_u16(), 413);
}

/// Hundreds of bodies that are sent but for their last byte must not fill the memory, nor keep others out.
#[tokio::test]
async fn bodies_that_are_held_in_memory_have_a_limit_in_all_and_for_one_address() {
    let limits = Limits { bodies_bytes_max: 100_000, ..Limits::default() };
    let shell = shell(Policy { limits, ..Policy::default() });
    let post = |peer: &str, body: Body| shell.answer(from(peer, http::Request::post("/api/v1/echo"), body));
    let part = || Body::from(vec![b'x'; 20_000]);
    let first = futures_util::stream::iter([io::Result::Ok(Bytes::from(vec![b'x'; 20_000]))]);
    let without_end = Body::from_bytes_stream(first.chain(futures_util::stream::pending()));
    let mut held = Box::pin(post("192.0.2.1:1", without_end));
    assert!(futures_util::poll!(&mut held).is_pending());

    let refused = post("192.0.2.1:2", part()).await;
    assert_eq!((refused.status().as_u16(), refused.header("retry-after")), (503, Some("1")));
    assert_eq!(document(refused).await["code"], "busy");
    assert_eq!(post("192.0.2.1:2", Body::from("small")).await.status().as_u16(), 200);
    assert_eq!(post("192.0.2.2:1", part()).await.status().as_u16(), 200);

    drop(held);
    assert_eq!(post("192.0.2.1:2", part()).await.status().as_u16(), 200);
}

/// What is passed on part by part takes no memory, however long it is.
#[tokio::test]
async fn a_body_that_nobody_keeps_is_not_counted() {
    let shell = shell(Policy { limits: Limits { bodies_bytes_max: 10, ..Limits::default() }, ..Policy::default() });

    let answer = shell.answer(ask(http::Request::post("/api/v1/large"), vec![b'x'; 100])).await;

    assert_eq!(text(answer).await, "100");
}

#[tokio::test]
async fn a_preflight_is_answered_without_the_router() {
    let origins = Origins::Only { origins: vec!["https://app.example".to_owned()], credentials: true };
    let shell = shell(Policy { cors: Cors { origins, ..Cors::default() }, ..Policy::default() });
    let preflight = |origin: &'static str| {
        let request = http::Request::options("/api/v1/nowhere").header("access-control-request-method", "PUT");
        ask(request.header("origin", origin), "")
    };

    let ours = shell.answer(preflight("https://app.example")).await;
    let theirs = shell.answer(preflight("https://evil.example")).await;

    assert_eq!(ours.status().as_u16(), 200);
    assert_eq!(ours.header("access-control-allow-origin"), Some("https://app.example"));
    assert_eq!(ours.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(theirs.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn an_answer_to_head_has_no_body_also_when_it_is_a_problem() {
    let answer = shell(Policy::default()).answer(ask(http::Request::head("/nowhere"), "")).await;

    assert_eq!(answer.status().as_u16(), 404);
    assert!(answer.header("content-length").is_some_and(|it| it != "0"));
    assert_eq!(text(answer).await, "");
}

/// A policy takes effect with the next request, without a restart.
#[tokio::test]
async fn a_policy_can_be_swapped() {
    let live = tiny().live();
    let router = Route::new().at("/api/v1/echo", RouteMethod::new().post(echo)).boxed();
    let shell = Shell::new(router, live.clone(), Clock::system(), Random::system());
    let post = || ask(http::Request::post("/api/v1/echo"), "0123456789x");
    assert_eq!(shell.answer(post()).await.status().as_u16(), 413);

    live.store(Arc::new(Policy::default()));

    assert_eq!(shell.answer(post()).await.status().as_u16(), 200);
}

/// Unpacked by nobody, a compressed body would be stored, or be called no JSON.
#[tokio::test]
async fn a_compressed_body_is_415_and_the_answer_says_what_is_taken() {
    for (coding, expected) in
        [("gzip", 415), ("identity, br", 415), ("x-made-up", 415), ("\u{fc}", 415), ("Identity", 200), ("", 200)]
    {
        let request = http::Request::post("/api/v1/echo").header("content-encoding", coding.as_bytes());
        let response = shell(Policy::default()).answer(ask(request, "x")).await;

        assert_eq!(response.status().as_u16(), expected, "{coding}");
        if expected == 415 {
            assert_eq!(response.header("accept-encoding"), Some("identity"));
            assert!(text(response).await.contains(r#""code":"unsupported-media-type""#));
        }
    }
    let without_body = http::Request::get("/api/v1/where").header("content-encoding", "gzip");
    assert_eq!(shell(Policy::default()).answer(ask(without_body, "")).await.status().as_u16(), 200);
}

/// A secret in a query belongs to the client and to nobody who reads logs.
#[tokio::test]
async fn one_line_is_logged_and_it_does_not_hold_the_query() {
    let (kept, _guard) = Kept::of_this_thread();

    shell(Policy::default()).answer(ask(to("/api/where?token=hunter2"), "")).await;
    shell(Policy::default()).answer(ask(to("/fail").header("x-request-id", "mine-1"), "")).await;

    let lines = kept.lines();
    let line = &lines[0];
    assert_eq!(line["target"], "steading::request");
    assert_eq!((&line["method"], &line["path"], &line["status"]), (&json!("GET"), &json!("/api/where"), &json!(200)));
    assert_eq!((&line["client.address"], &line["request.id"]), (&json!("192.0.2.1"), &json!(MADE_ID)));
    assert!(line["duration_ms"].is_f64() && line["bytes"].is_u64());
    assert!(!format!("{lines:?}").contains("hunter2"));
    let panicked = lines.iter().find(|it| it["panic"].is_string()).expect("the panic is logged");
    assert_eq!(panicked["panic"], "the numbers were 42");
    assert_eq!(panicked["span"]["request.id"], "mine-1");
}
