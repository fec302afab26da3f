//! A difference below zero in unsigned arithmetic is no measurement.

use super::run::{Run, clock, none_wrong, shown};
use super::series::{DAY_S, HOUR_S, START_S, noise};
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use std::fmt::Write;

/// Millicores that each pod uses, of 500.
const PODS: [f64; 3] = [33.0, 180.0, 7.0];
/// How far below zero a difference was, and at which minute.
const BELOW_ZERO: [(i64, u64); 4] = [(400, 25), (700, 37), (1100, 25), (1436, 7262)];

/// Minutes of pods, of which some values are 2⁶⁴ − x.
fn csv() -> String {
    let mut text = "timestamp,pod,cpu_millicores,mem\n".to_owned();
    for minute in 0..DAY_S / 60 {
        for (i, used) in PODS.into_iter().enumerate() {
            let spike = BELOW_ZERO.into_iter().find(|(at, _)| *at == minute - 11 * i as i64);
            let cpu = spike.map_or_else(
                || (used * (1.0 + 0.06 * noise(i as u64, minute))).round() as u64,
                |(_, below)| u64::MAX - below + 1,
            );
            let memory = 210_500_000 + (300_000.0 * noise(4, minute)) as i64;
            writeln!(text, "{},api-{i},{cpu},{memory}", START_S + 60 * minute).expect("a text takes all");
        }
    }
    text
}

fn assert_is_right(cpu: &str) {
    let mapping =
        format!("entity=pod,time=timestamp,cpu={cpu} / 1000.0,memory=mem,cpu_capacity=0.5,memory_capacity=536870912.0");
    let run = Run::over(&csv(), &mapping);
    for (i, used) in PODS.into_iter().enumerate() {
        let (name, level) = (format!("api-{i}"), used / 1000.0);
        let increases = run.actions(&name).iter().filter(|action| {
            action.desired.cpu_cores() > action.current.cpu_cores()
                || action.desired.memory_bytes() > action.current.memory_bytes()
        });
        none_wrong(&name, increases.map(shown).collect());
        for horizon_s in [300, 900, 3600] {
            let made = run.forecasts(&name, CPU_CORES_USED, horizon_s).into_iter().filter(|(at_s, _)| *at_s >= HOUR_S);
            let moved = made.filter_map(|(at_s, forecast)| {
                let (median, most) = (forecast.value.median(), forecast.maximum.values()[7]);
                let is_right = (0.8 * level..1.2 * level).contains(&median) && most < 3.0 * level;
                (!is_right).then(|| format!("{}: {median} cores, at most {most}", clock(at_s)))
            });
            none_wrong(&format!("{name} in {horizon_s} s"), moved.collect());
        }
        assert!(run.least(&name, MEMORY_BYTES, 0..DAY_S) > 2e8, "memory in the same rows stays");
        assert_eq!(run.predictions(&name).iter().filter(|made| made.capacity.is_none()).count(), 0, "{name}");
    }
}

#[test]
fn spikes_move_neither_forecast_nor_capacity() {
    assert_is_right("cpu_millicores");
}

#[test]
fn spikes_that_the_mapping_casts_move_neither_forecast_nor_capacity() {
    assert_is_right("try_cast(cpu_millicores as double)");
}
