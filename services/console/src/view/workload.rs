//! What is kept of one workload.

use super::series::{Foretold, Series, Spread};
use prescale_domain::action::{Action, ActionResult};
use prescale_domain::evaluation::Week;
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::kpi::{Kpi, KpiKind, KpiName};
use prescale_domain::prediction::{HorizonForecast, Prediction, ResourceForecast};
use prescale_domain::sample::{Capacity, Platform, Sample};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Horizon whose past forecasts are kept beside what then happened, in seconds.
pub const TRAIL_HORIZON_S: u32 = 900;
/// KPIs, and resources of a forecast, that are kept.
pub(super) const KPIS_MAX: usize = 64;
const CAPACITY_STEPS_MAX: usize = 300;
const ACTIONS_MAX: usize = 100;
const TRAIL_WIDTH_S: u32 = 60;

/// One KPI's newest value and its curve.
#[derive(Clone, Debug)]
pub struct KpiCurve {
    /// Unit of the values, a counter's as its rate per second.
    pub unit: Arc<str>,
    /// Newest value.
    pub last: Option<f64>,
    /// The last day.
    pub series: Series<Spread>,
    last_at: Option<EventTime>,
    counter: Option<(EventTime, f64)>,
}

/// An action with its id.
#[derive(Clone, Debug)]
pub struct KeptAction {
    /// `ce_id` of the record.
    pub id: Arc<str>,
    /// The record.
    pub action: Action,
}

/// The state of one workload.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its name.
    pub id: WorkloadId,
    /// What runs it.
    pub platform: Platform,
    /// Stream that its samples come from.
    pub source: Arc<str>,
    /// Width of its sampling grid, in seconds; 0 before the first sample.
    pub step_s: u32,
    /// Newest instant known of it.
    pub at: Option<EventTime>,
    /// The KPIs, by name.
    pub kpis: BTreeMap<KpiName, KpiCurve>,
    /// Newest capacity.
    pub capacity: Option<Capacity>,
    /// Instants from which a capacity was in effect, in time order; a day and the one before it.
    pub capacity_steps: VecDeque<(EventTime, Capacity)>,
    /// Newest prediction with its `ce_id`.
    pub prediction: Option<(Arc<str>, Prediction)>,
    /// What was forecast [`TRAIL_HORIZON_S`] ahead, by resource, at the instants it was for.
    pub trails: BTreeMap<KpiName, Series<Foretold>>,
    /// Newest fingerprint; one that has the newest values alone keeps the features of the one before.
    pub fingerprint: Option<Box<Fingerprint>>,
    /// The instant that its features are of.
    pub features_at: Option<EventTime>,
    /// Actions in time order.
    pub actions: VecDeque<KeptAction>,
    /// Results, as they came.
    pub results: VecDeque<ActionResult>,
    /// What its capacity and its plan were worth lately.
    pub week: Week,
    /// Changes with every record used.
    pub revision: u64,
    /// When the bus took in the last record, in milliseconds since the Unix epoch.
    pub touched_ms: i64,
}

impl Workload {
    /// Nothing known yet but the name.
    pub fn new(id: WorkloadId) -> Self {
        Self {
            id,
            platform: Platform::OBSERVED_ONLY,
            source: "".into(),
            step_s: 0,
            at: None,
            kpis: BTreeMap::new(),
            capacity: None,
            capacity_steps: VecDeque::new(),
            prediction: None,
            trails: BTreeMap::new(),
            fingerprint: None,
            features_at: None,
            actions: VecDeque::new(),
            results: VecDeque::new(),
            week: Week::default(),
            revision: 0,
            touched_ms: 0,
        }
    }

    /// Number of curves.
    pub fn series_count(&self) -> usize {
        self.kpis.len() + self.trails.len()
    }

    /// Number of points over all curves.
    pub fn points(&self) -> usize {
        self.kpis.values().map(|k| k.series.len()).sum::<usize>() + self.trails.values().map(Series::len).sum::<usize>()
    }

    /// Takes in a sample.
    pub fn take_sample(&mut self, sample: Sample, points_max: usize) {
        let newest = self.at.is_none_or(|at| sample.at >= at);
        if newest {
            self.platform = sample.platform;
            self.source = sample.source.shared();
            self.step_s = sample.step_s;
            self.at = Some(sample.at);
        }
        for kpi in sample.kpis {
            self.take_kpi(kpi, sample.at, sample.step_s, points_max);
        }
        if let Some(capacity) = sample.capacity {
            self.take_capacity(sample.at, capacity);
        }
    }

    fn take_kpi(&mut self, kpi: Kpi, at: EventTime, step_s: u32, points_max: usize) {
        let is_new = !self.kpis.contains_key(&kpi.name);
        if is_new && (kpi.value.is_none() || self.kpis.len() >= KPIS_MAX) {
            return;
        }
        let Kpi { name, kind, unit, value } = kpi;
        let curve = self.kpis.entry(name).or_insert_with(|| KpiCurve {
            unit: if kind == KpiKind::Counter { format!("{unit}/s").into() } else { unit },
            last: None,
            series: Series::new(step_s),
            last_at: None,
            counter: None,
        });
        let value = match (kind, value.filter(|v| v.is_finite())) {
            (KpiKind::Counter, Some(total)) => curve.rate(at, total),
            (_, value) => value,
        };
        if curve.last_at.is_none_or(|last| at >= last) {
            curve.last_at = Some(at);
            curve.last = value;
        }
        if let Some(value) = value {
            curve.series.push(at, Spread::of(value), points_max);
        }
    }

    fn take_capacity(&mut self, at: EventTime, capacity: Capacity) {
        match self.capacity_steps.back() {
            Some((last, _)) if *last > at => return,
            Some((_, same)) if *same == capacity => {}
            _ => self.capacity_steps.push_back((at, capacity.clone())),
        }
        self.capacity = Some(capacity);
        let from = at.plus_s(-i64::from(super::series::KEEP_S));
        while self.capacity_steps.get(1).is_some_and(|(next, _)| *next <= from)
            || self.capacity_steps.len() > CAPACITY_STEPS_MAX
        {
            self.capacity_steps.pop_front();
        }
    }

    /// Takes in a fingerprint; false when it is not newer than the one kept.
    pub fn take_fingerprint(&mut self, mut fingerprint: Fingerprint) -> bool {
        if self.fingerprint.as_ref().is_some_and(|kept| kept.at >= fingerprint.at) {
            return false;
        }
        if fingerprint.has_features() {
            self.features_at = Some(fingerprint.at);
        } else {
            self.keep_features(&mut fingerprint);
        }
        self.platform = fingerprint.platform;
        self.at = self.at.max(Some(fingerprint.at));
        self.fingerprint = Some(Box::new(fingerprint));
        true
    }

    /// Hands the features that are kept on to newer values, unless these are of another set of features.
    fn keep_features(&mut self, newest: &mut Fingerprint) {
        match self.fingerprint.take() {
            Some(mut kept) if kept.feature_schema_hash == newest.feature_schema_hash => {
                for kpi in &mut newest.kpis {
                    let same = kept.kpis.iter_mut().find(|same| same.name == kpi.name);
                    kpi.windows = same.and_then(|same| same.windows.take());
                }
            }
            _ => self.features_at = None,
        }
    }

    /// Takes in a prediction; false when it is not newer than the one kept.
    pub fn take_prediction(&mut self, id: Arc<str>, prediction: Prediction, points_max: usize) -> bool {
        if self.prediction.as_ref().is_some_and(|(_, kept)| kept.made_at >= prediction.made_at) {
            return false;
        }
        let made = (prediction.made_at, prediction.step_s.max(TRAIL_WIDTH_S));
        note_foretold(&mut self.trails, made, &prediction.resources, points_max);
        self.platform = prediction.platform;
        self.at = self.at.max(Some(prediction.made_at));
        self.prediction = Some((id, prediction));
        true
    }

    /// Takes in an action; false when it is known already.
    pub fn take_action(&mut self, id: Arc<str>, action: Action) -> bool {
        if self.actions.iter().any(|kept| kept.id == id) {
            return false;
        }
        let place = self.actions.partition_point(|kept| kept.action.decided_at <= action.decided_at);
        self.actions.insert(place, KeptAction { id, action });
        if self.actions.len() > ACTIONS_MAX {
            self.actions.pop_front();
        }
        true
    }

    /// Takes in a result. Of several of one action the last stands.
    pub fn take_result(&mut self, result: ActionResult) {
        self.results.retain(|kept| kept.action_id != result.action_id);
        self.results.push_back(result);
        if self.results.len() > ACTIONS_MAX {
            self.results.pop_front();
        }
    }

    /// What became of an action, once known.
    pub fn result_of(&self, action_id: &str) -> Option<&ActionResult> {
        self.results.iter().rev().find(|result| &*result.action_id == action_id)
    }

    /// The newest forecast of a resource at the horizon nearest to `horizon_s`.
    pub fn forecast(&self, resource: &str, horizon_s: u32) -> Option<&HorizonForecast> {
        let (_, prediction) = self.prediction.as_ref()?;
        let resource = prediction.resources.iter().find(|r| r.resource.as_str() == resource)?;
        horizon_near(&resource.horizons, horizon_s)
    }

    /// Newest value of a KPI.
    pub fn last_of(&self, kpi: &str) -> Option<f64> {
        self.kpis.iter().find(|(name, _)| name.as_str() == kpi).and_then(|(_, curve)| curve.last)
    }
}

impl KpiCurve {
    /// Rate since the counter's last reading; `None` at the first, after a reset, and out of order.
    fn rate(&mut self, at: EventTime, total: f64) -> Option<f64> {
        let before = self.counter;
        if before.is_none_or(|(last, _)| at > last) {
            self.counter = Some((at, total));
        }
        let (last, earlier) = before?;
        let seconds = (at.as_ms() - last.as_ms()) as f64 / 1000.0;
        (seconds > 0.0 && total >= earlier).then(|| (total - earlier) / seconds)
    }
}

/// Notes what was forecast [`TRAIL_HORIZON_S`] ahead, at so wide a step.
pub(super) fn note_foretold(
    trails: &mut BTreeMap<KpiName, Series<Foretold>>,
    (made_at, width_s): (EventTime, u32),
    resources: &[ResourceForecast],
    points_max: usize,
) {
    for resource in resources.iter().take(KPIS_MAX) {
        if let Some(far) = horizon_near(&resource.horizons, TRAIL_HORIZON_S) {
            let values = far.value.values();
            let foretold =
                Foretold { lower: values[0] as f32, median: far.value.median() as f32, upper: values[6] as f32 };
            let trail = trails.entry(resource.resource.clone()).or_insert_with(|| Series::new(width_s));
            trail.push(made_at.plus_s(i64::from(far.horizon_s)), foretold, points_max);
        }
    }
}

/// The forecast at the horizon nearest to `horizon_s`.
pub(super) fn horizon_near(horizons: &[HorizonForecast], horizon_s: u32) -> Option<&HorizonForecast> {
    horizons.iter().min_by_key(|h| h.horizon_s.abs_diff(horizon_s))
}
