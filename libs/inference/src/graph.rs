//! What can be told from an ONNX file without running it: external data, weights, operators, operator
//! set, signature.
//!
//! These checks come before the runtime sees the graph, as it would open external files, and pass
//! over attributes that it does not know.

use crate::manifest::{Axis, Manifest, TensorSpec, signature};
use crate::refusal::Refusal;
use std::ops::RangeInclusive;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto, ValueInfoProto,
    tensor_proto::{DataLocation, DataType},
    tensor_shape_proto::dimension,
    type_proto,
};
use tract_onnx::prelude::Framework;

/// Operator sets that the runtime is tested with.
const OPSETS: RangeInclusive<i64> = 9..=18;

const DOMAINS: [&str; 3] = ["", "ai.onnx", "ai.onnx.ml"];

const RANDOM: [&str; 6] =
    ["RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike", "Multinomial", "Bernoulli"];

/// Decodes an ONNX file.
pub(crate) fn decode(model: &[u8], file: &str) -> Result<ModelProto, Refusal> {
    let refusal = |problem: String| Refusal::NotOnnx { file: file.to_owned(), problem };
    let proto = tract_onnx::onnx().proto_model_for_read(&mut &*model).map_err(|e| refusal(format!("{e:#}")))?;
    if proto.graph.is_none() {
        return Err(refusal("it holds no graph".to_owned()));
    }
    Ok(proto)
}

/// Holds a decoded model to its manifest and to what the runtime computes as ONNX says.
pub(crate) fn check(proto: &ModelProto, manifest: &Manifest, file: &str) -> Result<(), Refusal> {
    let mut parts = Parts::default();
    let training = proto.training_info.iter().flat_map(|t| [&t.initialization, &t.algorithm]).flatten();
    proto.graph.iter().chain(training).for_each(|graph| parts.add_graph(graph));
    proto.functions.iter().for_each(|function| parts.add_nodes(&function.node));
    if let Some(tensor) = parts.tensors.iter().find(|t| is_external(t)) {
        return Err(Refusal::ExternalData { file: file.to_owned(), tensor: tensor.name.clone() });
    }
    if let Some(tensor) = parts.tensors.iter().find(|t| holds_nan(t)) {
        return Err(Refusal::NanWeight { file: file.to_owned(), tensor: tensor.name.clone() });
    }
    opset(proto, manifest, file)?;
    let known = tract_onnx::onnx().op_register.0;
    for node in &parts.nodes {
        if let Some(reason) = objection(node, known.contains_key(&node.op_type)) {
            let output = node.output.first().cloned().unwrap_or_default();
            let name = if node.name.is_empty() { output } else { node.name.clone() };
            return Err(Refusal::Operator {
                file: file.to_owned(),
                node: name,
                operator: node.op_type.clone(),
                reason,
            });
        }
    }
    if let Some(graph) = &proto.graph {
        let free = |v: &&ValueInfoProto| !graph.initializer.iter().any(|t| t.name == v.name);
        values("inputs", graph.input.iter().filter(free), &manifest.inputs, file)?;
        values("outputs", graph.output.iter(), &manifest.outputs, file)?;
    }
    Ok(())
}

/// All nodes and tensors of a model, those in subgraphs and attributes as well. How deep they nest
/// is bounded by the decoder.
#[derive(Default)]
struct Parts<'a> {
    nodes: Vec<&'a NodeProto>,
    tensors: Vec<&'a TensorProto>,
}

impl<'a> Parts<'a> {
    fn add_graph(&mut self, graph: &'a GraphProto) {
        self.tensors.extend(&graph.initializer);
        graph.sparse_initializer.iter().for_each(|sparse| self.add_sparse(sparse));
        self.add_nodes(&graph.node);
    }

    fn add_nodes(&mut self, nodes: &'a [NodeProto]) {
        self.nodes.extend(nodes);
        nodes.iter().flat_map(|node| &node.attribute).for_each(|attribute| self.add_attribute(attribute));
    }

    fn add_attribute(&mut self, attribute: &'a AttributeProto) {
        self.tensors.extend(attribute.t.iter().chain(&attribute.tensors));
        attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors).for_each(|sparse| self.add_sparse(sparse));
        attribute.g.iter().chain(&attribute.graphs).for_each(|graph| self.add_graph(graph));
    }

    fn add_sparse(&mut self, sparse: &'a SparseTensorProto) {
        self.tensors.extend(sparse.values.iter().chain(&sparse.indices));
    }
}

fn is_external(tensor: &TensorProto) -> bool {
    let inside = DataLocation::Default as i32;
    tensor.data_location.is_some_and(|location| location != inside) || !tensor.external_data.is_empty()
}

/// Whether a tensor of float32 or float64 holds NaN. Infinities have their uses, as in masks.
fn holds_nan(tensor: &TensorProto) -> bool {
    let raw = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float) => tensor.raw_data.as_chunks().0.iter().any(|bytes| f32::from_le_bytes(*bytes).is_nan()),
        Ok(DataType::Double) => tensor.raw_data.as_chunks().0.iter().any(|bytes| f64::from_le_bytes(*bytes).is_nan()),
        _ => false,
    };
    raw || tensor.float_data.iter().any(|v| v.is_nan()) || tensor.double_data.iter().any(|v| v.is_nan())
}

fn opset(proto: &ModelProto, manifest: &Manifest, file: &str) -> Result<(), Refusal> {
    let found = proto
        .opset_import
        .iter()
        .find(|import| matches!(import.domain.as_str(), "" | "ai.onnx"))
        .map_or(0, |import| import.version);
    let expected = if found != manifest.opset {
        format!("the manifest says {}", manifest.opset)
    } else if !OPSETS.contains(&found) {
        format!("{} to {} are supported", OPSETS.start(), OPSETS.end())
    } else {
        return Ok(());
    };
    Err(Refusal::Opset { file: file.to_owned(), found, expected })
}

fn objection(node: &NodeProto, known: bool) -> Option<String> {
    let operator = node.op_type.as_str();
    if !DOMAINS.contains(&node.domain.as_str()) {
        return Some(format!("of domain {:?}, which is not ONNX's own: use plain operators", node.domain));
    }
    if RANDOM.contains(&operator) {
        return Some("its result is random, and forecasts must be repeatable: export the model without it".to_owned());
    }
    if !known {
        return Some("the runtime does not have it: use plain operators".to_owned());
    }
    if matches!(operator, "GRU" | "LSTM" | "RNN")
        && let Some(attribute) = node.attribute.iter().find(|a| is_ignored(operator, a))
    {
        return Some(format!(
            "the runtime passes over its attribute {:?}: export the cell in plain operators",
            attribute.name
        ));
    }
    None
}

/// Whether the runtime would compute a recurrent operator otherwise than this attribute asks for.
fn is_ignored(operator: &str, attribute: &AttributeProto) -> bool {
    let usual: &[&str] = match operator {
        "GRU" => &["Sigmoid", "Tanh"],
        "LSTM" => &["Sigmoid", "Tanh", "Tanh"],
        _ => &["Tanh"],
    };
    match attribute.name.as_str() {
        "direction" => attribute.s != b"forward",
        "activations" => !attribute.strings.iter().map(Vec::as_slice).eq(usual.iter().map(|name| name.as_bytes())),
        "activation_alpha" | "activation_beta" => !attribute.floats.is_empty(),
        "clip" => true,
        "input_forget" => attribute.i != 0,
        _ => false,
    }
}

fn values<'a>(
    table: &'static str,
    found: impl Iterator<Item = &'a ValueInfoProto>,
    stated: &[TensorSpec],
    file: &str,
) -> Result<(), Refusal> {
    let found: Vec<(&str, Option<Vec<Axis>>)> = found.map(|v| (v.name.as_str(), float_shape(v))).collect();
    let same = found.len() == stated.len()
        && found.iter().zip(stated).all(|((name, shape), s)| *name == s.name && shape.as_ref() == Some(&s.shape));
    if same {
        return Ok(());
    }
    let texts: Vec<String> = found
        .iter()
        .map(|(name, shape)| match shape {
            Some(shape) => signature(std::iter::once((*name, shape.as_slice()))),
            None => format!("{name} (no float32 tensor of a usable shape)"),
        })
        .collect();
    let stated = signature(stated.iter().map(|t| (t.name.as_str(), t.shape.as_slice())));
    Err(Refusal::Signature { file: file.to_owned(), table, found: texts.join(", "), stated })
}

/// The shape of a float32 tensor; `None` for anything else and for shapes that no manifest can state.
fn float_shape(value: &ValueInfoProto) -> Option<Vec<Axis>> {
    let type_proto::Value::TensorType(tensor) = value.r#type.as_ref()?.value.as_ref()?;
    if tensor.elem_type != DataType::Float as i32 {
        return None;
    }
    let axis = |value: &Option<dimension::Value>| match value {
        Some(dimension::Value::DimValue(length)) if *length > 0 => Axis::try_from(*length).ok(),
        Some(dimension::Value::DimValue(_)) => None,
        Some(dimension::Value::DimParam(_)) | None => Some(Axis::Rows),
    };
    tensor.shape.as_ref()?.dim.iter().map(|dim| axis(&dim.value)).collect()
}
