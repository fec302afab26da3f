//! Configuration of the planner: section `[planner]`, and the rules that it makes.
//!
//! The keys of a policy and of the guardrails are their own knobs ([`KnobSection`]), and so are those of `[planner]`
//! itself ([`General`]) but for the policy's name and the resources.

mod general;
mod outcomes;
mod rates;
mod sections;
#[cfg(test)]
mod toy;

pub use general::General;
pub use outcomes::OutcomesConfig;
pub use prescale_chassis::config::KnobSection;
pub use rates::{PerReplicaConfig, RateConfig, RatesConfig};
pub use sections::{SectionConfig, SectionsConfig};

use anyhow::Context as _;
use prescale_chassis::{GroupsConfig, PricesConfig};
use prescale_domain::evaluation::Terms;
use prescale_domain::guardrail::{Guardrails, Remedies};
use prescale_domain::policy::{
    AnyPolicy, Cost, DryRun, ForecastChoice, Policy as _, Proactive, RuleBook, Rules, Sizing, Threshold,
};
use prescale_domain::resource::Resource;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
#[cfg(test)]
use toy::Toy;

/// Makes [`PolicyName`] and [`Config`] of the list of policies: each has a name, which is that of its section too, and
/// what it is.
macro_rules! policies {
    ($($(#[$attr:meta])* $name:ident: $Policy:ident),+ $(,)?) => {
        /// The policies.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum PolicyName {
            $(
                $(#[$attr])*
                #[doc = concat!("As section `[planner.", stringify!($name), "]` sets it.")]
                $Policy,
            )+
        }

        impl PolicyName {
            /// All of them.
            pub const ALL: &'static [Self] = &[$($(#[$attr])* Self::$Policy),+];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self {
                    $($(#[$attr])* Self::$Policy => stringify!($name),)+
                }
            }
        }

        /// Section `[planner]`.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        pub struct Config {
            /// Which policy decides.
            pub policy: PolicyName,
            /// KPIs whose demand is sized: `cpu_cores_used`, `memory_bytes`.
            pub resources: Vec<String>,
            /// The keys that the rules have in several parts.
            #[serde(flatten)]
            pub general: KnobSection<General>,
            $(
                $(#[$attr])*
                #[doc = concat!("Section `[planner.", stringify!($name), "]`.")]
                pub $name: KnobSection<$Policy>,
            )+
            /// Sections `[planner.rates.NAME]`: rates that workloads are sized by as well.
            pub rates: RatesConfig,
            /// Section `[planner.guardrails]`. A bound of 0 at the upper end is none.
            pub guardrails: KnobSection<Guardrails>,
            /// Section `[planner.anomalies]`: what is done about anomalies.
            pub anomalies: KnobSection<Remedies>,
            /// Section `[planner.dry_run]`: where actions are published and nothing is called.
            pub dry_run: KnobSection<DryRun>,
            /// Section `[planner.prices]`.
            pub prices: PricesConfig,
            /// Section `[planner.outcomes]`.
            pub outcomes: OutcomesConfig,
            /// Sections `[planner.for.NAME]`: rules for some workloads.
            #[serde(rename = "for")]
            pub sections: SectionsConfig,
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    policy: PolicyName::Proactive,
                    resources: ForecastChoice::default().resources.iter().map(|r| r.kpi().to_owned()).collect(),
                    general: KnobSection::default(),
                    $($(#[$attr])* $name: KnobSection::default(),)+
                    rates: RatesConfig::new(),
                    guardrails: KnobSection::default(),
                    anomalies: KnobSection::default(),
                    dry_run: KnobSection::default(),
                    prices: PricesConfig::default(),
                    outcomes: OutcomesConfig::default(),
                    sections: SectionsConfig::new(),
                }
            }
        }

        impl<'de> Visitor<'de> for ConfigVisitor {
            type Value = Config;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a section")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
                let mut config = Config::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "policy" => config.policy = map.next_value()?,
                        "resources" => config.resources = map.next_value()?,
                        $($(#[$attr])* stringify!($name) => config.$name = map.next_value()?,)+
                        "rates" => config.rates = map.next_value()?,
                        "guardrails" => config.guardrails = map.next_value()?,
                        "anomalies" => config.anomalies = map.next_value()?,
                        "dry_run" => config.dry_run = map.next_value()?,
                        "prices" => config.prices = map.next_value()?,
                        "outcomes" => config.outcomes = map.next_value()?,
                        "for" => config.sections = map.next_value()?,
                        key => config.general.take(key, &mut map)?,
                    }
                }
                Ok(config)
            }
        }

        impl Config {
            /// The policy that decides, with its settings. Demand is planned as `[planner.proactive]` says, where a
            /// policy leaves that to it.
            fn chosen_policy(&self) -> AnyPolicy {
                match self.policy {
                    $(
                        $(#[$attr])*
                        PolicyName::$Policy => {
                            let mut policy = self.$name.0.clone();
                            policy.plan_as(&self.proactive);
                            policy.into()
                        }
                    )+
                }
            }
        }
    };
}

policies! {
    proactive: Proactive,
    cost: Cost,
    threshold: Threshold,
    #[cfg(test)]
    toy: Toy,
}

struct ConfigVisitor;

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ConfigVisitor)
    }
}

impl Config {
    /// The rules that the configuration makes, checked. `groups` are those that sections may name.
    ///
    /// # Errors
    /// With the key that is out of range or contradicts another, and the sections that it comes from.
    pub fn rules(&self, groups: &GroupsConfig) -> anyhow::Result<RuleBook> {
        sections::rule_book(self, groups)
    }

    /// What is decided and accounted by, checked; `groups` as for [`Self::rules`].
    ///
    /// # Errors
    /// As [`Self::rules`].
    pub fn terms(&self, groups: &GroupsConfig) -> anyhow::Result<Terms> {
        Ok(Terms { rules: self.rules(groups)?, pricing: self.outcomes.pricing()? })
    }

    /// Names of the rates that workloads are sized by, in sections too, with repetitions.
    pub fn rated(&self) -> impl Iterator<Item = &str> {
        let in_sections = self.sections.values().filter_map(|section| section.overrides.get("rates")?.as_table());
        self.rates.keys().map(String::as_str).chain(in_sections.flat_map(|rates| rates.keys().map(String::as_str)))
    }

    /// The rules but for those for some workloads. `key` is where they stand.
    fn general_rules(&self, key: &str) -> anyhow::Result<Rules> {
        let known = || Resource::ALL.map(Resource::kpi).join(", ");
        let resource = |name: &String| {
            Resource::of_kpi(name)
                .with_context(|| {
                format!(
                    "{key} resources: {name:?} cannot be sized, only {}; a rate is sized by its section [planner.rates.{name}]",
                    known()
                )
            })
        };
        let General { forecast, learns_lead_time, sizing } = self.general.0.clone();
        let rules = Rules {
            policy: self.chosen_policy(),
            forecast: ForecastChoice {
                resources: self.resources.iter().map(resource).collect::<Result<_, _>>()?,
                ..forecast
            },
            learns_lead_time,
            rates: self.rates.iter().map(|(name, rate)| rate.rule(name)).collect(),
            sizing: Sizing { prices: self.prices.price_list().with_context(|| format!("{key} prices"))?, ..sizing },
            guardrails: self.guardrails.0.clone(),
            remedies: self.anomalies.0.clone(),
            dry_run: self.dry_run.0,
        };
        rules.validate().with_context(|| format!("{key} does not make sense"))?;
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::action::Mechanism;
    use prescale_domain::policy::Target;

    #[test]
    fn the_defaults_are_the_domains() {
        assert_eq!(Config::default().rules(&GroupsConfig::new()).unwrap().general(), &Rules::default());
    }

    #[test]
    fn policies_are_read_by_their_names() {
        for &policy in PolicyName::ALL {
            let config: Config = toml::from_str(&format!("policy = \"{}\"\n", policy.name())).unwrap();
            assert_eq!((config.policy, config.chosen_policy().name()), (policy, policy.name()));
        }
    }

    #[test]
    fn words_are_read_and_shown() {
        let text = "target = \"value\"\nmechanism = \"instance-type\"\n";
        let config: Config = toml::from_str(text).unwrap();
        let General { forecast, sizing, .. } = &config.general.0;
        assert_eq!((forecast.target, sizing.mechanism), (Target::Value, Some(Mechanism::InstanceType)));
        let shown = toml::Table::try_from(&config).unwrap();
        assert_eq!((shown["target"].as_str(), shown["mechanism"].as_str()), (Some("value"), Some("instance-type")));
        let error = toml::from_str::<Config>("mechanism = \"limit\"").unwrap_err();
        assert!(error.message().starts_with("unknown variant `limit`, expected one of `auto`"), "{error}");
    }

    #[test]
    fn wrong_values_name_their_key() {
        let message = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            format!("{:#}", config.rules(&GroupsConfig::new()).unwrap_err())
        };
        assert!(message(|c| c.resources = vec!["disk".into()]).contains("\"disk\" cannot be sized"));
        assert!(
            message(|c| (c.policy, c.threshold.headroom) = (PolicyName::Threshold, 1.3)).contains("headroom is 1.3")
        );
        assert!(message(|c| c.anomalies.step_share = 0.0).contains("anomalies.step_share is 0"));
        assert!(message(|c| c.guardrails.bounds.replicas_max = 0).contains("replicas_max is 0"));
        let cost = |change: fn(&mut Config)| {
            let mut config = Config { policy: PolicyName::Cost, ..Config::default() };
            change(&mut config);
            format!("{:#}", config.rules(&GroupsConfig::new()).unwrap_err())
        };
        assert!(cost(|c| c.cost.switch_saving_min = 1.0).contains("switch_saving_min is 1"));
        assert!(cost(|c| c.prices.instance_types.clear()).contains("instance_types is empty"));
        assert!(message(|c| c.prices.core_price_per_h = -1.0).contains("[planner] prices: core_price_per_h"));
    }
}
