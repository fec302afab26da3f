//! Forecast scores and what follows from them through Avro and back, what is refused of them, and how many bytes an hour
//! takes.

use crate::contract::Contract;
use crate::error::ContractError;
use crate::json::record_json;
use prescale_domain::calibration::drift::DriftState;
use prescale_domain::forecast_score::{
    ForecastScore, HorizonScore, PairedLoss, ResourceScore, StatisticScore, TrialLoss,
};
use prescale_domain::kpi::KpiName;
use prescale_domain::retraining::{RetrainingRequest, TrainedFamily};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use proptest::prelude::*;

fn statistic() -> impl Strategy<Value = StatisticScore> {
    let amounts = (0.0..1e9f32, -1e9..1e9f32, -1e9..1e9f32);
    (0..100u32, 0..100u32, 1..100u32, amounts).prop_map(|(held, missed, unjudged, (loss, realised, median))| {
        StatisticScore {
            scored: held + missed + unjudged,
            pinball_loss: loss.into(),
            realised: realised.into(),
            median: median.into(),
            judged: held + missed,
            held,
        }
    })
}

fn horizons() -> impl Strategy<Value = Vec<HorizonScore>> {
    let horizon = (1..100_000u32, statistic(), prop::option::of(statistic()));
    prop::collection::vec(horizon, 1..4).prop_map(|horizons| {
        let after = |at_s: &mut u32, (later_s, value, maximum): (u32, StatisticScore, Option<StatisticScore>)| {
            *at_s += later_s;
            Some(HorizonScore { horizon_s: *at_s, value: Some(value), maximum })
        };
        horizons.into_iter().scan(0, after).collect()
    })
}

fn resource(name: &'static str) -> impl Strategy<Value = ResourceScore> {
    let paired = prop::collection::vec(("[a-z-]{1,20}", "[0-9.]{0,8}", 0.0..1e9f32), 0..4);
    let drift = prop::option::of(prop_oneof![Just(DriftState::Stable), Just(DriftState::FallenBack)]);
    let trials = prop::collection::vec(("[a-z-]{1,20}", 0..4_102_444_800_000i64, 1..100u32, 0.0..1e9f32), 0..3);
    let trials = trials.prop_map(|trials| -> Vec<TrialLoss> {
        let trial = |(model, from_ms, rounds, loss): (String, i64, u32, f32)| TrialLoss {
            model: model.into(),
            model_version: "1".into(),
            candidate_version: "1+20260101T0000".into(),
            trial_from: EventTime::from_ms(from_ms),
            rounds,
            pinball_loss: loss.into(),
            candidate_loss: (loss / 2.0).into(),
        };
        trials.into_iter().map(trial).collect()
    });
    ("[a-z-]{1,20}", "[0-9.]{0,8}", drift, horizons(), paired, trials).prop_map(
        move |(model, version, drift, horizons, paired, trials)| {
            let paired: Vec<PairedLoss> = paired
                .into_iter()
                .map(|(model, version, loss)| PairedLoss {
                    model: model.into(),
                    model_version: version.into(),
                    pinball_loss: loss.into(),
                })
                .collect();
            ResourceScore {
                resource: KpiName::new(name),
                unit: "cores".into(),
                model: model.into(),
                model_version: version.into(),
                drift,
                horizons,
                rounds: u32::from(!paired.is_empty()),
                paired,
                trials,
            }
        },
    )
}

fn score() -> impl Strategy<Value = ForecastScore> {
    let resources = (resource("cpu_cores_used"), resource("memory_bytes"));
    ("[a-z0-9-]{1,40}", 0..4_102_444_800_000i64, 1..=u32::MAX, resources).prop_map(
        |(workload, from_ms, hours, (cpu, memory))| ForecastScore {
            workload: WorkloadId::new(&workload).unwrap(),
            source: SourceName::new("fleet:test").unwrap(),
            from: EventTime::from_ms(from_ms),
            hours,
            resources: vec![cpu, memory],
        },
    )
}

/// Of two resources, three horizons and four families, as the defaults have them.
fn whole() -> ForecastScore {
    let statistic = StatisticScore { scored: 12, pinball_loss: 0.5, realised: 3.0, median: 2.5, judged: 12, held: 11 };
    let horizon = |horizon_s| HorizonScore { horizon_s, value: Some(statistic), maximum: Some(statistic) };
    let paired = |model: &str| PairedLoss { model: model.into(), model_version: "1".into(), pinball_loss: 0.5 };
    let resource = |name: &str| ResourceScore {
        resource: KpiName::new(name),
        unit: "cores".into(),
        model: "gru".into(),
        model_version: "0.1.0".into(),
        drift: Some(DriftState::Stable),
        horizons: [300, 900, 3600].map(horizon).to_vec(),
        rounds: 1,
        paired: ["gru", "exponential-smoothing", "seasonal-naive", "last-value"].map(paired).to_vec(),
        trials: Vec::new(),
    };
    ForecastScore {
        workload: WorkloadId::new("fleet-web-003").unwrap(),
        source: SourceName::new("fleet:demo").unwrap(),
        from: EventTime::from_s(1_767_225_600),
        hours: 1,
        resources: ["cpu_cores_used", "memory_bytes"].map(resource).to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn scores_round_trip(value in score()) {
        let framed = value.encode().unwrap();
        let read = ForecastScore::decode(&framed).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(read.encode().unwrap(), framed.clone());
        prop_assert!(record_json(ForecastScore::TOPIC, &framed).is_ok());
        prop_assert!(ForecastScore::decode(&framed[..framed.len() - 1]).is_err());
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let refused = |change: fn(&mut ForecastScore)| {
        let mut value = whole();
        change(&mut value);
        match value.encode() {
            Err(ContractError::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    };
    let value = |score: &mut ForecastScore, change: fn(&mut StatisticScore)| {
        change(score.resources[1].horizons[2].value.as_mut().unwrap());
    };
    assert_eq!(refused(|score| score.hours = 0), "hours");
    assert_eq!(refused(|score| score.resources.clear()), "resources");
    assert_eq!(refused(|score| score.resources.reverse()), "resources[1].resource");
    assert_eq!(refused(|score| score.resources[0].horizons.reverse()), "resources[0].horizons[1].horizon_s");
    assert_eq!(refused(|score| score.resources[0].rounds = 0), "resources[0].rounds");
    type Change = (fn(&mut StatisticScore), &'static str);
    let changes: [Change; 4] = [
        (|value| value.scored = 0, "scored"),
        (|value| value.judged = 13, "judged"),
        (|value| value.held = 13, "held"),
        (|value| value.pinball_loss = -0.5, "pinball_loss"),
    ];
    for (change, field) in changes {
        let mut score = whole();
        value(&mut score, change);
        let error = score.encode().unwrap_err().to_string();
        assert!(error.contains(&format!("resources[1].horizons[2].value.{field}")), "{error}");
    }
}

/// At a sample a minute less than 10 bytes a sample, before records are packed together.
#[test]
fn an_hour_of_a_workload_takes_less_than_600_bytes() {
    let bytes = whole().encode().unwrap().len();
    println!("{bytes} bytes");
    assert!(bytes < 600, "{bytes}");
}

#[test]
fn a_request_for_retraining_has_the_family_as_its_key() {
    let request = RetrainingRequest {
        family: TrainedFamily::named("random-forest").unwrap(),
        model_version: "0.2.0".into(),
        workload: WorkloadId::new("fleet-web-003").unwrap(),
        source: SourceName::new("fleet:demo").unwrap(),
        resource: KpiName::new("cpu_cores_used"),
        from: EventTime::from_s(1_767_225_600),
        to: EventTime::from_s(1_767_398_400),
        loss_before: 0.25,
        loss_now: 0.5,
    };
    let framed = request.encode().unwrap();
    let read = RetrainingRequest::decode(&framed).unwrap();
    assert_eq!((&read, Contract::workload(&read).as_str()), (&request, "random-forest"));
    let backwards = RetrainingRequest { to: request.from, ..request.clone() };
    let error = backwards.encode().unwrap_err().to_string();
    assert!(error.contains("to") && error.contains("is not after from"), "{error}");
    let negative = RetrainingRequest { loss_now: -0.5, ..request };
    assert!(negative.encode().is_err());
}
