//! Who takes over, after how long, and how seldom by chance.

use super::betting::Bet;
use super::trials::{HOURS_MAX, HOURS_MIN, LOG10_E_MIN, LOSS_COUNTED_MAX, WORKLOADS_MIN};
use super::*;
use crate::forecast_score::{HorizonScore, ResourceScore, StatisticScore, TrialLoss};
use crate::kpi::KpiName;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rand_distr::{Distribution as _, StandardNormal};

const FROM: EventTime = EventTime::from_s(1_767_225_600);

fn score(workload: u32, hour: i64, (loss, candidate_loss): (f64, f64)) -> TrialScore {
    TrialScore {
        family: TrainedFamily::named("gru").unwrap(),
        trial_from: FROM,
        model_version: "1".into(),
        candidate_version: "2".into(),
        workload: WorkloadId::new(&format!("vm-{workload}")).unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        at: FROM.plus_s(3600 * (hour + 1)),
        rounds: 1,
        loss,
        candidate_loss,
    }
}

/// What is decided where so many workloads lose that much an hour, and after which hour.
fn decided(workloads: u32, hours: i64, lost: impl Fn(u32, i64) -> (f64, f64)) -> Vec<(i64, ModelDecision)> {
    let (mut trials, mut decided) = (Trials::default(), Vec::new());
    for hour in 0..hours {
        for workload in 0..workloads {
            if let Step::Decided(decision) = trials.step(&score(workload, hour, lost(workload, hour))) {
                decided.push((hour, *decision));
            }
        }
        trials = bitcode::decode(&bitcode::encode(&trials)).unwrap();
    }
    decided
}

fn normals(seed: u64) -> impl Iterator<Item = f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    std::iter::repeat_with(move || StandardNormal.sample(&mut rng))
}

#[test]
fn what_is_not_better_is_hardly_ever_taken_for_better() {
    const RUNS: u64 = 2000;
    let reaches = |seed: u64| {
        let (mut bet, mut scale) = (Bet::default(), 0.3);
        normals(seed).take(HOURS_MAX as usize).any(|noise| {
            let number: f64 = scale * noise;
            bet.push(number);
            // How much they scatter may follow from what came before.
            scale = 0.1 + 0.5 * number.abs().min(1.0);
            bet.log10_e() >= LOG10_E_MIN
        })
    };
    let wrong = (0..RUNS).filter(|seed| reaches(*seed)).count();
    // 20 are expected at most; 34 or more of 2,000 come by a chance of one in 1,000 then.
    assert!(wrong < 34, "{wrong} of {RUNS}");
}

#[test]
fn a_candidate_that_loses_less_takes_over_after_a_day_and_is_told_once() {
    let decided = decided(5, 200, |workload, hour| {
        let of_workload = 0.1 + 0.05 * f64::from(workload) + 0.01 * (hour % 7) as f64;
        (of_workload, 0.7 * of_workload)
    });
    let [(hour, decision)] = decided.as_slice() else { panic!("{decided:?}") };
    assert_eq!((*hour, decision.verdict), (i64::from(HOURS_MIN) + 1, TrialVerdict::Better));
    assert_eq!((&*decision.model_version, &*decision.candidate_version), ("1", "2"));
    assert_eq!(decision.at, FROM.plus_s(3600 * i64::from(HOURS_MIN)));
    let TrialNumbers { hours, workloads, lead, log10_e_better, log10_e_worse, loss, candidate_loss } = decision.numbers;
    assert_eq!((hours, workloads), (HOURS_MIN, 5));
    assert!((lead - 0.3 / 1.7).abs() < 1e-9 && (candidate_loss / loss - 0.7).abs() < 1e-9, "{decision:?}");
    assert!(log10_e_better >= LOG10_E_MIN && log10_e_worse <= 0.0, "{decision:?}");
}

#[test]
fn what_loses_more_is_refused_and_what_is_as_good_ends_undecided() {
    let verdict = |lost: fn(u32, i64) -> (f64, f64)| {
        let decided = decided(4, 400, lost);
        let [(_, decision)] = decided.as_slice() else { panic!("{decided:?}") };
        (decision.verdict, decision.numbers.hours)
    };
    assert_eq!(verdict(|_, _| (0.1, 0.2)), (TrialVerdict::Worse, HOURS_MIN));
    let swings = |_: u32, hour: i64| if hour % 2 == 0 { (0.1, 0.12) } else { (0.12, 0.1) };
    assert_eq!(verdict(swings), (TrialVerdict::Undecided, HOURS_MAX));
    // Better on most workloads by a little, and much worse where most is lost.
    let quiet = |workload: u32, _: i64| if workload == 0 { (10.0, 20.0) } else { (0.2, 0.1) };
    assert_eq!(verdict(quiet), (TrialVerdict::Undecided, HOURS_MAX));
}

#[test]
fn a_workload_that_is_next_to_idle_does_not_decide_for_all() {
    let lost = |workload: u32, _: i64| if workload == 0 { (1e6, 1.1e6) } else { (0.4, 0.2) };
    let decided = decided(4, 100, lost);
    let [(_, decision)] = decided.as_slice() else { panic!("{decided:?}") };
    assert_eq!(decision.verdict, TrialVerdict::Better);
    assert!(decision.numbers.loss <= LOSS_COUNTED_MAX && decision.numbers.candidate_loss <= LOSS_COUNTED_MAX);
}

#[test]
fn few_workloads_decide_nothing_and_late_scores_do_not_count() {
    assert_eq!(decided(WORKLOADS_MIN - 1, 400, |_, _| (0.2, 0.1)), []);
    let mut trials = Trials::default();
    assert_eq!(trials.step(&score(0, 5, (0.2, 0.1))), Step::Counted);
    assert_eq!(trials.step(&score(1, 4, (0.2, 0.1))), Step::Counted);
    assert_eq!(trials.step(&score(1, 7, (0.2, 0.1))), Step::Counted);
    assert_eq!(trials.step(&score(2, 5, (0.2, 0.1))), Step::Late);
    let other = TrialScore { model_version: "3".into(), ..score(3, 8, (0.2, 0.1)) };
    assert_eq!(trials.step(&other), Step::Late, "another version came into use by hand");
    for days in 1..6 {
        let later = TrialScore { trial_from: FROM.plus_s(86_400 * days), ..score(3, 200, (0.2, 0.1)) };
        assert_eq!(trials.step(&later), Step::Counted);
    }
    assert_eq!(trials.step(&score(1, 9, (0.2, 0.1))), Step::Late, "four later trials are known");
}

#[test]
fn losses_are_shares_of_what_came() {
    let statistic =
        |realised| StatisticScore { scored: 12, pinball_loss: 1.0, realised, median: 1.0, judged: 0, held: 0 };
    let resource = |name: &str, realised: f64, trials: Vec<TrialLoss>| ResourceScore {
        resource: KpiName::new(name),
        unit: "1".into(),
        model: "gru".into(),
        model_version: "1".into(),
        drift: None,
        horizons: vec![HorizonScore { horizon_s: 300, value: Some(statistic(realised)), maximum: None }],
        rounds: 0,
        paired: Vec::new(),
        trials,
    };
    let trial = |loss: f64| TrialLoss {
        model: "gru".into(),
        model_version: "1".into(),
        candidate_version: "2".into(),
        trial_from: FROM,
        rounds: 1,
        pinball_loss: loss,
        candidate_loss: loss / 2.0,
    };
    let unknown = TrialLoss { model: "seasonal-naive".into(), ..trial(1.0) };
    let of = ForecastScore {
        workload: WorkloadId::new("vm-7").unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        from: FROM,
        hours: 2,
        resources: vec![
            resource("a", 10.0, vec![trial(2.5), unknown]),
            resource("b", 1e9, vec![trial(5e8)]),
            resource("c", 0.0, vec![trial(1.0)]),
        ],
    };
    let wanted = TrialScore { rounds: 2, ..score(7, 1, (0.375, 0.1875)) };
    assert_eq!(trial_scores(&of), [wanted]);
}

proptest! {
    #[test]
    fn it_does_not_matter_in_which_order_the_workloads_of_an_hour_come(
        leads in proptest::collection::vec(1u8..8, 3..8),
        first in 0usize..8,
    ) {
        let lost = |place: usize| (8.0, f64::from(leads[place % leads.len()]));
        let workloads = leads.len() as u32;
        let plain = decided(workloads, 60, |workload, _| lost(workload as usize));
        let other = decided(workloads, 60, |workload, _| lost(workload as usize + first));
        let verdicts = |decided: &[(i64, ModelDecision)]| -> Vec<_> {
            decided.iter().map(|(hour, decision)| (*hour, decision.verdict)).collect()
        };
        prop_assert_eq!(verdicts(&plain), verdicts(&other));
    }
}
