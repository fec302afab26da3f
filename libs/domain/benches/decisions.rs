//! What it costs to plan 10,000 workloads in one tick on one core, once a week is behind each, and bytes of state; with
//! the rule of a Kubernetes autoscaler on the same demands beside it.
//!
//! ```text
//! cargo bench -p prescale-domain --bench decisions
//! ```
//!
//! Ticks come every five minutes, so each closes a bin of every workload; once in twelve the rules are chosen anew.

use prescale_domain::kpi::{CPU_CORES_USED, KpiName};
use prescale_domain::outcome::rules::reactive::Reactive;
use prescale_domain::outcome::{Seen, SizingRule};
use prescale_domain::policy::{Decision, Planning, Rules};
use prescale_domain::prediction::{HorizonForecast, Interval, Prediction, ResourceForecast};
use prescale_domain::quantiles::{QUANTILE_LEVELS, Quantiles};
use prescale_domain::sample::{Capacity, Platform};
use prescale_domain::source::SourceName;
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::sync::Arc;
use std::time::{Duration, Instant};

const WORKLOADS: usize = 10_000;
const STEP_S: u32 = 300;
const WEEK_TICKS: usize = 2016;
const TIMED_TICKS: usize = 24;
const CAPACITY_CORES: f64 = 4.0;

/// Day, week and noise, in cores.
fn demand(workload: usize, tick: usize) -> f64 {
    let mut bits = (workload as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (tick as u64 + 1).wrapping_mul(0xD1B5_4A32_D192_ED03);
    bits = (bits ^ (bits >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let noise = (bits >> 11) as f64 / (1u64 << 53) as f64;
    let day = (tick as f64 / 288.0 * std::f64::consts::TAU + workload as f64).sin();
    (1.2 + 0.8 * day + 0.6 * noise).max(0.0)
}

fn prediction(name: &WorkloadId, source: &SourceName, cpu: &KpiName, (tick, used): (usize, f64)) -> Prediction {
    let horizon = |horizon_s: u32| {
        let quantiles = Quantiles::rearranged(QUANTILE_LEVELS.map(|level| used + level)).expect("they are finite");
        let interval = Interval {
            nominal_coverage: 0.9,
            lower: used,
            upper: used + 1.0,
            trailing_coverage: Some(0.9),
            scored: 128,
        };
        HorizonForecast {
            horizon_s,
            value: quantiles,
            maximum: quantiles,
            value_interval: interval,
            maximum_interval: interval,
        }
    };
    let resource = ResourceForecast {
        resource: cpu.clone(),
        unit: "cores".into(),
        last: Some(used),
        model: "gru".into(),
        model_version: "1".into(),
        drift: None,
        started_from: Vec::new(),
        horizons: [300, 900, 3600].map(horizon).to_vec(),
    };
    Prediction {
        workload: name.clone(),
        source: source.clone(),
        made_at: EventTime::from_s(1_700_000_100 + tick as i64 * i64::from(STEP_S)),
        step_s: STEP_S,
        resources: vec![resource],
        signals: Vec::new(),
        earlier: Vec::new(),
        capacity: Some(Capacity {
            replicas: 1,
            cpu_cores_per_replica: CAPACITY_CORES,
            memory_bytes_per_replica: 8e9,
            instance_type: None,
        }),
        anomaly: None,
        platform: Platform::KUBERNETES,
    }
}

fn main() {
    let names: Vec<WorkloadId> =
        (0..WORKLOADS).map(|i| WorkloadId::new(&format!("fleet-{i:05}")).expect("a name")).collect();
    let source = SourceName::new("bench").expect("a name");
    let (cpu, id): (_, Arc<str>) = (KpiName::new(CPU_CORES_USED), "p".into());
    let (rules, mut planning) = (Rules::default(), Planning::default());
    let mut reactive: Vec<Reactive> = names.iter().map(|_| Reactive::new(0.7, 3600)).collect();
    let (mut planned, mut reacted, mut acted) = (Vec::new(), Vec::new(), 0u32);
    for tick in 0..WEEK_TICKS + TIMED_TICKS {
        let used: Vec<f64> = (0..WORKLOADS).map(|workload| demand(workload, tick)).collect();
        let predictions: Vec<Prediction> =
            names.iter().zip(&used).map(|(name, used)| prediction(name, &source, &cpu, (tick, *used))).collect();
        let began = Instant::now();
        for prediction in &predictions {
            acted += u32::from(matches!(planning.step(&rules, prediction, &id), Some(Decision::Act(_))));
        }
        let took = began.elapsed();
        let began = Instant::now();
        for (rule, (prediction, demand)) in reactive.iter_mut().zip(predictions.iter().zip(&used)) {
            let seen = Seen { at: prediction.made_at, step_s: STEP_S, demand: *demand, bought: None, forecast: None };
            std::hint::black_box(rule.decide(&seen));
        }
        if tick >= WEEK_TICKS {
            planned.push(took);
            reacted.push(began.elapsed());
        }
    }
    let line = |what: &str, times: &mut Vec<Duration>| {
        times.sort();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        let each_us = median.as_secs_f64() / WORKLOADS as f64 * 1e6;
        println!(
            "{what:<10} {:.3} s a tick (median of {TIMED_TICKS}; at most {:.3} s), {each_us:.2} µs a workload",
            median.as_secs_f64(),
            most.as_secs_f64()
        );
    };
    line("planner", &mut planned);
    line("reactive", &mut reacted);
    let bytes = bitcode::encode(&planning).len();
    println!(
        "{WORKLOADS} workloads, a week behind each; {acted} decisions to act; {} bytes of snapshot a workload",
        bytes / WORKLOADS
    );
}
