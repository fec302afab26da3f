//! One partition: fingerprints in, predictions out. Knows neither the bus nor Avro.
//!
//! Records are taken in one after another, up to where the network is needed; what a record's forecast
//! depends on beside its own series (the pools' factors) is set down at that point. The network then
//! runs over all series that wait, a wave. A wave holds a series once: a second record of it makes the
//! first wave run before it is taken in. So it does not matter where a batch or a wave ends.

use crate::config::Settings;
use crate::network::Network;
use crate::series::{Making, Offer, Series};
use crate::wave::{self, Buffers, Job};
use bitcode::{Decode, Encode};
use metrics::counter;
use prescale_contracts::Envelope;
use prescale_domain::calibration::pools::{PoolKey, Pools, Spreads};
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint};
use prescale_domain::forecast::{Family, GRID_STEP_S};
use prescale_domain::policy::Resource;
use prescale_domain::prediction::{Prediction, ResourceForecast};
use prescale_domain::stream::silence::{SourceNumber, Sources};
use prescale_domain::time::EventTime;
use prescale_domain::workload::WorkloadId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Version of the statistical families, as predictions carry it; goes up when their numbers change.
pub const STATISTICAL_VERSION: &str = "1";

/// Rows for the network after which a wave runs; bounds its memory.
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
    Predicted(Envelope, Prediction),
    /// It changed the state; too little is known for a prediction.
    TakenIn,
    /// It was put aside for this reason.
    Dropped(&'static str),
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Workload {
    source: SourceNumber,
    last_at: EventTime,
    /// One a configured resource.
    series: Vec<Series>,
}

/// All that a partition remembers.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct State {
    sources: Sources,
    workloads: BTreeMap<WorkloadId, Workload>,
    pools: Pools,
}

/// The stage of one partition.
pub struct Partition {
    settings: Arc<Settings>,
    network: Option<Network>,
    statistical_version: Arc<str>,
    family_names: [Arc<str>; Family::ALL.len()],
    state: State,
    wave: Wave,
}

#[derive(Default)]
struct Wave {
    waiting: Vec<Waiting>,
    /// The workloads that wait.
    workloads: BTreeSet<WorkloadId>,
    /// The series that wait, in the order of `waiting`.
    jobs: Vec<Job>,
    rows: usize,
    buffers: Buffers,
}

/// A record that waits for the network.
struct Waiting {
    input: usize,
    record: Enveloped,
    spreads: Spreads,
    /// Index of each resource that has a job, with that of its KPI in the fingerprint.
    resources: Vec<(usize, usize)>,
}

impl Partition {
    /// An empty partition. `network` is what [`Network::load`] gave for the same settings.
    pub fn new(settings: Arc<Settings>, network: Option<Network>) -> Self {
        let state = State {
            sources: Sources::default(),
            workloads: BTreeMap::new(),
            pools: Pools::new(settings.resources.len(), settings.horizons_s.len()),
        };
        Self {
            settings,
            network,
            statistical_version: STATISTICAL_VERSION.into(),
            family_names: Family::ALL.map(|family| family.name().into()),
            state,
            wave: Wave::default(),
        }
    }

    /// A partition as it was when the snapshot was taken.
    ///
    /// # Errors
    /// When the bytes are no snapshot.
    pub fn restored(settings: Arc<Settings>, network: Option<Network>, snapshot: &[u8]) -> anyhow::Result<Self> {
        let state = bitcode::decode(snapshot)?;
        Ok(Self { state, ..Self::new(settings, network) })
    }

    /// The state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.state)
    }

    /// Workloads remembered.
    pub fn workloads(&self) -> usize {
        self.state.workloads.len()
    }

    /// Bytes that a workload takes, without what the map around it and the allocator add.
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        let known = self.state.workloads.get(workload)?;
        let series: usize = known.series.iter().map(|series| size_of::<Series>() + series.heap_bytes()).sum();
        Some(size_of::<(WorkloadId, Workload)>() + workload.as_str().len() + series)
    }

    /// Applies fingerprints in order; one fate each.
    ///
    /// # Errors
    /// When the network's runtime fails.
    pub fn apply(&mut self, batch: Vec<Enveloped>) -> anyhow::Result<Vec<Fate>> {
        let mut fates = Vec::with_capacity(batch.len());
        for (input, record) in batch.into_iter().enumerate() {
            if self.wave.rows >= WAVE_ROWS_MAX || self.wave.workloads.contains(&record.fingerprint.workload) {
                self.finish(&mut fates)?;
            }
            fates.push(match self.refusal(&record.fingerprint) {
                Some(reason) => Fate::Dropped(reason),
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

    fn refusal(&self, fingerprint: &Fingerprint) -> Option<&'static str> {
        let known = self.state.workloads.get(&fingerprint.workload);
        if fingerprint.step_s > GRID_STEP_S {
            Some("step_above_grid")
        } else if self.demands(fingerprint).is_empty() {
            Some("no_resource")
        } else if known.is_some_and(|known| known.last_at >= fingerprint.at) {
            Some("stale")
        } else {
            None
        }
    }

    /// Index of each configured resource that the fingerprint has, with that of its KPI.
    fn demands(&self, fingerprint: &Fingerprint) -> Vec<(usize, usize)> {
        let of =
            |(i, name)| Some((i, fingerprint.kpis.binary_search_by(|kpi: &KpiFingerprint| kpi.name.cmp(name)).ok()?));
        self.settings.resources.iter().enumerate().filter_map(of).collect()
    }

    /// Moves the source's clock; when it is time, forgets its workloads that were silent for too long.
    /// One of them may be among those that wait, so they are done first.
    fn forget_silent(&mut self, fingerprint: &Fingerprint, fates: &mut [Fate]) -> anyhow::Result<()> {
        let observed = self.state.sources.observe(&fingerprint.source, fingerprint.at);
        if let Some(before) = observed.forget_before {
            self.finish(fates)?;
            self.state.workloads.retain(|_, known| known.source != observed.source || known.last_at >= before);
        }
        let resources = self.settings.resources.len();
        let workload = self.state.workloads.entry(fingerprint.workload.clone()).or_insert_with(|| Workload {
            source: observed.source,
            last_at: fingerprint.at,
            series: vec![Series::default(); resources],
        });
        (workload.source, workload.last_at) = (observed.source, fingerprint.at);
        Ok(())
    }

    /// Takes a record into its series and lets it wait for the network.
    fn take_in(&mut self, input: usize, record: Enveloped) {
        let fingerprint = &record.fingerprint;
        let demands = self.demands(fingerprint);
        let Some(workload) = self.state.workloads.get_mut(&fingerprint.workload) else { return };
        let (pools, mut resources) = (&mut self.state.pools, Vec::with_capacity(demands.len()));
        for (resource, kpi) in demands {
            let kpi_fingerprint = &fingerprint.kpis[kpi];
            let offer = Offer {
                at: fingerprint.at,
                value: kpi_fingerprint.last,
                capacity: Resource::capacity_of_kpi(kpi_fingerprint.name.as_str(), fingerprint.capacity.as_ref()),
            };
            let series = &mut workload.series[resource];
            let steps = series.take_in(&self.settings, &offer, |(family, horizon, statistic), scores| {
                pools.push(PoolKey { family, resource, horizon, statistic }, scores);
            });
            let Some(steps) = steps else { continue };
            self.wave.rows += steps.rows.len().max(1);
            let carried = series.carried().map(std::mem::take).unwrap_or_default();
            self.wave.jobs.push(Job { steps, carried, quantiles: None });
            resources.push((resource, kpi));
        }
        if !resources.is_empty() {
            self.wave.workloads.insert(fingerprint.workload.clone());
            let spreads = pools.spreads();
            self.wave.waiting.push(Waiting { input, record, spreads, resources });
        }
    }

    /// Runs the network over all that wait and makes their predictions.
    fn finish(&mut self, fates: &mut [Fate]) -> anyhow::Result<()> {
        let Wave { waiting, mut jobs, mut buffers, .. } = std::mem::take(&mut self.wave);
        if let Some(network) = &mut self.network {
            wave::run(network, &mut jobs, &mut buffers)?;
        }
        let mut jobs = jobs.into_iter();
        for Waiting { input, record, spreads, resources } in waiting {
            let mut forecasts = Vec::with_capacity(resources.len());
            for ((resource, kpi), job) in resources.into_iter().zip(&mut jobs) {
                let made = self.forecast(&record.fingerprint, (resource, kpi), &spreads, job);
                forecasts.extend(made);
            }
            if !forecasts.is_empty() {
                fates[input] = predicted(record, forecasts);
            }
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
        if let Some(carried) = series.carried() {
            *carried = job.carried;
        }
        let network = self.network.as_ref();
        let scale = job.steps.scale;
        let from_network = network.zip(job.quantiles).and_then(|(network, q)| network.quantiles(&q, scale));
        let made = series.forecast(Making { settings: &self.settings, resource, spreads, scale, from_network })?;
        for family in &made.failed {
            counter!("prescale_predictor_fallbacks_total", "from" => family.name()).increment(1);
        }
        let kpi = &fingerprint.kpis[kpi];
        let version = match (made.family, network) {
            (Family::Gru, Some(network)) => network.version(),
            _ => &self.statistical_version,
        };
        Some(ResourceForecast {
            resource: kpi.name.clone(),
            unit: Arc::clone(&kpi.unit),
            last: kpi.last,
            model: Arc::clone(&self.family_names[made.family as usize]),
            model_version: Arc::clone(version),
            horizons: made.horizons,
        })
    }
}

fn predicted(record: Enveloped, resources: Vec<ResourceForecast>) -> Fate {
    let Enveloped { envelope, fingerprint } = record;
    let prediction = Prediction {
        workload: fingerprint.workload,
        source: fingerprint.source,
        made_at: fingerprint.at,
        step_s: fingerprint.step_s,
        resources,
        capacity: fingerprint.capacity,
        platform: fingerprint.platform,
    };
    Fate::Predicted(envelope, prediction)
}

#[cfg(test)]
pub(crate) mod tests;
