//! Headless Chromium through chromedriver's WebDriver HTTP interface (W3C WebDriver), in as much as
//! the tests need.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What to do when the browser is missing.
const INSTALL: &str =
    "the console's test needs Chromium and its driver: on Debian `apt-get install chromium chromium-driver`";
/// A condition that does not come true in so long fails the test.
const SCRIPT_TIMEOUT_MS: u64 = 30_000;
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1600,1000",
];

/// Keys that have no character, as WebDriver names them.
pub mod key {
    /// Tab.
    pub const TAB: &str = "\u{E004}";
    /// Enter.
    pub const ENTER: &str = "\u{E007}";
    /// Escape.
    pub const ESCAPE: &str = "\u{E00C}";
    /// Arrow down.
    pub const DOWN: &str = "\u{E015}";
    /// Arrow up.
    pub const UP: &str = "\u{E013}";
    /// Arrow right.
    pub const RIGHT: &str = "\u{E014}";
}

/// A request that a page made, with the answer's status and headers once it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Address that was asked for.
    pub url: String,
    /// HTTP status.
    pub status: u64,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

/// A browser of its own, with an empty profile; it ends when this is dropped.
pub struct Browser {
    driver: Child,
    agent: ureq::Agent,
    session: String,
    performance: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts chromedriver on a free port, and Chromium through it.
    ///
    /// # Errors
    /// When either is missing or does not start; the text says what to install.
    pub fn start() -> Result<Self, String> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot start chromedriver ({error}): {INSTALL}"))?;
        let port = port_of(&mut driver);
        let profile = tempfile::tempdir().map_err(|error| format!("cannot make a profile folder: {error}"))?;
        let config = ureq::Agent::config_builder()
            .proxy(None)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_millis(2 * SCRIPT_TIMEOUT_MS)))
            .build();
        let mut browser = Self {
            driver,
            agent: config.into(),
            session: format!("http://127.0.0.1:{}", port?),
            performance: Vec::new(),
            _profile: profile,
        };
        let created = browser.call("POST", "/session", &capabilities(browser._profile.path()));
        let created = created.map_err(|error| format!("cannot start Chromium ({error}): {INSTALL}"))?;
        let id = created["sessionId"].as_str().ok_or("chromedriver gave no session")?;
        browser.session = format!("{}/session/{id}", browser.session);
        browser.call("POST", "/timeouts", &json!({"script": SCRIPT_TIMEOUT_MS}))?;
        Ok(browser)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let url = format!("{}{path}", self.session);
        let sent = match method {
            "GET" => self.agent.get(&url).call(),
            _ => self.agent.post(&url).send_json(body),
        };
        let mut response = sent.map_err(|error| format!("{method} {url}: {error}"))?;
        let status = response.status();
        let answer: Value = response.body_mut().with_config().limit(64 << 20).read_json().map_err(|e| e.to_string())?;
        if status.is_success() {
            Ok(answer["value"].clone())
        } else {
            Err(format!("{method} {path}: {}", answer["value"]["message"].as_str().unwrap_or("no message")))
        }
    }

    /// Opens an address.
    ///
    /// # Panics
    /// When the browser does not.
    pub fn open(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url })).expect("the page opens");
    }

    /// The value of a JavaScript expression in the page.
    ///
    /// # Panics
    /// When it throws.
    pub fn eval(&self, expression: &str) -> Value {
        let script = json!({"script": format!("return ({expression});"), "args": []});
        self.call("POST", "/execute/sync", &script).unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// The text that is seen of the first element that a CSS selector finds, with plain spaces.
    ///
    /// # Panics
    /// When there is none.
    pub fn text(&self, selector: &str) -> String {
        let text = self.eval(&format!("document.querySelector({}).innerText", json!(selector)));
        text.as_str().unwrap_or_default().replace('\u{a0}', " ")
    }

    /// Waits until a JavaScript expression is true in the page.
    ///
    /// # Panics
    /// When that takes longer than half a minute.
    pub fn wait_for(&self, condition: &str) {
        let script = format!(
            "const done = arguments[0]; const look = () => {{ let met = false; try {{ met = {condition}; }} catch {{ met = false; }}
             if (met) done(true); else setTimeout(look, 20); }}; look();"
        );
        let waited = self.call("POST", "/execute/async", &json!({"script": script, "args": []}));
        if let Err(error) = waited {
            panic!("waited in vain for {condition}: {error}; the page says: {}", self.eval("document.body.innerText"));
        }
    }

    /// Presses and releases keys, one after the other.
    ///
    /// # Panics
    /// When the browser refuses.
    pub fn press(&self, keys: &[&str]) {
        let actions: Vec<Value> = keys
            .iter()
            .flat_map(|k| [json!({"type": "keyDown", "value": k}), json!({"type": "keyUp", "value": k})])
            .collect();
        let input = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.call("POST", "/actions", &input).expect("keys are pressed");
    }

    /// Messages of the page's console since the last call, each with its level.
    ///
    /// # Panics
    /// When the browser has no log.
    pub fn console_messages(&self) -> Vec<(String, String)> {
        let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        self.log("browser").iter().map(|entry| (text(entry, "level"), text(entry, "message"))).collect()
    }

    /// Every address that pages asked for since the start.
    pub fn requested(&mut self) -> Vec<String> {
        self.network("Network.requestWillBeSent")
            .filter_map(|event| Some(event["params"]["request"]["url"].as_str()?.to_owned()))
            .collect()
    }

    /// Every answer that pages got since the start.
    pub fn answers(&mut self) -> Vec<Answer> {
        self.network("Network.responseReceived")
            .filter_map(|event| {
                let response = &event["params"]["response"];
                let headers = response["headers"].as_object()?.iter();
                let headers =
                    headers.map(|(n, v)| (n.to_lowercase(), v.as_str().unwrap_or_default().to_owned())).collect();
                Some(Answer {
                    url: response["url"].as_str()?.to_owned(),
                    status: response["status"].as_u64()?,
                    headers,
                })
            })
            .collect()
    }

    fn network<'a>(&'a mut self, method: &'a str) -> impl Iterator<Item = &'a Value> {
        for entry in self.log("performance") {
            let message = entry["message"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            self.performance.extend(message.map(|m| m["message"].clone()));
        }
        self.performance.iter().filter(move |event| event["method"] == method)
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        let log = self.call("POST", "/se/log", &json!({ "type": kind })).expect("the browser has a log");
        log.as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Best effort: the driver ends the browser with the session, and the driver is ended below.
        let _ = self.agent.delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn capabilities(profile: &Path) -> Value {
    let flags = FLAGS.iter().map(|f| (*f).to_owned()).chain([format!("--user-data-dir={}", profile.display())]);
    json!({"capabilities": {"alwaysMatch": {
        "goog:chromeOptions": {"args": flags.collect::<Vec<_>>()},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }}})
}

/// The port that chromedriver says it listens on.
fn port_of(driver: &mut Child) -> Result<u16, String> {
    let output = driver.stdout.take().ok_or("chromedriver has no output")?;
    let mut lines = BufReader::new(output).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    // Read on, so that the driver never waits for a full pipe.
    std::thread::spawn(move || lines.for_each(drop));
    port.ok_or_else(|| format!("chromedriver did not start: {INSTALL}"))
}
