//! The same as server-sent events (WHATWG HTML, section 9.2): one way, over plain HTTP.
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

/// How long a client waits before it comes back, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";
/// A line that clients skip: who is gone is noticed by writing.
const PING: &str = ": ping\n\n";

/// The events, made while they are sent.
pub(super) fn body(seat: Seat, replay: Option<Replay>) -> Body {
    let streamed = Streamed { seat, replay, began: false };
    Body::from_bytes_stream(stream::unfold(streamed, |mut streamed| async move {
        let lane = lane(&streamed.seat);
        let part = lanes::on_behalf_of(lane, streamed.next()).await?;
        Some((Ok::<_, io::Error>(Bytes::from(part)), streamed))
    }))
}

struct Streamed {
    seat: Seat,
    replay: Option<Replay>,
    began: bool,
}

impl Streamed {
    /// The next part; nothing at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if !std::mem::replace(&mut self.began, true) {
            // The answers to the subscriptions come before what was missed.
            let mut out = RETRY.as_bytes().to_vec();
            self.write(self.seat.connection.take(), &mut out);
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
            let items = self.seat.connection.take();
            if !items.is_empty() {
                let mut out = Vec::new();
                self.write(items, &mut out);
                return Some(out);
            }
            let remaining = self.remaining();
            tokio::select! {
                () = self.seat.connection.has_more() => {}
                () = sleep(PING_INTERVAL) => return Some(PING.as_bytes().to_vec()),
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
            if let Some(seq) = item.seq() {
                out.extend_from_slice(format!("id: {}\n", epoch.id(seq)).as_bytes());
            }
            out.extend_from_slice(b"data: ");
            out.extend_from_slice(&item.into_json(epoch));
            out.extend_from_slice(b"\n\n");
        }
    }
}
