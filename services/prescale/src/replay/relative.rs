//! A contender by the baseline with the same lead time.

use super::outcome::Sums;
use prescale_domain::outcome::Tally;
use prescale_domain::score::bootstrap::moving_ratio_interval;
use prescale_domain::workload::WorkloadId;
use serde::Serialize;
use std::collections::BTreeMap;

/// What one contender came to.
pub(super) struct Held<'a> {
    pub workloads: &'a [WorkloadId],
    pub tallies: &'a [Tally],
    pub days: &'a BTreeMap<i64, Sums>,
}

/// Where winners and losers are told apart, an unmet core-hour counts as so many spare ones.
pub(super) const UNMET_WEIGHT: f64 = 10.0;

/// A workload's loss that differs by less than this share is the same.
const SAME_WITHIN: f64 = 0.01;

/// Shares of the workloads at which the ratios of their losses are given.
const RATIO_STEPS: usize = 20;

/// Most winners and losers that are named.
pub(super) const NAMED_MAX: usize = 10;

/// What a contender came to by what the baseline came to; below 1 is better.
#[derive(Clone, Debug, Serialize)]
pub struct Relative {
    /// Of the time short.
    pub time_short: Ratio,
    /// Of the unmet demand.
    pub unmet: Ratio,
    /// Of the capacity to spare.
    pub over: Ratio,
    /// Share of the workloads with a loss below the baseline's by more than 1 %. A loss is the spare core-hours
    /// and ten times the unmet ones.
    pub winners_share: f64,
    /// Share of the workloads with a loss above it by more than 1 %.
    pub losers_share: f64,
    /// Workloads' losses by the baseline's, in order: the least, then at each twentieth of the workloads.
    pub loss_ratios: Vec<f64>,
    /// Those that win most core-hours of loss.
    pub winners: Vec<Named>,
    /// Those that lose most.
    pub losers: Vec<Named>,
}

/// One measure.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// Of the fleet's sums; `None` where the baseline's is zero.
    pub fleet: Option<f64>,
    /// 95 % interval, by the bootstrap over moving blocks of days with all workloads.
    pub fleet_95: Option<(f64, f64)>,
    /// Mean of the workloads' own ratios, over those where the baseline's is above zero.
    pub workloads_mean: Option<f64>,
    /// Their median.
    pub workloads_median: Option<f64>,
    /// Share of the workloads with less than the baseline.
    pub workloads_less: f64,
    /// Share of the workloads with more.
    pub workloads_more: f64,
}

/// A workload and how much it gains or loses.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// The workload.
    pub workload: String,
    /// Its loss less the baseline's, in core-hours.
    pub loss_core_h: f64,
}

impl Relative {
    /// Of two contenders over the same workloads.
    pub(super) fn of(own: &Held<'_>, baseline: &Held<'_>, block_days: u32) -> Self {
        let measure = |of_tally: fn(&Tally) -> f64, of_day: fn(&Sums) -> f64| {
            let times: Vec<(f64, f64)> =
                baseline.days.iter().map(|(day, sums)| (own.days.get(day).map_or(0.0, of_day), of_day(sums))).collect();
            let pairs: Vec<(f64, f64)> =
                own.tallies.iter().zip(baseline.tallies).map(|(a, b)| (of_tally(a), of_tally(b))).collect();
            Ratio::of(&pairs, &times, block_days)
        };
        let mut gains: Vec<(f64, f64, usize)> = own
            .tallies
            .iter()
            .zip(baseline.tallies)
            .enumerate()
            .filter(|(_, (_, b))| b.hours > 0.0)
            .map(|(i, (a, b))| (loss(a), loss(b), i))
            .collect();
        let share = |wins: &dyn Fn(f64, f64) -> bool| {
            gains.iter().filter(|(a, b, _)| wins(*a, *b)).count() as f64 / gains.len().max(1) as f64
        };
        let winners_share = share(&|a, b| a < b * (1.0 - SAME_WITHIN));
        let losers_share = share(&|a, b| a > b * (1.0 + SAME_WITHIN));
        let mut ratios: Vec<f64> = gains.iter().filter(|(_, b, _)| *b > 0.0).map(|(a, b, _)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        gains.sort_by(|x, y| (x.0 - x.1).total_cmp(&(y.0 - y.1)));
        let named = |(a, b, i): &(f64, f64, usize)| Named {
            workload: own.workloads[*i].as_str().to_owned(),
            loss_core_h: a - b,
        };
        Self {
            time_short: measure(|t| t.hours_short, |s| s.hours_short),
            unmet: measure(|t| t.unmet, |s| s.unmet),
            over: measure(|t| t.over, |s| s.over),
            winners_share,
            losers_share,
            loss_ratios: at_steps(&ratios),
            winners: gains.iter().filter(|(a, b, _)| a < b).take(NAMED_MAX).map(named).collect(),
            losers: gains.iter().rev().filter(|(a, b, _)| a > b).take(NAMED_MAX).map(named).collect(),
        }
    }
}

impl Ratio {
    fn of(pairs: &[(f64, f64)], times: &[(f64, f64)], block_days: u32) -> Self {
        let (own, baseline) = pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
        let mut ratios: Vec<f64> = pairs.iter().filter(|(_, b)| *b > 0.0).map(|(a, b)| a / b).collect();
        ratios.sort_by(f64::total_cmp);
        let count = ratios.len();
        let share =
            |wins: fn(&&(f64, f64)) -> bool| pairs.iter().filter(wins).count() as f64 / pairs.len().max(1) as f64;
        Self {
            fleet: (baseline > 0.0).then(|| own / baseline),
            fleet_95: moving_ratio_interval(times, block_days as usize),
            workloads_mean: (count > 0).then(|| ratios.iter().sum::<f64>() / count as f64),
            workloads_median: (count > 0).then(|| 0.5 * (ratios[(count - 1) / 2] + ratios[count / 2])),
            workloads_less: share(|(a, b)| a < b),
            workloads_more: share(|(a, b)| a > b),
        }
    }
}

fn loss(tally: &Tally) -> f64 {
    tally.over + UNMET_WEIGHT * tally.unmet
}

fn at_steps(sorted: &[f64]) -> Vec<f64> {
    let Some(last) = sorted.len().checked_sub(1) else { return Vec::new() };
    (0..=RATIO_STEPS).map(|step| sorted[last * step / RATIO_STEPS]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_of_sums_and_beside_it_of_each_workload() {
        let pairs = [(1.0, 2.0), (3.0, 2.0), (0.0, 4.0), (5.0, 0.0)];
        let ratio = Ratio::of(&pairs, &[], 1);
        assert_eq!(ratio.fleet, Some(9.0 / 8.0));
        assert_eq!(ratio.workloads_mean, Some((0.5 + 1.5 + 0.0) / 3.0));
        assert_eq!(ratio.workloads_median, Some(0.5));
        assert_eq!((ratio.workloads_less, ratio.workloads_more), (0.5, 0.5));
        assert_eq!(ratio.fleet_95, None);
        assert_eq!(Ratio::of(&[(1.0, 0.0)], &[], 1).fleet, None);
    }
}
