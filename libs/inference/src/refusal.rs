//! Why a model is not used: what is wrong, in which file, and what to do about it.

use std::path::PathBuf;
use std::time::Duration;

/// A model that did not pass the gate. The model that was in use before stays in use.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The folder has no such file.
    #[error(
        "{}: {} missing; a model folder holds model.onnx, manifest.toml and golden.json: export it again",
        folder.display(), missing.join(", ")
    )]
    FilesMissing {
        /// The model's folder.
        folder: PathBuf,
        /// Names of the files that it lacks.
        missing: Vec<&'static str>,
    },
    /// The operating system did not give the file.
    #[error("{}: cannot be read ({source}): check that it exists and may be read", path.display())]
    Unreadable {
        /// File or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A directory, a pipe or a device stands where a file should.
    #[error("{}: not a regular file: put the file itself there", path.display())]
    NotAFile {
        /// What was found.
        path: PathBuf,
    },
    /// The file is larger than the limit.
    #[error("{}: larger than {bytes_max} bytes: ship a smaller file or raise the limit", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        bytes_max: u64,
    },
    /// A symbolic link leads out of the model's folder.
    #[error("{}: leads out of its folder to {}: put the file itself into the folder", path.display(), target.display())]
    OutsideFolder {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The manifest cannot be read or contradicts itself.
    #[error("{file}: {problem}")]
    Manifest {
        /// The manifest.
        file: String,
        /// What is wrong and, where it is not plain, what to do.
        problem: String,
    },
    /// The model was made for other features than the caller computes.
    #[error(
        "{file}: made for features {found}, this build computes {expected}: train it on the features of FEATURES.md"
    )]
    FeatureSchema {
        /// The manifest.
        file: String,
        /// The hash that the manifest states.
        found: String,
        /// The hash of the caller's features.
        expected: String,
    },
    /// The model's bytes are not those that the manifest was written for.
    #[error("{file}: its sha256 is {found}, the manifest says {stated}: copy both files again from the same export")]
    Sha256 {
        /// The model.
        file: String,
        /// The hash of its bytes.
        found: String,
        /// The hash in the manifest.
        stated: String,
    },
    /// The bytes are no ONNX model.
    #[error("{file}: not an ONNX model ({problem}): export it again")]
    NotOnnx {
        /// The model.
        file: String,
        /// What the decoder said.
        problem: String,
    },
    /// A tensor's numbers are kept in another file, which would be read unchecked.
    #[error("{file}: tensor {tensor:?} keeps its data in another file: export it with all data inside")]
    ExternalData {
        /// The model.
        file: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// A weight is NaN, which the runtime's sigmoid and tanh would turn into a number.
    #[error("{file}: tensor {tensor:?} holds NaN: train it again, with a lower learning rate or clipped gradients")]
    NanWeight {
        /// The model.
        file: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// The operator set is not the stated one, or one that this runtime is not tested with.
    #[error("{file}: operator set {found}, but {expected}: export it with that one")]
    Opset {
        /// The model.
        file: String,
        /// Version of the operator set that the model imports; 0 where it imports none.
        found: i64,
        /// What it should be.
        expected: String,
    },
    /// An operator that this runtime does not have, or would compute otherwise than ONNX says.
    #[error("{file}: node {node:?}, operator {operator}: {reason}")]
    Operator {
        /// The model.
        file: String,
        /// Name of the node, or of its first output.
        node: String,
        /// The operator.
        operator: String,
        /// Why it is refused and what to do.
        reason: String,
    },
    /// Inputs or outputs are not as the manifest says.
    #[error("{file}: {table} are {found}, the manifest says {stated}: export model and manifest together")]
    Signature {
        /// The model.
        file: String,
        /// `inputs` or `outputs`.
        table: &'static str,
        /// What the graph declares.
        found: String,
        /// What the manifest states.
        stated: String,
    },
    /// The runtime cannot make or run a plan of the graph.
    #[error("{file}: cannot be run ({problem}): export it in plain operators")]
    NotRunnable {
        /// The model.
        file: String,
        /// What the runtime said.
        problem: String,
    },
    /// The golden vectors cannot be read or do not fit the manifest.
    #[error("{file}: {problem}: export it again")]
    GoldenVectors {
        /// The golden vectors.
        file: String,
        /// What is wrong.
        problem: String,
    },
    /// The model does not give the golden outputs.
    #[error(
        "{file}: golden step {step}: {output} is {apart:e} away from onnxruntime's, at most {tolerance:e} is allowed: \
         export it in plain operators, and verify the export"
    )]
    GoldenMismatch {
        /// The model.
        file: String,
        /// Step of the golden vectors, from 0.
        step: usize,
        /// Name of the output.
        output: &'static str,
        /// Largest absolute difference.
        apart: f32,
        /// The most that is allowed.
        tolerance: f32,
    },
    /// A golden input or what the model gives for it is NaN or infinite.
    #[error("{file}: golden step {step}, row {row}: an input or output is not finite: train and export it again")]
    NotFinite {
        /// The model.
        file: String,
        /// Step of the golden vectors, from 0.
        step: usize,
        /// Row of the step, from 0.
        row: usize,
    },
    /// The quantiles on golden inputs are not ascending.
    #[error("{file}: golden step {step}, row {row}: quantiles cross: build them from positive steps")]
    QuantilesCross {
        /// The model.
        file: String,
        /// Step of the golden vectors, from 0.
        step: usize,
        /// Row of the step, from 0.
        row: usize,
    },
    /// What a row gives depends on the other rows of the batch or on its place among them.
    #[error(
        "{file}: golden step {step}: the result of a row depends on {on}: use no operator across the batch axis, and \
         write sums along a row as matrix products (the runtime's own sums go by where the row lies in memory)"
    )]
    RowsDependent {
        /// The model.
        file: String,
        /// Step of the golden vectors, from 0.
        step: usize,
        /// On what.
        on: &'static str,
    },
    /// The model is too slow to be used.
    #[error("{file}: {what} took more than {deadline:?}: use a smaller model or allow more time")]
    TooSlow {
        /// The model.
        file: String,
        /// What took too long.
        what: &'static str,
        /// The time allowed.
        deadline: Duration,
    },
}

impl Refusal {
    pub(crate) fn not_runnable(file: &str, problem: impl Into<String>) -> Self {
        Self::NotRunnable { file: file.to_owned(), problem: problem.into() }
    }
}
