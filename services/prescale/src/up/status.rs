//! What `up` prints while it runs: a line of counts every few seconds, and each action with what
//! came of it.

use anyhow::Result;
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom, RecordReader, cancelled_within};
use prescale_chassis::Context;
use prescale_chassis::explain::outcome_text;
use prescale_chassis::stage::decode_record;
use prescale_chassis::telemetry::Metrics;
use prescale_contracts::topics;
use prescale_domain::action::{Action, ActionResult};
use prescale_domain::policy::explain_change;
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
        let per_s = last.map(|(at, before)| (counts.first() - before) as f64 / (now - at).as_secs_f64());
        last = Some((now, counts.first()));
        if lines % LINES_PER_HEADER == 0 {
            println!("{}", counts.header());
        }
        lines += 1;
        println!("{}", counts.line(per_s.unwrap_or(0.0)));
    }
    Ok(())
}

/// How much is on the topics through which samples lead to results. On Kafka transaction markers count as well.
struct Counts {
    topics: Vec<(&'static str, i64)>,
    dead: i64,
    /// Of all stages.
    lag: u64,
}

impl Counts {
    fn read(bus: &dyn Bus, context: &Context) -> Result<Self> {
        let mut shown: Vec<&'static str> = context.feedback_stages().iter().map(|stage| stage.input).collect();
        shown.push(topics::ACTION_RESULTS);
        let counted = |topic: &'static str| anyhow::Ok((topic, end_of(bus, context, topic)?));
        let topics = shown.into_iter().map(counted).collect::<Result<_>>()?;
        let (mut lag, mut dead) = (0, 0);
        for stage in context.graph.stages() {
            for partition in bus.lag(&context.group(stage.stage), stage.input)? {
                lag += partition.behind();
            }
        }
        for topic in context.graph.inputs() {
            dead += end_of(bus, context, &topics::dlq_of(topic))?;
        }
        Ok(Self { topics, dead, lag })
    }

    /// Records on the first of the topics.
    fn first(&self) -> i64 {
        self.topics.first().map_or(0, |(_, count)| *count)
    }

    fn header(&self) -> String {
        let columns = |(nth, (topic, _)): (usize, &(&str, i64))| {
            let rate = if nth == 0 { format!(" {:>9}", "/s") } else { String::new() };
            format!("{topic:>14}{rate} ")
        };
        let topics: String = self.topics.iter().enumerate().map(columns).collect();
        format!("{topics}{:>11} {:>11}", "dead", "lag")
    }

    fn line(&self, per_s: f64) -> String {
        let columns = |(nth, (_, count)): (usize, &(&str, i64))| {
            let rate = if nth == 0 { format!(" {per_s:>9.0}") } else { String::new() };
            format!("{count:>14}{rate} ")
        };
        let topics: String = self.topics.iter().enumerate().map(columns).collect();
        let Self { dead, lag, .. } = self;
        format!("{topics}{dead:>11} {lag:>11}")
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
    let why = action.evidence.first().map(|e| format!(" ({} in {} s by {})", e.resource, e.horizon_s, e.model));
    let (change, serves) = (explain_change(&action), shape(&action.current));
    Some(format!("  {}: {change}, {serves} serving now{}", action.workload, why.unwrap_or_default()))
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
