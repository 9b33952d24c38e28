//! Fields of profiles in rules: `auth.fields.<name>`.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::live::Live;
use crate::support::{Reply, TestApp};

const FIELDS: &str = "/api/v1/admin/profile-fields";
const RECORDS: &str = "/api/v1/collections/papers/records";

fn fields() -> Value {
    json!([
        { "name": "department", "type": "text", "writable": "admin" },
        { "name": "grade", "type": "integer", "writable": "admin" },
        { "name": "share", "type": "number" },
        { "name": "member", "type": "bool" },
        { "name": "since", "type": "datetime" },
        { "name": "team", "type": "select", "values": ["red", "blue"] },
        { "name": "home", "type": "url" },
        { "name": "extra", "type": "json" },
    ])
}

async fn define(app: &TestApp, query: &str, fields: Value) -> Reply {
    app.operator(Method::PUT, &format!("{FIELDS}{query}")).json(&json!({ "fields": fields })).send().await
}

/// Gives someone values, as an admin.
async fn give(app: &TestApp, id: &str, fields: Value) {
    let path = format!("/api/v1/users/{id}/profile");
    let given = app.operator(Method::PATCH, &path).json(&json!({ "fields": fields })).send().await;
    assert_eq!(given.status, 200, "{given:?}");
}

fn papers(rules: &Value) -> Value {
    let fields = json!([
        { "name": "title", "type": "text" },
        { "name": "department", "type": "text" },
        { "name": "level", "type": "integer" },
        { "name": "at", "type": "datetime" },
    ]);
    json!({ "name": "papers", "fields": fields, "rules": rules })
}

/// People, fields of their profiles, and a paper of each of two departments and one of none, under a rule for reading.
async fn app(rule: &str) -> TestApp {
    let app = TestApp::with_people().await;
    assert_eq!(define(&app, "", fields()).await.status, 200);
    let papers = papers(&json!({ "list": rule, "view": rule, "create": rule, "update": rule, "delete": rule }));
    let made = app.operator(Method::POST, "/api/v1/collections").json(&papers).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    for body in [
        json!({ "title": "a", "department": "sales", "level": 2, "at": "2026-01-01T00:00:00Z" }),
        json!({ "title": "b", "department": "research", "level": 5, "at": "2026-03-01T00:00:00Z" }),
        json!({ "title": "c" }),
    ] {
        assert_eq!(app.operator(Method::POST, RECORDS).json(&body).send().await.status, 201);
    }
    app
}

async fn id(app: &TestApp, role: &str) -> String {
    app.profile(app.token(role)).await.str("id")
}

/// The titles of what someone sees; without a token, a stranger.
async fn seen(app: &TestApp, token: Option<&str>) -> String {
    let ask = app.ask(Method::GET, &format!("{RECORDS}?sort=title"));
    let list = match token {
        Some(token) => ask.bearer(token).send().await,
        None => ask.send().await,
    };
    assert_eq!(list.status, 200, "{list:?}");
    list.body["data"].as_array().expect("records").iter().map(|it| it["title"].as_str().unwrap_or("?")).collect()
}

async fn set_rule(app: &TestApp, rule: &str) -> Reply {
    let path = "/api/v1/collections/papers";
    app.operator(Method::PATCH, path).json(&json!({ "rules": { "list": rule } })).send().await
}

#[tokio::test]
async fn a_rule_asks_for_fields_of_the_caller_as_their_types_are() {
    let app = app("auth.fields.department == department").await;
    let user = id(&app, "user").await;
    give(
        &app,
        &user,
        json!({
            "department": "sales", "grade": 4, "share": 0.5, "member": true, "since": "2026-02-01T01:00:00+01:00",
            "team": "red", "home": "https://example.com", "extra": { "a": 1 },
        }),
    )
    .await;

    for (rule, expected) in [
        ("auth.fields.department == department", "a"),
        ("department == auth.fields.department", "a"),
        ("auth.fields.department != department", "bc"),
        ("department in [auth.fields.department]", "a"),
        ("level < auth.fields.grade", "a"),
        ("level < auth.fields.grade + 2", "ab"),
        ("auth.fields.grade == 4", "abc"),
        ("auth.fields.share < 1", "abc"),
        ("auth.fields.member", "abc"),
        ("!auth.fields.member", ""),
        ("auth.fields.member == true && level == 5", "b"),
        ("at > auth.fields.since", "b"),
        ("at <= auth.fields.since", "a"),
        ("auth.fields.since == '2026-02-01T00:00:00Z'", "abc"),
        ("auth.fields.team in ['red', 'blue']", "abc"),
        ("auth.fields.home.startsWith('https://')", "abc"),
        ("has(auth.fields.department)", "abc"),
        ("size(auth.fields.department) == 5", "abc"),
    ] {
        let set = set_rule(&app, rule).await;
        assert_eq!(set.status, 200, "{rule}: {set:?}");
        assert_eq!(seen(&app, Some(app.token("user"))).await, expected, "{rule}");
        assert_eq!(seen(&app, None).await, "", "a stranger: {rule}");
    }
}

/// As with the tier: what is not there compares with nothing.
#[tokio::test]
async fn who_has_no_value_is_compared_with_nothing_and_a_stranger_is_let_in_by_no_negation() {
    let app = app("auth.signedIn").await;

    for (rule, of_readonly, of_stranger) in [
        ("auth.fields.department == department", "", ""),
        ("auth.fields.department != department", "", ""),
        ("auth.fields.department == null", "", ""),
        ("auth.fields.department != null", "", ""),
        ("auth.fields.grade < 9", "", ""),
        ("auth.fields.member", "", ""),
        ("has(auth.fields.member)", "", ""),
        ("!has(auth.fields.member)", "abc", "abc"),
        // Whoever is signed in and has none is no member.
        ("!auth.fields.member", "abc", ""),
        ("!(auth.fields.department == department)", "abc", ""),
        ("auth.fields.member ? false : true", "abc", ""),
        ("auth.fields.department != 'sales' || title == 'c'", "c", "c"),
    ] {
        assert_eq!(set_rule(&app, rule).await.status, 200, "{rule}");
        assert_eq!(seen(&app, Some(app.token("readonly"))).await, of_readonly, "{rule}");
        assert_eq!(seen(&app, None).await, of_stranger, "a stranger: {rule}");
    }
}

#[tokio::test]
async fn a_field_that_is_not_there_is_refused_when_the_rule_is_saved_and_so_is_one_that_cannot_be_asked_for() {
    let app = app("auth.signedIn").await;

    for (rule, code, part) in [
        ("auth.fields.departmen == 'x'", "expression-unknown-field", "did you mean `department`?"),
        ("auth.fields.nothing == 'x'", "expression-unknown-field", "no field `nothing`"),
        ("auth.fields == null", "expression-not-supported", "auth.fields.<name>"),
        ("auth.fields.department.x == 'x'", "expression-not-supported", "auth.fields.<name>"),
        ("auth.fields.extra == 'x'", "expression-not-supported", "JSON"),
        ("auth.fields.extra.a == 1", "expression-not-supported", "auth.fields.<name>"),
        ("auth.fields.grade == 'x'", "expression-type", ""),
        ("auth.fields.department", "expression-type", ""),
        ("auth.field.department == 'x'", "expression-unknown-field", "`fields`"),
    ] {
        let refused = set_rule(&app, rule).await;
        assert_eq!(refused.refusal(), (422, "validation-failed"), "{rule}");
        let fault = &refused.body["errors"][0];
        let detail = fault["detail"].as_str().unwrap_or_default();
        assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/rules/list"), &json!(code)), "{rule}: {detail}");
        assert!(detail.contains(part), "{rule}: {detail}");
    }
    let validator = json!([{ "name": "title", "type": "text", "validate": "auth.fields.department == value" }]);
    let path = "/api/v1/collections/papers?allowLoss=true";
    let refused = app.operator(Method::PATCH, path).json(&json!({ "fields": validator })).send().await;
    assert_eq!(refused.status, 422, "what is true of a record does not depend on who writes it: {refused:?}");
    for condition in ["readableBy", "writableBy"] {
        let field = json!([{ "name": "x", "type": "text", condition: "auth.fields.department == 'x'" }]);
        let body = json!({ "name": "others", "fields": field });
        let refused = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
        assert_eq!(refused.status, 422, "{condition}: {refused:?}");
    }
}

#[tokio::test]
async fn a_field_that_a_rule_asks_for_does_not_go_and_goes_once_none_does() {
    let app = app("auth.fields.department == department || auth.fields.grade == 1").await;
    let rest = json!([{ "name": "grade", "type": "integer", "writable": "admin" }]);

    for query in ["", "?allowLoss=true", "?dryRun=true"] {
        let refused = define(&app, query, rest.clone()).await;
        assert_eq!(refused.refusal(), (422, "validation-failed"), "{query}");
        let faults = refused.body["errors"].as_array().expect("faults");
        assert_eq!(faults.len(), 5, "each rule: {refused:?}");
        assert!(faults.iter().all(|it| it["pointer"] == "/fields" && it["code"] == "in-use"));
        let detail = faults[0]["detail"].as_str().expect("a text");
        assert!(detail.contains("of `papers`") && detail.contains("`department`"), "{detail}");
    }
    let user = id(&app, "user").await;
    give(&app, &user, json!({ "department": "sales" })).await;
    assert_eq!(seen(&app, Some(app.token("user"))).await, "a", "nothing was changed");
    let grade = "auth.fields.grade == 1";
    let rules = json!({ "list": grade, "view": grade, "create": grade, "update": grade, "delete": grade });
    let path = "/api/v1/collections/papers";
    assert_eq!(app.operator(Method::PATCH, path).json(&json!({ "rules": rules })).send().await.status, 200);
    let gone = define(&app, "?allowLoss=true", rest).await;
    assert_eq!((gone.status, &gone.body["lost"][0]["name"]), (200, &json!("department")), "{gone:?}");
    assert_eq!(set_rule(&app, "auth.fields.department == 'x'").await.status, 422, "it is known to be gone at once");
    give(&app, &user, json!({ "grade": 1 })).await;
    assert_eq!(seen(&app, Some(app.token("user"))).await, "abc");
}

/// A rule that comes back with a set of collections is judged like any other.
#[tokio::test]
async fn a_set_of_collections_may_ask_for_fields_and_not_for_others() {
    let app = app("auth.fields.department == department").await;
    let export = app.operator(Method::GET, "/api/v1/collections/export").send().await;
    assert_eq!(export.status, 200, "{export:?}");
    let bring = |set: Value| app.operator(Method::POST, "/api/v1/collections/import").json(&set).send();
    let mut changed = export.body.clone();
    changed["collections"][0]["rules"]["list"] = json!("auth.fields.team == 'red'");
    let mut wrong = export.body.clone();
    wrong["collections"][0]["rules"]["list"] = json!("auth.fields.teem == 'red'");

    let (brought, refused) = (bring(changed).await, bring(wrong).await);

    assert_eq!(brought.status, 200, "{brought:?}");
    assert_eq!(refused.refusal(), (422, "validation-failed"));
    assert_eq!(refused.body["errors"][0]["pointer"], "/collections/0/rules/list", "{refused:?}");
}

#[tokio::test]
async fn a_changed_field_is_felt_by_the_next_request_whoever_asks_on_behalf_of_the_account() {
    let app = app("auth.fields.department == department").await;
    let (user, admin) = (id(&app, "user").await, id(&app, "admin").await);
    let make_key = |owner: Option<&str>| {
        let body = json!({ "name": "x", "scopes": ["records:write"], "owner": owner });
        app.operator(Method::POST, "/api/v1/admin/keys").json(&body).send()
    };
    let (owned, nobodys) = (make_key(Some(&user)).await.str("secret"), make_key(None).await.str("secret"));
    let begin = app.as_role("admin", Method::POST, &format!("/api/v1/admin/users/{user}/impersonate"));
    let acting = begin.json(&json!({ "reason": "Ticket 1" })).send().await.str("accessToken");
    give(&app, &admin, json!({ "department": "research" })).await;
    let keyed = async |secret: &str| {
        let list = app.ask(Method::GET, RECORDS).header("x-api-key", secret).send().await;
        let data = list.body["data"].as_array().cloned().unwrap_or_default();
        data.iter().map(|it| it["title"].as_str().unwrap_or("?").to_owned()).collect::<String>()
    };

    for (department, expected) in [("sales", "a"), ("research", "b"), ("none", "")] {
        give(&app, &user, json!({ "department": department })).await;
        let own = app.token("user");
        assert_eq!(seen(&app, Some(own)).await, expected, "{department}");
        assert_eq!(seen(&app, Some(&acting)).await, expected, "as them, and not as whoever acts: {department}");
        assert_eq!(keyed(&owned).await, expected, "a key of theirs: {department}");
        assert_eq!(keyed(&nobodys).await, "", "a key of nobody: {department}");
        assert_eq!(seen(&app, Some(app.token("readonly"))).await, "", "somebody else: {department}");
    }
    give(&app, &user, json!({ "department": null })).await;
    assert_eq!(seen(&app, Some(app.token("user"))).await, "");
}

#[tokio::test]
async fn writing_asks_for_fields_as_reading_does() {
    let app = app("auth.fields.department == department").await;
    let user = id(&app, "user").await;
    give(&app, &user, json!({ "department": "sales" })).await;
    let find = app.operator(Method::GET, &format!("{RECORDS}?sort=title")).send().await;
    let ids: Vec<_> = find.body["data"].as_array().expect("records").iter().map(|it| it["id"].clone()).collect();
    let at = |n: usize| format!("{RECORDS}/{}", ids[n].as_str().expect("an id"));
    let ask = |method: Method, path: &str, body: Value| app.as_role("user", method, path).json(&body).send();

    assert_eq!(ask(Method::POST, RECORDS, json!({ "department": "sales" })).await.status, 201);
    let denied = ask(Method::POST, RECORDS, json!({ "department": "research" })).await;
    assert_eq!(denied.refusal(), (403, "rule-denied"));
    assert_eq!(ask(Method::PATCH, &at(0), json!({ "title": "z" })).await.status, 200);
    assert_eq!(ask(Method::PATCH, &at(1), json!({ "title": "z" })).await.status, 404);
    assert_eq!(app.as_role("user", Method::DELETE, &at(1)).send().await.status, 404);
    assert_eq!(app.as_role("user", Method::DELETE, &at(0)).send().await.status, 204);
}

/// The guide warns of it: who writes a field themselves answers the rule themselves.
#[tokio::test]
async fn nobody_but_an_admin_changes_what_a_rule_trusts_if_the_field_says_so() {
    let app = app("auth.fields.grade >= level || auth.fields.team == 'red'").await;
    let patch = |fields: Value| {
        let body = json!({ "fields": fields });
        app.as_role("user", Method::PATCH, "/api/v1/auth/profile").json(&body).send()
    };

    assert_eq!(patch(json!({ "grade": 9 })).await.status, 422);
    assert_eq!(seen(&app, Some(app.token("user"))).await, "");
    assert_eq!(patch(json!({ "team": "red" })).await.status, 200);
    assert_eq!(seen(&app, Some(app.token("user"))).await, "abc");
}

#[tokio::test]
async fn a_subscription_is_told_by_the_field_as_it_is_when_something_happens() {
    let live = Live::start().await;
    assert_eq!(define(&live.app, "", fields()).await.status, 200);
    let rule = "auth.fields.department == department";
    live.collection(&papers(&json!({ "list": rule, "view": rule }))).await;
    let user = id(&live.app, "user").await;
    let make = async |title: &str, department: &str| {
        live.make_as_operator("papers", &json!({ "title": title, "department": department })).await
    };
    give(&live.app, &user, json!({ "department": "sales" })).await;
    let (mut own, mut others) = (live.socket_of("user").await, live.socket_of("readonly").await);
    own.subscribe("collections/papers").await;
    others.subscribe("collections/papers").await;

    make("1", "research").await;
    make("2", "sales").await;
    let first = own.hear().await;
    give(&live.app, &user, json!({ "department": "research" })).await;
    make("3", "sales").await;
    make("4", "research").await;
    let second = own.hear().await;

    assert_eq!((&first["record"]["title"], &second["record"]["title"]), (&json!("2"), &json!("4")));
    let mut more = fields();
    more.as_array_mut().expect("a list").push(json!({ "name": "desk", "type": "text" }));
    assert_eq!(define(&live.app, "", more).await.status, 200);
    give(&live.app, &id(&live.app, "readonly").await, json!({ "department": "research" })).await;
    make("5", "research").await;
    assert_eq!(
        others.hear().await["record"]["title"],
        "5",
        "and nothing before, also when there are more fields since"
    );
    assert_eq!(own.hear().await["record"]["title"], "5");
    assert!(live.stop().await);
}

#[tokio::test]
async fn an_explanation_knows_the_fields_of_whom_it_is_about() {
    let app = app("auth.fields.department == department").await;
    let user = id(&app, "user").await;
    give(&app, &user, json!({ "department": "sales" })).await;
    let find = app.operator(Method::GET, &format!("{RECORDS}?sort=title")).send().await;
    let ask = |n: usize, caller: Value| {
        let record = find.body["data"][n]["id"].as_str().expect("an id");
        let question = json!({ "caller": caller, "method": "GET", "path": format!("{RECORDS}/{record}") });
        app.operator(Method::POST, "/api/v1/admin/explain").json(&question).send()
    };

    let verdict = async |n: usize, caller: Value| ask(n, caller).await.str("verdict");

    assert_eq!(verdict(0, json!({ "userId": user })).await, "allowed");
    assert_ne!(verdict(1, json!({ "userId": user })).await, "allowed");
    assert_ne!(verdict(0, json!({ "stranger": true })).await, "allowed");
}

/// A restart knows what rules may ask before it serves the first of them.
#[tokio::test]
async fn rules_with_fields_are_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    {
        let app = TestApp::on_disk(folder.path(), &[]).await;
        assert_eq!(define(&app, "", fields()).await.status, 200);
        let papers = papers(&json!({ "list": "auth.fields.department == department" }));
        assert_eq!(app.operator(Method::POST, "/api/v1/collections").json(&papers).send().await.status, 201);
        app.operator(Method::POST, RECORDS).json(&json!({ "title": "a", "department": "sales" })).send().await;
    }
    let app = TestApp::on_disk(folder.path(), &[]).await;
    let (user, token) = app.person("ada", "user").await;
    give(&app, &user, json!({ "department": "sales" })).await;

    assert_eq!(seen(&app, Some(&token)).await, "a");
}
