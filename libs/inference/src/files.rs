//! A model's files as bytes, from a folder or from the program itself. What the bytes mean is not known here.

use crate::refusal::Refusal;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Name of the ONNX model in its folder.
pub const MODEL_FILE: &str = "model.onnx";

/// Name of the manifest in its folder.
pub const MANIFEST_FILE: &str = "manifest.toml";

/// Name of the golden vectors in their folder.
pub const GOLDEN_FILE: &str = "golden.json";

/// How large a model's files may be, in bytes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLimits {
    /// The ONNX model.
    pub model_bytes_max: u64,
    /// The manifest.
    pub manifest_bytes_max: u64,
    /// The golden vectors.
    pub golden_bytes_max: u64,
}

impl Default for FileLimits {
    fn default() -> Self {
        Self { model_bytes_max: 16 << 20, manifest_bytes_max: 256 << 10, golden_bytes_max: 16 << 20 }
    }
}

/// The three files of one model, unchecked.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    origin: String,
    model: Cow<'static, [u8]>,
    manifest: Cow<'static, [u8]>,
    golden: Cow<'static, [u8]>,
}

impl ModelFiles {
    /// Reads `model.onnx`, `manifest.toml` and `golden.json` of `folder`.
    ///
    /// Symbolic links inside of the folder are followed (Kubernetes mounts volumes that way).
    ///
    /// # Errors
    /// A file is missing, unreadable, over its limit, no regular file, or a link out of the folder.
    pub fn from_folder(folder: &Path, limits: &FileLimits) -> Result<Self, Refusal> {
        let root = resolve(folder)?;
        let missing: Vec<_> = [MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE]
            .into_iter()
            .filter(|name| {
                fs::symlink_metadata(root.join(name)).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
            })
            .collect();
        if !missing.is_empty() {
            return Err(Refusal::FilesMissing { folder: folder.to_owned(), missing });
        }
        Ok(Self {
            origin: folder.display().to_string(),
            model: read(folder, &root, MODEL_FILE, limits.model_bytes_max)?.into(),
            manifest: read(folder, &root, MANIFEST_FILE, limits.manifest_bytes_max)?.into(),
            golden: read(folder, &root, GOLDEN_FILE, limits.golden_bytes_max)?.into(),
        })
    }

    /// Takes the contents of the three files. `origin` stands for their folder in messages.
    pub fn from_bytes(
        origin: &str,
        model: impl Into<Cow<'static, [u8]>>,
        manifest: impl Into<Cow<'static, [u8]>>,
        golden: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        Self { origin: origin.to_owned(), model: model.into(), manifest: manifest.into(), golden: golden.into() }
    }

    /// Where the files came from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Contents of [`MODEL_FILE`].
    pub fn model(&self) -> &[u8] {
        &self.model
    }

    /// Contents of [`MANIFEST_FILE`].
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// SHA-256 of the manifest, in lower-case hex. As the manifest holds the model's, it is the identity of both.
    pub fn manifest_sha256(&self) -> String {
        sha256_hex(&self.manifest)
    }

    /// Contents of [`GOLDEN_FILE`].
    pub fn golden(&self) -> &[u8] {
        &self.golden
    }

    /// A file's name for messages, such as `models/gru/model.onnx`.
    pub(crate) fn name_of(&self, file: &str) -> String {
        format!("{}/{file}", self.origin)
    }
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn resolve(path: &Path) -> Result<PathBuf, Refusal> {
    fs::canonicalize(path).map_err(|source| Refusal::Unreadable { path: path.to_owned(), source })
}

fn read(folder: &Path, root: &Path, name: &str, bytes_max: u64) -> Result<Vec<u8>, Refusal> {
    let path = folder.join(name);
    let target = resolve(&root.join(name))?;
    if !target.starts_with(root) {
        return Err(Refusal::OutsideFolder { path, target });
    }
    let unreadable = |source| Refusal::Unreadable { path: path.clone(), source };
    // Asked before the file is opened: opening a pipe would wait for its writer.
    if !fs::metadata(&target).map_err(unreadable)?.is_file() {
        return Err(Refusal::NotAFile { path });
    }
    let mut bytes = Vec::new();
    let file = File::open(&target).map_err(unreadable)?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        return Err(Refusal::TooLarge { path, bytes_max });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_lower_case_hex() {
        assert_eq!(sha256_hex(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
