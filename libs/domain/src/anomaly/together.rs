//! How KPIs deviate together: of deviations from what is expected, those that do not fit each other count for more.
//!
//! Squared deviations are whitened by their covariance (Mahalanobis 1936). In the directions in which KPIs always move
//! together much is nothing new; across them little is, which is what a residual of principal components tells as well.

use bitcode::{Decode, Encode};

/// Added to each KPI's variance: no direction is so narrow that rounding stands out in it.
const RIDGE: f64 = 0.1;

/// Mean squares from which on less is learnt.
const LEARNT_MOST_BELOW: f64 = 9.0;

/// The covariance of deviations of so many KPIs: its lower triangle, row by row.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Together {
    triangle: Box<[f32]>,
}

/// What is found at a close.
#[derive(Clone, Debug)]
pub(super) struct Whitened {
    /// Whitened squares a KPI; 1 is usual.
    pub(super) mean_square: f64,
    /// Of the sum, what each KPI adds, by its place.
    pub(super) parts: Vec<f64>,
}

/// Where row and column of a lower triangle are.
fn place(row: usize, column: usize) -> usize {
    let (row, column) = (row.max(column), row.min(column));
    row * (row + 1) / 2 + column
}

impl Whitened {
    /// Of deviations that are taken each for itself.
    pub(super) fn squares(known: &[(usize, f64)], kpis: usize) -> Self {
        let mut parts = vec![0.0; kpis];
        known.iter().for_each(|(kpi, deviation)| parts[*kpi] = deviation * deviation);
        Self { mean_square: parts.iter().sum::<f64>() / known.len().max(1) as f64, parts }
    }
}

impl Together {
    /// Of KPIs that do not move together.
    pub(super) fn apart(kpis: usize) -> Self {
        let mut triangle = vec![0.0; kpis * (kpis + 1) / 2].into_boxed_slice();
        (0..kpis).for_each(|kpi| triangle[place(kpi, kpi)] = 1.0);
        Self { triangle }
    }

    /// Has other KPIs: each goes on as the one in that place.
    pub(super) fn rearranged(&self, places: &[Option<usize>]) -> Self {
        let mut other = Self::apart(places.len());
        for (row, row_before) in places.iter().enumerate() {
            for (column, column_before) in places.iter().enumerate().take(row + 1) {
                if let (Some(row_before), Some(column_before)) = (row_before, column_before) {
                    other.triangle[place(row, column)] = self.triangle[place(*row_before, *column_before)];
                }
            }
        }
        other
    }

    /// Whitens the deviations of those KPIs that have one, and learns from them a share of what is new. `kpis` is how
    /// many there are; where there is one, its own spread has done all that whitening does.
    pub(super) fn whiten_and_learn(&mut self, known: &[(usize, f64)], kpis: usize, share: f64) -> Whitened {
        let whitened = if kpis > 1 { self.whiten(known, kpis) } else { Whitened::squares(known, kpis) };
        self.learn(known, kpis, share, whitened.mean_square);
        whitened
    }

    fn whiten(&self, known: &[(usize, f64)], kpis: usize) -> Whitened {
        let count = known.len();
        // Cholesky's factor of the covariance of those that are known, row by row.
        let mut factor = vec![0.0; count * (count + 1) / 2];
        for row in 0..count {
            for column in 0..=row {
                let mut left = f64::from(self.triangle[place(known[row].0, known[column].0)]);
                left += if row == column { RIDGE } else { 0.0 };
                for inner in 0..column {
                    left -= factor[place(row, inner)] * factor[place(column, inner)];
                }
                factor[place(row, column)] =
                    if row == column { left.max(RIDGE / 2.0).sqrt() } else { left / factor[place(column, column)] };
            }
        }
        let mut solved: Vec<f64> = known.iter().map(|(_, deviation)| *deviation).collect();
        for row in 0..count {
            for column in 0..row {
                solved[row] -= factor[place(row, column)] * solved[column];
            }
            solved[row] /= factor[place(row, row)];
        }
        let mean_square = solved.iter().map(|part| part * part).sum::<f64>() / count.max(1) as f64;
        for row in (0..count).rev() {
            for column in row + 1..count {
                solved[row] -= factor[place(column, row)] * solved[column];
            }
            solved[row] /= factor[place(row, row)];
        }
        let mut parts = vec![0.0; kpis];
        for ((kpi, deviation), solved) in known.iter().zip(solved) {
            parts[*kpi] = (deviation * solved).max(0.0);
        }
        Whitened { mean_square, parts }
    }

    /// Less is learnt from what is far out. Of a KPI without a deviation its variance stays, and what it has with the
    /// others shrinks by the root of what they keep: that scales the covariance on both sides and adds a square, so that it
    /// stays one whichever KPIs are missing when.
    fn learn(&mut self, known: &[(usize, f64)], kpis: usize, share: f64, mean_square: f64) {
        let share = share / (1.0 + mean_square / LEARNT_MOST_BELOW);
        let kept = (1.0 - share).max(0.0).sqrt();
        let mut deviations = vec![None; kpis];
        known.iter().for_each(|(kpi, deviation)| deviations[*kpi] = Some(*deviation));
        for (row, of_row) in deviations.iter().enumerate() {
            for (column, of_column) in deviations[..=row].iter().enumerate() {
                let entry = &mut self.triangle[place(row, column)];
                let before = f64::from(*entry);
                *entry = match (of_row, of_column) {
                    (Some(of_row), Some(of_column)) => before + share * (of_row * of_column - before),
                    (None, None) => before,
                    _ => kept * before,
                } as f32;
            }
        }
    }

    /// Bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.triangle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By numpy 2.4 and scipy 1.17: `z @ solve(C + .1 I, z) / n` of those that are known, and then
    /// `C = D C D + s z zᵀ`, whose least eigenvalue is .112539 in the end.
    #[test]
    fn it_is_what_numpy_makes_of_kpis_that_are_missing_at_times() {
        let mut together = Together::apart(3);
        let mut squares = Vec::new();
        for t in 0..60 {
            let at = f64::from(t);
            let all = [(1.3 * at).sin(), (1.3 * at).sin() + 0.3 * (2.9 * at).cos(), 2.0 * (0.7 * at).cos()];
            let is_known = [true, t % 3 != 1, t % 4 != 2];
            let known: Vec<(usize, f64)> = all.into_iter().enumerate().filter(|(kpi, _)| is_known[*kpi]).collect();
            squares.push(together.whiten_and_learn(&known, 3, 0.1).mean_square);
        }
        let golden = [(0, 1.239394), (1, 1.316614), (2, 0.430214), (20, 0.402764), (40, 1.79366), (59, 1.404882)];
        for (t, expected) in golden {
            assert!((squares[t] - expected).abs() < 1e-4, "{t}: {} and {expected}", squares[t]);
        }
    }

    /// A step of learning, with those KPIs that have a deviation.
    fn steps() -> impl Strategy<Value = Vec<Vec<Option<f64>>>> {
        prop::collection::vec(prop::collection::vec(prop::option::weighted(0.6, -30.0f64..30.0), 4), 1..80)
    }

    proptest! {
        /// Of a covariance every leading minor is at least 0, which is that Cholesky's pivots are.
        #[test]
        fn it_stays_a_covariance_whichever_kpis_are_missing(steps in steps(), share in 0.01f64..1.0) {
            let mut together = Together::apart(4);
            for step in steps {
                let known: Vec<(usize, f64)> =
                    step.iter().enumerate().filter_map(|(kpi, deviation)| Some((kpi, (*deviation)?))).collect();
                let found = together.whiten_and_learn(&known, 4, share);
                prop_assert!(found.mean_square.is_finite() && found.mean_square >= 0.0, "{:?}", found);
            }
            let entry = |row, column| f64::from(together.triangle[place(row, column)]);
            let mut factor = [[0.0f64; 4]; 4];
            for row in 0..4 {
                for column in 0..=row {
                    let inner: f64 = (0..column).map(|inner| factor[row][inner] * factor[column][inner]).sum();
                    let ridge = if row == column { 1e-2 } else { 0.0 };
                    let left = entry(row, column) + ridge - inner;
                    if row == column {
                        prop_assert!(left > 0.0, "{} of {:?}", left, together);
                        factor[row][row] = left.sqrt();
                    } else {
                        factor[row][column] = left / factor[column][column];
                    }
                }
            }
        }
    }
}
