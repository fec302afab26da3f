//! What a model must pass before it is used, in order: manifest, hash, graph, golden vectors, trial.

use crate::blocks::{Blocks, Widths};
use crate::files::{GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, ModelFiles, sha256_hex};
use crate::golden::Golden;
use crate::graph;
use crate::manifest::Manifest;
use crate::refusal::Refusal;
use crate::trial;
use std::any::Any;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// What the caller asks of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Identity of the features that the caller computes, SHA-256 in lower-case hex.
    pub feature_schema_hash: String,
    /// Wall-clock time that one block of [`crate::BLOCK_ROWS`] rows may take.
    pub block_deadline: Duration,
    /// Wall-clock time that preparing the model and all trials may take together.
    pub load_deadline: Duration,
}

impl Expected {
    /// These features, one second a block, a minute in all.
    pub fn features(feature_schema_hash: &str) -> Self {
        Self {
            feature_schema_hash: feature_schema_hash.to_owned(),
            block_deadline: Duration::from_secs(1),
            load_deadline: Duration::from_secs(60),
        }
    }
}

/// Passes a model through the gate.
pub(crate) fn pass(files: &ModelFiles, expected: &Expected) -> Result<(Manifest, Blocks), Refusal> {
    let manifest_file = files.name_of(MANIFEST_FILE);
    let manifest = Manifest::parse(files.manifest(), &manifest_file)?;
    if manifest.feature_schema_hash != expected.feature_schema_hash {
        return Err(Refusal::FeatureSchema {
            file: manifest_file,
            found: manifest.feature_schema_hash,
            expected: expected.feature_schema_hash.clone(),
        });
    }
    let file = files.name_of(MODEL_FILE);
    let found = sha256_hex(files.model());
    if found != manifest.sha256 {
        return Err(Refusal::Sha256 { file, found, stated: manifest.sha256 });
    }
    let proto = graph::decode(files.model(), &file)?;
    graph::check(&proto, &manifest, &file)?;
    let golden = Golden::parse(files.golden(), &manifest)
        .map_err(|problem| Refusal::GoldenVectors { file: files.name_of(GOLDEN_FILE), problem })?;
    let widths = Widths::of(&manifest);
    let block_deadline = expected.block_deadline;
    let blocks = within(expected.load_deadline, &file.clone(), move || {
        let blocks = Blocks::new(&proto, widths).map_err(|e| Refusal::not_runnable(&file, format!("{e:#}")))?;
        trial::run(&blocks, &golden, block_deadline, &file)?;
        Ok(blocks)
    })?;
    Ok((manifest, blocks))
}

/// Does `work` on a thread of its own and waits at most `deadline`. The runtime cannot be
/// interrupted: a thread that is late is left behind and ends when its work does. A panic in the
/// runtime becomes a refusal.
fn within<T: Send + 'static>(
    deadline: Duration,
    file: &str,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let (done, outcome) = sync_channel(1);
    let worker = thread::Builder::new()
        .name("model-gate".to_owned())
        .spawn(move || done.send(work()).is_ok())
        .map_err(|e| Refusal::not_runnable(file, format!("no thread to try it on: {e}")))?;
    match outcome.recv_timeout(deadline) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Timeout) => {
            Err(Refusal::TooSlow { file: file.to_owned(), what: "preparing and trying the model", deadline })
        }
        Err(RecvTimeoutError::Disconnected) => {
            let panic = worker.join().err();
            Err(Refusal::not_runnable(file, format!("the runtime panicked: {}", panic_text(panic.as_deref()))))
        }
    }
}

fn panic_text(panic: Option<&(dyn Any + Send)>) -> &str {
    let text = panic.and_then(|p| p.downcast_ref::<String>().map(String::as_str).or(p.downcast_ref::<&str>().copied()));
    text.unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_does_not_end_is_refused() {
        let (release, held) = sync_channel::<()>(0);
        let refusal = within(Duration::from_millis(1), "m/model.onnx", move || {
            let _ = held.recv();
            Ok(())
        });
        assert!(matches!(refusal, Err(Refusal::TooSlow { what: "preparing and trying the model", .. })), "{refusal:?}");
        drop(release);
    }

    #[test]
    fn a_panic_of_the_runtime_is_a_refusal() {
        let refusal = within::<()>(Duration::from_secs(60), "m/model.onnx", || panic!("no such axis: {}", 3));
        let text = refusal.map_err(|r| r.to_string());
        assert_eq!(
            text,
            Err("m/model.onnx: cannot be run (the runtime panicked: no such axis: 3): export it in plain operators"
                .to_owned())
        );
    }
}
