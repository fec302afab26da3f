//! Which number of a prediction a policy goes by.

use crate::knob::Words;
use crate::prediction::{HorizonForecast, Interval, Prediction, ResourceForecast};
use crate::quantiles::Quantiles;
use crate::resource::Resource;
use crate::sample::Capacity;
use crate::wording::number;

/// What is forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The demand at the horizon.
    Value,
    /// The maximum of the demand over the horizon.
    Maximum,
}

impl Words for Target {
    const WORDS: &'static [&'static str] = &["value", "maximum"];
    const VALUES: &'static [Self] = &[Self::Value, Self::Maximum];
}

impl Target {
    fn of(self, forecast: &HorizonForecast) -> (&Quantiles, &Interval) {
        match self {
            Self::Value => (&forecast.value, &forecast.value_interval),
            Self::Maximum => (&forecast.maximum, &forecast.maximum_interval),
        }
    }
}

/// Which number of a prediction a policy goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastChoice {
    /// What is forecast.
    pub target: Target,
    /// Quantile level that counts as the predicted demand; 0.5 is the median.
    pub quantile: f64,
    /// Time until a change serves, in seconds: the smallest forecast horizon not below it is used.
    pub lead_time_s: u32,
    /// Resources that are sized.
    pub resources: Vec<Resource>,
}

impl Default for ForecastChoice {
    fn default() -> Self {
        Self { target: Target::Maximum, quantile: 0.5, lead_time_s: 900, resources: Resource::ALL.to_vec() }
    }
}

/// The forecast of the maximum over a time that lies between two horizons.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Horizon<'a> {
    below: &'a HorizonForecast,
    above: &'a HorizonForecast,
    /// How far towards the one above, 0 to 1.
    share: f64,
}

impl<'a> Horizon<'a> {
    /// Over the next `ahead_s`; the longest horizon where none reaches so far, `None` without any.
    pub(crate) fn of(forecast: &'a ResourceForecast, ahead_s: u32) -> Option<Self> {
        let horizons = &forecast.horizons;
        let above = horizons.iter().find(|h| h.horizon_s >= ahead_s).or(horizons.last())?;
        let below = horizons.iter().rev().find(|h| h.horizon_s < ahead_s).unwrap_or(above);
        let span = f64::from(above.horizon_s) - f64::from(below.horizon_s);
        let share = if span > 0.0 { (f64::from(ahead_s) - f64::from(below.horizon_s)) / span } else { 1.0 };
        Some(Self { below, above, share: share.min(1.0) })
    }

    /// That quantile of the maximum.
    pub(crate) fn maximum(&self, level: f64) -> f64 {
        let (below, above) = (self.below.maximum.at(level), self.above.maximum.at(level));
        below + self.share * (above - below)
    }
}

/// The numbers of a forecast that are looked at: one resource, all in that resource's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    /// Predicted demand.
    pub predicted: f64,
    /// Median of the predicted demand, the denominator of the relative width.
    pub median: f64,
    /// Lower bound of the interval.
    pub lower: f64,
    /// Upper bound of the interval.
    pub upper: f64,
    /// Capacity that the decision goes by: what was asked for last, where that stands, else what serves.
    pub capacity: f64,
}

impl Outlook {
    /// Relative interval width w = (upper - lower) / (2 · median).
    pub fn relative_width(&self) -> f64 {
        (self.upper - self.lower) / (2.0 * self.median)
    }
}

/// Why nothing can be said about a resource.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Undecided {
    /// The prediction has no forecast of the resource.
    #[error("the prediction has no forecast of it")]
    MissingResource,
    /// No horizon reaches the lead time.
    #[error(
        "no forecast horizon reaches the lead time of {lead_time_s} s: forecast further ahead or set a shorter lead time"
    )]
    NoHorizon {
        /// The lead time, in seconds.
        lead_time_s: u32,
    },
    /// The capacity of the resource is not positive.
    #[error("its capacity is {capacity}, which is no capacity to compare with")]
    NoCapacity {
        /// As the prediction says.
        capacity: f64,
    },
    /// The predicted median is zero or negative, so a relative width says nothing.
    #[error("its predicted median is {}, not above zero", number(*median))]
    MedianNotPositive {
        /// The median.
        median: f64,
    },
    /// A number of the forecast is not finite.
    #[error("its forecast holds a number that is not finite")]
    NotFinite,
}

/// The chosen forecast of one resource.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// What the policy looks at.
    pub outlook: Outlook,
    /// Forecast of the resource.
    pub forecast: &'a ResourceForecast,
    /// Horizon used, in seconds.
    pub horizon_s: u32,
    /// Interval used.
    pub interval: Interval,
}

impl ForecastChoice {
    /// The forecast of `resource` to go by.
    ///
    /// # Errors
    /// When the prediction does not allow a statement about the resource, with the reason.
    pub fn choose<'a>(
        &self,
        resource: Resource,
        prediction: &'a Prediction,
        capacity: &Capacity,
    ) -> Result<Chosen<'a>, Undecided> {
        self.choose_of(resource.kpi(), prediction, resource.of(capacity))
    }

    /// As [`ForecastChoice::choose`], of the KPI of that name and its capacity.
    pub(crate) fn choose_of<'a>(
        &self,
        kpi: &str,
        prediction: &'a Prediction,
        capacity: f64,
    ) -> Result<Chosen<'a>, Undecided> {
        let forecast =
            prediction.resources.iter().find(|r| r.resource.as_str() == kpi).ok_or(Undecided::MissingResource)?;
        let horizon = forecast
            .horizons
            .iter()
            .filter(|h| h.horizon_s >= self.lead_time_s)
            .min_by_key(|h| h.horizon_s)
            .ok_or(Undecided::NoHorizon { lead_time_s: self.lead_time_s })?;
        if !(capacity.is_finite() && capacity > 0.0) {
            return Err(Undecided::NoCapacity { capacity });
        }
        let (quantiles, interval) = self.target.of(horizon);
        let median = quantiles.median();
        let outlook = Outlook {
            predicted: quantiles.at(self.quantile),
            median,
            lower: interval.lower,
            upper: interval.upper,
            capacity,
        };
        if [outlook.predicted, median, outlook.lower, outlook.upper].iter().any(|v| !v.is_finite()) {
            return Err(Undecided::NotFinite);
        }
        if median <= 0.0 {
            return Err(Undecided::MedianNotPositive { median });
        }
        if !outlook.relative_width().is_finite() {
            return Err(Undecided::NotFinite);
        }
        Ok(Chosen { outlook, forecast, horizon_s: horizon.horizon_s, interval: *interval })
    }

    /// The predicted number in words, such as `the median of the maximum over 900 s`.
    pub(crate) fn words(&self, horizon_s: u32) -> String {
        let level =
            if self.quantile == 0.5 { "median".to_owned() } else { format!("{} quantile", number(self.quantile)) };
        match self.target {
            Target::Maximum => format!("{level} of the maximum over {horizon_s} s"),
            Target::Value => format!("{level} of the demand in {horizon_s} s"),
        }
    }
}
