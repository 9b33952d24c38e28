//! Sets of collections that are pushed while the server is killed.
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::ask::ask;
use crate::records;
use crate::records::sign_in;
use crate::server::{Server, command, steading};

/// Collections of a set: a push of them takes long enough to be hit.
const COLLECTIONS: usize = 80;

/// One of two sets that differ in every collection, each of which refers to the next.
fn set(is_second: bool) -> Vec<Value> {
    let (own, other, from) = if is_second { ("b", "q", "p") } else { ("a", "p", "q") };
    let name = |prefix: &str, number: usize| format!("{prefix}{}", number % COLLECTIONS);
    let one = |number: usize| {
        json!({
            "name": name(other, number),
            "renamedFrom": name(from, number),
            "fields": [
                { "name": "kept", "type": "text" },
                { "name": own, "type": "text", "unique": true },
                { "name": "next", "type": "relation", "collection": name(other, number + 1) },
            ],
            "indexes": [{ "fields": [own, "createdAt"] }],
            "rules": { "list": format!("next.{own} == 'x'"), "view": "true" },
        })
    };
    (0..COLLECTIONS).map(one).collect()
}

fn write(folder: &Path, is_second: bool) {
    let schema = folder.join("files");
    let _ = std::fs::remove_dir_all(&schema);
    std::fs::create_dir(&schema).expect("a folder");
    for collection in set(is_second) {
        let name = collection["name"].as_str().expect("a name");
        std::fs::write(schema.join(format!("{name}.json")), collection.to_string()).expect("written");
    }
}

/// Fields by the names of collections.
fn there(url: &str, token: &str) -> Vec<(String, Vec<String>)> {
    let (status, text) = ask(url, "GET", "/api/v1/collections/export", token, "").expect("answered");
    assert_eq!(status, 200, "{text}");
    let text_of = |it: &Value| it["name"].as_str().expect("a name").to_owned();
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let all = all["collections"].as_array().expect("collections").iter();
    all.map(|it| (text_of(it), it["fields"].as_array().expect("fields").iter().map(text_of).collect())).collect()
}

/// Pushes one set after the other, has the server killed in the midst of it `rounds` times, and looks each time that all
/// collections are those of one set, with their tables. Returns how often the kill came before the push was through.
pub fn push_under_kills(folder: &Path, rounds: u64) -> usize {
    let start = || Server::start(folder, &[("STEADING__SCHEMA__FOLDER", "")]);
    let mut server = start();
    drop(records::Ledger::begin(folder, &server.url));
    write(folder, false);
    steading(folder, &["schema", "push", "--folder", "files"]);
    let push = ["schema", "push", "--folder", "files", "--allow-loss"];
    let (mut is_second, mut cut_short) = (false, 0);
    for round in 0..rounds {
        write(folder, !is_second);
        let mut pushing = command(folder, &push).stdout(std::process::Stdio::null()).spawn().expect("started");
        std::thread::sleep(Duration::from_millis(30 + 190 * round));
        server.process.kill().expect("killed");
        server.process.wait().expect("gone");
        let was_told = pushing.wait().expect("ended").success();
        server = start();
        let token = sign_in(&server.url);
        let found = there(&server.url, &token);
        let of = |is_second: bool| {
            let mut all: Vec<_> =
                set(is_second).iter().map(|it| it["name"].as_str().expect("a name").to_owned()).collect();
            all.push("words".to_owned());
            all.sort();
            all
        };
        let names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
        let is_done = names == of(!is_second);
        assert!(is_done || names == of(is_second), "half of a push is there: {names:?}");
        assert!(is_done || !was_told, "a push that was told to be done is not there");
        cut_short += usize::from(!is_done);
        is_second ^= is_done;
        for (name, fields) in &found {
            let (status, text) = ask(
                &server.url,
                "GET",
                &format!("/api/v1/collections/{name}/records?fields={}", fields.join(",")),
                &token,
                "",
            )
            .expect("answered");
            assert_eq!(status, 200, "{name} has not the table that it should: {text}");
        }
    }
    cut_short
}
