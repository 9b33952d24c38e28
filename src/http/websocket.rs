//! WebSockets (RFC 6455): from a request that asks for one to messages that go both ways.
//!
//! The connection stays in its seat, so the limits on connections count it on. Each socket is a
//! task; at the stop whoever serves it says goodbye, and [`WebSockets::closed`] waits for that.
use std::time::Duration;

use poem::http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use poem::http::{Method, StatusCode, Version};
use poem::{OnUpgrade, Request, Response, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::TaskTracker;

use super::problem::{self, Kind, Problem};

pub use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
pub use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

/// Why a socket is closed, for programs: those of RFC 6455, and of our own.
pub const GOING_AWAY: u16 = 1001;
pub const UNSUPPORTED: u16 = 1003;
pub const POLICY: u16 = 1008;
pub const TOO_LARGE: u16 = 1009;
/// What it hung on was started again: come back.
pub const RESTARTED: u16 = 1012;
/// The token ended, or the session, or the caller's role is another one: sign in again.
pub const NOT_SIGNED_IN: u16 = 4401;
/// The other side did not answer a ping.
pub const SILENT: u16 = 4408;

/// How often the other side is asked whether it is still there, and how long it may take to say so.
pub const PING_INTERVAL: Duration = Duration::from_secs(25);
pub const PONG_TIMEOUT: Duration = Duration::from_secs(8);
/// How long it may take to read what was written to it.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a goodbye may take.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Messages that are taken out of a queue at once.
pub const TAKEN_MAX: usize = 64;

/// The one version there is.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// Bytes that are read at once, kept for each socket.
const READ_BYTES: usize = 4 << 10;
/// Bytes after which what was said is sent, also if more is to come.
const WRITE_BYTES: usize = 32 << 10;
/// Bytes of what was said and not sent: beyond it, nothing more can be said.
const UNSENT_BYTES_MAX: usize = 1 << 20;

pub const UPGRADE_REQUIRED: Kind =
    Kind { status: 426, code: "upgrade-required", title: "The request must ask for another protocol" };

/// An open socket.
pub type WebSocket = WebSocketStream<Upgraded>;

/// The sockets that are served. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct WebSockets(TaskTracker);

/// A request that asks for a socket.
pub struct Upgrade {
    accept: String,
    on_upgrade: OnUpgrade,
}

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Upgrade").field("accept", &self.accept).finish_non_exhaustive()
    }
}

impl Upgrade {
    /// What a request asks for; nothing if it asks for no socket. One that asks wrongly is refused.
    pub fn of(request: &Request) -> Result<Option<Self>, Problem> {
        let headers = request.headers();
        if !is_wanted(headers) {
            return Ok(None);
        }
        let refused = |detail: &str| Problem::new(&problem::MALFORMED, detail);
        if *request.method() != Method::GET || request.version() != Version::HTTP_11 {
            return Err(refused("a WebSocket begins with `GET` over HTTP/1.1"));
        }
        if !has_token(headers, &CONNECTION, "upgrade") {
            return Err(refused("`Connection` must say `Upgrade` (RFC 6455)"));
        }
        if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            let detail = "`Sec-WebSocket-Version` must be 13 (RFC 6455)";
            return Err(Problem::new(&UPGRADE_REQUIRED, detail).with_header(SEC_WEBSOCKET_VERSION, VERSION));
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|it| it.to_str().ok());
        let key = key.filter(|it| data_encoding::BASE64.decode(it.as_bytes()).is_ok_and(|it| it.len() == 16));
        let key = key.ok_or_else(|| refused("`Sec-WebSocket-Key` must be 16 bytes in base64 (RFC 6455)"))?;
        let accept = derive_accept_key(key.as_bytes());
        let on_upgrade = request.take_upgrade().map_err(|_| refused("this connection cannot become a WebSocket"))?;
        Ok(Some(Self { accept, on_upgrade }))
    }

    /// Answers the request, and has the socket served once the client has the answer.
    pub fn answer<F>(
        self,
        sockets: &WebSockets,
        config: WebSocketConfig,
        serve: impl FnOnce(WebSocket) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send,
    {
        let on_upgrade = self.on_upgrade;
        sockets.0.spawn(async move {
            match on_upgrade.await {
                Ok(stream) => serve(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await).await,
                Err(error) => tracing::debug!(%error, "a connection did not become a WebSocket"),
            }
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, self.accept)
            .finish()
    }
}

/// How sockets are read and written.
pub fn config(message_bytes_max: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(WRITE_BYTES)
        // What is not large enough to be written by itself may lie before what is.
        .max_write_buffer_size(UNSENT_BYTES_MAX + 2 * WRITE_BYTES)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max))
}

impl WebSockets {
    /// Serves what is a socket in all but the wire, until it ends by itself.
    pub fn serve(&self, serving: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(serving);
    }

    /// Waits until no socket is served any more.
    pub async fn closed(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

/// Whether a socket is asked for, rightly or wrongly.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|it| it.to_str().ok());
    lists.flat_map(|it| it.split(',')).any(|it| it.trim().eq_ignore_ascii_case(token))
}
