//! Configuration of the planner: section `[planner]`, and the rules that it makes.

mod rates;
mod sections;

pub use rates::{PerReplicaConfig, RateConfig, RatesConfig};
pub use sections::{SectionConfig, SectionsConfig};

use anyhow::Context as _;
use prescale_chassis::{GroupsConfig, PricesConfig};
use prescale_domain::action::Mechanism;
use prescale_domain::guardrail::{Bounds, Guardrails, Pace, Step};
use prescale_domain::policy::proactive::{Aim, Budget, CHANGES_PER_DAY_MAX, Weights};
use prescale_domain::policy::{
    Cost, DryRun, ForecastChoice, Policy, Proactive, RuleBook, Rules, Sizing, Target, Threshold,
};
use prescale_domain::resource::Resource;
use serde::{Deserialize, Serialize};

const MIB: f64 = 1_048_576.0;

/// Section `[planner]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Which policy decides: `proactive`, `cost` or `threshold`.
    pub policy: PolicyName,
    /// KPIs whose demand is sized: `cpu_cores_used`, `memory_bytes`.
    pub resources: Vec<String>,
    /// What of a forecast counts: `maximum` over the horizon, or `value` at its end.
    pub target: TargetName,
    /// Quantile level of the forecast that counts as the predicted demand; 0.5 is the median.
    pub quantile: f64,
    /// Time until a change serves, in seconds: the smallest forecast horizon not below it is used.
    pub lead_time_s: u32,
    /// Whether that is only what holds until it is learnt, from when the capacity changes after an increase.
    pub learn_lead_time: bool,
    /// How capacity is changed; `auto` is replicas, and limits for what can only be observed.
    pub mechanism: MechanismName,
    /// Smallest step of a replica's CPU limit, in cores.
    pub cpu_cores_grain: f64,
    /// Smallest step of a replica's memory limit, in MiB.
    pub memory_mib_grain: f64,
    /// Section `[planner.proactive]`.
    pub proactive: ProactiveConfig,
    /// Section `[planner.cost]`.
    pub cost: CostConfig,
    /// Section `[planner.threshold]`.
    pub threshold: ThresholdConfig,
    /// Sections `[planner.rates.NAME]`: rates that workloads are sized by as well.
    pub rates: RatesConfig,
    /// Section `[planner.guardrails]`.
    pub guardrails: GuardrailsConfig,
    /// Section `[planner.dry_run]`.
    pub dry_run: DryRunConfig,
    /// Section `[planner.prices]`.
    pub prices: PricesConfig,
    /// Sections `[planner.for.NAME]`: rules for some workloads.
    #[serde(rename = "for")]
    pub sections: SectionsConfig,
}

/// The policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyName {
    /// The capacity that costs least, by rules that are tried on each workload all the time.
    #[default]
    Proactive,
    /// What that plans for, from the instance types and in the count that cost least.
    Cost,
    /// Compare the predicted demand with the capacity.
    Threshold,
}

impl PolicyName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Proactive, Self::Cost, Self::Threshold];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proactive => "proactive",
            Self::Cost => "cost",
            Self::Threshold => "threshold",
        }
    }
}

/// What of a forecast counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetName {
    /// The demand at the horizon.
    Value,
    /// The maximum of the demand over the horizon.
    #[default]
    Maximum,
}

/// How capacity is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MechanismName {
    /// As the platform usually does it.
    #[default]
    Auto,
    /// Number of replicas or VMs.
    Replicas,
    /// CPU and memory limits in place.
    Limits,
    /// Instance type (flavor).
    InstanceType,
}

/// Section `[planner.proactive]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProactiveConfig {
    /// What the prices of too little, too much and changes are to achieve: `beat-reactive`, `short-share`,
    /// `unmet-share` or `prices`.
    pub aim: AimName,
    /// With `beat-reactive`: most changes a workload and day, on average over a fleet.
    pub changes_per_day_max: f64,
    /// With `short-share`: each workload is to be short for this share of the time.
    pub short_share: f64,
    /// With `unmet-share`: of each workload's demand this share is to be unmet.
    pub unmet_share: f64,
    /// With `prices`: what the time short costs, where the reactive rule's spare capacity costs 1, if there is as much
    /// of it as the reactive rule leaves.
    pub short_price: f64,
    /// With `prices`: likewise of unmet demand.
    pub unmet_price: f64,
    /// With `prices`: likewise of changes.
    pub change_price: f64,
    /// Time that a decision has to hold, in seconds.
    pub hold_s: u32,
    /// Memory to have as a multiple of its greatest use of the last week.
    pub memory_headroom: f64,
    /// Memory shrinks only by more than this share.
    pub memory_shrink_share: f64,
}

/// What prices are to achieve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AimName {
    /// The worst of a fleet's ratios to the reactive rule is as small as can be.
    #[default]
    BeatReactive,
    /// A share of the time short.
    ShortShare,
    /// A share of the demand unmet.
    UnmetShare,
    /// Stated prices.
    Prices,
}

/// Section `[planner.cost]`. Demand is planned as `[planner.proactive]` says, and the types are those of
/// `[planner.prices]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CostConfig {
    /// Another instance type is taken only where it saves at least this share of what the present one would cost.
    pub switch_saving_min: f64,
}

/// Section `[planner.threshold]`: the four numbers of the policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ThresholdConfig {
    /// Multiple of the capacity that the predicted demand has to exceed for an increase.
    pub increase_above: f64,
    /// Relative interval width (upper - lower) / (2 · median) that an increase has to stay below.
    pub relative_width_max: f64,
    /// Multiple of the capacity that the predicted demand has to fall below for a decrease.
    pub decrease_below: f64,
    /// New capacity as a multiple of the predicted demand.
    pub headroom: f64,
}

/// Section `[planner.guardrails]`. A bound of 0 at the upper end is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardrailsConfig {
    /// Fewest replicas of a workload.
    pub replicas_min: u32,
    /// Most replicas of a workload.
    pub replicas_max: u32,
    /// Fewest cores over all replicas.
    pub cpu_cores_min: f64,
    /// Most cores over all replicas; 0 for no bound.
    pub cpu_cores_max: f64,
    /// Least memory over all replicas, in MiB.
    pub memory_mib_min: f64,
    /// Most memory over all replicas, in MiB; 0 for no bound.
    pub memory_mib_max: f64,
    /// Largest increase at a time as a share of the present capacity; 1 lets it double.
    pub step_share_max_out: f64,
    /// Largest decrease at a time as a share of the present capacity; 0.5 lets it halve.
    pub step_share_max_in: f64,
    /// Most replicas added or removed at a time; 0 for no bound.
    pub step_replicas_max: u32,
    /// An increase waits so long after the last increase, in seconds.
    pub cooldown_out_s: u32,
    /// A decrease waits so long after the last change in either direction, in seconds.
    pub cooldown_in_s: u32,
    /// Most changes of a workload within any 24 hours: the flap budget.
    pub changes_per_day_max: u32,
    /// After a change of the capacity serves, KPIs are not relied on for so long, in seconds.
    pub warm_up_s: u32,
    /// An action is void after so long, in seconds; until then the same is not asked for again.
    pub valid_for_s: u32,
    /// Fewest scored intervals behind a forecast that may change capacity; 0 asks for none.
    pub scored_min: u32,
    /// Live use may take at most this share of the capacity: more than that demands an increase that nothing but bounds
    /// can hold.
    pub floor_utilisation: f64,
    /// Use above that demands an increase once it has lasted so long, in seconds.
    pub surge_s: u32,
    /// Use below that ends such a stretch once it has lasted so long, in seconds.
    pub floor_window_s: u32,
    /// From this share of the capacity on, use is taken to be capped by it, and capacity grows by the largest step; 0
    /// where use can pass the capacity.
    pub capped_from: f64,
}

/// Section `[planner.dry_run]`: where actions are published and nothing is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DryRunConfig {
    /// On the simulated cloud.
    pub simulated: bool,
    /// On every other platform.
    pub elsewhere: bool,
}

impl Default for Config {
    fn default() -> Self {
        let (forecast, sizing) = (ForecastChoice::default(), Sizing::default());
        Self {
            policy: PolicyName::Proactive,
            resources: forecast.resources.iter().map(|r| r.kpi().to_owned()).collect(),
            target: TargetName::Maximum,
            quantile: forecast.quantile,
            lead_time_s: forecast.lead_time_s,
            learn_lead_time: true,
            mechanism: MechanismName::Auto,
            cpu_cores_grain: sizing.cpu_cores_grain,
            memory_mib_grain: sizing.memory_bytes_grain / MIB,
            proactive: ProactiveConfig::default(),
            cost: CostConfig::default(),
            threshold: ThresholdConfig::default(),
            rates: RatesConfig::new(),
            guardrails: GuardrailsConfig::default(),
            dry_run: DryRunConfig::default(),
            prices: PricesConfig::default(),
            sections: SectionsConfig::new(),
        }
    }
}

impl Default for CostConfig {
    fn default() -> Self {
        let Cost { plan: _, switch_saving_min } = Cost::default();
        Self { switch_saving_min }
    }
}

impl Default for ThresholdConfig {
    fn default() -> Self {
        let Threshold { increase_above, relative_width_max, decrease_below, headroom } = Threshold::default();
        Self { increase_above, relative_width_max, decrease_below, headroom }
    }
}

impl Default for GuardrailsConfig {
    fn default() -> Self {
        let Guardrails { bounds, step, pace, scored_min, floor_utilisation, surge_s, floor_window_s, capped_from } =
            Guardrails::default();
        Self {
            replicas_min: bounds.replicas_min,
            replicas_max: bounds.replicas_max,
            cpu_cores_min: bounds.cpu_cores_min,
            cpu_cores_max: bounds.cpu_cores_max.unwrap_or(0.0),
            memory_mib_min: bounds.memory_bytes_min / MIB,
            memory_mib_max: bounds.memory_bytes_max.unwrap_or(0.0) / MIB,
            step_share_max_out: step.share_max_out,
            step_share_max_in: step.share_max_in,
            step_replicas_max: step.replicas_max.unwrap_or(0),
            cooldown_out_s: pace.cooldown_out_s,
            cooldown_in_s: pace.cooldown_in_s,
            changes_per_day_max: pace.changes_per_day_max,
            warm_up_s: pace.warm_up_s,
            valid_for_s: pace.valid_for_s,
            scored_min,
            floor_utilisation,
            surge_s,
            floor_window_s,
            capped_from,
        }
    }
}

impl Default for DryRunConfig {
    fn default() -> Self {
        let DryRun { simulated, elsewhere } = DryRun::default();
        Self { simulated, elsewhere }
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
            policy: match self.policy {
                PolicyName::Proactive => Policy::Proactive(self.proactive.policy()),
                PolicyName::Cost => {
                    let CostConfig { switch_saving_min } = self.cost;
                    Policy::Cost(Cost { plan: self.proactive.policy(), switch_saving_min })
                }
                PolicyName::Threshold => Policy::Threshold(self.threshold.rule()),
            },
            forecast: ForecastChoice {
                target: match self.target {
                    TargetName::Value => Target::Value,
                    TargetName::Maximum => Target::Maximum,
                },
                quantile: self.quantile,
                lead_time_s: self.lead_time_s,
                resources: self.resources.iter().map(resource).collect::<Result<_, _>>()?,
            },
            learns_lead_time: self.learn_lead_time,
            rates: self.rates.iter().map(|(name, rate)| rate.rule(name)).collect(),
            sizing: Sizing {
                mechanism: match self.mechanism {
                    MechanismName::Auto => None,
                    MechanismName::Replicas => Some(Mechanism::Replicas),
                    MechanismName::Limits => Some(Mechanism::Limits),
                    MechanismName::InstanceType => Some(Mechanism::InstanceType),
                },
                cpu_cores_grain: self.cpu_cores_grain,
                memory_bytes_grain: self.memory_mib_grain * MIB,
                prices: self.prices.price_list().with_context(|| format!("{key} prices"))?,
            },
            guardrails: self.guardrails.guardrails(),
            dry_run: DryRun { simulated: self.dry_run.simulated, elsewhere: self.dry_run.elsewhere },
        };
        rules.validate().with_context(|| format!("{key} does not make sense"))?;
        Ok(rules)
    }
}

impl Default for ProactiveConfig {
    fn default() -> Self {
        let Proactive { aim: _, hold_s, memory_headroom, memory_shrink_share } = Proactive::default();
        Self {
            aim: AimName::default(),
            changes_per_day_max: CHANGES_PER_DAY_MAX,
            short_share: 0.005,
            unmet_share: 0.001,
            short_price: 0.1,
            unmet_price: 0.4,
            change_price: 0.4,
            hold_s,
            memory_headroom,
            memory_shrink_share,
        }
    }
}

impl ProactiveConfig {
    fn policy(&self) -> Proactive {
        let aim = match self.aim {
            AimName::BeatReactive => Aim::BeatReactive { changes_per_day_max: self.changes_per_day_max },
            AimName::ShortShare => Aim::Share(Budget::of_time(self.short_share)),
            AimName::UnmetShare => Aim::Share(Budget::of_demand(self.unmet_share)),
            AimName::Prices => {
                let (short, unmet, changes) = (self.short_price, self.unmet_price, self.change_price);
                Aim::Weighted(Weights { short, unmet, changes })
            }
        };
        let Self { hold_s, memory_headroom, memory_shrink_share, .. } = *self;
        Proactive { aim, hold_s, memory_headroom, memory_shrink_share }
    }
}

impl ThresholdConfig {
    fn rule(&self) -> Threshold {
        let Self { increase_above, relative_width_max, decrease_below, headroom } = *self;
        Threshold { increase_above, relative_width_max, decrease_below, headroom }
    }
}

impl GuardrailsConfig {
    fn guardrails(&self) -> Guardrails {
        let bound = |x: f64| (x != 0.0).then_some(x);
        Guardrails {
            bounds: Bounds {
                replicas_min: self.replicas_min,
                replicas_max: self.replicas_max,
                cpu_cores_min: self.cpu_cores_min,
                cpu_cores_max: bound(self.cpu_cores_max),
                memory_bytes_min: self.memory_mib_min * MIB,
                memory_bytes_max: bound(self.memory_mib_max * MIB),
            },
            step: Step {
                share_max_out: self.step_share_max_out,
                share_max_in: self.step_share_max_in,
                replicas_max: (self.step_replicas_max > 0).then_some(self.step_replicas_max),
            },
            pace: Pace {
                cooldown_out_s: self.cooldown_out_s,
                cooldown_in_s: self.cooldown_in_s,
                changes_per_day_max: self.changes_per_day_max,
                warm_up_s: self.warm_up_s,
                valid_for_s: self.valid_for_s,
            },
            scored_min: self.scored_min,
            floor_utilisation: self.floor_utilisation,
            surge_s: self.surge_s,
            floor_window_s: self.floor_window_s,
            capped_from: self.capped_from,
        }
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
        for policy in PolicyName::ALL {
            let config: Config = toml::from_str(&format!("policy = \"{}\"\n", policy.name())).unwrap();
            assert_eq!(config.policy, policy);
        }
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
        assert!(message(|c| c.guardrails.replicas_max = 0).contains("replicas_max is 0"));
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
