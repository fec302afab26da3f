//! The series that a sender has, of which there may be so many.

use super::wire::FloatSample;
use std::collections::HashMap;

/// A series that is silent for so long, in milliseconds, does not count any more.
const SILENT_MS: i64 = 3_600_000;
/// Silent ones are looked for once in so long, in milliseconds of the newest sample.
const LOOK_EVERY_MS: i64 = 60_000;

/// The series of one sender.
#[derive(Debug)]
pub(crate) struct Known {
    max: usize,
    /// Instant of the newest sample of each.
    newest_ms: HashMap<u128, i64>,
    latest_ms: i64,
    looked_ms: i64,
}

impl Known {
    /// None yet, and so many at most.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, newest_ms: HashMap::new(), latest_ms: i64::MIN, looked_ms: i64::MIN }
    }

    /// Whether samples of this series are taken: it is known, or there is room for one more.
    pub(crate) fn admit(&mut self, id: u128, samples: &[FloatSample]) -> bool {
        let Some(last) = samples.iter().max_by_key(|sample| sample.at_ms) else { return true };
        self.latest_ms = self.latest_ms.max(last.at_ms);
        if !self.newest_ms.contains_key(&id) && self.newest_ms.len() >= self.max && !self.makes_room() {
            return false;
        }
        if last.value.is_nan() {
            self.newest_ms.remove(&id);
        } else {
            self.newest_ms.insert(id, last.at_ms);
        }
        true
    }

    /// Forgets those that are silent; whether there is room then.
    fn makes_room(&mut self) -> bool {
        if self.latest_ms.saturating_sub(self.looked_ms) >= LOOK_EVERY_MS {
            self.looked_ms = self.latest_ms;
            let oldest_ms = self.latest_ms.saturating_sub(SILENT_MS);
            self.newest_ms.retain(|_, newest_ms| *newest_ms >= oldest_ms);
        }
        self.newest_ms.len() < self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_ended_or_are_silent_make_room() {
        let mut known = Known::new(2);
        let mut admit = |id: u128, at_ms: i64, value: f64| known.admit(id, &[FloatSample { at_ms, value }]);
        assert!(admit(1, 0, 1.0) && admit(2, 0, 1.0));
        assert!(!admit(3, 0, 1.0) && admit(1, 1000, 1.0), "those that are known go on");
        assert!(admit(2, 1000, f64::NAN) && admit(3, 1000, 1.0), "one has ended");
        assert!(!admit(4, 2000, 1.0));
        assert!(admit(4, SILENT_MS + 2000, 1.0), "the others are silent");
    }
}
