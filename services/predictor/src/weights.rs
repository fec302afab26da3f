//! A model's weights, which pass the gate when they are first asked for.

use anyhow::ensure;
use prescale_domain::forecast::features::{FEATURE_SCHEMA_SHA256, FEATURES};
use prescale_domain::forecast::{Family, GRID_STEP_S};
use prescale_inference::store::{ModelStore, Pinned};
use prescale_inference::{Expected, Model, ModelFiles};
use std::sync::{Arc, Mutex, PoisonError};

/// The weights of one model. Whoever asks first loads them for all.
#[derive(Debug)]
pub struct Weights(Mutex<State>);

#[derive(Debug)]
enum State {
    InStore(Place),
    Loaded(Arc<Model>),
}

#[derive(Debug)]
struct Place {
    store: ModelStore,
    family: Family,
    pinned: Pinned,
}

impl Weights {
    /// Of a model that is loaded.
    pub fn of(model: Model) -> Self {
        Self(Mutex::new(State::Loaded(Arc::new(model))))
    }

    /// Of a version of the store that nobody has asked for yet.
    pub fn in_store(store: &ModelStore, family: Family, pinned: &Pinned) -> Self {
        Self(Mutex::new(State::InStore(Place { store: store.clone(), family, pinned: pinned.clone() })))
    }

    /// Whether they have been asked for.
    pub fn are_loaded(&self) -> bool {
        matches!(&*self.0.lock().unwrap_or_else(PoisonError::into_inner), State::Loaded(_))
    }

    /// The model. The first call takes as long as the gate does; one that fails is tried again by the next.
    ///
    /// # Errors
    /// As [`of_store`].
    pub fn model(&self) -> anyhow::Result<Arc<Model>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match &*state {
            State::Loaded(model) => return Ok(Arc::clone(model)),
            State::InStore(place) => place,
        };
        let (model, _) = of_store(&place.store, place.family, &place.pinned.version, Some(&place.pinned))?;
        let model = Arc::new(model);
        *state = State::Loaded(Arc::clone(&model));
        Ok(model)
    }
}

/// A version of the store, through the gate. With what its folder held, which must be as `pinned` where that is given.
///
/// # Errors
/// When it is refused, or is not the version that its folder says or that was promoted.
pub fn of_store(
    store: &ModelStore,
    family: Family,
    version: &str,
    pinned: Option<&Pinned>,
) -> anyhow::Result<(Model, Pinned)> {
    let files = store.files(family.name(), version)?;
    let found = Pinned { version: version.to_owned(), manifest_sha256: files.manifest_sha256() };
    ensure!(
        pinned.is_none_or(|pinned| *pinned == found),
        "{}: it is not what was promoted, its manifest has changed since: promote it again, or put back what was there",
        files.origin()
    );
    let model = of_files(&files)?;
    let stated = &model.manifest().version;
    ensure!(stated == version, "{}: its manifest says version {stated:?}: name the folder so", files.origin());
    Ok((model, found))
}

/// A model from its files, through the gate.
///
/// # Errors
/// When it is refused, or is for other bins or features.
pub fn of_files(files: &ModelFiles) -> anyhow::Result<Model> {
    let model = Model::load(files, &Expected::features(FEATURE_SCHEMA_SHA256))?;
    let manifest = model.manifest();
    ensure!(
        manifest.grid_step_s == GRID_STEP_S,
        "{}: it is for bins of {} s: only bins of {GRID_STEP_S} s are forecast",
        files.origin(),
        manifest.grid_step_s
    );
    ensure!(
        manifest.features == FEATURES,
        "{}: it takes {} features of a bin: there are {FEATURES}",
        files.origin(),
        manifest.features
    );
    Ok(model)
}
