//! What a partition remembers of one workload, and when a forecast of it is due.

use crate::config::Settings;
use crate::held::{Held, rearranged};
use crate::series::{Series, Surprise};
use bitcode::{Decode, Encode};
use metrics::counter;
use prescale_domain::fingerprint::{Fingerprint, Windows};
use prescale_domain::forecast::GRID_STEP_S;
use prescale_domain::forecast::capped::{STRAINED_FROM, Served, Symptoms};
use prescale_domain::guardrail::strain::{SHORTAGE, has_risen};
use prescale_domain::kpi::{CPU_CORES_USED, CPU_THROTTLED_SHARE, KpiName};
use prescale_domain::resource::Resource;
use prescale_domain::sample::Capacity;
use prescale_domain::stream::silence::SourceNumber;
use prescale_domain::time::EventTime;

/// What is remembered of one workload.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(crate) struct Workload {
    pub(crate) source: SourceNumber,
    pub(crate) last_at: EventTime,
    /// One a configured resource.
    pub(crate) series: Vec<Series>,
    /// What no prediction was made for since the last one.
    pub(crate) held: Vec<Held>,
    /// Mean over the short and 95th percentile over the long window of each configured signal, as features last had
    /// them; empty where they had no signal.
    pub(crate) usual: Box<[(Option<f32>, Option<f32>)]>,
    /// The capacity that the last prediction was made with.
    pub(crate) capacity: Option<Capacity>,
    /// Whether a value was above its interval since the last close of a bin, or at it.
    has_risen: bool,
}

impl Workload {
    pub(crate) fn new(source: SourceNumber, at: EventTime, settings: &Settings) -> Self {
        Self {
            source,
            last_at: at,
            series: vec![Series::default(); settings.resources.len()],
            held: Vec::new(),
            usual: Box::default(),
            capacity: None,
            has_risen: false,
        }
    }

    /// Whether a forecast is made with this fingerprint.
    pub(crate) fn is_due(
        &mut self,
        settings: &Settings,
        fingerprint: &Fingerprint,
        demands: &[(usize, usize)],
    ) -> bool {
        let (mut is_due, mut rises) = (self.capacity != fingerprint.capacity, false);
        for (resource, kpi) in demands.iter().copied() {
            let (series, kpi) = (&self.series[resource], &fingerprint.kpis[kpi]);
            is_due |= series.must_run(fingerprint.at);
            let Some(value) = kpi.last else { continue };
            let surprise = series.surprise(value);
            rises |= surprise == Some(Surprise::Above);
            is_due |= surprise.is_some() || is_nearly_used(settings, fingerprint, series, kpi.name.as_str(), value);
        }
        self.has_risen = rises || self.has_risen && !fingerprint.has_features();
        fingerprint.has_features() || is_due || self.has_risen
    }

    /// Notes what features say is usual of the signals.
    pub(crate) fn note_usual(&mut self, settings: &Settings, fingerprint: &Fingerprint) {
        let usual = settings.signals.iter().map(|name| usual_of(fingerprint, name));
        let has_any = settings.signals.iter().any(|name| fingerprint.kpi(name).is_some());
        self.usual = if has_any { usual.collect() } else { Box::default() };
    }

    /// The cores that served what a fingerprint tells of, by those that it says there are now.
    pub(crate) fn served(&self, cores: f64) -> Served {
        let before = Resource::capacity_of_kpi(CPU_CORES_USED, self.capacity.as_ref());
        Served::over(before, cores)
    }

    /// Whether what was measured beside the use of CPU tells that more may have been wanted.
    pub(crate) fn hides_demand(&self, settings: &Settings, fingerprint: &Fingerprint) -> bool {
        let Some(used) = fingerprint.last_of(CPU_CORES_USED) else { return false };
        let cores = Resource::capacity_of_kpi(CPU_CORES_USED, fingerprint.capacity.as_ref());
        let served = self.served(cores.unwrap_or(f64::INFINITY));
        let symptoms = Symptoms {
            throttled_share: fingerprint.last_of(CPU_THROTTLED_SHARE),
            // It tells nothing of who has room.
            have_risen: used >= served.capacity * STRAINED_FROM && self.have_risen(settings, fingerprint),
        };
        symptoms.is_throttled() || symptoms.is_strained(used, served)
    }

    fn have_risen(&self, settings: &Settings, fingerprint: &Fingerprint) -> bool {
        settings.signals.iter().zip(self.usual.iter()).any(|(name, usual)| {
            let (Some(short_mean), Some(long_p95)) = *usual else { return false };
            let last = fingerprint.last_of(name.as_str()).filter(|_| SHORTAGE.contains(&name.as_str()));
            last.is_some_and(|last| has_risen(last, short_mean.into(), long_p95.into()))
        })
    }

    /// Forgets what is kept of signals; there are so many now.
    pub(crate) fn forget_signals(&mut self, signals: usize) {
        let resources = self.series.len();
        self.usual = Box::default();
        self.held.iter_mut().for_each(|held| held.forget_signals(resources, signals));
    }

    /// Has other resources: each goes on as the one in that place.
    pub(crate) fn rearrange(&mut self, places: &[Option<usize>]) {
        let resources = self.series.len();
        self.held.iter_mut().for_each(|held| held.rearrange(resources, places));
        self.series = rearranged(&mut self.series, places);
    }

    /// Keeps what was measured for the next prediction, in place of the oldest where there is too much.
    pub(crate) fn hold(&mut self, settings: &Settings, fingerprint: &Fingerprint) {
        if self.held.len() >= READINGS_MAX {
            self.held.remove(0);
            count_untold("not_forecast", 1);
        }
        self.held.push(Held::of(settings, fingerprint));
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        let series: usize = self.series.iter().map(|series| size_of::<Series>() + series.heap_bytes()).sum();
        let held: usize = self.held.iter().map(|held| size_of::<Held>() + held.heap_bytes()).sum();
        series + held + self.usual.len() * size_of::<(Option<f32>, Option<f32>)>()
    }
}

/// Readings that are kept for the next prediction: those of a bin at one a second. Only of a workload that nobody can
/// forecast are there more.
const READINGS_MAX: usize = GRID_STEP_S as usize;

/// Counts readings that no prediction will tell of.
pub(crate) fn count_untold(reason: &'static str, readings: usize) {
    counter!("prescale_predictor_readings_untold_total", "reason" => reason).increment(readings as u64);
}

fn usual_of(fingerprint: &Fingerprint, name: &KpiName) -> (Option<f32>, Option<f32>) {
    let windows = fingerprint.kpi(name).and_then(|kpi| kpi.windows.as_deref());
    let single = |value: Option<f64>| value.map(|value| value as f32);
    windows.map_or((None, None), |Windows { short, long }| (single(short.mean), single(long.p95)))
}

/// Whether so much of a capacity is used that the next sample may not wait. Memory stays where it is for days: there it
/// takes more than the last prediction has told.
fn is_nearly_used(settings: &Settings, fingerprint: &Fingerprint, series: &Series, kpi: &str, value: f64) -> bool {
    let Some(resource) = Resource::of_kpi(kpi) else { return false };
    let capacity = Resource::capacity_of_kpi(kpi, fingerprint.capacity.as_ref());
    let is_news = resource == Resource::Cpu || series.told().is_none_or(|told| value > told);
    is_news && capacity.is_some_and(|capacity| value >= settings.nearly_used * capacity)
}
