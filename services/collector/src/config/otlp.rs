//! Section `[collector.otlp]`.

use super::ReceiverKeys;
use prescale_chassis::{ListenTlsConfig, Secret};
use serde::{Deserialize, Serialize};

/// Section `[collector.otlp]`: metrics that an OpenTelemetry Collector or SDK pushes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OtlpConfig {
    /// Address that it listens on, `host:port`, for gRPC and HTTP alike; empty for off.
    pub listen: String,
    /// Bearer token that senders must have. Where `listen` is open to other machines it is needed, or `tls` with a
    /// `client_ca_file`.
    pub token: Secret,
    /// Names the source for good.
    pub name: String,
    /// Whose metrics they are, where several senders have workloads of the same names: part of the source's name.
    pub tenant: String,
    /// Which metrics measure what: `otel-host`, `otel-kubernetes`, or a file of one's own (`.toml`) with a table `series`.
    pub preset: String,
    /// Time between two samples of a workload, in seconds; at least that between two exports.
    pub step_s: u32,
    /// Most series of which there may be points; a request with more is answered with 429. One that has ended, or is
    /// silent for an hour, does not count.
    pub series_max: usize,
    /// Largest request, in bytes, after decompression.
    pub request_bytes_max: usize,
    /// Section `[collector.otlp.tls]`: TLS, and who gets in by a certificate.
    pub tls: ListenTlsConfig,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            listen: String::new(),
            token: Secret::default(),
            name: "main".to_owned(),
            tenant: String::new(),
            preset: "otel-host".to_owned(),
            step_s: 60,
            series_max: 1_000_000,
            request_bytes_max: 4 << 20,
            tls: ListenTlsConfig::default(),
        }
    }
}

impl OtlpConfig {
    /// What it has in common with the sections of other receivers.
    pub(crate) fn keys(&self) -> ReceiverKeys<'_> {
        ReceiverKeys {
            section: "collector.otlp",
            tls_section: "collector.otlp.tls",
            kind: "otlp",
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
    fn keys_are_those_of_its_own_section() {
        let open = OtlpConfig { listen: "0.0.0.0:0".to_owned(), tenant: "shop".to_owned(), ..OtlpConfig::default() };
        let error = open.keys().check().unwrap_err().to_string();
        assert!(error.contains("[collector.otlp] token"), "{error}");
        assert_eq!(open.keys().source().unwrap().as_str(), "otlp:main/shop");
        assert!(OtlpConfig::default().keys().check().is_ok(), "it is off");
    }
}
