//! A capacity that follows what a rule or the planner decides.

use super::course::Step;
use super::outcome::Outcome;
use super::planner::Planner;
use super::policies::{Knobs, Rule, Simple};
use super::{Request, ShownDemand};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::kpi::CPU_CORES_USED;
use prescale_domain::outcome::{ClosedLoop, Seen, in_grains};
use prescale_domain::prediction::{Prediction, ResourceForecast};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;

/// Share of its capacity that a workload of unknown capacity uses at first.
const FIRST_UTILISATION: f64 = 0.7;

/// What was shown between two predictions is kept for so long, in seconds: more than there ever is between them.
const KEPT_S: i64 = 2 * GRID_STEP_S as i64;

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
    /// Demand that the planner is to be shown with the next prediction, of the samples since the last one.
    earlier: Vec<(EventTime, f64)>,
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
                match prediction {
                    Some(prediction) => {
                        let seen = served.as_seen(step, prediction, shown);
                        planner.decide(step.workload, step.partition, seen)
                    }
                    None => {
                        served.earlier.retain(|(at, _)| *at > step.at.plus_s(-KEPT_S));
                        served.earlier.extend(shown.map(|shown| (step.at, shown)));
                        Vec::new()
                    }
                }
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
        self.workloads[step.workload] = Some(Served { capacity, rule, earlier: Vec::new() });
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

impl Served {
    /// The prediction as a planner gets it whose decisions are carried out: with the capacity that serves, of one
    /// replica, and the demand that is shown, also of the samples before it.
    fn as_seen(&mut self, step: &Step, prediction: &Prediction, shown: Option<f64>) -> Prediction {
        let mut seen = prediction.clone();
        seen.platform = Platform::SIMULATED;
        seen.capacity = Some(Capacity {
            replicas: 1,
            cpu_cores_per_replica: self.capacity.capacity_at(step.end),
            memory_bytes_per_replica: seen.capacity.map_or(0.0, |bought| bought.memory_bytes()),
            instance_type: None,
        });
        let earlier = std::mem::take(&mut self.earlier);
        let shown_at = |at: EventTime| earlier.iter().find(|(of, _)| *of == at).map(|(_, shown)| *shown);
        for (place, made) in seen.resources.iter_mut().enumerate() {
            if made.resource.as_str() != CPU_CORES_USED {
                continue;
            }
            made.last = shown.or(made.last);
            for reading in &mut seen.earlier {
                if let (Some(demand), Some(shown)) = (reading.resources.get_mut(place), shown_at(reading.at)) {
                    *demand = Some(shown);
                }
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::kpi::{KpiName, MEMORY_BYTES};
    use prescale_domain::prediction::Reading;
    use prescale_domain::source::SourceName;
    use prescale_domain::workload::WorkloadId;

    fn at(s: i64) -> EventTime {
        EventTime::from_s(s)
    }

    fn resource(name: &str, last: f64) -> ResourceForecast {
        ResourceForecast {
            resource: KpiName::new(name),
            unit: "1".into(),
            last: Some(last),
            model: "none".into(),
            model_version: "0".into(),
            drift: None,
            started_from: Vec::new(),
            horizons: Vec::new(),
        }
    }

    #[test]
    fn what_is_shown_of_earlier_samples_takes_the_place_of_what_was_measured() {
        let reading =
            |s: i64, cores: f64| Reading { at: at(s), resources: vec![Some(cores), Some(1e9)], signals: Vec::new() };
        let prediction = Prediction {
            workload: WorkloadId::new("web").unwrap(),
            source: SourceName::new("test").unwrap(),
            made_at: at(240),
            step_s: 60,
            resources: vec![resource(CPU_CORES_USED, 5.0), resource(MEMORY_BYTES, 1e9)],
            signals: Vec::new(),
            earlier: vec![reading(120, 1.0), reading(180, 4.0)],
            capacity: None,
            platform: Platform::OBSERVED_ONLY,
        };
        let step = Step {
            workload: 0,
            partition: 0,
            at: at(240),
            begin: at(240),
            end: at(300),
            step_s: 60,
            demand: Some(5.0),
            bought: None,
            is_surge: false,
            prediction: None,
            naive: None,
        };
        let earlier = vec![(at(0), 2.0), (at(180), 2.5)];
        let mut served = Served { capacity: ClosedLoop::new(2.5, 60), rule: None, earlier };
        let seen = served.as_seen(&step, &prediction, Some(2.5));
        let lasts: Vec<_> = seen.resources.iter().map(|made| made.last).collect();
        assert_eq!(lasts, [Some(2.5), Some(1e9)]);
        let cores: Vec<_> = seen.earlier.iter().map(|reading| reading.resources[0]).collect();
        assert_eq!(cores, [Some(1.0), Some(2.5)], "one of which nothing was shown stays");
        assert!(seen.earlier.iter().all(|reading| reading.resources[1] == Some(1e9)));
        assert_eq!(seen.capacity.map(|capacity| capacity.cpu_cores()), Some(2.5));
        assert!(served.earlier.is_empty());
    }
}
