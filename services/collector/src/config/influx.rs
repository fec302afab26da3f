//! Section `[collector.influx]`.

use super::ReceiverKeys;
use prescale_chassis::{ListenTlsConfig, Secret};
use serde::{Deserialize, Serialize};

/// Section `[collector.influx]`: line protocol, as Telegraf pushes it to an InfluxDB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct InfluxConfig {
    /// Address that it listens on, `host:port`; empty for off.
    pub listen: String,
    /// Token that senders must have: that of InfluxDB 2, or the password of InfluxDB 1, for whatever user. Where `listen`
    /// is open to other machines it is needed, or `tls` with a `client_ca_file`.
    pub token: Secret,
    /// Names the source for good.
    pub name: String,
    /// Whose series they are, where several senders have workloads of the same names: part of the source's name.
    pub tenant: String,
    /// Which series measure what: a preset's name, or a file of one's own (`.toml`) with a table `series`. The metric of a
    /// field is called `MEASUREMENT_FIELD`, its labels are the tags.
    pub preset: String,
    /// Time between two samples of a workload, in seconds; at least the sender's interval.
    pub step_s: u32,
    /// Most series of which there may be points; a request with more is answered with 429. One that is silent for an hour
    /// does not count.
    pub series_max: usize,
    /// Largest request, in bytes, after decompression.
    pub request_bytes_max: usize,
    /// Section `[collector.influx.tls]`: TLS, and who gets in by a certificate.
    pub tls: ListenTlsConfig,
}

impl Default for InfluxConfig {
    fn default() -> Self {
        Self {
            listen: String::new(),
            token: Secret::default(),
            name: "main".to_owned(),
            tenant: String::new(),
            preset: "telegraf".to_owned(),
            step_s: 60,
            series_max: 1_000_000,
            request_bytes_max: 16 << 20,
            tls: ListenTlsConfig::default(),
        }
    }
}

impl InfluxConfig {
    /// What it has in common with the sections of other receivers.
    pub(crate) fn keys(&self) -> ReceiverKeys<'_> {
        ReceiverKeys {
            section: "collector.influx",
            tls_section: "collector.influx.tls",
            kind: "influx",
            listen: &self.listen,
            token: &self.token,
            name: &self.name,
            tenant: &self.tenant,
            preset: &self.preset,
            step_s: self.step_s,
            series_max: self.series_max,
            request_bytes_max: self.request_bytes_max,
            tls: &self.tls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_address_needs_a_token() {
        let config = |listen: &str, token: &str| InfluxConfig {
            listen: listen.to_owned(),
            token: Secret::new(token),
            tenant: "shop".to_owned(),
            ..InfluxConfig::default()
        };
        assert!(InfluxConfig::default().keys().check().is_ok(), "it is off");
        let error = config("0.0.0.0:0", "").keys().check().unwrap_err().to_string();
        assert!(error.contains("[collector.influx] token"), "{error}");
        assert!(config("0.0.0.0:0", "swordfish").keys().check().is_ok());
        assert_eq!(config("127.0.0.1:0", "").keys().source().unwrap().as_str(), "influx:main/shop");
    }
}
