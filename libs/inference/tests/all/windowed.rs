//! Windowed models: through the same gate, and a row gives the same bits in any company.

use crate::shipped::expected;
use prescale_domain::forecast::features::FEATURE_SCHEMA_SHA256;
use prescale_inference::testing::{Contents, Formula};
use prescale_inference::{BLOCK_ROWS, Expected, FileLimits, GOLDEN_FILE, Kind, Model, ModelFiles, Refusal, StepOutput};
use serde_json::json;
use std::time::Duration;
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{GraphProto, TensorProto};

const BINS: usize = 24;

fn formula() -> Formula {
    Formula::new("svr", "1", Kind::Windowed { bins: BINS })
}

fn refusal(contents: Contents) -> Refusal {
    Model::load(&contents.files(), &expected()).expect_err("it is refused")
}

#[test]
fn rows_follow_the_formula_and_do_not_see_each_other() {
    let model = Model::load(&formula().biased(0.25).contents().files(), &expected()).expect("it passes the gate");
    assert_eq!((model.features(), model.past_size(), model.quantiles_per_row()), (18, BINS, 48));
    let rows = BLOCK_ROWS + 3;
    let wave = |i: usize| ((i * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0;
    let (x, w): (Vec<f32>, Vec<f32>) = ((0..rows * 18).map(wave).collect(), (0..rows * BINS).map(wave).collect());
    let (mut together, mut alone) = (StepOutput::default(), StepOutput::default());
    model.step(&x, &w, &mut together).expect("the lengths fit");
    assert_eq!((together.q.len(), together.h_out.len(), together.finite.len()), (rows * 48, 0, rows));
    for row in 0..rows {
        let w = &w[row * BINS..][..BINS];
        model.step(&x[row * 18..][..18], w, &mut alone).expect("the lengths fit");
        let bits = |q: &[f32]| -> Vec<u32> { q.iter().map(|v| v.to_bits()).collect() };
        assert_eq!(bits(&alone.q), bits(&together.q[row * 48..][..48]));
        assert!((alone.q[3] - (w[BINS - 1] + 0.25)).abs() < 1e-5, "{} {}", alone.q[3], w[BINS - 1]);
    }
}

#[test]
fn what_is_not_finite_stays_in_its_row() {
    let model = Model::load(&formula().contents().files(), &expected()).expect("it passes the gate");
    let mut w = vec![0.5; 3 * BINS];
    w[BINS] = f32::NAN;
    let mut out = StepOutput::default();
    model.step(&[0.0; 3 * 18], &w, &mut out).expect("the lengths fit");
    assert_eq!(out.finite, [true, false, true]);
}

fn weights<'a>(graph: &'a mut GraphProto, name: &str) -> &'a mut TensorProto {
    graph.initializer.iter_mut().find(|tensor| tensor.name == name).expect("the formula has it")
}

fn changed(change: impl FnOnce(&mut GraphProto)) -> Refusal {
    refusal(formula().contents().with_graph(change))
}

#[test]
fn hash_features_and_operator_set_are_checked() {
    let good = || formula().contents();
    assert!(matches!(refusal(Contents { model: good().model[..40].to_vec(), ..good() }), Refusal::Sha256 { .. }));
    let restated =
        |from: &str, to: &str| refusal(Contents { manifest: good().manifest.replacen(from, to, 1), ..good() });
    let features = restated(FEATURE_SCHEMA_SHA256, &"0".repeat(64));
    assert!(matches!(features, Refusal::FeatureSchema { .. }), "{features}");
    let opset = restated("opset = 17", "opset = 16");
    assert!(matches!(opset, Refusal::Opset { found: 17, .. }), "{opset}");
}

#[test]
fn the_graph_is_checked() {
    let swapped = changed(|graph| graph.input.swap(0, 1));
    assert!(matches!(swapped, Refusal::Signature { table: "inputs", .. }), "{swapped}");
    let outside = changed(|graph| weights(graph, "level").data_location = Some(DataLocation::External as i32));
    assert!(matches!(outside, Refusal::ExternalData { .. }), "{outside}");
    let nan = changed(|graph| weights(graph, "level").float_data[3] = f32::NAN);
    assert!(matches!(nan, Refusal::NanWeight { .. }), "{nan}");
    let forest = changed(|graph| {
        graph.node[0].op_type = "TreeEnsembleRegressor".to_owned();
        graph.node[0].domain = "ai.onnx.ml".to_owned();
    });
    assert!(matches!(forest, Refusal::Operator { .. }), "{forest}");
}

#[test]
fn what_it_computes_is_checked() {
    let off = changed(|graph| weights(graph, "offsets").float_data[5] += 0.01);
    assert!(matches!(off, Refusal::GoldenMismatch { output: "q", .. }), "{off}");
    let infinite = changed(|graph| weights(graph, "offsets").float_data[7] = f32::INFINITY);
    assert!(matches!(infinite, Refusal::NotFinite { .. }), "{infinite}");
    let crossing = changed(|graph| weights(graph, "offsets").float_data.swap(2, 3));
    assert!(matches!(crossing, Refusal::QuantilesCross { .. }), "{crossing}");
    let hasty = Expected { block_deadline: Duration::ZERO, ..expected() };
    let slow = Model::load(&formula().contents().files(), &hasty).expect_err("nothing takes no time");
    assert!(matches!(slow, Refusal::TooSlow { what: "one block of rows", .. }), "{slow}");
}

#[test]
fn its_folder_is_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    formula().contents().write(folder.path()).expect("it is written");
    let read = |limits: &FileLimits| ModelFiles::from_folder(folder.path(), limits);
    assert!(Model::load(&read(&FileLimits::default()).expect("it is complete"), &expected()).is_ok());
    let large = read(&FileLimits { model_bytes_max: 100, ..FileLimits::default() }).expect_err("it is larger");
    assert!(matches!(large, Refusal::TooLarge { bytes_max: 100, .. }), "{large}");
    let elsewhere = tempfile::NamedTempFile::new().expect("a file");
    let golden = folder.path().join(GOLDEN_FILE);
    std::fs::remove_file(&golden).expect("it is there");
    std::os::unix::fs::symlink(elsewhere.path(), &golden).expect("a link");
    let outside = read(&FileLimits::default()).expect_err("it leads out");
    assert!(matches!(outside, Refusal::OutsideFolder { .. }), "{outside}");
}

type Change = fn(&mut serde_json::Value);

#[test]
fn golden_windows_have_the_shape_that_the_manifest_says() {
    let changed_golden = |change: Change| {
        let mut contents = formula().contents();
        let mut golden = serde_json::from_str(&contents.golden).expect("JSON");
        change(&mut golden);
        contents.golden = golden.to_string();
        contents
    };
    let cases: [(&str, Change); 3] = [
        ("window_bins is 25, the manifest says 24", |golden| golden["window_bins"] = json!(25)),
        ("state_size is 4", |golden| golden["state_size"] = json!(4)),
        ("step 0: w has not the shape", |golden| golden["steps"][0]["w"] = json!([[1.0]])),
    ];
    for (says, change) in cases {
        let said = refusal(changed_golden(change)).to_string();
        assert!(said.contains(says), "{said}");
    }
    assert!(Model::load(&changed_golden(|golden| golden["window_bins"] = json!(BINS)).files(), &expected()).is_ok());
}

#[test]
fn a_stateful_formula_passes_the_gate() {
    let contents = Formula::new("lstm", "1", Kind::Stateful { state_size: 4 }).contents();
    let model = Model::load(&contents.files(), &expected()).expect("it passes the gate");
    let mut out = StepOutput::default();
    let mut x = [0.0; 18];
    x[0] = 2.0;
    model.step(&x, &[1.0; 4], &mut out).expect("the lengths fit");
    assert_eq!(out.h_out, [1.5; 4]);
    assert!((out.q[3] - 1.5).abs() < 1e-6);
}
