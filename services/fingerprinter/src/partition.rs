//! One partition: samples in, fingerprints out. Knows neither the bus nor Avro.
//!
//! Features are computed when a bin closes: with its last sample, or with the first one behind it where that is
//! missing. With the other samples the newest values alone go on.

use crate::config::Settings;
use crate::followed::{Followed, Scratch};
use crate::plausibility::Plausibility;
use crate::sql::query::{FeatureQuery, SeriesFeatures};
use crate::sql::table::{Series, TableBuilder, Window};
use bitcode::{Decode, Encode};
use metrics::counter;
use prescale_contracts::Envelope;
use prescale_domain::anomaly::AnomalyScore;
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, Season, WindowFeatures, Windows};
use prescale_domain::kpi::{Kpi, KpiName};
use prescale_domain::sample::Sample;
use prescale_domain::slots::Slots;
use prescale_domain::stream::admission::{Admission, Arrival, Released};
use prescale_domain::stream::parts::Part;
use prescale_domain::stream::reassembly::Verdict;
use prescale_domain::stream::validity;
use prescale_domain::time::EventTime;
use prescale_domain::window::ShortSums;
use prescale_domain::window::rhythm::Rhythm;
use prescale_domain::window::workload_windows::{GridSample, KpiTable, WorkloadKpi};
use prescale_domain::workload::WorkloadId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Series after which the window table is run; bounds its memory.
const SERIES_PER_TABLE: u32 = 8192;

/// A sample, or a part of one, with the envelope that it came in.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Enveloped {
    /// Its envelope; of several parts, that with the least id, so that it does not tell in what order they came.
    pub envelope: Envelope,
    /// The sample.
    pub sample: Sample,
}

impl Part for Enveloped {
    fn kpis(&self) -> &[Kpi] {
        &self.sample.kpis
    }

    fn merge(&mut self, other: Self) -> bool {
        let Self { envelope, sample } = other;
        let Sample { source, at, kpis, capacity, platform, .. } = sample;
        let sent = kpis.len();
        let fresh: Vec<Kpi> =
            kpis.into_iter().filter(|kpi| self.sample.kpis.iter().all(|known| known.name != kpi.name)).collect();
        if fresh.is_empty() {
            return false;
        }
        counter!("prescale_fingerprinter_values_repeated_total").increment((sent - fresh.len()) as u64);
        self.sample.kpis.extend(fresh);
        self.sample.kpis.sort_by(|a, b| a.name.cmp(&b.name));
        self.sample.at = self.sample.at.max(at);
        let is_least = envelope.id < self.envelope.id;
        let is_first_capacity = self.sample.capacity.is_none() && capacity.is_some();
        // The platform is that of the part with the capacity, or of the first one.
        if is_first_capacity || is_least && self.sample.capacity.is_none() {
            self.sample.platform = platform;
        }
        if is_first_capacity {
            self.sample.capacity = capacity;
        }
        let as_of = self.envelope.as_of.max(envelope.as_of);
        if is_least {
            self.sample.source = source;
            self.envelope = envelope;
        }
        self.envelope.as_of = as_of;
        true
    }
}

/// What became of a sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It was used or is held, alone or as a part. These follow from it: each a fingerprint with the envelope of the
    /// sample that it ends with, which may have been held until now, as of when its turn had come.
    Used(Vec<(Envelope, Fingerprint)>),
    /// It was put aside for this reason.
    Dropped(&'static str),
    /// It cannot be used.
    Rejected {
        /// Short stable name for counting.
        code: &'static str,
        /// What is wrong with what, and what to do.
        message: String,
    },
}

/// All that a partition remembers.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct State {
    admission: Admission<Enveloped>,
    kpis: KpiTable,
    workloads: Slots<Followed>,
    plausibility: Plausibility,
}

/// The stage of one partition.
pub struct Partition {
    settings: Arc<Settings>,
    query: FeatureQuery,
    state: State,
    table: TableBuilder,
    unfinished: Vec<Unfinished>,
    scratch: Scratch,
    sums: ShortSums,
}

/// A fingerprint whose series, where it has features, are in the window table, from `first_series` on: short and
/// long window of each KPI in turn.
struct Unfinished {
    input: usize,
    envelope: Envelope,
    fingerprint: Fingerprint,
    first_series: u32,
}

impl Partition {
    /// An empty partition.
    ///
    /// # Errors
    /// When a configured feature is refused.
    pub fn new(settings: Arc<Settings>) -> anyhow::Result<Self> {
        let query = FeatureQuery::new(&settings.features)?;
        Ok(Self {
            settings,
            query,
            state: State::default(),
            table: TableBuilder::new(),
            unfinished: Vec::new(),
            scratch: Scratch::default(),
            sums: ShortSums::default(),
        })
    }

    /// A partition as it was when the snapshot was taken.
    ///
    /// # Errors
    /// When the bytes are no snapshot, or a configured feature is refused.
    pub fn restored(settings: Arc<Settings>, snapshot: &[u8]) -> anyhow::Result<Self> {
        let state = bitcode::decode(snapshot)?;
        Ok(Self { state, ..Self::new(settings)? })
    }

    /// Makes features due with the next sample of each workload.
    #[cfg(test)]
    pub(crate) fn tell_next(&mut self) {
        self.state.workloads.values_mut().for_each(Followed::tell_next);
    }

    /// The state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        bitcode::encode(&self.state)
    }

    /// Samples that wait.
    pub fn held(&self) -> usize {
        self.state.admission.held()
    }

    /// What it knows of values that cannot be.
    pub fn plausibility(&self) -> &Plausibility {
        &self.state.plausibility
    }

    /// Bytes that the windows and detectors take on the heap, without what the allocator adds.
    pub fn window_bytes(&self) -> usize {
        self.state.workloads.values().map(Followed::heap_bytes).sum()
    }

    /// Bytes that a workload takes of which no sample waits, without what the allocator adds.
    pub fn workload_bytes(&self, workload: &WorkloadId) -> Option<usize> {
        let followed = self.state.workloads.get(workload)?;
        let windows = Slots::<Followed>::bytes_each() + workload.as_str().len() + followed.heap_bytes();
        // The copy of another one has no samples of its own yet.
        let admission = self.state.admission.workload_bytes(workload).unwrap_or(0);
        Some(windows + admission + Plausibility::bytes_each())
    }

    /// Applies samples in order; one fate each.
    ///
    /// # Errors
    /// When DataFusion fails on our own statement.
    pub fn apply(&mut self, batch: Vec<Enveloped>) -> anyhow::Result<Vec<Fate>> {
        let mut fates = Vec::with_capacity(batch.len());
        let mut released = Vec::new();
        for (input, arrived) in batch.into_iter().enumerate() {
            fates.push(self.admit(arrived, &mut released));
            for Released { bin, turn_at, mut item } in released.drain(..) {
                item.envelope.as_of = item.envelope.as_of.max(turn_at);
                self.advance(input, bin, item);
            }
            if self.table.series() >= SERIES_PER_TABLE {
                self.finish(&mut fates)?;
            }
        }
        self.finish(&mut fates)?;
        Ok(fates)
    }

    /// Takes samples in without making fingerprints of them: for a history that is loaded.
    pub fn absorb(&mut self, batch: Vec<Enveloped>) {
        let mut released = Vec::new();
        for arrived in batch {
            self.admit(arrived, &mut released);
            for Released { bin, mut item, .. } in released.drain(..) {
                self.record(bin, &mut item.sample);
            }
        }
    }

    /// Gives a workload the windows of another one; what waits of that one is not copied. For benchmarks, where a
    /// history is to lie behind more workloads than can live it.
    pub fn copy_workload(&mut self, from: &WorkloadId, to: &WorkloadId) {
        if let Some(known) = self.state.workloads.get(from).cloned() {
            self.state.workloads.insert(to, known);
        }
    }

    /// Takes a sample into its workload's windows, without the values of it that cannot be. Says whether features
    /// are due.
    fn record(&mut self, bin: i64, sample: &mut Sample) -> bool {
        self.state.plausibility.screen(sample, self.settings.impossible_above);
        let followed = self.state.workloads.get_or_insert_with(&sample.workload, Followed::default);
        let on_grid = GridSample { step_s: sample.step_s, bin, at: sample.at, kpis: &sample.kpis };
        followed.record(&self.settings.windows, on_grid, &mut self.state.kpis, &mut self.scratch)
    }

    fn admit(&mut self, arrived: Enveloped, released: &mut Vec<Released<Enveloped>>) -> Fate {
        if let Err(invalid) = validity::check(&arrived.sample) {
            return Fate::Rejected { code: invalid.code(), message: invalid.to_string() };
        }
        let Sample { workload, source, at, step_s, .. } = &arrived.sample;
        let (workload, source, at, step_s) = (workload.clone(), source.clone(), *at, *step_s);
        let arrival = Arrival { workload: &workload, source: &source, at, step_s, item: arrived };
        let admission = &self.settings.admission;
        let verdict = self.state.admission.offer(admission, arrival, released);
        let silent = self.state.admission.forget_silent(admission, &source);
        if !silent.is_empty() {
            self.state.workloads.retain(|workload, _| !silent.contains(workload));
            self.state.plausibility.forget(&silent);
        }
        let steps = admission.lateness_steps;
        match verdict {
            Verdict::Accepted => Fate::Used(Vec::new()),
            Verdict::Duplicate => Fate::Dropped("duplicate"),
            Verdict::Unexpected => Fate::Rejected {
                code: "unexpected_part",
                message: format!(
                    "a part of the sample of {workload} at {at} came when that was out, whole by what the workload had before: its next samples wait for such a part; send the KPIs of an instant in one record where you can"
                ),
            },
            Verdict::Late => Fate::Rejected {
                code: "late",
                message: format!(
                    "sample of {workload} at {at} came more than {steps} steps of {step_s} s after its source {source}: raise [fingerprinter] lateness_steps, or send in order"
                ),
            },
            Verdict::FromTheFuture => Fate::Rejected {
                code: "from_the_future",
                message: format!(
                    "sample of {workload} at {at} is far ahead of the others of its source {source}: check the clock that stamped it"
                ),
            },
        }
    }

    /// Moves a workload's windows to its next sample and, where features are due, puts them into the window table.
    fn advance(&mut self, input: usize, bin: i64, released: Enveloped) {
        let Enveloped { envelope, mut sample } = released;
        let is_due = self.record(bin, &mut sample);
        let first_series = self.table.series();
        let kpis = if is_due { self.tabulate(bin, &sample) } else { self.newest_values(&sample.workload) };
        let anomaly = if is_due { self.score(&sample) } else { None };
        let fingerprint = self.fingerprint(sample, kpis, anomaly);
        self.unfinished.push(Unfinished { input, envelope, fingerprint, first_series });
    }

    /// How unusual the workload was until now since features were due before.
    fn score(&mut self, sample: &Sample) -> Option<AnomalyScore> {
        let found = self.state.workloads.get_mut(&sample.workload)?.score(sample.at, sample.step_s)?;
        let name = |number: &u32| Some(self.state.kpis.get(*number)?.name.clone());
        Some(AnomalyScore { p_value: found.p_value? as f32, kpis: found.blamed.iter().filter_map(name).collect() })
    }

    fn newest_values(&self, workload: &WorkloadId) -> Vec<KpiFingerprint> {
        let known = self.state.workloads.get(workload).map_or(&[][..], |followed| followed.windows().kpis());
        let of = |kpi: &WorkloadKpi| {
            let identity = self.state.kpis.get(kpi.number)?;
            let (name, unit) = (identity.name.clone(), Arc::clone(&identity.value_unit));
            Some(KpiFingerprint { name, unit, last: kpi.last, windows: None })
        };
        known.iter().filter_map(of).collect()
    }

    /// Puts a workload's windows into the window table, with those features set that do not follow from it.
    fn tabulate(&mut self, bin: i64, sample: &Sample) -> Vec<KpiFingerprint> {
        let Some(windows) = self.state.workloads.get(&sample.workload).map(Followed::windows) else {
            return Vec::new();
        };
        let grid = windows.grid(&self.settings.windows);
        let at_s = EventTime::of_bin(bin, sample.step_s).as_ms() / 1000;
        let mut kpis = Vec::with_capacity(windows.kpis().len());
        for kpi in windows.kpis() {
            let Some(identity) = self.state.kpis.get(kpi.number) else { continue };
            let rhythms = (kpi.windows.short_rhythm(), kpi.windows.long_rhythm());
            let step_s = f64::from(sample.step_s);
            let name = identity.name.as_str();
            let short = kpi.windows.short(&grid, &mut self.sums);
            let places = grid.slots() as f64;
            self.table.push(
                Series {
                    kpi: name,
                    window: Window::Short,
                    step_s: grid.slot_s() as f64,
                    places,
                    last: kpi.last,
                    rhythm: &rhythms.0,
                },
                &[(short, &self.sums.histogram)],
            );
            let places = grid.long_places(at_s) as f64;
            let parts = [kpi.windows.long_open(), kpi.windows.long_closed(&grid)];
            let used = if parts[1].0.moments.count == 0 { &parts[..1] } else { &parts[..] };
            self.table.push(
                Series { kpi: name, window: Window::Long, step_s, places, last: kpi.last, rhythm: &rhythms.1 },
                used,
            );
            kpis.push(KpiFingerprint {
                name: KpiName::clone(&identity.name),
                unit: Arc::clone(&identity.value_unit),
                last: kpi.last,
                windows: Windows::boxed(features_of(rhythms.0), features_of(rhythms.1)),
            });
        }
        kpis
    }

    fn fingerprint(&self, sample: Sample, kpis: Vec<KpiFingerprint>, anomaly: Option<AnomalyScore>) -> Fingerprint {
        Fingerprint {
            workload: sample.workload,
            source: sample.source,
            at: sample.at,
            step_s: sample.step_s,
            short_window_s: self.settings.windows.short_window_s(),
            long_window_s: self.settings.windows.long_window_s(),
            feature_schema_hash: Arc::clone(&self.settings.feature_schema_hash),
            kpis,
            anomaly,
            capacity: sample.capacity,
            platform: sample.platform,
        }
    }

    /// Runs the window table and gives each fingerprint to the input that it follows from.
    fn finish(&mut self, fates: &mut [Fate]) -> anyhow::Result<()> {
        if self.unfinished.is_empty() {
            return Ok(());
        }
        let series_count = self.table.series();
        let mut features =
            if series_count == 0 { Vec::new() } else { self.query.run(self.table.finish()?, series_count)? };
        for Unfinished { input, envelope, mut fingerprint, first_series } in self.unfinished.drain(..) {
            let windows = fingerprint.kpis.iter_mut().filter_map(|kpi| kpi.windows.as_deref_mut());
            let windows = windows.flat_map(|Windows { short, long }| [short, long]);
            for (window, found) in windows.zip(features.iter_mut().skip(first_series as usize)) {
                fill(window, std::mem::take(found), &self.settings.features);
                window.round_to_single();
            }
            if let Some(Fate::Used(follow)) = fates.get_mut(input) {
                follow.push((envelope, fingerprint));
            }
        }
        Ok(())
    }
}

/// Features that come from the window's rhythm; the others follow from the window table.
fn features_of(rhythm: Rhythm) -> WindowFeatures {
    let [acf_1h, acf_24h, acf_7d] = rhythm.acf;
    WindowFeatures {
        top_seasons: rhythm.top_seasons,
        season_24h: rhythm.season_24h,
        season_7d: rhythm.season_7d,
        acf_1h,
        acf_24h,
        acf_7d,
        ..WindowFeatures::default()
    }
}

fn fill(window: &mut WindowFeatures, found: SeriesFeatures, extra: &BTreeMap<String, String>) {
    let [count, missing_share, rest @ ..] = found.values;
    window.count = count.unwrap_or(0.0) as u64;
    window.missing_share = missing_share.unwrap_or(1.0);
    let [mean, std_dev, min, max, p50, p90, p95, p99, trend_per_h, trend_std_err, trend_r2, burstiness, hour @ ..] =
        rest;
    (window.mean, window.std_dev, window.min, window.max) = (mean, std_dev, min, max);
    (window.p50, window.p90, window.p95, window.p99) = (p50, p90, p95, p99);
    (window.trend_per_h, window.trend_std_err, window.trend_r2) = (trend_per_h, trend_std_err, trend_r2);
    window.burstiness = burstiness;
    if let [Some(amplitude), Some(phase_rad), strength] = hour {
        let strength = strength.unwrap_or(0.0);
        window.season_1h = Some(Season { period_s: 3600.0, amplitude, phase_rad, strength });
    }
    window.extra = extra.keys().cloned().zip(found.extra).collect();
}

#[cfg(test)]
pub(crate) mod tests;
