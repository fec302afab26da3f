//! Configuration of the evaluator: section `[evaluator]`.

use crate::STAGE;
use anyhow::{Result, ensure};
use prescale_chassis::{GroupsConfig, StageEntry};
use prescale_domain::evaluation::{Pricing, Terms};
use serde::{Deserialize, Serialize};

/// Section `[evaluator]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Whether outcomes are written.
    pub enabled: bool,
    /// What a core costs for an hour, whatever it is part of; 0 for the price list that the planner has.
    pub core_price_per_h: f64,
    /// Name of the currency; empty where outcomes are to say nothing of money.
    pub currency: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, core_price_per_h: 0.0, currency: String::new() }
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
        let per_core_h = (*per_core_h > 0.0).then_some(*per_core_h);
        let pricing = (!currency.is_empty()).then(|| Pricing { currency: currency.as_str().into(), per_core_h });
        Ok(Terms { rules: planner.rules(groups)?, pricing })
    }

    /// The stage that it runs; none where it is not enabled.
    pub fn stages(&self) -> Vec<StageEntry> {
        if self.enabled { vec![STAGE] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::policy::Rules;

    #[test]
    fn the_rules_and_the_price_list_are_the_planners() {
        let terms = |config: Config, planner: &str| {
            let planner: prescale_planner::Config = toml::from_str(planner).unwrap();
            config.terms(&planner, &GroupsConfig::default()).unwrap()
        };
        let listed = Pricing { currency: "USD".into(), per_core_h: None };
        assert_eq!(terms(Config::default(), ""), Terms { rules: Rules::default().into(), pricing: None });
        let dollars = Config { currency: "USD".to_owned(), ..Config::default() };
        assert_eq!(terms(dollars, "").pricing, Some(listed));
        let own = terms(Config::default(), "prices.core_price_per_h = 0.25");
        assert_eq!(own.rules.general().sizing.prices.core_price_per_h, Some(0.25));
        let stated = Config { core_price_per_h: 0.5, currency: "EUR".to_owned(), ..Config::default() };
        assert_eq!(terms(stated, "").pricing, Some(Pricing { currency: "EUR".into(), per_core_h: Some(0.5) }));
        assert_eq!(Config::default().stages().len(), 1);
        assert!(Config { enabled: false, ..Config::default() }.stages().is_empty());
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
        assert!(message("core_price_per_h = 1.0", "").contains("[evaluator] currency"));
        assert!(message("", "resources = ['disk']").contains("[planner]"));
        assert!(message("", "prices.gib_price_per_h = -1.0").contains("[planner] prices: gib_price_per_h"));
    }
}
