//! Random numbers by address, and smooth noise made of them. It must not know what they are for.
//!
//! A number follows from a key and an index alone, so that any value of the fleet can be computed
//! without the ones before it, and in any order.

/// A stream of random numbers that is read by index. The mixing is the finaliser of SplitMix64
/// (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    key: u64,
}

impl Draw {
    /// The stream of a seed.
    pub const fn seeded(seed: u64) -> Self {
        Self { key: mixed(seed) }
    }

    /// A stream of its own for `name`, a number that is unique among the streams made of this one.
    pub const fn stream(self, name: u64) -> Self {
        Self { key: mixed(self.key ^ mixed(name)) }
    }

    /// A number in [0, 1).
    pub fn unit(self, index: i64) -> f64 {
        (mixed(self.key ^ mixed(index as u64)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in [low, high).
    pub fn between(self, index: i64, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit(index)
    }

    /// A number in [low, high), both above zero, whose logarithm is evenly spread.
    pub fn log_between(self, index: i64, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.unit(index))
    }

    /// A whole number in [low, high).
    pub fn whole(self, index: i64, low: i64, high: i64) -> i64 {
        low + (self.unit(index) * (high - low) as f64) as i64
    }

    /// True with this probability.
    pub fn chance(self, index: i64, probability: f64) -> bool {
        self.unit(index) < probability
    }

    /// White noise: mean 0, standard deviation 1, within ±3.5 (a sum of four uniform numbers).
    pub fn white(self, index: i64) -> f64 {
        let sum: f64 = (0..4).map(|part| self.stream(part).unit(index)).sum();
        (sum - 2.0) * 3.0f64.sqrt()
    }

    /// Smooth noise with mean 0 and standard deviation about 1: numbers drawn each `period_s`
    /// seconds, joined by smoothstep (value noise; Ebert et al., "Texturing and Modeling", ch. 2).
    pub fn smooth(self, at_s: i64, period_s: i64) -> f64 {
        let (cell, into) = (at_s.div_euclid(period_s), at_s.rem_euclid(period_s) as f64 / period_s as f64);
        let weight = into * into * (3.0 - 2.0 * into);
        let (left, right) = (self.between(cell, -1.0, 1.0), self.between(cell + 1, -1.0, 1.0));
        2.0 * (left + (right - left) * weight)
    }

    /// Smooth noise on several scales, standard deviation about 1: `octaves` layers, each twice as
    /// slow as the one before and `gain` times as strong. Gain 1.4 has about the spectrum of a
    /// random walk (Musgrave's fractional Brownian motion, ibid., ch. 16), but stays within bounds.
    pub fn fractal(self, at_s: i64, period_s: i64, octaves: u32, gain: f64) -> f64 {
        let (mut sum, mut power, mut strength) = (0.0, 0.0, 1.0);
        for octave in 0..octaves {
            sum += strength * self.stream(u64::from(octave)).smooth(at_s, period_s << octave);
            power += strength * strength;
            strength *= gain;
        }
        sum / f64::sqrt(power)
    }
}

const fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn moments(values: impl Iterator<Item = f64>) -> (f64, f64) {
        let values: Vec<f64> = values.collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance.sqrt())
    }

    #[test]
    fn the_first_output_of_splitmix64_is_as_published() {
        // java.util.SplittableRandom and the reference C of Vigna give this for state 0.
        assert_eq!(mixed(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn noise_has_the_moments_that_it_says() {
        let draw = Draw::seeded(7);
        let (mean, deviation) = moments((0..50_000).map(|i| draw.white(i)));
        assert!(mean.abs() < 0.02 && (deviation - 1.0).abs() < 0.02, "{mean} {deviation}");
        let (mean, deviation) = moments((0..200_000).map(|i| draw.smooth(i * 30, 300)));
        assert!(mean.abs() < 0.03 && (deviation - 1.0).abs() < 0.03, "{mean} {deviation}");
        let (mean, deviation) = moments((0..400_000).map(|i| draw.fractal(i * 60, 300, 4, 0.7)));
        assert!(mean.abs() < 0.05 && (deviation - 1.0).abs() < 0.05, "{mean} {deviation}");
    }

    #[test]
    fn smooth_noise_is_autocorrelated_and_white_noise_is_not() {
        let draw = Draw::seeded(3);
        let lag_one = |value: &dyn Fn(i64) -> f64| {
            (0..20_000).map(|i| value(i) * value(i + 1)).sum::<f64>()
                / (0..20_000).map(|i| value(i).powi(2)).sum::<f64>()
        };
        assert!(lag_one(&|i| draw.white(i)).abs() < 0.03);
        assert!(lag_one(&|i| draw.smooth(i * 60, 600)) > 0.95);
    }

    proptest! {
        #[test]
        fn numbers_stay_in_their_range(seed: u64, index: i64, name: u64) {
            let draw = Draw::seeded(seed).stream(name);
            prop_assert!((0.0..1.0).contains(&draw.unit(index)));
            prop_assert!((-3.0..5.0).contains(&draw.between(index, -3.0, 5.0)));
            prop_assert!((2.0..=8.0).contains(&draw.log_between(index, 2.0, 8.0)));
            prop_assert!((-2..3).contains(&draw.whole(index, -2, 3)));
            prop_assert!(draw.white(index).abs() <= 3.5);
        }
    }
}
