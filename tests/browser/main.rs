//! The pages in a real browser: headless Chromium, driven as a person would use it.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on must fail")]

mod driver;
#[path = "../server.rs"]
mod server;

use std::io::{Read as _, Write as _};

use driver::Browser;
use serde_json::Value;
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
    let answer: Value = serde_json::from_str(&answer.text().await.expect("an answer")).expect("JSON");
    let token = answer["accessToken"].as_str().expect("a token");

    browser.find(".btn.authorize").await.click().await.expect("opened the dialog");
    browser.find("#auth-bearer-value").await.send_keys(token).await.expect("typed");
    browser.find("form:has(#auth-bearer-value) .authorize").await.click().await.expect("authorized");
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

/// Whoever looks for a call knows a word of it, and not how its chapter is written.
#[tokio::test]
async fn swagger_ui_says_how_to_sign_in_leads_back_and_finds_calls_by_their_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::start().await;

    browser.client.goto(&format!("{}/api-docs", server.url)).await.expect("opened");
    let words = browser.find(".info .description").await.text().await.expect("words");
    assert!(words.contains("Authorize") && words.contains("POST /api/v1/auth/login"), "{words}");
    browser.find("header a[href='/docs']").await;
    let field = browser.find(".operation-filter-input").await;
    let hint = field.attr("placeholder").await.expect("asked").unwrap_or_default();
    assert!(hint.starts_with("Find a call"), "{hint}");
    browser.find("#operations-Accounts-register").await;
    field.send_keys("SIGN out every").await.expect("typed");
    // With its second name.
    browser.wait_until("document.querySelectorAll('.opblock').length === 2").await;

    browser.find("#operations-Accounts-logout_all").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

fn setup_link(said: &str) -> &str {
    said.split_whitespace().find(|it| it.contains("/setup#token=")).expect("a link")
}

#[tokio::test]
async fn a_setup_link_leads_to_an_admin_and_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::start().await;
    let page = &browser.client;

    page.goto(setup_link(&server.greeting)).await.expect("opened");
    assert_eq!(browser.shown("#open h1").await, "Become the first admin");
    browser.find("#email").await.send_keys("o'ada@example.com").await.expect("typed");
    browser.find("#password").await.send_keys("lovelace").await.expect("typed");
    let is_held_back = browser.ask("!document.getElementById('setup').checkValidity()").await;
    assert_eq!(is_held_back, true, "the page knows that 8 characters are too few for an admin");
    browser.find("#password").await.send_keys("lovelacelovelace").await.expect("typed");
    browser.find("#setup button").await.click().await.expect("sent");
    browser.wait_until("document.getElementById('outcome').textContent").await;
    let refusal = browser.shown("#outcome").await;
    assert!(refusal.starts_with("The password must be harder to guess."), "{refusal}");
    browser.find("#password").await.clear().await.expect("emptied");
    browser.find("#email").await.send_keys("!").await.expect("typed");
    assert_eq!(browser.ask("document.getElementById('outcome').textContent").await, "", "that is mended");
    browser.find("#email").await.send_keys("\u{8}").await.expect("mended");
    browser.find("#password").await.send_keys("some words and fifteen more").await.expect("typed");
    browser.find("#setup button").await.click().await.expect("sent");

    assert_eq!(browser.shown("#done h1").await, "You are an admin");
    assert_eq!(browser.ask("document.getElementById('setup')").await, Value::Null, "the form is gone");
    let words = browser.shown("main").await;
    assert!(words.contains("o'ada@example.com") && !words.contains('`'), "{words}");
    browser.find("#done a[href^='/api-docs']").await;
    browser.find("#done a[href='/docs']").await;
    let command = browser.shown("#sign-in").await;
    let answer = shell(&command.replace('…', "some words and fifteen more"));
    assert!(answer.contains("\"accessToken\""), "what the page says to type does not work: {command}: {answer}");
    let address = page.current_url().await.expect("an address");
    assert_eq!(address.fragment(), None, "the secret is out of the address, and so out of the history");
    // Chromium itself notes each refusal.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|it| it.contains("422")), "{complaints:?}");
}

/// Before anything is typed.
#[tokio::test]
async fn a_setup_link_that_does_not_work_says_so_and_how_to_get_one_that_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let used = setup_link(&server.greeting).to_owned();
    steading(folder.path(), &["admin", "create", "--email", "ada@example.com", "--password", PASSWORD]);
    let browser = Browser::start().await;

    for (address, heading) in [
        (used.as_str(), "This setup link does not work"),
        (&format!("{}/setup/#token={}", server.url, "x".repeat(300)), "This setup link does not work"),
        (&format!("{}/setup", server.url), "Open the whole setup link"),
    ] {
        browser.client.goto("about:blank").await.expect("left");
        browser.client.goto(address).await.expect("opened");
        assert_eq!(browser.shown("main > section:not([hidden]) h1").await, heading, "{address}");
        let words = browser.shown("main").await;
        assert!(words.contains("steading admin link") && !words.contains('`'), "{words}");
        assert_eq!(browser.ask("document.getElementById('open').hidden").await, true, "{address}");
    }

    let said = steading(folder.path(), &["admin", "link"]);
    browser.client.goto("about:blank").await.expect("left");
    // The server's own port is not known to its settings here.
    let secret = setup_link(&said).split_once('#').expect("a secret").1;
    browser.client.goto(&format!("{}/setup#{secret}", server.url)).await.expect("opened");
    assert_eq!(browser.shown("#open h1").await, "Become another admin");
}

#[tokio::test]
async fn guides_have_code_to_copy_places_to_link_to_and_a_way_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::start().await;

    browser.client.goto(&format!("{}/docs/start", server.url)).await.expect("opened");
    let is_whole = "document.querySelectorAll('pre').length === document.querySelectorAll('pre button').length";
    browser.wait_until(is_whole).await;
    browser.find("pre button").await.click().await.expect("clicked");
    browser.wait_until("['Copied', 'Marked'].includes(document.querySelector('pre button').textContent)").await;
    assert_eq!(browser.ask("document.querySelector('pre code').textContent.trim()").await, "steading serve");
    browser.find("h2 .anchor").await.click().await.expect("clicked");
    assert_eq!(browser.client.current_url().await.expect("an address").fragment(), Some("the-server"));
    browser.find(".contents a[href='#people']").await;
    browser.find(".neighbours a[rel=next]").await.click().await.expect("clicked");

    assert_eq!(browser.shown("h1").await, "Collections");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Runs a command as it was copied from a page.
fn shell(command: &str) -> String {
    let ran = std::process::Command::new("sh").args(["-c", command]).output().expect("run");
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr))
}

/// With the very lines that the guide shows.
#[tokio::test]
async fn two_pages_see_each_others_changes_while_they_happen() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    steading(folder.path(), &["admin", "create", "--email", "ada@example.com", "--password", PASSWORD]);
    let browser = Browser::start().await;
    let page = &browser.client;
    let guide = include_str!("../../assets/docs/realtime.md");
    let lines = guide.split("```js\nexport ").nth(1).and_then(|it| it.split("```").next()).expect("the program");
    let begin = format!(
        "window.heard = []; window.listen = {lines};
         window.ask = (method, path, body) => fetch('/api/v1' + path, {{
             method, body: JSON.stringify(body),
             headers: {{ 'content-type': 'application/json', authorization: 'Bearer ' + (window.token ?? '') }},
         }}).then((it) => it.status === 204 ? null : it.json());"
    );
    let sign_in = format!(
        "ask('POST', '/auth/login', {{ email: 'ada@example.com', password: '{PASSWORD}' }})
             .then((it) => {{ window.token = it.accessToken; }})"
    );
    let open = async || {
        page.goto(&format!("{}/api-docs", server.url)).await.expect("opened");
        browser.find(".operation-filter-input").await;
        page.execute(&begin, vec![]).await.expect("begun");
        page.execute(&sign_in, vec![]).await.expect("signed in");
        browser.wait_until("window.token").await;
    };
    open().await;
    let make = "ask('POST', '/collections', { name: 'notes', fields: [{ name: 'title', type: 'text' }] })";
    page.execute(&format!("{make}.then(() => {{ window.made = true; }})"), vec![]).await.expect("made");
    browser.wait_until("window.made").await;
    let listen = "listen(token, ['collections/notes'], (it) => heard.push(it))";
    page.execute(listen, vec![]).await.expect("listening");
    let first = page.window().await.expect("a window");
    let second = page.new_window(true).await.expect("another window").handle;
    page.switch_to_window(second.clone()).await.expect("there");
    open().await;
    page.execute(listen, vec![]).await.expect("listening");
    // It listens once the server has answered, so it is tried again until then.
    let note = "heard.length || ask('POST', '/collections/notes/records', { title: 'from here' })";
    let heard = |title: &str| format!("heard.some((it) => it.record?.title === '{title}')");
    browser.wait_until(&format!("({note}, {})", heard("from here"))).await;

    page.switch_to_window(first.clone()).await.expect("back");
    browser.wait_until(&heard("from here")).await;
    page.execute("ask('POST', '/collections/notes/records', { title: 'from there' })", vec![]).await.expect("made");
    page.switch_to_window(second).await.expect("there");
    browser.wait_until(&heard("from there")).await;

    let id = browser.ask("heard.find((it) => it.record.title === 'from there').record.id").await;
    let id = id.as_str().expect("an id").to_owned();
    page.execute(&format!("ask('DELETE', '/collections/notes/records/{id}')"), vec![]).await.expect("deleted");
    page.switch_to_window(first).await.expect("back");
    browser.wait_until(&format!("heard.some((it) => it.type === 'deleted' && it.record.id === '{id}')")).await;
}

/// Somebody else may have registered with the address.
#[tokio::test]
async fn the_link_in_a_mail_verifies_an_address_with_the_password_of_the_account() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    steading(folder.path(), &["admin", "create", "--email", "ada@example.com", "--password", PASSWORD]);
    let browser = Browser::start().await;
    browser.client.goto(&format!("{}/docs", server.url)).await.expect("opened");
    let ask = format!(
        "window.ask = (path, body, token) => fetch('/api/v1' + path, {{
             method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
             headers: {{ 'content-type': 'application/json', ...(token && {{ authorization: 'Bearer ' + token }}) }},
         }}).then((it) => it.json());
         const [ada, grace] = ['ada', 'grace'].map((it) => ({{ email: it + '@example.com', password: '{PASSWORD}' }}));
         ask('/auth/register', grace).then(() => ask('/auth/login', ada)).then((it) => {{
             setInterval(() => ask('/admin/mailbox?to=grace@example.com', null, it.accessToken).then((it) => {{
                 window.link = it.data.map((it) => it.text.match(/[?]token=\\S+/)?.[0]).find((it) => it);
             }}), 100);
         }});"
    );
    browser.client.execute(&ask, vec![]).await.expect("asked");
    browser.wait_until("window.link").await;
    let link = browser.ask("window.link").await;
    let link = link.as_str().expect("a link");
    browser.client.goto(&format!("{}/verify-email{link}", server.url)).await.expect("opened");

    browser.find("#password").await.send_keys("what Grace did not choose").await.expect("typed");
    browser.find("#verify button").await.click().await.expect("sent");
    browser.wait_until("document.querySelector('#outcome').textContent.includes('is not that of the account')").await;
    let password = browser.find("#password").await;
    password.clear().await.expect("emptied");
    password.send_keys(PASSWORD).await.expect("typed");
    browser.find("#verify button").await.click().await.expect("sent");

    browser.wait_until("!document.getElementById('done').hidden").await;
    assert_eq!(browser.shown("main > section:not([hidden]) h1").await, "Your address is verified");
}

/// Nothing is wider than a phone, and nothing needs a mouse.
#[tokio::test]
async fn pages_fit_a_phone() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    let browser = Browser::start().await;
    browser.client.set_window_size(390, 800).await.expect("a phone");
    for path in [
        "/",
        "/docs",
        "/docs/start",
        "/docs/rules",
        "/docs/records",
        "/docs/realtime",
        "/docs/configuration",
        "/problems",
        "/problems/busy",
        "/setup",
        "/nothing",
        "/api-docs",
    ] {
        browser.client.goto(&format!("{}{path}", server.url)).await.expect("opened");
        if path == "/api-docs" {
            browser.find(".operation-filter-input").await;
        }
        let surplus = "document.documentElement.scrollWidth - document.documentElement.clientWidth";
        assert_eq!(browser.ask(surplus).await, 0, "{path} is too wide");
    }
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|it| it.contains("/nothing")), "{complaints:?}");

    browser.client.goto(&format!("{}/docs/start", server.url)).await.expect("opened");
    browser.find("pre button").await;
    let covered = "[...document.querySelectorAll('pre')].filter((it) => {
        const [button, code] = ['button', 'code'].map((name) => it.querySelector(name).getBoundingClientRect());
        return code.top < button.bottom && button.left < code.right;
    }).length";
    assert_eq!(browser.ask(covered).await, 0, "a button hides the code that it copies");
    browser.client.goto(&format!("{}/api-docs", server.url)).await.expect("opened");
    browser.find("#operations-Accounts-login .opblock-summary").await.click().await.expect("opened the call");
    browser.find("#operations-Accounts-login .responses-table").await;
    let cut =
        "[...document.querySelectorAll('.responses-table')].filter((it) => it.clientWidth < it.scrollWidth).length";
    assert_eq!(browser.ask(cut).await, 0, "the answers are cut off");
}

/// A page that somebody else has on this machine. To a browser that is the same site, so it sends cookies along.
fn foreign_page() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let page = "<!doctype html><title>Elsewhere</title><body></body>";
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n", page.len());
            let _ = stream.write_all(format!("{head}{page}").as_bytes());
        }
    });
    url
}

#[tokio::test]
async fn a_page_is_signed_in_with_a_cookie_that_no_script_reads_and_no_other_page_uses() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path(), &[]);
    for email in ["ada@example.com", "eve@example.com"] {
        steading(folder.path(), &["admin", "create", "--email", email, "--password", PASSWORD]);
    }
    let browser = Browser::start().await;
    let page = &browser.client;
    let own = format!("{}/api-docs", server.url);
    let ask = "window.ask = async (method, path, body) => {
        const answer = await fetch('/api/v1' + path, {
            method, body: body && JSON.stringify(body), headers: { 'content-type': 'application/json' },
        });
        return answer.status === 204 ? null : answer.json();
    };
    window.later = (name, promise) => { promise.then((it) => { window[name] = it; }); };";
    let open = async || {
        page.goto(&own).await.expect("opened");
        browser.find(".operation-filter-input").await;
        page.execute(ask, vec![]).await.expect("begun");
    };
    let done = async |name: &str, promise: &str| {
        page.execute(&format!("window.{name} = undefined; later('{name}', {promise})"), vec![]).await.expect("asked");
        browser.wait_until(&format!("window.{name} !== undefined")).await;
        browser.ask(&format!("window.{name}")).await
    };
    let email = async || done("me", "ask('GET', '/auth/profile')").await["email"].clone();

    open().await;
    let login = format!(
        "ask('POST', '/auth/login', {{ email: 'ada@example.com', password: '{PASSWORD}', session: 'cookie' }})"
    );
    let answer = done("entered", &login).await;
    assert_eq!((&answer["user"]["email"], &answer["accessToken"]), (&"ada@example.com".into(), &Value::Null));
    assert_eq!(browser.ask("document.cookie").await, "", "no script reads it");
    open().await;
    assert_eq!(email().await, "ada@example.com", "after the page was loaded again");
    assert_eq!(done("named", "ask('PATCH', '/auth/profile', { name: 'Ada' })").await["name"], "Ada");
    let made =
        done("made", "ask('POST', '/collections', { name: 'notes', fields: [{ name: 'title', type: 'text' }] })").await;
    assert_eq!(made["name"], "notes");
    page.execute(
        "window.heard = []; const live = '/api/v1/realtime';
         const events = new EventSource(live + '?subscribe=collections/notes');
         events.onmessage = (it) => heard.push(['events', JSON.parse(it.data)]);
         const socket = new WebSocket(live);
         socket.onopen = () => socket.send(JSON.stringify({ subscribe: 'collections/notes' }));
         socket.onmessage = (it) => heard.push(['socket', JSON.parse(it.data)]);",
        vec![],
    )
    .await
    .expect("listening");
    for way in ["events", "socket"] {
        browser.wait_until(&format!("heard.some(([way, it]) => way === '{way}' && it.subscribed)")).await;
    }
    // The documentation needs no token any more.
    browser.find("#operations-Accounts-show_profile .opblock-summary").await.click().await.expect("opened the call");
    browser.find("#operations-Accounts-show_profile .execute").await.click().await.expect("sent");
    let row = browser.find("#operations-Accounts-show_profile .live-responses-table .response").await;
    let row = row.text().await.expect("an answer");
    assert!(row.contains("200") && row.contains("ada@example.com"), "{row}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    let elsewhere = foreign_page();
    page.goto(&elsewhere).await.expect("opened");
    let attack = format!(
        "const to = '{}/api/v1'; window.tried = {{}};
         const post = (path, body) => fetch(to + path, {{ method: 'POST', mode: 'no-cors', credentials: 'include', body }});
         const eve = JSON.stringify({{ email: 'eve@example.com', password: '{PASSWORD}', session: 'cookie' }});
         fetch(to + '/auth/profile', {{ credentials: 'include' }}).then(
             async (it) => {{ tried.read = await it.text(); }}, () => {{ tried.read = 'kept'; }});
         post('/auth/logout').finally(() => {{ tried.out = true; }});
         post('/auth/login', new Blob([eve])).finally(() => {{ tried.enter = true; }});
         const socket = new WebSocket(to.replace('http', 'ws') + '/realtime');
         socket.onopen = () => {{ tried.socket = 'open'; }};
         socket.onerror = () => {{ tried.socket = 'kept'; }};",
        server.url
    );
    page.execute(&attack, vec![]).await.expect("tried");
    browser.wait_until("tried.read && tried.out && tried.enter && tried.socket").await;
    assert_eq!(browser.ask("[tried.read, tried.socket]").await, serde_json::json!(["kept", "kept"]));
    let form = format!(
        "const form = document.createElement('form'); form.method = 'post';
         form.action = '{}/api/v1/auth/logout-all'; document.body.append(form); form.submit();",
        server.url
    );
    page.execute(&form, vec![]).await.expect("sent");
    // That it is this and not `not-signed-in` shows that the cookie came along.
    browser.wait_until("document.body?.innerText.includes('origin-refused')").await;

    open().await;
    assert_eq!(email().await, "ada@example.com", "still signed in, and as nobody else");
    assert_eq!(done("out", "ask('POST', '/auth/logout')").await, Value::Null);
    assert_eq!(done("me", "ask('GET', '/auth/profile')").await["code"], "not-signed-in", "the browser forgot it");
}
