//! Of which bins of a series nothing is learnt for other days: those in which it was unusual. Yesterday's incident is no
//! habit tomorrow.
//!
//! A change that lasts is no incident but what is normal from now on, so what may be left out is bounded: a stretch of
//! [`LEFT_OUT_BINS_MAX`] bins, and in the long run one bin for each [`USUAL_BINS_A_BIN`] that are usual.

use bitcode::{Decode, Encode};

/// So many bins in a row are left out at most: those of 6 hours. What lasts longer is the new normal.
pub const LEFT_OUT_BINS_MAX: u16 = 72;

/// After so many usual bins one more can be left out again.
pub const USUAL_BINS_A_BIN: u16 = 4;

/// What is to be learnt from a bin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// It was as usual: all of it.
    Usual,
    /// It was unusual: nothing for other days.
    LeftOut,
    /// It was unusual, as so many before it that this is what is normal now: all of it, and of those before it as well.
    NewNormal,
}

/// How much was left out lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct LeftOut {
    /// Usual bins until everything can be left out again that may.
    owed: u16,
}

impl LeftOut {
    /// Judges a bin, in their order.
    pub fn judge(&mut self, is_unusual: bool) -> Lesson {
        if !is_unusual {
            self.owed = self.owed.saturating_sub(1);
            return Lesson::Usual;
        }
        if self.owed + USUAL_BINS_A_BIN > LEFT_OUT_BINS_MAX * USUAL_BINS_A_BIN {
            return Lesson::NewNormal;
        }
        self.owed += USUAL_BINS_A_BIN;
        Lesson::LeftOut
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::demand::DemandSeries;
    use crate::forecast::seasonal_naive::SeasonalNaive;
    use crate::forecast::testing::{step, wave};
    use crate::forecast::{DAY_BINS, Forecaster};
    use proptest::prelude::*;

    fn lessons(unusual: &[bool]) -> Vec<Lesson> {
        let mut left_out = LeftOut::default();
        unusual.iter().map(|is_unusual| left_out.judge(*is_unusual)).collect()
    }

    #[test]
    fn what_lasts_is_the_new_normal() {
        let lessons = lessons(&[true; 500]);
        let bins = usize::from(LEFT_OUT_BINS_MAX);
        assert!(lessons[..bins].iter().all(|lesson| *lesson == Lesson::LeftOut));
        assert!(lessons[bins..].iter().all(|lesson| *lesson == Lesson::NewNormal));
    }

    #[test]
    fn the_next_incident_is_left_out_too() {
        let (bins, rate) = (usize::from(LEFT_OUT_BINS_MAX), usize::from(USUAL_BINS_A_BIN));
        let unusual = [vec![true; bins], vec![false; rate * bins], vec![true; bins]].concat();
        let left_out = lessons(&unusual).into_iter().filter(|lesson| *lesson == Lesson::LeftOut).count();
        assert_eq!(left_out, 2 * bins);
    }

    /// How far seasonal naive is off a day after an hour in which ten times as much was demanded.
    fn off_a_day_later(is_unusual: bool) -> f64 {
        let (mut demand, mut state) = (DemandSeries::default(), <SeasonalNaive as Forecaster>::State::default());
        let last = 5 * DAY_BINS as i64;
        let incident = last - DAY_BINS as i64..last - DAY_BINS as i64 + 12;
        for t in 0..last {
            demand.judge(is_unusual && incident.contains(&(t - 1)));
            let value = wave(t, 0.1).map(|value| if incident.contains(&t) { 10.0 * value } else { value });
            step(&SeasonalNaive, (&mut demand, &mut state), value);
        }
        let forecast = SeasonalNaive.forecast(&state, &demand, &[1]).unwrap();
        (forecast[0].value.median() - wave(last, 0.0).unwrap()).abs()
    }

    #[test]
    fn yesterdays_incident_is_no_habit_tomorrow() {
        let [left_out, learnt] = [true, false].map(off_a_day_later);
        assert!(left_out < 0.3 && learnt > 20.0, "{left_out} and {learnt}");
    }

    proptest! {
        #[test]
        fn only_unusual_bins_are_left_out_and_no_more_than_the_bound(
            unusual in proptest::collection::vec(proptest::bool::weighted(0.4), 1..2000),
            from in 0usize..2000,
        ) {
            let lessons = lessons(&unusual);
            for (lesson, is_unusual) in lessons.iter().zip(&unusual) {
                prop_assert_eq!(*lesson != Lesson::Usual, *is_unusual);
            }
            let from = from % lessons.len();
            for to in from..lessons.len() {
                let of = |wanted: Lesson| lessons[from..=to].iter().filter(|lesson| **lesson == wanted).count();
                let most = usize::from(LEFT_OUT_BINS_MAX) + of(Lesson::Usual) / usize::from(USUAL_BINS_A_BIN);
                prop_assert!(of(Lesson::LeftOut) <= most, "{} of {most}", of(Lesson::LeftOut));
            }
        }
    }
}
