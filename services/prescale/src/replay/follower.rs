//! A capacity that follows what a rule or the planner decides.

use super::contender::Outcome;
use super::course::Step;
use super::planner::Planner;
use super::policies::{Knobs, Rule, Simple};
use super::{Request, ShownDemand};
use prescale_domain::kpi::CPU_CORES_USED;
use prescale_domain::outcome::{ClosedLoop, Seen, in_grains};
use prescale_domain::prediction::{Prediction, ResourceForecast};
use prescale_domain::sample::{Capacity, Platform};

/// Share of its capacity that a workload of unknown capacity uses at first.
const FIRST_UTILISATION: f64 = 0.7;

/// One policy with one lead time over all workloads.
pub(super) struct Follower {
    pub(super) mind: Mind,
    lead_s: u32,
    grain_cores: f64,
    shown: ShownDemand,
    /// By number of the workload; `None` before its first demand.
    workloads: Vec<Option<Served>>,
    pub(super) outcome: Outcome,
}

/// Who decides.
pub(super) enum Mind {
    /// A simple rule; with the time from a sample's instant until what it leads to serves, in seconds.
    Simple { simple: &'static Simple, knobs: Knobs, ahead_s: u32 },
    /// The planner.
    Planner { planner: Box<Planner>, is_naive: bool },
}

struct Served {
    capacity: ClosedLoop,
    /// Of a simple rule.
    rule: Option<Rule>,
}

impl Follower {
    pub(super) fn new(mind: Mind, lead_s: u32, request: &Request) -> Self {
        let (grain_cores, shown) = (request.grain_cores, request.shown);
        Self { mind, lead_s, grain_cores, shown, workloads: Vec::new(), outcome: Outcome::default() }
    }

    pub(super) fn take(&mut self, step: &Step, is_scored: bool) {
        if self.workloads.len() <= step.workload {
            self.workloads.resize_with(step.workload + 1, || None);
        }
        let shown = match &self.workloads[step.workload] {
            Some(served) => {
                if is_scored {
                    score(&mut self.outcome, &served.capacity, step);
                }
                let capacity = served.capacity.capacity_at(step.begin);
                step.demand.map(|demand| if self.shown == ShownDemand::Capped { demand.min(capacity) } else { demand })
            }
            None => {
                let Some(demand) = step.demand else { return };
                self.begin(step, demand);
                Some(demand)
            }
        };
        let Some(served) = &mut self.workloads[step.workload] else { return };
        served.capacity.forget(step.end);
        let decided: Vec<(usize, f64)> = match &mut self.mind {
            Mind::Simple { .. } => {
                by_rule(served, step, shown).map(|cores| (step.workload, cores)).into_iter().collect()
            }
            Mind::Planner { planner, is_naive } => {
                let prediction = if *is_naive { &step.naive } else { &step.prediction };
                let capacity = served.capacity.capacity_at(step.end);
                let seen = prediction.as_ref().map(|prediction| as_seen(prediction, capacity, shown));
                seen.map(|seen| planner.decide(step.workload, step.partition, seen)).unwrap_or_default()
            }
        };
        for (workload, cores) in decided {
            if let Some(Some(served)) = self.workloads.get_mut(workload)
                && served.capacity.order(step.end, in_grains(cores, self.grain_cores))
                && is_scored
            {
                self.outcome.of(workload).changes += 1;
            }
        }
    }

    fn begin(&mut self, step: &Step, demand: f64) {
        let first = step.bought.unwrap_or(demand / FIRST_UTILISATION);
        let rule = match &self.mind {
            Mind::Simple { simple, knobs, ahead_s } => Some(simple.rule(knobs, *ahead_s)),
            Mind::Planner { .. } => None,
        };
        let lead_s = match &self.mind {
            Mind::Simple { simple, .. } => simple.lead_s(self.lead_s),
            Mind::Planner { .. } => self.lead_s,
        };
        let capacity = ClosedLoop::new(in_grains(first, self.grain_cores), lead_s);
        self.workloads[step.workload] = Some(Served { capacity, rule });
    }
}

fn score(outcome: &mut Outcome, capacity: &ClosedLoop, step: &Step) {
    let Some(demand) = step.demand else { return };
    outcome.on_day(step.workload, step.begin, |tally| {
        tally.add(&capacity.worth(step.begin, step.end, demand));
        if step.is_surge {
            tally.add_surge(demand, capacity.capacity_at(step.begin));
        }
    });
}

fn by_rule(served: &mut Served, step: &Step, shown: Option<f64>) -> Option<f64> {
    let is_cpu = |made: &&ResourceForecast| made.resource.as_str() == CPU_CORES_USED;
    let forecast = step.prediction.as_ref().and_then(|prediction| prediction.resources.iter().find(is_cpu));
    let seen = Seen { at: step.end, step_s: step.step_s, demand: shown?, bought: step.bought, forecast };
    served.rule.as_mut()?.decide(&seen)
}

/// The prediction as a planner gets it whose decisions are carried out: with the capacity that serves, of one
/// replica.
fn as_seen(prediction: &Prediction, capacity: f64, shown: Option<f64>) -> Prediction {
    let mut seen = prediction.clone();
    seen.platform = Platform::Simulated;
    seen.capacity = Some(Capacity {
        replicas: 1,
        cpu_cores_per_replica: capacity,
        memory_bytes_per_replica: seen.capacity.map_or(0.0, |bought| bought.memory_bytes()),
        instance_type: None,
    });
    if let Some(shown) = shown {
        for made in seen.resources.iter_mut().filter(|made| made.resource.as_str() == CPU_CORES_USED) {
            made.last = Some(shown);
        }
    }
    seen
}
