//! A browser that is driven as a person would, and remembers what it did.
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};

/// How long a page may take to show something.
const PATIENCE: Duration = Duration::from_secs(20);

/// A Chromium of its own, that remembers what it asked for.
pub struct Browser {
    pub client: Client,
    driver: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        let profile = tempfile::tempdir().expect("a folder");
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("chromedriver is installed (tests/run installs it)");
        let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines
            .map(|it| it.expect("a line"))
            .filter(|it| it.contains("successfully"))
            .find_map(|it| it.rsplit_once("on port ")?.1.trim_end_matches('.').parse::<u16>().ok())
            .expect("a port");
        let mut capabilities = serde_json::Map::new();
        let profile_flag = format!("--user-data-dir={}", profile.path().display());
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--window-size=1200,1000",
            &profile_flag,
        ];
        capabilities.insert("goog:chromeOptions".to_owned(), json!({ "args": flags }));
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "performance": "ALL", "browser": "ALL" }));
        let client = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser");
        Self { client, driver, _profile: profile }
    }

    /// Waits for an element and scrolls to it.
    pub async fn find(&self, selector: &str) -> Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(selector)).await;
        let element = found.unwrap_or_else(|cause| panic!("{selector}: {cause}"));
        let script = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})";
        let argument = serde_json::to_value(&element).expect("a reference");
        self.client.execute(script, vec![argument]).await.expect("scrolled");
        element
    }

    /// What an element shows once it shows something.
    pub async fn shown(&self, selector: &str) -> String {
        let element = format!("document.querySelector({})", json!(selector));
        self.wait_until(&format!("{element}?.checkVisibility() && {element}.innerText")).await;
        self.find(selector).await.text().await.expect("its text")
    }

    /// The value of an expression in the page.
    pub async fn ask(&self, expression: &str) -> Value {
        self.client.execute(&format!("return {expression}"), vec![]).await.expect("asked")
    }

    /// Waits until an expression in the page is true.
    pub async fn wait_until(&self, expression: &str) {
        let mut tries = 0;
        while self.ask(&format!("!!({expression})")).await != true {
            tries += 1;
            assert!(tries < 400, "it never came true: {expression}");
            tokio::time::sleep(PATIENCE / 400).await;
        }
    }

    /// The address of every request that the page made.
    pub async fn requests(&self) -> Vec<String> {
        let entries = self.log("performance").await;
        let messages = entries.iter().filter_map(|it| serde_json::from_str::<Value>(it["message"].as_str()?).ok());
        messages
            .filter(|it| it["message"]["method"] == "Network.requestWillBeSent")
            .filter_map(|it| Some(it["message"]["params"]["request"]["url"].as_str()?.to_owned()))
            .filter(|it| !it.starts_with("chrome"))
            .collect()
    }

    /// What the browser's console complains of, such as a breach of the page's own policy.
    pub async fn complaints(&self) -> Vec<String> {
        let entries = self.log("browser").await;
        let severe = entries.iter().filter(|it| it["level"] == "SEVERE" || it["level"] == "WARNING");
        severe.map(|it| it["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    async fn log(&self, kind: &'static str) -> Vec<Value> {
        let answer = self.client.issue_cmd(Log(kind)).await.expect("the log");
        answer.as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // With the browser and all that it started: they would outlive the driver alone.
        let group = i32::try_from(self.driver.id()).ok().and_then(rustix::process::Pid::from_raw);
        let killed = group.map(|it| rustix::process::kill_process_group(it, rustix::process::Signal::KILL));
        assert!(matches!(killed, Some(Ok(()))), "{killed:?}");
        let _ = self.driver.wait();
    }
}

/// ChromeDriver's own command for its logs.
#[derive(Debug)]
struct Log(&'static str);

impl WebDriverCompatibleCommand for Log {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _url: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(json!({ "type": self.0 }).to_string()))
    }
}
