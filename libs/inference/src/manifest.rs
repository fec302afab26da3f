//! What a model says about itself: the typed form of `manifest.toml`, checked against itself.
//!
//! It must not know the ONNX file or the runtime.

use crate::refusal::Refusal;
use prescale_domain::quantiles::{LEVELS, QUANTILE_LEVELS};
use serde::Deserialize;
use std::fmt;

/// Statistics that a model forecasts at each horizon: the value, and the maximum up to then.
pub const STATISTICS: usize = 2;

const AXIS_LENGTH_MAX: i64 = 1 << 16;

/// How a model sees the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One bin's features and a carried state in, the next state out.
    Stateful {
        /// Numbers in the state of one row.
        state_size: usize,
    },
    /// The features of the last bins in, nothing carried.
    Windowed {
        /// Bins in the window.
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
    sha256: String,
    opset: i64,
    feature_schema_hash: String,
    grid_step_s: u32,
    horizons_s: Vec<u32>,
    quantile_levels: Vec<f64>,
    #[serde(default)]
    state_size: usize,
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
        Ok(Manifest {
            name: self.name,
            version: self.version,
            kind,
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
        let shape = |of: &[TensorSpec], i: usize| of.get(i).map(|t| t.shape.clone()).unwrap_or_default();
        let x = shape(&self.inputs, 0);
        let q = ("q", vec![Rows, Length(self.horizons_s.len()), Length(STATISTICS), Length(LEVELS)]);
        let (kind, features, inputs, outputs) = match (&self.kind, x.as_slice()) {
            (WrittenKind::Stateful, &[Rows, Length(features)]) => {
                if self.state_size == 0 || self.state_size as i64 > AXIS_LENGTH_MAX {
                    return Err(format!(
                        "state_size = {}: a stateful model has from 1 to {AXIS_LENGTH_MAX}",
                        self.state_size
                    ));
                }
                let state = vec![Rows, Length(self.state_size)];
                let kind = Kind::Stateful { state_size: self.state_size };
                (kind, features, vec![("x", x), ("h", state.clone())], vec![q, ("h_out", state)])
            }
            (WrittenKind::Windowed, &[Rows, Length(bins), Length(features)]) => {
                if self.state_size != 0 {
                    return Err(format!("state_size = {}: a windowed model has none, leave it out", self.state_size));
                }
                (Kind::Windowed { bins }, features, vec![("x", x)], vec![q])
            }
            (WrittenKind::Stateful, _) => return Err("inputs: the first must be x of shape [-1, features]".to_owned()),
            (WrittenKind::Windowed, _) => {
                return Err("inputs: the first must be x of shape [-1, bins, features]".to_owned());
            }
        };
        tensors("inputs", &self.inputs, &inputs)?;
        tensors("outputs", &self.outputs, &outputs)?;
        Ok((kind, features))
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
    Err(format!("{table} are {found}: by kind, state_size, horizons_s and quantile_levels they must be {expected}"))
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
