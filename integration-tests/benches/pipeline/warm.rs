//! The whole pipeline with a history behind every workload, as fast as it goes.

use crate::Args;
use crate::machine::{allocated_kib, cores, folder_bytes, of_files_kib};
use crate::readback::{Found, quantile};
use crate::writer::Writer;
use integration_tests::pipeline::Pipeline;
use integration_tests::warm::crowd::{Progress, STEP_S};
use integration_tests::warm::{Crowd, WarmStages, without_snapshots};
use prescale::settings::Settings;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_bus::{Bus, cancelled_within};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const STEPS_A_DAY: u32 = 86_400 / STEP_S;
/// Records that the writer may be ahead of the slowest stage.
const AHEAD_RECORDS_MAX: u64 = 20_000;
/// Records that it writes at a time.
const APPEND_RECORDS: usize = 5000;
/// How often it looks at where the stages are.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Stages with a history behind them, before they run.
pub(crate) struct Prepared {
    pub(crate) settings: Settings,
    pub(crate) crowd: Crowd,
    pub(crate) progress: Progress,
    pub(crate) stages: WarmStages,
    /// What was allocated before there were stages, the crowd included, in KiB.
    pub(crate) allocated_before_kib: f64,
}

impl Prepared {
    /// With the days that the command line asks for and some steps more.
    pub(crate) fn of(args: &Args, steps_more: u32) -> Self {
        let settings = Settings::default();
        let crowd = Crowd::new(args.workloads(), args.distinct, settings.bus.partitions);
        let (mut progress, began) = (crowd.start(), Instant::now());
        let allocated_before_kib = allocated_kib();
        let stages = WarmStages::after(&settings, &crowd, args.days * STEPS_A_DAY + steps_more, &mut progress);
        println!(
            "{} workloads, {} of which differ, with {} days behind them (made in {:.0} s), {} cores",
            crowd.len(),
            crowd.distinct(),
            args.days,
            began.elapsed().as_secs_f64(),
            cores()
        );
        let counted = stages.workload_bytes(&crowd);
        for (stage, bytes) in &counted {
            let what = format!("{stage} counts, KiB/workload");
            println!("{what:<38} {:.1}", bytes / 1024.0);
        }
        let counted_kib = counted.iter().map(|(_, bytes)| bytes / 1024.0).sum::<f64>();
        println!("{:<38} {counted_kib:.1}", "all of them count, KiB/workload");
        let allocated_each_kib = (allocated_kib() - allocated_before_kib) / crowd.len() as f64;
        println!("{:<38} {allocated_each_kib:.1}", "allocated before it runs, KiB/workload");
        Self { settings, crowd, progress, stages, allocated_before_kib }
    }
}

/// The log in a folder.
pub(crate) fn open(folder: &Path) -> Arc<dyn Bus> {
    let options = EmbeddedOptions { stage_threads: cores(), ..EmbeddedOptions::default() };
    Arc::new(EmbeddedBus::open(folder.join("bench.db"), options).expect("it opens"))
}

/// Writes so many steps, never far ahead of the slowest stage.
pub(crate) fn write(writer: &mut Writer<'_>, workloads: usize, steps: u32, pipeline: &Pipeline) {
    for _ in 0..steps {
        let came = writer.step();
        for from in (0..workloads).step_by(APPEND_RECORDS) {
            writer.append(from..(from + APPEND_RECORDS).min(workloads), &came);
            await_behind(pipeline, AHEAD_RECORDS_MAX);
        }
    }
}

fn await_behind(pipeline: &Pipeline, most: u64) {
    let never = CancellationToken::new();
    while pipeline.behind().iter().any(|(_, behind)| *behind > most) {
        cancelled_within(&never, LOOK_EVERY);
    }
}

/// The stages that are behind, in words.
pub(crate) fn words(behind: &[(&str, u64)]) -> String {
    behind.iter().map(|(stage, records)| format!("{stage} {records}")).collect::<Vec<_>>().join(", ")
}

pub(crate) fn run(args: &Args) {
    let Prepared { settings, crowd, progress, stages, allocated_before_kib } = Prepared::of(args, 0);
    let folder = tempfile::tempdir().expect("a folder for the log");
    let bus = open(folder.path());
    let own = stages.factories().into_iter().map(without_snapshots).collect();
    let pipeline = Pipeline::start_with(&bus, &settings, own);
    let mut writer = Writer::new(&crowd, progress, bus.as_ref());
    let began = Instant::now();
    write(&mut writer, crowd.len(), args.ticks(), &pipeline);
    let behind = pipeline.behind();
    pipeline.settle();
    let took_s = began.elapsed().as_secs_f64();
    let (allocated_kib, of_files_kib) = (allocated_kib() - allocated_before_kib, of_files_kib());
    let samples = writer.samples;
    drop(writer);
    let found = Found::on(bus.as_ref());
    pipeline.stop();
    drop(bus);
    let disk_bytes = folder_bytes(folder.path());
    print(&found, samples, took_s);
    let row = |what: &str, value: String| println!("{what:<38} {value}");
    row("disk with indices, B/sample", format!("{:.0}", disk_bytes as f64 / samples as f64));
    row("allocated as it runs, KiB/workload", format!("{:.1}", allocated_kib / crowd.len() as f64));
    row("pages of files beside that, MiB", format!("{:.0}", of_files_kib / 1024.0));
    row("behind when the last was written", words(&behind));
    found.print_topics(samples);
}

fn print(found: &Found, samples: u64, took_s: f64) {
    let row = |what: &str, value: String| println!("{what:<38} {value}");
    row("samples", samples.to_string());
    row("whole pipeline, samples/s", format!("{:.0}", samples as f64 / took_s));
    row("bins closed", found.closes.to_string());
    let at_once = found.predictions.saturating_sub(found.at_closes());
    row("predictions", format!("{} at closes, {at_once} at once", found.at_closes()));
    let waits = found.waits_from(i64::MIN);
    let wait = |share: f64| quantile(&waits, share);
    row("close to prediction, ms", format!("half within {}, 99 % within {}", wait(0.5), wait(0.99)));
}
