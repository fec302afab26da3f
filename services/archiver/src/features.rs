//! The features of a window by name, in the order of the Parquet columns. A name is the window's
//! (`short`, `long`) and the feature's, as in `short_p95`; a feature that the configuration adds by SQL
//! is `short_extra_<name>`.

use anyhow::{Result, bail};
use prescale_domain::fingerprint::{KpiFingerprint, Season, WindowFeatures};
use std::collections::BTreeSet;

/// The windows, by the names that features begin with.
pub(crate) const WINDOWS: [&str; 2] = ["short", "long"];
/// Number of features of one window, beside those that are added by SQL.
pub(crate) const FEATURES: usize = 38;
/// What the names of features begin with, behind the window's, that are added by SQL.
pub(crate) const EXTRA: &str = "extra_";
/// Every feature is meant.
const ALL: &str = "all";

/// Their names, less the window's.
pub(crate) const NAMES: [&str; FEATURES] = [
    "count",
    "missing_share",
    "mean",
    "std_dev",
    "min",
    "max",
    "p50",
    "p90",
    "p95",
    "p99",
    "trend_per_h",
    "trend_std_err",
    "trend_r2",
    "acf_1h",
    "acf_24h",
    "acf_7d",
    "burstiness",
    "season_1h_amplitude",
    "season_1h_phase_rad",
    "season_1h_strength",
    "season_24h_amplitude",
    "season_24h_phase_rad",
    "season_24h_strength",
    "season_7d_amplitude",
    "season_7d_phase_rad",
    "season_7d_strength",
    "top_season_1_period_s",
    "top_season_1_amplitude",
    "top_season_1_phase_rad",
    "top_season_1_strength",
    "top_season_2_period_s",
    "top_season_2_amplitude",
    "top_season_2_phase_rad",
    "top_season_2_strength",
    "top_season_3_period_s",
    "top_season_3_amplitude",
    "top_season_3_phase_rad",
    "top_season_3_strength",
];

/// The two windows of a KPI, in the order of [`WINDOWS`]; `None` between the closes of bins.
pub(crate) fn windows(kpi: &KpiFingerprint) -> Option<[&WindowFeatures; 2]> {
    kpi.windows.as_deref().map(|windows| [&windows.short, &windows.long])
}

/// The values of a window, in the order of [`NAMES`]; `None` where the window does not define one.
pub(crate) fn values(window: &WindowFeatures) -> [Option<f64>; FEATURES] {
    let w = window;
    let [h1_amplitude, h1_phase, h1_strength] = season(w.season_1h);
    let [d1_amplitude, d1_phase, d1_strength] = season(w.season_24h);
    let [d7_amplitude, d7_phase, d7_strength] = season(w.season_7d);
    let [t1_period, t1_amplitude, t1_phase, t1_strength] = top_season(w, 0);
    let [t2_period, t2_amplitude, t2_phase, t2_strength] = top_season(w, 1);
    let [t3_period, t3_amplitude, t3_phase, t3_strength] = top_season(w, 2);
    [
        Some(w.count as f64),
        Some(w.missing_share),
        w.mean,
        w.std_dev,
        w.min,
        w.max,
        w.p50,
        w.p90,
        w.p95,
        w.p99,
        w.trend_per_h,
        w.trend_std_err,
        w.trend_r2,
        w.acf_1h,
        w.acf_24h,
        w.acf_7d,
        w.burstiness,
        h1_amplitude,
        h1_phase,
        h1_strength,
        d1_amplitude,
        d1_phase,
        d1_strength,
        d7_amplitude,
        d7_phase,
        d7_strength,
        t1_period,
        t1_amplitude,
        t1_phase,
        t1_strength,
        t2_period,
        t2_amplitude,
        t2_phase,
        t2_strength,
        t3_period,
        t3_amplitude,
        t3_phase,
        t3_strength,
    ]
}

fn season(season: Option<Season>) -> [Option<f64>; 3] {
    [season.map(|s| s.amplitude), season.map(|s| s.phase_rad), season.map(|s| s.strength)]
}

fn top_season(window: &WindowFeatures, rank: usize) -> [Option<f64>; 4] {
    let found = window.top_seasons.get(rank).copied();
    let [amplitude, phase_rad, strength] = season(found);
    [found.map(|s| s.period_s), amplitude, phase_rad, strength]
}

/// Which features a time-series database gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Every one.
    All,
    /// Some of each window.
    Some([OfWindow; 2]),
}

/// The features of one window that are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OfWindow {
    /// In the order of [`NAMES`].
    named: [bool; FEATURES],
    /// Names of those that are added by SQL.
    extra: BTreeSet<String>,
}

impl Selection {
    /// From the configuration's list.
    ///
    /// # Errors
    /// With the first name that no feature has.
    pub(crate) fn of(names: &[String]) -> Result<Self> {
        if names.iter().any(|name| name == ALL) {
            return Ok(Self::All);
        }
        let mut windows = [(); 2].map(|()| OfWindow { named: [false; FEATURES], extra: BTreeSet::new() });
        for name in names {
            let taken = WINDOWS.iter().zip(&mut windows).any(|(window, features)| {
                name.strip_prefix(window).and_then(|rest| rest.strip_prefix('_')).is_some_and(|rest| features.add(rest))
            });
            if !taken {
                bail!(
                    "{name:?} is no feature: write short_ or long_ and one of {}, or {EXTRA}NAME for one that is added by SQL, or {ALL:?}",
                    NAMES.join(", ")
                );
            }
        }
        Ok(Self::Some(windows))
    }

    /// Calls `take` with window, name and value of each selected feature that a KPI has.
    pub(crate) fn each<'a>(&self, kpi: &'a KpiFingerprint, mut take: impl FnMut(Feature<'a>)) {
        for (at, features) in windows(kpi).into_iter().flatten().enumerate() {
            let window = WINDOWS[at];
            let selected = match self {
                Self::All => None,
                Self::Some(windows) => Some(&windows[at]),
            };
            for (place, value) in values(features).into_iter().enumerate() {
                if let Some(value) = value
                    && selected.is_none_or(|s| s.named[place])
                {
                    take(Feature { window, name: NAMES[place], is_extra: false, value });
                }
            }
            for (name, value) in &features.extra {
                if let Some(value) = *value
                    && selected.is_none_or(|s| s.extra.contains(name))
                {
                    take(Feature { window, name, is_extra: true, value });
                }
            }
        }
    }
}

impl OfWindow {
    /// Adds a feature by its name, less the window's; false when none has that name.
    fn add(&mut self, name: &str) -> bool {
        if let Some(place) = NAMES.iter().position(|known| *known == name) {
            self.named[place] = true;
            return true;
        }
        match name.strip_prefix(EXTRA) {
            Some(extra) if !extra.is_empty() => {
                self.extra.insert(extra.to_owned());
                true
            }
            _ => false,
        }
    }
}

/// One feature of one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Feature<'a> {
    /// `short` or `long`.
    pub(crate) window: &'static str,
    /// Its name, less the window's.
    pub(crate) name: &'a str,
    /// Whether it is one that the configuration adds by SQL.
    pub(crate) is_extra: bool,
    /// Its value.
    pub(crate) value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{fingerprint, newest_values};

    #[test]
    fn names_are_unique_and_stand_beside_their_values() {
        assert_eq!(NAMES.iter().collect::<BTreeSet<_>>().len(), FEATURES);
        let fingerprint = fingerprint("web", 0);
        let [_, long] = windows(&fingerprint.kpis[0]).unwrap();
        let of = |name: &str| values(long)[NAMES.iter().position(|n| *n == name).unwrap()];
        assert_eq!(of("count"), Some(long.count as f64));
        assert_eq!(of("p99"), long.p99);
        assert_eq!(of("burstiness"), long.burstiness);
        assert_eq!(of("season_24h_strength"), long.season_24h.map(|s| s.strength));
        assert_eq!(of("top_season_1_period_s"), Some(long.top_seasons[0].period_s));
        assert_eq!(of("top_season_3_strength"), None);
    }

    #[test]
    fn a_selection_gives_what_it_names_and_refuses_what_nobody_has() {
        let kpi = &fingerprint("web", 0).kpis[0];
        let names = ["short_p95", "long_extra_peak_to_mean", "long_acf_7d"].map(str::to_owned);
        let mut found = Vec::new();
        Selection::of(&names).unwrap().each(kpi, |f| found.push((f.window, f.name.to_owned(), f.is_extra)));
        assert_eq!(found, [("short", "p95".to_owned(), false), ("long", "peak_to_mean".to_owned(), true)]);
        let mut all = 0;
        Selection::of(&["all".to_owned()]).unwrap().each(kpi, |_| all += 1);
        assert_eq!(all, 4 + 13, "those that the example defines");
        let between = newest_values("web", 60);
        Selection::All.each(&between.kpis[0], |f| panic!("{f:?} between the closes of bins"));
        for wrong in ["p95", "short_p96", "short_extra_", "longp95"] {
            assert!(Selection::of(&[wrong.to_owned()]).unwrap_err().to_string().contains(wrong));
        }
    }
}
