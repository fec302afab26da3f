//! Predictions a second through the predictor on one thread: 2,000 workloads × 2 resources, at one
//! sample a minute, with a day behind them; alone and as a stage with Avro.
//!
//! ```text
//! cargo bench -p prescale-predictor --bench predictions [-- WORKLOADS]
//! ```
//!
//! Beside it, in the same run, the network alone over the same rows: what is left when all else is free.

use prescale_chassis::{output_record, stage_factory};
use prescale_contracts::{Envelope, topics};
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, WindowFeatures, Windows};
use prescale_domain::forecast::features::FEATURES;
use prescale_domain::kpi::{self, KpiName};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use prescale_inference::StepOutput;
use prescale_predictor::Config;
use prescale_predictor::network::Network;
use prescale_predictor::partition::{Enveloped, Partition};
use prescale_predictor::registry::Registry;
use prescale_predictor::stage::Factory;
use std::sync::Arc;
use std::time::Instant;

const START_S: i64 = 1_700_006_400;
const HISTORY_BINS: i64 = 300;
const MEASURED_MINUTES: i64 = 20;
const BATCH: usize = 1000;

struct Fleet {
    workloads: Vec<WorkloadId>,
    source: SourceName,
}

impl Fleet {
    fn new(count: usize) -> Self {
        let workload = |i| WorkloadId::new(&format!("vm-{i:06}")).expect("a name without control characters");
        let source = SourceName::new("fleet:bench").expect("a name");
        Self { workloads: (0..count).map(workload).collect(), source }
    }

    fn cores(workload: usize, at_s: i64) -> f64 {
        let mut mixed = (workload as u64) << 40 | at_s as u64;
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let uniform = (mixed >> 11) as f64 / (1u64 << 53) as f64;
        let day = (at_s + 911 * workload as i64) as f64 / 86_400.0;
        2.0 + 0.8 * (std::f64::consts::TAU * day).sin() + 0.5 * uniform
    }

    fn record(&self, workload: usize, at_s: i64) -> Enveloped {
        let cores = Self::cores(workload, at_s);
        let kpi = |name: &str, unit: &str, last| KpiFingerprint {
            name: KpiName::new(name),
            unit: unit.into(),
            last: Some(last),
            windows: Windows::boxed(WindowFeatures::default(), WindowFeatures::default()),
        };
        let fingerprint = Fingerprint {
            workload: self.workloads[workload].clone(),
            source: self.source.clone(),
            at: EventTime::from_s(START_S + at_s),
            step_s: 60,
            short_window_s: 3600,
            long_window_s: 604_800,
            feature_schema_hash: "0123456789abcdef".into(),
            kpis: vec![
                kpi(kpi::CPU_CORES_USED, "cores", cores),
                kpi(kpi::MEMORY_BYTES, "By", 1e9 * (2.0 + 0.1 * cores)),
            ],
            capacity: Some(Capacity {
                replicas: 1,
                cpu_cores_per_replica: 4.0,
                memory_bytes_per_replica: 8e9,
                instance_type: None,
            }),
            anomaly: None,
            platform: Platform::SIMULATED,
        };
        let (workload, at) = (&fingerprint.workload, fingerprint.at);
        let envelope = Envelope::root("bench", "io.prescale.v1.Fingerprint", workload, at, &at_s.to_string());
        Enveloped { envelope, fingerprint }
    }

    fn at(&self, at_s: i64) -> Vec<Enveloped> {
        (0..self.workloads.len()).map(|workload| self.record(workload, at_s)).collect()
    }

    fn measured(&self) -> Vec<Enveloped> {
        (0..MEASURED_MINUTES).flat_map(|minute| self.at(300 * HISTORY_BINS + 60 * minute)).collect()
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn main() -> anyhow::Result<()> {
    let count = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(2000);
    let fleet = Fleet::new(count);
    let registry = Arc::new(Registry::open(Arc::new(Config::default().settings()?))?);
    let mut partition = Partition::new(Arc::clone(&registry));
    let before = resident_bytes();
    for bin in 0..HISTORY_BINS {
        for batch in fleet.at(300 * bin).chunks(BATCH) {
            partition.apply(batch.to_vec())?;
        }
    }
    let counted = partition.workload_bytes(&fleet.workloads[0]).unwrap_or(0);
    let resident = resident_bytes().saturating_sub(before);
    let snapshot = partition.snapshot();
    println!(
        "memory a workload:     {:>8.1} KiB resident, {:.1} KiB of it counted, snapshot {:.1} KiB",
        resident as f64 / count as f64 / 1024.0,
        counted as f64 / 1024.0,
        snapshot.len() as f64 / count as f64 / 1024.0
    );
    let batches: Vec<Vec<Enveloped>> = fleet.measured().chunks(BATCH).map(<[Enveloped]>::to_vec).collect();
    let began = Instant::now();
    for batch in batches {
        std::hint::black_box(partition.apply(batch)?);
    }
    rate("partition alone", count, began);
    whole_stage(&fleet, &snapshot)?;
    registry.bases().values().try_for_each(|network| network_alone(network, count))
}

fn rate(what: &str, workloads: usize, began: Instant) {
    let predictions = workloads as f64 * MEASURED_MINUTES as f64;
    println!("{what:22} {:>8.0} predictions/s", predictions / began.elapsed().as_secs_f64());
}

fn whole_stage(fleet: &Fleet, snapshot: &[u8]) -> anyhow::Result<()> {
    let factory = Factory::new(Config::default().settings()?)?;
    let mut stage = stage_factory(factory).restore(0, snapshot).map_err(anyhow::Error::msg)?;
    let mut records = Vec::new();
    for (offset, Enveloped { envelope, fingerprint }) in fleet.measured().into_iter().enumerate() {
        let record = output_record(&envelope, topics::FINGERPRINTS, &fingerprint)?;
        records.push(record.read_at(0, offset as i64));
    }
    let began = Instant::now();
    for batch in records.chunks(BATCH) {
        std::hint::black_box(stage.apply(batch)?);
    }
    rate("whole stage with Avro", fleet.workloads.len(), began);
    Ok(())
}

fn network_alone(network: &Network, workloads: usize) -> anyhow::Result<()> {
    let rows = 2 * BATCH.min(workloads);
    let (x, h) = (vec![0.5; rows * FEATURES], vec![0.1; rows * network.kind().past_size()]);
    let turns = workloads * MEASURED_MINUTES as usize / BATCH.min(workloads);
    let mut out = StepOutput::default();
    let began = Instant::now();
    for _ in 0..turns {
        network.step(std::hint::black_box(&x), &h, &mut out)?;
    }
    rate("network alone", workloads, began);
    Ok(())
}
