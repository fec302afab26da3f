//! `prescale incidents`: what alerts there would be, on a trace or on a generated fleet to which incidents happen of which
//! the truth is known.
//!
//! Samples go through the fingerprinter, the predictor, the detector's alarms and its incidents, as they are configured: the
//! services' own code, not a copy of it, without the bus. Workloads are dealt to lanes as a bus deals them to partitions.

mod lane;
mod report;
#[cfg(test)]
mod tests;
mod truth;

use crate::lanes;
use crate::settings::Settings;
use anyhow::{Context as _, Result, ensure};
use lane::{Lane, Parts, Watched};
use prescale_collector::config::ReplayConfig;
use prescale_collector::replay::read::TraceExtent;
use prescale_domain::alarm::AlarmRules;
use prescale_domain::fleet::{Fleet, FleetSettings, InjectedIncident, Injection};
use prescale_domain::incident::{FleetAnomaly, Incident, IncidentRules, Incidents};
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use prescale_fingerprinter::partition::Partition as Fingerprinter;
use prescale_predictor::partition::Partition as Predictor;
use prescale_predictor::registry::Registry;
pub use report::{Found, KindRow, Line, Report};
use std::sync::Arc;
use truth::Truth;

/// Time between two samples of a generated workload, in seconds.
const STEP_S: u32 = 300;

/// A generated fleet begins on a Monday: 2026-01-05T00:00:00Z.
const BEGINS: EventTime = EventTime::from_s(1_767_571_200);

/// Ticks that are dealt at a time: six hours.
const TICKS_DEALT: usize = 72;

const DAY_S: i64 = 86_400;

/// Where samples come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A trace, its mapping and range.
    Trace(Box<ReplayConfig>),
    /// A generated fleet.
    Generated(Generated),
}

/// A generated fleet, and how often something happens to it.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Workloads.
    pub workloads: u32,
    /// Days, the warm-up included.
    pub days: u32,
    /// All of it follows from it.
    pub seed: u64,
    /// Time from one incident to the next, in seconds.
    pub incident_every_s: u32,
}

/// What is to be found out.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where samples come from.
    pub source: Source,
    /// Days from the beginning in which nothing counts.
    pub warm_up_days: u32,
    /// Whether other alarm rules are tried beside those that are configured.
    pub sweep: bool,
}

/// Finds out which alerts there would be.
///
/// # Errors
/// When the configuration or the trace cannot be used, or a stage fails.
pub fn incidents(settings: &Settings, request: &Request) -> Result<Report> {
    let plan = Plan::of(settings, request)?;
    match &request.source {
        Source::Trace(trace) => plan.on_trace(trace),
        Source::Generated(generated) => plan.on_fleet(settings, generated),
    }
}

/// What all runs share.
struct Plan {
    parts: Arc<Parts>,
    incident_rules: IncidentRules,
    partitions: u32,
    warm_up_s: i64,
}

impl Plan {
    fn of(settings: &Settings, request: &Request) -> Result<Self> {
        let configured = settings.detector.alarm_rules()?;
        let mut rules = vec![("as configured".to_owned(), configured.clone())];
        if request.sweep {
            rules.extend(variants(&configured));
        }
        let parts = Parts {
            rules,
            fleets: prescale_chassis::fleets(&settings.governor.fleets)?,
            fingerprinter: Arc::new(settings.fingerprinter.settings()?),
            predictor: Arc::new(Registry::open(Arc::new(settings.predictor.settings()?))?),
        };
        Ok(Self {
            parts: Arc::new(parts),
            incident_rules: settings.detector.incident_rules(&settings.grouper.groups)?,
            partitions: settings.bus.partitions.max(1),
            warm_up_s: i64::from(request.warm_up_days) * DAY_S,
        })
    }

    /// One a partition. Makes a runtime of its own for each, so call it outside of any.
    fn fingerprinters(&self) -> Result<Vec<Fingerprinter>> {
        (0..self.partitions).map(|_| Fingerprinter::new(Arc::clone(&self.parts.fingerprinter))).collect()
    }

    fn lanes(&self, fingerprinters: Vec<Fingerprinter>, from: EventTime) -> Vec<Lane> {
        let lane = |(partition, fingerprinter): (u32, Fingerprinter)| {
            let predictor = Predictor::new(Arc::clone(&self.parts.predictor));
            Lane::new(Arc::clone(&self.parts), partition, fingerprinter, predictor, from.plus_s(self.warm_up_s))
        };
        (0..).zip(fingerprinters).map(lane).collect()
    }

    fn on_trace(&self, trace: &ReplayConfig) -> Result<Report> {
        let fingerprinters = self.fingerprinters()?;
        let lanes = |extent: &TraceExtent| Ok(self.lanes(fingerprinters, extent.from));
        let (watched, read) = lanes::run(trace, lanes, |samples, count| Ok(lanes::by_partition(samples, count)))?;
        let outcome = self.outcome(watched);
        ensure!(
            outcome.workload_days > 0.0,
            "no bin was scored: the trace has {} samples; scores begin after about two days of a workload, and count from \
             the warm-up of {} days on",
            read.samples_written,
            self.warm_up_s / DAY_S
        );
        Ok(Report::of_trace(&self.names(), &outcome))
    }

    /// Runs the fleet twice, with what happens to it and without.
    fn on_fleet(&self, settings: &Settings, generated: &Generated) -> Result<Report> {
        let fleet_settings = FleetSettings {
            name: "generated".into(),
            workloads: generated.workloads,
            step_s: STEP_S,
            seed: generated.seed,
            missing_samples_share: settings.collector.fleet.missing_samples_share,
            missing_values_share: settings.collector.fleet.missing_values_share,
        };
        let fleet = Fleet::new(fleet_settings).context("the generated fleet")?;
        let (from, until) = (BEGINS.plus_s(self.warm_up_s), BEGINS.plus_s(i64::from(generated.days) * DAY_S));
        ensure!(from < until, "--days {}: give more than the warm-up", generated.days);
        let every_s = i64::from(generated.incident_every_s);
        let planned = InjectedIncident::planned(&fleet, from, until, every_s);
        let truths: Vec<Truth> = planned.iter().map(|incident| Truth::of(&fleet, incident)).collect();
        let ordinary = self.ran(&fleet, Vec::new(), until)?;
        let injected = self.ran(&fleet, planned, until)?;
        Ok(Report::of_fleet(&self.names(), (&ordinary, &injected), &truths))
    }

    fn ran(&self, fleet: &Fleet, planned: Vec<InjectedIncident>, until: EventTime) -> Result<Outcome> {
        let (mut injection, mut state) = (Injection::new(fleet, planned), fleet.start(BEGINS));
        let count = self.partitions as usize;
        let dealt = std::iter::from_fn(|| {
            let mut samples: Vec<Sample> = Vec::new();
            for _ in 0..TICKS_DEALT {
                if fleet.next_at(&state) < until {
                    samples.extend(injection.tick(&mut state));
                }
            }
            let goes_on = !samples.is_empty() || fleet.next_at(&state) < until;
            goes_on.then(|| lanes::by_partition(samples, count))
        });
        Ok(self.outcome(lanes::run_dealt(self.lanes(self.fingerprinters()?, BEGINS), dealt)?))
    }

    /// What the lanes saw, as one: the incidents by each of the rules, of anomalies in the order of their instants.
    fn outcome(&self, watched: Vec<Watched>) -> Outcome {
        let workload_days: f64 = watched.iter().map(|watched| watched.workload_days).sum();
        let mut by_rules: Vec<Vec<FleetAnomaly>> = vec![Vec::new(); self.parts.rules.len()];
        for lane in watched {
            by_rules.iter_mut().zip(lane.told).for_each(|(all, told)| all.extend(told));
        }
        let told = by_rules.into_iter().map(|mut anomalies| {
            anomalies.sort_by_key(|told| told.anomaly.at);
            let mut grouped = Incidents::default();
            let incidents = anomalies.iter().flat_map(|told| grouped.take(&self.incident_rules, told)).collect();
            Told { anomalies, incidents }
        });
        Outcome { workload_days, told: told.collect() }
    }

    fn names(&self) -> Vec<&str> {
        self.parts.rules.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// What came of a run.
struct Outcome {
    /// Days of workloads that had a score and count.
    workload_days: f64,
    /// By each of the rules.
    told: Vec<Told>,
}

/// What was told by one set of rules.
struct Told {
    anomalies: Vec<FleetAnomaly>,
    incidents: Vec<Incident>,
}

/// Alarm rules near those that are configured.
fn variants(configured: &AlarmRules) -> Vec<(String, AlarmRules)> {
    let mut all = Vec::new();
    for raise_p_value_max in [1e-3, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6] {
        for (raise_bins, of_bins) in [(1, 1), (2, 3), (3, 4)] {
            let rules = AlarmRules {
                raise_p_value_max,
                raise_bins,
                of_bins,
                evidence_min: 0.0,
                lone_p_value_max: 0.0,
                ..*configured
            };
            all.push((format!("{raise_bins} of {of_bins} at {raise_p_value_max:e}, nothing else"), rules));
        }
    }
    for (evidence_min, correlated_bins) in
        [(8.0, 12), (10.0, 12), (13.0, 12), (10.0, 6), (13.0, 6), (13.0, 3), (16.0, 3)]
    {
        let rules =
            AlarmRules { evidence_min, correlated_bins, raise_p_value_max: 0.0, lone_p_value_max: 0.0, ..*configured };
        all.push((format!("evidence {evidence_min} over {correlated_bins}, nothing else"), rules));
    }
    let again = AlarmRules { again_ratio: 1.0, ..*configured };
    let silent = AlarmRules { silent_bins: 0, ..*configured };
    all.extend([("again_ratio 1".to_owned(), again), ("silent_bins 0".to_owned(), silent)]);
    all
}
