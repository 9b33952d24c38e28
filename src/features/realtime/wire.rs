//! What a client is spoken with over: a socket of its own, or a line of a relay.
use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;

use super::connection::Item;
use super::limits::{CLOSE_TIMEOUT, WRITE_TIMEOUT};
use super::relays::Line;
use crate::features::events::Epoch;
use crate::http::websocket::{self, Bytes, CloseFrame, Message, Utf8Bytes, WebSocket};
pub(super) use crate::http::websocket::{GOING_AWAY, NOT_SIGNED_IN, POLICY, SILENT, TOO_LARGE, UNSUPPORTED};

/// A goodbye: the code, and the reason in words.
pub(super) type Close = (u16, &'static str);

pub(super) enum Wire {
    Socket(Box<WebSocket>),
    /// The relay pings the client, and closes it where the socket says enough to know why.
    Line(Line),
}

/// What came from a client.
#[derive(Debug)]
pub(super) enum Came {
    Text(Utf8Bytes),
    Ping,
    Pong,
    /// A goodbye, after which nothing comes, or part of a message.
    Nothing,
    /// Something that ends it.
    Wrong(Close),
    Gone,
}

impl Wire {
    /// Whether the client is asked from here whether it is there.
    pub fn is_pinged(&self) -> bool {
        matches!(self, Self::Socket(_))
    }

    pub async fn next(&mut self) -> Came {
        let socket = match self {
            Self::Socket(socket) => socket,
            Self::Line(line) => return line.next().await.map_or(Came::Gone, |it| Came::Text(it.into())),
        };
        match socket.next().await {
            None => Came::Gone,
            Some(Ok(Message::Text(text))) => Came::Text(text),
            Some(Ok(Message::Pong(_))) => Came::Pong,
            Some(Ok(Message::Binary(_))) => Came::Wrong((UNSUPPORTED, "messages are JSON texts")),
            Some(Ok(Message::Ping(_))) => Came::Ping,
            Some(Ok(Message::Close(_) | Message::Frame(_))) => Came::Nothing,
            Some(Err(websocket::Error::Capacity(_))) => Came::Wrong((TOO_LARGE, "a message has at most 64 KiB")),
            Some(Err(error)) => {
                tracing::debug!(%error, "a WebSocket ended early");
                Came::Gone
            }
        }
    }

    /// Says things. False if the client is too slow, or gone.
    pub async fn say(&mut self, items: Vec<Item>, epoch: &Epoch) -> bool {
        let socket = match self {
            Self::Socket(socket) => socket,
            Self::Line(line) => return line.say(items, epoch).await,
        };
        let saying = async {
            for item in items {
                let text = Utf8Bytes::try_from(item.into_json(epoch)).unwrap_or_default();
                socket.feed(Message::Text(text)).await?;
            }
            socket.flush().await
        };
        matches!(timeout(WRITE_TIMEOUT, saying).await, Ok(Ok(())))
    }

    pub async fn ping(&mut self) -> bool {
        match self {
            Self::Socket(socket) => {
                matches!(timeout(WRITE_TIMEOUT, socket.send(Message::Ping(Bytes::new()))).await, Ok(Ok(())))
            }
            Self::Line(_) => true,
        }
    }

    /// Says goodbye, if there is a reason to.
    pub async fn close(&mut self, close: Option<Close>) {
        let socket = match self {
            Self::Socket(socket) => socket,
            Self::Line(line) => return line.close(close),
        };
        let Some((code, reason)) = close else { return };
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let goodbye = async {
            let _ = WebSocket::close(socket, Some(frame)).await;
            // What the client still had to say, until it says goodbye too.
            while let Some(Ok(_)) = socket.next().await {}
        };
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}
