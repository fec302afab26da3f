//! All that a partition's decisions follow from: what is remembered of each workload, and the fleet's prices. It is a
//! function of the predictions in their order and of the rules, so that anyone can work it out again from the log.
//!
//! What was measured between two predictions is taken in as if there had been one for it, but for the decision, and
//! with the forecast that was there then: the one before.

use super::decide::{Decision, Facts, decide, is_sound};
use super::floor::hides_demand;
use super::lead::{Awaited, LeadTimes};
use super::live::{Live, Surge, SurgeRules};
use super::market::{Market, Markets};
use super::proactive::peers::{Leaders, Peers};
use super::proactive::propose::{forecast_ahead, forecast_of};
use super::proactive::{Ahead, Aim, BIN_S, BinDemand, Measure, Proactive, Settings, Track};
use super::rate::watch::{RateView, Rates, Standing};
use super::rule_book::{Ruled, RulesFor};
use super::rules::Rules;
use crate::action::Mechanism;
use crate::forecast::capped::Served;
use crate::guardrail::strain::Usual;
use crate::guardrail::{History, Unusual};
use crate::prediction::{Moment, Prediction};
use crate::resource::Resource;
use crate::sample::{Capacity, Platform};
use crate::slots::Slots;
use crate::stream::silence::{Observed, SourceNumber, Sources};
use crate::time::EventTime;
use crate::wording::reason;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All that a partition's decisions follow from.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Planning {
    workloads: Slots<Known>,
    sources: Sources,
    /// A market's prices follow from its own series.
    markets: Markets,
    /// By source: how long its changes take.
    lead_times: BTreeMap<SourceNumber, LeadTimes>,
    /// By source: which workloads rose of late.
    peers: BTreeMap<SourceNumber, Peers>,
}

/// What is remembered of one workload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Known {
    source: SourceNumber,
    market: Market,
    history: History,
    /// Whether the newest prediction said what capacity there was.
    is_capacity_said: bool,
    live: Live,
    track: Track,
    leaders: Leaders,
    awaited: Awaited,
    rates: Rates,
    /// Of the signals that tell of a shortage, by the newest prediction.
    usual: Usual,
    unusual: Unusual,
}

/// What follows from what was measured at an instant, beside what is remembered of it.
struct Observation<'a> {
    ahead: Ahead,
    served: Served,
    hides_demand: bool,
    surge: Surge,
    rates: Vec<RateView<'a>>,
}

impl Planning {
    /// Takes a prediction into account: decides, and remembers the prediction, with what was measured before it,
    /// and the decision. `None` when the prediction is not newer than the last one of its workload. Why a workload is
    /// left is not worded.
    pub fn step(
        &mut self,
        rules: &impl RulesFor,
        prediction: &Prediction,
        prediction_id: &Arc<str>,
    ) -> Option<Decision> {
        self.stepped(rules, (prediction, prediction_id), false, |_, _, _| ()).map(|(decision, ())| decision)
    }

    /// As [`Self::step`], with all reasons worded, and with what `see` makes of what the decision follows from.
    pub fn step_seen<T>(
        &mut self,
        rules: &impl RulesFor,
        prediction: &Prediction,
        prediction_id: &Arc<str>,
        see: impl FnOnce(&Rules, &Facts<'_>, &Decision) -> T,
    ) -> Option<(Decision, T)> {
        self.stepped(rules, (prediction, prediction_id), true, see)
    }

    fn stepped<T>(
        &mut self,
        rules: &impl RulesFor,
        (prediction, prediction_id): (&Prediction, &Arc<str>),
        tells_why: bool,
        see: impl FnOnce(&Rules, &Facts<'_>, &Decision) -> T,
    ) -> Option<(Decision, T)> {
        let Ruled { rules, from } = rules.rules_for(&prediction.workload, &prediction.source);
        let source = self.hear(prediction);
        let market = Market::of_cpu(source, &rules.aim());
        let known = self.workloads.get_or_insert_with(&prediction.workload, || Known::new(source, &market));
        known.source = source;
        if known.history.has(prediction.made_at) {
            return None;
        }
        let lead_times = self.lead_times.entry(source).or_default();
        known.learn_lead_time(lead_times, prediction);
        let rules = with_lead_time(rules, lead_times, prediction);
        known.market = market;
        let fleet = (&mut self.markets, self.peers.entry(source).or_default());
        let (mut decision, seen) = known.step(&rules, fleet, (prediction, prediction_id), tells_why, see);
        tell_sections(from, &mut decision);
        Some((decision, seen))
    }

    /// Remembers of a workload what is remembered of another one. For benchmarks, where a history is to lie behind
    /// more workloads than can live it.
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        if let Some(known) = self.workloads.get(from).cloned() {
            self.workloads.insert(to, known);
        }
    }

    /// Forgets what was decided, where it is not known what was published: decisions that were made again under other
    /// rules need not be those of then. What was measured stays.
    pub fn forget_published(&mut self) {
        for known in self.workloads.values_mut() {
            known.history.forget_published();
            known.awaited = Awaited::default();
        }
    }

    /// Workloads that are remembered, in the order in which they came.
    pub fn workloads(&self) -> impl Iterator<Item = &WorkloadId> {
        self.workloads.iter().map(|(workload, _)| workload)
    }

    /// Bytes that a workload takes, without what the allocator adds.
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        let known = self.workloads.get(workload)?;
        Some(Slots::<Known>::bytes_each() + known.heap_bytes())
    }

    /// Moves the source's clock to each of the instants that a prediction tells of.
    fn hear(&mut self, prediction: &Prediction) -> SourceNumber {
        for earlier in prediction.earlier_moments() {
            let observed = self.sources.observe(&prediction.source, earlier.at());
            self.forget_silent(observed);
        }
        let observed = self.sources.observe(&prediction.source, prediction.made_at);
        self.forget_silent(observed);
        observed.source
    }

    fn forget_silent(&mut self, Observed { source, forget_before }: Observed) {
        let Some(before) = forget_before else { return };
        let is_silent = |k: &Known| k.source == source && k.history.made_at.is_none_or(|at| at < before);
        self.workloads.retain(|_, known| !is_silent(known));
        if let Some(peers) = self.peers.get_mut(&source) {
            peers.keep(|workload| self.workloads.contains(workload));
        }
        self.markets.forget_unused(source, self.workloads.values().map(|known| &known.market));
    }

    /// The lead time that the decision on a prediction was made with, in seconds: the learnt one where the rules say so
    /// and it is known, else the stated one. It is to be asked right after that [`Self::step`], with the same rules.
    pub fn lead_time_s(&self, rules: &impl RulesFor, prediction: &Prediction) -> u32 {
        let Ruled { rules, .. } = rules.rules_for(&prediction.workload, &prediction.source);
        let source = self.workloads.get(&prediction.workload).map(|known| known.source);
        let times = source.and_then(|source| self.lead_times.get(&source));
        times.map_or(rules.forecast.lead_time_s, |times| lead_time_s(rules, times, prediction))
    }
}

/// Says first which sections the rules come from, where there are any.
fn tell_sections(from: &[Arc<str>], decision: &mut Decision) {
    if from.is_empty() {
        return;
    }
    let text = format!("the general rules, with those of {} on top", from.join(", then "));
    let reasons = match decision {
        Decision::Act(action) => &mut action.reasons,
        Decision::Hold(reasons) => reasons,
    };
    reasons.insert(0, reason("rules.sections", text));
}

impl Known {
    fn new(source: SourceNumber, market: &Market) -> Self {
        Self {
            source,
            market: market.clone(),
            history: History::default(),
            is_capacity_said: false,
            live: Live::default(),
            track: Track::default(),
            leaders: Leaders::default(),
            awaited: Awaited::default(),
            rates: Rates::default(),
            usual: Usual::default(),
            unusual: Unusual::default(),
        }
    }

    /// Bytes on the heap.
    fn heap_bytes(&self) -> usize {
        let Self { history, live, track, leaders, rates, unusual, .. } = self;
        let changes = history.changes.capacity() * size_of::<EventTime>();
        changes
            + unusual.heap_bytes()
            + live.heap_bytes()
            + track.heap_bytes()
            + leaders.heap_bytes()
            + rates.heap_bytes()
    }

    /// The capacity that the newest prediction said, which held until this one.
    fn said_capacity(&self) -> Option<&Capacity> {
        self.history.capacity.as_ref().filter(|_| self.is_capacity_said)
    }

    fn learn_lead_time(&mut self, lead_times: &mut LeadTimes, prediction: &Prediction) {
        let before = self.said_capacity().cloned();
        for moment in prediction.moments().filter(|moment| !self.history.has(moment.at())) {
            if let Some(current) = moment.capacity(before.as_ref()) {
                self.awaited.observe(lead_times, moment.at(), current);
            }
        }
    }

    fn step<T>(
        &mut self,
        rules: &Rules,
        (markets, peers): (&mut Markets, &mut Peers),
        (prediction, prediction_id): (&Prediction, &Arc<str>),
        tells_why: bool,
        see: impl FnOnce(&Rules, &Facts<'_>, &Decision) -> T,
    ) -> (Decision, T) {
        let settings = settings(rules, prediction.step_s);
        let before = self.said_capacity().cloned();
        for moment in prediction.earlier_moments() {
            if !self.history.has(moment.at()) {
                self.observe(
                    (rules, &settings),
                    (&mut *markets, &mut *peers),
                    &moment,
                    (before.as_ref(), before.as_ref()),
                );
            }
        }
        let newest = prediction.moment();
        let said = newest.capacity(before.as_ref());
        let Observation { ahead, served, hides_demand, surge, rates } =
            self.observe((rules, &settings), (&mut *markets, peers), &newest, (before.as_ref(), said));
        self.is_capacity_said = said.is_some();
        self.usual = Usual::of(prediction);
        self.unusual.observe(&rules.guardrails, prediction);
        let facts = Facts {
            prediction,
            prediction_id,
            history: &self.history,
            live: &self.live,
            served,
            hides_demand,
            unusual: &self.unusual,
            surge,
            track: &self.track,
            ahead: &ahead,
            prices: markets.of(&self.market),
            settings: &settings,
            rates: &rates,
            tells_why,
        };
        let decision = decide(rules, &facts);
        let seen = see(rules, &facts, &decision);
        if let Decision::Act(action) = &decision {
            // What is on its way and is asked for once more, now that live use demands it, is awaited since it was first.
            if !self.history.has_asked_for(action) {
                self.awaited.expect(action);
            }
            self.history.record(action);
        }
        (decision, seen)
    }

    /// Takes in what was measured at an instant later than all before, and what capacity there was at the instant before
    /// and then.
    fn observe<'a>(
        &mut self,
        (rules, settings): (&'a Rules, &Settings),
        (markets, peers): (&mut Markets, &mut Peers),
        moment: &Moment<'a>,
        (before, said): (Option<&Capacity>, Option<&Capacity>),
    ) -> Observation<'a> {
        let (at, prediction) = (moment.at(), moment.prediction());
        self.history.observe(at, said);
        self.history.forget_other_mode(rules.dry_run.on(prediction.platform));
        let current = said.filter(|c| is_sound(c));
        let used = moment.demand(Resource::Cpu.kpi()).filter(|used| used.is_finite() && *used >= 0.0);
        let bin = at.bin(BIN_S as u32);
        let forecast = if moment.is_earlier() {
            self.track.forecast_before(bin)
        } else {
            forecast_of(prediction, Resource::Cpu).and_then(|forecast| forecast_ahead(forecast, settings))
        };
        let before = before.filter(|c| is_sound(c));
        let served = |resource: Resource| match current {
            Some(now) => Served::over(before.map(|before| resource.of(before)), resource.of(now)),
            None => Served::steady(f64::INFINITY),
        };
        let symptoms = self.usual.symptoms(moment);
        self.live.throttling.observe(at, &symptoms, served(Resource::Cpu).capacity);
        let symptoms = self.live.throttling.believed(symptoms);
        let suffers = symptoms.is_throttled() || symptoms.have_risen;
        let mut ahead = Ahead { forecast, led: self.leaders.led(peers, self.track.onsets(), bin) };
        let rates = match current {
            Some(current) => {
                let base = self.history.base(current, rules.dry_run.on(prediction.platform), at);
                let standing = Standing { current, base, suffers, settings };
                self.rates.take_in(rules, (&mut *markets, &self.market), moment, &standing)
            }
            None => Vec::new(),
        };
        let prices = markets.of(&self.market);
        prices.pass(bin, &settings.aim);
        self.watch(moment, served);
        let served = served(Resource::Cpu);
        let cores_grain = current.map_or(0.0, |current| cores_grain(rules, prediction.platform, current)) as f32;
        let hides = |used: f64| hides_demand(&rules.guardrails, &self.live.cpu, (used, served), &symptoms);
        let greatest = used.and_then(|_| moment.greatest(Resource::Cpu.kpi()));
        let demand = greatest.map(|used| BinDemand { amount: used as f32, is_bound: hides(used) });
        let hides_demand = demand.is_some_and(|demand| demand.is_bound);
        if self.track.take_in(settings, prices, Measure::cores(cores_grain), (bin, demand), &ahead) {
            peers.rise(&prediction.workload, bin, &mut self.leaders);
            ahead.led = None;
        }
        let surge = match (used, current) {
            (Some(used), Some(current)) => self.surge(rules, moment, (used, current), suffers),
            _ => Surge::None,
        };
        Observation { ahead, served, hides_demand, surge, rates }
    }

    /// What a use of CPU is, against what was asked for; `suffers` is whether what was measured beside it says that the
    /// workload is short.
    fn surge(&mut self, rules: &Rules, moment: &Moment<'_>, (used, current): (f64, &Capacity), suffers: bool) -> Surge {
        let (at, prediction) = (moment.at(), moment.prediction());
        let base = self.history.base(current, rules.dry_run.on(prediction.platform), at);
        let asked = base.cpu_cores().min(current.cpu_cores());
        let limit = asked * rules.guardrails.floor_utilisation;
        let surge_rules = SurgeRules::of(rules);
        self.live.surges.observe(&surge_rules, (at, prediction.step_s), used, limit, suffers)
    }

    fn watch(&mut self, moment: &Moment<'_>, served: impl Fn(Resource) -> Served) {
        for (resource, peaks) in [(Resource::Cpu, &mut self.live.cpu), (Resource::Memory, &mut self.live.memory)] {
            let uses = moment.demand(resource.kpi()).zip(moment.greatest(resource.kpi()));
            if let Some(uses) = uses.filter(|(mean, greatest)| mean.is_finite() && greatest.is_finite()) {
                peaks.observe_within(moment.at(), uses, served(resource));
            }
        }
    }
}

/// The lead time that was learnt, where it is to be, but none beyond what is forecast; else the stated one. In seconds.
fn lead_time_s(rules: &Rules, times: &LeadTimes, prediction: &Prediction) -> u32 {
    let learnt_s = if rules.learns_lead_time { times.learnt_s() } else { None };
    let horizons = prediction.resources.iter().flat_map(|r| &r.horizons).map(|h| h.horizon_s);
    learnt_s.map_or(rules.forecast.lead_time_s, |learnt_s| {
        horizons.max().map_or(learnt_s, |furthest_s| learnt_s.min(furthest_s))
    })
}

/// The rules with the lead time that decisions are made with.
fn with_lead_time<'a>(rules: &'a Rules, times: &LeadTimes, prediction: &Prediction) -> Cow<'a, Rules> {
    let lead_time_s = lead_time_s(rules, times, prediction);
    if lead_time_s == rules.forecast.lead_time_s {
        return Cow::Borrowed(rules);
    }
    Cow::Owned(rules.clone().with_lead_time(lead_time_s))
}

impl Rules {
    /// How demand is planned: as the policy says, or by the defaults where it has no plan.
    pub(super) fn plan(&self) -> Proactive {
        self.policy.plan().cloned().unwrap_or_default()
    }

    pub(super) fn aim(&self) -> Aim {
        self.plan().aim()
    }
}

/// What CPU capacity comes in multiples of, in cores; 0 where it may be any.
fn cores_grain(rules: &Rules, platform: Platform, current: &Capacity) -> f64 {
    if rules.policy.chooser().is_some() {
        return 0.0;
    }
    match rules.sizing.mechanism(platform) {
        Mechanism::InstanceType => 0.0,
        Mechanism::Replicas => current.cpu_cores_per_replica,
        Mechanism::Limits => f64::from(current.replicas) * rules.sizing.cpu_cores_grain,
    }
}

fn settings(rules: &Rules, step_s: u32) -> Settings {
    let plan = rules.plan();
    Settings {
        lead_time_s: rules.forecast.lead_time_s,
        step_s,
        hold_s: plan.hold_s,
        aim: plan.aim(),
        floor_utilisation: rules.guardrails.floor_utilisation as f32,
        surge_s: rules.guardrails.surge_s,
    }
}

#[cfg(test)]
mod tests;
