//! Small models whose outputs follow from a formula, as folders that pass the gate. For tests; behind the
//! feature `testing`.

use crate::files::sha256_hex;
use crate::{GOLDEN_FILE, Kind, MANIFEST_FILE, MODEL_FILE, ModelFiles, STATISTICS};
use prescale_domain::forecast::features::{FEATURE_SCHEMA_SHA256, FEATURES};
use prescale_domain::quantiles::{LEVELS, MEDIAN, QUANTILE_LEVELS};
use prost::Message;
use serde_json::json;
use std::path::Path;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::{self, Value};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
};

const HORIZONS: usize = 3;
const QUANTILES: usize = HORIZONS * STATISTICS * LEVELS;
const GOLDEN_ROWS: usize = 2;
const GOLDEN_STEPS: usize = 2;

/// A model that forecasts `factor * level + bias`, the quantiles `spread` apart, at all horizons alike.
/// The level of a windowed model is the newest value of its window; a stateful one's is a running mean,
/// `h_out = (h + x[0]) / 2`.
#[derive(Clone, Debug)]
pub struct Formula {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// How it sees the past.
    pub kind: Kind,
    /// Weight of the level.
    pub factor: f32,
    /// Added to all quantiles, in units of the scale.
    pub bias: f32,
    /// Distance of neighbouring quantiles, in units of the scale.
    pub spread: f32,
}

/// The contents of a model's three files.
#[derive(Clone, Debug)]
pub struct Contents {
    /// Of [`MODEL_FILE`].
    pub model: Vec<u8>,
    /// Of [`MANIFEST_FILE`].
    pub manifest: String,
    /// Of [`GOLDEN_FILE`].
    pub golden: String,
}

impl Formula {
    /// A model that forecasts the level as it is.
    pub fn new(name: &str, version: &str, kind: Kind) -> Self {
        Self { name: name.to_owned(), version: version.to_owned(), kind, factor: 1.0, bias: 0.0, spread: 0.05 }
    }

    /// The same with another bias.
    #[must_use]
    pub fn biased(mut self, bias: f32) -> Self {
        self.bias = bias;
        self
    }

    /// Its files.
    pub fn contents(&self) -> Contents {
        let model = self.graph().encode_to_vec();
        Contents { manifest: self.manifest(&sha256_hex(&model)), model, golden: self.golden() }
    }

    fn offsets(&self) -> [f32; QUANTILES] {
        std::array::from_fn(|i| self.bias + self.spread * ((i % LEVELS) as f32 - MEDIAN as f32))
    }

    fn graph(&self) -> ModelProto {
        let past = self.kind.past_size();
        let axes = [-1, HORIZONS as i64, STATISTICS as i64, LEVELS as i64];
        let level: Vec<f32> = (0..past * QUANTILES)
            .map(|i| match self.kind {
                Kind::Stateful { .. } => self.factor / past as f32,
                Kind::Windowed { bins } => f32::from(u8::from(i / QUANTILES == bins - 1)) * self.factor,
            })
            .collect();
        let mut tensors = vec![
            floats("level", &[past, QUANTILES], level),
            floats("offsets", &[QUANTILES], self.offsets().to_vec()),
            TensorProto {
                name: "axes".to_owned(),
                dims: vec![axes.len() as i64],
                data_type: DataType::Int64 as i32,
                int64_data: axes.to_vec(),
                ..TensorProto::default()
            },
        ];
        let q = value("q", &axes);
        let (mut nodes, inputs, outputs) = match self.kind {
            Kind::Stateful { .. } => {
                let own = (0..FEATURES * past).map(|i| if i < past { 0.5 } else { 0.0 });
                tensors.push(floats("own", &[FEATURES, past], own.collect()));
                tensors.push(floats("half", &[1], vec![0.5]));
                let nodes = vec![
                    node("MatMul", &["x", "own"], "added"),
                    node("Mul", &["h", "half"], "kept"),
                    node("Add", &["kept", "added"], "h_out"),
                    node("MatMul", &["h_out", "level"], "median"),
                ];
                let state = [-1, past as i64];
                let inputs = vec![value("x", &[-1, FEATURES as i64]), value("h", &state)];
                (nodes, inputs, vec![q, value("h_out", &state)])
            }
            Kind::Windowed { .. } => {
                tensors.push(floats("own", &[FEATURES, QUANTILES], vec![0.0; FEATURES * QUANTILES]));
                let nodes = vec![
                    node("MatMul", &["x", "own"], "nothing"),
                    node("MatMul", &["w", "level"], "newest"),
                    node("Add", &["newest", "nothing"], "median"),
                ];
                (nodes, vec![value("w", &[-1, past as i64]), value("x", &[-1, FEATURES as i64])], vec![q])
            }
        };
        nodes.push(node("Add", &["median", "offsets"], "flat"));
        nodes.push(node("Reshape", &["flat", "axes"], "q"));
        let graph = GraphProto {
            name: self.name.clone(),
            node: nodes,
            initializer: tensors,
            input: inputs,
            output: outputs,
            ..GraphProto::default()
        };
        let opset = OperatorSetIdProto { domain: String::new(), version: 17 };
        ModelProto { ir_version: 8, opset_import: vec![opset], graph: Some(graph), ..ModelProto::default() }
    }

    fn manifest(&self, sha256: &str) -> String {
        let Self { name, version, kind, .. } = self;
        let past = kind.past_size();
        let tensor = |table: &str, name: &str, shape: &str| {
            format!("\n[[{table}]]\nname = \"{name}\"\nshape = {shape}\nunit = \"1\"\n")
        };
        let (x, before) = (tensor("inputs", "x", &format!("[-1, {FEATURES}]")), format!("[-1, {past}]"));
        let q = tensor("outputs", "q", &format!("[-1, {HORIZONS}, {STATISTICS}, {LEVELS}]"));
        let (size, tensors) = match kind {
            Kind::Stateful { .. } => {
                ("state_size", x + &tensor("inputs", "h", &before) + &q + &tensor("outputs", "h_out", &before))
            }
            Kind::Windowed { .. } => ("window_bins", tensor("inputs", "w", &before) + &x + &q),
        };
        format!(
            "name = \"{name}\"\nversion = \"{version}\"\nkind = \"{}\"\nsha256 = \"{sha256}\"\nopset = 17\n\
             feature_schema_hash = \"{FEATURE_SCHEMA_SHA256}\"\ngrid_step_s = 300\nhorizons_s = [300, 900, 3600]\n\
             quantile_levels = {QUANTILE_LEVELS:?}\n{size} = {past}\nbins_needed = 2\n{tensors}\n\
             [training]\ndata = []\nlicence = []\nattribution = []\n",
            kind.name(),
        )
    }

    fn golden(&self) -> String {
        let wave = |i: usize| (i * 37 % 100) as f32 / 50.0 - 1.0;
        let rows = |count: usize, from: usize| -> Vec<Vec<f32>> {
            (0..GOLDEN_ROWS).map(|row| (0..count).map(|i| wave(from + row * 53 + i)).collect()).collect()
        };
        let mut h = vec![0.0f32; GOLDEN_ROWS];
        let step = |step: usize| {
            let (x, w) = (rows(FEATURES, step * 7), rows(self.kind.past_size(), step * 11));
            let level: Vec<f32> = match self.kind {
                Kind::Stateful { .. } => h.iter().zip(&x).map(|(h, x)| 0.5 * h + 0.5 * x[0]).collect(),
                Kind::Windowed { bins } => w.iter().map(|w| w[bins - 1]).collect(),
            };
            let offsets = self.offsets();
            let quantile = |row: usize, i: usize| self.factor * level[row] + offsets[i];
            let of = |row: usize, horizon: usize, statistic: usize| -> Vec<f32> {
                (0..LEVELS).map(|i| quantile(row, (horizon * STATISTICS + statistic) * LEVELS + i)).collect()
            };
            let of = |row: usize, horizon: usize| -> Vec<Vec<f32>> {
                (0..STATISTICS).map(|s| of(row, horizon, s)).collect()
            };
            let q: Vec<Vec<Vec<Vec<f32>>>> =
                (0..GOLDEN_ROWS).map(|row| (0..HORIZONS).map(|horizon| of(row, horizon)).collect()).collect();
            match self.kind {
                Kind::Stateful { state_size } => {
                    let h_out: Vec<Vec<f32>> = level.iter().map(|level| vec![*level; state_size]).collect();
                    h = level;
                    json!({ "x": x, "q": q, "h_out": h_out })
                }
                Kind::Windowed { .. } => json!({ "w": w, "x": x, "q": q }),
            }
        };
        let steps: Vec<serde_json::Value> = (0..GOLDEN_STEPS).map(step).collect();
        let mut golden = json!({ "about": "from a formula", "rows": GOLDEN_ROWS, "tolerance": 1e-4, "steps": steps });
        if let Kind::Stateful { state_size } = self.kind {
            golden["state_size"] = json!(state_size);
        }
        golden.to_string()
    }
}

impl Contents {
    /// Puts another graph in, and its hash into the manifest.
    ///
    /// # Panics
    /// When the model is no ONNX file with a graph.
    #[must_use]
    pub fn with_graph(mut self, change: impl FnOnce(&mut GraphProto)) -> Self {
        let mut proto = ModelProto::decode(self.model.as_slice()).expect("an ONNX model");
        change(proto.graph.as_mut().expect("a graph"));
        let model = proto.encode_to_vec();
        self.manifest = self.manifest.replace(&sha256_hex(&self.model), &sha256_hex(&model));
        self.model = model;
        self
    }

    /// Writes the files into a folder, which is made.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join(MODEL_FILE), &self.model)?;
        std::fs::write(folder.join(MANIFEST_FILE), &self.manifest)?;
        std::fs::write(folder.join(GOLDEN_FILE), &self.golden)
    }

    /// As they would be read.
    pub fn files(self) -> ModelFiles {
        ModelFiles::from_bytes("m", self.model, self.manifest.into_bytes(), self.golden.into_bytes())
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        input: inputs.iter().map(|input| (*input).to_owned()).collect(),
        output: vec![output.to_owned()],
        ..NodeProto::default()
    }
}

fn floats(name: &str, dims: &[usize], data: Vec<f32>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.iter().map(|dim| *dim as i64).collect(),
        data_type: DataType::Float as i32,
        float_data: data,
        ..TensorProto::default()
    }
}

fn value(name: &str, axes: &[i64]) -> ValueInfoProto {
    let axis = |length: &i64| {
        let rows = || dimension::Value::DimParam("rows".to_owned());
        let value = if *length < 0 { rows() } else { dimension::Value::DimValue(*length) };
        Dimension { value: Some(value), ..Dimension::default() }
    };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: axes.iter().map(axis).collect() }),
    };
    let r#type = TypeProto { value: Some(Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..ValueInfoProto::default() }
}
