//! A week of the generated fleet under the default rules, in a closed loop, against its true demand.

use super::fixtures::last_value;
use super::{Decision, Planning, Rules};
use crate::action::{ActionOutcome, ActionResult};
use crate::fleet::{Fleet, FleetSettings};
use crate::outcome::Surges;
use crate::time::EventTime;
use std::collections::BTreeMap;
use std::sync::Arc;

const STEP_S: u32 = 60;
const LEAD_S: i64 = 120;
const DAYS: i64 = 7;

/// A surge of one workload: how far the demand rose, and for how long it was above the capacity.
#[derive(Clone, Copy, Debug)]
struct Met {
    at: EventTime,
    rise: f64,
    short_s: i64,
    seen_before: bool,
}

#[derive(Default)]
struct Watched {
    surges: Surges,
    hour: Vec<f64>,
    open: Option<Met>,
    met: Vec<Met>,
    rises: Vec<f64>,
}

impl Watched {
    fn observe(&mut self, at: EventTime, demand: f64, capacity: f64) {
        let mean = self.hour.iter().sum::<f64>() / self.hour.len().max(1) as f64;
        if self.surges.begins(at, STEP_S, demand) {
            self.close();
            self.open = Some(Met { at, rise: 0.0, short_s: 0, seen_before: false });
        }
        if let Some(open) = &mut self.open {
            open.rise = open.rise.max(demand / mean.max(1e-9));
            open.short_s += if demand > capacity { i64::from(STEP_S) } else { 0 };
            if at.as_ms() - open.at.as_ms() > 3_600_000 {
                self.close();
            }
        }
        self.hour.push(demand);
        if self.hour.len() > 60 {
            self.hour.remove(0);
        }
    }

    fn close(&mut self) {
        if let Some(mut met) = self.open.take() {
            met.seen_before = self.rises.iter().any(|rise| (rise / met.rise - 1.0).abs() <= 0.2);
            self.rises.push(met.rise);
            self.met.push(met);
        }
    }
}

#[test]
fn a_surge_that_was_seen_before_is_met_within_the_lead_time_and_two_steps() {
    let settings = FleetSettings {
        name: "week".into(),
        workloads: 50,
        step_s: STEP_S,
        seed: 11,
        missing_samples_share: 0.0,
        missing_values_share: 0.0,
    };
    let fleet = Fleet::new(settings).unwrap();
    let begin = EventTime::from_s(1_772_409_600);
    let (mut state, rules, mut planning) = (fleet.start(begin), Rules::default(), Planning::default());
    let mut watched: BTreeMap<_, Watched> = BTreeMap::new();
    let (mut served, mut bought) = (0.0, 0.0);
    let id: Arc<str> = "p".into();
    while fleet.next_at(&state) < begin.plus_s(86_400 * DAYS) {
        for sample in fleet.tick(&mut state) {
            let workload = fleet.workloads().iter().find(|w| w.id == sample.workload).unwrap();
            let capacity = sample.capacity.clone().unwrap();
            served += capacity.cpu_cores();
            bought += workload.initial_capacity.cpu_cores();
            let wanted = workload.unconstrained_demand(sample.at).cpu_cores;
            watched.entry(sample.workload.clone()).or_default().observe(sample.at, wanted, capacity.cpu_cores());
            let Some(Decision::Act(action)) = planning.step(&rules, &last_value(&sample), &id) else { continue };
            let effective_at = action.decided_at.plus_s(LEAD_S);
            let result = ActionResult {
                workload: action.workload.clone(),
                action_id: "a".into(),
                at: action.decided_at,
                outcome: ActionOutcome::Applied { effective_at },
                before: action.current.clone(),
                after: action.desired.clone(),
                price_per_h: None,
                platform: action.platform,
            };
            fleet.feel(&mut state, &result);
        }
    }
    let (mut seen, mut late) = (0, Vec::new());
    for (workload, watched) in &watched {
        for met in watched.met.iter().filter(|met| met.seen_before) {
            seen += 1;
            if met.short_s > LEAD_S + 2 * i64::from(STEP_S) {
                late.push(format!("{workload} {met:?}"));
            }
        }
    }
    let all: Vec<i64> = watched.values().flat_map(|w| &w.met).map(|met| met.short_s).collect();
    let above = |least_s: i64| all.iter().filter(|short_s| **short_s > least_s).count();
    println!(
        "of {} surges {} were short at all, {} for over 2 min, {} for over 4",
        all.len(),
        above(0),
        above(120),
        above(240)
    );
    println!("{:.0} core-hours served, {:.0} as bought", served / 60.0, bought / 60.0);
    assert!(late.is_empty(), "{} of {seen}: {late:?}", late.len());
    assert!(seen > 1000 && above(0) > 0 && served < 0.8 * bought, "the fleet has less than it came with");
}
