//! Section `[schema_registry]`.

use crate::config::Secret;
use crate::http_access::{Credentials, HttpAccessConfig, check_url};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Name of the section.
pub(super) const SECTION: &str = "schema_registry";

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
        check_url(SECTION, &self.url)?;
        ensure!(self.timeout_s > 0, "[schema_registry] timeout_s = 0: at least 1 is needed");
        self.credentials().map(drop)
    }

    pub(super) fn credentials(&self) -> Result<Credentials> {
        self.access().credentials(SECTION)
    }

    pub(super) fn access(&self) -> HttpAccessConfig {
        HttpAccessConfig {
            token: self.token.clone(),
            token_file: self.token_file.clone(),
            user: self.user.clone(),
            password: self.password.clone(),
            password_file: self.password_file.clone(),
            ca_file: self.ca_file.clone(),
            timeout_s: self.timeout_s,
        }
    }
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
