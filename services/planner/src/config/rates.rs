//! Sections `[planner.rates.NAME]`: rates that workloads are sized by.

use prescale_domain::kpi::KpiName;
use prescale_domain::policy::{PerReplica, RateRule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The rates by the names of their KPIs.
pub type RatesConfig = BTreeMap<String, RateConfig>;

/// Section `[planner.rates.NAME]`: how many replicas so much of the KPI of that name needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RateConfig {
    /// How much of it one replica serves, in its unit; or `learn`, what its CPU is enough for.
    pub per_replica: PerReplicaConfig,
    /// With `learn`: share of a replica's CPU that may be used.
    pub utilisation: f64,
}

/// How much of a rate one replica serves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number above 0, or \"learn\"")]
pub enum PerReplicaConfig {
    /// So much.
    Stated(f64),
    /// To be learnt.
    Learnt(Learn),
}

/// The word `learn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Learn {
    /// From the workload's own history.
    Learn,
}

impl Default for RateConfig {
    fn default() -> Self {
        Self { per_replica: PerReplicaConfig::Learnt(Learn::Learn), utilisation: 0.7 }
    }
}

impl RateConfig {
    /// As the domain has it.
    pub(super) fn rule(&self, name: &str) -> RateRule {
        let per_replica = match self.per_replica {
            PerReplicaConfig::Stated(per_replica) => PerReplica::Stated(per_replica),
            PerReplicaConfig::Learnt(Learn::Learn) => PerReplica::Learnt { utilisation: self.utilisation },
        };
        RateRule { kpi: KpiName::new(name), per_replica }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use prescale_chassis::GroupsConfig;

    #[test]
    fn a_rate_is_stated_or_learnt() {
        let text = "[rates.requests_per_s]\nper_replica = 120\n[rates.jobs_per_s]\nper_replica = \"learn\"\nutilisation = 0.6\n\
                    [for.big]\nworkloads = [\"big-*\"]\nrates.requests_per_s.per_replica = 240\n";
        let config: Config = toml::from_str(text).unwrap();
        let book = config.rules(&GroupsConfig::new()).unwrap();
        let wanted =
            [("jobs_per_s", PerReplica::Learnt { utilisation: 0.6 }), ("requests_per_s", PerReplica::Stated(120.0))];
        let wanted = wanted.map(|(name, per_replica)| RateRule { kpi: KpiName::new(name), per_replica });
        assert_eq!(book.general().rates, wanted);
        assert_eq!(config.rated().collect::<Vec<_>>(), ["jobs_per_s", "requests_per_s", "requests_per_s"]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_by_its_key() {
        let refusal = |text: &str| match toml::from_str::<Config>(text) {
            Ok(config) => format!("{:#}", config.rules(&GroupsConfig::new()).unwrap_err()),
            Err(error) => error.to_string(),
        };
        assert!(refusal("[rates.x]\nper_replica = 0\n").contains("rates.x.per_replica is 0"));
        assert!(refusal("[rates.x]\nper_replica = \"lern\"\n").contains("a number above 0, or \"learn\""));
        assert!(refusal("[rates.x]\nutilisation = 1.5\n").contains("utilisation is 1.5"));
        assert!(refusal("[rates.cpu_cores_used]\n").contains("rates.cpu_cores_used is a resource"));
        let resource = refusal("resources = [\"requests_per_s\"]\n");
        assert!(resource.contains("a rate is sized by its section [planner.rates.requests_per_s]"), "{resource}");
    }
}
