//! Seasons of a series on a grid, by Fourier analysis.
//!
//! Places without a value count as the mean of those that have one, so they add nothing; sums are
//! over the values present.

use crate::fingerprint::Season;
use rustfft::num_complex::Complex64;
use rustfft::{Fft, FftPlanner};
use std::collections::BTreeMap;
use std::f64::consts::{PI, TAU};
use std::sync::Arc;

/// Seasons reported of a window.
pub const TOP_SEASONS: usize = 3;

/// A shorter series has no top seasons.
const VALUES_MIN: usize = 12;

/// A value on the grid: its instant in seconds since the epoch, and NaN where missing.
pub type Point = (f64, f64);

/// Planned transforms by length, and room to work in. Holds nothing that outlasts a call but
/// what follows from the lengths asked for.
#[derive(Default)]
pub struct Workspace {
    plans: BTreeMap<usize, Arc<dyn Fft<f64>>>,
    buffer: Vec<Complex64>,
    scratch: Vec<Complex64>,
}

struct Centred {
    mean: f64,
    present: usize,
    m2: f64,
}

fn centred(points: &[Point]) -> Centred {
    let present = || points.iter().map(|(_, y)| *y).filter(|y| !y.is_nan());
    let count = present().count();
    let mean = present().sum::<f64>() / count.max(1) as f64;
    Centred { mean, present: count, m2: present().map(|y| (y - mean).powi(2)).sum() }
}

/// An angle brought into (-π, π].
pub fn wrapped(angle: f64) -> f64 {
    let turned = angle - TAU * ((angle - PI) / TAU).ceil();
    if turned <= -PI { turned + TAU } else { turned }
}

/// The season of exactly `period_s`, from sums over deviations d of values from their mean:
/// a = 2/n Σ d cos ωt and b = 2/n Σ d sin ωt make a·cos ωt + b·sin ωt.
pub fn season_of_sums(period_s: f64, count: f64, m2: f64, (cos_sum, sin_sum): (f64, f64)) -> Option<Season> {
    if count < 2.0 {
        return None;
    }
    let (a, b) = (2.0 * cos_sum / count, 2.0 * sin_sum / count);
    let power = count * (a * a + b * b) / 2.0;
    Some(Season {
        period_s,
        amplitude: a.hypot(b),
        phase_rad: if a == 0.0 && b == 0.0 { 0.0 } else { wrapped(-b.atan2(a)) },
        strength: if m2 > 0.0 { (power / m2).min(1.0) } else { 0.0 },
    })
}

/// The season of exactly `period_s` in the newest whole periods of evenly spaced points; `None`
/// when they span less than one period, or half of them are missing.
pub fn season_at(points: &[Point], grid_s: f64, period_s: f64) -> Option<Season> {
    let per_period = (period_s / grid_s).round() as usize;
    if per_period < 2 || points.len() < per_period {
        return None;
    }
    let whole = points.len() / per_period * per_period;
    let newest = &points[points.len() - whole..];
    let Centred { mean, present, m2 } = centred(newest);
    if present * 2 < whole {
        return None;
    }
    let omega = TAU / period_s;
    let sums = newest.iter().filter(|(_, y)| !y.is_nan()).fold((0.0, 0.0), |(cos_sum, sin_sum), (t, y)| {
        let (sin, cos) = (omega * (t % period_s)).sin_cos();
        (cos_sum + (y - mean) * cos, sin_sum + (y - mean) * sin)
    });
    season_of_sums(period_s, present as f64, m2, sums)
}

impl Workspace {
    /// The strongest periods of evenly spaced points, strongest first, among those that fit a
    /// whole number of times. None below a dozen values, or when half of them are missing.
    pub fn top_seasons(&mut self, points: &[Point], grid_s: f64) -> Vec<Season> {
        let length = points.len();
        let Centred { mean, present, m2 } = centred(points);
        if present < VALUES_MIN || present * 2 < length || m2 <= 0.0 {
            return Vec::new();
        }
        let plan = self.plans.entry(length).or_insert_with(|| FftPlanner::new().plan_fft_forward(length));
        self.buffer.clear();
        self.buffer.extend(points.iter().map(|(_, y)| Complex64::new(if y.is_nan() { 0.0 } else { y - mean }, 0.0)));
        self.scratch.resize(plan.get_inplace_scratch_len(), Complex64::ZERO);
        plan.process_with_scratch(&mut self.buffer, &mut self.scratch);
        let waves = strongest((1..=(length - 1) / 2).map(|k| (k, self.buffer[k].norm_sqr())));
        let origin_s = points.first().map_or(0.0, |(t, _)| *t);
        let season = |(k, power): &(usize, f64)| {
            let period_s = length as f64 * grid_s / *k as f64;
            let at_epoch = self.buffer[*k].arg() - TAU * ((origin_s % period_s) / period_s);
            Season {
                period_s,
                amplitude: 2.0 * power.sqrt() / present as f64,
                phase_rad: wrapped(at_epoch),
                strength: (2.0 * power / (present as f64 * m2)).min(1.0),
            }
        };
        waves.iter().filter(|(_, power)| *power > 1e-12 * m2).map(season).collect()
    }
}

/// The waves of the greatest power, the strongest first; of equal ones the earlier first.
fn strongest(waves: impl Iterator<Item = (usize, f64)>) -> Vec<(usize, f64)> {
    let mut strongest: Vec<(usize, f64)> = Vec::with_capacity(TOP_SEASONS + 1);
    for (k, power) in waves {
        let place = strongest.partition_point(|(_, known)| known.total_cmp(&power).is_ge());
        if place < TOP_SEASONS {
            strongest.insert(place, (k, power));
            strongest.truncate(TOP_SEASONS);
        }
    }
    strongest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day_and_half_day(hours: usize) -> Vec<Point> {
        (0..hours)
            .map(|h| {
                let t = 1_800_000.0 + 3600.0 * h as f64;
                (t, 5.0 + 2.0 * (TAU * t / 86_400.0 + 0.7).cos() + (TAU * t / 43_200.0 - 2.0).cos())
            })
            .collect()
    }

    #[test]
    fn finds_the_waves_that_were_put_in() {
        let top = Workspace::default().top_seasons(&day_and_half_day(168), 3600.0);
        assert_eq!(top.len(), 2);
        for (season, (period, amplitude, phase, strength)) in
            top.iter().zip([(86_400.0, 2.0, 0.7, 0.8), (43_200.0, 1.0, -2.0, 0.2)])
        {
            assert!((season.period_s - period).abs() < 1e-6);
            assert!((season.amplitude - amplitude).abs() < 1e-9);
            assert!((season.phase_rad - phase).abs() < 1e-9);
            assert!((season.strength - strength).abs() < 1e-9);
        }
    }

    #[test]
    fn fixed_period_uses_whole_periods_only() {
        let points = day_and_half_day(55);
        let day = season_at(&points, 3600.0, 86_400.0).unwrap();
        assert!((day.amplitude - 2.0).abs() < 1e-9 && (day.phase_rad - 0.7).abs() < 1e-9);
        assert_eq!(season_at(&points, 3600.0, 604_800.0), None);
    }

    #[test]
    fn the_strongest_waves_come_in_the_order_of_their_power() {
        let powers = [1.0, 5.0, 0.0, 5.0, 2.0, 5.0, 9.0];
        for known in 0..=powers.len() {
            let waves: Vec<(usize, f64)> = (1..).zip(powers).take(known).collect();
            let mut sorted = waves.clone();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            sorted.truncate(TOP_SEASONS);
            assert_eq!(strongest(waves.into_iter()), sorted);
        }
    }

    #[test]
    fn a_constant_has_no_seasons() {
        let points: Vec<Point> = (0..48).map(|h| (3600.0 * f64::from(h), 3.0)).collect();
        assert!(Workspace::default().top_seasons(&points, 3600.0).is_empty());
        assert_eq!(season_at(&points, 3600.0, 86_400.0).unwrap().strength, 0.0);
    }
}
