//! The models that run, from when on: what the configuration names, and what was promoted in the store since.
//!
//! An edge: it reads files and loads models. A switch takes effect at an instant of event time, so which model
//! forecasts a bin follows from the store's history and not from when it was heard of. A version is tried once for
//! each switch that brings it into use, and what became of it stands in the history: one that is refused is passed
//! over for good, and the one before goes on.
//!
//! Loaded ahead is what was never tried, and the newest of each family. Earlier versions are loaded when a bin of
//! theirs is forecast, as when state is rebuilt from the log.

use crate::config::Settings;
use crate::lineup::{FROM_THE_BEGINNING, Lineup, ModelId, Term, Trial};
use crate::network::Network;
use crate::weights::Weights;
use anyhow::Context as _;
use metrics::{counter, gauge};
use prescale_bus::cancelled_within;
use prescale_domain::forecast::{Family, GRID_STEP_S};
use prescale_domain::time::EventTime;
use prescale_inference::store::{self, History, ModelStore, Pinned, Shape, Switch, Verdict};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the store is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The models of all terms.
#[derive(Clone, Debug, Default)]
pub struct Models {
    lineup: Lineup,
    networks: BTreeMap<ModelId, Network>,
    /// Those on trial.
    candidates: BTreeMap<ModelId, Network>,
}

impl Models {
    /// `candidates` each with the first bin after its trial.
    fn of(networks: BTreeMap<ModelId, Network>, candidates: BTreeMap<ModelId, (Network, i64)>) -> Self {
        let term = |model: ModelId, network: &Network| Term {
            model,
            kind: network.kind(),
            bins_needed: network.bins_needed(),
        };
        let terms = networks.iter().map(|(model, network)| term(*model, network)).collect();
        let trials = candidates
            .iter()
            .map(|(model, (network, until_bin))| Trial { term: term(*model, network), until_bin: *until_bin });
        let lineup = Lineup::new(terms).with_trials(trials.collect());
        let candidates = candidates.into_iter().map(|(model, (network, _))| (model, network)).collect();
        Self { lineup, networks, candidates }
    }

    /// Which of them is in use from when on.
    pub fn lineup(&self) -> &Lineup {
        &self.lineup
    }

    /// All that are in use in some term.
    pub fn networks(&self) -> &BTreeMap<ModelId, Network> {
        &self.networks
    }

    /// Those and the ones on trial.
    pub fn all(&self) -> impl Iterator<Item = (&ModelId, &Network)> {
        self.networks.iter().chain(&self.candidates)
    }

    /// The network of a model.
    pub fn network(&self, model: ModelId) -> Option<&Network> {
        if model.is_candidate { self.candidates.get(&model) } else { self.networks.get(&model) }
    }

    /// A family's model of the last term.
    fn newest(&self, family: Family) -> Option<&Network> {
        let terms = ModelId::in_use(family, i64::MIN)..=ModelId::in_use(family, i64::MAX);
        self.networks.range(terms).next_back().map(|(_, network)| network)
    }
}

/// Loads models and hears of switches. Partitions share it.
pub struct Registry {
    settings: Arc<Settings>,
    store: Option<ModelStore>,
    /// What the configuration names.
    bases: BTreeMap<Family, Network>,
    /// Whether what became of a version is written into the store.
    is_recording: bool,
    heard: Mutex<Heard>,
    current: Mutex<Arc<Models>>,
}

/// What is known of the store.
#[derive(Default)]
struct Heard {
    histories: BTreeMap<Family, History>,
    versions: Versions,
    /// Histories that could not be read, with the reason that was told.
    unreadable: BTreeMap<Family, String>,
}

/// What is known of the versions that switches name.
#[derive(Default)]
struct Versions {
    /// What stands, by the switch as it was before anything stood.
    verdicts: BTreeMap<(Family, Switch), Verdict>,
    weights: BTreeMap<(Family, Pinned), Arc<Weights>>,
}

impl Registry {
    /// The models of the trained families that the settings list. Leaves the store as it is.
    ///
    /// # Errors
    /// When one that the configuration names is refused, a history of switches cannot be read, a family has no
    /// model at all, or its newest one cannot be loaded any more.
    pub fn open(settings: Arc<Settings>) -> anyhow::Result<Self> {
        Self::opened(settings, false)
    }

    /// The same for the predictor itself, which writes into the store what became of a version that nobody had
    /// tried, so that all instances and every later start go by it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_recording(settings: Arc<Settings>) -> anyhow::Result<Self> {
        Self::opened(settings, true)
    }

    fn opened(settings: Arc<Settings>, is_recording: bool) -> anyhow::Result<Self> {
        let store = settings.models_dir.as_deref().map(ModelStore::new);
        let bases = Network::load_bases(&settings)?;
        let (heard, current) = (Mutex::default(), Mutex::default());
        let registry = Self { settings, store, bases, is_recording, heard, current };
        let mut heard = locked(&registry.heard);
        for family in registry.settings.trained() {
            let history = registry.history(family)?;
            heard.histories.insert(family, history);
        }
        registry.publish(&mut heard);
        drop(heard);
        let models = registry.models();
        for family in registry.settings.trained() {
            let newest = models.newest(family).with_context(|| without_a_model(family))?;
            newest.model().with_context(|| format!("[predictor] models_dir: {}", family.name()))?;
        }
        Ok(registry)
    }

    /// The settings.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What the configuration names, by family.
    pub fn bases(&self) -> &BTreeMap<Family, Network> {
        &self.bases
    }

    /// The models as far as is known now.
    pub fn models(&self) -> Arc<Models> {
        Arc::clone(&locked(&self.current))
    }

    /// Looks at the store until `shutdown`. Blocks.
    pub fn watch(&self, shutdown: &CancellationToken) {
        while self.store.is_some() && !cancelled_within(shutdown, LOOK_EVERY) {
            self.refresh();
        }
    }

    /// Looks at the store once; tries what is new, and then makes it known.
    pub fn refresh(&self) {
        let heard = &mut *locked(&self.heard);
        let mut is_new = false;
        for family in self.settings.trained() {
            match self.history(family) {
                Ok(history) => {
                    heard.unreadable.remove(&family);
                    is_new |= heard.histories.get(&family) != Some(&history);
                    heard.histories.insert(family, history);
                }
                Err(error) => {
                    let reason = format!("{error:#}");
                    if heard.unreadable.get(&family) != Some(&reason) {
                        refused(family, None, &reason);
                        heard.unreadable.insert(family, reason);
                    }
                }
            }
        }
        if is_new {
            self.publish(heard);
            self.load_newest();
        }
    }

    /// Loads what another instance has found to pass, ahead of its instant.
    fn load_newest(&self) {
        let models = self.models();
        for family in self.settings.trained() {
            let Some(newest) = models.newest(family) else { continue };
            if let Err(error) = newest.model() {
                tracing::error!(
                    family = family.name(),
                    version = &**newest.version(),
                    reason = format!("{error:#}"),
                    "a model that passed elsewhere cannot be loaded here: this instance ends when its term begins"
                );
            }
        }
    }

    fn history(&self, family: Family) -> anyhow::Result<History> {
        let Some(store) = &self.store else { return Ok(History::default()) };
        store.history(family.name()).context("[predictor] models_dir")
    }

    fn publish(&self, heard: &mut Heard) {
        let Heard { histories, versions, .. } = heard;
        let mut networks: BTreeMap<ModelId, Network> = BTreeMap::new();
        for (family, network) in &self.bases {
            networks.insert(ModelId::in_use(*family, FROM_THE_BEGINNING), network.clone());
        }
        let mut candidates: BTreeMap<ModelId, (Network, i64)> = BTreeMap::new();
        for (family, history) in &*histories {
            for switch in &history.switches {
                if let Some(network) = self.network(versions, *family, switch) {
                    networks.insert(ModelId::in_use(*family, first_bin(switch.from)), network);
                }
            }
            for trial in &history.trials {
                if let Some(network) = self.network(versions, *family, &trial.as_switch()) {
                    let until_bin = trial.until.map_or(i64::MAX, |until| first_bin(Some(until)));
                    candidates.insert(ModelId::on_trial(*family, first_bin(Some(trial.from))), (network, until_bin));
                }
            }
        }
        versions.retain(histories);
        *locked(&self.current) = Arc::new(Models::of(networks, candidates));
    }

    /// What a switch brings into use; `None` where that is passed over.
    fn network(&self, versions: &mut Versions, family: Family, switch: &Switch) -> Option<Network> {
        match &switch.to {
            None => self.bases.get(&family).cloned(),
            Some(pinned) => self.version(versions, family, switch, pinned),
        }
    }

    /// A version that passed; `None` for one that is passed over.
    fn version(&self, known: &mut Versions, family: Family, switch: &Switch, pinned: &Pinned) -> Option<Network> {
        let store = self.store.as_ref()?;
        let unasked = || Arc::new(Weights::in_store(store, family, pinned));
        let weights = Arc::clone(known.weights.entry((family, pinned.clone())).or_insert_with(unasked));
        let key = (family, untried(switch));
        let told = known.verdicts.get(&key);
        let verdict = match switch.verdict.as_ref().or(told) {
            Some(stands) => stands.clone(),
            None => self.tried(store, family, &key.1, &weights),
        };
        if told != Some(&verdict) {
            tell(family, switch, pinned, &verdict);
            known.verdicts.insert(key, verdict.clone());
        }
        let Verdict::Passed(shape) = verdict else { return None };
        // What it lacks is for the configuration to say, and does not stand.
        let network = Network::of_version(weights, &self.settings, family, pinned, &shape);
        network.inspect_err(|error| refused(family, Some(&pinned.version), &format!("{error:#}"))).ok()
    }

    /// Loads a version for a switch for which nobody has tried it. Gives what stands then.
    fn tried(&self, store: &ModelStore, family: Family, switch: &Switch, weights: &Weights) -> Verdict {
        let verdict = match weights.model() {
            Ok(model) => Verdict::Passed(Shape::from(model.manifest())),
            Err(error) => Verdict::Refused(format!("{error:#}")),
        };
        if !self.is_recording {
            return verdict;
        }
        match store.judge(family.name(), switch, verdict.clone()) {
            Ok(stands) => stands.unwrap_or(verdict),
            Err(error) => {
                tracing::warn!(
                    family = family.name(),
                    reason = format!("{error:#}"),
                    "what became of a version cannot be recorded: each start tries it anew, with whatever comes of it"
                );
                verdict
            }
        }
    }
}

impl Versions {
    /// Drops what no switch names any more.
    fn retain(&mut self, histories: &BTreeMap<Family, History>) {
        let of = |family: &Family| -> Vec<Switch> {
            let Some(history) = histories.get(family) else { return Vec::new() };
            history.switches.iter().cloned().chain(history.trials.iter().map(store::Trial::as_switch)).collect()
        };
        self.verdicts.retain(|(family, key), _| of(family).iter().any(|switch| untried(switch) == *key));
        self.weights.retain(|(family, pinned), _| of(family).iter().any(|switch| switch.to.as_ref() == Some(pinned)));
    }
}

/// A switch as it was before anybody had tried its version.
fn untried(switch: &Switch) -> Switch {
    Switch { verdict: None, ..switch.clone() }
}

fn tell(family: Family, switch: &Switch, pinned: &Pinned, verdict: &Verdict) {
    let version = &pinned.version;
    match verdict {
        Verdict::Passed(_) => {
            let from_s = switch.from.map_or(0, |from| from.as_ms() / 1000);
            let labels = [("family", family.name().to_owned()), ("version", version.clone())];
            gauge!("prescale_predictor_model_from_seconds", &labels).set(from_s as f64);
            tracing::info!(family = family.name(), version, from_s, "model is in the line-up");
        }
        Verdict::Refused(reason) => refused(family, Some(version), reason),
    }
}

/// First bin of the term or trial that begins at an instant: the one that begins then or next after it.
fn first_bin(from: Option<EventTime>) -> i64 {
    from.map_or(FROM_THE_BEGINNING, |from| from.plus_s(i64::from(GRID_STEP_S) - 1).bin(GRID_STEP_S))
}

fn refused(family: Family, version: Option<&str>, reason: &str) {
    counter!("prescale_predictor_models_refused_total", "family" => family.name()).increment(1);
    tracing::error!(
        family = family.name(),
        version,
        reason,
        "model refused, the one before goes on: `prescale model list` says what is wrong; promote another, or this one \
         again once it is mended"
    );
}

/// What to do about a family that has no model.
pub(crate) fn without_a_model(family: Family) -> String {
    let name = family.name();
    format!(
        "[predictor] models lists {name:?}, which has no model: set {name} under [predictor.model_folders] to the folder \
         of one, promote one in [predictor] models_dir, or leave it out of models"
    )
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
