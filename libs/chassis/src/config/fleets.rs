//! Fleets as configuration has them: `[governor.fleets.NAME]`. The planner reads them too, since it says which
//! fleet a workload belongs to.

use super::groups::selector;
use anyhow::{Context as _, Result, ensure};
use prescale_domain::governor::Fleets;
use prescale_domain::governor::fleets::FleetPattern;
use prescale_domain::workload::WorkloadId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The fleets that are named by patterns, by name. A workload is of the first, in the order of their names, that
/// holds; of none of them it is of the fleet of its source.
pub type FleetsConfig = BTreeMap<String, FleetConfig>;

/// Section `[governor.fleets.NAME]`: which workloads are of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FleetConfig {
    /// Patterns of workload names, such as `web-*`: one of them must match. Empty for all.
    pub workloads: Vec<String>,
    /// Patterns of sources, such as `fleet:*`: one of them must match. Empty for all.
    pub sources: Vec<String>,
}

/// What the planner reads of section `[governor]`: the fleets. The rest is the governor's to check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FleetsSection {
    /// The fleets.
    pub fleets: FleetsConfig,
    #[serde(flatten)]
    rest: toml::Table,
}

/// The fleets, checked.
///
/// # Errors
/// With the key of a name or pattern that cannot be used.
pub fn fleets(config: &FleetsConfig) -> Result<Fleets> {
    let fleet = |(name, config): (&String, &FleetConfig)| {
        let key = format!("[governor.fleets.{name}]");
        ensure!(
            !(config.workloads.is_empty() && config.sources.is_empty()),
            "{key} has neither workloads nor sources: give patterns, \"*\" for all"
        );
        Ok(FleetPattern {
            name: WorkloadId::new(name).with_context(|| key.clone())?,
            members: selector(&key, &config.workloads, &config.sources)?,
        })
    };
    Ok(Fleets::new(config.iter().map(fleet).collect::<Result<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loader;
    use std::path::Path;

    #[test]
    fn the_planner_reads_the_fleets_and_lets_the_rest_be() {
        let text = "[governor]\npatience_s = 600\n[governor.fleets.web]\nworkloads = [\"web-*\"]\n";
        let loader = Loader::from_text(Path::new("prescale.toml"), text, []).unwrap();
        let section: FleetsSection = loader.section("governor").unwrap();
        assert_eq!(section.fleets["web"].workloads, ["web-*"]);
        let of = |name: &str| fleets(&section.fleets).unwrap().of(&WorkloadId::new(name).unwrap(), "x").to_string();
        assert_eq!((of("web-1").as_str(), of("db").as_str()), ("web", "x"));
    }

    #[test]
    fn what_does_not_fit_is_refused_to_the_planner_with_its_place_as_well() {
        let error = |line: &str| {
            let text = format!("[governor]\npatience_s = 600\n[governor.fleets.web]\n{line}\n");
            let loader = Loader::from_text(Path::new("prescale.toml"), &text, []).unwrap();
            loader.section::<FleetsSection>("governor").unwrap_err().to_string()
        };
        let kind = error("workloads = \"web-*\"");
        assert!(kind.starts_with("prescale.toml:4: [governor] fleets.web.workloads: invalid type: string"), "{kind}");
        let key = error("workload = [\"web-*\"]");
        assert_eq!(key, "prescale.toml:4: [governor] fleets.web.workload: unknown key, did you mean \"workloads\"?");
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_its_key() {
        let message = |name: &str, workloads: &[&str]| {
            let workloads = workloads.iter().map(|&p| p.to_owned()).collect();
            let config = [(name.to_owned(), FleetConfig { workloads, sources: Vec::new() })].into();
            format!("{:#}", fleets(&config).unwrap_err())
        };
        assert!(message("web", &[]).contains("[governor.fleets.web] has neither"));
        assert!(message("web", &["web-["]).contains("[governor.fleets.web] workloads: \"web-[\""));
        assert!(message("", &["*"]).contains("[governor.fleets.]"));
    }
}
