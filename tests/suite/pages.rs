//! Pages: what people see in a browser.
use poem::http::Method;

use crate::support::TestApp;

const PAGES: &[&str] = &[
    "/",
    "/docs",
    "/docs/start",
    "/docs/collections",
    "/docs/rules",
    "/docs/records",
    "/docs/configuration",
    "/docs/architecture",
    "/problems",
    "/setup",
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

#[tokio::test]
async fn an_unknown_page_is_a_problem() {
    let app = TestApp::new().await;
    for path in
        ["/nothing", "/docs/nothing", "/problems/nothing", "/static/../Cargo.toml", "/api/v1/nothing", "/api/v9/x"]
    {
        assert_eq!(app.ask(Method::GET, path).send().await.refusal(), (404, "not-found"), "{path}");
    }
}
