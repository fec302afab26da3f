//! A model that has passed the gate: one row a series and bin, with what the row has of the past, a carried
//! state or a window, in the caller's hands.

use crate::blocks::{Blocks, StepOutput};
use crate::files::ModelFiles;
use crate::gate::{self, Expected};
use crate::manifest::Manifest;
use crate::refusal::Refusal;

/// A step that could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// The slices do not hold the same number of whole rows.
    #[error(
        "model {model}: x holds {x} numbers and the past {past}: give the same number of rows, \
         of {features} features and of {past_size} numbers of the past"
    )]
    Lengths {
        /// Name of the model.
        model: String,
        /// Length of x.
        x: usize,
        /// Length of the past.
        past: usize,
        /// Features of one row.
        features: usize,
        /// Numbers of the past of one row.
        past_size: usize,
    },
    /// The runtime failed on a plan that had passed the gate.
    #[error("model {model}: the runtime failed: {problem}")]
    Runtime {
        /// Name of the model.
        model: String,
        /// What it said.
        problem: String,
    },
}

/// A model, ready to run. Threads may share it: a step changes nothing in it.
///
/// On one kind of processor the result of a row is the same to the bit whatever other rows are in the
/// call, wherever the row stands among them, and however often the model was loaded. Other kinds of
/// processor have other kernels, whose low bits may differ.
#[derive(Debug)]
pub struct Model {
    manifest: Manifest,
    blocks: Blocks,
}

impl Model {
    /// Passes the files through the gate and prepares the model.
    ///
    /// Takes wall-clock time, up to `expected.load_deadline`: keep it off the path of the data.
    ///
    /// # Errors
    /// The first reason found not to use the model.
    pub fn load(files: &ModelFiles, expected: &Expected) -> Result<Self, Refusal> {
        let (manifest, blocks) = gate::pass(files, expected)?;
        tracing::info!(model = manifest.name, version = manifest.version, origin = files.origin(), "model loaded");
        Ok(Self { manifest, blocks })
    }

    /// What the model says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Features of one row.
    pub fn features(&self) -> usize {
        self.blocks.widths().x
    }

    /// Numbers that a row has of the past: of its state, which is all zeros before a series' first bin, or
    /// of its window.
    pub fn past_size(&self) -> usize {
        self.blocks.widths().past
    }

    /// Numbers in the quantiles of one row: horizons × statistics (value, maximum) × levels.
    pub fn quantiles_per_row(&self) -> usize {
        self.blocks.widths().q
    }

    /// Horizons, in seconds, ascending.
    pub fn horizons_s(&self) -> &[u32] {
        &self.manifest.horizons_s
    }

    /// One step of any number of rows: `x` is rows × features, `past` rows × state size or rows × bins of
    /// the window, both row-major. `out` is overwritten.
    ///
    /// A row whose inputs or results are not finite is marked in [`StepOutput::finite`] and does not
    /// touch the others.
    ///
    /// # Errors
    /// The lengths do not fit, or the runtime failed; `out` is then of no use.
    pub fn step(&self, x: &[f32], past: &[f32], out: &mut StepOutput) -> Result<(), InferenceError> {
        let (features, past_size) = (self.features(), self.past_size());
        let whole = x.len().is_multiple_of(features) && past.len().is_multiple_of(past_size);
        if !whole || x.len() / features != past.len() / past_size {
            let model = self.manifest.name.clone();
            return Err(InferenceError::Lengths { model, x: x.len(), past: past.len(), features, past_size });
        }
        self.blocks
            .step(x, past, out)
            .map_err(|e| InferenceError::Runtime { model: self.manifest.name.clone(), problem: format!("{e:#}") })
    }
}
