//! Section `[planner.outcomes]`: what the account of decisions says of money.

use anyhow::{Result, ensure};
use prescale_domain::evaluation::Pricing;
use serde::{Deserialize, Serialize};

/// Section `[planner.outcomes]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OutcomesConfig {
    /// What a core costs for an hour, whatever it is part of; 0 for the price list of `[planner.prices]`.
    pub core_price_per_h: f64,
    /// Name of the currency; empty where outcomes are to say nothing of money.
    pub currency: String,
}

impl OutcomesConfig {
    /// What capacity costs, checked; `None` where nothing is to be said of money.
    ///
    /// # Errors
    /// With the key that is out of range, or missing.
    pub(super) fn pricing(&self) -> Result<Option<Pricing>> {
        let Self { core_price_per_h: per_core_h, currency } = self;
        ensure!(
            per_core_h.is_finite() && *per_core_h >= 0.0,
            "[planner.outcomes] core_price_per_h = {per_core_h}: give a number of at least 0"
        );
        ensure!(
            *per_core_h == 0.0 || !currency.is_empty(),
            "[planner.outcomes] currency is empty: name that of the price"
        );
        let per_core_h = (*per_core_h > 0.0).then_some(*per_core_h);
        Ok((!currency.is_empty()).then(|| Pricing { currency: currency.as_str().into(), per_core_h }))
    }
}

#[cfg(test)]
mod tests {
    use crate::Config;
    use prescale_chassis::GroupsConfig;
    use prescale_domain::evaluation::Pricing;

    #[test]
    fn the_price_list_is_the_planners_unless_a_core_has_a_price() {
        let terms = |text: &str| toml::from_str::<Config>(text).unwrap().terms(&GroupsConfig::new()).unwrap();
        assert_eq!(terms("").pricing, None);
        let listed = terms("outcomes.currency = \"USD\"\nprices.core_price_per_h = 0.25");
        assert_eq!(listed.pricing, Some(Pricing { currency: "USD".into(), per_core_h: None }));
        assert_eq!(listed.rules.general().sizing.prices.core_price_per_h, Some(0.25));
        let stated = terms("outcomes.currency = \"EUR\"\noutcomes.core_price_per_h = 0.5");
        assert_eq!(stated.pricing, Some(Pricing { currency: "EUR".into(), per_core_h: Some(0.5) }));
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |text: &str| {
            let config: Config = toml::from_str(text).unwrap();
            format!("{:#}", config.terms(&GroupsConfig::new()).unwrap_err())
        };
        assert!(message("outcomes.core_price_per_h = -1.0").contains("[planner.outcomes] core_price_per_h = -1"));
        assert!(message("outcomes.core_price_per_h = 1.0").contains("[planner.outcomes] currency"));
        assert!(message("resources = ['disk']").contains("[planner]"));
        let of_some = "for.web.workloads = [\"web-*\"]\nfor.web.outcomes.currency = \"EUR\"\n";
        let refused = toml::from_str::<Config>(of_some).unwrap_err();
        assert!(refused.message().contains("outcomes: it is the same for all workloads"), "{refused}");
    }
}
