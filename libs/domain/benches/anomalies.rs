//! Cost of the detector of anomalies a sample, and its bytes of state, on one thread: workloads of 8 and of 38 KPIs, a sample
//! a minute in bins of 300 s, with ten days behind them.
//!
//! ```text
//! cargo bench -p prescale-domain --bench anomalies
//! ```
//!
//! Beside it, in the same run, the samples alone, without the closes of bins.

use prescale_domain::anomaly::{Close, Detector, Value};
use prescale_domain::time::EventTime;
use std::hint::black_box;
use std::time::Instant;

const STEP_S: i64 = 60;
const BIN_S: u32 = 300;
const SAMPLES_A_DAY: i64 = 1440;
const HISTORY_DAYS: i64 = 10;
const MEASURED_DAYS: i64 = 20;

/// A wave of the day, and noise that follows from the place.
fn fill(values: &mut [Value], sample: i64) {
    let day = (std::f64::consts::TAU * sample as f64 / SAMPLES_A_DAY as f64).sin();
    for value in values {
        let mut mixed = u64::from(value.kpi) << 40 | sample.unsigned_abs();
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let uniform = (mixed >> 11) as f64 / (1u64 << 53) as f64;
        value.value = Some(10.0 + f64::from(value.kpi) * day + uniform);
    }
}

fn run(kpis: u32, closes: bool) -> (f64, usize) {
    let mut detector = Detector::default();
    let mut values: Vec<Value> = (0..kpis).map(|kpi| Value { kpi, value: None }).collect();
    let mut one = |sample: i64| {
        fill(&mut values, sample);
        detector.add(&values);
        if closes && (sample + 1) % (i64::from(BIN_S) / STEP_S) == 0 {
            let at = EventTime::from_s(sample * STEP_S);
            black_box(detector.close(Close { at, bin_s: BIN_S }));
        }
    };
    let measured_from = HISTORY_DAYS * SAMPLES_A_DAY;
    (0..measured_from).for_each(&mut one);
    let measured = MEASURED_DAYS * SAMPLES_A_DAY;
    let begun = Instant::now();
    (measured_from..measured_from + measured).for_each(&mut one);
    let us = begun.elapsed().as_secs_f64() * 1e6 / measured as f64;
    (us, size_of::<Detector>() + detector.heap_bytes())
}

fn main() {
    for kpis in [8, 38] {
        let ((with, bytes), (without, _)) = (run(kpis, true), run(kpis, false));
        println!("{kpis:>3} KPIs: {with:.2} us a sample, {without:.2} us without closes; {bytes} bytes a workload");
    }
}
