//! The link to the origin: made, kept, and made again when it is lost.
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::Request;
use http::header::AUTHORIZATION;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::Relay;
use super::limits::{
    ANSWER_BYTES_MAX, ANSWER_TIME_MAX, BACKOFF_MAX, BACKOFF_MIN, CONNECT_TIME_MAX, HEARD_BYTES_MAX, SAYS_MAX,
};
use super::link::Link;
use super::protocol::{FromOrigin, FromRelay, PATH, VERSION};
use crate::base::Random;
use crate::base::text::chain;
use crate::http::websocket::{
    self, Bytes, CLOSE_TIMEOUT, CloseFrame, GOING_AWAY, Message, PING_INTERVAL, PONG_TIMEOUT, TAKEN_MAX, WRITE_TIMEOUT,
};
use crate::net::{Asked, Client, Limits, Socket};

const LIMITS: Limits =
    Limits { connect_time_max: CONNECT_TIME_MAX, answer_time_max: ANSWER_TIME_MAX, answer_bytes_max: ANSWER_BYTES_MAX };

/// Keeps a link until the stop.
pub(super) async fn run(relay: &Relay) {
    let (stop, mut backoff) = (&relay.0.stop, BACKOFF_MIN);
    while !stop.is_cancelled() {
        match stop.run_until_cancelled(connect(relay)).await {
            None => return,
            Some(Ok(socket)) => {
                let began = Instant::now();
                let why = hold(relay, socket).await;
                if stop.is_cancelled() {
                    return;
                }
                tracing::warn!(why, "the link is lost");
                if BACKOFF_MAX < began.elapsed() {
                    backoff = BACKOFF_MIN;
                }
            }
            Some(Err(why)) => tracing::warn!(why, "there is no link"),
        }
        let wait = jittered(backoff, &relay.0.random);
        backoff = (backoff * 2).min(BACKOFF_MAX);
        let _ = stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

/// From half of it to all of it.
fn jittered(wait: Duration, random: &Random) -> Duration {
    let part = u32::from(u16::from_be_bytes(random.bytes::<2>()));
    wait / 2 + wait / 2 * part / u32::from(u16::MAX)
}

/// Asks the origin for a link, or says why there is none.
async fn connect(relay: &Relay) -> Result<Box<Socket>, String> {
    let settings = &relay.0.settings;
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("version", &VERSION.to_string())
        .append_pair("name", &settings.name)
        .finish();
    let request = Request::builder()
        .uri(format!("{PATH}?{query}"))
        .header(AUTHORIZATION, format!("Bearer {}", settings.key.reveal()))
        .body(())
        .map_err(|cause| cause.to_string())?;
    let client = Client { limits: LIMITS, trust: settings.trust.clone() };
    let key = relay.0.random.bytes::<16>();
    let asked = client.open_socket(&settings.origin, request, key, websocket::config(HEARD_BYTES_MAX)).await;
    match asked.map_err(|cause| chain(&cause).to_string())? {
        Asked::Socket(socket) => Ok(socket),
        Asked::Refused(answer) => {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let detail = body["detail"].as_str().unwrap_or("it does not say why");
            Err(format!("the origin answers {}: {detail}", answer.status))
        }
    }
}

/// Serves clients over a link until it is lost, and says why.
async fn hold(relay: &Relay, socket: Box<Socket>) -> String {
    let (mut sink, mut stream) = socket.split();
    let (link, mut said) = match welcome(&mut stream).await {
        Ok((link, said)) => (Arc::new(link), said),
        Err(why) => return why,
    };
    relay.set_link(Some(Arc::clone(&link)));
    tracing::info!("there is a link");
    let why = tokio::select! {
        why = read(&link, stream) => why,
        why = write(&link, &mut said, &mut sink) => why,
        () = all_told_goodbye(relay) => "the relay stops".to_owned(),
    };
    relay.set_link(None);
    link.lose();
    let frame = CloseFrame { code: GOING_AWAY.into(), reason: "the relay is gone".into() };
    let _ = timeout(CLOSE_TIMEOUT, sink.send(Message::Close(Some(frame)))).await;
    why
}

async fn all_told_goodbye(relay: &Relay) {
    relay.0.stop.cancelled().await;
    relay.0.sockets.closed().await;
}

async fn next(stream: &mut SplitStream<Box<Socket>>) -> Result<Message, String> {
    match timeout(PING_INTERVAL + PONG_TIMEOUT, stream.next()).await {
        Err(_) => Err("the origin is silent".to_owned()),
        Ok(None) => Err("the origin closed it".to_owned()),
        Ok(Some(Err(cause))) => Err(chain(&cause).to_string()),
        Ok(Some(Ok(Message::Close(frame)))) => Err(match frame {
            Some(frame) => format!("the origin closed it: {} ({})", frame.reason, u16::from(frame.code)),
            None => "the origin closed it".to_owned(),
        }),
        Ok(Some(Ok(message))) => Ok(message),
    }
}

/// Waits for the first word of the origin.
async fn welcome(stream: &mut SplitStream<Box<Socket>>) -> Result<(Link, mpsc::Receiver<String>), String> {
    loop {
        let Message::Text(text) = next(stream).await? else { continue };
        return match serde_json::from_str(&text) {
            Ok(FromOrigin::Welcome(welcome)) if welcome.version == VERSION => Ok(Link::new(welcome)),
            _ => Err("the origin does not speak as a relay's should".to_owned()),
        };
    }
}

async fn read(link: &Link, mut stream: SplitStream<Box<Socket>>) -> String {
    loop {
        match next(&mut stream).await {
            Err(why) => return why,
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(said) => link.hear(said),
                Err(cause) => return format!("the origin says something that is not understood: {cause}"),
            },
            Ok(_) => {}
        }
    }
}

async fn write(link: &Link, said: &mut mpsc::Receiver<String>, sink: &mut SplitSink<Box<Socket>, Message>) -> String {
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let batch = tokio::select! {
            text = said.recv() => match text {
                Some(text) => {
                    let more = std::iter::from_fn(|| said.try_recv().ok()).take(TAKEN_MAX);
                    std::iter::once(text).chain(more).map(Message::text).collect()
                }
                None => return "nobody uses it".to_owned(),
            },
            gone = link.gone() => {
                // What they said before comes first: who is gone before they came would stay for ever.
                let before = std::iter::from_fn(|| said.try_recv().ok()).take(SAYS_MAX);
                before.chain(gone.into_iter().map(farewell)).map(Message::text).collect()
            }
            _ = pings.tick() => vec![Message::Ping(Bytes::new())],
        };
        let writing = async {
            for message in batch {
                sink.feed(message).await?;
            }
            sink.flush().await
        };
        match timeout(WRITE_TIMEOUT, writing).await {
            Err(_) => return "the origin takes nothing".to_owned(),
            Ok(Err(cause)) => return chain(&cause).to_string(),
            Ok(Ok(())) => {}
        }
    }
}

fn farewell(connection: u64) -> String {
    serde_json::to_string(&FromRelay::Gone { connection }).unwrap_or_default()
}
