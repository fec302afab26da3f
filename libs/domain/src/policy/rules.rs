//! Everything that decides about a workload but the facts.

pub mod interface;

use super::outlook::ForecastChoice;
use super::proactive::Proactive;
use super::rate::{PerReplica, RateRule};
use super::sizing::Sizing;
use crate::guardrail::{Guardrails, Remedies};
use crate::knob::{Knob, Knobs, MIB};
use crate::resource::Resource;
use crate::sample::Platform;
use interface::AnyPolicy;
use std::borrow::Cow;

/// Which actions are published and not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DryRun {
    /// On the simulated cloud.
    pub simulated: bool,
    /// On every other platform.
    pub elsewhere: bool,
}

impl Default for DryRun {
    fn default() -> Self {
        Self { simulated: false, elsewhere: true }
    }
}

impl Knobs for DryRun {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self { simulated, elsewhere } = self;
        see("simulated", Knob::Flag(simulated));
        see("elsewhere", Knob::Flag(elsewhere));
    }
}

impl DryRun {
    /// Whether an action on that platform is a dry run. What is only observed cannot be changed.
    pub fn on(self, platform: Platform) -> bool {
        let configured = if platform == Platform::SIMULATED { self.simulated } else { self.elsewhere };
        configured || platform == Platform::OBSERVED_ONLY
    }
}

/// Everything that decides about a workload but the facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The policy.
    pub policy: AnyPolicy,
    /// Which number of a prediction counts.
    pub forecast: ForecastChoice,
    /// Whether the lead time is learnt from the changes of each source; until then that of `forecast` holds.
    pub learns_lead_time: bool,
    /// Rates that workloads are sized by as well, each once.
    pub rates: Vec<RateRule>,
    /// What the mechanisms can make.
    pub sizing: Sizing,
    /// Restraints.
    pub guardrails: Guardrails,
    /// What is done about anomalies.
    pub remedies: Remedies,
    /// Which actions are dry runs.
    pub dry_run: DryRun,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            policy: Proactive::default().into(),
            forecast: ForecastChoice::default(),
            learns_lead_time: true,
            rates: Vec::new(),
            sizing: Sizing::default(),
            guardrails: Guardrails::default(),
            remedies: Remedies::default(),
            dry_run: DryRun::default(),
        }
    }
}

/// Rules that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} is {value}: {remedy}")]
pub struct RulesError {
    /// The setting, with what stands above it where its name alone does not tell which it is.
    pub key: Cow<'static, str>,
    /// Its value.
    pub value: String,
    /// What to do.
    pub remedy: String,
}

pub(super) fn require(
    holds: bool,
    key: impl Into<Cow<'static, str>>,
    value: impl ToString,
    remedy: impl Into<String>,
) -> Result<(), RulesError> {
    if holds { Ok(()) } else { Err(RulesError { key: key.into(), value: value.to_string(), remedy: remedy.into() }) }
}

pub(super) fn positive(key: impl Into<Cow<'static, str>>, value: f64) -> Result<(), RulesError> {
    require(value.is_finite() && value > 0.0, key, value, "give a number above 0")
}

impl Rules {
    /// Checks that the rules make sense together.
    ///
    /// # Errors
    /// With the first setting that does not, named as in the configuration.
    pub fn validate(&self) -> Result<(), RulesError> {
        self.policy.validate(&self.sizing)?;
        validate_forecast(&self.forecast)?;
        self.rates.iter().try_for_each(validate_rate)?;
        positive("cpu_cores_grain", self.sizing.cpu_cores_grain)?;
        positive("memory_mib_grain", self.sizing.memory_bytes_grain / MIB)?;
        for t in &self.sizing.prices.instance_types {
            let sound = [t.cpu_cores, t.memory_bytes].iter().all(|v| v.is_finite() && *v > 0.0)
                && t.price_per_h.is_finite()
                && t.price_per_h >= 0.0;
            require(sound, "instance_types", &t.name, "give positive cores and memory and a price of at least 0")?;
        }
        self.guardrails.validate()?;
        validate_remedies(&self.remedies)?;
        let (valid_for_s, lead_time_s) = (self.guardrails.pace.valid_for_s, self.forecast.lead_time_s);
        let remedy = format!("an action would be void before it serves: give at least lead_time_s ({lead_time_s})");
        require(valid_for_s >= lead_time_s, "guardrails.valid_for_s", valid_for_s, remedy)
    }

    /// With another lead time; an action stays valid until it can serve.
    pub fn with_lead_time(mut self, lead_time_s: u32) -> Self {
        self.forecast.lead_time_s = lead_time_s;
        let valid_for_s = &mut self.guardrails.pace.valid_for_s;
        *valid_for_s = (*valid_for_s).max(lead_time_s);
        self
    }
}

fn validate_remedies(remedies: &Remedies) -> Result<(), RulesError> {
    let (p_value_max, step_share) = (remedies.p_value_max, remedies.step_share);
    let remedy = "give a share of ordinary bins of at least 0 and below 1";
    require((0.0..1.0).contains(&p_value_max), "anomalies.p_value_max", p_value_max, remedy)?;
    let is_step = step_share > 0.0 && step_share <= 1.0;
    require(is_step, "anomalies.step_share", step_share, "give a share of the capacity above 0 and up to 1")
}

fn validate_rate(rate: &RateRule) -> Result<(), RulesError> {
    let section = format!("rates.{}", rate.kpi);
    match rate.per_replica {
        _ if Resource::of_kpi(rate.kpi.as_str()).is_some() => {
            require(false, section, "a resource", "it is sized as that, not by what a replica serves of it")
        }
        PerReplica::Stated(per_replica) => positive(format!("{section}.per_replica"), per_replica),
        PerReplica::Learnt { utilisation } => require(
            utilisation > 0.0 && utilisation <= 1.0,
            format!("{section}.utilisation"),
            utilisation,
            "give a share of the CPU above 0 and up to 1",
        ),
    }
}

/// Longest time until a change serves that rules are tried with.
const LEAD_TIME_S_MAX: u32 = 7200;

fn validate_forecast(f: &ForecastChoice) -> Result<(), RulesError> {
    let lead_time_s = f.lead_time_s;
    require(lead_time_s <= LEAD_TIME_S_MAX, "lead_time_s", lead_time_s, format!("give at most {LEAD_TIME_S_MAX}"))?;
    require((0.05..=0.99).contains(&f.quantile), "quantile", f.quantile, "give a level from 0.05 to 0.99")?;
    require(!f.resources.is_empty(), "resources", "empty", "name at least one resource to size")?;
    let mut seen = f.resources.clone();
    seen.sort_unstable();
    seen.dedup();
    require(seen.len() == f.resources.len(), "resources", "a list with a repetition", "name each resource once")
}

impl Guardrails {
    fn validate(&self) -> Result<(), RulesError> {
        let b = &self.bounds;
        require(b.replicas_min >= 1, "replicas_min", b.replicas_min, "give at least 1")?;
        require(
            b.replicas_max >= b.replicas_min,
            "replicas_max",
            b.replicas_max,
            format!("give at least replicas_min ({})", b.replicas_min),
        )?;
        let reals = [
            ("cpu_cores_min", b.cpu_cores_min, "cpu_cores_max", b.cpu_cores_max),
            ("memory_mib_min", b.memory_bytes_min / MIB, "memory_mib_max", b.memory_bytes_max.map(|high| high / MIB)),
        ];
        for (low_key, low, high_key, high) in reals {
            require(low.is_finite() && low >= 0.0, low_key, low, "give a number of at least 0")?;
            if let Some(high) = high {
                require(
                    high.is_finite() && high >= low && high > 0.0,
                    high_key,
                    high,
                    format!("give a number above 0, at least {low_key} ({low})"),
                )?;
            }
        }
        positive("step_share_max_out", self.step.share_max_out)?;
        require(
            self.step.share_max_in > 0.0 && self.step.share_max_in <= 1.0,
            "step_share_max_in",
            self.step.share_max_in,
            "give a share above 0 and up to 1",
        )?;
        require(self.step.replicas_max != Some(0), "step_replicas_max", 0, "give at least 1, or leave it out")?;
        require(self.pace.valid_for_s > 0, "valid_for_s", 0, "give at least 1 s, or every action is void at once")?;
        require(
            self.floor_utilisation > 0.0 && self.floor_utilisation <= 1.0,
            "floor_utilisation",
            self.floor_utilisation,
            "give a share of the capacity above 0 and up to 1",
        )?;
        require(
            (0.0..1.0).contains(&self.anomaly_p_max),
            "anomaly_p_max",
            self.anomaly_p_max,
            "give a share of ordinary bins of at least 0 and below 1",
        )?;
        require(
            self.capped_from.is_finite() && self.capped_from >= 0.0,
            "capped_from",
            self.capped_from,
            "give a share of the capacity, or 0 where use can pass the capacity",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::threshold::Threshold;
    use super::*;

    #[test]
    fn the_default_rules_are_valid() {
        assert_eq!(Rules::default().validate(), Ok(()));
    }

    #[test]
    fn rules_that_would_turn_a_change_around_are_refused() {
        let with = |threshold: Threshold| Rules { policy: threshold.into(), ..Rules::default() };
        let error = with(Threshold { headroom: 1.3, ..Threshold::default() }).validate().expect_err("adds on decrease");
        assert_eq!(
            error.to_string(),
            "headroom is 1.3: decrease_below × headroom has to be below 1, or a decrease would add capacity"
        );
        let error = with(Threshold { increase_above: f64::NAN, ..Threshold::default() }).validate().expect_err("NaN");
        assert_eq!(error.key, "increase_above");
        let mut rules = Rules::default();
        rules.guardrails.bounds.replicas_max = 0;
        assert_eq!(rules.validate().expect_err("min above max").key, "replicas_max");
        let mut rules = Rules::default();
        (rules.guardrails.bounds.memory_bytes_min, rules.guardrails.bounds.memory_bytes_max) = (512.0 * MIB, Some(MIB));
        assert_eq!(
            rules.validate().expect_err("min above max").to_string(),
            "memory_mib_max is 1: give a number above 0, at least memory_mib_min (512)"
        );
    }

    #[test]
    fn an_action_that_would_be_void_before_it_serves_is_refused() {
        let valid_for = |valid_for_s| {
            let mut rules = Rules::default();
            rules.guardrails.pace.valid_for_s = valid_for_s;
            rules
        };
        assert_eq!(valid_for(900).validate(), Ok(()));
        assert_eq!(
            valid_for(899).validate().expect_err("a lead time of 900 s").to_string(),
            "guardrails.valid_for_s is 899: an action would be void before it serves: give at least lead_time_s (900)"
        );
        let learnt = valid_for(900).with_lead_time(1500);
        assert_eq!((learnt.guardrails.pace.valid_for_s, learnt.validate()), (1500, Ok(())));
        assert_eq!(learnt.with_lead_time(60).guardrails.pace.valid_for_s, 1500);
    }

    #[test]
    fn what_is_only_observed_is_always_a_dry_run() {
        let live = DryRun { simulated: false, elsewhere: false };
        assert!(live.on(Platform::OBSERVED_ONLY));
        assert!(!live.on(Platform::KUBERNETES) && !live.on(Platform::SIMULATED));
        assert!(DryRun::default().on(Platform::OPENSTACK) && !DryRun::default().on(Platform::SIMULATED));
    }
}
