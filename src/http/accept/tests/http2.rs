//! HTTP/2 without TLS.
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::*;

/// An HTTP/2 client without TLS, with prior knowledge.
pub(super) struct Http2 {
    pub(super) sender: hyper::client::conn::http2::SendRequest<Empty<Bytes>>,
    pub(super) tasks: JoinSet<()>,
}

impl Http2 {
    pub(super) async fn connect(server: &Server) -> Self {
        let stream = TokioIo::new(server.connect().await);
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(stream).await.expect("a handshake");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ = connection.await;
        });
        Self { sender, tasks }
    }
}

pub(super) fn get_over_http2(path: &str) -> http::Request<Empty<Bytes>> {
    http::Request::get(format!("http://a.example{path}")).body(Empty::new()).expect("a request")
}

#[tokio::test]
async fn http_2_with_prior_knowledge_works_also_after_a_pause() {
    let server = Server::start(quick()).await;
    let mut client = Http2::connect(&server).await;

    for path in ["/who", "/fail", "/who"] {
        let response = timeout(PATIENCE, client.sender.send_request(get_over_http2(path))).await;
        let response = response.expect("in time").expect("an answer");
        assert_eq!(response.status().as_u16(), if path == "/fail" { 500 } else { 200 });
        assert!(response.headers().contains_key("x-request-id"));
        response.into_body().collect().await.expect("the whole answer");
        sleep(Duration::from_millis(300)).await;
    }
}

#[tokio::test]
async fn a_large_answer_arrives_whole_over_http_2() {
    let server = Server::start(Limits::default()).await;
    let mut client = Http2::connect(&server).await;

    let response = client.sender.send_request(get_over_http2("/big")).await.expect("an answer");

    assert_eq!(response.headers()["content-length"], "67108864");
    assert_eq!(response.into_body().collect().await.expect("the whole answer").to_bytes().len(), 64 * 1024 * 1024);
}

/// Events may be far apart; that nothing is sent is not the client's doing.
#[tokio::test]
async fn an_answer_that_comes_slowly_from_us_is_not_cut() {
    let limits = Limits { write_timeout: Duration::from_millis(100), ..quick() };
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(100), ..limits }).await;
    let mut client = Http2::connect(&server).await;

    let over_http2 = client.sender.send_request(get_over_http2("/ticks")).await.expect("an answer");
    let over_http1 = server.say("GET /ticks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;

    assert_eq!(over_http2.into_body().collect().await.expect("the whole answer").to_bytes(), "tick tick tick ");
    assert!(over_http1.ends_with("0\r\n\r\n"), "{over_http1}");
}

/// One stream that is not read is reset; its connection and its neighbours go on.
#[tokio::test]
async fn an_http_2_stream_that_is_not_read_is_reset_alone() {
    let server = Server::start(Limits { write_timeout: Duration::from_millis(300), ..Limits::default() }).await;
    let mut client = Http2::connect(&server).await;
    let unread = client.sender.send_request(get_over_http2("/big")).await.expect("an answer");

    sleep(Duration::from_millis(1_000)).await;

    let neighbour = client.sender.send_request(get_over_http2("/who")).await.expect("an answer");
    assert_eq!(neighbour.status().as_u16(), 200);
    assert!(timeout(PATIENCE, unread.into_body().collect()).await.expect("an end").is_err(), "it was not reset");
}

/// A client that asks for nothing but says all the time that it is there is idle too.
#[tokio::test]
async fn pings_do_not_keep_an_http_2_connection_that_nobody_uses() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(500), ..Limits::default() }).await;
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let pings = builder.timer(hyper_util::rt::TokioTimer::new()).keep_alive_interval(Duration::from_millis(50));
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        pings.keep_alive_while_idle(true).handshake::<_, Empty<Bytes>>(stream).await.expect("a handshake");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = connection.await;
    });
    sender.send_request(get_over_http2("/who")).await.expect("an answer");

    timeout(PATIENCE, tasks.join_next()).await.expect("closed in time");
}

#[tokio::test]
async fn an_idle_http_2_connection_is_closed() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(300), ..Limits::default() }).await;
    let mut client = Http2::connect(&server).await;
    client.sender.send_request(get_over_http2("/who")).await.expect("an answer");

    timeout(PATIENCE, client.tasks.join_next()).await.expect("closed in time");
}
