//! Asks a registry over HTTP.

use super::config::{ACCESS, SchemaRegistryConfig};
use super::protocol::{Ask, Method, Reply};
use crate::config::Secret;
use anyhow::Result;
use ureq::Agent;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const REDIRECTS_MAX: u32 = 10;
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A way to ask.
pub(super) trait Api: Send + Sync {
    /// The reply, or why none came.
    fn ask(&self, ask: &Ask<'_>) -> Result<Reply, String>;
}

pub(super) struct HttpApi {
    agent: Agent,
    base: String,
    authorization: Option<Secret>,
}

impl HttpApi {
    pub(super) fn new(config: &SchemaRegistryConfig) -> Result<Self> {
        let authorization = config.access.credentials(ACCESS)?.authorization("Bearer");
        let agent = config.access.agent(ACCESS, REDIRECTS_MAX)?;
        let base = config.url.trim_end_matches('/').to_owned();
        Ok(Self { agent, base, authorization })
    }
}

impl Api for HttpApi {
    fn ask(&self, ask: &Ask<'_>) -> Result<Reply, String> {
        let (method, path) = ask.request();
        let url = format!("{}{path}", self.base);
        let authorization = self.authorization.as_ref().map(|a| ("Authorization", a.expose()));
        let headers = [("Accept", CONTENT_TYPE)].into_iter().chain(authorization);
        let body = ask.body().map(|body| body.to_string()).unwrap_or_default();
        let sent = match method {
            Method::Get => headers.fold(self.agent.get(&url), |r, (name, value)| r.header(name, value)).call(),
            Method::Post | Method::Put => {
                let request = if method == Method::Post { self.agent.post(&url) } else { self.agent.put(&url) };
                headers.fold(request, |r, (name, value)| r.header(name, value)).content_type(CONTENT_TYPE).send(body)
            }
        };
        let unanswered = |e: ureq::Error| format!("{}: {e}", self.base);
        let mut response = sent.map_err(unanswered)?;
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(unanswered)?;
        Ok(Reply { status: response.status().as_u16(), body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    /// Asks a server that gives this answer once; the request as it came, and the reply.
    fn asked(
        ask: &Ask<'_>,
        answer: &str,
        with: impl FnOnce(&mut SchemaRegistryConfig),
    ) -> (String, Result<Reply, String>) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/api/", server.local_addr().unwrap());
        let mut config = SchemaRegistryConfig { url, ..Default::default() };
        with(&mut config);
        let api = HttpApi::new(&config).unwrap();
        std::thread::scope(|scope| {
            let served = scope.spawn(move || {
                let (mut stream, _) = server.accept().unwrap();
                let (mut request, mut page) = (Vec::new(), [0; 4096]);
                let is_whole = |request: &[u8]| {
                    request.ends_with(if request.starts_with(b"GET") { b"\r\n\r\n".as_slice() } else { b"}" })
                };
                while !is_whole(&request) {
                    let read = stream.read(&mut page).unwrap();
                    request.extend_from_slice(&page[..read]);
                }
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(request).unwrap()
            });
            let reply = api.ask(ask);
            (served.join().unwrap(), reply)
        })
    }

    #[test]
    fn requests_carry_the_credentials() {
        let found = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n{\"id\":7}";
        let lookup = Ask::Lookup { subject: "raw-kpis-value", schema: "\"long\"" };
        let (request, reply) = asked(&lookup, found, |c| c.access.token = Secret::new("swordfish"));
        assert!(request.starts_with("POST /api/subjects/raw-kpis-value HTTP/1.1\r\n"), "{request}");
        let lower = request.to_lowercase();
        assert!(lower.contains("authorization: bearer swordfish\r\n"), "{request}");
        assert!(lower.contains("content-type: application/vnd.schemaregistry.v1+json\r\n"), "{request}");
        assert!(request.ends_with(r#"{"schema":"\"long\""}"#), "{request}");
        assert_eq!(reply, Ok(Reply { status: 200, body: b"{\"id\":7}".to_vec() }));
    }

    #[test]
    fn a_status_is_an_answer_and_silence_is_none() {
        let absent = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        let (request, reply) = asked(&Ask::Schema { id: 3 }, absent, |c| {
            c.access.user = "u".to_owned();
            c.access.password = Secret::new("p");
        });
        assert!(request.to_lowercase().contains("authorization: basic dtpw\r\n"), "{request}");
        assert_eq!(reply, Ok(Reply { status: 404, body: b"{}".to_vec() }));
        let (_, silent) = asked(&Ask::Schema { id: 3 }, "", |_| {});
        assert!(silent.is_err(), "{silent:?}");
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, "none").unwrap();
        let mut config = SchemaRegistryConfig { url: "https://registry".to_owned(), ..Default::default() };
        config.access.ca_file = ca_file;
        assert!(HttpApi::new(&config).err().unwrap().to_string().contains("ca_file"));
    }
}
