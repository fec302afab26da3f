//! `prescale dlq`: what is in the dead letter queues, and the way back to the topics.

use crate::bus_commands::{key_text, value_json};
use crate::pretty_json;
use anyhow::{Context as _, Result, bail};
use prescale_bus::dlq::{self, DeadLetter, LetterFilter, ReplayReport, ReplayRequest};
use prescale_bus::{Bus, BusError};
use prescale_contracts::rfc3339;
use prescale_domain::time::EventTime;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use tokio_util::sync::CancellationToken;

/// What `dlq list` shows.
pub struct Listing {
    /// Only this topic, or its queue.
    pub topic: Option<String>,
    /// Only these letters.
    pub filter: LetterFilter,
    /// The letters themselves instead of their counts.
    pub records: bool,
    /// JSON instead of text; one object a line for letters.
    pub as_json: bool,
}

/// Letters of one topic, stage and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Heap {
    letters: u64,
    waiting: u64,
    first_ms: i64,
    last_ms: i64,
    example: String,
}

/// The topic that the user means, by its own name or its queue's.
pub fn topic_named(name: &str) -> &str {
    dlq::topic_of_dlq(name).unwrap_or(name)
}

/// Prints what is in the queues, up to their ends as of now.
///
/// # Errors
/// When a queue is missing, the bus cannot be read or the output cannot be written.
pub fn list(bus: &dyn Bus, listing: &Listing, out: &mut dyn Write, shutdown: &CancellationToken) -> Result<()> {
    let topics = match &listing.topic {
        Some(name) => vec![topic_named(name).to_owned()],
        None => {
            let all = bus.topics()?;
            all.iter().filter_map(|(name, _)| dlq::topic_of_dlq(name).map(str::to_owned)).collect()
        }
    };
    if topics.is_empty() {
        bail!("there is no dead letter queue: `prescale topics apply` makes the topics");
    }
    let mut heaps: BTreeMap<(String, String, String), Heap> = BTreeMap::new();
    for topic in &topics {
        let mut written = Ok(());
        dlq::each_letter(bus, topic, shutdown, |letter, was_replayed| {
            if !listing.filter.admits(&letter) || written.is_err() {
                return;
            }
            if listing.records {
                written = writeln!(out, "{}", letter_line(topic, &letter, was_replayed, listing.as_json));
            } else {
                count(&mut heaps, topic, letter, was_replayed);
            }
        })?;
        written.context("cannot write the output")?;
    }
    if !listing.records {
        let text = if listing.as_json { heaps_json(&heaps)? } else { heaps_text(&heaps) };
        out.write_all(text.as_bytes()).context("cannot write the output")?;
    }
    Ok(())
}

fn count(heaps: &mut BTreeMap<(String, String, String), Heap>, topic: &str, letter: DeadLetter, was_replayed: bool) {
    let at_ms = letter.record.appended_at_ms;
    let heap = heaps.entry((topic.to_owned(), letter.stage, letter.code)).or_insert(Heap {
        letters: 0,
        waiting: 0,
        first_ms: at_ms,
        last_ms: at_ms,
        example: letter.message,
    });
    heap.letters += 1;
    heap.waiting += u64::from(!was_replayed);
    heap.first_ms = heap.first_ms.min(at_ms);
    heap.last_ms = heap.last_ms.max(at_ms);
}

fn instant(ms: i64) -> String {
    rfc3339(EventTime::from_ms(ms))
}

fn heaps_json(heaps: &BTreeMap<(String, String, String), Heap>) -> Result<String> {
    let list: Vec<Value> = heaps
        .iter()
        .map(|((topic, stage, code), heap)| {
            json!({"topic": topic, "stage": stage, "reason": code, "letters": heap.letters,
                   "waiting": heap.waiting, "first": instant(heap.first_ms), "last": instant(heap.last_ms),
                   "example": heap.example})
        })
        .collect();
    pretty_json(&list)
}

fn heaps_text(heaps: &BTreeMap<(String, String, String), Heap>) -> String {
    if heaps.is_empty() {
        return "no dead letters\n".to_owned();
    }
    let mut text = format!(
        "{:<16} {:<14} {:<18} {:>9} {:>9}  {:<24} {:<24}\n",
        "topic", "stage", "reason", "letters", "waiting", "first", "last"
    );
    for ((topic, stage, code), heap) in heaps {
        text += &format!(
            "{topic:<16} {stage:<14} {code:<18} {:>9} {:>9}  {:<24} {:<24}\n  such as: {}\n",
            heap.letters,
            heap.waiting,
            instant(heap.first_ms),
            instant(heap.last_ms),
            heap.example
        );
    }
    text
}

fn letter_line(topic: &str, letter: &DeadLetter, was_replayed: bool, as_json: bool) -> String {
    let record = &letter.record;
    if as_json {
        return json!({"topic": topic, "partition": record.partition, "offset": record.offset,
                      "at": instant(record.appended_at_ms), "replayed": was_replayed, "key": key_text(record),
                      "stage": letter.stage, "reason": letter.code, "message": letter.message,
                      "value": value_json(record)})
        .to_string();
    }
    format!(
        "{topic} {}@{} {} {} {} {}: {}{}\n  {}",
        record.partition,
        record.offset,
        instant(record.appended_at_ms),
        key_text(record),
        letter.stage,
        letter.code,
        letter.message,
        if was_replayed { " (replayed)" } else { "" },
        value_json(record)
    )
}

/// Replays letters and says what became of them.
///
/// # Errors
/// When a topic is missing, the bus is lost, or another replay of the queue took over.
pub fn replay(bus: &dyn Bus, request: &ReplayRequest, shutdown: &CancellationToken) -> Result<String> {
    let report = match dlq::replay(bus, request, shutdown) {
        Ok(report) => report,
        Err(error @ (BusError::Fenced { .. } | BusError::Backend { retryable: true, .. })) => {
            return Err(error).context("the replay stopped before the end; run it again, it goes on where it was");
        }
        Err(error) => return Err(error.into()),
    };
    let stopped = if shutdown.is_cancelled() { "stopped before the end; run it again, it goes on\n" } else { "" };
    Ok(report_text(request, &report) + stopped)
}

fn report_text(request: &ReplayRequest, report: &ReplayReport) -> String {
    let verb = if request.dry_run { "would be written" } else { "written" };
    let mut text = format!("{} letters {verb} back to {}\n", report.replayed, request.topic);
    let rest = [
        (report.replayed_before, "replayed before"),
        (report.not_selected, "left out by the selection"),
        (report.beyond_limit, "left out by --limit"),
        (report.unreplayable, "that cannot be written back"),
    ];
    for (letters, what) in rest.iter().filter(|(letters, _)| *letters > 0) {
        text += &format!("{letters} letters {what}\n");
    }
    if let Some(first) = &report.first_unreplayable {
        text += &format!("  the first is {}@{}: {}\n", first.partition, first.offset, first.why);
    }
    text
}

#[cfg(test)]
mod tests;
