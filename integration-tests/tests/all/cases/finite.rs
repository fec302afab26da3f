//! Numbers of records that are none: NaN and infinity.

use super::run::{clock, since_start_s};
use prescale_contracts::Contract;
use prescale_domain::action::Action;
use prescale_domain::fingerprint::{Fingerprint, WindowFeatures};
use prescale_domain::prediction::Prediction;
use prescale_domain::sample::Capacity;
use std::collections::BTreeMap;

/// Numbers of a record, each with its name.
pub(super) type Numbers = Vec<(&'static str, f64)>;

/// Where a number of the records is not finite.
pub(super) fn not_finite<C: Contract>(
    records: &BTreeMap<String, Vec<C>>,
    numbers: impl Fn(&C) -> Numbers,
) -> Vec<String> {
    let all = records.iter().flat_map(|(workload, records)| records.iter().map(move |record| (workload, record)));
    let found = all.flat_map(|(workload, record)| {
        let wrong = numbers(record).into_iter().filter(|(_, number)| !number.is_finite());
        let at = clock(since_start_s(record.at()));
        wrong.map(|(name, number)| format!("{} of {workload}, {at}: {name} is {number}", C::TOPIC)).collect::<Vec<_>>()
    });
    found.collect()
}

pub(super) fn of_fingerprint(fingerprint: &Fingerprint) -> Numbers {
    let mut numbers = of_capacity(fingerprint.capacity.as_ref());
    for kpi in &fingerprint.kpis {
        numbers.extend(kpi.last.map(|last| ("last", last)));
        if let Some(windows) = &kpi.windows {
            add_features(&windows.short, &mut numbers);
            add_features(&windows.long, &mut numbers);
        }
    }
    numbers
}

fn add_features(features: &WindowFeatures, numbers: &mut Numbers) {
    let optional = [
        ("mean", features.mean),
        ("std_dev", features.std_dev),
        ("min", features.min),
        ("max", features.max),
        ("p50", features.p50),
        ("p90", features.p90),
        ("p95", features.p95),
        ("p99", features.p99),
        ("trend_per_h", features.trend_per_h),
        ("trend_std_err", features.trend_std_err),
        ("trend_r2", features.trend_r2),
        ("acf_1h", features.acf_1h),
        ("acf_24h", features.acf_24h),
        ("acf_7d", features.acf_7d),
        ("burstiness", features.burstiness),
    ];
    numbers.push(("missing_share", features.missing_share));
    numbers.extend(optional.into_iter().filter_map(|(name, number)| Some((name, number?))));
    numbers.extend(features.extra.values().flatten().map(|number| ("extra", *number)));
    let exact = [&features.season_1h, &features.season_24h, &features.season_7d];
    for season in features.top_seasons.iter().chain(exact.into_iter().flatten()) {
        numbers.extend([
            ("period_s", season.period_s),
            ("amplitude", season.amplitude),
            ("phase_rad", season.phase_rad),
            ("strength", season.strength),
        ]);
    }
}

pub(super) fn of_prediction(prediction: &Prediction) -> Numbers {
    let mut numbers = of_capacity(prediction.capacity.as_ref());
    for resource in &prediction.resources {
        numbers.extend(resource.last.map(|last| ("last", last)));
        for (_, quantiles, interval) in resource.horizons.iter().flat_map(|horizon| horizon.statistics()) {
            numbers.extend(quantiles.values().map(|value| ("quantile", value)));
            numbers.extend([("lower", interval.lower), ("upper", interval.upper)]);
            numbers.push(("nominal_coverage", interval.nominal_coverage));
            numbers.extend(interval.trailing_coverage.map(|share| ("trailing_coverage", share)));
        }
    }
    for reading in &prediction.earlier {
        numbers.extend(reading.resources.iter().chain(&reading.signals).flatten().map(|x| ("reading", *x)));
    }
    for signal in &prediction.signals {
        numbers.extend([signal.last, signal.short_mean, signal.long_p95].into_iter().flatten().map(|x| ("signal", x)));
    }
    numbers
}

/// A reason that tells of NaN or infinity counts as such a number.
pub(super) fn of_action(action: &Action) -> Numbers {
    let mut numbers = [of_capacity(Some(&action.current)), of_capacity(Some(&action.desired))].concat();
    for evidence in &action.evidence {
        numbers.extend([
            ("predicted", evidence.predicted),
            ("lower", evidence.lower),
            ("upper", evidence.upper),
            ("relative_width", evidence.relative_width),
            ("capacity", evidence.capacity),
        ]);
    }
    let tells = |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| ["NaN", "inf"].contains(&word));
    numbers.extend(action.reasons.iter().filter(|reason| tells(&reason.text)).map(|_| ("reason", f64::NAN)));
    numbers
}

fn of_capacity(capacity: Option<&Capacity>) -> Numbers {
    let sizes = |c: &Capacity| {
        [("cores of a replica", c.cpu_cores_per_replica), ("memory of a replica", c.memory_bytes_per_replica)]
    };
    capacity.map(sizes).into_iter().flatten().collect()
}
