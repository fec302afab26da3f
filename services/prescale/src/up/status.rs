//! What `up` prints while it runs: a line of counts every few seconds, and each action with what
//! came of it.

use anyhow::Result;
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom, RecordReader, cancelled_within};
use prescale_chassis::explain::outcome_text;
use prescale_chassis::stage::decode_record;
use prescale_chassis::telemetry::Metrics;
use prescale_chassis::{Context, STAGES};
use prescale_contracts::topics;
use prescale_domain::action::{Action, ActionResult, Verdict};
use prescale_domain::sample::Capacity;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(5);
/// Most actions, and most results, shown between two lines of counts.
const SHOWN_MAX: usize = 8;
const LINES_PER_HEADER: u32 = 20;
const PAGE_RECORDS: usize = 1_000;

/// Prints until `stop`, and keeps the metrics' memory bounded meanwhile.
pub(super) fn run(bus: &dyn Bus, context: &Context, metrics: &Metrics, stop: &CancellationToken) -> Result<()> {
    let mut actions = bus.reader(topics::ACTIONS, ReadFrom::Latest)?;
    let mut results = bus.reader(topics::ACTION_RESULTS, ReadFrom::Latest)?;
    let mut last: Option<(Instant, i64)> = None;
    let mut lines = 0;
    while !cancelled_within(stop, EVERY) {
        metrics.upkeep();
        show(actions.as_mut(), stop, action_line)?;
        show(results.as_mut(), stop, result_line)?;
        let counts = Counts::read(bus, context)?;
        let now = Instant::now();
        let per_s = last.map(|(at, samples)| (counts.samples - samples) as f64 / (now - at).as_secs_f64());
        last = Some((now, counts.samples));
        if lines % LINES_PER_HEADER == 0 {
            println!("{}", Counts::HEADER);
        }
        lines += 1;
        println!("{}", counts.line(per_s.unwrap_or(0.0)));
    }
    Ok(())
}

/// How much is on the topics. On Kafka transaction markers count as well.
struct Counts {
    samples: i64,
    fingerprints: i64,
    predictions: i64,
    proposals: i64,
    actions: i64,
    results: i64,
    dead: i64,
    lag: u64,
}

impl Counts {
    const HEADER: &'static str =
        "     samples        /s fingerprints  predictions   proposals     actions     results        dead         lag";

    fn read(bus: &dyn Bus, context: &Context) -> Result<Self> {
        let mut lag = 0;
        let mut ends = [0; 5];
        for (end, input) in ends.iter_mut().zip(STAGES) {
            for partition in bus.lag(&context.group(input.stage), input.topic)? {
                lag += partition.behind();
                *end += partition.end;
            }
        }
        let [samples, fingerprints, predictions, proposals, actions] = ends;
        let mut dead = 0;
        for input in STAGES {
            dead += end_of(bus, context, &topics::dlq_of(input.topic))?;
        }
        let results = end_of(bus, context, topics::ACTION_RESULTS)?;
        Ok(Self { samples, fingerprints, predictions, proposals, actions, results, dead, lag })
    }

    fn line(&self, per_s: f64) -> String {
        let Self { samples, fingerprints, predictions, proposals, actions, results, dead, lag } = self;
        format!(
            "{samples:>12} {per_s:>9.0} {fingerprints:>12} {predictions:>12} {proposals:>11} {actions:>11} {results:>11} {dead:>11} {lag:>11}"
        )
    }
}

fn end_of(bus: &dyn Bus, context: &Context, topic: &str) -> Result<i64> {
    Ok(bus.lag(&context.group("status"), topic)?.iter().map(|l| l.end).sum())
}

fn show(
    reader: &mut dyn RecordReader,
    stop: &CancellationToken,
    line_of: impl Fn(&ConsumedRecord) -> Option<String>,
) -> Result<()> {
    let mut seen = 0;
    while !stop.is_cancelled() {
        let (records, caught_up) = reader.poll(PAGE_RECORDS, Duration::ZERO)?;
        for record in &records {
            seen += 1;
            if seen <= SHOWN_MAX
                && let Some(line) = line_of(record)
            {
                println!("{line}");
            }
        }
        if caught_up == CaughtUp::Yes || records.is_empty() {
            break;
        }
    }
    if seen > SHOWN_MAX {
        println!("  … and {} more", seen - SHOWN_MAX);
    }
    Ok(())
}

fn action_line(record: &ConsumedRecord) -> Option<String> {
    let action = decode_record::<Action>(record).ok()?.value;
    if action.is_withdrawal() {
        let why = action.reasons.last().map_or("", |reason| reason.text.as_str());
        return Some(format!("  {}: withdrawn ({why})", action.workload));
    }
    let verdict = match action.verdict {
        Verdict::ScaleOut => "scale out",
        Verdict::ScaleIn => "scale in",
        Verdict::Reshape => "reshape",
    };
    let dry_run = if action.dry_run { ", dry run" } else { "" };
    let (from, to) = (shape(&action.current), shape(&action.desired));
    let why = action.evidence.iter().map(|e| format!("{} in {} s by {}", e.resource, e.horizon_s, e.model)).next();
    Some(format!("  {}: {verdict} {from} → {to} ({}{dry_run})", action.workload, why.unwrap_or_default()))
}

fn result_line(record: &ConsumedRecord) -> Option<String> {
    let result = decode_record::<ActionResult>(record).ok()?.value;
    Some(format!("  {}: {}", result.workload, outcome_text(&result)))
}

fn shape(capacity: &Capacity) -> String {
    const GIB: f64 = 1_073_741_824.0;
    format!(
        "{} × ({:.2} cores, {:.2} GiB)",
        capacity.replicas,
        capacity.cpu_cores_per_replica,
        capacity.memory_bytes_per_replica / GIB
    )
}
