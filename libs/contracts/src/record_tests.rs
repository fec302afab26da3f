//! Domain values through Avro and back, and bytes from anywhere.

use crate::contract::Contract;
use crate::json::record_json;
use prescale_domain::action::*;
use prescale_domain::anomaly::AnomalyScore;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::calibration::{LOWER, NOMINAL_COVERAGE, UPPER};
use prescale_domain::fingerprint::*;
use prescale_domain::governor::{Effect, FleetRecord, Held, Order, Proposal, Said, Scope, StandingOrder, View};
use prescale_domain::group::sum::{QuantileSum, Rise};
use prescale_domain::group::{GroupName, GroupPart, GroupPrediction, HorizonSum, MemberCount, ResourceSum};
use prescale_domain::kpi::*;
use prescale_domain::point::{AddUp, Measured, Point};
use prescale_domain::prediction::*;
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::*;
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use proptest::prelude::*;
use std::sync::Arc;

fn text() -> impl Strategy<Value = Arc<str>> {
    "\\PC{1,12}".prop_map(Arc::from)
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(f64::MIN_POSITIVE), Just(f64::MAX), -1e6..1e6f64, prop::num::f64::NORMAL]
}

fn maybe() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(number())
}

/// Of those that have 32 bits on the wire.
fn number_of_32_bits() -> impl Strategy<Value = f64> {
    let number =
        prop_oneof![Just(0.0f32), Just(f32::MIN_POSITIVE), Just(f32::MAX), -1e6..1e6f32, prop::num::f32::NORMAL];
    number.prop_map(f64::from)
}

fn maybe_of_32_bits() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(number_of_32_bits())
}

fn share_of_32_bits() -> impl Strategy<Value = f64> {
    (0.0..=1.0f32).prop_map(f64::from)
}

fn workload() -> impl Strategy<Value = WorkloadId> {
    "[a-z0-9-]{1,40}".prop_map(|t| WorkloadId::new(&t).unwrap())
}

fn source() -> impl Strategy<Value = SourceName> {
    text().prop_map(|text| SourceName::new(text).unwrap())
}

fn group() -> impl Strategy<Value = GroupName> {
    "[a-z0-9-]{1,40}".prop_map(|t| GroupName::new(&t).unwrap())
}

fn instant() -> impl Strategy<Value = EventTime> {
    (0..4_102_444_800_000i64).prop_map(EventTime::from_ms)
}

fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![Just(60), 1..=u32::MAX]
}

fn platform() -> impl Strategy<Value = Platform> {
    "[a-z0-9-]{1,24}".prop_map(|name| Platform::new(&name).unwrap())
}

fn capacity() -> impl Strategy<Value = Capacity> {
    (any::<u32>(), 0.0..1e4f64, 0.0..1e13f64, prop::option::of(text())).prop_map(
        |(replicas, cpu_cores_per_replica, memory_bytes_per_replica, instance_type)| Capacity {
            replicas,
            cpu_cores_per_replica,
            memory_bytes_per_replica,
            instance_type,
        },
    )
}

fn sample() -> impl Strategy<Value = Sample> {
    let kind = prop::sample::select(vec![KpiKind::Gauge, KpiKind::Rate, KpiKind::Counter]);
    let kpis = prop::collection::btree_map(text(), (kind, text(), maybe()), 0..9);
    (workload(), source(), instant(), seconds(), kpis, prop::option::of(capacity()), platform()).prop_map(
        |(workload, source, at, step_s, kpis, capacity, platform)| Sample {
            workload,
            source,
            at,
            step_s,
            kpis: kpis
                .into_iter()
                .map(|(name, (kind, unit, value))| Kpi { name: KpiName::new(&name), kind, unit, value })
                .rev()
                .collect(),
            capacity,
            platform,
        },
    )
}

fn point() -> impl Strategy<Value = Point> {
    let kind = prop::sample::select(vec![KpiKind::Gauge, KpiKind::Rate]);
    let add_up = prop::sample::select(vec![AddUp::Sum, AddUp::Mean, AddUp::Max]);
    let whose = (workload(), source(), instant(), seconds(), platform());
    (whose, (text(), text(), text()), kind, any::<bool>(), add_up, maybe()).prop_map(
        |((workload, source, at, step_s, platform), (series, name, unit), kind, is_total, add_up, value)| Point {
            workload,
            source,
            at,
            step_s,
            series,
            measured: Measured::of_name(name),
            kind,
            unit,
            is_total,
            add_up,
            value: if is_total { value.map(f64::abs) } else { value },
            platform,
        },
    )
}

fn season() -> impl Strategy<Value = Season> {
    let numbers = (number_of_32_bits(), number_of_32_bits(), -3.1..3.1f32, share_of_32_bits());
    numbers.prop_map(|(period_s, amplitude, phase_rad, strength)| Season {
        period_s,
        amplitude,
        phase_rad: phase_rad.into(),
        strength,
    })
}

fn fixed(season: Option<Season>, period_s: f64) -> Option<Season> {
    season.map(|season| Season { period_s, ..season })
}

fn features() -> impl Strategy<Value = WindowFeatures> {
    let seasons = (prop::collection::vec(season(), 0..4), prop::array::uniform3(prop::option::of(season())));
    let extra = prop::collection::btree_map("[a-z]{1,8}", maybe_of_32_bits(), 0..3);
    let numbers = prop::array::uniform15(maybe_of_32_bits());
    (0..=i64::MAX as u64, share_of_32_bits(), numbers, seasons, extra).prop_map(
        |(count, missing_share, n, (top_seasons, [season_1h, season_24h, season_7d]), extra)| WindowFeatures {
            count,
            missing_share,
            mean: n[0],
            std_dev: n[1],
            min: n[2],
            max: n[3],
            p50: n[4],
            p90: n[5],
            p95: n[6],
            p99: n[7],
            trend_per_h: n[8],
            trend_std_err: n[9],
            trend_r2: n[10],
            top_seasons,
            season_1h: fixed(season_1h, 3600.0),
            season_24h: fixed(season_24h, 86_400.0),
            season_7d: fixed(season_7d, 604_800.0),
            acf_1h: n[11],
            acf_24h: n[12],
            acf_7d: n[13],
            burstiness: n[14],
            extra,
        },
    )
}

fn anomaly() -> impl Strategy<Value = Option<AnomalyScore>> {
    let score = (1e-9f32..=1.0, prop::collection::vec(text(), 0..3));
    prop::option::of(
        score.prop_map(|(p_value, kpis)| AnomalyScore {
            p_value,
            kpis: kpis.iter().map(|kpi| KpiName::new(kpi)).collect(),
        }),
    )
}

fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    let kpis = prop::collection::btree_map(text(), (text(), maybe(), features(), features()), 0..4);
    let of = (workload(), source(), instant(), prop::array::uniform3(seconds()), text());
    let rest = (anomaly(), prop::option::of(capacity()), platform());
    (of, any::<bool>(), kpis, rest).prop_map(
        |((workload, source, at, [step_s, short_window_s, long_window_s], hash), closes, kpis, rest)| {
            let (anomaly, capacity, platform) = rest;
            Fingerprint {
                workload,
                source,
                at,
                step_s,
                short_window_s,
                long_window_s,
                feature_schema_hash: hash,
                kpis: kpis
                    .into_iter()
                    .map(|(name, (unit, last, short, long))| KpiFingerprint {
                        name: KpiName::new(&name),
                        unit,
                        last,
                        windows: closes.then(|| Box::new(Windows { short, long })),
                    })
                    .collect(),
                capacity,
                anomaly,
                platform,
            }
        },
    )
}

/// The interval that follows from quantiles.
pub(crate) fn interval_of(quantiles: &Quantiles, trailing_coverage: Option<f64>, scored: u32) -> Interval {
    let values = quantiles.values();
    let (lower, upper) = (values[LOWER], values[UPPER]);
    Interval { nominal_coverage: NOMINAL_COVERAGE, lower, upper, trailing_coverage, scored }
}

fn statistic() -> impl Strategy<Value = (Quantiles, Interval)> {
    let numbers = prop::array::uniform8(number_of_32_bits());
    (numbers, prop::option::of(share_of_32_bits()), any::<u32>()).prop_map(|(numbers, trailing_coverage, scored)| {
        let quantiles = Quantiles::rearranged(numbers).unwrap();
        (quantiles, interval_of(&quantiles, trailing_coverage, scored))
    })
}

/// Readings before a prediction with so many resources and signals, two of each at most: each with the time until
/// what comes next, the last first.
fn readings(
    gaps: Vec<(i64, [Option<f64>; 4])>,
    made_at: EventTime,
    (resources, signals): (usize, usize),
) -> Vec<Reading> {
    let mut at_ms = made_at.as_ms();
    let mut readings = Vec::new();
    for (gap_ms, values) in gaps {
        at_ms -= gap_ms;
        let (of_resources, of_signals) = (values[..resources].to_vec(), values[2..2 + signals].to_vec());
        readings.push(Reading { at: EventTime::from_ms(at_ms), resources: of_resources, signals: of_signals });
    }
    readings.reverse();
    readings
}

fn prediction() -> impl Strategy<Value = Prediction> {
    let horizons = prop::collection::btree_map(seconds(), (statistic(), statistic()), 0..4).prop_map(|horizons| {
        let forecast = |(horizon_s, ((value, value_interval), (maximum, maximum_interval)))| HorizonForecast {
            horizon_s,
            value,
            maximum,
            value_interval,
            maximum_interval,
        };
        horizons.into_iter().map(forecast).collect::<Vec<_>>()
    });
    let states = [DriftState::Stable, DriftState::Widened, DriftState::Reset, DriftState::FallenBack];
    let drift = prop::option::of(prop::sample::select(states.to_vec()));
    let started_from = prop::collection::vec(workload(), 0..3);
    let forecast = (text(), maybe(), text(), text(), drift, started_from, horizons);
    let resources = prop::collection::btree_map(text(), forecast, 1..3);
    let signal = (text(), maybe(), maybe_of_32_bits(), maybe_of_32_bits());
    let signals = prop::collection::btree_map(text(), signal, 0..3);
    let gaps = prop::collection::vec((1..400_000i64, prop::array::uniform4(maybe())), 0..5);
    let of = (workload(), source(), instant(), seconds());
    (of, resources, signals, gaps, anomaly(), prop::option::of(capacity()), platform()).prop_map(
        |((workload, source, made_at, step_s), resources, signals, gaps, anomaly, capacity, platform)| Prediction {
            earlier: readings(gaps, made_at, (resources.len(), signals.len())),
            workload,
            source,
            made_at,
            step_s,
            resources: resources
                .into_iter()
                .map(|(resource, (unit, last, model, model_version, drift, started_from, horizons))| {
                    let resource = KpiName::new(&resource);
                    ResourceForecast { resource, unit, last, model, model_version, drift, started_from, horizons }
                })
                .collect(),
            signals: signals
                .into_iter()
                .map(|(name, (unit, last, short_mean, long_p95))| {
                    let name = KpiName::new(&name);
                    Signal { name, unit, last, short_mean, long_p95 }
                })
                .collect(),
            capacity,
            anomaly,
            platform,
        },
    )
}

fn member_count() -> impl Strategy<Value = MemberCount> {
    (any::<u32>(), any::<u32>()).prop_map(|(reported, carried)| MemberCount { reported, carried })
}

fn horizon_sum() -> impl Strategy<Value = HorizonSum> {
    let term = || prop::array::uniform8(-1e9f64..1e9).prop_map(|v| QuantileSum::of(&Quantiles::rearranged(v).unwrap()));
    (any::<u32>(), term(), term(), -1e9f64..1e9).prop_map(|(forecasts, value, maximum, rise)| HorizonSum {
        forecasts,
        value,
        maximum,
        rise: Rise::of(rise),
    })
}

fn group_part() -> impl Strategy<Value = GroupPart> {
    let horizons = prop::collection::btree_map(seconds(), horizon_sum(), 0..4);
    let sum = (text(), number(), maybe(), horizons).prop_map(|(unit, last, closed, horizons)| ResourceSum {
        unit,
        last,
        closed,
        horizons,
    });
    let resources = prop::collection::btree_map(text().prop_map(|name| KpiName::new(&name)), sum, 0..3);
    (group(), any::<u32>(), instant(), member_count(), resources).prop_map(
        |(group, partition, made_at, members, resources)| GroupPart { group, partition, made_at, members, resources },
    )
}

fn group_prediction() -> impl Strategy<Value = GroupPrediction> {
    (group(), prediction(), member_count()).prop_map(|(group, prediction, members)| GroupPrediction {
        group,
        made_at: prediction.made_at,
        members,
        resources: prediction.resources,
    })
}

fn evidence() -> impl Strategy<Value = Evidence> {
    let width = prop_oneof![number(), Just(f64::INFINITY)];
    (text(), seconds(), prop::array::uniform4(number()), width, text()).prop_map(
        |(resource, horizon_s, [predicted, lower, upper, capacity], relative_width, model)| Evidence {
            resource,
            horizon_s,
            predicted,
            lower,
            upper,
            relative_width,
            capacity,
            model,
        },
    )
}

fn action() -> impl Strategy<Value = Action> {
    let what = (
        prop::sample::select(vec![Verdict::ScaleOut, Verdict::ScaleIn, Verdict::Reshape]),
        prop::sample::select(vec![Mechanism::Replicas, Mechanism::Limits, Mechanism::InstanceType]),
        any::<bool>(),
    );
    let reasons = prop::collection::vec((text(), "\\PC{0,30}").prop_map(|(rule, text)| Reason { rule, text }), 0..4);
    let why = (text(), text(), prop::collection::vec(evidence(), 0..3), reasons);
    (workload(), instant(), 0..86_400i64, why, what, (capacity(), capacity()), platform()).prop_map(
        |(workload, decided_at, valid_s, why, (verdict, mechanism, dry_run), (current, desired), platform)| {
            let (prediction_id, policy, evidence, reasons) = why;
            Action {
                workload,
                decided_at,
                valid_until: decided_at.plus_s(valid_s),
                prediction_id,
                policy,
                verdict,
                current,
                desired,
                mechanism,
                dry_run,
                evidence,
                reasons,
                platform,
            }
        },
    )
}

fn order() -> impl Strategy<Value = Order> {
    let scope = prop_oneof![
        Just(Scope::all()),
        "[a-z]{1,9}".prop_map(|name| Scope::parse(&format!("fleet:{name}")).unwrap()),
        "[a-z]{1,9}".prop_map(|name| Scope::parse(&format!("workload:{name}")).unwrap()),
    ];
    let effect = prop::sample::select(vec![Effect::Pause, Effect::PauseScaleIn, Effect::Resume]);
    (scope, effect, instant(), "\\PC{0,30}", "\\PC{1,12}", any::<bool>())
        .prop_map(|(scope, effect, at, why, by, is_repetition)| Order { scope, effect, at, why, by, is_repetition })
}

fn fleet_record() -> impl Strategy<Value = FleetRecord> {
    let proposal = (action(), any::<bool>(), any::<u32>())
        .prop_map(|(action, demanded, partition)| Said::Proposal(Box::new(Proposal { action, demanded, partition })));
    let view = ((any::<u32>(), 1..=u32::MAX), (instant(), instant()), 0..=1000u32, 0..=1000u32, 0..=1000u32).prop_map(
        |((partition, step_s), (one, other), lost_kpi, others, gone)| {
            let (present, at, told_at) = (lost_kpi + others, one.min(other), one.max(other));
            Said::View(View { partition, at, told_at, known: present + gone, present, lost_kpi, step_s })
        },
    );
    let held = (workload(), instant(), text(), text(), "\\PC{0,30}").prop_map(
        |(workload, decided_at, proposal_id, rule, why)| {
            Said::Held(Held { workload, decided_at, proposal_id, rule, why })
        },
    );
    let said = prop_oneof![proposal, view, order().prop_map(Said::Order), held];
    (workload(), said).prop_map(|(key, said)| FleetRecord { key, said })
}

fn shown_request() -> impl Strategy<Value = ShownRequest> {
    let text = "\\PC{0,30}";
    (text, text, text, text, any::<Option<bool>>()).prop_map(|(method, path, content_type, body, is_accepted)| {
        ShownRequest { method, path, content_type, body, is_accepted }
    })
}

fn action_result() -> impl Strategy<Value = ActionResult> {
    let why = "\\PC{0,30}";
    let outcome = prop_oneof![
        instant().prop_map(|effective_at| ActionOutcome::Applied { effective_at }),
        (prop::option::of(shown_request()), prop::option::of(why))
            .prop_map(|(request, said)| ActionOutcome::DryRun { request, said }),
        why.prop_map(|why| ActionOutcome::Superseded { why }),
        (why, any::<bool>()).prop_map(|(why, retryable)| ActionOutcome::Failed { why, retryable }),
    ];
    (workload(), text(), instant(), outcome, (capacity(), capacity()), maybe(), platform()).prop_map(
        |(workload, action_id, at, outcome, (before, after), price_per_h, platform)| ActionResult {
            workload,
            action_id,
            at,
            outcome,
            before,
            after,
            price_per_h,
            platform,
        },
    )
}

fn round_trips<C: Contract + PartialEq + std::fmt::Debug>(value: &C) -> Result<(), TestCaseError> {
    let framed = value.encode().map_err(|e| TestCaseError::fail(e.to_string()))?;
    let read = C::decode(&framed).map_err(|e| TestCaseError::fail(e.to_string()))?;
    prop_assert_eq!(&read, value);
    prop_assert_eq!(read.encode(), Ok(framed.clone()));
    prop_assert!(record_json(C::TOPIC, &framed).is_ok());
    for cut in [framed.len() - 1, framed.len() / 2, 5] {
        prop_assert!(C::decode(&framed[..cut]).is_err());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn samples_round_trip(value in sample()) {
        round_trips(&value)?;
    }

    #[test]
    fn points_round_trip(value in point()) {
        round_trips(&value)?;
    }

    #[test]
    fn fingerprints_round_trip(value in fingerprint()) {
        round_trips(&value)?;
    }

    #[test]
    fn predictions_round_trip(value in prediction()) {
        round_trips(&value)?;
    }

    #[test]
    fn group_parts_round_trip(value in group_part()) {
        round_trips(&value)?;
    }

    #[test]
    fn group_predictions_round_trip(value in group_prediction()) {
        round_trips(&value)?;
    }

    #[test]
    fn fleet_records_round_trip(value in fleet_record()) {
        round_trips(&value)?;
    }

    #[test]
    fn standing_orders_round_trip(order in order()) {
        round_trips(&StandingOrder { order: Order { is_repetition: false, ..order } })?;
    }

    #[test]
    fn actions_round_trip(value in action()) {
        round_trips(&value)?;
    }

    #[test]
    fn action_results_round_trip(value in action_result()) {
        round_trips(&value)?;
    }

    #[test]
    fn bytes_from_anywhere_are_read_or_refused(id in 0u8..16, datum in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut framed = vec![0, 0, 0, 0, id];
        framed.extend(datum);
        decode_all(&framed);
    }

    #[test]
    fn damaged_records_are_read_or_refused(value in fingerprint(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut framed = value.encode().unwrap();
        let at = at.index(framed.len());
        framed[at] = byte;
        decode_all(&framed);
    }
}

fn decode_all(framed: &[u8]) {
    let _ = Point::decode(framed);
    let _ = (Sample::decode(framed), Fingerprint::decode(framed), Prediction::decode(framed));
    let _ = (Action::decode(framed), ActionResult::decode(framed));
    let _ = (GroupPart::decode(framed), GroupPrediction::decode(framed));
    let _ = (FleetRecord::decode(framed), StandingOrder::decode(framed));
    for topic in crate::topics::table() {
        let _ = record_json(&topic.name, framed);
    }
}
