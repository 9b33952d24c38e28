//! Promises about records that are deleted and kept: hidden everywhere, restored as they were, purged in the end.
use poem::http::Method;
use serde_json::{Value, json};
use steading::base::TenantId;

use crate::support::{Reply, TestApp};

const PATH: &str = "/api/v1/collections/tasks/records";
const NOTES: &str = "/api/v1/collections/notes/records";

async fn collection(app: &TestApp, body: Value) {
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// Tasks that are kept when they are deleted, and notes that refer to them.
async fn app() -> TestApp {
    let app = TestApp::with_people().await;
    let rules =
        json!({ "list": "true", "view": "true", "create": "true", "update": "true", "delete": "auth.signedIn" });
    let tasks = json!({
        "name": "tasks",
        "fields": [
            { "name": "title", "type": "text", "unique": true },
            { "name": "done", "type": "bool", "default": false },
            { "name": "parent", "type": "relation", "collection": "tasks", "onDelete": "setNull" },
        ],
        "rules": rules,
        "search": { "title": 1 },
        "options": { "softDelete": true, "purgeAfterDays": 30 },
    });
    collection(&app, tasks).await;
    let notes = json!({
        "name": "notes",
        "fields": [
            { "name": "text", "type": "text" },
            { "name": "task", "type": "relation", "collection": "tasks", "onDelete": "cascade" },
            { "name": "held", "type": "relation", "collection": "tasks", "onDelete": "restrict" },
        ],
        "rules": { "list": "true", "view": "true", "create": "true", "update": "true", "delete": "true" },
    });
    collection(&app, notes).await;
    app
}

async fn make(app: &TestApp, path: &str, body: Value) -> String {
    let made = app.ask(Method::POST, path).json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    made.str("id")
}

async fn delete(app: &TestApp, id: &str) {
    let gone = app.as_role("user", Method::DELETE, &format!("{PATH}/{id}")).send().await;
    assert_eq!(gone.status, 204, "{gone:?}");
}

fn titles(reply: &Reply) -> Vec<&str> {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.body["data"].as_array().expect("data").iter().map(|it| it["title"].as_str().expect("a title")).collect()
}

#[tokio::test]
async fn a_deleted_record_is_nowhere_to_be_seen() {
    let app = app().await;
    let gone = make(&app, PATH, json!({ "title": "gone" })).await;
    let kept = make(&app, PATH, json!({ "title": "kept", "parent": gone })).await;
    let note = make(&app, NOTES, json!({ "text": "n", "task": gone })).await;
    let before = app.ask(Method::GET, &format!("{PATH}/{gone}")).send().await;
    assert_eq!((&before.body["isDeleted"], &before.body["deletedAt"]), (&json!(false), &Value::Null), "{before:?}");

    delete(&app, &gone).await;

    let ask = |method: Method, path: String| app.ask(method, &path).json(&json!({ "title": "x" })).send();
    assert_eq!(titles(&ask(Method::GET, format!("{PATH}?count=exact")).await), ["kept"]);
    for role in ["", "admin"] {
        let list = app.as_role(role, Method::GET, &format!("{PATH}?count=exact&filter=true")).send().await;
        let plain = app.as_role(role, Method::GET, &format!("{PATH}?count=exact")).send().await;
        assert_eq!((&list.body["meta"]["total"], &plain.body["meta"]["total"]), (&json!(1), &json!(1)), "{role}");
        let one = app.as_role(role, Method::GET, &format!("{PATH}/{gone}")).send().await;
        assert_eq!(one.refusal(), (404, "not-found"), "{role}");
    }
    for method in [Method::PATCH, Method::PUT] {
        assert_eq!(ask(method, format!("{PATH}/{gone}")).await.status, 404);
    }
    let again = app.as_role("user", Method::DELETE, &format!("{PATH}/{gone}")).send().await;
    assert_eq!(again.status, 404);
    let expanded = ask(Method::GET, format!("{PATH}/{kept}?expand=parent")).await;
    assert_eq!(
        (&expanded.body["expand"], &expanded.body["parent"]),
        (&json!({}), &json!(gone)),
        "no foreign key fires"
    );
    for filter in ["parent.title%20%3D%3D%20'gone'", "isDeleted", "notes_via_task.exists(n,%20true)"] {
        assert_eq!(titles(&ask(Method::GET, format!("{PATH}?filter={filter}")).await), Vec::<&str>::new(), "{filter}");
    }
    let found = |query: &str| ask(Method::GET, format!("{PATH}?search={query}&count=exact"));
    let (searched, other) = (found("gone").await, found("kept").await);
    assert_eq!((&searched.body["meta"]["total"], titles(&searched)), (&json!(0), vec![]), "{searched:?}");
    assert_eq!((&other.body["meta"]["total"], titles(&other)), (&json!(1), vec!["kept"]));
    let in_bin = app.as_role("user", Method::GET, &format!("{PATH}?search=gone&trashed=only")).send().await;
    assert_eq!(titles(&in_bin), ["gone"]);
    let of_note = ask(Method::GET, format!("{NOTES}?filter=task.title%20%3D%3D%20'gone'")).await;
    assert_eq!(of_note.body["data"], json!([]));
    assert_eq!(ask(Method::GET, format!("{NOTES}/{note}")).await.body["task"], gone, "nothing went with it");
    let export = app.ask(Method::GET, &format!("{PATH}/export")).bytes().await;
    assert_eq!(String::from_utf8_lossy(&export.body).lines().count(), 1);
    let batch = json!({ "operations": [{ "method": "GET", "path": format!("/collections/tasks/records/{gone}") }] });
    let batch = app.ask(Method::POST, "/api/v1/batch").json(&batch).send().await;
    assert_eq!(batch.body["results"][0]["status"], 404);
    let bulk = app.ask(Method::PATCH, &format!("{PATH}?filter=true")).json(&json!({ "done": true })).send().await;
    assert_eq!(bulk.body["matched"], 1);
    // What is unique stays taken, however one asks.
    let taken = ask(Method::PUT, format!("{PATH}?by=title")).await;
    assert_eq!(taken.status, 201);
    let body = json!({ "title": "gone" });
    for (method, query) in [(Method::POST, ""), (Method::PUT, "?by=title")] {
        let reply = app.ask(method, &format!("{PATH}{query}")).json(&body).send().await;
        assert_eq!(reply.refusal(), (409, "record-value-taken"), "{query}");
    }
}

#[tokio::test]
async fn who_may_delete_sees_what_is_in_the_bin_and_nobody_else() {
    let app = app().await;
    let gone = make(&app, PATH, json!({ "title": "gone" })).await;
    make(&app, PATH, json!({ "title": "kept" })).await;
    delete(&app, &gone).await;
    let list = |role: &'static str, query: &str| app.as_role(role, Method::GET, &format!("{PATH}?{query}")).send();

    let only = list("user", "trashed=only&count=exact").await;
    assert_eq!((titles(&only), &only.body["meta"]["total"]), (vec!["gone"], &json!(1)));
    assert_eq!(
        (&only.body["data"][0]["isDeleted"], &only.body["data"][0]["deletedAt"]),
        (&json!(true), &json!("2026-01-02T03:04:05.678Z"))
    );
    let with = list("user", "trashed=with&sort=deletedAt&count=exact").await;
    assert_eq!((titles(&with), &with.body["meta"]["total"]), (vec!["kept", "gone"], &json!(2)));
    assert_eq!(titles(&list("admin", "trashed=with&count=exact").await), ["gone", "kept"]);
    // A rule that is false shows nothing of the bin.
    assert_eq!(titles(&list("", "trashed=only").await), Vec::<&str>::new());
    assert_eq!(titles(&list("", "trashed=with").await), ["kept"]);
    assert_eq!(list("", "trashed=all").await.refusal(), (422, "validation-failed"));
    let notes = app.ask(Method::GET, &format!("{NOTES}?trashed=with")).send().await;
    assert_eq!(notes.refusal(), (422, "validation-failed"));
    let one = |role| app.as_role(role, Method::GET, &format!("{PATH}/{gone}?trashed=with")).send();
    assert_eq!((one("user").await.status, one("").await.status, one("readonly").await.status), (200, 404, 404));
    assert_eq!(titles(&list("readonly", "trashed=only").await), Vec::<&str>::new(), "their role may delete nothing");
    let first = list("user", "trashed=with&limit=1").await;
    let cursor = first.body["meta"]["nextCursor"].as_str().expect("more").to_owned();
    assert_eq!(titles(&list("user", &format!("trashed=with&limit=1&cursor={cursor}")).await), ["kept"]);
    assert_eq!(list("user", &format!("limit=1&cursor={cursor}")).await.refusal(), (422, "validation-failed"));
    // Where only admins may delete, the bin is theirs.
    let patch = json!({ "rules": { "delete": null } });
    app.operator(Method::PATCH, "/api/v1/collections/tasks").json(&patch).send().await;
    assert_eq!(list("user", "trashed=with").await.refusal(), (403, "not-allowed"));
    assert_eq!(one("user").await.refusal(), (403, "not-allowed"));
    assert_eq!(titles(&list("admin", "trashed=only").await), ["gone"]);
}

#[tokio::test]
async fn a_restored_record_is_as_it_was() {
    let app = app().await;
    let id = make(&app, PATH, json!({ "title": "a", "done": true })).await;
    let before = app.ask(Method::GET, &format!("{PATH}/{id}")).send().await;
    let restore = |role: &'static str| app.as_role(role, Method::POST, &format!("{PATH}/{id}/restore")).send();
    assert_eq!(restore("user").await.refusal(), (404, "not-found"), "it is not in the bin");
    delete(&app, &id).await;

    assert_eq!(restore("").await.refusal(), (404, "not-found"), "nobody learns what is in the bin");
    assert_eq!(restore("readonly").await.refusal(), (403, "not-allowed"));
    app.advance(60);
    let restored = restore("user").await;

    assert_eq!((restored.status, restored.version()), (200, Some(3)), "{restored:?}");
    assert_eq!(restored.body, before.body);
    assert_eq!(app.ask(Method::GET, &format!("{PATH}/{id}")).send().await.body, before.body);
    assert_eq!(restore("user").await.refusal(), (404, "not-found"));
}

#[tokio::test]
async fn purging_is_for_admins_and_fires_the_foreign_keys() {
    let app = app().await;
    let id = make(&app, PATH, json!({ "title": "a" })).await;
    let child = make(&app, PATH, json!({ "title": "b", "parent": id })).await;
    make(&app, NOTES, json!({ "text": "goes too", "task": id })).await;
    let held = make(&app, PATH, json!({ "title": "held" })).await;
    make(&app, NOTES, json!({ "text": "holds", "held": held })).await;
    let purge =
        |role: &'static str, id: &str| app.as_role(role, Method::DELETE, &format!("{PATH}/{id}?purge=true")).send();
    delete(&app, &id).await;
    delete(&app, &held).await;

    assert_eq!(purge("user", &id).await.refusal(), (403, "not-allowed"));
    assert_eq!(purge("admin", &held).await.refusal(), (409, "record-in-use"));
    assert_eq!(purge("admin", &id).await.status, 204);

    assert_eq!(purge("admin", &id).await.refusal(), (404, "not-found"));
    let child = app.ask(Method::GET, &format!("{PATH}/{child}")).send().await;
    assert_eq!((&child.body["parent"], child.version()), (&Value::Null, Some(2)));
    let notes = app.ask(Method::GET, &format!("{NOTES}?fields=text")).send().await;
    assert_eq!(notes.body["data"], json!([{ "text": "holds" }]));
    let list = app.as_role("admin", Method::GET, &format!("{PATH}?trashed=with&sort=title&count=exact")).send().await;
    assert_eq!((titles(&list), &list.body["meta"]["total"]), (vec!["b", "held"], &json!(2)));
}

#[tokio::test]
async fn the_bin_is_emptied_after_its_time_and_not_before() {
    let app = app().await;
    let id = make(&app, PATH, json!({ "title": "a" })).await;
    let held = make(&app, PATH, json!({ "title": "held" })).await;
    make(&app, PATH, json!({ "title": "kept" })).await;
    make(&app, NOTES, json!({ "text": "holds", "held": held })).await;
    delete(&app, &id).await;
    delete(&app, &held).await;
    let sweep = || async { app.app.records.purge_bins(&TenantId::main()).await.expect("swept") };
    let bin = || async { app.operator(Method::GET, &format!("{PATH}?trashed=with")).send().await };

    app.advance(30 * 24 * 3_600);
    sweep().await;
    assert_eq!(titles(&bin().await), ["a", "held", "kept"], "the boundary itself is within");
    app.advance(1);
    sweep().await;

    assert_eq!(titles(&bin().await), ["held", "kept"], "what others hold on to stays");
}

#[tokio::test]
async fn a_bin_can_be_had_and_given_up_while_there_are_records() {
    let app = TestApp::with_people().await;
    let rules = json!({ "list": "true", "view": "true", "create": "true", "update": "true", "delete": "true" });
    let tasks = json!({ "name": "tasks", "fields": [{ "name": "title", "type": "text" }], "rules": rules });
    collection(&app, tasks).await;
    let first = make(&app, PATH, json!({ "title": "a" })).await;
    make(&app, PATH, json!({ "title": "b" })).await;
    let change = |path: &str, options: Value| {
        let body = json!({ "options": options });
        let ask = app.operator(
            if path.is_empty() { Method::PATCH } else { Method::POST },
            &format!("/api/v1/collections/tasks{path}"),
        );
        async move { ask.json(&body).send().await }
    };

    let wrong = change("", json!({ "purgeAfterDays": 1 })).await;
    assert_eq!(wrong.body["errors"][0]["pointer"], "/options/purgeAfterDays", "{wrong:?}");
    let on = change("", json!({ "softDelete": true, "purgeAfterDays": 7 })).await;
    assert_eq!(
        (on.status, &on.body["options"]),
        (200, &json!({ "softDelete": true, "purgeAfterDays": 7, "audit": false, "presence": false })),
        "{on:?}"
    );
    delete(&app, &first).await;
    let list = |query: &str| app.ask(Method::GET, &format!("{PATH}?{query}")).send();
    assert_eq!((titles(&list("").await), titles(&list("trashed=only").await)), (vec!["b"], vec!["a"]));
    // Other changes find the table as it is, and the view comes back.
    let renamed = json!({ "name": "todos", "fields": [{ "name": "what", "type": "text", "renamedFrom": "title" }, { "name": "more", "type": "integer" }] });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/tasks").json(&renamed).send().await.status, 200);
    let todos = app.ask(Method::GET, "/api/v1/collections/todos/records?fields=what,more").send().await;
    assert_eq!(todos.body["data"], json!([{ "what": "b", "more": null }]));
    let back = json!({ "name": "tasks", "fields": [{ "name": "title", "type": "text", "renamedFrom": "what" }] });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/todos").json(&back).send().await.status, 200);
    let would = change("/preview", json!({ "softDelete": false })).await;
    let loses: Vec<_> =
        would.body["changes"].as_array().expect("changes").iter().map(|it| it["losesData"] == true).collect();
    assert_eq!(loses, [true, false, false, false], "{would:?}");
    let off = change("", json!({ "softDelete": false })).await;
    assert_eq!(
        (off.status, &off.body["options"]),
        (200, &json!({ "softDelete": false, "audit": false, "presence": false })),
        "{off:?}"
    );

    let left = list("count=exact").await;
    assert_eq!((titles(&left), &left.body["meta"]["total"]), (vec!["b"], &json!(1)));
    assert_eq!(left.body["data"][0].get("isDeleted"), None);
    assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/tasks").send().await.status, 204);
}

/// An export of a collection with a bin can be imported again.
#[tokio::test]
async fn what_was_exported_beside_a_bin_is_imported_again() {
    let app = app().await;
    let id = make(&app, PATH, json!({ "title": "a" })).await;
    let export = app.ask(Method::GET, &format!("{PATH}/export")).bytes().await;
    let purged = app.as_role("admin", Method::DELETE, &format!("{PATH}/{id}?purge=true")).send().await;
    assert_eq!(purged.status, 204);

    let import = app.operator(Method::POST, &format!("{PATH}/import?format=ndjson"));
    let report = import.raw(String::from_utf8_lossy(&export.body)).send().await;

    assert_eq!((&report.body["imported"], &report.body["refused"]), (&json!(1), &json!(0)), "{report:?}");
}

/// Emptying means emptying.
#[tokio::test]
async fn truncating_empties_the_bin_too() {
    let app = app().await;
    let id = make(&app, PATH, json!({ "title": "a" })).await;
    make(&app, PATH, json!({ "title": "b" })).await;
    delete(&app, &id).await;

    let done = app.operator(Method::POST, "/api/v1/collections/tasks/truncate").send().await;

    assert_eq!(done.body["done"], 2, "{done:?}");
    let list = app.operator(Method::GET, &format!("{PATH}?trashed=with&count=exact")).send().await;
    assert_eq!(list.body["meta"]["total"], 0);
}

/// A rule that lets everyone have one record only is not got round by putting records into the bin and taking them out.
#[tokio::test]
async fn restoring_is_let_by_the_rule_create_too() {
    let app = TestApp::with_people().await;
    let desks = |create: Value| {
        json!({
            "name": "desks",
            "fields": [
                { "name": "owner", "type": "relation", "collection": "users" },
                { "name": "state", "type": "text" },
                { "name": "tags", "type": "select", "values": ["a", "b"], "multiple": true },
            ],
            "rules": {
                "list": "true", "view": "true", "create": create, "update": "true", "delete": "owner == auth.id",
            },
            "options": { "softDelete": true },
        })
    };
    collection(&app, desks(json!("owner == auth.id && !owner.desks_via_owner.exists(d, d.id != id)"))).await;
    let path = "/api/v1/collections/desks/records";
    let user = app.as_role("user", Method::GET, "/api/v1/auth/profile").send().await.str("id");
    let ask = |method: Method, rest: String| app.as_role("user", method, &format!("{path}{rest}"));
    let mut ids = Vec::new();
    for _ in 0..3 {
        let made = ask(Method::POST, String::new()).json(&json!({ "owner": user, "tags": ["a"] })).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        ids.push(made.str("id"));
        assert_eq!(ask(Method::DELETE, format!("/{}", made.str("id"))).send().await.status, 204);
    }
    let restore = |id: &str| ask(Method::POST, format!("/{id}/restore")).send();

    assert_eq!(restore(&ids[0]).await.status, 200);
    for id in &ids[1..] {
        let refused = restore(id).await;
        assert_eq!(refused.refusal(), (403, "rule-denied"), "{refused:?}");
        assert!(refused.str("detail").contains("`create`"), "{refused:?}");
        let other = app.as_role("", Method::POST, &format!("{path}/{id}/restore")).send().await;
        assert_eq!(other.refusal(), (404, "not-found"), "nobody else learns what is in the bin");
    }
    let admin = app.as_role("admin", Method::POST, &format!("{path}/{}/restore", ids[1])).send().await;
    assert_eq!(admin.status, 200, "admins may: {admin:?}");
    // What the rule asks of a request is what the record has.
    let asked = desks(json!("request.body.state != 'done' && size(tags) == 1 && !isDeleted"));
    let rules = json!({ "rules": asked["rules"] });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/desks").json(&rules).send().await.status, 200);
    for (body, expected) in [(json!({ "state": "open" }), 200), (json!({ "state": "done" }), 403)] {
        let changed = ask(Method::PATCH, format!("/{}", ids[0])).json(&body).send().await;
        assert_eq!(changed.status, 200, "{changed:?}");
        assert_eq!(ask(Method::DELETE, format!("/{}", ids[0])).send().await.status, 204);
        assert_eq!(restore(&ids[0]).await.status, expected, "{body}");
    }
    // Where only admins make records, only they restore them.
    let rules = json!({ "rules": { "create": null } });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/desks").json(&rules).send().await.status, 200);
    assert_eq!(restore(&ids[2]).await.refusal(), (403, "not-allowed"));
}
