//! Sends a request to a store, and says what its answer means.

use anyhow::Result;
use prescale_chassis::HttpAccessConfig;
use prescale_chassis::http_post::{Answered, HttpPost};
use std::time::Duration;

pub(crate) use prescale_chassis::http_post::Protocol;

/// What a store did with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It has all of it.
    Taken,
    /// It will not have some of it, however often it is asked.
    Refused {
        /// Its words.
        why: String,
        /// It has newer samples of these series, or these are too old for it.
        is_stale: bool,
    },
    /// It cannot now, or somebody has to do something first.
    Unavailable {
        /// Its words, and what to do.
        why: String,
        /// The pause that it asks for.
        asked_pause: Duration,
    },
}

/// A store's address, and how to be let in.
pub(crate) struct Endpoint(HttpPost);

impl Endpoint {
    /// Of a store whose access is configured in `section`.
    pub(crate) fn new(protocol: Protocol, section: &'static str, access: &HttpAccessConfig) -> Result<Self> {
        HttpPost::new(protocol, section, access).map(Self)
    }

    /// Sends a body.
    pub(crate) fn post(&self, body: &[u8]) -> Answer {
        match self.0.post(body, &[]) {
            Ok(answered) => meaning(self.shown_url(), answered),
            Err(why) => Answer::Unavailable { why, asked_pause: Duration::ZERO },
        }
    }

    /// The address without its query.
    pub(crate) fn shown_url(&self) -> &str {
        self.0.shown_url()
    }
}

/// What a status and its words mean. What is wrong with the samples is refused for good; what is wrong
/// with the address, the credentials or the server is waited for.
fn meaning(url: &str, Answered { status, words, asked_pause }: Answered) -> Answer {
    let unavailable = |what_to_do: &str| Answer::Unavailable {
        why: format!("{url} answered {status}{what_to_do}: {words}"),
        asked_pause,
    };
    match status {
        200..300 => Answer::Taken,
        400 | 413 | 422 => {
            let lower = words.to_lowercase();
            let stale = ["out of order", "out of bounds", "duplicate sample", "too old", "beyond retention policy"];
            let is_stale = stale.iter().any(|text| lower.contains(text));
            Answer::Refused { why: format!("{url} answered {status}: {words}"), is_stale }
        }
        401 | 403 => unavailable(" (give it a token, or user and password, that may write)"),
        300..400 | 404 | 405 => unavailable(" (is the url right, and does the store accept writes there?)"),
        _ => unavailable(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    fn kind(status: u16, words: &str) -> &'static str {
        let answered = Answered { status, words: words.to_owned(), asked_pause: Duration::ZERO };
        match meaning("u", answered) {
            Answer::Taken => "taken",
            Answer::Refused { is_stale: true, .. } => "stale",
            Answer::Refused { .. } => "refused",
            Answer::Unavailable { .. } => "unavailable",
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_samples_is_refused() {
        for status in [200, 202, 204] {
            assert_eq!(kind(status, ""), "taken");
        }
        for status in [301, 307, 401, 403, 404, 405, 408, 429, 500, 502, 503] {
            assert_eq!(kind(status, "out of order sample"), "unavailable", "{status}");
        }
        assert_eq!(kind(400, "out of order sample"), "stale");
        assert_eq!(kind(400, "Out of bounds"), "stale");
        assert_eq!(kind(400, "{\"error\":\"partial write: points beyond retention policy dropped=1\"}"), "stale");
        assert_eq!(kind(400, "unable to parse 'x'"), "refused");
        assert_eq!(kind(422, "schema"), "refused");
    }

    /// Answers requests one after the other; gives back their heads.
    fn served(
        answers: &[&'static str],
        access: &HttpAccessConfig,
        meanwhile: impl Fn(usize),
    ) -> (Vec<String>, Vec<Answer>) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/write?db=d", server.local_addr().unwrap());
        let protocol = Protocol { url, token_scheme: "Bearer", headers: &[("X-Test", "1")] };
        let endpoint = Endpoint::new(protocol, "store", access).unwrap();
        std::thread::scope(|scope| {
            let requests = scope.spawn(|| {
                let serve = |answer: &&'static str| {
                    let (mut stream, _) = server.accept().unwrap();
                    let (mut request, mut page) = (Vec::new(), [0; 4096]);
                    while !request.ends_with(b"body") {
                        let read = stream.read(&mut page).unwrap();
                        assert!(read > 0, "the client hung up");
                        request.extend_from_slice(&page[..read]);
                    }
                    stream.write_all(answer.as_bytes()).unwrap();
                    String::from_utf8(request).unwrap().to_lowercase()
                };
                answers.iter().map(serve).collect()
            });
            let got = (0..answers.len())
                .map(|i| {
                    meanwhile(i);
                    endpoint.post(b"body")
                })
                .collect();
            (requests.join().unwrap(), got)
        })
    }

    #[test]
    fn a_store_s_pause_is_heard_and_a_redirection_not_followed() {
        let answers = [
            "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 302 Found\r\nLocation: /login\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ];
        let (requests, got) = served(&answers, &HttpAccessConfig::default(), |_| {});
        assert!(requests[0].starts_with("post /write?db=d http/1.1\r\n") && requests[0].contains("x-test: 1"));
        assert!(matches!(&got[0], Answer::Unavailable { asked_pause, .. } if asked_pause.as_secs() == 7), "{got:?}");
        assert!(matches!(&got[1], Answer::Unavailable { why, .. } if why.contains("302") && !why.contains("db=d")));
    }

    #[test]
    fn a_token_file_is_read_again_when_the_store_does_not_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "old").unwrap();
        let access = HttpAccessConfig { token_file: file.clone(), ..Default::default() };
        let answers = [
            "HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 204 Yes\r\nConnection: close\r\n\r\n",
        ];
        let (requests, got) = served(&answers, &access, |i| {
            if i == 0 {
                std::fs::write(&file, "new").unwrap();
            }
        });
        assert!(requests[0].contains("authorization: bearer old\r\n"));
        assert!(requests[1].contains("authorization: bearer new\r\n"));
        assert!(matches!(got[0], Answer::Unavailable { .. }) && got[1] == Answer::Taken);
    }
}
