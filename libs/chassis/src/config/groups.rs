//! Groups as configuration has them: `[grouper.groups.NAME]`. The planner reads them too, since its rules may be those
//! of a group.

use anyhow::{Result, anyhow, ensure};
use prescale_domain::selector::Selector;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The groups by name. A workload may be in several.
pub type GroupsConfig = BTreeMap<String, GroupConfig>;

/// Section `[grouper.groups.NAME]`: which workloads are in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupConfig {
    /// Patterns of workload names, such as `web-*`: one of them must match. `?` is any one character, `*` any
    /// number of them, `[abc]` one of these.
    pub workloads: Vec<String>,
    /// Patterns of sources, such as `fleet:*`: one of them must match. Empty for all.
    pub sources: Vec<String>,
}

/// What the planner reads of section `[grouper]`: the groups. The rest is the grouper's to check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GroupsSection {
    /// The groups.
    pub groups: GroupsConfig,
    #[serde(flatten)]
    rest: toml::Table,
}

/// The workloads that patterns name, in the section `key`.
///
/// # Errors
/// With the section and the text that is no pattern.
pub fn selector(key: &str, workloads: &[String], sources: &[String]) -> Result<Selector> {
    Selector::new(workloads, sources).map_err(|e| anyhow!("{key} {e}"))
}

impl GroupConfig {
    /// Its members, where `key` is its section.
    ///
    /// # Errors
    /// With the section, when it names nobody or has a text that is no pattern.
    pub fn members(&self, key: &str) -> Result<Selector> {
        ensure!(!self.workloads.is_empty(), "{key} workloads is empty: give a pattern, \"*\" for all");
        selector(key, &self.workloads, &self.sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loader;
    use std::path::Path;

    #[test]
    fn the_planner_reads_the_groups_and_lets_the_rest_be() {
        let text = "[grouper]\npatience_s = 600\n[grouper.groups.web]\nworkloads = [\"web-*\"]\n";
        let loader = Loader::from_text(Path::new("prescale.toml"), text, []).unwrap();
        let section: GroupsSection = loader.section("grouper").unwrap();
        assert_eq!(section.groups["web"].workloads, ["web-*"]);
        let none = GroupConfig::default().members("[grouper.groups.web]").unwrap_err().to_string();
        assert!(none.contains("[grouper.groups.web] workloads is empty"), "{none}");
    }
}
