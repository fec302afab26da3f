//! A trace dealt to lanes, each a thread's work. Workloads may go to lanes as a bus deals them to partitions.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use prescale_bus::partitioner::partition_of;
use prescale_collector::ReplayReport;
use prescale_collector::config::ReplayConfig;
use prescale_collector::replay::read::{TraceExtent, read_samples};
use prescale_contracts::Envelope;
use prescale_domain::fingerprint::{Fingerprint, KpiFingerprint, WindowFeatures, Windows};
use prescale_domain::sample::Sample;
use prescale_predictor::partition::Enveloped;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

/// Batches that wait for a lane.
const BATCHES_WAITING_MAX: usize = 4;

/// The work of one thread.
pub(crate) trait Lane: Send + 'static {
    /// What it is dealt at a time.
    type Hand: Send + 'static;
    /// What it comes to.
    type Outcome: Send + 'static;

    /// Takes what it is dealt, in order.
    fn take(&mut self, hand: Self::Hand) -> Result<()>;

    /// The outcome, when all was taken in.
    fn finish(self) -> Result<Self::Outcome>;
}

/// Reads the trace once and hands each of the lanes, which are made when it is open, what `deal` makes of the
/// samples for so many lanes. The outcomes are in the order of the lanes.
///
/// # Errors
/// When the trace cannot be read or dealt, or a lane cannot be made or fails.
pub(crate) fn run<L: Lane>(
    trace: &ReplayConfig,
    lanes: impl FnOnce(&TraceExtent) -> Result<Vec<L>>,
    mut deal: impl FnMut(Vec<Sample>, usize) -> Result<Vec<L::Hand>>,
) -> Result<(Vec<L::Outcome>, ReplayReport)> {
    thread::scope(|scope| {
        let crew = RefCell::new(Ok((Vec::new(), Vec::new())));
        let bar = ProgressBar::no_length();
        let mut failure = None;
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
            |samples| {
                let Ok((senders, _)) = &*crew.borrow() else { return ControlFlow::Break(()) };
                bar.inc(samples.len() as u64);
                match deal(samples, senders.len()) {
                    Ok(hands) => send(senders, hands),
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            },
        );
        let (senders, workers) = crew.into_inner()?;
        drop(senders);
        bar.finish_and_clear();
        let outcomes = joined(workers)?;
        failure.map_or(Ok(()), Err)?;
        Ok((outcomes, read?))
    })
}

/// Hands each of the lanes its own of what is dealt. The outcomes are in the order of the lanes.
///
/// # Errors
/// When a lane fails.
pub(crate) fn run_dealt<L: Lane>(lanes: Vec<L>, dealt: impl Iterator<Item = Vec<L::Hand>>) -> Result<Vec<L::Outcome>> {
    thread::scope(|scope| {
        let (senders, workers): (Vec<_>, Vec<_>) = lanes.into_iter().map(|lane| at_work(scope, lane)).unzip();
        for hands in dealt {
            if send(&senders, hands).is_break() {
                break;
            }
        }
        drop(senders);
        joined(workers)
    })
}

/// The outcomes of lanes whose work is done.
fn joined<T>(workers: Vec<ScopedJoinHandle<'_, Result<T>>>) -> Result<Vec<T>> {
    let outcomes = workers.into_iter().map(|worker| match worker.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    });
    outcomes.collect()
}

type AtWork<'scope, L> = (SyncSender<<L as Lane>::Hand>, ScopedJoinHandle<'scope, Result<<L as Lane>::Outcome>>);

fn at_work<'scope, L: Lane>(scope: &'scope Scope<'scope, '_>, mut lane: L) -> AtWork<'scope, L> {
    let (sender, receiver) = sync_channel::<L::Hand>(BATCHES_WAITING_MAX);
    let worker = scope.spawn(move || {
        for hand in receiver {
            lane.take(hand)?;
        }
        lane.finish()
    });
    (sender, worker)
}

/// The samples by partition, in their order.
pub(crate) fn by_partition(samples: Vec<Sample>, partitions: usize) -> Vec<Vec<Sample>> {
    let mut hands = vec![Vec::new(); partitions];
    for sample in samples {
        let partition = partition_of(sample.workload.as_str().as_bytes(), partitions as u32);
        hands[partition as usize].push(sample);
    }
    hands
}

fn send<T>(senders: &[SyncSender<T>], hands: Vec<T>) -> ControlFlow<()> {
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
            windows: Windows::boxed(WindowFeatures::default(), WindowFeatures::default()),
        })
        .collect();
    kpis.sort_by(|a, b| a.name.cmp(&b.name));
    let fingerprint = Fingerprint {
        workload: sample.workload.clone(),
        source: sample.source.clone(),
        at: sample.at,
        step_s: sample.step_s,
        short_window_s: 3600,
        long_window_s: 604_800,
        feature_schema_hash: "".into(),
        kpis,
        capacity: sample.capacity.clone(),
        anomaly: None,
        platform: sample.platform,
    };
    let envelope = Envelope::root("trace", "io.prescale.v1.Fingerprint", &sample.workload, sample.at, "");
    Enveloped { envelope, fingerprint }
}
