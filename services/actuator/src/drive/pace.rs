//! How often a cloud is called: so many times a second, and not at all while it asks to be left alone. Pure.

/// A token bucket that holds what one second gives.
#[derive(Clone, Debug)]
pub struct Pace {
    per_s: f64,
    tokens: f64,
    counted_ms: u64,
    held_until_ms: u64,
}

impl Pace {
    /// Of at most so many calls a second; the first second's may be made at once.
    pub fn new(calls_per_s_max: f64) -> Self {
        Self { per_s: calls_per_s_max, tokens: calls_per_s_max.max(1.0), counted_ms: 0, held_until_ms: 0 }
    }

    /// Whether a call may be made now, which it counts then.
    pub fn take(&mut self, now_ms: u64) -> bool {
        self.fill(now_ms);
        if now_ms < self.held_until_ms || self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }

    /// When the next call may be made, as far as is known.
    pub fn next_ms(&self, now_ms: u64) -> u64 {
        let lacking = (1.0 - self.tokens).max(0.0);
        // No more than a minute, so that no rate leads beyond what can be counted.
        let wait_ms = (lacking / self.per_s * 1000.0).ceil().min(60_000.0);
        self.held_until_ms.max(self.counted_ms.saturating_add(wait_ms as u64)).max(now_ms)
    }

    /// No call is made before `until_ms`.
    pub fn hold(&mut self, until_ms: u64) {
        self.held_until_ms = self.held_until_ms.max(until_ms);
    }

    fn fill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.counted_ms);
        self.counted_ms = self.counted_ms.max(now_ms);
        self.tokens = (self.tokens + passed_ms as f64 / 1000.0 * self.per_s).min(self.per_s.max(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_second_has_more_than_twice_what_one_second_gives(
            per_s in 0.5..50.0f64,
            gaps_ms in prop::collection::vec(0..400u64, 1..300),
        ) {
            let (mut pace, mut now_ms, mut made) = (Pace::new(per_s), 0, Vec::new());
            for gap_ms in gaps_ms {
                now_ms += gap_ms;
                if pace.take(now_ms) {
                    made.push(now_ms);
                } else {
                    prop_assert!(pace.next_ms(now_ms) > now_ms, "it would be asked in a circle");
                }
            }
            for from in &made {
                let within = made.iter().filter(|at| (*from..from + 1000).contains(*at)).count();
                prop_assert!(within as f64 <= 2.0 * per_s.max(1.0) + 1.0, "{within} calls within a second of {per_s}");
            }
        }
    }

    #[test]
    fn a_cloud_that_asks_to_be_left_alone_is() {
        let mut pace = Pace::new(10.0);
        assert!(pace.take(0));
        pace.hold(5000);
        pace.hold(1000);
        assert!(!pace.take(4999));
        assert_eq!(pace.next_ms(4999), 5000);
        assert!(pace.take(5000));
    }
}
