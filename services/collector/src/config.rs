//! Configuration of the collector: section `[collector]`.

use crate::inputs::{INPUTS, OwnTables};
use crate::replay::mapping::Mapping;
use anyhow::ensure;
use prescale_domain::source::SourceName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

mod influx;
mod kafka_topics;
mod kubernetes;
mod moment;
mod otlp;
mod prometheus;
mod receiver;
mod remote_write;
mod speed;
mod text;

pub use influx::InfluxConfig;
pub use kafka_topics::{KafkaFormat, KafkaStart, KafkaTopicConfig};
pub use kubernetes::KubernetesConfig;
pub use moment::Moment;
pub use otlp::OtlpConfig;
pub use prometheus::PrometheusConfig;
pub(crate) use receiver::ReceiverKeys;
pub use remote_write::{RemoteWriteConfig, ReplicasConfig};
pub use speed::Speed;

/// Section `[collector]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Section `[collector.host]`: live KPIs of this machine.
    pub host: HostConfig,
    /// Section `[collector.prometheus]`: KPIs that a Prometheus has.
    pub prometheus: PrometheusConfig,
    /// Section `[collector.remote_write]`: series that a Prometheus pushes.
    pub remote_write: RemoteWriteConfig,
    /// Section `[collector.otlp]`: metrics that an OpenTelemetry Collector pushes.
    pub otlp: OtlpConfig,
    /// Section `[collector.influx]`: line protocol that Telegraf pushes.
    pub influx: InfluxConfig,
    /// Sections `[collector.kafka_topics.NAME]`: topics of others.
    pub kafka_topics: BTreeMap<String, KafkaTopicConfig>,
    /// Section `[collector.replay]`: a trace from a file.
    pub replay: ReplayConfig,
    /// Section `[collector.fleet]`: a generated fleet.
    pub fleet: FleetConfig,
    /// Those of inputs that have no field here.
    #[serde(flatten)]
    pub own: OwnTables,
}

/// Section `[collector.host]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostConfig {
    /// Collect the KPIs of this machine.
    pub enabled: bool,
    /// Time between two samples, in seconds.
    pub every_s: u32,
    /// Name of this machine in the workload id `host:NAME`; empty for its host name.
    pub name: String,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { enabled: true, every_s: 10, name: String::new() }
    }
}

/// Section `[collector.replay]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplayConfig {
    /// The trace: Parquet, or text such as CSV, plain or packed (gzip, zstd); a folder or a pattern such as
    /// `vms/*.csv` for several files with the same columns. Empty for none.
    pub file: PathBuf,
    /// Names the replay for good: it goes on where the replay of this name stopped. Empty for the
    /// file's name. Another name replays the same file from its start.
    pub name: String,
    /// First instant: RFC 3339, or seconds since 1970; empty for the file's first.
    #[serde(with = "text")]
    pub from: Moment,
    /// End, itself left out: RFC 3339, seconds since 1970, or `"+1d"` (s, m, h, d) after `from`;
    /// empty for the file's end.
    #[serde(with = "text")]
    pub to: Moment,
    /// How many seconds of the trace go by in one second; 1 is as it was, `"max"` is as fast as
    /// the bus takes it.
    #[serde(with = "text")]
    pub speed: Speed,
    /// Sampling step of the trace, in seconds; 0 to find it from the data.
    pub step_s: u32,
    /// Most samples written at a time.
    pub batch_samples_max: usize,
    /// Writing waits while the fingerprinter is more records behind than this; 0 for no bound.
    pub lag_max_records: u64,
    /// Memory for ordering the trace, in bytes; what is beyond goes to temporary files.
    pub sort_memory_bytes_max: usize,
    /// Section `[collector.replay.mapping]`: which columns hold what; not needed for the traces
    /// that are known by their columns.
    pub mapping: Mapping,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            file: PathBuf::new(),
            name: String::new(),
            from: Moment::Open,
            to: Moment::Open,
            speed: Speed::default(),
            step_s: 0,
            batch_samples_max: 2000,
            lag_max_records: 50_000,
            sort_memory_bytes_max: 512 << 20,
            mapping: Mapping::default(),
        }
    }
}

/// Section `[collector.fleet]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FleetConfig {
    /// Generate a fleet.
    pub enabled: bool,
    /// Names the fleet for good; its workloads are `NAME-ARCHETYPE-NUMBER`.
    pub name: String,
    /// Number of workloads.
    pub workloads: u32,
    /// Time between two samples of a workload, in seconds. It is the same in the history: a change
    /// of the step makes the fingerprinter begin its windows anew.
    pub step_s: u32,
    /// The whole fleet follows from it.
    pub seed: u64,
    /// Length of the history that is written first, and the most that is made up for after a
    /// stop, in seconds.
    pub history_s: u32,
    /// In the history, results of actions are heard of once in so many seconds of event time,
    /// after every stage has worked through what was written; a multiple of `step_s`.
    pub feedback_s: u32,
    /// Wait so long for stages that do not move, in seconds; then go on without them.
    pub settle_s_max: u32,
    /// First instant of a new fleet: RFC 3339, or seconds since 1970; empty for `history_s` ago.
    #[serde(with = "text")]
    pub start: Moment,
    /// End, itself left out: RFC 3339, seconds since 1970, or `"+1d"` after `start`; needs `start`.
    /// The fleet is then written up to there whatever the clock says. Empty to go on live.
    #[serde(with = "text")]
    pub until: Moment,
    /// Share of the samples that are missing, from 0 to 1.
    pub missing_samples_share: f64,
    /// Share of the single values that are missing, from 0 to 1.
    pub missing_values_share: f64,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            name: "demo".to_owned(),
            workloads: 50,
            step_s: 60,
            seed: 1,
            history_s: 93_600,
            feedback_s: 300,
            settle_s_max: 60,
            start: Moment::Open,
            until: Moment::Open,
            missing_samples_share: 0.004,
            missing_values_share: 0.002,
        }
    }
}

/// Longest name of a source, in bytes: with archetype and number it must stay a workload id.
const NAME_BYTES_MAX: usize = 200;
const WORKLOADS_MAX: u32 = 200_000;
const STEP_S_MAX: u32 = 86_400;
const HISTORY_S_MAX: u32 = 366 * 86_400;

impl Config {
    /// Checks what can be checked without opening anything.
    ///
    /// # Errors
    /// When a value is out of its range, with the key.
    pub fn check(&self) -> anyhow::Result<()> {
        INPUTS.iter().try_for_each(|input| (input.check)(self))
    }

    /// Whether an input writes points, of which samples are made.
    pub fn writes_points(&self) -> bool {
        self.receivers().next().is_some() || self.kafka_topics.values().any(KafkaTopicConfig::is_of_series)
    }

    /// The receivers that listen.
    fn receivers(&self) -> impl Iterator<Item = ReceiverKeys<'_>> {
        let all = [self.remote_write.keys(), self.otlp.keys(), self.influx.keys()];
        all.into_iter().filter(ReceiverKeys::is_enabled)
    }

    /// The preset of the input that writes points of this source, where there is one.
    pub(crate) fn preset_of_pushed(&self, source: &SourceName) -> Option<&str> {
        let receiver = self.receivers().find(|keys| keys.source().is_ok_and(|s| s == *source));
        let mut topics = self.kafka_topics.iter().filter(|(_, topic)| topic.is_of_series());
        let topic = topics.find(|(name, topic)| topic.source(name).is_ok_and(|s| s == *source));
        receiver.map(|keys| keys.preset).or_else(|| topic.map(|(_, topic)| topic.preset.as_str()))
    }
}

impl HostConfig {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        check_step("[collector.host] every_s", self.every_s)?;
        check_name("[collector.host] name", &self.name)
    }
}

impl ReplayConfig {
    /// Whether there is a trace to be replayed.
    pub fn is_enabled(&self) -> bool {
        !self.file.as_os_str().is_empty()
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        check_name("[collector.replay] name", &self.name)?;
        ensure!(
            !matches!(self.from, Moment::After { .. }),
            "[collector.replay] from = \"{}\": give an instant, only `to` can be relative",
            self.from
        );
        ensure!(
            self.step_s <= STEP_S_MAX,
            "[collector.replay] step_s = {}: at most {STEP_S_MAX}, or 0 to find it from the data",
            self.step_s
        );
        ensure!(
            (1..=100_000).contains(&self.batch_samples_max),
            "[collector.replay] batch_samples_max = {}: 1 to 100000 are possible",
            self.batch_samples_max
        );
        ensure!(
            self.sort_memory_bytes_max >= 64 << 20,
            "[collector.replay] sort_memory_bytes_max = {}: at least 67108864 (64 MiB) are needed",
            self.sort_memory_bytes_max
        );
        self.mapping.check()
    }
}

impl FleetConfig {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        check_name("[collector.fleet] name", &self.name)?;
        ensure!(!self.name.is_empty(), "[collector.fleet] name = \"\": a fleet needs a name");
        ensure!(
            (1..=WORKLOADS_MAX).contains(&self.workloads),
            "[collector.fleet] workloads = {}: 1 to {WORKLOADS_MAX} are possible",
            self.workloads
        );
        check_step("[collector.fleet] step_s", self.step_s)?;
        ensure!(
            self.feedback_s >= self.step_s && self.feedback_s.is_multiple_of(self.step_s),
            "[collector.fleet] feedback_s = {} is no multiple of step_s = {}",
            self.feedback_s,
            self.step_s
        );
        ensure!(
            self.history_s <= HISTORY_S_MAX,
            "[collector.fleet] history_s = {}: at most {HISTORY_S_MAX}",
            self.history_s
        );
        self.check_span()?;
        for (key, share) in
            [("missing_samples_share", self.missing_samples_share), ("missing_values_share", self.missing_values_share)]
        {
            ensure!((0.0..=1.0).contains(&share), "[collector.fleet] {key} = {share}: a share is from 0 to 1");
        }
        Ok(())
    }

    fn check_span(&self) -> anyhow::Result<()> {
        ensure!(
            !matches!(self.start, Moment::After { .. }),
            "[collector.fleet] start = \"{}\": give an instant, only `until` can be relative",
            self.start
        );
        ensure!(
            self.until == Moment::Open || self.start != Moment::Open,
            "[collector.fleet] until = \"{}\" needs a start: the span would depend on the clock",
            self.until
        );
        let (start, until) = (self.start.after(None), self.until.after(self.start.after(None)));
        if let (Some(start), Some(until)) = (start, until) {
            ensure!(
                start < until,
                "[collector.fleet] until = \"{}\" is not after start = \"{}\"",
                self.until,
                self.start
            );
        }
        Ok(())
    }
}

fn check_step(key: &str, step_s: u32) -> anyhow::Result<()> {
    ensure!((1..=STEP_S_MAX).contains(&step_s), "{key} = {step_s}: 1 to {STEP_S_MAX} are possible");
    Ok(())
}

/// Names become part of ids, headers and consumer names: letters, digits, `.`, `_` and `-`.
fn check_name(key: &str, name: &str) -> anyhow::Result<()> {
    ensure!(name.len() <= NAME_BYTES_MAX, "{key} has {} bytes, at most {NAME_BYTES_MAX} are possible", name.len());
    ensure!(name.chars().all(is_name_character), "{key} = {name:?}: letters, digits, `.`, `_` and `-` are possible");
    Ok(())
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

/// A name of `text` in which everything that names cannot have is `_`.
pub(crate) fn name_from(text: &str) -> String {
    text.chars().take(NAME_BYTES_MAX).map(|c| if is_name_character(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
