//! How far a ratio of sums could have come out otherwise, by the bootstrap over blocks of time.
//!
//! Losses of neighbouring bins and of workloads at the same time depend on each other, so whole blocks of
//! time with all workloads are drawn (Künsch 1989, "The jackknife and the bootstrap for general stationary
//! observations"; here blocks that do not overlap, Carlstein 1986).

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
    if blocks.len() < BLOCKS_MIN {
        return None;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(blocks.len() as u64);
    let mut ratios = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        let (mut numerator, mut denominator) = (0.0, 0.0);
        for _ in 0..blocks.len() {
            let (n, d) = blocks[(rng.next_u64() % blocks.len() as u64) as usize];
            (numerator, denominator) = (numerator + n, denominator + d);
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

    #[test]
    fn too_few_blocks_give_none() {
        assert_eq!(ratio_interval(&[(1.0, 2.0); BLOCKS_MIN - 1]), None);
        assert_eq!(ratio_interval(&[(1.0, 0.0); 9]), None);
        assert_eq!(ratio_interval(&[(1.0, 2.0); 9]), Some((0.5, 0.5)));
    }
}
