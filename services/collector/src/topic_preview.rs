//! What would be read from a topic of others, before anything is: see [`crate::preview`].

use crate::clock;
use crate::config::{Config, KafkaTopicConfig};
use crate::kafka_topics::messages::Messages;
use crate::preview::{Preview, Samples, finding};
use crate::pushed::Pushed;
use anyhow::{Context as _, Result};
use prescale_bus::dlq::DeadLetter;
use prescale_bus::kafka::{ForeignTopic, KafkaOptions};
use prescale_bus::{BusError, ConsumedRecord};
use prescale_chassis::bus_access::KafkaConfig;
use prescale_contracts::{Contract as _, topics};
use prescale_domain::point::Point;
use prescale_domain::sample::Sample;
use prescale_domain::stream::assembly::AssemblySettings;
use prescale_domain::time::EventTime;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// So many of a topic's newest messages are looked at, the partitions' together.
const MESSAGES_MAX: i64 = 20_000;
/// Most messages that are taken at a time.
const BATCH_MESSAGES_MAX: usize = 2_000;
/// Where nothing comes for so long there is nothing more.
const SILENCE: Duration = Duration::from_secs(5);
/// So many metrics that no rule names are named.
const METRICS_SHOWN: usize = 5;

/// Looks at the newest messages of the topic that `[collector.kafka_topics]` has under a name; `bus` is the Kafka of the bus,
/// on which it lies where the section names no brokers. Nothing is written.
///
/// # Errors
/// When there is no such section, or the topic cannot be read, such as for want of a right.
pub fn of_topic(name: &str, config: &Config, bus: &KafkaConfig, settings: AssemblySettings) -> Result<Preview> {
    let topic = config.kafka_topics.get(name).with_context(|| {
        let names: Vec<&str> = config.kafka_topics.keys().map(String::as_str).collect();
        format!("[collector.kafka_topics.{name}] is not there; there are: {}", names.join(", "))
    })?;
    let access = topic.access(name, bus)?;
    let mut looked = Looked::new(name, topic, settings)?;
    looked
        .read(access, &topic.topic)
        .with_context(|| format!("[collector.kafka_topics.{name}] topic {:?} cannot be read", topic.topic))?;
    looked.told(topic, config)
}

/// What was looked at.
struct Looked {
    source: String,
    messages: Messages,
    /// Of series.
    points: Pushed,
    /// Of workloads.
    samples: Samples,
    count: u64,
    left_out: u64,
    left_out_metrics: BTreeSet<String>,
    letters: u64,
    /// Why the first letter is one.
    why: String,
}

impl Looked {
    fn new(name: &str, topic: &KafkaTopicConfig, settings: AssemblySettings) -> Result<Self> {
        Ok(Self {
            source: topic.source(name)?.to_string(),
            messages: Messages::new(name, topic)?,
            points: Pushed::new(settings),
            samples: Samples::default(),
            count: 0,
            left_out: 0,
            left_out_metrics: BTreeSet::new(),
            letters: 0,
            why: String::new(),
        })
    }

    /// Reads what the topic has now.
    fn read(&mut self, access: KafkaOptions, topic: &str) -> Result<(), BusError> {
        let mut topic = ForeignTopic::connect(access, topic)?;
        let partitions = topic.partitions()?;
        let each = (MESSAGES_MAX / i64::from(partitions.max(1))).max(1);
        let (mut next, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for partition in 0..partitions {
            let (first, end) = topic.bounds(partition)?;
            next.insert(partition, first.max(end - each));
            ends.insert(partition, end);
        }
        topic.read_from(&next)?;
        while next.iter().any(|(partition, next)| ends.get(partition).is_some_and(|end| next < end)) {
            let messages = topic.poll(BATCH_MESSAGES_MAX, SILENCE)?;
            if messages.is_empty() {
                // What ends a transaction has an offset and is no message.
                break;
            }
            next.extend(messages.iter().map(|message| (message.partition, message.offset + 1)));
            self.take(&messages, clock::now());
        }
        Ok(())
    }

    /// Takes messages in.
    fn take(&mut self, messages: &[ConsumedRecord], now: EventTime) {
        let made = self.messages.read(messages, now);
        self.count += messages.len() as u64;
        self.left_out += made.left_out;
        self.left_out_metrics.extend(made.left_out_metrics);
        self.letters += made.letters;
        for record in made.records {
            if *record.topic == *topics::RAW_POINTS {
                if let Ok(point) = Point::decode(record.value.as_deref().unwrap_or_default()) {
                    // The messages of all partitions come by when they were written.
                    self.points.take(0, &point);
                }
            } else if *record.topic == *topics::RAW_KPIS {
                if let Ok(sample) = Sample::decode(record.value.as_deref().unwrap_or_default()) {
                    self.samples.take(&sample);
                }
            } else if self.why.is_empty() {
                self.why = DeadLetter::of(record.read_at(0, 0)).message;
            }
        }
    }

    fn told(self, topic: &KafkaTopicConfig, config: &Config) -> Result<Preview> {
        let looked_at = format!("the newest {} messages of topic {:?}", self.count, topic.topic);
        let of_points = if topic.is_of_series() { self.points.told(Some(&topic.preset), config)?.pop() } else { None };
        let mut preview = match of_points {
            Some(preview) => Preview { looked_at, ..preview },
            None => self.samples.told(&self.source, looked_at),
        };
        let mut found = |what: String, remedy: &str| preview.findings.push(finding(what, remedy.to_owned()));
        if self.count == 0 {
            found("no messages are there".to_owned(), "is the topic the right one, and does anybody write to it?");
        }
        if self.letters > 0 {
            found(
                format!("{} of {} messages cannot be used, or not all of them: {}", self.letters, self.count, self.why),
                "see that format, precision and mapping are what its producer writes; such go to the dead letters",
            );
        }
        if self.left_out > 0 {
            let shown: Vec<&str> = self.left_out_metrics.iter().take(METRICS_SHOWN).map(String::as_str).collect();
            let named = if shown.is_empty() { String::new() } else { format!(", such as of {}", shown.join(", ")) };
            found(
                format!("{} values are left out{named}", self.left_out),
                "nothing in the preset or the mapping means them: name them there where they are to be read",
            );
        }
        Ok(preview)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KafkaFormat;
    use crate::formats::mapped::JsonMapping;

    const SETTINGS: AssemblySettings = AssemblySettings { lateness_s: 60, ahead_s: 300, carried_s: 300 };

    fn message(offset: i64, value: &str) -> ConsumedRecord {
        ConsumedRecord {
            topic: "metrics".into(),
            partition: 0,
            offset,
            appended_at_ms: 900_000,
            key: None,
            value: Some(value.as_bytes().to_vec()),
            headers: Vec::new(),
        }
    }

    fn told(topic: &KafkaTopicConfig, values: &[String]) -> Preview {
        let messages: Vec<ConsumedRecord> =
            (0..).zip(values).map(|(offset, value)| message(offset, value.as_str())).collect();
        let mut looked = Looked::new("theirs", topic, SETTINGS).unwrap();
        looked.take(&messages, EventTime::from_s(100_000));
        looked.told(topic, &Config::default()).unwrap()
    }

    fn whats(preview: &Preview) -> String {
        preview.findings.iter().map(|finding| format!("{}\n", finding.what)).collect()
    }

    #[test]
    fn messages_by_a_mapping_are_told_as_samples_with_what_cannot_be_used() {
        let mapping = JsonMapping {
            workload: "/vm".to_owned(),
            instant: "/at".to_owned(),
            kpis: [("cpu_cores_used".to_owned(), "/cpu".to_owned())].into(),
            ..JsonMapping::default()
        };
        let topic = KafkaTopicConfig {
            topic: "metrics".to_owned(),
            format: KafkaFormat::Json,
            mapping,
            ..KafkaTopicConfig::default()
        };
        let good = (0..5).map(|minute| format!("{{\"vm\":\"a\",\"at\":{},\"cpu\":1.5}}", 6000 + 60 * minute));
        let values: Vec<String> = good.chain(["{\"vm\":".to_owned()]).collect();
        let preview = told(&topic, &values);
        assert_eq!((preview.source.as_str(), preview.workloads), ("kafka-topic:theirs", 1));
        assert!(preview.looked_at.contains("newest 6 messages of topic \"metrics\""), "{}", preview.looked_at);
        assert!(whats(&preview).contains("1 of 6 messages cannot be used"), "{}", whats(&preview));
        assert!(whats(&told(&topic, &[])).contains("no messages are there"));
    }

    #[test]
    fn messages_of_series_are_told_as_the_samples_that_are_made_of_them() {
        let topic = KafkaTopicConfig { topic: "metrics".to_owned(), ..KafkaTopicConfig::default() };
        let line = |minute: i64| {
            let at_ns = (6000 + 60 * minute) * 1_000_000_000;
            format!("mem,host=a total=8e9,available=3e9,free=1e9 {at_ns}\n")
        };
        let preview = told(&topic, &(0..10).map(line).collect::<Vec<_>>());
        assert_eq!((preview.preset.as_str(), preview.workloads), ("telegraf", 1));
        let memory = preview.kpis.iter().find(|kpi| kpi.name == "memory_bytes").unwrap();
        assert_eq!(memory.values, Some([5e9, 5e9, 5e9]));
        assert!(whats(&preview).contains("10 values are left out, such as of mem_free"), "{}", whats(&preview));
        assert!(whats(&told(&topic, &[line(0)])).contains("of 3 points no sample was made yet"));
    }

    #[test]
    fn a_section_that_is_not_there_is_named_with_those_that_are() {
        let mut config = Config::default();
        config.kafka_topics.insert("theirs".to_owned(), KafkaTopicConfig::default());
        let error = of_topic("ours", &config, &KafkaConfig::default(), SETTINGS).unwrap_err().to_string();
        assert!(error.contains("[collector.kafka_topics.ours] is not there; there are: theirs"), "{error}");
    }
}
