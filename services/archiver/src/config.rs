//! Configuration of the archiver: section `[archiver]`. A store is off until its section says where it is.

use crate::features::Selection;
use crate::stages;
use anyhow::{Result, ensure};
use prescale_chassis::http_access::check_url;
use prescale_chassis::{HttpAccessConfig, StageEntry};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const PROMETHEUS: &str = "archiver.prometheus";
pub(crate) const INFLUXDB: &str = "archiver.influxdb";
pub(crate) const PROMETHEUS_ACCESS: &str = "archiver.prometheus.access";
pub(crate) const INFLUXDB_ACCESS: &str = "archiver.influxdb.access";

/// Section `[archiver]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Section `[archiver.prometheus]`.
    pub prometheus: PrometheusConfig,
    /// Section `[archiver.influxdb]`.
    pub influxdb: InfluxdbConfig,
    /// Section `[archiver.parquet]`.
    pub parquet: ParquetConfig,
}

/// Section `[archiver.prometheus]`: a store that takes Prometheus remote write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrometheusConfig {
    /// Where to write, as in `http://prometheus:9090/api/v1/write`; empty for off.
    pub url: String,
    /// Features that become series, beside the last value and the capacity: names as in the Parquet
    /// files, such as `short_p95`, or `all`.
    pub features: Vec<String>,
    /// Most samples sent at a time.
    pub samples_per_request_max: usize,
    /// Section `[archiver.prometheus.access]`.
    pub access: HttpAccessConfig,
}

/// Section `[archiver.influxdb]`: a store that takes InfluxDB's line protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct InfluxdbConfig {
    /// Where its API begins, as in `http://influxdb:8086`; empty for off.
    pub url: String,
    /// Database, for InfluxDB 1.
    pub database: String,
    /// Its retention policy; empty for the default one.
    pub retention_policy: String,
    /// Organisation, for InfluxDB 2 and newer.
    pub org: String,
    /// Bucket, for InfluxDB 2 and newer.
    pub bucket: String,
    /// Features that become fields, as in `[archiver.prometheus]`.
    pub features: Vec<String>,
    /// Most lines sent at a time.
    pub lines_per_request_max: usize,
    /// Section `[archiver.influxdb.access]`.
    pub access: HttpAccessConfig,
}

/// Section `[archiver.parquet]`: day-partitioned files, which training reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ParquetConfig {
    /// Folder; empty for off. Instances of the archiver must share it.
    pub folder: PathBuf,
    /// A file has no more rows than about so many. Those of a day and partition go into one as long as it has room.
    pub rows_per_file_max: usize,
    /// What has come shows in the files once it spans so many seconds of event time, and is as much as the file has
    /// that it goes into.
    pub span_s_max: u32,
    /// A day's last records show when their sources are so many seconds past its end.
    pub idle_s: u32,
}

fn default_features() -> Vec<String> {
    ["short_mean", "short_p95", "short_max", "long_mean", "long_p95", "long_max"].map(str::to_owned).to_vec()
}

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            features: default_features(),
            samples_per_request_max: 5000,
            access: HttpAccessConfig::default(),
        }
    }
}

impl Default for InfluxdbConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            database: String::new(),
            retention_policy: String::new(),
            org: String::new(),
            bucket: String::new(),
            features: default_features(),
            lines_per_request_max: 5000,
            access: HttpAccessConfig::default(),
        }
    }
}

impl Default for ParquetConfig {
    fn default() -> Self {
        Self { folder: PathBuf::new(), rows_per_file_max: 200_000, span_s_max: 3600, idle_s: 600 }
    }
}

impl PrometheusConfig {
    pub(crate) fn is_on(&self) -> bool {
        !self.url.is_empty()
    }
}

impl InfluxdbConfig {
    pub(crate) fn is_on(&self) -> bool {
        !self.url.is_empty()
    }
}

impl ParquetConfig {
    pub(crate) fn is_on(&self) -> bool {
        !self.folder.as_os_str().is_empty()
    }
}

impl Config {
    /// The stages that these stores ask for; none when all are off.
    pub fn stages(&self) -> Vec<StageEntry> {
        let stores: [(bool, &[StageEntry]); 3] = [
            (self.prometheus.is_on(), &stages::PROMETHEUS),
            (self.influxdb.is_on(), &stages::INFLUXDB),
            (self.parquet.is_on(), &stages::PARQUET),
        ];
        stores.into_iter().filter(|(is_on, _)| *is_on).flat_map(|(_, of_store)| of_store).copied().collect()
    }

    /// Refuses what no store can have, and files that are named and cannot be read.
    ///
    /// # Errors
    /// With the section and the key.
    pub fn check(&self) -> Result<()> {
        if self.prometheus.is_on() {
            let config = &self.prometheus;
            check_url(PROMETHEUS, &config.url)?;
            check_store(PROMETHEUS, &config.features, ("samples_per_request_max", config.samples_per_request_max))?;
            config.access.check(PROMETHEUS_ACCESS)?;
        }
        if self.influxdb.is_on() {
            let config = &self.influxdb;
            check_url(INFLUXDB, &config.url)?;
            ensure!(
                config.database.is_empty() != config.bucket.is_empty(),
                "[{INFLUXDB}] database: give a database (InfluxDB 1), or a bucket (2 and newer), and not both"
            );
            ensure!(
                config.bucket.is_empty() || !config.org.is_empty(),
                "[{INFLUXDB}] org: a bucket needs its organisation"
            );
            check_store(INFLUXDB, &config.features, ("lines_per_request_max", config.lines_per_request_max))?;
            config.access.check(INFLUXDB_ACCESS)?;
        }
        if self.parquet.is_on() {
            let config = &self.parquet;
            let counts = [("rows_per_file_max", config.rows_per_file_max), ("span_s_max", config.span_s_max as usize)];
            if let Some((key, _)) = counts.iter().find(|(_, value)| *value == 0) {
                anyhow::bail!("[archiver.parquet] {key} = 0: at least 1 is needed");
            }
        }
        Ok(())
    }
}

fn check_store(section: &str, features: &[String], (key, per_request_max): (&str, usize)) -> Result<()> {
    ensure!(per_request_max > 0, "[{section}] {key} = 0: at least 1 is needed");
    Selection::of(features).map(drop).map_err(|e| e.context(format!("[{section}] features")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        config.prometheus.url = "http://p/api/v1/write".to_owned();
        config.influxdb.url = "http://i".to_owned();
        config.influxdb.database = "d".to_owned();
        config.parquet.folder = "archive".into();
        change(&mut config);
        config.check().map_or_else(|e| format!("{e:#}"), |()| String::new())
    }

    #[test]
    fn what_no_store_can_have_is_refused_by_key() {
        assert_eq!(refused(|_| {}), "");
        assert!(refused(|c| c.prometheus.url = "p:9090".to_owned()).contains("[archiver.prometheus] url"));
        assert!(refused(|c| c.prometheus.features = vec!["p95".to_owned()]).contains("features"));
        assert!(refused(|c| c.prometheus.samples_per_request_max = 0).contains("samples_per_request_max"));
        assert!(refused(|c| c.prometheus.access.user = "u".to_owned()).contains("[archiver.prometheus.access]"));
        assert!(refused(|c| c.influxdb.bucket = "b".to_owned()).contains("not both"));
        assert!(refused(|c| c.influxdb.database = String::new()).contains("database"));
        let without_org = |c: &mut Config| (c.influxdb.database, c.influxdb.bucket) = (String::new(), "b".to_owned());
        assert!(refused(without_org).contains("org"));
        assert!(refused(|c| c.parquet.rows_per_file_max = 0).contains("rows_per_file_max"));
    }

    #[test]
    fn only_stores_that_are_on_have_stages() {
        assert!(Config::default().stages().is_empty());
        let mut config = Config::default();
        config.parquet.folder = "archive".into();
        let stages: Vec<_> = config.stages().iter().map(|entry| entry.stage).collect();
        assert_eq!(
            stages,
            [
                "archiver-parquet-fingerprints",
                "archiver-parquet-predictions",
                "archiver-parquet-groups",
                "archiver-parquet-anomalies"
            ]
        );
    }
}
