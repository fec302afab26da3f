//! The series that a sender has, of which there may be so many, and what of it was left out.

use super::series::{FloatSample, Since};
use std::collections::{HashMap, HashSet};

/// A series that is silent for so long, in milliseconds, does not count any more.
const SILENT_MS: i64 = 3_600_000;
/// Silent ones are looked for once in so long, in milliseconds of the newest sample.
const LOOK_EVERY_MS: i64 = 60_000;
/// So many metrics that are left out are told apart.
const LEFT_OUT_MAX: usize = 1_000;

/// The series of one sender.
#[derive(Debug)]
pub(crate) struct Known {
    max: usize,
    by_id: HashMap<u128, Seen>,
    latest_ms: i64,
    looked_ms: i64,
    /// Metrics.
    left_out: HashSet<String>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Instant of its newest sample.
    newest_ms: i64,
    /// Since when its total counts, as far as that was said.
    start_ms: Option<i64>,
    /// Until this instant its samples are the first ones behind a restart.
    restarted_ms: i64,
}

impl Known {
    /// None yet, and so many at most.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, by_id: HashMap::new(), latest_ms: i64::MIN, looked_ms: i64::MIN, left_out: HashSet::new() }
    }

    /// Whether samples of this series are taken: it is known, or there is room for one more. Those behind `latest_ms` tell
    /// nothing: one from a far future would have all others silent.
    pub(crate) fn admit(&mut self, id: u128, samples: &[FloatSample], latest_ms: i64) -> bool {
        let possible = samples.iter().filter(|sample| sample.at_ms <= latest_ms);
        let Some(last) = possible.max_by_key(|sample| sample.at_ms) else { return true };
        self.latest_ms = self.latest_ms.max(last.at_ms);
        if !self.by_id.contains_key(&id) && self.by_id.len() >= self.max && !self.makes_room() {
            return false;
        }
        if last.value.is_nan() {
            self.by_id.remove(&id);
            return true;
        }
        let mut seen = Seen { newest_ms: last.at_ms, start_ms: None, restarted_ms: i64::MIN };
        if let Some(before) = self.by_id.get(&id) {
            (seen.start_ms, seen.restarted_ms) = (before.start_ms, before.restarted_ms);
        }
        if let Since::Total { start_ms } = last.since
            && seen.start_ms.is_none_or(|before| start_ms > before)
        {
            if seen.start_ms.is_some() {
                seen.restarted_ms = last.at_ms;
            }
            seen.start_ms = Some(start_ms);
        }
        self.by_id.insert(id, seen);
        true
    }

    /// Whether a metric is left out for the first time; of very many only the first are told apart.
    pub(super) fn is_first_left_out(&mut self, metric: &str) -> bool {
        let is_new = self.left_out.len() < LEFT_OUT_MAX && !self.left_out.contains(metric);
        is_new && self.left_out.insert(metric.to_owned())
    }

    /// Whether this series is known.
    pub(super) fn has(&self, id: u128) -> bool {
        self.by_id.contains_key(&id)
    }

    /// Whether a sample of that instant is the first one since the total of its series began anew at `start_ms`; it also
    /// is when it comes again.
    pub(super) fn is_first_since_restart(&self, id: u128, at_ms: i64, start_ms: i64) -> bool {
        self.by_id.get(&id).is_some_and(|seen| seen.start_ms == Some(start_ms) && at_ms <= seen.restarted_ms)
    }

    /// Forgets those that are silent; whether there is room then.
    fn makes_room(&mut self) -> bool {
        if self.latest_ms.saturating_sub(self.looked_ms) >= LOOK_EVERY_MS {
            self.looked_ms = self.latest_ms;
            let oldest_ms = self.latest_ms.saturating_sub(SILENT_MS);
            self.by_id.retain(|_, seen| seen.newest_ms >= oldest_ms);
        }
        self.by_id.len() < self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_ended_or_are_silent_make_room() {
        let mut known = Known::new(2);
        let mut admit = |id: u128, at_ms: i64, value: f64| known.admit(id, &[FloatSample::new(at_ms, value)], i64::MAX);
        assert!(admit(1, 0, 1.0) && admit(2, 0, 1.0));
        assert!(!admit(3, 0, 1.0) && admit(1, 1000, 1.0), "those that are known go on");
        assert!(admit(2, 1000, f64::NAN) && admit(3, 1000, 1.0), "one has ended");
        assert!(!admit(4, 2000, 1.0));
        assert!(admit(4, SILENT_MS + 2000, 1.0), "the others are silent");
    }

    #[test]
    fn a_sample_from_the_future_makes_no_room_and_keeps_none() {
        let mut known = Known::new(1);
        let mut admit = |id: u128, at_ms: i64| known.admit(id, &[FloatSample::new(at_ms, 1.0)], SILENT_MS + 9000);
        assert!(admit(1, 0) && admit(2, i64::MAX), "it is refused by itself");
        assert!(!admit(3, 1000), "the first is there");
        assert!(admit(3, SILENT_MS + 2000), "the first is silent");
    }

    #[test]
    fn a_later_start_is_a_restart_and_stays_one_when_it_comes_again() {
        let mut known = Known::new(2);
        let mut is_first = |at_ms: i64, start_ms: i64| {
            let sample = FloatSample { since: Since::Total { start_ms }, ..FloatSample::new(at_ms, 1.0) };
            assert!(known.admit(7, &[sample], i64::MAX));
            known.is_first_since_restart(7, at_ms, start_ms)
        };
        assert!(!is_first(1000, 10), "it is the first that is heard of");
        assert!(!is_first(2000, 10));
        assert!(is_first(3000, 2500) && is_first(3000, 2500));
        assert!(!is_first(4000, 2500) && !is_first(5000, 10), "a start does not go back");
    }
}
