//! Tests of [`super`]: fingerprints are a function of the samples, however they come.

use super::*;
use crate::config::Config;
use prescale_domain::kpi::{Kpi, KpiKind};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use proptest::prelude::*;

pub(crate) fn enveloped(workload: &str, at_s: i64, step_s: u32, kpis: Vec<Kpi>) -> Enveloped {
    let workload = WorkloadId::new(workload).unwrap();
    let at = EventTime::from_s(at_s);
    let sample = Sample {
        workload: workload.clone(),
        source: SourceName::new("fleet:test").unwrap(),
        at,
        step_s,
        kpis,
        capacity: Some(Capacity {
            replicas: 2,
            cpu_cores_per_replica: 1.0,
            memory_bytes_per_replica: 1e9,
            instance_type: None,
        }),
        platform: Platform::SIMULATED,
    };
    let envelope = Envelope::root("test", "io.prescale.v1.Sample", &workload, at, &at_s.to_string());
    Enveloped { envelope, sample }
}

pub(crate) fn fingerprints(fates: Vec<Fate>) -> Vec<(Envelope, Fingerprint)> {
    fates.into_iter().flat_map(|fate| if let Fate::Used(follow) = fate { follow } else { Vec::new() }).collect()
}

fn partition() -> Partition {
    let features = [("spread".to_owned(), "max(max) - min(min)".to_owned())].into();
    let config = Config { short_window_s: 600, long_window_s: 7056, features, ..Config::default() };
    Partition::new(Arc::new(config.settings().unwrap())).unwrap()
}

fn kpi(name: &str, kind: KpiKind, value: Option<f64>) -> Kpi {
    Kpi { name: KpiName::new(name), kind, unit: "1".into(), value }
}

fn sample(vm: usize, minute: i64) -> Enveloped {
    let mixed = (minute * 7919 + vm as i64 * 104_729) % 1013;
    let kpis = vec![
        kpi("used", KpiKind::Gauge, (mixed % 11 != 0).then_some(mixed as f64 / 10.0 - 20.0)),
        kpi("sent", KpiKind::Rate, Some(mixed as f64)),
        kpi("total", KpiKind::Counter, Some((minute % 50) as f64 * 600.0)),
    ];
    enveloped(&format!("vm-{vm}"), 1_700_000_040 + 60 * minute, 60, kpis)
}

type ByWorkload = BTreeMap<WorkloadId, Vec<(Envelope, Fingerprint)>>;

fn run(partition: &mut Partition, samples: Vec<Enveloped>, cut: usize) -> (Vec<Fate>, ByWorkload) {
    let mut fates = Vec::new();
    for batch in samples.chunks(cut.max(1)) {
        fates.extend(partition.apply(batch.to_vec()).unwrap());
    }
    let mut of: ByWorkload = BTreeMap::new();
    for (envelope, fingerprint) in fingerprints(fates.clone()) {
        of.entry(fingerprint.workload.clone()).or_default().push((envelope, fingerprint));
    }
    (fates, of)
}

/// Each KPI of a sample in a record of its own; one of them has the capacity.
fn parts_of(whole: &Enveloped) -> Vec<Enveloped> {
    let part = |(i, kpi): (usize, &Kpi)| {
        let capacity = whole.sample.capacity.clone().filter(|_| i == 1);
        let sample = Sample { kpis: vec![kpi.clone()], capacity, ..whole.sample.clone() };
        let (kind, at) = ("io.prescale.v1.Sample", sample.at);
        let envelope = Envelope::root("test", kind, &sample.workload, at, &format!("{} {at}", kpi.name));
        Enveloped { envelope, sample }
    };
    whole.sample.kpis.iter().enumerate().map(part).collect()
}

/// What does not tell which record was followed.
fn nameless(made: &ByWorkload) -> BTreeMap<&WorkloadId, Vec<(EventTime, &Fingerprint)>> {
    made.iter().map(|(workload, made)| (workload, made.iter().map(|(e, f)| (e.as_of, f)).collect())).collect()
}

fn in_order() -> impl Strategy<Value = Vec<(usize, i64)>> {
    proptest::collection::vec(proptest::bool::weighted(0.9), 400).prop_map(|present| {
        present.iter().enumerate().filter(|(_, p)| **p).map(|(i, _)| (i % 2, i as i64 / 2)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn shuffled_repeated_and_cut_gives_the_same(
        order in in_order(),
        delays in proptest::collection::vec(0i64..=2, 97),
        repeats in proptest::collection::vec(proptest::bool::weighted(0.2), 89),
        cut in 1usize..50,
    ) {
        let samples = |order: &[(usize, i64)]| order.iter().map(|(vm, minute)| sample(*vm, *minute)).collect::<Vec<_>>();
        let (mut whole, mut shuffled) = (partition(), partition());
        let (_, wanted) = run(&mut whole, samples(&order), 1000);
        let mut delayed: Vec<(i64, usize, i64)> =
            order.iter().zip(delays.iter().cycle()).map(|((vm, minute), delay)| (minute + delay, *vm, *minute)).collect();
        delayed.sort_by_key(|(arrives, vm, minute)| (*arrives, (vm * 7 + *minute as usize * 13) % 11));
        let mixed: Vec<(usize, i64)> = delayed
            .iter()
            .zip(repeats.iter().cycle())
            .flat_map(|((_, vm, minute), repeat)| std::iter::repeat_n((*vm, *minute), 1 + usize::from(*repeat)))
            .collect();
        let (fates, got) = run(&mut shuffled, samples(&mixed), cut);
        let dropped = fates.iter().filter(|f| **f == Fate::Dropped("duplicate")).count();
        prop_assert_eq!(dropped, mixed.len() - order.len());
        prop_assert_eq!(shuffled.held(), whole.held());
        prop_assert_eq!(got, wanted);
    }

    #[test]
    fn any_cut_into_parts_gives_the_same(
        order in in_order(),
        places in proptest::collection::vec((0i64..=2, any::<u32>(), proptest::bool::weighted(0.1)), 211),
        cut in 1usize..50,
    ) {
        let samples: Vec<Enveloped> = order.iter().map(|(vm, minute)| sample(*vm, *minute)).collect();
        let (mut whole, mut cut_up) = (partition(), partition());
        let (_, wanted) = run(&mut whole, samples.clone(), 1000);
        let mut placed: Vec<((i64, u32), bool, Enveloped)> = samples
            .iter()
            .flat_map(parts_of)
            .zip(places.iter().cycle())
            .map(|(part, (delay, chance, repeats))| ((part.sample.at.bin(60) + delay, *chance), *repeats, part))
            .collect();
        placed.sort_by_key(|(arrives, ..)| *arrives);
        let repeated = placed.iter().filter(|(_, repeats, _)| *repeats).count();
        let arrivals = placed
            .into_iter()
            .flat_map(|(_, repeats, part)| std::iter::repeat_n(part, 1 + usize::from(repeats)))
            .collect();
        let (fates, got) = run(&mut cut_up, arrivals, cut);
        let aside: Vec<&Fate> = fates.iter().filter(|fate| !matches!(fate, Fate::Used(_))).collect();
        prop_assert!(aside.iter().all(|fate| **fate == Fate::Dropped("duplicate")), "{:?}", aside);
        prop_assert_eq!(aside.len(), repeated);
        prop_assert_eq!(cut_up.held(), whole.held());
        prop_assert_eq!(nameless(&got), nameless(&wanted));
    }

    #[test]
    fn a_restart_mid_way_changes_nothing(order in in_order(), restart in 0usize..300) {
        let samples: Vec<Enveloped> = order.iter().map(|(vm, minute)| sample(*vm, *minute)).collect();
        let restart = restart.min(samples.len());
        let mut whole = partition();
        let (wanted, _) = run(&mut whole, samples.clone(), 64);
        let mut first = partition();
        let (mut got, _) = run(&mut first, samples[..restart].to_vec(), 64);
        let mut second = Partition::restored(Arc::clone(&first.settings), &first.snapshot()).unwrap();
        prop_assert_eq!(&second.state, &first.state);
        got.extend(run(&mut second, samples[restart..].to_vec(), 64).0);
        prop_assert_eq!(got, wanted);
        prop_assert_eq!(second.snapshot(), whole.snapshot());
    }

    #[test]
    fn all_that_came_in_is_accounted_for_and_no_rate_is_negative(
        offers in proptest::collection::vec((0usize..3, -6i64..200, 0u8..20), 1..200),
    ) {
        let mut partition = partition();
        let samples: Vec<Enveloped> = offers
            .iter()
            .enumerate()
            .map(|(i, (vm, jump, kind))| {
                let mut arrived = sample(*vm, 10 + i as i64 / 3 + if *kind < 4 { *jump } else { 0 });
                if *kind == 19 {
                    arrived.sample.kpis[0].value = Some(f64::NAN);
                }
                arrived
            })
            .collect();
        let count = samples.len();
        let (fates, of) = run(&mut partition, samples, 7);
        let released: usize = of.values().map(Vec::len).sum();
        let aside = fates.iter().filter(|fate| !matches!(fate, Fate::Used(_))).count();
        prop_assert_eq!(count, released + aside + partition.held());
        let kpis = of.values().flatten().flat_map(|(_, f)| &f.kpis).filter(|k| k.name.as_str() != "used");
        for kpi in kpis {
            let long_min = kpi.windows.as_ref().and_then(|windows| windows.long.min);
            prop_assert!(kpi.last.is_none_or(|v| v >= 0.0) && long_min.is_none_or(|v| v >= 0.0));
        }
    }
}

#[test]
fn a_sample_in_order_goes_out_with_its_own_record() {
    let mut partition = partition();
    let mut follow = |minute: i64| match partition.apply(vec![sample(0, minute)]).unwrap().remove(0) {
        Fate::Used(follow) => follow.into_iter().map(|(_, f)| f.at.as_ms() / 60_000 - 28_333_334).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!([follow(0), follow(1), follow(2), follow(3)], [vec![], vec![], vec![], vec![0, 1, 2, 3]]);
    assert_eq!([follow(5), follow(6), follow(7)], [vec![], vec![], vec![5, 6, 7]]);
}

/// Minute 0 is the last of its bin of five.
#[test]
fn features_come_with_the_last_sample_of_a_bin_or_the_first_behind_it() {
    let full_of = |minutes: &[i64]| -> Vec<i64> {
        let mut samples: Vec<Enveloped> = minutes.iter().map(|minute| sample(0, *minute)).collect();
        // Moves the clock past the gaps.
        samples.extend((100..103).map(|minute| sample(1, minute)));
        let made = fingerprints(partition().apply(samples).unwrap());
        let of = |f: &Fingerprint| f.workload.as_str() == "vm-0" && f.has_features();
        made.iter().filter(|(_, f)| of(f)).map(|(_, f)| f.at.as_ms() / 60_000 - 28_333_334).collect()
    };
    assert_eq!(full_of(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]), [0, 5, 10]);
    assert_eq!(full_of(&[2, 3, 4, 5, 6]), [2, 5], "the first sample is told at once");
    assert_eq!(full_of(&[0, 1, 2, 3, 4, 6, 7, 10, 11]), [0, 6, 10], "5 is missing");
    assert_eq!(full_of(&[0, 1, 23, 24, 25, 26]), [0, 23, 25], "so are some bins");
}

#[test]
fn numbers_of_features_are_those_of_32_bits() {
    let samples: Vec<Enveloped> = (0..31).map(|minute| sample(0, minute)).collect();
    let (_, last) = fingerprints(partition().apply(samples).unwrap()).pop().unwrap();
    let mean = last.kpis[2].windows.as_ref().unwrap().short.mean.unwrap();
    assert_eq!(f64::from(mean as f32), mean);
}

#[test]
fn parts_are_one_sample_whichever_came_first() {
    let whole = sample(0, 0);
    let mut parts = parts_of(&whole);
    parts[2].sample.source = SourceName::new("agent").unwrap();
    parts[0].envelope.as_of = whole.sample.at.plus_s(90);
    parts[1].sample.platform = Platform::OPENSTACK;
    let least = parts.iter().min_by(|a, b| a.envelope.id.cmp(&b.envelope.id)).unwrap().clone();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut merged = parts[order[0]].clone();
        assert!(merged.merge(parts[order[1]].clone()));
        assert!(!merged.merge(parts[order[1]].clone()), "it is there already");
        assert!(merged.merge(parts[order[2]].clone()));
        let Enveloped { envelope, sample } = merged;
        assert_eq!(envelope, Envelope { as_of: whole.sample.at.plus_s(90), ..least.envelope.clone() });
        assert_eq!(sample.source, least.sample.source);
        assert_eq!((sample.capacity.as_ref(), sample.platform), (whole.sample.capacity.as_ref(), Platform::OPENSTACK));
        let named: Vec<(&str, Option<f64>)> = sample.kpis.iter().map(|kpi| (kpi.name.as_str(), kpi.value)).collect();
        let value = |i: usize| whole.sample.kpis[i].value;
        assert_eq!(named, [("sent", value(1)), ("total", value(2)), ("used", value(0))]);
    }
}

#[test]
fn of_a_value_that_is_there_twice_the_first_is_taken() {
    let [mut one, other] = [sample(0, 0), sample(0, 0)];
    one.sample.kpis.truncate(1);
    one.sample.kpis[0].value = Some(77.0);
    assert!(one.merge(other));
    assert_eq!(one.sample.kpis[2].value, Some(77.0));
    assert_eq!(one.sample.kpis.len(), 3);
}

#[test]
fn a_part_that_comes_behind_its_sample_is_rejected_and_waited_for_then() {
    let mut partition = partition();
    let extra = |minute: i64| {
        let mut part = sample(0, minute);
        part.sample.kpis = vec![kpi("queue", KpiKind::Gauge, Some(1.0))];
        part
    };
    partition.apply((0..4).map(|minute| sample(0, minute)).collect()).unwrap();
    let fates = partition.apply(vec![extra(3), sample(0, 4), extra(4)]).unwrap();
    let Fate::Rejected { code: "unexpected_part", message } = &fates[0] else { panic!("{:?}", fates[0]) };
    assert!(message.contains("vm-0"), "{message}");
    assert_eq!(fates[1], Fate::Used(Vec::new()));
    let made = fingerprints(fates);
    let named: Vec<&str> = made[0].1.kpis.iter().map(|kpi| kpi.name.as_str()).collect();
    assert_eq!((made.len(), named), (1, vec!["queue", "sent", "total", "used"]));
}

#[test]
fn what_cannot_be_used_says_why() {
    let mut partition = partition();
    let mut bad = sample(0, 0);
    bad.sample.kpis[1].value = Some(-1.0);
    let code = |fate: &Fate| match fate {
        Fate::Rejected { code, message } => Some((*code, message.clone())),
        _ => None,
    };
    let samples = vec![bad, sample(0, 0), sample(0, 5), sample(0, 9), sample(0, 1), sample(0, 500_000)];
    let fates = partition.apply(samples).unwrap();
    let codes: Vec<_> = fates.iter().filter_map(code).collect();
    assert_eq!(codes.iter().map(|(code, _)| *code).collect::<Vec<_>>(), ["negative_rate", "late", "from_the_future"]);
    assert!(codes[1].1.contains("lateness_steps"), "{}", codes[1].1);
}

#[test]
fn configured_features_and_capacity_are_in_the_fingerprint() {
    let mut partition = partition();
    let samples: Vec<Enveloped> = (0..31).map(|minute| sample(0, minute)).collect();
    let (_, last) = fingerprints(partition.apply(samples).unwrap()).pop().unwrap();
    assert_eq!(last.kpis.iter().map(|k| k.name.as_str()).collect::<Vec<_>>(), ["sent", "total", "used"]);
    assert_eq!(&*last.kpis[1].unit, "1/s");
    assert_eq!(last.kpis[1].last, Some(10.0));
    for kpi in &last.kpis {
        let Windows { short, long } = &**kpi.windows.as_ref().unwrap();
        for window in [short, long] {
            let spread = window.max.unwrap() - window.min.unwrap();
            assert!((window.extra["spread"].unwrap() - spread).abs() <= 1e-6 * spread.abs(), "{window:?}");
        }
    }
    assert_eq!(last.capacity.map(|c| c.replicas), Some(2));
    assert_eq!((last.short_window_s, last.long_window_s), (600, 7056));
}

#[test]
fn a_copied_workload_goes_on_as_the_other() {
    let mut partition = partition();
    let [from, to] = ["vm-0", "copy"].map(|name| WorkloadId::new(name).unwrap());
    partition.apply((0..100).map(|minute| sample(0, minute)).collect()).unwrap();
    partition.copy_workload(&from, &to);
    let both = |minute: i64| {
        let (of, mut copy) = (sample(0, minute), sample(0, minute));
        copy.sample.workload = to.clone();
        [of, copy]
    };
    let (_, made) = run(&mut partition, (100..110).flat_map(both).collect(), 1000);
    let nameless = |workload: &WorkloadId| -> Vec<Fingerprint> {
        made[workload].iter().map(|(_, f)| Fingerprint { workload: from.clone(), ..f.clone() }).collect()
    };
    assert_eq!(nameless(&to).len(), 10);
    assert_eq!(nameless(&to), nameless(&from));
}

/// What waits comes out once, and the windows go on as if it had always been so.
#[test]
fn another_lateness_and_other_features_lose_nothing() {
    let samples = |minutes: &mut dyn Iterator<Item = i64>| minutes.map(|minute| sample(0, minute)).collect::<Vec<_>>();
    for lateness_steps in [0, 1, 5] {
        let config = Config { short_window_s: 600, long_window_s: 7056, lateness_steps, ..Config::default() };
        let settings = Arc::new(config.settings().unwrap());
        let first = samples(&mut (0..100).chain([102, 103]));
        let later = samples(&mut (104..120));
        let mut before = partition();
        before.apply(first.clone()).unwrap();
        assert_eq!(before.held(), 2, "what is behind the gap");
        let mut restored = Partition::restored(Arc::clone(&settings), &before.snapshot()).unwrap();
        let got = fingerprints(restored.apply(later.clone()).unwrap());
        let mut whole = Partition::new(settings).unwrap();
        let mut wanted = fingerprints(whole.apply([first, later].concat()).unwrap());
        assert_eq!((got.len(), restored.held()), (18, 0));
        assert_eq!(got, wanted.split_off(100));
    }
}
