//! The models that run, from when on: what the configuration names, and what was promoted in the store since.
//!
//! An edge: it reads files and loads models, off the path of the data. A switch takes effect at an instant of
//! event time, so which model forecasts a bin follows from the store's history and not from when it was heard
//! of. A version that is refused is passed over: the one before goes on.

use crate::config::Settings;
use crate::lineup::{FROM_THE_BEGINNING, Lineup, ModelId, Term};
use crate::network::Network;
use anyhow::Context as _;
use metrics::{counter, gauge};
use prescale_bus::cancelled_within;
use prescale_domain::forecast::{Family, GRID_STEP_S};
use prescale_inference::store::{ModelStore, Pinned, Switch};
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
}

impl Models {
    fn of(networks: BTreeMap<ModelId, Network>) -> Self {
        let term = |(model, network): (&ModelId, &Network)| Term {
            model: *model,
            kind: network.kind(),
            bins_needed: network.bins_needed(),
        };
        Self { lineup: Lineup::new(networks.iter().map(term).collect()), networks }
    }

    /// Which of them is in use from when on.
    pub fn lineup(&self) -> &Lineup {
        &self.lineup
    }

    /// All of them.
    pub fn networks(&self) -> &BTreeMap<ModelId, Network> {
        &self.networks
    }
}

/// Loads models and hears of switches. Partitions share it.
pub struct Registry {
    settings: Arc<Settings>,
    store: Option<ModelStore>,
    /// What the configuration names.
    bases: BTreeMap<Family, Network>,
    heard: Mutex<Heard>,
    current: Mutex<Arc<Models>>,
}

/// What is known of the store.
#[derive(Default)]
struct Heard {
    switches: BTreeMap<Family, Vec<Switch>>,
    /// Each version that was tried; `None` where it was refused.
    tried: BTreeMap<(Family, Switch), Option<Network>>,
    /// Histories that could not be read, with the reason that was told.
    unreadable: BTreeMap<Family, String>,
}

impl Registry {
    /// Loads the models of the trained families that the settings list.
    ///
    /// # Errors
    /// When one that the configuration names is refused, a history of switches cannot be read, or a family has
    /// no model at all.
    pub fn open(settings: Arc<Settings>) -> anyhow::Result<Self> {
        let store = settings.models_dir.as_deref().map(ModelStore::new);
        let bases = Network::load_bases(&settings)?;
        let (heard, current) = Default::default();
        let registry = Self { settings, store, bases, heard: Mutex::new(heard), current: Mutex::new(current) };
        let mut heard = locked(&registry.heard);
        for family in registry.settings.trained() {
            let switches = registry.switches(family)?;
            heard.switches.insert(family, switches);
        }
        registry.load_and_publish(&mut heard);
        drop(heard);
        let models = registry.models();
        for family in registry.settings.trained() {
            let has_one = models.networks.keys().any(|model| model.family == family);
            anyhow::ensure!(has_one, "{}", without_a_model(family));
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

    /// Looks at the store once; loads what is new, and then makes it known.
    pub fn refresh(&self) {
        let heard = &mut *locked(&self.heard);
        let mut is_new = false;
        for family in self.settings.trained() {
            match self.switches(family) {
                Ok(switches) => {
                    heard.unreadable.remove(&family);
                    is_new |= heard.switches.get(&family) != Some(&switches);
                    heard.switches.insert(family, switches);
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
            self.load_and_publish(heard);
        }
    }

    fn switches(&self, family: Family) -> anyhow::Result<Vec<Switch>> {
        let Some(store) = &self.store else { return Ok(Vec::new()) };
        store.switches(family.name()).context("[predictor] models_dir")
    }

    fn load_and_publish(&self, heard: &mut Heard) {
        let Heard { switches, tried, .. } = heard;
        tried.retain(|(family, switch), _| switches.get(family).is_some_and(|known| known.contains(switch)));
        let mut networks: BTreeMap<ModelId, Network> = BTreeMap::new();
        for (family, network) in &self.bases {
            networks.insert(ModelId { family: *family, from_bin: FROM_THE_BEGINNING }, network.clone());
        }
        for (family, switches) in switches {
            for switch in switches {
                let network = match &switch.to {
                    None => self.bases.get(family).cloned(),
                    Some(pinned) => tried
                        .entry((*family, switch.clone()))
                        .or_insert_with(|| self.load(*family, switch, pinned))
                        .clone(),
                };
                if let Some(network) = network {
                    networks.insert(ModelId { family: *family, from_bin: first_bin(switch) }, network);
                }
            }
        }
        *locked(&self.current) = Arc::new(Models::of(networks));
    }

    fn load(&self, family: Family, switch: &Switch, pinned: &Pinned) -> Option<Network> {
        let store = self.store.as_ref()?;
        match Network::of_store(store, &self.settings, family, &pinned.version, Some(pinned)) {
            Ok((network, _)) => {
                let from_s = switch.from.map_or(0, |from| from.as_ms() / 1000);
                let labels = [("family", family.name().to_owned()), ("version", pinned.version.clone())];
                gauge!("prescale_predictor_model_from_seconds", &labels).set(from_s as f64);
                tracing::info!(family = family.name(), version = pinned.version, from_s, "model is in the line-up");
                Some(network)
            }
            Err(error) => {
                refused(family, Some(&pinned.version), &format!("{error:#}"));
                None
            }
        }
    }
}

/// First bin of the term that a switch begins: the one that begins at its instant or next after it.
fn first_bin(switch: &Switch) -> i64 {
    switch.from.map_or(FROM_THE_BEGINNING, |from| from.plus_s(i64::from(GRID_STEP_S) - 1).bin(GRID_STEP_S))
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
