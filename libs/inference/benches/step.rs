//! Rows a second through one step of the shipped GRU, on one thread, by rows a call.
//!
//! ```text
//! cargo bench -p prescale-inference
//! python libs/inference/benches/time_onnxruntime.py models/gru    # the same with onnxruntime
//! ```

use prescale_inference::{BLOCK_ROWS, Expected, FileLimits, Manifest, ModelFiles, StatefulModel, StepOutput};
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

const ROWS: [usize; 4] = [1, 16, 256, 4096];
const AT_LEAST: Duration = Duration::from_secs(2);

/// Numbers in -1 .. 1 from a formula, the same in `time_onnxruntime.py`.
fn wave(count: usize) -> Vec<f32> {
    (0..count as u64).map(|i| (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0).collect()
}

/// Steps with carried state for at least [`AT_LEAST`]: rows a second over all calls, and of the fastest
/// call, which other work on the machine disturbs least.
fn rows_per_s(model: &StatefulModel, rows: usize) -> (f64, f64) {
    let x = wave(rows * model.features());
    let mut h = vec![0.0; rows * model.state_size()];
    let mut out = StepOutput::default();
    let (mut calls, mut fastest) = (0usize, Duration::MAX);
    let began = Instant::now();
    while began.elapsed() < AT_LEAST {
        let call = Instant::now();
        model.step(black_box(&x), &h, &mut out).expect("the lengths fit");
        fastest = fastest.min(call.elapsed());
        std::mem::swap(&mut h, &mut out.h_out);
        calls += 1;
    }
    assert!(out.finite.iter().all(|finite| *finite));
    let per_s = |rows: usize, took: Duration| rows as f64 / took.as_secs_f64();
    (per_s(calls * rows, began.elapsed()), per_s(rows, fastest))
}

fn main() {
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let folder = Path::new(&package).join("../../models/gru");
    let files = ModelFiles::from_folder(&folder, &FileLimits::default()).expect("the shipped model is there");
    let manifest = Manifest::parse(files.manifest(), "manifest.toml").expect("a good manifest");
    let began = Instant::now();
    let model =
        StatefulModel::load(&files, &Expected::features(&manifest.feature_schema_hash)).expect("it passes the gate");
    println!("gate: {:.0} ms; blocks of {BLOCK_ROWS} rows", began.elapsed().as_secs_f64() * 1e3);
    for rows in ROWS {
        let (all, fastest) = rows_per_s(&model, rows);
        println!("{rows:>5} rows a call: {all:>9.0} rows/s, fastest call {fastest:>9.0} rows/s");
    }
}
