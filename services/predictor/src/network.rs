//! A model of a trained family: built into the program, from a folder, or of the store; checked either way
//! before it is used.

use crate::config::Settings;
use anyhow::Context as _;
use prescale_domain::forecast::features::{FEATURE_SCHEMA_SHA256, FEATURES};
use prescale_domain::forecast::{Family, GRID_STEP_S, HorizonQuantiles};
use prescale_domain::quantiles::{LEVELS, Quantiles};
use prescale_inference::store::{ModelStore, Pinned};
use prescale_inference::{Expected, FileLimits, Kind, Manifest, Model, ModelFiles, STATISTICS, StepOutput};
use std::collections::BTreeMap;
use std::sync::Arc;

const GRU_MODEL: &[u8] = include_bytes!("../../../models/gru/model.onnx");
const GRU_MANIFEST: &[u8] = include_bytes!("../../../models/gru/manifest.toml");
const GRU_GOLDEN: &[u8] = include_bytes!("../../../models/gru/golden.json");

/// A model with what the predictor needs to know of it. Clones share the weights.
#[derive(Clone, Debug)]
pub struct Network {
    model: Arc<Model>,
    version: Arc<str>,
    /// Per configured horizon its place among the model's.
    horizons: Vec<usize>,
}

impl Network {
    /// The models that the configuration names for the trained families that it lists: folders, and the built-in
    /// GRU where it names no other.
    ///
    /// # Errors
    /// When one is refused or lacks a configured horizon; with key and reason.
    pub fn load_bases(settings: &Settings) -> anyhow::Result<BTreeMap<Family, Self>> {
        let mut bases = BTreeMap::new();
        for family in settings.trained() {
            let (files, key) = match settings.model_folders.get(&family) {
                Some(folder) => {
                    let key = format!("[predictor.model_folders] {} = {folder:?}", family.name());
                    (ModelFiles::from_folder(folder, &FileLimits::default()).context(key.clone())?, key)
                }
                None if family == Family::Gru => {
                    let files = ModelFiles::from_bytes("built-in models/gru", GRU_MODEL, GRU_MANIFEST, GRU_GOLDEN);
                    (files, "[predictor] models".to_owned())
                }
                None => continue,
            };
            bases.insert(family, Self::of_files(&files, settings).context(key)?);
        }
        Ok(bases)
    }

    /// A version of the store. With what its folder held, which must be as `pinned` where that is given.
    ///
    /// # Errors
    /// When it is refused, is not the version that its folder says or that was promoted, or lacks a configured
    /// horizon.
    pub fn of_store(
        store: &ModelStore,
        settings: &Settings,
        family: Family,
        version: &str,
        pinned: Option<&Pinned>,
    ) -> anyhow::Result<(Self, Pinned)> {
        let files = store.files(family.name(), version)?;
        let found = Pinned { version: version.to_owned(), manifest_sha256: files.manifest_sha256() };
        anyhow::ensure!(
            pinned.is_none_or(|pinned| *pinned == found),
            "{}: it is not what was promoted, its manifest has changed since: promote it again, or put back what was there",
            files.origin()
        );
        let network = Self::of_files(&files, settings)?;
        anyhow::ensure!(
            &*network.version == version,
            "{}: its manifest says version {:?}: name the folder so",
            files.origin(),
            network.version
        );
        Ok((network, found))
    }

    /// A model from its files, passed through the gate.
    ///
    /// # Errors
    /// When the model is refused, is for other bins, or lacks a configured horizon.
    pub fn of_files(files: &ModelFiles, settings: &Settings) -> anyhow::Result<Self> {
        let model = Model::load(files, &Expected::features(FEATURE_SCHEMA_SHA256))?;
        Self::of(model, settings).with_context(|| files.origin().to_owned())
    }

    fn of(model: Model, settings: &Settings) -> anyhow::Result<Self> {
        let manifest = model.manifest();
        anyhow::ensure!(
            manifest.grid_step_s == GRID_STEP_S,
            "it is for bins of {} s: only bins of {GRID_STEP_S} s are forecast",
            manifest.grid_step_s
        );
        anyhow::ensure!(
            manifest.features == FEATURES,
            "it takes {} features of a bin: there are {FEATURES}",
            manifest.features
        );
        let known = &manifest.horizons_s;
        let place = |horizon_s: &u32| known.iter().position(|known| known == horizon_s);
        let horizons = settings.horizons_s.iter().map(place).collect::<Option<Vec<_>>>().with_context(|| {
            format!(
                "[predictor] horizons_s = {:?}: {} forecasts {known:?}; take of these, or leave its family out of models",
                settings.horizons_s,
                manifest.name
            )
        })?;
        let version = manifest.version.as_str().into();
        Ok(Self { model: Arc::new(model), version, horizons })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        self.model.manifest()
    }

    /// Version of the model, from its manifest.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// SHA-256 of the model, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.model.manifest().sha256
    }

    /// How it sees the past.
    pub fn kind(&self) -> Kind {
        self.model.manifest().kind
    }

    /// Bins that a series must have, the open one included, before the forecasts are of use.
    pub fn bins_needed(&self) -> u64 {
        self.model.manifest().bins_needed
    }

    /// One step of the rows in `x` (rows × features) and `past` (rows × state size, or bins of the window).
    ///
    /// # Errors
    /// When the runtime fails.
    pub fn step(&self, x: &[f32], past: &[f32], out: &mut StepOutput) -> anyhow::Result<()> {
        Ok(self.model.step(x, past, out)?)
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
    use prescale_inference::testing::Formula;

    fn load(change: impl FnOnce(&mut Config)) -> anyhow::Result<Vec<Network>> {
        let mut config = Config::default();
        change(&mut config);
        Ok(Network::load_bases(&config.settings()?)?.into_values().collect())
    }

    #[test]
    fn the_built_in_model_passes_its_checks() {
        let networks = load(|_| ()).unwrap();
        assert_eq!((networks.len(), networks[0].manifest().name.as_str(), networks[0].bins_needed()), (1, "gru", 12));
        assert_eq!((networks[0].quantiles_per_row(), networks[0].sha256().len()), (3 * STATISTICS * LEVELS, 64));
        let chosen = &load(|c| c.horizons_s = vec![300, 3600]).unwrap()[0];
        assert_eq!(chosen.horizons, [0, 2]);
        let q: Vec<f32> = (0..48u8).map(f32::from).collect();
        let quantiles = chosen.quantiles(&q, 2.0).unwrap();
        assert_eq!((quantiles[0].value.values()[0], quantiles[1].maximum.values()[7]), (0.0, 94.0));
        assert!(load(|c| c.models = vec!["last-value".to_owned()]).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_finite_is_no_forecast() {
        let network = &load(|_| ()).unwrap()[0];
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
        assert!(
            horizons.contains("horizons_s = [300, 1800]: gru forecasts [300, 900, 3600]; take of these"),
            "{horizons}"
        );
        let folder = message(|c| c.model_folders = [("gru".into(), "no/such/folder".into())].into());
        assert!(folder.contains("[predictor.model_folders] gru = \"no/such/folder\""), "{folder}");
    }

    #[test]
    fn a_family_takes_models_of_either_kind() {
        let folder = tempfile::tempdir().unwrap();
        for kind in [Kind::Stateful { state_size: 8 }, Kind::Windowed { bins: 12 }] {
            Formula::new("lstm", "1", kind).contents().write(folder.path()).unwrap();
            let networks = load(|c| {
                c.models = vec!["lstm".to_owned()];
                c.model_folders = [("lstm".to_owned(), folder.path().to_owned())].into();
            });
            let network = &networks.unwrap()[0];
            assert_eq!((network.kind(), network.bins_needed()), (kind, 2));
        }
    }
}
