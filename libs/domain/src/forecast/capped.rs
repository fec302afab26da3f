//! Whether a series' values are the demand, or only as much of it as there was capacity for. It must not know what
//! is made of them.

use crate::forecast::DAY_BINS;
use bitcode::{Decode, Encode};

/// From this share of the capacity on, use tells how much there is and not how much is wanted.
pub const CAPPED_FROM: f64 = 0.97;
/// Use above the capacity by more than this share shows that the capacity does not cap it.
const ABOVE_BY: f64 = 0.02;
/// From this share of the capacity on, up to the capacity, use may be why latency, errors or the run queue have risen.
pub const STRAINED_FROM: f64 = 0.9;
/// Throttled in so large a share of the scheduler's periods, a workload is short, however little it uses on average.
pub const THROTTLED_SHARE_MIN: f64 = 0.1;
/// What was seen is believed for so many bins: a day.
const BELIEVED_BINS: u16 = DAY_BINS as u16;

/// What there was to use during the step that a use tells of, in the unit of the use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// The capacity from the instant before on.
    pub capacity: f64,
    /// The most that there was, where it changed during the step or at its end.
    pub most: f64,
}

impl Served {
    /// By a capacity that did not change.
    pub fn steady(capacity: f64) -> Self {
        Self { capacity, most: capacity }
    }

    /// By what there was at the instant before, where that is known, and what there is at the end of the step. What comes
    /// at the end served none of it, and what goes then did.
    pub fn over(before: Option<f64>, now: f64) -> Self {
        let capacity = before.unwrap_or(now);
        Self { capacity, most: capacity.max(now) }
    }
}

/// How use stands to what can be used at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Below it: all that is wanted is seen.
    Below,
    /// At it: more may be wanted.
    At,
    /// Above it: it does not cap the use.
    Above,
}

impl Reached {
    /// By a use of what served it.
    pub fn by(used: f64, served: Served) -> Self {
        if used > served.most * (1.0 + ABOVE_BY) {
            Self::Above
        } else if served.capacity > 0.0 && used >= served.capacity * CAPPED_FROM {
            Self::At
        } else {
            Self::Below
        }
    }
}

/// What was measured beside the use of CPU at an instant, as far as it tells that more may have been wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Symptoms {
    /// Share of the scheduler's periods in which the workload was throttled; `None` where it is not measured.
    pub throttled_share: Option<f64>,
    /// Whether latency, errors or the run queue have risen beyond what is usual.
    pub have_risen: bool,
}

impl Symptoms {
    /// Whether so much of the time was throttled that use tells how much there is and not how much is wanted.
    pub fn is_throttled(&self) -> bool {
        self.throttled_share.is_some_and(|share| share >= THROTTLED_SHARE_MIN)
    }

    /// Whether what has risen may have risen because so much of what served was used.
    pub fn is_strained(&self, used: f64, served: Served) -> bool {
        let is_near = served.capacity > 0.0 && used >= served.capacity * STRAINED_FROM;
        self.have_risen && is_near && Reached::by(used, served) != Reached::Above
    }
}

/// What was demanded, as far as it could be seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Truth {
    /// In the unit of the demand.
    pub value: f64,
    /// From here on the demand cannot be told from a greater one, in its unit; `None` where all of it was seen.
    pub seen_up_to: Option<f64>,
}

impl Truth {
    /// Of a demand of which all was seen.
    pub fn seen(value: f64) -> Self {
        Self { value, seen_up_to: None }
    }

    /// Whether the demand may have been greater.
    pub fn is_bound(&self) -> bool {
        self.seen_up_to.is_some_and(|up_to| self.value >= up_to)
    }

    /// As much of an amount as would have been seen.
    pub fn visible(&self, amount: f64) -> f64 {
        self.seen_up_to.map_or(amount, |up_to| amount.min(up_to))
    }
}

/// What is remembered of a series' values at its capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Capped {
    /// The capacity that served the newest value.
    capacity: f64,
    /// Bins since a value was at the capacity, 0 in the open one; `None` for more than a day.
    since_at: Option<u16>,
    /// Bins since one was above it.
    since_above: Option<u16>,
    /// Bins since more may have been wanted than a value, wherever the capacity was.
    since_hidden: Option<u16>,
}

impl Capped {
    /// Takes in a value of the open bin and what served it.
    pub(super) fn observe(&mut self, value: f64, served: Served) {
        self.capacity = served.capacity;
        match Reached::by(value, served) {
            Reached::Above => self.since_above = Some(0),
            Reached::At => self.since_at = Some(0),
            Reached::Below => {}
        }
    }

    /// Notes that more may have been wanted than a value of the open bin.
    pub(super) fn observe_hidden(&mut self) {
        self.since_hidden = Some(0);
    }

    /// Closes the open bin.
    pub(super) fn close(&mut self) {
        let later = |bins: Option<u16>| bins.map(|bins| bins + 1).filter(|bins| *bins < BELIEVED_BINS);
        (self.since_at, self.since_above) = (later(self.since_at), later(self.since_above));
        self.since_hidden = later(self.since_hidden);
    }

    /// What is known of a demand, the greatest of the last `bins` bins.
    pub(super) fn truth(&self, value: f64, bins: usize) -> Truth {
        // Where the capacity did not cap it, no other demand tells how much would have been seen of this one.
        let is_hidden = self.since_hidden.is_some_and(|since| usize::from(since) < bins);
        let hidden = is_hidden.then_some(value);
        Truth { value, seen_up_to: [self.seen_up_to(), hidden].into_iter().flatten().reduce(f64::min) }
    }

    /// What would have been seen of a demand of late.
    fn seen_up_to(&self) -> Option<f64> {
        let is_capped = self.since_at.is_some() && self.since_above.is_none();
        is_capped.then_some(self.capacity * CAPPED_FROM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_at_the_capacity_from_a_little_below_it_to_a_little_above() {
        let reached = [1.93, 1.95, 2.03, 2.05].map(|used| Reached::by(used, Served::steady(2.0)));
        assert_eq!(reached, [Reached::Below, Reached::At, Reached::At, Reached::Above]);
        assert_eq!([0.0, 0.1].map(|used| Reached::by(used, Served::steady(0.0))), [Reached::Below, Reached::Above]);
        assert_eq!(Reached::by(9.0, Served::steady(f64::INFINITY)), Reached::Below);
    }

    /// Seen against the smaller capacity alone, a use that had the larger one would seem not to be capped by it.
    #[test]
    fn a_use_is_held_against_what_served_it_where_the_capacity_changes_with_its_end() {
        let (shrank, grew) = (Served::over(Some(2.0), 1.0), Served::over(Some(1.0), 2.0));
        let reached = |served| [0.9, 1.0, 1.5, 1.95, 2.1].map(|used| Reached::by(used, served));
        assert_eq!(reached(shrank), [Reached::Below, Reached::Below, Reached::Below, Reached::At, Reached::Above]);
        assert_eq!(reached(grew), [Reached::Below, Reached::At, Reached::At, Reached::At, Reached::Above]);
        assert_eq!(Served::over(None, 3.0), Served::steady(3.0));
        let mut capped = Capped::default();
        capped.observe(1.0, grew);
        assert!(capped.truth(1.0, 1).is_bound(), "it had no more");
        capped.close();
        capped.observe(1.5, Served::steady(2.0));
        assert!(!capped.truth(1.5, 1).is_bound());
    }

    #[test]
    fn who_used_all_that_there_was_hides_for_a_day_what_is_above_it() {
        let mut capped = Capped::default();
        capped.observe(1.0, Served::steady(2.0));
        assert_eq!(capped.seen_up_to(), None);
        for bin in 0..=BELIEVED_BINS {
            capped.observe(if bin == 0 { 1.98 } else { 1.0 }, Served::steady(2.0));
            assert_eq!(capped.seen_up_to().is_some(), bin < BELIEVED_BINS, "bin {bin}");
            capped.close();
        }
        let truth = |value| Truth { value, seen_up_to: Some(1.94) };
        assert!(truth(1.98).is_bound() && !truth(1.0).is_bound() && !Truth::seen(9.0).is_bound());
        assert_eq!((truth(1.0).visible(3.0), Truth::seen(1.0).visible(3.0)), (1.94, 3.0));
    }

    #[test]
    fn what_was_seen_above_its_capacity_is_not_capped_by_it_for_a_day() {
        let mut capped = Capped::default();
        capped.observe(2.5, Served::steady(2.0));
        for bin in 0..=BELIEVED_BINS {
            capped.observe(2.0, Served::steady(2.0));
            assert_eq!(capped.seen_up_to().is_some(), bin == BELIEVED_BINS, "bin {bin}");
            capped.close();
        }
        capped.observe(0.0, Served::steady(0.0));
        assert_eq!(Capped::default().seen_up_to(), None);
    }

    #[test]
    fn what_was_throttled_is_a_lower_bound_by_itself_and_in_every_maximum_over_it() {
        let mut capped = Capped::default();
        capped.observe_hidden();
        assert_eq!(capped.truth(1.6, 1), Truth { value: 1.6, seen_up_to: Some(1.6) });
        capped.close();
        assert_eq!(capped.truth(1.2, 1), Truth::seen(1.2), "the next bin was seen whole");
        assert!(capped.truth(1.9, 2).is_bound(), "more than that may have been wanted in the bin before");
        capped.close();
        assert_eq!(capped.truth(1.9, 2), Truth::seen(1.9));
        capped.observe(1.98, Served::steady(2.0));
        capped.observe_hidden();
        assert_eq!(capped.truth(1.9, 1).seen_up_to, Some(1.9), "the less of both");
        assert_eq!(capped.truth(1.97, 1).seen_up_to, Some(1.94));
    }

    #[test]
    fn throttling_tells_of_more_at_any_use_and_what_else_rises_near_the_capacity_alone() {
        let throttled = |share| Symptoms { throttled_share: Some(share), have_risen: false };
        assert!(throttled(0.1).is_throttled() && !throttled(0.09).is_throttled());
        assert!(!Symptoms::default().is_throttled(), "what is not measured tells nothing");
        let risen = Symptoms { throttled_share: None, have_risen: true };
        let near = [1.79, 1.8, 2.03, 2.05].map(|used| risen.is_strained(used, Served::steady(2.0)));
        assert_eq!(near, [false, true, true, false], "what is above the capacity is not held up by it");
        let of = Served::steady;
        assert!(!risen.is_strained(0.0, of(0.0)) && !risen.is_strained(9.0, of(f64::INFINITY)));
        assert!(!throttled(1.0).is_strained(1.9, of(2.0)));
    }
}
