//! One partition: fingerprints in, predictions out. Knows neither the bus nor Avro.
//!
//! A prediction is made with each fingerprint that has features, which is when a bin closes, and at once with one of
//! the newest values alone where it does not wait for that: the value leaves the interval that was published (and
//! then until the bin closes), CPU is nearly used up, or the capacity has changed. What was measured between goes
//! along with the next prediction.
//!
//! Records are taken in one after another, up to where the models are needed; what a record's forecast
//! depends on beside its own series (the pools' factors) is set down at that point. The models then
//! run over all series that wait, a wave. A wave holds a series once: a second record of it makes the
//! first wave run before it is taken in. So it does not matter where a batch or a wave ends.

use crate::anomaly;
use crate::config::Settings;
use crate::held::{readings, rearranged};
use crate::job::Job;
use crate::lineup::ModelId;
use crate::parted::{Identity, Parted};
use crate::registry::{Models, Registry};
use crate::scored::{self, Names};
use crate::series::{Making, Offer, Rules, Series};
use crate::wave::{self, Buffers};
use crate::workload::{Workload, count_untold};
use bitcode::{Decode, Encode};
use metrics::counter;
use prescale_contracts::Envelope;
use prescale_domain::anomaly::AnomalyScore;
use prescale_domain::calibration::cold_start::{EXEMPLARY_BINS_MIN, Exemplars, START_BINS, Traits};
use prescale_domain::calibration::pools::{PoolKey, Pools, Spreads};
use prescale_domain::fingerprint::Fingerprint;
use prescale_domain::forecast::{DAY_BINS, Family, GRID_STEP_S};
use prescale_domain::forecast_score::ForecastScore;
use prescale_domain::kpi::KpiName;
use prescale_domain::prediction::{Prediction, Reading, ResourceForecast, Signal};
use prescale_domain::resource::Resource;
use prescale_domain::slots::Slots;
use prescale_domain::stream::silence::{SourceNumber, Sources};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::HashSet;
use std::sync::Arc;

/// Version of the statistical families, as predictions carry it; goes up when their numbers change.
pub const STATISTICAL_VERSION: &str = "1";

/// Rows for the models after which a wave runs; bounds its memory.
const WAVE_ROWS_MAX: usize = 8192;

/// A fingerprint with the envelope that it came in.
#[derive(Clone, Debug, PartialEq)]
pub struct Enveloped {
    /// Its envelope.
    pub envelope: Envelope,
    /// The fingerprint.
    pub fingerprint: Fingerprint,
}

/// What became of a fingerprint.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// This prediction follows from it. With the fingerprint's envelope.
    Predicted(Envelope, Box<Prediction>),
    /// It changed the state; too little is known for a prediction.
    TakenIn,
    /// It was put aside for this reason.
    Dropped(&'static str),
}

/// All that a partition remembers.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct State {
    sources: Sources,
    workloads: Slots<Workload>,
    pools: Pools,
    /// By resource.
    exemplars: Vec<Exemplars>,
    /// Newest instant of all records.
    newest_at: Option<EventTime>,
    /// The resources, in their order.
    resources: Vec<KpiName>,
    /// The horizons, in their order.
    horizons_s: Vec<u32>,
    /// The signals that workloads keep something of, in their order.
    signals: Vec<KpiName>,
    parted: Parted,
}

/// Reason under which fingerprints are counted that have no KPI that is forecast.
const NO_RESOURCE: &str = "no_resource";

/// The stage of one partition.
pub struct Partition {
    settings: Arc<Settings>,
    registry: Arc<Registry>,
    /// As the registry had them when the step began.
    models: Arc<Models>,
    statistical_version: Arc<str>,
    family_names: [Arc<str>; Family::ALL.len()],
    state: State,
    wave: Wave,
    /// What is told of earlier forecasts beside the predictions of the step, by the place of the record.
    scores: Vec<(usize, ForecastScore)>,
    /// Whether it was told that workloads have nothing that is forecast.
    has_told_unforecast: bool,
}

#[derive(Default)]
struct Wave {
    waiting: Vec<Waiting>,
    /// The workloads that wait.
    workloads: HashSet<WorkloadId>,
    /// The series that wait, in the order of `waiting`.
    jobs: Vec<Job>,
    rows: usize,
    buffers: Buffers,
}

/// A record that waits for the models.
struct Waiting {
    input: usize,
    record: Enveloped,
    spreads: Spreads,
    /// Index of each resource that has a job, with that of its KPI in the fingerprint.
    resources: Vec<(usize, usize)>,
}

impl Partition {
    /// An empty partition.
    pub fn new(registry: Arc<Registry>) -> Self {
        let settings = Arc::clone(registry.settings());
        let state = State {
            sources: Sources::default(),
            workloads: Slots::default(),
            pools: Pools::new(settings.resources.len(), settings.horizons_s.len()),
            exemplars: vec![Exemplars::default(); settings.resources.len()],
            newest_at: None,
            resources: settings.resources.clone(),
            horizons_s: settings.horizons_s.clone(),
            signals: settings.signals.clone(),
            parted: Parted::default(),
        };
        Self {
            settings,
            models: registry.models(),
            registry,
            statistical_version: STATISTICAL_VERSION.into(),
            family_names: Family::ALL.map(|family| family.name().into()),
            state,
            wave: Wave::default(),
            scores: Vec::new(),
            has_told_unforecast: false,
        }
    }

    /// A partition as it was when the snapshot was taken.
    ///
    /// # Errors
    /// When the bytes are no snapshot, or a family that goes on had other models until then than it has now.
    pub fn restored(registry: Arc<Registry>, snapshot: &[u8]) -> anyhow::Result<Self> {
        let (state, begun) = parts_of(snapshot).ok_or_else(|| anyhow::anyhow!("it is cut off"))?;
        let begun: Vec<Identity> = bitcode::decode(begun)?;
        let mut restored = Self { state: bitcode::decode(state)?, ..Self::new(registry) };
        let now = restored.begun();
        anyhow::ensure!(
            of_families_in(&begun, &now) == of_families_in(&now, &begun),
            "other models had been in use until then than the configuration and the store name now"
        );
        for back in restored.state.parted.change(&begun, &now) {
            restored.state.pools.begin_anew(back.family, back.from_bin);
        }
        restored.keep_to_resources_and_horizons();
        restored.keep_to_signals();
        let series = restored.state.workloads.values_mut().flat_map(|workload| &mut workload.series);
        series.for_each(|series| series.keep_to(&restored.settings));
        Ok(restored)
    }

    /// Keeps what is known of those resources and horizons that are still configured, where a snapshot was made with
    /// others.
    fn keep_to_resources_and_horizons(&mut self) {
        let State { resources, horizons_s, workloads, pools, exemplars, .. } = &mut self.state;
        let settings = &self.settings;
        if *resources == settings.resources && *horizons_s == settings.horizons_s {
            return;
        }
        let resource_places = places(resources, &settings.resources);
        let horizon_places = places(horizons_s, &settings.horizons_s);
        *pools = pools.rearranged(&resource_places, &horizon_places);
        if *horizons_s != settings.horizons_s {
            exemplars.iter_mut().for_each(|exemplars| exemplars.rearrange(&horizon_places));
            let series = workloads.values_mut().flat_map(|workload| &mut workload.series);
            series.for_each(|series| series.rearrange_horizons(&horizon_places, &settings.horizons_bins));
        }
        *exemplars = rearranged(exemplars, &resource_places);
        workloads.values_mut().for_each(|workload| workload.rearrange(&resource_places));
        (*resources, *horizons_s) = (settings.resources.clone(), settings.horizons_s.clone());
    }

    /// Forgets what is kept by the configured signals where a snapshot was made with others.
    fn keep_to_signals(&mut self) {
        if self.state.signals != self.settings.signals {
            self.state.signals.clone_from(&self.settings.signals);
            let signals = self.settings.signals.len();
            self.state.workloads.values_mut().for_each(|workload| workload.forget_signals(signals));
        }
    }

    /// The state as bytes, and behind it the models that had begun, with their length in eight bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let (mut bytes, begun) = (bitcode::encode(&self.state), bitcode::encode(&self.begun()));
        bytes.extend_from_slice(&begun);
        bytes.extend_from_slice(&(begun.len() as u64).to_le_bytes());
        bytes
    }

    /// The models whose terms had begun by the newest record.
    fn begun(&self) -> Vec<Identity> {
        let newest_bin = self.state.newest_at.map_or(i64::MIN, |at| at.bin(GRID_STEP_S));
        let begun = self.models.networks().iter().filter(|(model, _)| model.from_bin <= newest_bin);
        begun.map(|(model, network)| (*model, network.sha256().to_owned())).collect()
    }

    /// Workloads remembered.
    pub fn workloads(&self) -> usize {
        self.state.workloads.len()
    }

    /// Bytes that a workload takes, without what the allocator adds.
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        let known = self.state.workloads.get(workload)?;
        Some(Slots::<Workload>::bytes_each() + workload.as_str().len() + known.heap_bytes())
    }

    /// Gives a workload all that is known of another one. For benchmarks, where a history is to lie behind more
    /// workloads than can live it.
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        if let Some(known) = self.state.workloads.get(from).cloned() {
            self.state.workloads.insert(to, known);
        }
    }

    /// Applies fingerprints in order; one fate each.
    ///
    /// # Errors
    /// When the models' runtime fails.
    pub fn apply(&mut self, batch: Vec<Enveloped>) -> anyhow::Result<Vec<Fate>> {
        self.hear_of_switches();
        self.scores.clear();
        let mut fates = Vec::with_capacity(batch.len());
        for (input, record) in batch.into_iter().enumerate() {
            if self.wave.rows >= WAVE_ROWS_MAX || self.wave.workloads.contains(&record.fingerprint.workload) {
                self.finish(&mut fates)?;
            }
            fates.push(match self.refusal(&record.fingerprint) {
                Some(reason) => {
                    if reason == NO_RESOURCE {
                        self.tell_unforecast(&record.fingerprint);
                    }
                    Fate::Dropped(reason)
                }
                None => Fate::TakenIn,
            });
            if fates[input] == Fate::TakenIn {
                self.forget_silent(&record.fingerprint, &mut fates)?;
                self.take_in(input, record);
            }
        }
        self.finish(&mut fates)?;
        Ok(fates)
    }

    /// Takes the models as the registry has them now. A switch is promoted well ahead of its instant; one that is
    /// heard of only after it is used from here on, and a replay would use it from its instant on.
    fn hear_of_switches(&mut self) {
        let models = self.registry.models();
        if Arc::ptr_eq(&models, &self.models) {
            return;
        }
        let before = self.begun();
        self.models = models;
        if before != self.begun() {
            counter!("prescale_predictor_late_switches_total").increment(1);
            tracing::warn!(
                newest_at_ms = self.state.newest_at.map(EventTime::as_ms),
                "a switch of models was heard of after its instant: a replay would forecast the bins since with \
                 the other model; promote further ahead"
            );
        }
    }

    /// Says once what may be the cause where a workload has nothing that is forecast.
    fn tell_unforecast(&mut self, fingerprint: &Fingerprint) {
        if self.has_told_unforecast {
            return;
        }
        self.has_told_unforecast = true;
        tracing::warn!(
            workload = %fingerprint.workload,
            kpis = joined(fingerprint.kpis.iter().map(|kpi| &kpi.name)),
            resources = joined(self.settings.resources.iter()),
            "a workload has no value of a KPI that is forecast, and is neither forecast nor sized: if it has such KPIs, \
             their values cannot be (the fingerprinter says why); otherwise name one of its own in [predictor] resources, \
             and a rate in [planner.rates] too (told once a partition)"
        );
    }

    /// How earlier forecasts did, as it was to be told beside predictions of the last step: by the place of the record,
    /// ascending. It is not told again.
    pub fn take_scores(&mut self) -> Vec<(usize, ForecastScore)> {
        std::mem::take(&mut self.scores)
    }

    fn refusal(&self, fingerprint: &Fingerprint) -> Option<&'static str> {
        let known = self.state.workloads.get(&fingerprint.workload);
        if fingerprint.step_s > GRID_STEP_S {
            Some("step_above_grid")
        } else if self.demands(fingerprint).is_empty() {
            Some(NO_RESOURCE)
        } else if known.is_some_and(|known| known.last_at >= fingerprint.at) {
            Some("stale")
        } else {
            None
        }
    }

    /// Index of each configured resource that the fingerprint has, with that of its KPI.
    fn demands(&self, fingerprint: &Fingerprint) -> Vec<(usize, usize)> {
        let of = |(i, name)| Some((i, fingerprint.place_of(name)?));
        self.settings.resources.iter().enumerate().filter_map(of).collect()
    }

    /// What the configured signals say that the fingerprint has, each with its place among them.
    fn signals(&self, fingerprint: &Fingerprint) -> (Vec<usize>, Vec<Signal>) {
        let usual = self.state.workloads.get(&fingerprint.workload).map_or(&[][..], |known| &known.usual);
        let of = |(nth, name): (usize, &KpiName)| {
            let kpi = fingerprint.kpi(name)?;
            let (short_mean, long_p95) = usual.get(nth).copied().unwrap_or_default();
            let signal = Signal {
                name: kpi.name.clone(),
                unit: Arc::clone(&kpi.unit),
                last: kpi.last,
                short_mean: short_mean.map(f64::from),
                long_p95: long_p95.map(f64::from),
            };
            Some((nth, signal))
        };
        self.settings.signals.iter().enumerate().filter_map(of).unzip()
    }

    /// Moves the source's clock; when it is time, forgets its workloads that were silent for too long.
    /// One of them may be among those that wait, so they are done first.
    fn forget_silent(&mut self, fingerprint: &Fingerprint, fates: &mut [Fate]) -> anyhow::Result<()> {
        let observed = self.state.sources.observe(&fingerprint.source, fingerprint.at);
        if let Some(before) = observed.forget_before {
            self.finish(fates)?;
            count_untold("silent", self.forget(observed.source, before));
        }
        let new = || Workload::new(observed.source, fingerprint.at, &self.settings);
        let workload = self.state.workloads.get_or_insert_with(&fingerprint.workload, new);
        (workload.source, workload.last_at) = (observed.source, fingerprint.at);
        self.state.newest_at = self.state.newest_at.max(Some(fingerprint.at));
        Ok(())
    }

    /// Forgets a source's workloads whose last record is before that instant; returns how many readings of theirs
    /// waited for a prediction.
    fn forget(&mut self, source: SourceNumber, before: EventTime) -> usize {
        let mut untold = 0;
        self.state.workloads.retain(|_, known| {
            let stays = known.source != source || known.last_at >= before;
            untold += if stays { 0 } else { known.held.len() };
            stays
        });
        untold
    }

    /// Takes a record into its series and, where a forecast is due, lets it wait for the models.
    fn take_in(&mut self, input: usize, record: Enveloped) {
        let fingerprint = &record.fingerprint;
        let demands = self.demands(fingerprint);
        let Some(workload) = self.state.workloads.get_mut(&fingerprint.workload) else { return };
        let is_due = workload.is_due(&self.settings, fingerprint, &demands);
        if fingerprint.has_features() {
            workload.note_usual(&self.settings, fingerprint);
        }
        if !is_due {
            workload.hold(&self.settings, fingerprint);
        }
        let hides_demand = workload.hides_demand(&self.settings, fingerprint);
        let (pools, mut resources) = (&mut self.state.pools, Vec::with_capacity(demands.len()));
        let rules = Rules { settings: &self.settings, lineup: self.models.lineup() };
        for (resource, kpi) in demands {
            let kpi_fingerprint = &fingerprint.kpis[kpi];
            let name = kpi_fingerprint.name.as_str();
            let capacity = Resource::capacity_of_kpi(name, fingerprint.capacity.as_ref());
            // Who has no memory left is killed, not slowed down.
            let is_cpu = Resource::of_kpi(name) == Some(Resource::Cpu);
            let cap = capacity.filter(|_| is_cpu).map(|cores| workload.served(cores));
            let is_hidden = is_cpu && hides_demand;
            let offer = Offer { at: fingerprint.at, value: kpi_fingerprint.last, capacity, cap, is_hidden };
            let series = &mut workload.series[resource];
            if let Some(bin) = anomaly::unusual_bin(fingerprint, &kpi_fingerprint.name) {
                series.note_anomaly(bin);
            }
            let scored = |(ModelId { family, from_bin: version, .. }, horizon, statistic), scores| {
                pools.push(PoolKey { family, version, resource, horizon, statistic }, scores);
            };
            if !is_due {
                series.observe(rules, &offer, scored);
                continue;
            }
            let job = series.take_in(rules, &offer, scored);
            if let Some(windows) = &kpi_fingerprint.windows {
                let of = (&fingerprint.workload, fingerprint.at.bin(GRID_STEP_S));
                let neighbours = self.settings.neighbours;
                learn_from_others(series, &mut self.state.exemplars[resource], of, neighbours, || {
                    Traits::of(&windows.short, offer.capacity)
                });
            }
            let Some(job) = job else { continue };
            self.wave.rows += job.rows.len().max(1);
            self.wave.jobs.push(job);
            resources.push((resource, kpi));
        }
        if is_due && resources.is_empty() {
            workload.hold(&self.settings, fingerprint);
        }
        if !resources.is_empty() {
            self.wave.workloads.insert(fingerprint.workload.clone());
            let spreads = pools.spreads();
            self.wave.waiting.push(Waiting { input, record, spreads, resources });
        }
    }

    /// Runs the models over all that wait and makes their predictions.
    fn finish(&mut self, fates: &mut [Fate]) -> anyhow::Result<()> {
        let Wave { waiting, mut jobs, mut buffers, .. } = std::mem::take(&mut self.wave);
        for (model, network) in self.models.all() {
            match wave::run(*model, network, &mut jobs, &mut buffers) {
                // What is on trial does not stand in the way of what is published.
                Err(error) if model.is_candidate => tracing::error!(
                    family = model.family.name(),
                    version = &**network.version(),
                    reason = format!("{error:#}"),
                    "a model on trial cannot run, so its trial comes to nothing: put back what its folder held, or try another"
                ),
                ran => ran?,
            }
        }
        let mut jobs = jobs.into_iter();
        for Waiting { input, record, spreads, resources } in waiting {
            let (mut places, mut forecasts) = (Vec::new(), Vec::with_capacity(resources.len()));
            for ((resource, kpi), job) in resources.into_iter().zip(&mut jobs) {
                if let Some(made) = self.forecast(&record.fingerprint, (resource, kpi), &spreads, job) {
                    places.push(resource);
                    forecasts.push(made);
                }
            }
            let (signal_places, signals) = self.signals(&record.fingerprint);
            let Some(workload) = self.state.workloads.get_mut(&record.fingerprint.workload) else { continue };
            if forecasts.is_empty() {
                workload.hold(&self.settings, &record.fingerprint);
                continue;
            }
            let names = Names {
                rules: Rules { settings: &self.settings, lineup: self.models.lineup() },
                models: &self.models,
                statistical_version: &self.statistical_version,
                families: &self.family_names,
            };
            let made = places.iter().copied().zip(&forecasts);
            let told = scored::told(workload, &record.fingerprint, made, names);
            self.scores.extend(told.map(|told| (input, told)));
            workload.capacity.clone_from(&record.fingerprint.capacity);
            let anomaly = anomaly::of(&record.fingerprint, self.settings.resources.iter().zip(&workload.series));
            let held = std::mem::take(&mut workload.held);
            let earlier = readings(&held, self.settings.resources.len(), &places, &signal_places);
            fates[input] = predicted(record, Made { resources: forecasts, signals, earlier, anomaly });
        }
        self.wave.buffers = buffers;
        Ok(())
    }

    fn forecast(
        &mut self,
        fingerprint: &Fingerprint,
        (resource, kpi): (usize, usize),
        spreads: &Spreads,
        job: Job,
    ) -> Option<ResourceForecast> {
        let workload = self.state.workloads.get_mut(&fingerprint.workload)?;
        let series = &mut workload.series[resource];
        let models = &self.models;
        let scale = job.scale;
        let in_unit = |(model, q): (ModelId, Option<Vec<f32>>)| {
            (model, q.zip(models.network(model)).and_then(|(q, network)| network.quantiles(&q, scale)))
        };
        let from_networks = series.take_back(job.runs).into_iter().map(in_unit).collect();
        let rules = Rules { settings: &self.settings, lineup: self.models.lineup() };
        let made = series.forecast(Making { rules, resource, spreads, scale, from_networks })?;
        for family in &made.failed {
            counter!("prescale_predictor_fallbacks_total", "from" => family.name()).increment(1);
        }
        let kpi = &fingerprint.kpis[kpi];
        series.tell(kpi.last);
        let network = made.model.and_then(|model| models.network(model));
        let version = network.map_or(&self.statistical_version, |network| network.version());
        Some(ResourceForecast {
            resource: kpi.name.clone(),
            unit: Arc::clone(&kpi.unit),
            last: kpi.last,
            model: Arc::clone(&self.family_names[made.family as usize]),
            model_version: Arc::clone(version),
            drift: Some(made.drift),
            started_from: series.neighbours().to_vec(),
            horizons: made.horizons,
        })
    }
}

/// Where each of what there is now was before.
fn places<T: PartialEq>(before: &[T], now: &[T]) -> Vec<Option<usize>> {
    now.iter().map(|one| before.iter().position(|known| known == one)).collect()
}

/// The models of those families that have one in `other` too.
fn of_families_in<'a>(begun: &'a [Identity], other: &[Identity]) -> Vec<&'a Identity> {
    let is_in_other = |family: Family| other.iter().any(|(model, _)| model.family == family);
    begun.iter().filter(|(model, _)| is_in_other(model.family)).collect()
}

/// The state of a snapshot and the models that had begun. `None` where that is not all there.
fn parts_of(snapshot: &[u8]) -> Option<(&[u8], &[u8])> {
    let (parts, begun_bytes) = snapshot.split_last_chunk::<8>()?;
    let begun_bytes = usize::try_from(u64::from_le_bytes(*begun_bytes)).ok()?;
    Some(parts.split_at(parts.len().checked_sub(begun_bytes)?))
}

/// Lets a series that has come to its first hour start from its neighbours, and others start from one that has
/// come to the end of a further day.
fn learn_from_others(
    series: &mut Series,
    exemplars: &mut Exemplars,
    (workload, bin): (&WorkloadId, i64),
    neighbours: usize,
    traits: impl FnOnce() -> Traits,
) {
    let (bins_before, bins, day_bins) = (series.note_features(), series.bins(), DAY_BINS as u64);
    if bins_before < START_BINS && bins >= START_BINS {
        if series.is_inexperienced()
            && let Some((corrections, neighbours)) = exemplars.start(&traits(), neighbours)
        {
            series.start_from(&corrections, neighbours);
        }
    } else if bins >= EXEMPLARY_BINS_MIN && bins / day_bins != bins_before / day_bins && exemplars.wants(workload) {
        exemplars.keep(workload, bin, traits(), series.corrections());
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a KpiName>) -> String {
    names.map(KpiName::as_str).collect::<Vec<_>>().join(", ")
}

/// What a prediction says beside what its fingerprint does.
struct Made {
    resources: Vec<ResourceForecast>,
    signals: Vec<Signal>,
    earlier: Vec<Reading>,
    anomaly: Option<AnomalyScore>,
}

fn predicted(record: Enveloped, made: Made) -> Fate {
    let Enveloped { envelope, fingerprint } = record;
    let Made { resources, signals, earlier, anomaly } = made;
    let prediction = Prediction {
        workload: fingerprint.workload,
        source: fingerprint.source,
        made_at: fingerprint.at,
        step_s: fingerprint.step_s,
        resources,
        signals,
        earlier,
        capacity: fingerprint.capacity,
        anomaly,
        platform: fingerprint.platform,
    };
    Fate::Predicted(envelope, Box::new(prediction))
}

#[cfg(test)]
mod between_tests;
#[cfg(test)]
mod changed_tests;
#[cfg(test)]
mod parted_tests;
#[cfg(test)]
mod scored_tests;
#[cfg(test)]
pub(crate) mod tests;
