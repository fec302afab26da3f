//! Domain values through Avro and back, what is refused, and bytes from anywhere.

use crate::contract::Contract;
use crate::error::ContractError;
use crate::json::record_json;
use prescale_domain::action::*;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::fingerprint::*;
use prescale_domain::governor::{Effect, FleetRecord, Held, Order, Proposal, Said, Scope, StandingOrder, View};
use prescale_domain::group::sum::{QuantileSum, Rise};
use prescale_domain::group::{GroupPart, GroupPrediction, HorizonSum, MemberCount, ResourceSum};
use prescale_domain::kpi::*;
use prescale_domain::prediction::*;
use prescale_domain::quantiles::Quantiles;
use prescale_domain::sample::*;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use proptest::prelude::*;
use std::collections::BTreeMap;
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

fn workload() -> impl Strategy<Value = WorkloadId> {
    "[a-z0-9-]{1,40}".prop_map(|t| WorkloadId::new(&t).unwrap())
}

fn instant() -> impl Strategy<Value = EventTime> {
    (0..4_102_444_800_000i64).prop_map(EventTime::from_ms)
}

fn seconds() -> impl Strategy<Value = u32> {
    prop_oneof![Just(60), 1..=u32::MAX]
}

fn platform() -> impl Strategy<Value = Platform> {
    prop::sample::select(vec![Platform::ObservedOnly, Platform::Simulated, Platform::Kubernetes, Platform::OpenStack])
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
    (workload(), text(), instant(), seconds(), kpis, prop::option::of(capacity()), platform()).prop_map(
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

fn season() -> impl Strategy<Value = Season> {
    (number(), number(), -3.1..3.1f64, 0.0..1.0f64).prop_map(|(period_s, amplitude, phase_rad, strength)| Season {
        period_s,
        amplitude,
        phase_rad,
        strength,
    })
}

fn features() -> impl Strategy<Value = WindowFeatures> {
    let seasons = (prop::collection::vec(season(), 0..4), prop::array::uniform3(prop::option::of(season())));
    let extra = prop::collection::btree_map("[a-z]{1,8}", maybe(), 0..3);
    (0..=i64::MAX as u64, 0.0..=1.0f64, prop::array::uniform15(maybe()), seasons, extra).prop_map(
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
            season_1h,
            season_24h,
            season_7d,
            acf_1h: n[11],
            acf_24h: n[12],
            acf_7d: n[13],
            burstiness: n[14],
            extra,
        },
    )
}

fn fingerprint() -> impl Strategy<Value = Fingerprint> {
    let kpis = prop::collection::btree_map(text(), (text(), maybe(), features(), features()), 0..4);
    let of = (workload(), text(), instant(), prop::array::uniform3(seconds()), text());
    (of, kpis, prop::option::of(capacity()), platform()).prop_map(
        |((workload, source, at, [step_s, short_window_s, long_window_s], hash), kpis, capacity, platform)| {
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
                        short,
                        long,
                    })
                    .collect(),
                capacity,
                platform,
            }
        },
    )
}

fn interval() -> impl Strategy<Value = Interval> {
    (0.01..0.99f64, number(), number(), prop::option::of(0.0..=1.0f64), any::<u32>()).prop_map(
        |(nominal_coverage, a, b, trailing_coverage, scored)| Interval {
            nominal_coverage,
            lower: a.min(b),
            upper: a.max(b),
            trailing_coverage,
            scored,
        },
    )
}

fn prediction() -> impl Strategy<Value = Prediction> {
    let quantiles = || prop::array::uniform8(number()).prop_map(|v| Quantiles::rearranged(v).unwrap());
    let horizon = (quantiles(), quantiles(), interval(), interval());
    let horizons = prop::collection::btree_map(seconds(), horizon, 0..4).prop_map(|horizons| {
        let forecast = |(horizon_s, (value, maximum, value_interval, maximum_interval))| HorizonForecast {
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
    let signals = prop::collection::btree_map(text(), (text(), maybe(), maybe(), maybe()), 0..3);
    (workload(), text(), instant(), seconds(), resources, signals, prop::option::of(capacity()), platform()).prop_map(
        |(workload, source, made_at, step_s, resources, signals, capacity, platform)| Prediction {
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
    (workload(), any::<u32>(), instant(), member_count(), resources).prop_map(
        |(group, partition, made_at, members, resources)| GroupPart { group, partition, made_at, members, resources },
    )
}

fn group_prediction() -> impl Strategy<Value = GroupPrediction> {
    (prediction(), member_count()).prop_map(|(prediction, members)| GroupPrediction {
        group: prediction.workload,
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

fn action_result() -> impl Strategy<Value = ActionResult> {
    let why = "\\PC{0,30}";
    let outcome = prop_oneof![
        instant().prop_map(|effective_at| ActionOutcome::Applied { effective_at }),
        Just(ActionOutcome::DryRun),
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
    fn bytes_from_anywhere_are_read_or_refused(id in 0u8..14, datum in prop::collection::vec(any::<u8>(), 0..400)) {
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
    let _ = (Sample::decode(framed), Fingerprint::decode(framed), Prediction::decode(framed));
    let _ = (Action::decode(framed), ActionResult::decode(framed));
    let _ = (GroupPart::decode(framed), GroupPrediction::decode(framed));
    let _ = (FleetRecord::decode(framed), StandingOrder::decode(framed));
    for topic in crate::topics::table() {
        let _ = record_json(&topic.name, framed);
    }
}

fn a_sample() -> Sample {
    Sample {
        workload: WorkloadId::new("web-1").unwrap(),
        source: "fleet:test".into(),
        at: EventTime::from_s(60),
        step_s: 60,
        kpis: vec![kpi(CPU_CORES_USED, Some(1.5)), kpi(MEMORY_BYTES, None)],
        capacity: None,
        platform: Platform::Simulated,
    }
}

fn kpi(name: &str, value: Option<f64>) -> Kpi {
    Kpi { name: KpiName::new(name), kind: KpiKind::Gauge, unit: "1".into(), value }
}

fn a_prediction() -> Prediction {
    let interval = Interval { nominal_coverage: 0.9, lower: 0.0, upper: 1.0, trailing_coverage: None, scored: 0 };
    let quantiles = Quantiles::rearranged([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0]).unwrap();
    Prediction {
        workload: WorkloadId::new("web-1").unwrap(),
        source: "fleet:test".into(),
        made_at: EventTime::from_s(60),
        step_s: 60,
        resources: vec![ResourceForecast {
            resource: KpiName::new(CPU_CORES_USED),
            unit: "cores".into(),
            last: None,
            model: "last-value".into(),
            model_version: "1".into(),
            drift: Some(DriftState::Stable),
            started_from: Vec::new(),
            horizons: vec![HorizonForecast {
                horizon_s: 300,
                value: quantiles,
                maximum: quantiles,
                value_interval: interval,
                maximum_interval: interval,
            }],
        }],
        signals: Vec::new(),
        capacity: None,
        platform: Platform::Simulated,
    }
}

#[track_caller]
fn refused<C: Contract + std::fmt::Debug>(value: &C, named: &str) {
    match value.encode() {
        Err(ContractError::Invalid { field, workload, .. }) => {
            assert_eq!((field.as_str(), workload.as_str()), (named, "web-1"))
        }
        other => panic!("{named} must be refused: {other:?}"),
    }
}

#[test]
fn a_number_that_is_not_finite_is_refused_by_name() {
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        refused(&Sample { kpis: vec![kpi("a", None), kpi("b", Some(wrong))], ..a_sample() }, "kpis[1].value");
        let capacity =
            Capacity { replicas: 1, cpu_cores_per_replica: wrong, memory_bytes_per_replica: 0.0, instance_type: None };
        refused(&Sample { capacity: Some(capacity), ..a_sample() }, "capacity.cpu_cores_per_replica");
        let mut prediction = a_prediction();
        prediction.resources[0].horizons[0].maximum_interval.upper = wrong;
        refused(&prediction, "resources[0].horizons[0].maximum_interval.upper");
        refused(&fingerprint_with(|f| f.trend_r2 = Some(wrong)), "kpis[0].long.trend_r2");
        refused(
            &fingerprint_with(|f| f.extra = BTreeMap::from([("ratio".to_owned(), Some(wrong))])),
            "kpis[0].long.extra.ratio",
        );
    }
}

fn fingerprint_with(change: impl FnOnce(&mut WindowFeatures)) -> Fingerprint {
    let mut long = WindowFeatures::default();
    change(&mut long);
    Fingerprint {
        workload: WorkloadId::new("web-1").unwrap(),
        source: "fleet:test".into(),
        at: EventTime::from_s(60),
        step_s: 60,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "0123456789abcdef".into(),
        kpis: vec![KpiFingerprint {
            name: KpiName::new("a"),
            unit: "1".into(),
            last: None,
            short: WindowFeatures::default(),
            long,
        }],
        capacity: None,
        platform: Platform::ObservedOnly,
    }
}

#[test]
fn broken_rules_are_refused_by_name() {
    refused(&Sample { step_s: 0, ..a_sample() }, "step_s");
    refused(&Sample { source: "".into(), ..a_sample() }, "source");
    refused(&Sample { at: EventTime::from_ms(i64::MAX), ..a_sample() }, "at");
    refused(&Sample { kpis: vec![kpi("a", None), kpi("a", None)], ..a_sample() }, "kpis[1].name");
    refused(&Sample { kpis: vec![kpi("", None)], ..a_sample() }, "kpis[0].name");
    refused(&Prediction { resources: Vec::new(), ..a_prediction() }, "resources");
    let signal = |name: &str, last| Signal {
        name: KpiName::new(name),
        unit: "ms".into(),
        last,
        short_mean: None,
        long_p95: None,
    };
    let twice = vec![signal("latency_ms", None), signal("latency_ms", None)];
    refused(&Prediction { signals: twice, ..a_prediction() }, "signals[1].name");
    refused(&Prediction { signals: vec![signal("latency_ms", Some(f64::NAN))], ..a_prediction() }, "signals[0].last");
    let mut twice = a_prediction();
    twice.resources.push(twice.resources[0].clone());
    refused(&twice, "resources[1].resource");
    let mut upside_down = a_prediction();
    upside_down.resources[0].horizons[0].value_interval.lower = 2.0;
    refused(&upside_down, "resources[0].horizons[0].value_interval.upper");
    let mut now = a_prediction();
    now.resources[0].horizons[0].horizon_s = 0;
    refused(&now, "resources[0].horizons[0].horizon_s");
}

/// The framed sample with a piece of its bytes replaced by another of any length.
fn spliced(from: &[u8], to: &[u8]) -> Vec<u8> {
    let framed = a_sample().encode().unwrap();
    let at = framed.windows(from.len()).position(|w| w == from).expect("the piece is there");
    [&framed[..at], to, &framed[at + from.len()..]].concat()
}

#[test]
fn a_reader_refuses_what_a_writer_should_have() {
    let message = |framed: &[u8]| Sample::decode(framed).unwrap_err().to_string();
    // Avro writes a text's length zigzag: 5 bytes as 0x0a, none as 0x00.
    let no_workload = spliced(b"\x0aweb-1", b"\x00");
    assert_eq!(
        message(&no_workload),
        "Sample of workload \"\": workload: workload id is empty: give the VM's or workload's name"
    );
    let no_number = spliced(&1.5f64.to_le_bytes(), &f64::NAN.to_le_bytes());
    assert!(message(&no_number).contains("kpis[0].value: NaN is not a finite number"));
    let twice = spliced(b"\x18memory_bytes", b"\x1ccpu_cores_used");
    assert!(message(&twice).contains("\"cpu_cores_used\" appears twice"));
    let negative_step = spliced(b"\x78\x04", b"\x77\x04");
    assert!(message(&negative_step).contains("step_s: -60 is not within"), "{}", message(&negative_step));
}

#[test]
fn framing_and_ids_are_checked() {
    let framed = a_sample().encode().unwrap();
    assert_eq!(framed[..5], [0, 0, 0, 0, 1]);
    assert_eq!(Sample::decode(b""), Err(ContractError::NotFramed { bytes: 0 }));
    assert_eq!(Sample::decode(b"{\"json\": 1}"), Err(ContractError::NotFramed { bytes: 11 }));
    assert_eq!(Sample::decode(&[0, 0, 0, 9, 9]), Err(ContractError::UnknownSchema { id: 2313 }));
    let wrong = Prediction::decode(&framed).unwrap_err().to_string();
    assert!(wrong.contains("raw-kpis-value") && wrong.contains("predictions-value"), "{wrong}");
    let longer = [framed.clone(), vec![0]].concat();
    assert!(Sample::decode(&longer).unwrap_err().to_string().contains("1 bytes are left over"));
    assert!(matches!(record_json("nothing", &framed), Err(ContractError::UnknownTopic { .. })));
}

#[test]
fn both_prediction_topics_read_the_same_bytes() {
    let framed = a_prediction().encode().unwrap();
    let json = record_json("predictions-latest", &framed).unwrap();
    assert_eq!(json, record_json("predictions", &framed).unwrap());
    assert_eq!(json["resources"][0]["horizons"][0]["value"]["p99"], 1.0);
    assert_eq!(json["made_at"], 60_000);
}
