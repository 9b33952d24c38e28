//! People as others see them: lists, searches, profiles.
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{Reply, TestApp};

const NOBODY: &str = "0190b6a4-7e2c-7c3a-9f4e-2b1d5c6a7e80";

/// Someone more, with a name, without signing in.
async fn someone(app: &TestApp, email: &str, name: &str, role: &str) -> String {
    let body = json!({ "email": email, "password": crate::support::PASSWORD, "name": name, "role": role });
    let made = app.operator(Method::POST, "/api/v1/admin/users").json(&body).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    made.str("id")
}

fn emails(reply: &Reply) -> Vec<String> {
    let data = reply.body["data"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
    data.iter().map(|it| it["email"].as_str().expect("an address").to_owned()).collect()
}

async fn get(app: &TestApp, path: &str) -> Reply {
    app.as_role("admin", Method::GET, path).send().await
}

async fn found(app: &TestApp, q: &str) -> Vec<String> {
    let reply = get(app, &format!("/api/v1/users/search?q={q}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    emails(&reply)
}

fn pointers(reply: &Reply) -> Vec<&str> {
    let faults = reply.body["errors"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
    faults.iter().filter_map(|it| it["pointer"].as_str()).collect()
}

#[tokio::test]
async fn people_are_found_by_the_beginnings_of_words_of_name_and_address() {
    let app = TestApp::with_people().await;
    someone(&app, "al@lovelace.example", "Zo\u{eb} \u{c1}da-Maria", "user").await;
    someone(&app, "grace.hopper@navy.example", "Grace", "user").await;

    assert_eq!(found(&app, "zoe").await, ["al@lovelace.example"], "without marks");
    assert_eq!(found(&app, "MARIA+ad").await, ["al@lovelace.example"], "in any order and case");
    assert_eq!(found(&app, "hop").await, ["grace.hopper@navy.example"]);
    assert_eq!(found(&app, "grace.hopper%40navy.example").await, ["grace.hopper@navy.example"], "as it is written");
    assert_eq!(found(&app, "opper").await, Vec::<String>::new(), "from the beginning of a word");
    assert_eq!(found(&app, "grace+maria").await, Vec::<String>::new(), "all of them");
    assert_eq!(found(&app, "navy&role=admin").await, Vec::<String>::new(), "narrowed further");
    assert_eq!(found(&app, "example&sort=-email&limit=1").await, ["user@example.com"]);
}

/// The words of someone are those of now.
#[tokio::test]
async fn who_has_another_name_is_found_by_it_and_not_by_the_one_before() {
    let app = TestApp::with_people().await;
    let id = someone(&app, "ada@example.com", "Byron", "user").await;

    let patch = json!({ "name": "Lovelace" });
    app.operator(Method::PATCH, &format!("/api/v1/users/{id}/profile")).json(&patch).send().await;
    assert_eq!((found(&app, "byron").await.len(), found(&app, "lovelace").await.len()), (0, 1));

    app.operator(Method::PATCH, &format!("/api/v1/admin/users/{id}")).json(&json!({ "name": "King" })).send().await;
    assert_eq!((found(&app, "lovelace").await.len(), found(&app, "king").await.len()), (0, 1));
}

/// Signs that the database knows for something else stand for nothing.
#[tokio::test]
async fn a_search_without_words_is_refused_and_finds_nobody() {
    let app = TestApp::with_people().await;
    for q in ["", "%25", "_", "'", "*", "%20", "%22%22"] {
        let reply = get(&app, &format!("/api/v1/users/search?q={q}")).await;
        assert_eq!((reply.refusal(), pointers(&reply)), ((422, "validation-failed"), vec!["?q"]), "{q}");
    }
    assert_eq!(found(&app, "us%25r").await, Vec::<String>::new());
    assert_eq!(found(&app, "a'+OR+1=1--").await, Vec::<String>::new());
    let missing = get(&app, "/api/v1/users/search").await;
    assert_eq!(pointers(&missing), ["?q"]);
    let long = get(&app, &format!("/api/v1/users/search?q={}", "x".repeat(201))).await;
    assert_eq!(pointers(&long), ["?q"]);
}

#[tokio::test]
async fn a_search_is_paged_like_a_list_and_its_cursor_is_of_that_search() {
    let app = TestApp::with_people().await;
    for n in 0..7 {
        someone(&app, &format!("n{n}@many.example"), "Many", "user").await;
    }
    let (mut seen, mut query) = (Vec::new(), "q=many&limit=3&count=exact&sort=-email".to_owned());
    loop {
        let page = get(&app, &format!("/api/v1/users/search?{query}")).await;
        assert_eq!(page.body["meta"]["total"], 7, "{page:?}");
        seen.extend(emails(&page));
        let Some(cursor) = page.body["meta"]["nextCursor"].as_str() else { break };
        let link = page.header("link").expect("a link").to_owned();
        assert!(link.starts_with("</api/v1/users/search?limit=3&cursor=") && link.contains("q=many"), "{link}");
        let elsewhere = get(&app, &format!("/api/v1/users/search?q=n&limit=3&cursor={cursor}")).await;
        assert_eq!(pointers(&elsewhere), ["?cursor"]);
        query = format!("q=many&limit=3&count=exact&sort=-email&cursor={cursor}");
    }

    let expected: Vec<_> = (0..7).rev().map(|n| format!("n{n}@many.example")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_list_has_whom_its_parameters_say() {
    let app = TestApp::with_people().await;
    app.advance(60);
    let gold = someone(&app, "gold@example.com", "", "user").await;
    let off = someone(&app, "off@example.com", "", "readonly").await;
    for (id, change) in [(&gold, json!({ "tier": "gold" })), (&off, json!({ "disabled": true }))] {
        let path = format!("/api/v1/admin/users/{id}");
        assert_eq!(app.operator(Method::PATCH, &path).json(&change).send().await.status, 200);
    }
    let list = async |query: &str| emails(&get(&app, &format!("/api/v1/users?{query}")).await);

    assert_eq!(list("role=readonly").await, ["readonly@example.com", "off@example.com"]);
    assert_eq!(list("role=readonly&disabled=false").await, ["readonly@example.com"]);
    assert_eq!(list("disabled=true").await, ["off@example.com"]);
    assert_eq!(list("tier=gold").await, ["gold@example.com"]);
    assert_eq!(list("verified=true").await, Vec::<String>::new());
    assert_eq!(list("createdFrom=2026-01-02T03:05:00Z").await, ["gold@example.com", "off@example.com"]);
    assert_eq!(list("createdTo=2026-01-02T03:05:00Z").await.len(), 3);
    assert_eq!(get(&app, "/api/v1/users?tier=gold&count=exact").await.body["meta"]["total"], 1);
}

/// Whatever a list is sorted by: nobody is left out and nobody is there twice, also where many are alike.
#[tokio::test]
async fn each_order_of_a_list_goes_on_where_the_page_before_ended() {
    let app = TestApp::with_people().await;
    for (n, name) in ["b", "a", "", "b", "\u{fc}", "b"].into_iter().enumerate() {
        someone(&app, &format!("x{n}@example.com"), name, "user").await;
    }
    for sort in ["createdAt", "email", "name", "lastSignInAt"] {
        for sign in ["", "-"] {
            let whole = get(&app, &format!("/api/v1/users?sort={sign}{sort}&limit=500")).await;
            let (mut seen, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = get(&app, &format!("/api/v1/users?sort={sign}{sort}&limit=2{cursor}")).await;
                seen.extend(emails(&page));
                let Some(next) = page.body["meta"]["nextCursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(seen, emails(&whole), "{sign}{sort}");
            assert_eq!(seen.len(), 9, "{sign}{sort}");
            let keys: Vec<_> = whole.body["data"].as_array().expect("a page").iter().map(|it| &it[sort]).collect();
            let sorted = keys.windows(2).all(|pair| match (pair[0].as_str(), pair[1].as_str()) {
                (one, other) if sign.is_empty() => one <= other,
                (one, other) => other <= one,
            });
            assert!(sorted, "{sign}{sort}: {keys:?}");
        }
    }
}

#[tokio::test]
async fn what_a_list_cannot_be_narrowed_by_is_refused_all_at_once() {
    let app = TestApp::with_people().await;

    let wrong =
        get(&app, "/api/v1/users?role=A%20B&disabled=maybe&sort=passwordHash&createdFrom=today&trashed=1").await;
    let unknown = get(&app, "/api/v1/users?rol=admin").await;
    let twice = get(&app, "/api/v1/users?role=admin&role=user").await;

    assert_eq!(pointers(&wrong), ["?role", "?disabled", "?sort", "?createdFrom", "?trashed"]);
    assert_eq!(unknown.body["errors"][0]["detail"], "is no parameter; did you mean `role`?");
    assert_eq!(pointers(&twice), ["?role"]);
}

#[tokio::test]
async fn the_list_has_two_names_and_one_answer() {
    let app = TestApp::with_people().await;

    let bodies = ["/api/v1/users", "/api/v1/admin/users", "/admin/users", "/api/users", "/api/admin/users"];
    let mut answers = Vec::new();
    for path in bodies {
        answers.push(get(&app, &format!("{path}?sort=email")).await.body);
    }

    assert!(answers.iter().all(|it| *it == answers[0] && it["data"].as_array().is_some_and(|it| it.len() == 3)));
}

/// There is an account for its owner, and for those who may see accounts; for all others there is none.
#[tokio::test]
async fn an_account_is_shown_to_its_owner_and_hidden_from_others_like_one_that_is_not_there() {
    let app = TestApp::with_people().await;
    let (own, token) = app.person("own", "user").await;
    let (moderator, keeper) = app.person("keeper", "moderator").await;
    let show = |id: &str, token: &str| app.ask(Method::GET, &format!("/api/v1/users/{id}")).bearer(token).send();

    let mine = show(&own, &token).await;
    assert_eq!((mine.status, mine.version()), (200, Some(1)));
    assert_eq!(mine.body, app.profile(&token).await.body);
    assert_eq!(show(&own, &keeper).await.status, 200);
    let masked = |it: Reply| {
        let mut body = it.body;
        body["instance"] = Value::Null;
        (it.status, body)
    };
    let others = masked(show(&moderator, &token).await);
    for nothing in [NOBODY, "nonsense", "%00"] {
        assert_eq!(masked(show(nothing, &token).await), others, "{nothing}");
    }
    assert_eq!(others.0, 404);
    let stranger = app.ask(Method::GET, &format!("/api/v1/users/{own}")).send().await;
    assert_eq!(stranger.refusal(), (401, "not-signed-in"));
}

/// A program with somebody's key does what the key says, not what its owner may with their own account.
#[tokio::test]
async fn a_key_reads_the_account_of_its_owner_only_if_it_may_read_accounts() {
    let app = TestApp::with_people().await;
    let id = app.profile(app.token("admin")).await.str("id");
    let show = async |scope: &str| {
        let body = json!({ "name": "k", "scopes": [scope], "owner": id });
        let secret = app.operator(Method::POST, "/api/v1/admin/keys").json(&body).send().await.str("secret");
        app.ask(Method::GET, &format!("/api/v1/users/{id}")).bearer(&secret).send().await
    };

    assert_eq!(show("records:read").await.refusal(), (403, "not-allowed"));
    assert_eq!(show("users:read").await.status, 200);
}

#[tokio::test]
async fn a_profile_is_changed_by_its_owner_and_by_those_who_may_change_accounts() {
    let app = TestApp::with_people().await;
    let (own, token) = app.person("own", "user").await;
    let (_, keeper) = app.person("keeper", "moderator").await;
    let path = format!("/api/v1/users/{own}/profile");
    let send = |method: Method, token: &str, body: Value| app.ask(method, &path).bearer(token).json(&body).send();

    let patched = send(Method::PATCH, &token, json!({ "name": " Ada " })).await;
    assert_eq!((patched.status, &patched.body["name"], patched.version()), (200, &json!("Ada"), Some(2)));
    let same = send(Method::PATCH, &token, json!({ "name": "Ada" })).await;
    assert_eq!((same.status, same.version()), (200, Some(2)), "nothing was changed");
    let replaced = send(Method::PUT, app.token("admin"), json!({})).await;
    assert_eq!((replaced.status, &replaced.body["name"], replaced.version()), (200, &json!(""), Some(3)));
    assert_eq!(send(Method::PATCH, app.token("user"), json!({ "name": "x" })).await.refusal(), (404, "not-found"));
    assert_eq!(send(Method::PUT, &keeper, json!({ "name": "x" })).await.refusal(), (403, "not-allowed"));
    let stale = app.ask(Method::PUT, &path).bearer(&token).header("if-match", "\"2\"").json(&json!({})).send().await;
    assert_eq!(stale.refusal(), (412, "stale-version"));
    let wrong = send(Method::PATCH, &token, json!({ "name": 5, "role": "admin", "email": "x@example.com" })).await;
    assert_eq!(pointers(&wrong), ["/name", "/role", "/email"]);

    let entries = get(&app, &format!("/api/v1/admin/audit?resource=user/{own}")).await;
    let told: Vec<_> = entries.body["data"].as_array().expect("entries").iter().map(|it| &it["action"]).collect();
    assert_eq!(told, ["users.change", "profile.change", "users.create"]);
}

/// A name in the place of somebody's who may more could be used to deceive others.
#[tokio::test]
async fn nobody_changes_the_profile_of_someone_who_may_more() {
    let app = TestApp::with_people().await;
    app.role("clerk", &["users:write"]).await;
    let (_, clerk) = app.person("clerk", "clerk").await;
    let admin = app.profile(app.token("admin")).await.str("id");

    for method in [Method::PATCH, Method::PUT] {
        let path = format!("/api/v1/users/{admin}/profile");
        let reply = app.ask(method, &path).bearer(&clerk).json(&json!({ "name": "x" })).send().await;
        assert_eq!(reply.refusal(), (403, "permission-not-held"));
    }
}

async fn activity(app: &TestApp, id: &str, token: &str, query: &str) -> Reply {
    app.ask(Method::GET, &format!("/api/v1/users/{id}/activity?{query}")).bearer(token).send().await
}

fn actions(reply: &Reply) -> Vec<&str> {
    let data = reply.body["data"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
    data.iter().filter_map(|it| it["action"].as_str()).collect()
}

#[tokio::test]
async fn people_see_what_they_did_and_what_was_done_to_them() {
    let app = TestApp::with_people().await;
    let (id, _) = app.person("ada", "user").await;
    let body = json!({ "email": "ada@example.com", "password": crate::support::PASSWORD });
    let login = app.ask(Method::POST, "/api/v1/auth/login").header("user-agent", "ours").json(&body).send().await;
    let token = login.str("accessToken");
    app.ask(Method::PATCH, "/api/v1/auth/profile").bearer(&token).json(&json!({ "name": "Ada" })).send().await;
    let path = format!("/api/v1/admin/users/{id}");
    let body = json!({ "tier": "gold" });
    app.as_role("admin", Method::PATCH, &path).header("user-agent", "theirs").json(&body).send().await;

    let own = activity(&app, &id, &token, "").await;

    assert_eq!(actions(&own), ["users.change", "profile.change", "auth.sign-in", "auth.sign-in", "users.create"]);
    let [changed, .., signed_in, _, made] = own.body["data"].as_array().expect("entries").as_slice() else { panic!() };
    assert_eq!(
        (&changed["isOwn"], changed.get("userAgent"), &changed["resourceId"]),
        (&json!(false), None, &json!(id))
    );
    assert_eq!((&signed_in["isOwn"], &signed_in["userAgent"]), (&json!(true), &json!("ours")));
    assert_eq!(
        (&made["actorKind"], &made["description"]),
        (&json!("operator"), &json!("Someone made an account for somebody."))
    );
    for member in ["before", "after", "actorId", "actorEmail", "hash", "seq"] {
        assert!(changed.get(member).is_none(), "{member}");
    }
}

/// Where someone was is for themselves, and for those who may read the whole trail.
#[tokio::test]
async fn who_may_see_accounts_sees_what_they_did_but_not_from_where() {
    let app = TestApp::with_people().await;
    let (_, keeper) = app.person("keeper", "moderator").await;
    let (id, token) = app.person("ada", "user").await;
    let body = json!({ "email": "ada@example.com", "password": crate::support::PASSWORD });
    app.ask(Method::POST, "/api/v1/auth/login").header("user-agent", "ours").json(&body).send().await;
    let newest = async |token: &str| activity(&app, &id, token, "limit=1").await.body["data"][0].clone();

    let (own, keeper, admin) = (newest(&token).await, newest(&keeper).await, newest(app.token("admin")).await);

    assert_eq!((&own["userAgent"], &admin["userAgent"]), (&json!("ours"), &json!("ours")));
    assert_eq!(
        (&keeper["action"], keeper.get("userAgent"), keeper.get("resourceId")),
        (&json!("auth.sign-in"), None, None)
    );
    assert!(own["resourceId"].is_string() && admin["resourceId"].is_string());
}

#[tokio::test]
async fn activity_is_hidden_from_others_and_paged_without_gaps() {
    let app = TestApp::with_people().await;
    let (id, token) = app.person("ada", "user").await;
    for n in 0..9 {
        let body = json!({ "name": format!("n{n}") });
        app.ask(Method::PATCH, "/api/v1/auth/profile").bearer(&token).json(&body).send().await;
        app.as_role("user", Method::PATCH, "/api/v1/auth/profile").json(&body).send().await;
    }
    let user = app.token("user").to_owned();
    let masked = |it: Reply| (it.status, it.body["detail"].clone());
    let others = masked(activity(&app, &id, &user, "").await);
    assert_eq!((others.0, &others), (404, &masked(activity(&app, NOBODY, &user, "").await)));
    assert_eq!(activity(&app, NOBODY, app.token("admin"), "").await.refusal(), (404, "not-found"));
    assert_eq!(app.ask(Method::GET, &format!("/api/v1/users/{id}/activity")).send().await.status, 401);

    let whole = activity(&app, &id, &token, "limit=500&count=exact").await;
    assert_eq!(whole.body["meta"]["total"], 11);
    let (mut by_cursor, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = activity(&app, &id, &token, &format!("limit=4{cursor}")).await;
        by_cursor.extend(page.body["data"].as_array().expect("a page").clone());
        let Some(next) = page.body["meta"]["nextCursor"].as_str() else { break };
        let theirs = activity(&app, &id, app.token("admin"), &format!("limit=4&cursor={next}")).await;
        assert_eq!(pointers(&theirs), ["?cursor"], "a cursor is its caller's own");
        cursor = format!("&cursor={next}");
    }
    let mut by_number = Vec::new();
    for page in 1..=3 {
        let page = activity(&app, &id, &token, &format!("limit=4&page={page}")).await;
        by_number.extend(page.body["data"].as_array().expect("a page").clone());
    }
    assert_eq!(
        (&by_cursor, &by_number),
        (whole.body["data"].as_array().expect("all"), whole.body["data"].as_array().expect("all"))
    );
}
