//! Means and co-moments of pairs, one pair at a time and mergeable.

use bitcode::{Decode, Encode};

/// Count, means and central (co-)moments of pairs (x, y).
///
/// Added to one pair at a time after Welford, merged after Chan, Golub and LeVeque 1983
/// ("Algorithms for computing the sample variance") and, for the co-moment, Pébay 2008
/// ("Formulas for robust, one-pass parallel computation of covariances and arbitrary-order
/// statistical moments").
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct CoMoments {
    /// Number of pairs.
    pub count: u64,
    /// Mean of x.
    pub x_mean: f64,
    /// Mean of y.
    pub y_mean: f64,
    /// Sum of squared deviations of x.
    pub x_m2: f64,
    /// Sum of squared deviations of y.
    pub y_m2: f64,
    /// Sum of products of deviations.
    pub xy: f64,
}

/// A least-squares line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Slope, in units of y per unit of x.
    pub slope: f64,
    /// Standard error of the slope; `None` below three pairs.
    pub slope_std_err: Option<f64>,
    /// Share of y's variance that the line explains; `None` when y does not vary.
    pub r2: Option<f64>,
}

impl CoMoments {
    /// Adds one pair.
    pub fn push(&mut self, x: f64, y: f64) {
        self.count += 1;
        let n = self.count as f64;
        let (dx, dy) = (x - self.x_mean, y - self.y_mean);
        self.x_mean += dx / n;
        self.y_mean += dy / n;
        self.x_m2 += dx * (x - self.x_mean);
        self.y_m2 += dy * (y - self.y_mean);
        self.xy += dx * (y - self.y_mean);
    }

    /// Adds all pairs of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let (n, m) = (self.count as f64, other.count as f64);
        let (dx, dy) = (other.x_mean - self.x_mean, other.y_mean - self.y_mean);
        let share = m / (n + m);
        self.count += other.count;
        self.x_mean += dx * share;
        self.y_mean += dy * share;
        self.x_m2 += other.x_m2 + dx * dx * n * share;
        self.y_m2 += other.y_m2 + dy * dy * n * share;
        self.xy += other.xy + dx * dy * n * share;
    }

    /// Mean of y.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then_some(self.y_mean)
    }

    /// Sample standard deviation of y (n - 1).
    pub fn std_dev(&self) -> Option<f64> {
        (self.count > 1).then(|| (self.y_m2.max(0.0) / (self.count - 1) as f64).sqrt())
    }

    /// The least-squares line of y over x; `None` when x does not vary.
    pub fn line(&self) -> Option<Line> {
        if self.count < 2 || self.x_m2 <= 0.0 {
            return None;
        }
        let slope = self.xy / self.x_m2;
        let unexplained = (self.y_m2 - slope * self.xy).max(0.0);
        let slope_std_err = (self.count > 2).then(|| (unexplained / (self.count - 2) as f64 / self.x_m2).sqrt());
        let r2 = (self.y_m2 > 0.0).then(|| (slope * self.xy / self.y_m2).clamp(0.0, 1.0));
        Some(Line { slope, slope_std_err, r2 })
    }

    /// Pearson's correlation of x and y; `None` when one of them does not vary.
    pub fn correlation(&self) -> Option<f64> {
        let scale = (self.x_m2 * self.y_m2).sqrt();
        (self.count > 1 && scale > 0.0).then(|| (self.xy / scale).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn merged_parts_are_the_whole(ys in proptest::collection::vec(-1e3f64..1e3, 2..60), cut in 0usize..60) {
            let cut = cut.min(ys.len());
            let mut whole = CoMoments::default();
            let mut parts = [CoMoments::default(); 2];
            for (i, y) in ys.iter().enumerate() {
                whole.push(480_000.0 + i as f64 / 60.0, *y);
                parts[usize::from(i >= cut)].push(480_000.0 + i as f64 / 60.0, *y);
            }
            let mut merged = parts[0];
            merged.merge(&parts[1]);
            prop_assert_eq!(merged.count, whole.count);
            prop_assert!((merged.y_m2 - whole.y_m2).abs() <= 1e-9 * whole.y_m2.max(1.0));
            prop_assert!((merged.x_m2 - whole.x_m2).abs() <= 1e-6 * whole.x_m2.max(1e-3));
            prop_assert!((merged.xy - whole.xy).abs() <= 1e-6 * (whole.x_m2 * whole.y_m2).sqrt().max(1e-3));
        }
    }
}
