//! Listeners of the test broker with TLS and logins, and what clients need for them: a CA,
//! certificates, names and passwords, tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prescale_bus::kafka::security::{Channel, ClientIdentity, Login, PasswordMechanism, Secret, Security, Tls};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A principal that may do everything.
pub const ADMIN: &str = "admin";
/// Its password.
pub const ADMIN_PASSWORD: &str = "swordfish-of-the-admin";

/// The broker's listeners beside the plaintext one. Its certificate names 127.0.0.1 and nothing else.
pub struct SecureListeners {
    folder: PathBuf,
    scram_port: u16,
    plain_port: u16,
    token_port: u16,
    certificate_port: u16,
}

impl SecureListeners {
    /// How many ports they take.
    pub(crate) const PORTS: usize = 4;

    /// Makes the certificates in the broker's folder. There must be [`Self::PORTS`] ports.
    pub(crate) fn new(folder: &Path, ports: &[u16]) -> Self {
        let ca = Ca::new("the test's CA");
        let broker = ca.issue("broker", &["127.0.0.1"]);
        put(folder, "broker.pem", &format!("{}{}", broker.key, broker.certificate));
        let client = ca.issue(ADMIN, &[]);
        put(folder, "client.pem", &client.certificate);
        put(folder, "client-key.pem", &client.key);
        put(folder, "ca.pem", &ca.certificate);
        put(folder, "other-ca.pem", &Ca::new("another CA").certificate);
        Self {
            folder: folder.to_owned(),
            scram_port: ports[0],
            plain_port: ports[1],
            token_port: ports[2],
            certificate_port: ports[3],
        }
    }

    /// What goes behind the broker's own listeners, behind its protocols, and behind everything.
    pub(crate) fn properties(&self) -> (String, String, String) {
        let folder = self.folder.display();
        let addresses = format!(
            ",SCRAM://127.0.0.1:{},PLAIN://127.0.0.1:{},TOKEN://127.0.0.1:{},CERTIFICATE://127.0.0.1:{}",
            self.scram_port, self.plain_port, self.token_port, self.certificate_port
        );
        let protocols = ",SCRAM:SASL_SSL,PLAIN:SASL_SSL,TOKEN:SASL_SSL,CERTIFICATE:SSL".to_owned();
        let module = "org.apache.kafka.common.security";
        let properties = format!(
            r#"ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.certificate.ssl.client.auth=required
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.scram.scram-sha-256.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.scram.scram-sha-512.sasl.jaas.config={module}.scram.ScramLoginModule required;
listener.name.plain.sasl.enabled.mechanisms=PLAIN
listener.name.plain.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{ADMIN}="{ADMIN_PASSWORD}";
listener.name.token.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.token.oauthbearer.sasl.jaas.config={module}.oauthbearer.OAuthBearerLoginModule required;
listener.name.token.oauthbearer.connections.max.reauth.ms=3600000
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:{ADMIN};User:CN={ADMIN}
"#
        );
        (addresses, protocols, properties)
    }

    /// Makes the users of SCRAM when the storage is formatted.
    pub(crate) fn format_arguments(&self) -> Vec<String> {
        ["SCRAM-SHA-256", "SCRAM-SHA-512"]
            .into_iter()
            .flat_map(|m| ["--add-scram".to_owned(), format!("{m}=[name={ADMIN},password={ADMIN_PASSWORD}]")])
            .collect()
    }

    /// TLS that trusts the CA of this name (`ca.pem` is the broker's, `other-ca.pem` is not), with
    /// the client's certificate or without.
    pub fn tls(&self, ca: &str, with_certificate: bool) -> Channel {
        let identity = with_certificate.then(|| ClientIdentity {
            certificate_file: self.folder.join("client.pem"),
            key_file: self.folder.join("client-key.pem"),
            key_password: None,
        });
        Channel::Tls(Tls { ca_file: Some(self.folder.join(ca)), identity })
    }

    /// The listener that takes passwords by this mechanism, and the admin's login with this one.
    pub fn with_password(&self, mechanism: PasswordMechanism, password: &str) -> (String, Security) {
        let port = if mechanism == PasswordMechanism::Plain { self.plain_port } else { self.scram_port };
        let login = Login::Password { mechanism, username: ADMIN.to_owned(), password: Secret::new(password) };
        (address(port), Security { channel: self.tls("ca.pem", false), login })
    }

    /// The listener that takes unsigned tokens, and a login with the token of this file.
    pub fn with_token(&self, file: &Path) -> (String, Security) {
        let login = Login::TokenFile(file.to_owned());
        (address(self.token_port), Security { channel: self.tls("ca.pem", false), login })
    }

    /// The listener that asks for a certificate, and the admin's.
    pub fn with_certificate(&self) -> (String, Security) {
        (address(self.certificate_port), Security { channel: self.tls("ca.pem", true), login: Login::Anonymous })
    }
}

fn address(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

fn put(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).expect("the broker's folder is writable");
}

/// Seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs()
}

/// Puts an unsigned token for this principal into the file, in one step as Kubernetes does.
pub fn write_token(file: &Path, principal: &str, expires_at_s: u64) {
    let payload = format!(r#"{{"sub":"{principal}","iat":{},"exp":{expires_at_s}}}"#, now_s().min(expires_at_s - 1));
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let new = file.with_extension("new");
    fs::write(&new, format!("{}.{}.\n", part(r#"{"alg":"none"}"#), part(&payload))).expect("the token is written");
    fs::rename(new, file).expect("the token takes the old one's place");
}

/// A certificate with its key, in PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// Somebody who signs certificates.
pub struct Ca {
    /// Its own, in PEM.
    pub certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    /// A new one of this name.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key is made");
        let certificate = params.self_signed(&key).expect("the CA signs itself").pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Signs a certificate for these hosts.
    pub fn issue(&self, name: &str, hosts: &[&str]) -> Issued {
        let key = KeyPair::generate().expect("a key is made");
        let certificate = params(name, hosts).signed_by(&key, &self.issuer).expect("the CA signs").pem();
        Issued { certificate, key: key.serialize_pem() }
    }
}

fn params(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).expect("the names are names of hosts");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
