//! Sections `[collector.kafka_topics.NAME]`.

use super::{check_name, check_step};
use crate::formats::line_protocol::Precision;
use crate::formats::mapped::{JsonMapping, Mapped};
use crate::replay::mapping::{is_kpi_name, long_name};
use anyhow::{Context as _, anyhow, ensure};
use prescale_bus::kafka::KafkaOptions;
use prescale_chassis::Secret;
use prescale_chassis::bus_access::KafkaConfig;
use prescale_chassis::kafka_security::KafkaSecurityConfig;
use prescale_domain::source::SourceName;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const MESSAGES_MAX: usize = 100_000;

/// How the messages of a topic are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KafkaFormat {
    /// InfluxDB line protocol, one or several lines a message, as Telegraf writes it by default.
    #[default]
    LineProtocol,
    /// Telegraf's JSON (`data_format = "json"`), one metric or a batch a message.
    TelegrafJson,
    /// What `prometheus-kafka-adapter` makes of remote write (`SERIALIZATION_FORMAT=json`).
    PrometheusKafkaAdapter,
    /// OTLP as protobuf, as the Kafka exporter of the OpenTelemetry Collector writes it (`otlp_proto`).
    OtlpProto,
    /// OTLP as JSON (`otlp_json`).
    OtlpJson,
    /// Any JSON, by a mapping.
    Json,
}

/// Where a topic is begun that was never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KafkaStart {
    /// With the oldest message that it has.
    #[default]
    Earliest,
    /// With the next one that is written.
    Latest,
}

/// Section `[collector.kafka_topics.NAME]`: a topic of others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaTopicConfig {
    /// The topic, by its whole name.
    pub topic: String,
    /// How its messages are written: `line-protocol`, `telegraf-json`, `prometheus-kafka-adapter`, `otlp-proto`,
    /// `otlp-json`, or `json` with a table `mapping`.
    pub format: KafkaFormat,
    /// Unit of Telegraf's timestamps: `ns`, `us`, `ms` or `s`; empty for `ns` of line protocol, and `s` of JSON, as
    /// Telegraf has them by default.
    pub precision: String,
    /// Which series measure what: a preset's name, or a file of one's own (`.toml`) with a table `series`; not for `json`.
    pub preset: String,
    /// Section `[collector.kafka_topics.NAME.mapping]`: where in a message of `json` stands what.
    pub mapping: JsonMapping,
    /// Whose workloads they are, where several topics have some of the same names: part of the source's name.
    pub tenant: String,
    /// Time between two samples of a workload, in seconds; at least the sender's interval.
    pub step_s: u32,
    /// Most series of which there may be points; messages of more go to the dead letters. One that is silent for an hour
    /// does not count.
    pub series_max: usize,
    /// Where it is begun if it was never read: `earliest` or `latest`.
    pub start: KafkaStart,
    /// Most messages whose values are written at a time.
    pub batch_messages_max: usize,
    /// Reading waits while a stage is more records behind than this; 0 for no bound.
    pub lag_max_records: u64,
    /// Brokers, `host:port`, separated by commas; empty for those of `[bus.kafka]`, with the access of that section.
    pub bootstrap_servers: String,
    /// Section `[collector.kafka_topics.NAME.security]`, with the keys of `[bus.kafka.security]`.
    pub security: KafkaSecurityConfig,
    /// Further librdkafka properties.
    pub properties: BTreeMap<String, Secret>,
}

impl Default for KafkaTopicConfig {
    fn default() -> Self {
        Self {
            topic: String::new(),
            format: KafkaFormat::default(),
            precision: String::new(),
            preset: "telegraf".to_owned(),
            mapping: JsonMapping::default(),
            tenant: String::new(),
            step_s: 60,
            series_max: 1_000_000,
            start: KafkaStart::default(),
            batch_messages_max: 2000,
            lag_max_records: 50_000,
            bootstrap_servers: String::new(),
            security: KafkaSecurityConfig::default(),
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaTopicConfig {
    /// Whether a message has values of series, of which points are made; otherwise it has KPIs of workloads.
    pub fn is_of_series(&self) -> bool {
        self.format != KafkaFormat::Json
    }

    /// Name of the source of this name.
    ///
    /// # Errors
    /// When name and tenant are too long together.
    pub(crate) fn source(&self, name: &str) -> anyhow::Result<SourceName> {
        let tenant = if self.tenant.is_empty() { String::new() } else { format!("/{}", self.tenant) };
        SourceName::new(format!("kafka-topic:{name}{tenant}"))
            .with_context(|| format!("[collector.kafka_topics.{name}] name and tenant"))
    }

    /// Unit of timestamps.
    ///
    /// # Errors
    /// When there is none of that name.
    pub(crate) fn precision(&self, name: &str) -> anyhow::Result<Precision> {
        let is_default = self.precision.is_empty() && self.format == KafkaFormat::TelegrafJson;
        let precision = if is_default { Ok(Precision::Seconds) } else { Precision::named(&self.precision) };
        precision.map_err(|why| anyhow!("[collector.kafka_topics.{name}] {why}"))
    }

    /// The mapping of `json`.
    ///
    /// # Errors
    /// With the key that makes no sense.
    pub(crate) fn mapping(&self, name: &str) -> anyhow::Result<Mapped> {
        let section = format!("[collector.kafka_topics.{name}.mapping]");
        let mut mapping = self.mapping.clone();
        mapping.kpis.clear();
        for (kpi, place) in &self.mapping.kpis {
            let kpi = long_name(kpi);
            ensure!(is_kpi_name(kpi), "{section} kpis.{kpi:?}: a KPI's name is of lower-case letters, digits and `_`");
            let before = mapping.kpis.insert(kpi.to_owned(), place.clone());
            ensure!(before.is_none(), "{section} kpis.{kpi}: it is there by its short name, too");
        }
        mapping.checked().map_err(|why| anyhow!("{section} {why}"))
    }

    /// Access to the cluster that has the topic, where `own` is that of the bus.
    ///
    /// # Errors
    /// With the key that does not fit, or the file that cannot be read.
    pub(crate) fn access(&self, name: &str, own: &KafkaConfig) -> anyhow::Result<KafkaOptions> {
        if self.bootstrap_servers.is_empty() {
            ensure!(
                self.security == KafkaSecurityConfig::default() && self.properties.is_empty(),
                "[collector.kafka_topics.{name}] security and properties are for brokers of its own: set bootstrap_servers"
            );
            return Ok(KafkaOptions { topic_prefix: String::new(), ..own.options()? });
        }
        let theirs = KafkaConfig {
            bootstrap_servers: self.bootstrap_servers.clone(),
            security: self.security.clone(),
            properties: self.properties.clone(),
            ..KafkaConfig::default()
        };
        let of_this = |error: anyhow::Error| {
            let variable = format!("PRESCALE__COLLECTOR__KAFKA_TOPICS__{}__", name.to_ascii_uppercase());
            let words = format!("{error:#}").replace("[bus.kafka.", &format!("[collector.kafka_topics.{name}."));
            anyhow!(words.replace("PRESCALE__BUS__KAFKA__", &variable))
        };
        theirs.options().map_err(of_this)
    }

    pub(crate) fn check(&self, name: &str) -> anyhow::Result<()> {
        let section = format!("[collector.kafka_topics.{name}]");
        check_name(&format!("{section} its name"), name)?;
        check_name(&format!("{section} tenant"), &self.tenant)?;
        ensure!(!self.topic.is_empty(), "{section} topic = \"\": name the topic that is to be read");
        check_step(&format!("{section} step_s"), self.step_s)?;
        ensure!(self.series_max > 0, "{section} series_max = 0: at least 1 is needed");
        ensure!(
            (1..=MESSAGES_MAX).contains(&self.batch_messages_max),
            "{section} batch_messages_max = {}: 1 to {MESSAGES_MAX} are possible",
            self.batch_messages_max
        );
        self.source(name)?;
        self.precision(name)?;
        if self.is_of_series() {
            ensure!(
                self.mapping == JsonMapping::default(),
                "{section} mapping is for format = \"json\": leave it out, or set that"
            );
        } else {
            self.mapping(name)?;
        }
        self.access(name, &KafkaConfig::default()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> KafkaTopicConfig {
        toml::from_str(text).unwrap()
    }

    fn refused(text: &str) -> String {
        format!("{:#}", read(text).check("theirs").unwrap_err())
    }

    #[test]
    fn a_topic_of_each_format_can_be_asked_for() {
        for format in ["line-protocol", "telegraf-json", "prometheus-kafka-adapter", "otlp-proto", "otlp-json"] {
            assert!(read(&format!("topic = \"t\"\nformat = \"{format}\"\n")).check("theirs").is_ok(), "{format}");
        }
        let mapped =
            "topic = \"t\"\nformat = \"json\"\n[mapping]\nworkload = \"/vm\"\nkpis.cpu_cores_used = \"/cpu\"\n";
        assert!(read(mapped).check("theirs").is_ok());
        let json = read("topic = \"t\"\nformat = \"telegraf-json\"\ntenant = \"shop\"\n");
        assert_eq!(json.precision("theirs").unwrap(), Precision::Seconds);
        assert_eq!(read("topic = \"t\"\n").precision("theirs").unwrap(), Precision::Nanoseconds);
        assert_eq!(json.source("theirs").unwrap().as_str(), "kafka-topic:theirs/shop");
    }

    #[test]
    fn kpis_of_a_mapping_may_have_their_short_names() {
        let mapped = |kpis: &str| read(&format!("[mapping]\nworkload = \"/vm\"\n{kpis}")).mapping("theirs");
        let long = mapped("kpis.cpu_cores_used = \"/cpu\"\nkpis.requests_per_s = \"/rps\"\n").unwrap();
        assert_eq!(mapped("kpis.cpu = \"/cpu\"\nkpis.requests = \"/rps\"\n").unwrap(), long);
        let refused = |kpis: &str| mapped(kpis).unwrap_err().to_string();
        assert!(refused("kpis.CPU = \"/cpu\"\n").contains("[collector.kafka_topics.theirs.mapping] kpis.\"CPU\""));
        assert!(refused("kpis.cpu = \"/a\"\nkpis.cpu_cores_used = \"/b\"\n").contains("short name"));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        for (text, wanted) in [
            ("", "[collector.kafka_topics.theirs] topic = \"\""),
            ("topic = \"t\"\nstep_s = 0\n", "[collector.kafka_topics.theirs] step_s = 0"),
            ("topic = \"t\"\nprecision = \"d\"\n", "[collector.kafka_topics.theirs] precision \"d\""),
            ("topic = \"t\"\nformat = \"json\"\n", "[collector.kafka_topics.theirs.mapping] "),
            ("topic = \"t\"\n[mapping]\nworkload = \"/vm\"\n", "mapping is for format = \"json\""),
            ("topic = \"t\"\n[security]\nprotocol = \"ssl\"\n", "set bootstrap_servers"),
            (
                "topic = \"t\"\nbootstrap_servers = \"b:9092\"\n[security]\nusername = \"u\"\n",
                "[collector.kafka_topics.theirs.security] username",
            ),
        ] {
            let error = refused(text);
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn the_access_is_that_of_the_bus_or_its_own_and_the_topic_has_no_prefix() {
        let own = KafkaConfig {
            bootstrap_servers: "ours:9092".to_owned(),
            topic_prefix: "eu.".to_owned(),
            ..KafkaConfig::default()
        };
        let access = read("topic = \"t\"\n").access("theirs", &own).unwrap();
        assert_eq!((access.bootstrap_servers.as_str(), access.topic_prefix.as_str()), ("ours:9092", ""));
        let access = read("topic = \"t\"\nbootstrap_servers = \"theirs:9092\"\n").access("theirs", &own).unwrap();
        assert_eq!((access.bootstrap_servers.as_str(), access.topic_prefix.as_str()), ("theirs:9092", ""));
    }
}
