//! A model of a trained family: built into the program, from a folder, or of the store. One of the store is loaded
//! when it is first asked for; what must be known of it before stands in the store's history.

use crate::config::Settings;
use crate::weights::{self, Weights};
use anyhow::Context as _;
use prescale_domain::forecast::{Family, HorizonQuantiles};
use prescale_domain::quantiles::{LEVELS, Quantiles};
use prescale_inference::store::{ModelStore, Pinned, SWITCHES_FILE, Shape};
use prescale_inference::{FileLimits, Kind, Model, ModelFiles, STATISTICS, StepOutput};
use std::collections::BTreeMap;
use std::sync::Arc;

const GRU_MODEL: &[u8] = include_bytes!("../../../models/gru/model.onnx");
const GRU_MANIFEST: &[u8] = include_bytes!("../../../models/gru/manifest.toml");
const GRU_GOLDEN: &[u8] = include_bytes!("../../../models/gru/golden.json");

/// A model with what the predictor needs to know of it. Clones share the weights.
#[derive(Clone, Debug)]
pub struct Network {
    weights: Arc<Weights>,
    version: Arc<str>,
    sha256: Arc<str>,
    kind: Kind,
    bins_needed: u64,
    quantiles_per_row: usize,
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

    /// A version of the store, loaded now. With what its folder held, which must be as `pinned` where that is given.
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
        let (model, found) = weights::of_store(store, family, version, pinned)?;
        let shape = Shape::from(model.manifest());
        let network = Self::of_version(Arc::new(Weights::of(model)), settings, family, &found, &shape)?;
        Ok((network, found))
    }

    /// A version of the store of which this is known, whether it is loaded or not.
    ///
    /// # Errors
    /// When it lacks a configured horizon.
    pub fn of_version(
        weights: Arc<Weights>,
        settings: &Settings,
        family: Family,
        pinned: &Pinned,
        shape: &Shape,
    ) -> anyhow::Result<Self> {
        let Pinned { version, manifest_sha256 } = pinned;
        Self::new(weights, settings, (version.as_str(), manifest_sha256.as_str()), shape, family.name())
    }

    /// A model from its files, passed through the gate.
    ///
    /// # Errors
    /// When the model is refused, is for other bins, or lacks a configured horizon.
    pub fn of_files(files: &ModelFiles, settings: &Settings) -> anyhow::Result<Self> {
        let model = weights::of_files(files)?;
        let manifest = model.manifest().clone();
        let (identity, shape) = ((manifest.version.as_str(), manifest.sha256.as_str()), Shape::from(&manifest));
        let network = Self::new(Arc::new(Weights::of(model)), settings, identity, &shape, &manifest.name);
        network.with_context(|| files.origin().to_owned())
    }

    fn new(
        weights: Arc<Weights>,
        settings: &Settings,
        (version, sha256): (&str, &str),
        shape: &Shape,
        name: &str,
    ) -> anyhow::Result<Self> {
        let known = &shape.horizons_s;
        let place = |horizon_s: &u32| known.iter().position(|known| known == horizon_s);
        let horizons = settings.horizons_s.iter().map(place).collect::<Option<Vec<_>>>().with_context(|| {
            format!(
                "[predictor] horizons_s = {:?}: {name} forecasts {known:?}; take of these, or leave its family out of \
                 models",
                settings.horizons_s
            )
        })?;
        Ok(Self {
            weights,
            version: version.into(),
            sha256: sha256.into(),
            kind: shape.kind,
            bins_needed: shape.bins_needed,
            quantiles_per_row: known.len() * STATISTICS * LEVELS,
            horizons,
        })
    }

    /// Version of the model, from its manifest.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// What tells it from every other, SHA-256 in lower-case hex: of a version of the store that of its manifest,
    /// which holds the model's, else the model's.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// How it sees the past.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bins that a series must have, the open one included, before the forecasts are of use.
    pub fn bins_needed(&self) -> u64 {
        self.bins_needed
    }

    /// Whether it has been asked for.
    pub fn is_loaded(&self) -> bool {
        self.weights.are_loaded()
    }

    /// The model; loads it if nobody has asked for it before.
    ///
    /// # Errors
    /// When it passed the gate before and does not now.
    pub fn model(&self) -> anyhow::Result<Arc<Model>> {
        self.weights.model().with_context(|| {
            format!(
                "version {} was in use and cannot be loaded any more: put back what its folder held, or let the one \
                 before forecast its bins: in {SWITCHES_FILE}, refused = \"lost\" in the place of its passed",
                self.version
            )
        })
    }

    /// One step of the rows in `x` (rows × features) and `past` (rows × state size, or bins of the window).
    ///
    /// # Errors
    /// When the runtime fails, or as [`Self::model`].
    pub fn step(&self, x: &[f32], past: &[f32], out: &mut StepOutput) -> anyhow::Result<()> {
        Ok(self.model()?.step(x, past, out)?)
    }

    /// Numbers in a row of [`StepOutput::q`].
    pub fn quantiles_per_row(&self) -> usize {
        self.quantiles_per_row
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
        let model = networks[0].model().unwrap();
        assert_eq!((networks.len(), model.manifest().name.as_str(), networks[0].bins_needed()), (1, "gru", 12));
        assert_eq!(networks[0].quantiles_per_row(), model.quantiles_per_row());
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
