//! How a client of an HTTP service authenticates, and whom it trusts: keys, files and checks that every
//! section with a URL has alike.

use crate::config::Secret;
use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Keys of a section that say how to reach an HTTP service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpAccessConfig {
    /// Bearer token.
    pub token: Secret,
    /// File with the bearer token.
    pub token_file: PathBuf,
    /// User for basic authentication.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// File with the password.
    pub password_file: PathBuf,
    /// Certificates (PEM) that the server's is checked against; empty for Mozilla's roots.
    pub ca_file: PathBuf,
    /// Longest wait for an answer, in seconds.
    pub timeout_s: u64,
}

impl Default for HttpAccessConfig {
    fn default() -> Self {
        Self {
            token: Secret::default(),
            token_file: PathBuf::new(),
            user: String::new(),
            password: Secret::default(),
            password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            timeout_s: 30,
        }
    }
}

/// How a server knows who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// It does not.
    None,
    /// By a token.
    Bearer(Secret),
    /// By user and password.
    Basic {
        /// User.
        user: String,
        /// Password.
        password: Secret,
    },
}

impl Credentials {
    /// Value of the `Authorization` header; a token goes under `token_scheme`, mostly `Bearer`.
    pub fn authorization(&self, token_scheme: &str) -> Option<Secret> {
        match self {
            Self::None => None,
            Self::Bearer(token) => Some(Secret::new(format!("{token_scheme} {}", token.expose()))),
            Self::Basic { user, password } => {
                let pair = BASE64_STANDARD.encode(format!("{user}:{}", password.expose()));
                Some(Secret::new(format!("Basic {pair}")))
            }
        }
    }
}

/// The `Authorization` header of a section's requests. What it is made of is read again when a server lets nobody in,
/// since a token file may have been renewed.
#[derive(Debug)]
pub struct Authorization {
    access: HttpAccessConfig,
    section: &'static str,
    token_scheme: &'static str,
    value: Mutex<Option<Secret>>,
}

impl Authorization {
    /// As the section's keys say; a token goes under `token_scheme`, mostly `Bearer`.
    ///
    /// # Errors
    /// As [`HttpAccessConfig::credentials`].
    pub fn new(access: &HttpAccessConfig, section: &'static str, token_scheme: &'static str) -> Result<Self> {
        let value = access.credentials(section)?.authorization(token_scheme);
        Ok(Self { access: access.clone(), section, token_scheme, value: Mutex::new(value) })
    }

    /// The header's value; `None` where it is to be left out.
    pub fn value(&self) -> Option<Secret> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Hears with which status a request was answered: behind one that was not let in the next may have another value.
    pub fn heed(&self, status: u16) {
        if !matches!(status, 401 | 403) {
            return;
        }
        match self.access.credentials(self.section) {
            Ok(credentials) => {
                let value = credentials.authorization(self.token_scheme);
                *self.value.lock().unwrap_or_else(PoisonError::into_inner) = value;
            }
            Err(error) => tracing::warn!("credentials cannot be read again: {error:#}"),
        }
    }
}

/// Refuses a URL that is none of HTTP, or that holds credentials.
///
/// # Errors
/// With the section and what to do.
pub fn check_url(section: &str, url: &str) -> Result<()> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(host) = host.filter(|h| !h.is_empty()) else {
        bail!("[{section}] url: begin it with http:// or https://");
    };
    ensure!(!host.contains('@'), "[{section}] url: put user and password in keys of their own");
    Ok(())
}

impl HttpAccessConfig {
    /// Refuses keys that contradict each other, and files that are named and cannot be read.
    ///
    /// # Errors
    /// With the section and the key.
    pub fn check(&self, section: &str) -> Result<()> {
        self.credentials(section)?;
        self.agent(section, 0).map(drop)
    }

    /// The credentials, from the keys or the files that they name; `section` is for errors.
    ///
    /// # Errors
    /// When keys contradict each other, or a file cannot be read.
    pub fn credentials(&self, section: &str) -> Result<Credentials> {
        let token = secret(section, &self.token, "token", &self.token_file)?;
        let password = secret(section, &self.password, "password", &self.password_file)?;
        match (token, self.user.is_empty(), password) {
            (None, true, None) => Ok(Credentials::None),
            (Some(token), true, None) => Ok(Credentials::Bearer(token)),
            (None, false, Some(password)) => Ok(Credentials::Basic { user: self.user.clone(), password }),
            (Some(_), ..) => bail!("[{section}] token: give a token, or user and password, not both"),
            (None, true, Some(_)) => bail!("[{section}] user: a password needs a user"),
            (None, false, None) => bail!("[{section}] password: a user needs a password"),
        }
    }

    /// A client that follows so many redirections, and gives every other answer as it came, also one
    /// that is an error.
    ///
    /// # Errors
    /// When `timeout_s` is 0 or the certificates cannot be read.
    pub fn agent(&self, section: &str, redirects_max: u32) -> Result<Agent> {
        ensure!(self.timeout_s > 0, "[{section}] timeout_s = 0: at least 1 is needed");
        let mut agent = Agent::config_builder()
            .timeout_global(Some(Duration::from_secs(self.timeout_s)))
            .http_status_as_error(false)
            .max_redirects(redirects_max)
            .max_redirects_will_error(false);
        if !self.ca_file.as_os_str().is_empty() {
            let trusted = certificates(&self.ca_file).with_context(|| format!("[{section}] ca_file"))?;
            agent = agent.tls_config(TlsConfig::builder().root_certs(RootCerts::from(trusted)).build());
        }
        Ok(agent.build().into())
    }
}

/// A secret from its key or its file.
fn secret(section: &str, value: &Secret, key: &str, file: &Path) -> Result<Option<Secret>> {
    let given = !value.expose().is_empty();
    if file.as_os_str().is_empty() {
        return Ok(given.then(|| value.clone()));
    }
    ensure!(!given, "[{section}] {key}: give it or {key}_file, not both");
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("[{section}] {key}_file: cannot read {}", file.display()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    ensure!(!text.is_empty(), "[{section}] {key}_file: {} is empty", file.display());
    Ok(Some(Secret::new(text)))
}

/// The certificates that a file in PEM holds; at least one.
pub(crate) fn certificates(file: &Path) -> Result<Vec<Certificate<'static>>> {
    let pem = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let items = parse_pem(&pem).collect::<Result<Vec<_>, _>>().with_context(|| format!("{}", file.display()))?;
    let certificates: Vec<_> = items
        .into_iter()
        .filter_map(|item| match item {
            PemItem::Certificate(certificate) => Some(certificate),
            _ => None,
        })
        .collect();
    ensure!(!certificates.is_empty(), "{} has no certificate", file.display());
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut HttpAccessConfig)) -> String {
        let mut config = HttpAccessConfig::default();
        change(&mut config);
        config.check("store").map_or_else(|e| format!("{e:#}"), |()| String::new())
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_section_and_key() {
        assert_eq!(refused(|_| {}), "");
        assert!(refused(|c| c.timeout_s = 0).contains("[store] timeout_s"));
        assert!(refused(|c| c.user = "u".to_owned()).contains("password"));
        assert!(refused(|c| c.password = Secret::new("p")).contains("user"));
        assert!(refused(|c| c.token_file = "/nowhere".into()).contains("token_file"));
        assert!(refused(|c| c.ca_file = "/nowhere".into()).contains("[store] ca_file"));
        let both = refused(|c| {
            c.token = Secret::new("swordfish");
            c.user = "u".to_owned();
        });
        assert!(both.contains("not both") && !both.contains("swordfish"), "{both}");
        assert!(check_url("store", "host:80").is_err() && check_url("store", "http://a:b@host").is_err());
        check_url("store", "https://host/path").unwrap();
    }

    #[test]
    fn a_secret_may_lie_in_a_file_and_becomes_a_header() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "swordfish\n").unwrap();
        let config = HttpAccessConfig { user: "u".to_owned(), password_file: file, ..Default::default() };
        let basic = config.credentials("store").unwrap();
        assert!(!format!("{basic:?}").contains("swordfish"));
        assert_eq!(basic.authorization("Bearer").unwrap().expose(), "Basic dTpzd29yZGZpc2g=");
        let token = Credentials::Bearer(Secret::new("t")).authorization("Token").unwrap();
        assert_eq!(token.expose(), "Token t");
        assert_eq!(Credentials::None.authorization("Bearer"), None);
    }

    #[test]
    fn a_token_file_is_read_again_when_a_server_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "old").unwrap();
        let config = HttpAccessConfig { token_file: file.clone(), ..Default::default() };
        let authorization = Authorization::new(&config, "store", "Bearer").unwrap();
        let after = |status| {
            authorization.heed(status);
            authorization.value().unwrap().expose().to_owned()
        };
        std::fs::write(&file, "new").unwrap();
        assert_eq!([200, 404, 500].map(after), ["Bearer old"; 3]);
        assert_eq!(after(401), "Bearer new");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(after(403), "Bearer new", "what cannot be read changes nothing");
    }
}
