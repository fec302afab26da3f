//! Parameters by exact maximum likelihood, and orders by AICc: the stepwise search of Hyndman and
//! Khandakar (2008), "Automatic time series forecasting: the forecast package for R", with d by the KPSS
//! test. Bounded: at most [`MODELS_MAX`] models, each at most [`STEPS_MAX`] steps of the simplex.
//!
//! Stationarity and invertibility hold by construction: the simplex moves partial autocorrelations
//! within -1 to 1 (Monahan 1984, "A note on enforcing stationarity in autoregressive-moving average
//! models").

use super::kpss::needs_difference;
use super::state_space::{Arima, Likelihood, ORDER_MAX};
use argmin::core::{CostFunction, Executor, State as _};
use argmin::solver::neldermead::NelderMead;
use bitcode::{Decode, Encode};

/// Most models that a search compares.
const MODELS_MAX: usize = 16;

/// Most parameters of a model.
pub(super) const PARAMETERS_MAX: usize = 2 * ORDER_MAX;

/// Most steps of a simplex.
const STEPS_MAX: u64 = 120;

/// Spread of the cost per value over the simplex at which it stops.
const COST_TOLERANCE: f64 = 1e-6;

/// First width of the simplex.
const SIMPLEX_WIDTH: f64 = 0.3;

/// Greatest magnitude of a partial autocorrelation: a root nearer to the unit circle is no model.
const PARTIAL_MAX: f64 = 0.999;

/// p, d and q.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) struct Orders {
    pub(super) ar: u8,
    pub(super) is_integrated: bool,
    pub(super) ma: u8,
}

impl Orders {
    /// p + q.
    pub(super) fn parameters(self) -> usize {
        usize::from(self.ar) + usize::from(self.ma)
    }

    /// The model with these free parameters.
    fn model(self, free: &[f64]) -> Arima {
        let (ar, ma) = free.split_at(usize::from(self.ar));
        // (1 + θ L) with the roots of (1 - φ L) takes θ = -φ.
        let ma = coefficients(ma).map(|c| -c);
        Arima { ar: coefficients(ar), ma, is_integrated: self.is_integrated }
    }

    /// AICc with the innovations' variance, and with d = 0 the mean that was taken off, as parameters.
    fn aicc(self, likelihood: &Likelihood) -> f64 {
        let (count, parameters) = (likelihood.count as f64, (self.parameters() + 1) as f64);
        let parameters = if self.is_integrated { parameters } else { parameters + 1.0 };
        -2.0 * likelihood.log + 2.0 * parameters * count / (count - parameters - 1.0)
    }
}

/// Coefficients of the stationary autoregression whose partial autocorrelations are x / √(1 + x²), by
/// the recursion of Durbin and Levinson.
fn coefficients(free: &[f64]) -> [f64; ORDER_MAX] {
    let mut coefficients = [0.0; ORDER_MAX];
    for (order, x) in free.iter().enumerate() {
        let partial = PARTIAL_MAX * x / (1.0 + x * x).sqrt();
        let before = coefficients;
        for (i, coefficient) in coefficients[..order].iter_mut().enumerate() {
            *coefficient -= partial * before[order - 1 - i];
        }
        coefficients[order] = partial;
    }
    coefficients
}

/// A model with the parameters that the likelihood is greatest at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fit {
    pub(super) orders: Orders,
    /// The free parameters, from which the next fit starts.
    pub(super) free: Vec<f64>,
    pub(super) model: Arima,
    pub(super) likelihood: Likelihood,
}

struct Cost<'a> {
    orders: Orders,
    series: &'a [Option<f64>],
}

impl CostFunction for Cost<'_> {
    type Param = Vec<f64>;
    type Output = f64;

    /// Minus twice the log-likelihood per value; infinite where it is no number.
    fn cost(&self, free: &Vec<f64>) -> Result<f64, argmin::core::Error> {
        let likelihood = Likelihood::of(&self.orders.model(free), self.series);
        let cost = likelihood.map_or(f64::INFINITY, |l| -2.0 * l.log / l.count as f64);
        Ok(if cost.is_finite() { cost } else { f64::INFINITY })
    }
}

/// Fits a model of those orders, starting at `start` (of the same length as there are parameters).
/// `None` when nothing finite was found.
pub(super) fn fit(orders: Orders, start: &[f64], series: &[Option<f64>]) -> Option<Fit> {
    let mut free = start.to_vec();
    if orders.parameters() > 0 {
        let mut simplex = vec![free.clone()];
        for i in 0..free.len() {
            let mut corner = free.clone();
            corner[i] += if corner[i] > 0.0 { -SIMPLEX_WIDTH } else { SIMPLEX_WIDTH };
            simplex.push(corner);
        }
        let solver = NelderMead::new(simplex).with_sd_tolerance(COST_TOLERANCE).ok()?;
        let run = Executor::new(Cost { orders, series }, solver).configure(|state| state.max_iters(STEPS_MAX));
        free = run.timer(false).ctrlc(false).run().ok()?.state().get_best_param()?.clone();
    }
    let model = orders.model(&free);
    let likelihood = Likelihood::of(&model, series).filter(|l| l.log.is_finite() && l.variance.is_finite())?;
    Some(Fit { orders, free, model, likelihood })
}

/// White noise about nothing, for a series that has no spread to fit to.
pub(super) fn constant(series: &[Option<f64>]) -> Option<Fit> {
    let likelihood = Likelihood::of(&Arima::default(), series)?;
    Some(Fit { orders: Orders::default(), free: Vec::new(), model: Arima::default(), likelihood })
}

/// Chooses orders and fits them: from (2, d, 2), (0, d, 0), (1, d, 0) and (0, d, 1) on to neighbours as
/// long as the AICc falls. `None` when no model could be fitted.
pub(super) fn search(series: &[Option<f64>]) -> Option<Fit> {
    let measured: Vec<f64> = series.iter().flatten().copied().collect();
    let is_integrated = needs_difference(&measured);
    let mut search = Search { series, is_integrated, tried: Vec::with_capacity(MODELS_MAX), best: None };
    for orders in [(2, 2), (0, 0), (1, 0), (0, 1)] {
        search.attempt(orders);
    }
    while let Some(orders) = search.next_orders() {
        search.attempt(orders);
    }
    search.best.map(|(_, fit)| fit)
}

struct Search<'a> {
    series: &'a [Option<f64>],
    is_integrated: bool,
    /// p and q of the models so far.
    tried: Vec<(u8, u8)>,
    /// The least AICc and its model.
    best: Option<(f64, Fit)>,
}

impl Search<'_> {
    fn attempt(&mut self, (ar, ma): (u8, u8)) {
        self.tried.push((ar, ma));
        let orders = Orders { ar, is_integrated: self.is_integrated, ma };
        let Some(fit) = fit(orders, &vec![0.1; orders.parameters()], self.series) else { return };
        let aicc = orders.aicc(&fit.likelihood);
        if self.best.as_ref().is_none_or(|(least, _)| aicc < *least) {
            self.best = Some((aicc, fit));
        }
    }

    /// The first neighbour of the best that was not tried.
    fn next_orders(&self) -> Option<(u8, u8)> {
        const STEPS: [(i8, i8); 6] = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1)];
        let (_, best) = self.best.as_ref()?;
        let neighbour = |(ar, ma): &(i8, i8)| {
            let orders = (best.orders.ar.checked_add_signed(*ar)?, best.orders.ma.checked_add_signed(*ma)?);
            let is_new = usize::from(orders.0.max(orders.1)) <= ORDER_MAX && !self.tried.contains(&orders);
            is_new.then_some(orders)
        };
        (self.tried.len() < MODELS_MAX).then(|| STEPS.iter().find_map(neighbour)).flatten()
    }
}
