//! What must follow from predictions, by the log alone: an hour that is over has its outcome, if its demand was known
//! in it under a known capacity. To hold leaves no record, and whether it was right to hold only the rules of that time
//! could say.

use crate::stage::HOLD;
use prescale_chassis::audit::{Audit, GAP, Judged, NO_OUTPUT, NOT_UNDERSTOOD, Read, STALE};
use prescale_contracts::topics;
use prescale_domain::evaluation::outcome::HOUR_S;
use prescale_domain::prediction::Prediction;
use prescale_domain::resource::Resource;
use prescale_domain::sample::Capacity;
use prescale_domain::stream::silence::FORGET_AFTER_S;
use prescale_domain::time::EventTime;
use std::collections::HashMap;

/// A sample of a longer step, in seconds, says too little of any hour to count.
const STEP_MAX_S: u32 = 86_400;

/// The predictions of all workloads.
#[derive(Default)]
struct Hours {
    workloads: HashMap<Vec<u8>, Known>,
}

/// What is known of a workload as of its newest prediction.
struct Known {
    newest: EventTime,
    has_capacity: bool,
    /// Whether its hour must have an outcome once it is over.
    is_due: bool,
}

/// Of the planner.
pub(crate) fn audit() -> Box<dyn Audit> {
    Box::<Hours>::default()
}

impl Audit for Hours {
    fn judge(&mut self, read: &Read<'_>) -> Judged {
        if read.is_rejected {
            return Judged::Ended;
        }
        let Some(prediction) = read.decode::<Prediction>() else { return Judged::Wrong(NOT_UNDERSTOOD) };
        let at = prediction.made_at;
        let new = || Known { newest: EventTime::from_ms(i64::MIN), has_capacity: false, is_due: false };
        let known = self.workloads.entry(read.key().to_vec()).or_insert_with(new);
        if known.newest >= at {
            return if read.has_ended() { Judged::Ended } else { Judged::Without(STALE) };
        }
        let was_due = known.take(&prediction);
        if read.has_gap() {
            Judged::Wrong(GAP)
        } else if was_due && !read.found.iter().any(|found| found.topic == topics::OUTCOMES) {
            Judged::Wrong(NO_OUTPUT)
        } else if read.has_ended() {
            Judged::Ended
        } else {
            Judged::Without(HOLD)
        }
    }

    fn counted(&self) -> &[&'static str] {
        &[HOLD, STALE]
    }
}

impl Known {
    /// Takes a newer prediction in; whether an outcome must follow from it.
    fn take(&mut self, prediction: &Prediction) -> bool {
        let at = prediction.made_at;
        let is_silent = at.as_ms().saturating_sub(self.newest.as_ms()) / 1000 >= FORGET_AFTER_S;
        let is_over = is_silent || at.bin(HOUR_S) > self.newest.bin(HOUR_S);
        let was_due = self.is_due && is_over && !is_silent;
        let is_held = !is_over && self.has_capacity && has_demand(prediction) && prediction.step_s <= STEP_MAX_S;
        self.is_due = is_held || self.is_due && !is_over;
        self.has_capacity = prediction.capacity.as_ref().is_some_and(is_sound);
        self.newest = at;
        was_due
    }
}

fn has_demand(prediction: &Prediction) -> bool {
    let cpu = prediction.resources.iter().find(|forecast| forecast.resource.as_str() == Resource::Cpu.kpi());
    cpu.and_then(|forecast| forecast.last).is_some_and(|demand| demand.is_finite() && demand >= 0.0)
}

fn is_sound(capacity: &Capacity) -> bool {
    capacity.replicas > 0 && capacity.cpu_cores().is_finite() && capacity.cpu_cores() >= 0.0
}
