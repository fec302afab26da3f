//! What is kept of a partition when the configuration changes.

use super::tests::{again, apply, partition, partition_of, record, two_days, under};
use super::*;
use crate::config::Choice;
use prescale_domain::forecast::mstl::Mstl;
use prescale_domain::forecast::{DAY_BINS, Family, Forecaster};
use prescale_domain::kpi;

/// These families in this order, the first that can.
fn in_order(models: &[&str]) -> Partition {
    partition_of(|c| {
        c.models = models.iter().map(|m| (*m).to_owned()).collect();
        c.choice = Choice::Order;
    })
}

/// A record a bin.
fn bins(partition: &mut Partition, bins: std::ops::Range<i64>) -> Vec<Prediction> {
    apply(partition, bins.map(|bin| record(0, 300 * bin)).collect())
}

/// Whose forecasts they are, each with how many there are of it one after another.
fn turns(made: &[Prediction]) -> Vec<(&str, i64)> {
    let turns = made.chunk_by(|a, b| a.resources[0].model == b.resources[0].model);
    turns.map(|turn| (&*turn[0].resources[0].model, turn.len() as i64)).collect()
}

#[test]
fn a_family_that_is_added_begins_in_the_middle_and_the_others_go_on() {
    let mut before = in_order(&["exponential-smoothing", "last-value"]);
    bins(&mut before, 0..400);
    let mut added = under(&before, &in_order(&["mstl", "exponential-smoothing", "last-value"]));
    assert!(bins(&mut added, 400..500) == bins(&mut before, 400..500));
    added = again(&added);
    let needed = Mstl.bins_needed() as i64;
    let made = bins(&mut added, 500..400 + needed + 20);
    assert_eq!(turns(&made), [("exponential-smoothing", needed - 101), ("mstl", 21)]);
}

#[test]
fn families_that_are_gone_take_nothing_along_and_begin_anew_when_they_are_back() {
    let all = in_order(&["gru", "exponential-smoothing", "last-value"]);
    let mut partition = under(&all, &all);
    bins(&mut partition, 0..400);
    let mut without = under(&partition, &in_order(&["exponential-smoothing", "last-value"]));
    assert_eq!(turns(&bins(&mut without, 400..420)), [("last-value", 1), ("exponential-smoothing", 19)]);
    let needed = all.registry.bases()[&Family::Gru].bins_needed() as i64;
    let mut back = under(&without, &all);
    let made = bins(&mut back, 420..420 + needed + 4);
    assert_eq!(turns(&made), [("exponential-smoothing", needed - 1), ("gru", 5)]);
}

#[test]
fn neighbours_and_the_choice_concern_no_series_that_is_there() {
    let mut before = partition();
    two_days(&mut before);
    let next = 2 * DAY_BINS as i64..2 * DAY_BINS as i64 + 20;
    let mut alone = under(&before, &partition_of(|c| c.neighbours = 0));
    let mut ordered = under(&before, &partition_of(|c| c.choice = Choice::Order));
    assert!(bins(&mut alone, next.clone()) == bins(&mut before, next.clone()));
    assert_eq!(turns(&bins(&mut ordered, next)), [("gru", 20)]);
}

#[test]
fn resources_that_stay_go_on_whichever_come_and_go() {
    let of = |names: &[&str]| partition_of(|c| c.resources = names.iter().map(|name| (*name).to_owned()).collect());
    let mut before = of(&[kpi::CPU_CORES_USED]);
    bins(&mut before, 0..100);
    let mut both = under(&before, &partition());
    let (wanted, got) = (bins(&mut before, 100..130), bins(&mut both, 100..130));
    for (wanted, got) in wanted.iter().zip(&got) {
        let names: Vec<&str> = got.resources.iter().map(|r| r.resource.as_str()).collect();
        assert_eq!(names, [kpi::CPU_CORES_USED, kpi::MEMORY_BYTES]);
        assert_eq!(got.resources[0], wanted.resources[0]);
    }
    let mut memory = under(&both, &of(&[kpi::MEMORY_BYTES]));
    let (wanted, got) = (bins(&mut both, 130..140), bins(&mut memory, 130..140));
    assert!(wanted.iter().zip(&got).all(|(wanted, got)| got.resources == wanted.resources[1..]));
    assert_eq!((wanted.len(), got.len()), (10, 10));
}

#[test]
fn horizons_that_stay_are_judged_by_all_that_was_seen() {
    let of = |horizons_s: [u32; 3]| {
        partition_of(|c| {
            c.models = vec!["exponential-smoothing".to_owned(), "last-value".to_owned()];
            c.horizons_s = horizons_s.to_vec();
        })
    };
    let mut before = of([300, 900, 3600]);
    let last = bins(&mut before, 0..100).pop().unwrap();
    let mut other = under(&before, &of([900, 1800, 3600]));
    let first = bins(&mut other, 100..101).remove(0);
    let scored = |made: &Prediction| -> Vec<(u32, u32)> {
        made.resources[0].horizons.iter().map(|h| (h.horizon_s, h.value_interval.scored)).collect()
    };
    let [_, (900, quarter), (3600, hour)] = scored(&last)[..] else { panic!("{last:?}") };
    assert!(quarter > 80 && hour > 80);
    assert_eq!(scored(&first), [(900, quarter), (1800, 0), (3600, hour)]);
    let later = bins(&mut again(&other), 101..110).pop().unwrap();
    assert!(scored(&later)[0].1 > quarter && scored(&later)[1].1 > 0, "they go on");
}
