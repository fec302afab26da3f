//! What happens between the closes of bins: what was measured waits for the next prediction, and none waits that is
//! urgent.

use super::tests::{START_S, apply, enveloped, fingerprint, noise, partition_of, record, without_features};
use super::*;
use crate::config::Choice;
use prescale_domain::fingerprint::{KpiFingerprint, WindowFeatures, Windows};

const MINUTES_A_BIN: i64 = 5;

/// Minute by minute, features with the last sample of each bin.
fn minute(workload: i64, minute: i64) -> Enveloped {
    let record = record(workload, 60 * minute);
    if minute % MINUTES_A_BIN == MINUTES_A_BIN - 1 { record } else { without_features(record) }
}

/// One of constant demand.
fn steady(minute: i64, cores: f64) -> Enveloped {
    let record = enveloped(fingerprint("vm-steady", START_S + 60 * minute, [Some(cores), Some(1e9)]));
    if minute % MINUTES_A_BIN == MINUTES_A_BIN - 1 { record } else { without_features(record) }
}

/// One of which nothing is urgent between closes.
fn quiet(minute: i64) -> Enveloped {
    steady(minute, 2.0 + (minute % 3) as f64 / 100.0)
}

fn minutes_of(predictions: &[Prediction]) -> Vec<i64> {
    predictions.iter().map(|made| (made.made_at.as_ms() / 1000 - START_S) / 60).collect()
}

#[test]
fn what_was_measured_between_goes_along_in_order() {
    let mut partition = partition_of(|c| c.models = vec!["last-value".to_owned()]);
    let made = apply(&mut partition, (0..60).map(quiet).collect());
    let last = made.last().unwrap();
    assert_eq!(minutes_of(&made[made.len() - 2..]), [54, 59]);
    let (resources, at): (Vec<_>, Vec<_>) =
        last.earlier.iter().map(|reading| (reading.resources.clone(), reading.at)).unzip();
    let cores = [55, 56, 57, 58].map(|at| vec![Some(2.0 + (at % 3) as f64 / 100.0), Some(1e9)]);
    assert_eq!(resources, cores);
    assert_eq!(at, [55, 56, 57, 58].map(|minute| EventTime::from_s(START_S + 60 * minute)));
}

/// Others of its source go on meanwhile; the first sample behind the missed close has features.
#[test]
fn what_was_measured_before_a_silence_is_told_when_it_ends() {
    let mut partition = partition_of(|c| c.models = vec!["last-value".to_owned()]);
    apply(&mut partition, (0..57).map(quiet).collect());
    apply(&mut partition, (57..69).map(|at| minute(0, at)).collect());
    let made = apply(&mut partition, vec![quiet(69)]);
    let told: Vec<EventTime> = made.iter().flat_map(|made| made.earlier.iter().map(|reading| reading.at)).collect();
    assert_eq!(minutes_of(&made), [69]);
    assert_eq!(told, [55, 56].map(|minute| EventTime::from_s(START_S + 60 * minute)));
}

#[test]
fn readings_of_who_is_forgotten_are_counted() {
    let mut partition = partition_of(|c| c.models = vec!["last-value".to_owned()]);
    apply(&mut partition, (0..57).map(quiet).collect());
    let known = partition.state.workloads.get(&WorkloadId::new("vm-steady").unwrap()).unwrap();
    let (source, last_at) = (known.source, known.last_at);
    assert_eq!((partition.forget(source, last_at), partition.workloads()), (0, 1));
    assert_eq!((partition.forget(source, last_at.plus_s(1)), partition.workloads()), (2, 0));
}

#[test]
fn a_forecast_does_not_wait_where_it_is_urgent() {
    let settled = || {
        let mut partition = partition_of(|c| c.models = vec!["last-value".to_owned()]);
        let noisy = |at: i64| steady(at, 2.0 + noise(1, at) / 10.0);
        apply(&mut partition, (0..300).map(noisy).collect());
        partition
    };
    let made = |partition: &mut Partition, records: Vec<Enveloped>| minutes_of(&apply(partition, records));
    assert_eq!(made(&mut settled(), (300..305).map(|at| steady(at, 2.05)).collect()), [304]);
    let surge = |at: i64| steady(at, if at < 302 { 2.05 } else { 5.0 });
    let risen: Vec<i64> = (302..310).collect();
    assert_eq!(made(&mut settled(), (300..310).map(surge).collect()), risen, "the bin's mean is still below it");
    let spike = |at: i64| steady(at, if at == 301 { 5.0 } else { 2.05 });
    assert_eq!(
        made(&mut settled(), (300..306).map(spike).collect()),
        [301, 302, 303, 304, 305],
        "until the bin closes"
    );
    let dip = |at: i64| steady(at, if at == 301 { 1.0 } else { 2.05 });
    // A forecast as of half a bin goes by half a bin: what comes after the dip lies above it.
    assert_eq!(made(&mut settled(), (300..306).map(dip).collect()), [301, 302, 303, 304, 305]);
    let full = |at: i64| steady(at, if at < 301 { 2.05 } else { 7.9 });
    assert_eq!(made(&mut settled(), (300..310).map(full).collect()), (301..310).collect::<Vec<_>>(), "of 8 cores");
    let larger = |at: i64| {
        let mut record = steady(at, 2.05);
        if at >= 302 {
            record.fingerprint.capacity.as_mut().unwrap().replicas = 3;
        }
        record
    };
    assert_eq!(made(&mut settled(), (300..305).map(larger).collect()), [302, 304], "the capacity has changed");
    let mut young = partition_of(|_| ());
    assert_eq!(made(&mut young, vec![steady(0, 2.0)]), [0], "no prediction has told of the capacity yet");
}

/// Forecasts as of the ends of bins do not depend on whether others were made before.
#[test]
fn forecasts_at_closes_are_those_of_a_partition_that_forecasts_each_sample() {
    let of = || {
        partition_of(|c| {
            c.choice = Choice::Order;
            c.neighbours = 0;
        })
    };
    let records = || (0..3600).flat_map(|at| [(0, at), (1, at)]);
    let with_all = apply(&mut of(), records().map(|(vm, at)| record(vm, 60 * at)).collect());
    let at_closes = apply(&mut of(), records().map(|(vm, at)| minute(vm, at)).collect());
    let is_close = |made: &&Prediction| (made.made_at.as_ms() / 60_000 - START_S / 60) % MINUTES_A_BIN == 4;
    let horizons = |made: &Prediction| -> Vec<_> {
        made.resources.iter().map(|resource| (resource.model.clone(), resource.horizons.clone())).collect()
    };
    let wanted: Vec<_> = with_all.iter().filter(is_close).map(horizons).collect();
    let got: Vec<_> = at_closes.iter().filter(is_close).map(horizons).collect();
    assert_eq!(wanted.len(), 2 * 720);
    assert!(got == wanted, "they differ");
    assert!(at_closes.len() * 2 < with_all.len(), "{} of {}", at_closes.len(), with_all.len());
    let told: usize = at_closes.iter().map(|made| 1 + made.earlier.len()).sum();
    assert_eq!(told, with_all.len(), "each value is told once");
}

#[test]
fn signals_between_closes_have_the_usual_of_the_last_features() {
    let mut partition = partition_of(|_| ());
    let with_latency = |at: i64, latency_ms: f64| {
        let mut made = steady(at, 7.9);
        let mean = |mean| WindowFeatures { mean: Some(mean), p95: Some(2.0 * mean), ..WindowFeatures::default() };
        let has_features = made.fingerprint.has_features();
        made.fingerprint.kpis.push(KpiFingerprint {
            name: KpiName::new("latency_ms"),
            unit: "ms".into(),
            last: Some(latency_ms),
            windows: has_features.then(|| Windows::boxed(mean(50.0), mean(60.0))).flatten(),
        });
        made.fingerprint.kpis.sort_by(|a, b| a.name.cmp(&b.name));
        made
    };
    let made = apply(&mut partition, (0..8).map(|at| with_latency(at, 40.0 + at as f64)).collect());
    let last = made.last().unwrap();
    let signals: Vec<_> = last.signals.iter().map(|s| (s.last, s.short_mean, s.long_p95)).collect();
    assert_eq!((minutes_of(&made).last(), signals), (Some(&7), vec![(Some(47.0), Some(50.0), Some(120.0))]));
}

/// Of 16 GB.
#[test]
fn memory_near_its_capacity_does_not_wait_where_it_grows() {
    let of = |at: i64, memory: f64| {
        let mut made = steady(at, 2.0);
        made.fingerprint.kpis[1].last = Some(memory);
        made
    };
    let mut partition = partition_of(|c| c.models = vec!["last-value".to_owned()]);
    // What wanders within a bin is nothing new.
    let wandering = |at: i64| of(at, 14.8e9 + 1e8 * (at % 5) as f64);
    apply(&mut partition, (0..300).map(wandering).collect());
    let steady = minutes_of(&apply(&mut partition, (300..305).map(|at| of(at, 15.2e9)).collect()));
    assert_eq!(steady, [304]);
    let grows = (305..309).map(|at| of(at, 15.2e9 + 1e6 * (at - 304) as f64)).collect();
    assert_eq!(minutes_of(&apply(&mut partition, grows)), [305, 306, 307, 308]);
}

#[test]
fn a_snapshot_of_other_signals_keeps_all_but_those() {
    let mut partition = partition_of(|c| c.models = vec!["last-value".to_owned()]);
    apply(&mut partition, (0..52).map(|at| steady(at, 2.0)).collect());
    let mut config = crate::Config { models: vec!["last-value".to_owned()], ..crate::Config::default() };
    config.signals = vec!["queue_length".to_owned()];
    let registry = Arc::new(Registry::open(Arc::new(config.settings().unwrap())).unwrap());
    let mut restored = Partition::restored(registry, &partition.snapshot()).unwrap();
    let records: Vec<Enveloped> = (52..55).map(|at| steady(at, 2.0)).collect();
    let (wanted, got) = (apply(&mut partition, records.clone()), apply(&mut restored, records));
    assert_eq!(minutes_of(&got), [54]);
    assert_eq!((&got[0].earlier, &got[0].resources), (&wanted[0].earlier, &wanted[0].resources));
}
