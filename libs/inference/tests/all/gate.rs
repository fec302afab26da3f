//! What the gate lets through and what it refuses, one test a refusal.

use crate::shipped::{Changed, expected};
use prescale_inference::{BLOCK_ROWS, Expected, Refusal};
use serde_json::json;
use std::time::Duration;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::type_proto::Value;
use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, StringStringEntryProto, TensorProto, TensorShapeProto, ValueInfoProto,
};

/// A change, and what the message about it must say.
type Case<T> = (&'static str, fn(&mut T));

fn node(operator: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        input: inputs.iter().map(|i| (*i).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

fn attribute(name: &str, r#type: AttributeType) -> AttributeProto {
    AttributeProto { name: name.to_owned(), r#type: r#type as i32, ..AttributeProto::default() }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: value.as_bytes().to_vec(), ..attribute(name, AttributeType::String) }
}

fn external(name: &str) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![1],
        data_type: DataType::Float as i32,
        data_location: Some(DataLocation::External as i32),
        external_data: vec![StringStringEntryProto { key: "location".into(), value: "../../etc/hostname".into() }],
        ..TensorProto::default()
    }
}

fn number(name: &str, value: f32) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![1],
        data_type: DataType::Float as i32,
        float_data: vec![value],
        ..TensorProto::default()
    }
}

fn output_of<'a>(graph: &'a mut GraphProto, name: &str) -> &'a mut String {
    graph.node.iter_mut().flat_map(|n| &mut n.output).find(|output| *output == name).expect("the output is there")
}

fn shape_of(value: &mut ValueInfoProto) -> &mut TensorShapeProto {
    let r#type = value.r#type.as_mut().expect("a type");
    let Some(Value::TensorType(tensor)) = &mut r#type.value else { panic!("a tensor") };
    tensor.shape.as_mut().expect("a shape")
}

/// The message when the graph is changed so.
fn operator_problem(added: NodeProto) -> String {
    let refusal = Changed::graph(|graph| graph.node.push(added)).refusal();
    assert!(matches!(refusal, Refusal::Operator { .. }), "{refusal}");
    refusal.to_string()
}

#[test]
fn other_bytes_than_the_manifest_names() {
    let mut changed = Changed::none();
    changed.model.push(0);
    let refusal = changed.refusal();
    assert!(matches!(&refusal, Refusal::Sha256 { file, .. } if file == "m/model.onnx"), "{refusal}");
}

#[test]
fn truncated_and_empty_models() {
    let whole = Changed::none().model;
    let refusal = Changed { model: whole[..whole.len() / 2].to_vec(), ..Changed::none() }.refusal();
    assert!(matches!(refusal, Refusal::Sha256 { .. }), "{refusal}");
    for length in [0, 1, 7, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let refusal = Changed::none().with_model(whole[..length].to_vec()).refusal();
        assert!(matches!(refusal, Refusal::NotOnnx { .. } | Refusal::Opset { .. }), "{length} bytes: {refusal}");
    }
}

#[test]
fn other_features() {
    let other = Expected::features(&"0".repeat(64));
    let refusal = Changed::none().load_for(&other).expect_err("other features");
    assert!(matches!(&refusal, Refusal::FeatureSchema { file, .. } if file == "m/manifest.toml"), "{refusal}");
}

#[test]
fn other_operator_sets() {
    let refusal = Changed::manifest("opset = 17", "opset = 16").refusal();
    assert!(refusal.to_string().contains("operator set 17, but the manifest says 16"), "{refusal}");
    let mut changed = Changed::proto(|proto| proto.opset_import[0].version = 22);
    changed.manifest = changed.manifest.replace("opset = 17", "opset = 22");
    let refusal = changed.refusal();
    assert!(refusal.to_string().contains("operator set 22, but 9 to 18 are supported"), "{refusal}");
    let refusal = Changed::proto(|proto| proto.opset_import.clear()).refusal();
    assert!(matches!(refusal, Refusal::Opset { found: 0, .. }), "{refusal}");
}

#[test]
fn data_in_other_files() {
    let refusal = Changed::graph(|graph| graph.initializer.push(external("w"))).refusal();
    assert!(matches!(&refusal, Refusal::ExternalData { tensor, .. } if tensor == "w"), "{refusal}");
    let hidden = TensorProto { data_location: None, ..external("w") };
    let refusal = Changed::graph(|graph| graph.initializer.push(hidden)).refusal();
    assert!(matches!(refusal, Refusal::ExternalData { .. }), "{refusal}");
}

#[test]
fn data_in_other_files_of_subgraphs_and_attributes() {
    let branch = GraphProto { initializer: vec![external("inner")], ..GraphProto::default() };
    let then = AttributeProto { g: Some(branch), ..attribute("then_branch", AttributeType::Graph) };
    let refusal = Changed::graph(|graph| graph.node.push(node("If", &["x"], "y", vec![then]))).refusal();
    assert!(matches!(&refusal, Refusal::ExternalData { tensor, .. } if tensor == "inner"), "{refusal}");
    let value = AttributeProto { t: Some(external("value")), ..attribute("value", AttributeType::Tensor) };
    let refusal = Changed::graph(|graph| graph.node.push(node("Constant", &[], "y", vec![value]))).refusal();
    assert!(matches!(&refusal, Refusal::ExternalData { tensor, .. } if tensor == "value"), "{refusal}");
}

#[test]
fn attributes_that_the_runtime_passes_over() {
    let gru = |attribute| node("GRU", &["x", "w", "r"], "y", vec![attribute]);
    let said = operator_problem(gru(text("direction", "reverse")));
    assert!(said.contains("node \"y\", operator GRU") && said.contains("\"direction\""), "{said}");
    let activations = |names: &[&str]| AttributeProto {
        strings: names.iter().map(|n| n.as_bytes().to_vec()).collect(),
        ..attribute("activations", AttributeType::Strings)
    };
    assert!(operator_problem(gru(activations(&["Relu", "Tanh"]))).contains("\"activations\""));
    let clip = AttributeProto { f: 3.0, ..attribute("clip", AttributeType::Float) };
    assert!(operator_problem(gru(clip.clone())).contains("\"clip\""));
    assert!(operator_problem(node("LSTM", &["x", "w", "r"], "y", vec![clip])).contains("operator LSTM"));
    let both = text("direction", "bidirectional");
    assert!(operator_problem(node("RNN", &["x", "w", "r"], "y", vec![both])).contains("operator RNN"));
    let usual = vec![text("direction", "forward"), activations(&["Sigmoid", "Tanh"])];
    let refusal = Changed::graph(|graph| graph.node.push(node("GRU", &["x", "w", "r"], "y", usual))).load();
    assert!(!matches!(refusal, Err(Refusal::Operator { .. })), "these attributes say what the runtime does");
}

#[test]
fn operators_that_the_runtime_does_not_have() {
    assert!(operator_problem(node("TreeEnsembleRegressor", &["x"], "y", vec![])).contains("does not have it"));
    let own = NodeProto { domain: "com.example".to_owned(), ..node("Gelu", &["x"], "y", vec![]) };
    assert!(operator_problem(own).contains("com.example"));
    assert!(operator_problem(node("RandomNormalLike", &["x"], "y", vec![])).contains("random"));
}

#[test]
fn inputs_and_outputs_other_than_stated() {
    let cases: [Case<GraphProto>; 5] = [
        ("inputs are z [-1, 18], h [-1, 96]", |graph| graph.input[0].name = "z".to_owned()),
        ("inputs are h [-1, 96], x [-1, 18]", |graph| graph.input.swap(0, 1)),
        ("inputs are x [1, 18]", |graph| {
            let one = Dimension { value: Some(dimension::Value::DimValue(1)), ..Dimension::default() };
            shape_of(&mut graph.input[0]).dim[0] = one;
        }),
        ("x (no float32 tensor of a usable shape)", |graph| {
            let r#type = graph.input[0].r#type.as_mut().expect("a type");
            let Some(Value::TensorType(tensor)) = &mut r#type.value else { panic!("a tensor") };
            tensor.elem_type = DataType::Double as i32;
        }),
        ("outputs are q [-1, 3, 2], h_out [-1, 96]", |graph| {
            shape_of(&mut graph.output[0]).dim.pop();
        }),
    ];
    for (says, change) in cases {
        let refusal = Changed::graph(change).refusal();
        assert!(matches!(refusal, Refusal::Signature { .. }), "{refusal}");
        assert!(refusal.to_string().contains(says), "{refusal}");
    }
}

#[test]
fn graphs_that_the_runtime_cannot_run() {
    let refusal = Changed::graph(|graph| graph.node[0].input[0] = "nothing".to_owned()).refusal();
    assert!(matches!(refusal, Refusal::NotRunnable { .. }), "{refusal}");
    let refusal = Changed::graph(|graph| *output_of(graph, "h_out") = "lost".to_owned()).refusal();
    assert!(matches!(refusal, Refusal::NotRunnable { .. }), "{refusal}");
    let refusal = Changed::graph(|graph| {
        *output_of(graph, "h_out") = "h_shaped".to_owned();
        let axes = AttributeProto { ints: vec![1], ..attribute("axes", AttributeType::Ints) };
        graph.node.push(node("ReduceMax", &["h_shaped"], "h_out", vec![axes]));
    })
    .refusal();
    assert!(refusal.to_string().contains(&format!("instead of {BLOCK_ROWS} rows of 96 numbers")), "{refusal}");
    let refusal = Changed::graph(|graph| weight(graph).raw_data.truncate(8)).refusal();
    assert!(matches!(refusal, Refusal::NotRunnable { .. }), "{refusal}");
}

/// A tensor that holds many numbers.
fn weight(graph: &mut GraphProto) -> &mut TensorProto {
    graph.initializer.iter_mut().find(|t| t.raw_data.len() > 1000).expect("a weight")
}

#[test]
fn weights_that_are_nan() {
    let refusal =
        Changed::graph(|graph| weight(graph).raw_data[..4].copy_from_slice(&f32::NAN.to_le_bytes())).refusal();
    assert!(matches!(refusal, Refusal::NanWeight { .. }), "{refusal}");
    let refusal = Changed::graph(|graph| graph.initializer.push(number("w", f32::NAN))).refusal();
    assert!(matches!(&refusal, Refusal::NanWeight { tensor, .. } if tensor == "w"), "{refusal}");
}

#[test]
fn outputs_that_are_not_finite() {
    let refusal = Changed::graph(|graph| {
        *output_of(graph, "q") = "q_finite".to_owned();
        graph.initializer.push(number("infinite", f32::INFINITY));
        graph.node.push(node("Add", &["q_finite", "infinite"], "q", vec![]));
    })
    .refusal();
    assert!(matches!(refusal, Refusal::NotFinite { step: 0, row: 0, .. }), "{refusal}");
}

#[test]
fn weights_a_little_off() {
    let refusal = Changed::graph(|graph| {
        for bytes in weight(graph).raw_data.chunks_exact_mut(4) {
            let value = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            bytes.copy_from_slice(&(value * 1.05).to_le_bytes());
        }
    })
    .refusal();
    assert!(matches!(refusal, Refusal::GoldenMismatch { .. }), "{refusal}");
}

#[test]
fn golden_vectors_a_little_off() {
    for (output, pointer) in [("q", "/steps/2/q/1/0/1/3"), ("h_out", "/steps/2/h_out/1/5")] {
        let refusal = Changed::golden(|golden| {
            let value = golden.pointer_mut(pointer).expect("a number");
            *value = json!(value.as_f64().expect("a number") + 1e-2);
        })
        .refusal();
        let Refusal::GoldenMismatch { step: 2, output: found, apart, .. } = refusal else { panic!("{refusal}") };
        assert_eq!(found, output);
        assert!((apart - 1e-2).abs() < 1e-4, "{apart}");
    }
}

#[test]
fn golden_vectors_that_show_nothing() {
    let cases: [Case<serde_json::Value>; 7] = [
        ("tolerance", |golden| golden["tolerance"] = json!(0.1)),
        ("tolerance", |golden| golden["tolerance"] = json!(0.0)),
        ("no steps", |golden| golden["steps"] = json!([])),
        ("no rows", |golden| golden["rows"] = json!(0)),
        ("state_size is 95", |golden| golden["state_size"] = json!(95)),
        ("step 1: x has not the shape", |golden| golden["steps"][1]["x"] = json!([[1.0]])),
        ("unknown field `comment`", |golden| golden["comment"] = json!("")),
    ];
    for (says, change) in cases {
        let refusal = Changed::golden(change).refusal();
        assert!(matches!(&refusal, Refusal::GoldenVectors { file, .. } if file == "m/golden.json"), "{refusal}");
        assert!(refusal.to_string().contains(says), "{refusal}");
    }
    let cut = Changed { golden: Changed::none().golden[..100].to_owned(), ..Changed::none() };
    assert!(matches!(cut.refusal(), Refusal::GoldenVectors { .. }));
}

#[test]
fn quantiles_that_cross() {
    let refusal = Changed::graph(|graph| {
        *output_of(graph, "q") = "q_ascending".to_owned();
        graph.node.push(node("Neg", &["q_ascending"], "q", vec![]));
    })
    .refusal();
    assert!(matches!(refusal, Refusal::QuantilesCross { step: 0, row: 0, .. }), "{refusal}");
}

/// Adds to `h_out` a millionth of `operator` over the rows: within the tolerance, but not row by row.
fn rows_mixed(graph: &mut GraphProto, mixing: Vec<NodeProto>) {
    *output_of(graph, "h_out") = "h_own".to_owned();
    graph.initializer.push(number("millionth", 1e-6));
    graph.node.extend(mixing);
    graph.node.push(node("Mul", &["mixed", "millionth"], "trace", vec![]));
    graph.node.push(node("Add", &["h_own", "trace"], "h_out", vec![]));
}

#[test]
fn rows_that_see_each_other() {
    let axes = AttributeProto { ints: vec![0], ..attribute("axes", AttributeType::Ints) };
    let refusal =
        Changed::graph(|graph| rows_mixed(graph, vec![node("ReduceMax", &["h_own"], "mixed", vec![axes])])).refusal();
    assert!(refusal.to_string().contains("depends on which other rows there are"), "{refusal}");
}

#[test]
fn rows_that_know_their_place() {
    let mut changed = Changed::graph(|graph| {
        graph.initializer.push(number("nothing", 0.0));
        graph.initializer.push(number("one", 1.0));
        graph.initializer.push(TensorProto {
            name: "rows".to_owned(),
            data_type: DataType::Int64 as i32,
            int64_data: vec![0],
            ..TensorProto::default()
        });
        let counted = vec![
            node("Mul", &["h_own", "nothing"], "nothings", vec![]),
            node("Add", &["nothings", "one"], "ones", vec![]),
            node("CumSum", &["ones", "rows"], "mixed", vec![]),
        ];
        rows_mixed(graph, counted);
    });
    let mut golden: serde_json::Value = serde_json::from_str(&changed.golden).expect("JSON");
    golden["rows"] = json!(1);
    for step in golden["steps"].as_array_mut().expect("steps") {
        for name in ["x", "q", "h_out"] {
            step[name].as_array_mut().expect("rows").truncate(1);
        }
    }
    changed.golden = golden.to_string();
    let refusal = changed.refusal();
    assert!(refusal.to_string().contains("depends on its place among them"), "{refusal}");
}

#[test]
fn a_model_that_is_too_slow() {
    let hasty = Expected { block_deadline: Duration::ZERO, ..expected() };
    let refusal = Changed::none().load_for(&hasty).expect_err("nothing takes no time");
    assert!(matches!(refusal, Refusal::TooSlow { what: "one block of rows", .. }), "{refusal}");
}
