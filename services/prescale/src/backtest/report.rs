//! The scores as figures: what `report.json` holds and the page and the table are made of.

use super::lane::{LaneScores, SeriesScores};
use super::{AS_CONFIGURED, Plan, Request, textbook};
use prescale_collector::ReplayReport;
use prescale_contracts::rfc3339;
use prescale_domain::calibration::{NOMINAL_COVERAGE, Statistic};
use prescale_domain::forecast::Family;
use prescale_domain::quantiles::QUANTILE_LEVELS;
use prescale_domain::score::bootstrap::ratio_interval;
use prescale_domain::score::geometric_mean;
use prescale_domain::score::tally::Tally;
use serde::Serialize;
use std::collections::BTreeMap;

/// A workload's coverage is near enough the nominal one within so much.
const COVERAGE_TOLERANCE: f64 = 0.08;

/// Everything that a backtest found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// File of the trace.
    pub trace: String,
    /// Instant of its first sample read.
    pub from: Option<String>,
    /// Of its last.
    pub to: Option<String>,
    /// Rows read.
    pub rows_read: u64,
    /// Rows that were no samples, by reason.
    pub rows_dropped: BTreeMap<&'static str, u64>,
    /// Bins of each series that were not scored, from its beginning.
    pub warm_up_bins: u32,
    /// Only each so-manieth bin was scored.
    pub every_bins: u32,
    /// Days of a block of the bootstrap.
    pub block_days: u32,
    /// What was tested.
    pub contenders: Vec<String>,
    /// Per contender and KPI, over all horizons and both statistics.
    pub summary: Vec<Summary>,
    /// Per contender, KPI, horizon and statistic.
    pub figures: Vec<Figures>,
}

/// A contender on one KPI.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its name.
    pub contender: String,
    /// The KPI.
    pub kpi: String,
    /// Series scored.
    pub series: usize,
    /// Per baseline: geometric mean over horizons and statistics.
    pub relative: BTreeMap<String, Relative>,
}

/// CRPS of a contender by that of a baseline on the same forecasts: below 1 is better.
#[derive(Clone, Debug, Serialize)]
pub struct Relative {
    /// Each series in units of its own mean demand, then the mean.
    pub scaled: f64,
    /// 95 % interval of `scaled`, by bootstrap over blocks of days.
    pub scaled_95: Option<(f64, f64)>,
    /// Summed in the KPI's unit: large workloads count most. As GIFT-Eval has it.
    pub pooled: f64,
    /// Geometric mean of the series' own ratios.
    pub series_geometric_mean: f64,
}

/// A contender on one KPI, horizon and statistic.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Its name.
    pub contender: String,
    /// The KPI.
    pub kpi: String,
    /// The horizon, in seconds.
    pub horizon_s: u32,
    /// `value` or `maximum`.
    pub statistic: &'static str,
    /// Forecasts scored.
    pub scored: u64,
    /// Weighted quantile loss over the nine deciles, pooled.
    pub weighted_quantile_loss: f64,
    /// Mean over the series of CRPS by mean demand.
    pub scaled_crps: f64,
    /// Mean over the series of the median's mean absolute error by that of the value a day ago.
    pub mase: Option<f64>,
    /// Share of truths within the 90 % interval.
    pub coverage: f64,
    /// Share of the series whose own coverage is within 8 points of 90 %.
    pub series_within_8_points: f64,
    /// Mean over the series of the interval's width by mean demand.
    pub scaled_width: f64,
    /// Per level: mean over the series of the pinball loss by mean demand, and share of truths below.
    pub quantiles: Vec<QuantileFigures>,
    /// Per baseline.
    pub relative: BTreeMap<String, Relative>,
}

/// One quantile level.
#[derive(Clone, Debug, Serialize)]
pub struct QuantileFigures {
    /// The level.
    pub level: f64,
    /// Mean over the series of the pinball loss by mean demand.
    pub scaled_pinball: f64,
    /// Share of truths below the quantile; one that equals it counts half.
    pub share_below: f64,
}

/// One series' tally, with its mean demand over what was scored.
struct Scored<'a> {
    series: &'a SeriesScores,
    mean: f64,
}

impl Report {
    pub(super) fn of(plan: &Plan, request: &Request, read: &ReplayReport, lanes: Vec<LaneScores>) -> Self {
        let all: BTreeMap<_, _> = lanes.into_iter().flat_map(|lane| lane.series).collect();
        let names = plan.names();
        let (mut figures, mut summary) = (Vec::new(), Vec::new());
        for (resource, kpi) in plan.kpis.iter().enumerate() {
            let of_kpi: Vec<&SeriesScores> = all.iter().filter(|((_, r), _)| *r == resource).map(|(_, s)| s).collect();
            if of_kpi.is_empty() {
                continue;
            }
            let begin = figures.len();
            for (horizon, horizon_s) in plan.horizons_s.iter().enumerate() {
                for statistic in Statistic::ALL {
                    let cell = Cell::of(&of_kpi, horizon, statistic, request.block_days);
                    let made = names.iter().enumerate().filter_map(|(i, _)| cell.figures(i, &names, kpi, *horizon_s));
                    figures.extend(made);
                }
            }
            summary.extend(names.iter().map(|name| Summary::of(name, kpi, of_kpi.len(), &figures[begin..])));
        }
        Self {
            trace: request.trace.file.display().to_string(),
            from: read.first_at.map(rfc3339),
            to: read.last_at.map(rfc3339),
            rows_read: read.rows_read,
            rows_dropped: read.rows_dropped.clone(),
            warm_up_bins: request.warm_up_bins,
            every_bins: request.every_bins,
            block_days: request.block_days,
            contenders: names,
            summary,
            figures,
        }
    }

    /// The summary as a table, a contender and KPI a line.
    pub fn table(&self) -> String {
        let mut text = format!(
            "CRPS relative to a baseline on the same forecasts; below 1 is better. Series in units of their mean demand, \
             geometric mean over horizons and statistics; in brackets pooled in the KPI's unit.\n\n{:<16} {:<26}",
            "KPI", "contender"
        );
        let baselines = baselines(&self.contenders);
        baselines.iter().for_each(|(_, name)| text += &format!(" {name:>25}"));
        text += &format!(" {:>9} {:>9}\n", "coverage", "+-8 pts");
        for line in &self.summary {
            text += &format!("{:<16} {:<26}", line.kpi, line.contender);
            for (_, baseline) in &baselines {
                let shown = line.relative.get(baseline.as_str());
                let shown = shown.map_or("-".to_owned(), |r| format!("{:.3} ({:.3})", r.scaled, r.pooled));
                text += &format!(" {shown:>25}");
            }
            let own = || self.figures.iter().filter(|f| f.contender == line.contender && f.kpi == line.kpi);
            let worst = |of: fn(&Figures) -> f64, from: f64| {
                own().map(of).max_by(|a, b| (a - from).abs().total_cmp(&(b - from).abs())).unwrap_or(f64::NAN)
            };
            let (coverage, near) = (worst(|f| f.coverage, NOMINAL_COVERAGE), worst(|f| f.series_within_8_points, 1.0));
            text += &format!(" {:>8.1}% {:>8.0}%\n", 100.0 * coverage, 100.0 * near);
        }
        text + "\nCoverage of the 90 % interval, and share of the series whose own is within 8 points of it: the horizon \
                and statistic where it is furthest off.\n"
    }
}

/// One KPI, horizon and statistic.
struct Cell<'a> {
    horizon: usize,
    statistic: Statistic,
    block_days: i64,
    scored: Vec<Scored<'a>>,
}

impl<'a> Cell<'a> {
    fn of(series: &[&'a SeriesScores], horizon: usize, statistic: Statistic, block_days: u32) -> Self {
        let scored = series.iter().filter_map(|series| {
            let tally = series.tallies.get(horizon)?[statistic as usize].first()?;
            let mean = tally.mean(tally.magnitude)?;
            (mean > 0.0).then_some(Scored { series, mean })
        });
        Self { horizon, statistic, block_days: block_days.into(), scored: scored.collect() }
    }

    fn tally(&self, scored: &Scored<'a>, contender: usize) -> &'a Tally {
        &scored.series.tallies[self.horizon][self.statistic as usize][contender]
    }

    /// Mean over the series of a figure in units of their mean demand.
    fn scaled(&self, contender: usize, figure: impl Fn(&Tally) -> Option<f64>) -> f64 {
        let each = self.scored.iter().map(|s| figure(self.tally(s, contender)).unwrap_or(0.0) / s.mean);
        each.sum::<f64>() / self.scored.len() as f64
    }

    fn figures(&self, contender: usize, names: &[String], kpi: &str, horizon_s: u32) -> Option<Figures> {
        let mut pooled = Tally::default();
        self.scored.iter().for_each(|s| pooled.add(self.tally(s, contender)));
        let near = |s: &&Scored<'_>| {
            let coverage = self.tally(s, contender).coverage().unwrap_or(0.0);
            (coverage - NOMINAL_COVERAGE).abs() <= COVERAGE_TOLERANCE
        };
        let level = |(i, level): (usize, f64)| {
            let share_below = pooled.mean(pooled.below[i])?;
            Some(QuantileFigures {
                level,
                scaled_pinball: self.scaled(contender, |t| t.mean(t.pinball[i])),
                share_below,
            })
        };
        let relative = baselines(names).into_iter().map(|(i, name)| (name, self.relative(contender, i)));
        Some(Figures {
            contender: names[contender].clone(),
            kpi: kpi.to_owned(),
            horizon_s,
            statistic: self.statistic.name(),
            scored: pooled.scored,
            weighted_quantile_loss: pooled.weighted_quantile_loss()?,
            scaled_crps: self.scaled(contender, Tally::crps),
            mase: self.mase(contender),
            coverage: pooled.coverage()?,
            series_within_8_points: self.scored.iter().filter(near).count() as f64 / self.scored.len() as f64,
            scaled_width: self.scaled(contender, |t| t.mean(t.width)),
            quantiles: QUANTILE_LEVELS.into_iter().enumerate().map(level).collect::<Option<_>>()?,
            relative: relative.collect(),
        })
    }

    /// Hyndman and Koehler 2006, "Another look at measures of forecast accuracy", with the season of a day.
    fn mase(&self, contender: usize) -> Option<f64> {
        let each = self.scored.iter().filter_map(|s| {
            let (sum, count) = s.series.seasonal_error;
            let tally = self.tally(s, contender);
            (sum > 0.0).then(|| tally.mean(tally.absolute_error).map(|error| error / (sum / count as f64)))?
        });
        let (sum, count) = each.fold((0.0, 0u32), |(sum, count), mase| (sum + mase, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    }

    fn relative(&self, contender: usize, baseline: usize) -> Relative {
        let loss = |s: &Scored<'a>, i: usize| self.tally(s, i).decile_loss;
        let pooled = |i: usize| self.scored.iter().map(|s| loss(s, i)).sum::<f64>();
        let ratios = self.scored.iter().map(|s| {
            // A series that one of them forecast without any error counts as a bounded ratio.
            let tiny = 1e-9 * s.mean * self.tally(s, contender).scored as f64;
            ((loss(s, contender) + tiny) / (loss(s, baseline) + tiny)).clamp(0.01, 100.0)
        });
        Relative {
            scaled: self.scaled(contender, Tally::crps) / self.scaled(baseline, Tally::crps),
            scaled_95: ratio_interval(&self.blocks(contender, baseline)),
            pooled: pooled(contender) / pooled(baseline),
            series_geometric_mean: geometric_mean(ratios).unwrap_or(f64::NAN),
        }
    }

    /// Per block of days the scaled losses of both.
    fn blocks(&self, contender: usize, baseline: usize) -> Vec<(f64, f64)> {
        let mut blocks = BTreeMap::<i64, (f64, f64)>::new();
        for s in &self.scored {
            let weight = 1.0 / (s.mean * self.tally(s, contender).scored as f64);
            let of = |day: i64| (self.horizon, self.statistic as usize, day);
            let days = s.series.days.range(of(i64::MIN)..=of(i64::MAX));
            for ((_, _, day), losses) in days {
                let block = blocks.entry(day.div_euclid(self.block_days)).or_default();
                block.0 += weight * losses[contender];
                block.1 += weight * losses[baseline];
            }
        }
        blocks.into_values().collect()
    }
}

impl Summary {
    fn of(contender: &str, kpi: &str, series: usize, figures: &[Figures]) -> Self {
        let own: Vec<&Figures> = figures.iter().filter(|f| f.contender == contender && f.kpi == kpi).collect();
        let baselines = own.first().map(|f| f.relative.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        let mean = |name: &str, of: fn(&Relative) -> Option<f64>| {
            geometric_mean(own.iter().filter_map(|f| of(&f.relative[name])))
        };
        let relative = baselines.into_iter().map(|name| {
            let low = mean(&name, |r| r.scaled_95.map(|i| i.0));
            let relative = Relative {
                scaled: mean(&name, |r| Some(r.scaled)).unwrap_or(f64::NAN),
                scaled_95: low.zip(mean(&name, |r| r.scaled_95.map(|i| i.1))),
                pooled: mean(&name, |r| Some(r.pooled)).unwrap_or(f64::NAN),
                series_geometric_mean: mean(&name, |r| Some(r.series_geometric_mean)).unwrap_or(f64::NAN),
            };
            (name, relative)
        });
        Self { contender: contender.to_owned(), kpi: kpi.to_owned(), series, relative: relative.collect() }
    }
}

/// The contenders that others are compared with, and their numbers.
pub(super) fn baselines(contenders: &[String]) -> Vec<(usize, String)> {
    let known = [Family::SeasonalNaive.name(), textbook::NAME, Family::LastValue.name()];
    let place = |name: &&str| contenders.iter().position(|c| c == name).map(|i| (i, (*name).to_owned()));
    known.iter().filter_map(place).collect()
}

/// Whether a contender is the predictor as it is configured.
pub(super) fn is_configured(contender: &str) -> bool {
    contender == AS_CONFIGURED
}
