//! Settings of the policy. Those of aims that are not taken are kept beside the one that is, since rules for some
//! workloads may name another aim and leave its number to the general ones.

use super::{Aim, Budget, CHANGES_PER_DAY_MAX, Weights};
use crate::knob::{Knob, Knobs, Words};
use crate::policy::rules::{RulesError, positive, require};

/// Which aim the prices of too little, too much and changes have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AimName {
    /// The worst of a fleet's ratios to the reactive rule is as small as can be.
    #[default]
    BeatReactive,
    /// A share of the time short.
    ShortShare,
    /// A share of the demand unmet.
    UnmetShare,
    /// Stated prices.
    Prices,
}

impl Words for AimName {
    const WORDS: &'static [&'static str] = &["beat-reactive", "short-share", "unmet-share", "prices"];
    const VALUES: &'static [Self] = &[Self::BeatReactive, Self::ShortShare, Self::UnmetShare, Self::Prices];
}

/// Settings of the policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Proactive {
    /// What the prices of too little, too much and changes are to achieve.
    pub aim: AimName,
    /// With [`AimName::BeatReactive`]: most changes a workload and day, on average over a fleet.
    pub changes_per_day_max: f64,
    /// With [`AimName::ShortShare`]: each workload is to be short for this share of the time.
    pub short_share: f64,
    /// With [`AimName::UnmetShare`]: of each workload's demand this share is to be unmet.
    pub unmet_share: f64,
    /// With [`AimName::Prices`]: what the time short costs, where the reactive rule's spare capacity costs 1, if there is
    /// as much of it as the reactive rule leaves.
    pub short_price: f64,
    /// With [`AimName::Prices`]: likewise of unmet demand.
    pub unmet_price: f64,
    /// With [`AimName::Prices`]: likewise of changes.
    pub change_price: f64,
    /// Time that a decision has to hold, in seconds: at least until the next can serve.
    pub hold_s: u32,
    /// Memory to have as a multiple of its greatest use of the last week.
    pub memory_headroom: f64,
    /// Memory shrinks only by more than this share.
    pub memory_shrink_share: f64,
}

impl Default for Proactive {
    fn default() -> Self {
        Self {
            aim: AimName::default(),
            changes_per_day_max: CHANGES_PER_DAY_MAX,
            short_share: 0.005,
            unmet_share: 0.001,
            short_price: 0.1,
            unmet_price: 0.4,
            change_price: 0.4,
            hold_s: 900,
            memory_headroom: 1.1,
            memory_shrink_share: 0.12,
        }
    }
}

impl Knobs for Proactive {
    fn knobs(&mut self, see: &mut dyn FnMut(&'static str, Knob<'_>)) {
        let Self {
            aim,
            changes_per_day_max,
            short_share,
            unmet_share,
            short_price,
            unmet_price,
            change_price,
            hold_s,
            memory_headroom,
            memory_shrink_share,
        } = self;
        see("aim", Knob::Word(aim));
        see("changes_per_day_max", Knob::number(changes_per_day_max));
        see("short_share", Knob::number(short_share));
        see("unmet_share", Knob::number(unmet_share));
        see("short_price", Knob::number(short_price));
        see("unmet_price", Knob::number(unmet_price));
        see("change_price", Knob::number(change_price));
        see("hold_s", Knob::Count(hold_s));
        see("memory_headroom", Knob::number(memory_headroom));
        see("memory_shrink_share", Knob::number(memory_shrink_share));
    }
}

impl Proactive {
    /// What the prices are to achieve, with its numbers.
    pub fn aim(&self) -> Aim {
        match self.aim {
            AimName::BeatReactive => Aim::BeatReactive { changes_per_day_max: self.changes_per_day_max },
            AimName::ShortShare => Aim::Share(Budget::of_time(self.short_share)),
            AimName::UnmetShare => Aim::Share(Budget::of_demand(self.unmet_share)),
            AimName::Prices => {
                let (short, unmet, changes) = (self.short_price, self.unmet_price, self.change_price);
                Aim::Weighted(Weights { short, unmet, changes })
            }
        }
    }

    /// The share that each workload is to keep, where one is stated.
    pub fn budget(&self) -> Option<Budget> {
        match self.aim() {
            Aim::Share(budget) => Some(budget),
            Aim::BeatReactive { .. } | Aim::Weighted(_) => None,
        }
    }

    pub(super) fn check(&self) -> Result<(), RulesError> {
        let headroom = self.memory_headroom;
        require(headroom.is_finite() && headroom >= 1.0, "memory_headroom", headroom, "give a number of at least 1")?;
        let share = self.memory_shrink_share;
        require((0.0..1.0).contains(&share), "memory_shrink_share", share, "give a share from 0 and below 1")?;
        let is_share = |key: &'static str, share: f64, of: &str| {
            let remedy = format!("give a share of the {of} above 0 and below 1, such as 0.005");
            require(share > 0.0 && share < 1.0, key, share, remedy)
        };
        match self.aim {
            AimName::BeatReactive => positive("proactive.changes_per_day_max", self.changes_per_day_max),
            AimName::ShortShare => is_share("short_share", self.short_share, "time"),
            AimName::UnmetShare => is_share("unmet_share", self.unmet_share, "demand"),
            AimName::Prices => {
                let prices = [
                    ("short_price", self.short_price),
                    ("unmet_price", self.unmet_price),
                    ("change_price", self.change_price),
                ];
                let is_price = |(key, price): (&'static str, f64)| {
                    require(price.is_finite() && price >= 0.0, key, price, "give a number of at least 0")
                };
                prices.into_iter().try_for_each(is_price)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_the_aim_alone_is_looked_at() {
        let proactive = Proactive { aim: AimName::ShortShare, unmet_share: 7.0, ..Proactive::default() };
        assert_eq!((proactive.check(), proactive.budget()), (Ok(()), Some(Budget::of_time(0.005))));
        let error = Proactive { aim: AimName::UnmetShare, ..proactive }.check().expect_err("above 1");
        assert_eq!(
            error.to_string(),
            "unmet_share is 7: give a share of the demand above 0 and below 1, such as 0.005"
        );
    }
}
