//! The windows of all KPIs of one workload.

use super::KpiWindows;
use super::fourier::Workspace;
use super::grid::{Grid, WindowSettings};
use super::panes::Instant;
use crate::kpi::{Kpi, KpiKind, KpiName};
use crate::stream::counter::{CounterReading, rate_per_s};
use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Each KPI that a partition has seen, once: its windows refer to it by number.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct KpiTable {
    kpis: Vec<KpiIdentity>,
    by_name: BTreeMap<KpiName, Vec<u32>>,
}

/// What a KPI is.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct KpiIdentity {
    /// Its name.
    pub name: KpiName,
    /// How its values are to be read.
    pub kind: KpiKind,
    /// Its unit as it was sent.
    pub unit: Arc<str>,
    /// Unit of its values in the windows: a counter's is per second.
    pub value_unit: Arc<str>,
}

impl KpiIdentity {
    fn is_of(&self, kpi: &Kpi) -> bool {
        self.name == kpi.name && self.kind == kpi.kind && self.unit == kpi.unit
    }
}

impl KpiTable {
    /// The KPI of a number that this table gave.
    pub fn get(&self, number: u32) -> Option<&KpiIdentity> {
        self.kpis.get(number as usize)
    }

    fn number_of(&mut self, kpi: &Kpi) -> u32 {
        let known = self.by_name.get(&kpi.name).map(Vec::as_slice).unwrap_or_default();
        let is_same = |number: &&u32| self.get(**number).is_some_and(|identity| identity.is_of(kpi));
        if let Some(number) = known.iter().find(is_same) {
            return *number;
        }
        let number = self.kpis.len() as u32;
        let value_unit = match kpi.kind {
            KpiKind::Counter => format!("{}/s", kpi.unit).into(),
            KpiKind::Gauge | KpiKind::Rate => Arc::clone(&kpi.unit),
        };
        let (name, unit) = (kpi.name.clone(), Arc::clone(&kpi.unit));
        self.kpis.push(KpiIdentity { name, kind: kpi.kind, unit, value_unit });
        self.by_name.entry(kpi.name.clone()).or_default().push(number);
        number
    }
}

/// One KPI of a workload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct WorkloadKpi {
    /// Its number in the partition's [`KpiTable`].
    pub number: u32,
    /// The newest value (a counter's rate per second); `None` when missing.
    pub last: Option<f64>,
    /// Its windows.
    pub windows: KpiWindows,
    /// Of a counter; few KPIs are.
    counter: Option<Box<CounterReading>>,
}

/// The windows of one workload's KPIs, by KPI name.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct WorkloadWindows {
    step_s: u32,
    kpis: Vec<WorkloadKpi>,
}

/// The newest sample of a workload.
#[derive(Clone, Copy, Debug)]
pub struct GridSample<'a> {
    /// Sampling step, in seconds.
    pub step_s: u32,
    /// Bin on the grid of that step; later than any before of the same step.
    pub bin: i64,
    /// Exact instant, for counters.
    pub at: EventTime,
    /// The KPIs.
    pub kpis: &'a [Kpi],
}

impl WorkloadWindows {
    /// Moves all KPIs to the sample; those that it lacks are missing there. Another step starts
    /// all windows anew. KPIs without a value in their windows are dropped.
    pub fn record(
        &mut self,
        settings: &WindowSettings,
        sample: GridSample<'_>,
        table: &mut KpiTable,
        workspace: &mut Workspace,
    ) {
        if self.step_s != sample.step_s {
            *self = Self { step_s: sample.step_s, kpis: Vec::new() };
        }
        for kpi in sample.kpis.iter() {
            self.learn(kpi, table);
        }
        let grid = settings.grid(sample.step_s);
        let instant = Instant::at(sample.bin * i64::from(sample.step_s));
        for known in &mut self.kpis {
            let identity = table.get(known.number);
            let sent = sample.kpis.iter().find(|k| identity.is_some_and(|i| i.name == k.name));
            known.last = sent.and_then(|k| known.value_of(k, sample.at));
            known.windows.record(&grid, &instant, known.last, workspace);
        }
        self.kpis.retain(|k| !k.windows.is_empty() || k.counter.is_some());
    }

    fn learn(&mut self, kpi: &Kpi, table: &mut KpiTable) {
        if self.kpis.iter().any(|known| table.get(known.number).is_some_and(|identity| identity.is_of(kpi))) {
            return;
        }
        let number = table.number_of(kpi);
        if kpi.value.is_none() {
            return;
        }
        let name_of = |known: &WorkloadKpi| table.get(known.number).map(|k| k.name.clone());
        self.kpis.retain(|known| name_of(known).as_ref() != Some(&kpi.name));
        let place = self.kpis.partition_point(|known| name_of(known).as_ref() < Some(&kpi.name));
        let fresh = WorkloadKpi { number, last: None, windows: KpiWindows::default(), counter: None };
        self.kpis.reserve_exact(1);
        self.kpis.insert(place, fresh);
    }

    /// The KPIs, by name ascending.
    pub fn kpis(&self) -> &[WorkloadKpi] {
        &self.kpis
    }

    /// The grid of the newest sample.
    pub fn grid(&self, settings: &WindowSettings) -> Grid {
        settings.grid(self.step_s)
    }

    /// Bytes on the heap, without what the allocator adds.
    pub fn heap_bytes(&self) -> usize {
        self.kpis.capacity() * size_of::<WorkloadKpi>() + self.kpis.iter().map(WorkloadKpi::heap_bytes).sum::<usize>()
    }
}

impl WorkloadKpi {
    fn heap_bytes(&self) -> usize {
        self.windows.heap_bytes() + self.counter.as_ref().map_or(0, |_| size_of::<CounterReading>())
    }

    fn value_of(&mut self, kpi: &Kpi, at: EventTime) -> Option<f64> {
        match (kpi.kind, kpi.value) {
            (KpiKind::Counter, Some(total)) => {
                let mut reading = self.counter.as_deref().copied();
                let rate = rate_per_s(&mut reading, total, at);
                match (&mut self.counter, reading) {
                    (Some(kept), Some(reading)) => **kept = reading,
                    (kept, reading) => *kept = reading.map(Box::new),
                }
                rate
            }
            (_, value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kpi(name: &str, kind: KpiKind, value: Option<f64>) -> Kpi {
        Kpi { name: KpiName::new(name), kind, unit: "1".into(), value }
    }

    #[test]
    fn counters_become_rates_and_what_is_absent_is_missing() {
        let settings = WindowSettings::new(3600, 604_800).unwrap();
        let (mut table, mut workspace) = (KpiTable::default(), Workspace::default());
        let mut windows = WorkloadWindows::default();
        let samples = [
            vec![kpi("total", KpiKind::Counter, Some(100.0)), kpi("a", KpiKind::Gauge, Some(1.0))],
            vec![kpi("total", KpiKind::Counter, Some(400.0))],
            vec![kpi("total", KpiKind::Counter, Some(60.0)), kpi("a", KpiKind::Gauge, None)],
        ];
        let mut seen = Vec::new();
        for (bin, kpis) in samples.iter().enumerate() {
            let at = EventTime::of_bin(bin as i64, 60);
            windows.record(&settings, GridSample { step_s: 60, bin: bin as i64, at, kpis }, &mut table, &mut workspace);
            seen.push(windows.kpis().iter().map(|k| k.last).collect::<Vec<_>>());
        }
        assert_eq!(seen, vec![vec![Some(1.0), None], vec![None, Some(5.0)], vec![None, Some(1.0)]]);
        let mut sums = crate::window::ShortSums::default();
        let short = windows.kpis()[1].windows.short(&windows.grid(&settings), &mut sums);
        assert_eq!((short.moments.count, short.min, short.max), (2, 1.0, 5.0));
    }

    #[test]
    fn a_changed_kind_replaces_the_kpi_and_a_silent_kpi_leaves() {
        let settings = WindowSettings::new(3600, 604_800).unwrap();
        let (mut table, mut workspace) = (KpiTable::default(), Workspace::default());
        let mut windows = WorkloadWindows::default();
        let mut record = |windows: &mut WorkloadWindows, bin: i64, kpis: &[Kpi]| {
            let at = EventTime::of_bin(bin, 60);
            windows.record(&settings, GridSample { step_s: 60, bin, at, kpis }, &mut table, &mut workspace);
        };
        record(&mut windows, 1, &[kpi("a", KpiKind::Gauge, Some(1.0))]);
        record(&mut windows, 2, &[kpi("a", KpiKind::Rate, Some(1.0)), kpi("b", KpiKind::Gauge, Some(1.0))]);
        assert_eq!(windows.kpis().len(), 2);
        record(&mut windows, 2 + 9 * 1440, &[kpi("b", KpiKind::Gauge, Some(1.0))]);
        assert_eq!(windows.kpis().len(), 1);
    }

    /// Two weeks by day, with a little that does not recur: the second one fills what a week is compared with.
    #[test]
    fn a_kpi_takes_at_most_2050_bytes() {
        let settings = WindowSettings::new(3600, 604_800).unwrap();
        let (mut table, mut workspace) = (KpiTable::default(), Workspace::default());
        let mut windows = WorkloadWindows::default();
        for bin in 0..15 * 1440 {
            let turn = (bin % 1440) as f64 / 1440.0;
            let value = 200.0 + 100.0 * (std::f64::consts::TAU * turn).sin() + (bin * 7919 % 100) as f64 / 10.0;
            let (at, kpis) = (EventTime::of_bin(bin, 60), [kpi("a", KpiKind::Gauge, Some(value))]);
            let sample = GridSample { step_s: 60, bin, at, kpis: &kpis };
            windows.record(&settings, sample, &mut table, &mut workspace);
        }
        let bytes = windows.heap_bytes();
        println!("{bytes} bytes, {} of them in its own block", size_of::<WorkloadKpi>());
        assert!(bytes <= 2050, "{bytes}");
        // Eight of them fill one of the allocator's sizes; the next one is a quarter larger.
        assert!(8 * size_of::<WorkloadKpi>() <= 4096);
    }
}
