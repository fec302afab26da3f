//! Clients of gRPC over TLS, and who signs their certificates.

use prescale_chassis::ListenTlsConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// What a client of HTTP/2 says first, with settings that change nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A certificate and its key, in PEM.
type Own = (String, String);

/// Somebody who signs certificates.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for loopback.
    pub(super) fn signs(&self) -> Own {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// The files, in a folder, of a port whose certificate and clients this one has signed.
    pub(super) fn serves(&self, folder: &Path) -> ListenTlsConfig {
        let (certificate, key) = self.signs();
        let written = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        ListenTlsConfig {
            certificate_file: written("tls.crt", &certificate),
            key_file: written("tls.key", &key),
            client_ca_file: written("ca.crt", &self.0.pem()),
        }
    }
}

/// A connection to a port that an authority vouches for, of a client with a certificate of its own, or with none.
pub(super) async fn connected(url: &str, authority: &Authority, own: Option<Own>) -> io::Result<TlsStream<TcpStream>> {
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&authority.0.pem())).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate(&chain)], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(url.strip_prefix("https://").unwrap()).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
}

/// Whether such a client is spoken with. With TLS 1.3 one that is refused hears of it after the handshake.
pub(super) async fn gets_in(url: &str, authority: &Authority, own: Option<Own>) -> bool {
    let asked = async {
        let mut connection = connected(url, authority, own).await?;
        connection.write_all(PREFACE).await?;
        connection.read_u8().await
    };
    asked.await.is_ok()
}
