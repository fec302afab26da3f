//! Incidents that are put into the generated fleet, of which the truth is known: what happened to whom, from when to when.
//!
//! What happens to the demand is felt as demand is, with waiting and errors; what happens to the measurements, or to one KPI
//! alone, changes the sample. Where incidents are, whose and of which kind follows from the fleet's seed.
//!
//! It must not know how anomalies are found.

use super::archetype::Archetype;
use super::draw::Draw;
use super::generator::{Fleet, FleetState, NETWORK_TRANSMIT_BYTES_TOTAL};
use super::serving::Demand;
use super::workload::FleetWorkload;
use crate::kpi::{CPU_CORES_USED, ERRORS_PER_S, Kpi, LATENCY_MS, MEMORY_BYTES, REQUESTS_PER_S};
use crate::sample::Sample;
use crate::time::EventTime;
use std::collections::BTreeMap;

const HOUR_S: i64 = 3600;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IncidentKind {
    /// Four times the load, for a quarter of an hour.
    LoadSpike,
    /// Nearly no load any more.
    LoadDrop,
    /// More than twice the load, for hours.
    LevelShiftUp,
    /// A quarter of the load, for hours.
    LevelShiftDown,
    /// Three times the CPU for the same requests.
    CpuHog,
    /// CPU that grows by an eighth each hour.
    CpuDrift,
    /// CPU reads zero.
    CpuZero,
    /// Memory that grows by a fifth each hour.
    MemoryLeak,
    /// Most of the memory is gone.
    MemoryLost,
    /// Answers take six times as long.
    LatencyRise,
    /// One request in ten fails.
    ErrorBurst,
    /// Hardly a request is counted, with the CPU of all of them.
    RequestsLost,
    /// CPU stands still.
    StuckValue,
    /// All KPIs stand still.
    AllStuck,
    /// KPIs hardly scatter any more.
    NoiseGone,
    /// CPU scatters by half of itself.
    NoiseMore,
    /// The day's course is gone.
    SeasonGone,
    /// CPU swings up and down with each sample.
    Oscillation,
    /// CPU goes its own way: as at another time of the day.
    CorrelationBroken,
    /// Twenty times the writes.
    DiskRunaway,
    /// Fifteen times what is received.
    NetworkFlood,
    /// A counter stands still.
    CounterStopped,
    /// One of those that are alike is slow and busy.
    OneOfGroup,
    /// Some workloads of a host get less CPU, and answer slowly.
    Host,
    /// The whole fleet answers slowly and fails more often.
    FleetWide,
    /// A workload sends nothing.
    SilentWorkload,
    /// Some workloads of a host send nothing.
    SilentHost,
    /// One KPI has no values.
    KpiMissing,
}

/// So many workloads run on a host that something happens to.
const HOST_WORKLOADS: usize = 4;

impl IncidentKind {
    /// All kinds.
    pub const ALL: [Self; 28] = [
        Self::LoadSpike,
        Self::LoadDrop,
        Self::LevelShiftUp,
        Self::LevelShiftDown,
        Self::CpuHog,
        Self::CpuDrift,
        Self::CpuZero,
        Self::MemoryLeak,
        Self::MemoryLost,
        Self::LatencyRise,
        Self::ErrorBurst,
        Self::RequestsLost,
        Self::StuckValue,
        Self::AllStuck,
        Self::NoiseGone,
        Self::NoiseMore,
        Self::SeasonGone,
        Self::Oscillation,
        Self::CorrelationBroken,
        Self::DiskRunaway,
        Self::NetworkFlood,
        Self::CounterStopped,
        Self::OneOfGroup,
        Self::Host,
        Self::FleetWide,
        Self::SilentWorkload,
        Self::SilentHost,
        Self::KpiMissing,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoadSpike => "load-spike",
            Self::LoadDrop => "load-drop",
            Self::LevelShiftUp => "level-shift-up",
            Self::LevelShiftDown => "level-shift-down",
            Self::CpuHog => "cpu-hog",
            Self::CpuDrift => "cpu-drift",
            Self::CpuZero => "cpu-zero",
            Self::MemoryLeak => "memory-leak",
            Self::MemoryLost => "memory-lost",
            Self::LatencyRise => "latency-rise",
            Self::ErrorBurst => "error-burst",
            Self::RequestsLost => "requests-lost",
            Self::StuckValue => "stuck-value",
            Self::AllStuck => "all-stuck",
            Self::NoiseGone => "noise-gone",
            Self::NoiseMore => "noise-more",
            Self::SeasonGone => "season-gone",
            Self::Oscillation => "oscillation",
            Self::CorrelationBroken => "correlation-broken",
            Self::DiskRunaway => "disk-runaway",
            Self::NetworkFlood => "network-flood",
            Self::CounterStopped => "counter-stopped",
            Self::OneOfGroup => "one-of-group",
            Self::Host => "host",
            Self::FleetWide => "fleet-wide",
            Self::SilentWorkload => "silent-workload",
            Self::SilentHost => "silent-host",
            Self::KpiMissing => "kpi-missing",
        }
    }

    /// How long it lasts, in seconds.
    pub const fn lasts_s(self) -> i64 {
        match self {
            Self::LoadSpike => HOUR_S / 4,
            Self::LoadDrop | Self::LatencyRise | Self::ErrorBurst | Self::NetworkFlood => HOUR_S,
            Self::CpuZero | Self::OneOfGroup | Self::Host | Self::FleetWide => HOUR_S,
            Self::MemoryLost | Self::NoiseMore | Self::Oscillation | Self::DiskRunaway => 2 * HOUR_S,
            Self::RequestsLost | Self::SilentWorkload | Self::SilentHost | Self::KpiMissing => 2 * HOUR_S,
            Self::CpuHog | Self::StuckValue | Self::AllStuck | Self::CounterStopped => 3 * HOUR_S,
            Self::NoiseGone | Self::LevelShiftUp | Self::LevelShiftDown | Self::CorrelationBroken => 6 * HOUR_S,
            Self::MemoryLeak | Self::CpuDrift | Self::SeasonGone => 8 * HOUR_S,
        }
    }

    /// How many workloads it happens to; `None` for all.
    const fn workloads(self) -> Option<usize> {
        match self {
            Self::FleetWide => None,
            Self::Host | Self::SilentHost => Some(HOST_WORKLOADS),
            _ => Some(1),
        }
    }

    /// Whether it is out of the ordinary for such a workload: jobs come and go anyhow, and who serves nobody has no
    /// latency.
    fn suits(self, archetype: Archetype) -> bool {
        use Archetype::{ConsumerService, MemoryLeak, MemoryStairs, OfficeService, RandomWalk, Trend};
        let is_steady = matches!(archetype, MemoryStairs | MemoryLeak | Trend | ConsumerService | OfficeService);
        match self {
            Self::SilentWorkload | Self::SilentHost | Self::FleetWide => true,
            Self::MemoryLeak | Self::MemoryLost => {
                is_steady && !matches!(archetype, MemoryStairs | MemoryLeak) || archetype == RandomWalk
            }
            Self::SeasonGone => matches!(archetype, OfficeService | ConsumerService),
            _ => is_steady,
        }
    }

    /// What happens to the demand of a workload.
    fn change(self, workload: &FleetWorkload, (from, at): (EventTime, EventTime), noise: Draw, demand: &mut Demand) {
        let hours = (at.as_ms() - from.as_ms()) as f64 / 3.6e6;
        match self {
            Self::LoadSpike => load_times(demand, 4.0),
            Self::LoadDrop => load_times(demand, 0.05),
            Self::LevelShiftUp => load_times(demand, 2.2),
            Self::LevelShiftDown => load_times(demand, 0.25),
            Self::SeasonGone => load_times(demand, workload.season(from) / workload.season(at).max(0.02)),
            Self::CpuHog => demand.cpu_cores *= 3.0,
            Self::CpuDrift => demand.cpu_cores *= 1.0 + 0.125 * hours,
            Self::CorrelationBroken => {
                demand.cpu_cores = workload.unconstrained_demand(at.plus_s(9 * HOUR_S)).cpu_cores;
            }
            Self::NoiseMore => demand.cpu_cores *= (1.0 + 0.5 * noise.white(at.as_ms())).max(0.1),
            Self::Oscillation => {
                let is_up = noise.stream(1).chance(0, 0.5) ^ (at.as_ms().div_euclid(300_000) % 2 == 0);
                demand.cpu_cores *= if is_up { 1.6 } else { 0.5 };
            }
            Self::MemoryLeak => demand.memory_bytes *= 1.0 + 0.2 * hours,
            Self::MemoryLost => demand.memory_bytes *= 0.3,
            Self::OneOfGroup => demand.cpu_cores *= 2.0,
            Self::Host => demand.cpu_cores *= 0.4,
            Self::DiskRunaway => demand.disk_write_bytes_per_s *= 20.0,
            Self::NetworkFlood => demand.network_receive_bytes_per_s *= 15.0,
            Self::CounterStopped => demand.network_transmit_bytes_per_s = 0.0,
            Self::FleetWide if demand.requests.is_none() => demand.cpu_cores *= 2.0,
            _ => {}
        }
    }

    /// What happens to a sample, which is `None` where nothing is sent any more. `first` are the KPIs when it began, and
    /// are moved on where what is sent follows slowly.
    fn alter(self, mut sample: Sample, first: &mut [Option<f64>]) -> Option<Sample> {
        match self {
            Self::SilentWorkload | Self::SilentHost => return None,
            Self::CpuZero => set(&mut sample, CPU_CORES_USED, |_| Some(0.0)),
            Self::LatencyRise => set(&mut sample, LATENCY_MS, |ms| ms.map(|ms| 6.0 * ms)),
            Self::ErrorBurst => {
                let failed = value(&sample, REQUESTS_PER_S).map_or(1.0, |served| 0.1 * served);
                set(&mut sample, ERRORS_PER_S, |errors| errors.map(|errors| errors + failed));
            }
            Self::RequestsLost => set(&mut sample, REQUESTS_PER_S, |served| served.map(|served| 0.1 * served)),
            Self::KpiMissing => set(&mut sample, MEMORY_BYTES, |_| None),
            Self::OneOfGroup | Self::Host => set(&mut sample, LATENCY_MS, |ms| ms.map(|ms| 4.0 * ms)),
            Self::FleetWide => {
                let failed = value(&sample, REQUESTS_PER_S).map_or(1.0, |served| 0.05 * served);
                set(&mut sample, ERRORS_PER_S, |errors| errors.map(|errors| errors + failed));
                set(&mut sample, LATENCY_MS, |ms| ms.map(|ms| 4.0 * ms));
            }
            Self::StuckValue | Self::AllStuck => {
                let is_stuck = |kpi: &Kpi| self == Self::AllStuck || kpi.name.as_str() == CPU_CORES_USED;
                for (kpi, first) in sample.kpis.iter_mut().zip(first).filter(|(kpi, _)| is_stuck(kpi)) {
                    kpi.value = kpi.value.and(*first);
                }
            }
            Self::NoiseGone => {
                let is_gauge = |kpi: &Kpi| kpi.name.as_str() != NETWORK_TRANSMIT_BYTES_TOTAL;
                for (kpi, followed) in sample.kpis.iter_mut().zip(first).filter(|(kpi, _)| is_gauge(kpi)) {
                    if let (Some(value), Some(followed)) = (&mut kpi.value, followed) {
                        *followed += 0.05 * (*value - *followed);
                        *value = *followed;
                    }
                }
            }
            _ => {}
        }
        Some(sample)
    }
}

/// The load of a workload, so many times as much, with all that follows it.
fn load_times(demand: &mut Demand, times: f64) {
    demand.cpu_cores *= times;
    demand.disk_read_bytes_per_s *= times;
    demand.disk_write_bytes_per_s *= 0.2 + 0.8 * times;
    demand.network_receive_bytes_per_s *= times;
    demand.network_transmit_bytes_per_s *= times;
    demand.memory_bytes *= 0.7 + 0.3 * times.min(2.0);
    if let Some(requests) = &mut demand.requests {
        requests.per_s *= times;
    }
}

fn value(sample: &Sample, name: &str) -> Option<f64> {
    sample.kpis.iter().find(|kpi| kpi.name.as_str() == name)?.value
}

fn set(sample: &mut Sample, name: &str, to: impl Fn(Option<f64>) -> Option<f64>) {
    if let Some(kpi) = sample.kpis.iter_mut().find(|kpi| kpi.name.as_str() == name) {
        kpi.value = to(kpi.value);
    }
}

/// An incident of the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InjectedIncident {
    /// What happens.
    pub kind: IncidentKind,
    /// To whom, by number.
    pub workloads: Vec<u32>,
    /// From when on.
    pub from: EventTime,
    /// Until when.
    pub until: EventTime,
}

/// A workload that something happened to is left alone for so long afterwards, in seconds: to whom something happens each
/// day, that is ordinary.
const REST_S: i64 = 14 * 86_400;

/// Something happens to the whole fleet so long before the end, in seconds: nobody rests after it.
const FLEET_WIDE_BEFORE_END_S: i64 = 86_400;

/// So many workloads and instants are drawn to find one that something can happen to.
const TRIES: i64 = 200;

/// A workload is at work from this part of its usual peak on.
const AT_WORK: f64 = 0.45;

impl InjectedIncident {
    /// Incidents of a fleet between two instants, `every_s` seconds apart or more, the kinds in turn. Each is put where
    /// its workload is at work.
    pub fn planned(fleet: &Fleet, from: EventTime, until: EventTime, every_s: i64) -> Vec<Self> {
        let draw = Draw::seeded(fleet.settings().seed).stream(u64::MAX - 2);
        let every_s = every_s.max(900);
        let mut rested = vec![from; fleet.workloads().len()];
        let (mut planned, fleet_wide_at) = (Vec::new(), until.plus_s(-FLEET_WIDE_BEFORE_END_S));
        let mut is_fleet_wide_due = true;
        let mut kinds = IncidentKind::ALL.iter().filter(|kind| kind.workloads().is_some()).cycle().peekable();
        let mut slot = from;
        while slot.plus_s(every_s) < until {
            let is_fleet_wide = is_fleet_wide_due && slot >= fleet_wide_at;
            let kind = if is_fleet_wide { Some(&&IncidentKind::FleetWide) } else { kinds.peek() }.map(|kind| **kind);
            let Some(kind) = kind else { break };
            let found = if is_fleet_wide {
                is_fleet_wide_due = false;
                Some(((0..).take(fleet.workloads().len()).collect(), slot))
            } else {
                found(fleet, kind, (slot, every_s), &rested, draw.stream(slot.as_ms() as u64))
            };
            if let Some((workloads, from)) = found {
                let until = from.plus_s(kind.lasts_s());
                if !is_fleet_wide {
                    kinds.next();
                    for number in &workloads {
                        if let Some(rested) = rested.get_mut(*number as usize) {
                            *rested = until.plus_s(REST_S);
                        }
                    }
                }
                planned.push(Self { kind, workloads, from, until });
            }
            slot = slot.plus_s(every_s);
        }
        planned.retain(|incident| incident.until <= until);
        planned
    }
}

/// Workloads that have rested, and an instant of the slot at which the first of them is at work.
fn found(
    fleet: &Fleet,
    kind: IncidentKind,
    (slot, every_s): (EventTime, i64),
    rested: &[EventTime],
    draw: Draw,
) -> Option<(Vec<u32>, EventTime)> {
    let is_free = |number: u32, at: EventTime| {
        let workload = fleet.workloads().get(number as usize)?;
        let is_rested = rested.get(number as usize).is_some_and(|rested| *rested <= at);
        (is_rested && kind.suits(workload.archetype)).then_some(workload)
    };
    let count = fleet.settings().workloads;
    for attempt in 0..TRIES {
        let number = draw.stream(0).whole(attempt, 0, i64::from(count)) as u32;
        let at = slot.plus_s(300 * draw.stream(1).whole(attempt, 0, (every_s / 600).max(1)));
        let Some(workload) = is_free(number, at) else { continue };
        let is_silence = matches!(kind, IncidentKind::SilentWorkload | IncidentKind::SilentHost);
        if !is_silence && workload.season(at) < AT_WORK {
            continue;
        }
        let others = (0..count).cycle().skip(number as usize + 1).take(count.saturating_sub(1) as usize);
        let others = others.filter(|other| is_free(*other, at).is_some());
        let wanted = kind.workloads()?;
        let workloads: Vec<u32> = std::iter::once(number).chain(others).take(wanted).collect();
        if workloads.len() == wanted {
            return Some((workloads, at));
        }
    }
    None
}

/// A fleet with its incidents.
#[derive(Clone, Debug)]
pub struct Injection<'a> {
    fleet: &'a Fleet,
    incidents: Vec<InjectedIncident>,
    /// KPIs as they were when an incident began, or as they have followed since: by incident and workload.
    first: BTreeMap<(usize, u32), Vec<Option<f64>>>,
}

impl<'a> Injection<'a> {
    /// Of a fleet and what happens to it.
    pub fn new(fleet: &'a Fleet, incidents: Vec<InjectedIncident>) -> Self {
        Self { fleet, incidents, first: BTreeMap::new() }
    }

    /// What happens.
    pub fn incidents(&self) -> &[InjectedIncident] {
        &self.incidents
    }

    /// As [`Fleet::tick`], with what happens then.
    pub fn tick(&mut self, state: &mut FleetState) -> Vec<Sample> {
        let at = self.fleet.next_at(state);
        let lasts = |incident: &InjectedIncident| incident.from <= at && at < incident.until;
        let open: Vec<(usize, &InjectedIncident)> =
            self.incidents.iter().enumerate().filter(|(_, incident)| lasts(incident)).collect();
        self.first.retain(|(index, _), _| open.iter().any(|(open, _)| open == index));
        let noise = Draw::seeded(self.fleet.settings().seed).stream(u64::MAX - 3);
        let samples = self.fleet.tick_with(state, |number, at, demand| {
            let Some(workload) = self.fleet.workloads().get(number as usize) else { return };
            for (index, incident) in open.iter().filter(|(_, incident)| incident.workloads.contains(&number)) {
                let noise = noise.stream(*index as u64).stream(u64::from(number));
                incident.kind.change(workload, (incident.from, at), noise, demand);
            }
        });
        let first = &mut self.first;
        let fleet = self.fleet;
        let altered = samples.into_iter().filter_map(|sample| {
            let number = fleet.number_of(&sample.workload)?;
            let mut own = open.iter().filter(|(_, incident)| incident.workloads.contains(&number));
            own.try_fold(sample, |sample, (index, incident)| {
                let values = || sample.kpis.iter().map(|kpi| kpi.value).collect();
                let first = first.entry((*index, number)).or_insert_with(values);
                incident.kind.alter(sample, first)
            })
        });
        altered.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::FleetSettings;
    use std::collections::BTreeSet;

    /// 2024-01-01T00:00:00Z, a Monday.
    const MONDAY: EventTime = EventTime::from_s(1_704_067_200);
    const DAY_S: i64 = 86_400;

    fn fleet() -> Fleet {
        let settings = FleetSettings {
            name: "test".into(),
            workloads: 100,
            step_s: 300,
            seed: 7,
            missing_samples_share: 0.0,
            missing_values_share: 0.0,
        };
        Fleet::new(settings).unwrap()
    }

    #[test]
    fn all_kinds_come_to_workloads_that_have_rested() {
        let fleet = fleet();
        let planned = InjectedIncident::planned(&fleet, MONDAY, MONDAY.plus_s(14 * DAY_S), 2 * HOUR_S);
        let kinds: BTreeSet<IncidentKind> = planned.iter().map(|incident| incident.kind).collect();
        assert_eq!(kinds.len(), IncidentKind::ALL.len(), "{kinds:?}");
        assert!(planned.len() >= 30, "{}", planned.len());
        assert_eq!(planned, InjectedIncident::planned(&fleet, MONDAY, MONDAY.plus_s(14 * DAY_S), 2 * HOUR_S));
        let names: BTreeSet<&str> = IncidentKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), IncidentKind::ALL.len());
        for (i, incident) in planned.iter().enumerate() {
            let of = incident.kind.workloads().unwrap_or(100);
            assert_eq!(incident.workloads.len(), of, "{incident:?}");
            assert!(incident.until <= MONDAY.plus_s(14 * DAY_S) && incident.from < incident.until);
            let is_same = |other: &&InjectedIncident| {
                let is_single = other.kind.workloads().is_some() && incident.kind.workloads().is_some();
                is_single && other.workloads.iter().any(|number| incident.workloads.contains(number))
            };
            let again = planned[i + 1..].iter().find(is_same);
            assert!(again.is_none_or(|again| again.from >= incident.until.plus_s(REST_S)), "{incident:?}, {again:?}");
        }
    }

    #[test]
    fn each_kind_changes_those_that_it_happens_to_while_it_lasts_and_nobody_else() {
        let fleet = fleet();
        for kind in IncidentKind::ALL {
            let from = MONDAY.plus_s(10 * HOUR_S);
            let suited = fleet.workloads().iter().position(|workload| kind.suits(workload.archetype)).unwrap() as u32;
            let workloads = vec![suited];
            let incident = InjectedIncident { kind, workloads, from, until: from.plus_s(kind.lasts_s()) };
            let mut injection = Injection::new(&fleet, vec![incident.clone()]);
            let start = from.plus_s(-600);
            let (mut state, mut plain) = (fleet.start(start), fleet.start(start));
            let mut changed = BTreeSet::new();
            while fleet.next_at(&plain) < incident.until.plus_s(600) {
                let at = fleet.next_at(&plain);
                let (with, without) = (injection.tick(&mut state), fleet.tick(&mut plain));
                for sample in &without {
                    let found = with.iter().find(|found| found.workload == sample.workload);
                    // What a counter has missed stays missed.
                    let counts = |kpi: &&Kpi| kpi.name.as_str() != NETWORK_TRANSMIT_BYTES_TOTAL;
                    let kpis = |sample: &Sample| sample.kpis.iter().filter(counts).cloned().collect::<Vec<_>>();
                    let is_changed = found.is_none_or(|found| kpis(found) != kpis(sample));
                    let is_counter = kind == IncidentKind::CounterStopped && found != Some(sample);
                    if is_changed || is_counter && at < incident.until {
                        assert_eq!(fleet.number_of(&sample.workload), Some(suited), "{kind:?}");
                        changed.insert(at);
                    }
                }
            }
            assert!(changed.iter().all(|at| (incident.from..incident.until).contains(at)), "{kind:?}: {changed:?}");
            assert!(changed.len() as i64 >= kind.lasts_s() / 600, "{kind:?}: {changed:?}");
        }
    }
}
