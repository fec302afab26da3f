//! Workloads that are new: through the log alone, with the first stage, and through the whole pipeline, over the same
//! samples in one run.

use crate::machine::{cores, peak_memory_mb};
use integration_tests::pipeline::Pipeline;
use prescale::services::installation;
use prescale::settings::Settings;
use prescale::topics::specs;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, OutputRecord, cancelled_within};
use prescale_chassis::output_record;
use prescale_contracts::{Contract, Envelope, topics};
use prescale_domain::fleet::{Fleet, FleetSettings};
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const STEP_S: u32 = 60;
const START_S: i64 = 1_767_225_600;
/// Records that the writer may be ahead of the fingerprinter.
const AHEAD_RECORDS_MAX: u64 = 20_000;

/// What is run over the samples.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Log,
    Fingerprinter,
    Pipeline,
}

pub(crate) fn run(workloads: u32, ticks: u32) {
    println!("{workloads} workloads, {ticks} ticks of {STEP_S} s, {} cores", cores());
    println!(
        "{:<24} {:>10} {:>12} {:>8} {:>15} {:>15}",
        "", "samples", "samples/s", "of log", "disk KB/sample", "peak memory MB"
    );
    let mut log_per_s = None;
    for (name, run) in
        [("log alone", Run::Log), ("with the fingerprinter", Run::Fingerprinter), ("whole pipeline", Run::Pipeline)]
    {
        let Measured { samples, took, disk_bytes } = measure(run, workloads, ticks);
        let per_s = samples as f64 / took.as_secs_f64();
        let of_log = per_s / *log_per_s.get_or_insert(per_s);
        let disk_kb = disk_bytes as f64 / 1000.0 / samples as f64;
        let memory_mb = peak_memory_mb();
        println!("{name:<24} {samples:>10} {per_s:>12.0} {of_log:>8.2} {disk_kb:>15.2} {memory_mb:>15.0}");
    }
}

struct Measured {
    samples: u64,
    took: Duration,
    disk_bytes: u64,
}

fn measure(run: Run, workloads: u32, ticks: u32) -> Measured {
    let folder = tempfile::tempdir().expect("a folder for the log");
    let file = folder.path().join("bench.db");
    let options = EmbeddedOptions { stage_threads: cores(), ..EmbeddedOptions::default() };
    let bus: Arc<dyn Bus> = Arc::new(EmbeddedBus::open(&file, options).expect("it opens"));
    let (samples, took) = run_over(&bus, run, workloads, ticks);
    drop(bus);
    Measured { samples, took, disk_bytes: std::fs::metadata(&file).expect("it is there").len() }
}

fn run_over(bus: &Arc<dyn Bus>, run: Run, workloads: u32, ticks: u32) -> (u64, Duration) {
    let settings = Settings::default();
    let context = installation(&settings);
    bus.ensure_topics(&specs(&context.graph, settings.bus.partitions, 1)).expect("the topics are made");
    let stop = CancellationToken::new();
    let began = Instant::now();
    match run {
        Run::Log => (write(bus.as_ref(), workloads, ticks, None), began.elapsed()),
        Run::Fingerprinter => std::thread::scope(|scope| {
            let stage =
                scope.spawn(|| prescale_fingerprinter::run(&settings.fingerprinter, &context, Arc::clone(bus), &stop));
            let group = context.group("fingerprinter");
            let samples = write(bus.as_ref(), workloads, ticks, Some(&group));
            await_lag(bus.as_ref(), &group, 0);
            let took = began.elapsed();
            stop.cancel();
            stage.join().expect("it ends").expect("it ends well");
            (samples, took)
        }),
        Run::Pipeline => {
            let pipeline = Pipeline::start(bus, &settings);
            let samples = write(bus.as_ref(), workloads, ticks, Some(&context.group("fingerprinter")));
            context.settled(bus.as_ref(), &stop).expect("the bus answers");
            let took = began.elapsed();
            pipeline.stop();
            (samples, took)
        }
    }
}

/// Writes the fleet's samples, never far ahead of `group`; returns how many.
fn write(bus: &dyn Bus, workloads: u32, ticks: u32, group: Option<&str>) -> u64 {
    let settings = FleetSettings {
        name: "bench".into(),
        workloads,
        step_s: STEP_S,
        seed: 1,
        missing_samples_share: 0.004,
        missing_values_share: 0.002,
    };
    let fleet = Fleet::new(settings).expect("a valid name");
    let mut state = fleet.start(EventTime::from_s(START_S));
    let mut source = bus.source("bench").expect("the source opens");
    let mut samples = 0;
    for tick in 0..ticks {
        let records: Vec<OutputRecord> = fleet.tick(&mut state).iter().map(record).collect();
        samples += records.len() as u64;
        source.append(records, tick.to_string().as_bytes()).expect("the records are written");
        if let Some(group) = group {
            await_lag(bus, group, AHEAD_RECORDS_MAX);
        }
    }
    samples
}

fn record(sample: &Sample) -> OutputRecord {
    let envelope = Envelope::root(&sample.source, Sample::EVENT_TYPE, &sample.workload, sample.at, "");
    output_record(&envelope, topics::RAW_KPIS, sample).expect("the sample keeps its contract")
}

fn await_lag(bus: &dyn Bus, group: &str, most: u64) {
    let never = CancellationToken::new();
    let behind =
        || -> u64 { bus.lag(group, topics::RAW_KPIS).expect("the lag is readable").iter().map(|l| l.behind()).sum() };
    while behind() > most {
        cancelled_within(&never, Duration::from_millis(2));
    }
}
