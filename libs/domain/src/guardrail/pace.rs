//! How often actions may come.

use super::history::{DAY_S, History};
use crate::action::Reason;
use crate::resource::Direction;
use crate::time::EventTime;
use crate::wording::{counted, instant, reason};

/// How often actions may come, in event time.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// An increase waits so long after the last increase, in seconds. It does not wait for a
    /// decrease: too little capacity is the worse fault.
    pub cooldown_out_s: u32,
    /// A decrease waits so long after the last change in either direction, in seconds.
    pub cooldown_in_s: u32,
    /// After so many changes of a workload within any 24 hours there is no decrease. Increases count and are not held.
    pub changes_per_day_max: u32,
    /// After a change of the capacity is seen to serve, KPIs are not relied on for so long, in
    /// seconds.
    pub warm_up_s: u32,
    /// An action is void after so long, in seconds, at least the lead time; until then the same is not asked for again.
    pub valid_for_s: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self { cooldown_out_s: 0, cooldown_in_s: 600, changes_per_day_max: 48, warm_up_s: 120, valid_for_s: 900 }
    }
}

impl Pace {
    /// What stands against a change in that direction now; nothing when it may come. What live use demands is not
    /// asked about.
    pub fn objections(&self, history: &History, now: EventTime, direction: Direction) -> Vec<Reason> {
        let mut objections = Vec::new();
        if direction == Direction::In
            && let Some(until) = over(history.capacity_changed_at, self.warm_up_s, now)
        {
            let text = format!(
                "the capacity changed less than {} s ago: KPIs are relied on again from {}",
                self.warm_up_s,
                instant(until)
            );
            objections.push(reason("guardrail.warm_up", text));
        }
        let (since, cooldown_s, what) = match direction {
            Direction::Out => (history.last_out_at, self.cooldown_out_s, "increase"),
            Direction::In => (history.last_out_at.max(history.last_in_at), self.cooldown_in_s, "change"),
        };
        if let Some(until) = over(since, cooldown_s, now) {
            let text = format!("the last {what} is less than {cooldown_s} s ago: wait until {}", instant(until));
            objections.push(reason("guardrail.cooldown", text));
        }
        let changes = history.changes_since(now.plus_s(-DAY_S));
        if direction == Direction::In && changes >= self.changes_per_day_max as usize {
            let text = format!(
                "{} within 24 h of at most {}: no decrease until one is a day ago",
                counted(changes, "change"),
                self.changes_per_day_max
            );
            objections.push(reason("guardrail.flap_budget", text));
        }
        objections
    }
}

/// The end of the wait that began at `since`, if that is still to come.
fn over(since: Option<EventTime>, wait_s: u32, now: EventTime) -> Option<EventTime> {
    let until = since?.plus_s(i64::from(wait_s));
    (now < until).then_some(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_of(objections: &[Reason]) -> Vec<&str> {
        objections.iter().map(|r| &*r.rule).collect()
    }

    #[test]
    fn an_increase_waits_for_increases_only() {
        let pace = Pace { cooldown_out_s: 300, cooldown_in_s: 1800, ..Pace::default() };
        let at = EventTime::from_s(1_000_000);
        let after_in = History { last_in_at: Some(at), ..History::default() };
        assert!(pace.objections(&after_in, at.plus_s(10), Direction::Out).is_empty());
        assert_eq!(rules_of(&pace.objections(&after_in, at.plus_s(10), Direction::In)), ["guardrail.cooldown"]);
        let after_out = History { last_out_at: Some(at), ..History::default() };
        assert_eq!(rules_of(&pace.objections(&after_out, at.plus_s(299), Direction::Out)), ["guardrail.cooldown"]);
        assert!(pace.objections(&after_out, at.plus_s(300), Direction::Out).is_empty());
        assert_eq!(rules_of(&pace.objections(&after_out, at.plus_s(1799), Direction::In)), ["guardrail.cooldown"]);
        assert!(pace.objections(&after_out, at.plus_s(1800), Direction::In).is_empty());
    }

    #[test]
    fn the_flap_budget_looks_back_24_hours() {
        let pace = Pace { changes_per_day_max: 2, ..Pace::default() };
        let at = EventTime::from_s(1_000_000);
        let history = History { changes: vec![at, at.plus_s(3600)], ..History::default() };
        assert_eq!(
            rules_of(&pace.objections(&history, at.plus_s(DAY_S - 1), Direction::In)),
            ["guardrail.flap_budget"]
        );
        assert!(pace.objections(&history, at.plus_s(DAY_S), Direction::In).is_empty());
        assert!(pace.objections(&history, at.plus_s(DAY_S - 1), Direction::Out).is_empty());
    }

    #[test]
    fn warm_up_holds_decreases() {
        let pace = Pace::default();
        let at = EventTime::from_s(1_000_000);
        let history = History { capacity_changed_at: Some(at), ..History::default() };
        assert_eq!(rules_of(&pace.objections(&history, at.plus_s(119), Direction::In)), ["guardrail.warm_up"]);
        assert!(pace.objections(&history, at.plus_s(120), Direction::In).is_empty());
        assert!(pace.objections(&history, at.plus_s(119), Direction::Out).is_empty());
    }
}
