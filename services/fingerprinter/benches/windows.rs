//! Workload-samples a second through the fingerprinter, one core, 1,000 workloads × 8 KPIs at one
//! sample a minute with eight days behind them; in the same run, the same features made anew with
//! plain DataFusion over the raw samples of both windows.
//!
//! ```text
//! cargo bench -p prescale-fingerprinter --bench windows [-- WORKLOADS]
//! ```
//!
//! The plain statement is planned once, reads one table per workload that holds exactly its
//! window, and leaves out autocorrelation and the strongest periods, for which SQL has no
//! function: what it needs in truth is more.

use datafusion::arrow::array::{Float64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::{SessionConfig, SessionContext};
use prescale_chassis::{output_record, stage_factory};
use prescale_contracts::{Envelope, topics};
use prescale_domain::kpi::{self, Kpi, KpiKind, KpiName};
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use prescale_fingerprinter::Config;
use prescale_fingerprinter::partition::{Enveloped, Partition};
use prescale_fingerprinter::stage::Factory;
use std::sync::Arc;
use std::time::Instant;

const STEP_S: i64 = 60;
const START_S: i64 = 1_700_006_400;
const HISTORY_STEPS: i64 = 8 * 1440;
const MEASURED_STEPS: i64 = 10;
const BATCH: usize = 500;
const PLAIN_RUNS: u32 = 20;

const KPIS: [(&str, KpiKind, &str, f64); 8] = [
    (kpi::CPU_CORES_USED, KpiKind::Gauge, "cores", 2.0),
    (kpi::MEMORY_BYTES, KpiKind::Gauge, "By", 4e9),
    (kpi::DISK_READ_BYTES_PER_S, KpiKind::Rate, "By/s", 1e6),
    (kpi::DISK_WRITE_BYTES_PER_S, KpiKind::Rate, "By/s", 2e6),
    (kpi::NETWORK_RECEIVE_BYTES_PER_S, KpiKind::Rate, "By/s", 3e5),
    (kpi::NETWORK_TRANSMIT_BYTES_PER_S, KpiKind::Rate, "By/s", 5e5),
    (kpi::REQUESTS_PER_S, KpiKind::Rate, "1/s", 120.0),
    (kpi::LATENCY_MS, KpiKind::Gauge, "ms", 35.0),
];

const PLAIN_SQL: &str = "
SELECT kpi, count(y), avg(y), stddev(y), min(y), max(y),
  approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY y), approx_percentile_cont(0.9) WITHIN GROUP (ORDER BY y),
  approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY y), approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY y),
  regr_slope(y, t), regr_r2(y, t), regr_sxx(y, t), regr_syy(y, t),
  sum(y * cos(t * 6.283185307179586)), sum(y * sin(t * 6.283185307179586)),
  sum(y * cos(t * 0.2617993877991494)), sum(y * sin(t * 0.2617993877991494)),
  sum(y * cos(t * 0.0373999125427356)), sum(y * sin(t * 0.0373999125427356))
FROM raw WHERE t > RANGE_START GROUP BY kpi";

/// Values of the fleet: a daily and an hourly wave, noise of their own, and now and then a peak.
struct Fleet {
    workloads: Vec<(WorkloadId, SourceName)>,
    kpis: Vec<Kpi>,
}

impl Fleet {
    fn new(name: &str, count: usize) -> Self {
        let source = SourceName::new(format!("fleet:{name}")).expect("a name");
        let workload = |i| WorkloadId::new(&format!("{name}-{i:06}")).expect("a name without control characters");
        let kpi = |(name, kind, unit, _): &(&str, KpiKind, &str, f64)| Kpi {
            name: KpiName::new(name),
            kind: *kind,
            unit: Arc::from(*unit),
            value: None,
        };
        Self {
            workloads: (0..count).map(|i| (workload(i), source.clone())).collect(),
            kpis: KPIS.iter().map(kpi).collect(),
        }
    }

    fn value(workload: usize, kpi: usize, step: i64) -> f64 {
        let mut mixed = (workload as u64) << 40 | (kpi as u64) << 32 | step as u64;
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = (mixed >> 11) as f64 / (1u64 << 53) as f64;
        let day = (step + 37 * workload as i64) as f64 / 1440.0;
        let level = 1.0 + 0.6 * (std::f64::consts::TAU * day).sin() + 0.1 * (std::f64::consts::TAU * day * 24.0).cos();
        KPIS[kpi].3 * (level * (0.8 + 0.4 * uniform) + if uniform > 0.995 { 2.0 } else { 0.0 })
    }

    fn sample(&self, workload: usize, step: i64) -> Enveloped {
        let (id, source) = &self.workloads[workload];
        let at = EventTime::from_s(START_S + STEP_S * step);
        let mut kpis = self.kpis.clone();
        for (i, kpi) in kpis.iter_mut().enumerate() {
            kpi.value = Some(Self::value(workload, i, step));
        }
        let sample = Sample {
            workload: id.clone(),
            source: source.clone(),
            at,
            step_s: STEP_S as u32,
            kpis,
            capacity: Some(Capacity {
                replicas: 2,
                cpu_cores_per_replica: 4.0,
                memory_bytes_per_replica: 8e9,
                instance_type: None,
            }),
            platform: Platform::SIMULATED,
        };
        let empty: Arc<str> = "".into();
        let envelope = Envelope {
            id: Arc::clone(&empty),
            source: Arc::clone(&empty),
            event_type: Arc::clone(&empty),
            time: at,
            as_of: at,
            trace_parent: empty,
        };
        Enveloped { envelope, sample }
    }

    fn steps(&self, steps: std::ops::Range<i64>) -> impl Iterator<Item = Enveloped> + '_ {
        steps.flat_map(move |step| (0..self.workloads.len()).map(move |workload| self.sample(workload, step)))
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}

fn kib_each(now: usize, before: usize, count: usize) -> f64 {
    now.saturating_sub(before) as f64 / count as f64 / 1024.0
}

fn absorb_history(partition: &mut Partition, fleet: &Fleet) {
    for step in 0..HISTORY_STEPS {
        partition.absorb(fleet.steps(step..step + 1).collect());
    }
}

fn main() -> anyhow::Result<()> {
    let count = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1000);
    let fleet = Fleet::new("vm", count);
    let settings = Arc::new(Config::default().settings()?);
    let mut partition = Partition::new(Arc::clone(&settings))?;
    // What is resident whatever the number of workloads is in `before`, so the rest is theirs.
    absorb_history(&mut partition, &Fleet::new("first", count / 10 + 1));
    let (before, window_bytes_before) = (resident_bytes(), partition.window_bytes());
    let snapshot_before = partition.snapshot().len();
    let began = Instant::now();
    absorb_history(&mut partition, &fleet);
    let absorbed = HISTORY_STEPS as f64 * count as f64 / began.elapsed().as_secs_f64();
    println!("windows alone (no features):     {absorbed:>10.0} workload-samples/s");
    println!(
        "memory a workload, 7-day window: {:>10.1} KiB resident, {:.1} KiB of it counted, snapshot {:.1} KiB",
        kib_each(resident_bytes(), before, count),
        kib_each(partition.window_bytes(), window_bytes_before, count),
        kib_each(partition.snapshot().len(), snapshot_before, count),
    );
    let snapshot = partition.snapshot();
    let ours = features(&mut partition, &fleet)?;
    whole_stage(settings, &snapshot, &fleet)?;
    let plain = plain_datafusion()?;
    println!("incremental against recomputed:  {:>10.0} x", ours / plain);
    Ok(())
}

fn features(partition: &mut Partition, fleet: &Fleet) -> anyhow::Result<f64> {
    let samples: Vec<Enveloped> = fleet.steps(HISTORY_STEPS..HISTORY_STEPS + MEASURED_STEPS).collect();
    let count = samples.len();
    let batches: Vec<Vec<Enveloped>> = samples.chunks(BATCH).map(<[Enveloped]>::to_vec).collect();
    let began = Instant::now();
    for batch in batches {
        std::hint::black_box(partition.apply(batch)?);
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("features, batches of {BATCH}:        {rate:>10.0} workload-samples/s");
    let next = HISTORY_STEPS + MEASURED_STEPS;
    let singles: Vec<Enveloped> = fleet.steps(next..next + 1).collect();
    let count = singles.len();
    let began = Instant::now();
    for sample in singles {
        std::hint::black_box(partition.apply(vec![sample])?);
    }
    let rate_alone = count as f64 / began.elapsed().as_secs_f64();
    println!("features, one at a time:         {rate_alone:>10.0} workload-samples/s");
    Ok(rate)
}

fn whole_stage(
    settings: Arc<prescale_fingerprinter::config::Settings>,
    snapshot: &[u8],
    fleet: &Fleet,
) -> anyhow::Result<()> {
    let mut stage = stage_factory(Factory::new(settings)).restore(0, snapshot).map_err(anyhow::Error::msg)?;
    let mut records = Vec::new();
    for (offset, Enveloped { sample, .. }) in fleet.steps(HISTORY_STEPS..HISTORY_STEPS + MEASURED_STEPS).enumerate() {
        let envelope = Envelope::root("bench", "io.prescale.v1.Sample", &sample.workload, sample.at, "0");
        let record = output_record(&envelope, topics::RAW_KPIS, &sample)?;
        records.push(record.read_at(0, offset as i64));
    }
    let began = Instant::now();
    for batch in records.chunks(BATCH) {
        std::hint::black_box(stage.apply(batch)?);
    }
    let rate = records.len() as f64 / began.elapsed().as_secs_f64();
    println!("whole stage with Avro:           {rate:>10.0} workload-samples/s");
    Ok(())
}

fn raw_table() -> anyhow::Result<RecordBatch> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("kpi", DataType::Utf8, false),
        Field::new("t", DataType::Float64, false),
        Field::new("y", DataType::Float64, false),
    ]));
    let rows =
        || (0..KPIS.len()).flat_map(|kpi| (HISTORY_STEPS - 7 * 1440..HISTORY_STEPS).map(move |step| (kpi, step)));
    let kpis: StringArray = rows().map(|(kpi, _)| Some(KPIS[kpi].0)).collect();
    let instants: Float64Array = rows().map(|(_, step)| (START_S + STEP_S * step) as f64 / 3600.0).collect();
    let values: Float64Array = rows().map(|(kpi, step)| Fleet::value(0, kpi, step)).collect();
    Ok(RecordBatch::try_new(schema, vec![Arc::new(kpis), Arc::new(instants), Arc::new(values)])?)
}

fn plain_datafusion() -> anyhow::Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    let table = raw_table()?;
    context.register_table("raw", Arc::new(MemTable::try_new(table.schema(), vec![vec![table]])?))?;
    let end_h = (START_S + STEP_S * (HISTORY_STEPS - 1)) as f64 / 3600.0;
    let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
    for hours in [1.0, 7.0 * 24.0] {
        let sql = PLAIN_SQL.replace("RANGE_START", &format!("{:?}", end_h - hours));
        plans.push(runtime.block_on(async { context.sql(&sql).await?.create_physical_plan().await })?);
    }
    let began = Instant::now();
    for _ in 0..PLAIN_RUNS {
        for plan in &plans {
            let plan = reset_plan_states(Arc::clone(plan))?;
            let batches = runtime.block_on(collect(plan, context.task_ctx()))?;
            anyhow::ensure!(batches.iter().map(RecordBatch::num_rows).sum::<usize>() == KPIS.len());
        }
    }
    let rate = f64::from(PLAIN_RUNS) / began.elapsed().as_secs_f64();
    println!("plain DataFusion, full windows:  {rate:>10.1} workload-samples/s");
    Ok(rate)
}
