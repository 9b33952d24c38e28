//! The same one way, over plain HTTP: as server-sent events (WHATWG HTML, section 9.2), or as lines of JSON.
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use poem::Body;
use tokio::time::sleep;

use super::connection::Item;
use super::hub::Seat;
use super::limits::PING_INTERVAL;
use super::resume::Replay;
use super::socket::lane;
use crate::base::lanes;
use crate::http::accept_header::{EVENT_STREAM, JSON_LINES};

/// How long a client waits before it comes back, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";
/// A line that clients skip: who is gone is noticed by writing.
const PING: &str = ": ping\n\n";
/// The same where each line has to be JSON.
const PING_LINE: &str = "{\"ping\":true}\n";

/// How the events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    ServerSentEvents,
    /// NDJSON: a message a line.
    Lines,
}

impl Format {
    pub const ALL: [Self; 2] = [Self::ServerSentEvents, Self::Lines];

    pub fn media_type(self) -> &'static str {
        match self {
            Self::ServerSentEvents => EVENT_STREAM,
            Self::Lines => JSON_LINES,
        }
    }

    pub fn named(media_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.media_type() == media_type)
    }

    fn ping(self) -> &'static str {
        match self {
            Self::ServerSentEvents => PING,
            Self::Lines => PING_LINE,
        }
    }
}

/// The events, made while they are sent.
pub(super) fn body(seat: Seat, replay: Option<Replay>, format: Format) -> Body {
    let streamed = Streamed { seat, format, replay, waiting: VecDeque::new(), began: false };
    Body::from_bytes_stream(stream::unfold(streamed, |mut streamed| async move {
        let lane = lane(&streamed.seat);
        let part = lanes::on_behalf_of(lane, streamed.next()).await?;
        Some((Ok::<_, io::Error>(Bytes::from(part)), streamed))
    }))
}

struct Streamed {
    seat: Seat,
    format: Format,
    replay: Option<Replay>,
    /// What was taken out of the queue and comes after the replay.
    waiting: VecDeque<Item>,
    began: bool,
}

impl Streamed {
    /// The next part; nothing at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if !std::mem::replace(&mut self.began, true) {
            // The answers to the subscriptions come before what was missed.
            let mut out = match self.format {
                Format::ServerSentEvents => RETRY.as_bytes().to_vec(),
                Format::Lines => Vec::new(),
            };
            let (answers, later) = self.seat.connection.take_all();
            self.write(answers, &mut out);
            self.waiting = later.into();
            return Some(out);
        }
        loop {
            if self.seat.connection.ending().is_some() || self.is_over() {
                return None;
            }
            if let Some(replay) = &mut self.replay {
                match replay.next(&self.seat).await {
                    Some(items) => {
                        let mut out = Vec::new();
                        self.write(items, &mut out);
                        if !out.is_empty() {
                            return Some(out);
                        }
                    }
                    None => self.replay = None,
                }
                continue;
            }
            if self.waiting.is_empty() {
                self.waiting.extend(self.seat.connection.take());
            }
            if let Some(Item::Look { number, after, seq }) = self.waiting.front() {
                let (number, after, seq) = (*number, *after, *seq);
                self.waiting.pop_front();
                match Replay::look(&self.seat, number, after, seq).await {
                    Ok(found) => self.replay = Some(found),
                    Err(_) => self.waiting.push_front(Item::Gap { seq }),
                }
                continue;
            }
            let ready = self.waiting.iter().take_while(|it| !matches!(it, Item::Look { .. })).count();
            if 0 < ready {
                let items = self.waiting.drain(..ready).collect();
                let mut out = Vec::new();
                self.write(items, &mut out);
                return Some(out);
            }
            let remaining = self.remaining();
            tokio::select! {
                () = self.seat.connection.has_more() => {}
                () = sleep(PING_INTERVAL) => return Some(self.format.ping().as_bytes().to_vec()),
                () = sleep(remaining.unwrap_or_default()), if remaining.is_some() => {}
            }
        }
    }

    fn remaining(&self) -> Option<Duration> {
        let until = self.seat.connection.caller().principal().until?;
        Some(self.seat.hub.0.clock.now().until(until))
    }

    fn is_over(&self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }

    fn write(&self, items: Vec<Item>, out: &mut Vec<u8>) {
        let epoch = &self.seat.hub.0.log.epoch;
        self.seat.connection.was_sent(items.len());
        for item in items {
            if self.format == Format::Lines {
                out.extend_from_slice(&item.into_json(epoch));
                out.push(b'\n');
                continue;
            }
            if let Some(seq) = item.seq() {
                out.extend_from_slice(format!("id: {}\n", epoch.id(seq)).as_bytes());
            }
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&item.into_json(epoch));
            out.extend_from_slice(b"\n\n");
        }
    }
}
