//! The instants that a prediction tells of, and what was measured at each: those between it and the one before, which
//! nothing was forecast as of, and its own.

use super::{Prediction, Reading, ResourceForecast};
use crate::kpi;
use crate::sample::Capacity;
use crate::time::EventTime;
use std::iter::once;

/// What was measured at one instant that a prediction tells of.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    prediction: &'a Prediction,
    /// `None` at the prediction's own instant.
    reading: Option<&'a Reading>,
}

impl Prediction {
    /// All instants that it tells of, its own last.
    pub fn moments(&self) -> impl Iterator<Item = Moment<'_>> {
        self.earlier_moments().chain(once(self.moment()))
    }

    /// The instants between the prediction before it and its own.
    pub fn earlier_moments(&self) -> impl Iterator<Item = Moment<'_>> {
        let before = self.earlier.iter().filter(move |reading| reading.at < self.made_at);
        before.map(move |reading| Moment { prediction: self, reading: Some(reading) })
    }

    /// Its own instant.
    pub fn moment(&self) -> Moment<'_> {
        Moment { prediction: self, reading: None }
    }
}

impl<'a> Moment<'a> {
    /// The instant.
    pub fn at(&self) -> EventTime {
        self.reading.map_or(self.prediction.made_at, |reading| reading.at)
    }

    /// The prediction that tells of it.
    pub fn prediction(&self) -> &'a Prediction {
        self.prediction
    }

    /// Whether it lies before the prediction's own instant.
    pub fn is_earlier(&self) -> bool {
        self.reading.is_some()
    }

    /// Each resource of the prediction with its demand at the instant; `None` when missing.
    pub fn demands(&self) -> impl Iterator<Item = (&'a ResourceForecast, Option<f64>)> {
        let Self { prediction, reading } = *self;
        prediction.resources.iter().enumerate().map(move |(place, forecast)| {
            let demand = match reading {
                Some(reading) => reading.resources.get(place).copied().flatten(),
                None => forecast.last,
            };
            (forecast, demand)
        })
    }

    /// Demand of the resource of that name; `None` when missing.
    pub fn demand(&self, resource: &str) -> Option<f64> {
        self.demands().find(|(forecast, _)| forecast.resource.as_str() == resource).and_then(|(_, demand)| demand)
    }

    /// Greatest demand of the resource of that name within the step, as its signal says ([`kpi::maximum_of`]); the demand
    /// itself where none says more. `None` when the demand is missing.
    pub fn greatest(&self, resource: &str) -> Option<f64> {
        let demand = self.demand(resource)?;
        let told = kpi::maximum_of(resource).and_then(|name| self.signal(name)).filter(|told| told.is_finite());
        Some(told.map_or(demand, |told| told.max(demand)))
    }

    /// Value of the signal of that name; `None` when missing.
    pub fn signal(&self, name: &str) -> Option<f64> {
        let place = self.prediction.signals.iter().position(|signal| signal.name.as_str() == name)?;
        match self.reading {
            Some(reading) => reading.signals.get(place).copied().flatten(),
            None => self.prediction.signals[place].last,
        }
    }

    /// The capacity at the instant, where it is known; `before` is what the prediction before said, which held until
    /// this one.
    pub fn capacity<'c>(&self, before: Option<&'c Capacity>) -> Option<&'c Capacity>
    where
        'a: 'c,
    {
        if self.is_earlier() { before } else { self.prediction.capacity.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kpi::{CPU_CORES_USED, KpiName, LATENCY_MS, MEMORY_BYTES};
    use crate::policy::fixtures::{capacity, prediction};
    use crate::prediction::Signal;

    #[test]
    fn what_was_used_at_most_is_told_by_its_signal_and_never_less_than_the_mean() {
        let mut made = prediction("web", 240, 1.0, 1.0, 4);
        (made.resources[0].last, made.resources[1].last) = (Some(3.0), None);
        let signal = |name: &str, last: f64| {
            let (name, unit) = (KpiName::new(name), "1".into());
            Signal { name, unit, last: Some(last), short_mean: None, long_p95: None }
        };
        assert_eq!(made.moment().greatest(CPU_CORES_USED), Some(3.0));
        made.signals = vec![signal(kpi::CPU_CORES_USED_MAX, 3.5), signal(kpi::MEMORY_BYTES_MAX, 9.0)];
        assert_eq!(made.moment().greatest(CPU_CORES_USED), Some(3.5));
        assert_eq!(made.moment().greatest(MEMORY_BYTES), None, "what has no mean was not measured");
        made.signals[0].last = Some(2.0);
        assert_eq!(made.moment().greatest(CPU_CORES_USED), Some(3.0));
    }

    #[test]
    fn earlier_instants_come_first_with_what_was_measured_then() {
        let mut made = prediction("web", 240, 1.0, 1.0, 4);
        (made.resources[0].last, made.resources[1].last) = (Some(3.0), None);
        let (name, last) = (KpiName::new(LATENCY_MS), Some(30.0));
        made.signals = vec![Signal { name, unit: "ms".into(), last, short_mean: None, long_p95: None }];
        let reading = |at_s: i64, resources: Vec<Option<f64>>, latency_ms: Option<f64>| Reading {
            at: EventTime::from_s(at_s),
            resources,
            signals: vec![latency_ms],
        };
        made.earlier = vec![
            reading(120, vec![Some(1.0), Some(9.0)], Some(10.0)),
            reading(180, vec![None], None),
            reading(240, vec![Some(7.0)], None),
        ];
        let told: Vec<_> = made
            .moments()
            .map(|m| (m.at().as_ms() / 1000, m.demand(CPU_CORES_USED), m.demand(MEMORY_BYTES), m.signal(LATENCY_MS)))
            .collect();
        let wanted =
            [(120, Some(1.0), Some(9.0), Some(10.0)), (180, None, None, None), (240, Some(3.0), None, Some(30.0))];
        assert_eq!(told, wanted, "what is not before the prediction's own instant is left out");
        let before = capacity(2);
        let replicas = |m: Moment<'_>| m.capacity(Some(&before)).map(|c| c.replicas);
        assert_eq!(made.moments().map(replicas).collect::<Vec<_>>(), [Some(2), Some(2), Some(4)]);
        assert_eq!((made.moment().demand("nothing"), made.moment().signal("nothing")), (None, None));
    }
}
