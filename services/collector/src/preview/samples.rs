//! What samples tell of themselves.

use super::{COUNTER_VALUES_MIN, EXCESS, Finding, KpiPreview, Preview, SHOWN_MAX, finding};
use prescale_contracts::rfc3339;
use prescale_domain::kpi::{self, KpiKind, KpiName};
use prescale_domain::resource::Resource;
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// Memory in use that is below this everywhere, in bytes, is likelier to be in another unit.
const MEMORY_BYTES_MIN: f64 = 1e6;

/// What is known of all samples so far.
#[derive(Default)]
pub(crate) struct Samples {
    count: u64,
    first: Option<EventTime>,
    kpis: BTreeMap<KpiName, (KpiKind, Arc<str>)>,
    workloads: BTreeMap<WorkloadId, OfWorkload>,
}

#[derive(Default)]
struct OfWorkload {
    samples: u64,
    cpu_cores: Option<f64>,
    memory_bytes: Option<f64>,
    values: BTreeMap<KpiName, Values>,
}

/// The values of one KPI of one workload.
struct Values {
    count: usize,
    sum: f64,
    first: f64,
    last: f64,
    least: f64,
    greatest: f64,
    only_grows: bool,
    /// Those that are above [`EXCESS`] times the capacity of their sample.
    beyond: usize,
}

impl Values {
    fn starting(value: f64) -> Self {
        let (first, last, least, greatest) = (value, value, value, value);
        Self { count: 1, sum: value, first, last, least, greatest, only_grows: true, beyond: 0 }
    }

    fn take(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.only_grows &= value >= self.last;
        (self.least, self.greatest, self.last) = (self.least.min(value), self.greatest.max(value), value);
    }

    /// Whether a few are beyond the capacity, and not so many that their unit is.
    fn has_spikes(&self) -> bool {
        self.beyond > 0 && 10 * self.beyond < self.count
    }

    /// Whether they look like a counter's.
    fn is_growing(&self) -> bool {
        self.count >= COUNTER_VALUES_MIN && self.only_grows && self.first < self.last
    }
}

impl Samples {
    /// Takes one; those of a workload come by their instants.
    pub(crate) fn take(&mut self, sample: &Sample) {
        self.count += 1;
        self.first = Some(self.first.map_or(sample.at, |first| first.min(sample.at)));
        let workload = self.workloads.entry(sample.workload.clone()).or_default();
        workload.samples += 1;
        if let Some(capacity) = &sample.capacity {
            workload.cpu_cores = Some(workload.cpu_cores.unwrap_or(0.0).max(capacity.cpu_cores()));
            workload.memory_bytes = Some(workload.memory_bytes.unwrap_or(0.0).max(capacity.memory_bytes()));
        }
        for kpi in &sample.kpis {
            self.kpis.entry(kpi.name.clone()).or_insert_with(|| (kpi.kind, Arc::clone(&kpi.unit)));
            let Some(value) = kpi.value else { continue };
            let capacity = Resource::capacity_of_kpi(kpi.name.as_str(), sample.capacity.as_ref());
            let values = match workload.values.entry(kpi.name.clone()) {
                Entry::Occupied(known) => {
                    let values = known.into_mut();
                    values.take(value);
                    values
                }
                Entry::Vacant(place) => place.insert(Values::starting(value)),
            };
            values.beyond += usize::from(capacity.is_some_and(|capacity| value > EXCESS * capacity));
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// What they come to, under the name of their source.
    pub(crate) fn told(&self, source: &str, looked_at: String) -> Preview {
        let has_capacity = |workload: &&OfWorkload| workload.cpu_cores.is_some();
        let mut preview = Preview {
            source: source.to_owned(),
            preset: String::new(),
            looked_at,
            workloads: self.workloads.len(),
            examples: self.workloads.keys().take(SHOWN_MAX).map(ToString::to_string).collect(),
            workloads_with_capacity: self.workloads.values().filter(has_capacity).count(),
            history_from: self.first.map(rfc3339),
            kpis: Vec::new(),
            findings: Vec::new(),
        };
        for (name, (kind, unit)) in &self.kpis {
            let kpi = self.kpi(name, unit);
            preview.findings.extend(self.of_kpi(name, *kind, &kpi));
            preview.kpis.push(kpi);
        }
        let without = preview.workloads - preview.workloads_with_capacity;
        if without > 0 {
            preview.findings.push(finding(
                format!("the capacity of {without} of {} workloads is not known", preview.workloads),
                "they are forecast and not sized: map cpu_capacity and memory_capacity, or push what the preset takes \
                 them from"
                    .to_owned(),
            ));
        }
        preview
    }

    fn values<'s>(&'s self, name: &'s KpiName) -> impl Iterator<Item = (&'s OfWorkload, &'s Values)> {
        self.workloads.values().filter_map(move |workload| Some((workload, workload.values.get(name)?)))
    }

    fn kpi(&self, name: &KpiName, unit: &str) -> KpiPreview {
        let (mut workloads, mut present, mut places) = (0, 0_u64, 0_u64);
        let (mut least, mut sum, mut greatest) = (f64::INFINITY, 0.0, f64::NEG_INFINITY);
        for (workload, values) in self.values(name) {
            workloads += 1;
            (present, places) = (present + values.count as u64, places + workload.samples);
            (least, sum, greatest) = (least.min(values.least), sum + values.sum, greatest.max(values.greatest));
        }
        KpiPreview {
            name: name.as_str().to_owned(),
            unit: unit.to_owned(),
            workloads,
            series_max: 1,
            present_share: if places == 0 { 0.0 } else { present as f64 / places as f64 },
            values: (present > 0).then(|| [least, sum / present as f64, greatest]),
        }
    }

    fn of_kpi(&self, name: &KpiName, kind: KpiKind, kpi: &KpiPreview) -> Vec<Finding> {
        let mut found = Vec::new();
        if kpi.workloads == 0 {
            found.push(finding(format!("{name}: no values"), "look at its column, or at what sends it".to_owned()));
            return found;
        }
        if kpi.present_share < 0.5 {
            let percent = kpi.present_share * 100.0;
            found.push(finding(
                format!("{name}: {percent:.0} % of the samples have a value"),
                "is it measured less often than the others? Then a longer step suits them all".to_owned(),
            ));
        }
        let growing = self.values(name).filter(|(_, values)| values.is_growing()).count();
        if kind != KpiKind::Counter && 10 * growing >= 9 * kpi.workloads {
            found.push(finding(
                format!("{name}: the values of {growing} of {} workloads only ever grow: a counter?", kpi.workloads),
                "give it a name that ends in _total, or total = true in the preset: its rate is read then".to_owned(),
            ));
        }
        let greatest = kpi.values.map_or(0.0, |[_, _, greatest]| greatest);
        if name.as_str() == kpi::MEMORY_BYTES && 0.0 < greatest && greatest < MEMORY_BYTES_MIN {
            found.push(finding(
                format!("{name}: at most {greatest} bytes: another unit?"),
                "multiply it in the mapping, as in memory=mem_mib * 1048576, or say its unit in the preset".to_owned(),
            ));
        }
        found.extend(self.excess(name));
        found.extend(self.spikes(name));
        found.extend(self.below_zero(name));
        found
    }

    /// Use that is less than none.
    fn below_zero(&self, name: &KpiName) -> Option<Finding> {
        let below =
            |(_, values): &(&OfWorkload, &Values)| Resource::of_kpi(name.as_str()).is_some() && values.least < 0.0;
        let workloads = self.values(name).filter(below).count();
        (workloads > 0).then(|| {
            finding(
                format!("{name}: {workloads} workloads have values below zero"),
                "they are no measurements and count as missing: is it a difference that is mapped?".to_owned(),
            )
        })
    }

    /// A few values far above what there is, which no unit explains.
    fn spikes(&self, name: &KpiName) -> Option<Finding> {
        let spikes: usize = self.values(name).filter(|(_, of)| of.has_spikes()).map(|(_, of)| of.beyond).sum();
        (spikes > 0).then(|| {
            finding(
                format!("{name}: {spikes} values are above {EXCESS} times the capacity, and the others are not"),
                "they are no measurements and count as missing: does what exports them wrap around below zero?"
                    .to_owned(),
            )
        })
    }

    /// Use far above what there is.
    fn excess(&self, name: &KpiName) -> Option<Finding> {
        let had = |workload: &OfWorkload| match name.as_str() {
            kpi::CPU_CORES_USED => workload.cpu_cores,
            kpi::MEMORY_BYTES => workload.memory_bytes,
            _ => None,
        };
        let times = |(workload, values): (&OfWorkload, &Values)| {
            had(workload)
                .filter(|_| !values.has_spikes())
                .filter(|had| *had > 0.0)
                .map(|had| values.greatest / had)
                .filter(|times| *times > EXCESS)
        };
        let beyond: Vec<f64> = self.values(name).filter_map(times).collect();
        let most = beyond.iter().copied().reduce(f64::max)?;
        Some(finding(
            format!("{name}: {} workloads use up to {most:.0} times their capacity: another unit?", beyond.len()),
            "say what its numbers are: cpu=pct / 100.0 * cores in the mapping, or its unit in the preset".to_owned(),
        ))
    }
}
