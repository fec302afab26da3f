//! How single samples scatter about the mean of their bin. Forecasts are of bins' means, so a sample outside their
//! interval surprises only when it lies further out than samples do anyhow.

use bitcode::{Decode, Encode};

/// Half-life of what closed bins say, in bins: a day.
const HALF_LIFE_BINS: f64 = 288.0;

/// Standard deviations of a sample about its bin's mean that are nothing new: 95 of 100 on either side of the normal
/// distribution.
const DEVIATIONS: f64 = 1.645;

/// The open bin's samples, and the scatter of those of the closed ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Scatter {
    count: u32,
    mean: f32,
    /// Sum of squared deviations from the mean (Welford 1962).
    squares: f32,
    /// Weighted sums of the closed bins' variances and of the weights. 32 bits do: it is a measure of what is common.
    variance: f32,
    weight: f32,
}

impl Scatter {
    /// Takes a sample of the open bin.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let (value, count) = (value as f32, self.count as f32);
        let deviation = value - self.mean;
        self.mean += deviation / count;
        self.squares += deviation * (value - self.mean);
    }

    /// Closes the bin. One of a single sample says nothing.
    pub fn close(&mut self) {
        if self.count > 1 {
            let keep = 0.5f64.powf(1.0 / HALF_LIFE_BINS) as f32;
            let variance = self.squares / (self.count - 1) as f32;
            if variance.is_finite() {
                (self.variance, self.weight) = (keep * self.variance + variance, keep * self.weight + 1.0);
            }
        }
        (self.count, self.mean, self.squares) = (0, 0.0, 0.0);
    }

    /// How far from its bin's mean a sample commonly is, in the unit of the demand; 0 where that is not known.
    pub fn reach(&self) -> f64 {
        if self.weight > 0.0 { DEVIATIONS * f64::from(self.variance / self.weight).sqrt() } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_standard_deviation_within_bins_whatever_lies_between_them() {
        let mut scatter = Scatter::default();
        assert_eq!(scatter.reach(), 0.0);
        for bin in 0..50 {
            for value in [1.0, 2.0, 3.0] {
                scatter.add(f64::from(bin) * 100.0 + value);
            }
            scatter.close();
        }
        assert!((scatter.reach() - DEVIATIONS).abs() < 1e-3, "{}", scatter.reach());
        scatter.add(9.0);
        scatter.close();
        assert!((scatter.reach() - DEVIATIONS).abs() < 1e-3, "one sample says nothing");
    }
}
