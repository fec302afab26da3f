//! The fleet: a sample of each workload at each tick, under the capacity that it has by then.

use super::draw::Draw;
use super::serving::{Demand, Served, serve};
use super::workload::FleetWorkload;
use crate::action::{ActionOutcome, ActionResult};
use crate::cloud::CapacitySchedule;
use crate::kpi::{self, Kpi, KpiKind, KpiName};
use crate::sample::{Capacity, Platform, Sample};
use crate::source::SourceName;
use crate::time::EventTime;
use crate::workload::{WorkloadId, WorkloadIdError};
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Running total of bytes sent (counter, bytes).
pub const NETWORK_TRANSMIT_BYTES_TOTAL: &str = "network_transmit_bytes_total";

/// Mean time between restarts of a workload, which reset its counters, in seconds.
const COUNTER_RESET_EVERY_S: f64 = 2.0 * 86_400.0;
/// An agent that stops reporting does so for so long, in seconds.
const OUTAGE_S: i64 = 600;

/// What the fleet is.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetSettings {
    /// Its name, which the ids of its workloads begin with.
    pub name: Arc<str>,
    /// Number of workloads.
    pub workloads: u32,
    /// Time between two samples of a workload, in seconds; at least 1.
    pub step_s: u32,
    /// All of the fleet follows from it.
    pub seed: u64,
    /// Share of the samples that are missing, from 0 to 1.
    pub missing_samples_share: f64,
    /// Share of the values that are missing in samples that are there, from 0 to 1.
    pub missing_values_share: f64,
}

/// The fleet. It holds nothing that changes: that is in [`FleetState`].
#[derive(Clone, Debug)]
pub struct Fleet {
    settings: FleetSettings,
    source: SourceName,
    workloads: Vec<FleetWorkload>,
    numbers: BTreeMap<WorkloadId, u32>,
    gaps: Draw,
    resets: Draw,
    names: KpiNames,
}

/// How far the fleet has come.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct FleetState {
    /// Bin of the next tick on the grid of the step.
    next_tick: i64,
    /// Bytes sent so far, by workload.
    network_transmit_bytes: Vec<f64>,
    /// Capacity of the workloads for which it was ever changed, by number.
    schedules: BTreeMap<u32, CapacitySchedule>,
}

#[derive(Clone, Debug)]
struct KpiNames {
    names: [KpiName; 9],
    cores: Arc<str>,
    bytes: Arc<str>,
    bytes_per_s: Arc<str>,
    per_s: Arc<str>,
    ms: Arc<str>,
}

impl Fleet {
    /// The fleet of these settings.
    ///
    /// # Errors
    /// When its name makes no workload ids.
    pub fn new(settings: FleetSettings) -> Result<Self, WorkloadIdError> {
        let workloads = (0..settings.workloads)
            .map(|number| FleetWorkload::new(&settings.name, number, settings.seed))
            .collect::<Result<Vec<_>, _>>()?;
        let numbers = workloads.iter().map(|w| w.id.clone()).zip(0..).collect();
        let draw = Draw::seeded(settings.seed);
        Ok(Self {
            source: SourceName::new(format!("fleet:{}", settings.name))?,
            workloads,
            numbers,
            gaps: draw.stream(u64::MAX),
            resets: draw.stream(u64::MAX - 1),
            names: KpiNames::new(),
            settings,
        })
    }

    /// Its workloads, by number.
    pub fn workloads(&self) -> &[FleetWorkload] {
        &self.workloads
    }

    /// The stream that its samples name as their source.
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// The state before the tick at `at`, or at the first one after it.
    pub fn start(&self, at: EventTime) -> FleetState {
        let bin = at.bin(self.settings.step_s);
        let on_grid = EventTime::of_bin(bin, self.settings.step_s) == at;
        FleetState {
            next_tick: if on_grid { bin } else { bin + 1 },
            network_transmit_bytes: vec![0.0; self.workloads.len()],
            schedules: BTreeMap::new(),
        }
    }

    /// Instant of the next tick.
    pub fn next_at(&self, state: &FleetState) -> EventTime {
        EventTime::of_bin(state.next_tick, self.settings.step_s)
    }

    /// Leaves out the ticks before `at`.
    pub fn skip_to(&self, state: &mut FleetState, at: EventTime) {
        state.next_tick = state.next_tick.max(self.start(at).next_tick);
    }

    /// The number of a workload of it.
    pub fn number_of(&self, workload: &WorkloadId) -> Option<u32> {
        self.numbers.get(workload).copied()
    }

    /// What the fleet is.
    pub fn settings(&self) -> &FleetSettings {
        &self.settings
    }

    /// Samples of the next tick, in the order of the workloads' numbers; some are missing.
    pub fn tick(&self, state: &mut FleetState) -> Vec<Sample> {
        self.tick_with(state, |_, _, _| ())
    }

    /// As [`Self::tick`], with what `change` makes of the demand of a workload, by its number, at the tick's instant.
    pub fn tick_with(
        &self,
        state: &mut FleetState,
        mut change: impl FnMut(u32, EventTime, &mut Demand),
    ) -> Vec<Sample> {
        let at = self.next_at(state);
        let mut samples = Vec::with_capacity(self.workloads.len());
        for (workload, number) in self.workloads.iter().zip(0u32..) {
            let capacity = match state.schedules.get_mut(&number) {
                Some(schedule) => {
                    schedule.settle(at);
                    schedule.at(at).clone()
                }
                None => workload.initial_capacity.clone(),
            };
            let mut demand = workload.unconstrained_demand(at);
            change(number, at, &mut demand);
            let served = serve(&demand, &capacity);
            let Some(sent) = state.network_transmit_bytes.get_mut(number as usize) else { continue };
            self.count_sent(sent, number, at, demand.network_transmit_bytes_per_s * served.share);
            if self.is_missing(number, at) {
                continue;
            }
            let kpis = self.kpis(&demand, &served, *sent, self.gaps.stream(2 * u64::from(number) + 1), at);
            samples.push(self.sample(workload, at, kpis, capacity));
        }
        state.next_tick += 1;
        samples
    }

    /// Feels what the cloud said to an action. What was applied serves from its instant on, at the
    /// earliest at the next tick; other outcomes, and those of workloads of others, change nothing.
    /// Tells whether it changed anything.
    pub fn feel(&self, state: &mut FleetState, result: &ActionResult) -> bool {
        let (ActionOutcome::Applied { effective_at }, Some(number)) =
            (&result.outcome, self.numbers.get(&result.workload))
        else {
            return false;
        };
        let Some(workload) = self.workloads.get(*number as usize) else { return false };
        let fresh = || CapacitySchedule::new(workload.initial_capacity.clone());
        state.schedules.entry(*number).or_insert_with(fresh).change(*effective_at, result.after.clone());
        true
    }

    fn sample(&self, workload: &FleetWorkload, at: EventTime, kpis: Vec<Kpi>, capacity: Capacity) -> Sample {
        Sample {
            workload: workload.id.clone(),
            source: self.source.clone(),
            at,
            step_s: self.settings.step_s,
            kpis,
            capacity: Some(capacity),
            platform: Platform::SIMULATED,
        }
    }

    fn count_sent(&self, sent: &mut f64, number: u32, at: EventTime, bytes_per_s: f64) {
        let step_s = f64::from(self.settings.step_s);
        if self.resets.stream(u64::from(number)).chance(at.as_ms(), step_s / COUNTER_RESET_EVERY_S) {
            *sent = 0.0;
        }
        *sent += bytes_per_s * step_s;
    }

    /// Half of what is missing is missing by itself, half in outages.
    fn is_missing(&self, number: u32, at: EventTime) -> bool {
        let gaps = self.gaps.stream(2 * u64::from(number));
        let half = self.settings.missing_samples_share / 2.0;
        gaps.stream(0).chance(at.as_ms(), half) || gaps.stream(1).chance(at.as_ms().div_euclid(OUTAGE_S * 1000), half)
    }

    fn kpis(&self, demand: &Demand, served: &Served, sent: f64, gaps: Draw, at: EventTime) -> Vec<Kpi> {
        use KpiKind::{Counter, Gauge, Rate};
        let n = &self.names;
        let of_disk = [demand.disk_read_bytes_per_s, demand.disk_write_bytes_per_s].map(|rate| rate * served.share);
        let received = demand.network_receive_bytes_per_s * served.share;
        let resources = [
            (0, Gauge, &n.cores, served.cpu_cores_used),
            (1, Gauge, &n.bytes, served.memory_bytes),
            (2, Rate, &n.bytes_per_s, of_disk[0]),
            (3, Rate, &n.bytes_per_s, of_disk[1]),
            (4, Rate, &n.bytes_per_s, received),
            (5, Counter, &n.bytes, sent),
        ];
        let requests = served.requests.map(|r| {
            [(6, Rate, &n.per_s, r.per_s), (7, Gauge, &n.ms, r.latency_ms), (8, Rate, &n.per_s, r.errors_per_s)]
        });
        let kpi = |(name, kind, unit, value): (usize, KpiKind, &Arc<str>, f64)| Kpi {
            name: n.names[name].clone(),
            kind,
            unit: Arc::clone(unit),
            value: (!gaps.stream(name as u64).chance(at.as_ms(), self.settings.missing_values_share)).then_some(value),
        };
        resources.into_iter().chain(requests.into_iter().flatten()).map(kpi).collect()
    }
}

impl FleetState {
    /// The capacity that a workload's next sample will have, when it was ever changed.
    pub fn schedule(&self, number: u32) -> Option<&CapacitySchedule> {
        self.schedules.get(&number)
    }
}

impl KpiNames {
    fn new() -> Self {
        let names = [
            kpi::CPU_CORES_USED,
            kpi::MEMORY_BYTES,
            kpi::DISK_READ_BYTES_PER_S,
            kpi::DISK_WRITE_BYTES_PER_S,
            kpi::NETWORK_RECEIVE_BYTES_PER_S,
            NETWORK_TRANSMIT_BYTES_TOTAL,
            kpi::REQUESTS_PER_S,
            kpi::LATENCY_MS,
            kpi::ERRORS_PER_S,
        ];
        Self {
            names: names.map(KpiName::new),
            cores: "cores".into(),
            bytes: "By".into(),
            bytes_per_s: "By/s".into(),
            per_s: "1/s".into(),
            ms: "ms".into(),
        }
    }
}

#[cfg(test)]
#[path = "generator_tests.rs"]
mod tests;
