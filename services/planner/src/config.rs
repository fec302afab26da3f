//! Configuration of the planner: section `[planner]`, and the rules that it makes.
//!
//! The keys of a policy and of the guardrails are their own knobs ([`KnobSection`]); here stand those that are about a
//! policy's choice, forecasts and mechanisms.

mod rates;
mod sections;
#[cfg(test)]
mod toy;

pub use prescale_chassis::config::{KnobSection, OneOf};
pub use rates::{PerReplicaConfig, RateConfig, RatesConfig};
pub use sections::{SectionConfig, SectionsConfig};

use anyhow::Context as _;
use prescale_chassis::{GroupsConfig, PricesConfig};
use prescale_domain::action::Mechanism;
use prescale_domain::guardrail::Guardrails;
use prescale_domain::knob::MIB;
use prescale_domain::policy::{
    AnyPolicy, Cost, DryRun, ForecastChoice, Policy as _, Proactive, RuleBook, Rules, Sizing, Target, Threshold,
};
use prescale_domain::resource::Resource;
use serde::{Deserialize, Serialize};
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
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Config {
            /// Which policy decides.
            pub policy: PolicyName,
            /// KPIs whose demand is sized: `cpu_cores_used`, `memory_bytes`.
            pub resources: Vec<String>,
            /// What of a forecast counts: `maximum` over the horizon, or `value` at its end.
            pub target: OneOf<Target>,
            /// Quantile level of the forecast that counts as the predicted demand; 0.5 is the median.
            pub quantile: f64,
            /// Time until a change serves, in seconds: the smallest forecast horizon not below it is used.
            pub lead_time_s: u32,
            /// Whether that is only what holds until it is learnt, from when the capacity changes after an increase.
            pub learn_lead_time: bool,
            /// How capacity is changed; `auto` is replicas, and limits for what can only be observed.
            pub mechanism: OneOf<Option<Mechanism>>,
            /// Smallest step of a replica's CPU limit, in cores.
            pub cpu_cores_grain: f64,
            /// Smallest step of a replica's memory limit, in MiB.
            pub memory_mib_grain: f64,
            $(
                $(#[$attr])*
                #[doc = concat!("Section `[planner.", stringify!($name), "]`.")]
                pub $name: KnobSection<$Policy>,
            )+
            /// Sections `[planner.rates.NAME]`: rates that workloads are sized by as well.
            pub rates: RatesConfig,
            /// Section `[planner.guardrails]`. A bound of 0 at the upper end is none.
            pub guardrails: KnobSection<Guardrails>,
            /// Section `[planner.dry_run]`: where actions are published and nothing is called.
            pub dry_run: KnobSection<DryRun>,
            /// Section `[planner.prices]`.
            pub prices: PricesConfig,
            /// Sections `[planner.for.NAME]`: rules for some workloads.
            #[serde(rename = "for")]
            pub sections: SectionsConfig,
        }

        impl Default for Config {
            fn default() -> Self {
                let (forecast, sizing) = (ForecastChoice::default(), Sizing::default());
                Self {
                    policy: PolicyName::Proactive,
                    resources: forecast.resources.iter().map(|r| r.kpi().to_owned()).collect(),
                    target: OneOf(forecast.target),
                    quantile: forecast.quantile,
                    lead_time_s: forecast.lead_time_s,
                    learn_lead_time: true,
                    mechanism: OneOf(sizing.mechanism),
                    cpu_cores_grain: sizing.cpu_cores_grain,
                    memory_mib_grain: sizing.memory_bytes_grain / MIB,
                    $($(#[$attr])* $name: KnobSection::default(),)+
                    rates: RatesConfig::new(),
                    guardrails: KnobSection::default(),
                    dry_run: KnobSection::default(),
                    prices: PricesConfig::default(),
                    sections: SectionsConfig::new(),
                }
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

impl Config {
    /// The rules that the configuration makes, checked. `groups` are those that sections may name.
    ///
    /// # Errors
    /// With the key that is out of range or contradicts another, and the sections that it comes from.
    pub fn rules(&self, groups: &GroupsConfig) -> anyhow::Result<RuleBook> {
        sections::rule_book(self, groups)
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
        let rules = Rules {
            policy: self.chosen_policy(),
            forecast: ForecastChoice {
                target: self.target.0,
                quantile: self.quantile,
                lead_time_s: self.lead_time_s,
                resources: self.resources.iter().map(resource).collect::<Result<_, _>>()?,
            },
            learns_lead_time: self.learn_lead_time,
            rates: self.rates.iter().map(|(name, rate)| rate.rule(name)).collect(),
            sizing: Sizing {
                mechanism: self.mechanism.0,
                cpu_cores_grain: self.cpu_cores_grain,
                memory_bytes_grain: self.memory_mib_grain * MIB,
                prices: self.prices.price_list().with_context(|| format!("{key} prices"))?,
            },
            guardrails: self.guardrails.0.clone(),
            dry_run: self.dry_run.0,
        };
        rules.validate().with_context(|| format!("{key} does not make sense"))?;
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!((config.target.0, config.mechanism.0), (Target::Value, Some(Mechanism::InstanceType)));
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
