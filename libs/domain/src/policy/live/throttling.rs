//! Whether more capacity helps a workload that is throttled. Bursts of many threads can be throttled under any quota, however
//! little is used on average: that is no shortage of capacity, and it shows in that more of it changes nothing.

use crate::forecast::capped::Symptoms;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// More capacity has been tried once there is so many times as much.
const TRIED_FROM: f64 = 1.5;

/// A try has helped where less than so much is left of the throttled share.
const HELPS_BELOW: f32 = 0.9;

/// After so many tries in a row that have not helped no more is given for it.
pub const TRIES_MAX: u8 = 3;

/// What was seen is believed until so long after the last throttled use, in seconds.
const BELIEVED_S: i64 = 86_400;

/// Most shares that count in a mean.
const MEAN_OF_MAX: u8 = 16;

/// Whether a workload is throttled, and what came of more capacity. Most never are.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Throttling {
    seen: Option<Box<Seen>>,
}

/// What is remembered of a workload that was throttled within a day.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Seen {
    /// The last throttled use.
    newest: EventTime,
    /// The least CPU that it was throttled with since the last try, in cores.
    cores: f64,
    /// Mean share of the throttled uses since then, and before it; `None` where nothing is known of before.
    share: f32,
    share_before: Option<f32>,
    /// Uses that `share` is of, at most [`MEAN_OF_MAX`].
    count: u8,
    /// Tries in a row that have not helped, without the last.
    in_vain: u8,
}

impl Throttling {
    /// Takes in what was measured at an instant, later than all before, and the CPU that served until then, in cores.
    pub fn observe(&mut self, at: EventTime, symptoms: &Symptoms, served_cores: f64) {
        self.seen.take_if(|seen| seen.newest < at.plus_s(-BELIEVED_S));
        let is_known = served_cores.is_finite() && served_cores > 0.0;
        let Some(share) = symptoms.throttled_share.filter(|_| is_known && symptoms.is_throttled()) else { return };
        match &mut self.seen {
            Some(seen) => seen.observe(at, share as f32, served_cores),
            None => self.seen = Some(Box::new(Seen::first(at, share as f32, served_cores))),
        }
    }

    /// Whether the use measured at that instant, the newest, was throttled.
    pub fn is_at(&self, at: EventTime) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.newest == at)
    }

    /// The share of the scheduler's periods in which it was throttled, on average with what serves; 0 where it was not.
    pub fn share(&self) -> f64 {
        self.seen.as_ref().map_or(0.0, |seen| f64::from(seen.share))
    }

    /// Whether the last [`TRIES_MAX`] tries with more capacity have not helped.
    pub fn is_in_vain(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.tries_in_vain() >= TRIES_MAX)
    }

    /// What tells of a shortage, of what was measured beside a use: not what more capacity does not change.
    pub fn believed(&self, symptoms: Symptoms) -> Symptoms {
        Symptoms { throttled_share: symptoms.throttled_share.filter(|_| !self.is_in_vain()), ..symptoms }
    }

    /// More than what it was throttled with within a day, in cores; `None` where it was not, or more does not help.
    pub fn cores_enough(&self) -> Option<f64> {
        self.seen.as_ref().filter(|_| !self.is_in_vain()).map(|seen| seen.cores * TRIED_FROM)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.seen.as_ref().map_or(0, |_| size_of::<Seen>())
    }
}

impl Seen {
    fn first(at: EventTime, share: f32, cores: f64) -> Self {
        Self { newest: at, cores, share, share_before: None, count: 1, in_vain: 0 }
    }

    fn observe(&mut self, at: EventTime, share: f32, cores: f64) {
        self.newest = at;
        let (has_grown, has_shrunk) = (cores >= self.cores * TRIED_FROM, cores * TRIED_FROM <= self.cores);
        if has_grown || has_shrunk {
            self.in_vain = self.tries_in_vain();
            self.share_before = has_grown.then_some(self.share);
            (self.cores, self.count) = (cores, 0);
        }
        self.count = (self.count + 1).min(MEAN_OF_MAX);
        // Of the first one it is the whole.
        self.share += (share - self.share) / f32::from(self.count);
    }

    fn tries_in_vain(&self) -> u8 {
        match self.share_before {
            Some(before) if self.share < before * HELPS_BELOW => 0,
            Some(_) => self.in_vain.saturating_add(1),
            None => self.in_vain,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minute by minute, with what served and the throttled share.
    fn seen(throttling: &mut Throttling, from_minute: i64, uses: &[(f64, f64)]) {
        for (minute, (cores, share)) in (from_minute..).zip(uses) {
            let symptoms = Symptoms { throttled_share: Some(*share), have_risen: false };
            throttling.observe(EventTime::from_s(minute * 60), &symptoms, *cores);
        }
    }

    #[test]
    fn three_times_half_as_much_again_that_changes_nothing_are_enough() {
        let mut bursts = Throttling::default();
        let uses = [(2.0, 0.4), (2.0, 0.0), (4.0, 0.5), (4.5, 0.3), (8.0, 0.4), (8.0, 0.0)];
        seen(&mut bursts, 0, &uses);
        assert!(!bursts.is_in_vain() && bursts.cores_enough() == Some(12.0));
        seen(&mut bursts, 6, &[(16.0, 0.39)]);
        assert!(bursts.is_in_vain() && bursts.cores_enough().is_none());
        let throttled = Symptoms { throttled_share: Some(0.4), have_risen: true };
        assert_eq!(bursts.believed(throttled), Symptoms { throttled_share: None, have_risen: true });
        seen(&mut bursts, 7, &[(2.0, 0.4), (2.0, 0.4), (3.0, 0.4)]);
        assert!(bursts.is_in_vain(), "it was given back, and nothing new is known");
        seen(&mut bursts, 10, &[(6.0, 0.2)]);
        assert!(!bursts.is_in_vain(), "now it has helped");
    }

    #[test]
    fn what_helps_a_little_each_time_goes_on() {
        let mut throttling = Throttling::default();
        for (step, share) in [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1].into_iter().enumerate() {
            seen(&mut throttling, step as i64, &[(2f64.powi(step as i32), share)]);
            assert!(!throttling.is_in_vain(), "{share}");
        }
    }

    #[test]
    fn a_day_without_it_is_a_new_beginning() {
        let mut throttling = Throttling::default();
        seen(&mut throttling, 0, &[(1.0, 0.4), (2.0, 0.4), (4.0, 0.4), (8.0, 0.4)]);
        assert!(throttling.is_in_vain());
        seen(&mut throttling, 3 + 1440, &[(8.0, 0.0)]);
        assert!(throttling.is_in_vain(), "it is just a day");
        seen(&mut throttling, 4 + 1440, &[(8.0, 0.09)]);
        assert_eq!(throttling, Throttling::default());
    }
}
