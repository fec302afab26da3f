//! `prescale bus`: read what is on the bus, and how far each stage is behind.

use crate::pretty_json;
use anyhow::{Context, Result};
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom};
use prescale_chassis::stage::foreign_position;
use prescale_contracts::record_json;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PAGE_RECORDS: usize = 500;
const WAIT: Duration = Duration::from_millis(500);

/// What `bus tail` shows.
pub struct Tail {
    /// Topic, also a dead letter queue.
    pub topic: String,
    /// Where to begin.
    pub from: ReadFrom,
    /// Only this workload.
    pub workload: Option<String>,
    /// Stop after so many records.
    pub limit: Option<usize>,
    /// Wait for more at the end.
    pub follow: bool,
    /// One JSON object a line instead of text.
    pub as_json: bool,
}

/// Prints the records of a topic until its end, the limit or `shutdown`.
///
/// # Errors
/// When the topic is missing, the bus cannot be read or the output cannot be written.
pub fn tail(bus: &dyn Bus, what: &Tail, out: &mut dyn Write, shutdown: &CancellationToken) -> Result<()> {
    let mut reader = bus.reader(&what.topic, what.from.clone())?;
    let mut left = what.limit.unwrap_or(usize::MAX);
    while left > 0 && !shutdown.is_cancelled() {
        let (records, caught_up) = reader.poll(PAGE_RECORDS, WAIT)?;
        let wanted =
            records.iter().filter(|r| what.workload.as_deref().is_none_or(|w| r.key.as_deref() == Some(w.as_bytes())));
        for record in wanted.take(left) {
            let line = if what.as_json { as_json(record).to_string() } else { as_text(record) };
            writeln!(out, "{line}").context("cannot write the output")?;
            left -= 1;
        }
        if caught_up == CaughtUp::Yes && !what.follow {
            break;
        }
    }
    Ok(())
}

/// The record's key as text.
pub(crate) fn key_text(record: &ConsumedRecord) -> String {
    record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned()
}

/// The record's value as JSON; what cannot be decoded, with the reason.
pub(crate) fn value_json(record: &ConsumedRecord) -> Value {
    match record.value.as_deref() {
        None => Value::Null,
        Some(bytes) => record_json(&record.topic, bytes)
            .unwrap_or_else(|error| json!({"undecodable_bytes": bytes.len(), "error": error.to_string()})),
    }
}

/// A record; a foreign one with the id that what follows from it is made with.
fn as_json(record: &ConsumedRecord) -> Value {
    let headers: Map<String, Value> = record
        .headers
        .iter()
        .map(|h| (h.name.to_string(), Value::String(String::from_utf8_lossy(&h.value).into_owned())))
        .collect();
    let mut shown = json!({"topic": &*record.topic, "partition": record.partition, "offset": record.offset,
                           "key": key_text(record), "headers": headers, "value": value_json(record)});
    if let Some(position) = foreign_position(record) {
        shown["id"] = position.id().into();
    }
    shown
}

fn as_text(record: &ConsumedRecord) -> String {
    format!("{}@{} {} {}", record.partition, record.offset, key_text(record), value_json(record))
}

/// A stage's consumer group and the topic it reads.
pub struct GroupInput {
    /// Consumer group.
    pub group: String,
    /// Topic.
    pub topic: &'static str,
}

/// Lag of each group on each partition, as text or JSON.
///
/// # Errors
/// When the bus cannot be read or a topic is missing.
pub fn lag(bus: &dyn Bus, inputs: &[GroupInput], as_json: bool) -> Result<String> {
    let mut rows = Vec::new();
    for input in inputs {
        for lag in bus.lag(&input.group, input.topic)? {
            rows.push((input.group.as_str(), lag));
        }
    }
    if as_json {
        let list: Vec<_> = rows
            .iter()
            .map(|(group, lag)| {
                json!({"group": group, "topic": lag.topic, "partition": lag.partition,
                       "position": lag.position, "end": lag.end, "lag": lag.behind()})
            })
            .collect();
        return pretty_json(&list);
    }
    let mut text =
        format!("{:<28} {:<16} {:>9} {:>12} {:>12} {:>10}\n", "group", "topic", "partition", "position", "end", "lag");
    for (group, lag) in rows {
        text += &format!(
            "{group:<28} {:<16} {:>9} {:>12} {:>12} {:>10}\n",
            lag.topic,
            lag.partition,
            lag.position,
            lag.end,
            lag.behind()
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::{Log, sample};
    use prescale_bus::OutputRecord;
    use prescale_contracts::envelope::Position;
    use prescale_contracts::topics;

    #[test]
    fn a_record_without_headers_is_shown_with_its_id() {
        let log = Log::of("", 1);
        log.append(vec![OutputRecord { headers: Vec::new(), ..sample(1) }]);
        let what = Tail {
            topic: topics::RAW_KPIS.to_owned(),
            from: ReadFrom::Earliest,
            workload: None,
            limit: None,
            follow: false,
            as_json: true,
        };
        let mut out = Vec::new();
        tail(log.bus.as_ref(), &what, &mut out, &CancellationToken::new()).unwrap();
        let text = String::from_utf8(out).unwrap();
        let shown: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let partition = u32::try_from(shown[1]["partition"].as_u64().unwrap()).unwrap();
        let position = Position { topic: topics::RAW_KPIS, partition, offset: 1 };
        assert_eq!((shown[0].get("id"), shown[1]["id"].as_str()), (None, Some(position.id().as_str())));
    }
}
