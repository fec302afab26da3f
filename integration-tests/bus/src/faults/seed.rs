//! Chance that can be repeated: what a scenario does follows from one number; and how long it goes on.

use std::time::{Duration, Instant};

/// SplitMix64 (Steele, Lea, Flood).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The chance of one scenario. The seed is `FAULT_SEED`, or 1, and is printed.
    ///
    /// # Panics
    /// When `FAULT_SEED` is no number.
    pub fn of(scenario: &str) -> Self {
        let seed: u64 = std::env::var("FAULT_SEED").map_or(1, |seed| seed.parse().expect("FAULT_SEED is a number"));
        println!("{scenario}: FAULT_SEED={seed}");
        let name = scenario.bytes().fold(0, |hash: u64, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        Self::seeded(seed ^ name.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The chance that follows from this number alone.
    pub fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `range`.
    ///
    /// # Panics
    /// When the range is empty.
    pub fn among(&mut self, range: std::ops::Range<usize>) -> usize {
        let width = range.end.checked_sub(range.start).filter(|w| *w > 0).expect("the range holds a number");
        range.start + (self.next() % width as u64) as usize
    }

    /// So many milliseconds.
    pub fn millis(&mut self, range: std::ops::Range<usize>) -> Duration {
        Duration::from_millis(self.among(range) as u64)
    }
}

/// How long scenarios with random faults go on: `FAULT_MINUTES`, else for a few faults.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    until: Option<Instant>,
    faults: usize,
}

impl Extent {
    /// For so many faults, unless `FAULT_MINUTES` is given.
    ///
    /// # Panics
    /// When `FAULT_MINUTES` is no number.
    pub fn of(faults: usize) -> Self {
        let minutes = std::env::var("FAULT_MINUTES").ok();
        let minutes: Option<u64> = minutes.map(|m| m.parse().expect("FAULT_MINUTES is a number"));
        Self { until: minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes)), faults }
    }

    /// Whether `FAULT_MINUTES` asks for more than a few faults.
    pub fn is_long(&self) -> bool {
        self.until.is_some()
    }

    /// Whether there is time for another pipeline; there is for one.
    pub fn another(&self, faults_so_far: usize) -> bool {
        faults_so_far == 0 || self.until.is_some_and(|until| Instant::now() < until)
    }

    /// How many faults one pipeline goes through before its account.
    pub fn faults(&self) -> usize {
        if self.is_long() { 25 } else { self.faults }
    }
}
