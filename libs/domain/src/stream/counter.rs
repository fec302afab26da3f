//! A running total to a rate per second.

use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// The last reading of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct CounterReading {
    total: f64,
    at: EventTime,
}

/// What a counter has grown by between readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Growth {
    /// So much.
    pub by: f64,
    /// In so many seconds.
    pub over_s: f64,
}

/// The growth since the reading in `last`, which becomes this one. A total below the last one means
/// that the counter was reset: it then counted from zero, so the growth is what it shows, a lower
/// bound and never negative (Prometheus reads its counters the same way). `None` for the first reading.
pub fn growth(last: &mut Option<CounterReading>, total: f64, at: EventTime) -> Option<Growth> {
    let before = last.replace(CounterReading { total, at })?;
    let over_s = (at.as_ms() - before.at.as_ms()) as f64 / 1000.0;
    if over_s <= 0.0 {
        return None;
    }
    Some(Growth { by: if total < before.total { total } else { total - before.total }, over_s })
}

/// The rate per second since the reading in `last`, as [`growth`] takes it.
pub fn rate_per_s(last: &mut Option<CounterReading>, total: f64, at: EventTime) -> Option<f64> {
    growth(last, total, at).map(|Growth { by, over_s }| by / over_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rate_is_growth_over_time_and_survives_a_reset() {
        let mut last = None;
        let at = EventTime::from_s;
        assert_eq!(rate_per_s(&mut last, 100.0, at(0)), None);
        assert_eq!(rate_per_s(&mut last, 160.0, at(60)), Some(1.0));
        assert_eq!(rate_per_s(&mut last, 30.0, at(120)), Some(0.5));
        assert_eq!(rate_per_s(&mut last, 150.0, at(240)), Some(1.0));
    }

    proptest! {
        #[test]
        fn rate_is_never_negative(totals in proptest::collection::vec(0.0f64..1e18, 1..50)) {
            let mut last = None;
            for (i, total) in totals.into_iter().enumerate() {
                if let Some(rate) = rate_per_s(&mut last, total, EventTime::from_s(60 * i as i64)) {
                    prop_assert!(rate >= 0.0 && rate.is_finite());
                }
            }
        }
    }
}
