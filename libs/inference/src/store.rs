//! Models by family and version in a folder, and which version is in use from when on.
//!
//! `<root>/<family>/<version>/` is the folder of a model, `<root>/<family>/switches.toml` the history of what was and will
//! be in use, of what ran beside it on trial, and of what became of each version when it was first loaded. Nothing is
//! loaded here, and no clock is read: a switch takes effect at an instant of event time.

mod history;

pub use history::{Decision, History, Outcome, Trial};

use crate::files::{FileLimits, ModelFiles};
use crate::manifest::{Kind, Manifest};
use crate::refusal::Refusal;
use history::{WrittenDecision, WrittenTrial};
use prescale_domain::time::EventTime;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Name of the history of switches in a family's folder.
pub const SWITCHES_FILE: &str = "switches.toml";

const LOCK_FILE: &str = ".lock";

const HEADER: &str = "# Which version is in use, from which instant of event time on (Unix seconds).\n\
    # Written by `prescale model promote`, `rollback` and `try`, and by the predictor: a `trial` runs beside what is in\n\
    # use, and a `decision` is what became of one, with the numbers. Keep the folders of versions that were in\n\
    # use or on trial for as long as the log is kept: state is rebuilt with them. `passed` and `refused` say what became of a\n\
    # version when a predictor first loaded it, and stand for good: promote it again to have it tried again.\n\n";

/// A folder of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelStore {
    root: PathBuf,
}

/// From an instant on another version is in use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Switch {
    /// The instant, in event time; `None` for a family's first version, which is in use from the beginning.
    pub from: Option<EventTime>,
    /// The version; `None` for the model that was in use before there was any of the store.
    pub to: Option<Pinned>,
    /// What became of the version; `None` before anybody has loaded it for this switch.
    pub verdict: Option<Verdict>,
}

/// What became of a version when it was first loaded for a switch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It passed the gate.
    Passed(Shape),
    /// It is passed over, for this reason.
    Refused(String),
}

/// What must be known of a version before it is loaded: as its manifest has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// How it sees the past.
    pub kind: Kind,
    /// Bins that a series must have, the open one included, before the forecasts are of use.
    pub bins_needed: u64,
    /// Horizons in seconds, ascending.
    pub horizons_s: Vec<u32>,
}

/// A version, with what its folder held when it was promoted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pinned {
    /// Name of the folder, and version in the manifest.
    pub version: String,
    /// SHA-256 of the manifest, which holds that of the model, in lower-case hex.
    pub manifest_sha256: String,
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("{}: cannot be {verb} ({source}): check the folder and its rights", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The history of switches contradicts itself.
    #[error("{}: {problem}", path.display())]
    Switches {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// A version's name could lead out of the store.
    #[error("version {version:?}: take letters, digits, '.', '_', '+' and '-', the first one no dot")]
    Name {
        /// The name.
        version: String,
    },
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    switch: Vec<WrittenSwitch>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    trial: Vec<WrittenTrial>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decision: Vec<WrittenDecision>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSwitch {
    #[serde(skip_serializing_if = "Option::is_none")]
    from_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    passed: Option<WrittenShape>,
}

/// One of `state_size` and `window_bins` says of which kind the model is.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenShape {
    #[serde(skip_serializing_if = "Option::is_none")]
    state_size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window_bins: Option<usize>,
    bins_needed: u64,
    horizons_s: Vec<u32>,
}

impl ModelStore {
    /// The store in a folder, which need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The folder of one version.
    ///
    /// # Errors
    /// [`StoreError::Name`].
    pub fn folder(&self, family: &str, version: &str) -> Result<PathBuf, StoreError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        if version.is_empty() || version.starts_with('.') || !version.chars().all(plain) {
            return Err(StoreError::Name { version: version.to_owned() });
        }
        Ok(self.family(family).join(version))
    }

    /// The files of one version, read and unchecked.
    ///
    /// # Errors
    /// As [`ModelFiles::from_folder`]; a bad name is [`Refusal::Manifest`].
    pub fn files(&self, family: &str, version: &str) -> Result<ModelFiles, Refusal> {
        let folder = self.folder(family, version);
        let folder = folder.map_err(|e| Refusal::Manifest {
            file: self.family(family).display().to_string(),
            problem: e.to_string(),
        })?;
        ModelFiles::from_folder(&folder, &FileLimits::default())
    }

    /// Names of the folders of a family, ascending by their bytes.
    ///
    /// # Errors
    /// [`StoreError::Io`]. A family without a folder has no versions.
    pub fn versions(&self, family: &str) -> Result<Vec<String>, StoreError> {
        let folder = self.family(family);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(cannot(&folder, "read"))?,
        };
        let mut versions = Vec::new();
        for entry in entries {
            let entry = entry.map_err(cannot(&folder, "read"))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() && self.folder(family, &name).is_ok() {
                versions.push(name);
            }
        }
        versions.sort();
        Ok(versions)
    }

    /// The switches of a family, by their instants ascending; the last of several at one instant holds. None
    /// when nothing was ever promoted.
    ///
    /// # Errors
    /// The file cannot be read, or contradicts itself.
    pub fn switches(&self, family: &str) -> Result<Vec<Switch>, StoreError> {
        Ok(self.history(family)?.switches)
    }

    /// All that is known of a family's versions; nothing when none was ever promoted or tried out.
    ///
    /// # Errors
    /// The file cannot be read, or contradicts itself.
    pub fn history(&self, family: &str) -> Result<History, StoreError> {
        let path = self.family(family).join(SWITCHES_FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(History::default()),
            text => text.map_err(cannot(&path, "read"))?,
        };
        let problem = |problem: String| StoreError::Switches { path: path.clone(), problem };
        let written: Written = toml::from_str(&text).map_err(|e| problem(e.to_string()))?;
        let switches = written.switch.into_iter().map(|switch| switch.read()).collect::<Result<Vec<_>, _>>();
        let switches = switches.map_err(&problem)?;
        let trials = written.trial.into_iter().map(WrittenTrial::read).collect::<Result<Vec<_>, _>>();
        let trials = trials.map_err(&problem)?;
        if !switches.is_sorted_by_key(|switch| switch.from) {
            return Err(problem("the switches are not in the order of their instants: sort them by from_s".to_owned()));
        }
        if !trials.is_sorted_by_key(|trial| trial.from) {
            return Err(problem("the trials are not in the order of their instants: sort them by from_s".to_owned()));
        }
        let in_use = switches.iter().filter_map(|switch| switch.to.as_ref());
        for Pinned { version, .. } in in_use.chain(trials.iter().filter_map(|trial| trial.of.as_ref())) {
            self.folder(family, version)?;
        }
        let decisions = written.decision.into_iter().map(WrittenDecision::read).collect();
        Ok(History { switches, trials, decisions })
    }

    /// Adds a switch. Those that were to take effect at its instant or later go; if that alone brings about what the
    /// switch asks for, it is left out. A trial that is under way ends with it. The file is replaced whole, under a lock.
    ///
    /// # Errors
    /// As [`Self::switches`], or the file cannot be written.
    pub fn add(&self, family: &str, switch: Switch) -> Result<(), StoreError> {
        let _held = self.lock(family)?;
        let mut history = self.history(family)?;
        if let Some(from) = switch.from {
            history.end_trials(from);
        }
        history.add(switch);
        self.write(family, history)
    }

    /// Adds a trial; one that is under way ends when it begins.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn try_out(&self, family: &str, trial: Trial) -> Result<(), StoreError> {
        let _held = self.lock(family)?;
        let mut history = self.history(family)?;
        history.end_trials(trial.from);
        history.trials.push(trial);
        self.write(family, history)
    }

    /// Ends the trial that began at an instant by what `decide` makes of the history. Each trial is decided once: where it
    /// is already, nothing happens. Gives what stands then; `None` where there is no such trial under way any more, or no
    /// folder of the family.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn decide(
        &self,
        family: &str,
        trial_from: EventTime,
        decide: impl FnOnce(&History, &Trial) -> Outcome,
    ) -> Result<Option<Decision>, StoreError> {
        let folder = self.family(family);
        if !folder.try_exists().map_err(cannot(&folder, "read"))? {
            return Ok(None);
        }
        let _held = self.lock(family)?;
        let mut history = self.history(family)?;
        if let Some(known) = history.decisions.iter().find(|known| known.trial_from == trial_from) {
            return Ok(Some(known.clone()));
        }
        let Some(trial) = history.open_trial().filter(|trial| trial.from == trial_from) else { return Ok(None) };
        let Outcome { decision, until, switch, next } = decide(&history, trial);
        history.end_trials(until);
        switch.into_iter().for_each(|switch| history.add(switch));
        history.trials.extend(next);
        history.decisions.push(decision.clone());
        self.write(family, history)?;
        Ok(Some(decision))
    }

    /// Records what became of the version that a switch names, or a trial that is as one ([`Trial::as_switch`]). What stands
    /// already is not changed. Gives what stands then; `None` where the switch has been taken back.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn judge(&self, family: &str, switch: &Switch, verdict: Verdict) -> Result<Option<Verdict>, StoreError> {
        let _held = self.lock(family)?;
        let mut history = self.history(family)?;
        let Some(known) = history.verdicts_of(switch).into_iter().next() else { return Ok(None) };
        if known.is_some() {
            return Ok(known.clone());
        }
        *known = Some(verdict.clone());
        self.write(family, history)?;
        Ok(Some(verdict))
    }

    /// Held until the file is dropped.
    fn lock(&self, family: &str) -> Result<File, StoreError> {
        let path = self.family(family).join(LOCK_FILE);
        let locked = File::create(&path).and_then(|file| file.lock().map(|()| file));
        locked.map_err(cannot(&path, "written"))
    }

    fn write(&self, family: &str, history: History) -> Result<(), StoreError> {
        let folder = self.family(family);
        let path = folder.join(SWITCHES_FILE);
        let written = Written {
            switch: history.switches.into_iter().map(WrittenSwitch::of).collect(),
            trial: history.trials.iter().map(WrittenTrial::of).collect(),
            decision: history.decisions.into_iter().map(WrittenDecision::of).collect(),
        };
        let text = toml::to_string(&written)
            .map_err(|e| StoreError::Switches { path: path.clone(), problem: format!("it has no TOML form ({e})") })?;
        replace(&folder, &path, &(HEADER.to_owned() + &text)).map_err(cannot(&path, "written"))
    }

    fn family(&self, family: &str) -> PathBuf {
        self.root.join(family)
    }
}

/// What was in use before the version that is promoted last, each way back counted as such; `Some(None)` for the
/// model that was in use before there was any of the store, `None` when nothing was in use.
pub fn predecessor(switches: &[Switch]) -> Option<Option<Pinned>> {
    let mut standing: Vec<Option<Pinned>> = Vec::new();
    if switches.first().is_some_and(|first| first.from.is_some()) {
        standing.push(None);
    }
    for Switch { to, .. } in switches {
        match standing.as_slice() {
            [.., before, _] if before == to => drop(standing.pop()),
            _ => standing.push(to.clone()),
        }
    }
    standing.pop();
    standing.pop()
}

impl WrittenSwitch {
    fn of(switch: Switch) -> Self {
        let (version, manifest_sha256) = switch.to.map(|to| (to.version, to.manifest_sha256)).unzip();
        let (passed, refused) = match switch.verdict {
            Some(Verdict::Passed(shape)) => (Some(WrittenShape::of(shape)), None),
            Some(Verdict::Refused(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        Self { from_s: switch.from.map(|from| from.as_ms() / 1000), version, manifest_sha256, refused, passed }
    }

    fn read(self) -> Result<Switch, String> {
        let to = match (self.version, self.manifest_sha256) {
            (Some(version), Some(manifest_sha256)) => Some(Pinned { version, manifest_sha256 }),
            (None, None) if self.from_s.is_some() => None,
            _ => return Err("a switch has version and manifest_sha256, or from_s alone: promote it anew".to_owned()),
        };
        let verdict = match (self.passed, self.refused) {
            (None, None) => None,
            (Some(shape), None) => Some(Verdict::Passed(shape.read()?)),
            (None, Some(reason)) => Some(Verdict::Refused(reason)),
            (Some(_), Some(_)) => return Err("a switch is passed or refused, not both: leave one out".to_owned()),
        };
        if verdict.is_some() && to.is_none() {
            return Err("only a version can be passed or refused: leave that out of the others".to_owned());
        }
        Ok(Switch { from: self.from_s.map(EventTime::from_s), to, verdict })
    }
}

impl WrittenShape {
    fn of(shape: Shape) -> Self {
        let (state_size, window_bins) = match shape.kind {
            Kind::Stateful { state_size } => (Some(state_size), None),
            Kind::Windowed { bins } => (None, Some(bins)),
        };
        Self { state_size, window_bins, bins_needed: shape.bins_needed, horizons_s: shape.horizons_s }
    }

    fn read(self) -> Result<Shape, String> {
        let kind = match (self.state_size, self.window_bins) {
            (Some(state_size @ 1..), None) => Kind::Stateful { state_size },
            (None, Some(bins @ 1..)) => Kind::Windowed { bins },
            _ => return Err("passed has state_size or window_bins, above 0: promote the version anew".to_owned()),
        };
        Ok(Shape { kind, bins_needed: self.bins_needed, horizons_s: self.horizons_s })
    }
}

impl From<&Manifest> for Shape {
    fn from(manifest: &Manifest) -> Self {
        let Manifest { kind, bins_needed, horizons_s, .. } = manifest;
        Self { kind: *kind, bins_needed: *bins_needed, horizons_s: horizons_s.clone() }
    }
}

fn replace(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let partial = path.with_extension("toml.partial");
    let mut file = File::create(&partial)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    File::open(folder)?.sync_all()
}

fn cannot(path: &Path, verb: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path, verb, source }
}
