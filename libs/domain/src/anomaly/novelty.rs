//! What a KPI has never done, as far as its workload remembers: a jump, a stretch away from its hours, standing still.
//!
//! Each is a length in logarithms, compared with the greatest of its own kind that was there in the last weeks: a bound that
//! rises at once to what comes, up to twice itself, and sinks slowly. How far beyond the greatest of the past something is
//! says more of what is worth an alarm than a tail that is fitted to a few hundred scores: the greatest of n earlier values
//! is passed by one in n + 1 whatever their distribution is, and by some times its size hardly ever.

use bitcode::{Decode, Encode};

/// A KPI's scale: the logarithm becomes linear below this share of what is common.
const SCALE_SHARE: f64 = 0.05;

/// Bounds are forgotten so many times as slowly as days are: over three weeks.
const FORGOTTEN_TIMES: f64 = 7.0;

/// A bound rises to so many times itself at once.
const RISES_TO: f64 = 2.0;

/// No bound is less, in logarithms: on jumps, and on how far away it is.
const JUMP_MIN: f64 = 0.05;
const AWAY_MIN: f64 = 0.1;

/// Closes before which nothing is compared, and before which bounds rise to whatever comes.
const EARLY: u16 = 50;
const YOUNG: u16 = 576;

/// Part of a jump that the level follows in a close.
const FOLLOWED: f64 = 0.5;

/// Hours over which a KPI is away from its hours of the day, and a share of the closes in so many hours by which the bound
/// on that rises.
const AWAY_HOURS: f64 = 2.0;
const AWAY_RISES_HOURS: f64 = 6.0;

/// What counts as 1: so many times the greatest jump, so many times the farthest away, and a value that is repeated with
/// this surprise.
const JUMP: f64 = 3.1;
const AWAY: f64 = 6.0;
const REPEATED: f64 = 13.0;

/// A KPI that repeats its value in more than this share of closes may do so at any time; fewer count as the least.
pub(super) const REPEATS_MAX: f64 = 0.05;
const REPEATS_MIN: f64 = 0.01;

/// How rare it is, in powers of e, that a value is repeated so often in a row by a KPI that does so in this share of closes.
pub(super) fn surprise_of_repeats(repeated: u8, share: f64) -> f64 {
    -f64::from(repeated) * libm::log(share.max(REPEATS_MIN))
}

/// A KPI at its end, within this share of its range, stands still because it can go no further.
const END_SHARE: f64 = 0.01;

/// Added to how rough a course is before its logarithm is taken.
const ROUGHNESS_MIN: f64 = 1e-4;

/// A KPI at a close, with what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) value: f64,
    /// The value of the close before.
    pub(super) last: f64,
    /// What is expected at this hour of the day.
    pub(super) of_hour: f64,
    /// Mean of the last days, and mean absolute deviation from it.
    pub(super) days: f64,
    pub(super) days_spread: f64,
    /// Closes seen before.
    pub(super) seen: u16,
    /// Closes in a row that had the same value, and the share that usually does.
    pub(super) repeated: u8,
    pub(super) repeats: f64,
    /// Share that is learnt of how the KPI was over days, and closes in an hour.
    pub(super) days_share: f64,
    pub(super) per_hour: f64,
}

/// What is found of one KPI.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Novel {
    /// How new it is: 1 is worth an alarm.
    pub(super) strength: f64,
    /// Logarithm of how rough the course is; `None` of a KPI that has no scale, or often repeats itself.
    pub(super) roughness: Option<f64>,
}

/// What one KPI has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Novelty {
    /// The level that a jump leaves.
    level: f32,
    before_last: f32,
    /// How far it is away from its hours of the day.
    away: f32,
    /// The greatest jumps, up and down.
    jumps: [f32; 2],
    /// The farthest away, up and down.
    farthest: [f32; 2],
    /// The lowest and the highest value.
    range: [f32; 2],
}

impl Novelty {
    /// Compares a KPI with what it has done, and learns from it.
    pub(super) fn close(&mut self, at: &At) -> Novel {
        if at.seen == 0 {
            (self.range, self.before_last) = ([at.value as f32; 2], at.value as f32);
        }
        let scale = SCALE_SHARE * (at.days.abs() + at.days_spread);
        let novel = if scale > 0.0 { self.compare(at, scale) } else { Novel::default() };
        self.before_last = at.last as f32;
        let sinks = at.days_share / FORGOTTEN_TIMES;
        let [lowest, highest] = self.range.map(f64::from);
        let nearer = |end: f64| end + sinks * (at.days - end);
        self.range = [nearer(lowest).min(at.value) as f32, nearer(highest).max(at.value) as f32];
        novel
    }

    fn compare(&mut self, at: &At, scale: f64) -> Novel {
        let logarithm = |value: f64| libm::asinh(value / scale);
        let value = logarithm(at.value);
        if at.seen < 3 {
            self.level = value as f32;
        }
        let (is_early, level) = (at.seen < EARLY, f64::from(self.level));
        let jump = value - level;
        let away_share = 1.0 / (AWAY_HOURS * at.per_hour).max(2.0);
        let away = f64::from(self.away) + away_share * (value - logarithm(at.of_hour) - f64::from(self.away));
        self.away = away as f32;
        let mut strength: f64 = 0.0;
        if !is_early {
            let rises = rises(at.per_hour, f64::from(at.seen - EARLY));
            let (is_young, sinks) = (at.seen < YOUNG, at.days_share / FORGOTTEN_TIMES);
            for (bound, length) in self.jumps.iter_mut().zip([jump, -jump]) {
                strength = strength.max(beyond(bound, (length, JUMP_MIN), (1.0, sinks), is_young) / JUMP);
            }
            for (bound, length) in self.farthest.iter_mut().zip([away, -away]) {
                strength = strength.max(beyond(bound, (length, AWAY_MIN), (rises, sinks), is_young) / AWAY);
            }
            strength = strength.max(self.stands_still(at) / REPEATED);
        }
        let most = f64::from(self.jumps[0].max(self.jumps[1])).max(JUMP_MIN);
        let followed = if is_early { jump } else { jump.clamp(-most, most) };
        self.level = (level + FOLLOWED * followed) as f32;
        let bend = value - 2.0 * logarithm(at.last) + logarithm(self.before_last.into());
        let roughness = (at.repeats < REPEATS_MAX).then(|| libm::log(bend.abs() + ROUGHNESS_MIN));
        Novel { strength, roughness }
    }

    /// The surprise that a value is repeated for so long; 0 at an end of its range.
    fn stands_still(&self, at: &At) -> f64 {
        let [lowest, highest] = self.range.map(f64::from);
        let end = END_SHARE * (highest - lowest);
        let is_within = at.value > lowest + end && at.value < highest - end;
        if !is_within || at.repeats >= REPEATS_MAX {
            return 0.0;
        }
        surprise_of_repeats(at.repeated, at.repeats)
    }
}

/// The share by which a bound rises that has been compared for so many closes: as much as was new at first.
fn rises(per_hour: f64, closes: f64) -> f64 {
    (1.0 / (AWAY_RISES_HOURS * per_hour).max(2.0)).max(1.0 / (closes + 1.0))
}

/// How many times its bound a length is; the bound counts as the least where it is less. It rises by a share of what is
/// new, and sinks by another.
fn beyond(bound: &mut f32, (length, least): (f64, f64), (rises, sinks): (f64, f64), is_young: bool) -> f64 {
    let length = length.max(0.0);
    let before = f64::from(*bound);
    let greatest = before.max(least);
    let learnt = if is_young { length } else { length.min(RISES_TO * greatest) };
    *bound = if learnt > before { before + rises * (learnt - before) } else { before * (1.0 - sinks) } as f32;
    length / greatest
}

/// Closes over which it is learnt how rough a course is now, as a share of an hour's; and at least.
const CALM_CLOSES_MIN: f64 = 4.0;

/// The calmest that is common in logarithms, at least, and so many times the calmest of the past that count as 1.
const CALM_MIN: f64 = 0.3;
const CALM: f64 = 3.5;

/// Closes after which calm is compared.
const CALM_EARLY: u32 = 288;

/// How rough the courses of all KPIs together are: a workload whose KPIs stop to scatter is not measured any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Calm {
    now: f32,
    usual: f32,
    most: f32,
}

impl Calm {
    /// Compares the mean roughness of a close with what is usual, and learns from it: how new it is, where 1 is worth an
    /// alarm. `closes` were before.
    pub(super) fn close(&mut self, roughness: f64, closes: u32, days_share: f64, per_hour: f64) -> f64 {
        let first = 1.0 / (f64::from(closes) + 1.0);
        let moved = |from: f32, share: f64| f64::from(from) + share.max(first) * (roughness - f64::from(from));
        let (now, usual) = (moved(self.now, 1.0 / per_hour.max(CALM_CLOSES_MIN)), moved(self.usual, days_share));
        (self.now, self.usual) = (now as f32, usual as f32);
        if closes < CALM_EARLY {
            return 0.0;
        }
        let rises = rises(per_hour, f64::from(closes - CALM_EARLY));
        let (is_young, sinks) = (closes < u32::from(YOUNG), days_share / FORGOTTEN_TIMES);
        beyond(&mut self.most, (usual - now, CALM_MIN), (rises, sinks), is_young) / CALM
    }
}

/// From this strength on something new has a p-value of its own, this one; at 1 it has the second.
const STRENGTH_MIN: f64 = 0.75;
const P_VALUES: [f64; 2] = [1e-3, 3e-6];

/// The p-value of a strength, by a power; `None` of one that is nothing new. Where its two points lie was seen on generated
/// fleets to which nothing happens, not on labels.
pub(super) fn p_value_of(strength: f64) -> Option<f64> {
    let power = libm::log(P_VALUES[0] / P_VALUES[1]) / libm::log(1.0 / STRENGTH_MIN);
    let is_new = strength >= STRENGTH_MIN;
    is_new.then(|| P_VALUES[1] * libm::exp(-power * libm::log(strength))).map(|p| p.max(super::P_VALUE_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng as _;
    use rand_distr::{Distribution as _, StandardNormal};

    fn at(value: f64, last: f64, seen: u16, repeated: u8) -> At {
        At {
            value,
            last,
            of_hour: 10.0,
            days: 10.0,
            days_spread: 1.0,
            seen,
            repeated,
            repeats: 0.0,
            days_share: 1.0 / 864.0,
            per_hour: 12.0,
        }
    }

    /// What is found of a KPI that scatters by a tenth for so many closes and then has the given values.
    fn after(closes: u16, then: &[f64]) -> (f64, Vec<f64>) {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let (mut novelty, mut last, mut most, mut repeated) = (Novelty::default(), 10.0, 0.0f64, 0);
        for seen in 0..closes {
            let noise: f64 = StandardNormal.sample(&mut random);
            let value = 10.0 + noise.clamp(-3.5, 3.5);
            let strength = novelty.close(&at(value, last, seen, 0)).strength;
            most = most.max(if seen > YOUNG { strength } else { 0.0 });
            last = value;
        }
        let strengths = (closes..).zip(then).map(|(seen, value)| {
            repeated = if (*value - last).abs() < 1e-9 { repeated + 1 } else { 0 };
            let strength = novelty.close(&at(*value, last, seen, repeated)).strength;
            last = *value;
            strength
        });
        let strengths = strengths.collect();
        (most, strengths)
    }

    #[test]
    fn jumps_standing_still_and_staying_away_are_new_and_scatter_is_not() {
        let (most, jumps) = after(6000, &[80.0, 0.5]);
        assert!(most < STRENGTH_MIN, "{most}");
        assert!(jumps.iter().all(|strength| *strength > 1.0), "{jumps:?}");
        let (_, still) = after(6000, &[10.2; 5]);
        assert!(still[1] < STRENGTH_MIN && still[3] > 1.0, "{still:?}");
        let (_, away) = after(6000, &[25.0; 48]);
        assert!(away[0] < 1.0 && away[47] > 1.0, "{away:?}");
    }

    #[test]
    fn what_is_less_likely_is_stronger_and_what_comes_each_day_is_not_new() {
        assert_eq!(p_value_of(0.7), None);
        assert!(p_value_of(0.75).is_some_and(|p| (p / 1e-3 - 1.0).abs() < 1e-6));
        assert!(p_value_of(1.0).is_some_and(|p| (p / 3e-6 - 1.0).abs() < 1e-6));
        let mut novelty = Novelty::default();
        let value = |bin: u16| if bin % 288 == 100 { 50.0 } else { 10.0 + f64::from(bin % 7) / 7.0 };
        for seen in 0..4000 {
            let found = novelty.close(&at(value(seen), value(seen.max(1) - 1), seen, 0));
            assert!(seen < 700 || found.strength < STRENGTH_MIN, "{seen}: {found:?}");
        }
    }

    #[test]
    fn a_course_that_stops_to_scatter_is_calm() {
        let mut random = ChaCha8Rng::seed_from_u64(12);
        let (mut calm, mut usual) = (Calm::default(), 0.0f64);
        for closes in 0..4000 {
            let noise: f64 = StandardNormal.sample(&mut random);
            let strength = calm.close(-2.0 + 0.5 * noise, closes, 1.0 / 864.0, 12.0);
            usual = usual.max(if closes > 1000 { strength } else { 0.0 });
        }
        assert!(usual < STRENGTH_MIN, "{usual}");
        let after = (4000..4072).map(|closes| calm.close(-5.0, closes, 1.0 / 864.0, 12.0)).fold(0.0, f64::max);
        assert!(after > 1.0, "{after}");
    }

    proptest! {
        #[test]
        fn it_is_finite_whatever_comes(values in prop::collection::vec(-1e30f64..1e30, 2..200)) {
            let mut novelty = Novelty::default();
            for (seen, pair) in (0..).zip(values.windows(2)) {
                let found = novelty.close(&at(pair[1], pair[0], seen, 0));
                prop_assert!(found.strength.is_finite() && found.strength >= 0.0, "{:?}", found);
                prop_assert!(found.roughness.is_none_or(f64::is_finite), "{:?}", found);
            }
        }
    }
}
