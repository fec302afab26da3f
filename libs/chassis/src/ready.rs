//! Asking a service's `/readyz`, for the health checks of containers.

use crate::http_access::certificates;
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{ClientCert, PrivateKey, RootCerts, TlsConfig};

const TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// How to ask a port that speaks TLS.
#[derive(Clone, Debug)]
pub struct AskTls {
    /// Certificates (PEM) that the service's is checked against.
    pub ca_file: PathBuf,
    /// Certificate (PEM) to show, and its private key (PEM).
    pub own: Option<(PathBuf, PathBuf)>,
}

impl AskTls {
    fn config(&self) -> Result<TlsConfig> {
        let trusted = certificates(&self.ca_file).context("--ca-file")?;
        let own = match &self.own {
            None => None,
            Some((certificate, key)) => {
                let chain = certificates(certificate).context("--certificate-file")?;
                let pem = std::fs::read(key).with_context(|| format!("--key-file {}", key.display()))?;
                let key = PrivateKey::from_pem(&pem).with_context(|| format!("--key-file {}", key.display()))?;
                Some(ClientCert::new_with_certs(&chain, key))
            }
        };
        Ok(TlsConfig::builder().root_certs(RootCerts::from(trusted)).client_cert(own).build())
    }
}

/// Asks `http://<address>/readyz`, or with `tls` over HTTPS.
///
/// # Errors
/// When there is no answer within 3 s, or it is not "ready"; with the answer's text.
pub fn ask_ready(address: &str, tls: Option<&AskTls>) -> Result<()> {
    let mut config = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).max_redirects(0);
    if let Some(tls) = tls {
        config = config.tls_config(tls.config()?);
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut answer = Agent::from(config.build())
        .get(format!("{scheme}://{address}/readyz"))
        .call()
        .with_context(|| format!("no answer from {scheme}://{address}"))?;
    if answer.status() == 200 {
        return Ok(());
    }
    let said = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string().unwrap_or_default();
    bail!("{address} is not ready: {}", said.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::HealthRegistry;
    use crate::http::TelemetryServer;
    use crate::listen_tls::ListenTlsConfig;
    use crate::listen_tls::tests::Authority;
    use crate::telemetry::{Metrics, TelemetryConfig};
    use std::path::Path;
    use tokio_util::sync::CancellationToken;

    /// Asks a service in which the planner is `state`.
    fn asked(
        tls: ListenTlsConfig,
        ask: impl Fn(&str) -> Result<()>,
        state: impl Fn(&crate::health::ComponentHealth),
    ) -> Result<()> {
        let (health, shutdown) = (HealthRegistry::default(), CancellationToken::new());
        state(&health.component("planner"));
        let config = TelemetryConfig { listen: "127.0.0.1:0".to_owned(), tls, ..TelemetryConfig::default() };
        let server = TelemetryServer::start(&config, health, Metrics::install().unwrap(), &shutdown).unwrap();
        let answered = ask(&server.address().to_string());
        shutdown.cancel();
        server.join();
        answered
    }

    #[test]
    fn ready_is_well_and_the_reason_is_passed_on() {
        let ask = |address: &str| ask_ready(address, None);
        asked(ListenTlsConfig::default(), ask, |planner| planner.ready()).unwrap();
        let told = asked(ListenTlsConfig::default(), ask, |planner| planner.failed("no cloud")).unwrap_err();
        assert!(told.to_string().contains("planner: no cloud"), "{told}");
        assert!(ask_ready("127.0.0.1:1", None).unwrap_err().to_string().contains("127.0.0.1:1"));
    }

    #[test]
    fn only_clients_with_a_certificate_of_the_ports_authority_get_in() {
        let folder = tempfile::tempdir().unwrap();
        let (authority, stranger) = (Authority::new(), Authority::new());
        let port = authority.serves(folder.path());
        let written = |name: &str, (certificate, key): (String, String)| {
            let [to, of_key] = [folder.path().join(name), folder.path().join(format!("{name}.key"))];
            std::fs::write(&to, certificate).unwrap();
            std::fs::write(&of_key, key).unwrap();
            (to, of_key)
        };
        let client = |own| AskTls { ca_file: folder.path().join("ca.crt"), own };
        let known = client(Some(written("known", authority.signs())));
        let unknown = client(Some(written("unknown", stranger.signs())));
        let nobody = client(None);
        let with = |port: &ListenTlsConfig, tls: Option<&AskTls>| {
            asked(port.clone(), |address| ask_ready(address, tls), |planner| planner.ready())
        };
        with(&port, Some(&known)).unwrap();
        for refused in [Some(&unknown), Some(&nobody), None] {
            assert!(with(&port, refused).is_err(), "{refused:?}");
        }
        let open = ListenTlsConfig { client_ca_file: PathBuf::new(), ..port };
        with(&open, Some(&nobody)).unwrap();
        assert!(with(&open, None).is_err(), "plain HTTP finds nobody");
        let distrustful = AskTls { ca_file: written("other-ca", (stranger.pem(), String::new())).0, own: None };
        assert!(with(&open, Some(&distrustful)).is_err(), "the port's certificate is of another authority");
        let missing = AskTls { ca_file: Path::new("/nowhere").into(), own: None };
        assert!(format!("{:#}", with(&open, Some(&missing)).unwrap_err()).contains("--ca-file"));
    }
}
