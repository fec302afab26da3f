//! Rows a second through the models that ship, on one thread, by rows a call, beside onnxruntime in the same run;
//! and what carrying the state saves over computing it anew from a day of bins.
//!
//! ```text
//! python3 -m venv venv && venv/bin/pip install numpy onnxruntime
//! PRESCALE_PYTHON=$PWD/venv/bin/python cargo bench -p prescale-inference --bench step -- [MODEL_FOLDER...]
//! ```

use prescale_inference::{BLOCK_ROWS, Expected, FileLimits, Kind, Manifest, Model, ModelFiles, StepOutput};
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

const ROWS: [usize; 4] = [1, 16, 256, 4096];
const TURNS: usize = 5;
const TURN: Duration = Duration::from_millis(400);

/// Bins that a model without carried state would have to go through again at each tick.
const DAY_BINS: u32 = 288;

/// Numbers in -1 .. 1 from a formula, the same in `time_onnxruntime.py`.
fn wave(count: usize) -> Vec<f32> {
    (0..count as u64).map(|i| (i * 2_654_435_761 % 1000) as f32 / 500.0 - 1.0).collect()
}

/// Time of the fastest of the calls that fit into a turn; other work on the machine disturbs it least. A stateful
/// model gets its state back.
fn fastest_call(model: &Model, rows: usize) -> Duration {
    let x = wave(rows * model.features());
    let is_stateful = matches!(model.manifest().kind, Kind::Stateful { .. });
    let mut past = if is_stateful { vec![0.0; rows * model.past_size()] } else { wave(rows * model.past_size()) };
    let mut out = StepOutput::default();
    let mut fastest = Duration::MAX;
    let began = Instant::now();
    while began.elapsed() < TURN {
        let call = Instant::now();
        model.step(black_box(&x), &past, &mut out).expect("the lengths fit");
        fastest = fastest.min(call.elapsed());
        if is_stateful {
            std::mem::swap(&mut past, &mut out.h_out);
        }
    }
    assert!(out.finite.iter().all(|finite| *finite));
    fastest
}

/// Time of going through a day of bins from zeros, for the forecast of the last one.
fn day(model: &Model, rows: usize) -> Duration {
    let x = wave(rows * model.features());
    let mut h = vec![0.0; rows * model.past_size()];
    let mut out = StepOutput::default();
    let began = Instant::now();
    for _ in 0..DAY_BINS {
        model.step(black_box(&x), &h, &mut out).expect("the lengths fit");
        std::mem::swap(&mut h, &mut out.h_out);
    }
    began.elapsed()
}

/// onnxruntime in a process of its own, which measures when it is told to.
struct OnnxRuntime {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl OnnxRuntime {
    /// `None`, with a word on how to get it, where `PRESCALE_PYTHON` is not set.
    fn of(folder: &Path) -> Option<Self> {
        let Some(python) = std::env::var_os("PRESCALE_PYTHON") else {
            println!(
                "  not compared: set PRESCALE_PYTHON to a Python with numpy and onnxruntime\n  \
                 (python3 -m venv venv && venv/bin/pip install numpy onnxruntime)"
            );
            return None;
        };
        let script = package().join("benches/time_onnxruntime.py");
        let mut command = Command::new(&python);
        command.arg(script).arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("PRESCALE_PYTHON = {python:?} does not start: {e}"));
        let (ask, answers) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        Some(Self { child, ask, answers: BufReader::new(answers) })
    }

    fn fastest_call(&mut self, rows: usize) -> Duration {
        writeln!(self.ask, "{rows} {}", TURN.as_secs_f64()).expect("it listens");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        Duration::from_secs_f64(line.trim().parse().expect("seconds; what went wrong stands above"))
    }
}

impl Drop for OnnxRuntime {
    fn drop(&mut self) {
        // It ends with its input; if it has ended already, all the better.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn package() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is").into()
}

/// The folders that are named, or those of the models that ship.
fn folders() -> Vec<PathBuf> {
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(PathBuf::from).collect();
    if !named.is_empty() {
        return named;
    }
    let models = package().join("../../models");
    let entries = std::fs::read_dir(models).expect("models ship").map(|entry| entry.expect("it is readable").path());
    let mut shipped: Vec<PathBuf> = entries.filter(|folder| folder.join("manifest.toml").exists()).collect();
    shipped.sort();
    shipped
}

fn main() {
    for folder in folders() {
        let files = ModelFiles::from_folder(&folder, &FileLimits::default()).expect("a model folder");
        let manifest = Manifest::parse(files.manifest(), "manifest.toml").expect("a good manifest");
        let began = Instant::now();
        let model =
            Model::load(&files, &Expected::features(&manifest.feature_schema_hash)).expect("it passes the gate");
        let gate_ms = began.elapsed().as_secs_f64() * 1e3;
        println!(
            "{} {}, {}: through the gate in {gate_ms:.0} ms; blocks of {BLOCK_ROWS} rows",
            manifest.name,
            manifest.version,
            manifest.kind.name()
        );
        let mut other = OnnxRuntime::of(&folder);
        for rows in ROWS {
            let (mut ours, mut theirs) = (Duration::MAX, Duration::MAX);
            for _ in 0..TURNS {
                ours = ours.min(fastest_call(&model, rows));
                theirs = theirs.min(other.as_mut().map_or(Duration::MAX, |other| other.fastest_call(rows)));
            }
            let per_s = |took: Duration| rows as f64 / took.as_secs_f64();
            print!("  {rows:>5} rows a call: tract {:>9.0} rows/s", per_s(ours));
            match other {
                Some(_) => println!(", onnxruntime {:>9.0}, {:.2} times", per_s(theirs), per_s(ours) / per_s(theirs)),
                None => println!(),
            }
        }
        if matches!(manifest.kind, Kind::Stateful { .. }) {
            let rows = 256;
            let carried = (0..TURNS).map(|_| fastest_call(&model, rows)).min().expect("turns");
            let anew = (0..TURNS).map(|_| day(&model, rows)).min().expect("turns");
            println!("  a tick of {rows} series: {carried:.1?} with carried state, {anew:.1?} anew from a day of bins");
            if let Some(other) = &mut other {
                let anew = other.fastest_call(rows) * DAY_BINS;
                let times = anew.as_secs_f64() / carried.as_secs_f64();
                println!("  onnxruntime anew from a day, at its fastest: {anew:.1?}, {times:.0} times");
            }
        }
    }
}
