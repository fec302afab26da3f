//! How clients prove who they are, and whom they trust: what librdkafka is told about TLS and SASL.
//! It must not know where a secret came from.

use std::fmt;
use std::path::PathBuf;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whether a librdkafka property of this name may hold a secret.
pub fn is_secret(property: &str) -> bool {
    const PARTS: [&str; 8] = ["password", "secret", "pem", "token", "jaas", "assertion", "credential", "private"];
    let name = property.to_lowercase();
    name == "sasl.oauthbearer.config" || PARTS.iter().any(|part| name.contains(part))
}

/// What goes between a client and the brokers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Whether it is encrypted.
    pub channel: Channel,
    /// How the client logs in, beside its certificate.
    pub login: Login,
}

/// The connection itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// Not encrypted.
    #[default]
    Plaintext,
    /// TLS; the broker's certificate must be valid for the host name that the client connects to.
    Tls(Tls),
}

/// Settings of TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// CA certificates (PEM) that the brokers' are checked against; without it, the system's.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate, where brokers ask for one.
    pub identity: Option<ClientIdentity>,
}

/// A client's certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Certificate (PEM), followed by those that lead to its CA.
    pub certificate_file: PathBuf,
    /// Private key (PEM).
    pub key_file: PathBuf,
    /// Password of an encrypted key.
    pub key_password: Option<Secret>,
}

/// Login through SASL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// None.
    #[default]
    Anonymous,
    /// With a name and a password.
    Password {
        /// How the password is proven.
        mechanism: PasswordMechanism,
        /// Name of the principal.
        username: String,
        /// Its password.
        password: Secret,
    },
    /// With a bearer token (OAUTHBEARER) from a file that is read anew at each refresh.
    TokenFile(PathBuf),
}

/// How a password is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordMechanism {
    /// It is sent as it is.
    Plain,
    /// RFC 5802 with SHA-256.
    ScramSha256,
    /// RFC 5802 with SHA-512.
    ScramSha512,
}

impl PasswordMechanism {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Security {
    /// Whether a password or token can be read off the network.
    pub(super) fn shows_its_login(&self) -> bool {
        let is_sent = match &self.login {
            Login::Anonymous => false,
            Login::Password { mechanism, .. } => *mechanism == PasswordMechanism::Plain,
            Login::TokenFile(_) => true,
        };
        is_sent && self.channel == Channel::Plaintext
    }

    /// The librdkafka properties; none where nothing is secured.
    pub(super) fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = Vec::new();
        let protocol = match (&self.channel, &self.login) {
            (Channel::Plaintext, Login::Anonymous) => return properties,
            (Channel::Plaintext, _) => "sasl_plaintext",
            (Channel::Tls(_), Login::Anonymous) => "ssl",
            (Channel::Tls(_), _) => "sasl_ssl",
        };
        properties.push(("security.protocol", protocol.to_owned()));
        if let Channel::Tls(tls) = &self.channel {
            properties.extend(tls.properties());
        }
        match &self.login {
            Login::Anonymous => {}
            Login::Password { mechanism, username, password } => properties.extend([
                ("sasl.mechanism", mechanism.name().to_owned()),
                ("sasl.username", username.clone()),
                ("sasl.password", password.expose().to_owned()),
            ]),
            Login::TokenFile(_) => properties.push(("sasl.mechanism", "OAUTHBEARER".to_owned())),
        }
        properties
    }
}

impl Tls {
    fn properties(&self) -> Vec<(&'static str, String)> {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        // OpenSSL is built in, so it does not know where this system keeps its certificates.
        let ca = self.ca_file.as_ref().map_or_else(|| "probe".to_owned(), path);
        let mut properties = vec![("ssl.ca.location", ca), ("ssl.endpoint.identification.algorithm", "https".into())];
        if let Some(ClientIdentity { certificate_file, key_file, key_password }) = &self.identity {
            properties.push(("ssl.certificate.location", path(certificate_file)));
            properties.push(("ssl.key.location", path(key_file)));
            properties.extend(key_password.iter().map(|p| ("ssl.key.password", p.expose().to_owned())));
        }
        properties
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(security: &Security) -> Vec<&'static str> {
        security.properties().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn nothing_is_said_where_nothing_is_secured() {
        assert_eq!(names(&Security::default()), Vec::<&str>::new());
    }

    #[test]
    fn channel_and_login_make_the_protocol() {
        let password = || Login::Password {
            mechanism: PasswordMechanism::ScramSha256,
            username: "me".into(),
            password: Secret::new("swordfish"),
        };
        let tls = || Channel::Tls(Tls::default());
        for (channel, login, protocol) in [
            (Channel::Plaintext, password(), "sasl_plaintext"),
            (tls(), Login::Anonymous, "ssl"),
            (tls(), password(), "sasl_ssl"),
            (tls(), Login::TokenFile("t".into()), "sasl_ssl"),
        ] {
            let security = Security { channel, login };
            assert_eq!(security.properties()[0], ("security.protocol", protocol.to_owned()));
            assert!(!format!("{security:?}").contains("swordfish") && !security.shows_its_login());
        }
    }

    #[test]
    fn a_token_over_an_open_channel_can_be_read_by_all() {
        assert!(Security { channel: Channel::Plaintext, login: Login::TokenFile("t".into()) }.shows_its_login());
    }

    #[test]
    fn certificates_are_checked_against_the_systems_unless_told_otherwise() {
        let with = |ca_file| Security { channel: Channel::Tls(Tls { ca_file, identity: None }), ..Default::default() };
        assert!(with(None).properties().contains(&("ssl.ca.location", "probe".to_owned())));
        assert!(with(Some("ca.pem".into())).properties().contains(&("ssl.ca.location", "ca.pem".to_owned())));
    }

    #[test]
    fn secret_properties_are_known_by_their_names() {
        for name in ["sasl.password", "ssl.key.password", "ssl.key.pem", "sasl.oauthbearer.client.secret"] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["security.protocol", "ssl.ca.location", "linger.ms", "ssl.key.location"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
