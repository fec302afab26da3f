//! A pipeline with a history behind every workload is stopped and started again.

use crate::Args;
use crate::machine::{folder_bytes, resident_kib};
use crate::readback::{decoded, step_of};
use crate::warm::{Prepared, open, write};
use crate::writer::Writer;
use bus_tests::conformance::fixture::read_all;
use integration_tests::pipeline::Pipeline;
use integration_tests::warm::Crowd;
use integration_tests::warm::crowd::{Came, STEP_S};
use prescale_bus::Bus;
use prescale_contracts::topics;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::forecast::GRID_STEP_S;
use std::time::Instant;

/// Steps of the last bin before the stop: all but the one that is written before it, and the one after it, which
/// closes the bin.
const STEPS_MORE: u32 = GRID_STEP_S / STEP_S - 2;

pub(crate) fn run(args: &Args) {
    let Prepared { settings, crowd, progress, stages, .. } = Prepared::of(args, STEPS_MORE);
    let folder = tempfile::tempdir().expect("a folder for the log");
    let bus = open(folder.path());
    let pipeline = Pipeline::start_with(&bus, &settings, stages.factories());
    let mut writer = Writer::new(&crowd, progress, bus.as_ref());
    write(&mut writer, crowd.len(), 1, &pipeline);
    pipeline.settle();
    let progress = writer.into_progress();
    let stopping = Instant::now();
    pipeline.stop();
    drop(bus);
    let stopped_s = stopping.elapsed().as_secs_f64();
    let mib = folder_bytes(folder.path()) as f64 / f64::from(1 << 20);
    println!("stopped in {stopped_s:.1} s; the log has {mib:.0} MiB, with {} samples and all snapshots", crowd.len());

    let before_kib = resident_kib();
    let starting = Instant::now();
    let bus = open(folder.path());
    let pipeline = Pipeline::start(&bus, &settings);
    let mut writer = Writer::new(&crowd, progress, bus.as_ref());
    let came = writer.step();
    for partition in 0..crowd.partitions() {
        if let Some(number) = first_that_came(&crowd, partition, &came) {
            writer.append(number..number + 1, &came);
        }
    }
    pipeline.settle();
    println!("ready {:.1} s after opening, by a sample of each partition", starting.elapsed().as_secs_f64());
    println!("resident memory {:.0} MiB before, {:.0} MiB after", before_kib / 1024.0, resident_kib() / 1024.0);
    println!("samples that the newest fingerprints know of: {:?}", known(bus.as_ref(), args.days));
    drop(writer);
    pipeline.stop();
}

/// The first workload of a partition that has lived its history and has a sample.
fn first_that_came(crowd: &Crowd, partition: usize, came: &[Came]) -> Option<usize> {
    crowd.originals(partition).into_iter().find(|number| crowd.sample(*number, &came[partition]).is_some())
}

/// How many samples the long windows of the last step's fingerprints have: one that begins anew knows of two.
fn known(bus: &dyn Bus, days: u32) -> Vec<u64> {
    let last_step = i64::from(days * 86_400 / STEP_S + STEPS_MORE + 1);
    let fingerprints = read_all(bus, topics::FINGERPRINTS);
    let fingerprints = fingerprints.iter().map(decoded::<Fingerprint>);
    let last = fingerprints.filter(|fingerprint| step_of(fingerprint.at) == last_step);
    let count = |fingerprint: Fingerprint| {
        let windows = fingerprint.kpis.iter().filter_map(|kpi| kpi.windows.as_deref());
        windows.map(|windows| windows.long.count).max()
    };
    last.filter_map(count).collect()
}
