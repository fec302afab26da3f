//! Posts to a service over HTTP that somebody else runs: where to, how to be let in, and what it answers.

use crate::http_access::{Authorization, HttpAccessConfig};
use anyhow::Result;
use std::time::Duration;
use ureq::Agent;

const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// So much of a service's words is repeated.
const WORDS_MAX: usize = 300;

/// How a protocol goes over HTTP.
pub struct Protocol {
    /// Where to.
    pub url: String,
    /// Scheme of a token in the `Authorization` header.
    pub token_scheme: &'static str,
    /// Further headers.
    pub headers: &'static [(&'static str, &'static str)],
}

/// What a service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// HTTP's status.
    pub status: u16,
    /// Its words, as far as they are repeated.
    pub words: String,
    /// The pause that it asks for; 0 where it asks for none.
    pub asked_pause: Duration,
}

/// A service's address, and how to be let in.
pub struct HttpPost {
    protocol: Protocol,
    agent: Agent,
    authorization: Authorization,
}

impl HttpPost {
    /// To a service whose access is configured in `section`.
    ///
    /// # Errors
    /// When the access cannot be used.
    pub fn new(protocol: Protocol, section: &'static str, access: &HttpAccessConfig) -> Result<Self> {
        let agent = access.agent(section, 0)?;
        let authorization = Authorization::new(access, section, protocol.token_scheme)?;
        Ok(Self { protocol, agent, authorization })
    }

    /// Sends a body, with headers of its own.
    ///
    /// # Errors
    /// With the address and the reason when there is no answer.
    pub fn post(&self, body: &[u8], own_headers: &[(&str, &str)]) -> Result<Answered, String> {
        let mut request = self.agent.post(&self.protocol.url);
        for (name, value) in self.protocol.headers.iter().chain(own_headers) {
            request = request.header(*name, *value);
        }
        if let Some(value) = self.authorization.value() {
            request = request.header("Authorization", value.expose());
        }
        let unanswered = |error: ureq::Error| format!("{}: {error}", self.shown_url());
        let mut response = request.send(body).map_err(unanswered)?;
        let status = response.status().as_u16();
        self.authorization.heed(status);
        let retry_after = response.headers().get("Retry-After").and_then(|v| v.to_str().ok()?.trim().parse().ok());
        let words = match response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec() {
            // What a refusal is about may stand in the words alone.
            Err(error) if !(200..300).contains(&status) => return Err(unanswered(error)),
            words => words.unwrap_or_default(),
        };
        let words = String::from_utf8_lossy(&words).trim().chars().take(WORDS_MAX).collect();
        Ok(Answered { status, words, asked_pause: Duration::from_secs(retry_after.unwrap_or(0)) })
    }

    /// The address without its query.
    pub fn shown_url(&self) -> &str {
        self.protocol.url.split('?').next().unwrap_or_default()
    }
}
