//! What a run has left on the log: how much of what, and how long after a sample that closed a bin the prediction came
//! that follows from it.

use integration_tests::warm::Crowd;
use integration_tests::warm::crowd::{START_S, STEP_S};
use prescale_bus::{Bus, CaughtUp, ConsumedRecord, ReadFrom};
use prescale_contracts::{Contract, topics};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Sample;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Most records read at a time.
const PAGE_RECORDS: usize = 2000;
/// A reader waits for the first of them so long.
const READ_WITHIN: Duration = Duration::from_millis(200);

/// A workload and the step of one of its samples.
pub(crate) type Place = (u32, i64);

/// What is on a topic.
#[derive(Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) records: u64,
    /// Keys, values and headers as they are read.
    pub(crate) bytes: u64,
}

/// What is on the log.
#[derive(Default)]
pub(crate) struct Found {
    /// By topic; those that hold nothing are left out.
    pub(crate) topics: BTreeMap<String, Held>,
    /// Fingerprints with features: bins that closed.
    pub(crate) closes: u64,
    pub(crate) predictions: u64,
    /// By step: from the append of each sample that closed a bin to the append of its prediction, in ms.
    pub(crate) waits_ms: BTreeMap<i64, Vec<i64>>,
}

impl Found {
    /// Reads all topics.
    pub(crate) fn on(bus: &dyn Bus) -> Self {
        let mut found = Self::default();
        let mut closes: HashMap<Place, Option<i64>> = HashMap::new();
        found.read(bus, topics::FINGERPRINTS, |record| {
            let fingerprint: Fingerprint = decoded(record);
            if fingerprint.has_features() {
                closes.extend(place(&fingerprint.workload, fingerprint.at).map(|place| (place, None)));
            }
        });
        found.closes = closes.len() as u64;
        found.read(bus, topics::RAW_KPIS, |record| {
            let sample: Sample = decoded(record);
            if let Some(appended) = place(&sample.workload, sample.at).and_then(|place| closes.get_mut(&place)) {
                *appended = Some(record.appended_at_ms);
            }
        });
        let mut waits_ms: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        found.read(bus, topics::PREDICTIONS, |record| {
            let prediction: Prediction = decoded(record);
            let Some(place) = place(&prediction.workload, prediction.made_at) else { return };
            if let Some(Some(appended)) = closes.get(&place) {
                waits_ms.entry(place.1).or_default().push(record.appended_at_ms - appended);
            }
        });
        found.waits_ms = waits_ms;
        found.predictions = found.topics.get(topics::PREDICTIONS).map_or(0, |held| held.records);
        for (topic, _) in bus.topics().expect("the topics are listed") {
            if !found.topics.contains_key(&topic) {
                found.read(bus, &topic, |_| ());
            }
        }
        found.topics.retain(|_, held| held.records > 0);
        found
    }

    /// Predictions that follow from the close of a bin.
    pub(crate) fn at_closes(&self) -> u64 {
        self.waits_ms.values().map(|waits| waits.len() as u64).sum()
    }

    /// The waits of all steps from that one on, in ms, ascending.
    pub(crate) fn waits_from(&self, step: i64) -> Vec<i64> {
        let mut waits: Vec<i64> = self.waits_ms.range(step..).flat_map(|(_, waits)| waits).copied().collect();
        waits.sort_unstable();
        waits
    }

    /// What each topic has of each sample.
    pub(crate) fn print_topics(&self, samples: u64) {
        println!("{:<24} {:>12} {:>16} {:>16}", "topic", "records", "records/sample", "B/sample as read");
        for (topic, Held { records, bytes }) in &self.topics {
            let of = |number: u64| number as f64 / samples as f64;
            println!("{topic:<24} {records:>12} {:>16.3} {:>16.0}", of(*records), of(*bytes));
        }
    }

    fn read(&mut self, bus: &dyn Bus, topic: &str, mut each: impl FnMut(&ConsumedRecord)) {
        let mut held = Held::default();
        let mut reader = bus.reader(topic, ReadFrom::Earliest).expect("the topic is there");
        loop {
            let (records, caught_up) = reader.poll(PAGE_RECORDS, READ_WITHIN).expect("the topic is readable");
            for record in &records {
                held.records += 1;
                held.bytes += bytes(record);
                each(record);
            }
            if caught_up == CaughtUp::Yes {
                break;
            }
        }
        self.topics.insert(topic.to_owned(), held);
    }
}

/// The value that a share of ascending ones does not pass, by nearest rank; 0 where there is none.
pub(crate) fn quantile(ascending: &[i64], share: f64) -> i64 {
    let rank = (share * ascending.len() as f64).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// The step since [`START_S`] that an instant lies in.
pub(crate) fn step_of(at: EventTime) -> i64 {
    at.bin(STEP_S) - EventTime::from_s(START_S).bin(STEP_S)
}

/// The value of a record.
pub(crate) fn decoded<C: Contract>(record: &ConsumedRecord) -> C {
    C::decode(record.value.as_deref().expect("a value")).expect("it can be decoded")
}

fn place(workload: &WorkloadId, at: EventTime) -> Option<Place> {
    Some((Crowd::number_of(workload)?, step_of(at)))
}

fn bytes(record: &ConsumedRecord) -> u64 {
    let headers: usize = record.headers.iter().map(|header| header.name.len() + header.value.len()).sum();
    let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    (headers + of(&record.key) + of(&record.value)) as u64
}
