//! Custom fields of profiles.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

const FIELDS: &str = "/api/v1/admin/profile-fields";

async fn define(app: &TestApp, query: &str, fields: Value) -> Reply {
    let body = json!({ "fields": fields });
    app.as_role("admin", Method::PUT, &format!("{FIELDS}{query}")).json(&body).send().await
}

async fn defined(app: &TestApp, fields: Value) {
    let done = define(app, "?allowLoss=true", fields).await;
    assert_eq!(done.status, 200, "{done:?}");
}

async fn patch(app: &TestApp, role: &str, fields: Value) -> Reply {
    app.as_role(role, Method::PATCH, "/api/v1/auth/profile").json(&json!({ "fields": fields })).send().await
}

fn faults(reply: &Reply) -> Vec<(&str, &str)> {
    assert_eq!(reply.refusal(), (422, "validation-failed"), "{reply:?}");
    let errors = reply.body["errors"].as_array().expect("faults").iter();
    errors.map(|it| (it["pointer"].as_str().unwrap_or_default(), it["code"].as_str().unwrap_or_default())).collect()
}

fn each_type() -> Value {
    json!([
        { "name": "phone", "type": "text", "min": 3, "max": 20, "pattern": "^[+0-9 ]+$" },
        { "name": "age", "type": "integer", "min": 0, "max": 150 },
        { "name": "weight", "type": "number" },
        { "name": "member", "type": "bool" },
        { "name": "born", "type": "datetime" },
        { "name": "size", "type": "select", "values": ["s", "m"] },
        { "name": "home", "type": "url" },
        { "name": "extra", "type": "json" },
        { "name": "grade", "type": "integer", "writable": "admin" },
    ])
}

#[tokio::test]
async fn values_are_kept_with_the_profile_in_the_order_of_their_fields() {
    let app = TestApp::with_people().await;
    defined(&app, each_type()).await;
    assert_eq!(app.profile(app.token("user")).await.body.get("fields"), None);

    let sent = json!({
        "extra": { "a": [1, null] }, "phone": "+1 555", "age": 36, "weight": 1.5, "member": true,
        "born": "2026-01-02T04:04:05+01:00", "size": "m", "home": "https://example.com/ada",
    });
    let patched = patch(&app, "user", sent).await;

    assert_eq!((patched.status, patched.version()), (200, Some(2)), "{patched:?}");
    let expected = json!({
        "phone": "+1 555", "age": 36, "weight": 1.5, "member": true, "born": "2026-01-02T03:04:05.000Z", "size": "m",
        "home": "https://example.com/ada", "extra": { "a": [1, null] },
    });
    assert_eq!(patched.body["fields"], expected);
    assert!(patched.text.contains(r#""fields":{"phone":"+1 555","age":36"#), "{}", patched.text);
    let id = patched.str("id");
    let shown = app.as_role("admin", Method::GET, &format!("/api/v1/users/{id}")).send().await;
    assert_eq!(shown.body["fields"], expected);
    let less = patch(&app, "user", json!({ "age": null, "extra": null })).await;
    assert_eq!((less.body["fields"].get("age"), &less.body["fields"]["phone"]), (None, &json!("+1 555")));
    let trail = app.as_role("admin", Method::GET, "/api/v1/admin/audit?action=profile.change&limit=1").send().await;
    assert_eq!(trail.body["data"][0]["before"]["fields"]["age"], 36, "{trail:?}");
}

/// Whatever program wrote it, another reads a whole number.
#[tokio::test]
async fn a_whole_number_is_kept_as_one_however_it_is_written() {
    let app = TestApp::with_people().await;
    defined(&app, json!([{ "name": "count", "type": "integer" }, { "name": "weight", "type": "number" }])).await;

    for (written, shown) in [("1e3", "1000"), ("1.0", "1"), ("-2E2", "-200"), ("9007199254740993", "9007199254740993")]
    {
        let body = format!(r#"{{"fields":{{"count":{written}}}}}"#);
        let patched = app.as_role("user", Method::PATCH, "/api/v1/auth/profile").text(body).send().await;
        assert_eq!(patched.status, 200, "{written}: {patched:?}");
        assert!(patched.text.contains(&format!(r#""fields":{{"count":{shown}}}"#)), "{written}: {}", patched.text);
    }
    for wrong in ["1.5", "1e300", "1e17"] {
        let body = format!(r#"{{"fields":{{"count":{wrong}}}}}"#);
        let refused = app.as_role("user", Method::PATCH, "/api/v1/auth/profile").text(body).send().await;
        assert_eq!(faults(&refused), [("/fields/count", "type")], "{wrong}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_values_is_told_at_once_and_nothing_is_kept() {
    let app = TestApp::with_people().await;
    defined(&app, each_type()).await;
    let body = json!({ "name": "a\nb", "fields": {
        "phone": "x", "age": 151, "weight": "1", "member": 1, "born": "today", "size": "xl", "home": "ftp://x",
        "grade": 1, "phon": 1, "a/b~c": 1,
    } });

    let wrong = app.as_role("user", Method::PATCH, "/api/v1/auth/profile").json(&body).send().await;

    assert_eq!(
        faults(&wrong),
        [
            ("/name", "name"),
            ("/fields/phone", "too-short"),
            ("/fields/age", "too-large"),
            ("/fields/weight", "type"),
            ("/fields/member", "type"),
            ("/fields/born", "format"),
            ("/fields/size", "not-one-of"),
            ("/fields/home", "format"),
            ("/fields/grade", "read-only"),
            ("/fields/phon", "unknown"),
            ("/fields/a~1b~0c", "unknown"),
        ]
    );
    for fields in [json!([]), json!("x"), json!(1)] {
        assert_eq!(faults(&patch(&app, "user", fields).await)[0].0, "/fields");
    }
    let large = patch(&app, "user", json!({ "extra": "x".repeat(17_000) })).await;
    assert_eq!(faults(&large), [("/fields", "too-long")]);
    let profile = app.profile(app.token("user")).await;
    assert_eq!((profile.body.get("fields"), profile.version()), (None, Some(1)));
}

#[tokio::test]
async fn a_field_for_admins_is_set_by_those_who_may_change_accounts_alone() {
    let app = TestApp::with_people().await;
    defined(&app, each_type()).await;
    let id = app.profile(app.token("user")).await.str("id");
    let path = format!("/api/v1/users/{id}/profile");
    let ask = |role: &str, method: Method, body: Value| app.as_role(role, method, &path).json(&body).send();

    assert_eq!(faults(&patch(&app, "user", json!({ "grade": 9 })).await), [("/fields/grade", "read-only")]);
    let given = ask("admin", Method::PATCH, json!({ "fields": { "grade": 7 } })).await;
    assert_eq!(given.body["fields"], json!({ "grade": 7 }));
    assert_eq!(faults(&patch(&app, "user", json!({ "grade": null })).await), [("/fields/grade", "read-only")]);
    let replaced = ask("user", Method::PUT, json!({ "fields": { "age": 1 } })).await;
    assert_eq!(replaced.body["fields"], json!({ "age": 1, "grade": 7 }), "what is not theirs stays");
    let replaced = ask("admin", Method::PUT, json!({})).await;
    assert_eq!(replaced.body.get("fields"), None);
    assert_eq!(patch(&app, "admin", json!({ "grade": 3 })).await.status, 200, "also their own");
}

#[tokio::test]
async fn a_required_value_is_not_removed_and_must_be_there_when_a_profile_is_replaced() {
    let app = TestApp::with_people().await;
    defined(&app, json!([{ "name": "phone", "type": "text", "required": true }])).await;
    let id = app.profile(app.token("user")).await.str("id");
    let put = async |body: Value| {
        app.as_role("user", Method::PUT, &format!("/api/v1/users/{id}/profile")).json(&body).send().await
    };

    let name = json!({ "name": "Ada" });
    let patched = app.as_role("user", Method::PATCH, "/api/v1/auth/profile").json(&name).send().await;
    assert_eq!(patched.status, 200, "nobody is kept from the rest for want of it");
    assert_eq!(faults(&put(json!({ "name": "Ada" })).await), [("/fields/phone", "required")]);
    assert_eq!(put(json!({ "fields": { "phone": "1" } })).await.status, 200);
    assert_eq!(faults(&patch(&app, "user", json!({ "phone": null })).await), [("/fields/phone", "required")]);
}

#[tokio::test]
async fn fields_that_cannot_be_are_refused_each_with_its_place() {
    let app = TestApp::with_people().await;
    let wrong = define(
        &app,
        "",
        json!([
            { "name": "id", "type": "text" },
            { "name": "a b", "type": "text" },
            { "name": "x", "type": "text", "pattern": "(" },
            { "name": "X", "type": "bool", "min": 1 },
            { "name": "s", "type": "select" },
        ]),
    )
    .await;
    assert_eq!(
        faults(&wrong),
        [
            ("/fields/0/name", "name"),
            ("/fields/1/name", "name"),
            ("/fields/2/pattern", "pattern"),
            ("/fields/3/name", "duplicate"),
            ("/fields/3/min", "not-for-type"),
            ("/fields/4/values", "required"),
        ]
    );
    let shape = define(&app, "", json!([{ "name": 5, "type": "relation", "unique": true }])).await;
    assert_eq!(shape.body["errors"].as_array().map(Vec::len), Some(3), "{shape:?}");
    let many: Vec<_> = (0..51).map(|it| json!({ "name": format!("f{it}"), "type": "bool" })).collect();
    assert_eq!(faults(&define(&app, "", many.into()).await)[0].0, "/fields");
    defined(&app, json!([{ "name": "x", "type": "text" }])).await;
    let retyped = define(&app, "?allowLoss=true", json!([{ "name": "x", "type": "bool" }])).await;
    assert_eq!(faults(&retyped), [("/fields/0/type", "conflict")]);
    assert_eq!(app.as_role("user", Method::GET, FIELDS).send().await.refusal(), (403, "not-allowed"));
}

#[tokio::test]
async fn no_value_is_lost_unless_that_is_said() {
    let app = TestApp::with_people().await;
    defined(&app, json!([{ "name": "phone", "type": "text" }, { "name": "age", "type": "integer" }])).await;
    patch(&app, "user", json!({ "phone": "1", "age": 5 })).await;
    patch(&app, "admin", json!({ "phone": "2" })).await;
    let left = json!([{ "name": "age", "type": "integer" }]);
    let lost = json!([{ "name": "phone", "accounts": 2 }]);

    let rehearsed = define(&app, "?dryRun=true", left.clone()).await;
    assert_eq!((rehearsed.status, rehearsed.version(), &rehearsed.body["lost"]), (200, Some(1), &lost));
    let refused = define(&app, "", left.clone()).await;
    assert_eq!(refused.refusal(), (409, "profile-data-loss"));
    assert!(refused.str("detail").contains("`phone` has a value in 2 accounts"), "{refused:?}");
    assert_eq!(app.profile(app.token("user")).await.body["fields"], json!({ "phone": "1", "age": 5 }));

    let done = define(&app, "?allowLoss=true", left.clone()).await;
    assert_eq!((done.status, done.version(), &done.body["lost"]), (200, Some(2), &lost));
    assert_eq!(app.profile(app.token("user")).await.body["fields"], json!({ "age": 5 }));
    assert_eq!(app.profile(app.token("admin")).await.body.get("fields"), None);
    let stale = app.as_role("admin", Method::PUT, FIELDS).header("if-match", "\"1\"");
    assert_eq!(stale.json(&json!({ "fields": [] })).send().await.refusal(), (412, "stale-version"));
}

#[tokio::test]
async fn each_of_fifty_values_that_are_set_at_once_stays() {
    let app = TestApp::with_people().await;
    let fields: Vec<_> = (0..50).map(|it| json!({ "name": format!("f{it}"), "type": "integer" })).collect();
    defined(&app, fields.into()).await;

    let statuses = join_all((0..50).map(|it| {
        let app = &app;
        async move { patch(app, "user", json!({ format!("f{it}"): it })).await.status }
    }))
    .await;

    assert!(statuses.iter().all(|it| *it == 200), "{statuses:?}");
    let profile = app.profile(app.token("user")).await;
    assert_eq!(profile.body["fields"].as_object().map(serde_json::Map::len), Some(50));
}
