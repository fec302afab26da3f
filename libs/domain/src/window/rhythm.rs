//! What recurs in a window: seasons and autocorrelation.

use super::fourier::{Point, TOP_SEASONS, Workspace, season_at};
use super::{DAY_S, WEEK_S};
use crate::fingerprint::Season;
use bitcode::{Decode, Encode};
use std::f64::consts::PI;

/// Seasons and autocorrelation of one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rhythm {
    /// Autocorrelation at lags of 1 h, 24 h and 7 d.
    pub acf: [Option<f64>; 3],
    /// Season of 24 h.
    pub season_24h: Option<Season>,
    /// Season of 7 d.
    pub season_7d: Option<Season>,
    /// Strongest periods, strongest first.
    pub top_seasons: Vec<Season>,
}

impl Rhythm {
    /// From the window's evenly spaced points and its autocorrelations.
    pub(super) fn of(points: &[Point], grid_s: f64, acf: [Option<f64>; 3], workspace: &mut Workspace) -> Self {
        Self {
            acf,
            season_24h: season_at(points, grid_s, DAY_S as f64),
            season_7d: season_at(points, grid_s, WEEK_S as f64),
            top_seasons: workspace.top_seasons(points, grid_s),
        }
    }
}

/// A rhythm as it is kept. Periods and amplitudes have 32 bits; what lies within bounds has 16.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(super) struct PackedRhythm {
    acf: [i16; 3],
    season_24h: PackedWave,
    season_7d: PackedWave,
    top_seasons: [PackedSeason; TOP_SEASONS],
}

/// A season whose period is known.
#[derive(Clone, Copy, Debug, Encode, Decode)]
struct PackedWave {
    /// NaN for none.
    amplitude: f32,
    /// Of half a turn.
    phase: i16,
    strength: u16,
}

#[derive(Clone, Copy, Debug, Encode, Decode)]
struct PackedSeason {
    period_s: f32,
    wave: PackedWave,
}

/// Steps of a number within -1 and 1 from 0 to either.
const STEPS: f64 = 32_767.0;

/// Of a number within 0 and 1.
const SHARE_STEPS: f64 = 65_535.0;

/// Stands for no autocorrelation.
const NO_ACF: i16 = i16::MIN;

const NONE: PackedWave = PackedWave { amplitude: f32::NAN, phase: 0, strength: 0 };
const NO_SEASON: PackedSeason = PackedSeason { period_s: f32::NAN, wave: NONE };

impl Default for PackedRhythm {
    fn default() -> Self {
        Self { acf: [NO_ACF; 3], season_24h: NONE, season_7d: NONE, top_seasons: [NO_SEASON; TOP_SEASONS] }
    }
}

impl PartialEq for PackedRhythm {
    fn eq(&self, other: &Self) -> bool {
        self.unpacked() == other.unpacked()
    }
}

fn packed(number: f64) -> i16 {
    (STEPS * number.clamp(-1.0, 1.0)).round() as i16
}

impl From<&Season> for PackedWave {
    fn from(season: &Season) -> Self {
        let phase = packed(season.phase_rad / PI);
        Self {
            amplitude: season.amplitude as f32,
            // Half a turn back is half a turn on.
            phase: if phase == -i16::MAX { i16::MAX } else { phase },
            strength: (SHARE_STEPS * season.strength.clamp(0.0, 1.0)).round() as u16,
        }
    }
}

impl PackedWave {
    fn of(season: Option<&Season>) -> Self {
        season.map_or(NONE, Self::from)
    }

    fn unpacked(&self, period_s: f64) -> Option<Season> {
        (!self.amplitude.is_nan()).then(|| Season {
            period_s,
            amplitude: self.amplitude.into(),
            phase_rad: f64::from(self.phase) / STEPS * PI,
            strength: f64::from(self.strength) / SHARE_STEPS,
        })
    }
}

impl From<&Rhythm> for PackedRhythm {
    fn from(rhythm: &Rhythm) -> Self {
        let mut top_seasons = [NO_SEASON; TOP_SEASONS];
        for (place, found) in top_seasons.iter_mut().zip(&rhythm.top_seasons) {
            *place = PackedSeason { period_s: found.period_s as f32, wave: PackedWave::from(found) };
        }
        Self {
            acf: rhythm.acf.map(|acf| acf.map_or(NO_ACF, packed)),
            season_24h: PackedWave::of(rhythm.season_24h.as_ref()),
            season_7d: PackedWave::of(rhythm.season_7d.as_ref()),
            top_seasons,
        }
    }
}

impl PackedRhythm {
    pub(super) fn unpacked(&self) -> Rhythm {
        let top_seasons = self.top_seasons.iter();
        Rhythm {
            acf: self.acf.map(|acf| (acf != NO_ACF).then(|| f64::from(acf) / STEPS)),
            season_24h: self.season_24h.unpacked(DAY_S as f64),
            season_7d: self.season_7d.unpacked(WEEK_S as f64),
            top_seasons: top_seasons.filter_map(|season| season.wave.unpacked(season.period_s.into())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn season(period_s: f64) -> impl Strategy<Value = Season> {
        let phase_rad = prop_oneof![Just(PI), -PI + 1e-9..PI];
        (0.0..1e9f64, phase_rad, 0.0..=1.0f64).prop_map(move |(amplitude, phase_rad, strength)| Season {
            period_s,
            amplitude,
            phase_rad,
            strength,
        })
    }

    proptest! {
        #[test]
        fn a_kept_rhythm_is_off_by_little(
            acf in prop::array::uniform3(prop::option::of(-1.0..=1.0f64)),
            season_24h in prop::option::of(season(DAY_S as f64)),
            season_7d in prop::option::of(season(WEEK_S as f64)),
            top_seasons in prop::collection::vec(season(43_200.0), 0..=TOP_SEASONS),
        ) {
            let rhythm = Rhythm { acf, season_24h, season_7d, top_seasons };
            let kept = PackedRhythm::from(&rhythm).unpacked();
            for (got, wanted) in kept.acf.into_iter().zip(rhythm.acf) {
                prop_assert_eq!(got.is_some(), wanted.is_some());
                prop_assert!((got.unwrap_or(0.0) - wanted.unwrap_or(0.0)).abs() <= 2e-5);
            }
            let all = |rhythm: &Rhythm| -> Vec<Option<Season>> {
                let fixed = [rhythm.season_24h, rhythm.season_7d];
                fixed.into_iter().chain(rhythm.top_seasons.iter().copied().map(Some)).collect()
            };
            prop_assert_eq!(all(&kept).len(), all(&rhythm).len());
            for (got, wanted) in all(&kept).into_iter().zip(all(&rhythm)) {
                prop_assert_eq!(got.is_some(), wanted.is_some());
                let (Some(got), Some(wanted)) = (got, wanted) else { continue };
                let turned = (got.phase_rad - wanted.phase_rad).abs();
                prop_assert!(turned.min(2.0 * PI - turned) <= 1e-4, "{} for {}", got.phase_rad, wanted.phase_rad);
                prop_assert!(got.phase_rad > -PI);
                prop_assert!((got.strength - wanted.strength).abs() <= 1e-5);
                prop_assert!((got.amplitude - wanted.amplitude).abs() <= 1e-7 * wanted.amplitude);
                prop_assert_eq!(got.period_s, wanted.period_s);
            }
        }
    }

    #[test]
    fn it_takes_60_bytes() {
        assert_eq!(size_of::<PackedRhythm>(), 60);
    }
}
