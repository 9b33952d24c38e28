//! Promises about every endpoint, held against the OpenAPI document.
use std::collections::{BTreeMap, BTreeSet};

use poem::http::Method;
use serde_json::Value;

use crate::support::promise::resolved;
use crate::support::{PASSWORD, TestApp, schema};

/// Operations that a stranger may call: what the public document tells is public. Adding a line here is a security decision.
const PUBLIC: &[&str] = &[
    "register",
    "login",
    "refresh_token",
    "set_up",
    "check_setup_link",
    "verify_email",
    "resend_verification",
    "forgot_password",
    "reset_password",
    "request_sign_in_code",
    "sign_in_with_code",
    "show_code",
    "accept_invitation",
    "health",
    "health_live",
    "health_ready",
    "show_json_schema",
    "show_jwks",
    "show_openid_configuration",
];
/// Operations whose collection decides who may: a stranger is let as far as its rules.
const BY_RULE: &[&str] = &[
    "list_records",
    "export_records",
    "aggregate_records",
    "create_record",
    "show_record",
    "update_record",
    "replace_record",
    "delete_record",
    "listen",
    "put_record",
    "patch_records",
    "delete_many_records",
    "restore_record",
    "batch",
];
/// Of these, what `readonly` may not even try.
const WRITING: &[&str] = &[
    "create_record",
    "update_record",
    "replace_record",
    "delete_record",
    "put_record",
    "patch_records",
    "delete_many_records",
    "restore_record",
];
/// Operations that need a permission which only admins have.
const ADMINS_ONLY: &[&str] = &[
    "create_user",
    "list_users",
    "search_users",
    "impersonate_user",
    "create_invitation",
    "list_invitations",
    "resend_invitation",
    "delete_invitation",
    "create_setup_link",
    "delete_user",
    "restore_user",
    "purge_user",
    "import_users",
    "show_password_hashing",
    "calibrate_password_hashing",
    "list_blocked_addresses",
    "lift_blocked_address",
    "show_profile_fields",
    "replace_profile_fields",
    "remove_second_factor",
    "list_audit_entries",
    "show_audit_entry",
    "show_audit_head",
    "export_audit",
    "verify_audit",
    "list_jobs",
    "count_jobs",
    "show_job",
    "retry_job",
    "cancel_job",
    "list_mail_templates",
    "show_mail_template",
    "replace_mail_template",
    "reset_mail_template",
    "preview_mail_template",
    "show_brand",
    "update_brand",
    "send_test_mail",
    "show_mail_dkim",
    "list_mail_suppressions",
    "create_mail_suppression",
    "delete_mail_suppression",
    "report_mail",
    "list_mailbox",
    "show_mail",
    "delete_mail",
    "empty_mailbox",
    "explain_access",
    "list_signing_keys",
    "rotate_signing_keys",
    "create_api_key",
    "list_api_keys",
    "show_api_key",
    "verify_api_key",
    "update_api_key",
    "set_api_key_scopes",
    "rotate_api_key",
    "revoke_api_key",
    "show_api_key_usage",
    "list_secret_keys",
    "rotate_secret_keys",
    "update_user",
    "set_user_role",
    "list_permissions",
    "list_roles",
    "create_role",
    "show_role",
    "update_role",
    "delete_role",
    "create_collection",
    "list_collections",
    "show_collection",
    "update_collection",
    "preview_collection",
    "delete_collection",
    "import_records",
    "show_realtime",
    "join_relay",
    "truncate_collection",
    "export_collections",
    "import_collections",
    "list_schema_changes",
    "show_schema_change",
];

struct Operation {
    id: String,
    path: String,
    method: Method,
    spec: Value,
}

fn operations(document: &Value) -> Vec<Operation> {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().expect("methods").iter().map(move |(method, spec)| Operation {
                id: spec["operationId"].as_str().unwrap_or_default().to_owned(),
                path: path.replace(['{', '}'], ""),
                method: method.to_uppercase().parse().expect("a method"),
                spec: spec.clone(),
            })
        })
        .collect()
}

/// The body that the document shows for an operation.
fn example<'a>(document: &'a Value, operation: &Operation) -> Option<&'a Value> {
    let name = operation.spec["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str()?;
    document.pointer(name.trim_start_matches('#')).map(|it| &it["example"])
}

/// What the document says an operation answers with a status, if that is JSON.
fn answer<'a>(operation: &'a Operation, status: &str) -> Option<&'a Value> {
    let content = operation.spec["responses"][status]["content"].as_object()?;
    content.iter().find(|(name, _)| name.starts_with("application/json")).map(|(_, it)| it)
}

/// The example of an answer: its own, or that of its schema.
fn answer_example<'a>(document: &'a Value, content: &'a Value) -> &'a Value {
    let referred = |it: &Value| document.pointer(it["$ref"].as_str()?.trim_start_matches('#'));
    // The example of a choice is that of its first.
    let chosen = |it: &'a Value| it["oneOf"].get(0).or(it["anyOf"].get(0)).unwrap_or(it);
    let named = content["examples"].as_object().and_then(|it| referred(it.values().next()?)?.get("value"));
    let whole = |it: &'a Value| referred(it).unwrap_or(it);
    let of_schema = || whole(chosen(whole(&content["schema"]))).get("example");
    content.get("example").or(named).or_else(of_schema).unwrap_or(&Value::Null)
}

/// A collection with a field of each type, one of them hidden, that anyone may read and write.
async fn with_a_collection(app: &TestApp) {
    let field = |name: &str| serde_json::json!({ "name": name, "type": name });
    let mut fields: Vec<_> =
        ["text", "integer", "number", "bool", "datetime", "json", "email", "url"].map(field).to_vec();
    fields.push(serde_json::json!({ "name": "state", "type": "select", "values": ["draft", "live"] }));
    fields.push(serde_json::json!({ "name": "tags", "type": "select", "values": ["a", "b"], "multiple": true }));
    fields.push(serde_json::json!({ "name": "author", "type": "relation", "collection": "users" }));
    fields.push(serde_json::json!({ "name": "note", "type": "text", "hidden": true }));
    let rules: serde_json::Map<_, _> =
        ["list", "view", "create", "update", "delete"].map(|it| (it.to_owned(), "true".into())).into_iter().collect();
    let body = serde_json::json!({ "name": "things", "fields": fields, "rules": rules });
    let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
}

/// The id of the operation that an alias stands for.
fn base(id: &str) -> &str {
    id.trim_end_matches("_alias").trim_end_matches("_renamed")
}

#[tokio::test]
async fn a_stranger_is_turned_away_everywhere_but_where_it_is_meant() {
    let app = TestApp::new().await;
    let mut let_in = BTreeSet::new();
    for operation in operations(&app.openapi().await) {
        let reply = app.ask(operation.method, &operation.path).text("{}").send().await;
        if reply.status == 401 {
            assert_eq!(reply.refusal().1, "not-signed-in", "{}", operation.id);
            assert!(!operation.spec["security"].is_null(), "{} says nothing of signing in", operation.id);
        } else {
            let_in.insert(base(&operation.id).to_owned());
            let security = &operation.spec["security"];
            let is_optional = security.as_array().is_some_and(|it| it.contains(&serde_json::json!({})));
            assert!(security.is_null() || is_optional, "{} says one must sign in", operation.id);
        }
    }

    assert_eq!(let_in, PUBLIC.iter().chain(BY_RULE).map(|it| (*it).to_owned()).collect());
}

/// A typing error in a parameter must not do what was only to be tried, or show what was not asked for.
#[tokio::test]
async fn a_parameter_that_an_operation_does_not_have_is_refused() {
    let app = TestApp::with_people().await;
    for operation in operations(&app.openapi().await) {
        let path = &operation.path;
        if !path.starts_with("/api/") {
            continue;
        }
        let reply = app.as_role("admin", operation.method, &format!("{path}?nonsense=1")).text("{}").send().await;
        let is_about_nothing =
            reply.status == 404 && operation.spec["parameters"].to_string().contains(r#""in":"path""#);
        let is_told = reply.status == 422 && reply.text.contains(r#""pointer":"?nonsense""#);
        assert!(is_told || is_about_nothing, "{}: {reply:?}", operation.id);
    }
}

#[tokio::test]
async fn each_role_may_what_is_meant() {
    let app = TestApp::with_people().await;
    let mut refused: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    // The example of a collection is made on the way, and its paths are another test's.
    let document = app.openapi().await;
    for role in ["admin", "user", "readonly"] {
        for operation in operations(&document) {
            // Signing out would end what is being tested, and so would deleting oneself.
            if operation.id.starts_with("logout") || operation.id == "delete_profile" {
                continue;
            }
            let body = example(&document, &operation).cloned().unwrap_or_default();
            let reply = app.as_role(role, operation.method.clone(), &operation.path).json(&body).send().await;
            assert!(reply.status < 500, "{} as {role}: {reply:?}", operation.id);
            if reply.status == 403 && reply.refusal().1 == "not-allowed" {
                refused.entry(role).or_default().insert(base(&operation.id).to_owned());
                let detail = reply.str("detail");
                let description = operation.spec["description"].as_str().unwrap_or_default();
                let permission = detail.split('`').nth(1).unwrap_or_default();
                let is_told = description.contains(&format!("Needs the permission `{permission}`"));
                assert!(is_told, "{} tells of another permission: {detail}", operation.id);
                // Someone who may not is not told what would be wrong with the body.
                let nonsense = app.as_role(role, operation.method, &operation.path).text("{\"").send().await;
                assert_eq!(nonsense.refusal(), reply.refusal(), "{} as {role}", operation.id);
            }
        }
    }

    let admins_only: BTreeSet<String> = ADMINS_ONLY.iter().map(|it| (*it).to_owned()).collect();
    let not_reading = admins_only.iter().cloned().chain(WRITING.iter().map(|it| (*it).to_owned())).collect();
    assert_eq!(refused, BTreeMap::from([("user", admins_only), ("readonly", not_reading)]));
}

/// Of those that need a permission, what `moderator` may.
const MODERATORS_TOO: &[&str] = &["list_users", "search_users", "list_invitations"];
/// Operations about an account, which is there for its owner and for those who may see it or more.
const OF_ONE_ACCOUNT: &[&str] = &["show_user", "list_activity"];
/// Of these, what needs more than seeing it.
const OF_ONE_ACCOUNT_WRITING: &[&str] = &["update_user_profile", "replace_user_profile"];

/// What an operation answers to a caller before it looks at anything else: nothing, if it goes on.
fn turned_away(operation: &Operation, caller: &str) -> Option<(u16, &'static str)> {
    let (id, security) = (base(&operation.id), &operation.spec["security"]);
    let (by_rule, admins_only) = (BY_RULE.contains(&id), ADMINS_ONLY.contains(&id));
    if security.is_null() {
        return None;
    }
    let not_allowed = Some((403, "not-allowed"));
    match caller {
        "disabled" | "deleted" => Some((401, "token-invalid")),
        "stranger" if by_rule => None,
        "stranger" if id == "show_json_schema" => None,
        "stranger" => Some((401, "not-signed-in")),
        "admin" => None,
        "key" if !security.to_string().contains("apiKey") => Some((403, "needs-session")),
        "moderator" if MODERATORS_TOO.contains(&id) => None,
        "key" if OF_ONE_ACCOUNT.contains(&id) => not_allowed,
        "key" | "moderator" if OF_ONE_ACCOUNT_WRITING.contains(&id) => not_allowed,
        _ if OF_ONE_ACCOUNT.contains(&id) || OF_ONE_ACCOUNT_WRITING.contains(&id) => Some((404, "not-found")),
        _ if admins_only => not_allowed,
        "readonly" | "key" if WRITING.contains(&id) => not_allowed,
        _ => None,
    }
}

/// One table for all: whoever adds an operation, or a way to be let in, adds it here.
#[tokio::test]
async fn every_operation_turns_away_whom_it_should_and_nobody_else() {
    let mut app = TestApp::with_people().await;
    let document = app.openapi().await;
    let (disabled, token) = app.person("disabled", "admin").await;
    let path = format!("/api/v1/admin/users/{disabled}");
    let done = app.operator(Method::PATCH, &path).json(&serde_json::json!({ "disabled": true })).send().await;
    assert_eq!(done.status, 200, "{done:?}");
    app.keep_token("disabled", token);
    let (deleted, token) = app.person("deleted", "admin").await;
    let done = app.operator(Method::DELETE, &format!("/api/v1/users/{deleted}")).send().await;
    assert_eq!(done.status, 204, "{done:?}");
    app.keep_token("deleted", token);
    for (name, role) in [("moderator", "moderator"), ("other", "user")] {
        let (_, token) = app.person(name, role).await;
        app.keep_token(name, token);
    }
    let body = serde_json::json!({ "name": "reader", "scopes": ["records:read"] });
    let key = app.operator(Method::POST, "/api/v1/admin/keys").json(&body).send().await.str("secret");
    app.keep_token("key", key);

    for caller in ["stranger", "disabled", "deleted", "key", "readonly", "user", "other", "moderator", "admin"] {
        for operation in operations(&document) {
            // Signing out would end what is being tested.
            if operation.id.starts_with("logout") || operation.id.starts_with("revoke") {
                continue;
            }
            let reply = app.as_role(caller, operation.method.clone(), &operation.path).text("{}").send().await;
            let came = (reply.status >= 400).then(|| (reply.status, reply.body["code"].as_str().unwrap_or_default()));
            match turned_away(&operation, caller) {
                Some(expected) => assert_eq!(came, Some(expected), "{} as {caller}: {reply:?}", operation.id),
                None => {
                    let code = came.map_or("", |(_, code)| code);
                    let is_away = ["not-signed-in", "not-allowed", "needs-session", "api-key-invalid"].contains(&code);
                    assert!(!is_away, "{} as {caller}: {reply:?}", operation.id);
                }
            }
        }
    }
}

/// A cookie goes along whoever wrote the page: what changes something has to come from one of ours.
#[tokio::test]
async fn no_operation_that_writes_believes_a_cookie_without_a_page_of_ours() {
    let app = TestApp::with_people().await;
    let document = app.openapi().await;
    let body = serde_json::json!({ "email": "admin@example.com", "password": PASSWORD, "session": "cookie" });
    let own = ("origin", "http://localhost");
    let signed_in = app.ask(Method::POST, "/api/v1/auth/login").header(own.0, own.1).json(&body).send().await;
    let cookie = signed_in.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
    let pages: [&[(&str, &str)]; 4] =
        [&[], &[("origin", "https://evil.example")], &[("origin", "null")], &[own, ("sec-fetch-site", "same-site")]];
    let mut refused = BTreeSet::new();
    for operation in operations(&document) {
        let (id, is_read) = (base(&operation.id), [Method::GET, Method::HEAD].contains(&operation.method));
        for page in pages {
            let mut ask = app.ask(operation.method.clone(), &operation.path).header("cookie", &cookie);
            for (name, value) in page {
                ask = ask.header(name, value);
            }
            let reply = ask.text("{}").send().await;
            let code = reply.body["code"].as_str().unwrap_or_default();
            let is_refused = code == "origin-refused";
            if operation.spec["security"].is_null() {
                // It does not look who asks.
                assert!(!is_refused, "{id}: {reply:?}");
                continue;
            }
            assert_eq!(is_refused, !is_read, "{id} {page:?}: {reply:?}");
            assert!(is_refused || code != "not-signed-in", "{id} does not know the cookie: {reply:?}");
            refused.extend(is_refused.then(|| id.to_owned()));
        }
    }

    for id in ["logout", "change_password", "create_user", "rotate_signing_keys", "import_records", "batch"] {
        assert!(refused.contains(id), "{id} was not looked at");
    }
    let last = app.ask(Method::GET, "/api/v1/auth/profile").header("cookie", &cookie).send().await;
    assert_eq!((last.status, last.body["email"].as_str()), (200, Some("admin@example.com")), "nothing was done");
}

#[tokio::test]
async fn every_operation_is_described_for_people_and_programs() {
    let document = TestApp::new().await.openapi().await;
    let mut ids = BTreeSet::new();
    for Operation { id, path, spec, .. } in operations(&document) {
        assert!(ids.insert(id.clone()), "the id `{id}` is there twice");
        assert!(
            !id.is_empty() && id.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_'),
            "{path}"
        );
        assert!(spec["summary"].as_str().is_some_and(|it| !it.is_empty()), "{id} has no summary");
        let description = spec["description"].as_str().unwrap_or_default();
        let who = description.rsplit("\n\n").next().unwrap_or_default();
        let tells_who =
            ["Anyone may.", "Anyone signed in may."].contains(&who) || who.starts_with("Needs the permission `");
        assert!(tells_who, "{id} does not say who may: {description}");
        assert!(spec["tags"].as_array().is_some_and(|it| it.len() == 1), "{id} has no chapter");
        for (status, answer) in spec["responses"].as_object().expect("answers") {
            let answer = resolved(&document, answer);
            assert!(answer["description"].as_str().is_some_and(|it| !it.is_empty()), "{id} {status} has no sentence");
            assert!(answer["headers"]["X-Request-Id"].is_object(), "{id} {status}");
            if !status.starts_with(['1', '2']) && status != "304" {
                let content = &answer["content"]["application/problem+json"];
                assert_eq!(content["schema"]["$ref"], "#/components/schemas/Problem", "{id} {status}");
            }
        }
        if let Some(name) = spec["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str() {
            let schema = document.pointer(name.trim_start_matches('#')).expect("the schema");
            assert!(schema["example"].is_object(), "{id}: {name} has no example");
            assert_eq!(schema["additionalProperties"], false, "{id}: {name} is open");
        }
    }
}

/// What a document shows must be what the server takes.
#[tokio::test]
async fn the_examples_of_the_document_fit_their_own_schema() {
    let app = TestApp::new().await;
    let document = app.openapi().await;
    for operation in operations(&document) {
        let Some(example) = example(&document, &operation) else { continue };
        let reply = app.operator(operation.method, &operation.path).json(example).send().await;
        assert!(![400, 413, 415, 422].contains(&reply.status), "{}: {reply:?}", operation.id);
    }
}

/// Whoever writes a client reads the examples, and tries with them.
#[tokio::test]
async fn every_answer_has_an_example_that_fits_its_own_schema() {
    let app = TestApp::new().await;
    with_a_collection(&app).await;
    let document = app.openapi().await;
    let mut wrong = Vec::new();
    for operation in operations(&document) {
        let statuses = operation.spec["responses"].as_object().expect("answers").keys();
        for status in statuses.filter(|it| it.starts_with('2')) {
            let Some(content) = answer(&operation, status) else { continue };
            let example = answer_example(&document, content);
            let faults = match example.is_object() || example.is_array() {
                true => schema::faults(&document, &content["schema"], example),
                false => vec!["no example".to_owned()],
            };
            wrong.extend(faults.into_iter().map(|it| format!("{} {status} {it}", operation.id)));
        }
    }

    assert_eq!(wrong, Vec::<String>::new());
}

/// The codes of the problems that an operation lists, with their examples.
fn problems(document: &Value, operation: &Operation) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (status, answer) in operation.spec["responses"].as_object().expect("answers") {
        let content = &resolved(document, answer)["content"]["application/problem+json"];
        for (code, example) in content["examples"].as_object().into_iter().flatten() {
            found.push((status.clone(), code.clone(), resolved(document, example)["value"].clone()));
        }
    }
    found
}

/// Whoever meets a code in the document finds its page, and every code is met there.
#[tokio::test]
async fn each_listed_problem_has_its_page_and_each_problem_is_listed() {
    let app = TestApp::new().await;
    with_a_collection(&app).await;
    let document = app.openapi().await;
    let kinds = steading::features::problems();
    let mut listed = BTreeSet::new();
    for operation in operations(&document) {
        for (status, code, example) in problems(&document, &operation) {
            let id = &operation.id;
            let kind = kinds.iter().find(|it| it.code == code).unwrap_or_else(|| panic!("{id} lists {code}"));
            assert_eq!(
                (kind.status.to_string(), kind.status.into()),
                (status, example["status"].clone()),
                "{id} {code}"
            );
            assert_eq!((example["code"].as_str(), example["title"].as_str()), (Some(kind.code), Some(kind.title)));
            let faults = schema::faults(&document, &document["components"]["schemas"]["Problem"], &example);
            assert_eq!(faults, Vec::<String>::new(), "{id} {code}");
            listed.insert(code);
        }
    }
    for code in &listed {
        let page = app.ask(Method::GET, &format!("/problems/{code}")).send().await;
        assert_eq!(page.status, 200, "{code} has no page");
    }

    // A path with a method that it does not take is no operation, and what another operation of a batch stands in
    // the way of is told within its answer; what stands in the way of being there, over a WebSocket.
    let unlisted: Vec<_> = kinds.iter().map(|it| it.code).filter(|it| !listed.contains(*it)).collect();
    assert_eq!(unlisted, ["method-not-allowed", "not-done", "view-beside-writes", "presence-limit-reached"]);
}

/// Terms of an operation that there is none of would be said of nothing.
#[tokio::test]
async fn all_terms_are_those_of_an_operation() {
    let document = TestApp::new().await.openapi().await;
    let ids: BTreeSet<_> = operations(&document).into_iter().map(|it| it.id).collect();

    for terms in steading::features::told().terms.iter().copied().flatten() {
        assert!(ids.contains(terms.operation), "there is no operation `{}`", terms.operation);
    }
}

/// An example is tried out: its code must be one that really comes for such a mistake.
#[tokio::test]
async fn the_faults_of_the_examples_are_such_as_come() {
    let app = TestApp::new().await;
    let document = app.openapi().await;

    let reply = app.register("ada").await;

    let example = &document["components"]["examples"]["validation-failed"]["value"];
    assert_eq!((&reply.body["errors"], &reply.body["detail"]), (&example["errors"], &example["detail"]));
    assert_eq!(document["components"]["schemas"]["Problem"]["example"]["errors"], example["errors"]);

    let field = serde_json::json!({ "name": "views", "type": "integer" });
    let body = serde_json::json!({ "name": "posts", "fields": [field] });
    app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
    let file = serde_json::json!([{ "views": "many" }]);
    let report = app.operator(Method::POST, "/api/v1/collections/posts/records/import").json(&file).send().await;

    let example = &document["components"]["schemas"]["ImportReport"]["example"];
    assert_eq!(report.body["errors"][0]["errors"], example["errors"][0]["errors"]);
}

/// What the document promises is what comes.
#[tokio::test]
async fn what_is_answered_fits_the_document() {
    let app = TestApp::with_people().await;
    with_a_collection(&app).await;
    let record = serde_json::json!({ "text": "a", "integer": 1, "tags": ["a"], "json": { "a": [1, null] } });
    let made = app.operator(Method::POST, "/api/v1/collections/things/records").json(&record).send().await;
    let document = app.openapi().await;
    let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
    for operation in operations(&document) {
        let path = match operation.path.strip_suffix("/id") {
            Some(path) => format!("{path}/{}", made.str("id")),
            None => operation.path.clone(),
        };
        let path = path.replace("/collection/", "/things/").replace("/collections/name", "/collections/things");
        let ends_it = operation.method == Method::DELETE || operation.id.starts_with("logout");
        if ends_it || base(&operation.id) == "update_collection" {
            continue;
        }
        let body = example(&document, &operation).cloned().unwrap_or_default();
        let reply = app.operator(operation.method.clone(), &path).json(&body).send().await;
        let Some(content) = answer(&operation, &reply.status.to_string()) else { continue };
        let is_json = reply.header("content-type").is_some_and(|it| it.starts_with("application/json"));
        assert!(is_json || operation.id.starts_with("export"), "{}", operation.id);
        if !is_json {
            continue;
        }
        seen.insert(base(&operation.id).to_owned());
        let faults = schema::faults(&document, &content["schema"], &reply.body);
        wrong.extend(faults.into_iter().map(|it| format!("{} {} {it}: {}", operation.id, reply.status, reply.text)));
    }

    assert_eq!(wrong, Vec::<String>::new());
    for id in ["list_users", "create_user", "list_collections", "show_collection", "list_records", "show_record"] {
        assert!(seen.contains(id), "{id} was not looked at: {seen:?}");
    }
}

#[tokio::test]
async fn every_answer_names_its_request_and_is_kept_by_nobody() {
    let app = TestApp::with_people().await;
    for operation in operations(&app.openapi().await) {
        let reply = app
            .as_role("user", operation.method, &operation.path)
            .header("x-request-id", "mine-1")
            .text("{}")
            .send()
            .await;
        assert_eq!(reply.header("x-request-id"), Some("mine-1"), "{}", operation.id);
        // What anybody may read of keys is public, and meant to be kept for a while.
        let is_public = ["show_jwks", "show_openid_configuration"].contains(&operation.id.as_str());
        let kept = if is_public { "public, max-age=300" } else { "no-store" };
        assert_eq!(reply.header("cache-control"), Some(kept), "{}", operation.id);
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{}", operation.id);
        assert!(reply.header("x-response-time").is_some(), "{}", operation.id);
        if 400 <= reply.status {
            assert_eq!(reply.body["instance"], "mine-1", "{}", operation.id);
        }
    }
}

/// RFC 9110 section 15.5.6: who used the wrong method is told the right ones.
#[tokio::test]
async fn a_refused_method_is_told_which_ones_the_path_takes() {
    let app = TestApp::new().await;
    for (path, allowed) in [
        ("/api/v1/auth/profile", "DELETE, GET, HEAD, PATCH"),
        ("/api/auth/profile", "DELETE, GET, HEAD, PATCH"),
        ("/admin/users", "GET, HEAD, POST"),
        ("/api/v1/auth/login", "POST"),
        ("/health", "GET, HEAD"),
        ("/openapi.json", "GET, HEAD"),
    ] {
        let reply = app.ask(Method::PUT, path).send().await;

        assert_eq!((reply.refusal(), reply.header("allow")), ((405, "method-not-allowed"), Some(allowed)), "{path}");
    }
}

/// A change here is a change for every client: look at it as one of them.
#[tokio::test]
async fn the_document_is_the_one_that_was_looked_at() {
    insta::assert_json_snapshot!("openapi", TestApp::new().await.openapi().await);
}

#[tokio::test]
async fn the_document_of_3_1_has_no_words_of_3_0() {
    let app = TestApp::new().await;

    let document = app.ask(Method::GET, "/openapi-3.1.json").send().await;

    assert_eq!(document.body["openapi"], "3.1.0");
    assert!(!document.text.contains("\"nullable\""));
    assert!(!document.text.contains("\"exclusiveMinimum\":true"));
}

/// The paths of collections are endpoints like all others: as their rules say, and never a failure of ours.
#[tokio::test]
async fn the_paths_of_a_collection_let_in_whom_its_rules_let() {
    let app = TestApp::with_people().await;
    let fields = serde_json::json!([{ "name": "title", "type": "text" }, { "name": "key", "type": "text", "unique": true }, { "name": "owner", "type": "relation", "collection": "users" }]);
    let owners = "owner == auth.id";
    for (name, rule) in [("closed", None), ("open", Some("true")), ("owned", Some(owners))] {
        let rules: serde_json::Map<_, _> =
            ["list", "view", "create", "update", "delete"].map(|it| (it.to_owned(), rule.into())).into_iter().collect();
        let body = serde_json::json!({ "name": name, "fields": fields, "rules": rules });
        let made = app.operator(Method::POST, "/api/v1/collections").json(&body).send().await;
        assert_eq!(made.status, 201, "{made:?}");
    }
    let document = app.openapi().await;
    for operation in operations(&document).iter().filter(|it| it.id.ends_with("_record") || it.id.ends_with("_records"))
    {
        let Some(name) = ["closed", "open", "owned"].into_iter().find(|it| operation.id.contains(it)) else { continue };
        let writes = operation.method != Method::GET;
        let query = match operation.id.split('_').next() {
            Some("put") => "?by=key",
            Some("patch") => "?filter=true",
            Some("delete") if operation.id.ends_with("_records") => "?filter=true",
            _ => "",
        };
        let path = operation.path.replace("/id", "/0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80") + query;
        for role in ["", "user", "readonly", "admin"] {
            let key = operation.id.starts_with("put").then_some("k");
            let record = serde_json::json!({ "title": "x", "key": key });
            let body = if operation.id.starts_with("import") { serde_json::json!([record]) } else { record };
            let reply = app.as_role(role, operation.method.clone(), &path).json(&body).send().await;
            let expected: &[u16] = match (name, role) {
                (_, "readonly") if writes => &[403],
                // Whatever the rules: they are not asked.
                (_, "") if operation.id.starts_with("import") => &[401],
                (_, "user") if operation.id.starts_with("import") => &[403],
                ("closed", "") => &[401],
                ("closed", "user" | "readonly") => &[403],
                ("owned", "" | "user") if operation.id.starts_with("create") || operation.id.starts_with("put") => {
                    &[403]
                }
                _ => &[200, 201, 404],
            };
            assert!(expected.contains(&reply.status), "{} as {role:?}: {reply:?}", operation.id);
        }
    }
}
