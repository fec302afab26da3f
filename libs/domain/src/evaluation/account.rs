//! The account of one workload: three capacities in closed loops, and what each was worth in the hour that is open.
//!
//! A sample tells of the step that ends at its instant. So the demand of that step is held against what served then,
//! and what is decided with it serves a lead time after its instant.

use super::outcome::{HOUR_S, Outcome, OwnTerms};
use super::sums::{Sums, Worth, seconds};
use crate::outcome::rules::reactive::Reactive;
use crate::outcome::{ClosedLoop, Seen, SizingRule, Tally, in_grains};
use crate::policy::proactive::propose::forecast_of;
use crate::policy::{Decision, Resource};
use crate::prediction::Prediction;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// The reactive rule: share of the capacity that is to be used.
const REACTIVE_UTILISATION: f64 = 0.7;
/// The reactive rule: window for decreases, in seconds.
const REACTIVE_WINDOW_S: u32 = 3600;
/// A sample of a longer step says too little of any hour to count.
const STEP_MAX_S: u32 = 86_400;

/// The account of one workload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Account {
    /// Instant of the newest prediction.
    pub(super) newest_at: EventTime,
    /// What the chain said then, in cores; `None` where it did not say.
    felt_cores: Option<f64>,
    /// The capacities; `None` before the first one is known.
    pub(super) held: Option<Held>,
    open: Option<Hour>,
}

/// The three capacities.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Held {
    pub(super) capacity: ClosedLoop,
    pub(super) plan: ClosedLoop,
    pub(super) reactive: ClosedLoop,
    rule: Reactive,
}

/// What has come of an hour.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Hour {
    number: i64,
    /// Hours in which use was at the capacity or above it.
    censored: f64,
    capacity: Tally,
    plan: Tally,
    reactive: Tally,
}

impl Account {
    /// Of a workload with this first prediction.
    pub(super) fn new(at: EventTime) -> Self {
        Self { newest_at: at, felt_cores: None, held: None, open: None }
    }

    /// Takes a prediction in, newer than those before, with what the planner decided on it. The hours that are over
    /// by then, at most one for each that its step reaches into and one.
    pub(super) fn take(&mut self, terms: &OwnTerms<'_>, prediction: &Prediction, decision: &Decision) -> Vec<Outcome> {
        let at = prediction.made_at;
        let demand = forecast_of(prediction, Resource::Cpu).and_then(|forecast| forecast.last);
        let demand = demand.filter(|demand| demand.is_finite() && *demand >= 0.0);
        let cores = prediction.capacity.as_ref().filter(|c| c.replicas > 0).map(|c| c.cpu_cores());
        let cores = cores.filter(|cores| cores.is_finite() && *cores >= 0.0);
        let mut over = Vec::new();
        if let Some(demand) = demand {
            self.hold(terms, prediction, (demand, cores), &mut over);
        }
        self.close_before(terms, prediction, at.bin(HOUR_S), &mut over);
        self.feel(terms, prediction, cores);
        self.decide(terms, prediction, decision, (demand, cores));
        (self.newest_at, self.felt_cores) = (at, cores);
        over
    }

    /// Holds the capacities against the demand of the step that has just ended.
    fn hold(
        &mut self,
        terms: &OwnTerms<'_>,
        prediction: &Prediction,
        (demand, cores): (f64, Option<f64>),
        over: &mut Vec<Outcome>,
    ) {
        let Some(served) = self.felt_cores.filter(|_| prediction.step_s <= STEP_MAX_S) else { return };
        let capped_from = terms.rules.guardrails.capped_from;
        let is_censored = capped_from > 0.0 && demand >= capped_from * cores.unwrap_or(served).min(served);
        let end = prediction.made_at;
        let mut at = end.plus_s(-i64::from(prediction.step_s)).max(self.newest_at);
        while at < end {
            let number = at.bin(HOUR_S);
            self.close_before(terms, prediction, number, over);
            let until = EventTime::of_bin(number + 1, HOUR_S).min(end);
            let Some(held) = &self.held else { return };
            let hour = self.open.get_or_insert_with(|| Hour::new(number));
            let parts = [
                (&held.capacity, &mut hour.capacity),
                (&held.plan, &mut hour.plan),
                (&held.reactive, &mut hour.reactive),
            ];
            for (capacity, tally) in parts {
                tally.add(&capacity.worth(at, until, demand));
            }
            if is_censored {
                hour.censored += (until.as_ms() - at.as_ms()) as f64 / (f64::from(HOUR_S) * 1000.0);
            }
            at = until;
        }
    }

    /// Closes the open hour if it lies before hour `number`.
    fn close_before(&mut self, terms: &OwnTerms<'_>, prediction: &Prediction, number: i64, over: &mut Vec<Outcome>) {
        over.extend(self.open.take_if(|open| open.number < number).and_then(|hour| hour.outcome(terms, prediction)));
    }

    /// Takes the capacity in that the chain says.
    fn feel(&mut self, terms: &OwnTerms<'_>, prediction: &Prediction, cores: Option<f64>) {
        let (at, lead_s) = (prediction.made_at, terms.rules.forecast.lead_time_s);
        if let Some(held) = &mut self.held {
            [&mut held.capacity, &mut held.plan, &mut held.reactive].into_iter().for_each(|held| held.forget(at));
            held.plan.set_lead_s(lead_s);
            held.reactive.set_lead_s(lead_s);
        }
        let Some(cores) = cores else { return };
        let held = self.held.get_or_insert_with(|| Held::new(cores, lead_s));
        let has_changed = held.capacity.order(at, cores);
        if has_changed {
            self.open.get_or_insert_with(|| Hour::new(at.bin(HOUR_S))).capacity.changes += 1;
        }
        if !terms.rules.dry_run.on(prediction.platform) {
            held.plan.felt(at, cores);
        } else if has_changed {
            // Someone else changed it, and the planner goes on from there.
            held.plan = ClosedLoop::new(cores, lead_s);
        }
    }

    /// What plan and reactive rule order.
    fn decide(
        &mut self,
        terms: &OwnTerms<'_>,
        prediction: &Prediction,
        decision: &Decision,
        (demand, bought): (Option<f64>, Option<f64>),
    ) {
        let Some(held) = &mut self.held else { return };
        let at = prediction.made_at;
        let planned = match decision {
            Decision::Act(action) => held.plan.order(at, action.desired.cpu_cores()),
            Decision::Hold(_) => false,
        };
        let seen = |demand| Seen { at, step_s: prediction.step_s, demand, bought, forecast: None };
        let decided = demand.and_then(|demand| held.rule.decide(&seen(demand)));
        let grain_cores = terms.rules.sizing.cpu_cores_grain;
        let reacted = decided.is_some_and(|cores| held.reactive.order(at, in_grains(cores, grain_cores)));
        if planned || reacted {
            let hour = self.open.get_or_insert_with(|| Hour::new(at.bin(HOUR_S)));
            hour.plan.changes += u64::from(planned);
            hour.reactive.changes += u64::from(reacted);
        }
    }
}

impl Held {
    fn new(cores: f64, lead_s: u32) -> Self {
        Self {
            capacity: ClosedLoop::new(cores, 0),
            plan: ClosedLoop::new(cores, lead_s),
            reactive: ClosedLoop::new(cores, lead_s),
            rule: Reactive::new(REACTIVE_UTILISATION, REACTIVE_WINDOW_S),
        }
    }
}

impl Hour {
    fn new(number: i64) -> Self {
        let [capacity, plan, reactive] = [Tally::default(); 3];
        Self { number, censored: 0.0, capacity, plan, reactive }
    }

    /// The record of it; `None` where no demand was known.
    fn outcome(self, terms: &OwnTerms<'_>, prediction: &Prediction) -> Option<Outcome> {
        let price = terms.price;
        let worth = |tally: &Tally| Worth::of(tally, price.map(|price| price.per_core_h));
        (self.capacity.hours > 0.0).then(|| Outcome {
            workload: prediction.workload.clone(),
            source: prediction.source.clone(),
            from: EventTime::of_bin(self.number, HOUR_S),
            policy: terms.rules.policy.name().into(),
            lead_time_s: terms.rules.forecast.lead_time_s,
            is_dry_run: terms.rules.dry_run.on(prediction.platform),
            sums: Sums {
                observed_s: seconds(self.capacity.hours),
                censored_s: seconds(self.censored),
                demand_core_s: self.capacity.demand * f64::from(HOUR_S),
                capacity: worth(&self.capacity),
                plan: worth(&self.plan),
                reactive: worth(&self.reactive),
                currency: price.map(|price| price.currency.clone()),
            },
        })
    }
}
