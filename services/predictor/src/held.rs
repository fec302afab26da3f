//! What was measured at instants that no forecast was made for, until the next prediction takes it along.

use crate::config::Settings;
use bitcode::{Decode, Encode};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::kpi::KpiName;
use prescale_domain::prediction::Reading;
use prescale_domain::time::EventTime;

/// What was measured at an instant, by configured resource and signal.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Held {
    at: EventTime,
    resources: Box<[Option<f64>]>,
    signals: Box<[Option<f64>]>,
}

impl Held {
    /// What a fingerprint says.
    pub fn of(settings: &Settings, fingerprint: &Fingerprint) -> Self {
        let last = |name: &KpiName| fingerprint.kpi(name)?.last;
        Self {
            at: fingerprint.at,
            resources: settings.resources.iter().map(last).collect(),
            signals: settings.signals.iter().map(last).collect(),
        }
    }

    /// Forgets the signals; there are so many now.
    pub fn forget_signals(&mut self, signals: usize) {
        self.signals = vec![None; signals].into();
    }

    /// Has other resources: each with what the one in that place had.
    pub fn rearrange(&mut self, places: &[Option<usize>]) {
        self.resources = rearranged(&mut self.resources, places).into();
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        (self.resources.len() + self.signals.len()) * size_of::<Option<f64>>()
    }
}

/// What was in these places, in their order, and the default for what has none.
pub fn rearranged<T: Default>(known: &mut [T], places: &[Option<usize>]) -> Vec<T> {
    let mut taken = |place: usize| known.get_mut(place).map(std::mem::take).unwrap_or_default();
    places.iter().map(|place| place.map(&mut taken).unwrap_or_default()).collect()
}

/// As a prediction takes it along that has these of the configured resources and signals.
pub fn readings(held: Vec<Held>, resources: &[usize], signals: &[usize]) -> Vec<Reading> {
    let of = |values: &[Option<f64>], places: &[usize]| {
        places.iter().map(|place| values.get(*place).copied().flatten()).collect()
    };
    let reading = |held: Held| Reading {
        at: held.at,
        resources: of(&held.resources, resources),
        signals: of(&held.signals, signals),
    };
    held.into_iter().map(reading).collect()
}
