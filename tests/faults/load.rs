//! Clients that write all the time, and a ledger of what they were told.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::ask::ask;

/// A client with an account of its own, whose name it sets to a rising number.
struct Client {
    token: String,
    /// The last number that the server said it has.
    acknowledged: u64,
    /// The last number that was sent, answered or not.
    sent: u64,
    count: u64,
    refused: u64,
    is_out: bool,
}

pub struct Load {
    clients: Vec<Client>,
}

impl Load {
    pub fn new(clients: usize) -> Self {
        let client = || Client { token: String::new(), acknowledged: 0, sent: 0, count: 0, refused: 0, is_out: false };
        Self { clients: std::iter::repeat_with(client).take(clients).collect() }
    }

    pub fn register(&mut self, url: &str) {
        for (number, client) in self.clients.iter_mut().enumerate() {
            let body = format!(r#"{{"email": "c{number}@example.com", "password": "correct horse", "name": "0"}}"#);
            let (status, text) = ask(url, "POST", "/api/v1/auth/register", "", &body).expect("answered");
            assert_eq!(status, 201, "{text}");
            client.token = json(&text)["accessToken"].as_str().expect("a token").to_owned();
        }
    }

    /// Writes for a while, then does `end` in the middle of it, and returns when all clients stopped.
    /// A client stops when it gets no answer.
    pub fn run(&mut self, url: &str, time: Duration, end: impl FnOnce()) {
        let is_over = AtomicBool::new(false);
        let began = std::time::Instant::now();
        std::thread::scope(|scope| {
            let over = &is_over;
            let running: Vec<_> = self
                .clients
                .iter_mut()
                .filter(|it| !it.is_out)
                .map(|client| scope.spawn(move || client.write_until(url, over)))
                .collect();
            while began.elapsed() < time && !running.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                std::thread::sleep(Duration::from_millis(5));
            }
            end();
            is_over.store(true, Ordering::Relaxed);
        });
    }

    /// Holds what the server has against what it said.
    pub fn check(&self, url: &str) {
        for client in self.clients.iter().filter(|it| !it.is_out) {
            let (status, text) = ask(url, "GET", "/api/v1/auth/profile", &client.token, "").expect("answered");
            assert_eq!(status, 200, "{text}");
            let found: u64 = json(&text)["name"].as_str().and_then(|it| it.parse().ok()).expect("a number");
            let (least, most) = (client.acknowledged, client.sent);
            assert!((least..=most).contains(&found), "{least} was acknowledged, {most} sent, and {found} is there");
        }
    }

    pub fn acknowledged(&self) -> u64 {
        self.clients.iter().map(|it| it.count).sum()
    }

    pub fn refused(&self) -> u64 {
        self.clients.iter().map(|it| it.refused).sum()
    }

    pub fn token(&self, client: usize) -> String {
        self.clients[client].token.clone()
    }

    /// This client is signed out, and counts no more.
    pub fn forget(&mut self, client: usize) {
        self.clients[client].is_out = true;
    }
}

impl Client {
    fn write_until(&mut self, url: &str, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            self.sent += 1;
            let body = format!(r#"{{"name": "{}"}}"#, self.sent);
            match ask(url, "PATCH", "/api/v1/auth/profile", &self.token, &body) {
                Some((200, _)) => {
                    self.acknowledged = self.sent;
                    self.count += 1;
                }
                // Refused for the disk: not written, which `check` holds it to.
                Some((507, _)) => self.refused += 1,
                Some((status, text)) => panic!("{status}: {text}"),
                None => return,
            }
        }
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
