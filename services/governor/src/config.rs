//! Configuration of the governor: section `[governor]`.

use anyhow::{Context as _, Result};
use prescale_chassis::{FleetsConfig, fleets};
use prescale_domain::governor::GovernorRules;
use serde::{Deserialize, Serialize};

/// Section `[governor]`. Shares are of a fleet's known workloads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Largest share of a fleet that changes within `changed_window_s`; one workload always may.
    pub changed_share_max: f64,
    /// The window of `changed_share_max`, in seconds, 300 to 86400.
    pub changed_window_s: u32,
    /// Most scale-ins within an hour, as a share of the fleet; two always may be.
    pub scale_ins_per_h_max_share: f64,
    /// Largest share of a fleet that grows within `changed_window_s` for the sake of forecasts alone; ten workloads
    /// always may.
    pub wanted_share_max: f64,
    /// Nothing shrinks while at least this share of a fleet is gone or silent.
    pub gone_share_max: f64,
    /// Nothing shrinks while more than this share of a fleet lost one of its KPIs.
    pub migrated_share_max: f64,
    /// A partition that is behind the others by more seconds of the records' time is silent, 300 to 86400; what
    /// shrinks waits as long for one that is behind. `up` waits for a day with a replay, and until a Prometheus'
    /// history is through.
    pub patience_s: u32,
    /// The fleets by name, as `[governor.fleets.NAME]`.
    pub fleets: FleetsConfig,
}

impl Default for Config {
    fn default() -> Self {
        let rules = GovernorRules::default();
        Self {
            changed_share_max: rules.changed_share_max,
            changed_window_s: rules.changed_window_s,
            scale_ins_per_h_max_share: rules.scale_ins_per_h_max_share,
            wanted_share_max: rules.wanted_share_max,
            gone_share_max: rules.gone_share_max,
            migrated_share_max: rules.migrated_share_max,
            patience_s: rules.patience_s,
            fleets: FleetsConfig::new(),
        }
    }
}

impl Config {
    /// The rules that the configuration makes, checked.
    ///
    /// # Errors
    /// With the key that is out of range, or the fleet that cannot be used.
    pub fn rules(&self) -> Result<GovernorRules> {
        let rules = GovernorRules {
            changed_share_max: self.changed_share_max,
            changed_window_s: self.changed_window_s,
            scale_ins_per_h_max_share: self.scale_ins_per_h_max_share,
            wanted_share_max: self.wanted_share_max,
            gone_share_max: self.gone_share_max,
            migrated_share_max: self.migrated_share_max,
            patience_s: self.patience_s,
        };
        rules.validate().context("[governor]")?;
        fleets(&self.fleets)?;
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_chassis::Loader;
    use std::path::Path;

    #[test]
    fn the_defaults_are_the_domains() {
        assert_eq!(Config::default().rules().unwrap(), GovernorRules::default());
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |text: &str| format!("{:#}", toml::from_str::<Config>(text).unwrap().rules().unwrap_err());
        assert!(message("changed_share_max = 2.0").contains("[governor]: changed_share_max = 2"));
        assert!(message("[fleets.web]").contains("[governor.fleets.web]"));
    }

    #[test]
    fn what_does_not_fit_names_file_line_and_key() {
        let error = |text: &str| {
            let loader = Loader::from_text(Path::new("prescale.toml"), &format!("[governor.fleets.web]\n{text}\n"), []);
            loader.unwrap().section::<Config>("governor").unwrap_err().to_string()
        };
        assert_eq!(
            error("workload = [\"web-*\"]"),
            "prescale.toml:2: [governor] fleets.web.workload: unknown key, did you mean \"workloads\"?"
        );
        let kind = error("workloads = \"web-*\"");
        assert!(kind.starts_with("prescale.toml:2: [governor] fleets.web.workloads: invalid type: string"), "{kind}");
        assert!(kind.contains("web-*") && kind.contains("expected a sequence"), "{kind}");
    }
}
