//! A trace dealt to lanes: workloads go to lanes as a bus deals them to partitions, and a lane is a thread's work.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use prescale_bus::partitioner::partition_of;
use prescale_collector::ReplayReport;
use prescale_collector::config::ReplayConfig;
use prescale_collector::replay::read::{TraceExtent, read_samples};
use prescale_contracts::Envelope;
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, WindowFeatures};
use prescale_domain::sample::Sample;
use prescale_predictor::partition::Enveloped;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Batches that wait for a lane.
const BATCHES_WAITING_MAX: usize = 4;

/// The work on the workloads of one lane.
pub(crate) trait Lane: Send + 'static {
    /// What it comes to.
    type Outcome: Send + 'static;

    /// Takes samples in, in order.
    fn take(&mut self, samples: Vec<Sample>) -> Result<()>;

    /// The outcome, when all was taken in.
    fn finish(self) -> Result<Self::Outcome>;
}

/// Reads the trace once and hands each of the lanes, which are made when it is open, its workloads' samples. The
/// outcomes are in the order of the lanes.
///
/// # Errors
/// When the trace cannot be read, or a lane cannot be made or fails.
pub(crate) fn run<L: Lane>(
    trace: &ReplayConfig,
    lanes: impl FnOnce(&TraceExtent) -> Result<Vec<L>>,
) -> Result<(Vec<L::Outcome>, ReplayReport)> {
    thread::scope(|scope| {
        let crew = RefCell::new(Ok((Vec::new(), Vec::new())));
        let bar = ProgressBar::no_length();
        let read = read_samples(
            trace,
            |extent| {
                bar.set_length(extent.rows);
                if let Ok(style) = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} rows, {eta} left") {
                    bar.set_style(style);
                }
                let all_at_work = |lanes: Vec<L>| lanes.into_iter().map(|lane| at_work(scope, lane)).unzip();
                *crew.borrow_mut() = lanes(&extent).map(all_at_work);
            },
            |samples| match &*crew.borrow() {
                Ok((senders, _)) => deal(senders, samples, &bar),
                Err(_) => ControlFlow::Break(()),
            },
        );
        let (senders, workers) = crew.into_inner()?;
        drop(senders);
        bar.finish_and_clear();
        let outcomes = workers.into_iter().map(|worker| match worker.join() {
            Ok(outcome) => outcome,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        let outcomes = outcomes.collect::<Result<Vec<_>>>()?;
        Ok((outcomes, read?))
    })
}

type AtWork<'scope, L> = (SyncSender<Vec<Sample>>, ScopedJoinHandle<'scope, Result<<L as Lane>::Outcome>>);

fn at_work<'scope, L: Lane>(scope: &'scope Scope<'scope, '_>, mut lane: L) -> AtWork<'scope, L> {
    let (sender, receiver) = sync_channel::<Vec<Sample>>(BATCHES_WAITING_MAX);
    let worker = scope.spawn(move || {
        for samples in receiver {
            lane.take(samples)?;
        }
        lane.finish()
    });
    (sender, worker)
}

fn deal(senders: &[SyncSender<Vec<Sample>>], samples: Vec<Sample>, bar: &ProgressBar) -> ControlFlow<()> {
    bar.inc(samples.len() as u64);
    let mut hands = vec![Vec::new(); senders.len()];
    for sample in samples {
        let lane = partition_of(sample.workload.as_str().as_bytes(), senders.len() as u32);
        hands[lane as usize].push(sample);
    }
    for (sender, hand) in senders.iter().zip(hands) {
        // A lane that ended has failed; its error is told when it is joined.
        if sender.send(hand).is_err() {
            return ControlFlow::Break(());
        }
    }
    ControlFlow::Continue(())
}

/// The sample as the fingerprint that the predictor would get, with what it reads of one.
pub(crate) fn enveloped(sample: &Sample) -> Enveloped {
    let mut kpis: Vec<KpiFingerprint> = sample
        .kpis
        .iter()
        .map(|kpi| KpiFingerprint {
            name: kpi.name.clone(),
            unit: Arc::clone(&kpi.unit),
            last: kpi.value,
            short: WindowFeatures::default(),
            long: WindowFeatures::default(),
        })
        .collect();
    kpis.sort_by(|a, b| a.name.cmp(&b.name));
    let fingerprint = Fingerprint {
        workload: sample.workload.clone(),
        source: Arc::clone(&sample.source),
        at: sample.at,
        step_s: sample.step_s,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "".into(),
        kpis,
        capacity: sample.capacity.clone(),
        platform: sample.platform,
    };
    let envelope = Envelope::root("trace", "io.prescale.v1.Fingerprint", &sample.workload, sample.at, "");
    Enveloped { envelope, fingerprint }
}
