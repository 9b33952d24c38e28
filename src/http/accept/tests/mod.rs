//! The accept loop on real sockets, with requests written by hand.
mod http2;
mod requests;
mod room;
mod slow;
mod stop;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::StreamExt;
use poem::endpoint::BoxEndpoint;
use poem::{Body, EndpointExt, Request, Route, RouteMethod, get, handler};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::super::body::BodyCap;
use super::super::log::kept::Kept;
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
    tasks: TaskTracker,
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
async fn echo(body: Vec<u8>) -> Vec<u8> {
    body
}

#[handler]
async fn wait(shared: poem::web::Data<&Shared>) -> &'static str {
    shared.entered.notify_one();
    shared.go_on.notified().await;
    "done"
}

#[handler]
async fn who(request: &Request) -> String {
    let caller = request.extensions().get::<Caller>().map_or("a stranger", |it| it.principal().role.as_str());
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

/// Becomes a protocol of its own, and ends when the client closes.
#[handler]
async fn upgrade(request: &Request, shared: poem::web::Data<&Shared>) -> poem::Result<poem::Response> {
    let upgraded = request.take_upgrade()?;
    shared.tasks.spawn(async move {
        let mut stream = upgraded.await.expect("an upgrade");
        stream.write_all(b"upgraded").await.expect("sent");
        let _ = stream.read(&mut [0; 1]).await;
    });
    let response = poem::Response::builder().status(http::StatusCode::SWITCHING_PROTOCOLS);
    Ok(response.header("connection", "upgrade").header("upgrade", "x").finish())
}

#[handler]
async fn ticks() -> Body {
    let ticks = futures_util::stream::iter(0..3).then(|_| async {
        sleep(Duration::from_millis(400)).await;
        io::Result::Ok("tick ")
    });
    Body::from_bytes_stream(ticks)
}

fn router(shared: Shared) -> BoxEndpoint<'static> {
    Route::new()
        .at("/read", RouteMethod::new().post(swallow))
        .at("/echo", RouteMethod::new().post(echo))
        .at("/wait", get(wait))
        .at("/who", get(who).post(who))
        .at("/fail", get(fail))
        .at("/big", get(big))
        .at("/ticks", get(ticks))
        .at("/upgrade", get(upgrade))
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
