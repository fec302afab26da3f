//! How a cluster is reached: by a kubeconfig, or as the pod that this runs in.

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::time::Duration;

/// What a section of the configuration says of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The section's name, for errors.
    pub section: &'a str,
    /// File with the cluster's address and the credentials. Empty for the pod's own account where this runs in the
    /// cluster, else for what `kubectl` would take.
    pub kubeconfig: &'a str,
    /// Context of that file; empty for its current one.
    pub context: &'a str,
    /// Connecting takes no longer.
    pub connect_timeout: Duration,
}

/// A client of the cluster, which sends nothing twice. It connects with the first call. Has to be made on a runtime.
///
/// # Errors
/// When neither a kubeconfig nor a pod's account can be used.
pub async fn client(access: &Access<'_>) -> Result<Client> {
    let mut config = config(access).await?;
    // Whether a request that was not answered has taken effect is looked at, and never guessed by sending it again.
    config.default_retry = false;
    config.connect_timeout = Some(access.connect_timeout);
    Client::try_from(config).context("cannot use the cluster's address and credentials")
}

async fn config(access: &Access<'_>) -> Result<Config> {
    let Access { section, kubeconfig, context, .. } = *access;
    let options = KubeConfigOptions {
        context: Some(context.to_owned()).filter(|context| !context.is_empty()),
        ..KubeConfigOptions::default()
    };
    if !kubeconfig.is_empty() {
        let what = || format!("cannot use [{section}] kubeconfig = {kubeconfig:?}");
        let file = Kubeconfig::read_from(kubeconfig).with_context(what)?;
        return Config::from_custom_kubeconfig(file, &options).await.with_context(what);
    }
    if context.is_empty()
        && let Ok(config) = Config::incluster()
    {
        return Ok(config);
    }
    let what =
        || format!("this runs in no pod, and there is no kubeconfig to use: set [{section}] kubeconfig, or KUBECONFIG");
    Config::from_kubeconfig(&options).await.with_context(what)
}
