//! How far a ratio of sums could have come out otherwise, by the bootstrap over blocks of time.
//!
//! Losses of neighbouring bins and of workloads at the same time depend on each other, so whole blocks of
//! time with all workloads are drawn: blocks that do not overlap (Carlstein 1986), or such as may begin anywhere
//! (Künsch 1989, "The jackknife and the bootstrap for general stationary observations").

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Blocks below which no interval is given.
pub const BLOCKS_MIN: usize = 5;

/// Samples that are drawn.
const DRAWS: usize = 1000;

/// The 95 % percentile interval of `Σ numerator / Σ denominator` over blocks, each (numerator, denominator).
/// The same blocks give the same interval. `None` below [`BLOCKS_MIN`] blocks or when a denominator's sum
/// is not above zero.
pub fn ratio_interval(blocks: &[(f64, f64)]) -> Option<(f64, f64)> {
    moving_ratio_interval(blocks, 1)
}

/// As [`ratio_interval`], over times of one length (such as days) in their order: blocks of `block` of them that
/// begin at any time are drawn, until there are as many times as there were. `None` below [`BLOCKS_MIN`] times, or
/// below as many blocks that differ.
pub fn moving_ratio_interval(times: &[(f64, f64)], block: usize) -> Option<(f64, f64)> {
    let block = block.max(1);
    let begins = (times.len() + 1).saturating_sub(block);
    if times.len() < BLOCKS_MIN || begins < BLOCKS_MIN {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(times.len() as u64);
    let mut ratios = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let (mut numerator, mut denominator) = (0.0, 0.0);
        let mut left = times.len();
        while left > 0 {
            let begin = (rng.next_u64() % begins as u64) as usize;
            for (n, d) in &times[begin..begin + block.min(left)] {
                (numerator, denominator) = (numerator + n, denominator + d);
            }
            left -= block.min(left);
        }
        let ratio = numerator / denominator;
        if !ratio.is_finite() || denominator <= 0.0 {
            return None;
        }
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    Some((ratios[DRAWS / 40 - 1], ratios[DRAWS - DRAWS / 40]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    /// Of intervals for a mean of known distribution about 95 % hold it.
    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut held = 0;
        for _ in 0..400 {
            let blocks: Vec<(f64, f64)> = (0..40)
                .map(|_| {
                    let noise: f64 = StandardNormal.sample(&mut rng);
                    (5.0 + noise, 10.0)
                })
                .collect();
            let (low, high) = ratio_interval(&blocks).unwrap();
            held += u32::from((low..=high).contains(&0.5));
        }
        assert!((360..=396).contains(&held), "{held} of 400");
    }

    /// Neighbouring times that miss together: blocks keep that, single times take it for more knowledge than it is.
    #[test]
    fn moving_blocks_widen_the_interval_of_times_that_depend_on_each_other() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (mut held, mut single) = (0, 0);
        for _ in 0..200 {
            let mut noise = 0.0;
            let times: Vec<(f64, f64)> = (0..120)
                .map(|_| {
                    let fresh: f64 = StandardNormal.sample(&mut rng);
                    noise = 0.7 * noise + fresh;
                    (10.0 + noise, 20.0)
                })
                .collect();
            let holds = |interval: Option<(f64, f64)>| {
                let (low, high) = interval.unwrap();
                u32::from((low..=high).contains(&0.5))
            };
            held += holds(moving_ratio_interval(&times, 10));
            single += holds(moving_ratio_interval(&times, 1));
        }
        assert!(held >= 164 && held > single + 20, "{held} and {single} of 200");
    }

    #[test]
    fn too_few_blocks_give_none() {
        assert_eq!(moving_ratio_interval(&[(1.0, 2.0); 9], 6), None);
        assert_eq!(moving_ratio_interval(&[(1.0, 2.0); 9], 5), Some((0.5, 0.5)));
        assert_eq!(ratio_interval(&[(1.0, 2.0); BLOCKS_MIN - 1]), None);
        assert_eq!(ratio_interval(&[(1.0, 0.0); 9]), None);
        assert_eq!(ratio_interval(&[(1.0, 2.0); 9]), Some((0.5, 0.5)));
    }
}
