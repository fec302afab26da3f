//! The least capacity for a demand that is known in advance, a day of a workload at a time.
//!
//! Its parts end with the day (UTC), so "8 changes a day" are at most eight in each, the one at midnight among
//! them. The lead time makes no difference to it.

use super::course::Step;
use super::follower::price_of_cores;
use super::outcome::Outcome;
use prescale_domain::cloud::PriceList;
use prescale_domain::outcome::foresight::least_capacity;
use prescale_domain::time::EventTime;
use std::sync::Arc;

/// Perfect foresight over all workloads.
pub(super) struct Foreseer {
    changes_max: Option<usize>,
    prices: Option<Arc<PriceList>>,
    /// By number of the workload.
    days: Vec<Day>,
    outcome: Outcome,
}

/// What of a workload's day has come, and the capacity at the end of the day before.
#[derive(Default)]
struct Day {
    has_begun: bool,
    number: i64,
    steps: Vec<Kept>,
    before: Option<f64>,
}

struct Kept {
    begin: EventTime,
    hours: f64,
    demand: f64,
    bought_memory_bytes: Option<f64>,
    is_surge: bool,
}

impl Foreseer {
    pub(super) fn new(changes_max: Option<usize>, prices: Option<Arc<PriceList>>) -> Self {
        Self { changes_max, prices, days: Vec::new(), outcome: Outcome::default() }
    }

    pub(super) fn take(&mut self, step: &Step, is_scored: bool) {
        if self.days.len() <= step.workload {
            self.days.resize_with(step.workload + 1, Day::default);
        }
        let Some(demand) = step.demand else { return };
        // The others begin with the first demand and are held against those after it.
        let has_begun = std::mem::replace(&mut self.days[step.workload].has_begun, true);
        if !has_begun || !is_scored {
            return;
        }
        let number = step.begin.bin(86_400);
        if self.days[step.workload].number != number {
            self.close(step.workload);
            self.days[step.workload].number = number;
        }
        let hours = f64::from(step.step_s) / 3600.0;
        let Step { begin, bought_memory_bytes, is_surge, .. } = *step;
        self.days[step.workload].steps.push(Kept { begin, hours, demand, bought_memory_bytes, is_surge });
    }

    pub(super) fn finish(mut self) -> Outcome {
        (0..self.days.len()).for_each(|workload| self.close(workload));
        self.outcome
    }

    fn close(&mut self, workload: usize) {
        let day = &mut self.days[workload];
        let demands: Vec<f64> = day.steps.iter().map(|step| step.demand).collect();
        for (step, capacity) in day.steps.drain(..).zip(least_capacity(&demands, self.changes_max)) {
            let changes = u64::from(day.before.is_some_and(|before| before != capacity));
            day.before = Some(capacity);
            if let Some(prices) = &self.prices {
                self.outcome.cost += price_of_cores(prices, capacity, step.bought_memory_bytes) * step.hours;
            }
            self.outcome.on_day(workload, step.begin, |tally| {
                tally.add_time(step.hours, step.demand, capacity);
                tally.changes += changes;
                if step.is_surge {
                    tally.add_surge(step.demand, capacity);
                }
            });
        }
    }
}
