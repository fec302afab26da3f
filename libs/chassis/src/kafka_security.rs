//! The `[bus.kafka.security]` section: what it may say, and what the bus makes its connections with.

use crate::config::Secret;
use anyhow::{Context as _, Result, bail, ensure};
use prescale_bus::kafka::security::{
    Channel, ClientIdentity, Login, PasswordMechanism, Secret as BusSecret, Security, Tls,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

const SECTION: &str = "[bus.kafka.security]";

/// What a broker's listener speaks, in Kafka's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither encrypted nor with a login.
    #[default]
    Plaintext,
    /// TLS; with a client certificate where the broker asks for one.
    Ssl,
    /// A login over a connection that is not encrypted.
    SaslPlaintext,
    /// A login over TLS.
    SaslSsl,
}

/// How a client logs in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mechanism {
    /// The password is sent as it is.
    #[serde(rename = "PLAIN")]
    Plain,
    /// The password is proven (RFC 5802), with SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// The password is proven (RFC 5802), with SHA-512.
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// A bearer token.
    #[serde(rename = "OAUTHBEARER")]
    Oauthbearer,
}

/// Section `[bus.kafka.security]`. An empty text stands for what is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaSecurityConfig {
    /// What the brokers' listener speaks: `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.
    pub protocol: Protocol,
    /// CA certificates (PEM) that the brokers' are checked against; empty for the system's.
    pub ca_file: PathBuf,
    /// This client's certificate (PEM, followed by those that lead to its CA); empty for none.
    pub certificate_file: PathBuf,
    /// Its private key (PEM).
    pub key_file: PathBuf,
    /// Password of an encrypted key.
    pub key_password: Secret,
    /// File that holds the key's password, in place of `key_password`.
    pub key_password_file: PathBuf,
    /// SASL mechanism: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512` or `OAUTHBEARER`.
    pub mechanism: Mechanism,
    /// Name to log in with; not for OAUTHBEARER.
    pub username: String,
    /// Password to log in with.
    pub password: Secret,
    /// File that holds the password, in place of `password`.
    pub password_file: PathBuf,
    /// File that holds the bearer token of OAUTHBEARER. It is read again at least once a minute, and
    /// when the token runs out, as Kubernetes renews it.
    pub token_file: PathBuf,
}

impl KafkaSecurityConfig {
    /// What the section says, with the secrets read from their files.
    ///
    /// # Errors
    /// With the key that is missing, superfluous or given twice, or the file that cannot be read.
    pub fn security(&self) -> Result<Security> {
        let uses_tls = matches!(self.protocol, Protocol::Ssl | Protocol::SaslSsl);
        let uses_sasl = matches!(self.protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
        self.refuse_unused(uses_tls, uses_sasl)?;
        let channel = if uses_tls { Channel::Tls(self.tls()?) } else { Channel::Plaintext };
        let login = if uses_sasl { self.login()? } else { Login::Anonymous };
        Ok(Security { channel, login })
    }

    fn refuse_unused(&self, uses_tls: bool, uses_sasl: bool) -> Result<()> {
        let of_tls = [
            ("ca_file", is_given(&self.ca_file)),
            ("certificate_file", is_given(&self.certificate_file)),
            ("key_file", is_given(&self.key_file)),
            ("key_password", !self.key_password.expose().is_empty()),
            ("key_password_file", is_given(&self.key_password_file)),
        ];
        let of_sasl = [
            ("username", !self.username.is_empty()),
            ("password", !self.password.expose().is_empty()),
            ("password_file", is_given(&self.password_file)),
            ("token_file", is_given(&self.token_file)),
        ];
        if let Some((key, _)) = of_tls.iter().find(|(_, given)| *given && !uses_tls) {
            bail!("{SECTION} {key} is for TLS: set protocol = \"ssl\" or \"sasl_ssl\", or leave {key} out");
        }
        if let Some((key, _)) = of_sasl.iter().find(|(_, given)| *given && !uses_sasl) {
            bail!(
                "{SECTION} {key} is for a login: set protocol = \"sasl_ssl\" or \"sasl_plaintext\", or leave {key} out"
            );
        }
        Ok(())
    }

    fn tls(&self) -> Result<Tls> {
        let identity = match (is_given(&self.certificate_file), is_given(&self.key_file)) {
            (false, false) => {
                let password = secret("key_password", &self.key_password, &self.key_password_file)?;
                ensure!(
                    password.is_none(),
                    "{SECTION} key_password is of no use without certificate_file and key_file"
                );
                None
            }
            (true, true) => Some(ClientIdentity {
                certificate_file: readable("certificate_file", &self.certificate_file)?,
                key_file: readable("key_file", &self.key_file)?,
                key_password: secret("key_password", &self.key_password, &self.key_password_file)?,
            }),
            (true, false) => bail!("{SECTION} certificate_file needs key_file, the private key of the certificate"),
            (false, true) => bail!("{SECTION} key_file needs certificate_file, the certificate of the key"),
        };
        let ca_file = is_given(&self.ca_file).then(|| readable("ca_file", &self.ca_file)).transpose()?;
        Ok(Tls { ca_file, identity })
    }

    fn login(&self) -> Result<Login> {
        let mechanism = match self.mechanism {
            Mechanism::Plain => PasswordMechanism::Plain,
            Mechanism::ScramSha256 => PasswordMechanism::ScramSha256,
            Mechanism::ScramSha512 => PasswordMechanism::ScramSha512,
            Mechanism::Oauthbearer => return self.token(),
        };
        ensure!(
            !is_given(&self.token_file),
            "{SECTION} token_file is for mechanism = \"OAUTHBEARER\": set that, or leave token_file out"
        );
        ensure!(
            !self.username.is_empty(),
            "{SECTION} username is missing: the mechanism logs in with name and password"
        );
        let Some(password) = secret("password", &self.password, &self.password_file)? else {
            bail!(
                "{SECTION} password is missing: set password_file, or PRESCALE__BUS__KAFKA__SECURITY__PASSWORD in the environment"
            );
        };
        Ok(Login::Password { mechanism, username: self.username.clone(), password })
    }

    fn token(&self) -> Result<Login> {
        let password = secret("password", &self.password, &self.password_file)?;
        ensure!(
            self.username.is_empty() && password.is_none(),
            "{SECTION} mechanism = \"OAUTHBEARER\" logs in with token_file alone: leave username and password out"
        );
        ensure!(
            is_given(&self.token_file),
            "{SECTION} token_file is missing: mechanism = \"OAUTHBEARER\" reads its token there"
        );
        Ok(Login::TokenFile(readable("token_file", &self.token_file)?))
    }
}

fn is_given(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

/// The path, if a file is there that can be opened.
fn readable(key: &str, path: &Path) -> Result<PathBuf> {
    fs::File::open(path).with_context(|| format!("{SECTION} {key}: {} cannot be read", path.display()))?;
    Ok(path.to_owned())
}

/// A secret that is given as text or by a file, or not at all. A line break that ends the file is
/// no part of it.
fn secret(key: &str, text: &Secret, file: &Path) -> Result<Option<BusSecret>> {
    match (text.expose(), is_given(file)) {
        ("", false) => Ok(None),
        ("", true) => {
            let held = fs::read_to_string(file)
                .with_context(|| format!("{SECTION} {key}_file: {} cannot be read", file.display()))?;
            let held = held.trim_end_matches(['\r', '\n']);
            ensure!(!held.is_empty(), "{SECTION} {key}_file: {} is empty", file.display());
            Ok(Some(BusSecret::new(held)))
        }
        (text, false) => Ok(Some(BusSecret::new(text))),
        (_, true) => bail!("{SECTION} {key} and {key}_file are both given: leave one of them out"),
    }
}

#[cfg(test)]
mod tests;
