//! ARIMA(p, d, q) with p, q ≤ 3 and d ≤ 1 in Harvey's state space form (Durbin and Koopman, "Time
//! Series Analysis by State Space Methods", 2nd ed., 3.4) and its Kalman filter (4.3), which gives
//! the exact Gaussian likelihood and takes missing values as what they are.
//!
//! The state is the level of the bin before (d = 1 alone; conditioned on the first value) and the ARMA
//! vector of length 4, in which a smaller model leaves zeros. All covariances are in units of the
//! innovations' variance, which is concentrated out of the likelihood.

use bitcode::{Decode, Encode};

/// Greatest p and q.
pub(super) const ORDER_MAX: usize = 3;

/// Numbers in the state: the level and the ARMA vector.
pub(super) const STATES: usize = ORDER_MAX + 2;

pub(super) type State = [f64; STATES];
type Covariance = [State; STATES];

/// Relative change of the innovations' variance below which the filter is taken for settled.
const SETTLED: f64 = 1e-12;

/// Doublings of the sum that is the stationary covariance: 2^24 terms.
const DOUBLINGS_MAX: usize = 24;

/// Coefficients of a model; those beyond its orders are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Arima {
    /// φ of y_t = φ_1 y_(t-1) + … (of the differences where they are taken).
    pub(super) ar: [f64; ORDER_MAX],
    /// θ of … + e_t + θ_1 e_(t-1) + ….
    pub(super) ma: [f64; ORDER_MAX],
    /// d = 1.
    pub(super) is_integrated: bool,
}

impl Arima {
    /// The state a bin later, without its innovation: T x.
    pub(super) fn carried(&self, x: &State) -> State {
        let [level, now, next @ ..] = *x;
        let [ar_1, ar_2, ar_3] = self.ar;
        let level = if self.is_integrated { level + now } else { 0.0 };
        [level, ar_1 * now + next[0], ar_2 * now + next[1], ar_3 * now + next[2], 0.0]
    }

    /// The value that a state stands for: Z x.
    pub(super) fn value(&self, x: &State) -> f64 {
        if self.is_integrated { x[0] + x[1] } else { x[1] }
    }

    /// R: what an innovation adds to the state.
    fn impact(&self) -> State {
        [0.0, 1.0, self.ma[0], self.ma[1], self.ma[2]]
    }

    /// P Z'.
    pub(super) fn with_value(&self, covariance: &Covariance) -> State {
        covariance.map(|row| self.value(&row))
    }

    /// T P T' + R R'.
    pub(super) fn carried_covariance(&self, covariance: &Covariance) -> Covariance {
        // P is symmetric: T applied to its rows gives P T', and to the rows of that transposed T P T'.
        let half = transposed(&covariance.map(|row| self.carried(&row)));
        let (mut carried, impact) = (half.map(|row| self.carried(&row)), self.impact());
        for (row, own) in carried.iter_mut().zip(impact) {
            row.iter_mut().zip(impact).for_each(|(cell, other)| *cell += own * other);
        }
        carried
    }

    /// Covariance of the ARMA vector in the long run, Σ T^k R R' T'^k, by doubling. Bounded where it
    /// grows without end.
    fn stationary(&self) -> Covariance {
        let arma = Self { is_integrated: false, ..*self };
        let impact = arma.impact();
        let mut sum: Covariance = impact.map(|own| impact.map(|other| own * other));
        let unit = |i: usize| std::array::from_fn(|j| f64::from(u8::from(i == j)));
        // Row i of `power` is the i-th column of T^(2^k).
        let mut power: Covariance = std::array::from_fn(|i| arma.carried(&unit(i)));
        for _ in 0..DOUBLINGS_MAX {
            let added = product(&transposed(&power), &product(&sum, &power));
            let size = |of: &Covariance| (0..STATES).map(|i| of[i][i]).sum::<f64>();
            let is_small = size(&added) <= f64::EPSILON * size(&sum);
            for (row, added) in sum.iter_mut().zip(added) {
                row.iter_mut().zip(added).for_each(|(cell, added)| *cell += added);
            }
            if is_small {
                break;
            }
            power = product(&power, &power);
        }
        sum
    }
}

fn transposed(of: &Covariance) -> Covariance {
    std::array::from_fn(|i| std::array::from_fn(|j| of[j][i]))
}

fn product(a: &Covariance, b: &Covariance) -> Covariance {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..STATES).map(|k| a[i][k] * b[k][j]).sum()))
}

/// What the filter expects of the next bin.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub(super) struct Expected {
    pub(super) mean: State,
    pub(super) covariance: Covariance,
}

/// An error one bin ahead with its variance in units of the innovations'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Innovation {
    error: f64,
    variance: f64,
}

impl Expected {
    /// Of the first bin, or with d = 1 of the one after the first, whose value is given.
    pub(super) fn first(model: &Arima, value: f64) -> Self {
        let mut mean = State::default();
        if model.is_integrated {
            mean[0] = value;
        }
        Self { mean, covariance: model.stationary() }
    }

    /// Takes the next bin in, missing or not.
    pub(super) fn advance(&mut self, model: &Arima, value: Option<f64>) -> Option<Innovation> {
        let innovation = value.map(|value| {
            let with_value = model.with_value(&self.covariance);
            let innovation = Innovation { error: value - model.value(&self.mean), variance: model.value(&with_value) };
            for (i, gain) in with_value.map(|c| c / innovation.variance).into_iter().enumerate() {
                self.mean[i] += gain * innovation.error;
                for (cell, with) in self.covariance[i].iter_mut().zip(with_value) {
                    *cell -= gain * with;
                }
            }
            innovation
        });
        self.mean = model.carried(&self.mean);
        self.covariance = model.carried_covariance(&self.covariance);
        innovation
    }
}

/// What a series says of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Likelihood {
    /// Errors that it was told from.
    pub(super) count: usize,
    /// Maximum likelihood estimate of the innovations' variance.
    pub(super) variance: f64,
    /// Logarithm of the likelihood at that variance.
    pub(super) log: f64,
    /// What the filter expects after the series.
    pub(super) expected: Expected,
}

impl Likelihood {
    /// Of a series, `None` where a bin is missing. `None` when nothing but one value is there.
    pub(super) fn of(model: &Arima, series: &[Option<f64>]) -> Option<Self> {
        let first = series.iter().position(Option::is_some)?;
        let mut filter = Filter::new(Expected::first(model, series[first]?));
        for value in &series[first + usize::from(model.is_integrated)..] {
            filter.advance(model, *value);
        }
        let count = filter.count as f64;
        let variance = filter.squares / count;
        let log = -0.5 * (count * ((std::f64::consts::TAU * variance).ln() + 1.0) + filter.log_variances);
        let expected = filter.expected;
        (filter.count > 0).then_some(Self { count: filter.count, variance, log, expected })
    }
}

/// The filter over a series. Once its covariances have settled they are not computed any more, until a
/// bin is missing.
struct Filter {
    expected: Expected,
    /// T P Z' / F, once settled.
    gain: Option<State>,
    last_variance: f64,
    count: usize,
    /// Σ v² / F and Σ ln F.
    squares: f64,
    log_variances: f64,
}

impl Filter {
    fn new(expected: Expected) -> Self {
        Self { expected, gain: None, last_variance: 0.0, count: 0, squares: 0.0, log_variances: 0.0 }
    }

    fn advance(&mut self, model: &Arima, value: Option<f64>) {
        let innovation = match (self.gain, value) {
            (Some(gain), Some(value)) => {
                let error = value - model.value(&self.expected.mean);
                let carried = model.carried(&self.expected.mean);
                self.expected.mean = std::array::from_fn(|i| carried[i] + gain[i] * error);
                Some(Innovation { error, variance: self.last_variance })
            }
            _ => self.expected.advance(model, value),
        };
        let Some(Innovation { error, variance }) = innovation else {
            (self.gain, self.last_variance) = (None, 0.0);
            return;
        };
        if self.gain.is_none() && (variance - self.last_variance).abs() <= SETTLED * variance {
            let with_value = model.with_value(&self.expected.covariance);
            self.gain = Some(model.carried(&with_value).map(|c| c / variance));
        }
        self.last_variance = variance;
        self.count += 1;
        self.squares += error * error / variance;
        self.log_variances += variance.ln();
    }
}
