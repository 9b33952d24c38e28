//! Promises about who is still there. These take the half minute that they are about; the others go on meanwhile.
use std::time::Duration;

use futures_util::StreamExt as _;
use poem::http::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::Live;

const PING_AFTER: Duration = Duration::from_secs(25);
const PONG_WITHIN: Duration = Duration::from_secs(8);
/// How much later something may be noticed on a busy machine.
const SLACK: Duration = Duration::from_secs(10);

/// A client that reads, and answers nothing.
struct Mute(TcpStream);

impl Mute {
    async fn connect(address: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let head = "GET /api/v1/realtime HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.expect("an answer"));
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
        Self(stream)
    }

    /// The kind and the content of the next frame (RFC 6455 section 5.2).
    async fn frame(&mut self, within: Duration) -> (u8, Vec<u8>) {
        let read = async {
            let (kind, length) = (self.0.read_u8().await?, self.0.read_u8().await?);
            let mut content = vec![0; length.into()];
            self.0.read_exact(&mut content).await?;
            Ok::<_, std::io::Error>((kind & 0x0f, content))
        };
        timeout(within, read).await.expect("a frame in time").expect("a frame")
    }
}

#[tokio::test]
async fn a_client_that_answers_no_ping_within_8_s_is_let_go() {
    let live = Live::start().await;
    let began = Instant::now();
    let mut mute = Mute::connect(&live.sockets).await;

    let (kind, _) = mute.frame(PING_AFTER + SLACK).await;
    let asked = Instant::now();
    assert_eq!(kind, 0x9, "a ping");
    assert!(PING_AFTER <= began.elapsed() + Duration::from_secs(1), "after {:?}", began.elapsed());
    let (kind, content) = mute.frame(PONG_WITHIN + SLACK).await;

    assert_eq!((kind, content[..2].to_vec()), (0x8, 4408_u16.to_be_bytes().to_vec()), "a goodbye that says why");
    assert!(PONG_WITHIN <= asked.elapsed() + Duration::from_secs(1), "after {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_client_that_answers_stays_and_its_answer_is_timed() {
    let live = Live::start().await;
    let mut socket = live.socket().await;

    // Whoever reads answers pings.
    let until = Instant::now() + PING_AFTER + PONG_WITHIN + Duration::from_secs(2);
    while let Ok(next) = timeout_at(until, socket.0.next()).await {
        assert!(next.expect("open").expect("a message").is_ping());
    }

    let state = live.app.as_role("admin", Method::GET, "/api/v1/admin/realtime").send().await;
    let connection = &state.body["connections"][0];
    assert_eq!(connection["kind"], json!("websocket"), "{state:?}");
    assert!(connection["roundTripMs"].as_f64().is_some_and(|it| 0.0 < it), "{state:?}");
}
