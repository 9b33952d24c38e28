//! Promises about relations to several records: kept in order, never dangling, written and shown as lists of ids.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

pub fn path(collection: &str) -> String {
    format!("/api/v1/collections/{collection}/records")
}

pub fn anyone() -> Value {
    json!({ "list": "true", "view": "true", "create": "true", "update": "true", "delete": "true" })
}

pub async fn collection(app: &TestApp, name: &str, fields: Value) {
    let body = json!({ "name": name, "fields": fields, "rules": anyone() });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

pub async fn create(app: &TestApp, name: &str, record: Value) -> Reply {
    app.ask(Method::POST, &path(name)).json(&record).send().await
}

/// The id of a record that is made.
pub async fn make(app: &TestApp, name: &str, record: Value) -> String {
    let made = create(app, name, record).await;
    assert_eq!(made.status, 201, "{made:?}");
    made.str("id")
}

pub async fn show(app: &TestApp, name: &str, id: &str) -> Reply {
    app.ask(Method::GET, &format!("{}/{id}", path(name))).send().await
}

pub async fn patch(app: &TestApp, name: &str, id: &str, change: Value) -> Reply {
    app.ask(Method::PATCH, &format!("{}/{id}", path(name))).json(&change).send().await
}

async fn delete(app: &TestApp, name: &str, id: &str) -> Reply {
    app.ask(Method::DELETE, &format!("{}/{id}", path(name))).send().await
}

/// The titles that a list has, in its order.
async fn found(app: &TestApp, name: &str, query: &[(&str, &str)]) -> Vec<String> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let reply = app.ask(Method::GET, &format!("{}?{query}", path(name))).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let data = reply.body["data"].as_array().expect("data");
    data.iter().map(|it| it["title"].as_str().expect("a title").to_owned()).collect()
}

fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

/// Tags, and posts that refer to at most three of them.
async fn blog(on_delete: &str, required: bool) -> (TestApp, [String; 4]) {
    let app = TestApp::with_people().await;
    collection(&app, "tags", json!([{ "name": "title", "type": "text" }])).await;
    let tags = json!({
        "name": "tags", "type": "relation", "collection": "tags", "multiple": true, "max": 3, "onDelete": on_delete,
        "required": required,
    });
    collection(&app, "posts", json!([{ "name": "title", "type": "text" }, tags])).await;
    let mut ids = Vec::new();
    for title in ["a", "b", "c", "d"] {
        ids.push(make(&app, "tags", json!({ "title": title })).await);
    }
    (app, ids.try_into().expect("four"))
}

#[tokio::test]
async fn a_list_comes_back_in_the_order_in_which_it_was_sent() {
    let (app, [a, b, c, _]) = blog("setNull", false).await;

    let made = create(&app, "posts", json!({ "title": "x", "tags": [c, a, b] })).await;
    let id = made.str("id");

    assert_eq!((made.status, &made.body["tags"]), (201, &json!([c, a, b])), "{made:?}");
    assert_eq!(show(&app, "posts", &id).await.body["tags"], json!([c, a, b]));
    let listed = app.ask(Method::GET, &path("posts")).send().await;
    assert_eq!(listed.body["data"][0]["tags"], json!([c, a, b]));
    let turned = patch(&app, "posts", &id, json!({ "tags": [b, c] })).await;
    assert_eq!((turned.body["tags"].clone(), turned.version()), (json!([b, c]), Some(2)), "{turned:?}");
    let put = app.ask(Method::PUT, &format!("{}/{id}", path("posts"))).json(&json!({ "title": "y" })).send().await;
    assert_eq!(put.body["tags"], json!([]), "{put:?}");
    let none = make(&app, "posts", json!({ "tags": null })).await;
    assert_eq!(show(&app, "posts", &none).await.body["tags"], json!([]));
    let exported = app.ask(Method::GET, &format!("{}/export?format=csv", path("posts"))).send().await;
    assert!(exported.text.contains(",[]"), "{exported:?}");
}

#[tokio::test]
async fn entries_are_added_and_removed_whoever_changed_the_list_last() {
    let (app, [a, b, c, d]) = blog("setNull", false).await;
    let id = make(&app, "posts", json!({ "title": "x", "tags": [a] })).await;

    let (one, two) = tokio::join!(
        patch(&app, "posts", &id, json!({ "tags": { "$add": [b] } })),
        patch(&app, "posts", &id, json!({ "tags": { "$add": [a, c] } })),
    );

    assert_eq!((one.status, two.status), (200, 200), "{one:?} {two:?}");
    let mut tags: Vec<String> =
        serde_json::from_value(show(&app, "posts", &id).await.body["tags"].clone()).expect("one");
    assert_eq!(tags.remove(0), a);
    tags.sort_unstable();
    assert_eq!(tags, [b.clone(), c.clone()]);
    let full = patch(&app, "posts", &id, json!({ "tags": { "$add": [d] } })).await;
    assert_eq!(faults(&full), [("/tags", "too-many")]);
    let less = patch(&app, "posts", &id, json!({ "tags": { "$remove": [b, d] } })).await;
    assert_eq!(less.body["tags"], json!([a, c]), "{less:?}");
}

#[tokio::test]
async fn what_cannot_be_referred_to_is_refused() {
    let (app, [a, ..]) = blog("restrict", true).await;
    let nobody = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";

    for (tags, code) in [
        (json!([]), "too-few"),
        (json!(null), "required"),
        (json!(a), "type"),
        (json!([1]), "type"),
        (json!(["x"]), "format"),
        (json!([a, a]), "duplicate"),
        (json!([a, nobody]), "no-such-record"),
        (json!([a, a, a, a]), "too-many"),
    ] {
        let refused = create(&app, "posts", json!({ "tags": tags })).await;
        assert_eq!(faults(&refused), [("/tags", code)], "{tags}");
    }
    assert_eq!(faults(&create(&app, "posts", json!({})).await), [("/tags", "required")]);
    let id = make(&app, "posts", json!({ "tags": [a] })).await;
    for change in [json!({ "$add": [nobody] }), json!([nobody])] {
        let refused = patch(&app, "posts", &id, json!({ "tags": change })).await;
        assert_eq!(faults(&refused), [("/tags", "no-such-record")], "{change}");
    }
    let shown = show(&app, "posts", &id).await;
    assert_eq!((shown.body["tags"].clone(), shown.version()), (json!([a]), Some(1)), "nothing was half done");
}

#[tokio::test]
async fn what_others_may_not_lose_stays() {
    let (app, [a, b, ..]) = blog("restrict", false).await;
    let id = make(&app, "posts", json!({ "tags": [a] })).await;

    assert_eq!(delete(&app, "tags", &a).await.refusal(), (409, "record-in-use"));
    assert_eq!(delete(&app, "tags", &b).await.status, 204);
    patch(&app, "posts", &id, json!({ "tags": [] })).await;
    assert_eq!(delete(&app, "tags", &a).await.status, 204);
}

/// The change counts: whoever had the record before has another version of it.
#[tokio::test]
async fn a_list_gets_shorter_when_what_it_names_goes() {
    let (app, [a, b, c, _]) = blog("setNull", false).await;
    let id = make(&app, "posts", json!({ "tags": [a, b, c] })).await;

    assert_eq!(delete(&app, "tags", &b).await.status, 204);

    let shown = show(&app, "posts", &id).await;
    assert_eq!((shown.body["tags"].clone(), shown.version()), (json!([a, c]), Some(2)), "{shown:?}");
    assert_ne!(shown.body["updatedAt"], shown.body["createdAt"]);
}

#[tokio::test]
async fn a_record_goes_with_the_last_that_it_refers_to() {
    let (app, [a, b, ..]) = blog("cascade", true).await;
    let both = make(&app, "posts", json!({ "title": "both", "tags": [a, b] })).await;
    let one = make(&app, "posts", json!({ "title": "one", "tags": [a] })).await;

    assert_eq!(delete(&app, "tags", &a).await.status, 204);
    assert_eq!(show(&app, "posts", &one).await.status, 404);
    assert_eq!(show(&app, "posts", &both).await.body["tags"], json!([b]));

    assert_eq!(delete(&app, "tags", &b).await.status, 204);
    assert_eq!(show(&app, "posts", &both).await.status, 404);
    let counted = app.ask(Method::GET, &format!("{}?count=exact", path("posts"))).send().await;
    assert_eq!(counted.body["meta"]["total"], 0);
}

#[tokio::test]
async fn a_chain_of_records_that_refer_to_each_other_goes_to_its_end() {
    for (on_delete, expected) in [("cascade", 404), ("setNull", 200), ("restrict", 200)] {
        let app = TestApp::with_people().await;
        collection(&app, "nodes", json!([])).await;
        let next = json!({
            "name": "next", "type": "relation", "collection": "nodes", "multiple": true, "onDelete": on_delete,
        });
        let fields = json!({ "fields": [next] });
        let changed = app.operator(Method::PATCH, "/api/v1/collections/nodes").json(&fields).send().await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let first = make(&app, "nodes", json!({})).await;
        let mut last = first.clone();
        for _ in 0..5 {
            last = make(&app, "nodes", json!({ "next": [last] })).await;
        }
        // One that refers to itself is in nobody's way.
        let own = make(&app, "nodes", json!({})).await;
        assert_eq!(patch(&app, "nodes", &own, json!({ "next": [own] })).await.body["next"], json!([own]));

        assert_eq!(delete(&app, "nodes", &own).await.status, 204, "{on_delete}");
        let gone = delete(&app, "nodes", &first).await;
        assert_eq!(gone.status, if on_delete == "restrict" { 409 } else { 204 }, "{gone:?}");
        assert_eq!(show(&app, "nodes", &last).await.status, expected, "{on_delete}");
        assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/nodes").send().await.status, 204);
    }
}

#[tokio::test]
async fn lists_outlive_whatever_becomes_of_their_collections() {
    let (app, [a, b, ..]) = blog("restrict", false).await;
    let id = make(&app, "posts", json!({ "title": "x", "tags": [b, a] })).await;
    let change = |name: &'static str, body: Value| {
        let ask = app.operator(Method::PATCH, &format!("/api/v1/collections/{name}")).json(&body);
        async move { assert_eq!(ask.send().await.status, 200, "{body}") }
    };
    let field = |name: &str, from: &str, on_delete: &str| {
        json!({ "name": name, "renamedFrom": from, "type": "relation", "collection": "labels", "multiple": true,
                "onDelete": on_delete })
    };

    change("tags", json!({ "name": "labels" })).await;
    change("posts", json!({ "name": "notes" })).await;
    let title = json!({ "name": "title", "type": "text" });
    let mine = json!({ "name": "mine", "type": "relation", "collection": "labels", "multiple": true });
    change("notes", json!({ "fields": [title, field("marks", "tags", "restrict"), mine] })).await;
    patch(&app, "notes", &id, json!({ "mine": [a] })).await;
    // They swap their names, and one of them thinks otherwise of what goes.
    change(
        "notes",
        json!({ "fields": [title, field("mine", "marks", "setNull"), field("marks", "mine", "restrict")] }),
    )
    .await;

    let shown = show(&app, "notes", &id).await;
    assert_eq!((&shown.body["mine"], &shown.body["marks"]), (&json!([b, a]), &json!([a])), "{shown:?}");
    assert_eq!(delete(&app, "labels", &a).await.refusal(), (409, "record-in-use"));
    assert_eq!(delete(&app, "labels", &b).await.status, 204);
    assert_eq!(show(&app, "notes", &id).await.body["mine"], json!([a]));
    change("notes", json!({ "fields": [title, field("mine", "mine", "restrict")] })).await;
    assert_eq!(show(&app, "notes", &id).await.body.get("marks"), None);
    assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/labels").send().await.status, 409);
    assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/notes").send().await.status, 204);
    assert_eq!(app.operator(Method::DELETE, "/api/v1/collections/labels").send().await.status, 204);
}

#[tokio::test]
async fn lists_are_asked_for_what_is_in_them() {
    let (app, [a, b, c, _]) = blog("setNull", false).await;
    for (title, tags) in [("ab", json!([a, b])), ("c", json!([c])), ("none", json!([]))] {
        make(&app, "posts", json!({ "title": title, "tags": tags })).await;
    }

    for (filter, expected) in [
        (format!("'{a}' in tags"), vec!["ab"]),
        (format!("!('{a}' in tags)"), vec!["c", "none"]),
        ("tags.size() == 2".to_owned(), vec!["ab"]),
        ("size(tags) == 0".to_owned(), vec!["none"]),
        ("tags.exists(t, t.title == 'b')".to_owned(), vec!["ab"]),
        ("!tags.exists(t, t.title == 'b')".to_owned(), vec!["c", "none"]),
        ("tags.exists(t, t.posts_via_tags.exists(p, p.title == 'c'))".to_owned(), vec!["c"]),
    ] {
        assert_eq!(found(&app, "posts", &[("filter", &filter)]).await, expected, "{filter}");
    }
    assert_eq!(found(&app, "posts", &[("where[tags]", &c)]).await, ["c"]);
    let back = found(&app, "tags", &[("filter", "posts_via_tags.exists(p, p.title == 'ab')")]).await;
    assert_eq!(back, ["a", "b"]);
}

/// Who is on the list may do it: on the record as it would be, and as it was.
#[tokio::test]
async fn rules_know_lists() {
    let app = TestApp::with_people().await;
    let people = json!({ "name": "people", "type": "relation", "collection": "users", "multiple": true });
    let body = json!({
        "name": "rooms", "fields": [{ "name": "title", "type": "text" }, people],
        "rules": {
            "list": "auth.id in people", "view": "auth.id in people", "create": "auth.id in people",
            "update": "people.exists(it, it.id == auth.id) && !changed('people')", "delete": "size(people) == 1",
        },
    });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let me = app.as_role("user", Method::GET, "/api/v1/auth/profile").send().await.str("id");
    let other = app.as_role("admin", Method::GET, "/api/v1/auth/profile").send().await.str("id");
    let create = |people: Value| {
        let body = json!({ "title": "x", "people": people });
        let ask = app.as_role("user", Method::POST, &path("rooms")).json(&body);
        async { ask.send().await }
    };

    assert_eq!(create(json!([other])).await.refusal(), (403, "rule-denied"));
    assert_eq!(create(json!([])).await.refusal(), (403, "rule-denied"));
    let room = create(json!([other, me])).await;
    assert_eq!(room.status, 201, "{room:?}");
    let one = format!("{}/{}", path("rooms"), room.str("id"));
    for (role, status) in [("user", 200), ("readonly", 404), ("", 404)] {
        assert_eq!(app.as_role(role, Method::GET, &one).send().await.status, status, "{role}");
    }
    let change = |body: Value| {
        let ask = app.as_role("user", Method::PATCH, &one).json(&body);
        async { ask.send().await }
    };
    assert_eq!(change(json!({ "title": "y", "people": [other, me] })).await.status, 200);
    assert_eq!(change(json!({ "people": [me, other] })).await.refusal(), (403, "rule-denied"), "the order changed");
    assert_eq!(change(json!({ "people": { "$remove": [other] } })).await.refusal(), (403, "rule-denied"));
    assert_eq!(app.as_role("user", Method::DELETE, &one).send().await.refusal(), (403, "rule-denied"));
}

#[tokio::test]
async fn an_import_takes_lists_and_refuses_what_they_do_not_find() {
    let (app, [a, b, ..]) = blog("setNull", false).await;
    let nobody = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";
    let file = format!("title,tags\nx,\"[\"\"{b}\"\",\"\"{a}\"\"]\"\ny,\"[\"\"{nobody}\"\"]\"\nz,\n");

    let ask = app.operator(Method::POST, &format!("{}/import?format=csv", path("posts"))).raw(file);
    let report = ask.send().await;

    assert_eq!((&report.body["imported"], &report.body["refused"]), (&json!(2), &json!(1)), "{report:?}");
    assert_eq!(report.body["errors"][0]["errors"][0]["code"], "no-such-record");
    let listed = app.ask(Method::GET, &path("posts")).send().await;
    assert_eq!(listed.body["data"][0]["tags"], json!([b, a]));
    assert_eq!(listed.body["data"][1]["tags"], json!([]));
}

/// What is in the bin is nowhere to be seen, and its entries wait for it.
#[tokio::test]
async fn what_is_in_the_bin_is_not_reached_along_lists() {
    let app = TestApp::with_people().await;
    let title = json!({ "name": "title", "type": "text" });
    for (name, fields) in [
        ("tags", json!([title])),
        (
            "posts",
            json!([title, { "name": "tags", "type": "relation", "collection": "tags", "multiple": true, "onDelete": "setNull" }]),
        ),
    ] {
        let body = json!({ "name": name, "fields": fields, "rules": anyone(), "options": { "softDelete": true } });
        let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let a = make(&app, "tags", json!({ "title": "a" })).await;
    let b = make(&app, "tags", json!({ "title": "b" })).await;
    let one = make(&app, "posts", json!({ "title": "one", "tags": [a, b] })).await;
    make(&app, "posts", json!({ "title": "two", "tags": [b] })).await;

    assert_eq!(delete(&app, "tags", &a).await.status, 204);
    assert_eq!(found(&app, "posts", &[("filter", "tags.exists(t, t.title == 'a')")]).await, Vec::<String>::new());
    assert_eq!(found(&app, "posts", &[("where[tags.title]", "b")]).await, ["one", "two"]);
    let shown = app.ask(Method::GET, &format!("{}/{one}?expand=tags", path("posts"))).send().await;
    assert_eq!(shown.body["expand"]["tags"].as_array().map(Vec::len), Some(1), "{shown:?}");
    assert_eq!(delete(&app, "posts", &one).await.status, 204);
    let back = app.ask(Method::GET, &format!("{}/{b}?expand=posts_via_tags", path("tags"))).send().await;
    assert_eq!(back.body["expand"]["posts_via_tags"].as_array().map(Vec::len), Some(1), "{back:?}");
    assert_eq!(
        found(&app, "tags", &[("filter", "posts_via_tags.exists(p, p.title == 'one')")]).await,
        Vec::<String>::new()
    );
    let restored = app.ask(Method::POST, &format!("{}/{one}/restore", path("posts"))).send().await;
    assert_eq!(restored.body["tags"], json!([a, b]), "{restored:?}");
}

/// Notes of which only the open ones are seen, and shares that refer to one note and to several; anyone makes and
/// changes shares. Returns two notes that are not open, and one that is.
async fn shared_notes() -> (TestApp, [String; 3]) {
    let app = TestApp::with_people().await;
    let open = json!({ "name": "open", "type": "bool" });
    let notes = json!({ "name": "notes", "fields": [open], "rules": { "list": "open", "view": "open" } });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&notes).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let relation = |name: &str, multiple: bool| json!({ "name": name, "type": "relation", "collection": "notes", "multiple": multiple });
    let number =
        json!({ "name": "number", "type": "integer", "unique": true, "validate": "number == null || number < 10" });
    collection(&app, "shares", json!([relation("note", false), relation("others", true), number])).await;
    let mut ids = Vec::new();
    for is_open in [false, false, true] {
        let note = json!({ "open": is_open });
        let made = app.operator(Method::POST, &path("notes")).json(&note).send().await;
        assert_eq!(made.status, 201, "{made:?}");
        ids.push(made.str("id"));
    }
    (app, ids.try_into().expect("three"))
}

#[tokio::test]
async fn nobody_refers_to_what_they_do_not_see_nor_learns_that_it_is_there() {
    let (app, [hidden, _, open]) = shared_notes().await;
    let nowhere = "019f0000-0000-7000-8000-000000000000";
    let share = make(&app, "shares", json!({ "note": open, "others": [open], "number": 1 })).await;
    let seal = json!({ "name": "note", "type": "relation", "collection": "notes", "unique": true });
    let seals = json!({ "name": "seals", "fields": [seal], "rules": { "create": "note.open == false" } });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&seals).send().await.status, 201);
    let sealed = app.operator(Method::POST, &path("seals")).json(&json!({ "note": hidden })).send().await;
    assert_eq!(sealed.status, 201, "{sealed:?}");
    let seals = path("seals");
    let one = format!("{}/{share}", path("shares"));
    let all = path("shares");
    let batch = |id: &str| json!({ "operations": [{ "method": "POST", "path": "/collections/shares/records", "body": { "note": id } }] });
    type Ask<'a> = (Method, &'a str, Box<dyn Fn(&str) -> Value + 'a>);
    let asks: Vec<Ask<'_>> = vec![
        (Method::POST, &all, Box::new(|id| json!({ "note": id }))),
        (Method::POST, &all, Box::new(|id| json!({ "others": [open, id] }))),
        // What else is wrong tells nothing either.
        (Method::POST, &all, Box::new(|id| json!({ "note": id, "others": ["019f0000-0000-7000-8000-000000000001"] }))),
        (Method::POST, &all, Box::new(|id| json!({ "note": id, "number": 100 }))),
        (Method::POST, &all, Box::new(|id| json!({ "note": id, "number": 1 }))),
        // Nor does a rule that asks for it, or another record that has it already.
        (Method::POST, &seals, Box::new(|id| json!({ "note": id }))),
        (Method::PATCH, &one, Box::new(|id| json!({ "note": id }))),
        (Method::PATCH, &one, Box::new(|id| json!({ "others": { "$add": [id] } }))),
        (Method::PUT, &one, Box::new(|id| json!({ "note": id }))),
        (Method::PATCH, &all, Box::new(|id| json!({ "note": id }))),
        (Method::POST, "/api/v1/batch", Box::new(batch)),
    ];

    for (method, path, body) in &asks {
        let by_number = if *path == all && *method == Method::PATCH { "?filter=number%3D%3D1" } else { "" };
        let [seen, missing] = [hidden.as_str(), nowhere]
            .map(|id| app.ask(method.clone(), &format!("{path}{by_number}")).json(&body(id)).send());
        let (seen, missing) = (seen.await, missing.await);
        let told = |reply: &Reply, id: &str| {
            let request = reply.headers["x-request-id"].to_str().expect("text");
            reply.text.replace(request, "REQUEST").replace(id, "ID")
        };
        assert_eq!(told(&seen, &hidden), told(&missing, nowhere), "{method} {path} {}", body("ID"));
        assert!(!seen.text.contains(r#""status":20"#), "{method} {path}: {seen:?}");
    }
    let unseal = format!("{seals}/{}", sealed.str("id"));
    assert_eq!(app.operator(Method::DELETE, &unseal).send().await.status, 204);
    let pinned = app.operator(Method::DELETE, &format!("{}/{hidden}", path("notes"))).send().await;
    assert_eq!(pinned.status, 204, "nobody refers to it: {pinned:?}");
}

#[tokio::test]
async fn what_a_record_refers_to_already_may_stay_and_admins_refer_to_anything() {
    let (app, [hidden, other, open]) = shared_notes().await;
    let share = json!({ "note": hidden, "others": [hidden], "number": 2 });
    let made = app.operator(Method::POST, &path("shares")).json(&share).send().await;
    let id = made.str("id");

    let put = app.ask(Method::PUT, &format!("{}/{id}", path("shares"))).json(&share).send().await;
    assert_eq!(put.status, 200, "{put:?}");
    let added = patch(&app, "shares", &id, json!({ "others": { "$add": [open] } })).await;
    assert_eq!(added.body["others"], json!([hidden, open]), "{added:?}");
    let swapped = patch(&app, "shares", &id, json!({ "note": other })).await;
    assert_eq!(faults(&swapped), [("/note", "no-such-record")]);
}

#[tokio::test]
async fn a_batch_may_refer_to_what_it_made_even_if_nobody_may_see_it() {
    let (app, _) = shared_notes().await;
    let rules = json!({ "rules": { "create": "true" } });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/notes").json(&rules).send().await.status, 200);

    let operations = json!([
        { "method": "POST", "path": "/collections/notes/records", "name": "note", "body": { "open": false } },
        { "method": "POST", "path": "/collections/shares/records", "body": { "note": { "$ref": "note" } } },
    ]);
    let done = app.ask(Method::POST, "/api/v1/batch").json(&json!({ "operations": operations })).send().await;

    assert_eq!(done.body["results"][1]["status"], 201, "{done:?}");

    // But not to what is of another collection, or gone again.
    let elsewhere = json!([
        { "method": "POST", "path": "/collections/shares/records", "name": "share", "body": {} },
        { "method": "POST", "path": "/collections/shares/records", "body": { "note": { "$ref": "share" } } },
        { "method": "DELETE", "path": "/collections/shares/records/{share}" },
    ]);
    let done = app.ask(Method::POST, "/api/v1/batch").json(&json!({ "operations": elsewhere })).send().await;
    assert_eq!(done.body["results"][1]["problem"]["errors"][0]["code"], "no-such-record", "{done:?}");
}

#[tokio::test]
async fn what_is_in_the_bin_is_not_referred_to_anew() {
    let app = TestApp::with_people().await;
    let tags = json!({
        "name": "tags", "fields": [{ "name": "title", "type": "text" }], "rules": anyone(), "options": { "softDelete": true },
    });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&tags).send().await.status, 201);
    let tag = json!({ "name": "tag", "type": "relation", "collection": "tags" });
    collection(&app, "posts", json!([{ "name": "title", "type": "text" }, tag])).await;
    let tag = make(&app, "tags", json!({ "title": "a" })).await;
    let post = make(&app, "posts", json!({ "title": "before", "tag": tag })).await;
    assert_eq!(delete(&app, "tags", &tag).await.status, 204);

    assert_eq!(faults(&create(&app, "posts", json!({ "tag": tag })).await), [("/tag", "no-such-record")]);
    assert_eq!(patch(&app, "posts", &post, json!({ "title": "after", "tag": tag })).await.status, 200);
}

/// Fifty at once, each on a thread of its own, make, change and delete what refers to each other, by every sort of
/// relation: whoever comes first, in the end nothing refers to what is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_that_write_and_delete_at_once_leave_no_relation_that_dangles() {
    let app = TestApp::with_people().await;
    collection(&app, "tags", json!([{ "name": "title", "type": "text" }])).await;
    let to_tags = |name: &str, on_delete: &str, multiple: bool| json!({ "name": name, "type": "relation", "collection": "tags", "onDelete": on_delete, "multiple": multiple });
    let fields = json!([
        { "name": "title", "type": "text" },
        to_tags("held", "restrict", false),
        to_tags("along", "cascade", false),
        to_tags("loose", "setNull", false),
        to_tags("many", "setNull", true),
    ]);
    collection(&app, "posts", fields).await;
    let mut statuses = std::collections::BTreeMap::new();
    for round in 0..8 {
        let mut tags = Vec::new();
        for title in ["a", "b", "c", "d", "e"] {
            tags.push(make(&app, "tags", json!({ "title": title })).await);
        }
        let post = make(&app, "posts", json!({ "title": "old" })).await;
        let relation = ["held", "along", "loose"][round % 3];
        let begin = std::sync::Barrier::new(50);
        let (runtime, app, tags, post) = (tokio::runtime::Handle::current(), &app, &tags, &post);
        let write = |index: usize| async move {
            let tag = &tags[index / 5 % 5];
            let operation = |path: String, method: &str, body: Value| json!({ "method": method, "path": format!("/collections/{path}"), "body": body });
            match index % 5 {
                0 => delete(app, "tags", tag).await,
                1 => create(app, "posts", json!({ "title": "one", relation: tag })).await,
                2 => create(app, "posts", json!({ "title": "many", "many": [tags[0], tag] })).await,
                3 => patch(app, "posts", post, json!({ relation: tag, "many": { "$add": [tag] } })).await,
                _ => {
                    let operations = json!([
                        operation("posts/records".to_owned(), "POST", json!({ "title": "batch", relation: tag })),
                        operation(format!("posts/records/{post}"), "PATCH", json!({ "many": [tag] })),
                    ]);
                    let batch = json!({ "transaction": true, "operations": operations });
                    app.ask(Method::POST, "/api/v1/batch").json(&batch).send().await
                }
            }
        };
        let answers: Vec<u16> = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let (begin, runtime, write) = (&begin, &runtime, &write);
                let thread = |index| {
                    scope.spawn(move || {
                        begin.wait();
                        runtime.block_on(write(index)).status
                    })
                };
                let threads: Vec<_> = (0..50).map(thread).collect();
                threads.into_iter().map(|it| it.join().expect("an answer")).collect()
            })
        });
        for status in answers {
            *statuses.entry(status).or_insert(0) += 1;
        }
        let there = app.ask(Method::GET, &format!("{}?limit=500&fields=id", path("tags"))).send().await;
        let there: Vec<&Value> = there.body["data"].as_array().expect("data").iter().map(|it| &it["id"]).collect();
        let posts = app.ask(Method::GET, &format!("{}?limit=500&sort=-createdAt", path("posts"))).send().await;
        for post in posts.body["data"].as_array().expect("data") {
            let single = ["held", "along", "loose"].map(|it| &post[it]);
            let many = post["many"].as_array().expect("a list");
            let mut named = single.into_iter().chain(many).filter(|it| !it.is_null());
            assert!(named.all(|it| there.contains(&it)), "round {round}: {post} refers to what is gone");
        }
        // The next round begins with nothing.
        app.operator(Method::POST, "/api/v1/collections/posts/truncate").send().await;
    }
    assert!(statuses.keys().all(|it| [200, 201, 204, 404, 409, 422].contains(it)), "{statuses:?}");
    assert!([201, 204, 409, 422].iter().all(|it| statuses.contains_key(it)), "each side came first: {statuses:?}");
}
