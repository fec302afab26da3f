//! A trend that goes on, as of memory that leaks: undamped, and across restarts. Squares of errors would not find it, since
//! one restart is more than all that a damped trend is off by in a day. So what counts is how often the slope told the change
//! of an hour, and not by how much it did not, and a jump moves nothing but the level.

use super::plain::{Best, Closest};
use super::state_space::{LevelTrend, Smoothing};
use crate::forecast::demand::DemandSeries;
use bitcode::{Decode, Encode};

/// The change of so many bins is what the slope has to tell: an hour.
const AHEAD_BINS: usize = 12;

/// It told it where it was off by less than this share of the change.
const OFF_BELOW: f64 = 0.5;

/// The trend is followed while the slope told more than so many of the changes lately.
const FOLLOWED_FROM: f32 = 0.8;

/// Half-life of what counts as lately, in bins: a third of a day.
const HALF_LIFE_BINS: f64 = 96.0;

/// Bins that the slope is the mean of, older ones counting less.
const SLOPE_OF_BINS: u64 = 104;

/// A change is a jump from so many times the usual one on.
const JUMP_FROM: f64 = 8.0;

/// What is remembered of one series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct SteadyTrend {
    /// Mean change of a bin but for jumps, in the unit of the series.
    slope: f32,
    /// Mean size of such a change, in which a jump counts as [`JUMP_FROM`] of them.
    change: f32,
    /// Share of the changes of an hour that the slope told lately.
    told: f32,
    /// Mean size of what it was off by where it told them, in the unit of the series.
    error: f32,
}

impl SteadyTrend {
    /// Takes in the value of the open bin of `demand`, before which so many have had no samples.
    pub(super) fn observe(&mut self, demand: &DemandSeries, value: f64, unobserved: u32) {
        if let Some(before) = demand.measured_back(AHEAD_BINS) {
            self.judge(value - before);
        }
        let Some(last) = demand.measured_back(unobserved as usize + 1) else { return };
        let change = (value - last) / (f64::from(unobserved) + 1.0);
        let (usual, share) = (f64::from(self.change), 1.0 / demand.bins().clamp(1, SLOPE_OF_BINS) as f64);
        let jumps_from = if usual > 0.0 { JUMP_FROM * usual } else { f64::INFINITY };
        self.change += (share * (change.abs().min(jumps_from) - usual)) as f32;
        if change.abs() <= jumps_from {
            self.slope += (share * (change - f64::from(self.slope))) as f32;
        }
    }

    /// Whether the slope told the change of an hour.
    fn judge(&mut self, change: f64) {
        let share = 1.0 - 0.5f64.powf(1.0 / HALF_LIFE_BINS);
        let off = (change - AHEAD_BINS as f64 * f64::from(self.slope)).abs();
        let is_told = off < OFF_BELOW * change.abs();
        self.told += share as f32 * (f32::from(u8::from(is_told)) - self.told);
        if is_told {
            let share = if self.error > 0.0 { share } else { 1.0 };
            self.error += (share * (off - f64::from(self.error))) as f32;
        }
    }

    /// Whether the series follows such a trend.
    pub(super) fn is_followed(&self) -> bool {
        self.told > FOLLOWED_FROM
    }

    /// The forecast by it, from the closest level, after so many bins without samples; `None` where it is not followed.
    pub(super) fn best(&self, closest: Closest, unobserved: u32) -> Option<Best> {
        if !self.is_followed() {
            return None;
        }
        let (slope, share) = (f64::from(self.slope), closest.smoothing.level);
        // A level without a trend stays behind a steady one by so many bins.
        let behind = f64::from(unobserved) + (1.0 - share) / share;
        // From the mean size of normal errors an hour ahead to the variance of one bin's.
        let variance = f64::from(self.error).powi(2) * std::f64::consts::FRAC_PI_2;
        let of_hour = 1.0 + (AHEAD_BINS as f64 - 1.0) * share * share;
        Some(Best {
            smoothing: Smoothing { damping: 1.0, ..closest.smoothing },
            state: LevelTrend { level: closest.level + slope * behind, trend: slope },
            error_variance: variance / of_hour,
        })
    }
}
