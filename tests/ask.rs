//! A client of the real server, as small as can be. Shared by the tests that need one.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One request on a connection of its own. Nothing, if the answer did not come whole.
pub fn ask(url: &str, method: &str, path: &str, token: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(url.strip_prefix("http://")?).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(15))).ok()?;
    let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{authorization}\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, text) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let expected = head.lines().find_map(|it| it.strip_prefix("content-length: ")?.parse::<usize>().ok());
    (expected.unwrap_or(0) == text.len()).then(|| (status, text.to_owned()))
}
