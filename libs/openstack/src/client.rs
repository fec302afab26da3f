//! Calls of Nova's API: one request, one answer. Nothing that changes something is sent twice here. It blocks: call it where
//! that does no harm.

use crate::clouds::Cloud;
use crate::keystone::Granted;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::{Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

pub use ureq::http::Method;

/// Version of Nova's API (Stein, 2019): the least that shows flavors and groups within servers.
const VERSION: &str = "compute 2.72";
const AGENT: &str = "prescale";
/// Of words that are no answer of OpenStack so much is told.
const WORDS_CHARS_MAX: usize = 300;
const BODY_BYTES_MAX: u64 = 256 << 20;

/// A client of one cloud, with its token.
pub struct Client {
    agent: Agent,
    cloud: Cloud,
    token: Mutex<Option<Token>>,
}

#[derive(Clone)]
struct Token {
    secret: String,
    granted: Granted,
    since: Instant,
}

/// An answer, also one that refuses.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// The body; `Null` where it has none, or none in JSON.
    pub body: Value,
    /// Its `Retry-After`, where that is a number of seconds.
    pub retry_after: Option<Duration>,
    /// The words of one that refuses.
    pub words: String,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// The request did not reach anybody.
    #[error("{0}")]
    Unsent(String),
    /// It may have taken effect.
    #[error("{0}")]
    Lost(String),
    /// Keystone gives no token.
    #[error("Keystone gives no token: {0}")]
    Unknown(String),
}

impl Client {
    /// Of a cloud, whose answers are waited for so long. It logs in with the first call.
    ///
    /// # Errors
    /// When its certificates cannot be read.
    pub fn new(cloud: Cloud, answer_within: Duration) -> Result<Self> {
        let mut agent = Agent::config_builder()
            .timeout_global(Some(answer_within))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false);
        let ca_file = cloud.ca_file();
        if !cloud.verifies() {
            agent = agent.tls_config(TlsConfig::builder().disable_verification(true).build());
        } else if !ca_file.as_os_str().is_empty() {
            agent = agent.tls_config(TlsConfig::builder().root_certs(roots(ca_file)?).build());
        }
        Ok(Self { agent: agent.build().into(), cloud, token: Mutex::new(None) })
    }

    /// What lies at a path of Nova's API. Where the token has run out it is asked for again.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<Answer, NoAnswer> {
        let answer = self.call(&Method::GET, path, None)?;
        if answer.status == 401 { self.call(&Method::GET, path, None) } else { Ok(answer) }
    }

    /// Makes a request, once. After an answer that says that the token is not good (401) the next one has another.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn call(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Answer, NoAnswer> {
        let Token { secret, granted, .. } = self.token()?;
        let request = Request::builder()
            .method(method.clone())
            .uri(format!("{}{path}", granted.compute_url))
            .header("X-Auth-Token", &secret)
            .header("OpenStack-API-Version", VERSION)
            .header("Accept", "application/json")
            .header("User-Agent", AGENT);
        let answer = self.send(request, body)?;
        if answer.0.status == 401 {
            let mut kept = self.kept();
            // Somebody else may have renewed it meanwhile.
            if kept.as_ref().is_some_and(|token| token.secret == secret) {
                *kept = None;
            }
        }
        Ok(answer.0)
    }

    /// Id of who one is there, by the last token; empty before the first.
    pub fn user(&self) -> String {
        self.kept().as_ref().map(|token| token.granted.user.clone()).unwrap_or_default()
    }

    /// The token, which is asked for where there is none, or it has nearly run out.
    fn token(&self) -> Result<Token, NoAnswer> {
        if let Some(token) = self.kept().as_ref().filter(|token| token.since.elapsed() < token.granted.used_for) {
            return Ok(token.clone());
        }
        // Several may ask at a time: each token is good.
        let token = self.login()?;
        *self.kept() = Some(token.clone());
        Ok(token)
    }

    fn login(&self) -> Result<Token, NoAnswer> {
        let unknown = |why: String| NoAnswer::Unknown(why);
        let body = self.cloud.login().map_err(|error| unknown(format!("{error:#}")))?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/auth/tokens", self.cloud.keystone_url()))
            .header("Accept", "application/json")
            .header("User-Agent", AGENT);
        // Whatever becomes of it, the call that it is for was not made.
        let sent = self.send(request, Some(&body));
        let (Answer { status, body, words, .. }, secret) = sent.map_err(|error| NoAnswer::Unsent(error.to_string()))?;
        match secret {
            Some(secret) if (200..300).contains(&status) => {
                let granted = Granted::read(&body, &self.cloud).map_err(unknown)?;
                tracing::debug!(used_for_s = granted.used_for.as_secs(), "Keystone has given a token");
                Ok(Token { secret, granted, since: Instant::now() })
            }
            _ if status >= 500 || status == 429 => Err(NoAnswer::Unsent(format!("Keystone answers {status}: {words}"))),
            _ => Err(unknown(format!("{status}: {words}"))),
        }
    }

    /// An answer, with the token that it has among its headers.
    fn send(
        &self,
        request: ureq::http::request::Builder,
        body: Option<&Value>,
    ) -> Result<(Answer, Option<String>), NoAnswer> {
        let unsound = |error: ureq::http::Error| NoAnswer::Unsent(format!("it is no request: {error}"));
        let answer = match body {
            Some(body) => {
                let request = request.header("Content-Type", "application/json");
                self.agent.run(request.body(body.to_string()).map_err(unsound)?)
            }
            None => self.agent.run(request.body(()).map_err(unsound)?),
        };
        let mut answer = answer.map_err(|error| no_answer(&error))?;
        let text = answer.body_mut().with_config().limit(BODY_BYTES_MAX).read_to_string();
        let text = text.map_err(|error| NoAnswer::Lost(error.to_string()))?;
        let status = answer.status().as_u16();
        let secret = header(&answer, "X-Subject-Token").map(str::to_owned);
        let retry_after = header(&answer, "Retry-After").and_then(|text| text.trim().parse().ok());
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let words = words(&body).unwrap_or_else(|| text.chars().take(WORDS_CHARS_MAX).collect());
        Ok((Answer { status, body, retry_after: retry_after.map(Duration::from_secs), words }, secret))
    }

    fn kept(&self) -> MutexGuard<'_, Option<Token>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn header<'a>(answer: &'a Response<ureq::Body>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// What an answer says that refuses: `{"conflictingRequest": {"code": 409, "message": ...}}`.
fn words(body: &Value) -> Option<String> {
    body.as_object()?.values().find_map(|said| said["message"].as_str()).map(str::to_owned)
}

fn no_answer(error: &ureq::Error) -> NoAnswer {
    match error {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) => {
            NoAnswer::Unsent(error.to_string())
        }
        ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => NoAnswer::Unsent(io.to_string()),
        other => NoAnswer::Lost(other.to_string()),
    }
}

fn roots(file: &Path) -> Result<RootCerts> {
    let pem = std::fs::read(file).with_context(|| format!("cannot read cacert {}", file.display()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.with_context(|| format!("{}", file.display()))? {
            certificates.push(certificate);
        }
    }
    ensure!(!certificates.is_empty(), "cacert {} has no certificate", file.display());
    Ok(RootCerts::from(certificates))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    /// Status, headers and body.
    type Said = (u16, &'static str, Value);

    /// Answers one request after the other; what they were.
    fn served(answers: Vec<Said>) -> (String, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let serve = move || {
            let mut seen = Vec::new();
            for (status, headers, body) in answers {
                let (mut connection, _) = listener.accept().unwrap();
                let (mut text, mut buffer) = (String::new(), [0; 4096]);
                while !is_whole(&text) {
                    let length = connection.read(&mut buffer).unwrap();
                    assert!(length > 0, "the request breaks off: {text}");
                    text.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
                }
                let body = body.to_string();
                let head = format!("HTTP/1.1 {status} Said\r\n{headers}Connection: close\r\n");
                write!(connection, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
                seen.push(text);
            }
            seen
        };
        (url, std::thread::spawn(serve))
    }

    fn is_whole(text: &str) -> bool {
        let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        body.len() >= length.unwrap_or(0)
    }

    fn token() -> Said {
        (201, "X-Subject-Token: secret\r\n", json!({"token": {}}))
    }

    fn client(url: &str) -> Client {
        let cloud = json!({
            "auth": {"auth_url": url, "username": "u", "password": "p", "project_name": "q"},
            "compute_endpoint_override": format!("{url}/v2.1/"),
        });
        Client::new(serde_json::from_value(cloud).unwrap(), Duration::from_secs(20)).unwrap()
    }

    #[test]
    fn a_token_that_is_not_good_any_more_is_asked_for_again() {
        let refused = (401, "", json!({"error": {"message": "The request you have made requires"}}));
        let (url, server) = served(vec![token(), refused, token(), (200, "", json!({"servers": []}))]);
        let answer = client(&url).get("/servers").unwrap();
        assert_eq!((answer.status, answer.body), (200, json!({"servers": []})));
        let seen = server.join().unwrap();
        assert!(seen[0].starts_with("POST /v3/auth/tokens ") && seen[2].starts_with("POST /v3/auth/tokens "));
        assert!(seen[3].starts_with("GET /v2.1/servers ") && seen[3].to_lowercase().contains("x-auth-token: secret"));
    }

    #[test]
    fn what_changes_something_is_sent_once_and_told_as_it_was_answered() {
        let limited = (429, "Retry-After: 7\r\n", json!({"overLimit": {"code": 429, "message": "slower"}}));
        let (url, server) = served(vec![token(), limited]);
        let answer = client(&url).call(&Method::POST, "/servers", Some(&json!({"server": {}}))).unwrap();
        let expected = (429, "slower", Some(Duration::from_secs(7)));
        assert_eq!((answer.status, answer.words.as_str(), answer.retry_after), expected);
        assert_eq!(server.join().unwrap().len(), 2);
    }

    #[test]
    fn who_is_not_there_has_heard_of_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        assert!(matches!(client(&url).get("/servers"), Err(NoAnswer::Unsent(_))));
        let (url, server) = served(vec![(401, "", json!({"error": {"message": "who are you"}}))]);
        let refused = client(&url).get("/servers").unwrap_err();
        assert_eq!(refused, NoAnswer::Unknown("401: who are you".to_owned()));
        server.join().unwrap();
    }
}
