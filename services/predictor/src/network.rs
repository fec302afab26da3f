//! The GRU: built into the program, or from a folder; checked either way before it is used.

use crate::config::Settings;
use anyhow::Context as _;
use prescale_domain::forecast::features::FEATURE_SCHEMA_SHA256;
use prescale_domain::forecast::{Family, GRID_STEP_S, HorizonQuantiles};
use prescale_domain::quantiles::{LEVELS, Quantiles};
use prescale_inference::{Expected, FileLimits, ModelFiles, STATISTICS, StatefulModel, StepOutput};
use std::sync::Arc;

const MODEL: &[u8] = include_bytes!("../../../models/gru/model.onnx");
const MANIFEST: &[u8] = include_bytes!("../../../models/gru/manifest.toml");
const GOLDEN: &[u8] = include_bytes!("../../../models/gru/golden.json");

/// The network with what the predictor needs to know of it. Clones share the weights; one a thread.
#[derive(Clone, Debug)]
pub struct Network {
    model: Arc<StatefulModel>,
    version: Arc<str>,
    /// Per configured horizon its place among the model's.
    horizons: Vec<usize>,
    output: StepOutput,
}

impl Network {
    /// The model that the settings ask for; `None` when they do not list the GRU.
    ///
    /// # Errors
    /// When the model is refused, or lacks a configured horizon; with the reason.
    pub fn load(settings: &Settings) -> anyhow::Result<Option<Self>> {
        if !settings.models.contains(&Family::Gru) {
            return Ok(None);
        }
        let files = match &settings.model_folder {
            Some(folder) => ModelFiles::from_folder(folder, &FileLimits::default())
                .with_context(|| format!("[predictor] model_folder = {folder:?} cannot be read"))?,
            None => ModelFiles::from_bytes("built-in models/gru", MODEL, MANIFEST, GOLDEN),
        };
        let model = StatefulModel::load(&files, &Expected::features(FEATURE_SCHEMA_SHA256)).with_context(|| {
            format!("the GRU of {} is refused: set another [predictor] model_folder, or none", files.origin())
        })?;
        anyhow::ensure!(
            model.manifest().grid_step_s == GRID_STEP_S,
            "the GRU of {} is for bins of {} s: only bins of {GRID_STEP_S} s are forecast",
            files.origin(),
            model.manifest().grid_step_s
        );
        let known = model.horizons_s().to_vec();
        let place = |horizon_s: &u32| known.iter().position(|known| known == horizon_s);
        let horizons = settings.horizons_s.iter().map(place).collect::<Option<Vec<_>>>().with_context(|| {
            format!(
                "[predictor] horizons_s = {:?}: the GRU forecasts {known:?}; take of these, or leave \"gru\" out of models",
                settings.horizons_s
            )
        })?;
        let version = model.manifest().version.as_str().into();
        Ok(Some(Self { model: Arc::new(model), version, horizons, output: StepOutput::default() }))
    }

    /// Version of the model, from its manifest.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// SHA-256 of the model, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.model.manifest().sha256
    }

    /// Numbers in the state of a series. Before its first bin all are 0.
    pub fn state_size(&self) -> usize {
        self.model.state_size()
    }

    /// One step of the rows in `x` (rows × features) and `h` (rows × state size).
    ///
    /// # Errors
    /// When the runtime fails.
    pub fn step(&mut self, x: &[f32], h: &[f32]) -> anyhow::Result<&StepOutput> {
        self.model.step(x, h, &mut self.output)?;
        Ok(&self.output)
    }

    /// Numbers in a row of [`StepOutput::q`].
    pub fn quantiles_per_row(&self) -> usize {
        self.model.quantiles_per_row()
    }

    /// A row of [`StepOutput::q`] as the configured horizons' quantiles in the unit of the demand.
    /// `None` when a number is not finite.
    pub fn quantiles(&self, q: &[f32], scale: f64) -> Option<Vec<HorizonQuantiles>> {
        let at = |horizon: usize, statistic: usize| {
            let row = q.get((horizon * STATISTICS + statistic) * LEVELS..)?.first_chunk::<LEVELS>()?;
            Quantiles::rearranged(row.map(|v| f64::from(v) * scale))
        };
        let of = |horizon: &usize| Some(HorizonQuantiles { value: at(*horizon, 0)?, maximum: at(*horizon, 1)? });
        self.horizons.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn load(change: impl FnOnce(&mut Config)) -> anyhow::Result<Option<Network>> {
        let mut config = Config::default();
        change(&mut config);
        Network::load(&config.settings()?)
    }

    #[test]
    fn the_built_in_model_passes_its_checks() {
        let network = load(|_| ()).unwrap().unwrap();
        assert_eq!((network.quantiles_per_row(), network.sha256().len()), (3 * STATISTICS * LEVELS, 64));
        let chosen = load(|c| c.horizons_s = vec![300, 3600]).unwrap().unwrap();
        assert_eq!(chosen.horizons, [0, 2]);
        let q: Vec<f32> = (0..48u8).map(f32::from).collect();
        let quantiles = chosen.quantiles(&q, 2.0).unwrap();
        assert_eq!((quantiles[0].value.values()[0], quantiles[1].maximum.values()[7]), (0.0, 94.0));
        assert!(load(|c| c.models = vec!["last-value".to_owned()]).unwrap().is_none());
    }

    #[test]
    fn what_is_not_finite_is_no_forecast() {
        let network = load(|_| ()).unwrap().unwrap();
        let mut q = vec![1.0f32; 48];
        assert!(network.quantiles(&q, 1.0).is_some());
        q[20] = f32::NAN;
        assert_eq!(network.quantiles(&q, 1.0), None);
        assert_eq!(network.quantiles(&q[..20], 1.0), None);
    }

    #[test]
    fn a_model_that_does_not_do_is_refused_with_the_reason() {
        let message = |change: fn(&mut Config)| format!("{:#}", load(change).unwrap_err());
        let horizons = message(|c| c.horizons_s = vec![300, 1800]);
        assert!(horizons.contains("horizons_s = [300, 1800]: the GRU forecasts [300, 900, 3600]"), "{horizons}");
        assert!(horizons.contains("leave \"gru\" out of models"), "{horizons}");
        let folder = message(|c| c.model_folder = "no/such/folder".to_owned());
        assert!(folder.contains("model_folder = \"no/such/folder\""), "{folder}");
    }
}
