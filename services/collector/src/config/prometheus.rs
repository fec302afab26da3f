//! Section `[collector.prometheus]`.

use super::{check_name, check_step};
use anyhow::{Context as _, ensure};
use prescale_chassis::HttpAccessConfig;
use prescale_chassis::http_access::check_url;
use prescale_domain::source::SourceName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const SECTION: &str = "collector.prometheus";
const HISTORY_S_MAX: u32 = 366 * 86_400;
const DELAY_S_MAX: u32 = 3600;

/// Section `[collector.prometheus]`: KPIs that a Prometheus has, or what answers like it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrometheusConfig {
    /// Where its API begins, as in `http://prometheus:9090`, without `/api/v1`; empty for off.
    pub url: String,
    /// Names the source for good: it goes on where the source of this name stopped.
    pub name: String,
    /// What to ask: `cloudwatch-export`, `kubernetes`, `libvirt`, `node`, `otel-host`, `otel-kubernetes`, `telegraf`, or a
    /// file of one's own (`.toml`).
    pub preset: String,
    /// Time between two samples of a workload, in seconds.
    pub step_s: u32,
    /// Length of the history that is read first, and the most that is made up for after a stop, in seconds.
    pub history_s: u32,
    /// The same in the history; a multiple of `step_s`. Windows of fingerprints begin anew where the step changes;
    /// forecasts go on.
    pub history_step_s: u32,
    /// An instant is asked for so many seconds after it, when its scrapes are in.
    pub delay_s: u32,
    /// Rates are over so many seconds, or over the step where that is longer: at least two scrapes must lie in them.
    pub rate_window_s: u32,
    /// Reading waits while a stage that reads samples is more records behind than this; 0 for no bound.
    pub lag_max_records: u64,
    /// Whose series, where the server has tenants: sent as `X-Scope-OrgID`, and part of the source's name.
    pub tenant: String,
    /// KPIs of one's own beside the preset's, by name, such as `requests = "rate(orders_total[$window])"`. The name's end
    /// gives kind and unit, as in a mapping; `requests`, `latency` and `errors` are `requests_per_s`, `latency_ms` and
    /// `errors_per_s`. The series need the labels that name a workload; with preset `kubernetes` `namespace` and `pod` do.
    pub kpis: BTreeMap<String, String>,
    /// Section `[collector.prometheus.access]`: how to be let in.
    pub access: HttpAccessConfig,
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            name: "main".to_owned(),
            preset: "kubernetes".to_owned(),
            step_s: 60,
            history_s: 14 * 86_400,
            history_step_s: 300,
            delay_s: 30,
            rate_window_s: 120,
            lag_max_records: 50_000,
            tenant: String::new(),
            kpis: BTreeMap::new(),
            access: HttpAccessConfig::default(),
        }
    }
}

impl PrometheusConfig {
    /// Whether there is a server to be asked.
    pub fn is_enabled(&self) -> bool {
        !self.url.is_empty()
    }

    /// Name of the source: what is of another tenant is of another source.
    ///
    /// # Errors
    /// When both are too long together.
    pub(crate) fn source(&self) -> anyhow::Result<SourceName> {
        let tenant = if self.tenant.is_empty() { String::new() } else { format!("/{}", self.tenant) };
        SourceName::new(format!("prometheus:{}{tenant}", self.name)).context("[collector.prometheus] name and tenant")
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.is_enabled() {
            return Ok(());
        }
        check_url(SECTION, &self.url)?;
        check_name("[collector.prometheus] name", &self.name)?;
        ensure!(!self.name.is_empty(), "[collector.prometheus] name = \"\": the source needs a name");
        check_name("[collector.prometheus] tenant", &self.tenant)?;
        check_step("[collector.prometheus] step_s", self.step_s)?;
        check_step("[collector.prometheus] history_step_s", self.history_step_s)?;
        ensure!(
            self.history_step_s.is_multiple_of(self.step_s),
            "[collector.prometheus] history_step_s = {} is no multiple of step_s = {}",
            self.history_step_s,
            self.step_s
        );
        ensure!(
            self.history_s <= HISTORY_S_MAX,
            "[collector.prometheus] history_s = {}: at most {HISTORY_S_MAX}",
            self.history_s
        );
        ensure!(
            self.delay_s <= DELAY_S_MAX,
            "[collector.prometheus] delay_s = {}: at most {DELAY_S_MAX}",
            self.delay_s
        );
        self.source()?;
        self.access.check("collector.prometheus.access")
    }
}
