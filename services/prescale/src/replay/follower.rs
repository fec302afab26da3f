//! A capacity that follows what a rule or the planner decides.

use super::course::Step;
use super::outcome::Outcome;
use super::planner::Planner;
use super::policies::{Knobs, Rule, Simple};
use super::{Request, ShownDemand};
use prescale_domain::cloud::{CapacitySchedule, PriceList};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::kpi::CPU_CORES_USED;
use prescale_domain::outcome::{ClosedLoop, Seen, in_grains};
use prescale_domain::prediction::{Prediction, ResourceForecast};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::time::EventTime;
use std::sync::Arc;

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
    /// Of whole capacities, where they are what capacity costs.
    prices: Option<Arc<PriceList>>,
    /// By number of the workload; `None` before its first demand.
    workloads: Vec<Option<Served>>,
    pub(super) outcome: Outcome,
}

/// Who decides.
pub(super) enum Mind {
    /// A simple rule; with the time from a sample's instant until what it leads to serves, in seconds.
    Simple { simple: &'static Simple, knobs: Knobs, ahead_s: u32 },
    /// The planner.
    Planner { planner: Box<Planner>, is_naive: bool, sizes_memory: bool },
}

struct Served {
    /// Its cores, by which it is scored.
    capacity: ClosedLoop,
    /// The same with count, memory and instance type, where those are chosen too.
    sizes: Option<CapacitySchedule>,
    /// Of a simple rule.
    rule: Option<Rule>,
    /// Demand that the planner is to be shown with the next prediction, of the samples since the last one.
    earlier: Vec<(EventTime, f64)>,
}

impl Follower {
    pub(super) fn new(mind: Mind, lead_s: u32, request: &Request, prices: Option<Arc<PriceList>>) -> Self {
        let (grain_cores, shown) = (request.grain_cores, request.shown);
        Self { mind, lead_s, grain_cores, shown, prices, workloads: Vec::new(), outcome: Outcome::default() }
    }

    pub(super) fn take(&mut self, step: &Step, is_scored: bool) {
        if self.workloads.len() <= step.workload {
            self.workloads.resize_with(step.workload + 1, || None);
        }
        let shown = match &self.workloads[step.workload] {
            Some(served) => {
                if is_scored {
                    score(&mut self.outcome, served, self.prices.as_deref(), step);
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
        served.forget(step.end);
        let decided: Vec<(usize, Capacity)> = match &mut self.mind {
            Mind::Simple { .. } => {
                let decided = by_rule(served, step, shown).map(|cores| (step.workload, of_cores(cores, None)));
                decided.into_iter().collect()
            }
            Mind::Planner { planner, is_naive, sizes_memory } => {
                let prediction = if *is_naive { &step.naive } else { &step.prediction };
                match prediction.as_ref().filter(|made| *sizes_memory || has_cpu(made)) {
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
        for (workload, desired) in decided {
            if let Some(Some(served)) = self.workloads.get_mut(workload)
                && served.order(step.end, desired, (self.lead_s, self.grain_cores))
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
        let first = in_grains(first, self.grain_cores);
        let sizes_memory = matches!(self.mind, Mind::Planner { sizes_memory: true, .. });
        let sizes = sizes_memory.then(|| {
            let used = || step.memory_bytes.map(|used| used / FIRST_UTILISATION);
            CapacitySchedule::new(of_cores(first, step.bought_memory_bytes.or_else(used)))
        });
        let capacity = ClosedLoop::new(first, lead_s);
        self.workloads[step.workload] = Some(Served { capacity, sizes, rule, earlier: Vec::new() });
    }
}

/// One replica of so many cores and so much memory, of no instance type.
fn of_cores(cores: f64, memory_bytes: Option<f64>) -> Capacity {
    Capacity {
        replicas: 1,
        cpu_cores_per_replica: cores,
        memory_bytes_per_replica: memory_bytes.unwrap_or(0.0),
        instance_type: None,
    }
}

/// What so many cores cost for an hour, with the memory that was bought.
pub(super) fn price_of_cores(prices: &PriceList, cores: f64, bought_memory_bytes: Option<f64>) -> f64 {
    prices.price_per_h(&of_cores(cores, bought_memory_bytes)).unwrap_or(0.0)
}

fn has_cpu(prediction: &Prediction) -> bool {
    prediction.resources.iter().any(|made| made.resource.as_str() == CPU_CORES_USED)
}

fn score(outcome: &mut Outcome, served: &Served, prices: Option<&PriceList>, step: &Step) {
    let Some(demand) = step.demand else { return };
    let capacity = &served.capacity;
    outcome.cost += prices.map_or(0.0, |prices| served.cost(prices, step));
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
    /// What it cost over a step.
    fn cost(&self, prices: &PriceList, step: &Step) -> f64 {
        if let Some(sizes) = &self.sizes {
            let cost = sizes.cost(step.begin, step.end, |capacity| prices.price_per_h(capacity));
            return cost.unwrap_or(0.0);
        }
        let mut cost = 0.0;
        self.capacity.pieces(step.begin, step.end, |hours, cores| {
            cost += hours * price_of_cores(prices, cores, step.bought_memory_bytes);
        });
        cost
    }

    /// Forgets what served before an instant.
    fn forget(&mut self, before: EventTime) {
        self.capacity.forget(before);
        if let Some(sizes) = &mut self.sizes {
            sizes.settle(before);
        }
    }

    /// Orders a capacity, which serves `lead_s` later; where cores alone are sized, in whole grains. Whether that is a
    /// change of what was ordered last.
    fn order(&mut self, at: EventTime, desired: Capacity, (lead_s, grain_cores): (u32, f64)) -> bool {
        let cores = desired.cpu_cores();
        let Some(sizes) = &mut self.sizes else {
            return self.capacity.order(at, in_grains(cores, grain_cores));
        };
        if *sizes.last() == desired {
            return false;
        }
        self.capacity.order(at, cores);
        sizes.change(at.plus_s(i64::from(lead_s)), desired);
        true
    }

    /// The prediction as a planner gets it whose decisions are carried out: with the capacity that serves, and the demand
    /// that is shown, also of the samples before it. Where cores alone are sized it is one replica with the memory that was
    /// bought, and the prediction is of CPU alone.
    fn as_seen(&mut self, step: &Step, prediction: &Prediction, shown: Option<f64>) -> Prediction {
        let mut seen = prediction.clone();
        seen.platform = Platform::SIMULATED;
        seen.capacity = Some(match &self.sizes {
            Some(sizes) => sizes.at(step.end).clone(),
            None => {
                keep_cpu_alone(&mut seen);
                let bought = seen.capacity.as_ref().map(Capacity::memory_bytes);
                of_cores(self.capacity.capacity_at(step.end), bought)
            }
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

/// Leaves CPU alone of what is forecast and was measured.
fn keep_cpu_alone(prediction: &mut Prediction) {
    let is_cpu: Vec<bool> = prediction.resources.iter().map(|made| made.resource.as_str() == CPU_CORES_USED).collect();
    keep(&mut prediction.resources, &is_cpu);
    prediction.earlier.iter_mut().for_each(|reading| keep(&mut reading.resources, &is_cpu));
}

fn keep<T>(values: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    values.retain(|_| kept.next().is_some_and(|kept| *kept));
}

#[cfg(test)]
mod tests {
    use super::*;
    use prescale_domain::kpi::{KpiName, MEMORY_BYTES};
    use prescale_domain::prediction::Reading;
    use prescale_domain::source::SourceName;
    use prescale_domain::workload::WorkloadId;

    const GIB: f64 = 1_073_741_824.0;

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

    /// Of CPU and memory, with readings at 120 and 180 s.
    fn made() -> Prediction {
        let reading =
            |s: i64, cores: f64| Reading { at: at(s), resources: vec![Some(cores), Some(1e9)], signals: Vec::new() };
        Prediction {
            workload: WorkloadId::new("web").unwrap(),
            source: SourceName::new("test").unwrap(),
            made_at: at(240),
            step_s: 60,
            resources: vec![resource(CPU_CORES_USED, 5.0), resource(MEMORY_BYTES, 1e9)],
            signals: Vec::new(),
            earlier: vec![reading(120, 1.0), reading(180, 4.0)],
            capacity: None,
            anomaly: None,
            platform: Platform::OBSERVED_ONLY,
        }
    }

    /// The step of 5 cores from 240 to 300 s.
    fn step() -> Step {
        Step {
            workload: 0,
            partition: 0,
            at: at(240),
            begin: at(240),
            end: at(300),
            step_s: 60,
            demand: Some(5.0),
            bought: None,
            bought_memory_bytes: Some(2.0 * GIB),
            memory_bytes: Some(1e9),
            is_surge: false,
            prediction: None,
            naive: None,
        }
    }

    fn served(sizes: Option<CapacitySchedule>) -> Served {
        let earlier = vec![(at(0), 2.0), (at(180), 2.5)];
        Served { capacity: ClosedLoop::new(2.5, 60), sizes, rule: None, earlier }
    }

    #[test]
    fn what_is_shown_of_earlier_samples_takes_the_place_of_what_was_measured() {
        let mut served = served(Some(CapacitySchedule::new(of_cores(2.5, Some(GIB)))));
        let seen = served.as_seen(&step(), &made(), Some(2.5));
        let lasts: Vec<_> = seen.resources.iter().map(|made| made.last).collect();
        assert_eq!(lasts, [Some(2.5), Some(1e9)]);
        let cores: Vec<_> = seen.earlier.iter().map(|reading| reading.resources[0]).collect();
        assert_eq!(cores, [Some(1.0), Some(2.5)], "one of which nothing was shown stays");
        assert!(seen.earlier.iter().all(|reading| reading.resources[1] == Some(1e9)));
        assert_eq!(seen.capacity.map(|capacity| capacity.cpu_cores()), Some(2.5));
        assert!(served.earlier.is_empty());
    }

    #[test]
    fn where_cores_alone_are_sized_nothing_else_is_seen() {
        let seen = served(None).as_seen(&step(), &made(), Some(2.5));
        assert_eq!(seen.resources.iter().map(|made| made.last).collect::<Vec<_>>(), [Some(2.5)]);
        let earlier: Vec<_> = seen.earlier.iter().map(|reading| reading.resources.as_slice()).collect();
        assert_eq!(earlier, [[Some(1.0)], [Some(2.5)]]);
    }

    #[test]
    fn a_capacity_of_the_same_cores_and_another_size_is_a_change_and_costs_its_own_price() {
        let prices = PriceList::default();
        let of_type = |name: &str, count: u32| prices.instance_type(name).unwrap().capacity(count);
        let mut by_size = served(Some(CapacitySchedule::new(of_type("general-2", 2))));
        assert!(!by_size.order(at(180), of_type("general-2", 2), (60, 0.01)));
        assert!(by_size.order(at(210), of_type("memory-4", 1), (60, 0.01)));
        let half_an_hour = |of: &Served| of.cost(&prices, &Step { end: at(240 + 1800), ..step() });
        let wanted = 0.2 * 30.0 / 3600.0 + 0.28 * 1770.0 / 3600.0;
        assert!((half_an_hour(&by_size) - wanted).abs() < 1e-12);
        by_size.forget(at(300));
        assert_eq!(by_size.as_seen(&step(), &made(), None).capacity, Some(of_type("memory-4", 1)));
        let mut by_cores = served(None);
        assert!((half_an_hour(&by_cores) - 0.5 * (2.5 * 0.03 + 2.0 * 0.005)).abs() < 1e-12);
        assert!(!by_cores.order(at(300), of_cores(2.5, Some(9.0 * GIB)), (60, 0.01)), "memory is not sized");
    }
}
