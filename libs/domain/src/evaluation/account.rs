//! The account of one workload: three capacities in closed loops, and what each was worth in the hour that is open.
//!
//! A sample tells of the step that ends at its instant. So the demand of that step is held against what served then,
//! and what is decided with it serves a lead time after its instant. The reactive rule decides with each sample, the
//! plan with each prediction.

use super::outcome::{HOUR_S, Outcome, OwnTerms};
use super::sums::{Sums, Worth, seconds};
use crate::cloud::CapacitySchedule;
use crate::forecast::capped::Served;
use crate::guardrail::strain::Usual;
use crate::outcome::rules::reactive::Reactive;
use crate::outcome::{ClosedLoop, Seen, SizingRule, Tally, in_grains};
use crate::policy::Decision;
use crate::prediction::{Moment, Prediction};
use crate::resource::Resource;
use crate::sample::Capacity;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// A sample of a longer step says too little of any hour to count.
const STEP_MAX_S: u32 = 86_400;

/// The account of one workload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Account {
    /// The newest instant that was taken in.
    pub(super) newest_at: EventTime,
    /// What the chain says since then; `None` where it does not say.
    felt: Option<Capacity>,
    /// The capacities; `None` before the first one is known.
    pub(super) held: Option<Held>,
    open: Option<Hour>,
    /// Of the signals that tell of a shortage, by the newest prediction.
    usual: Usual,
}

/// The three capacities.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Held {
    pub(super) capacity: ClosedLoop,
    pub(super) plan: ClosedLoop,
    /// What the cores of the plan are part of, which is what is paid for.
    plan_sizes: CapacitySchedule,
    pub(super) reactive: ClosedLoop,
    rule: Reactive,
}

/// What has come of an hour.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Hour {
    number: i64,
    /// Hours in which use was at the capacity or above it, or what was measured beside it told of a shortage.
    censored: f64,
    capacity: Came,
    plan: Came,
    reactive: Came,
}

/// What has come of a capacity.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Came {
    tally: Tally,
    /// `None` once a price was not known.
    cost: Option<f64>,
}

impl Account {
    /// Of a workload with this first prediction.
    pub(super) fn new(at: EventTime) -> Self {
        Self { newest_at: at, felt: None, held: None, open: None, usual: Usual::default() }
    }

    /// Takes a prediction in, newer than those before, with what was measured before it and what the planner decided on
    /// it. The hours that are over by then, at most one for each that a step reaches into and one.
    pub(super) fn take(&mut self, terms: &OwnTerms<'_>, prediction: &Prediction, decision: &Decision) -> Vec<Outcome> {
        let mut over = Vec::new();
        for moment in prediction.moments() {
            if !moment.is_earlier() || moment.at() > self.newest_at {
                self.take_in(terms, &moment, &mut over);
            }
        }
        self.usual = Usual::of(prediction);
        self.plan(terms, prediction.made_at, decision);
        over
    }

    /// The plan goes on from the capacity that there is, where it is not known what was asked for.
    pub(super) fn forget_plan(&mut self) {
        let Some(held) = &mut self.held else { return };
        let felt = self.felt.clone();
        let serves = felt.unwrap_or_else(|| with_cores(held.plan_sizes.last(), held.capacity.ordered()));
        held.plan_anew(&serves);
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| {
            let Held { capacity, plan, plan_sizes, reactive, rule } = held;
            let loops: usize = [capacity, plan, reactive].iter().map(|held| held.heap_bytes()).sum();
            loops + plan_sizes.heap_bytes() + rule.heap_bytes()
        })
    }

    /// Takes in what was measured at an instant.
    fn take_in(&mut self, terms: &OwnTerms<'_>, moment: &Moment<'_>, over: &mut Vec<Outcome>) {
        let (at, prediction) = (moment.at(), moment.prediction());
        let demand = moment.demand(Resource::Cpu.kpi()).filter(|demand| demand.is_finite() && *demand >= 0.0);
        let is_sound = |c: &&Capacity| c.replicas > 0 && c.cpu_cores().is_finite() && c.cpu_cores() >= 0.0;
        let felt = moment.capacity(self.felt.as_ref()).filter(is_sound).cloned();
        let cores = felt.as_ref().map(Capacity::cpu_cores);
        if let Some(demand) = demand {
            self.hold(terms, moment, (demand, cores), over);
        }
        self.close_before(terms, prediction, at.bin(HOUR_S), over);
        self.feel(terms, moment, felt.as_ref());
        self.react(terms, moment, (demand, cores));
        self.newest_at = at;
        self.felt = felt;
    }

    /// Holds the capacities against the demand of the step that has just ended.
    fn hold(
        &mut self,
        terms: &OwnTerms<'_>,
        moment: &Moment<'_>,
        (demand, cores): (f64, Option<f64>),
        over: &mut Vec<Outcome>,
    ) {
        let prediction = moment.prediction();
        let Some(served) = self.felt.clone().filter(|_| prediction.step_s <= STEP_MAX_S) else { return };
        let cores = (served.cpu_cores(), cores.unwrap_or(served.cpu_cores()));
        let is_censored = self.is_censored(terms.rules.guardrails.capped_from, moment, (demand, cores));
        let end = moment.at();
        let mut at = end.plus_s(-i64::from(prediction.step_s)).max(self.newest_at);
        while at < end {
            let number = at.bin(HOUR_S);
            self.close_before(terms, prediction, number, over);
            let until = EventTime::of_bin(number + 1, HOUR_S).min(end);
            let Some(held) = &self.held else { return };
            let hour = self.open.get_or_insert_with(|| Hour::new(number));
            let costs = held.costs(terms, &served, (at, until));
            let parts = [
                (&held.capacity, &mut hour.capacity),
                (&held.plan, &mut hour.plan),
                (&held.reactive, &mut hour.reactive),
            ];
            for ((capacity, came), cost) in parts.into_iter().zip(costs) {
                came.tally.add(&capacity.worth(at, until, demand));
                came.cost = came.cost.zip(cost).map(|(sum, more)| sum + more);
            }
            if is_censored {
                hour.censored += until.hours_since(at);
            }
            at = until;
        }
    }

    /// Whether more may have been wanted in a step than was used of the cores that it had before it and at its end.
    fn is_censored(&self, capped_from: f64, moment: &Moment<'_>, (used, cores): (f64, (f64, f64))) -> bool {
        let (before, now) = cores;
        let symptoms = self.usual.symptoms(moment);
        let is_at_capacity = capped_from > 0.0 && used >= capped_from * before.min(now);
        is_at_capacity || symptoms.is_throttled() || symptoms.is_strained(used, Served::over(Some(before), now))
    }

    /// Closes the open hour if it lies before hour `number`.
    fn close_before(&mut self, terms: &OwnTerms<'_>, prediction: &Prediction, number: i64, over: &mut Vec<Outcome>) {
        over.extend(self.open.take_if(|open| open.number < number).and_then(|hour| hour.outcome(terms, prediction)));
    }

    /// Takes the capacity in that the chain says.
    fn feel(&mut self, terms: &OwnTerms<'_>, moment: &Moment<'_>, felt: Option<&Capacity>) {
        let (at, lead_s) = (moment.at(), terms.lead_time_s);
        if let Some(held) = &mut self.held {
            [&mut held.capacity, &mut held.plan, &mut held.reactive].into_iter().for_each(|held| held.forget(at));
            held.plan_sizes.settle(at);
            held.plan.set_lead_s(lead_s);
            held.reactive.set_lead_s(lead_s);
        }
        let Some(felt) = felt else { return };
        let cores = felt.cpu_cores();
        let held = self.held.get_or_insert_with(|| Held::new(felt, lead_s));
        let has_changed = held.capacity.order(at, cores);
        if has_changed {
            self.open.get_or_insert_with(|| Hour::new(at.bin(HOUR_S))).capacity.tally.changes += 1;
        }
        if !terms.rules.dry_run.on(moment.prediction().platform) {
            held.plan.felt(at, cores);
            held.plan_sizes.felt(at, felt.clone());
        } else if has_changed {
            // Someone else changed it, and the planner goes on from there.
            held.plan_anew(felt);
        }
    }

    /// What the reactive rule orders.
    fn react(&mut self, terms: &OwnTerms<'_>, moment: &Moment<'_>, (demand, bought): (Option<f64>, Option<f64>)) {
        let (Some(held), Some(demand)) = (&mut self.held, demand) else { return };
        let (at, step_s) = (moment.at(), moment.prediction().step_s);
        let decided = held.rule.decide(&Seen { at, step_s, demand, bought, forecast: None });
        let grain_cores = terms.rules.sizing.cpu_cores_grain;
        if decided.is_some_and(|cores| held.reactive.order(at, in_grains(cores, grain_cores))) {
            self.open.get_or_insert_with(|| Hour::new(at.bin(HOUR_S))).reactive.tally.changes += 1;
        }
    }

    /// What the plan orders at an instant.
    fn plan(&mut self, terms: &OwnTerms<'_>, at: EventTime, decision: &Decision) {
        let (Some(held), Decision::Act(action)) = (&mut self.held, decision) else { return };
        if *held.plan_sizes.last() != action.desired {
            held.plan_sizes.change(at.plus_s(i64::from(terms.lead_time_s)), action.desired.clone());
        }
        if held.plan.order(at, action.desired.cpu_cores()) {
            self.open.get_or_insert_with(|| Hour::new(at.bin(HOUR_S))).plan.tally.changes += 1;
        }
    }
}

impl Held {
    fn new(capacity: &Capacity, lead_s: u32) -> Self {
        let cores = capacity.cpu_cores();
        Self {
            capacity: ClosedLoop::new(cores, 0),
            plan: ClosedLoop::new(cores, lead_s),
            plan_sizes: CapacitySchedule::new(capacity.clone()),
            reactive: ClosedLoop::new(cores, lead_s),
            rule: Reactive::reference(),
        }
    }

    /// The plan goes on from this capacity.
    fn plan_anew(&mut self, capacity: &Capacity) {
        self.plan.begin_anew(capacity.cpu_cores());
        self.plan_sizes = CapacitySchedule::new(capacity.clone());
    }

    /// What capacity, plan and reactive rule cost in a time in which `served` was the capacity; `None` without a price.
    fn costs(&self, terms: &OwnTerms<'_>, served: &Capacity, (begin, end): (EventTime, EventTime)) -> [Option<f64>; 3] {
        let price = |capacity: &Capacity| terms.price_per_h(capacity);
        let of_capacity = price(served).map(|price_per_h| price_per_h * end.hours_since(begin));
        let mut of_reactive = Some(0.0);
        self.reactive.pieces(begin, end, |hours, cores| {
            let more = price(&with_cores(served, cores)).map(|price_per_h| price_per_h * hours);
            of_reactive = of_reactive.zip(more).map(|(sum, more)| sum + more);
        });
        [of_capacity, self.plan_sizes.cost(begin, end, price), of_reactive]
    }
}

/// That capacity with so many cores and the memory that it has; of no instance type, unless it has them already.
fn with_cores(capacity: &Capacity, cores: f64) -> Capacity {
    if cores == capacity.cpu_cores() {
        return capacity.clone();
    }
    let cpu_cores_per_replica = cores / f64::from(capacity.replicas.max(1));
    Capacity { cpu_cores_per_replica, instance_type: None, ..capacity.clone() }
}

impl Hour {
    fn new(number: i64) -> Self {
        let nothing = || Came { tally: Tally::default(), cost: Some(0.0) };
        Self { number, censored: 0.0, capacity: nothing(), plan: nothing(), reactive: nothing() }
    }

    /// The record of it; `None` where no demand was known.
    fn outcome(self, terms: &OwnTerms<'_>, prediction: &Prediction) -> Option<Outcome> {
        let worth = |came: &Came| Worth::of(&came.tally, came.cost.filter(|_| terms.pricing.is_some()));
        let [capacity, plan, reactive] = [&self.capacity, &self.plan, &self.reactive].map(worth);
        let is_priced = [&capacity, &plan, &reactive].iter().any(|worth| worth.cost.is_some());
        let currency = terms.pricing.filter(|_| is_priced).map(|pricing| pricing.currency.clone());
        let tally = &self.capacity.tally;
        (tally.hours > 0.0).then(|| Outcome {
            workload: prediction.workload.clone(),
            source: prediction.source.clone(),
            from: EventTime::of_bin(self.number, HOUR_S),
            policy: terms.rules.policy.name().into(),
            lead_time_s: terms.lead_time_s,
            is_dry_run: terms.rules.dry_run.on(prediction.platform),
            sums: Sums {
                observed_s: seconds(tally.hours),
                censored_s: seconds(self.censored),
                demand_core_s: tally.demand * f64::from(HOUR_S),
                capacity,
                plan,
                reactive,
                currency,
            },
        })
    }
}
