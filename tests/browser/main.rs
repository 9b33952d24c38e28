//! The pages in a real browser: headless Chromium, driven as a person would use it.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod driver;
#[path = "../server.rs"]
mod server;

use std::time::Duration;

use driver::Browser;
use fantoccini::Locator;
use server::{Server, steading};

const PASSWORD: &str = "correct horse battery staple";

/// The documentation is of use only if each call can be tried from it, with a token, on a machine
/// without any network.
#[tokio::test]
async fn swagger_ui_opens_signs_in_and_sends_a_request_and_nothing_leaves_the_machine() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    steading(folder.path(), &["admin", "create", "--email", "ada@example.com", "--password", PASSWORD]);
    let browser = Browser::start().await;
    let page = &browser.client;

    page.goto(&format!("{}/api-docs", server.url)).await.expect("opened");
    browser.find("#operations-Accounts-login .opblock-summary").await.click().await.expect("opened the call");
    let body = browser.find("#operations-Accounts-login textarea.body-param__text").await;
    body.clear().await.expect("emptied");
    body.send_keys(&format!("{{\"email\": \"ada@example.com\", \"password\": \"{PASSWORD}\"}}")).await.expect("typed");
    browser.find("#operations-Accounts-login .execute").await.click().await.expect("sent");
    let answer = browser.find("#operations-Accounts-login .live-responses-table .response .highlight-code code").await;
    let answer: serde_json::Value = serde_json::from_str(&answer.text().await.expect("an answer")).expect("JSON");
    let token = answer["accessToken"].as_str().expect("a token");

    browser.find(".btn.authorize").await.click().await.expect("opened the dialog");
    browser.find(".auth-container input").await.send_keys(token).await.expect("typed");
    browser.find(".auth-btn-wrapper .authorize").await.click().await.expect("authorized");
    browser.find(".auth-btn-wrapper .btn-done").await.click().await.expect("closed");
    browser.find("#operations-Accounts-show_profile .opblock-summary").await.click().await.expect("opened the call");
    browser.find("#operations-Accounts-show_profile .execute").await.click().await.expect("sent");
    let row = browser.find("#operations-Accounts-show_profile .live-responses-table .response").await;
    let row = row.text().await.expect("an answer");

    assert!(row.contains("200") && row.contains("ada@example.com"), "{row}");
    let requests = browser.requests().await;
    assert!(requests.iter().any(|it| it.ends_with("/openapi.json")), "{requests:?}");
    let foreign: Vec<_> = requests
        .iter()
        .filter(|it| !it.starts_with(&server.url) && !it.starts_with("data:") && !it.starts_with("blob:"))
        .collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_setup_link_leads_to_an_admin() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::start().await;
    let page = &browser.client;

    let link = server.greeting.split_whitespace().find(|it| it.contains("/setup#token=")).expect("a link");
    page.goto(link).await.expect("opened");
    browser.find("#email").await.send_keys("ada@example.com").await.expect("typed");
    browser.find("#password").await.send_keys("lovelace").await.expect("typed");
    let is_held_back: bool = serde_json::from_value(
        page.execute("return !document.getElementById('setup').checkValidity()", vec![]).await.expect("asked"),
    )
    .expect("a boolean");
    assert!(is_held_back, "the page knows that 8 characters are too few for an admin");
    browser.find("#password").await.send_keys(" and fifteen more").await.expect("typed");
    browser.find("button").await.click().await.expect("sent");

    let done = page.wait().at_most(Duration::from_secs(20)).for_element(Locator::Css("#outcome.right")).await;
    let text = done.expect("an outcome").text().await.expect("its text");
    assert!(text.contains("ada@example.com is an admin"), "{text}");
    let address = page.current_url().await.expect("an address");
    assert_eq!(address.fragment(), None, "the secret is out of the address, and so out of the history");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Nothing is wider than a phone, and nothing needs a mouse.
#[tokio::test]
async fn pages_fit_a_phone() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::start().await;
    browser.client.set_window_size(390, 800).await.expect("a phone");
    for path in ["/", "/docs", "/docs/configuration", "/problems", "/problems/busy", "/setup"] {
        browser.client.goto(&format!("{}{path}", server.url)).await.expect("opened");
        let script = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
        let surplus = browser.client.execute(script, vec![]).await.expect("measured");
        assert_eq!(surplus, 0, "{path} is too wide");
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
