//! Clients for whom there is no room.
use super::*;

#[tokio::test]
async fn one_address_gets_no_more_than_its_share_unless_it_is_a_trusted_proxy() {
    let limits = Limits { connections_per_address_max: 2, ..Limits::default() };
    let server = Server::start(limits.clone()).await;
    let (first, _second) = (server.connect().await, server.connect().await);
    let mut third = server.connect().await;
    assert!(is_cut(&mut third).await < PATIENCE);

    drop(first);
    timeout(PATIENCE, async {
        while let Err(_) | Ok(0) = ask_who(&server).await {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a seat that was given back is free");

    let trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    let behind = Server::with(Policy { limits, trusted_proxies, ..Policy::default() }, Vec::new()).await;
    let _held = (behind.connect().await, behind.connect().await);
    assert_eq!(status(&behind.say(WHO_AND_CLOSE).await), "200");
}

/// Hundreds of clients that lost their connection come back at the same moment.
#[tokio::test]
async fn a_crowd_that_comes_at_once_can_wait_at_the_door() {
    let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    let crowd = allowed.trim().parse().unwrap_or(128).min(600);
    let door = Door::open_tcp(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
    let address = door.local_addr().expect("an address");

    let mut waiting = Vec::new();
    for _ in 0..crowd {
        let connected = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(900));
        waiting.push(connected.expect("room at the door"));
    }
}

#[tokio::test]
async fn a_client_without_a_seat_is_told_so() {
    let server = Server::start(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut held = server.connect().await;
    held.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut held).await;

    let answer = server.say(WHO_AND_CLOSE).await;

    assert_eq!(status(&answer), "503");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains("retry-after: 1\r\n") && head.contains(&format!("content-length: {}", body.len())), "{head}");
    let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(document["code"], "busy");
}

async fn ask_who(server: &Server) -> io::Result<usize> {
    let mut stream = server.connect().await;
    stream.write_all(WHO_AND_CLOSE.as_bytes()).await?;
    stream.read(&mut [0; 64]).await
}

/// A WebSocket is a connection too.
#[tokio::test]
async fn a_connection_that_was_upgraded_keeps_its_seat() {
    let server = Server::start(Limits { connections_max: 1, ..quick() }).await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        .await
        .expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"upgraded") {
        assert_ne!(stream.read_buf(&mut answer).await.expect("an answer"), 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));

    assert_eq!(status(&server.say(WHO_AND_CLOSE).await), "503");

    drop(stream);
    timeout(PATIENCE, async {
        while status(&server.say(WHO_AND_CLOSE).await) != "200" {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("its seat is given back at its end");
}

/// Out of file descriptors is a state that passes, unless the loop burns the processor meanwhile.
#[tokio::test(start_paused = true)]
async fn a_failure_of_ours_is_followed_by_a_pause_and_one_of_the_client_is_not() {
    let waited = async |error: io::Error| {
        let began = tokio::time::Instant::now();
        survive(&error).await;
        began.elapsed()
    };

    let out_of_files = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
    assert_eq!(waited(out_of_files).await, PAUSE_AFTER_FAILURE);
    assert_eq!(waited(io::ErrorKind::ConnectionAborted.into()).await, Duration::ZERO);
}
