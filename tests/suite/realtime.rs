//! Live updates, over real sockets: who hears what, and who does not.
use poem::http::Method;
use serde_json::{Value, json};

use super::{AT_STOP, Live};

fn posts(rules: &Value) -> Value {
    json!({
        "name": "posts",
        "fields": [
            { "name": "title", "type": "text" },
            { "name": "published", "type": "bool" },
            { "name": "views", "type": "integer" },
            { "name": "score", "type": "number" },
            { "name": "tags", "type": "select", "values": ["a", "b"], "multiple": true },
            { "name": "extra", "type": "json" },
            { "name": "at", "type": "datetime" },
            { "name": "author", "type": "relation", "collection": "users" },
            { "name": "note", "type": "text", "hidden": true },
        ],
        "rules": rules,
    })
}

fn open() -> Value {
    json!({ "list": "true", "view": "true" })
}

fn published() -> Value {
    json!({ "list": "published", "view": "published" })
}

#[tokio::test]
async fn making_changing_and_deleting_is_told_as_a_read_would_show_it() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket().await;
    let answer = socket.subscribe("collections/posts").await;
    assert_eq!(answer["subscribed"], 1);
    let epoch = answer["id"].as_str().and_then(|it| it.split_once('.')).expect("an id").0.to_owned();

    let body = json!({
        "title": "q\"ü\n", "published": true, "views": i64::MAX, "score": 1.0, "tags": ["b", "a"],
        "extra": { "z": [1, 2.5, null], "a": "x" }, "at": "2026-01-02T03:04:05Z", "note": "secret",
    });
    let id = live.make("posts", &body).await;
    let shown = live.app.ask(Method::GET, &format!("/api/v1/collections/posts/records/{id}")).send().await;
    let made = socket.hear().await;
    assert_eq!(made["record"].to_string(), shown.body.to_string());
    assert_eq!((&made["type"], &made["topic"]), (&json!("created"), &json!("collections/posts")));
    assert_eq!(made["id"], format!("{epoch}.{}", made["seq"]), "{made}");
    assert_eq!(made["subscription"], 1);

    let changed = live.app.as_role("admin", Method::PATCH, &format!("/api/v1/collections/posts/records/{id}"));
    let changed = changed.json(&json!({ "views": { "$increment": -1 }, "note": "other" })).send().await;
    let told = socket.hear().await;
    assert_eq!((&told["type"], &told["record"]["views"]), (&json!("updated"), &changed.body["views"]));
    assert_eq!(told["record"]["updatedAt"], changed.body["updatedAt"]);
    assert!(!told.to_string().contains("other") && !made.to_string().contains("secret"), "hidden fields stay hidden");

    live.remove("posts", &id).await;
    let gone = socket.hear().await;
    assert_eq!((&gone["type"], &gone["record"]), (&json!("deleted"), &json!({ "id": id })));
    assert_eq!(gone["seq"].as_i64(), made["seq"].as_i64().map(|it| it + 2));
}

#[tokio::test]
async fn an_admin_hears_hidden_fields_too() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let (mut admin, mut user) = (live.socket_of("admin").await, live.socket_of("user").await);
    admin.subscribe("collections/posts").await;
    user.subscribe("collections/posts").await;

    live.make("posts", &json!({ "title": "a", "note": "secret" })).await;

    assert_eq!(admin.hear().await["record"]["note"], "secret");
    assert_eq!(user.hear().await["record"].get("note"), None);
}

/// What one may not see, one is not told of: not even that there was something.
#[tokio::test]
async fn only_what_the_rule_lets_through_is_told() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let (mut socket, mut admin) = (live.socket().await, live.socket_of("admin").await);
    socket.subscribe("collections/posts").await;
    admin.subscribe("collections/posts").await;

    let draft = live.make("posts", &json!({ "title": "draft", "published": false })).await;
    live.change("posts", &draft, &json!({ "title": "draft 2" })).await;
    live.remove("posts", &draft).await;
    live.make("posts", &json!({ "title": "live", "published": true })).await;

    assert_eq!(socket.event().await, ("created".to_owned(), "live".to_owned()));
    let kinds = [admin.event().await, admin.event().await, admin.event().await, admin.event().await].map(|it| it.0);
    assert_eq!(kinds, ["created", "updated", "deleted", "created"]);
}

/// Whether it is gone or only hidden, is told to nobody.
#[tokio::test]
async fn a_record_that_leaves_the_view_is_told_as_deleted_by_its_id_and_one_that_enters_is_told_whole() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;
    let id = live.make("posts", &json!({ "title": "a", "published": true })).await;
    socket.hear().await;

    live.change("posts", &id, &json!({ "title": "secret now", "published": false })).await;
    let left = socket.hear().await;
    live.change("posts", &id, &json!({ "title": "still" })).await;
    live.change("posts", &id, &json!({ "published": true })).await;
    let entered = socket.hear().await;

    assert_eq!((&left["type"], &left["record"]), (&json!("deleted"), &json!({ "id": id })));
    assert_eq!((&entered["type"], &entered["record"]["title"]), (&json!("updated"), &json!("still")));
}

#[tokio::test]
async fn a_filter_narrows_what_is_told_and_its_subscription_says_which() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket().await;
    socket.subscribe_where("collections/posts", "views > 10 && 'a' in tags").await;
    let second = socket.subscribe_where("collections/posts", "title == 'b' || extra.x == 1").await;
    assert_eq!(second["subscribed"], 2);

    live.make("posts", &json!({ "title": "none", "views": 11, "tags": ["b"] })).await;
    live.make("posts", &json!({ "title": "first", "views": 11, "tags": ["b", "a"] })).await;
    live.make("posts", &json!({ "title": "second", "extra": { "x": 1 } })).await;

    let first = socket.hear().await;
    assert_eq!((&first["subscription"], &first["record"]["title"]), (&json!(1), &json!("first")));
    let second = socket.hear().await;
    assert_eq!((&second["subscription"], &second["record"]["title"]), (&json!(2), &json!("second")));

    socket.say(&json!({ "unsubscribe": 1 })).await;
    assert_eq!(socket.hear().await, json!({ "unsubscribed": [1] }));
    live.make("posts", &json!({ "title": "unheard", "views": 11, "tags": ["a"] })).await;
    live.make("posts", &json!({ "title": "b" })).await;
    assert_eq!(socket.event().await.1, "b");
}

#[tokio::test]
async fn one_record_can_be_watched_under_the_rule_for_reading_it() {
    let live = Live::start().await;
    live.collection(&posts(&json!({ "view": "true", "list": null }))).await;
    let (one, other) = (live.make("posts", &json!({})).await, live.make("posts", &json!({})).await);
    let mut socket = live.socket().await;
    socket.say(&json!({ "subscribe": "collections/posts" })).await;
    assert_eq!(socket.hear().await["problem"]["code"], "not-signed-in", "listing is for admins");
    let topic = format!("collections/posts/{one}");
    socket.subscribe(&topic).await;

    live.change("posts", &other, &json!({ "title": "other" })).await;
    live.change("posts", &one, &json!({ "title": "one" })).await;

    let told = socket.hear().await;
    assert_eq!((&told["topic"], &told["record"]["title"]), (&json!(topic), &json!("one")));
}

#[tokio::test]
async fn what_may_not_be_heard_or_understood_is_refused_as_a_read_would_be() {
    let live = Live::start().await;
    live.collection(&posts(&json!({ "list": null }))).await;
    let mut socket = live.socket_of("user").await;

    for (message, code) in [
        (json!({ "subscribe": "collections/posts" }), "not-allowed"),
        (json!({ "subscribe": "collections/posts/*" }), "validation-failed"),
        (json!({ "subscribe": "collections/posts/" }), "validation-failed"),
        (json!({ "subscribe": "collections/nothing" }), "not-found"),
        (json!({ "subscribe": "posts" }), "validation-failed"),
        (json!({ "subscribe": format!("collections/posts/{}", "x".repeat(1_000)) }), "validation-failed"),
        (json!({ "unsubscribe": 7 }), "validation-failed"),
        (json!({ "resume": "seven" }), "validation-failed"),
        (json!({ "auth": "nonsense" }), "token-invalid"),
        (json!({ "hello": 1 }), "validation-failed"),
    ] {
        socket.say(&message).await;
        let answer = socket.hear().await;
        assert_eq!(answer["problem"]["code"], code, "{message}: {answer}");
        assert!(answer["problem"]["instance"].as_str().is_some_and(|it| !it.is_empty()));
    }
    let mut admin = live.socket_of("admin").await;
    admin.say(&json!({ "subscribe": "collections/posts", "filter": "titel == 'a'" })).await;
    let answer = admin.hear().await;
    assert_eq!(answer["problem"]["errors"][0]["pointer"], "/filter", "{answer}");
}

/// A field that one may not see is not there, in a filter too.
#[tokio::test]
async fn a_filter_over_a_hidden_field_is_refused() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket_of("user").await;

    socket.say(&json!({ "subscribe": "collections/posts", "filter": "note == 'a'" })).await;
    let hidden = socket.hear().await["problem"].to_string().replace("note", "it");
    socket.say(&json!({ "subscribe": "collections/posts", "filter": "nope == 'a'" })).await;
    let missing = socket.hear().await["problem"].to_string().replace("nope", "it");

    assert_eq!(hidden, missing);
}

#[tokio::test]
async fn signing_in_over_the_socket_opens_what_is_ones_own() {
    let live = Live::start().await;
    let own = json!({ "list": "author == auth.id" });
    live.collection(&posts(&own)).await;
    let me = live.app.profile(live.app.token("user")).await.str("id");
    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;

    live.make("posts", &json!({ "title": "unheard", "author": me })).await;
    socket.say(&json!({ "auth": live.app.token("user") })).await;
    let answer = socket.hear().await;
    assert_eq!(answer["signedIn"], me.as_str(), "{answer}");
    live.make("posts", &json!({ "title": "nobody's" })).await;
    live.make("posts", &json!({ "title": "mine", "author": me })).await;

    assert_eq!(socket.event().await.1, "mine");
}

fn shared(rules: &Value) -> Value {
    let mut posts = posts(rules);
    posts["options"] = json!({ "presence": true });
    posts
}

#[tokio::test]
async fn whoever_says_that_they_are_there_sees_the_others_who_do_and_is_seen_by_nobody_else() {
    let live = Live::start().await;
    live.collection(&shared(&open())).await;
    let post = live.make("posts", &json!({ "title": "a" })).await;
    let topic = format!("collections/posts/{post}");
    let mut silent = live.socket_of("user").await;
    silent.subscribe(&topic).await;
    let (mut ada, mut grace) = (live.socket_of("admin").await, live.socket_of("user").await);
    ada.subscribe("collections/posts").await;
    ada.subscribe(&topic).await;
    grace.subscribe(&topic).await;

    ada.say(&json!({ "presence": {}, "subscription": 2 })).await;
    let alone = ada.hear().await;
    assert_eq!(alone["present"].as_array().map(Vec::len), Some(1), "{alone}");
    grace.say(&json!({ "presence": { "at": 7 }, "subscription": 1 })).await;
    let both = grace.hear().await;
    assert_eq!((both["present"].as_array().map(Vec::len), &both["present"][1]["id"]), (Some(2), &both["you"]));

    let entered = ada.hear().await;
    let me = live.app.profile(live.app.token("user")).await.str("id");
    assert_eq!((&entered["subscription"], &entered["entered"]["user"]), (&json!(2), &json!(me)));
    assert_eq!((&entered["entered"]["id"], &entered["entered"]["state"]), (&both["you"], &json!({ "at": 7 })));
    grace.say(&json!({ "presence": { "at": 8 }, "subscription": 1 })).await;
    assert_eq!(ada.hear().await["changed"]["state"], json!({ "at": 8 }));
    drop(grace);
    assert_eq!(ada.hear().await, json!({ "subscription": 2, "left": { "id": both["you"] } }));
    ada.say(&json!({ "presence": null, "subscription": 2 })).await;
    assert_eq!(ada.hear().await, json!({ "subscription": 2, "present": null }));

    live.change("posts", &post, &json!({ "title": "b" })).await;
    assert_eq!(silent.event().await, ("updated".to_owned(), "b".to_owned()), "and nothing before");
}

/// Who is at a record tells that there is one.
#[tokio::test]
async fn nobody_is_at_a_record_that_they_do_not_see_or_no_longer_see() {
    let live = Live::start().await;
    live.collection(&shared(&published())).await;
    let hidden = live.make("posts", &json!({ "title": "a" })).await;
    let shown = live.make("posts", &json!({ "title": "b", "published": true })).await;
    let mut socket = live.socket_of("user").await;
    for id in [&hidden, &shown] {
        socket.subscribe(&format!("collections/posts/{id}")).await;
    }
    let mut admin = live.socket_of("admin").await;
    admin.subscribe(&format!("collections/posts/{shown}")).await;

    socket.say(&json!({ "presence": {}, "subscription": 1 })).await;
    assert_eq!(socket.hear().await["problem"]["code"], "not-found");
    socket.say(&json!({ "presence": {}, "subscription": 2 })).await;
    assert_eq!(socket.hear().await["present"].as_array().map(Vec::len), Some(1));
    admin.say(&json!({ "presence": {}, "subscription": 1 })).await;
    assert_eq!(admin.hear().await["present"].as_array().map(Vec::len), Some(2));
    assert!(socket.hear().await["entered"].is_object());

    live.change("posts", &shown, &json!({ "published": false })).await;
    assert_eq!(socket.event().await.0, "deleted");
    assert_eq!(socket.hear().await, json!({ "subscription": 2, "present": null }));
    assert_eq!(admin.event().await.0, "updated");
    assert!(admin.hear().await["left"].is_object());
}

#[tokio::test]
async fn being_there_ends_with_who_one_is_and_with_the_option_and_is_refused_without_it() {
    let live = Live::start().await;
    live.collection(&shared(&open())).await;
    let (mut socket, mut other) = (live.socket_of("user").await, live.socket_of("admin").await);
    for it in [&mut socket, &mut other] {
        it.subscribe("collections/posts").await;
        it.say(&json!({ "presence": {}, "subscription": 1 })).await;
        assert!(it.hear().await["present"].is_array());
    }
    assert!(socket.hear().await["entered"].is_object());

    socket.say(&json!({ "auth": live.app.token("readonly") })).await;
    assert!(socket.hear().await["signedIn"].is_string());
    assert_eq!(socket.hear().await, json!({ "subscription": 1, "present": null }));
    assert!(other.hear().await["left"].is_object());

    let path = "/api/v1/collections/posts";
    let off = live.app.as_role("admin", Method::PATCH, path).json(&json!({ "options": { "presence": false } }));
    assert_eq!(off.send().await.status, 200);
    while other.hear().await != json!({ "subscription": 1, "present": null }) {}
    other.say(&json!({ "presence": {}, "subscription": 1 })).await;
    let refused = loop {
        let heard = other.hear().await;
        if heard["problem"].is_object() {
            break heard;
        }
    };
    assert_eq!(refused["problem"]["errors"][0]["code"], "not-offered", "{refused}");
}

#[tokio::test]
async fn what_a_client_says_of_itself_and_how_many_are_there_is_bounded() {
    let live = Live::start().await;
    live.collection(&shared(&open())).await;
    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;
    for (presence, code) in [
        (json!({ "presence": "here", "subscription": 1 }), "type"),
        (json!({ "presence": { "a": "x".repeat(1_100) }, "subscription": 1 }), "too-long"),
        (json!({ "presence": {}, "subscription": 7 }), "unknown"),
    ] {
        socket.say(&presence).await;
        let refused = socket.hear().await;
        assert_eq!(refused["problem"]["errors"][0]["code"], code, "{refused}");
    }
    let mut crowd = Vec::new();
    for _ in 0..16 {
        let mut one = live.socket().await;
        one.subscribe("collections/posts").await;
        one.say(&json!({ "presence": {}, "subscription": 1 })).await;
        assert!(one.hear().await["you"].is_string());
        crowd.push(one);
    }

    socket.say(&json!({ "presence": {}, "subscription": 1 })).await;
    assert_eq!(socket.hear().await["problem"]["code"], "presence-limit-reached", "of one address");
    let mut known = live.socket_of("user").await;
    known.subscribe("collections/posts").await;
    known.say(&json!({ "presence": { "large": 12_345_678_901_234_567_890_u64 }, "subscription": 1 })).await;
    let entered = known.hear().await;
    assert_eq!(entered["present"][16]["state"]["large"], json!(12_345_678_901_234_567_890_u64), "{entered}");
    known.subscribe("collections/posts").await;
    known.say(&json!({ "presence": {}, "subscription": 2 })).await;
    assert_eq!(known.hear().await["problem"]["errors"][0]["code"], "conflict", "it is there once");
    known.say(&json!({ "presence": null, "subscription": 2 })).await;
    assert_eq!(known.hear().await, json!({ "subscription": 2, "present": null }), "each is answered");
}

/// Not one event more, from the very commit on.
#[tokio::test]
async fn who_signs_out_hears_nothing_more_and_is_told_so() {
    let live = Live::start().await;
    live.collection(&posts(&json!({ "list": "auth.signedIn" }))).await;
    let token = live.app.login("user@example.com", crate::support::PASSWORD).await.str("accessToken");
    let mut socket = live.try_socket(Some(&token)).await.expect("a socket");
    socket.subscribe("collections/posts").await;
    live.make("posts", &json!({ "title": "a" })).await;
    assert_eq!(socket.event().await.1, "a");

    let out = live.app.ask(Method::POST, "/api/v1/auth/logout").bearer(&token).send().await;
    assert_eq!(out.status, 204, "{out:?}");
    live.make("posts", &json!({ "title": "b" })).await;

    assert_eq!(socket.closed_in_silence().await, 4401);
}

#[tokio::test]
async fn a_token_that_ends_closes_its_socket_and_a_new_one_keeps_it_open() {
    let live = Live::start().await;
    live.collection(&posts(&json!({ "list": "auth.signedIn" }))).await;
    let (mut socket, mut renewed) = (live.socket_of("user").await, live.socket_of("user").await);
    socket.subscribe("collections/posts").await;
    renewed.subscribe("collections/posts").await;

    live.app.advance(600);
    let fresh = live.app.login("user@example.com", crate::support::PASSWORD).await.str("accessToken");
    renewed.say(&json!({ "auth": fresh })).await;
    assert!(renewed.hear().await["signedIn"].is_string());
    live.app.advance(301);
    live.make_as_operator("posts", &json!({ "title": "a" })).await;

    assert_eq!(renewed.event().await.1, "a");
    assert_eq!(socket.closed().await, 4401);
}

#[tokio::test]
async fn who_comes_back_hears_what_was_missed_in_order_and_then_what_is_new() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;
    live.make("posts", &json!({ "title": "0", "published": true })).await;
    let known = socket.hear().await["id"].as_str().expect("an id").to_owned();
    drop(socket);
    for number in 1..=450 {
        let body = json!({ "title": number.to_string(), "published": number % 3 != 0 });
        live.make("posts", &body).await;
    }

    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;
    socket.say(&json!({ "resume": known })).await;
    assert_eq!(socket.hear().await, json!({ "resumed": known }));
    live.make("posts", &json!({ "title": "new", "published": true })).await;

    for number in (1..=450).filter(|it| it % 3 != 0) {
        assert_eq!(socket.event().await.1, number.to_string());
    }
    assert_eq!(socket.event().await.1, "new");
}

/// Whoever keeps the id of the last event that they got after `resumed` has got all before it.
#[tokio::test]
async fn what_happens_while_someone_comes_back_is_told_after_what_they_missed() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let mut socket = live.socket().await;
    let mut last = socket.subscribe("collections/posts").await["id"].as_str().expect("an id").to_owned();
    drop(socket);
    let (is_over, body) = (std::cell::Cell::new(false), json!({ "title": "a", "published": true }));
    let (mut all, mut newest) = (std::collections::BTreeSet::new(), 0);
    let writing = async {
        while !is_over.get() {
            live.make("posts", &body).await;
        }
    };

    let coming = async {
        for _ in 0..25 {
            let mut socket = live.socket().await;
            socket.say(&json!({ "subscribe": "collections/posts" })).await;
            socket.say(&json!({ "resume": last })).await;
            let (mut is_caught_up, mut told) = (false, 0);
            while told < 5 {
                let message = socket.hear().await;
                is_caught_up |= message.get("resumed").is_some();
                let Some(seq) = message["seq"].as_i64() else { continue };
                all.insert(seq);
                if is_caught_up {
                    assert!(newest < seq, "{seq} comes after {newest}");
                    (newest, told) = (seq, told + 1);
                    last = message["id"].as_str().expect("an id").to_owned();
                }
            }
        }
        is_over.set(true);
    };
    tokio::join!(writing, coming);

    let first = all.first().copied().expect("an event");
    assert_eq!(all.range(..=newest).count(), usize::try_from(newest - first + 1).expect("some"), "nothing is left out");
}

/// The log knows what records once were, and whoever names an old event may never have been let to see that.
#[tokio::test]
async fn who_comes_back_hears_of_each_record_what_is_still_so() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let mut socket = live.socket().await;
    let begin = socket.subscribe("collections/posts").await["id"].as_str().expect("an id").to_owned();
    let mut ids = Vec::new();
    for title in ["withdrawn", "deleted", "changed"] {
        ids.push(live.make_as_operator("posts", &json!({ "title": title, "published": true })).await);
    }
    let path = |id: &str| format!("/api/v1/collections/posts/records/{id}");
    let app = &live.app;
    app.operator(Method::PATCH, &path(&ids[0])).json(&json!({ "published": false })).send().await;
    app.operator(Method::DELETE, &path(&ids[1])).send().await;
    app.operator(Method::PATCH, &path(&ids[2])).json(&json!({ "title": "now" })).send().await;

    let mut again = live.socket().await;
    again.subscribe("collections/posts").await;
    again.say(&json!({ "resume": begin })).await;
    again.hear().await;

    let mut told = Vec::new();
    for _ in 0..3 {
        let event = again.hear().await;
        told.push((event["type"].clone(), event["record"]["id"].clone(), event["record"]["title"].clone()));
    }
    let gone = |id: &String| (json!("deleted"), json!(id), Value::Null);
    assert_eq!(told, [gone(&ids[0]), gone(&ids[1]), (json!("updated"), json!(ids[2]), json!("now"))]);
    again.say(&json!({ "resume": 0 })).await;
    assert_eq!(again.hear().await["resumed"], format!("{}.0", begin.split_once('.').expect("an id").0));
    assert_eq!(again.hear().await["type"], "deleted", "a number is one of the present log");
}

#[tokio::test]
async fn who_asks_for_what_is_not_kept_is_told_to_read_again() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket().await;
    let now = socket.subscribe("collections/posts").await["id"].as_str().expect("an id").to_owned();
    let epoch = now.split_once('.').expect("an id").0;
    live.make("posts", &json!({ "title": "a" })).await;
    socket.hear().await;

    for id in ["abc.1".to_owned(), format!("{epoch}.99999")] {
        socket.say(&json!({ "resume": id })).await;
        socket.hear().await;
        let gap = socket.hear().await;
        assert_eq!((&gap["type"], &gap["id"]), (&json!("gap"), &json!(now)), "{id}");
    }
    live.make("posts", &json!({ "title": "b" })).await;
    assert_eq!(socket.event().await.1, "b", "and goes on from now");
}

/// Its records have other fields then, and others may see them.
#[tokio::test]
async fn a_change_of_the_collection_is_told_as_a_gap_and_its_end_as_an_end() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket().await;
    let known = socket.subscribe("collections/posts").await["id"].as_str().expect("an id").to_owned();
    live.make("posts", &json!({ "title": "a", "note": "secret" })).await;
    assert_eq!(socket.event().await.1, "a");

    let path = "/api/v1/collections/posts";
    let fields = json!({ "fields": [{ "name": "note", "type": "text", "renamedFrom": "note" },
                                    { "name": "title", "type": "text" }] });
    let changed = live.app.as_role("admin", Method::PATCH, path).json(&fields).send().await;
    assert_eq!(changed.status, 200, "{changed:?}");
    live.make("posts", &json!({ "title": "b", "note": "open" })).await;
    let gap = socket.hear().await;
    assert_eq!((&gap["type"], &gap["subscription"]), (&json!("gap"), &json!(1)), "{gap}");
    assert_eq!(socket.hear().await["record"]["note"], "open");

    let mut other = live.socket().await;
    other.subscribe("collections/posts").await;
    other.say(&json!({ "resume": known })).await;
    other.hear().await;
    assert_eq!(other.hear().await["type"], "gap", "what was hidden then is not shown now");
    assert_eq!(other.event().await.1, "b");

    let dropped = live.app.as_role("admin", Method::DELETE, path).send().await;
    assert_eq!(dropped.status, 204, "{dropped:?}");
    let ended = socket.hear().await;
    assert_eq!((&ended["ended"], &ended["problem"]["code"]), (&json!(1), &json!("not-found")), "{ended}");
}

/// Nobody is told of an import of which they may see nothing.
#[tokio::test]
async fn an_import_is_a_gap_to_those_who_may_see_any_of_it() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let (mut socket, mut filtered) = (live.socket().await, live.socket().await);
    socket.subscribe("collections/posts").await;
    filtered.subscribe_where("collections/posts", "title == 'c'").await;
    let import = async |text: &str| {
        let path = "/api/v1/collections/posts/records/import";
        let ask = live.app.as_role("admin", Method::POST, path).header("content-type", "application/x-ndjson");
        let done = ask.raw(text.to_owned()).send().await;
        assert_eq!(done.status, 200, "{done:?}");
    };

    import(r#"{"title":"a","published":false}"#).await;
    import("{\"title\":\"b\",\"published\":true}\n{\"title\":\"c\"}").await;
    live.make("posts", &json!({ "title": "c", "published": true })).await;

    assert_eq!(socket.hear().await["type"], "gap");
    assert_eq!(socket.event().await.1, "c");
    assert_eq!(filtered.event().await.1, "c");
}

#[tokio::test]
async fn what_goes_or_changes_with_a_record_is_told_too() {
    let live = Live::start().await;
    let open = open();
    live.collection(&json!({ "name": "a", "fields": [{ "name": "title", "type": "text" }], "rules": open })).await;
    let relation = |target: &str, on_delete: &str| {
        json!([{ "name": "title", "type": "text" },
               { "name": "to", "type": "relation", "collection": target, "onDelete": on_delete }])
    };
    live.collection(&json!({ "name": "b", "fields": relation("a", "cascade"), "rules": open })).await;
    live.collection(&json!({ "name": "c", "fields": relation("b", "setNull"), "rules": open })).await;
    let a = live.make("a", &json!({})).await;
    let b = live.make("b", &json!({ "to": a })).await;
    let c = live.make("c", &json!({ "title": "c", "to": b })).await;
    let mut socket = live.socket().await;
    for name in ["a", "b", "c"] {
        socket.subscribe(&format!("collections/{name}")).await;
    }
    socket.subscribe_where("collections/c", &format!("to == '{b}'")).await;

    live.remove("a", &a).await;

    let mut told = Vec::new();
    for _ in 0..4 {
        let event = socket.hear().await;
        told.push(json!([event["subscription"], event["type"], event["record"]["id"], event["record"]["to"]]));
    }
    assert_eq!(told[0], json!([1, "deleted", a, null]));
    assert!(told.contains(&json!([2, "deleted", b, null])), "{told:?}");
    assert!(told.contains(&json!([3, "updated", c, null])), "{told:?}");
    assert!(told.contains(&json!([4, "deleted", c, null])), "it left the view: {told:?}");
}

/// Kept in the log by its id alone.
#[tokio::test]
async fn a_record_that_is_too_large_for_the_log_is_told_as_it_is() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let mut socket = live.socket().await;
    socket.subscribe_where("collections/posts", "title.startsWith('x')").await;
    let large = "x".repeat(200_000);

    let id = live.make("posts", &json!({ "title": large, "published": true })).await;
    assert_eq!(socket.event().await, ("created".to_owned(), large));
    live.change("posts", &id, &json!({ "published": false })).await;
    assert_eq!(socket.hear().await["type"], "deleted");
    live.change("posts", &id, &json!({ "published": true, "title": "x" })).await;
    assert_eq!(socket.event().await, ("updated".to_owned(), "x".to_owned()));
}

/// It is told to nobody as an event, and whoever comes back must not be cut off for it again and again.
#[tokio::test]
async fn a_record_that_has_no_room_in_a_queue_is_a_gap_also_to_who_comes_back() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket_of("admin").await;
    let begin = socket.subscribe("collections/posts").await["id"].as_str().expect("an id").to_owned();
    let half = "x".repeat(700_000);
    let id = live.make("posts", &json!({ "title": half })).await;
    assert_eq!(socket.event().await.0, "created");
    live.change("posts", &id, &json!({ "note": half })).await;
    assert_eq!(socket.hear().await["type"], "gap");

    let mut again = live.socket_of("admin").await;
    again.subscribe("collections/posts").await;
    again.say(&json!({ "resume": begin })).await;
    again.hear().await;

    // One for each of its events, which say the same of it.
    for _ in 0..2 {
        assert_eq!(again.event().await.0, "gap");
    }
    live.make("posts", &json!({ "title": "small" })).await;
    assert_eq!(again.event().await.1, "small");
    assert_eq!(socket.event().await.1, "small");
}

#[tokio::test]
async fn server_sent_events_tell_the_same_and_resume_by_the_last_id() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let query = "subscribe=collections/posts&filter=views%20%3E%201&subscribe=collections/posts";
    let mut events = live.events(query, "").await;
    assert!(events.text.contains("content-type: text/event-stream") && events.text.starts_with("HTTP/1.1 200"));
    let answers = events.hear(2).await;
    assert_eq!((&answers[0].1["subscribed"], &answers[1].1["subscribed"]), (&json!(1), &json!(2)));

    live.make("posts", &json!({ "title": "a", "published": true })).await;
    live.make("posts", &json!({ "title": "draft" })).await;
    let told = events.hear(3).await;
    assert_eq!(told[2].1["record"]["title"], "a");
    assert_eq!(told[2].1["id"], told[2].0);
    drop(events);
    live.make("posts", &json!({ "title": "b", "published": true, "views": 2 })).await;

    let resumed = format!("last-event-id: {}\r\n", told[2].0);
    let told = live.events(query, &resumed).await.hear(4).await;
    let subscriptions = told.iter().filter(|it| it.1["record"]["title"] == "b").map(|it| it.1["subscription"].clone());
    assert_eq!(subscriptions.collect::<Vec<_>>().len(), 2, "{told:?}");
}

#[tokio::test]
async fn lines_of_json_tell_the_same_and_resume_by_the_last_id() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let lines = "accept: application/x-ndjson\r\n";
    let mut stream = live.stream("subscribe=collections/posts", lines).await;
    assert!(stream.text.contains("content-type: application/x-ndjson") && stream.text.starts_with("HTTP/1.1 200"));
    let told = |text: &str| -> Vec<Value> {
        text.lines().filter_map(|it| serde_json::from_str(it).ok()).filter(Value::is_object).collect()
    };
    live.make("posts", &json!({ "title": "a", "published": true })).await;
    while told(&stream.text).len() < 2 {
        assert!(stream.more().await, "{}", stream.text);
    }

    let heard = told(&stream.text);
    drop(stream);
    live.make("posts", &json!({ "title": "b", "published": true })).await;
    let last = heard[1]["id"].as_str().expect("an id");
    let mut again = live.stream("subscribe=collections/posts", &format!("{lines}last-event-id: {last}\r\n")).await;
    while told(&again.text).len() < 2 {
        assert!(again.more().await, "{}", again.text);
    }

    assert_eq!((&heard[0]["subscribed"], &heard[1]["record"]["title"]), (&json!(1), &json!("a")));
    assert_eq!(told(&again.text)[1]["record"]["title"], "b");
}

#[tokio::test]
async fn whoever_asks_for_neither_protocol_is_told_which_there_are() {
    let live = Live::start().await;
    let path = "/api/v1/realtime";

    let neither = live.app.ask(Method::GET, path).send().await;
    assert_eq!(neither.refusal(), (426, "upgrade-required"));
    assert_eq!(neither.header("upgrade"), Some("websocket"));
    let ask = |query: &str| live.app.ask(Method::GET, &format!("{path}{query}")).header("accept", "text/event-stream");
    assert_eq!(ask("").send().await.refusal(), (422, "validation-failed"));
    assert_eq!(ask("?subscribe=collections/x").send().await.refusal(), (404, "not-found"));
    assert_eq!(ask("?filter=true&subscribe=collections/x").send().await.refusal(), (422, "validation-failed"));
    assert_eq!(ask("?subscrib=collections/x").send().await.refusal(), (422, "validation-failed"));
}

#[tokio::test]
async fn connections_and_subscriptions_have_limits() {
    let settings = [("REALTIME__CONNECTIONS_PER_ADDRESS_MAX", "3"), ("REALTIME__CONNECTIONS_PER_USER_MAX", "1")];
    let live = Live::around(crate::support::TestApp::with_people_and(&settings).await).await;
    live.collection(&posts(&open())).await;
    let refused = async |token: Option<&str>| match live.try_socket(token).await {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
        other => panic!("{:?}", other.map(|_| "let in")),
    };
    let mut user = live.socket_of("user").await;
    assert_eq!(refused(Some(live.app.token("user"))).await, 429);
    let (_second, mut third) = (live.socket().await, live.socket().await);
    assert_eq!(refused(None).await, 429);
    third.say(&json!({ "auth": live.app.token("user") })).await;
    assert_eq!(third.hear().await["problem"]["code"], "connection-limit-reached", "signing in is no way around");
    drop(third);

    for _ in 0..128 {
        user.subscribe("collections/posts").await;
    }
    user.say(&json!({ "subscribe": "collections/posts" })).await;
    assert_eq!(user.hear().await["problem"]["code"], "subscription-limit-reached");
    user.say(&json!({ "unsubscribe": "collections/posts" })).await;
    assert_eq!(user.hear().await["unsubscribed"].as_array().map(Vec::len), Some(128));
    user.subscribe("collections/posts").await;
    user.say(&json!({ "subscribe": "x".repeat(70_000) })).await;
    assert_eq!(user.closed().await, 1009);
}

/// It costs bounded memory, and nobody else waits for it.
#[tokio::test]
async fn a_client_that_reads_too_slowly_is_told_to_read_again() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let (mut slow, mut quick) = (live.socket().await, live.socket().await);
    slow.subscribe("collections/posts").await;
    quick.subscribe("collections/posts").await;
    let id = live.make("posts", &json!({ "title": "x".repeat(60_000) })).await;
    slow.hear().await;
    quick.hear().await;

    // More than the sockets of the system and the queue hold.
    for views in 1..=400 {
        live.change("posts", &id, &json!({ "views": views })).await;
        assert_eq!(quick.hear().await["record"]["views"], views);
    }
    let state = live.app.as_role("admin", Method::GET, "/api/v1/admin/realtime").send().await;
    let of_slow = &state.body["connections"][0];
    assert!(of_slow["dropped"].as_u64() > Some(0), "{of_slow}");
    assert!(of_slow["waitingBytes"].as_u64() <= Some(1 << 20), "{of_slow}");

    while slow.hear().await["type"] != "gap" {}
    live.change("posts", &id, &json!({ "views": 1_000 })).await;
    while slow.hear().await["record"]["views"] != 1_000 {}
}

#[tokio::test]
async fn admins_see_who_listens_and_nobody_else_does() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket_of("user").await;
    socket.subscribe("collections/posts").await;
    live.make("posts", &json!({})).await;
    socket.hear().await;

    let state = live.app.as_role("admin", Method::GET, "/api/v1/admin/realtime").send().await;
    let connection = &state.body["connections"][0];
    assert_eq!((&connection["kind"], &connection["address"]), (&json!("websocket"), &json!("127.0.0.1")), "{state:?}");
    assert_eq!(connection["user"], live.app.profile(live.app.token("user")).await.str("id").as_str());
    assert_eq!(connection["subscriptions"], json!(["collections/posts"]));
    assert_eq!((&connection["sent"], &state.body["totals"]["connections"]), (&json!(2), &json!(1)));
    assert_eq!(live.app.as_role("user", Method::GET, "/api/v1/admin/realtime").send().await.status, 403);
    drop(socket);
    loop {
        let state = live.app.as_role("admin", Method::GET, "/api/v1/admin/realtime").send().await;
        if state.body["totals"]["connections"] == 0 {
            assert_eq!(state.body["totals"]["sent"], 2, "{state:?}");
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_says_goodbye() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;
    let mut events = live.events("subscribe=collections/posts", "").await;

    let (closed, stopped) = tokio::join!(socket.closed(), live.stop());

    assert_eq!(closed, AT_STOP);
    assert!(stopped);
    while events.more().await {}
}

/// What was undone is told to nobody.
#[tokio::test]
async fn a_write_that_is_refused_leaves_no_event() {
    let live = Live::start().await;
    let mut definition = posts(&open());
    definition["fields"][0]["unique"] = json!(true);
    live.collection(&definition).await;
    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;

    live.make("posts", &json!({ "title": "a" })).await;
    let again = live.app.as_role("admin", Method::POST, "/api/v1/collections/posts/records");
    assert_eq!(again.json(&json!({ "title": "a" })).send().await.status, 409);
    live.make("posts", &json!({ "title": "b" })).await;

    let (first, second) = (socket.hear().await, socket.hear().await);
    assert_eq!((&first["record"]["title"], &second["record"]["title"]), (&json!("a"), &json!("b")));
    assert_eq!(second["seq"].as_i64(), first["seq"].as_i64().map(|it| it + 1));
}

/// What is in the bin is gone for those who listen, and that it is thrown away later is told to nobody.
#[tokio::test]
async fn the_bin_is_told_as_deleting_and_making() {
    let live = Live::start().await;
    let mut definition = posts(&published());
    definition["options"] = json!({ "softDelete": true });
    live.collection(&definition).await;
    let mut socket = live.socket().await;
    socket.subscribe_where("collections/posts", "!isDeleted").await;

    let id = live.make("posts", &json!({ "title": "a", "published": true })).await;
    let shown = live.app.ask(Method::GET, &format!("/api/v1/collections/posts/records/{id}")).send().await;
    assert_eq!(socket.hear().await["record"].to_string(), shown.body.to_string());
    live.remove("posts", &id).await;
    assert_eq!(socket.hear().await["type"], "deleted");
    let path = format!("/api/v1/collections/posts/records/{id}/restore");
    assert_eq!(live.app.as_role("admin", Method::POST, &path).send().await.status, 200);
    let restored = socket.hear().await;
    assert_eq!((&restored["type"], &restored["record"]["title"]), (&json!("created"), &json!("a")));
    live.remove("posts", &id).await;
    assert_eq!(socket.hear().await["type"], "deleted");

    live.remove("posts", &format!("{id}?purge=true")).await;
    let import = "/api/v1/collections/posts/records/import";
    let ask = live.app.as_role("admin", Method::POST, import).header("content-type", "application/x-ndjson");
    assert_eq!(ask.raw(r#"{"title":"b","published":true}"#).send().await.status, 200);
    assert_eq!(socket.hear().await["type"], "gap");
}

#[tokio::test]
async fn relations_to_several_are_told_and_asked_of_as_they_were() {
    let live = Live::start().await;
    let open = open();
    let title = json!({ "name": "title", "type": "text" });
    live.collection(&json!({ "name": "tags", "fields": [title], "rules": open })).await;
    let tags =
        json!({ "name": "tags", "type": "relation", "collection": "tags", "multiple": true, "onDelete": "setNull" });
    let rules = json!({ "list": "tags.exists(t, t.title == 'public')", "view": "true" });
    live.collection(&json!({ "name": "notes", "fields": [title, tags], "rules": rules })).await;
    let (public, other) =
        (live.make("tags", &json!({ "title": "public" })).await, live.make("tags", &json!({ "title": "x" })).await);
    let mut socket = live.socket().await;
    socket.subscribe("collections/notes").await;
    socket.subscribe_where("collections/notes", &format!("'{other}' in tags && size(tags) == 2")).await;

    let note = live.make("notes", &json!({ "title": "a", "tags": [other, public] })).await;
    let made = socket.hear().await;
    assert_eq!(made["record"]["tags"], json!([other, public]), "{made}");
    assert_eq!(socket.hear().await["subscription"], 2);
    live.change("notes", &note, &json!({ "tags": { "$remove": [other] } })).await;
    assert_eq!(socket.hear().await["record"]["tags"], json!([public]));
    let left = socket.hear().await;
    assert_eq!((&left["subscription"], &left["type"]), (&json!(2), &json!("deleted")));
    live.remove("notes", &note).await;
    assert_eq!(socket.hear().await["type"], "deleted", "although nothing in the database says what it had");
}

/// Each is told as if it were written alone, and what is undone is not.
#[tokio::test]
async fn batches_and_writing_many_are_told_record_by_record() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket().await;
    socket.subscribe("collections/posts").await;
    let batch = async |transaction: bool, second: Value| {
        let make = |body: Value| json!({ "method": "POST", "path": "/collections/posts/records", "body": body });
        let operations = [make(json!({ "title": "a" })), make(second), make(json!({ "title": "c" }))];
        let body = json!({ "transaction": transaction, "operations": operations });
        live.app.as_role("admin", Method::POST, "/api/v1/batch").json(&body).send().await.status
    };

    batch(true, json!({ "title": 1 })).await;
    batch(false, json!({ "title": 2 })).await;
    assert_eq!((socket.event().await.1, socket.event().await.1), ("a".to_owned(), "c".to_owned()));
    let path = "/api/v1/collections/posts/records?filter=true";
    let many = live.app.as_role("admin", Method::PATCH, path).json(&json!({ "title": "all" })).send().await;
    assert_eq!(many.body["done"], 2, "{many:?}");
    assert_eq!((socket.event().await.1, socket.event().await.1), ("all".to_owned(), "all".to_owned()));
    let gone = live.app.as_role("admin", Method::POST, "/api/v1/collections/posts/truncate").send().await;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!((socket.event().await.0, socket.event().await.0), ("deleted".to_owned(), "deleted".to_owned()));
}

/// Its answer is not waited for by anyone but who asks it.
#[tokio::test]
async fn a_filter_that_follows_relations_hears_the_same_and_delays_nobody() {
    let live = Live::start().await;
    let open = open();
    live.collection(&posts(&open)).await;
    let to = json!({ "name": "post", "type": "relation", "collection": "posts", "onDelete": "cascade" });
    let mut comments = posts(&open);
    comments["name"] = json!("comments");
    comments["fields"].as_array_mut().expect("fields").push(to);
    live.collection(&comments).await;
    let (mut socket, mut plain) = (live.socket().await, live.socket().await);
    let filter = "post.title == 'a' && size(title) > 0";
    socket.subscribe_where("collections/comments", filter).await;
    plain.subscribe("collections/comments").await;
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("subscribe", "collections/comments")
        .append_pair("filter", filter)
        .finish();
    let mut events = live.events(&query, "").await;
    let (a, b) =
        (live.make("posts", &json!({ "title": "a" })).await, live.make("posts", &json!({ "title": "b" })).await);

    live.make("comments", &json!({ "title": "of b", "post": b })).await;
    let of_a = live.make("comments", &json!({ "title": "of a", "post": a })).await;
    live.change("comments", &of_a, &json!({ "title": "again" })).await;
    live.change("comments", &of_a, &json!({ "post": b })).await;

    let titles = [socket.event().await, socket.event().await, socket.event().await];
    let event = |kind: &str, title: &str| (kind.to_owned(), title.to_owned());
    assert_eq!(titles, [event("created", "of a"), event("updated", "again"), event("deleted", "")]);
    for title in ["of b", "of a", "again"] {
        assert_eq!(plain.event().await.1, title);
    }
    let told = events.hear(4).await;
    let told: Vec<_> = told[1..].iter().map(|it| it.1["type"].as_str().unwrap_or_default()).collect();
    assert_eq!(told, ["created", "updated", "deleted"]);
}

#[tokio::test]
async fn with_deltas_a_change_is_told_by_what_changed_and_what_comes_into_view_is_told_whole() {
    let live = Live::start().await;
    live.collection(&posts(&published())).await;
    let (mut socket, mut whole) = (live.socket().await, live.socket().await);
    socket.say(&json!({ "subscribe": "collections/posts", "delta": true })).await;
    assert_eq!(socket.hear().await["subscribed"], 1);
    whole.subscribe("collections/posts").await;
    let body = json!({ "title": "a", "published": false, "views": 1, "tags": ["a"], "extra": { "x": 1 }, "note": "n" });
    let id = live.make("posts", &body).await;
    let mut known = Value::Null;

    for (change, is_delta) in [
        (json!({ "published": true }), false),
        (json!({ "views": 2 }), true),
        (json!({ "views": null, "tags": ["a", "b"], "extra": { "x": 1, "y": [2] } }), true),
        // Nothing of it that strangers see, but for the time.
        (json!({ "note": "other" }), true),
        (json!({ "title": "b", "views": 3, "note": "more" }), true),
    ] {
        let path = format!("/api/v1/collections/posts/records/{id}");
        let changed = live.app.operator(Method::PATCH, &path).json(&change).send().await;
        assert_eq!(changed.status, 200, "{changed:?}");
        let (told, all) = (socket.hear().await, whole.hear().await);
        assert_eq!(
            (&told["type"], told["delta"] == true, all.get("delta")),
            (&json!("updated"), is_delta, None),
            "{told}"
        );
        let record = told["record"].as_object().expect("a record").clone();
        if is_delta {
            let mut names: Vec<_> =
                record.keys().map(String::as_str).filter(|it| !["id", "updatedAt"].contains(it)).collect();
            names.sort_unstable();
            let mut sent: Vec<_> = change.as_object().expect("an object").keys().map(String::as_str).collect();
            sent.retain(|it| *it != "note");
            sent.sort_unstable();
            assert_eq!(names, sent, "{told}");
            known.as_object_mut().expect("a record").extend(record);
        } else {
            known = record.into();
        }
        assert_eq!(known, all["record"]);
    }

    live.change("posts", &id, &json!({ "published": false })).await;
    assert_eq!(socket.hear().await["type"], "deleted");
    live.change("posts", &id, &json!({ "published": true })).await;
    let back = socket.hear().await;
    assert_eq!((back.get("delta"), &back["record"]["title"]), (None, &json!("b")));
}

#[tokio::test]
async fn with_deltas_what_was_missed_is_told_whole_and_streams_have_them_too() {
    let live = Live::start().await;
    live.collection(&posts(&open())).await;
    let mut socket = live.socket().await;
    let begin = socket.subscribe("collections/posts").await["id"].clone();
    let id = live.make("posts", &json!({ "title": "a", "views": 1 })).await;
    live.change("posts", &id, &json!({ "views": 2 })).await;

    let mut again = live.socket().await;
    again.say(&json!({ "subscribe": "collections/posts", "delta": true })).await;
    again.hear().await;
    again.say(&json!({ "resume": begin })).await;
    assert_eq!(again.hear().await["resumed"], begin);
    let missed = again.hear().await;
    assert_eq!((missed.get("delta"), &missed["record"]["title"]), (None, &json!("a")), "{missed}");

    let mut events = live.events("subscribe=collections/posts&delta=true&subscribe=collections/posts", "").await;
    events.hear(2).await;
    live.change("posts", &id, &json!({ "views": 3 })).await;
    let heard: Vec<_> = events.hear(4).await.into_iter().map(|it| it.1).collect();
    let of = |number: u64| heard.iter().find(|it| it["subscription"] == number).expect("an event");
    assert_eq!((&of(1)["delta"], of(1)["record"].get("title"), of(2).get("delta")), (&json!(true), None, None));
    for wrong in ["delta=true", "subscribe=collections/posts&delta=yes"] {
        let refused =
            live.app.ask(Method::GET, &format!("/api/v1/realtime?{wrong}")).header("accept", "text/event-stream");
        assert_eq!(refused.send().await.refusal(), (422, "validation-failed"), "{wrong}");
    }
}

#[tokio::test]
async fn with_deltas_what_the_log_has_no_room_for_and_what_others_decide_is_told_whole() {
    let live = Live::start().await;
    let long = json!({ "name": "longs", "fields": [{ "name": "body", "type": "text" }], "rules": open() });
    live.collection(&long).await;
    let id = live.make("longs", &json!({ "body": "x".repeat(100_000) })).await;
    let mut socket = live.socket().await;
    socket.say(&json!({ "subscribe": "collections/longs", "delta": true })).await;
    socket.hear().await;

    live.change("longs", &id, &json!({ "body": "short" })).await;
    let told = socket.hear().await;
    assert_eq!((told.get("delta"), &told["record"]["body"]), (None, &json!("short")), "{told}");
    live.change("longs", &id, &json!({ "body": "shorter" })).await;
    assert_eq!(socket.hear().await["delta"], true);

    live.collection(&json!({ "name": "parents", "fields": [{ "name": "open", "type": "bool" }], "rules": open() }))
        .await;
    let fields =
        json!([{ "name": "parent", "type": "relation", "collection": "parents" }, { "name": "n", "type": "integer" }]);
    live.collection(
        &json!({ "name": "children", "fields": fields, "rules": { "list": "parent.open", "view": "true" } }),
    )
    .await;
    let parent = live.make("parents", &json!({ "open": true })).await;
    let child = live.make("children", &json!({ "parent": parent, "n": 1 })).await;
    socket.say(&json!({ "subscribe": "collections/children", "delta": true })).await;
    socket.hear().await;
    live.change("children", &child, &json!({ "n": 2 })).await;
    let told = socket.hear().await;
    assert_eq!((told.get("delta"), &told["record"]["parent"]), (None, &json!(parent)), "{told}");
}
