//! What a contender came to, workload by workload and day by day.

use prescale_domain::outcome::Tally;
use prescale_domain::time::EventTime;
use std::collections::BTreeMap;
use std::ops::AddAssign;

/// What the ratios of the fleet are made of, in hours and core-hours.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub hours_short: f64,
    pub unmet: f64,
    pub over: f64,
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.hours_short += other.hours_short;
        self.unmet += other.unmet;
        self.over += other.over;
    }
}

/// What a contender came to.
#[derive(Default)]
pub(super) struct Outcome {
    /// By number of the workload.
    pub tallies: Vec<Tally>,
    /// By day since 1970, over all workloads.
    pub days: BTreeMap<i64, Sums>,
    /// What whole capacities cost, in the price list's currency, where they have prices.
    pub cost: f64,
}

impl Outcome {
    /// The tally of a workload.
    pub(super) fn of(&mut self, workload: usize) -> &mut Tally {
        if self.tallies.len() <= workload {
            self.tallies.resize(workload + 1, Tally::default());
        }
        &mut self.tallies[workload]
    }

    /// Changes the tally of a workload, and adds what came to it to the day's sums.
    pub(super) fn on_day(&mut self, workload: usize, at: EventTime, change: impl FnOnce(&mut Tally)) {
        let tally = self.of(workload);
        let before = *tally;
        change(tally);
        let came = Sums {
            hours_short: tally.hours_short - before.hours_short,
            unmet: tally.unmet - before.unmet,
            over: tally.over - before.over,
        };
        *self.days.entry(at.bin(86_400)).or_default() += came;
    }
}
