//! Tests of [`super`]: predictions are a function of the fingerprints, however they come, and are worth
//! something.

use super::*;
use crate::config::{Choice, Config};
use crate::job::as_kept;
use prescale_domain::fingerprint::{KpiFingerprint, WindowFeatures, Windows};
use prescale_domain::forecast::features::features;
use prescale_domain::forecast::{DAY_BINS, demand::DemandSeries};
use prescale_domain::kpi::{self, KpiName};
use prescale_domain::prediction::HorizonForecast;
use prescale_domain::quantiles::{QUANTILE_LEVELS, Quantiles};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_inference::testing::Formula;
use prescale_inference::{Kind, StepOutput};
use proptest::prelude::*;

/// Begins a bin, and a day.
pub(crate) const START_S: i64 = 1_699_920_000;

pub(crate) fn fingerprint(workload: &str, at_s: i64, demands: [Option<f64>; 2]) -> Fingerprint {
    let kpi = |(name, last): (&str, Option<f64>)| KpiFingerprint {
        name: KpiName::new(name),
        unit: if name == kpi::MEMORY_BYTES { "By" } else { "cores" }.into(),
        last,
        windows: Windows::boxed(WindowFeatures::default(), WindowFeatures::default()),
    };
    Fingerprint {
        workload: WorkloadId::new(workload).unwrap(),
        source: SourceName::new("fleet:test").unwrap(),
        at: EventTime::from_s(at_s),
        step_s: 60,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "0123456789abcdef".into(),
        kpis: [kpi::CPU_CORES_USED, kpi::MEMORY_BYTES].into_iter().zip(demands).map(kpi).collect(),
        capacity: Some(Capacity {
            replicas: 2,
            cpu_cores_per_replica: 4.0,
            memory_bytes_per_replica: 8e9,
            instance_type: None,
        }),
        anomaly: None,
        platform: Platform::SIMULATED,
    }
}

pub(crate) fn enveloped(fingerprint: Fingerprint) -> Enveloped {
    let Fingerprint { workload, at, .. } = &fingerprint;
    let envelope = Envelope::root("test", "io.prescale.v1.Fingerprint", workload, *at, &at.as_ms().to_string());
    Enveloped { envelope, fingerprint }
}

/// A number within 0 to 1 that follows from both.
pub(crate) fn noise(workload: i64, t: i64) -> f64 {
    let mut mixed = (workload as u64) << 40 ^ t as u64;
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

/// Demand of a workload with a daily wave, `at_s` seconds after the start.
pub(crate) fn demand(workload: i64, at_s: i64) -> f64 {
    let day = (at_s + 7919 * workload) as f64 / 86_400.0;
    2.0 + workload as f64 + (std::f64::consts::TAU * day).sin() + 0.3 * noise(workload, at_s)
}

pub(super) fn record(workload: i64, at_s: i64) -> Enveloped {
    let cpu = demand(workload, at_s);
    let demands = [Some(cpu), Some(1e9 * (1.0 + 0.2 * cpu))];
    enveloped(fingerprint(&format!("vm-{workload}"), START_S + at_s, demands))
}

/// The newest values alone.
pub(super) fn without_features(mut record: Enveloped) -> Enveloped {
    record.fingerprint.kpis.iter_mut().for_each(|kpi| kpi.windows = None);
    record
}

pub(super) fn partition_of(change: impl FnOnce(&mut Config)) -> Partition {
    let mut config = Config::default();
    change(&mut config);
    let registry = Registry::open(Arc::new(config.settings().unwrap())).unwrap();
    Partition::new(Arc::new(registry))
}

pub(super) fn partition() -> Partition {
    partition_of(|_| ())
}

pub(super) fn again(partition: &Partition) -> Partition {
    Partition::restored(Arc::clone(&partition.registry), &partition.snapshot()).unwrap()
}

pub(super) fn apply(partition: &mut Partition, records: Vec<Enveloped>) -> Vec<Prediction> {
    let fates = partition.apply(records).unwrap();
    fates.into_iter().filter_map(|fate| if let Fate::Predicted(_, made) = fate { Some(*made) } else { None }).collect()
}

fn each(horizons: &[HorizonForecast]) -> impl Iterator<Item = &Quantiles> {
    horizons.iter().flat_map(|h| [&h.value, &h.maximum])
}

/// Records of a few workloads, some missing, repeated, late, or without a value.
fn records() -> impl Strategy<Value = Vec<Enveloped>> {
    let kinds = proptest::collection::vec(0u8..40, 520);
    let jumps = proptest::collection::vec((0usize..520, 600i64..40_000), 0..4);
    (kinds, jumps).prop_map(|(kinds, jumps)| {
        let mut ahead_s = 0;
        let mut records = Vec::new();
        for (i, kind) in kinds.into_iter().enumerate() {
            ahead_s += jumps.iter().filter(|(at, _)| *at == i).map(|(_, jump)| jump).sum::<i64>();
            let (workload, at_s) = (i as i64 % 5, ahead_s + i as i64 / 5 * 150);
            let mut made = record(workload, at_s);
            match kind {
                0 => continue,
                1 => made.fingerprint.kpis[0].last = None,
                2 => made.fingerprint.kpis.truncate(1),
                3 => records.push(made.clone()),
                4 => made.fingerprint.at = made.fingerprint.at.plus_s(-3000),
                5 => made.fingerprint.step_s = 600,
                6..20 => made = without_features(made),
                _ => {}
            }
            records.push(made);
        }
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_cut_with_any_restart_gives_the_same(
        records in records(),
        cuts in proptest::collection::vec((1usize..120, proptest::bool::weighted(0.3)), 1..20),
    ) {
        let mut whole = partition();
        let wanted = whole.apply(records.clone()).unwrap();
        let mut cut = partition();
        let (mut got, mut rest) = (Vec::new(), records);
        for (len, restarts) in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let after = rest.split_off(rest.len().min(*len));
            got.extend(cut.apply(rest).unwrap());
            rest = after;
            if *restarts {
                cut = again(&cut);
            }
        }
        prop_assert!(got == wanted, "the predictions differ");
        prop_assert!(cut.snapshot() == whole.snapshot(), "the states differ");
        for fate in &wanted {
            let Fate::Predicted(_, prediction) = fate else { continue };
            prop_assert!(!prediction.resources.is_empty());
            for quantiles in prediction.resources.iter().flat_map(|r| each(&r.horizons)) {
                prop_assert!(quantiles.values().is_sorted());
                prop_assert!(quantiles.values().iter().all(|v| v.is_finite() && *v >= 0.0));
            }
        }
    }
}

#[test]
fn a_snapshot_holds_the_state_as_it_was_encoded_and_refuses_to_be_cut_short() {
    let mut partition = partition();
    apply(&mut partition, (0..20).flat_map(|i| [record(0, 150 * i), record(1, 150 * i)]).collect());
    let snapshot = partition.snapshot();
    assert!(snapshot.starts_with(&bitcode::encode(&partition.state)));
    for length in [0, 7, 8, 20, snapshot.len() - 1] {
        let cut = Partition::restored(Arc::clone(&partition.registry), &snapshot[..length]);
        assert!(cut.is_err(), "cut to {length} of {} bytes", snapshot.len());
    }
}

/// Two days of two workloads, a sample in five minutes.
pub(super) fn two_days(partition: &mut Partition) -> Vec<Prediction> {
    let records = (0..2 * DAY_BINS as i64).flat_map(|bin| [record(0, 300 * bin), record(1, 300 * bin)]).collect();
    apply(partition, records)
}

#[test]
fn the_first_family_with_enough_history_makes_the_forecast() {
    let mut partition = partition();
    let models: Vec<String> = (0..40)
        .flat_map(|minute| apply(&mut partition, vec![record(0, 120 * minute)]))
        .map(|made| made.resources[0].model.to_string())
        .collect();
    let gru_from = models.iter().position(|model| model == "gru").unwrap();
    // Bins 0 and 1 hold five samples together: bin 1 begins with the fourth.
    assert!(models[..3].iter().all(|model| model == "last-value"), "{models:?}");
    assert!(models[3..gru_from].iter().all(|model| model == "exponential-smoothing"), "{models:?}");
    let bins_needed = partition.registry.bases()[&Family::Gru].bins_needed() as i64;
    assert_eq!(gru_from as i64, (bins_needed - 1) * 300 / 120 + 1);
    assert!(models[gru_from..].iter().all(|model| model == "gru"), "{models:?}");
}

#[test]
fn models_of_both_kinds_forecast_side_by_side_and_any_cut_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let kinds = [
        ("svr", Kind::Windowed { bins: 40 }),
        ("random-forest", Kind::Windowed { bins: 12 }),
        ("lstm", Kind::Stateful { state_size: 6 }),
    ];
    for (family, kind) in kinds {
        Formula::new(family, "7", kind).contents().write(&folder.path().join(family)).unwrap();
    }
    let of = |models: &[&str]| {
        partition_of(|c| {
            c.models = models.iter().map(|m| (*m).to_owned()).collect();
            c.model_folders = kinds.map(|(family, _)| (family.to_owned(), folder.path().join(family))).into();
        })
    };
    for models in
        [["svr", "gru", "lstm", "random-forest", "last-value"], ["lstm", "random-forest", "svr", "gru", "last-value"]]
    {
        let records: Vec<Enveloped> = (0..600).map(|nth| record(nth % 2, 200 * (nth / 2))).collect();
        let mut whole = of(&models);
        let wanted = apply(&mut whole, records.clone());
        let last = &wanted.last().unwrap().resources[0];
        assert_eq!((&*last.model, &*last.model_version), (models[0], "7"));
        let mut cut = of(&models);
        let mut got = Vec::new();
        for part in records.chunks(37) {
            got.extend(apply(&mut cut, part.to_vec()));
            cut = again(&cut);
        }
        assert!(got == wanted && cut.snapshot() == whole.snapshot(), "{models:?}");
    }
}

#[test]
fn predictions_say_what_they_are_of() {
    let mut partition = partition();
    let predictions = two_days(&mut partition);
    assert_eq!(predictions.len(), 4 * DAY_BINS);
    let last = predictions.last().unwrap();
    assert_eq!((last.workload.as_str(), &*last.source, last.step_s), ("vm-1", "fleet:test", 60));
    assert_eq!(last.made_at, EventTime::from_s(START_S + 300 * (2 * DAY_BINS as i64 - 1)));
    let names: Vec<(&str, &str)> = last.resources.iter().map(|r| (r.resource.as_str(), &*r.unit)).collect();
    assert_eq!(names, [(kpi::CPU_CORES_USED, "cores"), (kpi::MEMORY_BYTES, "By")]);
    for resource in &last.resources {
        assert_eq!((&*resource.model, &*resource.model_version), ("gru", "0.1.0"));
        assert!(resource.last.is_some());
        assert_eq!(resource.horizons.iter().map(|h| h.horizon_s).collect::<Vec<_>>(), [300, 900, 3600]);
        for horizon in &resource.horizons {
            for (interval, quantiles) in
                [(horizon.value_interval, horizon.value), (horizon.maximum_interval, horizon.maximum)]
            {
                assert_eq!((interval.lower, interval.upper), (quantiles.values()[0], quantiles.values()[6]));
                assert_eq!((interval.nominal_coverage, interval.scored), (0.9, 128));
                assert!((interval.trailing_coverage.unwrap() - 0.9).abs() < 0.1, "{interval:?}");
            }
        }
    }
}

#[test]
fn a_season_is_forecast_better_than_by_the_last_value() {
    let run = |models: &[&str]| {
        let mut partition = partition_of(|c| c.models = models.iter().map(|m| (*m).to_owned()).collect());
        two_days(&mut partition)
    };
    let pinball = |predictions: &[Prediction]| {
        let mut sum = 0.0;
        for made in predictions.iter().filter(|made| made.made_at >= EventTime::from_s(START_S + 86_400)) {
            let workload = if made.workload.as_str() == "vm-0" { 0 } else { 1 };
            for horizon in &made.resources[0].horizons {
                let at_s = made.made_at.as_ms() / 1000 - START_S + i64::from(horizon.horizon_s);
                let truth = demand(workload, at_s);
                for (level, quantile) in QUANTILE_LEVELS.iter().zip(horizon.value.values()) {
                    let over = truth - quantile;
                    sum += (level * over).max((level - 1.0) * over);
                }
            }
        }
        sum
    };
    let (gru, last_value) = (pinball(&run(&["gru", "last-value"])), pinball(&run(&["last-value"])));
    println!("pinball loss of the GRU relative to last value: {:.3}", gru / last_value);
    assert!(gru < 0.8 * last_value, "{gru} {last_value}");
}

#[test]
fn the_networks_state_is_that_of_a_plain_run_bin_by_bin() {
    let mut partition = partition();
    let bins = 400i64;
    // Three samples a bin, a gap of 3 bins in each 50.
    let is_there = |bin: i64| bin % 50 < 47;
    let at: Vec<i64> =
        (0..bins).filter(|bin| is_there(*bin)).flat_map(|bin| [0, 70, 200].map(|s| 300 * bin + s)).collect();
    // Features come with the last sample of most bins, or with some other one.
    let of = |(i, at_s): (usize, &i64)| {
        let record = record(3, *at_s);
        let has_features = i + 1 == at.len() || at_s / 300 % 7 != 0 && i % 3 == 2 || i % 41 == 0;
        if has_features { record } else { without_features(record) }
    };
    apply(&mut partition, at.iter().enumerate().map(of).collect());
    let workload = WorkloadId::new("vm-3").unwrap();
    let got = partition.state.workloads.get(&workload).unwrap().series[0].carried(Family::Gru).unwrap();

    let network = &partition.registry.bases()[&Family::Gru];
    let (mut series, mut state) = (DemandSeries::default(), vec![0.0; network.kind().past_size()]);
    let mut out = StepOutput::default();
    let last_bin = at[at.len() - 1] / 300;
    let mut before = Vec::new();
    for bin in 0..=last_bin {
        let samples: Vec<f64> = at.iter().filter(|s| **s / 300 == bin).map(|s| demand(3, *s)).collect();
        match samples.split_first() {
            Some((first, rest)) if bin == 0 => {
                series.start(EventTime::from_s(START_S), *first);
                rest.iter().for_each(|v| series.add(*v));
            }
            _ => {
                series.close();
                samples.iter().for_each(|v| series.add(*v));
            }
        }
        let row = features(&series, Some(8.0)).unwrap().values;
        before = std::mem::take(&mut state);
        network.step(&row, &before, &mut out).unwrap();
        state = as_kept(&out.h_out);
    }
    assert!(got.closed == before && got.open == state);
    assert!(before.iter().zip(&state).any(|(before, after)| (before - after).abs() > 0.01), "they differ by a bin");
}

#[test]
fn what_is_put_aside_says_why() {
    let mut partition = partition();
    let mut coarse = record(0, 600);
    coarse.fingerprint.step_s = 600;
    let mut bare = record(0, 660);
    bare.fingerprint.kpis.clear();
    let fates =
        partition.apply(vec![record(0, 60), record(0, 60), record(0, 0), coarse, bare, record(0, 120)]).unwrap();
    let reasons: Vec<Option<&str>> =
        fates.iter().map(|fate| if let Fate::Dropped(reason) = fate { Some(*reason) } else { None }).collect();
    assert_eq!(reasons, [None, Some("stale"), Some("stale"), Some("step_above_grid"), Some("no_resource"), None]);
}

#[test]
fn a_series_begins_with_its_first_value_and_goes_on_without() {
    let mut partition = partition();
    let mut offer = |at_s: i64, demands| {
        let mut made = partition.apply(vec![enveloped(fingerprint("vm-9", START_S + at_s, demands))]).unwrap();
        made.pop().unwrap()
    };
    assert_eq!(offer(0, [None, None]), Fate::TakenIn);
    let Fate::Predicted(_, made) = offer(60, [None, Some(5e9)]) else { panic!("memory is known") };
    assert_eq!(made.resources.iter().map(|r| r.resource.as_str()).collect::<Vec<_>>(), [kpi::MEMORY_BYTES]);
    let Fate::Predicted(_, made) = offer(400, [Some(1.0), None]) else { panic!("both are known") };
    assert_eq!(made.resources.iter().map(|r| r.last).collect::<Vec<_>>(), [Some(1.0), None]);
    // A demand beyond all measure counts as missing.
    let Fate::Predicted(_, made) = offer(800, [Some(1e300), None]) else { panic!("both are known") };
    assert!(each(&made.resources[0].horizons).all(|q| q.values()[7] < 10.0));
}

#[test]
fn signals_travel_along_as_the_fingerprint_has_them() {
    let mut partition = partition_of(|c| c.resources = vec![kpi::CPU_CORES_USED.to_owned()]);
    let mut made = record(0, 60);
    let signal = |name: &str, last| KpiFingerprint {
        name: KpiName::new(name),
        unit: "1".into(),
        last,
        windows: Windows::boxed(
            WindowFeatures { mean: Some(2.0), ..WindowFeatures::default() },
            WindowFeatures { p95: Some(3.0), ..WindowFeatures::default() },
        ),
    };
    made.fingerprint.kpis.extend([signal("errors_per_s", None), signal("latency_ms", Some(90.0)), signal("x", None)]);
    made.fingerprint.kpis.sort_by(|a, b| a.name.cmp(&b.name));
    let predictions = apply(&mut partition, vec![made]);
    let signals: Vec<_> =
        predictions[0].signals.iter().map(|s| (s.name.as_str(), s.last, s.short_mean, s.long_p95)).collect();
    let wanted = [("errors_per_s", None, Some(2.0), Some(3.0)), ("latency_ms", Some(90.0), Some(2.0), Some(3.0))];
    assert_eq!(signals, wanted, "memory and x are no signals");
}

#[test]
fn a_workload_that_is_silent_for_eight_days_is_forgotten() {
    let mut partition = partition();
    apply(&mut partition, vec![record(0, 0), record(1, 60)]);
    let mut other = record(2, 40 * 86_400);
    other.fingerprint.source = SourceName::new("fleet:other").unwrap();
    apply(&mut partition, vec![other]);
    assert_eq!(partition.workloads(), 3);
    // The other source's clock does not count: 8 days are not over.
    apply(&mut partition, vec![record(1, 8 * 86_400)]);
    assert_eq!(partition.workloads(), 3);
    // Both records of the batch are predicted, though the first one's workload is forgotten with the second.
    let made = apply(&mut partition, vec![record(0, 8 * 86_400), record(1, 17 * 86_400)]);
    assert_eq!(made.iter().map(|m| m.workload.as_str()).collect::<Vec<_>>(), ["vm-0", "vm-1"]);
    assert_eq!(partition.workloads(), 2);
    assert!(partition.workload_bytes(&WorkloadId::new("vm-0").unwrap()).is_none());
}

#[test]
fn a_workload_takes_at_most_8_kib_and_12_with_challengers() {
    let all = ["gru", "exponential-smoothing", "seasonal-naive", "last-value"];
    for (choice, models, bytes_max) in [
        (Choice::Loss, &all[..], 12 * 1024),
        (Choice::Order, &all, 7 * 1024),
        (Choice::Order, &["exponential-smoothing"], 8 * 1024),
        (Choice::Order, &["seasonal-naive", "last-value"], 8 * 1024),
    ] {
        let mut partition = partition_of(|c| {
            c.models = models.iter().map(|m| (*m).to_owned()).collect();
            c.choice = choice;
        });
        two_days(&mut partition);
        two_days_on(&mut partition);
        let bytes = partition.workload_bytes(&WorkloadId::new("vm-0").unwrap()).unwrap();
        println!("{choice:?} {models:?}: {bytes} bytes a workload of two resources");
        assert!(bytes <= bytes_max, "{choice:?} {models:?}: {bytes}");
    }
}

fn two_days_on(partition: &mut Partition) {
    let bins = 2 * DAY_BINS as i64..3 * DAY_BINS as i64;
    apply(partition, bins.map(|bin| record(0, 300 * bin)).collect());
}

/// Busy and idle workloads for more than two days, and then a new busy one, which starts from five of its kind for
/// as long as it is young.
#[test]
fn a_young_workload_starts_from_the_nearest_fingerprints() {
    let record = |kind: &str, nth: i64, bin: i64| {
        let level = if kind == "busy" { 6.0 } else { 0.1 };
        let cpu = level * (1.0 + 0.2 * noise(nth, bin));
        let mut made = enveloped(fingerprint(&format!("{kind}-{nth}"), START_S + 300 * bin, [Some(cpu), None]));
        let short = &mut made.fingerprint.kpis[0].windows.as_mut().unwrap().short;
        (short.mean, short.std_dev) = (Some(level), Some(0.06 * level));
        (short.p95, short.max) = (Some(1.2 * level), Some(1.2 * level + 0.01 * nth as f64));
        made
    };
    let days = 2 * DAY_BINS as i64 + 2;
    let all = || ["busy", "idle"].into_iter().flat_map(|kind| (0..12).map(move |nth| (kind, nth)));
    let old = (0..days).flat_map(|bin| all().map(move |(kind, nth)| record(kind, nth, bin)));
    let mut whole = partition();
    apply(&mut whole, old.collect());
    let mut cut = again(&whole);
    let young: Vec<Enveloped> = (days..days + 300).map(|bin| record("busy", 99, bin)).collect();
    let made = apply(&mut whole, young.clone());
    let (first, rest) = young.split_at(11);
    let mut again_made = apply(&mut cut, first.to_vec());
    cut = again(&cut);
    again_made.extend(apply(&mut cut, rest.to_vec()));
    assert!(made == again_made && cut.snapshot() == whole.snapshot(), "a restart changes something");
    let started_from = |nth: usize| &made[nth].resources[0].started_from;
    assert_eq!((started_from(10).len(), started_from(299).len()), (0, 0));
    for nth in [11, 200] {
        let neighbours = started_from(nth);
        assert!(neighbours.len() == 5 && neighbours.iter().all(|w| w.as_str().starts_with("busy")), "{neighbours:?}");
    }
    // What it starts from is the mean of theirs, as it was when each came to its second day's end.
    let mut starting = partition();
    starting.state.exemplars = whole.state.exemplars.clone();
    apply(&mut starting, young[..12].to_vec());
    let corrections = |partition: &Partition, name: &str| {
        partition.state.workloads.get(&WorkloadId::new(name).unwrap()).unwrap().series[0].corrections()
    };
    let traits = Traits::of(&young[11].fingerprint.kpis[0].windows.as_ref().unwrap().short, Some(8.0));
    let (wanted, _) = whole.state.exemplars[0].start(&traits, 5).unwrap();
    assert_eq!(corrections(&starting, "busy-99"), wanted);
    let mut alone = partition();
    apply(&mut alone, young[..12].to_vec());
    assert_ne!(corrections(&alone, "busy-99"), wanted);
}

#[test]
fn a_copied_workload_is_forecast_as_the_other() {
    let mut whole = partition();
    apply(&mut whole, (0..300).map(|bin| record(0, 300 * bin)).collect());
    let mut copied = again(&whole);
    let [from, to] = ["vm-0", "copy"].map(|name| WorkloadId::new(name).unwrap());
    copied.copy_workload(&from, &to);
    let mut next = record(0, 300 * 300);
    let wanted = apply(&mut whole, vec![next.clone()]);
    next.fingerprint.workload = to;
    let got = apply(&mut copied, vec![next]);
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].resources, wanted[0].resources);
    assert_eq!(copied.workloads(), 2);
}

/// What a partition has come to, under the settings of another.
pub(super) fn under(partition: &Partition, other: &Partition) -> Partition {
    Partition::restored(Arc::clone(&other.registry), &partition.snapshot()).unwrap()
}

/// Bins of CPU that were scored, and of memory, where this was measured beside them all the time.
fn scored_beside(name: &str, last: f64, cores: f64) -> [u32; 2] {
    let mut partition = partition_of(|c| c.models = vec!["last-value".to_owned()]);
    let records = (0..60).map(|bin| {
        let cores = cores + 0.01 * (bin % 3) as f64;
        let mut made = fingerprint("vm-a", START_S + 300 * bin, [Some(cores), Some(1e9 + bin as f64)]);
        let usual = |mean, p95| WindowFeatures { mean: Some(mean), p95: Some(p95), ..WindowFeatures::default() };
        let windows = Windows::boxed(usual(10.0, 15.0), usual(10.0, 20.0));
        made.kpis.push(KpiFingerprint { name: KpiName::new(name), unit: "1".into(), last: Some(last), windows });
        made.kpis.sort_by(|a, b| a.name.cmp(&b.name));
        enveloped(made)
    });
    let made = apply(&mut partition, records.collect());
    let newest = &made.last().unwrap().resources;
    [&newest[0], &newest[1]].map(|resource| resource.horizons[0].value_interval.scored)
}

#[test]
fn what_tells_of_a_shortage_makes_cpu_a_lower_bound_and_nothing_else() {
    let all = scored_beside(kpi::CPU_THROTTLED_SHARE, 0.0, 6.4);
    assert!(all[0] > 40 && all[0] == all[1], "{all:?}");
    let hidden = [0, all[1]];
    assert_eq!(scored_beside(kpi::CPU_THROTTLED_SHARE, 0.3, 6.4), hidden, "at 80 % of 8 cores");
    for name in [kpi::LATENCY_MS, kpi::ERRORS_PER_S, kpi::RUN_QUEUE] {
        assert_eq!(scored_beside(name, 90.0, 7.4), hidden, "{name}");
        assert_eq!(scored_beside(name, 90.0, 6.4), all, "{name} has risen for another reason");
        assert_eq!(scored_beside(name, 14.0, 7.4), all, "{name} is usual");
    }
    assert_eq!(scored_beside(kpi::REQUESTS_PER_S, 90.0, 7.4), all);
}
