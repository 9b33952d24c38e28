//! How many sessions an account may have, and what becomes of those beyond.
use futures_util::future::join_all;
use poem::http::Method;
use serde_json::json;

use crate::support::live::Live;
use crate::support::{PASSWORD, Reply, TestApp};

const MOST: &str = "ACCOUNTS__SESSIONS_PER_ACCOUNT_MAX";
const USER: &str = "user@example.com";

async fn app(most: &str) -> TestApp {
    TestApp::with_people_and(&[(MOST, most)]).await
}

async fn login(app: &TestApp) -> Reply {
    let reply = app.login(USER, PASSWORD).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply
}

async fn works(app: &TestApp, session: &Reply) -> bool {
    app.profile(&session.str("accessToken")).await.status == 200
}

async fn sessions(app: &TestApp) -> usize {
    let id = app.operator(Method::GET, "/api/v1/users/search?q=user").send().await.body["data"][0]["id"].clone();
    let id = id.as_str().expect("an id").to_owned();
    let count = move |tx: &mut steading::db::Tx<'_>| {
        let sql = "SELECT count(*) FROM sessions WHERE user_id = $1";
        tx.find(sql, &[id.as_str().into()], |row| row.integer(0))
    };
    let found = app.app.db.read(&steading::base::TenantId::main(), count).await.expect("read");
    usize::try_from(found.unwrap_or(0)).expect("a number")
}

#[tokio::test]
async fn with_one_session_signing_in_ends_the_one_before_at_once_with_all_that_it_had() {
    let app = app("1").await;
    let first = login(&app).await;
    let admin = app.token("admin").to_owned();
    assert!(works(&app, &first).await, "verified, and so remembered");

    let second = login(&app).await;

    assert!(works(&app, &second).await);
    assert_eq!(app.profile(&first.str("accessToken")).await.refusal(), (401, "token-invalid"));
    assert_eq!(app.refresh(&first.str("refreshToken")).await.status, 401);
    assert_eq!(app.refresh(&second.str("refreshToken")).await.status, 200, "and the one that is left goes on");
    assert_eq!(app.profile(&admin).await.status, 200, "of nobody else");
    let told = app.operator(Method::GET, "/api/v1/admin/audit?action=auth.sign-in&limit=1").send().await;
    assert_eq!(told.body["data"][0]["after"], json!({ "sessionsEnded": 1 }), "{told:?}");
}

#[tokio::test]
async fn beyond_the_limit_those_go_that_were_not_used_for_longest() {
    let app = app("3").await;
    let mut all = Vec::new();
    for _ in 0..3 {
        app.advance(60);
        all.push(login(&app).await);
    }
    app.advance(60);
    let used = app.refresh(&all[0].str("refreshToken")).await;
    assert_eq!(used.status, 200);

    app.advance(60);
    let new = login(&app).await;

    let works =
        [works(&app, &used).await, works(&app, &all[1]).await, works(&app, &all[2]).await, works(&app, &new).await];
    assert_eq!(works, [true, false, true, true]);
}

/// A browser has one cookie, so it never needs a second session.
#[tokio::test]
async fn a_browser_that_signs_in_anew_takes_no_room_from_another_device() {
    let app = app("2").await;
    let body = json!({ "email": USER, "password": PASSWORD, "session": "cookie" });
    let enter = async |cookie: &str| {
        let ask = app.ask(Method::POST, "/api/v1/auth/login").header("origin", "http://localhost");
        let entered = ask.header("cookie", cookie).json(&body).send().await;
        assert_eq!(entered.status, 200, "{entered:?}");
        entered.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned()
    };
    let elsewhere = login(&app).await;
    app.advance(60);
    let first = enter("x=y").await;
    app.advance(60);

    enter(&first).await;

    assert!(works(&app, &elsewhere).await);
    assert_eq!(sessions(&app).await, 2);
}

/// A wrong password, or a second factor that is missing, signs nobody out.
#[tokio::test]
async fn who_does_not_get_in_ends_no_session() {
    let app = app("1").await;
    let own = login(&app).await;

    assert_eq!(app.login(USER, "wrong").await.status, 401);

    assert!(works(&app, &own).await);
}

/// Whatever order they are written in, the one that was let in last is never its own victim.
#[tokio::test]
async fn of_many_that_sign_in_at_once_one_is_left() {
    let app = app("1").await;

    let all = join_all((0..8).map(|_| login(&app))).await;

    let mut left = 0;
    for one in &all {
        left += usize::from(works(&app, one).await);
    }
    assert_eq!((left, sessions(&app).await), (1, 1));
}

#[tokio::test]
async fn cookies_and_live_connections_end_with_their_session() {
    let live = Live::around(app("1").await).await;
    let app = &live.app;
    let body = json!({ "email": USER, "password": PASSWORD, "session": "cookie" });
    let entered =
        app.ask(Method::POST, "/api/v1/auth/login").header("origin", "http://localhost").json(&body).send().await;
    let cookie = entered.header("set-cookie").and_then(|it| it.split(';').next()).expect("a cookie").to_owned();
    let profile = || app.ask(Method::GET, "/api/v1/auth/profile").header("cookie", &cookie).send();
    assert_eq!(profile().await.status, 200);
    let first = login(app).await;
    assert_eq!(profile().await.status, 401, "a token is a session as well");
    let mut socket = live.try_socket(Some(&first.str("accessToken"))).await.expect("a socket");

    login(app).await;

    assert_eq!(socket.closed().await, 4401);
    assert!(live.stop().await);
}

/// As many as there were are ended with one sign-in, once the setting asks for fewer.
#[tokio::test]
async fn fewer_than_before_count_from_the_next_sign_in_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut all = Vec::new();
    {
        let app = TestApp::on_disk(folder.path(), &[]).await;
        app.register(USER).await;
        for _ in 0..5 {
            all.push(login(&app).await);
        }
    }
    let app = TestApp::on_disk(folder.path(), &[(MOST, "1")]).await;
    assert!(works(&app, &all[0]).await, "nobody is signed out by a setting");

    let new = login(&app).await;

    for old in &all {
        assert!(!works(&app, old).await);
    }
    assert!(works(&app, &new).await);
    assert_eq!(sessions(&app).await, 1);
}
