//! Tests of [`super`]: who becomes champion, and for how long.

use super::*;
use crate::forecast::{GRID_STEP_S, HorizonQuantiles};
use crate::quantiles::{QUANTILE_LEVELS, Quantiles};
use crate::time::EventTime;

const HORIZONS: [usize; 2] = [1, 4];

fn rounds_min() -> usize {
    Terms::default().rounds_min as usize
}

fn around(median: f64) -> Both {
    let quantiles = Quantiles::rearranged(QUANTILE_LEVELS.map(|level| median + level - 0.5)).unwrap();
    let both = HorizonQuantiles { value: quantiles, maximum: quantiles };
    (both, both)
}

/// A series of zeros whose preferred family is the GRU; in each round the families miss by so much.
fn run(contest: &mut Contest, rounds: usize, misses: impl Fn(usize) -> Vec<(Family, f64)>) -> Vec<(Family, usize)> {
    run_preferring(Family::Gru, contest, rounds, misses)
}

fn run_preferring(
    preferred: Family,
    contest: &mut Contest,
    rounds: usize,
    misses: impl Fn(usize) -> Vec<(Family, f64)>,
) -> Vec<(Family, usize)> {
    let (mut demand, mut round, mut scored) = (DemandSeries::default(), 0, Vec::new());
    demand.start(EventTime::of_bin(0, GRID_STEP_S), 0.0);
    for bin in 0..(rounds * 5) as i64 {
        if contest.is_due(bin, &HORIZONS) {
            let forecasts: Vec<_> =
                misses(round).into_iter().map(|(family, miss)| (family, vec![around(miss); 2])).collect();
            contest.begin(bin, &forecasts);
            round += 1;
        }
        let who = (contest.champion().or(Some(preferred)), Some(preferred));
        contest.close(&Terms::default(), &HORIZONS, &demand, who, |(family, horizon, _), _| {
            scored.push((family, horizon))
        });
        demand.close();
        demand.add(0.0);
    }
    scored
}

/// The mean lead of a family on the preferred one, as a share of what that one lost.
fn lead(contest: &Contest, family: Family) -> f32 {
    let record = contest.record(family).unwrap();
    record.mean().unwrap() / record.mean_loss()
}

#[test]
fn a_challenger_that_is_clearly_better_becomes_champion_after_two_days() {
    let mut contest = Contest::default();
    let misses = |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)];
    run(&mut contest, rounds_min() - 1, misses);
    assert_eq!(contest.champion(), None);
    let scored = run(&mut contest, 2, misses);
    assert_eq!(contest.champion(), Some(Family::LastValue));
    assert!(scored.contains(&(Family::LastValue, 1)));
}

#[test]
fn a_champion_without_an_advantage_gives_way_to_the_preferred() {
    for (miss, stays) in [(1.5, true), (1.005, false), (0.8, false)] {
        let mut contest = Contest::default();
        run(&mut contest, rounds_min() + 1, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)]);
        assert_eq!(contest.champion(), Some(Family::LastValue));
        run(&mut contest, 8 * rounds_min(), |_| vec![(Family::Gru, miss), (Family::LastValue, 1.0)]);
        assert_eq!(contest.champion().is_some(), stays, "{miss}");
    }
}

/// Its mean lead since ever would let it reign for weeks.
#[test]
fn a_champion_whose_lead_is_gone_goes_within_days() {
    let mut contest = Contest::default();
    run(&mut contest, 200, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)]);
    run(&mut contest, 72, |_| vec![(Family::Gru, 0.8), (Family::LastValue, 1.0)]);
    assert_eq!(contest.champion(), None);
    assert!(lead(&contest, Family::LastValue) > 0.25);
}

#[test]
fn a_champion_that_is_forgotten_is_none_and_another_can_win() {
    let mut contest = Contest::default();
    let misses = |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)];
    run(&mut contest, rounds_min() + 1, misses);
    let before = contest.clone();
    contest.keep(|_| true);
    assert_eq!(contest, before);
    contest.keep(|family| family != Family::LastValue);
    assert_eq!(contest.champion(), None);
    assert_eq!(contest.record(Family::LastValue), Some(&Record::default()));
    run(&mut contest, rounds_min() + 2, |_| vec![(Family::Gru, 2.0), (Family::Arima, 1.5)]);
    assert_eq!(contest.champion(), Some(Family::Arima));
    contest.keep(|_| false);
    assert_eq!(contest.champion(), None);
}

#[test]
fn one_that_is_hardly_better_does_not() {
    let mut contest = Contest::default();
    run(&mut contest, 200, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.97)]);
    assert_eq!(contest.champion(), None);
    assert!(lead(&contest, Family::LastValue) > 0.01);
}

/// Better by a quarter on the mean, but by luck: one round in twelve makes it.
#[test]
fn one_that_is_better_by_a_few_rounds_does_not() {
    let mut contest = Contest::default();
    run(&mut contest, 60, |round| {
        let gru = if round % 12 == 5 { 9.0 } else { 1.0 };
        vec![(Family::Gru, gru), (Family::LastValue, 1.25)]
    });
    assert!(lead(&contest, Family::LastValue) > 0.25);
    assert_eq!(contest.champion(), None);
}

/// As good on the mean and as scattered in both cases. Where one round is like the one before it, there
/// are in truth fewer.
#[test]
fn rounds_that_are_alike_count_for_less() {
    let champion_after = |rounds_alike: usize| {
        let mut contest = Contest::default();
        run(&mut contest, 96, |round| {
            let last_value = if (round / rounds_alike).is_multiple_of(2) { 1.0 } else { 2.4 };
            vec![(Family::Gru, 2.0), (Family::LastValue, last_value)]
        });
        contest.champion()
    };
    assert_eq!([champion_after(1), champion_after(8)], [Some(Family::LastValue), None]);
}

/// In the rounds in which more is at stake it is the worse: by a tenth of what is lost there, and much better elsewhere.
#[test]
fn rounds_count_by_what_is_lost_in_them() {
    let mut contest = Contest::default();
    run(&mut contest, 96, |round| {
        let (gru, last_value) = if round % 4 == 0 { (40.0, 44.0) } else { (2.0, 1.0) };
        vec![(Family::Gru, gru), (Family::LastValue, last_value)]
    });
    assert_eq!(contest.champion(), None);
    assert!(lead(&contest, Family::LastValue) < 0.0);
}

#[test]
fn families_that_take_turns_do_not_make_it_flap() {
    let mut contest = Contest::default();
    let (mut changes, mut last) = (0, None);
    for _ in 0..400 {
        let turn = |round: usize| if round.is_multiple_of(2) { (2.0, 1.0) } else { (1.0, 2.0) };
        run(&mut contest, 2, |round| {
            let (gru, naive) = turn(round);
            vec![(Family::Gru, gru), (Family::SeasonalNaive, naive)]
        });
        changes += usize::from(contest.champion() != last);
        last = contest.champion();
    }
    assert_eq!(changes, 0);
}

/// The leads are on another family then; what others handed on stays for half a day.
#[test]
fn a_champion_has_half_a_day_once_another_family_is_preferred() {
    let mut contest = Contest::default();
    contest.start_from(Some(Family::LastValue));
    let misses = |_| vec![(Family::ExponentialSmoothing, 0.8), (Family::LastValue, 1.0)];
    run(&mut contest, 2, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)]);
    let granted = ROUNDS_GRANTED as usize;
    run_preferring(Family::ExponentialSmoothing, &mut contest, granted - 1, misses);
    assert_eq!(contest.champion(), Some(Family::LastValue));
    run_preferring(Family::ExponentialSmoothing, &mut contest, 1, misses);
    assert_eq!(contest.champion(), None);
}

#[test]
fn a_stand_in_goes_on_where_the_other_lost_clearly_more() {
    for (miss, wanted) in [(3.0, Some(Family::SeasonalNaive)), (2.05, None), (1.0, None)] {
        let mut contest = Contest::default();
        let (mut demand, horizons, terms) = (DemandSeries::default(), [1], Terms::default());
        demand.start(EventTime::of_bin(0, GRID_STEP_S), 0.0);
        for bin in 0..40 {
            if contest.is_due(bin, &horizons) {
                let entry = |(family, miss)| (family, vec![around(miss)]);
                contest.begin(bin, &[(Family::SeasonalNaive, 2.0), (Family::Gru, miss)].map(entry));
            }
            let who = (Some(Family::SeasonalNaive), Some(Family::Gru));
            contest.close(&terms, &horizons, &demand, who, |_, _| ());
            demand.close();
            demand.add(0.0);
        }
        assert_eq!(contest.recent_lead(Family::Gru).map(|lead| lead > 0.0), Some(miss < 2.0));
        assert_eq!(contest.recent_lead(Family::Arima), None);
        contest.end_stand_in(&terms, Family::LastValue, Family::Gru);
        assert_eq!(contest.champion(), None, "somebody else stood in");
        contest.end_stand_in(&terms, Family::SeasonalNaive, Family::Gru);
        assert_eq!(contest.champion(), wanted, "{miss}");
    }
}

#[test]
fn who_is_right_later_wins_later() {
    let mut contest = Contest::default();
    run(&mut contest, 100, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)]);
    assert_eq!(contest.champion(), Some(Family::LastValue));
    run(&mut contest, 200, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0), (Family::Arima, 0.5)]);
    assert_eq!(contest.champion(), Some(Family::Arima));
}

#[test]
fn only_challengers_hand_out_calibration_scores_and_a_restart_changes_nothing() {
    let mut contest = Contest::default();
    let scored = run(&mut contest, 3, |_| vec![(Family::Gru, 2.0), (Family::LastValue, 1.0)]);
    assert!(!scored.is_empty() && scored.iter().all(|(family, _)| *family == Family::LastValue));
    let restored: Contest = bitcode::decode(&bitcode::encode(&contest)).unwrap();
    assert_eq!(restored, contest);
    contest.start();
    assert!(contest.is_due(0, &HORIZONS));
}

#[test]
fn a_round_that_is_through_tells_what_each_lost() {
    let (mut contest, mut demand) = (Contest::default(), DemandSeries::default());
    demand.start(EventTime::of_bin(7, GRID_STEP_S), 0.0);
    contest.begin(7, &[(Family::Gru, vec![around(1.0); 2]), (Family::Arima, vec![around(3.0); 2])]);
    let mut rounds = Vec::new();
    for _ in 0..6 {
        let who = (Some(Family::Gru), Some(Family::Gru));
        rounds.extend(contest.close(&Terms::default(), &HORIZONS, &demand, who, |_, _| ()));
        demand.close();
        demand.add(0.0);
    }
    let [RoundLosses { bin: 7, losses }] = rounds.as_slice() else { panic!("{rounds:?}") };
    assert_eq!(losses.iter().map(|(family, _)| *family).collect::<Vec<_>>(), [Family::Gru, Family::Arima]);
    for ((_, loss), miss) in losses.iter().zip([1.0, 3.0]) {
        let of_level = |level: f64| (1.0 - level) * (miss + level - 0.5);
        let wanted = QUANTILE_LEVELS.map(of_level).iter().sum::<f64>() / QUANTILE_LEVELS.len() as f64;
        assert!((f64::from(*loss) - wanted).abs() < 1e-3, "{loss} instead of {wanted}");
    }
}
