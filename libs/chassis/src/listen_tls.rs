//! TLS on the ports that this process listens on, and who gets in there: keys, files and checks that every section
//! with a `listen` has alike. Must not know what is served.

use anyhow::{Context as _, Result, bail};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keys of a section's `tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenTlsConfig {
    /// Certificate and its chain (PEM) to serve HTTPS with; empty for plain HTTP. Renewed files are taken up within
    /// a minute.
    pub certificate_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
    /// Certificates (PEM) of those who sign clients'. Only clients with a certificate of theirs get in; empty: all do.
    pub client_ca_file: PathBuf,
}

/// What the files of a [`ListenTlsConfig`] held when they were read.
#[derive(Clone, PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    private_key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// A port's TLS, and what it was made of.
pub struct ListenTls {
    section: &'static str,
    config: ListenTlsConfig,
    pem: Pem,
    server: Arc<ServerConfig>,
    speaks_http2: bool,
}

impl ListenTlsConfig {
    /// `https` or `http`.
    pub fn scheme(&self) -> &'static str {
        if self == &Self::default() { "http" } else { "https" }
    }

    /// Whether only clients with a certificate get in.
    pub fn knows_its_clients(&self) -> bool {
        !self.client_ca_file.as_os_str().is_empty()
    }

    /// Reads the files; `None` where plain HTTP is asked for. `section` is for errors.
    ///
    /// # Errors
    /// When a key is missing, or a file cannot be read or used.
    pub fn read(&self, section: &'static str) -> Result<Option<ListenTls>> {
        let (certificate, key) = (&self.certificate_file, &self.key_file);
        match (certificate.as_os_str().is_empty(), key.as_os_str().is_empty()) {
            (true, true) if self.knows_its_clients() => {
                bail!("[{section}] client_ca_file: without certificate_file and key_file nothing is encrypted")
            }
            (true, true) => return Ok(None),
            (true, false) => bail!("[{section}] certificate_file: key_file needs it"),
            (false, true) => bail!("[{section}] key_file: certificate_file needs it"),
            (false, false) => {}
        }
        let pem = self.pem(section)?;
        let server = pem.server(section, self)?;
        Ok(Some(ListenTls { section, config: self.clone(), pem, server, speaks_http2: false }))
    }

    fn pem(&self, section: &str) -> Result<Pem> {
        let read = |key: &str, file: &Path| {
            std::fs::read(file).with_context(|| format!("[{section}] {key}: cannot read {}", file.display()))
        };
        Ok(Pem {
            certificate: read("certificate_file", &self.certificate_file)?,
            private_key: read("key_file", &self.key_file)?,
            client_ca: self.knows_its_clients().then(|| read("client_ca_file", &self.client_ca_file)).transpose()?,
        })
    }
}

impl Pem {
    fn server(&self, section: &str, config: &ListenTlsConfig) -> Result<Arc<ServerConfig>> {
        let said = |key: &str, file: &Path| format!("[{section}] {key}: {}", file.display());
        let chain =
            certificates(&self.certificate).with_context(|| said("certificate_file", &config.certificate_file))?;
        let of_key = || said("key_file", &config.key_file);
        let key = PrivateKeyDer::from_pem_slice(&self.private_key).with_context(of_key)?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .context("TLS 1.2 and 1.3 are there")?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let of_ca = || said("client_ca_file", &config.client_ca_file);
                let mut roots = rustls::RootCertStore::empty();
                for certificate in certificates(pem).with_context(of_ca)? {
                    roots.add(certificate).with_context(of_ca)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().with_context(of_ca)?)
            }
        };
        let mut server = builder.with_single_cert(chain, key).with_context(of_key)?;
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(server))
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() {
        bail!("it holds no certificate in PEM");
    }
    Ok(found)
}

impl ListenTls {
    /// Lets clients choose HTTP/2 as well.
    #[must_use]
    pub fn with_http2(mut self) -> Self {
        self.speaks_http2 = true;
        self.take(Arc::clone(&self.server));
        self
    }

    fn take(&mut self, mut server: Arc<ServerConfig>) {
        if self.speaks_http2 {
            Arc::make_mut(&mut server).alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        }
        self.server = server;
    }

    /// What connections are made with.
    pub fn server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.server)
    }

    /// Reads the files again; what new connections are made with from now on, when they have changed. Files that
    /// cannot be used are told once and change nothing.
    pub fn renewed(&mut self) -> Option<Arc<ServerConfig>> {
        let pem = self.config.pem(self.section).ok().filter(|pem| *pem != self.pem)?;
        self.pem = pem;
        match self.pem.server(self.section, &self.config) {
            Ok(server) => {
                tracing::info!(section = self.section, "the renewed certificate is in use");
                self.take(server);
                Some(self.server())
            }
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the certificate stays as it was");
                None
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    /// Somebody who signs certificates.
    pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

    impl Authority {
        pub(crate) fn new() -> Self {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
        }

        pub(crate) fn pem(&self) -> String {
            self.0.pem()
        }

        /// A certificate for loopback and its key, in PEM.
        pub(crate) fn signs(&self) -> (String, String) {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
            (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
        }

        /// The files of a port whose certificate and clients this one has signed.
        pub(crate) fn serves(&self, folder: &Path) -> ListenTlsConfig {
            let (certificate, key) = self.signs();
            let write = |name: &str, text: &str| {
                let path = folder.join(name);
                std::fs::write(&path, text).unwrap();
                path
            };
            ListenTlsConfig {
                certificate_file: write("tls.crt", &certificate),
                key_file: write("tls.key", &key),
                client_ca_file: write("ca.crt", &self.pem()),
            }
        }
    }

    #[test]
    fn wrong_keys_and_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let good = Authority::new().serves(folder.path());
        assert!(good.read("console.tls").unwrap().is_some());
        assert!(ListenTlsConfig::default().read("console.tls").unwrap().is_none());
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        let other = Authority::new().signs().1;
        std::fs::write(folder.path().join("other.key"), other).unwrap();
        let none = PathBuf::new();
        let cases = [
            (ListenTlsConfig { certificate_file: none.clone(), ..good.clone() }, "[console.tls] certificate_file"),
            (ListenTlsConfig { key_file: none.clone(), ..good.clone() }, "[console.tls] key_file"),
            (
                ListenTlsConfig { client_ca_file: good.client_ca_file.clone(), ..ListenTlsConfig::default() },
                "encrypted",
            ),
            (ListenTlsConfig { certificate_file: empty.clone(), ..good.clone() }, "certificate_file"),
            (ListenTlsConfig { key_file: empty.clone(), ..good.clone() }, "key_file"),
            (ListenTlsConfig { client_ca_file: empty, ..good.clone() }, "client_ca_file"),
            (ListenTlsConfig { key_file: folder.path().join("other.key"), ..good.clone() }, "key_file"),
            (ListenTlsConfig { client_ca_file: folder.path().join("gone"), ..good }, "cannot read"),
        ];
        for (config, wanted) in cases {
            let error = format!("{:#}", config.read("console.tls").err().expect("it is refused"));
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn renewed_files_are_taken_up_and_broken_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let mut tls = authority.serves(folder.path()).read("console.tls").unwrap().unwrap();
        assert!(tls.renewed().is_none(), "nothing has changed");
        std::fs::write(folder.path().join("tls.crt"), "half a certif").unwrap();
        assert!(tls.renewed().is_none());
        authority.serves(folder.path());
        assert_eq!(tls.renewed().expect("they are new").alpn_protocols, [b"http/1.1".to_vec()]);
    }

    #[test]
    fn http2_can_be_chosen_where_it_is_spoken_also_after_a_renewal() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let mut tls = authority.serves(folder.path()).read("console.tls").unwrap().unwrap().with_http2();
        assert_eq!(tls.server().alpn_protocols[0], b"h2");
        authority.serves(folder.path());
        assert_eq!(tls.renewed().expect("they are new").alpn_protocols[0], b"h2");
    }
}
