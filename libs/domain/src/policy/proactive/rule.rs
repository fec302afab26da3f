//! The simple rules that are tried on each series, of which the one with the least realised cost serves it.

use super::demand::{BIN_S, DAY_BINS, DemandRing, WEEK_BINS};
use super::trial::Deadband;
use bitcode::{Decode, Encode};

/// Lengths of the windows whose greatest demand rules look at, in bins.
pub const WINDOWS_BINS: [i64; 8] = [1, 3, 6, 12, 24, 36, 72, 288];

/// What a rule adds for what recurs: the greatest demand of the time that it decides for, a period ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// Nothing.
    None,
    /// The same time yesterday.
    Day,
    /// The same time yesterday, and a week ago.
    DayAndWeek,
    /// The same time yesterday, and a week ago, and how high the last onsets went where one is due or a peer leads.
    Any,
}

/// What a rule goes by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Basis {
    /// The greatest demand of the last of [`WINDOWS_BINS`] with that index, over a utilisation.
    Window {
        /// Index of the window.
        window: usize,
        /// Share of the capacity that this demand may use.
        utilisation: f32,
        /// What recurs.
        season: Season,
    },
    /// A quantile of the demand of the last [`QUANTILE_BINS`], over a utilisation.
    Quantile {
        /// Index into [`DEMAND_LEVELS`].
        level: usize,
        /// Share of the capacity that this demand may use.
        utilisation: f32,
    },
    /// A quantile of the forecast's maximum over the time that the decision serves.
    Forecast {
        /// Index into [`FORECAST_LEVELS`].
        level: usize,
    },
}

/// Bins whose quantiles are tried: two days.
pub const QUANTILE_BINS: i64 = 2 * DAY_BINS;

/// Levels of the demand of [`QUANTILE_BINS`] that are tried.
pub const DEMAND_LEVELS: [f64; 3] = [0.9, 0.95, 0.98];

/// Levels of the forecast that are tried.
pub const FORECAST_LEVELS: [f64; 3] = [0.75, 0.9, 0.99];

/// A rule that sizes a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What it goes by.
    pub basis: Basis,
    /// What it adds, in units of the resource's smallest sensible amount ([`View::unit`]).
    pub spare: f32,
    /// Changes that it leaves.
    pub deadband: Deadband,
}

/// What spare capacity of CPU counts in.
pub const OF_CORES: &str = "cores";

/// What spare capacity for a rate counts in.
pub const OF_A_REPLICA: &str = "of a replica";

/// What recurs is exceeded by a little.
const SEASON_FACTOR: f32 = 1.02;

const fn window(window: usize, utilisation: f32, season: Season, spare: f32, shrink_share: f32) -> Rule {
    Rule { basis: Basis::Window { window, utilisation, season }, spare, deadband: Deadband::shrinking_by(shrink_share) }
}

const fn forecast(level: usize, spare: f32, shrink_share: f32) -> Rule {
    Rule { basis: Basis::Forecast { level }, spare, deadband: Deadband::shrinking_by(shrink_share) }
}

const fn quantile(level: usize, utilisation: f32, spare: f32, grow_share: f32, shrink_share: f32) -> Rule {
    Rule { basis: Basis::Quantile { level, utilisation }, spare, deadband: Deadband { grow_share, shrink_share } }
}

/// All rules. Their order is part of the state's layout.
pub const RULES: [Rule; 30] = [
    window(0, 0.96, Season::None, 0.0, 0.05),
    window(1, 0.96, Season::None, 0.0, 0.12),
    window(1, 0.96, Season::None, 0.01, 0.12),
    window(1, 0.96, Season::None, 0.03, 0.3),
    window(1, 0.96, Season::DayAndWeek, 0.01, 0.3),
    window(2, 0.96, Season::None, 0.03, 0.3),
    window(2, 0.96, Season::DayAndWeek, 0.08, 0.3),
    window(3, 0.96, Season::None, 0.01, 0.3),
    window(3, 0.96, Season::Day, 0.01, 0.3),
    window(3, 0.96, Season::DayAndWeek, 0.03, 0.3),
    window(4, 0.96, Season::None, 0.01, 0.12),
    window(4, 0.96, Season::None, 0.01, 0.3),
    window(4, 0.96, Season::None, 0.08, 0.3),
    window(4, 0.96, Season::Day, 0.08, 0.3),
    window(5, 0.96, Season::None, 0.03, 0.3),
    window(5, 0.8, Season::None, 0.03, 0.3),
    window(5, 0.7, Season::DayAndWeek, 0.08, 0.3),
    window(6, 0.96, Season::None, 0.01, 0.3),
    window(6, 0.88, Season::DayAndWeek, 0.03, 0.3),
    window(7, 0.96, Season::None, 0.01, 0.12),
    window(7, 0.8, Season::DayAndWeek, 0.08, 0.3),
    forecast(0, 0.01, 0.3),
    forecast(1, 0.03, 0.3),
    forecast(2, 0.03, 0.3),
    window(1, 0.96, Season::Any, 0.01, 0.3),
    window(3, 0.96, Season::Any, 0.03, 0.3),
    window(5, 0.96, Season::Any, 0.03, 0.3),
    quantile(0, 0.87, 0.03, 0.6, 0.6),
    quantile(1, 0.9, 0.03, 0.4, 0.5),
    quantile(2, 0.96, 0.03, 0.2, 0.4),
];

/// Greatest demand of each of [`WINDOWS_BINS`] and of what recurs, over closed bins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub struct Maxima {
    windows: [f32; WINDOWS_BINS.len()],
    day: f32,
    week: f32,
}

impl Maxima {
    /// As of the newest closed bin: the windows with room left for the open bin, and what recurs over
    /// `hold_bins` from `delay_bins` ahead of the newest closed bin.
    pub fn of(ring: &DemandRing, delay_bins: usize, hold_bins: usize) -> Self {
        let Some(newest) = ring.newest() else { return Self::default() };
        let mut windows = [0.0; WINDOWS_BINS.len()];
        let (mut reached, mut greatest) = (0, 0.0f32);
        for (place, bins) in windows.iter_mut().zip(WINDOWS_BINS) {
            greatest = greatest.max(ring.maximum(newest - bins + 1, newest - reached).unwrap_or(0.0));
            reached = bins;
            *place = greatest;
        }
        let recurs = |period: i64| {
            let first = newest + delay_bins as i64 - period;
            ring.maximum(first, first + hold_bins as i64 - 1).unwrap_or(0.0)
        };
        Self { windows, day: recurs(DAY_BINS), week: recurs(WEEK_BINS) }
    }

    /// Without the windows.
    pub fn recurring(&self) -> Self {
        Self { windows: [0.0; WINDOWS_BINS.len()], ..*self }
    }
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Over closed bins.
    pub maxima: &'a Maxima,
    /// Quantiles of the last [`QUANTILE_BINS`] at [`DEMAND_LEVELS`], where they are known.
    pub quantiles: Option<[f32; DEMAND_LEVELS.len()]>,
    /// How high the last onsets went, where another one is to be expected; 0 otherwise.
    pub onset: f32,
    /// Greatest demand since the newest closed bin, 0 for none.
    pub open: f32,
    /// The demand that has lasted for as long as live use has to before it demands capacity, 0 for none.
    pub lasting: f32,
    /// The forecast at each of [`FORECAST_LEVELS`], where there is one.
    pub forecast: Option<[f32; FORECAST_LEVELS.len()]>,
    /// Amount that a rule's `spare` counts in.
    pub unit: f32,
    /// Least share of the capacity that stays free whatever the rule says: demand over this is asked for.
    pub floor_utilisation: f32,
}

impl Rule {
    /// The capacity that it asks for; `None` where it has nothing to go by.
    pub fn target(&self, view: &View<'_>) -> Option<f32> {
        let spare = self.spare * view.unit;
        let asked = match self.basis {
            Basis::Window { window, utilisation, season } => {
                let recent = view.maxima.windows[window].max(view.open) / utilisation;
                let recurring = match season {
                    Season::None => 0.0,
                    Season::Day => view.maxima.day * SEASON_FACTOR,
                    Season::DayAndWeek => view.maxima.day.max(view.maxima.week) * SEASON_FACTOR,
                    Season::Any => view.maxima.day.max(view.maxima.week).max(view.onset) * SEASON_FACTOR,
                };
                recent.max(recurring)
            }
            Basis::Quantile { level, utilisation } => view.quantiles?[level] / utilisation,
            Basis::Forecast { level } => view.forecast?[level],
        };
        Some((asked + spare).max(view.lasting / view.floor_utilisation))
    }

    /// Whether it looks at onsets.
    pub const fn looks_at_onsets(&self) -> bool {
        matches!(self.basis, Basis::Window { season: Season::Any, .. })
    }

    /// How long a demand that is over raises what it asks for, but for what recurs, in seconds: for a forecast as long
    /// as the time that a decision serves.
    pub fn recalls_s(&self, serves_until_s: u32) -> u32 {
        match self.basis {
            // The open bin counts with every window, and with every rule as live use.
            Basis::Window { window, .. } => ((WINDOWS_BINS[window] + 1) * BIN_S) as u32,
            Basis::Quantile { .. } => BIN_S as u32,
            Basis::Forecast { .. } => serves_until_s,
        }
    }

    /// Whether it has something to go by from the first demand on.
    pub const fn begins_at_once(&self) -> bool {
        matches!(self.basis, Basis::Window { .. })
    }

    /// In words that no other of [`RULES`] has, such as `the greatest demand of the last 3 h at 96 % use, plus 0.03
    /// cores, changing for +5 % or -30 %`. `unit` is what spare capacity counts in: [`OF_CORES`] or [`OF_A_REPLICA`].
    pub fn words(&self, unit: &str) -> String {
        let spare = if self.spare > 0.0 { format!(", plus {} {unit}", self.spare) } else { String::new() };
        let Deadband { grow_share, shrink_share } = self.deadband;
        let (grow, shrink) = (grow_share * 100.0, shrink_share * 100.0);
        format!("{}{spare}, changing for +{grow:.0} % or -{shrink:.0} %", self.basis.words())
    }
}

impl Basis {
    fn words(&self) -> String {
        match *self {
            Self::Window { window, utilisation, season } => {
                let minutes = WINDOWS_BINS[window] * BIN_S / 60;
                let length = if minutes % 60 == 0 { format!("{} h", minutes / 60) } else { format!("{minutes} min") };
                let recurs = match season {
                    Season::None => "",
                    Season::Day => ", and what came at this time yesterday",
                    Season::DayAndWeek => ", and what came at this time yesterday and a week ago",
                    Season::Any => ", and what came at this time yesterday and a week ago or is due",
                };
                format!("the greatest demand of the last {length} at {:.0} % use{recurs}", utilisation * 100.0)
            }
            Self::Quantile { level, utilisation } => {
                format!(
                    "the {} quantile of the last two days' demand at {:.0} % use",
                    DEMAND_LEVELS[level],
                    utilisation * 100.0
                )
            }
            Self::Forecast { level } => {
                format!("the {} quantile of the forecast's maximum", FORECAST_LEVELS[level])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_rule_has_words_of_its_own() {
        let words: BTreeSet<String> = RULES.iter().map(|rule| rule.words(OF_CORES)).collect();
        assert_eq!(words.len(), RULES.len(), "{words:#?}");
        let of = |index: usize| RULES[index].words(OF_CORES);
        assert_eq!(
            of(10),
            "the greatest demand of the last 2 h at 96 % use, plus 0.01 cores, changing for +5 % or -12 %"
        );
        assert_eq!(
            of(11),
            "the greatest demand of the last 2 h at 96 % use, plus 0.01 cores, changing for +5 % or -30 %"
        );
        assert_eq!(of(1), "the greatest demand of the last 15 min at 96 % use, changing for +5 % or -12 %");
        assert!(RULES[27].words(OF_A_REPLICA).contains(", plus 0.03 of a replica, "));
    }
}
