//! Why a client cannot get through: a refused login, a failed handshake, a missing right. Kafka's
//! clients try such a connection again for ever and report no more than a time-out, so what they
//! say on the side is kept here, and told with the error of the call that failed because of it.

use super::security::{Login, Security};
use super::token;
use crate::error::BusError;
use rdkafka::client::OAuthToken;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A refusal explains failures for this long.
const EXPLAINS_FOR: Duration = Duration::from_secs(30);

/// What the clients of one cluster share.
pub(super) struct Access {
    token_file: Option<PathBuf>,
    refused: Mutex<Option<(Instant, String)>>,
}

impl Access {
    pub(super) fn new(security: &Security) -> Self {
        let token_file = match &security.login {
            Login::TokenFile(path) => Some(path.clone()),
            Login::Anonymous | Login::Password { .. } => None,
        };
        Self { token_file, refused: Mutex::default() }
    }

    /// Whether clients ask for a token.
    pub(super) fn has_token(&self) -> bool {
        self.token_file.is_some()
    }

    /// The token as it is in its file now.
    pub(super) fn token(&self) -> Result<OAuthToken, Box<dyn Error>> {
        let Some(path) = &self.token_file else {
            return Err("no token is configured: set [bus.kafka.security] token_file".into());
        };
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Ok(token::read(path, i64::try_from(now_ms).unwrap_or(i64::MAX))?)
    }

    /// Takes in what a client says on the side.
    pub(super) fn heard(&self, error: &KafkaError, reason: &str) {
        if let Some(remedy) = remedy(error, reason) {
            let refused = Some((Instant::now(), format!("{reason}: {remedy}")));
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        }
    }

    fn refusal(&self) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().filter(|(at, _)| at.elapsed() < EXPLAINS_FOR).map(|(_, why)| why.clone())
    }

    /// What failed, with the refusal behind it if there was one.
    pub(super) fn explain_text(&self, text: String) -> String {
        match self.refusal() {
            Some(why) if !text.contains(&why) => format!("{text}; {why}"),
            _ => text,
        }
    }

    /// As [`Self::explain`], for the first call to a cluster.
    pub(super) fn explain_first(&self, error: BusError) -> BusError {
        match error {
            BusError::Backend { context, message, retryable: true } if self.refusal().is_none() => BusError::Backend {
                context,
                message: format!(
                    "{message}: see that a broker runs there, and that [bus.kafka.security] protocol is what it speaks"
                ),
                retryable: true,
            },
            other => self.explain(other),
        }
    }

    /// As [`Self::explain_text`], for a failure of the backend.
    pub(super) fn explain(&self, error: BusError) -> BusError {
        match error {
            BusError::Backend { context, message, retryable } => {
                BusError::Backend { context, message: self.explain_text(message), retryable }
            }
            other => other,
        }
    }
}

/// What to do about a refusal; `None` when it is none.
fn remedy(error: &KafkaError, reason: &str) -> Option<&'static str> {
    use RDKafkaErrorCode::{Authentication, IllegalSASLState, SSL, SaslAuthenticationFailed, UnsupportedSASLMechanism};
    const TLS: &str = "check [bus.kafka.security] ca_file (who signed the broker's certificate, which must name its host), and certificate_file and key_file where the broker asks for them";
    const PROTOCOL: &str = "check [bus.kafka.security] protocol against the broker's listener";
    match error.rdkafka_error_code()? {
        Authentication if reason.contains("OAUTHBEARER token") => Some("no login without a token"),
        Authentication | SaslAuthenticationFailed => Some(
            "check [bus.kafka.security] mechanism, username and password, or that the broker accepts the token in token_file",
        ),
        UnsupportedSASLMechanism | IllegalSASLState => {
            Some("check [bus.kafka.security] mechanism against those that the broker's listener has")
        }
        SSL => Some(TLS),
        // The broker's alert comes when the handshake is over for this side.
        _ if reason.contains("SSL routines") => Some(TLS),
        _ if reason.contains("security.protocol") => Some(PROTOCOL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> BusError {
        BusError::Backend { context: "cannot reach Kafka".into(), message: "timed out".into(), retryable: true }
    }

    #[test]
    fn a_refused_login_explains_the_time_outs_after_it() {
        let access = Access::new(&Security::default());
        assert_eq!(access.explain(failure()).to_string(), "cannot reach Kafka: timed out");
        access.heard(&KafkaError::Global(RDKafkaErrorCode::BrokerTransportFailure), "gone");
        assert_eq!(access.explain(failure()).to_string(), "cannot reach Kafka: timed out");
        access.heard(&KafkaError::Global(RDKafkaErrorCode::Authentication), "Authentication failed");
        let explained = access.explain(failure()).to_string();
        assert!(explained.contains("timed out; Authentication failed: check [bus.kafka.security]"), "{explained}");
        assert_eq!(access.explain_text(explained.clone()), explained, "once is enough");
    }

    #[test]
    fn without_a_file_there_is_no_token() {
        let error = Access::new(&Security::default()).token().err().unwrap().to_string();
        assert!(error.contains("token_file"), "{error}");
    }
}
