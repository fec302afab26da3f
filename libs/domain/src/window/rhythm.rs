//! What recurs in a window: seasons and autocorrelation.

use super::fourier::{Point, TOP_SEASONS, Workspace, season_at};
use super::{DAY_S, WEEK_S};
use crate::fingerprint::Season;
use bitcode::{Decode, Encode};

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

/// A rhythm as it is kept: NaN stands for none.
#[derive(Clone, Copy, Debug, Encode, Decode)]
pub(super) struct PackedRhythm {
    acf: [f32; 3],
    season_24h: PackedSeason,
    season_7d: PackedSeason,
    top_seasons: [PackedSeason; TOP_SEASONS],
}

#[derive(Clone, Copy, Debug, Encode, Decode)]
struct PackedSeason {
    period_s: f32,
    amplitude: f32,
    phase_rad: f32,
    strength: f32,
}

const NONE: PackedSeason =
    PackedSeason { period_s: f32::NAN, amplitude: f32::NAN, phase_rad: f32::NAN, strength: f32::NAN };

impl Default for PackedRhythm {
    fn default() -> Self {
        Self { acf: [f32::NAN; 3], season_24h: NONE, season_7d: NONE, top_seasons: [NONE; TOP_SEASONS] }
    }
}

impl PartialEq for PackedRhythm {
    fn eq(&self, other: &Self) -> bool {
        self.unpacked() == other.unpacked()
    }
}

impl From<&Season> for PackedSeason {
    fn from(season: &Season) -> Self {
        Self {
            period_s: season.period_s as f32,
            amplitude: season.amplitude as f32,
            phase_rad: season.phase_rad as f32,
            strength: season.strength as f32,
        }
    }
}

impl PackedSeason {
    fn unpacked(&self) -> Option<Season> {
        (!self.period_s.is_nan()).then(|| Season {
            period_s: self.period_s.into(),
            amplitude: self.amplitude.into(),
            phase_rad: self.phase_rad.into(),
            strength: self.strength.into(),
        })
    }
}

impl From<&Rhythm> for PackedRhythm {
    fn from(rhythm: &Rhythm) -> Self {
        let season = |season: &Option<Season>| season.as_ref().map_or(NONE, PackedSeason::from);
        let mut top_seasons = [NONE; TOP_SEASONS];
        for (place, found) in top_seasons.iter_mut().zip(&rhythm.top_seasons) {
            *place = PackedSeason::from(found);
        }
        Self {
            acf: rhythm.acf.map(|acf| acf.map_or(f32::NAN, |acf| acf as f32)),
            season_24h: season(&rhythm.season_24h),
            season_7d: season(&rhythm.season_7d),
            top_seasons,
        }
    }
}

impl PackedRhythm {
    pub(super) fn unpacked(&self) -> Rhythm {
        Rhythm {
            acf: self.acf.map(|acf| (!acf.is_nan()).then_some(acf.into())),
            season_24h: self.season_24h.unpacked(),
            season_7d: self.season_7d.unpacked(),
            top_seasons: self.top_seasons.iter().filter_map(PackedSeason::unpacked).collect(),
        }
    }
}
