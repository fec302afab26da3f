//! Section `[scaler]`.

use crate::exposition::Shown;
use crate::forecasts::Terms;
use anyhow::{Context as _, Result, bail, ensure};
use prescale_chassis::config::selector;
use prescale_chassis::{ListenTlsConfig, Secret, listen_access};
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::sample::Platform;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Section `[scaler]`: forecasts for KEDA, and for HPAs over Prometheus.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Address that it listens on, `host:port`, for gRPC and HTTP alike; empty for off.
    pub listen: String,
    /// Bearer token that whoever asks must have. KEDA has none to give: let it in by a certificate (`client_ca_file` in
    /// `tls`), without which, or a token, `listen` may not be open to other machines.
    pub token: Secret,
    /// A forecast that is older, in seconds by the wall clock, is none: whoever asks is told so, and falls back on what
    /// it is to do then.
    pub stale_after_s: u32,
    /// Most workloads kept in memory.
    pub workloads_max: usize,
    /// Most streams that are open at a time; each ScaledObject of KEDA with an `external-push` trigger has two.
    pub streams_max: u32,
    /// Section `[scaler.metrics]`: what is shown as metrics of Prometheus.
    pub metrics: MetricsConfig,
    /// Section `[scaler.tls]`: TLS, and who gets in by a certificate.
    pub tls: ListenTlsConfig,
}

/// Section `[scaler.metrics]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsConfig {
    /// Platforms whose workloads are shown; empty for all.
    pub platforms: Vec<String>,
    /// Patterns of workload names, such as `shop/*`: one of them must match. Empty for all.
    pub workloads: Vec<String>,
    /// Patterns of sources, such as `prometheus:*`: one of them must match. Empty for all.
    pub sources: Vec<String>,
    /// Quantiles of the demand, from 0.05 to 0.99.
    pub quantiles: Vec<f64>,
    /// Most series; a workload whose series have no room is left out whole, and counted.
    pub series_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: String::new(),
            token: Secret::default(),
            stale_after_s: 900,
            workloads_max: 20_000,
            streams_max: 2_000,
            metrics: MetricsConfig::default(),
            tls: ListenTlsConfig::default(),
        }
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            platforms: vec![Platform::KUBERNETES.to_string()],
            workloads: Vec::new(),
            sources: Vec::new(),
            quantiles: vec![0.5, 0.9, 0.95],
            series_max: 50_000,
        }
    }
}

impl Config {
    /// Whether it listens.
    pub fn is_enabled(&self) -> bool {
        !self.listen.is_empty()
    }

    /// Refuses what cannot be.
    ///
    /// # Errors
    /// With the key.
    pub fn check(&self) -> Result<()> {
        ensure!(self.stale_after_s > 0, "[scaler] stale_after_s = 0: at least 1 is needed");
        ensure!(self.workloads_max > 0, "[scaler] workloads_max = 0: at least 1 is needed");
        ensure!(self.streams_max > 0, "[scaler] streams_max = 0: at least 1 is needed");
        self.metrics.shown()?;
        if self.is_enabled() {
            self.address()?;
            self.tls.read("scaler.tls")?;
        }
        Ok(())
    }

    /// The address to listen on, after checking that others cannot reach it without a token or a certificate.
    ///
    /// # Errors
    /// As [`listen_access::checked_address`].
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        listen_access::checked_address("scaler", &self.listen, &self.token, &self.tls)
    }

    /// What is kept of workloads.
    pub(crate) fn terms(&self) -> Terms {
        Terms { workloads_max: self.workloads_max, stale_after_s: self.stale_after_s }
    }
}

impl MetricsConfig {
    /// What is shown, checked.
    ///
    /// # Errors
    /// With the key.
    pub(crate) fn shown(&self) -> Result<Shown> {
        let (least, greatest) = (QUANTILE_LEVELS[0], QUANTILE_LEVELS[QUANTILE_LEVELS.len() - 1]);
        if let Some(wrong) = self.quantiles.iter().find(|level| !(least..=greatest).contains(*level)) {
            bail!("[scaler.metrics] quantiles: {wrong} is not from {least} to {greatest}");
        }
        let platform = |name: &String| {
            Platform::new(name).with_context(|| format!("[scaler.metrics] platforms: {name:?} is no name of one"))
        };
        Ok(Shown {
            platforms: self.platforms.iter().map(platform).collect::<Result<_>>()?,
            selector: selector("[scaler.metrics]", &self.workloads, &self.sources)?,
            quantiles: self.quantiles.clone(),
            series_max: self.series_max,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_named_by_its_key() {
        let said = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().map_or_else(|error| format!("{error:#}"), |()| String::new())
        };
        assert_eq!(said(|_| {}), "");
        assert_eq!(said(|c| c.listen = "127.0.0.1:0".to_owned()), "");
        type Case = (fn(&mut Config), &'static str);
        let cases: [Case; 8] = [
            (|c| c.listen = "0.0.0.0:0".to_owned(), "[scaler] token"),
            (|c| c.stale_after_s = 0, "[scaler] stale_after_s"),
            (|c| c.workloads_max = 0, "[scaler] workloads_max"),
            (|c| c.streams_max = 0, "[scaler] streams_max"),
            (|c| c.metrics.quantiles = vec![0.5, 0.999], "[scaler.metrics] quantiles: 0.999"),
            (|c| c.metrics.quantiles = vec![f64::NAN], "[scaler.metrics] quantiles"),
            (|c| c.metrics.platforms = vec!["K8s".to_owned()], "[scaler.metrics] platforms: \"K8s\""),
            (|c| c.metrics.workloads = vec!["shop/[".to_owned()], "[scaler.metrics] workloads"),
        ];
        for (change, wanted) in cases {
            let error = said(change);
            assert!(error.contains(wanted), "{error}, not {wanted}");
        }
    }
}
