//! The bounds of API keys: limits with names, credits, and verifying keys for other programs.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Reply, TestApp};

const KEYS: &str = "/api/v1/admin/keys";
const USERS: &str = "/api/v1/admin/users";

struct Made {
    path: String,
    secret: String,
}

/// A key as the operator makes it, that sees accounts.
async fn key(app: &TestApp, body: Value) -> Made {
    let mut whole = json!({ "name": "test", "scopes": ["users:read"] });
    whole.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
    let made = app.operator(Method::POST, KEYS).json(&whole).send().await;
    assert_eq!(made.status, 201, "{made:?}");
    let id = made.body["key"]["id"].as_str().expect("an id");
    Made { path: format!("{KEYS}/{id}"), secret: made.str("secret") }
}

async fn call(app: &TestApp, key: &Made) -> Reply {
    app.ask(Method::GET, USERS).header("x-api-key", &key.secret).send().await
}

async fn write(app: &TestApp, key: &Made) -> Reply {
    app.ask(Method::POST, KEYS).header("x-api-key", &key.secret).json(&json!({})).send().await
}

async fn change(app: &TestApp, key: &Made, body: Value) -> Reply {
    app.operator(Method::PATCH, &key.path).json(&body).send().await
}

async fn shown(app: &TestApp, key: &Made) -> Value {
    app.operator(Method::GET, &key.path).send().await.body
}

async fn remaining(app: &TestApp, key: &Made) -> Value {
    shown(app, key).await["credits"]["remaining"].clone()
}

fn faults(reply: &Reply) -> Vec<(String, String)> {
    let text = |it: &Value| it.as_str().expect("a text").to_owned();
    let faults = reply.body["errors"].as_array().unwrap_or_else(|| panic!("{reply:?}"));
    faults.iter().map(|it| (text(&it["pointer"]), text(&it["code"]))).collect()
}

#[tokio::test]
async fn all_limits_of_a_key_count_and_a_burst_does_not_use_up_the_day() {
    let app = TestApp::with_people().await;
    let limits = json!([
        { "name": "day", "limit": 5, "windowSecs": 86_400 },
        { "name": "burst", "limit": 2, "windowSecs": 1 },
    ]);
    let key = key(&app, json!({ "rateLimits": limits, "rateLimit": { "limit": 100, "windowSecs": 60 } })).await;

    let first = call(&app, &key).await;
    assert_eq!(first.header("ratelimit"), Some("\"burst\";r=1;t=1, \"key\";r=99;t=60, \"day\";r=4;t=86400"));
    let policy = "\"burst\";q=2;w=1, \"key\";q=100;w=60, \"day\";q=5;w=86400";
    assert_eq!(first.header("ratelimit-policy"), Some(policy));
    assert_eq!(call(&app, &key).await.status, 200);
    for _ in 0..10 {
        let refused = call(&app, &key).await;
        assert_eq!(refused.refusal(), (429, "too-many-requests"));
        assert!(refused.str("detail").contains("`burst`") && refused.header("retry-after") == Some("1"), "{refused:?}");
    }
    let mut let_in = 2;
    for _ in 0..4 {
        app.advance(1);
        let_in += [call(&app, &key).await, call(&app, &key).await].iter().filter(|it| it.status == 200).count();
    }
    assert_eq!(let_in, 5);
    app.advance(1);
    let refused = call(&app, &key).await;
    assert!(refused.str("detail").contains("`day`"), "{refused:?}");
    app.advance(86_400);
    assert_eq!(call(&app, &key).await.status, 200);
}

/// Otherwise nobody could help a key that used up its month.
#[tokio::test]
async fn another_window_counts_anew_and_is_not_shared_with_the_one_before() {
    let app = TestApp::with_people().await;
    let owner = app.profile(app.token("admin")).await.str("id");
    let limits =
        |limit: u32, secs: u32| json!([{ "name": "team", "limit": limit, "windowSecs": secs, "shared": true }]);
    let day = key(&app, json!({ "owner": owner, "rateLimits": limits(1, 86_400) })).await;
    let burst = key(&app, json!({ "owner": owner, "rateLimits": limits(100, 1) })).await;

    assert_eq!(
        [call(&app, &day).await.status, call(&app, &burst).await.status, call(&app, &day).await.status],
        [200, 200, 429]
    );
    change(&app, &day, json!({ "rateLimits": limits(1, 60) })).await;
    assert_eq!([call(&app, &day).await.status, call(&app, &day).await.status], [200, 429]);
    app.advance(60);
    assert_eq!(call(&app, &day).await.status, 200);
}

#[tokio::test]
async fn what_one_limit_refuses_the_others_do_not_count() {
    let app = TestApp::with_people().await;
    let limits =
        json!([{ "name": "short", "limit": 5, "windowSecs": 20 }, { "name": "long", "limit": 2, "windowSecs": 60 }]);
    let key = key(&app, json!({ "rateLimits": limits })).await;
    for _ in 0..10 {
        call(&app, &key).await;
    }

    let refused = call(&app, &key).await;

    assert!(refused.header("ratelimit").is_some_and(|it| it.starts_with("\"short\";r=2;")), "{refused:?}");
}

#[tokio::test]
async fn a_limit_may_be_for_reads_or_for_writes_alone() {
    let app = TestApp::with_people().await;
    let limits = json!([
        { "name": "writes", "limit": 1, "windowSecs": 60, "calls": "writes" },
        { "name": "reads", "limit": 2, "windowSecs": 60, "calls": "reads" },
    ]);
    let key = key(&app, json!({ "rateLimits": limits })).await;

    assert_eq!([write(&app, &key).await.status, write(&app, &key).await.status], [403, 429]);
    assert_eq!(
        [call(&app, &key).await.status, call(&app, &key).await.status, call(&app, &key).await.status],
        [200, 200, 429]
    );
}

#[tokio::test]
async fn keys_of_one_owner_share_what_is_said_to_be_shared_and_nobody_elses() {
    let app = TestApp::with_people().await;
    let (one, other) = (app.profile(app.token("admin")).await.str("id"), app.person("boss", "admin").await.0);
    let limits = |shared: bool| json!([{ "name": "team", "limit": 3, "windowSecs": 60, "shared": shared }]);
    let [first, second, alone] =
        [true, true, false].map(|shared| key(&app, json!({ "owner": one, "rateLimits": limits(shared) })));
    let (first, second, alone) = (first.await, second.await, alone.await);
    let theirs = key(&app, json!({ "owner": other, "rateLimits": limits(true) })).await;

    assert_eq!(
        [call(&app, &first).await.status, call(&app, &second).await.status, call(&app, &first).await.status],
        [200; 3]
    );
    assert_eq!([call(&app, &first).await.status, call(&app, &second).await.status], [429; 2]);
    assert_eq!([call(&app, &alone).await.status, call(&app, &theirs).await.status], [200; 2]);
}

#[tokio::test]
async fn limits_and_credits_that_make_no_sense_are_told_with_their_place() {
    let app = TestApp::with_people().await;
    let limit = |name: &str| json!({ "name": name, "limit": 1, "windowSecs": 1 });
    let make = async |mut body: Value| {
        body["name"] = "x".into();
        body["scopes"] = json!(["users:read"]);
        app.operator(Method::POST, KEYS).json(&body).send().await
    };
    let at = |pointer: &str, code: &str| (pointer.to_owned(), code.to_owned());

    let named = ["A", "key", "a", "a", "a/b", ""].map(limit);
    let names = make(json!({ "rateLimits": named })).await;
    let name = |index: usize, code: &str| at(&format!("/rateLimits/{index}/name"), code);
    assert_eq!(
        faults(&names),
        [name(0, "pattern"), name(1, "reserved"), name(3, "duplicate"), name(4, "pattern"), name(5, "pattern")]
    );
    let shared = make(json!({ "rateLimits": [{ "name": "a", "limit": 1, "windowSecs": 1, "shared": true }] })).await;
    assert_eq!(faults(&shared), [at("/rateLimits/0/shared", "not-allowed")]);
    assert_eq!(make(json!({ "rateLimits": vec![limit("a"); 9] })).await.refusal(), (422, "validation-failed"));
    assert_eq!(faults(&make(json!({ "credits": {} })).await), [at("/credits/remaining", "required")]);
    let day = json!({ "credits": { "refill": { "amount": 1, "interval": "daily", "day": 3 } } });
    assert_eq!(faults(&make(day).await), [at("/credits/refill/day", "not-allowed")]);
    for wrong in [
        json!({ "remaining": -1 }),
        json!({ "remaining": 1.5 }),
        json!({ "remaining": 1_000_000_000_001_u64 }),
        json!({ "remaining": 1, "refill": { "amount": 0, "interval": "daily" } }),
        json!({ "remaining": 1, "refill": { "amount": 1, "interval": "hourly" } }),
        json!({ "remaining": 1, "refill": { "amount": 1, "interval": "monthly", "day": 32 } }),
        json!([]),
    ] {
        assert_eq!(make(json!({ "credits": wrong })).await.refusal(), (422, "validation-failed"), "{wrong}");
    }
}

#[tokio::test]
async fn fifty_at_once_spend_exactly_what_is_there_and_then_the_key_is_exhausted() {
    let app = TestApp::with_people().await;
    let key = key(&app, json!({ "credits": { "remaining": 20 } })).await;

    let answers = join_all((0..50).map(|_| call(&app, &key))).await;

    let refused: Vec<_> = answers.iter().filter(|it| it.status != 200).collect();
    assert_eq!(refused.len(), 30);
    assert!(refused.iter().all(|it| it.refusal() == (403, "api-key-exhausted") && it.body.get("refillsAt").is_none()));
    let now = shown(&app, &key).await;
    assert_eq!((&now["state"], &now["credits"]), (&json!("exhausted"), &json!({ "remaining": 0 })));
    let list = app.operator(Method::GET, KEYS).send().await;
    assert_eq!(list.body["data"][0]["state"], "exhausted");

    let more = change(&app, &key, json!({ "credits": { "remaining": 2 } })).await;
    assert_eq!((&more.body["state"], &more.body["credits"]["remaining"]), (&json!("active"), &json!(2)));
    assert_eq!(
        [call(&app, &key).await.status, call(&app, &key).await.status, call(&app, &key).await.status],
        [200, 200, 403]
    );
    assert_eq!(change(&app, &key, json!({ "credits": null })).await.body.get("credits"), None);
    assert_eq!([call(&app, &key).await.status, call(&app, &key).await.status], [200, 200]);
}

#[tokio::test]
async fn what_the_key_or_its_limits_refuse_costs_no_credits() {
    let app = TestApp::with_people().await;
    let limit = json!([{ "name": "burst", "limit": 2, "windowSecs": 60 }]);
    let key =
        key(&app, json!({ "credits": { "remaining": 10 }, "rateLimits": limit, "allowedIps": ["192.0.2.1"] })).await;
    let from =
        |address: &'static str| app.ask(Method::GET, USERS).from(address).header("x-api-key", &key.secret).send();

    for _ in 0..5 {
        assert_eq!(from("192.0.2.2").await.refusal(), (403, "api-key-address-refused"));
    }
    assert_eq!(remaining(&app, &key).await, 10);
    for _ in 0..5 {
        from("192.0.2.1").await;
    }
    assert_eq!(remaining(&app, &key).await, 8);
}

#[tokio::test]
async fn credits_are_filled_up_by_the_day_and_the_month_and_say_when() {
    let app = TestApp::with_people().await;
    let daily = json!({ "refill": { "amount": 2, "interval": "daily" } });
    let key = key(&app, json!({ "credits": daily })).await;
    assert_eq!(shown(&app, &key).await["credits"]["refillsAt"], "2026-01-03T00:00:00.000Z");

    assert_eq!([call(&app, &key).await.status, call(&app, &key).await.status], [200, 200]);
    let refused = call(&app, &key).await;
    assert_eq!(
        (refused.refusal(), refused.str("refillsAt")),
        ((403, "api-key-exhausted"), "2026-01-03T00:00:00.000Z".to_owned())
    );
    app.advance(75_354);
    assert_eq!(call(&app, &key).await.status, 403);
    app.advance(1);
    assert_eq!((remaining(&app, &key).await, &shown(&app, &key).await["state"]), (json!(2), &json!("active")));
    assert_eq!(
        [call(&app, &key).await.status, call(&app, &key).await.status, call(&app, &key).await.status],
        [200, 200, 403]
    );

    // What is left stays where only the refill changes; and who has more keeps it.
    let monthly = json!({ "credits": { "remaining": 7, "refill": { "amount": 3, "interval": "monthly", "day": 31 } } });
    change(&app, &key, monthly).await;
    let changed =
        change(&app, &key, json!({ "credits": { "refill": { "amount": 5, "interval": "monthly", "day": 31 } } })).await;
    assert_eq!(
        (&changed.body["credits"]["remaining"], &changed.body["credits"]["refillsAt"]),
        (&json!(7), &json!("2026-01-31T00:00:00.000Z"))
    );
    app.advance(30 * 86_400);
    let now = shown(&app, &key).await;
    assert_eq!(
        (&now["credits"]["remaining"], &now["credits"]["refillsAt"]),
        (&json!(7), &json!("2026-02-28T00:00:00.000Z"))
    );
}

#[tokio::test]
async fn what_is_left_is_left_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let app = TestApp::on_disk(folder.path(), &[]).await;
    let limits = json!([{ "name": "burst", "limit": 9, "windowSecs": 5, "calls": "reads" }]);
    let made = key(&app, json!({ "credits": { "remaining": 10 }, "rateLimits": limits })).await;
    let never =
        key(&app, json!({ "credits": { "remaining": 4, "refill": { "amount": 9, "interval": "daily" } } })).await;
    for _ in 0..3 {
        assert_eq!(call(&app, &made).await.status, 200);
    }
    let before = shown(&app, &made).await;
    app.app.close().await.expect("closed");
    drop(app);

    let app = TestApp::on_disk(folder.path(), &[]).await;

    let after = shown(&app, &made).await;
    assert_eq!((&before["credits"]["remaining"], &after["credits"]), (&json!(7), &before["credits"]));
    assert_eq!(after["rateLimits"], before["rateLimits"]);
    assert_eq!(call(&app, &made).await.status, 200);
    assert_eq!((remaining(&app, &made).await, remaining(&app, &never).await), (json!(6), json!(4)));
}

/// Rotating gives the same key another secret.
#[tokio::test]
async fn a_key_that_is_rotated_has_what_it_had_left() {
    let app = TestApp::with_people().await;
    let made = key(&app, json!({ "credits": { "remaining": 3 } })).await;
    assert_eq!(call(&app, &made).await.status, 200);

    let rotated =
        app.operator(Method::PUT, &format!("{}/rotate", made.path)).json(&json!({ "graceSecs": 60 })).send().await;

    let new = Made { path: made.path.clone(), secret: rotated.str("secret") };
    assert_eq!(rotated.body["key"]["credits"]["remaining"], 2);
    assert_eq!(
        [call(&app, &made).await.status, call(&app, &new).await.status, call(&app, &new).await.status],
        [200, 200, 403]
    );
}

/// Otherwise its bounds would be worth nothing.
#[tokio::test]
async fn a_key_with_credits_or_named_limits_frees_itself_by_no_way() {
    let app = TestApp::with_people().await;
    for bound in [
        json!({ "credits": { "remaining": 50 } }),
        json!({ "rateLimits": [{ "name": "a", "limit": 50, "windowSecs": 9 }] }),
    ] {
        let mut body = json!({ "scopes": ["keys:write"] });
        body.as_object_mut().expect("an object").extend(bound.as_object().expect("an object").clone());
        let bounded = key(&app, body).await;
        let with_key =
            |method, path: &str, body: Value| app.ask(method, path).bearer(&bounded.secret).json(&body).send();

        let freed = with_key(Method::PATCH, &bounded.path, json!({ "credits": null, "rateLimits": [] })).await;
        let twin = with_key(Method::POST, KEYS, json!({ "name": "twin", "scopes": ["keys:write"] })).await;
        let other = key(&app, json!({ "scopes": ["keys:write"] })).await;
        let taken = with_key(Method::PUT, &format!("{}/rotate", other.path), json!({ "graceSecs": 60 })).await;

        assert_eq!([freed.refusal(), twin.refusal(), taken.refusal()], [(403, "permission-not-held"); 3], "{bound}");
        let itself = with_key(Method::PUT, &format!("{}/rotate", bounded.path), json!({})).await;
        assert_eq!(itself.status, 200, "{itself:?}");
    }
}

#[tokio::test]
async fn people_bound_their_own_keys_too() {
    let app = TestApp::with_people().await;
    let limits = json!([{ "name": "team", "limit": 5, "windowSecs": 60, "shared": true }]);
    let body = json!({ "name": "x", "scopes": ["records:read"], "password": PASSWORD, "credits": { "remaining": 1 }, "rateLimits": limits });

    let made = app.as_role("user", Method::POST, "/api/v1/auth/keys").json(&body).send().await;

    assert_eq!((made.status, &made.body["key"]["credits"]["remaining"]), (201, &json!(1)), "{made:?}");
    let secret = made.str("secret");
    let call = || app.ask(Method::GET, "/api/v1/collections/none/records").header("x-api-key", &secret).send();
    assert_eq!([call().await.status, call().await.status], [404, 403]);
}

async fn verify(app: &TestApp, body: Value) -> Reply {
    app.as_role("admin", Method::POST, &format!("{KEYS}/verify")).json(&body).send().await
}

#[tokio::test]
async fn a_service_has_keys_judged_with_every_verdict_and_only_what_is_valid_costs() {
    let app = TestApp::with_people().await;
    let limits = json!([{ "name": "burst", "limit": 2, "windowSecs": 60 }]);
    let made =
        key(&app, json!({ "credits": { "remaining": 10 }, "rateLimits": limits, "allowedIps": ["192.0.2.0/24"] }))
            .await;
    let judge = async |more: Value| {
        let mut body = json!({ "secret": made.secret, "cost": 4 });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let reply = verify(&app, body).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply
    };
    let verdict = |reply: &Reply| (reply.body["valid"].as_bool().expect("a word"), reply.str("verdict"));
    let refused = |word: &str| (false, word.to_owned());

    assert_eq!(verdict(&judge(json!({ "permissions": ["users:write"] })).await), refused("insufficient-permissions"));
    assert_eq!(verdict(&judge(json!({ "address": "198.51.100.1" })).await), refused("address-refused"));
    assert_eq!(verdict(&judge(json!({ "cost": 11 })).await), refused("exhausted"));
    assert_eq!(remaining(&app, &made).await, 10);
    let valid = judge(json!({ "permissions": ["users:read"], "address": "192.0.2.7" })).await;
    assert_eq!((verdict(&valid), &valid.body["credits"]["remaining"]), ((true, "valid".to_owned()), &json!(6)));
    assert_eq!(valid.body["rateLimits"], json!([{ "name": "burst", "limit": 2, "remaining": 1, "resetsInSecs": 60 }]));
    assert!(!valid.text.contains(&made.secret) && valid.body["key"]["name"] == "test", "{valid:?}");
    // Reads nothing, costs nothing.
    assert_eq!(judge(json!({ "cost": 0 })).await.body["credits"]["remaining"], 6);
    let spent = judge(json!({})).await;
    assert_eq!((verdict(&spent), &spent.body["retryAfterSecs"]), (refused("rate-limited"), &json!(60)));
    assert_eq!(remaining(&app, &made).await, 6);

    change(&app, &made, json!({ "disabled": true })).await;
    assert_eq!(verdict(&judge(json!({})).await), refused("disabled"));
    change(&app, &made, json!({ "disabled": false, "expiresAt": "2026-01-02T03:05:00Z" })).await;
    app.advance(60);
    assert_eq!(verdict(&judge(json!({})).await), refused("expired"));
    app.operator(Method::DELETE, &format!("{}/revoke", made.path)).send().await;
    for secret in [made.secret.as_str(), "sk_live_x", "no key"] {
        assert_eq!(verdict(&verify(&app, json!({ "secret": secret })).await), refused("not-found"), "{secret}");
    }
    let used = app.operator(Method::GET, &format!("{}/usage", made.path)).send().await;
    assert!(used.text.contains("verify_api_key"), "{used:?}");
}

#[tokio::test]
async fn who_may_not_see_keys_verifies_none_and_what_makes_no_sense_is_told() {
    let app = TestApp::with_people().await;
    let made = key(&app, json!({})).await;
    let path = format!("{KEYS}/verify");
    let body = json!({ "secret": made.secret });

    for role in ["user", "readonly"] {
        assert_eq!(app.as_role(role, Method::POST, &path).json(&body).send().await.status, 403);
    }
    assert_eq!(app.ask(Method::POST, &path).json(&body).send().await.status, 401);
    let wrong = json!({ "secret": made.secret, "permissions": ["nothing:read", "users"], "address": "here" });
    let wrong = verify(&app, wrong).await;
    let pointers: Vec<_> = faults(&wrong).into_iter().map(|it| it.0).collect();
    assert_eq!(pointers, ["/permissions/0", "/permissions/1", "/address"]);
    for wrong in [
        json!({}),
        json!({ "secret": 1 }),
        json!({ "secret": made.secret, "cost": -1 }),
        json!({ "secret": "x".repeat(201) }),
    ] {
        assert_eq!(verify(&app, wrong).await.refusal(), (422, "validation-failed"));
    }
}

#[tokio::test]
async fn explain_says_of_an_exhausted_key_that_it_is() {
    let app = TestApp::with_people().await;
    let made = key(&app, json!({ "credits": { "remaining": 1 } })).await;
    assert_eq!(call(&app, &made).await.status, 200);
    let id = made.path.rsplit('/').next().expect("an id");

    let body = json!({ "caller": { "keyId": id }, "method": "GET", "path": "/admin/users" });
    let told = app.operator(Method::POST, "/api/v1/admin/explain").json(&body).send().await;

    assert_eq!((told.status, told.str("decidedBy")), (200, "key".to_owned()), "{told:?}");
    assert!(told.str("detail").contains("too few credits left"), "{told:?}");
}
