//! A generated fleet of any size in which only so many workloads differ. Each of the others does as one of them, with
//! values that are up to half a percent off, so a history has to be lived by those that differ alone. Both lie in the
//! same partition.

use prescale_bus::OutputRecord;
use prescale_bus::partitioner::partition_of;
use prescale_chassis::output_record;
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::fleet::{Fleet, FleetSettings, FleetState};
use prescale_domain::kpi::{CPU_CORES_USED, DISK_READ_BYTES_PER_S, Kpi, KpiKind, KpiName};
use prescale_domain::sample::Sample;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;

/// Step of all workloads, in seconds.
pub const STEP_S: u32 = 60;
/// Instant of the first sample at the earliest, in seconds since 1970: a Thursday, midnight.
pub const START_S: i64 = 1_767_225_600;
/// KPIs of each sample.
pub const KPIS: usize = 8;

const STEP_MS: u64 = STEP_S as u64 * 1000;
const PREFIX: &str = "vm-";
/// How far a copy's values are off, at most.
const OFF_MAX: f64 = 0.005;
/// How far a copy's running totals are ahead, at most.
const AHEAD_MAX: f64 = 0.001;

/// The fleet.
pub struct Crowd {
    source: SourceName,
    members: Vec<Member>,
    /// By partition: the workloads that differ.
    fleets: Vec<Fleet>,
    /// KPIs for workloads that have too few, with how much of them there is per core in use.
    extra: [(KpiName, f64); 2],
    /// Their unit.
    unit: Arc<str>,
}

/// One workload.
struct Member {
    id: WorkloadId,
    partition: u32,
    /// Which of its partition's fleet it does as.
    does_as: usize,
    is_copy: bool,
}

/// How far a crowd has come.
pub struct Progress {
    pub(super) by_partition: Vec<FleetState>,
}

/// What came of a partition's fleet in one step, by number; some are missing.
pub type Came = Vec<Option<Sample>>;

impl Crowd {
    /// So many workloads, of which about `distinct` differ, over so many partitions.
    pub fn new(workloads: u32, distinct: u32, partitions: u32) -> Self {
        let distinct = distinct.div_ceil(partitions).max(1);
        let mut counts = vec![0_u32; partitions as usize];
        let mut members = Vec::with_capacity(workloads as usize);
        for number in 0..workloads {
            let id = WorkloadId::new(&format!("{PREFIX}{number:06}")).expect("a name without control characters");
            let partition = partition_of(id.as_str().as_bytes(), partitions);
            let count = &mut counts[partition as usize];
            let does_as = (*count % distinct) as usize;
            members.push(Member { id, partition, does_as, is_copy: *count >= distinct });
            *count += 1;
        }
        let fleet = |(partition, count): (usize, &u32)| fleet(partition as u64, (*count).min(distinct));
        Self {
            source: SourceName::new("fleet:crowd").expect("a name"),
            members,
            fleets: counts.iter().enumerate().map(fleet).collect(),
            extra: [(KpiName::new("threads"), 40.0), (KpiName::new("open_files"), 250.0)],
            unit: "1".into(),
        }
    }

    /// Workloads.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Workloads that differ.
    pub fn distinct(&self) -> usize {
        self.fleets.iter().map(|fleet| fleet.workloads().len()).sum()
    }

    /// Partitions that they lie in.
    pub fn partitions(&self) -> usize {
        self.fleets.len()
    }

    /// Numbers of the workloads in a partition that differ, by their number in its fleet.
    pub fn originals(&self, partition: usize) -> Vec<usize> {
        let of = |(number, member): (usize, &Member)| {
            (member.partition as usize == partition && !member.is_copy).then_some(number)
        };
        self.members.iter().enumerate().filter_map(of).collect()
    }

    /// Each copy in a partition, behind the workload that it does as.
    pub fn copies(&self, partition: usize) -> Vec<(&WorkloadId, &WorkloadId)> {
        let originals = self.originals(partition);
        let copies = self.members.iter().filter(|member| member.partition as usize == partition && member.is_copy);
        copies.map(|copy| (&self.members[originals[copy.does_as]].id, &copy.id)).collect()
    }

    /// Before the first step.
    pub fn start(&self) -> Progress {
        let at = EventTime::from_s(START_S);
        Progress { by_partition: self.fleets.iter().map(|fleet| fleet.start(at)).collect() }
    }

    /// What comes of a partition's fleet in its next step.
    pub fn step(&self, partition: usize, state: &mut FleetState) -> Came {
        let fleet = &self.fleets[partition];
        let mut came = fleet.tick(state).into_iter().peekable();
        let of = |id: &WorkloadId| came.next_if(|sample| sample.workload == *id).map(|sample| self.with_eight(sample));
        fleet.workloads().iter().map(|workload| &workload.id).map(of).collect()
    }

    /// What comes of all in their next step, by partition.
    pub fn step_all(&self, progress: &mut Progress) -> Vec<Came> {
        progress.by_partition.iter_mut().enumerate().map(|(partition, state)| self.step(partition, state)).collect()
    }

    /// When in each step the workload of a number is sampled, in ms; the later, the higher the number.
    pub fn offset_ms(&self, number: usize) -> u64 {
        number as u64 * STEP_MS / self.members.len() as u64
    }

    /// The sample of the workload of a number, of what came of its partition's fleet; `None` when it is missing.
    pub fn sample(&self, number: usize, came: &[Option<Sample>]) -> Option<Sample> {
        let member = self.members.get(number)?;
        let mut sample = came.get(member.does_as)?.clone()?;
        let begin_ms = sample.at.as_ms();
        sample.at = EventTime::from_ms(begin_ms + self.offset_ms(number) as i64);
        sample.workload = member.id.clone();
        sample.source = self.source.clone();
        if member.is_copy {
            for (kpi, i) in sample.kpis.iter_mut().zip(0..) {
                let factor = match kpi.kind {
                    KpiKind::Counter => 1.0 + AHEAD_MAX * drawn(number as u64, 0, i),
                    KpiKind::Gauge | KpiKind::Rate => 1.0 + OFF_MAX * (2.0 * drawn(number as u64, begin_ms, i) - 1.0),
                };
                kpi.value = kpi.value.map(|value| value * factor);
            }
        }
        Some(sample)
    }

    /// The workload of a number.
    pub fn workload(&self, number: usize) -> &WorkloadId {
        &self.members[number].id
    }

    /// Partition of the workload of a number.
    pub fn partition(&self, number: usize) -> usize {
        self.members[number].partition as usize
    }

    /// Number of a workload of such a fleet; `None` of others.
    pub fn number_of(workload: &WorkloadId) -> Option<u32> {
        workload.as_str().strip_prefix(PREFIX)?.parse().ok()
    }

    /// With exactly [`KPIS`] KPIs: one that serves requests has nine, others have six.
    fn with_eight(&self, mut sample: Sample) -> Sample {
        if sample.kpis.len() > KPIS {
            sample.kpis.retain(|kpi| kpi.name.as_str() != DISK_READ_BYTES_PER_S);
        }
        let cpu = sample.kpis.iter().find(|kpi| kpi.name.as_str() == CPU_CORES_USED);
        let cores = cpu.and_then(|kpi| kpi.value);
        for (name, per_core) in &self.extra {
            if sample.kpis.len() < KPIS {
                let value = cores.map(|cores| 8.0 + per_core * cores);
                sample.kpis.push(Kpi { name: name.clone(), kind: KpiKind::Gauge, unit: Arc::clone(&self.unit), value });
            }
        }
        sample
    }
}

fn fleet(partition: u64, workloads: u32) -> Fleet {
    let settings = FleetSettings {
        name: "crowd".into(),
        workloads,
        step_s: STEP_S,
        seed: 1 + partition,
        missing_samples_share: 0.004,
        missing_values_share: 0.002,
    };
    Fleet::new(settings).expect("a valid name")
}

/// A number from 0 to 1 that follows from the others.
fn drawn(number: u64, at_ms: i64, kpi: u64) -> f64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ at_ms.cast_unsigned() ^ (kpi << 56);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// As a record of `raw-kpis`.
pub fn record(sample: &Sample) -> OutputRecord {
    let envelope = Envelope::root(&sample.source, Sample::EVENT_TYPE, &sample.workload, sample.at, "");
    output_record(&envelope, topics::RAW_KPIS, sample).expect("the sample keeps its contract")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(id: &WorkloadId) -> usize {
        Crowd::number_of(id).expect("it is of a crowd") as usize
    }

    fn near(copy: &Kpi, original: &Kpi) -> bool {
        let is_near = match (copy.value, original.value) {
            (Some(copy), Some(original)) => (copy - original).abs() <= OFF_MAX * original.abs(),
            (copy, original) => copy == original,
        };
        is_near && copy.name == original.name
    }

    #[test]
    fn copies_do_as_the_others_do() {
        let crowd = Crowd::new(200, 40, 4);
        assert_eq!((crowd.len(), crowd.distinct(), crowd.partitions()), (200, 40, 4));
        let mut progress = crowd.start();
        let mut samples = 0;
        for _ in 0..5 {
            let came = crowd.step_all(&mut progress);
            for (partition, came) in came.iter().enumerate() {
                for (original, copy) in crowd.copies(partition) {
                    let (original, copy) = (crowd.sample(number(original), came), crowd.sample(number(copy), came));
                    assert_eq!(original.is_some(), copy.is_some());
                    let (Some(original), Some(copy)) = (original, copy) else { continue };
                    samples += 1;
                    assert_eq!((copy.kpis.len(), &copy.capacity), (KPIS, &original.capacity));
                    assert!(copy.kpis.iter().zip(&original.kpis).all(|(copy, original)| near(copy, original)));
                    assert_ne!(copy.kpis, original.kpis);
                }
            }
        }
        assert!(samples > 600, "{samples}");
    }

    #[test]
    fn instants_are_spread_over_the_step() {
        let crowd = Crowd::new(200, 40, 4);
        let came = crowd.step_all(&mut crowd.start());
        let of = |number: usize| crowd.sample(number, &came[crowd.partition(number)]);
        let after: Vec<_> = (0..200).filter_map(|n| Some((n as i64, of(n)?.at.as_ms() - START_S * 1000))).collect();
        assert!(after.len() > 180 && after.iter().all(|(number, after_ms)| *after_ms == 300 * number));
    }

    #[test]
    fn every_copy_has_one_that_it_does_as() {
        let crowd = Crowd::new(100, 20, 4);
        let all: usize = (0..4).map(|p| crowd.originals(p).len() + crowd.copies(p).len()).sum();
        assert_eq!(all, 100);
        for partition in 0..4 {
            for (original, copy) in crowd.copies(partition) {
                let numbers = [original, copy].map(number);
                assert!(crowd.originals(partition).contains(&numbers[0]) && numbers[0] < numbers[1]);
                assert_eq!(numbers.map(|number| crowd.partition(number)), [partition; 2]);
            }
        }
    }
}
