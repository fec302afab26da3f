//! Logs through `tracing`, metrics through a Prometheus recorder.

use crate::listen_tls::ListenTlsConfig;
use anyhow::{Context as _, Result, anyhow};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// Upper bounds of the buckets of every `*_seconds` histogram.
const SECONDS_BUCKETS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const LEVELS: &str = "use off, error, warn, info, debug or trace, or directives such as info,prescale_bus=debug";

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For reading on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// For reading.
    Human,
    /// One JSON object a line.
    Json,
}

/// Section `[telemetry]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct TelemetryConfig {
    /// How log lines look: `auto`, `human` or `json`.
    pub log_format: LogFormat,
    /// What is logged: a level, or directives as in `info,prescale_bus=debug`. `RUST_LOG` wins.
    pub log_level: String,
    /// Address of `/livez`, `/readyz` and `/metrics`; empty for none.
    pub listen: String,
    /// TLS there.
    pub tls: ListenTlsConfig,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_format: LogFormat::Auto,
            log_level: "info".to_owned(),
            listen: "127.0.0.1:9095".to_owned(),
            tls: ListenTlsConfig::default(),
        }
    }
}

/// Sends this process's log lines to standard error from here on.
///
/// # Errors
/// When the filter cannot be read, or logging was set up before.
pub fn init_logs(config: &TelemetryConfig) -> Result<()> {
    let directives = std::env::var("RUST_LOG").ok().filter(|d| !d.is_empty());
    let filter = match &directives {
        Some(directives) => filter(directives).with_context(|| format!("RUST_LOG = {directives:?}"))?,
        None => level_filter(&config.log_level)
            .with_context(|| format!("[telemetry] log_level = {:?}", config.log_level))?,
    };
    let on_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let installed = if is_json(config.log_format, on_terminal) {
        builder.json().flatten_event(true).finish().try_init()
    } else {
        let colours = on_terminal && std::env::var_os("NO_COLOR").is_none();
        builder.with_ansi(colours).finish().try_init()
    };
    installed.map_err(|e| anyhow!("logging is set up already: {e}"))
}

fn filter(directives: &str) -> Result<EnvFilter> {
    EnvFilter::builder().parse(directives).with_context(|| format!("is no log filter: {LEVELS}"))
}

/// As [`filter`], but a lone word must be a level: as a target it would silence everything else.
fn level_filter(directives: &str) -> Result<EnvFilter> {
    for word in directives.split(',').filter(|d| !d.contains(['=', '['])) {
        let level = word.trim().parse::<LevelFilter>().ok().filter(|_| !word.trim().is_empty());
        level.with_context(|| format!("{word:?} is no level: {LEVELS}"))?;
    }
    filter(directives)
}

fn is_json(format: LogFormat, on_terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !on_terminal,
        LogFormat::Human => false,
        LogFormat::Json => true,
    }
}

/// This process's metrics.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes the recorder that `metrics::counter!` and its kin write to from here on; a second
    /// call gives the same one.
    ///
    /// # Errors
    /// When another recorder is there already.
    pub fn install() -> Result<Self> {
        static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
            .context("the histogram's buckets are not accepted")?
            .install_recorder()
            .context("another metrics recorder is installed already")?;
        let metrics = Self(handle);
        *installed = Some(metrics.clone());
        describe();
        Ok(metrics)
    }

    /// The metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds recorded histogram values into their buckets; to be called every few seconds.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

fn describe() {
    metrics::describe_histogram!("prescale_stage_apply_seconds", "Time that a stage took for one batch, with decoding");
    metrics::describe_gauge!("prescale_stage_event_time_seconds", "Newest event time of the last batch, since 1970");
    metrics::describe_gauge!("prescale_build_info", "1, with the version as a label");
    metrics::gauge!("prescale_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_unless_someone_reads_along() {
        assert!(is_json(LogFormat::Auto, false));
        assert!(!is_json(LogFormat::Auto, true));
        assert!(is_json(LogFormat::Json, true));
        assert!(!is_json(LogFormat::Human, false));
    }

    #[test]
    fn a_wrong_filter_is_refused() {
        for good in ["info", "WARN", "off", "info,prescale_bus=debug", "prescale_bus=debug, warn"] {
            assert!(level_filter(good).is_ok(), "{good}");
        }
        for wrong in ["loud", "info,loud", "", "info,prescale_bus=loud"] {
            assert!(format!("{:#}", level_filter(wrong).unwrap_err()).contains("info,prescale_bus=debug"), "{wrong}");
        }
    }

    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = Metrics::install().unwrap();
        metrics::counter!("prescale_test_total", "stage" => "x").increment(3);
        metrics::histogram!("prescale_test_seconds").record(0.003);
        let text = Metrics::install().unwrap().render();
        assert!(text.contains("prescale_test_total{stage=\"x\"} 3"), "{text}");
        assert!(text.contains("prescale_test_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("prescale_build_info"));
        metrics.upkeep();
    }
}
