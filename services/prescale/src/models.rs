//! `prescale model`: checks models, says which are in use, and brings versions of the store into use and out of it.
//!
//! A switch takes effect at an instant of event time, a while ahead: until then every predictor has heard of it
//! and loaded the model, and no record of then has come yet. So it makes no difference when each of them did.

use crate::pretty_json;
use anyhow::{Context as _, Result, bail, ensure};
use prescale_contracts::rfc3339;
use prescale_domain::forecast::Family;
use prescale_domain::time::EventTime;
use prescale_inference::store::{Decision, History, ModelStore, Pinned, Switch, Trial, Verdict, predecessor};
use prescale_inference::{FileLimits, Kind, ModelFiles};
use prescale_predictor::config::Settings;
use prescale_predictor::network::Network;
use prescale_predictor::promoter::{LEAD_S, bin_from};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// One model, as `prescale model list` shows it.
#[derive(Serialize)]
struct Listed {
    family: &'static str,
    version: String,
    /// `configuration`, `built-in` or `store`.
    origin: &'static str,
    /// When its term begins or began; `None` from the beginning, or where it never was in use.
    from: Option<String>,
    standing: Standing,
    /// Why it is refused, or what has become of it since it was not.
    problem: Option<String>,
    /// Since when it is on trial, or what its last trial came to.
    trial: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Past,
    InUse,
    Next,
    OnTrial,
    NotPromoted,
    Refused,
}

impl Standing {
    fn text(self) -> &'static str {
        match self {
            Self::Past => "past",
            Self::InUse => "in use",
            Self::Next => "next",
            Self::OnTrial => "on trial",
            Self::NotPromoted => "not promoted",
            Self::Refused => "refused",
        }
    }
}

/// Passes a folder through the gate and says what is in it.
///
/// # Errors
/// With the reason why the model is refused.
pub fn verified(settings: &Settings, folder: &Path) -> Result<String> {
    let files = ModelFiles::from_folder(folder, &FileLimits::default())?;
    let network = Network::of_files(&files, settings)?;
    let model = network.model()?;
    let manifest = model.manifest();
    let past = match manifest.kind {
        Kind::Stateful { state_size } => format!("stateful, a state of {state_size} numbers"),
        Kind::Windowed { bins } => format!("windowed, {bins} bins"),
    };
    Ok(format!(
        "{}: {} {} passes every check\n  {past}; horizons {:?} s; of use from bin {} of a series on\n  {} bytes, sha256 {}\n",
        folder.display(),
        manifest.name,
        manifest.version,
        manifest.horizons_s,
        manifest.bins_needed,
        files.model().len(),
        manifest.sha256
    ))
}

/// Every model that the configuration or the store has, each checked, as text or JSON. What is in use is as of
/// `now`; records of another time go by theirs.
///
/// # Errors
/// When a model that the configuration names is refused, or the store cannot be read.
pub fn listed(settings: &Settings, now: EventTime, as_json: bool) -> Result<String> {
    let mut rows = Vec::new();
    for family in Family::TRAINED {
        rows.extend(of_family(settings, family, now)?);
    }
    if as_json {
        return pretty_json(&rows);
    }
    let mut text = format!("{:<14} {:<12} {:<14} {:<13} from\n", "family", "version", "origin", "standing");
    for Listed { family, version, origin, from, standing, problem, trial } in &rows {
        let never = matches!(standing, Standing::NotPromoted | Standing::OnTrial);
        let from = from.as_deref().unwrap_or(if never { "-" } else { "the beginning" });
        text += &format!("{family:<14} {version:<12} {origin:<14} {:<13} {from}\n", standing.text());
        for line in problem.iter().chain(trial) {
            text += &format!("  {line}\n");
        }
    }
    Ok(text)
}

fn of_family(settings: &Settings, family: Family, now: EventTime) -> Result<Vec<Listed>> {
    let mut rows = Vec::new();
    let base = Network::load_bases(&Settings { models: vec![family], ..settings.clone() })?.remove(&family);
    let origin = if settings.model_folders.contains_key(&family) { "configuration" } else { "built-in" };
    let row = |version: &str, origin, from: Option<EventTime>, found: Found| Listed {
        family: family.name(),
        version: version.to_owned(),
        origin,
        from: from.map(rfc3339),
        standing: match from {
            _ if found.is_refused => Standing::Refused,
            Some(from) if from > now => Standing::Next,
            _ => Standing::Past,
        },
        problem: found.problem,
        trial: None,
    };
    rows.extend(base.as_ref().map(|base| row(base.version(), origin, None, Found::default())));
    let Some(store) = settings.models_dir.as_deref().map(ModelStore::new) else {
        rows.iter_mut().for_each(|row| row.standing = Standing::InUse);
        return Ok(rows);
    };
    let history = store.history(family.name())?;
    let switches = &history.switches;
    for Switch { from, to, verdict } in switches {
        rows.extend(match (to, &base) {
            (Some(pinned), _) => {
                let tried = || Network::of_store(&store, settings, family, &pinned.version, Some(pinned)).map(drop);
                Some(row(&pinned.version, "store", *from, Found::of(verdict.as_ref(), tried)))
            }
            (None, Some(base)) => Some(row(base.version(), origin, *from, Found::default())),
            (None, None) => None,
        });
    }
    if let Some(serving) = rows.iter_mut().rfind(|row| row.standing == Standing::Past) {
        serving.standing = Standing::InUse;
    }
    for version in store.versions(family.name())? {
        if switches.iter().filter_map(|switch| switch.to.as_ref()).any(|pinned| pinned.version == version) {
            continue;
        }
        let tried = || Network::of_store(&store, settings, family, &version, None).map(drop);
        let mut row = row(&version, "store", None, Found::of(None, tried));
        if row.standing == Standing::Past {
            let of_trial = history.open_trial().and_then(|trial| trial.of.as_ref());
            let is_on_trial = of_trial.is_some_and(|pinned| pinned.version == version);
            row.standing = if is_on_trial { Standing::OnTrial } else { Standing::NotPromoted };
        }
        rows.push(row);
    }
    for row in &mut rows {
        row.trial = trial_of(&history, &row.version);
    }
    Ok(rows)
}

/// Since when a version is on trial, or what its last trial came to.
fn trial_of(history: &History, version: &str) -> Option<String> {
    let of_trial = history.open_trial().filter(|trial| trial.of.as_ref().is_some_and(|of| of.version == version));
    if let Some(trial) = of_trial {
        return Some(format!("on trial beside what is in use from {} on", rfc3339(trial.from)));
    }
    let decision = history.decisions.iter().rfind(|decision| decision.candidate == version)?;
    let Decision { led_to, in_use, shown, hours, workloads, lead, log10_e_better, log10_e_worse, .. } = decision;
    Some(format!(
        "{led_to} ({shown}) after {hours} hours of up to {workloads} workloads beside {in_use}: it lost {:.2} % of the demand in \
         place of {:.2} %, a lead of {:.1} % (e-values of 10^{log10_e_better:.1} for better, 10^{log10_e_worse:.1} for worse)",
        100.0 * decision.candidate_loss,
        100.0 * decision.loss,
        100.0 * lead
    ))
}

/// What is wrong with a version.
#[derive(Default)]
struct Found {
    is_refused: bool,
    problem: Option<String>,
}

impl Found {
    /// By what a predictor found once, which stands, and by what trying it gives now.
    fn of(verdict: Option<&Verdict>, tried: impl FnOnce() -> Result<()>) -> Self {
        if let Some(Verdict::Refused(reason)) = verdict {
            let problem = format!("{reason}; this stands: once it is mended, promote it again");
            return Self { is_refused: true, problem: Some(problem) };
        }
        let problem = tried().err().map(|error| format!("{error:#}"));
        Self { is_refused: problem.is_some() && verdict.is_none(), problem }
    }
}

/// A change of what is in use.
pub struct Change<'a> {
    /// The settings; they must name a store.
    pub settings: &'a Settings,
    /// The store.
    pub store: &'a ModelStore,
    /// Whose models.
    pub family: Family,
    /// The clock.
    pub now: EventTime,
    /// From when on; `None` for as soon as may be.
    pub from: Option<EventTime>,
}

impl Change<'_> {
    /// Checks a version and brings it into use; says from when on.
    ///
    /// # Errors
    /// When the version is refused, with the reason; what is in use then stays so. When the store cannot be written.
    pub fn promote(&self, version: &str) -> Result<String> {
        let Self { settings, store, family, .. } = self;
        let name = family.name();
        let (_, pinned) = Network::of_store(store, settings, *family, version, None)
            .with_context(|| format!("{name} {version} is refused, and what is in use stays"))?;
        let has_base = *family == Family::Gru || settings.model_folders.contains_key(family);
        let is_first = !has_base && store.switches(name)?.is_empty();
        self.switch(Some(pinned), if is_first { None } else { Some(self.first_instant()) })
    }

    /// Checks a version and lets it run beside the one in use from an instant on, until what both lose decides; says from
    /// when on.
    ///
    /// # Errors
    /// When the version is refused, with the reason, or in use; when there is none in use beside which it could run; when
    /// the store cannot be written.
    pub fn try_out(&self, version: &str) -> Result<String> {
        let Self { settings, store, family, .. } = self;
        let name = family.name();
        let (_, pinned) = Network::of_store(store, settings, *family, version, None)
            .with_context(|| format!("{name} {version} is refused, and nothing changes"))?;
        let switches = store.switches(name)?;
        let has_base = *family == Family::Gru || settings.model_folders.contains_key(family);
        ensure!(has_base || !switches.is_empty(), "no {name} is in use beside which {version} could run: promote it");
        let is_in_use = switches.last().and_then(|switch| switch.to.as_ref()) == Some(&pinned);
        ensure!(!is_in_use, "{name} {version} is in use, or will be: try another version beside it");
        let from = self.first_instant();
        store.try_out(name, Trial { from, until: None, of: Some(pinned), verdict: None })?;
        let mut text = format!("{name}: {version} is on trial from {} on\n", rfc3339(from));
        text += &self.unlisted();
        Ok(text)
    }

    /// Brings back into use what was before the version that was promoted last; says from when on.
    ///
    /// # Errors
    /// When there was nothing, it is refused, or the store cannot be written.
    pub fn roll_back(&self) -> Result<String> {
        let Self { settings, store, family, .. } = self;
        let name = family.name();
        let Some(before) = predecessor(&store.switches(name)?) else {
            bail!("no {name} was in use before the one that is: promote another version");
        };
        if let Some(pinned) = &before {
            Network::of_store(store, settings, *family, &pinned.version, Some(pinned))
                .with_context(|| format!("{name} {} was in use before, but is refused now", pinned.version))?;
        }
        self.switch(before, Some(self.first_instant()))
    }

    fn switch(&self, to: Option<Pinned>, from: Option<EventTime>) -> Result<String> {
        let Self { store, family, now, .. } = self;
        let name = family.name();
        let version = to.as_ref().map_or("the model of the configuration", |pinned| pinned.version.as_str()).to_owned();
        store.add(name, Switch { from, to, verdict: None })?;
        let mut text = match from {
            Some(from) => format!("{name}: {version} is in use from {} on\n", rfc3339(from)),
            None => format!("{name}: {version} is in use from the beginning; start the predictor anew\n"),
        };
        if from.is_some_and(|from| from < now.plus_s(LEAD_S)) {
            text += "Records of that time may have come already: a replay would forecast those with the other model.\n";
        }
        text += &self.unlisted();
        Ok(text)
    }

    /// What is to be said where the family forecasts nothing.
    fn unlisted(&self) -> String {
        let (name, listed) = (self.family.name(), &self.settings.models);
        if listed.contains(&self.family) {
            return String::new();
        }
        format!("[predictor] models does not list {name:?}: it forecasts nothing until it does.\n")
    }

    /// The bin's beginning at or after the instant that was asked for.
    fn first_instant(&self) -> EventTime {
        bin_from(self.from.unwrap_or_else(|| self.now.plus_s(LEAD_S)))
    }
}

/// The store that the settings name.
///
/// # Errors
/// When they name none, or it is no folder.
pub fn store(settings: &Settings) -> Result<ModelStore> {
    let Some(root) = &settings.models_dir else {
        bail!(
            "[predictor] models_dir is empty: set it to the folder that has the models by family and version, such as \
             \"models\" for models/lstm/0.2.0"
        );
    };
    let is_folder = fs::metadata(root).is_ok_and(|metadata| metadata.is_dir());
    ensure!(is_folder, "[predictor] models_dir = {root:?} is no folder: make it, and put models into it");
    Ok(ModelStore::new(root))
}

/// The trained family of a name.
///
/// # Errors
/// When there is none.
pub fn family_named(name: &str) -> Result<Family> {
    let family = Family::named(name).filter(|family| family.is_trained());
    let known = Family::TRAINED.map(Family::name);
    family.with_context(|| format!("{name:?} is no family of trained models: take of {known:?}"))
}
