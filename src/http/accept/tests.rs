//! The accept loop on real sockets, with requests written by hand.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use poem::endpoint::BoxEndpoint;
use poem::{Body, EndpointExt, Request, Route, RouteMethod, get, handler};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::super::body::BodyCap;
use super::super::policy::Limits;
use super::super::{Caller, ClientAddress};
use super::*;
use crate::base::{Clock, Random};

/// Long enough for a loaded machine; a test that passes never waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What handlers of a test and the test itself share.
#[derive(Clone, Default)]
struct Shared {
    bytes_read: Arc<AtomicUsize>,
    entered: Arc<Notify>,
    go_on: Arc<Notify>,
}

#[handler]
async fn swallow(shared: poem::web::Data<&Shared>, body: Body) -> poem::Result<String> {
    let mut parts = Box::pin(body.into_bytes_stream());
    while let Some(part) = parts.next().await {
        shared.bytes_read.fetch_add(part.map_err(poem::error::ReadBodyError::Io)?.len(), Ordering::Relaxed);
    }
    Ok(shared.bytes_read.load(Ordering::Relaxed).to_string())
}

#[handler]
async fn wait(shared: poem::web::Data<&Shared>) -> &'static str {
    shared.entered.notify_one();
    shared.go_on.notified().await;
    "done"
}

#[handler]
async fn who(request: &Request) -> String {
    let caller = request.extensions().get::<Caller>().map_or("a stranger", |it| it.role());
    let address = request.data::<ClientAddress>().and_then(|it| it.0);
    format!("{caller} from {address:?}, with a body: {}", request.data::<BodyCap>().is_some())
}

#[handler]
async fn fail() {
    panic!("on purpose");
}

#[handler]
async fn big() -> Vec<u8> {
    vec![b'x'; 64 * 1024 * 1024]
}

fn router(shared: Shared) -> BoxEndpoint<'static> {
    Route::new()
        .at("/read", RouteMethod::new().post(swallow))
        .at("/wait", get(wait))
        .at("/who", get(who).post(who))
        .at("/fail", get(fail))
        .at("/big", get(big))
        .data(shared)
        .map_to_response()
        .boxed()
}

/// A server on a port of its own.
struct Server {
    address: SocketAddr,
    shared: Shared,
    stop: CancellationToken,
    task: JoinSet<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::with(Policy { limits, log_requests: false, ..Policy::default() }, Vec::new()).await
    }

    async fn with(policy: Policy, mut doors: Vec<Door>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        doors.push(Door::Tcp(listener));
        let (shared, stop) = (Shared::default(), CancellationToken::new());
        let shell = Shell::new(router(shared.clone()), policy.live(), Clock::system(), Random::system());
        let mut task = JoinSet::new();
        task.spawn(serve(doors, Arc::new(shell), stop.clone(), Duration::from_secs(2)));
        Self { address, shared, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Sends bytes on a new connection and reads until it is closed.
    async fn say(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.expect("sent");
        read_all(&mut stream).await
    }

    async fn stopped(&mut self) {
        timeout(PATIENCE, self.task.join_next()).await.expect("stopped in time").expect("a task").expect("no panic");
    }
}

/// Reads until the other side closes. A reset is no end: it would mean that the answer was lost.
async fn read_all<S: AsyncReadExt + Unpin>(stream: &mut S) -> String {
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time").expect("closed in good order");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads one answer with a `Content-Length` from a connection that stays open.
async fn read_one(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|it| it.strip_prefix("content-length: ")).unwrap_or("0");
            if length.parse::<usize>().expect("a length") <= body.len() {
                return text;
            }
        }
        let read =
            timeout(PATIENCE, stream.read_buf(&mut answer)).await.expect("an answer in time").expect("an answer");
        assert_ne!(read, 0, "closed before the answer was complete: {text:?}");
    }
}

/// Waits until the other side has closed or reset the connection.
async fn is_cut(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut answer = [0; 1024];
    loop {
        match timeout(PATIENCE, stream.read(&mut answer)).await.expect("cut in time") {
            Ok(0) | Err(_) => return began.elapsed(),
            Ok(_) => {}
        }
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("no status")
}

const WHO: &str = "GET /who HTTP/1.1\r\nHost: a\r\n\r\n";
const WHO_AND_CLOSE: &str = "GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

fn quick() -> Limits {
    Limits { header_timeout: Duration::from_millis(200), ..Limits::default() }
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;

    for _ in 0..3 {
        stream.write_all(WHO.as_bytes()).await.expect("sent");
        assert_eq!(status(&read_one(&mut stream).await), "200");
    }
}

/// Slowloris: each connection that may wait for ever is a seat that is gone.
#[tokio::test]
async fn a_half_sent_head_is_cut() {
    let server = Server::start(quick()).await;
    for start in ["", "P", "PRI * HT", "GET /who HT", "GET /who HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(start.as_bytes()).await.expect("sent");

        assert!(is_cut(&mut stream).await < Duration::from_secs(10), "{start:?}");
    }
}

#[tokio::test]
async fn a_head_that_drips_is_cut() {
    let server = Server::start(quick()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /who HTTP/1.1\r\nHost: a\r\nX-Drip: ").await.expect("sent");

    let cut = timeout(PATIENCE, async {
        while stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });

    cut.await.expect("cut in time");
}

/// A keep-alive connection may rest for longer than a head may take.
#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_time_and_not_before() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(800), ..quick() }).await;
    let mut stream = server.connect().await;
    stream.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut stream).await;

    let rested = is_cut(&mut stream).await;

    assert!(Duration::from_millis(700) < rested && rested < PATIENCE, "{rested:?}");
}

#[tokio::test]
async fn the_head_of_a_second_request_is_timed_too() {
    let server = Server::start(quick()).await;
    let mut stream = server.connect().await;
    stream.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut stream).await;

    stream.write_all(b"GET /who HT").await.expect("sent");

    assert!(is_cut(&mut stream).await < Duration::from_secs(10));
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let limits = Limits { body_grace: Duration::from_millis(200), ..Limits::default() };
    let server = Server::start(limits).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n").await.expect("sent");
    let (mut reading, mut writing) = stream.split();

    let mut answer = Vec::new();
    tokio::select! {
        read = timeout(PATIENCE, reading.read_to_end(&mut answer)) => { read.expect("in time").expect("in good order"); }
        () = async { loop {
            let _ = writing.write_all(b"x").await;
            sleep(Duration::from_millis(50)).await;
        } } => {}
    }

    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(status(&answer), "408");
    assert!(answer.contains("\"code\":\"request-timeout\""), "{answer}");
}

/// A chunked body has no length to look at beforehand.
#[tokio::test]
async fn an_endless_chunked_body_is_413_and_not_read_to_its_end() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await.expect("sent");
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x1_0000], b"\r\n"].concat();
    for _ in 0..48 {
        stream.write_all(&chunk).await.expect("sent");
    }

    let answer = read_all(&mut stream).await;

    assert_eq!(status(&answer), "413");
    assert!(answer.contains("\"code\":\"body-too-large\""), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(server.shared.bytes_read.load(Ordering::Relaxed) <= 1024 * 1024, "more than the cap reached the handler");
}

#[tokio::test]
async fn a_body_that_admits_to_be_too_large_is_not_asked_for() {
    let server = Server::start(Limits::default()).await;

    let answer =
        server.say("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n").await;

    assert_eq!(status(&answer), "413");
    assert_eq!(server.shared.bytes_read.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_missing_doubled_or_malformed_host_is_400() {
    let server = Server::start(Limits::default()).await;
    for head in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: \r\n", "Host: a/b\r\n"]
    {
        let answer = server.say(format!("GET /who HTTP/1.1\r\n{head}Connection: close\r\n\r\n")).await;

        assert_eq!(status(&answer), "400", "{head:?}");
        assert!(answer.contains("application/problem+json"), "{head:?}");
    }
    assert_eq!(status(&server.say("GET /who HTTP/1.0\r\n\r\n").await), "200");
}

/// Two lengths are how a request is smuggled past a proxy: what comes after it must never
/// be taken for a request (RFC 9112 section 6.1).
#[tokio::test]
async fn after_a_request_with_two_lengths_the_connection_is_closed() {
    let server = Server::start(Limits::default()).await;
    let (cl, te) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for lengths in [format!("{cl}{te}"), format!("{te}{cl}")] {
        let smuggled = format!("POST /read HTTP/1.1\r\nHost: a\r\n{lengths}\r\n0\r\n\r\n{WHO}");

        let answer = server.say(smuggled).await;

        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.starts_with("HTTP/1.1 400") || answer.contains("connection: close"), "{answer}");
    }
    let unequal = "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello";
    assert_eq!(status(&server.say(unequal).await), "400");
    let not_chunked = "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nhello";
    assert_eq!(status(&server.say(not_chunked).await), "400");
}

#[tokio::test]
async fn a_head_of_33_kib_is_431() {
    let server = Server::start(Limits::default()).await;
    let padding = "x".repeat(33 * 1024);

    let answer = server.say(format!("GET /who HTTP/1.1\r\nHost: a\r\nX-Padding: {padding}\r\n\r\n")).await;

    assert_eq!(status(&answer), "431");
}

#[tokio::test]
async fn one_address_gets_no_more_than_its_share_unless_it_is_a_trusted_proxy() {
    let limits = Limits { connections_per_address_max: 2, ..Limits::default() };
    let server = Server::start(limits.clone()).await;
    let (first, _second) = (server.connect().await, server.connect().await);
    let mut third = server.connect().await;
    assert!(is_cut(&mut third).await < PATIENCE);

    drop(first);
    timeout(PATIENCE, async {
        while let Err(_) | Ok(0) = ask_who(&server).await {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a seat that was given back is free");

    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let behind = Server::with(Policy { limits, trusted_proxies, ..Policy::default() }, Vec::new()).await;
    let _held = (behind.connect().await, behind.connect().await);
    assert_eq!(status(&behind.say(WHO_AND_CLOSE).await), "200");
}

async fn ask_who(server: &Server) -> io::Result<usize> {
    let mut stream = server.connect().await;
    stream.write_all(WHO_AND_CLOSE.as_bytes()).await?;
    stream.read(&mut [0; 64]).await
}

#[tokio::test]
async fn a_client_without_a_seat_is_told_so() {
    let server = Server::start(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut held = server.connect().await;
    held.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut held).await;

    let answer = server.say(WHO_AND_CLOSE).await;

    assert_eq!(status(&answer), "503");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("Retry-After: 5") && head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(document["code"], "busy");
}

/// An answer that nobody reads is memory that nobody gets back.
#[tokio::test]
async fn a_client_that_never_reads_its_answer_is_cut() {
    let server =
        Server::start(Limits { write_timeout: Duration::from_millis(300), connections_max: 1, ..Limits::default() })
            .await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(server.address).await.expect("a connection");
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");

    let next = timeout(PATIENCE, async {
        loop {
            match server.say(WHO_AND_CLOSE).await {
                answer if status(&answer) == "200" => return,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    });

    next.await.expect("the seat of a client that does not read is given back");
}

#[tokio::test]
async fn a_slow_reader_gets_its_whole_answer() {
    let server = Server::start(Limits { write_timeout: Duration::from_secs(5), ..quick() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");

    let (mut total, mut part) = (0, vec![0; 1024 * 1024]);
    loop {
        let read = stream.read(&mut part).await.expect("the answer");
        if read == 0 {
            break;
        }
        total += read;
        sleep(Duration::from_millis(5)).await;
    }

    assert!(64 * 1024 * 1024 < total, "{total}");
}

#[tokio::test]
async fn a_panic_ends_one_request_and_no_other() {
    let server = Server::start(Limits::default()).await;

    let answer = server.say("GET /fail HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;

    assert_eq!(status(&answer), "500");
    assert!(answer.contains("\"code\":\"internal\"") && !answer.contains("on purpose"), "{answer}");
    assert_eq!(status(&server.say(WHO_AND_CLOSE).await), "200");
}

#[tokio::test]
async fn a_stop_finishes_what_is_in_flight_and_lets_nobody_in() {
    let mut server = Server::start(Limits::default()).await;
    let (mut busy, mut idle) = (server.connect().await, server.connect().await);
    idle.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut idle).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    server.shared.entered.notified().await;

    server.stop.cancel();

    assert!(is_cut(&mut idle).await < Duration::from_secs(2), "an idle connection was kept");
    assert!(TcpStream::connect(server.address).await.is_err(), "the door is still open");
    server.shared.go_on.notify_one();
    let answer = read_all(&mut busy).await;
    assert_eq!(status(&answer), "200");
    assert!(answer.ends_with("done"), "{answer}");
    server.stopped().await;
}

#[tokio::test]
async fn after_the_grace_what_is_left_is_cut() {
    let mut server = Server::start(Limits::default()).await;
    let mut http1 = server.connect().await;
    http1.write_all(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    server.shared.entered.notified().await;
    let mut http2 = Http2::connect(&server).await;
    http2.tasks.spawn(http2.sender.send_request(get_over_http2("/wait")).map(drop));
    server.shared.entered.notified().await;

    server.stop.cancel();

    server.stopped().await;
    assert!(is_cut(&mut http1).await < Duration::from_secs(1));
}

/// An HTTP/2 client without TLS, with prior knowledge.
struct Http2 {
    sender: hyper::client::conn::http2::SendRequest<Empty<Bytes>>,
    tasks: JoinSet<()>,
}

impl Http2 {
    async fn connect(server: &Server) -> Self {
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

fn get_over_http2(path: &str) -> http::Request<Empty<Bytes>> {
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

#[tokio::test]
async fn an_idle_http_2_connection_is_closed() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(300), ..Limits::default() }).await;
    let mut client = Http2::connect(&server).await;
    client.sender.send_request(get_over_http2("/who")).await.expect("an answer");

    timeout(PATIENCE, client.tasks.join_next()).await.expect("closed in time");
}

/// Whoever reaches the socket is the operator; nobody else can become one, whatever they send.
#[tokio::test]
async fn the_operator_comes_through_the_socket_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steading.sock");
    let socket = UnixListener::bind(&path).expect("a socket");
    let policy = Policy { trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")], ..Policy::default() };
    let server = Server::with(policy, vec![Door::Socket(socket)]).await;

    let mut stream = UnixStream::connect(&path).await.expect("a connection");
    stream.write_all(WHO_AND_CLOSE.as_bytes()).await.expect("sent");
    let operator = read_all(&mut stream).await;
    let forged = "GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: unix\r\nForwarded: for=unix\r\n\
        X-Remote-User: operator\r\nX-Caller: operator\r\n\r\n";
    let stranger = server.say(forged).await;

    assert!(operator.ends_with("operator from None, with a body: false"), "{operator}");
    assert!(stranger.ends_with("a stranger from Some(127.0.0.1), with a body: false"), "{stranger}");
}

#[tokio::test]
async fn a_forged_client_address_is_ignored_on_the_wire_too() {
    let server = Server::start(Limits::default()).await;

    let answer = server
        .say("GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\n\r\n")
        .await;

    assert!(answer.contains("from Some(127.0.0.1)"), "{answer}");
}
