//! How long a change takes until it serves, learnt from the capacity in the chain: from a decision until a
//! prediction bears what was asked for. It must not know policies.
//!
//! A time is known to a step of the workload's samples, and taken as its end. Increases alone teach, since what takes
//! something away waits for the governor; dry runs change nothing and teach nothing.

use crate::action::{Action, Verdict};
use crate::sample::Capacity;
use crate::time::EventTime;
use bitcode::{Decode, Encode};
use std::collections::VecDeque;

/// Fewest times that something is learnt from.
const TIMES_MIN: usize = 5;
/// Times that are kept.
const TIMES_MAX: usize = 32;
/// Share of the times that the learnt one covers.
const COVERED: f64 = 0.9;
/// A change that has not come after so long, in seconds, is not waited for.
pub const LEAD_S_MAX: u32 = 7200;
/// Shares by which a capacity may miss what was asked for and still be it.
const SAME_WITHIN: f64 = 0.005;

/// The times of a source's last changes, from decision until they served, in seconds.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct LeadTimes(VecDeque<u32>);

/// An increase of one workload that has not come yet.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Awaited(Option<Box<(EventTime, Capacity)>>);

impl LeadTimes {
    /// The time within which nine of ten of the last changes served, in seconds; `None` while fewer than five are
    /// known.
    pub fn learnt_s(&self) -> Option<u32> {
        if self.0.len() < TIMES_MIN {
            return None;
        }
        let mut times: Vec<u32> = self.0.iter().copied().collect();
        times.sort_unstable();
        let place = (COVERED * times.len() as f64).ceil() as usize;
        times.get(place.saturating_sub(1)).copied()
    }

    fn add(&mut self, time_s: u32) {
        if self.0.len() == TIMES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(time_s);
    }
}

impl Awaited {
    /// Takes in the capacity that a workload has at an instant.
    pub fn observe(&mut self, times: &mut LeadTimes, at: EventTime, current: &Capacity) {
        let Some((decided_at, desired)) = self.0.as_deref() else { return };
        let passed_s = (at.as_ms() - decided_at.as_ms()).div_euclid(1000);
        let is_late = passed_s > i64::from(LEAD_S_MAX);
        if !is_late && is_same(current, desired) {
            times.add(passed_s.max(1) as u32);
            self.0 = None;
        } else if is_late {
            self.0 = None;
        }
    }

    /// From now on the increase of this action is waited for; one that was is not any more.
    pub fn expect(&mut self, action: &Action) {
        let grows = !action.dry_run && action.verdict == Verdict::ScaleOut;
        self.0 = grows.then(|| Box::new((action.decided_at, action.desired.clone())));
    }
}

fn is_same(a: &Capacity, b: &Capacity) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= SAME_WITHIN * a.abs().max(b.abs());
    near(a.cpu_cores(), b.cpu_cores()) && near(a.memory_bytes(), b.memory_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::action;

    fn capacity(replicas: u32) -> Capacity {
        action("web", 0, replicas, replicas).current
    }

    #[test]
    fn nine_of_ten_changes_come_within_what_is_learnt() {
        let (mut times, mut awaited) = (LeadTimes::default(), Awaited::default());
        for (i, lead_s) in (0i64..).zip([60, 60, 120, 60, 600, 60, 60, 60, 60, 120]) {
            let decided_s = 3600 * i;
            awaited.expect(&action("web", decided_s, 4, 5));
            awaited.observe(&mut times, EventTime::from_s(decided_s + lead_s - 60), &capacity(4));
            awaited.observe(&mut times, EventTime::from_s(decided_s + lead_s), &capacity(5));
            awaited.observe(&mut times, EventTime::from_s(decided_s + lead_s + 60), &capacity(5));
            assert_eq!(times.learnt_s().is_some(), i >= 4, "after {} changes", i + 1);
        }
        assert_eq!(times.learnt_s(), Some(120));
        (0..40).for_each(|_| times.add(30));
        assert_eq!(times.learnt_s(), Some(30), "old times are forgotten");
    }

    #[test]
    fn what_never_comes_or_is_only_a_dry_run_teaches_nothing() {
        let (mut times, mut awaited) = (LeadTimes::default(), Awaited::default());
        for at in 0..9 {
            let mut dry = action("web", at * 60, 4, 5);
            dry.dry_run = true;
            awaited.expect(&dry);
            awaited.observe(&mut times, EventTime::from_s(at * 60 + 30), &capacity(5));
        }
        awaited.expect(&action("web", 0, 5, 4));
        awaited.observe(&mut times, EventTime::from_s(60), &capacity(4));
        awaited.expect(&action("web", 0, 4, 5));
        awaited.observe(&mut times, EventTime::from_s(i64::from(LEAD_S_MAX) + 1), &capacity(5));
        awaited.expect(&action("web", 20_000, 4, 5));
        awaited.expect(&action("web", 20_060, 5, 6));
        awaited.observe(&mut times, EventTime::from_s(20_120), &capacity(5));
        assert_eq!(times, LeadTimes::default());
    }
}
