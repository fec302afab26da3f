//! Everything that decides about a workload but the facts.

use super::cost::Cost;
use super::outlook::ForecastChoice;
use super::proactive::budget::{Budget, Counted};
use super::proactive::{Aim, Proactive};
use super::rate::{PerReplica, RateRule};
use super::sizing::Sizing;
use super::threshold::Threshold;
use crate::guardrail::Guardrails;
use crate::resource::Resource;
use crate::sample::Platform;

/// The policies that there are.
#[derive(Clone, Debug, PartialEq)]
pub enum Policy {
    /// Compare the predicted demand with the capacity.
    Threshold(Threshold),
    /// The capacity that costs least, by rules that are tried on each workload all the time.
    Proactive(Proactive),
    /// What that plans for, from the instance types and in the count that cost least.
    Cost(Cost),
}

impl Policy {
    /// Its name in records and configuration.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Threshold(_) => "threshold",
            Self::Proactive(_) => "proactive",
            Self::Cost(_) => "cost",
        }
    }
}

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
    pub policy: Policy,
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
    /// Which actions are dry runs.
    pub dry_run: DryRun,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            policy: Policy::Proactive(Proactive::default()),
            forecast: ForecastChoice::default(),
            learns_lead_time: true,
            rates: Vec::new(),
            sizing: Sizing::default(),
            guardrails: Guardrails::default(),
            dry_run: DryRun::default(),
        }
    }
}

/// Rules that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{key} is {value}: {remedy}")]
pub struct RulesError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: String,
    /// What to do.
    pub remedy: String,
}

fn require(holds: bool, key: &'static str, value: impl ToString, remedy: impl Into<String>) -> Result<(), RulesError> {
    if holds { Ok(()) } else { Err(RulesError { key, value: value.to_string(), remedy: remedy.into() }) }
}

fn positive(key: &'static str, value: f64) -> Result<(), RulesError> {
    require(value.is_finite() && value > 0.0, key, value, "give a number above 0")
}

impl Rules {
    /// Checks that the rules make sense together.
    ///
    /// # Errors
    /// With the first setting that does not, named as in the configuration.
    pub fn validate(&self) -> Result<(), RulesError> {
        match &self.policy {
            Policy::Threshold(threshold) => validate_threshold(threshold)?,
            Policy::Proactive(proactive) => validate_proactive(proactive)?,
            Policy::Cost(cost) => {
                validate_proactive(&cost.plan)?;
                let saving = cost.switch_saving_min;
                require((0.0..1.0).contains(&saving), "switch_saving_min", saving, "give a share from 0 and below 1")?;
                let is_empty = self.sizing.prices.instance_types.is_empty();
                require(!is_empty, "instance_types", "empty", "list at least one to choose from")?;
            }
        }
        validate_forecast(&self.forecast)?;
        self.rates.iter().try_for_each(validate_rate)?;
        positive("cpu_cores_grain", self.sizing.cpu_cores_grain)?;
        positive("memory_bytes_grain", self.sizing.memory_bytes_grain)?;
        for t in &self.sizing.prices.instance_types {
            let sound = [t.cpu_cores, t.memory_bytes].iter().all(|v| v.is_finite() && *v > 0.0)
                && t.price_per_h.is_finite()
                && t.price_per_h >= 0.0;
            require(sound, "instance_types", &t.name, "give positive cores and memory and a price of at least 0")?;
        }
        self.guardrails.validate()
    }
}

fn validate_threshold(t: &Threshold) -> Result<(), RulesError> {
    positive("increase_above", t.increase_above)?;
    positive("relative_width_max", t.relative_width_max)?;
    positive("headroom", t.headroom)?;
    require(
        t.decrease_below.is_finite() && t.decrease_below >= 0.0,
        "decrease_below",
        t.decrease_below,
        "give a number of at least 0",
    )?;
    require(
        t.decrease_below < t.increase_above,
        "decrease_below",
        t.decrease_below,
        format!("keep it below increase_above ({})", t.increase_above),
    )?;
    require(
        t.increase_above * t.headroom > 1.0,
        "headroom",
        t.headroom,
        "increase_above × headroom has to be above 1, or an increase would take capacity away",
    )?;
    require(
        t.decrease_below * t.headroom < 1.0,
        "headroom",
        t.headroom,
        "decrease_below × headroom has to be below 1, or a decrease would add capacity",
    )
}

fn validate_proactive(p: &Proactive) -> Result<(), RulesError> {
    let headroom = p.memory_headroom;
    require(headroom.is_finite() && headroom >= 1.0, "memory_headroom", headroom, "give a number of at least 1")?;
    let share = p.memory_shrink_share;
    require((0.0..1.0).contains(&share), "memory_shrink_share", share, "give a share from 0 and below 1")?;
    match p.aim {
        Aim::BeatReactive { changes_per_day_max } => positive("changes_per_day_max", changes_per_day_max),
        Aim::Weighted(w) => {
            let sound = [w.short, w.unmet, w.changes].iter().all(|x| x.is_finite() && *x >= 0.0);
            require(sound, "weights", format!("{w:?}"), "give numbers of at least 0")
        }
        Aim::Share(Budget { counted, share }) => {
            let (key, of) = match counted {
                Counted::Short => ("short_share", "time"),
                Counted::Unmet => ("unmet_share", "demand"),
            };
            let remedy = format!("give a share of the {of} above 0 and below 1, such as 0.005");
            require(share > 0.0 && share < 1.0, key, share, remedy)
        }
    }
}

fn validate_rate(rate: &RateRule) -> Result<(), RulesError> {
    require(
        Resource::of_kpi(rate.kpi.as_str()).is_none(),
        "rates",
        &rate.kpi,
        "it is sized as a resource already, not by what a replica serves of it",
    )?;
    match rate.per_replica {
        PerReplica::Stated(per_replica) => positive("per_replica", per_replica),
        PerReplica::Learnt { utilisation } => require(
            utilisation > 0.0 && utilisation <= 1.0,
            "utilisation",
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
            ("memory_bytes_min", b.memory_bytes_min, "memory_bytes_max", b.memory_bytes_max),
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
            self.capped_from.is_finite() && self.capped_from >= 0.0,
            "capped_from",
            self.capped_from,
            "give a share of the capacity, or 0 where use can pass the capacity",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_rules_are_valid() {
        assert_eq!(Rules::default().validate(), Ok(()));
    }

    #[test]
    fn rules_that_would_turn_a_change_around_are_refused() {
        let with = |threshold| Rules { policy: Policy::Threshold(threshold), ..Rules::default() };
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
    }

    #[test]
    fn what_is_only_observed_is_always_a_dry_run() {
        let live = DryRun { simulated: false, elsewhere: false };
        assert!(live.on(Platform::OBSERVED_ONLY));
        assert!(!live.on(Platform::KUBERNETES) && !live.on(Platform::SIMULATED));
        assert!(DryRun::default().on(Platform::OPENSTACK) && !DryRun::default().on(Platform::SIMULATED));
    }
}
