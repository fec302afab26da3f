//! One resource of one workload: its demand, what each family remembers of it, and its calibration.
//! Knows nothing of the network but the numbers that go in and come out.
//!
//! With a choice by loss every family of the list is kept up, and the series' champion makes the
//! forecast. With a choice by order a family that another one before it in the list has overtaken for good
//! (that one has enough history, and history only grows) is not kept up any more: its state is dropped. So
//! such a series holds the state of one family in the long run.

use crate::config::{Choice, Settings};
use crate::fitted::Fitted;
use bitcode::{Decode, Encode};
use prescale_domain::calibration::pools::{PoolKey, Spreads};
use prescale_domain::calibration::series::SeriesCalibration;
use prescale_domain::calibration::{LOWER, NOMINAL_COVERAGE, Statistic, UPPER, conformal::Scores};
use prescale_domain::forecast::arima::Arima;
use prescale_domain::forecast::champion::{Both, Contest};
use prescale_domain::forecast::demand::{DemandSeries, Due, usable};
use prescale_domain::forecast::exponential_smoothing::{ExponentialSmoothing, Smoothed};
use prescale_domain::forecast::features::{FEATURES, features};
use prescale_domain::forecast::last_value::LastValue;
use prescale_domain::forecast::mstl::Mstl;
use prescale_domain::forecast::prophet::Prophet;
use prescale_domain::forecast::residuals::at_least_uncertain;
use prescale_domain::forecast::seasonal_naive::{DayBefore, SeasonalNaive};
use prescale_domain::forecast::{Family, Forecaster, HorizonQuantiles};
use prescale_domain::prediction::{HorizonForecast, Interval};
use prescale_domain::quantiles::Quantiles;
use prescale_domain::time::EventTime;

/// Bins that a series must have before the GRU's forecast is used.
pub const GRU_BINS_NEEDED: u64 = 12;

/// What is remembered of one series.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Series {
    demand: DemandSeries,
    gru: Option<Carried>,
    smoothed: Option<Box<Smoothed>>,
    day_before: Option<Box<DayBefore>>,
    fitted: Fitted,
    calibration: SeriesCalibration,
    contest: Contest,
}

/// The network's state of one series, carried from bin to bin.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Carried {
    /// After all closed bins; empty stands for zeros.
    pub closed: Vec<f32>,
    /// After the open bin as it is now.
    pub open: Vec<f32>,
}

/// What one record says of a resource.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer {
    /// Instant of the record.
    pub at: EventTime,
    /// Demand; `None` when missing.
    pub value: Option<f64>,
    /// Capacity of the resource, where known.
    pub capacity: Option<f64>,
}

/// What the network is to do for a series: one step a row, the open bin's last.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// Features; no rows when the series does without the network.
    pub rows: Vec<[f32; FEATURES]>,
    /// Scale of the open bin.
    pub scale: f64,
}

/// A forecast and what made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The family.
    pub family: Family,
    /// One a horizon, ascending.
    pub horizons: Vec<HorizonForecast>,
    /// Families that had enough history and yet gave nothing that can be used.
    pub failed: Vec<Family>,
}

/// What a forecast is made with.
pub struct Making<'a> {
    /// The settings.
    pub settings: &'a Settings,
    /// Index of the resource.
    pub resource: usize,
    /// The pools' factors as of the record.
    pub spreads: &'a Spreads,
    /// Scale of the open bin.
    pub scale: f64,
    /// What the network gave, in the unit of the demand; `None` when that cannot be used.
    pub from_network: Option<Vec<HorizonQuantiles>>,
}

impl Series {
    /// Takes a record in, up to the point where the network is needed: closes the bins before it,
    /// handing out what of earlier forecasts could be scored, and adds its demand. `None` when the
    /// series has not begun.
    pub fn take_in(
        &mut self,
        settings: &Settings,
        offer: &Offer,
        mut scored: impl FnMut((Family, usize, Statistic), Scores),
    ) -> Option<Steps> {
        let value = usable(offer.value);
        let mut rows = Vec::new();
        match self.demand.due(offer.at) {
            Due::Start => self.start(settings, offer.at, value?),
            Due::Close(bins) => {
                for nth in 0..bins {
                    if nth > 0 {
                        rows.extend(self.row(offer.capacity));
                    }
                    self.close(settings, &mut scored);
                }
                if let Some(carried) = &mut self.gru {
                    std::mem::swap(&mut carried.closed, &mut carried.open);
                }
                value.into_iter().for_each(|v| self.demand.add(v));
            }
            Due::Nothing => value.into_iter().for_each(|v| self.demand.add(v)),
        }
        self.drop_overtaken(settings);
        self.demand.open()?;
        match self.row(offer.capacity) {
            Some(row) => rows.push(row),
            None => rows.clear(),
        }
        Some(Steps { rows, scale: self.demand.scale(offer.capacity) })
    }

    /// The network's state, while the series needs it.
    pub fn carried(&mut self) -> Option<&mut Carried> {
        self.gru.as_mut()
    }

    /// Makes the forecast as of the open bin by the champion, or else by the first family that can, and
    /// keeps it to be scored; when a round of the contest is due, those of the other families as well.
    pub fn forecast(&mut self, making: Making<'_>) -> Option<Forecast> {
        let settings = making.settings;
        let mut failed = Vec::new();
        let mut made = None;
        for family in self.by_preference(settings) {
            made = self.both(family, &making);
            if made.is_some() {
                break;
            }
            failed.push(family);
        }
        let (family, both) = made?;
        let open = self.demand.open()?;
        if settings.choice == Choice::Loss && self.contest.is_due(open.bin, &settings.horizons_bins) {
            let mut entries = vec![(family, both.clone())];
            let others = self.by_preference(settings).filter(|other| *other != family && !failed.contains(other));
            entries.extend(others.filter_map(|other| self.both(other, &making)));
            if entries.len() > 1 {
                self.contest.begin(open.bin, making.scale, &entries);
            }
        }
        self.calibration.made(open.bin, family, &both);
        let horizons = settings.horizons_s.iter().zip(&both).enumerate();
        let horizons = horizons.map(|(i, (horizon_s, (_, published)))| HorizonForecast {
            horizon_s: *horizon_s,
            value: published.value,
            maximum: published.maximum,
            value_interval: self.interval(i, Statistic::Value, &published.value),
            maximum_interval: self.interval(i, Statistic::Maximum, &published.maximum),
        });
        Some(Forecast { family, horizons: horizons.collect(), failed })
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let carried = self.gru.as_ref().map_or(0, |c| (c.closed.capacity() + c.open.capacity()) * size_of::<f32>());
        let smoothed = self.smoothed.as_ref().map_or(0, |s| size_of::<Smoothed>() + s.heap_bytes());
        let day_before = self.day_before.as_ref().map_or(0, |d| size_of::<DayBefore>() + d.heap_bytes());
        let judged = self.calibration.heap_bytes() + self.contest.heap_bytes();
        self.demand.heap_bytes() + carried + smoothed + day_before + self.fitted.heap_bytes() + judged
    }

    fn start(&mut self, settings: &Settings, at: EventTime, value: f64) {
        self.demand.start(at, value);
        self.calibration.start(&settings.horizons_bins);
        self.contest.start();
        self.gru = Some(Carried::default());
        self.smoothed = Some(Box::default());
        self.day_before = Some(Box::default());
        self.fitted = Fitted::starting();
    }

    fn close(&mut self, settings: &Settings, mut scored: impl FnMut((Family, usize, Statistic), Scores)) {
        let Some(closed) = self.demand.open() else { return };
        self.calibration.close(&settings.horizons_bins, &self.demand, &mut scored);
        let preferred = self.by_preference(settings).next();
        self.contest.close(&settings.horizons_bins, &self.demand, preferred, &mut scored);
        if let Some(state) = &mut self.smoothed {
            ExponentialSmoothing.close(state, &self.demand, &closed);
        }
        if let Some(state) = &mut self.day_before {
            SeasonalNaive.close(state, &self.demand, &closed);
        }
        self.fitted.close(&self.demand, &closed);
        self.demand.close();
    }

    /// The families that have enough history: the champion, then the others in the order of the list.
    fn by_preference<'a>(&self, settings: &'a Settings) -> impl Iterator<Item = Family> + use<'a> {
        let bins = self.demand.bins();
        let champion = self.contest.champion().filter(|champion| settings.models.contains(champion));
        let others = settings.models.iter().copied().filter(move |family| Some(*family) != champion);
        champion.into_iter().chain(others).filter(move |family| bins_needed(*family) <= bins)
    }

    fn drop_overtaken(&mut self, settings: &Settings) {
        let bins = self.demand.bins();
        let is_in_use = |family: Family| {
            let rank = settings.models.iter().position(|listed| *listed == family);
            let is_first = |rank: usize| settings.models[..rank].iter().all(|earlier| bins_needed(*earlier) > bins);
            rank.is_some_and(|rank| settings.choice == Choice::Loss || is_first(rank))
        };
        self.gru.take_if(|_| !is_in_use(Family::Gru));
        self.smoothed.take_if(|_| !is_in_use(Family::ExponentialSmoothing));
        self.day_before.take_if(|_| !is_in_use(Family::SeasonalNaive));
        self.fitted.retain(is_in_use);
    }

    /// The network's input for the open bin, while the series needs it.
    fn row(&self, capacity: Option<f64>) -> Option<[f32; FEATURES]> {
        self.gru.as_ref().and_then(|_| features(&self.demand, capacity)).map(|features| features.values)
    }

    /// Quantiles of a family, raw and as they are published.
    fn both(&self, family: Family, making: &Making<'_>) -> Option<(Family, Vec<Both>)> {
        let bins = &making.settings.horizons_bins;
        let raw = match family {
            Family::Gru => making.from_network.clone()?,
            Family::ExponentialSmoothing => {
                ExponentialSmoothing.forecast(self.smoothed.as_ref()?, &self.demand, bins)?
            }
            Family::SeasonalNaive => SeasonalNaive.forecast(self.day_before.as_ref()?, &self.demand, bins)?,
            Family::LastValue => LastValue.forecast(&(), &self.demand, bins)?,
            Family::Mstl | Family::Arima | Family::Prophet => self.fitted.forecast(family, &self.demand, bins)?,
        };
        let both = raw.iter().enumerate().map(|(horizon, raw)| {
            let of = |statistic: Statistic, raw: &Quantiles| {
                let raw = at_least_uncertain(raw, making.scale)?;
                let key = PoolKey { family, resource: making.resource, horizon, statistic };
                Some((raw, self.within_reach(self.calibration.calibrated(&raw, making.spreads, key)?)))
            };
            let (value, maximum) = (of(Statistic::Value, &raw.value)?, of(Statistic::Maximum, &raw.maximum)?);
            let raw = HorizonQuantiles { value: value.0, maximum: maximum.0 };
            Some((raw, HorizonQuantiles { value: value.1, maximum: maximum.1 }))
        });
        Some((family, both.collect::<Option<Vec<_>>>()?))
    }

    /// Demand that was never negative is not forecast to be.
    fn within_reach(&self, quantiles: Quantiles) -> Quantiles {
        if self.demand.is_non_negative() { quantiles.at_least(0.0) } else { quantiles }
    }

    fn interval(&self, horizon: usize, statistic: Statistic, published: &Quantiles) -> Interval {
        let coverage = self.calibration.coverage(horizon, statistic);
        Interval {
            nominal_coverage: NOMINAL_COVERAGE,
            lower: published.values()[LOWER],
            upper: published.values()[UPPER],
            trailing_coverage: coverage.share(),
            scored: coverage.scored(),
        }
    }
}

fn bins_needed(family: Family) -> u64 {
    match family {
        Family::Gru => GRU_BINS_NEEDED,
        Family::ExponentialSmoothing => ExponentialSmoothing.bins_needed(),
        Family::SeasonalNaive => SeasonalNaive.bins_needed(),
        Family::LastValue => LastValue.bins_needed(),
        Family::Mstl => Mstl.bins_needed(),
        Family::Arima => Arima.bins_needed(),
        Family::Prophet => Prophet.bins_needed(),
    }
}

#[cfg(test)]
mod tests;
