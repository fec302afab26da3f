//! Tests of [`super`]: what is promoted is loaded, what is bad is refused and the one before goes on, and
//! predictions follow from the log and the store's history alone.

use super::*;
use crate::config::{Choice, Config};
use crate::partition::tests::{START_S, demand, enveloped, fingerprint};
use crate::partition::{Fate, Partition};
use prescale_domain::forecast_score::{ForecastScore, TrialLoss};
use prescale_domain::prediction::Prediction;
use prescale_inference::testing::{Contents, Formula};
use prescale_inference::{Kind, MANIFEST_FILE, MODEL_FILE};
use std::fs;
use tempfile::TempDir;

const STATEFUL: Kind = Kind::Stateful { state_size: 4 };

/// A store, and a predictor that lists the LSTM before last value.
struct World {
    store: ModelStore,
    root: TempDir,
    folders: BTreeMap<String, std::path::PathBuf>,
}

impl World {
    /// With a model in a folder that the configuration names.
    fn with_base() -> Self {
        let mut world = Self::bare();
        let folder = world.root.path().join("base");
        Formula::new("lstm", "base", STATEFUL).contents().write(&folder).unwrap();
        world.folders.insert("lstm".to_owned(), folder);
        world
    }

    fn bare() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { store: ModelStore::new(root.path().join("store")), root, folders: BTreeMap::new() }
    }

    fn config(&self) -> Config {
        Config {
            models: vec!["lstm".to_owned(), "last-value".to_owned()],
            choice: Choice::Order,
            models_dir: self.root.path().join("store"),
            model_folders: self.folders.clone(),
            ..Config::default()
        }
    }

    fn settings(&self) -> Arc<Settings> {
        Arc::new(self.config().settings().unwrap())
    }

    /// As a predictor opens it.
    fn open(&self) -> anyhow::Result<Arc<Registry>> {
        Registry::open_recording(self.settings()).map(Arc::new)
    }

    fn write(&self, version: &str, contents: &Contents) {
        contents.write(&self.store.folder("lstm", version).unwrap()).unwrap();
    }

    /// Writes a version and has it take over from an instant on, this many seconds after the start.
    fn promote(&self, version: &str, kind: Kind, from_s: Option<i64>) {
        self.write(version, &Formula::new("lstm", version, kind).biased(0.5).contents());
        let manifest_sha256 = self.store.files("lstm", version).unwrap().manifest_sha256();
        let to = Some(Pinned { version: version.to_owned(), manifest_sha256 });
        let from = from_s.map(|from_s| EventTime::from_s(START_S + from_s));
        self.store.add("lstm", Switch { from, to, verdict: None }).unwrap();
    }

    /// Writes a version and lets it run beside the one in use between two instants.
    fn try_out(&self, version: &str, kind: Kind, [from_s, until_s]: [i64; 2]) {
        self.write(version, &Formula::new("lstm", version, kind).biased(0.5).contents());
        let manifest_sha256 = self.store.files("lstm", version).unwrap().manifest_sha256();
        let of = Some(Pinned { version: version.to_owned(), manifest_sha256 });
        let [from, until] = [from_s, until_s].map(|s| EventTime::from_s(START_S + s));
        self.store.try_out("lstm", store::Trial { from, until: Some(until), of, verdict: None }).unwrap();
    }

    /// Leaves half of a version's model; gives all of it.
    fn truncate(&self, version: &str) -> Vec<u8> {
        let path = self.store.folder("lstm", version).unwrap().join(MODEL_FILE);
        let whole = fs::read(&path).unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
        whole
    }

    fn mend(&self, version: &str, whole: &[u8]) {
        fs::write(self.store.folder("lstm", version).unwrap().join(MODEL_FILE), whole).unwrap();
    }

    fn verdicts(&self) -> Vec<Option<Verdict>> {
        self.store.switches("lstm").unwrap().into_iter().map(|switch| switch.verdict).collect()
    }
}

/// Version and first bin of the terms, less those of the beginning.
fn terms(registry: &Registry) -> Vec<(String, i64)> {
    let first_bin = EventTime::from_s(START_S).bin(GRID_STEP_S);
    let models = registry.models();
    let of = |(model, network): (&ModelId, &Network)| {
        let from = if model.from_bin == FROM_THE_BEGINNING { -1 } else { model.from_bin - first_bin };
        (network.version().to_string(), from)
    };
    models.networks().iter().map(of).collect()
}

/// Versions of the terms, and whether they are loaded.
fn loaded(registry: &Registry) -> Vec<(String, bool)> {
    let models = registry.models();
    models.networks().values().map(|network| (network.version().to_string(), network.is_loaded())).collect()
}

fn said(terms: &[(&str, i64)]) -> Vec<(String, i64)> {
    terms.iter().map(|(version, from)| ((*version).to_owned(), *from)).collect()
}

#[test]
fn what_is_promoted_joins_and_what_is_taken_back_leaves() {
    let world = World::with_base();
    let registry = world.open().unwrap();
    assert_eq!(terms(&registry), said(&[("base", -1)]));
    let before = registry.models();
    registry.refresh();
    assert!(Arc::ptr_eq(&before, &registry.models()), "nothing is new");
    world.promote("2", STATEFUL, Some(3000));
    world.promote("3", STATEFUL, Some(6001));
    registry.refresh();
    assert_eq!(terms(&registry), said(&[("base", -1), ("2", 10), ("3", 21)]));
    // Back to what the configuration names, before the third one's time has come.
    let back = Switch { from: Some(EventTime::from_s(START_S + 5400)), to: None, verdict: None };
    world.store.add("lstm", back).unwrap();
    registry.refresh();
    assert_eq!(terms(&registry), said(&[("base", -1), ("2", 10), ("base", 18)]));
    assert_eq!(terms(&world.open().unwrap()), terms(&registry), "the same after a restart");
}

#[test]
fn a_family_may_live_of_the_store_alone() {
    let world = World::bare();
    let error = format!("{:#}", world.open().err().unwrap());
    assert!(error.contains("models lists \"lstm\", which has no model: set lstm under"), "{error}");
    world.promote("1", Kind::Windowed { bins: 3 }, None);
    assert_eq!(terms(&world.open().unwrap()), said(&[("1", -1)]));
}

type Spoil = fn(&std::path::Path);

#[test]
fn a_bad_version_is_passed_over() {
    let world = World::with_base();
    let registry = world.open().unwrap();
    world.promote("2", STATEFUL, Some(3000));
    registry.refresh();
    let sound = said(&[("base", -1), ("2", 10)]);
    let spoil: [(&str, Spoil); 4] = [
        ("truncated", |folder| {
            let bytes = fs::read(folder.join(MODEL_FILE)).unwrap();
            fs::write(folder.join(MODEL_FILE), &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("gone", |folder| fs::remove_file(folder.join(MODEL_FILE)).unwrap()),
        ("another", |folder| Formula::new("lstm", "another", STATEFUL).contents().write(folder).unwrap()),
        ("misnamed", |folder| {
            let manifest = fs::read_to_string(folder.join(MANIFEST_FILE)).unwrap();
            fs::write(folder.join(MANIFEST_FILE), manifest.replace("misnamed", "other")).unwrap();
        }),
    ];
    for (version, spoil) in spoil {
        world.promote(version, STATEFUL, Some(6000));
        spoil(&world.store.folder("lstm", version).unwrap());
        let looking = Registry::open(world.settings()).unwrap();
        assert_eq!(terms(&looking), sound, "{version}: for who only looks");
        assert_eq!(world.verdicts()[1], None, "{version}: who only looks writes nothing");
        registry.refresh();
        assert!(matches!(&world.verdicts()[1], Some(Verdict::Refused(_))), "{version}");
        assert_eq!(terms(&registry), sound, "{version}");
        assert_eq!(terms(&world.open().unwrap()), sound, "{version}: at the start as well");
    }
    // Mended and promoted again.
    world.promote("truncated", STATEFUL, Some(9000));
    registry.refresh();
    assert_eq!(terms(&registry), said(&[("base", -1), ("2", 10), ("truncated", 30)]));
}

#[test]
fn what_one_has_refused_all_pass_over_until_it_is_promoted_again() {
    let world = World::with_base();
    let (one, other) = (world.open().unwrap(), world.open().unwrap());
    world.promote("2", STATEFUL, Some(3000));
    let whole = world.truncate("2");
    one.refresh();
    world.mend("2", &whole);
    other.refresh();
    for registry in [one, other, world.open().unwrap()] {
        assert_eq!(terms(&registry), said(&[("base", -1)]));
        assert_eq!(loaded(&registry).len(), 1);
    }
    world.promote("2", STATEFUL, Some(3000));
    assert_eq!(terms(&world.open().unwrap()), said(&[("base", -1), ("2", 10)]));
    assert!(matches!(&world.verdicts()[..], [Some(Verdict::Passed(shape))] if shape.kind == STATEFUL));
}

#[test]
fn a_horizon_that_a_version_lacks_does_not_stand_against_it() {
    let world = World::bare();
    world.promote("1", STATEFUL, None);
    let config = Config { horizons_s: vec![300, 1800], ..world.config() };
    let error = Registry::open_recording(Arc::new(config.settings().unwrap())).err().unwrap();
    assert!(error.to_string().contains("which has no model"), "{error:#}");
    assert!(matches!(&world.verdicts()[..], [Some(Verdict::Passed(_))]));
    assert_eq!(terms(&world.open().unwrap()), said(&[("1", -1)]));
}

#[test]
fn earlier_versions_are_loaded_when_a_bin_of_theirs_is_forecast() {
    let world = World::with_base();
    world.promote("2", STATEFUL, Some(3000));
    world.promote("3", STATEFUL, Some(6000));
    let all = |versions: [bool; 3]| ["base", "2", "3"].map(str::to_owned).into_iter().zip(versions).collect::<Vec<_>>();
    let first = world.open().unwrap();
    assert_eq!(loaded(&first), all([true, true, true]), "each was tried");
    let mut partition = Partition::new(first);
    let wanted: Vec<Prediction> = (0..95).flat_map(|nth| apply(&mut partition, nth)).collect();
    let snapshot = partition.snapshot();
    let later = apply(&mut partition, 95);

    let restarted = world.open().unwrap();
    let mut restored = Partition::restored(Arc::clone(&restarted), &snapshot).unwrap();
    assert!(apply(&mut restored, 95) == later);
    assert_eq!(loaded(&restarted), all([true, false, true]));
    let mut rebuilt = Partition::new(Arc::clone(&restarted));
    let got: Vec<Prediction> = (0..95).flat_map(|nth| apply(&mut rebuilt, nth)).collect();
    assert!(got == wanted && rebuilt.snapshot() == snapshot);
    assert_eq!(loaded(&restarted), all([true, true, true]));
}

#[test]
fn a_version_that_is_lost_stops_who_needs_it_and_nobody_else() {
    let world = World::with_base();
    world.promote("2", STATEFUL, Some(3000));
    world.promote("3", STATEFUL, Some(6000));
    let mut partition = Partition::new(world.open().unwrap());
    (0..95).for_each(|nth| drop(apply(&mut partition, nth)));
    let snapshot = partition.snapshot();
    fs::remove_dir_all(world.store.folder("lstm", "2").unwrap()).unwrap();
    let restarted = world.open().unwrap();
    let mut restored = Partition::restored(Arc::clone(&restarted), &snapshot).unwrap();
    assert!(apply(&mut restored, 95) == apply(&mut partition, 95));
    let mut rebuilt = Partition::new(restarted);
    let error = (0..60).find_map(|nth| rebuilt.apply(batch(nth)).err()).unwrap();
    let error = format!("{error:#}");
    assert!(error.contains("version 2 was in use") && error.contains("put back what its folder held"), "{error}");
    // The newest is needed at once, and missed at the start.
    fs::remove_dir_all(world.store.folder("lstm", "3").unwrap()).unwrap();
    let error = format!("{:#}", world.open().err().unwrap());
    assert!(error.contains("models_dir") && error.contains("version 3 was in use"), "{error}");
}

#[test]
fn a_history_that_cannot_be_read_changes_nothing_while_it_runs_and_stops_a_start() {
    let world = World::with_base();
    world.promote("2", STATEFUL, Some(3000));
    let registry = world.open().unwrap();
    let path = world.root.path().join("store/lstm").join(prescale_inference::store::SWITCHES_FILE);
    let sound = fs::read(&path).unwrap();
    fs::write(&path, "[[switch").unwrap();
    registry.refresh();
    assert_eq!(terms(&registry), said(&[("base", -1), ("2", 10)]));
    let error = format!("{:#}", world.open().err().unwrap());
    assert!(error.contains("models_dir") && error.contains("switches.toml"), "{error}");
    fs::write(&path, sound).unwrap();
    registry.refresh();
    assert_eq!(terms(&registry), said(&[("base", -1), ("2", 10)]));
}

/// A record each of two workloads every 100 s.
fn batch(nth: i64) -> Vec<crate::partition::Enveloped> {
    let record = |workload: i64| {
        let at_s = 100 * nth + 7 * workload;
        let demands = [Some(demand(workload, at_s)), (nth % 5 != 0).then_some(2e9)];
        enveloped(fingerprint(&format!("vm-{workload}"), START_S + at_s, demands))
    };
    vec![record(0), record(1)]
}

fn apply(partition: &mut Partition, nth: i64) -> Vec<Prediction> {
    let made = partition.apply(batch(nth)).unwrap();
    made.into_iter().filter_map(|fate| if let Fate::Predicted(_, made) = fate { Some(*made) } else { None }).collect()
}

#[test]
fn predictions_are_the_same_whenever_the_switch_is_heard_of_and_after_any_restart() {
    let world = World::with_base();
    let running = world.open().unwrap();
    let mut partition = Partition::new(Arc::clone(&running));
    let mut got = Vec::new();
    for nth in 0..60 {
        got.extend(apply(&mut partition, nth));
    }
    let older = partition.snapshot();
    // Bin 30 begins at record 90.
    world.promote("2", STATEFUL, Some(9000));
    running.refresh();
    for nth in 60..94 {
        got.extend(apply(&mut partition, nth));
    }
    let newer = partition.snapshot();
    let restarted = world.open().unwrap();
    let mut again = Partition::restored(Arc::clone(&restarted), &newer).unwrap();
    for nth in 94..140 {
        got.extend(apply(&mut again, nth));
    }
    let mut whole = Partition::new(Arc::clone(&restarted));
    let wanted: Vec<Prediction> = (0..140).flat_map(|nth| apply(&mut whole, nth)).collect();
    assert!(got == wanted, "as if the switch had been known from the beginning");
    assert!(again.snapshot() == whole.snapshot());
    assert_eq!(wanted.len(), 280, "no tick is lost");
    let versions = |range: std::ops::Range<usize>| -> Vec<&str> {
        let mut versions: Vec<&str> = wanted[range].iter().map(|made| &*made.resources[0].model_version).collect();
        versions.dedup();
        versions
    };
    assert_eq!(versions(100..280), ["base", "2"]);
    assert_eq!(versions(100..186), ["base"], "the new one warms up in bin 30");

    // From a snapshot of before the switch, with the records since applied anew.
    let mut replayed = Partition::restored(restarted, &older).unwrap();
    (60..140).for_each(|nth| drop(apply(&mut replayed, nth)));
    assert!(replayed.snapshot() == whole.snapshot());
}

#[test]
fn a_snapshot_that_was_made_with_other_models_is_put_aside() {
    let world = World::with_base();
    let mut partition = Partition::new(world.open().unwrap());
    (0..95).for_each(|nth| drop(apply(&mut partition, nth)));
    let snapshot = partition.snapshot();
    // Before what was seen, in a bin that has been forecast already.
    world.promote("2", STATEFUL, Some(9000));
    let error = Partition::restored(world.open().unwrap(), &snapshot).err().unwrap().to_string();
    assert!(error.contains("other models had been in use"), "{error}");
    // Taken back, and promoted for a time that has not come: nothing has changed for what was seen.
    let from = Some(EventTime::from_s(START_S + 9000));
    world.store.add("lstm", Switch { from, to: None, verdict: None }).unwrap();
    world.promote("2", STATEFUL, Some(9000 + 3000));
    assert!(Partition::restored(world.open().unwrap(), &snapshot).is_ok());
}

#[test]
fn the_watch_hears_of_a_promotion() {
    let world = World::with_base();
    let (registry, shutdown) = (world.open().unwrap(), CancellationToken::new());
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| registry.watch(&shutdown));
        world.promote("2", STATEFUL, Some(3000));
        while terms(&registry).len() == 1 {
            assert!(!watcher.is_finished());
            assert!(!cancelled_within(&shutdown, Duration::from_millis(10)));
        }
        shutdown.cancel();
    });
    assert_eq!(terms(&registry), said(&[("base", -1), ("2", 10)]));
}

/// Ten hours and more: the predictions, and what is told of the hours.
fn hours(world: &World) -> (Vec<Prediction>, Vec<ForecastScore>) {
    let mut partition = Partition::new(world.open().unwrap());
    let (mut made, mut told) = (Vec::new(), Vec::new());
    for nth in 0..450 {
        made.extend(apply(&mut partition, nth));
        told.extend(partition.take_scores().into_iter().map(|(_, score)| score));
        if nth == 200 {
            partition = Partition::restored(world.open().unwrap(), &partition.snapshot()).unwrap();
        }
    }
    (made, told)
}

#[test]
fn a_version_on_trial_is_scored_beside_the_one_in_use_and_forecasts_nothing() {
    let (wanted, without) = hours(&World::with_base());
    assert!(without.iter().flat_map(|score| &score.resources).all(|resource| resource.trials.is_empty()));
    for kind in [STATEFUL, Kind::Windowed { bins: 3 }] {
        let world = World::with_base();
        world.try_out("2", kind, [3000, 30_000]);
        let (made, told) = hours(&world);
        assert!(made == wanted, "{kind:?}");
        let of = |score: &ForecastScore| -> Vec<TrialLoss> {
            score.resources.iter().flat_map(|resource| resource.trials.clone()).collect()
        };
        let trials: Vec<TrialLoss> = told.iter().flat_map(of).collect();
        assert!(trials.len() >= 8, "{kind:?}: {}", trials.len());
        for trial in &trials {
            assert_eq!((&*trial.model_version, &*trial.candidate_version), ("base", "2"));
            assert_eq!((trial.trial_from, trial.rounds), (EventTime::from_s(START_S + 3000), 1));
            assert!(trial.candidate_loss != trial.pinball_loss, "{trial:?}");
        }
        let later = told.iter().filter(|score| score.from >= EventTime::from_s(START_S + 36_000));
        assert_eq!(later.flat_map(of).count(), 0, "{kind:?}: it is over");
        let history = world.store.history("lstm").unwrap();
        assert!(matches!(&history.trials[0].verdict, Some(Verdict::Passed(shape)) if shape.kind == kind));
        assert_eq!(hours(&world).1, told, "the same after a restart");
    }
}
