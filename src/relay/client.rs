//! One client of a relay: what it says goes to the origin, and what the origin says goes to it.
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::limits::WINDOW_PARTS;
use super::link::{Client, Told};
use super::protocol::FromRelay;
use crate::http::websocket::{
    self, Bytes, CLOSE_TIMEOUT, CloseFrame, GOING_AWAY, Message, PING_INTERVAL, PONG_TIMEOUT, RESTARTED, SILENT,
    TAKEN_MAX, TOO_LARGE, UNSUPPORTED, Utf8Bytes, WRITE_TIMEOUT, WebSocket,
};

type Close = (u16, Utf8Bytes);

/// Why nothing more can be said.
enum Over {
    /// The client is gone.
    Gone,
    Close(Close),
}

/// Serves a client until one of all sides ends it.
pub(super) async fn serve(client: Client, mut socket: WebSocket, stop: CancellationToken) {
    let mut served = Served {
        client,
        pending: None,
        unheard: 0,
        unheard_bytes: 0,
        took: 0,
        asked: None,
        next_ping: Instant::now() + PING_INTERVAL,
    };
    let over = loop {
        if let Err(over) = served.step(&mut socket, &stop).await {
            break over;
        }
    };
    // Whoever is there hears that it left before its goodbye is answered.
    drop(served);
    if let Over::Close((code, reason)) = over {
        let goodbye = async {
            let _ = socket.close(Some(CloseFrame { code: code.into(), reason })).await;
            while let Some(Ok(_)) = socket.next().await {}
        };
        let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
    }
}

struct Served {
    client: Client,
    /// What the client said, and the origin has no room for yet.
    pending: Option<Utf8Bytes>,
    /// Messages of the client, and their bytes, that the origin did not look at yet.
    unheard: usize,
    unheard_bytes: usize,
    /// What the client took, and the origin does not know of yet.
    took: usize,
    asked: Option<Instant>,
    next_ping: Instant,
}

impl Served {
    async fn step(&mut self, socket: &mut WebSocket, stop: &CancellationToken) -> Result<(), Over> {
        self.hand_on().await?;
        let due = self.asked.map_or(self.next_ping, |it| it + PONG_TIMEOUT);
        tokio::select! {
            () = stop.cancelled() => Err(Over::Close((GOING_AWAY, "the relay stops".into()))),
            told = self.client.told.recv() => match told {
                Some(told) => self.tell(socket, told).await,
                None => Err(lost()),
            },
            said = socket.next(), if self.pending.is_none() => self.hear(said).await,
            () = sleep_until(due) => self.ping(socket).await,
        }
    }

    /// Hands on what the client said, if the origin has room for it.
    async fn hand_on(&mut self) -> Result<(), Over> {
        let (welcome, bytes) = (&self.client.link.welcome, self.pending.as_ref().map_or(0, |it| it.len()));
        let is_within = self.unheard < welcome.heard_max && self.unheard_bytes + bytes <= welcome.heard_bytes_max;
        let Some(text) = self.pending.take_if(|_| self.unheard == 0 || is_within) else { return Ok(()) };
        self.unheard += 1;
        self.unheard_bytes += bytes;
        self.say(&FromRelay::Heard { connection: self.client.number, text: text.to_string() }).await
    }

    async fn say(&self, what: &FromRelay) -> Result<(), Over> {
        if self.client.link.say(what).await { Ok(()) } else { Err(lost()) }
    }

    async fn hear(&mut self, said: Option<Result<Message, websocket::Error>>) -> Result<(), Over> {
        match said {
            None => Err(Over::Gone),
            Some(Ok(Message::Text(text))) => {
                self.pending = Some(text);
                Ok(())
            }
            Some(Ok(Message::Pong(_))) => {
                let Some(asked) = self.asked.take() else { return Ok(()) };
                let micros = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.say(&FromRelay::Answered { connection: self.client.number, micros }).await
            }
            Some(Ok(Message::Binary(_))) => Err(Over::Close((UNSUPPORTED, "messages are JSON texts".into()))),
            Some(Ok(Message::Ping(_) | Message::Close(_) | Message::Frame(_))) => Ok(()),
            Some(Err(websocket::Error::Capacity(_))) => {
                let max = self.client.link.welcome.message_bytes_max >> 10;
                Err(Over::Close((TOO_LARGE, format!("a message has at most {max} KiB").into())))
            }
            Some(Err(error)) => {
                tracing::debug!(%error, "a WebSocket ended early");
                Err(Over::Gone)
            }
        }
    }

    /// Tells the client what waits for it.
    async fn tell(&mut self, socket: &mut WebSocket, first: Told) -> Result<(), Over> {
        let (mut next, mut end) = (Some(first), None);
        let writing = async {
            let mut left = TAKEN_MAX;
            while let Some(told) = next.take() {
                match told {
                    Told::Text(text, cost) => {
                        socket.feed(Message::Text(text)).await?;
                        self.took += cost;
                    }
                    Told::Heard(bytes) => {
                        self.unheard = self.unheard.saturating_sub(1);
                        self.unheard_bytes = self.unheard_bytes.saturating_sub(bytes);
                    }
                    Told::Close(code, reason) => {
                        end = Some(code.map_or(Over::Gone, |code| Over::Close((code, reason.into()))));
                        break;
                    }
                    Told::Opened | Told::Refused(_) => {}
                }
                left -= 1;
                if 0 < left {
                    next = self.client.told.try_recv().ok();
                }
            }
            socket.flush().await
        };
        if !matches!(timeout(WRITE_TIMEOUT, writing).await, Ok(Ok(()))) {
            return Err(Over::Gone);
        }
        if let Some(end) = end {
            return Err(end);
        }
        if self.client.link.welcome.window_bytes / WINDOW_PARTS <= self.took {
            let bytes = std::mem::take(&mut self.took);
            self.say(&FromRelay::Took { connection: self.client.number, bytes }).await?;
        }
        Ok(())
    }

    async fn ping(&mut self, socket: &mut WebSocket) -> Result<(), Over> {
        if self.asked.is_some() {
            return Err(Over::Close((SILENT, "no answer to a ping".into())));
        }
        let now = Instant::now();
        (self.asked, self.next_ping) = (Some(now), now + PING_INTERVAL);
        let sending = socket.send(Message::Ping(Bytes::new()));
        if matches!(timeout(WRITE_TIMEOUT, sending).await, Ok(Ok(()))) { Ok(()) } else { Err(Over::Gone) }
    }
}

fn lost() -> Over {
    Over::Close((RESTARTED, "the link to the server is lost; come back".into()))
}
