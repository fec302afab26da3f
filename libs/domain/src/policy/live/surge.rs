//! Surges: stretches in which use is above what the capacity asked for should serve.
//!
//! A surge demands an increase once it has lasted, and at once where the last ones of the workload went on for longer
//! than new capacity takes. A workload whose surges have, several times, been over before new capacity could serve is
//! waited for longer: what would come then serves nobody.

use crate::guardrail::Guardrails;
use crate::policy::rules::Rules;
use crate::time::EventTime;
use bitcode::{Decode, Encode};

/// Surges that are remembered.
const PAST_MAX: usize = 8;

/// Surges are remembered for two weeks.
const PAST_S: i64 = 14 * 86_400;

/// So many of the last surges have to have been short for the next to be waited for.
const SHORT_MIN: usize = 2;

/// The last so many surges, or those that there were, have to have lasted for the next to be answered at once.
const LONG_MIN: usize = 2;

/// A surge is waited for so many times as long as the longest of the short ones lasted, and for no longer than the lead
/// time: where the guess is wrong, the time until capacity serves at most doubles.
const PATIENCE: f64 = 1.5;

/// When a surge demands an increase.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SurgeRules {
    /// It has lasted so long, in seconds.
    pub surge_s: u32,
    /// It is over once use has been below it for so long, in seconds.
    pub window_s: u32,
    /// Time until a change serves, in seconds.
    pub lead_time_s: u32,
}

impl SurgeRules {
    /// As the rules say.
    pub fn of(rules: &Rules) -> Self {
        let Guardrails { surge_s, floor_window_s, .. } = rules.guardrails;
        Self { surge_s, window_s: floor_window_s, lead_time_s: rules.forecast.lead_time_s }
    }

    /// From a surge's beginning until what it demands serves, in seconds.
    fn serves_after_s(&self) -> u32 {
        self.surge_s.saturating_add(self.lead_time_s)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Open {
    since: EventTime,
    newest: EventTime,
    /// Use is in the surge while it is above this.
    level: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Past {
    ended: EventTime,
    lasted_s: u32,
}

impl Open {
    /// What it is if it is over; `step_s` is how long a use stands for.
    fn so_far(&self, step_s: u32) -> Past {
        let lasted_s = u32::try_from((self.newest.as_ms() - self.since.as_ms()) / 1000).unwrap_or(u32::MAX);
        Past { ended: self.newest, lasted_s: lasted_s.saturating_add(step_s) }
    }
}

impl Past {
    /// From the end of an earlier one until it began, in milliseconds.
    fn after_ms(&self, earlier: &Self) -> i64 {
        self.ended.as_ms() - i64::from(self.lasted_s) * 1000 - earlier.ended.as_ms()
    }
}

/// The surges of one workload.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Surges {
    open: Option<Open>,
    past: Vec<Past>,
}

/// What the newest use is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Surge {
    /// Within what was asked for.
    None,
    /// Above it, not for long enough.
    Young {
        /// So far, in seconds.
        lasted_s: u32,
        /// It demands an increase from here on, in seconds.
        demands_after_s: u32,
        /// Of the last surges so many were over before new capacity could serve; 0 where that is not why.
        short_before: usize,
    },
    /// Above it for long enough: it demands an increase.
    Lasting {
        /// So far, in seconds.
        lasted_s: u32,
    },
}

impl Surges {
    /// Takes in a use, later than all before. `limit` is the greatest use that what was asked for should serve;
    /// `step_s` is how long a use stands for; `confirmed` is whether latency, errors or throttling say that it is short.
    pub fn observe(
        &mut self,
        rules: &SurgeRules,
        (at, step_s): (EventTime, u32),
        used: f64,
        limit: f64,
        confirmed: bool,
    ) -> Surge {
        let level = self.open.map_or(limit, |open| open.level.min(limit));
        if used <= level {
            let is_over = |open: Open| at.as_ms() - open.newest.as_ms() >= i64::from(rules.window_s) * 1000;
            if self.open.is_some_and(is_over) {
                self.end(rules, step_s);
            }
            return Surge::None;
        }
        let open = self.open.get_or_insert(Open { since: at, newest: at, level: limit });
        open.newest = at;
        if used <= limit {
            return Surge::None;
        }
        let lasted_s = open.so_far(step_s).lasted_s;
        let short = short_ones(self.newest_first(), rules.lead_time_s, at);
        let longest = short.iter().map(|past| past.lasted_s).max().unwrap_or(0);
        let is_known = short.len() >= SHORT_MIN;
        let patience = (f64::from(longest) * PATIENCE).min(f64::from(rules.lead_time_s)) as u32;
        let demands_after_s = if is_known { patience.max(rules.surge_s) } else { rules.surge_s };
        if confirmed || lasted_s >= demands_after_s || self.has_lasted(rules, at) {
            return Surge::Lasting { lasted_s };
        }
        Surge::Young { lasted_s, demands_after_s, short_before: if is_known { short.len() } else { 0 } }
    }

    fn end(&mut self, rules: &SurgeRules, step_s: u32) {
        let Some(open) = self.open.take() else { return };
        // A step as long as a surge does not tell how long it lasted.
        if step_s > rules.surge_s {
            return;
        }
        self.past.retain(|past| past.ended > open.newest.plus_s(-PAST_S));
        if self.past.len() == PAST_MAX {
            self.past.remove(0);
        }
        self.past.push(open.so_far(step_s));
    }

    /// How many of the last surges, back from one that has passed within `within_s`, were over before new capacity
    /// could serve; `None` where none has passed, where too few were before it, and where they come again within
    /// `within_s` as often as not. `step_s` is how long a use stands for.
    pub fn passed(&self, lead_time_s: u32, (now, step_s): (EventTime, u32), within_s: u32) -> Option<usize> {
        let open = self.open.map(|open| open.so_far(step_s));
        let short = short_ones(open.into_iter().chain(self.newest_first()), lead_time_s, now);
        let (passed_ms, within_ms) = (now.as_ms() - short.first()?.ended.as_ms(), i64::from(within_s) * 1000);
        if short.len() <= SHORT_MIN || !(1..=within_ms).contains(&passed_ms) {
            return None;
        }
        let soon = short.windows(2).filter(|pair| pair[0].after_ms(&pair[1]) <= within_ms).count();
        (2 * soon < short.len() - 1).then_some(short.len())
    }

    fn newest_first(&self) -> impl Iterator<Item = Past> {
        self.past.iter().rev().copied()
    }

    /// Whether the last surges lasted for longer than new capacity takes.
    fn has_lasted(&self, rules: &SurgeRules, now: EventTime) -> bool {
        let mut last = self.past.iter().rev().take(LONG_MIN).peekable();
        let lasts = |past: &Past| past.ended > now.plus_s(-PAST_S) && past.lasted_s > rules.serves_after_s();
        last.peek().is_some() && last.all(lasts)
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.past.capacity() * size_of::<Past>()
    }
}

/// Of surges, the newest first, those that were over before new capacity could serve, had it been asked for with their
/// first sample, back to the last one that was not. To wait for longer ones up to the lead time would be to answer them
/// when they are all but over.
fn short_ones(newest_first: impl Iterator<Item = Past>, lead_time_s: u32, now: EventTime) -> Vec<Past> {
    let is_short = |past: &Past| past.ended > now.plus_s(-PAST_S) && past.lasted_s < lead_time_s;
    newest_first.take_while(is_short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: SurgeRules = SurgeRules { surge_s: 120, window_s: 300, lead_time_s: 900 };

    /// Minutes that demand an increase, of a use by minute with a limit of 1.
    fn demanding(used: &[f64]) -> Vec<usize> {
        let mut surges = Surges::default();
        let mut at = |minute: usize| {
            let now = EventTime::from_s(minute as i64 * 60);
            surges.observe(&RULES, (now, 60), used[minute], 1.0, false)
        };
        (0..used.len()).filter(|minute| matches!(at(*minute), Surge::Lasting { .. })).collect()
    }

    fn spikes(lengths: &[usize]) -> Vec<f64> {
        lengths.iter().flat_map(|n| [vec![0.1; 60], vec![2.0; *n]].concat()).chain([0.1]).collect()
    }

    #[test]
    fn a_surge_demands_once_it_has_lasted() {
        assert_eq!(demanding(&spikes(&[1])), Vec::<usize>::new());
        assert_eq!(demanding(&spikes(&[3])), [61, 62]);
    }

    #[test]
    fn the_third_short_one_is_waited_for_until_it_lasts_longer_than_they_did() {
        assert_eq!(demanding(&spikes(&[3, 3, 3])), [61, 62, 124, 125]);
        let last = 3 * 60 + 6;
        assert_eq!(demanding(&spikes(&[3, 3, 10])), [vec![61, 62, 124, 125], (last + 4..last + 10).collect()].concat());
    }

    #[test]
    fn one_as_long_as_those_that_are_waited_for_is_never_answered() {
        let lead_time = RULES.lead_time_s as usize / 60;
        for length in 1..lead_time {
            let third = 3 * 60 + 2 * length;
            let answered = demanding(&spikes(&[length, length, length])).into_iter().find(|minute| *minute >= third);
            assert_eq!(answered, None, "{length} minutes");
        }
        for length in lead_time..=lead_time + 2 {
            let third = 3 * 60 + 2 * length;
            let answered = demanding(&spikes(&[length, length, length])).into_iter().find(|minute| *minute >= third);
            assert_eq!(answered, Some(third + 1), "{length} minutes");
        }
    }

    #[test]
    fn a_long_one_makes_the_next_count_again() {
        let used = spikes(&[3, 3, 40, 3]);
        let last = used.len() - 1;
        assert!(demanding(&used).contains(&(last - 1)), "two minutes into the last");
        assert!(!demanding(&used).contains(&(last - 3)), "short ones came before it");
    }

    /// By minute, what is said of a surge that has passed within 10 minutes, of a use with a limit of 1.
    fn passed(used: &[f64]) -> Vec<Option<usize>> {
        let mut surges = Surges::default();
        let at = |minute: usize| {
            let now = EventTime::from_s(minute as i64 * 60);
            surges.observe(&RULES, (now, 60), used[minute], 1.0, false);
            surges.passed(RULES.lead_time_s, (now, 60), 600)
        };
        (0..used.len()).map(at).collect()
    }

    #[test]
    fn the_third_short_one_has_passed_for_as_long_as_it_is_recalled() {
        let used = [spikes(&[3, 3, 3]), vec![0.1; 30]].concat();
        let last = 3 * 63 - 1;
        let said = passed(&used);
        assert!(said[..=last].iter().all(Option::is_none), "fewer than two were before, or it goes on: {said:?}");
        assert_eq!(said[last + 1..], [vec![Some(3); 10], vec![None; 21]].concat());
    }

    #[test]
    fn neither_a_long_one_nor_those_that_come_again_soon_have_passed() {
        let calm = || vec![0.1; 12];
        assert!(passed(&[spikes(&[3, 3, 18]), calm()].concat()).iter().all(Option::is_none));
        let soon = [vec![2.0; 2], vec![0.1; 8]].concat().repeat(5);
        assert!(passed(&[soon.clone(), calm()].concat()).iter().all(Option::is_none));
        let seldom = [spikes(&[3, 3, 3, 3]), calm(), soon[..20].to_vec(), calm()].concat();
        assert_eq!(passed(&seldom).last(), Some(&None), "more than ten minutes ago");
        assert_eq!(passed(&seldom[..seldom.len() - 12]).last(), Some(&Some(6)), "one of five came soon");
    }

    #[test]
    fn one_after_others_that_lasted_is_answered_at_once() {
        let used = spikes(&[30, 30, 5]);
        let (second, third) = (60 + 30 + 60, 2 * (60 + 30) + 60);
        let demanding = demanding(&used);
        assert!(!demanding.contains(&60) && demanding.contains(&second) && demanding.contains(&third), "{demanding:?}");
    }

    #[test]
    fn what_latency_confirms_is_not_waited_for() {
        let mut surges = Surges::default();
        let found = surges.observe(&RULES, (EventTime::from_s(0), 60), 2.0, 1.0, true);
        assert_eq!(found, Surge::Lasting { lasted_s: 60 });
    }

    #[test]
    fn a_surge_that_was_answered_goes_on_until_use_falls() {
        let mut surges = Surges::default();
        let mut at = |s, limit| surges.observe(&RULES, (EventTime::from_s(s), 60), 2.0, limit, false);
        at(0, 1.0);
        assert_eq!(at(60, 1.0), Surge::Lasting { lasted_s: 120 });
        assert_eq!(at(120, 2.5), Surge::None);
        assert_eq!(at(180, 1.9), Surge::Lasting { lasted_s: 240 });
    }
}
