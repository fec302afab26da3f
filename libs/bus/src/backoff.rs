//! Pauses between tries of what failed: each twice as long as the one before, up to a bound, and each drawn from its
//! upper half, so that those who lost the same peer do not all come back at once. Knows no clock and does not wait.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Pauses that grow. The same seed gives the same ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    /// State of SplitMix64.
    state: u64,
}

impl Backoff {
    /// Pauses of at most `first`, then at most twice that, and so on up to `longest`. Instances that wait for the same
    /// peer need seeds of their own: [`seed_of`] a name that no other one has, or [`any_seed`].
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, next: first, state: seed }
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next.mul_f64(0.5 + self.draw() / 2.0);
        self.next = (self.next * 2).min(self.longest);
        pause
    }

    /// Something succeeded: the pauses are short again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// A number from 0 up to, not including, 1.
    fn draw(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mixed(self.state) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A seed that follows from a name.
pub fn seed_of(name: &str) -> u64 {
    name.bytes().fold(0, |seed, byte| mixed(seed ^ u64::from(byte)).wrapping_add(1))
}

/// A seed that differs from process to process and from call to call.
pub fn any_seed() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// The mixing function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(30);

    fn pauses(seed: u64) -> Vec<Duration> {
        let mut backoff = Backoff::new(FIRST, LONGEST, seed);
        (0..40).map(|_| backoff.pause()).collect()
    }

    #[test]
    fn pauses_double_up_to_their_bound_and_lie_in_their_upper_half() {
        for seed in 0..200 {
            let mut most = FIRST;
            for pause in pauses(seed) {
                assert!(pause >= most / 2 && pause <= most, "{pause:?} of at most {most:?}");
                most = (most * 2).min(LONGEST);
            }
        }
    }

    #[test]
    fn pauses_are_spread_over_that_half() {
        let last: Vec<f64> = (0..200).map(|seed| pauses(seed)[39].as_secs_f64()).collect();
        assert!(last.iter().any(|s| *s < 17.0) && last.iter().any(|s| *s > 28.0), "{last:?}");
    }

    #[test]
    fn the_seed_decides_and_names_have_seeds_of_their_own() {
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
        assert_eq!(seed_of("planner 1"), seed_of("planner 1"));
        assert_ne!(seed_of("planner 1"), seed_of("planner 2"));
        assert_ne!(seed_of(""), seed_of("\0"));
        assert_ne!(any_seed(), any_seed());
    }

    #[test]
    fn after_a_success_they_begin_anew() {
        let mut backoff = Backoff::new(FIRST, LONGEST, 1);
        for _ in 0..9 {
            backoff.pause();
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}
