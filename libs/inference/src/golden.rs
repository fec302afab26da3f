//! Golden vectors: inputs, and what onnxruntime gave for them at export. Running the model is not done here.

use crate::manifest::{Manifest, STATISTICS};
use prescale_domain::quantiles::LEVELS;
use serde::Deserialize;

/// A tolerance above this would let a wrong model pass.
const TOLERANCE_MAX: f32 = 1e-3;

/// Steps of a few rows with carried state: the first starts from zeros.
pub(crate) struct Golden {
    pub(crate) rows: usize,
    /// Largest absolute difference allowed.
    pub(crate) tolerance: f32,
    pub(crate) steps: Vec<GoldenStep>,
}

/// One step, row-major.
pub(crate) struct GoldenStep {
    /// rows × features.
    pub(crate) x: Vec<f32>,
    /// rows × horizons × statistics × levels.
    pub(crate) q: Vec<f32>,
    /// rows × state size.
    pub(crate) h_out: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "about")]
    _about: String,
    rows: usize,
    state_size: usize,
    tolerance: f32,
    steps: Vec<WrittenStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    x: Vec<Vec<f32>>,
    q: Vec<Vec<Vec<Vec<f32>>>>,
    h_out: Vec<Vec<f32>>,
}

impl Golden {
    /// Reads the vectors of a model with `state_size` and holds them to the manifest. `Err` says what is wrong.
    pub(crate) fn parse(text: &[u8], manifest: &Manifest, state_size: usize) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(text).map_err(|e| format!("not golden vectors ({e})"))?;
        if written.rows == 0 || written.steps.is_empty() {
            return Err("it holds no rows or no steps, so it shows nothing".to_owned());
        }
        if written.state_size != state_size {
            return Err(format!("state_size is {}, the manifest says {state_size}", written.state_size));
        }
        if !(written.tolerance > 0.0 && written.tolerance <= TOLERANCE_MAX) {
            return Err(format!("tolerance is {:e}: it must be above 0, at most {TOLERANCE_MAX:e}", written.tolerance));
        }
        let steps = written
            .steps
            .into_iter()
            .enumerate()
            .map(|(i, step)| step.flat(written.rows, manifest, state_size).map_err(|e| format!("step {i}: {e}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { rows: written.rows, tolerance: written.tolerance, steps })
    }
}

impl WrittenStep {
    fn flat(self, rows: usize, manifest: &Manifest, state_size: usize) -> Result<GoldenStep, String> {
        Ok(GoldenStep {
            x: flat("x", self.x, rows, manifest.features)?,
            q: {
                let horizons = flat("q", self.q, rows, manifest.horizons_s.len())?;
                let statistics = flat("q", horizons, rows * manifest.horizons_s.len(), STATISTICS)?;
                flat("q", statistics, rows * manifest.horizons_s.len() * STATISTICS, LEVELS)?
            },
            h_out: flat("h_out", self.h_out, rows, state_size)?,
        })
    }
}

fn flat<T>(name: &str, nested: Vec<Vec<T>>, outer: usize, inner: usize) -> Result<Vec<T>, String> {
    if nested.len() != outer || nested.iter().any(|v| v.len() != inner) {
        return Err(format!("{name} has not the shape that rows and the manifest say"));
    }
    Ok(nested.into_iter().flatten().collect())
}
