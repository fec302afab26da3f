//! Linear least squares with a ridge by the normal equations.

/// The normal equations of a linear model, gathered row by row.
#[derive(Clone, Debug)]
pub(super) struct NormalEquations {
    columns: usize,
    /// X'X by rows, the lower triangle alone.
    gram: Vec<f64>,
    /// X'y.
    moments: Vec<f64>,
    /// y'y.
    square: f64,
    rows: usize,
}

impl NormalEquations {
    pub(super) fn new(columns: usize) -> Self {
        Self { columns, gram: vec![0.0; columns * columns], moments: vec![0.0; columns], square: 0.0, rows: 0 }
    }

    /// Adds a row of X with its y.
    pub(super) fn add(&mut self, row: &[f64], y: f64) {
        for (i, own) in row.iter().enumerate() {
            let cells = &mut self.gram[i * self.columns..][..=i];
            cells.iter_mut().zip(row).for_each(|(cell, other)| *cell += own * other);
            self.moments[i] += own * y;
        }
        self.square += y * y;
        self.rows += 1;
    }

    /// Rows added.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// The b that minimises |y - X b|² + Σ ridge_i b_i². `None` when X'X + ridge is not positive
    /// definite in double precision.
    pub(super) fn solved(&self, ridge: &[f64]) -> Option<Vec<f64>> {
        let columns = self.columns;
        let mut factor = self.gram.clone();
        for (i, ridge) in ridge.iter().enumerate() {
            factor[i * columns + i] += ridge;
        }
        // Cholesky's factor in place of the lower triangle.
        for i in 0..columns {
            for j in 0..=i {
                let (row, other) = (&factor[i * columns..][..j], &factor[j * columns..][..j]);
                let rest = factor[i * columns + j] - dot(row, other);
                factor[i * columns + j] = if i == j {
                    if rest <= 0.0 || !rest.is_finite() {
                        return None;
                    }
                    rest.sqrt()
                } else {
                    rest / factor[j * columns + j]
                };
            }
        }
        let mut solution = self.moments.clone();
        for i in 0..columns {
            let rest = solution[i] - dot(&factor[i * columns..][..i], &solution[..i]);
            solution[i] = rest / factor[i * columns + i];
        }
        for i in (0..columns).rev() {
            let below: f64 = (i + 1..columns).map(|j| factor[j * columns + i] * solution[j]).sum();
            solution[i] = (solution[i] - below) / factor[i * columns + i];
        }
        Some(solution)
    }

    /// |y - X b|², never negative.
    pub(super) fn squares_left(&self, b: &[f64]) -> f64 {
        let fitted: f64 = (0..self.columns)
            .map(|i| {
                let (cells, own) = (&self.gram[i * self.columns..], b[i]);
                own * (2.0 * dot(&cells[..i], &b[..i]) + cells[i] * own - 2.0 * self.moments[i])
            })
            .sum();
        (self.square + fitted).max(0.0)
    }
}

/// Sum of products.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::testing::noise_of;

    #[test]
    fn the_gradient_of_what_is_minimised_is_nothing_at_the_solution() {
        let row = |t: i64| [1.0, t as f64 / 40.0, noise_of(t), noise_of(t + 100)];
        let y = |t: i64| 3.0 - 2.0 * noise_of(t) + noise_of(t + 500);
        let mut equations = NormalEquations::new(4);
        (0..40).for_each(|t| equations.add(&row(t), y(t)));
        let ridge = [0.0, 0.5, 0.0, 2.0];
        let b = equations.solved(&ridge).unwrap();
        for i in 0..4 {
            let error = |t: i64| y(t) - dot(&row(t), &b);
            let gradient: f64 = (0..40).map(|t| row(t)[i] * error(t)).sum::<f64>() - ridge[i] * b[i];
            assert!(gradient.abs() < 1e-10, "{i}: {gradient}");
        }
        let squares: f64 = (0..40).map(|t| (y(t) - dot(&row(t), &b)).powi(2)).sum();
        assert!((equations.squares_left(&b) - squares).abs() < 1e-10);
        assert_eq!(equations.rows(), 40);
        let mut same = NormalEquations::new(2);
        (0..9).for_each(|t| same.add(&[1.0, 1.0], y(t)));
        assert_eq!(same.solved(&[0.0; 2]), None);
    }
}
