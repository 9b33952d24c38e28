//! What is taken for a request, and what is not.
use super::*;

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;

    for _ in 0..3 {
        stream.write_all(WHO.as_bytes()).await.expect("sent");
        assert_eq!(status(&read_one(&mut stream).await), "200");
    }
}

/// A chunked body has no length to look at beforehand.
#[tokio::test]
async fn an_endless_chunked_body_is_413_and_not_read_to_its_end() {
    let server = Server::start(Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await.expect("sent");
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x1_0000], b"\r\n"].concat();
    for _ in 0..48 {
        stream.write_all(&chunk).await.expect("sent");
    }

    let answer = read_all(&mut stream).await;

    assert_eq!(status(&answer), "413");
    assert!(answer.contains("\"code\":\"body-too-large\""), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(server.shared.bytes_read.load(Ordering::Relaxed) <= 1024 * 1024, "more than the cap reached the handler");
}

/// A socket that is closed with unread bytes is reset. Most clients then tell of a broken connection
/// and never look at the answer that says why.
#[tokio::test]
async fn a_client_that_goes_on_sending_is_not_reset() {
    let server = Server::start(Limits { body_bytes_max: 10, ..Limits::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n").await.expect("sent");
    let answer = read_one(&mut stream).await;

    for _ in 0..10 {
        stream.write_all(&[b'x'; 4096]).await.expect("sent");
        sleep(Duration::from_millis(20)).await;
    }

    assert_eq!(status(&answer), "413");
}

#[tokio::test]
async fn a_body_that_admits_to_be_too_large_is_not_asked_for() {
    let server = Server::start(Limits::default()).await;

    let answer =
        server.say("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n").await;

    assert_eq!(status(&answer), "413");
    assert_eq!(server.shared.bytes_read.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_missing_doubled_or_malformed_host_is_400() {
    let server = Server::start(Limits::default()).await;
    for head in ["", "Host: a\r\nHost: a\r\n", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host: \r\n", "Host: a/b\r\n"]
    {
        let answer = server.say(format!("GET /who HTTP/1.1\r\n{head}Connection: close\r\n\r\n")).await;

        assert_eq!(status(&answer), "400", "{head:?}");
        assert!(answer.contains("application/problem+json"), "{head:?}");
        assert!(answer.contains("x-request-id: "), "the shell's own words were replaced: {head:?}");
    }
    assert_eq!(status(&server.say("GET /who HTTP/1.0\r\n\r\n").await), "200");
}

/// Two lengths are how a request is smuggled past a proxy: what comes after it must never
/// be taken for a request (RFC 9112 section 6.1).
#[tokio::test]
async fn a_request_with_two_lengths_is_refused_and_the_connection_closed() {
    let server = Server::start(Limits::default()).await;
    let (cl, te) = ("content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for lengths in [format!("{cl}{te}"), format!("{te}{cl}"), format!("{te}{cl}{cl}")] {
        let before = ["", "\r\n", "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"];
        for (answered_before, before) in before.into_iter().enumerate().map(|(index, it)| (index / 2, it)) {
            let mut stream = server.connect().await;
            stream.write_all(before.as_bytes()).await.expect("sent");
            if 0 < answered_before {
                assert_eq!(status(&read_one(&mut stream).await), "200");
            }
            let smuggled = format!("POST /read HTTP/1.1\r\nHost: a\r\n{lengths}\r\n0\r\n\r\n{WHO}");
            stream.write_all(smuggled.as_bytes()).await.expect("sent");

            let answer = read_all(&mut stream).await;

            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
            assert_eq!(status(&answer), "400", "{lengths:?} {answer}");
            assert!(answer.contains("connection: close") && answer.contains("malformed-request"), "{answer}");
        }
    }
}

/// A browser that was given https:// for an address without it.
#[tokio::test]
async fn tls_is_told_that_this_is_plain_http() {
    let server = Server::start(Limits::default()).await;

    let answer = server.say([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[7; 500]].concat()).await;

    assert!(status(&answer) == "400" && answer.contains("this is TLS"), "{answer}");
}

#[tokio::test]
async fn a_target_that_is_too_long_is_told_from_a_head_that_is() {
    let server = Server::start(Limits::default()).await;
    let (long, many) = ("a".repeat(40_000), format!("X-A: {}\r\n", "b".repeat(40_000)));

    let target = server.say(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let head = server.say(format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n")).await;

    assert_eq!((status(&target), status(&head)), ("414", "431"));
}

/// An early answer, as 401, must not cost the client its connection without a word.
#[tokio::test]
async fn a_body_that_nobody_reads_leaves_the_connection_or_the_answer_says_that_it_ends() {
    let server = Server::start(Limits::default()).await;
    let head = |more: &str| format!("POST /who HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    let mut stream = server.connect().await;
    stream.set_nodelay(true).expect("set");
    for _ in 0..2 {
        stream.write_all(head("Content-Length: 2\r\n").as_bytes()).await.expect("sent");
        sleep(Duration::from_millis(20)).await;
        stream.write_all(b"{}").await.expect("sent");
        let answer = read_one(&mut stream).await;
        assert!(status(&answer) == "200" && !answer.contains("connection: close"), "{answer}");
    }
    drop(stream);

    for never_sent in
        ["Content-Length: 2\r\n", "Content-Length: 900000\r\n", "Content-Length: 2\r\nExpect: 100-continue\r\n"]
    {
        let answer = server.say(head(never_sent)).await;
        assert!(status(&answer) == "200" && answer.contains("connection: close"), "{never_sent}: {answer}");
    }
}

#[tokio::test]
async fn lengths_that_contradict_one_another_are_400() {
    let server = Server::start(Limits::default()).await;
    let unequal = "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello";
    let answer = server.say(unequal).await;
    assert!(status(&answer) == "400" && answer.contains("`Content-Length` is there more than once"), "{answer}");
    let negative = server.say("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n").await;
    assert!(status(&negative) == "400" && negative.contains("`Content-Length` must be a whole number"), "{negative}");
    let not_chunked = "POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nhello";
    assert_eq!(status(&server.say(not_chunked).await), "400");
    for odd in ["Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"]
    {
        let head = format!("POST /read HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{odd}\r\n0\r\n\r\n");
        assert_eq!(status(&server.say(head).await), "400", "{odd}");
    }
}

/// A length in the body, or in the request before, is not one of this request.
#[tokio::test]
async fn a_chunked_body_is_read_whatever_it_holds() {
    let server = Server::start(Limits::default()).await;
    let length = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "15\r\n\nContent-Length: 9\r\n\r\r\n0\r\n\r\n";

    let answer = server.say(format!("{length}{chunked}{body}{length}{WHO_AND_CLOSE}")).await;

    assert_eq!(answer.matches("HTTP/1.1 200").count(), 4, "{answer}");
}

#[tokio::test]
async fn a_head_of_33_kib_is_431() {
    let server = Server::start(Limits::default()).await;
    let padding = "x".repeat(33 * 1024);

    let answer = server.say(format!("GET /who HTTP/1.1\r\nHost: a\r\nX-Padding: {padding}\r\n\r\n")).await;

    assert_eq!(status(&answer), "431");
}

/// A client that sends nonsense is told in the same shape as one that sends a wrong value.
#[tokio::test]
async fn a_head_that_nobody_can_read_is_a_problem_too() {
    let server = Server::start(Limits::default()).await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200));
    for (head, expected) in [
        ("nonsense\r\n\r\n", ("400", "malformed-request")),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", ("400", "malformed-request")),
        ("GET / HTTP/3.7\r\nHost: a\r\n\r\n", ("400", "malformed-request")),
        (&long, ("414", "target-too-long")),
        (&many, ("431", "head-too-large")),
    ] {
        let answer = server.say(head).await;

        let (top, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((status(top), body["code"].as_str()), (expected.0, Some(expected.1)), "{answer}");
        assert!(top.contains("content-type: application/problem+json"), "{top}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
}

/// Whoever looks for a client's trouble looks for the id that the client was told.
#[tokio::test]
async fn a_head_that_nobody_can_read_is_answered_and_logged_like_any_request() {
    let (kept, _guard) = Kept::of_this_thread();
    let server = Server::with(Policy::default(), Vec::new()).await;
    let padding = "x".repeat(33 * 1024);
    let large = format!("GET /who HTTP/1.1\r\nHost: a\r\nX-Padding: {padding}\r\n\r\n");
    for (head, expected) in [("nonsense\r\n\r\n", 400), (&large, 431)] {
        let answer = server.say(head).await;

        let (top, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let header = |name: &str| top.lines().find_map(|it| it.strip_prefix(name)).unwrap_or_else(|| panic!("{top}"));
        let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let id = header("x-request-id: ");
        assert_eq!(document["instance"], id);
        assert!(header("x-response-time: ").ends_with("ms"));
        assert_eq!(header("x-content-type-options: "), "nosniff");
        assert_eq!(header("content-security-policy: "), "default-src 'none'; frame-ancestors 'none'");

        let lines = kept.requests();
        let line = lines.last().expect("a line");
        assert_eq!((&line["request.id"], &line["status"]), (&id.into(), &expected.into()));
        assert_eq!(
            (&line["method"], &line["path"], &line["client.address"]),
            (&"-".into(), &"-".into(), &"127.0.0.1".into())
        );
        assert!(line["duration_ms"].is_f64(), "{line}");
    }
    assert_eq!(kept.requests().len(), 2);
}

/// What hyper says unasked is replaced; what a feature says is not, even if it looks the same.
#[tokio::test]
async fn an_answer_that_looks_like_a_refusal_is_left_alone() {
    let server = Server::start(Limits::default()).await;
    let lookalike = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";

    let request = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", lookalike.len());
    let answer = server.say(format!("{request}{lookalike}nonsense\r\n\r\n")).await;

    assert_eq!(status(&answer), "200", "{answer}");
    assert!(answer.contains(&format!("\r\n\r\n{lookalike}")), "{answer}");
}

#[tokio::test]
async fn a_panic_ends_one_request_and_no_other() {
    let server = Server::start(Limits::default()).await;

    let answer = server.say("GET /fail HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;

    assert_eq!(status(&answer), "500");
    assert!(answer.contains("\"code\":\"internal\"") && !answer.contains("on purpose"), "{answer}");
    assert_eq!(status(&server.say(WHO_AND_CLOSE).await), "200");
}

/// Whoever reaches the socket is the operator; nobody else can become one, whatever they send.
#[tokio::test]
async fn the_operator_comes_through_the_socket_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steading.sock");
    let socket = UnixListener::bind(&path).expect("a socket");
    let policy = Policy { trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")], ..Policy::default() };
    let server = Server::with(policy, vec![Door::Socket(socket)]).await;

    let mut stream = UnixStream::connect(&path).await.expect("a connection");
    stream.write_all(WHO_AND_CLOSE.as_bytes()).await.expect("sent");
    let operator = read_all(&mut stream).await;
    let forged = "GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: unix\r\nForwarded: for=unix\r\n\
        X-Remote-User: operator\r\nX-Caller: operator\r\n\r\n";
    let stranger = server.say(forged).await;

    assert!(operator.ends_with("operator from None, with a body: false"), "{operator}");
    assert!(stranger.ends_with("a stranger from Some(127.0.0.1), with a body: false"), "{stranger}");
}

#[tokio::test]
async fn a_forged_client_address_is_ignored_on_the_wire_too() {
    let server = Server::start(Limits::default()).await;

    let answer = server
        .say("GET /who HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\n\r\n")
        .await;

    assert!(answer.contains("from Some(127.0.0.1)"), "{answer}");
}

#[tokio::test]
async fn odd_request_targets_do_no_harm() {
    let server = Server::start(Limits::default()).await;
    for (line, expected) in [
        ("CONNECT a:80", "405"),
        ("OPTIONS *", "404"),
        ("GET /../../etc/passwd", "404"),
        ("GET //who", "404"),
        ("GET /who/", "404"),
        ("GET /%ff%00", "404"),
        ("GET http://a/who", "200"),
        ("GET http://b/who", "400"),
        ("BREW /who", "405"),
        ("HEAD /who", "200"),
    ] {
        let host = if line.starts_with("CONNECT") { "a:80" } else { "a" };
        let answer = server.say(format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;

        assert_eq!(status(&answer), expected, "{line}: {answer}");
    }
    assert_eq!(status(&server.say(WHO_AND_CLOSE).await), "200");
}
