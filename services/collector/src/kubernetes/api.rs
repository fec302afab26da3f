//! Asking an API server for lists.

use crate::config::KubernetesConfig;
use anyhow::{Context as _, Result, anyhow, bail};
use http::header::ACCEPT;
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use prescale_kubernetes::access::{Access, client};
use serde_json::Value;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

const ANSWER_BYTES_MAX: usize = 256 << 20;
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

/// The server, or one that it asks in its turn, does not answer now.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct Silent {
    /// In whose words.
    pub(super) why: String,
}

/// An API server.
pub(super) struct Api {
    runtime: Runtime,
    client: kube::Client,
    deadline: Duration,
}

impl Api {
    /// The one that the section names.
    ///
    /// # Errors
    /// When there is no access to it.
    pub(super) fn new(config: &KubernetesConfig) -> Result<Self> {
        let deadline = Duration::from_secs(config.call_deadline_s.into());
        let access = Access {
            section: "collector.kubernetes",
            kubeconfig: &config.kubeconfig,
            context: &config.context,
            connect_timeout: deadline,
        };
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start a runtime for calls")?;
        let client = runtime.block_on(client(&access))?;
        Ok(Self { runtime, client, deadline })
    }

    /// A list; `None` where the server has no such thing.
    ///
    /// # Errors
    /// When it does not answer ([`Silent`], where it says so or says nothing in time), or will not give it.
    pub(super) fn get(&self, list: &List) -> Result<Option<Value>> {
        let path = &list.path;
        let answer = async { tokio::time::timeout(self.deadline, self.answer(list)).await };
        let late = |_| Silent { why: format!("{path}: it took longer than {} s", self.deadline.as_secs()) };
        let (status, body) = self.runtime.block_on(answer).map_err(late)?.with_context(|| path.clone())?;
        match status {
            200 => serde_json::from_slice(&body).map(Some).with_context(|| format!("{path} is no JSON")),
            404 => Ok(None),
            _ => {
                let words: String = String::from_utf8_lossy(&body).chars().take(WORDS_MAX).collect();
                let remedy = if status == 403 { " (the account needs the right to list it)" } else { "" };
                let why = format!("{path} was answered with {status}{remedy}: {words}");
                if status == 429 || status >= 500 {
                    bail!(Silent { why })
                }
                bail!(why)
            }
        }
    }

    async fn answer(&self, list: &List) -> Result<(u16, Vec<u8>)> {
        let accept = if list.metadata_alone { METADATA } else { "application/json" };
        let request = http::Request::get(&list.path).header(ACCEPT, accept).body(Body::empty())?;
        let (parts, body) = self.client.send(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| anyhow!(error))?;
        Ok((parts.status.as_u16(), body.to_bytes().to_vec()))
    }
}
