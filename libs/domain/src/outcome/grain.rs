//! The sizes that a capacity can have.

use super::tally::SLACK;

/// The least whole number of grains that covers so many cores, and one at least.
pub fn in_grains(cores: f64, grain_cores: f64) -> f64 {
    (cores / grain_cores * (1.0 - SLACK)).ceil().max(1.0) * grain_cores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capacity_is_a_whole_number_of_grains_that_covers_it() {
        assert_eq!(in_grains(0.07, 0.01), 0.07);
        assert_eq!(in_grains(0.0701, 0.01), 0.08);
        assert_eq!(in_grains(0.0, 0.01), 0.01);
        assert_eq!(in_grains(2.1, 0.5), 2.5);
    }
}
