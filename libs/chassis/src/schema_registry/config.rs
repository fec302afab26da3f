//! Section `[schema_registry]`.

use crate::config::Secret;
use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Section `[schema_registry]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchemaRegistryConfig {
    /// Where the registry's REST API begins, as in `https://registry:8081`; empty for no registry.
    pub url: String,
    /// Bearer token.
    pub token: Secret,
    /// File with the bearer token; read at the start.
    pub token_file: PathBuf,
    /// User for basic authentication.
    pub user: String,
    /// Its password.
    pub password: Secret,
    /// File with the password; read at the start.
    pub password_file: PathBuf,
    /// Certificates (PEM) that the registry's is checked against; empty for Mozilla's roots.
    pub ca_file: PathBuf,
    /// Longest wait for an answer, in seconds.
    pub timeout_s: u64,
    /// Register schemas that are missing, with compatibility `FULL_TRANSITIVE`; otherwise only look
    /// them up.
    pub register: bool,
}

impl Default for SchemaRegistryConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            token: Secret::default(),
            token_file: PathBuf::new(),
            user: String::new(),
            password: Secret::default(),
            password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            timeout_s: 10,
            register: true,
        }
    }
}

/// How the registry knows who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credentials {
    None,
    Bearer(Secret),
    Basic { user: String, password: Secret },
}

impl SchemaRegistryConfig {
    /// Whether a registry is configured.
    pub fn is_enabled(&self) -> bool {
        !self.url.is_empty()
    }

    /// Refuses what contradicts itself.
    ///
    /// # Errors
    /// With the key and what it may be.
    pub fn check(&self) -> Result<()> {
        if !self.is_enabled() {
            return Ok(());
        }
        let host = self.url.strip_prefix("https://").or_else(|| self.url.strip_prefix("http://"));
        let Some(host) = host.filter(|h| !h.is_empty()) else {
            bail!("[schema_registry] url: begin it with http:// or https://");
        };
        ensure!(!host.contains('@'), "[schema_registry] url: put user and password in keys of their own");
        ensure!(self.timeout_s > 0, "[schema_registry] timeout_s = 0: at least 1 is needed");
        self.credentials().map(drop)
    }

    pub(super) fn credentials(&self) -> Result<Credentials> {
        let token = secret(&self.token, "token", &self.token_file)?;
        let password = secret(&self.password, "password", &self.password_file)?;
        match (token, self.user.is_empty(), password) {
            (None, true, None) => Ok(Credentials::None),
            (Some(token), true, None) => Ok(Credentials::Bearer(token)),
            (None, false, Some(password)) => Ok(Credentials::Basic { user: self.user.clone(), password }),
            (Some(_), ..) => bail!("[schema_registry] token: give a token, or user and password, not both"),
            (None, true, Some(_)) => bail!("[schema_registry] user: a password needs a user"),
            (None, false, None) => bail!("[schema_registry] password: a user needs a password"),
        }
    }
}

/// A secret from its key or its file.
fn secret(value: &Secret, key: &str, file: &Path) -> Result<Option<Secret>> {
    let given = !value.expose().is_empty();
    if file.as_os_str().is_empty() {
        return Ok(given.then(|| value.clone()));
    }
    ensure!(!given, "[schema_registry] {key}: give it or {key}_file, not both");
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("[schema_registry] {key}_file: cannot read {}", file.display()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    ensure!(!text.is_empty(), "[schema_registry] {key}_file: {} is empty", file.display());
    Ok(Some(Secret::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut SchemaRegistryConfig)) -> String {
        let mut config = SchemaRegistryConfig { url: "http://registry".to_owned(), ..Default::default() };
        change(&mut config);
        config.check().map_or_else(|e| format!("{e:#}"), |()| String::new())
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_key() {
        assert_eq!(refused(|_| {}), "");
        assert!(refused(|c| c.url = "registry:8081".to_owned()).contains("url"));
        assert!(refused(|c| c.url = "http://a:b@registry".to_owned()).contains("keys of their own"));
        assert!(refused(|c| c.timeout_s = 0).contains("timeout_s"));
        assert!(refused(|c| c.user = "u".to_owned()).contains("password"));
        assert!(refused(|c| c.password = Secret::new("p")).contains("user"));
        assert!(refused(|c| c.token_file = "/nowhere".into()).contains("token_file"));
        let both = refused(|c| {
            c.token = Secret::new("swordfish");
            c.user = "u".to_owned();
        });
        assert!(both.contains("not both") && !both.contains("swordfish"), "{both}");
    }

    #[test]
    fn a_secret_may_lie_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "swordfish\n").unwrap();
        let config = SchemaRegistryConfig { user: "u".to_owned(), password_file: file, ..Default::default() };
        let basic = Credentials::Basic { user: "u".to_owned(), password: Secret::new("swordfish") };
        assert_eq!(config.credentials().unwrap(), basic);
        assert!(!format!("{basic:?}").contains("swordfish"));
    }
}
