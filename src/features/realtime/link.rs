//! The link of one relay: what it says, and what it is told.
use std::sync::Arc;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use poem::http::header::{CONNECTION, CONTENT_LENGTH, DATE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use poem::http::{Method, StatusCode, Uri};
use poem::{Request, Response};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::connection::End;
use super::error;
use super::hub::Hub;
use super::limits::{
    CLOSE_TIMEOUT, HEARD_BYTES_MAX, HEARD_MAX, LINK_MESSAGE_BYTES_MAX, LINK_UNSENT_BYTES_MAX, MESSAGE_BYTES_MAX,
    OPENING_MAX, PING_INTERVAL, PONG_TIMEOUT, REFUSAL_BYTES_MAX, RELAYS_MAX, WINDOW_BYTES, WRITE_TIMEOUT,
};
use super::outbox::Outgoing;
use super::relays::{Line, Misbehaved, Relay};
use super::wire::{Close, GOING_AWAY, NOT_SIGNED_IN, POLICY, SILENT, TOO_LARGE, UNSUPPORTED};
use crate::http::address::Origin;
use crate::http::problem::{self, Problem};
use crate::http::websocket::{self, Bytes, CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketConfig};
use crate::http::{Caller, ClientAddress, Entrance};
use crate::relay::protocol::{self, FromOrigin, FromRelay, Open, Refusal, Welcome};

/// Headers of a request that are between a client and its relay, or written anew.
const NOT_HANDED_ON: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE];
/// The same of an answer.
const NOT_HANDED_BACK: [HeaderName; 4] = [CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING];

/// A relay among those that are there, until it is dropped.
#[derive(Debug)]
pub(super) struct Joined {
    hub: Hub,
    relay: Arc<Relay>,
}

/// The line of a client, in the extensions of the request that asks for it, until somebody takes it.
#[derive(Clone, Debug)]
pub(super) struct Carried(Arc<std::sync::Mutex<Option<Line>>>);

impl Carried {
    /// The line that a request brings along.
    pub fn take(request: &Request) -> Option<Line> {
        let carried = request.extensions().get::<Self>()?;
        carried.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl Joined {
    pub fn new(hub: &Hub, name: String, address: ClientAddress, caller: Caller) -> Result<Self, Problem> {
        hub.must_go_on()?;
        let since = hub.0.clock.now();
        if hub.0.config.get().relayed_connections_max == 0 {
            return Err(error::too_many_relays(0));
        }
        let mut relays = hub.relays();
        if RELAYS_MAX <= relays.all.len() {
            return Err(error::too_many_relays(RELAYS_MAX));
        }
        relays.joined += 1;
        let relay = Arc::new(Relay::new(relays.joined, name, address, since, caller));
        relays.all.insert(relay.id, Arc::clone(&relay));
        tracing::info!(relay = relay.name, id = relay.id, "a relay has joined");
        Ok(Self { hub: hub.clone(), relay })
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.relay.shut();
        self.hub.relays().all.remove(&self.relay.id);
        tracing::info!(relay = self.relay.name, id = self.relay.id, "a relay has left");
    }
}

/// How the socket of a link is read and written.
pub(super) fn config() -> WebSocketConfig {
    websocket::config(LINK_MESSAGE_BYTES_MAX).max_write_buffer_size(LINK_UNSENT_BYTES_MAX)
}

/// Serves a link until one of both sides ends it.
pub(super) async fn serve(joined: Joined, entrance: Entrance, socket: WebSocket) {
    let relay = Arc::clone(&joined.relay);
    let (mut sink, stream) = socket.split();
    let welcome = FromOrigin::Welcome(Welcome {
        version: protocol::VERSION,
        message_bytes_max: MESSAGE_BYTES_MAX,
        heard_max: HEARD_MAX,
        heard_bytes_max: HEARD_BYTES_MAX,
        window_bytes: WINDOW_BYTES,
        // Half of it, since who leaves meanwhile is counted on.
        opening_max: OPENING_MAX / 2,
    });
    relay.outbox.add(0, &welcome);
    let opening = Arc::new(Semaphore::new(OPENING_MAX));
    let mut reading = Reading { hub: joined.hub.clone(), relay: Arc::clone(&relay), entrance, opening };
    let close = tokio::select! {
        end = relay.ending() => Some(match end {
            End::SignedOut => (NOT_SIGNED_IN, "the key, or who it is of, may not hold connections any more"),
            End::Stopping => (GOING_AWAY, "the server stops"),
        }),
        close = reading.run(stream) => close,
        () = write(&relay, &mut sink) => None,
    };
    drop(joined);
    if let Some((code, reason)) = close {
        tracing::info!(relay = relay.name, id = relay.id, code, reason, "the link of a relay is closed");
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let _ = timeout(CLOSE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
    }
}

/// Writes all that waits, and a ping now and then, until that fails.
async fn write(relay: &Relay, sink: &mut SplitSink<WebSocket, Message>) {
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_written = tokio::select! {
            messages = relay.outbox.take() => write_all(relay, sink, messages).await,
            _ = pings.tick() => write_within(sink.send(Message::Ping(Bytes::new()))).await,
        };
        if !is_written {
            return;
        }
    }
}

async fn write_all(
    relay: &Relay,
    sink: &mut SplitSink<WebSocket, Message>,
    messages: impl IntoIterator<Item = Outgoing>,
) -> bool {
    for message in messages {
        let (room, is_told) = (message.room(), message.is_told());
        let text = Utf8Bytes::try_from(message.into_json()).unwrap_or_default();
        let bytes = text.len();
        if !write_within(sink.feed(Message::Text(text))).await {
            return false;
        }
        relay.outbox.was_written(usize::from(is_told), room, bytes);
    }
    write_within(sink.flush()).await
}

async fn write_within(writing: impl Future<Output = Result<(), websocket::Error>>) -> bool {
    matches!(timeout(WRITE_TIMEOUT, writing).await, Ok(Ok(())))
}

struct Reading {
    hub: Hub,
    relay: Arc<Relay>,
    entrance: Entrance,
    /// Turns at being let in.
    opening: Arc<Semaphore>,
}

impl Reading {
    /// Reads until the end. Nothing if the relay is gone; else what it is told last.
    async fn run(&mut self, mut stream: SplitStream<WebSocket>) -> Option<Close> {
        loop {
            let said = match timeout(PING_INTERVAL + PONG_TIMEOUT, stream.next()).await {
                Err(_) => return Some((SILENT, "no answer to a ping")),
                Ok(None) => return None,
                Ok(Some(said)) => said,
            };
            match said {
                Ok(Message::Text(text)) => {
                    if let Err(Misbehaved(how)) = self.obey(&text).await {
                        return Some((POLICY, how));
                    }
                }
                Ok(Message::Binary(_)) => return Some((UNSUPPORTED, "messages are JSON texts")),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {}
                Err(websocket::Error::Capacity(_)) => return Some((TOO_LARGE, "a message has at most 512 KiB")),
                Err(error) => {
                    tracing::debug!(%error, "the link of a relay ended early");
                    return None;
                }
            }
        }
    }

    async fn obey(&mut self, text: &str) -> Result<(), Misbehaved> {
        // Much of what it says has an answer.
        self.relay.room().await?;
        match serde_json::from_str(text).map_err(|_| Misbehaved("a message is not understood"))? {
            FromRelay::Open(open) => self.open(*open).await?,
            FromRelay::Heard { connection, text } => self.relay.hear(connection, text),
            FromRelay::Gone { connection } => self.relay.forget(connection),
            FromRelay::Took { connection, bytes } => self.relay.took(connection, bytes),
            FromRelay::Answered { connection, micros } => self.relay.answered(connection, micros),
        }
        Ok(())
    }

    /// Lets a client in, beside all others. Whoever opens more at once waits, and what else they say with it.
    async fn open(&self, open: Open) -> Result<(), Misbehaved> {
        let line = self.relay.line(open.connection)?;
        let Ok(turn) = Arc::clone(&self.opening).acquire_owned().await else { return Ok(()) };
        let (relay, entrance) = (Arc::clone(&self.relay), self.entrance.clone());
        self.hub.0.sockets.serve(async move {
            let connection = open.connection;
            if let Some(refusal) = answer(&entrance, line, open).await {
                relay.outbox.add(connection, &FromOrigin::Refused(refusal));
            }
            drop(turn);
        });
        Ok(())
    }
}

/// Has the request of a client answered as if it had come by itself. Nothing if the client has its line.
async fn answer(entrance: &Entrance, line: Line, open: Open) -> Option<Refusal> {
    let connection = open.connection;
    let response = match request(open, line) {
        Ok((request, from)) => entrance.answer(request, from).await,
        Err(problem) => finished(problem),
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    Some(refusal(connection, response).await)
}

/// A problem that no shell sees.
fn finished(problem: Problem) -> Response {
    let mut response = problem.respond();
    problem::finish(&mut response, "");
    response
}

/// The request as it would have come.
fn request(open: Open, line: Line) -> Result<(Request, Origin), Problem> {
    let malformed = |what: &str| Problem::new(&problem::MALFORMED, format!("{what} of the request cannot be read"));
    let Open { address, https, host, query, headers, .. } = open;
    let target = if query.is_empty() { String::new() } else { format!("?{query}") };
    let uri: Uri = format!("{}{target}", protocol::CLIENTS_PATH).parse().map_err(|_| malformed("the query"))?;
    let mut request = Request::builder().method(Method::GET).uri(uri).finish();
    for (name, value) in headers {
        let name: HeaderName = name.parse().map_err(|_| malformed("a header"))?;
        let value = protocol::text_to_value(&value).and_then(|it| HeaderValue::from_bytes(&it).ok());
        let value = value.ok_or_else(|| malformed("a header"))?;
        if !NOT_HANDED_ON.contains(&name) {
            request.headers_mut().try_append(name, value).map_err(|_| malformed("the number of its headers"))?;
        }
    }
    request.headers_mut().insert(HOST, HeaderValue::from_str(&host).map_err(|_| malformed("the host"))?);
    // It was checked where it came in; here it says that the connection is to stay.
    request.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    request.extensions_mut().insert(Carried(Arc::new(std::sync::Mutex::new(Some(line)))));
    Ok((request, Origin { client: Some(address.to_canonical()), https, host: None }))
}

async fn refusal(connection: u64, response: Response) -> Refusal {
    let status = response.status().as_u16();
    let headers = response.headers().iter().filter(|(name, _)| !NOT_HANDED_BACK.contains(name));
    let headers = headers.map(|(name, value)| (name.to_string(), protocol::value_to_text(value.as_bytes()))).collect();
    let body = response.into_body().into_bytes_limit(REFUSAL_BYTES_MAX).await.unwrap_or_default();
    Refusal { connection, status, headers, body: String::from_utf8_lossy(&body).into_owned() }
}
