//! Golden vectors: inputs, and what onnxruntime gave for them at export. Running the model is not done here.

use crate::manifest::{Kind, Manifest, STATISTICS};
use prescale_domain::quantiles::LEVELS;
use serde::Deserialize;

/// A tolerance above this would let a wrong model pass.
const TOLERANCE_MAX: f32 = 1e-3;

/// Steps of a few rows. Those of a stateful model follow one another with carried state, the first from
/// zeros; those of a windowed one stand alone.
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
    /// rows × bins of a windowed model; empty for a stateful one.
    pub(crate) w: Vec<f32>,
    /// rows × horizons × statistics × levels.
    pub(crate) q: Vec<f32>,
    /// rows × state size of a stateful model; empty for a windowed one.
    pub(crate) h_out: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "about")]
    _about: String,
    rows: usize,
    state_size: Option<usize>,
    window_bins: Option<usize>,
    tolerance: f32,
    steps: Vec<WrittenStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenStep {
    x: Vec<Vec<f32>>,
    #[serde(default)]
    w: Vec<Vec<f32>>,
    q: Vec<Vec<Vec<Vec<f32>>>>,
    #[serde(default)]
    h_out: Vec<Vec<f32>>,
}

impl Golden {
    /// Reads the vectors and holds them to the manifest. `Err` says what is wrong.
    pub(crate) fn parse(text: &[u8], manifest: &Manifest) -> Result<Self, String> {
        let written: Written = serde_json::from_slice(text).map_err(|e| format!("not golden vectors ({e})"))?;
        if written.rows == 0 || written.steps.is_empty() {
            return Err("it holds no rows or no steps, so it shows nothing".to_owned());
        }
        let (state_size, window_bins) = match manifest.kind {
            Kind::Stateful { state_size } => (Some(state_size), None),
            Kind::Windowed { bins } => (None, Some(bins)),
        };
        // The steps' shapes say it as well; the key need not.
        let stated =
            [("state_size", written.state_size, state_size), ("window_bins", written.window_bins, window_bins)];
        for (key, found, wanted) in stated {
            if found.is_some_and(|found| found != wanted.unwrap_or(0)) {
                return Err(format!("{key} is {}, the manifest says {}", found.unwrap_or(0), wanted.unwrap_or(0)));
            }
        }
        if !(written.tolerance > 0.0 && written.tolerance <= TOLERANCE_MAX) {
            return Err(format!("tolerance is {:e}: it must be above 0, at most {TOLERANCE_MAX:e}", written.tolerance));
        }
        let steps = written
            .steps
            .into_iter()
            .enumerate()
            .map(|(i, step)| step.flat(written.rows, manifest).map_err(|e| format!("step {i}: {e}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { rows: written.rows, tolerance: written.tolerance, steps })
    }
}

impl WrittenStep {
    fn flat(self, rows: usize, manifest: &Manifest) -> Result<GoldenStep, String> {
        let (windows, states) = match manifest.kind {
            Kind::Stateful { state_size } => ((0, 0), (rows, state_size)),
            Kind::Windowed { bins } => ((rows, bins), (0, 0)),
        };
        Ok(GoldenStep {
            x: flat("x", self.x, rows, manifest.features)?,
            q: {
                let horizons = flat("q", self.q, rows, manifest.horizons_s.len())?;
                let statistics = flat("q", horizons, rows * manifest.horizons_s.len(), STATISTICS)?;
                flat("q", statistics, rows * manifest.horizons_s.len() * STATISTICS, LEVELS)?
            },
            w: flat("w", self.w, windows.0, windows.1)?,
            h_out: flat("h_out", self.h_out, states.0, states.1)?,
        })
    }
}

fn flat<T>(name: &str, nested: Vec<Vec<T>>, outer: usize, inner: usize) -> Result<Vec<T>, String> {
    if nested.len() != outer || nested.iter().any(|v| v.len() != inner) {
        return Err(format!("{name} has not the shape that rows and the manifest say"));
    }
    Ok(nested.into_iter().flatten().collect())
}
