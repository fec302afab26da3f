//! Configuration of the grouper: section `[grouper]`.

use crate::STAGES;
use anyhow::{Context as _, Result, ensure};
use prescale_chassis::{GroupConfig, GroupsConfig, StageEntry};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::group::GroupName;
use prescale_domain::selector::Selector;
use prescale_domain::workload::WorkloadId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Section `[grouper]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A group waits for members in a partition whose predictions are behind the others' by no more than so many
    /// seconds of the records' time, 300 to 86400; and so long it takes until new members count that lie in a partition
    /// where there were none. `up` waits for a day with a replay, and until a Prometheus' history is through.
    pub patience_s: u32,
    /// The groups by name, as `[grouper.groups.NAME]`. A workload may be in several.
    pub groups: GroupsConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self { patience_s: 1800, groups: GroupsConfig::new() }
    }
}

/// Groups by name, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups(Vec<Group>);

#[derive(Clone, Debug, PartialEq)]
struct Group {
    name: GroupName,
    members: Selector,
}

impl Config {
    /// Checks the groups.
    ///
    /// # Errors
    /// With the key of a name or pattern that cannot be used.
    pub fn groups(&self) -> Result<Groups> {
        let group = |(name, config): (&String, &GroupConfig)| {
            let key = format!("[grouper.groups.{name}]");
            let members = config.members(&key)?;
            anyhow::Ok(Group { name: GroupName::new(name).with_context(|| key)?, members })
        };
        Ok(Groups(self.groups.iter().map(group).collect::<Result<_>>()?))
    }

    /// The patience in bins of the grid.
    ///
    /// # Errors
    /// When it is out of range.
    pub fn patience_bins(&self) -> Result<i64> {
        let patience_s = self.patience_s;
        ensure!((300..=86_400).contains(&patience_s), "[grouper] patience_s = {patience_s}: 300 to 86400 are possible");
        Ok(i64::from(patience_s / GRID_STEP_S))
    }

    /// The stages that it runs; none without a group.
    pub fn stages(&self) -> Vec<StageEntry> {
        if self.groups.is_empty() { Vec::new() } else { STAGES.to_vec() }
    }
}

/// All of it, one group after another.
impl fmt::Display for Groups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Group { name, members } in &self.0 {
            let [workloads, sources] = members.texts();
            write!(f, "{name:?} {workloads:?} {sources:?};")?;
        }
        Ok(())
    }
}

impl Groups {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The groups that a workload is in.
    pub fn of<'a>(&'a self, workload: &'a WorkloadId, source: &'a str) -> impl Iterator<Item = &'a GroupName> {
        let holds = move |group: &&Group| group.members.holds(workload, source);
        self.0.iter().filter(holds).map(|group| &group.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_workload_is_in_every_group_whose_patterns_match() {
        let groups = config(
            r#"
            [groups.web]
            workloads = ["web-*", "proxy-?"]
            [groups.demo]
            workloads = ["*"]
            sources = ["fleet:*"]
            "#,
        );
        let groups = groups.groups().unwrap();
        let of = |workload: &str, source| -> Vec<String> {
            groups.of(&WorkloadId::new(workload).unwrap(), source).map(ToString::to_string).collect()
        };
        assert_eq!(of("web-1", "fleet:demo"), ["demo", "web"]);
        assert_eq!(of("proxy-1", "host:a"), ["web"]);
        assert_eq!(of("proxy-12", "host:a"), [""; 0]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_key() {
        let message = |text| format!("{:#}", config(text).groups().unwrap_err());
        assert!(message("[groups.web]\n").contains("[grouper.groups.web] workloads is empty"));
        let pattern = message("[groups.web]\nworkloads = [\"web-[\"]\n");
        assert!(pattern.contains("[grouper.groups.web] workloads: \"web-[\""), "{pattern}");
        assert!(message("[groups.\"\"]\nworkloads = [\"*\"]\n").contains("[grouper.groups.]"));
        let short = config("patience_s = 299\n").patience_bins().unwrap_err().to_string();
        assert!(short.contains("[grouper] patience_s = 299: 300 to 86400"), "{short}");
        assert_eq!(Config::default().patience_bins().unwrap(), 6);
        assert!(Config::default().stages().is_empty());
        assert_eq!(config("[groups.web]\n").stages().len(), 2);
    }
}
