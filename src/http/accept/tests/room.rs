//! Clients for whom there is no room.
use super::*;

#[tokio::test]
async fn one_address_gets_no_more_than_its_share_unless_it_is_a_trusted_proxy() {
    let limits = Limits { connections_per_address_max: 2, ..Limits::default() };
    let server = Server::start(limits.clone()).await;
    let (first, _second) = (server.connect().await, server.connect().await);
    let third = server.say(WHO_AND_CLOSE).await;
    assert_eq!(status(&third), "503");
    assert!(third.contains("\"code\":\"busy\"") && third.contains("retry-after: 1\r\n"), "{third}");
    assert!(third.contains("connection: close\r\n"), "{third}");

    drop(first);
    timeout(PATIENCE, async {
        while status(&server.say(WHO_AND_CLOSE).await) != "200" {
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
    let id = document["instance"].as_str().expect("an id");
    assert_eq!(id.len(), 36);
    assert!(head.contains(&format!("x-request-id: {id}\r\n")) && head.contains("x-response-time: "), "{head}");
    assert!(!server.say(WHO_AND_CLOSE).await.contains(id), "each has its own");
}

/// A flood is when the log must neither be silent nor grow with it.
#[tokio::test]
async fn a_flood_is_told_that_there_is_no_room_and_takes_a_line_a_second_of_the_log() {
    let (kept, _guard) = Kept::of_this_thread();
    let limits = Limits { connections_per_address_max: 1, ..Limits::default() };
    let server = Server::with(Policy { limits, ..Policy::default() }, Vec::new()).await;
    let mut held = server.connect().await;
    held.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut held).await;

    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(server.connect().await);
    }
    for mut stream in flood {
        assert_eq!(status(&read_all(&mut stream).await), "503");
    }
    let told = |lines: &[serde_json::Value]| -> Vec<u64> {
        lines.iter().filter_map(|it| it["too_many_from_one_address"].as_u64()).collect()
    };
    timeout(PATIENCE, async {
        while told(&kept.lines()).iter().sum::<u64>() < 100 {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("all are told of");

    let told = told(&kept.lines());
    assert_eq!((told[0], told.iter().sum()), (1, 100), "{told:?}");
    assert!(told.len() <= 3, "{told:?}");
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
