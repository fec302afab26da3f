//! The model that ships, whole, or changed in one place.

use prescale_inference::{Expected, GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, Model, ModelFiles, Refusal};
use prost::Message;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use tract_onnx::pb::{GraphProto, ModelProto};

const FEATURE_SCHEMA_HASH: &str = "ae0e393aeb4f3e3d41841ba9fb387ac0f413ae50f6dc159eea7f9579fa178200";

pub(crate) fn folder() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    PathBuf::from(package).join("../../models/gru")
}

pub(crate) fn expected() -> Expected {
    Expected::features(FEATURE_SCHEMA_HASH)
}

/// The shipped model, loaded once.
pub(crate) fn model() -> &'static Model {
    static MODEL: OnceLock<Model> = OnceLock::new();
    MODEL.get_or_init(|| Changed::none().load().expect("the shipped model passes the gate"))
}

/// The shipped files in memory, to change something in them.
pub(crate) struct Changed {
    pub(crate) model: Vec<u8>,
    pub(crate) manifest: String,
    pub(crate) golden: String,
}

impl Changed {
    pub(crate) fn none() -> Self {
        let read = |name| fs::read(folder().join(name)).expect("the shipped model is in models/gru");
        let text = |name| String::from_utf8(read(name)).expect("a text");
        Self { model: read(MODEL_FILE), manifest: text(MANIFEST_FILE), golden: text(GOLDEN_FILE) }
    }

    pub(crate) fn manifest(from: &str, to: &str) -> Self {
        let mut changed = Self::none();
        changed.set_manifest(from, to);
        changed
    }

    pub(crate) fn golden(change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let mut changed = Self::none();
        let mut golden = serde_json::from_str(&changed.golden).expect("JSON");
        change(&mut golden);
        changed.golden = golden.to_string();
        changed
    }

    pub(crate) fn proto(change: impl FnOnce(&mut ModelProto)) -> Self {
        let changed = Self::none();
        let mut proto = ModelProto::decode(changed.model.as_slice()).expect("an ONNX model");
        change(&mut proto);
        changed.with_model(proto.encode_to_vec())
    }

    pub(crate) fn graph(change: impl FnOnce(&mut GraphProto)) -> Self {
        Self::proto(|proto| change(proto.graph.as_mut().expect("a graph")))
    }

    /// Puts another model in and its hash into the manifest.
    pub(crate) fn with_model(mut self, model: Vec<u8>) -> Self {
        let hash = |bytes: &[u8]| -> String { Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect() };
        let (old, new) = (hash(&self.model), hash(&model));
        self.set_manifest(&old, &new);
        self.model = model;
        self
    }

    fn set_manifest(&mut self, from: &str, to: &str) {
        assert!(self.manifest.contains(from), "the shipped manifest says {from:?}");
        self.manifest = self.manifest.replacen(from, to, 1);
    }

    pub(crate) fn load(self) -> Result<Model, Refusal> {
        self.load_for(&expected())
    }

    pub(crate) fn load_for(self, expected: &Expected) -> Result<Model, Refusal> {
        let files = ModelFiles::from_bytes("m", self.model, self.manifest.into_bytes(), self.golden.into_bytes());
        Model::load(&files, expected)
    }

    /// Why the changed model is refused.
    pub(crate) fn refusal(self) -> Refusal {
        self.load().expect_err("the change is refused")
    }
}
