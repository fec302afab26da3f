//! Parts in, predictions of the group out.

use super::*;
use crate::forecast::GRID_STEP_S;
use crate::group::sum::{QuantileSum, Rise};
use crate::group::{GroupName, HorizonSum};
use crate::quantiles::{QUANTILE_LEVELS, Quantiles};
use proptest::prelude::*;

/// Half an hour.
const PATIENCE_BINS: i64 = 6;

fn part(partition: u32, bin: i64, members: u32) -> GroupPart {
    let demand = f64::from(members) * (5.0 + (bin % 7) as f64);
    let around = |median: f64| Quantiles::rearranged(QUANTILE_LEVELS.map(|level| median + level - 0.5)).unwrap();
    let (value, maximum) = (QuantileSum::of(&around(demand)), QuantileSum::of(&around(demand + 1.0)));
    let horizon = HorizonSum { forecasts: members, value, maximum, rise: Rise::of(1.0) };
    let sum = ResourceSum {
        unit: "cores".into(),
        last: demand,
        closed: Some(demand + 0.25 * f64::from(partition)),
        horizons: [(300, horizon), (900, horizon)].into(),
    };
    let resources = if members > 0 { [(KpiName::new("cpu_cores_used"), sum)].into() } else { BTreeMap::new() };
    GroupPart {
        group: GroupName::new("web").unwrap(),
        partition,
        made_at: EventTime::of_bin(bin, GRID_STEP_S).plus_s(i64::from(partition)),
        members: MemberCount { reported: members, carried: 0 },
        resources,
    }
}

fn made(joined: Joined) -> Vec<GroupPrediction> {
    match joined {
        Joined::Made(made) => made,
        Joined::Late => panic!("it was late"),
    }
}

/// Bin, members reported, members carried, and demand of each prediction.
fn said(made: &[GroupPrediction]) -> Vec<(i64, u32, u32, f64)> {
    let of =
        |p: &GroupPrediction| (bin_of(p.made_at), p.members.reported, p.members.carried, p.resources[0].last.unwrap());
    made.iter().map(of).collect()
}

/// Two and three members in two partitions, from the beginning until before `bin`.
fn until(bin: i64) -> Join {
    let mut join = Join::default();
    for bin in 0..bin {
        join.take(part(0, bin, 2), PATIENCE_BINS);
        join.take(part(1, bin, 3), PATIENCE_BINS);
    }
    join
}

#[test]
fn a_bin_waits_for_all_partitions_that_are_known() {
    let mut join = until(PATIENCE_BINS);
    assert_eq!(join.take(part(0, 6, 2), PATIENCE_BINS), Joined::Made(vec![]));
    let first = made(join.take(part(1, 6, 3), PATIENCE_BINS));
    assert_eq!(said(&first), [(6, 5, 0, 55.0)]);
    assert_eq!(first[0].made_at, EventTime::of_bin(6, GRID_STEP_S).plus_s(1));
    assert_eq!(first[0].resources[0].horizons.len(), 2);
    assert_eq!(first[0].resources[0].horizons[0].value.median(), 55.0);
    // Partition 1 skips a bin, and so nobody waits any more; its members count as before.
    assert_eq!(join.take(part(0, 7, 2), PATIENCE_BINS), Joined::Made(vec![]));
    assert_eq!(said(&made(join.take(part(1, 8, 3), PATIENCE_BINS))), [(7, 2, 3, 10.0 + 33.0)]);
    assert_eq!(join.take(part(1, 7, 3), PATIENCE_BINS), Joined::Late);
    assert_eq!(said(&made(join.take(part(0, 8, 2), PATIENCE_BINS))), [(8, 5, 0, 30.0)]);
}

#[test]
fn nothing_is_said_before_it_is_clear_who_has_members() {
    let mut join = Join::default();
    for bin in 0..PATIENCE_BINS {
        assert_eq!(join.take(part(0, bin, 2), PATIENCE_BINS), Joined::Made(vec![]));
        assert_eq!(join.take(part(1, bin, 2), PATIENCE_BINS), Joined::Late);
    }
    // A partition that comes later counts half an hour later.
    for bin in 6..20 {
        assert_eq!(join.take(part(0, bin, 2), PATIENCE_BINS), Joined::Made(vec![]));
        let made = if bin < 16 {
            made(join.take(part(1, bin, 3), PATIENCE_BINS))
        } else {
            assert_eq!(join.take(part(1, bin, 3), PATIENCE_BINS), Joined::Made(vec![]));
            made(join.take(part(2, bin, 10), PATIENCE_BINS))
        };
        if (10..16).contains(&bin) {
            assert_eq!(join.take(part(2, bin, 10), PATIENCE_BINS), Joined::Late);
        }
        assert_eq!((made.len(), made[0].members.reported), (1, if bin < 16 { 5 } else { 15 }), "{bin}");
    }
}

#[test]
fn it_waits_for_half_an_hour_and_then_goes_on_without() {
    let mut join = until(10);
    let took: Vec<_> = (10..20).map(|bin| (bin, said(&made(join.take(part(0, bin, 2), PATIENCE_BINS))))).collect();
    let heard: Vec<_> = took.iter().flat_map(|(at, made)| made.iter().map(move |m| (*at, m.0, m.1, m.2))).collect();
    // At 17 bin 10 has waited for long enough; then those before bin 16, and with that nobody waits for the other
    // partition any more, last heard of in bin 9.
    assert_eq!(heard[..3], [(17, 10, 2, 3), (18, 11, 2, 3), (19, 12, 2, 3)]);
    let rest = said(&made(join.take(part(0, 20, 2), PATIENCE_BINS)));
    assert_eq!(rest.iter().map(|(bin, _, carried, _)| (*bin, *carried)).collect::<Vec<_>>(), [(13, 0)]);
    assert_eq!(said(&made(join.take(part(0, 21, 2), PATIENCE_BINS))).len(), 1);
    assert_eq!(said(&made(join.take(part(0, 22, 2), PATIENCE_BINS))).len(), 8, "bins 15 to 22");
    assert_eq!(said(&made(join.take(part(0, 23, 2), PATIENCE_BINS))).len(), 1);
    // A group that was silent for longer begins anew.
    assert_eq!(join.take(part(0, 40, 2), PATIENCE_BINS), Joined::Made(vec![]));
}

#[test]
fn a_partition_whose_members_are_gone_is_not_waited_for() {
    let mut join = until(10);
    join.take(part(1, 10, 0), PATIENCE_BINS);
    assert_eq!(said(&made(join.take(part(0, 10, 2), PATIENCE_BINS))), [(10, 2, 0, 16.0)]);
    assert_eq!(said(&made(join.take(part(0, 11, 2), PATIENCE_BINS))), [(11, 2, 0, 18.0)]);
    assert_eq!(join.newest_at(), Some(EventTime::of_bin(11, GRID_STEP_S)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Three partitions, each a few bins ahead of or behind the others, with a restart in between.
    #[test]
    fn the_parts_interleave_as_they_like(picks in proptest::collection::vec(0usize..3, 240), cut in 0usize..180) {
        let orderly: Vec<GroupPart> = (0..60).flat_map(|bin| (0..3).map(move |p| part(p, bin, p + 1))).collect();
        let mut join = Join::default();
        let all = |join: &mut Join, part| if let Joined::Made(made) = join.take(part, PATIENCE_BINS) { made } else { Vec::new() };
        let wanted: Vec<_> = orderly.iter().cloned().flat_map(|part| all(&mut join, part)).collect();
        prop_assert_eq!(wanted.len(), 54);
        let (mut next, mut mixed) = ([0i64; 3], Vec::new());
        for pick in picks.into_iter().chain((0..180).map(|i| i % 3)) {
            let slowest = *next.iter().min().unwrap();
            if next[pick] < 60 && next[pick] < slowest + PATIENCE_BINS {
                mixed.push(part(pick as u32, next[pick], pick as u32 + 1));
                next[pick] += 1;
            }
        }
        let (mut join, mut got) = (Join::default(), Vec::new());
        for (i, part) in mixed.into_iter().enumerate() {
            if i == cut {
                join = bitcode::decode(&bitcode::encode(&join)).unwrap();
            }
            got.extend(all(&mut join, part));
        }
        prop_assert!(got == wanted, "{} and {}", got.len(), wanted.len());
    }
}
