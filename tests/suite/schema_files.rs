//! Promises about collections in files: pulled, compared, pushed, applied at the start, written back.
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::ask::ask;
use crate::server::{Server, command, steading};

const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
/// How long a test waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a role, and returns its exit code and all that it said.
fn ran(folder: &Path, args: &[&str]) -> (i32, String) {
    let ran = command(folder, args).output().expect("run");
    let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    (ran.status.code().expect("a code"), said)
}

fn write(folder: &Path, name: &str, collection: &Value) {
    write_text(folder, name, &format!("{collection:#}\n"));
}

fn write_text(folder: &Path, name: &str, text: &str) {
    std::fs::create_dir_all(folder.join("schema")).expect("a folder");
    std::fs::write(folder.join("schema").join(name), text).expect("written");
}

fn file(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join("schema").join(name)).ok()
}

/// What the last server that was started said.
fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).expect("a log")
}

fn text(name: &str) -> Value {
    json!({ "name": name, "type": "text" })
}

fn sign_in(server: &Server) -> String {
    let body = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let (status, text) = ask(&server.url, "POST", "/api/v1/auth/login", "", &body).expect("answered");
    assert_eq!(status, 200, "{text}");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    body["accessToken"].as_str().expect("a token").to_owned()
}

/// A folder with an admin.
fn with_admin() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    steading(folder.path(), &["admin", "create", "--email", EMAIL, "--password", PASSWORD]);
    folder
}

fn asked(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Value {
    let path = format!("/api/v1/collections{path}");
    let (status, text) = ask(&server.url, method, &path, token, &body.to_string()).expect("answered");
    assert!(status < 300, "{method} {path}: {status} {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The message with which a server did not start.
fn not_started(folder: &Path) -> String {
    let (code, said) = ran(folder, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, 1, "{said}");
    said
}

#[test]
fn what_is_pushed_is_pulled_as_it_was_and_a_second_pull_changes_nothing() {
    let folder = with_admin();
    let folder = folder.path();
    let a = json!({
        "name": "a", "fields": [text("x"), { "name": "b", "type": "relation", "collection": "b" }],
        "rules": { "list": "true", "view": null, "create": null, "update": null, "delete": null },
    });
    let b = json!({
        "name": "b", "fields": [{ "name": "a", "type": "relation", "multiple": true, "collection": "a" }],
        "rules": { "list": null, "view": null, "create": null, "update": null, "delete": null },
        "options": { "softDelete": true },
    });
    write(folder, "a.json", &a);
    write(folder, "b.json", &b);
    write_text(folder, "README.md", "not a collection");

    let before = ran(folder, &["schema", "diff"]);
    let pushed = steading(folder, &["schema", "push"]);
    let after = ran(folder, &["schema", "diff"]);
    let pulled = steading(folder, &["schema", "pull"]);

    assert_eq!((before.0, after), (1, (0, String::new())), "{before:?}");
    assert!(before.1.contains("a: create\n  make the collection `a` with 2 fields"), "{before:?}");
    assert!(pushed.ends_with("done\n"), "{pushed}");
    assert_eq!(pulled, "", "the files say just what the server has");
    assert_eq!(steading(folder, &["schema", "push"]), "nothing to do\n");
    assert_eq!((file(folder, "a.json"), file(folder, "b.json")), (Some(format!("{a:#}\n")), Some(format!("{b:#}\n"))));
    std::fs::remove_file(folder.join("schema/a.json")).expect("removed");
    assert_eq!(steading(folder, &["schema", "pull"]), "wrote schema/a.json\n");
    assert_eq!(file(folder, "a.json"), Some(format!("{a:#}\n")));
    write(folder, "c.json", &json!({ "name": "c", "fields": [] }));
    let kept = steading(folder, &["schema", "pull"]);
    assert!(kept.contains("--delete-others") && file(folder, "c.json").is_some(), "{kept}");
    steading(folder, &["schema", "pull", "--delete-others"]);
    assert_eq!(file(folder, "c.json"), None);
}

#[test]
fn a_push_asks_a_server_elsewhere_with_a_token_and_loses_nothing_unless_it_is_told_to() {
    let (folder, other) = (with_admin(), with_admin());
    let server = Server::start(other.path(), &[("STEADING__SCHEMA__FOLDER", "")]);
    let token = sign_in(&server);
    let folder = folder.path();
    let schema = |args: &[&str]| {
        let args = [&["schema"], args, &["--url", &server.url]].concat();
        let ran = command(folder, &args).env("STEADING_TOKEN", &token).output().expect("run");
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        (ran.status.code().expect("a code"), said)
    };
    write(folder, "a.json", &json!({ "name": "a", "fields": [text("x"), text("y")] }));

    assert_eq!(schema(&["push"]).0, 0);
    asked(&server, &token, "POST", "/a/records", &json!({ "x": "1" }));
    asked(&server, &token, "POST", "", &json!({ "name": "b", "fields": [] }));
    write(folder, "a.json", &json!({ "name": "a", "fields": [text("y")] }));
    let (differs, lines) = schema(&["diff"]);
    let (refused, said) = schema(&["push"]);

    assert_eq!(differs, 1);
    assert_eq!(
        lines,
        "a: change\n  drop the field `x` with its values; 1 record loses a value\nwithout a file, and left alone: b\n\
         a push is refused, since values would be lost; `--allow-loss` lets them go\n"
    );
    assert!(refused == 2 && said.contains("Values would be lost"), "{said}");
    assert_eq!(asked(&server, &token, "GET", "/a", &Value::Null)["fields"][0]["name"], "x");
    assert_eq!(schema(&["push", "--allow-loss"]).0, 0);
    assert_eq!(asked(&server, &token, "GET", "/a", &Value::Null)["fields"][0]["name"], "y");
    assert_eq!(schema(&["push", "--drop-others"]).0, 0);
    assert_eq!(asked(&server, &token, "GET", "", &Value::Null)["data"].as_array().map(Vec::len), Some(1));
    let without = ran(folder, &["schema", "diff", "--url", &server.url]);
    assert!(without.0 == 2 && without.1.contains("STEADING_TOKEN"), "{without:?}");
    for url in ["http://example.com", "ftp://example.com", "localhost", "http://a:b@localhost", "http://localhost?x=1"]
    {
        let (code, said) = ran(folder, &["schema", "diff", "--url", url]);
        assert!(code == 2 && said.contains("--url"), "{url}: {said}");
    }
}

#[test]
fn files_are_applied_before_anything_is_served() {
    let folder = with_admin();
    let folder = folder.path();
    write(folder, "a.json", &json!({ "name": "a", "fields": [text("x")] }));

    let server = Server::start(folder, &[]);
    let token = sign_in(&server);
    asked(&server, &token, "POST", "/a/records", &json!({ "x": "1" }));
    let history = ask(&server.url, "GET", "/api/v1/admin/collections/history", &token, "").expect("answered").1;
    drop(server);

    let history: Value = serde_json::from_str(&history).expect("JSON");
    assert_eq!((&history["data"][0]["source"], &history["data"][0]["author"]), (&json!("files"), &json!("server")));
    write(folder, "a.json", &json!({ "name": "b", "renamedFrom": "a", "fields": [text("x")] }));
    std::fs::rename(folder.join("schema/a.json"), folder.join("schema/b.json")).expect("renamed");
    for _ in 0..2 {
        let server = Server::start(folder, &[]);
        let token = sign_in(&server);
        assert_eq!(asked(&server, &token, "GET", "/b/records", &Value::Null)["data"][0]["x"], "1");
    }
}

#[test]
fn a_file_that_would_lose_values_keeps_the_server_from_starting() {
    let folder = with_admin();
    let folder = folder.path();
    write(folder, "a.json", &json!({ "name": "a", "fields": [text("x")] }));
    let server = Server::start(folder, &[]);
    let token = sign_in(&server);
    asked(&server, &token, "POST", "/a/records", &json!({ "x": "1" }));
    drop(server);

    write(folder, "a.json", &json!({ "name": "a", "fields": [text("y")] }));
    let losing = not_started(folder);
    let unique = json!({ "name": "a", "fields": [text("x"), { "name": "y", "type": "text", "required": true }] });
    write(folder, "a.json", &unique);
    let blocked = not_started(folder);
    write(folder, "a.json", &json!({ "name": "a", "fields": [text("x")] }));

    for said in [&losing, &blocked] {
        assert!(said.contains("the files in schema were not applied"), "{said}");
        assert!(said.contains("steading schema diff"), "it says what to do: {said}");
    }
    assert!(losing.contains("drop the field `x` with its values; 1 record loses a value"), "{losing}");
    assert!(blocked.contains("1 record in the way"), "{blocked}");
    let server = Server::start(folder, &[]);
    assert_eq!(asked(&server, &sign_in(&server), "GET", "/a/records", &Value::Null)["data"][0]["x"], "1");
}

#[test]
fn a_broken_file_is_told_with_its_line_and_what_is_wrong() {
    let folder = with_admin();
    let folder = folder.path();
    let cases: [(&str, &str, &str); 8] = [
        ("a.json", "{\n  \"name\": \"a\",\n  nonsense\n}", "schema/a.json:3: is not JSON: key must be a string"),
        (
            "a.json",
            "{\n  \"name\": \"b\", \"fields\": []\n}",
            "schema/a.json:2: says that it is `b`; its name must be b.json",
        ),
        ("a.json", "[]", "schema/a.json:1: is no collection: it has no `name`"),
        ("a.json", "", "schema/a.json:1: is not JSON"),
        (
            "a.json",
            "{\n\"name\": \"a\",\n\"fields\": [\n{\"name\": \"x\",\n\"type\": \"words\"}]}",
            "schema/a.json:5: /fields/0/type",
        ),
        ("a.json", "{\n\"name\": \"a\",\n\"fields\": [],\n\"ruls\": {}}", "schema/a.json:4: /ruls"),
        ("a.json", "{\"name\": \"a\",\n\"fields\": [],\n\"fields\": []}", "schema/a.json:2: /fields"),
        (
            "a.json",
            "{\"name\": \"a\", \"fields\": [],\n\"rules\": {\"list\":\n\"nothing == 1\"}}",
            "schema/a.json:3: /rules/list",
        ),
    ];
    for (name, text, expected) in cases {
        write_text(folder, name, text);
        for said in [not_started(folder), ran(folder, &["schema", "diff"]).1] {
            assert!(said.contains(expected), "{text}: {said}");
        }
    }
}

#[test]
fn what_is_no_file_of_a_collection_is_refused_and_never_followed() {
    let folder = with_admin();
    let folder = folder.path();
    let schema = folder.join("schema");
    std::fs::create_dir(&schema).expect("a folder");
    let secret = folder.join("secret.json");
    std::fs::write(&secret, "{\"name\": \"a\", \"fields\": [], \"password\": 1}").expect("written");
    let expect = |words: &str| {
        let begun = Instant::now();
        let (code, said) = ran(folder, &["schema", "diff"]);
        assert!(code == 2 && said.contains(words) && !said.contains("password"), "{code} {said}");
        assert!(begun.elapsed() < PATIENCE, "{words}");
        let _ = std::fs::remove_file(schema.join("a.json"));
        let _ = std::fs::remove_dir(schema.join("a.json"));
    };

    symlink(&secret, schema.join("a.json")).expect("a link");
    expect("is no file of its own");
    assert!(std::process::Command::new("mkfifo").arg(schema.join("a.json")).status().expect("run").success());
    expect("is no file of its own");
    std::fs::create_dir(schema.join("a.json")).expect("a folder");
    expect("is no file of its own");
    std::fs::File::create(schema.join("a.json")).and_then(|it| it.set_len(100 << 20)).expect("a large file");
    expect("is larger than 4 MiB");
    std::fs::write(schema.join("a.json"), [0xff, 0xfe]).expect("written");
    expect("is not UTF-8");
    std::fs::write(schema.join("a.json"), "[".repeat(100_000)).expect("written");
    expect("is not JSON");
    write(folder, "A.json", &json!({ "name": "A", "fields": [] }));
    write(folder, "a.json", &json!({ "name": "a", "fields": [] }));
    expect("schema/a.json:2: /name is the name of another collection of the set");
    std::fs::remove_file(schema.join("A.json")).expect("removed");

    // Nor is anything written through a link.
    write(folder, "b.json", &json!({ "name": "b", "fields": [] }));
    steading(folder, &["schema", "push"]);
    std::fs::remove_file(schema.join("b.json")).expect("removed");
    symlink(&secret, schema.join("b.json")).expect("a link");
    let (code, said) = ran(folder, &["schema", "pull"]);
    assert!(code == 2 && said.contains("links are not followed"), "{code} {said}");
    assert!(std::fs::read_to_string(&secret).is_ok_and(|it| it.contains("password")));
}

#[test]
fn with_dev_what_is_changed_through_the_api_is_written_into_the_files() {
    let folder = with_admin();
    let folder = folder.path();
    let text_of = |it: &Value| format!("{it:#}\n");
    write_text(
        folder,
        "a.json",
        "{\"name\": \"a\",   \"fields\": [{\"name\": \"x\", \"type\": \"text\", \"hidden\": false}]}",
    );
    let serve = || Server::run(folder, &mut command(folder, &["serve", "--dev", "--listen", "127.0.0.1:0"]));
    let server = serve();
    let token = sign_in(&server);
    let rules = json!({ "list": null, "view": null, "create": null, "update": null, "delete": null });
    let grown = json!({ "name": "a", "fields": [text("x"), text("y")], "rules": rules });

    asked(&server, &token, "POST", "", &json!({ "name": "b", "fields": [] }));
    until("a new collection has a file", || {
        file(folder, "b.json") == Some(text_of(&json!({ "name": "b", "fields": [], "rules": rules })))
    });
    assert!(file(folder, "a.json").is_some_and(|it| it.contains("   ")), "what nobody changed stays as it is written");
    asked(&server, &token, "PATCH", "/a", &json!({ "fields": [text("x"), text("y")] }));
    until("the change is in its file", || file(folder, "a.json") == Some(text_of(&grown)));
    asked(&server, &token, "PATCH", "/b", &json!({ "name": "c" }));
    until("the file has the new name", || file(folder, "b.json").is_none() && file(folder, "c.json").is_some());
    asked(&server, &token, "DELETE", "/c", &Value::Null);
    until("the file goes with its collection", || file(folder, "c.json").is_none());

    // Somebody writes into a file while the collection is changed: nothing of either is lost.
    let own = json!({ "name": "a", "fields": [text("x"), text("y"), text("mine")] });
    write(folder, "a.json", &own);
    asked(&server, &token, "PATCH", "/a", &json!({ "rules": { "list": "true" } }));
    asked(&server, &token, "POST", "", &json!({ "name": "z", "fields": [] }));
    until("later changes are written", || file(folder, "z.json").is_some());
    assert_eq!(file(folder, "a.json"), Some(text_of(&own)));
    drop(server);
    for _ in 0..2 {
        let server = serve();
        let shown = asked(&server, &sign_in(&server), "GET", "/a", &Value::Null);
        assert_eq!((&shown["rules"]["list"], &shown["fields"][2]), (&json!("true"), &Value::Null));
        assert_eq!(file(folder, "a.json"), Some(text_of(&own)));
        let said = log(folder);
        assert!(said.contains("both were left as they are") && said.contains("steading schema push"), "{said}");
    }
    // Who says which of them counts is heard.
    steading(folder, &["schema", "push"]);
    let server = serve();
    let shown = asked(&server, &sign_in(&server), "GET", "/a", &Value::Null);
    assert_eq!((&shown["rules"]["list"], &shown["fields"][2]["name"]), (&Value::Null, &json!("mine")));
    assert!(!log(folder).contains("left as they are"));
    drop(server);
    write(folder, "a.json", &json!({ "name": "a", "fields": [text("x"), text("y"), text("mine"), text("z")] }));
    let server = serve();
    let shown = asked(&server, &sign_in(&server), "GET", "/a", &Value::Null);
    assert_eq!(shown["fields"][3]["name"], "z", "a file that was changed while its collection was not counts");
}

/// Between a change and the writing of its file the server may be killed. Without `--dev` nothing is written: as if it
/// had been, each time.
#[test]
fn with_dev_what_was_not_written_when_the_server_was_killed_is_written_at_the_next_start() {
    let folder = with_admin();
    let folder = folder.path();
    let serve = |args: &[&str]| {
        let args = [&["serve", "--listen", "127.0.0.1:0"], args].concat();
        Server::run(folder, &mut command(folder, &args))
    };
    let names = |server: &Server| {
        let all = asked(server, &sign_in(server), "GET", "", &Value::Null);
        let names = all["data"].as_array().into_iter().flatten().map(|it| it["name"].as_str().expect("a name"));
        names.map(ToOwned::to_owned).collect::<Vec<_>>()
    };

    // There is no folder yet, either.
    let server = serve(&[]);
    asked(&server, &sign_in(&server), "POST", "", &json!({ "name": "first", "fields": [] }));
    drop(server);
    drop(serve(&["--dev"]));
    assert!(file(folder, "first.json").is_some(), "a collection that is new gets its file");

    for name in ["a", "b", "c", "d"] {
        write(folder, &format!("{name}.json"), &json!({ "name": name, "fields": [text("x")] }));
    }
    let server = serve(&[]);
    let token = sign_in(&server);
    asked(&server, &token, "PATCH", "/a", &json!({ "fields": [text("x"), text("y")] }));
    asked(&server, &token, "POST", "/a/records", &json!({ "y": "1" }));
    asked(&server, &token, "POST", "/b/records", &json!({ "x": "kept" }));
    asked(&server, &token, "PATCH", "/b", &json!({ "name": "other" }));
    asked(&server, &token, "DELETE", "/c", &Value::Null);
    asked(&server, &token, "POST", "", &json!({ "name": "new", "fields": [text("x")] }));
    asked(&server, &token, "POST", "", &json!({ "name": "moment", "fields": [] }));
    asked(&server, &token, "DELETE", "/moment", &Value::Null);
    drop(server);

    for _ in 0..2 {
        let server = serve(&["--dev"]);
        assert_eq!(names(&server), ["a", "d", "first", "new", "other"]);
        let kept = asked(&server, &sign_in(&server), "GET", "/other/records", &Value::Null);
        assert_eq!(kept["data"][0]["x"], "kept", "it is the collection that it was");
        assert!(file(folder, "a.json").is_some_and(|it| it.contains("\"y\"")));
        let there = ["a", "b", "c", "d", "first", "new", "other", "moment"]
            .map(|it| file(folder, &format!("{it}.json")).is_some());
        assert_eq!(there, [true, false, false, true, true, true, true, false]);
        drop(server);
        assert_eq!(ran(folder, &["schema", "diff"]), (0, String::new()));
    }

    // What somebody takes out of the folder does not come back, as long as nobody changes the collection.
    std::fs::remove_file(folder.join("schema/new.json")).expect("removed");
    for _ in 0..2 {
        assert!(names(&serve(&["--dev"])).contains(&"new".to_owned()));
        assert_eq!(file(folder, "new.json"), None);
    }
}

#[test]
fn a_file_that_nobody_changed_does_not_undo_at_a_start_what_was_changed_through_the_api() {
    let folder = with_admin();
    let folder = folder.path();
    let open = json!({ "name": "a", "fields": [text("x")], "rules": { "list": "true", "view": "true" } });
    write(folder, "a.json", &open);
    write(folder, "b.json", &json!({ "name": "b", "fields": [] }));
    let server = Server::start(folder, &[]);
    let token = sign_in(&server);
    asked(&server, &token, "PATCH", "/a", &json!({ "rules": { "list": null } }));
    asked(&server, &token, "DELETE", "/b", &Value::Null);
    drop(server);

    let before = ran(folder, &["doctor"]).1;
    for _ in 0..2 {
        let server = Server::start(folder, &[]);
        let shown = asked(&server, &sign_in(&server), "GET", "/a", &Value::Null);
        assert_eq!(shown["rules"]["list"], Value::Null, "the rule that was closed stays closed");
        assert_eq!(
            asked(&server, &sign_in(&server), "GET", "", &Value::Null)["data"].as_array().map(Vec::len),
            Some(1)
        );
        let said = log(folder);
        for words in ["it was left alone", "the rule `list` lets in everybody instead of admins alone", "schema/b.json"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    // Only a file that says something new is heard, and what it undoes is told.
    let newer = json!({ "name": "a", "fields": [text("x"), text("y")], "rules": { "list": "true", "view": "true" } });
    write(folder, "a.json", &newer);
    let server = Server::start(folder, &[]);
    let shown = asked(&server, &sign_in(&server), "GET", "/a", &Value::Null);
    let said = log(folder);

    assert!(before.contains("the rule `list` lets in everybody instead of admins alone"), "{before}");
    assert_eq!((&shown["rules"]["list"], &shown["fields"][1]["name"]), (&json!("true"), &json!("y")));
    assert!(said.contains("the file counts") && said.contains("lets in everybody"), "{said}");
    drop(server);
    drop(Server::start(folder, &[]));
    assert!(!log(folder).contains("the file counts"), "once is enough");
    // The records of what is lost keep it from being done, whoever changed what.
    let server = Server::start(folder, &[]);
    asked(&server, &sign_in(&server), "POST", "/a/records", &json!({ "y": "1" }));
    drop(server);
    write(folder, "a.json", &open);
    assert!(not_started(folder).contains("drop the field `y` with its values"));
}

#[test]
fn a_folder_that_is_a_link_is_followed_and_said_and_one_that_leads_nowhere_is_a_mistake() {
    let folder = with_admin();
    let folder = folder.path();
    symlink("elsewhere", folder.join("schema")).expect("a link");

    let starts = not_started(folder);
    let (code, said) = ran(folder, &["schema", "pull"]);
    std::fs::create_dir(folder.join("elsewhere")).expect("a folder");
    std::fs::write(folder.join("elsewhere/a.json"), "{\"name\": \"a\", \"fields\": []}").expect("written");
    let server = Server::start(folder, &[]);

    assert!(starts.contains("schema is a link that leads nowhere, to elsewhere: make that folder"), "{starts}");
    assert!(code == 2 && said.contains("leads nowhere"), "{code} {said}");
    asked(&server, &sign_in(&server), "GET", "/a", &Value::Null);
    let said = log(folder);
    assert!(said.contains("is a link") && said.contains("/elsewhere"), "{said}");
}
