//! A trace through the whole pipeline, and what it led to.

use super::finite::{not_finite, of_action, of_fingerprint, of_prediction};
use super::series::{GIB, MAPPING, START_S, Workload, csv};
use bus_tests::conformance::fixture::read_all;
use integration_tests::pipeline::Pipeline;
use prescale::settings::Settings;
use prescale_bus::Bus;
use prescale_bus::embedded::{EmbeddedBus, EmbeddedOptions};
use prescale_collector::Event;
use prescale_collector::replay::mapping::Mapping;
use prescale_contracts::Contract;
use prescale_domain::action::Action;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::governor::{FleetRecord, Said};
use prescale_domain::kpi::{CPU_CORES_USED, MEMORY_BYTES};
use prescale_domain::prediction::{HorizonForecast, Prediction};
use prescale_domain::sample::Capacity;
use prescale_domain::time::EventTime;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// What the trace of some workloads led to, by workload and in order.
pub(super) struct Run {
    predictions: BTreeMap<String, Vec<Prediction>>,
    actions: BTreeMap<String, Vec<Action>>,
    /// What the planner asked for, whatever became of it.
    proposed: BTreeMap<String, Vec<Action>>,
    /// Instant (s since the start), and the least CPU and memory of each window.
    minima: BTreeMap<String, Vec<(i64, Vec<f64>)>>,
    /// Where a number of a fingerprint, prediction or action is NaN or infinite.
    not_finite: Vec<String>,
}

/// The run of all cases with a step of five minutes.
pub(super) fn of_five_minutes() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let kinds = [
            super::constant_and_idle::workloads(),
            super::leak_and_restart::workloads(),
            super::missing_scrapes::workloads(),
            super::nightly_peaks::workloads(),
            super::overload_after_many_decreases::workloads(),
            super::upstream_outage::workloads(),
        ];
        Run::over(&csv(&kinds.concat()), MAPPING)
    })
}

/// The run of all cases with a step of a minute.
pub(super) fn of_one_minute() -> &'static Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    RUN.get_or_init(|| {
        let kinds: [Vec<Workload>; 2] = [super::hourly_job::workloads(), super::startup_spike::workloads()];
        Run::over(&csv(&kinds.concat()), MAPPING)
    })
}

impl Run {
    /// Replays a CSV under a mapping, as on the command line.
    pub(super) fn over(csv: &str, mapping: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("case.csv");
        std::fs::write(&file, csv).expect("the folder is writable");
        let mut settings = Settings::default();
        settings.collector.host.enabled = false;
        // A log that is worked off at full speed drives partitions hours apart.
        settings.governor.patience_s = 86_400;
        settings.collector.replay.file = file;
        settings.collector.replay.mapping = Mapping::parse(mapping).expect("the mapping is sound");
        // Retention would remove records of 2024.
        let options = EmbeddedOptions { maintenance_every: None, ..EmbeddedOptions::default() };
        let bus = EmbeddedBus::open(folder.path().join("prescale.db"), options).expect("the log opens");
        let bus: Arc<dyn Bus> = Arc::new(bus);
        let pipeline = Pipeline::start(&bus, &settings);
        pipeline.collect_until(|event| matches!(event, Event::ReplayEnded(_)));
        pipeline.stop();
        let fingerprints = by_workload::<Fingerprint>(bus.as_ref());
        let (predictions, actions) = (by_workload(bus.as_ref()), by_workload(bus.as_ref()));
        let not_finite = [
            not_finite(&fingerprints, of_fingerprint),
            not_finite(&predictions, of_prediction),
            not_finite(&actions, of_action),
        ]
        .concat();
        let minima = fingerprints.into_iter().map(|(workload, fingerprints)| {
            (
                workload,
                fingerprints.iter().map(|fingerprint| (since_start_s(fingerprint.at), minima(fingerprint))).collect(),
            )
        });
        let minima = minima.collect();
        Self { predictions, actions, proposed: proposed(bus.as_ref()), minima, not_finite }
    }

    /// The predictions of a workload.
    pub(super) fn predictions(&self, workload: &str) -> &[Prediction] {
        let predictions = self.predictions.get(workload).map_or(&[][..], Vec::as_slice);
        assert!(!predictions.is_empty(), "{workload} has no predictions");
        predictions
    }

    /// Whether a workload has predictions.
    pub(super) fn has_predictions(&self, workload: &str) -> bool {
        self.predictions.contains_key(workload)
    }

    /// The actions of a workload.
    pub(super) fn actions(&self, workload: &str) -> &[Action] {
        self.actions.get(workload).map_or(&[], Vec::as_slice)
    }

    /// Where a number of what this led to is NaN or infinite.
    pub(super) fn not_finite(&self) -> &[String] {
        &self.not_finite
    }

    /// Its actions decided within a time since the start, each with what was asked for before it: the capacity that
    /// serves, before the first.
    pub(super) fn changes_within(&self, workload: &str, range_s: std::ops::Range<i64>) -> Vec<(&Capacity, &Action)> {
        let all = self.actions(workload);
        let first = all.first().map(|first| &first.current);
        let before = first.into_iter().chain(all.iter().map(|action| &action.desired));
        before.zip(all).filter(|(_, action)| range_s.contains(&since_start_s(action.decided_at))).collect()
    }

    /// Its actions decided within a time since the start.
    pub(super) fn actions_within(&self, workload: &str, range_s: std::ops::Range<i64>) -> Vec<&Action> {
        self.actions(workload).iter().filter(|action| range_s.contains(&since_start_s(action.decided_at))).collect()
    }

    /// What the planner asked for within a time since the start. In a log that is worked off at full speed the governor
    /// hears of what is urgent before it has heard all of the bins before.
    pub(super) fn proposed_within(&self, workload: &str, range_s: std::ops::Range<i64>) -> Vec<&Action> {
        let all = self.proposed.get(workload).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|action| range_s.contains(&since_start_s(action.decided_at))).collect()
    }

    /// The forecasts of a KPI at a horizon, each with the instant that it was made at.
    pub(super) fn forecasts(&self, workload: &str, kpi: &str, horizon_s: u32) -> Vec<(i64, &HorizonForecast)> {
        let found = self.predictions(workload).iter().filter_map(|prediction| {
            let resource = prediction.resources.iter().find(|resource| resource.resource.as_str() == kpi)?;
            let horizon = resource.horizons.iter().find(|horizon| horizon.horizon_s == horizon_s)?;
            Some((since_start_s(prediction.made_at), horizon))
        });
        found.collect()
    }

    /// The forecast made at an instant.
    pub(super) fn forecast_at(&self, workload: &str, kpi: &str, horizon_s: u32, at_s: i64) -> &HorizonForecast {
        let all = self.forecasts(workload, kpi, horizon_s);
        match all.binary_search_by_key(&at_s, |(made_at_s, _)| *made_at_s) {
            Ok(i) => all[i].1,
            Err(_) => panic!("{workload} has no forecast of {kpi} made at {}", clock(at_s)),
        }
    }

    /// Of each fingerprint made within a time since the start, the least value in its windows.
    pub(super) fn least(&self, workload: &str, kpi: &str, range_s: std::ops::Range<i64>) -> f64 {
        let offset = if kpi == CPU_CORES_USED { 0 } else { 1 };
        let of_range = self.minima[workload].iter().filter(|(at_s, _)| range_s.contains(at_s));
        of_range.flat_map(|(_, minima)| minima.iter().skip(offset).step_by(2)).copied().fold(f64::INFINITY, f64::min)
    }
}

/// The least CPU and memory of the short window and of the long one; infinite between the closes of bins.
fn minima(fingerprint: &Fingerprint) -> Vec<f64> {
    let of = |name: &str| fingerprint.kpis.iter().find(|kpi| kpi.name.as_str() == name)?.windows.as_deref();
    let (cpu, memory) = (of(CPU_CORES_USED), of(MEMORY_BYTES));
    let least = |min: Option<f64>| min.unwrap_or(f64::INFINITY);
    vec![
        least(cpu.and_then(|windows| windows.short.min)),
        least(memory.and_then(|windows| windows.short.min)),
        least(cpu.and_then(|windows| windows.long.min)),
        least(memory.and_then(|windows| windows.long.min)),
    ]
}

fn proposed(bus: &dyn Bus) -> BTreeMap<String, Vec<Action>> {
    let mut all: BTreeMap<String, Vec<Action>> = BTreeMap::new();
    for record in by_workload::<FleetRecord>(bus).into_values().flatten() {
        if let Said::Proposal(proposal) = record.said {
            all.entry(proposal.action.workload.as_str().to_owned()).or_default().push(proposal.action);
        }
    }
    all
}

fn by_workload<C: Contract>(bus: &dyn Bus) -> BTreeMap<String, Vec<C>> {
    let mut all: BTreeMap<String, Vec<C>> = BTreeMap::new();
    for record in read_all(bus, C::TOPIC) {
        let value = C::decode(record.value.as_deref().expect("a value")).expect("it can be decoded");
        all.entry(value.workload().as_str().to_owned()).or_default().push(value);
    }
    all.values_mut().for_each(|values| values.sort_by_key(Contract::at));
    all
}

/// Seconds from the start of the series.
pub(super) fn since_start_s(at: EventTime) -> i64 {
    at.as_ms().div_euclid(1000) - START_S
}

/// An instant as a reader of a case wants it.
pub(super) fn clock(at_s: i64) -> String {
    format!("day {} {:02}:{:02}", at_s / 86_400, at_s / 3600 % 24, at_s / 60 % 60)
}

/// An action in short, for failures.
pub(super) fn shown(action: &Action) -> String {
    let reasons: Vec<&str> = action.reasons.iter().map(|reason| reason.text.as_str()).collect();
    format!(
        "{}: {:.2} cores, {:.2} GiB -> {:.2} cores, {:.2} GiB ({})",
        clock(since_start_s(action.decided_at)),
        action.current.cpu_cores(),
        action.current.memory_bytes() / GIB,
        action.desired.cpu_cores(),
        action.desired.memory_bytes() / GIB,
        reasons.join("; ")
    )
}

/// Fails with the first few that are wrong.
#[track_caller]
pub(super) fn none_wrong(what: &str, wrong: Vec<String>) {
    let (count, first) = (wrong.len(), wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n  "));
    assert!(wrong.is_empty(), "{count} of {what} are wrong, the first:\n  {first}");
}
