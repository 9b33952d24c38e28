//! Promises about fields: who sees them, who sets them, and what the server sets itself.
use poem::http::Method;
use serde_json::{Value, json};

use crate::relations::{anyone, make, path};
use crate::support::live::Live;
use crate::support::{Reply, TestApp};

pub fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("errors");
    errors.iter().map(|it| (it["pointer"].as_str().expect("a pointer"), it["code"].as_str().expect("a code"))).collect()
}

pub async fn make_collection(app: &TestApp, name: &str, fields: Value) -> Reply {
    let body = json!({ "name": name, "fields": fields, "rules": anyone() });
    app.operator(Method::POST, "/api/v1/collections").json(&body).send().await
}

/// Staff, whose pay is for users alone to see and for admins to set, and whose pin nobody reads.
async fn staff() -> (TestApp, String) {
    let app = TestApp::with_people().await;
    let fields = json!([
        { "name": "title", "type": "text" },
        { "name": "pay", "type": "integer", "readableBy": "auth.role == 'user'", "writableBy": "auth.role == 'nobody'",
          "default": 7, "unique": false },
        { "name": "pin", "type": "text", "writeOnly": true, "unique": true },
        { "name": "boss", "type": "relation", "collection": "users", "readableBy": "auth.signedIn" },
        { "name": "grade", "type": "integer", "writableBy": "auth.signedIn" },
    ]);
    let made = make_collection(&app, "staff", fields).await;
    assert_eq!(made.status, 201, "{made:?}");
    let boss = app.as_role("user", Method::GET, "/api/v1/auth/profile").send().await.str("id");
    let record = json!({ "title": "ada", "pay": 10, "pin": "1234", "boss": boss, "grade": 1 });
    let made = app.operator(Method::POST, &path("staff")).json(&record).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    (app, made.str("id"))
}

fn members(record: &Value) -> Vec<&str> {
    let mut names: Vec<_> = record.as_object().expect("a record").keys().map(String::as_str).collect();
    names.retain(|it| !["id", "createdAt", "updatedAt"].contains(it));
    names
}

#[tokio::test]
async fn whoever_may_not_read_a_field_finds_no_trace_of_it() {
    let (app, id) = staff().await;

    for (role, expected) in [
        ("", vec!["title", "grade"]),
        ("readonly", vec!["title", "boss", "grade"]),
        ("user", vec!["title", "pay", "boss", "grade"]),
        ("admin", vec!["title", "pay", "boss", "grade"]),
    ] {
        let shown = app.as_role(role, Method::GET, &format!("{}/{id}", path("staff"))).send().await;
        assert_eq!(members(&shown.body), expected, "{role}");
        let listed = app.as_role(role, Method::GET, &path("staff")).send().await;
        assert_eq!(members(&listed.body["data"][0]), expected, "{role}");
        let exported = app.as_role(role, Method::GET, &format!("{}/export?format=csv", path("staff"))).send().await;
        let head = format!("id,createdAt,updatedAt,{}", expected.join(","));
        assert_eq!(exported.text.lines().next(), Some(head.as_str()), "{role}");
    }
    for (role, name) in [("", "pay"), ("readonly", "pay"), ("", "boss"), ("", "pin"), ("user", "pin"), ("admin", "pin")]
    {
        for query in [
            "fields=NAME",
            "sort=NAME",
            "filter=has(NAME)",
            "filter=NAME!=null",
            "where[NAME]=x",
            "where[NAME][isNull]=true",
            "expand=NAME",
        ] {
            let ask = |name: &str| {
                app.as_role(role, Method::GET, &format!("{}?{}", path("staff"), query.replace("NAME", name)))
            };
            let (hidden, missing) = (ask(name).send().await, ask(&"z".repeat(name.len())).send().await);
            let told = hidden.body["errors"].to_string().replace(name, &"z".repeat(name.len()));
            assert_eq!((hidden.status, told), (422, missing.body["errors"].to_string()), "{role} {query} {name}");
        }
    }
    let back =
        app.ask(Method::GET, &format!("{}?filter=boss.staff_via_boss.exists(s,true)", path("staff"))).send().await;
    assert_eq!(back.status, 422, "{back:?}");
    let seen = app.as_role("user", Method::GET, &format!("{}?filter=pay==10&sort=pay&fields=pay", path("staff")));
    assert_eq!(seen.send().await.body["data"], json!([{ "pay": 10 }]));
    let document = app.openapi().await;
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["Record_staff"]["properties"].get("pay").or(schemas["Record_staff"]["properties"].get("pin")),
        None
    );
    assert_eq!(schemas["NewRecord_staff"]["properties"]["pin"]["writeOnly"], true);
    assert_eq!(schemas["NewRecord_staff"]["properties"].get("grade"), None, "a stranger may not set it");
}

#[tokio::test]
async fn whoever_may_not_set_a_field_is_told_only_if_they_see_it() {
    let (app, id) = staff().await;
    let change = |role: &'static str, body: Value| {
        let ask = app.as_role(role, Method::PATCH, &format!("{}/{id}", path("staff"))).json(&body);
        async { ask.send().await }
    };

    assert_eq!(faults(&change("", json!({ "grade": 2 })).await), [("/grade", "read-only")]);
    assert_eq!(faults(&change("user", json!({ "pay": 99 })).await), [("/pay", "read-only")]);
    assert_eq!(faults(&change("", json!({ "pay": 99 })).await), [("/pay", "unknown")]);
    assert_eq!(faults(&change("", json!({ "boss": null })).await), [("/boss", "unknown")]);
    assert_eq!(change("user", json!({ "grade": 2, "boss": null })).await.status, 200);
    let made = app.ask(Method::POST, &path("staff")).json(&json!({ "title": "new" })).send().await;
    assert_eq!((made.status, members(&made.body)), (201, vec!["title", "grade"]), "{made:?}");
    let all = app.operator(Method::GET, &format!("{}/{}", path("staff"), made.str("id"))).send().await;
    assert_eq!(all.body["pay"], 7, "it has its default");
    // What they cannot set stays when they replace the record.
    let put = app.ask(Method::PUT, &format!("{}/{id}", path("staff"))).json(&json!({ "title": "eve" })).send().await;
    assert_eq!(put.status, 200, "{put:?}");
    let kept = app.operator(Method::GET, &format!("{}/{id}", path("staff"))).send().await;
    assert_eq!((&kept.body["pay"], &kept.body["grade"], &kept.body["title"]), (&json!(10), &json!(2), &json!("eve")));
}

#[tokio::test]
async fn what_is_only_written_is_shown_to_nobody_and_kept_all_the_same() {
    let (app, id) = staff().await;

    let taken = app.ask(Method::POST, &path("staff")).json(&json!({ "pin": "1234" })).send().await;
    assert_eq!(taken.refusal(), (409, "record-value-taken"));
    assert_eq!(taken.body["errors"][0]["pointer"], "/pin", "whoever may set it is told: {taken:?}");
    let changed =
        app.operator(Method::PATCH, &format!("{}/{id}", path("staff"))).json(&json!({ "pin": "9" })).send().await;
    assert_eq!((changed.status, changed.text.contains("pin")), (200, false));
    assert_eq!(app.ask(Method::POST, &path("staff")).json(&json!({ "pin": "1234" })).send().await.status, 201);
    // A rule may ask for it.
    let rules = json!({ "rules": { "view": "pin == '9'" } });
    assert_eq!(app.operator(Method::PATCH, "/api/v1/collections/staff").json(&rules).send().await.status, 200);
    assert_eq!(app.ask(Method::GET, &format!("{}/{id}", path("staff"))).send().await.status, 200);
}

#[tokio::test]
async fn permissions_of_fields_that_cannot_be_are_refused_when_they_are_saved() {
    let app = TestApp::with_people().await;
    for (field, member, code) in [
        (json!({ "readableBy": "title == 'x'" }), "readableBy", "expression-not-supported"),
        (json!({ "writableBy": "auth.nothing == 'x'" }), "writableBy", "expression-unknown-field"),
        (json!({ "writableBy": "auth.role ==" }), "writableBy", "expression-malformed"),
        (json!({ "writableBy": "auth.signedIn", "required": true }), "default", "required"),
        (json!({ "writeOnly": true, "readableBy": "auth.signedIn" }), "readableBy", "conflict"),
        (json!({ "onCreate": true }), "onCreate", "not-for-type"),
        (json!({ "type": "autodate" }), "onCreate", "required"),
        (json!({ "type": "autodate", "onUpdate": true, "required": true }), "required", "not-for-type"),
    ] {
        let mut field = field;
        field["name"] = json!("title");
        if field.get("type").is_none() {
            field["type"] = json!("text");
        }
        let refused = make_collection(&app, "odd", json!([field])).await;
        assert_eq!(faults(&refused), [(format!("/fields/0/{member}").as_str(), code)], "{field}");
    }
}

#[tokio::test]
async fn the_server_notes_when_a_record_was_made_and_changed() {
    let app = TestApp::with_people().await;
    let fields = json!([
        { "name": "title", "type": "text" },
        { "name": "made", "type": "autodate", "onCreate": true },
        { "name": "touched", "type": "autodate", "onUpdate": true },
        { "name": "both", "type": "autodate", "onCreate": true, "onUpdate": true },
    ]);
    assert_eq!(make_collection(&app, "notes", fields).await.status, 201);
    let id = make(&app, "notes", json!({ "title": "x" })).await;
    let one = format!("{}/{id}", path("notes"));
    let first = app.ask(Method::GET, &one).send().await.body;
    assert_eq!(
        (&first["made"], &first["touched"], &first["both"]),
        (&first["createdAt"], &Value::Null, &first["createdAt"])
    );

    app.advance(60);
    assert_eq!(app.ask(Method::PATCH, &one).json(&json!({})).send().await.body["touched"], Value::Null);
    let changed = app.ask(Method::PATCH, &one).json(&json!({ "title": "y" })).send().await.body;
    assert_eq!((&changed["made"], &changed["touched"]), (&first["made"], &changed["updatedAt"]));
    assert_eq!((&changed["both"], changed["both"] != first["both"]), (&changed["updatedAt"], true));
    app.advance(60);
    let put = app.ask(Method::PUT, &one).json(&json!({ "title": "z" })).send().await.body;
    assert_eq!((&put["made"], &put["both"]), (&first["made"], &put["updatedAt"]));
    for role in ["", "admin"] {
        let refused =
            app.as_role(role, Method::PATCH, &one).json(&json!({ "made": "2020-01-01T00:00:00Z" })).send().await;
        assert_eq!(faults(&refused), [("/made", "read-only")], "{role}");
    }
    let file = json!({ "title": "old", "made": "2020-01-01T00:00:00.000Z" }).to_string();
    let report = app.operator(Method::POST, &format!("{}/import?format=ndjson", path("notes"))).raw(file).send().await;
    assert_eq!(report.body["imported"], 1, "{report:?}");
    let old = app.ask(Method::GET, &format!("{}?where[made][lt]=2021-01-01T00:00:00Z", path("notes")));
    assert_eq!(old.send().await.body["data"][0]["title"], "old");
}

#[tokio::test]
async fn places_are_found_and_sorted_by_how_far_away_they_are() {
    let app = TestApp::with_people().await;
    let fields = json!([
        { "name": "title", "type": "text" }, { "name": "place", "type": "geo" },
        { "name": "near", "type": "relation", "collection": "users" },
    ]);
    let body = json!({ "name": "shops", "fields": fields, "rules": anyone(), "indexes": [{ "fields": ["place"] }] });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    for (title, lat, lon) in [("far", 48.85, 2.35), ("here", 52.520008, 13.404954), ("next", 52.5201, 13.405)] {
        let shop = json!({ "title": title, "place": { "lat": lat, "lon": lon } });
        let made = app.ask(Method::POST, &path("shops")).json(&shop).send().await;
        assert_eq!((made.status, &made.body["place"]), (201, &shop["place"]), "{made:?}");
    }
    make(&app, "shops", json!({ "title": "nowhere" })).await;
    let titles = async |query: &[(&str, &str)]| {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let reply = app.ask(Method::GET, &format!("{}?{query}", path("shops"))).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let data = reply.body["data"].as_array().expect("data").clone();
        data.iter().map(|it| it["title"].as_str().expect("a title").to_owned()).collect::<Vec<_>>()
    };

    let near = titles(&[
        ("filter", "place.distance(52.520008, 13.404954) < 1000"),
        ("sort", "-distance(place,52.520008,13.404954)"),
    ]);
    assert_eq!(near.await, ["next", "here"]);
    assert_eq!(titles(&[("filter", "place.distance(52.520008, 13.404954) <= 0")]).await, ["here"]);
    assert_eq!(titles(&[("sort", "distance(place, 48, 2),title")]).await, ["nowhere", "far", "here", "next"]);
    assert_eq!(titles(&[("where[place][isNull]", "true")]).await, ["nowhere"]);
    let paged = app.ask(Method::GET, &format!("{}?sort=-distance(place,48,2)&limit=2", path("shops"))).send().await;
    let cursor = paged.body["meta"]["nextCursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(
        titles(&[("sort", "-distance(place,48,2)"), ("limit", "2"), ("cursor", &cursor)]).await,
        ["far", "nowhere"]
    );
    for (place, code) in [
        (json!({ "lat": 91, "lon": 0 }), "out-of-range"),
        (json!({ "lat": 1 }), "type"),
        (json!({ "lat": "1", "lon": 0 }), "type"),
        (json!({ "lat": 1, "lon": 1, "alt": 1 }), "type"),
        (json!([1, 2]), "type"),
        (json!("here"), "type"),
    ] {
        let refused = app.ask(Method::POST, &path("shops")).json(&json!({ "place": place })).send().await;
        assert_eq!(faults(&refused), [("/place", code)], "{place}");
    }
    for sort in [
        "place",
        "distance(title,1,1)",
        "distance(place,91,1)",
        "distance(place,1)",
        "distance(id,1,1)",
        "distance(near.name,1,1)",
    ] {
        let refused = app.ask(Method::GET, &format!("{}?sort={sort}", path("shops"))).send().await;
        assert_eq!(faults(&refused)[0].0, "?sort", "{sort}");
    }
    let csv = app.ask(Method::GET, &format!("{}/export?format=csv", path("shops"))).send().await.text;
    let ask = app
        .operator(Method::POST, &format!("{}/import?format=csv&dryRun=true", path("shops")))
        .raw(csv.replace("0190", "0191"));
    let again = ask.send().await;
    assert_eq!(
        again.body["errors"].as_array().map(|it| it.iter().filter(|it| it.to_string().contains("place")).count()),
        Some(0),
        "{again:?}"
    );
}

#[tokio::test]
async fn what_must_be_true_of_a_record_is_true_whoever_writes_it() {
    let app = TestApp::with_people().await;
    let fields = json!([
        { "name": "title", "type": "text", "validate": "value.size() % 2 == 0" },
        { "name": "from", "type": "integer", "validate": "value < to || value == secret" },
        { "name": "to", "type": "integer" },
        { "name": "friends", "type": "relation", "collection": "users", "multiple": true,
          "validate": "size(value) != 1 && value.exists(it, true) == (size(value) > 0)" },
        { "name": "secret", "type": "integer", "hidden": true, "validate": "value > 0" },
    ]);
    let made = make_collection(&app, "spans", fields).await;
    assert_eq!(made.status, 201, "{made:?}");
    let me = app.as_role("user", Method::GET, "/api/v1/auth/profile").send().await.str("id");
    let other = app.as_role("admin", Method::GET, "/api/v1/auth/profile").send().await.str("id");
    let id = make(&app, "spans", json!({ "title": "even", "from": 1, "to": 2, "friends": [me, other] })).await;
    make(&app, "spans", json!({})).await;

    for (role, record, told) in [
        ("", json!({ "title": "odd" }), ("/title", "validate")),
        ("admin", json!({ "from": 2, "to": 1 }), ("/from", "validate")),
        ("", json!({ "friends": [me] }), ("/friends", "validate")),
        ("admin", json!({ "secret": 0 }), ("/secret", "validate")),
    ] {
        let refused = app.as_role(role, Method::POST, &path("spans")).json(&record).send().await;
        assert_eq!(faults(&refused), [told], "{record}");
        assert_eq!(refused.text.contains("must be such that"), role == "admin", "{refused:?}");
        assert_eq!(refused.text.contains("secret"), role == "admin", "{refused:?}");
    }
    // A change of one field can make another one wrong.
    let change = |body: Value| {
        let ask = app.ask(Method::PATCH, &format!("{}/{id}", path("spans"))).json(&body);
        async { ask.send().await }
    };
    assert_eq!(faults(&change(json!({ "to": 1 })).await), [("/from", "validate")]);
    assert_eq!(faults(&change(json!({ "friends": { "$remove": [me] } })).await), [("/friends", "validate")]);
    let shown = app.ask(Method::GET, &format!("{}/{id}", path("spans"))).send().await;
    assert_eq!((&shown.body["to"], shown.version()), (&json!(2), Some(1)), "nothing was half done");
    assert_eq!(change(json!({ "to": 1, "from": 0 })).await.status, 200);
    let lines = ["{\"title\":\"even\"}", "{\"title\":\"odd\"}", "{\"from\":2,\"to\":1}"].join("\n");
    let ask = app.operator(Method::POST, &format!("{}/import?format=ndjson", path("spans"))).raw(lines);
    let report = ask.send().await.body;
    assert_eq!((&report["imported"], &report["refused"]), (&json!(1), &json!(2)), "{report}");
    let counted = app.ask(Method::GET, &format!("{}?count=exact", path("spans"))).send().await;
    assert_eq!(counted.body["meta"]["total"], 3);
    for (text, code) in [
        ("auth.id == 'x'", "expression-not-supported"),
        ("request.method == 'GET'", "expression-not-supported"),
        ("changed('title')", "expression-not-supported"),
        ("nothing == 1", "expression-unknown-field"),
        ("value.matches('a')", "expression-not-supported"),
        ("value > 'a' &&", "expression-malformed"),
    ] {
        let refused =
            make_collection(&app, "odd", json!([{ "name": "title", "type": "text", "validate": text }])).await;
        assert_eq!(faults(&refused), [("/fields/0/validate", code)], "{text}");
    }
}

/// Each hears of a record what they may read of it, with what the server adds to it.
#[tokio::test]
async fn live_updates_show_each_listener_the_fields_that_are_theirs() {
    let live = Live::start().await;
    let fields = json!([
        { "name": "title", "type": "text" },
        { "name": "pay", "type": "integer", "readableBy": "auth.role == 'user'" },
        { "name": "pin", "type": "text", "writeOnly": true },
        { "name": "people", "type": "relation", "collection": "users", "multiple": true },
        { "name": "place", "type": "geo" },
        { "name": "made", "type": "autodate", "onCreate": true },
        { "name": "touched", "type": "autodate", "onUpdate": true },
    ]);
    live.collection(&json!({ "name": "staff", "fields": fields, "rules": { "list": "true", "view": "true" } })).await;
    let mut sockets = Vec::new();
    for role in ["user", "readonly", "admin"] {
        let mut socket = live.socket_of(role).await;
        socket.subscribe("collections/staff").await;
        sockets.push(socket);
    }
    let me = live.app.as_role("user", Method::GET, "/api/v1/auth/profile").send().await.str("id");
    let body = json!({ "title": "x", "pay": 10, "pin": "4711", "people": [me], "place": { "lat": 1.5, "lon": -2.5 } });
    let id = live.make("staff", &body).await;

    for (socket, pay) in sockets.iter_mut().zip([json!(10), Value::Null, json!(10)]) {
        let told = socket.hear().await;
        assert_eq!(told["record"].get("pay").cloned().unwrap_or_default(), pay, "{told}");
        assert_eq!((&told["record"]["people"], &told["record"]["place"]), (&body["people"], &body["place"]), "{told}");
        assert!(told["record"].get("pin").is_none() && told["record"]["made"] == told["record"]["createdAt"], "{told}");
        assert_eq!(told["record"]["touched"], Value::Null);
    }
    live.change("staff", &id, &json!({ "pay": 11 })).await;
    for (socket, pay) in sockets.iter_mut().zip([json!(11), Value::Null, json!(11)]) {
        let told = socket.hear().await;
        assert_eq!(told["record"].get("pay").cloned().unwrap_or_default(), pay, "{told}");
        assert_eq!(told["record"]["touched"], told["record"]["updatedAt"], "{told}");
    }
}

/// Whatever writes or finds asks who sees a field, and who sets it.
#[tokio::test]
async fn no_other_way_leads_to_a_field_that_one_may_not_read_or_set() {
    let app = TestApp::with_people().await;
    let fields = json!([
        { "name": "title", "type": "text", "unique": true },
        { "name": "pay", "type": "text", "unique": true, "readableBy": "auth.signedIn", "writableBy": "auth.role == 'none'" },
        { "name": "even", "type": "text", "validate": "value.size() % 2 == 0" },
        { "name": "made", "type": "autodate", "onCreate": true },
    ]);
    let body = json!({ "name": "staff", "fields": fields, "rules": anyone(), "search": { "title": 1, "pay": 1 } });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let record = json!({ "title": "ada", "pay": "treasure" });
    assert_eq!(app.operator(Method::POST, &path("staff")).json(&record).send().await.status, 201);

    for (role, count) in [("", 0), ("user", 1), ("admin", 1)] {
        let found = app.as_role(role, Method::GET, &format!("{}?search=treasure", path("staff"))).send().await;
        assert_eq!(found.body["data"].as_array().map(Vec::len), Some(count), "{role}: {found:?}");
    }
    let put = |role: &'static str, by: &str, body: Value| {
        let ask = app.as_role(role, Method::PUT, &format!("{}?by={by}", path("staff"))).json(&body);
        async { ask.send().await }
    };
    assert_eq!(put("", "pay", json!({ "pay": "treasure" })).await.status, 422);
    assert_eq!(faults(&put("user", "title", json!({ "title": "ada", "pay": "x" })).await), [("/pay", "read-only")]);
    assert_eq!(faults(&put("", "title", json!({ "title": "new", "even": "odd" })).await), [("/even", "validate")]);
    let upserted = put("", "title", json!({ "title": "new", "even": "even" })).await;
    assert_eq!((upserted.status, &upserted.body["made"]), (201, &upserted.body["createdAt"]), "{upserted:?}");
    let batch = json!({ "transaction": true, "operations": [
        { "method": "POST", "path": "/collections/staff/records", "body": { "title": "one", "even": "even" } },
        { "method": "POST", "path": "/collections/staff/records", "body": { "title": "two", "even": "odd" } },
    ] });
    let undone = app.ask(Method::POST, "/api/v1/batch").json(&batch).send().await;
    assert!(400 <= undone.status, "{undone:?}");
    let counted = app.ask(Method::GET, &format!("{}?count=exact", path("staff"))).send().await;
    assert_eq!(counted.body["meta"]["total"], 2);
    let bulk = app.operator(Method::PATCH, &format!("{}?filter=true", path("staff"))).json(&json!({ "even": "odd" }));
    let report = bulk.send().await;
    assert_eq!((&report.body["done"], &report.body["refused"]), (&json!(0), &json!(2)), "{report:?}");
}

/// What programs that read schemas would refuse, though the server takes it, would be worse than nothing.
#[tokio::test]
async fn the_json_schema_of_a_collection_speaks_the_words_of_json_schema() {
    let app = TestApp::with_people().await;
    let fields = json!([
        { "name": "code", "type": "text", "pattern": r"\A[a-z]+\.\d{2}\z" },
        { "name": "any", "type": "text", "pattern": "(?i)^a" },
        { "name": "large", "type": "integer", "min": -9_223_372_036_854_775_808_i64, "max": i64::MAX },
        { "name": "least", "type": "integer", "min": 0.5 },
        { "name": "mail", "type": "email" },
        { "name": "page", "type": "url" },
        { "name": "people", "type": "relation", "collection": "users", "multiple": true, "min": 2 },
    ]);
    assert_eq!(make_collection(&app, "things", fields).await.status, 201);

    let schema = app.as_role("admin", Method::GET, "/api/v1/collections/things/schema").send().await.body;

    let of = |name: &str, word: &str| schema["properties"][name][word].clone();
    assert_eq!(of("code", "pattern"), r"^[a-z]+\.\d{2}$");
    assert_eq!(of("any", "pattern"), Value::Null);
    assert!(of("any", "description").as_str().is_some_and(|it| it.contains("`(?i)^a`")), "{schema}");
    assert_eq!((of("large", "minimum"), of("large", "maximum")), (json!(i64::MIN), json!(i64::MAX)));
    assert_eq!(of("least", "minimum"), 1);
    assert_eq!((of("mail", "format"), of("page", "format")), (json!("idn-email"), Value::Null));
    assert_eq!(of("page", "pattern"), "^[Hh][Tt][Tt][Pp][Ss]?://");
    assert_eq!(of("people", "minItems"), Value::Null, "a record that nobody gave any has none");
    assert_eq!(schema["$defs"]["new"]["properties"]["people"]["minItems"], 2);
}

/// Generators of forms and types work from it.
#[tokio::test]
async fn a_collection_tells_its_shape_as_json_schema_as_far_as_the_caller_sees_it() {
    let app = TestApp::with_people().await;
    let body = json!({
        "name": "things",
        "fields": [
            { "name": "title", "type": "text", "required": true, "max": 80 },
            { "name": "state", "type": "select", "values": ["a", "b"] },
            { "name": "secret", "type": "text", "hidden": true },
            { "name": "code", "type": "text", "writeOnly": true },
        ],
        "rules": { "list": "true", "view": "true", "create": "true" },
    });
    assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&body).send().await.status, 201);
    let path = "/api/v1/collections/things/schema";

    let schema = app.ask(Method::GET, path).send().await.body;
    let whole = app.as_role("admin", Method::GET, path).send().await.body;
    let record = json!({ "title": "x", "state": "a", "code": "y" });
    let made = app.ask(Method::POST, "/api/v1/collections/things/records").json(&record).send().await.body;

    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!((&schema["type"], &schema["properties"]["title"]["maxLength"]), (&json!("object"), &json!(80)));
    let names = |schema: &Value| -> Vec<String> {
        schema["properties"].as_object().expect("members").keys().cloned().collect()
    };
    let members: Vec<_> = made.as_object().expect("a record").keys().cloned().collect();
    assert_eq!(schema["required"], json!(members));
    assert_eq!(names(&schema), [members, vec!["expand".to_owned()]].concat(), "where it was asked for");
    assert_eq!(names(&schema["$defs"]["new"]), ["title", "state", "code"]);
    assert_eq!(schema["$defs"]["new"]["required"], json!(["title"]));
    assert!(names(&whole).contains(&"secret".to_owned()) && schema["properties"]["state"]["nullable"].is_null());
    assert_eq!(app.ask(Method::GET, "/api/v1/collections/none/schema").send().await.refusal(), (404, "not-found"));
}
