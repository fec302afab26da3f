//! Section `[console]`.

use anyhow::{Result, bail};
use prescale_chassis::{ListenTlsConfig, Secret, listen_access};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Settings of the console.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Address of the page and its JSON, `host:port`.
    pub listen: String,
    /// Bearer token that the JSON and the metrics ask for. Where `listen` is open to other machines it is needed, or
    /// `tls` with a `client_ca_file`.
    pub token: Secret,
    /// Most workloads kept in memory.
    pub workloads_max: usize,
    /// Most points kept of one KPI; fewer where the fleet is large.
    pub points_max: usize,
    /// Records of each topic read back at the start, and for an explanation.
    pub history_records: u64,
    /// TLS, and who gets in by a certificate.
    pub tls: ListenTlsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            token: Secret::default(),
            workloads_max: 5_000,
            points_max: 600,
            history_records: 200_000,
            tls: ListenTlsConfig::default(),
        }
    }
}

impl Config {
    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        self.tls.scheme()
    }

    /// The address to listen on, after checking that others cannot reach it without a token or a certificate.
    ///
    /// # Errors
    /// When a setting is out of range, the address does not resolve, or it is open to other
    /// machines and there is neither a token nor `client_ca_file`.
    pub fn checked_address(&self) -> Result<SocketAddr> {
        if self.workloads_max == 0 {
            bail!("[console] workloads_max = 0: at least 1 is needed");
        }
        if self.points_max < 32 {
            bail!("[console] points_max = {}: at least 32 are needed for a curve", self.points_max);
        }
        listen_access::checked_address("console", &self.listen, &self.token, &self.tls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str, token: &str) -> Config {
        Config { listen: listen.to_owned(), token: Secret::new(token), ..Config::default() }
    }

    #[test]
    fn the_default_is_for_this_machine_only() {
        assert!(Config::default().checked_address().unwrap().ip().is_loopback());
        assert!(config("[::1]:0", "").checked_address().is_ok());
        assert!(config("localhost:0", "").checked_address().is_ok());
    }

    #[test]
    fn an_open_address_needs_a_token_or_clients_with_certificates() {
        let error = config("0.0.0.0:0", "").checked_address().unwrap_err();
        assert!(error.to_string().contains("[console] token"), "{error}");
        assert!(config("0.0.0.0:0", "swordfish").checked_address().is_ok());
        let mut certified = config("0.0.0.0:0", "");
        certified.tls.certificate_file = "tls.crt".into();
        assert!(certified.checked_address().is_err(), "it says who the console is, not who asks");
        certified.tls.client_ca_file = "ca.crt".into();
        assert!(certified.checked_address().is_ok());
    }

    #[test]
    fn settings_out_of_range_are_named() {
        assert!(config("8080", "").checked_address().unwrap_err().to_string().contains("no host:port"));
        let none = Config { workloads_max: 0, ..Config::default() };
        assert!(none.checked_address().unwrap_err().to_string().contains("workloads_max"));
        let few = Config { points_max: 3, ..Config::default() };
        assert!(few.checked_address().unwrap_err().to_string().contains("points_max"));
    }
}
