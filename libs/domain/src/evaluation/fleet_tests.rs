//! The account against what a generated fleet truly demanded.

use super::fixtures::{by, quick_rules, seen};
use super::*;
use crate::action::{Action, ActionOutcome, ActionResult};
use crate::fleet::{Fleet, FleetSettings};
use crate::kpi::CPU_CORES_USED;
use crate::outcome::{ClosedLoop, Tally};
use crate::policy::Decision;
use crate::prediction::Prediction;
use crate::sample::Sample;
use crate::time::EventTime;
use crate::workload::WorkloadId;
use std::collections::BTreeMap;

const STEP_S: u32 = 300;

fn prediction_of(sample: &Sample) -> Prediction {
    let used = sample.kpis.iter().find(|kpi| kpi.name.as_str() == CPU_CORES_USED).and_then(|kpi| kpi.value);
    Prediction {
        source: sample.source.clone(),
        capacity: sample.capacity.clone(),
        anomaly: None,
        platform: sample.platform,
        ..seen(sample.workload.as_str(), sample.at.as_ms() / 1000, used, None)
    }
}

fn applied(action: &Action, lead_s: u32) -> ActionResult {
    ActionResult {
        workload: action.workload.clone(),
        action_id: "a".into(),
        at: action.decided_at,
        outcome: ActionOutcome::Applied { effective_at: action.decided_at.plus_s(i64::from(lead_s)) },
        before: action.current.clone(),
        after: action.desired.clone(),
        price_per_h: None,
        platform: action.platform,
    }
}

/// By workload and hour, what the three capacities left short of the true demand.
type Truth = BTreeMap<(WorkloadId, i64), [Tally; 3]>;

/// Two days of a fleet, with the outcomes and the truth.
fn two_days(is_dry_run: bool) -> (Vec<Outcome>, Truth) {
    let lead_s = 300;
    let mut rules = quick_rules(lead_s);
    rules.dry_run.simulated = is_dry_run;
    let terms = by(rules);
    let fleet = Fleet::new(FleetSettings {
        name: "truth".into(),
        workloads: 24,
        step_s: STEP_S,
        seed: 7,
        missing_samples_share: 0.01,
        missing_values_share: 0.01,
    })
    .expect("a valid name");
    let mut state = fleet.start(EventTime::from_s(1_767_225_600));
    let (mut evaluation, mut told, mut truth) = (Evaluation::default(), Vec::new(), Truth::new());
    for _ in 0..2 * 86_400 / STEP_S {
        for sample in fleet.tick(&mut state) {
            let prediction = prediction_of(&sample);
            let workload = fleet.workloads().iter().find(|w| w.id == sample.workload).expect("it is one of the fleet");
            if prediction.resources[0].last.is_some()
                && let Some(kept) = evaluation.workloads.get(&sample.workload)
                && let Some(held) = &kept.account.held
            {
                let begin = sample.at.plus_s(-i64::from(STEP_S));
                let hour = truth.entry((sample.workload.clone(), begin.bin(3600))).or_default();
                let demand = workload.unconstrained_demand(sample.at).cpu_cores;
                let worth = |held: &ClosedLoop| held.worth(begin, sample.at, demand);
                let came = [&held.capacity, &held.plan, &held.reactive].map(worth);
                hour.iter_mut().zip(&came).for_each(|(sum, came)| sum.add(came));
            }
            let evaluated = evaluation.step(&terms, &prediction, &"p".into()).expect("each is newer");
            told.extend(evaluated.outcomes);
            if let (Decision::Act(action), false) = (&evaluated.decision, is_dry_run) {
                fleet.feel(&mut state, &applied(action, lead_s));
            }
        }
    }
    (told, truth)
}

/// How many hours were exact, and how many a lower bound that was below the truth.
fn compared(told: &[Outcome], truth: &Truth) -> (usize, usize) {
    let (mut exact, mut below) = (0, 0);
    for hour in told {
        let truth = &truth[&(hour.workload.clone(), hour.from.bin(3600))];
        let sums = &hour.sums;
        assert!((sums.observed_s - truth[0].hours * 3600.0).abs() < 1e-6, "{hour:?}");
        let measured = [&sums.capacity, &sums.plan, &sums.reactive];
        for (measured, truth) in measured.into_iter().zip(truth) {
            let (short_s, unmet_core_s) = (truth.hours_short * 3600.0, truth.unmet * 3600.0);
            assert!(measured.short_s <= short_s + 1e-6 && measured.unmet_core_s <= unmet_core_s + 1e-6, "{hour:?}");
            if sums.censored_s == 0.0 {
                assert!((measured.short_s - short_s).abs() < 1e-6, "{hour:?} {truth:?}");
                assert!((measured.unmet_core_s - unmet_core_s).abs() < 1e-6, "{hour:?} {truth:?}");
                exact += 1;
            }
            below += usize::from(measured.unmet_core_s < unmet_core_s - 1e-6);
        }
    }
    (exact, below)
}

#[test]
fn a_dry_runs_account_is_the_truth_or_a_lower_bound_of_it() {
    let (told, truth) = two_days(true);
    let (exact, below) = compared(&told, &truth);
    assert!(told.len() > 24 * 46 && exact > 2 * told.len(), "{exact} of {} hours", told.len());
    let mut sums = told[0].sums.clone();
    told[1..].iter().for_each(|hour| sums.add(&hour.sums));
    assert!(sums.plan.changes > 24 && sums.plan.unmet_core_s > 0.0, "{sums:?}");
    assert!(below == 0 || sums.censored_s > 0.0, "{below} {sums:?}");
}

#[test]
fn an_applied_plans_account_is_the_truth_or_a_lower_bound_of_it() {
    let (told, truth) = two_days(false);
    let (exact, _) = compared(&told, &truth);
    assert!(exact > told.len(), "{exact} of {} hours", told.len());
    let mut sums = told[0].sums.clone();
    told[1..].iter().for_each(|hour| sums.add(&hour.sums));
    assert!(sums.capacity.changes > 24 && sums.censored_s > 0.0, "{sums:?}");
    // Where samples are missing, what was on the way is known to the plan before the chain says it.
    assert!((sums.plan.capacity_core_s / sums.capacity.capacity_core_s - 1.0).abs() < 1e-3, "{sums:?}");
}
