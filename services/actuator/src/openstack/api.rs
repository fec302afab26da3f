//! Calls to Nova, told apart by what an answer means for whoever has sent the request. Nothing is sent twice here.

use crate::drive::call::CallError;
use crate::drive::step::{Method, Request};
use prescale_openstack::client::{self, Answer, Client, NoAnswer};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// A server may ask for a pause up to this.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Without saying for how long.
const UNSAID_PAUSE: Duration = Duration::from_secs(1);
/// What comes next of a list is asked for so often at most.
const PAGES_MAX: usize = 1_000;

/// Nova's API.
#[derive(Clone)]
pub(super) struct Api(Arc<Client>);

impl Api {
    pub(super) fn new(client: Client) -> Self {
        Self(Arc::new(client))
    }

    /// Id of who one is there; empty before the first answer.
    pub(super) fn user(&self) -> String {
        self.0.user()
    }

    /// What lies at a path.
    ///
    /// # Errors
    /// As [`CallError`] tells them apart.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        let path = path.to_owned();
        let answer = self.blocking(move |client| client.get(&path)).await?;
        if is_well(&answer) { Ok(answer.body) } else { Err(refusal_of_look(answer)) }
    }

    /// All that a list has under this key, page by page.
    ///
    /// # Errors
    /// As [`CallError`] tells them apart.
    pub(super) async fn list(&self, path: &str, key: &str) -> Result<Vec<Value>, CallError> {
        let (mut all, mut marker) = (Vec::new(), String::new());
        let joint = if path.contains('?') { '&' } else { '?' };
        for _ in 0..PAGES_MAX {
            let from = if marker.is_empty() { String::new() } else { format!("{joint}marker={marker}") };
            let mut page = self.get(&format!("{path}{from}")).await?;
            let has_more = page[format!("{key}_links")]
                .as_array()
                .is_some_and(|links| links.iter().any(|link| link["rel"] == "next"));
            let Some(Value::Array(entries)) = page.get_mut(key).map(Value::take) else {
                return Err(CallError::Unavailable { why: format!("the answer has no {key}") });
            };
            marker = entries.last().and_then(|last| last["id"].as_str()).unwrap_or_default().to_owned();
            all.extend(entries);
            if !has_more || marker.is_empty() {
                return Ok(all);
            }
        }
        Err(CallError::Unavailable { why: format!("the list of {key} has no end") })
    }

    /// Makes a request that changes something.
    ///
    /// # Errors
    /// As [`CallError`] tells them apart.
    pub(super) async fn write(&self, request: &Request) -> Result<(), CallError> {
        let asked = request.clone();
        let answer = self.blocking(move |client| {
            let body = Some(&asked.body).filter(|body| !body.is_null());
            client.call(&method(asked.method), &asked.path, body)
        });
        let answer = answer.await?;
        if is_well(&answer) { Ok(()) } else { Err(refusal(answer, request)) }
    }

    async fn blocking(
        &self,
        call: impl FnOnce(&Client) -> Result<Answer, NoAnswer> + Send + 'static,
    ) -> Result<Answer, CallError> {
        let client = Arc::clone(&self.0);
        let ended = tokio::task::spawn_blocking(move || call(&client)).await;
        let answer = ended.map_err(|error| CallError::Unknown { why: error.to_string() })?;
        answer.map_err(|error| match error {
            NoAnswer::Unsent(why) => CallError::Aborted { why },
            NoAnswer::Lost(why) => CallError::Unknown { why },
            error @ NoAnswer::Unknown(_) => CallError::Unauthorised { why: error.to_string() },
        })
    }
}

fn method(method: Method) -> client::Method {
    match method {
        Method::Post => client::Method::POST,
        Method::Put => client::Method::PUT,
        Method::Patch => client::Method::PATCH,
        Method::Delete => client::Method::DELETE,
    }
}

fn is_well(answer: &Answer) -> bool {
    (200..300).contains(&answer.status)
}

/// What an answer to a look means that is no success.
fn refusal_of_look(answer: Answer) -> CallError {
    let why = format!("{}: {}", answer.status, answer.words);
    match answer.status {
        401 | 403 => CallError::Unauthorised { why },
        404 => CallError::Gone { why },
        413 | 429 => throttled(answer.retry_after, why),
        _ => CallError::Unavailable { why },
    }
}

/// What an answer to a request means that is no success.
fn refusal(answer: Answer, request: &Request) -> CallError {
    let why = format!("{}: {}", answer.status, answer.words);
    let ends_resize = ["confirmResize", "revertResize"].iter().any(|name| request.body.get(name).is_some());
    match answer.status {
        401 => CallError::Unauthorised { why },
        // Also where a quota is used up.
        403 => CallError::Refused { why, retryable: true },
        // What it is about is gone, or is not in a state for it: what it is in then shows.
        404 | 409 if request.path != "/servers" => CallError::Conflict { why },
        // A resize that was confirmed a moment ago is "not resized".
        400 if ends_resize => CallError::Conflict { why },
        409 => CallError::Refused { why, retryable: true },
        413 | 429 => throttled(answer.retry_after, why),
        // Whoever answers for Nova may have given up on it: it may do it yet.
        408 | 502 | 504 => CallError::Unavailable { why },
        status if status >= 500 => CallError::Aborted { why },
        _ => CallError::Refused { why, retryable: false },
    }
}

fn throttled(retry_after: Option<Duration>, why: String) -> CallError {
    CallError::Throttled { why, pause: retry_after.unwrap_or(UNSAID_PAUSE).min(ASKED_PAUSE_MAX) }
}

#[cfg(test)]
mod tests {
    use super::super::request;
    use super::super::testing::{flavor, server};
    use super::*;

    fn answer(status: u16) -> Answer {
        Answer { status, body: Value::Null, retry_after: Some(Duration::from_secs(7)), words: "no".to_owned() }
    }

    #[test]
    fn answers_are_told_apart_by_what_is_to_be_done() {
        let resize = request::resize(&server("a", "c1"), &flavor("c2", 2));
        let make = Request { path: "/servers".to_owned(), ..resize.clone() };
        let confirm = request::confirm("a");
        for (status, request, name) in [
            (400, &resize, "refused"),
            (400, &confirm, "conflict"),
            (401, &make, "unauthorised"),
            (403, &make, "refused"),
            (404, &request::remove("a"), "conflict"),
            (404, &make, "refused"),
            (409, &resize, "conflict"),
            (409, &make, "refused"),
            (413, &make, "throttled"),
            (429, &make, "throttled"),
            (500, &make, "aborted"),
            (502, &make, "unavailable"),
            (503, &make, "aborted"),
            (504, &make, "unavailable"),
        ] {
            assert_eq!(refusal(answer(status), request).name(), name, "{status} of {}", request.path);
        }
        for (status, name) in [(401, "unauthorised"), (404, "gone"), (429, "throttled"), (500, "unavailable")] {
            assert_eq!(refusal_of_look(answer(status)).name(), name, "{status}");
        }
        let CallError::Throttled { pause, .. } = refusal(answer(429), &make) else { panic!("it is throttled") };
        assert_eq!(pause.as_secs(), 7);
    }
}
