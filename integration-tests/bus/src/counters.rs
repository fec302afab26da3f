//! A metrics recorder that keeps counters in memory, so that a test can read them.

use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

type NameAndLabels = (String, Vec<String>);

/// Counters by name and label values.
#[derive(Debug, Default)]
pub struct Counters {
    counters: Mutex<BTreeMap<NameAndLabels, Arc<Cell>>>,
}

#[derive(Debug, Default)]
struct Cell(AtomicU64);

impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::SeqCst);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::SeqCst);
    }
}

impl Counters {
    /// Value of the counter with these label values, in the order they were given; 0 when absent.
    pub fn value(&self, name: &str, labels: &[&str]) -> u64 {
        let key = (name.to_owned(), labels.iter().map(|l| (*l).to_owned()).collect());
        let counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get(&key).map_or(0, |cell| cell.0.load(Ordering::SeqCst))
    }
}

impl Recorder for Counters {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels = key.labels().map(|l| l.value().to_owned()).collect();
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        Counter::from_arc(Arc::clone(counters.entry((key.name().to_owned(), labels)).or_default()))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
