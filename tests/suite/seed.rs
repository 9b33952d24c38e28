//! Promises about templates: with the real binary, beside a running server and without one.
use std::path::Path;

use serde_json::{Value, json};

use crate::ask::ask;
use crate::server::{Server, command, steading};

fn get(server: &Server, path: &str, token: &str) -> Value {
    let (status, reply) = ask(&server.url, "GET", path, token, "").expect("an answer");
    assert_eq!(status, 200, "{path}: {reply}");
    serde_json::from_str(&reply).expect("JSON")
}

fn total(server: &Server, collection: &str, token: &str) -> Value {
    let list = get(server, &format!("/api/v1/collections/{collection}/records?count=exact&limit=1"), token);
    list["meta"]["total"].clone()
}

/// The password that seeding tells of someone.
fn password<'a>(said: &'a str, email: &str) -> &'a str {
    let line = said.lines().find(|it| it.contains(email)).unwrap_or_else(|| panic!("no {email} in {said}"));
    line.rsplit(' ').next().expect("a word")
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let ran = command(folder, args).output().expect("run");
    assert!(!ran.status.success(), "{args:?}");
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

#[test]
fn every_template_fits_and_seeding_twice_makes_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let listed = steading(folder.path(), &["seed", "--list"]);
    assert!(!folder.path().join("data").exists(), "looking makes nothing");
    let names: Vec<_> = listed.lines().filter_map(|it| it.split(' ').next()).collect();
    assert_eq!(names, ["dictionary", "snippets", "stories", "demo"]);
    // Half of them with the server stopped.
    for name in &names[..2] {
        let said = steading(folder.path(), &["seed", name, "--rows", "400"]);
        assert!(said.contains(&format!("{name}: 400 records made, 0 there already")), "{said}");
    }
    let server = Server::start(folder.path(), &[]);
    let demo = steading(folder.path(), &["seed", "demo"]);
    steading(folder.path(), &["seed", "stories"]);
    for name in &names {
        let again = steading(folder.path(), &["seed", name]);
        assert!(!again.contains("made the") && !again.contains("password"), "{again}");
        assert!(again.lines().all(|it| it.contains(": 0 records made, ")), "{again}");
    }
    let more = steading(folder.path(), &["seed", "snippets", "--rows", "450"]);
    assert!(more.contains("snippets: 50 records made, 400 there already"), "{more}");

    let sign_in = |email: &str| {
        let body = json!({ "email": email, "password": password(&demo, email) }).to_string();
        let (status, reply) = ask(&server.url, "POST", "/api/v1/auth/login", "", &body).expect("an answer");
        assert_eq!(status, 200, "{reply}");
        serde_json::from_str::<Value>(&reply).expect("JSON")["accessToken"].as_str().expect("a token").to_owned()
    };
    let (admin, reader) = (sign_in("mia@example.com"), sign_in("vera@example.com"));
    assert_eq!((total(&server, "dictionary", ""), total(&server, "snippets", &admin)), (json!(400), json!(450)));
    assert_eq!((total(&server, "tasks", &reader), total(&server, "tasks", "")), (json!(17), json!(0)));
    let task = get(&server, "/api/v1/collections/tasks/records?expand=project.lead,assignee&limit=1", &reader);
    assert_eq!(task["data"][0]["expand"]["project"]["expand"]["lead"]["name"], "Mia", "{task}");
    let found = get(&server, "/api/v1/collections/dictionary/records?search=salt", "");
    assert_eq!(found["data"][0]["lemma"], "salt");
    let drafts = get(&server, "/api/v1/collections/stories/records?filter=state%20!=%20%27published%27", "");
    assert_eq!(drafts["data"], json!([]), "drafts are their authors'");
}

/// Somebody's own collection is theirs.
#[test]
fn a_collection_of_that_name_with_other_fields_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    steading(folder.path(), &["seed", "dictionary"]);
    let server = Server::start(folder.path(), &[]);
    let demo = steading(folder.path(), &["seed", "demo"]);
    let body = json!({ "email": "mia@example.com", "password": password(&demo, "mia@example.com") }).to_string();
    let (_, reply) = ask(&server.url, "POST", "/api/v1/auth/login", "", &body).expect("an answer");
    let token: Value = serde_json::from_str(&reply).expect("JSON");
    let own = json!({ "name": "stories", "fields": [{ "name": "title", "type": "text" }] }).to_string();
    let token = token["accessToken"].as_str().expect("a token");
    let (status, reply) = ask(&server.url, "POST", "/api/v1/collections", token, &own).expect("an answer");
    assert_eq!(status, 201, "{reply}");

    let said = refused(folder.path(), &["seed", "stories"]);

    assert!(said.contains("`stories` with other fields is there already; nothing was done"), "{said}");
    assert_eq!(total(&server, "stories", token), 0);
    let people = get(&server, "/api/v1/admin/users?limit=500", token);
    assert!(!people.to_string().contains("amara@example.com"), "{people}");
    assert!(refused(folder.path(), &["seed", "storeis"]).contains("there are dictionary, snippets, stories, demo"));
}

/// The rules of the templates are there to be copied, so they hold.
#[test]
fn the_rules_of_the_templates_let_nobody_do_what_is_for_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let said = ["demo", "stories"].map(|it| steading(folder.path(), &["seed", it])).concat();
    let sign_in = |email: &str| {
        let body = json!({ "email": email, "password": password(&said, email) }).to_string();
        let (_, reply) = ask(&server.url, "POST", "/api/v1/auth/login", "", &body).expect("an answer");
        let reply: Value = serde_json::from_str(&reply).expect("JSON");
        (reply["accessToken"].as_str().expect("a token").to_owned(), reply["user"]["id"].clone())
    };
    let write = |method: &str, path: &str, token: &str, body: Value| {
        let path = format!("/api/v1/collections/{path}");
        let (status, reply) = ask(&server.url, method, &path, token, &body.to_string()).expect("an answer");
        (status, serde_json::from_str::<Value>(&reply).unwrap_or_default())
    };
    let first = |path: &str, token: &str| {
        let list = get(&server, &format!("/api/v1/collections/{path}&limit=1"), token);
        list["data"][0]["id"].as_str().unwrap_or_else(|| panic!("{path}: {list}")).to_owned()
    };

    // Piet leads nothing, and works on the website alone.
    let ((piet, own), (noor, _)) = (sign_in("piet@example.com"), sign_in("noor@example.com"));
    let (website, office) = (
        first("projects/records?where[name]=New%20website", &piet),
        first("projects/records?where[name]=Move%20to%20the%20new%20office", &piet),
    );
    let strange = json!({ "name": "Alone", "lead": sign_in("mia@example.com").1 });
    assert_eq!(write("POST", "projects/records", &piet, strange).0, 403, "a project of somebody else");
    let led = write("POST", "projects/records", &noor, json!({ "name": "Led", "lead": sign_in("noor@example.com").1 }));
    let led = led.1["id"].clone();
    let task = |project: &Value| json!({ "title": "Mine", "project": project, "assignee": own });
    assert_eq!(write("POST", "tasks/records", &piet, task(&led)).0, 403, "naming oneself is no way into a project");
    let (status, made) = write("POST", "tasks/records", &piet, task(&json!(website)));
    assert_eq!(status, 201, "{made}");
    let made = format!("tasks/records/{}", made["id"].as_str().expect("an id"));
    assert_eq!(write("PATCH", &made, &piet, json!({ "state": "doing" })).0, 200);
    for project in [json!(office), led] {
        assert_eq!(write("PATCH", &made, &piet, json!({ "project": project })).0, 403, "it stays in its project");
    }

    let ((amara, author), (editor, _)) = (sign_in("amara@example.com"), sign_in("selin@example.com"));
    let story = |state: &str| json!({ "title": "New", "body": "x", "author": author, "state": state, "publishedAt": "2026-01-01T00:00:00Z" });
    assert_eq!(write("POST", "stories/records", &amara, story("published")).0, 403, "nothing is published unread");
    let (_, made) = write("POST", "stories/records", &amara, story("draft"));
    let made = format!("stories/records/{}", made["id"].as_str().expect("an id"));
    let to = |token: &str, state: &str| write("PATCH", &made, token, json!({ "state": state })).0;
    assert_eq!((to(&amara, "published"), to(&amara, "review"), to(&amara, "published")), (403, 200, 403));
    assert_eq!(write("PATCH", &made, &amara, json!({ "title": "Newer" })).0, 200);
    assert_eq!(to(&editor, "published"), 200);
    assert_eq!(write("PATCH", &made, &amara, json!({ "body": "y" })).0, 403, "what is published was read as it is");
}
