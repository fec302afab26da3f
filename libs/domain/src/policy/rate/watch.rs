//! What is watched of a workload's rates, and how they stand at an instant.

use super::{Learner, PerReplica, RateRule, learn};
use crate::action::{Mechanism, Reason};
use crate::forecast::capped::Served;
use crate::kpi::KpiName;
use crate::policy::live::{Peaks, Surge, SurgeRules, Surges};
use crate::policy::market::{Market, Markets};
use crate::policy::proactive::propose::forecast_ahead;
use crate::policy::proactive::{Ahead, Asked, BIN_S, BinDemand, Measure, Settings, Track};
use crate::policy::proposal::Need;
use crate::policy::rules::Rules;
use crate::prediction::{Moment, Prediction, ResourceForecast};
use crate::resource::Resource;
use crate::sample::Capacity;
use crate::wording::{cores, number, reason};
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;

/// The rates of one workload that rules name.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Rates(BTreeMap<KpiName, Box<Watched>>);

/// What is remembered of one rate.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct Watched {
    track: Track,
    peaks: Peaks,
    surges: Surges,
    learner: Learner,
}

/// How a rate stands at an instant that was taken in.
#[derive(Clone, Debug)]
pub struct RateView<'a> {
    /// The KPI.
    pub kpi: &'a KpiName,
    /// Its forecast; `None` where it is measured and not forecast.
    pub forecast: Option<&'a ResourceForecast>,
    /// Its value.
    pub used: Option<f64>,
    /// Its greatest value of the open bin and the one before.
    pub recent: Option<f64>,
    /// What the value is, against what was asked for.
    pub surge: Surge,
    /// How much of it one replica serves; why that is not known, where it is not.
    pub serves: Result<Serves, Reason>,
    /// The rate to have capacity for, by the rule that does best; `None` where nothing is decided.
    pub asked: Option<Asked>,
}

/// How much of a rate one replica serves, and what that makes it need.
#[derive(Clone, Debug, PartialEq)]
pub struct Serves {
    /// In the rate's unit.
    pub per_replica: f64,
    /// What that follows from, in words.
    pub why: String,
    /// CPU of a replica, in cores, where it is CPU that more of the rate needs; else it is replicas.
    pub by_cores: Option<f64>,
}

impl Serves {
    /// Replicas that so much of the rate needs.
    pub fn replicas(&self, rate: f64) -> f64 {
        rate / self.per_replica
    }

    /// Replicas that there are at least: of what was asked for and of what serves. Where CPU is what counts, so many of the
    /// size that was asked for.
    pub(in crate::policy) fn least(&self, base: &Capacity, current: &Capacity) -> f64 {
        match self.by_cores {
            None => f64::from(base.replicas.min(current.replicas)),
            Some(cpu_cores) => base.cpu_cores().min(current.cpu_cores()) / cpu_cores,
        }
    }

    /// Raises a need to so many replicas.
    pub(in crate::policy) fn raise(&self, need: &mut Need, replicas: f64) {
        match self.by_cores {
            None => need.replicas = Some(need.replicas.unwrap_or(0.0).max(replicas)),
            Some(cpu_cores) => {
                let wanted = replicas * cpu_cores;
                need.set(Resource::Cpu, need.cpu_cores.unwrap_or(0.0).max(wanted));
            }
        }
    }
}

/// What a workload has and was asked for.
pub(in crate::policy) struct Standing<'a> {
    /// What serves.
    pub current: &'a Capacity,
    /// What was asked for last.
    pub base: &'a Capacity,
    /// Whether latency or errors say that it is short.
    pub suffers: bool,
    /// How rules are tried.
    pub settings: &'a Settings,
}

impl Rates {
    /// Takes in what was measured at an instant; says how each rate that the workload has stands.
    pub(in crate::policy) fn take_in<'a>(
        &mut self,
        rules: &'a Rules,
        (markets, market): (&mut Markets, &Market),
        moment: &Moment<'a>,
        standing: &Standing<'_>,
    ) -> Vec<RateView<'a>> {
        self.0.retain(|kpi, _| rules.rates.iter().any(|rule| rule.kpi == *kpi));
        let mut views = Vec::new();
        for rule in &rules.rates {
            let measured = moment.demands().find(|(forecast, _)| forecast.resource == rule.kpi);
            if let Some(measured) = measured {
                let watched = self.0.entry(rule.kpi.clone()).or_default();
                let market = (&mut *markets, &market.of_rate(&rule.kpi));
                views.push(watched.take_in(rules, rule, market, (moment, measured), standing));
            } else if moment.signal(rule.kpi.as_str()).is_some() {
                views.push(RateView::not_forecast(&rule.kpi));
            }
        }
        views
    }

    /// Bytes on the heap, without what the map adds.
    pub(in crate::policy) fn heap_bytes(&self) -> usize {
        let each = size_of::<KpiName>() + size_of::<Box<Watched>>() + size_of::<Watched>();
        self.0.values().map(|watched| each + watched.heap_bytes()).sum()
    }
}

impl<'a> RateView<'a> {
    fn not_forecast(kpi: &'a KpiName) -> Self {
        let text = format!("{kpi}: it is measured and not forecast: name it in [predictor] resources");
        let serves = Err(reason("rate.not_forecast", text));
        Self { kpi, forecast: None, used: None, recent: None, surge: Surge::None, serves, asked: None }
    }
}

impl Watched {
    fn heap_bytes(&self) -> usize {
        let Self { track, peaks, surges, learner } = self;
        track.heap_bytes() + peaks.heap_bytes() + surges.heap_bytes() + learner.heap_bytes()
    }

    fn take_in<'a>(
        &mut self,
        rules: &Rules,
        rule: &'a RateRule,
        (markets, market): (&mut Markets, &Market),
        (moment, (forecast, demand)): (&Moment<'_>, (&'a ResourceForecast, Option<f64>)),
        standing: &Standing<'_>,
    ) -> RateView<'a> {
        let (at, prediction, settings) = (moment.at(), moment.prediction(), standing.settings);
        let used = demand.filter(|used| used.is_finite() && *used >= 0.0);
        self.learner.observe(at, moment.demand(Resource::Cpu.kpi()), used);
        let serves = self.serves(rules, rule, prediction, standing.base);
        // A replica is the smallest sensible amount.
        let unit = serves.as_ref().map_or(0.0, |serves| serves.per_replica as f32);
        let is_whole = serves.as_ref().is_ok_and(|serves| serves.by_cores.is_none());
        let measure = Measure { unit, grain: if is_whole { unit } else { 0.0 } };
        let bin = at.bin(BIN_S as u32);
        let is_earlier = moment.is_earlier();
        let known = if is_earlier { self.track.forecast_before(bin) } else { forecast_ahead(forecast, settings) };
        let ahead = Ahead { forecast: known, led: None };
        let prices = markets.of(market);
        prices.pass(bin, &settings.aim);
        self.track.take_in(settings, prices, measure, (bin, used.map(|used| BinDemand::seen(used as f32))), &ahead);
        let asked = if is_earlier { None } else { self.track.asked(settings, prices, unit, &ahead) };
        let mut surge = Surge::None;
        if let Some(used) = used {
            let least = |serves: &Serves| serves.least(standing.base, standing.current) * serves.per_replica;
            let served = serves.as_ref().map_or(f64::INFINITY, least);
            self.peaks.observe(at, used, Served::steady(served));
            let surge_rules = SurgeRules::of(rules);
            let limit = served * rules.guardrails.floor_utilisation;
            surge = self.surges.observe(&surge_rules, (at, prediction.step_s), used, limit, standing.suffers);
        }
        RateView { kpi: &rule.kpi, forecast: Some(forecast), used, recent: self.peaks.recent(), surge, serves, asked }
    }

    fn serves(
        &self,
        rules: &Rules,
        rule: &RateRule,
        prediction: &Prediction,
        base: &Capacity,
    ) -> Result<Serves, Reason> {
        let kpi = &rule.kpi;
        let by_replicas = rules.sizing.mechanism(prediction.platform) == Mechanism::Replicas;
        match rule.per_replica {
            PerReplica::Stated(_) if !by_replicas && rules.policy.chooser().is_none() => {
                let text = format!(
                    "{kpi}: what a replica serves is stated, and their number cannot be changed here: let it be learnt instead"
                );
                Err(reason("rate.needs_replicas", text))
            }
            PerReplica::Stated(per_replica) => Ok(Serves { per_replica, why: "as stated".to_owned(), by_cores: None }),
            PerReplica::Learnt { utilisation } => {
                let cpu_cores = base.cpu_cores_per_replica;
                let has_cpu = prediction.resources.iter().any(|f| f.resource.as_str() == Resource::Cpu.kpi());
                if cpu_cores <= 0.0 || !has_cpu {
                    let text = format!(
                        "{kpi}: without CPU and its use nothing can be learnt of what a replica serves: state it (per_replica)"
                    );
                    return Err(reason("rate.no_cpu", text));
                }
                let bins = self.learner.bins();
                let Some(each) = self.learner.cpu_cores_per_unit() else {
                    let text = format!(
                        "{kpi}: what a replica serves is being learnt, from {bins} bins of {BIN_S} s with load so far; nothing \
                         follows from it before {} are known",
                        learn::BINS_MIN
                    );
                    return Err(reason("rate.learning", text));
                };
                let why = format!(
                    "{} each, by the median of {bins} loaded bins, at {} % of {}",
                    cores(each),
                    number(utilisation * 100.0),
                    cores(cpu_cores)
                );
                let by_cores = (!by_replicas || rules.policy.chooser().is_some()).then_some(cpu_cores);
                Ok(Serves { per_replica: cpu_cores * utilisation / each, why, by_cores })
            }
        }
    }
}
