//! A fleet that sends a sample a minute, by the clock.

use crate::Args;
use crate::machine::{allocated_kib, folder_bytes};
use crate::readback::{Found, quantile};
use crate::warm::{Prepared, open, words};
use crate::writer::Writer;
use integration_tests::pipeline::Pipeline;
use integration_tests::warm::crowd::STEP_S;
use prescale_bus::cancelled_within;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Parts of a step that are written one after the other.
const PARTS: usize = 240;
/// Parts after which it is looked at how far the stages are behind.
const LOOK_EVERY_PARTS: usize = 20;
/// Steps at the beginning whose predictions are left out: a stage hears of the copies for the first time.
const SETTLING_STEPS: i64 = 3;

pub(crate) fn run(args: &Args, minutes: u32) {
    let Prepared { settings, crowd, progress, stages, allocated_before_kib } = Prepared::of(args, 0);
    let folder = tempfile::tempdir().expect("a folder for the log");
    let bus = open(folder.path());
    let pipeline = Pipeline::start_with(&bus, &settings, stages.factories());
    let mut writer = Writer::new(&crowd, progress, bus.as_ref());
    let step = Duration::from_secs(u64::from(STEP_S));
    let began = Instant::now();
    println!("{:>6} {:>14} {:>12}   most records behind", "minute", "writer late s", "KiB/workload");
    for minute in 0..minutes {
        let came = writer.step();
        let (mut from, mut late, mut most) = (0, Duration::ZERO, Vec::new());
        for part in 1..=PARTS {
            let due = began + step * minute + step * part as u32 / PARTS as u32;
            late = late.max(await_instant(due));
            let to = crowd.len() * part / PARTS;
            writer.append(from..to, &came);
            from = to;
            if part % LOOK_EVERY_PARTS == 0 {
                most = greater(most, pipeline.behind());
            }
        }
        let each_kib = (allocated_kib() - allocated_before_kib) / crowd.len() as f64;
        println!("{:>6} {:>14.2} {each_kib:>12.1}   {}", minute + 1, late.as_secs_f64(), words(&most));
    }
    let samples = writer.samples;
    drop(writer);
    let settling = Instant::now();
    pipeline.settle();
    println!("all of it through {:.1} s after the last sample", settling.elapsed().as_secs_f64());
    print_waits(&Found::on(bus.as_ref()), samples, args.days);
    pipeline.stop();
    drop(bus);
    let disk_bytes = folder_bytes(folder.path());
    println!("disk with indices and snapshots: {:.0} B/sample", disk_bytes as f64 / samples as f64);
}

/// Waits for an instant; tells by how much it had passed before.
fn await_instant(due: Instant) -> Duration {
    let now = Instant::now();
    if let Some(left) = due.checked_duration_since(now) {
        cancelled_within(&CancellationToken::new(), left);
    }
    now.saturating_duration_since(due)
}

/// The greater number of each stage.
fn greater(most: Vec<(&'static str, u64)>, behind: Vec<(&'static str, u64)>) -> Vec<(&'static str, u64)> {
    let before = |stage: &str| most.iter().find(|(name, _)| *name == stage).map_or(0, |(_, records)| *records);
    behind.into_iter().map(|(stage, records)| (stage, records.max(before(stage)))).collect()
}

fn print_waits(found: &Found, samples: u64, days: u32) {
    let first_step = i64::from(days * 86_400 / STEP_S);
    println!("{samples} samples, {} bins closed, {} predictions", found.closes, found.predictions);
    println!("{:>6} {:>10} {:>12} {:>12} {:>12}", "minute", "closes", "half ms", "99 % ms", "all ms");
    for (step, waits) in &found.waits_ms {
        let mut waits = waits.clone();
        waits.sort_unstable();
        let [half, most, all] = [0.5, 0.99, 1.0].map(|share| quantile(&waits, share));
        println!("{:>6} {:>10} {half:>12} {most:>12} {all:>12}", step - first_step + 1, waits.len());
    }
    let waits = found.waits_from(first_step + SETTLING_STEPS);
    println!("after {SETTLING_STEPS} minutes: 99 % of {} within {} ms", waits.len(), quantile(&waits, 0.99));
}
