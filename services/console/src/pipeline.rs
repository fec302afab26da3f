//! How the pipeline runs, as the console sees it: lag and rate of each stage, what was read of each
//! topic, and the dead letters.

use prescale_bus::{ConsumedRecord, Lag};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// A rate is taken over so many looks.
const LOOKS: usize = 6;
const LETTERS_MAX: usize = 20;
const TEXT_MAX: usize = 400;

#[derive(Debug)]
struct Progress {
    stage: &'static str,
    topic: &'static str,
    group: String,
    position: i64,
    end: i64,
    lag: u64,
    error: Option<String>,
    looks: VecDeque<(f64, i64)>,
}

/// What was read of a topic.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) records: u64,
    pub(crate) undecodable: u64,
    pub(crate) left_out: u64,
    pub(crate) caught_up: bool,
    pub(crate) error: Option<String>,
}

#[derive(Debug, Default)]
struct Letters {
    records: u64,
    latest: VecDeque<Value>,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    /// In the order in which they were first looked at.
    stages: Vec<Progress>,
    readings: BTreeMap<&'static str, Reading>,
    letters: BTreeMap<String, Letters>,
}

impl Pipeline {
    /// Takes in a look at the lag of a stage on the topic that it reads, `at_s` seconds after some fixed instant.
    pub(crate) fn look(
        &mut self,
        (stage, topic): (&'static str, &'static str),
        group: &str,
        at_s: f64,
        lags: Result<Vec<Lag>, String>,
    ) {
        let known = self.stages.iter().position(|progress| progress.stage == stage);
        let at = known.unwrap_or(self.stages.len());
        if known.is_none() {
            self.stages.push(Progress::of(stage, topic, group));
        }
        let progress = &mut self.stages[at];
        match lags {
            Err(error) => progress.error = Some(error),
            Ok(lags) => {
                progress.error = None;
                progress.position = lags.iter().map(|l| l.position).sum();
                progress.end = lags.iter().map(|l| l.end).sum();
                progress.lag = lags.iter().map(Lag::behind).sum();
                progress.looks.push_back((at_s, progress.position));
                if progress.looks.len() > LOOKS {
                    progress.looks.pop_front();
                }
            }
        }
    }

    /// What was read of a topic, to be changed.
    pub(crate) fn reading(&mut self, topic: &'static str) -> &mut Reading {
        self.readings.entry(topic).or_default()
    }

    /// Takes in a dead letter.
    pub(crate) fn letter(&mut self, record: &ConsumedRecord) {
        let letters = self.letters.entry(record.topic.to_string()).or_default();
        letters.records += 1;
        letters.latest.push_front(letter_json(record));
        letters.latest.truncate(LETTERS_MAX);
    }

    /// Makes a queue known that may have no letters.
    pub(crate) fn queue(&mut self, topic: &str) {
        self.letters.entry(topic.to_owned()).or_default();
    }

    /// As JSON.
    pub(crate) fn json(&self, kept: Value) -> Value {
        let stages: Vec<Value> = self
            .stages
            .iter()
            .map(|p| {
                json!({"stage": p.stage, "topic": p.topic, "group": p.group, "lag": p.lag, "position": p.position,
                       "end": p.end, "records_per_s": p.records_per_s(), "error": p.error})
            })
            .collect();
        let readers: Vec<Value> = self
            .readings
            .iter()
            .map(|(topic, r)| {
                json!({"topic": topic, "records": r.records, "undecodable": r.undecodable, "left_out": r.left_out,
                       "caught_up": r.caught_up, "error": r.error})
            })
            .collect();
        let letters: Vec<Value> = self
            .letters
            .iter()
            .map(|(topic, l)| json!({"topic": topic, "records": l.records, "latest": l.latest}))
            .collect();
        json!({"stages": stages, "readers": readers, "dead_letters": letters, "kept": kept})
    }
}

impl Progress {
    fn of(stage: &'static str, topic: &'static str, group: &str) -> Self {
        let (group, looks) = (group.to_owned(), VecDeque::new());
        Self { stage, topic, group, position: 0, end: 0, lag: 0, error: None, looks }
    }

    fn records_per_s(&self) -> Option<f64> {
        let ((from_s, from), (to_s, to)) = (self.looks.front()?, self.looks.back()?);
        let seconds = to_s - from_s;
        (seconds > 0.0).then(|| ((to - from) as f64 / seconds).max(0.0))
    }
}

fn letter_json(record: &ConsumedRecord) -> Value {
    let text = |name: &str| record.header(name).map(|v| clipped(&String::from_utf8_lossy(v)));
    let code = text("__connect.errors.class.name").unwrap_or_else(|| "rejected".to_owned());
    let message = text("__connect.errors.exception.message").unwrap_or_default();
    json!({
        "at_ms": record.appended_at_ms,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key.as_deref().map(|k| clipped(&String::from_utf8_lossy(k))).unwrap_or_default(),
        "stage": text("__connect.errors.stage"),
        "why": if message.is_empty() { code } else { format!("{code}: {message}") },
    })
}

fn clipped(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_bus::Header;
    use prescale_contracts::topics;

    fn lag(position: i64, end: i64) -> Lag {
        Lag { topic: topics::RAW_KPIS.to_owned(), partition: 0, position, end }
    }

    #[test]
    fn lag_is_summed_and_the_rate_is_that_of_the_last_looks() {
        let mut pipeline = Pipeline::default();
        for i in 0..10_i64 {
            let lags = vec![lag(100 * i, 1000), lag(10 * i, 100)];
            pipeline.look(("fingerprinter", topics::RAW_KPIS), "prescale-fingerprinter", i as f64 * 2.0, Ok(lags));
        }
        let stage = &pipeline.json(Value::Null)["stages"][0];
        assert_eq!(stage["lag"], 110);
        assert_eq!(stage["position"], 990);
        assert_eq!(stage["records_per_s"], 55.0);
        assert_eq!(stage["error"], Value::Null);
    }

    #[test]
    fn a_failed_look_is_shown_and_keeps_the_last_numbers() {
        let mut pipeline = Pipeline::default();
        pipeline.look(("planner", topics::PREDICTIONS), "g", 0.0, Ok(vec![lag(5, 7)]));
        pipeline.look(("planner", topics::PREDICTIONS), "g", 2.0, Err("broker away".to_owned()));
        let stage = &pipeline.json(Value::Null)["stages"][0];
        assert_eq!((&stage["lag"], &stage["error"]), (&json!(2), &json!("broker away")));
    }

    #[test]
    fn dead_letters_are_counted_and_the_newest_say_why() {
        let header =
            |name: &'static str, value: &str| Header { name: name.into(), value: value.as_bytes().to_vec().into() };
        let mut pipeline = Pipeline::default();
        pipeline.queue("actions.dlq");
        for offset in 0..30 {
            pipeline.letter(&ConsumedRecord {
                topic: "raw-kpis.dlq".into(),
                partition: 1,
                offset,
                appended_at_ms: 5,
                key: Some(b"web-1".to_vec()),
                value: None,
                headers: vec![
                    header("__connect.errors.class.name", "late"),
                    header("__connect.errors.exception.message", "14 min behind"),
                ],
            });
        }
        let letters = &pipeline.json(Value::Null)["dead_letters"];
        assert_eq!(letters[0]["records"], 0);
        assert_eq!(letters[1]["records"], 30);
        assert_eq!(letters[1]["latest"].as_array().unwrap().len(), LETTERS_MAX);
        assert_eq!(letters[1]["latest"][0]["offset"], 29);
        assert_eq!(letters[1]["latest"][0]["why"], "late: 14 min behind");
    }
}
