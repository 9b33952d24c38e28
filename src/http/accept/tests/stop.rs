//! Stopping.
use futures_util::FutureExt;

use super::http2::{Http2, get_over_http2};
use super::*;

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

    let began = Instant::now();
    server.stopped().await;
    assert!(began.elapsed() < Duration::from_secs(6), "cut late: {:?}", began.elapsed());
    assert!(is_cut(&mut http1).await < Duration::from_secs(1));
}
