//! Chance that can be repeated: what a scenario does follows from one number.

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
    pub fn millis(&mut self, range: std::ops::Range<usize>) -> std::time::Duration {
        std::time::Duration::from_millis(self.among(range) as u64)
    }
}
