//! Runs a model over any number of rows, in blocks of a fixed number of rows.
//!
//! The batch axis is fixed at [`BLOCK_ROWS`] when the plan is made, and the last block is filled up
//! with zeros. So each row is computed by the same kernels in the same order of additions whatever
//! other rows there are, and its result is the same to the bit. Manifests and gates are not known here.

use crate::manifest::{Kind, Manifest};
use std::sync::Arc;
use tract_onnx::pb::ModelProto;
use tract_onnx::prelude::{
    DatumExt, Framework, InferenceModelExt, IntoRunnable, TValue, Tensor, TractError, TractResult, TypedSimplePlan,
    tvec,
};

/// Rows in a block: a larger one gives more rows a second, a smaller one costs a single row less.
/// The low bits may depend on it, so another number is a new version of every model.
pub const BLOCK_ROWS: usize = 128;

/// What a step gives, row-major. Keep one and hand it in again: its buffers are reused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StepOutput {
    /// rows × horizons × statistics (value, maximum) × levels, in units of the row's scale.
    pub q: Vec<f32>,
    /// rows × state size: `h` of the row's next step. Empty for a windowed model.
    pub h_out: Vec<f32>,
    /// One per row: whether all its numbers are finite, in the inputs as well as in the outputs (the
    /// runtime's sigmoid and tanh turn NaN into a number). Use nothing of the row where not.
    pub finite: Vec<bool>,
}

/// Numbers per row of each tensor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Widths {
    pub(crate) x: usize,
    /// `h` or `w`.
    pub(crate) past: usize,
    pub(crate) q: usize,
    /// 0 for a windowed model.
    pub(crate) h_out: usize,
}

impl Widths {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let past = manifest.kind.past_size();
        let h_out = if matches!(manifest.kind, Kind::Stateful { .. }) { past } else { 0 };
        Self { x: manifest.features, past, q: manifest.quantiles_per_row(), h_out }
    }

    /// `q` and `h_out` of one row.
    pub(crate) fn row<'a>(&self, out: &'a StepOutput, row: usize) -> (&'a [f32], &'a [f32]) {
        (&out.q[row * self.q..][..self.q], &out.h_out[row * self.h_out..][..self.h_out])
    }

    /// Those of the inputs in the order of the graph: `x, h` or `w, x`.
    fn inputs(&self) -> [usize; 2] {
        if self.h_out > 0 { [self.x, self.past] } else { [self.past, self.x] }
    }

    /// Those of the outputs, likewise: `q, h_out` or `q`.
    fn outputs(&self) -> impl Iterator<Item = usize> {
        [self.q, self.h_out].into_iter().filter(|width| *width > 0)
    }
}

/// A plan for blocks. Threads may share it.
#[derive(Debug)]
pub(crate) struct Blocks {
    plan: Arc<TypedSimplePlan>,
    widths: Widths,
}

impl Blocks {
    /// Optimises the graph for blocks. Its inputs must be `x, h` and its outputs `q, h_out`, or those of a
    /// windowed model `w, x` and `q`.
    pub(crate) fn new(proto: &ModelProto, widths: Widths) -> TractResult<Self> {
        let mut model = tract_onnx::onnx().model_for_proto_model(proto)?;
        for (input, width) in widths.inputs().into_iter().enumerate() {
            model.set_input_fact(input, f32::fact([BLOCK_ROWS, width]).into())?;
        }
        let mut model = model.into_typed()?;
        // Code generation alone: the runtime's rewriting before it cuts products with wide matrices
        // into several wherever their results are sliced, which costs the shipped GRU a quarter of
        // its rows a second.
        model.optimize()?;
        for (output, width) in widths.outputs().enumerate() {
            let shape = &model.output_fact(output)?.shape;
            let fits = |axes: &[usize]| {
                axes.first() == Some(&BLOCK_ROWS) && axes.iter().product::<usize>() == BLOCK_ROWS * width
            };
            if !shape.as_concrete().is_some_and(fits) {
                let stated = format!("{BLOCK_ROWS} rows of {width} numbers");
                return Err(TractError::msg(format!("output {output} is of shape {shape:?} instead of {stated}")));
            }
        }
        let plan = model.into_runnable()?;
        Ok(Self { plan, widths })
    }

    pub(crate) fn widths(&self) -> Widths {
        self.widths
    }

    /// One step of as many rows as `x` and `past` hold; they must hold the same number of whole rows.
    pub(crate) fn step(&self, x: &[f32], past: &[f32], out: &mut StepOutput) -> TractResult<()> {
        out.q.clear();
        out.h_out.clear();
        out.finite.clear();
        let mut scratch = self.plan.spawn()?;
        let blocks = x.chunks(BLOCK_ROWS * self.widths.x).zip(past.chunks(BLOCK_ROWS * self.widths.past));
        for (x, past) in blocks {
            let (own, before) = (filled_up(x, self.widths.x)?.into(), filled_up(past, self.widths.past)?.into());
            let inputs = if self.widths.h_out > 0 { tvec!(own, before) } else { tvec!(before, own) };
            let outputs = scratch.run(inputs)?;
            self.append([x, past], &outputs, out)?;
        }
        Ok(())
    }

    fn append(&self, [x, past]: [&[f32]; 2], outputs: &[TValue], out: &mut StepOutput) -> TractResult<()> {
        let Widths { x: x_width, past: past_width, q: q_width, h_out: h_width } = self.widths;
        let rows = x.len() / x_width;
        let q = &outputs[0].try_as_plain_ram()?.as_slice::<f32>()?[..rows * q_width];
        let h_out = match outputs.get(1) {
            Some(h_out) => &h_out.try_as_plain_ram()?.as_slice::<f32>()?[..rows * h_width],
            None => &[],
        };
        let tensors = [(x, x_width), (past, past_width), (q, q_width), (h_out, h_width)];
        let finite =
            |row: usize| tensors.iter().all(|(t, width)| t[row * width..][..*width].iter().all(|v| v.is_finite()));
        out.finite.extend((0..rows).map(finite));
        out.q.extend_from_slice(q);
        out.h_out.extend_from_slice(h_out);
        Ok(())
    }
}

fn filled_up(rows: &[f32], width: usize) -> TractResult<Tensor> {
    let mut tensor = Tensor::zero::<f32>(&[BLOCK_ROWS, width])?;
    tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?[..rows.len()].copy_from_slice(rows);
    Ok(tensor)
}
