//! Runs a prepared model on its golden inputs and refuses it where it strays from them.

use crate::blocks::{BLOCK_ROWS, Blocks, StepOutput};
use crate::golden::{Golden, GoldenStep};
use crate::refusal::Refusal;
use prescale_domain::quantiles::LEVELS;
use std::time::{Duration, Instant};
use tract_onnx::prelude::TractResult;

/// How far a quantile may lie below the one before, per unit of magnitude: float32 rounding of sums.
const CROSSING_TOLERANCE: f32 = 1e-5;

/// Runs the golden steps, a stateful model's with carried state: all rows together, each row alone, and
/// each row at each place of a full block; times the full blocks.
pub(crate) fn run(blocks: &Blocks, golden: &Golden, block_deadline: Duration, file: &str) -> Result<(), Refusal> {
    let failed = |e| Refusal::not_runnable(file, format!("{e:#}"));
    let mut h = vec![0.0; golden.rows * blocks.widths().h_out];
    let mut fastest = Duration::MAX;
    for (step, vectors) in golden.steps.iter().enumerate() {
        let x = &vectors.x;
        let past = if vectors.w.is_empty() { &h } else { &vectors.w };
        let mut together = StepOutput::default();
        blocks.step(x, past, &mut together).map_err(failed)?;
        let file = file.to_owned();
        match outputs_of(&together, vectors, golden.tolerance, blocks.widths().q) {
            Outputs::Golden => {}
            Outputs::NotFinite { row } => return Err(Refusal::NotFinite { file, step, row }),
            Outputs::Crossing { row } => return Err(Refusal::QuantilesCross { file, step, row }),
            Outputs::Apart { output, by } => {
                let tolerance = golden.tolerance;
                return Err(Refusal::GoldenMismatch { file, step, output, apart: by, tolerance });
            }
        }
        if !alone(blocks, x, past, &together).map_err(failed)? {
            return Err(Refusal::RowsDependent { file, step, on: "which other rows there are" });
        }
        match at_each_place(blocks, x, past, &together).map_err(failed)? {
            Some(took) => fastest = fastest.min(took),
            None => return Err(Refusal::RowsDependent { file, step, on: "its place among them" }),
        }
        h = together.h_out;
    }
    if fastest > block_deadline {
        return Err(Refusal::TooSlow { file: file.to_owned(), what: "one block of rows", deadline: block_deadline });
    }
    Ok(())
}

enum Outputs {
    Golden,
    NotFinite { row: usize },
    Crossing { row: usize },
    Apart { output: &'static str, by: f32 },
}

fn outputs_of(got: &StepOutput, golden: &GoldenStep, tolerance: f32, quantiles_per_row: usize) -> Outputs {
    if let Some(row) = got.finite.iter().position(|finite| !finite) {
        return Outputs::NotFinite { row };
    }
    let ascends = |q: &[f32]| q.is_sorted_by(|a, b| b - a >= -CROSSING_TOLERANCE * (1.0 + b.abs()));
    if let Some(at) = got.q.chunks(LEVELS).position(|q| !ascends(q)) {
        return Outputs::Crossing { row: at * LEVELS / quantiles_per_row };
    }
    for (output, got, golden) in [("q", &got.q, &golden.q), ("h_out", &got.h_out, &golden.h_out)] {
        let by = got.iter().zip(golden).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        if by > tolerance {
            return Outputs::Apart { output, by };
        }
    }
    Outputs::Golden
}

/// Whether each row alone gives the bits that it gave together with the others.
fn alone(blocks: &Blocks, x: &[f32], past: &[f32], together: &StepOutput) -> TractResult<bool> {
    let widths = blocks.widths();
    let mut out = StepOutput::default();
    for (row, (x, past)) in x.chunks(widths.x).zip(past.chunks(widths.past)).enumerate() {
        blocks.step(x, past, &mut out)?;
        if !same_bits(widths.row(&out, 0), widths.row(together, row)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Fills blocks with the rows over and over, each time beginning with another one. Gives the
/// fastest block's time, or `None` where a row's bits depend on its place.
fn at_each_place(blocks: &Blocks, x: &[f32], past: &[f32], together: &StepOutput) -> TractResult<Option<Duration>> {
    let widths = blocks.widths();
    let rows = together.finite.len();
    let mut out = StepOutput::default();
    let mut fastest = Duration::MAX;
    for first in 0..rows {
        let row_at = |place: usize| (first + place) % rows;
        let full = |numbers: &[f32], width: usize| -> Vec<f32> {
            (0..BLOCK_ROWS).flat_map(|place| numbers[row_at(place) * width..][..width].to_vec()).collect()
        };
        let (x, past) = (full(x, widths.x), full(past, widths.past));
        let began = Instant::now();
        blocks.step(&x, &past, &mut out)?;
        fastest = fastest.min(began.elapsed());
        let same = |place| same_bits(widths.row(&out, place), widths.row(together, row_at(place)));
        if !(0..BLOCK_ROWS).all(same) {
            return Ok(None);
        }
    }
    Ok(Some(fastest))
}

fn same_bits(a: (&[f32], &[f32]), b: (&[f32], &[f32])) -> bool {
    let bits = |(q, h_out): (&[f32], &[f32])| -> Vec<u32> { q.iter().chain(h_out).map(|v| v.to_bits()).collect() };
    bits(a) == bits(b)
}
