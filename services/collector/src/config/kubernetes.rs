//! Section `[collector.kubernetes]`.

use super::{check_name, check_step};
use anyhow::{Context as _, ensure};
use prescale_chassis::HttpAccessConfig;
use prescale_chassis::http_access::check_url;
use prescale_domain::source::SourceName;
use serde::{Deserialize, Serialize};

const SECTION: &str = "collector.kubernetes";

/// Section `[collector.kubernetes]`: what a cluster's API server says of its workloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KubernetesConfig {
    /// Where the API server is, such as `https://kubernetes.default.svc`; empty for off.
    pub url: String,
    /// Names the source for good.
    pub name: String,
    /// Time between two samples of a workload, in seconds.
    pub every_s: u32,
    /// Label selector that the API server goes by, such as `team=shop`. Of what it selects, workloads with the label or
    /// annotation `prescale.io/enabled: "true"` are collected.
    pub selector: String,
    /// Section `[collector.kubernetes.access]`: how to be let in.
    pub access: HttpAccessConfig,
}

impl Default for KubernetesConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            name: "main".to_owned(),
            every_s: 60,
            selector: String::new(),
            access: HttpAccessConfig::default(),
        }
    }
}

impl KubernetesConfig {
    /// Whether there is a server to be asked.
    pub fn is_enabled(&self) -> bool {
        !self.url.is_empty()
    }

    /// Name of the source.
    ///
    /// # Errors
    /// When it is too long.
    pub(crate) fn source(&self) -> anyhow::Result<SourceName> {
        SourceName::new(format!("kubernetes:{}", self.name)).context("[collector.kubernetes] name")
    }

    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if !self.is_enabled() {
            return Ok(());
        }
        check_url(SECTION, &self.url)?;
        check_name("[collector.kubernetes] name", &self.name)?;
        ensure!(!self.name.is_empty(), "[collector.kubernetes] name = \"\": the source needs a name");
        check_step("[collector.kubernetes] every_s", self.every_s)?;
        self.source()?;
        self.access.check("collector.kubernetes.access")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused_with_its_key() {
        let refused = |text: &str| {
            let config: KubernetesConfig = toml::from_str(text).unwrap();
            config.check().map_or_else(|error| format!("{error:#}"), |()| String::new())
        };
        assert_eq!(refused("every_s = 0\n"), "", "it is off");
        assert_eq!(refused("url = \"https://k\"\n"), "");
        assert!(refused("url = \"k:6443\"\n").contains("[collector.kubernetes] url"));
        assert!(refused("url = \"https://k\"\nevery_s = 0\n").contains("[collector.kubernetes] every_s = 0"));
        assert!(refused("url = \"https://k\"\nname = \"\"\n").contains("[collector.kubernetes] name"));
        let access = "url = \"https://k\"\n[access]\ntoken_file = \"/nowhere\"\n";
        assert!(refused(access).contains("[collector.kubernetes.access] token_file"));
    }
}
