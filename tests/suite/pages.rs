//! Pages: what people see in a browser.
use std::io::Read;

use poem::http::Method;
use serde_json::json;

use crate::support::{PASSWORD, TestApp};

const PAGES: &[&str] = &[
    "/",
    "/docs",
    "/docs/start",
    "/docs/collections",
    "/docs/schema",
    "/docs/rules",
    "/docs/records",
    "/docs/batch",
    "/docs/search",
    "/docs/realtime",
    "/docs/relays",
    "/docs/accounts",
    "/docs/mail",
    "/docs/roles",
    "/docs/api-keys",
    "/docs/secrets",
    "/docs/audit",
    "/docs/configuration",
    "/docs/architecture",
    "/problems",
    "/setup",
    "/verify-email",
    "/reset-password",
    "/accept-invitation",
    "/api-docs",
];

#[tokio::test]
async fn every_page_has_a_strict_policy_and_names_no_other_host() {
    let app = TestApp::new().await;
    for path in PAGES {
        let page = app.ask(Method::GET, path).send().await;
        assert_eq!((page.status, page.content_type()), (200, "text/html; charset=utf-8"), "{path}");
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!page.text.contains("src=\"http") && !page.text.contains("href=\"//"), "{path}");
        assert!(!page.text.contains("<script>") && !page.text.contains(" style=\""), "{path} has inline parts");
    }
}

#[tokio::test]
async fn every_link_of_our_own_leads_somewhere() {
    let app = TestApp::new().await;
    for path in PAGES {
        let page = app.ask(Method::GET, path).send().await;
        let after = |mark: &'static str| page.text.split(mark).skip(1).filter_map(|it| it.split('"').next());
        let links = after("href=\"").chain(after("src=\"")).filter(|it| it.starts_with('/'));
        for link in links {
            let link = link.split('#').next().unwrap_or(link);
            let found = app.ask(Method::GET, link).send().await;
            assert!(![404, 500].contains(&found.status), "{path} leads to {link}: {}", found.status);
        }
    }
}

#[tokio::test]
async fn assets_are_kept_by_the_browser() {
    let app = TestApp::new().await;
    let page = app.ask(Method::GET, "/api-docs").send().await;
    let script = page.text.split('"').find(|it| it.ends_with(".js")).expect("a script").to_owned();

    let first = app.ask(Method::GET, &script).send().await;
    let etag = first.header("etag").expect("a tag").to_owned();
    let again = app.ask(Method::GET, &script).header("if-none-match", &etag).send().await;

    assert_eq!(first.header("cache-control"), Some("public, max-age=31536000, immutable"));
    assert_eq!((again.status, again.text.len()), (304, 0));
}

/// As a browser says it when somebody opens an address.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

#[tokio::test]
async fn an_unknown_page_is_a_problem_for_programs() {
    let app = TestApp::new().await;
    for path in
        ["/nothing", "/docs/nothing", "/problems/nothing", "/static/../Cargo.toml", "/api/v1/nothing", "/api/v9/x"]
    {
        for accept in ["*/*", "application/json", "application/problem+json, text/html;q=0.5"] {
            let reply = app.ask(Method::GET, path).header("accept", accept).send().await;
            assert_eq!(reply.refusal(), (404, "not-found"), "{path} {accept}");
        }
    }
}

#[tokio::test]
async fn an_unknown_page_is_a_calm_page_for_people_and_has_the_id_of_the_request() {
    let app = TestApp::new().await;
    for path in ["/nothing", "/docs/nothing", "/problems/nothing", "/api-docs/nothing", "/x/<script>alert(1)</script>"]
    {
        let ask = app.ask(Method::GET, &path.replace('<', "%3C").replace('>', "%3E"));
        let page = ask.header("accept", BROWSER).header("x-request-id", "mine-1").send().await;

        assert_eq!((page.status, page.content_type()), (404, "text/html; charset=utf-8"), "{path}");
        assert!(page.text.contains("<h1>Nothing here</h1>") && page.text.contains("<code>mine-1</code>"), "{path}");
        assert!(page.text.contains("href=\"/docs\"") && !page.text.contains("alert(1)"), "{path}");
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("style-src 'self'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!((page.header("vary"), page.header("cache-control")), (Some("accept"), Some("no-store")), "{path}");
    }
}

/// What stands in a log or a program is what one looks for.
#[tokio::test]
async fn the_page_of_a_problem_has_its_status_and_its_code() {
    let page = TestApp::new().await.ask(Method::GET, "/problems/busy").send().await;

    assert!(page.text.contains("<p>Status 503, code <code>busy</code></p>"), "{}", page.text);
}

/// A browser's address bar is no reason for the API to speak HTML.
#[tokio::test]
async fn the_api_answers_in_json_also_when_a_browser_asks() {
    let app = TestApp::new().await;
    for path in ["/api", "/api/", "/api/v1/nothing", "/api/nothing", "/admin/nothing"] {
        let reply = app.ask(Method::GET, path).header("accept", BROWSER).send().await;
        assert_eq!(reply.refusal(), (404, "not-found"), "{path}");
    }
    let wrong = app.ask(Method::POST, "/docs").header("accept", BROWSER).send().await;
    assert_eq!(wrong.refusal(), (405, "method-not-allowed"));
}

#[tokio::test]
async fn a_slash_after_a_page_leads_to_the_page() {
    let app = TestApp::new().await;
    for path in PAGES.iter().filter(|it| **it != "/").chain(&["/problems/busy"]) {
        let led = app.ask(Method::GET, &format!("{path}/")).send().await;
        assert_eq!((led.status, led.header("location")), (308, Some(*path)), "{path}/");
    }
    let alias = app.ask(Method::GET, "/api/v1/auth/profile/").send().await;
    assert_eq!(alias.refusal(), (404, "not-found"), "the API has one address for each thing");
}

#[tokio::test]
async fn every_page_says_once_what_it_is() {
    let app = TestApp::new().await;
    let mut titles = Vec::new();
    for path in PAGES {
        let page = app.ask(Method::GET, path).send().await;
        let between = |from: &str, to: &str| {
            let (_, rest) = page.text.split_once(from).unwrap_or_else(|| panic!("{path} has no {from}"));
            rest.split(to).next().unwrap_or_default().to_owned()
        };
        let title = between("<title>", "</title>");
        assert_eq!(title.matches("Steading").count(), 1, "{path}: {title}");
        assert!(title == "Steading" || title.starts_with("Steading · "), "{path}: {title}");
        assert!(10 < between("<meta name=\"description\" content=\"", "\"").len(), "{path} has no description");
        assert!(page.text.contains("<html lang=\"en\">"), "{path}");
        let icon = app.ask(Method::GET, &between("<link rel=\"icon\" href=\"", "\"")).send().await;
        assert_eq!((icon.status, icon.content_type()), (200, "image/svg+xml"), "{path}");
        titles.push(title);
    }
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), PAGES.len(), "two pages have the same title");
}

#[tokio::test]
async fn the_front_page_leads_on() {
    let page = TestApp::new().await.ask(Method::GET, "/").header("accept", BROWSER).send().await;

    for path in ["/api-docs", "/docs", "/docs/start", "/problems", "/health", "/openapi.json"] {
        assert!(page.text.contains(&format!("href=\"{path}\"")), "{path}");
    }
}

#[tokio::test]
async fn the_guides_lead_through_in_the_order_in_which_one_reads_them() {
    let app = TestApp::new().await;
    let index = app.ask(Method::GET, "/docs").send().await.text;
    let item = |path: &str| index.find(&format!("<li><a href=\"{path}\">")).unwrap_or_else(|| panic!("{path}"));
    let guides: Vec<_> = PAGES.iter().copied().filter(|it| it.starts_with("/docs/")).collect();
    assert!(guides.iter().map(|it| item(it)).is_sorted(), "{index}");
    assert_eq!(index.matches(".</p></li>").count(), guides.len(), "each has a sentence: {index}");

    for (at, guide) in guides.iter().enumerate() {
        let page = app.ask(Method::GET, guide).send().await.text;
        let link = |rel: &str| {
            let (_, rest) = page.split_once(&format!("<a rel=\"{rel}\" href=\""))?;
            rest.split('"').next().map(ToOwned::to_owned)
        };
        assert_eq!(link("prev").as_deref(), at.checked_sub(1).map(|it| guides[it]), "{guide}");
        assert_eq!(link("next").as_deref(), guides.get(at + 1).copied(), "{guide}");
        let ids: Vec<_> = page.split(" id=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
        let headings = page.matches("<h2").count() + page.matches("<h3").count();
        assert_eq!(page.matches("class=\"anchor\"").count(), headings, "{guide}: one can link to each heading");
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), ids.len(), "{guide}: a place is there twice: {ids:?}");
    }
}

#[tokio::test]
async fn the_document_says_how_to_sign_in_and_where_the_guides_are() {
    let document = TestApp::new().await.openapi().await;

    let info = &document["info"];
    let words = info["description"].as_str().unwrap_or_default();
    for part in ["POST /api/v1/auth/login", "**Authorize**", "(/docs)", "(/problems)"] {
        assert!(words.contains(part), "{part} is not in {words}");
    }
    assert_eq!(info["license"]["name"], "MIT");
    assert!(info["contact"]["name"].is_string());
}

/// A million bytes of script in a fifth of it.
#[tokio::test]
async fn what_is_large_is_sent_compressed_to_who_takes_it() {
    let app = TestApp::new().await;
    let page = app.ask(Method::GET, "/api-docs").send().await;
    let script = page.text.split('"').find(|it| it.contains("swagger-ui") && it.ends_with(".js")).expect("a script");
    for path in [script, "/openapi.json", "/docs/records"] {
        let request = app.ask(Method::GET, path).header("accept-encoding", "gzip, deflate, br");
        let compressed = request.bytes().await;
        let plain = app.ask(Method::GET, path).send().await;

        assert_eq!(compressed.headers["content-encoding"], "gzip", "{path}");
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        assert!(plain.header("vary").is_some_and(|it| it.ends_with("accept-encoding")), "{path}");
        assert!(compressed.body.len() * 3 < plain.text.len(), "{path}: {}", compressed.body.len());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&compressed.body[..]).read_to_string(&mut text).expect("gzip");
        assert_eq!(text, plain.text, "{path}");
    }
}

/// Only who holds a link is told whether it is the first admin who is made.
#[tokio::test]
async fn a_setup_link_says_whether_it_works_and_what_it_is_good_for() {
    let app = TestApp::new().await;
    let link = async || {
        let link = app.operator(Method::POST, "/api/v1/admin/setup-links").send().await.str("url");
        link.split_once("#token=").expect("a secret").1.to_owned()
    };
    let check = async |token: &str| {
        let body = json!({ "token": token });
        app.ask(Method::POST, "/api/v1/setup/check").json(&body).send().await
    };
    let token = link().await;
    assert_eq!(check(&token).await.body, json!({ "firstAdmin": true }));
    assert_eq!(check(&token).await.status, 200, "a look does not use it up");
    assert_eq!(check("setup_made-up").await.refusal(), (403, "setup-link-invalid"));

    let body = json!({ "token": token, "email": "ada@example.com", "password": PASSWORD });
    assert_eq!(app.ask(Method::POST, "/api/v1/setup").json(&body).send().await.status, 201);

    assert_eq!(check(&token).await.refusal(), (403, "setup-link-invalid"), "it was used");
    let another = link().await;
    assert_eq!(check(&another).await.body, json!({ "firstAdmin": false }));
    app.advance(3_600);
    assert_eq!(check(&another).await.refusal(), (403, "setup-link-invalid"), "its time is over");
}
