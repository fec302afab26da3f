//! Asks a registry over HTTP.

use super::config::{Credentials, SchemaRegistryConfig};
use super::protocol::{Ask, Method, Reply};
use crate::config::Secret;
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::path::Path;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
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
        let mut agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(config.timeout_s)))
            .http_status_as_error(false);
        if !config.ca_file.as_os_str().is_empty() {
            agent = agent.tls_config(TlsConfig::builder().root_certs(certificates(&config.ca_file)?).build());
        }
        let authorization = match config.credentials()? {
            Credentials::None => None,
            Credentials::Bearer(token) => Some(Secret::new(format!("Bearer {}", token.expose()))),
            Credentials::Basic { user, password } => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
                Some(Secret::new(format!("Basic {pair}")))
            }
        };
        let base = config.url.trim_end_matches('/').to_owned();
        Ok(Self { agent: agent.build().into(), base, authorization })
    }
}

fn certificates(file: &Path) -> Result<RootCerts> {
    let said = || format!("[schema_registry] ca_file: {}", file.display());
    let pem = std::fs::read(file).with_context(said)?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().with_context(said)?;
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    ensure!(!certificates.is_empty(), "{} has no certificate", said());
    Ok(RootCerts::from(certificates))
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
