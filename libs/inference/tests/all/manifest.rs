//! Manifests: the shipped one, and each way to contradict oneself.

use crate::shipped::Changed;
use prescale_inference::testing::Formula;
use prescale_inference::{Axis, Kind, Manifest};

fn parse(text: &str) -> Result<Manifest, String> {
    Manifest::parse(text.as_bytes(), "m/manifest.toml").map_err(|refusal| refusal.to_string())
}

/// The message about the shipped manifest with `from` replaced by `to`.
fn problem(from: &str, to: &str) -> String {
    parse(&Changed::manifest(from, to).manifest).expect_err("the change is refused")
}

#[test]
fn the_shipped_manifest_is_typed() {
    let manifest = parse(&Changed::none().manifest).expect("it is good");
    assert_eq!((manifest.name.as_str(), manifest.version.as_str()), ("gru", "0.1.0"));
    assert_eq!(manifest.kind, Kind::Stateful { state_size: 96 });
    assert_eq!(manifest.bins_needed, 12);
    assert_eq!((manifest.features, manifest.opset, manifest.grid_step_s), (18, 17, 300));
    assert_eq!(manifest.horizons_s, [300, 900, 3600]);
    assert_eq!(manifest.quantiles_per_row(), 48);
    assert_eq!(manifest.inputs[1].shape, [Axis::Rows, Axis::Length(96)]);
    assert_eq!(manifest.outputs[0].unit, "scale of the bin");
    assert_eq!(manifest.training.licence, ["CC-BY-4.0", "MIT"]);
    assert!(manifest.training.scores["held_out_cpu_crps_vs_seasonal_naive"].as_float().is_some());
}

#[test]
fn a_windowed_manifest_is_known() {
    let text = Formula::new("svr", "1", Kind::Windowed { bins: 288 }).contents().manifest;
    let manifest = parse(&text).expect("it is good");
    assert_eq!((manifest.kind, manifest.features), (Kind::Windowed { bins: 288 }, 18));
    assert_eq!((manifest.inputs.len(), manifest.outputs.len()), (2, 1));
    assert_eq!(manifest.bins_needed, 2);
    let silent = parse(&text.replace("bins_needed = 2\n", "")).expect("it is good");
    assert_eq!(silent.bins_needed, 288);
    let problem = |from: &str, to: &str| parse(&text.replacen(from, to, 1)).expect_err("the change is refused");
    for (from, to, says) in [
        ("window_bins = 288", "window_bins = 289", "window_bins = 289: a windowed model has from 1 to 288"),
        ("window_bins = 288\n", "", "window_bins = 0"),
        ("window_bins = 288", "window_bins = 12", "must be w [-1, 12], x [-1, 18]"),
        ("bins_needed = 2\n", "bins_needed = 0\n", "bins_needed = 0"),
        ("bins_needed = 2\n", "bins_needed = 2017\n", "bins_needed = 2017"),
    ] {
        let text = problem(from, to);
        assert!(text.contains(says), "{to}: {text}");
    }
}

#[test]
fn unknown_keys_are_named() {
    let text = problem("opset = 17", "opset = 17\nquantised = true");
    assert!(text.starts_with("m/manifest.toml: ") && text.contains("unknown field `quantised`"), "{text}");
    let text = problem("unit = \"scale of the bin\"", "unit = \"1\"\ndtype = \"f16\"");
    assert!(text.contains("unknown field `dtype`"), "{text}");
    let text = problem("licence = [", "license = [");
    assert!(text.contains("unknown field `license`"), "{text}");
}

#[test]
fn missing_keys_and_wrong_types_are_named() {
    assert!(problem("opset = 17\n", "").contains("missing field `opset`"));
    let text = problem("opset = 17", "opset = \"17\"");
    assert!(text.contains("line 5") && text.contains("expected i64"), "{text}");
    assert!(problem("\"stateful\"", "\"stateless\"").contains("unknown variant `stateless`"));
    assert!(problem("name = \"gru\"", "name = gru").contains("line 1"));
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    let cases = [
        ("[300, 900, 3600]", "[300, 3600, 900]", "ascending"),
        ("[300, 900, 3600]", "[300, 300, 900]", "ascending"),
        ("[300, 900, 3600]", "[]", "ascending"),
        ("[300, 900, 3600]", "[0, 900, 3600]", "0 is no positive multiple"),
        ("[300, 900, 3600]", "[300, 901, 3600]", "901 is no positive multiple of grid_step_s = 300"),
        ("grid_step_s = 300", "grid_step_s = 0", "grid_step_s = 0"),
        ("0.05, 0.1, ", "0.05, 0.15, ", "quantile_levels"),
        ("0.05, 0.1, ", "0.05, ", "quantile_levels"),
        ("state_size = 96", "state_size = 95", "must be x [-1, 18], h [-1, 95]"),
        ("state_size = 96", "state_size = 0", "state_size = 0"),
        ("shape = [-1, 3, 2, 8]", "shape = [-1, 2, 2, 8]", "must be q [-1, 3, 2, 8], h_out [-1, 96]"),
        ("shape = [-1, 18]", "shape = [18]", "[-1, features]"),
        ("shape = [-1, 18]", "shape = [-1, -7]", "not -7"),
        ("name = \"h_out\"", "name = \"h_next\"", "h_next"),
        ("sha256 = \"8f", "sha256 = \"8F", "64 lower-case"),
        ("feature_schema_hash = \"ae", "feature_schema_hash = \"", "64 lower-case"),
        ("name = \"gru\"", "name = \" \"", "name = \" \""),
        ("version = \"0.1.0\"", "version = \"0\\u0007\"", "version"),
        ("\"stateful\"", "\"windowed\"", "state_size = 96: a windowed model has none"),
        ("state_size = 96", "state_size = 96\nwindow_bins = 12", "a stateful model has no window"),
        ("name = \"x\"", "name = \"features\"", "one must be x of shape [-1, features]"),
    ];
    for (from, to, says) in cases {
        let text = problem(from, to);
        assert!(text.starts_with("m/manifest.toml: ") && text.contains(says), "{to}: {text}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let refusal = Manifest::parse(&[0xff, 0xfe], "m/manifest.toml").expect_err("it is no text");
    assert!(refusal.to_string().contains("not UTF-8"), "{refusal}");
}
