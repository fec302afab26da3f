//! A bearer token in a file, as whatever issues it (Kubernetes, a sidecar) keeps it fresh.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::client::OAuthToken;
use std::fs;
use std::path::Path;

/// The file is read again before this long, in milliseconds, also where the token is good for longer.
const READ_AGAIN_WITHIN_MS: i64 = 60_000;
/// What a client calls itself where the token does not say.
const NAMELESS: &str = "prescale";

/// Reads the token; `now_ms` is the time since 1970.
///
/// # Errors
/// In words that hold nothing of the token: when the file cannot be read, is empty, or holds an
/// expired token.
pub(super) fn read(path: &Path, now_ms: i64) -> Result<OAuthToken, String> {
    let shown = path.display();
    let text = fs::read_to_string(path).map_err(|e| {
        format!("the token file {shown} cannot be read ({e}): check [bus.kafka.security] token_file and its mount")
    })?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) || token.contains('\0') {
        return Err(format!("{shown} holds no token: one line is expected, and nothing else"));
    }
    let Claims { subject, expires_at_ms } = Claims::of(token);
    if let Some(expired_ms) = expires_at_ms.map(|at| now_ms.saturating_sub(at)).filter(|ms| *ms >= 0) {
        let ago = expired_ms / 1000;
        return Err(format!("the token in {shown} expired {ago} s ago: see to what should have renewed the file"));
    }
    let read_again_at_ms = now_ms.saturating_add(READ_AGAIN_WITHIN_MS);
    Ok(OAuthToken {
        token: token.to_owned(),
        principal_name: subject.unwrap_or_else(|| NAMELESS.to_owned()),
        lifetime_ms: expires_at_ms.map_or(read_again_at_ms, |at| at.min(read_again_at_ms)),
    })
}

/// What a client may want to know of a token. Whether it is genuine is the broker's to judge.
#[derive(Debug, Default, PartialEq, Eq)]
struct Claims {
    subject: Option<String>,
    expires_at_ms: Option<i64>,
}

impl Claims {
    /// Nothing is known of a token that is no JWT.
    fn of(token: &str) -> Self {
        let payload = token.split('.').nth(1).and_then(|p| URL_SAFE_NO_PAD.decode(p.trim_end_matches('=')).ok());
        let Some(claims) = payload.and_then(|p| serde_json::from_slice::<serde_json::Value>(&p).ok()) else {
            return Self::default();
        };
        let expires_s = claims["exp"].as_f64().filter(|s| s.is_finite());
        Self {
            subject: claims["sub"].as_str().filter(|s| !s.is_empty() && !s.contains('\0')).map(str::to_owned),
            expires_at_ms: expires_s.map(|s| (s * 1000.0) as i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(payload: &str) -> String {
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(payload))
    }

    fn read_at(text: &str, now_ms: i64) -> Result<OAuthToken, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, text).unwrap();
        read(&path, now_ms)
    }

    #[test]
    fn a_token_tells_its_subject_and_until_when_it_is_good() {
        let token = jwt(r#"{"sub":"planner","exp":30}"#);
        let read = read_at(&format!("{token}\n"), 10_000).unwrap();
        assert_eq!((read.token, read.principal_name, read.lifetime_ms), (token, "planner".to_owned(), 30_000));
    }

    #[test]
    fn the_file_is_read_again_soon_however_long_the_token_is_good() {
        for text in [jwt(r#"{"sub":"planner","exp":9000000}"#), "opaque".to_owned()] {
            assert_eq!(read_at(&text, 10_000).unwrap().lifetime_ms, 70_000);
        }
        assert_eq!(read_at("opaque", 0).unwrap().principal_name, "prescale");
    }

    #[test]
    fn what_is_wrong_is_said_without_the_token() {
        let token = jwt(r#"{"sub":"planner","exp":30}"#);
        let expired = read_at(&token, 34_000).err().unwrap();
        assert!(expired.contains("expired 4 s ago") && !expired.contains(&token), "{expired}");
        assert!(read_at("\n", 0).err().unwrap().contains("holds no token"));
        assert!(read(Path::new("/nonexistent/token"), 0).err().unwrap().contains("token_file"));
    }
}
