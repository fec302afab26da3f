//! Section `[collector.remote_write]`.

use super::ReceiverKeys;
use anyhow::ensure;
use prescale_chassis::{ListenTlsConfig, Secret};
use serde::{Deserialize, Serialize};

const SILENCE_S_MAX: u32 = 3_600;

/// Section `[collector.remote_write]`: series that a Prometheus pushes, or what writes as it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemoteWriteConfig {
    /// Address that it listens on, `host:port`; empty for off.
    pub listen: String,
    /// Bearer token that senders must have. Where `listen` is open to other machines it is needed, or `tls` with a
    /// `client_ca_file`.
    pub token: Secret,
    /// Names the source for good.
    pub name: String,
    /// Whose series they are, where several senders have workloads of the same names: part of the source's name.
    pub tenant: String,
    /// Which series measure what: `libvirt`, `node`, `otel-host`, `otel-kubernetes`, `telegraf`, or a file of one's own
    /// (`.toml`) with a table `series`.
    pub preset: String,
    /// Time between two samples of a workload, in seconds; at least that between two scrapes.
    pub step_s: u32,
    /// Most series of which there may be points; a request with more is answered with 429. One that has ended, or is
    /// silent for an hour, does not count.
    pub series_max: usize,
    /// Largest request, in bytes, after decompression.
    pub request_bytes_max: usize,
    /// Section `[collector.remote_write.tls]`: TLS, and who gets in by a certificate.
    pub tls: ListenTlsConfig,
    /// Section `[collector.remote_write.replicas]`: several Prometheus servers that scrape the same.
    pub replicas: ReplicasConfig,
}

/// Section `[collector.remote_write.replicas]`: of several Prometheus servers that scrape the same, one is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplicasConfig {
    /// Label whose value is the same for all replicas of one Prometheus.
    pub cluster_label: String,
    /// Label that tells them apart, and is dropped; empty where all that is pushed is taken. Series without it are.
    pub replica_label: String,
    /// The replica that is taken keeps its place until it is silent for so many seconds: more than it scrapes in.
    pub silence_s: u32,
}

impl Default for ReplicasConfig {
    fn default() -> Self {
        Self { cluster_label: "cluster".to_owned(), replica_label: "__replica__".to_owned(), silence_s: 30 }
    }
}

impl ReplicasConfig {
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let Self { cluster_label, replica_label, silence_s } = self;
        ensure!(
            (1..=SILENCE_S_MAX).contains(silence_s),
            "[collector.remote_write.replicas] silence_s = {silence_s}: 1 to {SILENCE_S_MAX} are possible"
        );
        ensure!(
            replica_label.is_empty() || cluster_label != replica_label,
            "[collector.remote_write.replicas] cluster_label = {cluster_label:?}: that is the replica's label"
        );
        Ok(())
    }
}

impl Default for RemoteWriteConfig {
    fn default() -> Self {
        Self {
            listen: String::new(),
            token: Secret::default(),
            name: "main".to_owned(),
            tenant: String::new(),
            preset: "node".to_owned(),
            step_s: 60,
            series_max: 1_000_000,
            request_bytes_max: 16 << 20,
            tls: ListenTlsConfig::default(),
            replicas: ReplicasConfig::default(),
        }
    }
}

impl RemoteWriteConfig {
    /// What it has in common with the sections of other receivers.
    pub(crate) fn keys(&self) -> ReceiverKeys<'_> {
        ReceiverKeys {
            section: "collector.remote_write",
            tls_section: "collector.remote_write.tls",
            kind: "remote-write",
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

    fn config(listen: &str, token: &str) -> RemoteWriteConfig {
        RemoteWriteConfig { listen: listen.to_owned(), token: Secret::new(token), ..RemoteWriteConfig::default() }
    }

    #[test]
    fn an_open_address_needs_a_token_or_clients_with_certificates() {
        assert!(RemoteWriteConfig::default().keys().check().is_ok(), "it is off");
        assert!(config("127.0.0.1:0", "").keys().check().is_ok());
        let error = config("0.0.0.0:0", "").keys().check().unwrap_err().to_string();
        assert!(error.contains("[collector.remote_write] token"), "{error}");
        assert!(config("0.0.0.0:0", "swordfish").keys().check().is_ok());
        let none = RemoteWriteConfig { name: String::new(), ..config("127.0.0.1:0", "") };
        assert!(none.keys().check().unwrap_err().to_string().contains("needs a name"));
    }

    #[test]
    fn the_tenant_is_part_of_the_source() {
        let tenant = RemoteWriteConfig { tenant: "shop".to_owned(), ..RemoteWriteConfig::default() };
        assert_eq!(tenant.keys().source().unwrap().as_str(), "remote-write:main/shop");
        assert_eq!(RemoteWriteConfig::default().keys().source().unwrap().as_str(), "remote-write:main");
    }
    #[test]
    fn replicas_need_two_labels_and_a_time() {
        assert!(ReplicasConfig::default().check().is_ok());
        let same = ReplicasConfig { cluster_label: "__replica__".to_owned(), ..ReplicasConfig::default() };
        assert!(same.check().unwrap_err().to_string().contains("cluster_label"));
        let never = ReplicasConfig { silence_s: 0, ..ReplicasConfig::default() };
        assert!(never.check().unwrap_err().to_string().contains("silence_s = 0"));
    }
}
