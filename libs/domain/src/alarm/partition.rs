//! The alarms of one partition's workloads.

use super::presence::{Presence, ToldMissed};
use super::rules::BIN_S;
use super::severity::{Severity, threat};
use super::watch::{Seen, Told, Watch};
use super::{AlarmRules, Anomaly};
use crate::kpi::KpiName;
use crate::prediction::Prediction;
use crate::sample::Platform;
use crate::slots::Slots;
use crate::source::SourceName;
use crate::stream::silence::{Observed, SourceNumber, Sources};
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};

/// Sources keep step with each other where they are no further apart than so many bins,
const IN_STEP_BINS: i64 = 2;

/// for so many more than they do not: a replay that passes a live source does not keep step with it.
const IN_STEP_FOR_BINS: u32 = 12;

/// A source that is silent for so many bins, a day, keeps step with nobody.
const STEP_LOST_BINS: u32 = 288;

/// The alarms of one partition's workloads. It is a function of the predictions in their order and of the rules.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Alarms {
    sources: Sources,
    clocks: BTreeMap<SourceNumber, SourceClock>,
    workloads: Slots<Kept>,
    /// How many there are of each fleet.
    fleets: BTreeMap<WorkloadId, u32>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Kept {
    source: SourceNumber,
    fleet: WorkloadId,
    newest: EventTime,
    platform: Platform,
    watch: Watch,
    presence: Presence,
}

/// How far a source has come.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct SourceClock {
    name: SourceName,
    bin: i64,
    /// Bins in which it kept step with another one, less those in which it did not.
    in_step_bins: u32,
}

impl Alarms {
    /// Takes a prediction of a fleet's workload in, with how unusual it says that its workload is. What is to be told, of
    /// this workload and of those that have fallen silent; `None` when the prediction is not newer than the last one of its
    /// workload.
    pub fn take(&mut self, rules: &AlarmRules, fleet: &WorkloadId, prediction: &Prediction) -> Option<Vec<Anomaly>> {
        let Prediction { workload, source, made_at: at, .. } = prediction;
        let observed = self.sources.observe(source, *at);
        let (bin, step_bins) = (at.bin(BIN_S), i64::from(prediction.step_s.div_ceil(BIN_S)).max(1));
        let mut is_new = false;
        let new = || {
            is_new = true;
            Kept {
                source: observed.source,
                fleet: fleet.clone(),
                newest: EventTime::from_ms(i64::MIN),
                platform: prediction.platform,
                watch: Watch::default(),
                presence: Presence::new(bin, step_bins),
            }
        };
        let kept = self.workloads.get_or_insert_with(workload, new);
        if kept.newest >= *at {
            return None;
        }
        (kept.source, kept.newest, kept.platform) = (observed.source, *at, prediction.platform);
        let left = (kept.fleet != *fleet).then(|| std::mem::replace(&mut kept.fleet, fleet.clone()));
        let score = prediction.anomaly.as_ref();
        let seen = Seen {
            at: *at,
            step_bins,
            p_value: score.map(|score| f64::from(score.p_value)),
            blamed: score.map_or(&[], |score| &score.kpis),
            severity: threat(prediction),
        };
        let told = kept.watch.take(rules, &seen);
        let missed = kept.presence.hear(rules, (bin, step_bins), said(prediction));
        if is_new || left.is_some() {
            *self.fleets.entry(fleet.clone()).or_default() += 1;
        }
        if let Some(left) = left {
            leave(&mut self.fleets, &left);
        }
        let whose = Whose { workload, source, platform: prediction.platform, at: *at };
        let missed = missed.map(|missed| whose.misses(missed));
        let mut anomalies: Vec<Anomaly> = told.map(|told| whose.is_unusual(told)).into_iter().chain(missed).collect();
        self.miss_others(rules, (observed.source, source), (*at, step_bins), &mut anomalies);
        self.forget_silent(observed, source, *at, &mut anomalies);
        Some(anomalies)
    }

    /// Workloads of a fleet.
    pub fn fleet_workloads(&self, fleet: &WorkloadId) -> u32 {
        self.fleets.get(fleet).copied().unwrap_or(0)
    }

    /// Bytes that a workload takes, without what the allocator adds.
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        let bytes = |kept: &Kept| Slots::<Kept>::bytes_each() + kept.watch.heap_bytes() + kept.presence.heap_bytes();
        self.workloads.get(workload).map(bytes)
    }

    /// Where a source comes to a new bin: asks who of it, and of those that have kept step with it, is missed.
    fn miss_others(
        &mut self,
        rules: &AlarmRules,
        (number, source): (SourceNumber, &SourceName),
        (at, step_bins): (EventTime, i64),
        anomalies: &mut Vec<Anomaly>,
    ) {
        let (bin, before) = (at.bin(BIN_S), self.clocks.get(&number).map(|clock| clock.bin));
        if rules.silent_bins == 0 || before.is_some_and(|before| before >= bin) {
            return;
        }
        let keeps_step = |clock: &SourceClock| (clock.bin - bin).abs() <= IN_STEP_BINS;
        let is_in_step = self.clocks.iter().any(|(other, clock)| *other != number && keeps_step(clock));
        let new = || SourceClock { name: source.clone(), bin, in_step_bins: 0 };
        let clock = self.clocks.entry(number).or_insert_with(new);
        clock.bin = bin;
        clock.in_step_bins = if is_in_step {
            (clock.in_step_bins + 1).min(STEP_LOST_BINS)
        } else {
            clock.in_step_bins.saturating_sub(1)
        };
        let has_kept_step = |clock: &SourceClock| clock.in_step_bins >= IN_STEP_FOR_BINS;
        let is_step_known = has_kept_step(&*clock);
        // A source that was silent as a whole comes back workload by workload: it asks after them in its next bin.
        if before.is_some_and(|before| (bin - before - 1) / step_bins >= i64::from(rules.silent_bins)) {
            return;
        }
        // Who came to this bin before has asked after the others already.
        let has_asked = |(other, clock): (&SourceNumber, &SourceClock)| {
            *other != number && has_kept_step(clock) && (bin..=bin + IN_STEP_BINS).contains(&clock.bin)
        };
        let asks_after_others = is_step_known && !self.clocks.iter().any(has_asked);
        let is_asked = |(other, clock): &(&SourceNumber, &SourceClock)| {
            let is_behind = (0..=i64::from(STEP_LOST_BINS)).contains(&(bin - clock.bin));
            **other == number || asks_after_others && has_kept_step(clock) && is_behind
        };
        let asked: BTreeSet<SourceNumber> = self.clocks.iter().filter(is_asked).map(|(other, _)| *other).collect();
        for (workload, kept) in self.workloads.iter_mut().filter(|(_, kept)| asked.contains(&kept.source)) {
            let Some(clock) = self.clocks.get(&kept.source) else { continue };
            if let Some(missed) = kept.presence.hear_others(rules, bin) {
                let whose = Whose { workload, source: &clock.name, platform: kept.platform, at };
                anomalies.push(whose.misses(missed));
            }
        }
    }

    /// Whoever is silent for good has no alarm any more: nobody could end it.
    fn forget_silent(
        &mut self,
        Observed { source: number, forget_before }: Observed,
        source: &SourceName,
        at: EventTime,
        anomalies: &mut Vec<Anomaly>,
    ) {
        let Some(before) = forget_before else { return };
        let fleets = &mut self.fleets;
        self.workloads.retain(|workload, kept| {
            let stays = kept.source != number || kept.newest >= before;
            if !stays {
                let whose = Whose { workload, source, platform: kept.platform, at };
                anomalies.extend(kept.watch.abandon().map(|told| whose.is_unusual(told)));
                anomalies.extend(kept.presence.abandon().map(|missed| whose.misses(missed)));
                leave(fleets, &kept.fleet);
            }
            stays
        });
    }
}

/// A fleet has a workload less.
fn leave(fleets: &mut BTreeMap<WorkloadId, u32>, fleet: &WorkloadId) {
    if let Some(workloads) = fleets.get_mut(fleet) {
        *workloads = workloads.saturating_sub(1);
        if *workloads == 0 {
            fleets.remove(fleet);
        }
    }
}

/// The KPIs that a prediction speaks of, and whether each has a value.
fn said(prediction: &Prediction) -> impl Iterator<Item = (&KpiName, bool)> {
    let resources = prediction.resources.iter().map(|forecast| (&forecast.resource, forecast.last.is_some()));
    resources.chain(prediction.signals.iter().map(|signal| (&signal.name, signal.last.is_some())))
}

/// Whose anomaly it is, and what the record speaks of.
struct Whose<'a> {
    workload: &'a WorkloadId,
    source: &'a SourceName,
    platform: Platform,
    at: EventTime,
}

impl Whose<'_> {
    fn is_unusual(&self, Told { alarm, ended_at, watched_bins }: Told) -> Anomaly {
        Anomaly {
            workload: self.workload.clone(),
            source: self.source.clone(),
            anomaly_id: format!("{}@{}", self.workload, alarm.started_at.as_ms()).into(),
            at: self.at,
            started_at: alarm.started_at,
            ended_at,
            p_value: alarm.p_value,
            severity: alarm.severity,
            kpis: alarm.blamed,
            unusual_bins: alarm.unusual_bins.min(watched_bins),
            watched_bins,
            platform: self.platform,
        }
    }

    /// What cannot be seen may threaten anything, so it is a warning. Its p-value is by the rule of succession.
    fn misses(&self, ToldMissed { from_bin, until_bin, kpis, known_bins }: ToldMissed) -> Anomaly {
        let started_at = EventTime::of_bin(from_bin, BIN_S);
        let watched_bins = u32::try_from(until_bin.unwrap_or(self.at.bin(BIN_S)) - from_bin).unwrap_or(0).max(1);
        Anomaly {
            workload: self.workload.clone(),
            source: self.source.clone(),
            anomaly_id: format!("{}@{}:{}", self.workload, started_at.as_ms(), super::MISSING_DATA).into(),
            at: self.at,
            started_at,
            ended_at: until_bin.map(|bin| EventTime::of_bin(bin, BIN_S)),
            p_value: 1.0 / (known_bins as f64 + 1.0),
            severity: Severity::Warning,
            kpis,
            unusual_bins: watched_bins,
            watched_bins,
            platform: self.platform,
        }
    }
}
