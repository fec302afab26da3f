//! Configuration of the predictor: section `[predictor]`.

use anyhow::Context as _;
use prescale_domain::calibration::cold_start::NEIGHBOURS;
use prescale_domain::forecast::champion::Terms;
use prescale_domain::forecast::{Family, GRID_STEP_S, HORIZON_BINS_MAX};
use prescale_domain::kpi::{self, KpiName};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How a series' family is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// By rolling pinball loss, see [`prescale_domain::forecast::champion`]; the order of preference where
    /// losses do not differ clearly.
    #[default]
    Loss,
    /// By the order of preference alone.
    Order,
}

/// Section `[predictor]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// KPIs whose demand is forecast, by name. A workload that has none of them gets no prediction.
    pub resources: Vec<String>,
    /// KPIs whose newest values travel along with the forecasts, by name: what tells that a workload suffers, and how
    /// much it used at most. Those that are forecast themselves are left out.
    pub signals: Vec<String>,
    /// Share of a capacity from which on a forecast is made with each sample of CPU, and with each of memory that is
    /// more than was told before, and not only when a bin of 300 s closes or the newest value leaves the interval that
    /// was published; above 0.
    pub nearly_used: f64,
    /// How far ahead to forecast, in seconds: multiples of 300, ascending, at most 21600 (6 h). The
    /// built-in GRU knows 300, 900 and 3600.
    pub horizons_s: Vec<u32>,
    /// Families of models in order of preference: "gru", "lstm", "svr", "random-forest",
    /// "exponential-smoothing", "seasonal-naive", "last-value", "mstl", "arima", "prophet". Which of those
    /// with enough history makes a series' forecast is for `choice` to say; the next ones step in where its
    /// numbers cannot be used. Without "last-value" a young series has no forecast. "mstl", "arima" and
    /// "prophet" keep up to two weeks of history a series; "lstm", "svr" and "random-forest" need a model in
    /// `model_folders` or `models_dir`.
    pub models: Vec<String>,
    /// How a series' family is chosen among `models`: `loss`, the first with enough history unless another's forecasts
    /// lose clearly less, or `order`, the first in any case, which takes half the memory.
    pub choice: Choice,
    /// How many workloads with the nearest fingerprints a new one's corrections and choice start from, once it is
    /// an hour old; 0 for none, 50 at most.
    pub neighbours: usize,
    /// Whether nothing is learnt for other days from what was unusual (a p-value below 0.001), for up to 6 hours: what the
    /// seasonal families and the models' features of the day before have is then what was at that time of the day before
    /// it, and nothing is fitted on it. What lasts longer is the new normal.
    pub leave_out_anomalies: bool,
    /// Folder of models by family and version, of which `prescale model promote` brings one into use while the
    /// predictor runs. Empty: none.
    pub models_dir: PathBuf,
    /// Where the models of trained families are: folder by family, such as `lstm = "models/lstm"`. They are
    /// checked at the start, which one that fails the checks stops. A GRU is built in.
    pub model_folders: BTreeMap<String, PathBuf>,
}

/// The families of the default, in order of preference.
const MODELS: [Family; 4] = [Family::Gru, Family::ExponentialSmoothing, Family::SeasonalNaive, Family::LastValue];

/// Share of a capacity that is nearly all of it.
const NEARLY_USED: f64 = 0.9;

/// The signals of the default.
const SIGNALS: [&str; 7] = [
    kpi::LATENCY_MS,
    kpi::ERRORS_PER_S,
    kpi::REQUESTS_PER_S,
    kpi::CPU_THROTTLED_SHARE,
    kpi::RUN_QUEUE,
    kpi::CPU_CORES_USED_MAX,
    kpi::MEMORY_BYTES_MAX,
];

impl Default for Config {
    fn default() -> Self {
        Self {
            resources: vec![kpi::CPU_CORES_USED.to_owned(), kpi::MEMORY_BYTES.to_owned()],
            signals: SIGNALS.map(str::to_owned).to_vec(),
            nearly_used: NEARLY_USED,
            horizons_s: vec![300, 900, 3600],
            models: MODELS.map(|family| family.name().to_owned()).to_vec(),
            choice: Choice::default(),
            neighbours: NEIGHBOURS,
            leave_out_anomalies: true,
            models_dir: PathBuf::new(),
            model_folders: BTreeMap::new(),
        }
    }
}

/// The configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The resources, by name ascending; at least one.
    pub resources: Vec<KpiName>,
    /// The signals that are no resources, by name ascending.
    pub signals: Vec<KpiName>,
    /// Share of a capacity from which on samples have a forecast at once.
    pub nearly_used: f64,
    /// The horizons in seconds, ascending; at least one.
    pub horizons_s: Vec<u32>,
    /// The same in bins of the grid.
    pub horizons_bins: Vec<usize>,
    /// The families in order of preference, each once; at least one.
    pub models: Vec<Family>,
    /// How one of them is chosen for a series.
    pub choice: Choice,
    /// What it takes to be chosen, where that goes by loss.
    pub contest: Terms,
    /// How many neighbours a young series starts from.
    pub neighbours: usize,
    /// Whether nothing is learnt for other days from what was unusual.
    pub leave_out_anomalies: bool,
    /// Folder of the models by family and version; `None` where there is none.
    pub models_dir: Option<PathBuf>,
    /// Folders of the trained families' models.
    pub model_folders: BTreeMap<Family, PathBuf>,
}

impl Settings {
    /// The trained ones of the families, in order of preference.
    pub fn trained(&self) -> impl Iterator<Item = Family> {
        self.models.iter().copied().filter(|family| family.is_trained())
    }
}

impl Config {
    /// Checks the values, all but what the model's folder holds.
    ///
    /// # Errors
    /// When a value cannot be used, with the key.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        Ok(Settings {
            resources: self.checked_resources()?,
            signals: self.checked_signals()?,
            nearly_used: self.checked_nearly_used()?,
            horizons_s: self.horizons_s.clone(),
            horizons_bins: self.horizons_bins()?,
            models: self.families()?,
            choice: self.choice,
            contest: Terms::default(),
            neighbours: self.checked_neighbours()?,
            leave_out_anomalies: self.leave_out_anomalies,
            models_dir: (!self.models_dir.as_os_str().is_empty()).then(|| self.models_dir.clone()),
            model_folders: self.checked_folders()?,
        })
    }

    fn checked_nearly_used(&self) -> anyhow::Result<f64> {
        let nearly_used = self.nearly_used;
        anyhow::ensure!(
            nearly_used > 0.0 && nearly_used.is_finite(),
            "[predictor] nearly_used = {nearly_used}: a share of the capacity above 0 is possible"
        );
        Ok(nearly_used)
    }

    fn checked_neighbours(&self) -> anyhow::Result<usize> {
        let neighbours = self.neighbours;
        anyhow::ensure!(neighbours <= 50, "[predictor] neighbours = {neighbours}: 0 to 50 are possible");
        Ok(neighbours)
    }

    fn checked_resources(&self) -> anyhow::Result<Vec<KpiName>> {
        anyhow::ensure!(!self.resources.is_empty(), "[predictor] resources is empty: name at least one KPI");
        sorted("resources", &self.resources)
    }

    fn checked_signals(&self) -> anyhow::Result<Vec<KpiName>> {
        let mut signals = sorted("signals", &self.signals)?;
        signals.retain(|signal| self.resources.iter().all(|resource| resource != signal.as_str()));
        Ok(signals)
    }

    fn horizons_bins(&self) -> anyhow::Result<Vec<usize>> {
        let horizons = &self.horizons_s;
        anyhow::ensure!(!horizons.is_empty(), "[predictor] horizons_s is empty: give at least one, such as 900");
        let most_s = GRID_STEP_S * HORIZON_BINS_MAX as u32;
        for horizon_s in horizons {
            anyhow::ensure!(
                *horizon_s > 0 && horizon_s.is_multiple_of(GRID_STEP_S) && *horizon_s <= most_s,
                "[predictor] horizons_s holds {horizon_s}: take multiples of {GRID_STEP_S} from {GRID_STEP_S} to {most_s}"
            );
        }
        anyhow::ensure!(
            horizons.windows(2).all(|pair| pair[0] < pair[1]),
            "[predictor] horizons_s = {horizons:?}: sort it ascending, each once"
        );
        Ok(horizons.iter().map(|horizon_s| (horizon_s / GRID_STEP_S) as usize).collect())
    }

    fn checked_folders(&self) -> anyhow::Result<BTreeMap<Family, PathBuf>> {
        let folder = |(name, folder): (&String, &PathBuf)| {
            let family = Family::named(name).filter(|family| family.is_trained()).with_context(|| {
                let known = Family::TRAINED.map(Family::name);
                format!("[predictor] model_folders names {name:?}, which has no model to load: take of {known:?}")
            })?;
            anyhow::ensure!(
                !folder.as_os_str().is_empty(),
                "[predictor] model_folders: {name} is empty: give the folder of its model, or leave it out"
            );
            Ok((family, folder.clone()))
        };
        self.model_folders.iter().map(folder).collect()
    }

    fn families(&self) -> anyhow::Result<Vec<Family>> {
        anyhow::ensure!(!self.models.is_empty(), "[predictor] models is empty: name at least \"last-value\"");
        let mut families = Vec::with_capacity(self.models.len());
        for name in &self.models {
            let Some(family) = Family::named(name) else {
                let known = Family::ALL.map(Family::name);
                anyhow::bail!("[predictor] models holds {name:?}, which nobody knows: take of {known:?}");
            };
            anyhow::ensure!(!families.contains(&family), "[predictor] models names {name:?} twice: name it once");
            families.push(family);
        }
        Ok(families)
    }
}

/// Names of KPIs, ascending.
fn sorted(key: &str, names: &[String]) -> anyhow::Result<Vec<KpiName>> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    anyhow::ensure!(!names.contains(&""), "[predictor] {key} holds an empty name: leave it out");
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        anyhow::bail!("[predictor] {key} names {:?} twice: name it once", pair[0]);
    }
    Ok(names.into_iter().map(KpiName::new).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        let settings = Config::default().settings().unwrap();
        assert_eq!(settings.horizons_bins, [1, 3, 12]);
        assert_eq!(settings.models, MODELS);
        assert_eq!(
            settings.resources.iter().map(KpiName::as_str).collect::<Vec<_>>(),
            ["cpu_cores_used", "memory_bytes"]
        );
        assert_eq!(settings.model_folders, BTreeMap::new());
    }

    #[test]
    fn what_is_forecast_is_no_signal() {
        let mut config = Config::default();
        config.resources.push(kpi::REQUESTS_PER_S.to_owned());
        let signals = config.settings().unwrap().signals;
        let names: Vec<&str> = signals.iter().map(KpiName::as_str).collect();
        let wanted = [
            "cpu_cores_used_max",
            "cpu_throttled_share",
            "errors_per_s",
            "latency_ms",
            "memory_bytes_max",
            "run_queue",
        ];
        assert_eq!(names, wanted);
    }

    type Change = fn(&mut Config);

    #[test]
    fn wrong_values_name_their_key_and_what_to_do() {
        let message = |change: Change| {
            let mut config = Config::default();
            change(&mut config);
            config.settings().unwrap_err().to_string()
        };
        let cases: [(Change, &str); 14] = [
            (|c| c.resources.clear(), "[predictor] resources is empty"),
            (|c| c.resources = vec!["a".into(), "b".into(), "a".into()], "resources names \"a\" twice"),
            (|c| c.resources.push(String::new()), "resources holds an empty name"),
            (|c| c.signals.push("latency_ms".into()), "signals names \"latency_ms\" twice"),
            (|c| c.nearly_used = 0.0, "[predictor] nearly_used = 0: a share"),
            (|c| c.nearly_used = f64::NAN, "[predictor] nearly_used = NaN: a share"),
            (|c| c.horizons_s.clear(), "[predictor] horizons_s is empty"),
            (|c| c.horizons_s = vec![300, 450], "horizons_s holds 450: take multiples of 300 from 300 to 21600"),
            (|c| c.horizons_s = vec![300, 21_900], "horizons_s holds 21900"),
            (|c| c.horizons_s = vec![900, 300], "sort it ascending"),
            (|c| c.models = vec!["gru".into(), "gru".into()], "models names \"gru\" twice"),
            (|c| c.models = vec!["lsdm".into()], "models holds \"lsdm\", which nobody knows"),
            (
                |c| c.model_folders = [("last-value".into(), "m".into())].into(),
                "model_folders names \"last-value\", which has no model to load",
            ),
            (|c| c.model_folders = [("svr".into(), PathBuf::new())].into(), "model_folders: svr is empty"),
        ];
        for (change, wanted) in cases {
            let got = message(change);
            assert!(got.contains(wanted), "{got}");
        }
        assert!(message(|c| c.neighbours = 51).contains("[predictor] neighbours = 51: 0 to 50"));
        assert!(message(|c| c.models.clear()).contains("[predictor] models is empty"));
        assert!(message(|c| c.horizons_s = vec![0]).contains("horizons_s holds 0"));
    }
}
