//! Prophet's additive model and where its posterior density is greatest.
//!
//! The model, in time scaled to 0..1 over the history and in values scaled by the greatest magnitude
//! (Taylor and Letham 2018, "Forecasting at scale", The American Statistician 72(1), and the Stan
//! model of the package prophet, with its default priors):
//!
//! ```text
//! y(t) = m + k t + Σ δ_j (t - s_j)⁺ + Σ β_i x_i(t) + e,   e ~ N(0, σ²)
//! k, m ~ N(0, 5²)    δ ~ Laplace(0, 0.05)    β ~ N(0, 10²)    σ ~ N⁺(0, 0.5²)
//! ```
//!
//! Given σ and a quadratic in place of each |δ_j| that touches it from above where δ_j is now, the
//! density's maximum is a ridge regression; given the rest, σ² is the root of a quadratic. The two in
//! turn never lower the density (Hunter and Lange 2004, "A tutorial on MM algorithms") and end where
//! Stan's L-BFGS ends, at a cost of one small Cholesky factor a round whatever the history's length.

use crate::forecast::least_squares::NormalEquations;

/// Precisions 1 / s² of the priors of m and k, and of β.
const TREND_PRECISION: f64 = 1.0 / 25.0;
const SEASON_PRECISION: f64 = 1.0 / 100.0;

/// Scale of the prior of δ.
const CHANGE_SCALE: f64 = 0.05;

/// Precision of the prior of σ.
const NOISE_PRECISION: f64 = 4.0;

/// Magnitude of δ, and σ, below which they count as this much.
const CHANGE_MIN: f64 = 1e-7;
const NOISE_MIN: f64 = 1e-6;

/// Most rounds, and the relative change of σ and of the penalty at which they end.
const ROUNDS_MAX: usize = 200;
const ROUND_TOLERANCE: f64 = 1e-7;

/// Columns before the changes: m and k.
pub(super) const TREND_COLUMNS: usize = 2;

/// The parameters where the density is greatest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Greatest {
    /// m, k, δ and β.
    pub(super) coefficients: Vec<f64>,
    /// σ.
    pub(super) noise: f64,
}

/// Of scaled data in columns m, k, `changes` of δ, then β. `None` when a number is not finite.
pub(super) fn greatest(data: &NormalEquations, columns: usize, changes: usize) -> Option<Greatest> {
    let rows = data.rows() as f64;
    let is_change = |i: usize| (TREND_COLUMNS..TREND_COLUMNS + changes).contains(&i);
    let mut coefficients = vec![0.0; columns];
    coefficients[TREND_COLUMNS..TREND_COLUMNS + changes].fill(CHANGE_SCALE);
    let (mut noise, mut penalty) = (0.1f64, f64::INFINITY);
    for _ in 0..ROUNDS_MAX {
        let precision = |i: usize| match i {
            _ if i < TREND_COLUMNS => TREND_PRECISION,
            _ if is_change(i) => 1.0 / (CHANGE_SCALE * coefficients[i].abs().max(CHANGE_MIN)),
            _ => SEASON_PRECISION,
        };
        let ridge: Vec<f64> = (0..columns).map(|i| noise * noise * precision(i)).collect();
        coefficients = data.solved(&ridge)?;
        // n/σ - S/σ³ + precision σ = 0, as a quadratic in σ².
        let squares = data.squares_left(&coefficients);
        let root = (rows * rows + 4.0 * NOISE_PRECISION * squares).sqrt();
        let next_noise = (2.0 * squares / (rows + root)).sqrt().max(NOISE_MIN);
        let next_penalty: f64 = coefficients[TREND_COLUMNS..][..changes].iter().map(|c| c.abs()).sum();
        let is_settled = (next_noise - noise).abs() <= ROUND_TOLERANCE * noise
            && (next_penalty - penalty).abs() <= ROUND_TOLERANCE * (next_penalty + CHANGE_SCALE);
        (noise, penalty) = (next_noise, next_penalty);
        if is_settled {
            break;
        }
    }
    (noise.is_finite() && coefficients.iter().all(|c| c.is_finite())).then_some(Greatest { coefficients, noise })
}
