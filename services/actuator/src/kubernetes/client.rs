//! Calls to the API server: one request, one answer, told apart by what it means for whoever has sent it. Nothing is sent
//! twice here.

use super::config::KubernetesConfig;
use crate::drive::call::CallError;
use crate::drive::step::{Method, Request};
use anyhow::Result;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use kube::client::Body;
use prescale_kubernetes::access::{self, Access};
use serde_json::Value;
use std::time::Duration;

/// A server may ask for a pause up to this.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Without saying for how long.
const UNSAID_PAUSE: Duration = Duration::from_secs(1);
/// Of words that are no answer of an API server so much is told.
const WORDS_CHARS_MAX: usize = 300;

/// A client of one cluster.
#[derive(Clone)]
pub(super) struct Client(kube::Client);

impl Client {
    /// As the configuration says. It connects with the first call. Has to be made on the runtime.
    ///
    /// # Errors
    /// When neither a kubeconfig nor a pod's account can be used.
    pub(super) async fn new(config: &KubernetesConfig) -> Result<Self> {
        let access = Access {
            section: "actuator.kubernetes",
            kubeconfig: &config.kubeconfig,
            context: &config.context,
            connect_timeout: Duration::from_secs(config.call_deadline_s.into()),
        };
        access::client(&access).await.map(Self)
    }

    /// The namespace of the pod, or of the context.
    pub(super) fn namespace(&self) -> &str {
        self.0.default_namespace()
    }

    /// What lies at a path.
    ///
    /// # Errors
    /// As [`CallError`] tells them apart.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        let request = http::Request::get(path).body(Body::empty()).map_err(unsound)?;
        self.call(request, Direction::Reads).await
    }

    /// Makes a request that changes something.
    ///
    /// # Errors
    /// As [`CallError`] tells them apart.
    pub(super) async fn write(&self, request: &Request) -> Result<Value, CallError> {
        self.write_to(request, &request.path).await
    }

    /// Asks whether the server would take a request: it does all but store what comes of it.
    ///
    /// # Errors
    /// As [`CallError`] tells them apart.
    pub(super) async fn check(&self, request: &Request) -> Result<Value, CallError> {
        let joint = if request.path.contains('?') { '&' } else { '?' };
        self.write_to(request, &format!("{}{joint}dryRun=All", request.path)).await
    }

    async fn write_to(&self, request: &Request, path: &str) -> Result<Value, CallError> {
        let method = match request.method {
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Patch => http::Method::PATCH,
            Method::Delete => http::Method::DELETE,
        };
        let builder = http::Request::builder().method(method).uri(path).header(CONTENT_TYPE, request.content_type);
        let request = builder.body(Body::from(request.body.to_string().into_bytes())).map_err(unsound)?;
        self.call(request, Direction::Writes).await
    }

    async fn call(&self, request: http::Request<Body>, direction: Direction) -> Result<Value, CallError> {
        let unavailable = |error: &kube::Error| CallError::Unavailable { why: words_of(error) };
        let response = self.0.send(request).await.map_err(|error| match error {
            kube::Error::Auth(_) => CallError::Unauthorised { why: words_of(&error) },
            error => unavailable(&error),
        })?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect_bytes().await.map_err(|error| unavailable(&error))?;
        let answer = serde_json::from_slice::<Value>(&bytes);
        if parts.status.is_success() {
            return answer.map_err(|error| CallError::Unavailable { why: format!("its answer is no JSON: {error}") });
        }
        let said = answer.ok().and_then(|status| status["message"].as_str().map(str::to_owned));
        let why = said.unwrap_or_else(|| {
            let text = String::from_utf8_lossy(&bytes);
            text.chars().take(WORDS_CHARS_MAX).collect()
        });
        Err(refusal(parts.status, &parts.headers, why, direction))
    }
}

/// Whether a call changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Reads,
    Writes,
}

/// What an answer means that is no success.
fn refusal(status: StatusCode, headers: &HeaderMap, words: String, direction: Direction) -> CallError {
    let why = format!("{}: {words}", status.as_u16());
    match status {
        StatusCode::UNAUTHORIZED => CallError::Unauthorised { why },
        // Who may look and not change lacks a right, or a policy of the cluster forbids this change.
        StatusCode::FORBIDDEN if direction == Direction::Writes => CallError::Refused { why, retryable: true },
        StatusCode::FORBIDDEN => CallError::Unauthorised { why },
        StatusCode::NOT_FOUND | StatusCode::GONE => CallError::Gone { why },
        StatusCode::CONFLICT => CallError::Conflict { why },
        StatusCode::TOO_MANY_REQUESTS => {
            let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            let pause = seconds.map_or(UNSAID_PAUSE, Duration::from_secs).min(ASKED_PAUSE_MAX);
            CallError::Throttled { why, pause }
        }
        StatusCode::REQUEST_TIMEOUT => CallError::Unavailable { why },
        status if status.is_client_error() => CallError::Refused { why, retryable: false },
        _ => CallError::Unavailable { why },
    }
}

/// An error with what it follows from.
fn words_of(error: &kube::Error) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        let text = below.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        source = below.source();
    }
    words
}

fn unsound(error: http::Error) -> CallError {
    CallError::Refused { why: format!("it is no request: {error}"), retryable: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(status: u16, retry_after: Option<&'static str>, direction: Direction) -> CallError {
        let mut headers = HeaderMap::new();
        headers.extend(retry_after.map(|text| (RETRY_AFTER, http::HeaderValue::from_static(text))));
        refusal(StatusCode::from_u16(status).unwrap(), &headers, "no".to_owned(), direction)
    }

    #[test]
    fn answers_are_told_apart_by_what_is_to_be_done() {
        use Direction::{Reads, Writes};
        let names = [
            (400, Writes, "refused"),
            (401, Writes, "unauthorised"),
            (403, Reads, "unauthorised"),
            (403, Writes, "refused"),
            (404, Reads, "gone"),
            (408, Writes, "unavailable"),
            (409, Writes, "conflict"),
            (410, Reads, "gone"),
            (422, Writes, "refused"),
            (500, Writes, "unavailable"),
            (503, Reads, "unavailable"),
            (504, Writes, "unavailable"),
        ];
        for (status, direction, name) in names {
            assert_eq!(came(status, None, direction).name(), name, "{status}");
        }
        let pause = |said| match came(429, said, Reads) {
            CallError::Throttled { pause, .. } => pause.as_secs(),
            other => panic!("{other:?}"),
        };
        assert_eq!([pause(None), pause(Some("7")), pause(Some("86400")), pause(Some("soon"))], [1, 7, 60, 1]);
    }
}
