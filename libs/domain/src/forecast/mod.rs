//! Forecasts of one demand series on a fixed grid: the series itself, the statistical families and
//! the features of the neural ones.
//!
//! A forecast is always made *as of the open bin*: the bin that the newest sample fell into, with
//! the mean of what it holds so far. "One bin ahead" is the bin after it. So a forecast for `h` bins
//! ahead is one of the bin that holds `made_at + h * GRID_STEP_S`, wherever in its bin `made_at` is.

pub mod arima;
pub mod capped;
pub mod champion;
pub mod day_ring;
pub mod demand;
pub mod exponential_smoothing;
pub mod features;
mod greatest;
pub mod history;
pub mod last_value;
mod least_squares;
pub mod left_out;
pub mod mstl;
pub mod prophet;
pub mod refits;
pub mod residuals;
mod round;
pub mod seasonal_naive;
pub mod trial;

use crate::calibration::Statistic;
use crate::forecast::demand::{ClosedBin, DemandSeries};
use crate::quantiles::Quantiles;
use bitcode::{Decode, Encode};

/// Width of the grid that demand is forecast on, in seconds.
pub const GRID_STEP_S: u32 = 300;

/// Bins of a day: the season of the families that have one.
pub const DAY_BINS: usize = 288;

/// Bins of a week: the longer season of the families that have two.
pub const WEEK_BINS: usize = 7 * DAY_BINS;

/// Bins of two weeks: the history of the families that have the season of a week.
pub const TWO_WEEKS_BINS: usize = 2 * WEEK_BINS;

/// Most bins that a forecast may reach ahead: 6 hours.
pub const HORIZON_BINS_MAX: usize = 72;

/// Quantiles of one horizon, in the unit of the demand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HorizonQuantiles {
    /// Of the demand in the bin `h` bins after the open one.
    pub value: Quantiles,
    /// Of the greatest demand of the `h` bins after the open one.
    pub maximum: Quantiles,
}

impl HorizonQuantiles {
    /// Those of one statistic.
    pub fn of(&self, statistic: Statistic) -> &Quantiles {
        match statistic {
            Statistic::Value => &self.value,
            Statistic::Maximum => &self.maximum,
        }
    }
}

/// What makes forecasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Family {
    /// A gated recurrent unit, a neural network.
    Gru,
    /// [`exponential_smoothing::ExponentialSmoothing`].
    ExponentialSmoothing,
    /// [`seasonal_naive::SeasonalNaive`].
    SeasonalNaive,
    /// [`last_value::LastValue`].
    LastValue,
    /// [`mstl::Mstl`].
    Mstl,
    /// [`arima::Arima`].
    Arima,
    /// [`prophet::Prophet`].
    Prophet,
    /// A long short-term memory.
    Lstm,
    /// Support vector regression.
    Svr,
    /// A random forest.
    RandomForest,
}

impl Family {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::Gru,
        Self::ExponentialSmoothing,
        Self::SeasonalNaive,
        Self::LastValue,
        Self::Mstl,
        Self::Arima,
        Self::Prophet,
        Self::Lstm,
        Self::Svr,
        Self::RandomForest,
    ];

    /// Those that [`Self::is_trained`] says so of.
    pub const TRAINED: [Self; 4] = [Self::Gru, Self::Lstm, Self::Svr, Self::RandomForest];

    /// Whether its models are trained elsewhere and loaded from files.
    pub fn is_trained(self) -> bool {
        Self::TRAINED.contains(&self)
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }

    /// Its name, as configuration and predictions have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gru => "gru",
            Self::Lstm => "lstm",
            Self::Svr => "svr",
            Self::RandomForest => "random-forest",
            Self::ExponentialSmoothing => "exponential-smoothing",
            Self::SeasonalNaive => "seasonal-naive",
            Self::LastValue => "last-value",
            Self::Mstl => "mstl",
            Self::Arima => "arima",
            Self::Prophet => "prophet",
        }
    }
}

/// A family of forecasters that run bin by bin: state in, quantiles out.
pub trait Forecaster {
    /// What is remembered of one series beside the series itself.
    type State: Clone + Default;

    /// Which family.
    fn family(&self) -> Family;

    /// Bins that a series must have, the open one included, before [`Self::forecast`] is of use.
    fn bins_needed(&self) -> u64;

    /// Takes a bin into the state. `demand` is as it was just before that bin was closed, so the
    /// bin is still the open one there.
    fn close(&self, state: &mut Self::State, demand: &DemandSeries, closed: &ClosedBin);

    /// Quantiles per horizon (in bins ahead, 1 to [`HORIZON_BINS_MAX`]), with the open bin as it is
    /// now taken for its final value. `None` when the series has not begun, too little is known of it
    /// yet, or a number is not finite.
    fn forecast(
        &self,
        state: &Self::State,
        demand: &DemandSeries,
        horizons_bins: &[usize],
    ) -> Option<Vec<HorizonQuantiles>>;
}

/// The maximum of each window of `width` neighbours, in order; `None` where one of them is missing.
fn maxima_of(values: &[Option<f64>], width: usize) -> Vec<Option<f64>> {
    let greatest = |window: &[Option<f64>]| window.iter().copied().reduce(|a, b| Some(a?.max(b?))).flatten();
    values.windows(width).map(greatest).collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod testing;
