//! Whatever is in a model folder, loading it ends: with a model that passed the gate or a refusal.

use bolero::check;
use prescale_fuzz::{Numbers, changed};
use prescale_inference::{Expected, Manifest, Model, ModelFiles};
use sha2::{Digest, Sha256};

const MODEL: &[u8] = include_bytes!("../../models/gru/model.onnx");
const MANIFEST: &[u8] = include_bytes!("../../models/gru/manifest.toml");
const GOLDEN: &[u8] = include_bytes!("../../models/gru/golden.json");

/// Changed bytes that fail for their hash alone would show nothing.
fn with_hash_of(manifest: &[u8], model: &[u8]) -> Vec<u8> {
    let hash = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes));
    String::from_utf8_lossy(manifest).replace(&hash(MODEL), &hash(model)).into_bytes()
}

fn load(model: Vec<u8>, manifest: Vec<u8>, golden: Vec<u8>) {
    let expected = Manifest::parse(MANIFEST, "manifest.toml").expect("the shipped manifest is sound");
    let files = ModelFiles::from_bytes("fuzzed", model, manifest, golden);
    if let Err(refusal) = Model::load(&files, &Expected::features(&expected.feature_schema_hash)) {
        assert!(!refusal.to_string().is_empty());
    }
}

#[test]
fn changed_models() {
    check!().with_type::<Vec<Numbers>>().for_each(|changes| {
        let model = changed(MODEL, changes);
        let manifest = with_hash_of(MANIFEST, &model);
        load(model, manifest, GOLDEN.to_vec());
    });
}

#[test]
fn changed_manifests() {
    check!().with_type::<Vec<Numbers>>().for_each(|changes| {
        let manifest = changed(MANIFEST, changes);
        // Most are refused here; the gate need not be run for those.
        if Manifest::parse(&manifest, "manifest.toml").is_ok() {
            load(MODEL.to_vec(), manifest, GOLDEN.to_vec());
        }
    });
}

#[test]
fn changed_golden_vectors() {
    check!()
        .with_type::<Vec<Numbers>>()
        .for_each(|changes| load(MODEL.to_vec(), MANIFEST.to_vec(), changed(GOLDEN, changes)));
}
