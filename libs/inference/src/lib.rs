//! ONNX models through tract, behind a gate: a model is used only after its files, graph and golden
//! vectors were checked.
//!
//! An edge: it reads files and, in the gate, the wall clock. It must not know the bus, nor how
//! features are made or forecasts used.

mod blocks;
mod files;
mod gate;
mod golden;
mod graph;
mod manifest;
mod model;
mod refusal;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod trial;

pub use blocks::{BLOCK_ROWS, StepOutput};
pub use files::{FileLimits, GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, ModelFiles};
pub use gate::Expected;
pub use manifest::{Axis, Kind, Manifest, STATISTICS, TensorSpec, Training, WINDOW_BINS_MAX};
pub use model::{InferenceError, Model};
pub use refusal::Refusal;
