//! Records and collections that are written, imported and changed while the server is killed.
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::ask::ask;
use crate::server::steading;

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery";

/// What clients were told of records, and what may be there besides.
#[derive(Default)]
pub struct Ledger {
    acknowledged: Mutex<BTreeSet<String>>,
}

impl Ledger {
    /// An admin and the collection `words`.
    pub fn begin(folder: &Path, url: &str) -> Self {
        steading(folder, &["admin", "create", "--email", EMAIL, "--password", PASSWORD]);
        let words = json!({ "name": "words", "fields": [{ "name": "lemma", "type": "text", "unique": true }] });
        let (status, text) = post(url, "", &sign_in(url), &words).expect("answered");
        assert_eq!(status, 201, "{text}");
        Self::default()
    }

    /// Makes records, imports files and changes collections all the time, does `end` in the middle of it, and returns
    /// when everyone got no answer.
    pub fn run(&self, url: &str, round: u32, time: Duration, end: impl FnOnce()) {
        let token = sign_in(url);
        let is_over = AtomicBool::new(false);
        let goes_on = |outcome: Option<(u16, String)>| outcome.is_some() && !is_over.load(Ordering::Relaxed);
        std::thread::scope(|scope| {
            for client in 0..4 {
                let (token, goes_on) = (&token, &goes_on);
                scope.spawn(move || {
                    for number in 0.. {
                        let record = json!({ "lemma": format!("made {round} {client} {number}") });
                        let made = post(url, "/words/records", token, &record);
                        if let Some((201, text)) = &made {
                            let id = read(text)["id"].as_str().expect("an id").to_owned();
                            self.acknowledged.lock().expect("a ledger").insert(id);
                        }
                        if !goes_on(made) {
                            return;
                        }
                    }
                });
            }
            let (importing, token) = (&goes_on, &token);
            scope.spawn(move || {
                for number in 0.. {
                    let line = |it: usize| json!({ "lemma": format!("imported {round} {number} {it}") });
                    let file = Value::Array((0..2_000).map(line).collect());
                    if !importing(post(url, "/words/records/import", token, &file)) {
                        return;
                    }
                }
            });
            let changing = &goes_on;
            scope.spawn(move || {
                for number in 0.. {
                    let other = json!({ "name": format!("other{}", number % 3), "fields": [] });
                    let made = post(url, "", token, &other);
                    let grown = json!({ "fields": [
                        { "name": "lemma", "type": "text", "unique": true },
                        { "name": format!("extra{}", number % 5), "type": "integer", "default": number },
                    ] });
                    let path = "/api/v1/collections/words";
                    let changed = ask(url, "PATCH", path, token, &grown.to_string());
                    let dropped =
                        ask(url, "DELETE", &format!("/api/v1/collections/other{}", (number + 1) % 3), token, "");
                    if !changing(made.and(changed).and(dropped)) {
                        return;
                    }
                }
            });
            std::thread::sleep(time);
            end();
            is_over.store(true, Ordering::Relaxed);
        });
    }

    /// Holds what is there against what was said, and collections against their tables.
    pub fn check(&self, url: &str) {
        let token = sign_in(url);
        let get = |path: &str| {
            let (status, text) = ask(url, "GET", &format!("/api/v1/collections{path}"), &token, "").expect("answered");
            assert_eq!(status, 200, "{path}: {text}");
            text
        };
        for collection in read(&get(""))["data"].as_array().expect("collections") {
            let name = collection["name"].as_str().expect("a name");
            let list = read(&get(&format!("/{name}/records?limit=1&count=exact")));
            // In chunks, so that the plain client of this test can read it: by pages.
            let (mut ids, mut cursor) = (BTreeSet::new(), String::new());
            loop {
                let page = read(&get(&format!("/{name}/records?limit=500{cursor}")));
                let records = page["data"].as_array().expect("data");
                for field in collection["fields"].as_array().expect("fields") {
                    let field = field["name"].as_str().expect("a name");
                    assert!(records.iter().all(|it| it.get(field).is_some()), "{name} has no {field}");
                }
                ids.extend(records.iter().map(|it| it["id"].as_str().expect("an id").to_owned()));
                match page["meta"]["nextCursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(list["meta"]["total"], ids.len(), "{name} is counted wrongly");
            if name == "words" {
                let acknowledged = self.acknowledged.lock().expect("a ledger");
                assert!(acknowledged.is_subset(&ids), "{} of them are lost", acknowledged.difference(&ids).count());
            }
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().expect("a ledger").len()
    }
}

pub fn sign_in(url: &str) -> String {
    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let (status, text) = ask(url, "POST", "/api/v1/auth/login", "", &body).expect("answered");
    assert_eq!(status, 200, "{text}");
    read(&text)["accessToken"].as_str().expect("a token").to_owned()
}

pub fn post(url: &str, path: &str, token: &str, body: &Value) -> Option<(u16, String)> {
    ask(url, "POST", &format!("/api/v1/collections{path}"), token, &body.to_string())
}

pub fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
