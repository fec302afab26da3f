//! Section `[schema_registry]`.

use crate::http_access::{HttpAccessConfig, check_url};
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Name of the section.
const SECTION: &str = "schema_registry";

/// Name of the section about the access to it.
pub(super) const ACCESS: &str = "schema_registry.access";

/// Section `[schema_registry]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchemaRegistryConfig {
    /// Where the registry's REST API begins, as in `https://registry:8081`; empty for no registry.
    pub url: String,
    /// Register schemas that are missing, with compatibility `FULL_TRANSITIVE`; otherwise only look
    /// them up.
    pub register: bool,
    /// Section `[schema_registry.access]`. Files are read at the start.
    pub access: HttpAccessConfig,
}

impl Default for SchemaRegistryConfig {
    fn default() -> Self {
        Self { url: String::new(), register: true, access: HttpAccessConfig::default() }
    }
}

impl SchemaRegistryConfig {
    /// Whether a registry is configured.
    pub fn is_enabled(&self) -> bool {
        !self.url.is_empty()
    }

    /// Refuses what contradicts itself, and files that are named and cannot be read.
    ///
    /// # Errors
    /// With the key and what it may be.
    pub fn check(&self) -> Result<()> {
        if !self.is_enabled() {
            return Ok(());
        }
        check_url(SECTION, &self.url)?;
        self.access.check(ACCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Loader, Secret};
    use std::path::Path;

    fn refused(change: impl FnOnce(&mut SchemaRegistryConfig)) -> String {
        let mut config = SchemaRegistryConfig { url: "http://registry".to_owned(), ..Default::default() };
        change(&mut config);
        config.check().map_or_else(|e| format!("{e:#}"), |()| String::new())
    }

    #[test]
    fn what_contradicts_itself_is_refused_by_key() {
        assert_eq!(refused(|_| {}), "");
        assert!(refused(|c| c.url = "registry:8081".to_owned()).contains("[schema_registry] url"));
        assert!(refused(|c| c.url = "http://a:b@registry".to_owned()).contains("keys of their own"));
        assert!(refused(|c| c.access.timeout_s = 0).contains("[schema_registry.access] timeout_s"));
        assert!(refused(|c| c.access.password = Secret::new("p")).contains("[schema_registry.access] user"));
        assert!(refused(|c| c.access.ca_file = "/nowhere".into()).contains("[schema_registry.access] ca_file"));
        let unused = SchemaRegistryConfig { url: String::new(), ..Default::default() };
        assert!(!unused.is_enabled() && unused.check().is_ok());
    }

    #[test]
    fn keys_of_the_access_stand_in_a_section_of_their_own() {
        let read = |text: &str| {
            let loader = Loader::from_text(Path::new("prescale.toml"), text, []).unwrap();
            loader.section::<SchemaRegistryConfig>(SECTION).map_err(|e| e.to_string())
        };
        let config = read("[schema_registry]\nregister = false\n[schema_registry.access]\ntoken = \"t\"\n").unwrap();
        assert_eq!((config.register, config.access.token.expose()), (false, "t"));
        let error = read("[schema_registry]\ntoken = \"t\"\n").unwrap_err();
        assert!(error.contains("prescale.toml:2") && error.contains("known are: access, register, url"), "{error}");
    }
}
