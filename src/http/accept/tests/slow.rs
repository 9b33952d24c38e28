//! Clients that take their time.
use super::*;

/// Slowloris: each connection that may wait for ever is a seat that is gone.
#[tokio::test]
async fn a_half_sent_head_is_cut() {
    let server = Server::start(quick()).await;
    for start in ["", "P", "PRI * HT", "GET /who HT", "GET /who HTTP/1.1\r\nHost: a\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(start.as_bytes()).await.expect("sent");

        assert!(is_cut(&mut stream).await < Duration::from_secs(10), "{start:?}");
    }
}

/// A client that is cut without a word takes it for a broken network, and tries the same again.
#[tokio::test]
async fn a_half_sent_head_is_answered_408_and_logged() {
    let (kept, _guard) = Kept::of_this_thread();
    let server = Server::with(Policy { limits: quick(), ..Policy::default() }, Vec::new()).await;
    for start in ["P", "GET /who HT", "GET /who HTTP/1.1\r\nHost: a\r\n"] {
        let answer = server.say(start).await;

        assert_eq!(status(&answer), "408", "{start:?}: {answer}");
        assert!(answer.contains("\"code\":\"request-timeout\"") && answer.contains("connection: close"), "{answer}");
        let lines = kept.requests();
        let line = lines.last().expect("a line");
        assert!(answer.contains(line["request.id"].as_str().expect("an id")), "{answer}");
        assert_eq!((&line["status"], &line["path"]), (&408.into(), &"-".into()));
    }
    assert_eq!(kept.requests().len(), 3);
}

#[tokio::test]
async fn the_second_head_of_a_connection_is_answered_408_too() {
    let server = Server::start(quick()).await;
    let mut stream = server.connect().await;
    stream.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut stream).await;

    stream.write_all(b"GET /who HT").await.expect("sent");

    assert_eq!(status(&read_all(&mut stream).await), "408");
}

/// Whoever asked nothing gets no answer: it would be taken for that to the next request.
#[tokio::test]
async fn silence_and_empty_lines_are_no_head_and_are_closed_in_silence() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(300), ..quick() }).await;
    for start in ["", "\r\n", "\r\n\r\n", "PRI * HTTP/2"] {
        let mut stream = server.connect().await;
        stream.write_all(start.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closed in time");
        assert_eq!(answer, b"", "{start:?}");
    }
    let mut stream = server.connect().await;
    stream.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut stream).await;

    stream.write_all(b"\r\n").await.expect("sent");

    assert_eq!(read_all(&mut stream).await, "");
}

#[tokio::test]
async fn a_head_that_drips_is_cut() {
    let server = Server::start(quick()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /who HTTP/1.1\r\nHost: a\r\nX-Drip: ").await.expect("sent");

    let cut = timeout(PATIENCE, async {
        while stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });

    cut.await.expect("cut in time");
}

/// A keep-alive connection may rest for longer than a head may take.
#[tokio::test]
async fn an_idle_connection_is_closed_after_the_idle_time_and_not_before() {
    let server = Server::start(Limits { idle_timeout: Duration::from_millis(800), ..quick() }).await;
    let mut stream = server.connect().await;
    stream.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut stream).await;

    let rested = is_cut(&mut stream).await;

    assert!(Duration::from_millis(700) < rested && rested < PATIENCE, "{rested:?}");
}

#[tokio::test]
async fn the_head_of_a_second_request_is_timed_too() {
    let server = Server::start(quick()).await;
    let mut stream = server.connect().await;
    stream.write_all(WHO.as_bytes()).await.expect("sent");
    read_one(&mut stream).await;

    stream.write_all(b"GET /who HT").await.expect("sent");

    assert!(is_cut(&mut stream).await < Duration::from_secs(10));
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let limits = Limits { body_grace: Duration::from_millis(200), ..Limits::default() };
    let server = Server::start(limits).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n").await.expect("sent");
    let (mut reading, mut writing) = stream.split();

    let mut answer = Vec::new();
    tokio::select! {
        read = timeout(PATIENCE, reading.read_to_end(&mut answer)) => { read.expect("in time").expect("in good order"); }
        () = async { loop {
            let _ = writing.write_all(b"x").await;
            sleep(Duration::from_millis(50)).await;
        } } => {}
    }

    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(status(&answer), "408");
    assert!(answer.contains("\"code\":\"request-timeout\""), "{answer}");
}

/// An answer that nobody reads is memory that nobody gets back.
#[tokio::test]
async fn a_client_that_never_reads_its_answer_is_cut() {
    let server =
        Server::start(Limits { write_timeout: Duration::from_millis(300), connections_max: 1, ..Limits::default() })
            .await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(server.address).await.expect("a connection");
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");

    let next = timeout(PATIENCE, async {
        loop {
            match server.say(WHO_AND_CLOSE).await {
                answer if status(&answer) == "200" => return,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
    });

    next.await.expect("the seat of a client that does not read is given back");
}

#[tokio::test]
async fn a_slow_reader_gets_its_whole_answer() {
    let server = Server::start(Limits { write_timeout: Duration::from_secs(5), ..quick() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.expect("sent");

    let (mut total, mut part) = (0, vec![0; 1024 * 1024]);
    loop {
        let read = stream.read(&mut part).await.expect("the answer");
        if read == 0 {
            break;
        }
        total += read;
        sleep(Duration::from_millis(5)).await;
    }

    assert!(64 * 1024 * 1024 < total, "{total}");
}
