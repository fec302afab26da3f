//! Seasonal naive as textbooks and benchmarks have it: the value a day ago, with a normal interval from the
//! errors so far (Hyndman and Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., 5.2 and
//! 5.5). The baseline that published figures refer to; the predictor's own seasonal naive, with
//! quantiles of its errors and calibrated, is harder to beat.

use prescale_domain::forecast::{DAY_BINS, GRID_STEP_S, HorizonQuantiles};
use prescale_domain::kpi::KpiName;
use prescale_domain::quantiles::{LEVELS, Quantiles};
use prescale_domain::sample::Sample;
use prescale_domain::workload::WorkloadId;
use prescale_predictor::config::Settings;
use std::collections::{BTreeMap, VecDeque};

/// Per configured resource the quantiles of each horizon; `None` where there is no forecast.
pub(super) type Forecasts = Vec<Option<Vec<HorizonQuantiles>>>;

/// Its name in a report.
pub(super) const NAME: &str = "seasonal-naive-textbook";

/// Standard normal quantiles at the levels of a forecast.
const NORMAL: [f64; LEVELS] = [
    -1.644_853_626_951_472_7,
    -1.281_551_565_544_600_4,
    -0.674_489_750_196_081_7,
    0.0,
    0.674_489_750_196_081_7,
    1.281_551_565_544_600_4,
    1.644_853_626_951_472_7,
    2.326_347_874_040_840_8,
];

pub(super) struct Textbook {
    resources: Vec<KpiName>,
    horizons_bins: Vec<usize>,
    series: BTreeMap<WorkloadId, Vec<Series>>,
}

#[derive(Clone, Default)]
struct Series {
    bin: i64,
    open: (f64, u32),
    /// Closed bins of the last day and an horizon, forward filled, the newest last.
    closed: VecDeque<f64>,
    /// Of the value, then of the maximum over each horizon.
    errors: Vec<(f64, u64)>,
}

impl Textbook {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            resources: settings.resources.clone(),
            horizons_bins: settings.horizons_bins.clone(),
            series: BTreeMap::new(),
        }
    }

    pub(super) fn take(&mut self, sample: &Sample) -> Forecasts {
        let bin = sample.at.bin(GRID_STEP_S);
        let resources = self.resources.len();
        let series = self.series.entry(sample.workload.clone()).or_insert_with(|| vec![Series::default(); resources]);
        let each = self.resources.iter().zip(series);
        each.map(|(resource, series)| {
            let value = sample.kpis.iter().find(|kpi| kpi.name == *resource)?.value?;
            series.take(bin, value, &self.horizons_bins);
            series.forecast(&self.horizons_bins)
        })
        .collect()
    }
}

impl Series {
    fn take(&mut self, bin: i64, value: f64, horizons_bins: &[usize]) {
        if bin > self.bin && self.open.1 > 0 {
            let mean = self.open.0 / f64::from(self.open.1);
            let gap = (bin - self.bin).min(DAY_BINS as i64 + 1);
            self.close(mean, horizons_bins);
            (1..gap).for_each(|_| self.close(mean, horizons_bins));
        }
        if bin > self.bin {
            (self.bin, self.open) = (bin, (0.0, 0));
        }
        self.open = (self.open.0 + value, self.open.1 + 1);
    }

    fn close(&mut self, value: f64, horizons_bins: &[usize]) {
        let longest = horizons_bins.last().copied().unwrap_or(1);
        self.errors.resize(1 + horizons_bins.len(), (0.0, 0));
        self.closed.push_back(value);
        while self.closed.len() > DAY_BINS + longest {
            self.closed.pop_front();
        }
        let newest = self.closed.len() - 1;
        let mut learn = |i: usize, now: Option<f64>, before: Option<f64>| {
            if let (Some(now), Some(before)) = (now, before) {
                let (sum, count) = self.errors[i];
                self.errors[i] = (sum + (now - before) * (now - before), count + 1);
            }
        };
        learn(0, Some(value), newest.checked_sub(DAY_BINS).map(|i| self.closed[i]));
        for (i, bins) in horizons_bins.iter().enumerate() {
            let maximum = |end: usize| {
                let begin = (end + 1).checked_sub(*bins)?;
                self.closed.range(begin..=end).copied().reduce(f64::max)
            };
            learn(1 + i, maximum(newest), newest.checked_sub(DAY_BINS).and_then(maximum));
        }
    }

    fn forecast(&self, horizons_bins: &[usize]) -> Option<Vec<HorizonQuantiles>> {
        // The open bin is one after the newest closed one; a day before `open + h` is `DAY_BINS - h` back of it.
        let open = self.closed.len();
        let around = |point: f64, errors: (f64, u64)| {
            let deviation = if errors.1 > 0 { (errors.0 / errors.1 as f64).sqrt() } else { 0.0 };
            Quantiles::rearranged(NORMAL.map(|z| point + z * deviation)).map(|quantiles| quantiles.at_least(0.0))
        };
        let of = |(i, bins): (usize, &usize)| {
            let end = (open + bins).checked_sub(DAY_BINS)?;
            let begin = (end + 1).checked_sub(*bins)?;
            let value = *self.closed.get(end)?;
            let maximum = self.closed.range(begin..=end).copied().reduce(f64::max)?;
            Some(HorizonQuantiles {
                value: around(value, *self.errors.first()?)?,
                maximum: around(maximum, *self.errors.get(1 + i)?)?,
            })
        };
        horizons_bins.iter().enumerate().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_day_before_with_the_errors_deviation() {
        let (mut series, horizons) = (Series::default(), [1, 3]);
        // A ramp within the day, and each day one more: every error is 1.
        let value = |bin: i64| (bin % DAY_BINS as i64) as f64 + (bin / DAY_BINS as i64) as f64;
        for bin in 1..=700 {
            series.take(bin, value(bin), &horizons);
        }
        let made = series.forecast(&horizons).unwrap();
        assert_eq!(made[0].value.median(), value(701) - 1.0);
        assert_eq!(made[1].value.median(), value(703) - 1.0);
        assert_eq!(made[1].maximum.median(), value(703) - 1.0);
        assert!((made[0].value.values()[6] - made[0].value.median() - NORMAL[6]).abs() < 1e-9);
    }
}
