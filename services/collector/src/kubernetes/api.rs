//! Asking an API server for lists.

use crate::config::KubernetesConfig;
use anyhow::{Context as _, Result, bail};
use prescale_chassis::http_access::Authorization;
use serde_json::Value;
use ureq::Agent;

const SECTION: &str = "collector.kubernetes.access";
const ANSWER_BYTES_MAX: u64 = 256 << 20;
/// So much of the server's words is repeated.
const WORDS_MAX: usize = 300;

/// How a server is asked for metadata alone.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    /// Path, with its query.
    pub(super) path: String,
    /// Whether the metadata of what is in it will do.
    pub(super) metadata_alone: bool,
}

/// An API server.
pub(super) struct Api {
    url: String,
    agent: Agent,
    authorization: Authorization,
}

impl Api {
    /// The one that the section names.
    ///
    /// # Errors
    /// When the access cannot be used, with the key.
    pub(super) fn new(config: &KubernetesConfig) -> Result<Self> {
        let agent = config.access.agent(SECTION, 0)?;
        let authorization = Authorization::new(&config.access, SECTION, "Bearer")?;
        Ok(Self { url: config.url.trim_end_matches('/').to_owned(), agent, authorization })
    }

    /// A list; `None` where the server has no such thing.
    ///
    /// # Errors
    /// When it does not answer, or will not give it.
    pub(super) fn get(&self, list: &List) -> Result<Option<Value>> {
        let url = format!("{}{}", self.url, list.path);
        let accept = if list.metadata_alone { METADATA } else { "application/json" };
        let mut request = self.agent.get(&url).header("Accept", accept);
        if let Some(value) = self.authorization.value() {
            request = request.header("Authorization", value.expose());
        }
        let mut response = request.call().with_context(|| url.clone())?;
        let status = response.status().as_u16();
        self.authorization.heed(status);
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.with_context(|| url.clone())?;
        match status {
            200 => serde_json::from_slice(&body).map(Some).with_context(|| format!("{url} answered with no JSON")),
            404 => Ok(None),
            _ => {
                let words: String = String::from_utf8_lossy(&body).chars().take(WORDS_MAX).collect();
                let remedy = match status {
                    401 => " (give it a token in [collector.kubernetes.access])",
                    403 => " (the token needs the right to list it)",
                    _ => "",
                };
                bail!("{url} answered {status}{remedy}: {words}")
            }
        }
    }
}
