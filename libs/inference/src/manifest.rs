//! What a model says about itself: the typed form of `manifest.toml`, checked against itself.
//!
//! It must not know the ONNX file or the runtime.

use crate::refusal::Refusal;
use prescale_domain::quantiles::{LEVELS, QUANTILE_LEVELS};
use serde::Deserialize;
use std::fmt;

/// Statistics that a model forecasts at each horizon: the value, and the maximum up to then.
pub const STATISTICS: usize = 2;

/// Most bins of a window: a day of five minutes each, which is what is kept of a series.
pub const WINDOW_BINS_MAX: usize = 288;

/// Most bins that a model may ask for before its forecasts are used: a week of five minutes each.
const BINS_NEEDED_MAX: u64 = 2016;

/// Bins that a stateful model needs where its manifest does not say.
const STATEFUL_BINS_NEEDED: u64 = 12;

const AXIS_LENGTH_MAX: i64 = 1 << 16;

/// How a model sees the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// One bin's features and a carried state in, the next state out.
    Stateful {
        /// Numbers in the state of one row.
        state_size: usize,
    },
    /// One bin's features and the demand of the last bins in, nothing carried.
    Windowed {
        /// Bins in the window, the open one included: 1 to [`WINDOW_BINS_MAX`].
        bins: usize,
    },
}

impl Kind {
    /// The name in the manifest.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Stateful { .. } => "stateful",
            Self::Windowed { .. } => "windowed",
        }
    }

    /// Numbers that a row has of its past: its state, or its window.
    pub fn past_size(&self) -> usize {
        match self {
            Self::Stateful { state_size } => *state_size,
            Self::Windowed { bins } => *bins,
        }
    }
}

/// One axis of a tensor's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub enum Axis {
    /// The rows of a batch, of any number; -1 in the manifest.
    Rows,
    /// An axis of this length.
    Length(usize),
}

impl TryFrom<i64> for Axis {
    type Error = String;

    fn try_from(length: i64) -> Result<Self, String> {
        match length {
            -1 => Ok(Self::Rows),
            1..=AXIS_LENGTH_MAX => Ok(Self::Length(length as usize)),
            _ => Err(format!("an axis is -1 (the rows) or from 1 to {AXIS_LENGTH_MAX} long, not {length}")),
        }
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("-1"),
            Self::Length(length) => length.fmt(f),
        }
    }
}

/// An input or output of a model: float32, row-major.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TensorSpec {
    /// Name in the ONNX graph.
    pub name: String,
    /// Lengths of the axes.
    pub shape: Vec<Axis>,
    /// Unit of the numbers, for people.
    pub unit: String,
}

/// What a model was trained on and how well it did.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Training {
    /// Names of the data sets.
    pub data: Vec<String>,
    /// Their licences.
    pub licence: Vec<String>,
    /// Whom the licences ask to name.
    pub attribution: Vec<String>,
    /// Figures of the evaluation by name; what is in it is the training kit's affair.
    #[serde(default)]
    pub scores: toml::Table,
}

/// A checked manifest.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Manifest {
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// How it sees the past.
    pub kind: Kind,
    /// Bins that a series must have, the open one included, before the forecasts are of use.
    pub bins_needed: u64,
    /// SHA-256 of the ONNX file, lower-case hex.
    pub sha256: String,
    /// Version of the ONNX operator set.
    pub opset: i64,
    /// Identity of the features that it takes, SHA-256 in lower-case hex.
    pub feature_schema_hash: String,
    /// Features of one bin.
    pub features: usize,
    /// Width of one bin, in seconds.
    pub grid_step_s: u32,
    /// Horizons in seconds, ascending, multiples of `grid_step_s`; at least one.
    pub horizons_s: Vec<u32>,
    /// Inputs in the order of the graph.
    pub inputs: Vec<TensorSpec>,
    /// Outputs in the order of the graph.
    pub outputs: Vec<TensorSpec>,
    /// What it was trained on.
    pub training: Training,
}

impl Manifest {
    /// Reads and checks the contents of a manifest; `file` is its name in messages.
    ///
    /// # Errors
    /// [`Refusal::Manifest`]: no TOML, a key that is unknown, missing or of the wrong type, or
    /// values that contradict each other.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, Refusal> {
        let refusal = |problem: String| Refusal::Manifest { file: file.to_owned(), problem };
        let text = std::str::from_utf8(text).map_err(|e| refusal(format!("not UTF-8 text ({e})")))?;
        let written: Written = toml::from_str(text).map_err(|e| refusal(e.to_string()))?;
        written.checked().map_err(refusal)
    }

    /// Numbers in the quantiles of one row: horizons × [`STATISTICS`] × levels.
    pub fn quantiles_per_row(&self) -> usize {
        self.horizons_s.len() * STATISTICS * LEVELS
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum WrittenKind {
    Stateful,
    Windowed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    version: String,
    kind: WrittenKind,
    window_bins: Option<usize>,
    bins_needed: Option<u64>,
    sha256: String,
    opset: i64,
    feature_schema_hash: String,
    grid_step_s: u32,
    horizons_s: Vec<u32>,
    quantile_levels: Vec<f64>,
    state_size: Option<usize>,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    training: Training,
}

impl Written {
    fn checked(self) -> Result<Manifest, String> {
        named("name", &self.name)?;
        named("version", &self.version)?;
        hash("sha256", &self.sha256)?;
        hash("feature_schema_hash", &self.feature_schema_hash)?;
        horizons(self.grid_step_s, &self.horizons_s)?;
        if self.quantile_levels != QUANTILE_LEVELS {
            return Err(format!("quantile_levels = {:?}: they must be {QUANTILE_LEVELS:?}", self.quantile_levels));
        }
        let (kind, features) = self.kind()?;
        let bins_needed = self.bins_needed.unwrap_or(match kind {
            Kind::Stateful { .. } => STATEFUL_BINS_NEEDED,
            Kind::Windowed { bins } => bins as u64,
        });
        if bins_needed == 0 || bins_needed > BINS_NEEDED_MAX {
            return Err(format!("bins_needed = {bins_needed}: take from 1 to {BINS_NEEDED_MAX}"));
        }
        Ok(Manifest {
            name: self.name,
            version: self.version,
            kind,
            bins_needed,
            sha256: self.sha256,
            opset: self.opset,
            feature_schema_hash: self.feature_schema_hash,
            features,
            grid_step_s: self.grid_step_s,
            horizons_s: self.horizons_s,
            inputs: self.inputs,
            outputs: self.outputs,
            training: self.training,
        })
    }

    /// The kind and the number of features, which the shapes state as well.
    fn kind(&self) -> Result<(Kind, usize), String> {
        use Axis::{Length, Rows};
        let found = self.inputs.iter().find(|input| input.name == "x").map(|x| x.shape.as_slice());
        let Some(&[Rows, Length(features)]) = found else {
            return Err("inputs: one must be x of shape [-1, features]".to_owned());
        };
        let x = ("x", vec![Rows, Length(features)]);
        let q = ("q", vec![Rows, Length(self.horizons_s.len()), Length(STATISTICS), Length(LEVELS)]);
        let kind = self.past()?;
        let past = vec![Rows, Length(kind.past_size())];
        let (inputs, outputs) = match kind {
            Kind::Stateful { .. } => (vec![x, ("h", past.clone())], vec![q, ("h_out", past)]),
            Kind::Windowed { .. } => (vec![("w", past), x], vec![q]),
        };
        tensors("inputs", &self.inputs, &inputs)?;
        tensors("outputs", &self.outputs, &outputs)?;
        Ok((kind, features))
    }

    /// The kind with its size.
    fn past(&self) -> Result<Kind, String> {
        match (&self.kind, self.state_size, self.window_bins) {
            (WrittenKind::Stateful, _, Some(bins)) => {
                Err(format!("window_bins = {bins}: a stateful model has no window, leave it out"))
            }
            (WrittenKind::Stateful, Some(state_size), None) if (1..=AXIS_LENGTH_MAX as usize).contains(&state_size) => {
                Ok(Kind::Stateful { state_size })
            }
            (WrittenKind::Stateful, state_size, None) => {
                let state_size = state_size.unwrap_or(0);
                Err(format!("state_size = {state_size}: a stateful model has from 1 to {AXIS_LENGTH_MAX}"))
            }
            (WrittenKind::Windowed, Some(state_size), _) => {
                Err(format!("state_size = {state_size}: a windowed model has none, leave it out"))
            }
            (WrittenKind::Windowed, None, Some(bins)) if (1..=WINDOW_BINS_MAX).contains(&bins) => {
                Ok(Kind::Windowed { bins })
            }
            (WrittenKind::Windowed, None, bins) => {
                let bins = bins.unwrap_or(0);
                Err(format!("window_bins = {bins}: a windowed model has from 1 to {WINDOW_BINS_MAX}"))
            }
        }
    }
}

/// `x [-1, 18], h [-1, 96]`.
pub(crate) fn signature<'a>(tensors: impl Iterator<Item = (&'a str, &'a [Axis])>) -> String {
    let texts: Vec<String> = tensors
        .map(|(name, shape)| {
            let axes: Vec<String> = shape.iter().map(Axis::to_string).collect();
            format!("{name} [{}]", axes.join(", "))
        })
        .collect();
    texts.join(", ")
}

fn tensors(table: &str, found: &[TensorSpec], expected: &[(&str, Vec<Axis>)]) -> Result<(), String> {
    let same = found.len() == expected.len()
        && found.iter().zip(expected).all(|(f, (name, shape))| f.name == *name && f.shape == *shape);
    if same {
        return Ok(());
    }
    let found = signature(found.iter().map(|t| (t.name.as_str(), t.shape.as_slice())));
    let expected = signature(expected.iter().map(|(name, shape)| (*name, shape.as_slice())));
    Err(format!(
        "{table} are {found}: by kind, state_size or window_bins, horizons_s and quantile_levels they must be {expected}"
    ))
}

fn named(key: &str, value: &str) -> Result<(), String> {
    if value.trim().is_empty() || value.chars().any(char::is_control) {
        return Err(format!("{key} = {value:?}: give it a text without control characters"));
    }
    Ok(())
}

fn hash(key: &str, value: &str) -> Result<(), String> {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if value.len() != 64 || !value.chars().all(hex) {
        return Err(format!("{key} = {value:?}: a SHA-256 is 64 lower-case hexadecimal digits"));
    }
    Ok(())
}

fn horizons(grid_step_s: u32, horizons_s: &[u32]) -> Result<(), String> {
    if grid_step_s == 0 {
        return Err("grid_step_s = 0: it must be at least 1".to_owned());
    }
    if horizons_s.is_empty() || !horizons_s.is_sorted_by(|a, b| a < b) {
        return Err(format!("horizons_s = {horizons_s:?}: give at least one, ascending"));
    }
    match horizons_s.iter().find(|h| **h == 0 || **h % grid_step_s != 0) {
        Some(h) => Err(format!("horizons_s: {h} is no positive multiple of grid_step_s = {grid_step_s}")),
        None => Ok(()),
    }
}
