//! Configuration of the evaluator: section `[evaluator]`.

use anyhow::{Result, ensure};
use prescale_chassis::{EVALUATOR, GroupsConfig, StageInput};
use prescale_domain::evaluation::{CorePrice, Terms};
use serde::{Deserialize, Serialize};

/// Section `[evaluator]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Whether outcomes are written.
    pub enabled: bool,
    /// What a core costs for an hour; 0 where outcomes are to say nothing of money.
    pub core_price_per_h: f64,
    /// Name of the currency.
    pub currency: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, core_price_per_h: 0.0, currency: "USD".to_owned() }
    }
}

impl Config {
    /// What is evaluated, and by what, checked; with the groups that the planner's sections may name.
    ///
    /// # Errors
    /// With the key that is out of range, of this section or of the planner's.
    pub fn terms(&self, planner: &prescale_planner::Config, groups: &GroupsConfig) -> Result<Terms> {
        let Self { core_price_per_h: per_core_h, currency, .. } = self;
        ensure!(
            per_core_h.is_finite() && *per_core_h >= 0.0,
            "[evaluator] core_price_per_h = {per_core_h}: give a number of at least 0"
        );
        ensure!(*per_core_h == 0.0 || !currency.is_empty(), "[evaluator] currency is empty: name that of the price");
        let price = CorePrice { per_core_h: *per_core_h, currency: currency.as_str().into() };
        Ok(Terms { rules: planner.rules(groups)?, price: (*per_core_h > 0.0).then_some(price) })
    }

    /// The stage that it runs with the topic that it reads; none where it is not enabled.
    pub fn inputs(&self) -> Vec<StageInput> {
        if self.enabled { vec![EVALUATOR] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::policy::Rules;

    #[test]
    fn the_rules_are_the_planners_and_no_price_is_the_default() {
        let terms = Config::default().terms(&prescale_planner::Config::default(), &GroupsConfig::default()).unwrap();
        assert_eq!(terms, Terms { rules: Rules::default().into(), price: None });
        assert_eq!(Config::default().inputs(), [EVALUATOR]);
        assert!(Config { enabled: false, ..Config::default() }.inputs().is_empty());
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |text: &str, planner: &str| {
            let planner = toml::from_str(planner).unwrap();
            format!(
                "{:#}",
                toml::from_str::<Config>(text).unwrap().terms(&planner, &GroupsConfig::default()).unwrap_err()
            )
        };
        assert!(message("core_price_per_h = -1.0", "").contains("[evaluator] core_price_per_h = -1"));
        assert!(message("core_price_per_h = 1.0\ncurrency = ''", "").contains("[evaluator] currency"));
        assert!(message("", "resources = ['disk']").contains("[planner]"));
    }
}
