//! What was measured at instants that no forecast was made for, until the next prediction takes it along.

use crate::config::Settings;
use bitcode::{Decode, Encode};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::kpi::KpiName;
use prescale_domain::prediction::Reading;
use prescale_domain::time::EventTime;

/// What was measured at an instant.
#[derive(Clone, Debug, Encode, Decode)]
pub struct Held {
    at: EventTime,
    /// By configured resource and then by signal; NaN, which no measurement is, where it is missing.
    values: Box<[f64]>,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        let bits = |held: &Self| held.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        self.at == other.at && bits(self) == bits(other)
    }
}

impl Held {
    /// What a fingerprint says.
    pub fn of(settings: &Settings, fingerprint: &Fingerprint) -> Self {
        let last = |name: &KpiName| fingerprint.kpi(name).and_then(|kpi| kpi.last).unwrap_or(f64::NAN);
        let values = settings.resources.iter().chain(&settings.signals).map(last);
        Self { at: fingerprint.at, values: values.collect() }
    }

    /// Forgets the signals; there are so many now, behind so many resources.
    pub fn forget_signals(&mut self, resources: usize, signals: usize) {
        let mut values = std::mem::take(&mut self.values).into_vec();
        values.truncate(resources);
        values.resize(resources + signals, f64::NAN);
        self.values = values.into();
    }

    /// Has other resources than the so many that it had: each with what the one in that place had.
    pub fn rearrange(&mut self, resources: usize, places: &[Option<usize>]) {
        let of = |place: &Option<usize>| place.and_then(|place| self.at_place(place)).unwrap_or(f64::NAN);
        let signals = self.values.iter().skip(resources).copied();
        self.values = places.iter().map(of).chain(signals).collect();
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.values)
    }

    fn at_place(&self, place: usize) -> Option<f64> {
        self.values.get(place).copied().filter(|value| !value.is_nan())
    }
}

/// What was in these places, in their order, and the default for what has none.
pub fn rearranged<T: Default>(known: &mut [T], places: &[Option<usize>]) -> Vec<T> {
    let mut taken = |place: usize| known.get_mut(place).map(std::mem::take).unwrap_or_default();
    places.iter().map(|place| place.map(&mut taken).unwrap_or_default()).collect()
}

/// As a prediction takes it along that has these of the configured resources and signals; there are `all_resources`.
pub fn readings(held: &[Held], all_resources: usize, resources: &[usize], signals: &[usize]) -> Vec<Reading> {
    let reading = |held: &Held| Reading {
        at: held.at,
        resources: resources.iter().map(|place| held.at_place(*place)).collect(),
        signals: signals.iter().map(|place| held.at_place(all_resources + place)).collect(),
    };
    held.iter().map(reading).collect()
}
