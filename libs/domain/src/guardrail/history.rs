//! What a planner remembers of one workload. It is a function of the predictions and actions of
//! that workload alone, so that anyone can work it out again from the log.

use crate::action::{Action, Verdict};
use crate::draw::unit_interval;
use crate::sample::Capacity;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use bitcode::{Decode, Encode};

/// The flap budget's window, in seconds.
pub const DAY_S: i64 = 86_400;

/// The last published action, as far as later decisions depend on it.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Published {
    /// Capacity asked for.
    pub desired: Capacity,
    /// Capacity that served then.
    pub from: Capacity,
    /// End of its validity.
    pub valid_until: EventTime,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// Whether live use demanded it.
    pub demanded: bool,
    /// For how long the same had been asked for by then, in seconds.
    pub stood_s: u32,
}

/// A dry run's plan that stands is told of again after so long at most, in seconds, beyond its validity.
const TOLD_AGAIN_S_MAX: f64 = 14_400.0;

impl Published {
    /// From when on a dry run's plan that stands is told of again, since it may have been held: after its validity and a
    /// share of the time for which it has stood. The share is the workload's own, from 0.5 to 1.5, so that those that were
    /// held together come one after another.
    pub fn told_again_from(&self, workload: &WorkloadId) -> EventTime {
        let own = 0.5 + unit_interval(0, workload.as_str());
        self.valid_until.plus_s((f64::from(self.stood_s) * own).min(TOLD_AGAIN_S_MAX) as i64)
    }
}

/// What a planner remembers of one workload.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct History {
    /// The newest instant that was heard of.
    pub made_at: Option<EventTime>,
    /// Capacity when it was last known.
    pub capacity: Option<Capacity>,
    /// First instant that saw the present capacity, if it was seen to change.
    pub capacity_changed_at: Option<EventTime>,
    /// Last increase.
    pub last_out_at: Option<EventTime>,
    /// Last decrease.
    pub last_in_at: Option<EventTime>,
    /// Changes of the last 24 hours, ascending.
    pub changes: Vec<EventTime>,
    /// Last published action.
    pub published: Option<Published>,
}

impl History {
    /// Whether what is said of that instant brings nothing new.
    pub fn has(&self, at: EventTime) -> bool {
        self.made_at.is_some_and(|last| at <= last)
    }

    /// Takes note of an instant, later than all before, and the capacity then, where it is known.
    pub fn observe(&mut self, at: EventTime, capacity: Option<&Capacity>) {
        self.made_at = Some(at);
        if let Some(capacity) = capacity {
            if self.capacity.as_ref().is_some_and(|last| last != capacity) {
                self.capacity_changed_at = Some(at);
            }
            if self.capacity.as_ref() != Some(capacity) {
                self.capacity = Some(capacity.clone());
            }
        }
    }

    /// Forgets what was published in the other mode: a dry run has changed nothing, and is no reason to hold what is
    /// carried out.
    pub fn forget_other_mode(&mut self, dry_run: bool) {
        if self.published.as_ref().is_some_and(|p| p.dry_run != dry_run) {
            (self.last_out_at, self.last_in_at, self.published) = (None, None, None);
            self.changes.clear();
        }
    }

    /// Forgets what was published, where it is not known what was. Something may just have been, so pauses begin now.
    pub fn forget_published(&mut self) {
        (self.last_out_at, self.last_in_at, self.published) = (self.made_at, self.made_at, None);
        self.changes.clear();
    }

    /// Takes note of a published action, which has changed what was asked for.
    pub fn record(&mut self, action: &Action) {
        let at = action.decided_at;
        let is_new = self.published.as_ref().is_none_or(|p| p.desired != action.desired);
        if is_new {
            self.changes.retain(|change| *change > at.plus_s(-DAY_S));
            self.changes.push(at);
            match action.verdict {
                Verdict::ScaleOut => self.last_out_at = Some(at),
                Verdict::ScaleIn | Verdict::Reshape => self.last_in_at = Some(at),
            }
        }
        let before = self
            .published
            .as_ref()
            .filter(|p| p.desired == action.desired && p.from == action.current && p.dry_run == action.dry_run);
        let stood_s = before.map_or(0, |p| {
            let more_s = (action.valid_until.as_ms() - p.valid_until.as_ms()) / 1000;
            p.stood_s.saturating_add(u32::try_from(more_s).unwrap_or(0))
        });
        self.published = Some(Published {
            desired: action.desired.clone(),
            from: action.current.clone(),
            valid_until: action.valid_until,
            dry_run: action.dry_run,
            demanded: action.follows_from_live_use(),
            stood_s,
        });
    }

    /// Whether an action asks for what is asked for already, by one that is still valid.
    pub fn has_asked_for(&self, action: &Action) -> bool {
        let is_same = |p: &Published| p.desired == action.desired && p.dry_run == action.dry_run;
        self.published.as_ref().is_some_and(|p| is_same(p) && action.decided_at < p.valid_until)
    }

    /// What was asked for last and still stands: while it is valid, and a dry run's plan for as long as the capacity
    /// that it was made from stays as it is as well, since nothing may come of it. Else the capacity that serves.
    pub fn base<'a>(&'a self, current: &'a Capacity, dry_run: bool, now: EventTime) -> &'a Capacity {
        let stands = |p: &&Published| p.dry_run == dry_run && (now < p.valid_until || dry_run && p.from == *current);
        self.published.as_ref().filter(stands).map_or(current, |p| &p.desired)
    }

    /// Number of changes later than `since`.
    pub fn changes_since(&self, since: EventTime) -> usize {
        self.changes.iter().filter(|change| **change > since).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fixtures::action;

    #[test]
    fn a_dry_run_that_stands_is_told_of_ever_less_often_by_each_workload_at_times_of_its_own() {
        const DAYS: i64 = 3;
        let told_at = |name: &str| -> Vec<i64> {
            let (mut history, mut told) = (History::default(), Vec::new());
            for at_s in (0..DAYS * DAY_S).step_by(300) {
                let mut plan = action(name, at_s, 4, 3);
                plan.dry_run = true;
                let is_due = |p: &Published| plan.decided_at >= p.told_again_from(&plan.workload);
                if history.published.as_ref().is_none_or(is_due) {
                    history.record(&plan);
                    told.push(at_s);
                }
            }
            told
        };
        let of_each: Vec<Vec<i64>> = (0..20).map(|i| told_at(&format!("web-{i}"))).collect();
        for told in &of_each {
            let within = |day: i64| told.iter().filter(|at_s| **at_s / DAY_S == day).count();
            assert_eq!(told[..2], [0, 900], "as soon as it is void");
            assert!(within(0) <= 12 && within(1) <= 6 && within(2) <= 6, "{told:?}");
            let pauses: Vec<i64> = told.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(pauses.is_sorted() && pauses.iter().all(|pause_s| *pause_s <= 16_000), "{pauses:?}");
        }
        let mut fifths: Vec<i64> = of_each.iter().map(|told| told[4]).collect();
        fifths.sort_unstable();
        fifths.dedup();
        assert!(fifths.len() > 5, "they are spread: {fifths:?}");
    }

    #[test]
    fn what_is_asked_for_by_one_that_is_valid_is_not_new() {
        let mut history = History::default();
        let first = action("web", 0, 4, 6);
        history.record(&first);
        assert!(history.has_asked_for(&action("web", 899, 4, 6)));
        assert!(!history.has_asked_for(&action("web", 900, 4, 6)), "it is void");
        assert!(!history.has_asked_for(&action("web", 899, 4, 7)));
        assert!(!history.has_asked_for(&Action { dry_run: true, ..action("web", 899, 4, 6) }));
    }

    #[test]
    fn where_it_is_not_known_what_was_published_pauses_begin_and_nothing_stands() {
        let at = EventTime::from_s;
        let capacity =
            Capacity { replicas: 2, cpu_cores_per_replica: 1.0, memory_bytes_per_replica: 4e9, instance_type: None };
        let measured = History {
            made_at: Some(at(1000)),
            capacity: Some(capacity.clone()),
            capacity_changed_at: Some(at(700)),
            ..History::default()
        };
        let desired = Capacity { replicas: 3, ..capacity.clone() };
        let published = Published {
            desired,
            from: capacity.clone(),
            valid_until: at(1300),
            dry_run: true,
            demanded: false,
            stood_s: 0,
        };
        let mut history = History {
            last_out_at: Some(at(400)),
            changes: vec![at(400)],
            published: Some(published),
            ..measured.clone()
        };
        assert_ne!(history.base(&capacity, true, at(1000)), &capacity);
        history.forget_published();
        assert_eq!(history.base(&capacity, true, at(1000)), &capacity);
        assert_eq!(history, History { last_out_at: Some(at(1000)), last_in_at: Some(at(1000)), ..measured });
    }
}
