//! Section `[collector.remote_write]`.

use super::{check_name, check_step};
use anyhow::{Context as _, bail, ensure};
use prescale_chassis::{ListenTlsConfig, Secret};
use prescale_domain::source::SourceName;
use serde::{Deserialize, Serialize};
use std::net::{SocketAddr, ToSocketAddrs};

const REQUEST_BYTES_MAX: usize = 64 << 20;

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
        }
    }
}

impl RemoteWriteConfig {
    /// Section of the configuration.
    pub(crate) const SECTION: &'static str = "collector.remote_write";

    /// Whether it listens.
    pub fn is_enabled(&self) -> bool {
        !self.listen.is_empty()
    }

    /// Name of the source: what is of another tenant is of another source.
    ///
    /// # Errors
    /// When both are too long together.
    pub(crate) fn source(&self) -> anyhow::Result<SourceName> {
        let tenant = if self.tenant.is_empty() { String::new() } else { format!("/{}", self.tenant) };
        let name = format!("remote-write:{}{tenant}", self.name);
        SourceName::new(name).context("[collector.remote_write] name and tenant")
    }

    /// The address to listen on, after checking that others cannot reach it without a token or a certificate.
    ///
    /// # Errors
    /// When it does not resolve, or is open to other machines and there is neither a token nor `client_ca_file`.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        let listen = &self.listen;
        let address = listen
            .to_socket_addrs()
            .with_context(|| format!("[collector.remote_write] listen = {listen:?} is no host:port"))?
            .next()
            .with_context(|| format!("[collector.remote_write] listen = {listen:?} has no address"))?;
        if !address.ip().is_loopback() && self.token.expose().is_empty() && !self.tls.knows_its_clients() {
            bail!(
                "[collector.remote_write] listen = {listen:?} is open to other machines: set [collector.remote_write] token or [collector.remote_write.tls] client_ca_file, or listen on 127.0.0.1"
            );
        }
        Ok(address)
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.is_enabled() {
            return Ok(());
        }
        check_name("[collector.remote_write] name", &self.name)?;
        ensure!(!self.name.is_empty(), "[collector.remote_write] name = \"\": the source needs a name");
        check_name("[collector.remote_write] tenant", &self.tenant)?;
        check_step("[collector.remote_write] step_s", self.step_s)?;
        ensure!(self.series_max > 0, "[collector.remote_write] series_max = 0: at least 1 is needed");
        ensure!(
            (1..=REQUEST_BYTES_MAX).contains(&self.request_bytes_max),
            "[collector.remote_write] request_bytes_max = {}: 1 to {REQUEST_BYTES_MAX} are possible",
            self.request_bytes_max
        );
        self.source()?;
        self.address()?;
        self.tls.read("collector.remote_write.tls").map(drop)
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
        assert!(RemoteWriteConfig::default().check().is_ok(), "it is off");
        assert!(config("127.0.0.1:0", "").check().is_ok());
        let error = config("0.0.0.0:0", "").check().unwrap_err().to_string();
        assert!(error.contains("[collector.remote_write] token"), "{error}");
        assert!(config("0.0.0.0:0", "swordfish").check().is_ok());
        let none = RemoteWriteConfig { name: String::new(), ..config("127.0.0.1:0", "") };
        assert!(none.check().unwrap_err().to_string().contains("needs a name"));
    }

    #[test]
    fn the_tenant_is_part_of_the_source() {
        let tenant = RemoteWriteConfig { tenant: "shop".to_owned(), ..RemoteWriteConfig::default() };
        assert_eq!(tenant.source().unwrap().as_str(), "remote-write:main/shop");
        assert_eq!(RemoteWriteConfig::default().source().unwrap().as_str(), "remote-write:main");
    }
}
